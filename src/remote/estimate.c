/*
 * estimate.c
 *	  How many rows there are, about, as the service says.
 *
 * Two sources (sheet 2.7).  RetrieveTotalRecordCount: the whole table, from a
 * snapshot up to a day old that ignores the user's rights; standard tables only.
 * $count with a condition: exact, as the user sees it, but never more than
 * 5,000.
 *
 * Estimating must not be able to do harm.  Whatever goes wrong becomes "unknown"
 * and a line at DEBUG1, except that a cancelled query stays cancelled.  The
 * patience is short and nothing is repeated: a plan made without the figure is
 * better than one that comes late.  Where the service has asked everybody to
 * wait, it is not asked.  What was found, failures too, is remembered for a
 * minute.
 *
 * An error is caught in a subtransaction, since below there is code that looks
 * up catalogs and may throw in the middle of it.  Parallel workers cannot have
 * one, so they do without the figure.
 */
#include "postgres.h"

#include "compat.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "odata/page.h"
#include "odata/url.h"
#include "remote/estimate.h"

/* Seconds; of the server's own limits only shorter ones hold. */
#define PATIENCE 10

/* Answers remembered; when there are more, all are forgotten. */
#define KEPT_MAX 512

/* Hashes stand for the question: a collision would cost a bad plan, not an answer. */
typedef struct Question
{
	Oid umid;
	uint64 hash;
	uint64 hash2;
} Question;

typedef struct Answer
{
	Question question;
	double rows;
	TimestampTz at;
} Answer;

static HTAB *answers = NULL;

static void
make_question(Question *question, Oid umid, const char *root, const char *path)
{
	char *text = psprintf("%s/%s", root, path);

	memset(question, 0, sizeof(*question));
	question->umid = umid;
	question->hash = hash_bytes_extended((unsigned char *) text, (int) strlen(text), 0);
	question->hash2 = hash_bytes_extended((unsigned char *) text, (int) strlen(text), 1);
	pfree(text);
}

