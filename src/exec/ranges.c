/*
 * ranges.c
 *	  Asks the requests of a pushed aggregate, in ranges of dates where the
 *	  whole is too much for the service.
 *
 * The service aggregates at most 50,000 rows in one request and says so only
 * when asked for more (sheet 2.9).  Then a page of the rows' dates is read as a
 * sample, the range is cut where the sample says that it falls into parts of
 * less than that, and the parts are asked for side by side.  A part that is
 * still too large is cut again, by a sample of its own and by time in turn.  The
 * outermost ranges have no end, so that the parts cover all rows whatever the
 * sample was; rows without a date are a part of their own.
 *
 * Nothing here fails for the service's limits: what cannot be cut any further,
 * what may have been cut short by the service, and what it refuses for reasons
 * of its own (some system tables do not aggregate, sums may overflow a type
 * there) is given up, and with it all that was answered so far.  So nothing may
 * be shown before all is there.
 *
 * Parts are read at different moments, as pages are: rows that are written
 * meanwhile may be seen or not.
 */
#include "postgres.h"

#include "compat.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "exec/convert.h"
#include "exec/datum.h"
#include "exec/ranges.h"
#include "odata/apply.h"
#include "odata/page.h"
#include "odata/span.h"
#include "odata/url.h"
#include "remote/estimate.h"
#include "remote/report.h"

/* Rows that a range is meant to hold: below the limit by more than a sample's error. */
#define ROWS_PER_RANGE (DV_APPLY_ROWS_MAX * 0.84)

/* Rows of a sample: one page. */
#define SAMPLE_MAX 5000

/* Ranges at first; and requests in all for one query before reading is the better way. */
#define PIECES_MAX 512
#define BUDGET(pieces) (32 + 4 * (pieces))

/* Conditions and values in one list that the service takes (sheet 2.3.1, 15). */
#define LIST_MAX 400
#define CONDITIONS_MAX 500

#define FLIGHTS_MAX 52

/* One request, of a result or of a sample. */
typedef struct Ask
{
	MemoryContext context; /* of its own once it is under way */
	DvCall *call;
	int query;
	DvSpan span;
	int depth; /* cuts above it */
	bool sample;
} Ask;

typedef struct Run
{
	DvRanges *ranges;
	MemoryContext context;
	const DvValue **values; /* the slots', and two more for a range's ends */
	int nvalues;
	const DvColumn *partition; /* or NULL */
	DvConvert *partition_convert;
	List *waiting; /* Ask * */
	Ask *flying[FLIGHTS_MAX];
	int nflying;
	int asked;
	int budget;
	const char *reason; /* why it is given up, or NULL */
} Run;

/*
 * Addresses.
 */

static DvAggregateQuery *
nth_query(const DvRanges *ranges, int query)
{
	return list_nth(ranges->plan->queries, query);
}

static const char *
property_of(const DvRanges *ranges, int attnum)
{
	const DvColumn *column = dv_table_column(ranges->table, attnum);

	if (column == NULL)
		elog(ERROR, "foreign table \"%s\" has no column %d", ranges->table->name, attnum);
	return column->property;
}

/* Names of the values in an answer's rows. */
static const char **
answer_properties(const DvRanges *ranges, int query, int *n)
{
	const DvAggregateQuery *q = nth_query(ranges, query);
	const char **names =
		palloc(sizeof(char *) * (list_length(ranges->plan->groups) + 1 + list_length(q->methods)));
	ListCell *lc;

	*n = 0;
	foreach (lc, ranges->plan->groups)
		names[(*n)++] = property_of(ranges, lfirst_int(lc));
	if (q->distinct != 0)
		names[(*n)++] = property_of(ranges, q->distinct);
	for (int i = 0; i < list_length(q->methods); i++)
		names[(*n)++] = dv_apply_alias(i);
	return names;
}

/* $apply for the rows of a bound condition. */
static char *
apply_text(const DvRanges *ranges, int query, const DvFilter *filter)
{
	const DvAggregateQuery *q = nth_query(ranges, query);
	int nitems = list_length(q->methods);
	DvApplyItem *items = palloc(sizeof(DvApplyItem) * Max(nitems, 1));
	DvApply apply = {.filter = filter, .nitems = nitems, .items = items};
	StringInfoData out;
	int n;

	apply.groups = answer_properties(ranges, query, &n);
	apply.ngroups = n - nitems;
	for (int i = 0; i < nitems; i++)
	{
		int attnum = list_nth_int(q->attnums, i);

		items[i].method = list_nth_int(q->methods, i);
		items[i].property = attnum != 0 ? property_of(ranges, attnum) : NULL;
	}
	initStringInfo(&out);
	dv_apply_print(&out, &apply);
	return out.data;
}

