"""HTTP: aiohttp's low-level server in front of ``app.Service``.

It adds what every answer carries (sheet 1.2, 7.1), lets tests misbehave on purpose, keeps the
log, compresses, and answers the authority's and the control addresses.
"""
from __future__ import annotations

import asyncio
import collections
import gzip
import json
import time
from typing import Any, Optional
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from . import app, values
from .control import Entry, FaultRule, affinity, operations_in
from .core import Fault, Prefs, Response

#: Far beyond what the service takes, so that it can refuse in its own words.
_MAX_LINE = 4 * 2**20
#: Sheet 5.3 names 116.85 MB as the largest message; 413 beyond.
MAX_BODY = 122_526_105

_HTML_502 = (b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center>"
             b"<h1>502 Bad Gateway</h1></center>\r\n<hr><center>"
             b"Microsoft-Azure-Application-Gateway/v2</center>\r\n</body>\r\n</html>\r\n")


class Compressor:
    """gzip bodies; compressing a page costs more than sending it, so the last ones are kept."""

    def __init__(self, keep: int = 64):
        self._kept: collections.OrderedDict[int, tuple[bytes, bytes]] = collections.OrderedDict()
        self._keep = keep

    def compress(self, body: bytes) -> bytes:
        found = self._kept.get(id(body))
        if found is not None and found[0] is body:
            self._kept.move_to_end(id(body))
            return found[1]
        packed = gzip.compress(body, compresslevel=1, mtime=0)
        if len(body) > 65536:
            self._kept[id(body)] = (body, packed)
            while len(self._kept) > self._keep:
                self._kept.popitem(last=False)
        return packed


