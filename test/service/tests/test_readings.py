"""Sheet 15: what the documentation leaves open about writes, in both readings. The defaults on one
service, all the other readings on a second."""
from __future__ import annotations

import json
from typing import Iterator

import pytest

from conftest import Service
from test_batch import answers, part, request, send
from test_bulk import DETAILS, SENSORS, bulk, sensor, typed
from writing import ABSENT, crm, exists, fresh, make, refused, row  # noqa: F401

OTHER = {
    "entity_id_with_row": "sent", "expand_on_create": "ignored", "elastic_if_match": "ignored",
    "delete_unversioned": "ignored", "partition_on_patch": "used", "null_of_other_target": "kept",
    "validation_codes": "newer", "error_code": "lower", "duplicate_status": "500",
    "bulk_details": "plain", "batch_status": "ok", "batch_counts": "each",
    "relative_parts": "refused", "part_length": "required",
}


@pytest.fixture(scope="module")
def other() -> Iterator[Service]:
    arguments = [word for pair in OTHER.items() for word in ("--quirk", "=".join(pair))]
    service = Service("--seed", "none", *arguments)
    yield service
    service.stop()


def both(name: str, default, changed):
    """A service and what to expect of it, in both readings."""
    return pytest.mark.parametrize("which, expected", [("crm", default), ("other", changed)],
                                   ids=[f"{name}-default", f"{name}-{OTHER[name]}"])


@pytest.fixture
def api(which: str, request) -> Service:  # noqa: F811
    return request.getfixturevalue(which)


@both("entity_id_with_row", False, True)
def test_entity_id_beside_the_body_of_a_created_row(api, expected):
    reply = api.post("accounts?$select=accountid", {"name": "x"}, prefer="return=representation")
    assert reply.status == 201 and ("OData-EntityId" in reply.headers) is expected
    if expected:
        assert reply.created_id == reply.json()["accountid"]


@both("expand_on_create", True, False)
def test_expand_with_the_representation_of_a_create(api, expected):
    contact = make(api, "contacts", lastname="C")
    reply = api.post("accounts?$select=name&$expand=primarycontactid($select=lastname)",
                     {"primarycontactid@odata.bind": f"/contacts({contact})"},
                     prefer="return=representation")
    assert reply.status == 201 and ("primarycontactid" in reply.json()) is expected


@both("elastic_if_match", (400, "0x8006088D"), (204, ""))
def test_etag_of_an_elastic_row(api, expected):
    own = api.post(SENSORS, {"contoso_name": "x"}).headers["OData-EntityId"].split("/v9.2/")[1]
    reply = api.patch(own, {"contoso_name": "y"}, headers={"If-Match": 'W/"other"'})
    assert (reply.status, reply.code if reply.status >= 400 else "") == expected
    assert api.patch(own, {"contoso_name": "z"}, headers={"If-Match": "*"}).status == 204


def test_further_readings(fresh_service):
    """Switches with more than two."""
    service = fresh_service(quirks={"elastic_if_match": "compared", "error_code": "empty",
                                    "bulk_details": "absent"})
    own = service.post(SENSORS, sensor(1)).headers["OData-EntityId"].split("/v9.2/")[1]
    tag = service.get(own).headers["ETag"]
    assert service.patch(own, {"contoso_name": "y"}, headers={"If-Match": tag}).status == 204
    reply = service.patch(own, {"contoso_name": "y"}, headers={"If-Match": tag})
    assert (reply.status, reply.code) == (412, "")
    assert service.delete(own, headers={"If-Match": tag}).status == 412
    reply = bulk(service, SENSORS, "CreateMultiple", typed("contoso_sensordata", sensor(1)),
                 prefer='odata.include-annotations="*"')
    assert reply.status == 409 and "BulkApiErrorDetails" not in reply.text


@both("delete_unversioned", 400, 204)
def test_if_match_on_delete_where_rows_have_no_versions(api, expected):
    own = make(api, "geo_notes", geo_name="N")
    reply = api.delete(f"geo_notes({own})", headers={"If-Match": 'W/"1"'})
    assert reply.status == expected
    if expected == 400:
        assert reply.code == "0x8006088D" and exists(api, "geo_notes", own)


@both("partition_on_patch", False, True)
def test_partition_option_of_a_patch(api, expected):
    own = sensor(77)["contoso_sensordataid"]
    assert api.patch(f"{SENSORS}({own})?partitionId=q", {"contoso_name": "x"}).status == 204
    assert (api.get(f"{SENSORS}({own})?partitionId=q").status == 200) is expected
    assert (api.get(f"{SENSORS}({own})").status == 200) is not expected


