/*
 * test_batch.c
 *	  Batches as documented on the way out; complete or refused on the way in.
 */
#include "odata/batch.h"

#include "tap.h"

static void
test_write(void)
{
	DvBatch *batch = dv_batch_create("ab-12; \"x\r\n");
	StringInfoData out;
	const char *type;

	initStringInfo(&out);
	dv_batch_add(batch, "GET", "/api/data/v9.2/accounts?$top=1", "Accept: application/json\r\n",
				 NULL, 0, -1);
	dv_batch_changeset_begin(batch);
	dv_batch_add(batch, "POST", "/api/data/v9.2/accounts", NULL, "{\"name\":\"\xC3\xA9\"}", 13, 1);
	dv_batch_add(batch, "DELETE", "/api/data/v9.2/accounts(1)", "If-Match: *\r\n", NULL, 0, 2);
	dv_batch_changeset_end(batch);
	dv_batch_add(batch, "GET", "/x", NULL, NULL, 0, -1);
	ok(dv_batch_count(batch) == 4, "operations counted");
	ok(dv_batch_bytes(batch) > 500 && dv_batch_bytes(batch) < 1500, "bytes so far");
	type = dv_batch_finish(batch, &out);
	is(type, "multipart/mixed; boundary=\"batch_ab-12x\"", "content type, the seed made harmless");
	is(out.data,
	   "--batch_ab-12x\r\n"
	   "Content-Type: application/http\r\n"
	   "Content-Transfer-Encoding: binary\r\n"
	   "\r\n"
	   "GET /api/data/v9.2/accounts?$top=1 HTTP/1.1\r\n"
	   "Accept: application/json\r\n"
	   "\r\n"
	   "\r\n"
	   "--batch_ab-12x\r\n"
	   "Content-Type: multipart/mixed; boundary=\"changeset_ab-12x_1\"\r\n"
	   "\r\n"
	   "--changeset_ab-12x_1\r\n"
	   "Content-Type: application/http\r\n"
	   "Content-Transfer-Encoding: binary\r\n"
	   "Content-ID: 1\r\n"
	   "\r\n"
	   "POST /api/data/v9.2/accounts HTTP/1.1\r\n"
	   "Content-Type: application/json\r\n"
	   "Content-Length: 13\r\n"
	   "\r\n"
	   "{\"name\":\"\xC3\xA9\"}\r\n"
	   "--changeset_ab-12x_1\r\n"
	   "Content-Type: application/http\r\n"
	   "Content-Transfer-Encoding: binary\r\n"
	   "Content-ID: 2\r\n"
	   "\r\n"
	   "DELETE /api/data/v9.2/accounts(1) HTTP/1.1\r\n"
	   "If-Match: *\r\n"
	   "\r\n"
	   "\r\n"
	   "--changeset_ab-12x_1--\r\n"
	   "--batch_ab-12x\r\n"
	   "Content-Type: application/http\r\n"
	   "Content-Transfer-Encoding: binary\r\n"
	   "\r\n"
	   "GET /x HTTP/1.1\r\n"
	   "\r\n"
	   "\r\n"
	   "--batch_ab-12x--\r\n",
	   "the body, byte by byte");
	ok(dv_batch_bytes(batch) >= (size_t) out.len, "bytes were not told too low");
}

/* "status/id/set:body;" per part, or the error. */
static char *
split_len(const char *type, const char *body, size_t len)
{
	StringInfoData out;
	DvBatchPart *parts;
	DvError error;
	int n;
	int i;

	if (!dv_batch_split(type, body, len, &parts, &n, &error))
		return error.kind == DV_ERROR_PROTOCOL ? "ERROR" : "no error set";
	initStringInfo(&out);
	for (i = 0; i < n; i++)
	{
		appendStringInfo(&out, "%d/%d/%d%s:%.*s;", parts[i].status, parts[i].content_id,
						 parts[i].changeset,
						 parts[i].in_changeset == (parts[i].changeset >= 0) ? "" : "?",
						 (int) parts[i].body_len, parts[i].body);
	}
	return out.data;
}

static char *
split(const char *type, const char *body)
{
	return split_len(type, body, strlen(body));
}

#define TYPE "multipart/mixed; boundary=batchresponse_1"
#define PART                                                                                       \
	"--batchresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: "           \
	"binary\r\n\r\n"
#define END "--batchresponse_1--\r\n"

static const char answer[] = PART
	"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nOData-Version: "
	"4.0\r\n\r\n{\"value\":[]}\r\n"
	"--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=\"changesetresponse_2\"\r\n\r\n"
	"--changesetresponse_2\r\nContent-Type: application/http\r\nContent-ID: 7\r\n\r\n"
	"HTTP/1.1 204 No Content\r\nOData-EntityId: https://h/accounts(1)\r\n\r\n\r\n"
	"--changesetresponse_2\r\nContent-Type: application/http\r\nContent-ID: 8\r\n\r\n"
	"HTTP/1.1 204 No Content\r\n\r\n"
	"--changesetresponse_2--\r\n" PART
	"HTTP/1.1 404 Not Found\r\nREQ_ID: abc\r\n\r\n{\"error\":{}}\r\n" END;

