/*
 * fetch.h
 *	  One document by GET, whatever the length of its address.
 */
#ifndef DV_EXEC_FETCH_H
#define DV_EXEC_FETCH_H

#include "remote/service.h"

typedef struct DvFetch
{
	int status;
	const char *content_type; /* never NULL */
	const char *body;         /* lives as long as the context current at the fetch */
	size_t len;
} DvFetch;

/*
 * Asks and waits.  address: below the service root and encoded, or an absolute
 * link of the same service.  prefer: a whole header line, or NULL.  False, with
 * error set, when there is no good answer.
 */
extern bool dv_fetch(DvService *service, const char *address, const char *prefer, DvFetch *fetch,
					 DvError *error);

/*
 * Makes spec the batch that holds just one GET, for addresses too long by
 * themselves (sheet 1.7).  path: from the host on.  prefer: a whole header line,
 * or NULL.  Current context.
 */
extern void dv_fetch_put_in_batch(DvCallSpec *spec, const char *path, const char *prefer);

#endif /* DV_EXEC_FETCH_H */
