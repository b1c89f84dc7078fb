/*
 * changeset.c
 *	  The rows of a statement as one change set: all are written, or none.
 *
 * The service carries out a change set in one transaction (sheet 5.6) and
 * answers a failure with the one request that failed, named by its Content-ID
 * (5.7).  So rows are held until the statement ends, at most as many as a batch
 * holds: one more is an error before anything was sent, and bounds what is held.
 * Requests in a change set run in order, so the same key twice is no trouble.
 *
 * Some failures are no errors: a row that exists and is to be left alone, a
 * row to update or delete that is gone.  Such a row is taken out, and the others
 * are sent again.
 *
 * A lost answer is settled by asking.  Creates carry ids made here: is the first
 * one there, then all are.  Upserts and updates by id are repeated, which
 * changes nothing the second time.  What still cannot be known is told.
 *
 * Deliberately not here: change sets over several tables.  Each foreign table
 * of a statement has its own.
 */
#include "postgres.h"

#include "compat.h"

#include <time.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "exec/changeset.h"
#include "exec/probe.h"
#include "exec/tally.h"
#include "odata/fault.h"
#include "remote/transport.h"

/* Duplicate primary id, and a lost race of two upserts (sheet 4.1, 4.3). */
#define CODE_DUPLICATE 0x80040237U

/* Attempts without any row getting out of the way. */
#define AGAIN_MAX 6
#define AGAIN_FIRST_MS 200

struct DvChangeset
{
	const DvWriter *writer;
	DvLedger *ledger;
	DvUnchanged *unchanged; /* or NULL */
	MemoryContext context;
	DvRowSet *set;
	bool sent;      /* the set's fate is known */
	int nunsettled; /* rows whose ids must be looked up first */
	int unsettled[DV_BATCH_MAX];
};

/* What became of the rows: of all of them, or of one because of which none is written. */
typedef struct Result
{
	int row; /* -1: it is none's */
	DvError error;
} Result;

/*
 * Gathering.
 */

DvChangeset *
dv_changeset_begin(const DvWriter *writer, DvLedger *ledger, DvUnchanged *unchanged)
{
	DvChangeset *changeset = palloc0(sizeof(DvChangeset));

	/* Elastic tables take change sets, and keep half of them (sheet 5.6). */
	if (writer->table->table_type != DV_TABLE_STANDARD)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("foreign table \"%s\" cannot be written all or nothing",
							   writer->table->name),
						errhint("Only standard tables can: set the option \"transaction\" of this "
								"one to none.")));
	changeset->writer = writer;
	changeset->ledger = ledger;
	changeset->unchanged = unchanged;
	changeset->context = CurrentMemoryContext;
	return changeset;
}

static void
start_set(DvChangeset *changeset)
{
	if (changeset->set != NULL)
		dv_rowset_free(changeset->set);
	changeset->set = dv_rowset_create(changeset->context, changeset->writer->plan->mode, false);
	if (changeset->unchanged != NULL)
		dv_rowset_track(changeset->set);
	changeset->nunsettled = 0;
	changeset->sent = false;
}

void
dv_changeset_add(DvChangeset *changeset, TupleTableSlot *slot, DvRow *row)
{
	DvRowSet *set;

	if (changeset->set == NULL || changeset->sent)
		start_set(changeset);
	set = changeset->set;
	if (set->nrows >= DV_BATCH_MAX)
		ereport(
			ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("statement has more than %d rows for foreign table \"%s\"", DV_BATCH_MAX,
					changeset->writer->table->name),
			 errdetail("Its option \"transaction\" wants them written together, and the service "
					   "takes no more than that at a time. Nothing was written."),
			 errhint("Write fewer rows in a statement, or set the option to none.")));
	if (row->refused)
	{
		changeset->unsettled[changeset->nunsettled++] = set->nrows;
		dv_identity_settle(changeset->writer->identity, row, NULL);
	}
	dv_rowset_add(set, changeset->writer->encode, slot, row);
}

/*
 * Keys that no address can hold.  Rows of one key are one row, which may have
 * to be made: they share the id found, or the one made for the first of them.
 */

