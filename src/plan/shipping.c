/*
 * shipping.c
 *	  Which operators and functions mean the same on both sides.
 *
 * Operators are known by the OIDs of their functions, which are fixed for
 * what is built in; anything an extension brings stays local.
 *
 * A column's declared type must hold every value of its attribute type
 * unchanged, else the service would compare something other than what
 * PostgreSQL sees: numeric(10,2) over a Decimal of ten places rounds when
 * read, char(n) and varchar(n) drop trailing blanks, float4 drops digits.  Such columns
 * are read and compared here.
 */
#include "postgres.h"

#include "compat.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "plan/shipping.h"

#define COMPARISONS(eq, ne, lt, le, gt, ge)                                                        \
	{eq, DV_OP_EQ, DV_OP_EQ}, {ne, DV_OP_NE, DV_OP_NE}, {lt, DV_OP_LT, DV_OP_GT},                  \
		{le, DV_OP_LE, DV_OP_GE}, {gt, DV_OP_GT, DV_OP_LT},                                        \
	{                                                                                              \
		ge, DV_OP_GE, DV_OP_LE                                                                     \
	}

/*
 * Text comparisons other than = are left out on purpose: the service's order
 * is its collation's.
 */
static const DvShippingRow shipping_rows[] = {
	COMPARISONS(F_BOOLEQ, F_BOOLNE, F_BOOLLT, F_BOOLLE, F_BOOLGT, F_BOOLGE),
	COMPARISONS(F_INT2EQ, F_INT2NE, F_INT2LT, F_INT2LE, F_INT2GT, F_INT2GE),
	COMPARISONS(F_INT4EQ, F_INT4NE, F_INT4LT, F_INT4LE, F_INT4GT, F_INT4GE),
	COMPARISONS(F_INT8EQ, F_INT8NE, F_INT8LT, F_INT8LE, F_INT8GT, F_INT8GE),
	COMPARISONS(F_INT24EQ, F_INT24NE, F_INT24LT, F_INT24LE, F_INT24GT, F_INT24GE),
	COMPARISONS(F_INT42EQ, F_INT42NE, F_INT42LT, F_INT42LE, F_INT42GT, F_INT42GE),
	COMPARISONS(F_INT28EQ, F_INT28NE, F_INT28LT, F_INT28LE, F_INT28GT, F_INT28GE),
	COMPARISONS(F_INT82EQ, F_INT82NE, F_INT82LT, F_INT82LE, F_INT82GT, F_INT82GE),
	COMPARISONS(F_INT48EQ, F_INT48NE, F_INT48LT, F_INT48LE, F_INT48GT, F_INT48GE),
	COMPARISONS(F_INT84EQ, F_INT84NE, F_INT84LT, F_INT84LE, F_INT84GT, F_INT84GE),
	COMPARISONS(F_NUMERIC_EQ, F_NUMERIC_NE, F_NUMERIC_LT, F_NUMERIC_LE, F_NUMERIC_GT, F_NUMERIC_GE),
	COMPARISONS(F_FLOAT8EQ, F_FLOAT8NE, F_FLOAT8LT, F_FLOAT8LE, F_FLOAT8GT, F_FLOAT8GE),
	COMPARISONS(F_DATE_EQ, F_DATE_NE, F_DATE_LT, F_DATE_LE, F_DATE_GT, F_DATE_GE),
	COMPARISONS(F_TIMESTAMP_EQ, F_TIMESTAMP_NE, F_TIMESTAMP_LT, F_TIMESTAMP_LE, F_TIMESTAMP_GT,
				F_TIMESTAMP_GE),
	COMPARISONS(F_TIMESTAMPTZ_EQ, F_TIMESTAMPTZ_NE, F_TIMESTAMPTZ_LT, F_TIMESTAMPTZ_LE,
				F_TIMESTAMPTZ_GT, F_TIMESTAMPTZ_GE),
	/* across types, with the operand converted as the operator does: see dv_shipping_operand */
	COMPARISONS(F_TIMESTAMPTZ_EQ_DATE, F_TIMESTAMPTZ_NE_DATE, F_TIMESTAMPTZ_LT_DATE,
				F_TIMESTAMPTZ_LE_DATE, F_TIMESTAMPTZ_GT_DATE, F_TIMESTAMPTZ_GE_DATE),
	COMPARISONS(F_DATE_EQ_TIMESTAMPTZ, F_DATE_NE_TIMESTAMPTZ, F_DATE_LT_TIMESTAMPTZ,
				F_DATE_LE_TIMESTAMPTZ, F_DATE_GT_TIMESTAMPTZ, F_DATE_GE_TIMESTAMPTZ),
	COMPARISONS(F_TIMESTAMPTZ_EQ_TIMESTAMP, F_TIMESTAMPTZ_NE_TIMESTAMP, F_TIMESTAMPTZ_LT_TIMESTAMP,
				F_TIMESTAMPTZ_LE_TIMESTAMP, F_TIMESTAMPTZ_GT_TIMESTAMP, F_TIMESTAMPTZ_GE_TIMESTAMP),
	COMPARISONS(F_TIMESTAMP_EQ_TIMESTAMPTZ, F_TIMESTAMP_NE_TIMESTAMPTZ, F_TIMESTAMP_LT_TIMESTAMPTZ,
				F_TIMESTAMP_LE_TIMESTAMPTZ, F_TIMESTAMP_GT_TIMESTAMPTZ, F_TIMESTAMP_GE_TIMESTAMPTZ),
	COMPARISONS(F_TIMESTAMP_EQ_DATE, F_TIMESTAMP_NE_DATE, F_TIMESTAMP_LT_DATE, F_TIMESTAMP_LE_DATE,
				F_TIMESTAMP_GT_DATE, F_TIMESTAMP_GE_DATE),
	COMPARISONS(F_DATE_EQ_TIMESTAMP, F_DATE_NE_TIMESTAMP, F_DATE_LT_TIMESTAMP, F_DATE_LE_TIMESTAMP,
				F_DATE_GT_TIMESTAMP, F_DATE_GE_TIMESTAMP),
	{F_UUID_EQ, DV_OP_EQ, DV_OP_EQ},
	{F_UUID_NE, DV_OP_NE, DV_OP_NE},
	{F_TEXTEQ, DV_OP_EQ, DV_OP_EQ},
	{F_TEXTLIKE, DV_OP_LIKE, DV_OP_COUNT},
	{F_TEXTICLIKE, DV_OP_ILIKE, DV_OP_COUNT},
	{F_STARTS_WITH, DV_OP_PREFIX, DV_OP_COUNT},
};

