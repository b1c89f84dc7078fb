/*
 * fetchdoc.h
 *	  A scan as a FetchXML document, and what follows one of its pages.
 */
#ifndef DV_EXEC_FETCHDOC_H
#define DV_EXEC_FETCHDOC_H

#include "exec/request.h"
#include "odata/fetchquery.h"
#include "odata/fetchxml.h"

/* The plan's children with slot values in place. */
typedef struct DvFetchChildren
{
	int n;
	DvFetchLink *links;
	bool none; /* no row can have what one of them asks for */
} DvFetchChildren;

extern DvFetchChildren *dv_fetchdoc_bind(const DvRequest *request, const DvValue *const *values,
										 int nvalues);

/* The document, plain, in UTF-8. filter: bound, or NULL. */
extern char *dv_fetchdoc_text(const DvRequest *request, const DvFilter *filter,
							  const DvFetchChildren *children);

/* The address of its first page, below the service root. */
extern char *dv_fetchdoc_address(const DvRequest *request, const char *document);

/*
 * The address of the page after this one, the number'th, or NULL when it is
 * the last; *place is what of it must never come again.  False with error set
 * when the pages do not lead on.
 */
extern bool dv_fetchdoc_next(const DvRequest *request, const char *document, int number,
							 const DvFetchXmlEnvelope *envelope, char **address, const char **place,
							 DvError *error);

#endif /* DV_EXEC_FETCHDOC_H */
