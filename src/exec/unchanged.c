/*
 * unchanged.c
 *	  Which values of rows to be written the service has already.
 *
 * A nightly load writes the same rows again, most of them as they are there.
 * Each costs the service a write, its custom logic and a line in the audit, and
 * changes modifiedon (sheet 4.6).  Reading costs a tenth of that, so the rows of
 * a batch are read first, as many in a request as the service allows, and what
 * would be stored as it is stays at home.  Rows that are not there are written
 * whole.
 *
 * The comparison is that of odata/same.h, value by value, of what would be sent
 * with what is read.  Whatever cannot be told goes out: images, of which only a
 * thumbnail is read; lookups written by a key of their target; rows of which the
 * service shows two.  Elastic tables (one id in many partitions) and virtual
 * ones (their provider may ignore a condition) are written as ever, and so are
 * rows that are only to be created, or wanted back one by one.
 *
 * Between reading and writing somebody else may change the row: then what is
 * left out is his.  That is so with every UPDATE of some columns; only a row
 * deleted just then is created by an upsert with the changed columns alone.
 */
#include "postgres.h"

#include "compat.h"

#include "mb/pg_wchar.h"
#include "utils/formatting.h"
#include "utils/memutils.h"

#include "exec/convert.h"
#include "exec/unchanged.h"
#include "odata/batch.h"
#include "odata/filter.h"
#include "odata/keyfold.h"
#include "odata/page.h"
#include "odata/same.h"
#include "remote/metadata.h"
#include "remote/report.h"

/* Conditions in one question: below the service's 500 (sheet 2.3.1) with room. */
#define CONDITIONS_MAX 400

/* The service's root, which comes before our part of an address, is no longer than that. */
#define ROOT_MAX 512

#define TARGET_ANNOTATION "@Microsoft.Dynamics.CRM.lookuplogicalname"

/* Comes with each row, and cannot be asked for (sheet 2.1.1). */
#define ETAG "@odata.etag"

/* A field that may be compared, by its mark. */
typedef struct Compared
{
	DvEncodedField field;
	int precision;
	int place;        /* of its value among what is read; -1: not read */
	int target_place; /* of the table that a polymorphic lookup points to; -1 */
} Compared;

struct DvUnchanged
{
	DvUnchangedSpec spec;
	int nmarks;
	Compared *compared;
	bool precisions_known;
	int nkeys;
	const DvColumn *const *keys;
	DvConvert *convert; /* of the keys; NULL until needed */
};

/* A row that is asked for. */
typedef struct Wanted
{
	const char *text; /* its id, or its folded key */
	int row;
	int matches;
	bool *keep; /* which of its fields differ from the row that was found */
} Wanted;

/* Rows of one set that are addressed in the same way. */
typedef struct Question
{
	DvUnchanged *unchanged;
	const DvRowSet *set;
	bool by_key;
	int n;
	Wanted *wanted; /* sorted by text once asked */
	int nproperties;
	const char **properties;
	StringInfoData select;
	bool annotated;
	int etag; /* place of the version; -1: any will do */
} Question;

DvUnchanged *
dv_unchanged_prepare(const DvUnchangedSpec *spec)
{
	DvUnchanged *unchanged;
	DvWriteMode mode = spec->plan->mode;

	if (!spec->table->settings.skip_unchanged || spec->plan->do_nothing ||
		spec->table->table_type != DV_TABLE_STANDARD ||
		(mode != DV_WRITE_UPSERT && mode != DV_WRITE_UPDATE))
		return NULL;
	unchanged = palloc0(sizeof(DvUnchanged));
	unchanged->spec = *spec;
	unchanged->nmarks = dv_encode_marks(spec->encode);
	unchanged->compared = palloc0(sizeof(Compared) * Max(unchanged->nmarks, 1));
	for (int i = 0; i < unchanged->nmarks; i++)
		dv_encode_describe(spec->encode, i, &unchanged->compared[i].field);
	unchanged->keys = dv_identity_keys(spec->identity, &unchanged->nkeys);
	return unchanged;
}

static void
fail(const Question *question, const DvError *error)
{
	const DvTable *table = question->unchanged->spec.table;
	DvReportContext context = {
		.what =
			psprintf("could not read rows of foreign table \"%s\" to compare them", table->name),
	};

	dv_report(error, &context);
}

/*
 * What is read.
 */

