/*
 * modify_plan.c
 *	  Target columns, key and write mode.
 *
 * An INSERT is an upsert by the alternate key when the table names one, else a
 * create.  The columns that count as given are those the statement names (or
 * that have a local default): PostgreSQL hands us a row of all columns, and
 * sending the NULLs of the ones nobody mentioned would clear them in rows that
 * exist.  Columns not given travel only when something (a trigger) gave them a
 * value all the same; the executor sees to that.
 *
 * UPDATE and DELETE address rows by the primary id, which therefore must be a
 * column of the table.  Key columns may be changed, since they are not the
 * address.
 *
 * No request is made here.
 */
#include "postgres.h"

#include "compat.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "optimizer/appendinfo.h"
#include "optimizer/inherit.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "parser/parsetree.h"
#include "utils/rel.h"

#include "handoff.h"
#include "plan/modify_plan.h"
#include "remote/options.h"
#include "writerules.h"

static void
add_identity(PlannerInfo *root, Index rtindex, const DvColumn *column)
{
	Var *var =
		makeVar(rtindex, column->attnum, column->typid, column->typmod, column->collation, 0);

	add_row_identity_var(root, var, rtindex, DV_WRITERULES_NAME(column));
}

/* The row's version rides in its ctid. */
static void
add_version(PlannerInfo *root, Index rtindex, const DvTable *table)
{
	/* Sheet 13.1 and 13.2: versions that are no numbers, or none. */
	if (table->table_type != DV_TABLE_STANDARD)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("rows of foreign table \"%s\" have no versions to compare", table->name),
				 errhint("Only standard tables do: set the option "
						 "\"optimistic_concurrency\" of this one to false.")));
	add_row_identity_var(
		root, makeVar(rtindex, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0), rtindex,
		DV_WRITERULES_ETAG);
}

void
dataverseAddForeignUpdateTargets(PlannerInfo *root, Index rtindex, RangeTblEntry *target_rte,
								 Relation target_relation)
{
	DvTable *table = dv_options_table(RelationGetRelid(target_relation));
	const DvColumn *id;
	const DvColumn *partition;

	dv_writerules_identity(table, &id, &partition);
	if (id == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
						errmsg("foreign table \"%s\" has no column for the primary id of its rows",
							   table->name),
						errhint("Add a uuid column with option column_name '%s'.",
								table->primary_id ? table->primary_id : "<primary id>")));
	/* The id alone is the address of the row whose partition is its id (sheet 13.1): another one. */
	if (table->table_type == DV_TABLE_ELASTIC && partition == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
				 errmsg("foreign table \"%s\" has no column for the partition of its rows",
						table->name),
				 errhint("Rows of elastic tables are addressed by id and partition: add a text "
						 "column with option column_name 'partitionid'.")));
	add_identity(root, rtindex, id);
	if (partition != NULL)
		add_identity(root, rtindex, partition);
	if (table->settings.optimistic)
		add_version(root, rtindex, table);

	/*
	 * A deleted row cannot be read again: RETURNING shows it as the scan saw
	 * it.  Same name and type as where PostgreSQL adds this for triggers.
	 */
	if (root->parse->commandType == CMD_DELETE && root->parse->returningList != NIL)
		add_row_identity_var(root,
							 makeVar(rtindex, InvalidAttrNumber, RECORDOID, -1, InvalidOid, 0),
							 rtindex, "wholerow");
}

static bool
update_trigger_may_change(Relation rel)
{
	return rel->trigdesc && rel->trigdesc->trig_update_before_row;
}

/* Throws for a column that the statement sets and that cannot be set. */
static void
check_settable(const DvTable *table, const DvColumn *column, bool is_partition)
{
	const char *reason;

	if (column->label_of && column->read_only)
		reason = "it is the label of a column that is not written";
	else if (column->is_primary_id)
		reason = "it is the primary id";
	else if (is_partition)
		reason = "it is the partition of the row";
	else if (column->read_only)
		reason = "it has option read_only";
	else
		return;
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
					errmsg("column \"%s\" of foreign table \"%s\" cannot be set: %s", column->name,
						   table->name, reason)));
}

/* Columns that the INSERT names or that have a default: the planner's NULLs are not in here. */
static List *
insert_columns(PlannerInfo *root, const DvTable *table)
{
	Bitmapset *given = NULL;
	List *attnums = NIL;
	ListCell *lc;

	foreach (lc, root->parse->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk)
			given = bms_add_member(given, tle->resno);
	}
	for (int i = 0; i < table->ncolumns; i++)
	{
		const DvColumn *column = &table->columns[i];

		if (bms_is_member(column->attnum, given) && dv_writerules_sendable(column, false))
			attnums = lappend_int(attnums, column->attnum);
	}
	return attnums;
}

static bool
is_named(const DvColumn *column, const Bitmapset *updated)
{
	return bms_is_member(column->attnum - FirstLowInvalidHeapAttributeNumber, updated);
}

/* The lookup that a companion column names the table of must be set together with it. */
static void
check_companion(const DvTable *table, const DvColumn *companion, const Bitmapset *updated)
{
	const DvColumn *lookup = dv_table_column_logical(table, companion->target_of);

	for (int i = 0; i < table->ncolumns; i++)
	{
		const DvColumn *column = &table->columns[i];

		if ((dv_writerules_own(column) || column->key_of) &&
			strcmp(column->logical, companion->target_of) == 0 && is_named(column, updated))
			return;
	}
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
					errmsg("column \"%s\" of foreign table \"%s\" cannot be set alone",
						   companion->name, table->name),
					errhint("It names the table that \"%s\" points to: set both.",
							lookup ? lookup->name : companion->target_of)));
}

