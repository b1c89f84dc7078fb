/*
 * test_schema.c
 *	  Metadata documents as structs: the shapes of protocol sheet 9.
 */
#include "odata/base.h"

#include "odata/schema.h"

#include "tap.h"

static void
is_int(int got, int want, const char *name)
{
	if (!ok(got == want, "%s", name))
		diag("got %d, want %d", got, want);
}

/* Number and names of attributes, keys and choices deliberately out of order. */
static const char account[] =
	"{\"EntityMetadata\":["
	" {\"LogicalName\":\"zeta\",\"EntitySetName\":\"zetas\",\"TableType\":\"Virtual\"},"
	" {\"LogicalName\":\"account\",\"EntitySetName\":\"accounts\",\"PrimaryIdAttribute\":"
	"\"accountid\","
	"  \"PrimaryNameAttribute\":\"name\",\"DataProviderId\":null,\"TableType\":null,"
	"  \"MetadataId\":\"70816501-edb9-4740-a16c-6a5efbc05d84\","
	"  \"ChangeTrackingEnabled\":true,\"IsOptimisticConcurrencyEnabled\":true,\"IsPrivate\":false,"
	"  \"DisplayName\":{\"LocalizedLabels\":[{\"Label\":\"Firma\",\"LanguageCode\":1031}],"
	"   \"UserLocalizedLabel\":{\"Label\":\"Account\",\"LanguageCode\":1033}},"
	"  \"Attributes\":["
	"   "
	"{\"LogicalName\":\"name\",\"SchemaName\":\"Name\",\"AttributeTypeName\":{\"Value\":"
	"\"StringType\"},"
	"    \"ColumnNumber\":7,\"MaxLength\":160,\"IsPrimaryName\":true,\"IsValidForRead\":true,"
	"    \"RequiredLevel\":{\"Value\":\"ApplicationRequired\"},"
	"    "
	"\"IsValidForCreate\":true,\"IsValidForUpdate\":true,\"SourceType\":0,\"AttributeOf\":null},"
	"   {\"LogicalName\":\"accountid\",\"AttributeTypeName\":{\"Value\":\"UniqueidentifierType\"},"
	"    "
	"\"ColumnNumber\":99,\"RequiredLevel\":{\"Value\":\"SystemRequired\"},\"IsValidForUpdate\":"
	"false,"
	"    \"SourceType\":null},"
	"   {\"LogicalName\":\"primarycontactid\",\"AttributeTypeName\":{\"Value\":\"LookupType\"},"
	"    \"ColumnNumber\":8,\"Targets\":[\"contact\"]},"
	"   {\"LogicalName\":\"primarycontactidname\",\"AttributeTypeName\":{\"Value\":\"StringType\"},"
	"    \"ColumnNumber\":9,\"AttributeOf\":\"primarycontactid\"},"
	"   {\"LogicalName\":\"customerid\",\"AttributeTypeName\":{\"Value\":\"CustomerType\"},"
	"    \"AttributeType\":\"Customer\",\"ColumnNumber\":10,\"Targets\":[\"account\",\"contact\"]},"
	"   {\"LogicalName\":\"ownerid\",\"AttributeTypeName\":{\"Value\":\"OwnerType\"},"
	"    \"ColumnNumber\":11,\"Targets\":[\"systemuser\",\"team\"]},"
	"   "
	"{\"LogicalName\":\"industrycode\",\"AttributeTypeName\":{\"Value\":\"PicklistType\"},"
	"\"ColumnNumber\":12,"
	"    "
	"\"OptionSet\":{\"Options\":[{\"Value\":1,\"Label\":{\"UserLocalizedLabel\":{\"Label\":"
	"\"Retail\"}}},"
	"     "
	"{\"Value\":2,\"Label\":{\"LocalizedLabels\":[{\"Label\":\"Handel\"}],\"UserLocalizedLabel\":"
	"null}},"
	"     {\"Value\":3,\"Label\":{\"LocalizedLabels\":[],\"UserLocalizedLabel\":null}}]}},"
	"   {\"LogicalName\":\"interests\",\"AttributeType\":\"Virtual\","
	"    "
	"\"AttributeTypeName\":{\"Value\":\"MultiSelectPicklistType\"},\"ColumnNumber\":13,"
	"\"OptionSet\":null,"
	"    "
	"\"GlobalOptionSet\":{\"Options\":[{\"Value\":7,\"Label\":{\"UserLocalizedLabel\":{\"Label\":"
	"\"Sea\"}}}]}},"
	"   "
	"{\"LogicalName\":\"creditonhold\",\"AttributeTypeName\":{\"Value\":\"BooleanType\"},"
	"\"ColumnNumber\":14,"
	"    "
	"\"OptionSet\":{\"TrueOption\":{\"Value\":1,\"Label\":{\"UserLocalizedLabel\":{\"Label\":"
	"\"Yes\"}}},"
	"     \"FalseOption\":{\"Value\":0,\"Label\":{\"UserLocalizedLabel\":{\"Label\":\"No\"}}}}},"
	"   "
	"{\"LogicalName\":\"createdon\",\"AttributeTypeName\":{\"Value\":\"DateTimeType\"},"
	"\"ColumnNumber\":15,"
	"    \"Format\":\"DateOnly\",\"DateTimeBehavior\":{\"Value\":\"UserLocal\"},"
	"    \"IsValidForCreate\":false,\"IsValidForUpdate\":false},"
	"   "
	"{\"LogicalName\":\"birthday\",\"AttributeTypeName\":{\"Value\":\"DateTimeType\"},"
	"\"ColumnNumber\":16,"
	"    \"DateTimeBehavior\":{\"Value\":\"DateOnly\"}},"
	"   "
	"{\"LogicalName\":\"departure\",\"AttributeTypeName\":{\"Value\":\"DateTimeType\"},"
	"\"ColumnNumber\":17,"
	"    \"DateTimeBehavior\":{\"Value\":\"TimeZoneIndependent\"}},"
	"   "
	"{\"LogicalName\":\"revenue\",\"AttributeTypeName\":{\"Value\":\"MoneyType\"},\"ColumnNumber\":"
	"18,"
	"    \"Precision\":2,\"PrecisionSource\":2,\"MaxValue\":922337203685477.0},"
	"   "
	"{\"LogicalName\":\"fee\",\"AttributeTypeName\":{\"Value\":\"MoneyType\"},\"ColumnNumber\":19,"
	"    \"Precision\":4,\"PrecisionSource\":0},"
	"   "
	"{\"LogicalName\":\"rate\",\"AttributeTypeName\":{\"Value\":\"DecimalType\"},\"ColumnNumber\":"
	"20,"
	"    \"Precision\":10,\"SourceType\":1},"
	"   "
	"{\"LogicalName\":\"secret\",\"AttributeTypeName\":{\"Value\":\"StringType\"},\"ColumnNumber\":"
	"21,"
	"    \"IsValidForRead\":false},"
	"   "
	"{\"LogicalName\":\"absent\",\"AttributeTypeName\":{\"Value\":\"StringType\"},\"ColumnNumber\":"
	"22,"
	"    \"IsValidODataAttribute\":false},"
	"   "
	"{\"LogicalName\":\"parties\",\"AttributeTypeName\":{\"Value\":\"PartyListType\"},"
	"\"ColumnNumber\":23},"
	"   {\"LogicalName\":\"contract\",\"AttributeType\":\"Virtual\","
	"    \"AttributeTypeName\":{\"Value\":\"FileType\"},\"ColumnNumber\":24},"
	"   {\"LogicalName\":\"entityimage\",\"AttributeType\":\"Virtual\","
	"    \"AttributeTypeName\":{\"Value\":\"ImageType\"},\"ColumnNumber\":25},"
	"   {\"LogicalName\":\"old\",\"AttributeType\":\"Integer\",\"ColumnNumber\":26},"
	"   {\"LogicalName\":\"unnumbered\",\"AttributeTypeName\":{\"Value\":\"BigIntType\"}}],"
	"  \"ManyToOneRelationships\":["
	"   {\"ReferencingAttribute\":\"customerid\",\"ReferencedEntity\":\"contact\","
	"    \"ReferencingEntityNavigationPropertyName\":\"customerid_contact\"},"
	"   {\"ReferencingAttribute\":\"customerid\",\"ReferencedEntity\":\"account\","
	"    \"ReferencingEntityNavigationPropertyName\":\"customerid_account\"},"
	"   {\"ReferencingAttribute\":\"primarycontactid\",\"ReferencedEntity\":\"contact\","
	"    \"ReferencingEntityNavigationPropertyName\":\"PrimaryContactId\"},"
	"   {\"ReferencingAttribute\":\"ownerid\",\"ReferencedEntity\":\"owner\","
	"    \"ReferencingEntityNavigationPropertyName\":\"ownerid\"}],"
	"  \"Keys\":[{\"LogicalName\":\"k1\",\"KeyAttributes\":[\"name\",\"customerid\"],"
	"    \"EntityKeyIndexStatus\":\"Active\"},"
	"   "
	"{\"LogicalName\":\"k2\",\"KeyAttributes\":[\"rate\"],\"EntityKeyIndexStatus\":\"Pending\"}]}],"
	"\"ServerVersionStamp\":\"x\",\"DeletedMetadata\":null}";

