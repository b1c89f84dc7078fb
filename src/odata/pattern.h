/*
 * pattern.h
 *	  What of a pattern of SQL's the service can be asked for.
 */
#ifndef DV_ODATA_PATTERN_H
#define DV_ODATA_PATTERN_H

#include "odata/base.h"

/* The literal runs of a LIKE pattern, as far as every row that matches has them. */
typedef struct DvPattern
{
	char *prefix;  /* NULL: the pattern begins with a wildcard */
	char initial;  /* the prefix when that is one letter, which trimming takes away */
	char *suffix;  /* NULL: it ends with one */
	char *longest; /* longest run in between, or NULL */
	bool wildcard; /* there was one at all; if not, prefix is the whole text */
} DvPattern;

/*
 * False when the pattern is not one (it ends in the escape character):
 * PostgreSQL will say so.  fold: ILIKE.
 */
extern bool dv_pattern_cut(const char *pattern, bool fold, DvPattern *pieces);

/* What every text that begins with this one begins with, to the service; maybe nothing. */
extern char *dv_pattern_prefix(const char *text);

/*
 * The text when it is one letter, else '\0'.  dv_pattern_prefix leaves nothing of
 * that, though it is a common prefix.  What begins with a letter and a mark begins,
 * to the service, either with the letter or with something that is no plain letter.
 */
extern char dv_pattern_initial(const char *text);

#define DV_PATTERN_NO_PLAIN_LETTER "[^abcdefghijklmnopqrstuvwxyz0123456789]"

/* Literal text as the service's text functions want it: wildcards in brackets. */
extern char *dv_pattern_bracket(const char *text);

#endif /* DV_ODATA_PATTERN_H */
