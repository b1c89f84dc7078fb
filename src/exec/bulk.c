/*
 * bulk.c
 *	  Gathers rows, chooses when to send how many, keeps order where it matters,
 *	  and finds the row that failed.
 *
 * Rows are encoded as they come and gather in sets, one set a request.  A full
 * set is sent while PostgreSQL goes on producing rows, up to "concurrency" of
 * them at a time; when all places are taken, the producer waits.
 *
 * Order.  Rows of different keys may arrive in any order.  Rows that the
 * service may take for the same one (encode's fold) never share a request, in
 * which they would fail or vanish silently (sheet 5.1), and a later one is not
 * sent before the request with the earlier one is done.  So several sets are
 * open at a time: a row goes to the first set after the one that holds its
 * like.
 *
 * Failure.  A bulk message fails whole and does not name the row.  Then nothing
 * new is sent, what is in flight is waited for and counted, and the failed sets
 * are settled in order: halved until one row is left to blame, good halves
 * being written on the way.  With half of a failed set written, the other half
 * holds the culprit and is halved without being sent.  Sets that were too slow
 * are halved in the same way, and later sets are as small.
 *
 * Keys that no address can hold wait as tuples until there are some of them,
 * are looked up together, and go by id.
 *
 * Rows are final as they are written.  What is confirmed is counted in tally,
 * which tells it when the transaction rolls back.  An error that jumps out of
 * here leaves nothing behind: calls in flight belong to the sets' contexts and
 * are cancelled with them.
 */
#include "postgres.h"

#include "compat.h"

#include "common/hashfn.h"
#include "lib/ilist.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "exec/bulk.h"
#include "exec/probe.h"
#include "exec/tally.h"
#include "exec/write.h"
#include "odata/batch.h"
#include "remote/report.h"
#include "remote/transport.h"

/* The service's bound for requests of one user at a time (sheet 7.1). */
#define FLIGHTS_MAX 52

/* Sets open at a time for rows of one key; a key that comes more often waits for its turn. */
#define OPEN_MAX 8

/* A request's body: far below the service's limits, and what we hold of it in memory. */
#define BODY_MAX (8 * 1024 * 1024)

/* Transfers go on at least every so many rows. */
#define DRIVE_EVERY 16

/* Rows waiting for their ids. */
#define WAITING_MAX 200

/* Attempts without any row of a set getting on. */
#define AGAIN_MAX 6
#define AGAIN_FIRST_MS 200

/* What is shown of a row without a key. */
#define SHOWN_MAX 120

/* A set and its place in the order. */
typedef struct Batch
{
	uint64 serial;
	uint64 barrier; /* all of this serial and before must be done first */
	DvRowSet *set;
	int *rows;         /* all its rows, for the first request */
	DvWrite *write;    /* in flight, or NULL */
	DvOutcome outcome; /* of the first request, when it failed */
	DvError error;
	long wait_ms;
} Batch;

/* Where the latest row of a fold is. */
typedef struct Latest
{
	const char *fold; /* belongs to that row's set */
	uint32 hash;
	uint64 serial; /* of its batch, or WAITING */
	char status;
} Latest;

#define WAITING PG_UINT64_MAX

#define SH_PREFIX latest
#define SH_ELEMENT_TYPE Latest
#define SH_KEY_TYPE const char *
#define SH_KEY fold
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) (key), (int) strlen(key))
#define SH_EQUAL(tb, a, b) (strcmp((a), (b)) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) ((a)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct WaitingRow
{
	MinimalTuple tuple;
	DvRow row;
} WaitingRow;

