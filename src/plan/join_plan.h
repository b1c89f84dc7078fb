/*
 * join_plan.h
 *	  Joins of foreign tables along lookups, in one request.
 */
#ifndef DV_PLAN_JOIN_PLAN_H
#define DV_PLAN_JOIN_PLAN_H

#include "nodes/pathnodes.h"

extern void dataverseGetForeignJoinPaths(PlannerInfo *root, RelOptInfo *joinrel,
										 RelOptInfo *outerrel, RelOptInfo *innerrel,
										 JoinType jointype, JoinPathExtraData *extra);

/* GetForeignPlan for the paths made there. */
extern ForeignScan *dv_join_plan_make(PlannerInfo *root, RelOptInfo *rel, ForeignPath *best_path,
									  List *tlist, Plan *outer_plan);

#endif /* DV_PLAN_JOIN_PLAN_H */
