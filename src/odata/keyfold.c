/*
 * keyfold.c
 *	  A coarse form of a row's key: rows that the service may take for the same
 *	  one have the same form.
 *
 * The service compares key text without case, in most environments without
 * accents, and without trailing blanks (sheet 1.5, 2.3.4); a bulk request that
 * holds one key twice fails or silently drops a row (5.1).  So duplicates have
 * to be found here, before sending, under rules that are at least as coarse as
 * any collation of the service.  A pair that is wrongly called equal costs a
 * request; a pair wrongly called different costs order.  Hence: compatibility
 * decomposition, marks dropped, case folded for the scripts that have case,
 * kana folded together, the letters that collations spell out spelled out, and
 * every character of which we know nothing dropped, since older collations
 * give such characters no weight at all.
 *
 * It deliberately does not use the database's collation: that is not the
 * service's.
 */
#include "odata/base.h"

#include <stdlib.h>

#include "common/unicode_norm.h"
#include "mb/pg_wchar.h"

#include "odata/keyfold.h"

/* No control character survives folding, so this cannot occur in a value. */
#define PART_SEPARATOR '\x1f'

/* Letters without a decomposition that collations compare like ASCII ones. */
static const struct
{
	pg_wchar letter;
	const char *spelling;
} spelled[] = {
	{0x00C6, "ae"}, {0x00D0, "d"},  {0x00D8, "o"},  {0x00DE, "th"}, {0x00DF, "ss"}, {0x00E6, "ae"},
	{0x00F0, "d"},  {0x00F8, "o"},  {0x00FE, "th"}, {0x0110, "d"},  {0x0111, "d"},  {0x0126, "h"},
	{0x0127, "h"},  {0x0131, "i"},  {0x0141, "l"},  {0x0142, "l"},  {0x014A, "n"},  {0x014B, "n"},
	{0x0152, "oe"}, {0x0153, "oe"}, {0x0166, "t"},  {0x0167, "t"},  {0x1E9E, "ss"},
};

/* How a range of characters is folded: kept, moved by "shift", or paired (even is the capital). */
typedef enum FoldHow
{
	FOLD_KEEP,
	FOLD_SHIFT,
	FOLD_EVEN_IS_UPPER
} FoldHow;

/* Sorted; what is in no range is dropped (combining marks, format characters, the unknown). */
static const struct
{
	pg_wchar first;
	pg_wchar last;
	FoldHow how;
	int shift;
} ranges[] = {
	{0x0391, 0x03A9, FOLD_SHIFT, 0x20},         /* Greek */
	{0x03B1, 0x03C1, FOLD_KEEP, 0},             /* .. */
	{0x03C2, 0x03C2, FOLD_SHIFT, 1},            /* final sigma */
	{0x03C3, 0x03C9, FOLD_KEEP, 0},             /* .. */
	{0x0400, 0x040F, FOLD_SHIFT, 0x50},         /* Cyrillic */
	{0x0410, 0x042F, FOLD_SHIFT, 0x20},         /* .. */
	{0x0430, 0x045F, FOLD_KEEP, 0},             /* .. */
	{0x0460, 0x0481, FOLD_EVEN_IS_UPPER, 0},    /* .. */
	{0x048A, 0x04BF, FOLD_EVEN_IS_UPPER, 0},    /* .. */
	{0x04D0, 0x052F, FOLD_EVEN_IS_UPPER, 0},    /* .. */
	{0x0531, 0x0556, FOLD_SHIFT, 0x30},         /* Armenian */
	{0x0561, 0x0586, FOLD_KEEP, 0},             /* .. */
	{0x05D0, 0x05EA, FOLD_KEEP, 0},             /* Hebrew letters */
	{0x0621, 0x063A, FOLD_KEEP, 0},             /* Arabic letters */
	{0x0641, 0x064A, FOLD_KEEP, 0},             /* .. */
	{0x0660, 0x0669, FOLD_SHIFT, 0x30 - 0x660}, /* Arabic digits */
	{0x0671, 0x06D3, FOLD_KEEP, 0},             /* .. */
	{0x0904, 0x0939, FOLD_KEEP, 0},             /* Devanagari letters */
	{0x0E01, 0x0E30, FOLD_KEEP, 0},             /* Thai letters */
	{0x1100, 0x11FF, FOLD_KEEP, 0},             /* Hangul, decomposed */
	{0x3041, 0x3096, FOLD_SHIFT, 0x60},         /* Hiragana as Katakana */
	{0x30A1, 0x30FA, FOLD_KEEP, 0},             /* Katakana */
	{0x3400, 0x4DBF, FOLD_KEEP, 0},             /* CJK */
	{0x4E00, 0x9FFF, FOLD_KEEP, 0},             /* .. */
};

