"""The model as metadata documents: the shapes of sheet 9.2 to 9.4, built once per model.

Documents are plain dictionaries in the order of the wire. ``metadata`` selects from them, filters
them and answers requests; nothing here knows a request.
"""
from __future__ import annotations

import functools
from typing import Any, Optional

from .core import Association, Column, Key, Kind, Model, Option, Relationship, Table
from .tables import metadata_id

Document = dict[str, Any]

LANGUAGE = 1033
NAMESPACE = "Microsoft.Dynamics.CRM."
ELASTIC_PROVIDER = "1d9bde74-9ebd-4da9-8ff5-aa74945b9f74"
VIRTUAL_PROVIDER = "7015a531-cc0d-4537-b5f2-c882a1eb65ad"
_CREATED = "2020-01-01T00:00:00Z"
_MODIFIED = "2024-01-01T00:00:00Z"

#: Kind -> (cast type without ``AttributeMetadata``, AttributeType) (sheet 3.1, 9.1).
_TYPES: dict[Kind, tuple[str, str]] = {
    Kind.STRING: ("String", "String"),
    Kind.MEMO: ("Memo", "Memo"),
    Kind.ENTITY_NAME: ("EntityName", "EntityName"),
    Kind.INTEGER: ("Integer", "Integer"),
    Kind.BIGINT: ("BigInt", "BigInt"),
    Kind.DECIMAL: ("Decimal", "Decimal"),
    Kind.DOUBLE: ("Double", "Double"),
    Kind.MONEY: ("Money", "Money"),
    Kind.BOOLEAN: ("Boolean", "Boolean"),
    Kind.PICKLIST: ("Picklist", "Picklist"),
    Kind.STATE: ("State", "State"),
    Kind.STATUS: ("Status", "Status"),
    Kind.MULTISELECT: ("MultiSelectPicklist", "Virtual"),
    Kind.DATETIME: ("DateTime", "DateTime"),
    Kind.GUID: ("UniqueIdentifier", "Uniqueidentifier"),
    Kind.LOOKUP: ("Lookup", "Lookup"),
    Kind.CUSTOMER: ("Lookup", "Customer"),
    Kind.OWNER: ("Lookup", "Owner"),
    Kind.IMAGE: ("Image", "Virtual"),
}
#: What may stand as a cast segment, also where no column of the model has that type.
CAST_TYPES = frozenset(f"{name}AttributeMetadata" for name, _ in _TYPES.values()) | {
    "FileAttributeMetadata", "ManagedPropertyAttributeMetadata", "AttributeMetadata"}


# --- small shapes -----------------------------------------------------------------------------


def label(text: str, *owner: str) -> Document:
    """A localized label; without a text it is empty, not absent (sheet 9.4)."""
    if not text:
        return {"LocalizedLabels": [], "UserLocalizedLabel": None}
    one = {"Label": text, "LanguageCode": LANGUAGE, "IsManaged": True,
           "MetadataId": metadata_id("label", *owner, text), "HasChanged": None}
    return {"LocalizedLabels": [one], "UserLocalizedLabel": dict(one)}


def managed(value: Any, name: str, changeable: bool = True) -> Document:
    """A managed property (sheet 9.4)."""
    return {"Value": value, "CanBeChanged": changeable, "ManagedPropertyLogicalName": name}


def _option(option: Option, column: Column) -> Document:
    shape: Document = {
        "Value": option.value,
        "Label": label(option.label, column.option_set, str(option.value)),
        "Description": label(""), "Color": None, "IsManaged": True, "ExternalValue": None,
        "ParentValues": [], "Tag": None, "IsHidden": False,
        "MetadataId": None, "HasChanged": None,
    }
    if column.kind is Kind.STATE:
        shape = {"@odata.type": f"#{NAMESPACE}StateOptionMetadata", **shape,
                 "DefaultStatus": option.default_status, "InvariantName": option.label}
    elif column.kind is Kind.STATUS:
        shape = {"@odata.type": f"#{NAMESPACE}StatusOptionMetadata", **shape,
                 "State": option.state, "TransitionData": None}
    return shape


