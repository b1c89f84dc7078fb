/*
 * test_fetchquery.c
 *	  Conditions in FetchXML, documents of joins, and what their columns are
 *	  called in the answer.
 */
#include "odata/fetchquery.h"

#include "odata/fetchxml.h"

#include "tap.h"

static DvFetchColumn
column(const char *logical, DvType type)
{
	return (DvFetchColumn){logical, type};
}

static const char *
document(const DvFetchQuery *query)
{
	StringInfoData out;

	initStringInfo(&out);
	dv_fetchquery_print(&out, query);
	return out.data;
}

/* What stands between the primary id's order and the end of a query with this condition. */
static const char *
condition(const DvFilter *filter)
{
	static const char head[] = "<fetch><entity name='t'><attribute name='id'/>"
							   "<order attribute='id'/>";
	static const char tail[] = "</entity></fetch>";
	DvFetchQuery query = {.table = {.entity = "t", .filter = filter}, .primary_id = "id"};
	const char *text = document(&query);
	size_t len = strlen(text) - strlen(tail);

	if (strncmp(text, head, strlen(head)) != 0 || strcmp(text + len, tail) != 0)
		return text;
	return pnstrdup(text + strlen(head), len - strlen(head));
}

static DvFilter *
leaf(DvFilterOp op, DvType type, int slot)
{
	return dv_filter_leaf(op, dv_type_is_lookup(type) ? "_c_value" : "c", "c", type, slot);
}

static DvFilter *
bind(const DvFilter *filter, char *text)
{
	DvValue value = {.text = text, .isnull = text == NULL};
	const DvValue *values[] = {&value};

	return dv_filter_bind(filter, values, 1);
}

/* The condition "c op value". */
static const char *
bound(DvFilterOp op, DvType type, char *text)
{
	return condition(bind(leaf(op, type, 0), text));
}

static const char *
bound_list(DvFilterOp op, DvType type, char **items, int nitems)
{
	DvValue value = {.isarray = true, .items = items, .nitems = nitems};
	const DvValue *values[] = {&value};

	return condition(dv_filter_bind(leaf(op, type, 0), values, 1));
}

#define LIST(op, type, ...)                                                                        \
	bound_list(op, type, (char *[]){__VA_ARGS__}, lengthof(((char *[]){__VA_ARGS__})))

#define C(operator, more) "<condition attribute='c' operator='" operator"'" more
#define NOT_NULL C("not-null", "/>")
#define IS_NULL C("null", "/>")
#define ID "8151925c-cde2-e411-80db-00155d2a68cb"

static void
test_classes(void)
{
	int better = 0;

	for (int type = 0; type < DV_TYPE_COUNT; type++)
		for (int op = 0; op < DV_OP_COUNT; op++)
			better += dv_fetchquery_leaf_exactness(type, op) > dv_filter_leaf_exactness(type, op);
	ok(better == 0, "never better than in OData");
	ok(dv_fetchquery_leaf_exactness(DV_TYPE_DATETIME, DV_OP_LE) == DV_EXACT, "instants");
	ok(dv_fetchquery_leaf_exactness(DV_TYPE_DATE, DV_OP_IN) == DV_EXACT, "days");
	ok(dv_fetchquery_leaf_exactness(DV_TYPE_DATETIME_FLOATING, DV_OP_LE) == DV_NONE,
	   "times without a zone are not compared");
	ok(dv_fetchquery_leaf_exactness(DV_TYPE_DATETIME_FLOATING, DV_OP_IS_NULL) == DV_EXACT,
	   "... but may be missed");
	ok(dv_fetchquery_leaf_exactness(DV_TYPE_ENTITY_NAME, DV_OP_EQ) == DV_NONE, "table names");
	ok(dv_fetchquery_leaf_exactness(DV_TYPE_STRING, DV_OP_EQ) == DV_SUPERSET, "text");
	ok(dv_fetchquery_leaf_exactness(DV_TYPE_STRING, DV_OP_NE) == DV_NONE, "text, negated");
}

