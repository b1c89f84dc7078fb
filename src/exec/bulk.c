/*
 * bulk.c
 *	  Gathers rows into sets, and keeps order where it matters.
 *
 * Rows are encoded as they come and gather in sets, one set a request.  A full
 * set is sent while PostgreSQL goes on producing rows, up to "concurrency" of
 * them at a time (flight); when all places are taken, the producer waits.
 *
 * Order.  Rows of different keys may arrive in any order.  Rows that the
 * service may take for the same one (encode's fold) never share a request, in
 * which they would fail or vanish silently (sheet 5.1), and a later one is not
 * sent before the request with the earlier one is done.  So several sets are
 * open at a time: a row goes to the first set after the one that holds its
 * like.
 *
 * Keys that no address can hold wait as tuples until there are some of them,
 * are looked up together, and go by id.
 *
 * A row that cannot be sent (a null key, a value that JSON or the service has
 * no place for) is refused like one that the service refuses (ledger).
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
#include "utils/memutils.h"

#include "exec/bulk.h"
#include "exec/changeset.h"
#include "exec/flight.h"
#include "exec/ledger.h"
#include "exec/probe.h"
#include "exec/rowfault.h"
#include "exec/unchanged.h"
#include "remote/metadata.h"

/* Sets open at a time for rows of one key; a key that comes more often waits for its turn. */
#define OPEN_MAX 8

/* Transfers go on at least every so many rows. */
#define DRIVE_EVERY 16

/* Rows waiting for their ids. */
#define WAITING_MAX 200

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
	DvUnchanged *unchanged; /* NULL: every row is sent as it is */
	DvLedger *ledger;
	DvFlights *flights;
	int undriven; /* rows since transfers were last driven */
	uint64 last_serial;
	int nopen;
	DvFlight *open[OPEN_MAX];
	List *held; /* DvFlight *, complete but not to be sent yet */
	latest_hash *latest;
	TupleTableSlot *spare; /* for tuples that waited */
	MemoryContext waiting_context;
	int nwaiting;
	WaitingRow *waiting;
	bool key_known; /* to be, or not to be, enforced by the service */
	bool key_enforced;
	DvRowSet *single;       /* of the last dv_bulk_one */
	DvChangeset *changeset; /* takes the rows instead of all of the above; or NULL */
	bool busy;              /* in one of the functions below, or thrown out of it */
};

static dlist_head bulks = DLIST_STATIC_INIT(bulks);

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

/* A flight is over: its rows no longer stand in anybody's way. */
static void
retire(void *arg, DvFlight *flight)
{
	DvBulk *bulk = arg;
	DvRowSet *set = flight->set;

	for (int i = 0; i < set->nrows; i++)
	{
		const char *fold = set->rows[i].fold;
		Latest *latest = fold ? latest_lookup(bulk->latest, fold) : NULL;

		if (latest != NULL && latest->serial == flight->serial)
			latest_delete_item(bulk->latest, latest);
	}
	if (set != bulk->single)
		dv_rowset_free(set);
	pfree(flight);
}

static DvUnchanged *
prepare_unchanged(DvBulk *bulk)
{
	DvUnchangedSpec spec = {.service = bulk->writer.service,
							.table = bulk->writer.table,
							.plan = bulk->writer.plan,
							.identity = bulk->writer.identity,
							.encode = bulk->writer.encode,
							.counters = &bulk->counters};

	return dv_unchanged_prepare(&spec);
}

/* Rows set aside would not be written, the others would: that is not all or nothing. */
static DvChangeset *
begin_changeset(DvBulk *bulk)
{
	if (bulk->writer.table->settings.ignore_errors)
		ereport(
			ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("foreign table \"%s\" cannot both be written all or nothing and ignore errors",
					bulk->writer.table->name),
			 errhint("Set its option \"on_error\" to stop, or its option \"transaction\" to "
					 "none.")));
	return dv_changeset_begin(&bulk->writer, bulk->ledger, bulk->unchanged);
}

