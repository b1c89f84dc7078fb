/*
 * scan_plan.h
 *	  Size, paths and plan of a base scan.
 */
#ifndef DV_PLAN_SCAN_PLAN_H
#define DV_PLAN_SCAN_PLAN_H

#include "nodes/pathnodes.h"

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

#endif /* DV_PLAN_SCAN_PLAN_H */
