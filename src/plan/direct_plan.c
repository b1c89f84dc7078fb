/*
 * direct_plan.c
 *	  Which UPDATE and DELETE run without the executor going row by row.
 *
 * Two forms.  When the condition is nothing but a primary id, or a list of
 * them, or the alternate key, the rows are known without asking: no read.  When
 * it is any other condition that the service answers exactly, only the ids of
 * its rows are read.  In both, what SET gives is the same for all rows:
 * expressions without columns, evaluated once.
 *
 * Alternate keys with text in them do not count as known rows.  The service compares
 * them without case (sheet 1.5, 2.3.4), so that an address by key may be that
 * of a row which PostgreSQL's = does not mean.  Such rows are read, compared
 * here and written by their ids, which are the ordinary plan's two requests.
 *
 * Core has ruled out triggers for each row, check options and generated
 * columns.  RETURNING stays with the ordinary plan, which reads what it shows;
 * so do elastic tables, whose rows need a partition beside the id.
 */
#include "postgres.h"

#include "compat.h"

#include "catalog/pg_type.h"
#include "optimizer/appendinfo.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "handoff.h"
#include "plan/direct_plan.h"
#include "plan/modify_plan.h"
#include "remote/options.h"
#include "writerules.h"

/* The scan that feeds this target and nothing else, or NULL. */
static ForeignScan *
find_scan(ModifyTable *plan, Index target, int subplan_index)
{
	Plan *subplan = outerPlan(plan);

	/* What is above an Append only projects or decides whether it runs at all. */
	if (IsA(subplan, Result) && outerPlan(subplan) != NULL && IsA(outerPlan(subplan), Append))
		subplan = outerPlan(subplan);
	if (IsA(subplan, Append))
	{
		List *children = ((Append *) subplan)->appendplans;

		if (subplan_index >= list_length(children))
			return NULL;
		subplan = list_nth(children, subplan_index);
	}
	if (!IsA(subplan, ForeignScan) || ((Scan *) subplan)->scanrelid != target)
		return NULL;
	return (ForeignScan *) subplan;
}

static bool
same_for_all_rows(Expr *expr)
{
	return !contain_var_clause((Node *) expr) && !contain_volatile_functions((Node *) expr) &&
		   !contain_subplans((Node *) expr);
}

/* Fills the columns that SET names and what they become; false when a row matters to it. */
static bool
collect_assignments(PlannerInfo *root, Index target, List **attnums, List **exprs)
{
	List *tlist;
	List *colnos;
	ListCell *lc;
	ListCell *lc2;

	*attnums = NIL;
	*exprs = NIL;
	if (root->parse->commandType != CMD_UPDATE)
		return true;
	/* SET (a, b) = (SELECT ...) that depends on the row is a sub-plan among the junk. */
	foreach (lc, root->processed_tlist)
	{
		if (contain_subplans((Node *) lfirst_node(TargetEntry, lc)->expr))
			return false;
	}
	get_translated_update_targetlist(root, target, &tlist, &colnos);
	forboth (lc, tlist, lc2, colnos)
	{
		Expr *expr = lfirst_node(TargetEntry, lc)->expr;

		if (!same_for_all_rows(expr))
			return false;
		*attnums = lappend_int(*attnums, lfirst_int(lc2));
		*exprs = lappend(*exprs, expr);
	}
	return true;
}

/* Is the whole condition "primary id = value", or "= ANY (values)"? */
static bool
names_ids(const DvFilter *filter, const DvColumn *id)
{
	return filter != NULL && filter->kind == DV_FILTER_LEAF && filter->slot >= 0 &&
		   (filter->op == DV_OP_EQ || filter->op == DV_OP_IN) && filter->exactness == DV_EXACT &&
		   strcmp(filter->logical, id->logical) == 0;
}

/*
 * Types whose values an address compares as SQL does.  Not decimals, which the
 * service may round to the column's precision, nor times, of which it shows
 * whole seconds and may store more (sheet 3.1, 3.3).
 */
