"""Sheet 3.7, 4.6, 6.7, 8: plug-ins and the headers that bypass them, duplicate rules, privileges."""
from __future__ import annotations

import json

import pytest

from conftest import Service
from test_batch import answers, part, request, send
from test_bulk import bulk, typed
from writing import crm, exists, fresh, make, refused, row  # noqa: F401

ALL = 'odata.include-annotations="*"'
STEP_ID = "7f1c0000-0000-4000-8000-000000000001"


@pytest.fixture(autouse=True)
def as_new(crm):  # noqa: F811
    yield
    crm.reset()


def ran(crm: Service) -> dict:
    """Steps of the last request."""
    return crm.log()[-1]["ran"]


def guard(**more) -> dict:
    return {"name": "guard", "table": "account", "column": "name", "refuses": "^bad",
            "text": "No bad names here.", **more}


# --- plug-ins and flows ---------------------------------------------------------------------------


def test_a_plugin_aborts_with_its_own_text(crm):
    crm.control("steps", [guard()])
    reply = crm.post("accounts", {"name": "bad"}, prefer=ALL)
    assert refused(reply, 400, "0x80040265") == "No bad names here."
    status = "@Microsoft.PowerApps.CDS.ErrorDetails.OperationStatus"
    assert reply.json()["error"][status] == "1"
    own = make(crm, "accounts", name="good")
    refused(crm.patch(f"accounts({own})", {"name": "bad"}), 400, "0x80040265")
    assert row(crm, "accounts", own, "name")["name"] == "good"


def test_steps_run_for_their_message_only(crm):
    crm.control("steps", [guard(message="Update")])
    own = make(crm, "accounts", name="bad")
    refused(crm.patch(f"accounts({own})", {"name": "bad"}), 400, "0x80040265")
    crm.delete(f"accounts({own})")
    assert ran(crm) == {}


def test_pipelines_are_merged_each_row_of_a_bulk_message_runs_the_steps(crm):
    crm.control("steps", [guard(), {"name": "flow", "table": "account", "kind": "flow"}])
    names = [fresh("p") for _ in range(3)]
    bulk(crm, "accounts", "CreateMultiple", typed("account", *({"name": n} for n in names)))
    assert ran(crm) == {"guard": 3, "flow": 3}
    targets = typed("account", {"name": names[0] + "x"}, {"name": "bad"})
    refused(bulk(crm, "accounts", "CreateMultiple", targets), 400, "0x80040265")
    assert crm.get(f"accounts?$filter=name eq '{names[0]}x'").value == []


def test_a_flow_or_an_asynchronous_step_refuses_nothing(crm):
    crm.control("steps", [guard(kind="flow"), guard(name="late", mode="async")])
    assert crm.post("accounts", {"name": "bad"}).status == 204
    assert ran(crm) == {"guard": 1, "late": 1}


@pytest.mark.parametrize("headers, left", [
    ({}, {"guard", "workflow", "late", "flow"}),
    ({"MSCRM.BypassBusinessLogicExecution": "CustomSync"}, {"late", "flow"}),
    ({"MSCRM.BypassBusinessLogicExecution": "CustomAsync"}, {"guard", "workflow", "flow"}),
    ({"MSCRM.BypassBusinessLogicExecution": "CustomSync,CustomAsync"}, {"flow"}),
    ({"MSCRM.BypassCustomPluginExecution": "true"}, {"late", "flow"}),
    ({"MSCRM.BypassCustomPluginExecution": "false"}, {"guard", "workflow", "late", "flow"}),
    ({"MSCRM.BypassBusinessLogicExecutionStepIds": STEP_ID.upper()}, {"workflow", "late", "flow"}),
    ({"MSCRM.SuppressCallbackRegistrationExpanderJob": "true"}, {"guard", "workflow", "late"}),
])
def test_headers_that_bypass(crm, headers, left):
    crm.control("steps", [guard(id=STEP_ID, refuses="^never"),
                          {"name": "workflow", "table": "account", "kind": "workflow"},
                          {"name": "late", "table": "account", "mode": "async"},
                          {"name": "flow", "table": "account", "kind": "flow"}])
    assert crm.post("accounts", {"name": "x"}, headers=headers).status == 204
    assert set(ran(crm)) == left


def test_a_bypassed_plugin_does_not_abort(crm):
    crm.control("steps", [guard()])
    assert crm.post("accounts", {"name": "bad"}, headers={
        "MSCRM.BypassBusinessLogicExecution": "CustomSync"}).status == 204


@pytest.mark.parametrize("name, value", [
    ("BypassBusinessLogicExecution", "Everything"), ("BypassCustomPluginExecution", "1"),
    ("BypassBusinessLogicExecutionStepIds", "first"), ("SuppressDuplicateDetection", "no"),
    ("BypassBusinessLogicExecutionStepIds", ",".join([STEP_ID] * 2 + [
        "7f1c0000-0000-4000-8000-000000000002", "7f1c0000-0000-4000-8000-000000000003",
        "7f1c0000-0000-4000-8000-000000000004"])),
])
def test_values_of_optional_headers_are_checked(crm, name, value):
    refused(crm.post("accounts", {"name": "x"}, headers={f"MSCRM.{name}": value}), 400,
            "0x80040203")


