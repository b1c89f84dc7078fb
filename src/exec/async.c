/*
 * async.c
 *	  Scans below one Append that wait together.
 *
 * Append asks each scan for a row; the first time this sends the scan's first
 * requests, so that all are on their way before any is waited for.  A scan that
 * has no row to give without waiting puts a descriptor into Append's set of
 * events.  All requests of a backend share what is behind these descriptors,
 * and so does a timer for whatever comes by time alone: the end of a
 * Retry-After, a request that takes too long.  So each scan may be woken for
 * another one's sake; it looks, and waits again.
 *
 * Assumes that a scan which says that it has to wait has calls to wait for.
 * Deliberately for plain scans only: a pushed aggregate runs synchronously.
 * A token, once in its lifetime, is waited for where it is needed.
 */
#include "postgres.h"

#include "compat.h"

#include "executor/execAsync.h"
#include "executor/executor.h"
#include "storage/latch.h"

#include "exec/async.h"
#include "exec/lanes.h"
#include "exec/scan.h"
#include "remote/pollset.h"

/* A row, the end, or word that there is none yet. */
static void
answer(AsyncRequest *areq)
{
	ForeignScanState *node = castNode(ForeignScanState, areq->requestee);
	PlanState *state = &node->ss.ps;
	TupleTableSlot *slot;

	dv_scan_be_impatient(node, true);
	slot = state->ExecProcNodeReal(state); /* the caller counts rows and time */
	if (!TupIsNull(slot))
		ExecAsyncRequestDone(areq, slot);
	else if (dv_scan_pending(node))
		ExecAsyncRequestPending(areq);
	else
		ExecAsyncRequestDone(areq, NULL);
}

void
dataverseForeignAsyncRequest(AsyncRequest *areq)
{
	answer(areq);
}

void
dataverseForeignAsyncNotify(AsyncRequest *areq)
{
	answer(areq);
}

/* ms until one of the scan's calls has something to do by time alone; 0 when one is done. */
static long
next_due(ForeignScanState *node)
{
	DvCall *calls[DV_LANES_CALLS];
	int n = dv_scan_calls(node, calls);
	long due = -1;

	if (n == 0)
		elog(ERROR, "foreign scan waits for nothing");
	for (int i = 0; i < n; i++)
	{
		long own = dv_call_timeout_ms(calls[i]);

		if (own >= 0)
			due = due < 0 ? own : Min(due, own);
	}
	return due;
}

void
dataverseForeignAsyncConfigureWait(AsyncRequest *areq)
{
	ForeignScanState *node = castNode(ForeignScanState, areq->requestee);
	AppendState *append = castNode(AppendState, areq->requestor);

	Assert(areq->callback_pending);

	/* what another scan's turn has brought for this one stirs no socket any more */
	dv_pollset_wake_after(next_due(node));
	AddWaitEventToSet(append->as_eventset, WL_SOCKET_READABLE, dv_scan_watch(node), NULL, areq);
}
