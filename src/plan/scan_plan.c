/*
 * scan_plan.c
 *	  Size, paths and plan of a base scan.
 *
 * Paths: one plain; one sorted by the service when the query's order is one
 * that both sides agree on; and keyed ones, in which a join condition goes out
 * as a filter with the outer row's value in it.
 *
 * LIMIT stays a node of PostgreSQL's.  It reaches the scan as a number: when
 * the scan alone feeds it, in the right order, with nothing rechecked here, no
 * more rows are asked for than it will take.
 */
#include "postgres.h"

#include "compat.h"

#include "access/stratnum.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "utils/rel.h"
#include "utils/lsyscache.h"

#include "handoff.h"
#include "plan/join_plan.h"
#include "plan/rel.h"
#include "plan/scan_plan.h"
#include "plan/shipping.h"
#include "plan/upper_plan.h"

/* $top and one page hold at most this many rows (sheet 2.5). */
#define TOP_MAX 5000

/* Scans that are expected to be longer may be read in ranges. */
#define PAGES_READ_SERIALLY 3

void
dataverseGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
	dv_rel_init(root, baserel, foreigntableid);
}

/*
 * Order.
 */

/* <> ALL (empty array) is true of everything; IS DISTINCT FROM may be true of null. */
static bool
op_drops_nulls(DvFilterOp op)
{
	return op != DV_OP_IS_NULL && op != DV_OP_NOT_IN && op != DV_OP_DISTINCT &&
		   op != DV_OP_NOT_DISTINCT;
}

/* Does a condition that goes out and is exact drop rows in which the column is null? */
static bool
null_is_excluded(const DvRel *dvrel, const DvColumn *column)
{
	ListCell *lc;

	/* The service guarantees a value: IMPORT says NOT NULL only then. */
	if (column->notnull)
		return true;
	foreach (lc, dvrel->clauses)
	{
		const DvFilter *filter = ((DvRelClause *) lfirst(lc))->clause->filter;

		if (filter->kind == DV_FILTER_LEAF && filter->exactness == DV_EXACT &&
			op_drops_nulls(filter->op) && strcmp(filter->logical, column->logical) == 0)
			return true;
	}
	return false;
}

/* The column of this relation that a path key sorts by, or NULL. */
static DvColumn *
pathkey_column(const DvRel *dvrel, RelOptInfo *rel, PathKey *pathkey)
{
	EquivalenceMemberIterator members;
	EquivalenceMember *member;

	if (pathkey->pk_eclass->ec_has_volatile)
		return NULL;
	setup_eclass_member_iterator(&members, pathkey->pk_eclass, rel->relids);
	while ((member = eclass_member_iterator_next(&members)) != NULL)
	{
		DvColumn *column;

		if (member->em_is_const || !bms_equal(member->em_relids, rel->relids))
			continue;
		column = dv_translate_column(dvrel->table, rel->relid, member->em_expr);
		/* Read as another type, an integer as oid, it has another order. */
		if (column != NULL &&
			getBaseType(exprType((Node *) member->em_expr)) == getBaseType(column->typid))
			return column;
	}
	return NULL;
}

/*
 * The sort keys that stand for these path keys; NIL when the service's order is
 * not ours.  The place of nulls is not documented (sheet 15): a key has none,
 * or it is the first one, and its nulls are asked for by themselves.
 */
List *
dv_scan_plan_order(const DvRel *dvrel, RelOptInfo *rel, List *pathkeys)
{
	List *sortkeys = NIL;
	bool last = false;
	ListCell *lc;

	if (dvrel->table->table_type == DV_TABLE_VIRTUAL)
		return NIL;
	foreach (lc, pathkeys)
	{
		PathKey *pathkey = lfirst(lc);
		DvColumn *column = pathkey_column(dvrel, rel, pathkey);
		DvSortKey *key;

		if (column == NULL || last || !dv_shipping_sortable(column, &last))
			return NIL;
		key = palloc(sizeof(DvSortKey));
		key->property = column->property;
		key->descending = dv_pathkey_descending(pathkey);
		key->nullable = !null_is_excluded(dvrel, column);
		key->nulls_first = pathkey->pk_nulls_first;
		if (key->nullable && sortkeys != NIL)
			return NIL;
		sortkeys = lappend(sortkeys, key);
	}
	return sortkeys;
}

