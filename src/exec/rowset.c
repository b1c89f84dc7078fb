/*
 * rowset.c
 *	  Rows that travel together, encoded once, and what became of each.
 *
 * A set may take more than one request to settle: it is halved, repeated, or
 * answered row by row.  So the fates are kept here, beside the rows, and a
 * request is for a list of row numbers.
 */
#include "postgres.h"

#include "compat.h"

#include "utils/memutils.h"

#include "exec/rowset.h"

#define FIRST_ROWS 16

DvRowSet *
dv_rowset_create(MemoryContext parent, DvWriteMode mode, bool keep_tuples)
{
	MemoryContext context =
		AllocSetContextCreate(parent, "dataverse_fdw rows to write", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	DvRowSet *set = palloc0(sizeof(DvRowSet));

	set->context = context;
	set->body = mode == DV_WRITE_DELETE ? NULL : dv_body_create();
	set->cap = FIRST_ROWS;
	set->rows = palloc(sizeof(DvRow) * set->cap);
	set->fates = palloc(sizeof(DvFate) * set->cap);
	if (keep_tuples)
		set->tuples = palloc(sizeof(MinimalTuple) * set->cap);
	MemoryContextSwitchTo(old);
	return set;
}

void
dv_rowset_track(DvRowSet *set)
{
	MemoryContext old = MemoryContextSwitchTo(set->context);

	dv_body_track(set->body);
	MemoryContextSwitchTo(old);
}

void
dv_rowset_free(DvRowSet *set)
{
	MemoryContextDelete(set->context);
}

/* A row that cannot be sent leaves nothing of itself in the body. */
static void
encode_row(DvRowSet *set, DvEncode *encode, TupleTableSlot *slot, const DvRow *row)
{
	PG_TRY();
	{
		dv_encode_row(encode, slot, row, set->body);
	}
	PG_CATCH();
	{
		dv_body_row_abandon(set->body);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

void
dv_rowset_add(DvRowSet *set, DvEncode *encode, TupleTableSlot *slot, const DvRow *row)
{
	MemoryContext old;

	Assert(set->errors == NULL);
	if (set->nrows == set->cap)
	{
		set->cap *= 2;
		set->rows = repalloc(set->rows, sizeof(DvRow) * set->cap);
		set->fates = repalloc(set->fates, sizeof(DvFate) * set->cap);
		if (set->tuples != NULL)
			set->tuples = repalloc(set->tuples, sizeof(MinimalTuple) * set->cap);
	}
	if (set->body != NULL)
		encode_row(set, encode, slot, row);
	old = MemoryContextSwitchTo(set->context);
	dv_identity_copy(&set->rows[set->nrows], row);
	if (set->tuples != NULL)
		set->tuples[set->nrows] = ExecCopySlotMinimalTuple(slot);
	MemoryContextSwitchTo(old);
	set->fates[set->nrows++] = DV_FATE_OPEN;
}

static char *
copy_text(const char *text)
{
	return text ? pstrdup(text) : NULL;
}

void
dv_rowset_copy_error(const DvRowSet *set, DvError *to, const DvError *from)
{
	MemoryContext old = MemoryContextSwitchTo(set->context);

	*to = *from;
	to->code_text = copy_text(from->code_text);
	to->message = copy_text(from->message);
	to->request_id = copy_text(from->request_id);
	to->url = copy_text(from->url);
	to->duplicate_attributes = copy_text(from->duplicate_attributes);
	to->row_errors = copy_text(from->row_errors);
	MemoryContextSwitchTo(old);
}

void
dv_rowset_refuse(DvRowSet *set, int row, const DvError *error)
{
	if (set->errors == NULL)
		set->errors = MemoryContextAllocZero(set->context, sizeof(DvError *) * set->cap);
	set->errors[row] = MemoryContextAllocZero(set->context, sizeof(DvError));
	dv_rowset_copy_error(set, set->errors[row], error);
	set->fates[row] = DV_FATE_REFUSED;
}

int
dv_rowset_count(const DvRowSet *set, DvFate fate)
{
	int n = 0;

	for (int i = 0; i < set->nrows; i++)
		n += set->fates[i] == fate;
	return n;
}

int
dv_rowset_keep_open(const DvRowSet *set, int *rows, int n)
{
	int kept = 0;

	for (int i = 0; i < n; i++)
	{
		if (set->fates[rows[i]] == DV_FATE_OPEN)
			rows[kept++] = rows[i];
	}
	return kept;
}
