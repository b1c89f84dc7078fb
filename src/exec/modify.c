/*
 * modify.c
 *	  The modify callbacks: slots into bulk, results into slots.
 *
 * Rows gather in bulk, whatever statement they come from, and are written by
 * the time the node ends.  Only where somebody wants to see the row as it is
 * after the write (RETURNING, a row trigger, a view's check option) is each
 * row written at once, by the single-row requests.
 *
 * PostgreSQL's own batching of inserts is not used: it would hand over a
 * thousand copied slots at a time, and no transfer could go on while it
 * collects them, whereas bulk takes a row as soon as it is there.  So the batch
 * size we name is 1.
 *
 * A row that is left alone (ON CONFLICT DO NOTHING) or gone is not counted in
 * the command tag where rows go one by one; where they gather, the tag counts
 * what was handed over, since it is told before the last answers are in.
 */
#include "postgres.h"

#include "compat.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"

#include "exec/bulk.h"
#include "exec/convert.h"
#include "exec/encode.h"
#include "exec/modify.h"
#include "handoff.h"
#include "odata/page.h"
#include "remote/report.h"
#include "remote/sessionkey.h"
#include "writerules.h"

typedef struct Modify
{
	DvTable *table;
	DvModifyPlan *plan;
	DvBulk *bulk;
	bool at_once;             /* each row is written when it comes */
	DvModifyAccount *account; /* or NULL */

	/* RETURNING: the columns that the service must tell, and the id */
	int nasked;
	DvColumn **asked;
	DvConvert *convert;
	const DvColumn *id_column; /* INSERT: told by us where it is known; or NULL */
	DvConvert *id_convert;
} Modify;

/*
 * What RETURNING needs.
 */

static bool
is_insert(const DvModifyPlan *plan)
{
	return plan->mode == DV_WRITE_CREATE || plan->mode == DV_WRITE_UPSERT;
}

/* Columns wanted back whose values we do not know. */
static void
find_asked(Modify *modify)
{
	ListCell *lc;

	modify->asked = palloc(sizeof(DvColumn *) * (list_length(modify->plan->returning) + 1));
	if (!modify->plan->has_returning || modify->plan->mode == DV_WRITE_DELETE)
		return;
	foreach (lc, modify->plan->returning)
	{
		DvColumn *column = dv_table_column(modify->table, lfirst_int(lc));

		if (column && !dv_encode_sends(modify->table, modify->plan, column))
			modify->asked[modify->nasked++] = column;
	}
	if (modify->nasked > 0)
		modify->convert = dv_convert_prepare(modify->table, modify->asked, modify->nasked);
}

/* Properties for $select: each once, annotations by the column they belong to. */
static const char *
select_list(const Modify *modify, bool *labels)
{
	const char *const *properties = dv_convert_properties(modify->convert);
	List *names = NIL;
	ListCell *lc;
	StringInfoData out;

	initStringInfo(&out);
	*labels = false;
	for (int i = 0; i < modify->nasked; i++)
	{
		size_t len = strcspn(properties[i], "@");

		*labels = *labels || properties[i][len] != '\0';
		names = list_append_unique(names, makeString(pnstrdup(properties[i], len)));
	}
	foreach (lc, names)
		appendStringInfo(&out, "%s%s", out.len > 0 ? "," : "", strVal(lfirst(lc)));
	return out.data;
}

/*
 * Beginning.
 */

/*
 * An INSERT that reads the table it fills must not meet its own rows: pages are
 * read by id, and new ids are the greatest, so that it would never end.
 */
static bool
reads_target(EState *estate, const ResultRelInfo *rinfo, Oid relid)
{
	int n = 0;
	ListCell *lc;

	foreach (lc, estate->es_range_table)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		n += rte->rtekind == RTE_RELATION && rte->relid == relid;
	}
	/* A partition that rows are routed to is not in the range table as such. */
	return n > (rinfo->ri_RangeTableIndex != 0 ? 1 : 0);
}

static AttrNumber
find_junk(ModifyTableState *mtstate, const char *name)
{
	Plan *subplan = outerPlanState(mtstate)->plan;
	AttrNumber attno = ExecFindJunkAttributeInTlist(subplan->targetlist, name);

	if (!AttributeNumberIsValid(attno))
		elog(ERROR, "could not find junk column \"%s\"", name);
	return attno;
}

