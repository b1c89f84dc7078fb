/*
 * options.c
 *	  One row per option: the validator, the readers and the README's table
 *	  come from it.
 *
 * Decides which options exist, where they are allowed, which values they take
 * and what holds when they are not given.  Assumes that the catalogs hold only
 * what the validator let in, but parses again all the same: an option's row
 * may have become stricter since.
 *
 * Deliberately does not ask the service whether a name exists there: DDL works
 * without a network, and a restored dump must not depend on one.
 *
 * Options that need a file of the server's or that hold a secret are marked in
 * their rows: the first are for roles that may read the server's files, the
 * second are user mapping options only, since everybody can read the others in
 * the catalogs.
 */
#include "postgres.h"
#include "compat.h"

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "odata/url.h"
#include "remote/options.h"

/* Where an option may stand: bits. */
#define ON_SERVER 0x01
#define ON_TABLE 0x02
#define ON_COLUMN 0x04
#define ON_USER 0x08

/* Which struct a reader fills. */
typedef enum Home
{
	HOME_SERVER,
	HOME_SETTINGS,
	HOME_USER,
	HOME_TABLE,
	HOME_COLUMN
} Home;

typedef struct Word
{
	const char *name;
	int value;
} Word;

typedef struct Option Option;

/* Checks text, throwing what is wrong with it; stores it unless target is NULL. */
typedef void (*Taker)(const Option *option, const char *text, void *target);

struct Option
{
	const char *name;
	int places;
	Home home;
	size_t offset;
	Taker take;
	const char *fallback; /* value when not given; NULL: none, or derived */
	const char *description;
	double least; /* numbers */
	double most;
	const Word *words; /* enumerations, ended by a NULL name */
	bool needs_file_right;
};

static const Word on_conflict_words[] = {{"update", DV_CONFLICT_UPDATE},
										 {"nothing", DV_CONFLICT_NOTHING},
										 {"error", DV_CONFLICT_ERROR},
										 {NULL}};

static const Word on_error_words[] = {{"stop", false}, {"ignore", true}, {NULL}};

static const Word null_columns_words[] = {{"send", false}, {"omit", true}, {NULL}};

static const Word transaction_words[] = {{"none", false}, {"statement", true}, {NULL}};

static const Word table_type_words[] = {{"standard", DV_TABLE_STANDARD},
										{"elastic", DV_TABLE_ELASTIC},
										{"virtual", DV_TABLE_VIRTUAL},
										{NULL}};

/* Sheet 8; the value is the header's. */
static const Word bypass_words[] = {
	{"CustomSync"}, {"CustomAsync"}, {"CustomSync,CustomAsync"}, {NULL}};

static void take_text(const Option *option, const char *text, void *target);
static void take_root(const Option *option, const char *text, void *target);
static void take_version(const Option *option, const char *text, void *target);
static void take_tenant(const Option *option, const char *text, void *target);
static void take_guid(const Option *option, const char *text, void *target);
static void take_token(const Option *option, const char *text, void *target);
static void take_int(const Option *option, const char *text, void *target);
static void take_real(const Option *option, const char *text, void *target);
static void take_bool(const Option *option, const char *text, void *target);
static void take_word(const Option *option, const char *text, void *target);
static void take_flag_word(const Option *option, const char *text, void *target);
static void take_text_word(const Option *option, const char *text, void *target);
static void take_names(const Option *option, const char *text, void *target);
static void take_relation(const Option *option, const char *text, void *target);
static void take_type(const Option *option, const char *text, void *target);

#define SERVER(field) HOME_SERVER, offsetof(DvServerOptions, field)
#define SETTING(field) HOME_SETTINGS, offsetof(DvSettings, field)
#define USER(field) HOME_USER, offsetof(DvUserOptions, field)
#define TABLE(field) HOME_TABLE, offsetof(TableOptions, field)
#define COLUMN(field) HOME_COLUMN, offsetof(ColumnOptions, field)
#define BOTH (ON_SERVER | ON_TABLE)

/* What stands in the catalogs, before it is put together with the relation. */
typedef struct TableOptions
{
	char *table_name;
	char *entity_set;
	char *primary_id;
	int table_type;
	List *key; /* char * */
	char *partition;
} TableOptions;

typedef struct ColumnOptions
{
	char *column_name;
	int type;
	char *label_of;
	char *target_of;
	char *key_of;
	char *target_key;
	char *navigation;
	char *target;
	bool read_only;
} ColumnOptions;

