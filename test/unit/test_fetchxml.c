/*
 * test_fetchxml.c
 *	  FetchXML taken apart, and its paging cookies.
 */
#include "odata/fetchxml.h"

#include "tap.h"

static const char *
refusal(const char *xml)
{
	DvFetchXml fetch;
	DvError error = {0};

	return dv_fetchxml_parse(xml, &fetch, &error) ? "taken" : error.message;
}

static const char *
page(const char *xml, int number, const char *cookie)
{
	DvFetchXml fetch;
	DvError error = {0};
	StringInfoData out;

	initStringInfo(&out);
	if (!dv_fetchxml_parse(xml, &fetch, &error))
		return error.message;
	dv_fetchxml_page(&out, &fetch, number, 5000, cookie);
	return out.data;
}

static void
test_parse(void)
{
	DvFetchXml fetch;
	DvError error = {0};

	ok(dv_fetchxml_parse("\xEF\xBB\xBF<?xml version='1.0'?>\n<!-- <fetch><entity name='no'/> -->\n"
						 "<fetch aggregate = \"TRUE\" count='7'\n>\n<!-- x -->"
						 "<entity enableprefiltering='1' name=\"account\"><attribute name='name'/>"
						 "</entity></fetch>",
						 &fetch, &error),
	   "a query with all that may stand around it");
	is(fetch.entity, "account", "its table");
	ok(fetch.aggregate && !fetch.top && fetch.count == 7, "its kind and page size");
	ok(dv_fetchxml_parse("<fetch top='5'><entity name='contact'/></fetch>", &fetch, &error) &&
		   fetch.top && !fetch.aggregate && fetch.count == 0,
	   "a limit");
	is(fetch.entity, "contact", "... of an empty table element");
	is(refusal("<fetch page='1'><entity name='a'/></fetch>"), "taken",
	   "the first page is all pages");
	is(refusal("<fetch page='2'><entity name='a'/></fetch>"),
	   "the FetchXML asks for one page: all pages are read anyway", "another page is not");
	is(refusal("<fetch paging-cookie=''><entity name='a'/></fetch>"),
	   "the FetchXML has a paging cookie: all pages are read anyway", "nor is a cookie");
	is(refusal(""), "the FetchXML does not begin with <fetch>", "nothing");
	is(refusal("<fetcher><entity name='a'/></fetcher>"), "the FetchXML does not begin with <fetch>",
	   "another element");
	is(refusal("<!DOCTYPE x [<!ENTITY a 'b'>]><fetch><entity name='a'/></fetch>"),
	   "the FetchXML does not begin with <fetch>", "a document type");
	is(refusal("<!-- <fetch><entity name='a'/></fetch>"),
	   "the FetchXML does not begin with <fetch>", "a comment without end");
	is(refusal("<fetch top=5><entity name='a'/></fetch>"),
	   "the FetchXML's <fetch> is not well formed", "no quotes");
	is(refusal("<fetch top='5><entity name=/></fetch>"),
	   "the FetchXML's <fetch> is not well formed", "a quote without end");
	is(refusal("<fetch/>"), "the FetchXML's <fetch> is not well formed", "an empty query");
	is(refusal("<fetch><entity/></fetch>"),
	   "the FetchXML has no <entity name='...'> in its <fetch>", "no name");
	is(refusal("<fetch><entity name=''></entity></fetch>"),
	   "the FetchXML has no <entity name='...'> in its <fetch>", "an empty name");
	is(refusal("<fetch><link-entity name='a'/></fetch>"),
	   "the FetchXML has no <entity name='...'> in its <fetch>", "another element inside");
}

static void
test_pages(void)
{
	static const char xml[] = "<fetch distinct='true' page='1'><entity name='a'/></fetch>";

	is(page(xml, 1, NULL),
	   "<fetch distinct='true' count='5000' page='1'><entity name='a'/></fetch>", "the first page");
	is(page(xml, 2, "<cookie page=\"1\"><n last=\"O'B &amp; C\" /></cookie>"),
	   "<fetch distinct='true' count='5000' page='2' paging-cookie='&lt;cookie "
	   "page=&quot;1&quot;&gt;&lt;n last=&quot;O&apos;B &amp;amp; C&quot; /&gt;&lt;/cookie&gt;'>"
	   "<entity name='a'/></fetch>",
	   "the second, with its cookie escaped");
	is(page("<fetch count=\"9\"><entity name='a'/></fetch>", 3, NULL),
	   "<fetch count=\"9\" page='3'><entity name='a'/></fetch>", "a page size of its own");
	is(page("<fetch top='3'><entity name='a'/></fetch>", 1, NULL),
	   "<fetch top='3'><entity name='a'/></fetch>", "no page with a limit");
}

