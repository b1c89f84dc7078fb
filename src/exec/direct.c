/*
 * direct.c
 *	  UPDATE and DELETE that a foreign scan carries out itself.
 *
 * All rows become the same: what SET gives is evaluated once, into one slot,
 * and handed to bulk for each row's id.  The ids stand in the condition, or a
 * scan of nothing but ids reads them; a row may also be known by its key.  Everything else about writing, from
 * batches to errors and rows that are gone, is bulk's.
 *
 * Unlike rows that come through the executor, these are all written, and
 * answered for, before the node returns, so that the command tag is the number
 * of rows written, or found to be as they are to be.
 */
#include "postgres.h"

#include "compat.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/uuid.h"

#include "exec/bulk.h"
#include "exec/convert.h"
#include "exec/direct.h"
#include "exec/operand.h"
#include "handoff.h"
#include "odata/filter.h"
#include "odata/url.h"
#include "writerules.h"

typedef struct Direct
{
	DvScanPlan *scan_plan;
	DvDirectPlan *plan;
	DvTable *table;
	const DvColumn *id;
	MemoryContext context;
	DvOperands *operands; /* of the condition */
	List *assignments;    /* ExprState *, as plan->assigned */
	TupleTableSlot *row;  /* what every row becomes */
	DvBulk *bulk;         /* NULL for EXPLAIN alone */
	void *scan;           /* scan.c's state, when rows are read; or NULL */
	bool done;
} Direct;

/*
 * Beginning and end.
 */

/* Calls into scan.c find its own state in the node. */
static void
lend_node(ForeignScanState *node, Direct *direct)
{
	node->fdw_state = direct->scan;
}

static void
take_node_back(ForeignScanState *node, Direct *direct)
{
	direct->scan = node->fdw_state;
	node->fdw_state = direct;
}

/* The operands come first in fdw_exprs, then what SET gives. */
static void
prepare_expressions(ForeignScanState *node, Direct *direct)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	int noperands = list_length(plan->fdw_exprs) - list_length(direct->plan->assigned);

	direct->operands =
		dv_operand_prepare(&node->ss.ps, direct->table, list_copy_head(plan->fdw_exprs, noperands),
						   list_make1(direct->scan_plan->filter));
	direct->assignments =
		ExecInitExprList(list_copy_tail(plan->fdw_exprs, noperands), &node->ss.ps);
}

static DvBulk *
begin_bulk(ForeignScanState *node, const Direct *direct)
{
	EState *estate = node->ss.ps.state;
	DvBulkSpec spec = {0};

	spec.service = dv_service_open(direct->table->serverid,
								   ExecGetResultRelCheckAsUser(node->resultRelInfo, estate));
	spec.table = direct->table;
	spec.plan = direct->plan->modify;
	spec.desc = direct->row->tts_tupleDescriptor;
	if (direct->plan->rows != DV_DIRECT_KEY)
		spec.id_attno = direct->id->attnum;
	spec.owner = estate;
	return dv_bulk_begin(&spec);
}

void
dataverseBeginDirectModify(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	EState *estate = node->ss.ps.state;
	MemoryContext context = AllocSetContextCreate(
		estate->es_query_cxt, "dataverse_fdw direct modification", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	Direct *direct = palloc0(sizeof(Direct));
	Relation rel = node->resultRelInfo->ri_RelationDesc;
	const DvColumn *partition;

	direct->context = context;
	direct->scan_plan = dv_handoff_unpack_scan(plan->fdw_private);
	direct->plan = dv_handoff_unpack_direct(direct->scan_plan->direct);
	direct->table = dv_options_table(RelationGetRelid(rel));
	dv_writerules_identity(direct->table, &direct->id, &partition);
	/* A copy of the descriptor is not reference-counted: nothing to give back after an error. */
	direct->row =
		MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(rel)), &TTSOpsVirtual);
	prepare_expressions(node, direct);
	if (direct->plan->rows == DV_DIRECT_READ)
	{
		dataverseBeginForeignScan(node, eflags);
		take_node_back(node, direct);
	}
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0)
		direct->bulk = begin_bulk(node, direct);
	node->fdw_state = direct;
	MemoryContextSwitchTo(before);
}

