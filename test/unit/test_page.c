/*
 * test_page.c
 *	  A page is read exactly or refused: values, grammar, ends, links.
 */
#include "odata/page.h"

#include "mb/pg_wchar.h"

#include "tap.h"

#define N(array) ((int) lengthof(array))

/* Rows and fields of a page as one line: "name=text|..;" per row, then the error or "end". */
static char *
dump_len(const char *body, size_t len, bool single, const char *const *names, int n)
{
	StringInfoData out;
	DvField fields[16];
	DvError error;
	DvPage *page = dv_page_open(body, len, PG_UTF8, single, names, n);

	initStringInfo(&out);
	while (dv_page_row(page, fields, &error))
	{
		int i;

		for (i = 0; i < n; i++)
		{
			static const char marks[] = "-s#tfn";

			appendStringInfo(&out, "%s%c", i > 0 ? "|" : "", marks[fields[i].kind]);
			if (fields[i].kind == DV_FIELD_STRING || fields[i].kind == DV_FIELD_NUMBER ||
				fields[i].kind == DV_FIELD_NESTED)
				appendBinaryStringInfo(&out, fields[i].text, fields[i].len);
		}
		appendStringInfoChar(&out, ';');
	}
	if (error.kind == DV_ERROR_NONE)
		appendStringInfo(&out, "end %d", (int) dv_page_rows(page));
	else
		appendStringInfo(&out, "%s", error.kind == DV_ERROR_LIMIT ? "LIMIT" : "ERROR");
	dv_page_close(page);
	return out.data;
}

static const char *const abc[] = {"a", "b", "c"};

static char *
dump(const char *body)
{
	return dump_len(body, strlen(body), false, abc, 3);
}

/* One row with a value for a: what comes out. */
static void
value(const char *json, const char *expected)
{
	char *body = psprintf("{\"value\":[{\"a\":%s}]}", json);

	is(dump(body), psprintf("%s|-|-;end 1", expected), "value %s", json);
}

static void
refused_value(const char *json)
{
	char *body = psprintf("{\"value\":[{\"a\":%s}]}", json);

	/* No line ends within TAP. */
	is(dump(body), "ERROR", "refused value %.*s", (int) strcspn(json, "\n"), json);
}

static void
test_values(void)
{
	value("123456789012345678901234567890", "#123456789012345678901234567890");
	value("-99999999999.1234567891000", "#-99999999999.1234567891000");
	value("5000000.0000", "#5000000.0000");
	value("1E+400", "#1E+400");
	value("0", "#0");
	value("-0.0", "#-0.0");
	value("true", "t");
	value("false", "f");
	value("null", "-");
	value("\"\"", "s");
	value("\"plain\"", "splain");
	value("\"exactly8\"", "sexactly8");
	value("\"12345678 and more than eight\"", "s12345678 and more than eight");
	value("\"caf\xC3\xA9 \xF0\x9F\x98\x80\"", "scaf\xC3\xA9 \xF0\x9F\x98\x80");
	value("\"\x7F\"", "s\x7F");
	value("\"a\\\"b\\\\c\\/d\"", "sa\"b\\c/d");
	value("\"\\b\\f\\n\\r\\t\"", "s\b\f\n\r\t");
	value("\"\\u00e9\\u00E9\\u20ac\"", "s\xC3\xA9\xC3\xA9\xE2\x82\xAC");
	value("\"\\ud83d\\ude00!\"", "s\xF0\x9F\x98\x80!");
	value("\"\\udbff\\udfff\"", "s\xF4\x8F\xBF\xBF");
	value("\"ends with\\\\\"", "sends with\\");
	value("\"\\u0022}]}\"", "s\"}]}");
	value("{}", "n{}");
	value("[]", "n[]");
	value("[ ]", "n[ ]");
	value("[1, {\"x\":\"]}\\\"\"} ,[null]]", "n[1, {\"x\":\"]}\\\"\"} ,[null]]");
	value("{\"Value\":true,\"x\":{\"y\":[1,2]}}", "n{\"Value\":true,\"x\":{\"y\":[1,2]}}");

	refused_value("");
	refused_value("01");
	refused_value("-01");
	refused_value("00.5");
	refused_value("-");
	refused_value("-.5");
	refused_value("1.e2");
	refused_value("1.5.5");
	refused_value("+1");
	refused_value("1.");
	refused_value(".5");
	refused_value("1e");
	refused_value("--1");
	refused_value("0x10");
	refused_value("NaN");
	refused_value("Infinity");
	refused_value("nul");
	refused_value("nulll");
	refused_value("True");
	refused_value("'a'");
	refused_value("a");
	refused_value("1 2");
	refused_value("\"a\" \"b\"");
	refused_value("\"a\nb\"");
	refused_value("\"12345678\tb\"");
	refused_value("\"\\x\"");
	refused_value("\"\\u12g4\"");
	refused_value("\"\\u12\"");
	refused_value("\"\\u0000\"");
	refused_value("\"\\ud83d\"");
	refused_value("\"\\ud83dx\"");
	refused_value("\"\\ud83d\\n\"");
	refused_value("\"\\ud83d\\ud83d\"");
	refused_value("\"\\ude00\"");
	refused_value("\"\xC3\"");
	refused_value("\"\xC0\x80\"");
	refused_value("\"\xED\xA0\x80\"");
	refused_value("\"\xF5\x80\x80\x80\"");
	refused_value("[1,]");
	refused_value("[,1]");
	refused_value("[1 2]");
	refused_value("[1}");
	refused_value("{\"x\":1]");
	refused_value("{\"x\"}");
	refused_value("{\"x\" 1}");
	refused_value("{\"x\":}");
	refused_value("{\"x\":1,}");
	refused_value("{x:1}");
	refused_value("{1:1}");
	refused_value("{,}");
	refused_value("[:]");
	refused_value("{\"x\":1 \"y\":2}");
	refused_value(":1");
	refused_value("]");
	refused_value("}");
}

