/*
 * probe.c
 *	  Asks which rows exist: by their ids, or by keys that no address can hold.
 *
 * Two cases need it.  A create that may have been processed without our
 * knowing is settled by asking for its ids.  And a key value with one of the
 * characters that keyed addresses refuse even when encoded (sheet 1.5) is
 * found by $filter, which takes any text, and then addressed by id.
 *
 * Many rows share a request, as many as its address holds.  What comes back is
 * compared again here, since a filter on text may return more than was asked.
 */
#include "postgres.h"

#include "compat.h"

#include "mb/pg_wchar.h"

#include "exec/convert.h"
#include "exec/probe.h"
#include "odata/filter.h"
#include "odata/keyfold.h"
#include "odata/page.h"
#include "remote/report.h"

/* Conditions in one request: below the service's 500 (sheet 2.3.1) with room. */
#define CONDITIONS_MAX 400

/* The service's root, which comes before our part of the address, is no longer than that. */
#define ROOT_MAX 512

typedef void (*RowFunction)(void *state, const DvField *fields);

/* One question and what to do with the rows that answer it. */
typedef struct Question
{
	const DvProbe *probe;
	const char *select;
	const char *const *properties;
	int nproperties;
	RowFunction take;
	void *state;
} Question;

static void
protocol_error(const DvProbe *probe, const DvError *error)
{
	DvReportContext context = {
		.what = psprintf("could not look for rows of foreign table \"%s\"", probe->table->name),
	};

	dv_report(error, &context);
}

static void
read_answer(const Question *question, DvCall *call)
{
	size_t len;
	const char *body = dv_call_body(call, &len);
	DvPage *page =
		dv_page_open(body, len, PG_UTF8, false, question->properties, question->nproperties);
	DvField *fields = palloc0(sizeof(DvField) * question->nproperties);
	DvError error = {0};

	while (dv_page_row(page, fields, &error))
		question->take(question->state, fields);
	if (error.kind == DV_ERROR_NONE && dv_page_next(page) != NULL)
		dv_error_set(&error, DV_ERROR_PROTOCOL,
					 "the service answered with more rows than fit a page");
	if (error.kind != DV_ERROR_NONE)
		protocol_error(question->probe, &error);
	dv_page_close(page);
	dv_call_release(call);
}

/* Asks; false, without asking, when the address would be too long. */
static bool
ask(const Question *question, const DvFilter *filter)
{
	DvQuery query = {
		.path = question->probe->table->entity_set, .select = question->select, .top = -1};
	DvCallSpec spec = {.method = "GET",
					   .repeat = DV_REPEAT_SAFE,
					   .settings = &question->probe->table->settings,
					   .counters = question->probe->counters};
	StringInfoData text;
	StringInfoData path;

	initStringInfo(&text);
	dv_filter_print(&text, filter);
	query.filter = text.data;
	initStringInfo(&path);
	dv_url_query(&path, &query);
	if (path.len > DV_URL_MAX - ROOT_MAX)
		return false;
	spec.path = path.data;
	read_answer(question, dv_call_now(question->probe->service, &spec));
	return true;
}

/*
 * Ids.
 */

typedef struct IdState
{
	const char *const *ids;
	bool *found;
	int first;
	int n;
} IdState;

static void
take_id(void *arg, const DvField *fields)
{
	IdState *state = arg;

	for (int i = state->first; i < state->first + state->n; i++)
	{
		if (fields[0].len == strlen(state->ids[i]) &&
			pg_strncasecmp(fields[0].text, state->ids[i], fields[0].len) == 0)
			state->found[i] = true;
	}
}

static DvFilter *
in_list(const char *property, const char *logical, DvType type, char **items, int n)
{
	DvValue *value = palloc0(sizeof(DvValue));
	const DvValue *values[1];

	value->isarray = true;
	value->nitems = n;
	value->items = items;
	values[0] = value;
	return dv_filter_bind(dv_filter_leaf(DV_OP_IN, property, logical, type, 0), values, 1);
}

bool *
dv_probe_ids(const DvProbe *probe, const char *const *ids, int n)
{
	IdState state = {.ids = ids, .found = palloc0(sizeof(bool) * (n + 1))};
	Question question = {.probe = probe,
						 .select = probe->primary_id,
						 .properties = &probe->primary_id,
						 .nproperties = 1,
						 .take = take_id,
						 .state = &state};

	for (state.first = 0; state.first < n; state.first += state.n)
	{
		state.n = Min(CONDITIONS_MAX, n - state.first);
		while (!ask(&question, in_list(probe->primary_id, probe->primary_id, DV_TYPE_GUID,
									   (char **) ids + state.first, state.n)))
			state.n = (state.n + 1) / 2;
	}
	return state.found;
}

/*
 * Keys.
 */

typedef struct KeyState
{
	const DvProbe *probe;
	const DvColumn *const *columns;
	int nkeys;
	const DvKeyPart *const *rows;
	char **folds;
	char **ids;
	bool *exact; /* the id found has the very same key */
	int first;
	int n;
	DvConvert *convert;
} KeyState;

/* A row of the answer as key values; false if one is null. */
static bool
read_candidate(KeyState *state, const DvField *fields, DvKeyPart *parts)
{
	for (int i = 0; i < state->nkeys; i++)
	{
		const DvColumn *column = state->columns[i];
		bool isnull;
		char *text;
		Datum value = dv_convert_in(state->convert, i, &fields[i + 1], &fields[0], &isnull);

		if (isnull)
			return false;
		parts[i].property = column->property;
		parts[i].edm = state->rows[state->first][i].edm;
		text = dv_convert_operand(value, false, column->typid, column->type)->text;
		parts[i].text = pg_server_to_any(text, strlen(text), PG_UTF8);
	}
	return true;
}

