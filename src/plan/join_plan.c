/*
 * join_plan.c
 *	  Joins of foreign tables along lookups, in one request.
 *
 * A join whose condition is "lookup = primary id" gives each row of the table
 * with the lookup at most one row of the other.  The service brings that one
 * nested in the main row ($expand, sheet 2.8), so the whole join is a scan of
 * the main table with wider rows: its paging, its order, its limit.  Either
 * side may be such a join itself: chains, stars, one table several times.
 *
 * What makes it exact is that the join itself is done here, row by row
 * (exec/joined.c): inner, left, semi and anti joins all follow from the nested
 * row being there or not and from conditions evaluated on both.  So any
 * condition may stand in such a join, and a related row that the user may not
 * see is, as in a local join, no row.  Conditions are sent as well where that
 * cannot lose a row: the main table's as ever; those of a related table under
 * the path to it, when no row of the join can do without that table.  The null
 * rules of such paths are not settled (sheet 15) and do not matter then: what
 * they may let through is a main row without the related one, which goes here.
 *
 * A condition on the nullable side of an outer join is never sent.  Left to
 * PostgreSQL are joins along lookups without one known target, of elastic and
 * virtual tables, in statements that lock or change rows (which could ask for a
 * row again), with whole rows or system columns, and below placeholders.
 */
#include "postgres.h"

#include "compat.h"

#include <math.h>

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"

#include "handoff.h"
#include "plan/fetch_plan.h"
#include "plan/join_plan.h"
#include "plan/join_tree.h"
#include "plan/rel.h"
#include "plan/scan_plan.h"
#include "plan/spelling.h"

/*
 * Paths in $filter count as link entities (sheet 2.3.1), of which there may be
 * 15, and whether those of $expand count with them is not documented: each
 * table may count twice.
 */
#define FILTER_PATHS_MAX 7

/* What a related row costs beside its main row, which it shares a request with. */
#define RELATED_ROW_COST 0.2

/*
 * Which joins.
 */

/* A placeholder evaluated below would have to be nulled with its side. */
static bool
has_placeholder(PlannerInfo *root, const RelOptInfo *joinrel)
{
	ListCell *lc;

	foreach (lc, root->placeholder_list)
	{
		if (bms_is_subset(((PlaceHolderInfo *) lfirst(lc))->ph_eval_at, joinrel->relids))
			return true;
	}
	return false;
}

/*
 * EvalPlanQual, which row locks and changes of rows may call for, would need a
 * local plan beside this one; views with a barrier need an order of conditions.
 */
static bool
may_join(PlannerInfo *root, const RelOptInfo *joinrel, JoinType jointype,
		 const JoinPathExtraData *extra)
{
	CmdType command = root->parse->commandType;

	return (command == CMD_SELECT || command == CMD_INSERT) && root->rowMarks == NIL &&
		   root->qual_security_level == 0 &&
		   (jointype == JOIN_INNER || jointype == JOIN_LEFT || jointype == JOIN_SEMI ||
			jointype == JOIN_ANTI) &&
		   bms_is_empty(joinrel->lateral_relids) &&
		   !dv_rel_has_pseudoconstant(extra->restrictlist) && !has_placeholder(root, joinrel);
}

/*
 * Conditions.
 */

/* What a plan is made of. */
typedef struct Making
{
	const DvJoinTree *join;
	Relids relids;
	List *handed;     /* DvJoinMember * */
	DvSource *tables; /* of the members that may be filtered by, their columns under their paths */
	int ntables;

	DvFilter *filter;
	List *operands;
	List *local;     /* Expr *: evaluated on the joined row */
	List *evaluated; /* Expr *: those that members and steps decide by */
	List *steps;     /* DvJoinStep * */
	List *required;  /* char *: lookups whose null test is sent */
} Making;

