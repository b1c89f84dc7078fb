/*
 * joined.h
 *	  Which rows of a pushed join stay, and which of their sides are null.
 */
#ifndef DV_EXEC_JOINED_H
#define DV_EXEC_JOINED_H

#include "handoff.h"
#include "nodes/execnodes.h"
#include "odata/page.h"

typedef struct DvJoined DvJoined;

/*
 * exprs: fdw_exprs.  ids: for each member the place among a row's fields of its
 * primary id, by which it is seen to be there; of the main table it does not
 * matter.  Current context.
 */
extern DvJoined *dv_joined_prepare(PlanState *node, const DvScanPlan *plan, List *exprs,
								   const int *ids);

/* May these fields make a row of the join? Asked before they are converted. */
extern bool dv_joined_possible(const DvJoined *joined, const DvField *fields);

/*
 * Joins a row whose columns are in the slot, nulling those of the sides that
 * do not match; false when there is no joined row.
 */
extern bool dv_joined_row(DvJoined *joined, const DvField *fields, TupleTableSlot *slot,
						  ExprContext *econtext);

#endif /* DV_EXEC_JOINED_H */