/*
 * A column that the statement does not set and that travels only since a
 * trigger may have changed it.  Labels and keys of targets say again what the
 * row had before, and so does a value that the statement sets by one of those.
 */
static bool
goes_along(const DvTable *table, const DvColumn *column, const Bitmapset *updated)
{
	if (!dv_writerules_own(column))
		return false;
	for (int i = 0; i < table->ncolumns; i++)
	{
		const DvColumn *other = &table->columns[i];

		if (dv_writerules_partners(other, column) && is_named(other, updated))
			return false;
	}
	return true;
}

static void
update_columns(DvModifyPlan *out, PlannerInfo *root, Index resultRelation, Relation rel,
			   const DvTable *table)
{
	Bitmapset *updated = get_rel_all_updated_cols(root, find_base_rel(root, resultRelation));
	bool all = update_trigger_may_change(rel);
	const DvColumn *id;
	const DvColumn *partition;

	/* Part of the address: it never changes, and the service ignores a value for it (sheet 13.1). */
	dv_writerules_identity(table, &id, &partition);
	for (int i = 0; i < table->ncolumns; i++)
	{
		const DvColumn *column = &table->columns[i];
		bool named = is_named(column, updated);

		if (named && column->target_of)
			check_companion(table, column, updated);
		else if (named)
			check_settable(table, column, column == partition);
		if (!(named || (all && goes_along(table, column, updated))) || column == partition ||
			!dv_writerules_sendable(column, true))
			continue;
		out->attnums = lappend_int(out->attnums, column->attnum);
		if (!named && !column->generated)
			out->triggered = lappend_int(out->triggered, column->attnum);
	}
}

static bool
has_after_row_trigger(Relation rel, CmdType operation)
{
	const TriggerDesc *triggers = rel->trigdesc;

	if (triggers == NULL)
		return false;
	return (operation == CMD_INSERT && triggers->trig_insert_after_row) ||
		   (operation == CMD_UPDATE && triggers->trig_update_after_row) ||
		   (operation == CMD_DELETE && triggers->trig_delete_after_row);
}

/* Fills returning and has_returning: who wants to see the row as it is now, and which columns of it. */
static void
find_returning(DvModifyPlan *out, ModifyTable *plan, Index resultRelation, int subplan_index,
			   Relation rel, const DvTable *table)
{
	Bitmapset *wanted = NULL;
	bool whole = has_after_row_trigger(rel, plan->operation);

	if (plan->returningLists)
		pull_varattnos((Node *) list_nth(plan->returningLists, subplan_index), resultRelation,
					   &wanted);
	if (plan->withCheckOptionLists)
		pull_varattnos((Node *) list_nth(plan->withCheckOptionLists, subplan_index), resultRelation,
					   &wanted);
	out->has_returning = whole || plan->returningLists != NIL || plan->withCheckOptionLists != NIL;
	whole = whole || bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, wanted);
	for (int i = 0; i < table->ncolumns; i++)
	{
		AttrNumber attnum = table->columns[i].attnum;

		if (whole || bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, wanted))
			out->returning = lappend_int(out->returning, attnum);
	}
}

static void
plan_insert(DvModifyPlan *out, PlannerInfo *root, ModifyTable *plan, const DvTable *table)
{
	bool nothing = plan->onConflictAction == ONCONFLICT_NOTHING;

	/* DO UPDATE never comes: foreign tables have no unique index to infer. */
	if (plan->onConflictAction != ONCONFLICT_NONE && !nothing)
		elog(ERROR, "unexpected ON CONFLICT specification: %d", (int) plan->onConflictAction);
	dv_writerules_insert(out, table, nothing);
	out->attnums = insert_columns(root, table);
}

DvModifyPlan *
dv_modify_plan_make(PlannerInfo *root, ModifyTable *plan, Index resultRelation, int subplan_index)
{
	RangeTblEntry *rte = planner_rt_fetch(resultRelation, root);
	Relation rel = table_open(rte->relid, NoLock);
	DvTable *table = dv_options_table(rte->relid);
	DvModifyPlan *out = palloc0(sizeof(DvModifyPlan));

	out->relid = rte->relid;
	switch (plan->operation)
	{
		case CMD_INSERT:
			plan_insert(out, root, plan, table);
			break;
		case CMD_UPDATE:
			out->mode = DV_WRITE_UPDATE;
			update_columns(out, root, resultRelation, rel, table);
			break;
		case CMD_DELETE:
			out->mode = DV_WRITE_DELETE;
			break;
		default:
			elog(ERROR, "unexpected operation: %d", (int) plan->operation);
	}
	find_returning(out, plan, resultRelation, subplan_index, rel, table);
	table_close(rel, NoLock);
	return out;
}

List *
dataversePlanForeignModify(PlannerInfo *root, ModifyTable *plan, Index resultRelation,
						   int subplan_index)
{
	return dv_handoff_pack_modify(dv_modify_plan_make(root, plan, resultRelation, subplan_index));
}

int
dataverseIsForeignRelUpdatable(Relation rel)
{
	/* The catalog's views ask it of every table: one that is broken must not break them. */
	return dv_options_updatable(RelationGetRelid(rel))
			   ? (1 << CMD_INSERT) | (1 << CMD_UPDATE) | (1 << CMD_DELETE)
			   : 0;
}