static void
test_rows(void)
{
	is(dump("{\"value\":[]}"), "end 0", "no rows");
	is(dump(" {\r\n\t\"value\" : [ ] } \n"), "end 0", "no rows, with blanks");
	is(dump("\xEF\xBB\xBF{\"value\":[{}]}"), "-|-|-;end 1", "byte order mark, empty row");
	is(dump("{\"@odata.context\":\"x\",\"value\":[{\"a\":1,\"b\":\"x\",\"c\":null},"
			"{\"a\":2,\"b\":\"y\",\"c\":true}]}"),
	   "#1|sx|-;#2|sy|t;end 2", "two rows");
	is(dump("{\"value\":[{\"c\":3,\"x\":[{\"a\":9}],\"a\":1},{\"a\":4,\"c\":5},{\"b\":6},"
			"{\"c\":7,\"b\":8,\"a\":9},{},{\"a\":1,\"b\":2,\"c\":3,\"d\":4}]}"),
	   "#1|-|#3;#4|-|#5;-|#6|-;#9|#8|#7;-|-|-;#1|#2|#3;end 6", "order and presence vary");
	is(dump("{\"value\":[{\"aa\":1,\"a\":2,\"ab\":3},{\"aa\":4,\"a\":5,\"ab\":6}]}"),
	   "#2|-|-;#5|-|-;end 2", "names that begin alike");
	is(dump("{\"value\":[{\"a\":1,\"b\":2},{\"a\" : 3 , \"b\" : 4},{\"a\":5,\"b\":6}]}"),
	   "#1|#2|-;#3|#4|-;#5|#6|-;end 3", "blanks after keys met before");
	is(dump("{\"value\":[{\"a\":\"x\"},{\"b\":\"y\"}]}"), "sx|-|-;-|sy|-;end 2",
	   "nothing stays from the row before");
	is(dump("{\"value\":[{\"a\":\"\\n1\",\"b\":\"\\n22\",\"c\":\"\\n333\"},{\"c\":\"\\t\"}]}"),
	   "s\n1|s\n22|s\n333;-|-|s\t;end 2", "several strings with escapes");
	is(dump("{\"value\":[{\"\\u0061\":1,\"b\":2},{\"\\u0061\":3,\"b\":4}]}"),
	   "#1|#2|-;#3|#4|-;end 2", "an escaped name is the same name");
	is(dump("{\"value\":[{\"a\\\"\":1,\"a\\\\\":2,\"b\":3}]}"), "-|#3|-;end 1",
	   "names that end in escapes");

	is(dump("{\"value\":[{\"a\":1,\"a\":1}]}"), "ERROR", "a wanted property twice");
	is(dump("{\"value\":[{\"a\":null,\"a\":1}]}"), "ERROR", "twice, first null");
	is(dump("{\"value\":[{\"a\":1},{\"b\":1,\"a\":1,\"\\u0061\":null}]}"), "#1|-|-;ERROR",
	   "twice, once escaped");
	is(dump("{\"value\":[{\"x\":1,\"x\":1,\"a\":2}]}"), "#2|-|-;end 1", "an unwanted one twice");

	is(dump("{\"value\":[1]}"), "ERROR", "a row that is a number");
	is(dump("{\"value\":[null]}"), "ERROR", "a row that is null");
	is(dump("{\"value\":[[]]}"), "ERROR", "a row that is an array");
	is(dump("{\"value\":[{\"a\":1}{\"a\":2}]}"), "#1|-|-;ERROR", "no comma between rows");
	is(dump("{\"value\":[{\"a\":1},]}"), "#1|-|-;ERROR", "comma after the last row");
	is(dump("{\"value\":[,{\"a\":1}]}"), "ERROR", "comma before the first row");
	is(dump("{\"value\":[{\"a\":1,}]}"), "ERROR", "comma after the last member");
	is(dump("{\"value\":[{\"a\":1 \"b\":2}]}"), "ERROR", "no comma between members");
	is(dump("{\"value\":[{\"a\":1},{\"a\" 2}]}"), "#1|-|-;ERROR", "no colon after a known key");
	is(dump("{\"value\":[{\"a\":1]]}"), "ERROR", "a row closed by a bracket");
	is(dump("{\"value\":[{\"a\":1}}}"), "#1|-|-;ERROR", "rows closed by a brace");
	is(dump("{\"value\":[{\"a\":1}]]"), "#1|-|-;ERROR", "envelope closed by a bracket");
}

