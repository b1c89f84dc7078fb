/*
 * explain.h
 *	  The request as the service will see it, without asking it.
 */
#ifndef DV_EXEC_EXPLAIN_H
#define DV_EXEC_EXPLAIN_H

#include "nodes/execnodes.h"

struct ExplainState;

extern void dataverseExplainForeignScan(ForeignScanState *node, struct ExplainState *es);
extern void dataverseExplainDirectModify(ForeignScanState *node, struct ExplainState *es);
extern void dataverseExplainForeignModify(ModifyTableState *mtstate, ResultRelInfo *rinfo,
										  List *fdw_private, int subplan_index,
										  struct ExplainState *es);

#endif /* DV_EXEC_EXPLAIN_H */
