/*
 * filter.c
 *	  The tree of a remote condition, how exact it is, and its printing.
 *
 * Three steps, each over the whole tree and each pure: making (class by column
 * type and operator, the algebra of filter.h), binding (values in, bounds
 * rounded, decided leaves folded away) and printing.
 *
 * Binding keeps two promises.  An EXACT leaf stays exact for every value: a
 * bound that the column's grid cannot hold is moved to the grid in the
 * direction that changes no answer (c < 2.5 on an integer is c le 2), and a
 * value outside the service's range decides the leaf for all rows.  A SUPERSET
 * leaf may only grow.
 *
 * Facts used: sheet 2.3 (operators, wildcards, collation, null rules, functions),
 * 3.1 and 3.3 (ranges and grids of the column types).
 */
#include "odata/filter.h"

#include <math.h>

#include "odata/grid.h"
#include "odata/pattern.h"

/* Longest text sent for a comparison; longer ones are left to the recheck. */
#define TEXT_MAX 1000

/* Longest text that In takes, in characters (sheet 2.3.1). */
#define IN_TEXT_MAX 850

/*
 * A double is stored rounded to at most five places (sheet 3.1).  Bounds move
 * outward by one unit of the fifth place and by what printing with ten places loses.
 */
#define DOUBLE_SLACK 1e-5
#define DOUBLE_MAX 1e15

/*
 * Making.
 */

typedef enum Family
{
	FAMILY_NONE,    /* never compared: Image, unknown */
	FAMILY_CHOICES, /* multi-select */
	FAMILY_TEXT,
	FAMILY_NUMBER, /* integers, choices, decimals: a grid */
	FAMILY_DOUBLE,
	FAMILY_BOOLEAN,
	FAMILY_ID, /* uuid, lookups */
	FAMILY_DATE,
	FAMILY_DATETIME,
	FAMILY_COUNT
} Family;

static Family
type_family(DvType type)
{
	switch (dv_type_edm(type))
	{
		case DV_EDM_NONE:
			return FAMILY_NONE;
		case DV_EDM_STRING:
			return FAMILY_TEXT;
		case DV_EDM_INT32:
		case DV_EDM_INT64:
		case DV_EDM_DECIMAL:
			return FAMILY_NUMBER;
		case DV_EDM_DOUBLE:
			return FAMILY_DOUBLE;
		case DV_EDM_BOOLEAN:
			return FAMILY_BOOLEAN;
		case DV_EDM_GUID:
			return FAMILY_ID;
		case DV_EDM_DATE:
			return FAMILY_DATE;
		case DV_EDM_DATETIME:
			return FAMILY_DATETIME;
		case DV_EDM_CHOICES:
			return FAMILY_CHOICES;
	}
	return FAMILY_NONE;
}

#define E DV_EXACT
#define S DV_SUPERSET
#define N DV_NONE

/*
 * The shipping table of leaves.  Multi-select columns are read from a
 * full-text index that lags writes by seconds (sheet 2.3.6): what it leaves out would be
 * missing rows, so ContainValues is not even a superset.
 */
static const DvExactness leaf_classes[FAMILY_COUNT][DV_OP_COUNT] = {
	/* EQ NE LT LE GT GE IN NOT_IN LIKE ILIKE PREFIX ALL ANY DISTINCT NOT_DISTINCT IS_NULL NOT_NULL */
	[FAMILY_NONE] = {N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N},
	[FAMILY_CHOICES] = {N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, E, E},
	[FAMILY_TEXT] = {S, N, N, N, N, N, S, N, S, S, S, N, N, N, S, S, S},
	[FAMILY_NUMBER] = {E, E, E, E, E, E, E, E, N, N, N, N, N, E, E, E, E},
	[FAMILY_DOUBLE] = {S, N, S, S, S, S, S, N, N, N, N, N, N, N, S, E, E},
	[FAMILY_BOOLEAN] = {E, E, N, N, N, N, E, E, N, N, N, N, N, E, E, E, E},
	[FAMILY_ID] = {E, E, N, N, N, N, E, E, N, N, N, N, N, E, E, E, E},
	[FAMILY_DATE] = {E, E, E, E, E, E, E, E, N, N, N, N, N, E, E, E, E},
	[FAMILY_DATETIME] = {E, E, E, E, E, E, E, E, N, N, N, N, N, E, E, E, E},
};

#undef E
#undef S
#undef N

DvExactness
dv_filter_leaf_exactness(DvType type, DvFilterOp op)
{
	return leaf_classes[type_family(type)][op];
}