static void
open_cache(void)
{
	HASHCTL control = {.keysize = sizeof(Question), .entrysize = sizeof(Answer)};

	if (answers != NULL)
		return;
	control.hcxt = CacheMemoryContext;
	answers =
		hash_create("dataverse_fdw estimates", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void
forget_all(void)
{
	HASH_SEQ_STATUS scan;
	Answer *answer;

	hash_seq_init(&scan, answers);
	while ((answer = hash_seq_search(&scan)) != NULL)
		hash_search(answers, &answer->question, HASH_REMOVE, NULL);
}

static bool
recall(const Question *question, double *rows)
{
	Answer *answer;

	open_cache();
	answer = hash_search(answers, question, HASH_FIND, NULL);
	if (answer == NULL ||
		TimestampDifferenceExceeds(answer->at, GetCurrentTimestamp(), DV_ESTIMATE_SECONDS * 1000))
		return false;
	*rows = answer->rows;
	return true;
}

static void
remember(const Question *question, double rows)
{
	Answer *answer;

	if (hash_get_num_entries(answers) >= KEPT_MAX)
		forget_all();
	answer = hash_search(answers, question, HASH_ENTER, NULL);
	answer->rows = rows;
	answer->at = GetCurrentTimestamp();
}

/* The same service with less patience.  Its counters are lost but for those added here. */
static DvService *
hurried(const DvService *service)
{
	DvService *copy = palloc(sizeof(DvService));
	DvServerOptions *server = palloc(sizeof(DvServerOptions));

	*copy = *service;
	*server = *service->server;
	server->connect_timeout = Min(server->connect_timeout, PATIENCE);
	server->request_timeout = Min(server->request_timeout, PATIENCE);
	server->retry_timeout = 0;
	copy->server = server;
	return copy;
}

static void
keep_totals(DvService *service, const DvService *copy)
{
	service->requests = copy->requests;
	service->retries = copy->retries;
	service->bytes_in = copy->bytes_in;
	service->bytes_out = copy->bytes_out;
	service->last_used = copy->last_used;
	service->answered = copy->answered;
	service->dop_hint = copy->dop_hint;
	service->throttled_until = Max(service->throttled_until, copy->throttled_until);
}

/* Digits, perhaps after a byte order mark; -1 for anything else. */
static double
read_number(const char *text, size_t len)
{
	char *digits;

	if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
	{
		text += 3;
		len -= 3;
	}
	digits = pnstrdup(text, len);
	if (len == 0 || digits[strspn(digits, "0123456789")] != '\0')
		return -1;
	return strtod(digits, NULL);
}

/* One member of a JSON object, raw; false when it is not there. */
static bool
read_member(const char *body, size_t len, const char *name, DvField *field)
{
	DvPage *page = dv_page_open(body, len, PG_UTF8, true, &name, 1);
	DvError error = {0};

	return dv_page_row(page, field, &error) && field->kind != DV_FIELD_ABSENT;
}

/* {"EntityRecordCountCollection":{...,"Keys":["account"],"Values":[55]}} */
static double
read_total(const char *body, size_t len)
{
	DvField collection;
	DvField values;

	if (!read_member(body, len, "EntityRecordCountCollection", &collection) ||
		!read_member(collection.text, collection.len, "Values", &values) || values.len < 3 ||
		values.text[0] != '[')
		return -1;
	return read_number(values.text + 1, values.len - 2);
}

typedef double (*AnswerReader)(const char *body, size_t len);

static double
ask(DvService *service, const char *path, AnswerReader read)
{
	DvService *copy = hurried(service);
	DvCallSpec spec = {.method = "GET", .path = path, .repeat = DV_REPEAT_SAFE};
	double rows = -1;
	DvCall *call;
	const char *body;
	size_t len;

	if (service->throttled_until > GetCurrentTimestamp())
		return -1;
	call = dv_call_start(copy, &spec);
	dv_call_wait(call);
	keep_totals(service, copy);
	if (dv_call_error(call)->kind != DV_ERROR_NONE)
		elog(DEBUG1, "no estimate from server \"%s\": %s", service->server->name,
			 dv_call_error(call)->message);
	else
	{
		body = dv_call_body(call, &len);
		rows = read(body, len);
	}
	dv_call_release(call);
	return rows;
}

/* Asked already?  Else asks and remembers. */
static double
look_up(Oid userid, const DvTable *table, const char *path, AnswerReader read)
{
	DvService *service = dv_service_open(table->serverid, userid);
	Question question;
	double rows;

	make_question(&question, service->user->umid, service->server->root, path);
	if (recall(&question, &rows))
		return rows;
	/* Should it be thrown out of the question, that is the answer. */
	remember(&question, -1);
	rows = ask(service, path, read);
	remember(&question, rows);
	return rows;
}

/*
 * Only what the user or the system wants to stop goes through, and not before
 * our subtransaction is closed: who catches it further up closes his own.
 */
static void
swallow_error(MemoryContext before, ResourceOwner owner)
{
	ErrorData *error;

	MemoryContextSwitchTo(before);
	error = CopyErrorData();
	FlushErrorState();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(before);
	CurrentResourceOwner = owner;
	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
		ReThrowError(error);
	elog(DEBUG1, "no estimate from the service: %s", error->message);
	FreeErrorData(error);
}

static double
estimate(Oid userid, const DvTable *table, const char *path, AnswerReader read)
{
	MemoryContext before = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext work;
	volatile double rows = -1;

	if (IsInParallelMode())
		return -1;
	work = AllocSetContextCreate(before, "dataverse_fdw estimate", ALLOCSET_DEFAULT_SIZES);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(work);
	PG_TRY();
	{
		rows = look_up(userid, table, path, read);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		swallow_error(before, owner);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(before);
	CurrentResourceOwner = owner;
	MemoryContextDelete(work);
	return rows;
}

static char *
total_path(const DvTable *table)
{
	StringInfoData path;

	initStringInfo(&path);
	appendStringInfoString(&path, "RetrieveTotalRecordCount(EntityNames=@p1)?@p1=%5B%22");
	dv_url_escape(&path, table->table_name, strlen(table->table_name), NULL);
	appendStringInfoString(&path, "%22%5D");
	return path.data;
}

double
dv_estimate_table(Oid userid, const DvTable *table)
{
	if (table->table_type != DV_TABLE_STANDARD)
		return -1;
	return estimate(userid, table, total_path(table), read_total);
}

/*
 * Beside other requests.  Nothing is caught: what the caller's own requests
 * would throw as well may be thrown here.
 */

struct DvEstimate
{
	DvService *service;
	DvService *copy;
	Question question;
	DvCall *call;
};

bool
dv_estimate_remembered(DvService *service, const DvTable *table, double *rows)
{
	Question question;

	make_question(&question, service->user->umid, service->server->root, total_path(table));
	return recall(&question, rows);
}

DvEstimate *
dv_estimate_ask(DvService *service, const DvTable *table, DvCounters *counters)
{
	DvEstimate *estimate = palloc0(sizeof(DvEstimate));
	DvCallSpec spec = {
		.method = "GET", .path = total_path(table), .repeat = DV_REPEAT_SAFE, .counters = counters};

	if (table->table_type != DV_TABLE_STANDARD || service->throttled_until > GetCurrentTimestamp())
		return NULL;
	estimate->service = service;
	estimate->copy = hurried(service);
	estimate->copy->requests = 0;
	estimate->copy->retries = 0;
	estimate->copy->bytes_in = 0;
	estimate->copy->bytes_out = 0;
	make_question(&estimate->question, service->user->umid, service->server->root, spec.path);
	estimate->call = dv_call_start(estimate->copy, &spec);
	return estimate;
}

DvCall *
dv_estimate_call(const DvEstimate *estimate)
{
	return estimate->call;
}

/* Of the copy's totals only its own request: other calls went on meanwhile. */
static void
add_totals(DvEstimate *estimate)
{
	DvService *service = estimate->service;
	const DvService *copy = estimate->copy;

	service->requests += copy->requests;
	service->retries += copy->retries;
	service->bytes_in += copy->bytes_in;
	service->bytes_out += copy->bytes_out;
	service->throttled_until = Max(service->throttled_until, copy->throttled_until);
}

double
dv_estimate_take(DvEstimate *estimate)
{
	const DvError *error = dv_call_error(estimate->call);
	double rows = -1;

	if (error->kind != DV_ERROR_NONE)
		elog(DEBUG1, "no estimate from server \"%s\": %s", estimate->service->server->name,
			 error->message);
	else
	{
		size_t len;
		const char *body = dv_call_body(estimate->call, &len);

		rows = read_total(body, len);
	}
	add_totals(estimate);
	remember(&estimate->question, rows);
	dv_call_release(estimate->call);
	return rows;
}

double
dv_estimate_filter(Oid userid, const DvTable *table, const char *filter)
{
	DvQuery query = {.top = -1};
	StringInfoData path;

	query.path = psprintf("%s/$count", table->entity_set);
	query.filter = pg_server_to_any(filter, strlen(filter), PG_UTF8);
	initStringInfo(&path);
	dv_url_query(&path, &query);
	return estimate(userid, table, path.data, read_number);
}
