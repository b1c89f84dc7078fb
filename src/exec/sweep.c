/*
 * sweep.c
 *	  Whether, and in which ranges of dates, a large scan is read side by side.
 *
 * A scan that may be large begins like any other, with its first page.  If that
 * is not the last one, this room learns how many rows there are, about, and
 * how their dates lie: from that page, or from a page of dates alone.  When the
 * table is worth it, the pages after the first one are given up for ranges of
 * whole seconds, meant to be mostly a page each, so that a queue of them keeps
 * all lanes busy to the end.
 *
 * Every row lies in just one range: they have no gap, the outermost have no end
 * (rows may be added while the scan runs), and rows without a date are a range
 * of their own unless there can be none.  The chains check that each row lies in
 * the range it came with.  Rows of the first page come again with the ranges,
 * and are left out by their ids.  So a row is seen once, if its date does not change
 * meanwhile; createdon never does.
 *
 * The sample may mislead: the service gives what its index gives first, which
 * is the oldest rows where ids were made one after the other.  So the latest
 * date is asked for as well, and what lies between it and the sample is cut by
 * time.  What is too large after all is cut again while it is read: a range comes
 * by date, so what lies after the page at hand can be given to lanes that have
 * nothing else to do.  One second is not cut.
 *
 * Whatever is not to be had (the condition leaves no room in the address, dates
 * cannot be read, the service refuses) leaves the scan as it began: one page
 * after the other.
 */
#include "postgres.h"

#include "compat.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "exec/sweep.h"
#include "remote/estimate.h"
#include "remote/report.h"

/* Dates in a sample: a page; and how many the first page must bring to be one. */
#define SAMPLE_MAX 5000
#define SAMPLE_MIN 2000

/* A range is meant to fill so much of a page: a sample errs. */
#define PAGE_SHARE 0.85

/* Fewer pages are read one after the other. */
#define PAGES_MIN 3

/* Ranges at first, and dates of the sample to each at least. */
#define RANGES_MAX 512
#define DATES_PER_RANGE 4

/* Bytes of their addresses. */
#define ADDRESSES_MAX (1024 * 1024)

/* The sample ends early when more than this part of the time comes after it. */
#define LATE_SHARE 0.05

/* Ranges that may be made by cutting again. */
#define BUDGET(ranges) (64 + 4 * (ranges))

/* What must be known. */
typedef enum Fact
{
	FACT_SAMPLE,
	FACT_LATEST,
	FACT_TOTAL,
	FACTS
} Fact;

struct DvSweep
{
	DvSweepSpec spec;
	MemoryContext context;
	bool asked[FACTS]; /* or known without asking */
	DvCall *sample_call;
	DvCall *latest_call;
	DvEstimate *total; /* or NULL */
	int64 *sample;     /* seconds */
	int nsample;
	bool has_latest;
	int64 latest;
	double table_rows; /* -1 unknown */
	int most;          /* ranges at first */
	int ranges;
	int budget;
};

/*
 * Learning.
 */

/* The seconds of a page's rows; their number, -1 when there is one that cannot be read. */
static int
read_dates(const DvSweep *sweep, const char *body, size_t len, int64 *seconds)
{
	const char *properties[] = {sweep->spec.request->partition->property};
	DvPage *page = dv_page_open(body, len, PG_UTF8, false, properties, 1);
	DvError error = {0};
	DvField field;
	int n = 0;

	while (n >= 0 && n < SAMPLE_MAX && dv_page_row(page, &field, &error))
	{
		if (field.kind == DV_FIELD_ABSENT)
			continue;
		if (field.kind == DV_FIELD_STRING && dv_span_second(field.text, field.len, &seconds[n]))
			n++;
		else
			n = -1;
	}
	dv_page_close(page);
	return error.kind == DV_ERROR_NONE ? n : -1;
}

static DvCall *
ask_dates(DvSweep *sweep, bool latest)
{
	static const char *const headers[] = {"Prefer: odata.maxpagesize=5000", NULL};
	const DvSweepSpec *spec = &sweep->spec;
	DvCallSpec call = {.method = "GET", .repeat = DV_REPEAT_SAFE, .counters = spec->counters};

	call.path = dv_request_dates(spec->request, spec->values, spec->nvalues, latest);
	call.headers = latest ? NULL : headers;
	return call.path == NULL ? NULL : dv_call_start(spec->service, &call);
}

