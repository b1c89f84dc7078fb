/*
 * analyze.c
 *	  A sample of a table's rows, for a bounded number of requests.
 *
 * ANALYZE of one table sends at most 11 requests, however large it is: one for
 * the number of rows, two for its first and last creation date, and eight pages.
 *
 * What fits into eight pages (40,000 rows with the default fetch_size), and what
 * is no standard table, is read from its beginning.  If that reaches the end,
 * sample and number of rows are exact.
 *
 * A larger standard table is cut into eight equal spans of creation dates and
 * the first rows of each are read.  How representative is that?  It covers the
 * table's whole age, so columns that drift with time (states, owners, dates)
 * are seen in all their periods.  Spans that hold fewer rows than were asked for
 * are known completely, and are thinned out to what should be their share; the
 * remaining ones are taken to be equally large, since the service counts no
 * further than 5,000.  A table that grows steeply is therefore seen older than
 * it is.  Within a span the rows come in the order of the primary id: by chance
 * where ids are random, its earliest where the service made them one after the
 * other.
 *
 * The number of rows is the service's own figure, up to a day old (sheet 2.7);
 * elastic and virtual tables have none, so that more than eight pages of them
 * count as eight.
 */
#include "postgres.h"

#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/sampling.h"
#include "utils/timestamp.h"

#include "exec/analyze.h"
#include "exec/bulk.h"
#include "exec/convert.h"
#include "exec/datum.h"
#include "exec/fetch.h"
#include "exec/lanes.h"
#include "odata/url.h"
#include "remote/estimate.h"
#include "remote/report.h"

/* Pages read, and spans that a large table is cut into. */
#define PAGES 8

/* Every standard table has it, and it never changes. */
#define SPAN_COLUMN "createdon"

/* The rows chosen so far. */
typedef struct Sample
{
	HeapTuple *rows; /* the caller's */
	int target;
	int n;
	int64 seen;
	double skip; /* rows to pass over before the next exchange */
	ReservoirStateData state;
} Sample;

typedef struct Analysis
{
	Relation relation;
	DvTable *table;
	DvService *service;
	DvConvert *convert;
	DvScanPlan plan;
	MemoryContext result; /* of the sampled rows */
	MemoryContext row;    /* of one row's values */
	DvCounters counters;
	Sample sample;
} Analysis;

static Oid
owner_of(Relation relation)
{
	return relation->rd_rel->relowner;
}

/*
 * Preparing.
 */

static void
prepare_columns(Analysis *analysis)
{
	const DvTable *table = analysis->table;
	DvColumn **columns = palloc(sizeof(DvColumn *) * Max(table->ncolumns, 1));

	for (int i = 0; i < table->ncolumns; i++)
	{
		columns[i] = &table->columns[i];
		analysis->plan.attnums = lappend_int(analysis->plan.attnums, columns[i]->attnum);
	}
	analysis->convert = dv_convert_prepare(table, columns, table->ncolumns);
}

static void
prepare(Analysis *analysis, Relation relation, HeapTuple *rows, int target)
{
	memset(analysis, 0, sizeof(*analysis));
	analysis->relation = relation;
	analysis->table = dv_options_table(RelationGetRelid(relation));
	analysis->service = dv_service_open(analysis->table->serverid, owner_of(relation));
	analysis->result = CurrentMemoryContext;
	analysis->row =
		AllocSetContextCreate(CurrentMemoryContext, "dataverse_fdw row", ALLOCSET_DEFAULT_SIZES);
	analysis->plan.relid = analysis->table->relid;
	analysis->plan.entity_set = analysis->table->entity_set;
	analysis->plan.page_size = analysis->table->settings.fetch_size;
	analysis->plan.exact_limit = true;
	prepare_columns(analysis);
	analysis->sample.rows = rows;
	analysis->sample.target = target;
	analysis->sample.skip = -1;
	reservoir_init_selection_state(&analysis->sample.state, target);
}

/*
 * Sampling.
 */

static HeapTuple
form_row(Analysis *analysis, const DvRequest *request, const DvField *fields)
{
	const DvTable *table = analysis->table;
	TupleDesc desc = RelationGetDescr(analysis->relation);
	MemoryContext before = MemoryContextSwitchTo(analysis->row);
	Datum *values = palloc0(sizeof(Datum) * Max(desc->natts, 1));
	bool *nulls = palloc(sizeof(bool) * Max(desc->natts, 1));
	const DvField *id = request->id >= 0 ? &fields[request->id] : NULL;
	HeapTuple row;

	memset(nulls, true, sizeof(bool) * desc->natts);
	for (int i = 0; i < table->ncolumns; i++)
	{
		int place = table->columns[i].attnum - 1;

		values[place] = dv_convert_in(analysis->convert, i, &fields[i], id, &nulls[place]);
	}
	MemoryContextSwitchTo(analysis->result);
	row = heap_form_tuple(desc, values, nulls);
	MemoryContextReset(analysis->row);
	MemoryContextSwitchTo(before);
	return row;
}

