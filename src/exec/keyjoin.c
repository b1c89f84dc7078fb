/*
 * keyjoin.c
 *	  Joins that send the keys of many outer rows in one request.
 *
 * Three steps, batch by batch.  Gather: outer rows are kept until enough
 * distinct keys or work_mem's worth of rows are together.  Match: the foreign
 * scan below runs once with the keys as its list, and each row it returns is
 * joined with the outer rows of its key, found in a hash table, and goes up at
 * once.  Leftovers: outer rows without a match go up null-extended (LEFT) or as
 * they are (ANTI).
 *
 * It is the outer rows that are kept and the foreign ones that stream, so a
 * key with a million rows needs no memory.  An outer row is in one batch only,
 * which makes every join type come out right without looking at other batches.
 *
 * Keys are compared here with the operator's own functions and collation: what
 * the service returns too much is no match.  A null key matches nothing and is
 * not sent.
 *
 * The first batch is one request's worth, for a LIMIT above; the following
 * ones grow.  No order is kept.
 *
 * From the second batch on the wire is not left idle: the next batch is
 * gathered as soon as this one has been asked for, and the foreign scan asks
 * for it when all of this one's pages are here or on their way.  So two batches
 * may wait at a time, each within half of what the join may hold.
 *
 * The children are ordinary nodes, so rescans, parameters and EvalPlanQual
 * work as in any join.
 */
#include "postgres.h"

#include "compat.h"

#include DV_EXPLAIN_STATE_HEADER
#include DV_EXPLAIN_HEADER
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "port/pg_bitutils.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"

#include "exec/keyjoin.h"
#include "exec/scan.h"
#include "handoff.h"

/* How much larger the next batch is. */
#define BATCH_GROWTH 4

typedef struct OuterRow
{
	struct OuterRow *next;     /* of the batch */
	struct OuterRow *same_key; /* further row of this key */
	bool matched;
	MinimalTuple tuple;
} OuterRow;

typedef struct Key
{
	struct Key *next; /* in its bucket */
	uint32 hash;
	Datum value;
	OuterRow *rows;
} Key;

/* Outer rows waiting for their match, in a context of their own. */
typedef struct Batch
{
	MemoryContext context;
	size_t bytes; /* of the rows */
	OuterRow *first;
	OuterRow *last;
	int open; /* rows without a match that have a key */
	int nkeys;
	Datum *keys;
	uint32 mask;
	Key **buckets;
} Batch;

typedef enum Phase
{
	PHASE_GATHER,
	PHASE_MATCH,
	PHASE_LEFTOVERS,
	PHASE_DONE
} Phase;

typedef struct KeyJoin
{
	CustomScanState css; /* first */
	JoinType join;
	PlanState *outer;
	ForeignScanState *inner;
	int nouter; /* columns of the outer row, the first ones of the joined row */
	ExprState *outer_key;
	ExprState *inner_key;
	ExprState *conditions;

	/* of the outer key's type; "equal" takes an outer and an inner key */
	Oid collation;
	Oid typid;
	int16 typlen;
	bool typbyval;
	char typalign;
	FmgrInfo hash_outer;
	FmgrInfo hash_inner;
	FmgrInfo equal_outer;
	FmgrInfo equal;

	Phase phase;
	int limit; /* keys of the next batch to gather */
	bool outer_ended;
	Batch batch;
	Batch next; /* gathered ahead, its keys given to the scan, when "ahead" */
	bool ahead;
	uint64 round;  /* batches since the join started over */
	OuterRow *row; /* to be looked at next: match or leftover */
	TupleTableSlot *outer_slot;
	uint64 batches;
	uint64 keys_sent;
} KeyJoin;

/*
 * The joined row: outer columns, then inner ones.
 */

static void
put_columns(KeyJoin *join, int first, TupleTableSlot *row)
{
	TupleTableSlot *joined = join->css.ss.ss_ScanTupleSlot;
	int natts = row->tts_tupleDescriptor->natts;

	slot_getallattrs(row);
	memcpy(joined->tts_values + first, row->tts_values, sizeof(Datum) * natts);
	memcpy(joined->tts_isnull + first, row->tts_isnull, sizeof(bool) * natts);
}

static TupleTableSlot *
store_joined(KeyJoin *join)
{
	TupleTableSlot *joined = join->css.ss.ss_ScanTupleSlot;

	ExecClearTuple(joined);
	return ExecStoreVirtualTuple(joined);
}

