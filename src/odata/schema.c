/*
 * schema.c
 *	  Table metadata as structs, and which PostgreSQL type fits a column.
 *
 * Reads three shapes of the same thing (sheet 9): the answer of
 * RetrieveMetadataChanges ("EntityMetadata"), a collection of
 * EntityDefinitions ("value") and a single definition.  Metadata holds no
 * number whose digits matter, so jansson may read it.
 *
 * Only columns that the Web API really has come out: IsValidForRead, no
 * AttributeOf (those are the companions xname, xtype, which $select refuses,
 * sheet 3.2), IsValidODataAttribute, and of a type that type.h knows.  File
 * columns, party lists and calendar rules are no values of a row and stay out.
 *
 * A member that is absent means "was not asked for": flags that hide a column
 * then do not hide it, and flags that allow a write allow it.  The service
 * ignores what it does not take, while a column missing here could not be had.
 *
 * It does not look at labels other than the user's own, at managed properties,
 * or at anything that only a form designer needs.
 */
#include "odata/base.h"

#include <limits.h>

#include <jansson.h>

#include "odata/schema.h"

/* DataProviderId of elastic tables (sheet 9.2): where TableType is not told. */
#define ELASTIC_PROVIDER "1d9bde74-9ebd-4da9-8ff5-aa74945b9f74"

/* The answer while it is being read. */
typedef struct Document
{
	json_t *root;
	json_t *tables; /* array, or NULL when root is the only table */
	DvOwned *owner;
} Document;

