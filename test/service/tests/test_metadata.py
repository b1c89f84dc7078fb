"""Sheet 9, 1.4: definitions, RetrieveMetadataChanges, CSDL, service document."""
from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from urllib.parse import quote

import pytest

from writing import ABSENT, crm, refused  # noqa: F401

NS = "Microsoft.Dynamics.CRM."
ACCOUNT = "EntityDefinitions(LogicalName='account')"
EVERYTHING = "EntityDefinitions(LogicalName='sample_everything')"


# --- tables -----------------------------------------------------------------------------------


def test_list_with_select_gives_those_and_the_metadata_id(crm):
    reply = crm.get("EntityDefinitions?$select=LogicalName,EntitySetName")
    assert {"MetadataId", "LogicalName", "EntitySetName"} == set(reply.value[0])
    assert reply.json()["@odata.context"].endswith("#EntityDefinitions(LogicalName,EntitySetName)")
    assert {r["LogicalName"] for r in reply.value} >= {"account", "contact", "geo_country"}


def test_single_by_name_and_by_id(crm):
    one = crm.get(f"{ACCOUNT}?$select=SchemaName").json()
    assert one["SchemaName"] == "Account" and one["@odata.context"].endswith("/$entity")
    assert crm.get(f"EntityDefinitions({one['MetadataId']})?$select=SchemaName").json() == one


def test_properties_that_matter(crm):
    one = crm.get(ACCOUNT).json()
    assert one["PrimaryIdAttribute"] == "accountid" and one["PrimaryNameAttribute"] == "name"
    assert one["OwnershipType"] == "UserOwned" and one["TableType"] == "Standard"
    assert one["ObjectTypeCode"] == 1 and one["IsIntersect"] is False
    assert one["CanCreateAttributes"]["Value"] is True
    assert one["DisplayName"]["UserLocalizedLabel"]["Label"] == "Account"
    assert "Attributes" not in one and "@odata.etag" not in one
    elastic = crm.get("EntityDefinitions(LogicalName='contoso_sensordata')").json()
    assert elastic["TableType"] == "Elastic"
    assert elastic["DataProviderId"] == "1d9bde74-9ebd-4da9-8ff5-aa74945b9f74"


def names(crm, condition: str) -> list[str]:
    return [r["LogicalName"] for r in
            crm.get(f"EntityDefinitions?$select=LogicalName&$filter={condition}").value]


def test_filter_of_many_names(crm):
    assert names(crm, "LogicalName eq 'account' or LogicalName eq 'contact' or LogicalName eq "
                      "'task'") == [
        "account", "contact", "task"]


def test_filter_on_scalars_enums_and_managed_values(crm):
    assert names(crm, "IsCustomEntity eq true and TableType eq 'Elastic'") == ["contoso_sensordata"]
    assert "account" in names(crm, f"OwnershipType eq {NS}OwnershipTypes'UserOwned'")
    assert "account" in names(crm, "CanCreateAttributes/Value eq true and not (IsPrivate eq true)")
    assert "account" in names(crm, "IsPrivate eq false and IsIntersect eq false")
    assert names(crm, "ObjectTypeCode eq 2") == ["contact"]
    assert names(crm, "PrimaryNameAttribute eq null") == ["teammembership", "solutioncomponent"]


@pytest.mark.parametrize("function", ["startswith", "endswith", "contains"])
def test_string_functions_are_not_supported(crm, function):
    message = refused(crm.get(f"EntityDefinitions?$filter={function}(LogicalName,'a')"), 400,
                      "0x8006088A")
    assert message == f'The "{function}" function isn\'t supported for Metadata Entities.'


def test_in_function_is_not_supported(crm):
    query = f"{NS}In(PropertyName='LogicalName',PropertyValues=['account'])"
    refused(crm.get(f"EntityDefinitions?$filter={query}"), 400, "0x8006088A")


@pytest.mark.parametrize("option",
                         ["$top=1", "$skip=1", "$orderby=LogicalName", "$count=true", "foo=1"])
def test_no_paging_and_no_order(crm, option):
    message = refused(crm.get(f"EntityDefinitions?$select=LogicalName&{option}"), 400, "0x80060888")
    assert message == f"The query parameter {option.split('=')[0]} is not supported"


