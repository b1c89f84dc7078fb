/*
 * lookup.h
 *	  What a row says of one of its lookups, as the service wants it written.
 */
#ifndef DV_EXEC_LOOKUP_H
#define DV_EXEC_LOOKUP_H

#include "executor/tuptable.h"
#include "handoff.h"
#include "odata/body.h"
#include "remote/service.h"

typedef struct DvLookup DvLookup;

/* Same for all lookups of a statement. */
typedef struct DvLookupSpec
{
	DvService *service;
	const DvTable *table;
	const DvModifyPlan *plan;
	DvCounters *counters; /* or NULL */
} DvLookupSpec;

/*
 * A lookup by its logical name; spec must live as long.  Current context, which
 * must outlive it.  No request.
 */
extern DvLookup *dv_lookup_prepare(const DvLookupSpec *spec, const char *logical);

/* Does the statement name the lookup, by its id or by its target's key? NULL then clears it. */
extern bool dv_lookup_named(const DvLookup *lookup);

/* One member of the row's JSON, in UTF-8. */
typedef struct DvBind
{
	const DvBodyName *name;
	const char *address; /* NULL: the lookup is cleared */
} DvBind;

/*
 * What the row says; false when it says nothing that travels, as a NULL does
 * unless send_null.  The slot has all its attributes.  May ask for metadata, and
 * for the row of a key that no address can hold (waits).  Throws what is an
 * error of the row.  Current context.
 */
extern bool dv_lookup_bind(DvLookup *lookup, TupleTableSlot *slot, bool send_null, DvBind *bind);

/* The column that names the table it points to; NULL: there is none. */
extern const DvColumn *dv_lookup_companion(const DvLookup *lookup);

/* May the lookup lead to more than one table? */
extern bool dv_lookup_polymorphic(const DvLookup *lookup);

/* The table whose entity set a bind of this lookup has named; NULL when not known. */
extern const char *dv_lookup_table_of(const DvLookup *lookup, const char *set, size_t len);

#endif /* DV_EXEC_LOOKUP_H */
