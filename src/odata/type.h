/*
 * type.h
 *	  The column types of Dataverse by name, and what kind of literal each has.
 *
 * Source: protocol sheet 3.1, 3.3.  The names are those of the column option
 * attribute_type.  DateTime is split by its behaviour, since the behaviour
 * decides what a value means: DateTime is UserLocal.
 */
#ifndef DV_ODATA_TYPE_H
#define DV_ODATA_TYPE_H

#include "odata/base.h"

typedef enum DvType
{
	DV_TYPE_UNKNOWN = 0, /* a hand-written column that does not say */
	DV_TYPE_STRING,
	DV_TYPE_MEMO,
	DV_TYPE_ENTITY_NAME,
	DV_TYPE_INTEGER,
	DV_TYPE_BIGINT,
	DV_TYPE_DECIMAL,
	DV_TYPE_DOUBLE,
	DV_TYPE_MONEY,
	DV_TYPE_BOOLEAN,
	DV_TYPE_PICKLIST,
	DV_TYPE_STATE,
	DV_TYPE_STATUS,
	DV_TYPE_MULTISELECT,
	DV_TYPE_DATETIME,          /* UserLocal: an instant, UTC on the wire */
	DV_TYPE_DATETIME_FLOATING, /* TimeZoneIndependent: no zone, though
								 * written with Z */
	DV_TYPE_DATE,              /* DateOnly */
	DV_TYPE_GUID,
	DV_TYPE_LOOKUP,
	DV_TYPE_CUSTOMER,
	DV_TYPE_OWNER,
	DV_TYPE_IMAGE
} DvType;

#define DV_TYPE_COUNT (DV_TYPE_IMAGE + 1)

/* How a value looks in $filter and in a JSON body. */
typedef enum DvEdm
{
	DV_EDM_NONE, /* cannot be compared */
	DV_EDM_STRING,
	DV_EDM_INT32,
	DV_EDM_INT64,
	DV_EDM_DECIMAL,
	DV_EDM_DOUBLE,
	DV_EDM_BOOLEAN,
	DV_EDM_GUID,
	DV_EDM_DATETIME,
	DV_EDM_DATE,
	DV_EDM_CHOICES /* multi-select: '1,9' */
} DvEdm;

/* Case-insensitive; DV_TYPE_UNKNOWN when there is no such type. */
extern DvType dv_type_from_name(const char *name);

/* Spelling as in attribute_type; "unknown" for DV_TYPE_UNKNOWN. */
extern const char *dv_type_name(DvType type);
extern DvEdm dv_type_edm(DvType type);

extern bool dv_type_is_text(DvType type);   /* String, Memo, EntityName */
extern bool dv_type_is_lookup(DvType type); /* Lookup, Customer, Owner */
extern bool dv_type_is_choice(DvType type); /* Picklist, State, Status */

#endif /* DV_ODATA_TYPE_H */
