/*
 * direct.h
 *	  UPDATE and DELETE that a foreign scan carries out itself.
 */
#ifndef DV_EXEC_DIRECT_H
#define DV_EXEC_DIRECT_H

#include "exec/scan.h"
#include "nodes/execnodes.h"
#include "remote/service.h"

extern void dataverseBeginDirectModify(ForeignScanState *node, int eflags);
extern TupleTableSlot *dataverseIterateDirectModify(ForeignScanState *node);
extern void dataverseEndDirectModify(ForeignScanState *node);

/* For EXPLAIN. */
typedef struct DvDirectReport
{
	const DvTable *table;
	const DvModifyPlan *plan;
	bool reads;
	DvScanReport read;   /* when it reads */
	int ids;             /* when it does not: how many, -1 not known yet */
	const char *address; /* of the row when there is one, not encoded */
	DvCounters counters; /* of the writes */
} DvDirectReport;

extern void dv_direct_report(ForeignScanState *node, DvDirectReport *report);

#endif /* DV_EXEC_DIRECT_H */
