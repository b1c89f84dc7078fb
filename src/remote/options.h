/*
 * options.h
 *	  Which options exist, validated, and read into typed structs.
 *
 * One table row per option holds its name, where it is allowed, its parser,
 * default and description; validator, readers, the hint for a misspelt name
 * and the README's table come from it.
 *
 * All readers allocate in the current context and never ask the service.
 */
#ifndef DV_REMOTE_OPTIONS_H
#define DV_REMOTE_OPTIONS_H

#include "access/attnum.h"
#include "nodes/pg_list.h"
#include "odata/type.h"

typedef enum DvOnConflict
{
	DV_CONFLICT_DEFAULT = 0, /* update when a key is set, else error */
	DV_CONFLICT_UPDATE,
	DV_CONFLICT_NOTHING,
	DV_CONFLICT_ERROR
} DvOnConflict;

typedef enum DvTableType
{
	DV_TABLE_STANDARD,
	DV_TABLE_ELASTIC,
	DV_TABLE_VIRTUAL
} DvTableType;

/* Settings that a table may override; times in seconds, sizes in rows. */
typedef struct DvSettings
{
	int fetch_size;  /* rows per page, 1..5000 */
	int batch_size;  /* rows per bulk request */
	int concurrency; /* requests in flight, 1..52 */
	bool remote_estimate;
	bool async_capable;
	double startup_cost;
	double tuple_cost;
	bool updatable;
	DvOnConflict on_conflict;
	bool null_omit;     /* null_columns 'omit' */
	bool ignore_errors; /* on_error 'ignore' */
	int reject_limit;   /* refused rows tolerated; 0: any number */
	char *reject_table; /* schema.table in SQL's spelling, or NULL */
	char *result_table; /* the same */
	bool skip_unchanged;
	bool validate;
	char *bypass_business_logic; /* header value, or NULL */
	bool bypass_flows;
	bool suppress_duplicate_detection; /* true is the service's default */
	char *tag;                         /* or NULL */
	bool atomic;                       /* transaction 'statement' */
	bool optimistic;                   /* UPDATE and DELETE only rows that are as they were read */
} DvSettings;

typedef struct DvServerOptions
{
	Oid serverid;
	char *name;
	char *url;  /* environment root, no slash at the end */
	char *root; /* <url>/api/data/<api_version> */
	char *api_version;
	char *tenant_id; /* or NULL */
	char *authority;
	char *scope;
	char *sslrootcert;   /* or NULL */
	int connect_timeout; /* seconds */
	int request_timeout;
	int retry_timeout;
	DvSettings settings;
} DvServerOptions;

/* Secrets: never printed, never copied into plans. */
typedef struct DvUserOptions
{
	Oid umid;
	Oid userid; /* as in the mapping: InvalidOid for PUBLIC */
	char *client_id;
	char *client_secret;
	char *client_certificate;
	char *client_key;
	bool managed_identity;
	char *access_token;
	char *caller_object_id;
	bool password_required;
} DvUserOptions;

typedef struct DvColumn
{
	AttrNumber attnum;
	char *name; /* in PostgreSQL */
	Oid typid;
	int32 typmod;
	Oid collation;
	bool notnull;
	bool generated; /* GENERATED ALWAYS AS ... STORED */
	char *property; /* in rows: accountnumber, _primarycontactid_value */
	char *logical;  /* logical name: accountnumber, primarycontactid */
	DvType type;
	char *label_of;   /* logical name, or NULL */
	char *target_of;  /* logical name, or NULL */
	char *navigation; /* navigation_property, or NULL */
	char *target;     /* target entity set, or NULL */
	char *key_of;     /* logical name of the lookup that this column writes by a key
					   * of its target; or NULL */
	char *target_key; /* with it: the target's property */
	DvType target_type;
	bool read_only;
	bool is_key; /* part of the alternate key */
	bool is_primary_id;
} DvColumn;

typedef struct DvTable
{
	Oid relid;
	Oid serverid;
	char *name;       /* in PostgreSQL, for messages */
	char *table_name; /* logical name */
	char *entity_set;
	char *primary_id; /* logical name, or NULL when not given */
	DvTableType table_type;
	char *partition;     /* option partition_column, or NULL */
	int nkeys;           /* columns of the alternate key, 0 for none */
	char **keys;         /* names as in the option "key": PostgreSQL's column names */
	int ncolumns;        /* live columns */
	DvColumn *columns;   /* in attnum order */
	DvSettings settings; /* server's, overridden by the table's */
} DvTable;

extern DvServerOptions *dv_options_server(Oid serverid);
extern DvUserOptions *dv_options_user(Oid userid, Oid serverid);
extern DvTable *dv_options_table(Oid relid);

/* Option updatable alone: columns that do not fit the table's options are no error here. */
extern bool dv_options_updatable(Oid relid);

/* NULL when there is none. */
extern DvColumn *dv_table_column(const DvTable *table, AttrNumber attnum);
extern DvColumn *dv_table_column_named(const DvTable *table, const char *name);
extern DvColumn *
dv_table_column_logical(const DvTable *table,
						const char *logical); /* not labels, targets, keys of targets */

/*
 * Makes these columns (char *, names in PostgreSQL) the table's alternate key in
 * place of the one it has.  Throws for a name that is no column to be sent;
 * source says where the names come from.
 */
extern void dv_table_set_key(DvTable *table, const List *names, const char *source);

/*
 * The datetime column by whose ranges the table may be read, or NULL: the one
 * named by partition_column, which throws when it is none, else createdon.
 */
extern DvColumn *dv_table_partition(const DvTable *table);

/* One row of the option table, as dataverse_options() and the README show it. */
typedef struct DvOptionInfo
{
	const char *name;
	const char *context;  /* server, table, column, user mapping; several with commas */
	const char *fallback; /* default, or NULL */
	const char *description;
} DvOptionInfo;

/* The nth option, counted from 0 in the table's order; false when there are no more. */
extern bool dv_options_describe(int n, DvOptionInfo *info);

/* dataverse_fdw_validator is SQL-callable and needs no prototype here. */

#endif /* DV_REMOTE_OPTIONS_H */
