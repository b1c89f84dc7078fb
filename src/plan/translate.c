/*
 * translate.c
 *	  A PostgreSQL expression as a DvFilter, or no.
 *
 * One walk, one short function per node tag.  What is not known becomes a
 * leaf of class NONE, and the algebra of the filter room decides what that
 * means for the rest.  Values are not looked at here: every operand, constants
 * included, becomes a slot that the executor fills.
 */
#include "postgres.h"

#include "compat.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "plan/shipping.h"
#include "plan/translate.h"

/* Conditions in one clause that fit into any request beside others (500 in all, sheet 2.3.1). */
#define CONDITIONS_SAFE 100

typedef struct Walk
{
	const DvSource *sources;
	int nsources;
	Relids own; /* relations that no operand may read: the sources, and others of a join */
	List *operands;
} Walk;

static DvFilter *walk_expr(Walk *walk, Expr *expr);

static DvFilter *
untranslatable(void)
{
	return dv_filter_leaf(DV_OP_LIKE, "", "", DV_TYPE_UNKNOWN, -1);
}

/* varchar read as text, a domain as its base type: the same value. */
static Expr *
strip_relabel(Expr *expr)
{
	while (IsA(expr, RelabelType))
		expr = ((RelabelType *) expr)->arg;
	return expr;
}

/* An integer column read as a wider integer or as numeric: the same number. */
static Expr *
strip_widening(Expr *expr)
{
	expr = strip_relabel(expr);
	if (IsA(expr, FuncExpr) && dv_shipping_widening(((FuncExpr *) expr)->funcid))
		return strip_relabel(linitial(((FuncExpr *) expr)->args));
	return expr;
}

DvColumn *
dv_translate_column(const DvTable *table, Index relid, Expr *expr)
{
	Var *var = (Var *) strip_relabel(expr);

	if (!IsA(var, Var) || var->varno != relid || var->varlevelsup != 0 || var->varattno <= 0)
		return NULL;
	return dv_table_column(table, var->varattno);
}

/* The column of one of the sources, and its table; NULL for anything else. */
static DvColumn *
source_column(const Walk *walk, Expr *expr, const DvTable **table)
{
	for (int i = 0; i < walk->nsources; i++)
	{
		DvColumn *column =
			dv_translate_column(walk->sources[i].table, walk->sources[i].relid, expr);

		*table = walk->sources[i].table;
		if (column != NULL)
			return column;
	}
	return NULL;
}

/* A column whose comparisons agree on both sides, or NULL. */
static DvColumn *
shippable_column(Walk *walk, Expr *expr)
{
	const DvTable *table;
	DvColumn *column = source_column(walk, strip_widening(expr), &table);

	return column != NULL && dv_shipping_column(column) ? column : NULL;
}

static bool
contains_subplan_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan) || IsA(node, PlaceHolderVar))
		return true;
	return expression_tree_walker(node, contains_subplan_walker, context);
}

/* Something evaluated here once per scan: no column of ours, nothing volatile. */
static bool
is_operand(Walk *walk, Expr *expr)
{
	if (contains_subplan_walker((Node *) expr, NULL) || contain_volatile_functions((Node *) expr))
		return false;
	return !bms_overlap(walk->own, pull_varnos(NULL, (Node *) expr));
}

static int
add_operand(Walk *walk, Expr *expr)
{
	walk->operands = lappend(walk->operands, expr);
	return list_length(walk->operands) - 1;
}

static DvFilter *
column_leaf(Walk *walk, DvFilterOp op, const DvColumn *column, int slot)
{
	DvFilter *leaf = dv_filter_leaf(op, column->property, column->logical, column->type, slot);

	/* A virtual table's provider may ignore what it is told (sheet 13.2); it is never joined there. */
	if (walk->sources[0].table->table_type == DV_TABLE_VIRTUAL)
		return dv_filter_weaken(leaf);
	return leaf;
}

/* Column, operator, operand; NONE when the operand reads the row itself. */
static DvFilter *
operand_leaf(Walk *walk, DvFilterOp op, const DvColumn *column, Expr *operand)
{
	Oid type = exprType((Node *) operand);

	if (OidIsValid(get_element_type(type)))
		type = get_element_type(type);
	if (op == DV_OP_COUNT || !is_operand(walk, operand) || !dv_shipping_operand(column->type, type))
		return untranslatable();
	return column_leaf(walk, op, column, add_operand(walk, operand));
}

/*
 * A collation that calls different strings equal makes SQL's = wider than
 * identity, and the service's folding need not cover it.
 */
static bool
collation_ok(Oid collation)
{
	return !OidIsValid(collation) || get_collation_isdeterministic(collation);
}

/*
 * A label column compared with a label: the choice compared with its value.
 * Which value that is, is asked when the scan begins.
 */
