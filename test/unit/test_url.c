/*
 * test_url.c
 *	  Addresses as they go over the wire, and which links are still ours.
 */
#include "odata/url.h"

#include "tap.h"

static char *
query(DvQuery query)
{
	StringInfoData out;

	initStringInfo(&out);
	dv_url_query(&out, &query);
	return out.data;
}

static void
test_query(void)
{
	is(query((DvQuery){.path = "accounts", .top = -1}), "accounts", "nothing but a path");
	is(query((DvQuery){.path = "accounts", .select = "name,revenue", .top = -1}),
	   "accounts?$select=name,revenue", "columns");
	is(query((DvQuery){.path = "accounts", .top = 0}), "accounts?$top=0", "top of zero");
	is(query((DvQuery){.path = "a(1)",
					   .select = "s",
					   .filter = "f",
					   .orderby = "o desc",
					   .expand = "e",
					   .apply = "g",
					   .top = 5,
					   .count = true,
					   .extra = "tag=x%20y"}),
	   "a(1)?$select=s&$filter=f&$orderby=o%20desc&$expand=e&$apply=g&$top=5&$count=true&tag=x%20y",
	   "everything");
	is(query((DvQuery){.path = "a", .select = "", .filter = "", .extra = "", .top = -1}), "a",
	   "empty is absent");
	is(query((DvQuery){.path = "a", .top = -1, .extra = "x=1"}), "a?x=1", "only an extra option");
	is(query((DvQuery){
		   .path = "accounts",
		   .top = -1,
		   .filter =
			   "name eq 'A&B+C#D/E%_;=?@$\"\\ caf\xC3\xA9 O''B' and x ge 2024-01-31T08:00:00Z"}),
	   "accounts?$filter=name%20eq%20'A%26B%2BC%23D/E%25_%3B%3D%3F%40%24%22%5C%20caf%C3%A9%20O''B'"
	   "%20and%20x%20ge%202024-01-31T08:00:00Z",
	   "a filter's special characters");
}

static char *
key(const DvKeyPart *parts, int n, bool in_url)
{
	StringInfoData out;

	initStringInfo(&out);
	dv_url_key(&out, "accounts", parts, n, in_url);
	return out.data;
}

static void
test_key(void)
{
	const char *guid = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";
	DvKeyPart id[] = {{NULL, DV_EDM_GUID, guid}};
	DvKeyPart text[] = {{"accountnumber", DV_EDM_STRING, "A 1'x,(\xC3\xA9)"}};
	DvKeyPart several[] = {{"a", DV_EDM_STRING, "x"},
						   {"_b_value", DV_EDM_GUID, guid},
						   {"c", DV_EDM_INT32, "-5"},
						   {"d", DV_EDM_DECIMAL, "1.50"}};
	DvKeyPart when[] = {{"w", DV_EDM_DATETIME, "1706688000500000"}};
	DvKeyPart day[] = {{"w", DV_EDM_DATE, "19753"}};

	is(key(id, 1, true), "accounts(3f2504e0-4f89-11d3-9a0c-0305e82c3301)", "a primary id");
	is(key(text, 1, true), "accounts(accountnumber='A%201''x%2C%28%C3%A9%29')", "a text, encoded");
	is(key(text, 1, false), "accounts(accountnumber='A 1''x,(\xC3\xA9)')", "a text, in a body");
	is(key(several, 4, true),
	   "accounts(a='x',_b_value=3f2504e0-4f89-11d3-9a0c-0305e82c3301,c=-5,d=1.50)",
	   "several columns");
	is(key(when, 1, false), "accounts(w=2024-01-31T08:00:00Z)", "a time: whole seconds");
	is(key(when, 1, true), "accounts(w=2024-01-31T08%3A00%3A00Z)", "a time, encoded");
	is(key(day, 1, true), "accounts(w=2024-01-31)", "a date");
}

static void
test_key_refuses(void)
{
	static const char refused[] = "/<>*%&:\\?+#\t\n\x7f";
	static const char taken[] = "-_.~!'\"()[]{}@$^`|=;, ";
	int i;

	for (i = 0; refused[i] != '\0'; i++)
		ok(dv_url_key_refuses(DV_EDM_STRING, psprintf("a%cb", refused[i])), "refuses byte 0x%02x",
		   refused[i]);
	for (i = 0; taken[i] != '\0'; i++)
		ok(!dv_url_key_refuses(DV_EDM_STRING, psprintf("a%cb", taken[i])), "takes %c", taken[i]);
	ok(dv_url_key_refuses(DV_EDM_STRING, ""), "refuses the empty text");
	ok(!dv_url_key_refuses(DV_EDM_STRING, "caf\xC3\xA9"), "takes letters of all kinds");
	ok(!dv_url_key_refuses(DV_EDM_DATETIME, "0") && !dv_url_key_refuses(DV_EDM_INT32, "1"),
	   "takes other types");
}

