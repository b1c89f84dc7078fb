/*
 * pattern.c
 *	  What of a pattern of SQL's the service can be asked for.
 *
 * The service's text functions know a piece at the beginning, at the end or in
 * the middle, compare without case and mostly without accents, and give % _ [
 * a meaning (sheet 2.3.3, 2.3.4).  The pieces cut here are found in every row
 * that the pattern matches, under any such collation; that other rows have them
 * too is for the caller's recheck.
 */
#include "odata/pattern.h"

char *
dv_pattern_bracket(const char *text)
{
	StringInfoData out;

	initStringInfo(&out);
	for (; *text; text++)
	{
		if (*text == '%' || *text == '_' || *text == '[')
			appendStringInfo(&out, "[%c]", *text);
		else
			appendStringInfoChar(&out, *text);
	}
	return out.data;
}

/*
 * Where a piece is followed or preceded by unknown text, its outermost
 * characters may join with that to what the service sees as one letter: e and
 * a combining acute compare as é where accents count (sheet 2.3.4), so that
 * 'cafe%' as a prefix would lose "café" written in two characters.  Such
 * characters are left to the recheck.
 */

/* Characters that join what stands before them (combining marks, Hangul parts). */
static const struct
{
	uint32 first;
	uint32 last;
} joining_ranges[] = {
	{0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05c7}, {0x0610, 0x061a}, {0x064b, 0x065f},
	{0x0670, 0x0670}, {0x06d6, 0x06ed}, {0x093c, 0x093c}, {0x09bc, 0x09be}, {0x09d7, 0x09d7},
	{0x0b3c, 0x0b3e}, {0x0b56, 0x0b57}, {0x0bbe, 0x0bbe}, {0x0bd7, 0x0bd7}, {0x0c56, 0x0c56},
	{0x0cc2, 0x0cc2}, {0x0cd5, 0x0cd6}, {0x0d3e, 0x0d3e}, {0x0d57, 0x0d57}, {0x0dca, 0x0dcf},
	{0x0ddf, 0x0ddf}, {0x0e31, 0x0e31}, {0x0e34, 0x0e3a}, {0x0e47, 0x0e4e}, {0x102b, 0x103e},
	{0x1160, 0x11ff}, {0x1ab0, 0x1aff}, {0x1b34, 0x1b35}, {0x1dc0, 0x1dff}, {0x20d0, 0x20ff},
	{0x3099, 0x309a}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
};

static bool
is_continuation(char c)
{
	return ((unsigned char) c & 0xc0) == 0x80;
}

/* Length in bytes of the character at p; text that is no UTF-8 counts as single bytes. */
static int
char_length(const char *p)
{
	int len = 1;

	if (((unsigned char) *p & 0xc0) == 0xc0)
	{
		while (is_continuation(p[len]) && len < 4)
			len++;
	}
	return len;
}

static uint32
code_point(const char *p, int len)
{
	static const unsigned char lead_masks[] = {0xff, 0xff, 0x1f, 0x0f, 0x07};
	uint32 code = (unsigned char) *p & lead_masks[len];

	for (int i = 1; i < len; i++)
		code = code << 6 | ((unsigned char) p[i] & 0x3f);
	return code;
}

static bool
joins_previous(const char *p)
{
	uint32 code = code_point(p, char_length(p));

	for (int i = 0; i < lengthof(joining_ranges); i++)
	{
		if (code >= joining_ranges[i].first && code <= joining_ranges[i].last)
			return true;
	}
	return false;
}

/* May a mark behind it make another letter of it?  Not of digits, ideographs and pictures. */
static bool
may_be_joined(const char *p)
{
	uint32 code = code_point(p, char_length(p));

	if (code < 0x80)
		return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z') ||
			   (code >= '<' && code <= '>');
	return !(code >= 0x4e00 && code <= 0x9fff) && code < 0x1f000;
}

static void
trim_tail(StringInfo piece)
{
	while (piece->len > 0)
	{
		int last = piece->len - 1;
		bool mark;

		while (last > 0 && is_continuation(piece->data[last]))
			last--;
		mark = joins_previous(piece->data + last);
		if (!mark && !may_be_joined(piece->data + last))
			return;
		piece->len = last;
		piece->data[last] = '\0';
		if (!mark)
			return;
	}
}

static void
trim_head(StringInfo piece)
{
	int start = 0;

	while (start < piece->len && joins_previous(piece->data + start))
		start += char_length(piece->data + start);
	piece->len -= start;
	memmove(piece->data, piece->data + start, piece->len + 1);
}

char *
dv_pattern_prefix(const char *text)
{
	StringInfoData piece;

	initStringInfo(&piece);
	appendStringInfoString(&piece, text);
	trim_tail(&piece);
	return piece.data;
}

char
dv_pattern_initial(const char *text)
{
	bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z');

	return letter && text[1] == '\0' ? *text : '\0';
}

/*
 * Where folding by PostgreSQL's lower() equates what the service's collation
 * may not (Kelvin sign and k, dotted I and i, any non-ASCII letter), ILIKE cuts
 * its pieces.
 */
static bool
folds_safely(char c)
{
	return !IS_HIGHBIT_SET(c) && strchr("iIkK", c) == NULL;
}

static void
end_piece(DvPattern *pieces, StringInfo run, bool first, bool last)
{
	char *text;

	if (first && !last)
		pieces->initial = dv_pattern_initial(run->data);
	if (!last)
		trim_tail(run);
	if (!first)
		trim_head(run);
	text = pstrdup(run->data);

	if (first && last)
		pieces->prefix = text;
	else if (first)
		pieces->prefix = run->len > 0 ? text : NULL;
	else if (last)
		pieces->suffix = run->len > 0 ? text : NULL;
	else if (run->len > 0 &&
			 (pieces->longest == NULL || strlen(pieces->longest) < (size_t) run->len))
		pieces->longest = text;
	resetStringInfo(run);
}

bool
dv_pattern_cut(const char *pattern, bool fold, DvPattern *pieces)
{
	StringInfoData run;
	bool first = true;

	memset(pieces, 0, sizeof(*pieces));
	initStringInfo(&run);
	for (const char *p = pattern; *p; p++)
	{
		bool escaped = *p == '\\';

		if (escaped && *++p == '\0')
			return false;
		if ((!escaped && (*p == '%' || *p == '_')) || (fold && !folds_safely(*p)))
		{
			end_piece(pieces, &run, first, false);
			pieces->wildcard = true;
			first = false;
		}
		else
			appendStringInfoChar(&run, *p);
	}
	end_piece(pieces, &run, first, true);
	return true;
}
