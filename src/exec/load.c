/*
 * load.c
 *	  CALL dataverse_load: a query's rows into a foreign table, in chunks, each
 *	  committed, so that a later call goes on where this one ends, however it
 *	  ends.
 *
 * The order of things is all there is to it.  A job is entered and committed;
 * its query runs once, into a local table (staging), and is committed; then,
 * chunk by chunk: the chunk is marked as running and that is committed; its rows
 * are sent by an ordinary INSERT; what became of it is written down and
 * committed, together with the mark of the next one.  So at any moment the
 * journal names every chunk of which a row may have been sent without our
 * knowing, and such a chunk is simply sent again: rows with a key are upserts,
 * and rows to be created carry the ids that they got when they were staged.
 * Chunks go one after another, since of two rows with one key the later wins.
 *
 * A chunk that fails, by an error or a cancel, is written down as failed, and
 * the error goes on to the caller: the next call begins with that chunk.
 *
 * C, although PL/pgSQL could commit as well: the rules for keys and ids, the
 * throttling and what became of a statement's rows (DvModifyAccount) are known
 * here only, and an error reaches the caller whole.
 *
 * Everything runs with the rights of the caller.
 */
#include "postgres.h"

#include "compat.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/queryenvironment.h"
#include "utils/resowner.h"

#include "exec/functions.h"
#include "exec/journal.h"
#include "exec/modify.h"
#include "exec/staging.h"
#include "odata/batch.h"
#include "remote/options.h"
#include "remote/service.h"
#include "remote/sessionkey.h"

/* Rows of a chunk, unless the caller says: so many times what is in flight, and at least so many. */
#define CHUNK_ROUNDS 4
#define CHUNK_MIN 10000

/* Between two lines that tell how far it is. */
#define TELL_EVERY_MS 3000

typedef struct Load
{
	DvJournal *journal;
	DvJob *job;
	DvTable *table;
	int64 chunk_rows;
	const char *insert; /* statement for one chunk */
	DvModifyAccount account;
	DvChunk chunk;
	TimestampTz began; /* this call, to load */
	TimestampTz told;  /* how far it is */
	int64 before;      /* rows done before this call */
} Load;

/*
 * Errors that are to be written down before they go on.
 */

typedef void (*Work)(Load *load);

static void fail(Load *load, const DvChunk *chunk, ErrorData *error) pg_attribute_noreturn();
static void reject_busy(const char *name) pg_attribute_noreturn();

/* Does it in a subtransaction.  The error, if there was one; its work is then undone. */
static ErrorData *
attempt(Work work, Load *load)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(load);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

/* When the service wants to hear of us again, as far as this backend knows; 0 for at any time. */
static TimestampTz
throttled_until(const Load *load)
{
	List *services = dv_service_list();
	TimestampTz until = 0;
	ListCell *lc;

	foreach (lc, services)
	{
		const DvService *service = lfirst(lc);

		if (service->server->serverid == load->table->serverid)
			until = Max(until, service->throttled_until);
	}
	list_free(services);
	return until > GetCurrentTimestamp() ? until : 0;
}

/* Which rows: the error itself counts those of the statement. */
static char *
chunk_context(const DvJob *job, const DvChunk *chunk, const char *context)
{
	return psprintf("%s%sjob \"%s\", chunk %d, whose first row is %lld", context ? context : "",
					context ? "\n" : "", job->name, chunk->number, (long long) chunk->first);
}

static void
fail(Load *load, const DvChunk *chunk, ErrorData *error)
{
	if (chunk != NULL)
		error->context = chunk_context(load->job, chunk, error->context);
	dv_journal_failed(load->journal, load->job, chunk, error->message, throttled_until(load));
	SPI_commit();
	ReThrowError(error);
}

/*
 * How far it is.
 */

static int64
rows_per_second(const Load *load)
{
	int64 ms = Max(1, (GetCurrentTimestamp() - load->began) / 1000);

	return (load->job->done - load->before) * 1000 / ms;
}

/* Hours may be many. */
static char *
hours(int64 seconds)
{
	return psprintf("%02lld:%02d:%02d", (long long) (seconds / SECS_PER_HOUR),
					(int) (seconds % SECS_PER_HOUR / SECS_PER_MINUTE),
					(int) (seconds % SECS_PER_MINUTE));
}

static void
tell_progress(Load *load)
{
	const DvJob *job = load->job;
	int64 rate = Max(1, rows_per_second(load));
	TimestampTz now = GetCurrentTimestamp();

	if (job->done == job->total || !TimestampDifferenceExceeds(load->told, now, TELL_EVERY_MS))
		return;
	load->told = now;
	ereport(NOTICE, (errmsg("job \"%s\": %lld of %lld rows (%d %%), %lld rows/s, %s left",
							job->name, (long long) job->done, (long long) job->total,
							(int) (job->done * 100 / job->total), (long long) rate,
							hours((job->total - job->done) / rate))));
}

