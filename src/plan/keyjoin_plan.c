/*
 * keyjoin_plan.c
 *	  Joins that send the keys of many outer rows in one request.
 *
 * Where a foreign table is the inner side of a join with "column = outer
 * expression", a nested loop by key asks once for every outer row, and a hash
 * join reads the whole table.  Between the two stands the key join: the keys
 * of some hundred outer rows go out as one list, and the rows that come back
 * are joined here.  It is a custom path with two children, the outer path and
 * a foreign path with the list among its conditions; EXPLAIN shows both.
 *
 * The join compares exactly, with the operator's own hash and equality
 * functions, so the list may return more than asked for (text, whose case the
 * service ignores).  It must be one that can be cut into requests, though,
 * else each batch might read the whole table.
 *
 * The foreign table is always the inner side, which need not be whole.  IN
 * (SELECT ...) above the foreign table comes as a join whose outer side is
 * made unique first.  Not offered: a foreign table that the statement itself
 * changes, since a later batch could see what an earlier one wrote.
 *
 * An expression may carry other marks of nullability in a clause than in the
 * rows that a child delivers (since PostgreSQL 16); as in PostgreSQL's own
 * joins they stand for the same value, but a custom scan must spell them alike.
 */
#include "postgres.h"

#include "compat.h"

#include <math.h>

#include "foreign/fdwapi.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

#include "handoff.h"
#include "plan/keyjoin_plan.h"
#include "plan/rel.h"
#include "plan/scan_plan.h"
#include "plan/spelling.h"

/* Share of distinct values assumed for ids, lookups and texts of a table never analyzed. */
#define DISTINCT_SHARE 0.1

/* What a stored outer row takes beside its columns. */
#define ROW_OVERHEAD 64

static bool enable_key_join = true;
static set_join_pathlist_hook_type previous_hook = NULL;

/* A join under consideration; "join" is what remains when the outer side has been made unique. */
typedef struct Candidate
{
	PlannerInfo *root;
	RelOptInfo *joinrel;
	RelOptInfo *outer;
	RelOptInfo *inner;
	JoinType join;
	bool unique_outer;
	JoinPathExtraData *extra;
} Candidate;

/* One equality that may supply the keys. */
typedef struct JoinKey
{
	RestrictInfo *rinfo;
	Expr *outer;
	Expr *inner;
	Oid equality;   /* outer = inner */
	Expr *list;     /* inner = ANY (array) */
	double per_key; /* rows that the service sends for one */
} JoinKey;

typedef struct KeyJoinPath
{
	CustomPath path;
	JoinType join;
	JoinKey key;
	List *clauses; /* RestrictInfo *: all conditions of the join */
} KeyJoinPath;

/*
 * Which joins.
 */

static bool
is_ours(const RelOptInfo *rel)
{
	return rel->reloptkind == RELOPT_BASEREL && rel->fdwroutine != NULL &&
		   rel->fdwroutine->GetForeignPlan == dataverseGetForeignPlan && rel->fdw_private != NULL;
}

/* The type of the join that remains; false when it is none of ours. */
static bool
join_type(JoinType given, JoinType *join, bool *unique_outer)
{
	*unique_outer = given == JOIN_UNIQUE_OUTER;
	*join = *unique_outer ? JOIN_INNER : given;
	return *join == JOIN_INNER || *join == JOIN_LEFT || *join == JOIN_SEMI || *join == JOIN_ANTI;
}

/* Conditions without columns become gates, which neither child nor join has room for. */
static bool
is_possible(const Candidate *candidate)
{
	const RelOptInfo *inner = candidate->inner;

	return enable_key_join && is_ours(inner) && bms_is_empty(inner->lateral_relids) &&
		   !bms_is_member(inner->relid, candidate->root->all_result_relids) &&
		   !dv_rel_has_pseudoconstant(inner->baserestrictinfo) &&
		   !dv_rel_has_pseudoconstant(candidate->extra->restrictlist);
}

/*
 * Keys.
 */

