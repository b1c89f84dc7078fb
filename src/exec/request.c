/*
 * request.c
 *	  The addresses a scan asks for: one, or one for each piece of a long list.
 *
 * The service takes 500 conditions in a query and 32 KB of address (64 KB when
 * the request travels inside a batch).  A longer list of values is cut into
 * pieces, each a query of its own.
 *
 * Together the pieces return just the rows of the whole list, each once.  For
 * numbers, ids and dates that is so because the items of a bound list are
 * distinct.  Text is compared by the service without case and accents, so
 * that one row may answer to items in two pieces: it counts only in that piece
 * whose items hold the row's own text (design 3.1).  Any other inexact list is
 * not cut but left to the recheck, as is a text list over a column that is not
 * in the row.
 *
 * Properties of related rows, "nav/column", are asked for by $expand, one item
 * for each way a row is reached, whoever wants it.
 *
 * Facts used: sheet 1.7 (lengths), 2.2 ($select), 2.8 ($expand), 2.3.1 (conditions), 2.5
 * ($top, page size), 15 (values of In).
 */
#include "postgres.h"

#include "compat.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"

#include "exec/fetchdoc.h"
#include "exec/request.h"
#include "odata/url.h"

/*
 * Values in one list.  Whether each counts towards the 500 conditions is not
 * documented (sheet 15), so they are counted, and a fifth is left for the rest.
 */
#define LIST_MAX 400
#define CONDITIONS_MAX 500

/* Largest $top that the service takes, and largest page (sheet 2.5). */
#define TOP_MAX 5000
#define TOP_MAX_ELASTIC 500

/* Comes with each row, and cannot be asked for (sheet 2.1.1). */
#define ETAG "@odata.etag"

/*
 * The next page's address holds this one and the paging cookie, which names
 * the order columns and the last row's values twice encoded: room left for it.
 */
#define COOKIE_ROOM 2048

/*
 * Preparing.
 */

static int
find_property(const DvRequest *request, const char *name)
{
	for (int i = 0; i < request->nproperties; i++)
	{
		if (strcmp(request->properties[i], name) == 0)
			return i;
	}
	return -1;
}

static int
add_property(DvRequest *request, const char *name)
{
	int place = find_property(request, name);

	if (place >= 0)
		return place;
	request->properties =
		repalloc(request->properties, sizeof(char *) * (request->nproperties + 1));
	request->properties[request->nproperties] = name;
	return request->nproperties++;
}

/* A list that may have to be cut, and whose pieces must then be told apart by the row's text. */
static bool
is_text_list(const DvFilter *filter)
{
	return filter->kind == DV_FILTER_LEAF && filter->op == DV_OP_IN &&
		   dv_type_is_text(filter->type) && strchr(filter->property, '/') == NULL;
}

/* The columns of such lists are read, whether or not anybody else wants them. */
static void
add_list_properties(DvRequest *request, const DvFilter *filter)
{
	if (filter == NULL)
		return;
	if (is_text_list(filter))
		add_property(request, filter->property);
	if (filter->kind == DV_FILTER_AND)
	{
		for (int i = 0; i < filter->nargs; i++)
			add_list_properties(request, filter->args[i]);
	}
}

/* Does the comma list hold this name? */
static bool
in_list(const char *list, const char *name, int len)
{
	for (const char *p = list; *p;)
	{
		int n = strcspn(p, ",");

		if (n == len && strncmp(p, name, len) == 0)
			return true;
		p += n;
		p += *p == ',';
	}
	return false;
}

static void
add_to_list(StringInfo list, const char *name, int len)
{
	if (len == 0 || in_list(list->data, name, len))
		return;
	if (list->len > 0)
		appendStringInfoChar(list, ',');
	appendBinaryStringInfo(list, name, len);
}

