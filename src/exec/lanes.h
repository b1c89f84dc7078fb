/*
 * lanes.h
 *	  The rows of a scan's pieces, several chains of pages side by side.
 *
 * Three ways to use it.  Whoever may wait calls dv_lanes_row until it is false.
 * Whoever may not (async Append) calls dv_lanes_try: ROW and END are as with
 * dv_lanes_row; after WAIT, dv_lanes_calls says what to wait for, and as soon
 * as one of these calls is done dv_lanes_try goes on.  dv_lanes_start sends the
 * first requests ahead of all that.
 */
#ifndef DV_EXEC_LANES_H
#define DV_EXEC_LANES_H

#include "exec/request.h"
#include "exec/sweep.h"
#include "odata/page.h"
#include "remote/service.h"

typedef struct DvLanes DvLanes;

typedef struct DvLanesSpec
{
	DvService *service;
	const DvRequest *request;
	DvCounters *counters;
	DvSweep *sweep; /* of the only piece, which may be read in ranges; or NULL */
	bool ordered;   /* rows of a piece come after all those of the pieces before it */
} DvLanesSpec;

typedef enum DvLanesState
{
	DV_LANES_ROW,
	DV_LANES_WAIT, /* not before one of dv_lanes_calls is done */
	DV_LANES_END
} DvLanesState;

/* Calls that there may be to wait for. */
#define DV_LANES_CALLS (52 + DV_SWEEP_CALLS + 1)

/* Nothing is asked yet.  Lives in the current context; deleting that context ends it. */
extern DvLanes *dv_lanes_open(const DvLanesSpec *spec, List *pieces);

/* Asks for as much as may be asked for. */
extern void dv_lanes_start(DvLanes *lanes);

/* Fills fields, which live until the next call, unless it would have to wait. */
extern DvLanesState dv_lanes_try(DvLanes *lanes, DvField *fields);

/* The calls that dv_lanes_try waits for, at most DV_LANES_CALLS; their number. */
extern int dv_lanes_calls(const DvLanes *lanes, DvCall **calls);

/* Waits; false after the last row. */
extern bool dv_lanes_row(DvLanes *lanes, DvField *fields);

/* Back to the first row without asking again: only when one page held them all. */
extern bool dv_lanes_rewind(DvLanes *lanes);

/*
 * next begins to ask where lanes leave room for it.  Both last until next is
 * let go by dv_lanes_follow(lanes, NULL) or lanes come to an end.
 */
extern void dv_lanes_follow(DvLanes *lanes, DvLanes *next);

#endif /* DV_EXEC_LANES_H */
