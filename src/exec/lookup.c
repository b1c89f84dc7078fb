/*
 * lookup.c
 *	  What a row says of one of its lookups, as the service wants it written.
 *
 * A lookup is written by its navigation property, bound to an address in the
 * set that it points to (sheet 3.5).  Names come from the options of its
 * columns.  Where it leads to several tables, the companion column (option
 * target_of) names the table and the metadata the rest, asked once for each
 * table met.
 *
 * The address is the id, or the target's alternate key, for which the foreign
 * table has a column for each part (options key_of and target_key).  The service
 * looks for the row; one that is not there is the service's to refuse.  It takes
 * such an address in a body literally and gives up at some characters (sheet
 * 1.5): a key that holds one of them is looked up here, once for each value.
 *
 * Id and key say the same thing twice, so what the statement names counts before
 * what came along with the row (a default, a trigger, the value as it was
 * read).  Where both are named and both are given, nobody can tell which is
 * meant.
 */
#include "postgres.h"

#include "compat.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "exec/convert.h"
#include "exec/lookup.h"
#include "exec/probe.h"
#include "remote/metadata.h"

/* Columns of one alternate key (sheet 1.5). */
#define PARTS_MAX 16

/* Where the lookup points, for one of its tables. */
typedef struct Route
{
	char *table;   /* as the companion column names it; NULL: as the options say */
	char *logical; /* the same, when known */
	char *navigation;
	DvBodyName bind; /* navigation@odata.bind */
	char *set;       /* entity set */
} Route;

/* A key that was looked up here. */
typedef struct Known
{
	const char *address; /* by key */
	uint32 hash;
	char status;
	const char *id;
} Known;

#define SH_PREFIX known
#define SH_ELEMENT_TYPE Known
#define SH_KEY_TYPE const char *
#define SH_KEY address
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) (key), (int) strlen(key))
#define SH_EQUAL(tb, a, b) (strcmp((a), (b)) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) ((a)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct DvLookup
{
	const DvLookupSpec *spec;
	MemoryContext context;
	const char *logical;
	const DvColumn *shown; /* the column that messages name */
	const DvColumn *id;    /* its own column, NULL if the table has none or it is not
							* to be looked at */
	int nparts;            /* of the target's key; 0: likewise */
	const DvColumn *parts[PARTS_MAX];
	bool named;
	const DvColumn *companion; /* names the table; or NULL */
	char *navigation;          /* by the options; or NULL */
	char *target;              /* likewise */
	DvBodyName null_name;      /* property that clears it, once known */
	List *routes;              /* Route *, those met so far */
	known_hash *known;         /* NULL: none yet */
};

/*
 * Preparing.
 */

static bool
is_named(const DvLookupSpec *spec, const DvColumn *column)
{
	/* What PostgreSQL computes counts like what the statement says: its NULL clears, too. */
	return column != NULL && (list_member_int(spec->plan->attnums, column->attnum) ||
							  (column->generated && spec->plan->mode != DV_WRITE_UPDATE));
}

static void
take_column(DvLookup *lookup, const DvColumn *column)
{
	const DvTable *table = lookup->spec->table;

	if (column->target_of)
	{
		lookup->companion = column;
		return;
	}
	if (column->navigation && lookup->navigation == NULL)
		lookup->navigation = column->navigation;
	if (column->target && lookup->target == NULL)
		lookup->target = column->target;
	if (column->key_of == NULL)
		lookup->id = column;
	else if (!column->read_only)
	{
		if (lookup->nparts == PARTS_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_TOO_MANY_COLUMNS),
					 errmsg("foreign table \"%s\" has too many columns with option key_of '%s'",
							table->name, lookup->logical),
					 errdetail("A key has %d columns at most.", PARTS_MAX)));
		lookup->parts[lookup->nparts++] = column;
	}
}

/* What is named counts before what is not; in an UPDATE the rest is not even looked at. */
static void
choose_sides(DvLookup *lookup)
{
	const DvLookupSpec *spec = lookup->spec;
	bool id_named = is_named(spec, lookup->id);
	bool key_named = false;
	bool update = spec->plan->mode == DV_WRITE_UPDATE;

	for (int i = 0; i < lookup->nparts; i++)
		key_named = key_named || is_named(spec, lookup->parts[i]);
	lookup->named = id_named || key_named;
	lookup->shown = lookup->id && (id_named || !key_named) ? lookup->id : lookup->parts[0];
	if ((update || key_named) && !id_named)
		lookup->id = NULL;
	if ((update || id_named) && !key_named)
		lookup->nparts = 0;
}

