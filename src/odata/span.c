/*
 * span.c
 *	  A part of a table: the rows whose date lies between two whole seconds.
 *
 * Creation dates are anything but evenly spread: an import of an afternoon may
 * hold more rows than the year around it.  So spans are cut where a sample of
 * their rows says that they halve, and not where the calendar does.  A sample
 * may mislead (the service gives what its index gives first), hence the cut by
 * time for pieces that turn out too large after all.
 */
#include "odata/span.h"

#include "compat.h"

#include <stdlib.h>

bool
dv_span_is_whole(const DvSpan *span)
{
	return !span->nulls && !span->has_from && !span->has_to;
}

static int
compare_seconds(const void *a, const void *b)
{
	int64 x = *(const int64 *) a;
	int64 y = *(const int64 *) b;

	return (x > y) - (x < y);
}

/* Adds a cut unless it leaves one side empty or does not advance. */
static int
add_cut(const DvSpan *span, int64 cut, int64 *cuts, int n)
{
	if ((span->has_from && cut <= span->from) || (span->has_to && cut >= span->to) ||
		(n > 0 && cut <= cuts[n - 1]))
		return n;
	cuts[n] = cut;
	return n + 1;
}

int
dv_span_cuts(const DvSpan *span, int64 *sample, int n, int pieces, bool by_time, int64 *cuts)
{
	int64 first;
	int64 end;
	int ncuts = 0;

	qsort(sample, n, sizeof(int64), compare_seconds);
	first = span->has_from ? span->from : sample[0];
	end = span->has_to ? span->to : sample[n - 1] + 1;
	if (by_time)
		ncuts = add_cut(span, first + (end - first) / 2, cuts, 0);
	for (int i = 1; i < pieces && !by_time; i++)
		ncuts = add_cut(span, sample[(int64) n * i / pieces], cuts, ncuts);
	if (ncuts > 0)
		return ncuts;

	/* One second holds it all, or nearly: the second apart from what is around it. */
	ncuts = add_cut(span, sample[n / 2], cuts, 0);
	return add_cut(span, sample[n / 2] + 1, cuts, ncuts);
}

DvSpan
dv_span_piece(const DvSpan *span, const int64 *cuts, int n, int i)
{
	DvSpan piece = *span;

	if (i > 0)
	{
		piece.has_from = true;
		piece.from = cuts[i - 1];
	}
	if (i < n)
	{
		piece.has_to = true;
		piece.to = cuts[i];
	}
	return piece;
}

static DvFilter *
bound(DvFilter *filter, DvFilter *leaf, int64 second)
{
	DvValue value = {.text = psprintf(INT64_FORMAT, second * INT64CONST(1000000))};
	const DvValue *values[] = {&value};

	leaf = dv_filter_bind(leaf, values, 1);
	return filter == NULL ? leaf : dv_filter_and(filter, leaf);
}

DvFilter *
dv_span_condition(const DvSpan *span, const char *property, const char *logical, DvType type)
{
	DvFilter *filter = NULL;

	if (span->nulls)
		return dv_filter_bind(dv_filter_leaf(DV_OP_IS_NULL, property, logical, type, -1), NULL, 0);
	if (span->has_from)
		filter = bound(filter, dv_filter_leaf(DV_OP_GE, property, logical, type, 0), span->from);
	if (span->has_to)
		filter = bound(filter, dv_filter_leaf(DV_OP_LT, property, logical, type, 0), span->to);
	return filter;
}

/* So many digits as a number; -1 when one is none. */
static int
read_digits(const char *text, int n)
{
	int number = 0;

	for (int i = 0; i < n; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return -1;
		number = number * 10 + (text[i] - '0');
	}
	return number;
}

/* Days from 1970-01-01, in eras of 400 years that begin in March. */
static int64
days_from_date(int year, int month, int day)
{
	int64 y = month <= 2 ? year - 1 : year;
	int64 era = (y >= 0 ? y : y - 399) / 400;
	int64 year_of_era = y - era * 400;
	int64 day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64 day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return era * 146097 + day_of_era - 719468;
}

bool
dv_span_second(const char *text, int len, int64 *second)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd";
	const int seconds_end = sizeof(form) - 1;
	int year, month, day, hour, minute, sec;
	int end = seconds_end;

	if (len <= seconds_end)
		return false;
	for (int i = 0; i < seconds_end; i++)
	{
		if (form[i] != 'd' && text[i] != form[i])
			return false;
	}
	if (text[end] == '.')
	{
		for (end++; end < len && text[end] >= '0' && text[end] <= '9';)
			end++;
	}
	if (end != len - 1 || text[end] != 'Z')
		return false;
	year = read_digits(text, 4);
	month = read_digits(text + 5, 2);
	day = read_digits(text + 8, 2);
	hour = read_digits(text + 11, 2);
	minute = read_digits(text + 14, 2);
	sec = read_digits(text + 17, 2);
	if (year < 1 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
		minute < 0 || minute > 59 || sec < 0 || sec > 59)
		return false;
	*second = ((days_from_date(year, month, day) * 24 + hour) * 60 + minute) * 60 + sec;
	return true;
}
