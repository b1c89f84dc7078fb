/*
 * type.c
 *	  The column types of Dataverse by name, and what kind of literal each has.
 *
 * One table.  Images are read and written but never compared, hence without a
 * literal.  An unknown type has none either: what is not known is not pushed.
 */
#include "odata/type.h"

#include "compat.h"

typedef enum TypeGroup
{
	GROUP_NONE,
	GROUP_TEXT,
	GROUP_CHOICE,
	GROUP_LOOKUP
} TypeGroup;

static const struct
{
	const char *name;
	DvEdm edm;
	TypeGroup group;
} types[DV_TYPE_COUNT] = {
	[DV_TYPE_UNKNOWN] = {"unknown", DV_EDM_NONE, GROUP_NONE},
	[DV_TYPE_STRING] = {"String", DV_EDM_STRING, GROUP_TEXT},
	[DV_TYPE_MEMO] = {"Memo", DV_EDM_STRING, GROUP_TEXT},
	[DV_TYPE_ENTITY_NAME] = {"EntityName", DV_EDM_STRING, GROUP_TEXT},
	[DV_TYPE_INTEGER] = {"Integer", DV_EDM_INT32, GROUP_NONE},
	[DV_TYPE_BIGINT] = {"BigInt", DV_EDM_INT64, GROUP_NONE},
	[DV_TYPE_DECIMAL] = {"Decimal", DV_EDM_DECIMAL, GROUP_NONE},
	[DV_TYPE_DOUBLE] = {"Double", DV_EDM_DOUBLE, GROUP_NONE},
	[DV_TYPE_MONEY] = {"Money", DV_EDM_DECIMAL, GROUP_NONE},
	[DV_TYPE_BOOLEAN] = {"Boolean", DV_EDM_BOOLEAN, GROUP_NONE},
	[DV_TYPE_PICKLIST] = {"Picklist", DV_EDM_INT32, GROUP_CHOICE},
	[DV_TYPE_STATE] = {"State", DV_EDM_INT32, GROUP_CHOICE},
	[DV_TYPE_STATUS] = {"Status", DV_EDM_INT32, GROUP_CHOICE},
	[DV_TYPE_MULTISELECT] = {"MultiSelectPicklist", DV_EDM_CHOICES, GROUP_NONE},
	[DV_TYPE_DATETIME] = {"DateTime", DV_EDM_DATETIME, GROUP_NONE},
	[DV_TYPE_DATETIME_FLOATING] = {"TimeZoneIndependent", DV_EDM_DATETIME, GROUP_NONE},
	[DV_TYPE_DATE] = {"DateOnly", DV_EDM_DATE, GROUP_NONE},
	[DV_TYPE_GUID] = {"Uniqueidentifier", DV_EDM_GUID, GROUP_NONE},
	[DV_TYPE_LOOKUP] = {"Lookup", DV_EDM_GUID, GROUP_LOOKUP},
	[DV_TYPE_CUSTOMER] = {"Customer", DV_EDM_GUID, GROUP_LOOKUP},
	[DV_TYPE_OWNER] = {"Owner", DV_EDM_GUID, GROUP_LOOKUP},
	[DV_TYPE_IMAGE] = {"Image", DV_EDM_NONE, GROUP_NONE},
};

DvType
dv_type_from_name(const char *name)
{
	int type;

	for (type = DV_TYPE_UNKNOWN + 1; type < DV_TYPE_COUNT; type++)
	{
		if (pg_strcasecmp(name, types[type].name) == 0)
			return (DvType) type;
	}
	return DV_TYPE_UNKNOWN;
}

const char *
dv_type_name(DvType type)
{
	return types[type].name;
}

DvEdm
dv_type_edm(DvType type)
{
	return types[type].edm;
}

bool
dv_type_is_text(DvType type)
{
	return types[type].group == GROUP_TEXT;
}

bool
dv_type_is_lookup(DvType type)
{
	return types[type].group == GROUP_LOOKUP;
}

bool
dv_type_is_choice(DvType type)
{
	return types[type].group == GROUP_CHOICE;
}