/* Where a row goes: a place in the sample, or -1 (Vitter's algorithm Z, as in PostgreSQL). */
static int
choose_place(Sample *sample)
{
	double skip;

	sample->seen++;
	if (sample->n < sample->target)
		return sample->n++;
	if (sample->skip < 0)
		sample->skip = reservoir_get_next_S(&sample->state, sample->seen, sample->target);
	skip = sample->skip;
	sample->skip -= 1;
	return skip > 0 ? -1 : (int) (sample->target * sampler_random_fract(&sample->state.randstate));
}

static void
take_row(Analysis *analysis, const DvRequest *request, const DvField *fields)
{
	Sample *sample = &analysis->sample;
	int before = sample->n;
	int place = choose_place(sample);

	if (place < 0)
		return;
	if (place < before)
		heap_freetuple(sample->rows[place]);
	sample->rows[place] = form_row(analysis, request, fields);
}

/* Reads plan.limit rows at most, for at most that many requests; their number. */
static int64
read_rows(Analysis *analysis, const DvValue *const *values, int nvalues, int requests)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "dataverse_fdw sampling",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(work);
	uint64 asked = analysis->counters.requests;
	DvRequest *request =
		dv_request_prepare(&analysis->plan, analysis->table, analysis->service->server->root,
						   dv_convert_properties(analysis->convert));
	DvField *fields = palloc0(sizeof(DvField) * Max(request->nproperties, 1));
	List *pieces = dv_request_pieces(request, values, nvalues, NULL);
	DvLanesSpec spec = {analysis->service, request, &analysis->counters};
	DvLanes *lanes = dv_lanes_open(&spec, pieces);
	int64 n = 0;

	/* Pages may come shorter than they were asked for: then there are fewer rows. */
	while (n < analysis->plan.limit &&
		   analysis->counters.requests - analysis->counters.retries - asked <= requests &&
		   dv_lanes_row(lanes, fields))
	{
		take_row(analysis, request, fields);
		n++;
	}
	MemoryContextSwitchTo(before);
	MemoryContextDelete(work);
	return n;
}

/* From the beginning; true when that was all of it. */
static bool
sample_beginning(Analysis *analysis)
{
	int64 limit = (int64) analysis->plan.page_size * PAGES;

	analysis->plan.limit = limit;
	analysis->plan.filter = NULL;
	return read_rows(analysis, NULL, 0, PAGES) < limit &&
		   analysis->counters.requests - analysis->counters.retries <= PAGES;
}

/*
 * Spans.
 */

