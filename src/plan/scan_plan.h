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

#endif /* DV_PLAN_SCAN_PLAN_H */