/* Sides and operator of "inner = outer" either way round; false when it is no such condition. */
static bool
take_sides(const Candidate *candidate, RestrictInfo *rinfo, JoinKey *key, Oid *inner_equality)
{
	OpExpr *clause = (OpExpr *) rinfo->clause;
	bool inner_left;

	if (!rinfo->can_join || !OidIsValid(rinfo->hashjoinoperator) || !IsA(clause, OpExpr))
		return false;
	inner_left = bms_equal(rinfo->left_relids, candidate->inner->relids) &&
				 bms_is_subset(rinfo->right_relids, candidate->outer->relids);
	if (!inner_left && !(bms_equal(rinfo->right_relids, candidate->inner->relids) &&
						 bms_is_subset(rinfo->left_relids, candidate->outer->relids)))
		return false;

	key->rinfo = rinfo;
	key->inner = inner_left ? linitial(clause->args) : lsecond(clause->args);
	key->outer = inner_left ? lsecond(clause->args) : linitial(clause->args);
	key->equality = inner_left ? get_commutator(clause->opno) : clause->opno;
	*inner_equality = inner_left ? clause->opno : get_commutator(clause->opno);
	return OidIsValid(key->equality) && OidIsValid(*inner_equality);
}

static Expr *
make_list(const JoinKey *key, Oid equality)
{
	ScalarArrayOpExpr *list = makeNode(ScalarArrayOpExpr);
	Oid array = get_array_type(exprType((Node *) key->outer));

	if (!OidIsValid(array))
		return NULL;
	list->opno = equality;
	list->opfuncid = get_opcode(equality);
	list->useOr = true;
	list->inputcollid = ((OpExpr *) key->rinfo->clause)->inputcollid;
	list->args = list_make2(key->inner, makeNullConst(array, -1, InvalidOid));
	list->location = -1;
	return (Expr *) list;
}

/* Can the list be sent, and cut into requests none of which is dropped? (exec/request.c) */
static bool
list_goes_out(const DvFilter *filter)
{
	return filter->kind == DV_FILTER_LEAF && filter->op == DV_OP_IN && !filter->label &&
		   (filter->exactness == DV_EXACT ||
			(filter->exactness == DV_SUPERSET && dv_type_is_text(filter->type)));
}

static bool
is_unique(const DvTable *table, const char *logical)
{
	const DvColumn *key = table->nkeys == 1 ? dv_table_column_named(table, table->keys[0]) : NULL;

	return (table->primary_id != NULL && strcmp(table->primary_id, logical) == 0) ||
		   (key != NULL && strcmp(key->logical, logical) == 0);
}

/* Distinct values: without statistics PostgreSQL would say 200, which no id or name has. */
static double
distinct_values(const Candidate *candidate, const JoinKey *key, DvType type)
{
	VariableStatData variable;
	bool is_default;
	double distinct;

	examine_variable(candidate->root, (Node *) key->inner, candidate->inner->relid, &variable);
	distinct = get_variable_numdistinct(&variable, &is_default);
	ReleaseVariableStats(variable);
	if (is_default && (dv_type_is_text(type) || dv_type_edm(type) == DV_EDM_GUID))
		distinct = Max(distinct, candidate->inner->tuples * DISTINCT_SHARE);
	return Max(distinct, 1);
}

static double
rows_per_key(const Candidate *candidate, const JoinKey *key, const DvFilter *leaf)
{
	const DvRel *dvrel = candidate->inner->fdw_private;
	double share;

	if (is_unique(dvrel->table, leaf->logical))
		share = 1 / Max(candidate->inner->tuples, 1);
	else
		share = 1 / distinct_values(candidate, key, leaf->type);
	return dvrel->remote_rows * share;
}

static bool
make_key(const Candidate *candidate, RestrictInfo *rinfo, JoinKey *key)
{
	const DvRel *dvrel = candidate->inner->fdw_private;
	Oid inner_equality;
	DvClause *clause;

	/* What filters after the join decides nothing about matching. */
	if (IS_OUTER_JOIN(candidate->join) && RINFO_IS_PUSHED_DOWN(rinfo, candidate->joinrel->relids))
		return false;
	if (!take_sides(candidate, rinfo, key, &inner_equality))
		return false;
	key->list = make_list(key, inner_equality);
	if (key->list == NULL)
		return false;
	clause = dv_translate_clause(dvrel->table, candidate->inner->relid, key->list);
	if (!list_goes_out(clause->filter))
		return false;
	key->per_key = rows_per_key(candidate, key, clause->filter);
	return true;
}