static void
put_outer(KeyJoin *join, TupleTableSlot *row)
{
	put_columns(join, 0, row);
	store_joined(join);
}

static void
put_kept(KeyJoin *join, const OuterRow *row)
{
	ExecStoreMinimalTuple(row->tuple, join->outer_slot, false);
	put_outer(join, join->outer_slot);
}

static void
put_inner(KeyJoin *join, TupleTableSlot *row)
{
	put_columns(join, join->nouter, row);
	store_joined(join);
}

static void
put_no_inner(KeyJoin *join)
{
	TupleTableSlot *joined = join->css.ss.ss_ScanTupleSlot;

	for (int i = join->nouter; i < joined->tts_tupleDescriptor->natts; i++)
	{
		joined->tts_values[i] = (Datum) 0;
		joined->tts_isnull[i] = true;
	}
	store_joined(join);
}

/*
 * Keys.  Values and what comparing them leaves behind live in the per-tuple
 * context.
 */

static bool
evaluate_key(KeyJoin *join, ExprState *key, Datum *value)
{
	ExprContext *econtext = join->css.ss.ps.ps_ExprContext;
	bool isnull;

	econtext->ecxt_scantuple = join->css.ss.ss_ScanTupleSlot;
	*value = ExecEvalExprSwitchContext(key, econtext, &isnull);
	return !isnull;
}

static Key *
find_key(KeyJoin *join, const Batch *batch, Datum value, uint32 hash, FmgrInfo *equal)
{
	for (Key *key = batch->buckets[hash & batch->mask]; key != NULL; key = key->next)
	{
		if (key->hash == hash &&
			DatumGetBool(FunctionCall2Coll(equal, join->collation, key->value, value)))
			return key;
	}
	return NULL;
}

static uint32
hash_key(KeyJoin *join, Datum value, FmgrInfo *hash)
{
	ExprContext *econtext = join->css.ss.ps.ps_ExprContext;
	MemoryContext before = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	uint32 result = DatumGetUInt32(FunctionCall1Coll(hash, join->collation, value));

	MemoryContextSwitchTo(before);
	return result;
}

static Key *
lookup(KeyJoin *join, const Batch *batch, Datum value, uint32 hash, FmgrInfo *equal)
{
	ExprContext *econtext = join->css.ss.ps.ps_ExprContext;
	MemoryContext before = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	Key *key = find_key(join, batch, value, hash, equal);

	MemoryContextSwitchTo(before);
	return key;
}

static Key *
add_key(KeyJoin *join, Batch *batch, Datum value, uint32 hash)
{
	Key *key = palloc(sizeof(Key));
	Key **bucket = &batch->buckets[hash & batch->mask];

	key->value = datumCopy(value, join->typbyval, join->typlen);
	key->hash = hash;
	key->rows = NULL;
	key->next = *bucket;
	*bucket = key;
	batch->keys[batch->nkeys++] = key->value;
	batch->bytes += sizeof(Key);
	return key;
}

/*
 * Gathering.
 */

static void
begin_batch(KeyJoin *join, Batch *batch)
{
	MemoryContext context = batch->context;
	uint32 nbuckets = pg_nextpower2_32(2 * join->limit);

	ExecClearTuple(join->outer_slot);
	ExecClearTuple(join->css.ss.ss_ScanTupleSlot);
	MemoryContextReset(context);
	memset(batch, 0, sizeof(*batch));
	batch->context = context;
	batch->keys = MemoryContextAlloc(context, sizeof(Datum) * join->limit);
	batch->buckets = MemoryContextAllocZero(context, sizeof(Key *) * nbuckets);
	batch->mask = nbuckets - 1;
}

static OuterRow *
keep_row(Batch *batch, TupleTableSlot *slot)
{
	OuterRow *row = palloc0(sizeof(OuterRow));

	row->tuple = ExecCopySlotMinimalTuple(slot);
	if (batch->last != NULL)
		batch->last->next = row;
	else
		batch->first = row;
	batch->last = row;
	batch->bytes += sizeof(OuterRow) + row->tuple->t_len;
	return row;
}

