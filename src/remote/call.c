/*
 * call.c
 *	  One logical request, from its headers to its answer or its failure.
 *
 * Decides when to send again: dv_fault_decide says whether it is safe and how
 * long to wait, this file says when patience ends.  Patience is the option
 * retry_timeout, from the first failure on: a call may have rested before.  A
 * service that cannot be reached and has never answered is not tried again,
 * since its address is the likelier fault.
 *
 * A call that is asked to wait (429 with Retry-After) makes all later ones of
 * its service wait as well: pressing on lengthens the wait (sheet 7.1).
 *
 * Assumes that its caller keeps the body in place until the call is done, and
 * drives it: nothing here runs by itself.  Deliberately does not look into
 * bodies of good answers, nor at Prefer headers: those are the caller's.
 */
#include "postgres.h"
#include "compat.h"

#include "common/pg_prng.h"
#include "mb/pg_wchar.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "odata/url.h"
#include "remote/credentials.h"
#include "remote/report.h"
#include "remote/service.h"
#include "remote/transport.h"

/* Our own header lines, besides the caller's. */
#define MAX_OWN_HEADERS 12

typedef enum State
{
	CALL_SLEEPING, /* until wake_us, then it is sent (again) */
	CALL_RUNNING,
	CALL_DONE
} State;

struct DvCall
{
	MemoryContext context; /* its own, so that release frees all of it */
	DvService *service;
	DvCallSpec spec; /* strings copied, but for the body */
	char *url;
	State state;
	DvHttp *http; /* the attempt under way, or the last answer: a refused
								 * batch may still say which parts failed (sheet 15) */
	char *token;  /* sent with it */
	int attempt;  /* from 0 */
	int failures; /* attempts after which the service did not say how long to wait */
	bool renewed; /* the one new token was asked for */
	bool ambiguous;
	bool throttled;  /* this sleep is one the service asked for */
	int64 failed_us; /* monotonic: when the first attempt failed; 0: none has */
	int64 slept_us;  /* when the sleep began */
	int64 wake_us;
	DvError error;
};

static int64
now_us(void)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

/* ---- addresses and headers ---- */

/* What messages may show: no query, and no key values. */
static char *
public_url(const char *url)
{
	StringInfoData out;
	const char *end = url + strcspn(url, "?");
	const char *open = memchr(url, '(', end - url);

	initStringInfo(&out);
	if (open == NULL)
	{
		appendBinaryStringInfo(&out, url, (int) (end - url));
		return out.data;
	}
	appendBinaryStringInfo(&out, url, (int) (open - url));
	appendStringInfoString(&out, "(...)");
	for (const char *p = end; p > open; p--)
		if (p[-1] == ')')
		{
			appendBinaryStringInfo(&out, p, (int) (end - p));
			break;
		}
	return out.data;
}

static bool
is_absolute(const char *path)
{
	return pg_strncasecmp(path, "http://", 7) == 0 || pg_strncasecmp(path, "https://", 8) == 0;
}

/* False, with the call's error set, for an address that must not be asked. */
static bool
make_url(DvCall *call)
{
	const char *root = call->service->server->root;
	const DvSettings *settings = call->spec.settings;
	StringInfoData url;

	if (is_absolute(call->spec.path) && !dv_url_same_service(root, call->spec.path))
	{
		dv_error_set(&call->error, DV_ERROR_PROTOCOL,
					 "the service's answer links to an address outside of the service");
		call->error.url = public_url(call->spec.path);
		return false;
	}
	initStringInfo(&url);
	if (!is_absolute(call->spec.path))
		appendStringInfo(&url, "%s/", root);
	appendStringInfoString(&url, call->spec.path);
	if (call->spec.tag && settings != NULL && settings->tag != NULL)
	{
		const char *tag = pg_server_to_any(settings->tag, strlen(settings->tag), PG_UTF8);

		appendStringInfo(&url, "%ctag=", strchr(url.data, '?') != NULL ? '&' : '?');
		dv_url_escape(&url, tag, strlen(tag), NULL);
	}
	call->url = url.data;
	if (url.len <= DV_URL_MAX)
		return true;
	dv_error_set(&call->error, DV_ERROR_LIMIT,
				 "the request's address has %d bytes, more than the %d that the service takes",
				 url.len, DV_URL_MAX);
	call->error.url = public_url(call->url);
	return false;
}

