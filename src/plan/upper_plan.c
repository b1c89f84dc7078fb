/*
 * upper_plan.c
 *	  Aggregates and DISTINCT as requests to the service.
 *
 * What is sent has to give PostgreSQL's answer: every condition below must be
 * exact, grouping is by columns whose equal values look equal (numbers without
 * decimals, choices, booleans, ids; text groups by the service's collation,
 * dates do not group at all), and aggregates are those that can be put together
 * from counts, sums and extremes.
 *
 * An aggregate that skips nulls asks only for the rows in which its column is
 * not null, since a service that answers 0 to a sum over nothing (sheet 15)
 * would not tell it from a sum of zeros.  So a query may become several
 * requests, one for each such column and FILTER, whose groups the executor
 * joins; the first counts the rows of every group.
 *
 * The service refuses to aggregate too many rows, sometimes at all.  So the
 * plan carries PostgreSQL's own aggregation of the same rows as its outer plan,
 * with the very columns of the pushed result, for the executor to run instead.
 *
 * HAVING is evaluated here, over the groups, and so are the expressions around
 * aggregates.
 */
#include "postgres.h"

#include "compat.h"

#include <math.h>

#include "catalog/pg_aggregate.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/prep.h"
#include "optimizer/tlist.h"
#include "utils/fmgroids.h"
#include "utils/selfuncs.h"

#include "handoff.h"
#include "plan/rel.h"
#include "plan/shipping.h"
#include "plan/upper_plan.h"

/* With more groups an answer may be cut short; estimates are to stay well below. */
#define GROUPS_EXPECTED_MAX (DV_APPLY_GROUPS_MAX * 0.8)

/* Rows that one range of a large table is meant to hold. */
#define ROWS_PER_RANGE (DV_APPLY_ROWS_MAX * 0.8)

/* Which aggregates are sent, by their function's OID, fixed since they are built in. */
typedef enum Method
{
	METHOD_COUNT_ROWS,
	METHOD_COUNT,
	METHOD_SUM,
	METHOD_AVG,
	METHOD_MIN,
	METHOD_MAX
} Method;

static const struct
{
	Oid function;
	Method method;
} methods[] = {
	{F_COUNT_, METHOD_COUNT_ROWS}, {F_COUNT_ANY, METHOD_COUNT},     {F_SUM_INT2, METHOD_SUM},
	{F_SUM_INT4, METHOD_SUM},      {F_SUM_INT8, METHOD_SUM},        {F_SUM_NUMERIC, METHOD_SUM},
	{F_AVG_INT2, METHOD_AVG},      {F_AVG_INT4, METHOD_AVG},        {F_AVG_INT8, METHOD_AVG},
	{F_AVG_NUMERIC, METHOD_AVG},   {F_MIN_INT2, METHOD_MIN},        {F_MIN_INT4, METHOD_MIN},
	{F_MIN_INT8, METHOD_MIN},      {F_MIN_NUMERIC, METHOD_MIN},     {F_MIN_FLOAT8, METHOD_MIN},
	{F_MIN_DATE, METHOD_MIN},      {F_MIN_TIMESTAMP, METHOD_MIN},   {F_MIN_TIMESTAMPTZ, METHOD_MIN},
	{F_MAX_INT2, METHOD_MAX},      {F_MAX_INT4, METHOD_MAX},        {F_MAX_INT8, METHOD_MAX},
	{F_MAX_NUMERIC, METHOD_MAX},   {F_MAX_FLOAT8, METHOD_MAX},      {F_MAX_DATE, METHOD_MAX},
	{F_MAX_TIMESTAMP, METHOD_MAX}, {F_MAX_TIMESTAMPTZ, METHOD_MAX},
};

/* A request in the making. */
typedef struct UpperQuery
{
	Expr *condition;        /* of FILTER, or NULL */
	const DvColumn *filled; /* only rows in which this one is not null; or NULL */
	const DvColumn *distinct;
	DvAggregateQuery *query;
} UpperQuery;

/* Kept in fdw_private of the upper relation. */
typedef struct Upper
{
	DvAggregatePlan plan;
	List *operands;
	List *tlist;  /* TargetEntry: the result's columns, one for each output */
	List *having; /* evaluated here */

	/* while it is made */
	PlannerInfo *root;
	RelOptInfo *input_rel;
	const DvRel *dvrel;
	DvFilter *base; /* the conditions of WHERE */
	List *queries;  /* UpperQuery * */
} Upper;

