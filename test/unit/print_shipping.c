/*
 * print_shipping.c
 *	  The classes of conditions by column type and operator: as the README's
 *	  table, or with --cells one per line.
 *
 * Types that are alike in everything share a row, operators a column.
 */
#include "odata/filter.h"

#include <stdio.h>

#include "operators.h"

static const char *const class_words[] = {
	[DV_NONE] = "none",
	[DV_SUPERSET] = "superset",
	[DV_EXACT] = "exact",
};

/* An unknown type is a column that does not say; it has no name to be shown. */
#define FIRST_TYPE (DV_TYPE_UNKNOWN + 1)

static bool
same_operators(DvFilterOp a, DvFilterOp b)
{
	for (int type = FIRST_TYPE; type < DV_TYPE_COUNT; type++)
	{
		if (dv_filter_leaf_exactness(type, a) != dv_filter_leaf_exactness(type, b))
			return false;
	}
	return true;
}

static bool
same_types(DvType a, DvType b)
{
	for (int op = 0; op < DV_OP_COUNT; op++)
	{
		if (dv_filter_leaf_exactness(a, op) != dv_filter_leaf_exactness(b, op))
			return false;
	}
	return true;
}

static bool
is_first_operator(DvFilterOp op)
{
	for (int before = 0; before < (int) op; before++)
	{
		if (same_operators(before, op))
			return false;
	}
	return true;
}

static bool
is_first_type(DvType type)
{
	for (int before = FIRST_TYPE; before < (int) type; before++)
	{
		if (same_types(before, type))
			return false;
	}
	return true;
}

static void
print_head(void)
{
	int columns = 0;

	printf("| column type |");
	for (int op = 0; op < DV_OP_COUNT; op++)
	{
		if (!is_first_operator(op))
			continue;
		columns++;
		for (int like = op; like < DV_OP_COUNT; like++)
		{
			if (same_operators(op, like))
				printf("%s`%s`", like == op ? " " : ", ", operator_names[like]);
		}
		printf(" |");
	}
	printf("\n|---|");
	while (columns-- > 0)
		printf("---|");
	printf("\n");
}

static void
print_row(DvType type)
{
	printf("|");
	for (int like = type; like < DV_TYPE_COUNT; like++)
	{
		if (same_types(type, like))
			printf("%s%s", like == (int) type ? " " : ", ", dv_type_name(like));
	}
	printf(" |");
	for (int op = 0; op < DV_OP_COUNT; op++)
	{
		DvExactness exactness = dv_filter_leaf_exactness(type, op);

		if (is_first_operator(op))
			printf(" %s |", exactness == DV_NONE ? "–" : class_words[exactness]);
	}
	printf("\n");
}

static void
print_cells(void)
{
	for (int type = FIRST_TYPE; type < DV_TYPE_COUNT; type++)
		for (int op = 0; op < DV_OP_COUNT; op++)
			printf("%s\t%s\t%s\n", dv_type_name(type), operator_names[op],
				   class_words[dv_filter_leaf_exactness(type, op)]);
}

int
main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--cells") == 0)
	{
		print_cells();
		return 0;
	}
	print_head();
	for (int type = FIRST_TYPE; type < DV_TYPE_COUNT; type++)
	{
		if (is_first_type(type))
			print_row(type);
	}
	return 0;
}
