/*
 * fetchquery.c
 *	  A query as a FetchXML document.
 *
 * Bound leaves print as <condition> elements, one or several.  FetchXML is the
 * engine beneath OData's $filter, so ranges and grids are filter.c's; what
 * differs is how a value is read from its text and what is settled about that:
 *
 * - ne and not-in return rows whose column is null (sheet 2.3.5): the null test
 *	 goes with them.
 * - Instants carry their offset, always Z.  The vendor's own examples and the
 *	 clients of others write Z or +00:00 on columns of behaviour UserLocal; without
 *	 an offset the user's time zone might come in.  Nothing tells what an offset
 *	 does on TimeZoneIndependent columns, so these are not compared here.  Days
 *	 (DateOnly) have neither time nor zone.
 * - Booleans are 1 and 0, GUIDs bare: the form that the vendor's designer writes.
 * - Names of tables (EntityName) compare by object type code here (sheet 3.1),
 *	 which is not known: not sent.
 * - Text functions become like, with the wildcards around the piece in sight.
 *
 * XML takes no control characters, and a parser may drop a <value> of nothing but
 * blanks.  A text that cannot be said goes out as "has a value", which is a
 * superset, as every leaf of text is.
 */
#include "odata/fetchquery.h"

#include "odata/fetchxml.h"
#include "odata/grid.h"

/*
 * Classes.
 */

static bool
is_null_test(DvFilterOp op)
{
	return op == DV_OP_IS_NULL || op == DV_OP_NOT_NULL;
}

DvExactness
dv_fetchquery_leaf_exactness(DvType type, DvFilterOp op)
{
	if ((type == DV_TYPE_DATETIME_FLOATING || type == DV_TYPE_ENTITY_NAME) && !is_null_test(op))
		return DV_NONE;
	return dv_filter_leaf_exactness(type, op);
}

static DvFilter *
copy_node(const DvFilter *filter)
{
	DvFilter *copy = palloc(sizeof(DvFilter));

	*copy = *filter;
	return copy;
}

DvFilter *
dv_fetchquery_adapt(const DvFilter *filter)
{
	DvFilter *result;

	switch (filter->kind)
	{
		case DV_FILTER_TRUE:
		case DV_FILTER_FALSE:
			break;
		case DV_FILTER_LEAF:
			result = copy_node(filter);
			result->exactness =
				Min(filter->exactness, dv_fetchquery_leaf_exactness(filter->type, filter->op));
			return result;
		case DV_FILTER_AND:
		case DV_FILTER_OR:
			result = dv_fetchquery_adapt(filter->args[0]);
			for (int i = 1; i < filter->nargs; i++)
				result = (filter->kind == DV_FILTER_AND ? dv_filter_and : dv_filter_or)(
					result, dv_fetchquery_adapt(filter->args[i]));

			/* What was weakened as a whole stays so. */
			result->exactness = Min(result->exactness, filter->exactness);
			return result;
	}
	return copy_node(filter);
}

DvExactness
dv_fetchquery_exactness(const DvFilter *filter)
{
	return filter == NULL ? DV_EXACT : dv_fetchquery_adapt(filter)->exactness;
}

/* The alias stands before the column as the path to a related row does in OData. */
DvFilter *
dv_fetchquery_after_join(const DvFilter *filter, const char *alias)
{
	DvFilter *copy = copy_node(filter);

	if (filter->kind == DV_FILTER_LEAF && filter->logical != NULL)
		copy->property = psprintf("%s/%s", alias, filter->logical);
	if (filter->nargs > 0)
		copy->args = palloc(sizeof(DvFilter *) * filter->nargs);
	for (int i = 0; i < filter->nargs; i++)
		copy->args[i] = dv_fetchquery_after_join(filter->args[i], alias);
	return copy;
}

/*
 * Values.
 */

static bool
is_text(DvEdm edm)
{
	return edm == DV_EDM_STRING || edm == DV_EDM_CHOICES;
}

static void
print_value(StringInfo out, const DvFilter *leaf, const char *text)
{
	DvEdm edm = dv_type_edm(leaf->type);

	if (is_text(edm))
		dv_fetchxml_escape(out, text);
	else if (edm == DV_EDM_BOOLEAN)
		appendStringInfoChar(out, strcmp(text, "true") == 0 ? '1' : '0');
	else
		dv_literal_append(out, edm, text);
}

