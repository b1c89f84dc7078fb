"""Addresses of single rows and the paths below them (sheet 1.5, 1.6, 2.1.2, 4.2)."""
from __future__ import annotations

import pytest

from querying import BASE, Env

MISSING = "00000000-0000-0000-0000-000000000001"


@pytest.fixture(scope="module")
def env() -> Env:
    env = Env()
    env.ana = env.add("contact", firstname="Ana", lastname="Berg", emailaddress1="ana@example.com")
    env.one = env.add("account", name="One", accountnumber="ABC123", primarycontactid=env.ana)
    env.bare = env.add("account", name="Two", accountnumber="O'Neill & 5")
    env.task = env.add("task", subject="call", regardingobjectid=(env.one, "account"))
    env.country = env.add("geo_country", geo_name="Norway", geo_alpha2="NO")
    env.add("geo_indicator", geo_name="x", geo_countryid=env.country, geo_year=2020)
    env.everything("dec", decimal="1.5", integer=3, date="2024-01-31", choice=1,
                   datetime="2024-01-31T08:00:00Z", phone="12")
    return env


def test_primary_key(env: Env) -> None:
    answer = env.get(f"accounts({env.one})?$select=name")
    row = answer.json()
    assert row["@odata.context"] == f"{BASE}/$metadata#accounts(name)/$entity"
    assert answer.headers["ETag"] == row["@odata.etag"]
    assert row["name"] == "One" and row["accountid"] == env.one


def test_named_primary_key_and_upper_case(env: Env) -> None:
    assert env.get(f"accounts(accountid={env.one})?$select=name").json()["name"] == "One"
    assert env.get(f"accounts({env.one.upper()})?$select=name").status == 200


def test_principals_are_known_by_ownerid(env: Env) -> None:
    user = env.service.user_id
    assert env.get(f"systemusers({user})?$select=fullname").status == 200
    assert env.get(f"systemusers(ownerid={user})?$select=fullname").status == 200
    assert env.get(f"systemusers(systemuserid={user})").code == "0x80060888"


def test_alternate_keys(env: Env) -> None:
    assert env.get("accounts(accountnumber='abc123')?$select=name").json()["name"] == "One"
    pair = "emailaddress1='ana@example.com',firstname='ANA'"
    assert env.get(f"contacts({pair})?$select=fullname").json()["contactid"] == env.ana
    both = f"geo_year=2020,_geo_countryid_value={env.country}"
    assert env.get(f"geo_indicators({both})?$select=geo_name").status == 200
    assert env.get("sample_everythings(sample_decimal=1.5)?$select=sample_name").status == 200
    assert env.get("sample_everythings(sample_date=2024-01-31,sample_integer=3)").status == 200


def test_key_by_logical_name_of_a_lookup_is_refused(env: Env) -> None:
    assert env.get(f"geo_indicators(geo_year=2020,geo_countryid={env.country})").code == "0x80060888"


@pytest.mark.parametrize("key", ["name='x'", "firstname='x'", "accountnumber='x',name='y'"])
def test_names_that_are_no_declared_key(env: Env, key: str) -> None:
    answer = env.get(f"accounts({key})")
    assert (answer.status, answer.code) == (400, "0x80060888")
    assert "is not valid for resource 'Microsoft.Dynamics.CRM.account'" in answer.message


def test_keys_that_are_not_active_cannot_be_used(env: Env) -> None:
    assert env.get("sample_everythings(sample_phone='12')").code == "0x80060888"


@pytest.mark.parametrize("value", list("/<>*&:\\+") + ["%25", "%23", "%3F"])
def test_key_values_with_certain_characters_fail(env: Env, value: str) -> None:
    answer = env.get(f"accounts(accountnumber='a{value}b')")
    assert (answer.status, answer.code) == (400, "0x8006088A")
    assert answer.message == "Bad Request - Error in query syntax."


def test_missing_rows(env: Env) -> None:
    answer = env.get(f"accounts({MISSING})")
    assert (answer.status, answer.code) == (404, "0x80040217")
    assert answer.message == f"account With Id = {MISSING} Does Not Exist"
    answer = env.get("accounts(accountnumber='nobody')")
    assert (answer.status, answer.code) == (404, "0x80060891")


@pytest.mark.parametrize("option", ["$filter=name eq 'x'", "$top=1", "$orderby=name", "$count=true",
                                    "$apply=aggregate($count as n)", "$skiptoken=x", "x=1"])
def test_single_rows_take_select_and_expand_only(env: Env, option: str) -> None:
    assert env.get(f"accounts({env.one})?{option}").status == 400


