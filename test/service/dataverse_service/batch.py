"""``$batch``: multipart in, multipart out (sheet 5.6, 5.7).

The request is parsed whole before anything runs; what is malformed is refused whole, as an ordinary
JSON error. The parser is strict as the service's: CRLF line ends, a blank line after the headers of
every request, ``Content-ID`` on everything in a change set.
"""
from __future__ import annotations

import dataclasses
import http.client
import re
import uuid
from typing import Callable, Optional, Union
from urllib.parse import urlsplit

from .core import Context, Fault, Response
from .payload import payload_fault

#: (method, target after ``/api/data/v9.x``, headers, body) -> answer; faults come as answers.
Dispatch = Callable[[str, str, dict[str, str], bytes], Response]

MAX_OPERATIONS = 1000
_WRITES = frozenset({"POST", "PATCH", "PUT", "DELETE"})
_METHODS = _WRITES | {"GET"}
_SERVICE_PATH = re.compile(r"/api/data/v\d+\.\d+(?=/|$)", re.IGNORECASE)
_REFERENCE = re.compile(r"/?\$([A-Za-z0-9_.\-~]+)")
#: Outside of change sets nothing can be referred to (sheet 1.5); ``$metadata`` is no reference.
_NUMBERED = re.compile(r"/?\$(\d+)(?=/|$)")
#: References in bodies: the value of ``..@odata.bind`` and ``@odata.id``, alone or in an array.
_BODY_REFERENCE = re.compile(
    rb'(@odata\.(?:bind|id)"\s*:\s*)("/?\$[^"\\]*"|\[\s*"/?\$[^\]]*\])')