def test_page_size_has_no_effect(crm):
    reply = crm.get("EntityDefinitions?$select=LogicalName", prefer="odata.maxpagesize=2")
    assert len(reply.value) > 10 and "@odata.nextLink" not in reply.json()


def test_labels_cannot_be_filtered(crm):
    assert crm.get("EntityDefinitions?$filter=DisplayName eq 'Account'").status == 400


def test_unknown_property_is_refused(crm):
    for option in ("$select=Nope", "$filter=Nope eq 1", "$expand=Nope"):
        refused(crm.get(f"EntityDefinitions?{option}"), 400, "0x80060888")


def test_wrong_table_is_404(crm):
    assert crm.get("EntityDefinitions(LogicalName='nosuch')").status == 404
    assert crm.get(f"EntityDefinitions({ABSENT})").status == 404
    assert crm.get("EntityDefinitions(SchemaName='Account')").status == 400


def test_patch_of_a_definition_is_405(crm):
    reply = crm.patch(ACCOUNT, {"DisplayName": None})
    assert reply.status == 405 and reply.message == "Operation not supported on EntityMetadata"


# --- expand -------------------------------------------------------------------------------------


def test_expand_of_several_collections_with_select_and_filter(crm):
    reply = crm.get(
        "EntityDefinitions?$select=LogicalName&$filter=LogicalName eq 'opportunity' or "
        "LogicalName eq 'account'"
        "&$expand=Attributes($select=LogicalName,AttributeType;$filter=IsValidForRead eq true),"
        "Keys($select=KeyAttributes,EntityKeyIndexStatus),"
        "ManyToOneRelationships($select=ReferencingAttribute,"
        "ReferencingEntityNavigationPropertyName;"
        "$filter=ReferencedEntity eq 'account'),ManyToManyRelationships")
    account, opportunity = reply.value
    assert account["Keys"][0]["KeyAttributes"] == ["accountnumber"]
    assert account["Keys"][0]["EntityKeyIndexStatus"] == "Active"
    assert account["ManyToManyRelationships"] == []
    found = {(r["ReferencingAttribute"], r["ReferencingEntityNavigationPropertyName"])
             for r in opportunity["ManyToOneRelationships"]}
    assert found == {("customerid", "customerid_account"), ("parentaccountid", "parentaccountid")}
    name = next(a for a in account["Attributes"] if a["LogicalName"] == "name")
    assert name["AttributeType"] == "String"
    assert name["@odata.type"] == f"#{NS}StringAttributeMetadata"


def test_expanded_attributes_have_common_properties_only(crm):
    reply = crm.get(f"{ACCOUNT}?$select=LogicalName&$expand=Attributes")
    name = next(a for a in reply.json()["Attributes"] if a["LogicalName"] == "name")
    assert "RequiredLevel" in name and "MaxLength" not in name
    refused(crm.get(f"{ACCOUNT}?$expand=Attributes($select=MaxLength)"), 400, "0x80060888")


def test_filter_attributes_by_type_and_level(crm):
    path = f"{ACCOUNT}/Attributes?$select=LogicalName&$filter="
    found = crm.get(path + f"AttributeType eq {NS}AttributeTypeCode'Money' and AttributeOf eq "
                           "null").value
    assert {"revenue", "revenue_base", "creditlimit"} <= {a["LogicalName"] for a in found}
    found = crm.get(path + "RequiredLevel/Value eq "
                           f"{NS}AttributeRequiredLevel'SystemRequired'").value
    assert {"accountid", "ownerid"} <= {a["LogicalName"] for a in found}
    found = crm.get(path + "AttributeTypeName/Value eq 'MemoType'").value
    assert "description" in {a["LogicalName"] for a in found}


def test_companion_columns_are_listed_with_attribute_of(crm):
    found = {a["LogicalName"]: a for a in crm.get(f"{ACCOUNT}/Attributes").value}
    assert found["industrycodename"]["AttributeOf"] == "industrycode"
    assert found["industrycodename"]["AttributeType"] == "Virtual"
    assert found["primarycontactidname"]["AttributeOf"] == "primarycontactid"
    assert found["industrycodename"]["IsValidODataAttribute"] is False


# --- casts --------------------------------------------------------------------------------------