DvLookup *
dv_lookup_prepare(const DvLookupSpec *spec, const char *logical)
{
	DvLookup *lookup = palloc0(sizeof(DvLookup));
	const DvTable *table = spec->table;

	lookup->spec = spec;
	lookup->context = CurrentMemoryContext;
	lookup->logical = logical;
	for (int i = 0; i < table->ncolumns; i++)
	{
		const DvColumn *column = &table->columns[i];

		if (column->label_of == NULL && strcmp(column->logical, logical) == 0)
			take_column(lookup, column);
	}
	choose_sides(lookup);
	return lookup;
}

bool
dv_lookup_named(const DvLookup *lookup)
{
	return lookup->named;
}

/*
 * Routes.
 */

static void
unknown_route(const DvLookup *lookup, const char *table)
{
	const DvColumn *column = lookup->shown;

	if (table)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						errmsg("column \"%s\" of foreign table \"%s\" cannot point to \"%s\"",
							   column->name, lookup->spec->table->name, table),
						errdetail("The metadata have no such table among the targets of \"%s\".",
								  lookup->logical)));
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("it is not known which table column \"%s\" of foreign table \"%s\" "
					"points to",
					column->name, lookup->spec->table->name),
			 lookup->companion
				 ? errhint("Give column \"%s\" the table's logical name.", lookup->companion->name)
				 : errhint("Set options navigation_property and target of the column, or "
						   "add a text column with option target_of '%s'.",
						   lookup->logical)));
}

static const DvAttribute *
find_metadata(const DvLookup *lookup)
{
	const DvSchema *schema =
		dv_metadata_table(lookup->spec->service, lookup->spec->table->table_name);

	return schema != NULL ? dv_schema_attribute(schema, lookup->logical) : NULL;
}

/* Number of a table among the lookup's targets; the only one when none is named; -1. */
static int
find_target(const DvAttribute *attribute, const char *table)
{
	if (table == NULL)
		return attribute->ntargets == 1 ? 0 : -1;
	for (int i = 0; i < attribute->ntargets; i++)
	{
		if (strcmp(attribute->targets[i], table) == 0)
			return i;
	}
	return -1;
}

static Route *
add_route(DvLookup *lookup, const char *table, const char *logical, const char *navigation,
		  const char *set)
{
	MemoryContext old = MemoryContextSwitchTo(lookup->context);
	Route *route = palloc0(sizeof(Route));

	route->table = table ? pstrdup(table) : NULL;
	route->logical = logical ? pstrdup(logical) : NULL;
	route->navigation = pstrdup(navigation);
	dv_body_name(&route->bind, psprintf("%s@odata.bind", navigation));
	route->set = pstrdup(set);
	lookup->routes = lappend(lookup->routes, route);
	MemoryContextSwitchTo(old);
	return route;
}

static Route *
route_by_metadata(DvLookup *lookup, const char *table)
{
	const DvAttribute *attribute = find_metadata(lookup);
	int target = attribute ? find_target(attribute, table) : -1;
	const char *navigation;
	const DvSchema *schema;

	if (target < 0)
		unknown_route(lookup, table);
	/* The owner's property has the column's name and is listed for no target (sheet 3.5). */
	navigation = attribute->navigations[target];
	if (navigation == NULL)
		navigation = lookup->navigation ? lookup->navigation : lookup->logical;
	schema = dv_metadata_table(lookup->spec->service, attribute->targets[target]);
	if (schema == NULL || schema->set_name == NULL)
		unknown_route(lookup, table);
	return add_route(lookup, table, attribute->targets[target], navigation, schema->set_name);
}

static Route *
find_route(DvLookup *lookup, const char *table)
{
	ListCell *lc;

	foreach (lc, lookup->routes)
	{
		Route *route = lfirst(lc);

		if (table == NULL ? route->table == NULL
						  : route->table != NULL && strcmp(route->table, table) == 0)
			return route;
	}
	if (table == NULL && lookup->navigation && lookup->target)
		return add_route(lookup, NULL, NULL, lookup->navigation, lookup->target);
	return route_by_metadata(lookup, table);
}

/* The table that the row's companion column names; NULL when it names none. */
static char *
companion_table(const DvLookup *lookup, TupleTableSlot *slot)
{
	char *table;
	int place;

	if (lookup->companion == NULL)
		return NULL;
	place = lookup->companion->attnum - 1;
	if (slot->tts_isnull[place])
		return NULL;
	/* Its declared type may be any. */
	table =
		dv_convert_operand(slot->tts_values[place], false, lookup->companion->typid, DV_TYPE_STRING)
			->text;
	return table[0] != '\0' ? table : NULL;
}

