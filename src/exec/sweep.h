/*
 * sweep.h
 *	  Whether, and in which ranges of dates, a large scan is read side by side.
 */
#ifndef DV_EXEC_SWEEP_H
#define DV_EXEC_SWEEP_H

#include "exec/chain.h"

typedef struct DvSweep DvSweep;

typedef struct DvSweepSpec
{
	DvService *service;
	const DvRequest *request; /* with a partition column */
	const DvValue *const *values;
	int nvalues;
	DvCounters *counters;
} DvSweepSpec;

/* Calls that there may be to wait for. */
#define DV_SWEEP_CALLS 3

/* Asks nothing yet.  Lives in the current context. */
extern DvSweep *dv_sweep_open(const DvSweepSpec *spec);

/*
 * The first page has been asked for.  Where the table is known to be large, what
 * must be known is asked for beside it, by so many requests at most, and the
 * result is true.
 */
extern bool dv_sweep_begin_early(DvSweep *sweep, int room);

/*
 * The first page is here, and others follow: begins to ask what must be known.
 * False when there will be no ranges.
 */
extern bool dv_sweep_begin(DvSweep *sweep, const DvChain *first);

/* Looks at what has come. */
extern void dv_sweep_look(DvSweep *sweep);

/*
 * Some of the first page has been wanted, or the last of it has been read: asks
 * for the rest, by so many requests at most.  True when nothing is waited for
 * any more; false with room above 0 means that there are calls.
 */
extern bool dv_sweep_ask(DvSweep *sweep, int room);
extern int dv_sweep_calls(const DvSweep *sweep, DvCall **calls);

/* The ranges that hold all rows, for so many lanes; NIL: the pages had better be read in a row. */
extern List *dv_sweep_pieces(DvSweep *sweep, int lanes);

/*
 * The chain's page is not its last one, and so many lanes have nothing to do:
 * takes a part of what has not been read from it, as further pieces.
 */
extern List *dv_sweep_split(DvSweep *sweep, DvChain *chain, int lanes);

/* A piece of either kind that has been read. */
extern void dv_sweep_free_piece(DvPiece *piece);

/* Ranges made so far. */
extern int dv_sweep_ranges(const DvSweep *sweep);

#endif /* DV_EXEC_SWEEP_H */