static const DvAttribute *
must_have(const DvSchema *schema, const char *name)
{
	const DvAttribute *attribute = dv_schema_attribute(schema, name);
	static const DvAttribute none;

	ok(attribute != NULL, "%s", name);
	return attribute != NULL ? attribute : &none;
}

static void
test_table(const DvSchema *schemas, int n)
{
	const DvSchema *s = &schemas[0];

	is_int(n, 2, "both tables");
	is(s->name, "account", "tables are sorted by name");
	is(s->set_name, "accounts", "entity set");
	is(s->primary_id, "accountid", "primary id");
	is(s->primary_name, "name", "primary name");
	is(s->description, "Account", "the user's own label");
	is(s->metadata_id, "70816501-edb9-4740-a16c-6a5efbc05d84", "metadata id");
	is(s->table_type, "standard", "no table type and no provider is standard");
	ok(s->change_tracking && s->optimistic_concurrency && !s->is_private, "flags");
	is(schemas[1].table_type, "virtual", "table type");
	is_int(schemas[1].nattributes, 0, "a table without attributes has none");
}

static void
test_columns_chosen(const DvSchema *s)
{
	is_int(s->nattributes, 17, "just the columns that rows have");
	ok(dv_schema_attribute(s, "primarycontactidname") == NULL, "companion columns stay out");
	ok(dv_schema_attribute(s, "secret") == NULL, "unreadable columns stay out");
	ok(dv_schema_attribute(s, "absent") == NULL, "columns unknown to the Web API stay out");
	ok(dv_schema_attribute(s, "parties") == NULL, "party lists stay out");
	ok(dv_schema_attribute(s, "contract") == NULL, "files stay out");
	is(s->attributes[0].name, "accountid", "primary id first");
	is(s->attributes[1].name, "name", "then by column number");
	is(s->attributes[2].name, "primarycontactid", "and so on");
	is(s->attributes[s->nattributes - 1].name, "unnumbered", "without a number last");
}