/* Rows with what is wanted of related rows: "nav/name". */
static char *
dump_related(const char *rows)
{
	static const char *const names[] = {"a", "n/a", "n/b@x.y/z", "n/m/a", "o/a", "n/a"};
	char *body = psprintf("{\"value\":[%s]}", rows);

	return dump_len(body, strlen(body), false, names, 6);
}

static void
test_related(void)
{
	is(dump_related("{\"a\":1,\"n\":{\"a\":2,\"b@x.y/z\":\"l\",\"m\":{\"a\":3}},\"o\":{\"a\":4}}"),
	   "#1|#2|sl|#3|#4|#2;end 1", "one name at every level");
	is(dump_related("{\"n\":{\"m\":{\"a\":3,\"n\":{\"a\":8}},\"n\":{\"a\":9},\"a\":2},\"a\":1}"),
	   "#1|#2|-|#3|-|#2;end 1", "another order, and nested names that are not wanted there");
	is(dump_related(
		   "{\"a\":1,\"n\":{\"a\":2}},{\"a\":3,\"n\":null},{\"a\":4},{\"n\":{}},{\"n\":{\"a\":5,"
		   "\"m\":null}}"),
	   "#1|#2|-|-|-|#2;#3|-|-|-|-|-;#4|-|-|-|-|-;-|-|-|-|-|-;-|#5|-|-|-|#5;end 5",
	   "null, absent and empty: nothing stays from the row before");
	is(dump_related("{\"a\":\"\\n1\",\"n\":{\"a\":\"\\t2\"},\"o\":{\"a\":\"\\r3\"}}"),
	   "s\n1|s\t2|-|-|s\r3|s\t2;end 1", "strings with escapes");
	is(dump_related("{\"\\u006e\":{\"\\u0061\":12345678901234567890.10}}"),
	   "-|#12345678901234567890.10|-|-|-|#12345678901234567890.10;end 1",
	   "escaped names, exact numbers");
	is(dump_related("{\"x\":{\"a\":1,\"n\":{\"a\":2}},\"o\":{\"x\":[{\"a\":1}],\"a\":5}}"),
	   "-|-|-|-|#5|-;end 1", "objects that are not wanted");
	is(dump_related("{\"n\":{\"a\":1,\"a\":2}}"), "ERROR", "a property twice in a related row");
	is(dump_related("{\"n\":{\"a\":1},\"n\":null}"), "ERROR", "a related row twice");
	is(dump_related("{\"n\":1}"), "ERROR", "a related row that is a number");
	is(dump_related("{\"n\":[]}"), "ERROR", "a related row that is an array");
	is(dump_related("{\"n\":[{\"a\":1}]}"), "ERROR", "related rows in an array");
	is(dump_related("{\"n\":{\"a\":1}"), "ERROR", "a row that ends with its related row");
	is(dump_related("{\"n\":{\"a\":1,}}"), "ERROR", "comma after the last member of a related row");
}