@pytest.mark.parametrize("header, value, privilege", [
    ("BypassBusinessLogicExecution", "CustomSync", "prvBypassCustomBusinessLogic"),
    ("BypassBusinessLogicExecutionStepIds", STEP_ID, "prvBypassCustomBusinessLogic"),
    ("BypassCustomPluginExecution", "true", "prvBypassCustomPlugins"),
])
def test_bypassing_needs_a_privilege(crm, header, value, privilege):
    crm.control("user", {"lacking": [privilege]})
    reply = crm.post("accounts", {"name": "x"}, headers={f"MSCRM.{header}": value})
    assert privilege in refused(reply, 403, "0x80040220")
    assert crm.post("accounts", {"name": "x"}).status == 204


def test_the_tag_is_seen_by_plugins(crm):
    own = crm.post("accounts?tag=load%20%26%20go", {"name": "x"}).created_id
    assert crm.log()[-1]["tag"] == "load & go"
    assert crm.delete(f"accounts({own})?tag=away").status == 204
    assert crm.log()[-1]["tag"] == "away"
    assert crm.get(f"accounts?$top=1").status == 200
    assert crm.log()[-1]["tag"] is None


def test_inner_headers_bypass_for_their_operation_and_the_batchs_own_for_none(crm):
    crm.control("steps", [guard()])
    skip = {"MSCRM.BypassBusinessLogicExecution": "CustomSync"}
    reply = send(crm, part(request("POST", "accounts", {"name": "bad"}, skip)),
                 part(request("POST", "accounts", {"name": "bad"})),
                 prefer="odata.continue-on-error")
    assert [a.status for a in answers(reply)] == [204, 400]


@pytest.mark.parametrize("reading, status", [("ignored", 400), ("applied", 204)])
def test_headers_of_the_batch_itself_by_quirk(fresh_service, crm, reading, status):
    service = crm if reading == "ignored" else fresh_service(quirks={"outer_mscrm": reading})
    service.control("steps", [guard()])
    text = part(request("POST", "accounts", {"name": "bad"}))
    reply = service.post("$batch", f"--b\r\n{text}\r\n--b--\r\n", prefer="odata.continue-on-error",
                         headers={"Content-Type": "multipart/mixed; boundary=b",
                                  "MSCRM.BypassBusinessLogicExecution": "CustomSync"})
    assert answers(reply)[0].status == status


def test_a_misspelt_step_is_refused(crm):
    for spec in ([{"name": "x"}], [guard(mode="never")], [guard(message="Merge")], [guard(on="x")]):
        assert crm.raw("POST", "/_control/steps", json.dumps(spec)).status == 400


# --- duplicate detection --------------------------------------------------------------------------

DETECT = {"MSCRM.SuppressDuplicateDetection": "false"}


def test_duplicate_rules_are_off_unless_the_header_turns_them_on(crm):
    crm.control("duplicate-rules", [{"table": "account", "columns": ["name"]}])
    name = fresh("Twin")
    make(crm, "accounts", name=name)
    for headers in ({}, {"MSCRM.SuppressDuplicateDetection": "true"}):
        assert crm.post("accounts", {"name": name}, headers=headers).status == 204
    refused(crm.post("accounts", {"name": name.lower()}, headers=DETECT), 412, "0x80040333")


def test_duplicate_rules_on_updates_look_at_the_whole_row(crm):
    crm.control("duplicate-rules", [{"table": "account", "columns": ["name", "telephone1"]}])
    name = fresh("Twin")
    make(crm, "accounts", name=name, telephone1="1")
    own = make(crm, "accounts", name=name, telephone1="2")
    refused(crm.patch(f"accounts({own})", {"telephone1": "1"}, headers=DETECT), 412, "0x80040333")
    assert crm.patch(f"accounts({own})", {"telephone1": "2"}, headers=DETECT).status == 204
    assert crm.patch(f"accounts({own})", {"description": "x"}, headers=DETECT).status == 204
    # A null in a rule's column matches nothing.
    assert crm.post("accounts", {"name": name}, headers=DETECT).status == 204


def test_a_duplicate_in_a_bulk_message_undoes_all_of_it(crm):
    crm.control("duplicate-rules", [{"table": "account", "columns": ["name"]}])
    name = fresh("Twin")
    targets = typed("account", {"name": name + "a"}, {"name": name}, {"name": name})
    refused(bulk(crm, "accounts", "CreateMultiple", targets, headers=DETECT), 412, "0x80040333")
    assert crm.get(f"accounts?$filter=startswith(name,'{name}')").value == []
    # Elastic tables know no duplicate rules (sheet 13.1).
    crm.control("duplicate-rules", [{"table": "contoso_sensordata", "columns": ["contoso_name"]}])
    for _ in range(2):
        assert crm.post("contoso_sensordatas", {"contoso_name": name},
                        headers=DETECT).status == 204


# --- users, privileges, secured columns -----------------------------------------------------------


