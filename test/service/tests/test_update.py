"""Sheet 4.3 to 4.5: updates, single properties, relations, deletes."""
from __future__ import annotations

import pytest

from writing import ABSENT, crm, exists, fresh, make, refused, row  # noqa: F401


def test_patch_changes_only_what_is_sent(crm):
    own = make(crm, "accounts", name="A", telephone1="1")
    reply = crm.patch(f"accounts({own})", {"name": "B"})
    assert reply.status == 204 and reply.headers["OData-EntityId"] == f"{crm.base}/accounts({own})"
    found = row(crm, "accounts", own, "name", "telephone1")
    assert (found["name"], found["telephone1"]) == ("B", "1")


def test_modified_columns_and_version_change_even_without_a_change(crm):
    with crm.frozen("2024-03-01T10:00:00Z"):
        own = make(crm, "accounts", name="A")
    before = row(crm, "accounts", own)
    with crm.frozen("2024-03-01T11:00:00Z"):
        crm.patch(f"accounts({own})", {"name": "A"})
    after = row(crm, "accounts", own)
    assert after["modifiedon"] == "2024-03-01T11:00:00Z"
    assert after["createdon"] == before["createdon"]
    assert after["versionnumber"] > before["versionnumber"]


def test_representation_of_update_is_200(crm):
    own = make(crm, "accounts", name="A")
    reply = crm.patch(f"accounts({own})?$select=name", {"name": "B"},
                      prefer="return=representation")
    assert reply.status == 200 and reply.json()["name"] == "B"
    assert reply.headers["ETag"] == reply.json()["@odata.etag"]


def test_entity_id_repeats_the_alternate_key(crm):
    number = fresh("Ek")
    make(crm, "accounts", accountnumber=number)
    reply = crm.patch(f"accounts(accountnumber='{number}')", {"name": "x"})
    assert reply.headers["OData-EntityId"] == f"{crm.base}/accounts(accountnumber='{number}')"


def test_unchanged_key_does_not_collide_with_itself(crm):
    number = fresh("Self")
    own = make(crm, "accounts", accountnumber=number)
    assert crm.patch(f"accounts({own})", {"accountnumber": number.lower()}).status == 204


def test_changing_a_key_into_an_existing_one_is_412(crm):
    one, two = fresh("Two"), fresh("Two")
    make(crm, "accounts", accountnumber=one)
    own = make(crm, "accounts", accountnumber=two)
    refused(crm.patch(f"accounts({own})", {"accountnumber": one}), 412, "0x80060892")


def test_half_of_a_compound_key_is_checked_with_the_stored_half(crm):
    first = fresh("Half")
    make(crm, "contacts", firstname=first, emailaddress1="a@x.y")
    own = make(crm, "contacts", firstname=first, emailaddress1="b@x.y")
    refused(crm.patch(f"contacts({own})", {"emailaddress1": "A@x.y"}), 412, "0x80060892")


def test_base_amount_follows_the_amount(crm):
    own = make(crm, "accounts", name="M", revenue=10)
    crm.patch(f"accounts({own})", {"revenue": 20})
    assert row(crm, "accounts", own)["revenue_base"] == 20
    crm.patch(f"accounts({own})", {"revenue": None})
    assert row(crm, "accounts", own)["revenue_base"] is None


def test_first_money_of_a_row_brings_the_currency(crm):
    own = make(crm, "accounts", name="M")
    assert row(crm, "accounts", own)["_transactioncurrencyid_value"] is None
    crm.patch(f"accounts({own})", {"revenue": 20})
    assert row(crm, "accounts", own)["_transactioncurrencyid_value"] is not None


def test_full_name_follows_its_parts(crm):
    own = make(crm, "contacts", firstname="Ann", lastname="Lee")
    crm.patch(f"contacts({own})", {"lastname": "Fox"})
    assert row(crm, "contacts", own, "fullname")["fullname"] == "Ann Fox"


def test_primary_key_in_the_body_may_repeat_the_url(crm):
    own = make(crm, "accounts", name="A")
    assert crm.patch(f"accounts({own})", {"accountid": own.upper(), "name": "B"}).status == 204
    assert crm.patch(f"accounts({own})", {"accountid": ABSENT}).status == 400