/* The equality that brings the fewest rows; false when there is none. */
static bool
find_key(const Candidate *candidate, JoinKey *best)
{
	bool found = false;
	ListCell *lc;

	foreach (lc, candidate->extra->restrictlist)
	{
		JoinKey key;

		if (make_key(candidate, lfirst(lc), &key) && (!found || key.per_key < best->per_key))
		{
			*best = key;
			found = true;
		}
	}
	return found;
}

/*
 * Cost.
 */

/* What the executor will do, as far as it can be told. */
typedef struct Effort
{
	double batches;
	double keys; /* sent, those of several batches counted for each */
	double requests;
	double sent; /* rows by the service */
} Effort;

/* Rows after which a batch is full, in half of work_mem: keys come at random. */
static double
batch_rows(const Path *outer, double distinct)
{
	double room = work_mem * 512.0 / (outer->pathtarget->width + ROW_OVERHEAD);
	double rows = outer->rows;

	if (distinct > DV_KEY_JOIN_BATCH)
		rows = -distinct * log1p(-DV_KEY_JOIN_BATCH / distinct);
	return Max(1, Min(rows, room));
}

/*
 * Distinct keys among the outer rows.  A lookup of a foreign table without
 * statistics has more than PostgreSQL's 200.
 */
static double
distinct_keys(const Candidate *candidate, const JoinKey *key, double rows)
{
	double distinct =
		estimate_num_groups(candidate->root, list_make1(key->outer), rows, NULL, NULL);
	VariableStatData variable;
	bool is_default;

	examine_variable(candidate->root, (Node *) key->outer, 0, &variable);
	(void) get_variable_numdistinct(&variable, &is_default);
	if (is_default && variable.rel != NULL && is_ours(variable.rel))
		distinct = Max(distinct, rows * DISTINCT_SHARE);
	ReleaseVariableStats(variable);
	return Min(Max(distinct, 1), rows);
}

static Effort
estimate_effort(const Candidate *candidate, const Path *outer, const JoinKey *key)
{
	const DvRel *dvrel = candidate->inner->fdw_private;
	double rows = Max(outer->rows, 1);
	double distinct = distinct_keys(candidate, key, rows);
	double per_batch;
	Effort effort;

	per_batch = Min(distinct, DV_KEY_JOIN_BATCH);
	effort.batches = ceil(rows / batch_rows(outer, distinct));
	effort.keys = Min(Max(effort.batches * per_batch, distinct), rows);
	effort.requests = Max(effort.batches, ceil(effort.keys / DV_KEY_JOIN_FIRST));
	effort.sent = Min(effort.keys * key->per_key, effort.batches * dvrel->remote_rows);
	effort.sent = Max(effort.sent, 1);
	return effort;
}

static void
set_costs(const Candidate *candidate, KeyJoinPath *join, const Path *outer, const Path *inner,
		  const Effort *effort)
{
	PlannerInfo *root = candidate->root;
	const DvRel *dvrel = candidate->inner->fdw_private;
	DvCost all =
		dv_rel_cost(root, candidate->inner, effort->sent, candidate->inner->baserestrictinfo);
	Path *path = &join->path.path;
	double rows = Max(outer->rows, 1);
	double first = Min(1, DV_KEY_JOIN_FIRST / rows);
	QualCost quals;

	cost_qual_eval(&quals, join->clauses, root);
	path->startup_cost = outer->startup_cost + (outer->total_cost - outer->startup_cost) * first +
						 inner->startup_cost + quals.startup + path->pathtarget->cost.startup;
	path->total_cost = outer->total_cost + quals.startup + path->pathtarget->cost.startup +
					   effort->requests * dvrel->table->settings.startup_cost +
					   (all.total - all.startup) + rows * (cpu_tuple_cost + 2 * cpu_operator_cost) +
					   effort->sent * (cpu_operator_cost + quals.per_tuple) +
					   path->rows * (cpu_tuple_cost + path->pathtarget->cost.per_tuple);
	path->total_cost = Max(path->total_cost, path->startup_cost);
}

