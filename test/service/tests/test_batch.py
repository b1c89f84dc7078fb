"""Sheet 5.6, 5.7: multipart batches."""
from __future__ import annotations

import email.parser
import email.policy
import json
import re
from typing import Any, Optional

import pytest

from writing import ABSENT, crm, exists, fresh, make, refused, row  # noqa: F401

CRLF = "\r\n"
API = "/api/data/v9.2/"


def request(method: str, url: str, body: Any = None, headers: Optional[dict] = None) -> str:
    lines = [f"{method} {url if url.startswith(('/', 'http', '$')) else API + url} HTTP/1.1"]
    if body is not None:
        lines.append("Content-Type: application/json")
    lines += [f"{n}: {v}" for n, v in (headers or {}).items()]
    return CRLF.join(lines) + CRLF + CRLF + ("" if body is None else json.dumps(body))


def part(content: str, content_id: Optional[str] = None) -> str:
    head = f"Content-Type: application/http{CRLF}Content-Transfer-Encoding: binary{CRLF}"
    if content_id is not None:
        head += f"Content-ID: {content_id}{CRLF}"
    return head + CRLF + content


def joined(boundary: str, parts: list[str]) -> str:
    return "".join(f"--{boundary}{CRLF}{p}{CRLF}" for p in parts) + f"--{boundary}--{CRLF}"


def change_set(*operations: tuple, boundary: str = "changeset_1") -> str:
    """Operations as (id, method, url, body[, headers])."""
    parts = [part(request(o[1], o[2], *o[3:]), o[0]) for o in operations]
    return f"Content-Type: multipart/mixed; boundary={boundary}{CRLF}{CRLF}" + joined(boundary,
                                                                                      parts)


def send(crm, *parts: str, prefer: Optional[str] = None, boundary: str = "batch_1",
         quoted: bool = False):
    mark = f'"{boundary}"' if quoted else boundary
    return crm.post("$batch", joined(boundary, list(parts)), prefer=prefer,
                    headers={"Content-Type": f"multipart/mixed; boundary={mark}"})


class Answer:
    """One inner response."""

    def __init__(self, message):
        self.content_id = message["Content-ID"]
        assert message.get_content_type() == "application/http"
        text = message.get_payload(decode=True).decode()
        head, _, self.body = text.partition(CRLF + CRLF)
        first, *lines = head.split(CRLF)
        self.status = int(first.split()[1])
        self.headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines)}

    def json(self):
        return json.loads(self.body)


def answers(reply) -> list:
    """Inner responses; those of a change set as a list of their own."""
    content_type = reply.headers["Content-Type"]
    assert content_type.startswith("multipart/mixed; boundary=batchresponse_"), reply.text
    parser = email.parser.BytesParser(policy=email.policy.HTTP)
    message = parser.parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + reply.body)
    return [[Answer(m) for m in p.get_payload()] if p.is_multipart() else Answer(p)
            for p in message.get_payload()]


# --- what works -------------------------------------------------------------------------------


def test_reads_and_writes_in_order(crm):
    number = fresh("B")
    reply = send(crm, part(request("POST", "accounts", {"accountnumber": number})),
                 part(request("GET", "accounts?$select=accountnumber"
                              f"&$filter=accountnumber%20eq%20'{number}'",
                              headers={"Accept": "application/json"})))
    assert reply.status == 200
    made, found = answers(reply)
    assert made.status == 204 and made.body == ""
    assert made.headers["odata-entityid"] == made.headers["location"]
    assert made.headers["odata-version"] == "4.0"
    assert found.status == 200 and found.json()["value"][0]["accountnumber"] == number


@pytest.mark.parametrize("quoted", [True, False])
def test_boundary_quoted_or_not(crm, quoted):
    assert answers(send(crm, part(request("GET", "WhoAmI")), quoted=quoted))[0].status == 200


@pytest.mark.parametrize("url", ["{base}/WhoAmI", "/api/data/v9.2/WhoAmI", "/api/data/v9.1/WhoAmI"])
def test_forms_of_the_inner_url(crm, url):
    assert answers(send(crm, part(request("GET", url.format(base=crm.base)))))[0].status == 200


def test_inner_headers_apply_to_their_operation(crm):
    own = make(crm, "accounts", name="A")
    one, two = answers(send(
        crm, part(request("PATCH", f"accounts({own})", {"name": "B"}, {"If-Match": "*"})),
        part(request("GET", f"accounts({own})?$select=industrycode,name",
                     headers={"Prefer": 'odata.include-annotations="*"'}))))
    assert one.status == 204 and two.json()["name"] == "B"