def option_set(column: Column) -> Document:
    """The option set of a choice column; two-option columns name their two options."""
    head: Document = {
        "MetadataId": metadata_id("optionset", column.option_set), "HasChanged": None,
        "IsCustomOptionSet": "_" in column.entity, "IsGlobal": column.option_set_global,
        "IsManaged": True, "Name": column.option_set,
        "ExternalTypeName": "", "OptionSetType": _option_set_type(column.kind),
        "IntroducedVersion": "1.0.0.0", "ParentOptionSetName": None,
        "DisplayName": label(column.display_name, column.option_set), "Description": label(""),
        "IsCustomizable": managed(True, "iscustomizable"),
    }
    if column.kind is Kind.BOOLEAN:
        no, yes = column.options
        head["TrueOption"] = _option(yes, column)
        head["FalseOption"] = _option(no, column)
    else:
        head["Options"] = [_option(o, column) for o in column.options]
    return head


def _option_set_type(kind: Kind) -> str:
    return {Kind.BOOLEAN: "Boolean", Kind.STATE: "State", Kind.STATUS: "Status"}.get(kind,
                                                                                     "Picklist")


# --- columns ------------------------------------------------------------------------------------


def is_virtual(table: Table, column: Column) -> bool:
    """Name companions of choices are of type Virtual; those of lookups are strings (sheet 3.2)."""
    base = table.columns.get(column.attribute_of)
    return base is not None and not base.kind.is_lookup


def cast_type(table: Table, column: Column) -> str:
    """The metadata type of a column, as a cast segment spells it."""
    if is_virtual(table, column):
        return "AttributeMetadata"
    return f"{_TYPES[column.kind][0]}AttributeMetadata"


def _base_attribute(table: Table, column: Column, number: int) -> Document:
    """What all attribute types have in common (sheet 9.3)."""
    virtual = is_virtual(table, column)
    companion = bool(column.attribute_of)
    kind_name = "Virtual" if virtual else column.kind.value
    return {
        "MetadataId": metadata_id(table.name, column.name),
        "HasChanged": None,
        "AttributeOf": column.attribute_of or None,
        "AttributeType": "Virtual" if virtual else _TYPES[column.kind][1],
        "ColumnNumber": number,
        "DeprecatedVersion": None,
        "IntroducedVersion": "1.0.0.0" if table.is_custom else "5.0.0.0",
        "EntityLogicalName": table.name,
        "IsCustomAttribute": "_" in table.name or "_" in column.name.split("_")[0],
        "IsPrimaryId": column.is_primary_id,
        "IsValidODataAttribute": not companion,
        "IsPrimaryName": column.is_primary_name,
        "IsValidForCreate": column.creatable,
        "IsValidForRead": column.readable,
        "IsValidForUpdate": column.updatable,
        "CanBeSecuredForRead": False,
        "CanBeSecuredForCreate": False,
        "CanBeSecuredForUpdate": False,
        "IsSecured": False,
        "IsRetrievable": not companion,
        "IsFilterable": not companion,
        "IsSearchable": column.kind.is_text and not companion,
        "IsManaged": True,
        "LinkedAttributeId": None,
        "LogicalName": column.name,
        "IsValidForForm": not companion,
        "IsRequiredForForm": False,
        "IsValidForGrid": not companion,
        "SchemaName": column.schema_name,
        "ExternalName": None,
        "IsLogical": companion,
        "IsDataSourceSecret": False,
        "InheritsFrom": None,
        "CreatedOn": _CREATED,
        "ModifiedOn": _MODIFIED,
        "SourceType": None if companion or column.is_primary_id else column.source_type,
        "AutoNumberFormat": column.auto_number,
        "AttributeTypeName": {"Value": f"{kind_name}Type"},
        "Description": label(""),
        "DisplayName": label(column.display_name, table.name, column.name),
        "IsAuditEnabled": managed(False, "canmodifyauditsettings"),
        "IsGlobalFilterEnabled": managed(False, "canmodifyglobalfiltersettings"),
        "IsSortableEnabled": managed(False, "canmodifyissortablesettings"),
        "IsCustomizable": managed(True, "iscustomizable"),
        "IsRenameable": managed(True, "isrenameable"),
        "IsValidForAdvancedFind": managed(not companion, "canmodifysearchsettings"),
        "RequiredLevel": managed(column.required, "canmodifyrequirementlevelsettings"),
        "CanModifyAdditionalSettings": managed(True, "canmodifyadditionalsettings"),
        "Settings": [],
    }