def test_uncast_attributes_carry_type_and_type_specific_data(crm):
    found = {a["LogicalName"]: a for a in crm.get(f"{ACCOUNT}/Attributes").value}
    assert found["name"]["@odata.type"] == f"#{NS}StringAttributeMetadata"
    assert found["name"]["MaxLength"] == 160
    assert found["primarycontactid"]["Targets"] == ["contact"]
    assert "OptionSet" not in found["industrycode"]
    refused(crm.get(f"{ACCOUNT}/Attributes?$select=MaxLength"), 400, "0x80060888")


CASTS = {
    "String": ("sample_name", "MaxLength"), "Memo": ("sample_memo", "MaxLength"),
    "Integer": ("sample_smallinteger", "MaxValue"), "BigInt": ("sample_bigint", "MaxValue"),
    "Decimal": ("sample_decimal", "Precision"), "Double": ("sample_double", "Precision"),
    "Money": ("sample_money", "PrecisionSource"), "Boolean": ("sample_boolean", "DefaultValue"),
    "DateTime": ("sample_date", "DateTimeBehavior"), "Lookup": ("sample_accountid", "Targets"),
    "Picklist": ("sample_choice", "DefaultFormValue"), "State": ("statecode", "DefaultFormValue"),
    "Status": ("statuscode", "DefaultFormValue"),
    "MultiSelectPicklist": ("sample_multi", "DefaultFormValue"),
    "Image": ("sample_image", "MaxSizeInKB"), "UniqueIdentifier": ("sample_guid", "LogicalName"),
    "EntityName": ("sample_entityname", "LogicalName"),
}


@pytest.mark.parametrize("cast", CASTS)
def test_cast_segment_for_every_type(crm, cast):
    column, extra = CASTS[cast]
    path = f"{EVERYTHING}/Attributes/{NS}{cast}AttributeMetadata"
    reply = crm.get(f"{path}?$select=LogicalName,{extra}")
    one = next(a for a in reply.value if a["LogicalName"] == column)
    assert extra in one and "@odata.type" not in one
    assert reply.json()["@odata.context"].endswith(
        f"#EntityDefinitions('sample_everything')/Attributes/{NS}{cast}AttributeMetadata"
        f"(LogicalName,{extra})")


def test_no_cast_to_the_abstract_enum_type(crm):
    assert crm.get(f"{ACCOUNT}/Attributes/{NS}EnumAttributeMetadata").status == 404
    assert crm.get(f"{ACCOUNT}/Attributes/{NS}FileAttributeMetadata").value == []


def choices(crm, column: str, cast: str = "Picklist") -> dict:
    return crm.get(f"{EVERYTHING}/Attributes(LogicalName='{column}')/{NS}{cast}AttributeMetadata"
                   "?$select=LogicalName&$expand=OptionSet,GlobalOptionSet").json()


def test_option_set_local_or_global_the_other_is_null(crm):
    local = choices(crm, "sample_choice")
    assert local["GlobalOptionSet"] is None and local["OptionSet"]["IsGlobal"] is False
    first = local["OptionSet"]["Options"][0]
    assert (first["Value"], first["Label"]["UserLocalizedLabel"]["Label"]) == (100000000, "First")
    shared = choices(crm, "sample_globalchoice")
    assert shared["OptionSet"] is None and shared["GlobalOptionSet"]["Name"] == "sample_colors"


def test_state_status_and_boolean_options(crm):
    status = choices(crm, "statuscode", "Status")["OptionSet"]["Options"]
    assert [(o["Value"], o["State"]) for o in status] == [(1, 0), (2, 1)]
    state = choices(crm, "statecode", "State")["OptionSet"]["Options"]
    assert [(o["DefaultStatus"], o["InvariantName"]) for o in state] == [(1, "Active"),
                                                                         (2, "Inactive")]
    boolean = choices(crm, "sample_onoff", "Boolean")["OptionSet"]
    assert boolean["TrueOption"]["Label"]["UserLocalizedLabel"]["Label"] == "On"
    assert boolean["FalseOption"]["Value"] == 0 and "Options" not in boolean


def test_expand_of_options_with_select(crm):
    reply = crm.get(f"{ACCOUNT}/Attributes/{NS}PicklistAttributeMetadata?$select=LogicalName"
                    "&$expand=OptionSet($select=Options),GlobalOptionSet($select=Options)")
    assert set(reply.value[0]["OptionSet"]) == {"MetadataId", "Options"}


