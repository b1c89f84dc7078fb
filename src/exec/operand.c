/*
 * operand.c
 *	  The expressions behind a filter's slots, and their values at a run.
 *
 * The planner turns every operand of a condition into a slot.  Here the slots'
 * expressions are evaluated, once for each run, and brought into the form that the
 * column they are compared with wants.
 */
#include "postgres.h"

#include "compat.h"

#include "executor/executor.h"
#include "nodes/nodeFuncs.h"

#include "exec/convert.h"
#include "exec/labels.h"
#include "exec/operand.h"

typedef struct DvOperand
{
	Expr *expr;
	ExprState *state;
	Oid typid;
	const DvFilter *leaf; /* whose column it is compared with; NULL: nobody asks */
} DvOperand;

/* The leaf that a slot belongs to, or NULL. */
static const DvFilter *
find_slot(const DvFilter *filter, int slot)
{
	if (filter->kind == DV_FILTER_LEAF && filter->slot == slot)
		return filter;
	for (int i = 0; i < filter->nargs; i++)
	{
		const DvFilter *leaf = find_slot(filter->args[i], slot);

		if (leaf != NULL)
			return leaf;
	}
	return NULL;
}

static const DvFilter *
find_slot_in(List *filters, int slot)
{
	ListCell *lc;

	foreach (lc, filters)
	{
		const DvFilter *leaf = lfirst(lc) != NULL ? find_slot(lfirst(lc), slot) : NULL;

		if (leaf != NULL)
			return leaf;
	}
	return NULL;
}

DvOperands *
dv_operand_prepare(PlanState *node, const DvTable *table, List *exprs, List *filters)
{
	DvOperands *operands = palloc0(sizeof(DvOperands));
	ListCell *lc;

	operands->table = table;
	operands->n = list_length(exprs);
	operands->items = palloc0(sizeof(DvOperand) * Max(operands->n, 1));
	foreach (lc, exprs)
	{
		DvOperand *operand = &operands->items[foreach_current_index(lc)];

		operand->expr = lfirst(lc);
		operand->typid = exprType((Node *) operand->expr);
		operand->leaf = find_slot_in(filters, foreach_current_index(lc));
		if (operand->leaf != NULL)
			operand->state = ExecInitExpr(operand->expr, node);
	}
	return operands;
}

void
dv_operand_leave_open(DvOperands *operands, int slot)
{
	operands->items[slot].state = NULL;
}

DvValue *
dv_operand_given(const DvOperands *operands, int slot, Datum value)
{
	const DvOperand *operand = &operands->items[slot];

	return dv_convert_comparand(value, false, operand->typid, operand->leaf->type);
}

static bool
unknown_walker(Node *node, void *context)
{
	ParamListInfo params = ((ExprContext *) context)->ecxt_param_list_info;
	Param *param = (Param *) node;

	if (node == NULL)
		return false;
	if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan))
		return true;
	if (!IsA(node, Param))
		return expression_tree_walker(node, unknown_walker, context);

	/* Parameters of EXPLAIN EXECUTE are known; those made by other nodes are not. */
	return param->paramkind != PARAM_EXTERN || params == NULL || param->paramid < 1 ||
		   param->paramid > params->numParams ||
		   (params->paramFetch == NULL && !OidIsValid(params->params[param->paramid - 1].ptype));
}

static DvValue *
operand_value(const DvOperands *operands, const DvOperand *operand, Datum value, bool isnull,
			  DvService *service)
{
	const DvFilter *leaf = operand->leaf;

	if (!leaf->label)
		return dv_convert_comparand(value, isnull, operand->typid, leaf->type);
	if (service == NULL)
		return NULL;
	return dv_labels_values(service, operands->table->table_name, leaf->logical, leaf->type,
							dv_convert_comparand(value, isnull, operand->typid, DV_TYPE_STRING));
}

DvValue **
dv_operand_values(const DvOperands *operands, ExprContext *econtext, DvService *service,
				  bool known_only)
{
	DvValue **values = palloc0(sizeof(DvValue *) * Max(operands->n, 1));

	for (int i = 0; i < operands->n; i++)
	{
		const DvOperand *operand = &operands->items[i];
		Datum value;
		bool isnull;

		if (operand->state == NULL ||
			(known_only && unknown_walker((Node *) operand->expr, econtext)))
			continue;
		value = ExecEvalExprSwitchContext(operand->state, econtext, &isnull);
		values[i] = operand_value(operands, operand, value, isnull, service);
	}
	return values;
}

bool
dv_operand_all_known(const DvOperands *operands, DvValue *const *values)
{
	for (int i = 0; i < operands->n; i++)
	{
		if (operands->items[i].leaf != NULL && values[i] == NULL)
			return false;
	}
	return true;
}

char *
dv_operand_show(char *path)
{
	char *to = path;

	for (const char *from = path; *from;)
	{
		if (strncmp(from, "%24", 3) == 0 && from[3] >= '1' && from[3] <= '9')
		{
			*to++ = '$';
			from += 3;
		}
		else
			*to++ = *from++;
	}
	*to = '\0';
	return path;
}
