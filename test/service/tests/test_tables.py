"""The model: names, types and relationships as Dataverse has them."""
from __future__ import annotations

import pytest

from dataverse_service.core import Kind
from dataverse_service.tables import ELASTIC_KEY, build_model, messages_of, metadata_id

MODEL = build_model()


def test_every_attribute_type_occurs_and_sample_everything_has_each():
    assert {c.kind for c in MODEL.tables["sample_everything"].columns.values()} == set(Kind)


def test_all_date_behaviours_occur():
    found = {(c.behavior, c.format) for c in MODEL.tables["sample_everything"].columns.values()
             if c.kind is Kind.DATETIME}
    assert {("UserLocal", "DateAndTime"), ("UserLocal", "DateOnly"), ("DateOnly", "DateOnly"),
            ("TimeZoneIndependent", "DateAndTime"), ("TimeZoneIndependent", "DateOnly")} <= found


def test_account_has_the_columns_people_use():
    columns = MODEL.tables["account"].columns
    assert sum(not c.attribute_of for c in columns.values()) > 100
    assert columns["name"].max_length == 160 and columns["name"].is_primary_name
    assert columns["accountnumber"].max_length == 20
    assert columns["industrycode"].options[31].label == "Vehicle Retail"
    assert columns["exchangerate"].precision == 10
    assert columns["address1_latitude"].precision == 5


@pytest.mark.parametrize("table, navigation, referenced, collection", [
    ("account", "primarycontactid", "contact", "account_primary_contact"),
    ("account", "parentaccountid", "account", "account_parent_account"),
    ("contact", "parentcustomerid_account", "account", "contact_customer_accounts"),
    ("contact", "parentcustomerid_contact", "contact", "contact_customer_contacts"),
    ("opportunity", "customerid_account", "account", "opportunity_customer_accounts"),
    ("opportunity", "customerid_contact", "contact", "opportunity_customer_contacts"),
    ("opportunity", "parentaccountid", "account", "opportunity_parent_account"),
    ("task", "regardingobjectid_account_task", "account", "Account_Tasks"),
    ("task", "regardingobjectid_contact_task", "contact", "Contact_Tasks"),
    ("incident", "customerid_account", "account", "incident_customer_accounts"),
    ("account", "ownerid", "systemuser", "owner_accounts"),
    ("account", "owninguser", "systemuser", "user_accounts"),
    ("account", "createdby", "systemuser", "lk_accountbase_createdby"),
    ("account", "transactioncurrencyid", "transactioncurrency", "transactioncurrency_account"),
    ("geo_subdivision", "geo_CountryId", "geo_country", "geo_country_subdivisions"),
    ("geo_subdivision", "geo_ParentId", "geo_subdivision", "geo_subdivision_children"),
    ("sample_everything", "sample_CustomerId_contact", "contact",
     "sample_customer_contact_everythings"),
])
def test_navigation_properties(table, navigation, referenced, collection):
    relationship = MODEL.many_to_one(table)[navigation]
    assert relationship.referenced == referenced
    assert relationship.one_to_many_navigation == collection
    assert MODEL.one_to_many(referenced)[collection] == relationship


def test_every_target_of_a_lookup_has_a_relationship():
    for table in MODEL.tables.values():
        for column in table.columns.values():
            if column.kind.is_lookup and not column.attribute_of:
                found = {r.referenced for r in MODEL.relationships
                         if r.referencing == table.name and r.referencing_attribute == column.name}
                assert found == set(column.targets) == set(column.navigation)


def test_companion_columns_are_listed_and_not_properties():
    table = MODEL.tables["account"]
    assert table.columns["industrycodename"].attribute_of == "industrycode"
    assert table.by_property("industrycodename") is None
    assert table.by_property("primarycontactidname") is None
    assert table.by_property("primarycontactid") is None
    assert table.by_property("_primarycontactid_value").name == "primarycontactid"


@pytest.mark.parametrize("table, columns", [
    ("account", ("accountnumber",)), ("contact", ("firstname", "emailaddress1")),
    ("geo_country", ("geo_alpha2",)), ("geo_subdivision", ("geo_code",)),
    ("geo_indicator", ("geo_countryid", "geo_year")), ("sample_everything", ("sample_code",)),
    ("sample_everything", ("sample_integer", "sample_date")),
    ("sample_everything", ("sample_decimal",)),
    ("sample_everything", ("sample_choice", "sample_datetime")),
])
def test_alternate_keys(table, columns):
    assert columns in [k.columns for k in MODEL.tables[table].keys if k.status == "Active"]


def test_an_elastic_table_has_only_the_built_in_key():
    assert [k.name for k in MODEL.tables["contoso_sensordata"].keys] == [ELASTIC_KEY]


def test_bulk_messages():
    assert "CreateMultiple" in messages_of(MODEL.tables["account"])
    for name in ("team", "geo_note"):
        assert not [m for m in messages_of(MODEL.tables[name]) if m.endswith("Multiple")
                    and m != "RetrieveMultiple"]


def test_trap_delete_multiple_is_listed_for_standard_tables():
    assert "DeleteMultiple" in messages_of(MODEL.tables["account"])
    assert "DeleteMultiple" not in MODEL.tables["account"].bulk


def test_every_status_belongs_to_a_state_with_a_default():
    for table in MODEL.tables.values():
        if "statecode" not in table.columns or "statuscode" not in table.columns:
            continue
        states = {o.value: o.default_status for o in table.columns["statecode"].options}
        statuses = {o.value: o.state for o in table.columns["statuscode"].options}
        assert set(statuses.values()) == set(states)
        assert all(statuses[default] == value for value, default in states.items())


def test_metadata_ids_are_stable():
    assert metadata_id("account") == metadata_id("account") != metadata_id("account", "name")
