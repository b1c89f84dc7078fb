"""Annotations in answers (sheet 2.1.3)."""
from __future__ import annotations

import pytest

from querying import Env

FORMATTED = "OData.Community.Display.V1.FormattedValue"
LOOKUP = "Microsoft.Dynamics.CRM.lookuplogicalname"
NAVIGATION = "Microsoft.Dynamics.CRM.associatednavigationproperty"
ALL = 'odata.include-annotations="*"'


@pytest.fixture(scope="module")
def env() -> Env:
    env = Env()
    env.ana = env.add("contact", firstname="Ana", lastname="Berg")
    env.one = env.add("account", name="One", primarycontactid=env.ana)
    env.everything(
        "x", integer=9500, money2="100000", choice=1, boolean=True, multi="1,9",
        customerid=(env.one, "account"), datetime="2024-05-01T14:00:00Z", string="s")
    return env


def row(env: Env, prefer: str) -> dict:
    return env.get("sample_everythings?$select=sample_integer,sample_money2,sample_choice,"
                   "sample_boolean,sample_multi,_sample_customerid_value,sample_datetime,sample_string",
                   prefer).value[0]


def test_nothing_comes_unasked(env: Env) -> None:
    assert [k for k in row(env, "") if "@" in k] == ["@odata.etag"]


def test_formatted_values(env: Env) -> None:
    found = row(env, f'odata.include-annotations="{FORMATTED}"')
    texts = {k.partition("@")[0]: v for k, v in found.items() if k.endswith(FORMATTED)}
    assert texts == {
        "sample_integer": "9,500", "sample_money2": "$100,000.00", "sample_choice": "Straße",
        "sample_boolean": "Yes", "sample_multi": "Appetizer; Drink; hot",
        "_sample_customerid_value": "One", "sample_datetime": "5/1/2024 2:00 PM"}
    assert not any(k.endswith(LOOKUP) for k in found)


def test_lookup_annotations(env: Env) -> None:
    found = row(env, 'odata.include-annotations="Microsoft.Dynamics.CRM.*"')
    assert found[f"_sample_customerid_value@{LOOKUP}"] == "account"
    assert found[f"_sample_customerid_value@{NAVIGATION}"] == "sample_CustomerId_account"
    assert not any(k.endswith(FORMATTED) for k in found)


def test_annotations_precede_their_property(env: Env) -> None:
    keys = list(row(env, ALL))
    for key in keys:
        name, at, _ = key.partition("@")
        if name and at:
            assert keys.index(key) < keys.index(name)


def test_null_has_no_annotations() -> None:
    env = Env()
    env.everything("x")
    assert [k for k in row(env, ALL) if "@" in k] == ["@odata.etag"]


def test_annotations_in_expanded_rows(env: Env) -> None:
    found = env.get("accounts?$select=name&$expand=primarycontactid($select=fullname,statecode)", ALL)
    assert "statecode" in found.value[0]["primarycontactid"]
    env.store.update(env.model.tables["contact"], env.ana, {"statecode": 0})
    found = env.get("accounts?$select=name&$expand=primarycontactid($select=fullname,statecode)", ALL)
    assert found.value[0]["primarycontactid"][f"statecode@{FORMATTED}"] == "Active"


def test_metadata_version_with_everything(env: Env) -> None:
    answer = env.get("accounts?$select=name", ALL).json()
    assert answer["@Microsoft.Dynamics.CRM.globalmetadataversion"].isdigit()
    assert "@Microsoft.Dynamics.CRM.globalmetadataversion" not in env.get("accounts?$select=name").json()


def test_preference_applied(env: Env) -> None:
    answer = env.get("accounts?$select=name", 'odata.maxpagesize=500,odata.include-annotations="*"')
    assert answer.headers["Preference-Applied"] == (
        'odata.maxpagesize=500,odata.include-annotations="*"')


def test_single_rows_too(env: Env) -> None:
    answer = env.get(f"accounts({env.one})?$select=_primarycontactid_value", ALL)
    assert answer.json()[f"_primarycontactid_value@{FORMATTED}"] == "Ana Berg"
    assert answer.headers["Preference-Applied"] == 'odata.include-annotations="*"'
