/*
 * page.c
 *	  One response page as rows of number-exact text, with its next and delta
 *	  links.
 *
 * This is the hot loop of every scan, so three things are done for speed, and
 * none at the expense of strictness: every byte of the body is either checked
 * here or by PostgreSQL's lexer.
 *
 * Keys are expected, not read.  Rows of a page have the same properties in the
 * same order, more or less; the keys met are remembered as they stood in the
 * body, quotes included, and the next row's key is first compared with the one
 * that followed last time.  Equal bytes are the same token, already checked.
 *
 * Plain strings are skipped eight bytes at a time.  What is not plain
 * (backslash, control character, no end) goes to the lexer, which is the judge
 * of everything unusual and of numbers and words.
 *
 * A related row's properties, wanted as "nav/column", are read where they stand:
 * an object that holds some is a level of its own, with keys of its own to
 * expect, and everything else that is nested is skipped.
 *
 * Nothing is copied: fields point into the body.  Only strings with escapes
 * are written out, into one buffer that the next row reuses.  That is done here
 * and not by the lexer, because in a server the lexer writes the database's
 * encoding whatever it was told, and throws where that has no such character.
 *
 * The lexer (of 15, at least) checks neither UTF-8 nor nesting, commas and
 * colons: the first is done once for the whole body, the rest is the grammar
 * below.
 *
 * Never a shorter answer: only a body read to its closing brace ends a page
 * without error, and an envelope that holds an error, no "value" or a link that
 * is not understood is a failure even when its rows were fine.
 */
#include "odata/page.h"

#include "compat.h"

#include "common/jsonapi.h"
#include "mb/pg_wchar.h"

/* The levels around a nested value that DV_PAGE_DEPTH counts as well: envelope, array, row. */
#define DEPTH_OUTSIDE 3

/* Keys remembered at most; a row has fewer unless something is odd. */
#define EXPECTED_MAX 4096

/* Of a service's own words about a failure, at most so much is repeated. */
#define ERROR_TEXT_MAX 1000

/* Fields that no property has: a key not asked for, and a failure. */
#define FIELD_UNWANTED (-1)
#define FIELD_FAILURE (-2)

typedef enum PageState
{
	PAGE_START,
	PAGE_FIRST_ROW, /* after [ */
	PAGE_NEXT_ROW,  /* after a row */
	PAGE_DONE,
	PAGE_FAILED
} PageState;

/* Members of the envelope that are kept.  Without "odata." as OData 4.01 would write them. */
typedef enum Member
{
	MEMBER_NEXT,
	MEMBER_DELTA,
	MEMBER_COUNT,
	MEMBER_COOKIE,
	MEMBER_MORE,
	MEMBER_TOTAL,
	MEMBER_TOTAL_EXCEEDED
} Member;

#define MEMBERS (MEMBER_TOTAL_EXCEEDED + 1)

static const struct
{
	const char *name;
	Member member;
} members[] = {
	{"@odata.nextLink", MEMBER_NEXT},
	{"@odata.deltaLink", MEMBER_DELTA},
	{"@odata.count", MEMBER_COUNT},
	{"@nextLink", MEMBER_NEXT},
	{"@deltaLink", MEMBER_DELTA},
	{"@count", MEMBER_COUNT},
	{"@Microsoft.Dynamics.CRM.fetchxmlpagingcookie", MEMBER_COOKIE},
	{"@Microsoft.Dynamics.CRM.morerecords", MEMBER_MORE},
	{"@Microsoft.Dynamics.CRM.totalrecordcount", MEMBER_TOTAL},
	{"@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded", MEMBER_TOTAL_EXCEEDED},
};

/* A key as it stood in the body, and where its value goes. */
typedef struct Expected
{
	const char *key; /* at its opening quote */
	int len;         /* with both quotes */
	int field;       /* FIELD_UNWANTED for none; from nproperties on: a level */
} Expected;

/* The row, or an object in it that holds wanted properties. */
typedef struct Level
{
	int outer;        /* level it stands in; -1 for the row */
	const char *name; /* its key there, not NUL-terminated */
	int len;
	Expected *expected;
	int nexpected;
	int cap_expected;
	int position; /* of the key expected next */
	uint32 seen;  /* number of the row that last had it */
} Level;

/* A field whose text is in the buffer of written-out strings, which may still move. */
typedef struct Escaped
{
	int field;
	int offset;
} Escaped;

struct DvPage
{
	const char *body;
	const char *end;
	const char *cur; /* next byte to be read */
	int encoding;
	bool single;
	PageState state;
	DvError failure; /* PAGE_FAILED: what every further call returns */
	JsonLexContext *lex;

