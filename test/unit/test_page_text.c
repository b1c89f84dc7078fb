/*
 * test_page_text.c
 *	  Rows of a page passed on as they stand.
 */
#include "odata/page.h"

#include "mb/pg_wchar.h"

#include "tap.h"

/* The rows, each in brackets, and the message of a failure. */
static const char *
rows(const char *body)
{
	DvPage *page = dv_page_open(body, strlen(body), PG_UTF8, true, NULL, 0);
	StringInfoData out;
	DvError error = {0};
	const char *text;
	int len;

	initStringInfo(&out);
	while (dv_page_row_text(page, &text, &len, &error))
		appendStringInfo(&out, "[%.*s]", len, text);
	if (error.kind != DV_ERROR_NONE)
		appendStringInfo(&out, "%s", error.message);
	else if (dv_page_next(page) != NULL)
		appendStringInfo(&out, " -> %s", dv_page_next(page));
	return out.data;
}

int
main(void)
{
	is(rows("{\"value\":[]}"), "", "no rows");
	is(rows("{\"@odata.context\":\"c\", \"value\" : [ {\"a\" : 1.50,\"b\":[{}]} ,\n{} ],"
			"\"@odata.nextLink\":\"l\"}"),
	   "[{\"a\" : 1.50,\"b\":[{}]}][{}] -> l", "rows as they stand, without what is around them");
	is(rows("{\"value\":[1e5,\"x\\\"]\",null,true,[2]]}"), "[1e5][\"x\\\"]\"][null][true][[2]]",
	   "rows of all kinds");
	is(rows("\xEF\xBB\xBF{\"UserId\":\"u\",\"value\":7} "), "[{\"UserId\":\"u\",\"value\":7}]",
	   "one object is one row, all of it");
	is(rows("{\"value\":[{\"a\":1}{\"a\":2}]}"),
	   "[{\"a\":1}]the answer is malformed at byte 18: a comma or an end is missing",
	   "two rows without a comma");
	is(rows("{\"value\":[{\"a\":1},{\"a\":"),
	   "[{\"a\":1}]the answer breaks off after 23 bytes: it is not complete", "half a page");
	is(rows("{\"value\":[{\"a\":tru}]}"),
	   "the answer is malformed at byte 16: there is no such JSON value", "a word that is none");
	is(rows("{\"value\":[1],\"@odata.nextLink\":5}"),
	   "[1]the answer is malformed at byte 33: a link or a count is not one",
	   "a link that is none");
	return done_testing();
}