struct DvBulk
{
	dlist_node node;           /* among all of the backend */
	MemoryContext context;     /* owns everything */
	MemoryContext row_context; /* one row's making */
	DvWriter writer;
	DvCounters counters;
	const void *owner;
	bool hold;
	int capacity; /* rows of a batch; shrinks */
	int64 written;
	int64 skipped;
	int64 doubtful; /* written or not: nobody knows */
	int undriven;   /* rows since transfers were last driven */
	uint64 last_serial;
	int nopen;
	Batch *open[OPEN_MAX];
	List *held; /* Batch *, complete but not to be sent yet */
	int nflights;
	Batch *flights[FLIGHTS_MAX];
	latest_hash *latest;
	TupleTableSlot *spare; /* for tuples that waited */
	MemoryContext waiting_context;
	int nwaiting;
	WaitingRow *waiting;
	DvRowSet *single; /* of the last dv_bulk_one */
	bool busy;        /* in one of the functions below, or thrown out of it */
};

static dlist_head bulks = DLIST_STATIC_INIT(bulks);

static bool settle(DvBulk *bulk, DvRowSet *set, int *rows, int n, bool guilty);

/*
 * Beginning and end.
 */

static void
leave_registry(void *arg)
{
	DvBulk *bulk = arg;

	dlist_delete(&bulk->node);
}

static void
enter_registry(DvBulk *bulk)
{
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));

	callback->func = leave_registry;
	callback->arg = bulk;
	MemoryContextRegisterResetCallback(bulk->context, callback);
	dlist_push_tail(&bulks, &bulk->node);
}

static int
first_capacity(const DvBulkSpec *spec)
{
	int rows = Max(1, spec->table->settings.batch_size);

	/* Deletes and careful inserts go by $batch, which has a limit of its own. */
	if (spec->plan->mode == DV_WRITE_DELETE || spec->plan->do_nothing)
		rows = Min(rows, DV_BATCH_MAX);
	return rows;
}

DvBulk *
dv_bulk_begin(const DvBulkSpec *spec)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "dataverse_fdw writes", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	DvBulk *bulk = palloc0(sizeof(DvBulk));
	DvEncodeSpec encode = {.service = spec->service,
						   .table = spec->table,
						   .plan = spec->plan,
						   .desc = spec->desc,
						   .id_attno = spec->id_attno,
						   .partition_attno = spec->partition_attno};

	bulk->context = context;
	bulk->row_context = AllocSetContextCreate(context, "dataverse_fdw row", ALLOCSET_DEFAULT_SIZES);
	bulk->waiting_context =
		AllocSetContextCreate(context, "dataverse_fdw rows without ids", ALLOCSET_DEFAULT_SIZES);
	bulk->writer.service = spec->service;
	bulk->writer.table = spec->table;
	bulk->writer.plan = spec->plan;
	bulk->writer.encode = dv_encode_prepare(&encode);
	bulk->writer.counters = &bulk->counters;
	bulk->writer.returning = spec->returning;
	bulk->writer.labels = spec->labels;
	bulk->owner = spec->owner;
	bulk->hold = spec->hold;
	bulk->capacity = first_capacity(spec);
	bulk->latest = latest_create(context, 1024, NULL);
	/* A copy of the descriptor is not reference-counted: nothing to give back after an error. */
	bulk->spare = MakeSingleTupleTableSlot(CreateTupleDescCopy(spec->desc), &TTSOpsMinimalTuple);
	enter_registry(bulk);
	MemoryContextSwitchTo(old);
	return bulk;
}

int64
dv_bulk_written(const DvBulk *bulk)
{
	return bulk->written;
}

int64
dv_bulk_skipped(const DvBulk *bulk)
{
	return bulk->skipped;
}

const DvCounters *
dv_bulk_counters(const DvBulk *bulk)
{
	return &bulk->counters;
}

/*
 * Errors.
 */

static const char *
action(const DvBulk *bulk)
{
	const char *table = bulk->writer.table->name;

	switch (bulk->writer.plan->mode)
	{
		case DV_WRITE_UPDATE:
			return psprintf("could not update foreign table \"%s\"", table);
		case DV_WRITE_DELETE:
			return psprintf("could not delete from foreign table \"%s\"", table);
		default:
			return psprintf("could not insert into foreign table \"%s\"", table);
	}
}

