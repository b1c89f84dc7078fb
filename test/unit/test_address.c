/*
 * test_address.c
 *	  Addresses as a person writes them.
 */
#include "odata/address.h"

#include "tap.h"

static const char *
encoded(const char *text)
{
	StringInfoData out;
	DvError error = {0};

	initStringInfo(&out);
	return dv_address_encode(&out, text, &error) ? out.data : error.message;
}

static void
test_encoding(void)
{
	is(encoded("accounts"), "accounts", "a name");
	is(encoded(" accounts?$select=name\n"), "accounts?$select=name", "blanks around it");
	is(encoded("accounts?$select=name&$filter=revenue gt 1000"),
	   "accounts?$select=name&$filter=revenue%20gt%201000", "syntax stays, blanks do not");
	is(encoded("accounts?$filter=a eq 1\n\t and b eq 2"),
	   "accounts?$filter=a%20eq%201%20%20%20and%20b%20eq%202", "lines are blanks");
	is(encoded("a?$filter=name eq 'x\ty'"), "a?$filter=name%20eq%20'x%09y'",
	   "... but not in a literal");
	is(encoded("a?$filter=name eq 'Stra\xC3\x9F"
			   "e'"),
	   "a?$filter=name%20eq%20'Stra%C3%9Fe'", "letters of all kinds");
	is(encoded("a?$filter=name%20eq%20'100%25'"), "a?$filter=name%20eq%20'100%25'",
	   "what is encoded stays");
	is(encoded("a?$filter=name eq '100%' or x eq '%zz'"),
	   "a?$filter=name%20eq%20'100%25'%20or%20x%20eq%20'%25zz'",
	   "a percent sign that encodes nothing");
	is(encoded("a?$filter=name eq 'Smith & Sons #1?;+'&$top=1"),
	   "a?$filter=name%20eq%20'Smith%20%26%20Sons%20%231%3F%3B%2B'&$top=1",
	   "delimiters are text in a literal, and only there");
	is(encoded("a?$filter=name eq 'O''B&C'&$top=1"), "a?$filter=name%20eq%20'O''B%26C'&$top=1",
	   "a doubled apostrophe does not end it");
	is(encoded("a?$expand=b($select=c;$top=1)"), "a?$expand=b($select=c;$top=1)",
	   "semicolons between options of an expansion");
	is(encoded("a?$filter=x ge 2024-01-01T00:00:00+01:00"),
	   "a?$filter=x%20ge%202024-01-01T00:00:00%2B01:00", "plus means plus");
	is(encoded("F(P=@p)?@p=[\"a\"]"), "F(P=@p)?@p=%5B%22a%22%5D", "aliases and JSON");
	is(encoded("a#b"), "a%23b", "no fragment");
}

static void
test_refusal(void)
{
	is(encoded(""), "the path is empty", "empty");
	is(encoded(" \n"), "the path is empty", "blank");
	is(encoded("/accounts"), "the path begins with a slash", "from the host on");
	is(encoded("//evil.example/x"), "the path begins with a slash", "another host");
	is(encoded("https://evil.example/x"), "the path is an absolute address", "another server");
	is(encoded("javascript:x"), "the path is an absolute address", "another scheme");
	is(encoded("accounts?$filter=x eq 'a:b'"), "accounts?$filter=x%20eq%20'a:b'",
	   "a colon later on is none");
}

static void
test_looking(void)
{
	ok(dv_address_has_option("a?$select=b&$top=5", "$top"), "an option");
	ok(dv_address_has_option("a?%24top=5", "$top"), "... encoded");
	ok(dv_address_has_option("a?$TOP=5", "$top"), "... in capitals");
	ok(dv_address_has_option("a?$apply", "$apply"), "... without a value");
	ok(!dv_address_has_option("a?$expand=b($top=5)", "$top"), "one of an expansion is not");
	ok(!dv_address_has_option("a?$topmost=5", "$top"), "a longer name is not");
	ok(!dv_address_has_option("a?$to=5", "$top"), "a shorter name is not");
	ok(!dv_address_has_option("a$top=5", "$top"), "none without a query");
	ok(dv_address_ends_in("accounts/$count", "$count"), "a last segment");
	ok(dv_address_ends_in("accounts/%24count?$filter=a", "$count"), "... encoded, before a query");
	ok(!dv_address_ends_in("accounts/$count/x", "$count"), "a middle one is not");
	ok(!dv_address_ends_in("accounts?x=/$count", "$count"), "nor is one in the query");
}

int
main(void)
{
	test_encoding();
	test_refusal();
	test_looking();
	return done_testing();
}