/* Does the first page bring the dates, and enough of them? */
static bool
is_dated(const DvSweep *sweep)
{
	const DvRequest *request = sweep->spec.request;

	return request->date < request->nproperties && request->page_size >= SAMPLE_MIN;
}

/* Nothing is kept of the making. */
static DvPiece *
make_piece(DvSweep *sweep, const DvSpan *span)
{
	const DvSweepSpec *spec = &sweep->spec;
	MemoryContext work =
		AllocSetContextCreate(sweep->context, "dataverse_fdw range", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(work);
	DvPiece *made = dv_request_range(spec->request, spec->values, spec->nvalues, span);
	DvPiece *piece = NULL;

	MemoryContextSwitchTo(sweep->context);
	if (made != NULL)
	{
		piece = palloc(sizeof(DvPiece));
		*piece = *made;
		piece->path = pstrdup(made->path);
	}
	MemoryContextSwitchTo(before);
	MemoryContextDelete(work);
	return piece;
}

void
dv_sweep_free_piece(DvPiece *piece)
{
	pfree(piece->path);
	pfree(piece);
}

/* Rows expected, as far as is known without asking. */
static double
expected_rows(const DvSweep *sweep)
{
	const DvScanPlan *plan = sweep->spec.request->plan;

	return sweep->table_rows < 0 ? plan->rows : sweep->table_rows * plan->share;
}

static bool
is_worth_it(const DvSweep *sweep)
{
	return expected_rows(sweep) > PAGES_MIN * (double) sweep->spec.request->page_size;
}

/* Is there room for the bounds of a range in the address? */
static bool
is_possible(DvSweep *sweep)
{
	const DvSpan some = {.has_from = true, .has_to = true, .to = 1};
	DvPiece *piece = make_piece(sweep, &some);

	if (piece == NULL)
		return false;
	sweep->most = Min(RANGES_MAX, ADDRESSES_MAX / strlen(piece->path));
	dv_sweep_free_piece(piece);
	return true;
}

static void
ask_fact(DvSweep *sweep, Fact fact)
{
	const DvSweepSpec *spec = &sweep->spec;

	switch (fact)
	{
		case FACT_SAMPLE:
			sweep->sample_call = ask_dates(sweep, false);
			break;
		case FACT_LATEST:
			sweep->latest_call = ask_dates(sweep, true);
			break;
		default:
			sweep->total = dv_estimate_ask(spec->service, spec->request->table, spec->counters);
	}
}

/* Asks what has not been asked for; false when there is no room for all of it. */
static bool
ask(DvSweep *sweep, int room)
{
	MemoryContext before = MemoryContextSwitchTo(sweep->context);
	bool all = true;

	for (Fact fact = 0; fact < FACTS; fact++)
	{
		if (sweep->asked[fact])
			continue;
		all = room-- > 0;
		if (!all)
			break;
		ask_fact(sweep, fact);
		sweep->asked[fact] = true;
	}
	MemoryContextSwitchTo(before);
	return all;
}

bool
dv_sweep_begin_early(DvSweep *sweep, int room)
{
	bool known = sweep->table_rows >= 0 || sweep->spec.request->plan->counted;

	if (!known || !is_worth_it(sweep) || !is_possible(sweep))
		return false;
	(void) ask(sweep, room);
	return true;
}

/* One request only: the scan may be about to end. */
bool
dv_sweep_begin(DvSweep *sweep, const DvChain *first)
{
	MemoryContext before = MemoryContextSwitchTo(sweep->context);
	const char *body;
	size_t len;

	if (is_dated(sweep))
	{
		body = dv_chain_body(first, &len);
		sweep->nsample = read_dates(sweep, body, len, sweep->sample);
	}
	MemoryContextSwitchTo(before);
	if (!is_worth_it(sweep) || !is_possible(sweep))
		return false;
	(void) ask(sweep, 1);
	return true;
}

/* A refusal leaves the scan as it is; what would also keep it from its pages is its failure. */
static void
report_failure(const DvSweep *sweep, const DvError *error)
{
	DvReportContext context = {0};

	if (error->kind == DV_ERROR_HTTP || error->kind == DV_ERROR_TIMEOUT ||
		error->kind == DV_ERROR_LIMIT)
		return;
	context.what =
		psprintf("could not read from foreign table \"%s\"", sweep->spec.request->table->name);
	dv_report(error, &context);
}

/* The answer of a request for dates; -1 when there is no good one. */
static int
take_dates(DvSweep *sweep, DvCall **call, int64 *seconds)
{
	const char *body;
	size_t len;
	int n = -1;

	if (dv_call_error(*call)->kind != DV_ERROR_NONE)
		report_failure(sweep, dv_call_error(*call));
	else
	{
		body = dv_call_body(*call, &len);
		n = len > PG_INT32_MAX ? -1 : read_dates(sweep, body, len, seconds);
	}
	dv_call_release(*call);
	*call = NULL;
	return n;
}

static void
take_what_came(DvSweep *sweep)
{
	int64 *latest;

	if (sweep->sample_call != NULL && dv_call_poll(sweep->sample_call))
		sweep->nsample = take_dates(sweep, &sweep->sample_call, sweep->sample);
	if (sweep->latest_call != NULL && dv_call_poll(sweep->latest_call))
	{
		latest = palloc(sizeof(int64) * SAMPLE_MAX);
		sweep->has_latest = take_dates(sweep, &sweep->latest_call, latest) > 0;
		sweep->latest = latest[0];
		pfree(latest);
	}
	if (sweep->total != NULL && dv_call_poll(dv_estimate_call(sweep->total)))
	{
		sweep->table_rows = dv_estimate_take(sweep->total);
		sweep->total = NULL;
	}
}

void
dv_sweep_look(DvSweep *sweep)
{
	MemoryContext before = MemoryContextSwitchTo(sweep->context);

	take_what_came(sweep);
	MemoryContextSwitchTo(before);
}

bool
dv_sweep_ask(DvSweep *sweep, int room)
{
	return ask(sweep, room) && sweep->sample_call == NULL && sweep->latest_call == NULL &&
		   sweep->total == NULL;
}

int
dv_sweep_calls(const DvSweep *sweep, DvCall **calls)
{
	int n = 0;

	if (sweep->sample_call != NULL)
		calls[n++] = sweep->sample_call;
	if (sweep->latest_call != NULL)
		calls[n++] = sweep->latest_call;
	if (sweep->total != NULL)
		calls[n++] = dv_estimate_call(sweep->total);
	return n;
}

/*
 * Cutting.
 */

/* Cuts at equal distances from a second up to another one, both of which may be cuts; ascending. */
static int
cut_by_time(int64 from, int64 to, int n, int64 *cuts)
{
	int ncuts = 0;

	for (int i = 0; i < n && from <= to; i++)
	{
		int64 cut = from + (int64) ((double) (to - from) * i / n);

		if (ncuts == 0 || cut > cuts[ncuts - 1])
			cuts[ncuts++] = cut;
	}
	return ncuts;
}

/* Where to cut the whole; room for all cuts. */
static int
cut_whole(DvSweep *sweep, int ranges, int lanes, int64 *cuts)
{
	const DvSpan whole = {0};
	int64 *sample = sweep->sample;
	int n = sweep->nsample;
	int quantiles = Min(ranges, Max(n / DATES_PER_RANGE, 2 * lanes));
	int64 first;
	int64 last;
	int ncuts;
	bool late;

	ncuts = dv_span_cuts(&whole, sample, n, quantiles, false, cuts);
	first = sample[0];
	last = sample[n - 1];
	late = sweep->has_latest &&
		   (double) (sweep->latest - last) > LATE_SHARE * ((double) sweep->latest - (double) first);
	if (!late)
		return ncuts;
	ncuts = dv_span_cuts(&whole, sample, n, Min(quantiles, lanes), false, cuts);
	while (ncuts > 0 && cuts[ncuts - 1] > last)
		ncuts--;
	return ncuts + cut_by_time(last + 1, sweep->latest, ranges, cuts + ncuts);
}

/* The latest first: that is where a sample misleads. */
static List *
pieces_between(DvSweep *sweep, const int64 *cuts, int ncuts)
{
	const DvSpan whole = {0};
	const DvSpan nulls = {.nulls = true};
	List *pieces = NIL;

	for (int i = ncuts; i >= 0; i--)
	{
		DvSpan span = dv_span_piece(&whole, cuts, ncuts, i);
		DvPiece *piece = make_piece(sweep, &span);

		if (piece == NULL)
			return NIL;
		pieces = lappend(pieces, piece);
	}
	if (!sweep->spec.request->partition->notnull)
	{
		DvPiece *piece = make_piece(sweep, &nulls);

		pieces = piece == NULL ? NIL : lappend(pieces, piece);
	}
	return pieces;
}

List *
dv_sweep_pieces(DvSweep *sweep, int lanes)
{
	MemoryContext before = MemoryContextSwitchTo(sweep->context);
	double pages = expected_rows(sweep) / sweep->spec.request->page_size;
	List *pieces = NIL;

	if (is_worth_it(sweep) && sweep->nsample > 1)
	{
		int ranges = (int) Max(2, Min(ceil(pages / PAGE_SHARE), sweep->most));
		int64 *cuts = palloc(sizeof(int64) * (2 * ranges + 2 * lanes + 2));
		int ncuts = cut_whole(sweep, ranges, lanes, cuts);

		if (ncuts > 0)
			pieces = pieces_between(sweep, cuts, ncuts);
	}
	sweep->ranges = list_length(pieces);
	sweep->budget = BUDGET(sweep->ranges);
	MemoryContextSwitchTo(before);
	return pieces;
}

/*
 * Where to cut what comes after a page: its rows are taken for as dense as those
 * of the page, and half a page more is not worth a further request.  All rows
 * that there are, that dense, end the time in which it makes sense to cut; what comes
 * after it goes with the last part.
 */
static int
cut_rest(const DvSweep *sweep, const DvSpan *span, const int64 *seconds, int n, int lanes,
		 int64 *cuts)
{
	int64 first = seconds[0];
	int64 last = seconds[n - 1];
	int64 end = span->to;
	double most = Max(1, expected_rows(sweep) / sweep->spec.request->page_size);
	double step = (double) last - (double) first + 1;
	double pages;
	int parts;
	int ncuts;

	if (!span->has_to)
		end = sweep->has_latest ? sweep->latest + 1 : last;
	if (end <= last + 1)
		return 0;
	pages = ((double) end - (double) last - 1) / step;
	if (pages < 0.5)
		return 0;
	if (pages > most)
	{
		pages = most;
		end = last + 1 + (int64) (most * step);
	}
	parts = (int) Max(1, Min(Min(ceil(pages), lanes), sweep->budget));

	/* The first part stays with the chain, whose next page is on its way. */
	ncuts = cut_by_time(last + 1, end - 1, parts + 1, cuts);
	if (ncuts > 1)
		memmove(cuts, cuts + 1, sizeof(int64) * --ncuts);
	return ncuts;
}

/* The parts as pieces; NIL when one of them cannot be asked for. */
static List *
pieces_after(DvSweep *sweep, const DvSpan *span, const int64 *cuts, int ncuts)
{
	List *pieces = NIL;

	for (int i = 1; i <= ncuts; i++)
	{
		DvSpan part = dv_span_piece(span, cuts, ncuts, i);
		DvPiece *piece = make_piece(sweep, &part);

		if (piece == NULL)
			return NIL;
		pieces = lappend(pieces, piece);
	}
	return pieces;
}

List *
dv_sweep_split(DvSweep *sweep, DvChain *chain, int lanes)
{
	MemoryContext before = MemoryContextSwitchTo(sweep->context);
	const DvSpan *span = dv_chain_span(chain);
	size_t len;
	const char *body = dv_chain_body(chain, &len);
	int64 *seconds = palloc(sizeof(int64) * SAMPLE_MAX);
	int64 *cuts = palloc(sizeof(int64) * (lanes + 2));
	List *pieces = NIL;
	int ncuts = 0;
	int n = span->nulls || sweep->budget <= 0 ? 0 : read_dates(sweep, body, len, seconds);

	if (n > 0)
		ncuts = cut_rest(sweep, span, seconds, n, lanes, cuts);
	if (ncuts > 0)
		pieces = pieces_after(sweep, span, cuts, ncuts);
	if (pieces != NIL)
		dv_chain_shorten(chain, cuts[0]);
	sweep->ranges += list_length(pieces);
	sweep->budget -= list_length(pieces);
	pfree(cuts);
	pfree(seconds);
	MemoryContextSwitchTo(before);
	return pieces;
}

int
dv_sweep_ranges(const DvSweep *sweep)
{
	return sweep->ranges;
}

DvSweep *
dv_sweep_open(const DvSweepSpec *spec)
{
	DvSweep *sweep = palloc0(sizeof(DvSweep));

	sweep->spec = *spec;
	sweep->context = CurrentMemoryContext;
	sweep->sample = palloc(sizeof(int64) * SAMPLE_MAX);
	sweep->table_rows = -1;
	sweep->asked[FACT_SAMPLE] = is_dated(sweep);
	sweep->asked[FACT_TOTAL] =
		dv_estimate_remembered(spec->service, spec->request->table, &sweep->table_rows);
	return sweep;
}
