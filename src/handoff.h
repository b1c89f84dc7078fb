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
#include "odata/apply.h"
#include "odata/filter.h"

/* One sort key as sent. */
typedef struct DvSortKey
{
	char *property;
	bool descending;
	bool nullable;    /* the first key only: nulls are a request of their own */
	bool nulls_first; /* where they go then */
} DvSortKey;

/* One table of a pushed join. */
typedef struct DvJoinMember
{
	Oid relid;
	int rti;      /* in the range table, while planning: EXPLAIN wants its name */
	char *path;   /* navigation properties that lead to it; empty for the main table */
	int parent;   /* member that holds the lookup; -1 for the main table */
	bool certain; /* a row without it is no row of the join */
	int qual;     /* expression that its rows must satisfy, evaluated here; -1 none */
} DvJoinMember;

/*
 * One join of a pushed join.  Its sides are members' numbers, or ~n for the
 * nth join, an earlier one.  Each row of the left side has at most one on the right.
 */
typedef struct DvJoinStep
{
	int join; /* JoinType: inner, left, semi or anti */
	int left;
	int right;
	int qual;   /* expression that decides about matching; -1 none */
	int filter; /* expression that decides about the joined row; -1 none */
} DvJoinStep;

/* Rows that lead to one of the main table: there must be some, or none. */
typedef struct DvJoinChild
{
	Oid relid;
	int rti;
	char *entity; /* logical name of their table */
	char *lookup; /* logical name of the column that leads here */
	bool anti;
	DvFilter *filter; /* exact, unbound; NULL: any */
} DvJoinChild;

typedef struct DvScanPlan
{
	Oid relid; /* foreign table; 0 for upper relations later on */
	char *entity_set;
	List *attnums;    /* int: attributes of the table to fetch, ascending;
								 * values arrive in this order */
	DvFilter *filter; /* the sendable part, unbound; or NULL */
	List *slot_types; /* Oid of each operand expression's type */
	List *sortkeys;   /* DvSortKey *, as sent (primary id last) */
	int64 limit;      /* rows wanted in all, -1 unknown; sent as $top
								 * when exact_limit */
	bool exact_limit; /* conditions EXACT and order sent: $top allowed */
	int page_size;
	int partition; /* attribute by whose ranges a large scan may be read; 0: not this one */
	bool counted;  /* the table's size is known, not assumed */
	double rows;   /* that the service will send, about */
	double share;  /* of the table's rows */
	int key_param; /* n when a key join gives the values of $n, slot n - 1, run by
								 * run; 0 for none */
	bool etag;     /* each row's version is read, into its ctid */
	List *direct;  /* packed DvDirectPlan when the scan is an UPDATE or DELETE; else NIL */

	/* a join; NIL for a table alone */
	List *members;  /* DvJoinMember *, the main table first */
	List *steps;    /* DvJoinStep * */
	List *sources;  /* int: member that each of attnums belongs to; the row
								 * delivered has them in this order */
	List *children; /* DvJoinChild *; the query is FetchXML then */
} DvScanPlan;

extern List *dv_handoff_pack_scan(const DvScanPlan *plan);
extern DvScanPlan *dv_handoff_unpack_scan(List *packed);

/* One request of a pushed aggregate: some of the rows, grouped. */
typedef struct DvAggregateQuery
{
	DvFilter *filter; /* unbound; NULL for all rows */
	int distinct;     /* attribute that is a further group, whose values are counted
						   * here; 0 none, and then item 0 counts rows */
	List *methods;    /* int: DvApplyMethod of each item */
	List *attnums;    /* int: its attribute; 0 for DV_APPLY_COUNT */
} DvAggregateQuery;

typedef enum DvAggregateKind
{
	DV_AGGREGATE_GROUP, /* the group's value of a column */
	DV_AGGREGATE_COUNT, /* rows, or distinct values */
	DV_AGGREGATE_SUM,
	DV_AGGREGATE_AVG,
	DV_AGGREGATE_BEST /* least or greatest */
} DvAggregateKind;

