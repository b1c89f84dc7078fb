/*
 * handoff.c
 *	  What the planner leaves for the executor, as lists that copyObject and
 *	  outfuncs understand.
 *
 * Each struct is one list with its members in the order of the struct; each
 * filter node is a list of its own, its arms nested in it.  Numbers are
 * Integer nodes, 64-bit numbers and texts String nodes, and a text that is
 * NULL is a NULL cell, which survives copying and printing.
 *
 * Values bound into a filter do not travel: the planner has none, its operands
 * are in fdw_exprs.
 *
 * Unpacking does not copy texts.  They point into the list, which belongs to
 * the plan and outlives the executor's use of it.
 *
 * Builds with assertions take every round trip twice: through text and back
 * when packed, and packed again when unpacked.
 */
#include "postgres.h"

#include "compat.h"

#include "nodes/value.h"

#include "handoff.h"

/* A list being read, cell by cell. */
typedef struct Reader
{
	List *list;
	int next;
} Reader;

static Node *
pack_text(const char *text)
{
	return text == NULL ? NULL : (Node *) makeString(pstrdup(text));
}

static Node *
pack_int(int number)
{
	return (Node *) makeInteger(number);
}

/* Integer nodes hold 32 bits. */
static Node *
pack_int64(int64 number)
{
	return (Node *) makeString(psprintf(INT64_FORMAT, number));
}

static void *
read_cell(Reader *reader)
{
	if (reader->next >= list_length(reader->list))
		elog(ERROR, "plan data of a foreign scan or modification is too short");
	return list_nth(reader->list, reader->next++);
}

static char *
read_text(Reader *reader)
{
	Node *node = read_cell(reader);

	return node == NULL ? NULL : strVal(node);
}

static int
read_int(Reader *reader)
{
	return intVal(read_cell(reader));
}

static int64
read_int64(Reader *reader)
{
	return strtoll(strVal(read_cell(reader)), NULL, 10);
}

/* Nothing may be left: a writer and a reader that disagree would go unnoticed. */
static void
read_end(Reader *reader)
{
	if (reader->next != list_length(reader->list))
		elog(ERROR, "plan data of a foreign scan or modification is too long");
}

static List *
pack_filter(const DvFilter *filter)
{
	List *args = NIL;
	List *packed = NIL;

	if (filter == NULL)
		return NIL;
	Assert(filter->value == NULL);
	for (int i = 0; i < filter->nargs; i++)
		args = lappend(args, pack_filter(filter->args[i]));

	packed = lappend(packed, pack_int(filter->kind));
	packed = lappend(packed, pack_int(filter->exactness));
	packed = lappend(packed, args);
	packed = lappend(packed, pack_int(filter->op));
	packed = lappend(packed, pack_text(filter->property));
	packed = lappend(packed, pack_text(filter->logical));
	packed = lappend(packed, pack_int(filter->type));
	packed = lappend(packed, pack_int(filter->slot));
	return lappend(packed, pack_int(filter->label));
}

static DvFilter *
unpack_filter(List *packed)
{
	Reader reader = {packed, 0};
	DvFilter *filter;
	List *args;

	if (packed == NIL)
		return NULL;
	filter = palloc0(sizeof(DvFilter));
	filter->kind = read_int(&reader);
	filter->exactness = read_int(&reader);
	args = read_cell(&reader);
	filter->op = read_int(&reader);
	filter->property = read_text(&reader);
	filter->logical = read_text(&reader);
	filter->type = read_int(&reader);
	filter->slot = read_int(&reader);
	filter->label = read_int(&reader) != 0;
	read_end(&reader);

	filter->nargs = list_length(args);
	filter->args = palloc(sizeof(DvFilter *) * Max(filter->nargs, 1));
	for (int i = 0; i < filter->nargs; i++)
		filter->args[i] = unpack_filter(list_nth(args, i));
	return filter;
}

static List *
pack_sortkeys(List *sortkeys)
{
	List *packed = NIL;
	ListCell *lc;

	foreach (lc, sortkeys)
	{
		DvSortKey *key = lfirst(lc);

		packed = lappend(packed, list_make4(pack_text(key->property), pack_int(key->descending),
											pack_int(key->nullable), pack_int(key->nulls_first)));
	}
	return packed;
}