/* Any of a lookup's properties clears it: one is enough, and only one may be sent (sheet 3.5). */
static const DvBodyName *
clearing_name(DvLookup *lookup)
{
	const char *name = lookup->navigation;
	MemoryContext old;

	if (lookup->null_name.text != NULL)
		return &lookup->null_name;
	if (name == NULL)
	{
		const DvAttribute *attribute = find_metadata(lookup);

		if (attribute == NULL || attribute->ntargets == 0)
			unknown_route(lookup, NULL);
		name = attribute->navigations[0] ? attribute->navigations[0] : lookup->logical;
	}
	old = MemoryContextSwitchTo(lookup->context);
	dv_body_name(&lookup->null_name, name);
	MemoryContextSwitchTo(old);
	return &lookup->null_name;
}

const DvColumn *
dv_lookup_companion(const DvLookup *lookup)
{
	return lookup->companion;
}

bool
dv_lookup_polymorphic(const DvLookup *lookup)
{
	return lookup->companion != NULL || lookup->target == NULL;
}

const char *
dv_lookup_table_of(const DvLookup *lookup, const char *set, size_t len)
{
	ListCell *lc;

	foreach (lc, lookup->routes)
	{
		const Route *route = lfirst(lc);

		if (strlen(route->set) == len && memcmp(route->set, set, len) == 0)
			return route->logical;
	}
	return NULL;
}

/*
 * The target's key.
 */

/* What the target's column is, as far as it matters for an address and a condition. */
static DvType
part_type(const DvColumn *part)
{
	if (part->target_type != DV_TYPE_UNKNOWN)
		return part->target_type;
	switch (getBaseType(part->typid))
	{
		case INT2OID:
		case INT4OID:
			return DV_TYPE_INTEGER;
		case INT8OID:
			return DV_TYPE_BIGINT;
		case NUMERICOID:
			return DV_TYPE_DECIMAL;
		case UUIDOID:
			return DV_TYPE_GUID;
		case TIMESTAMPTZOID:
			return DV_TYPE_DATETIME;
		case TIMESTAMPOID:
			return DV_TYPE_DATETIME_FLOATING;
		case DATEOID:
			return DV_TYPE_DATE;
		default:
			return DV_TYPE_STRING;
	}
}

static char *
to_utf8(char *text)
{
	return pg_server_to_any(text, strlen(text), PG_UTF8);
}

/* The key's values; how many are not null (an empty text counts as null: the service has none). */
static int
read_parts(const DvLookup *lookup, TupleTableSlot *slot, DvKeyPart *parts)
{
	int given = 0;

	for (int i = 0; i < lookup->nparts; i++)
	{
		const DvColumn *column = lookup->parts[i];
		int place = column->attnum - 1;
		DvType type = part_type(column);

		parts[i].property = column->target_key;
		parts[i].edm = dv_type_edm(type);
		parts[i].text = NULL;
		if (slot->tts_isnull[place])
			continue;
		parts[i].text =
			to_utf8(dv_convert_operand(slot->tts_values[place], false, column->typid, type)->text);
		if (parts[i].text[0] == '\0')
			parts[i].text = NULL;
		given += parts[i].text != NULL;
	}
	return given;
}

static void
refuse_incomplete(const DvLookup *lookup, const DvKeyPart *parts)
{
	int missing = 0;

	while (parts[missing].text != NULL)
		missing++;
	ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("null value in column \"%s\" of foreign table \"%s\" beside other parts "
						   "of a key",
						   lookup->parts[missing]->name, lookup->spec->table->name),
					errdetail("The columns with option key_of '%s' address one row together.",
							  lookup->logical),
					errhint("Give all of them a value, or none to clear the lookup.")));
}

static void
refuse_both(const DvLookup *lookup)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("columns \"%s\" and \"%s\" of foreign table \"%s\" are both given",
						   lookup->id->name, lookup->parts[0]->name, lookup->spec->table->name),
					errdetail("Both say which row the lookup \"%s\" points to.", lookup->logical),
					errhint("Give one of them, and NULL for the other.")));
}

/* The primary id of the table that a route leads to. */
static const char *
target_id(DvLookup *lookup, const Route *route)
{
	DvService *service = lookup->spec->service;
	const DvAttribute *attribute = route->logical ? NULL : find_metadata(lookup);
	const DvSchema *schema = NULL;

	if (route->logical)
		schema = dv_metadata_table(service, route->logical);
	for (int i = 0; attribute != NULL && i < attribute->ntargets; i++)
	{
		schema = dv_metadata_table(service, attribute->targets[i]);
		if (schema != NULL && schema->set_name && strcmp(schema->set_name, route->set) == 0)
			break;
		schema = NULL;
	}
	if (schema == NULL || schema->primary_id == NULL)
		unknown_route(lookup, NULL);
	return schema->primary_id;
}

