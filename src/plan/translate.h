/*
 * translate.h
 *	  A PostgreSQL expression as a DvFilter or a sort key, or no.
 */
#ifndef DV_PLAN_TRANSLATE_H
#define DV_PLAN_TRANSLATE_H

#include "nodes/pathnodes.h"
#include "odata/filter.h"
#include "remote/options.h"

/* A condition translated: the tree and the expressions its slots stand for. */
typedef struct DvClause
{
	DvFilter *filter; /* class DV_NONE when it cannot be sent */
	List *operands;   /* Expr *: slot n is element n */
} DvClause;

/*
 * Translates one condition on the relation.  Operands are any expressions
 * that do not read the relation itself and are not volatile; they may read
 * other relations (keyed inner scans).
 */
extern DvClause *dv_translate_clause(const DvTable *table, Index relid, Expr *expr);

/* A table whose columns a condition may read. */
typedef struct DvSource
{
	const DvTable *table;
	Index relid;
} DvSource;

/*
 * The same for a condition on several tables, of which these are the ones
 * whose columns may be sent.  Operands read none of the relations in "own".
 */
extern DvClause *dv_translate_clause_over(const DvSource *sources, int nsources, Relids own,
										  Expr *expr);

/* The column an expression stands for when it is a plain column of the relation, or NULL. */
extern DvColumn *dv_translate_column(const DvTable *table, Index relid, Expr *expr);

#endif /* DV_PLAN_TRANSLATE_H */