_QUOTED_REFERENCE = re.compile(rb'"/?\$([A-Za-z0-9_.\-~]+)"')
_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"]+)"|([^;\s"]+))', re.IGNORECASE)


@dataclasses.dataclass
class Operation:
    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    content_id: Optional[str] = None


@dataclasses.dataclass
class ChangeSet:
    operations: list[Operation]


Item = Union[Operation, ChangeSet]


def handle(ctx: Context, content_type: str, body: bytes, dispatch: Dispatch) -> Response:
    """``POST $batch``."""
    items = parse(content_type, body)
    boundary = f"batchresponse_{uuid.uuid4()}"
    parts: list[bytes] = []
    status = 200
    for item in items:
        runner = _run_change_set if isinstance(item, ChangeSet) else _run_single
        part, item_status = runner(ctx, item, dispatch)  # type: ignore[arg-type, operator]
        parts.append(part)
        if item_status >= 400 and not ctx.prefs.continue_on_error:
            if ctx.quirks.batch_status == "failed":
                status = item_status
            break  # everything after the failure stays undone (sheet 5.7)
    headers = [("Content-Type", f"multipart/mixed; boundary={boundary}")]
    if ctx.prefs.continue_on_error:
        headers.append(("Preference-Applied", "odata.continue-on-error"))
    return Response(status, _join(boundary, parts), headers)


def count_operations(content_type: str, body: bytes) -> int:
    """How many requests a batch holds; 0 for one that is malformed."""
    try:
        items = parse(content_type, body)
    except Fault:
        return 0
    return sum(len(i.operations) if isinstance(i, ChangeSet) else 1 for i in items)


# --- parsing --------------------------------------------------------------------------------


def _refuse(message: str) -> Fault:
    return Fault(400, "0x80060888", message)


def parse(content_type: str, body: bytes) -> list[Item]:
    """The operations and change sets of a batch, or a Fault for the batch as a whole."""
    items = [_item(part) for part in _split(body, _boundary(content_type))]
    count = sum(len(i.operations) if isinstance(i, ChangeSet) else 1 for i in items)
    if count > MAX_OPERATIONS:
        raise _refuse("The current batch contains too many operations. Only batches with a maximum "
                      f"number of '{MAX_OPERATIONS}' operations are allowed.")
    return items


def _boundary(content_type: str) -> bytes:
    if content_type.partition(";")[0].strip().lower() != "multipart/mixed":
        raise _refuse(f"The content type '{content_type}' of a batch must be 'multipart/mixed' "
                      "with a "
                      "boundary.")
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise _refuse(f"The content type '{content_type}' does not specify a batch boundary.")
    return (match.group(1) or match.group(2)).encode()


def _split(body: bytes, boundary: bytes) -> list[bytes]:
    """The parts between delimiter lines; CRLF only."""
    data = b"\r\n" + body
    pattern = re.compile(rb"\r\n--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r\n|\Z)")
    parts: list[bytes] = []
    start: Optional[int] = None
    for match in pattern.finditer(data):
        if start is not None:
            parts.append(data[start:match.start()] if match.start() >= start else b"")
        if match.group(1):
            return parts
        start = match.end() + 2
    raise _refuse(f"The message boundary '--{boundary.decode(errors='replace')}--' that ends the "
                  "batch "
                  "was not found. Lines must end with CRLF.")


def _item(part: bytes) -> Item:
    headers, content = _part(part)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/http":
        return _operation(content, headers.get("content-id"))
    if kind != "multipart/mixed":
        raise _content_type_fault(headers)
    operations = [_member(inner) for inner in _split(content, _boundary(headers["content-type"]))]
    ids = [operation.content_id for operation in operations]
    if len(set(ids)) != len(ids):
        raise _refuse("The Content-ID values of the requests in a change set must be unique.")
    return ChangeSet(operations)


def _content_type_fault(headers: dict[str, str]) -> Fault:
    return _refuse(f"The content type '{headers.get('content-type', '')}' of a batch part is not "
                   "valid: "
                   "'application/http' or 'multipart/mixed' is expected.")


def _member(part: bytes) -> Operation:
    """One request of a change set; no reads and no change sets in it."""
    headers, content = _part(part)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/http":
        raise _content_type_fault(headers)
    if not headers.get("content-id"):
        raise _refuse("Content-ID header not present")
    operation = _operation(content, headers["content-id"])
    if operation.method not in _WRITES:
        raise _refuse(f"An invalid HTTP method '{operation.method}' was detected for a request in "
                      "a "
                      "change set. Requests in change sets only support the HTTP methods 'POST', "
                      "'PUT', 'DELETE', and 'PATCH'.")
    return operation


def _part(part: bytes) -> tuple[dict[str, str], bytes]:
    head, blank, content = part.partition(b"\r\n\r\n")
    if not blank:
        raise _refuse("A part of the batch has no blank line after its headers.")
    return _headers(head.split(b"\r\n")), content


def _headers(lines: list[bytes]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or b"\n" in line:
            raise _refuse(f"The line '{line.decode(errors='replace')}' is not a valid header of a "
                          "batch "
                          "part. Lines must end with CRLF.")
        key, text = name.decode("latin-1").strip().lower(), value.decode("utf-8", "replace").strip()
        # Several Prefer lines are one list (sheet 2.1.3).
        found[key] = f"{found[key]},{text}" if key in found and key == "prefer" else text
    return found


def _operation(content: bytes, content_id: Optional[str]) -> Operation:
    """``METHOD URL HTTP/1.1``, headers, a blank line, a body."""
    head, blank, body = content.partition(b"\r\n\r\n")
    if not blank:
        raise _refuse("A request in the batch has no blank line after its headers.")
    lines = head.split(b"\r\n")
    words = lines[0].decode("utf-8", "replace").split(" ")
    if (len(words) != 3 or words[2] != "HTTP/1.1" or words[0] not in _METHODS
            or "\n" in words[1]):
        raise _refuse(f"The request line '{lines[0].decode(errors='replace')}' of a batch part is "
                      "not "
                      "valid: 'Method RequestUri HTTP/1.1' is expected.")
    headers = _headers(lines[1:])
    return Operation(words[0], words[1], headers, _sized(headers, body), content_id)


def _sized(headers: dict[str, str], body: bytes) -> bytes:
    """Content-Length is optional inside a part; where given it counts in bytes (sheet 5.6)."""
    length = headers.get("content-length")
    if length is None:
        return body
    if not length.isdigit() or int(length) > len(body):
        raise _refuse(f"The Content-Length '{length}' of a request in the batch does not fit its "
                      "body.")
    return body[:int(length)]


# --- running --------------------------------------------------------------------------------


class _Rollback(Exception):
    """Leaves the savepoint of a change set that failed."""


def _run_single(ctx: Context, operation: Operation, dispatch: Dispatch) -> tuple[bytes, int]:
    response = _perform(ctx, operation, dispatch, None)
    return _http_part(response, operation.content_id), response.status


def _perform(ctx: Context, operation: Operation, dispatch: Dispatch,
             made: Optional[dict[str, str]]) -> Response:
    """Run one request; ``made`` maps Content-IDs of a change set to the rows they wrote."""
    url, body = operation.url, operation.body
    try:
        if made is not None:
            url = _resolve_url(url, made)
            body = _resolve_body(body, made)
        elif (outside := _NUMBERED.match(url)) is not None:
            raise _unknown_reference(outside.group(1))
        target = _target(ctx, url)
        _check_length(ctx, operation)
    except Fault as fault:
        return _fault_response(ctx, fault)
    return dispatch(operation.method, target, operation.headers, body)


def _target(ctx: Context, url: str) -> str:
    """The part of a request URL that follows the service root."""
    if re.match(r"https?://", url, re.IGNORECASE):
        parts, root = urlsplit(url), urlsplit(ctx.base)
        if parts.netloc.lower() != root.netloc.lower():
            raise _refuse(f"The URI '{url}' of a request in the batch is not based on the service "
                          "root.")
        url = url.split("://", 1)[1][len(parts.netloc):]
    if url.startswith("/"):
        match = _SERVICE_PATH.match(url)
        if match is None:
            raise _refuse(f"The URI '{url}' of a request in the batch is not based on the service "
                          "root.")
        url = url[match.end():]
    elif ctx.quirks.relative_parts == "refused" and not url.startswith("/"):
        raise _refuse(f"The URI '{url}' of a request in the batch is neither absolute nor a path "
                      "from the root of the host.")
    target = url.lstrip("/")
    if re.match(r"(\$|%24)batch\b", target, re.IGNORECASE):
        raise _refuse("A batch inside a batch is not supported.")
    return target


def _check_length(ctx: Context, operation: Operation) -> None:
    """One client saw writes without a Content-Length fail (sheet 5.6)."""
    if (ctx.quirks.part_length == "required" and operation.body.strip()
            and "content-length" not in operation.headers):
        raise payload_fault(None, "The stream of the request is not readable.")


def _unknown_reference(name: str) -> Fault:
    return _refuse(f"Content-ID Reference: '${name}' does not exist in the batch context.")


def _resolve_url(url: str, made: dict[str, str]) -> str:
    match = _REFERENCE.match(url)
    if match is None:
        return url
    if match.group(1) not in made:
        raise _unknown_reference(match.group(1))
    return made[match.group(1)] + url[match.end():]


def _resolve_body(body: bytes, made: dict[str, str]) -> bytes:
    def one(match: re.Match[bytes]) -> bytes:
        name = match.group(1).decode()
        if name not in made:
            raise _unknown_reference(name)
        return b'"' + made[name].encode() + b'"'

    def member(match: re.Match[bytes]) -> bytes:
        return match.group(1) + _QUOTED_REFERENCE.sub(one, match.group(2))

    return _BODY_REFERENCE.sub(member, body) if b"$" in body else body


def _run_change_set(ctx: Context, change_set: ChangeSet, dispatch: Dispatch) -> tuple[bytes, int]:
    """All or nothing, unless every row is elastic (sheet 5.6)."""
    parts: list[bytes] = []
    failed: Optional[tuple[Operation, Response]] = None
    if _all_elastic(ctx, change_set):
        failed = _run_operations(ctx, change_set, dispatch, parts)
    else:
        try:
            with ctx.store.savepoint():
                failed = _run_operations(ctx, change_set, dispatch, parts)
                if failed is not None:
                    raise _Rollback
        except _Rollback:
            pass
    if failed is None:
        return _nested(parts), 200
    operation, response = failed
    part = _http_part(response, operation.content_id)
    plain = ctx.quirks.failed_changeset == "plain"
    return (part if plain else _nested([part])), response.status


def _run_operations(ctx: Context, change_set: ChangeSet, dispatch: Dispatch,
                    parts: list[bytes]) -> Optional[tuple[Operation, Response]]:
    made: dict[str, str] = {}
    for operation in change_set.operations:
        response = _perform(ctx, operation, dispatch, made)
        if response.status >= 400:
            return operation, response
        row_url = getattr(response, "row_url", "") or dict(response.headers).get("OData-EntityId",
                                                                                 "")
        if operation.content_id and row_url:
            made[operation.content_id] = row_url
        parts.append(_http_part(response, operation.content_id))
    return None


def _all_elastic(ctx: Context, change_set: ChangeSet) -> bool:
    for operation in change_set.operations:
        path = urlsplit(operation.url).path.rpartition("/api/data/")[2]
        sets = re.findall(r"(?:^|/)([A-Za-z_][A-Za-z0-9_]*)", path)
        tables = [ctx.model.by_set[s] for s in sets if s in ctx.model.by_set]
        if not tables or tables[0].table_type != "Elastic":
            return False
    return True


def _fault_response(ctx: Context, fault: Fault) -> Response:
    """A fault that arises here and not in dispatch, in the one shape that faults have."""
    from . import app

    return app.fault_response(fault, ctx.prefs)


# --- writing --------------------------------------------------------------------------------


def _join(boundary: str, parts: list[bytes]) -> bytes:
    mark = boundary.encode()
    opened = b"".join(b"--" + mark + b"\r\n" + part + b"\r\n" for part in parts)
    return opened + b"--" + mark + b"--\r\n"


def _nested(parts: list[bytes]) -> bytes:
    boundary = f"changesetresponse_{uuid.uuid4()}"
    head = f"Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n".encode()
    return head + _join(boundary, parts)


def _http_part(response: Response, content_id: Optional[str]) -> bytes:
    """One answer as ``application/http``; Content-ID is echoed inside change sets."""
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    if content_id is not None:
        lines.append(f"Content-ID: {content_id}")
    reason = http.client.responses.get(response.status, "")
    lines += ["", f"HTTP/1.1 {response.status} {reason}"]
    headers = list(response.headers)
    names = {name.lower() for name, _ in headers}
    if response.body and "content-type" not in names:
        lines.append("Content-Type: application/json; odata.metadata=minimal")
    if "odata-version" not in names:
        lines.append("OData-Version: 4.0")
    if response.status >= 400 and "req_id" not in names:
        lines.append(f"REQ_ID: {uuid.uuid4()}")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + response.body