@both("null_of_other_target", True, False)
def test_null_under_the_other_name_of_a_polymorphic_lookup(api, expected):
    account = make(api, "accounts", name="A")
    own = make(api, "opportunities", name="O", customerid_account__bind=f"/accounts({account})")
    assert api.patch(f"opportunities({own})", {"customerid_contact": None}).status == 204
    assert (row(api, "opportunities", own)["_customerid_value"] is None) is expected
    assert api.patch(f"opportunities({own})", {"customerid_account": None}).status == 204
    assert row(api, "opportunities", own)["_customerid_value"] is None


@both("validation_codes", ("0x8004431A", "0x8004432F", "0x80044330", "0x80044331"),
      ("0x80061005", "0x80061004", "0x80061004", "0x80090429"))
def test_codes_of_validation(api, expected):
    bodies = ({"industrycode": 4711}, {"numberofemployees": -1}, {"creditlimit": -1},
              {"name": "x" * 161})
    found = tuple(api.post("accounts", body).code for body in bodies)
    assert tuple(c.lower() for c in found) == tuple(c.lower() for c in expected)


@both("error_code", "0x8004431A", "0x8004431a")
def test_spelling_of_codes(api, expected):
    if expected.islower():
        assert api.post("accounts", {"name": "x", "nope": 1}).code == "0x80048d19"
        reply = send(api, part("\r\n".join((
            "POST /api/data/v9.2/accounts HTTP/1.1", "Content-Length: 10", "", '{"nope":1}'))))
        assert answers(reply)[0].json()["error"]["code"] == "0x80048d19"
        assert api.raw("GET", "/api/data/v9.2/WhoAmI").code == "0x80044302"
    else:
        assert api.post("accounts", {"industrycode": 4711}).code == expected


def test_upper_case_codes(fresh_service):
    service = fresh_service(quirks={"error_code": "upper"})
    assert service.get("nothing").code == "0x8006088A"


@both("duplicate_status", 412, 500)
def test_status_of_duplicate_detection(api, expected):
    api.control("duplicate-rules", [{"table": "account", "columns": ["name"]}])
    name = fresh("Twin")
    make(api, "accounts", name=name)
    refused(api.post("accounts", {"name": name},
                     headers={"MSCRM.SuppressDuplicateDetection": "false"}), expected, "0x80040333")
    api.reset()


@both("bulk_details", DETAILS, "@Microsoft.PowerApps.CDS.ErrorDetails.BulkApiErrorDetails")
def test_annotation_of_elastic_errors(api, expected):
    reply = bulk(api, SENSORS, "CreateMultiple",
                 typed("contoso_sensordata", sensor(88), sensor(88)),
                 prefer='odata.include-annotations="Microsoft.PowerApps.CDS.ErrorDetails.*"')
    error = reply.json()["error"]
    assert {name for name in error if "Details" in name} == {expected}
    assert [d["StatusCode"] for d in json.loads(error[expected])] == [201, 409]


@both("batch_status", 404, 200)
def test_outer_status_of_a_batch_that_stopped(api, expected):
    reply = send(api, part(request("GET", f"accounts({ABSENT})")), part(request("GET", "WhoAmI")))
    assert reply.status == expected
    assert [a.status for a in answers(reply)] == [404]


@both("batch_counts", [200, 200, 429], [200, 429, 429])
def test_what_a_batch_counts_for(api, expected):
    api.control("limits", {"requests_per_window": 2})
    parts = [part(request("GET", "WhoAmI"))] * 5
    assert send(api, *parts).status == 200
    found = [200] + [api.get("WhoAmI").status for _ in range(2)]
    assert found == expected
    api.reset()


@both("relative_parts", 200, 400)
def test_url_of_a_part_relative_to_the_root(api, expected):
    reply = send(api, part("GET WhoAmI HTTP/1.1\r\n\r\n"))
    assert answers(reply)[0].status == expected
    assert answers(send(api, part(request("GET", "WhoAmI"))))[0].status == 200


@both("part_length", 204, 400)
def test_part_with_a_body_and_no_length(api, expected):
    reply = send(api, part(request("POST", "accounts", {"name": "x"})))
    assert answers(reply)[0].status == expected
    if expected == 400:
        assert answers(reply)[0].json()["error"]["code"] == "0x80048d19"
    sized = request("POST", "accounts", {"name": "x"}, {"Content-Length": "13"})
    assert answers(send(api, part(sized)))[0].status == 204