# --- below a row ------------------------------------------------------------------------------


def test_property(env: Env) -> None:
    answer = env.get(f"accounts({env.one})/name").json()
    assert answer == {"@odata.context": f"{BASE}/$metadata#accounts({env.one})/name", "value": "One"}
    assert env.get(f"accounts({env.one})/_primarycontactid_value").json()["value"] == env.ana


def test_null_property_has_no_content(env: Env) -> None:
    assert env.get(f"accounts({env.one})/telephone1").status == 204
    assert env.get(f"accounts({env.one})/telephone1/$value").status == 204


def test_raw_value(env: Env) -> None:
    answer = env.get(f"accounts({env.one})/name/$value")
    assert answer.body == b"One" and answer.headers["Content-Type"] == "text/plain"


def test_lookup_path(env: Env) -> None:
    row = env.get(f"accounts({env.one})/primarycontactid?$select=fullname").json()
    assert row["@odata.context"] == f"{BASE}/$metadata#contacts(fullname)/$entity"
    assert row["fullname"] == "Ana Berg"
    assert env.get(f"accounts({env.bare})/primarycontactid").status == 204
    assert env.get(f"accounts({env.one})/primarycontactid/fullname").json()["value"] == "Ana Berg"


def test_lookup_reference(env: Env) -> None:
    assert env.get(f"accounts({env.one})/primarycontactid/$ref").json() == {
        "@odata.context": f"{BASE}/$metadata#$ref", "@odata.id": f"{BASE}/contacts({env.ana})"}


def test_collection_path(env: Env) -> None:
    answer = env.get(f"accounts({env.one})/Account_Tasks?$select=subject").json()
    assert answer["@odata.context"] == f"{BASE}/$metadata#tasks(subject)"
    assert [r["subject"] for r in answer["value"]] == ["call"]
    assert env.get(f"accounts({env.one})/Account_Tasks?$filter=subject eq 'no'").value == []


def test_collection_path_pages() -> None:
    env = Env()
    account = env.add("account", name="x")
    for i in range(5):
        env.add("task", subject=f"t{i}", regardingobjectid=(account, "account"))
    env.add("task", subject="other")
    pages = list(env.pages(f"accounts({account})/Account_Tasks?$select=subject", "odata.maxpagesize=2"))
    assert [len(p["value"]) for p in pages] == [2, 2, 1]
    references = list(env.pages(f"accounts({account})/Account_Tasks/$ref", "odata.maxpagesize=2"))
    assert sum(len(p["value"]) for p in references) == 5


def test_collection_references_and_count(env: Env) -> None:
    assert env.get(f"accounts({env.one})/Account_Tasks/$ref").json() == {
        "@odata.context": f"{BASE}/$metadata#Collection($ref)",
        "value": [{"@odata.id": f"{BASE}/tasks({env.task})"}]}
    answer = env.get(f"accounts({env.one})/Account_Tasks/$count")
    assert answer.body == b"\xef\xbb\xbf1"


@pytest.mark.parametrize("path", ["nonsense", "name/more", "Account_Tasks/more", "primarycontactid/nonsense"])
def test_unknown_segments(env: Env, path: str) -> None:
    answer = env.get(f"accounts({env.one})/{path}")
    assert (answer.status, answer.code) == (404, "0x8006088A")
    assert answer.message.startswith("Resource not found for the segment '")


# --- conditional reads --------------------------------------------------------------------------


def test_unchanged_row_is_304(env: Env) -> None:
    tag = env.get(f"accounts({env.one})?$select=name").headers["ETag"]
    answer = env.get(f"accounts({env.one})?$select=name", if_none_match=tag)
    assert answer.status == 304 and answer.body == b""
    assert env.get(f"accounts({env.one})?$select=name", if_none_match='W/"1"').status == 200
    assert env.get(f"accounts({env.one})?$select=name", if_none_match="null").status == 200


def test_condition_is_ignored_with_expand_or_annotations(env: Env) -> None:
    tag = env.get(f"accounts({env.one})?$select=name").headers["ETag"]
    path = f"accounts({env.one})?$select=name"
    assert env.get(path + "&$expand=primarycontactid", if_none_match=tag).status == 200
    assert env.get(path, 'odata.include-annotations="*"', if_none_match=tag).status == 200


def test_condition_is_ignored_without_optimistic_concurrency() -> None:
    env = Env()
    row = env.add("contoso_sensordata", contoso_name="x")
    tag = env.get(f"contoso_sensordatas({row})").headers["ETag"]
    assert env.get(f"contoso_sensordatas({row})", if_none_match=tag).status == 200
