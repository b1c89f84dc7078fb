"""Sheet 1.5, 4.1, 4.3: what alternate keys accept, refuse and enforce when rows are written."""
from __future__ import annotations

import pytest

from test_bulk import bulk, typed
from writing import ABSENT, crm, exists, fresh, make, refused, row  # noqa: F401

#: Key values that no address reaches (sheet 1.5); ``#`` by the reports.
UNREACHABLE = ["a/b", "a<b", "a>b", "a*b", "a%b", "a&b", "a:b", "a\\b", "a?b", "a+b", "a#b"]
REACHABLE = ["O''Neill", "with blank", "ÄÖü", "a,b", "a=b", "a;b", "a(b)", "a@b", "日本", "a'b".replace(
    "'", "''"), "a\"b", "a$b", "a|b", "[a]", "a_b", "a.b", "a-b"]


def encoded(text: str) -> str:
    return "".join(f"%{b:02X}" for b in text.encode())


@pytest.mark.parametrize("value", UNREACHABLE)
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_values_that_no_keyed_path_reaches(crm, value, method):
    """Even percent-encoded throughout; the row can be found by a filter and written by its id."""
    value = fresh("K") + value
    own = make(crm, "accounts", accountnumber=value, name="old")
    reply = crm.request(method, f"accounts(accountnumber='{encoded(value)}')",
                        {"name": "new"} if method == "PATCH" else None)
    assert reply.status in (400, 404), reply.text
    assert row(crm, "accounts", own, "name")["name"] == "old"
    found = crm.get(f"accounts?$select=accountid&$filter=accountnumber eq '{encoded(value)}'")
    assert found.value[0]["accountid"] == own
    assert crm.patch(f"accounts({own})", {"name": "new"}).status == 204


@pytest.mark.parametrize("value", UNREACHABLE)
def test_uniqueness_holds_for_them_all_the_same(crm, value):
    value = fresh("U") + value
    make(crm, "accounts", accountnumber=value)
    refused(crm.post("accounts", {"accountnumber": value.lower()}), 412, "0x80060892")


@pytest.mark.parametrize("value", REACHABLE)
@pytest.mark.parametrize("everything", [True, False])
def test_values_that_a_keyed_path_reaches(crm, value, everything):
    value = fresh("R") + value
    text = encoded(value) if everything else value.replace('"', "%22")
    path = f"accounts(accountnumber='{text}')"
    assert crm.patch(path, {"name": "new"}).status == 204
    found = crm.get(f"{path}?$select=accountnumber")
    assert found.json()["accountnumber"] == value.replace("''", "'")


@pytest.mark.parametrize("value", REACHABLE + ["a*b", "a<b", "a>b", "a%b", "a&b", "a:b", "a%2Fb"])
def test_values_that_a_key_in_a_body_reaches(crm, value):
    """Taken literally: the apostrophe doubled, nothing decoded."""
    value = fresh("B") + value
    target = {"@odata.id": f"accounts(accountnumber='{value}')", "name": "new"}
    assert bulk(crm, "accounts", "UpsertMultiple", typed("account", target)).status == 204
    assert bulk(crm, "accounts", "UpsertMultiple",
                typed("account", {**target, "name": "again"})).status == 204
    plain = value.replace("''", "'")
    found = crm.get(f"accounts?$select=name,accountnumber&$filter=name eq 'again' and "
                    f"accountnumber eq '{encoded(value)}'").value
    assert [f["accountnumber"] for f in found] == [plain]


@pytest.mark.parametrize("value", ["a/b", "a\\b", "a#b", "a?b"])
def test_values_that_a_key_in_a_body_does_not_reach(crm, value):
    target = {"@odata.id": f"accounts(accountnumber='{fresh('B') + value}')", "name": "new"}
    refused(bulk(crm, "accounts", "UpsertMultiple", typed("account", target)), 400, "0x8006088A")


