/*
 * upper_plan.h
 *	  Aggregates and DISTINCT as requests to the service.
 */
#ifndef DV_PLAN_UPPER_PLAN_H
#define DV_PLAN_UPPER_PLAN_H

#include "nodes/pathnodes.h"

extern void dataverseGetForeignUpperPaths(PlannerInfo *root, UpperRelationKind stage,
										  RelOptInfo *input_rel, RelOptInfo *output_rel,
										  void *extra);

/* GetForeignPlan for the paths made there. */
extern ForeignScan *dv_upper_plan_make(RelOptInfo *rel, List *tlist, Plan *outer_plan);

#endif /* DV_PLAN_UPPER_PLAN_H */
