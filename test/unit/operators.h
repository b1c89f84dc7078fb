/*
 * operators.h
 *	  The operators of conditions by the names that SQL has for them.
 */
#ifndef DV_TEST_OPERATORS_H
#define DV_TEST_OPERATORS_H

#include "odata/filter.h"

static const char *const operator_names[DV_OP_COUNT] = {
	[DV_OP_EQ] = "=",
	[DV_OP_NE] = "<>",
	[DV_OP_LT] = "<",
	[DV_OP_LE] = "<=",
	[DV_OP_GT] = ">",
	[DV_OP_GE] = ">=",
	[DV_OP_IN] = "= ANY",
	[DV_OP_NOT_IN] = "<> ALL",
	[DV_OP_LIKE] = "LIKE",
	[DV_OP_ILIKE] = "ILIKE",
	[DV_OP_PREFIX] = "^@",
	[DV_OP_CHOICES_ALL] = "@>",
	[DV_OP_CHOICES_ANY] = "&&",
	[DV_OP_DISTINCT] = "IS DISTINCT FROM",
	[DV_OP_NOT_DISTINCT] = "IS NOT DISTINCT FROM",
	[DV_OP_IS_NULL] = "IS NULL",
	[DV_OP_NOT_NULL] = "IS NOT NULL",
};

#endif /* DV_TEST_OPERATORS_H */