static DvFilter *
make_node(DvFilterKind kind, DvExactness exactness)
{
	DvFilter *filter = palloc0(sizeof(DvFilter));

	filter->kind = kind;
	filter->exactness = exactness;
	filter->slot = -1;
	return filter;
}

DvFilter *
dv_filter_constant(bool value)
{
	return make_node(value ? DV_FILTER_TRUE : DV_FILTER_FALSE, DV_EXACT);
}

DvFilter *
dv_filter_leaf(DvFilterOp op, const char *property, const char *logical, DvType type, int slot)
{
	DvFilter *leaf = make_node(DV_FILTER_LEAF, dv_filter_leaf_exactness(type, op));

	leaf->op = op;
	leaf->property = pstrdup(property);
	leaf->logical = pstrdup(logical);
	leaf->type = type;
	leaf->slot = slot;
	return leaf;
}

DvFilter *
dv_filter_label(const char *property, const char *logical, DvType type, int slot)
{
	DvFilter *leaf = dv_filter_leaf(DV_OP_IN, property, logical, type, slot);

	if (!dv_type_is_choice(type) && type != DV_TYPE_BOOLEAN)
		leaf->exactness = DV_NONE;
	leaf->label = true;
	return dv_filter_weaken(leaf);
}

DvFilter *
dv_filter_weaken(DvFilter *filter)
{
	DvFilter *copy;

	if (filter->exactness != DV_EXACT || filter->kind == DV_FILTER_TRUE ||
		filter->kind == DV_FILTER_FALSE)
		return filter;
	copy = palloc(sizeof(DvFilter));
	*copy = *filter;
	copy->exactness = DV_SUPERSET;
	return copy;
}

DvFilter *
dv_filter_shift_slots(const DvFilter *filter, int offset)
{
	DvFilter *copy = palloc(sizeof(DvFilter));

	*copy = *filter;
	if (copy->slot >= 0)
		copy->slot += offset;
	if (copy->nargs > 0)
		copy->args = palloc(sizeof(DvFilter *) * copy->nargs);
	for (int i = 0; i < copy->nargs; i++)
		copy->args[i] = dv_filter_shift_slots(filter->args[i], offset);
	return copy;
}

/* AND or OR of two, flattened: an argument of the same kind gives its own arguments. */
static DvFilter *
join_nodes(DvFilterKind kind, DvExactness exactness, DvFilter *a, DvFilter *b)
{
	DvFilter *node = make_node(kind, exactness);
	int na = a->kind == kind ? a->nargs : 1;
	int nb = b->kind == kind ? b->nargs : 1;

	node->nargs = na + nb;
	node->args = palloc(sizeof(DvFilter *) * node->nargs);
	memcpy(node->args, a->kind == kind ? a->args : &a, sizeof(DvFilter *) * na);
	memcpy(node->args + na, b->kind == kind ? b->args : &b, sizeof(DvFilter *) * nb);
	return node;
}

DvFilter *
dv_filter_and(DvFilter *a, DvFilter *b)
{
	DvExactness exactness;

	if (a->kind == DV_FILTER_TRUE || b->kind == DV_FILTER_FALSE)
		return b;
	if (b->kind == DV_FILTER_TRUE || a->kind == DV_FILTER_FALSE)
		return a;
	if (a->exactness == DV_EXACT && b->exactness == DV_EXACT)
		exactness = DV_EXACT;
	else if (a->exactness == DV_NONE && b->exactness == DV_NONE)
		exactness = DV_NONE;
	else
		exactness = DV_SUPERSET;
	return join_nodes(DV_FILTER_AND, exactness, a, b);
}

DvFilter *
dv_filter_or(DvFilter *a, DvFilter *b)
{
	DvExactness exactness;

	if (a->kind == DV_FILTER_FALSE || b->kind == DV_FILTER_TRUE)
		return b;
	if (b->kind == DV_FILTER_FALSE || a->kind == DV_FILTER_TRUE)
		return a;
	exactness = Min(a->exactness, b->exactness);
	return join_nodes(DV_FILTER_OR, exactness, a, b);
}

/* The operator that is true where this one is false; false for those that have none. */
static bool
negate_op(DvFilterOp op, DvFilterOp *negated)
{
	static const struct
	{
		DvFilterOp op;
		DvFilterOp negated;
	} pairs[] = {
		{DV_OP_EQ, DV_OP_NE},
		{DV_OP_LT, DV_OP_GE},
		{DV_OP_LE, DV_OP_GT},
		{DV_OP_IN, DV_OP_NOT_IN},
		{DV_OP_DISTINCT, DV_OP_NOT_DISTINCT},
		{DV_OP_IS_NULL, DV_OP_NOT_NULL},
	};

	for (int i = 0; i < lengthof(pairs); i++)
	{
		if (pairs[i].op == op)
			*negated = pairs[i].negated;
		else if (pairs[i].negated == op)
			*negated = pairs[i].op;
		else
			continue;
		return true;
	}
	return false;
}