static List *
unpack_sortkeys(List *packed)
{
	List *sortkeys = NIL;
	ListCell *lc;

	foreach (lc, packed)
	{
		Reader reader = {lfirst(lc), 0};
		DvSortKey *key = palloc(sizeof(DvSortKey));

		key->property = read_text(&reader);
		key->descending = read_int(&reader) != 0;
		key->nullable = read_int(&reader) != 0;
		key->nulls_first = read_int(&reader) != 0;
		read_end(&reader);
		sortkeys = lappend(sortkeys, key);
	}
	return sortkeys;
}

static List *
pack_members(List *members)
{
	List *packed = NIL;
	ListCell *lc;

	foreach (lc, members)
	{
		const DvJoinMember *member = lfirst(lc);
		List *cells = NIL;

		cells = lappend(cells, pack_int((int) member->relid));
		cells = lappend(cells, pack_int(member->rti));
		cells = lappend(cells, pack_text(member->path));
		cells = lappend(cells, pack_int(member->parent));
		cells = lappend(cells, pack_int(member->certain));
		packed = lappend(packed, lappend(cells, pack_int(member->qual)));
	}
	return packed;
}

static List *
unpack_members(List *packed)
{
	List *members = NIL;
	ListCell *lc;

	foreach (lc, packed)
	{
		Reader reader = {lfirst(lc), 0};
		DvJoinMember *member = palloc(sizeof(DvJoinMember));

		member->relid = (Oid) read_int(&reader);
		member->rti = read_int(&reader);
		member->path = read_text(&reader);
		member->parent = read_int(&reader);
		member->certain = read_int(&reader) != 0;
		member->qual = read_int(&reader);
		read_end(&reader);
		members = lappend(members, member);
	}
	return members;
}

static List *
pack_steps(List *steps)
{
	List *packed = NIL;
	ListCell *lc;

	foreach (lc, steps)
	{
		const DvJoinStep *step = lfirst(lc);

		packed = lappend(packed, list_make5(pack_int(step->join), pack_int(step->left),
											pack_int(step->right), pack_int(step->qual),
											pack_int(step->filter)));
	}
	return packed;
}

static List *
unpack_steps(List *packed)
{
	List *steps = NIL;
	ListCell *lc;

	foreach (lc, packed)
	{
		Reader reader = {lfirst(lc), 0};
		DvJoinStep *step = palloc(sizeof(DvJoinStep));

		step->join = read_int(&reader);
		step->left = read_int(&reader);
		step->right = read_int(&reader);
		step->qual = read_int(&reader);
		step->filter = read_int(&reader);
		read_end(&reader);
		steps = lappend(steps, step);
	}
	return steps;
}

static List *
pack_children(List *children)
{
	List *packed = NIL;
	ListCell *lc;

	foreach (lc, children)
	{
		const DvJoinChild *child = lfirst(lc);
		List *cells = NIL;

		cells = lappend(cells, pack_int((int) child->relid));
		cells = lappend(cells, pack_int(child->rti));
		cells = lappend(cells, pack_text(child->entity));
		cells = lappend(cells, pack_text(child->lookup));
		cells = lappend(cells, pack_int(child->anti));
		packed = lappend(packed, lappend(cells, pack_filter(child->filter)));
	}
	return packed;
}

static List *
unpack_children(List *packed)
{
	List *children = NIL;
	ListCell *lc;

	foreach (lc, packed)
	{
		Reader reader = {lfirst(lc), 0};
		DvJoinChild *child = palloc(sizeof(DvJoinChild));

		child->relid = (Oid) read_int(&reader);
		child->rti = read_int(&reader);
		child->entity = read_text(&reader);
		child->lookup = read_text(&reader);
		child->anti = read_int(&reader) != 0;
		child->filter = unpack_filter(read_cell(&reader));
		read_end(&reader);
		children = lappend(children, child);
	}
	return children;
}

