/*
 * write.c
 *	  One write request for some rows: its shape, and what its answer says of
 *	  each.
 *
 * Shapes.  One row: the plain request of its kind.  Several: CreateMultiple,
 * UpsertMultiple, UpdateMultiple where the table has them, else a $batch of
 * plain requests that goes on after errors.  Deletes have no bulk message, and
 * none of the messages can leave existing rows alone, so those go by $batch
 * too.  A PATCH without If-Match creates (sheet 4.3): only upserts go without.
 * On an elastic table it also replaces the whole row, columns that were not
 * sent included (13.1), and so does UpsertMultiple.  So an upsert there is an
 * update, which merges, and where that finds no row a create.
 *
 * Answers.  A bulk message on a standard table is all or nothing and does not
 * name the row that failed: BLAME, and the caller halves.  An elastic one keeps
 * the good rows and says which they are.  In a $batch every row has an answer
 * of its own.  Three answers look like errors and are none:
 * a row that exists when existing ones are to be left alone, a row to delete or
 * update that is gone, and a clash with an id of our own making, which is the
 * echo of our own request whose answer was lost.
 *
 * Everything sent here may be sent twice: upserts, updates and deletes by their
 * nature, creates since they carry ids made here.
 */
#include "postgres.h"

#include "compat.h"

#include <time.h>

#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "exec/probe.h"
#include "exec/write.h"
#include "odata/batch.h"
#include "odata/fault.h"
#include "odata/page.h"
#include "remote/metadata.h"

#define MESSAGE_PREFIX "Microsoft.Dynamics.CRM."

/* Duplicate primary id, and a lost race of two upserts (sheet 4.1, 4.3); keys have a code of their own. */
#define CODE_DUPLICATE 0x80040237U

/* What fault decides when patience is at its end. */
#define LAST_ATTEMPT 100

typedef enum Shape
{
	SHAPE_SINGLE,
	SHAPE_MESSAGE,
	SHAPE_BATCH
} Shape;

struct DvWrite
{
	const DvWriter *writer;
	DvRowSet *set;
	const int *rows;
	int n;
	long delay_ms;
	Shape shape;
	MemoryContext context; /* texts of the request; child of the set's */
	DvCall *call;
	bool second_chance; /* rows that lost a race may have one */
};

/*
 * Upserts of elastic rows.  A row turns from update to create when it is not
 * there, and back, once, when somebody else has created it meanwhile.
 */

static bool
takes_turns(const DvWriter *writer)
{
	return writer->table->table_type == DV_TABLE_ELASTIC && writer->plan->mode == DV_WRITE_UPSERT &&
		   !writer->plan->do_nothing;
}

/* An id made here is nobody's: its row begins as a create. */
static int
turns_of(const DvRowSet *set, int row)
{
	return (set->turns != NULL ? set->turns[row] : 0) + (set->rows[row].id_given ? 0 : 1);
}

/*
 * Sending.
 */

static Shape
choose_shape(const DvWriter *writer, const DvRowSet *set, const DvWriteAsk *ask)
{
	const DvModifyPlan *plan = writer->plan;

	if (ask->n == 1)
		return SHAPE_SINGLE;
	/* A bulk message has no place for a row's version (sheet 5.1). */
	if (ask->by_row || plan->mode == DV_WRITE_DELETE || set->rows[ask->rows[0]].etag != NULL ||
		plan->do_nothing || takes_turns(writer) || writer->table->table_type == DV_TABLE_VIRTUAL ||
		!dv_metadata_bulk(writer->service, writer->table->table_name))
		return SHAPE_BATCH;
	return SHAPE_MESSAGE;
}

static const char *
message_name(DvWriteMode mode)
{
	switch (mode)
	{
		case DV_WRITE_CREATE:
			return MESSAGE_PREFIX "CreateMultiple";
		case DV_WRITE_UPSERT:
			return MESSAGE_PREFIX "UpsertMultiple";
		case DV_WRITE_UPDATE:
			return MESSAGE_PREFIX "UpdateMultiple";
		default:
			elog(ERROR, "no bulk message for write mode %d", (int) mode);
	}
}

