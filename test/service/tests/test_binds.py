"""Sheet 3.5: lookups in payloads."""
from __future__ import annotations

import pytest

from writing import ABSENT, crm, fresh, make, refused, row  # noqa: F401


@pytest.mark.parametrize("form", ["/contacts({id})", "contacts({id})", "{base}/contacts({id})",
                                  "/api/data/v9.2/contacts({id})"])
def test_forms_of_a_bind(crm, form):
    contact = make(crm, "contacts", lastname="C")
    url = form.format(id=contact, base=crm.base)
    own = crm.post("accounts", {"name": "A", "primarycontactid@odata.bind": url}).created_id
    assert row(crm, "accounts", own)["_primarycontactid_value"] == contact


def test_bind_by_alternate_key(crm):
    number = fresh("Bk")
    account = make(crm, "accounts", accountnumber=number)
    own = crm.post("contacts", {"lastname": "C", "parentcustomerid_account@odata.bind":
                                f"/accounts(accountnumber='{number.lower()}')"}).created_id
    assert row(crm, "contacts", own)["_parentcustomerid_value"] == account


@pytest.mark.parametrize("key, values", [
    ("sample_integer={n},sample_date=2024-02-29", {"sample_date": "2024-02-29"}),
    ("sample_date=2024-02-29,sample_integer={n}", {"sample_date": "2024-02-29"})])
def test_bind_by_a_key_of_several_columns(crm, key, values):
    """Sheet 1.5: the order of the columns is free."""
    number = int(fresh("")) + (1000 if key.startswith("sample_d") else 0)
    up = make(crm, "sample_everythings", sample_integer=number, **values)
    own = crm.post("sample_everythings", {
        "sample_ParentId@odata.bind": f"/sample_everythings({key.format(n=number)})"}).created_id
    assert row(crm, "sample_everythings", own)["_sample_parentid_value"] == up


def test_bind_by_a_decimal_key(crm):
    up = make(crm, "sample_everythings", sample_decimal=1.25)
    own = crm.post("sample_everythings", {
        "sample_ParentId@odata.bind": "/sample_everythings(sample_decimal=1.25)"}).created_id
    assert row(crm, "sample_everythings", own)["_sample_parentid_value"] == up


def test_bind_by_half_a_key(crm):
    refused(crm.post("sample_everythings", {"sample_ParentId@odata.bind":
                                            "/sample_everythings(sample_integer=1)"}),
            400, "0x80060888")


def test_binds_by_key_in_a_bulk_message(crm):
    """Each target its own; one that is not there refuses them all (5.2)."""
    kind = "Microsoft.Dynamics.CRM.geo_subdivision"
    make(crm, "geo_countries", geo_name="K1", geo_alpha2="K1")
    make(crm, "geo_countries", geo_name="K2", geo_alpha2="K2")

    def targets(*countries):
        return {"Targets": [{"@odata.type": kind, "geo_name": f"bulk {name}",
                             "geo_CountryId@odata.bind": f"/geo_countries(geo_alpha2='{name}')"}
                            for name in countries]}

    message = "geo_subdivisions/Microsoft.Dynamics.CRM.CreateMultiple"
    made = crm.post(message, targets("K1", "k2")).json()["Ids"]
    found = [row(crm, "geo_subdivisions", one)["_geo_countryid_value"] for one in made]
    names = [row(crm, "geo_countries", one)["geo_alpha2"] for one in found]
    assert names == ["K1", "K2"]
    refused(crm.post(message, targets("K1", "none")), 404, "0x80060891")


def test_bind_to_a_key_that_matches_no_row(crm):
    message = refused(crm.post("contacts", {"lastname": "C", "parentcustomerid_account@odata.bind":
                                            "/accounts(accountnumber='none')"}), 404, "0x80060891")
    assert message == "A record with the specified key values does not exist in account entity"


def test_bind_to_an_id_that_matches_no_row(crm):
    message = refused(crm.post("accounts", {"primarycontactid@odata.bind": f"/contacts({ABSENT})"}),
                      404, "0x80040217")
    assert message == f"contact With Id = {ABSENT} Does Not Exist"


@pytest.mark.parametrize("char", list("*<>%&:"))
def test_key_url_in_a_body_is_taken_literally(crm, char):
    """Characters that fail in the path work inside a bind (1.5)."""
    number = fresh("Lit") + char
    account = make(crm, "accounts", accountnumber=number)
    own = crm.post("contacts", {"lastname": "C", "parentcustomerid_account@odata.bind":
                                f"/accounts(accountnumber='{number}')"}).created_id
    assert row(crm, "contacts", own)["_parentcustomerid_value"] == account


@pytest.mark.parametrize("char", list("/\\#"))
def test_characters_that_fail_inside_a_bind(crm, char):
    number = fresh("Lit") + char
    make(crm, "accounts", accountnumber=number)
    refused(crm.post("contacts", {"lastname": "C", "parentcustomerid_account@odata.bind":
                                  f"/accounts(accountnumber='{number}')"}), 400, "0x8006088A")