static DvProbe
make_probe(const DvWriter *writer)
{
	DvProbe probe = {.service = writer->service,
					 .table = writer->table,
					 .primary_id = dv_identity_primary_id(writer->identity),
					 .counters = writer->counters};

	return probe;
}

/* Rows with the keys they stand for, each key once, and the ids of those keys. */
typedef struct Keyed
{
	int *group; /* of each row: number of its key */
	int nkeys;
	const DvKeyPart **keys;
	char **ids; /* NULL: nobody has the key */
} Keyed;

static void
group_rows(const DvRowSet *set, const int *rows, int n, Keyed *keyed)
{
	int *first = palloc(sizeof(int) * n);

	keyed->group = palloc(sizeof(int) * n);
	keyed->keys = palloc(sizeof(DvKeyPart *) * n);
	keyed->nkeys = 0;
	for (int i = 0; i < n; i++)
	{
		const DvRow *row = &set->rows[rows[i]];
		int g = 0;

		while (g < keyed->nkeys && strcmp(set->rows[first[g]].fold, row->fold) != 0)
			g++;
		if (g == keyed->nkeys)
		{
			first[g] = rows[i];
			keyed->keys[keyed->nkeys++] = row->keys;
		}
		keyed->group[i] = g;
	}
}

static void
look_up(const DvChangeset *changeset, const int *rows, int n, Keyed *keyed)
{
	const DvWriter *writer = changeset->writer;
	DvProbe probe = make_probe(writer);
	int ncolumns;
	const DvColumn *const *columns = dv_identity_keys(writer->identity, &ncolumns);

	group_rows(changeset->set, rows, n, keyed);
	keyed->ids = dv_probe_keys(&probe, columns, ncolumns, keyed->keys, keyed->nkeys);
}

static void
settle_keys(DvChangeset *changeset)
{
	const DvWriter *writer = changeset->writer;
	DvRowSet *set = changeset->set;
	int n = changeset->nunsettled;
	const int *rows = changeset->unsettled;
	char **made;
	Keyed keyed;

	look_up(changeset, rows, n, &keyed);
	made = palloc0(sizeof(char *) * keyed.nkeys);
	for (int i = 0; i < n; i++)
	{
		int g = keyed.group[i];

		set->rows[rows[i]].found = keyed.ids[g] != NULL;
		if (keyed.ids[g] != NULL && writer->plan->do_nothing)
			set->fates[rows[i]] = DV_FATE_SKIPPED;
		else if (keyed.ids[g] != NULL || made[g] != NULL)
			dv_identity_settle(writer->identity, &set->rows[rows[i]],
							   keyed.ids[g] ? keyed.ids[g] : made[g]);
		else
			made[g] = set->rows[rows[i]].id;
	}
	changeset->nunsettled = 0;
}

/*
 * Sending.
 */

static DvCall *
start(const DvChangeset *changeset)
{
	/* A failed change set is one part of an answer like any other (sheet 5.7). */
	static const char *const headers[] = {"Prefer: odata.continue-on-error", NULL};
	const DvWriter *writer = changeset->writer;
	DvRowSet *set = changeset->set;
	DvBatch *batch = dv_batch_create(dv_write_boundary());
	DvCallSpec spec = {.method = "POST",
					   .path = "$batch",
					   .headers = headers,
					   .repeat = DV_REPEAT_SAFE,
					   .counters = writer->counters};
	StringInfoData body;
	int *rows = palloc(sizeof(int) * set->nrows);

	set->sent = rows;
	set->nsent = 0;
	set->there = NULL;
	dv_batch_changeset_begin(batch);
	for (int i = 0; i < set->nrows; i++)
	{
		if (set->fates[i] != DV_FATE_OPEN)
			continue;
		rows[set->nsent++] = i;
		dv_write_part(writer, set, i, batch, i + 1);
	}
	dv_batch_changeset_end(batch);
	initStringInfo(&body);
	spec.content_type = dv_batch_finish(batch, &body);
	spec.body = body.data;
	spec.body_len = body.len;
	return dv_call_start(writer->service, &spec);
}

static void
mark_open(DvRowSet *set, DvFate fate)
{
	for (int i = 0; i < set->nrows; i++)
	{
		if (set->fates[i] == DV_FATE_OPEN)
			set->fates[i] = fate;
	}
}

/*
 * Judging.
 */

