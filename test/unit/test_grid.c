/*
 * test_grid.c
 *	  Where values stand on a column's grid.
 */
#include "odata/grid.h"

#include "tap.h"

static void
stands(DvType type, const char *text, const char *expected)
{
	static const char *const words[] = {"on", "between", "above", "below"};
	char *grid = NULL;
	DvPlace place = dv_grid_place(type, text, &grid);

	if (place == DV_PLACE_ABOVE || place == DV_PLACE_BELOW)
		grid = "-";
	is(psprintf("%s %s", words[place], grid), expected, "%s %s", dv_type_name(type), text);
}

int
main(void)
{
	stands(DV_TYPE_INTEGER, "007", "on 7");
	stands(DV_TYPE_INTEGER, "-0", "on 0");
	stands(DV_TYPE_INTEGER, "2.5", "between 2");
	stands(DV_TYPE_INTEGER, "-2.5", "between -3");
	stands(DV_TYPE_INTEGER, "2.000", "on 2");
	stands(DV_TYPE_INTEGER, "2147483647", "on 2147483647");
	stands(DV_TYPE_INTEGER, "2147483648", "above -");
	stands(DV_TYPE_INTEGER, "-2147483648", "on -2147483648");
	stands(DV_TYPE_INTEGER, "-2147483648.5", "below -");
	stands(DV_TYPE_BIGINT, "9223372036854775807.5", "between 9223372036854775807");
	stands(DV_TYPE_BIGINT, "NaN", "above -");
	stands(DV_TYPE_DECIMAL, "1.50", "on 1.5");
	stands(DV_TYPE_DECIMAL, "0.12345678901", "between 0.123456789");
	stands(DV_TYPE_DECIMAL, "-9.99999999999", "between -10");
	stands(DV_TYPE_DECIMAL, "1234567890123456789", "above -");
	stands(DV_TYPE_MONEY, "-Infinity", "below -");
	stands(DV_TYPE_DATE, "19753", "on 19753");
	stands(DV_TYPE_DATE, "19753.5", "between 19753");
	stands(DV_TYPE_DATE, "2932897", "above -");
	stands(DV_TYPE_DATE, "-79258", "below -");
	stands(DV_TYPE_DATE, "infinity", "above -");
	stands(DV_TYPE_DATETIME, "1000000", "on 1000000");
	stands(DV_TYPE_DATETIME, "-1", "between -1000000");
	stands(DV_TYPE_DATETIME, "253402300799999999", "between 253402300799000000");
	stands(DV_TYPE_DATETIME, "253402300800000000", "above -");
	stands(DV_TYPE_DATETIME_FLOATING, "-infinity", "below -");
	return done_testing();
}