/* May this text be content of an element? U+FFFE and U+FFFF are EF BF BE and EF BF BF. */
static bool
is_sayable(const char *text)
{
	bool blank = *text != '\0';

	for (const char *p = text; *p != '\0'; p++)
	{
		if ((unsigned char) *p < 0x20 && strchr("\t\n\r", *p) == NULL)
			return false;
		if (p[0] == '\xEF' && p[1] == '\xBF' && (p[2] == '\xBE' || p[2] == '\xBF'))
			return false;
		blank = blank && strchr(" \t\n\r", *p) != NULL;
	}
	return !blank;
}

static bool
is_sayable_leaf(const DvFilter *leaf)
{
	if (leaf->value == NULL || dv_type_edm(leaf->type) != DV_EDM_STRING)
		return true;
	if (!leaf->value->isarray)
		return is_sayable(leaf->value->text);
	for (int i = 0; i < leaf->value->nitems; i++)
	{
		if (!is_sayable(leaf->value->items[i]))
			return false;
	}
	return true;
}

/*
 * Conditions.
 */

static void
print_attribute(StringInfo out, const char *name, const char *value)
{
	appendStringInfo(out, " %s='", name);
	dv_fetchxml_escape(out, value);
	appendStringInfoChar(out, '\'');
}

/* Up to the operator; columns of a link are named by its alias. */
static void
open_condition(StringInfo out, const DvFilter *leaf, const char *operator)
{
	const char *slash = strchr(leaf->property, '/');

	appendStringInfoString(out, "<condition");
	if (slash != NULL)
		print_attribute(out, "entityname", pnstrdup(leaf->property, slash - leaf->property));
	print_attribute(out, "attribute", leaf->logical);
	print_attribute(out, "operator", operator);
}

static void
print_test(StringInfo out, const DvFilter *leaf, const char *operator)
{
	open_condition(out, leaf, operator);
	appendStringInfoString(out, "/>");
}

/* text: in the forms of literal.h; NULL: the slot's number. */
static void
print_comparison(StringInfo out, const DvFilter *leaf, const char *operator, const char * text)
{
	open_condition(out, leaf, operator);
	appendStringInfoString(out, " value='");
	if (text == NULL)
		appendStringInfo(out, "$%d", leaf->slot + 1);
	else
		print_value(out, leaf, text);
	appendStringInfoString(out, "'/>");
}

static void
print_list(StringInfo out, const DvFilter *leaf, const char *operator)
{
	open_condition(out, leaf, operator);
	appendStringInfoChar(out, '>');
	if (leaf->value == NULL)
		appendStringInfo(out, "<value>$%d</value>", leaf->slot + 1);
	else
	{
		for (int i = 0; i < leaf->value->nitems; i++)
		{
			appendStringInfoString(out, "<value>");
			print_value(out, leaf, leaf->value->items[i]);
			appendStringInfoString(out, "</value>");
		}
	}
	appendStringInfoString(out, "</condition>");
}

/* Around conditions that hold together, or one of which does; nothing inside of their like. */
static void
open_group(StringInfo out, DvFilterKind kind, DvFilterKind context)
{
	if (kind != context)
		appendStringInfoString(out, kind == DV_FILTER_AND ? "<filter>" : "<filter type='or'>");
}

static void
close_group(StringInfo out, DvFilterKind kind, DvFilterKind context)
{
	if (kind != context)
		appendStringInfoString(out, "</filter>");
}

/*
 * Instants: a second is a half-open range, as in filter.c, right whether or not
 * fractions are stored.
 */

/* False when the calendar has no such second. */
static bool
print_second(StringInfo out, const DvFilter *leaf, const char *operator, int64 micros)
{
	if (micros > DV_MICROS_MAX)
		return false;
	print_comparison(out, leaf, operator, psprintf(INT64_FORMAT, micros));
	return true;
}

static void
print_second_equal(StringInfo out, const DvFilter *leaf, int64 micros, DvFilterKind context)
{
	open_group(out, DV_FILTER_AND, context);
	print_second(out, leaf, "ge", micros);
	print_second(out, leaf, "lt", micros + DV_MICROS_PER_SECOND);
	close_group(out, DV_FILTER_AND, context);
}

static void
print_second_differs(StringInfo out, const DvFilter *leaf, int64 micros, DvFilterKind context)
{
	open_group(out, DV_FILTER_OR, context);
	print_second(out, leaf, "lt", micros);
	print_second(out, leaf, "ge", micros + DV_MICROS_PER_SECOND);
	close_group(out, DV_FILTER_OR, context);
}

