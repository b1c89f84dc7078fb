/*
 * scan.h
 *	  Begin, iterate, rescan, end; fetches one page ahead.
 */
#ifndef DV_EXEC_SCAN_H
#define DV_EXEC_SCAN_H

#include "nodes/execnodes.h"
#include "handoff.h"
#include "remote/service.h"

extern void dataverseBeginForeignScan(ForeignScanState *node, int eflags);
extern TupleTableSlot *dataverseIterateForeignScan(ForeignScanState *node);
extern void dataverseReScanForeignScan(ForeignScanState *node);
extern void dataverseEndForeignScan(ForeignScanState *node);

/*
 * Starts over with these values, an array, in the operand that the plan leaves
 * open (key_param).  The array must live until the first row has been asked for.
 */
extern void dv_scan_give_keys(ForeignScanState *node, Datum keys);

/* For explain: the request(s) as they go out (parameters not known yet as $n), and the counts. */
typedef struct DvScanReport
{
	char *request; /* GET accounts?$select=... exactly as sent */
	char *filter;  /* the same filter, readable; NULL if none */
	int pieces;    /* > 1: a long list cut into that many requests; 0 unknown */
	DvCounters counters;
} DvScanReport;

extern void dv_scan_report(ForeignScanState *node, DvScanReport *report);

#endif /* DV_EXEC_SCAN_H */
