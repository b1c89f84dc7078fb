/*
 * shipping.h
 *	  Which operators and functions mean the same on both sides.
 *
 * Two questions, both answered from tables: which filter operator an operator
 * of PostgreSQL stands for, and whether a column of this PostgreSQL type holds
 * the attribute's values so that comparing there and comparing here agree.
 * The class of the result (EXACT, SUPERSET) is the filter room's affair.
 */
#ifndef DV_PLAN_SHIPPING_H
#define DV_PLAN_SHIPPING_H

#include "odata/filter.h"
#include "remote/options.h"

/* One table row, for the README's test. */
typedef struct DvShippingRow
{
	Oid function; /* pg_proc OID of the operator's or the function itself */
	DvFilterOp op;
	DvFilterOp commuted; /* with the column on the right; DV_OP_COUNT: cannot be */
} DvShippingRow;

/* The row for an operator's function (built in, so the OID is fixed), or NULL. */
extern const DvShippingRow *dv_shipping_function(Oid function);

/* = ANY and <> ALL: the list operator for an operator's function; DV_OP_COUNT when there is none. */
extern DvFilterOp dv_shipping_array(Oid function, bool use_or);

/*
 * May an operand of this type be compared with a column of that attribute
 * type?  Asked beside dv_shipping_function, which knows the operator only.
 */
extern bool dv_shipping_operand(DvType type, Oid operand);

/* Is this a cast that keeps every value: integer to wider integer or to numeric? */
extern bool dv_shipping_widening(Oid function);

/* Do comparisons agree, this column being declared as it is? */
extern bool dv_shipping_column(const DvColumn *column);

/* May the service sort by this column, and may further keys follow it? (design 3.1) */
extern bool dv_shipping_sortable(const DvColumn *column, bool *must_be_last);

#endif /* DV_PLAN_SHIPPING_H */