static DvFilter *
not_leaf(const DvFilter *leaf)
{
	DvFilterOp op;

	if (!negate_op(leaf->op, &op))
		return make_node(DV_FILTER_LEAF, DV_NONE);
	return dv_filter_leaf(op, leaf->property, leaf->logical, leaf->type, leaf->slot);
}

DvFilter *
dv_filter_not(DvFilter *filter)
{
	DvFilter *result;

	/* A superset's negation leaves out rows. */
	if (filter->exactness != DV_EXACT)
		return make_node(DV_FILTER_LEAF, DV_NONE);

	switch (filter->kind)
	{
		case DV_FILTER_TRUE:
		case DV_FILTER_FALSE:
			return dv_filter_constant(filter->kind == DV_FILTER_FALSE);
		case DV_FILTER_LEAF:
			return not_leaf(filter);
		case DV_FILTER_AND:
		case DV_FILTER_OR:
			result = dv_filter_not(filter->args[0]);
			for (int i = 1; i < filter->nargs; i++)
				result = (filter->kind == DV_FILTER_AND ? dv_filter_or : dv_filter_and)(
					result, dv_filter_not(filter->args[i]));
			return result;
	}
	return make_node(DV_FILTER_LEAF, DV_NONE);
}

DvFilter *
dv_filter_sendable(DvFilter *filter)
{
	DvFilter *result = NULL;

	if (filter == NULL || filter->exactness == DV_NONE)
		return NULL;
	if (filter->exactness == DV_EXACT || filter->kind == DV_FILTER_LEAF)
		return filter;

	/* No arm of an OR is NONE here, but an AND inside may have dropped arms. */
	for (int i = 0; i < filter->nargs; i++)
	{
		DvFilter *arg = dv_filter_sendable(filter->args[i]);

		if (arg == NULL)
			continue;
		if (result == NULL)
			result = arg;
		else
			result = (filter->kind == DV_FILTER_AND ? dv_filter_and : dv_filter_or)(result, arg);
	}
	return result == NULL ? NULL : dv_filter_weaken(result);
}

/*
 * Binding: values on a grid.
 */

/* A bound copy of a leaf. */
static DvFilter *
bound_leaf(const DvFilter *leaf, DvFilterOp op, const char *text)
{
	DvFilter *copy = palloc(sizeof(DvFilter));

	*copy = *leaf;
	copy->op = op;
	copy->value = NULL;
	if (text != NULL)
	{
		copy->value = palloc0(sizeof(DvValue));
		copy->value->text = pstrdup(text);
	}
	return copy;
}

static DvFilter *
not_null_leaf(const DvFilter *leaf)
{
	return bound_leaf(leaf, DV_OP_NOT_NULL, NULL);
}

/*
 * Comparison with a value on, between or outside the grid.  "All rows that
 * have a value" is c ne null, since null never compares as true.
 */
static DvFilter *
bind_grid(const DvFilter *leaf, const char *text)
{
	char *grid = NULL;
	DvPlace place = dv_grid_place(leaf->type, text, &grid);
	bool less = leaf->op == DV_OP_LT || leaf->op == DV_OP_LE;
	bool greater = leaf->op == DV_OP_GT || leaf->op == DV_OP_GE;

	if (place == DV_PLACE_ON_GRID)
		return bound_leaf(leaf, leaf->op, grid);
	if (leaf->op == DV_OP_EQ)
		return dv_filter_constant(false);
	if (leaf->op == DV_OP_NE)
		return not_null_leaf(leaf);
	if (place == DV_PLACE_BETWEEN)
		return bound_leaf(leaf, less ? DV_OP_LE : DV_OP_GT, grid);
	if ((place == DV_PLACE_ABOVE && less) || (place == DV_PLACE_BELOW && greater))
		return not_null_leaf(leaf);
	return dv_filter_constant(false);
}

/* Text of a double that widens a bound; ten places, no exponent. */
static char *
double_bound(double value, double direction)
{
	double slack = DOUBLE_SLACK + fabs(value) * 1e-12;

	return psprintf("%.10f", value + direction * slack);
}

