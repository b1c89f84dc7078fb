/*
 * scan_plan.h
 *	  Size, paths and plan of a base scan.
 */
#ifndef DV_PLAN_SCAN_PLAN_H
#define DV_PLAN_SCAN_PLAN_H

#include "nodes/pathnodes.h"
#include "plan/rel.h"

extern void dataverseGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid);
extern void dataverseGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid);
extern ForeignScan *dataverseGetForeignPlan(PlannerInfo *root, RelOptInfo *rel, Oid foreigntableid,
											ForeignPath *best_path, List *tlist, List *scan_clauses,
											Plan *outer_plan);
extern bool dataverseIsForeignPathAsyncCapable(ForeignPath *path);

/*
 * A scan for a key join, costed for one run that brings "sent" rows: "keys" is
 * the condition column = ANY (array), in which the array, a constant, only
 * holds the place of what the join gives.  For that join's use, not add_path's.
 */
extern Path *dv_scan_plan_key_path(PlannerInfo *root, RelOptInfo *rel, Expr *keys, double sent);

/*
 * What a join takes over from the scan of its main table.  The sort keys that
 * stand for these path keys, NIL when the service's order is not ours; the same
 * for a path that is sorted so, as sent; the rows that a LIMIT directly above
 * will take of a path, or -1; the types of a condition's operands.
 */
extern List *dv_scan_plan_order(const DvRel *dvrel, RelOptInfo *rel, List *pathkeys);
extern List *dv_scan_plan_sort_keys(const DvRel *dvrel, RelOptInfo *rel, List *pathkeys);
extern int64 dv_scan_plan_limit(PlannerInfo *root, RelOptInfo *rel, Path *path);
extern List *dv_scan_plan_operand_types(List *operands);

#endif /* DV_PLAN_SCAN_PLAN_H */