/* The service rounds what it stores: by how much, only its metadata tell. */
static void
find_precisions(DvUnchanged *unchanged)
{
	const DvSchema *schema;

	if (unchanged->precisions_known)
		return;
	unchanged->precisions_known = true;
	schema = dv_metadata_table(unchanged->spec.service, unchanged->spec.table->table_name);
	for (int i = 0; i < unchanged->nmarks; i++)
	{
		Compared *compared = &unchanged->compared[i];
		const DvAttribute *attribute =
			schema ? dv_schema_attribute(schema, compared->field.logical) : NULL;

		compared->precision = attribute ? attribute->precision : -1;
	}
}

static const DvRow *
row_of(const Question *question, int i)
{
	return &question->set->rows[question->wanted[i].row];
}

static int
add_property(Question *question, const char *name, const char *annotation)
{
	const char *whole = annotation ? psprintf("%s%s", name, annotation) : name;

	for (int i = 0; i < question->nproperties; i++)
	{
		if (strcmp(question->properties[i], whole) == 0)
			return i;
	}
	if (annotation == NULL)
		appendStringInfo(&question->select, "%s%s", question->nproperties > 0 ? "," : "", name);
	else
		question->annotated = true;
	question->properties[question->nproperties] = whole;
	return question->nproperties++;
}

/* Marks of fields that any of the rows has. */
static bool *
find_used(const Question *question)
{
	bool *used = palloc0(sizeof(bool) * Max(question->unchanged->nmarks, 1));

	for (int i = 0; i < question->n; i++)
	{
		const DvBodyField *fields;
		int n = dv_body_fields(question->set->body, question->wanted[i].row, &fields);

		for (int f = 0; f < n; f++)
			used[fields[f].mark] = true;
	}
	return used;
}

static void
choose_properties(Question *question)
{
	DvUnchanged *unchanged = question->unchanged;
	const bool *used = find_used(question);

	initStringInfo(&question->select);
	question->properties = palloc(sizeof(char *) * (2 + unchanged->nkeys + 2 * unchanged->nmarks));
	(void) add_property(question, dv_identity_primary_id(unchanged->spec.identity), NULL);
	for (int i = 0; question->by_key && i < unchanged->nkeys; i++)
		(void) add_property(question, unchanged->keys[i]->property, NULL);
	for (int i = 0; i < unchanged->nmarks; i++)
	{
		Compared *compared = &unchanged->compared[i];
		const DvEncodedField *field = &compared->field;

		compared->place = compared->target_place = -1;
		if (!used[i] || field->type == DV_TYPE_IMAGE)
			continue;
		compared->place = add_property(question, field->property, NULL);
		if (field->lookup && dv_lookup_polymorphic(field->lookup))
			compared->target_place = add_property(question, field->property, TARGET_ANNOTATION);
	}
	question->etag = -1;
	if (row_of(question, 0)->etag != NULL)
	{
		question->etag = question->nproperties++;
		question->properties[question->etag] = ETAG;
	}
}

/*
 * Asking.
 */

static DvFilter *
leaf(const char *property, const char *logical, DvType type, const char *text)
{
	DvValue *value = palloc0(sizeof(DvValue));
	const DvValue *values[1] = {value};

	value->text = (char *) text;
	return dv_filter_bind(dv_filter_leaf(DV_OP_EQ, property, logical, type, 0), values, 1);
}

static DvFilter *
list(const char *property, const char *logical, DvType type, char **items, int n)
{
	DvValue *value = palloc0(sizeof(DvValue));
	const DvValue *values[1] = {value};

	value->isarray = true;
	value->nitems = n;
	value->items = items;
	return dv_filter_bind(dv_filter_leaf(DV_OP_IN, property, logical, type, 0), values, 1);
}

static DvFilter *
row_filter(const Question *question, int i)
{
	const DvRow *row = row_of(question, i);
	DvFilter *all = NULL;

	for (int k = 0; k < row->nkeys; k++)
	{
		const DvColumn *column = question->unchanged->keys[k];
		DvFilter *one = leaf(column->property, column->logical, column->type, row->keys[k].text);

		all = all ? dv_filter_and(all, one) : one;
	}
	return all;
}

