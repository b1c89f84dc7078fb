"""Sheet 5.1 to 5.4: what each bulk message makes of bad targets, and what stays of the good ones."""
from __future__ import annotations

import json

import pytest

from test_bulk import DETAILS, NS, SENSORS, bulk, sensor, typed
from writing import ABSENT, crm, exists, fresh, make, refused, row  # noqa: F401

MESSAGES = ("CreateMultiple", "UpdateMultiple", "UpsertMultiple")
ALL = 'odata.include-annotations="Microsoft.PowerApps.CDS.ErrorDetails.*"'


def named(crm, name: str) -> int:  # noqa: F811
    return len(crm.get(f"accounts?$select=name&$filter=name eq '{name}'").value)


# --- standard tables: one transaction -------------------------------------------------------------


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("bad, status, code", [
    ({"name": "x" * 161}, 400, "0x80044331"),
    ({"industrycode": 4711}, 400, "0x8004431A"),
    ({"numberofemployees": "many"}, 400, "0x80048D19"),
    ({"no_such_column": 1}, 400, "0x80048D19"),
    ({"_primarycontactid_value": ABSENT}, 400, "0x80060888"),
    ({"primarycontactid@odata.bind": f"/contacts({ABSENT})"}, 404, "0x80040217"),
    ({"parentaccountid@odata.bind": "/accounts(accountnumber='none such')"}, 404, "0x80060891"),
    ({"statecode": 0, "statuscode": 2}, 400, "0x80048408"),
])
def test_any_error_rolls_back_all(crm, message, bad, status, code):
    name = fresh("Roll")
    own = [make(crm, "accounts", name="old") for _ in range(2)]
    if message == "CreateMultiple":
        targets = typed("account", {"name": name}, bad)
    else:
        targets = typed("account", {"accountid": own[0], "name": name},
                        {"accountid": own[1], **bad})
    refused(bulk(crm, "accounts", message, targets), status, code)
    assert named(crm, name) == 0


def test_the_same_primary_key_twice(crm):
    """Each message in its own way: failure, the first one silently, failure (sheet 5.1)."""
    own = "5a0f9e3c-0000-4000-8000-00000000dd01"
    twice = typed("account", {"accountid": own, "name": "a"}, {"accountid": own, "name": "b"})
    refused(bulk(crm, "accounts", "CreateMultiple", twice), 412, "0x80040237")
    refused(bulk(crm, "accounts", "UpsertMultiple", twice), 412, "0x80040237")
    assert not exists(crm, "accounts", own)
    make(crm, "accounts", accountid=own)
    assert bulk(crm, "accounts", "UpdateMultiple", twice).status == 204
    assert row(crm, "accounts", own, "name")["name"] == "a"


def test_a_row_named_by_id_and_by_key_is_a_duplicate(crm):
    number = fresh("Both")
    own = make(crm, "accounts", accountnumber=number, name="old")
    targets = typed("account", {"accountid": own, "name": "a"},
                    {"@odata.id": f"accounts(accountnumber='{number}')", "name": "b"})
    refused(bulk(crm, "accounts", "UpsertMultiple", targets), 412, "0x80060892")
    assert row(crm, "accounts", own, "name")["name"] == "old"


def test_duplicate_keys_alone_name_the_row(crm):
    number = fresh("Key")
    make(crm, "accounts", accountnumber=number)
    targets = typed("account", {"name": "x"}, {"accountnumber": number.lower()})
    error = bulk(crm, "accounts", "CreateMultiple", targets, prefer=ALL).json()["error"]
    assert error["@Microsoft.PowerApps.CDS.ErrorDetails.DuplicateAttributes"] == (
        f"<DuplicateAttributes><accountnumber>{number.lower()}</accountnumber>"
        "</DuplicateAttributes>")


def test_a_key_given_as_a_property_does_not_identify(crm):
    """Only the primary key or ``@odata.id`` do: the row is taken for a new one."""
    number = fresh("Prop")
    make(crm, "accounts", accountnumber=number, name="old")
    targets = typed("account", {"accountnumber": number, "name": "new"})
    refused(bulk(crm, "accounts", "UpsertMultiple", targets), 412, "0x80060892")


def test_upsert_multiple_takes_ids_keys_and_neither(crm):
    number, name = fresh("Mix"), fresh("Mix")
    own = make(crm, "accounts", name="old")
    targets = typed("account", {"accountid": own, "name": name},
                    {"@odata.id": f"/accounts(accountnumber='{number}')", "name": name},
                    {"@odata.id": f"{crm.base}/accounts({ABSENT[:-2]}d2)", "name": name},
                    {"name": name})
    assert bulk(crm, "accounts", "UpsertMultiple", targets).status == 204
    assert named(crm, name) == 4


@pytest.mark.parametrize("message", MESSAGES)
def test_targets_that_are_none(crm, message):
    path = f"accounts/{NS}{message}"
    assert refused(crm.post(path, {"Targets": []}), 400, "0x80040203")
    for body in ({}, {"Targets": {}}, {"Targets": None}, {"Targets": ["x"]}, {"targets": []}):
        refused(crm.post(path, body), 400, "0x80048D19")
    assert crm.get(path).status == 405


@pytest.mark.parametrize("message, code", [("CreateMultiple", "0x80040203"),
                                           ("UpdateMultiple", "0x80041103"),
                                           ("UpsertMultiple", "0x80041103")])
def test_rows_of_another_table_undo_all(crm, message, code):
    name, own = fresh("Other"), make(crm, "accounts", name="old")
    targets = typed("account", {"accountid": own, "name": name}) + typed("contact",
                                                                         {"lastname": "x"})
    refused(bulk(crm, "accounts", message, targets), 400, code)
    assert named(crm, name) == 0


