/*
 * join_tree.c
 *	  Which tables a join along lookups joins, and how.
 *
 * Such a join is a tree of lookups that starts from one table, the main one: every
 * other is reached by a lookup of one that is there.  Beside it stand the steps,
 * PostgreSQL's joins in their order, since an outer join is more than the
 * lookup it follows.
 *
 * Not joined: elastic and virtual tables, lookups without one known target,
 * whole rows and system columns (the joined row is made of columns).
 */
#include "postgres.h"

#include "compat.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "optimizer/optimizer.h"
#include "optimizer/restrictinfo.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "plan/join_tree.h"
#include "plan/shipping.h"

/* $expand items in a query (sheet 2.8). */
#define EXPANDS_MAX 15

const DvTable *
dv_join_tree_table(const DvTreeMember *member)
{
	return ((const DvRel *) member->rel->fdw_private)->table;
}

DvTreeMember *
dv_join_tree_member(const DvJoinTree *join, int n)
{
	return list_nth(join->members, n);
}

/*
 * Which joins.
 */

static bool
reads_whole_rows(const RelOptInfo *rel)
{
	Bitmapset *used = NULL;

	for (int attno = rel->min_attr; attno <= 0; attno++)
	{
		if (!bms_is_empty(rel->attr_needed[attno - rel->min_attr]))
			return true;
	}
	pull_varattnos((Node *) extract_actual_clauses(rel->baserestrictinfo, false), rel->relid,
				   &used);
	for (int attno = rel->min_attr; attno <= 0; attno++)
	{
		if (bms_is_member(attno - FirstLowInvalidHeapAttributeNumber, used))
			return true;
	}
	return false;
}

static bool
is_joinable_table(const RelOptInfo *rel)
{
	const DvRel *dvrel = rel->fdw_private;

	return dvrel->table->table_type == DV_TABLE_STANDARD && dvrel->table->primary_id != NULL &&
		   bms_is_empty(rel->lateral_relids) && !dv_rel_has_pseudoconstant(rel->baserestrictinfo) &&
		   !reads_whole_rows(rel);
}

/* A side as a join: of one table, or what was found out about a join relation; NULL if it is none. */
const DvJoinTree *
dv_join_tree_side(RelOptInfo *rel)
{
	DvJoinTree *join;
	DvTreeMember *member;

	if (rel->fdw_private == NULL || IS_OTHER_REL(rel))
		return NULL;
	if (IS_JOIN_REL(rel))
		return rel->fdw_private;
	if (rel->reloptkind != RELOPT_BASEREL || !is_joinable_table(rel))
		return NULL;
	member = palloc0(sizeof(DvTreeMember));
	member->rel = rel;
	member->parent = -1;
	join = palloc0(sizeof(DvJoinTree));
	join->members = list_make1(member);
	return join;
}

/*
 * Lookups.
 */

/* Does every row of this side, or step of it, need this member? */
bool
dv_join_tree_needs(const DvJoinTree *join, int side, int member)
{
	const DvTreeStep *step;

	if (side >= 0)
		return side == member;
	step = list_nth(join->steps, ~side);
	if (dv_join_tree_needs(join, step->left, member))
		return true;
	return (step->join == JOIN_INNER || step->join == JOIN_SEMI) &&
		   dv_join_tree_needs(join, step->right, member);
}

int
dv_join_tree_top(const DvJoinTree *join)
{
	return join->steps == NIL ? 0 : ~(list_length(join->steps) - 1);
}

static bool
is_id(const DvTable *table, const DvColumn *column)
{
	return column != NULL && column->type == DV_TYPE_GUID &&
		   getBaseType(column->typid) == UUIDOID && strcmp(column->logical, table->primary_id) == 0;
}

static bool
leads_to(const DvColumn *lookup, const DvTable *table)
{
	return dv_type_is_lookup(lookup->type) && lookup->navigation != NULL &&
		   lookup->target != NULL && strcmp(lookup->target, table->entity_set) == 0 &&
		   dv_shipping_column(lookup);
}

/*
 * The member of the many side whose lookup an expression stands for: its column,
 * or the id of a row that the lookup has led to already (equality is transitive,
 * and which of its members PostgreSQL compares is its choice).
 */
static bool
is_lookup_of(const DvJoinTree *many, Expr *expr, const DvTable *one, DvTreeMember *reached)
{
	ListCell *lc;

	foreach (lc, many->members)
	{
		const DvTreeMember *member = lfirst(lc);
		const DvTable *table = dv_join_tree_table(member);
		int n = foreach_current_index(lc);
		const DvColumn *column = dv_translate_column(table, member->rel->relid, expr);

		if (column == NULL)
			continue;
		if (leads_to(column, one))
		{
			reached->parent = n;
			reached->lookup = column;
			return true;
		}
		if (n > 0 && is_id(table, column) && strcmp(table->entity_set, one->entity_set) == 0 &&
			dv_join_tree_needs(many, dv_join_tree_top(many), n))
		{
			reached->parent = member->parent;
			reached->lookup = member->lookup;
			return true;
		}
		return false;
	}
	return false;
}