void
dataverseEndDirectModify(ForeignScanState *node)
{
	Direct *direct = node->fdw_state;

	/* Begin may have failed. */
	if (direct == NULL)
		return;
	if (direct->bulk != NULL)
		dv_bulk_end(direct->bulk);
	if (direct->scan != NULL)
	{
		lend_node(node, direct);
		dataverseEndForeignScan(node);
	}
	node->fdw_state = NULL;
	MemoryContextDelete(direct->context);
}

/*
 * Rows.
 */

/* The one row that all rows become; its id is not set. */
static void
fill_row(ForeignScanState *node, Direct *direct)
{
	TupleTableSlot *row = direct->row;
	ListCell *lc;
	ListCell *lc2;

	ExecClearTuple(row);
	memset(row->tts_isnull, true, sizeof(bool) * row->tts_tupleDescriptor->natts);
	forboth (lc, direct->assignments, lc2, direct->plan->assigned)
	{
		int place = lfirst_int(lc2) - 1;

		row->tts_values[place] =
			ExecEvalExpr(lfirst(lc), node->ss.ps.ps_ExprContext, &row->tts_isnull[place]);
	}
	ExecStoreVirtualTuple(row);
}

/* The condition with its values: FALSE, or the leaf whose values are ids, or those of the key. */
static DvFilter *
bind_rows(ForeignScanState *node, const Direct *direct, bool known_only)
{
	DvValue **values =
		dv_operand_values(direct->operands, node->ss.ps.ps_ExprContext, NULL, known_only);

	return dv_filter_bind(direct->scan_plan->filter, (const DvValue *const *) values,
						  direct->operands->n);
}

static int
count_ids(const DvFilter *ids)
{
	if (ids->kind != DV_FILTER_LEAF)
		return 0;
	if (ids->value == NULL)
		return -1;
	return ids->value->isarray ? ids->value->nitems : 1;
}

static const char *
nth_id(const DvFilter *ids, int n)
{
	return ids->value->isarray ? ids->value->items[n] : ids->value->text;
}

static void
write_ids(ForeignScanState *node, Direct *direct)
{
	DvFilter *ids = bind_rows(node, direct, false);
	int n = count_ids(ids);
	TupleTableSlot *row = direct->row;
	int place = direct->id->attnum - 1;

	/* What the statement that calls us wrote goes first, as before a read. */
	if (n > 0)
		dv_bulk_flush_before_read(direct->table->serverid, node->ss.ps.state);
	for (int i = 0; i < n; i++)
	{
		pg_uuid_t id;

		if (!dv_convert_guid(nth_id(ids, i), strlen(nth_id(ids, i)), id.data))
			elog(ERROR, "\"%s\" is not a primary id", nth_id(ids, i));
		row->tts_values[place] = UUIDPGetDatum(&id);
		row->tts_isnull[place] = false;
		dv_bulk_add(direct->bulk, row, row);
	}
}

/* The leaves of a condition that is an alternate key; *n is 0 where no row can have it. */
static DvFilter **
key_leaves(DvFilter **filter, int *n)
{
	if ((*filter)->kind == DV_FILTER_LEAF)
	{
		*n = 1;
		return filter;
	}
	*n = (*filter)->kind == DV_FILTER_AND ? (*filter)->nargs : 0;
	return (*filter)->args;
}

/* One of the key's values; their types are few (plan/direct_plan.c). */
static Datum
key_value(const DvColumn *column, char *text)
{
	Oid input;
	Oid param;

	/* Dates are days since 1970 (literal.h). */
	if (column->type == DV_TYPE_DATE)
		return DateADTGetDatum(pg_strtoint32(text) - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE));
	getTypeInputInfo(column->typid, &input, &param);
	return OidInputFunctionCall(input, text, param, column->typmod);
}

static void
write_key(ForeignScanState *node, Direct *direct)
{
	DvFilter *key = bind_rows(node, direct, false);
	TupleTableSlot *row = direct->row;
	int n;
	DvFilter **leaves = key_leaves(&key, &n);

	if (n == 0)
		return;
	dv_bulk_flush_before_read(direct->table->serverid, node->ss.ps.state);
	for (int i = 0; i < n; i++)
	{
		const DvColumn *column = dv_table_column_logical(direct->table, leaves[i]->logical);

		row->tts_values[column->attnum - 1] = key_value(column, leaves[i]->value->text);
		row->tts_isnull[column->attnum - 1] = false;
	}
	dv_bulk_add(direct->bulk, row, row);
}

