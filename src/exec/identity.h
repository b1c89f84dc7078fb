/*
 * identity.h
 *	  Which row of the service a row of a statement is: its id or key, its
 *	  address, its version.
 */
#ifndef DV_EXEC_IDENTITY_H
#define DV_EXEC_IDENTITY_H

#include "executor/tuptable.h"
#include "handoff.h"
#include "lib/stringinfo.h"
#include "nodes/bitmapset.h"
#include "odata/url.h"
#include "remote/service.h"

typedef struct DvIdentity DvIdentity;

typedef struct DvIdentitySpec
{
	DvService *service;
	const DvTable *table;
	const DvModifyPlan *plan;
	bool own_ids;               /* INSERT: an id that is given counts as made here */
	AttrNumber id_attno;        /* UPDATE, DELETE: place of the primary id among the
								 * plan slot's junk; 0: the row has the alternate key */
	AttrNumber partition_attno; /* the same for partitionid of elastic tables; 0 none */
	AttrNumber old_attno;       /* UPDATE: the same for the whole row read; 0 none */
	AttrNumber etag_attno;      /* the same for the version that was read; 0: any will do */
} DvIdentitySpec;

/* One row of the statement, apart from its columns. UTF-8; in the caller's context. */
typedef struct DvRow
{
	int64 number;             /* in the statement, from 1 */
	char *id;                 /* primary id; NULL while only the key is known */
	char *etag;               /* UPDATE, DELETE: only this version of the row; or NULL */
	const Bitmapset *changed; /* what a trigger may have changed: see encode.c; not copied */
	bool id_given;            /* by the user, not made here */
	bool found;               /* id is that of a row that was looked for, and there */
	bool by_key;              /* the address is the alternate key, whose columns then
					   * stay out of the body */
	bool refused;             /* a key value that no address can hold (sheet 1.5): id
					   * must be found, dv_identity_settle called */
	int nparts;               /* the address */
	DvKeyPart *parts;
	int nkeys; /* the alternate key's values, for messages and for looking
					   * up ids; same as parts when by_key */
	DvKeyPart *keys;
	char *fold; /* equal to that of another row that may be the same one;
					   * NULL where no two can be */
} DvRow;

/* Current context, which must outlive it. Makes no request. */
extern DvIdentity *dv_identity_prepare(const DvIdentitySpec *spec);

/*
 * Which row this is: fills row.  Returns the key column that is null, and then
 * row is of no use; NULL when all is well.
 */
extern const DvColumn *dv_identity_find(DvIdentity *identity, TupleTableSlot *slot,
										TupleTableSlot *planslot, DvRow *row);

/* Gives a refused row its id: from here on it is addressed by it. id NULL: one is made. */
extern void dv_identity_settle(DvIdentity *identity, DvRow *row, const char *id);

/* A copy in the current context. */
extern void dv_identity_copy(DvRow *to, const DvRow *from);

/* Appends the row's address. in_url as in dv_url_key. */
extern void dv_identity_address(const DvIdentity *identity, const DvRow *row, bool in_url,
								StringInfo out);

/* For messages, in the server encoding: accountnumber='A1'; the row's number where it has no key. */
extern char *dv_identity_show(const DvIdentity *identity, const DvRow *row);

/* Logical name of the primary id; throws when neither options nor metadata know it. */
extern const char *dv_identity_primary_id(DvIdentity *identity);

/* The alternate key's columns, in the order of DvRow.keys. */
extern const DvColumn *const *dv_identity_keys(const DvIdentity *identity, int *n);

#endif /* DV_EXEC_IDENTITY_H */