#: Names of the properties that every attribute type has: what ``$expand=Attributes`` may select.
BASE_PROPERTIES: frozenset[str]


def _number(value: Any) -> Any:
    """A bound as a JSON number: a whole one never passes through a float."""
    if value is None:
        return None
    text = str(value)
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _string(column: Column) -> Document:
    name = column.format or "Text"
    return {"Format": name if name in _OLD_FORMATS else "Text", "ImeMode": "Auto",
            "MaxLength": column.max_length, "YomiOf": None, "IsLocalizable": False,
            "DatabaseLength": column.max_length * 2,
            "FormatName": {"Value": name}, "FormulaDefinition": "", "SourceTypeMask": 0}


#: Values of the older StringFormat enumeration; newer formats show as Text there.
_OLD_FORMATS = frozenset({"Email", "Text", "TextArea", "Url", "TickerSymbol", "PhoneticGuide",
                          "VersionNumber", "Phone"})


def _memo(column: Column) -> Document:
    return {"Format": "TextArea", "ImeMode": "Auto", "MaxLength": column.max_length,
            "IsLocalizable": False, "FormatName": {"Value": column.format or "TextArea"}}


def _integer(column: Column) -> Document:
    return {"Format": column.format or "None", "MaxValue": _number(column.max_value),
            "MinValue": _number(column.min_value), "FormulaDefinition": "", "SourceTypeMask": 0}


def _bounds(column: Column) -> Document:
    return {"MaxValue": _number(column.max_value), "MinValue": _number(column.min_value),
            "Precision": column.precision, "ImeMode": "Disabled"}


def _decimal(column: Column) -> Document:
    return {**_bounds(column), "FormulaDefinition": "", "SourceTypeMask": 0}


def _money(column: Column) -> Document:
    base = column.name.endswith("_base")
    return {**_bounds(column), "PrecisionSource": 0,
            "CalculationOf": column.name[:-5] if base else None,
            "IsBaseCurrency": base, "FormulaDefinition": "", "SourceTypeMask": 0}


def _boolean(column: Column) -> Document:
    return {"DefaultValue": False, "FormulaDefinition": "", "SourceTypeMask": 0}


def _choice(column: Column) -> Document:
    default = column.options[0].value if column.kind is Kind.STATE and column.options else -1
    return {"DefaultFormValue": None if column.kind is Kind.STATUS else default,
            "FormulaDefinition": "", "SourceTypeMask": 0,
            "ParentPicklistLogicalName": None, "ChildPicklistLogicalNames": []}


def _datetime(column: Column) -> Document:
    return {"MinSupportedValue": "1753-01-01T00:00:00Z",
            "MaxSupportedValue": "9999-12-30T23:59:59Z",
            "Format": column.format or "DateAndTime", "ImeMode": "Inactive", "SourceTypeMask": 0,
            "FormulaDefinition": "", "DateTimeBehavior": {"Value": column.behavior},
            "CanChangeDateTimeBehavior": managed(False, "canchangedatetimebehavior")}


def _lookup(column: Column) -> Document:
    return {"Targets": list(column.targets), "Format": "None"}


def primary_image(table: Table) -> Optional[str]:
    """The image that stands for the row: ``entityimage``, else the first there is."""
    names = [c.name for c in table.columns.values() if c.kind is Kind.IMAGE]
    return "entityimage" if "entityimage" in names else next(iter(names), None)


def _image(column: Column) -> Document:
    return {"IsPrimaryImage": False, "MaxHeight": 144, "MaxWidth": 144,
            "MaxSizeInKB": column.max_size_kb, "CanStoreFullImage": column.full_image}


