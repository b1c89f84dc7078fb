"""What tests steer: log, faults, clock, service protection (sheet 7.1)."""
from __future__ import annotations

import http.client
import json
import socket
import threading
import time

import pytest

WHO = "/api/data/v9.2/WhoAmI"


def who(service, fresh=False, **headers):
    sent = {"Authorization": f"Bearer {service.token}", **headers}
    return service.raw("GET", WHO, None, sent, fresh=fresh)


# --- log ------------------------------------------------------------------------------------------


def test_the_log_holds_requests_but_not_control_calls(service):
    who(service)
    service.ask_token()
    first, second = service.log()
    assert (first["method"], first["url"], first["status"]) == ("GET", WHO, 200)
    assert first["response_bytes"] > 50 and first["in_flight"] == 0 and first["operations"] == 1
    assert second["url"].endswith("/oauth2/v2.0/token") and second["request_bytes"] > 50


def test_the_log_counts_operations(service):
    body = json.dumps({"Targets": [{"@odata.type": "Microsoft.Dynamics.CRM.account"}] * 3})
    service.post("teams/Microsoft.Dynamics.CRM.CreateMultiple", body)
    part = ("--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
            "GET /api/data/v9.2/WhoAmI HTTP/1.1\r\n\r\n\r\n")
    service.post("$batch", part * 4 + "--b--\r\n",
                 headers={"Content-Type": "multipart/mixed; boundary=b"})
    assert [e["operations"] for e in service.log()] == [3, 4]