/* "12 rows had been written before", and what is not known */
static char *
written_before(const DvBulk *bulk)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfo(&out,
					 bulk->written == 1 ? "%lld row had been written before"
										: "%lld rows had been written before",
					 (long long) bulk->written);
	if (bulk->doubtful > 0)
		appendStringInfo(&out,
						 bulk->doubtful == 1
							 ? "; of %lld more it is not known whether it was written"
							 : "; of %lld more it is not known whether they were written",
						 (long long) bulk->doubtful);
	return out.data;
}

static const char *
show_row(DvBulk *bulk, const DvRowSet *set, int row)
{
	char *name = dv_encode_show(bulk->writer.encode, &set->rows[row]);
	StringInfoData json;

	if (set->rows[row].nkeys > 0 || set->rows[row].id_given || set->body == NULL)
		return name;
	initStringInfo(&json);
	dv_body_row_single(set->body, row, &json);
	if (json.len > SHOWN_MAX)
	{
		json.len = pg_encoding_mbcliplen(PG_UTF8, json.data, json.len, SHOWN_MAX);
		json.data[json.len] = '\0';
		appendStringInfoString(&json, "...");
	}
	return psprintf("%s, %s", name, pg_any_to_server(json.data, json.len, PG_UTF8));
}

/*
 * A create with an id of the user's that is taken, repeated after its answer
 * was lost: is the row that has it this one?  Nobody knows, nor of the others
 * of its set.
 */
static bool
doubt_own_id(DvBulk *bulk, const DvRowSet *set, int row)
{
	int open = set->nrows - dv_rowset_count(set, DV_FATE_WRITTEN);

	if (bulk->writer.plan->mode != DV_WRITE_CREATE || !set->doubtful || !set->rows[row].id_given ||
		set->errors[row]->kind != DV_ERROR_HTTP ||
		dv_fault_class(set->errors[row]) != DV_FAULT_UNIQUE)
		return false;
	bulk->doubtful += open;
	dv_tally_sent(bulk->writer.service->server, open);
	return true;
}

static void
report_row(DvBulk *bulk, const DvRowSet *set, int row)
{
	const DvError *error = set->errors[row];
	bool doubted = doubt_own_id(bulk, set, row);
	DvReportContext context = {
		.what = action(bulk), .row = show_row(bulk, set, row), .written = written_before(bulk)};

	if (doubted)
		context.hint = "The answer to an earlier attempt was lost: the row that exists may be this "
					   "one. Look before repeating the statement.";
	/* A row that is not there itself is no error: one that it points to is missing. */
	if (error->kind == DV_ERROR_HTTP && dv_fault_class(error) == DV_FAULT_NOT_FOUND)
	{
		context.sqlstate = ERRCODE_FOREIGN_KEY_VIOLATION;
		context.hint = "A lookup of the row points to a row that does not exist: create that one "
					   "first, or set the lookup to NULL.";
	}
	dv_report(error, &context);
}

/* A failure that is no row's. */
static void
report_request(DvBulk *bulk, const DvError *error)
{
	DvReportContext context = {.what = action(bulk), .written = written_before(bulk)};

	dv_report(error, &context);
}

static void
report_refused(DvBulk *bulk, const DvRowSet *set)
{
	for (int i = 0; i < set->nrows && set->errors != NULL; i++)
	{
		if (set->errors[i] != NULL)
			report_row(bulk, set, i);
	}
}

/*
 * Requests.
 */

static DvWrite *
start_write(DvBulk *bulk, DvRowSet *set, const int *rows, int n)
{
	DvWrite *write = dv_write_start(&bulk->writer, set, rows, n);

	dv_tally_sent(bulk->writer.service->server, n);
	return write;
}

static DvOutcome
finish_write(DvBulk *bulk, DvWrite *write, DvRowSet *set, DvError *error, long *wait_ms)
{
	int n = dv_write_rows(write);
	int skipped = dv_rowset_count(set, DV_FATE_SKIPPED);
	int written;
	DvOutcome outcome = dv_write_finish(write, error, wait_ms, &written);

	bulk->written += written;
	bulk->skipped += dv_rowset_count(set, DV_FATE_SKIPPED) - skipped;
	/* Nobody will settle the rows of a request that failed for good and may have gone through. */
	if (outcome == DV_OUTCOME_FATAL && set->doubtful)
		bulk->doubtful += n;
	else
		dv_tally_settled(bulk->writer.service->server, n, written);
	return outcome;
}