static char *
utf8(const char *text)
{
	return text == NULL ? NULL : pg_server_to_any(text, strlen(text), PG_UTF8);
}

static char *
query_path(const DvQuery *query)
{
	StringInfoData out;

	initStringInfo(&out);
	dv_url_query(&out, query);
	return out.data;
}

/* The address of a request, NULL when no row can satisfy the condition. */
static char *
apply_path(const DvRanges *ranges, int query, DvFilter *filter)
{
	DvQuery address = {.path = ranges->plan->entity_set, .top = -1};

	if (filter != NULL && filter->kind == DV_FILTER_FALSE)
		return NULL;
	address.apply = utf8(apply_text(ranges, query, filter));
	return query_path(&address);
}

char *
dv_ranges_path(const DvRanges *ranges, int query, const DvValue *const *values, int nvalues)
{
	DvFilter *filter = nth_query(ranges, query)->filter;

	if (filter != NULL)
		filter = dv_filter_bind(filter, values, nvalues);
	return apply_path(ranges, query, filter);
}

static DvFilter *
and_leaf(DvFilter *filter, const DvColumn *column, DvFilterOp op, int slot)
{
	DvFilter *leaf = dv_filter_leaf(op, column->property, column->logical, column->type, slot);

	return filter == NULL ? leaf : dv_filter_and(filter, leaf);
}

static DvValue *
instant_value(int64 seconds)
{
	DvValue *value = palloc0(sizeof(DvValue));

	value->text = psprintf(INT64_FORMAT, seconds * INT64CONST(1000000));
	return value;
}

/* The condition of a query within a span, bound. */
static DvFilter *
span_filter(Run *run, const Ask *ask)
{
	DvFilter *filter = nth_query(run->ranges, ask->query)->filter;
	const DvColumn *column = run->partition;
	const DvSpan *span = &ask->span;

	if (span->nulls)
		filter = and_leaf(filter, column, DV_OP_IS_NULL, -1);
	if (span->has_from)
		filter = and_leaf(filter, column, DV_OP_GE, run->nvalues);
	if (span->has_to)
		filter = and_leaf(filter, column, DV_OP_LT, run->nvalues + 1);
	if (ask->sample && dv_span_is_whole(span) && !column->notnull)
		filter = and_leaf(filter, column, DV_OP_NOT_NULL, -1);
	if (filter == NULL)
		return NULL;
	run->values[run->nvalues] = instant_value(span->from);
	run->values[run->nvalues + 1] = instant_value(span->to);
	return dv_filter_bind(filter, run->values, run->nvalues + 2);
}

static char *
sample_path(Run *run, DvFilter *filter)
{
	DvQuery address = {.path = run->ranges->plan->entity_set, .top = -1};
	StringInfoData text;

	if (filter != NULL && filter->kind == DV_FILTER_FALSE)
		return NULL;
	initStringInfo(&text);
	if (filter != NULL)
		dv_filter_print(&text, filter);
	address.select = run->partition->property;
	address.filter = utf8(text.data);
	return query_path(&address);
}

/*
 * Asking.
 */

static void
give_up(Run *run, const char *reason)
{
	if (run->reason == NULL)
		run->reason = MemoryContextStrdup(run->context, reason);
}

/* Does the service take a condition of this size, in an address of this length? */
static bool
fits(const Run *run, DvFilter *filter, const char *path)
{
	if (filter != NULL && (dv_filter_long_list(filter, LIST_MAX) != NULL ||
						   dv_filter_conditions(filter) > CONDITIONS_MAX))
		return false;
	return strlen(run->ranges->service->server->root) + 1 + strlen(path) <= DV_URL_MAX;
}

/* Sends it, unless there is nothing to ask or it cannot be asked. */
static void
start(Run *run, Ask *ask)
{
	static const char *const headers[] = {"Prefer: odata.maxpagesize=5000", NULL};
	MemoryContext before;
	DvCallSpec spec = {.method = "GET", .repeat = DV_REPEAT_SAFE};
	DvFilter *filter;

	ask->context =
		AllocSetContextCreate(run->context, "dataverse_fdw aggregate", ALLOCSET_DEFAULT_SIZES);
	before = MemoryContextSwitchTo(ask->context);
	filter = span_filter(run, ask);
	spec.path =
		ask->sample ? sample_path(run, filter) : apply_path(run->ranges, ask->query, filter);
	spec.headers = ask->sample ? headers : NULL;
	spec.counters = run->ranges->counters;
	if (spec.path != NULL && !fits(run, filter, spec.path))
		give_up(run, "the condition is too long for one request");
	else if (spec.path != NULL && run->asked++ >= run->budget)
		give_up(run, "the dates lie too close together to cut the table by them");
	else if (spec.path != NULL)
	{
		ask->call = dv_call_start(run->ranges->service, &spec);
		run->flying[run->nflying++] = ask;
	}
	MemoryContextSwitchTo(before);
	if (ask->call == NULL)
		MemoryContextDelete(ask->context);
}

