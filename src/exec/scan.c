/*
 * scan.c
 *	  Begin, iterate, rescan, end: the rows of a chain of pages in slots.
 *
 * Three lifetimes.  What the plan says is prepared once, in the scan's context.
 * A run is what one set of operand values leads to: addresses, pages, requests;
 * its context is deleted when a rescan starts another, and whatever is in
 * flight is cancelled with it.  A row lives in the executor's per-tuple
 * context, which is current when Iterate is called.
 *
 * The network is touched at the first Iterate, never in Begin: EXPLAIN asks
 * nothing, and parameters are not known earlier.
 *
 * A rescan with the same values starts again from the page at hand when that
 * page held everything; else it asks anew.
 *
 * When a long list was cut into pieces and the plan relies on an order, the
 * pieces, each in order, are sorted together here.
 */
#include "postgres.h"

#include "compat.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"

#include "exec/aggregate.h"
#include "exec/bulk.h"
#include "exec/chain.h"
#include "exec/convert.h"
#include "exec/labels.h"
#include "exec/request.h"
#include "exec/scan.h"

/* What a slot of the filter is compared with. */
typedef struct Operand
{
	Expr *expr;
	ExprState *state;
	Oid typid;
	const DvFilter *leaf; /* whose column it is compared with */
} Operand;

typedef struct DvScan
{
	MemoryContext context;
	DvScanPlan *plan;
	DvTable *table;
	DvService *service; /* NULL for EXPLAIN without ANALYZE */
	DvConvert *convert;
	DvRequest *request;
	int noperands;
	Operand *operands;
	int ncolumns;
	AttrNumber *attnums;
	DvField *fields;
	DvCounters counters;

	/* one run */
	MemoryContext run; /* NULL before the first */
	bool running;      /* false: the next Iterate begins a run */
	DvValue **values;
	DvChain *chain; /* NULL: no row can satisfy the condition */
	int npieces;
	int64 returned;
	Tuplesortstate *sort; /* or NULL */
	TupleTableSlot *sorted;

	Datum keys; /* array for the slot that a key join fills; valid while a run starts */
	bool keys_given;
} DvScan;

/*
 * Begin.
 */

/* The leaf that a slot belongs to, or NULL. */
static const DvFilter *
find_slot(const DvFilter *filter, int slot)
{
	if (filter->kind == DV_FILTER_LEAF && filter->slot == slot)
		return filter;
	for (int i = 0; i < filter->nargs; i++)
	{
		const DvFilter *leaf = find_slot(filter->args[i], slot);

		if (leaf != NULL)
			return leaf;
	}
	return NULL;
}

static void
prepare_operands(DvScan *scan, ForeignScanState *node, List *exprs)
{
	ListCell *lc;

	scan->noperands = list_length(exprs);
	scan->operands = palloc0(sizeof(Operand) * Max(scan->noperands, 1));
	foreach (lc, exprs)
	{
		int slot = foreach_current_index(lc);
		Operand *operand = &scan->operands[slot];

		operand->expr = lfirst(lc);
		operand->state = ExecInitExpr(operand->expr, (PlanState *) node);
		operand->typid = exprType((Node *) operand->expr);
		/* A slot that the sendable part has dropped is never looked at. */
		if (scan->plan->filter != NULL)
			operand->leaf = find_slot(scan->plan->filter, slot);
		if (operand->leaf == NULL || slot == scan->plan->key_param - 1)
			operand->state = NULL;
	}
}

static void
prepare_columns(DvScan *scan)
{
	DvColumn **columns;
	ListCell *lc;

	scan->ncolumns = list_length(scan->plan->attnums);
	scan->attnums = palloc(sizeof(AttrNumber) * Max(scan->ncolumns, 1));
	columns = palloc(sizeof(DvColumn *) * Max(scan->ncolumns, 1));
	foreach (lc, scan->plan->attnums)
	{
		int i = foreach_current_index(lc);

		scan->attnums[i] = lfirst_int(lc);
		columns[i] = dv_table_column(scan->table, scan->attnums[i]);
		if (columns[i] == NULL)
			elog(ERROR, "foreign table \"%s\" has no column %d", scan->table->name,
				 scan->attnums[i]);
	}
	scan->convert = dv_convert_prepare(scan->table, columns, scan->ncolumns);
}