/* One row's plain request. */
typedef struct Operation
{
	const char *method;
	StringInfoData path; /* below the service root */
	StringInfoData body;
	bool has_body;
	const char *condition; /* header line, or NULL */
} Operation;

static const char *
method_name(DvWriteMode mode)
{
	switch (mode)
	{
		case DV_WRITE_CREATE:
			return "POST";
		case DV_WRITE_DELETE:
			return "DELETE";
		default:
			return "PATCH";
	}
}

static void
make_operation(const DvWriter *writer, const DvRowSet *set, int row, Operation *operation)
{
	DvWriteMode mode = writer->plan->mode;

	initStringInfo(&operation->path);
	initStringInfo(&operation->body);
	operation->method = method_name(mode);
	operation->condition = NULL;
	operation->has_body = mode != DV_WRITE_DELETE;
	if (mode == DV_WRITE_CREATE)
		appendStringInfoString(&operation->path, writer->table->entity_set);
	else
		dv_identity_address(writer->identity, &set->rows[row], true, &operation->path);
	if (operation->has_body)
		dv_body_row_single(set->body, row, &operation->body);
	if (set->rows[row].etag != NULL)
		operation->condition = psprintf("If-Match: %s", set->rows[row].etag);
	else if (mode == DV_WRITE_UPDATE)
		operation->condition = "If-Match: *";
	else if (mode == DV_WRITE_UPSERT && writer->plan->do_nothing)
		operation->condition = "If-None-Match: *";
	else if (takes_turns(writer))
		operation->condition = turns_of(set, row) == 1 ? "If-None-Match: *" : "If-Match: *";
}

static DvCallSpec
base_spec(const DvWriter *writer, long delay_ms)
{
	DvCallSpec spec = {.method = "POST",
					   .delay_ms = delay_ms,
					   .repeat = DV_REPEAT_SAFE,
					   .tag = true,
					   .settings = &writer->table->settings,
					   .counters = writer->counters};

	return spec;
}

/* The properties that a single row's answer is to have; NULL for none. */
static const char *
wanted_back(const DvWriter *writer)
{
	if (writer->plan->mode == DV_WRITE_DELETE)
		return NULL;
	if (writer->returning == NULL && writer->tells && writer->plan->mode == DV_WRITE_UPSERT)
		return dv_identity_primary_id(writer->identity);
	return writer->returning;
}

static DvCall *
start_single(DvWrite *write)
{
	const DvWriter *writer = write->writer;
	DvCallSpec spec = base_spec(writer, write->delay_ms);
	const char *headers[3] = {NULL};
	int nheaders = 0;
	const char *wanted = wanted_back(writer);
	Operation operation;

	make_operation(writer, write->set, write->rows[0], &operation);
	if (wanted != NULL)
	{
		/* The row as it is after the write, in the same request (sheet 4.1, 4.3). */
		appendStringInfo(&operation.path, "?$select=%s", wanted);
		headers[nheaders++] = writer->labels
								  ? "Prefer: return=representation,odata.include-annotations=\"*\""
								  : "Prefer: return=representation";
	}
	if (operation.condition)
		headers[nheaders++] = operation.condition;
	spec.method = operation.method;
	spec.path = operation.path.data;
	spec.headers = headers;
	if (operation.has_body)
	{
		spec.body = operation.body.data;
		spec.body_len = operation.body.len;
	}
	return dv_call_start(writer->service, &spec);
}

static DvCall *
start_message(DvWrite *write)
{
	const DvWriter *writer = write->writer;
	DvCallSpec spec = base_spec(writer, write->delay_ms);
	/* Elastic tables tell what became of each row only to those who ask (sheet 5.4). */
	static const char *const details[] = {
		"Prefer: odata.include-annotations=\"Microsoft.PowerApps.CDS.ErrorDetails.*\"", NULL};
	StringInfoData body;

	initStringInfo(&body);
	dv_body_targets(write->set->body, write->rows, write->n, &body);
	spec.path = psprintf("%s/%s", writer->table->entity_set, message_name(writer->plan->mode));
	spec.headers = details;
	spec.body = body.data;
	spec.body_len = body.len;
	return dv_call_start(writer->service, &spec);
}