const DvShippingRow *
dv_shipping_function(Oid function)
{
	for (int i = 0; i < lengthof(shipping_rows); i++)
	{
		if (shipping_rows[i].function == function)
			return &shipping_rows[i];
	}
	return NULL;
}

DvFilterOp
dv_shipping_array(Oid function, bool use_or)
{
	const DvShippingRow *row = dv_shipping_function(function);

	if (row != NULL && use_or && row->op == DV_OP_EQ)
		return DV_OP_IN;
	if (row != NULL && !use_or && row->op == DV_OP_NE)
		return DV_OP_NOT_IN;
	return DV_OP_COUNT;
}

/*
 * An operator across date types converts its narrower side.  That side must be
 * the operand, and its conversion must keep order: a date or a timestamp
 * becomes one instant under the session's time zone, but an instant becomes no
 * timestamp that could be compared with a column instead of it, since clocks
 * go back.  A double beside integers or numerics would be compared as a
 * double, which drops digits of the column.
 */
bool
dv_shipping_operand(DvType type, Oid operand)
{
	operand = getBaseType(operand);
	switch (dv_type_edm(type))
	{
		case DV_EDM_DATETIME:
			if (type == DV_TYPE_DATETIME)
				return operand == TIMESTAMPTZOID || operand == TIMESTAMPOID || operand == DATEOID;
			return operand == TIMESTAMPOID || operand == DATEOID;
		case DV_EDM_DATE:
			return operand == DATEOID || operand == TIMESTAMPOID;
		case DV_EDM_INT32:
		case DV_EDM_INT64:
		case DV_EDM_DECIMAL:
			return operand != FLOAT4OID && operand != FLOAT8OID;
		default:
			return true;
	}
}

