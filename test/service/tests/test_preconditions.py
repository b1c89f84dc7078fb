"""Sheet 4.3: the whole precondition matrix."""
from __future__ import annotations

import uuid

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

# --- the matrix: what each method makes of each condition, on rows that are there and that are not

EQUAL, OLD = "the row's etag", 'W/"1"'

#: (method, header, value, status where the row exists, status where it does not)
MATRIX = [
    ("PATCH", None, None, 204, 204),
    ("PATCH", "If-Match", "*", 204, 404),
    ("PATCH", "If-Match", EQUAL, 204, 404),
    ("PATCH", "If-Match", OLD, 412, 404),
    ("PATCH", "If-None-Match", "*", 412, 204),
    ("PATCH", "If-None-Match", "null", 204, 204),
    ("PUT", None, None, 204, 404),
    ("PUT", "If-Match", "*", 204, 404),
    ("PUT", "If-Match", EQUAL, 204, 404),
    ("PUT", "If-Match", OLD, 412, 404),
    ("DELETE", None, None, 204, 404),
    ("DELETE", "If-Match", "*", 204, 404),
    ("DELETE", "If-Match", EQUAL, 204, 404),
    ("DELETE", "If-Match", OLD, 412, 404),
]
CODES = {(412, "If-Match"): "0x80060882", (412, "If-None-Match"): "0x80040237",
         (404, None): "0x80040217", (404, "If-Match"): "0x80040217"}


def asked(crm, method: str, path: str, headers: dict, prefer=None):
    if method == "PUT":
        return crm.put(f"{path}/name", {"value": "new"}, headers=headers)
    if method == "DELETE":
        return crm.delete(path, headers=headers)
    return crm.patch(f"{path}?$select=name" if prefer else path, {"name": "new"}, headers=headers,
                     prefer=prefer)


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("method, header, value, present, absent", MATRIX)
def test_matrix(crm, method, header, value, present, absent, there):
    own = make(crm, "accounts", name="old") if there else str(uuid.uuid4())
    if value == EQUAL:
        value = etag(crm, own) if there else 'W/"77"'
    reply = asked(crm, method, f"accounts({own})", {header: value} if header else {})
    expected = present if there else absent
    assert reply.status == expected
    if expected >= 400:
        assert reply.code == CODES[expected, header]
        assert exists(crm, "accounts", own) is there
        if there:
            assert row(crm, "accounts", own, "name")["name"] == "old"
    elif method == "DELETE":
        assert not exists(crm, "accounts", own)
    else:
        assert row(crm, "accounts", own, "name")["name"] == "new"


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("method, header, value, present, absent", MATRIX[:6])
def test_matrix_with_representation(crm, method, header, value, present, absent, there):
    """201 created, 200 updated: the only way to tell (sheet 4.3)."""
    own = make(crm, "accounts", name="old") if there else str(uuid.uuid4())
    if value == EQUAL:
        value = etag(crm, own) if there else 'W/"77"'
    reply = asked(crm, method, f"accounts({own})", {header: value} if header else {},
                  "return=representation")
    expected = present if there else absent
    assert reply.status == ({204: 200} if there else {204: 201}).get(expected, expected)
    if expected == 204:
        assert reply.json()["name"] == "new" and reply.headers["ETag"] == etag(crm, own)
        assert ("Preference-Applied" in reply.headers) is not there


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("header, value, present, absent", [
    (None, None, 204, 204), ("If-Match", "*", 204, 404), ("If-None-Match", "*", 412, 204)])
def test_matrix_by_alternate_key(crm, header, value, present, absent, there):
    number = fresh("Mx")
    if there:
        make(crm, "accounts", accountnumber=number, name="old")
    reply = asked(crm, "PATCH", f"accounts(accountnumber='{number}')",
                  {header: value} if header else {})
    assert reply.status == (present if there else absent)
    if reply.status == 404:
        assert reply.code == "0x80060891"
    if reply.status == 412:
        assert reply.code == "0x80040237"


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("method, header, value, present, absent", [
    ("PATCH", None, None, 204, 204), ("PATCH", "If-Match", "*", 204, 404),
    ("PATCH", "If-None-Match", "*", 409, 204),
    ("DELETE", None, None, 204, 404), ("DELETE", "If-Match", "*", 204, 404)])
def test_matrix_of_elastic_rows(crm, method, header, value, present, absent, there):
    """Elastic storage answers with HTTP numbers (sheet 5.4)."""
    own = str(uuid.uuid4())
    path = f"contoso_sensordatas(contoso_sensordataid={own},partitionid='p')"
    if there:
        assert crm.patch(path, {"contoso_name": "old", "contoso_value": 1}).status == 204
    headers = {header: value} if header else {}
    reply = (crm.delete(path, headers=headers) if method == "DELETE"
             else crm.patch(path, {"contoso_name": "new"}, headers=headers))
    expected = present if there else absent
    assert reply.status == expected
    if expected >= 400:
        assert reply.code == str(expected)
    if there and expected == 204 and method == "PATCH":  # merged with a condition, replaced without
        assert crm.get(path).json()["contoso_value"] == (1 if header else None)


def test_etag_forms(crm):
    """The weak mark does not count, one of several is enough, a row's old etags never fit."""
    own = make(crm, "accounts", name="A")
    for form in ("{tag}", 'W/"1", {tag}', "{strong}"):
        tag = etag(crm, own)
        reply = crm.patch(f"accounts({own})", {"name": "B"},
                          headers={"If-Match": form.format(tag=tag, strong=tag[2:])})
        assert reply.status == 204, form


def test_etags_change_with_every_write(crm):
    own = make(crm, "accounts", name="A")
    found = {etag(crm, own)}
    for _ in range(3):
        crm.patch(f"accounts({own})", {"name": "A"})
        found.add(etag(crm, own))
    assert len(found) == 4


def test_a_lost_race_of_two_upserts(crm):
    """412 though no condition was sent: the row is there, and a repetition updates it."""
    number = fresh("Race")
    path = f"accounts(accountnumber='{number}')"
    crm.faults({"match": {"method": "PATCH"}, "behaviour": "race"})
    message = refused(crm.patch(path, {"name": "A"}), 412, "0x80040237")
    assert message == "A record with matching key values already exists."
    assert crm.patch(path, {"name": "B"}).status == 204
    assert crm.get(f"{path}?$select=name").json()["name"] == "B"