static DvFilter *
walk_label(Walk *walk, DvFilterOp op, Expr *column_expr, Expr *operand)
{
	const DvTable *table;
	const DvColumn *label = source_column(walk, column_expr, &table);
	const DvColumn *choice;
	DvFilter *leaf;

	if (label == NULL || label->label_of == NULL || (op != DV_OP_EQ && op != DV_OP_IN))
		return NULL;
	choice = dv_table_column_logical(table, label->label_of);
	if (choice == NULL || !is_operand(walk, operand))
		return NULL;
	leaf = dv_filter_label(choice->property, choice->logical, choice->type,
						   list_length(walk->operands));
	if (leaf->exactness == DV_NONE)
		return NULL;
	add_operand(walk, operand);
	return leaf;
}

static DvFilter *
walk_comparison(Walk *walk, Oid function, Oid collation, List *args)
{
	const DvShippingRow *row = dv_shipping_function(function);
	Expr *left;
	Expr *right;
	DvColumn *column;
	DvFilter *leaf;

	if (row == NULL || list_length(args) != 2 || !collation_ok(collation))
		return untranslatable();
	left = linitial(args);
	right = lsecond(args);
	if ((column = shippable_column(walk, left)) != NULL)
		return operand_leaf(walk, row->op, column, right);
	if ((column = shippable_column(walk, right)) != NULL)
		return operand_leaf(walk, row->commuted, column, left);
	if ((leaf = walk_label(walk, row->op, left, right)) != NULL ||
		(leaf = walk_label(walk, row->commuted, right, left)) != NULL)
		return leaf;
	return untranslatable();
}

static DvFilter *
walk_array_comparison(Walk *walk, ScalarArrayOpExpr *node)
{
	DvFilterOp op = dv_shipping_array(get_opcode(node->opno), node->useOr);
	DvColumn *column = shippable_column(walk, linitial(node->args));
	DvFilter *leaf;

	if (op == DV_OP_COUNT || !collation_ok(node->inputcollid))
		return untranslatable();
	if (column != NULL)
		return operand_leaf(walk, op, column, lsecond(node->args));
	leaf = walk_label(walk, op, linitial(node->args), lsecond(node->args));
	return leaf != NULL ? leaf : untranslatable();
}

/*
 * IS DISTINCT FROM, and IS NOT DISTINCT FROM, which is its NOT to the parser but
 * may be sent where that may not.  The node's operator is the type's =.
 */
static DvFilter *
walk_distinct(Walk *walk, DvFilterOp op, DistinctExpr *node)
{
	const DvShippingRow *row = dv_shipping_function(get_opcode(node->opno));
	Expr *left = linitial(node->args);
	Expr *right = lsecond(node->args);
	DvColumn *column;

	if (row == NULL || row->op != DV_OP_EQ || !collation_ok(node->inputcollid))
		return untranslatable();
	if ((column = shippable_column(walk, left)) != NULL)
		return operand_leaf(walk, op, column, right);
	if ((column = shippable_column(walk, right)) != NULL)
		return operand_leaf(walk, op, column, left);
	return untranslatable();
}

static DvFilter *
walk_bool_expr(Walk *walk, BoolExpr *node)
{
	DvFilter *result = NULL;
	ListCell *lc;

	if (node->boolop == NOT_EXPR && IsA(linitial(node->args), DistinctExpr))
		return walk_distinct(walk, DV_OP_NOT_DISTINCT, linitial(node->args));
	if (node->boolop == NOT_EXPR)
		return dv_filter_not(walk_expr(walk, linitial(node->args)));

	foreach (lc, node->args)
	{
		DvFilter *arg = walk_expr(walk, lfirst(lc));

		if (result == NULL)
			result = arg;
		else
			result = (node->boolop == AND_EXPR ? dv_filter_and : dv_filter_or)(result, arg);
	}
	return result;
}

static DvFilter *
walk_null_test(Walk *walk, NullTest *node)
{
	const DvTable *table;
	DvColumn *column = source_column(walk, node->arg, &table);

	/* Null is null whatever the declared type, so the type pairing is not asked. */
	if (column == NULL || node->argisrow || column->label_of != NULL || column->target_of != NULL)
		return untranslatable();
	return column_leaf(walk, node->nulltesttype == IS_NULL ? DV_OP_IS_NULL : DV_OP_NOT_NULL, column,
					   -1);
}

static DvFilter *
boolean_leaf(Walk *walk, const DvColumn *column, bool value)
{
	Expr *constant = (Expr *) makeBoolConst(value, false);

	return column_leaf(walk, DV_OP_EQ, column, add_operand(walk, constant));
}