/*
 * Paths.
 */

static void
add_path_with(PlannerInfo *root, RelOptInfo *rel, List *pathkeys, List *sortkeys)
{
	const DvRel *dvrel = rel->fdw_private;
	DvCost cost = dv_rel_cost(root, rel, dvrel->remote_rows, rel->baserestrictinfo);
	ForeignPath *path;

	/* The service sorts with an index or pays for it: a little dearer than unsorted. */
	if (sortkeys != NIL)
		cost.total += dvrel->remote_rows * cpu_operator_cost;
	/* The rows without a first key are a request more. */
	if (sortkeys != NIL && ((DvSortKey *) linitial(sortkeys))->nullable)
		cost.total += dvrel->table->settings.startup_cost;
	path = dv_create_foreignscan_path(root, rel, rel->rows, cost.startup, cost.total, pathkeys,
									  rel->lateral_relids);
	add_path(rel, (Path *) path);
}

/* A scan parameterized by these outer relations: the join conditions they allow go out. */
static void
add_keyed_path(PlannerInfo *root, RelOptInfo *rel, Relids outer)
{
	const DvRel *dvrel = rel->fdw_private;
	ParamPathInfo *info = get_baserel_parampathinfo(root, rel, outer);
	List *sent = NIL;
	ListCell *lc;
	double rows;
	DvCost cost;

	foreach (lc, info->ppi_clauses)
	{
		RestrictInfo *rinfo = lfirst(lc);

		if (dv_rel_clause(rel, rinfo)->filter->exactness != DV_NONE)
			sent = lappend(sent, rinfo);
	}
	rows = clamp_row_est(dvrel->remote_rows *
						 clauselist_selectivity(root, sent, rel->relid, JOIN_INNER, NULL));
	rows = Max(rows, info->ppi_rows);
	cost = dv_rel_cost(root, rel, rows, list_concat_copy(rel->baserestrictinfo, info->ppi_clauses));
	add_path(rel, (Path *) dv_create_foreignscan_path(root, rel, info->ppi_rows, cost.startup,
													  cost.total, NIL, outer));
}

/* A join condition worth a keyed path: its outer relations, or NULL. */
static Relids
keyed_outer(RelOptInfo *rel, RestrictInfo *rinfo)
{
	Relids outer;

	if (!join_clause_is_movable_to(rinfo, rel) ||
		dv_rel_clause(rel, rinfo)->filter->exactness == DV_NONE)
		return NULL;
	outer = bms_union(rinfo->clause_relids, rel->lateral_relids);
	outer = bms_del_member(outer, rel->relid);
	return bms_is_empty(outer) ? NULL : outer;
}

static List *
append_outer(List *outers, Relids outer)
{
	ListCell *lc;

	if (outer == NULL)
		return outers;
	foreach (lc, outers)
	{
		if (bms_equal(lfirst(lc), outer))
			return outers;
	}
	return lappend(outers, outer);
}

/* For generate_implied_equalities_for_column: is this class member one of our columns? */
static bool
member_is_column(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec, EquivalenceMember *em,
				 void *arg)
{
	const DvRel *dvrel = rel->fdw_private;
	DvColumn *column = dv_translate_column(dvrel->table, rel->relid, em->em_expr);

	return column != NULL && column->attnum == *(AttrNumber *) arg;
}

static void
add_keyed_paths(PlannerInfo *root, RelOptInfo *rel)
{
	const DvRel *dvrel = rel->fdw_private;
	List *outers = NIL;
	ListCell *lc;

	foreach (lc, rel->joininfo)
		outers = append_outer(outers, keyed_outer(rel, lfirst(lc)));

	if (rel->has_eclass_joins)
	{
		for (int i = 0; i < dvrel->table->ncolumns; i++)
		{
			List *implied = generate_implied_equalities_for_column(root, rel, member_is_column,
																   &dvrel->table->columns[i].attnum,
																   rel->lateral_referencers);

			foreach (lc, implied)
				outers = append_outer(outers, keyed_outer(rel, lfirst(lc)));
		}
	}
	foreach (lc, outers)
		add_keyed_path(root, rel, lfirst(lc));
}