/* The annotations to ask for, of whichever table. */
static void
name_annotations(DvRequest *request)
{
	StringInfoData annotations;

	initStringInfo(&annotations);
	for (int i = 0; i < request->nproperties; i++)
	{
		const char *at = strchr(request->properties[i], '@');

		/* The version comes unasked. */
		if (at != NULL && i != request->etag)
			add_to_list(&annotations, at + 1, strlen(at + 1));
	}
	if (request->plan->children != NIL)
	{
		add_to_list(&annotations, DV_FETCHXML_COOKIE, strlen(DV_FETCHXML_COOKIE));
		add_to_list(&annotations, DV_FETCHXML_MORE, strlen(DV_FETCHXML_MORE));
	}
	request->annotations = annotations.len > 0 ? annotations.data : NULL;
}

/* The name after a path, or NULL for a property that stands elsewhere. */
static const char *
behind_path(const char *property, const char *path, int len)
{
	if (len == 0)
		return property;
	return strncmp(property, path, len) == 0 && property[len] == '/' ? property + len + 1 : NULL;
}

/* Length of the first navigation property in what is left of a path; 0 for a plain name. */
static int
navigation_length(const char *name)
{
	const char *slash = memchr(name, '/', strcspn(name, "@"));

	return slash == NULL ? 0 : slash - name;
}

/*
 * $select of the rows at a path.  An annotation is not selected: the property
 * it belongs to is.  The primary id comes unasked (sheet 2.1.1), and is asked
 * for only when there is nothing else: without $select all columns would come.
 */
static char *
select_text(const DvRequest *request, const char *path, int len)
{
	StringInfoData select;

	initStringInfo(&select);
	for (int i = 0; i < request->nproperties; i++)
	{
		const char *name = behind_path(request->properties[i], path, len);

		if (name == NULL || navigation_length(name) > 0)
			continue;
		if (i != request->id || i < list_length(request->plan->attnums))
			add_to_list(&select, name, strcspn(name, "@"));
	}
	return select.data;
}

/* $expand of the rows at a path: one item for each navigation property that follows there. */
static char *
expand_text(const DvRequest *request, const char *path, int len)
{
	StringInfoData expand;
	StringInfoData seen;

	initStringInfo(&expand);
	initStringInfo(&seen);
	for (int i = 0; i < request->nproperties; i++)
	{
		const char *name = behind_path(request->properties[i], path, len);
		int n = name == NULL ? 0 : navigation_length(name);
		int inner_len;
		char *inner;

		if (n == 0 || in_list(seen.data, name, n))
			continue;
		add_to_list(&seen, name, n);
		inner_len = name + n - request->properties[i];
		appendStringInfo(&expand, "%s%.*s($select=%s", expand.len > 0 ? "," : "", n, name,
						 select_text(request, request->properties[i], inner_len));
		inner = expand_text(request, request->properties[i], inner_len);
		appendStringInfo(&expand, "%s%s)", inner[0] == '\0' ? "" : ";$expand=", inner);
	}
	return expand.data;
}

/* What the properties ask for: columns, related rows, annotations. */
static void
name_columns(DvRequest *request)
{
	char *select = select_text(request, "", 0);

	if (select[0] == '\0' && request->table->primary_id != NULL)
		select = pstrdup(request->table->primary_id);
	request->select = select[0] == '\0' ? NULL : select;
	request->expand = expand_text(request, "", 0);
	name_annotations(request);
}

static char *
order_text(List *sortkeys)
{
	StringInfoData order;
	ListCell *lc;

	if (sortkeys == NIL)
		return NULL;
	initStringInfo(&order);
	foreach (lc, sortkeys)
	{
		const DvSortKey *key = lfirst(lc);

		if (order.len > 0)
			appendStringInfoChar(&order, ',');
		appendStringInfo(&order, "%s%s", key->property, key->descending ? " desc" : "");
	}
	return order.data;
}

/*
 * A limit that the service may apply goes out as $top, which must not meet a
 * page size (sheet 2.5).  Where the user wants smaller pages than the limit,
 * pages win and the scan stops by itself.
 */
