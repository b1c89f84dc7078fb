"""Headers, routing, compression, the length of URLs (sheet 1)."""
from __future__ import annotations

import gzip
import http.client
import json
import os
import signal
import time

import pytest

from dataverse_service import app
from dataverse_service.core import Fault, Prefs

WHO = "/api/data/v9.2/WhoAmI"


def raw(service, target, **headers):
    return service.raw("GET", target, None, {"Authorization": f"Bearer {service.token}", **headers})


def test_headers_of_every_data_answer(service):
    reply = raw(service, WHO)
    headers = reply.headers
    assert headers["Content-Type"] == "application/json; odata.metadata=minimal"
    assert headers.get_all("Content-Type") == [headers["Content-Type"]]
    assert headers["OData-Version"] == "4.0"
    assert len(headers["REQ_ID"]) == 36
    assert len(headers.get_all("x-ms-service-request-id")) == 2
    assert headers["Set-Cookie"].startswith("ARRAffinity=")


def test_errors_have_the_same_headers(service):
    reply = raw(service, "/api/data/v9.2/nothings")
    assert reply.status == 404 and reply.code == "0x8006088A"
    assert reply.message == "Resource not found for the segment 'nothings'."
    assert reply.headers["REQ_ID"]


@pytest.mark.parametrize("version", ["v9.0", "v9.1", "v9.2"])
def test_versions_of_one_line(service, version):
    reply = raw(service, f"/api/data/{version}/WhoAmI")
    assert reply.status == 200
    assert reply.json()["@odata.context"].startswith(f"{service.url}/api/data/{version}/$metadata#")


def test_other_versions_and_paths_are_not_there(service):
    assert raw(service, "/api/data/v8.2/WhoAmI").status == 404
    assert raw(service, "/nothing").status == 404


def test_trap_a_get_longer_than_32_kb(service):
    target = "/api/data/v9.2/systemusers?$select=fullname&tag="
    fits = target + "x" * (32768 - len(service.url) - len(target))
    assert raw(service, fits).status == 200
    assert raw(service, fits + "x").status == 414


def test_trap_sets_refuse_patch_and_delete(service):
    for method in ("PATCH", "DELETE", "PUT"):
        assert service.request(method, "accounts", {}).status == 405


def test_trap_a_raw_number_sign_in_a_path(service):
    reply = raw(service, "/api/data/v9.2/accounts(accountnumber='a#b')")
    assert reply.status == 400 and reply.code == "0x8006088A"


@pytest.mark.parametrize("key", ["'a", "(", "'a'x", "'a')x"])
def test_unbalanced_keys(service, key):
    assert raw(service, f"/api/data/v9.2/accounts({key}").status in (400, 404)


def test_an_unknown_message(service):
    assert service.post("accounts/Microsoft.Dynamics.CRM.Nothing", {}).status == 404


def test_body_too_large(service, monkeypatch):
    connection = http.client.HTTPConnection(service.host, timeout=10)
    connection.putrequest("POST", "/api/data/v9.2/accounts")
    connection.putheader("Authorization", f"Bearer {service.token}")
    connection.putheader("Content-Length", str(200 * 2**20))
    connection.endheaders()
    chunk = b"x" * 2**20
    try:
        for _ in range(125):
            connection.send(chunk)
        status = connection.getresponse().status
    except (ConnectionResetError, BrokenPipeError):
        status = 413
    assert status == 413


def test_connections_are_kept_alive(service):
    connection = http.client.HTTPConnection(service.host, timeout=10)
    ports = set()
    for _ in range(3):
        connection.request("GET", WHO, headers={"Authorization": f"Bearer {service.token}"})
        assert connection.getresponse().read()
        ports.add(connection.sock.getsockname())
    connection.close()
    assert len(ports) == 1


# --- compression ----------------------------------------------------------------------------------

LIST = "/api/data/v9.2/sdkmessagefilters"


def test_gzip_when_asked(service):
    connection = http.client.HTTPConnection(service.host, timeout=10)
    sent = {"Authorization": f"Bearer {service.token}", "Accept-Encoding": "deflate, gzip"}
    connection.request("GET", LIST, headers=sent)
    response = connection.getresponse()
    packed = response.read()
    connection.close()
    assert response.headers["Content-Encoding"] == "gzip"
    plain = raw(service, LIST).body
    assert gzip.decompress(packed) == plain and len(packed) < len(plain) / 3


