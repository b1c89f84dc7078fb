/*
 * test_fault.c
 *	  Error answers understood whatever their shape; retry rules of sheet 7.8.
 */
#include "odata/fault.h"

#include "mb/pg_wchar.h"

#include "tap.h"

static DvError
parse(int status, const char *body)
{
	DvError error;

	memset(&error, 0x5a, sizeof(error));
	dv_fault_parse(status, body, strlen(body), &error);
	if (error.kind != DV_ERROR_HTTP || error.status != status || error.message == NULL ||
		error.message[0] == '\0' || error.retry_after_ms != -1)
		bail_out("an error without kind, status or message");
	return error;
}

static void
parses(int status, const char *body, uint32 code, const char *text, const char *message)
{
	DvError error = parse(status, body);

	is(error.message, message, "message of %d %.40s", status, body);
	ok(error.code == code, "its code is %08x (%08x)", error.code, code);
	is(error.code_text, text, "its code's text");
}

static void
test_parse(void)
{
	parses(
		404,
		"{\"error\":{\"code\":\"0x80040217\",\"message\":\"account With Id = 1 Does Not Exist\"}}",
		0x80040217, "0x80040217", "account With Id = 1 Does Not Exist");
	parses(400, "{\"error\":{\"code\":\"0x8006088a\",\"message\":\"m\"}}", 0x8006088A, "0x8006088a",
		   "m");
	parses(400, "\xEF\xBB\xBF{\"error\":{\"code\":\"0X80048D19\",\"message\":\"m\"}}", 0x80048D19,
		   "0X80048D19", "m");
	parses(400, "{\"error\":{\"code\":\"-2147220969\",\"message\":\"m\"}}", 0x80040217,
		   "-2147220969", "m");
	parses(409, "{\"error\":{\"code\":\"409\",\"message\":\"m\"}}", 409, "409", "m");
	parses(409, "{\"error\":{\"code\":409,\"message\":\"m\"}}", 409, "409", "m");
	parses(500, "{\"error\":{\"code\":\"\",\"message\":\"m\"}}", 0, NULL, "m");
	parses(500, "{\"error\":{\"message\":\"m\"}}", 0, NULL, "m");
	parses(500, "{\"error\":{\"code\":null,\"message\":\"m\"}}", 0, NULL, "m");
	parses(400, "{\"error\":{\"code\":\"0x\",\"message\":\"m\"}}", 0, "0x", "m");
	parses(400, "{\"error\":{\"code\":\"0x8004021700000000\",\"message\":\"m\"}}", 0,
		   "0x8004021700000000", "m");
	parses(400, "{\"error\":{\"code\":\"Some.Text\",\"message\":\"m\"}}", 0, "Some.Text", "m");
	parses(400, "{\"error\":{\"code\":\"0x80040203\",\"message\":\" two\\r\\n\\tlines \\u00e9 \"}}",
		   0x80040203, "0x80040203", "two lines \xC3\xA9");
	parses(400, "{\"error\":{\"code\":\"0x1\",\"message\":{\"lang\":\"en\",\"value\":\"inner\"}}}",
		   1, "0x1", "inner");
	parses(500,
		   "{\"Message\":\"An error has "
		   "occurred.\",\"ExceptionMessage\":\"x\",\"ErrorCode\":\"0x80040216\"}",
		   0x80040216, "0x80040216", "An error has occurred.");
	parses(500, "{\"ExceptionMessage\":\"x\"}", 0, NULL, "x");
	parses(
		401,
		"{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid secret.\\r\\n"
		"Trace ID: 1\\r\\nCorrelation ID: 2\",\"error_codes\":[7000215]}",
		7000215, "invalid_client", "AADSTS7000215: Invalid secret.");
	parses(400, "{\"error\":\"invalid_scope\"}", 0, "invalid_scope",
		   "the answer gives no reason (HTTP 400 Bad Request)");
	parses(400, "{\"error\":{\"code\":\"0x1\",\"message\":\"\"}}", 1, "0x1",
		   "the answer gives no reason (HTTP 400 Bad Request)");
	parses(400, "{\"error\":{\"code\":\"0x1\",\"message\":\"m\",\"big\":92233720368547758080}}", 1,
		   "0x1", "m");
	parses(418, "{}", 0, NULL, "the answer gives no reason (HTTP 418 no description)");
	parses(500, "[1]", 0, NULL, "the answer gives no reason (HTTP 500 Internal Server Error)");
	parses(502, "", 0, NULL, "the answer has no body (HTTP 502 Bad Gateway)");
	parses(
		502,
		"<html><head><title>502 Bad Gateway</title></head>\r\n<body><h1>nginx</h1></body></html>",
		0, NULL, "the answer is not JSON (HTTP 502 Bad Gateway) and begins: 502 Bad Gateway nginx");
	parses(
		503, "{\"error\":{\"code\":", 0, NULL,
		"the answer is not JSON (HTTP 503 Service Unavailable) and begins: {\"error\":{\"code\":");
	parses(503, "caf\xE9 \xC3\xA9", 0, NULL,
		   "the answer is not JSON (HTTP 503 Service Unavailable) and begins: caf? \xC3\xA9");
}

