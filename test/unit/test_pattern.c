/*
 * test_pattern.c
 *	  The pieces of patterns.
 */
#include "odata/pattern.h"

#include "tap.h"

/* prefix|initial|longest|suffix, - for none, and * for no wildcard */
static void
cuts(const char *pattern, bool fold, const char *expected)
{
	DvPattern p;
	const char *got = "no pattern";

	if (dv_pattern_cut(pattern, fold, &p))
		got =
			psprintf("%s|%c|%s|%s%s", p.prefix ? p.prefix : "-", p.initial ? p.initial : '-',
					 p.longest ? p.longest : "-", p.suffix ? p.suffix : "-", p.wildcard ? "" : "*");
	is(got, expected, "%s%s", pattern, fold ? " (ILIKE)" : "");
}

static void
test_cut(void)
{
	cuts("", false, "|-|-|-*");
	cuts("abc", false, "abc|-|-|-*");
	cuts("%", false, "-|-|-|-");
	cuts("12%34", false, "12|-|-|34");
	cuts("12%345%67_89%", false, "12|-|345|-");
	cuts("_1", false, "-|-|-|1");
	cuts("a%", false, "-|a|-|-");
	cuts("7%", false, "7|-|-|-");
	cuts("a%b", false, "-|a|-|b");
	cuts("10\\%%\\_\\\\", false, "10%|-|-|_\\");
	cuts("10\\", false, "no pattern");
	cuts("Cafe%", false, "Caf|-|-|-");
	cuts("Cafe\xcc\x81%", false, "Caf|-|-|-");
	cuts("%\xcc\x81x", false, "-|-|-|x");
	cuts("1k2%", true, "1|-|2|-");
	cuts("12\xc3\xa9%", true, "12|-|-|-");
	cuts("12\xc3\xa9%", false, "12|-|-|-");
}

static void
test_words(void)
{
	is(dv_pattern_prefix("Cafe"), "Caf", "the last letter may be joined by a mark");
	is(dv_pattern_prefix("123"), "123", "a digit may not");
	is(dv_pattern_prefix("\xe6\x97\xa5\xe6\x9c\xac"), "\xe6\x97\xa5\xe6\x9c\xac",
	   "nor an ideograph");
	is(dv_pattern_prefix("e\xcc\x81\xcc\xa3"), "", "nothing is left of a letter and its marks");
	ok(dv_pattern_initial("Z") == 'Z' && dv_pattern_initial("zz") == '\0' &&
		   dv_pattern_initial("1") == '\0' && dv_pattern_initial("") == '\0',
	   "one letter");
	is(dv_pattern_bracket("100%_[a]^"), "100[%][_][[]a]^", "wildcards in brackets");
}

int
main(void)
{
	test_cut();
	test_words();
	return done_testing();
}