static void
size_pages(DvRequest *request)
{
	const DvScanPlan *plan = request->plan;
	int most = request->table->table_type == DV_TABLE_ELASTIC ? TOP_MAX_ELASTIC : TOP_MAX;

	request->page_size = Max(1, Min(plan->page_size, most));
	request->first_page = request->page_size;
	request->top = -1;
	if (plan->limit < 0)
		return;
	if (plan->exact_limit && plan->limit > 0 && plan->limit <= request->page_size)
		request->top = plan->limit;
	else if (plan->children == NIL)
		request->first_page = (int) Min(Max(plan->limit, 1), request->page_size);
}

/*
 * If the partition column is none of those read, it has a place of its own behind
 * them, which only ranges' pages fill.
 */
static void
place_partition(DvRequest *request)
{
	int wanted = request->nproperties;

	request->date = -1;
	if (request->plan->partition == 0)
		return;
	request->partition = dv_table_column(request->table, request->plan->partition);
	if (request->partition == NULL)
		elog(ERROR, "foreign table \"%s\" has no column %d", request->table->name,
			 request->plan->partition);
	request->date = add_property(request, request->partition->property);
	request->nproperties = wanted;
}

DvRequest *
dv_request_prepare(const DvScanPlan *plan, const DvTable *table, const char *root,
				   const char *const *column_properties)
{
	DvRequest *request = palloc0(sizeof(DvRequest));
	int ncolumns = list_length(plan->attnums);

	request->plan = plan;
	request->table = table;
	request->root = root;
	request->nproperties = ncolumns;
	request->properties = palloc(sizeof(char *) * Max(ncolumns, 1));
	for (int i = 0; i < ncolumns; i++)
		request->properties[i] = column_properties[i];
	request->id = table->primary_id != NULL ? add_property(request, table->primary_id) : -1;
	request->etag = plan->etag ? add_property(request, ETAG) : -1;
	add_list_properties(request, plan->filter);
	place_partition(request);
	name_columns(request);
	request->orderby = order_text(plan->sortkeys);
	if (plan->sortkeys != NIL)
		request->null_orderby = order_text(list_copy_tail(plan->sortkeys, 1));
	size_pages(request);
	return request;
}

char *
dv_request_prefer(const DvRequest *request, int page_size)
{
	StringInfoData prefer;

	bool sized = request->top < 0 && request->plan->children == NIL;

	initStringInfo(&prefer);
	appendStringInfoString(&prefer, "Prefer: ");
	if (sized)
		appendStringInfo(&prefer, "odata.maxpagesize=%d", page_size);
	if (request->annotations != NULL)
		appendStringInfo(&prefer, "%sodata.include-annotations=\"%s\"", sized ? "," : "",
						 request->annotations);
	return prefer.len > strlen("Prefer: ") ? prefer.data : NULL;
}

/*
 * Cutting.
 */

typedef struct Cut
{
	const DvRequest *request;
	const char *orderby;
	List *lists; /* DvFilter *: the text lists cut so far on the way down */
	List *pieces;
	const DvFetchChildren *children; /* NULL: OData */
	char *document;                  /* FetchXML: of the address made last */
} Cut;

static void cut_filter(Cut *cut, DvFilter *filter);

/* Readable text of a condition; NULL for none. */
static char *
filter_text(const DvFilter *filter)
{
	StringInfoData out;

	if (filter == NULL || filter->kind == DV_FILTER_TRUE)
		return NULL;
	initStringInfo(&out);
	dv_filter_print(&out, filter);
	return out.len > 0 ? out.data : NULL;
}