static void
test_details(void)
{
	DvError error = parse(
		412, "{\"error\":{\"code\":\"0x80060892\",\"message\":\"m\","
			 "\"@Microsoft.PowerApps.CDS.ErrorDetails.DuplicateAttributes\":\"<D><a>X</a></D>\","
			 "\"@Microsoft.PowerApps.CDS.ErrorDetails.Plugin.BulkApiErrorDetails\":"
			 "\"[{\\\"RequestIndex\\\":0}]\"}}");
	StringInfoData long_text;
	int statuses[3];
	int i;

	is(error.duplicate_attributes, "<D><a>X</a></D>", "duplicate attributes");
	is(error.row_errors, "[{\"RequestIndex\":0}]", "row errors as text");
	error = parse(400, "{\"error\":{\"code\":\"\",\"message\":\"m\",\"@X.BulkApiErrorDetails\":"
					   "[{\"RequestIndex\":1,\"StatusCode\":404}]}}");
	is(error.row_errors, "[{\"RequestIndex\":1,\"StatusCode\":404}]", "row errors as JSON");
	is(error.duplicate_attributes, NULL, "no duplicate attributes");
	dv_fault_row_statuses(
		"[{\"RequestIndex\":2,\"StatusCode\":404},{\"RequestIndex\":0,\"StatusCode\":201},"
		"{\"RequestIndex\":3,\"StatusCode\":204},{\"RequestIndex\":-1,\"StatusCode\":204},7]",
		statuses, 3);
	ok(statuses[0] == 201 && statuses[1] == 0 && statuses[2] == 404,
	   "statuses by row, others dropped");
	dv_fault_row_statuses("no list", statuses, 3);
	ok(statuses[0] == 0 && statuses[1] == 0 && statuses[2] == 0, "no statuses in what is no list");

	initStringInfo(&long_text);
	appendStringInfoString(&long_text, "{\"error\":{\"message\":\"");
	for (i = 0; i < 10000; i++)
		appendStringInfoString(&long_text, "\xC3\xA9\xE2\x82\xAC");
	appendStringInfoString(&long_text, "\"}}");
	error = parse(400, long_text.data);
	ok(strlen(error.message) < 5000 &&
		   pg_encoding_verifymbstr(PG_UTF8, error.message, (int) strlen(error.message)) ==
			   (int) strlen(error.message),
	   "a long message is cut between characters");
}

#define NOW INT64CONST(784111777) /* Sun, 06 Nov 1994 08:49:37 GMT */

static void
retry_after(const char *value, long expected)
{
	long got = dv_fault_retry_after(value, NOW);

	ok(got == expected, "Retry-After \"%s\" is %ld (%ld)", value, expected, got);
}