/* Where UPDATE and DELETE find what tells their rows. */
static void
find_rows(ModifyTableState *mtstate, const Modify *modify, DvBulkSpec *spec)
{
	const DvColumn *id;
	const DvColumn *partition;

	dv_writerules_identity(modify->table, &id, &partition);
	spec->id_attno = find_junk(mtstate, DV_WRITERULES_NAME(id));
	if (partition != NULL)
		spec->partition_attno = find_junk(mtstate, DV_WRITERULES_NAME(partition));
	if (modify->table->settings.optimistic)
		spec->etag_attno = find_junk(mtstate, DV_WRITERULES_ETAG);
	/* Core adds it for the triggers, and notes its place only after us. */
	if (modify->plan->triggered != NIL)
		spec->old_attno = find_junk(mtstate, "wholerow");
}

/* Rows that are written when the statement ends cannot be read while it runs. */
static void
refuse_asking(const Modify *modify)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("column \"%s\" of foreign table \"%s\" is not known before the row is written",
					modify->asked[0]->name, modify->table->name),
			 errdetail("RETURNING, triggers and check options see rows of option transaction "
					   "'statement' as they are sent, at the end of the statement."),
			 errhint("Return columns that the statement sets, or set the option to none.")));
}

static DvModifyAccount *
find_account(const EState *estate)
{
	EphemeralNamedRelation found =
		estate->es_queryEnv ? get_ENR(estate->es_queryEnv, DV_MODIFY_ACCOUNT) : NULL;

	return found ? found->reldata : NULL;
}

static void
begin(EState *estate, ResultRelInfo *rinfo, Modify *modify, DvBulkSpec *spec)
{
	DvModifyPlan *plan = modify->plan;

	find_asked(modify);
	modify->at_once = plan->has_returning;
	if (is_insert(plan))
	{
		const DvColumn *partition;

		dv_writerules_identity(modify->table, &modify->id_column, &partition);
	}
	if (modify->id_column)
		modify->id_convert =
			dv_convert_prepare(modify->table, (DvColumn *const *) &modify->id_column, 1);
	if (modify->nasked > 0 && modify->table->settings.atomic)
		refuse_asking(modify);
	if (modify->nasked > 0)
		spec->returning = select_list(modify, &spec->labels);
	spec->service =
		dv_service_open(modify->table->serverid, ExecGetResultRelCheckAsUser(rinfo, estate));
	spec->table = modify->table;
	spec->plan = plan;
	spec->desc = RelationGetDescr(rinfo->ri_RelationDesc);
	spec->owner = estate;
	modify->account = find_account(estate);
	spec->own_ids = modify->account && modify->account->own_ids;
	spec->hold = is_insert(plan) && reads_target(estate, rinfo, modify->table->relid);
	modify->bulk = dv_bulk_begin(spec);
	rinfo->ri_FdwState = modify;
}

void
dv_modify_choose_key(ModifyTableState *mtstate, DvTable *table, DvModifyPlan *plan)
{
	const ModifyTable *node = (ModifyTable *) mtstate->ps.plan;

	dv_sessionkey_apply(table);
	dv_writerules_insert(plan, table, node && node->onConflictAction == ONCONFLICT_NOTHING);
}

void
dataverseBeginForeignModify(ModifyTableState *mtstate, ResultRelInfo *rinfo, List *fdw_private,
							int subplan_index, int eflags)
{
	EState *estate = mtstate->ps.state;
	MemoryContext old;
	Modify *modify;
	DvBulkSpec spec = {0};

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	old = MemoryContextSwitchTo(estate->es_query_cxt);
	modify = palloc0(sizeof(Modify));
	modify->table = dv_options_table(RelationGetRelid(rinfo->ri_RelationDesc));
	modify->plan = dv_handoff_unpack_modify(fdw_private);
	if (is_insert(modify->plan))
		dv_modify_choose_key(mtstate, modify->table, modify->plan);
	else
		find_rows(mtstate, modify, &spec);
	begin(estate, rinfo, modify, &spec);
	MemoryContextSwitchTo(old);
}

/*
 * Does the statement give the column's value?  A row that an UPDATE moves here
 * comes whole, so all of it counts, but of a value in several columns (a choice
 * and its label) only those that the UPDATE sets, if it does: the others say
 * what the row had before.
 */
static bool
is_given(const DvTable *table, const DvColumn *column, bool moved, const Bitmapset *named)
{
	if (bms_is_member(column->attnum - FirstLowInvalidHeapAttributeNumber, named))
		return true;
	if (!moved || !dv_writerules_own(column))
		return false;
	for (int i = 0; i < table->ncolumns; i++)
	{
		const DvColumn *other = &table->columns[i];

		if (dv_writerules_partners(other, column) &&
			bms_is_member(other->attnum - FirstLowInvalidHeapAttributeNumber, named))
			return false;
	}
	return true;
}