/* The first or the last creation date in microseconds since 1970; false when there is none. */
static bool
ask_edge(Analysis *analysis, const char *direction, int64 *edge)
{
	static const char *const properties[] = {SPAN_COLUMN};
	DvQuery query = {.path = analysis->table->entity_set, .select = SPAN_COLUMN, .top = 1};
	DvError error = {0};
	DvFetch fetch;
	DvField field;
	StringInfoData path;
	Datum instant;

	query.orderby = psprintf("%s %s", SPAN_COLUMN, direction);
	initStringInfo(&path);
	dv_url_query(&path, &query);
	if (!dv_fetch(analysis->service, path.data, NULL, &fetch, &error))
	{
		DvReportContext context = {0};

		/* A table without the column. */
		if (error.kind == DV_ERROR_HTTP && error.status == 400)
			return false;
		context.what = psprintf("could not read from foreign table \"%s\"", analysis->table->name);
		dv_report(&error, &context);
	}
	if (!dv_page_row(dv_page_open(fetch.body, fetch.len, PG_UTF8, false, properties, 1), &field,
					 &error) ||
		field.kind != DV_FIELD_STRING)
		return false;
	instant = DirectFunctionCall3(timestamptz_in, CStringGetDatum(pnstrdup(field.text, field.len)),
								  ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	*edge = strtoll(dv_datum_instant(instant, TIMESTAMPTZOID), NULL, 10);
	return true;
}

/* createdon ge $0 and createdon lt $1; the outermost spans are open. */
static DvFilter *
span_filter(int span)
{
	DvFilter *from = dv_filter_leaf(DV_OP_GE, SPAN_COLUMN, SPAN_COLUMN, DV_TYPE_DATETIME, 0);
	DvFilter *to = dv_filter_leaf(DV_OP_LT, SPAN_COLUMN, SPAN_COLUMN, DV_TYPE_DATETIME, 1);

	if (span == 0)
		return to;
	return span == PAGES - 1 ? from : dv_filter_and(from, to);
}

static DvValue
instant_value(int64 micros)
{
	return (DvValue){.text = psprintf(INT64_FORMAT, micros)};
}

/* What one span gave. */
typedef struct Span
{
	int first; /* place of its rows in the sample */
	int n;
	bool whole; /* all its rows */
} Span;

static void
sample_span(Analysis *analysis, int number, int64 first, int64 last, Span *span)
{
	double step = (double) (last - first) / PAGES;
	DvValue from = instant_value(first + (int64) (step * number));
	DvValue to = instant_value(first + (int64) (step * (number + 1)));
	const DvValue *values[] = {&from, &to};
	int quota = (analysis->sample.target + PAGES - 1) / PAGES;

	analysis->plan.filter = span_filter(number);
	analysis->plan.limit = Min(quota, analysis->plan.page_size);

	/* Rows of different spans must not displace one another: each has its part of the sample. */
	analysis->plan.limit = Min(analysis->plan.limit, analysis->sample.target - analysis->sample.n);
	span->first = analysis->sample.n;
	if (analysis->plan.limit > 0)
		span->n = (int) read_rows(analysis, values, lengthof(values), 1);
	span->whole = span->n < analysis->plan.limit;
}

/* Leaves of a span's rows the share that its size deserves, the first places of what is kept. */
static int
thin_span(Sample *sample, const Span *span, double share, int kept)
{
	for (int i = span->first; i < span->first + span->n; i++)
	{
		if (share >= 1 || pg_prng_double(&pg_global_prng_state) < share)
			sample->rows[kept++] = sample->rows[i];
		else
			heap_freetuple(sample->rows[i]);
	}
	return kept;
}

/* Weighs the spans against one another; true when all are whole. */
static bool
weigh_spans(Sample *sample, const Span *spans, double total)
{
	double share = 1;
	double rest = total;
	int open = 0;
	int64 asked = 0;
	int kept = 0;

	for (int i = 0; i < PAGES; i++)
	{
		if (spans[i].whole)
			rest -= spans[i].n;
		else
		{
			open++;
			asked += spans[i].n;
		}
	}
	if (open == 0)
		return true;

	/* A row of an open span stands for so many; one of a whole span for itself. */
	if (rest > asked && asked > 0)
		share = asked / rest;
	for (int i = 0; i < PAGES; i++)
		kept = thin_span(sample, &spans[i], spans[i].whole ? share : 1, kept);
	sample->n = kept;
	return false;
}

/* True when that was all of the table; *done is false when it cannot be cut. */
static bool
sample_spans(Analysis *analysis, double total, bool *done)
{
	Span spans[PAGES] = {{0}};
	int64 first;
	int64 last;

	*done = ask_edge(analysis, "asc", &first) && ask_edge(analysis, "desc", &last) && last > first;
	if (!*done)
		return false;
	for (int i = 0; i < PAGES; i++)
		sample_span(analysis, i, first, last, &spans[i]);
	return weigh_spans(&analysis->sample, spans, total);
}

/*
 * For PostgreSQL.
 */

static int
acquire_sample(Relation relation, int elevel, HeapTuple *rows, int targrows, double *totalrows,
			   double *totaldeadrows)
{
	Analysis analysis;
	double total;
	bool done = false;
	bool whole = false;

	prepare(&analysis, relation, rows, targrows);
	dv_bulk_flush_server(analysis.table->serverid);
	total = dv_estimate_table(owner_of(relation), analysis.table);
	if (total > (double) analysis.plan.page_size * PAGES)
		whole = sample_spans(&analysis, total, &done);
	if (!done)
		whole = sample_beginning(&analysis);

	*totalrows = whole ? (double) analysis.sample.seen : Max(total, (double) analysis.sample.seen);
	*totaldeadrows = 0;
	ereport(elevel, (errmsg("\"%s\": read " INT64_FORMAT " of %s%.0f rows; %d rows in sample",
							RelationGetRelationName(relation), analysis.sample.seen,
							whole ? "" : "about ", *totalrows, analysis.sample.n)));
	return analysis.sample.n;
}

/* Pages of PostgreSQL that the table would fill, so that partitions are sampled in proportion. */
static BlockNumber
pages_for(Relation relation, double rows)
{
	TupleDesc desc = RelationGetDescr(relation);
	double width = 0;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped)
			width += get_typavgwidth(attribute->atttypid, attribute->atttypmod);
	}
	return (BlockNumber) Max(1, Min(rows * width / BLCKSZ, (double) MaxBlockNumber));
}

bool
dataverseAnalyzeForeignTable(Relation relation, AcquireSampleRowsFunc *func,
							 BlockNumber *totalpages)
{
	DvTable *table = dv_options_table(RelationGetRelid(relation));

	*func = acquire_sample;
	*totalpages = pages_for(relation, dv_estimate_table(owner_of(relation), table));
	return true;
}
