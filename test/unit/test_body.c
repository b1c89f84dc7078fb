/*
 * test_body.c
 *	  Rows as request bodies: one, many, and some of many again.
 */
#include "odata/body.h"

#include "tap.h"

static char *
targets(const DvBody *body, const int *rows, int n)
{
	StringInfoData out;

	initStringInfo(&out);
	dv_body_targets(body, rows, n, &out);
	return out.data;
}

static char *
single(const DvBody *body, int row)
{
	StringInfoData out;

	initStringInfo(&out);
	dv_body_row_single(body, row, &out);
	return out.data;
}

static bool
field(DvBody *body, const char *name, DvJson kind, const char *text)
{
	DvError error;

	dv_error_clear(&error);
	if (dv_body_field(body, name, kind, text, text != NULL ? strlen(text) : 0, &error))
		return error.kind == DV_ERROR_NONE;
	if (error.kind != DV_ERROR_DATA || strstr(error.message, name) == NULL)
		bail_out("a refused value without a proper error");
	return false;
}

static void
test_rows(void)
{
	DvBody *body = dv_body_create();
	static const int some[] = {2, 0};
	size_t first;
	int i;

	is(targets(body, NULL, 0), "{\"Targets\":[]}", "no rows");

	dv_body_row_begin(body);
	ok(field(body, "name", DV_JSON_STRING, "A \"q\" \\ \n caf\xC3\xA9"), "a text");
	dv_body_target_field(body, "@odata.type", "Microsoft.Dynamics.CRM.account");
	ok(field(body, "revenue", DV_JSON_NUMBER, "99999999999.1234567891000"), "a long number");
	dv_body_target_field(body, "@odata.id", "accounts(k='O''x\"')");
	ok(field(body, "flag", DV_JSON_BOOLEAN, "true"), "a boolean");
	ok(field(body, "none", DV_JSON_NULL, NULL), "a null");
	ok(field(body, "tags\"", DV_JSON_RAW, "{\"a\":[1]}"), "raw JSON");
	dv_body_row_end(body);
	is(single(body, 0),
	   "{\"name\":\"A \\\"q\\\" \\\\ \\n caf\xC3\xA9\",\"revenue\":99999999999.1234567891000,"
	   "\"flag\":true,\"none\":null,\"tags\\\"\":{\"a\":[1]}}",
	   "one row, without target fields");
	is(targets(body, NULL, 1),
	   "{\"Targets\":[{\"@odata.type\":\"Microsoft.Dynamics.CRM.account\","
	   "\"@odata.id\":\"accounts(k='O''x\\\"')\",\"name\":\"A \\\"q\\\" \\\\ \\n caf\xC3\xA9\","
	   "\"revenue\":99999999999.1234567891000,\"flag\":true,\"none\":null,"
	   "\"tags\\\"\":{\"a\":[1]}}]}",
	   "one target, its target fields first");

	dv_body_reset(body);
	ok(dv_body_rows(body) == 0 && dv_body_bytes(body, 0, 0) == 0, "reset");
	for (i = 0; i < 3; i++)
	{
		dv_body_row_begin(body);
		if (i != 1)
			dv_body_target_field(body, "t", psprintf("%d", i));
		if (i != 2)
			field(body, "f", DV_JSON_NUMBER, psprintf("%d", i));
		dv_body_row_end(body);
	}
	is(targets(body, NULL, 3), "{\"Targets\":[{\"t\":\"0\",\"f\":0},{\"f\":1},{\"t\":\"2\"}]}",
	   "rows without the one or the other kind of field");
	is(targets(body, some, 2), "{\"Targets\":[{\"t\":\"2\"},{\"t\":\"0\",\"f\":0}]}",
	   "listed rows in the order of the list");
	is(single(body, 2), "{}", "a row without fields");
	first = dv_body_bytes(body, 0, 1);
	ok(first >= strlen("{\"t\":\"0\",\"f\":0}") && first < 40 &&
		   dv_body_bytes(body, 0, 3) ==
			   first + dv_body_bytes(body, 1, 1) + dv_body_bytes(body, 2, 1) &&
		   dv_body_bytes(body, 0, 3) + strlen("{\"Targets\":[]}") >= strlen(targets(body, NULL, 3)),
	   "bytes add up, and are not too few");

	dv_body_row_begin(body);
	dv_body_target_field(body, "gone", "x");
	field(body, "gone", DV_JSON_NUMBER, "1");
	dv_body_row_abandon(body);
	dv_body_row_abandon(body);
	ok(dv_body_rows(body) == 3, "an abandoned row is none");
	dv_body_row_begin(body);
	field(body, "f", DV_JSON_NUMBER, "3");
	dv_body_row_end(body);
	is(single(body, 3), "{\"f\":3}", "the row after it");
	is(targets(body, (int[]){3}, 1), "{\"Targets\":[{\"f\":3}]}", "as a target");
	dv_body_free(body);
}

