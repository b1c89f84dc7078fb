/*
 * ledger.c
 *	  What became of a statement's rows: counted, told, and set aside.
 *
 * Every row that is handed in ends here, in one of four ways: written, skipped
 * (rightly left alone, or gone), refused, or in doubt.  With on_error 'stop' the
 * first refused row is an error that names it and says how many rows are in.
 * With 'ignore' it goes to the reject table, or, where there is none, the first few
 * are told by warnings; a limit, if there is one, ends that.
 *
 * A result table gets a line for every row.  The service does not say whether
 * an upsert created or updated (sheet 4.3, 5.1), so rows are looked for before
 * they are sent, and those that were not there again afterwards, for the ids
 * that the service gave them.  A single row needs neither: its own request asks.
 *
 * Local tables are written in the statement's transaction: they roll back,
 * while what the service has stays.
 */
#include "postgres.h"

#include "compat.h"

#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "exec/ledger.h"
#include "exec/probe.h"
#include "exec/rowjson.h"
#include "exec/rowlog.h"
#include "exec/tally.h"
#include "odata/fault.h"
#include "remote/report.h"

/* Refused rows that are told one by one when nothing keeps them. */
#define TOLD_MAX 5

/* What is shown of a row without a key. */
#define SHOWN_MAX 120

struct DvLedger
{
	const DvWriter *writer;
	bool ignore;
	bool atomic; /* all rows are one change set */
	int64 limit; /* of refused rows; 0 none */
	int64 written;
	int64 skipped;
	int64 refused;
	int64 doubtful; /* written or not: nobody knows */
	DvRowLog *rejects;
	DvRowLog *results;
	DvRowJson *json;
	List *shown; /* int: attributes that a rejected row shows, null or not */
	bool others; /* and those that are not null */
	TupleTableSlot *spare;
	MemoryContext row_context; /* one row's lines */
};

/*
 * Beginning and end.
 */

static void
prepare_rejects(DvLedger *ledger, TupleDesc desc)
{
	const DvModifyPlan *plan = ledger->writer->plan;
	const DvTable *table = ledger->writer->table;
	int nkeys;

	ledger->json = dv_rowjson_prepare(desc);
	ledger->others = plan->mode == DV_WRITE_CREATE || plan->mode == DV_WRITE_UPSERT;
	ledger->shown = list_copy(plan->attnums);
	/* By these an UPDATE or a DELETE is repeated. */
	(void) dv_identity_keys(ledger->writer->identity, &nkeys);
	for (int i = 0; i < table->ncolumns && !ledger->others; i++)
	{
		if (nkeys > 0 ? table->columns[i].is_key : table->columns[i].is_primary_id)
			ledger->shown = list_append_unique_int(ledger->shown, table->columns[i].attnum);
	}
	/* A copy of the descriptor is not reference-counted: nothing to give back after an error. */
	ledger->spare = MakeSingleTupleTableSlot(CreateTupleDescCopy(desc), &TTSOpsMinimalTuple);
}

DvLedger *
dv_ledger_open(const DvWriter *writer, TupleDesc desc)
{
	DvLedger *ledger = palloc0(sizeof(DvLedger));
	const DvSettings *settings = &writer->table->settings;

	ledger->writer = writer;
	ledger->ignore = settings->ignore_errors;
	ledger->atomic = settings->atomic;
	ledger->limit = settings->reject_limit;
	ledger->row_context = AllocSetContextCreate(CurrentMemoryContext, "dataverse_fdw verdicts",
												ALLOCSET_DEFAULT_SIZES);
	if (ledger->ignore && settings->reject_table != NULL)
	{
		ledger->rejects =
			dv_rowlog_open(DV_ROWLOG_REJECTS, settings->reject_table, writer->table->relid);
		prepare_rejects(ledger, desc);
	}
	if (settings->result_table != NULL)
		ledger->results =
			dv_rowlog_open(DV_ROWLOG_RESULTS, settings->result_table, writer->table->relid);
	return ledger;
}

bool
dv_ledger_keeps_tuples(const DvLedger *ledger)
{
	return ledger->rejects != NULL && ledger->writer->plan->mode != DV_WRITE_DELETE;
}

bool
dv_ledger_stops(const DvLedger *ledger)
{
	return !ledger->ignore;
}

/* OptimisticConcurrencyNotEnabled (sheet 7.7). */
#define CODE_NO_VERSIONS 0x8006088DU

/* A privilege that the user lacks altogether (sheet 7.6). */
#define CODE_PRIVILEGE_DENIED 0x80040220U