static void
test_retry_after(void)
{
	retry_after("0", 0);
	retry_after("5", 5000);
	retry_after(" 120 ", 120000);
	retry_after("2.5", 2500);
	retry_after("99999999999999999999999", 24L * 3600 * 1000);
	retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 0);
	retry_after("Sun, 06 Nov 1994 08:50:07 GMT", 30000);
	retry_after("Sun, 06 Nov 1994 08:00:00 GMT", 0);
	retry_after("Sunday, 06-Nov-94 08:50:07 GMT", 30000);
	retry_after("Sun Nov  6 08:50:07 1994", 30000);
	retry_after("Mon, 07 Nov 1994 08:49:36 GMT", 24L * 3600 * 1000 - 1000);
	retry_after("Fri, 31 Dec 9999 23:59:59 GMT", 24L * 3600 * 1000);
	retry_after("", -1);
	retry_after("-5", -1);
	retry_after("soon", -1);
	retry_after("5s", -1);
	retry_after("1,200", -1);
	retry_after("Sun, 06 Nov 1994", -1);
	retry_after("Sun, 06 Foo 1994 08:50:07 GMT", -1);
	retry_after("Sun, 06 Nov 1994 25:50:07 GMT", -1);
	retry_after("Sun, 06 Nov 1994 08:50:07 CET", -1);
	retry_after("Sun, 00 Nov 1994 08:50:07 GMT", -1);
	ok(dv_fault_retry_after("Thu, 29 Feb 2024 00:00:01 GMT", INT64CONST(1709164800)) == 1000,
	   "a date in a leap year");
	ok(dv_fault_retry_after("Fri, 01 Mar 2024 00:00:00 GMT", INT64CONST(1709164800) + 86400 - 2) ==
		   2000,
	   "the day after it");
}

static DvError
fault(DvErrorKind kind, int status, uint32 code)
{
	DvError error;

	dv_error_set(&error, kind, "m");
	error.status = status;
	error.code = code;
	return error;
}

static void
decides(const char *name, DvError error, DvRepeat repeat, int attempt, DvVerdict expected)
{
	long wait = -1;
	DvVerdict got = dv_fault_decide(&error, repeat, attempt, 0.5, &wait);

	ok(got == expected && (got == DV_VERDICT_RETRY ? wait >= 0 && wait <= 300000 : wait == 0),
	   "%s, attempt %d, %s: %d (%d, wait %ld)", name, attempt,
	   repeat == DV_REPEAT_SAFE ? "safe" : "unsafe", expected, got, wait);
}

#define HTTP(status, code) fault(DV_ERROR_HTTP, status, code)
#define SAFE DV_REPEAT_SAFE
#define UNSAFE DV_REPEAT_UNSAFE
#define RETRY DV_VERDICT_RETRY
#define FAIL DV_VERDICT_FAIL
#define SPLIT DV_VERDICT_SPLIT

