/*
 * test_filter.c
 *	  The exactness algebra and the printing of conditions, checked against a
 *	  small model of the service.
 *
 * The model evaluates the printed text itself over a set of stored values,
 * once for each reading that the protocol sheet leaves open (nulls under ne,
 * fractions of seconds).  An EXACT condition must select the rows that SQL
 * selects, a SUPERSET at least those.
 */
#include "odata/filter.h"

#include <ctype.h>

#include "tap.h"

/*
 * The model: one column "c", a stored value as text or NULL, integers in
 * microseconds for date columns.
 */
typedef struct Model
{
	const char *stored; /* NULL: null */
	DvType type;
	bool ne_returns_null;
	const char *p; /* rest of the text */
	bool broken;
} Model;

static bool eval_or(Model *m);

static void
skip(Model *m)
{
	while (*m->p == ' ')
		m->p++;
}

static bool
take(Model *m, const char *word)
{
	skip(m);
	if (strncmp(m->p, word, strlen(word)) != 0)
		return false;
	m->p += strlen(word);
	return true;
}

/* A plain decimal number of at most 24 + 12 digits, as an integer of its 12th place. */
static int128
fixed_point(const char *text)
{
	int128 value = 0;
	int places = -1;

	for (const char *p = text + (*text == '-'); *p; p++)
	{
		if (*p == '.')
			places = 0;
		else if (places < 12)
		{
			value = value * 10 + (*p - '0');
			places += places >= 0;
		}
	}
	for (places = Max(places, 0); places < 12; places++)
		value *= 10;
	return *text == '-' ? -value : value;
}

static int
compare_numbers(const char *a, const char *b)
{
	int128 x = fixed_point(a);
	int128 y = fixed_point(b);

	return x < y ? -1 : x > y;
}

