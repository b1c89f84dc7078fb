/*
 * hunt.c
 *	  Which rows of a refused set to send next, so that few requests find the
 *	  bad ones and write all others.
 *
 * A bulk message is refused whole and does not name the row (sheet 5.2).  So
 * the first half of the rows is sent, and the half of the half that fails:
 * what passes is written on the way, and what was never asked about stays
 * together and goes out as one request in the end.  One bad row among n is
 * found by log2(n) requests, wherever it is, and costs one more for the rest.
 *
 * A $batch that goes on after errors names every bad row in one request, but
 * the service then works row by row, which takes it several times as long.
 * Where that is bearable it saves requests: for the last few suspects, and when
 * one set turns out to hold several bad rows, which halving would have to find
 * one after the other.  Requests beyond the first, of 1,000 rows, by the number
 * of suspects that are asked one by one, counted by test_hunt.c:
 *
 *	 bad rows			none		up to 64	all
 *	 1					12			6			1
 *	 10 in one set		about 100	7			1
 *	 10 in ten sets		120			60			10
 *
 * The caller says what it can bear.  All of this assumes nothing about where
 * bad rows stand, but that sets of one statement are alike: after several in
 * one set, the next ones are expected to have as many, for a while.
 */
#include "odata/hunt.h"

/* So many bad rows in a set, and halving takes more requests than asking each row. */
#define CROWD 2.0

/* After so many rows, what was learned before counts half. */
#define MEMORY 1000.0

void
dv_hunt_begin(DvHunt *hunt, int rows, int one_by_one, bool crowd)
{
	memset(hunt, 0, sizeof(*hunt));
	hunt->open = rows;
	hunt->one_by_one = one_by_one;
	hunt->crowd = crowd && one_by_one > 1;
}

DvHuntStep
dv_hunt_next(const DvHunt *hunt)
{
	DvHuntStep step = {hunt->open, false};

	Assert(hunt->open > 0);
	if (hunt->suspects > 0)
		step.rows = hunt->suspects;
	if (hunt->crowd || (hunt->suspects > 1 && hunt->suspects <= hunt->one_by_one))
		step.by_row = true;
	else if (hunt->suspects > 1)
		step.rows = hunt->suspects / 2;
	return step;
}

void
dv_hunt_refused(DvHunt *hunt, int sent, bool by_row, bool crowd)
{
	/* Not even that brought answers for each: there are none to be had. */
	if (by_row)
		hunt->one_by_one = 1;
	/* One was found before, and the rest, nothing being known of it, has another. */
	crowd = crowd || hunt->crowd || (hunt->found && hunt->suspects == 0);
	hunt->crowd = crowd && hunt->one_by_one > 1;
	hunt->suspects = sent;
}

void
dv_hunt_settled(DvHunt *hunt, int sent, int left, int bad)
{
	int settled = sent - left;

	hunt->open -= settled;
	hunt->found = hunt->found || bad > 0;
	/* One was known to be there; do the others say that the rest has as many? */
	if (bad > 1 && hunt->one_by_one > 1 && (double) (bad - 1) / sent * hunt->open >= CROWD)
		hunt->crowd = true;
	/* What passed was not to blame: it is the others. */
	hunt->suspects = bad > 0 ? 0 : Max(0, hunt->suspects - settled);
}

void
dv_hunt_learn(DvHuntDensity *density, int rows, int bad)
{
	double keep = MEMORY / (MEMORY + rows);

	density->rows = density->rows * keep + rows;
	density->bad = density->bad * keep + bad;
}

bool
dv_hunt_expects_crowd(const DvHuntDensity *density, int rows)
{
	return density->rows > 0 && density->bad / density->rows * rows >= CROWD;
}