static void
test_algebra(void)
{
	DvFilter *number = leaf(DV_OP_EQ, DV_TYPE_INTEGER, 0);
	DvFilter *floating = leaf(DV_OP_EQ, DV_TYPE_DATETIME_FLOATING, 1);
	DvFilter *text = leaf(DV_OP_EQ, DV_TYPE_STRING, 2);
	DvFilter *and = dv_filter_and(number, floating);
	DvFilter *sendable;

	ok(dv_fetchquery_exactness(NULL) == DV_EXACT, "no condition is exact");
	ok(dv_fetchquery_exactness(dv_filter_constant(true)) == DV_EXACT, "nor does a constant matter");
	ok(dv_fetchquery_exactness(number) == DV_EXACT, "a number");
	ok(and->exactness == DV_EXACT && dv_fetchquery_exactness(and) == DV_SUPERSET,
	   "AND with an arm that this dialect cannot send");
	ok(dv_fetchquery_exactness(dv_filter_or(number, floating)) == DV_NONE, "OR with one");
	ok(dv_fetchquery_exactness(dv_filter_or(number, text)) == DV_SUPERSET, "OR with text");
	ok(dv_fetchquery_exactness(dv_filter_weaken(number)) == DV_SUPERSET,
	   "what was weakened stays so");
	ok(dv_fetchquery_exactness(dv_filter_weaken(dv_filter_and(number, number))) == DV_SUPERSET,
	   "... also as a whole");
	ok(dv_fetchquery_exactness(dv_filter_not(text)) == DV_NONE, "what has no negation");
	sendable = dv_filter_sendable(dv_fetchquery_adapt(and));
	ok(sendable != NULL && sendable->kind == DV_FILTER_LEAF && sendable->type == DV_TYPE_INTEGER &&
		   sendable->exactness == DV_SUPERSET,
	   "what of it can be sent");
	ok(floating->exactness == DV_EXACT, "the tree itself is left alone");
}

static void
test_numbers(void)
{
	is(bound(DV_OP_EQ, DV_TYPE_INTEGER, "42"), "<filter>" C("eq", " value='42'/>") "</filter>",
	   "eq");
	is(bound(DV_OP_NE, DV_TYPE_DECIMAL, "-1.50"),
	   "<filter>" C("ne", " value='-1.5'/>") NOT_NULL "</filter>", "ne excludes nulls");
	is(bound(DV_OP_LT, DV_TYPE_INTEGER, "2.5"), "<filter>" C("le", " value='2'/>") "</filter>",
	   "a bound between two numbers");
	is(bound(DV_OP_GT, DV_TYPE_INTEGER, "99999999999"),
	   "<filter><condition attribute='id' operator='null'/></filter>", "no row");
	is(bound(DV_OP_LT, DV_TYPE_INTEGER, "99999999999"), "<filter>" NOT_NULL "</filter>",
	   "all that have a value");
	is(LIST(DV_OP_IN, DV_TYPE_PICKLIST, "3", "1", "3"),
	   "<filter>" C("in", "><value>1</value><value>3</value></condition>") "</filter>", "in");
	is(LIST(DV_OP_NOT_IN, DV_TYPE_STATE, "0", "1"),
	   "<filter>" C("not-in", "><value>0</value><value>1</value></condition>") NOT_NULL "</filter>",
	   "not-in excludes nulls");
	is(bound(DV_OP_DISTINCT, DV_TYPE_BIGINT, "7"),
	   "<filter><filter type='or'><filter>" C("ne", " value='7'/>") NOT_NULL "</filter>" IS_NULL
																			 "</filter></filter>",
	   "distinct, with nulls");
	is(bound(DV_OP_DISTINCT, DV_TYPE_BIGINT, NULL), "<filter>" NOT_NULL "</filter>",
	   "distinct from null");
	is(bound(DV_OP_EQ, DV_TYPE_MONEY, NULL),
	   "<filter><condition attribute='id' operator='null'/></filter>", "equal to null");
	is(bound(DV_OP_EQ, DV_TYPE_DOUBLE, "0.5"),
	   "<filter>" C("ge", " value='0.4999900000'/>") C("le", " value='0.5000100000'/>") "</filter>",
	   "a double is a range");
}

