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
