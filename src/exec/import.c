/*
 * import.c
 *	  IMPORT FOREIGN SCHEMA text from metadata.
 *
 * The remote schema "dataverse" is the whole environment, without private and
 * intersect tables (sheet 9.2) unless LIMIT TO names them; any other name is a
 * solution's unique name and means that solution's tables.
 *
 * Every name that planning will need goes into options, so that a plan never
 * asks the service: logical names, entity sets, types, and how a lookup is
 * bound where it has one target.  A lookup that may lead to several tables
 * gets a second column that tells which (customerid_target), and a column of
 * choices one with the label in the caller's language (industrycode_label).
 *
 * NOT NULL is declared for the primary id alone.  The planner trusts it, and
 * it is the only column that the service promises to return in every row: a
 * SystemRequired column is checked when a row is written, but comes back null
 * where column security hides it from the caller (sheet 3.7), and old rows may
 * lack it.
 *
 * PostgreSQL passes LIMIT TO and would silently create nothing for a table that
 * does not exist.  Here that is an error with the nearest name: a missing table
 * found out later costs more.  EXCEPT is taken as it is.
 */
#include "postgres.h"

#include "compat.h"

#include "access/htup_details.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

#include "exec/import.h"
#include "remote/directory.h"
#include "remote/metadata.h"

/* The name of the remote schema that is no solution. */
#define WHOLE_ENVIRONMENT "dataverse"

typedef struct Import
{
	const char *server;
	const char *remote_schema;
	DvDirectory *directory;
	bool labels;
} Import;

/* One CREATE FOREIGN TABLE while it is written. */
typedef struct Command
{
	StringInfoData sql;
	const DvSchema *schema;
	List *names; /* char *: column names given so far */
	int ncolumns;
	bool in_options; /* between OPTIONS ( and ) */
} Command;

static void
read_options(Import *import, List *options)
{
	ListCell *cell;

	import->labels = true;
	foreach (cell, options)
	{
		DefElem *option = lfirst(cell);

		if (strcmp(option->defname, "labels") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("invalid option \"%s\"", option->defname),
					 errhint("The only option of IMPORT FOREIGN SCHEMA here is \"labels\".")));
		import->labels = defGetBoolean(option);
	}
}

static bool
is_listed(List *names, const char *name)
{
	ListCell *cell;

	foreach (cell, names)
	{
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	}
	return false;
}

/* PostgreSQL cuts identifiers; so a longer logical name goes by its beginning. */
static char *
local_table_name(const char *logical)
{
	char *name = pstrdup(logical);

	truncate_identifier(name, strlen(name), false);
	return name;
}

static List *
environment_tables(const DvDirectory *directory)
{
	List *names = NIL;

	for (int i = 0; i < directory->ntables; i++)
		names = lappend(names, directory->tables[i].name);
	return names;
}

/* How far two names are apart; names longer than levenshtein takes are far from all. */
static int
distance(const char *a, const char *b, int most)
{
	if (strlen(a) > 255 || strlen(b) > 255)
		return most + 1;
	return varstr_levenshtein_less_equal(a, strlen(a), b, strlen(b), 1, 1, 1, most, true);
}

static bool
ends_with(const char *name, const char *ending)
{
	size_t n = strlen(name);
	size_t e = strlen(ending);

	return n > e && name[n - e - 1] == '_' && strcmp(name + n - e, ending) == 0;
}

/*
 * The table that was probably meant: by its entity set (accounts), without the
 * publisher's prefix (country for geo_country), or misspelt.  NULL if none is
 * near.
 */
static const char *
nearest_table(const Import *import, const char *wanted)
{
	const char *nearest = NULL;
	int best = Min((int) strlen(wanted) / 2, 4) + 1;

	for (int i = 0; i < import->directory->ntables; i++)
	{
		const DvSchema *table = &import->directory->tables[i];
		int apart;

		if ((table->set_name != NULL && strcmp(table->set_name, wanted) == 0) ||
			ends_with(table->name, wanted))
			return table->name;
		apart = distance(wanted, table->name, best);
		if (apart < best)
		{
			best = apart;
			nearest = table->name;
		}
	}
	return nearest;
}

static bool
is_solution(const Import *import)
{
	return strcmp(import->remote_schema, WHOLE_ENVIRONMENT) != 0;
}

static int
missing_hint(const Import *import, const char *wanted)
{
	const char *nearest = nearest_table(import, wanted);

	if (dv_directory_find(import->directory, wanted) != NULL)
		return errhint("Table \"%s\" exists outside of the solution: import it from schema \"%s\".",
					   wanted, WHOLE_ENVIRONMENT);
	if (nearest != NULL)
		return errhint("Perhaps you meant the table \"%s\".", nearest);
	return errhint("Tables go by their logical names, such as \"account\" or \"new_project\".");
}

