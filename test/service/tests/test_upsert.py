"""Sheet 4.3, 1.5: upsert by PATCH, by id and by alternate key."""
from __future__ import annotations

import pytest

from writing import ABSENT, crm, fresh, make, refused, row  # noqa: F401


def test_plain_patch_is_an_upsert_by_id(crm):
    own = "5a0f9e3c-0000-4000-8000-00000000aa01"
    reply = crm.patch(f"accounts({own})", {"name": "Made"})
    assert reply.status == 204 and reply.headers["OData-EntityId"].endswith(f"({own})")
    assert row(crm, "accounts", own, "name")["name"] == "Made"


def test_upsert_does_not_tell_created_from_updated(crm):
    number = fresh("Up")
    first = crm.patch(f"accounts(accountnumber='{number}')", {"name": "1"})
    second = crm.patch(f"accounts(accountnumber='{number}')", {"name": "2"})
    assert first.status == second.status == 204


def test_upsert_with_representation_tells_by_status(crm):
    path = f"accounts(accountnumber='{fresh('Up')}')?$select=accountid"
    statuses = [crm.patch(path, {"name": "x"},
                          prefer="return=representation").status for _ in range(2)]
    assert statuses == [201, 200]


def test_key_values_of_the_url_are_copied_into_a_new_row(crm):
    number = fresh("Copy")
    crm.patch(f"accounts(accountnumber='{number}')", {"name": "x"})
    assert crm.get("accounts?$filter=accountnumber eq "
                   f"'{number}'").value[0]["accountnumber"] == number


def test_body_values_win_over_the_url_on_create(crm):
    number, other = fresh("Url"), fresh("Body")
    crm.patch(f"accounts(accountnumber='{number}')", {"name": "x", "accountnumber": other})
    assert crm.get(f"accounts(accountnumber='{number}')").status == 404
    assert crm.get(f"accounts(accountnumber='{other}')").status == 200


def test_key_columns_of_the_url_are_dropped_from_the_body_on_update(crm):
    number, other = fresh("Url"), fresh("Body")
    own = make(crm, "accounts", accountnumber=number)
    assert crm.patch(f"accounts(accountnumber='{number}')", {"accountnumber": other}).status == 204
    assert row(crm, "accounts", own)["accountnumber"] == number


def test_existing_row_is_found_by_collation(crm):
    number = fresh("Case")
    own = make(crm, "accounts", accountnumber=number)
    crm.patch(f"accounts(accountnumber='{number.lower()}')", {"name": "found"})
    assert row(crm, "accounts", own, "name")["name"] == "found"


def test_compound_key_in_any_order(crm):
    first = fresh("F")
    own = make(crm, "contacts", firstname=first, emailaddress1="a@b.c")
    crm.patch(f"contacts(emailaddress1='a@b.c',firstname='{first}')", {"lastname": "L"})
    assert row(crm, "contacts", own)["lastname"] == "L"


def test_names_must_equal_one_declared_key(crm):
    for key in ("name='x'", "firstname='x'", "firstname='x',emailaddress1='y',lastname='z'",
                "sample_phone='1'"):
        entity_set = "sample_everythings" if "sample" in key else "contacts"
        message = refused(crm.patch(f"{entity_set}({key})", {}), 400, "0x80060888")
        assert "key in the request URI is not valid" in message


def test_key_with_a_lookup_uses_the_value_property(crm):
    country = make(crm, "geo_countries", geo_name="L", geo_alpha2="L1")
    path = f"geo_indicators(_geo_countryid_value={country},geo_year=2020)"
    assert crm.patch(path, {"geo_value": 1.5}).status == 204
    assert crm.patch(path, {"geo_value": 2.5}).status == 204
    found = crm.get(f"geo_indicators?$filter=_geo_countryid_value eq {country}").value
    assert [(f["geo_year"], f["geo_value"]) for f in found] == [(2020, 2.5)]


@pytest.mark.parametrize("name", ["geo_countryid", "geo_CountryId"])
def test_lookup_in_a_key_by_another_name_is_refused(crm, name):
    refused(crm.patch(f"geo_indicators({name}={ABSENT},geo_year=2020)", {}), 400, "0x80060888")