static void
fold_ascii(StringInfo out, unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		appendStringInfoChar(out, c - 'A' + 'a');
	else if (c >= ' ' && c < 0x7F)
		appendStringInfoChar(out, c);
}

static void
append_wide(StringInfo out, pg_wchar c)
{
	unsigned char bytes[8] = {0};

	unicode_to_utf8(c, bytes);
	appendBinaryStringInfo(out, (char *) bytes, pg_utf_mblen(bytes));
}

static void
fold_wide(StringInfo out, pg_wchar c)
{
	if (c < 0x80)
	{
		fold_ascii(out, (unsigned char) c);
		return;
	}
	for (int i = 0; i < lengthof(spelled); i++)
	{
		if (spelled[i].letter == c)
		{
			appendStringInfoString(out, spelled[i].spelling);
			return;
		}
	}
	for (int i = 0; i < lengthof(ranges) && ranges[i].first <= c; i++)
	{
		if (c > ranges[i].last)
			continue;
		if (ranges[i].how == FOLD_SHIFT)
			c += ranges[i].shift;
		else if (ranges[i].how == FOLD_EVEN_IS_UPPER && c % 2 == 0)
			c++;
		append_wide(out, c);
		return;
	}
}

/* Decodes, or NULL when the text is not UTF-8 (a database in SQL_ASCII may hold such text). */
static pg_wchar *
decode(const char *text, size_t len)
{
	pg_wchar *wide = palloc(sizeof(pg_wchar) * (len + 1));
	int n = 0;

	for (size_t i = 0; i < len;)
	{
		const unsigned char *p = (const unsigned char *) text + i;
		int bytes = pg_utf_mblen(p);

		if (i + bytes > len || !pg_utf8_islegal(p, bytes))
		{
			pfree(wide);
			return NULL;
		}
		wide[n++] = utf8_to_unicode(p);
		i += bytes;
	}
	wide[n] = 0;
	return wide;
}

static void
fold_beyond_ascii(StringInfo out, const char *text, size_t len)
{
	pg_wchar *wide = decode(text, len);
	pg_wchar *plain = wide ? unicode_normalize(UNICODE_NFKD, wide) : NULL;

	if (plain == NULL)
	{
		for (size_t i = 0; i < len; i++)
			fold_ascii(out, (unsigned char) text[i]);
		return;
	}
	for (pg_wchar *c = plain; *c; c++)
		fold_wide(out, *c);
	pfree(wide);
#ifdef FRONTEND
	free(plain);
#else
	pfree(plain);
#endif
}

void
dv_keyfold_text(StringInfo out, const char *text)
{
	size_t len = strlen(text);
	int start = out->len;
	bool ascii = true;

	for (size_t i = 0; i < len && ascii; i++)
		ascii = !IS_HIGHBIT_SET(text[i]);
	if (ascii)
	{
		for (size_t i = 0; i < len; i++)
			fold_ascii(out, (unsigned char) text[i]);
	}
	else
		fold_beyond_ascii(out, text, len);
	while (out->len > start && out->data[out->len - 1] == ' ')
		out->data[--out->len] = '\0';
}

/* 1.50 and 1.5, 0.0 and -0 are one number. */
static void
fold_number(StringInfo out, const char *text)
{
	size_t len = strlen(text);
	bool negative = *text == '-';
	bool plain = strspn(text + negative, "0123456789.") == len - negative;

	if (plain && strchr(text, '.') != NULL)
	{
		while (len > 0 && text[len - 1] == '0')
			len--;
		if (len > 0 && text[len - 1] == '.')
			len--;
	}
	if (plain && strspn(text + negative, "0.") >= len - negative)
		appendStringInfoChar(out, '0');
	else
		appendBinaryStringInfo(out, text, len);
}

/* The service keeps whole seconds and cuts the rest (sheet 3.3). */
static void
fold_datetime(StringInfo out, const char *text)
{
	char *end;
	int64 micros = strtoll(text, &end, 10);

	if (*text == '\0' || *end != '\0')
		appendStringInfoString(out, text);
	else
		appendStringInfo(out, INT64_FORMAT, micros / 1000000 - (micros % 1000000 < 0));
}

void
dv_keyfold(StringInfo out, const DvKeyPart *parts, int nparts)
{
	for (int i = 0; i < nparts; i++)
	{
		if (i > 0)
			appendStringInfoChar(out, PART_SEPARATOR);
		switch (parts[i].edm)
		{
			case DV_EDM_DECIMAL:
			case DV_EDM_DOUBLE:
			case DV_EDM_INT32:
			case DV_EDM_INT64:
				fold_number(out, parts[i].text);
				break;
			case DV_EDM_DATETIME:
				fold_datetime(out, parts[i].text);
				break;
			default:
				dv_keyfold_text(out, parts[i].text);
				break;
		}
	}
}
