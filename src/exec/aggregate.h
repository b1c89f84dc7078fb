/*
 * aggregate.h
 *	  A foreign scan that is a pushed aggregate: begin, iterate, rescan, end.
 */
#ifndef DV_EXEC_AGGREGATE_H
#define DV_EXEC_AGGREGATE_H

#include "nodes/execnodes.h"
#include "remote/service.h"

/* Is the node one of these? The scan room asks, and hands it on. */
extern bool dv_aggregate_is(const ForeignScanState *node);

extern void dv_aggregate_begin(ForeignScanState *node, int eflags);
extern TupleTableSlot *dv_aggregate_iterate(ForeignScanState *node);
extern void dv_aggregate_rescan(ForeignScanState *node);
extern void dv_aggregate_end(ForeignScanState *node);

/* For explain: the requests over all rows, parameters not known yet as $n, and what became of them. */
typedef struct DvAggregateReport
{
	List *requests;     /* char *: GET accounts?$apply=...; NULL members have no rows */
	int ranges;         /* requests that brought a part of the result, 0 before a run */
	const char *reason; /* why the rows were aggregated here instead; or NULL */
	DvCounters counters;
} DvAggregateReport;

extern void dv_aggregate_report(ForeignScanState *node, DvAggregateReport *report);

#endif /* DV_EXEC_AGGREGATE_H */