static void
test_ids(void)
{
	is(bound(DV_OP_EQ, DV_TYPE_GUID, ID), "<filter>" C("eq", " value='" ID "'/>") "</filter>",
	   "a GUID is bare");
	is(bound(DV_OP_NE, DV_TYPE_OWNER, ID),
	   "<filter>" C("ne", " value='" ID "'/>") NOT_NULL "</filter>",
	   "a lookup by its logical name");
	is(LIST(DV_OP_IN, DV_TYPE_LOOKUP, ID), "<filter>" C("eq", " value='" ID "'/>") "</filter>",
	   "a list of one");
	is(bound(DV_OP_EQ, DV_TYPE_BOOLEAN, "true"), "<filter>" C("eq", " value='1'/>") "</filter>",
	   "true");
	is(bound(DV_OP_NE, DV_TYPE_BOOLEAN, "true"), "<filter>" C("eq", " value='0'/>") "</filter>",
	   "not true");
	is(LIST(DV_OP_IN, DV_TYPE_BOOLEAN, "true", "false"),
	   "<filter><filter type='or'>" C("eq", " value='0'/>")
		   C("eq", " value='1'/>") "</filter></filter>",
	   "in, of booleans");
	is(LIST(DV_OP_NOT_IN, DV_TYPE_BOOLEAN, "true", "false"),
	   "<filter>" C("eq", " value='1'/>") C("eq", " value='0'/>") "</filter>",
	   "not in, of booleans");
}

static void
test_dates(void)
{
	/* 2024-01-31T08:00:00Z */
	char second[] = "1706688000000000";

	is(bound(DV_OP_EQ, DV_TYPE_DATE, "19753"),
	   "<filter>" C("eq", " value='2024-01-31'/>") "</filter>", "a day");
	is(bound(DV_OP_EQ, DV_TYPE_DATETIME, second),
	   "<filter>" C("ge", " value='2024-01-31T08:00:00Z'/>")
		   C("lt", " value='2024-01-31T08:00:01Z'/>") "</filter>",
	   "a second is a range");
	is(bound(DV_OP_NE, DV_TYPE_DATETIME, second),
	   "<filter><filter type='or'>" C("lt", " value='2024-01-31T08:00:00Z'/>")
		   C("ge", " value='2024-01-31T08:00:01Z'/>") "</filter></filter>",
	   "... and its complement two");
	is(bound(DV_OP_GT, DV_TYPE_DATETIME, second),
	   "<filter>" C("ge", " value='2024-01-31T08:00:01Z'/>") "</filter>", "after a second");
	is(bound(DV_OP_LE, DV_TYPE_DATETIME, "1706688000400000"),
	   "<filter>" C("lt", " value='2024-01-31T08:00:01Z'/>") "</filter>", "a fraction");
	is(bound(DV_OP_EQ, DV_TYPE_DATETIME, "1706688000400000"),
	   "<filter><condition attribute='id' operator='null'/></filter>", "... is never stored");
	is(bound(DV_OP_GT, DV_TYPE_DATETIME, "253402300799000000"),
	   "<filter>" IS_NULL NOT_NULL "</filter>", "after the last second");
	is(bound(DV_OP_LE, DV_TYPE_DATETIME, "253402300799000000"), "<filter>" NOT_NULL "</filter>",
	   "up to the last second");
	is(bound(DV_OP_EQ, DV_TYPE_DATETIME, "253402300799000000"),
	   "<filter>" C("ge", " value='9999-12-31T23:59:59Z'/>") "</filter>", "the last second");
	is(LIST(DV_OP_IN, DV_TYPE_DATETIME, second, "0"),
	   "<filter><filter type='or'><filter>" C("ge", " value='1970-01-01T00:00:00Z'/>")
		   C("lt", " value='1970-01-01T00:00:01Z'/>") "</filter><filter>" C(
			   "ge", " value='2024-01-31T08:00:00Z'/>")
			   C("lt", " value='2024-01-31T08:00:01Z'/>") "</filter></filter></filter>",
	   "a list of seconds");
	is(LIST(DV_OP_NOT_IN, DV_TYPE_DATETIME, second, "0"),
	   "<filter><filter type='or'>" C("lt", " value='1970-01-01T00:00:00Z'/>")
		   C("ge", " value='1970-01-01T00:00:01Z'/>") "</filter><filter type='or'>" C(
			   "lt", " value='2024-01-31T08:00:00Z'/>")
			   C("ge", " value='2024-01-31T08:00:01Z'/>") "</filter></filter>",
	   "... and none of them");
}

