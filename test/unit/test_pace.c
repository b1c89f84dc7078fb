/*
 * test_pace.c
 *	  Requests shrink when they are too slow or too large, and grow again.
 */
#include "odata/base.h"

#include "odata/pace.h"

static int ntests = 0;
static int nfailed = 0;

static void
check(bool ok, const char *name)
{
	ntests++;
	nfailed += !ok;
	printf("%sok %d - %s\n", ok ? "" : "not ", ntests, name);
}

#define MB (1024 * 1024)

/* Full requests that go well while they have at most so many rows; failures of so many requests. */
static int
run_slow(DvPace *pace, int bearable, int requests)
{
	int failures = 0;

	for (int i = 0; i < requests; i++)
	{
		int rows = dv_pace_rows(pace);

		if (rows > bearable)
		{
			dv_pace_slow(pace, rows);
			failures++;
		}
		else
			dv_pace_good(pace, rows, 100 * (size_t) rows);
	}
	return failures;
}

static void
test_slow(void)
{
	DvPace pace;
	int failures;

	dv_pace_begin(&pace, 1000, 8 * MB);
	check(dv_pace_rows(&pace) == 1000 && dv_pace_bytes(&pace) == 8 * MB, "starts with the most");
	dv_pace_slow(&pace, 1000);
	check(dv_pace_rows(&pace) == 500, "a time-out halves");
	dv_pace_slow(&pace, 1000);
	check(dv_pace_rows(&pace) == 500, "... once for requests that were under way together");
	dv_pace_slow(&pace, 500);
	check(dv_pace_rows(&pace) == 250, "... again at the new size");
	for (int i = 0; i < 3; i++)
		dv_pace_good(&pace, 250, 1000);
	check(dv_pace_rows(&pace) == 250, "a few that go well change nothing");
	dv_pace_good(&pace, 10, 1000);
	check(dv_pace_rows(&pace) == 250, "... nor does a small one");
	dv_pace_good(&pace, 250, 1000);
	check(dv_pace_rows(&pace) == 375, "... then half the way to what failed");
	(void) run_slow(&pace, 1000, 400);
	check(dv_pace_rows(&pace) == 1000, "all the way, after many");
	(void) run_slow(&pace, 1000, 200);
	check(dv_pace_rows(&pace) == 1000, "... and no further");

	dv_pace_begin(&pace, 1000, 8 * MB);
	failures = run_slow(&pace, 300, 100);
	check(dv_pace_rows(&pace) <= 300 && dv_pace_rows(&pace) >= 200,
		  "settles near what is bearable");
	check(failures <= 5, psprintf("... after few failures (%d of 100)", failures));
	dv_pace_begin(&pace, 8, 8 * MB);
	for (int i = 0; i < 10; i++)
		dv_pace_slow(&pace, dv_pace_rows(&pace));
	check(dv_pace_rows(&pace) == 1, "never below one row");
}

static void
test_large(void)
{
	DvPace pace;
	int failures = 0;

	dv_pace_begin(&pace, 1000, 8 * MB);
	for (int i = 0; i < 400; i++)
	{
		int rows = Min(dv_pace_rows(&pace), (int) (dv_pace_bytes(&pace) / 110));
		size_t bytes = (size_t) rows * 110;

		if (bytes > 30000)
		{
			dv_pace_large(&pace, rows, bytes);
			failures++;
		}
		else
			dv_pace_good(&pace, rows, bytes);
	}
	check(failures <= 6, psprintf("a limit of size is met a few times (%d of 400)", failures));
	check(dv_pace_bytes(&pace) <= 31000 && dv_pace_bytes(&pace) > 20000, "... and kept close to");
	check(dv_pace_rows(&pace) == 1000, "... while small rows may still be many");
	dv_pace_begin(&pace, 1000, 8 * MB);
	dv_pace_large(&pace, 1000, 0);
	check(dv_pace_rows(&pace) == 500, "without a body it is the number of rows");
}

int
main(void)
{
	test_slow();
	test_large();
	printf("1..%d\n", ntests);
	return nfailed == 0 ? 0 : 1;
}
