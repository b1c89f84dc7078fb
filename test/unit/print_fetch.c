/*
 * print_fetch.c
 *	  Conditions as FetchXML documents, for t/fetchquery.t, which puts them to the
 *	  local service.
 *
 * Reads lines of fields between tabs: shape, operator as SQL names it, column,
 * attribute type, and the operand in the text forms of literal.h: none for null
 * tests, one for scalars, "{" and the items for lists.  Within a field \t, \n and
 * \\ stand for those characters.  Writes a line for each: the condition's class and
 * the document, or "none".
 */
#include "odata/fetchquery.h"

#include <stdio.h>

#include "operators.h"

#define FIELDS_MAX 64
#define ENTITY "sample_everything"
#define ID "sample_everythingid"

static void
unescape(char *text)
{
	char *to = text;

	for (const char *p = text; *p != '\0'; p++)
	{
		if (*p == '\\' && p[1] != '\0')
		{
			p++;
			*to++ = *p == 't' ? '\t' : *p == 'n' ? '\n' : *p;
		}
		else
			*to++ = *p;
	}
	*to = '\0';
}

static int
split(char *line, char **fields)
{
	int n = 0;

	line[strcspn(line, "\n")] = '\0';
	for (char *p = line; p != NULL && n < FIELDS_MAX; n++)
	{
		fields[n] = p;
		p = strchr(p, '\t');
		if (p != NULL)
			*p++ = '\0';
		unescape(fields[n]);
	}
	return n;
}

static DvFilterOp
find_operator(const char *name)
{
	int op = 0;

	while (op < DV_OP_COUNT && strcmp(operator_names[op], name) != 0)
		op++;
	return op;
}

static DvFilter *
bind_operand(const DvFilter *filter, char **operands, int n)
{
	bool isarray = n > 0 && strcmp(operands[0], "{") == 0;
	DvValue value = {.isarray = isarray,
					 .isnull = n == 0,
					 .text = n > 0 ? operands[0] : NULL,
					 .items = operands + 1,
					 .nitems = n - 1};
	const DvValue *values[] = {&value};

	return dv_filter_bind(filter, values, 1);
}

/* Every shape that a join can have, each along the same lookup. */
static void
print_document(StringInfo out, const char *shape, const DvFilter *filter)
{
	static const DvFetchColumn columns[] = {{ID, DV_TYPE_GUID},
											{"sample_accountid", DV_TYPE_LOOKUP}};
	DvFilter *missing =
		dv_fetchquery_after_join(dv_filter_leaf(DV_OP_IS_NULL, ID, ID, DV_TYPE_GUID, -1), "k");
	DvFetchLink link = {.table = {.entity = ENTITY},
						.type = DV_FETCH_OUTER,
						.from = ID,
						.to = "sample_parentid",
						.alias = "k"};
	DvFetchQuery query = {.table = {.entity = ENTITY, .links = &link}, .primary_id = ID};

	if (strcmp(shape, "plain") != 0)
		query.table.nlinks = 1;
	if (strcmp(shape, "inner") == 0)
		link.type = DV_FETCH_INNER;
	else if (strcmp(shape, "exists") == 0)
		link.type = DV_FETCH_EXISTS;
	else if (strcmp(shape, "not any") == 0)
		link.type = DV_FETCH_NOT_ANY;
	if (link.type == DV_FETCH_INNER || link.type == DV_FETCH_OUTER)
	{
		link.table.ncolumns = lengthof(columns);
		link.table.columns = columns;
	}
	if (strcmp(shape, "plain") == 0)
		query.table.filter = filter;
	else if (strcmp(shape, "after") == 0)
		query.table.filter = dv_fetchquery_after_join(filter, "k");
	else
		link.table.filter = filter;
	if (strcmp(shape, "anti") == 0)
		query.table.filter = missing;
	dv_fetchquery_print(out, &query);
}

/* shape, operator, column, type, operands */
static void
answer(char **fields, int n)
{
	static const char *const classes[] = {"none", "superset", "exact"};
	DvType type = dv_type_from_name(fields[3]);
	DvFilterOp op = find_operator(fields[1]);
	DvExactness exactness;
	DvFilter *filter;
	StringInfoData out;

	if (op == DV_OP_COUNT || type == DV_TYPE_UNKNOWN)
	{
		printf("unknown\t\n");
		return;
	}
	filter = dv_filter_leaf(op, fields[2], fields[2], type, n > 4 ? 0 : -1);
	exactness = dv_fetchquery_exactness(filter);
	initStringInfo(&out);
	if (exactness != DV_NONE)
		print_document(&out, fields[0],
					   bind_operand(dv_fetchquery_adapt(filter), fields + 4, n - 4));
	printf("%s\t%s\n", classes[exactness], out.data);
	pfree(out.data);
}

int
main(void)
{
	static char line[65536];
	char *fields[FIELDS_MAX];

	while (fgets(line, sizeof(line), stdin) != NULL)
	{
		int n = split(line, fields);

		if (n < 4)
			return 1;
		answer(fields, n);
	}
	return 0;
}