/* clang-format off */
static const Option options[] = {
	{"url", ON_SERVER, SERVER(url), take_root, NULL,
	"root address of the environment, required; https, or http to a loopback address"},
	{"api_version", ON_SERVER, SERVER(api_version), take_version, "v9.2",
	"version segment of the Web API's address"},
	{"tenant_id", ON_SERVER, SERVER(tenant_id), take_tenant, NULL,
	"Entra ID tenant (id or domain) that issues the tokens"},
	{"authority", ON_SERVER, SERVER(authority), take_root, "https://login.microsoftonline.com",
	"root address of the token authority"},
	{"scope", ON_SERVER, SERVER(scope), take_text, NULL,
	"scope asked for with the token; by default the url followed by /.default"},
	{"sslrootcert", ON_SERVER, SERVER(sslrootcert), take_text, NULL,
	"file of certificate authorities to trust instead of the system's; needs the right to read server files",
	.needs_file_right = true},
	{"connect_timeout", ON_SERVER, SERVER(connect_timeout), take_int, "10",
	"seconds to wait for a connection", 1, 3600},
	{"request_timeout", ON_SERVER, SERVER(request_timeout), take_int, "120",
	"seconds that one request may take", 1, 86400},
	{"retry_timeout", ON_SERVER, SERVER(retry_timeout), take_int, "600",
	"seconds during which one request may be repeated in all; 0 never repeats", 0, 86400},

	{"fetch_size", BOTH, SETTING(fetch_size), take_int, "5000",
	"rows per page", 1, 5000},
	{"batch_size", BOTH, SETTING(batch_size), take_int, "1000",
	"rows per bulk write request; 100 on elastic tables unless given", 1, 1000},
	{"concurrency", BOTH, SETTING(concurrency), take_int, "4",
	"requests in flight for one statement; the service's own recommendation lowers it", 1, 52},
	{"use_remote_estimate", BOTH, SETTING(remote_estimate), take_bool, "false",
	"planning asks the service how many rows there are; its answer is remembered for a minute"},
	{"async_capable", BOTH, SETTING(async_capable), take_bool, "false",
	"scans of several such tables below one Append (partitions, UNION ALL) wait together"},
	{"fdw_startup_cost", BOTH, SETTING(startup_cost), take_real, "100",
	"planner's cost of beginning a remote scan", 0, 1e10},
	{"fdw_tuple_cost", BOTH, SETTING(tuple_cost), take_real, "0.2",
	"planner's cost of one more row", 0, 1e10},
	{"updatable", BOTH, SETTING(updatable), take_bool, "true",
	"INSERT, UPDATE and DELETE are allowed"},
	{"on_conflict", BOTH, SETTING(on_conflict), take_word, NULL,
	"what INSERT does when the key exists: update (default when key is set), nothing, error (default otherwise)",
	.words = on_conflict_words},
	{"null_columns", BOTH, SETTING(null_omit), take_flag_word, "send",
	"what a NULL does in INSERT: send clears the column, omit leaves it out",
	.words = null_columns_words},
	{"on_error", BOTH, SETTING(ignore_errors), take_flag_word, "stop",
	"what a refused row does: stop ends the statement, ignore sets the row aside and goes on",
	.words = on_error_words},
	{"reject_limit", BOTH, SETTING(reject_limit), take_int, NULL,
	"with on_error ignore: refused rows that a statement may have; any number unless given", 1, INT_MAX},
	{"reject_table", BOTH, SETTING(reject_table), take_relation, NULL,
	"with on_error ignore: the local table, with its schema, that refused rows go to"},
	{"result_table", BOTH, SETTING(result_table), take_relation, NULL,
	"local table, with its schema, that gets a line for what became of each row"},
	{"skip_unchanged", BOTH, SETTING(skip_unchanged), take_bool, "false",
	"upserts and updates read the rows first, and write only what differs"},
	{"validate", BOTH, SETTING(validate), take_bool, "false",
	"rows are checked by the metadata (lengths, ranges, choices) before they are sent"},
	{"bypass_business_logic", BOTH, SETTING(bypass_business_logic), take_text_word, NULL,
	"custom logic that writes skip: CustomSync, CustomAsync or CustomSync,CustomAsync",
	.words = bypass_words},
	{"bypass_flows", BOTH, SETTING(bypass_flows), take_bool, "false",
	"writes do not start Power Automate flows"},
	{"suppress_duplicate_detection", BOTH, SETTING(suppress_duplicate_detection), take_bool, "true",
	"writes skip the environment's duplicate detection rules"},
	{"tag", BOTH, SETTING(tag), take_text, NULL,
	"text that plug-ins find in the shared variable tag"},
	{"transaction", BOTH, SETTING(atomic), take_flag_word, "none",
	"statement writes all rows of a statement or none of them, at most 1,000; none lets rows be final as they go",
	.words = transaction_words},
	{"optimistic_concurrency", BOTH, SETTING(optimistic), take_bool, "false",
	"UPDATE and DELETE fail (SQLSTATE 40001) for a row that was changed since the statement read it"},

	{"table_name", ON_TABLE, TABLE(table_name), take_text, NULL,
	"logical name of the table; by default the foreign table's name"},
	{"entity_set_name", ON_TABLE, TABLE(entity_set), take_text, NULL,
	"entity set name of the table, required"},
	{"primary_id", ON_TABLE, TABLE(primary_id), take_text, NULL,
	"logical name of the primary id column"},
	{"table_type", ON_TABLE, TABLE(table_type), take_word, "standard",
	"standard, elastic or virtual", .words = table_type_words},
	{"key", ON_TABLE, TABLE(key), take_names, NULL,
	"alternate key used by writes: the foreign table's columns, comma separated"},
	{"partition_column", ON_TABLE, TABLE(partition), take_text, NULL,
	"the foreign table's datetime column by whose ranges a large table is read side by side, and too large an aggregate is cut; by default createdon, where the table has it"},

	{"column_name", ON_COLUMN, COLUMN(column_name), take_text, NULL,
	"name of the Dataverse column; by default the column's own name"},
	{"attribute_type", ON_COLUMN, COLUMN(type), take_type, NULL,
	"Dataverse type of the column: decides what is pushed down and how values are written"},
	{"label_of", ON_COLUMN, COLUMN(label_of), take_text, NULL,
	"the column shows the label (formatted value) of this Dataverse column, and writes it by its label"},
	{"target_of", ON_COLUMN, COLUMN(target_of), take_text, NULL,
	"the column shows the table that this lookup points to"},
	{"key_of", ON_COLUMN, COLUMN(key_of), take_text, NULL,
	"the column writes this lookup, by an alternate key of the row that it points to; it reads as null"},
	{"target_key", ON_COLUMN, COLUMN(target_key), take_text, NULL,
	"with key_of: the column of that key, by its name in the target table"},
	{"navigation_property", ON_COLUMN, COLUMN(navigation), take_text, NULL,
	"navigation property through which a lookup is written, in its exact case"},
	{"target", ON_COLUMN, COLUMN(target), take_text, NULL,
	"entity set to which a lookup is bound"},
	{"read_only", ON_COLUMN, COLUMN(read_only), take_bool, "false",
	"the column is never sent"},

	{"client_id", ON_USER, USER(client_id), take_token, NULL,
	"application (client) id of the application user"},
	{"client_secret", ON_USER, USER(client_secret), take_text, NULL,
	"secret of the application"},
	{"access_token", ON_USER, USER(access_token), take_token, NULL,
	"a ready bearer token, instead of client_id and client_secret"},
	{"caller_object_id", ON_USER, USER(caller_object_id), take_guid, NULL,
	"Entra ID object id of a user to impersonate"},
};
/* clang-format on */