static void
add_ask(Run *run, int query, const DvSpan *span, int depth, bool sample)
{
	MemoryContext before = MemoryContextSwitchTo(run->context);
	Ask *ask = palloc0(sizeof(Ask));

	ask->query = query;
	ask->span = *span;
	ask->depth = depth;
	ask->sample = sample;
	run->waiting = lappend(run->waiting, ask);
	MemoryContextSwitchTo(before);
}

/*
 * Cutting.
 */

/* The parts that the whole is first cut into. */
static int
first_pieces(const Run *run)
{
	double rows = dv_estimate_table(run->ranges->userid, run->ranges->table);

	/* Not known: a few, and more when they are too large. */
	if (rows < 0)
		rows = 4 * DV_APPLY_ROWS_MAX;
	rows *= run->ranges->plan->share;
	return (int) Max(2, Min(ceil(rows / ROWS_PER_RANGE), PIECES_MAX));
}

static void
cut(Run *run, const Ask *ask, int64 *sample, int n)
{
	int pieces = ask->depth == 0 ? first_pieces(run) : 2;
	int64 *cuts = palloc(sizeof(int64) * Max(pieces, 2));
	int ncuts = dv_span_cuts(&ask->span, sample, n, pieces, ask->depth % 2 == 1, cuts);
	DvSpan nulls = {.nulls = true};

	if (ncuts == 0)
	{
		give_up(run, "one second holds more rows than the service aggregates");
		return;
	}
	run->budget = Max(run->budget, run->asked + BUDGET(pieces));
	for (int i = 0; i <= ncuts; i++)
	{
		DvSpan piece = dv_span_piece(&ask->span, cuts, ncuts, i);

		add_ask(run, ask->query, &piece, ask->depth + 1, false);
	}
	if (ask->depth == 0 && !run->partition->notnull)
		add_ask(run, ask->query, &nulls, 1, false);
}

/* The service aggregates no so many rows. */
static void
too_many(Run *run, const Ask *ask)
{
	if (run->partition == NULL)
		give_up(run,
				"there are more rows than the service aggregates, and no column to cut them by");
	else if (ask->span.nulls)
		give_up(run, "more rows than the service aggregates have no date");
	else
		add_ask(run, ask->query, &ask->span, ask->depth, true);
}

/*
 * Answers.
 */

/* Nothing but valid UTF-8 is looked at. */
static bool
is_text(const char *body, size_t len)
{
	return len <= PG_INT32_MAX && pg_verify_mbstr(PG_UTF8, body, (int) len, true);
}

/* The sample's dates as seconds; their number, 0 when there is none. */
static int
read_sample(Run *run, const char *body, size_t len, int64 *seconds)
{
	const char *properties[1] = {run->partition->property};
	DvPage *page = dv_page_open(body, len, PG_UTF8, false, properties, 1);
	Oid typid = getBaseType(run->partition->typid);
	DvError error = {0};
	DvField field;
	int n = 0;

	while (n < SAMPLE_MAX && dv_page_row(page, &field, &error))
	{
		bool isnull;
		Datum value = dv_convert_in(run->partition_convert, 0, &field, NULL, &isnull);
		int64 micros;

		run->ranges->counters->rows++;
		if (isnull)
			continue;
		micros = strtoll(dv_datum_instant(value, typid), NULL, 10);
		seconds[n++] = (int64) floor((double) micros / 1000000);
	}
	return error.kind == DV_ERROR_NONE ? n : 0;
}

static void
finish_sample(Run *run, const Ask *ask, const char *body, size_t len)
{
	int64 *seconds = palloc(sizeof(int64) * SAMPLE_MAX);
	int n = read_sample(run, body, len, seconds);

	if (n == 0)
		give_up(run, "the rows' dates cannot be read");
	else
		cut(run, ask, seconds, n);
}

static void
finish_result(Run *run, const Ask *ask, const char *body, size_t len)
{
	DvRanges *ranges = run->ranges;
	DvError error = {0};
	DvPage *page;
	DvField *fields;
	const char **properties;
	int n;

	properties = answer_properties(ranges, ask->query, &n);
	fields = palloc(sizeof(DvField) * Max(n, 1));
	page = dv_page_open(body, len, PG_UTF8, false, properties, n);
	while (dv_page_row(page, fields, &error))
	{
		CHECK_FOR_INTERRUPTS();
		ranges->counters->rows++;
		if (!ranges->take(ranges->target, ask->query, fields))
		{
			give_up(run, "the service's answer makes no sense");
			return;
		}
	}
	ranges->ranges++;
	if (error.kind != DV_ERROR_NONE)
		give_up(run, error.message);
	else if (dv_page_rows(page) >= DV_APPLY_GROUPS_MAX || dv_page_next(page) != NULL)
		give_up(run, "there are more groups than the service returns");
}