/* COPY and routed partitions: what the planner would have said. */
static DvModifyPlan *
plan_without_planner(ModifyTableState *mtstate, ResultRelInfo *rinfo, DvTable *table)
{
	ModifyTable *node = (ModifyTable *) mtstate->ps.plan;
	bool moved = node && node->operation == CMD_UPDATE; /* a whole row, from another partition */
	Bitmapset *named = moved ? ExecGetAllUpdatedCols(rinfo, mtstate->ps.state)
							 : ExecGetInsertedCols(rinfo, mtstate->ps.state);
	DvModifyPlan *plan = palloc0(sizeof(DvModifyPlan));

	plan->relid = table->relid;
	dv_modify_choose_key(mtstate, table, plan);
	plan->has_returning = rinfo->ri_returningList != NIL || rinfo->ri_WithCheckOptions != NIL ||
						  (rinfo->ri_TrigDesc && rinfo->ri_TrigDesc->trig_insert_after_row);
	for (int i = 0; i < table->ncolumns; i++)
	{
		const DvColumn *column = &table->columns[i];

		if (plan->has_returning)
			plan->returning = lappend_int(plan->returning, column->attnum);
		if (dv_writerules_sendable(column, false) && is_given(table, column, moved, named))
			plan->attnums = lappend_int(plan->attnums, column->attnum);
	}
	return plan;
}

void
dataverseBeginForeignInsert(ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	EState *estate = mtstate->ps.state;
	ModifyTable *node = (ModifyTable *) mtstate->ps.plan;
	MemoryContext old;
	Modify *modify;
	DvBulkSpec spec = {0};

	/* One relation cannot have the states of an UPDATE and of an INSERT at a time. */
	if (rinfo->ri_FdwState != NULL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot route tuples into foreign table to be updated \"%s\"",
							   RelationGetRelationName(rinfo->ri_RelationDesc))));
	if (node && node->onConflictAction == ONCONFLICT_UPDATE)
		elog(ERROR, "unexpected ON CONFLICT specification: %d", (int) node->onConflictAction);
	old = MemoryContextSwitchTo(estate->es_query_cxt);
	modify = palloc0(sizeof(Modify));
	modify->table = dv_options_table(RelationGetRelid(rinfo->ri_RelationDesc));
	modify->plan = plan_without_planner(mtstate, rinfo, modify->table);
	begin(estate, rinfo, modify, &spec);
	MemoryContextSwitchTo(old);
}

/*
 * Results into slots.
 */

/* Replaces values of a slot that holds the row as it was sent. */
static void
replace_values(TupleTableSlot *slot, Datum *values, bool *isnull)
{
	Oid relid = slot->tts_tableOid;
	HeapTuple tuple = heap_form_tuple(slot->tts_tupleDescriptor, values, isnull);

	ExecForceStoreHeapTuple(tuple, slot, false);
	ExecMaterializeSlot(slot);
	slot->tts_tableOid = relid;
}

static void
read_answer(const Modify *modify, const DvBulkRow *row, Datum *values, bool *isnull)
{
	DvField *fields = palloc0(sizeof(DvField) * modify->nasked);
	DvPage *page = dv_page_open(row->answer, row->answer_len, PG_UTF8, true,
								dv_convert_properties(modify->convert), modify->nasked);
	DvError error = {0};

	if (!dv_page_row(page, fields, &error))
	{
		if (error.kind == DV_ERROR_NONE)
			dv_error_set(&error, DV_ERROR_PROTOCOL, "the answer holds no row");
		dv_report(&error, &(DvReportContext){.what = psprintf("could not read a row of foreign "
															  "table \"%s\" that was written",
															  modify->table->name)});
	}
	for (int i = 0; i < modify->nasked; i++)
	{
		int place = modify->asked[i]->attnum - 1;

		values[place] = dv_convert_in(modify->convert, i, &fields[i], NULL, &isnull[place]);
	}
	dv_page_close(page);
}

static void
read_id(const Modify *modify, const char *id, Datum *values, bool *isnull)
{
	DvField field = {.kind = DV_FIELD_STRING, .text = id, .len = (int) strlen(id)};
	int place = modify->id_column->attnum - 1;

	values[place] = dv_convert_in(modify->id_convert, 0, &field, NULL, &isnull[place]);
}