static char *
path_text(Cut *cut, const DvFilter *filter)
{
	const DvRequest *request = cut->request;
	DvQuery query = {.top = request->top};
	StringInfoData out;
	char *text;

	if (cut->children != NULL)
	{
		cut->document = dv_fetchdoc_text(request, filter, cut->children);
		return dv_fetchdoc_address(request, cut->document);
	}
	text = filter_text(filter);
	query.path = request->plan->entity_set;
	query.select = request->select;
	query.filter = text == NULL ? NULL : pg_server_to_any(text, strlen(text), PG_UTF8);
	query.orderby = cut->orderby;
	query.expand = request->expand;
	initStringInfo(&out);
	dv_url_query(&out, &query);
	if (text != NULL)
		pfree(text);
	return out.data;
}

static bool
is_trimmed(const DvTable *table, const char *property)
{
	for (int i = 0; i < table->ncolumns; i++)
	{
		if (strcmp(table->columns[i].property, property) == 0)
			return getBaseType(table->columns[i].typid) == BPCHAROID;
	}
	return false;
}

static void
add_piece(Cut *cut, char *path)
{
	DvPiece *piece = palloc0(sizeof(DvPiece));
	ListCell *lc;

	piece->path = path;
	piece->document = cut->document;
	piece->checks = palloc(sizeof(DvPieceCheck) * Max(list_length(cut->lists), 1));
	foreach (lc, cut->lists)
	{
		const DvFilter *leaf = lfirst(lc);
		DvPieceCheck *check = &piece->checks[piece->nchecks++];

		check->field = find_property(cut->request, leaf->property);
		check->trim = is_trimmed(cut->request->table, leaf->property);
		check->nitems = leaf->value->nitems;
		check->items = leaf->value->items;
	}
	cut->pieces = lappend(cut->pieces, piece);
}

/* Conditions allowed on a whole query, with the list itself at its own limit. */
static bool
counts_fit(DvFilter *filter)
{
	return filter == NULL || (dv_filter_long_list(filter, LIST_MAX) == NULL &&
							  dv_filter_conditions(filter) <= CONDITIONS_MAX);
}

/* The tree without one arm of its top AND; NULL when nothing is left. */
static DvFilter *
without_arm(DvFilter *filter, const DvFilter *arm)
{
	DvFilter *rest = NULL;

	if (filter == arm)
		return NULL;
	for (int i = 0; i < filter->nargs; i++)
	{
		if (filter->args[i] != arm)
			rest = rest == NULL ? filter->args[i] : dv_filter_and(rest, filter->args[i]);
	}
	return rest;
}

/* May the list be cut: do its pieces, with the check, return no row twice? */
static bool
can_cut(const DvRequest *request, const DvFilter *leaf)
{
	if (leaf->exactness == DV_EXACT)
		return true;
	return is_text_list(leaf) && find_property(request, leaf->property) >= 0;
}

/*
 * Into how many: by number where that is the trouble (as evenly as can be,
 * 1,000 into three), else in halves until the address fits.
 */
static int
piece_size(const DvFilter *leaf)
{
	int most = LIST_MAX / dv_filter_item_conditions(leaf);
	int n = leaf->value->nitems;
	int pieces = Max(2, (n + most - 1) / most);

	return (n + pieces - 1) / pieces;
}

static void
cut_list(Cut *cut, DvFilter *filter, DvFilter *leaf)
{
	DvValue *whole = leaf->value;
	int size = piece_size(leaf);
	bool text = is_text_list(leaf);
	bool known = list_member_ptr(cut->lists, leaf);

	if (text && !known)
		cut->lists = lappend(cut->lists, leaf);
	for (int first = 0; first < whole->nitems; first += size)
	{
		DvValue part = *whole;

		CHECK_FOR_INTERRUPTS();
		part.items = whole->items + first;
		part.nitems = Min(size, whole->nitems - first);
		leaf->value = &part;
		cut_filter(cut, filter);
	}
	leaf->value = whole;
	if (text && !known)
		cut->lists = list_delete_ptr(cut->lists, leaf);
}

static void refuse_long(const DvRequest *request) pg_attribute_noreturn();