static void
test_envelope_errors(void)
{
	is(dump(""), "ERROR", "empty body");
	is(dump("  "), "ERROR", "blank body");
	is(dump("<html></html>"), "ERROR", "HTML");
	is(dump("[]"), "ERROR", "an array");
	is(dump("null"), "ERROR", "null");
	is(dump("{}"), "ERROR", "an object without value");
	is(dump("{\"a\":1}"), "ERROR", "one row where a page is due");
	is(dump("{\"value\":null}"), "ERROR", "value null");
	is(dump("{\"value\":{}}"), "ERROR", "value an object");
	is(dump("{\"value\":\"x\"}"), "ERROR", "value a string");
	is(dump("{\"value\":[],\"value\":[{\"a\":1}]}"), "ERROR", "value twice");
	is(dump("{\"value\":[]}x"), "ERROR", "text after the end");
	is(dump("{\"value\":[]}{}"), "ERROR", "another object after the end");
	is(dump("{\"value\":[]},"), "ERROR", "comma after the end");
	is(dump_len("{\"value\":[]}\0", 13, false, abc, 3), "ERROR", "a NUL after the end");
	is(dump_len("{\"value\":[{\"a\":\"x\0y\"}]}", 23, false, abc, 3), "ERROR", "a NUL in a string");
	is(dump("{\"value\":[{\"a\":1}],\"error\":{\"code\":\"\",\"message\":\"boom\"}}"),
	   "#1|-|-;ERROR", "an error after the rows");
	is(dump("{\"value\":[{\"a\":1}],\"@odata.error\":{}}"), "#1|-|-;ERROR", "its annotated form");
	is(dump("{\"error\":{\"code\":\"\",\"message\":\"boom\"},\"value\":[]}"), "ERROR",
	   "an error before the rows");
	is(dump("{\"value\":[],\"@odata.nextLink\":5}"), "ERROR", "a link that is a number");
	is(dump("{\"value\":[],\"@odata.nextLink\":\"\"}"), "ERROR", "an empty link");
	is(dump("{\"value\":[],\"@odata.nextLink\":{}}"), "ERROR", "a link that is an object");
	is(dump("{\"value\":[],\"@odata.nextLink\":\"a\",\"@odata.nextLink\":\"b\"}"), "ERROR",
	   "two links");
	is(dump("{\"@odata.nextLink\":\"a\",\"value\":[],\"@odata.nextLink\":\"a\"}"), "ERROR",
	   "the link before and after");
	is(dump("{\"value\":[],}"), "ERROR", "comma at the envelope's end");
	is(dump("{\"value\":[] \"x\":1}"), "ERROR", "no comma in the envelope");
	is(dump("{\"x\":\xFF,\"value\":[]}"), "ERROR", "no UTF-8 outside strings");
	is(dump("{\"x\":\"\xFF\",\"value\":[]}"), "ERROR", "no UTF-8 in an unwanted string");
}

/* Strings are skipped by words: what matters must be seen at every place of one. */
static void
test_places(void)
{
	static const char *const marks[] = {"\x1f", "\t", "\n",   "\\u00e9", "\\\"",
										"\\q",  "\"", "\x7f", "\xC3\xA9"};
	static const char *const shown[] = {NULL, NULL, NULL,   "\xC3\xA9", "\"",
										NULL, NULL, "\x7f", "\xC3\xA9"};
	int mark;

	for (mark = 0; mark < N(marks); mark++)
	{
		int before;
		int wrong = 0;

		for (before = 0; before < 40; before++)
		{
			char *filler =
				psprintf("%.*s", before, "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ");
			char *body =
				psprintf("{\"value\":[{\"a\":\"%s%s0123456789abcdef\"}]}", filler, marks[mark]);
			char *expected = shown[mark] == NULL
								 ? "ERROR"
								 : psprintf("s%s%s0123456789abcdef|-|-;end 1", filler, shown[mark]);

			wrong += strcmp(dump(body), expected) != 0;
		}
		ok(wrong == 0, "mark %d at every place of a string (%d wrong)", mark, wrong);
	}
}

