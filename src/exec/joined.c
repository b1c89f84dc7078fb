/*
 * joined.c
 *	  Which rows of a pushed join stay, and which of their sides are null.
 *
 * The service brings a main row with the related rows in it, at most one for
 * each lookup.  The join of them is done here, step by step as the plan has it:
 * a related row is there when its object came and the row that holds the lookup
 * takes part itself, and then conditions decide, with PostgreSQL's own
 * operators.  Nothing is left to how the service joins.
 */
#include "postgres.h"

#include "compat.h"

#include "executor/executor.h"
#include "nodes/makefuncs.h"

#include "exec/joined.h"

typedef struct Member
{
	int id; /* place of its primary id among the fields */
	int parent;
	bool certain;
	ExprState *qual;
	bool there; /* does it take part in the row at hand? */
} Member;

typedef struct Step
{
	JoinType join;
	int left;
	int right;
	ExprState *qual;
	ExprState *filter;
} Step;

struct DvJoined
{
	int nmembers;
	Member *members;
	int nsteps;
	Step *steps;
	int ncolumns;
	int *sources; /* member of each column */
};

/* A row under way. */
typedef struct Row
{
	DvJoined *joined;
	const DvField *fields;
	TupleTableSlot *slot;
	ExprContext *econtext;
} Row;

static ExprState *
prepare_qual(PlanState *node, List *exprs, int place)
{
	if (place < 0)
		return NULL;
	return ExecInitQual(make_ands_implicit(list_nth(exprs, place)), node);
}

DvJoined *
dv_joined_prepare(PlanState *node, const DvScanPlan *plan, List *exprs, const int *ids)
{
	DvJoined *joined = palloc0(sizeof(DvJoined));
	ListCell *lc;

	joined->nmembers = list_length(plan->members);
	joined->members = palloc0(sizeof(Member) * joined->nmembers);
	foreach (lc, plan->members)
	{
		const DvJoinMember *from = lfirst(lc);
		Member *member = &joined->members[foreach_current_index(lc)];

		member->id = ids[foreach_current_index(lc)];
		member->parent = from->parent;
		member->certain = from->certain;
		member->qual = prepare_qual(node, exprs, from->qual);
	}
	joined->nsteps = list_length(plan->steps);
	joined->steps = palloc0(sizeof(Step) * joined->nsteps);
	foreach (lc, plan->steps)
	{
		const DvJoinStep *from = lfirst(lc);
		Step *step = &joined->steps[foreach_current_index(lc)];

		step->join = from->join;
		step->left = from->left;
		step->right = from->right;
		step->qual = prepare_qual(node, exprs, from->qual);
		step->filter = prepare_qual(node, exprs, from->filter);
	}
	joined->ncolumns = list_length(plan->sources);
	joined->sources = palloc(sizeof(int) * Max(joined->ncolumns, 1));
	foreach (lc, plan->sources)
		joined->sources[foreach_current_index(lc)] = lfirst_int(lc);
	return joined;
}

static bool
came(const DvJoined *joined, int member, const DvField *fields)
{
	return member == 0 || fields[joined->members[member].id].kind != DV_FIELD_ABSENT;
}

bool
dv_joined_possible(const DvJoined *joined, const DvField *fields)
{
	for (int i = 1; i < joined->nmembers; i++)
	{
		if (joined->members[i].certain && !came(joined, i, fields))
			return false;
	}
	return true;
}

static bool
holds(const Row *row, ExprState *qual)
{
	return qual == NULL || ExecQual(qual, row->econtext);
}

/* The columns of members that do not take part. */
static void
null_columns(const Row *row)
{
	const DvJoined *joined = row->joined;

	for (int i = 0; i < joined->ncolumns; i++)
	{
		if (!joined->members[joined->sources[i]].there)
			row->slot->tts_isnull[i] = true;
	}
}

static void
leave_out(const Row *row, int side)
{
	DvJoined *joined = row->joined;

	if (side >= 0)
		joined->members[side].there = false;
	else
	{
		leave_out(row, joined->steps[~side].left);
		leave_out(row, joined->steps[~side].right);
	}
}

static bool
take_member(const Row *row, int number)
{
	DvJoined *joined = row->joined;
	Member *member = &joined->members[number];

	member->there = came(joined, number, row->fields) &&
					(member->parent < 0 || joined->members[member->parent].there);
	if (member->there && !holds(row, member->qual))
		member->there = false;
	return member->there;
}

/* Is there a row of this side? Sides that were left out are null from then on. */
static bool
take_side(const Row *row, int side)
{
	const Step *step;
	bool matches;

	if (side >= 0)
		return take_member(row, side);
	step = &row->joined->steps[~side];
	if (!take_side(row, step->left))
		return false;
	matches = take_side(row, step->right) && holds(row, step->qual);
	if (step->join == JOIN_INNER || step->join == JOIN_SEMI)
		return matches;
	if (step->join == JOIN_ANTI && matches)
		return false;
	if (!matches)
	{
		leave_out(row, step->right);
		null_columns(row);
	}
	return holds(row, step->filter);
}

bool
dv_joined_row(DvJoined *joined, const DvField *fields, TupleTableSlot *slot, ExprContext *econtext)
{
	Row row = {joined, fields, slot, econtext};

	/* Until it is its turn no member is out: nulling passes it over. */
	for (int i = 0; i < joined->nmembers; i++)
		joined->members[i].there = true;
	econtext->ecxt_scantuple = slot;
	return take_side(&row, ~(joined->nsteps - 1));
}