bool
dv_shipping_widening(Oid function)
{
	switch (function)
	{
		case F_INT4_INT2:
		case F_INT8_INT2:
		case F_INT8_INT4:
		case F_NUMERIC_INT2:
		case F_NUMERIC_INT4:
		case F_NUMERIC_INT8:
			return true;
		default:
			return false;
	}
}

/* Which attribute types a PostgreSQL type holds unchanged. */
typedef struct TypePair
{
	Oid typid;
	DvType type;
} TypePair;

static const TypePair type_pairs[] = {
	{BOOLOID, DV_TYPE_BOOLEAN},
	{INT2OID, DV_TYPE_INTEGER},
	{INT4OID, DV_TYPE_INTEGER},
	{INT8OID, DV_TYPE_INTEGER},
	{NUMERICOID, DV_TYPE_INTEGER},
	{INT4OID, DV_TYPE_PICKLIST},
	{INT8OID, DV_TYPE_PICKLIST},
	{INT4OID, DV_TYPE_STATE},
	{INT8OID, DV_TYPE_STATE},
	{INT4OID, DV_TYPE_STATUS},
	{INT8OID, DV_TYPE_STATUS},
	{INT8OID, DV_TYPE_BIGINT},
	{NUMERICOID, DV_TYPE_BIGINT},
	{NUMERICOID, DV_TYPE_DECIMAL},
	{NUMERICOID, DV_TYPE_MONEY},
	{FLOAT8OID, DV_TYPE_DOUBLE},
	{TEXTOID, DV_TYPE_STRING},
	{TEXTOID, DV_TYPE_MEMO},
	{TEXTOID, DV_TYPE_ENTITY_NAME},
	{VARCHAROID, DV_TYPE_STRING},
	{VARCHAROID, DV_TYPE_MEMO},
	{VARCHAROID, DV_TYPE_ENTITY_NAME},
	{UUIDOID, DV_TYPE_GUID},
	{UUIDOID, DV_TYPE_LOOKUP},
	{UUIDOID, DV_TYPE_CUSTOMER},
	{UUIDOID, DV_TYPE_OWNER},
	{DATEOID, DV_TYPE_DATE},
	{TIMESTAMPTZOID, DV_TYPE_DATETIME},
	{TIMESTAMPOID, DV_TYPE_DATETIME_FLOATING},
};

/* A length or scale that changes values when they are read? timestamp(0) does not: seconds are whole. */
static bool
typmod_alters(Oid typid, int32 typmod)
{
	return typmod != -1 && (typid == NUMERICOID || typid == VARCHAROID);
}

bool
dv_shipping_column(const DvColumn *column)
{
	int32 typmod = column->typmod;
	Oid typid = getBaseTypeAndTypmod(column->typid, &typmod);

	if (column->label_of != NULL || column->target_of != NULL || typmod_alters(typid, typmod))
		return false;
	for (int i = 0; i < lengthof(type_pairs); i++)
	{
		if (type_pairs[i].typid == typid && type_pairs[i].type == column->type)
			return true;
	}
	return false;
}

/*
 * Columns whose order on the service is PostgreSQL's.  State, status and
 * boolean columns may sort by label, lookups do sort by name, GUIDs by the
 * engine's order, text by collation (sheet 2.4).  A timestamp may carry a
 * fraction that is not returned: rows equal here may come apart there, so no
 * key may follow it.
 */
bool
dv_shipping_sortable(const DvColumn *column, bool *must_be_last)
{
	*must_be_last = column->type == DV_TYPE_DATETIME || column->type == DV_TYPE_DATETIME_FLOATING;
	switch (column->type)
	{
		case DV_TYPE_INTEGER:
		case DV_TYPE_BIGINT:
		case DV_TYPE_DECIMAL:
		case DV_TYPE_MONEY:
		case DV_TYPE_PICKLIST:
		case DV_TYPE_DATE:
		case DV_TYPE_DATETIME:
		case DV_TYPE_DATETIME_FLOATING:
			return dv_shipping_column(column);
		default:
			return false;
	}
}
