/*
 * service.h
 *	  One environment seen by one user: base address, headers, token, retries
 *	  with bounded patience.
 *
 * A call is one logical request: it survives throttling, passing failures and
 * one token renewal as far as repeating is safe, and ends in an answer or in a
 * DvError.  Any number of calls may be in flight; dv_call_wait drives them all.
 */
#ifndef DV_REMOTE_SERVICE_H
#define DV_REMOTE_SERVICE_H

#include "odata/fault.h"
#include "remote/options.h"

typedef struct DvService
{
	DvServerOptions *server;
	DvUserOptions *user;
	int dop_hint;          /* last x-ms-dop-hint seen, 0 unknown */
	int64 throttled_until; /* TimestampTz; 0 when not */
	bool valid;            /* false: options changed, the next open makes a new one */
	bool answered;         /* the service has answered this backend at least once */
	/* for dataverse_connections(): totals of this backend */
	uint64 requests;
	uint64 retries;
	uint64 bytes_in;
	uint64 bytes_out;
	uint64 throttled_ms;
	int64 last_used; /* TimestampTz */
} DvService;

/* Counts for one statement node, for EXPLAIN ANALYZE. */
typedef struct DvCounters
{
	uint64 requests; /* sent, retries included */
	uint64 retries;
	uint64 rows;
	uint64 bytes_in;
	uint64 bytes_out;
	uint64 throttled_ms; /* slept because the service asked for it */
	uint64 unchanged;    /* rows not written, since the service has them as they are */
} DvCounters;

typedef struct DvCallSpec
{
	const char *method;
	const char *path;           /* below the service root, already encoded, or an
								 * absolute link that dv_url_same_service accepts */
	const char *const *headers; /* further ones, NULL-terminated; or NULL */
	const char *body;           /* must live until the call is done */
	size_t body_len;
	const char *content_type; /* NULL: application/json */
	DvRepeat repeat;
	long delay_ms;              /* before it is sent */
	size_t max_response;        /* 0: default */
	bool tag;                   /* add the settings' bypass headers and tag: data writes */
	const DvSettings *settings; /* for tag; may be NULL */
	DvCounters *counters;       /* or NULL */
} DvCallSpec;

typedef struct DvCall DvCall;

/*
 * The service for a server as seen by a local user: cached for the backend,
 * made anew when the server or the mapping changed.  No request.  The result
 * may be used until the end of the transaction, even when options change.
 */
extern DvService *dv_service_open(Oid serverid, Oid userid);

/* All cached ones (dataverse_connections), as a List of DvService *. */
extern List *dv_service_list(void);

/* Forgets a server's cached services; false when there were none. */
extern bool dv_service_forget(Oid serverid);

/* Starts a call; belongs to the current memory context and is cancelled with it. May wait for a token. */
extern DvCall *dv_call_start(DvService *service, const DvCallSpec *spec);

/* Drives calls without waiting; true if this one is done. */
extern bool dv_call_poll(DvCall *call);

/* Has an answer come, if not the last one?  Drives nothing: a glance. */
extern bool dv_call_arrived(const DvCall *call);

/* Waits until one of them is done; returns its place in the array. Retries and sleeps happen in here. */
extern int dv_call_wait_any(DvCall *const *calls, int n);
extern void dv_call_wait(DvCall *call);

/* For callers with a wait of their own: ms until something must be driven, -1 none. */
extern long dv_call_timeout_ms(const DvCall *call);

/*
 * After done: kind NONE for an answer with a 2xx (or 304) status.  Asking
 * unpacks the body, which until then stays as small as it came.
 */
extern const DvError *dv_call_error(DvCall *call);
extern int dv_call_status(const DvCall *call);
extern const char *dv_call_body(DvCall *call, size_t *len);
extern const char *dv_call_header(const DvCall *call, const char *name);
extern const char *dv_call_path(const DvCall *call);
extern uint64 dv_call_received(const DvCall *call); /* bytes, as they came: still packed */

/* Was any attempt of this call possibly processed without our knowing? (ambiguous failure) */
extern bool dv_call_ambiguous(DvCall *call);

/* Takes the body away from the call so that it outlives it: freed with the current context. */
extern const char *dv_call_take_body(DvCall *call, size_t *len);
extern void dv_call_release(DvCall *call); /* cancels; NULL harmless */

/* Start, wait, throw by dv_report on failure. Small documents: metadata, WhoAmI, single writes. */
extern DvCall *dv_call_now(DvService *service, const DvCallSpec *spec);

#endif /* DV_REMOTE_SERVICE_H */