/* A random GUID by which Microsoft's support finds the request (sheet 7.4). */
static char *
request_guid(void)
{
	uint8 b[16];

	if (!pg_strong_random(b, sizeof(b)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	return psprintf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
					b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
					b[13], b[14], b[15]);
}

typedef struct Headers
{
	const char **lines;
	int n;
} Headers;

static void
add(Headers *headers, const char *line)
{
	headers->lines[headers->n++] = line;
}

static bool
given(const DvCall *call, const char *name)
{
	size_t len = strlen(name);

	for (const char *const *line = call->spec.headers; line != NULL && *line != NULL; line++)
		if (pg_strncasecmp(*line, name, len) == 0 && (*line)[len] == ':')
			return true;
	return false;
}

/* Sheet 1.2. */
static void
add_standard(Headers *headers, const DvCall *call)
{
	const DvUserOptions *user = call->service->user;

	add(headers, psprintf("Authorization: Bearer %s", call->token));
	add(headers, "Accept: application/json");
	add(headers, "OData-MaxVersion: 4.0");
	add(headers, "OData-Version: 4.0");
	add(headers, psprintf("x-ms-client-request-id: %s", request_guid()));
	if (call->spec.body != NULL)
		add(headers, psprintf("Content-Type: %s", call->spec.content_type != NULL
													  ? call->spec.content_type
													  : "application/json; charset=utf-8"));
	if (strcmp(call->spec.method, "GET") == 0 && !given(call, "If-None-Match"))
		add(headers, "If-None-Match: null");
	if (user->caller_object_id != NULL)
		add(headers, psprintf("CallerObjectId: %s", user->caller_object_id));
}

/* Sheet 8. */
static void
add_optional(Headers *headers, const DvCall *call)
{
	const DvSettings *settings = call->spec.settings;

	if (!call->spec.tag || settings == NULL)
		return;
	if (settings->bypass_business_logic != NULL)
		add(headers,
			psprintf("MSCRM.BypassBusinessLogicExecution: %s", settings->bypass_business_logic));
	if (settings->bypass_flows)
		add(headers, "MSCRM.SuppressCallbackRegistrationExpanderJob: true");
	if (!settings->suppress_duplicate_detection)
		add(headers, "MSCRM.SuppressDuplicateDetection: false");
}

static const char *const *
make_headers(const DvCall *call)
{
	Headers headers = {0};
	int extra = 0;

	while (call->spec.headers != NULL && call->spec.headers[extra] != NULL)
		extra++;
	headers.lines = palloc0(sizeof(char *) * (MAX_OWN_HEADERS + extra + 1));
	add_standard(&headers, call);
	add_optional(&headers, call);
	for (int i = 0; i < extra; i++)
		add(&headers, call->spec.headers[i]);
	Assert(headers.n <= MAX_OWN_HEADERS + extra);
	return headers.lines;
}

/* ---- sending ---- */

/* Time that passed because the service wanted it to. */
static void
count_sleep(DvCall *call)
{
	uint64 ms;

	if (!call->throttled)
		return;
	call->throttled = false;
	ms = (uint64) ((now_us() - call->slept_us) / 1000);
	call->service->throttled_ms += ms;
	if (call->spec.counters != NULL)
		call->spec.counters->throttled_ms += ms;
}

static void
count_send(DvCall *call)
{
	call->service->requests++;
	call->service->last_used = GetCurrentTimestamp();
	if (call->spec.counters != NULL)
		call->spec.counters->requests++;
	if (call->attempt == 0)
		return;
	call->service->retries++;
	if (call->spec.counters != NULL)
		call->spec.counters->retries++;
}

static void
start_exchange(DvCall *call)
{
	const DvServerOptions *server = call->service->server;
	DvHttpSpec spec = {
		.method = call->spec.method,
		.url = call->url,
		.headers = make_headers(call),
		.body = call->spec.body,
		.body_len = call->spec.body_len,
		.max_response = call->spec.max_response,
		.connect_timeout = server->connect_timeout,
		.timeout = server->request_timeout,
		.ca_file = server->sslrootcert,
		.plain_ok = true, /* the option's check lets http through for loopback only */
	};

	call->http = dv_http_start(&spec);
	call->state = CALL_RUNNING;
}

static void
send_now(DvCall *call)
{
	MemoryContext old = MemoryContextSwitchTo(call->context);

	count_sleep(call);
	call->token = pstrdup(dv_credentials_token(call->service->server, call->service->user));
	start_exchange(call);
	count_send(call);
	MemoryContextSwitchTo(old);
}

static void
sleep_for(DvCall *call, int64 wait_us, bool throttled)
{
	call->slept_us = now_us();
	call->wake_us = call->slept_us + wait_us;
	call->throttled = throttled;
	call->state = CALL_SLEEPING;
}

/* The rest of a wait that another call was told to keep; 0 when there is none. */
static int64
shared_wait_us(const DvCall *call)
{
	int64 left;

	if (call->service->throttled_until == 0)
		return 0;
	left = call->service->throttled_until - GetCurrentTimestamp();
	if (left <= 0)
		call->service->throttled_until = 0;
	return Max(left, 0);
}

/* ---- judging an answer ---- */

static int64
patience_us(const DvCall *call)
{
	int64 now = now_us();
	int64 since = call->failed_us > 0 ? call->failed_us : now;

	return (int64) call->service->server->retry_timeout * 1000000 - (now - since);
}

static void
count_answer(DvCall *call)
{
	uint64 in = dv_http_bytes_in(call->http);
	uint64 out = dv_http_bytes_out(call->http);

	call->service->bytes_in += in;
	call->service->bytes_out += out;
	if (call->spec.counters != NULL)
	{
		call->spec.counters->bytes_in += in;
		call->spec.counters->bytes_out += out;
	}
}

/* Both may come; the hint is for the statement's concurrency (sheet 7.1). */
static void
note_headers(DvCall *call)
{
	const char *hint = dv_http_header(call->http, "x-ms-dop-hint");
	long value = hint != NULL ? strtol(hint, NULL, 10) : 0;

	if (value > 0 && value <= 10000)
		call->service->dop_hint = (int) value;
}

static void
read_refusal(DvCall *call)
{
	DvError *error = &call->error;
	const char *wait = dv_http_header(call->http, "Retry-After");
	const char *id = dv_http_header(call->http, "x-ms-service-request-id");
	size_t len;
	const char *body = dv_http_body(call->http, &len);

	dv_fault_parse(dv_http_status(call->http), body, len, error);
	dv_report_hide(error, call->token);
	if (wait != NULL)
		error->retry_after_ms = dv_fault_retry_after(wait, (int64) time(NULL));
	if (id == NULL)
		id = dv_http_header(call->http, "REQ_ID");
	if (error->request_id == NULL && id != NULL)
		error->request_id = pstrdup(id);
}

/*
 * Could the service have done what this attempt asked for, without our
 * knowing?  A fault with a code is the service's own word that it did not; one
 * without comes from a front end that cannot know.
 */
static bool
may_have_been_processed(const DvError *error)
{
	if (error->kind == DV_ERROR_HTTP)
		return error->status >= 500 && error->code == 0;
	return error->kind == DV_ERROR_BROKEN || error->kind == DV_ERROR_TIMEOUT ||
		   error->kind == DV_ERROR_LIMIT || error->kind == DV_ERROR_PROTOCOL ||
		   error->kind == DV_ERROR_MEMORY;
}

static void
note_failure(DvCall *call)
{
	call->error.url = public_url(call->url);
	if (may_have_been_processed(&call->error))
		call->ambiguous = true;
}

/* The exchange's failure is the call's. */
static void
take_failure(DvCall *call)
{
	const DvError *failure = dv_http_error(call->http);

	call->error = *failure;
	call->error.message = pstrdup(failure->message);
	note_failure(call);
}

/* Fills the call's error; true for a good answer. */
static bool
read_answer(DvCall *call)
{
	int status = dv_http_status(call->http);

	dv_error_clear(&call->error);
	if (dv_http_error(call->http)->kind != DV_ERROR_NONE)
	{
		take_failure(call);
		return false;
	}
	call->service->answered = true;
	note_headers(call);
	if ((status >= 200 && status < 300) || status == 304)
		return true;
	read_refusal(call);
	note_failure(call);
	return false;
}

/*
 * A good answer's body is unpacked when someone asks how the call went, so that
 * one which waits for its turn stays small.  That it cannot be unpacked is a
 * failure that repeating does not cure.
 */
static void
unpack(DvCall *call)
{
	MemoryContext old;

	if (call->state != CALL_DONE || call->http == NULL || call->error.kind != DV_ERROR_NONE ||
		dv_http_unpack(call->http))
		return;
	old = MemoryContextSwitchTo(call->context);
	take_failure(call);
	MemoryContextSwitchTo(old);
}

static bool
out_of_patience(const DvCall *call, int64 wait_us)
{
	if (call->error.kind == DV_ERROR_CONNECT && !call->service->answered)
		return true;
	return wait_us >= patience_us(call);
}

static void
repeat_later(DvCall *call, long wait_ms)
{
	int64 wait_us = (int64) wait_ms * 1000;
	bool asked = call->error.status == 429 || call->error.retry_after_ms >= 0;

	if (call->failed_us == 0)
		call->failed_us = now_us();
	if (out_of_patience(call, wait_us))
	{
		call->state = CALL_DONE;
		return;
	}
	if (asked)
		call->service->throttled_until =
			Max(call->service->throttled_until, GetCurrentTimestamp() + wait_us);
	call->attempt++;
	if (call->error.retry_after_ms < 0)
		call->failures++;
	sleep_for(call, wait_us, asked);
}

static void
renew_and_repeat(DvCall *call)
{
	if (call->renewed || call->service->user->access_token != NULL)
	{
		call->state = CALL_DONE;
		return;
	}
	call->renewed = true;
	call->attempt++;
	dv_credentials_forget(call->service->user->umid, call->token);
	sleep_for(call, 0, false);
}

static void
judge(DvCall *call)
{
	long wait_ms = 0;

	/* waits that the service asked for do not use up what is left for failures */
	switch (dv_fault_decide(&call->error, call->spec.repeat, call->failures,
							pg_prng_double(&pg_global_prng_state), &wait_ms))
	{
		case DV_VERDICT_RETRY:
			repeat_later(call, wait_ms);
			break;
		case DV_VERDICT_RENEW:
			renew_and_repeat(call);
			break;
		case DV_VERDICT_FAIL:
		case DV_VERDICT_SPLIT: /* the caller's: it knows what a half is */
			call->state = CALL_DONE;
			break;
	}
}

static void
settle(DvCall *call)
{
	MemoryContext old = MemoryContextSwitchTo(call->context);

	count_answer(call);
	if (read_answer(call))
		call->state = CALL_DONE;
	else
		judge(call);
	MemoryContextSwitchTo(old);
	if (call->state == CALL_DONE)
		return;
	dv_http_release(call->http);
	call->http = NULL;
}

/* Takes the call as far as it goes without waiting; true when it is done. */
static bool
advance(DvCall *call)
{
	if (call->state == CALL_SLEEPING && now_us() >= call->wake_us)
		send_now(call);
	if (call->state == CALL_RUNNING && dv_http_done(call->http))
		settle(call);
	return call->state == CALL_DONE;
}

/* ---- the contract ---- */

static const char *const *
copy_headers(const char *const *headers)
{
	int n = 0;
	char **copy;

	if (headers == NULL)
		return NULL;
	while (headers[n] != NULL)
		n++;
	copy = palloc0(sizeof(char *) * (n + 1));
	for (int i = 0; i < n; i++)
		copy[i] = pstrdup(headers[i]);
	return (const char *const *) copy;
}

static DvCall *
create(DvService *service, const DvCallSpec *spec)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "dataverse_fdw call", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	DvCall *call = palloc0(sizeof(DvCall));

	call->context = context;
	call->service = service;
	call->spec = *spec;
	call->spec.method = pstrdup(spec->method);
	call->spec.path = pstrdup(spec->path);
	call->spec.content_type = spec->content_type != NULL ? pstrdup(spec->content_type) : NULL;
	call->spec.headers = copy_headers(spec->headers);
	dv_error_clear(&call->error);
	if (!make_url(call))
		call->state = CALL_DONE;
	MemoryContextSwitchTo(old);
	return call;
}