static int64
parse_utc(const char *text)
{
	int y, mo, d, h = 0, mi = 0, s = 0;
	int64 era, doe, days;

	if (sscanf(text, "%d-%d-%dT%d:%d:%dZ", &y, &mo, &d, &h, &mi, &s) < 3)
		return PG_INT64_MIN;
	y -= mo <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	doe = (y - era * 400) * 365 + (y - era * 400) / 4 - (y - era * 400) / 100 +
		  (153 * (mo + (mo > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	days = era * 146097 + doe - 719468;
	return ((days * 24 + h) * 60 + mi) * 60 + s;
}

/* stored against literal: -1, 0, 1 */
static int
compare_stored(Model *m, const char *literal)
{
	char buffer[400];
	int n = 0;

	if (*literal == '\'')
	{
		for (literal++; *literal; literal++)
		{
			if (*literal == '\'' && *++literal != '\'')
				break;
			buffer[n++] = *literal;
		}
		buffer[n] = '\0';
		return pg_strcasecmp(m->stored, buffer);
	}
	if (m->type == DV_TYPE_DATETIME)
	{
		int64 micros = strtoll(m->stored, NULL, 10);
		int64 other = parse_utc(literal) * 1000000;

		return micros < other ? -1 : micros > other;
	}
	if (m->type == DV_TYPE_DATE)
	{
		int64 days = strtoll(m->stored, NULL, 10);
		int64 other = parse_utc(literal) / 86400;

		return days < other ? -1 : days > other;
	}
	if (m->type == DV_TYPE_BOOLEAN)
		return strcmp(m->stored, literal);
	if (m->type == DV_TYPE_GUID)
		return pg_strcasecmp(m->stored, literal);
	return compare_numbers(m->stored, literal);
}

static char *
literal(Model *m)
{
	const char *start;
	bool quoted = false;

	skip(m);
	start = m->p;
	while (*m->p && (quoted || (*m->p != ' ' && *m->p != ')' && *m->p != ',')))
	{
		if (*m->p == '\'')
			quoted = !quoted;
		m->p++;
	}
	return pnstrdup(start, m->p - start);
}

static bool
eval_list(Model *m, bool not_in)
{
	bool found = false;

	if (!take(m, "(PropertyName='c',PropertyValues=["))
		m->broken = true;
	while (!m->broken && take(m, "\""))
	{
		const char *end = strchr(m->p, '"');
		char *item = pnstrdup(m->p, end - m->p);

		if (m->stored != NULL && (dv_type_is_text(m->type) ? pg_strcasecmp(m->stored, item)
														   : compare_stored(m, item)) == 0)
			found = true;
		m->p = end + 1;
		take(m, ",");
	}
	if (!take(m, "])"))
		m->broken = true;
	if (m->stored == NULL)
		return not_in && m->ne_returns_null;
	return found != not_in;
}

/* LIKE as the service understands it: % _ [set], no case. */
static bool
like(const char *p, const char *s)
{
	if (*p == '\0')
		return *s == '\0';
	if (*p == '%')
		return like(p + 1, s) || (*s && like(p, s + 1));
	if (*s == '\0')
		return false;
	if (*p == '_')
		return like(p + 1, s + 1);
	if (*p == '[')
		return p[1] == *s && like(p + 3, s + 1); /* sets of one are all we send */
	return tolower((unsigned char) *p) == tolower((unsigned char) *s) && like(p + 1, s + 1);
}

static bool
eval_text_function(Model *m, const char *format)
{
	char *quoted;
	char *plain;
	int n = 0;

	if (!take(m, "(c,"))
		m->broken = true;
	quoted = literal(m);
	if (!take(m, ")"))
		m->broken = true;
	plain = palloc(strlen(quoted) + 1);
	for (char *q = quoted + 1; q[0] && q[1]; q++)
	{
		plain[n++] = *q;
		if (*q == '\'')
			q++;
	}
	plain[n] = '\0';
	return m->stored != NULL && like(psprintf(format, plain), m->stored);
}

static bool
eval_comparison(Model *m)
{
	static const char *const words[] = {"eq", "ne", "lt", "le", "gt", "ge"};
	int word = -1;
	char *value;
	int order;

	if (!take(m, "c "))
		m->broken = true;
	for (int i = 0; i < 6; i++)
	{
		if (word < 0 && take(m, words[i]))
			word = i;
	}
	if (word < 0 || m->broken)
	{
		m->broken = true;
		return false;
	}
	value = literal(m);
	if (strcmp(value, "null") == 0)
		return (m->stored == NULL) == (word == 0);
	if (m->stored == NULL)
		return word == 1 && m->ne_returns_null;
	order = compare_stored(m, value);
	switch (word)
	{
		case 0:
			return order == 0;
		case 1:
			return order != 0;
		case 2:
			return order < 0;
		case 3:
			return order <= 0;
		case 4:
			return order > 0;
		default:
			return order >= 0;
	}
}

static bool
eval_primary(Model *m)
{
	bool result;

	if (take(m, "("))
	{
		result = eval_or(m);
		if (!take(m, ")"))
			m->broken = true;
		return result;
	}
	if (take(m, "Microsoft.Dynamics.CRM.In"))
		return eval_list(m, false);
	if (take(m, "Microsoft.Dynamics.CRM.NotIn"))
		return eval_list(m, true);
	if (take(m, "startswith"))
		return eval_text_function(m, "%s%%");
	if (take(m, "endswith"))
		return eval_text_function(m, "%%%s");
	if (take(m, "contains"))
		return eval_text_function(m, "%%%s%%");
	return eval_comparison(m);
}

static bool
eval_and(Model *m)
{
	bool result = eval_primary(m);

	while (!m->broken && take(m, "and "))
		result = eval_primary(m) && result;
	return result;
}

static bool
eval_or(Model *m)
{
	bool result = eval_and(m);

	while (!m->broken && take(m, "or "))
		result = eval_and(m) || result;
	return result;
}

/* Does the service return the row? */
static bool
selects(const DvFilter *filter, DvType type, const char *stored, bool ne_returns_null)
{
	StringInfoData text;
	Model m = {stored, type, ne_returns_null, NULL, false};
	bool result;

	if (filter->kind == DV_FILTER_TRUE)
		return true;
	if (filter->kind == DV_FILTER_FALSE)
		return false;
	initStringInfo(&text);
	dv_filter_print(&text, filter);
	m.p = text.data;
	result = eval_or(&m);
	if (m.broken || *m.p != '\0')
		bail_out("the model cannot read: %s (at: %s)", text.data, m.p);
	return result;
}

static DvValue *
scalar(const char *text)
{
	DvValue *value = palloc0(sizeof(DvValue));

	value->isnull = text == NULL;
	value->text = text ? pstrdup(text) : NULL;
	return value;
}

static DvValue *
list(bool has_null, int n, const char *const *items)
{
	DvValue *value = palloc0(sizeof(DvValue));

	value->isarray = true;
	value->has_null = has_null;
	value->nitems = n;
	value->items = palloc(sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
		value->items[i] = pstrdup(items[i]);
	return value;
}

static const DvFilterOp comparisons[] = {DV_OP_EQ, DV_OP_NE, DV_OP_LT,       DV_OP_LE,
										 DV_OP_GT, DV_OP_GE, DV_OP_DISTINCT, DV_OP_NOT_DISTINCT};

static int order_of(DvType type, const char *stored, const char *operand);

/* SQL: 1 true, 0 false, -1 unknown */
static int
sql_compare(DvFilterOp op, int order)
{
	switch (op)
	{
		case DV_OP_EQ:
		case DV_OP_NOT_DISTINCT:
			return order == 0;
		case DV_OP_NE:
		case DV_OP_DISTINCT:
			return order != 0;
		case DV_OP_LT:
			return order < 0;
		case DV_OP_LE:
			return order <= 0;
		case DV_OP_GT:
			return order > 0;
		default:
			return order >= 0;
	}
}

/* The same with nulls, which only DISTINCT knows. */
static int
sql_truth(DvFilterOp op, DvType type, const char *stored, const char *operand)
{
	if (stored != NULL && operand != NULL)
		return sql_compare(op, order_of(type, stored, operand));
	if (op == DV_OP_DISTINCT)
		return stored != operand;
	if (op == DV_OP_NOT_DISTINCT)
		return stored == operand;
	return -1;
}

static int
compare_integers(const char *a, const char *b)
{
	int64 x = strtoll(a, NULL, 10);
	int64 y = strtoll(b, NULL, 10);

	return x < y ? -1 : x > y;
}

static int
order_of(DvType type, const char *stored, const char *operand)
{
	if (strcmp(operand, "infinity") == 0 || strcmp(operand, "Infinity") == 0 ||
		strcmp(operand, "NaN") == 0)
		return -1;
	if (strcmp(operand, "-infinity") == 0 || strcmp(operand, "-Infinity") == 0)
		return 1;
	if (type == DV_TYPE_DATETIME)
	{
		/* what is returned is cut to the second */
		int64 micros = strtoll(stored, NULL, 10);
		int64 second = micros / 1000000 - (micros % 1000000 < 0);

		return compare_integers(psprintf(INT64_FORMAT, second * 1000000), operand);
	}
	return compare_numbers(stored, operand);
}

static void
check_comparisons(const char *name, DvType type, const char *const *stored, int nstored,
				  const char *const *operands, int noperands)
{
	int wrong = 0;

	for (int o = 0; o < noperands; o++)
	{
		const DvValue *values[1] = {scalar(operands[o])};

		for (int k = 0; k < lengthof(comparisons) * 2; k++)
		{
			DvFilter *filter = dv_filter_leaf(comparisons[k / 2], "c", "c", type, 0);
			bool negate = k % 2;

			if (negate)
				filter = dv_filter_not(filter);
			if (filter->exactness == DV_NONE)
				continue;
			for (int s = 0; s < nstored; s++)
			{
				DvFilter *bound = dv_filter_bind(filter, values, 1);
				int truth = sql_truth(comparisons[k / 2], type, stored[s], operands[o]);
				bool sql = truth == (negate ? 0 : 1);

				for (int reading = 0; reading < 2; reading++)
				{
					bool remote = selects(bound, type, stored[s], reading);

					if (filter->exactness == DV_EXACT ? remote != sql : sql && !remote)
					{
						diag("%s: op %d%s operand %s stored %s reading %d: sql %d service %d", name,
							 comparisons[k / 2], negate ? " negated" : "",
							 operands[o] ? operands[o] : "null", stored[s] ? stored[s] : "null",
							 reading, sql, remote);
						wrong++;
					}
				}
			}
		}
	}
	ok(wrong == 0, "%s: every comparison selects what SQL selects", name);
}

static void
check_lists(const char *name, DvType type, const char *const *stored, int nstored,
			const char *const *items, int nitems)
{
	int wrong = 0;

	for (int n = 0; n <= nitems; n++)
	{
		for (int has_null = 0; has_null < 2; has_null++)
		{
			const DvValue *values[1] = {list(has_null, n, items)};

			for (int not_in = 0; not_in < 2; not_in++)
			{
				DvFilter *filter =
					dv_filter_leaf(not_in ? DV_OP_NOT_IN : DV_OP_IN, "c", "c", type, 0);
				DvFilter *bound;

				if (filter->exactness == DV_NONE)
					continue;
				bound = dv_filter_bind(filter, values, 1);
				for (int s = 0; s < nstored; s++)
				{
					bool found = false;
					bool sql;

					for (int i = 0; stored[s] != NULL && i < n; i++)
						found |= dv_type_is_text(type) ? strcmp(stored[s], items[i]) == 0
													   : order_of(type, stored[s], items[i]) == 0;
					if (not_in)
						sql = (n == 0 && !has_null) || (stored[s] != NULL && !found && !has_null);
					else
						sql = found;
					for (int reading = 0; reading < 2; reading++)
					{
						bool remote = selects(bound, type, stored[s], reading);

						if (filter->exactness == DV_EXACT ? remote != sql : sql && !remote)
						{
							diag("%s: %s %d items null %d stored %s: sql %d service %d", name,
								 not_in ? "not in" : "in", n, has_null,
								 stored[s] ? stored[s] : "null", sql, remote);
							wrong++;
						}
					}
				}
			}
		}
	}
	ok(wrong == 0, "%s: every list selects what SQL selects", name);
}

static const char *
printed(const DvFilter *filter)
{
	StringInfoData text;

	initStringInfo(&text);
	dv_filter_print(&text, filter);
	return text.data;
}

static const char *
bound_text(DvFilterOp op, DvType type, const DvValue *value)
{
	const DvValue *values[1] = {value};
	DvFilter *bound = dv_filter_bind(dv_filter_leaf(op, "c", "c", type, 0), values, 1);

	if (bound->kind == DV_FILTER_TRUE)
		return "TRUE";
	if (bound->kind == DV_FILTER_FALSE)
		return "FALSE";
	return printed(bound);
}

static void
test_numbers(void)
{
	static const char *const ints[] = {NULL, "-2147483648", "-3", "-2", "-1",
									   "0",  "1",           "2",  "3",  "2147483647"};
	static const char *const int_operands[] = {NULL,
											   "-2147483649",
											   "-2147483648.5",
											   "-2147483648",
											   "-2.5",
											   "-2",
											   "-0.5",
											   "0",
											   "0.0",
											   "1.999",
											   "2",
											   "2.0000",
											   "2147483647",
											   "2147483647.1",
											   "2147483648",
											   "99999999999999999999999",
											   "NaN",
											   "Infinity",
											   "-Infinity"};
	static const char *const decimals[] = {
		NULL,   "-99999999999.9999999999", "-0.0000000001", "0", "0.1", "0.1000000001",
		"12.5", "99999999999.1234567891"};
	static const char *const decimal_operands[] = {NULL,
												   "-99999999999.9999999999",
												   "-0.00000000005",
												   "-0.0000000001",
												   "0",
												   "0.10000000005",
												   "0.1000000001",
												   "12.5",
												   "12.50",
												   "99999999999.1234567891",
												   "99999999999.12345678911",
												   "1000000000000000000000",
												   "-1000000000000000000000",
												   "NaN"};
	static const char *const list_items[] = {"2", "2.0", "-1", "2.5", "99999999999", "3"};

	check_comparisons("Integer", DV_TYPE_INTEGER, ints, lengthof(ints), int_operands,
					  lengthof(int_operands));
	check_comparisons("Picklist", DV_TYPE_PICKLIST, ints, lengthof(ints), int_operands,
					  lengthof(int_operands));
	check_comparisons("BigInt", DV_TYPE_BIGINT, ints, lengthof(ints), int_operands,
					  lengthof(int_operands));
	check_comparisons("Decimal", DV_TYPE_DECIMAL, decimals, lengthof(decimals), decimal_operands,
					  lengthof(decimal_operands));
	check_comparisons("Double", DV_TYPE_DOUBLE, decimals, lengthof(decimals), decimal_operands,
					  lengthof(decimal_operands));
	check_lists("Integer", DV_TYPE_INTEGER, ints, lengthof(ints), list_items, lengthof(list_items));
	check_lists("Double", DV_TYPE_DOUBLE, ints, lengthof(ints), list_items, lengthof(list_items));
	is(bound_text(DV_OP_LT, DV_TYPE_INTEGER, scalar("2.5")), "c le 2", "a bound moves to the grid");
	is(bound_text(DV_OP_GE, DV_TYPE_INTEGER, scalar("-2.5")), "c gt -3", "and below zero too");
	is(bound_text(DV_OP_EQ, DV_TYPE_INTEGER, scalar("2.50")), "FALSE", "no integer is 2.5");
	is(bound_text(DV_OP_NE, DV_TYPE_INTEGER, scalar("5")), "(c ne 5 and c ne null)",
	   "ne never lets a null through");
	is(bound_text(DV_OP_LT, DV_TYPE_INTEGER, scalar("3000000000")), "c ne null",
	   "below a number that Int32 cannot hold is every number");
	is(bound_text(DV_OP_EQ, DV_TYPE_MONEY, scalar("922337203685477.5807")),
	   "c eq 922337203685477.5807", "money keeps every digit");
}

static void
test_dates(void)
{
	/* 2024-01-31T08:00:00Z = 1706688000; fractions may be stored and not returned */
	static const char *const stored[] = {NULL,
										 "-6847804800000000",
										 "-1000000",
										 "-500000",
										 "0",
										 "1706687999999999",
										 "1706688000000000",
										 "1706688000347000",
										 "1706688001000000",
										 "253402300799000000"};
	static const char *const operands[] = {NULL,
										   "-6847804800000001",
										   "-6847804800000000",
										   "-999999",
										   "-1000000",
										   "1706688000000000",
										   "1706688000000001",
										   "1706688000347000",
										   "253402300799000000",
										   "253402300799000001",
										   "253402300800000000",
										   "infinity",
										   "-infinity"};
	static const char *const days[] = {NULL, "-79258", "-79257", "0", "19753", "2932896"};
	static const char *const day_operands[] = {
		NULL, "-100000", "-79257", "0", "19753", "2932896", "2932897", "infinity", "-infinity"};

	check_comparisons("DateTime", DV_TYPE_DATETIME, stored, lengthof(stored), operands,
					  lengthof(operands));
	check_lists("DateTime", DV_TYPE_DATETIME, stored, lengthof(stored), operands + 1,
				lengthof(operands) - 1);
	check_comparisons("DateOnly", DV_TYPE_DATE, days + 2, lengthof(days) - 2, day_operands,
					  lengthof(day_operands));
	check_lists("DateOnly", DV_TYPE_DATE, days + 2, lengthof(days) - 2, day_operands + 1,
				lengthof(day_operands) - 1);
	is(bound_text(DV_OP_EQ, DV_TYPE_DATETIME, scalar("1706688000000000")),
	   "(c ge 2024-01-31T08:00:00Z and c lt 2024-01-31T08:00:01Z)",
	   "an instant is a half-open second");
	is(bound_text(DV_OP_GT, DV_TYPE_DATETIME, scalar("1706688000347000")),
	   "c ge 2024-01-31T08:00:01Z", "a fraction is folded upward");
	is(bound_text(DV_OP_EQ, DV_TYPE_DATETIME, scalar("1706688000347000")), "FALSE",
	   "no returned value has a fraction");
}

static void
test_texts(void)
{
	static const char *const stored[] = {NULL,      "abc",   "ABC", "a%c", "a_c", "a[b]c",
										 "O'Brian", "-dash", "x",   "ki",  "KI"};
	static const struct
	{
		DvFilterOp op;
		const char *operand;
		const char *sent;
	} cases[] = {
		{DV_OP_EQ, "abc", "c eq 'abc'"},
		{DV_OP_EQ, "O'Brian", "c eq 'O''Brian'"},
		{DV_OP_EQ, "", "c eq '' or c eq null"},
		{DV_OP_EQ, "a[b]c", "startswith(c,'a[[]b]c')"},
		{DV_OP_LIKE, "abc", "c eq 'abc'"},
		{DV_OP_LIKE, "1%", "startswith(c,'1')"},
		/* what a combining mark may join is not at a piece's end */
		{DV_OP_LIKE, "Cafe%", "startswith(c,'Caf')"},
		{DV_OP_LIKE, "Cafe\xcc\x81%", "startswith(c,'Caf')"},
		{DV_OP_LIKE, "Caf\xc3\xa9_", "startswith(c,'Caf')"},
		{DV_OP_LIKE, "%\xcc\x81\xcc\xa3 d1_", "contains(c,' d1')"},
		{DV_OP_LIKE, "%\xcc\x81", "c ne null"},
		{DV_OP_LIKE, "\xe6\x97\xa5\xe6\x9c\xac%", "startswith(c,'\xe6\x97\xa5\xe6\x9c\xac')"},
		{DV_OP_LIKE, "\xf0\x9f\x98\x80%", "startswith(c,'\xf0\x9f\x98\x80')"},
		{DV_OP_LIKE, "a%",
		 "startswith(c,'a') or startswith(c,'[^abcdefghijklmnopqrstuvwxyz0123456789]')"},
		{DV_OP_LIKE, "%c", "endswith(c,'c')"},
		{DV_OP_LIKE, "%b%", "c ne null"},
		{DV_OP_LIKE, "%b1%", "contains(c,'b1')"},
		{DV_OP_LIKE, "a1%bcd%e", "startswith(c,'a1') and contains(c,'bc')"},
		{DV_OP_LIKE, "ab%b%de", "startswith(c,'a') and endswith(c,'de')"},
		{DV_OP_LIKE, "a\\%c%", "startswith(c,'a[%]')"},
		{DV_OP_LIKE, "a\\_c", "c eq 'a_c'"},
		{DV_OP_LIKE, "%", "c ne null"},
		{DV_OP_LIKE, "", "c eq '' or c eq null"},
		{DV_OP_LIKE, "abc\\", "TRUE"},
		{DV_OP_ILIKE, "stamp-kip%", "startswith(c,'stamp-')"},
		{DV_OP_PREFIX, "a%", "startswith(c,'a[%]')"},
		{DV_OP_PREFIX, "", "c ne null"},
		{DV_OP_PREFIX, "Cafe", "startswith(c,'Caf')"},
		{DV_OP_PREFIX, "C",
		 "startswith(c,'C') or startswith(c,'[^abcdefghijklmnopqrstuvwxyz0123456789]')"},
	};
	static const char *const items[] = {"abc", "ABC", "", "O'Brian", "a[b]c"};

	for (int i = 0; i < lengthof(cases); i++)
		is(bound_text(cases[i].op, DV_TYPE_STRING, scalar(cases[i].operand)), cases[i].sent,
		   "text op %d '%s'", cases[i].op, cases[i].operand);
	check_lists("String", DV_TYPE_STRING, stored, lengthof(stored), items, lengthof(items));
	ok(dv_filter_leaf_exactness(DV_TYPE_STRING, DV_OP_NE) == DV_NONE,
	   "text <> is never sent: the collation would drop rows");
	ok(dv_filter_leaf_exactness(DV_TYPE_STRING, DV_OP_LT) == DV_NONE, "nor text <");
}

static void
test_ids_and_booleans(void)
{
	static const char *const guids[] = {NULL, "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
										"3f2504e0-4f89-11d3-9a0c-0305e82c3302"};

	is(bound_text(DV_OP_EQ, DV_TYPE_LOOKUP, scalar(guids[1])),
	   "c eq 3f2504e0-4f89-11d3-9a0c-0305e82c3301", "a GUID stands bare");
	is(bound_text(DV_OP_IN, DV_TYPE_GUID, list(true, 2, guids + 1)),
	   "Microsoft.Dynamics.CRM.In(PropertyName='c',PropertyValues=["
	   "\"3f2504e0-4f89-11d3-9a0c-0305e82c3301\",\"3f2504e0-4f89-11d3-9a0c-0305e82c3302\"])",
	   "in a list it is quoted");
	ok(dv_filter_leaf_exactness(DV_TYPE_GUID, DV_OP_LT) == DV_NONE, "GUIDs have no common order");
	is(bound_text(DV_OP_NE, DV_TYPE_BOOLEAN, scalar("true")), "c eq false",
	   "not true is false, never null");
	is(bound_text(DV_OP_EQ, DV_TYPE_BOOLEAN, scalar(NULL)), "FALSE", "= null selects nothing");
	ok(dv_filter_leaf_exactness(DV_TYPE_MULTISELECT, DV_OP_CHOICES_ANY) == DV_NONE,
	   "an index that lags is no superset");
}

static void
test_algebra(void)
{
	DvFilter *exact = dv_filter_leaf(DV_OP_EQ, "a", "a", DV_TYPE_INTEGER, 0);
	DvFilter *superset = dv_filter_leaf(DV_OP_EQ, "b", "b", DV_TYPE_STRING, 1);
	DvFilter *none = dv_filter_leaf(DV_OP_NE, "d", "d", DV_TYPE_STRING, 2);
	DvFilter *args[3] = {none, superset, exact};
	DvFilter *tree;
	int wrong = 0;

	/* classes in the order of the enum: NONE 0, SUPERSET 1, EXACT 2 */
	for (int i = 0; i < 3; i++)
	{
		for (int j = 0; j < 3; j++)
		{
			DvExactness and_class = dv_filter_and(args[i], args[j])->exactness;
			DvExactness or_class = dv_filter_or(args[i], args[j])->exactness;
			DvExactness and_expected =
				i == 2 && j == 2 ? DV_EXACT : (i == 0 && j == 0 ? DV_NONE : DV_SUPERSET);

			wrong += and_class != and_expected;
			wrong += or_class != (DvExactness) Min(i, j);
		}
	}
	ok(wrong == 0, "AND and OR over all nine pairs of classes");
	ok(dv_filter_not(exact)->exactness == DV_EXACT, "NOT of EXACT is EXACT");
	ok(dv_filter_not(superset)->exactness == DV_NONE, "NOT of SUPERSET is NONE");
	ok(dv_filter_not(none)->exactness == DV_NONE, "NOT of NONE is NONE");
	ok(dv_filter_not(dv_filter_and(exact, superset))->exactness == DV_NONE,
	   "NOT of a weakened AND is NONE");
	ok(dv_filter_not(dv_filter_or(exact, none))->exactness == DV_NONE, "NOT of OR with NONE");

	tree = dv_filter_sendable(dv_filter_and(dv_filter_and(exact, none), superset));
	is(printed(tree), "a eq $1 and b eq $2", "AND drops its NONE arm");
	ok(tree->exactness == DV_SUPERSET, "and is a superset afterwards");
	ok(dv_filter_sendable(dv_filter_or(exact, none)) == NULL, "OR with NONE sends nothing");
	is(printed(dv_filter_sendable(dv_filter_or(dv_filter_and(exact, none), superset))),
	   "a eq $1 or b eq $2", "a NONE arm deep in an OR's AND is dropped");
	is(printed(dv_filter_not(dv_filter_and(
		   exact, dv_filter_or(exact, dv_filter_leaf(DV_OP_IS_NULL, "e", "e", DV_TYPE_DATE, -1))))),
	   "(a ne $1 and a ne null) or ((a ne $1 and a ne null) and e ne null)",
	   "NOT goes to the leaves");
	is(printed(dv_filter_and(exact, dv_filter_or(exact, superset))),
	   "a eq $1 and (a eq $1 or b eq $2)", "OR within AND keeps its parentheses");
	ok(dv_filter_weaken(exact)->exactness == DV_SUPERSET && exact->exactness == DV_EXACT,
	   "weaken copies");
	ok(dv_filter_shift_slots(superset, 3)->slot == 4 && superset->slot == 1,
	   "slots shift in a copy");
}

static void
test_long_lists(void)
{
	const char *items[1000];
	const DvValue *values[2];
	DvFilter *in = dv_filter_leaf(DV_OP_IN, "a", "a", DV_TYPE_INTEGER, 0);
	DvFilter *other = dv_filter_leaf(DV_OP_EQ, "b", "b", DV_TYPE_INTEGER, 1);
	DvFilter *bound;

	for (int i = 0; i < 1000; i++)
		items[i] = psprintf("%d.0", i / 2);
	values[0] = list(true, 1000, items);
	values[1] = scalar("1");
	bound = dv_filter_bind(dv_filter_and(other, in), values, 2);
	ok(dv_filter_long_list(bound, 499) != NULL &&
		   dv_filter_long_list(bound, 499)->value->nitems == 500,
	   "items are distinct as numbers");
	ok(dv_filter_long_list(bound, 500) == NULL, "500 is not more than 500");
	ok(dv_filter_long_list(dv_filter_bind(dv_filter_or(other, in), values, 2), 10) == NULL,
	   "a list within OR cannot be cut");
	ok(dv_filter_conditions(bound) >= 501, "conditions count items");
}

static void
test_paths(void)
{
	const char *items[] = {"1", "2"};
	const DvValue *values[1] = {list(false, 2, items)};

	is(printed(dv_filter_bind(
		   dv_filter_leaf(DV_OP_IN, "primarycontactid/x", "x", DV_TYPE_INTEGER, 0), values, 1)),
	   "primarycontactid/Microsoft.Dynamics.CRM.In(PropertyName='x',PropertyValues=[\"1\",\"2\"])",
	   "a path stands before the function");
}

int
main(void)
{
	test_algebra();
	test_numbers();
	test_dates();
	test_texts();
	test_ids_and_booleans();
	test_long_lists();
	test_paths();
	return done_testing();
}