/* The catalogs that carry options. */
static const struct
{
	Oid catalog;
	int place;
	const char *name;
	const char *owner; /* for hints */
} places[] = {
	{ForeignServerRelationId, ON_SERVER, "server", "a server"},
	{ForeignTableRelationId, ON_TABLE, "table", "a foreign table"},
	{AttributeRelationId, ON_COLUMN, "column", "a column"},
	{UserMappingRelationId, ON_USER, "user mapping", "a user mapping"},
};

/* ---- takers ---- */

static void
bad_value(const Option *option, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\"", option->name), errdetail("%s", detail)));
}

static bool
has_control(const char *text)
{
	for (const unsigned char *p = (const unsigned char *) text; *p != '\0'; p++)
		if (*p < 0x20 || *p == 0x7f)
			return true;
	return false;
}

static void
take_text(const Option *option, const char *text, void *target)
{
	if (text[0] == '\0')
		bad_value(option, "The value is empty.");
	if (has_control(text))
		bad_value(option, "The value contains a control character.");
	if (target != NULL)
		*(char **) target = pstrdup(text);
}

/* Stored without the slash that people copy from the browser. */
static void
take_root(const Option *option, const char *text, void *target)
{
	size_t len = strlen(text);
	char *root;
	DvError error = {0};

	while (len > 0 && text[len - 1] == '/')
		len--;
	root = pnstrdup(text, len);
	if (!dv_url_check_root(root, &error))
		ereport(
			ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\"", option->name),
			 errdetail("%s.", error.message),
			 errhint("Give scheme and host only, for example https://contoso.crm.dynamics.com.")));
	if (target != NULL)
		*(char **) target = root;
}