def test_patch_and_delete_on_a_collection_are_405(crm):
    assert crm.patch("accounts", {"name": "x"}).status == 405
    assert crm.delete("accounts").status == 405
    own = make(crm, "accounts", name="A")
    assert crm.put(f"accounts({own})", {"name": "x"}).status == 405


# --- state and status ---------------------------------------------------------------------------


def test_status_must_belong_to_the_state(crm):
    own = make(crm, "accounts", name="S")
    refused(crm.patch(f"accounts({own})", {"statecode": 1, "statuscode": 1}), 400, "0x80048408")
    refused(crm.patch(f"accounts({own})", {"statuscode": 2}), 400, "0x80048408")
    refused(crm.post("accounts", {"name": "x", "statecode": 0, "statuscode": 2}), 400, "0x80048408")


def test_state_alone_brings_its_default_status(crm):
    own = make(crm, "accounts", name="S")
    assert crm.patch(f"accounts({own})", {"statecode": 1}).status == 204
    assert row(crm, "accounts", own)["statuscode"] == 2


# --- single properties ----------------------------------------------------------------------------


def test_put_and_delete_of_one_property(crm):
    own = make(crm, "accounts", name="A", description="d")
    assert crm.put(f"accounts({own})/name", {"value": "B"}).status == 204
    assert crm.delete(f"accounts({own})/description").status == 204
    found = row(crm, "accounts", own, "name", "description")
    assert (found["name"], found["description"]) == ("B", None)


def test_put_of_a_property_validates_like_an_update(crm):
    own = make(crm, "accounts", name="A")
    refused(crm.put(f"accounts({own})/name", {"value": "x" * 161}), 400, "0x80044331")
    refused(crm.put(f"accounts({own})/name", {"wrong": 1}), 400, "0x80048D19")
    assert crm.put(f"accounts({own})/nosuch", {"value": 1}).status == 404


def test_single_property_of_an_absent_row_is_404(crm):
    refused(crm.put(f"accounts({ABSENT})/name", {"value": "B"}), 404, "0x80040217")


def test_delete_of_a_navigation_property_needs_ref(crm):
    own = make(crm, "accounts", name="A")
    assert crm.delete(f"accounts({own})/primarycontactid").status == 405


# --- $ref -----------------------------------------------------------------------------------------


def test_reference_sets_and_clears_a_lookup(crm):
    account, contact = make(crm, "accounts", name="A"), make(crm, "contacts", lastname="C")
    path = f"accounts({account})/primarycontactid/$ref"
    assert crm.put(path, {"@odata.id": f"{crm.base}/contacts({contact})"}).status == 204
    assert row(crm, "accounts", account)["_primarycontactid_value"] == contact
    assert crm.delete(path).status == 204
    assert row(crm, "accounts", account)["_primarycontactid_value"] is None


def test_reference_adds_to_and_removes_from_a_collection(crm):
    account = make(crm, "accounts", name="A")
    children = [make(crm, "accounts", name="C") for _ in range(2)]
    for child in children:
        reply = crm.post(f"accounts({account})/account_parent_account/$ref",
                         {"@odata.id": f"accounts({child})"})
        assert reply.status == 204
        assert row(crm, "accounts", child)["_parentaccountid_value"] == account
    path = f"accounts({account})/account_parent_account"
    assert crm.delete(f"{path}({children[0]})/$ref").status == 204
    assert crm.delete(f"accounts({account})/account_parent_account/$ref"
                      f"?$id={crm.base}/accounts({children[1]})").status == 204
    for child in children:
        assert row(crm, "accounts", child)["_parentaccountid_value"] is None


def test_reference_to_an_absent_row_is_404(crm):
    account = make(crm, "accounts", name="A")
    refused(crm.put(f"accounts({account})/primarycontactid/$ref",
                    {"@odata.id": f"contacts({ABSENT})"}), 404, "0x80040217")