static bool
is_exact_key(DvType type, Oid column, Oid operand)
{
	column = getBaseType(column);
	operand = getBaseType(operand);
	switch (type)
	{
		case DV_TYPE_INTEGER:
		case DV_TYPE_PICKLIST:
			return (column == INT2OID || column == INT4OID || column == INT8OID) &&
				   (operand == INT2OID || operand == INT4OID || operand == INT8OID);
		case DV_TYPE_DATE:
			return column == DATEOID && operand == DATEOID;
		case DV_TYPE_LOOKUP:
			return column == UUIDOID && operand == UUIDOID;
		default:
			return false;
	}
}

/* Is there just one "column = value" for this column of the key among the conditions? */
static bool
names_key_column(const DvScanPlan *read, const DvColumn *column)
{
	int found = 0;

	for (int i = 0; i < read->filter->nargs; i++)
	{
		const DvFilter *leaf = read->filter->args[i];

		found +=
			leaf->kind == DV_FILTER_LEAF && leaf->op == DV_OP_EQ && leaf->slot >= 0 &&
			leaf->exactness == DV_EXACT && strcmp(leaf->logical, column->logical) == 0 &&
			is_exact_key(column->type, column->typid, list_nth_oid(read->slot_types, leaf->slot));
	}
	return found == 1;
}

/* Is the whole condition the table's alternate key, which SET leaves alone? */
static bool
names_key(const DvTable *table, const DvScanPlan *read, const List *assigned)
{
	DvFilter *only = read->filter;
	DvFilter alone = {.nargs = 1, .args = &only};
	DvScanPlan wrapped = *read;

	if (read->filter == NULL || table->nkeys == 0)
		return false;
	if (read->filter->kind == DV_FILTER_LEAF)
		wrapped.filter = &alone;
	else if (read->filter->kind != DV_FILTER_AND)
		return false;
	if (wrapped.filter->nargs != table->nkeys)
		return false;
	for (int i = 0; i < table->nkeys; i++)
	{
		const DvColumn *column = dv_table_column_named(table, table->keys[i]);

		/* A key column of the address is dropped from the body (sheet 4.3). */
		if (!names_key_column(&wrapped, column) || list_member_int(assigned, column->attnum))
			return false;
	}
	return true;
}

static DvDirectRows
known_rows(const DvTable *table, const DvColumn *id, const DvScanPlan *read, const List *assigned)
{
	if (names_ids(read->filter, id))
		return DV_DIRECT_IDS;
	return names_key(table, read, assigned) ? DV_DIRECT_KEY : DV_DIRECT_READ;
}

bool
dataversePlanDirectModify(PlannerInfo *root, ModifyTable *plan, Index resultRelation,
						  int subplan_index)
{
	ForeignScan *scan = find_scan(plan, resultRelation, subplan_index);
	DvTable *table = dv_options_table(planner_rt_fetch(resultRelation, root)->relid);
	DvDirectPlan direct = {0};
	const DvColumn *id;
	const DvColumn *partition;
	DvScanPlan *read;
	List *exprs;

	/* What is checked here needs the row here. */
	if (scan == NULL || scan->scan.plan.qual != NIL || plan->returningLists != NIL ||
		(plan->operation != CMD_UPDATE && plan->operation != CMD_DELETE) ||
		table->table_type == DV_TABLE_ELASTIC)
		return false;
	dv_writerules_identity(table, &id, &partition);
	if (id == NULL || getBaseType(id->typid) != UUIDOID ||
		!collect_assignments(root, resultRelation, &direct.assigned, &exprs))
		return false;
	direct.modify = dv_modify_plan_make(root, plan, resultRelation, subplan_index);
	if (direct.modify->has_returning)
		return false;

	read = dv_handoff_unpack_scan(scan->fdw_private);
	direct.counts = plan->canSetTag;
	direct.rows = known_rows(table, id, read, direct.assigned);
	/* Between the read and the write a row may change: the ordinary plan carries its version. */
	if (direct.rows == DV_DIRECT_READ && table->settings.optimistic)
		return false;
	read->attnums = list_make1_int(id->attnum);
	read->direct = dv_handoff_pack_direct(&direct);
	scan->operation = plan->operation;
	scan->resultRelation = resultRelation;
	scan->fdw_private = dv_handoff_pack_scan(read);
	scan->fdw_exprs = list_concat_copy(scan->fdw_exprs, exprs);
	return true;
}