static void
test_text(void)
{
	is(bound(DV_OP_EQ, DV_TYPE_STRING, "Smith & \"O'Brien\" <x>\t\n\r"),
	   "<filter>" C(
		   "eq",
		   " value='Smith &amp; &quot;O&apos;Brien&quot; &lt;x&gt;&#9;&#10;&#13;'/>") "</filter>",
	   "XML in text");
	is(bound(DV_OP_EQ, DV_TYPE_STRING, ""),
	   "<filter><filter type='or'>" C("eq", " value=''/>") IS_NULL "</filter></filter>",
	   "the empty string may be stored as null");
	is(bound(DV_OP_EQ, DV_TYPE_STRING, "a[b"),
	   "<filter>" C("like", " value='a[[]b%'/>") "</filter>", "a bracket");
	is(bound(DV_OP_LIKE, DV_TYPE_STRING, "10\\%2%_3"),
	   "<filter>" C("like", " value='10[%]2%'/>") C("like", " value='%3'/>") "</filter>",
	   "LIKE by its pieces");
	is(bound(DV_OP_LIKE, DV_TYPE_MEMO, "%12%"), "<filter>" C("like", " value='%12%'/>") "</filter>",
	   "... in the middle");
	is(bound(DV_OP_PREFIX, DV_TYPE_STRING, "12"),
	   "<filter>" C("like", " value='12%'/>") "</filter>", "starts_with");
	is(bound(DV_OP_EQ, DV_TYPE_STRING, "a\x01z"), "<filter>" NOT_NULL "</filter>",
	   "what XML cannot hold");
	is(bound(DV_OP_EQ, DV_TYPE_STRING, "a\xEF\xBF\xBFz"), "<filter>" NOT_NULL "</filter>",
	   "... nor this");
	is(bound(DV_OP_PREFIX, DV_TYPE_STRING, "\x1f"), "<filter>" NOT_NULL "</filter>",
	   "... as a prefix");
	is(bound(DV_OP_NOT_DISTINCT, DV_TYPE_STRING, "a\x01z"), "<filter>" NOT_NULL "</filter>",
	   "... not distinct");
	is(LIST(DV_OP_IN, DV_TYPE_STRING, "a", "<b>"),
	   "<filter>" C("in", "><value>&lt;b&gt;</value><value>a</value></condition>") "</filter>",
	   "in");
	is(LIST(DV_OP_IN, DV_TYPE_STRING, "a", " \n"), "<filter>" NOT_NULL "</filter>",
	   "a value of blanks may be dropped");
	is(LIST(DV_OP_IN, DV_TYPE_STRING, "", "a"),
	   "<filter><filter type='or'>" C("in", "><value></value><value>a</value></condition>") IS_NULL
	   "</filter></filter>",
	   "in, with the empty string");
}

static void
test_trees(void)
{
	DvFilter *a = bind(leaf(DV_OP_EQ, DV_TYPE_INTEGER, 0), "1");
	DvFilter *b = bind(leaf(DV_OP_NE, DV_TYPE_INTEGER, 0), "2");
	DvFilter *d = bind(leaf(DV_OP_IS_NULL, DV_TYPE_STRING, -1), "3");

	is(condition(dv_filter_and(a, b)),
	   "<filter>" C("eq", " value='1'/>") C("ne", " value='2'/>") NOT_NULL "</filter>",
	   "AND needs no filter of its own");
	is(condition(dv_filter_or(a, dv_filter_and(b, d))),
	   "<filter><filter type='or'>" C("eq", " value='1'/>") "<filter>" C("ne", " value='2'/>")
		   NOT_NULL IS_NULL "</filter></filter></filter>",
	   "OR does, and AND in it");
	is(condition(dv_filter_or(a, b)),
	   "<filter><filter type='or'>" C("eq", " value='1'/>") "<filter>" C("ne", " value='2'/>")
		   NOT_NULL "</filter></filter></filter>",
	   "a leaf of two conditions in OR");
	is(condition(dv_filter_constant(true)), "", "all rows");
	is(condition(dv_filter_constant(false)),
	   "<filter><condition attribute='id' operator='null'/></filter>", "no rows");
}

