/*
 * flight.c
 *	  Sets on their way to the service: sent, repeated, narrowed down to their
 *	  bad rows.
 *
 * Up to "concurrency" sets are in flight at a time, each with one request.  A
 * set keeps its place until none of its rows is open: rows that are to be sent
 * again, in smaller requests, or in search of a bad one (hunt), go out from
 * there, while the other places go on with theirs.
 *
 * A set whose trouble ends the statement (a refused row with on_error 'stop',
 * one too many with a reject_limit, a failure that is no row's) makes the
 * others land first, without sending anything for them.  Then the troubled sets
 * are settled in order, one request at a time, so that the row named is the
 * first one, and how many rows are in is known.
 *
 * Sets that were too slow or too large make all later requests smaller (pace).
 */
#include "postgres.h"

#include "compat.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "exec/flight.h"
#include "exec/tally.h"
#include "odata/batch.h"
#include "odata/pace.h"

/* The service's bound for requests of one user at a time (sheet 7.1). */
#define FLIGHTS_MAX 52

/* A request's body: far below the service's limits, and what we hold of it in memory. */
#define BODY_MAX (8 * 1024 * 1024)

/* Attempts without any row of a set getting on. */
#define AGAIN_MAX 6
#define AGAIN_FIRST_MS 200

/* So few suspects are asked each for itself: that long may a request of single rows take. */
#define ONE_BY_ONE 64

struct DvFlights
{
	const DvWriter *writer;
	DvLedger *ledger;
	DvUnchanged *unchanged; /* or NULL */
	DvFlightDone done;
	void *arg;
	MemoryContext context;
	DvPace pace;
	DvHuntDensity density;
	int n;
	DvFlight *places[FLIGHTS_MAX];
	List *troubled; /* DvFlight *: those that end the statement, and those stopped with them */
	bool stopping;
};

/*
 * How much.
 */

static int
most_rows(const DvWriter *writer)
{
	int rows = Max(1, writer->table->settings.batch_size);

	/* Deletes and careful inserts go by $batch, which has a limit of its own. */
	if (writer->plan->mode == DV_WRITE_DELETE || writer->plan->do_nothing)
		rows = Min(rows, DV_BATCH_MAX);
	return rows;
}

DvFlights *
dv_flights_create(const DvWriter *writer, DvLedger *ledger, DvUnchanged *unchanged,
				  DvFlightDone done, void *arg)
{
	DvFlights *flights = palloc0(sizeof(DvFlights));

	flights->writer = writer;
	flights->ledger = ledger;
	flights->unchanged = unchanged;
	flights->done = done;
	flights->arg = arg;
	flights->context = CurrentMemoryContext;
	dv_pace_begin(&flights->pace, most_rows(writer), BODY_MAX);
	return flights;
}

int
dv_flights_rows(const DvFlights *flights)
{
	return dv_pace_rows(&flights->pace);
}

size_t
dv_flights_bytes(const DvFlights *flights)
{
	return dv_pace_bytes(&flights->pace);
}

int
dv_flights_count(const DvFlights *flights)
{
	return flights->n;
}

static size_t
bytes_of(const DvFlight *flight, int n)
{
	size_t bytes = 0;

	for (int i = 0; i < n && flight->set->body != NULL; i++)
		bytes += dv_body_bytes(flight->set->body, flight->rows[i], 1);
	return bytes;
}

/* As many of the first rows as a request may have. */
static int
fitting(const DvFlights *flights, const DvFlight *flight, int n)
{
	size_t most = dv_pace_bytes(&flights->pace);
	size_t bytes = 0;

	n = Min(n, dv_pace_rows(&flights->pace));
	for (int i = 0; i < n && flight->set->body != NULL; i++)
	{
		bytes += dv_body_bytes(flight->set->body, flight->rows[i], 1);
		if (bytes > most)
			return Max(i, 1);
	}
	return n;
}

static int
width(const DvFlights *flights)
{
	int most = flights->writer->table->settings.concurrency;
	int hint = flights->writer->service->dop_hint;

	if (hint > 0)
		most = Min(most, hint);
	return Max(1, Min(most, FLIGHTS_MAX));
}

/*
 * Requests.
 */

static void
send(DvFlights *flights, DvFlight *flight)
{
	DvHuntStep step = dv_hunt_next(&flight->hunt);
	MemoryContext old = MemoryContextSwitchTo(flight->set->context);
	DvWriteAsk ask = {.rows = flight->rows, .by_row = step.by_row, .delay_ms = flight->wait_ms};

	CHECK_FOR_INTERRUPTS();
	if (flight->wait_ms == 0 && flight->attempt > 0)
		ask.delay_ms = AGAIN_FIRST_MS << Min(flight->attempt, AGAIN_MAX);
	ask.n = flight->sent = fitting(flights, flight, step.rows);
	flight->by_row = step.by_row;
	flight->write = dv_write_start(flights->writer, flight->set, &ask);
	dv_tally_sent(flights->writer->service->server, ask.n);
	MemoryContextSwitchTo(old);
}