Path *
dv_scan_plan_key_path(PlannerInfo *root, RelOptInfo *rel, Expr *keys, double sent)
{
	DvCost cost = dv_rel_cost(root, rel, sent, rel->baserestrictinfo);
	ForeignPath *path = dv_create_foreignscan_path(root, rel, Min(sent, rel->rows), cost.startup,
												   cost.total, NIL, rel->lateral_relids);

	path->fdw_private = list_make1(keys);
	return (Path *) path;
}

/* Is this the target of an UPDATE or DELETE that must know which version it changes? */
static bool
reads_version(PlannerInfo *root, RelOptInfo *rel)
{
	const DvRel *dvrel = rel->fdw_private;
	Bitmapset *used = NULL;

	if (!dvrel->table->settings.optimistic || !bms_is_member(rel->relid, root->all_result_relids))
		return false;
	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &used);
	return bms_is_member(SelfItemPointerAttributeNumber - FirstLowInvalidHeapAttributeNumber, used);
}

void
dataverseGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
	List *sortkeys = NIL;

	/* Sorted rows may pass through a sort of our own, which keeps columns only. */
	if (!reads_version(root, baserel))
		sortkeys = dv_scan_plan_order(baserel->fdw_private, baserel, root->query_pathkeys);

	add_path_with(root, baserel, NIL, NIL);
	if (sortkeys != NIL)
		add_path_with(root, baserel, root->query_pathkeys, sortkeys);
	add_keyed_paths(root, baserel);
}

/*
 * Plan.
 */

/* The conditions of a plan, sorted by what becomes of them. */
typedef struct Conditions
{
	DvFilter *filter; /* AND of the sendable parts, slots renumbered */
	List *operands;   /* what the slots stand for */
	List *local;      /* Expr *: evaluated here */
	List *recheck;    /* Expr *: sent only; for EvalPlanQual */
	bool all_exact;
} Conditions;

static void
add_condition(Conditions *conditions, RelOptInfo *rel, RestrictInfo *rinfo)
{
	DvClause *clause = dv_rel_clause(rel, rinfo);
	DvFilter *sendable = dv_filter_sendable(clause->filter);

	if (clause->filter->exactness == DV_EXACT)
		conditions->recheck = lappend(conditions->recheck, rinfo->clause);
	else
	{
		conditions->local = lappend(conditions->local, rinfo->clause);
		conditions->all_exact = false;
	}
	if (sendable == NULL)
		return;
	sendable = dv_filter_shift_slots(sendable, list_length(conditions->operands));
	conditions->operands = list_concat(conditions->operands, list_copy(clause->operands));
	conditions->filter =
		conditions->filter ? dv_filter_and(conditions->filter, sendable) : sendable;
}

static void
sort_conditions(Conditions *conditions, RelOptInfo *rel, List *scan_clauses)
{
	ListCell *lc;

	memset(conditions, 0, sizeof(*conditions));
	conditions->all_exact = true;
	foreach (lc, scan_clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

		/* A condition without columns is a gate above the scan. */
		if (!rinfo->pseudoconstant)
			add_condition(conditions, rel, rinfo);
	}
}

/*
 * A key join's list goes out beside the other conditions; the join itself
 * compares.  Returns n for $n, 0 without such a list.
 */
static int
add_key_list(Conditions *conditions, const DvTable *table, RelOptInfo *rel, List *fdw_private)
{
	DvClause *clause;
	DvFilter *list;

	if (fdw_private == NIL)
		return 0;
	clause = dv_translate_clause(table, rel->relid, linitial(fdw_private));
	list = dv_filter_shift_slots(clause->filter, list_length(conditions->operands));
	Assert(list->kind == DV_FILTER_LEAF && list->op == DV_OP_IN);
	conditions->operands = list_concat(conditions->operands, clause->operands);
	conditions->filter = conditions->filter ? dv_filter_and(conditions->filter, list) : list;
	return list_length(conditions->operands);
}

