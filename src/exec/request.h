/*
 * request.h
 *	  The addresses a scan asks for: one, or one for each piece of a long list.
 */
#ifndef DV_EXEC_REQUEST_H
#define DV_EXEC_REQUEST_H

#include "handoff.h"
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
} DvPiece;

/* What stays the same for all runs of a scan. */
typedef struct DvRequest
{
	const DvScanPlan *plan;
	const DvTable *table;
	const char *root; /* service root, for lengths */
	int nproperties;  /* names of the values in a row; the first ones are
						 * the columns of plan->attnums */
	const char **properties;
	int id;             /* place of the primary id among them, -1 unknown */
	char *select;       /* $select, plain; NULL: everything */
	char *orderby;      /* or NULL */
	char *null_orderby; /* of the rows in which the first key is null */
	int64 top;          /* $top, -1 without */
	int page_size;
	int first_page;    /* size of the first page: a LIMIT may want fewer */
	char *annotations; /* those needed, comma separated; NULL for none */
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
 * filter, if not NULL, is set to the whole condition, readable, or NULL.
 */
extern List *dv_request_pieces(const DvRequest *request, const DvValue *const *values, int nvalues,
							   char **filter);

/* Do the rows of the pieces, one piece after the other, stand in the plan's order? */
extern bool dv_request_in_order(const List *pieces);

#endif /* DV_EXEC_REQUEST_H */