static void
report_missing(const Import *import, List *missing)
{
	StringInfoData names;
	const char *where;
	ListCell *cell;

	initStringInfo(&names);
	foreach (cell, missing)
		appendStringInfo(&names, "%s\"%s\"", names.len > 0 ? ", " : "", (char *) lfirst(cell));

	where = is_solution(import) ? psprintf("solution \"%s\"", import->remote_schema)
								: pstrdup("the environment");
	ereport(ERROR, (errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
					errmsg_plural("could not find table %s in %s of server \"%s\"",
								  "could not find tables %s in %s of server \"%s\"",
								  list_length(missing), names.data, where, import->server),
					missing_hint(import, linitial(missing))));
}

static bool
is_listed_table(List *range_vars, const char *logical)
{
	char *local = local_table_name(logical);
	ListCell *cell;

	foreach (cell, range_vars)
	{
		RangeVar *listed = lfirst(cell);

		if (strcmp(listed->relname, local) == 0)
			return true;
	}
	return false;
}

static List *
filter_tables(List *candidates, List *range_vars, bool keep_listed)
{
	List *kept = NIL;
	ListCell *cell;

	foreach (cell, candidates)
	{
		if (is_listed_table(range_vars, lfirst(cell)) == keep_listed)
			kept = lappend(kept, lfirst(cell));
	}
	return kept;
}

/* The candidates that LIMIT TO names: all of them, or an error. */
static List *
limit_tables(const Import *import, List *candidates, List *range_vars)
{
	List *found = filter_tables(candidates, range_vars, true);
	List *local = NIL;
	List *missing = NIL;
	ListCell *cell;

	foreach (cell, found)
		local = lappend(local, local_table_name(lfirst(cell)));
	foreach (cell, range_vars)
	{
		RangeVar *wanted = lfirst(cell);

		if (!is_listed(local, wanted->relname))
			missing = lappend(missing, wanted->relname);
	}
	if (missing != NIL)
		report_missing(import, missing);
	return found;
}

static List *
choose_tables(const Import *import, DvService *service, ImportForeignSchemaStmt *stmt)
{
	bool by_name = stmt->list_type == FDW_IMPORT_SCHEMA_LIMIT_TO;
	List *candidates = NIL;
	List *all;
	ListCell *cell;

	if (is_solution(import))
		all = dv_directory_solution(service, import->directory, import->remote_schema);
	else
		all = environment_tables(import->directory);
	foreach (cell, all)
	{
		const DvSchema *table = dv_directory_find(import->directory, lfirst(cell));

		if (by_name || dv_directory_importable(table))
			candidates = lappend(candidates, lfirst(cell));
	}

	if (by_name)
		return limit_tables(import, candidates, stmt->table_list);
	if (stmt->list_type == FDW_IMPORT_SCHEMA_EXCEPT)
		return filter_tables(candidates, stmt->table_list, false);
	return candidates;
}

static void
add_option(Command *command, const char *name, const char *value)
{
	appendStringInfo(&command->sql, "%s%s %s", command->in_options ? ", " : " OPTIONS (", name,
					 quote_literal_cstr(value));
	command->in_options = true;
}

static void
end_options(Command *command)
{
	if (command->in_options)
		appendStringInfoChar(&command->sql, ')');
	command->in_options = false;
}

/* The first free name that suffix and a number make of base; taken from now on. */
static char *
take_name(Command *command, const char *base, const char *suffix)
{
	const char *ending = suffix;
	char *name = makeObjectName(base, NULL, ending);

	for (int i = 1; is_listed(command->names, name); i++)
	{
		ending = suffix != NULL ? psprintf("%s%d", suffix, i) : psprintf("%d", i);
		name = makeObjectName(base, NULL, ending);
	}
	command->names = lappend(command->names, name);
	return name;
}

static void
begin_column(Command *command, const char *name, const char *type)
{
	appendStringInfo(&command->sql, "%s\n  %s %s", command->ncolumns++ > 0 ? "," : "",
					 quote_identifier(name), type);
}

/* How a lookup with one target is written: its property and where it points (sheet 3.5). */
static void
add_binding(Command *command, const Import *import, const DvAttribute *attribute)
{
	const DvSchema *target;

	if (attribute->ntargets == 0 || attribute->navigations[0] == NULL)
		return;
	for (int i = 1; i < attribute->ntargets; i++)
	{
		if (attribute->navigations[i] == NULL ||
			strcmp(attribute->navigations[i], attribute->navigations[0]) != 0)
			return;
	}
	add_option(command, "navigation_property", attribute->navigations[0]);

	target = dv_directory_find(import->directory, attribute->targets[0]);
	if (attribute->ntargets == 1 && target != NULL && target->set_name != NULL)
		add_option(command, "target", target->set_name);
}

