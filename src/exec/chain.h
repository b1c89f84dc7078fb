/*
 * chain.h
 *	  The pages of one piece of a scan, one page ahead, every page checked to be
 *	  the next one.
 *
 * A chain is asked, its call waited for by somebody else, then turned to the
 * page that came, whose rows are taken until there are no more; and so on while
 * there are more pages.
 */
#ifndef DV_EXEC_CHAIN_H
#define DV_EXEC_CHAIN_H

#include "odata/page.h"
#include "remote/service.h"
#include "exec/request.h"

typedef struct DvChain DvChain;

/* What all chains of a run have asked for together, which a LIMIT is held against. */
typedef struct DvAppetite
{
	int page_size;    /* of the next page to ask for */
	int sheets;       /* arrived so far */
	int64 rows_asked; /* sizes of the pages asked for */
	size_t body_max;  /* largest page so far as it waits: packed, in bytes */
} DvAppetite;

/* What the chains of a run have in common. */
typedef struct DvChainSpec
{
	DvService *service;
	const DvRequest *request;
	DvCounters *counters;
	DvAppetite *appetite;
} DvChainSpec;

/* Lives in the current context, as does all that a chain holds; deleting that context ends it. */
extern DvChain *dv_chain_open(const DvChainSpec *spec, const DvPiece *piece);

/* Asks for the page that comes next, unless it has been asked for or there is none. */
extern void dv_chain_ask(DvChain *chain);

/* What the next page waits for; NULL when none has been asked for. */
extern DvCall *dv_chain_call(const DvChain *chain);

/* Are there pages after the one being read? */
extern bool dv_chain_more(const DvChain *chain);

/*
 * Is a further page worth asking for before the present ones are read?  Not while a
 * LIMIT may be satisfied by what is here or on its way: pages first grow to
 * their full size.
 */
extern bool dv_chain_worthwhile(const DvRequest *request, const DvAppetite *appetite);

/*
 * For scans that may go over to ranges.  A chain that is held asks for no
 * further page; one that is left has none.  A row that was in the last page of
 * "first", a chain that has been left, is left out of one that is told so.
 */
extern void dv_chain_hold(DvChain *chain, bool held);
extern void dv_chain_leave(DvChain *chain);
extern void dv_chain_leave_out(DvChain *chain, const DvChain *first);

/* The current page as it came; NULL when there is none. */
extern const char *dv_chain_body(const DvChain *chain, size_t *len);

/* The span of a range that is being read; its end may be moved towards what has not been read. */
extern const DvSpan *dv_chain_span(const DvChain *chain);
extern void dv_chain_shorten(DvChain *chain, int64 to);

/*
 * Makes the page that was asked for the current one.  Throws what went wrong.
 * The one after it can be asked for at once, except by a chain that has been
 * shortened: its end may be in this page.
 */
extern void dv_chain_turn(DvChain *chain);

/*
 * Fills fields, which live until the next call, with the next row of the
 * current page; false after its last one.
 */
extern bool dv_chain_row(DvChain *chain, DvField *fields);

/* Back to the first row without asking again: only when one page held them all. */
extern bool dv_chain_rewind(DvChain *chain);

#endif /* DV_EXEC_CHAIN_H */
