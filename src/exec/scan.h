/*
 * scan.h
 *	  Begin, iterate, rescan, end; fetches ahead.
 *
 * Async Append: dv_scan_start sends the first requests; after
 * dv_scan_be_impatient an Iterate (through ExecProcNode, with conditions and
 * projection) that gives no row says by dv_scan_pending whether it is worth
 * coming again, namely when one of dv_scan_calls is done (dv_call_poll,
 * dv_call_wait_any).  Not for pushed aggregates.
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

/*
 * The run after the one that has been started asks where that one leaves the
 * wire idle; dv_scan_take_next_keys is the rescan that changes over to it,
 * dv_scan_give_keys forgets it.
 */
extern void dv_scan_give_next_keys(ForeignScanState *node, Datum keys);
extern void dv_scan_take_next_keys(ForeignScanState *node);

/* Begins the run, without waiting for its pages. */
extern void dv_scan_start(ForeignScanState *node);

/* Iterate gives no row where it would have to wait for the service. */
extern void dv_scan_be_impatient(ForeignScanState *node, bool impatient);

/* Did it give none for that reason? */
extern bool dv_scan_pending(ForeignScanState *node);

/* What it waits for: at most DV_LANES_CALLS calls (exec/lanes.h); their number. */
extern int dv_scan_calls(ForeignScanState *node, DvCall **calls);

/* The scan's own descriptor for a wait of somebody else's (dv_pollset_watch). */
extern int dv_scan_watch(ForeignScanState *node);

/* For explain: the request(s) as they go out (parameters not known yet as $n), and the counts. */
typedef struct DvScanReport
{
	char *request; /* GET accounts?$select=... exactly as sent */
	char *filter;  /* the same filter, readable; NULL if none */
	int pieces;    /* > 1: a long list cut into that many requests; 0 unknown */
	const DvScanPlan *plan;
	int ranges; /* of dates that the last run was read in; 0: none */
	DvCounters counters;
} DvScanReport;

extern void dv_scan_report(ForeignScanState *node, DvScanReport *report);

#endif /* DV_EXEC_SCAN_H */