/* Rows without a key are kept only where they go up all the same. */
static void
add_row(KeyJoin *join, Batch *batch, TupleTableSlot *slot)
{
	MemoryContext before;
	Datum value;
	uint32 hash;
	Key *key;
	OuterRow *row;
	bool has_key;

	put_outer(join, slot);
	has_key = evaluate_key(join, join->outer_key, &value);
	if (!has_key && join->join != JOIN_LEFT && join->join != JOIN_ANTI)
		return;
	before = MemoryContextSwitchTo(batch->context);
	row = keep_row(batch, slot);
	if (has_key)
	{
		hash = hash_key(join, value, &join->hash_outer);
		key = lookup(join, batch, value, hash, &join->equal_outer);
		if (key == NULL)
			key = add_key(join, batch, value, hash);
		row->same_key = key->rows;
		key->rows = row;
		batch->open++;
	}
	MemoryContextSwitchTo(before);
}

/* False when there is no outer row left. */
static bool
gather(KeyJoin *join, Batch *batch)
{
	begin_batch(join, batch);
	while (!join->outer_ended && batch->nkeys < join->limit && batch->bytes < work_mem * 512L)
	{
		TupleTableSlot *slot;

		ResetExprContext(join->css.ss.ps.ps_ExprContext);
		slot = ExecProcNode(join->outer);
		if (TupIsNull(slot))
			join->outer_ended = true;
		else
			add_row(join, batch, slot);
	}
	join->limit = Min(join->limit * BATCH_GROWTH, DV_KEY_JOIN_BATCH);
	return batch->first != NULL;
}

static Datum
keys_of(KeyJoin *join, Batch *batch)
{
	MemoryContext before = MemoryContextSwitchTo(batch->context);
	ArrayType *keys = construct_array(batch->keys, batch->nkeys, join->typid, join->typlen,
									  join->typbyval, join->typalign);

	MemoryContextSwitchTo(before);
	join->batches++;
	join->keys_sent += batch->nkeys;
	return PointerGetDatum(keys);
}

/* The next batch's keys go out while this one's rows come in. */
static void
gather_ahead(KeyJoin *join)
{
	if (join->round < 2 || join->ahead || join->outer_ended)
		return;
	dv_scan_start(join->inner);
	join->ahead = gather(join, &join->next);
	if (join->next.nkeys > 0)
		dv_scan_give_next_keys(join->inner, keys_of(join, &join->next));
}

/* The batch to match next: the one gathered ahead, else a further one; false when there is none. */
static bool
next_batch(KeyJoin *join)
{
	join->round++;
	if (join->ahead)
	{
		Batch batch = join->batch;

		join->batch = join->next;
		join->next = batch;
		join->ahead = false;
		if (join->batch.nkeys > 0)
			dv_scan_take_next_keys(join->inner);
		return true;
	}
	if (!gather(join, &join->batch))
		return false;
	if (join->batch.nkeys > 0)
		dv_scan_give_keys(join->inner, keys_of(join, &join->batch));
	return true;
}

/*
 * Matching.
 */

/* Is one match all that counts for an outer row? */
static bool
once(const KeyJoin *join)
{
	return join->join == JOIN_SEMI || join->join == JOIN_ANTI;
}

/* The outer row with the foreign row in the joined slot: do they match, and go up? */
static bool
try_match(KeyJoin *join, OuterRow *row)
{
	ExprContext *econtext = join->css.ss.ps.ps_ExprContext;

	if (once(join) && row->matched)
		return false;
	put_kept(join, row);
	econtext->ecxt_scantuple = join->css.ss.ss_ScanTupleSlot;
	if (!ExecQual(join->conditions, econtext))
		return false;
	if (!row->matched)
		join->batch.open--;
	row->matched = true;
	return join->join != JOIN_ANTI;
}

/* The outer rows that have the next foreign row's key; false after the last foreign row. */
static bool
next_inner(KeyJoin *join)
{
	TupleTableSlot *slot;
	Datum value;
	Key *key = NULL;

	gather_ahead(join);
	ResetExprContext(join->css.ss.ps.ps_ExprContext);
	slot = ExecProcNode((PlanState *) join->inner);
	if (TupIsNull(slot))
		return false;
	put_inner(join, slot);
	if (evaluate_key(join, join->inner_key, &value))
		key = lookup(join, &join->batch, value, hash_key(join, value, &join->hash_inner),
					 &join->equal);
	join->row = key == NULL ? NULL : key->rows;
	return true;
}

/* The next match in the joined slot; false at the end of the batch. */
static bool
next_match(KeyJoin *join)
{
	for (;;)
	{
		while (join->row != NULL)
		{
			OuterRow *row = join->row;

			join->row = row->same_key;
			if (try_match(join, row))
				return true;
		}
		/* Nothing can come of the rest once every row has its one match. */
		if ((once(join) && join->batch.open == 0) || !next_inner(join))
			return false;
	}
}