List *
dv_handoff_pack_scan(const DvScanPlan *plan)
{
	List *packed = NIL;

	packed = lappend(packed, pack_int((int) plan->relid));
	packed = lappend(packed, pack_text(plan->entity_set));
	packed = lappend(packed, list_copy(plan->attnums));
	packed = lappend(packed, pack_filter(plan->filter));
	packed = lappend(packed, list_copy(plan->slot_types));
	packed = lappend(packed, pack_sortkeys(plan->sortkeys));
	packed = lappend(packed, pack_int64(plan->limit));
	packed = lappend(packed, pack_int(plan->exact_limit));
	packed = lappend(packed, pack_int(plan->page_size));
	packed = lappend(packed, pack_int(plan->partition));
	packed = lappend(packed, pack_int(plan->counted));
	packed = lappend(packed, pack_text(psprintf("%.17g", plan->rows)));
	packed = lappend(packed, pack_text(psprintf("%.17g", plan->share)));
	packed = lappend(packed, pack_int(plan->key_param));
	packed = lappend(packed, pack_members(plan->members));
	packed = lappend(packed, pack_steps(plan->steps));
	packed = lappend(packed, list_copy(plan->sources));
	packed = lappend(packed, pack_children(plan->children));
	packed = lappend(packed, pack_int(plan->etag));
	packed = lappend(packed, copyObject(plan->direct));
	Assert(equal(stringToNode(nodeToString(packed)), packed));
	return packed;
}

DvScanPlan *
dv_handoff_unpack_scan(List *packed)
{
	Reader reader = {packed, 0};
	DvScanPlan *plan = palloc0(sizeof(DvScanPlan));

	plan->relid = (Oid) read_int(&reader);
	plan->entity_set = read_text(&reader);
	plan->attnums = read_cell(&reader);
	plan->filter = unpack_filter(read_cell(&reader));
	plan->slot_types = read_cell(&reader);
	plan->sortkeys = unpack_sortkeys(read_cell(&reader));
	plan->limit = read_int64(&reader);
	plan->exact_limit = read_int(&reader) != 0;
	plan->page_size = read_int(&reader);
	plan->partition = read_int(&reader);
	plan->counted = read_int(&reader) != 0;
	plan->rows = strtod(read_text(&reader), NULL);
	plan->share = strtod(read_text(&reader), NULL);
	plan->key_param = read_int(&reader);
	plan->members = unpack_members(read_cell(&reader));
	plan->steps = unpack_steps(read_cell(&reader));
	plan->sources = read_cell(&reader);
	plan->children = unpack_children(read_cell(&reader));
	plan->etag = read_int(&reader) != 0;
	plan->direct = read_cell(&reader);
	read_end(&reader);
	Assert(equal(dv_handoff_pack_scan(plan), packed));
	return plan;
}

/* What a plan of an aggregate begins with; a scan's begins with a number. */
#define AGGREGATE_MARK "aggregate"

static List *
pack_query(const DvAggregateQuery *query)
{
	return list_make4(pack_filter(query->filter), pack_int(query->distinct),
					  list_copy(query->methods), list_copy(query->attnums));
}

static DvAggregateQuery *
unpack_query(List *packed)
{
	Reader reader = {packed, 0};
	DvAggregateQuery *query = palloc0(sizeof(DvAggregateQuery));

	query->filter = unpack_filter(read_cell(&reader));
	query->distinct = read_int(&reader);
	query->methods = read_cell(&reader);
	query->attnums = read_cell(&reader);
	read_end(&reader);
	return query;
}

static List *
pack_output(const DvAggregateOutput *output)
{
	return list_make5(pack_int(output->kind), pack_int(output->query), pack_int(output->item),
					  pack_int(output->scale), pack_int((int) output->typid));
}

static DvAggregateOutput *
unpack_output(List *packed)
{
	Reader reader = {packed, 0};
	DvAggregateOutput *output = palloc0(sizeof(DvAggregateOutput));

	output->kind = read_int(&reader);
	output->query = read_int(&reader);
	output->item = read_int(&reader);
	output->scale = read_int(&reader);
	output->typid = (Oid) read_int(&reader);
	read_end(&reader);
	return output;
}

List *
dv_handoff_pack_aggregate(const DvAggregatePlan *plan)
{
	List *queries = NIL;
	List *outputs = NIL;
	List *packed = NIL;
	ListCell *lc;

	foreach (lc, plan->queries)
		queries = lappend(queries, pack_query(lfirst(lc)));
	foreach (lc, plan->outputs)
		outputs = lappend(outputs, pack_output(lfirst(lc)));
	packed = lappend(packed, pack_text(AGGREGATE_MARK));
	packed = lappend(packed, pack_int((int) plan->relid));
	packed = lappend(packed, pack_text(plan->entity_set));
	packed = lappend(packed, pack_int(plan->grouped));
	packed = lappend(packed, list_copy(plan->groups));
	packed = lappend(packed, queries);
	packed = lappend(packed, outputs);
	packed = lappend(packed, pack_int(plan->partition));
	packed = lappend(packed, pack_text(psprintf("%.17g", plan->share)));
	Assert(equal(stringToNode(nodeToString(packed)), packed));
	return packed;
}

