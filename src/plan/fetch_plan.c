/*
 * fetch_plan.c
 *	  Rows to which other rows lead, or none, as one FetchXML query.
 *
 * EXISTS of rows whose lookup holds a row's id is a link that only filters:
 * the row comes once, however many lead to it (link-type exists, sheet 2.12.3).
 * NOT EXISTS is a link "not any" in the filter.  OData could say it by a lambda,
 * whose name for the collection the foreign table does not know, and with null
 * rules that are less certain.
 *
 * Nothing of the children comes back, so nothing could be checked again: all
 * conditions on them must be exact in FetchXML, and fit into one query
 * whatever the values.  Those on the table itself go by the usual classes.
 *
 * The order is left to PostgreSQL: FetchXML sorts some columns in its own way.
 */
#include "postgres.h"

#include "compat.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "handoff.h"
#include "odata/fetchquery.h"
#include "plan/fetch_plan.h"
#include "plan/scan_plan.h"
#include "plan/spelling.h"

/* Rows that top may ask for (sheet 2.12.2). */
#define TOP_MAX 5000

/* Conditions on all children together, of the 500 that a query may have (sheet 2.3.1). */
#define CHILD_CONDITIONS_MAX 100

/* Items of a list on a child, which cannot be cut into several queries. */
#define CHILD_ITEMS_MAX 50

static const DvRel *
main_rel(const DvJoinTree *tree)
{
	return dv_join_tree_member(tree, 0)->rel->fdw_private;
}

/*
 * What may be said of children.
 */

/* Is this operand, of a list, one whose length is known and small? */
static bool
is_short_array(const Const *array)
{
	ArrayType *value;

	if (!IsA(array, Const))
		return false;
	if (array->constisnull)
		return true;
	value = DatumGetArrayTypeP(array->constvalue);
	return ArrayGetNItems(ARR_NDIM(value), ARR_DIMS(value)) <= CHILD_ITEMS_MAX;
}

static bool
has_short_lists(const DvFilter *filter, List *operands)
{
	if (filter->kind == DV_FILTER_LEAF)
		return (filter->op != DV_OP_IN && filter->op != DV_OP_NOT_IN) ||
			   is_short_array(list_nth(operands, filter->slot));
	for (int i = 0; i < filter->nargs; i++)
	{
		if (!has_short_lists(filter->args[i], operands))
			return false;
	}
	return true;
}

/* The conditions that a child's condition counts for, or more than are allowed. */
static int
child_conditions(const DvClause *clause)
{
	if (dv_fetchquery_exactness(clause->filter) != DV_EXACT ||
		!has_short_lists(clause->filter, clause->operands))
		return CHILD_CONDITIONS_MAX + 1;
	return dv_filter_conditions(clause->filter);
}

static bool
are_exact(const DvJoinTree *tree)
{
	int conditions = 0;
	ListCell *lc;

	foreach (lc, tree->children)
	{
		const DvRel *dvrel = ((const DvTreeChild *) lfirst(lc))->rel->fdw_private;
		ListCell *lr;

		foreach (lr, dvrel->clauses)
			conditions += child_conditions(((const DvRelClause *) lfirst(lr))->clause);
	}
	return conditions <= CHILD_CONDITIONS_MAX;
}

/*
 * What is read above.
 *
 * Equality being transitive, PostgreSQL may go on to join by the child's lookup
 * where the query says the row's own id.  They are equal in every row of a semi
 * join, so the id stands for both.  No other column of a child can be had.
 */

static const DvColumn *
main_id(const DvJoinTree *tree)
{
	const DvTable *table = main_rel(tree)->table;

	return dv_table_column_logical(table, table->primary_id);
}

/* The main table's column whose value this one has; 0 for none. */
static AttrNumber
column_behind(const DvJoinTree *tree, const Var *var)
{
	ListCell *lc;

	if (var->varno == dv_join_tree_member(tree, 0)->rel->relid)
		return var->varattno;
	foreach (lc, tree->children)
	{
		const DvTreeChild *child = lfirst(lc);

		if (var->varno == child->rel->relid && !child->anti &&
			var->varattno == child->lookup->attnum)
			return main_id(tree)->attnum;
	}
	return 0;
}

static bool
can_be_read(const RelOptInfo *rel, const DvJoinTree *tree)
{
	List *vars = dv_spelling_add(NIL, rel->reltarget->exprs);
	ListCell *lc;

	foreach (lc, vars)
	{
		if (column_behind(tree, lfirst_node(Var, lc)) == 0)
			return false;
	}
	return main_id(tree) != NULL;
}

/*
 * Path.
 */

bool
dv_fetch_plan_possible(const RelOptInfo *joinrel, const DvJoinTree *tree)
{
	return list_length(tree->children) <= DV_FETCH_LINKS_MAX && are_exact(tree) &&
		   can_be_read(joinrel, tree);
}