def test_requests_in_flight_overlap(fresh_service):
    service = fresh_service(arguments=("--latency-ms", "200"))
    service.reset()
    threads = [threading.Thread(target=who, args=(service, True)) for _ in range(4)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 0.7
    assert sorted(e["in_flight"] for e in service.log()) == [0, 1, 2, 3]


# --- faults -----------------------------------------------------------------------------------


def test_a_scripted_status(service):
    service.faults({"match": {"path": "WhoAmI"}, "times": 2, "status": 503,
                    "headers": {"Retry-After": "2"}, "code": "0x80044150", "message": "busy"})
    for _ in range(2):
        reply = who(service)
        assert (reply.status, reply.code, reply.headers["Retry-After"]) == (503, "0x80044150", "2")
    assert who(service).status == 200


def test_faults_match_skip_and_repeat(service):
    service.faults({"match": {"method": "GET", "path": r"WhoAmI$"}, "skip": 1, "every": 2,
                    "times": -1, "status": 500})
    assert [who(service).status for _ in range(6)] == [200, 200, 500, 200, 500, 200]


def test_a_fault_may_match_the_body(service):
    service.faults({"match": {"body": "poison"}, "times": -1, "status": 400, "code": "0x80040265"})
    address = "teams/Microsoft.Dynamics.CRM.Nothing"
    assert service.post(address, {"a": "poison"}).code == "0x80040265"
    assert service.post(address, {"a": "good"}).status == 404


def test_trap_an_empty_error_code(service):
    service.faults({"behaviour": "empty_code"})
    reply = who(service)
    assert reply.status == 500 and reply.code == ""


def test_trap_a_gateway_answers_in_html(service):
    service.faults({"behaviour": "html"})
    reply = who(service)
    assert reply.status == 502 and reply.headers["Content-Type"] == "text/html"
    assert "<html>" in reply.text


def test_bad_json(service):
    service.faults({"behaviour": "bad_json"})
    reply = who(service)
    assert reply.status == 200
    with pytest.raises(ValueError):
        reply.json()


@pytest.mark.parametrize("behaviour", ["close", "close_after"])
def test_a_connection_that_closes(service, behaviour):
    service.faults({"behaviour": behaviour})
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        who(service, fresh=True)
    assert who(service).status == 200


def test_trap_closed_after_the_work_was_done(fresh_service):
    service = fresh_service()
    service.faults({"behaviour": "close_after", "match": {"method": "POST"}})
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        service.post("geo_notes", {"geo_number": "1"})
    assert service.control("figures?table=geo_note")["count"] == 1


def test_closed_before_the_work_is_done(fresh_service):
    service = fresh_service()
    service.faults({"behaviour": "close", "match": {"method": "POST"}})
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        service.post("geo_notes", {"geo_number": "1"})
    assert service.control("figures?table=geo_note")["count"] == 0


def test_a_truncated_body(service):
    service.faults({"behaviour": "truncate"})
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        who(service, fresh=True)


def test_a_dripping_body_is_whole(service):
    service.faults({"behaviour": "drip"})
    began = time.monotonic()
    assert who(service).json()["UserId"]
    assert time.monotonic() - began > 0.2


@pytest.mark.parametrize("behaviour, some", [("stall", True), ("hang", False)])
def test_a_server_that_stops_talking(service, behaviour, some):
    service.faults({"behaviour": behaviour})
    host, port = service.host.split(":")
    with socket.create_connection((host, int(port)), timeout=0.5) as client:
        client.sendall(f"GET {WHO} HTTP/1.1\r\nHost: {service.host}\r\n"
                       f"Authorization: Bearer {service.token}\r\n\r\n".encode())
        received = b""
        with pytest.raises(socket.timeout):
            while True:
                piece = client.recv(65536)
                assert piece
                received += piece
    assert (b"200 OK" in received) == some
    assert who(service).status == 200


@pytest.mark.parametrize("behaviour", ["delay", "delay_after"])
def test_a_delay(service, behaviour):
    service.faults({"behaviour": behaviour, "delay_ms": 300})
    began = time.monotonic()
    assert who(service).status == 200
    assert time.monotonic() - began > 0.28


def test_a_misspelt_fault_is_refused(service):
    for spec in ({"behaviour": "explode"}, {"behavior": "close"}, {"match": {"url": "x"}}):
        assert service.raw("POST", "/_control/faults", json.dumps([spec])).status == 400


def test_reset_clears_faults_and_log(service):
    service.faults({"times": -1, "status": 500})
    who(service)
    service.reset()
    assert service.log() == []
    assert who(service).status == 200


# --- clock --------------------------------------------------------------------------------------


def test_the_clock_freezes_and_moves(service):
    leap = "2024-02-29T12:00:00Z"
    assert service.control("clock", {"freeze": leap})["now"] == leap
    assert service.control("clock", {"advance_seconds": 60})["now"] == "2024-02-29T12:01:00Z"
    service.control("clock", {"freeze": None})


def test_writes_follow_the_clock(fresh_service):
    service = fresh_service()
    service.control("clock", {"freeze": "2024-02-29T12:00:00Z"})
    service.token = service.new_token()
    row = service.post("geo_notes", {"geo_number": "1"}).created_id
    reply = service.get(f"geo_notes({row})?$select=createdon")
    assert reply.json()["createdon"] == "2024-02-29T12:00:00Z"


# --- service protection ---------------------------------------------------------------------------


def test_the_headers_are_always_there_and_have_a_thousands_comma(service):
    reply = who(service)
    assert reply.headers["x-ms-ratelimit-burst-remaining-xrm-requests"].isdigit()
    left = reply.headers["x-ms-ratelimit-time-remaining-xrm-requests"]
    assert left in ("1,200.00",) or left.startswith("1,199.")
    assert reply.headers["x-ms-dop-hint"] == "48"


def test_trap_too_many_requests(service):
    service.control("limits", {"requests_per_window": 3})
    assert [who(service).status for _ in range(3)] == [200, 200, 200]
    reply = who(service)
    assert reply.status == 429 and reply.code == "0x80072322"
    assert reply.message == ("Number of requests exceeded the limit of 3 over time window of "
                             "300 seconds.")
    wait = int(reply.headers["Retry-After"])
    assert 290 <= wait <= 300
    service.control("clock", {"advance_seconds": 301})
    assert who(service).status == 200


def test_trap_pressing_on_lengthens_retry_after(service):
    service.control("limits", {"requests_per_window": 1, "window_seconds": 5})
    who(service)
    waits = [int(who(service).headers["Retry-After"]) for _ in range(3)]
    assert waits[0] < waits[1] < waits[2]


def test_too_many_at_once(fresh_service):
    service = fresh_service()
    service.control("limits", {"concurrent": 0})
    reply = who(service)
    assert reply.status == 429 and reply.code == "0x80072326"
    assert reply.message == "Number of concurrent requests exceeded the limit of 0."
    assert reply.headers["Retry-After"] == "1"


def test_trap_concurrency_counts_requests_that_wait(fresh_service):
    service = fresh_service(arguments=("--latency-ms", "200"))
    service.control("limits", {"concurrent": 2})
    found = []
    threads = [threading.Thread(target=lambda: found.append(who(service, True).status))
               for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [200, 200, 429, 429, 429]


def test_too_much_time(service):
    service.control("limits", {"execution_ms_per_window": 0})
    reply = who(service)
    assert reply.status == 429 and reply.code == "0x80072321"
    assert "Combined execution time" in reply.message


def test_the_hint_can_be_lowered(service):
    service.control("limits", {"dop_hint": 4})
    assert who(service).headers["x-ms-dop-hint"] == "4"


def test_trap_limits_are_per_server_and_the_cookie_pins(service):
    service.control("limits", {"requests_per_window": 2, "servers": 2})
    assert [who(service).status for _ in range(5)] == [200, 200, 200, 200, 429]
    service.control("limits", {"requests_per_window": 2, "servers": 2})
    cookie = who(service).headers["Set-Cookie"].split(";")[0]
    assert cookie.startswith("ARRAffinity=")
    assert [who(service, Cookie=cookie).status for _ in range(2)] == [200, 429]
    assert who(service).status == 200


def test_a_batch_is_one_request(service):
    service.control("limits", {"requests_per_window": 2})
    part = ("--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
            "GET /api/data/v9.2/WhoAmI HTTP/1.1\r\n\r\n\r\n")
    reply = service.post("$batch", part * 10 + "--b--\r\n",
                         headers={"Content-Type": "multipart/mixed; boundary=b"})
    assert reply.status == 200
    assert who(service).status == 200
    assert who(service).status == 429


def test_misspelt_limits_are_refused(service):
    assert service.raw("POST", "/_control/limits", '{"request_per_window": 1}').status == 400


# --- service protection of writes -----------------------------------------------------------------


def bulk_of(service, rows: int):
    targets = [{"@odata.type": "Microsoft.Dynamics.CRM.account", "name": "limits"}] * rows
    return service.post("accounts/Microsoft.Dynamics.CRM.CreateMultiple", {"Targets": targets})


def seconds_left(reply) -> float:
    return float(reply.headers["x-ms-ratelimit-time-remaining-xrm-requests"].replace(",", ""))


def test_a_bulk_message_is_one_request_but_its_whole_time_counts(fresh_service):
    service = fresh_service()
    service.control("limits", {"requests_per_window": 100, "execution_ms_per_window": 60_000,
                               "operation_ms": 500})
    left = seconds_left(who(service))
    reply = bulk_of(service, 40)
    assert 20.0 <= left - seconds_left(reply) < 25.0
    assert reply.headers["x-ms-ratelimit-burst-remaining-xrm-requests"] == "98"
    assert bulk_of(service, 100).status == 200  # what began in time is finished
    refused = bulk_of(service, 1)
    assert (refused.status, refused.code) == (429, "0x80072321")
    assert int(refused.headers["Retry-After"]) > 250
    service.control("clock", {"advance_seconds": 301})
    assert bulk_of(service, 1).status == 200


def test_requests_that_were_refused_do_not_count(service):
    service.control("limits", {"requests_per_window": 2, "window_seconds": 5})
    assert [who(service).status for _ in range(4)] == [200, 200, 429, 429]
    service.control("clock", {"advance_seconds": 6})
    assert [who(service).status for _ in range(2)] == [200, 200]


def test_the_window_slides(service):
    """Requests leave it one by one, not all at its end."""
    service.control("limits", {"requests_per_window": 2})
    who(service)
    service.control("clock", {"advance_seconds": 200})
    assert [who(service).status for _ in range(2)] == [200, 429]
    service.control("clock", {"advance_seconds": 101})
    assert [who(service).status for _ in range(2)] == [200, 429]


def test_each_user_has_windows_of_its_own(service):
    other = service.get("systemusers?$filter=isdisabled eq false&$orderby=fullname desc&$top=1"
                        ).value[0]["systemuserid"]
    service.control("limits", {"requests_per_window": 1})
    assert [who(service).status for _ in range(2)] == [200, 429]
    assert who(service, MSCRMCallerID=other).status == 200


def test_a_refused_write_wrote_nothing(fresh_service):
    service = fresh_service()
    service.control("limits", {"requests_per_window": 0})
    assert service.post("accounts", {"name": "x"}).status == 429
    service.control("limits", {})
    assert service.get("accounts?$filter=name eq 'x'").value == []


def test_a_body_that_is_too_large(fresh_service):
    """A status without a code of its own; the connection stays usable (sheet 5.3, 7.3)."""
    service = fresh_service()
    service.control("limits", {"body_bytes": 1000})
    reply = bulk_of(service, 20)
    assert (reply.status, reply.code) == (413, "")
    assert bulk_of(service, 3).status == 200
    assert len(service.get("accounts?$filter=name eq 'limits'").value) == 3


def test_retry_after_may_be_fixed_and_may_be_long(service):
    service.control("limits", {"requests_per_window": 0, "retry_after": 900})
    assert [who(service).headers["Retry-After"] for _ in range(2)] == ["900", "900"]