DvAggregatePlan *
dv_handoff_unpack_aggregate(List *packed)
{
	Reader reader = {packed, 0};
	DvAggregatePlan *plan = palloc0(sizeof(DvAggregatePlan));
	ListCell *lc;

	(void) read_text(&reader);
	plan->relid = (Oid) read_int(&reader);
	plan->entity_set = read_text(&reader);
	plan->grouped = read_int(&reader) != 0;
	plan->groups = read_cell(&reader);
	foreach (lc, (List *) read_cell(&reader))
		plan->queries = lappend(plan->queries, unpack_query(lfirst(lc)));
	foreach (lc, (List *) read_cell(&reader))
		plan->outputs = lappend(plan->outputs, unpack_output(lfirst(lc)));
	plan->partition = read_int(&reader);
	plan->share = strtod(read_text(&reader), NULL);
	read_end(&reader);
	Assert(equal(dv_handoff_pack_aggregate(plan), packed));
	return plan;
}

bool
dv_handoff_is_aggregate(const List *packed)
{
	return packed != NIL && linitial(packed) != NULL && IsA(linitial(packed), String);
}

List *
dv_handoff_pack_key_join(const DvKeyJoinPlan *plan)
{
	List *packed = NIL;

	packed = lappend(packed, pack_int(plan->join));
	packed = lappend(packed, pack_int((int) plan->equality));
	packed = lappend(packed, pack_int((int) plan->collation));
	Assert(equal(stringToNode(nodeToString(packed)), packed));
	return packed;
}

DvKeyJoinPlan *
dv_handoff_unpack_key_join(List *packed)
{
	Reader reader = {packed, 0};
	DvKeyJoinPlan *plan = palloc0(sizeof(DvKeyJoinPlan));

	plan->join = read_int(&reader);
	plan->equality = (Oid) read_int(&reader);
	plan->collation = (Oid) read_int(&reader);
	read_end(&reader);
	Assert(equal(dv_handoff_pack_key_join(plan), packed));
	return plan;
}

List *
dv_handoff_pack_modify(const DvModifyPlan *plan)
{
	List *packed = NIL;

	packed = lappend(packed, pack_int((int) plan->relid));
	packed = lappend(packed, pack_int(plan->mode));
	packed = lappend(packed, pack_int(plan->do_nothing));
	packed = lappend(packed, list_copy(plan->attnums));
	packed = lappend(packed, list_copy(plan->triggered));
	packed = lappend(packed, list_copy(plan->returning));
	packed = lappend(packed, pack_int(plan->has_returning));
	Assert(equal(stringToNode(nodeToString(packed)), packed));
	return packed;
}

DvModifyPlan *
dv_handoff_unpack_modify(List *packed)
{
	Reader reader = {packed, 0};
	DvModifyPlan *plan = palloc0(sizeof(DvModifyPlan));

	plan->relid = (Oid) read_int(&reader);
	plan->mode = read_int(&reader);
	plan->do_nothing = read_int(&reader) != 0;
	plan->attnums = read_cell(&reader);
	plan->triggered = read_cell(&reader);
	plan->returning = read_cell(&reader);
	plan->has_returning = read_int(&reader) != 0;
	read_end(&reader);
	Assert(equal(dv_handoff_pack_modify(plan), packed));
	return plan;
}

List *
dv_handoff_pack_direct(const DvDirectPlan *plan)
{
	List *packed = NIL;

	packed = lappend(packed, dv_handoff_pack_modify(plan->modify));
	packed = lappend(packed, list_copy(plan->assigned));
	packed = lappend(packed, pack_int(plan->counts));
	packed = lappend(packed, pack_int(plan->rows));
	return packed;
}

DvDirectPlan *
dv_handoff_unpack_direct(List *packed)
{
	Reader reader = {packed, 0};
	DvDirectPlan *plan = palloc0(sizeof(DvDirectPlan));

	plan->modify = dv_handoff_unpack_modify(read_cell(&reader));
	plan->assigned = read_cell(&reader);
	plan->counts = read_int(&reader) != 0;
	plan->rows = read_int(&reader);
	read_end(&reader);
	Assert(equal(dv_handoff_pack_direct(plan), packed));
	return plan;
}
