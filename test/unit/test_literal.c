/*
 * test_literal.c
 *	  Values as OData text and as URL text; type names; bounded buffers.
 */
#include "odata/literal.h"

#include "odata/buf.h"

#include "tap.h"

static char *
literal(DvEdm edm, const char *text, bool quoted)
{
	StringInfoData out;

	initStringInfo(&out);
	if (!dv_literal_check(edm, text))
		return "refused";
	if (quoted)
		dv_literal_append_quoted(&out, edm, text);
	else
		dv_literal_append(&out, edm, text);
	return out.data;
}

#define LITERAL(edm, text, expected) is(literal(edm, text, false), expected, #edm " %s", text)
#define QUOTED(edm, text, expected) is(literal(edm, text, true), expected, #edm " quoted %s", text)

/* Those that stand for themselves, and those that cannot be sent. */
static void
same(DvEdm edm, const char *const *texts)
{
	for (; *texts != NULL; texts++)
		is(literal(edm, *texts, false), *texts, "type %d takes %s", edm, *texts);
}

static void
refused(DvEdm edm, const char *const *texts)
{
	for (; *texts != NULL; texts++)
		ok(!dv_literal_check(edm, *texts), "type %d refuses \"%s\"", edm, *texts);
}

#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void
test_numbers(void)
{
	same(DV_EDM_INT32, TEXTS("0", "7", "-1", "2147483647", "-2147483648"));
	refused(DV_EDM_INT32, TEXTS("2147483648", "-2147483649", "", "-", "+1", "01", "1.0", "1e2",
								" 1", "1 ", "99999999999999999999", "NaN", "infinity"));
	same(DV_EDM_INT64, TEXTS("9223372036854775807", "-9223372036854775808", "2147483648"));
	refused(DV_EDM_INT64,
			TEXTS("9223372036854775808", "-9223372036854775809", "18446744073709551616", "1.5"));
	same(DV_EDM_DECIMAL,
		 TEXTS("0", "12.50", "-0.0000000001", "99999999999.1234567891", "922337203685477.5807",
			   "79228162514264337593543950335", "-79228162514264337593543950335",
			   "7.9228162514264337593543950335", "0.0000000000000000000000000001",
			   "1.00000000000000000000000000000000000000", "00012"));
	refused(DV_EDM_DECIMAL,
			TEXTS("79228162514264337593543950336", "7.9228162514264337593543950336",
				  "100000000000000000000000000000", "0.00000000000000000000000000001", "NaN",
				  "Infinity", "-Infinity", "", "-", ".5", "5.", "1e5", "+1", "1,5", "1.2.3", " 1"));
	same(DV_EDM_DOUBLE, TEXTS("0", "-0", "47.63958", "1e+21", "1e-07", "-1.5e+300", "1E5"));
	refused(DV_EDM_DOUBLE, TEXTS("NaN", "Infinity", "-Infinity", "1e400", "", "1e", "1e+", ".5",
								 "5.", "0x10", "1f"));
	same(DV_EDM_BOOLEAN, TEXTS("true", "false"));
	refused(DV_EDM_BOOLEAN, TEXTS("t", "TRUE", "1", ""));
	QUOTED(DV_EDM_INT32, "5", "\"5\"");
	QUOTED(DV_EDM_DECIMAL, "1.50", "\"1.50\"");
}