DvBulk *
dv_bulk_begin(const DvBulkSpec *spec)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "dataverse_fdw writes", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	DvBulk *bulk = palloc0(sizeof(DvBulk));
	DvIdentitySpec identity = {.service = spec->service,
							   .table = spec->table,
							   .plan = spec->plan,
							   .own_ids = spec->own_ids,
							   .id_attno = spec->id_attno,
							   .partition_attno = spec->partition_attno,
							   .etag_attno = spec->etag_attno,
							   .old_attno = spec->old_attno};
	DvEncodeSpec encode = {.service = spec->service,
						   .table = spec->table,
						   .plan = spec->plan,
						   .desc = spec->desc,
						   .only_changed = spec->old_attno > 0};

	bulk->context = context;
	bulk->row_context = AllocSetContextCreate(context, "dataverse_fdw row", ALLOCSET_DEFAULT_SIZES);
	bulk->waiting_context =
		AllocSetContextCreate(context, "dataverse_fdw rows without ids", ALLOCSET_DEFAULT_SIZES);
	bulk->writer.service = spec->service;
	bulk->writer.table = spec->table;
	bulk->writer.plan = spec->plan;
	encode.identity = bulk->writer.identity = dv_identity_prepare(&identity);
	bulk->writer.encode = dv_encode_prepare(&encode);
	bulk->writer.own_ids = spec->own_ids;
	bulk->writer.counters = &bulk->counters;
	bulk->writer.returning = spec->returning;
	bulk->writer.labels = spec->labels;
	bulk->unchanged = prepare_unchanged(bulk);
	bulk->owner = spec->owner;
	bulk->hold = spec->hold;
	bulk->ledger = dv_ledger_open(&bulk->writer, spec->desc);
	bulk->writer.tells = spec->table->settings.result_table != NULL;
	bulk->flights = dv_flights_create(&bulk->writer, bulk->ledger, bulk->unchanged, retire, bulk);
	bulk->latest = latest_create(context, 1024, NULL);
	/* A copy of the descriptor is not reference-counted: nothing to give back after an error. */
	bulk->spare = MakeSingleTupleTableSlot(CreateTupleDescCopy(spec->desc), &TTSOpsMinimalTuple);
	if (spec->table->settings.atomic)
		bulk->changeset = begin_changeset(bulk);
	enter_registry(bulk);
	MemoryContextSwitchTo(old);
	return bulk;
}

int64
dv_bulk_written(const DvBulk *bulk)
{
	return dv_ledger_written(bulk->ledger);
}

int64
dv_bulk_skipped(const DvBulk *bulk)
{
	return dv_ledger_skipped(bulk->ledger);
}

int64
dv_bulk_refused(const DvBulk *bulk)
{
	return dv_ledger_refused(bulk->ledger);
}

const DvCounters *
dv_bulk_counters(const DvBulk *bulk)
{
	return &bulk->counters;
}

/*
 * Sets.
 */

static DvFlight *
new_flight(DvBulk *bulk)
{
	DvFlight *flight = MemoryContextAllocZero(bulk->context, sizeof(DvFlight));

	flight->serial = ++bulk->last_serial;
	flight->set = dv_rowset_create(bulk->context, bulk->writer.plan->mode,
								   dv_ledger_keeps_tuples(bulk->ledger));
	if (bulk->unchanged != NULL)
		dv_rowset_track(flight->set);
	return flight;
}

