/*
 * transport.c
 *	  One multi handle per backend, its sockets behind one descriptor.
 *
 * Decides how bytes go over the wire: TLS is always verified, redirects,
 * cookies and .netrc are never used, compression and HTTP/2 are negotiated.
 * For https the proxy variables of the server's environment (HTTPS_PROXY,
 * NO_PROXY) count; plain http is for loopback and never goes through a proxy.
 *
 * The time limits of an exchange are kept here and not by libcurl, which knows
 * the clock only: time in which nobody looked at the exchange, since the
 * statement's user did something else between two rows, counts for nothing.
 *
 * Assumes that whoever starts an exchange keeps its body in place until the
 * exchange is done or released.
 *
 * A body stays as it came until it is asked for: a page that waits for its turn
 * is a tenth of what it will be, and unpacking a whole body at once costs a
 * third of what libcurl's streaming does.
 *
 * Deliberately does not retry, does not judge statuses and knows neither
 * tokens nor JSON: that is service.c.  libcurl itself sends a request again
 * when a kept-alive connection turns out to be dead before the first byte of
 * an answer, whether or not the other end has acted on it.  For anything but a
 * read that would be a second write behind our back, so count_send() stops it
 * and the exchange ends as DV_ERROR_BROKEN, for the caller to judge.
 *
 * Everything beneath libcurl (the callbacks) records and returns; nothing
 * there may throw, since a jump would leave libcurl's frames half done.
 * Signals are blocked while libcurl runs, so that the threads it starts for
 * name resolution inherit a full mask and PostgreSQL's handlers keep running
 * in the backend's own thread.
 */
#include "postgres.h"
#include "compat.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <curl/curl.h>

#include "lib/ilist.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "odata/buf.h"
#include "odata/inflate.h"
#include "remote/pollset.h"
#include "remote/transport.h"

/* CURLOPT_QUICK_EXIT: without it, a cancel during name resolution waits for the resolver. */
#if LIBCURL_VERSION_NUM < 0x075700
#error "dataverse_fdw needs libcurl 7.87 or later"
#endif

/* An answer of 5,000 rows with long texts is some 50 MB; what passes this is a fault. */
#define DEFAULT_MAX_RESPONSE ((size_t) 256 * 1024 * 1024)

/* The headers seen on data calls (sheet 1.2) are 2 to 4 kB. */
#define MAX_HEAD (64 * 1024)

/* Under way at a time; further ones wait their turn: the service refuses more (sheet 7.1). */
#define MAX_EXCHANGES 52

/* Idle connections kept: the service's own limit on concurrency, and the authority. */
#define MAX_IDLE_CONNECTIONS 53

/* Descriptors that a multi handle holds: a wake-up pair. */
#define MULTI_DESCRIPTORS 2

/* Being away for less is decoding and waiting, and counts. */
#define AWAY_MIN_US 1000000

#define RECEIVE_BUFFER (128 * 1024)

struct DvHttp
{
	MemoryContext context; /* its own, so that release frees all of it */
	MemoryContextCallback cleanup;
	CURL *easy; /* NULL once released */
	struct curl_slist *headers;
	bool added;      /* the multi handle knows it */
	bool waiting;    /* it will, when there is room */
	dlist_node link; /* in transport.exchanges or transport.waiting */
	int64 began_us;  /* later by the time in which nobody looked */
	bool is_read;    /* GET: libcurl may send it again by itself */
	int sends;       /* how often libcurl began to send it */
	bool replay_refused;
	bool done;
	int connect_timeout; /* seconds, for messages */
	int timeout;
	DvBuf head; /* header lines of the last answer */
	DvBuf body; /* as received; after unpacking, as it was meant */
	bool unpacked;
	char words[CURL_ERROR_SIZE]; /* libcurl's own description */
	int status;
	uint64 bytes_in;
	uint64 bytes_out;
	DvError error;
};

