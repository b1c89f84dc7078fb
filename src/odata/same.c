/*
 * same.c
 *	  Would writing a value leave what is stored as it is?
 *
 * The service does not store what it is given: the empty text becomes null,
 * seconds are cut off, numbers are rounded to the column's precision (sheet 3.1,
 * 3.3, 3.4, 3.7).  So the question is not whether two values are equal, but
 * whether the one would be stored as the other.  A "yes" that is wrong loses a
 * change and a "no" that is wrong costs a request, so whatever is not certain is
 * a no: a number half way between two that can be stored, a spelling that we do
 * not know, an image, of which only a thumbnail can be read (sheet 12).
 */
#include "odata/same.h"

#include "compat.h"

#include <math.h>

#include "odata/literal.h"

/* Numbers that are compared digit by digit; longer ones are not known to be the same. */
#define DIGITS_MAX 80

/* Choices of one column (sheet 3.1). */
#define CHOICES_MAX 150

static bool
same_text(const char *json, size_t len, const DvField *stored)
{
	StringInfoData escaped;
	bool same;

	initStringInfo(&escaped);
	appendStringInfoChar(&escaped, '"');
	dv_json_escape(&escaped, stored->text, stored->len);
	appendStringInfoChar(&escaped, '"');
	same = (size_t) escaped.len == len && memcmp(escaped.data, json, len) == 0;
	pfree(escaped.data);
	return same;
}

/*
 * Numbers.
 */

/* A decimal number taken apart: digits without a point, of which some are decimals. */
typedef struct Decimal
{
	bool negative;
	int ndigits;
	int scale;
	char digits[DIGITS_MAX];
} Decimal;

/* False for exponents and for what is too long. */
static bool
read_decimal(const char *text, size_t len, Decimal *number)
{
	bool point = false;
	size_t i = 0;

	memset(number, 0, sizeof(Decimal));
	if (i < len && text[i] == '-')
	{
		number->negative = true;
		i++;
	}
	for (; i < len; i++)
	{
		if (text[i] == '.' && !point)
		{
			point = true;
			continue;
		}
		if (text[i] < '0' || text[i] > '9' || number->ndigits == DIGITS_MAX)
			return false;
		if (number->ndigits == 0 && text[i] == '0' && !point)
			continue;
		number->digits[number->ndigits++] = text[i];
		number->scale += point;
	}
	return true;
}

static void
strip_zeros(Decimal *number)
{
	while (number->scale > 0 && number->ndigits > 0 && number->digits[number->ndigits - 1] == '0')
	{
		number->ndigits--;
		number->scale--;
	}
	if (number->ndigits == 0)
		number->negative = false;
}

static bool
all_zeros(const char *digits, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (digits[i] != '0')
			return false;
	}
	return true;
}

/* Adds one to the last digit. */
static bool
increment(Decimal *number)
{
	int i = number->ndigits - 1;

	for (; i >= 0 && number->digits[i] == '9'; i--)
		number->digits[i] = '0';
	if (i >= 0)
	{
		number->digits[i]++;
		return true;
	}
	if (number->ndigits == DIGITS_MAX)
		return false;
	memmove(number->digits + 1, number->digits, number->ndigits);
	number->digits[0] = '1';
	number->ndigits++;
	return true;
}

/* To the nearest; false half way, where the service might go either way. */
static bool
round_decimal(Decimal *number, int precision)
{
	int drop = number->scale - precision;
	int first = number->ndigits - drop;
	char digit;

	if (drop <= 0)
		return true;
	if (first < 0)
	{
		number->ndigits = number->scale = 0;
		return true;
	}
	digit = number->digits[first];
	if (digit == '5' && all_zeros(number->digits + first + 1, drop - 1))
		return false;
	number->ndigits = first;
	number->scale = precision;
	return digit < '5' || increment(number);
}

static bool
equal_decimals(Decimal *a, Decimal *b)
{
	strip_zeros(a);
	strip_zeros(b);
	return a->negative == b->negative && a->scale == b->scale && a->ndigits == b->ndigits &&
		   memcmp(a->digits, b->digits, a->ndigits) == 0;
}

static bool
same_decimal(int precision, const char *json, size_t len, const DvField *stored)
{
	Decimal sent;
	Decimal there;

	if (!read_decimal(json, len, &sent) || !read_decimal(stored->text, stored->len, &there))
		return false;
	if (precision >= 0 && !round_decimal(&sent, precision))
		return false;
	return equal_decimals(&sent, &there);
}

static double
read_double(const char *text, size_t len)
{
	char *copy = pnstrdup(text, len);
	double value = strtod(copy, NULL);

	pfree(copy);
	return value;
}