def test_null_addresses_nothing(crm):
    make(crm, "accounts", name="no number")
    for method in ("GET", "PATCH", "DELETE"):
        reply = crm.request(method, "accounts(accountnumber=null)",
                            {"name": "x"} if method == "PATCH" else None)
        refused(reply, 400, "0x8006088A")


def test_null_in_one_column_of_a_compound_key_is_not_checked(crm):
    mail = fresh("m") + "@example.com"
    for _ in range(2):
        make(crm, "contacts", emailaddress1=mail)
    for _ in range(2):
        make(crm, "contacts", firstname="Jo", emailaddress1=None)
    own = make(crm, "contacts", firstname="Jo", emailaddress1=mail)
    twin = make(crm, "contacts", emailaddress1=mail)
    refused(crm.patch(f"contacts({twin})", {"firstname": "JO"}), 412, "0x80060892")
    assert crm.patch(f"contacts({own})", {"firstname": None}).status == 204
    assert crm.patch(f"contacts({twin})", {"firstname": "JO"}).status == 204


def test_a_duplicate_of_a_compound_key_names_all_its_columns(crm):
    mail = fresh("m") + "@example.com"
    make(crm, "contacts", firstname="Jo", emailaddress1=mail)
    reply = crm.post("contacts", {"firstname": "jo", "emailaddress1": mail.upper()},
                     prefer='odata.include-annotations="*"')
    error = reply.json()["error"]
    assert reply.status == 412 and error["code"] == "0x80060892"
    assert error["@Microsoft.PowerApps.CDS.ErrorDetails.DuplicateAttributes"] == (
        f"<DuplicateAttributes><firstname>jo</firstname><emailaddress1>{mail.upper()}"
        "</emailaddress1></DuplicateAttributes>")
    assert "First Name" in error["message"] and error["message"].startswith("Entity Key ")


def test_part_of_a_compound_key_is_no_key(crm):
    refused(crm.patch("contacts(firstname='Jo')", {"lastname": "x"}), 400, "0x80060888")
    refused(crm.patch("contacts(firstname='Jo',emailaddress1='x',lastname='y')", {}), 400,
            "0x80060888")


def test_a_key_column_outside_of_the_urls_key_can_be_changed(crm):
    number = fresh("Old")
    make(crm, "accounts", accountnumber=number)
    own = crm.get(f"accounts(accountnumber='{number}')").json()["accountid"]
    assert crm.patch(f"accounts({own})", {"accountnumber": number + "x"}).status == 204
    assert crm.get(f"accounts(accountnumber='{number}')").status == 404
    assert crm.get(f"accounts(accountnumber='{number}x')").status == 200


def test_lookup_in_a_key_bare_or_in_parentheses(crm):
    country = make(crm, "geo_countries", geo_name="K", geo_alpha2=fresh("k")[-2:])
    for literal in (country, f"({country})", country.upper()):
        path = f"geo_indicators(_geo_countryid_value={literal},geo_year=2020)"
        assert crm.patch(path, {"geo_value": 1}).status == 204
    assert len(crm.get(f"geo_countries({country})/geo_country_indicators").value) == 1


def test_lookup_in_a_key_to_no_row(crm):
    path = f"geo_indicators(_geo_countryid_value={ABSENT},geo_year=2020)"
    refused(crm.patch(path, {"geo_value": 1}), 404, "0x80040217")
    refused(crm.patch(path, {"geo_value": 1}, headers={"If-Match": "*"}), 404, "0x80060891")


def test_upsert_creates_with_the_id_of_the_body_or_its_own(crm):
    number, own = fresh("Id"), "5a0f9e3c-0000-4000-8000-00000000ee01"
    assert crm.patch(f"accounts(accountnumber='{number}')", {"accountid": own}).status == 204
    assert row(crm, "accounts", own)["accountnumber"] == number
    refused(crm.patch(f"accounts(accountnumber='{number}')", {"accountid": ABSENT}), 400,
            "0x80060888")


def test_key_text_of_the_url_is_checked_like_a_body(crm):
    refused(crm.patch(f"accounts(accountnumber='{'x' * 21}')", {"name": "x"}), 400, "0x80044331")