/* v9.2: "v", digits, point, digits. */
static void
take_version(const Option *option, const char *text, void *target)
{
	size_t major = text[0] == 'v' ? strspn(text + 1, "0123456789") : 0;
	size_t minor = major > 0 && text[1 + major] == '.' ? strspn(text + major + 2, "0123456789") : 0;

	if (minor == 0 || text[major + 2 + minor] != '\0')
		bad_value(option, "Versions look like v9.2.");
	take_text(option, text, target);
}

/* It becomes a segment of the token endpoint's address. */
static void
take_tenant(const Option *option, const char *text, void *target)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";

	if (text[strspn(text, allowed)] != '\0' || strchr(".", text[0]) != NULL)
		bad_value(option, "A tenant is an id or a domain name.");
	take_text(option, text, target);
}

static void
take_guid(const Option *option, const char *text, void *target)
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	bool good = strlen(text) == strlen(shape);

	for (int i = 0; good && shape[i] != '\0'; i++)
		good = shape[i] == 'x' ? isxdigit((unsigned char) text[i]) != 0 : text[i] == shape[i];
	if (!good)
		bad_value(option, "An object id is a GUID of 36 characters.");
	take_text(option, text, target);
}

/* Goes into a header, or is a name without blanks: visible ASCII. */
static void
take_token(const Option *option, const char *text, void *target)
{
	for (const unsigned char *p = (const unsigned char *) text; *p != '\0'; p++)
		if (*p <= 0x20 || *p >= 0x7f)
			bad_value(option, "The value contains a blank or a character outside ASCII.");
	take_text(option, text, target);
}

static int
parse_whole(const Option *option, const char *text)
{
	int value = 0;

	/* parse_int alone would round 1.5 and take 0x10 */
	if (text[strspn(text, "0123456789")] != '\0' || !parse_int(text, &value, 0, NULL) ||
		value < option->least || value > option->most)
		bad_value(option, psprintf("The value must be a whole number from %.0f to %.0f.",
								   option->least, option->most));
	return value;
}

static void
take_int(const Option *option, const char *text, void *target)
{
	int value = parse_whole(option, text);

	if (target != NULL)
		*(int *) target = value;
}

static void
take_real(const Option *option, const char *text, void *target)
{
	double value = 0;

	if (!parse_real(text, &value, 0, NULL) || !(value >= option->least && value <= option->most))
		bad_value(option, psprintf("The value must be a number from %g to %g.", option->least,
								   option->most));
	if (target != NULL)
		*(double *) target = value;
}

static void
take_bool(const Option *option, const char *text, void *target)
{
	bool value;

	if (!parse_bool(text, &value))
		bad_value(option, "The value must be true or false.");
	if (target != NULL)
		*(bool *) target = value;
}

static const Word *
find_word(const Option *option, const char *text)
{
	StringInfoData list;

	initStringInfo(&list);
	for (const Word *word = option->words; word->name != NULL; word++)
	{
		if (pg_strcasecmp(word->name, text) == 0)
			return word;
		appendStringInfo(&list, "%s\"%s\"", list.len > 0 ? ", " : "", word->name);
	}
	bad_value(option, psprintf("The value must be one of %s.", list.data));
	return NULL; /* not reached */
}

static void
take_word(const Option *option, const char *text, void *target)
{
	const Word *word = find_word(option, text);

	if (target != NULL)
		*(int *) target = word->value;
}

static void
take_flag_word(const Option *option, const char *text, void *target)
{
	const Word *word = find_word(option, text);

	if (target != NULL)
		*(bool *) target = word->value != 0;
}

static void
take_text_word(const Option *option, const char *text, void *target)
{
	const Word *word = find_word(option, text);

	if (target != NULL)
		*(char **) target = pstrdup(word->name);
}

static bool
list_has(const List *names, const char *name)
{
	ListCell *cell;

	foreach (cell, names)
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	return false;
}

/* SQL's spelling of names: folded to lower case unless quoted. */
static void
take_names(const Option *option, const char *text, void *target)
{
	List *names;
	List *seen = NIL;
	ListCell *cell;

	if (!SplitIdentifierString(pstrdup(text), ',', &names) || names == NIL)
		bad_value(option, "The value must be a list of column names, separated by commas.");
	foreach (cell, names)
	{
		if (list_has(seen, lfirst(cell)))
			bad_value(option, psprintf("Column \"%s\" is listed twice.", (char *) lfirst(cell)));
		seen = lappend(seen, lfirst(cell));
	}
	if (target != NULL)
		*(List **) target = names;
}