static void
refuse_long(const DvRequest *request)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
		 errmsg("condition on foreign table \"%s\" is too long for the service",
				request->table->name),
		 errdetail("The service takes at most %d comparisons and %d bytes of address in one "
				   "query.",
				   CONDITIONS_MAX, DV_URL_MAX_BATCH),
		 errhint("Write long lists as column = ANY (array), which is cut into several requests, "
				 "or keep the condition local with OFFSET 0 in a subquery.")));
}

/*
 * An inexact arm that may be left out, since the executor checks it again: for
 * conditions that are too long and cannot be cut.
 */
static DvFilter *
droppable_arm(DvFilter *filter)
{
	if (filter->kind != DV_FILTER_AND)
		return filter->exactness == DV_EXACT ? NULL : filter;
	for (int i = 0; i < filter->nargs; i++)
	{
		if (filter->args[i]->exactness != DV_EXACT)
			return filter->args[i];
	}
	return NULL;
}

/* One piece if the filter fits (NULL: none), else the pieces it is cut into. */
static void
cut_filter(Cut *cut, DvFilter *filter)
{
	char *path = path_text(cut, filter);
	size_t length = strlen(cut->request->root) + 1 + strlen(path);
	bool counts = counts_fit(filter);
	DvFilter *leaf;

	check_stack_depth();
	if (counts && length + COOKIE_ROOM <= DV_URL_MAX)
	{
		add_piece(cut, path);
		return;
	}
	leaf = filter == NULL ? NULL : dv_filter_long_list(filter, 1);
	if (leaf != NULL && leaf->value->nitems > 1)
	{
		pfree(path);
		if (can_cut(cut->request, leaf))
			cut_list(cut, filter, leaf);
		else
			cut_filter(cut, without_arm(filter, leaf));
		return;
	}
	/* Nothing left to cut: the batch form takes twice the length. */
	if (counts && length + COOKIE_ROOM <= DV_URL_MAX_BATCH)
	{
		add_piece(cut, path);
		return;
	}
	leaf = filter == NULL ? NULL : droppable_arm(filter);
	if (leaf == NULL)
		refuse_long(cut->request);
	cut_filter(cut, without_arm(filter, leaf));
}

/* The condition beside a null test of the first sort key. */
static DvFilter *
with_null_test(const DvRequest *request, DvFilter *filter, DvFilterOp op)
{
	const DvSortKey *key = linitial(request->plan->sortkeys);
	DvFilter *test;

	for (int i = 0; i < request->table->ncolumns; i++)
	{
		const DvColumn *column = &request->table->columns[i];

		if (strcmp(column->property, key->property) != 0 || column->label_of != NULL ||
			column->target_of != NULL)
			continue;
		test = dv_filter_leaf(op, column->property, column->logical, column->type, -1);
		return filter == NULL ? test : dv_filter_and(filter, test);
	}
	elog(ERROR, "sort key \"%s\" is no column", key->property);
}

static void
cut_nulls(Cut *cut, DvFilter *filter)
{
	cut->orderby = cut->request->null_orderby;
	cut_filter(cut, with_null_test(cut->request, filter, DV_OP_IS_NULL));
	cut->orderby = cut->request->orderby;
}

/*
 * Rows in which the first sort key is null come before or after the others, as
 * SQL says and not as the service would have it.
 */
static void
cut_around_nulls(Cut *cut, DvFilter *filter, bool nulls_first)
{
	int first;

	if (nulls_first)
		cut_nulls(cut, filter);
	first = list_length(cut->pieces);
	cut_filter(cut, with_null_test(cut->request, filter, DV_OP_NOT_NULL));
	if (!nulls_first)
	{
		first = list_length(cut->pieces);
		cut_nulls(cut, filter);
	}
	((DvPiece *) list_nth(cut->pieces, first))->later = true;
}

bool
dv_request_in_order(const List *pieces)
{
	const ListCell *lc;

	foreach (lc, pieces)
	{
		if (foreach_current_index(lc) > 0 && !((DvPiece *) lfirst(lc))->later)
			return false;
	}
	return true;
}

