/*
 * sessionkey.c
 *	  The setting that gives tables another alternate key for a while.
 *
 *		SET LOCAL dataverse_fdw.key = 'crm.account(accountnumber), contact(firstname, emailaddress1)';
 *
 * One statement may write several tables, through triggers and functions, so
 * each key stands with its table.  Names are SQL's: folded unless quoted, found
 * by search_path unless qualified.  An empty list, account(), takes the table's
 * key away, and INSERT creates.
 *
 * The value is read when a statement begins to write, not when it is planned,
 * so that a plan kept from before obeys it.  It is checked there, too, and not
 * by SET: a session may set it before the library is loaded, and PostgreSQL
 * would then drop a bad value with a warning.  A name that does not exist must
 * stop the statement, since rows meant for one key would otherwise go by
 * another, or become duplicates.
 */
#include "postgres.h"

#include "compat.h"

#include "catalog/namespace.h"
#include "nodes/makefuncs.h"
#include "parser/scansup.h"
#include "utils/guc.h"

#include "remote/sessionkey.h"

#define SETTING "dataverse_fdw.key"

static char *setting = NULL;

/* One table's key. */
typedef struct Choice
{
	char *schema; /* or NULL */
	char *table;
	List *columns; /* char * */
} Choice;

void
dv_sessionkey_init(void)
{
	DefineCustomStringVariable(
		SETTING,
		"Alternate keys by which INSERT addresses rows, instead of the tables' option key.",
		"Written as table(column, ...), several with commas; table() for no key.", &setting, "",
		PGC_USERSET, 0, NULL, NULL, NULL);
}

/*
 * Reading the value.
 */

static const char *
skip_blanks(const char *p)
{
	while (scanner_isspace(*p))
		p++;
	return p;
}

/* Takes a character if it comes next. */
static bool
take(const char **p, char c)
{
	*p = skip_blanks(*p);
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

static char *
take_quoted(const char **p)
{
	StringInfoData name;

	initStringInfo(&name);
	for ((*p)++; **p != '\0'; (*p)++)
	{
		if (**p == '"' && (*p)[1] != '"')
		{
			(*p)++;
			return name.len > 0 ? name.data : NULL;
		}
		*p += **p == '"';
		appendStringInfoChar(&name, **p);
	}
	return NULL;
}

/* A name, or NULL where there is none. */
static char *
take_name(const char **p)
{
	size_t len;

	*p = skip_blanks(*p);
	if (**p == '"')
		return take_quoted(p);
	len = strcspn(*p, " \t\n\r\f\v\".,()");
	*p += len;
	return len > 0 ? downcase_identifier(*p - len, (int) len, false, false) : NULL;
}

static bool
take_columns(const char **p, List **columns)
{
	if (!take(p, '('))
		return false;
	if (take(p, ')'))
		return true;
	do
	{
		char *name = take_name(p);

		if (name == NULL)
			return false;
		*columns = lappend(*columns, name);
	} while (take(p, ','));
	return take(p, ')');
}

static bool
take_choice(const char **p, Choice *choice)
{
	choice->table = take_name(p);
	if (choice->table != NULL && take(p, '.'))
	{
		choice->schema = choice->table;
		choice->table = take_name(p);
	}
	return choice->table != NULL && take_columns(p, &choice->columns);
}

/* All choices, List of Choice *; false when the text is none. */
static bool
read_choices(const char *p, List **choices)
{
	if (*skip_blanks(p) == '\0')
		return true;
	do
	{
		Choice *choice = palloc0(sizeof(Choice));

		if (!take_choice(&p, choice))
			return false;
		*choices = lappend(*choices, choice);
	} while (take(&p, ','));
	return *skip_blanks(p) == '\0';
}

/*
 * Applying it.
 */

static Oid
find_table(const Choice *choice)
{
	Oid relid = RangeVarGetRelid(makeRangeVar(choice->schema, choice->table, -1), NoLock, true);

	if (!OidIsValid(relid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("table \"%s%s%s\" in setting \"%s\" does not exist",
							   choice->schema ? choice->schema : "", choice->schema ? "." : "",
							   choice->table, SETTING),
						errhint("Name the foreign table as in SQL; with its schema where functions "
								"have a search_path of their own.")));
	return relid;
}

void
dv_sessionkey_apply(DvTable *table)
{
	List *choices = NIL;
	bool found = false;
	ListCell *lc;

	if (setting == NULL || setting[0] == '\0')
		return;
	if (!read_choices(setting, &choices))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("setting \"%s\" cannot be read: %s", SETTING, setting),
						errhint("Write table(column, ...), several with commas, for example "
								"account(accountnumber); table() for no key.")));
	foreach (lc, choices)
	{
		const Choice *choice = lfirst(lc);

		if (find_table(choice) != table->relid)
			continue;
		if (found)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("setting \"%s\" names foreign table \"%s\" twice", SETTING,
								   table->name)));
		dv_table_set_key(table, choice->columns, "setting \"" SETTING "\"");
		found = true;
	}
}
