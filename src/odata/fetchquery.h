/*
 * fetchquery.h
 *	  A query as a FetchXML document.
 *
 * FetchXML is the dialect of joins (sheet 2.12.3).  What a join may be, so that
 * pages lose no row, is the planner's affair: a linked table joined by its
 * primary id (many to one), and links that only filter, are safe; a link that
 * multiplies its parent's rows is not, since a page's cookie names the parent
 * only.
 *
 * Conditions are DvFilter trees.  Their classes in this dialect are given by
 * dv_fetchquery_leaf_exactness and never better than those of filter.h.
 */
#ifndef DV_ODATA_FETCHQUERY_H
#define DV_ODATA_FETCHQUERY_H

#include "odata/filter.h"

/* Links in a query (sheet 2.13). */
#define DV_FETCH_LINKS_MAX 15

typedef struct DvFetchColumn
{
	const char *logical; /* logical name, of lookups too: primarycontactid */
	DvType type;
} DvFetchColumn;

typedef struct DvFetchOrder
{
	DvFetchColumn column; /* of the query's own table: other orders have no cookie */
	bool descending;
} DvFetchOrder;

/* A table, what is wanted of it and what hangs on it. */
typedef struct DvFetchTable
{
	const char *entity; /* logical name */
	int ncolumns;
	const DvFetchColumn *columns;
	const DvFilter *filter; /* or NULL */
	int nlinks;
	const struct DvFetchLink *links;
} DvFetchTable;

typedef enum DvFetchLinkType
{
	DV_FETCH_INNER,
	DV_FETCH_OUTER,
	DV_FETCH_EXISTS, /* only filters: the parent once, if it has a linked row */
	DV_FETCH_NOT_ANY /* only filters: the parent, if it has none */
} DvFetchLinkType;

/*
 * A link's filter belongs to the join: of an outer link it decides which rows
 * are joined and not which parents stay (SQL's ON).  Links that only filter have no
 * columns, and nor do those below them.  Below an outer link only outer links and
 * such as only filter keep the parent (sheet 2.12.3).
 */
typedef struct DvFetchLink
{
	DvFetchTable table;
	DvFetchLinkType type;
	const char *from;  /* column of the linked table */
	const char *to;    /* column of the parent */
	const char *alias; /* [A-Za-z_][A-Za-z0-9_]*, unique in the query */
} DvFetchLink;

typedef struct DvFetchQuery
{
	DvFetchTable table;     /* its filter may hold conditions on links, see below */
	const char *primary_id; /* always in the answer, and the order's last key */
	int norders;
	const DvFetchOrder *orders;
	int top; /* rows, at most 5,000, and then there are no pages; 0: all */
} DvFetchQuery;

/* The class of one leaf in this dialect, by column type and operator. */
extern DvExactness dv_fetchquery_leaf_exactness(DvType type, DvFilterOp op);

/*
 * A copy of an unbound tree with its classes in this dialect: what
 * dv_filter_sendable leaves of it can be sent, and rechecked unless EXACT.
 */
extern DvFilter *dv_fetchquery_adapt(const DvFilter *filter);

/* Can this whole condition be sent, and how exactly? NULL, no condition, is EXACT. */
extern DvExactness dv_fetchquery_exactness(const DvFilter *filter);

/*
 * A copy of a condition on the columns of a link, judged after the join (SQL's
 * WHERE), for the filter of the query's own table; it may stand beside and
 * below other conditions there.  "The link's id is null" after an outer link is an
 * anti-join.
 */
extern DvFilter *dv_fetchquery_after_join(const DvFilter *filter, const char *alias);

/* The property that a column has in the answer's rows (sheet 2.12.5). link NULL: own table. */
extern char *dv_fetchquery_property(const DvFetchLink *link, const DvFetchColumn *column);

/* What the service would count (at most 500 and DV_FETCH_LINKS_MAX). */
extern int dv_fetchquery_conditions(const DvFetchQuery *query);
extern int dv_fetchquery_links(const DvFetchQuery *query);

/*
 * Appends the document, plain: neither percent-encoded nor with attributes of
 * paging, which dv_fetchxml_parse and dv_fetchxml_page add.  Filters are bound
 * and EXACT or SUPERSET in this dialect; slots that are not bound print as $n
 * (EXPLAIN).
 */
extern void dv_fetchquery_print(StringInfo out, const DvFetchQuery *query);

#endif /* DV_ODATA_FETCHQUERY_H */