static void
test_values(void)
{
	static const char *const numbers[] = {"0",      "-1",   "1e+21",
										  "1.5E-7", "0.10", "123456789012345678901234567890"};
	static const char *const no_numbers[] = {"",      "NaN", "Infinity", "-Infinity", "+1",  "01",
											 "1.",    ".5",  "1,5",      "0x1",       "1 ",  " 1",
											 "\"1\"", "1}",  "--1",      "1e",        "true"};
	static const char *const no_booleans[] = {"t", "TRUE", "1", "", "null", "truee"};
	DvBody *body = dv_body_create();
	size_t i;

	dv_body_row_begin(body);
	for (i = 0; i < lengthof(no_numbers); i++)
		ok(!field(body, "n", DV_JSON_NUMBER, no_numbers[i]), "no number: \"%s\"", no_numbers[i]);
	for (i = 0; i < lengthof(no_booleans); i++)
		ok(!field(body, "n", DV_JSON_BOOLEAN, no_booleans[i]), "no boolean: \"%s\"",
		   no_booleans[i]);
	ok(!field(body, "n", DV_JSON_RAW, ""), "no JSON");
	for (i = 0; i < lengthof(numbers); i++)
		ok(field(body, psprintf("n%zu", i), DV_JSON_NUMBER, numbers[i]), "a number: %s",
		   numbers[i]);
	dv_body_row_end(body);
	is(single(body, 0),
	   "{\"n0\":0,\"n1\":-1,\"n2\":1e+21,\"n3\":1.5E-7,\"n4\":0.10,"
	   "\"n5\":123456789012345678901234567890}",
	   "refused values leave nothing behind, numbers keep their digits");
	dv_body_free(body);
}

static void
test_many(void)
{
	DvBody *body = dv_body_create();
	int i;
	bool right = true;

	for (i = 0; i < 5000; i++)
	{
		dv_body_row_begin(body);
		dv_body_target_field(body, "id", psprintf("%d", i));
		field(body, "n", DV_JSON_NUMBER, psprintf("%d", i));
		dv_body_row_end(body);
	}
	for (i = 0; i < 5000; i++)
		right = right && strcmp(single(body, i), psprintf("{\"n\":%d}", i)) == 0;
	ok(right && dv_body_rows(body) == 5000, "5,000 rows, each in its place");
	dv_body_free(body);
}

static char *
value(const DvBody *body, int row, int field)
{
	const DvBodyField *fields;
	size_t len;
	const char *text;

	if (field >= dv_body_fields(body, row, &fields))
		return "(none)";
	text = dv_body_value(body, &fields[field], &len);
	return psprintf("%d %.*s", fields[field].mark, (int) len, text);
}

static void
test_keep(void)
{
	static const bool first[] = {true, false, false};
	static const bool last[] = {false, false, true};
	static const bool some[] = {false, true, true};
	static const bool none[] = {false, false, false};
	DvBody *body = dv_body_create();
	int i;

	dv_body_track(body);
	for (i = 0; i < 5; i++)
	{
		dv_body_row_begin(body);
		dv_body_target_field(body, "id", psprintf("%d", i));
		dv_body_mark(body, 7);
		field(body, "a", DV_JSON_STRING, "x\"y");
		dv_body_mark(body, 8);
		field(body, "b", DV_JSON_NUMBER, psprintf("%d", i));
		field(body, "c", DV_JSON_NULL, NULL);
		dv_body_row_end(body);
		dv_body_row_begin(body);
		field(body, "gone", DV_JSON_NULL, NULL);
		dv_body_row_abandon(body);
	}
	is(value(body, 4, 0), "7 \"x\\\"y\"", "a tracked text");
	is(value(body, 4, 1), "8 4", "a tracked number");
	is(value(body, 0, 2), "8 null", "a tracked null");
	dv_body_keep(body, 0, first);
	dv_body_keep(body, 1, last);
	dv_body_keep(body, 2, some);
	dv_body_keep(body, 3, none);
	is(single(body, 0), "{\"a\":\"x\\\"y\"}", "the first field kept");
	is(single(body, 1), "{\"c\":null}", "the last");
	is(single(body, 2), "{\"b\":2,\"c\":null}", "two");
	is(single(body, 3), "{}", "none");
	is(single(body, 4), "{\"a\":\"x\\\"y\",\"b\":4,\"c\":null}", "other rows stay");
	is(value(body, 2, 0), "8 2", "what is kept is still tracked");
	is(value(body, 2, 2), "(none)", "what is not, is not");
	dv_body_keep(body, 2, last + 1);
	is(single(body, 2), "{\"c\":null}", "and can be left out in turn");
	is(targets(body, (int[]){3, 2}, 2), "{\"Targets\":[{\"id\":\"3\"},{\"id\":\"2\",\"c\":null}]}",
	   "as targets");
	dv_body_free(body);
}

int
main(void)
{
	test_keep();
	test_rows();
	test_values();
	test_many();
	return done_testing();
}
