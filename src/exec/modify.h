/*
 * modify.h
 *	  The modify callbacks: slots into bulk, results into slots.
 */
#ifndef DV_EXEC_MODIFY_H
#define DV_EXEC_MODIFY_H

#include "nodes/execnodes.h"
#include "handoff.h"
#include "remote/service.h"

/*
 * What a statement of our own that inserts wants to say and to know, beside
 * what SQL says.  It stands in the statement's query environment as the data
 * of a relation of this name, where nested statements do not see it.
 */
#define DV_MODIFY_ACCOUNT "dataverse_fdw: account"

typedef struct DvModifyAccount
{
	bool own_ids;  /* in: primary ids were made for these rows and for nothing else, so that
					* one that is taken tells that its row was written before */
	int64 written; /* out: rows that the service has confirmed */
	int64 skipped; /* out: rows rightly not written */
	int64 refused; /* out: rows set aside */
} DvModifyAccount;

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