static const char *
text_member(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

/* Complex types wrap their value: {"Value": ...} (sheet 9.4). */
static const char *
wrapped_text(const json_t *object, const char *name)
{
	const json_t *member = json_object_get(object, name);

	return json_is_object(member) ? text_member(member, "Value") : json_string_value(member);
}

static bool
flag_member(const json_t *object, const char *name, bool absent)
{
	const json_t *member = json_object_get(object, name);

	if (json_is_object(member))
		member = json_object_get(member, "Value");
	return json_is_boolean(member) ? json_is_true(member) : absent;
}

static int
int_member(const json_t *object, const char *name, int absent)
{
	const json_t *member = json_object_get(object, name);
	json_int_t value;

	if (!json_is_integer(member))
		return absent;
	value = json_integer_value(member);
	return (value < INT_MIN || value > INT_MAX) ? absent : (int) value;
}

static char *
copy_text(const char *text)
{
	return text != NULL ? pstrdup(text) : NULL;
}

/* The user's own label, else any (sheet 9.4); NULL where there is none. */
static char *
label_text(const json_t *label)
{
	const json_t *own = json_object_get(label, "UserLocalizedLabel");
	const char *text = text_member(own, "Label");

	if (text == NULL)
		text = text_member(json_array_get(json_object_get(label, "LocalizedLabels"), 0), "Label");
	return (text != NULL && text[0] != '\0') ? pstrdup(text) : NULL;
}

/* Where a list is expected anything else counts as an empty one. */
static void *
allocate_list(const json_t *array, size_t member_size, int *room)
{
	size_t n = json_array_size(array);

	*room = (int) n;
	return palloc0(member_size * (n > 0 ? n : 1));
}

/*
 * The type.  AttributeTypeName tells all apart; the older AttributeType calls
 * Image, File and multi-select columns Virtual (sheet 3.1), which is no type
 * that we know.
 */
static DvType
attribute_type(const json_t *object)
{
	const char *name = wrapped_text(object, "AttributeTypeName");
	const char *ending = "Type";
	char bare[64];
	size_t len;

	if (name == NULL)
		name = text_member(object, "AttributeType");
	if (name == NULL)
		return DV_TYPE_UNKNOWN;

	len = strlen(name);
	if (len > strlen(ending) && strcmp(name + len - strlen(ending), ending) == 0)
		len -= strlen(ending);
	if (len >= sizeof(bare))
		return DV_TYPE_UNKNOWN;
	memcpy(bare, name, len);
	bare[len] = '\0';
	return dv_type_from_name(bare);
}

/*
 * What a date means is decided by its behaviour (sheet 3.3), not by its
 * format: a UserLocal column shown as a date still is an instant.
 */
static DvType
datetime_type(const json_t *object)
{
	const char *behavior = wrapped_text(object, "DateTimeBehavior");

	if (behavior == NULL || strcmp(behavior, "UserLocal") == 0)
		return DV_TYPE_DATETIME;
	if (strcmp(behavior, "DateOnly") == 0)
		return DV_TYPE_DATE;
	if (strcmp(behavior, "TimeZoneIndependent") == 0)
		return DV_TYPE_DATETIME_FLOATING;
	return DV_TYPE_DATETIME;
}

static bool
is_importable(const json_t *object, DvType type)
{
	return type != DV_TYPE_UNKNOWN && text_member(object, "LogicalName") != NULL &&
		   text_member(object, "AttributeOf") == NULL &&
		   flag_member(object, "IsValidForRead", true) &&
		   flag_member(object, "IsValidODataAttribute", true);
}

static void
add_choice(DvAttribute *attribute, const json_t *option)
{
	const json_t *value = json_object_get(option, "Value");

	if (!json_is_integer(value))
		return;
	attribute->choices[attribute->nchoices].value = (int) json_integer_value(value);
	attribute->choices[attribute->nchoices].label = label_text(json_object_get(option, "Label"));
	attribute->choices[attribute->nchoices].state = int_member(option, "State", -1);
	attribute->nchoices++;
}

/* Whichever of the two sets is there (sheet 9.4); Boolean has two options by name. */
static void
read_choices(DvAttribute *attribute, const json_t *object)
{
	const json_t *set = json_object_get(object, "OptionSet");
	const json_t *options;
	int room;

	if (!json_is_object(set))
		set = json_object_get(object, "GlobalOptionSet");

	if (attribute->type == DV_TYPE_BOOLEAN)
	{
		attribute->choices = palloc0(2 * sizeof(DvChoice));
		add_choice(attribute, json_object_get(set, "FalseOption"));
		add_choice(attribute, json_object_get(set, "TrueOption"));
		return;
	}

	options = json_object_get(set, "Options");
	attribute->choices = allocate_list(options, sizeof(DvChoice), &room);
	for (int i = 0; i < room; i++)
		add_choice(attribute, json_array_get(options, i));
}

/*
 * The navigation property that binds this lookup to a row of target: one
 * relationship each (sheet 9.4).  Owners are the exception: the relationship
 * leads to the abstract table "owner", and ownerid binds users and teams alike
 * (sheet 3.1).
 */
static char *
navigation_to(const DvAttribute *attribute, const char *target, const json_t *relationships)
{
	size_t i;
	const json_t *one;

	json_array_foreach((json_t *) relationships, i, one)
	{
		const char *from = text_member(one, "ReferencingAttribute");
		const char *to = text_member(one, "ReferencedEntity");

		if (from != NULL && to != NULL && strcmp(from, attribute->name) == 0 &&
			strcmp(to, target) == 0)
			return copy_text(text_member(one, "ReferencingEntityNavigationPropertyName"));
	}
	if (attribute->type != DV_TYPE_OWNER)
		return NULL;
	return strcmp(target, "owner") == 0 ? pstrdup(attribute->name)
										: navigation_to(attribute, "owner", relationships);
}

static void
read_targets(DvAttribute *attribute, const json_t *object, const json_t *relationships)
{
	const json_t *targets = json_object_get(object, "Targets");
	int room;

	attribute->targets = allocate_list(targets, sizeof(char *), &room);
	attribute->navigations = palloc0(sizeof(char *) * (room + 1));
	for (int i = 0; i < room; i++)
	{
		const char *target = json_string_value(json_array_get(targets, i));
		int n = attribute->ntargets;

		if (target == NULL)
			continue;
		attribute->targets[n] = pstrdup(target);
		attribute->navigations[n] = navigation_to(attribute, target, relationships);
		attribute->ntargets++;
	}
}

/* Money may take its precision from currency or organization (sheet 3.4): then unknown. */
static int
attribute_precision(DvType type, const json_t *object)
{
	if (type == DV_TYPE_MONEY && int_member(object, "PrecisionSource", 0) != 0)
		return -1;
	return int_member(object, "Precision", -1);
}

static void
read_bounds(DvAttribute *attribute, const json_t *object)
{
	const json_t *least = json_object_get(object, "MinValue");
	const json_t *most = json_object_get(object, "MaxValue");

	attribute->bounded = json_is_number(least) && json_is_number(most);
	if (!attribute->bounded)
		return;
	attribute->least = json_number_value(least);
	attribute->most = json_number_value(most);
}

static void
read_attribute(DvAttribute *attribute, DvType type, const json_t *object,
			   const json_t *relationships)
{
	const char *required = wrapped_text(object, "RequiredLevel");

	attribute->name = pstrdup(text_member(object, "LogicalName"));
	attribute->schema_name = copy_text(text_member(object, "SchemaName"));
	attribute->property =
		dv_type_is_lookup(type) ? psprintf("_%s_value", attribute->name) : pstrdup(attribute->name);
	attribute->description = label_text(json_object_get(object, "DisplayName"));
	attribute->type = type;
	attribute->max_length = int_member(object, "MaxLength", 0);
	attribute->precision = attribute_precision(type, object);
	attribute->max_kb = int_member(object, "MaxSizeInKB", 0);
	read_bounds(attribute, object);
	attribute->required = required != NULL && strcmp(required, "SystemRequired") == 0;
	attribute->creatable = flag_member(object, "IsValidForCreate", true);
	attribute->updatable = flag_member(object, "IsValidForUpdate", true);
	attribute->computed = int_member(object, "SourceType", 0) != 0;
	attribute->is_primary_name = flag_member(object, "IsPrimaryName", false);

	if (dv_type_is_lookup(type))
		read_targets(attribute, object, relationships);
	else if (dv_type_is_choice(type) || type == DV_TYPE_MULTISELECT || type == DV_TYPE_BOOLEAN)
		read_choices(attribute, object);
}

/* What the order of columns needs: kept beside the attributes only while sorting. */
typedef struct Ranked
{
	DvAttribute attribute;
	int number; /* ColumnNumber; absent ones last */
} Ranked;

/* Primary id first, then as the table was made; the name settles equal numbers. */
static int
compare_ranked(const void *a, const void *b)
{
	const Ranked *x = a;
	const Ranked *y = b;

	if (x->attribute.is_primary_id != y->attribute.is_primary_id)
		return x->attribute.is_primary_id ? -1 : 1;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return strcmp(x->attribute.name, y->attribute.name);
}

static void
read_attributes(DvSchema *schema, const json_t *object)
{
	const json_t *list = json_object_get(object, "Attributes");
	const json_t *relationships = json_object_get(object, "ManyToOneRelationships");
	Ranked *ranked;
	int room;
	int n = 0;

	ranked = allocate_list(list, sizeof(Ranked), &room);
	for (int i = 0; i < room; i++)
	{
		const json_t *one = json_array_get(list, i);
		DvType type = attribute_type(one);
		DvAttribute *attribute = &ranked[n].attribute;

		if (type == DV_TYPE_DATETIME)
			type = datetime_type(one);
		if (!is_importable(one, type))
			continue;
		read_attribute(attribute, type, one, relationships);
		attribute->is_primary_id =
			schema->primary_id != NULL && strcmp(attribute->name, schema->primary_id) == 0;
		ranked[n++].number = int_member(one, "ColumnNumber", INT_MAX);
	}
	qsort(ranked, n, sizeof(Ranked), compare_ranked);

	schema->attributes = palloc0(sizeof(DvAttribute) * (n + 1));
	schema->nattributes = n;
	for (int i = 0; i < n; i++)
		schema->attributes[i] = ranked[i].attribute;
	pfree(ranked);
}

static void
read_keys(DvSchema *schema, const json_t *object)
{
	const json_t *list = json_object_get(object, "Keys");

	schema->keys = allocate_list(list, sizeof(DvAlternateKey), &schema->nkeys);
	for (int i = 0; i < schema->nkeys; i++)
	{
		const json_t *one = json_array_get(list, i);
		const json_t *columns = json_object_get(one, "KeyAttributes");
		const char *status = text_member(one, "EntityKeyIndexStatus");
		DvAlternateKey *key = &schema->keys[i];
		int room;

		key->name = copy_text(text_member(one, "LogicalName"));
		key->active = status != NULL && strcmp(status, "Active") == 0;
		key->columns = allocate_list(columns, sizeof(char *), &room);
		for (int c = 0; c < room; c++)
		{
			const char *column = json_string_value(json_array_get(columns, c));

			if (column != NULL)
				key->columns[key->ncolumns++] = pstrdup(column);
		}
	}
}

/* In the words of the table option. TableType is null on old servers (sheet 9.2): the provider tells. */
static char *
table_type(const json_t *object)
{
	const char *type = text_member(object, "TableType");
	const char *provider = text_member(object, "DataProviderId");

	if (type == NULL && provider != NULL)
		type = pg_strcasecmp(provider, ELASTIC_PROVIDER) == 0 ? "elastic" : "virtual";
	if (type != NULL && pg_strcasecmp(type, "elastic") == 0)
		return pstrdup("elastic");
	if (type != NULL && pg_strcasecmp(type, "virtual") == 0)
		return pstrdup("virtual");
	return pstrdup("standard");
}

static bool
read_table(DvSchema *schema, const json_t *object, DvError *error)
{
	if (text_member(object, "LogicalName") == NULL)
	{
		dv_error_set(error, DV_ERROR_PROTOCOL,
					 "a table definition in the metadata has no logical name");
		return false;
	}
	schema->name = pstrdup(text_member(object, "LogicalName"));
	schema->set_name = copy_text(text_member(object, "EntitySetName"));
	schema->description = label_text(json_object_get(object, "DisplayName"));
	schema->metadata_id = copy_text(text_member(object, "MetadataId"));
	schema->primary_id = copy_text(text_member(object, "PrimaryIdAttribute"));
	schema->primary_name = copy_text(text_member(object, "PrimaryNameAttribute"));
	schema->table_type = table_type(object);
	schema->change_tracking = flag_member(object, "ChangeTrackingEnabled", false);
	schema->optimistic_concurrency = flag_member(object, "IsOptimisticConcurrencyEnabled", false);
	schema->is_private = flag_member(object, "IsPrivate", false);
	schema->is_intersect = flag_member(object, "IsIntersect", false);
	read_attributes(schema, object);
	read_keys(schema, object);
	return true;
}

static int
compare_schemas(const void *a, const void *b)
{
	return strcmp(((const DvSchema *) a)->name, ((const DvSchema *) b)->name);
}

static void
free_json(void *thing)
{
	json_decref(thing);
}

static bool
open_document(Document *document, const char *body, size_t len, DvError *error)
{
	json_error_t why;

	document->root = json_loadb(body, len, 0, &why);
	if (document->root == NULL)
	{
		dv_error_set(error, DV_ERROR_PROTOCOL, "the metadata answer is not JSON: %s at byte %d",
					 why.text, why.position);
		return false;
	}
	document->owner = dv_own(document->root, free_json);
	document->tables = json_object_get(document->root, "EntityMetadata");
	if (document->tables == NULL)
		document->tables = json_object_get(document->root, "value");
	if (json_is_array(document->tables) || text_member(document->root, "LogicalName") != NULL)
		return true;

	dv_error_set(error, DV_ERROR_PROTOCOL, "the metadata answer holds no table definitions");
	dv_owned_free(document->owner);
	return false;
}

bool
dv_schema_parse(const char *body, size_t len, DvSchema **schemas, int *nschemas, DvError *error)
{
	Document document;
	bool ok = true;
	int n;

	if (!open_document(&document, body, len, error))
		return false;

	n = json_is_array(document.tables) ? (int) json_array_size(document.tables) : 1;
	*schemas = palloc0(sizeof(DvSchema) * (n + 1));
	*nschemas = n;
	for (int i = 0; i < n && ok; i++)
		ok = read_table(&(*schemas)[i],
						json_is_array(document.tables) ? json_array_get(document.tables, i)
													   : document.root,
						error);
	dv_owned_free(document.owner);
	if (!ok)
		return false;
	qsort(*schemas, n, sizeof(DvSchema), compare_schemas);
	return true;
}

/*
 * Design 1.3.  numeric stands without precision and scale: the bounds of
 * Decimal and Money are a column's own and some differ between environments
 * (sheet 3.1, 3.4), and a bound set here could only refuse or round a value
 * that the service holds.
 */
static const char *const pg_types[DV_TYPE_COUNT] = {
	[DV_TYPE_UNKNOWN] = "text",
	[DV_TYPE_STRING] = "text",
	[DV_TYPE_MEMO] = "text",
	[DV_TYPE_ENTITY_NAME] = "text",
	[DV_TYPE_INTEGER] = "integer",
	[DV_TYPE_BIGINT] = "bigint",
	[DV_TYPE_DECIMAL] = "numeric",
	[DV_TYPE_DOUBLE] = "double precision",
	[DV_TYPE_MONEY] = "numeric",
	[DV_TYPE_BOOLEAN] = "boolean",
	[DV_TYPE_PICKLIST] = "integer",
	[DV_TYPE_STATE] = "integer",
	[DV_TYPE_STATUS] = "integer",
	[DV_TYPE_MULTISELECT] = "integer[]",
	[DV_TYPE_DATETIME] = "timestamp with time zone",
	[DV_TYPE_DATETIME_FLOATING] = "timestamp without time zone",
	[DV_TYPE_DATE] = "date",
	[DV_TYPE_GUID] = "uuid",
	[DV_TYPE_LOOKUP] = "uuid",
	[DV_TYPE_CUSTOMER] = "uuid",
	[DV_TYPE_OWNER] = "uuid",
	[DV_TYPE_IMAGE] = "bytea",
};

const char *
dv_schema_pg_type(const DvAttribute *attribute)
{
	return pg_types[attribute->type];
}

bool
dv_schema_read_only(const DvAttribute *attribute)
{
	return attribute->computed || (!attribute->creatable && !attribute->updatable);
}

const DvAttribute *
dv_schema_attribute(const DvSchema *schema, const char *name)
{
	for (int i = 0; i < schema->nattributes; i++)
	{
		if (strcmp(schema->attributes[i].name, name) == 0)
			return &schema->attributes[i];
	}
	return NULL;
}

const char *
dv_schema_choice_label(const DvAttribute *attribute, int value)
{
	for (int i = 0; i < attribute->nchoices; i++)
	{
		if (attribute->choices[i].value == value)
			return attribute->choices[i].label;
	}
	return NULL;
}