/*
 * Columns.
 */

/* A plain column of the table whose values agree on both sides, or NULL. */
static const DvColumn *
plain_column(const Upper *upper, const Node *expr)
{
	const DvColumn *column;

	if (!IsA(expr, Var))
		return NULL;
	column = dv_translate_column(upper->dvrel->table, upper->input_rel->relid, (Expr *) expr);
	return column != NULL && dv_shipping_column(column) ? column : NULL;
}

/* Does the service group by such values, and does each group have one look? */
static bool
is_groupable(DvType type)
{
	return type == DV_TYPE_INTEGER || type == DV_TYPE_BIGINT || type == DV_TYPE_BOOLEAN ||
		   type == DV_TYPE_GUID || dv_type_is_choice(type) || dv_type_is_lookup(type);
}

/* To be told apart, values may have several looks. */
static bool
is_countable(DvType type)
{
	return is_groupable(type) || type == DV_TYPE_DECIMAL || type == DV_TYPE_MONEY;
}

/* Doubles are summed in another order, with another rounding. */
static bool
is_summable(DvType type)
{
	return type == DV_TYPE_INTEGER || type == DV_TYPE_BIGINT || type == DV_TYPE_DECIMAL ||
		   type == DV_TYPE_MONEY;
}

static bool
is_comparable(DvType type)
{
	return is_summable(type) || type == DV_TYPE_DOUBLE || type == DV_TYPE_DATE ||
		   type == DV_TYPE_DATETIME || type == DV_TYPE_DATETIME_FLOATING;
}

/* Can rows without a value be left out exactly? */
static bool
is_null_exact(const DvColumn *column)
{
	return column->notnull || dv_filter_leaf_exactness(column->type, DV_OP_NOT_NULL) == DV_EXACT;
}

/*
 * Requests.
 */

static DvFilter *
and_filters(DvFilter *a, DvFilter *b)
{
	return a == NULL ? b : dv_filter_and(a, b);
}

/* The condition with its operands added to the others; NULL when it is not exact. */
static DvFilter *
add_clause(Upper *upper, const DvClause *clause)
{
	DvFilter *filter;

	if (clause->filter->exactness != DV_EXACT)
		return NULL;
	filter = dv_filter_shift_slots(clause->filter, list_length(upper->operands));
	upper->operands = list_concat(upper->operands, list_copy(clause->operands));
	return filter;
}

static bool
add_restrictions(Upper *upper)
{
	ListCell *lc;

	foreach (lc, upper->input_rel->baserestrictinfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		DvFilter *filter;

		/* A gate above the scan would not stand above this one. */
		if (rinfo->pseudoconstant)
			return false;
		filter = add_clause(upper, dv_rel_clause(upper->input_rel, rinfo));
		if (filter == NULL)
			return false;
		upper->base = and_filters(upper->base, filter);
	}
	return true;
}

/* The filter of a new request; false when it cannot be said exactly. */
static bool
query_filter(Upper *upper, const UpperQuery *wanted, DvFilter **filter)
{
	*filter = upper->base;
	if (wanted->condition != NULL)
	{
		DvClause *clause =
			dv_translate_clause(upper->dvrel->table, upper->input_rel->relid, wanted->condition);
		DvFilter *condition = add_clause(upper, clause);

		if (condition == NULL)
			return false;
		*filter = and_filters(*filter, condition);
	}
	if (wanted->filled != NULL)
		*filter =
			and_filters(*filter, dv_filter_leaf(DV_OP_NOT_NULL, wanted->filled->property,
												wanted->filled->logical, wanted->filled->type, -1));
	return true;
}

static int
add_item(DvAggregateQuery *query, DvApplyMethod method, AttrNumber attnum)
{
	for (int i = 0; i < list_length(query->methods); i++)
	{
		if (list_nth_int(query->methods, i) == (int) method &&
			list_nth_int(query->attnums, i) == attnum)
			return i;
	}
	query->methods = lappend_int(query->methods, method);
	query->attnums = lappend_int(query->attnums, attnum);
	return list_length(query->methods) - 1;
}