static void
test_split(void)
{
	is(split(TYPE, answer), "200/-1/-1:{\"value\":[]};204/7/0:;204/8/0:;404/-1/-1:{\"error\":{}};",
	   "operations and a change set");
	is(split("Multipart/Mixed;charset=utf-8; Boundary=\"batchresponse_1\"", answer),
	   split(TYPE, answer), "the boundary quoted, another parameter, another case");
	is(split(TYPE, END), "", "no parts");
	is(split(TYPE, "preamble\r\n" PART "HTTP/1.1 204 No Content\r\n\r\n\r\n" END "\r\n"),
	   "204/-1/-1:;", "a preamble, and blank lines after the end");
	is(split(TYPE, "--batchresponse_1\nContent-Type: application/http\n\nHTTP/2 201\nA: "
				   "b\n\n{}\n--batchresponse_1--"),
	   "201/-1/-1:{};", "bare line feeds, a status without words");
	is(split(TYPE, PART "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcdefgh\r\n" END),
	   "200/-1/-1:abcdefgh;", "more than Content-Length says");
	is(split(TYPE, PART "HTTP/1.1 200 OK\r\n\r\n{\r\n\"a\":\"--batchresponse_1\"\r\n}\r\n" END),
	   "200/-1/-1:{\r\n\"a\":\"--batchresponse_1\"\r\n};", "the boundary within a body's line");
	is(split(TYPE, PART "HTTP/1.1 200 OK\r\n\r\n--batchresponse_12\r\n--batchresponse\r\n" END),
	   "200/-1/-1:--batchresponse_12\r\n--batchresponse;", "lines that are almost the boundary");
	is(split(TYPE, PART "HTTP/1.1 400 Bad Request\r\nContent-ID: 3\r\n\r\n{}\r\n" END),
	   "400/3/-1:{};", "a failed change set as one plain part");
	is(split(TYPE, "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=cs\r\n\r\n"
				   "--cs\r\nContent-Type: application/http\r\nContent-ID: 4\r\n\r\nHTTP/1.1 412 "
				   "x\r\n\r\n{}\r\n--cs--\r\n\r\n"
				   "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=ct\r\n\r\n"
				   "--ct\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 204 "
				   "x\r\n\r\n\r\n--ct--\r\n" END),
	   "412/4/0:{};204/-1/1:;", "two change sets, one failed");

	is(split("application/json", answer), "ERROR", "no multipart");
	is(split(NULL, answer), "ERROR", "no content type");
	is(split("multipart/mixed", answer), "ERROR", "no boundary");
	is(split("multipart/mixed; boundary=", answer), "ERROR", "an empty boundary");
	is(split("multipart/mixed; boundary=other", answer), "ERROR", "another boundary");
	is(split(TYPE, ""), "ERROR", "nothing");
	is(split(TYPE, PART "HTTP/1.1 204 No Content\r\n\r\n\r\n"), "ERROR", "no end");
	is(split(TYPE, PART "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}\r\n" END), "ERROR",
	   "a body shorter than its length");
	is(split(TYPE, PART "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}\r\n" END), "ERROR",
	   "a negative length");
	is(split(TYPE, PART "{}\r\n" END), "ERROR", "no status line");
	is(split(TYPE, PART "HTTP/1.1 99 x\r\n\r\n" END), "ERROR", "no such status");
	is(split(TYPE, PART "HTTP/1.1 abc\r\n\r\n" END), "ERROR", "no number");
	is(split(TYPE, "--batchresponse_1\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" END), "ERROR",
	   "no type of a part");
	is(split(TYPE, "--batchresponse_1\r\nContent-Type: text/html\r\n\r\nx\r\n" END), "ERROR",
	   "another type");
	is(split(TYPE, PART "HTTP/1.1 204 x\r\n\r\n\r\n" END "more"), "ERROR", "text after the end");
	is(split(TYPE, "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n"
				   "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n--a--\r\n" END),
	   "ERROR", "change sets within change sets");
	is(split(TYPE, "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n"
				   "Content-Type: application/http\r\n\r\nHTTP/1.1 204 x\r\n\r\n\r\n" END),
	   "ERROR", "a change set without end");
}

static void
test_truncation(void)
{
	/* Complete from the closing hyphens on. */
	size_t len = strlen(answer) - 2;
	size_t n;
	int complete = 0;

	for (n = 0; n < len; n++)
	{
		char *cut = malloc(n + 1);

		memcpy(cut, answer, n);
		complete += strcmp(split_len(TYPE, cut, n), "ERROR") != 0;
		free(cut);
	}
	ok(complete == 0, "no truncated answer is taken (%d are)", complete);
}

static void
test_header(void)
{
	DvBatchPart *parts;
	DvError error;
	int n;

	ok(dv_batch_split(TYPE, answer, strlen(answer), &parts, &n, &error) && n == 4, "split");
	is(dv_batch_part_header(&parts[1], "odata-entityid"), "https://h/accounts(1)",
	   "a header without case");
	is(dv_batch_part_header(&parts[3], "REQ_ID"), "abc", "a header of a failure");
	is(dv_batch_part_header(&parts[2], "OData-EntityId"), NULL, "no such header");
	is(dv_batch_part_header(&parts[3], "REQ"), NULL, "a name that only begins so");
}

int
main(void)
{
	test_write();
	test_split();
	test_truncation();
	test_header();
	return done_testing();
}