static void
print_datetime(StringInfo out, const DvFilter *leaf, DvFilterKind context)
{
	int64 micros = strtoll(leaf->value->text, NULL, 10);

	switch (leaf->op)
	{
		case DV_OP_NE:
			print_second_differs(out, leaf, micros, context);
			break;
		case DV_OP_LT:
			print_second(out, leaf, "lt", micros);
			break;
		case DV_OP_GE:
			print_second(out, leaf, "ge", micros);
			break;
		case DV_OP_LE:
			if (!print_second(out, leaf, "lt", micros + DV_MICROS_PER_SECOND))
				print_test(out, leaf, "not-null");
			break;
		case DV_OP_GT:
			if (print_second(out, leaf, "ge", micros + DV_MICROS_PER_SECOND))
				break;
			open_group(out, DV_FILTER_AND, context);
			print_test(out, leaf, "null");
			print_test(out, leaf, "not-null");
			close_group(out, DV_FILTER_AND, context);
			break;
		default:
			print_second_equal(out, leaf, micros, context);
			break;
	}
}

/*
 * Leaves.
 */

/* Lists of instants and of booleans, spelt out. */
static void
print_spelt_list(StringInfo out, const DvFilter *leaf, DvFilterKind context)
{
	bool in = leaf->op == DV_OP_IN;
	DvFilterKind kind = in ? DV_FILTER_OR : DV_FILTER_AND;

	open_group(out, kind, context);
	for (int i = 0; i < leaf->value->nitems; i++)
	{
		const char *item = leaf->value->items[i];

		if (leaf->type == DV_TYPE_BOOLEAN)
			print_comparison(out, leaf, "eq", (strcmp(item, "true") == 0) == in ? "true" : "false");
		else if (in)
			print_second_equal(out, leaf, strtoll(item, NULL, 10), kind);
		else
			print_second_differs(out, leaf, strtoll(item, NULL, 10), kind);
	}
	close_group(out, kind, context);
}

static bool
has_empty_item(const DvFilter *leaf)
{
	if (leaf->value == NULL || dv_type_edm(leaf->type) != DV_EDM_STRING)
		return false;
	for (int i = 0; i < leaf->value->nitems; i++)
	{
		if (leaf->value->items[i][0] == '\0')
			return true;
	}
	return false;
}

/* A test beside the leaf's own condition. */
static void
print_in(StringInfo out, const DvFilter *leaf, DvFilterKind context)
{
	bool empty = has_empty_item(leaf);

	if (empty)
		open_group(out, DV_FILTER_OR, context);
	if (is_sayable_leaf(leaf))
		print_list(out, leaf, "in");
	else
		print_test(out, leaf, "not-null");
	if (empty)
	{
		/* Custom columns store the empty string as null (sheet 3.7). */
		print_test(out, leaf, "null");
		close_group(out, DV_FILTER_OR, context);
	}
}

static void
print_like(StringInfo out, const DvFilter *leaf)
{
	bool start = leaf->function != NULL && strcmp(leaf->function, "startswith") == 0;
	bool end = leaf->function != NULL && strcmp(leaf->function, "endswith") == 0;

	if (leaf->value == NULL)
		print_comparison(out, leaf, leaf->op == DV_OP_PREFIX ? "begins-with" : "like", NULL);
	else
		print_comparison(out, leaf, "like",
						 psprintf("%s%s%s", start ? "" : "%", leaf->value->text, end ? "" : "%"));
}

/* The second test that a negative operator needs: "and it has a value", or "or it has none". */
static void
print_negative(StringInfo out, const DvFilter *leaf, DvFilterKind context)
{
	DvFilterKind kind = leaf->op == DV_OP_DISTINCT ? DV_FILTER_OR : DV_FILTER_AND;

	open_group(out, kind, context);
	if (leaf->op == DV_OP_NOT_IN)
		print_list(out, leaf, "not-in");
	else
		print_comparison(out, leaf, "ne", leaf->value != NULL ? leaf->value->text : NULL);
	print_test(out, leaf, kind == DV_FILTER_OR ? "null" : "not-null");
	close_group(out, kind, context);
}

static const char *const comparison_words[] = {
	[DV_OP_EQ] = "eq", [DV_OP_LT] = "lt", [DV_OP_LE] = "le", [DV_OP_GT] = "gt", [DV_OP_GE] = "ge",
};