/* By one column: a list.  By several: a condition for each row. */
static DvFilter *
rows_filter(const Question *question, int first, int n)
{
	const DvUnchanged *unchanged = question->unchanged;
	const char *id = dv_identity_primary_id(unchanged->spec.identity);
	char **items = palloc(sizeof(char *) * n);
	DvFilter *any = NULL;

	if (question->by_key && unchanged->nkeys > 1)
	{
		for (int i = 0; i < n; i++)
		{
			DvFilter *one = row_filter(question, first + i);

			any = any ? dv_filter_or(any, one) : one;
		}
		return any;
	}
	for (int i = 0; i < n; i++)
	{
		const DvRow *row = row_of(question, first + i);

		items[i] = question->by_key ? (char *) row->keys[0].text : row->id;
	}
	if (question->by_key)
		return list(unchanged->keys[0]->property, unchanged->keys[0]->logical,
					unchanged->keys[0]->type, items, n);
	return list(id, id, DV_TYPE_GUID, items, n);
}

static char *
address(const Question *question, int first, int n)
{
	DvQuery query = {.path = question->unchanged->spec.table->entity_set,
					 .select = question->select.data,
					 .top = -1};
	StringInfoData filter;
	StringInfoData path;

	initStringInfo(&filter);
	dv_filter_print(&filter, rows_filter(question, first, n));
	query.filter = filter.data;
	initStringInfo(&path);
	dv_url_query(&path, &query);
	return path.data;
}

/* The addresses that ask for all rows; a row whose key is too long for any is not asked for. */
static List *
addresses(const Question *question)
{
	int most =
		question->by_key ? Max(1, CONDITIONS_MAX / question->unchanged->nkeys) : CONDITIONS_MAX;
	List *paths = NIL;
	int n;

	for (int first = 0; first < question->n; first += n)
	{
		char *path;

		n = Min(most, question->n - first);
		while (strlen(path = address(question, first, n)) > DV_URL_MAX - ROOT_MAX && n > 1)
			n = (n + 1) / 2;
		if (strlen(path) <= DV_URL_MAX - ROOT_MAX)
			paths = lappend(paths, path);
	}
	return paths;
}

static const char *
prefer_line(const Question *question)
{
	return question->annotated
			   ? "Prefer: odata.include-annotations=\"Microsoft.Dynamics.CRM.lookuplogicalname\""
			   : NULL;
}

static DvCallSpec
base_spec(const Question *question)
{
	const DvUnchangedSpec *spec = &question->unchanged->spec;
	DvCallSpec call = {.method = "GET",
					   .repeat = DV_REPEAT_SAFE,
					   .settings = &spec->table->settings,
					   .counters = spec->counters};

	return call;
}

static DvCall *
ask_now(const Question *question, const DvCallSpec *spec)
{
	DvCall *call = dv_call_start(question->unchanged->spec.service, spec);

	dv_call_wait(call);
	if (dv_call_error(call)->kind != DV_ERROR_NONE)
		fail(question, dv_call_error(call));
	return call;
}

static char *
boundary_seed(void)
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

/* Many questions are the parts of one batch: what their answers are to show is said within (sheet 5.6). */
static DvCall *
ask_in_batch(const Question *question, List *paths)
{
	static const char *const headers[] = {"Prefer: odata.continue-on-error", NULL};
	DvCallSpec spec = base_spec(question);
	DvBatch *batch = dv_batch_create(boundary_seed());
	const char *prefer = prefer_line(question);
	const char *inner =
		psprintf("Accept: application/json\r\n%s%s", prefer ? prefer : "", prefer ? "\r\n" : "");
	const char *root = question->unchanged->spec.service->server->root;
	StringInfoData body;
	ListCell *lc;

	root = strchr(strstr(root, "://") + 3, '/');
	foreach (lc, paths)
		dv_batch_add(batch, "GET", psprintf("%s/%s", root, (char *) lfirst(lc)), inner, NULL, 0,
					 -1);
	initStringInfo(&body);
	spec.content_type = dv_batch_finish(batch, &body);
	spec.method = "POST";
	spec.path = "$batch";
	spec.headers = headers;
	spec.body = body.data;
	spec.body_len = body.len;
	return ask_now(question, &spec);
}

/*
 * Comparing.
 */

/* The id in an address like "/accounts(8e1f...)", and its set; false for an address by key. */
static bool
bound_id(const char *json, size_t len, const char **set, size_t *set_len, const char **id)
{
	const char *open = memchr(json, '(', len);

	if (open == NULL || len < 2 || json[1] != '/' || json + len - open != 1 + 36 + 2)
		return false;
	*set = json + 2;
	*set_len = open - *set;
	*id = open + 1;
	return memchr(*id, '=', 36) == NULL;
}