/* The service root as a path without its host: requests inside a batch name it (sheet 5.6). */
static const char *
root_path(const DvService *service)
{
	const char *host = strstr(service->server->root, "://");
	const char *path = host ? strchr(host + 3, '/') : NULL;

	return path ? path : "";
}

/* MSCRM headers count for the operation they stand at, not for the batch (sheet 5.6). */
static void
append_optional_headers(StringInfo out, const DvSettings *settings)
{
	if (settings->bypass_business_logic)
		appendStringInfo(out, "MSCRM.BypassBusinessLogicExecution: %s\r\n",
						 settings->bypass_business_logic);
	if (settings->bypass_flows)
		appendStringInfoString(out, "MSCRM.SuppressCallbackRegistrationExpanderJob: true\r\n");
	if (!settings->suppress_duplicate_detection)
		appendStringInfoString(out, "MSCRM.SuppressDuplicateDetection: false\r\n");
}

void
dv_write_part(const DvWriter *writer, const DvRowSet *set, int row, DvBatch *batch, int content_id)
{
	const DvSettings *settings = &writer->table->settings;
	StringInfoData headers;
	StringInfoData path;
	Operation operation;

	make_operation(writer, set, row, &operation);
	initStringInfo(&path);
	appendStringInfo(&path, "%s/%s", root_path(writer->service), operation.path.data);
	if (settings->tag)
	{
		const char *tag = pg_server_to_any(settings->tag, strlen(settings->tag), PG_UTF8);

		appendStringInfoString(&path, "?tag=");
		dv_url_escape(&path, tag, strlen(tag), NULL);
	}
	initStringInfo(&headers);
	if (operation.condition)
		appendStringInfo(&headers, "%s\r\n", operation.condition);
	append_optional_headers(&headers, settings);
	dv_batch_add(batch, operation.method, path.data, headers.data,
				 operation.has_body ? operation.body.data : NULL, operation.body.len, content_id);
	pfree(operation.path.data);
	pfree(operation.body.data);
	pfree(headers.data);
	pfree(path.data);
}

