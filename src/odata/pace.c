/*
 * pace.c
 *	  How many rows, and how many bytes, the next bulk request may have.
 *
 * The user's batch_size is where a statement begins and what it never exceeds.
 * A request that is too slow (no answer in time, SQL's own time-out: sheet 5.3)
 * or too large (413) halves what holds for all later ones; a few that go well
 * let it grow again, but only half-way to what failed, until that is close.
 * A time-out may have come from others' work, so it is forgotten after a while;
 * a size that was refused stays so.
 *
 * Requests that were smaller than allowed say nothing and count for nothing.
 */
#include "odata/pace.h"

/* Requests that went well before the next are larger. */
#define GROW_AFTER 4

/* ... and before a time-out is forgotten. */
#define FORGET_AFTER 100

/* A body below this is no body's fault. */
#define LEAST_BYTES 1024

static void
begin(DvPaceMeasure *measure, size_t most, size_t least)
{
	memset(measure, 0, sizeof(*measure));
	measure->most = measure->limit = most;
	measure->least = Min(least, most);
}

void
dv_pace_begin(DvPace *pace, int most_rows, size_t most_bytes)
{
	begin(&pace->rows, (size_t) Max(most_rows, 1), 1);
	begin(&pace->bytes, most_bytes, LEAST_BYTES);
}

int
dv_pace_rows(const DvPace *pace)
{
	return (int) pace->rows.limit;
}

size_t
dv_pace_bytes(const DvPace *pace)
{
	return pace->bytes.limit;
}

static void
grow(DvPaceMeasure *measure)
{
	size_t wanted = measure->limit * 2;

	if (measure->failed > 0 && wanted >= measure->failed)
		wanted = (measure->limit + measure->failed) / 2;
	/* As close as it is worth to come to what failed. */
	if (measure->failed > 0 && wanted - measure->limit < measure->failed / 8)
		return;
	measure->limit = Min(wanted, measure->most);
	measure->good = 0;
}

static void
went_well(DvPaceMeasure *measure, size_t size, bool forgets)
{
	if (measure->limit == measure->most && measure->failed == 0)
		return;
	measure->passed = Max(measure->passed, size);
	/* A full request, or as good as. */
	if (size < measure->limit - measure->limit / 4)
		return;
	measure->good++;
	if (forgets && measure->good >= FORGET_AFTER)
		measure->failed = 0;
	if (measure->good >= GROW_AFTER && measure->limit < measure->most)
		grow(measure);
}

static void
went_wrong(DvPaceMeasure *measure, size_t size)
{
	size_t half = Max(size / 2, measure->least);

	if (measure->failed == 0 || size < measure->failed)
		measure->failed = size;
	if (measure->passed >= size)
		measure->passed = 0;
	measure->limit = Min(measure->limit, Max(half, Min(measure->passed, measure->limit)));
	measure->good = 0;
}

void
dv_pace_good(DvPace *pace, int rows, size_t bytes)
{
	went_well(&pace->rows, (size_t) rows, true);
	went_well(&pace->bytes, bytes, false);
}

void
dv_pace_slow(DvPace *pace, int rows)
{
	went_wrong(&pace->rows, (size_t) rows);
}

void
dv_pace_large(DvPace *pace, int rows, size_t bytes)
{
	/* One that has no body, or a small one, is too large by the number of its rows. */
	if (bytes < 2 * LEAST_BYTES)
		went_wrong(&pace->rows, (size_t) rows);
	else
		went_wrong(&pace->bytes, bytes);
}