static bool
is_spelt(const DvFilter *leaf)
{
	DvEdm edm = dv_type_edm(leaf->type);

	return leaf->value != NULL && leaf->value->isarray &&
		   (edm == DV_EDM_DATETIME || edm == DV_EDM_BOOLEAN);
}

static void
print_leaf(StringInfo out, const DvFilter *leaf, DvFilterKind context)
{
	if (leaf->value != NULL && !leaf->value->isarray && !is_null_test(leaf->op) &&
		dv_type_edm(leaf->type) == DV_EDM_DATETIME)
	{
		print_datetime(out, leaf, context);
		return;
	}
	if (is_spelt(leaf))
	{
		print_spelt_list(out, leaf, context);
		return;
	}
	switch (leaf->op)
	{
		case DV_OP_IS_NULL:
			print_test(out, leaf, "null");
			break;
		case DV_OP_NOT_NULL:
			print_test(out, leaf, "not-null");
			break;
		case DV_OP_IN:
			print_in(out, leaf, context);
			break;
		case DV_OP_NE:
		case DV_OP_NOT_IN:
		case DV_OP_DISTINCT:
			print_negative(out, leaf, context);
			break;
		case DV_OP_EQ:
		case DV_OP_LT:
		case DV_OP_LE:
		case DV_OP_GT:
		case DV_OP_GE:
		case DV_OP_NOT_DISTINCT:
			if (is_sayable_leaf(leaf))
				print_comparison(
					out, leaf,
					comparison_words[leaf->op == DV_OP_NOT_DISTINCT ? DV_OP_EQ : leaf->op],
					leaf->value != NULL ? leaf->value->text : NULL);
			else
				print_test(out, leaf, "not-null");
			break;
		case DV_OP_LIKE:
		case DV_OP_ILIKE:
		case DV_OP_PREFIX:
			if (is_sayable_leaf(leaf))
				print_like(out, leaf);
			else
				print_test(out, leaf, "not-null");
			break;
		case DV_OP_CHOICES_ALL:
		case DV_OP_CHOICES_ANY:
		case DV_OP_COUNT:
			break;
	}
}

static void
print_conditions(StringInfo out, const DvFilter *filter, DvFilterKind context)
{
	switch (filter->kind)
	{
		case DV_FILTER_TRUE:
		case DV_FILTER_FALSE:
			break;
		case DV_FILTER_LEAF:
			print_leaf(out, filter, context);
			break;
		case DV_FILTER_AND:
		case DV_FILTER_OR:
			open_group(out, filter->kind, context);
			for (int i = 0; i < filter->nargs; i++)
				print_conditions(out, filter->args[i], filter->kind);
			close_group(out, filter->kind, context);
	}
}

/*
 * Documents.
 */

static const char *const link_words[] = {
	[DV_FETCH_INNER] = "inner",
	[DV_FETCH_OUTER] = "outer",
	[DV_FETCH_EXISTS] = "exists",
	[DV_FETCH_NOT_ANY] = "not any",
};

char *
dv_fetchquery_property(const DvFetchLink *link, const DvFetchColumn *column)
{
	bool lookup = dv_type_is_lookup(column->type);

	if (link == NULL)
		return lookup ? psprintf("_%s_value", column->logical) : pstrdup(column->logical);

	/*
	 * What a lookup is called under a link's alias is not settled (sheet 15), an
	 * attribute's own alias is.  No logical name has a capital letter.
	 */
	return psprintf(lookup ? "%s_Id_%s" : "%s.%s", link->alias, column->logical);
}

static void
print_columns(StringInfo out, const DvFetchTable *table, const DvFetchLink *link)
{
	for (int i = 0; i < table->ncolumns; i++)
	{
		const DvFetchColumn *column = &table->columns[i];

		appendStringInfoString(out, "<attribute");
		print_attribute(out, "name", column->logical);
		if (link != NULL && dv_type_is_lookup(column->type))
			print_attribute(out, "alias", dv_fetchquery_property(link, column));
		appendStringInfoString(out, "/>");
	}
}

static void print_link(StringInfo out, const DvFetchLink *link);

/* Of the links, those that stand in a filter and those that do not. */
static int
print_links(StringInfo out, const DvFetchTable *table, bool in_filter)
{
	int n = 0;

	for (int i = 0; i < table->nlinks; i++)
	{
		if ((table->links[i].type == DV_FETCH_NOT_ANY) != in_filter)
			continue;
		print_link(out, &table->links[i]);
		n++;
	}
	return n;
}

