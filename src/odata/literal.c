/*
 * literal.c
 *	  One value as OData text, and text as URL text.
 *
 * Whether a value can be a literal is decided on its text, digit by digit: the
 * service reads decimals into .NET's 96-bit type and dates into its own range,
 * and a value outside is refused by it with an error that the user would not
 * understand.  The caller asks dv_literal_check first and keeps such a
 * condition at home.
 *
 * Nothing here rounds.  Bringing a bound to what a column can hold is the
 * filter's decision, since the direction depends on the operator.
 */
#include "odata/literal.h"

#include "compat.h"

#include <float.h>
#include <math.h>

#define MICROS_PER_SECOND INT64CONST(1000000)
#define SECONDS_PER_DAY INT64CONST(86400)

/* What the service stores (sheet 3.3): 1753-01-01 .. 9999-12-31T23:59:59Z. */
#define DAYS_MIN INT64CONST(-79257)
#define DAYS_MAX INT64CONST(2932896)
#define MICROS_MIN (DAYS_MIN * SECONDS_PER_DAY * MICROS_PER_SECOND)
#define MICROS_MAX (((DAYS_MAX + 1) * SECONDS_PER_DAY - 1) * MICROS_PER_SECOND)

/* .NET's decimal: a whole number of 96 bits, divided by a power of ten up to 28. */
#define DECIMAL_MAX "79228162514264337593543950335"
#define DECIMAL_MAX_DIGITS 29
#define DECIMAL_MAX_SCALE 28

static const char hex_digits[] = "0123456789ABCDEF";

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static size_t
count_digits(const char *text)
{
	size_t n = 0;

	while (is_digit(text[n]))
		n++;
	return n;
}

/*
 * Whole numbers: no sign but minus, no blanks, no needless zeros in front.
 */
static bool
parse_int64(const char *text, int64 *value)
{
	bool negative = text[0] == '-';
	const char *digits = text + (negative ? 1 : 0);
	size_t n = count_digits(digits);
	uint64 magnitude = 0;
	size_t i;

	if (n == 0 || n > 19 || digits[n] != '\0' || (digits[0] == '0' && n > 1))
		return false;
	for (i = 0; i < n; i++)
		magnitude = magnitude * 10 + (uint64) (digits[i] - '0');
	if (magnitude > (uint64) PG_INT64_MAX + (negative ? 1 : 0))
		return false;
	*value = negative ? (int64) (0 - magnitude) : (int64) magnitude;
	return true;
}

static bool
check_int32(const char *text)
{
	int64 value;

	return parse_int64(text, &value) && value >= PG_INT32_MIN && value <= PG_INT32_MAX;
}

static bool
check_int64(const char *text)
{
	int64 value;

	return parse_int64(text, &value);
}

/*
 * Decimals: digits, and after a point at least one more.  Zeros at the end of the
 * fraction do not count: 1.000 is as representable as 1.
 */
static bool
check_decimal(const char *text)
{
	const char *whole = text + (text[0] == '-' ? 1 : 0);
	size_t nwhole = count_digits(whole);
	const char *fraction = whole + nwhole;
	size_t nfraction = 0;
	char mantissa[DECIMAL_MAX_DIGITS + 1];
	size_t n = 0;
	size_t i;

	if (nwhole == 0)
		return false;
	if (*fraction == '.')
	{
		fraction++;
		nfraction = count_digits(fraction);
		if (nfraction == 0)
			return false;
	}
	if (fraction[nfraction] != '\0')
		return false;
	while (nfraction > 0 && fraction[nfraction - 1] == '0')
		nfraction--;
	if (nfraction > DECIMAL_MAX_SCALE)
		return false;

	for (i = 0; i < nwhole + nfraction; i++)
	{
		char c = i < nwhole ? whole[i] : fraction[i - nwhole];

		if (n == 0 && c == '0')
			continue;
		if (n == DECIMAL_MAX_DIGITS)
			return false;
		mantissa[n++] = c;
	}
	mantissa[n] = '\0';
	return n < DECIMAL_MAX_DIGITS || strcmp(mantissa, DECIMAL_MAX) <= 0;
}