static bool
same_lookup(const Compared *compared, const char *json, size_t len, const DvField *stored)
{
	const DvField *value = &stored[compared->place];
	const char *set;
	size_t set_len;
	const char *id;
	const char *table;
	const DvField *target;

	if (len == 4 && memcmp(json, "null", 4) == 0)
		return value->kind == DV_FIELD_ABSENT;
	if (value->kind != DV_FIELD_STRING || value->len != 36 ||
		!bound_id(json, len, &set, &set_len, &id) ||
		pg_strncasecmp(id, value->text, value->len) != 0)
		return false;
	if (compared->target_place < 0)
		return true;
	table = dv_lookup_table_of(compared->field.lookup, set, set_len);
	target = &stored[compared->target_place];
	return table != NULL && target->kind == DV_FIELD_STRING && target->len == strlen(table) &&
		   memcmp(target->text, table, target->len) == 0;
}

static bool
same_field(const Compared *compared, const char *json, size_t len, const DvField *stored)
{
	if (compared->place < 0)
		return false;
	if (compared->field.lookup)
		return same_lookup(compared, json, len, stored);
	return dv_same_value(compared->field.type, compared->precision, json, len,
						 &stored[compared->place]);
}

/* Has it changed since the statement read it?  Then the service is to say so. */
static bool
is_other_version(const Question *question, const Wanted *wanted, const DvField *stored)
{
	const char *etag = question->set->rows[wanted->row].etag;
	const DvField *version;

	if (question->etag < 0 || etag == NULL)
		return false;
	version = &stored[question->etag];
	return version->kind != DV_FIELD_STRING || version->len != strlen(etag) ||
		   memcmp(version->text, etag, version->len) != 0;
}

static void
compare_row(const Question *question, Wanted *wanted, const DvField *stored)
{
	const DvBody *body = question->set->body;
	const DvBodyField *fields;
	int n = dv_body_fields(body, wanted->row, &fields);
	bool other;

	if (wanted->matches++ > 0)
		return;
	wanted->keep = palloc(sizeof(bool) * Max(n, 1));
	other = is_other_version(question, wanted, stored);
	for (int i = 0; i < n; i++)
	{
		size_t len;
		const char *json = dv_body_value(body, &fields[i], &len);

		wanted->keep[i] =
			other || !same_field(&question->unchanged->compared[fields[i].mark], json, len, stored);
	}
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(((const Wanted *) a)->text, ((const Wanted *) b)->text);
}

/* A row of the answer as the text that the rows asked for are sorted by; NULL if it has none. */
static const char *
text_of(const Question *question, const DvField *stored)
{
	DvUnchanged *unchanged = question->unchanged;
	DvKeyPart *parts;
	StringInfoData fold;

	if (!question->by_key)
		return asc_tolower(stored[0].text, stored[0].len);
	parts = palloc0(sizeof(DvKeyPart) * unchanged->nkeys);
	for (int i = 0; i < unchanged->nkeys; i++)
	{
		const DvColumn *column = unchanged->keys[i];
		int place = 0;
		bool isnull;
		char *text;
		Datum value;

		while (strcmp(question->properties[place], column->property) != 0)
			place++;
		value = dv_convert_in(unchanged->convert, i, &stored[place], &stored[0], &isnull);
		if (isnull)
			return NULL;
		text = dv_convert_operand(value, false, column->typid, column->type)->text;
		parts[i].property = column->property;
		parts[i].edm = row_of(question, 0)->keys[i].edm;
		parts[i].text = pg_server_to_any(text, strlen(text), PG_UTF8);
	}
	initStringInfo(&fold);
	dv_keyfold(&fold, parts, unchanged->nkeys);
	return fold.data;
}

static void
read_page(const Question *question, const char *body, size_t len)
{
	DvPage *page =
		dv_page_open(body, len, PG_UTF8, false, question->properties, question->nproperties);
	DvField *stored = palloc0(sizeof(DvField) * question->nproperties);
	DvError error = {0};

	while (dv_page_row(page, stored, &error))
	{
		Wanted key = {.text = text_of(question, stored)};
		Wanted *wanted =
			key.text ? bsearch(&key, question->wanted, question->n, sizeof(Wanted), by_text) : NULL;

		if (wanted != NULL)
			compare_row(question, wanted, stored);
	}
	if (error.kind == DV_ERROR_NONE && dv_page_next(page) != NULL)
		dv_error_set(&error, DV_ERROR_PROTOCOL,
					 "the service answered with more rows than fit a page");
	if (error.kind != DV_ERROR_NONE)
		fail(question, &error);
	dv_page_close(page);
}