static DvFilter *
bind_double(const DvFilter *leaf, const char *text)
{
	double value = strtod(text, NULL);
	bool less = leaf->op == DV_OP_LT || leaf->op == DV_OP_LE;

	/* PostgreSQL sorts NaN above infinity; the service stores neither. */
	if (isnan(value) || value > DOUBLE_MAX)
		return less ? not_null_leaf(leaf) : dv_filter_constant(false);
	if (value < -DOUBLE_MAX)
		return less || leaf->op == DV_OP_EQ ? dv_filter_constant(false) : not_null_leaf(leaf);
	if (leaf->op == DV_OP_EQ)
		return dv_filter_weaken(dv_filter_and(bound_leaf(leaf, DV_OP_GE, double_bound(value, -1)),
											  bound_leaf(leaf, DV_OP_LE, double_bound(value, 1))));
	return bound_leaf(leaf, less ? DV_OP_LE : DV_OP_GE, double_bound(value, less ? 1 : -1));
}

static DvFilter *
bind_boolean(const DvFilter *leaf, const char *text)
{
	bool value = strcmp(text, "true") == 0;

	if (leaf->op == DV_OP_NE)
		value = !value;
	return bound_leaf(leaf, DV_OP_EQ, value ? "true" : "false");
}

/*
 * Binding: text.
 *
 * The service compares without case, mostly without accents, ignores trailing
 * blanks in eq and gives % _ [ a meaning in its text functions (sheet 2.3.3,
 * 2.3.4).  All that only ever lets more rows through.
 */

/* A text function of the service, of a literal piece. */
static DvFilter *
piece_leaf(const DvFilter *leaf, const char *function, const char *piece)
{
	DvFilter *copy = bound_leaf(leaf, DV_OP_PREFIX, dv_pattern_bracket(piece));

	copy->function = function;
	return copy;
}

static DvFilter *
bind_text_equal(const DvFilter *leaf, const char *text)
{
	if (strlen(text) > TEXT_MAX)
		return dv_filter_constant(true);

	/* Custom columns store the empty string as null (sheet 3.7). */
	if (*text == '\0')
		return dv_filter_weaken(
			dv_filter_or(bound_leaf(leaf, DV_OP_EQ, ""), bound_leaf(leaf, DV_OP_IS_NULL, NULL)));

	/*
	 * Whether eq honours wildcards is not settled.  % and _ match themselves
	 * either way, a bracket does not: 'a[b' goes out as a prefix.
	 */
	if (strchr(text, '[') != NULL)
		return piece_leaf(leaf, "startswith", text);
	return bound_leaf(leaf, DV_OP_EQ, text);
}

/* What begins with a letter, or with that letter and a mark. */
static DvFilter *
initial_leaf(const DvFilter *leaf, char letter)
{
	DvFilter *plain = piece_leaf(leaf, "startswith", psprintf("%c", letter));
	DvFilter *other = bound_leaf(leaf, DV_OP_PREFIX, DV_PATTERN_NO_PLAIN_LETTER);

	other->function = "startswith";
	return dv_filter_or(plain, other);
}

static DvFilter *
bind_prefix(const DvFilter *leaf, const char *text)
{
	char initial = dv_pattern_initial(text);
	char *piece;

	if (strlen(text) > TEXT_MAX)
		return not_null_leaf(leaf);
	if (initial != '\0')
		return initial_leaf(leaf, initial);
	piece = dv_pattern_prefix(text);
	return *piece == '\0' ? not_null_leaf(leaf) : piece_leaf(leaf, "startswith", piece);
}

static DvFilter *
bind_like(const DvFilter *leaf, const char *pattern)
{
	DvPattern pieces;
	DvFilter *result = NULL;
	const char *other;

	if (strlen(pattern) > TEXT_MAX || !dv_pattern_cut(pattern, leaf->op == DV_OP_ILIKE, &pieces))
		return dv_filter_constant(true);
	if (!pieces.wildcard)
		return bind_text_equal(leaf, pieces.prefix);

	/* The prefix can use an index; of the others the longest narrows most. */
	if (pieces.prefix != NULL)
		result = piece_leaf(leaf, "startswith", pieces.prefix);
	else if (pieces.initial != '\0')
		result = initial_leaf(leaf, pieces.initial);
	other = pieces.longest;
	if (pieces.suffix != NULL && (other == NULL || strlen(pieces.suffix) >= strlen(other)))
		other = pieces.suffix;
	if (other != NULL)
	{
		DvFilter *second =
			piece_leaf(leaf, other == pieces.suffix ? "endswith" : "contains", other);

		result = result == NULL ? second : dv_filter_and(result, second);
	}
	return result == NULL ? not_null_leaf(leaf) : result;
}

