/*
 * operand.h
 *	  The expressions behind a filter's slots, and their values at a run.
 */
#ifndef DV_EXEC_OPERAND_H
#define DV_EXEC_OPERAND_H

#include "nodes/execnodes.h"
#include "odata/filter.h"
#include "remote/service.h"

typedef struct DvOperands
{
	const DvTable *table;
	int n;
	struct DvOperand *items;
} DvOperands;

/*
 * exprs[i] is what slot i stands for.  filters: List of DvFilter * (NULL
 * members are passed over) in which the slots occur.  Current context.
 */
extern DvOperands *dv_operand_prepare(PlanState *node, const DvTable *table, List *exprs,
									  List *filters);

/* Leaves a slot to another node, a key join: it is never evaluated here. */
extern void dv_operand_leave_open(DvOperands *operands, int slot);

/* What such a node gives for its slot, as the slot's value. */
extern DvValue *dv_operand_given(const DvOperands *operands, int slot, Datum value);

/*
 * The values in the current context; NULL for slots that occur nowhere.  service is asked
 * for what labels stand for, NULL: those slots stay open.  known_only: so do
 * slots that depend on other nodes' results, for EXPLAIN.
 */
extern DvValue **dv_operand_values(const DvOperands *operands, ExprContext *econtext,
								   DvService *service, bool known_only);

/* Has each slot that occurs a value? */
extern bool dv_operand_all_known(const DvOperands *operands, DvValue *const *values);

/* $n in plain sight in an encoded address: what is not known is not part of what is sent. In place. */
extern char *dv_operand_show(char *path);

#endif /* DV_EXEC_OPERAND_H */