static void
become_smaller(DvBulk *bulk, int n)
{
	bulk->capacity = Max(1, Min(bulk->capacity, n / 2));
}

/* As settle. */
static bool
halve(DvBulk *bulk, DvRowSet *set, int *rows, int n, bool guilty)
{
	int half = n / 2;
	bool found;

	CHECK_FOR_INTERRUPTS();
	found = settle(bulk, set, rows, half, false);
	/* The first half was written without ado: if a row is to blame, it is in the second. */
	return settle(bulk, set, rows + half, n - half, guilty && !found) || found;
}

/* What follows from an outcome. True when the rows are to be sent again. */
static bool
go_on(DvBulk *bulk, DvRowSet *set, int *rows, int n, DvOutcome outcome, const DvError *error)
{
	report_refused(bulk, set);
	switch (outcome)
	{
		case DV_OUTCOME_DONE:
			return false;
		case DV_OUTCOME_AGAIN:
			return true;
		case DV_OUTCOME_SMALLER:
			become_smaller(bulk, n);
			if (n > 1)
			{
				(void) halve(bulk, set, rows, n, false);
				return false;
			}
			break;
		case DV_OUTCOME_BLAME:
			if (n > 1)
			{
				(void) halve(bulk, set, rows, n, true);
				return false;
			}
			break;
		case DV_OUTCOME_FATAL:
			break;
	}
	report_request(bulk, error);
	return false;
}

static void
pause_before(int attempt, long wait_ms)
{
	if (wait_ms == 0 && attempt > 0)
		wait_ms = AGAIN_FIRST_MS << Min(attempt, AGAIN_MAX);
	if (wait_ms > 0)
		dv_http_wait(NULL, 0, wait_ms);
}

/*
 * Sends the open ones of these rows until none is open, one request at a time,
 * with nothing else in flight.  guilty: one of them is known to fail.  Throws
 * at the first row that is refused.  True when a row was found that a request
 * for several fails for, but that is no error by itself (it is gone, or is to
 * be left alone).
 */
static bool
settle(DvBulk *bulk, DvRowSet *set, int *rows, int n, bool guilty)
{
	int attempt = 0;
	long wait_ms = 0;
	int64 skipped = bulk->skipped;

	/* One of them fails, or as many were too slow before: no need to try. */
	if (n > 1 && (guilty || n > bulk->capacity))
		return halve(bulk, set, rows, n, guilty);
	while ((n = dv_rowset_keep_open(set, rows, n)) > 0)
	{
		DvWrite *write;
		DvError error;
		DvOutcome outcome;
		int before = n;

		pause_before(attempt, wait_ms);
		write = start_write(bulk, set, rows, n);
		dv_call_wait(dv_write_call(write));
		outcome = finish_write(bulk, write, set, &error, &wait_ms);
		if (!go_on(bulk, set, rows, n, outcome, &error))
			break;
		n = dv_rowset_keep_open(set, rows, n);
		attempt = n < before || set->turned ? 0 : attempt + 1;
		set->turned = false;
		if (attempt > AGAIN_MAX)
			report_request(bulk, &error);
	}
	return bulk->skipped > skipped;
}

/*
 * Batches.
 */

static Batch *
new_batch(DvBulk *bulk)
{
	Batch *batch = MemoryContextAllocZero(bulk->context, sizeof(Batch));

	batch->serial = ++bulk->last_serial;
	batch->set = dv_rowset_create(bulk->context, bulk->writer.plan->mode);
	return batch;
}