static void
test_texts(void)
{
	LITERAL(DV_EDM_STRING, "", "''");
	LITERAL(DV_EDM_STRING, "O'Brien''s", "'O''Brien''''s'");
	LITERAL(DV_EDM_STRING, "'", "''''");
	LITERAL(DV_EDM_STRING, "a\"b\\c%d", "'a\"b\\c%d'");
	QUOTED(DV_EDM_STRING, "O'Brien", "\"O'Brien\"");
	QUOTED(DV_EDM_STRING, "a\"b\\c\x01/", "\"a\\\"b\\\\c\\u0001/\"");
	LITERAL(DV_EDM_CHOICES, "1,9", "'1,9'");
	LITERAL(DV_EDM_CHOICES, "-5", "'-5'");
	QUOTED(DV_EDM_CHOICES, "100000000", "\"100000000\"");
	refused(DV_EDM_CHOICES, TEXTS("", ",", "1,", ",1", "1,,2", "1, 2", "a", "1;2", "2147483648"));
	LITERAL(DV_EDM_GUID, "3F2504E0-4f89-11d3-9a0c-0305e82c3301",
			"3F2504E0-4f89-11d3-9a0c-0305e82c3301");
	QUOTED(DV_EDM_GUID, "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
		   "\"3f2504e0-4f89-11d3-9a0c-0305e82c3301\"");
	refused(DV_EDM_GUID,
			TEXTS("", "3f2504e0-4f89-11d3-9a0c-0305e82c330",
				  "3f2504e0-4f89-11d3-9a0c-0305e82c33011", "{3f2504e0-4f89-11d3-9a0c-0305e82c3301}",
				  "3f2504e04f8911d39a0c0305e82c3301", "3f2504e0-4f89-11d3-9a0c-0305e82c330g",
				  "3f2504e0-4f89-11d3-9a0c0-305e82c3301"));
	refused(DV_EDM_NONE, TEXTS("", "1", "x"));
}

static char *
datetime(int64 micros)
{
	StringInfoData out;

	initStringInfo(&out);
	dv_literal_append_datetime(&out, micros);
	return out.data;
}

static char *
date(int64 days)
{
	StringInfoData out;

	initStringInfo(&out);
	dv_literal_append_date(&out, days);
	return out.data;
}

/* A calendar by counting: every day of the years 1 to 9999. */
static void
test_calendar(void)
{
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64 day = -719162; /* 0001-01-01 */
	int wrong = 0;
	int year;

	for (year = 1; year <= 9999; year++)
	{
		bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
		int month;

		for (month = 1; month <= 12; month++)
		{
			int last = lengths[month - 1] + (leap && month == 2 ? 1 : 0);
			char expected[32];

			snprintf(expected, sizeof(expected), "%04d-%02d-01", year, month);
			wrong += strcmp(date(day), expected) != 0;
			snprintf(expected, sizeof(expected), "%04d-%02d-%02d", year, month, last);
			wrong += strcmp(date(day + last - 1), expected) != 0;
			day += last;
		}
	}
	ok(wrong == 0, "first and last day of every month of 9,999 years (%d wrong)", wrong);
}

static void
test_dates(void)
{
	is(datetime(0), "1970-01-01T00:00:00Z", "the epoch");
	is(datetime(-1), "1969-12-31T23:59:59.999999Z", "a microsecond before it");
	is(datetime(INT64CONST(1706688000000000) + 500000), "2024-01-31T08:00:00.5Z", "half a second");
	is(datetime(1), "1970-01-01T00:00:00.000001Z", "a microsecond");
	is(datetime(INT64CONST(-62135596800000000)), "0001-01-01T00:00:00Z", "the year one");
	is(date(0), "1970-01-01", "day 0");
	is(date(19782), "2024-02-29", "a leap day");
	is(date(-25509), "1900-02-28", "1900 has none");
	is(date(-25508), "1900-03-01", "the day after");

	LITERAL(DV_EDM_DATETIME, "1706688000000000", "2024-01-31T08:00:00Z");
	LITERAL(DV_EDM_DATETIME, "-6847804800000000", "1753-01-01T00:00:00Z");
	LITERAL(DV_EDM_DATETIME, "253402300799000000", "9999-12-31T23:59:59Z");
	refused(DV_EDM_DATETIME, TEXTS("-6847804800000001", "253402300799000001", "infinity",
								   "-infinity", "", "2024-01-31", "1.5"));
	LITERAL(DV_EDM_DATE, "-79257", "1753-01-01");
	LITERAL(DV_EDM_DATE, "2932896", "9999-12-31");
	refused(DV_EDM_DATE, TEXTS("-79258", "2932897", "infinity", "-infinity"));
	QUOTED(DV_EDM_DATETIME, "0", "\"1970-01-01T00:00:00Z\"");
	QUOTED(DV_EDM_DATE, "0", "\"1970-01-01\"");
}

static char *
url(const char *text, const char *keep)
{
	StringInfoData out;

	initStringInfo(&out);
	dv_url_escape(&out, text, strlen(text), keep);
	return out.data;
}