/* The backend's transport: caches, made at first use and kept. */
static struct
{
	CURLM *multi;         /* NULL before first use, and after close_idle */
	dlist_head exchanges; /* those the multi handle knows */
	int active;           /* how many */
	dlist_head waiting;   /* those that have no place yet */
	int64 seen_us;        /* when these were last looked at */
	bool close_wanted;    /* close_idle came while some were active */
	bool failed;          /* epoll_ctl did not do what libcurl asked */
	int64 due_us;         /* when libcurl wants to be called, -1 never */
	uint32 wait_event;
} transport = {.exchanges = DLIST_STATIC_INIT(transport.exchanges),
			   .waiting = DLIST_STATIC_INIT(transport.waiting),
			   .due_us = -1};

static int64
now_us(void)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

static void
block_signals(sigset_t *saved)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, saved);
}

static void
restore_signals(const sigset_t *saved)
{
	pthread_sigmask(SIG_SETMASK, saved, NULL);
}

static uint64
info_bytes(CURL *easy, CURLINFO which)
{
	curl_off_t bytes = 0;

	return curl_easy_getinfo(easy, which, &bytes) == CURLE_OK && bytes > 0 ? (uint64) bytes : 0;
}

static uint64
info_long(CURL *easy, CURLINFO which)
{
	long value = 0;

	return curl_easy_getinfo(easy, which, &value) == CURLE_OK && value > 0 ? (uint64) value : 0;
}

/* ---- callbacks: beneath libcurl, must not throw ---- */

static int
watch_socket(CURL *easy, curl_socket_t sock, int what, void *unused, void *socket_unused)
{
	uint32 events = 0;

	if (what != CURL_POLL_REMOVE && (what & CURL_POLL_IN))
		events |= EPOLLIN;
	if (what != CURL_POLL_REMOVE && (what & CURL_POLL_OUT))
		events |= EPOLLOUT;
	if (!dv_pollset_set(sock, events))
		transport.failed = true;
	return 0;
}

static int
set_timer(CURLM *multi, long timeout_ms, void *unused)
{
	transport.due_us = timeout_ms < 0 ? -1 : now_us() + (int64) timeout_ms * 1000;
	return 0;
}

/* fd.c must know of each descriptor, or it may leave none for relation files. */
static curl_socket_t
open_socket(void *unused, curlsocktype purpose, struct curl_sockaddr *address)
{
	curl_socket_t sock;

	if (!AcquireExternalFD())
		return CURL_SOCKET_BAD;
	sock = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (sock < 0)
	{
		ReleaseExternalFD();
		return CURL_SOCKET_BAD;
	}
	return sock;
}

static int
close_socket(void *unused, curl_socket_t sock)
{
	ReleaseExternalFD();
	return close(sock);
}

/* Room for as much as the headers announce. */
static void
reserve_body(DvHttp *http)
{
	uint64 length = info_bytes(http->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T);

	if (length > 0 && length <= http->body.max)
		(void) dv_buf_reserve(&http->body, (size_t) length);
}

static size_t
keep_body(char *bytes, size_t size, size_t count, void *arg)
{
	DvHttp *http = arg;

	if (http->body.data == NULL)
		reserve_body(http);
	return dv_buf_append(&http->body, bytes, size * count) ? size * count : 0;
}

static size_t
keep_header(char *line, size_t size, size_t count, void *arg)
{
	DvHttp *http = arg;
	size_t len = size * count;

	/* a status line opens an answer: what an interim one said is over */
	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0)
		dv_buf_reset(&http->head);
	return dv_buf_append(&http->head, line, len) ? len : 0;
}

/* Called when a connection stands and the request is about to go out. */
static int
count_send(void *arg, char *peer, char *local, int peer_port, int local_port)
{
	DvHttp *http = arg;

	if (http->sends > 0 && !http->is_read)
	{
		http->replay_refused = true;
		return CURL_PREREQFUNC_ABORT;
	}
	http->sends++;
	return CURL_PREREQFUNC_OK;
}