static void
tell_end(const Load *load)
{
	const DvJob *job = load->job;

	ereport(NOTICE,
			(errmsg("job \"%s\" is finished: %lld of %lld rows loaded, %lld refused, %lld rows/s",
					job->name, (long long) (job->done - job->refused), (long long) job->total,
					(long long) job->refused, (long long) rows_per_second(load))));
}

/*
 * Chunks.
 */

/* For the statements that follow on this connection. */
static void
open_account(Load *load)
{
	EphemeralNamedRelation carrier = palloc0(sizeof(EphemeralNamedRelationData));
	int result;

	load->account.own_ids = load->job->made_ids;
	carrier->md.name = pstrdup(DV_MODIFY_ACCOUNT);
	carrier->md.enrtype = ENR_NAMED_TUPLESTORE;
	carrier->reldata = &load->account;
	result = SPI_register_relation(carrier);
	if (result < 0)
		elog(ERROR, "SPI_register_relation failed: %s", SPI_result_code_string(result));
}

static void
insert_chunk(Load *load)
{
	Oid types[2] = {INT8OID, INT8OID};
	Datum values[2] = {Int64GetDatum(load->chunk.first), Int64GetDatum(load->chunk.last)};
	int result;

	load->account.written = load->account.skipped = load->account.refused = 0;
	result = SPI_execute_with_args(load->insert, 2, types, values, NULL, false, 0);
	if (result < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s", SPI_result_code_string(result));
	load->chunk.loaded = load->account.written + load->account.skipped;
	load->chunk.refused = load->account.refused;
}

static void
load_chunks(Load *load)
{
	DvJob *job = load->job;

	open_account(load);
	load->insert = dv_staging_insert(job);
	while (dv_journal_next(load->journal, job, &load->chunk))
	{
		ErrorData *error;

		SPI_commit();
		CHECK_FOR_INTERRUPTS();
		error = attempt(insert_chunk, load);
		if (error != NULL)
			fail(load, &load->chunk, error);
		dv_journal_done(load->journal, job, &load->chunk, throttled_until(load));
		job->done += load->chunk.loaded + load->chunk.refused;
		job->refused += load->chunk.refused;
		tell_progress(load);
	}
}

/*
 * A job from its entry to its end.
 */

static void
stage(Load *load)
{
	dv_staging_make(load->journal, load->job, load->table);
	dv_journal_staged(load->journal, load->job, load->chunk_rows);
}

/* The rows are there, and may be sent, perhaps again. */
static void
check_staged(const Load *load)
{
	const DvJob *job = load->job;

	if (!OidIsValid(job->staging))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("the rows of job \"%s\" are no longer there", job->name),
						errdetail("The table that held them has been dropped."),
						errhint("Call with restart => true to begin anew.")));
	dv_staging_check(job, load->table);
}

static void
finish(Load *load)
{
	dv_staging_drop(load->job);
	dv_journal_finished(load->journal, load->job);
	SPI_commit();
	tell_end(load);
}

static void
reject_busy(const char *name)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
					errmsg("job \"%s\" is being run by another session", name),
					errhint("The view dataverse_job_progress tells how far it is, and by which "
							"process.")));
}

static char *
relation_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

static void
reject_other(const DvJob *job, Oid target, const char *query)
{
	if (job->target == target && strcmp(job->query, query) == 0)
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("job \"%s\" is another load", job->name),
		 errdetail("The job loads into %s: %s\nThe call loads into %s: %s",
				   OidIsValid(job->target) ? relation_name(job->target) : "a table that is gone",
				   job->query, relation_name(target), query),
		 errhint("Give the load a name of its own, or call with restart => true to replace the "
				 "other.")));
}

/* The job, entered if need be, and this session's alone. */
static DvJob *
claim(DvJournal *journal, const char *name, Oid target, const char *query)
{
	DvJob *job;

	dv_journal_enter(journal, name, target, query);
	SPI_commit();
	job = dv_journal_find(journal, name);
	if (job == NULL || !dv_journal_lock(journal, job))
		reject_busy(name);
	/* It may have come to its end, or away, before the lock was had. */
	SPI_commit();
	job = dv_journal_find(journal, name);
	if (job == NULL)
		reject_busy(name);
	return job;
}

static void
start_anew(Load *load, Oid target, const char *query)
{
	const char *name = load->job->name;

	dv_staging_drop(load->job);
	dv_journal_reset(load->journal, load->job, target, query);
	SPI_commit();
	load->job = dv_journal_find(load->journal, name);
}

