/*
 * test_keyfold.c
 *	  Keys that the service may take for one row fold alike; others do not.
 */
#include "odata/base.h"

#include "odata/keyfold.h"

static int ntests = 0;
static int nfailed = 0;

static void
check(bool ok, const char *name)
{
	ntests++;
	nfailed += !ok;
	printf("%sok %d - %s\n", ok ? "" : "not ", ntests, name);
}

static bool
same(DvEdm edm, const char *a, const char *b)
{
	StringInfoData fa;
	StringInfoData fb;
	DvKeyPart pa = {"k", edm, a};
	DvKeyPart pb = {"k", edm, b};
	bool equal;

	initStringInfo(&fa);
	initStringInfo(&fb);
	dv_keyfold(&fa, &pa, 1);
	dv_keyfold(&fb, &pb, 1);
	equal = fa.len == fb.len && memcmp(fa.data, fb.data, fa.len) == 0;
	pfree(fa.data);
	pfree(fb.data);
	return equal;
}

#define SAME(a, b) check(same(DV_EDM_STRING, a, b), "same: " a " and " b)
#define DIFFERENT(a, b) check(!same(DV_EDM_STRING, a, b), "different: " a " and " b)

static void
test_text(void)
{
	SAME("ABC", "abc");
	SAME("ABC  ", "abc");
	DIFFERENT("  abc", "abc");
	DIFFERENT("a c", "ac");
	DIFFERENT("abc", "abd");
	DIFFERENT("co-op", "coop");
	DIFFERENT("O'Brian", "OBrian");
	SAME("caf\xC3\xA9", "CAFE");         /* é */
	SAME("caf\xC3\xA9", "cafe\xCC\x81"); /* e + combining acute */
	SAME("stra\xC3\x9F"
		 "e",
		 "STRASSE");                   /* ß */
	SAME("\xC3\x86r\xC3\xB8", "aero"); /* Æ ø */
	SAME("\xC5\x81\xC3\xB3"
		 "d\xC5\xBA",
		 "lodz");
	SAME("\xEF\xBC\xA1\xEF\xBC\x91", "a1"); /* full width A 1 */
	SAME("\xEF\xAC\x81n", "fin");           /* ligature fi */
	SAME("\xD0\x9C\xD0\xBE\xD1\x81\xD0\xBA\xD0\xB2\xD0\xB0",
		 "\xD0\xBC\xD0\xBE\xD1\x81\xD0\xBA\xD0\xB2\xD0\xB0"); /* Москва, москва */
	DIFFERENT("\xD0\x9C\xD0\xBE\xD1\x81\xD0\xBA\xD0\xB2\xD0\xB0",
			  "\xD0\x9F\xD0\xB0\xD1\x80\xD0\xB8\xD0\xB6\xD1\x8C"); /* Москва, Парижь */
	SAME("\xCE\xA3\xCE\xBF\xCF\x82", "\xCF\x83\xCE\xBF\xCF\x83");  /* Σος, σοσ */
	SAME("\xD0\x81", "\xD0\xB5");                                  /* Ё and е without its dots */
	SAME("\xE3\x81\x8B", "\xE3\x82\xAB");                          /* ka in both kana */
	DIFFERENT("\xE6\x9D\xB1\xE4\xBA\xAC", "\xE5\x8C\x97\xE4\xBA\xAC"); /* Tokyo, Beijing */
	SAME("\xEC\x84\x9C\xEC\x9A\xB8", "\xEC\x84\x9C\xEC\x9A\xB8");
	DIFFERENT("\xEC\x84\x9C\xEC\x9A\xB8", "\xEB\xB6\x80\xEC\x82\xB0"); /* Seoul, Busan */
	SAME("a\xF0\x9F\x98\x80", "a"); /* beyond the BMP: no weight in old collations */
	SAME("a\xC2\xAD"
		 "b",
		 "ab"); /* soft hyphen */
	SAME("a\xE2\x80\x8B"
		 "b",
		 "ab");             /* zero width space */
	SAME("a\xC2\xA0", "a"); /* no-break space at the end */
	check(same(DV_EDM_STRING, "a\xFF", "A"), "bytes that are not UTF-8 do no harm");
	check(same(DV_EDM_STRING, "", "  "), "the empty text");
	check(same(DV_EDM_STRING,
			   "a\x1f"
			   "b",
			   "ab"),
		  "control characters cannot fake a separator");
}

static void
test_types(void)
{
	check(same(DV_EDM_DECIMAL, "1.50", "1.5"), "decimal: trailing zeros");
	check(same(DV_EDM_DECIMAL, "2.000", "2"), "decimal: whole");
	check(!same(DV_EDM_DECIMAL, "20", "2"), "decimal: zeros before the point count");
	check(!same(DV_EDM_DECIMAL, "1.05", "1.5"), "decimal: zeros after the point count");
	check(!same(DV_EDM_DECIMAL, "-1.5", "1.5"), "decimal: sign");
	check(same(DV_EDM_DECIMAL, "-0.00", "0"), "decimal: no negative zero");
	check(!same(DV_EDM_INT32, "100", "1"), "integer: zeros count");
	check(same(DV_EDM_INT32, "0", "0"), "integer: zero");
	check(same(DV_EDM_GUID, "0F8FAD5B-D9CB-469F-A165-70867728950E",
			   "0f8fad5b-d9cb-469f-a165-70867728950e"),
		  "guid: case");
	check(same(DV_EDM_DATETIME, "1700000000000000", "1700000000999999"), "datetime: same second");
	check(!same(DV_EDM_DATETIME, "1700000000999999", "1700000001000000"), "datetime: next second");
	check(same(DV_EDM_DATETIME, "-1", "-1000000"), "datetime: seconds before 1970");
	check(!same(DV_EDM_DATETIME, "-1", "0"), "datetime: the second before 1970");
}

static void
test_compound(void)
{
	DvKeyPart a[2] = {{"x", DV_EDM_STRING, "ab"}, {"y", DV_EDM_STRING, "c"}};
	DvKeyPart b[2] = {{"x", DV_EDM_STRING, "a"}, {"y", DV_EDM_STRING, "bc"}};
	StringInfoData fa;
	StringInfoData fb;

	initStringInfo(&fa);
	initStringInfo(&fb);
	dv_keyfold(&fa, a, 2);
	dv_keyfold(&fb, b, 2);
	check(strcmp(fa.data, fb.data) != 0, "compound: parts are kept apart");
	resetStringInfo(&fb);
	dv_keyfold(&fb, a, 1);
	check(strcmp(fa.data, fb.data) != 0, "compound: number of parts counts");
	pfree(fa.data);
	pfree(fb.data);
}

int
main(void)
{
	test_text();
	test_types();
	test_compound();
	printf("1..%d\n", ntests);
	return nfailed ? 1 : 0;
}