/* Depth is counted from the envelope. */
static void
test_depth(void)
{
	int depth;

	for (depth = DV_PAGE_DEPTH - 4; depth <= DV_PAGE_DEPTH - 2; depth++)
	{
		StringInfoData body;
		char *got;
		int i;

		initStringInfo(&body);
		appendStringInfoString(&body, "{\"value\":[{\"x\":");
		for (i = 0; i < depth; i++)
			appendStringInfoString(&body, i % 2 ? "{\"k\":" : "[");
		appendStringInfoString(&body, "1");
		for (i = depth - 1; i >= 0; i--)
			appendStringInfoChar(&body, i % 2 ? '}' : ']');
		appendStringInfoString(&body, ",\"a\":7}]}");
		got = dump(body.data);
		is(got, depth + 3 <= DV_PAGE_DEPTH ? "#7|-|-;end 1" : "LIMIT", "nested %d deep", depth + 3);
	}
}

static const char sample[] =
	"{\"@odata.context\":\"https://h/api/data/v9.2/$metadata#accounts(name)\",\"@odata.count\":2,"
	"\"value\":[{\"@odata.etag\":\"W/\\\"5\\\"\",\"a\":\"caf\xC3\xA9 \\u00e9\",\"b\":-12.50,"
	"\"c\":null,\"x\":[true,{\"y\":\"z\"}]},{\"a\":\"second\",\"b\":0,\"c\":false}],"
	"\"@odata.nextLink\":\"https://h/api/data/v9.2/accounts?$skiptoken=%3Ccookie\\u0026x\"}";

/* Whatever is missing at the end, the page is not taken for complete. */
static void
test_truncation(void)
{
	const char *whole = "scaf\xC3\xA9 \xC3\xA9|#-12.50|-;ssecond|#0|f;end 2";
	size_t len = sizeof(sample) - 1;
	size_t n;
	int complete = 0;
	int unlike = 0;
	int peeked = 0;

	is(dump_len(sample, len, false, abc, 3), whole, "the sample, whole");
	for (n = 0; n < len; n++)
	{
		/* A copy of just these bytes, so that reading past them is seen by a sanitizer. */
		char *cut = malloc(n + 1);
		char *got;

		memcpy(cut, sample, n);
		got = dump_len(cut, n, false, abc, 3);
		if (strstr(got, "end") != NULL)
			complete++;
		if (strncmp(got, whole, strlen(got) - strlen("ERROR")) != 0)
			unlike++;
		if (dv_page_peek_next(cut, n) != NULL)
			peeked++;
		free(cut);
	}
	ok(complete == 0, "no truncation is complete (%d of %zu are)", complete, len);
	ok(unlike == 0, "rows before the cut are the true ones (%d are not)", unlike);
	ok(peeked == 0, "no link is seen in a truncated body (%d are)", peeked);
}

/* Any single byte changed: an error, or a page that is well-formed with two rows. */
static void
test_damage(void)
{
	size_t len = sizeof(sample) - 1;
	char *body = malloc(len);
	size_t n;
	int fewer = 0;

	for (n = 0; n < len; n++)
	{
		static const char changes[] = "\"\\,:{}[] \x01\xFF"
									  "a1";
		size_t i;

		for (i = 0; i < sizeof(changes) - 1; i++)
		{
			char *got;

			memcpy(body, sample, len);
			body[n] = changes[i];
			got = dump_len(body, len, false, abc, 3);
			if (strstr(got, "end") != NULL && strstr(got, "end 2") == NULL)
				fewer++;
		}
	}
	free(body);
	ok(fewer == 0, "no changed byte makes a shorter page (%d do)", fewer);
}

static DvPage *
read_all(const char *body)
{
	DvField fields[3];
	DvError error;
	DvPage *page = dv_page_open(body, strlen(body), PG_UTF8, false, abc, 3);

	while (dv_page_row(page, fields, &error))
		;
	return page;
}