/* A schema and a table in SQL's spelling: what it means must not depend on who asks. */
static void
take_relation(const Option *option, const char *text, void *target)
{
	List *names;

	if (!SplitIdentifierString(pstrdup(text), '.', &names) || list_length(names) != 2)
		bad_value(option, "The value must be a table's name with its schema, like public.rejects.");
	take_text(option, text, target);
}

static void
take_type(const Option *option, const char *text, void *target)
{
	DvType type = dv_type_from_name(text);

	if (type == DV_TYPE_UNKNOWN)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						errmsg("invalid value for option \"%s\"", option->name),
						errdetail("\"%s\" is not a Dataverse column type.", text),
						errhint("Leave the option out for columns of other types.")));
	if (target != NULL)
		*(int *) target = type;
}

/* ---- the validator ---- */

static const Option *
find_option(const char *name, int place)
{
	for (int i = 0; i < lengthof(options); i++)
		if ((options[i].places & place) != 0 && strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

/* The nearest name within four edits and half the word; postgres_fdw's rule. */
static const char *
nearest_option(const char *name, int place)
{
	const char *nearest = NULL;
	int len = (int) strlen(name);
	int best = Min(4, len / 2);

	if (len >= NAMEDATALEN)
		return NULL;
	for (int i = 0; i < lengthof(options); i++)
	{
		const char *other = options[i].name;
		int distance;

		if ((options[i].places & place) == 0)
			continue;
		distance = varstr_levenshtein_less_equal(name, len, other, (int) strlen(other), 1, 1, 1,
												 best, true);
		if (distance > best || (nearest != NULL && distance == best))
			continue;
		nearest = other;
		best = distance;
	}
	return nearest;
}

static const char *
names_in(int place)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < lengthof(options); i++)
		if ((options[i].places & place) != 0)
			appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", options[i].name);
	return list.data;
}

/* "a server or a foreign table": where an option may stand; NULL when there is none of that name. */
static const char *
owners_of(const char *name)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < lengthof(places); i++)
		if (find_option(name, places[i].place) != NULL)
			appendStringInfo(&list, "%s%s", list.len > 0 ? " or " : "", places[i].owner);
	return list.len > 0 ? list.data : NULL;
}

/* What to do about a name that does not stand here. */
static const char *
unknown_option_hint(const char *name, int place)
{
	const char *nearest = nearest_option(name, place);
	const char *owners = owners_of(name);

	if (owners != NULL)
		return psprintf("This option belongs to %s.", owners);
	if (nearest != NULL)
		return psprintf("Perhaps you meant the option \"%s\".", nearest);
	if (place == 0)
		return "There are no valid options in this context.";
	return psprintf("Valid options in this context are: %s.", names_in(place));
}

static void
check_one(DefElem *def, int place)
{
	const Option *option = find_option(def->defname, place);

	if (option == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
						errmsg("invalid option \"%s\"", def->defname),
						errhint("%s", unknown_option_hint(def->defname, place))));
	option->take(option, defGetString(def), NULL);
	if (option->needs_file_right && !has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied to set option \"%s\"", option->name),
						errdetail("Only roles with privileges of the \"%s\" role may set it.",
								  "pg_read_server_files")));
}

static const char *
given(List *defs, const char *name)
{
	ListCell *cell;

	foreach (cell, defs)
	{
		DefElem *def = lfirst(cell);

		if (strcmp(def->defname, name) == 0)
			return defGetString(def);
	}
	return NULL;
}

/* Pairs that contradict each other, and options that another one needs. */
static const struct
{
	int place;
	const char *first;
	const char *second;
	const char *first_value; /* NULL: any */
	const char *second_value;
} conflicts[] = {
	/* All or nothing leaves no row aside. */
	{ON_SERVER, "transaction", "on_error", "statement", "ignore"},
	{ON_TABLE, "transaction", "on_error", "statement", "ignore"},
	{ON_USER, "access_token", "client_secret"},
	{ON_COLUMN, "label_of", "target_of"},
	{ON_COLUMN, "label_of", "navigation_property"},
	{ON_COLUMN, "target_of", "navigation_property"},
	{ON_COLUMN, "key_of", "label_of"},
	{ON_COLUMN, "key_of", "target_of"},
};

static const struct
{
	int place;
	const char *option; /* NULL: always */
	const char *needed;
	const char *hint;
} needs[] = {
	{ON_SERVER, NULL, "url",
	 "Give the environment's address, for example https://contoso.crm.dynamics.com."},
	{ON_TABLE, NULL, "entity_set_name",
	 "Use IMPORT FOREIGN SCHEMA, or take the name from the table's metadata (EntitySetName)."},
	{ON_USER, "client_secret", "client_id",
	 "Give the application (client) id that the secret belongs to."},
	{ON_COLUMN, "key_of", "target_key",
	 "Name the column of the target's alternate key whose value this column holds."},
	{ON_COLUMN, "target_key", "key_of", "Name the lookup that this column writes."},
};