static void
finish(DvFlights *flights, DvFlight *flight)
{
	DvRowSet *set = flight->set;
	int skipped = dv_rowset_count(set, DV_FATE_SKIPPED);
	const DvServerOptions *server = flights->writer->service->server;
	int written;

	flight->outcome = dv_write_finish(flight->write, &flight->error, &flight->wait_ms, &written);
	flight->write = NULL;
	flight->digested = false;
	dv_ledger_count(flights->ledger, written, dv_rowset_count(set, DV_FATE_SKIPPED) - skipped);
	/* Nobody will settle the rows of a request that failed for good and may have gone through. */
	if (flight->outcome == DV_OUTCOME_FATAL && set->doubtful)
		dv_ledger_doubt(flights->ledger, flight->sent);
	else
		dv_tally_settled(server, flight->sent, written);
}

/*
 * What follows from an answer.
 */

static int
count_fate(const DvFlight *flight, DvFate fate)
{
	int n = 0;

	for (int i = 0; i < flight->sent; i++)
		n += flight->set->fates[flight->rows[i]] == fate;
	return n;
}

/* Does this end the statement? */
static bool
is_trouble(const DvFlights *flights, const DvFlight *flight)
{
	int refused = 0;

	if (flight->outcome == DV_OUTCOME_FATAL)
		return true;
	if (flight->outcome == DV_OUTCOME_SMALLER && flight->sent == 1)
		return true;
	if (flight->outcome == DV_OUTCOME_BLAME && dv_ledger_stops(flights->ledger))
		return true;
	for (int i = 0; i < flight->sent; i++)
	{
		if (flight->set->fates[flight->rows[i]] != DV_FATE_REFUSED)
			continue;
		if (!dv_ledger_tolerates(flights->ledger, ++refused, flight->set->errors[flight->rows[i]]))
			return true;
	}
	return false;
}

static void
learn_size(DvFlights *flights, const DvFlight *flight)
{
	size_t bytes = bytes_of(flight, flight->sent);

	if (flight->outcome == DV_OUTCOME_SMALLER && flight->error.status == 413)
		dv_pace_large(&flights->pace, flight->sent, bytes);
	else if (flight->outcome == DV_OUTCOME_SMALLER)
		dv_pace_slow(&flights->pace, flight->sent);
	else if (flight->outcome == DV_OUTCOME_DONE)
		dv_pace_good(&flights->pace, flight->sent, bytes);
}

/* Refused rows leave the statement here. */
static void
set_aside(DvFlights *flights, DvFlight *flight)
{
	for (int i = 0; i < flight->sent; i++)
	{
		if (flight->set->fates[flight->rows[i]] == DV_FATE_REFUSED)
			dv_ledger_refuse(flights->ledger, flight->set, flight->rows[i]);
	}
}

/* Of the rows sent some are settled: what does that say about the others? */
static void
advance_hunt(DvFlights *flights, DvFlight *flight)
{
	int bad = count_fate(flight, DV_FATE_REFUSED) + count_fate(flight, DV_FATE_SKIPPED);
	int left = dv_rowset_keep_open(flight->set, flight->rows, flight->hunt.open);
	int open = left - (flight->hunt.open - flight->sent);

	flight->attempt = open < flight->sent || flight->set->turned ? 0 : flight->attempt + 1;
	flight->set->turned = false;
	dv_hunt_settled(&flight->hunt, flight->sent, open, bad);
	/* A piece that was searched has one; others say what is to be expected elsewhere. */
	if (flight->by_row && bad > 1)
		dv_hunt_learn(&flights->density, flight->sent - open, bad);
	/* An elastic table has said which ones were good: the rest are not. */
	if (flight->set->told_apart && open > 0)
		dv_hunt_refused(&flight->hunt, open, false, true);
	flight->set->told_apart = false;
}

/* Takes in the answer, throwing what ends the statement; false when the flight is over. */
static bool
digest(DvFlights *flights, DvFlight *flight)
{
	flight->digested = true;
	learn_size(flights, flight);
	if (flight->outcome == DV_OUTCOME_FATAL ||
		(flight->outcome == DV_OUTCOME_SMALLER && flight->sent == 1))
		dv_ledger_fail(flights->ledger, &flight->error);
	set_aside(flights, flight);
	if (flight->outcome == DV_OUTCOME_SMALLER)
		return true;
	if (flight->outcome == DV_OUTCOME_BLAME)
	{
		if (flight->sent == 1)
			dv_ledger_fail(flights->ledger, &flight->error);
		dv_hunt_refused(&flight->hunt, flight->sent, flight->by_row,
						dv_hunt_expects_crowd(&flights->density, flight->hunt.open));
		return true;
	}
	advance_hunt(flights, flight);
	if (flight->attempt > AGAIN_MAX)
		dv_ledger_fail(flights->ledger, &flight->error);
	return flight->hunt.open > 0;
}