def test_change_set_answers_nested_with_content_ids(crm):
    inner, = answers(send(crm, change_set(("1", "POST", "accounts", {"name": "A"}),
                                          ("two", "POST", "accounts", {"name": "B"}))))
    assert [(a.content_id, a.status) for a in inner] == [("1", 204), ("two", 204)]
    assert all(a.headers["location"].startswith(crm.base) for a in inner)


def test_references_in_urls_and_bodies(crm):
    reply = send(crm, change_set(
        ("1", "POST", "accounts", {"name": "A"}),
        ("2", "POST", "contacts", {"lastname": "C"}),
        ("3", "PATCH", "$1", {"primarycontactid@odata.bind": "$2"}),
        ("4", "PUT", "$1/name", {"value": "Changed"}),
        ("5", "POST", "opportunities", {"name": "O", "customerid_account@odata.bind": "$1"}),
        ("6", "PUT", "$5/parentcontactid/$ref", {"@odata.id": "$2"}),
        ("7", "POST", "accounts", {"name": "P", "account_parent_account@odata.bind": ["$1"]})))
    inner, = answers(reply)
    assert [a.status for a in inner] == [204] * 7, reply.text
    assert "location" not in inner[3].headers
    account = inner[0].headers["location"].rpartition("(")[2][:-1]
    contact = inner[1].headers["location"].rpartition("(")[2][:-1]
    parent = inner[6].headers["location"].rpartition("(")[2][:-1]
    found = row(crm, "accounts", account)
    assert (found["name"], found["_primarycontactid_value"], found["_parentaccountid_value"]) == (
        "Changed", contact, parent)
    opportunity = inner[4].headers["location"].rpartition("(")[2][:-1]
    assert row(crm, "opportunities", opportunity)["_parentcontactid_value"] == contact


def test_text_that_looks_like_a_reference_is_left_alone(crm):
    inner, = answers(send(crm, change_set(("1", "POST", "accounts", {"name": "$1", "description":
                                                                     '"x@odata.bind":"$1"'}))))
    own = inner[0].headers["location"].rpartition("(")[2][:-1]
    found = row(crm, "accounts", own)
    assert (found["name"], found["description"]) == ("$1", '"x@odata.bind":"$1"')


@pytest.mark.parametrize("reference", ["2", "9"])
def test_forward_or_unknown_reference_is_400(crm, reference):
    reply = send(crm, change_set(("1", "PATCH", f"${reference}", {"name": "x"}),
                                 ("2", "POST", "accounts", {"name": "A"})))
    (failed,), = answers(reply)
    assert (reply.status, failed.status, failed.content_id) == (400, 400, "1")
    message = failed.json()["error"]["message"]
    assert message == f"Content-ID Reference: '${reference}' does not exist in the batch context."


def test_url_of_64_kb_is_allowed_inside_a_batch_only(crm):
    def url(length: int) -> str:
        start = "accounts?$select=name&$filter=name%20eq%20'"
        return start + "x" * (length - len(start) - 1) + "'"
    assert crm.get(url(40000)).status >= 400
    inner = answers(send(crm, part(request("GET", url(40000)))))[0]
    assert inner.status == 200
    assert send(crm, part(request("GET", url(70000)))).status >= 400


# --- failures -----------------------------------------------------------------------------------


def three(first: str, last: str) -> list[str]:
    return [part(request("POST", "accounts", {"accountnumber": first})),
            part(request("PATCH", f"accounts({ABSENT})", {"name": "x"}, {"If-Match": "*"})),
            part(request("POST", "accounts", {"accountnumber": last}))]


def has(crm, number: str) -> bool:
    return crm.get(f"accounts(accountnumber='{number}')").status == 200


def test_default_stops_at_the_first_failure_and_takes_its_status(crm):
    first, last = fresh("St"), fresh("St")
    reply = send(crm, *three(first, last))
    done, failed = answers(reply)
    assert (reply.status, done.status, failed.status) == (404, 204, 404)
    assert failed.json()["error"]["code"] == "0x80040217" and failed.headers["req_id"]
    assert has(crm, first) and not has(crm, last)


def test_continue_on_error_goes_on_with_status_200(crm):
    first, last = fresh("Co"), fresh("Co")
    reply = send(crm, *three(first, last), prefer="odata.continue-on-error")
    assert reply.status == 200
    assert [a.status for a in answers(reply)] == [204, 404, 204]
    assert has(crm, first) and has(crm, last)


