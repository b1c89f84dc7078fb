/*
 * modify.h
 *	  The modify callbacks: slots into bulk, results into slots.
 */
#ifndef DV_EXEC_MODIFY_H
#define DV_EXEC_MODIFY_H

#include "nodes/execnodes.h"
#include "handoff.h"
#include "remote/service.h"

extern void dataverseBeginForeignModify(ModifyTableState *mtstate, ResultRelInfo *rinfo,
										List *fdw_private, int subplan_index, int eflags);
extern TupleTableSlot *dataverseExecForeignInsert(EState *estate, ResultRelInfo *rinfo,
												  TupleTableSlot *slot, TupleTableSlot *planSlot);
extern TupleTableSlot **dataverseExecForeignBatchInsert(EState *estate, ResultRelInfo *rinfo,
														TupleTableSlot **slots,
														TupleTableSlot **planSlots, int *numSlots);
extern int dataverseGetForeignModifyBatchSize(ResultRelInfo *rinfo);
extern TupleTableSlot *dataverseExecForeignUpdate(EState *estate, ResultRelInfo *rinfo,
												  TupleTableSlot *slot, TupleTableSlot *planSlot);
extern TupleTableSlot *dataverseExecForeignDelete(EState *estate, ResultRelInfo *rinfo,
												  TupleTableSlot *slot, TupleTableSlot *planSlot);
extern void dataverseEndForeignModify(EState *estate, ResultRelInfo *rinfo);
extern void dataverseBeginForeignInsert(ModifyTableState *mtstate, ResultRelInfo *rinfo);
extern void dataverseEndForeignInsert(EState *estate, ResultRelInfo *rinfo);

/*
 * An INSERT's key and mode as they are now: the session may have chosen another
 * key since the statement was planned.
 */
extern void dv_modify_choose_key(ModifyTableState *mtstate, DvTable *table, DvModifyPlan *plan);

/*
 * For EXPLAIN ANALYZE: what the node has sent.  Rows still gathered are sent
 * first, so that the figures are whole.  NULL when the node was not begun.
 */
extern const DvCounters *dv_modify_counters(ResultRelInfo *rinfo);

#endif /* DV_EXEC_MODIFY_H */
