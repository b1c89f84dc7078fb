/*
 * request.h
 *	  The addresses a scan asks for: one, or one for each piece of a long list.
 */
#ifndef DV_EXEC_REQUEST_H
#define DV_EXEC_REQUEST_H

#include "handoff.h"
#include "odata/span.h"
#include "remote/options.h"

/* A row belongs to a piece when its own text is one of these items. */
typedef struct DvPieceCheck
{
	int field;          /* place among the properties */
	bool trim;          /* char(n): trailing blanks do not count */
	int nitems;         /* sorted by strcmp, distinct */
	char *const *items; /* in the database's encoding */
} DvPieceCheck;

/* One chain of pages. */
typedef struct DvPiece
{
	char *path; /* below the service root, encoded */
	int nchecks;
	DvPieceCheck *checks;
	bool later; /* all its rows come after those of the piece before it */
	bool ranged;
	DvSpan span;    /* of a range: the seconds of its rows, which come in their order */
	char *document; /* a FetchXML query, plain; NULL: OData */
} DvPiece;

/* What stays the same for all runs of a scan. */
typedef struct DvRequest
{
	const DvScanPlan *plan;
	const DvTable *table;
	const char *root; /* service root, for lengths */
	int nproperties;  /* names of the values in a row, a related row's with
						 * their path; the first ones are the columns of
						 * plan->attnums */
	const char **properties;
	int etag;           /* place of the row's version among them, -1 not read */
	int id;             /* place of the primary id among them, -1 unknown */
	char *select;       /* $select, plain; NULL: everything */
	char *expand;       /* $expand, plain; empty: none */
	char *orderby;      /* or NULL */
	char *null_orderby; /* of the rows in which the first key is null */
	int64 top;          /* $top, -1 without */
	int page_size;
	int first_page;    /* size of the first page: a LIMIT may want fewer */
	char *annotations; /* those needed, comma separated; NULL for none */

	/* for ranges */
	const DvColumn *partition; /* by whose ranges the scan may be read, or NULL */
	int date;                  /* its place; nproperties when only the ranges' pages bring it */
} DvRequest;

/* column_properties: as many as plan->attnums.  Current context. */
extern DvRequest *dv_request_prepare(const DvScanPlan *plan, const DvTable *table, const char *root,
									 const char *const *column_properties);

/* Prefer header for a page of this size; NULL when there is nothing to prefer. */
extern char *dv_request_prefer(const DvRequest *request, int page_size);

/*
 * The addresses for these slot values (entries NULL: not known, printed as
 * $n); List of DvPiece *.  NIL when no row can satisfy the condition.  Throws
 * when the condition is too long for any form that the service takes.
 * filter, if not NULL, is set to the whole condition, readable, or NULL; of
 * FetchXML to the document.
 */
extern List *dv_request_pieces(const DvRequest *request, const DvValue *const *values, int nvalues,
							   char **filter);

/*
 * The piece that holds the rows of a span, with a place more than nproperties
 * among the fields if the date is there; NULL when the request would be too
 * long or when there can be no rows.  The values are those of dv_request_pieces,
 * which gave just one piece.
 */
extern DvPiece *dv_request_range(const DvRequest *request, const DvValue *const *values,
								 int nvalues, const DvSpan *span);

/*
 * The address of the partition column's dates alone, as they come, or only the
 * latest; NULL as above.
 */
extern char *dv_request_dates(const DvRequest *request, const DvValue *const *values, int nvalues,
							  bool latest);

/* Do the rows of the pieces, one piece after the other, stand in the plan's order? */
extern bool dv_request_in_order(const List *pieces);

#endif /* DV_EXEC_REQUEST_H */