/* The service refuses a row, but would refuse all others as well. */
static bool
is_about_statement(const DvError *error)
{
	return error != NULL && error->kind == DV_ERROR_HTTP &&
		   (dv_fault_class(error) == DV_FAULT_COLUMN || error->code == CODE_PRIVILEGE_DENIED ||
			error->code == CODE_NO_VERSIONS);
}

bool
dv_ledger_tolerates(const DvLedger *ledger, int refused, const DvError *error)
{
	return ledger->ignore && !is_about_statement(error) &&
		   (ledger->limit == 0 || ledger->refused + refused <= ledger->limit);
}

void
dv_ledger_count(DvLedger *ledger, int written, int skipped)
{
	ledger->written += written;
	ledger->skipped += skipped;
}

void
dv_ledger_doubt(DvLedger *ledger, int rows)
{
	ledger->doubtful += rows;
}

int64
dv_ledger_written(const DvLedger *ledger)
{
	return ledger->written;
}

int64
dv_ledger_skipped(const DvLedger *ledger)
{
	return ledger->skipped;
}

int64
dv_ledger_refused(const DvLedger *ledger)
{
	return ledger->refused;
}

void
dv_ledger_flush(DvLedger *ledger)
{
	if (ledger->rejects != NULL)
		dv_rowlog_flush(ledger->rejects);
	if (ledger->results != NULL)
		dv_rowlog_flush(ledger->results);
}

void
dv_ledger_close(DvLedger *ledger)
{
	const char *table = ledger->writer->table->name;

	dv_ledger_flush(ledger);
	if (ledger->spare != NULL)
		ExecDropSingleTupleTableSlot(ledger->spare);
	if (ledger->refused == 0)
		return;
	ereport(ledger->rejects != NULL ? NOTICE : WARNING,
			(errmsg_plural("%lld row was refused and not written to foreign table \"%s\"",
						   "%lld rows were refused and not written to foreign table \"%s\"",
						   (unsigned long) ledger->refused, (long long) ledger->refused, table),
			 ledger->rejects != NULL
				 ? errdetail("See table %s.", dv_rowlog_name(ledger->rejects))
				 : errhint("Set the option \"reject_table\" to keep refused rows.")));
}

/*
 * Words.
 */

const char *
dv_ledger_action(const DvLedger *ledger)
{
	const char *table = ledger->writer->table->name;

	switch (ledger->writer->plan->mode)
	{
		case DV_WRITE_UPDATE:
			return psprintf("could not update foreign table \"%s\"", table);
		case DV_WRITE_DELETE:
			return psprintf("could not delete from foreign table \"%s\"", table);
		default:
			return psprintf("could not insert into foreign table \"%s\"", table);
	}
}

static void
append_counted(StringInfo out, int64 n, const char *one, const char *many)
{
	if (n > 0)
		appendStringInfo(out, n == 1 ? one : many, (long long) n);
}

/* "12 rows had been written before", what was refused before, and what is not known */
const char *
dv_ledger_written_before(const DvLedger *ledger)
{
	StringInfoData out;

	if (ledger->atomic && ledger->written == 0)
		return ledger->doubtful > 0
				   ? "It is not known whether all rows of the statement were written or none"
				   : "Nothing was written, since the rows of the statement are written together";
	initStringInfo(&out);
	appendStringInfo(&out,
					 ledger->written == 1 ? "%lld row had been written before"
										  : "%lld rows had been written before",
					 (long long) ledger->written);
	append_counted(&out, ledger->refused, ", %lld refused", ", %lld refused");
	append_counted(&out, ledger->doubtful, "; of %lld more it is not known whether it was written",
				   "; of %lld more it is not known whether they were written");
	return out.data;
}