#define BASE "https://org.crm4.dynamics.com/api/data/v9.2"

static void
ours(const char *base, const char *link)
{
	ok(dv_url_same_service(base, link), "ours: %s", link);
}

static void
foreign(const char *base, const char *link)
{
	const char *p;

	for (p = link; *p >= ' ' && *p <= '~'; p++)
		;
	ok(!dv_url_same_service(base, link), "not ours: %.*s", (int) (p - link), link);
}

static void
test_same_service(void)
{
	ours(BASE, BASE "/accounts");
	ours(BASE, BASE "/accounts?$select=name&$skiptoken=%3Ccookie%20pagenumber=%222%22%20/%3E");
	ours(BASE "/", BASE "/accounts?x");
	ours(BASE, "HTTPS://ORG.crm4.Dynamics.COM/api/data/v9.2/accounts");
	ours(BASE, "https://org.crm4.dynamics.com:443/api/data/v9.2/accounts");
	ours("https://org.crm4.dynamics.com:443/api/data/v9.2", BASE "/accounts");
	ours(BASE, BASE "/accounts?x=https://evil.example/@..//%2e%2e");
	ours(BASE, BASE "/accounts(accountnumber='a%20b')/contact_customer_accounts?$skiptoken=1");
	ours(BASE, BASE "/a.b/c..d/...e");
	ours("http://127.0.0.1:8080/api/data/v9.2", "http://127.0.0.1:8080/api/data/v9.2/a");
	ours("http://[::1]:8080/api/data/v9.2", "http://[::1]:8080/api/data/v9.2/a");
	ours("http://localhost/r", "http://localhost:80/r/a");

	foreign(BASE, "");
	foreign(BASE, "accounts");
	foreign(BASE, "/api/data/v9.2/accounts");
	foreign(BASE, "//org.crm4.dynamics.com/api/data/v9.2/accounts");
	foreign(BASE, BASE);
	foreign(BASE, BASE "/");
	foreign(BASE, BASE "?x");
	foreign(BASE, BASE "x/accounts");
	foreign(BASE, "http://org.crm4.dynamics.com/api/data/v9.2/accounts");
	foreign(BASE, "ftp://org.crm4.dynamics.com/api/data/v9.2/accounts");
	foreign(BASE, "https:org.crm4.dynamics.com/api/data/v9.2/accounts");
	foreign(BASE, "https:///api/data/v9.2/accounts");
	foreign(BASE, " " BASE "/accounts");
	foreign(BASE, "https://org.crm4.dynamics.com.evil.example/api/data/v9.2/accounts");
	foreign(BASE, "https://evil.example/api/data/v9.2/accounts");
	foreign(BASE, "https://rg.crm4.dynamics.com/api/data/v9.2/accounts");
	foreign(BASE, "https://org.crm4.dynamics.com./api/data/v9.2/accounts");
	foreign(BASE, "https://org.crm4.dynamics.com:444/api/data/v9.2/accounts");
	foreign(BASE, "https://org.crm4.dynamics.com:80/api/data/v9.2/accounts");
	foreign(BASE, "https://org.crm4.dynamics.com:/api/data/v9.2/accounts");
	foreign(BASE, "https://org.crm4.dynamics.com:0443/api/data/v9.2/accounts" + 0);
	foreign(BASE, "https://org.crm4.dynamics.com:4294967739/api/data/v9.2/accounts");
	foreign(BASE, "https://org.crm4.dynamics.com:443x/api/data/v9.2/accounts");
	foreign(BASE, "https://user@org.crm4.dynamics.com/api/data/v9.2/accounts");
	foreign(BASE, "https://org.crm4.dynamics.com@evil.example/api/data/v9.2/accounts");
	foreign(BASE, "https://org.crm4.dynamics.com:443@evil.example/api/data/v9.2/accounts");
	foreign(BASE, "https://evil.example#@org.crm4.dynamics.com/api/data/v9.2/accounts");
	foreign(BASE, "https://evil.example\\@org.crm4.dynamics.com/api/data/v9.2/accounts");
	foreign(BASE, "https://org.crm4.dynamics.com\\.evil.example/api/data/v9.2/accounts");
	foreign(BASE, "https://org.crm4.dynamics.com%2eevil.example/api/data/v9.2/accounts");
	foreign(BASE, "https://org.crm4.dynamics.com\r\n.evil.example/api/data/v9.2/accounts");
	foreign(BASE, "https://\xEF\xBD\x8Frg.crm4.dynamics.com/api/data/v9.2/accounts");
	foreign(BASE, "https://org.crm4.dynamics.com/api/data/v9.1/accounts");
	foreign(BASE, "https://org.crm4.dynamics.com/API/data/v9.2/accounts");
	foreign(BASE, BASE "/../v9.1/accounts");
	foreign(BASE, BASE "/..");
	foreign(BASE, BASE "/./accounts");
	foreign(BASE, BASE "/accounts/..");
	foreign(BASE, BASE "/%2e%2E/accounts");
	foreign(BASE, BASE "/.%2e/accounts");
	foreign(BASE, BASE "/a%2fb");
	foreign(BASE, BASE "/a%5Cb");
	foreign(BASE, BASE "/a%00b");
	foreign(BASE, BASE "/a%252e");
	foreign(BASE, BASE "/a%");
	foreign(BASE, BASE "/a%4");
	foreign(BASE, BASE "/a%zz");
	foreign(BASE, BASE "//accounts");
	foreign(BASE, BASE "/accounts/");
	foreign(BASE, BASE "/accounts#x");
	foreign(BASE, BASE "/accounts?x#y");
	foreign(BASE, BASE "/accounts?x\\y");
	foreign(BASE, BASE "/accounts?x y");
	foreign(BASE, BASE "/accounts?x\n");
	foreign(BASE, BASE "/accounts?caf\xC3\xA9");
	foreign("http://[::1]:8080/r", "http://[::2]:8080/r/a");
	foreign("http://[::1]:8080/r", "http://[::1/r/a");
	foreign("http://[::1]:8080/r", "http://::1:8080/r/a");
	foreign("http://127.0.0.1/r", "http://2130706433/r/a");
	foreign("not a url", "not a url/a");
}

