"""Sheet 4.3: the whole precondition matrix."""
from __future__ import annotations

import pytest

from writing import ABSENT, crm, exists, fresh, make, refused, row  # noqa: F401


def etag(crm, own: str) -> str:
    return crm.get(f"accounts({own})?$select=name").headers["ETag"]


def test_no_header_row_exists_updates(crm):
    own = make(crm, "accounts", name="A")
    assert crm.patch(f"accounts({own})", {"name": "B"}).status == 204


def test_no_header_row_absent_creates(crm):
    own = "5a0f9e3c-0000-4000-8000-00000000bb01"
    assert crm.patch(f"accounts({own})", {"name": "B"}).status == 204
    assert exists(crm, "accounts", own)


def test_if_match_star_row_exists_updates(crm):
    own = make(crm, "accounts", name="A")
    assert crm.patch(f"accounts({own})", {"name": "B"}, headers={"If-Match": "*"}).status == 204


def test_if_match_star_row_absent_is_404(crm):
    message = refused(crm.patch(f"accounts({ABSENT})", {"name": "B"}, headers={"If-Match": "*"}),
                      404, "0x80040217")
    assert message == f"account With Id = {ABSENT} Does Not Exist"
    assert not exists(crm, "accounts", ABSENT)


def test_if_match_star_by_absent_key_is_404(crm):
    refused(crm.patch("accounts(accountnumber='none "
                      "such')", {"name": "B"}, headers={"If-Match": "*"}),
            404, "0x80060891")


def test_if_match_version_equal_updates(crm):
    own = make(crm, "accounts", name="A")
    assert crm.patch(f"accounts({own})", {"name": "B"},
                     headers={"If-Match": etag(crm, own)}).status == 204


def test_if_match_version_old_is_412(crm):
    own = make(crm, "accounts", name="A")
    old = etag(crm, own)
    crm.patch(f"accounts({own})", {"name": "B"})
    message = refused(crm.patch(f"accounts({own})", {"name": "C"}, headers={"If-Match": old}),
                      412, "0x80060882")
    assert message == ("The version of the existing record doesn't match the RowVersion property "
                       "provided.")
    assert row(crm, "accounts", own, "name")["name"] == "B"


def test_if_match_version_row_absent_is_404(crm):
    assert crm.patch(f"accounts({ABSENT})", {}, headers={"If-Match": 'W/"1"'}).status == 404


def test_if_none_match_star_row_exists_is_412(crm):
    own = make(crm, "accounts", name="A")
    message = refused(crm.patch(f"accounts({own})", {"name": "B"}, headers={"If-None-Match": "*"}),
                      412, "0x80040237")
    assert message == "A record with matching key values already exists."


def test_if_none_match_star_row_absent_creates(crm):
    number = fresh("Inm")
    assert crm.patch(f"accounts(accountnumber='{number}')", {"name": "B"},
                     headers={"If-None-Match": "*"}).status == 204


@pytest.mark.parametrize("there", [True, False])
def test_if_none_match_null_means_nothing(crm, there):
    number = fresh("Null")
    if there:
        make(crm, "accounts", accountnumber=number)
    assert crm.patch(f"accounts(accountnumber='{number}')", {"name": "B"},
                     headers={"If-None-Match": "null"}).status == 204


def test_table_without_optimistic_concurrency(crm):
    own = make(crm, "geo_notes", geo_name="N")
    refused(crm.patch(f"geo_notes({own})", {"geo_name": "M"}, headers={"If-Match": 'W/"1"'}),
            400, "0x8006088D")
    assert crm.patch(f"geo_notes({own})", {"geo_name": "M"},
                     headers={"If-Match": "*"}).status == 204


def test_delete_honours_the_version(crm):
    own = make(crm, "accounts", name="A")
    old = etag(crm, own)
    crm.patch(f"accounts({own})", {"name": "B"})
    refused(crm.delete(f"accounts({own})", headers={"If-Match": old}), 412, "0x80060882")
    assert crm.delete(f"accounts({own})", headers={"If-Match": etag(crm, own)}).status == 204


def test_single_property_honours_the_version(crm):
    own = make(crm, "accounts", name="A")
    refused(crm.put(f"accounts({own})/name", {"value": "B"}, headers={"If-Match": 'W/"1"'}),
            412, "0x80060882")