/* Not bound: for EXPLAIN. */
static void
test_slots(void)
{
	is(condition(leaf(DV_OP_EQ, DV_TYPE_DATETIME, 0)),
	   "<filter>" C("eq", " value='$1'/>") "</filter>", "a slot");
	is(condition(leaf(DV_OP_NE, DV_TYPE_BOOLEAN, 1)),
	   "<filter>" C("ne", " value='$2'/>") NOT_NULL "</filter>", "negated");
	is(condition(leaf(DV_OP_DISTINCT, DV_TYPE_INTEGER, 1)),
	   "<filter><filter type='or'>" C("ne", " value='$2'/>") IS_NULL "</filter></filter>",
	   "distinct");
	is(condition(leaf(DV_OP_NOT_DISTINCT, DV_TYPE_INTEGER, 1)),
	   "<filter>" C("eq", " value='$2'/>") "</filter>", "not distinct");
	is(condition(leaf(DV_OP_IN, DV_TYPE_DATETIME, 2)),
	   "<filter>" C("in", "><value>$3</value></condition>") "</filter>", "a list");
	is(condition(leaf(DV_OP_LIKE, DV_TYPE_STRING, 0)),
	   "<filter>" C("like", " value='$1'/>") "</filter>", "a pattern");
	is(condition(leaf(DV_OP_PREFIX, DV_TYPE_STRING, 0)),
	   "<filter>" C("begins-with", " value='$1'/>") "</filter>", "a prefix");
}

static void
test_documents(void)
{
	DvFetchColumn own[] = {column("name", DV_TYPE_STRING), column("ownerid", DV_TYPE_OWNER)};
	DvFetchOrder orders[] = {{column("industrycode", DV_TYPE_PICKLIST), true},
							 {column("revenue", DV_TYPE_MONEY), false}};
	DvFetchOrder by_id[] = {{column("accountid", DV_TYPE_GUID), true}};
	DvFetchQuery query = {.table = {.entity = "account", .ncolumns = 2, .columns = own},
						  .primary_id = "accountid",
						  .norders = 2,
						  .orders = orders,
						  .top = 10};

	is(document(&query),
	   "<fetch top='10' useraworderby='true'><entity name='account'><attribute name='name'/>"
	   "<attribute name='ownerid'/><attribute name='accountid'/>"
	   "<order attribute='industrycode' descending='true'/><order attribute='revenue'/>"
	   "<order attribute='accountid'/></entity></fetch>",
	   "columns, order, limit");
	own[0] = column("accountid", DV_TYPE_GUID);
	query.orders = by_id;
	query.norders = 1;
	query.top = 0;
	is(document(&query),
	   "<fetch><entity name='account'><attribute name='accountid'/><attribute name='ownerid'/>"
	   "<order attribute='accountid' descending='true'/></entity></fetch>",
	   "the id once");
}

static void
test_links(void)
{
	DvFetchColumn of_user[] = {column("fullname", DV_TYPE_STRING),
							   column("businessunitid", DV_TYPE_LOOKUP)};
	DvFilter *open = bind(leaf(DV_OP_EQ, DV_TYPE_STATE, 0), "0");
	DvFilter *nothing = dv_filter_constant(false);
	DvFetchLink below[] = {{.table = {.entity = "systemuser", .ncolumns = 2, .columns = of_user},
							.type = DV_FETCH_OUTER,
							.from = "systemuserid",
							.to = "ownerid",
							.alias = "u"}};
	DvFetchLink links[] = {
		{.table = {.entity = "contact", .nlinks = 1, .links = below, .filter = open},
		 .type = DV_FETCH_INNER,
		 .from = "contactid",
		 .to = "primarycontactid",
		 .alias = "c"},
		{.table = {.entity = "task", .filter = open},
		 .type = DV_FETCH_EXISTS,
		 .from = "regardingobjectid",
		 .to = "accountid",
		 .alias = "t"},
		{.table = {.entity = "email", .filter = nothing},
		 .type = DV_FETCH_NOT_ANY,
		 .from = "regardingobjectid",
		 .to = "accountid",
		 .alias = "e"},
		{.table = {.entity = "annotation"},
		 .type = DV_FETCH_EXISTS,
		 .from = "objectid",
		 .to = "accountid",
		 .alias = "n"}};
	DvFetchQuery query = {
		.table = {.entity = "account", .nlinks = 4, .links = links, .filter = open},
		.primary_id = "accountid"};

	is(document(&query),
	   "<fetch><entity name='account'><attribute name='accountid'/><order attribute='accountid'/>"
	   "<filter>" C(
		   "eq",
		   " value='0'/>") "<link-entity name='email' from='regardingobjectid' to='accountid' "
						   "link-type='not any' "
						   "alias='e'><filter><condition attribute='regardingobjectid' "
						   "operator='null'/></filter>"
						   "</link-entity></filter>"
						   "<link-entity name='contact' from='contactid' to='primarycontactid' "
						   "link-type='inner' "
						   "alias='c'><filter>" C(
							   "eq",
							   " value='0'/>") "</filter><link-entity name='systemuser' "
											   "from='systemuserid' to='ownerid' "
											   "link-type='outer' alias='u'><attribute "
											   "name='fullname'/>"
											   "<attribute name='businessunitid' "
											   "alias='u_Id_businessunitid'/></link-entity></"
											   "link-entity>"
											   "<link-entity name='task' from='regardingobjectid' "
											   "to='accountid' link-type='exists' "
											   "alias='t'><filter>" C(
												   "eq",
												   " value='0'/>") "</filter></link-entity>"
																   "<link-entity name='annotation' "
																   "from='objectid' to='accountid' "
																   "link-type='exists' "
																   "alias='n'/></entity></fetch>",
	   "links of all kinds");
	ok(dv_fetchquery_links(&query) == 5, "links are counted");
	ok(dv_fetchquery_conditions(&query) == 5 + 3 * 2, "conditions too, links among them");
	is(dv_fetchquery_property(&below[0], &of_user[0]), "u.fullname", "a link's column");
	is(dv_fetchquery_property(&below[0], &of_user[1]), "u_Id_businessunitid", "... a lookup");
	is(dv_fetchquery_property(NULL, &of_user[0]), "fullname", "an own column");
	is(dv_fetchquery_property(NULL, &of_user[1]), "_businessunitid_value", "... a lookup");
}