/* ---- the multi handle ---- */

static void
close_multi(void)
{
	sigset_t saved;

	block_signals(&saved);
	if (transport.multi != NULL)
		curl_multi_cleanup(transport.multi);
	restore_signals(&saved);
	dv_pollset_release(MULTI_DESCRIPTORS);
	transport.multi = NULL;
	transport.due_us = -1;
	transport.close_wanted = false;
	transport.failed = false;
}

/* Once in a process, and never at library load: a preloaded library would do it before fork. */
static void
init_curl(void)
{
	static bool done = false;

	if (done)
		return;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OUT_OF_MEMORY), errmsg("could not initialize libcurl")));
	transport.wait_event = dv_wait_event_new("DataverseHttp");
	done = true;
}

static bool
configure_multi(CURLM *multi)
{
	return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket) == CURLM_OK &&
		   curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK &&
		   curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) MAX_IDLE_CONNECTIONS) == CURLM_OK;
}

static void
open_multi(void)
{
	if (transport.multi != NULL)
		return;
	init_curl();
	dv_pollset_open();
	dv_pollset_reserve(MULTI_DESCRIPTORS);
	transport.multi = curl_multi_init();
	if (transport.multi == NULL || !configure_multi(transport.multi))
	{
		close_multi();
		ereport(ERROR, (errcode(ERRCODE_FDW_OUT_OF_MEMORY),
						errmsg("could not set up the HTTP multiplexer")));
	}
}

/* ---- the end of an exchange ---- */

/* Which libcurl results say what; the rest is DV_ERROR_BROKEN once the request was on its way. */
static const struct
{
	CURLcode code;
	DvErrorKind kind;
} result_kinds[] = {
	{CURLE_COULDNT_RESOLVE_PROXY, DV_ERROR_CONNECT},
	{CURLE_COULDNT_RESOLVE_HOST, DV_ERROR_CONNECT},
	{CURLE_COULDNT_CONNECT, DV_ERROR_CONNECT},
	{CURLE_PROXY, DV_ERROR_CONNECT},
	{CURLE_PEER_FAILED_VERIFICATION, DV_ERROR_TLS},
	{CURLE_SSL_CACERT_BADFILE, DV_ERROR_TLS},
	{CURLE_SSL_ISSUER_ERROR, DV_ERROR_TLS},
	{CURLE_SSL_CERTPROBLEM, DV_ERROR_TLS},
	{CURLE_SSL_CIPHER, DV_ERROR_TLS},
	{CURLE_SSL_ENGINE_NOTFOUND, DV_ERROR_TLS},
	{CURLE_SSL_ENGINE_SETFAILED, DV_ERROR_TLS},
	{CURLE_SSL_ENGINE_INITFAILED, DV_ERROR_TLS},
	{CURLE_UNSUPPORTED_PROTOCOL, DV_ERROR_PROTOCOL},
	{CURLE_URL_MALFORMAT, DV_ERROR_PROTOCOL},
	{CURLE_WEIRD_SERVER_REPLY, DV_ERROR_PROTOCOL},
	{CURLE_OUT_OF_MEMORY, DV_ERROR_MEMORY},
};

static DvErrorKind
listed_kind(CURLcode result)
{
	for (int i = 0; i < lengthof(result_kinds); i++)
		if (result_kinds[i].code == result)
			return result_kinds[i].kind;
	return DV_ERROR_NONE;
}