def failing_set(number: str) -> str:
    return change_set(("10", "POST", "accounts", {"accountnumber": number}),
                      ("11", "PATCH", f"accounts({ABSENT})", {"name": "x"}, {"If-Match": "*"}),
                      ("12", "POST", "accounts", {"name": "never"}))


def test_failed_change_set_answers_with_one_inner_part_only(crm):
    number = fresh("Cs")
    reply = send(crm, failing_set(number))
    inner, = answers(reply)
    assert reply.status == 404
    assert [(a.content_id, a.status) for a in inner] == [("11", 404)]
    assert not has(crm, number)


def test_failed_change_set_as_a_plain_part_by_quirk(fresh_service):
    service = fresh_service(quirks={"failed_changeset": "plain"})
    failed, = answers(send(service, failing_set("Q1")))
    assert (failed.content_id, failed.status) == ("11", 404)


def test_continue_on_error_goes_on_with_the_next_change_set(crm):
    number, other = fresh("Nx"), fresh("Nx")
    reply = send(crm, failing_set(number),
                 change_set(("20", "POST", "accounts", {"accountnumber": other})),
                 prefer="odata.continue-on-error")
    one, two = answers(reply)
    assert (reply.status, one[0].status, two[0].status) == (200, 404, 204)
    assert not has(crm, number) and has(crm, other)


def test_change_sets_of_elastic_rows_are_not_atomic(crm):
    own = "5a0f9e3c-0000-4000-a000-000000000001"
    reply = send(crm, change_set(
        ("1", "POST", "contoso_sensordatas", {"contoso_sensordataid": own, "partitionid": "b"}),
        ("2", "POST", "contoso_sensordatas", {"contoso_sensordataid": own, "partitionid": "b"})))
    assert reply.status == 409
    assert crm.get(f"contoso_sensordatas({own})?partitionId=b").status == 200


# --- refused as a whole ---------------------------------------------------------------------


def whole(reply, status: int = 400, code: str = "0x80060888") -> str:
    """Refused as a whole: an ordinary JSON error, not multipart."""
    assert reply.headers["Content-Type"].startswith("application/json")
    return refused(reply, status, code)


def raw(crm, body: str, content_type: str = "multipart/mixed; boundary=b"):
    return crm.post("$batch", body, headers={"Content-Type": content_type})


def test_line_feeds_alone_are_malformed(crm):
    whole(raw(crm, joined("b", [part(request("GET", "WhoAmI"))]).replace("\r\n", "\n")))


def test_missing_blank_line_after_the_headers_is_the_commonest_mistake(crm):
    lines = ["--b", "Content-Type: application/http", "", f"GET {API}WhoAmI HTTP/1.1",
             "Accept: application/json", "", "--b--", ""]
    whole(raw(crm, CRLF.join(lines)))
    lines.insert(5, "")
    assert raw(crm, CRLF.join(lines)).status == 200


@pytest.mark.parametrize("content_type",
                         ["application/json", "multipart/mixed", "multipart/mixed; boundary=c"])
def test_wrong_content_type_or_boundary(crm, content_type):
    whole(raw(crm, joined("b", [part(request("GET", "WhoAmI"))]), content_type))


def test_missing_end_is_malformed(crm):
    whole(raw(crm, joined("b", [part(request("GET", "WhoAmI"))]).replace("--b--", "")))


def test_content_id_is_required_in_change_sets(crm):
    message = whole(send(crm, change_set((None, "POST", "accounts", {"name": "A"}))))
    assert message == "Content-ID header not present"


def test_content_ids_must_be_unique(crm):
    whole(send(crm, change_set(("1", "POST", "accounts", {}), ("1", "POST", "accounts", {}))))


def test_get_is_refused_in_a_change_set(crm):
    whole(send(crm, change_set(("1", "GET", "accounts", None))))


def test_a_malformed_batch_does_nothing(crm):
    number = fresh("No")
    whole(send(crm, part(request("POST", "accounts", {"accountnumber": number})),
               change_set(("1", "GET", "accounts", None))))
    assert not has(crm, number)


def test_thousand_operations_are_the_limit(crm):
    one = part(request("GET", "WhoAmI"))
    assert send(crm, *[one] * 1000).status == 200
    whole(send(crm, *[one] * 1001))


def test_no_batch_inside_a_batch(crm):
    reply = send(crm, part(request("POST", "$batch", {})))
    assert reply.status == 400 and answers(reply)[0].status == 400