static void
test_cookies(void)
{
	DvError error = {0};
	char *cookie;

	ok(dv_fetchxml_cookie("<cookie pagenumber=\"2\" pagingcookie=\"%253ccookie%2520page%253d%25221"
						  "%2522%253e%253caccountid%2520last%253d%2522%257bA-1%257d%2522%2520%252f"
						  "%253e%253c%252fcookie%253e\" istracking=\"False\" />",
						  &cookie, &error),
	   "an annotation");
	is(cookie, "<cookie page=\"1\"><accountid last=\"{A-1}\" /></cookie>", "decoded twice");
	is(dv_fetchxml_position(cookie), "<accountid last=\"{A-1}\" /></cookie>", "its position");
	is(dv_fetchxml_position("odd"), "odd", "the position of another text");
	ok(dv_fetchxml_cookie("<cookie pagenumber=\"2\" istracking=\"False\" />", &cookie, &error) &&
		   cookie == NULL,
	   "none in it");
	ok(dv_fetchxml_cookie("<cookie pagingcookie=\"\"/>", &cookie, &error) && cookie == NULL,
	   "an empty one in it");
	ok(!dv_fetchxml_cookie("no", &cookie, &error) && error.kind == DV_ERROR_PROTOCOL,
	   "another text");
}

static const char *
next(const char *xml, const char *more, const char *cookie, const char *link, int64 rows)
{
	static const char *const words[] = {
		[DV_FETCHXML_LAST] = "last",     [DV_FETCHXML_NEXT] = "next",
		[DV_FETCHXML_LOST] = "lost",     [DV_FETCHXML_TOO_MANY] = "too many",
		[DV_FETCHXML_BROKEN] = "broken",
	};
	DvFetchXmlEnvelope envelope = {more, cookie, link};
	DvFetchXml fetch;
	DvError error = {0};
	DvFetchXmlVerdict verdict;
	char *found;

	if (!dv_fetchxml_parse(xml, &fetch, &error))
		return error.message;
	verdict = dv_fetchxml_next(&fetch, &envelope, rows, &found, &error);
	ok((verdict == DV_FETCHXML_BROKEN) == (error.kind == DV_ERROR_PROTOCOL), "an error says so");
	return psprintf("%s %s", words[verdict], found != NULL ? found : "-");
}

static void
test_next(void)
{
	static const char xml[] = "<fetch><entity name='a'/></fetch>";
	static const char cookie[] = "<cookie pagenumber=\"2\" pagingcookie=\"%253cc%253e\"/>";

	is(next(xml, NULL, NULL, NULL, 5), "last -", "no word of more");
	is(next(xml, "false", cookie, NULL, 5), "last -", "no more");
	is(next(xml, "true", cookie, NULL, 5), "next <c>", "by a cookie");
	is(next(xml, "true", cookie, NULL, 500000), "next <c>", "... however many");
	is(next(xml, "true", NULL, NULL, 49999), "next -", "by its number");
	is(next(xml, "true", NULL, NULL, 50000), "too many -", "... no further");
	is(next(xml, "true", "<cookie pagingcookie=\"\"/>", NULL, 50000), "too many -",
	   "an empty cookie is none");
	is(next(xml, "true", "x", NULL, 5), "broken -", "something else");
	is(next(xml, NULL, NULL, "https://h/", 5), "lost -", "a link of OData's");
	is(next(xml, "true", cookie, "https://h/", 5), "next <c>", "... beside a cookie");
	is(next("<fetch top='3'><entity name='a'/></fetch>", "true", cookie, NULL, 3), "last -",
	   "a limit has no pages");
}

int
main(void)
{
	test_parse();
	test_pages();
	test_cookies();
	test_next();
	return done_testing();
}
