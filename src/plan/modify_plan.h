/*
 * modify_plan.h
 *	  Target columns, key and write mode.
 */
#ifndef DV_PLAN_MODIFY_PLAN_H
#define DV_PLAN_MODIFY_PLAN_H

#include "nodes/pathnodes.h"
#include "handoff.h"
#include "utils/rel.h"

extern void dataverseAddForeignUpdateTargets(PlannerInfo *root, Index rtindex,
											 RangeTblEntry *target_rte, Relation target_relation);
extern List *dataversePlanForeignModify(PlannerInfo *root, ModifyTable *plan, Index resultRelation,
										int subplan_index);
extern int dataverseIsForeignRelUpdatable(Relation rel);

/* What becomes of the rows of one target: throws for columns that cannot be set. */
extern DvModifyPlan *dv_modify_plan_make(PlannerInfo *root, ModifyTable *plan, Index resultRelation,
										 int subplan_index);

#endif /* DV_PLAN_MODIFY_PLAN_H */