static bool
next_leftover(KeyJoin *join)
{
	while (join->row != NULL)
	{
		OuterRow *row = join->row;

		join->row = row->next;
		if (!row->matched)
		{
			put_kept(join, row);
			put_no_inner(join);
			return true;
		}
	}
	return false;
}

/*
 * The node.
 */

static void
begin_matching(KeyJoin *join)
{
	if (!next_batch(join))
		join->phase = PHASE_DONE;
	else
		join->phase = join->batch.nkeys == 0 ? PHASE_LEFTOVERS : PHASE_MATCH;
	join->row = join->phase == PHASE_LEFTOVERS ? join->batch.first : NULL;
}

static void
end_matching(KeyJoin *join)
{
	bool leftovers = join->join == JOIN_LEFT || join->join == JOIN_ANTI;

	join->phase = leftovers ? PHASE_LEFTOVERS : PHASE_GATHER;
	join->row = join->batch.first;
}

/* The next joined row, before the filters above the join; false at the end. */
static bool
next_joined(KeyJoin *join)
{
	for (;;)
	{
		switch (join->phase)
		{
			case PHASE_GATHER:
				begin_matching(join);
				break;
			case PHASE_MATCH:
				if (next_match(join))
					return true;
				end_matching(join);
				break;
			case PHASE_LEFTOVERS:
				if (next_leftover(join))
					return true;
				join->phase = PHASE_GATHER;
				break;
			case PHASE_DONE:
				return false;
		}
	}
}

static TupleTableSlot *
execKeyJoin(CustomScanState *node)
{
	KeyJoin *join = (KeyJoin *) node;
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	ProjectionInfo *projection = node->ss.ps.ps_ProjInfo;

	ResetExprContext(econtext);
	while (next_joined(join))
	{
		econtext->ecxt_scantuple = node->ss.ss_ScanTupleSlot;
		if (ExecQual(node->ss.ps.qual, econtext))
			return projection != NULL ? ExecProject(projection) : node->ss.ss_ScanTupleSlot;
		InstrCountFiltered1(node, 1);
		ResetExprContext(econtext);
	}
	return ExecClearTuple(projection != NULL ? projection->pi_state.resultslot
											 : node->ss.ss_ScanTupleSlot);
}

static void
start_over(KeyJoin *join)
{
	join->phase = PHASE_GATHER;
	join->limit = DV_KEY_JOIN_FIRST;
	join->outer_ended = false;
	join->ahead = false;
	join->round = 0;
}

/* Functions of the operator's hash family. */
static void
prepare_operator(KeyJoin *join, Oid equality)
{
	RegProcedure hash_outer;
	RegProcedure hash_inner;
	Oid equal_outer;
	Oid equal_inner;

	if (!get_op_hash_functions(equality, &hash_outer, &hash_inner) ||
		!get_compatible_hash_operators(equality, &equal_outer, &equal_inner))
		elog(ERROR, "operator %u of a key join cannot be hashed", equality);
	fmgr_info(hash_outer, &join->hash_outer);
	fmgr_info(hash_inner, &join->hash_inner);
	fmgr_info(get_opcode(equal_outer), &join->equal_outer);
	fmgr_info(get_opcode(equality), &join->equal);
}

static void
prepare_expressions(KeyJoin *join, CustomScan *scan)
{
	PlanState *parent = &join->css.ss.ps;
	Expr *key = list_nth(scan->custom_exprs, DV_KEY_JOIN_OUTER);

	join->outer_key = ExecInitExpr(key, parent);
	join->inner_key = ExecInitExpr(list_nth(scan->custom_exprs, DV_KEY_JOIN_INNER), parent);
	join->conditions = ExecInitQual(list_copy_tail(scan->custom_exprs, DV_KEY_JOIN_REST), parent);
	join->typid = exprType((Node *) key);
	get_typlenbyvalalign(join->typid, &join->typlen, &join->typbyval, &join->typalign);
}