def test_reference_with_the_wrong_case_is_404(crm):
    account, contact = make(crm, "accounts", name="A"), make(crm, "contacts", lastname="C")
    assert crm.put(f"accounts({account})/PrimaryContactId/$ref",
                   {"@odata.id": f"contacts({contact})"}).status == 404


# --- delete ---------------------------------------------------------------------------------------


def test_delete_is_204_and_then_404(crm):
    own = make(crm, "accounts", name="A")
    assert crm.delete(f"accounts({own})").status == 204
    refused(crm.delete(f"accounts({own})"), 404, "0x80040217")


def test_delete_by_alternate_key(crm):
    number = fresh("Del")
    own = make(crm, "accounts", accountnumber=number)
    assert crm.delete(f"accounts(accountnumber='{number}')").status == 204
    assert not exists(crm, "accounts", own)
    assert crm.delete(f"accounts(accountnumber='{number}')").status == 404


def test_restricted_delete_is_405_with_its_code(crm):
    country = make(crm, "geo_countries", geo_name="X", geo_alpha2="X1")
    part = crm.post("geo_subdivisions", {"geo_name": "Y", "geo_CountryId@odata.bind":
                                         f"/geo_countries({country})"}).created_id
    refused(crm.delete(f"geo_countries({country})"), 405, "0x80040227")
    assert crm.delete(f"geo_subdivisions({part})").status == 204
    assert crm.delete(f"geo_countries({country})").status == 204


def test_cascading_delete_takes_the_children(crm):
    account = make(crm, "accounts", name="A")
    task = crm.post("tasks", {"subject": "T", "regardingobjectid_account_task@odata.bind":
                              f"/accounts({account})"}).created_id
    assert crm.delete(f"accounts({account})").status == 204
    assert not exists(crm, "tasks", task)


def test_removed_link_leaves_the_child_with_a_null_lookup(crm):
    account = make(crm, "accounts", name="A")
    contact = crm.post("contacts", {"lastname": "C", "parentcustomerid_account@odata.bind":
                                    f"/accounts({account})"}).created_id
    assert crm.delete(f"accounts({account})").status == 204
    assert row(crm, "contacts", contact)["_parentcustomerid_value"] is None


def test_failed_restrict_undoes_cascades(crm):
    """Tasks go with the account, but an opportunity's parent account restricts the delete."""
    account = make(crm, "accounts", name="A")
    task = crm.post("tasks", {"subject": "T", "regardingobjectid_account_task@odata.bind":
                              f"/accounts({account})"}).created_id
    crm.post("opportunities", {"name": "O", "parentaccountid@odata.bind": f"/accounts({account})"})
    refused(crm.delete(f"accounts({account})"), 405, "0x80040227")
    assert exists(crm, "tasks", task)


def test_elastic_delete_takes_the_partition_option(crm):
    own = "5a0f9e3c-0000-4000-8000-0000000000d1"
    for partition in ("p1", "p2"):
        crm.post("contoso_sensordatas", {"contoso_sensordataid": own, "partitionid": partition})
    reply = crm.delete(f"contoso_sensordatas({own})?partitionId=p1")
    assert reply.status == 204, reply.text
    assert crm.delete(f"contoso_sensordatas({own})?partitionId=p1").status == 404
    assert crm.delete(
        f"contoso_sensordatas(contoso_sensordataid={own},partitionid='p2')").status == 204


@pytest.mark.parametrize("method", ["patch", "put", "delete"])
def test_read_only_tables_refuse_writes(crm, method):
    own = crm.get("organizations?$select=name").value[0]["organizationid"]
    path = f"organizations({own})" + ("/name" if method == "put" else "")
    assert crm.request(method.upper(), path,
                       {"value": "x"} if method == "put" else {"name": "x"}).status == 405


def test_expand_has_no_effect_on_the_representation_of_an_update(crm):
    own = make(crm, "accounts", name="A")
    reply = crm.patch(f"accounts({own})?$select=name&$expand=primarycontactid", {"name": "B"},
                      prefer="return=representation")
    assert reply.status == 200 and "primarycontactid" not in reply.json()