def _entity_name(column: Column) -> Document:
    return {"DefaultFormValue": None, "IsEntityReferenceStored": False,
            "ParentPicklistLogicalName": None, "ChildPicklistLogicalNames": []}


def _nothing(column: Column) -> Document:
    return {}


_SPECIFIC = {
    Kind.STRING: _string, Kind.MEMO: _memo, Kind.ENTITY_NAME: _entity_name, Kind.INTEGER: _integer,
    Kind.BIGINT: lambda c: {"MaxValue": _number(c.max_value), "MinValue": _number(c.min_value)},
    Kind.DECIMAL: _decimal, Kind.DOUBLE: _bounds, Kind.MONEY: _money, Kind.BOOLEAN: _boolean,
    Kind.PICKLIST: _choice, Kind.STATE: _choice, Kind.STATUS: _choice, Kind.MULTISELECT: _choice,
    Kind.DATETIME: _datetime, Kind.GUID: _nothing, Kind.LOOKUP: _lookup, Kind.CUSTOMER: _lookup,
    Kind.OWNER: _lookup, Kind.IMAGE: _image,
}

_HAS_OPTION_SET = frozenset({Kind.BOOLEAN, Kind.PICKLIST, Kind.STATE, Kind.STATUS,
                             Kind.MULTISELECT})


class Attribute:
    """A column's metadata in its parts: which of them show depends on how one asks (sheet 9.1)."""

    def __init__(self, table: Table, column: Column, number: int):
        self.name = column.name
        self.cast = cast_type(table, column)
        self.base = _base_attribute(table, column, number)
        self.specific = {} if is_virtual(table, column) else _SPECIFIC[column.kind](column)
        if column.kind is Kind.IMAGE:
            self.specific["IsPrimaryImage"] = column.name == primary_image(table)
        self.has_option_set = column.kind in _HAS_OPTION_SET
        own = option_set(column) if self.has_option_set else None
        self.options = own
        self.is_global = column.option_set_global

    @functools.cached_property
    def full(self) -> Document:
        """With an entity type's own properties; option sets are navigation properties."""
        return {**self.base, **self.specific}

    @functools.cached_property
    def complex(self) -> Document:
        """As RetrieveMetadataChanges gives it: options are a plain property (sheet 9.5)."""
        document = dict(self.full)
        if self.has_option_set:
            document["OptionSet"] = self.options
        return document

    def navigation(self, name: str) -> Optional[Document]:
        """OptionSet or GlobalOptionSet: the one that does not apply is null (sheet 9.4)."""
        return self.options if (name == "GlobalOptionSet") == self.is_global else None


# --- tables, keys, relationships ------------------------------------------------------------------


def _ownership(table: Table) -> str:
    if "ownerid" in table.columns:
        return "UserOwned"
    own = table.table_type != "Standard" or table.is_custom
    return "OrganizationOwned" if own else "BusinessOwned"


