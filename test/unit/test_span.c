/*
 * test_span.c
 *	  Where spans are cut, their conditions, and the seconds of moments.
 */
#include "odata/span.h"

#include "tap.h"

static const DvSpan whole = {0};

static char *
condition(DvSpan span)
{
	DvFilter *filter = dv_span_condition(&span, "createdon", "createdon", DV_TYPE_DATETIME);
	StringInfoData out;

	if (filter == NULL)
		return "none";
	initStringInfo(&out);
	dv_filter_print(&out, filter);
	return out.data;
}

static void
test_conditions(void)
{
	is(condition(whole), "none", "the whole has no condition");
	is(condition((DvSpan){.nulls = true}), "createdon eq null", "rows without a date");
	is(condition((DvSpan){.has_from = true, .from = 86400}), "createdon ge 1970-01-02T00:00:00Z",
	   "no end");
	is(condition((DvSpan){.has_to = true, .to = -1}), "createdon lt 1969-12-31T23:59:59Z",
	   "no beginning, before 1970");
	is(condition((DvSpan){.has_from = true, .from = 0, .has_to = true, .to = 1}),
	   "createdon ge 1970-01-01T00:00:00Z and createdon lt 1970-01-01T00:00:01Z", "one second");
}

static char *
second(const char *text)
{
	int64 result;

	if (!dv_span_second(text, strlen(text), &result))
		return "no";
	return psprintf(INT64_FORMAT, result);
}

static void
test_seconds(void)
{
	is(second("1970-01-01T00:00:00Z"), "0", "the beginning");
	is(second("1969-12-31T23:59:59Z"), "-1", "a second earlier");
	is(second("2024-02-29T12:34:56Z"), "1709210096", "a leap day");
	is(second("2000-03-01T00:00:00Z"), "951868800",
	   "the day after one, in a year that 400 divides");
	is(second("1900-03-01T00:00:00Z"), "-2203891200", "no leap day in 1900");
	is(second("1753-01-01T00:00:00Z"), "-6847804800", "the service's first moment");
	is(second("9999-12-31T23:59:59Z"), "253402300799", "and its last");
	is(second("2024-02-29T12:34:56.999Z"), "1709210096", "a fraction is cut off");
	is(second("1969-12-31T23:59:59.5Z"), "-1", "also before 1970");
	is(second("2024-02-29T12:34:56"), "no", "no zone");
	is(second("2024-02-29T12:34:56+01:00"), "no", "another zone");
	is(second("2024-02-29T12:34:56Zx"), "no", "something after it");
	is(second("2024-02-29 12:34:56Z"), "no", "a blank");
	is(second("2024-02-29"), "no", "a day");
	is(second("2024-13-01T00:00:00Z"), "no", "a thirteenth month");
	is(second("2024-0x-01T00:00:00Z"), "no", "a letter");
	is(second(""), "no", "nothing");
}

static char *
cuts_of(const DvSpan *span, const int64 *sample, int n, int pieces, bool by_time)
{
	int64 sorted[16];
	int64 cuts[16];
	int ncuts;
	StringInfoData out;

	memcpy(sorted, sample, sizeof(int64) * n);
	ncuts = dv_span_cuts(span, sorted, n, pieces, by_time, cuts);
	initStringInfo(&out);
	for (int i = 0; i < ncuts; i++)
		appendStringInfo(&out, "%s" INT64_FORMAT, i > 0 ? " " : "", cuts[i]);
	return out.data;
}

static void
test_cuts(void)
{
	const int64 even[] = {70, 10, 30, 50, 20, 60, 40, 80};
	const int64 heap[] = {5, 5, 5, 5, 5, 5, 5, 9};
	DvSpan narrow = {.has_from = true, .from = 5, .has_to = true, .to = 6};
	DvSpan piece;
	int64 cuts[] = {10, 20};

	is(cuts_of(&whole, even, 8, 4, false), "30 50 70", "quantiles of an unsorted sample");
	is(cuts_of(&whole, even, 8, 2, true), "45", "half way in time");
	is(cuts_of(&whole, heap, 8, 4, false), "5", "cuts that fall together are one");
	is(cuts_of(&narrow, heap, 7, 4, false), "", "one second is not cut");
	piece = dv_span_piece(&whole, cuts, 2, 0);
	is(condition(piece), "createdon lt 1970-01-01T00:00:10Z", "the first piece has no beginning");
	piece = dv_span_piece(&whole, cuts, 2, 1);
	is(condition(piece), "createdon ge 1970-01-01T00:00:10Z and createdon lt 1970-01-01T00:00:20Z",
	   "the next one begins where it ends");
	piece = dv_span_piece(&whole, cuts, 2, 2);
	is(condition(piece), "createdon ge 1970-01-01T00:00:20Z", "and the last one has no end");
}

int
main(void)
{
	test_conditions();
	test_seconds();
	test_cuts();
	return done_testing();
}