/* What reading the rows would run into as well, or what it would make worse. */
static bool
is_fatal(const DvError *error)
{
	switch (dv_fault_class(error))
	{
		case DV_FAULT_AUTH:
		case DV_FAULT_PRIVILEGE:
		case DV_FAULT_THROTTLED:
		case DV_FAULT_UNAVAILABLE:
			return true;
		default:
			return error->kind != DV_ERROR_HTTP && error->kind != DV_ERROR_TIMEOUT &&
				   error->kind != DV_ERROR_LIMIT;
	}
}

static void
finish_failure(Run *run, const Ask *ask, const DvError *error)
{
	DvReportContext context = {0};

	if (!ask->sample && error->kind == DV_ERROR_HTTP &&
		dv_fault_class(error) == DV_FAULT_AGGREGATE_LIMIT)
		too_many(run, ask);
	else if (!is_fatal(error))
		give_up(run, error->message);
	else
	{
		context.what =
			psprintf("could not read from foreign table \"%s\"", run->ranges->table->name);
		dv_report(error, &context);
	}
}

static void
finish(Run *run, Ask *ask)
{
	MemoryContext before = MemoryContextSwitchTo(ask->context);
	const DvError *error = dv_call_error(ask->call);
	const char *body;
	size_t len;

	body = dv_call_body(ask->call, &len);
	if (error->kind != DV_ERROR_NONE)
		finish_failure(run, ask, error);
	else if (!is_text(body, len))
		give_up(run, "the service's answer is not valid UTF-8");
	else if (ask->sample)
		finish_sample(run, ask, body, len);
	else
		finish_result(run, ask, body, len);
	MemoryContextSwitchTo(before);
	MemoryContextDelete(ask->context);
}

/*
 * Running.
 */

static int
width(const Run *run)
{
	int most = run->ranges->table->settings.concurrency;
	int hint = run->ranges->service->dop_hint;

	if (hint > 0)
		most = Min(most, hint);
	return Max(1, Min(most, FLIGHTS_MAX));
}

static void
start_waiting(Run *run)
{
	while (run->waiting != NIL && run->nflying < width(run) && run->reason == NULL)
	{
		Ask *ask = linitial(run->waiting);

		run->waiting = list_delete_first(run->waiting);
		start(run, ask);
	}
}

static void
wait_one(Run *run)
{
	DvCall *calls[FLIGHTS_MAX];
	Ask *ask;
	int done;

	for (int i = 0; i < run->nflying; i++)
		calls[i] = run->flying[i]->call;
	done = dv_call_wait_any(calls, run->nflying);
	ask = run->flying[done];
	run->flying[done] = run->flying[--run->nflying];
	finish(run, ask);
}

static void
prepare_partition(Run *run)
{
	DvColumn *column;

	if (run->ranges->plan->partition == 0)
		return;
	column = dv_table_column(run->ranges->table, run->ranges->plan->partition);
	if (column == NULL)
		elog(ERROR, "foreign table \"%s\" has no column %d", run->ranges->table->name,
			 run->ranges->plan->partition);
	run->partition = column;
	run->partition_convert = dv_convert_prepare(run->ranges->table, &column, 1);
}

bool
dv_ranges_run(DvRanges *ranges, const DvValue *const *values, int nvalues, const char **reason)
{
	MemoryContext parent = CurrentMemoryContext;
	MemoryContext context =
		AllocSetContextCreate(parent, "dataverse_fdw aggregates", ALLOCSET_DEFAULT_SIZES);
	Run run = {.ranges = ranges, .context = context, .nvalues = nvalues};
	DvSpan whole = {0};

	MemoryContextSwitchTo(context);
	run.values = palloc0(sizeof(DvValue *) * (nvalues + 2));
	memcpy(run.values, values, sizeof(DvValue *) * nvalues);
	run.budget = BUDGET(list_length(ranges->plan->queries));
	prepare_partition(&run);
	ranges->ranges = 0;
	for (int i = 0; i < list_length(ranges->plan->queries); i++)
		add_ask(&run, i, &whole, 0, false);
	while (run.reason == NULL && (run.waiting != NIL || run.nflying > 0))
	{
		start_waiting(&run);
		if (run.reason == NULL && run.nflying > 0)
			wait_one(&run);
	}
	MemoryContextSwitchTo(parent);
	*reason = run.reason != NULL ? pstrdup(run.reason) : NULL;
	/* What is still under way is cancelled with it. */
	MemoryContextDelete(context);
	return *reason == NULL;
}
