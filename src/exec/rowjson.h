/*
 * rowjson.h
 *	  A row as a JSON object that jsonb_populate_record turns into the same row.
 */
#ifndef DV_EXEC_ROWJSON_H
#define DV_EXEC_ROWJSON_H

#include "executor/tuptable.h"
#include "nodes/pg_list.h"

typedef struct DvRowJson DvRowJson;

/* desc must live as long; current context. */
extern DvRowJson *dv_rowjson_prepare(TupleDesc desc);

/*
 * {"column":value,...} in the server encoding, current context: the columns
 * listed in attnums, NULLs included, and with others also those that are not
 * listed and not null.  slot NULL: {}.
 */
extern char *dv_rowjson_make(const DvRowJson *json, TupleTableSlot *slot, const List *attnums,
							 bool others);

#endif /* DV_EXEC_ROWJSON_H */