/* All rows are settled: they no longer stand in anybody's way. */
static void
retire(DvBulk *bulk, Batch *batch)
{
	for (int i = 0; i < batch->set->nrows; i++)
	{
		const char *fold = batch->set->rows[i].fold;
		Latest *latest = fold ? latest_lookup(bulk->latest, fold) : NULL;

		if (latest != NULL && latest->serial == batch->serial)
			latest_delete_item(bulk->latest, latest);
	}
	dv_rowset_free(batch->set);
	pfree(batch);
}

/* Takes a batch whose request is done out of flight. True when all is well with it. */
static bool
land(DvBulk *bulk, int place)
{
	Batch *batch = bulk->flights[place];

	bulk->flights[place] = bulk->flights[--bulk->nflights];
	batch->outcome = finish_write(bulk, batch->write, batch->set, &batch->error, &batch->wait_ms);
	batch->write = NULL;
	return batch->outcome == DV_OUTCOME_DONE && batch->set->errors == NULL;
}

static int
wait_for_any(DvBulk *bulk)
{
	DvCall *calls[FLIGHTS_MAX];

	for (int i = 0; i < bulk->nflights; i++)
		calls[i] = dv_write_call(bulk->flights[i]->write);
	return dv_call_wait_any(calls, bulk->nflights);
}

static int
by_serial(const ListCell *a, const ListCell *b)
{
	uint64 x = ((const Batch *) lfirst(a))->serial;
	uint64 y = ((const Batch *) lfirst(b))->serial;

	return x < y ? -1 : x > y;
}

/* Something is wrong with a batch: let the others land, then settle what failed, in order. */
static void
recover(DvBulk *bulk, Batch *first)
{
	List *failed = list_make1(first);
	ListCell *lc;

	while (bulk->nflights > 0)
	{
		int place = wait_for_any(bulk);
		Batch *batch = bulk->flights[place];

		if (land(bulk, place))
			retire(bulk, batch);
		else
			failed = lappend(failed, batch);
	}
	list_sort(failed, by_serial);
	foreach (lc, failed)
	{
		Batch *batch = lfirst(lc);
		DvRowSet *set = batch->set;
		int n = dv_rowset_keep_open(set, batch->rows, set->nrows);

		pause_before(0, batch->wait_ms);
		if (go_on(bulk, set, batch->rows, n, batch->outcome, &batch->error))
			(void) settle(bulk, set, batch->rows, n, false);
		retire(bulk, batch);
	}
	list_free(failed);
}

static void
land_and_settle(DvBulk *bulk, int place)
{
	Batch *batch = bulk->flights[place];

	if (land(bulk, place))
		retire(bulk, batch);
	else
		recover(bulk, batch);
}

static int
width(const DvBulk *bulk)
{
	int most = bulk->writer.table->settings.concurrency;
	int hint = bulk->writer.service->dop_hint;

	if (hint > 0)
		most = Min(most, hint);
	return Max(1, Min(most, FLIGHTS_MAX));
}

static bool
must_wait(const DvBulk *bulk, const Batch *batch)
{
	if (bulk->nflights >= width(bulk))
		return true;
	for (int i = 0; i < bulk->nflights; i++)
	{
		if (bulk->flights[i]->serial <= batch->barrier)
			return true;
	}
	return false;
}

static void
launch(DvBulk *bulk, Batch *batch)
{
	DvRowSet *set = batch->set;
	MemoryContext old;

	while (must_wait(bulk, batch))
		land_and_settle(bulk, wait_for_any(bulk));
	batch->rows = MemoryContextAlloc(set->context, sizeof(int) * set->nrows);
	for (int i = 0; i < set->nrows; i++)
		batch->rows[i] = i;
	old = MemoryContextSwitchTo(set->context);
	batch->write = start_write(bulk, set, batch->rows, set->nrows);
	MemoryContextSwitchTo(old);
	bulk->flights[bulk->nflights++] = batch;
}

