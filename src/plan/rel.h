/*
 * rel.h
 *	  What we know of a foreign table while planning, and what reading it costs.
 */
#ifndef DV_PLAN_REL_H
#define DV_PLAN_REL_H

#include "nodes/pathnodes.h"
#include "plan/translate.h"

/* Kept in RelOptInfo.fdw_private of a base relation. */
typedef struct DvRel
{
	DvTable *table;
	List *clauses;      /* DvRelClause *, one per restriction, in order */
	bool all_exact;     /* every restriction is sent and needs no recheck */
	double remote_rows; /* rows the service will send for the restrictions */
	bool counted;       /* the table's size is known, not assumed */
	bool single_row;    /* the restrictions name one row by id or key */
} DvRel;

/* One restriction (or join condition) and what became of it. */
typedef struct DvRelClause
{
	RestrictInfo *rinfo;
	DvClause *clause;
} DvRelClause;

typedef struct DvCost
{
	Cost startup;
	Cost total;
} DvCost;

/* Options, translated restrictions, row estimates; sets rel->rows and fdw_private. */
extern DvRel *dv_rel_init(PlannerInfo *root, RelOptInfo *rel, Oid relid);

/* Is there one without columns among these conditions? It would be a gate above the scan. */
extern bool dv_rel_has_pseudoconstant(List *rinfos);

/* Translation of a condition on this relation: the restrictions' are remembered. */
extern DvClause *dv_rel_clause(const RelOptInfo *rel, RestrictInfo *rinfo);

/*
 * Cost of one scan in which the service sends "sent" rows, "checked" clauses
 * are evaluated here on each.
 */
extern DvCost dv_rel_cost(PlannerInfo *root, const RelOptInfo *rel, double sent, List *checked);

/*
 * A value as an operand of a condition, in literal.h's text forms.  The
 * executor's affair; dataverse_fdw.c, which sees both wings, says which function.
 */
typedef DvValue *(*DvOperandText)(Datum value, bool isnull, Oid typid, DvType type);
extern const DvOperandText dv_rel_operand_text;

#endif /* DV_PLAN_REL_H */