void
dataverseBeginForeignScan(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	EState *estate = node->ss.ps.state;
	MemoryContext context;
	MemoryContext before;
	DvScan *scan;
	DvServerOptions *server;

	if (dv_aggregate_is(node))
	{
		dv_aggregate_begin(node, eflags);
		return;
	}
	context =
		AllocSetContextCreate(estate->es_query_cxt, "dataverse_fdw scan", ALLOCSET_DEFAULT_SIZES);
	before = MemoryContextSwitchTo(context);
	scan = palloc0(sizeof(DvScan));

	scan->context = context;
	scan->plan = dv_handoff_unpack_scan(plan->fdw_private);
	scan->table = dv_options_table(scan->plan->relid);
	server = dv_options_server(scan->table->serverid);
	prepare_columns(scan);
	scan->request = dv_request_prepare(scan->plan, scan->table, server->root,
									   dv_convert_properties(scan->convert));
	scan->fields = palloc0(sizeof(DvField) * Max(scan->request->nproperties, 1));
	prepare_operands(scan, node, plan->fdw_exprs);
	MemoryContextSwitchTo(before);
	node->fdw_state = scan;

	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0)
	{
		Oid userid = dv_scan_check_as_user(plan, estate);

		scan->service =
			dv_service_open(scan->table->serverid, OidIsValid(userid) ? userid : GetUserId());
	}
}

/*
 * A run: values, addresses, chain.
 */

/*
 * Labels are mapped to values with the service's help; without it (EXPLAIN)
 * the slot stays open.
 */
static DvValue *
operand_value(DvScan *scan, const Operand *operand, Datum value, bool isnull)
{
	const DvFilter *leaf = operand->leaf;

	if (!leaf->label)
		return dv_convert_comparand(value, isnull, operand->typid, leaf->type);
	if (scan->service == NULL)
		return NULL;
	return dv_labels_values(scan->service, scan->table->table_name, leaf->logical, leaf->type,
							dv_convert_comparand(value, isnull, operand->typid, DV_TYPE_STRING));
}

/* What the key join above has given for this run. */
static DvValue *
given_keys(DvScan *scan, const Operand *operand)
{
	if (!scan->keys_given)
		elog(ERROR, "foreign scan below a key join has no keys");
	scan->keys_given = false;
	return dv_convert_comparand(scan->keys, false, operand->typid, operand->leaf->type);
}

/* The slots' values in the current context; those not wanted are NULL. */
static DvValue **
evaluate(DvScan *scan, ForeignScanState *node, bool (*known)(const Operand *, EState *))
{
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	DvValue **values = palloc0(sizeof(DvValue *) * Max(scan->noperands, 1));

	for (int i = 0; i < scan->noperands; i++)
	{
		const Operand *operand = &scan->operands[i];
		Datum value;
		bool isnull;

		if (i == scan->plan->key_param - 1 && known == NULL)
			values[i] = given_keys(scan, operand);
		if (operand->state == NULL || (known != NULL && !known(operand, node->ss.ps.state)))
			continue;
		value = ExecEvalExprSwitchContext(operand->state, econtext, &isnull);
		values[i] = operand_value(scan, operand, value, isnull);
	}
	return values;
}

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
same_value(const DvValue *a, const DvValue *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	if (a->isnull != b->isnull || a->isarray != b->isarray || a->nitems != b->nitems ||
		a->has_null != b->has_null || !same_text(a->text, b->text))
		return false;
	for (int i = 0; i < a->nitems; i++)
	{
		if (!same_text(a->items[i], b->items[i]))
			return false;
	}
	return true;
}

/* Is there a run with these values, and can it be read again? */
static bool
rewind_run(DvScan *scan, DvValue **values)
{
	if (scan->run == NULL || scan->sort != NULL)
		return false;
	for (int i = 0; i < scan->noperands; i++)
	{
		if (!same_value(scan->values[i], values[i]))
			return false;
	}
	return scan->chain == NULL || dv_chain_rewind(scan->chain);
}

static void
end_run(DvScan *scan)
{
	if (scan->sort != NULL)
		tuplesort_end(scan->sort);
	scan->sort = NULL;
	if (scan->sorted != NULL)
		ExecDropSingleTupleTableSlot(scan->sorted);
	scan->sorted = NULL;
	scan->chain = NULL;
	if (scan->run != NULL)
		MemoryContextDelete(scan->run);
	scan->run = NULL;
}

static void sort_pieces(DvScan *scan, ForeignScanState *node);