def entity_document(table: Table) -> Document:
    """A table's own properties (sheet 9.2), without its collections."""
    provider = {"Elastic": ELASTIC_PROVIDER, "Virtual": VIRTUAL_PROVIDER}.get(table.table_type)
    collection = table.set_name if not table.is_custom else f"{table.name}s"
    return {
        "MetadataId": metadata_id(table.name),
        "HasChanged": None,
        "ActivityTypeMask": 1 if table.is_activity else 0,
        "AutoRouteToOwnerQueue": False,
        "CanTriggerWorkflow": True,
        "EntityHelpUrlEnabled": False,
        "EntityHelpUrl": None,
        "IsDocumentManagementEnabled": False,
        "IsOneNoteIntegrationEnabled": False,
        "IsInteractionCentricEnabled": False,
        "IsKnowledgeManagementEnabled": False,
        "IsSLAEnabled": False,
        "IsBPFEntity": False,
        "AutoCreateAccessTeams": False,
        "IsActivity": table.is_activity,
        "IsActivityParty": False,
        "IsRetrieveAuditEnabled": False,
        "IsRetrieveMultipleAuditEnabled": False,
        "IsArchivalEnabled": False,
        "IsRetentionEnabled": False,
        "IsAvailableOffline": False,
        "IsChildEntity": False,
        "IsAIRUpdated": True,
        "IconLargeName": None,
        "IconMediumName": None,
        "IconSmallName": None,
        "IconVectorName": None,
        "IsCustomEntity": table.is_custom,
        "IsBusinessProcessEnabled": False,
        "SyncToExternalSearchIndex": False,
        "IsOptimisticConcurrencyEnabled": table.optimistic_concurrency,
        "ChangeTrackingEnabled": table.change_tracking,
        "IsImportable": not table.read_only,
        "IsIntersect": table.is_intersect,
        "IsManaged": True,
        "IsEnabledForCharts": True,
        "IsEnabledForTrace": False,
        "IsValidForAdvancedFind": not table.is_private,
        "DaysSinceRecordLastModified": 0,
        "MobileOfflineFilters": "",
        "IsReadingPaneEnabled": True,
        "IsQuickCreateEnabled": False,
        "LogicalName": table.name,
        "ObjectTypeCode": table.object_type_code,
        "OwnershipType": _ownership(table),
        "PrimaryNameAttribute": table.primary_name or None,
        "PrimaryImageAttribute": primary_image(table),
        "PrimaryIdAttribute": table.primary_id,
        "RecurrenceBaseEntityLogicalName": None,
        "ReportViewName": f"Filtered{table.schema_name}",
        "SchemaName": table.schema_name,
        "IntroducedVersion": "1.0.0.0" if table.is_custom else "5.0.0.0",
        "IsStateModelAware": "statecode" in table.columns,
        "EnforceStateTransitions": False,
        "ExternalName": None,
        "EntityColor": "",
        "LogicalCollectionName": collection,
        "ExternalCollectionName": None,
        "CollectionSchemaName": table.schema_name + "s",
        "EntitySetName": table.set_name,
        "IsEnabledForExternalChannels": False,
        "IsPrivate": table.is_private,
        "UsesBusinessDataLabelTable": False,
        "IsLogicalEntity": False,
        "HasNotes": False,
        "HasActivities": False,
        "HasFeedback": False,
        "IsSolutionAware": False,
        "CreatedOn": _CREATED,
        "ModifiedOn": _MODIFIED,
        "HasEmailAddresses": any(c.format == "Email" for c in table.columns.values()),
        "OwnerId": None,
        "OwnerIdType": 8,
        "OwningBusinessUnit": None,
        "TableType": table.table_type,
        "DataProviderId": provider,
        "DataSourceId": None,
        "Description": label(""),
        "DisplayCollectionName": label(f"{table.display_name}s", table.name, "collection"),
        "DisplayName": label(table.display_name, table.name),
        "IsAuditEnabled": managed(False, "canmodifyauditsettings"),
        "IsValidForQueue": managed(False, "canmodifyqueuesettings"),
        "IsConnectionsEnabled": managed(False, "canmodifyconnectionsettings"),
        "IsCustomizable": managed(True, "iscustomizable"),
        "IsRenameable": managed(True, "isrenameable"),
        "IsMappable": managed(True, "ismappable"),
        "IsDuplicateDetectionEnabled": managed(False, "canmodifyduplicatedetectionsettings"),
        "IsMailMergeEnabled": managed(False, "canmodifymailmergesettings"),
        "CanCreateAttributes": managed(not table.read_only, "cancreateattributes", False),
        "CanCreateForms": managed(not table.read_only, "cancreateforms", False),
        "CanCreateViews": managed(not table.read_only, "cancreateviews", False),
        "CanCreateCharts": managed(not table.read_only, "cancreatecharts", False),
        "CanBeRelatedEntityInRelationship": managed(True, "canberelatedentityinrelationship",
                                                    False),
        "CanBePrimaryEntityInRelationship": managed(True, "canbeprimaryentityinrelationship",
                                                    False),
        "CanBeInManyToMany": managed(True, "canbeinmanytomany", False),
        "CanBeInCustomEntityAssociation": managed(True, "canbeincustomentityassociation", False),
        "CanEnableSyncToExternalSearchIndex": managed(True, "canenablesynctoexternalsearchindex"),
        "CanModifyAdditionalSettings": managed(True, "canmodifyadditionalsettings"),
        "CanChangeHierarchicalRelationship": managed(True, "canchangehierarchicalrelationship"),
        "CanChangeTrackingBeEnabled": managed(True, "canchangetrackingbeenabled"),
        "IsReadOnlyInMobileClient": managed(False, "canmodifymobileclientreadonly"),
        "IsVisibleInMobile": managed(True, "canmodifymobilevisibility"),
        "IsVisibleInMobileClient": managed(True, "canmodifymobileclientvisibility"),
        "IsOfflineInMobileClient": managed(True, "canmodifymobileclientoffline"),
        "Privileges": [],
        "Settings": [],
    }