static void
test_decide(void)
{
	static const uint32 passing[] = {0x80044339, 0x8004A001, 0x80072323,
									 0x80072324, 0x80048105, 0x80048551};
	static const uint32 final[] = {0x80040265, 0x80048544, 0x80048644, 0x80048744, 0x80048745,
								   0x8004E023, 0x80060892, 0x80040217, 0x80040220};
	static const int final_status[] = {400, 403, 404, 405, 409, 412, 501};
	DvError door = HTTP(503, 0);
	DvError token = fault(DV_ERROR_TOKEN, 400, 0);
	size_t i;

	door.retry_after_ms = 1000;
	decides("no connection", fault(DV_ERROR_CONNECT, 0, 0), UNSAFE, 0, RETRY);
	decides("no connection, again", fault(DV_ERROR_CONNECT, 0, 0), UNSAFE, 3, RETRY);
	decides("no connection for long", fault(DV_ERROR_CONNECT, 0, 0), SAFE, 4, FAIL);
	decides("TLS", fault(DV_ERROR_TLS, 0, 0), SAFE, 0, FAIL);
	decides("broken connection", fault(DV_ERROR_BROKEN, 0, 0), SAFE, 0, RETRY);
	decides("broken connection", fault(DV_ERROR_BROKEN, 0, 0), SAFE, 9, FAIL);
	decides("broken connection", fault(DV_ERROR_BROKEN, 0, 0), UNSAFE, 0, FAIL);
	decides("time-out", fault(DV_ERROR_TIMEOUT, 0, 0), SAFE, 0, SPLIT);
	decides("time-out", fault(DV_ERROR_TIMEOUT, 0, 0), UNSAFE, 0, FAIL);
	decides("bad answer", fault(DV_ERROR_PROTOCOL, 200, 0), SAFE, 0, FAIL);
	decides("too long", fault(DV_ERROR_LIMIT, 200, 0), SAFE, 0, FAIL);

	decides("401", HTTP(401, 0), UNSAFE, 3, DV_VERDICT_RENEW);
	decides("expired ticket", HTTP(401, 0x8004A101), SAFE, 0, DV_VERDICT_RENEW);
	decides("not a member", HTTP(403, 0x80072560), SAFE, 0, FAIL);
	decides("413", HTTP(413, 0), UNSAFE, 0, SPLIT);
	decides("429", HTTP(429, 0), UNSAFE, 0, RETRY);
	decides("429", HTTP(429, 0x80072322), UNSAFE, 50, RETRY);
	decides("elastic 429", HTTP(400, 429), UNSAFE, 0, RETRY);
	decides("502", HTTP(502, 0), SAFE, 0, RETRY);
	decides("502", HTTP(502, 0), UNSAFE, 0, FAIL);
	decides("503", HTTP(503, 0), SAFE, 0, RETRY);
	decides("503", HTTP(503, 0), UNSAFE, 0, FAIL);
	decides("503 with Retry-After", door, UNSAFE, 0, RETRY);
	decides("504", HTTP(504, 0), SAFE, 5, RETRY);
	decides("504", HTTP(504, 0), UNSAFE, 0, FAIL);
	decides("500 of a front end", HTTP(500, 0), SAFE, 0, RETRY);
	decides("500 of a front end", HTTP(500, 0), SAFE, 5, FAIL);
	decides("500 of a front end", HTTP(500, 0), UNSAFE, 0, FAIL);
	decides("500 unexpected", HTTP(500, 0x80040216), SAFE, 0, FAIL);
	decides("SQL time-out", HTTP(500, 0x80044151), SAFE, 0, SPLIT);
	decides("SQL error", HTTP(500, 0x80044150), UNSAFE, 0, RETRY);
	decides("SQL error", HTTP(500, 0x80044150), SAFE, 5, SPLIT);
	decides("aborted transaction", HTTP(400, 0x80040255), SAFE, 0, RETRY);
	decides("aborted transaction", HTTP(400, 0x80040255), SAFE, 1, FAIL);
	for (i = 0; i < lengthof(passing); i++)
		decides(psprintf("%08x", passing[i]), HTTP(500, passing[i]), UNSAFE, 3, RETRY);
	for (i = 0; i < lengthof(final); i++)
		decides(psprintf("%08x", final[i]), HTTP(429, final[i]), SAFE, 0, FAIL);
	for (i = 0; i < lengthof(final_status); i++)
		decides(psprintf("%d", final_status[i]), HTTP(final_status[i], 0), SAFE, 0, FAIL);

	token.code_text = "invalid_client";
	decides("wrong secret", token, SAFE, 0, FAIL);
	token.code_text = "temporarily_unavailable";
	decides("authority busy", token, SAFE, 0, RETRY);
	token.code_text = NULL;
	token.code = 90055;
	decides("tenant throttled", token, SAFE, 0, RETRY);
	decides("authority 429", fault(DV_ERROR_TOKEN, 429, 0), SAFE, 0, RETRY);
}

static void
waits(long retry_after_ms, int attempt, double jitter, long expected)
{
	DvError error = HTTP(429, 0);
	long wait = -1;

	error.retry_after_ms = retry_after_ms;
	dv_fault_decide(&error, SAFE, attempt, jitter, &wait);
	ok(wait == expected, "Retry-After %ld, attempt %d, jitter %g: wait %ld (%ld)", retry_after_ms,
	   attempt, jitter, expected, wait);
}

static void
test_wait(void)
{
	waits(7000, 0, 0.9, 7000);
	waits(0, 4, 0.9, 0);
	waits(3600000, 0, 0.0, 300000);
	waits(-1, 0, 0.0, 500);
	waits(-1, 0, 1.0, 1000);
	waits(-1, 3, 1.0, 8000);
	waits(-1, 3, 0.5, 6000);
	waits(-1, 5, 1.0, 30000);
	waits(-1, 1000, 1.0, 30000);
	waits(-1, 1000, 7.0, 30000);
}

static void
classes(int status, uint32 code, DvFaultClass expected)
{
	DvError error = HTTP(status, code);

	ok(dv_fault_class(&error) == expected, "class of %d %08x is %d (%d)", status, code, expected,
	   dv_fault_class(&error));
}