	int nproperties;
	const char **names; /* of the properties in their level */
	int *lengths;       /* of the names */
	int *level_of;
	int *same_as; /* first place of that name: the place itself, unless wanted twice */
	bool repeats; /* is any wanted twice? */

	Level *levels; /* the row first */
	int nlevels;
	int depth; /* levels around the one being read */

	uint32 *seen; /* number of the row that last had this property */
	uint32 row;

	StringInfoData text; /* written-out strings of this row */
	Escaped *escaped;
	int nescaped;

	const char *row_text; /* dv_page_row_text: the row as it stands */
	int row_text_len;

	char *members[MEMBERS];
	int64 rows;
};

/*
 * Failure.  The place is given, the text is not: it is somebody's data.
 */

static bool
fail_at(DvPage *page, const char *at, const char *what)
{
	if (at >= page->end)
		dv_error_set(&page->failure, DV_ERROR_PROTOCOL,
					 "the answer breaks off after %zu bytes: it is not complete",
					 (size_t) (page->end - page->body));
	else
		dv_error_set(&page->failure, DV_ERROR_PROTOCOL, "the answer is malformed at byte %zu: %s",
					 (size_t) (at - page->body) + 1, what);
	return false;
}

static bool
fail(DvPage *page, const char *what)
{
	return fail_at(page, page->cur, what);
}

static bool
fail_lex(DvPage *page, JsonParseErrorType type)
{
	/* A token that runs into the end: a string without its quote, half a word. */
	if (page->lex->token_terminator >= page->end)
		return fail_at(page, page->end, NULL);
	switch (type)
	{
		case JSON_ESCAPING_INVALID:
		case JSON_UNICODE_ESCAPE_FORMAT:
			return fail(page, "a string has an invalid escape");
		case JSON_ESCAPING_REQUIRED:
			return fail(page, "a string has an unescaped control character");
		default:
			return fail(page, "there is no such JSON value");
	}
}

/*
 * Tokens.
 */

static inline void
skip_blanks(DvPage *page)
{
	const char *p = page->cur;

	while (p < page->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	page->cur = p;
}

/* The next byte that is not blank, or NUL at the end: a byte that no token starts with. */
static inline char
peek(DvPage *page)
{
	skip_blanks(page);
	return page->cur < page->end ? *page->cur : '\0';
}

static inline bool
accept(DvPage *page, char c)
{
	if (peek(page) != c)
		return false;
	page->cur++;
	return true;
}

/* One token by the lexer, from cur on. */
static bool
lex_token(DvPage *page)
{
	JsonParseErrorType result;

	page->lex->token_terminator = unconstify(char *, page->cur);
	result = json_lex(page->lex);
	if (result != JSON_SUCCESS)
		return fail_lex(page, result);
	page->cur = page->lex->token_terminator;
	return true;
}

/*
 * The closing quote of a string that holds neither escapes nor control
 * characters; else, or if there is no end, NULL.  start: after the opening one.
 */
static inline const char *
plain_string_end(const char *start, const char *end)
{
	const uint64 ones = UINT64CONST(0x0101010101010101);
	const uint64 high = UINT64CONST(0x8080808080808080);
	const char *p = start;

	while (end - p >= 8)
	{
		uint64 word;
		uint64 quote;
		uint64 slash;

		/* A byte is zero where its high bit comes out set and no lower byte's did. */
		memcpy(&word, p, sizeof(word));
		quote = word ^ (ones * '"');
		slash = word ^ (ones * '\\');
		if ((((quote - ones) & ~quote) | ((slash - ones) & ~slash) |
			 ((word - ones * 0x20) & ~word)) &
			high)
			break;
		p += 8;
	}
	for (; p < end; p++)
	{
		if (*p == '"')
			return p;
		if (*p == '\\' || (unsigned char) *p < 0x20)
			return NULL;
	}
	return NULL;
}

/* Skips a string; *escaped: does it need writing out? cur must be at its quote. */
static bool
skip_string(DvPage *page, bool *escaped)
{
	const char *close = plain_string_end(page->cur + 1, page->end);

	*escaped = close == NULL;
	if (*escaped)
		return lex_token(page);
	page->cur = close + 1;
	return true;
}

/* Four hexadecimal digits, which the lexer has seen already. */
static pg_wchar
hex4(const char *p)
{
	pg_wchar value = 0;
	int i;

	for (i = 0; i < 4; i++)
	{
		char c = p[i];

		value =
			value * 16 + (pg_wchar) (c <= '9' ? c - '0' : (c <= 'F' ? c - 'A' + 10 : c - 'a' + 10));
	}
	return value;
}

/* The character of a \u escape; *p is after the u, and is left after the whole. 0 on failure. */
static pg_wchar
unicode_escape(DvPage *page, const char **p, const char *end)
{
	pg_wchar c = hex4(*p);

	*p += 4;
	if (c == 0)
		fail_at(page, *p - 6, "a string holds the character \\u0000, which text cannot");
	if (is_utf16_surrogate_second(c))
	{
		fail_at(page, *p - 6, "half a surrogate pair");
		return 0;
	}
	if (!is_utf16_surrogate_first(c))
		return c;
	if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u' ||
		!is_utf16_surrogate_second(hex4(*p + 2)))
	{
		fail_at(page, *p - 6, "half a surrogate pair");
		return 0;
	}
	c = surrogate_pair_to_codepoint(c, hex4(*p + 2));
	*p += 6;
	return c;
}