static bool
has_row_triggers(Oid relid)
{
	Relation relation = table_open(relid, NoLock);
	const TriggerDesc *triggers = relation->trigdesc;
	bool result =
		triggers != NULL && (triggers->trig_update_before_row || triggers->trig_update_after_row);

	table_close(relation, NoLock);
	return result;
}

static bool
reads_whole_row(Node *node, Index relid)
{
	Bitmapset *used = NULL;

	pull_varattnos(node, relid, &used);
	return bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used);
}

/*
 * Core asks an updated foreign table for its whole row, to build the new row
 * from.  Only the columns that SET names are sent, so where nobody looks at
 * the rest of the new row (RETURNING, triggers, generated columns, the
 * query's own whole-row reference), reading it would be for nothing.
 */
static bool
whole_row_unused(PlannerInfo *root, const DvTable *table, RelOptInfo *rel)
{
	const Query *parse = root->parse;
	ListCell *lc;

	if (parse->commandType != CMD_UPDATE || !bms_is_member(rel->relid, root->all_result_relids) ||
		parse->returningList != NIL || parse->withCheckOptions != NIL ||
		has_row_triggers(table->relid) || reads_whole_row((Node *) parse->jointree, rel->relid))
		return false;
	for (int i = 0; i < table->ncolumns; i++)
	{
		if (table->columns[i].generated)
			return false;
	}
	foreach (lc, root->processed_tlist)
	{
		TargetEntry *entry = lfirst(lc);

		if (entry->resjunk && entry->resname != NULL && strcmp(entry->resname, "wholerow") == 0)
			continue;
		if (reads_whole_row((Node *) entry, rel->relid))
			return false;
	}
	return true;
}

/* Attributes whose values the plan above, or a local condition, reads. */
static List *
needed_attributes(PlannerInfo *root, const DvTable *table, RelOptInfo *rel, List *local)
{
	Bitmapset *used = NULL;
	List *attnums = NIL;
	bool whole_row;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &used);
	pull_varattnos((Node *) local, rel->relid, &used);
	whole_row = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used) &&
				!whole_row_unused(root, table, rel);

	for (int i = 0; i < table->ncolumns; i++)
	{
		AttrNumber attnum = table->columns[i].attnum;

		if (whole_row || bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, used))
			attnums = lappend_int(attnums, attnum);
	}
	return attnums;
}

static bool
is_constant(Node *node)
{
	return node == NULL || IsA(node, Const);
}

/*
 * Rows that a LIMIT directly above will take, or -1.  The planner has already
 * ruled out grouping, DISTINCT, window functions and set-returning functions
 * (it sets limit_tuples only without them); a join, a row lock or a missing
 * order may still need more rows than that.
 */
int64
dv_scan_plan_limit(PlannerInfo *root, RelOptInfo *rel, Path *path)
{
	const Query *parse = root->parse;

	if (root->limit_tuples < 1 || root->limit_tuples > (double) PG_INT32_MAX)
		return -1;
	/* WITH TIES may take more; anything but a constant was only estimated. */
	if (parse->limitOption != LIMIT_OPTION_COUNT || !is_constant(parse->limitCount) ||
		!is_constant(parse->limitOffset))
		return -1;
	if (IS_OTHER_REL(rel) || !bms_is_subset(root->all_baserels, rel->relids) ||
		root->rowMarks != NIL || path->param_info != NULL)
		return -1;
	if (!pathkeys_contained_in(root->query_pathkeys, path->pathkeys))
		return -1;
	return (int64) root->limit_tuples;
}

/*
 * The column by whose ranges this scan may be read side by side, or NULL: only
 * a scan of many pages whose rows are all wanted, in no order.  The ranges of
 * a date that the statement itself may move are none.
 */