/* Doubles: digits, fraction, exponent; finite. */
static bool
check_double(const char *text)
{
	const char *p = text + (text[0] == '-' ? 1 : 0);
	size_t n = count_digits(p);

	if (n == 0)
		return false;
	p += n;
	if (*p == '.')
	{
		n = count_digits(p + 1);
		if (n == 0)
			return false;
		p += n + 1;
	}
	if (*p == 'e' || *p == 'E')
	{
		p++;
		if (*p == '+' || *p == '-')
			p++;
		n = count_digits(p);
		if (n == 0)
			return false;
		p += n;
	}
	return *p == '\0' && isfinite(strtod(text, NULL));
}

static bool
check_boolean(const char *text)
{
	return strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
}

static bool
check_guid(const char *text)
{
	int i;

	for (i = 0; i < 36; i++)
	{
		char c = text[i];
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? c != '-' : !(is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
			return false;
	}
	return text[36] == '\0';
}

static bool
check_datetime(const char *text)
{
	int64 micros;

	return parse_int64(text, &micros) && micros >= MICROS_MIN && micros <= MICROS_MAX;
}

static bool
check_date(const char *text)
{
	int64 days;

	return parse_int64(text, &days) && days >= DAYS_MIN && days <= DAYS_MAX;
}

/* Whole numbers with single commas between them. */
static bool
check_choices(const char *text)
{
	const char *p = text;

	for (;;)
	{
		char one[sizeof("-2147483648")];
		size_t n = strcspn(p, ",");

		if (n >= sizeof(one))
			return false;
		memcpy(one, p, n);
		one[n] = '\0';
		if (!check_int32(one))
			return false;
		if (p[n] == '\0')
			return true;
		p += n + 1;
	}
}

/*
 * Printing.
 */

static void
append_plain(StringInfo out, const char *text)
{
	appendStringInfoString(out, text);
}

static void
append_string(StringInfo out, const char *text)
{
	const char *quote;

	appendStringInfoChar(out, '\'');
	while ((quote = strchr(text, '\'')) != NULL)
	{
		appendBinaryStringInfo(out, text, (int) (quote - text) + 1);
		appendStringInfoChar(out, '\'');
		text = quote + 1;
	}
	appendStringInfoString(out, text);
	appendStringInfoChar(out, '\'');
}

static void
append_datetime(StringInfo out, const char *text)
{
	int64 micros;

	if (parse_int64(text, &micros))
		dv_literal_append_datetime(out, micros);
}

static void
append_date(StringInfo out, const char *text)
{
	int64 days;

	if (parse_int64(text, &days))
		dv_literal_append_date(out, days);
}

static const struct
{
	bool (*check)(const char *text);
	void (*append)(StringInfo out, const char *text);
} edms[] = {
	[DV_EDM_NONE] = {NULL, append_plain},
	[DV_EDM_STRING] = {NULL, append_string},
	[DV_EDM_INT32] = {check_int32, append_plain},
	[DV_EDM_INT64] = {check_int64, append_plain},
	[DV_EDM_DECIMAL] = {check_decimal, append_plain},
	[DV_EDM_DOUBLE] = {check_double, append_plain},
	[DV_EDM_BOOLEAN] = {check_boolean, append_plain},
	[DV_EDM_GUID] = {check_guid, append_plain},
	[DV_EDM_DATETIME] = {check_datetime, append_datetime},
	[DV_EDM_DATE] = {check_date, append_date},
	[DV_EDM_CHOICES] = {check_choices, append_string},
};

bool
dv_literal_check(DvEdm edm, const char *text)
{
	if (edm == DV_EDM_STRING)
		return true;
	return edms[edm].check != NULL && edms[edm].check(text);
}

void
dv_literal_append(StringInfo out, DvEdm edm, const char *text)
{
	Assert(dv_literal_check(edm, text));
	edms[edm].append(out, text);
}

void
dv_literal_append_quoted(StringInfo out, DvEdm edm, const char *text)
{
	Assert(dv_literal_check(edm, text));
	appendStringInfoChar(out, '"');
	if (edm == DV_EDM_STRING || edm == DV_EDM_CHOICES)
		dv_json_escape(out, text, strlen(text));
	else
		edms[edm].append(out, text);
	appendStringInfoChar(out, '"');
}

/* Quotient towards minus infinity, remainder never negative. */
static int64
floor_div(int64 value, int64 divisor, int64 *remainder)
{
	int64 quotient = value / divisor;

	*remainder = value % divisor;
	if (*remainder < 0)
	{
		*remainder += divisor;
		quotient--;
	}
	return quotient;
}

/*
 * Gregorian calendar backwards and forwards without end.  Counted from
 * 0000-03-01, so that the leap day is the last of its year; 400 years are
 * 146,097 days.
 */
void
dv_literal_append_date(StringInfo out, int64 days)
{
	int64 day_of_era;
	int64 era = floor_div(days + 719468, 146097, &day_of_era);
	int64 year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64 day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int month_from_march = (int) ((5 * day_of_year + 2) / 153);
	int day = (int) (day_of_year - (153 * month_from_march + 2) / 5 + 1);
	int month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
	int64 year = era * 400 + year_of_era + (month <= 2 ? 1 : 0);

	appendStringInfo(out, "%04lld-%02d-%02d", (long long) year, month, day);
}

void
dv_literal_append_datetime(StringInfo out, int64 micros)
{
	int64 fraction;
	int64 second;
	int64 days;

	days = floor_div(floor_div(micros, MICROS_PER_SECOND, &fraction), SECONDS_PER_DAY, &second);
	dv_literal_append_date(out, days);
	appendStringInfo(out, "T%02d:%02d:%02d", (int) (second / 3600), (int) (second / 60 % 60),
					 (int) (second % 60));
	if (fraction != 0)
	{
		int width = 6;

		while (fraction % 10 == 0)
		{
			fraction /= 10;
			width--;
		}
		appendStringInfo(out, ".%0*d", width, (int) fraction);
	}
	appendStringInfoChar(out, 'Z');
}

/* The letter after the backslash for characters that have a short escape; 0 for the others. */
static char
short_escape(char c)
{
	switch (c)
	{
		case '"':
		case '\\':
			return c;
		case '\b':
			return 'b';
		case '\f':
			return 'f';
		case '\n':
			return 'n';
		case '\r':
			return 'r';
		case '\t':
			return 't';
		default:
			return 0;
	}
}

/* Bytes that do not stand for themselves in a JSON string: controls, quote, backslash. */
static const bool escaped[256] = {
	true, true, true, true, true, true, true, true, true,         true,          true, true,
	true, true, true, true, true, true, true, true, true,         true,          true, true,
	true, true, true, true, true, true, true, true, ['"'] = true, ['\\'] = true,
};

void
dv_json_escape(StringInfo out, const char *text, size_t len)
{
	const char *end = text + len;
	const char *run = text;

	for (; text < end; text++)
	{
		unsigned char c = (unsigned char) *text;

		if (!escaped[c])
			continue;
		appendBinaryStringInfo(out, run, (int) (text - run));
		run = text + 1;
		appendStringInfoChar(out, '\\');
		if (short_escape(*text) != 0)
			appendStringInfoChar(out, short_escape(*text));
		else
			appendStringInfo(out, "u%04x", c);
	}
	appendBinaryStringInfo(out, run, (int) (text - run));
}

static bool
is_unreserved(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
		   c == '.' || c == '_' || c == '~';
}

void
dv_url_escape(StringInfo out, const char *text, size_t len, const char *keep)
{
	const char *end = text + len;

	for (; text < end; text++)
	{
		unsigned char c = (unsigned char) *text;

		if (is_unreserved(*text) || (keep != NULL && c != '\0' && strchr(keep, *text) != NULL))
		{
			appendStringInfoChar(out, *text);
			continue;
		}
		appendStringInfoChar(out, '%');
		appendStringInfoChar(out, hex_digits[c >> 4]);
		appendStringInfoChar(out, hex_digits[c & 0x0f]);
	}
}
