/*
 * direct_plan.h
 *	  Which UPDATE and DELETE run without the executor going row by row.
 */
#ifndef DV_PLAN_DIRECT_PLAN_H
#define DV_PLAN_DIRECT_PLAN_H

#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"

extern bool dataversePlanDirectModify(PlannerInfo *root, ModifyTable *plan, Index resultRelation,
									  int subplan_index);

#endif /* DV_PLAN_DIRECT_PLAN_H */
