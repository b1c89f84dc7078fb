/*
 * test_apply.c
 *	  $apply as it is written, and where a table is cut by its dates.
 */
#include "odata/apply.h"
#include "odata/span.h"

#include "tap.h"

static char *
print(DvApply apply)
{
	StringInfoData out;

	initStringInfo(&out);
	dv_apply_print(&out, &apply);
	return out.data;
}

static void
test_print(void)
{
	static const char *const groups[] = {"statecode", "_ownerid_value"};
	static const DvApplyItem items[] = {{DV_APPLY_COUNT, NULL},
										{DV_APPLY_SUM, "revenue"},
										{DV_APPLY_MIN, "createdon"},
										{DV_APPLY_MAX, "createdon"}};
	DvFilter *filter =
		dv_filter_and(dv_filter_leaf(DV_OP_NOT_NULL, "revenue", "revenue", DV_TYPE_MONEY, -1),
					  dv_filter_leaf(DV_OP_IS_NULL, "name", "name", DV_TYPE_STRING, -1));

	is(print((DvApply){.nitems = 1, .items = items}), "aggregate($count as dv_0)", "rows");
	is(print((DvApply){.nitems = 4, .items = items}),
	   "aggregate($count as dv_0,revenue with sum as dv_1,createdon with min as dv_2,createdon "
	   "with max as dv_3)",
	   "every method, each under a name of its own");
	is(print((DvApply){.ngroups = 2, .groups = groups}), "groupby((statecode,_ownerid_value))",
	   "groups alone");
	is(print((DvApply){.ngroups = 1, .groups = groups, .nitems = 2, .items = items}),
	   "groupby((statecode),aggregate($count as dv_0,revenue with sum as dv_1))",
	   "groups and results");
	is(print((DvApply){.filter = filter, .ngroups = 1, .groups = groups}),
	   "filter(revenue ne null and name eq null)/groupby((statecode))", "a condition comes first");
	is(print((DvApply){.filter = dv_filter_constant(true), .nitems = 1, .items = items}),
	   "aggregate($count as dv_0)", "a condition that is always true is not written");
	is(dv_apply_alias(12), "dv_12", "a result's name");
}

/* The cuts as text, with the number of pieces that rows at these seconds fall into. */
static char *
cuts(DvSpan span, const int64 *rows, int n, int pieces, bool by_time)
{
	int64 sample[64];
	int64 found[64];
	StringInfoData out;
	int ncuts;

	memcpy(sample, rows, sizeof(int64) * n);
	initStringInfo(&out);
	ncuts = dv_span_cuts(&span, sample, n, pieces, by_time, found);
	for (int i = 0; i < ncuts; i++)
		appendStringInfo(&out, "%s%lld", i > 0 ? " " : "", (long long) found[i]);
	return out.data;
}

#define FROM(a) .has_from = true, .from = (a)
#define TO(b) .has_to = true, .to = (b)

static void
test_cuts(void)
{
	static const int64 even[] = {70, 10, 60, 20, 50, 30, 40, 80};
	static const int64 burst[] = {1, 1000, 1000, 1000, 1001, 1001, 1001, 9000};
	static const int64 same[] = {5, 5, 5, 5};

	is(cuts((DvSpan){0}, even, 8, 2, false), "50", "half of the sample on either side");
	is(cuts((DvSpan){0}, even, 8, 4, false), "30 50 70", "in four");
	is(cuts((DvSpan){0}, burst, 8, 4, false), "1000 1001", "a cut is made once");
	is(cuts((DvSpan){0}, even, 8, 2, true), "45", "half way in time, by the sample's ends");
	is(cuts((DvSpan){FROM(0), TO(1000)}, even, 8, 2, true), "500", "... by the span's own");
	is(cuts((DvSpan){FROM(50)}, even, 8, 2, false), "51", "a cut is inside, if only just");
	is(cuts((DvSpan){0}, same, 4, 2, false), "5", "one second: from it on");
	is(cuts((DvSpan){FROM(5)}, same, 4, 2, false), "6", "... then up to the next");
	is(cuts((DvSpan){TO(6)}, same, 4, 2, false), "5", "... or from the other side");
	is(cuts((DvSpan){FROM(5), TO(6)}, same, 4, 2, false), "", "... and no further");
	is(cuts((DvSpan){FROM(5), TO(6)}, same, 4, 2, true), "", "... by time neither");
	is(cuts((DvSpan){FROM(5), TO(7)}, same, 4, 2, true), "6", "two seconds are cut in the middle");
}

/* Every second is in exactly one piece, whatever the cuts. */
static void
test_pieces(void)
{
	static const int64 at[] = {10, 11, 20};
	DvSpan whole = {0};
	int wrong = 0;

	ok(dv_span_is_whole(&whole), "no bounds: all rows");
	for (int64 second = 5; second < 25; second++)
	{
		int in = 0;

		for (int i = 0; i <= 3; i++)
		{
			DvSpan piece = dv_span_piece(&whole, at, 3, i);

			in += (!piece.has_from || second >= piece.from) && (!piece.has_to || second < piece.to);
		}
		wrong += in != 1;
	}
	ok(wrong == 0, "pieces join without a gap and do not overlap");
	whole = dv_span_piece(&(DvSpan){FROM(1), TO(9)}, at, 0, 0);
	ok(whole.from == 1 && whole.to == 9 && !dv_span_is_whole(&whole), "no cuts: the span itself");
}

/* Halving ends, and ends at single seconds, for any crowd. */
static void
test_halving(void)
{
	DvSpan span = {0};
	int64 sample[3] = {-7, 1000000, 5000000000};
	int64 found[2];
	int depth = 0;
	int n;

	while ((n = dv_span_cuts(&span, sample, 3, 2, depth % 2 == 1, found)) > 0 && depth < 200)
	{
		/* follow the piece that holds the crowd, at 1000000 */
		int i = 0;

		while (i < n && found[i] <= 1000000)
			i++;
		span = dv_span_piece(&span, found, n, i);
		for (int k = 0; k < 3; k++)
			sample[k] = 1000000;
		depth++;
	}
	ok(depth < 100 && span.has_from && span.has_to && span.to == span.from + 1,
	   "a crowded second is found in %d cuts", depth);
}

int
main(void)
{
	test_print();
	test_cuts();
	test_pieces();
	test_halving();
	return done_testing();
}