/* Character of the short escape with this letter. */
static char
short_escape(char letter)
{
	switch (letter)
	{
		case 'b':
			return '\b';
		case 'f':
			return '\f';
		case 'n':
			return '\n';
		case 'r':
			return '\r';
		case 't':
			return '\t';
		default:
			return letter; /* quote, slash, backslash */
	}
}

static bool
append_character(DvPage *page, StringInfo out, pg_wchar c)
{
	unsigned char bytes[MAX_MULTIBYTE_CHAR_LEN + 1];

	if (c > 0x7f && page->encoding != PG_UTF8)
		return fail(page, "a string has an escape that the page's encoding cannot hold");
	unicode_to_utf8(c, bytes);
	appendBinaryStringInfo(out, (char *) bytes, pg_utf_mblen(bytes));
	return true;
}

/* Appends the text between two quotes without its escapes. The lexer has passed over it. */
static bool
write_out(DvPage *page, StringInfo out, const char *p, const char *end)
{
	while (p < end)
	{
		const char *slash = memchr(p, '\\', end - p);

		if (slash == NULL)
			slash = end;
		appendBinaryStringInfo(out, p, (int) (slash - p));
		if (slash == end)
			break;
		p = slash + 2;
		if (slash[1] != 'u')
			appendStringInfoCharMacro(out, short_escape(slash[1]));
		else
		{
			pg_wchar c = unicode_escape(page, &p, end);

			if (c == 0 || !append_character(page, out, c))
				return false;
		}
	}
	return true;
}

/*
 * Values.
 */

/* Key of a member; cur is left after the colon. *escaped: key and len are raw. */
static bool
read_key(DvPage *page, const char **key, int *len, bool *escaped)
{
	if (peek(page) != '"')
		return fail(page, "a property name is missing");
	*key = page->cur + 1;
	if (!skip_string(page, escaped))
		return false;
	*len = (int) (page->cur - *key) - 1;
	if (!accept(page, ':'))
		return fail(page, "a colon is missing");
	return true;
}

static bool
skip_key(DvPage *page)
{
	const char *key;
	int len;
	bool escaped;

	return read_key(page, &key, &len, &escaped);
}