/* Is the condition "lookup = primary id", either way round? Fills in how the one side is reached. */
static bool
is_lookup_clause(const DvJoinTree *many, const DvJoinTree *one, const RestrictInfo *rinfo,
				 DvTreeMember *reached)
{
	const OpExpr *clause = (const OpExpr *) rinfo->clause;
	const DvTreeMember *main = linitial(one->members);
	const DvTable *table = dv_join_tree_table(main);

	if (!IsA(clause, OpExpr) || get_opcode(clause->opno) != F_UUID_EQ)
		return false;
	for (int i = 0; i < 2; i++)
	{
		Expr *id = list_nth(clause->args, i);

		if (is_id(table, dv_translate_column(table, main->rel->relid, id)) &&
			is_lookup_of(many, list_nth(clause->args, 1 - i), table, reached))
			return true;
	}
	return false;
}

/*
 * Putting together.
 */

static int
shift_side(int side, int members, int steps)
{
	return side >= 0 ? side + members : ~(~side + steps);
}

/* The sides' members and steps in one list each, the many side's first. */
static DvJoinTree *
concat_sides(const DvJoinTree *many, const DvJoinTree *one, const DvTreeMember *reached)
{
	DvJoinTree *join = palloc0(sizeof(DvJoinTree));
	int members = list_length(many->members);
	int steps = list_length(many->steps);
	ListCell *lc;

	join->members = list_copy(many->members);
	join->steps = list_copy(many->steps);
	foreach (lc, one->members)
	{
		DvTreeMember *member = palloc(sizeof(DvTreeMember));

		*member = *(const DvTreeMember *) lfirst(lc);
		if (member->parent >= 0)
			member->parent += members;
		else
		{
			member->parent = reached->parent;
			member->lookup = reached->lookup;
		}
		join->members = lappend(join->members, member);
	}
	foreach (lc, one->steps)
	{
		DvTreeStep *step = palloc(sizeof(DvTreeStep));

		*step = *(const DvTreeStep *) lfirst(lc);
		step->left = shift_side(step->left, members, steps);
		step->right = shift_side(step->right, members, steps);
		join->steps = lappend(join->steps, step);
	}
	return join;
}

/* The join of the two sides along a lookup of "many"; NULL when no condition follows one. */
DvJoinTree *
dv_join_tree_along_lookup(RelOptInfo *joinrel, const DvJoinTree *many, const DvJoinTree *one,
						  JoinType jointype, List *restrictlist)
{
	DvTreeMember reached = {0};
	bool found = false;
	DvTreeStep *step = palloc0(sizeof(DvTreeStep));
	DvJoinTree *join;
	ListCell *lc;

	foreach (lc, restrictlist)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

		if (IS_OUTER_JOIN(jointype) && RINFO_IS_PUSHED_DOWN(rinfo, joinrel->relids))
			step->filter = lappend(step->filter, rinfo);
		else if (!found && is_lookup_clause(many, one, rinfo, &reached))
			found = true;
		else
			step->on = lappend(step->on, rinfo);
	}
	if (!found || many->children != NIL || one->children != NIL ||
		list_length(many->members) + list_length(one->members) - 1 > EXPANDS_MAX)
		return NULL;

	join = concat_sides(many, one, &reached);
	step->join = jointype;
	step->left = dv_join_tree_top(many);
	step->right =
		shift_side(dv_join_tree_top(one), list_length(many->members), list_length(many->steps));
	join->steps = lappend(join->steps, step);
	return join;
}

/*
 * Children.
 */

DvJoinTree *
dv_join_tree_with_child(const DvJoinTree *parent, const DvJoinTree *child, JoinType jointype,
						List *restrictlist)
{
	DvTreeMember reached = {0};
	DvJoinTree *tree;
	DvTreeChild *added;

	if (list_length(parent->members) != 1 || list_length(child->members) != 1 ||
		child->children != NIL || list_length(restrictlist) != 1 ||
		!is_lookup_clause(child, parent, linitial(restrictlist), &reached))
		return NULL;
	added = palloc(sizeof(DvTreeChild));
	added->rel = dv_join_tree_member(child, 0)->rel;
	added->lookup = reached.lookup;
	added->anti = jointype == JOIN_ANTI;
	tree = palloc(sizeof(DvJoinTree));
	*tree = *parent;
	tree->children = lappend(list_copy(parent->children), added);
	return tree;
}