static void
test_members(void)
{
	DvPage *page = read_all(sample);
	DvField fields[3];
	DvError error;

	is(dv_page_next(page), "https://h/api/data/v9.2/accounts?$skiptoken=%3Ccookie&x",
	   "the next link, de-escaped");
	is(dv_page_count(page), "2", "the count's text");
	is(dv_page_delta(page), NULL, "no delta link");
	ok(!dv_page_row(page, fields, &error) && error.kind == DV_ERROR_NONE, "the end stays the end");
	dv_page_close(page);

	page = read_all("{\"@odata.nextLink\":\"n\",\"@odata.deltaLink\":\"d\",\"value\":[{\"a\":1}],"
					"\"@odata.count\":12345678901234567890}");
	is(dv_page_next(page), "n", "the link before the rows");
	is(dv_page_delta(page), "d", "the delta link");
	is(dv_page_count(page), "12345678901234567890", "a count that no integer holds");
	ok(dv_page_rows(page) == 1, "rows counted");
	dv_page_close(page);

	page = read_all("{\"value\":[{\"@odata.nextLink\":\"no\"}],\"@odata.nextLink\":null,"
					"\"@Microsoft.Dynamics.CRM.fetchxmlpagingcookie\":\"<c/>\","
					"\"@Microsoft.Dynamics.CRM.morerecords\":true}");
	is(dv_page_next(page), NULL, "a row's link is not the page's, and null is none");
	is(dv_page_annotation(page, "@Microsoft.Dynamics.CRM.fetchxmlpagingcookie"), "<c/>",
	   "FetchXML's cookie");
	is(dv_page_annotation(page, "@Microsoft.Dynamics.CRM.morerecords"), "true", "more records");
	is(dv_page_annotation(page, "@odata.context"), NULL, "an annotation that is not kept");
	dv_page_close(page);

	page = read_all("{\"value\":[],\"@nextLink\":\"n\"}");
	is(dv_page_next(page), "n", "the link as OData 4.01 names it");
	dv_page_close(page);

	page = read_all("{\"value\":[],\"\\u0040odata.nextLink\":\"n\"}");
	is(dv_page_next(page), "n", "the link under an escaped name");
	dv_page_close(page);

	page = read_all("{\"value\":[{\"a\":1},{\"a\":oops}]}");
	ok(!dv_page_row(page, fields, &error) && error.kind == DV_ERROR_PROTOCOL &&
		   strstr(error.message, "byte 24") != NULL,
	   "a failure stays, and tells the place");
	dv_page_close(page);
}

static void
peeks(const char *body, const char *expected, const char *name)
{
	is(dv_page_peek_next(body, strlen(body)), expected, "peek: %s", name);
}

#define COOKIE "\"@Microsoft.Dynamics.CRM.fetchxmlpagingcookie\":"
#define MORE "\"@Microsoft.Dynamics.CRM.morerecords\":"

/* expected: more, a bar, cookie */
static void
peeks_fetchxml(const char *body, const char *expected, const char *name)
{
	char *more;
	char *cookie;

	dv_page_peek_fetchxml(body, strlen(body), &more, &cookie);
	is(psprintf("%s|%s", more ? more : "", cookie ? cookie : ""), expected, "peek FetchXML: %s",
	   name);
}

static void
test_peek_fetchxml(void)
{
	static const char rows[] = "{\"value\":[{\"a\":1}]";
	StringInfoData body;

	peeks_fetchxml("{\"value\":[]}", "|", "none");
	peeks_fetchxml("", "|", "empty body");
	peeks_fetchxml("{" COOKIE "\"c\"," MORE "true,\"value\":[{\"a\":", "true|c", "before the rows");
	peeks_fetchxml(psprintf("%s," COOKIE "\"c\"," MORE "true}", rows), "true|c", "after them");
	peeks_fetchxml(psprintf("%s," MORE "true,\"x\":[1]," COOKIE "\"c\"}", rows), "true|c",
				   "the other way round, and with something between them");
	peeks_fetchxml("{" COOKIE "\"c\",\"value\":[]," MORE "true}", "true|c", "around the rows");
	peeks_fetchxml("{" MORE "true,\"value\":[]," COOKIE "\"c\"}", "true|c", "around them, crossed");
	peeks_fetchxml(psprintf("%s," MORE "true}", rows), "true|", "no cookie");
	peeks_fetchxml(psprintf("%s," MORE "false}", rows), "false|", "no more");
	peeks_fetchxml("{\"value\":[{" COOKIE "\"no\"," MORE "true}]}", "|", "in a row");
	peeks_fetchxml("{\"value\":[{" COOKIE "\"no\"}]," MORE "true}", "true|",
				   "one in a row, the other the page's");
	peeks_fetchxml("{" COOKIE "\"c\",\"value\":[{" COOKIE "\"no\"}]," MORE "true}", "true|c",
				   "one in a row as well");
	peeks_fetchxml("{\"value\":[],\"x\":{" MORE "true}," COOKIE "\"c\"}", "|c",
				   "in a member's object");
	peeks_fetchxml(psprintf("%s," COOKIE "\"c\"," MORE "true", rows), "|", "a truncated body");
	peeks_fetchxml(psprintf("%s," COOKIE "\"a\\\"\\u0041\"," MORE "true}", rows), "true|a\"A",
				   "escapes");
	initStringInfo(&body);
	appendStringInfoString(&body, "{\"value\":[{\"a\":\"");
	for (int i = 0; i < 300000; i++)
		appendStringInfoChar(&body, 'x');
	appendStringInfoString(&body, "\"}]," COOKIE "\"c\"," MORE "true}");
	peeks_fetchxml(body.data, "true|c", "at the end of a long body");
}