def test_single_attribute_and_its_properties(crm):
    one = crm.get(f"{ACCOUNT}/Attributes(LogicalName='name')").json()
    assert one["@odata.type"] == f"#{NS}StringAttributeMetadata" and one["IsPrimaryName"] is True
    assert crm.get(f"{ACCOUNT}/Attributes(LogicalName='nosuch')").status == 404
    assert crm.get(f"{ACCOUNT}/SchemaName").json()["value"] == "Account"


# --- keys, relationships, option sets -----------------------------------------------------------


def test_keys_of_a_table(crm):
    keys = crm.get("EntityDefinitions(LogicalName='sample_everything')/Keys").value
    found = {tuple(k["KeyAttributes"]): k["EntityKeyIndexStatus"] for k in keys}
    assert found[("sample_integer", "sample_date")] == "Active" and found[("sample_phone",
                                                                           )] == "Failed"


def test_one_relationship_row_per_target_of_a_polymorphic_lookup(crm):
    found = crm.get("EntityDefinitions(LogicalName='opportunity')/ManyToOneRelationships?$select="
                    "ReferencedEntity,ReferencingEntityNavigationPropertyName"
                    "&$filter=ReferencingAttribute eq 'customerid'").value
    assert {r["ReferencedEntity"]: r["ReferencingEntityNavigationPropertyName"] for r in found} == {
        "account": "customerid_account", "contact": "customerid_contact"}


def test_relationship_definitions(crm):
    one = crm.get(f"RelationshipDefinitions(SchemaName='geo_country_subdivisions')/"
                  f"{NS}OneToManyRelationshipMetadata").json()
    assert one["ReferencingEntityNavigationPropertyName"] == "geo_CountryId"
    assert one["CascadeConfiguration"]["Delete"] == "Restrict"
    refused(crm.get("RelationshipDefinitions?$select=ReferencedEntity"), 400, "0x80060888")
    many, = crm.get(f"RelationshipDefinitions/{NS}ManyToManyRelationshipMetadata").value
    assert many["Entity1LogicalName"] == "team" and many["Entity2LogicalName"] == "systemuser"
    assert many["IntersectEntityName"] == "teammembership"
    some = crm.get("RelationshipDefinitions?$filter=RelationshipType eq "
                   "Microsoft.Dynamics.CRM.RelationshipType'ManyToManyRelationship'&$select=SchemaName")
    assert some.status == 400 or some.value[0]["SchemaName"] == "teammembership_association"


def test_many_to_many_of_a_table(crm):
    team = crm.get("EntityDefinitions(LogicalName='team')?$select=LogicalName"
                   "&$expand=ManyToManyRelationships").json()
    assert [r["Entity2NavigationPropertyName"] for r in team["ManyToManyRelationships"]] == [
        "teammembership_association"]


def test_global_option_sets(crm):
    one = crm.get("GlobalOptionSetDefinitions(Name='sample_colors')").json()
    assert one["IsGlobal"] is True and len(one["Options"]) == 7
    assert "sample_colors" in {s["Name"] for s in crm.get("GlobalOptionSetDefinitions").value}
    refused(crm.get("GlobalOptionSetDefinitions(Name='nosuch')"), 404, "0x80060888")
    refused(crm.get("GlobalOptionSetDefinitions?$filter=Name eq 'x'"), 400, "0x80060888")


# --- RetrieveMetadataChanges --------------------------------------------------------------------


def changes(crm, query=None, **more):
    parameters = {}
    if query is not None:
        parameters["Query"] = json.dumps(query)
    parameters.update(more)
    call = ",".join(f"{n}=@p{i}" for i, n in enumerate(parameters))
    aliases = "&".join(f"@p{i}={quote(v)}" for i, v in enumerate(parameters.values()))
    return crm.get(f"RetrieveMetadataChanges({call})?{aliases}", headers={"Consistency": "Strong"})


def condition(name: str, value, operator: str = "Equals", kind: str = "System.String") -> dict:
    return {"ConditionOperator": operator, "PropertyName": name,
            "Value": {"Type": kind, "Value": value}}