static void
test_columns(const DvSchema *s)
{
	const DvAttribute *a;

	a = must_have(s, "accountid");
	ok(a->is_primary_id && a->required && a->creatable && !a->updatable, "accountid's flags");
	ok(!dv_schema_read_only(a), "creatable is writable");
	a = must_have(s, "name");
	ok(a->is_primary_name && !a->is_primary_id && !a->required, "only SystemRequired is required");
	is_int(a->max_length, 160, "length");
	is_int(a->precision, -1, "text has no precision");
	is(a->property, "name", "property is the logical name");
	a = must_have(s, "createdon");
	is_int(a->type, DV_TYPE_DATETIME, "a format of dates does not make a date");
	ok(dv_schema_read_only(a), "neither creatable nor updatable");
	is_int(must_have(s, "birthday")->type, DV_TYPE_DATE, "DateOnly");
	is_int(must_have(s, "departure")->type, DV_TYPE_DATETIME_FLOATING, "TimeZoneIndependent");
	is_int(must_have(s, "revenue")->precision, -1, "the currency's precision is not known");
	is_int(must_have(s, "fee")->precision, 4, "the column's own precision is");
	a = must_have(s, "rate");
	is_int(a->precision, 10, "decimal precision");
	ok(a->computed && dv_schema_read_only(a), "calculated is read only");
	is_int(must_have(s, "entityimage")->type, DV_TYPE_IMAGE,
		   "AttributeTypeName over AttributeType");
	is_int(must_have(s, "old")->type, DV_TYPE_INTEGER, "AttributeType where there is no other");
}

