/*
 * filter.h
 *	  The tree of a remote condition, how exact it is, and its printing.
 *
 * A tree is made once, by the planner's walk, with operands as numbered slots.
 * At execution dv_filter_bind puts values into the slots and folds what they
 * decide; only then is there text.  Exactness depends on column and operator
 * alone, never on the value: binding keeps the class by rounding bounds in the
 * right direction and by folding what no row can satisfy.
 *
 * The rules (design 3.1):
 *	 EXACT		the service returns just the rows for which SQL says true
 *	 SUPERSET	those and maybe more: sent, and rechecked here
 *	 NONE		not sent
 * AND may drop a NONE arm and becomes SUPERSET.  OR with a NONE arm is NONE.
 * NOT of anything but EXACT is NONE.  NOT is pushed down to the leaves, so the
 * text never holds "not": its null rule is not settled (sheet 2.3.5) and it
 * may not precede a Dataverse function.  Every printed leaf drops rows whose
 * column is null, under any reading of the service's rules.
 */
#ifndef DV_ODATA_FILTER_H
#define DV_ODATA_FILTER_H

#include "odata/literal.h"

typedef enum DvExactness
{
	DV_NONE = 0,
	DV_SUPERSET,
	DV_EXACT
} DvExactness;

typedef enum DvFilterOp
{
	DV_OP_EQ,
	DV_OP_NE,
	DV_OP_LT,
	DV_OP_LE,
	DV_OP_GT,
	DV_OP_GE,
	DV_OP_IN,           /* = ANY (array) */
	DV_OP_NOT_IN,       /* <> ALL (array) */
	DV_OP_LIKE,         /* SQL pattern, backslash escapes */
	DV_OP_ILIKE,        /* the same without case */
	DV_OP_PREFIX,       /* starts_with, ^@ */
	DV_OP_CHOICES_ALL,  /* multi-select @> array */
	DV_OP_CHOICES_ANY,  /* multi-select && array */
	DV_OP_DISTINCT,     /* IS DISTINCT FROM */
	DV_OP_NOT_DISTINCT, /* IS NOT DISTINCT FROM */
	DV_OP_IS_NULL,
	DV_OP_NOT_NULL,
	DV_OP_COUNT
} DvFilterOp;

typedef enum DvFilterKind
{
	DV_FILTER_TRUE,
	DV_FILTER_FALSE, /* false or unknown: no row */
	DV_FILTER_LEAF,
	DV_FILTER_AND,
	DV_FILTER_OR
} DvFilterKind;

/* One operand value, in the fixed text forms of literal.h. */
typedef struct DvValue
{
	bool isnull; /* the whole operand is null */
	bool isarray;
	char *text; /* scalar */
	int nitems; /* array: elements that are not null */
	char **items;
	bool has_null; /* array: an element was null (matters to NOT IN) */
	bool unknown;  /* cannot be told: its leaf, a superset, is not sent */
} DvValue;

typedef struct DvFilter
{
	DvFilterKind kind;
	DvExactness exactness;

	/* AND, OR */
	int nargs;
	struct DvFilter **args;

	/* LEAF */
	DvFilterOp op;
	char *property; /* name in $filter, with the path to a related
								 * row before it if any: primarycontactid/fullname */
	char *logical;  /* logical name for Dataverse functions; lookups
								 * differ from property (sheet 2.3.6) */
	DvType type;
	int slot;             /* operand number, -1 for none */
	bool label;           /* operands are labels of a choice: whoever fills the slot
						   * maps them to values first */
	DvValue *value;       /* set by dv_filter_bind, else NULL */
	const char *function; /* set by dv_filter_bind: startswith, endswith or
								 * contains; a static string */
} DvFilter;

/* Leaf; its class follows from type and op. A DV_NONE leaf is still a node. */
extern DvFilter *dv_filter_leaf(DvFilterOp op, const char *property, const char *logical,
								DvType type, int slot);

/*
 * A list of a choice's (or boolean's) labels: IN with "label" set.  A superset,
 * since labels are the caller's language and may change under a cached
 * mapping: the label itself is compared again here.
 */
extern DvFilter *dv_filter_label(const char *property, const char *logical, DvType type, int slot);
extern DvFilter *dv_filter_constant(bool value);
extern DvFilter *dv_filter_and(DvFilter *a, DvFilter *b);
extern DvFilter *dv_filter_or(DvFilter *a, DvFilter *b);
extern DvFilter *dv_filter_not(DvFilter *a);

/* The same tree as SUPERSET at best: tables whose provider may ignore conditions. */
extern DvFilter *dv_filter_weaken(DvFilter *filter);

/* A copy whose slot numbers are higher by offset: operand lists joined. */
extern DvFilter *dv_filter_shift_slots(const DvFilter *filter, int offset);

/* The part of a tree that can be sent: NULL when that is nothing. Same as the tree when EXACT. */
extern DvFilter *dv_filter_sendable(DvFilter *filter);

/* The class of one leaf, by column type and operator: the shipping table. */
extern DvExactness dv_filter_leaf_exactness(DvType type, DvFilterOp op);

/*
 * A copy with slot values in place, folded: leaves that no row (or every row)
 * can satisfy become constants, null operands make their leaf FALSE.  A
 * SUPERSET leaf whose value cannot be sent becomes TRUE.  Slots >= nvalues, or
 * whose entry in values is NULL, stay unbound and print as $n (EXPLAIN).
 */
extern DvFilter *dv_filter_bind(const DvFilter *filter, const DvValue *const *values, int nvalues);

/* Conditions the service would count (limit 500; sheet 2.3.1). */
extern int dv_filter_conditions(const DvFilter *filter);

/*
 * The bound IN leaf whose list is the longest, when it stands alone or in the
 * top AND and counts for more than "most" conditions: the one to cut into
 * pieces.  NULL if none.  Items are distinct after binding, so pieces of
 * anything but text never select a row twice.
 */
extern DvFilter *dv_filter_long_list(DvFilter *filter, int most);

/* Conditions that one item of this leaf's list counts for: 2 where an item prints as a range. */
extern int dv_filter_item_conditions(const DvFilter *leaf);

/* OData text, not percent-encoded; nothing for TRUE. */
extern void dv_filter_print(StringInfo out, const DvFilter *filter);

#endif /* DV_ODATA_FILTER_H */