static void
prepare_children(KeyJoin *join, CustomScan *scan, EState *estate, int eflags)
{
	TupleDesc desc;

	eflags &= ~(EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK);
	join->outer = ExecInitNode(linitial(scan->custom_plans), estate, eflags);
	join->inner = (ForeignScanState *) ExecInitNode(lsecond(scan->custom_plans), estate, eflags);
	if (!IsA(join->inner, ForeignScanState))
		elog(ERROR, "inner side of a key join is not a foreign scan");
	join->css.custom_ps = list_make2(join->outer, join->inner);
	desc = ExecGetResultType(join->outer);
	join->nouter = desc->natts;
	join->outer_slot = ExecInitExtraTupleSlot(estate, desc, &TTSOpsMinimalTuple);
}

static void
beginKeyJoin(CustomScanState *node, EState *estate, int eflags)
{
	KeyJoin *join = (KeyJoin *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	DvKeyJoinPlan *plan = dv_handoff_unpack_key_join(scan->custom_private);

	join->join = plan->join;
	join->collation = plan->collation;
	prepare_children(join, scan, estate, eflags);
	prepare_expressions(join, scan);
	prepare_operator(join, plan->equality);
	join->batch.context = AllocSetContextCreate(estate->es_query_cxt, "dataverse_fdw key join",
												ALLOCSET_DEFAULT_SIZES);
	join->next.context = AllocSetContextCreate(estate->es_query_cxt, "dataverse_fdw key join",
											   ALLOCSET_DEFAULT_SIZES);
	start_over(join);
}

static void
rescanKeyJoin(CustomScanState *node)
{
	KeyJoin *join = (KeyJoin *) node;
	ListCell *lc;

	start_over(join);
	foreach (lc, node->custom_ps)
	{
		PlanState *child = lfirst(lc);

		if (node->ss.ps.chgParam != NULL)
			UpdateChangedParamSet(child, node->ss.ps.chgParam);
	}
	/* A changed parameter makes the outer side start over by itself; the keys do so below. */
	if (join->outer->chgParam == NULL)
		ExecReScan(join->outer);
}

static void
endKeyJoin(CustomScanState *node)
{
	KeyJoin *join = (KeyJoin *) node;

	ExecClearTuple(join->outer_slot);
	ExecClearTuple(node->ss.ss_ScanTupleSlot);
	MemoryContextDelete(join->batch.context);
	MemoryContextDelete(join->next.context);
	ExecEndNode(join->outer);
	ExecEndNode((PlanState *) join->inner);
}

static const char *
join_name(JoinType join)
{
	switch (join)
	{
		case JOIN_LEFT:
			return "Left";
		case JOIN_SEMI:
			return "Semi";
		case JOIN_ANTI:
			return "Anti";
		default:
			return "Inner";
	}
}

static void
explainKeyJoin(CustomScanState *node, List *ancestors, ExplainState *es)
{
	KeyJoin *join = (KeyJoin *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	List *context = set_deparse_context_plan(es->deparse_cxt, &scan->scan.plan, ancestors);
	List *rest = list_copy_tail(scan->custom_exprs, DV_KEY_JOIN_REST);
	Node *key = list_nth(scan->custom_exprs, DV_KEY_JOIN_COND);

	ExplainPropertyText("Join Type", join_name(join->join), es);
	ExplainPropertyText("Key Cond", deparse_expression(key, context, true, false), es);
	if (rest != NIL)
		ExplainPropertyText(
			"Join Filter",
			deparse_expression((Node *) make_ands_explicit(rest), context, true, false), es);
	if (es->analyze)
	{
		ExplainPropertyInteger("Key Batches", NULL, (int64) join->batches, es);
		ExplainPropertyInteger("Keys Sent", NULL, (int64) join->keys_sent, es);
	}
}

static const CustomExecMethods exec_methods = {
	.CustomName = DV_KEY_JOIN_NAME,
	.BeginCustomScan = beginKeyJoin,
	.ExecCustomScan = execKeyJoin,
	.EndCustomScan = endKeyJoin,
	.ReScanCustomScan = rescanKeyJoin,
	.ExplainCustomScan = explainKeyJoin,
};

static Node *
createKeyJoinState(CustomScan *scan)
{
	KeyJoin *join = (KeyJoin *) newNode(sizeof(KeyJoin), T_CustomScanState);

	join->css.methods = &exec_methods;
	return (Node *) join;
}

static const CustomScanMethods scan_methods = {
	.CustomName = DV_KEY_JOIN_NAME,
	.CreateCustomScanState = createKeyJoinState,
};

void
dv_keyjoin_init(void)
{
	RegisterCustomScanMethods(&scan_methods);
}