/* The first n open batches are complete. */
static void
close_open(DvBulk *bulk, int n)
{
	Batch *closed[OPEN_MAX];
	MemoryContext old;

	memcpy(closed, bulk->open, sizeof(Batch *) * n);
	bulk->nopen -= n;
	memmove(bulk->open, bulk->open + n, sizeof(Batch *) * bulk->nopen);
	for (int i = 0; i < n; i++)
	{
		if (!bulk->hold)
		{
			launch(bulk, closed[i]);
			continue;
		}
		old = MemoryContextSwitchTo(bulk->context);
		bulk->held = lappend(bulk->held, closed[i]);
		MemoryContextSwitchTo(old);
	}
}

/* Lets transfers go on while PostgreSQL makes rows. */
static void
drive(DvBulk *bulk)
{
	if (bulk->nflights == 0 || ++bulk->undriven < DRIVE_EVERY)
		return;
	bulk->undriven = 0;
	for (int i = 0; i < bulk->nflights; i++)
	{
		if (dv_call_poll(dv_write_call(bulk->flights[i]->write)))
		{
			land_and_settle(bulk, i);
			return;
		}
	}
}

/*
 * Rows.
 */

static Batch *
open_batch(DvBulk *bulk, int place, uint64 barrier)
{
	if (place == OPEN_MAX)
	{
		close_open(bulk, 1);
		place--;
	}
	if (place == bulk->nopen)
		bulk->open[bulk->nopen++] = new_batch(bulk);
	bulk->open[place]->barrier = Max(bulk->open[place]->barrier, barrier);
	return bulk->open[place];
}

/* The first open batch that may hold a row like this. */
static Batch *
choose_batch(DvBulk *bulk, const char *fold)
{
	Latest *latest = fold ? latest_lookup(bulk->latest, fold) : NULL;

	if (latest == NULL)
		return open_batch(bulk, 0, 0);
	for (int i = 0; i < bulk->nopen; i++)
	{
		if (bulk->open[i]->serial == latest->serial)
			return open_batch(bulk, i + 1, latest->serial);
	}
	return open_batch(bulk, 0, latest->serial);
}

static bool
is_full(const DvBulk *bulk, const DvRowSet *set)
{
	return set->nrows >= bulk->capacity ||
		   (set->body != NULL && dv_body_bytes(set->body, 0, set->nrows) >= BODY_MAX);
}

static void
note_latest(DvBulk *bulk, const char *fold, uint64 serial)
{
	bool found;
	Latest *latest = latest_insert(bulk->latest, fold, &found);

	latest->fold = fold; /* an older set, with its copy, may go first */
	latest->serial = serial;
}

static void
place_row(DvBulk *bulk, TupleTableSlot *slot, const DvRow *row)
{
	Batch *batch = choose_batch(bulk, row->fold);
	DvRowSet *set = batch->set;

	dv_rowset_add(set, bulk->writer.encode, slot, row);
	if (row->fold != NULL)
		note_latest(bulk, set->rows[set->nrows - 1].fold, batch->serial);
	if (!is_full(bulk, set))
		return;
	for (int i = 0; i < bulk->nopen; i++)
	{
		if (bulk->open[i] == batch)
		{
			/* What is open before it must go before it. */
			close_open(bulk, i + 1);
			return;
		}
	}
}

/* Everything that is complete or open is sent and waited for. */
static void
drain(DvBulk *bulk)
{
	List *held = bulk->held;
	bool hold = bulk->hold;
	ListCell *lc;

	bulk->hold = false;
	bulk->held = NIL;
	foreach (lc, held)
		launch(bulk, lfirst(lc));
	list_free(held);
	close_open(bulk, bulk->nopen);
	while (bulk->nflights > 0)
		land_and_settle(bulk, wait_for_any(bulk));
	bulk->hold = hold;
}

/*
 * Keys that no address can hold.
 */

static char **
look_up(DvBulk *bulk, const WaitingRow *waiting, int n)
{
	DvProbe probe = {.service = bulk->writer.service,
					 .table = bulk->writer.table,
					 .primary_id = dv_encode_primary_id(bulk->writer.encode),
					 .counters = &bulk->counters};
	const DvKeyPart **keys = palloc(sizeof(DvKeyPart *) * n);
	int nkeys;
	const DvColumn *const *columns = dv_encode_keys(bulk->writer.encode, &nkeys);

	for (int i = 0; i < n; i++)
		keys[i] = waiting[i].row.keys;
	return dv_probe_keys(&probe, columns, nkeys, keys, n);
}