static void
write_read(ForeignScanState *node, Direct *direct)
{
	TupleTableSlot *row = direct->row;
	int place = direct->id->attnum - 1;

	while (true)
	{
		TupleTableSlot *found;

		ResetExprContext(node->ss.ps.ps_ExprContext);
		MemoryContextSwitchTo(node->ss.ps.ps_ExprContext->ecxt_per_tuple_memory);
		lend_node(node, direct);
		found = dataverseIterateForeignScan(node);
		take_node_back(node, direct);
		if (TupIsNull(found))
			return;
		/* So that a row that is refused can be told from the others. */
		row->tts_values[place] = slot_getattr(found, direct->id->attnum, &row->tts_isnull[place]);
		dv_bulk_add(direct->bulk, row, found);
	}
}

static void
write_all(ForeignScanState *node, Direct *direct)
{
	MemoryContext before = MemoryContextSwitchTo(direct->context);

	fill_row(node, direct);
	if (direct->plan->rows == DV_DIRECT_READ)
		write_read(node, direct);
	else if (direct->plan->rows == DV_DIRECT_IDS)
		write_ids(node, direct);
	else
		write_key(node, direct);
	MemoryContextSwitchTo(direct->context);
	dv_bulk_flush(direct->bulk);
	MemoryContextSwitchTo(before);
}

TupleTableSlot *
dataverseIterateDirectModify(ForeignScanState *node)
{
	Direct *direct = node->fdw_state;

	if (!direct->done)
	{
		int64 written;

		direct->done = true;
		write_all(node, direct);
		/* A row that is as it is to be counts as if it had been written. */
		written = dv_bulk_written(direct->bulk) + dv_bulk_counters(direct->bulk)->unchanged;
		if (direct->plan->counts)
			node->ss.ps.state->es_processed += written;
		if (node->ss.ps.instrument != NULL)
			node->ss.ps.instrument->tuplecount += written;
	}
	return ExecClearTuple(node->ss.ss_ScanTupleSlot);
}

/*
 * For EXPLAIN.
 */

static const char *
key_address(const Direct *direct, DvFilter **leaves, int n)
{
	DvKeyPart *parts = palloc(sizeof(DvKeyPart) * n);
	StringInfoData out;

	for (int i = 0; i < n; i++)
	{
		parts[i].property = leaves[i]->property;
		parts[i].edm = leaves[i]->value ? dv_type_edm(leaves[i]->type) : DV_EDM_GUID;
		parts[i].text =
			leaves[i]->value ? leaves[i]->value->text : psprintf("$%d", leaves[i]->slot + 1);
	}
	initStringInfo(&out);
	dv_url_key(&out, direct->table->entity_set, parts, n, false);
	return out.data;
}

/* The address of the only row, or of whatever row it will be; NULL when there are several. */
static const char *
one_address(const Direct *direct, const DvFilter *ids, int n)
{
	if (n == 1)
		return psprintf("%s(%s)", direct->table->entity_set, nth_id(ids, 0));
	if (n < 0 && ids->op == DV_OP_EQ)
		return psprintf("%s($%d)", direct->table->entity_set, ids->slot + 1);
	return NULL;
}

void
dv_direct_report(ForeignScanState *node, DvDirectReport *report)
{
	Direct *direct = node->fdw_state;

	report->table = direct->table;
	report->plan = direct->plan->modify;
	report->reads = direct->plan->rows == DV_DIRECT_READ;
	if (direct->bulk != NULL)
		report->counters = *dv_bulk_counters(direct->bulk);
	if (report->reads)
	{
		lend_node(node, direct);
		dv_scan_report(node, &report->read);
		take_node_back(node, direct);
	}
	else
	{
		DvFilter *rows = bind_rows(node, direct, direct->bulk == NULL);

		if (direct->plan->rows == DV_DIRECT_IDS)
		{
			report->ids = count_ids(rows);
			report->address = one_address(direct, rows, report->ids);
		}
		else
		{
			int n;
			DvFilter **leaves = key_leaves(&rows, &n);

			report->ids = n > 0 ? 1 : 0;
			report->address = n > 0 ? key_address(direct, leaves, n) : NULL;
		}
	}
}