/*
 * Path.
 */

static Plan *planKeyJoin(PlannerInfo *root, RelOptInfo *rel, CustomPath *best_path, List *tlist,
						 List *clauses, List *custom_plans);

static const CustomPathMethods path_methods = {
	.CustomName = DV_KEY_JOIN_NAME,
	.PlanCustomPath = planKeyJoin,
};

/* The outer side's cheapest path, unique if need be; NULL when it will not do. */
static Path *
outer_path(const Candidate *candidate)
{
	Path *path = candidate->outer->cheapest_total_path;

	if (path == NULL || bms_overlap(PATH_REQ_OUTER(path), candidate->inner->relids))
		return NULL;
	if (candidate->unique_outer)
		path = (Path *) create_unique_path(candidate->root, candidate->outer, path,
										   candidate->extra->sjinfo);
	return path;
}

/* May the join depend on these relations outside of it? As PostgreSQL asks for its own joins. */
static bool
outside_fits(const Candidate *candidate, Relids required)
{
	if (!bms_is_subset(candidate->joinrel->lateral_relids, required))
		return false;
	return bms_is_empty(required) || bms_overlap(required, candidate->extra->param_source_rels);
}

static void
add_key_join(const Candidate *candidate, const JoinKey *key)
{
	Path *outer = outer_path(candidate);
	KeyJoinPath *join;
	Path *path;
	Path *inner;
	Effort effort;
	Relids required;

	if (outer == NULL)
		return;
	effort = estimate_effort(candidate, outer, key);
	inner = dv_scan_plan_key_path(candidate->root, candidate->inner, key->list,
								  ceil(effort.sent / effort.batches));
	required = calc_non_nestloop_required_outer(outer, inner);
	if (!outside_fits(candidate, required))
		return;

	join = (KeyJoinPath *) newNode(sizeof(KeyJoinPath), T_CustomPath);
	path = &join->path.path;
	join->join = candidate->join;
	join->key = *key;
	join->clauses = list_copy(candidate->extra->restrictlist);
	path->pathtype = T_CustomScan;
	path->parent = candidate->joinrel;
	path->pathtarget = candidate->joinrel->reltarget;
	path->param_info =
		get_joinrel_parampathinfo(candidate->root, candidate->joinrel, outer, inner,
								  candidate->extra->sjinfo, required, &join->clauses);
	path->rows = path->param_info ? path->param_info->ppi_rows : candidate->joinrel->rows;
	dv_path_inherit_disabled(path, outer);
	join->path.flags = CUSTOMPATH_SUPPORT_PROJECTION;
	join->path.custom_paths = list_make2(outer, inner);
	join->path.methods = &path_methods;
	set_costs(candidate, join, outer, inner, &effort);
	add_path(candidate->joinrel, path);
}

static void
consider_key_join(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
				  RelOptInfo *innerrel, JoinType jointype, JoinPathExtraData *extra)
{
	Candidate candidate = {root, joinrel, outerrel, innerrel, JOIN_INNER, false, extra};
	JoinKey key;

	if (previous_hook != NULL)
		previous_hook(root, joinrel, outerrel, innerrel, jointype, extra);
	if (join_type(jointype, &candidate.join, &candidate.unique_outer) && is_possible(&candidate) &&
		find_key(&candidate, &key))
		add_key_join(&candidate, &key);
}

/*
 * Plan.
 */

/* Expressions that the children deliver: outer columns, then inner ones. */
static List *
delivered(List *plans)
{
	List *exprs = NIL;
	ListCell *lp;

	foreach (lp, plans)
	{
		ListCell *lt;

		foreach (lt, ((Plan *) lfirst(lp))->targetlist)
			exprs = lappend(exprs, copyObject(lfirst_node(TargetEntry, lt)->expr));
	}
	return exprs;
}

#define PULL_FLAGS (PVC_RECURSE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS | PVC_INCLUDE_PLACEHOLDERS)