static bool
equal_parts(const DvKeyPart *a, const DvKeyPart *b, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (strcmp(a[i].text, b[i].text) != 0)
			return false;
	}
	return true;
}

/* Nobody can tell which row is meant. */
static void
give_up(const KeyState *state, int row, const char *message, const char *detail)
{
	if (state->probe->unclear != NULL)
	{
		state->probe->unclear[row] = true;
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_CARDINALITY_VIOLATION),
			 errmsg("%s for foreign table \"%s\"", message, state->probe->table->name),
			 errdetail_internal("%s", detail), errhint("Address the row by its primary id.")));
}

/* Two rows of the service fold to one key, and neither is it exactly. */
static void
ambiguous(const KeyState *state, int row)
{
	give_up(state, row, "key of a row is not clear",
			psprintf("More than one row has a key like %s='%s'.", state->columns[0]->name,
					 state->rows[row][0].text));
}

static void
take_key(void *arg, const DvField *fields)
{
	KeyState *state = arg;
	DvKeyPart *parts = palloc0(sizeof(DvKeyPart) * state->nkeys);
	StringInfoData fold;

	if (!read_candidate(state, fields, parts))
		return;
	initStringInfo(&fold);
	dv_keyfold(&fold, parts, state->nkeys);
	for (int i = state->first; i < state->first + state->n; i++)
	{
		bool exact;

		if (strcmp(state->folds[i], fold.data) != 0)
			continue;
		exact = equal_parts(parts, state->rows[i], state->nkeys);
		if (state->ids[i] && state->exact[i])
			continue;
		if (state->ids[i] && !exact)
			ambiguous(state, i);
		state->ids[i] = pnstrdup(fields[0].text, fields[0].len);
		state->exact[i] = exact;
		if (exact && state->probe->unclear != NULL)
			state->probe->unclear[i] = false;
	}
}

static DvFilter *
row_filter(const KeyState *state, int row)
{
	DvFilter *all = NULL;

	for (int i = 0; i < state->nkeys; i++)
	{
		const DvColumn *column = state->columns[i];
		DvValue *value = palloc0(sizeof(DvValue));
		const DvValue *values[1];
		DvFilter *leaf;

		value->text = (char *) state->rows[row][i].text;
		values[0] = value;
		leaf = dv_filter_bind(
			dv_filter_leaf(DV_OP_EQ, column->property, column->logical, column->type, 0), values,
			1);
		all = all ? dv_filter_and(all, leaf) : leaf;
	}
	return all;
}

/* A key of one column: a list; of several: one condition for each row. */
static DvFilter *
rows_filter(const KeyState *state)
{
	DvFilter *any = NULL;

	if (state->nkeys == 1)
	{
		char **items = palloc(sizeof(char *) * state->n);

		for (int i = 0; i < state->n; i++)
			items[i] = (char *) state->rows[state->first + i][0].text;
		return in_list(state->columns[0]->property, state->columns[0]->logical,
					   state->columns[0]->type, items, state->n);
	}
	for (int i = 0; i < state->n; i++)
	{
		DvFilter *one = row_filter(state, state->first + i);

		any = any ? dv_filter_or(any, one) : one;
	}
	return any;
}

static void
prepare_keys(KeyState *state, Question *question, int n)
{
	const char **properties = palloc(sizeof(char *) * (state->nkeys + 1));
	StringInfoData select;

	initStringInfo(&select);
	appendStringInfoString(&select, state->probe->primary_id);
	properties[0] = state->probe->primary_id;
	for (int i = 0; i < state->nkeys; i++)
	{
		properties[i + 1] = state->columns[i]->property;
		appendStringInfo(&select, ",%s", state->columns[i]->property);
	}
	question->select = select.data;
	question->properties = properties;
	question->nproperties = state->nkeys + 1;

	state->convert =
		dv_convert_prepare(state->probe->table, (DvColumn *const *) state->columns, state->nkeys);
	state->folds = palloc(sizeof(char *) * (n + 1));
	for (int i = 0; i < n; i++)
	{
		StringInfoData fold;

		initStringInfo(&fold);
		dv_keyfold(&fold, state->rows[i], state->nkeys);
		state->folds[i] = fold.data;
	}
	state->ids = palloc0(sizeof(char *) * (n + 1));
	state->exact = palloc0(sizeof(bool) * (n + 1));
}

char **
dv_probe_keys(const DvProbe *probe, const DvColumn *const *columns, int nkeys,
			  const DvKeyPart *const *rows, int n)
{
	KeyState state = {.probe = probe, .columns = columns, .nkeys = nkeys, .rows = rows};
	Question question = {.probe = probe, .take = take_key, .state = &state};
	int most = Max(1, CONDITIONS_MAX / nkeys);

	prepare_keys(&state, &question, n);
	for (state.first = 0; state.first < n; state.first += state.n)
	{
		state.n = Min(most, n - state.first);
		while (!ask(&question, rows_filter(&state)))
		{
			if (state.n == 1)
			{
				give_up(&state, state.first, "key value is too long to be looked up",
						"The service takes addresses of limited length.");
				break;
			}
			state.n = (state.n + 1) / 2;
		}
	}
	return state.ids;
}