static void
test_escapes(void)
{
	StringInfoData out;

	is(url("AZaz09-._~", NULL), "AZaz09-._~", "unreserved characters");
	is(url(" $&+,/:;=?@#%\"'()<>\\", NULL),
	   "%20%24%26%2B%2C%2F%3A%3B%3D%3F%40%23%25%22%27%28%29%3C%3E%5C", "reserved ones");
	is(url("caf\xC3\xA9\x7F\x01", NULL), "caf%C3%A9%7F%01",
	   "bytes beyond ASCII, and control bytes");
	is(url("a,b'c", "',"), "a,b'c", "kept ones");
	initStringInfo(&out);
	dv_url_escape(&out, "a\0b", 3, ",");
	is(out.data, "a%00b", "NUL is never kept");

	resetStringInfo(&out);
	dv_json_escape(&out, "a\"b\\c/\b\f\n\r\t\x1f\x7f\xC3\xA9", 15);
	is(out.data, "a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u001f\x7f\xC3\xA9", "JSON escapes");
	resetStringInfo(&out);
	dv_json_escape(&out, "x\0y", 3);
	is(out.data, "x\\u0000y", "JSON escape of NUL");
}

static void
test_types(void)
{
	int type;
	int wrong = 0;

	for (type = 0; type < DV_TYPE_COUNT; type++)
		wrong += dv_type_from_name(dv_type_name((DvType) type)) != (DvType) type;
	ok(wrong == 0, "every type's name leads back to it");
	ok(dv_type_from_name("mONEY") == DV_TYPE_MONEY, "names without case");
	ok(dv_type_from_name("moneys") == DV_TYPE_UNKNOWN && dv_type_from_name("") == DV_TYPE_UNKNOWN,
	   "no other names");
	ok(dv_type_edm(DV_TYPE_IMAGE) == DV_EDM_NONE && dv_type_edm(DV_TYPE_UNKNOWN) == DV_EDM_NONE,
	   "images and unknown types have no literals");
	ok(dv_type_edm(DV_TYPE_MONEY) == DV_EDM_DECIMAL &&
		   dv_type_edm(DV_TYPE_STATUS) == DV_EDM_INT32 &&
		   dv_type_edm(DV_TYPE_OWNER) == DV_EDM_GUID && dv_type_edm(DV_TYPE_DATE) == DV_EDM_DATE,
	   "literals of some types");
	ok(dv_type_is_text(DV_TYPE_MEMO) && !dv_type_is_text(DV_TYPE_MULTISELECT), "text types");
	ok(dv_type_is_lookup(DV_TYPE_OWNER) && !dv_type_is_lookup(DV_TYPE_GUID), "lookups");
	ok(dv_type_is_choice(DV_TYPE_STATE) && !dv_type_is_choice(DV_TYPE_BOOLEAN), "choices");
}

static void
test_buf(void)
{
	DvBuf buf;
	int i;
	bool good = true;

	dv_buf_init(&buf, 5000);
	ok(buf.data == NULL && dv_buf_append(&buf, "", 0) && buf.len == 0, "an empty buffer");
	for (i = 0; i < 1000; i++)
		good = good && dv_buf_append(&buf, "abcde", 5);
	ok(good && buf.len == 5000 && strlen(buf.data) == 5000 && !buf.overflow, "up to the bound");
	ok(!dv_buf_append(&buf, "x", 1) && buf.overflow && buf.len == 5000 && buf.data[4999] == 'e',
	   "not beyond it");
	ok(buf.cap <= 5001, "no more memory than the bound");
	dv_buf_reset(&buf);
	ok(buf.len == 0 && !buf.overflow && buf.data[0] == '\0' && dv_buf_append(&buf, "a\0b", 3) &&
		   buf.len == 3 && memcmp(buf.data, "a\0b", 4) == 0,
	   "reset, and bytes of any value");
	ok(!dv_buf_append(&buf, "x", SIZE_MAX) && buf.len == 3, "a length that would wrap around");
	dv_buf_free(&buf);
	dv_buf_free(&buf);
	ok(buf.data == NULL && buf.max == 5000 && dv_buf_append(&buf, "y", 1), "used again after free");
	dv_buf_free(&buf);
}

int
main(void)
{
	test_numbers();
	test_texts();
	test_calendar();
	test_dates();
	test_escapes();
	test_types();
	test_buf();
	return done_testing();
}