/* The table with the path before the names of its columns. Labels are asked by table, not by path. */
static const DvTable *
table_on_path(const DvTable *table, const char *path)
{
	DvTable *copy;

	if (path[0] == '\0')
		return table;
	copy = palloc(sizeof(DvTable));
	*copy = *table;
	copy->ncolumns = 0;
	copy->columns = palloc(sizeof(DvColumn) * Max(table->ncolumns, 1));
	for (int i = 0; i < table->ncolumns; i++)
	{
		const DvColumn *column = &table->columns[i];

		if (column->label_of != NULL || column->target_of != NULL)
			continue;
		copy->columns[copy->ncolumns] = *column;
		copy->columns[copy->ncolumns].property = psprintf("%s/%s", path, column->property);
		copy->ncolumns++;
	}
	return copy;
}

static char *
member_path(const Making *making, const DvTreeMember *member)
{
	const char *before;

	if (member->parent < 0)
		return pstrdup("");
	before = ((const DvJoinMember *) list_nth(making->handed, member->parent))->path;
	return psprintf("%s%s%s", before, before[0] == '\0' ? "" : "/", member->lookup->navigation);
}

static void
hand_members(Making *making, bool filter_paths)
{
	const DvJoinTree *join = making->join;
	ListCell *lc;

	making->tables = palloc0(sizeof(DvSource) * list_length(join->members));
	foreach (lc, join->members)
	{
		const DvTreeMember *member = lfirst(lc);
		DvJoinMember *handed = palloc0(sizeof(DvJoinMember));

		handed->relid = dv_join_tree_table(member)->relid;
		handed->rti = member->rel->relid;
		handed->path = member_path(making, member);
		handed->parent = member->parent;
		handed->certain =
			dv_join_tree_needs(join, dv_join_tree_top(join), foreach_current_index(lc));
		handed->qual = -1;
		making->handed = lappend(making->handed, handed);
		if (handed->certain && (member->parent < 0 || filter_paths))
		{
			DvSource *source = &making->tables[making->ntables++];

			source->table = table_on_path(dv_join_tree_table(member), handed->path);
			source->relid = member->rel->relid;
		}
	}
}

static void
add_filter(Making *making, DvFilter *filter)
{
	making->filter = making->filter ? dv_filter_and(making->filter, filter) : filter;
}

/* A condition that every row of the join satisfies: sent as far as may be, and else decided here. */
static void
add_condition(Making *making, const RestrictInfo *rinfo)
{
	DvClause *clause =
		dv_translate_clause_over(making->tables, making->ntables, making->relids, rinfo->clause);
	DvFilter *sendable = dv_filter_sendable(clause->filter);

	if (clause->filter->exactness != DV_EXACT)
		making->local = lappend(making->local, rinfo->clause);
	if (sendable == NULL)
		return;
	add_filter(making, dv_filter_shift_slots(sendable, list_length(making->operands)));
	making->operands = list_concat(making->operands, clause->operands);
}

static void
add_conditions(Making *making, List *rinfos)
{
	ListCell *lc;

	foreach (lc, rinfos)
		add_condition(making, lfirst(lc));
}

/* A condition that only decides here: its number among those, or -1 for none. */
static int
add_evaluated(Making *making, List *rinfos)
{
	if (rinfos == NIL)
		return -1;
	making->evaluated =
		lappend(making->evaluated, make_ands_explicit(extract_actual_clauses(rinfos, false)));
	return list_length(making->evaluated) - 1;
}

/* Main rows whose lookup is null need not come where the related row is needed. */
static void
add_presence(Making *making, const DvTreeMember *member)
{
	const DvJoinMember *parent = list_nth(making->handed, member->parent);
	const DvColumn *lookup = member->lookup;
	char *property = lookup->property;
	ListCell *lc;

	if (lookup->notnull)
		return;
	if (parent->path[0] != '\0')
		property = psprintf("%s/%s", parent->path, property);
	foreach (lc, making->required)
	{
		if (strcmp(lfirst(lc), property) == 0)
			return;
	}
	making->required = lappend(making->required, property);
	add_filter(making, dv_filter_leaf(DV_OP_NOT_NULL, property, lookup->logical, lookup->type, -1));
}