def test_percent_encoding_inside_a_bind_is_not_decoded(crm):
    number = fresh("Enc") + "#"
    make(crm, "accounts", accountnumber=number)
    refused(crm.post("contacts", {"lastname": "C", "parentcustomerid_account@odata.bind":
                                  f"/accounts(accountnumber='{number[:-1]}%23')"}), 404,
                                  "0x80060891")


def test_wrong_case_of_a_navigation_property(crm):
    country = make(crm, "geo_countries", geo_name="W", geo_alpha2="W1")
    message = refused(crm.post("geo_subdivisions", {"geo_name": "x", "geo_countryid@odata.bind":
                                                    f"/geo_countries({country})"}), 400,
                                                    "0x80048D19")
    assert "An undeclared property 'geo_countryid' which only has property annotations" in message
    assert crm.post("geo_subdivisions", {"geo_name": "x", "geo_CountryId@odata.bind":
                                         f"/geo_countries({country})"}).status == 204


@pytest.mark.parametrize("value", [None, ABSENT])
def test_lookup_value_property_in_a_body_is_refused(crm, value):
    message = refused(crm.post("accounts", {"_primarycontactid_value": value}), 400, "0x80060888")
    assert message == ("CRM do not support direct update of Entity Reference properties, Use "
                       "Navigation "
                       "properties instead.")


def test_null_under_the_navigation_name_clears(crm):
    contact = make(crm, "contacts", lastname="C")
    own = crm.post("accounts",
                   {"name": "A", "primarycontactid@odata.bind": f"/contacts({contact})"}).created_id
    assert crm.patch(f"accounts({own})", {"primarycontactid": None}).status == 204
    assert row(crm, "accounts", own)["_primarycontactid_value"] is None


def test_null_under_the_logical_name_where_it_differs(crm):
    own = make(crm, "geo_subdivisions", geo_name="x")
    message = refused(crm.patch(f"geo_subdivisions({own})", {"geo_countryid": None}), 400,
                      "0x80048D19")
    assert "Invalid property 'geo_countryid' was found in entity" in message
    assert "Does not support untyped value in non-open type." in message


@pytest.mark.parametrize("mode, status, cleared",
                         [("accepted", 204, True), ("refused", 400, False),
                          ("ignored", 204, False)])
def test_null_bind_by_quirk(fresh_service, mode, status, cleared):
    service = fresh_service(quirks={"bind_null": mode})
    contact = make(service, "contacts", lastname="C")
    own = service.post("accounts",
                       {"primarycontactid@odata.bind": f"/contacts({contact})"}).created_id
    reply = service.patch(f"accounts({own})", {"primarycontactid@odata.bind": None})
    assert reply.status == status
    if status == 400:
        assert "must have a non-null string value" in reply.message
    found = row(service, "accounts", own)["_primarycontactid_value"]
    assert found == (None if cleared else contact)


def test_polymorphic_lookup_has_a_navigation_property_for_each_target(crm):
    account, contact = make(crm, "accounts", name="A"), make(crm, "contacts", lastname="C")
    own = crm.post("opportunities", {"name": "O", "customerid_account@odata.bind":
                                     f"/accounts({account})"}).created_id
    assert row(crm, "opportunities", own)["_customerid_value"] == account
    crm.patch(f"opportunities({own})", {"customerid_contact@odata.bind": f"/contacts({contact})"})
    reply = crm.get(f"opportunities({own})?$select=_customerid_value",
                    prefer='odata.include-annotations="*"').json()
    assert reply["_customerid_value"] == contact
    assert reply["_customerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == "contact"


def test_navigation_property_takes_its_own_target_only(crm):
    contact = make(crm, "contacts", lastname="C")
    refused(crm.post("opportunities", {"customerid_account@odata.bind": f"/contacts({contact})"}),
            400, "0x80048D19")


def test_bind_needs_a_string(crm):
    refused(crm.post("accounts", {"primarycontactid@odata.bind": 5}), 400, "0x80048D19")
    refused(crm.post("accounts", {"primarycontactid@odata.bind": "nonsense"}), 400, "0x80048D19")


def test_owner_cannot_be_cleared(crm):
    own = make(crm, "accounts", name="A")
    refused(crm.patch(f"accounts({own})", {"ownerid": None}), 400, "0x80040215")


def test_nested_object_in_an_update_is_refused(crm):
    own = make(crm, "accounts", name="A")
    refused(crm.patch(f"accounts({own})", {"primarycontactid": {"lastname": "x"}}), 400,
            "0x80060888")


def test_annotations_of_a_row_that_was_read_are_ignored(crm):
    own = crm.post("accounts", {
        "@odata.context": "x", "@odata.etag": 'W/"1"',
        "@odata.type": "#Microsoft.Dynamics.CRM.account",
        "name": "A", "industrycode": 1,
        "industrycode@OData.Community.Display.V1.FormattedValue": "Accounting"}).created_id
    assert row(crm, "accounts", own)["industrycode"] == 1


def test_type_annotation_must_name_the_table(crm):
    refused(crm.post("accounts", {"@odata.type": "Microsoft.Dynamics.CRM.contact"}), 400,
            "0x80048D19")
