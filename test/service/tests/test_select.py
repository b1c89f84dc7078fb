"""$select, the envelope and query options (sheet 2.1, 2.2, 1.3)."""
from __future__ import annotations

import pytest

from querying import BASE, Env


@pytest.fixture(scope="module")
def env() -> Env:
    env = Env()
    env.contact = env.add("contact", firstname="Ana", lastname="Berg")
    env.account = env.add(
        "account", name="Ünïcode \"quoted\" \\ \n東京", revenue="100000", primarycontactid=env.contact,
        address1_city="Oslo", numberofemployees=9500)
    env.add("account", name="Null")
    return env


def test_envelope_and_row(env: Env) -> None:
    answer = env.get("accounts?$select=name,numberofemployees&$filter=numberofemployees eq 9500").json()
    assert list(answer) == ["@odata.context", "value"]
    assert answer["@odata.context"] == f"{BASE}/$metadata#accounts(name,numberofemployees)"
    row = answer["value"][0]
    assert list(row) == ["@odata.etag", "name", "numberofemployees", "accountid"]
    assert row["@odata.etag"].startswith('W/"') and row["@odata.etag"][3:-1].isdigit()
    assert row["name"] == "Ünïcode \"quoted\" \\ \n東京"
    assert row["numberofemployees"] == 9500


def test_selected_null_is_null(env: Env) -> None:
    row = env.get("accounts?$select=revenue,address1_city&$filter=name eq 'Null'").value[0]
    assert row["revenue"] is None and row["address1_city"] is None


def test_money_drags_its_currency_along(env: Env) -> None:
    row = env.get("accounts?$select=revenue&$filter=revenue gt 1").value[0]
    assert row["revenue"] == "100000.0000"  # the digits, not a float
    assert "_transactioncurrencyid_value" in row and "accountid" in row


def test_address_part_drags_the_composite_along(env: Env) -> None:
    row = env.get("accounts?$select=address1_city&$filter=revenue gt 1").value[0]
    assert row["address1_composite"] == "Oslo"


def test_elastic_tables_drag_four_along() -> None:
    env = Env()
    env.add("contoso_sensordata", contoso_name="x", partitionid="p1")
    row = env.get("contoso_sensordatas?$select=contoso_name").value[0]
    assert {"versionnumber", "partitionid", "_ownerid_value", "_owningbusinessunit_value"} <= set(row)
    assert not row["@odata.etag"][3:-1].isdigit()


def test_navigation_property_in_select_does_nothing(env: Env) -> None:
    row = env.get("accounts?$select=name,primarycontactid&$filter=revenue gt 1").value[0]
    assert "_primarycontactid_value" not in row and "primarycontactid" not in row


def test_lookups_have_value_properties(env: Env) -> None:
    row = env.get("accounts?$select=_primarycontactid_value&$filter=revenue gt 1").value[0]
    assert row["_primarycontactid_value"] == env.contact


def test_without_select_every_readable_column_but_images(env: Env) -> None:
    answer = env.get("accounts?$filter=revenue gt 1")
    row = answer.value[0]
    assert answer.json()["@odata.context"] == f"{BASE}/$metadata#accounts"
    assert {"name", "_primarycontactid_value", "statecode", "createdon"} <= set(row)
    assert not {"entityimage", "primarycontactidname", "statecodename", "primarycontactid"} & set(row)


def test_image_comes_when_asked_for() -> None:
    env = Env()
    env.everything("x", image="aGVsbG8=")
    row = env.get("sample_everythings?$select=sample_image").value[0]
    assert row["sample_image"] == "aGVsbG8="


@pytest.mark.parametrize("name", ["nonsense", "Name", "primarycontactidname", "statecodename", "*"])
def test_unknown_columns_are_refused(env: Env, name: str) -> None:
    answer = env.get(f"accounts?$select={name}")
    assert (answer.status, answer.code) == (400, "0x80060888")
    assert answer.message == (f"Could not find a property named '{name}' on type "
                              "'Microsoft.Dynamics.CRM.account'.")


@pytest.mark.parametrize("option", [
    "$skip=5", "$search=x", "$format=json", "$compute=x", "$levels=2", "$Select=name", "select=name",
    "unknown=1", "$top=x", "$top=-1", "$count=yes", "partitionId=x", "$select=name&$select=name",
])
def test_unknown_options_are_errors(env: Env, option: str) -> None:
    assert env.get(f"accounts?{option}").status == 400


def test_tag_is_allowed_everywhere(env: Env) -> None:
    assert env.get("accounts?$select=name&tag=x").status == 200


def test_later_forms_say_so(env: Env) -> None:
    for option in ("sql=SELECT 1",):
        answer = env.get(f"accounts?{option}")
        assert answer.status == 501 and "not implemented by this service" in answer.message


def test_values_of_every_type() -> None:
    env = Env()
    parent = env.everything("p")
    env.everything(
        "all", integer=-5, bigint=2**62, decimal="0.1", decimal2="-12.5", double=47.639583,
        double0=3, money="922337203685476.9999", money2="1.5", boolean=True, choice=-1, multi="9, 1",
        datetime="2024-05-01T12:00:00-08:00", date="2024-05-01",
        guid="3F2504E0-4F89-11D3-9A0C-0305E82C3301", parentid=parent, entityname="account",
        datetimeindependent="2024-05-01T12:00:00Z")
    row = env.get("sample_everythings?$filter=sample_name eq 'all'").value[0]
    assert {k: row[f"sample_{k}"] for k in (
        "integer", "bigint", "decimal", "decimal2", "double", "money", "money2", "boolean", "choice",
        "multi", "datetime", "date", "guid", "entityname", "datetimeindependent")} == {
            "integer": -5, "bigint": 2**62, "decimal": "0.1000000000", "decimal2": "-12.5000000000",
            "double": "47.63958", "money": "922337203685476.9999", "money2": "1.5000",
            "boolean": True, "choice": -1, "multi": "1,9", "datetime": "2024-05-01T20:00:00Z",
            "date": "2024-05-01", "guid": "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            "entityname": "account", "datetimeindependent": "2024-05-01T12:00:00Z"}
    assert row["_sample_parentid_value"] == parent


def test_systemusers_carry_ownerid_too(env: Env) -> None:
    row = env.get("systemusers?$select=fullname&$top=1").value[0]
    assert row["ownerid"] == row["systemuserid"]