static void
sort_members(Making *making, bool filter_paths)
{
	ListCell *lc;

	foreach (lc, making->join->members)
	{
		const DvTreeMember *member = lfirst(lc);
		DvJoinMember *handed = list_nth(making->handed, foreach_current_index(lc));

		if (!handed->certain)
			handed->qual = add_evaluated(making, member->rel->baserestrictinfo);
		else
			add_conditions(making, member->rel->baserestrictinfo);
		if (handed->certain && member->parent >= 0 &&
			(filter_paths || dv_join_tree_member(making->join, member->parent)->parent < 0))
			add_presence(making, member);
	}
}

/* Steps from the top down: what every row satisfies, and what decides on the way. */
static void
sort_step(Making *making, int side, bool certain)
{
	const DvTreeStep *step;
	DvJoinStep *handed;
	bool inner;

	if (side >= 0)
		return;
	step = list_nth(making->join->steps, ~side);
	handed = list_nth(making->steps, ~side);
	inner = step->join == JOIN_INNER || step->join == JOIN_SEMI;
	handed->join = step->join;
	handed->left = step->left;
	handed->right = step->right;
	handed->qual = -1;
	handed->filter = -1;
	if (certain && inner)
		add_conditions(making, step->on);
	else
		handed->qual = add_evaluated(making, step->on);
	if (certain)
		add_conditions(making, step->filter);
	else
		handed->filter = add_evaluated(making, step->filter);
	sort_step(making, step->left, certain);
	sort_step(making, step->right, certain && inner);
}

static void
sort_all(Making *making, const DvJoinTree *join, Relids relids)
{
	bool filter_paths = list_length(join->members) - 1 <= FILTER_PATHS_MAX;

	memset(making, 0, sizeof(*making));
	making->join = join;
	making->relids = relids;
	for (int i = 0; i < list_length(join->steps); i++)
		making->steps = lappend(making->steps, palloc0(sizeof(DvJoinStep)));
	hand_members(making, filter_paths);
	sort_members(making, filter_paths);
	sort_step(making, dv_join_tree_top(join), true);
}

/*
 * Paths.
 */

/*
 * Rows of a join, at most: each row of the many side meets one row or none,
 * the latter as often as the other side's conditions leave it out.  PostgreSQL
 * does not know that ids are unique, and without statistics takes each for one
 * of 200.
 */
static double
rows_joined(const RelOptInfo *many, const RelOptInfo *one, const DvJoinTree *one_join,
			JoinType jointype)
{
	const RelOptInfo *main = dv_join_tree_member(one_join, 0)->rel;
	double share = Min(one->rows / Max(main->tuples, 1), 1);

	if (jointype == JOIN_LEFT || jointype == JOIN_ANTI)
		share = 1;
	return clamp_row_est(many->rows * share);
}

/* Rows that the service sends: the main table's, less what conditions on needed tables leave out. */
static double
rows_sent(PlannerInfo *root, const RelOptInfo *joinrel, const DvJoinTree *join)
{
	double rows = ((const DvRel *) dv_join_tree_member(join, 0)->rel->fdw_private)->remote_rows;
	ListCell *lc;

	for_each_from(lc, join->members, 1)
	{
		const DvTreeMember *member = lfirst(lc);
		const DvRel *dvrel = member->rel->fdw_private;
		List *sent = NIL;
		ListCell *lr;

		if (!dv_join_tree_needs(join, dv_join_tree_top(join), foreach_current_index(lc)))
			continue;
		foreach (lr, dvrel->clauses)
		{
			const DvRelClause *clause = lfirst(lr);

			if (clause->clause->filter->exactness != DV_NONE)
				sent = lappend(sent, clause->rinfo);
		}
		rows *= clauselist_selectivity(root, sent, member->rel->relid, JOIN_INNER, NULL);
	}
	return clamp_row_est(Max(rows, joinrel->rows));
}

/*
 * One request's start, and a share of a row for each related row: dearer than
 * reading a small table once beside a large one, cheaper than anything that
 * asks twice or reads what the join does not want.
 */