/*
 * Binding: lists.
 */

static int
compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Sorts and removes doubles; returns the new number. */
static int
sort_distinct(char **items, int n)
{
	int kept = 0;

	qsort(items, n, sizeof(char *), compare_text);
	for (int i = 0; i < n; i++)
	{
		if (kept == 0 || strcmp(items[kept - 1], items[i]) != 0)
			items[kept++] = items[i];
	}
	return kept;
}

/* One list item in canonical form; false when no row can hold it. */
static bool
canonical_item(DvType type, const char *text, char **item)
{
	switch (type_family(type))
	{
		case FAMILY_NUMBER:
		case FAMILY_DATE:
		case FAMILY_DATETIME:
			return dv_grid_place(type, text, item) == DV_PLACE_ON_GRID;
		default:
			*item = pstrdup(text);
			return true;
	}
}

/* Doubles have no list form: each item is a range. */
static DvFilter *
bind_double_list(const DvFilter *leaf, const DvValue *value)
{
	DvFilter *result = dv_filter_constant(false);
	DvFilter *equal = bound_leaf(leaf, DV_OP_EQ, NULL);

	if (value->nitems > 100)
		return dv_filter_constant(true);
	for (int i = 0; i < value->nitems; i++)
		result = dv_filter_or(result, bind_double(equal, value->items[i]));
	return result;
}

static bool
sendable_items(DvType type, char *const *items, int n)
{
	if (!dv_type_is_text(type))
		return true;
	for (int i = 0; i < n; i++)
	{
		if (strlen(items[i]) > IN_TEXT_MAX)
			return false;
	}
	return true;
}

static DvFilter *
bind_list(const DvFilter *leaf, const DvValue *value)
{
	bool in = leaf->op == DV_OP_IN;
	DvFilter *result;
	char **items;
	int n = 0;

	/* <> ALL with a null among the values is never true; = ANY ignores it. */
	if (!in && value->has_null)
		return dv_filter_constant(false);
	if (value->nitems == 0)
		return dv_filter_constant(!in);
	if (type_family(leaf->type) == FAMILY_DOUBLE)
		return bind_double_list(leaf, value);

	items = palloc(sizeof(char *) * value->nitems);
	for (int i = 0; i < value->nitems; i++)
	{
		if (canonical_item(leaf->type, value->items[i], &items[n]))
			n++;
	}
	if (n == 0)
		return in ? dv_filter_constant(false) : not_null_leaf(leaf);
	if (!sendable_items(leaf->type, items, n))
		return dv_filter_constant(true);

	result = bound_leaf(leaf, leaf->op, NULL);
	result->value = palloc0(sizeof(DvValue));
	result->value->isarray = true;
	result->value->items = items;
	result->value->nitems = sort_distinct(items, n);
	return result;
}

static DvFilter *bind_scalar(const DvFilter *leaf, const char *text);

/* A list of one is a comparison, which reads better and may become a keyed address. */
static DvFilter *
bind_array(const DvFilter *leaf, const DvValue *value)
{
	DvFilter *bound = bind_list(leaf, value);

	if (bound->kind == DV_FILTER_LEAF && bound->value != NULL && bound->value->isarray &&
		bound->value->nitems == 1)
	{
		DvFilter *single = bound_leaf(leaf, leaf->op == DV_OP_IN ? DV_OP_EQ : DV_OP_NE, NULL);

		return bind_scalar(single, bound->value->items[0]);
	}
	return bound;
}

static DvFilter *
bind_scalar(const DvFilter *leaf, const char *text)
{
	switch (leaf->op)
	{
		case DV_OP_LIKE:
		case DV_OP_ILIKE:
			return bind_like(leaf, text);
		case DV_OP_PREFIX:
			return bind_prefix(leaf, text);
		default:
			break;
	}
	switch (type_family(leaf->type))
	{
		case FAMILY_NUMBER:
		case FAMILY_DATE:
		case FAMILY_DATETIME:
			return bind_grid(leaf, text);
		case FAMILY_DOUBLE:
			return bind_double(leaf, text);
		case FAMILY_BOOLEAN:
			return bind_boolean(leaf, text);
		case FAMILY_TEXT:
			return bind_text_equal(leaf, text);
		case FAMILY_ID:
			return bound_leaf(leaf, leaf->op, text);
		case FAMILY_CHOICES:
		case FAMILY_NONE:
		case FAMILY_COUNT:
			break;
	}
	return dv_filter_constant(true);
}