static void
test_lookups(const DvSchema *s)
{
	const DvAttribute *a;

	a = must_have(s, "primarycontactid");
	is(a->property, "_primarycontactid_value", "lookup property");
	is_int(a->ntargets, 1, "one target");
	is(a->navigations[0], "PrimaryContactId", "navigation keeps its case");
	a = must_have(s, "customerid");
	is_int(a->type, DV_TYPE_CUSTOMER, "customer");
	is_int(a->ntargets, 2, "two targets");
	is(a->targets[0], "account", "targets in order");
	is(a->navigations[0], "customerid_account", "navigation of the first target");
	is(a->navigations[1], "customerid_contact", "navigation of the second");
	a = must_have(s, "ownerid");
	is(a->navigations[0], "ownerid", "users are bound as owners");
	is(a->navigations[1], "ownerid", "so are teams");
}

static void
test_choices(const DvSchema *s)
{
	const DvAttribute *a;

	a = must_have(s, "industrycode");
	is_int(a->nchoices, 3, "choices");
	is(dv_schema_choice_label(a, 1), "Retail", "label in the user's language");
	is(dv_schema_choice_label(a, 2), "Handel", "else in any");
	is(dv_schema_choice_label(a, 3), NULL, "no label");
	is(dv_schema_choice_label(a, 4), NULL, "no such choice");
	a = must_have(s, "interests");
	is_int(a->type, DV_TYPE_MULTISELECT, "multi-select");
	is(dv_schema_choice_label(a, 7), "Sea", "the global set where there is no other");
	a = must_have(s, "creditonhold");
	is(dv_schema_choice_label(a, 0), "No", "false option");
	is(dv_schema_choice_label(a, 1), "Yes", "true option");
}

static void
test_keys(const DvSchema *s)
{
	is_int(s->nkeys, 2, "keys");
	is(s->keys[0].name, "k1", "key name");
	is_int(s->keys[0].ncolumns, 2, "key columns");
	is(s->keys[0].columns[1], "customerid", "key column by logical name");
	ok(s->keys[0].active && !s->keys[1].active, "only Active is active");
}

static void
parse(const char *text, DvSchema **schemas, int *n, bool want, const char *name)
{
	DvError error = {0};
	bool got = dv_schema_parse(text, strlen(text), schemas, n, &error);

	ok(got == want, "%s", name);
	if (!want)
		ok(error.kind == DV_ERROR_PROTOCOL && error.message != NULL, "with an error that says so");
}

static void
test_documents(void)
{
	DvSchema *s;
	int n;

	parse("{\"value\":[{\"LogicalName\":\"b\"},{\"LogicalName\":\"a\",\"IsIntersect\":true,"
		  "\"DataProviderId\":\"1D9BDE74-9EBD-4DA9-8FF5-AA74945B9F74\"}]}",
		  &s, &n, true, "a collection of EntityDefinitions");
	is_int(n, 2, "has its members");
	is(s[0].name, "a", "sorted");
	is(s[0].table_type, "elastic", "elastic by its provider, in any case");
	ok(s[0].is_intersect && !s[1].is_intersect, "intersect");
	parse("{\"LogicalName\":\"one\",\"Attributes\":[]}", &s, &n, true, "a single definition");
	is_int(n, 1, "is one table");
	parse("{\"EntityMetadata\":[],\"DeletedMetadata\":null}", &s, &n, true, "no table at all");
	is_int(n, 0, "is none");
	parse("{\"LogicalName\":\"x\",\"Attributes\":{},\"Keys\":7,\"ManyToOneRelationships\":null}",
		  &s, &n, true, "lists that are none count as empty");
	is_int(s[0].nattributes + s[0].nkeys, 0, "and hold nothing");
	parse("{\"LogicalName\":\"x\",\"Attributes\":[3,null,{},{\"AttributeTypeName\":{\"Value\":"
		  "\"StringType\"}}]}",
		  &s, &n, true, "attributes that are none are left out");
	is_int(s[0].nattributes, 0, "all of them");

	parse("", &s, &n, false, "nothing");
	parse("<html>busy</html>", &s, &n, false, "not JSON");
	parse("{\"EntityMetadata\":[{\"LogicalName\":\"a\"}", &s, &n, false, "cut off");
	parse("[]", &s, &n, false, "no object");
	parse("{\"error\":{\"message\":\"no\"}}", &s, &n, false, "another document");
	parse("{\"value\":[{\"EntitySetName\":\"x\"}]}", &s, &n, false, "a table without a name");
}

