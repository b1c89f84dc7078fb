/*
 * changeset.h
 *	  The rows of a statement as one change set: all are written, or none.
 */
#ifndef DV_EXEC_CHANGESET_H
#define DV_EXEC_CHANGESET_H

#include "exec/ledger.h"
#include "exec/unchanged.h"

typedef struct DvChangeset DvChangeset;

/*
 * In the current context, with which it ends.  unchanged: NULL when every row is
 * sent as it is.  Throws where the table cannot do it.  No request.
 */
extern DvChangeset *dv_changeset_begin(const DvWriter *writer, DvLedger *ledger,
									   DvUnchanged *unchanged);

/*
 * Encodes a row and keeps it; row is changed where its key cannot be an
 * address.  Throws for more rows than a change set holds.
 */
extern void dv_changeset_add(DvChangeset *changeset, TupleTableSlot *slot, DvRow *row);

/*
 * Sends what is kept and waits until its fate is known, which the ledger gets;
 * throws when nothing could be written, or nobody knows.  All rows are
 * forgotten by the next dv_changeset_add.
 */
extern void dv_changeset_send(DvChangeset *changeset);

#endif /* DV_EXEC_CHANGESET_H */
