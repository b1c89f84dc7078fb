/*
 * grid.c
 *	  Where a value stands among those that a column can hold.
 *
 * A column holds whole numbers, numbers of so many places, days or seconds,
 * each within the service's range (sheet 3.1, 3.3, 3.4).  A number is kept as sign
 * and digits; its grid has "scale" places after the point.  Nothing is ever
 * converted to a C number.
 */
#include "odata/grid.h"

#define SECONDS_MIN INT64CONST(-6847804800)  /* 1753-01-01T00:00:00Z */
#define SECONDS_MAX INT64CONST(253402300799) /* 9999-12-31T23:59:59Z */

/* Digits before and after the point that no stored decimal or money passes (sheet 3.1, 3.4). */
#define DECIMAL_WHOLE_DIGITS 18
#define DECIMAL_SCALE 10

/* Adds one to a string of decimal digits; returns a new string, maybe one digit longer. */
static char *
add_one(const char *digits)
{
	int len = strlen(digits);
	char *sum = palloc(len + 2);
	int i = len;

	memcpy(sum + 1, digits, len + 1);
	sum[0] = '0';
	while (i >= 0 && sum[i] == '9')
		sum[i--] = '0';
	sum[i]++;
	return sum[0] == '0' ? sum + 1 : sum;
}

/* Whole digits and "scale" fraction digits as one canonical number. */
static char *
number_text(bool negative, const char *digits, int scale)
{
	StringInfoData out;
	int len = strlen(digits);
	int whole = len - scale;

	initStringInfo(&out);
	appendBinaryStringInfo(&out, digits, whole);
	if (scale > 0)
		appendStringInfo(&out, ".%s", digits + whole);
	if (scale > 0)
	{
		while (out.data[out.len - 1] == '0')
			out.data[--out.len] = '\0';
		if (out.data[out.len - 1] == '.')
			out.data[--out.len] = '\0';
	}

	/* leading zeros, but one before the point stays */
	{
		int zeros = 0;

		while (out.data[zeros] == '0' && out.data[zeros + 1] >= '0' && out.data[zeros + 1] <= '9')
			zeros++;
		if (strcmp(out.data + zeros, "0") == 0)
			negative = false;
		return psprintf("%s%s", negative ? "-" : "", out.data + zeros);
	}
}

/* Whole part within the column's range? Digits without leading zeros. */
static bool
whole_in_range(DvEdm edm, const char *whole, bool negative)
{
	const char *limit;
	int len = strlen(whole);

	switch (edm)
	{
		case DV_EDM_INT32:
			limit = negative ? "2147483648" : "2147483647";
			break;
		case DV_EDM_INT64:
			limit = negative ? "9223372036854775808" : "9223372036854775807";
			break;
		default:
			return len <= DECIMAL_WHOLE_DIGITS;
	}
	if (len != (int) strlen(limit))
		return len < (int) strlen(limit);
	return strcmp(whole, limit) <= 0;
}

/*
 * Where a number stands on the column's grid; *grid is its canonical text, or
 * the next grid value below.  numeric's own words sort as PostgreSQL sorts
 * them: NaN above everything.
 */
static DvPlace
place_number(DvEdm edm, const char *text, char **grid)
{
	int scale = edm == DV_EDM_DECIMAL ? DECIMAL_SCALE : 0;
	bool negative = *text == '-';
	const char *p = text + (*text == '-' || *text == '+');
	const char *whole_start;
	StringInfoData digits;
	char *whole;
	int places = 0;
	bool rest = false;

	if (*p < '0' || *p > '9')
		return pg_strcasecmp(text, "-Infinity") == 0 ? DV_PLACE_BELOW : DV_PLACE_ABOVE;

	while (*p == '0' && p[1] >= '0' && p[1] <= '9')
		p++;
	whole_start = p;
	while (*p >= '0' && *p <= '9')
		p++;
	whole = pnstrdup(whole_start, p - whole_start);
	initStringInfo(&digits);
	appendStringInfoString(&digits, whole);
	if (*p == '.')
		p++;
	for (; *p >= '0' && *p <= '9'; p++)
	{
		if (places < scale)
		{
			appendStringInfoChar(&digits, *p);
			places++;
		}
		else if (*p != '0')
			rest = true;
	}
	for (; places < scale; places++)
		appendStringInfoChar(&digits, '0');

	if (!whole_in_range(edm, whole, negative))
		return negative ? DV_PLACE_BELOW : DV_PLACE_ABOVE;

	/* Cutting goes toward zero; below zero the floor is one step further. */
	if (rest && negative)
	{
		*grid = number_text(negative, add_one(digits.data), scale);
		if (edm != DV_EDM_DECIMAL && !whole_in_range(edm, *grid + 1, true))
			return DV_PLACE_BELOW;
	}
	else
		*grid = number_text(negative, digits.data, scale);
	return rest ? DV_PLACE_BETWEEN : DV_PLACE_ON_GRID;
}

/*
 * Days within the service's calendar, 1753-01-01 to 9999-12-31 (sheet 3.3).
 * "19753.5" lies between that day and the next: text is the floor, also below
 * zero.
 */
static DvPlace
place_date(const char *text, char **grid)
{
	int64 days;

	if (strcmp(text, "infinity") == 0)
		return DV_PLACE_ABOVE;
	if (strcmp(text, "-infinity") == 0)
		return DV_PLACE_BELOW;
	days = strtoll(text, NULL, 10);
	if (days * 86400 > SECONDS_MAX)
		return DV_PLACE_ABOVE;
	if (days * 86400 < SECONDS_MIN)
		return DV_PLACE_BELOW;
	*grid = psprintf(INT64_FORMAT, days);
	return strchr(text, '.') == NULL ? DV_PLACE_ON_GRID : DV_PLACE_BETWEEN;
}

/* Whole seconds; *grid in microseconds, as literals want them. */
static DvPlace
place_datetime(const char *text, char **grid)
{
	int64 micros;
	int64 seconds;

	if (strcmp(text, "infinity") == 0)
		return DV_PLACE_ABOVE;
	if (strcmp(text, "-infinity") == 0)
		return DV_PLACE_BELOW;
	micros = strtoll(text, NULL, 10);
	seconds = micros / DV_MICROS_PER_SECOND;
	if (micros % DV_MICROS_PER_SECOND < 0)
		seconds--;
	if (seconds > SECONDS_MAX)
		return DV_PLACE_ABOVE;
	if (seconds < SECONDS_MIN)
		return DV_PLACE_BELOW;
	*grid = psprintf(INT64_FORMAT, seconds * DV_MICROS_PER_SECOND);
	return seconds * DV_MICROS_PER_SECOND == micros ? DV_PLACE_ON_GRID : DV_PLACE_BETWEEN;
}

DvPlace
dv_grid_place(DvType type, const char *text, char **grid)
{
	switch (dv_type_edm(type))
	{
		case DV_EDM_DATE:
			return place_date(text, grid);
		case DV_EDM_DATETIME:
			return place_datetime(text, grid);
		default:
			return place_number(dv_type_edm(type), text, grid);
	}
}