static void
test_after_join(void)
{
	DvFilter *here = bind(leaf(DV_OP_EQ, DV_TYPE_INTEGER, 0), "1");
	DvFilter *there =
		dv_filter_and(leaf(DV_OP_NE, DV_TYPE_LOOKUP, 0), leaf(DV_OP_IS_NULL, DV_TYPE_STRING, -1));
	DvFilter *moved = dv_fetchquery_after_join(there, "k");

	ok(dv_fetchquery_exactness(moved) == dv_fetchquery_exactness(there), "the class is the same");
	is(there->args[0]->property, "_c_value", "the tree itself is left alone");
	is(condition(dv_filter_or(here, bind(moved, ID))),
	   "<filter><filter type='or'>" C(
		   "eq", " value='1'/>") "<filter><condition entityname='k' attribute='c' operator='ne' "
								 "value='" ID "'/>"
								 "<condition entityname='k' attribute='c' operator='not-null'/>"
								 "<condition entityname='k' attribute='c' "
								 "operator='null'/></filter></filter></filter>",
	   "conditions after the join, mixed with others");
	is(condition(dv_fetchquery_after_join(leaf(DV_OP_IS_NULL, DV_TYPE_GUID, -1), "k")),
	   "<filter><condition entityname='k' attribute='c' operator='null'/></filter>",
	   "an anti-join");
}

/* The pages' attributes go into it. */
static void
test_pages(void)
{
	DvFetchQuery query = {.table = {.entity = "account"}, .primary_id = "accountid"};
	DvFetchXml fetch;
	DvError error = {0};
	StringInfoData out;

	initStringInfo(&out);
	ok(dv_fetchxml_parse(document(&query), &fetch, &error), "a document can be paged");
	dv_fetchxml_address(&out, "accounts", &fetch, 2, 500, "<cookie page='1'/>");
	is(out.data,
	   "accounts?fetchXml=%3Cfetch%20count%3D'500'%20page%3D'2'%20paging-cookie%3D'%26lt%3Bcookie"
	   "%20page%3D%26apos%3B1%26apos%3B/%26gt%3B'%3E%3Centity%20name%3D'account'%3E%3Cattribute"
	   "%20name%3D'accountid'/%3E%3Corder%20attribute%3D'accountid'/%3E%3C/entity%3E%3C/fetch%3E",
	   "its address");
}

int
main(void)
{
	test_classes();
	test_algebra();
	test_numbers();
	test_ids();
	test_dates();
	test_text();
	test_trees();
	test_slots();
	test_documents();
	test_links();
	test_after_join();
	test_pages();
	return done_testing();
}