static void
test_peek(void)
{
	StringInfoData body;

	is(dv_page_peek_next(sample, sizeof(sample) - 1),
	   "https://h/api/data/v9.2/accounts?$skiptoken=%3Ccookie&x", "peek: the sample");
	peeks("{\"value\":[]}", NULL, "none");
	peeks("", NULL, "empty body");
	peeks("{\"value\":[", NULL, "broken body");
	peeks("{\"@odata.nextLink\":\"u\",\"value\":[{\"a\":", "u",
		  "before the rows, which are not looked at");
	peeks("{\"value\":[],\"@odata.nextLink\":\"u\"}", "u", "after the rows");
	peeks("{\"value\":[] , \"@odata.nextLink\" : \"u\" , \"x\" : [1] }\n", "u",
		  "with blanks and more members");
	peeks("{\"value\":[{\"@odata.nextLink\":\"no\"}]}", NULL, "in a row");
	peeks("{\"value\":[],\"x\":{\"@odata.nextLink\":\"no\"}}", NULL, "in a member's object");
	peeks("{\"value\":[{\"x\":[{\"@odata.nextLink\":\"no\"}]}],\"@odata.nextLink\":\"u\"}", "u",
		  "in a row and at the end");
	peeks("{\"value\":[{\"a\":\"\\\"@odata.nextLink\\\":\\\"no\\\"}\"}]}", NULL, "in a string");
	peeks("{\"value\":[],\"x\":\"\\\"@odata.nextLink\"}", NULL, "at a string's end");
	peeks("{\"value\":[],\"\\\"@odata.nextLink\":\"no\"}", NULL, "at another name's end");
	peeks("{\"value\":[],\"x@odata.nextLink\":\"no\"}", NULL, "another name's annotation");
	peeks("{\"value\":[],\"x\":\"@odata.nextLink\"}", NULL, "a string of just that");
	peeks("{\"value\":[],\"x\":[\"@odata.nextLink\",\"u\"]}", NULL, "in an array");
	peeks("{\"value\":[],\"@odata.nextLink\":\"u\"}}", NULL, "with text after the end");
	peeks("{\"value\":[],\"@odata.nextLink\":\"u\",\"@odata.nextLink\":\"v\"}", "v",
		  "twice (refused by the page)");
	peeks("{\"value\":[],\"@odata.nextLink\":7}", NULL, "a number");
	peeks("{\"value\":[],\"@odata.nextLink\":\"a\\\\b\\\"c\\u0041\"}", "a\\b\"cA", "escapes in it");
	peeks("{\"value\":[],\"@odata.nextLink\":\"\\ud83d\"}", NULL, "a bad escape in it");

	initStringInfo(&body);
	appendStringInfoString(&body, "{\"value\":[{\"a\":\"");
	while (body.len < 2 * DV_PAGE_TAIL)
		appendStringInfoString(&body, "\\\"@odata.nextLink\\\":");
	appendStringInfoString(&body, "\"}],\"@odata.nextLink\":\"u\"}");
	is(dv_page_peek_next(body.data, body.len), "u", "peek: at the end of a long body");
}