/* What a value may be (sheet 9.3, 9.4). */
static void
test_limits(void)
{
	static const char json[] =
		"{\"LogicalName\":\"t\",\"Attributes\":["
		"{\"LogicalName\":\"n\",\"AttributeTypeName\":{\"Value\":\"DecimalType\"},"
		"\"MinValue\":-10,\"MaxValue\":922337203685477.5807},"
		"{\"LogicalName\":\"half\",\"AttributeTypeName\":{\"Value\":\"IntegerType\"},"
		"\"MinValue\":null,\"MaxValue\":5},"
		"{\"LogicalName\":\"i\",\"AttributeTypeName\":{\"Value\":\"ImageType\"},"
		"\"MaxSizeInKB\":10240},"
		"{\"LogicalName\":\"statuscode\",\"AttributeTypeName\":{\"Value\":\"StatusType\"},"
		"\"OptionSet\":{\"Options\":[{\"Value\":1,\"State\":0},{\"Value\":2,\"State\":1},"
		"{\"Value\":3}]}}]}";
	DvSchema *schemas;
	DvError error = {0};
	const DvAttribute *a;
	int n;

	ok(dv_schema_parse(json, strlen(json), &schemas, &n, &error) && n == 1, "a table with limits");
	a = must_have(schemas, "n");
	ok(a->bounded && a->least == -10 && a->most > 922337203685477 && a->most < 922337203685478,
	   "bounds, whole or not");
	ok(!must_have(schemas, "half")->bounded, "one bound is none");
	is_int(must_have(schemas, "i")->max_kb, 10240, "size of an image");
	is_int(must_have(schemas, "n")->max_kb, 0, "no size");
	a = must_have(schemas, "statuscode");
	is_int(a->choices[0].state, 0, "a status's state");
	is_int(a->choices[1].state, 1, "another's");
	is_int(a->choices[2].state, -1, "none told");
}

static void
test_pg_types(void)
{
	static const struct
	{
		DvType type;
		const char *name;
	} wanted[] = {{DV_TYPE_STRING, "text"},
				  {DV_TYPE_INTEGER, "integer"},
				  {DV_TYPE_BIGINT, "bigint"},
				  {DV_TYPE_DECIMAL, "numeric"},
				  {DV_TYPE_MONEY, "numeric"},
				  {DV_TYPE_DOUBLE, "double precision"},
				  {DV_TYPE_BOOLEAN, "boolean"},
				  {DV_TYPE_STATE, "integer"},
				  {DV_TYPE_MULTISELECT, "integer[]"},
				  {DV_TYPE_DATETIME, "timestamp with time zone"},
				  {DV_TYPE_DATETIME_FLOATING, "timestamp without time zone"},
				  {DV_TYPE_DATE, "date"},
				  {DV_TYPE_GUID, "uuid"},
				  {DV_TYPE_OWNER, "uuid"},
				  {DV_TYPE_IMAGE, "bytea"}};

	for (size_t i = 0; i < lengthof(wanted); i++)
	{
		DvAttribute attribute = {.type = wanted[i].type};

		is(dv_schema_pg_type(&attribute), wanted[i].name, "%s", dv_type_name(wanted[i].type));
	}
	for (int type = 0; type < DV_TYPE_COUNT; type++)
	{
		DvAttribute attribute = {.type = (DvType) type};

		ok(dv_schema_pg_type(&attribute) != NULL, "every type has one");
	}
}

int
main(void)
{
	DvSchema *schemas;
	int n;

	parse(account, &schemas, &n, true, "a RetrieveMetadataChanges answer");
	if (n == 2)
	{
		test_table(schemas, n);
		test_columns_chosen(&schemas[0]);
		test_columns(&schemas[0]);
		test_lookups(&schemas[0]);
		test_choices(&schemas[0]);
		test_keys(&schemas[0]);
	}
	test_documents();
	test_limits();
	test_pg_types();
	return done_testing();
}