/* What to do about an answer. */
typedef enum Verdict
{
	VERDICT_DONE, /* no row is open */
	VERDICT_AGAIN,
	VERDICT_FAILED
} Verdict;

/* The open rows' ids: which are there? *ids_of has their rows; n of them. */
static bool *
ask_open(const DvChangeset *changeset, int **rows, int *n)
{
	const DvRowSet *set = changeset->set;
	const char **ids = palloc(sizeof(char *) * set->nrows);
	DvProbe probe = make_probe(changeset->writer);

	*rows = palloc(sizeof(int) * set->nrows);
	*n = 0;
	for (int i = 0; i < set->nrows; i++)
	{
		if (set->fates[i] != DV_FATE_OPEN)
			continue;
		(*rows)[*n] = i;
		ids[(*n)++] = set->rows[i].id;
	}
	return dv_probe_ids(&probe, ids, *n);
}

/*
 * Creates after a lost answer: true when their ids are there.  Ids of the
 * user's say nothing, since they may have been there before.
 */
static bool
were_created(const DvChangeset *changeset)
{
	int *rows;
	int n;
	bool *there;
	bool any = false;

	if (changeset->writer->plan->mode != DV_WRITE_CREATE)
		return false;
	there = ask_open(changeset, &rows, &n);
	for (int i = 0; i < n; i++)
	{
		if (changeset->set->rows[rows[i]].id_given)
			continue;
		if (!there[i])
			return false;
		any = true;
	}
	return any;
}

/* A row was not there: takes all that are not out of the way. */
static void
leave_out_gone(DvChangeset *changeset)
{
	DvRowSet *set = changeset->set;
	int *rows;
	int n;
	bool *there = ask_open(changeset, &rows, &n);
	bool was_deleted = set->doubtful && changeset->writer->plan->mode == DV_WRITE_DELETE;

	for (int i = 0; i < n; i++)
	{
		if (!there[i])
			set->fates[rows[i]] = was_deleted ? DV_FATE_WRITTEN : DV_FATE_SKIPPED;
	}
}

/* A row was there, and is to be left alone: takes all that are out of the way. */
static void
leave_out_existing(DvChangeset *changeset)
{
	DvRowSet *set = changeset->set;
	int *rows = palloc(sizeof(int) * set->nrows);
	int n = 0;
	Keyed keyed;

	for (int i = 0; i < set->nrows; i++)
	{
		if (set->fates[i] == DV_FATE_OPEN && set->rows[i].nkeys > 0 && !set->rows[i].id_given)
			rows[n++] = i;
	}
	if (n == 0)
		return;
	look_up(changeset, rows, n, &keyed);
	for (int i = 0; i < n; i++)
	{
		if (keyed.ids[keyed.group[i]] != NULL)
			set->fates[rows[i]] = DV_FATE_SKIPPED;
	}
}

/* One row is out of the way; others may be for the same reason, and need not be met one by one. */
static void
leave_out_others(DvChangeset *changeset)
{
	DvWriteMode mode = changeset->writer->plan->mode;

	if (mode == DV_WRITE_UPDATE || mode == DV_WRITE_DELETE)
		leave_out_gone(changeset);
	else if (mode == DV_WRITE_UPSERT)
		leave_out_existing(changeset);
}

/* Could creates have gone through before, in this statement or another? */
static bool
may_be_there(const DvChangeset *changeset)
{
	return changeset->set->doubtful || changeset->writer->own_ids;
}

static bool
has_raced(DvChangeset *changeset, const DvError *error)
{
	const DvModifyPlan *plan = changeset->writer->plan;

	if (plan->mode != DV_WRITE_UPSERT || plan->do_nothing || error->code != CODE_DUPLICATE ||
		changeset->set->raced)
		return false;
	changeset->set->raced = true;
	return true;
}

