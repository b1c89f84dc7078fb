/*
 * lanes.c
 *	  The rows of a scan's pieces, several chains of pages side by side.
 *
 * Pieces wait in a queue.  Each that is begun has a lane: a chain of its own in
 * a memory context of its own.  Two things are bounded: the requests on their
 * way, by the option concurrency, lowered by the service's hint (sheet 7.1); and
 * the pages asked for and not yet begun to be read, by twice that and by their
 * size, so that a page that waits for its turn keeps no place on the wire empty.
 * A lane asks for its next page when it begins to read one; when it has nothing more
 * to ask, the next piece in the queue begins.  So a single chain, or
 * concurrency 1, is just what it sounds like: one page ahead.
 *
 * Rows come page by page, the page that arrived first first; where the pieces
 * stand in an order, a piece's pages are read when all before it have been.
 *
 * A scan that may be read in ranges begins with its first page, after which no
 * page is asked for until the sweep has decided: when a tenth of the page has
 * been taken at the earliest, so that who wants just a few rows pays no more
 * than for any other scan.  Ranges then take the place of the pages that follow.
 *
 * Under a LIMIT that the scan knows of, one chain runs at a time, as long as it
 * takes: what a second one brought might be for nothing.
 */
#include "postgres.h"

#include "compat.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "exec/chain.h"
#include "exec/lanes.h"

/* Rows between two turns of the transfers. */
#define ROWS_PER_POLL 64

/* Lanes at most: the option's own limit. */
#define WIDTH_MAX 52

/* Bytes of pages waiting to be read that are held rather than speed being gained. */
#define BODIES_MAX (32 * 1024 * 1024)

/* Part of the first page after which the rest is taken to be wanted. */
#define WANTED_PART 10

typedef struct Lane
{
	MemoryContext context;
	DvPiece *piece;
	DvChain *chain;
} Lane;

struct DvLanes
{
	MemoryContext context;
	DvChainSpec chains;
	DvAppetite appetite;
	bool ordered;
	List *queue;     /* DvPiece *: not begun */
	List *lanes;     /* Lane *: begun, in the order in which their pages were asked for */
	Lane *reading;   /* one of them, or NULL */
	Lane *only;      /* has held all rows in one page, and is kept for a rewind */
	DvSweep *sweep;  /* or NULL */
	bool learning;   /* the sweep has not decided yet */
	int taken;       /* rows since it was asked */
	Lane *first;     /* has read the first page, which ranges leave out; or NULL */
	DvLanes *next;   /* asks where this leaves room */
	DvLanes *before; /* that one's other end */
	uint32 turn;
};

/*
 * How much is on its way, and how much may be.
 */

/* Pages asked for and not begun; of them, requests that are on their way. */
typedef struct Load
{
	int pages;
	int flying;
} Load;

static void
add_load(const DvLanes *lanes, Load *load)
{
	const ListCell *lc;

	foreach (lc, lanes->lanes)
	{
		DvCall *call = dv_chain_call(((Lane *) lfirst(lc))->chain);

		if (call == NULL)
			continue;
		load->pages++;
		load->flying += !dv_call_arrived(call);
	}
	if (lanes->learning)
	{
		DvCall *calls[DV_SWEEP_CALLS];
		int n = dv_sweep_calls(lanes->sweep, calls);

		load->pages += n;
		load->flying += n;
	}
}

static int
width(const DvLanes *lanes)
{
	const DvRequest *request = lanes->chains.request;
	int most = Min(request->table->settings.concurrency, WIDTH_MAX);
	int hint = lanes->chains.service->dop_hint;

	if (request->plan->limit >= 0)
		return 1;
	if (hint > 0)
		most = Min(most, hint);
	return Max(1, most);
}

/* Pages that may wait: one chain alone is one page ahead. */
static int
depth(const DvLanes *lanes)
{
	int most = width(lanes);

	if (most > 1)
		most *= 2;
	if (lanes->appetite.body_max > 0)
		most = Min(most, BODIES_MAX / lanes->appetite.body_max);
	return Max(1, most);
}

static Load
whole_load(const DvLanes *lanes)
{
	Load load = {0};

	add_load(lanes, &load);
	if (lanes->before != NULL)
		add_load(lanes->before, &load);
	return load;
}

/* Requests that may be sent. */
static int
room(const DvLanes *lanes)
{
	Load load = whole_load(lanes);

	return Min(width(lanes) - load.flying, depth(lanes) - load.pages);
}

/*
 * Places for which a range is worth cutting, with its next page given up: those
 * that pages already there will not soon leave idle anyway.
 */
static int
vacant(const DvLanes *lanes)
{
	return width(lanes) - whole_load(lanes).pages;
}

/*
 * Asking.
 */