def criteria(*conditions: dict, operator: str = "And") -> dict:
    return {"FilterOperator": operator, "Filters": [], "Conditions": list(conditions)}


def test_one_call_returns_type_specific_data_of_all_types(crm):
    reply = changes(crm, {
        "Properties": {"AllProperties": False,
                       "PropertyNames": ["LogicalName", "EntitySetName", "Attributes",
                                                                 "Keys", "ManyToOneRelationships"]},
        "Criteria": criteria(condition("LogicalName", "sample_everything")),
        "AttributeQuery": {"Properties": {"PropertyNames": [
            "LogicalName", "AttributeType", "MaxLength", "OptionSet", "Targets", "Precision",
            "DateTimeBehavior"]}},
        "KeyQuery": {"Properties": {"PropertyNames": ["KeyAttributes"]}},
        "RelationshipQuery": {"Properties": {
            "PropertyNames": ["ReferencingEntityNavigationPropertyName"]}},
    })
    answer = reply.json()
    assert answer["@odata.context"].endswith(f"#{NS}RetrieveMetadataChangesResponse")
    one, = answer["EntityMetadata"]
    assert one["@odata.type"] == f"#{NS}ComplexEntityMetadata"
    assert one["EntitySetName"] == "sample_everythings"
    found = {a["LogicalName"]: a for a in one["Attributes"]}
    assert found["sample_name"]["@odata.type"] == f"#{NS}ComplexStringAttributeMetadata"
    assert found["sample_name"]["MaxLength"] == 100 and "Targets" not in found["sample_name"]
    assert found["sample_choice"]["OptionSet"]["Options"][0]["Value"] == 100000000
    assert found["sample_globalchoice"]["OptionSet"]["IsGlobal"] is True
    assert found["sample_onoff"]["OptionSet"]["TrueOption"]["Value"] == 1
    multi = found["sample_multi"]["@odata.type"]
    assert multi == f"#{NS}ComplexMultiSelectPicklistAttributeMetadata"
    assert found["sample_customerid"]["Targets"] == ["account", "contact"]
    assert found["sample_date"]["DateTimeBehavior"]["Value"] == "DateOnly"
    assert one["OneToManyRelationships"] is None
    assert ["sample_code"] in [k["KeyAttributes"] for k in one["Keys"]]
    assert one["Keys"][0]["@odata.type"] == f"#{NS}ComplexEntityKeyMetadata"
    assert "sample_AccountId" in {r["ReferencingEntityNavigationPropertyName"]
                                  for r in one["ManyToOneRelationships"]}


def test_properties_that_were_not_asked_for_are_null(crm):
    """Only MetadataId, LogicalName and HasChanged come unasked."""
    query = {"Properties": {"PropertyNames": ["EntitySetName", "Attributes"]},
             "Criteria": criteria(condition("LogicalName", "account")),
             "AttributeQuery": {"Properties": {"PropertyNames": ["AttributeType"]}}}
    one, = changes(crm, query).json()["EntityMetadata"]
    assert one["LogicalName"] == "account" and one["MetadataId"] and one["SchemaName"] is None
    name = next(a for a in one["Attributes"] if a["LogicalName"] == "name")
    assert name["AttributeType"] == "String"
    assert name["MaxLength"] is name["SchemaName"] is name["DisplayName"] is None


def tables(reply) -> list[str]:
    assert reply.status == 200, reply.text
    return [e["LogicalName"] for e in reply.json()["EntityMetadata"]]


NAMED = {"PropertyNames": ["LogicalName"]}


@pytest.mark.parametrize("value",
                         [["account", "contact"], "['account','contact']", '["account","contact"]'])
def test_criteria_in_a_list(crm, value):
    query = {"Properties": NAMED,
             "Criteria": criteria(condition("LogicalName", value, "In", "System.String[]"))}
    assert tables(changes(crm, query)) == ["account", "contact"]


def test_criteria_or_filters_and_other_types(crm):
    either = criteria(condition("LogicalName", "account"), condition("LogicalName", "task"),
                      operator="Or")
    assert tables(changes(crm, {"Properties": NAMED, "Criteria": either})) == ["account", "task"]
    nested = {"FilterOperator": "And", "Filters": [either],
              "Conditions": [condition("IsActivity", True, kind="System.Boolean")]}
    assert tables(changes(crm, {"Properties": NAMED, "Criteria": nested})) == ["task"]
    managed = criteria(condition("CanCreateAttributes", "false", kind="System.Boolean"))
    assert "organization" in tables(changes(crm, {"Properties": NAMED, "Criteria": managed}))