static DvErrorKind
result_kind(const DvHttp *http, CURLcode result)
{
	DvErrorKind kind = listed_kind(result);

	if (http->body.overflow || http->head.overflow)
		return DV_ERROR_LIMIT;
	if (http->body.nomem || http->head.nomem)
		return DV_ERROR_MEMORY;
	if (http->replay_refused)
		return DV_ERROR_BROKEN;
	if (result == CURLE_OPERATION_TIMEDOUT)
		return http->sends > 0 ? DV_ERROR_TIMEOUT : DV_ERROR_CONNECT;

	/* libcurl wants to send again what went out over a connection now dead, and finds nobody */
	if (http->sends > 0 && (kind == DV_ERROR_CONNECT || kind == DV_ERROR_TLS))
		return DV_ERROR_BROKEN;
	if (kind != DV_ERROR_NONE)
		return kind;
	return http->sends > 0 ? DV_ERROR_BROKEN : DV_ERROR_CONNECT;
}

static void
describe_failure(DvHttp *http, CURLcode result)
{
	DvErrorKind kind = result_kind(http, result);
	DvError *error = &http->error;

	if (kind == DV_ERROR_LIMIT)
		dv_error_set(error, kind, "the answer is larger than %zu bytes",
					 http->body.overflow ? http->body.max : http->head.max);
	else if (kind == DV_ERROR_MEMORY)
		dv_error_set(error, kind, "out of memory while receiving the answer");
	else if (kind == DV_ERROR_TIMEOUT)
		dv_error_set(error, kind, "no complete answer within %d s", http->timeout);
	else if (result == CURLE_OPERATION_TIMEDOUT)
		dv_error_set(error, kind, "no connection within %d s",
					 Min(http->connect_timeout, http->timeout));
	else if (http->replay_refused)
		dv_error_set(error, kind, "the connection was closed before an answer came");
	else if (kind == DV_ERROR_BROKEN && listed_kind(result) != DV_ERROR_NONE)
		dv_error_set(error, kind, "the connection was lost, and there is no new one: %s",
					 http->words[0] != '\0' ? http->words : curl_easy_strerror(result));
	else if (result == CURLE_SSL_CONNECT_ERROR)
		dv_error_set(error, kind, "the TLS handshake failed: %s",
					 http->words[0] != '\0' ? http->words : curl_easy_strerror(result));
	else
		dv_error_set(error, kind, "%s",
					 http->words[0] != '\0' ? http->words : curl_easy_strerror(result));
}

/*
 * REQUEST_SIZE counts, besides the headers, the part of the body that went out
 * with them in one piece (all of a small one), at least up to libcurl 8.6.
 */
static uint64
bytes_sent(CURL *easy)
{
	uint64 request = info_long(easy, CURLINFO_REQUEST_SIZE);
	uint64 upload = info_bytes(easy, CURLINFO_SIZE_UPLOAD_T);

	return request > upload ? request : request + upload;
}

static void
detach(DvHttp *http)
{
	if (http->waiting)
		dlist_delete(&http->link);
	http->waiting = false;
	if (!http->added)
		return;
	curl_multi_remove_handle(transport.multi, http->easy);
	dlist_delete(&http->link);
	http->added = false;
	transport.active--;
}

static void
finish(DvHttp *http, CURLcode result)
{
	MemoryContext old;

	http->status = (int) info_long(http->easy, CURLINFO_RESPONSE_CODE);
	http->bytes_in = info_long(http->easy, CURLINFO_HEADER_SIZE) +
					 info_bytes(http->easy, CURLINFO_SIZE_DOWNLOAD_T);
	http->bytes_out = bytes_sent(http->easy);
	detach(http);
	http->done = true;

	if (result == CURLE_OK)
		return;
	old = MemoryContextSwitchTo(http->context);
	describe_failure(http, result);
	MemoryContextSwitchTo(old);
}

/* ---- time ---- */

/* When an exchange has to be done or, before it was sent, to have a connection. */
static int64
deadline_us(const DvHttp *http)
{
	int limit = http->sends > 0 ? http->timeout : Min(http->connect_timeout, http->timeout);

	return http->began_us + (int64) limit * 1000000;
}