/* Its rows stand in the staging table. */
static void
make_ready(Load *load)
{
	ErrorData *error;

	if (load->job->staged)
	{
		check_staged(load);
		ereport(NOTICE, (errmsg("job \"%s\" goes on: %lld of %lld rows are done", load->job->name,
								(long long) load->job->done, (long long) load->job->total)));
		return;
	}
	error = attempt(stage, load);
	if (error != NULL)
		fail(load, NULL, error);
	/* The rows' ids must outlive a crash before the first of them goes, whatever synchronous_commit says. */
	ForceSyncCommit();
	SPI_commit();
}

static void
run_job(Load *load)
{
	make_ready(load);
	dv_journal_begin(load->journal, load->job);
	load->began = load->told = GetCurrentTimestamp();
	load->before = load->job->done;
	load_chunks(load);
	finish(load);
}

/*
 * What the call says.
 */

static void
check_outside_of_transaction(FunctionCallInfo fcinfo)
{
	if (fcinfo->context != NULL && IsA(fcinfo->context, CallContext) &&
		!castNode(CallContext, fcinfo->context)->atomic)
		return;
	ereport(ERROR, (errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
					errmsg("dataverse_load cannot run inside a transaction block or a function"),
					errdetail("It commits after each chunk."),
					errhint("CALL it as a statement of its own.")));
}

static DvTable *
check_target(Oid relid)
{
	if (get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE ||
		!dv_functions_is_ours(GetForeignServer(GetForeignTable(relid)->serverid)->fdwid))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a foreign table of dataverse_fdw",
							   get_rel_name(relid) ? get_rel_name(relid) : "?")));
	return dv_options_table(relid);
}

/* Each chunk is one statement, which all its rows must fit where they are written together. */
static int64
choose_chunk_rows(FunctionCallInfo fcinfo, int argument, const DvTable *table)
{
	const DvSettings *settings = &table->settings;
	int64 rows = (int64) CHUNK_ROUNDS * settings->concurrency * settings->batch_size;

	if (PG_ARGISNULL(argument))
		return settings->atomic ? DV_BATCH_MAX : Max(CHUNK_MIN, rows);
	if (PG_GETARG_INT32(argument) < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("chunk_rows must be at least 1")));
	if (settings->atomic && PG_GETARG_INT32(argument) > DV_BATCH_MAX)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("chunk_rows must be at most %d for foreign table \"%s\"", DV_BATCH_MAX,
					table->name),
			 errdetail("Its option \"transaction\" wants the rows of a chunk written together.")));
	return PG_GETARG_INT32(argument);
}

static void
check_given(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", name)));
}

/* dataverse_load(target regclass, query text, job text, chunk_rows integer, restart boolean) */
DV_FUNCTION(dataverse_load)
{
	static const char *const names[] = {"target", "query", "job"};
	Load load = {0};
	bool restart = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	Oid target;
	char *query;

	check_outside_of_transaction(fcinfo);
	for (int i = 0; i < lengthof(names); i++)
		check_given(fcinfo, i, names[i]);
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect_ext failed");

	/* From here on memory lasts until SPI_finish, over all commits. */
	target = PG_GETARG_OID(0);
	query = text_to_cstring(PG_GETARG_TEXT_PP(1));
	load.table = check_target(target);
	dv_sessionkey_apply(load.table);
	load.chunk_rows = choose_chunk_rows(fcinfo, 3, load.table);
	load.journal = dv_journal_open(fcinfo->flinfo->fn_oid);
	load.job = claim(load.journal, text_to_cstring(PG_GETARG_TEXT_PP(2)), target, query);
	if (restart || (!load.job->finished && !load.job->staged))
		start_anew(&load, target, query);
	reject_other(load.job, target, query);
	if (load.job->finished)
		ereport(NOTICE, (errmsg("job \"%s\" is finished already", load.job->name),
						 errhint("Call with restart => true to run it again.")));
	else
		run_job(&load);
	dv_journal_unlock(load.journal, load.job);
	SPI_finish();
	PG_RETURN_VOID();
}

/* dataverse_load_forget(job text) */
DV_FUNCTION(dataverse_load_forget)
{
	DvJournal *journal;
	DvJob *job;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	journal = dv_journal_open(fcinfo->flinfo->fn_oid);
	job = dv_journal_find(journal, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (job != NULL)
	{
		if (!dv_journal_lock(journal, job))
			reject_busy(job->name);
		dv_staging_drop(job);
		dv_journal_forget(journal, job);
		dv_journal_unlock(journal, job);
	}
	SPI_finish();
	PG_RETURN_BOOL(job != NULL);
}