def key_document(table: Table, key: Key) -> Document:
    return {
        "MetadataId": metadata_id("key", table.name, key.name),
        "HasChanged": None,
        "LogicalName": key.name,
        "SchemaName": key.name,
        "EntityLogicalName": table.name,
        "KeyAttributes": list(key.columns),
        "IsCustomizable": managed(True, "iscustomizable"),
        "IsManaged": True,
        "IntroducedVersion": "1.0.0.0",
        "EntityKeyIndexStatus": key.status,
        "IsExportKey": False,
        "IsSynchronous": table.table_type == "Elastic",
        "IsSecondaryKey": False,
        "DisplayName": label(key.display_name or key.name, table.name, key.name),
    }


def relationship_document(relationship: Relationship) -> Document:
    """A 1:N relationship; a polymorphic lookup has one for each target (sheet 9.4)."""
    r = relationship
    on_delete = "Restrict" if r.restrict_delete else "Cascade" if r.cascade_delete else "RemoveLink"
    return {
        "MetadataId": metadata_id("relationship", r.schema_name, r.referenced),
        "HasChanged": None,
        "IsCustomRelationship": "_" in r.referencing,
        "IsValidForAdvancedFind": True,
        "SchemaName": r.schema_name,
        "SecurityTypes": "Append",
        "IsManaged": True,
        "RelationshipType": "OneToManyRelationship",
        "IntroducedVersion": "1.0.0.0",
        "ReferencedAttribute": r.referenced_attribute,
        "ReferencedEntity": r.referenced,
        "ReferencingAttribute": r.referencing_attribute,
        "ReferencingEntity": r.referencing,
        "IsHierarchical": False,
        "EntityKey": None,
        "IsRelationshipAttributeDenormalized": False,
        "ReferencedEntityNavigationPropertyName": r.one_to_many_navigation,
        "ReferencingEntityNavigationPropertyName": r.many_to_one_navigation,
        "RelationshipBehavior": 1,
        "IsDenormalizedLookup": None,
        "DenormalizedAttributeName": None,
        "IsCustomizable": managed(True, "iscustomizable"),
        "AssociatedMenuConfiguration": {
            "Behavior": "UseCollectionName", "Group": "Details", "Order": None,
            "IsCustomizable": True, "Icon": None, "ViewId": None, "AvailableOffline": True,
            "MenuId": None, "QueryApi": None, "Label": label("")},
        "CascadeConfiguration": {
            "Assign": "NoCascade", "Delete": on_delete, "Archive": on_delete, "Merge": "NoCascade",
            "Reparent": "NoCascade", "Share": "NoCascade", "Unshare": "NoCascade",
            "RollupView": "NoCascade"},
        "RelationshipAttributes": [],
    }


def _menu(title: str) -> Document:
    return {"Behavior": "UseLabel", "Group": "Details", "Order": None, "IsCustomizable": True,
            "Icon": None, "ViewId": None, "AvailableOffline": True, "MenuId": None,
            "QueryApi": None, "Label": label(title)}