void
dv_fetch_plan_add_path(PlannerInfo *root, RelOptInfo *joinrel, const DvJoinTree *tree)
{
	const DvRel *dvrel = main_rel(tree);
	const DvSettings *settings = &dvrel->table->settings;
	double sent = clamp_row_est(Min(joinrel->rows, dvrel->remote_rows));
	double pages = ceil(sent / settings->fetch_size);
	QualCost quals;
	DvCost cost;

	cost_qual_eval(&quals, dv_join_tree_member(tree, 0)->rel->baserestrictinfo, root);
	cost.startup = settings->startup_cost + quals.startup + joinrel->reltarget->cost.startup;
	cost.total = cost.startup + (pages - 1) * settings->startup_cost / 2 +
				 sent * (settings->tuple_cost + cpu_tuple_cost + quals.per_tuple) +
				 joinrel->rows * joinrel->reltarget->cost.per_tuple;
	add_path(joinrel, (Path *) dv_create_foreign_join_path(root, joinrel, joinrel->rows,
														   cost.startup, cost.total, NIL, NIL));
}

/*
 * Plan.
 */

typedef struct Making
{
	const DvJoinTree *tree;
	DvFilter *filter;
	List *operands;
	List *local; /* Expr *: checked here */
	List *children;
} Making;

/* The filter with its operands among the others. */
static DvFilter *
with_operands(Making *making, const DvFilter *filter, List *operands)
{
	DvFilter *shifted = dv_filter_shift_slots(filter, list_length(making->operands));

	making->operands = list_concat(making->operands, list_copy(operands));
	return shifted;
}

static void
add_conditions(Making *making)
{
	ListCell *lc;

	foreach (lc, main_rel(making->tree)->clauses)
	{
		const DvRelClause *clause = lfirst(lc);
		DvFilter *adapted = dv_fetchquery_adapt(clause->clause->filter);
		DvFilter *sendable = dv_filter_sendable(adapted);

		if (adapted->exactness != DV_EXACT)
			making->local = lappend(making->local, clause->rinfo->clause);
		if (sendable == NULL)
			continue;
		sendable = with_operands(making, sendable, clause->clause->operands);
		making->filter = making->filter ? dv_filter_and(making->filter, sendable) : sendable;
	}
}

static void
add_child(Making *making, const DvTreeChild *child)
{
	const DvRel *dvrel = child->rel->fdw_private;
	DvJoinChild *handed = palloc0(sizeof(DvJoinChild));
	ListCell *lc;

	handed->relid = dvrel->table->relid;
	handed->rti = child->rel->relid;
	handed->entity = dvrel->table->table_name;
	handed->lookup = child->lookup->logical;
	handed->anti = child->anti;
	foreach (lc, dvrel->clauses)
	{
		const DvClause *clause = ((const DvRelClause *) lfirst(lc))->clause;
		DvFilter *filter = with_operands(making, clause->filter, clause->operands);

		handed->filter = handed->filter ? dv_filter_and(handed->filter, filter) : filter;
	}
	making->children = lappend(making->children, handed);
}

/* The columns of the row: some at least. */
static List *
columns_read(const RelOptInfo *rel, const Making *making)
{
	const RelOptInfo *main = dv_join_tree_member(making->tree, 0)->rel;
	List *columns = dv_spelling_add(NIL, rel->reltarget->exprs);
	const DvColumn *id;

	columns = dv_spelling_add(columns, making->local);
	if (columns != NIL)
		return columns;
	id = main_id(making->tree);
	return list_make1(makeVar(main->relid, id->attnum, id->typid, id->typmod, id->collation, 0));
}

static List *
pack_fetch(PlannerInfo *root, RelOptInfo *rel, ForeignPath *best_path, Making *making,
		   List *columns)
{
	const DvTable *table = main_rel(making->tree)->table;
	DvJoinMember *main = palloc0(sizeof(DvJoinMember));
	DvScanPlan plan;
	ListCell *lc;

	main->relid = table->relid;
	main->rti = dv_join_tree_member(making->tree, 0)->rel->relid;
	main->path = "";
	main->parent = -1;
	main->certain = true;
	main->qual = -1;
	memset(&plan, 0, sizeof(plan));
	plan.relid = table->relid;
	plan.entity_set = table->entity_set;
	foreach (lc, columns)
	{
		plan.attnums = lappend_int(plan.attnums, column_behind(making->tree, lfirst_node(Var, lc)));
		plan.sources = lappend_int(plan.sources, 0);
	}
	plan.filter = making->filter;
	plan.slot_types = dv_scan_plan_operand_types(making->operands);
	plan.limit = dv_scan_plan_limit(root, rel, &best_path->path);
	plan.exact_limit = plan.limit > 0 && plan.limit <= TOP_MAX && making->local == NIL;
	plan.page_size = table->settings.fetch_size;
	plan.members = list_make1(main);
	plan.children = making->children;
	return dv_handoff_pack_scan(&plan);
}

ForeignScan *
dv_fetch_plan_make(PlannerInfo *root, RelOptInfo *rel, ForeignPath *best_path, List *tlist,
				   Plan *outer_plan)
{
	Making making = {rel->fdw_private};
	List *columns;
	ListCell *lc;

	add_conditions(&making);
	foreach (lc, making.tree->children)
		add_child(&making, lfirst(lc));
	columns = columns_read(rel, &making);
	return make_foreignscan(tlist, dv_spelling_apply(making.local, columns), 0, making.operands,
							pack_fetch(root, rel, best_path, &making, columns),
							dv_spelling_tlist(columns), NIL, outer_plan);
}