/* Text that no data can hold, since nobody has seen it. */
char *
dv_write_boundary(void)
{
	uint8 bytes[16];
	StringInfoData seed;

	if (!pg_strong_random(bytes, sizeof(bytes)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
	initStringInfo(&seed);
	for (int i = 0; i < sizeof(bytes); i++)
		appendStringInfo(&seed, "%02x", bytes[i]);
	return seed.data;
}

static DvCall *
start_batch(DvWrite *write)
{
	static const char *const headers[] = {"Prefer: odata.continue-on-error", NULL};
	DvCallSpec spec = base_spec(write->writer, write->delay_ms);
	DvBatch *batch = dv_batch_create(dv_write_boundary());
	StringInfoData body;

	for (int i = 0; i < write->n; i++)
		dv_write_part(write->writer, write->set, write->rows[i], batch, i);
	initStringInfo(&body);
	spec.content_type = dv_batch_finish(batch, &body);
	spec.path = "$batch";
	spec.headers = headers;
	spec.body = body.data;
	spec.body_len = body.len;
	spec.tag = false; /* its parts carry them */
	return dv_call_start(write->writer->service, &spec);
}

DvWrite *
dv_write_start(const DvWriter *writer, DvRowSet *set, const DvWriteAsk *ask)
{
	MemoryContext context =
		AllocSetContextCreate(set->context, "dataverse_fdw write request", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	DvWrite *write = palloc0(sizeof(DvWrite));

	Assert(ask->n > 0);
	write->writer = writer;
	write->set = set;
	write->rows = ask->rows;
	write->n = ask->n;
	set->sent = ask->rows;
	set->nsent = ask->n;
	set->there = NULL;
	write->delay_ms = ask->delay_ms;
	write->context = context;
	write->shape = choose_shape(writer, set, ask);
	switch (write->shape)
	{
		case SHAPE_SINGLE:
			write->call = start_single(write);
			break;
		case SHAPE_MESSAGE:
			write->call = start_message(write);
			break;
		case SHAPE_BATCH:
			write->call = start_batch(write);
			break;
	}
	MemoryContextSwitchTo(old);
	return write;
}

DvCall *
dv_write_call(const DvWrite *write)
{
	return write->call;
}

/*
 * What an error means.
 */

static bool
is_unique(const DvError *error)
{
	return error->kind == DV_ERROR_HTTP && dv_fault_class(error) == DV_FAULT_UNIQUE;
}

static bool
is_missing(const DvError *error)
{
	return error->kind == DV_ERROR_HTTP && dv_fault_class(error) == DV_FAULT_NOT_FOUND;
}

/* Could another row have fared better? Not when the user, the table or the service is at fault. */
static bool
is_fault_of_row(const DvError *error)
{
	if (error->kind != DV_ERROR_HTTP)
		return false;
	switch (dv_fault_class(error))
	{
		case DV_FAULT_AUTH:
		case DV_FAULT_THROTTLED:
		case DV_FAULT_RETRY:
		case DV_FAULT_UNAVAILABLE:
		case DV_FAULT_TABLE:
			return false;
		default:
			return true;
	}
}

/* Half as many rows might do, or, for one row, another attempt. */
static bool
is_too_slow(const DvError *error)
{
	long wait;

	return dv_fault_decide(error, DV_REPEAT_SAFE, LAST_ATTEMPT, 0, &wait) == DV_VERDICT_SPLIT;
}

/* Of two upserts of a new key at a time one is refused, although it would now update (sheet 4.3). */
static bool
is_lost_race(const DvWriter *writer, const DvError *error)
{
	return writer->plan->mode == DV_WRITE_UPSERT && !writer->plan->do_nothing && is_unique(error) &&
		   error->code == CODE_DUPLICATE;
}

static bool
may_have_raced(DvWrite *write, const DvError *error)
{
	if (!is_lost_race(write->writer, error) || write->set->raced)
		return false;
	write->set->raced = true;
	return true;
}

/* True when the row is to be sent again in its other form. */
static bool
take_turn(DvWrite *write, int row, const DvError *error)
{
	DvRowSet *set = write->set;
	int turns = turns_of(set, row);

	if (!takes_turns(write->writer) || turns > 1 ||
		!(turns == 0 ? is_missing(error) : error->status == 412 || is_unique(error)))
		return false;
	if (set->turns == NULL)
		set->turns = MemoryContextAllocZero(set->context, set->cap);
	set->turns[row]++;
	set->turned = true;
	return true;
}

static DvProbe
make_probe(const DvWriter *writer)
{
	DvProbe probe = {.service = writer->service,
					 .table = writer->table,
					 .primary_id = dv_identity_primary_id(writer->identity),
					 .counters = writer->counters};

	return probe;
}

static bool
is_elastic(const DvWriter *writer)
{
	return writer->table->table_type == DV_TABLE_ELASTIC;
}

/* Of the rows listed, those with keys that are there are marked. */
static void
find_keys(const DvWriter *writer, DvRowSet *set, const int *rows, int n)
{
	DvProbe probe = make_probe(writer);
	const DvKeyPart **keys = palloc(sizeof(DvKeyPart *) * n);
	int nkeys;
	const DvColumn *const *columns = dv_identity_keys(writer->identity, &nkeys);
	char **ids;

	for (int i = 0; i < n; i++)
		keys[i] = set->rows[rows[i]].keys;
	ids = dv_probe_keys(&probe, columns, nkeys, keys, n);
	for (int i = 0; i < n; i++)
		set->there[rows[i]] = ids[i] != NULL;
}

static void
find_ids(const DvWriter *writer, DvRowSet *set, const int *rows, int n)
{
	DvProbe probe = make_probe(writer);
	const char **ids = palloc(sizeof(char *) * n);
	bool *found;

	for (int i = 0; i < n; i++)
		ids[i] = set->rows[rows[i]].id;
	found = dv_probe_ids(&probe, ids, n);
	for (int i = 0; i < n; i++)
		set->there[rows[i]] = found[i];
}

/* Which of the open rows of the last request are there?  One question for all of them. */
static void
find_there(const DvWriter *writer, DvRowSet *set)
{
	int *by_id = palloc(sizeof(int) * set->nsent);
	int *by_key = palloc(sizeof(int) * set->nsent);
	int nids = 0;
	int nkeys = 0;

	set->there = MemoryContextAllocZero(set->context, sizeof(bool) * set->nrows);
	for (int i = 0; i < set->nsent; i++)
	{
		int row = set->sent[i];

		if (set->fates[row] != DV_FATE_OPEN)
			continue;
		if (set->rows[row].by_key)
			by_key[nkeys++] = row;
		else
			by_id[nids++] = row;
	}
	if (nids > 0)
		find_ids(writer, set, by_id, nids);
	if (nkeys > 0)
		find_keys(writer, set, by_key, nkeys);
}

/*
 * "Does not exist" may mean the row or something it points to, with one code
 * for both, and messages are not to be read (sheet 3.5, 7.4): so ask.
 */
static bool
is_there(const DvWriter *writer, DvRowSet *set, int row)
{
	if (set->there == NULL)
		find_there(writer, set);
	return set->there[row];
}

/*
 * Could a create have gone through before?  An elastic table's refusal says
 * nothing of an earlier attempt of the same call.
 */
static bool
may_be_there(const DvWriter *writer, const DvRowSet *set)
{
	return set->doubtful || writer->own_ids || is_elastic(writer);
}

/*
 * Is a refused create the echo of our own request, whose answer was lost?  It
 * is when the id made here is taken; the service may also name an alternate
 * key first, which is then the row's own or another row's.
 */
static bool
is_echo(const DvWriter *writer, DvRowSet *set, int row, const DvError *error)
{
	if (!may_be_there(writer, set) || !is_unique(error) || set->rows[row].id_given)
		return false;
	return error->code == CODE_DUPLICATE || is_there(writer, set, row);
}

/*
 * A create was refused that may have gone through before: which ids are there?
 * True when some are.
 */
static bool
sift_created(DvWrite *write)
{
	DvRowSet *set = write->set;
	bool any = false;

	for (int i = 0; i < write->n; i++)
	{
		/* An id of the user's may have been there before. */
		if (set->fates[write->rows[i]] != DV_FATE_OPEN || set->rows[write->rows[i]].id_given ||
			!is_there(write->writer, set, write->rows[i]))
			continue;
		set->fates[write->rows[i]] = DV_FATE_WRITTEN;
		any = true;
	}
	return any;
}

/* Elastic tables keep the rows that were good (sheet 5.2), and may say which. True when some were. */
static bool
sift_told(DvWrite *write, const DvError *error)
{
	int *statuses = palloc0(sizeof(int) * write->n);
	bool any = false;

	if (error->row_errors == NULL)
		return false;
	dv_fault_row_statuses(error->row_errors, statuses, write->n);
	for (int i = 0; i < write->n; i++)
	{
		if (statuses[i] < 200 || statuses[i] >= 300)
			continue;
		write->set->fates[write->rows[i]] = DV_FATE_WRITTEN;
		any = true;
	}
	write->set->told_apart = any;
	return any;
}

/*
 * An update was refused because rows are gone: which?  True when some are;
 * else something that a row points to is missing.
 */
static bool
sift_gone(DvWrite *write)
{
	DvRowSet *set = write->set;
	bool any = false;

	for (int i = 0; i < write->n; i++)
	{
		if (set->fates[write->rows[i]] != DV_FATE_OPEN ||
			is_there(write->writer, set, write->rows[i]))
			continue;
		set->fates[write->rows[i]] = DV_FATE_SKIPPED;
		any = true;
	}
	return any;
}

/*
 * Judging.
 */

/* Answers that look like errors and are none. */
DvFate
dv_write_harmless(const DvWriter *writer, DvRowSet *set, int row, const DvError *error)
{
	switch (writer->plan->mode)
	{
		case DV_WRITE_CREATE:
			if (is_echo(writer, set, row, error))
				return DV_FATE_WRITTEN;
			if (is_unique(error) && writer->plan->do_nothing)
				return DV_FATE_SKIPPED;
			break;
		case DV_WRITE_UPSERT:
			if (writer->plan->do_nothing && !set->rows[row].by_key &&
				is_echo(writer, set, row, error))
				return DV_FATE_WRITTEN;
			if (writer->plan->do_nothing && (error->status == 412 || is_unique(error)))
				return DV_FATE_SKIPPED;
			break;
		case DV_WRITE_UPDATE:
			if (is_missing(error) && !is_there(writer, set, row))
				return DV_FATE_SKIPPED;
			break;
		case DV_WRITE_DELETE:
			if (is_missing(error))
				return set->doubtful ? DV_FATE_WRITTEN : DV_FATE_SKIPPED;
			break;
	}
	return DV_FATE_OPEN;
}

/* What an operation's error in a $batch means for its row: it may stay open for another attempt. */
static void
judge_row(DvWrite *write, int row, const DvError *error, long *wait_ms)
{
	DvFate fate;
	long wait = 0;

	if (take_turn(write, row, error))
		return;
	/* The rows of one answer share the second chance. */
	if (is_lost_race(write->writer, error) && write->second_chance)
	{
		write->set->raced = true;
		return;
	}
	fate = dv_write_harmless(write->writer, write->set, row, error);
	write->set->fates[row] = fate;
	if (fate != DV_FATE_OPEN)
		return;
	if (dv_fault_decide(error, DV_REPEAT_SAFE, 0, 0.5, &wait) == DV_VERDICT_FAIL)
		dv_rowset_refuse(write->set, row, error);
	*wait_ms = Max(*wait_ms, wait);
}

static DvOutcome
judge_single(DvWrite *write, const DvError *error)
{
	int row = write->rows[0];
	DvRowSet *set = write->set;

	if (may_have_raced(write, error))
		return DV_OUTCOME_AGAIN;
	if (is_too_slow(error) && !set->slow)
	{
		set->slow = true;
		return DV_OUTCOME_AGAIN;
	}
	/* The call has had all the patience there is: what it still calls passing is the end. */
	if (!is_fault_of_row(error))
		return DV_OUTCOME_FATAL;
	if (take_turn(write, row, error))
		return DV_OUTCOME_AGAIN;
	set->fates[row] = dv_write_harmless(write->writer, set, row, error);
	if (set->fates[row] == DV_FATE_OPEN)
		dv_rowset_refuse(set, row, error);
	return DV_OUTCOME_DONE;
}

static bool
any_open(const DvWrite *write)
{
	for (int i = 0; i < write->n; i++)
	{
		if (write->set->fates[write->rows[i]] == DV_FATE_OPEN)
			return true;
	}
	return false;
}

/*
 * Which rows of a refused bulk message need not, or must not, be sent again?
 * True when there are some.
 */
static bool
sift(DvWrite *write, const DvError *error)
{
	bool elastic = write->writer->table->table_type == DV_TABLE_ELASTIC;
	DvWriteMode mode = write->writer->plan->mode;
	bool any;

	if (write->shape != SHAPE_MESSAGE)
		return false;
	any = elastic && sift_told(write, error);
	if (mode == DV_WRITE_CREATE &&
		((elastic && error->row_errors == NULL) ||
		 ((write->set->doubtful || write->writer->own_ids) && is_unique(error))))
		any = sift_created(write) || any;
	/* An id of an elastic table may be there in another partition (sheet 13.1): not asked about. */
	if (mode == DV_WRITE_UPDATE && !elastic && is_missing(error))
		any = sift_gone(write) || any;
	return any;
}

/* A request for several rows that was refused as a whole. */
static DvOutcome
judge_many(DvWrite *write, const DvError *error)
{
	if (may_have_raced(write, error))
		return DV_OUTCOME_AGAIN;
	if (is_too_slow(error))
		return DV_OUTCOME_SMALLER;
	if (!is_fault_of_row(error))
		return DV_OUTCOME_FATAL;
	if (sift(write, error))
		return any_open(write) ? DV_OUTCOME_AGAIN : DV_OUTCOME_DONE;
	return DV_OUTCOME_BLAME;
}

/* last: the error of a row that stays open, for when patience ends. */
static void
judge_part(DvWrite *write, int row, const DvBatchPart *part, DvError *last, long *wait_ms)
{
	DvError error = {0};
	char *retry_after;

	if (part->status >= 200 && part->status < 300)
	{
		write->set->fates[row] = DV_FATE_WRITTEN;
		return;
	}
	dv_fault_parse(part->status, part->body, part->body_len, &error);
	retry_after = dv_batch_part_header(part, "Retry-After");
	if (retry_after)
		error.retry_after_ms = dv_fault_retry_after(retry_after, (int64) time(NULL));
	if (error.request_id == NULL)
		error.request_id = dv_batch_part_header(part, "REQ_ID");
	judge_row(write, row, &error, wait_ms);
	if (write->set->fates[row] == DV_FATE_OPEN)
		*last = error;
}

static DvOutcome
judge_batch(DvWrite *write, DvError *error, long *wait_ms)
{
	DvBatchPart *parts;
	int nparts;
	size_t len;
	const char *body = dv_call_body(write->call, &len);
	const char *type = dv_call_header(write->call, "Content-Type");

	if (!dv_batch_split(type ? type : "", body, len, &parts, &nparts, error))
		return DV_OUTCOME_FATAL;
	if (nparts == 0 || nparts > write->n)
	{
		dv_error_set(error, DV_ERROR_PROTOCOL, "a batch of %d operations has %d answers", write->n,
					 nparts);
		return DV_OUTCOME_FATAL;
	}
	write->second_chance = !write->set->raced;
	/* Answers come in order; operations without one were not executed (sheet 5.7). */
	if (nparts < write->n)
		dv_error_set(error, DV_ERROR_PROTOCOL, "a batch of %d operations has %d answers", write->n,
					 nparts);
	for (int i = 0; i < nparts; i++)
		judge_part(write, write->rows[i], &parts[i], error, wait_ms);
	return any_open(write) ? DV_OUTCOME_AGAIN : DV_OUTCOME_DONE;
}

/* How many rows an answer to CreateMultiple names: {"@odata.context":"..","Ids":["..",..]} (sheet 5.1). */
static int
count_ids(const char *body, size_t len)
{
	const char *end = body + len;
	const char *p = strstr(body, "\"Ids\"");
	int quotes = 0;

	if (p == NULL)
		return -1;
	for (p = strchr(p, '['); p != NULL && p < end; p++)
	{
		if (*p == ']')
			return quotes / 2;
		quotes += *p == '"';
	}
	return -1;
}

/* Nothing, or what looks like all of a JSON object. */
static bool
is_whole(const char *body, size_t len)
{
	return len == 0 || (body[0] == '{' && body[len - 1] == '}');
}

/*
 * Success is 204, or an OData answer that says what was created (sheet 4.1,
 * 4.3, 5.1).  A 200 with anything else comes from somebody on the way, and to
 * take it for the service's would lose the rows.
 */
static bool
check_success(DvWrite *write, DvError *error)
{
	int status = dv_call_status(write->call);
	size_t len;
	const char *body = dv_call_body(write->call, &len);
	int ids;

	if (status == 204)
		return true;
	if (dv_call_header(write->call, "OData-Version") == NULL || !is_whole(body, len))
		dv_error_set(error, DV_ERROR_PROTOCOL,
					 "the answer (HTTP status %d) is not one that the service gives", status);
	else if (write->shape == SHAPE_MESSAGE && write->writer->plan->mode == DV_WRITE_CREATE &&
			 (ids = count_ids(body, len)) != write->n)
		dv_error_set(error, DV_ERROR_PROTOCOL, "the answer to %d creates names %d rows", write->n,
					 Max(ids, 0));
	else
		return true;
	error->status = status;
	write->set->doubtful = true;
	return false;
}

/* A single row's answer: the row, or, where nobody returns it, what there is to tell of it. */
static void
keep_answer(DvWrite *write)
{
	DvRowSet *set = write->set;
	const char *properties[1];
	DvField field = {0};
	DvError error = {0};
	MemoryContext old = MemoryContextSwitchTo(set->context);
	DvPage *page;

	set->told = dv_call_status(write->call);
	set->answer = dv_call_take_body(write->call, &set->answer_len);
	if (write->writer->returning == NULL)
	{
		properties[0] = dv_identity_primary_id(write->writer->identity);
		page = dv_page_open(set->answer, set->answer_len, PG_UTF8, true, properties, 1);
		set->found = palloc0(sizeof(char *));
		if (dv_page_row(page, &field, &error) && field.kind == DV_FIELD_STRING)
			set->found[0] = pnstrdup(field.text, field.len);
		dv_page_close(page);
	}
	MemoryContextSwitchTo(old);
}

/* A good answer to anything but a $batch: all rows are written. */
static DvOutcome
accept_all(DvWrite *write, DvError *error)
{
	DvRowSet *set = write->set;

	if (!check_success(write, error))
		return DV_OUTCOME_FATAL;
	for (int i = 0; i < write->n; i++)
		set->fates[write->rows[i]] = DV_FATE_WRITTEN;
	if (write->shape == SHAPE_SINGLE && wanted_back(write->writer) != NULL &&
		dv_call_status(write->call) != 204)
		keep_answer(write);
	return DV_OUTCOME_DONE;
}

static DvOutcome
judge(DvWrite *write, DvError *error, long *wait_ms)
{
	if (error->kind == DV_ERROR_NONE)
		return write->shape == SHAPE_BATCH ? judge_batch(write, error, wait_ms)
										   : accept_all(write, error);
	return write->shape == SHAPE_SINGLE ? judge_single(write, error) : judge_many(write, error);
}

static int
count_written(const DvWrite *write)
{
	int n = 0;

	for (int i = 0; i < write->n; i++)
		n += write->set->fates[write->rows[i]] == DV_FATE_WRITTEN;
	return n;
}

DvOutcome
dv_write_finish(DvWrite *write, DvError *error, long *wait_ms, int *written)
{
	MemoryContext old = MemoryContextSwitchTo(write->context);
	DvRowSet *set = write->set;
	DvError failure = *dv_call_error(write->call);
	DvOutcome outcome;

	*wait_ms = 0;
	set->doubtful = set->doubtful || dv_call_ambiguous(write->call);
	outcome = judge(write, &failure, wait_ms);
	dv_rowset_copy_error(set, error, &failure);
	*written = count_written(write);
	write->writer->counters->rows += *written;
	MemoryContextSwitchTo(old);
	dv_call_release(write->call);
	MemoryContextDelete(write->context);
	return outcome;
}

const char *
dv_write_read(const DvWriter *writer, DvRowSet *set, int row, size_t *len)
{
	static const char *const annotations[] = {"Prefer: odata.include-annotations=\"*\"", NULL};
	MemoryContext old = MemoryContextSwitchTo(set->context);
	DvCallSpec spec = base_spec(writer, 0);
	StringInfoData path;
	DvCall *call;
	const char *body;

	initStringInfo(&path);
	dv_identity_address(writer->identity, &set->rows[row], true, &path);
	appendStringInfo(&path, "?$select=%s", writer->returning);
	spec.method = "GET";
	spec.path = path.data;
	spec.headers = writer->labels ? annotations : NULL;
	spec.tag = false;
	call = dv_call_now(writer->service, &spec);
	body = dv_call_take_body(call, len);
	dv_call_release(call);
	MemoryContextSwitchTo(old);
	return body;
}
