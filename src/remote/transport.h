/*
 * transport.h
 *	  HTTP over libcurl multi and the process latch; the only file that
 *	  includes curl.
 *
 * A request is start, drive, finish.  All requests of a backend hang on one
 * multi handle whose sockets sit behind one epoll descriptor, so that a wait
 * is always on the latch, that descriptor and a timeout together.  Waiting
 * answers cancel, statement_timeout and postmaster death at once.
 * Nothing here throws below libcurl, and an error that jumps out of a wait
 * leaves the handles consistent: requests belong to a memory context and are
 * cancelled with it.
 */
#ifndef DV_REMOTE_TRANSPORT_H
#define DV_REMOTE_TRANSPORT_H

#include "odata/base.h"

typedef struct DvHttp DvHttp; /* one exchange */

typedef struct DvHttpSpec
{
	const char *method;         /* GET, POST, PATCH, PUT, DELETE */
	const char *url;            /* absolute */
	const char *const *headers; /* "Name: value", NULL-terminated array */
	const char *body;           /* or NULL; must live until the request is done */
	size_t body_len;
	size_t max_response; /* bytes of the body, packed and unpacked; 0: the default bound */
	int connect_timeout; /* seconds */
	int timeout;         /* seconds, whole exchange */
	const char *ca_file; /* or NULL: the system's */
	bool plain_ok;       /* http is allowed (loopback was checked) */
} DvHttpSpec;

/* Starts; never waits. Fails only by ereport for lack of memory or descriptors. */
extern DvHttp *dv_http_start(const DvHttpSpec *spec);

/* Lets transfers go on without waiting: called now and then while decoding. */
extern void dv_http_poll(void);

/*
 * Waits until one of the exchanges is done or timeout_ms (-1: none) is over.
 * With n = 0 it is a sleep that can be interrupted.  CHECK_FOR_INTERRUPTS inside.
 */
extern void dv_http_wait(DvHttp *const *requests, int n, long timeout_ms);

extern bool dv_http_done(const DvHttp *http);

/* After how long there is something to be driven even if no socket stirs; -1: none. */
extern long dv_http_timeout_ms(void);

/* After done. error.kind is NONE when an answer arrived, whatever its status. */
extern const DvError *dv_http_error(const DvHttp *http);
extern int dv_http_status(const DvHttp *http);

/*
 * Undoes the body's compression, unless that is done.  False when there is an
 * error, which may be found only here: ask before trusting a body.
 */
extern bool dv_http_unpack(DvHttp *http);

/* Unpacked, NUL-terminated; empty when it cannot be unpacked. */
extern const char *dv_http_body(DvHttp *http, size_t *len);

/*
 * Takes the unpacked body away: malloc'ed (NULL when empty), the caller's to free, so
 * wrap it with dv_own at once.
 */
extern char *dv_http_take_body(DvHttp *http, size_t *len);

/* First header of that name, without case; NULL if none. Lives as long as the exchange. */
extern const char *dv_http_header(const DvHttp *http, const char *name);

/* Bytes on the wire: body and headers, as sent and as received (compressed). */
extern uint64 dv_http_bytes_in(const DvHttp *http);
extern uint64 dv_http_bytes_out(const DvHttp *http);

/* Cancels if still under way, frees. NULL is harmless. */
extern void dv_http_release(DvHttp *http);

/* Closes idle connections (dataverse_disconnect). */
extern void dv_http_close_idle(void);

#endif /* DV_REMOTE_TRANSPORT_H */