/* The first n open batches are complete. */
static void
close_open(DvBulk *bulk, int n)
{
	DvFlight *closed[OPEN_MAX];
	MemoryContext old;

	memcpy(closed, bulk->open, sizeof(DvFlight *) * n);
	bulk->nopen -= n;
	memmove(bulk->open, bulk->open + n, sizeof(DvFlight *) * bulk->nopen);
	for (int i = 0; i < n; i++)
	{
		if (!bulk->hold)
		{
			dv_flights_launch(bulk->flights, closed[i]);
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
	if (dv_flights_count(bulk->flights) == 0 || ++bulk->undriven < DRIVE_EVERY)
		return;
	bulk->undriven = 0;
	dv_flights_drive(bulk->flights);
}

/*
 * Rows.
 */

static DvFlight *
open_flight(DvBulk *bulk, int place, uint64 barrier)
{
	if (place == OPEN_MAX)
	{
		close_open(bulk, 1);
		place--;
	}
	if (place == bulk->nopen)
		bulk->open[bulk->nopen++] = new_flight(bulk);
	bulk->open[place]->barrier = Max(bulk->open[place]->barrier, barrier);
	return bulk->open[place];
}

/* The first open batch that may hold a row like this. */
static DvFlight *
choose_flight(DvBulk *bulk, const char *fold)
{
	Latest *latest = fold ? latest_lookup(bulk->latest, fold) : NULL;

	if (latest == NULL)
		return open_flight(bulk, 0, 0);
	for (int i = 0; i < bulk->nopen; i++)
	{
		if (bulk->open[i]->serial == latest->serial)
			return open_flight(bulk, i + 1, latest->serial);
	}
	return open_flight(bulk, 0, latest->serial);
}

/* The next row would be too much if it is like those that are there. */
static bool
is_full(const DvBulk *bulk, const DvRowSet *set)
{
	size_t bytes = set->body != NULL ? dv_body_bytes(set->body, 0, set->nrows) : 0;

	return set->nrows >= dv_flights_rows(bulk->flights) ||
		   bytes + bytes / set->nrows > dv_flights_bytes(bulk->flights);
}

static void
note_latest(DvBulk *bulk, const char *fold, uint64 serial)
{
	bool found;
	Latest *latest = latest_insert(bulk->latest, fold, &found);

	latest->fold = fold; /* an older set, with its copy, may go first */
	latest->serial = serial;
}

/*
 * A row that cannot be sent.  First what is in flight lands: an earlier row
 * may be refused, too, and the number of those written must be known.
 */
static void
refuse(DvBulk *bulk, const DvRow *row, TupleTableSlot *slot, ErrorData *error)
{
	if (!dv_ledger_tolerates(bulk->ledger, 1, NULL))
		dv_flights_land(bulk->flights);
	dv_ledger_refuse_unsent(bulk->ledger, row,
							bulk->writer.plan->mode == DV_WRITE_DELETE ? NULL : slot, error);
}

/* A row and where it is to go. */
typedef struct Handling
{
	DvBulk *bulk;
	DvRowSet *set;
	TupleTableSlot *slot;
	TupleTableSlot *planslot;
	DvRow *row;
} Handling;

static void
encode_row(void *arg)
{
	Handling *handling = arg;

	if (handling->set == NULL)
		dv_changeset_add(handling->bulk->changeset, handling->slot, handling->row);
	else
		dv_rowset_add(handling->set, handling->bulk->writer.encode, handling->slot, handling->row);
}

/* Adds a row to a set (NULL: the change set); false when it cannot be sent. */
static bool
add_row(DvBulk *bulk, DvRowSet *set, TupleTableSlot *slot, DvRow *row)
{
	Handling handling = {.bulk = bulk, .set = set, .slot = slot, .row = row};
	ErrorData *error = dv_rowfault_catch(encode_row, &handling);

	if (error != NULL)
		refuse(bulk, row, slot, error);
	return error == NULL;
}

static void
place_row(DvBulk *bulk, TupleTableSlot *slot, DvRow *row)
{
	DvFlight *flight = choose_flight(bulk, row->fold);
	DvRowSet *set = flight->set;

	if (!add_row(bulk, set, slot, row))
		return;
	if (row->fold != NULL)
		note_latest(bulk, set->rows[set->nrows - 1].fold, flight->serial);
	if (!is_full(bulk, set))
		return;
	for (int i = 0; i < bulk->nopen; i++)
	{
		if (bulk->open[i] == flight)
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
		dv_flights_launch(bulk->flights, lfirst(lc));
	list_free(held);
	close_open(bulk, bulk->nopen);
	dv_flights_land(bulk->flights);
	bulk->hold = hold;
}

/*
 * Keys that no address can hold.
 */

/* unclear: of each row, whether it cannot be told which row has its key. */
static char **
look_up(DvBulk *bulk, const WaitingRow *waiting, int n, bool *unclear)
{
	DvProbe probe = {.service = bulk->writer.service,
					 .table = bulk->writer.table,
					 .primary_id = dv_identity_primary_id(bulk->writer.identity),
					 .counters = &bulk->counters,
					 .unclear = unclear};
	const DvKeyPart **keys = palloc(sizeof(DvKeyPart *) * n);
	int nkeys;
	const DvColumn *const *columns = dv_identity_keys(bulk->writer.identity, &nkeys);

	for (int i = 0; i < n; i++)
		keys[i] = waiting[i].row.keys;
	return dv_probe_keys(&probe, columns, nkeys, keys, n);
}

static void
complain_unclear(void *arg)
{
	const Handling *handling = arg;

	ereport(ERROR,
			(errcode(ERRCODE_CARDINALITY_VIOLATION),
			 errmsg("key of a row for foreign table \"%s\" is not clear",
					handling->bulk->writer.table->name),
			 errdetail("More than one row has a key like it, or it is too long to be asked for."),
			 errhint("Address the row by its primary id.")));
}

static void
refuse_unclear(DvBulk *bulk, TupleTableSlot *slot, const DvRow *row)
{
	Handling handling = {.bulk = bulk};

	refuse(bulk, row, slot, dv_rowfault_catch(complain_unclear, &handling));
}

/* Rows that waited take their places, by the ids found or by new ones. */
static void
release_waiting(DvBulk *bulk)
{
	int n = bulk->nwaiting;
	MemoryContext old;
	bool *unclear;
	char **ids;

	if (n == 0)
		return;
	old = MemoryContextSwitchTo(bulk->waiting_context);
	unclear = palloc0(sizeof(bool) * n);
	ids = look_up(bulk, bulk->waiting, n, unclear);
	bulk->nwaiting = 0;
	for (int i = 0; i < n; i++)
	{
		WaitingRow *waiting = &bulk->waiting[i];

		latest_delete(bulk->latest, waiting->row.fold);
		if (ids[i] != NULL && bulk->writer.plan->do_nothing)
		{
			dv_ledger_skip(bulk->ledger, &waiting->row, ids[i]);
			continue;
		}
		ExecStoreMinimalTuple(waiting->tuple, bulk->spare, false);
		if (unclear[i])
			refuse_unclear(bulk, bulk->spare, &waiting->row);
		else
		{
			dv_identity_settle(bulk->writer.identity, &waiting->row, ids[i]);
			waiting->row.found = ids[i] != NULL;
			place_row(bulk, bulk->spare, &waiting->row);
		}
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
	dv_identity_copy(&waiting->row, row);
	MemoryContextSwitchTo(old);
	note_latest(bulk, waiting->row.fold, WAITING);
	if (bulk->nwaiting >= Min(WAITING_MAX, dv_flights_rows(bulk->flights)))
		release_waiting(bulk);
}

/*
 * May rows be left to the service's own check of the key?  Only if it has that
 * key: nothing else keeps a second row from being created.
 */
static bool
is_key_enforced(DvBulk *bulk)
{
	const DvTable *table = bulk->writer.table;
	const DvSchema *schema;

	if (bulk->key_known)
		return bulk->key_enforced;
	schema = dv_metadata_table(bulk->writer.service, table->table_name);
	for (int i = 0; schema != NULL && i < schema->nkeys; i++)
	{
		const DvAlternateKey *key = &schema->keys[i];
		int same = 0;

		for (int j = 0; j < table->ncolumns; j++)
		{
			for (int k = 0; k < key->ncolumns && table->columns[j].is_key; k++)
				same += strcmp(key->columns[k], table->columns[j].logical) == 0;
		}
		if (key->active && same == key->ncolumns && same == table->nkeys)
			bulk->key_enforced = true;
	}
	bulk->key_known = true;
	return bulk->key_enforced;
}

/*
 * A row that must not change one that exists is created with an id made here,
 * and refused by the key: when an answer is lost, the id tells whether the row
 * that exists is this one.
 */
static void
take_own_id(DvBulk *bulk, DvRow *row)
{
	if (bulk->writer.plan->do_nothing && row->by_key && is_key_enforced(bulk))
		dv_identity_settle(bulk->writer.identity, row, NULL);
}

static void
identify(void *arg)
{
	Handling *handling = arg;
	DvBulk *bulk = handling->bulk;
	const DvColumn *missing =
		dv_identity_find(bulk->writer.identity, handling->slot, handling->planslot, handling->row);

	if (missing != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("null value in key column \"%s\" of foreign table \"%s\"", missing->name,
						bulk->writer.table->name),
				 errdetail("No row can be addressed by it (an empty text counts as null there)."),
				 errhint("Give every row a value for the columns of the table's option \"key\", "
						 "or drop the option to create rows.")));
	take_own_id(bulk, handling->row);
}

/* Who the row is; false when it cannot be known, and is refused. */
static bool
try_identify(DvBulk *bulk, TupleTableSlot *slot, TupleTableSlot *planslot, DvRow *row)
{
	Handling handling = {.bulk = bulk, .slot = slot, .planslot = planslot, .row = row};
	ErrorData *error = dv_rowfault_catch(identify, &handling);

	if (error == NULL)
		return true;
	/* Its key is not known whole. */
	row->nkeys = 0;
	refuse(bulk, row, slot, error);
	return false;
}

/* Rows like this one that still wait for their ids go first. */
static void
let_others_go_first(DvBulk *bulk, const DvRow *row)
{
	Latest *latest = row->fold != NULL ? latest_lookup(bulk->latest, row->fold) : NULL;

	if (latest != NULL && latest->serial == WAITING)
		release_waiting(bulk);
}

static void
gather(DvBulk *bulk, TupleTableSlot *slot, DvRow *row)
{
	let_others_go_first(bulk, row);
	if (row->refused)
		let_wait(bulk, slot, row);
	else
		place_row(bulk, slot, row);
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
			 errmsg("%s: an error while its rows were sent was caught elsewhere",
					dv_ledger_action(bulk->ledger)),
			 errdetail("%s.", dv_ledger_written_before(bulk->ledger)),
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
	if (try_identify(bulk, slot, planslot, &row))
	{
		if (bulk->changeset != NULL)
			add_row(bulk, NULL, slot, &row);
		else
			gather(bulk, slot, &row);
	}
	drive(bulk);
	bulk->busy = false;
	MemoryContextSwitchTo(old);
}

/*
 * One row at a time.
 */

/* A single refused key is looked up on the spot. True when the row is not to be sent. */
static bool
find_single(DvBulk *bulk, TupleTableSlot *slot, DvRow *row)
{
	WaitingRow alone = {.row = *row};
	bool unclear = false;
	char **ids = look_up(bulk, &alone, 1, &unclear);

	if (unclear)
	{
		refuse_unclear(bulk, slot, row);
		return true;
	}
	if (ids[0] != NULL && bulk->writer.plan->do_nothing)
	{
		dv_ledger_skip(bulk->ledger, row, ids[0]);
		return true;
	}
	dv_identity_settle(bulk->writer.identity, row, ids[0]);
	row->found = ids[0] != NULL;
	return false;
}

/* Sends a row by itself and waits for it. */
static DvRowSet *
send_single(DvBulk *bulk, TupleTableSlot *slot, DvRow *row)
{
	DvFlight *flight = new_flight(bulk);
	DvRowSet *set = flight->set;

	bulk->single = set;
	flight->alone = true;
	if (!add_row(bulk, set, slot, row))
	{
		pfree(flight);
		return NULL;
	}
	dv_flights_launch(bulk->flights, flight);
	dv_flights_land(bulk->flights);
	return set;
}

static void
write_single(DvBulk *bulk, TupleTableSlot *slot, DvRow *row, DvBulkRow *result)
{
	DvRowSet *set = send_single(bulk, slot, row);

	if (set == NULL)
		return;
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

/* A row of a change set is what it will be, unless the whole statement fails. */
static void
promise_single(DvBulk *bulk, TupleTableSlot *slot, DvRow *row, DvBulkRow *result)
{
	result->written = add_row(bulk, NULL, slot, row);
	result->id = row->id;
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
	if (!try_identify(bulk, slot, planslot, &row))
		;
	else if (bulk->changeset != NULL)
		promise_single(bulk, slot, &row, result);
	else if (!row.refused || !find_single(bulk, slot, &row))
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
	if (bulk->changeset != NULL)
		dv_changeset_send(bulk->changeset);
	release_waiting(bulk);
	drain(bulk);
	dv_ledger_flush(bulk->ledger);
	bulk->busy = false;
	MemoryContextSwitchTo(old);
	Assert(bulk->nopen == 0 && dv_flights_count(bulk->flights) == 0 && bulk->nwaiting == 0 &&
		   bulk->held == NIL);
	Assert(bulk->latest->members == 0);
}

void
dv_bulk_end(DvBulk *bulk)
{
	dv_bulk_flush(bulk);
	dv_ledger_close(bulk->ledger);
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

		/* A change set is sent when its statement ends, and not before. */
		if (bulk->changeset == NULL && bulk->writer.table->serverid == serverid &&
			(reader == NULL || bulk->owner != reader))
			dv_bulk_flush(bulk);
	}
}

void
dv_bulk_flush_server(Oid serverid)
{
	dv_bulk_flush_before_read(serverid, NULL);
}
