/*
 * spelling.c
 *	  Expressions spelt as the rows below deliver them.
 *
 * Since PostgreSQL 16 a column carries marks of the outer joins that may have
 * nulled it, and setrefs.c wants a scan's expressions to carry the same marks
 * as the scan's own list of columns.  A condition that was written below such a
 * join and is evaluated above it stands for the same value under other marks.
 */
#include "postgres.h"

#include "compat.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"

#include "plan/spelling.h"

/* The same value, whatever nullability it is marked with? */
static bool
is_same(const Node *a, const Node *b)
{
	if (IsA(a, Var) && IsA(b, Var))
		return ((const Var *) a)->varno == ((const Var *) b)->varno &&
			   ((const Var *) a)->varattno == ((const Var *) b)->varattno &&
			   ((const Var *) a)->varlevelsup == ((const Var *) b)->varlevelsup;
	if (IsA(a, PlaceHolderVar) && IsA(b, PlaceHolderVar))
		return ((const PlaceHolderVar *) a)->phid == ((const PlaceHolderVar *) b)->phid &&
			   ((const PlaceHolderVar *) a)->phlevelsup == ((const PlaceHolderVar *) b)->phlevelsup;
	return false;
}

Node *
dv_spelling_find(List *nodes, const Node *wanted)
{
	ListCell *lc;

	foreach (lc, nodes)
	{
		if (is_same(lfirst(lc), wanted))
			return lfirst(lc);
	}
	return NULL;
}

/* The mutator's context: expressions as they are to be spelt. */
static Node *
spell_mutator(Node *node, void *context)
{
	Node *same;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var) || IsA(node, PlaceHolderVar))
	{
		same = dv_spelling_find(context, node);
		if (same != NULL)
			return copyObject(same);
	}
	return expression_tree_mutator(node, spell_mutator, context);
}

List *
dv_spelling_apply(List *exprs, List *spelling)
{
	return (List *) spell_mutator((Node *) exprs, spelling);
}

#define PULL_FLAGS (PVC_RECURSE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS | PVC_RECURSE_PLACEHOLDERS)

List *
dv_spelling_add(List *columns, List *exprs)
{
	List *vars = pull_var_clause((Node *) exprs, PULL_FLAGS);
	ListCell *lc;

	foreach (lc, vars)
	{
		if (dv_spelling_find(columns, lfirst(lc)) == NULL)
			columns = lappend(columns, lfirst(lc));
	}
	return columns;
}

List *
dv_spelling_tlist(List *columns)
{
	List *tlist = NIL;
	ListCell *lc;

	foreach (lc, columns)
		tlist = lappend(tlist, makeTargetEntry(copyObject(lfirst(lc)),
											   foreach_current_index(lc) + 1, NULL, false));
	return tlist;
}
