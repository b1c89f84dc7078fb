/*
 * keyjoin_plan.h
 *	  Joins that send the keys of many outer rows in one request.
 */
#ifndef DV_PLAN_KEYJOIN_PLAN_H
#define DV_PLAN_KEYJOIN_PLAN_H

/* The setting, and the planner's hook. At load. */
extern void dv_keyjoin_plan_init(void);

#endif /* DV_PLAN_KEYJOIN_PLAN_H */