def test_content_length_counts_bytes(crm):
    body = '{"name":"é"}'
    text = part(f"POST {API}accounts HTTP/1.1{CRLF}Content-Type: application/json{CRLF}"
                f"Content-Length: {len(body.encode())}{CRLF}{CRLF}{body}")
    assert answers(send(crm, text))[0].status == 204
    whole(send(crm, text.replace("Content-Length: 1", "Content-Length: 9")))


def test_a_batch_of_bulk_messages(crm):
    target = {"@odata.type": "Microsoft.Dynamics.CRM.account", "name": "x"}
    inner, = answers(send(crm, change_set(
        ("1", "POST", "accounts/Microsoft.Dynamics.CRM.CreateMultiple", {"Targets": [target]}))))
    assert inner[0].status == 200 and len(inner[0].json()["Ids"]) == 1


def test_representation_inside_a_change_set_can_be_referenced(crm):
    inner, = answers(send(crm, change_set(
        ("1", "POST", "accounts?$select=name", {"name": "A"}, {"Prefer": "return=representation"}),
        ("2", "PATCH", "$1", {"name": "B"}))))
    assert [a.status for a in inner] == [201, 204]
    assert row(crm, "accounts", inner[0].json()["accountid"])["name"] == "B"


def test_response_is_valid_multipart(crm):
    reply = send(crm, part(request("GET", "WhoAmI")))
    mark = re.search(r"boundary=(\S+)", reply.headers["Content-Type"]).group(1)
    assert reply.text.startswith(f"--{mark}\r\nContent-Type: application/http\r\n"
                                 "Content-Transfer-Encoding: binary\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert reply.text.endswith(f"\r\n--{mark}--\r\n")


# --- headers and forms of parts -------------------------------------------------------------------


def test_preamble_epilogue_and_padding_are_left_alone(crm):
    text = joined("b", [part(request("GET", "WhoAmI"))])
    reply = raw(crm, f"a preamble{CRLF}{text.replace('--b' + CRLF, '--b  ' + CRLF)}{CRLF}the end")
    assert [a.status for a in answers(reply)] == [200]


@pytest.mark.parametrize("quoted", [True, False])
def test_boundary_of_a_change_set_quoted_or_not(crm, quoted):
    text = change_set(("1", "POST", "accounts", {"name": "x"}))
    if quoted:
        text = text.replace("boundary=changeset_1", 'boundary="changeset_1"')
    assert [a.status for a in answers(send(crm, text))[0]] == [204]


def test_names_of_headers_have_no_case(crm):
    text = (f"CONTENT-TYPE: Application/Http{CRLF}content-transfer-encoding: binary{CRLF}{CRLF}"
            f"PATCH {API}accounts({ABSENT}) HTTP/1.1{CRLF}IF-MATCH: *{CRLF}"
            f"content-type: application/json{CRLF}{CRLF}{{}}")
    assert answers(send(crm, text))[0].status == 404


def test_each_part_has_its_own_conditions_and_preferences(crm):
    own = make(crm, "accounts", name="A")
    tag = crm.get(f"accounts({own})?$select=name").headers["ETag"]
    found = answers(send(
        crm,
        part(request("PATCH", f"accounts({own})", {"name": "B"}, {"If-Match": tag})),
        part(request("PATCH", f"accounts({own})", {"name": "C"}, {"If-Match": tag})),
        part(request("PATCH", f"accounts({own})", {"name": "D"}, {"If-None-Match": "*"})),
        part(request("PATCH", f"accounts({own})?$select=name", {"name": "E"},
                     {"Prefer": "return=representation"})),
        part(request("DELETE", f"accounts({own})", None, {"If-Match": tag})),
        prefer="odata.continue-on-error"))
    assert [a.status for a in found] == [204, 412, 412, 200, 412]
    codes = [a.json()["error"]["code"] for a in found if a.status == 412]
    assert codes == ["0x80060882", "0x80040237", "0x80060882"]
    assert found[3].json()["name"] == "E"


def test_annotations_are_wanted_by_the_part_and_not_by_the_batch(crm):
    own = make(crm, "accounts", name="A", industrycode=1)
    url, wish = f"accounts({own})?$select=industrycode", 'odata.include-annotations="*"'
    plain, rich = answers(send(crm, part(request("GET", url)),
                               part(request("GET", url, None, {"Prefer": wish})), prefer=wish))
    name = "industrycode@OData.Community.Display.V1.FormattedValue"
    assert name not in plain.json() and rich.json()[name] == "Accounting"


def test_impersonation_of_the_batch_holds_for_all_its_parts(crm):
    other = crm.get("systemusers?$filter=isdisabled eq false&$orderby=fullname desc&$top=1"
                    ).value[0]["systemuserid"]
    text = joined("b", [part(request("GET", "WhoAmI")), part(request("POST", "accounts",
                                                                     {"name": "x"}))])
    reply = crm.post("$batch", text, headers={"Content-Type": "multipart/mixed; boundary=b",
                                              "MSCRMCallerID": other})
    who, made = answers(reply)
    assert who.json()["UserId"] == other
    own = made.headers["odata-entityid"].rpartition("(")[2].rstrip(")")
    assert row(crm, "accounts", own)["_createdby_value"] == other


def test_a_reference_outside_of_a_change_set_is_unknown(crm):
    reply = send(crm, part(request("POST", "accounts", {"name": "x"}), "1"),
                 part(request("PATCH", "$1", {"name": "y"}), "2"))
    assert [a.status for a in answers(reply)] == [204, 400]


def test_a_reference_ends_with_its_change_set(crm):
    reply = send(crm, change_set(("1", "POST", "accounts", {"name": "x"})),
                 change_set(("2", "PATCH", "$1", {"name": "y"})))
    (first,), (second,) = answers(reply)
    assert (first.status, second.status) == (204, 400)
    assert second.json()["error"]["message"] == (
        "Content-ID Reference: '$1' does not exist in the batch context.")


def test_properties_and_references_of_a_row_just_made(crm):
    inner, = answers(send(crm, change_set(
        ("1", "POST", "accounts", {"name": "x"}), ("2", "POST", "contacts", {"lastname": "L"}),
        ("3", "PUT", "$1/name", {"value": "y"}),
        ("4", "PUT", "$1/primarycontactid/$ref", {"@odata.id": "$2"}))))
    assert [a.status for a in inner] == [204] * 4
    assert "location" in inner[0].headers and "location" not in inner[2].headers
    own = inner[0].headers["location"].rpartition("(")[2].rstrip(")")
    found = row(crm, "accounts", own)
    assert found["name"] == "y" and found["_primarycontactid_value"] in inner[1].headers["location"]


def test_a_change_set_counts_its_operations_toward_the_thousand(crm):
    operations = [(str(n), "DELETE", f"accounts({ABSENT})", None) for n in range(1001)]
    whole(send(crm, change_set(*operations)))
    mixed = [part(request("GET", "WhoAmI")), change_set(*operations[:1000])]
    whole(send(crm, *mixed))


def test_a_change_set_of_many_rows_is_all_or_nothing(crm):
    name = fresh("All")
    operations = [(str(n), "POST", "accounts", {"name": name}) for n in range(50)]
    bad = (*operations[:49], ("49", "POST", "accounts", {"name": name * 100}))
    inner, = answers(send(crm, change_set(*bad)))
    assert [(a.content_id, a.status) for a in inner] == [("49", 400)]
    assert crm.get(f"accounts?$filter=name eq '{name}'").value == []
    inner, = answers(send(crm, change_set(*operations)))
    assert [a.content_id for a in inner] == [str(n) for n in range(50)]
    assert len(crm.get(f"accounts?$filter=name eq '{name}'").value) == 50


def test_a_change_set_that_fails_stops_the_batch(crm):
    number = fresh("Stop")
    reply = send(crm, failing_set(fresh("F")), part(request("POST", "accounts",
                                                            {"accountnumber": number})))
    assert len(answers(reply)) == 1 and not has(crm, number)


@pytest.mark.parametrize("line", ["GET /api/data/v9.2/WhoAmI", "WhoAmI", "",
                                  "HEAD /api/data/v9.2/WhoAmI HTTP/1.1",
                                  "GET /api/data/v9.2/WhoAmI HTTP/2"])
def test_request_lines_that_are_none(crm, line):
    whole(send(crm, part(f"{line}{CRLF}{CRLF}")))


def test_urls_of_another_host_or_service(crm):
    for url in ("http://elsewhere.example/api/data/v9.2/WhoAmI", "/api/other/WhoAmI"):
        reply = send(crm, part(f"GET {url} HTTP/1.1{CRLF}{CRLF}"))
        assert answers(reply)[0].status == 400


def test_faults_of_the_whole_batch_are_no_multipart(crm):
    """Throttling, a missing token (sheet 5.7)."""
    text = joined("b", [part(request("GET", "WhoAmI"))])
    crm.control("limits", {"requests_per_window": 0})
    whole(raw(crm, text), 429, "0x80072322")
    crm.reset()
    reply = crm.post("$batch", text, headers={"Content-Type": "multipart/mixed; boundary=b",
                                              "Authorization": "Bearer nonsense"})
    whole(reply, 401, "0x8004A100")