/* What is read above the join; what a placeholder made here is made of included. */
static List *
read_above(RelOptInfo *rel, List *exprs)
{
	List *used = pull_var_clause((Node *) rel->reltarget->exprs, PULL_FLAGS);
	List *result = list_copy(used);
	ListCell *lc;

	foreach (lc, used)
	{
		PlaceHolderVar *placeholder = lfirst(lc);

		if (IsA(placeholder, PlaceHolderVar) &&
			dv_spelling_find(exprs, (Node *) placeholder) == NULL)
			result = list_concat(result, pull_var_clause((Node *) placeholder->phexpr, PULL_FLAGS));
	}
	return result;
}

/* The joined row: each expression spelt as it is read above. */
static List *
joined_tlist(List *exprs)
{
	List *tlist = NIL;
	ListCell *lc;

	foreach (lc, exprs)
		tlist =
			lappend(tlist, makeTargetEntry(lfirst(lc), foreach_current_index(lc) + 1, NULL, false));
	return tlist;
}

static List *
spelt_as_above(RelOptInfo *rel, List *exprs)
{
	List *above = read_above(rel, exprs);
	List *result = NIL;
	ListCell *lc;

	foreach (lc, exprs)
	{
		Node *same = dv_spelling_find(above, lfirst(lc));

		result = lappend(result, same ? copyObject(same) : lfirst(lc));
	}
	return result;
}

/* Conditions of the join beside the key, and those that filter what comes out of it. */
static void
sort_clauses(const KeyJoinPath *join, RelOptInfo *rel, List **conditions, List **filters)
{
	List *clauses = list_delete_ptr(list_copy(join->clauses), join->key.rinfo);

	*filters = NIL;
	if (IS_OUTER_JOIN(join->join))
		extract_actual_join_clauses(clauses, rel->relids, conditions, filters);
	else
		*conditions = extract_actual_clauses(clauses, false);
}

static List *
pack_private(const KeyJoinPath *join)
{
	DvKeyJoinPlan plan = {0};

	plan.join = join->join;
	plan.equality = join->key.equality;
	plan.collation = ((OpExpr *) join->key.rinfo->clause)->inputcollid;
	return dv_handoff_pack_key_join(&plan);
}

/* The key's equality, outer side first as in a hash join's plan; the planner writes it either way. */
static Expr *
key_condition(const JoinKey *key)
{
	OpExpr *clause = (OpExpr *) key->rinfo->clause;

	return make_opclause(key->equality, BOOLOID, false, key->outer, key->inner, InvalidOid,
						 clause->inputcollid);
}

static Plan *
planKeyJoin(PlannerInfo *root, RelOptInfo *rel, CustomPath *best_path, List *tlist, List *clauses,
			List *custom_plans)
{
	const KeyJoinPath *join = (KeyJoinPath *) best_path;
	CustomScan *scan = makeNode(CustomScan);
	List *spelling = spelt_as_above(rel, delivered(custom_plans));
	List *exprs = list_make3(join->key.outer, join->key.inner, key_condition(&join->key));
	List *conditions;
	List *filters;

	sort_clauses(join, rel, &conditions, &filters);
	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = dv_spelling_apply(filters, spelling);
	scan->flags = best_path->flags;
	scan->custom_plans = custom_plans;
	scan->custom_exprs = dv_spelling_apply(list_concat(exprs, conditions), spelling);
	scan->custom_private = pack_private(join);
	scan->custom_scan_tlist = joined_tlist(spelling);
	scan->methods = GetCustomScanMethods(DV_KEY_JOIN_NAME, false);
	return &scan->scan.plan;
}

void
dv_keyjoin_plan_init(void)
{
	DefineCustomBoolVariable(
		"dataverse_fdw.enable_key_join",
		"Enables the planner's use of joins that send the keys of many rows in one request.", NULL,
		&enable_key_join, true, PGC_USERSET, GUC_EXPLAIN, NULL, NULL, NULL);
	previous_hook = set_join_pathlist_hook;
	set_join_pathlist_hook = consider_key_join;
}