/* never_null: a column of the table that has a value in every row to be judged. */
static void
print_filter(StringInfo out, const DvFetchTable *table, const char *never_null)
{
	StringInfoData inside;

	initStringInfo(&inside);
	if (table->filter != NULL && table->filter->kind == DV_FILTER_FALSE)
	{
		appendStringInfoString(&inside, "<condition");
		print_attribute(&inside, "attribute", never_null);
		print_attribute(&inside, "operator", "null");
		appendStringInfoString(&inside, "/>");
	}
	else if (table->filter != NULL)
		print_conditions(&inside, table->filter, DV_FILTER_AND);
	print_links(&inside, table, true);
	if (inside.len > 0)
		appendStringInfo(out, "<filter>%s</filter>", inside.data);
	pfree(inside.data);
}

static void
print_link(StringInfo out, const DvFetchLink *link)
{
	int start;

	appendStringInfoString(out, "<link-entity");
	print_attribute(out, "name", link->table.entity);
	print_attribute(out, "from", link->from);
	print_attribute(out, "to", link->to);
	print_attribute(out, "link-type", link_words[link->type]);
	if (link->alias != NULL)
		print_attribute(out, "alias", link->alias);
	appendStringInfoChar(out, '>');
	start = out->len;
	print_columns(out, &link->table, link);

	/* Rows that are joined have a value in the column that joins them. */
	print_filter(out, &link->table, link->from);
	print_links(out, &link->table, false);
	if (out->len > start)
		appendStringInfoString(out, "</link-entity>");
	else
	{
		out->len--;
		appendStringInfoString(out, "/>");
	}
}

static bool
has_column(const DvFetchTable *table, const char *logical)
{
	for (int i = 0; i < table->ncolumns; i++)
	{
		if (strcmp(table->columns[i].logical, logical) == 0)
			return true;
	}
	return false;
}

static void
print_order(StringInfo out, const char *logical, bool descending)
{
	appendStringInfoString(out, "<order");
	print_attribute(out, "attribute", logical);
	if (descending)
		print_attribute(out, "descending", "true");
	appendStringInfoString(out, "/>");
}

/* The primary id last, without which pages do not join (sheet 2.5). */
static void
print_orders(StringInfo out, const DvFetchQuery *query)
{
	for (int i = 0; i < query->norders; i++)
	{
		const DvFetchOrder *order = &query->orders[i];

		print_order(out, order->column.logical, order->descending);
		if (strcmp(order->column.logical, query->primary_id) == 0)
			return;
	}
	print_order(out, query->primary_id, false);
}

/* Choices sort by label unless this is asked for (sheet 2.4). */
static bool
sorts_by_choice(const DvFetchQuery *query)
{
	for (int i = 0; i < query->norders; i++)
	{
		if (dv_type_is_choice(query->orders[i].column.type))
			return true;
	}
	return false;
}

void
dv_fetchquery_print(StringInfo out, const DvFetchQuery *query)
{
	appendStringInfoString(out, "<fetch");
	if (query->top > 0)
		appendStringInfo(out, " top='%d'", query->top);
	if (sorts_by_choice(query))
		print_attribute(out, "useraworderby", "true");
	appendStringInfoString(out, "><entity");
	print_attribute(out, "name", query->table.entity);
	appendStringInfoChar(out, '>');
	print_columns(out, &query->table, NULL);
	if (!has_column(&query->table, query->primary_id))
	{
		appendStringInfoString(out, "<attribute");
		print_attribute(out, "name", query->primary_id);
		appendStringInfoString(out, "/>");
	}
	print_orders(out, query);
	print_filter(out, &query->table, query->primary_id);
	print_links(out, &query->table, false);
	appendStringInfoString(out, "</entity></fetch>");
}

/*
 * Measuring.
 */

/* Links count as conditions, too. */
static void
measure(const DvFetchTable *table, int *conditions, int *links)
{
	if (table->filter != NULL)
		*conditions += dv_filter_conditions(table->filter);
	*conditions += table->nlinks;
	*links += table->nlinks;
	for (int i = 0; i < table->nlinks; i++)
		measure(&table->links[i].table, conditions, links);
}

int
dv_fetchquery_conditions(const DvFetchQuery *query)
{
	int conditions = 0;
	int links = 0;

	measure(&query->table, &conditions, &links);
	return conditions;
}

int
dv_fetchquery_links(const DvFetchQuery *query)
{
	int conditions = 0;
	int links = 0;

	measure(&query->table, &conditions, &links);
	return links;
}