static DvFilter *
walk_boolean_test(Walk *walk, BooleanTest *node)
{
	DvColumn *column = shippable_column(walk, node->arg);
	DvFilter *is_null;

	if (column == NULL)
		return untranslatable();
	is_null = column_leaf(walk, DV_OP_IS_NULL, column, -1);
	switch (node->booltesttype)
	{
		case IS_TRUE:
			return boolean_leaf(walk, column, true);
		case IS_FALSE:
			return boolean_leaf(walk, column, false);
		case IS_NOT_TRUE:
			return dv_filter_or(boolean_leaf(walk, column, false), is_null);
		case IS_NOT_FALSE:
			return dv_filter_or(boolean_leaf(walk, column, true), is_null);
		case IS_UNKNOWN:
			return is_null;
		case IS_NOT_UNKNOWN:
			return column_leaf(walk, DV_OP_NOT_NULL, column, -1);
	}
	return untranslatable();
}

/* A boolean column standing alone is its own condition. */
static DvFilter *
walk_boolean_column(Walk *walk, Expr *expr)
{
	DvColumn *column = shippable_column(walk, expr);

	if (column == NULL || column->type != DV_TYPE_BOOLEAN)
		return untranslatable();
	return boolean_leaf(walk, column, true);
}

static DvFilter *
walk_constant(Const *node)
{
	if (node->consttype != BOOLOID || node->constisnull)
		return untranslatable();
	return dv_filter_constant(DatumGetBool(node->constvalue));
}

static DvFilter *
walk_expr(Walk *walk, Expr *expr)
{
	switch (nodeTag(expr))
	{
		case T_OpExpr:
			return walk_comparison(walk, get_opcode(((OpExpr *) expr)->opno),
								   ((OpExpr *) expr)->inputcollid, ((OpExpr *) expr)->args);
		case T_FuncExpr:
			return walk_comparison(walk, ((FuncExpr *) expr)->funcid,
								   ((FuncExpr *) expr)->inputcollid, ((FuncExpr *) expr)->args);
		case T_DistinctExpr:
			return walk_distinct(walk, DV_OP_DISTINCT, (DistinctExpr *) expr);
		case T_ScalarArrayOpExpr:
			return walk_array_comparison(walk, (ScalarArrayOpExpr *) expr);
		case T_BoolExpr:
			return walk_bool_expr(walk, (BoolExpr *) expr);
		case T_NullTest:
			return walk_null_test(walk, (NullTest *) expr);
		case T_BooleanTest:
			return walk_boolean_test(walk, (BooleanTest *) expr);
		case T_Var:
		case T_RelabelType:
			return walk_boolean_column(walk, expr);
		case T_Const:
			return walk_constant((Const *) expr);
		default:
			return untranslatable();
	}
}

/* A list written out in the query, of few enough values for any request. */
static bool
is_short_list(Walk *walk, const DvFilter *leaf)
{
	Const *array = list_nth(walk->operands, leaf->slot);
	ArrayType *value;

	/* one label is a list of the few values that carry it */
	if (!OidIsValid(get_element_type(exprType((Node *) array))))
		return true;
	if (!IsA(array, Const))
		return false;
	if (array->constisnull)
		return true;
	value = DatumGetArrayTypeP(array->constvalue);
	return ArrayGetNItems(ARR_NDIM(value), ARR_DIMS(value)) <= CONDITIONS_SAFE;
}

/*
 * May the values turn out to be more than one request holds, in a place where
 * the list cannot be cut?  Cutting is for = ANY alone or among ANDs.
 */
static bool
may_grow(Walk *walk, const DvFilter *filter, bool under_or)
{
	if (filter->kind == DV_FILTER_LEAF)
		return (filter->op == DV_OP_NOT_IN || (filter->op == DV_OP_IN && under_or)) &&
			   !is_short_list(walk, filter);
	for (int i = 0; i < filter->nargs; i++)
	{
		if (may_grow(walk, filter->args[i], under_or || filter->kind == DV_FILTER_OR))
			return true;
	}
	return false;
}

/*
 * A condition that may turn out too long for the service is sent as a superset:
 * its columns are read, and the executor may leave it out and check it here.
 */
static DvFilter *
keep_droppable(Walk *walk, DvFilter *filter)
{
	if (dv_filter_conditions(filter) > CONDITIONS_SAFE || may_grow(walk, filter, false))
		return dv_filter_weaken(filter);
	return filter;
}

DvClause *
dv_translate_clause(const DvTable *table, Index relid, Expr *expr)
{
	DvSource source = {table, relid};

	return dv_translate_clause_over(&source, 1, bms_make_singleton(relid), expr);
}

DvClause *
dv_translate_clause_over(const DvSource *sources, int nsources, Relids own, Expr *expr)
{
	Walk walk = {sources, nsources, own, NIL};
	DvClause *clause = palloc(sizeof(DvClause));

	clause->filter = keep_droppable(&walk, walk_expr(&walk, expr));
	clause->operands = walk.operands;
	return clause;
}