static void
start_run(DvScan *scan, ForeignScanState *node)
{
	MemoryContext run =
		AllocSetContextCreate(scan->context, "dataverse_fdw run of a scan", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(run);
	DvValue **values = evaluate(scan, node, NULL);
	List *pieces;

	scan->returned = 0;
	scan->running = true;
	if (rewind_run(scan, values))
	{
		MemoryContextSwitchTo(before);
		MemoryContextDelete(run);
		return;
	}
	end_run(scan);
	scan->run = run;
	scan->values = values;
	pieces =
		dv_request_pieces(scan->request, (const DvValue *const *) values, scan->noperands, NULL);
	scan->npieces = list_length(pieces);
	if (pieces != NIL)
	{
		/* What functions and triggers read must hold what the statement that calls them wrote. */
		dv_bulk_flush_before_read(scan->table->serverid, node->ss.ps.state);
		scan->chain = dv_chain_open(scan->service, scan->request, pieces, &scan->counters);
	}
	MemoryContextSwitchTo(before);
	if (scan->plan->sortkeys != NIL && !dv_request_in_order(pieces))
		sort_pieces(scan, node);
}

/*
 * Rows.
 */

static void
fill_slot(DvScan *scan, TupleTableSlot *slot)
{
	const DvField *row_id = scan->request->id >= 0 ? &scan->fields[scan->request->id] : NULL;

	memset(slot->tts_isnull, true, sizeof(bool) * slot->tts_tupleDescriptor->natts);
	for (int i = 0; i < scan->ncolumns; i++)
	{
		int place = scan->attnums[i] - 1;

		slot->tts_values[place] =
			dv_convert_in(scan->convert, i, &scan->fields[i], row_id, &slot->tts_isnull[place]);
	}
	ExecStoreVirtualTuple(slot);
}

/* The next row of the chain; false after the last. */
static bool
next_row(DvScan *scan, TupleTableSlot *slot)
{
	ExecClearTuple(slot);
	if (scan->chain == NULL || !dv_chain_row(scan->chain, scan->fields))
		return false;
	fill_slot(scan, slot);
	return true;
}

/* The column that holds a sort key; InvalidAttrNumber when it is not read. */
static AttrNumber
sort_attribute(DvScan *scan, const DvSortKey *key)
{
	for (int i = 0; i < scan->ncolumns; i++)
	{
		if (strcmp(scan->request->properties[i], key->property) == 0)
			return scan->attnums[i];
	}
	return InvalidAttrNumber;
}

/*
 * Sorts on the keys that the plan relies on.  The primary id, which comes last
 * to keep paging stable, need not be among the columns read.
 */
static Tuplesortstate *
begin_sort(DvScan *scan, TupleDesc desc)
{
	int most = list_length(scan->plan->sortkeys);
	AttrNumber *attnums = palloc(sizeof(AttrNumber) * most);
	Oid *operators = palloc(sizeof(Oid) * most);
	Oid *collations = palloc(sizeof(Oid) * most);
	bool *nulls_first = palloc(sizeof(bool) * most);
	int n = 0;
	ListCell *lc;

	foreach (lc, scan->plan->sortkeys)
	{
		const DvSortKey *key = lfirst(lc);
		AttrNumber attnum = sort_attribute(scan, key);
		Form_pg_attribute attribute;
		TypeCacheEntry *type;

		if (attnum == InvalidAttrNumber)
			break;
		attribute = TupleDescAttr(desc, attnum - 1);
		type = lookup_type_cache(attribute->atttypid, TYPECACHE_LT_OPR | TYPECACHE_GT_OPR);
		attnums[n] = attnum;
		operators[n] = key->descending ? type->gt_opr : type->lt_opr;
		collations[n] = attribute->attcollation;
		nulls_first[n] = key->nullable ? key->nulls_first : key->descending;
		n++;
	}
	if (n == 0 || n < most - 1)
		elog(ERROR, "sort key of a foreign scan is not among its columns");
	return tuplesort_begin_heap(desc, n, attnums, operators, collations, nulls_first, work_mem,
								NULL, TUPLESORT_NONE);
}

static void
sort_pieces(DvScan *scan, ForeignScanState *node)
{
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	MemoryContext before = MemoryContextSwitchTo(scan->run);

	scan->sort = begin_sort(scan, slot->tts_tupleDescriptor);
	scan->sorted = MakeSingleTupleTableSlot(slot->tts_tupleDescriptor, &TTSOpsMinimalTuple);
	MemoryContextSwitchTo(before);
	while (next_row(scan, slot))
	{
		tuplesort_puttupleslot(scan->sort, slot);
		ExecClearTuple(slot);
		MemoryContextReset(node->ss.ps.ps_ExprContext->ecxt_per_tuple_memory);
	}
	tuplesort_performsort(scan->sort);
}

static bool
next_sorted(DvScan *scan, TupleTableSlot *slot)
{
	int natts = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	if (!tuplesort_gettupleslot(scan->sort, true, false, scan->sorted, NULL))
		return false;
	slot_getallattrs(scan->sorted);
	memcpy(slot->tts_values, scan->sorted->tts_values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, scan->sorted->tts_isnull, sizeof(bool) * natts);
	ExecStoreVirtualTuple(slot);
	return true;
}

TupleTableSlot *
dataverseIterateForeignScan(ForeignScanState *node)
{
	DvScan *scan = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	if (dv_aggregate_is(node))
		return dv_aggregate_iterate(node);
	if (!scan->running)
		start_run(scan, node);
	if (scan->plan->exact_limit && scan->returned >= scan->plan->limit)
		return ExecClearTuple(slot);
	if (scan->sort != NULL ? next_sorted(scan, slot) : next_row(scan, slot))
		scan->returned++;
	return slot;
}

void
dataverseReScanForeignScan(ForeignScanState *node)
{
	DvScan *scan = node->fdw_state;

	if (dv_aggregate_is(node))
		dv_aggregate_rescan(node);
	else
		scan->running = false;
}

void
dv_scan_give_keys(ForeignScanState *node, Datum keys)
{
	DvScan *scan = node->fdw_state;

	scan->keys = keys;
	scan->keys_given = true;
	ExecReScan((PlanState *) node);
}

void
dataverseEndForeignScan(ForeignScanState *node)
{
	DvScan *scan = node->fdw_state;

	if (dv_aggregate_is(node))
	{
		dv_aggregate_end(node);
		return;
	}
	/* Begin may have failed. */
	if (scan == NULL)
		return;
	end_run(scan);
	MemoryContextDelete(scan->context);
	node->fdw_state = NULL;
}

/*
 * For EXPLAIN.
 */

static bool
unknown_walker(Node *node, void *context)
{
	ParamListInfo params = ((EState *) context)->es_param_list_info;
	Param *param = (Param *) node;

	if (node == NULL)
		return false;
	if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan))
		return true;
	if (!IsA(node, Param))
		return expression_tree_walker(node, unknown_walker, context);

	/* Parameters of EXPLAIN EXECUTE are known; those made by other nodes are not. */
	return param->paramkind != PARAM_EXTERN || params == NULL || param->paramid < 1 ||
		   param->paramid > params->numParams ||
		   (params->paramFetch == NULL && !OidIsValid(params->params[param->paramid - 1].ptype));
}