static bool
given_as(List *defs, const char *name, const char *value)
{
	const char *text = given(defs, name);

	return text != NULL && (value == NULL || strcmp(text, value) == 0);
}

static char *
quote_option(const char *name, const char *value)
{
	return value ? psprintf("\"%s\" '%s'", name, value) : psprintf("\"%s\"", name);
}

static void
check_together(List *defs, int place)
{
	for (int i = 0; i < lengthof(conflicts); i++)
		if (conflicts[i].place == place &&
			given_as(defs, conflicts[i].first, conflicts[i].first_value) &&
			given_as(defs, conflicts[i].second, conflicts[i].second_value))
			ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
							errmsg("options %s and %s cannot be used together",
								   quote_option(conflicts[i].first, conflicts[i].first_value),
								   quote_option(conflicts[i].second, conflicts[i].second_value))));
	for (int i = 0; i < lengthof(needs); i++)
		if (needs[i].place == place && given(defs, needs[i].needed) == NULL &&
			(needs[i].option == NULL || given(defs, needs[i].option) != NULL))
			ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
							errmsg("option \"%s\" is required", needs[i].needed),
							errhint("%s", needs[i].hint)));
}

DV_FUNCTION(dataverse_fdw_validator)
{
	List *defs = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid catalog = PG_GETARG_OID(1);
	int place = 0;
	ListCell *cell;

	for (int i = 0; i < lengthof(places); i++)
		if (places[i].catalog == catalog)
			place = places[i].place;
	foreach (cell, defs)
		check_one(lfirst(cell), place);
	check_together(defs, place);
	PG_RETURN_VOID();
}

/* ---- readers ---- */

static void
take_defaults(Home home, void *target)
{
	for (int i = 0; i < lengthof(options); i++)
		if (options[i].home == home && options[i].fallback != NULL)
			options[i].take(&options[i], options[i].fallback, (char *) target + options[i].offset);
}

static void
take_given(List *defs, int place, Home home, void *target)
{
	ListCell *cell;

	foreach (cell, defs)
	{
		DefElem *def = lfirst(cell);
		const Option *option = find_option(def->defname, place);

		if (option != NULL && option->home == home)
			option->take(option, defGetString(def), (char *) target + option->offset);
	}
}

DvServerOptions *
dv_options_server(Oid serverid)
{
	ForeignServer *server = GetForeignServer(serverid);
	DvServerOptions *result = palloc0(sizeof(DvServerOptions));

	result->serverid = serverid;
	result->name = pstrdup(server->servername);
	take_defaults(HOME_SERVER, result);
	take_given(server->options, ON_SERVER, HOME_SERVER, result);
	take_defaults(HOME_SETTINGS, &result->settings);
	take_given(server->options, ON_SERVER, HOME_SETTINGS, &result->settings);
	if (result->url == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("server \"%s\" has no option \"url\"", result->name)));
	result->root = psprintf("%s/api/data/%s", result->url, result->api_version);
	if (result->scope == NULL)
		result->scope = psprintf("%s/.default", result->url);
	return result;
}

/* GetUserMapping answers with the user it was asked for; PUBLIC's mapping is another's. */
static Oid
mapping_owner(Oid umid)
{
	HeapTuple tuple = SearchSysCache1(USERMAPPINGOID, ObjectIdGetDatum(umid));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for user mapping %u", umid);
	owner = ((Form_pg_user_mapping) GETSTRUCT(tuple))->umuser;
	ReleaseSysCache(tuple);
	return owner;
}

DvUserOptions *
dv_options_user(Oid userid, Oid serverid)
{
	UserMapping *mapping = GetUserMapping(userid, serverid);
	DvUserOptions *result = palloc0(sizeof(DvUserOptions));

	result->umid = mapping->umid;
	result->userid = mapping_owner(mapping->umid);
	take_defaults(HOME_USER, result);
	take_given(mapping->options, ON_USER, HOME_USER, result);
	return result;
}

/* "_primarycontactid_value" is the property of the lookup primarycontactid (sheet 1.3). */
static char *
lookup_of_property(const char *name)
{
	static const char tail[] = "_value";
	size_t len = strlen(name);
	size_t tail_len = strlen(tail);

	if (len <= tail_len + 1 || name[0] != '_' || strcmp(name + len - tail_len, tail) != 0)
		return NULL;
	return pnstrdup(name + 1, len - tail_len - 1);
}