@pytest.mark.parametrize("state, code", [("missing", "0x80072560"), ("no_roles", "0x80042F09"),
                                         ("disabled", "0x80040225")])
def test_an_application_user_that_cannot_work(crm, state, code):
    crm.control("user", {"state": state})
    refused(crm.get("WhoAmI"), 403, code)
    refused(crm.post("accounts", {"name": "x"}), 403, code)


def test_impersonation_needs_its_privilege(crm):
    other = crm.get("systemusers?$select=systemuserid&$filter=isdisabled eq false"
                    "&$orderby=fullname desc").value[0]["systemuserid"]
    crm.control("user", {"lacking": ["prvActOnBehalfOfAnotherUser"]})
    refused(crm.get("WhoAmI", headers={"MSCRMCallerID": other}), 403, "0x8004A110")
    crm.control("user", {})
    assert crm.get("WhoAmI", headers={"MSCRMCallerID": other}).json()["UserId"] == other


def test_impersonating_nobody_or_a_disabled_user(crm):
    refused(crm.get("WhoAmI", headers={"MSCRMCallerID": STEP_ID}), 403, "0x80072560")
    disabled = crm.get("systemusers?$filter=isdisabled eq true").value[0]["systemuserid"]
    refused(crm.get("WhoAmI", headers={"MSCRMCallerID": disabled}), 403, "0x80040225")


def test_an_upsert_needs_both_privileges_an_update_one(crm):
    own = make(crm, "accounts", name="A")
    crm.control("user", {"lacking": ["prvCreateAccount"]})
    message = refused(crm.patch(f"accounts({own})", {"name": "B"}), 403, "0x80040220")
    assert message.endswith("is missing prvCreateAccount privilege.")
    assert crm.patch(f"accounts({own})", {"name": "B"}, headers={"If-Match": "*"}).status == 204
    refused(crm.post("accounts", {"name": "B"}), 403, "0x80040220")
    target = typed("account", {"accountid": own, "name": "C"})
    refused(bulk(crm, "accounts", "UpsertMultiple", target), 403, "0x80040220")
    assert bulk(crm, "accounts", "UpdateMultiple", target).status == 204
    crm.control("user", {"lacking": ["prvWriteAccount"]})
    refused(crm.patch(f"accounts({own})", {"name": "D"}), 403, "0x80040220")
    refused(crm.put(f"accounts({own})/name", {"value": "D"}), 403, "0x80040220")
    crm.control("user", {"lacking": ["prvDeleteAccount", "prvReadContact"]})
    refused(crm.delete(f"accounts({own})"), 403, "0x80040220")
    refused(crm.get("contacts?$top=1"), 403, "0x80040220")
    assert crm.get(f"accounts({own})?$select=name").json()["name"] == "C"


def test_backdating_needs_a_privilege(crm):
    crm.control("user", {"lacking": ["prvOverrideCreatedOnCreatedBy"]})
    refused(crm.post("accounts", {"overriddencreatedon": "2020-01-01T00:00:00Z"}), 403,
            "0x80040220")
    assert crm.post("accounts", {"name": "x"}).status == 204


def test_secured_columns_refuse_writes(crm):
    own = make(crm, "accounts", name="A")
    crm.control("secured", [{"table": "account", "column": "creditlimit",
                             "lacks": ["create", "update"]}])
    refused(crm.post("accounts", {"creditlimit": 1}), 403, "0x8004F502")
    refused(crm.patch(f"accounts({own})", {"creditlimit": 1}), 403, "0x8004F507")
    assert crm.patch(f"accounts({own})", {"name": "B"}).status == 204
    assert crm.post("contacts", {"creditlimit": 1}).status == 204


def test_a_secured_column_reads_as_null_and_cannot_be_filtered_on(crm):
    own = make(crm, "accounts", name="A", creditlimit=5)
    path = f"accounts({own})?$select=creditlimit"
    assert crm.get(path).json()["creditlimit"] == 5
    crm.control("secured", [{"table": "account", "column": "creditlimit", "lacks": ["read"]}])
    assert crm.get(path).json()["creditlimit"] is None
    refused(crm.get("accounts?$filter=creditlimit eq 5"), 403, "0x8004F504")
    fetch = ("<fetch><entity name='account'><attribute name='name'/>{}"
             f"<filter><condition attribute='accountid' operator='eq' value='{own}'/>{{}}</filter>"
             "</entity></fetch>")
    shown = crm.get("accounts?fetchXml=" + fetch.format("<attribute name='creditlimit'/>", ""))
    assert "creditlimit" not in shown.value[0]
    on = "<condition attribute='creditlimit' operator='not-null'/>"
    refused(crm.get("accounts?fetchXml=" + fetch.format("", on)), 403, "0x8004F504")
    assert crm.patch(f"accounts({own})", {"creditlimit": 6}).status == 204
    crm.reset()
    assert crm.get(path).json()["creditlimit"] == 6


def test_a_reset_makes_the_environment_as_new(crm):
    crm.control("steps", [guard()])
    crm.control("user", {"state": "disabled"})
    crm.reset()
    assert crm.post("accounts", {"name": "bad"}).status == 204