static void
fill_slot(EState *estate, const Modify *modify, const DvBulkRow *row, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
	int natts = slot->tts_tupleDescriptor->natts;
	Datum *values = palloc(sizeof(Datum) * natts);
	bool *isnull = palloc(sizeof(bool) * natts);

	slot_getallattrs(slot);
	memcpy(values, slot->tts_values, sizeof(Datum) * natts);
	memcpy(isnull, slot->tts_isnull, sizeof(bool) * natts);
	if (row->answer)
		read_answer(modify, row, values, isnull);
	if (modify->id_column && row->id)
		read_id(modify, row->id, values, isnull);
	replace_values(slot, values, isnull);
	MemoryContextSwitchTo(old);
}

/* A deleted row as the scan saw it: it came along as a whole. */
static void
fill_deleted(ResultRelInfo *rinfo, TupleTableSlot *slot, TupleTableSlot *planslot)
{
	bool isnull;
	Datum whole;
	HeapTupleData tuple;

	if (!AttributeNumberIsValid(rinfo->ri_RowIdAttNo))
		return;
	whole = ExecGetJunkAttribute(planslot, rinfo->ri_RowIdAttNo, &isnull);
	if (isnull)
		return;
	memset(&tuple, 0, sizeof(tuple));
	tuple.t_data = DatumGetHeapTupleHeader(whole);
	tuple.t_len = HeapTupleHeaderGetDatumLength(tuple.t_data);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = RelationGetRelid(rinfo->ri_RelationDesc);
	ExecForceStoreHeapTuple(&tuple, slot, false);
	ExecMaterializeSlot(slot);
}

/*
 * Rows.
 */

static TupleTableSlot *
write_row(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot, TupleTableSlot *planslot)
{
	Modify *modify = rinfo->ri_FdwState;
	DvBulkRow row;

	if (!modify->at_once)
	{
		dv_bulk_add(modify->bulk, slot, planslot);
		return slot;
	}
	dv_bulk_one(modify->bulk, slot, planslot, &row);
	if (!row.written)
		return NULL;
	if (modify->plan->mode == DV_WRITE_DELETE)
		fill_deleted(rinfo, slot, planslot);
	else if (row.answer || (modify->id_column && row.id))
		fill_slot(estate, modify, &row, slot);
	return slot;
}

TupleTableSlot *
dataverseExecForeignInsert(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot,
						   TupleTableSlot *planSlot)
{
	return write_row(estate, rinfo, slot, planSlot);
}

TupleTableSlot *
dataverseExecForeignUpdate(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot,
						   TupleTableSlot *planSlot)
{
	return write_row(estate, rinfo, slot, planSlot);
}

TupleTableSlot *
dataverseExecForeignDelete(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot,
						   TupleTableSlot *planSlot)
{
	return write_row(estate, rinfo, slot, planSlot);
}

/* Called only with a batch size above 1, which we never name; correct all the same. */
TupleTableSlot **
dataverseExecForeignBatchInsert(EState *estate, ResultRelInfo *rinfo, TupleTableSlot **slots,
								TupleTableSlot **planSlots, int *numSlots)
{
	int written = 0;

	for (int i = 0; i < *numSlots; i++)
		written += write_row(estate, rinfo, slots[i], planSlots[i]) != NULL;
	*numSlots = written;
	return slots;
}

int
dataverseGetForeignModifyBatchSize(ResultRelInfo *rinfo)
{
	return 1;
}

const DvCounters *
dv_modify_counters(ResultRelInfo *rinfo)
{
	Modify *modify = rinfo->ri_FdwState;

	if (modify == NULL)
		return NULL;
	dv_bulk_flush(modify->bulk);
	return dv_bulk_counters(modify->bulk);
}

void
dataverseEndForeignModify(EState *estate, ResultRelInfo *rinfo)
{
	Modify *modify = rinfo->ri_FdwState;

	if (modify == NULL)
		return;
	rinfo->ri_FdwState = NULL;
	if (modify->account)
	{
		dv_bulk_flush(modify->bulk);
		modify->account->written += dv_bulk_written(modify->bulk);
		modify->account->skipped += dv_bulk_skipped(modify->bulk);
		modify->account->refused += dv_bulk_refused(modify->bulk);
	}
	dv_bulk_end(modify->bulk);
}

void
dataverseEndForeignInsert(EState *estate, ResultRelInfo *rinfo)
{
	dataverseEndForeignModify(estate, rinfo);
}