/* Somebody looks at the exchanges. */
static void
look(void)
{
	int64 now = now_us();
	int64 away = now - transport.seen_us;
	dlist_iter iter;

	transport.seen_us = now;
	if (away < AWAY_MIN_US)
		return;
	dlist_foreach(iter, &transport.exchanges)
	{
		dlist_container(DvHttp, link, iter.cur)->began_us += away;
	}
}

static void
give_up_late(void)
{
	int64 now = now_us();
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &transport.exchanges)
	{
		DvHttp *http = dlist_container(DvHttp, link, iter.cur);

		if (deadline_us(http) <= now)
			finish(http, CURLE_OPERATION_TIMEDOUT);
	}
}

/* ---- driving ---- */

static void
act_on_sockets(void)
{
	struct epoll_event events[32];
	int running;
	int n = dv_pollset_ready(events, lengthof(events));

	for (int i = 0; i < n; i++)
	{
		int what = 0;

		if (events[i].events & EPOLLIN)
			what |= CURL_CSELECT_IN;
		if (events[i].events & EPOLLOUT)
			what |= CURL_CSELECT_OUT;
		if (events[i].events & (EPOLLERR | EPOLLHUP))
			what |= CURL_CSELECT_ERR;
		curl_multi_socket_action(transport.multi, events[i].data.fd, what, &running);
	}
}

static void
act_on_timer(void)
{
	int64 now = now_us();
	int64 due = transport.due_us;
	int running;

	if (due < 0 || due > now)
		return;
	curl_multi_socket_action(transport.multi, CURL_SOCKET_TIMEOUT, 0, &running);

	/*
	 * libcurl says nothing when its next time is the same as before; asking
	 * again a little later loses nothing, forgetting it would be for ever.
	 */
	if (transport.due_us == due)
		transport.due_us = now + 1000;
}

static void
collect_finished(void)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(transport.multi, &left)) != NULL)
	{
		DvHttp *http = NULL;
		CURLcode result = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &http);
		if (http != NULL)
			finish(http, result); /* message is gone after this */
	}
}

static CURLMcode
attach(DvHttp *http)
{
	sigset_t saved;
	CURLMcode code;

	block_signals(&saved);
	code = curl_multi_add_handle(transport.multi, http->easy);
	restore_signals(&saved);
	if (code != CURLM_OK)
		return code;
	look();
	http->added = true;
	http->began_us = transport.seen_us;
	dlist_push_tail(&transport.exchanges, &http->link);
	transport.active++;
	return code;
}

/* Those that had no place, as far as there is room. */
static void
attach_waiting(void)
{
	while (transport.active < MAX_EXCHANGES && !dlist_is_empty(&transport.waiting))
	{
		DvHttp *http = dlist_container(DvHttp, link, dlist_pop_head_node(&transport.waiting));

		http->waiting = false;
		if (attach(http) != CURLM_OK)
			finish(http, CURLE_OUT_OF_MEMORY);
	}
}

/* All that can be done without waiting. */
static void
drive(void)
{
	sigset_t saved;

	attach_waiting();
	if (transport.active == 0)
		return;
	look();
	block_signals(&saved);
	act_on_sockets();
	act_on_timer();
	restore_signals(&saved);
	collect_finished();
	give_up_late();
	attach_waiting();

	if (transport.failed)
	{
		transport.failed = false;
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not watch the sockets of HTTP requests")));
	}
}

/* ---- starting ---- */

static void
option_refused(const char *option, CURLcode code)
{
	if (code == CURLE_OUT_OF_MEMORY)
		ereport(ERROR, (errcode(ERRCODE_FDW_OUT_OF_MEMORY),
						errmsg("out of memory while preparing a request")));
	elog(ERROR, "libcurl refused %s: %s", option, curl_easy_strerror(code));
}