/* IS [NOT] DISTINCT FROM: null is a value like others. */
static DvFilter *
bind_distinct(const DvFilter *leaf, const DvValue *value)
{
	bool distinct = leaf->op == DV_OP_DISTINCT;
	DvFilter *compared;

	if (value->isnull)
		return bound_leaf(leaf, distinct ? DV_OP_NOT_NULL : DV_OP_IS_NULL, NULL);
	compared = bind_scalar(bound_leaf(leaf, distinct ? DV_OP_NE : DV_OP_EQ, NULL), value->text);
	if (!distinct)
		return compared;
	return dv_filter_or(compared, bound_leaf(leaf, DV_OP_IS_NULL, NULL));
}

static DvFilter *
bind_leaf(const DvFilter *leaf, const DvValue *const *values, int nvalues)
{
	const DvValue *value;
	DvFilter *bound;

	if (leaf->slot < 0)
		return bound_leaf(leaf, leaf->op, NULL);
	if (leaf->slot >= nvalues || values[leaf->slot] == NULL)
		return bound_leaf(leaf, leaf->op, NULL);
	value = values[leaf->slot];
	if (value->unknown)
		return dv_filter_constant(true);
	if (leaf->op == DV_OP_DISTINCT || leaf->op == DV_OP_NOT_DISTINCT)
		return bind_distinct(leaf, value);
	if (value->isnull)
		return dv_filter_constant(false);
	bound = value->isarray ? bind_array(leaf, value) : bind_scalar(leaf, value->text);
	bound->exactness = Min(bound->exactness, leaf->exactness);
	return bound;
}

DvFilter *
dv_filter_bind(const DvFilter *filter, const DvValue *const *values, int nvalues)
{
	DvFilter *result;

	switch (filter->kind)
	{
		case DV_FILTER_TRUE:
		case DV_FILTER_FALSE:
			break;
		case DV_FILTER_LEAF:
			return bind_leaf(filter, values, nvalues);
		case DV_FILTER_AND:
		case DV_FILTER_OR:
			result = dv_filter_bind(filter->args[0], values, nvalues);
			for (int i = 1; i < filter->nargs; i++)
			{
				DvFilter *arg = dv_filter_bind(filter->args[i], values, nvalues);

				result =
					(filter->kind == DV_FILTER_AND ? dv_filter_and : dv_filter_or)(result, arg);
			}
			/* What the planner weakened, so that it may be left out, stays weak. */
			result->exactness = Min(result->exactness, filter->exactness);
			return result;
	}
	return dv_filter_constant(filter->kind == DV_FILTER_TRUE);
}

/*
 * Measuring.
 */

int
dv_filter_item_conditions(const DvFilter *leaf)
{
	return type_family(leaf->type) == FAMILY_DATETIME ? 2 : 1;
}

int
dv_filter_conditions(const DvFilter *filter)
{
	int n = 0;

	switch (filter->kind)
	{
		case DV_FILTER_TRUE:
		case DV_FILTER_FALSE:
			return 0;
		case DV_FILTER_LEAF:
			n = dv_filter_item_conditions(filter);
			if (filter->value != NULL && filter->value->isarray)
				n *= filter->value->nitems;
			/* the null test beside a negation, or beside an empty string */
			return n + 1;
		case DV_FILTER_AND:
		case DV_FILTER_OR:
			for (int i = 0; i < filter->nargs; i++)
				n += dv_filter_conditions(filter->args[i]);
	}
	return n;
}

static bool
is_list(const DvFilter *filter)
{
	return filter->kind == DV_FILTER_LEAF && filter->op == DV_OP_IN && filter->value != NULL &&
		   filter->value->isarray;
}

DvFilter *
dv_filter_long_list(DvFilter *filter, int most)
{
	DvFilter *longest = NULL;

	if (filter->kind == DV_FILTER_AND)
	{
		for (int i = 0; i < filter->nargs; i++)
		{
			DvFilter *arg = filter->args[i];

			if (is_list(arg) && (longest == NULL || arg->value->nitems > longest->value->nitems))
				longest = arg;
		}
	}
	else if (is_list(filter))
		longest = filter;

	if (longest == NULL || longest->value->nitems * dv_filter_item_conditions(longest) <= most)
		return NULL;
	return longest;
}

/*
 * Printing.
 */

static const char *const comparison_words[] = {
	[DV_OP_EQ] = "eq", [DV_OP_NE] = "ne", [DV_OP_LT] = "lt",
	[DV_OP_LE] = "le", [DV_OP_GT] = "gt", [DV_OP_GE] = "ge",
};