static void
root(const char *url, bool accepted)
{
	DvError error;
	bool result = dv_url_check_root(url, &error);

	ok(result == accepted && (accepted || (error.kind == DV_ERROR_DATA && error.message != NULL)),
	   "%s root: %s", accepted ? "a" : "no", url);
}

static void
test_root(void)
{
	DvError error;

	root("https://contoso.crm.dynamics.com", true);
	root("https://contoso.crm.dynamics.com/", true);
	root("https://contoso.crm.dynamics.com:8443", true);
	root("http://127.0.0.1:8080", true);
	root("http://127.255.255.254", true);
	root("http://localhost:1/", true);
	root("http://LocalHost", true);
	root("http://[::1]:8080", true);

	root("", false);
	root("contoso.crm.dynamics.com", false);
	root("https://", false);
	root("https:///", false);
	root("ftp://contoso.crm.dynamics.com", false);
	root("https://contoso.crm.dynamics.com/api/data/v9.2", false);
	root("https://contoso.crm.dynamics.com//", false);
	root("https://contoso.crm.dynamics.com?x", false);
	root("https://contoso.crm.dynamics.com/#", false);
	root("https://user:secret@contoso.crm.dynamics.com", false);
	root("https://contoso.crm.dynamics.com:0", false);
	root("https://contoso.crm.dynamics.com:65536", false);
	root("https://contoso crm", false);
	root("https://-x", false);
	root("http://contoso.crm.dynamics.com", false);
	root("http://127.0.0.1.evil.example", false);
	root("http://localhost.evil.example", false);
	root("http://127.0.0.256", false);
	root("http://127.0.0", false);
	root("http://127.1", false);
	root("http://0127.0.0.1", false);
	root("http://127.0.0.01", false);
	root("http://128.0.0.1", false);
	root("http://10.0.0.1", false);
	root("http://0.0.0.0", false);
	root("http://[::2]", false);
	root("http://[::ffff:127.0.0.1]", false);

	dv_url_check_root("https://user:secret@h", &error);
	ok(strstr(error.message, "secret") == NULL, "a password is not repeated");
}

int
main(void)
{
	test_query();
	test_key();
	test_key_refuses();
	test_same_service();
	test_root();
	return done_testing();
}
