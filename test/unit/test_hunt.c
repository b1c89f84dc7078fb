/*
 * test_hunt.c
 *	  Bad rows are found by few requests, all others are written once.
 */
#include "odata/base.h"

#include "odata/hunt.h"

static int ntests = 0;
static int nfailed = 0;

static void
check(bool ok, const char *name)
{
	ntests++;
	nfailed += !ok;
	printf("%sok %d - %s\n", ok ? "" : "not ", ntests, name);
}

#define ROWS_MAX 2000

/* A service that refuses a request whole, or row by row, for the sake of bad rows. */
typedef struct World
{
	int n;
	bool bad[ROWS_MAX];
	int most;  /* rows of a request; 0 any */
	bool deaf; /* asking one by one is refused whole, too */
	int written[ROWS_MAX];
	int refused[ROWS_MAX];
	int requests;
	int singly; /* rows that were asked one by one */
} World;

static bool
any_bad(const World *world, const int *rows, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (world->bad[rows[i]])
			return true;
	}
	return false;
}

static int
settle_rows(World *world, const int *rows, int n)
{
	int bad = 0;

	for (int i = 0; i < n; i++)
	{
		if (world->bad[rows[i]])
			world->refused[rows[i]]++;
		else
			world->written[rows[i]]++;
		bad += world->bad[rows[i]];
	}
	return bad;
}

/* Takes a set through; how many requests it took. stop: until the first bad row. */
static int
run(World *world, int one_by_one, bool crowd, bool stop)
{
	int rows[ROWS_MAX];
	DvHunt hunt;

	for (int i = 0; i < world->n; i++)
		rows[i] = i;
	dv_hunt_begin(&hunt, world->n, one_by_one, crowd);
	while (hunt.open > 0 && world->requests < 100000)
	{
		DvHuntStep step = dv_hunt_next(&hunt);
		int n = world->most > 0 ? Min(step.rows, world->most) : step.rows;
		int bad;

		world->requests++;
		if (n > 1 && any_bad(world, rows, n) && (!step.by_row || world->deaf))
		{
			dv_hunt_refused(&hunt, n, step.by_row, false);
			continue;
		}
		if (step.by_row && n > 1)
			world->singly += n;
		bad = settle_rows(world, rows, n);
		memmove(rows, rows + n, sizeof(int) * (hunt.open - n));
		dv_hunt_settled(&hunt, n, 0, bad);
		if (stop && bad > 0)
			break;
	}
	return world->requests;
}

static World
make_world(int n)
{
	World world = {.n = n};

	return world;
}

static void
note_most(int *most, int requests)
{
	*most = Max(*most, requests - 1); /* the first is none of the search */
}

/* Every good row is written once, every bad one refused once. */
static bool
is_exact(const World *world)
{
	for (int i = 0; i < world->n; i++)
	{
		if (world->written[i] != !world->bad[i] || world->refused[i] != world->bad[i])
			return false;
	}
	return true;
}

static void
test_one(void)
{
	int most[2] = {0, 0};
	bool exact = true;

	for (int position = 0; position < 1000; position++)
	{
		World world = make_world(1000);
		World other = make_world(1000);

		world.bad[position] = other.bad[position] = true;
		note_most(&most[0], run(&world, 1, false, false));
		note_most(&most[1], run(&other, 64, false, false));
		exact = exact && is_exact(&world) && is_exact(&other);
	}
	printf("# one bad row in 1,000: %d further requests, %d when 64 may be asked singly\n", most[0],
		   most[1]);
	check(exact, "one bad row, wherever it is: the others are written once");
	check(most[0] <= 12, "... by log2(n) requests and two");
	check(most[1] <= 6, "... or fewer when the last suspects are asked one by one");
}

static void
test_stop(void)
{
	bool first = true;
	int most = 0;

	for (int position = 0; position < 1000; position++)
	{
		World world = make_world(1000);
		bool prefix = true;

		world.bad[position] = true;
		for (int i = position + 7; i < 1000; i += 31)
			world.bad[i] = true;
		note_most(&most, run(&world, 1, false, true));
		for (int i = 0; i < 1000; i++)
			prefix =
				prefix && world.written[i] == (i < position) && world.refused[i] == (i == position);
		first = first && prefix;
	}
	check(first, "stopping at the first: it is the first, and those before it are written");
	check(most <= 12, "... by log2(n) requests and two");
}

static unsigned int seed = 4711;

static int
random_below(int n)
{
	seed = seed * 1103515245u + 12345u;
	return (int) ((seed >> 8) % (unsigned int) n);
}

static void
test_several(void)
{
	static const int counts[] = {2, 10, 100, 500, 1000};

	for (int c = 0; c < lengthof(counts); c++)
	{
		bool exact = true;
		int most = 0;

		for (int round = 0; round < 50; round++)
		{
			World world = make_world(1000);

			for (int i = 0; i < counts[c]; i++)
				world.bad[counts[c] == 1000 ? i : random_below(1000)] = true;
			note_most(&most, run(&world, 64, false, false));
			exact = exact && is_exact(&world);
		}
		printf("# %d bad rows in 1,000: at most %d further requests\n", counts[c], most);
		check(exact, psprintf("%d bad rows: the others are written once", counts[c]));
		check(most <= 13, "... by few requests");
	}
}

static void
test_odd(void)
{
	World world = make_world(1000);
	bool exact = true;

	world.bad[0] = world.bad[999] = true;
	check(run(&world, 64, true, false) == 1 && is_exact(&world), "a crowd expected: one request");
	world = make_world(1000);
	check(run(&world, 64, false, false) == 1 && is_exact(&world), "no bad row: one request");
	world = make_world(1);
	world.bad[0] = true;
	check(run(&world, 64, false, false) == 1 && is_exact(&world), "one row, bad: one request");
	for (int n = 1; n <= 40; n++)
	{
		for (int position = 0; position < n * n; position++)
		{
			world = make_world(n);
			world.bad[position / n] = world.bad[position % n] = true;
			world.most = 7;
			world.deaf = position % 3 == 0;
			(void) run(&world, 1 + position % 9, position % 5 == 0, false);
			exact = exact && is_exact(&world);
		}
	}
	check(exact, "any two of few rows, small requests, no answers one by one: exact");
}

static void
test_density(void)
{
	DvHuntDensity density = {0};

	check(!dv_hunt_expects_crowd(&density, 1000), "nothing known: no crowd");
	dv_hunt_learn(&density, 1000, 1);
	check(!dv_hunt_expects_crowd(&density, 1000), "one in a thousand: none");
	dv_hunt_learn(&density, 1000, 300);
	check(dv_hunt_expects_crowd(&density, 1000), "hundreds: one");
	check(dv_hunt_expects_crowd(&density, 50), "... in a small set, too");
	check(!dv_hunt_expects_crowd(&density, 2), "... but not in a tiny one");
	for (int i = 0; i < 12; i++)
		dv_hunt_learn(&density, 1000, 0);
	check(!dv_hunt_expects_crowd(&density, 1000), "... which is forgotten");
}

int
main(void)
{
	test_one();
	test_stop();
	test_several();
	test_odd();
	test_density();
	printf("1..%d\n", ntests);
	return nfailed == 0 ? 0 : 1;
}