static bool
known_now(const Operand *operand, EState *estate)
{
	return !unknown_walker((Node *) operand->expr, estate);
}

/* $n in plain sight where an operand is not known: it is not part of what is sent. */
static char *
show_unknown(char *path)
{
	char *to = path;

	for (const char *from = path; *from;)
	{
		if (strncmp(from, "%24", 3) == 0 && from[3] >= '1' && from[3] <= '9')
		{
			*to++ = '$';
			from += 3;
		}
		else
			*to++ = *from++;
	}
	*to = '\0';
	return path;
}

static bool
all_known(const DvScan *scan, DvValue *const *values)
{
	for (int i = 0; i < scan->noperands; i++)
	{
		if (scan->operands[i].leaf != NULL && values[i] == NULL)
			return false;
	}
	return true;
}

static char *
first_request(const DvScan *scan, DvValue *const *values, List *pieces)
{
	char *path;

	if (pieces == NIL)
		return NULL;
	path = ((DvPiece *) linitial(pieces))->path;
	return psprintf("GET %s", all_known(scan, values) ? path : show_unknown(path));
}

/*
 * The last run's values, or those that are known before the first; a key
 * join's are many and change from run to run, and are shown as $n.
 */
static DvValue **
shown_values(DvScan *scan, ForeignScanState *node)
{
	DvValue **values;

	if (scan->run == NULL)
		return evaluate(scan, node, known_now);
	values = palloc0(sizeof(DvValue *) * Max(scan->noperands, 1));
	for (int i = 0; i < scan->noperands; i++)
		values[i] = i == scan->plan->key_param - 1 ? NULL : scan->values[i];
	return values;
}

void
dv_scan_report(ForeignScanState *node, DvScanReport *report)
{
	DvScan *scan = node->fdw_state;
	DvValue **values = shown_values(scan, node);
	List *pieces = dv_request_pieces(scan->request, (const DvValue *const *) values,
									 scan->noperands, &report->filter);

	report->pieces = list_length(pieces);
	report->request = first_request(scan, values, pieces);
	report->counters = scan->counters;
}