static void
test_single(void)
{
	static const char *const names[] = {"a", "value", "@odata.etag"};

#define SINGLE(body) dump_len(body, strlen(body), true, names, 3)
	is(SINGLE("{\"@odata.context\":\"c\",\"@odata.etag\":\"W/\\\"1\\\"\",\"a\":5}"),
	   "#5|-|sW/\"1\";end 1", "one row");
	is(SINGLE("{}"), "-|-|-;end 1", "one row without properties");
	is(SINGLE("{\"a\":1,\"value\":\"x\"}"), "#1|sx|-;end 1", "a column named value");
	is(SINGLE("{\"a\":1,\"value\":[{\"a\":2},{\"a\":3}]}"), "#2|-|-;#3|-|-;end 2",
	   "a page where one row was asked for");
	is(SINGLE("{\"a\":1}x"), "ERROR", "text after the row");
	is(SINGLE("{\"a\":1"), "ERROR", "one row, cut off");
	is(SINGLE("{\"a\":1,\"a\":2}"), "ERROR", "one row, a property twice");
	is(SINGLE("[]"), "ERROR", "an array for one row");
	is(SINGLE(""), "ERROR", "no body for one row");
}

static void
test_names(void)
{
	static const char *const names[] = {"a", "b", "a",
										"a@OData.Community.Display.V1.FormattedValue"};
	static const char body[] =
		"{\"value\":[{\"a@OData.Community.Display.V1.FormattedValue\":\"One\",\"a\":1},"
		"{\"a\":null},{\"a@OData.Community.Display.V1.FormattedValue\":\"\\u0054wo\","
		"\"a\":2,\"b\":\"\\n\"}]}";

	is(dump_len(body, sizeof(body) - 1, false, names, N(names)),
	   "#1|-|#1|sOne;-|-|-|-;#2|s\n|#2|sTwo;end 3", "a name wanted twice, and an annotation");
	is(dump_len(body, sizeof(body) - 1, false, NULL, 0), ";;;end 3", "no names wanted");
}

static void
test_encoding(void)
{
	DvField fields[1];
	DvError error;
	const char *body = "{\"value\":[{\"a\":\"caf\xE9\"},{\"a\":\"\\u0041\"},{\"a\":\"\\u00e9\"}]}";
	DvPage *page = dv_page_open(body, strlen(body), PG_LATIN1, false, abc, 1);

	ok(dv_page_row(page, fields, &error) && fields[0].len == 4, "a body in Latin-1");
	ok(dv_page_row(page, fields, &error) && fields[0].len == 1, "an ASCII escape in it");
	ok(!dv_page_row(page, fields, &error) && error.kind == DV_ERROR_PROTOCOL,
	   "an escape that cannot be put into it");
	dv_page_close(page);
}

/* Many distinct keys: remembering has a bound, reading has none. */
static void
test_many_keys(void)
{
	StringInfoData body;
	DvField fields[3];
	DvError error;
	DvPage *page;
	int row;
	bool right = true;

	initStringInfo(&body);
	appendStringInfoString(&body, "{\"value\":[");
	for (row = 0; row < 30; row++)
	{
		int key;

		appendStringInfoString(&body, row > 0 ? ",{" : "{");
		for (key = 0; key < 200; key++)
			appendStringInfo(&body, "\"k%d_%d\":%d,", row, key, key);
		appendStringInfo(&body, "\"b\":%d}", row);
	}
	appendStringInfoString(&body, "]}");
	page = dv_page_open(body.data, body.len, PG_UTF8, false, abc, 3);
	for (row = 0; row < 30; row++)
	{
		right = right && dv_page_row(page, fields, &error) && fields[1].kind == DV_FIELD_NUMBER &&
				strncmp(fields[1].text, psprintf("%d", row), fields[1].len) == 0;
	}
	ok(right && !dv_page_row(page, fields, &error) && error.kind == DV_ERROR_NONE,
	   "6,000 distinct keys in one page");
	dv_page_close(page);
}

int
main(void)
{
	test_values();
	test_rows();
	test_related();
	test_envelope_errors();
	test_places();
	test_depth();
	test_truncation();
	test_damage();
	test_members();
	test_peek();
	test_peek_fetchxml();
	test_single();
	test_names();
	test_encoding();
	test_many_keys();
	return done_testing();
}