/* The number of a request for such rows; -1 when there is none and create is not set. */
static int
find_query(Upper *upper, const UpperQuery *wanted, bool create)
{
	UpperQuery *made;
	DvFilter *filter;
	ListCell *lc;

	foreach (lc, upper->queries)
	{
		const UpperQuery *query = lfirst(lc);

		if (query->filled == wanted->filled && query->distinct == wanted->distinct &&
			equal(query->condition, wanted->condition))
			return foreach_current_index(lc);
	}
	if (!create || !query_filter(upper, wanted, &filter))
		return -1;
	made = palloc(sizeof(UpperQuery));
	*made = *wanted;
	made->query = palloc0(sizeof(DvAggregateQuery));
	made->query->filter = filter;
	made->query->distinct = wanted->distinct ? wanted->distinct->attnum : 0;
	if (wanted->distinct == NULL)
		add_item(made->query, DV_APPLY_COUNT, 0);
	upper->queries = lappend(upper->queries, made);
	return list_length(upper->queries) - 1;
}

static DvAggregateQuery *
nth_query(const Upper *upper, int n)
{
	return ((UpperQuery *) list_nth(upper->queries, n))->query;
}

/*
 * Aggregates.
 */

static bool
find_method(Oid function, Method *method)
{
	for (int i = 0; i < lengthof(methods); i++)
	{
		if (methods[i].function == function)
		{
			*method = methods[i].method;
			return true;
		}
	}
	return false;
}

static bool
is_extreme(const Aggref *aggref)
{
	Method method;

	return find_method(aggref->aggfnoid, &method) && (method == METHOD_MIN || method == METHOD_MAX);
}

/* count(*), count(1), count(column), count(DISTINCT column). */
static bool
describe_count(Upper *upper, const Aggref *aggref, UpperQuery *wanted, DvAggregateOutput *output)
{
	Node *arg =
		aggref->args == NIL ? NULL : (Node *) linitial_node(TargetEntry, aggref->args)->expr;
	const DvColumn *column = NULL;

	output->kind = DV_AGGREGATE_COUNT;
	if (arg != NULL && !(IsA(arg, Const) && !((Const *) arg)->constisnull))
	{
		column = dv_translate_column(upper->dvrel->table, upper->input_rel->relid, (Expr *) arg);
		if (column == NULL || column->label_of != NULL || column->target_of != NULL ||
			!is_null_exact(column))
			return false;
	}
	if (aggref->aggdistinct != NIL)
	{
		if (column == NULL || plain_column(upper, arg) == NULL || !is_countable(column->type) ||
			list_member_int(upper->plan.groups, column->attnum))
			return false;
		wanted->distinct = column;
	}
	if (column != NULL && !column->notnull)
		wanted->filled = column;
	output->query = find_query(upper, wanted, true);
	return output->query >= 0;
}

/*
 * Sums of numerics come with as many decimals as the service likes (sheet 2.9).
 * PostgreSQL shows as many as the values have, and divides by that: a least
 * value tells.
 */
static bool
describe_sum(Upper *upper, const DvColumn *column, UpperQuery *wanted, DvAggregateOutput *output)
{
	DvAggregateQuery *query;

	if (!is_summable(column->type) || !is_null_exact(column))
		return false;
	if (!column->notnull)
		wanted->filled = column;
	output->query = find_query(upper, wanted, true);
	if (output->query < 0)
		return false;
	query = nth_query(upper, output->query);
	output->item = add_item(query, DV_APPLY_SUM, column->attnum);
	output->scale = -1;
	if (column->type == DV_TYPE_DECIMAL || column->type == DV_TYPE_MONEY)
		output->scale = add_item(query, DV_APPLY_MIN, column->attnum);
	return true;
}

/* Extremes skip nulls and are absent when there is nothing else, so any request for the rows will do. */
static bool
describe_extreme(Upper *upper, const DvColumn *column, UpperQuery *wanted, DvApplyMethod method,
				 DvAggregateOutput *output)
{
	UpperQuery filled = *wanted;

	if (!is_comparable(column->type))
		return false;
	output->kind = DV_AGGREGATE_BEST;
	filled.filled = column;
	output->query = find_query(upper, &filled, false);
	if (output->query < 0)
		output->query = find_query(upper, wanted, true);
	if (output->query < 0)
		return false;
	output->item = add_item(nth_query(upper, output->query), method, column->attnum);
	return true;
}