DvCall *
dv_call_start(DvService *service, const DvCallSpec *spec)
{
	DvCall *call = create(service, spec);
	int64 wait_us;

	if (call->state == CALL_DONE)
		return call;
	wait_us = shared_wait_us(call);
	if (wait_us > (int64) spec->delay_ms * 1000)
		sleep_for(call, Min(wait_us, patience_us(call)), true);
	else if (spec->delay_ms > 0)
		sleep_for(call, (int64) spec->delay_ms * 1000, false);
	else
		send_now(call);
	return call;
}

bool
dv_call_poll(DvCall *call)
{
	dv_http_poll();
	return advance(call);
}

bool
dv_call_arrived(const DvCall *call)
{
	return call->state == CALL_DONE || (call->state == CALL_RUNNING && dv_http_done(call->http));
}

long
dv_call_timeout_ms(const DvCall *call)
{
	int64 left;

	if (call->state == CALL_DONE)
		return 0;
	if (call->state == CALL_RUNNING)
		return dv_http_done(call->http) ? 0 : dv_http_timeout_ms();
	left = call->wake_us - now_us();
	return left <= 0 ? 0 : (long) ((left + 999) / 1000);
}

/* Waits for an exchange among the running ones, or for the first sleeper to wake. */
static void
wait_for_progress(DvCall *const *calls, int n)
{
	DvHttp **running = palloc(sizeof(DvHttp *) * n);
	int nrunning = 0;
	long timeout = -1;

	for (int i = 0; i < n; i++)
	{
		long own;

		if (calls[i]->state == CALL_RUNNING)
		{
			running[nrunning++] = calls[i]->http;
			continue;
		}
		own = dv_call_timeout_ms(calls[i]);
		timeout = timeout < 0 ? own : Min(timeout, own);
	}
	dv_http_wait(running, nrunning, timeout);
	pfree(running);
}

