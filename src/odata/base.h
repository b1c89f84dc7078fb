/*
 * base.h
 *	  Chooses the environment, defines DvError, ties malloc'ed things to a
 *	  memory context.
 *
 * The ground floor (src/odata) is built twice: into the extension, and with
 * -DFRONTEND into the unit programs and fuzz targets.  The second build is the
 * proof that no server header crept in.  Both have palloc and StringInfo.
 *
 * Nothing on this floor calls ereport: functions return success and fill a
 * DvError.
 */
#ifndef DV_ODATA_BASE_H
#define DV_ODATA_BASE_H

#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "lib/stringinfo.h"

/* What went wrong, as far as a decision depends on it. */
typedef enum DvErrorKind
{
	DV_ERROR_NONE = 0,
	DV_ERROR_CONNECT,  /* no connection: the request was not sent */
	DV_ERROR_TLS,      /* the peer could not be verified */
	DV_ERROR_BROKEN,   /* connection lost: the request may have been
								 * processed */
	DV_ERROR_TIMEOUT,  /* no answer in time: may have been processed */
	DV_ERROR_HTTP,     /* an answer with an error status */
	DV_ERROR_TOKEN,    /* the token authority refused */
	DV_ERROR_PROTOCOL, /* an answer that is not what was promised */
	DV_ERROR_LIMIT,    /* a bound of ours: body size, JSON depth */
	DV_ERROR_DATA,     /* a value that cannot be sent or stored */
	DV_ERROR_MEMORY    /* malloc returned NULL below libcurl */
} DvErrorKind;

/* A failure, as data.  Strings are palloc'd in the context current when it was filled. */
typedef struct DvError
{
	DvErrorKind kind;
	int status;                 /* HTTP status, 0 where none */
	uint32 code;                /* service's code as a number, 0 where none or
								 * not understood */
	char *code_text;            /* the same as it stood in the answer: 0x80040217,
								 * invalid_client; NULL where empty */
	char *message;              /* service's or our own words; never NULL when
								 * kind is set */
	char *request_id;           /* x-ms-service-request-id or REQ_ID, or NULL */
	char *url;                  /* address without query values that could hold
								 * data, or NULL */
	char *duplicate_attributes; /* ErrorDetails.DuplicateAttributes, or NULL */
	char *row_errors;           /* JSON text of a BulkApiErrorDetails annotation,
								 * or NULL */
	long retry_after_ms;        /* from Retry-After; -1 where none */
} DvError;

extern void dv_error_clear(DvError *error);
extern void dv_error_set(DvError *error, DvErrorKind kind, const char *format, ...)
	pg_attribute_printf(3, 4);

/*
 * Something that malloc gave, freed with the memory context that was current
 * when it was wrapped.  dv_owned_free frees it earlier and makes the later
 * callback do nothing; calling it twice, or with NULL, is harmless.  In the
 * front end there are no contexts: only dv_owned_free frees.
 */
typedef struct DvOwned DvOwned;
typedef void (*DvFreeFunction)(void *thing);

extern DvOwned *dv_own(void *thing, DvFreeFunction free_thing);
extern void dv_owned_free(DvOwned *owned);

#endif /* DV_ODATA_BASE_H */
