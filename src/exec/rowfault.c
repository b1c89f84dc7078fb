/*
 * rowfault.c
 *	  Errors about a row's data, caught so that they can be the row's alone.
 *
 * Decides which errors say something of a value, and not of the statement, the
 * session or the service: by SQLSTATE, since conversions, PostgreSQL's own
 * included, have no other way to complain than to throw.
 *
 * Such an error may be forgotten without a subtransaction because of what the
 * work is: it turns values into text.  Nothing is opened, locked or written
 * there; what it allocates belongs to the row, and requests for metadata, whose
 * failures have other states, are cancelled with their contexts.
 */
#include "postgres.h"

#include "compat.h"

#include "exec/rowfault.h"

static bool
is_about_data(int sqlstate)
{
	int category = ERRCODE_TO_CATEGORY(sqlstate);

	return category == ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION) ||
		   category == ERRCODE_TO_CATEGORY(ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION) ||
		   sqlstate == ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE ||
		   sqlstate == ERRCODE_CARDINALITY_VIOLATION;
}

ErrorData *
dv_rowfault_catch(DvRowWork work, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData *volatile error = NULL;

	PG_TRY();
	{
		work(arg);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (!is_about_data(error->sqlerrcode))
			PG_RE_THROW();
		FlushErrorState();
	}
	PG_END_TRY();
	return error;
}