def test_attribute_criteria_by_type_name(crm):
    reply = changes(crm, {
        "Properties": {"PropertyNames": ["LogicalName", "Attributes"]},
        "Criteria": criteria(condition("LogicalName", "contact")),
        "AttributeQuery": {"Properties": {"PropertyNames": ["LogicalName"]},
                           "Criteria": criteria(condition(
            "AttributeTypeName", "PicklistType",
            kind="Microsoft.Xrm.Sdk.Metadata.AttributeTypeDisplayName"))}})
    kinds = {a["@odata.type"] for a in reply.json()["EntityMetadata"][0]["Attributes"]}
    assert kinds == {f"#{NS}ComplexPicklistAttributeMetadata"}


def test_label_query_keeps_languages(crm):
    query = {"Properties": {"PropertyNames": ["LogicalName", "DisplayName"]},
             "Criteria": criteria(condition("LogicalName", "account"))}
    def display(languages):
        reply = changes(crm, {**query, "LabelQuery": {"FilterLanguages": languages}})
        return reply.json()["EntityMetadata"][0]["DisplayName"]
    assert display([1033])["UserLocalizedLabel"]["Label"] == "Account"
    assert display([1031]) == {"LocalizedLabels": [], "UserLocalizedLabel": None}


def test_stamp_brings_only_changes(crm):
    stamp = changes(crm, {"Properties": NAMED}).json()["ServerVersionStamp"]
    answer = changes(crm, {"Properties": NAMED}, ClientVersionStamp=f"'{stamp}'",
                     DeletedMetadataFilters=f"{NS}DeletedMetadataFilters'Attribute'").json()
    assert answer["EntityMetadata"] == [] and answer["DeletedMetadata"]["Count"] == 0


def test_stamp_older_than_ninety_days_is_expired(crm):
    refused(changes(crm, {}, ClientVersionStamp="'1000!01/01/2019 00:00:00'"), 400, "0x80044352")


def test_unknown_members_are_refused(crm):
    assert changes(crm, {"Nope": 1}).status == 400
    assert changes(crm, {"Properties": {"PropertyNames": ["Nope"]}}).status == 400
    assert changes(crm, {"Criteria": criteria(condition("Nope", "x"))}).status == 400
    assert changes(crm, {"Criteria": criteria(condition("LogicalName", "x", "Like"))}).status == 400
    assert crm.get("RetrieveMetadataChanges(Nope=1)").status == 400


def test_without_parameters_it_lists_tables_by_identity(crm):
    assert "account" in tables(crm.get("RetrieveMetadataChanges()"))


# --- service documents --------------------------------------------------------------------------


def test_service_document(crm):
    answer = crm.get("").json()
    assert answer["@odata.context"] == f"{crm.base}/$metadata"
    assert {"name": "accounts", "kind": "EntitySet", "url": "accounts"} in answer["value"]


def test_csdl_is_xml_with_keys_and_navigation(crm):
    reply = crm.get("$metadata")
    assert reply.headers["Content-Type"].startswith("application/xml")
    schema = "{http://docs.oasis-open.org/odata/ns/edm}"
    root = ElementTree.fromstring(reply.body)
    types = {t.get("Name"): t for t in root.iter(schema + "EntityType")}
    assert types["account"].get("BaseType") == "mscrm.crmbaseentity"
    assert types["systemuser"].get("BaseType") == "mscrm.principal"
    constraint = next(c for n in types["account"].iter(schema + "NavigationProperty")
                      if n.get("Name") == "primarycontactid" for c in n)
    assert constraint.get("Property") == "_primarycontactid_value"
    name = next(p for p in types["account"].iter(schema + "Property") if p.get("Name") == "name")
    assert name.get("Unicode") == "false"


def test_csdl_annotations_tell_change_tracking(crm):
    assert b"ChangeTracking" not in crm.get("$metadata").body
    assert b"Org.OData.Capabilities.V1.ChangeTracking" in crm.get("$metadata?annotations=true").body