/* Fills property and logical from a name given in either form. */
static void
set_names(DvColumn *column, const char *name, bool is_lookup)
{
	char *lookup = lookup_of_property(name);

	if (lookup != NULL)
	{
		column->logical = lookup;
		column->property = pstrdup(name);
		return;
	}
	column->logical = pstrdup(name);
	column->property = is_lookup ? psprintf("_%s_value", name) : pstrdup(name);
}

/*
 * Labels and targets read an annotation of another column's property, keys of
 * targets nothing at all.  Their type stays unknown whatever the options say, so
 * that nothing takes them for that column in a condition.  A target is sent as
 * the table that its lookup is bound to, the others in place of the value.
 */
static void
set_companion(DvColumn *column, const ColumnOptions *given_options)
{
	const char *of = given_options->label_of;

	if (of == NULL)
		of = given_options->target_of != NULL ? given_options->target_of : given_options->key_of;
	set_names(column, of, given_options->label_of == NULL);
	column->type = DV_TYPE_UNKNOWN;
	column->read_only = given_options->read_only;
	if (given_options->label_of != NULL)
		column->label_of = column->logical;
	else if (given_options->target_of != NULL)
		column->target_of = column->logical;
	else
	{
		column->key_of = column->logical;
		column->target_type = (DvType) given_options->type;
		column->target_key = dv_type_is_lookup(column->target_type)
								 ? psprintf("_%s_value", given_options->target_key)
								 : given_options->target_key;
		column->navigation = given_options->navigation;
		column->target = given_options->target;
	}
}

static void
read_column(DvColumn *column, Oid relid, Form_pg_attribute attribute)
{
	ColumnOptions found = {0};

	column->attnum = attribute->attnum;
	column->name = pstrdup(NameStr(attribute->attname));
	column->typid = attribute->atttypid;
	column->typmod = attribute->atttypmod;
	column->collation = attribute->attcollation;
	column->notnull = attribute->attnotnull;
	column->generated = attribute->attgenerated != '\0';

	take_defaults(HOME_COLUMN, &found);
	take_given(GetForeignColumnOptions(relid, attribute->attnum), ON_COLUMN, HOME_COLUMN, &found);
	if (found.label_of != NULL || found.target_of != NULL || found.key_of != NULL)
	{
		set_companion(column, &found);
		return;
	}
	column->type = (DvType) found.type;
	column->navigation = found.navigation;
	column->target = found.target;
	column->read_only = found.read_only;
	set_names(column, found.column_name != NULL ? found.column_name : column->name,
			  dv_type_is_lookup(column->type));
}

/* Does a label of this column say what its value is? A lookup's is only a name. */
static bool
is_labelled_choice(const DvColumn *column)
{
	return dv_type_is_choice(column->type) || column->type == DV_TYPE_MULTISELECT ||
		   column->type == DV_TYPE_BOOLEAN || column->type == DV_TYPE_UNKNOWN;
}

/*
 * A label's property is that of the column it belongs to, which may be a lookup.
 * It is written if that column is.
 */
static void
resolve_companions(DvTable *table)
{
	for (int i = 0; i < table->ncolumns; i++)
	{
		DvColumn *column = &table->columns[i];
		DvColumn *whose;

		if (column->label_of == NULL)
			continue;
		whose = dv_table_column_logical(table, column->label_of);
		if (whose == NULL)
			continue;
		column->property = whose->property;
		column->read_only = column->read_only || whose->read_only || !is_labelled_choice(whose);
	}
}

/* Is its value the Dataverse column's own? */
static bool
is_own(const DvColumn *column)
{
	return column->label_of == NULL && column->target_of == NULL && column->key_of == NULL;
}

static void
read_columns(DvTable *table, TupleDesc desc)
{
	table->columns = palloc0(sizeof(DvColumn) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		DvColumn *column = &table->columns[table->ncolumns];

		if (attribute->attisdropped)
			continue;
		read_column(column, table->relid, attribute);
		column->is_primary_id = table->primary_id != NULL && is_own(column) &&
								strcmp(column->logical, table->primary_id) == 0;
		table->ncolumns++;
	}
	resolve_companions(table);
}

static const char *
not_own_reason(const DvColumn *column)
{
	return column->key_of != NULL ? "is part of another table's key"
								  : "shows a label or a target table";
}