static void
begin_piece(DvLanes *lanes)
{
	MemoryContext before = MemoryContextSwitchTo(lanes->context);
	Lane *lane = palloc0(sizeof(Lane));

	lane->context =
		AllocSetContextCreate(lanes->context, "dataverse_fdw lane", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(lane->context);
	lane->piece = linitial(lanes->queue);
	lane->chain = dv_chain_open(&lanes->chains, lane->piece);
	if (lanes->first != NULL)
		dv_chain_leave_out(lane->chain, lanes->first->chain);
	MemoryContextSwitchTo(lanes->context);
	lanes->queue = list_delete_first(lanes->queue);
	lanes->lanes = lappend(lanes->lanes, lane);
	MemoryContextSwitchTo(before);
	dv_chain_ask(lane->chain);
	if (lanes->sweep == NULL || lanes->first != NULL)
		return;
	/* A sweep's first page is followed by what the sweep decides. */
	dv_chain_hold(lane->chain, true);
	lanes->learning = dv_sweep_begin_early(lanes->sweep, room(lanes));
}

static bool
is_asking(const DvLanes *lanes)
{
	Load load = {0};

	add_load(lanes, &load);
	return load.pages > 0;
}

/* The next pages of chains that are begun, in the order in which their last ones were asked for. */
static void
ask_on(DvLanes *lanes)
{
	ListCell *lc;

	foreach (lc, lanes->lanes)
	{
		if (room(lanes) <= 0 && is_asking(lanes))
			return;
		dv_chain_ask(((Lane *) lfirst(lc))->chain);
	}
}

/* idle: nothing is being read, so that something must be on its way. */
static void
fill(DvLanes *lanes, bool idle)
{
	bool worthwhile = dv_chain_worthwhile(lanes->chains.request, &lanes->appetite);

	if (idle || worthwhile)
		ask_on(lanes);
	while (lanes->queue != NIL && room(lanes) > 0 && (worthwhile || (idle && !is_asking(lanes))))
		begin_piece(lanes);
	if (lanes->next != NULL && lanes->queue == NIL)
		fill(lanes->next, false);
}

/*
 * Ranges.
 */

/* No ranges: the pages follow one another. */
static void
go_on(DvLanes *lanes, Lane *lane)
{
	lanes->sweep = NULL;
	lanes->learning = false;
	dv_chain_hold(lane->chain, false);
	dv_chain_ask(lane->chain);
}

/* The lane's page has been begun: something to be learnt, or to be shared? */
static void
consider_page(DvLanes *lanes, Lane *lane)
{
	List *pieces;
	int idle;

	if (lanes->sweep == NULL)
		return;
	if (lanes->first == NULL && !dv_chain_more(lane->chain))
		go_on(lanes, lane);
	if (lanes->sweep == NULL || !dv_chain_more(lane->chain))
		return;
	if (lanes->first == NULL)
	{
		lanes->learning = dv_sweep_begin(lanes->sweep, lane->chain);
		if (!lanes->learning)
			go_on(lanes, lane);
		return;
	}
	/* Its own next page takes a place. */
	idle = lanes->queue == NIL ? vacant(lanes) - 1 : 0;
	if (idle < 1)
		return;
	pieces = dv_sweep_split(lanes->sweep, lane->chain, idle);
	if (pieces != NIL)
		lanes->queue = pieces;
}

/* Has the sweep decided?  Only the first chain is there until it has. */
static void
learn(DvLanes *lanes)
{
	Lane *lane = linitial(lanes->lanes);

	if (lanes->appetite.sheets == 0)
		return;
	/* What has come makes room. */
	dv_sweep_look(lanes->sweep);
	if (!dv_sweep_ask(lanes->sweep, room(lanes)))
		return;
	lanes->learning = false;
	if (width(lanes) > 1)
		lanes->queue = dv_sweep_pieces(lanes->sweep, width(lanes));
	if (lanes->queue == NIL)
	{
		go_on(lanes, lane);
		return;
	}
	lanes->first = lane;
	dv_chain_leave(lane->chain);
	if (lane != lanes->reading)
		lanes->lanes = list_delete_ptr(lanes->lanes, lane);
	fill(lanes, false);
}

void
dv_lanes_start(DvLanes *lanes)
{
	fill(lanes, lanes->reading == NULL && lanes->lanes == NIL);
}

/*
 * Reading.
 */

/* A lane whose next page is there; NULL when none is. */
static Lane *
arrived(DvLanes *lanes)
{
	Lane *found = NULL;
	ListCell *lc;

	foreach (lc, lanes->lanes)
	{
		Lane *lane = lfirst(lc);
		DvCall *call = dv_chain_call(lane->chain);

		if (call != NULL && dv_call_poll(call) && found == NULL &&
			(!lanes->ordered || foreach_current_index(lc) == 0))
			found = lane;
	}
	return found;
}

static void
end_lane(DvLanes *lanes, Lane *lane)
{
	lanes->lanes = list_delete_ptr(lanes->lanes, lane);
	MemoryContextDelete(lane->context);
	if (lane->piece->ranged)
		dv_sweep_free_piece(lane->piece);
	pfree(lane);
}

/* The page that was being read is over. */
static void
finish_page(DvLanes *lanes)
{
	Lane *lane = lanes->reading;

	lanes->reading = NULL;
	if (dv_chain_more(lane->chain))
		return;
	if (lane == lanes->first)
		lanes->lanes = list_delete_ptr(lanes->lanes, lane);
	else if (lanes->appetite.sheets == 1 && lanes->queue == NIL && list_length(lanes->lanes) == 1)
	{
		lanes->lanes = list_delete_ptr(lanes->lanes, lane);
		lanes->only = lane;
	}
	else
		end_lane(lanes, lane);
}

/* Begins to read a page that is there. */
static DvLanesState
begin_page(DvLanes *lanes)
{
	Lane *lane;

	if (lanes->learning)
		learn(lanes);
	fill(lanes, true);
	if (lanes->lanes == NIL)
		return DV_LANES_END;
	lane = arrived(lanes);
	if (lane == NULL)
		return DV_LANES_WAIT;
	dv_chain_turn(lane->chain);
	lanes->reading = lane;
	if (!lanes->ordered)
	{
		MemoryContext before = MemoryContextSwitchTo(lanes->context);

		lanes->lanes = lappend(list_delete_ptr(lanes->lanes, lane), lane);
		MemoryContextSwitchTo(before);
	}
	consider_page(lanes, lane);
	fill(lanes, false);
	return DV_LANES_ROW;
}

/* The transfers go on while rows are decoded; each call in its turn, for one drives all. */
static void
give_turn(DvLanes *lanes)
{
	DvCall *call;

	if (lanes->learning && ++lanes->taken >= lanes->chains.request->page_size / WANTED_PART)
	{
		lanes->taken = 0;
		learn(lanes);
	}
	if (++lanes->turn % ROWS_PER_POLL != 0)
		return;
	CHECK_FOR_INTERRUPTS();
	call = dv_chain_call(
		((Lane *) list_nth(lanes->lanes, lanes->turn / ROWS_PER_POLL % list_length(lanes->lanes)))
			->chain);
	if (call != NULL && dv_call_poll(call))
		fill(lanes, false);
}

DvLanesState
dv_lanes_try(DvLanes *lanes, DvField *fields)
{
	for (;;)
	{
		if (lanes->reading == NULL)
		{
			DvLanesState state = lanes->only != NULL ? DV_LANES_END : begin_page(lanes);

			if (state != DV_LANES_ROW)
				return state;
		}
		give_turn(lanes);
		if (dv_chain_row(lanes->reading->chain, fields))
			return DV_LANES_ROW;
		finish_page(lanes);
	}
}

int
dv_lanes_calls(const DvLanes *lanes, DvCall **calls)
{
	const ListCell *lc;
	int n = 0;

	if (lanes->learning && lanes->appetite.sheets > 0)
		n = dv_sweep_calls(lanes->sweep, calls);
	foreach (lc, lanes->lanes)
	{
		DvCall *call = dv_chain_call(((Lane *) lfirst(lc))->chain);

		if (call != NULL && n < DV_LANES_CALLS)
			calls[n++] = call;
		/* The others are read when this one is over. */
		if (lanes->ordered)
			break;
	}
	return n;
}

bool
dv_lanes_row(DvLanes *lanes, DvField *fields)
{
	DvCall *calls[DV_LANES_CALLS];
	DvLanesState state;

	while ((state = dv_lanes_try(lanes, fields)) == DV_LANES_WAIT)
	{
		int n = dv_lanes_calls(lanes, calls);

		if (n == 0)
			elog(ERROR, "a scan waits for nothing");
		(void) dv_call_wait_any(calls, n);
	}
	return state == DV_LANES_ROW;
}

bool
dv_lanes_rewind(DvLanes *lanes)
{
	MemoryContext before;

	if (lanes->first != NULL)
		return false;
	if (lanes->reading != NULL)
		return lanes->appetite.sheets == 1 && lanes->queue == NIL &&
			   list_length(lanes->lanes) == 1 && dv_chain_rewind(lanes->reading->chain);
	if (lanes->only == NULL || !dv_chain_rewind(lanes->only->chain))
		return false;
	before = MemoryContextSwitchTo(lanes->context);
	lanes->lanes = list_make1(lanes->only);
	MemoryContextSwitchTo(before);
	lanes->reading = lanes->only;
	lanes->only = NULL;
	return true;
}

void
dv_lanes_follow(DvLanes *lanes, DvLanes *next)
{
	if (lanes->next != NULL)
		lanes->next->before = NULL;
	lanes->next = next;
	if (next == NULL)
		return;
	next->before = lanes;
	fill(lanes, false);
}

DvLanes *
dv_lanes_open(const DvLanesSpec *spec, List *pieces)
{
	DvLanes *lanes = palloc0(sizeof(DvLanes));

	lanes->context = CurrentMemoryContext;
	lanes->chains.service = spec->service;
	lanes->chains.request = spec->request;
	lanes->chains.counters = spec->counters;
	lanes->chains.appetite = &lanes->appetite;
	lanes->appetite.page_size = spec->request->first_page;
	lanes->ordered = spec->ordered;
	lanes->sweep = spec->sweep;
	lanes->queue = list_copy(pieces);
	return lanes;
}