/* How the service computes this aggregate; false when it does not. */
static bool
describe_aggregate(Upper *upper, const Aggref *aggref, DvAggregateOutput *output)
{
	UpperQuery wanted = {aggref->aggfilter};
	const DvColumn *column;
	Method method;

	if (!find_method(aggref->aggfnoid, &method) || aggref->aggkind != AGGKIND_NORMAL ||
		aggref->aggsplit != AGGSPLIT_SIMPLE || aggref->agglevelsup != 0 || aggref->aggvariadic ||
		(aggref->aggorder != NIL && aggref->aggdistinct == NIL))
		return false;
	output->typid = aggref->aggtype;
	if (method == METHOD_COUNT_ROWS || method == METHOD_COUNT)
		return describe_count(upper, aggref, &wanted, output);

	column = plain_column(upper, (Node *) linitial_node(TargetEntry, aggref->args)->expr);
	if (column == NULL)
		return false;
	if (method == METHOD_MIN || method == METHOD_MAX)
		return describe_extreme(upper, column, &wanted,
								method == METHOD_MIN ? DV_APPLY_MIN : DV_APPLY_MAX, output);
	if (aggref->aggdistinct != NIL)
		return false;
	output->kind = method == METHOD_SUM ? DV_AGGREGATE_SUM : DV_AGGREGATE_AVG;
	return describe_sum(upper, column, &wanted, output);
}

/*
 * Result columns.
 */

static DvAggregateOutput *
add_output(Upper *upper, Expr *expr)
{
	DvAggregateOutput *output = palloc0(sizeof(DvAggregateOutput));

	output->item = -1;
	output->scale = -1;
	output->typid = exprType((Node *) expr);
	upper->tlist =
		lappend(upper->tlist,
				makeTargetEntry(copyObject(expr), list_length(upper->tlist) + 1, NULL, false));
	upper->plan.outputs = lappend(upper->plan.outputs, output);
	return output;
}

/* A column to group by; false when its groups are not PostgreSQL's. */
static bool
add_group(Upper *upper, Expr *expr)
{
	const DvColumn *column = plain_column(upper, (Node *) expr);
	DvAggregateOutput *output;

	if (column == NULL || !is_groupable(column->type))
		return false;
	if (list_member_int(upper->plan.groups, column->attnum))
		return true;
	output = add_output(upper, expr);
	output->kind = DV_AGGREGATE_GROUP;
	output->query = list_length(upper->plan.groups);
	upper->plan.groups = lappend_int(upper->plan.groups, column->attnum);
	return true;
}

static bool
add_groups(Upper *upper, List *clauses)
{
	List *exprs = get_sortgrouplist_exprs(clauses, upper->root->processed_tlist);
	ListCell *lc;

	foreach (lc, exprs)
	{
		if (!add_group(upper, lfirst(lc)))
			return false;
	}
	upper->plan.grouped = clauses != NIL;
	return true;
}

/* Adds the aggregates within an expression; false when it reads anything else but groups. */
static bool
collect_aggregates(Upper *upper, Node *expr)
{
	List *parts = pull_var_clause(expr, PVC_INCLUDE_AGGREGATES | PVC_INCLUDE_PLACEHOLDERS |
											PVC_RECURSE_WINDOWFUNCS);
	ListCell *lc;

	foreach (lc, parts)
	{
		Expr *part = lfirst(lc);

		if (tlist_member(part, upper->tlist) != NULL)
			continue;
		if (!IsA(part, Aggref))
			return false;
		add_output(upper, part);
	}
	return true;
}

/* Extremes come last: they take what requests there are. */
static bool
describe_aggregates(Upper *upper, bool extremes)
{
	ListCell *entry;
	ListCell *lc;

	forboth (entry, upper->tlist, lc, upper->plan.outputs)
	{
		Aggref *aggref = (Aggref *) lfirst_node(TargetEntry, entry)->expr;

		if (IsA(aggref, Aggref) && is_extreme(aggref) == extremes &&
			!describe_aggregate(upper, aggref, lfirst(lc)))
			return false;
	}
	return true;
}

/*
 * Candidates.
 */

/* What stands below must be one standard table, all of whose conditions are exact. */
static bool
is_candidate(PlannerInfo *root, RelOptInfo *input_rel)
{
	const DvRel *dvrel = input_rel->fdw_private;

	return input_rel->reloptkind == RELOPT_BASEREL && dvrel != NULL && dvrel->all_exact &&
		   dvrel->table->table_type == DV_TABLE_STANDARD && !IS_DUMMY_REL(input_rel) &&
		   root->rowMarks == NIL && root->parse->groupingSets == NIL &&
		   !root->parse->hasTargetSRFs && !root->parse->hasWindowFuncs &&
		   bms_is_empty(input_rel->lateral_relids);
}