#define SET(easy, option, value)                                                                   \
	do                                                                                             \
	{                                                                                              \
		CURLcode set_code_ = curl_easy_setopt(easy, option, value);                                \
                                                                                                   \
		if (set_code_ != CURLE_OK)                                                                 \
			option_refused(#option, set_code_);                                                    \
	} while (0)

static void
set_safety(CURL *easy, const DvHttpSpec *spec)
{
	SET(easy, CURLOPT_NOSIGNAL, 1L);
	SET(easy, CURLOPT_QUICK_EXIT, 1L);
	SET(easy, CURLOPT_PROTOCOLS_STR, spec->plain_ok ? "http,https" : "https");
	SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
	SET(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	SET(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	SET(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	SET(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	if (spec->ca_file != NULL)
	{
		/* instead of the system's, of which libcurl may have a directory besides a file */
		SET(easy, CURLOPT_CAINFO, spec->ca_file);
		SET(easy, CURLOPT_CAPATH, NULL);
	}
	if (pg_strncasecmp(spec->url, "http:", 5) == 0)
		SET(easy, CURLOPT_NOPROXY, "*");
	SET(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(easy, CURLOPT_HTTP09_ALLOWED, 0L);
}

static void
set_connection(CURL *easy)
{
	SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) INT_MAX); /* the default is five minutes */
	SET(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	SET(easy, CURLOPT_TCP_NODELAY, 1L);
	SET(easy, CURLOPT_BUFFERSIZE, (long) RECEIVE_BUFFER);
	SET(easy, CURLOPT_ACCEPT_ENCODING, DV_INFLATE_ACCEPT);
	SET(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
	SET(easy, CURLOPT_USERAGENT, "dataverse_fdw");
	SET(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
}

static void
set_receivers(DvHttp *http)
{
	CURL *easy = http->easy;

	SET(easy, CURLOPT_PRIVATE, http);
	SET(easy, CURLOPT_ERRORBUFFER, http->words);
	SET(easy, CURLOPT_WRITEFUNCTION, keep_body);
	SET(easy, CURLOPT_WRITEDATA, http);
	SET(easy, CURLOPT_HEADERFUNCTION, keep_header);
	SET(easy, CURLOPT_HEADERDATA, http);
	SET(easy, CURLOPT_PREREQFUNCTION, count_send);
	SET(easy, CURLOPT_PREREQDATA, http);
}

static void
set_request(DvHttp *http, const DvHttpSpec *spec)
{
	CURL *easy = http->easy;
	bool has_body = spec->body != NULL || strcmp(spec->method, "POST") == 0;

	SET(easy, CURLOPT_URL, spec->url);
	if (has_body)
	{
		SET(easy, CURLOPT_POST, 1L);
		SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) spec->body_len);
		SET(easy, CURLOPT_POSTFIELDS, spec->body != NULL ? spec->body : "");
	}
	if (!http->is_read)
		SET(easy, CURLOPT_CUSTOMREQUEST, spec->method);
}

static void
add_header(DvHttp *http, const char *line)
{
	struct curl_slist *longer;

	/* whoever put a line end into a header wanted to write another one */
	if (strpbrk(line, "\r\n") != NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_STRING_FORMAT),
						errmsg("HTTP header value contains a line break")));
	longer = curl_slist_append(http->headers, line);
	if (longer == NULL)
		option_refused("CURLOPT_HTTPHEADER", CURLE_OUT_OF_MEMORY);
	http->headers = longer;
}

static void
set_headers(DvHttp *http, const DvHttpSpec *spec)
{
	for (const char *const *line = spec->headers; line != NULL && *line != NULL; line++)
		add_header(http, *line);

	/* libcurl would wait a second for "100 Continue" before sending a large body */
	add_header(http, "Expect:");
	SET(http->easy, CURLOPT_HTTPHEADER, http->headers);
}

/* As the context goes, whatever the reason: the handles are libcurl's, not palloc's. */
static void
cleanup(void *arg)
{
	DvHttp *http = arg;
	sigset_t saved;

	if (http->easy == NULL)
		return;
	block_signals(&saved);
	detach(http);
	curl_easy_cleanup(http->easy);
	curl_slist_free_all(http->headers);
	restore_signals(&saved);
	http->easy = NULL;
	http->headers = NULL;
	dv_buf_free(&http->head);
	dv_buf_free(&http->body);
}

static DvHttp *
create(const DvHttpSpec *spec)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "dataverse_fdw exchange", ALLOCSET_SMALL_SIZES);
	DvHttp *http = MemoryContextAllocZero(context, sizeof(DvHttp));

	http->context = context;
	http->is_read = strcmp(spec->method, "GET") == 0;
	http->connect_timeout = spec->connect_timeout;
	http->timeout = spec->timeout;
	dv_buf_init(&http->head, MAX_HEAD);
	dv_buf_init(&http->body, spec->max_response > 0 ? spec->max_response : DEFAULT_MAX_RESPONSE);
	http->easy = curl_easy_init();
	if (http->easy == NULL)
		option_refused("curl_easy_init", CURLE_OUT_OF_MEMORY);
	http->cleanup.func = cleanup;
	http->cleanup.arg = http;
	MemoryContextRegisterResetCallback(context, &http->cleanup);
	return http;
}

DvHttp *
dv_http_start(const DvHttpSpec *spec)
{
	DvHttp *http;

	open_multi();
	http = create(spec);
	set_safety(http->easy, spec);
	set_connection(http->easy);
	set_receivers(http);
	set_request(http, spec);
	set_headers(http, spec);
	http->waiting = true;
	dlist_push_tail(&transport.waiting, &http->link);
	drive(); /* on a standing connection this already sends it */
	return http;
}

static bool
busy(void)
{
	return transport.active > 0 || !dlist_is_empty(&transport.waiting);
}

void
dv_http_release(DvHttp *http)
{
	if (http == NULL)
		return;
	MemoryContextDelete(http->context);
	if (transport.close_wanted && !busy())
		close_multi();
}

void
dv_http_close_idle(void)
{
	if (transport.multi == NULL)
		return;
	if (busy())
		transport.close_wanted = true;
	else
		close_multi();
}

/* ---- waiting ---- */

void
dv_http_poll(void)
{
	drive();
}

/* When drive() has something to do though no socket stirs; -1 never. */
static int64
next_due_us(void)
{
	int64 due = transport.active > 0 ? transport.due_us : -1;
	dlist_iter iter;

	dlist_foreach(iter, &transport.exchanges)
	{
		int64 own = deadline_us(dlist_container(DvHttp, link, iter.cur));

		due = due < 0 ? own : Min(due, own);
	}
	return due;
}

long
dv_http_timeout_ms(void)
{
	int64 due = next_due_us();
	int64 left;

	if (due < 0)
		return -1;
	left = due - now_us();
	return left <= 0 ? 0 : (long) ((left + 999) / 1000);
}

static bool
any_done(DvHttp *const *requests, int n)
{
	for (int i = 0; i < n; i++)
		if (requests[i]->done)
			return true;
	return false;
}

/* The sooner of libcurl's wish and the caller's deadline; -1 when neither has one. */
static long
wait_time(int64 end_us)
{
	long wish = dv_http_timeout_ms();
	int64 left;

	if (end_us < 0)
		return wish;
	left = Max(end_us - now_us(), 0);
	left = Min((left + 999) / 1000, INT_MAX);
	return wish < 0 ? (long) left : Min(wish, (long) left);
}

static void
wait_once(int64 end_us)
{
	int events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
	long timeout = wait_time(end_us);
	int happened;

	if (transport.active > 0)
		events |= WL_SOCKET_READABLE;
	if (timeout >= 0)
		events |= WL_TIMEOUT;
	happened = WaitLatchOrSocket(MyLatch, events,
								 transport.active > 0 ? dv_pollset_fd() : PGINVALID_SOCKET, timeout,
								 transport.wait_event);
	if (happened & WL_LATCH_SET)
		ResetLatch(MyLatch);
	transport.seen_us = now_us(); /* waiting is looking */
}

void
dv_http_wait(DvHttp *const *requests, int n, long timeout_ms)
{
	int64 end_us = timeout_ms < 0 ? -1 : now_us() + (int64) timeout_ms * 1000;

	init_curl(); /* names the wait event */
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		drive();
		if (any_done(requests, n))
			return;
		if (end_us >= 0 && now_us() >= end_us)
			return;
		wait_once(end_us);
	}
}