static const char *
skip_digits(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

/* Behind a number without exponent; NULL when it is not clearly one. */
static const char *
plain_number(const char *p, const char *end)
{
	const char *digits = *p == '-' ? p + 1 : p;

	p = skip_digits(digits, end);
	if (p == digits || (*digits == '0' && p > digits + 1))
		return NULL;
	if (p < end && *p == '.')
	{
		digits = p + 1;
		p = skip_digits(digits, end);
	}
	return p > digits ? p : NULL;
}

/*
 * null and numbers are most of what is no string: they are told at sight, which
 * saves half of the lexer's time.  False: the lexer is to say what it is.
 */
static bool
read_at_sight(DvPage *page, DvField *field)
{
	const char *start = page->cur;
	const char *p;

	if (*start == 'n')
		p = page->end - start > 4 && memcmp(start, "null", 4) == 0 ? start + 4 : NULL;
	else
		p = plain_number(start, page->end);
	if (p == NULL || p >= page->end || (*p != ',' && *p != '}'))
		return false;
	field->kind = *start == 'n' ? DV_FIELD_ABSENT : DV_FIELD_NUMBER;
	field->text = start;
	field->len = (int) (p - start);
	page->cur = p;
	return true;
}

/* A number or a word. */
static bool
read_scalar(DvPage *page, DvField *field)
{
	static const DvFieldKind kinds[] = {
		[JSON_TOKEN_NUMBER] = DV_FIELD_NUMBER,
		[JSON_TOKEN_TRUE] = DV_FIELD_TRUE,
		[JSON_TOKEN_FALSE] = DV_FIELD_FALSE,
		[JSON_TOKEN_NULL] = DV_FIELD_ABSENT,
	};
	JsonTokenType type;

	if (page->cur >= page->end)
		return fail(page, NULL);
	if (read_at_sight(page, field))
		return true;
	if (!lex_token(page))
		return false;
	type = page->lex->token_type;
	if (type != JSON_TOKEN_NUMBER && type != JSON_TOKEN_TRUE && type != JSON_TOKEN_FALSE &&
		type != JSON_TOKEN_NULL)
		return fail_at(page, page->lex->token_start, "a value is missing");
	field->kind = kinds[type];
	field->text = page->lex->token_start;
	field->len = (int) (page->cur - field->text);
	return true;
}

/*
 * The members of nested objects and arrays, without recursion: one bit per
 * level says which of the two it is.
 */
typedef struct Nesting
{
	uint64 objects;
	int depth;
} Nesting;

StaticAssertDecl(DV_PAGE_DEPTH <= 64, "a level is a bit of Nesting.objects");

static bool
nest(DvPage *page, Nesting *nesting)
{
	bool object = *page->cur == '{';

	if (nesting->depth + page->depth + DEPTH_OUTSIDE >= DV_PAGE_DEPTH)
	{
		dv_error_set(&page->failure, DV_ERROR_LIMIT, "the answer nests deeper than %d levels",
					 DV_PAGE_DEPTH);
		return false;
	}
	page->cur++;
	nesting->objects = (nesting->objects << 1) | (object ? 1 : 0);
	nesting->depth++;
	return true;
}

/*
 * After a value: closes what ends here, up to the next comma.  Leaves cur at
 * the next value, or after the outermost end with depth 0.
 */
static bool
unnest(DvPage *page, Nesting *nesting)
{
	while (nesting->depth > 0)
	{
		bool object = (nesting->objects & 1) != 0;

		if (accept(page, ','))
			return object ? skip_key(page) : true;
		if (!accept(page, object ? '}' : ']'))
			return fail(page, "a comma or an end is missing");
		nesting->objects >>= 1;
		nesting->depth--;
	}
	return true;
}

static bool
skip_nested(DvPage *page)
{
	Nesting nesting = {0, 0};

	do
	{
		DvField ignored;
		bool escaped;
		char c = peek(page);

		if (c == '{' || c == '[')
		{
			if (!nest(page, &nesting))
				return false;
			if (peek(page) != (c == '{' ? '}' : ']'))
			{
				if (c == '{' && !skip_key(page))
					return false;
				continue;
			}
		}
		else if (c == '"' ? !skip_string(page, &escaped) : !read_scalar(page, &ignored))
			return false;
		if (!unnest(page, &nesting))
			return false;
	} while (nesting.depth > 0);
	return true;
}

/* One value of any kind.  A string with escapes comes raw, with *escaped set. */
static inline bool
read_value(DvPage *page, DvField *field, bool *escaped)
{
	char c = peek(page);
	const char *start = page->cur;

	*escaped = false;
	if (c == '"')
	{
		if (!skip_string(page, escaped))
			return false;
		field->kind = DV_FIELD_STRING;
		field->text = start + 1;
		field->len = (int) (page->cur - start) - 2;
		return true;
	}
	if (c != '{' && c != '[')
		return read_scalar(page, field);
	if (!skip_nested(page))
		return false;
	field->kind = DV_FIELD_NESTED;
	field->text = start;
	field->len = (int) (page->cur - start);
	return true;
}

/*
 * Rows.
 */

/* Place of a property of the level by name. */
static int
find_property(const DvPage *page, int level, const char *name, int len)
{
	int i;

	for (i = 0; i < page->nproperties; i++)
	{
		if (page->lengths[i] == len && page->level_of[i] == level &&
			memcmp(page->names[i], name, len) == 0)
			return i;
	}
	return FIELD_UNWANTED;
}

/* The level that stands in another under this name, or -1. */
static int
find_level(const DvPage *page, int outer, const char *name, int len)
{
	int i;

	for (i = 1; i < page->nlevels; i++)
	{
		if (page->levels[i].outer == outer && page->levels[i].len == len &&
			memcmp(page->levels[i].name, name, len) == 0)
			return i;
	}
	return -1;
}

/* Where the value of a key goes. */
static int
find_field(const DvPage *page, int level, const char *name, int len)
{
	int field = find_property(page, level, name, len);
	int inner;

	if (field != FIELD_UNWANTED || page->nlevels == 1)
		return field;
	inner = find_level(page, level, name, len);
	return inner < 0 ? FIELD_UNWANTED : page->nproperties + inner;
}

/* Remembers a key at the place where it was met. */
static void
expect_key(Level *level, const char *key, int len, int field)
{
	Expected *place;

	if (level->nexpected == EXPECTED_MAX)
		return;
	if (level->nexpected == level->cap_expected)
	{
		level->cap_expected *= 2;
		level->expected = repalloc(level->expected, level->cap_expected * sizeof(Expected));
	}
	place = &level->expected[level->position];
	memmove(place + 1, place, (level->nexpected - level->position) * sizeof(Expected));
	place->key = key;
	place->len = len;
	place->field = field;
	level->nexpected++;
	level->position++;
}

/* A key not met before. */
static int
read_new_key(DvPage *page, int level)
{
	const char *key;
	int len;
	bool escaped;
	int field;

	if (!read_key(page, &key, &len, &escaped))
		return FIELD_FAILURE;
	if (escaped)
	{
		StringInfoData name;

		initStringInfo(&name);
		field = write_out(page, &name, key, key + len)
					? find_field(page, level, name.data, name.len)
					: FIELD_FAILURE;
		pfree(name.data);
		return field;
	}
	field = find_field(page, level, key, len);
	expect_key(&page->levels[level], key - 1, len + 2, field);
	return field;
}

static inline bool
at_expected(const DvPage *page, const Expected *expected)
{
	return page->end - page->cur > expected->len &&
		   memcmp(page->cur, expected->key, expected->len) == 0;
}

/* Where the next key's value goes. */
static inline int
match_key(DvPage *page, int number)
{
	Level *level = &page->levels[number];
	int n = level->nexpected;
	int place = level->position;
	int i;

	skip_blanks(page);
	for (i = 0; i < n; i++, place++)
	{
		if (place >= n)
			place = 0;
		if (at_expected(page, &level->expected[place]))
		{
			page->cur += level->expected[place].len;
			level->position = place + 1;
			if (!accept(page, ':'))
			{
				fail(page, "a colon is missing");
				return FIELD_FAILURE;
			}
			return level->expected[place].field;
		}
	}
	return read_new_key(page, number);
}

/* Marks a property as met in this row. */
static inline bool
meet(DvPage *page, int field)
{
	if (page->seen[field] == page->row)
		return fail(page, "a row has the same property twice");
	page->seen[field] = page->row;
	return true;
}

/* A wanted string with escapes: written out, its place noted. */
static bool
keep_escaped(DvPage *page, DvField *fields, int field)
{
	Escaped *place = &page->escaped[page->nescaped++];

	place->field = field;
	place->offset = page->text.len;
	if (!write_out(page, &page->text, fields[field].text, fields[field].text + fields[field].len))
		return false;
	fields[field].len = page->text.len - place->offset;
	return true;
}

/* At the row's end: the buffer is not going to move any more. */
static void
settle_row(DvPage *page, DvField *fields)
{
	int i;

	for (i = 0; i < page->nescaped; i++)
		fields[page->escaped[i].field].text = page->text.data + page->escaped[i].offset;
	for (i = 0; page->repeats && i < page->nproperties; i++)
		fields[i] = fields[page->same_as[i]];
}

static bool read_members(DvPage *page, DvField *fields, int level);

/* A related row, or null for none. */
static bool
read_level(DvPage *page, DvField *fields, int level)
{
	DvField value;
	bool escaped;
	bool read;

	if (page->levels[level].seen == page->row)
		return fail(page, "a row has the same property twice");
	page->levels[level].seen = page->row;
	if (peek(page) == '{')
	{
		page->depth++;
		read = read_members(page, fields, level);
		page->depth--;
		return read;
	}
	if (!read_value(page, &value, &escaped))
		return false;
	return value.kind == DV_FIELD_ABSENT || fail(page, "a related row is not an object");
}

static bool
read_property(DvPage *page, DvField *fields, int level)
{
	DvField unwanted;
	bool escaped;
	int field = match_key(page, level);

	if (field == FIELD_FAILURE)
		return false;
	if (field == FIELD_UNWANTED)
		return read_value(page, &unwanted, &escaped);
	if (field >= page->nproperties)
		return read_level(page, fields, field - page->nproperties);
	if (!meet(page, field) || !read_value(page, &fields[field], &escaped))
		return false;
	return !escaped || keep_escaped(page, fields, field);
}

/* From the opening brace to the closing one. */
static bool
read_members(DvPage *page, DvField *fields, int level)
{
	if (!accept(page, '{'))
		return fail(page, "a row is not an object");
	page->levels[level].position = 0;
	if (accept(page, '}'))
		return true;
	do
	{
		if (!read_property(page, fields, level))
			return false;
	} while (accept(page, ','));
	return accept(page, '}') || fail(page, "a comma or an end is missing");
}

static bool
read_row(DvPage *page, DvField *fields)
{
	memset(fields, 0, page->nproperties * sizeof(DvField));
	page->row++;
	page->nescaped = 0;
	resetStringInfo(&page->text);
	if (!read_members(page, fields, 0))
		return false;
	settle_row(page, fields);
	page->rows++;
	return true;
}

/* A row that is not taken apart. */
static bool
read_row_text(DvPage *page)
{
	DvField value;
	bool escaped;

	skip_blanks(page);
	page->row_text = page->cur;
	if (!read_value(page, &value, &escaped))
		return false;
	page->row_text_len = (int) (page->cur - page->row_text);
	page->rows++;
	return true;
}

/*
 * The envelope.
 */

static char *
copy_value(DvPage *page, const DvField *value, bool escaped)
{
	StringInfoData text;

	initStringInfo(&text);
	if (!escaped)
		appendBinaryStringInfo(&text, value->text, value->len);
	else if (!write_out(page, &text, value->text, value->text + value->len))
		return NULL;
	return text.data;
}

static bool
keep_member(DvPage *page, Member member, const DvField *value, bool escaped)
{
	bool link = member == MEMBER_NEXT || member == MEMBER_DELTA;

	if (value->kind == DV_FIELD_ABSENT)
		return true;
	if (page->members[member] != NULL)
		return fail(page, "a member of the envelope stands twice");
	if (value->kind == DV_FIELD_NESTED || (link && value->kind != DV_FIELD_STRING) ||
		(link && value->len == 0))
		return fail(page, "a link or a count is not one");
	page->members[member] = copy_value(page, value, escaped);
	return page->members[member] != NULL;
}

/* A service that has sent status 200 already can only say so here. */
static bool
fail_remote(DvPage *page, const DvField *value)
{
	int len = value->len;

	/* Cut between characters. */
	if (len > ERROR_TEXT_MAX)
	{
		for (len = ERROR_TEXT_MAX; len > 0 && IS_HIGHBIT_SET(value->text[len]); len--)
			;
	}
	dv_error_set(&page->failure, DV_ERROR_PROTOCOL, "the service broke off its answer: %.*s", len,
				 value->text);
	return false;
}

/* One member other than "value". */
static bool
read_member(DvPage *page, const char *name)
{
	DvField value;
	bool escaped;
	size_t i;

	if (!read_value(page, &value, &escaped))
		return false;
	if (strcmp(name, "error") == 0 || strcmp(name, "@odata.error") == 0)
		return fail_remote(page, &value);
	for (i = 0; i < lengthof(members); i++)
	{
		if (strcmp(name, members[i].name) == 0)
			return keep_member(page, members[i].member, &value, escaped);
	}
	return true;
}

/* Name of the next member, palloc'd, or NULL on failure. */
static char *
read_name(DvPage *page)
{
	DvField key = {DV_FIELD_STRING};
	bool escaped;

	if (!read_key(page, &key.text, &key.len, &escaped))
		return NULL;
	return copy_value(page, &key, escaped);
}

static bool
finish(DvPage *page)
{
	if (peek(page) != '\0' || page->cur < page->end)
		return fail(page, "something follows its end");
	page->state = PAGE_DONE;
	return true;
}

/* Members up to the rows. */
static bool
read_head(DvPage *page)
{
	if (!accept(page, '{'))
		return fail(page, "it is not a JSON object");
	if (peek(page) == '}')
		return fail(page, "it has no \"value\"");
	do
	{
		char *name = read_name(page);

		if (name == NULL)
			return false;
		if (strcmp(name, "value") == 0)
		{
			if (!accept(page, '['))
				return fail(page, "\"value\" is not an array");
			page->state = PAGE_FIRST_ROW;
			return true;
		}
		if (!read_member(page, name))
			return false;
		pfree(name);
	} while (accept(page, ','));
	if (!accept(page, '}'))
		return fail(page, "a comma or an end is missing");
	return fail_at(page, page->cur - 1, "it has no \"value\"");
}

/* Members after the rows. */
static bool
read_tail(DvPage *page)
{
	while (accept(page, ','))
	{
		char *name = read_name(page);

		if (name == NULL)
			return false;
		if (strcmp(name, "value") == 0)
			return fail(page, "\"value\" stands twice");
		if (!read_member(page, name))
			return false;
		pfree(name);
	}
	if (!accept(page, '}'))
		return fail(page, "a comma or an end is missing");
	return finish(page);
}

/*
 * Is this one object a page after all?  Looks for a "value" that is an array; a
 * row may well have a column of that name.  Leaves cur where it was.
 */
static bool
is_collection(DvPage *page, bool *collection)
{
	const char *start = page->cur;

	*collection = false;
	if (!accept(page, '{'))
		return fail(page, "it is not a JSON object");
	if (peek(page) != '}')
	{
		do
		{
			char *name = read_name(page);
			DvField value;
			bool escaped;

			if (name == NULL)
				return false;
			if (strcmp(name, "value") == 0 && peek(page) == '[')
				*collection = true;
			else if (!read_value(page, &value, &escaped))
				return false;
			pfree(name);
		} while (!*collection && accept(page, ','));
	}
	page->cur = start;
	return true;
}

/* What is checked once for the whole body, and up to the first row. */
static bool
start(DvPage *page)
{
	size_t len = page->end - page->body;
	bool collection = true;

	if (len > PG_INT32_MAX)
	{
		dv_error_set(&page->failure, DV_ERROR_LIMIT, "the answer is longer than 2 GB");
		return false;
	}
	if (pg_encoding_verifymbstr(page->encoding, page->body, (int) len) != (int) len)
	{
		dv_error_set(&page->failure, DV_ERROR_PROTOCOL, "the answer is not valid %s",
					 pg_encoding_to_char(page->encoding));
		return false;
	}
	if (page->single && !is_collection(page, &collection))
		return false;
	if (collection)
	{
		page->single = false;
		return read_head(page);
	}
	return true;
}

/* fields NULL: as text. */
static bool
take_row(DvPage *page, DvField *fields)
{
	return fields != NULL ? read_row(page, fields) : read_row_text(page);
}

/* The next row, or the end of the page: then state is PAGE_DONE. */
static bool
advance(DvPage *page, DvField *fields)
{
	if (page->state == PAGE_START)
	{
		if (!start(page))
			return false;
		if (page->single)
			return take_row(page, fields) && finish(page);
	}
	if (accept(page, ']'))
		return read_tail(page);
	if (page->state == PAGE_NEXT_ROW && !accept(page, ','))
		return fail(page, "a comma or an end is missing");
	page->state = PAGE_NEXT_ROW;
	return take_row(page, fields);
}

/*
 * For the callers.
 */

/* A level inside another; the same one when it is there already. */
static int
add_level(DvPage *page, int outer, const char *name, int len)
{
	int found = find_level(page, outer, name, len);
	Level *level;

	if (found >= 0)
		return found;
	page->levels = repalloc(page->levels, (page->nlevels + 1) * sizeof(Level));
	level = &page->levels[page->nlevels];
	memset(level, 0, sizeof(Level));
	level->outer = outer;
	level->name = name;
	level->len = len;
	level->cap_expected = 64;
	level->expected = palloc(level->cap_expected * sizeof(Expected));
	return page->nlevels++;
}

/* A property's level and its name there: annotations hold no slash before their @. */
static void
place_property(DvPage *page, int property, const char *path)
{
	const char *end = path + strcspn(path, "@");
	const char *slash;
	int level = 0;

	while ((slash = memchr(path, '/', end - path)) != NULL)
	{
		level = add_level(page, level, path, (int) (slash - path));
		path = slash + 1;
	}
	page->level_of[property] = level;
	page->names[property] = path;
	page->lengths[property] = (int) strlen(path);
	page->same_as[property] = property;
	page->same_as[property] = find_property(page, level, path, page->lengths[property]);
	page->repeats = page->repeats || page->same_as[property] != property;
}

DvPage *
dv_page_open(const char *body, size_t len, int encoding, bool single, const char *const *properties,
			 int nproperties)
{
	DvPage *page = palloc0(sizeof(DvPage));
	int i;

	page->body = body;
	page->end = body + len;
	page->cur = body;
	if (len >= 3 && memcmp(body, "\xEF\xBB\xBF", 3) == 0)
		page->cur += 3;
	page->encoding = encoding;
	page->single = single;
	page->lex = DV_JSON_LEXER(body, len, encoding);

	page->nproperties = nproperties;
	page->names = palloc0((nproperties + 1) * sizeof(char *));
	page->lengths = palloc0((nproperties + 1) * sizeof(int));
	page->level_of = palloc0((nproperties + 1) * sizeof(int));
	page->same_as = palloc0((nproperties + 1) * sizeof(int));
	page->levels = palloc(sizeof(Level));
	(void) add_level(page, -1, "", 0);
	for (i = 0; i < nproperties; i++)
	{
		page->level_of[i] = -1;
		page->lengths[i] = -1;
	}
	for (i = 0; i < nproperties; i++)
		place_property(page, i, properties[i]);
	page->seen = palloc0((nproperties + 1) * sizeof(uint32));
	page->escaped = palloc0((nproperties + 1) * sizeof(Escaped));
	initStringInfo(&page->text);
	return page;
}

static bool
next_row(DvPage *page, DvField *fields, DvError *error)
{
	int64 before = page->rows;

	if (page->state < PAGE_DONE && !advance(page, fields))
		page->state = PAGE_FAILED;
	else if (page->rows > before)
		return true;
	if (page->state == PAGE_FAILED)
		*error = page->failure;
	else
		dv_error_clear(error);
	return false;
}

bool
dv_page_row(DvPage *page, DvField *fields, DvError *error)
{
	DvField none;

	return next_row(page, fields != NULL ? fields : &none, error);
}

bool
dv_page_row_text(DvPage *page, const char **text, int *len, DvError *error)
{
	if (!next_row(page, NULL, error))
		return false;
	*text = page->row_text;
	*len = page->row_text_len;
	return true;
}

const char *
dv_page_next(const DvPage *page)
{
	return page->members[MEMBER_NEXT];
}

const char *
dv_page_delta(const DvPage *page)
{
	return page->members[MEMBER_DELTA];
}

const char *
dv_page_count(const DvPage *page)
{
	return page->members[MEMBER_COUNT];
}

const char *
dv_page_annotation(const DvPage *page, const char *name)
{
	size_t i;

	for (i = 0; i < lengthof(members); i++)
	{
		if (strcmp(name, members[i].name) == 0)
			return page->members[members[i].member];
	}
	return NULL;
}

int64
dv_page_rows(const DvPage *page)
{
	return page->rows;
}

void
dv_page_close(DvPage *page)
{
	int i;

	for (i = 0; i < MEMBERS; i++)
	{
		if (page->members[i] != NULL)
			pfree(page->members[i]);
	}
	DV_JSON_LEXER_FREE(page->lex);
	pfree(page->text.data);
	for (i = 0; i < page->nlevels; i++)
		pfree(page->levels[i].expected);
	pfree(page->levels);
	pfree(page->names);
	pfree(page->level_of);
	pfree(page->escaped);
	pfree(page->seen);
	pfree(page->lengths);
	pfree(page->same_as);
	pfree(page);
}

/*
 * Peeking.
 */

/* The last place in the body's end where the member's name stands, in quotes. */
static const char *
find_member_name(const DvPage *page, const char *name)
{
	size_t len = page->end - page->body;
	size_t name_len = strlen(name);
	const char *first = len > DV_PAGE_TAIL ? page->end - DV_PAGE_TAIL : page->body;
	const char *p;

	if (len < name_len + 2)
		return NULL;

	/*
	 * An escaped quote in front would make it part of a string.  No other way
	 * leads into one: the closing quote would have to be escaped too.
	 */
	for (p = page->end - name_len - 2; p > first; p--)
	{
		if (p[0] == '"' && p[1] == '@' && p[-1] != '\\' && p[name_len + 1] == '"' &&
			memcmp(p + 1, name, name_len) == 0)
			return p;
	}
	return NULL;
}

/*
 * The name found may be a nested object's: then what follows is not the end of
 * the envelope, read_tail says so, and there is nothing to be known early.
 */
static bool
peek_tail(DvPage *page, const char *found)
{
	char *name;

	if (found == NULL)
		return false;
	page->cur = found;
	name = read_name(page);
	return name != NULL && read_member(page, name) && read_tail(page);
}

char *
dv_page_peek_next(const char *body, size_t len)
{
	DvPage *page;
	char *link = NULL;

	if (len > PG_INT32_MAX)
		return NULL;
	page = dv_page_open(body, len, PG_UTF8, false, NULL, 0);
	if (read_head(page) &&
		(page->members[MEMBER_NEXT] != NULL ||
		 peek_tail(page, find_member_name(page, "@odata.nextLink"))) &&
		page->members[MEMBER_NEXT] != NULL)
		link = pstrdup(page->members[MEMBER_NEXT]);
	dv_page_close(page);
	return link;
}

/* The envelope's end, from the first of the two members on that stands in it. */
static void
peek_tail_fetchxml(DvPage *page)
{
	const char *cookie = find_member_name(page, "@Microsoft.Dynamics.CRM.fetchxmlpagingcookie");
	const char *more = find_member_name(page, "@Microsoft.Dynamics.CRM.morerecords");
	bool in_order = more == NULL || (cookie != NULL && cookie < more);
	const char *places[2] = {in_order ? cookie : more, in_order ? more : cookie};
	char *before[MEMBERS];

	memcpy(before, page->members, sizeof(before));
	for (int i = 0; i < lengthof(places); i++)
	{
		if (peek_tail(page, places[i]))
			return;

		/* What was taken up was not the envelope's. */
		memcpy(page->members, before, sizeof(before));
	}
}

void
dv_page_peek_fetchxml(const char *body, size_t len, char **more, char **cookie)
{
	DvPage *page;

	*more = NULL;
	*cookie = NULL;
	if (len > PG_INT32_MAX)
		return;
	page = dv_page_open(body, len, PG_UTF8, false, NULL, 0);
	if (read_head(page))
	{
		peek_tail_fetchxml(page);
		if (page->members[MEMBER_MORE] != NULL)
			*more = pstrdup(page->members[MEMBER_MORE]);
		if (page->members[MEMBER_COOKIE] != NULL)
			*cookie = pstrdup(page->members[MEMBER_COOKIE]);
	}
	dv_page_close(page);
}