def test_compression_may_be_absent(fresh_service):
    service = fresh_service(quirks={"compression": "none"})
    reply = raw(service, LIST, **{"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in reply.headers


# --- the cache ------------------------------------------------------------------------------------


def test_a_page_is_rendered_once_and_again_after_a_write(fresh_service):
    service = fresh_service()
    query = "geo_notes?$select=geo_number"
    assert service.get(query).value == []
    service.post("geo_notes", {"geo_number": "1"})
    assert [r["geo_number"] for r in service.get(query).value] == ["1"]


def test_the_cache_minds_preferences(service):
    query = "transactioncurrencies?$select=exchangerate"
    plain = service.get(query)
    annotated = service.get(query, prefer='odata.include-annotations="*"')
    assert len(annotated.body) > len(plain.body)
    assert service.get(query).body == plain.body


# --- parsing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("header, expected", [
    ("", Prefs()),
    ("odata.maxpagesize=500", Prefs(max_page_size=500)),
    ('odata.maxpagesize=500,odata.include-annotations="*"',
     Prefs(max_page_size=500, annotations=("*",))),
    ('odata.include-annotations="a.b, c.*" , return=representation',
     Prefs(annotations=("a.b", "c.*"), representation=True)),
    ("return=minimal", Prefs()),
    ("odata.continue-on-error", Prefs(continue_on_error=True)),
    ("odata.track-changes", Prefs(track_changes=True)),
    ("odata.maxpagesize=x", Prefs()),
])
def test_prefer(header, expected):
    assert app.parse_prefs(header) == expected


@pytest.mark.parametrize("target, expected", [
    ("/api/data/v9.2/accounts?$top=1", "accounts?$top=1"),
    ("http://127.0.0.1:1/api/data/v9.2/accounts", "accounts"), ("accounts(1)", "accounts(1)"),
    ("/api/data/v9.2", ""), ("/api/data/v9.2/", ""), ("/other", None),
])
def test_forms_of_an_address(target, expected):
    assert app.relative(target) == expected


@pytest.mark.parametrize("path, expected", [
    ("accounts", ("accounts", None, "")), ("accounts/$count", ("accounts", None, "$count")),
    ("accounts(1)", ("accounts", "1", "")),
    ("accounts(1)/name/$value", ("accounts", "1", "name/$value")),
    ("accounts(k='a)/b')/x", ("accounts", "k='a)/b'", "x")),
    ("accounts(k='it''s)')", ("accounts", "k='it''s)'", "")),
    ("s(a=(1),b=2)/c(3)/$ref", ("s", "a=(1),b=2", "c(3)/$ref")),
])
def test_sets_keys_and_rests(path, expected):
    assert app.split_key(path) == expected


def test_error_annotations_only_when_asked():
    name = "@Microsoft.PowerApps.CDS.ErrorDetails.DuplicateAttributes"
    fault = Fault(412, "0x80060892", "m", **{name: "<x/>"})
    assert json.loads(app.fault_response(fault, Prefs()).body) == {
        "error": {"code": "0x80060892", "message": "m"}}
    asked = Prefs(annotations=("Microsoft.PowerApps.CDS.ErrorDetails*",))
    assert json.loads(app.fault_response(fault, asked).body)["error"][name] == "<x/>"


# --- the process ----------------------------------------------------------------------------------


def test_sigterm_ends_it_at_once(fresh_service):
    service = fresh_service()
    began = time.monotonic()
    os.kill(service.process.pid, signal.SIGTERM)
    assert service.process.wait(5) == 0
    assert time.monotonic() - began < 1


def test_a_database_file_is_kept(fresh_service, tmp_path):
    path = str(tmp_path / "rows.db")
    first = fresh_service(arguments=("--data", path))
    first.post("geo_notes", {"geo_number": "1"})
    first.process.terminate()
    first.process.wait(5)
    second = fresh_service(arguments=("--data", path))
    assert second.control("figures?table=geo_note")["count"] == 1