static void
write_column(Command *command, const Import *import, const DvAttribute *attribute, const char *name)
{
	begin_column(command, name, dv_schema_pg_type(attribute));
	if (strcmp(name, attribute->name) != 0)
		add_option(command, "column_name", attribute->name);
	add_option(command, "attribute_type", dv_type_name(attribute->type));
	if (dv_type_is_lookup(attribute->type))
		add_binding(command, import, attribute);
	if (dv_schema_read_only(attribute))
		add_option(command, "read_only", "true");
	end_options(command);
	if (attribute->is_primary_id)
		appendStringInfoString(&command->sql, " NOT NULL");
}

static bool
has_label(const DvAttribute *attribute)
{
	return dv_type_is_choice(attribute->type) || attribute->type == DV_TYPE_MULTISELECT ||
		   attribute->type == DV_TYPE_BOOLEAN;
}

/* Customer and owner lead to several tables by nature, others where they have several targets. */
static bool
has_target(const DvAttribute *attribute)
{
	return attribute->type == DV_TYPE_CUSTOMER || attribute->type == DV_TYPE_OWNER ||
		   (attribute->type == DV_TYPE_LOOKUP && attribute->ntargets > 1);
}

static void
write_extra_column(Command *command, const DvAttribute *attribute, const char *suffix,
				   const char *option)
{
	begin_column(command, take_name(command, attribute->name, suffix), "text");
	add_option(command, option, attribute->name);
	end_options(command);
}

static int
count_columns(const DvSchema *schema, bool labels)
{
	int n = schema->nattributes;

	for (int i = 0; labels && i < schema->nattributes; i++)
		n += has_label(&schema->attributes[i]) || has_target(&schema->attributes[i]);
	return n;
}

static void
check_table(const Import *import, const DvSchema *schema)
{
	int n = count_columns(schema, import->labels);

	if (schema->set_name == NULL || schema->set_name[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("table \"%s\" cannot be read through the Web API", schema->name),
						errdetail("It has no entity set.")));
	if (n > MaxHeapAttributeNumber)
		ereport(
			ERROR,
			(errcode(ERRCODE_TOO_MANY_COLUMNS),
			 errmsg("table \"%s\" has too many columns", schema->name),
			 errdetail(
				 "It would have %d columns with labels and lookup targets; PostgreSQL allows %d.",
				 n, MaxHeapAttributeNumber),
			 errhint("Import with OPTIONS (labels 'false'), or leave the table out by EXCEPT and "
					 "write a CREATE FOREIGN TABLE with the columns you need.")));
}

static void
write_table_options(Command *command, const Import *import)
{
	const DvSchema *schema = command->schema;
	const DvSchema *listed = dv_directory_find(import->directory, schema->name);
	const char *type = listed != NULL ? listed->table_type : schema->table_type;

	appendStringInfo(&command->sql, "\n) SERVER %s", quote_identifier(import->server));
	add_option(command, "table_name", schema->name);
	add_option(command, "entity_set_name", schema->set_name);
	if (schema->primary_id != NULL)
		add_option(command, "primary_id", schema->primary_id);
	if (strcmp(type, "standard") != 0)
		add_option(command, "table_type", type);
	end_options(command);
}

/* An attribute's own column, and right after it what hangs on it. */
static void
write_columns(Command *command, const Import *import)
{
	const DvSchema *schema = command->schema;
	List *own = NIL;

	/* attributes choose first: a real industrycode_label keeps its name */
	for (int i = 0; i < schema->nattributes; i++)
		own = lappend(own, take_name(command, schema->attributes[i].name, NULL));

	for (int i = 0; i < schema->nattributes; i++)
	{
		const DvAttribute *attribute = &schema->attributes[i];

		write_column(command, import, attribute, list_nth(own, i));
		if (import->labels && has_label(attribute))
			write_extra_column(command, attribute, "label", "label_of");
		if (import->labels && has_target(attribute))
			write_extra_column(command, attribute, "target", "target_of");
	}
}

static char *
table_command(const Import *import, const DvSchema *schema)
{
	Command command = {.schema = schema};

	check_table(import, schema);
	initStringInfo(&command.sql);
	appendStringInfo(&command.sql, "CREATE FOREIGN TABLE %s (",
					 quote_identifier(local_table_name(schema->name)));
	write_columns(&command, import);
	write_table_options(&command, import);
	return command.sql.data;
}

List *
dataverseImportForeignSchema(ImportForeignSchemaStmt *stmt, Oid serverOid)
{
	Import import = {.server = stmt->server_name, .remote_schema = stmt->remote_schema};
	DvService *service;
	DvSchema *schemas;
	int nschemas;
	List *names;
	List *commands = NIL;

	read_options(&import, stmt->options);
	service = dv_service_open(serverOid, GetUserId());
	import.directory = dv_directory_fetch(service);
	names = choose_tables(&import, service, stmt);
	dv_metadata_fetch(service, names, &schemas, &nschemas);
	for (int i = 0; i < nschemas; i++)
		commands = lappend(commands, table_command(&import, &schemas[i]));
	return commands;
}