def test_keys_of_other_types(crm):
    for key in ("sample_integer=7,sample_date=2024-01-31", "sample_decimal=12.5",
                "sample_choice=100000001,sample_datetime=2024-01-31T08:00:00Z"):
        for name in ("first", "second"):
            reply = crm.patch(f"sample_everythings({key})", {"sample_name": name})
            assert reply.status == 204, reply.text
        found = crm.get(f"sample_everythings({key})?$select=sample_name").json()
        assert found["sample_name"] == "second"


@pytest.mark.parametrize("char", list("/<>*%&:\\?+"))
def test_characters_that_keyed_addresses_refuse_even_encoded(crm, char):
    number = fresh("Ch") + char
    own = make(crm, "accounts", accountnumber=number)
    path = f"accounts(accountnumber='{number[:-1]}%{ord(char):02X}')"
    refused(crm.patch(path, {"name": "x"}), 400, "0x8006088A")
    assert row(crm, "accounts", own)["accountnumber"] == number
    assert crm.post("accounts", {"accountnumber": number}).code == "0x80060892"


def test_apostrophe_is_doubled(crm):
    number = fresh("O") + "'Brian"
    own = make(crm, "accounts", accountnumber=number)
    assert crm.patch(f"accounts(accountnumber='{number.replace(chr(39), chr(39) * 2)}')",
                     {"name": "x"}).status == 204
    assert row(crm, "accounts", own, "name")["name"] == "x"


def test_text_key_needs_quotes_and_numbers_none(crm):
    assert crm.patch("accounts(accountnumber=12)", {}).status == 400
    assert crm.patch("sample_everythings(sample_decimal='1')", {}).status == 400


def test_bad_body_creates_nothing(crm):
    number = fresh("Bad")
    refused(crm.patch(f"accounts(accountnumber='{number}')", {"nosuch": 1}), 400, "0x80048D19")
    assert crm.get(f"accounts(accountnumber='{number}')").status == 404


def test_elastic_upsert_replaces_the_whole_row(crm):
    """PATCH without If-Match loses the columns that were not sent; with it, it merges (13.1)."""
    own = "5a0f9e3c-0000-4000-8000-0000000000f1"
    path = f"contoso_sensordatas(contoso_sensordataid={own},partitionid='d1')"
    crm.patch(path, {"contoso_name": "N", "contoso_value": 1})
    crm.patch(path, {"contoso_value": 2}, headers={"If-Match": "*"})
    found = crm.get(path).json()
    assert (found["contoso_name"], found["contoso_value"]) == ("N", 2)
    crm.patch(path, {"contoso_value": 3})
    found = crm.get(path).json()
    assert (found["contoso_name"], found["contoso_value"]) == (None, 3)


def test_principals_are_addressed_by_ownerid(crm):
    user = crm.get("WhoAmI").json()["UserId"]
    assert crm.patch(f"systemusers(ownerid={user})", {"jobtitle": "x"},
                     headers={"If-Match": "*"}).status == 204
    assert crm.patch(f"systemusers(systemuserid={user})", {"jobtitle": "x"}).code == "0x80060888"


def test_values_from_the_url_are_checked_like_those_of_a_body(crm):
    refused(crm.patch(f"geo_countries(geo_alpha2='TOOLONG')", {"geo_name": "x"}), 400, "0x80044331")
    refused(crm.patch("sample_everythings(sample_choice=5,sample_datetime=2024-01-31T08:00:00Z)",
                      {}),
            400, "0x8004431A")
    refused(crm.patch(f"geo_indicators(_geo_countryid_value={ABSENT},geo_year=2020)", {}), 404,
            "0x80040217")


def test_values_from_the_url_are_stored_as_a_body_would(crm):
    reply = crm.patch("sample_everythings(sample_decimal=77.50)?$select=sample_decimal", {},
                      prefer="return=representation")
    assert reply.status == 201 and b"77.5000000000" in reply.body


def test_conversion_of_a_url_value_to_a_date(crm):
    path = "sample_everythings(sample_choice=100000002,sample_datetime=2024-01-31T08:00:00Z)"
    reply = crm.patch(path + "?$select=sample_datetime", {}, prefer="return=representation")
    assert reply.json()["sample_datetime"] == "2024-01-31T08:00:00Z"
