/*
 * test_same.c
 *	  What would be stored as it is, and what only looks like it.
 */
#include "odata/same.h"

#include "tap.h"

static DvField
stored(const char *json)
{
	DvField field = {DV_FIELD_NUMBER, json, (int) strlen(json)};

	if (json[0] == '"')
	{
		field.kind = DV_FIELD_STRING;
		field.text++;
		field.len -= 2;
	}
	else if (strcmp(json, "null") == 0)
		field.kind = DV_FIELD_ABSENT;
	else if (strcmp(json, "true") == 0)
		field.kind = DV_FIELD_TRUE;
	else if (strcmp(json, "false") == 0)
		field.kind = DV_FIELD_FALSE;
	else if (json[0] == '{')
		field.kind = DV_FIELD_NESTED;
	return field;
}

static void
check(bool expected, DvType type, int precision, const char *sent, const char *there)
{
	DvField field = stored(there);

	ok(dv_same_value(type, precision, sent, strlen(sent), &field) == expected,
	   "%s %d: %s is %sstored as %s", dv_type_name(type), precision, sent, expected ? "" : "not ",
	   there);
}

int
main(void)
{
	/* text */
	check(true, DV_TYPE_STRING, -1, "\"a\"", "\"a\"");
	check(false, DV_TYPE_STRING, -1, "\"a\"", "\"A\"");
	check(false, DV_TYPE_STRING, -1, "\"a \"", "\"a\"");
	check(true, DV_TYPE_STRING, -1, "\"\"", "null");
	check(true, DV_TYPE_STRING, -1, "null", "\"\"");
	check(true, DV_TYPE_STRING, -1, "null", "null");
	check(false, DV_TYPE_STRING, -1, "null", "\"a\"");
	check(false, DV_TYPE_STRING, -1, "\"a\"", "null");
	check(false, DV_TYPE_STRING, -1, "\"null\"", "null");
	check(true, DV_TYPE_MEMO, -1, "\"a\\\"b\\\\\\n\"", "\"a\"b\\\n\"");
	check(false, DV_TYPE_MEMO, -1, "\"a\\\\n\"", "\"a\n\"");

	/* whole numbers and choices */
	check(true, DV_TYPE_INTEGER, -1, "42", "42");
	check(true, DV_TYPE_INTEGER, -1, "-0", "0");
	check(false, DV_TYPE_INTEGER, -1, "42", "-42");
	check(false, DV_TYPE_INTEGER, -1, "0", "null");
	check(true, DV_TYPE_PICKLIST, -1, "100000000", "100000000");
	check(false, DV_TYPE_BIGINT, -1, "9223372036854775807", "9223372036854775806");
	check(false, DV_TYPE_UNKNOWN, -1, "1", "\"1\"");
	check(true, DV_TYPE_UNKNOWN, -1, "1.50", "1.5");

	/* decimals */
	check(true, DV_TYPE_MONEY, 4, "12.5", "12.5000");
	check(true, DV_TYPE_MONEY, -1, "12.50", "12.5000");
	check(false, DV_TYPE_MONEY, -1, "12.50001", "12.5000");
	check(true, DV_TYPE_MONEY, 4, "12.50001", "12.5000");
	check(true, DV_TYPE_MONEY, 4, "-12.49999", "-12.5000");
	check(false, DV_TYPE_MONEY, 4, "12.50005", "12.5000");
	check(false, DV_TYPE_MONEY, 4, "12.50005", "12.5001");
	check(true, DV_TYPE_MONEY, 2, "99.999", "100.0000");
	check(false, DV_TYPE_MONEY, 2, "99.99", "100.0000");
	check(true, DV_TYPE_DECIMAL, 2, "0.004", "0.0000000000");
	check(true, DV_TYPE_DECIMAL, 2, "-0.004", "0");
	check(true, DV_TYPE_DECIMAL, 2, "0.0004", "0");
	check(false, DV_TYPE_DECIMAL, 2, "0.006", "0");
	check(true, DV_TYPE_DECIMAL, 0, "9.6", "10");
	check(false, DV_TYPE_DECIMAL, 0, "0.5", "0");
	check(false, DV_TYPE_DECIMAL, 10, "99999999999.9999999999", "99999999999.9999999998");
	check(true, DV_TYPE_DECIMAL, 10, "99999999999.9999999999", "99999999999.9999999999");
	check(false, DV_TYPE_DECIMAL, 2, "1e2", "100");
	check(false, DV_TYPE_DECIMAL, -1, "1", "null");

	/* doubles */
	check(true, DV_TYPE_DOUBLE, 5, "47.639583", "47.63958");
	check(false, DV_TYPE_DOUBLE, -1, "47.639583", "47.63958");
	check(false, DV_TYPE_DOUBLE, 5, "47.63959", "47.63958");
	check(false, DV_TYPE_DOUBLE, 5, "47.639585", "47.63958");
	check(true, DV_TYPE_DOUBLE, 5, "1e2", "100.0");
	check(false, DV_TYPE_DOUBLE, 2, "1.234", "1.2341");
	check(true, DV_TYPE_DOUBLE, 0, "99999999999", "99999999999.0");
	check(false, DV_TYPE_DOUBLE, 5, "99999999999.4", "99999999999");

	/* others */
	check(true, DV_TYPE_BOOLEAN, -1, "true", "true");
	check(false, DV_TYPE_BOOLEAN, -1, "false", "true");
	check(false, DV_TYPE_BOOLEAN, -1, "false", "null");
	check(true, DV_TYPE_DATETIME, -1, "\"2024-05-01T12:00:00Z\"", "\"2024-05-01T12:00:00Z\"");
	check(true, DV_TYPE_DATETIME, -1, "\"2024-05-01T12:00:00.999Z\"", "\"2024-05-01T12:00:00Z\"");
	check(false, DV_TYPE_DATETIME, -1, "\"2024-05-01T12:00:01Z\"", "\"2024-05-01T12:00:00Z\"");
	check(false, DV_TYPE_DATETIME, -1, "\"2024-05-01T12:00:00.9+01:00\"",
		  "\"2024-05-01T12:00:00Z\"");
	check(false, DV_TYPE_STRING, -1, "\"2024-05-01T12:00:00.9Z\"", "\"2024-05-01T12:00:00Z\"");
	check(true, DV_TYPE_DATE, -1, "\"2024-05-01\"", "\"2024-05-01\"");
	check(false, DV_TYPE_DATE, -1, "\"2024-05-01\"", "\"2024-05-02\"");
	check(true, DV_TYPE_MULTISELECT, -1, "\"9, 1\"", "\"1,9\"");
	check(true, DV_TYPE_MULTISELECT, -1, "\"1,1,9\"", "\"1,9\"");
	check(false, DV_TYPE_MULTISELECT, -1, "\"1\"", "\"1,9\"");
	check(false, DV_TYPE_MULTISELECT, -1, "\"1,9\"", "\"1\"");
	check(false, DV_TYPE_MULTISELECT, -1, "\"1;9\"", "\"1,9\"");
	check(true, DV_TYPE_MULTISELECT, -1, "null", "null");
	check(true, DV_TYPE_GUID, -1, "\"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11\"",
		  "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"");
	check(false, DV_TYPE_STRING, -1, "\"A0\"", "\"a0\"");
	check(false, DV_TYPE_IMAGE, -1, "\"R0lGODlhAQABAAAAACw=\"", "\"R0lGODlhAQABAAAAACw=\"");
	check(false, DV_TYPE_IMAGE, -1, "null", "null");
	check(false, DV_TYPE_UNKNOWN, -1, "{\"a\":1}", "{\"a\":1}");
	check(false, DV_TYPE_STRING, -1, "", "null");
	return done_testing();
}