static const DvColumn *
ranges_column(PlannerInfo *root, RelOptInfo *rel, const ForeignPath *path)
{
	const DvRel *dvrel = rel->fdw_private;
	const DvTable *table = dvrel->table;
	const DvColumn *column;

	if (!IS_SIMPLE_REL(rel) || table->table_type != DV_TABLE_STANDARD ||
		table->primary_id == NULL || table->settings.concurrency < 2 ||
		path->path.pathkeys != NIL || path->path.param_info != NULL || path->fdw_private != NIL ||
		root->tuple_fraction > 0 ||
		dvrel->remote_rows <= PAGES_READ_SERIALLY * (double) table->settings.fetch_size)
		return NULL;
	column = dv_table_partition(table);
	if (column != NULL && bms_is_member(rel->relid, root->all_result_relids) &&
		strcmp(column->logical, "createdon") != 0)
		return NULL;
	return column;
}

static void
plan_ranges(PlannerInfo *root, RelOptInfo *rel, const ForeignPath *path, DvScanPlan *plan)
{
	const DvRel *dvrel = rel->fdw_private;
	const DvColumn *column = ranges_column(root, rel, path);

	plan->rows = dvrel->remote_rows;
	plan->share = Min(1.0, dvrel->remote_rows / Max(rel->tuples, 1));
	if (column == NULL)
		return;
	plan->partition = column->attnum;
	plan->counted = dvrel->counted;
}

List *
dv_scan_plan_sort_keys(const DvRel *dvrel, RelOptInfo *rel, List *pathkeys)
{
	List *sortkeys;
	DvSortKey *key;

	if (pathkeys == NIL)
		return NIL;
	sortkeys = dv_scan_plan_order(dvrel, rel, pathkeys);
	if (sortkeys == NIL)
		elog(ERROR, "order of a sorted path cannot be sent");

	/* Paging needs an order without ties (sheet 2.5). */
	if (dvrel->table->primary_id != NULL)
	{
		key = palloc0(sizeof(DvSortKey));
		key->property = dvrel->table->primary_id;
		sortkeys = lappend(sortkeys, key);
	}
	return sortkeys;
}

/* A pushed aggregate has no answer to begin with, and is left to wait by itself. */
bool
dataverseIsForeignPathAsyncCapable(ForeignPath *path)
{
	RelOptInfo *rel = path->path.parent;

	return IS_SIMPLE_REL(rel) && ((DvRel *) rel->fdw_private)->table->settings.async_capable;
}

List *
dv_scan_plan_operand_types(List *operands)
{
	List *types = NIL;
	ListCell *lc;

	foreach (lc, operands)
		types = lappend_oid(types, exprType(lfirst(lc)));
	return types;
}

ForeignScan *
dataverseGetForeignPlan(PlannerInfo *root, RelOptInfo *rel, Oid foreigntableid,
						ForeignPath *best_path, List *tlist, List *scan_clauses, Plan *outer_plan)
{
	const DvRel *dvrel = rel->fdw_private;
	Conditions conditions;
	DvScanPlan plan;

	if (IS_UPPER_REL(rel))
		return dv_upper_plan_make(rel, tlist, outer_plan);
	if (IS_JOIN_REL(rel))
		return dv_join_plan_make(root, rel, best_path, tlist, outer_plan);
	sort_conditions(&conditions, rel, scan_clauses);

	memset(&plan, 0, sizeof(plan));
	plan.key_param = add_key_list(&conditions, dvrel->table, rel, best_path->fdw_private);
	plan.relid = foreigntableid;
	plan.entity_set = dvrel->table->entity_set;
	plan.attnums = needed_attributes(root, dvrel->table, rel, conditions.local);
	plan.filter = conditions.filter;
	plan.slot_types = dv_scan_plan_operand_types(conditions.operands);
	plan.sortkeys = dv_scan_plan_sort_keys(dvrel, rel, best_path->path.pathkeys);
	plan.limit = dv_scan_plan_limit(root, rel, &best_path->path);
	plan.exact_limit = plan.limit > 0 && plan.limit <= TOP_MAX && conditions.all_exact &&
					   dvrel->table->table_type == DV_TABLE_STANDARD;
	plan.page_size = dvrel->table->settings.fetch_size;
	plan_ranges(root, rel, best_path, &plan);
	plan.etag = reads_version(root, rel);

	return make_foreignscan(tlist, conditions.local, rel->relid, conditions.operands,
							dv_handoff_pack_scan(&plan), NIL, conditions.recheck, outer_plan);
}