static void
test_class(void)
{
	DvError token = fault(DV_ERROR_TOKEN, 400, 0);

	classes(404, 0x80040217, DV_FAULT_NOT_FOUND);
	classes(404, 0x80060891, DV_FAULT_NOT_FOUND);
	classes(412, 0x80060892, DV_FAULT_UNIQUE);
	classes(412, 0x80040237, DV_FAULT_UNIQUE);
	classes(500, 0x80040333, DV_FAULT_UNIQUE);
	classes(412, 0x80060882, DV_FAULT_SERIALIZATION);
	classes(405, 0x80040227, DV_FAULT_FOREIGN_KEY);
	classes(400, 0x80040200, DV_FAULT_NOT_NULL);
	classes(400, 0x80044331, DV_FAULT_TOO_LONG);
	classes(400, 0x80044330, DV_FAULT_OUT_OF_RANGE);
	classes(400, 0x8004431A, DV_FAULT_CHECK);
	classes(400, 0x80040239, DV_FAULT_DATETIME);
	classes(400, 0x80040265, DV_FAULT_RAISED);
	classes(400, 0x80044822, DV_FAULT_UNSUPPORTED);
	classes(403, 0x80072560, DV_FAULT_AUTH);
	classes(403, 0x80040220, DV_FAULT_PRIVILEGE);
	classes(429, 0x80072326, DV_FAULT_THROTTLED);
	classes(500, 0x80044150, DV_FAULT_RETRY);
	classes(400, 0x8004E023, DV_FAULT_AGGREGATE_LIMIT);
	classes(400, 0x80060888, DV_FAULT_MISMATCH);
	classes(400, 0x80060890, DV_FAULT_MISMATCH);
	classes(400, 0x80041103, DV_FAULT_COLUMN);
	classes(404, 0x8006088A, DV_FAULT_TABLE);
	classes(400, 0x8006088A, DV_FAULT_MISMATCH);
	classes(400, 0x80041102, DV_FAULT_TABLE);
	classes(400, 0x80044352, DV_FAULT_RESYNC);
	classes(400, 0x80048D19, DV_FAULT_MISMATCH);
	classes(400, 0x80040216, DV_FAULT_OTHER);
	classes(400, 0, DV_FAULT_CALLER);
	classes(401, 0, DV_FAULT_AUTH);
	classes(403, 0, DV_FAULT_PRIVILEGE);
	classes(404, 0, DV_FAULT_NOT_FOUND);
	classes(400, 404, DV_FAULT_NOT_FOUND);
	classes(400, 409, DV_FAULT_UNIQUE);
	classes(429, 0, DV_FAULT_THROTTLED);
	classes(503, 0, DV_FAULT_UNAVAILABLE);
	classes(502, 0, DV_FAULT_UNAVAILABLE);
	classes(500, 0x8004A001, DV_FAULT_UNAVAILABLE);
	classes(408, 0, DV_FAULT_RETRY);
	classes(500, 0, DV_FAULT_OTHER);
	classes(400, 0x12345678, DV_FAULT_CALLER);
	ok(dv_fault_class(&token) == DV_FAULT_AUTH, "class of a token error");
}

/* The error's own strings may be arguments of its next message. */
static void
test_error(void)
{
	DvError error;

	dv_error_clear(&error);
	ok(error.kind == DV_ERROR_NONE && error.message == NULL && error.retry_after_ms == -1,
	   "cleared");
	dv_error_set(&error, DV_ERROR_DATA, "%s", "inner");
	dv_error_set(&error, DV_ERROR_TLS, "outer: %s %d", error.message, 5);
	is(error.message, "outer: inner 5", "a message made from the one before");
	dv_error_set(&error, DV_ERROR_TLS, "%5000s", "x");
	ok(strlen(error.message) == 5000, "a long message");
}

static int freed = 0;

static void
count_free(void *thing)
{
	freed += thing == &freed;
}

static void
test_own(void)
{
	DvOwned *owned = dv_own(&freed, count_free);

	ok(freed == 0, "owned");
	dv_owned_free(owned);
	ok(freed == 1, "freed");
	dv_owned_free(owned);
	dv_owned_free(NULL);
	ok(freed == 1, "freed once only");
}

int
main(void)
{
	test_parse();
	test_details();
	test_retry_after();
	test_decide();
	test_wait();
	test_class();
	test_error();
	test_own();
	return done_testing();
}