def test_there_is_no_limit_on_rows(crm):
    name = fresh("Many")
    targets = typed("account", *({"name": name} for _ in range(1500)))
    assert len(bulk(crm, "accounts", "CreateMultiple", targets).json()["Ids"]) == 1500
    assert crm.get(f"accounts/$count?$filter=name eq '{name}'").text.lstrip("\ufeff") == "1500"


def test_a_large_message_that_times_out_leaves_nothing(crm):
    """Scripted: more than 20 rows are too many for the database (sheet 5.3, 0x80044151)."""
    name = fresh("Slow")
    crm.faults({"match": {"path": "Multiple", "min_operations": 21}, "times": -1, "status": 500,
                "code": "0x80044151", "message": "SQL Server Timeout Expired."})
    rows = typed("account", *({"name": name} for _ in range(40)))
    refused(bulk(crm, "accounts", "CreateMultiple", rows), 500, "0x80044151")
    assert named(crm, name) == 0
    for half in (rows[:20], rows[20:]):
        assert bulk(crm, "accounts", "CreateMultiple", half).status == 200
    assert named(crm, name) == 40
    crm.reset()


def test_a_table_altered_moments_ago(crm):
    """Bulk messages fail for a short time and then work (sheet 5.3)."""
    crm.faults({"match": {"path": "Multiple"}, "times": 2, "status": 500, "code": "0x80044150",
                "message": "Sql error 3732"})
    targets = typed("account", {"name": "x"})
    found = [bulk(crm, "accounts", "CreateMultiple", targets).status for _ in range(3)]
    assert found == [500, 500, 200]
    crm.reset()


# --- elastic tables: each row alone ---------------------------------------------------------------


def fates(reply) -> list:
    details = json.loads(reply.json()["error"][DETAILS])
    assert [d["RequestIndex"] for d in details] == list(range(len(details)))
    return [d["StatusCode"] for d in details]


def test_elastic_rows_survive_the_bad_one(crm):
    targets = typed("contoso_sensordata", sensor(101), sensor(102, contoso_value="x"), sensor(103))
    reply = bulk(crm, SENSORS, "UpsertMultiple", targets, prefer=ALL)
    assert (reply.status, reply.code) == (400, "0x80048D19")
    assert fates(reply) == [204, 400, 204]
    for number, status in ((101, 200), (102, 404), (103, 200)):
        own = sensor(number)["contoso_sensordataid"]
        assert crm.get(f"{SENSORS}({own})?partitionId=p").status == status


def test_elastic_update_multiple_of_missing_rows(crm):
    crm.post(SENSORS, sensor(111, contoso_name="old"))
    targets = typed("contoso_sensordata", sensor(112), sensor(111, contoso_name="new"))
    reply = bulk(crm, SENSORS, "UpdateMultiple", targets, prefer=ALL)
    assert (reply.status, reply.code) == (404, "404")
    assert fates(reply) == [404, 204]
    own = sensor(111)["contoso_sensordataid"]
    assert crm.get(f"{SENSORS}({own})?partitionId=p").json()["contoso_name"] == "new"


def test_elastic_update_multiple_merges(crm):
    crm.post(SENSORS, sensor(121, contoso_name="old", contoso_value=1))
    bulk(crm, SENSORS, "UpdateMultiple", typed("contoso_sensordata",
                                               sensor(121, contoso_value=2)))
    found = crm.get(f"{SENSORS}({sensor(121)['contoso_sensordataid']})?partitionId=p").json()
    assert (found["contoso_name"], found["contoso_value"]) == ("old", 2)


def test_the_same_id_in_two_partitions_is_no_duplicate(crm):
    targets = typed("contoso_sensordata", sensor(131, "a"), sensor(131, "b"))
    assert bulk(crm, SENSORS, "UpsertMultiple", targets).status == 204
    own = sensor(131)["contoso_sensordataid"]
    assert [crm.get(f"{SENSORS}({own})?partitionId={p}").status for p in "abc"] == [200, 200, 404]
    reply = bulk(crm, SENSORS, "UpsertMultiple",
                 typed("contoso_sensordata", sensor(132, "a"), sensor(132, "a")), prefer=ALL)
    assert fates(reply) == [204, 409]


def test_elastic_storage_throttles_rows_by_itself(crm):
    """429 with no known code, some rows done (sheet 7.1)."""
    crm.control("limits", {"elastic_rows": 2})
    targets = typed("contoso_sensordata", *(sensor(n) for n in range(141, 145)))
    reply = bulk(crm, SENSORS, "CreateMultiple", targets, prefer=ALL)
    assert (reply.status, reply.code) == (429, "429")
    assert fates(reply) == [201, 201, 429, 429]
    crm.reset()
    again = bulk(crm, SENSORS, "CreateMultiple", targets[2:])
    assert again.status == 200


def test_elastic_message_of_the_wrong_form_is_refused_whole(crm):
    targets = typed("contoso_sensordata", sensor(151)) + [sensor(152)]
    refused(bulk(crm, SENSORS, "CreateMultiple", targets), 400, "0x80048D19")
    assert crm.get(f"{SENSORS}({sensor(151)['contoso_sensordataid']})?partitionId=p").status == 404


def test_query_options_of_a_bulk_message(crm):
    path = f"accounts/{NS}CreateMultiple"
    body = {"Targets": typed("account", {"name": "x"})}
    assert crm.post(f"{path}?tag=load", body).status == 200
    assert crm.log()[-1]["tag"] == "load"
    for option in ("$select=name", "partitionId=p", "nonsense=1"):
        refused(crm.post(f"{path}?{option}", body), 400, "0x80060888")