int
dv_call_wait_any(DvCall *const *calls, int n)
{
	Assert(n > 0);
	for (;;)
	{
		for (int i = 0; i < n; i++)
			if (advance(calls[i]))
				return i;
		wait_for_progress(calls, n);
	}
}

void
dv_call_wait(DvCall *call)
{
	(void) dv_call_wait_any(&call, 1);
}

const DvError *
dv_call_error(DvCall *call)
{
	unpack(call);
	return &call->error;
}

int
dv_call_status(const DvCall *call)
{
	return call->http != NULL ? dv_http_status(call->http) : 0;
}

const char *
dv_call_body(DvCall *call, size_t *len)
{
	unpack(call);
	if (call->http != NULL)
		return dv_http_body(call->http, len);
	if (len != NULL)
		*len = 0;
	return "";
}

uint64
dv_call_received(const DvCall *call)
{
	return call->http != NULL ? dv_http_bytes_in(call->http) : 0;
}

const char *
dv_call_header(const DvCall *call, const char *name)
{
	return call->http != NULL ? dv_http_header(call->http, name) : NULL;
}

const char *
dv_call_path(const DvCall *call)
{
	return call->spec.path;
}

bool
dv_call_ambiguous(DvCall *call)
{
	unpack(call);
	return call->ambiguous;
}

const char *
dv_call_take_body(DvCall *call, size_t *len)
{
	char *body;

	unpack(call);
	body = call->http != NULL ? dv_http_take_body(call->http, len) : NULL;
	if (body == NULL)
	{
		*len = 0;
		return "";
	}
	dv_own(body, free);
	return body;
}

void
dv_call_release(DvCall *call)
{
	if (call == NULL)
		return;
	dv_http_release(call->http);
	MemoryContextDelete(call->context);
}

DvCall *
dv_call_now(DvService *service, const DvCallSpec *spec)
{
	DvCall *call = dv_call_start(service, spec);
	DvReportContext context = {0};

	dv_call_wait(call);
	if (dv_call_error(call)->kind == DV_ERROR_NONE)
		return call;
	context.what = psprintf("request to server \"%s\" failed", service->server->name);
	dv_report(&call->error, &context);
}