class Front:
    """The HTTP face of one service."""

    def __init__(self, service: app.Service, latency_ms: float = 0.0):
        self.service = service
        self.control = service.control
        self.latency = latency_ms / 1000
        self.base_url = ""
        self.compressor = Compressor()

    # --- entry ------------------------------------------------------------------------------

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        target = request.raw_path
        if target.startswith(("http://", "https://")):  # absolute form
            parts = urlsplit(target)
            target = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return await self._send(request, app.fault_response(
                Fault(413, "", "The request body is too large.")))
        if target.startswith("/_control/"):
            return await self._send(request, self._control(request.method, target, body))
        headers = _headers(request)
        operations = operations_in(target.partition("?")[0], body)
        entry = Entry(request.method, target, len(body), self.control.now_ms(),
                      self.control.in_flight, operations)
        self.control.log.append(entry)
        self.control.in_flight += 1
        began = time.perf_counter()
        try:
            return await self._serve(request, target, headers, body, entry)
        finally:
            self.control.in_flight -= 1
            entry.duration_ms = round((time.perf_counter() - began) * 1000, 3)

    async def _serve(self, request: web.BaseRequest, target: str, headers: dict[str, str],
                     body: bytes, entry: Entry) -> web.StreamResponse:
        rule = self.control.fault_for(request.method, target, body, entry.operations)
        if rule is not None and rule.behaviour != "delay":
            scripted = await self._before(request, rule)
            if scripted is not None:
                await asyncio.sleep(self.latency)
                self._stamp(scripted)
                return await self._send(request, scripted, entry, rule)
        response = await self._answer(request, target, headers, body, rule, entry)
        if rule is not None and rule.behaviour == "race":
            response = self._lost_race(response)
        return await self._send(request, self._compressed(response, headers), entry, rule)

    async def _pause(self, request: web.BaseRequest, rule: Optional[FaultRule]) -> None:
        """Distance, and scripted slowness."""
        if self.latency:
            await asyncio.sleep(self.latency)
        if rule is not None and rule.behaviour == "delay":
            await _sleep_while_open(request, rule.delay_ms / 1000)

    def _lost_race(self, response: Response) -> Response:
        """Of two upserts of a new key one fails though no condition was sent (sheet 4.3): here the
        row is written, and its writer hears that somebody else was first."""
        lost = app.fault_response(
            Fault(412, "0x80040237", "A record with matching key values already exists."),
            Prefs(error_code=self.service.quirks.error_code))
        kept = [(n, v) for n, v in response.headers
                if n.lower() not in ("odata-entityid", "location", "etag", "preference-applied",
                                     "content-type")]
        return Response(412, lost.body, [("Content-Type", app.JSON_TYPE), *kept])

    # --- answering --------------------------------------------------------------------------

    async def _answer(self, request: web.BaseRequest, target: str, headers: dict[str, str],
                      body: bytes, rule: Optional[FaultRule], entry: Entry) -> Response:
        path, _, query = target.partition("?")
        if path.startswith("/api/data/"):
            entry.tag = next(iter(parse_qs(query).get("tag", ())), None)
            return await self._data(request, target, headers, body, rule, entry)
        await self._pause(request, rule)
        if request.method == "POST" and path.endswith(("/oauth2/v2.0/token", "/oauth2/token")):
            return self.service.authority.token(path, headers, body, self.base_url)
        if path in ("/metadata/identity/oauth2/token", "/msi/token"):
            return self.service.authority.managed_identity(query, headers, self.base_url)
        return Response(404, b"<html><body>404 - not found</body></html>",
                        [("Content-Type", "text/html")])

    def _check_size(self, body: bytes) -> None:
        """No figure is documented, only the status (sheet 5.3, 7.3)."""
        limit = self.control.protection.limits.body_bytes
        if limit is not None and len(body) > limit:
            raise Fault(413, "", "The request body is too large.")

    async def _data(self, request: web.BaseRequest, target: str, headers: dict[str, str],
                    body: bytes, rule: Optional[FaultRule], entry: Entry) -> Response:
        """One call of the Web API: token, limits, then the service itself. A request that waits is
        in flight: it counts for the limit on concurrent ones."""
        protection = self.control.protection
        server = protection.server_for(headers.get("cookie"))
        user = headers.get("callerobjectid") or headers.get("mscrmcallerid") or self.service.user_id
        try:
            self.service.authority.check(headers.get("authorization"), self.base_url)
            self._check_size(body)
            window = protection.enter(server, user)
        except Fault as fault:
            await self._pause(request, rule)
            response = app.fault_response(
                fault, Prefs(error_code=self.service.quirks.error_code))
        else:
            spent = 0.0
            try:
                await self._pause(request, rule)
                began = time.perf_counter()
                response = self.service.dispatch(request.method, target, headers, body,
                                                 base=self._base(target))
                spent = (time.perf_counter() - began) * 1000
            finally:
                each = target.partition("?")[0].endswith("/$batch") \
                    and self.service.quirks.batch_counts == "each"
                protection.leave(window, spent, entry.operations, entry.operations if each else 1)
                entry.ran = dict(self.control.custom.ran)
                self.control.custom.ran.clear()
        response = Response(response.status, response.body, list(response.headers))
        self._stamp(response)
        response.headers += protection.headers(server, user)
        if affinity(server) not in headers.get("cookie", ""):
            cookie = f"ARRAffinity={affinity(server)}; Path=/; HttpOnly"
            response.headers.append(("Set-Cookie", cookie))
        return response

    def _base(self, target: str) -> str:
        """Links repeat the version the caller used."""
        version = target[len("/api/data/"):].split("/")[0].split("?")[0]
        return f"{self.base_url}/api/data/{version}"

    @staticmethod
    def _stamp(response: Response) -> None:
        """Headers of every data answer (sheet 1.2); x-ms-service-request-id comes twice."""
        request_id = app.new_request_id()
        names = {name.lower() for name, _ in response.headers}
        if "content-type" not in names and response.body:
            response.headers.append(("Content-Type", app.JSON_TYPE))
        if "odata-version" not in names:
            response.headers.append(("OData-Version", "4.0"))
        if "cache-control" not in names:
            response.headers.append(("Cache-Control", "no-cache"))
        response.headers += [
            ("REQ_ID", request_id),
            ("x-ms-service-request-id", request_id),
            ("x-ms-service-request-id", app.new_request_id()),
            ("AuthActivityId", app.new_request_id()),
        ]

    def _compressed(self, response: Response, headers: dict[str, str]) -> Response:
        if (
            self.service.quirks.compression != "gzip"
            or len(response.body) < 1024
            or "gzip" not in headers.get("accept-encoding", "").lower()
        ):
            return response
        packed = self.compressor.compress(response.body)
        extra = [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
        return Response(response.status, packed, response.headers + extra)

    # --- sending ----------------------------------------------------------------------------

    async def _send(self, request: web.BaseRequest, response: Response,
                    entry: Optional[Entry] = None,
                    rule: Optional[FaultRule] = None) -> web.StreamResponse:
        if entry is not None:
            entry.status = response.status
            entry.response_bytes = len(response.body)
        behaviour = rule.behaviour if rule is not None else None
        if behaviour == "close_after":
            raise _drop(request)
        if behaviour == "delay_after":
            assert rule is not None
            await _sleep_while_open(request, rule.delay_ms / 1000)
        if behaviour in ("truncate", "stall", "drip"):
            return await self._misbehave(request, response, behaviour)
        answer = web.Response(status=response.status, body=response.body or None)
        answer.headers.extend(response.headers)
        if response.status in (204, 304):
            answer.headers.popall("Content-Type", None)
        elif not response.body:
            answer.headers.setdefault("Content-Length", "0")
        return answer

    async def _misbehave(self, request: web.BaseRequest, response: Response,
                         behaviour: str) -> web.StreamResponse:
        """A body that stops half-way, or comes in crumbs."""
        answer = web.StreamResponse(status=response.status)
        answer.headers.extend(response.headers)
        answer.content_length = len(response.body)
        await answer.prepare(request)
        body = response.body
        if behaviour == "drip":
            step = max(1, len(body) // 20)
            for i in range(0, len(body), step):
                await answer.write(body[i : i + step])
                await asyncio.sleep(0.02)
            await answer.write_eof()
            return answer
        await answer.write(body[: len(body) // 2])
        if behaviour == "stall":
            await _sleep_while_open(request, 3600)
        raise _drop(request)

    async def _before(self, request: web.BaseRequest, rule: FaultRule) -> Optional[Response]:
        """What a fault does instead of the work; None = the work is done first."""
        behaviour = rule.behaviour
        if behaviour == "close":
            raise _drop(request)
        if behaviour == "hang":
            await _sleep_while_open(request, 3600)
            raise _drop(request)
        if behaviour == "html":
            return Response(rule.status or 502, _HTML_502, [("Content-Type", "text/html")])
        if behaviour == "bad_json":
            return Response(rule.status or 200, b'{"value":[{"name":"unfinished', [])
        if behaviour == "empty_code":
            return app.fault_response(Fault(rule.status or 500, "", rule.message))
        if rule.status is not None or rule.code is not None or rule.body is not None:
            return _scripted(rule)
        return None

    # --- control -----------------------------------------------------------------------------

    def _control(self, method: str, target: str, body: bytes) -> Response:
        path, _, query = target.partition("?")
        name = path.removeprefix("/_control/").strip("/")
        action = self._ACTIONS.get((method, name))
        if action is None:
            return _json(404, {"error": f"no control address {method} {name}"})
        try:
            spec = json.loads(body) if body.strip() else {}
            return _json(200, action(self, spec, parse_qs(query)))
        except (ValueError, KeyError, TypeError) as error:
            return _json(400, {"error": str(error)})

    def _get_log(self, spec: Any, query: Any) -> Any:
        return self.control.log_json()

    def _reset(self, spec: Any, query: Any) -> Any:
        if self.control.custom.hidden:
            self.service.store.data_version += 1
        self.control.reset()
        return {}

    def _set_faults(self, spec: Any, query: Any) -> Any:
        rules = [FaultRule(item) for item in (spec if isinstance(spec, list) else [spec])]
        self.control.faults.extend(rules)
        return {"faults": len(self.control.faults)}

    def _clear_faults(self, spec: Any, query: Any) -> Any:
        self.control.faults.clear()
        return {}

    def _set_clock(self, spec: Any, query: Any) -> Any:
        if set(spec) - {"advance_seconds", "freeze"}:
            raise ValueError("clock takes advance_seconds and freeze")
        if "freeze" in spec:
            at = values.parse_moment(spec["freeze"]) if spec["freeze"] else None
            if at is None:
                self.control.clock.thaw()
            else:
                self.control.clock.freeze(at)
        self.control.clock.advance(float(spec.get("advance_seconds", 0)))
        self.service.store.data_version += 1  # rendered answers may depend on the hour
        return {"now": values.moment_text(self.control.clock.now())}

    def _set_limits(self, spec: Any, query: Any) -> Any:
        self.control.protection.configure(spec)
        return {}

    def _set_steps(self, spec: Any, query: Any) -> Any:
        self.control.custom.set_steps(spec)
        return {}

    def _set_duplicate_rules(self, spec: Any, query: Any) -> Any:
        self.control.custom.set_rules(spec)
        return {}

    def _set_user(self, spec: Any, query: Any) -> Any:
        self.control.custom.set_user(spec)
        return {}

    def _set_secured(self, spec: Any, query: Any) -> Any:
        self.control.custom.set_secured(spec, self.service.model)
        self.service.store.data_version += 1  # what was rendered may show what is hidden
        return {}

    def _seed(self, spec: Any, query: Any) -> Any:
        rows = spec.get("rows")
        self.service.seed(None if rows is None else int(rows))
        return {"rows": rows}

    def _figures(self, spec: Any, query: Any) -> Any:
        return self.service.figures(query["table"][0])

    def _expire_tokens(self, spec: Any, query: Any) -> Any:
        self.service.authority.forget()
        return {}

    def _latency(self, spec: Any, query: Any) -> Any:
        self.latency = float(spec["ms"]) / 1000
        return {}

    _ACTIONS = {
        ("GET", "log"): _get_log,
        ("POST", "reset"): _reset,
        ("POST", "faults"): _set_faults,
        ("DELETE", "faults"): _clear_faults,
        ("POST", "clock"): _set_clock,
        ("POST", "limits"): _set_limits,
        ("POST", "steps"): _set_steps,
        ("POST", "duplicate-rules"): _set_duplicate_rules,
        ("POST", "user"): _set_user,
        ("POST", "secured"): _set_secured,
        ("POST", "seed"): _seed,
        ("GET", "figures"): _figures,
        ("POST", "expire-tokens"): _expire_tokens,
        ("POST", "latency"): _latency,
    }


def _json(status: int, value: Any) -> Response:
    return Response(status, json.dumps(value).encode(), [("Content-Type", "application/json")])


def _scripted(rule: FaultRule) -> Response:
    """An answer given by the test itself."""
    status = rule.status or 500
    if rule.body is None:
        response = app.fault_response(Fault(status, rule.code or "0x80040216", rule.message))
    elif isinstance(rule.body, str):
        response = Response(status, rule.body.encode())
    else:
        response = Response(status, json.dumps(rule.body).encode())
    response.headers += list(rule.headers.items())
    return response


def _headers(request: web.BaseRequest) -> dict[str, str]:
    """Names in lower case; repeated lines joined by commas."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        name = name.lower()
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _drop(request: web.BaseRequest) -> BaseException:
    """Close the connection without another byte."""
    if request.transport is not None:
        request.transport.abort()
    return asyncio.CancelledError()


async def _sleep_while_open(request: web.BaseRequest, seconds: float) -> None:
    """Sleep, but no longer than the client stays."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if request.transport is None or request.transport.is_closing():
            raise asyncio.CancelledError
        await asyncio.sleep(min(left, 0.05))


async def start(service: app.Service, host: str, port: int, latency_ms: float) -> Front:
    """Bind and serve; returns when the socket listens."""
    front = Front(service, latency_ms)

    loop = asyncio.get_running_loop()

    def make_request(*parts: Any) -> web.BaseRequest:
        return web.BaseRequest(*parts, loop, client_max_size=MAX_BODY)

    server = web.Server(
        front.handle, request_factory=make_request, max_line_size=_MAX_LINE, max_field_size=2**20,
        max_headers=2**20, keepalive_timeout=240, access_log=None,
    )
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, host, port, backlog=512)
    await site.start()
    bound = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    front.base_url = f"http://{host}:{bound}"
    return front