/* "c eq v" in plain words, or with $n where the value is not known yet. */
static void
print_comparison(StringInfo out, const DvFilter *leaf, DvFilterOp op)
{
	appendStringInfo(out, "%s %s ", leaf->property, comparison_words[op]);
	if (leaf->value == NULL)
		appendStringInfo(out, "$%d", leaf->slot + 1);
	else
		dv_literal_append(out, dv_type_edm(leaf->type), leaf->value->text);
}

/* A bound on a second: second + 1 where "next"; false when that leaves the calendar. */
static bool
print_second(StringInfo out, const DvFilter *leaf, const char *word, const char *micros, bool next)
{
	int64 value = strtoll(micros, NULL, 10) + (next ? DV_MICROS_PER_SECOND : 0);

	if (value > DV_MICROS_MAX)
		return false;
	appendStringInfo(out, "%s %s ", leaf->property, word);
	dv_literal_append_datetime(out, value);
	return true;
}

/*
 * A second is a half-open range, right whether or not the service stores
 * fractions that it does not return.  After the calendar's last second there
 * is nothing to compare with, and nothing that could be later.
 */
static void
print_second_equal(StringInfo out, const DvFilter *leaf, const char *micros)
{
	StringInfoData end;

	initStringInfo(&end);
	appendStringInfoChar(out, '(');
	print_second(out, leaf, "ge", micros, false);
	if (print_second(&end, leaf, "lt", micros, true))
		appendStringInfo(out, " and %s", end.data);
	appendStringInfoChar(out, ')');
}

static void
print_second_differs(StringInfo out, const DvFilter *leaf, const char *micros)
{
	StringInfoData end;

	initStringInfo(&end);
	appendStringInfoChar(out, '(');
	print_second(out, leaf, "lt", micros, false);
	if (print_second(&end, leaf, "ge", micros, true))
		appendStringInfo(out, " or %s", end.data);
	appendStringInfoChar(out, ')');
}

static void
print_datetime(StringInfo out, const DvFilter *leaf)
{
	const char *micros = leaf->value->text;

	switch (leaf->op)
	{
		case DV_OP_EQ:
			print_second_equal(out, leaf, micros);
			break;
		case DV_OP_NE:
			print_second_differs(out, leaf, micros);
			break;
		case DV_OP_LT:
			print_second(out, leaf, "lt", micros, false);
			break;
		case DV_OP_GE:
			print_second(out, leaf, "ge", micros, false);
			break;
		case DV_OP_LE:
			if (!print_second(out, leaf, "lt", micros, true))
				appendStringInfo(out, "%s ne null", leaf->property);
			break;
		case DV_OP_GT:
			/* later than the last second: no row, in words every reading accepts */
			if (!print_second(out, leaf, "ge", micros, true))
				appendStringInfo(out, "(%s eq null and %s ne null)", leaf->property,
								 leaf->property);
			break;
		default:
			break;
	}
}

/* Microsoft.Dynamics.CRM.In(...), behind the path of a related row if there is one. */
static void
print_function(StringInfo out, const DvFilter *leaf, const char *name)
{
	const char *slash = strrchr(leaf->property, '/');

	if (slash != NULL)
		appendBinaryStringInfo(out, leaf->property, slash - leaf->property + 1);
	appendStringInfo(out, "Microsoft.Dynamics.CRM.%s(PropertyName='%s',PropertyValues=", name,
					 leaf->logical);
	if (leaf->value == NULL)
		appendStringInfo(out, "$%d)", leaf->slot + 1);
	else
	{
		for (int i = 0; i < leaf->value->nitems; i++)
		{
			appendStringInfoChar(out, i == 0 ? '[' : ',');
			dv_literal_append_quoted(out, dv_type_edm(leaf->type), leaf->value->items[i]);
		}
		appendStringInfoString(out, "])");
	}
}

/* Lists of seconds and of booleans have no function: spelt out. */
static void
print_spelt_list(StringInfo out, const DvFilter *leaf)
{
	bool in = leaf->op == DV_OP_IN;

	appendStringInfoChar(out, '(');
	for (int i = 0; i < leaf->value->nitems; i++)
	{
		const char *item = leaf->value->items[i];

		if (i > 0)
			appendStringInfoString(out, in ? " or " : " and ");
		if (type_family(leaf->type) == FAMILY_BOOLEAN)
			appendStringInfo(out, "%s eq %s", leaf->property,
							 in ? item : (strcmp(item, "true") == 0 ? "false" : "true"));
		else if (in)
			print_second_equal(out, leaf, item);
		else
			print_second_differs(out, leaf, item);
	}
	appendStringInfoChar(out, ')');
}