/* The document as EXPLAIN shows it. */
static char *
document_text(const DvRequest *request, const DvFilter *filter, const DvFetchChildren *children)
{
	char *text = dv_fetchdoc_text(request, filter, children);

	return pg_any_to_server(text, strlen(text), PG_UTF8);
}

List *
dv_request_pieces(const DvRequest *request, const DvValue *const *values, int nvalues,
				  char **filter_out)
{
	Cut cut = {request, request->orderby};
	const DvSortKey *key;
	DvFilter *filter = NULL;

	if (request->plan->filter != NULL)
		filter = dv_filter_bind(request->plan->filter, values, nvalues);
	if (filter_out != NULL)
		*filter_out = filter_text(filter);
	if (filter != NULL && filter->kind == DV_FILTER_FALSE)
		return NIL;
	if (request->plan->children != NIL)
	{
		cut.children = dv_fetchdoc_bind(request, values, nvalues);
		if (cut.children->none)
			return NIL;
		if (filter_out != NULL)
			*filter_out = document_text(request, filter, cut.children);
	}
	key = request->plan->sortkeys == NIL ? NULL : linitial(request->plan->sortkeys);
	if (key != NULL && key->nullable)
		cut_around_nulls(&cut, filter, key->nulls_first);
	else
		cut_filter(&cut, filter);
	return cut.pieces;
}

/*
 * Ranges.
 */

/* One query, unless it is too long. */
static char *
path_if_short(Cut *cut, const DvFilter *filter)
{
	char *path = path_text(cut, filter);

	if (counts_fit((DvFilter *) filter) &&
		strlen(cut->request->root) + 1 + strlen(path) + COOKIE_ROOM <= DV_URL_MAX)
		return path;
	pfree(path);
	return NULL;
}

static bool
and_span(const DvRequest *request, const DvValue *const *values, int nvalues, const DvSpan *span,
		 DvFilter **filter)
{
	const DvColumn *column = request->partition;
	DvFilter *bounds = dv_span_condition(span, column->property, column->logical, column->type);

	*filter = request->plan->filter == NULL
				  ? NULL
				  : dv_filter_bind(request->plan->filter, values, nvalues);
	if (bounds != NULL)
		*filter = *filter == NULL ? bounds : dv_filter_and(*filter, bounds);
	return *filter == NULL || (*filter)->kind != DV_FILTER_FALSE;
}

DvPiece *
dv_request_range(const DvRequest *request, const DvValue *const *values, int nvalues,
				 const DvSpan *span)
{
	const char *date = request->partition->property;
	DvRequest dated = *request;
	Cut cut = {&dated};
	DvPiece *piece = palloc0(sizeof(DvPiece));
	DvFilter *filter;

	if (!and_span(request, values, nvalues, span, &filter))
		return NULL;
	if (!in_list(request->select, date, strlen(date)))
		dated.select = psprintf("%s,%s", request->select, date);
	cut.orderby = span->nulls ? NULL : psprintf("%s,%s", date, request->table->primary_id);
	piece->path = path_if_short(&cut, filter);
	piece->ranged = true;
	piece->span = *span;
	return piece->path == NULL ? NULL : piece;
}

char *
dv_request_dates(const DvRequest *request, const DvValue *const *values, int nvalues, bool latest)
{
	const DvColumn *column = request->partition;
	const DvSpan whole = {0};
	DvRequest dates = *request;
	Cut cut = {&dates};
	DvFilter *filter;

	if (!and_span(request, values, nvalues, &whole, &filter))
		return NULL;
	if (!column->notnull)
	{
		DvFilter *test =
			dv_filter_leaf(DV_OP_NOT_NULL, column->property, column->logical, column->type, -1);

		filter = filter == NULL ? test : dv_filter_and(filter, test);
	}
	dates.select = column->property;
	dates.top = latest ? 1 : -1;
	if (latest)
		cut.orderby = psprintf("%s desc", column->property);
	return path_if_short(&cut, filter);
}