/* One column of the result. */
typedef struct DvAggregateOutput
{
	DvAggregateKind kind;
	int query; /* where it comes from; of a group: its number */
	int item;  /* of SUM, AVG, BEST */
	int scale; /* item, a least value, that shows how many decimals PostgreSQL
					 * would see; -1 none */
	Oid typid; /* of the result */
} DvAggregateOutput;

/*
 * A pushed aggregate, or DISTINCT.  When there are groups, query 0 counts the
 * rows of all of them, and a group that is not in its answer does not exist.
 */
typedef struct DvAggregatePlan
{
	Oid relid;
	char *entity_set;
	bool grouped; /* else there is one row, whatever the rows below */
	List *groups; /* int: attributes */
	List *queries;
	List *outputs;
	int partition; /* attribute by whose ranges too large a request is cut; 0 none */
	double share;  /* of the table's rows that the condition leaves, about */
} DvAggregatePlan;

extern List *dv_handoff_pack_aggregate(const DvAggregatePlan *plan);
extern DvAggregatePlan *dv_handoff_unpack_aggregate(List *packed);

/* Is this what a foreign scan carries that is a pushed aggregate? */
extern bool dv_handoff_is_aggregate(const List *packed);

/* The custom scan's name, under which the two wings find each other's half of it. */
#define DV_KEY_JOIN_NAME "Dataverse Key Join"

/*
 * Distinct keys in a batch: one request's worth at first, for a LIMIT above, and
 * at most.  Two batches may wait at a time.
 */
#define DV_KEY_JOIN_FIRST 400
#define DV_KEY_JOIN_BATCH 3200

/* A key join: custom_plans are the outer plan and the foreign scan. */
typedef struct DvKeyJoinPlan
{
	int join;     /* JoinType: inner, left, semi or anti */
	Oid equality; /* hashable operator: outer key = inner key */
	Oid collation;
} DvKeyJoinPlan;

/* Places in custom_exprs; what follows are the other join conditions. */
typedef enum DvKeyJoinExpr
{
	DV_KEY_JOIN_OUTER, /* the key as the outer row has it */
	DV_KEY_JOIN_INNER, /* and as the foreign row has it */
	DV_KEY_JOIN_COND,  /* both compared, for EXPLAIN */
	DV_KEY_JOIN_REST
} DvKeyJoinExpr;

extern List *dv_handoff_pack_key_join(const DvKeyJoinPlan *plan);
extern DvKeyJoinPlan *dv_handoff_unpack_key_join(List *packed);

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
	List *triggered; /* int: those of them that only a BEFORE trigger can have
								 * changed: sent where they differ from the row read */
	List *returning; /* int: attributes that RETURNING or triggers need;
								 * NIL when has_returning is false */
	bool has_returning;
} DvModifyPlan;

extern List *dv_handoff_pack_modify(const DvModifyPlan *plan);
extern DvModifyPlan *dv_handoff_unpack_modify(List *packed);

typedef enum DvDirectRows
{
	DV_DIRECT_READ, /* the scan finds them */
	DV_DIRECT_IDS,  /* the filter is their ids */
	DV_DIRECT_KEY   /* the filter is the alternate key of one */
} DvDirectRows;

/* An UPDATE or DELETE that the foreign scan carries out itself; rides in its DvScanPlan. */
typedef struct DvDirectPlan
{
	DvModifyPlan *modify;
	List *assigned;    /* int: attributes that SET names; what they become follows
						 * the filter's operands in fdw_exprs */
	bool counts;       /* its rows are the statement's */
	DvDirectRows rows; /* how they are known */
} DvDirectPlan;

extern List *dv_handoff_pack_direct(const DvDirectPlan *plan);
extern DvDirectPlan *dv_handoff_unpack_direct(List *packed);

#endif /* DV_HANDOFF_H */