def association_document(side: Association) -> Document:
    """An N:N relationship (sheet 9.4)."""
    return {
        "MetadataId": metadata_id("relationship", side.schema_name),
        "HasChanged": None,
        "IsCustomRelationship": "_" in side.intersect,
        "IsValidForAdvancedFind": True,
        "SchemaName": side.schema_name,
        "SecurityTypes": "None",
        "IsManaged": True,
        "RelationshipType": "ManyToManyRelationship",
        "IntroducedVersion": "1.0.0.0",
        "Entity1LogicalName": side.table,
        "Entity1IntersectAttribute": side.attribute,
        "Entity1NavigationPropertyName": side.navigation,
        "Entity2LogicalName": side.other,
        "Entity2IntersectAttribute": side.other_attribute,
        "Entity2NavigationPropertyName": side.other_navigation,
        "IntersectEntityName": side.intersect,
        "IsCustomizable": managed(True, "iscustomizable"),
        "Entity1AssociatedMenuConfiguration": _menu(""),
        "Entity2AssociatedMenuConfiguration": _menu(""),
    }


class Definition:
    """All documents of one table."""

    def __init__(self, model: Model, table: Table):
        self.table = table
        self.entity = entity_document(table)
        self.attributes = [Attribute(table, c, n) for n, c in enumerate(table.columns.values(), 1)]
        self.keys = [key_document(table, key) for key in table.keys]
        self.many_to_one = [relationship_document(r) for r in model.relationships
                            if r.referencing == table.name]
        self.one_to_many = [relationship_document(r) for r in model.relationships
                            if r.referenced == table.name]
        self.many_to_many = [association_document(a) for a in model.associations
                             if table.name in (a.table, a.other)]

    def collection(self, name: str) -> list[Document]:
        """A collection other than Attributes."""
        return {"Keys": self.keys, "ManyToOneRelationships": self.many_to_one,
                "OneToManyRelationships": self.one_to_many,
                "ManyToManyRelationships": self.many_to_many}[name]


class Catalog:
    """The definitions of a whole model; built when first asked for."""

    def __init__(self, model: Model):
        self.model = model

    @functools.cached_property
    def definitions(self) -> dict[str, Definition]:
        return {name: Definition(self.model, table) for name, table in self.model.tables.items()}

    @functools.cached_property
    def by_id(self) -> dict[str, Definition]:
        return {d.entity["MetadataId"]: d for d in self.definitions.values()}

    @functools.cached_property
    def relationships(self) -> list[Document]:
        return [relationship_document(r) for r in self.model.relationships]

    @functools.cached_property
    def associations(self) -> list[Document]:
        return [association_document(a) for a in self.model.associations]

    @functools.cached_property
    def global_option_sets(self) -> dict[str, Document]:
        found: dict[str, Document] = {}
        for table in self.model.tables.values():
            for column in table.columns.values():
                if column.option_set_global and column.option_set not in found:
                    found[column.option_set] = option_set(column)
        return found


_catalogs: dict[int, tuple[Model, Catalog]] = {}


def catalog_of(model: Model) -> Catalog:
    found = _catalogs.get(id(model))
    if found is None or found[0] is not model:
        found = _catalogs[id(model)] = (model, Catalog(model))
    return found[1]


def _base_properties() -> frozenset[str]:
    column = Column("x", Kind.GUID, "X")
    table = Table("x", "xs", "X", "x", "", {"x": column})
    return frozenset(_base_attribute(table, column, 1))


BASE_PROPERTIES = _base_properties()

#: Cast type -> properties it has beyond the base ones.
def _specific_properties() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {"AttributeMetadata": frozenset()}
    sample = Column("x", Kind.STRING, "X", min_value=0, max_value=1,
                    options=(Option(0, ""), Option(1, "")))
    for kind, (name, _) in _TYPES.items():
        sample.kind = kind
        key = f"{name}AttributeMetadata"
        found[key] = found.get(key, frozenset()) | frozenset(_SPECIFIC[kind](sample))
    return found


SPECIFIC_PROPERTIES = _specific_properties()
OPTION_SET_CASTS = frozenset(f"{_TYPES[k][0]}AttributeMetadata" for k in _HAS_OPTION_SET)
