/*
 * spelling.h
 *	  Expressions spelt as the rows below deliver them.
 */
#ifndef DV_PLAN_SPELLING_H
#define DV_PLAN_SPELLING_H

#include "nodes/pg_list.h"

/* The member that stands for the same column or placeholder, or NULL. */
extern Node *dv_spelling_find(List *nodes, const Node *wanted);

/* A copy in which every column and placeholder that is in "spelling" is spelt as there. */
extern List *dv_spelling_apply(List *exprs, List *spelling);

/* The columns with those of the expressions that are not among them yet. */
extern List *dv_spelling_add(List *columns, List *exprs);

/* The columns as a scan's own list of what it delivers. */
extern List *dv_spelling_tlist(List *columns);

#endif /* DV_PLAN_SPELLING_H */