/* Rows that waited take their places, by the ids found or by new ones. */
static void
release_waiting(DvBulk *bulk)
{
	int n = bulk->nwaiting;
	MemoryContext old;
	char **ids;

	if (n == 0)
		return;
	old = MemoryContextSwitchTo(bulk->waiting_context);
	ids = look_up(bulk, bulk->waiting, n);
	bulk->nwaiting = 0;
	for (int i = 0; i < n; i++)
	{
		WaitingRow *waiting = &bulk->waiting[i];

		latest_delete(bulk->latest, waiting->row.fold);
		if (ids[i] != NULL && bulk->writer.plan->do_nothing)
		{
			bulk->skipped++;
			continue;
		}
		dv_encode_settle(bulk->writer.encode, &waiting->row, ids[i]);
		ExecStoreMinimalTuple(waiting->tuple, bulk->spare, false);
		place_row(bulk, bulk->spare, &waiting->row);
		ExecClearTuple(bulk->spare);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(bulk->waiting_context);
	bulk->waiting = NULL;
}

static void
let_wait(DvBulk *bulk, TupleTableSlot *slot, const DvRow *row)
{
	MemoryContext old;
	WaitingRow *waiting;

	/* A row of that key on its way may be the one that creates it. */
	if (latest_lookup(bulk->latest, row->fold) != NULL)
		drain(bulk);
	old = MemoryContextSwitchTo(bulk->waiting_context);
	if (bulk->waiting == NULL)
		bulk->waiting = palloc(sizeof(WaitingRow) * WAITING_MAX);
	waiting = &bulk->waiting[bulk->nwaiting++];
	waiting->tuple = ExecCopySlotMinimalTuple(slot);
	dv_encode_copy_row(&waiting->row, row);
	MemoryContextSwitchTo(old);
	note_latest(bulk, waiting->row.fold, WAITING);
	if (bulk->nwaiting >= Min(WAITING_MAX, bulk->capacity))
		release_waiting(bulk);
}

static void
refuse_null_key(DvBulk *bulk, const DvColumn *column)
{
	/* What is in flight is written or not before the number is told. */
	while (bulk->nflights > 0)
		land_and_settle(bulk, wait_for_any(bulk));
	ereport(
		ERROR,
		(errcode(ERRCODE_NOT_NULL_VIOLATION),
		 errmsg("null value in key column \"%s\" of foreign table \"%s\"", column->name,
				bulk->writer.table->name),
		 errdetail("No row can be addressed by it (an empty text counts as null there). %s.",
				   written_before(bulk)),
		 errhint("Give every row a value for the columns of the table's option \"key\", or drop "
				 "the option to create rows.")));
}

/* Who the row is; rows like it that still wait for their ids go first. */
static void
identify(DvBulk *bulk, TupleTableSlot *slot, TupleTableSlot *planslot, DvRow *row)
{
	const DvColumn *missing = dv_encode_identify(bulk->writer.encode, slot, planslot, row);
	Latest *latest;

	if (missing != NULL)
		refuse_null_key(bulk, missing);
	latest = row->fold != NULL ? latest_lookup(bulk->latest, row->fold) : NULL;
	if (latest != NULL && latest->serial == WAITING)
		release_waiting(bulk);
}

/*
 * A function that a statement calls may read from the server, which sends the
 * statement's rows, and may catch what that throws.  The statement must not
 * end well then: rows may be refused, and those beside them lost.
 */
static void
enter(DvBulk *bulk)
{
	if (bulk->busy)
		ereport(
			ERROR,
			(errcode(ERRCODE_FDW_ERROR),
			 errmsg("%s: an error while its rows were sent was caught elsewhere", action(bulk)),
			 errdetail("%s.", written_before(bulk)),
			 errhint("A function called by the statement reads from the same server, which sends "
					 "the statement's rows first, and must not handle the errors of that.")));
	bulk->busy = true;
}

void
dv_bulk_add(DvBulk *bulk, TupleTableSlot *slot, TupleTableSlot *planslot)
{
	MemoryContext old;
	DvRow row;

	enter(bulk);
	MemoryContextReset(bulk->row_context);
	old = MemoryContextSwitchTo(bulk->row_context);
	identify(bulk, slot, planslot, &row);
	if (row.refused)
		let_wait(bulk, slot, &row);
	else
		place_row(bulk, slot, &row);
	drive(bulk);
	bulk->busy = false;
	MemoryContextSwitchTo(old);
}

/*
 * One row at a time.
 */

/* A single refused key is looked up on the spot. True when the row is to be left alone. */
static bool
find_single(DvBulk *bulk, TupleTableSlot *slot, DvRow *row)
{
	WaitingRow alone = {.row = *row};
	char **ids;

	ids = look_up(bulk, &alone, 1);
	if (ids[0] != NULL && bulk->writer.plan->do_nothing)
	{
		bulk->skipped++;
		return true;
	}
	dv_encode_settle(bulk->writer.encode, row, ids[0]);
	return false;
}

static void
write_single(DvBulk *bulk, TupleTableSlot *slot, const DvRow *row, DvBulkRow *result)
{
	DvRowSet *set = dv_rowset_create(bulk->context, bulk->writer.plan->mode);
	int rows[1] = {0};

	bulk->single = set;
	dv_rowset_add(set, bulk->writer.encode, slot, row);
	(void) settle(bulk, set, rows, 1, false);
	result->written = set->fates[0] == DV_FATE_WRITTEN;
	result->id = set->rows[0].id;
	if (!result->written || bulk->writer.returning == NULL)
		return;
	/* The answer to a request that had to be repeated may not have the row. */
	if (set->answer == NULL)
		set->answer = dv_write_read(&bulk->writer, set, 0, &set->answer_len);
	result->answer = set->answer;
	result->answer_len = set->answer_len;
}

void
dv_bulk_one(DvBulk *bulk, TupleTableSlot *slot, TupleTableSlot *planslot, DvBulkRow *result)
{
	MemoryContext old;
	DvRow row;

	enter(bulk);
	memset(result, 0, sizeof(DvBulkRow));
	if (bulk->single != NULL)
		dv_rowset_free(bulk->single);
	bulk->single = NULL;
	MemoryContextReset(bulk->row_context);
	old = MemoryContextSwitchTo(bulk->row_context);
	identify(bulk, slot, planslot, &row);
	if (!row.refused || !find_single(bulk, slot, &row))
		write_single(bulk, slot, &row, result);
	bulk->busy = false;
	MemoryContextSwitchTo(old);
}

/*
 * Flushing.
 */

void
dv_bulk_flush(DvBulk *bulk)
{
	MemoryContext old;

	enter(bulk);
	MemoryContextReset(bulk->row_context);
	old = MemoryContextSwitchTo(bulk->row_context);
	release_waiting(bulk);
	drain(bulk);
	bulk->busy = false;
	MemoryContextSwitchTo(old);
	Assert(bulk->nopen == 0 && bulk->nflights == 0 && bulk->nwaiting == 0 && bulk->held == NIL);
	Assert(bulk->latest->members == 0);
}

void
dv_bulk_end(DvBulk *bulk)
{
	dv_bulk_flush(bulk);
	ExecDropSingleTupleTableSlot(bulk->spare);
	MemoryContextDelete(bulk->context);
}

void
dv_bulk_flush_before_read(Oid serverid, const void *reader)
{
	dlist_iter iter;

	dlist_foreach(iter, &bulks)
	{
		DvBulk *bulk = dlist_container(DvBulk, node, iter.cur);

		if (bulk->writer.table->serverid == serverid && (reader == NULL || bulk->owner != reader))
			dv_bulk_flush(bulk);
	}
}

void
dv_bulk_flush_server(Oid serverid)
{
	dv_bulk_flush_before_read(serverid, NULL);
}
