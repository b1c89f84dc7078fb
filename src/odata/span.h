/*
 * span.h
 *	  A part of a table: the rows whose date lies between two whole seconds.
 *
 * Bounds are whole seconds since 1970, the first one belongs to the span and
 * the last one does not, so that spans cover a table without a gap and without
 * a row twice, whether or not the service keeps fractions of seconds.
 */
#ifndef DV_ODATA_SPAN_H
#define DV_ODATA_SPAN_H

#include "odata/filter.h"

typedef struct DvSpan
{
	bool nulls; /* the rows without a date, and no others */
	bool has_from;
	bool has_to;
	int64 from;
	int64 to;
} DvSpan;

/* Rows with and without a date: nothing is left out. */
extern bool dv_span_is_whole(const DvSpan *span);

/*
 * Where to cut a span (of rows with a date) into about "pieces": ascending
 * seconds strictly inside of it, each the beginning of the next piece.
 * sample[n], n > 0, are the seconds of some of its rows, and are sorted here.  The
 * cuts are the sample's quantiles; with by_time there is one, half way in time.
 * Returns their number, at most pieces - 1 (or 2), written to cuts; 0 when the
 * span is one second and cannot be cut.
 */
extern int dv_span_cuts(const DvSpan *span, int64 *sample, int n, int pieces, bool by_time,
						int64 *cuts);

/* The ith of the n + 1 spans that n cuts make of one. */
extern DvSpan dv_span_piece(const DvSpan *span, const int64 *cuts, int n, int i);

/* The condition of a span on this column, its bounds in place; NULL for the whole. */
extern DvFilter *dv_span_condition(const DvSpan *span, const char *property, const char *logical,
								   DvType type);

/*
 * The second in which a moment of the service lies, "2024-01-31T08:00:00Z" with
 * or without a fraction; false for any other text.
 */
extern bool dv_span_second(const char *text, int len, int64 *second);

#endif /* DV_ODATA_SPAN_H */
