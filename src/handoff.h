/*
 * handoff.h
 *	  What the planner leaves for the executor: two plain structs, and lists
 *	  that copyObject and outfuncs understand.
 *
 * Nobody else counts list positions.  Strings and numbers only: expressions
 * travel in fdw_exprs, where setrefs.c finds them; slot n of a filter is
 * element n of that list.
 */
#ifndef DV_HANDOFF_H
#define DV_HANDOFF_H

#include "nodes/pg_list.h"
#include "odata/filter.h"

/* One sort key as sent. */
typedef struct DvSortKey
{
	char *property;
	bool descending;
} DvSortKey;

typedef struct DvScanPlan
{
	Oid relid; /* foreign table; 0 for upper relations later on */
	char *entity_set;
	List *attnums; /* int: attributes of the table to fetch, ascending;
								 * values arrive in this order */
	bool fetch_id; /* the primary id is wanted though no column asks
								 * for it (row identity for UPDATE) */
	bool fetch_etag;
	DvFilter *filter; /* the sendable part, unbound; or NULL */
	List *slot_types; /* Oid of each operand expression's type */
	List *sortkeys;   /* DvSortKey *, as sent (primary id last) */
	int64 limit;      /* rows wanted in all, -1 unknown; sent as $top
								 * when exact_limit */
	bool exact_limit; /* conditions EXACT and order sent: $top allowed */
	int page_size;
} DvScanPlan;

extern List *dv_handoff_pack_scan(const DvScanPlan *plan);
extern DvScanPlan *dv_handoff_unpack_scan(List *packed);

typedef enum DvWriteMode
{
	DV_WRITE_CREATE, /* POST, CreateMultiple, ids made here */
	DV_WRITE_UPSERT, /* by alternate key (or given primary id) */
	DV_WRITE_UPDATE, /* by primary id, If-Match: * */
	DV_WRITE_DELETE
} DvWriteMode;

typedef struct DvModifyPlan
{
	Oid relid;
	DvWriteMode mode;
	bool do_nothing; /* ON CONFLICT DO NOTHING or on_conflict 'nothing' */
	List *attnums;   /* int: attributes whose values are sent */
	List *returning; /* int: attributes that RETURNING or triggers need;
								 * NIL when has_returning is false */
	bool has_returning;
} DvModifyPlan;

extern List *dv_handoff_pack_modify(const DvModifyPlan *plan);
extern DvModifyPlan *dv_handoff_unpack_modify(List *packed);

#endif /* DV_HANDOFF_H */