void
dv_table_set_key(DvTable *table, const List *names, const char *source)
{
	ListCell *cell;

	for (int i = 0; i < table->ncolumns; i++)
		table->columns[i].is_key = false;
	table->nkeys = 0;
	table->keys = palloc(sizeof(char *) * Max(list_length(names), 1));
	foreach (cell, names)
	{
		DvColumn *column = dv_table_column_named(table, lfirst(cell));

		if (column == NULL || !is_own(column))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
					 errmsg("column \"%s\" in %s of foreign table \"%s\" %s", (char *) lfirst(cell),
							source, table->name,
							column == NULL ? "does not exist" : not_own_reason(column)),
					 errhint("List the columns of the alternate key by their names in the foreign "
							 "table.")));
		column->is_key = true;
		table->keys[table->nkeys++] = column->name;
	}
}

static void
read_table_options(DvTable *table, TableOptions *found)
{
	ForeignTable *foreign = GetForeignTable(table->relid);
	DvServerOptions *server = dv_options_server(foreign->serverid);

	table->serverid = foreign->serverid;
	table->settings = server->settings;
	take_given(foreign->options, ON_TABLE, HOME_SETTINGS, &table->settings);
	take_defaults(HOME_TABLE, found);
	take_given(foreign->options, ON_TABLE, HOME_TABLE, found);

	/* elastic tables work best with batches of 100 (sheet 5.3); any number given wins */
	if (found->table_type == DV_TABLE_ELASTIC && given(foreign->options, "batch_size") == NULL &&
		given(GetForeignServer(foreign->serverid)->options, "batch_size") == NULL)
		table->settings.batch_size = 100;
}

bool
dv_options_updatable(Oid relid)
{
	DvTable table = {.relid = relid};
	TableOptions found = {0};

	read_table_options(&table, &found);
	return table.settings.updatable;
}

DvTable *
dv_options_table(Oid relid)
{
	DvTable *table = palloc0(sizeof(DvTable));
	TableOptions found = {0};
	Relation rel = table_open(relid, AccessShareLock);

	table->relid = relid;
	table->name = pstrdup(RelationGetRelationName(rel));
	read_table_options(table, &found);
	if (found.entity_set == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("foreign table \"%s\" has no option \"entity_set_name\"", table->name)));
	table->table_name = found.table_name != NULL ? found.table_name : table->name;
	table->entity_set = found.entity_set;
	table->primary_id = found.primary_id;
	table->table_type = (DvTableType) found.table_type;
	table->partition = found.partition;
	read_columns(table, RelationGetDescr(rel));
	dv_table_set_key(table, found.key, "option \"key\"");
	table_close(rel, NoLock);
	return table;
}

DvColumn *
dv_table_column(const DvTable *table, AttrNumber attnum)
{
	for (int i = 0; i < table->ncolumns; i++)
		if (table->columns[i].attnum == attnum)
			return &table->columns[i];
	return NULL;
}

DvColumn *
dv_table_column_named(const DvTable *table, const char *name)
{
	for (int i = 0; i < table->ncolumns; i++)
		if (strcmp(table->columns[i].name, name) == 0)
			return &table->columns[i];
	return NULL;
}

DvColumn *
dv_table_column_logical(const DvTable *table, const char *logical)
{
	for (int i = 0; i < table->ncolumns; i++)
		if (is_own(&table->columns[i]) && strcmp(table->columns[i].logical, logical) == 0)
			return &table->columns[i];
	return NULL;
}

static bool
is_instant(const DvColumn *column)
{
	return column != NULL &&
		   (column->type == DV_TYPE_DATETIME || column->type == DV_TYPE_DATETIME_FLOATING);
}

DvColumn *
dv_table_partition(const DvTable *table)
{
	DvColumn *column;

	if (table->partition == NULL)
	{
		column = dv_table_column_logical(table, "createdon");
		return is_instant(column) ? column : NULL;
	}
	column = dv_table_column_named(table, table->partition);
	if (!is_instant(column))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
				 errmsg("column \"%s\" in option \"partition_column\" of foreign table \"%s\" %s",
						table->partition, table->name,
						column == NULL ? "does not exist" : "is not a date with time"),
				 errhint("Name a column of the foreign table whose attribute_type is DateTime or "
						 "TimeZoneIndependent.")));
	return column;
}

bool
dv_options_describe(int n, DvOptionInfo *info)
{
	StringInfoData where;

	if (n < 0 || n >= lengthof(options))
		return false;
	initStringInfo(&where);
	for (int i = 0; i < lengthof(places); i++)
		if ((options[n].places & places[i].place) != 0)
			appendStringInfo(&where, "%s%s", where.len > 0 ? ", " : "", places[i].name);
	info->name = options[n].name;
	info->context = where.data;
	info->fallback = options[n].fallback;
	info->description = options[n].description;
	return true;
}