static Upper *
begin_upper(PlannerInfo *root, RelOptInfo *input_rel)
{
	Upper *upper = palloc0(sizeof(Upper));
	const DvTable *table;
	const DvColumn *partition;

	upper->root = root;
	upper->input_rel = input_rel;
	upper->dvrel = input_rel->fdw_private;
	table = upper->dvrel->table;
	partition = dv_table_partition(table);
	upper->plan.relid = table->relid;
	upper->plan.entity_set = table->entity_set;
	upper->plan.partition = partition != NULL ? partition->attnum : 0;
	upper->plan.share = Min(1.0, input_rel->rows / Max(input_rel->tuples, 1));
	return add_restrictions(upper) ? upper : NULL;
}

/* Request 0 of a grouped result: the groups, and their rows. */
static bool
add_group_query(Upper *upper)
{
	UpperQuery all = {NULL};

	return !upper->plan.grouped || find_query(upper, &all, true) == 0;
}

static Upper *
describe_grouping(PlannerInfo *root, RelOptInfo *input_rel, RelOptInfo *output_rel,
				  const GroupPathExtraData *extra)
{
	Upper *upper = begin_upper(root, input_rel);
	ListCell *lc;

	if (upper == NULL || extra->patype != PARTITIONWISE_AGGREGATE_NONE ||
		!add_groups(upper, root->parse->groupClause))
		return NULL;
	foreach (lc, output_rel->reltarget->exprs)
	{
		if (!collect_aggregates(upper, lfirst(lc)))
			return NULL;
	}
	upper->having = (List *) extra->havingQual;
	if (!collect_aggregates(upper, extra->havingQual) || !add_group_query(upper) ||
		!describe_aggregates(upper, false) || !describe_aggregates(upper, true) ||
		upper->queries == NIL)
		return NULL;
	return upper;
}

static Upper *
describe_distinct(PlannerInfo *root, RelOptInfo *input_rel, PathTarget *target)
{
	Upper *upper;
	ListCell *lc;

	if (root->parse->hasDistinctOn || dv_distinct_clause(root) == NIL)
		return NULL;
	upper = begin_upper(root, input_rel);
	if (upper == NULL || !add_groups(upper, root->parse->distinctClause))
		return NULL;
	foreach (lc, target->exprs)
	{
		if (tlist_member(lfirst(lc), upper->tlist) == NULL)
			return NULL;
	}
	return add_group_query(upper) ? upper : NULL;
}

/*
 * Paths.
 */

/* The result's columns as a target, for the outer plan to compute the same. */
static PathTarget *
result_target(const Upper *upper)
{
	PathTarget *target = create_empty_pathtarget();
	ListCell *lc;

	foreach (lc, upper->tlist)
		add_column_to_pathtarget(target, lfirst_node(TargetEntry, lc)->expr, 0);
	return set_pathtarget_cost_width(upper->root, target);
}

/* PostgreSQL's own way to the same result, without HAVING. */
static Path *
local_path(const Upper *upper, RelOptInfo *output_rel, List *clauses, bool hash, double groups)
{
	PlannerInfo *root = upper->root;
	Path *path = upper->input_rel->cheapest_total_path;
	AggClauseCosts costs;
	AggStrategy strategy = !upper->plan.grouped ? AGG_PLAIN : hash ? AGG_HASHED : AGG_SORTED;

	memset(&costs, 0, sizeof(costs));
	get_agg_clause_costs(root, AGGSPLIT_SIMPLE, &costs);

	/* Aggregates with DISTINCT may rely on an order even where nothing is grouped. */
	if (strategy != AGG_HASHED && !pathkeys_contained_in(root->group_pathkeys, path->pathkeys))
		path = (Path *) create_sort_path(root, output_rel, path, root->group_pathkeys, -1);
	return (Path *) create_agg_path(root, output_rel, path, result_target(upper), strategy,
									AGGSPLIT_SIMPLE, clauses, NIL, &costs, groups);
}

/* Values of a column never analyzed: PostgreSQL's guess of 200 is too many for most choices. */
static double
assumed_values(DvType type)
{
	switch (type)
	{
		case DV_TYPE_STATE:
			return 3;
		case DV_TYPE_STATUS:
			return 8;
		case DV_TYPE_PICKLIST:
			return 20;
		default:
			return -1;
	}
}

