/*
 * changed.h
 *	  Which columns of an updated row differ from the row that was read.
 */
#ifndef DV_EXEC_CHANGED_H
#define DV_EXEC_CHANGED_H

#include "executor/tuptable.h"
#include "nodes/bitmapset.h"

/*
 * Attribute numbers of the columns whose values differ, byte by byte: equal
 * values in another spelling count as changed.  old_row: a whole row of the
 * slot's type.  Current context.
 */
extern Bitmapset *dv_changed_columns(TupleTableSlot *slot, Datum old_row);

#endif /* DV_EXEC_CHANGED_H */
