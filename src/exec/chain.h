/*
 * chain.h
 *	  The rows of a scan's pages, one page ahead, every page checked to be the
 *	  next one.
 */
#ifndef DV_EXEC_CHAIN_H
#define DV_EXEC_CHAIN_H

#include "odata/page.h"
#include "remote/service.h"
#include "exec/request.h"

typedef struct DvChain DvChain;

/* Lives in the current context, as does all that a chain holds; deleting that context ends it. */
extern DvChain *dv_chain_open(DvService *service, const DvRequest *request, List *pieces,
							  DvCounters *counters);

/*
 * Fills fields (request->nproperties of them), which live until the next call;
 * false after the last row.  Waits, and throws what goes wrong.
 */
extern bool dv_chain_row(DvChain *chain, DvField *fields);

/* Back to the first row without asking again: only when one page held them all. */
extern bool dv_chain_rewind(DvChain *chain);

#endif /* DV_EXEC_CHAIN_H */