static double
estimate_values(const Upper *upper, AttrNumber attnum)
{
	const DvColumn *column = dv_table_column(upper->dvrel->table, attnum);
	double assumed = assumed_values(column->type);
	VariableStatData stats;
	bool known;
	Var *var = makeVar(upper->input_rel->relid, attnum, column->typid, column->typmod,
					   column->collation, 0);

	examine_variable(upper->root, (Node *) var, 0, &stats);
	known = HeapTupleIsValid(stats.statsTuple);
	ReleaseVariableStats(stats);
	if (!known && assumed > 0)
		return assumed;
	return estimate_num_groups(upper->root, list_make1(var), upper->input_rel->rows, NULL, NULL);
}

/* Groups of all requests together, the values that are counted here among them; the most in one. */
static double
estimate_groups(const Upper *upper, double *most)
{
	double base = 1;
	double all = 0;
	ListCell *lc;

	foreach (lc, upper->plan.groups)
		base *= estimate_values(upper, lfirst_int(lc));
	*most = 1;
	foreach (lc, upper->queries)
	{
		const UpperQuery *query = lfirst(lc);
		double groups = base;

		if (query->distinct != NULL)
			groups *= estimate_values(upper, query->distinct->attnum);
		groups = clamp_row_est(Min(groups, upper->input_rel->rows));
		*most = Max(*most, groups);
		all += groups;
	}
	return all;
}

/*
 * A request each, more where the rows are too many for one; half hidden by one
 * another.  The service's own work on the rows is small beside sending them.
 */
static DvCost
pushed_cost(const Upper *upper, double groups)
{
	const DvSettings *settings = &upper->dvrel->table->settings;
	double rows = upper->dvrel->remote_rows;
	double requests = list_length(upper->queries) * ceil(Max(rows, 1) / ROWS_PER_RANGE);
	DvCost cost;

	cost.startup = settings->startup_cost * (1 + (requests - 1) / 2) +
				   list_length(upper->queries) * rows * cpu_operator_cost +
				   groups * (settings->tuple_cost + cpu_tuple_cost);
	cost.total = cost.startup;
	return cost;
}

static void
add_upper_path(Upper *upper, RelOptInfo *output_rel, PathTarget *target, List *clauses, bool hash)
{
	QualCost having;
	double groups;
	double most;
	double rows;
	Path *outer;
	DvCost cost;
	ListCell *lc;

	groups = estimate_groups(upper, &most);
	if (most > GROUPS_EXPECTED_MAX)
		return;
	foreach (lc, upper->queries)
		upper->plan.queries = lappend(upper->plan.queries, ((UpperQuery *) lfirst(lc))->query);
	rows = clamp_row_est(groups / list_length(upper->queries));
	outer = local_path(upper, output_rel, clauses, hash, rows);
	cost = pushed_cost(upper, groups);
	cost_qual_eval(&having, upper->having, upper->root);
	cost.startup += having.startup + target->cost.startup;
	cost.total +=
		having.startup + target->cost.startup + rows * (having.per_tuple + target->cost.per_tuple);
	rows = clamp_row_est(rows *
						 clauselist_selectivity(upper->root, upper->having, 0, JOIN_INNER, NULL));
	output_rel->fdw_private = upper;
	add_path(output_rel,
			 (Path *) dv_create_foreign_upper_path(upper->root, output_rel, target, rows,
												   cost.startup, cost.total, outer));
}

void
dataverseGetForeignUpperPaths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input_rel,
							  RelOptInfo *output_rel, void *extra)
{
	Upper *upper;
	PathTarget *target;

	if (output_rel->fdw_private != NULL || !is_candidate(root, input_rel))
		return;
	if (stage == UPPERREL_GROUP_AGG)
	{
		const GroupPathExtraData *grouping = extra;

		target = output_rel->reltarget;
		upper = describe_grouping(root, input_rel, output_rel, grouping);
		if (upper != NULL)
			add_upper_path(upper, output_rel, target, dv_group_clause(root),
						   (grouping->flags & GROUPING_CAN_USE_HASH) != 0);
	}
	else if (stage == UPPERREL_DISTINCT)
	{
		target = input_rel->cheapest_total_path->pathtarget;
		upper = describe_distinct(root, input_rel, target);
		if (upper != NULL)
			add_upper_path(upper, output_rel, target, dv_distinct_clause(root), true);
	}
}

/*
 * Plan.
 */

ForeignScan *
dv_upper_plan_make(RelOptInfo *rel, List *tlist, Plan *outer_plan)
{
	const Upper *upper = rel->fdw_private;

	return make_foreignscan(tlist, upper->having, 0, upper->operands,
							dv_handoff_pack_aggregate(&upper->plan), copyObject(upper->tlist), NIL,
							outer_plan);
}