static void
retire(DvFlights *flights, DvFlight *flight)
{
	DvRowSet *set = flight->set;

	dv_hunt_learn(&flights->density, set->nrows, dv_rowset_count(set, DV_FATE_REFUSED));
	dv_ledger_settle(flights->ledger, set);
	flights->done(flights->arg, flight);
}

/*
 * Landing.
 */

static int
wait_for_any(DvFlights *flights)
{
	DvCall *calls[FLIGHTS_MAX];

	for (int i = 0; i < flights->n; i++)
		calls[i] = dv_write_call(flights->places[i]->write);
	return dv_call_wait_any(calls, flights->n);
}

static void
leave(DvFlights *flights, int place)
{
	flights->places[place] = flights->places[--flights->n];
}

static void
note_trouble(DvFlights *flights, int place)
{
	MemoryContext old = MemoryContextSwitchTo(flights->context);

	flights->troubled = lappend(flights->troubled, flights->places[place]);
	flights->stopping = true;
	leave(flights, place);
	MemoryContextSwitchTo(old);
}

/* The call at a place is done. */
static void
take_answer(DvFlights *flights, int place)
{
	DvFlight *flight = flights->places[place];

	finish(flights, flight);
	if (is_trouble(flights, flight) || (flights->stopping && flight->outcome != DV_OUTCOME_DONE))
		note_trouble(flights, place);
	else if (digest(flights, flight) && !flights->stopping)
		send(flights, flight);
	else if (flight->hunt.open > 0)
		note_trouble(flights, place);
	else
	{
		leave(flights, place);
		retire(flights, flight);
	}
}

static int
by_serial(const ListCell *a, const ListCell *b)
{
	uint64 x = ((const DvFlight *) lfirst(a))->serial;
	uint64 y = ((const DvFlight *) lfirst(b))->serial;

	return x < y ? -1 : x > y;
}

static void
settle_alone(DvFlights *flights, DvFlight *flight)
{
	while (flight->digested ? flight->hunt.open > 0 : digest(flights, flight))
	{
		send(flights, flight);
		dv_call_wait(dv_write_call(flight->write));
		finish(flights, flight);
	}
	retire(flights, flight);
}

/* The statement is to end, or so it seems: let the others land, then settle what is left, in order. */
static void
recover(DvFlights *flights)
{
	ListCell *lc;

	while (flights->n > 0)
		take_answer(flights, wait_for_any(flights));
	list_sort(flights->troubled, by_serial);
	foreach (lc, flights->troubled)
	{
		DvFlight *flight = lfirst(lc);

		/* Rows before it need not be searched for bad ones any more. */
		if (flight->outcome == DV_OUTCOME_FATAL && !dv_ledger_stops(flights->ledger))
			dv_ledger_fail(flights->ledger, &flight->error);
	}
	foreach (lc, flights->troubled)
		settle_alone(flights, lfirst(lc));
	list_free(flights->troubled);
	flights->troubled = NIL;
	flights->stopping = false;
}

static void
land_one(DvFlights *flights, int place)
{
	take_answer(flights, place);
	if (flights->stopping)
		recover(flights);
}

static bool
must_wait(const DvFlights *flights, const DvFlight *flight)
{
	if (flights->n >= width(flights))
		return true;
	for (int i = 0; i < flights->n; i++)
	{
		if (flights->places[i]->serial <= flight->barrier)
			return true;
	}
	return false;
}

void
dv_flights_launch(DvFlights *flights, DvFlight *flight)
{
	DvRowSet *set = flight->set;
	int n = set->nrows;

	while (must_wait(flights, flight))
		land_one(flights, wait_for_any(flights));
	dv_ledger_foresee(flights->ledger, set);
	flight->rows = MemoryContextAlloc(set->context, sizeof(int) * set->nrows);
	for (int i = 0; i < set->nrows; i++)
		flight->rows[i] = i;
	/* What the service has already stays here; those rows are settled. */
	if (flights->unchanged != NULL && !flight->alone)
		n = dv_unchanged_sift(flights->unchanged, set, flight->rows, n);
	dv_ledger_count(flights->ledger, 0, set->nrows - n);
	if (n == 0)
	{
		retire(flights, flight);
		return;
	}
	dv_hunt_begin(&flight->hunt, n, dv_ledger_stops(flights->ledger) ? 1 : ONE_BY_ONE,
				  dv_hunt_expects_crowd(&flights->density, set->nrows));
	send(flights, flight);
	flights->places[flights->n++] = flight;
}

void
dv_flights_drive(DvFlights *flights)
{
	for (int i = 0; i < flights->n; i++)
	{
		if (dv_call_poll(dv_write_call(flights->places[i]->write)))
		{
			land_one(flights, i);
			return;
		}
	}
}

void
dv_flights_land(DvFlights *flights)
{
	while (flights->n > 0)
		land_one(flights, wait_for_any(flights));
}