static bool
has_empty_item(const DvFilter *leaf)
{
	if (leaf->value == NULL || !dv_type_is_text(leaf->type))
		return false;
	for (int i = 0; i < leaf->value->nitems; i++)
	{
		if (leaf->value->items[i][0] == '\0')
			return true;
	}
	return false;
}

static void
print_list(StringInfo out, const DvFilter *leaf)
{
	Family family = type_family(leaf->type);

	if (leaf->value != NULL && (family == FAMILY_DATETIME || family == FAMILY_BOOLEAN))
		print_spelt_list(out, leaf);
	else if (leaf->op == DV_OP_NOT_IN)
	{
		appendStringInfoChar(out, '(');
		print_function(out, leaf, "NotIn");
		appendStringInfo(out, " and %s ne null)", leaf->property);
	}
	else if (has_empty_item(leaf))
	{
		appendStringInfoChar(out, '(');
		print_function(out, leaf, "In");
		appendStringInfo(out, " or %s eq null)", leaf->property);
	}
	else
		print_function(out, leaf, "In");
}

/* Text functions: the value is a pattern piece; unbound, the operator's name and $n. */
static void
print_text_function(StringInfo out, const DvFilter *leaf)
{
	if (leaf->value == NULL)
		appendStringInfo(out, "%s(%s,$%d)", leaf->op == DV_OP_PREFIX ? "startswith" : "like",
						 leaf->property, leaf->slot + 1);
	else
	{
		appendStringInfo(out, "%s(%s,", leaf->function, leaf->property);
		dv_literal_append(out, DV_EDM_STRING, leaf->value->text);
		appendStringInfoChar(out, ')');
	}
}

static void
print_leaf(StringInfo out, const DvFilter *leaf)
{
	switch (leaf->op)
	{
		case DV_OP_IS_NULL:
			appendStringInfo(out, "%s eq null", leaf->property);
			break;
		case DV_OP_NOT_NULL:
			appendStringInfo(out, "%s ne null", leaf->property);
			break;
		case DV_OP_IN:
		case DV_OP_NOT_IN:
			print_list(out, leaf);
			break;
		case DV_OP_LIKE:
		case DV_OP_ILIKE:
		case DV_OP_PREFIX:
			print_text_function(out, leaf);
			break;
		case DV_OP_NE:
			if (leaf->value != NULL && type_family(leaf->type) == FAMILY_DATETIME)
				print_datetime(out, leaf);
			else
			{
				/* Nulls come back under ne by most readings (sheet 2.3.5). */
				appendStringInfoChar(out, '(');
				print_comparison(out, leaf, DV_OP_NE);
				appendStringInfo(out, " and %s ne null)", leaf->property);
			}
			break;
		case DV_OP_EQ:
		case DV_OP_LT:
		case DV_OP_LE:
		case DV_OP_GT:
		case DV_OP_GE:
			if (leaf->value != NULL && type_family(leaf->type) == FAMILY_DATETIME)
				print_datetime(out, leaf);
			else
				print_comparison(out, leaf, leaf->op);
			break;
		case DV_OP_DISTINCT:
			appendStringInfoChar(out, '(');
			print_comparison(out, leaf, DV_OP_NE);
			appendStringInfo(out, " or %s eq null)", leaf->property);
			break;
		case DV_OP_NOT_DISTINCT:
			print_comparison(out, leaf, DV_OP_EQ);
			break;
		case DV_OP_CHOICES_ALL:
		case DV_OP_CHOICES_ANY:
		case DV_OP_COUNT:
			break;
	}
}

void
dv_filter_print(StringInfo out, const DvFilter *filter)
{
	switch (filter->kind)
	{
		case DV_FILTER_TRUE:
		case DV_FILTER_FALSE:
			break;
		case DV_FILTER_LEAF:
			print_leaf(out, filter);
			break;
		case DV_FILTER_AND:
		case DV_FILTER_OR:
			for (int i = 0; i < filter->nargs; i++)
			{
				const DvFilter *arg = filter->args[i];
				bool parens = arg->kind == DV_FILTER_AND || arg->kind == DV_FILTER_OR;

				if (i > 0)
					appendStringInfoString(out, filter->kind == DV_FILTER_AND ? " and " : " or ");
				if (parens)
					appendStringInfoChar(out, '(');
				dv_filter_print(out, arg);
				if (parens)
					appendStringInfoChar(out, ')');
			}
	}
}
