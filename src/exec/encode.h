/*
 * encode.h
 *	  A row as JSON fields: plain columns, and lookups as binds.
 */
#ifndef DV_EXEC_ENCODE_H
#define DV_EXEC_ENCODE_H

#include "executor/tuptable.h"
#include "exec/identity.h"
#include "exec/lookup.h"
#include "handoff.h"
#include "odata/body.h"
#include "remote/service.h"

typedef struct DvEncode DvEncode;

typedef struct DvEncodeSpec
{
	DvService *service;
	const DvTable *table;
	const DvModifyPlan *plan;
	TupleDesc desc; /* of the rows; must live as long */
	DvIdentity *identity;
	bool only_changed; /* of what a trigger may have changed, only what it has (DvRow.changed) */
} DvEncodeSpec;

/* Current context, which must outlive it. Makes no request. */
extern DvEncode *dv_encode_prepare(const DvEncodeSpec *spec);

/*
 * The row as the body's next one.  May ask for metadata (waits) where a lookup
 * leads to several tables.  Throws for values that cannot be sent.
 */
extern void dv_encode_row(DvEncode *encode, TupleTableSlot *slot, const DvRow *row, DvBody *body);

/* A field of the body, by its mark (dv_body_mark). */
typedef struct DvEncodedField
{
	const char *property; /* under which the service shows its value */
	const char *logical;
	DvType type;
	const DvLookup *lookup; /* it is written by; or NULL */
} DvEncodedField;

/* Marks are 0 up to that. */
extern int dv_encode_marks(const DvEncode *encode);
extern void dv_encode_describe(const DvEncode *encode, int mark, DvEncodedField *field);

/* Is the column's value known here once the row is written (so that RETURNING need not ask)? */
extern bool dv_encode_sends(const DvTable *table, const DvModifyPlan *plan, const DvColumn *column);

#endif /* DV_EXEC_ENCODE_H */
