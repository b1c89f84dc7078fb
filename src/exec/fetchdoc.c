/*
 * fetchdoc.c
 *	  A scan as a FetchXML document, and what follows one of its pages.
 *
 * Rows come as they do under OData, with the same names (sheet 2.12.5); nulls
 * are left out, which the page reader takes for null anyway.  Pages are asked
 * for by number and cookie within the document, not by a link and not by the
 * Prefer header, and are all of one size: what the service makes of a cookie
 * beside another size is not documented.
 */
#include "postgres.h"

#include "compat.h"

#include "mb/pg_wchar.h"

#include "exec/fetchdoc.h"

/* A link without a condition that could fail. */
static bool
is_empty(const DvFilter *filter)
{
	return filter == NULL || filter->kind == DV_FILTER_TRUE;
}

DvFetchChildren *
dv_fetchdoc_bind(const DvRequest *request, const DvValue *const *values, int nvalues)
{
	List *from = request->plan->children;
	DvFetchChildren *children = palloc0(sizeof(DvFetchChildren));
	ListCell *lc;

	children->links = palloc0(sizeof(DvFetchLink) * Max(list_length(from), 1));
	foreach (lc, from)
	{
		const DvJoinChild *child = lfirst(lc);
		DvFilter *filter =
			child->filter == NULL ? NULL : dv_filter_bind(child->filter, values, nvalues);
		DvFetchLink *link = &children->links[children->n];

		if (filter != NULL && filter->kind == DV_FILTER_FALSE)
		{
			/* There is no such child: as wanted, or never. */
			children->none = children->none || !child->anti;
			continue;
		}
		link->type = child->anti ? DV_FETCH_NOT_ANY : DV_FETCH_EXISTS;
		link->table.entity = child->entity;
		link->table.filter = is_empty(filter) ? NULL : filter;
		link->from = child->lookup;
		link->to = request->table->primary_id;
		link->alias = psprintf("c%d", ++children->n);
	}
	return children;
}

/* The column behind a property of the row, which need not be one of the foreign table. */
static DvFetchColumn
column_of(const DvRequest *request, const char *property)
{
	int len = strcspn(property, "@");
	DvFetchColumn result = {NULL, DV_TYPE_UNKNOWN};
	const char *value = "_value";

	for (int i = 0; i < request->table->ncolumns; i++)
	{
		const DvColumn *column = &request->table->columns[i];

		if (column->label_of == NULL && column->target_of == NULL &&
			(int) strlen(column->property) == len && strncmp(column->property, property, len) == 0)
		{
			result.logical = column->logical;
			result.type = column->type;
			return result;
		}
	}
	result.logical = pnstrdup(property, len);
	if (property[0] == '_' && len > (int) strlen(value) + 1 &&
		strncmp(property + len - strlen(value), value, strlen(value)) == 0)
		result.logical = pnstrdup(property + 1, len - strlen(value) - 1);
	return result;
}

static bool
has_column(const DvFetchColumn *columns, int n, const char *logical)
{
	for (int i = 0; i < n; i++)
	{
		if (strcmp(columns[i].logical, logical) == 0)
			return true;
	}
	return false;
}

static void
fill_columns(const DvRequest *request, DvFetchTable *table)
{
	DvFetchColumn *columns = palloc(sizeof(DvFetchColumn) * Max(request->nproperties, 1));

	for (int i = 0; i < request->nproperties; i++)
	{
		DvFetchColumn column = column_of(request, request->properties[i]);

		if (!has_column(columns, table->ncolumns, column.logical))
			columns[table->ncolumns++] = column;
	}
	table->columns = columns;
}

char *
dv_fetchdoc_text(const DvRequest *request, const DvFilter *filter, const DvFetchChildren *children)
{
	DvFetchQuery query = {{request->table->table_name}};
	StringInfoData out;

	fill_columns(request, &query.table);
	query.table.filter = is_empty(filter) ? NULL : filter;
	query.table.nlinks = children->n;
	query.table.links = children->links;
	query.primary_id = request->table->primary_id;
	query.top = request->top > 0 ? (int) request->top : 0;
	initStringInfo(&out);
	dv_fetchquery_print(&out, &query);
	return pg_server_to_any(out.data, out.len, PG_UTF8);
}

static void
parse_document(const char *document, DvFetchXml *fetch)
{
	DvError error = {0};

	if (!dv_fetchxml_parse(document, fetch, &error))
		elog(ERROR, "FetchXML of a foreign scan is not well-formed: %s", error.message);
}

static char *
page_address(const DvRequest *request, const DvFetchXml *fetch, int number, const char *cookie)
{
	StringInfoData out;

	initStringInfo(&out);
	dv_fetchxml_address(&out, request->plan->entity_set, fetch, number, request->page_size, cookie);
	return out.data;
}

char *
dv_fetchdoc_address(const DvRequest *request, const char *document)
{
	DvFetchXml fetch;

	parse_document(document, &fetch);
	return page_address(request, &fetch, 1, NULL);
}

bool
dv_fetchdoc_next(const DvRequest *request, const char *document, int number,
				 const DvFetchXmlEnvelope *envelope, char **address, const char **place,
				 DvError *error)
{
	DvFetchXml fetch;
	char *cookie;

	*address = NULL;
	*place = NULL;
	parse_document(document, &fetch);
	switch (dv_fetchxml_next(&fetch, envelope, (int64) number * request->page_size, &cookie, error))
	{
		case DV_FETCHXML_LAST:
			return true;
		case DV_FETCHXML_NEXT:
			*address = page_address(request, &fetch, number + 1, cookie);
			*place = cookie != NULL ? dv_fetchxml_position(cookie) : *address;
			return true;
		case DV_FETCHXML_LOST:
			dv_error_set(error, DV_ERROR_PROTOCOL,
						 "a page names a next one, but not how FetchXML gets there");
			return false;
		case DV_FETCHXML_TOO_MANY:
			dv_error_set(error, DV_ERROR_PROTOCOL,
						 "the service pages this query without a cookie, which ends at %d rows",
						 DV_FETCHXML_LEGACY_ROWS);
			return false;
		case DV_FETCHXML_BROKEN:
			break;
	}
	return false;
}