/* ---- results ---- */

bool
dv_http_done(const DvHttp *http)
{
	return http->done;
}

const DvError *
dv_http_error(const DvHttp *http)
{
	return &http->error;
}

int
dv_http_status(const DvHttp *http)
{
	return http->status;
}

static char *
trimmed(MemoryContext context, const char *start, const char *end)
{
	char *value;

	while (start < end && (*start == ' ' || *start == '\t'))
		start++;
	while (end > start && strchr(" \t\r\n", end[-1]) != NULL)
		end--;
	value = MemoryContextAlloc(context, end - start + 1);
	memcpy(value, start, end - start);
	value[end - start] = '\0';
	return value;
}

const char *
dv_http_header(const DvHttp *http, const char *name)
{
	size_t len = strlen(name);
	const char *line = http->head.data;

	while (line != NULL && *line != '\0')
	{
		const char *end = strchr(line, '\n');

		if (end == NULL)
			end = line + strlen(line);
		if (pg_strncasecmp(line, name, len) == 0 && line[len] == ':')
			return trimmed(http->context, line + len + 1, end);
		line = *end == '\0' ? NULL : end + 1;
	}
	return NULL;
}

/* The body by itself, in place of what came. */
static void
inflate_body(DvHttp *http)
{
	DvBuf plain;
	MemoryContext old = MemoryContextSwitchTo(http->context);

	dv_buf_init(&plain, http->body.max);
	(void) dv_inflate_gzip(http->body.data, http->body.len, &plain, &http->error);
	MemoryContextSwitchTo(old);
	dv_buf_free(&http->body);
	http->body = plain;
}

