/*
 * fetch_plan.h
 *	  Rows to which other rows lead, or none, as one FetchXML query.
 */
#ifndef DV_PLAN_FETCH_PLAN_H
#define DV_PLAN_FETCH_PLAN_H

#include "plan/join_tree.h"

/*
 * Can all that is asked of the children be said exactly? Else they could not be
 * left there.  And are none of their columns read above?
 */
extern bool dv_fetch_plan_possible(const RelOptInfo *joinrel, const DvJoinTree *tree);

extern void dv_fetch_plan_add_path(PlannerInfo *root, RelOptInfo *joinrel, const DvJoinTree *tree);

/* GetForeignPlan for such a path. */
extern ForeignScan *dv_fetch_plan_make(PlannerInfo *root, RelOptInfo *rel, ForeignPath *best_path,
									   List *tlist, Plan *outer_plan);

#endif /* DV_PLAN_FETCH_PLAN_H */