static void
read_batch(const Question *question, DvCall *call, int n)
{
	DvBatchPart *parts;
	DvError error = {0};
	size_t len;
	const char *body = dv_call_body(call, &len);
	const char *type = dv_call_header(call, "Content-Type");
	int nparts;

	if (!dv_batch_split(type ? type : "", body, len, &parts, &nparts, &error))
		fail(question, &error);
	if (nparts != n)
	{
		dv_error_set(&error, DV_ERROR_PROTOCOL, "a batch of %d questions has %d answers", n,
					 nparts);
		fail(question, &error);
	}
	for (int i = 0; i < n; i++)
	{
		if (parts[i].status != 200)
		{
			dv_fault_parse(parts[i].status, parts[i].body, parts[i].body_len, &error);
			fail(question, &error);
		}
		read_page(question, parts[i].body, parts[i].body_len);
	}
}

static void
ask(Question *question)
{
	List *paths = addresses(question);
	DvCallSpec spec = base_spec(question);
	const char *headers[2] = {prefer_line(question), NULL};
	const char *body;
	size_t len;
	DvCall *call;

	if (paths == NIL)
		return;
	/* From here on the order is that of the search. */
	qsort(question->wanted, question->n, sizeof(Wanted), by_text);
	if (list_length(paths) > 1)
	{
		call = ask_in_batch(question, paths);
		read_batch(question, call, list_length(paths));
	}
	else
	{
		spec.path = linitial(paths);
		spec.headers = headers;
		call = ask_now(question, &spec);
		body = dv_call_body(call, &len);
		read_page(question, body, len);
	}
	dv_call_release(call);
}

/*
 * Rows.
 */

/* Takes what is unchanged out of the rows that are addressed in one way. */
static void
sift_some(DvUnchanged *unchanged, DvRowSet *set, const int *rows, int n, bool by_key)
{
	Question question = {.unchanged = unchanged, .set = set, .by_key = by_key};

	question.wanted = palloc0(sizeof(Wanted) * n);
	for (int i = 0; i < n; i++)
	{
		const DvRow *row = &set->rows[rows[i]];
		Wanted *wanted = &question.wanted[question.n];

		if (row->by_key != by_key || (by_key ? row->fold == NULL : row->id == NULL))
			continue;
		wanted->text = by_key ? row->fold : asc_tolower(row->id, strlen(row->id));
		wanted->row = rows[i];
		question.n++;
	}
	if (question.n == 0)
		return;
	choose_properties(&question);
	ask(&question);
	for (int i = 0; i < question.n; i++)
	{
		const Wanted *wanted = &question.wanted[i];
		const DvBodyField *fields;

		if (wanted->matches != 1)
			continue;
		dv_body_keep(set->body, wanted->row, wanted->keep);
		if (dv_body_fields(set->body, wanted->row, &fields) > 0)
			continue;
		set->fates[wanted->row] = DV_FATE_SKIPPED;
		unchanged->spec.counters->unchanged++;
	}
}

int
dv_unchanged_sift(DvUnchanged *unchanged, DvRowSet *set, int *rows, int n)
{
	MemoryContext context;
	MemoryContext old;

	/* A row wanted back by itself is sent as it is. */
	if (!dv_body_tracked(set->body))
		return n;
	if (unchanged->convert == NULL && unchanged->nkeys > 0)
	{
		old = MemoryContextSwitchTo(GetMemoryChunkContext(unchanged));
		unchanged->convert = dv_convert_prepare(
			unchanged->spec.table, (DvColumn *const *) unchanged->keys, unchanged->nkeys);
		MemoryContextSwitchTo(old);
	}
	context = AllocSetContextCreate(CurrentMemoryContext, "dataverse_fdw rows to compare",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	find_precisions(unchanged);
	sift_some(unchanged, set, rows, n, true);
	sift_some(unchanged, set, rows, n, false);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return dv_rowset_keep_open(set, rows, n);
}