static void
refuse_coding(DvHttp *http, const char *coding)
{
	MemoryContext old = MemoryContextSwitchTo(http->context);

	dv_error_set(&http->error, DV_ERROR_PROTOCOL,
				 "the answer is encoded as \"%s\", which was not asked for", coding);
	MemoryContextSwitchTo(old);
	dv_buf_free(&http->body);
}

bool
dv_http_unpack(DvHttp *http)
{
	const char *coding;

	if (!http->unpacked && http->done && http->error.kind == DV_ERROR_NONE && http->body.len > 0)
	{
		coding = dv_http_header(http, "Content-Encoding");
		switch (dv_inflate_coding(coding))
		{
			case DV_CODING_NONE:
				break;
			case DV_CODING_GZIP:
				inflate_body(http);
				break;
			case DV_CODING_UNKNOWN:
				refuse_coding(http, coding);
				break;
		}
		http->unpacked = true;
	}
	return http->error.kind == DV_ERROR_NONE;
}

const char *
dv_http_body(DvHttp *http, size_t *len)
{
	(void) dv_http_unpack(http);
	if (len != NULL)
		*len = http->body.len;
	return http->body.data != NULL ? http->body.data : "";
}

char *
dv_http_take_body(DvHttp *http, size_t *len)
{
	char *body;

	(void) dv_http_unpack(http);
	body = http->body.data;
	*len = http->body.len;
	dv_buf_init(&http->body, http->body.max);
	return body;
}

uint64
dv_http_bytes_in(const DvHttp *http)
{
	return http->bytes_in;
}

uint64
dv_http_bytes_out(const DvHttp *http)
{
	return http->bytes_out;
}
