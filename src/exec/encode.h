/*
 * encode.h
 *	  A row as JSON fields: plain columns, lookups as binds, the key as an
 *	  address.
 */
#ifndef DV_EXEC_ENCODE_H
#define DV_EXEC_ENCODE_H

#include "executor/tuptable.h"
#include "exec/lookup.h"
#include "nodes/bitmapset.h"
#include "handoff.h"
#include "odata/body.h"
#include "odata/url.h"
#include "remote/service.h"

typedef struct DvEncode DvEncode;

typedef struct DvEncodeSpec
{
	DvService *service;
	const DvTable *table;
	const DvModifyPlan *plan;
	TupleDesc desc;             /* of the rows; must live as long */
	bool own_ids;               /* INSERT: an id that is given counts as made here */
	AttrNumber id_attno;        /* UPDATE, DELETE: place of the primary id among the
								 * plan slot's junk; 0: the row has the alternate key */
	AttrNumber partition_attno; /* the same for partitionid of elastic tables; 0 none */
	AttrNumber old_attno;       /* UPDATE: the same for the whole row read; 0: all columns go */
	AttrNumber etag_attno;      /* the same for the version that was read; 0: any will do */
} DvEncodeSpec;

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
					   * must be found, dv_encode_settle called */
	int nparts;               /* the address */
	DvKeyPart *parts;
	int nkeys; /* the alternate key's values, for messages and for looking
					   * up ids; same as parts when by_key */
	DvKeyPart *keys;
	char *fold; /* equal to that of another row that may be the same one;
					   * NULL where no two can be */
} DvRow;

/* Current context, which must outlive it. Makes no request. */
extern DvEncode *dv_encode_prepare(const DvEncodeSpec *spec);

/*
 * Which row this is: fills row.  Returns the key column that is null, and then
 * row is of no use; NULL when all is well.
 */
extern const DvColumn *dv_encode_identify(DvEncode *encode, TupleTableSlot *slot,
										  TupleTableSlot *planslot, DvRow *row);

/* Gives a refused row its id: from here on it is addressed by it. id NULL: one is made. */
extern void dv_encode_settle(DvEncode *encode, DvRow *row, const char *id);

/* A copy in the current context. */
extern void dv_encode_copy_row(DvRow *to, const DvRow *from);

/*
 * The row as the body's next one.  May ask for metadata (waits) where a lookup
 * leads to several tables.  Throws for values that cannot be sent.
 */
extern void dv_encode_row(DvEncode *encode, TupleTableSlot *slot, const DvRow *row, DvBody *body);

/* A field of the body, by its mark (dv_body_mark). */
typedef struct DvEncodedField
{
	const char *property; /* under which the service shows its value */
	const char *logical;
	DvType type;
	const DvLookup *lookup; /* it is written by; or NULL */
} DvEncodedField;

/* Marks are 0 up to that. */
extern int dv_encode_marks(const DvEncode *encode);
extern void dv_encode_describe(const DvEncode *encode, int mark, DvEncodedField *field);

/* Appends the row's address. in_url as in dv_url_key. */
extern void dv_encode_address(const DvEncode *encode, const DvRow *row, bool in_url,
							  StringInfo out);

/* For messages, in the server encoding: accountnumber='A1'; the row's number where it has no key. */
extern char *dv_encode_show(const DvEncode *encode, const DvRow *row);

/* Logical name of the primary id; throws when neither options nor metadata know it. */
extern const char *dv_encode_primary_id(DvEncode *encode);

/* The alternate key's columns, in the order of DvRow.keys. */
extern const DvColumn *const *dv_encode_keys(const DvEncode *encode, int *n);

/* Is the column's value known here once the row is written (so that RETURNING need not ask)? */
extern bool dv_encode_sends(const DvTable *table, const DvModifyPlan *plan, const DvColumn *column);

#endif /* DV_EXEC_ENCODE_H */