/* Rounded, it is nearest to what is stored by a margin that no error of ours can eat up. */
static bool
same_double(int precision, const char *json, size_t len, const DvField *stored)
{
	double sent = read_double(json, len);
	double there = read_double(stored->text, stored->len);
	double unit;

	if (sent == there)
		return true;
	if (precision < 0 || precision > 10)
		return false;
	unit = pow(10, -precision);
	return fabs(sent) < 1e15 * unit && fabs(sent - there) < 0.49 * unit &&
		   fabs(there - rint(there / unit) * unit) < 0.01 * unit;
}

/*
 * Other types.
 */

/* 2024-05-01T12:00:00.999Z becomes 2024-05-01T12:00:00Z; other spellings must be equal. */
static bool
same_instant(const char *text, size_t len, const DvField *stored)
{
	size_t whole = strlen("2024-05-01T12:00:00");

	if (len == (size_t) stored->len && memcmp(text, stored->text, len) == 0)
		return true;
	if (len < whole + 3 || (size_t) stored->len != whole + 1 || text[whole] != '.' ||
		stored->text[whole] != 'Z')
		return false;
	return strspn(text + whole + 1, "0123456789") == len - whole - 2 && text[len - 1] == 'Z' &&
		   memcmp(text, stored->text, whole) == 0;
}

/* The numbers of a list like 1, 9; -1 when it is none. */
static int
read_choices(const char *text, size_t len, long *choices)
{
	char *copy = pnstrdup(text, len);
	char *p = copy;
	int n = 0;

	while (n >= 0)
	{
		char *end;
		long choice = strtol(p, &end, 10);

		if (end == p || n == CHOICES_MAX)
		{
			n = -1;
			break;
		}
		choices[n++] = choice;
		p = end + strspn(end, " ");
		if (*p == '\0')
			break;
		if (*p++ != ',')
			n = -1;
	}
	pfree(copy);
	return n;
}

static bool
contains(const long *choices, int n, long choice)
{
	for (int i = 0; i < n; i++)
	{
		if (choices[i] == choice)
			return true;
	}
	return false;
}

static bool
same_choices(const char *text, size_t len, const DvField *stored)
{
	long sent[CHOICES_MAX];
	long there[CHOICES_MAX];
	int nsent = read_choices(text, len, sent);
	int nthere = read_choices(stored->text, stored->len, there);

	if (nsent < 0 || nthere < 0)
		return false;
	for (int i = 0; i < nsent; i++)
	{
		if (!contains(there, nthere, sent[i]))
			return false;
	}
	for (int i = 0; i < nthere; i++)
	{
		if (!contains(sent, nsent, there[i]))
			return false;
	}
	return true;
}

static bool
same_string(DvType type, const char *json, size_t len, const DvField *stored)
{
	const char *inside = json + 1;
	size_t inside_len = len - 2;

	if (same_text(json, len, stored))
		return true;
	switch (dv_type_edm(type))
	{
		case DV_EDM_DATETIME:
			return same_instant(inside, inside_len, stored);
		case DV_EDM_CHOICES:
			return same_choices(inside, inside_len, stored);
		case DV_EDM_GUID:
			return inside_len == (size_t) stored->len &&
				   pg_strncasecmp(inside, stored->text, inside_len) == 0;
		default:
			return false;
	}
}

static bool
same_number(DvType type, int precision, const char *json, size_t len, const DvField *stored)
{
	if (type == DV_TYPE_DOUBLE)
		return same_double(precision, json, len, stored);
	if (type != DV_TYPE_DECIMAL && type != DV_TYPE_MONEY)
		precision = -1;
	return same_decimal(precision, json, len, stored);
}

static bool
is_word(const char *json, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(json, word, len) == 0;
}

bool
dv_same_value(DvType type, int precision, const char *json, size_t len, const DvField *stored)
{
	bool empty = is_word(json, len, "null") || is_word(json, len, "\"\"");

	if (len == 0 || type == DV_TYPE_IMAGE)
		return false;
	/* Null and the empty text are one to the service, in nearly all columns (sheet 3.7, 15). */
	if (empty)
		return stored->kind == DV_FIELD_ABSENT ||
			   (stored->kind == DV_FIELD_STRING && stored->len == 0);
	switch (stored->kind)
	{
		case DV_FIELD_TRUE:
			return is_word(json, len, "true");
		case DV_FIELD_FALSE:
			return is_word(json, len, "false");
		case DV_FIELD_NUMBER:
			return (json[0] == '-' || (json[0] >= '0' && json[0] <= '9')) &&
				   same_number(type, precision, json, len, stored);
		case DV_FIELD_STRING:
			return json[0] == '"' && same_string(type, json, len, stored);
		case DV_FIELD_ABSENT:
		case DV_FIELD_NESTED:
			break;
	}
	return false;
}
