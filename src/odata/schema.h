/*
 * schema.h
 *	  Table metadata as structs, and which PostgreSQL type fits a column.
 *
 * Source: protocol sheet 9; the document is an answer of
 * RetrieveMetadataChanges (9.5) or of EntityDefinitions with $expand.
 * Uses jansson.
 */
#ifndef DV_ODATA_SCHEMA_H
#define DV_ODATA_SCHEMA_H

#include "odata/type.h"

typedef struct DvChoice
{
	int value;
	char *label; /* user's language; NULL when unlabelled */
	int state;   /* of a status: the state that it belongs to; -1 elsewhere */
} DvChoice;

typedef struct DvAttribute
{
	char *name; /* logical name */
	char *schema_name;
	char *property;    /* name in rows: _x_value for lookups */
	char *description; /* display name, or NULL */
	DvType type;
	int max_length; /* characters; 0 unknown */
	int precision;  /* digits after the point; -1 unknown */
	bool bounded;   /* least and most are known */
	double least;   /* numbers; as near as a double comes */
	double most;
	int max_kb;    /* images; 0 unknown */
	bool required; /* SystemRequired */
	bool creatable;
	bool updatable;
	bool computed; /* calculated, rollup, formula */
	bool is_primary_id;
	bool is_primary_name;
	int ntargets;       /* lookups */
	char **targets;     /* logical names */
	char **navigations; /* one per target, from ManyToOneRelationships; NULL entries unknown */
	int nchoices;
	DvChoice *choices;
} DvAttribute;

typedef struct DvAlternateKey
{
	char *name;
	int ncolumns;
	char **columns; /* logical names */
	bool active;
} DvAlternateKey;

typedef struct DvSchema
{
	char *name; /* logical name */
	char *set_name;
	char *description; /* display name, or NULL */
	char *metadata_id; /* or NULL */
	char *primary_id;
	char *primary_name; /* or NULL */
	char *table_type;   /* standard, elastic, virtual */
	bool change_tracking;
	bool optimistic_concurrency;
	bool is_private;
	bool is_intersect;
	int nattributes;
	DvAttribute *attributes; /* importable ones only, in ColumnNumber order, primary id first */
	int nkeys;
	DvAlternateKey *keys;
} DvSchema;

/*
 * All tables in the document, sorted by name; false with error set when it is
 * not such a document.  Everything is palloc'd in the current context, texts
 * in UTF-8.  Members that the request did not ask for stay empty.
 */
extern bool dv_schema_parse(const char *body, size_t len, DvSchema **schemas, int *nschemas,
							DvError *error);

/* SQL type name for CREATE FOREIGN TABLE (design 1.3): integer, numeric, timestamptz ... */
extern const char *dv_schema_pg_type(const DvAttribute *attribute);

/* Is it never worth sending? Neither creatable nor updatable, or computed by the service (sheet 3.7). */
extern bool dv_schema_read_only(const DvAttribute *attribute);

/* NULL when there is none. Both by logical name. */
extern const DvAttribute *dv_schema_attribute(const DvSchema *schema, const char *name);
extern const char *dv_schema_choice_label(const DvAttribute *attribute, int value);

#endif /* DV_ODATA_SCHEMA_H */