static DvCost
join_cost(PlannerInfo *root, const RelOptInfo *joinrel, const DvJoinTree *join, double sent)
{
	const DvRel *main = dv_join_tree_member(join, 0)->rel->fdw_private;
	const DvSettings *settings = &main->table->settings;
	double pages = ceil(sent / settings->fetch_size);
	double width = 1 + RELATED_ROW_COST * (list_length(join->members) - 1);
	Making making;
	QualCost quals;
	DvCost cost;

	sort_all(&making, join, joinrel->relids);
	cost_qual_eval(&quals, list_concat_copy(making.local, making.evaluated), root);
	cost.startup = settings->startup_cost + quals.startup + joinrel->reltarget->cost.startup;
	cost.total = cost.startup + (pages - 1) * settings->startup_cost / 2 +
				 sent * (width * settings->tuple_cost + cpu_tuple_cost + quals.per_tuple) +
				 joinrel->rows * joinrel->reltarget->cost.per_tuple;
	return cost;
}

static void
add_join_path(PlannerInfo *root, RelOptInfo *joinrel, const DvJoinTree *join, List *pathkeys,
			  List *sortkeys)
{
	const DvRel *main = dv_join_tree_member(join, 0)->rel->fdw_private;
	double sent = rows_sent(root, joinrel, join);
	DvCost cost = join_cost(root, joinrel, join, sent);

	if (sortkeys != NIL)
		cost.total += sent * cpu_operator_cost;
	if (sortkeys != NIL && ((DvSortKey *) linitial(sortkeys))->nullable)
		cost.total += main->table->settings.startup_cost;
	add_path(joinrel, (Path *) dv_create_foreign_join_path(
						  root, joinrel, joinrel->rows, cost.startup, cost.total, pathkeys, NIL));
}

static void
add_join_paths(PlannerInfo *root, RelOptInfo *joinrel, const DvJoinTree *join)
{
	RelOptInfo *main = dv_join_tree_member(join, 0)->rel;
	List *sortkeys = dv_scan_plan_order(main->fdw_private, main, root->query_pathkeys);

	add_join_path(root, joinrel, join, NIL, NIL);
	if (sortkeys != NIL)
		add_join_path(root, joinrel, join, root->query_pathkeys, sortkeys);
}

/* EXISTS and NOT EXISTS of rows that lead to the outer one. */
static void
consider_child(PlannerInfo *root, RelOptInfo *joinrel, const DvJoinTree *outer,
			   const DvJoinTree *inner, JoinType jointype, List *restrictlist)
{
	DvJoinTree *tree;

	if (jointype != JOIN_SEMI && jointype != JOIN_ANTI)
		return;
	tree = dv_join_tree_with_child(outer, inner, jointype, restrictlist);
	if (tree == NULL || !dv_fetch_plan_possible(joinrel, tree))
		return;
	joinrel->fdw_private = tree;
	dv_fetch_plan_add_path(root, joinrel, tree);
}

void
dataverseGetForeignJoinPaths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
							 RelOptInfo *innerrel, JoinType jointype, JoinPathExtraData *extra)
{
	const DvJoinTree *outer;
	const DvJoinTree *inner;
	RelOptInfo *many = outerrel;
	DvJoinTree *join;

	if (joinrel->fdw_private != NULL || !may_join(root, joinrel, jointype, extra))
		return;
	outer = dv_join_tree_side(outerrel);
	inner = dv_join_tree_side(innerrel);
	if (outer == NULL || inner == NULL)
		return;
	join = dv_join_tree_along_lookup(joinrel, outer, inner, jointype, extra->restrictlist);
	if (join == NULL && jointype == JOIN_INNER)
	{
		many = innerrel;
		join = dv_join_tree_along_lookup(joinrel, inner, outer, jointype, extra->restrictlist);
	}
	if (join == NULL)
	{
		consider_child(root, joinrel, outer, inner, jointype, extra->restrictlist);
		return;
	}
	joinrel->fdw_private = join;
	joinrel->rows = Min(joinrel->rows, rows_joined(many, many == outerrel ? innerrel : outerrel,
												   many == outerrel ? inner : outer, jointype));
	add_join_paths(root, joinrel, join);
}