/* The one request that failed. */
static Verdict
judge_row(DvChangeset *changeset, int row, const DvError *error, long *wait_ms)
{
	DvRowSet *set = changeset->set;
	DvFate fate;

	if (may_be_there(changeset) && dv_fault_class(error) == DV_FAULT_UNIQUE &&
		were_created(changeset))
	{
		mark_open(set, DV_FATE_WRITTEN);
		return VERDICT_DONE;
	}
	if (has_raced(changeset, error))
		return VERDICT_AGAIN;
	fate = dv_write_harmless(changeset->writer, set, row, error);
	if (fate != DV_FATE_OPEN)
	{
		set->fates[row] = fate;
		leave_out_others(changeset);
		return VERDICT_AGAIN;
	}
	if (dv_fault_decide(error, DV_REPEAT_SAFE, 0, 0.5, wait_ms) != DV_VERDICT_FAIL)
		return VERDICT_AGAIN;
	dv_rowset_refuse(set, row, error);
	return VERDICT_FAILED;
}

static Verdict
judge_part(DvChangeset *changeset, const DvBatchPart *part, Result *result, long *wait_ms)
{
	DvRowSet *set = changeset->set;
	DvError *error = &result->error;
	int row = part->content_id - 1;
	char *retry_after = dv_batch_part_header(part, "Retry-After");
	Verdict verdict;

	dv_fault_parse(part->status, part->body, part->body_len, error);
	if (retry_after)
		error->retry_after_ms = dv_fault_retry_after(retry_after, (int64) time(NULL));
	if (error->request_id == NULL)
		error->request_id = dv_batch_part_header(part, "REQ_ID");
	/* Without a name it is nobody's: the change set as a whole was refused. */
	if (row < 0 || row >= set->nrows || set->fates[row] != DV_FATE_OPEN)
		return VERDICT_FAILED;
	verdict = judge_row(changeset, row, error, wait_ms);
	if (verdict == VERDICT_FAILED)
		result->row = row;
	return verdict;
}

/* All went well when each request has an answer that says so. */
static bool
all_well(const DvBatchPart *parts, int nparts, int nopen)
{
	for (int i = 0; i < nparts; i++)
	{
		if (parts[i].status < 200 || parts[i].status > 299 || !parts[i].in_changeset)
			return false;
	}
	return nparts == nopen;
}

static Verdict
judge(DvChangeset *changeset, DvCall *call, Result *result, long *wait_ms)
{
	DvRowSet *set = changeset->set;
	int nopen = dv_rowset_count(set, DV_FATE_OPEN);
	const char *type = dv_call_header(call, "Content-Type");
	size_t len;
	const char *body = dv_call_body(call, &len);
	DvBatchPart *parts;
	int nparts;

	if (!dv_batch_split(type ? type : "", body, len, &parts, &nparts, &result->error))
	{
		set->doubtful = true;
		return VERDICT_FAILED;
	}
	if (all_well(parts, nparts, nopen))
	{
		mark_open(set, DV_FATE_WRITTEN);
		return VERDICT_DONE;
	}
	for (int i = 0; i < nparts; i++)
	{
		if (parts[i].status < 200 || parts[i].status > 299)
			return judge_part(changeset, &parts[i], result, wait_ms);
	}
	dv_error_set(&result->error, DV_ERROR_PROTOCOL, "a change set of %d requests has %d answers",
				 nopen, nparts);
	set->doubtful = true;
	return VERDICT_FAILED;
}

/* There is no answer to the change set, or one that refuses the batch around it. */
static Verdict
judge_failure(DvChangeset *changeset, const DvError *error, Result *result)
{
	dv_rowset_copy_error(changeset->set, &result->error, error);
	if (!changeset->set->doubtful)
		return VERDICT_FAILED;
	/* It may be known by asking, unless asking fails as well. */
	if (were_created(changeset))
	{
		mark_open(changeset->set, DV_FATE_WRITTEN);
		return VERDICT_DONE;
	}
	return VERDICT_FAILED;
}

/* One request, from sending to what follows from its answer. */
static Verdict
try_once(DvChangeset *changeset, Result *result, long *wait_ms)
{
	const DvServerOptions *server = changeset->writer->service->server;
	DvRowSet *set = changeset->set;
	int nopen = dv_rowset_count(set, DV_FATE_OPEN);
	int before = dv_rowset_count(set, DV_FATE_WRITTEN);
	DvCall *call;
	Verdict verdict;

	*wait_ms = 0;
	memset(&result->error, 0, sizeof(DvError));
	call = start(changeset);
	dv_tally_sent(server, nopen);
	dv_call_wait(call);
	set->doubtful = set->doubtful || dv_call_ambiguous(call);
	if (dv_call_error(call)->kind != DV_ERROR_NONE)
		verdict = judge_failure(changeset, dv_call_error(call), result);
	else
		verdict = judge(changeset, call, result, wait_ms);
	/* Rows of unknown fate stay as sent. */
	if (verdict != VERDICT_FAILED || !set->doubtful)
		dv_tally_settled(server, nopen, dv_rowset_count(set, DV_FATE_WRITTEN) - before);
	return verdict;
}