static const char *
probe_key(DvLookup *lookup, const Route *route, const DvKeyPart *parts)
{
	DvTable table = {.name = route->set, .entity_set = route->set};
	DvCounters ignored = {0};
	DvProbe probe = {.service = lookup->spec->service,
					 .table = &table,
					 .primary_id = target_id(lookup, route),
					 .counters = lookup->spec->counters ? lookup->spec->counters : &ignored};
	DvColumn *columns = palloc0(sizeof(DvColumn) * lookup->nparts);
	const DvColumn **list = palloc(sizeof(DvColumn *) * lookup->nparts);
	const DvKeyPart *rows[1] = {parts};

	table.settings = lookup->spec->table->settings;
	for (int i = 0; i < lookup->nparts; i++)
	{
		columns[i] = *lookup->parts[i];
		columns[i].property = columns[i].target_key;
		columns[i].logical = columns[i].target_key;
		columns[i].type = part_type(lookup->parts[i]);
		columns[i].key_of = NULL;
		list[i] = &columns[i];
	}
	return dv_probe_keys(&probe, list, lookup->nparts, rows, 1)[0];
}

static void
refuse_absent(const DvLookup *lookup, const char *address)
{
	ereport(ERROR,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("column \"%s\" of foreign table \"%s\" points to a row that does not exist",
					lookup->parts[0]->name, lookup->spec->table->name),
			 errdetail("There is no %s.", pg_any_to_server(address, strlen(address), PG_UTF8)),
			 errhint("Create that row first, or set the lookup to NULL.")));
}

/* The id behind a key that no address can hold. */
static const char *
find_id(DvLookup *lookup, const Route *route, const DvKeyPart *parts, const char *address)
{
	Known *known;
	bool found;
	const char *id;

	if (lookup->known == NULL)
		lookup->known = known_create(lookup->context, 64, NULL);
	known = known_lookup(lookup->known, address);
	if (known != NULL)
		return known->id;
	id = probe_key(lookup, route, parts);
	if (id == NULL)
		refuse_absent(lookup, address);
	known = known_insert(lookup->known, MemoryContextStrdup(lookup->context, address), &found);
	known->id = MemoryContextStrdup(lookup->context, id);
	return known->id;
}

/*
 * The bind.
 */

static const char *
id_address(const Route *route, const char *id)
{
	DvKeyPart part = {NULL, DV_EDM_GUID, id};
	StringInfoData address;

	initStringInfo(&address);
	appendStringInfoChar(&address, '/');
	dv_url_key(&address, route->set, &part, 1, false);
	return address.data;
}

static const char *
key_address(DvLookup *lookup, const Route *route, const DvKeyPart *parts)
{
	StringInfoData address;
	bool refused = false;

	for (int i = 0; i < lookup->nparts; i++)
		refused = refused || dv_url_key_refuses(parts[i].edm, parts[i].text);
	initStringInfo(&address);
	appendStringInfoChar(&address, '/');
	dv_url_key(&address, route->set, parts, lookup->nparts, false);
	if (refused)
		return id_address(route, find_id(lookup, route, parts, address.data + 1));
	return address.data;
}

bool
dv_lookup_bind(DvLookup *lookup, TupleTableSlot *slot, bool send_null, DvBind *bind)
{
	DvKeyPart parts[PARTS_MAX];
	int given = read_parts(lookup, slot, parts);
	bool by_id = lookup->id != NULL && !slot->tts_isnull[lookup->id->attnum - 1];
	const Route *route;

	if (given > 0 && by_id)
		refuse_both(lookup);
	if (given > 0 && given < lookup->nparts)
		refuse_incomplete(lookup, parts);
	if (given == 0 && !by_id)
	{
		if (!send_null)
			return false;
		bind->name = clearing_name(lookup);
		bind->address = NULL;
		return true;
	}
	route = find_route(lookup, companion_table(lookup, slot));
	bind->name = &route->bind;
	if (by_id)
		bind->address =
			id_address(route, dv_convert_operand(slot->tts_values[lookup->id->attnum - 1], false,
												 lookup->id->typid, DV_TYPE_GUID)
								  ->text);
	else
		bind->address = key_address(lookup, route, parts);
	return true;
}