/*
 * Plan.
 */

/* The id of a related row: whether it is there shows whether the row is. */
static Var *
id_column(const DvTreeMember *member)
{
	const DvTable *table = dv_join_tree_table(member);
	const DvColumn *id = dv_table_column_logical(table, table->primary_id);

	Assert(id != NULL);
	return makeVar(member->rel->relid, id->attnum, id->typid, id->typmod, id->collation, 0);
}

/* The columns of the joined row: what is read above, what conditions read, the related rows' ids. */
static List *
joined_columns(const RelOptInfo *rel, const Making *making)
{
	List *columns = dv_spelling_add(NIL, rel->reltarget->exprs);
	ListCell *lc;

	columns = dv_spelling_add(columns, making->local);
	columns = dv_spelling_add(columns, making->evaluated);
	for_each_from(lc, making->join->members, 1) columns =
		dv_spelling_add(columns, list_make1(id_column(lfirst(lc))));
	return columns;
}

static int
member_of(const DvJoinTree *join, int relid)
{
	ListCell *lc;

	foreach (lc, join->members)
	{
		if (((const DvTreeMember *) lfirst(lc))->rel->relid == relid)
			return foreach_current_index(lc);
	}
	elog(ERROR, "column of a pushed join belongs to none of its tables");
}

/* Numbers of expressions are places in fdw_exprs, where the operands come first. */
static int
place_of(int evaluated, const Making *making)
{
	return evaluated < 0 ? -1 : list_length(making->operands) + evaluated;
}

static void
place_evaluated(Making *making)
{
	ListCell *lc;

	foreach (lc, making->handed)
	{
		DvJoinMember *member = lfirst(lc);

		member->qual = place_of(member->qual, making);
	}
	foreach (lc, making->steps)
	{
		DvJoinStep *step = lfirst(lc);

		step->qual = place_of(step->qual, making);
		step->filter = place_of(step->filter, making);
	}
}

static List *
pack_join(PlannerInfo *root, RelOptInfo *rel, ForeignPath *best_path, Making *making, List *columns)
{
	RelOptInfo *main = dv_join_tree_member(making->join, 0)->rel;
	const DvRel *dvrel = main->fdw_private;
	DvScanPlan plan;
	ListCell *lc;

	memset(&plan, 0, sizeof(plan));
	plan.relid = dvrel->table->relid;
	plan.entity_set = dvrel->table->entity_set;
	foreach (lc, columns)
	{
		const Var *var = lfirst_node(Var, lc);

		plan.attnums = lappend_int(plan.attnums, var->varattno);
		plan.sources = lappend_int(plan.sources, member_of(making->join, var->varno));
	}
	plan.filter = making->filter;
	plan.slot_types = dv_scan_plan_operand_types(making->operands);
	plan.sortkeys = dv_scan_plan_sort_keys(dvrel, main, best_path->path.pathkeys);
	plan.limit = dv_scan_plan_limit(root, rel, &best_path->path);
	plan.page_size = dvrel->table->settings.fetch_size;
	place_evaluated(making);
	plan.members = making->handed;
	plan.steps = making->steps;
	return dv_handoff_pack_scan(&plan);
}

ForeignScan *
dv_join_plan_make(PlannerInfo *root, RelOptInfo *rel, ForeignPath *best_path, List *tlist,
				  Plan *outer_plan)
{
	Making making;
	List *columns;
	List *private;
	List *exprs;

	if (((const DvJoinTree *) rel->fdw_private)->children != NIL)
		return dv_fetch_plan_make(root, rel, best_path, tlist, outer_plan);
	sort_all(&making, rel->fdw_private, rel->relids);
	columns = joined_columns(rel, &making);
	private = pack_join(root, rel, best_path, &making, columns);
	exprs = list_concat_copy(making.operands, dv_spelling_apply(making.evaluated, columns));
	return make_foreignscan(tlist, dv_spelling_apply(making.local, columns), 0, exprs, private,
							dv_spelling_tlist(columns), NIL, outer_plan);
}