/* Until no row is open; false when that cannot be. */
static bool
send_open(DvChangeset *changeset, Result *result)
{
	MemoryContext request = AllocSetContextCreate(
		changeset->context, "dataverse_fdw change set request", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(request);
	Verdict verdict = VERDICT_AGAIN;
	int attempt = 0;
	int nopen;

	while (verdict == VERDICT_AGAIN && (nopen = dv_rowset_count(changeset->set, DV_FATE_OPEN)) > 0)
	{
		long wait_ms;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(request);
		verdict = try_once(changeset, result, &wait_ms);
		attempt = dv_rowset_count(changeset->set, DV_FATE_OPEN) < nopen ? 0 : attempt + 1;
		if (verdict == VERDICT_AGAIN && attempt > AGAIN_MAX)
			verdict = VERDICT_FAILED;
		else if (verdict == VERDICT_AGAIN && attempt > 0)
			dv_http_wait(NULL, 0, wait_ms > 0 ? wait_ms : AGAIN_FIRST_MS << attempt);
	}
	dv_rowset_copy_error(changeset->set, &result->error, &result->error);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(request);
	return verdict != VERDICT_FAILED;
}

/* The first row of each key keeps its place in *rows; false when keys and ids may name one row. */
static bool
list_single(const DvChangeset *changeset, int *rows, int *n)
{
	const DvRowSet *set = changeset->set;

	*n = 0;
	for (int i = 0; i < set->nrows; i++)
	{
		bool alone = set->fates[i] == DV_FATE_OPEN && set->rows[i].fold != NULL;

		if (set->rows[i].by_key != set->rows[0].by_key)
			return false;
		for (int j = 0; alone && j < set->nrows; j++)
			alone = j == i || set->rows[j].fold == NULL ||
					strcmp(set->rows[j].fold, set->rows[i].fold) != 0;
		if (alone)
			rows[(*n)++] = i;
	}
	return true;
}

/*
 * What the service has already stays here.  A row whose like is in the set is
 * sent: what is there when its turn comes is not what is there before.
 */
static void
leave_out_unchanged(DvChangeset *changeset)
{
	int *rows;
	int n;

	if (changeset->unchanged == NULL)
		return;
	rows = palloc(sizeof(int) * changeset->set->nrows);
	if (list_single(changeset, rows, &n) && n > 0)
		(void) dv_unchanged_sift(changeset->unchanged, changeset->set, rows, n);
	pfree(rows);
}

static void
prepare_set(DvChangeset *changeset)
{
	MemoryContext old = MemoryContextSwitchTo(changeset->set->context);

	if (changeset->nunsettled > 0)
		settle_keys(changeset);
	dv_ledger_foresee(changeset->ledger, changeset->set);
	leave_out_unchanged(changeset);
	MemoryContextSwitchTo(old);
}

void
dv_changeset_send(DvChangeset *changeset)
{
	DvRowSet *set = changeset->set;
	DvLedger *ledger = changeset->ledger;
	Result result = {.row = -1};
	int written;
	bool done;

	if (set == NULL || changeset->sent)
		return;
	changeset->sent = true;
	prepare_set(changeset);
	done = send_open(changeset, &result);
	written = dv_rowset_count(set, DV_FATE_WRITTEN);
	dv_ledger_count(ledger, written, dv_rowset_count(set, DV_FATE_SKIPPED));
	changeset->writer->counters->rows += written;
	if (done)
	{
		dv_ledger_settle(ledger, set);
		return;
	}
	if (set->doubtful)
		dv_ledger_doubt(ledger, set->nrows);
	if (result.row >= 0)
		dv_ledger_refuse(ledger, set, result.row);
	dv_ledger_fail(ledger, &result.error);
}