static const char *
show_row(const DvLedger *ledger, const DvRowSet *set, int row)
{
	char *name = dv_identity_show(ledger->writer->identity, &set->rows[row]);
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

void
dv_ledger_fail(const DvLedger *ledger, const DvError *error)
{
	DvReportContext context = {.what = dv_ledger_action(ledger),
							   .written = dv_ledger_written_before(ledger)};

	dv_report(error, &context);
}

/*
 * Rows that the service refused.
 */

/* A create with an id of the user's that is taken, or a row that has another version by now. */
static bool
may_be_own_doing(const DvLedger *ledger, const DvRowSet *set, int row)
{
	DvFaultClass fault;

	if (set->errors[row]->kind != DV_ERROR_HTTP)
		return false;
	fault = dv_fault_class(set->errors[row]);
	if (set->rows[row].etag != NULL)
		return fault == DV_FAULT_SERIALIZATION;
	return ledger->writer->plan->mode == DV_WRITE_CREATE && set->rows[row].id_given &&
		   fault == DV_FAULT_UNIQUE;
}

/*
 * Such a row repeated after its answer was lost: is what stands there its own
 * doing?  Nobody knows, nor of the others of its set.
 */
static bool
doubt_own_doing(DvLedger *ledger, const DvRowSet *set, int row)
{
	int open = set->nrows - dv_rowset_count(set, DV_FATE_WRITTEN);

	if (!set->doubtful || !may_be_own_doing(ledger, set, row))
		return false;
	/* Of a change set all rows are in doubt, and counted. */
	if (ledger->atomic)
		return true;
	ledger->doubtful += open;
	dv_tally_sent(ledger->writer->service->server, open);
	return true;
}

/* A row that is not there itself is no error: one that it points to is missing. */
static bool
points_to_nothing(const DvError *error)
{
	return error->kind == DV_ERROR_HTTP && dv_fault_class(error) == DV_FAULT_NOT_FOUND;
}

static DvReportContext
explain(const DvLedger *ledger, const DvRowSet *set, int row)
{
	DvReportContext context = {.row = show_row(ledger, set, row)};

	if (points_to_nothing(set->errors[row]))
	{
		context.sqlstate = ERRCODE_FOREIGN_KEY_VIOLATION;
		context.hint = "A lookup of the row points to a row that does not exist: create that one "
					   "first, or set the lookup to NULL.";
	}
	if (set->errors[row]->kind == DV_ERROR_HTTP && set->errors[row]->code == CODE_NO_VERSIONS)
		context.hint = "The table does not compare versions in Dataverse: set the foreign table's "
					   "option \"optimistic_concurrency\" to false.";
	return context;
}

static void
stop_at(DvLedger *ledger, const DvRowSet *set, int row)
{
	bool doubted = doubt_own_doing(ledger, set, row);
	DvReportContext context = explain(ledger, set, row);

	context.what = dv_ledger_action(ledger);
	context.written = dv_ledger_written_before(ledger);
	if (doubted)
		context.hint =
			set->rows[row].etag != NULL
				? "The answer to an earlier attempt was lost: the row may have changed because of "
				  "this statement. Look before repeating it."
				: "The answer to an earlier attempt was lost: the row that exists may be this one. "
				  "Look before repeating the statement.";
	else if (ledger->ignore && !is_about_statement(set->errors[row]))
		context.hint = "More rows were refused than the option \"reject_limit\" allows.";
	dv_report(set->errors[row], &context);
}

static TupleTableSlot *
row_slot(const DvLedger *ledger, const DvRowSet *set, int row)
{
	if (set->tuples == NULL)
		return NULL;
	ExecStoreMinimalTuple(set->tuples[row], ledger->spare, false);
	return ledger->spare;
}

/* The columns of a DELETE are its id. */
static const char *
row_json(const DvLedger *ledger, const DvRow *row, TupleTableSlot *slot)
{
	const DvTable *table = ledger->writer->table;
	StringInfoData out;

	if (slot != NULL)
		return dv_rowjson_make(ledger->json, slot, ledger->shown, ledger->others);
	initStringInfo(&out);
	for (int i = 0; i < table->ncolumns; i++)
	{
		if (table->columns[i].is_primary_id && row->id != NULL)
			appendStringInfo(&out, "{\"%s\":\"%s\"}", table->columns[i].name, row->id);
	}
	return out.len > 0 ? out.data : "{}";
}

static void
reject(DvLedger *ledger, const DvRow *row, TupleTableSlot *slot, DvRowNote *note)
{
	MemoryContext old = MemoryContextSwitchTo(ledger->row_context);

	note->number = row->number;
	note->row = row_json(ledger, row, slot);
	note->key = dv_identity_show(ledger->writer->identity, row);
	dv_rowlog_add(ledger->rejects, note);
	if (slot != NULL && slot == ledger->spare)
		ExecClearTuple(slot);
	MemoryContextSwitchTo(old);
	MemoryContextReset(ledger->row_context);
}

/* What a line of a local table says of it. */
static const char *
words_of(const DvLedger *ledger, const DvRowSet *set, int row)
{
	const char *words = dv_report_words(set->errors[row]);

	if (!set->doubtful || !may_be_own_doing(ledger, set, row))
		return words;
	return psprintf("%s (the answer to an earlier attempt was lost: it may be this statement's "
					"own doing)",
					words);
}

void
dv_ledger_refuse(DvLedger *ledger, const DvRowSet *set, int row)
{
	const DvError *error = set->errors[row];

	if (!dv_ledger_tolerates(ledger, 1, error))
		stop_at(ledger, set, row);
	ledger->refused++;
	if (ledger->rejects != NULL)
	{
		DvRowNote note = {.code = error->code_text,
						  .message = words_of(ledger, set, row),
						  .request_id = error->request_id};

		reject(ledger, &set->rows[row], row_slot(ledger, set, row), &note);
	}
	else if (ledger->refused <= TOLD_MAX)
	{
		DvReportContext context = explain(ledger, set, row);

		context.what =
			psprintf("row refused for foreign table \"%s\"", ledger->writer->table->name);
		dv_report_warning(error, &context);
	}
}

/*
 * Rows that cannot be sent.
 */

static const char *
name_unsent(const DvLedger *ledger, const DvRow *row)
{
	return dv_identity_show(ledger->writer->identity, row);
}

/* What an error of a value says, with the row it stands in. */
static void
add_row(ErrorData *error, const char *row, const char *written)
{
	StringInfoData detail;

	initStringInfo(&detail);
	if (error->detail != NULL)
		appendStringInfo(&detail, "%s ", error->detail);
	appendStringInfo(&detail, "Row: %s.", row);
	if (written != NULL)
		appendStringInfo(&detail, " %s.", written);
	error->detail = detail.data;
}

static void
note_result(DvLedger *ledger, const DvRow *row, DvRowNote *note)
{
	MemoryContext old = MemoryContextSwitchTo(ledger->row_context);

	note->number = row->number;
	note->key = dv_identity_show(ledger->writer->identity, row);
	dv_rowlog_add(ledger->results, note);
	MemoryContextSwitchTo(old);
	MemoryContextReset(ledger->row_context);
}

void
dv_ledger_refuse_unsent(DvLedger *ledger, const DvRow *row, TupleTableSlot *slot, ErrorData *error)
{
	DvRowNote note = {.code = unpack_sql_state(error->sqlerrcode),
					  .message = error->message,
					  .outcome = "refused"};

	if (!dv_ledger_tolerates(ledger, 1, NULL))
	{
		add_row(error, name_unsent(ledger, row), dv_ledger_written_before(ledger));
		ThrowErrorData(error);
		pg_unreachable();
	}
	note.code = pstrdup(note.code);
	ledger->refused++;
	if (ledger->rejects != NULL)
		reject(ledger, row, slot, &note);
	else if (ledger->refused <= TOLD_MAX)
	{
		add_row(error, name_unsent(ledger, row), NULL);
		ereport(WARNING, (errcode(error->sqlerrcode),
						  errmsg("row refused for foreign table \"%s\": %s",
								 ledger->writer->table->name, error->message),
						  errdetail_internal("%s", error->detail),
						  error->hint != NULL ? errhint("%s", error->hint) : 0));
	}
	if (ledger->results != NULL)
		note_result(ledger, row, &note);
}

/*
 * Results.
 */

static DvProbe
make_probe(const DvLedger *ledger)
{
	const DvWriter *writer = ledger->writer;
	DvProbe probe = {.service = writer->service,
					 .table = writer->table,
					 .primary_id = dv_identity_primary_id(writer->identity),
					 .counters = writer->counters};

	return probe;
}

/* Nor does a row that was left alone have the id that was made for it. */
static bool
is_known_by_key(const DvRowSet *set, int row)
{
	return set->rows[row].by_key || (set->fates[row] == DV_FATE_SKIPPED &&
									 set->rows[row].nkeys > 0 && !set->rows[row].id_given);
}

/* Only in a change set may an earlier row have the same key: the first that has. */
static int
first_of_key(const DvLedger *ledger, const DvRowSet *set, int row)
{
	const char *fold = set->rows[row].fold;

	for (int i = 0; ledger->atomic && fold != NULL && i < row; i++)
	{
		if (set->rows[i].fold != NULL && strcmp(set->rows[i].fold, fold) == 0)
			return i;
	}
	return row;
}

/* Looks for those rows of a set whose ids are not known yet, by their keys. */
static void
find_by_key(DvLedger *ledger, DvRowSet *set)
{
	DvProbe probe = make_probe(ledger);
	int nkeys;
	const DvColumn *const *columns = dv_identity_keys(ledger->writer->identity, &nkeys);
	const DvKeyPart **keys = palloc(sizeof(DvKeyPart *) * set->nrows);
	int *places = palloc(sizeof(int) * set->nrows);
	char **ids;
	int n = 0;

	for (int i = 0; i < set->nrows; i++)
	{
		if (!is_known_by_key(set, i) || set->found[i] != NULL || set->fates[i] == DV_FATE_REFUSED ||
			first_of_key(ledger, set, i) != i)
			continue;
		keys[n] = set->rows[i].keys;
		places[n++] = i;
	}
	if (n == 0)
		return;
	/* A result that cannot be told is no reason to fail. */
	probe.unclear = palloc0(sizeof(bool) * n);
	ids = dv_probe_keys(&probe, columns, nkeys, keys, n);
	for (int i = 0; i < n; i++)
	{
		if (ids[i] != NULL && !probe.unclear[i])
			set->found[places[i]] = MemoryContextStrdup(set->context, ids[i]);
	}
	for (int i = 0; i < set->nrows; i++)
	{
		if (is_known_by_key(set, i) && set->found[i] == NULL)
			set->found[i] = set->found[first_of_key(ledger, set, i)];
	}
}

static void
find_by_id(DvLedger *ledger, DvRowSet *set)
{
	DvProbe probe = make_probe(ledger);
	const char **ids = palloc(sizeof(char *) * set->nrows);
	int *places = palloc(sizeof(int) * set->nrows);
	bool *there;
	int n = 0;

	for (int i = 0; i < set->nrows; i++)
	{
		if (set->rows[i].by_key || !set->rows[i].id_given)
			continue;
		ids[n] = set->rows[i].id;
		places[n++] = i;
	}
	if (n == 0)
		return;
	there = dv_probe_ids(&probe, ids, n);
	for (int i = 0; i < n; i++)
		set->existed[places[i]] = there[i];
}

void
dv_ledger_foresee(DvLedger *ledger, DvRowSet *set)
{
	const DvModifyPlan *plan = ledger->writer->plan;

	if (ledger->results == NULL || plan->mode != DV_WRITE_UPSERT || plan->do_nothing ||
		(set->nrows == 1 && !ledger->atomic))
		return;
	set->existed = MemoryContextAllocZero(set->context, sizeof(bool) * set->nrows);
	set->found = MemoryContextAllocZero(set->context, sizeof(char *) * set->nrows);
	find_by_key(ledger, set);
	find_by_id(ledger, set);
	for (int i = 0; i < set->nrows; i++)
		set->existed[i] = set->existed[i] || set->found[i] != NULL || set->rows[i].found;
}

static const char *
outcome_of(const DvLedger *ledger, const DvRowSet *set, int row)
{
	if (set->fates[row] == DV_FATE_SKIPPED)
		return "skipped";
	if (set->fates[row] == DV_FATE_REFUSED)
		return "refused";
	switch (ledger->writer->plan->mode)
	{
		case DV_WRITE_UPDATE:
			return "updated";
		case DV_WRITE_DELETE:
			return "deleted";
		case DV_WRITE_CREATE:
			return "created";
		case DV_WRITE_UPSERT:
			break;
	}
	if (ledger->writer->plan->do_nothing || set->told == 201)
		return "created";
	if (set->existed == NULL || set->existed[row] || first_of_key(ledger, set, row) != row)
		return "updated";
	return "created";
}

static const char *
id_of(const DvRowSet *set, int row)
{
	if (set->found != NULL && set->found[row] != NULL)
		return set->found[row];
	if (set->fates[row] == DV_FATE_WRITTEN || set->rows[row].id_given || set->rows[row].found)
		return set->rows[row].id;
	return NULL;
}

void
dv_ledger_settle(DvLedger *ledger, DvRowSet *set)
{
	if (ledger->results == NULL)
		return;
	if (set->found == NULL)
		set->found = MemoryContextAllocZero(set->context, sizeof(char *) * set->nrows);
	find_by_key(ledger, set);
	for (int i = 0; i < set->nrows; i++)
	{
		const DvError *error = set->fates[i] == DV_FATE_REFUSED ? set->errors[i] : NULL;
		DvRowNote note = {.outcome = outcome_of(ledger, set, i), .id = id_of(set, i)};

		if (error != NULL)
		{
			note.code = error->code_text;
			note.message = words_of(ledger, set, i);
		}
		note_result(ledger, &set->rows[i], &note);
	}
}

void
dv_ledger_skip(DvLedger *ledger, const DvRow *row, const char *id)
{
	DvRowNote note = {.outcome = "skipped", .id = id};

	ledger->skipped++;
	if (ledger->results != NULL)
		note_result(ledger, row, &note);
}
