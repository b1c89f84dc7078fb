"""Fixtures: the service as a process of its own, spoken to with the standard library only."""
from __future__ import annotations

import contextlib
import dataclasses
import gzip
import http.client
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterator, Optional
from urllib.parse import quote, urlencode

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "22222222-2222-2222-2222-222222222222"
SECRET = "demo-secret"
API = "/api/data/v9.2/"

#: What the tests leave alone in a query: its structure. Everything else is percent-encoded.
_SAFE = "$&=(),'/:;@*!-._~?%+"


@dataclasses.dataclass
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")

    @property
    def value(self) -> Any:
        """``value`` of a collection; the answer must have been a success."""
        assert self.status == 200, self.text
        return self.json()["value"]

    @property
    def code(self) -> str:
        """Code of an error answer."""
        assert self.status >= 400, f"{self.status} {self.text[:300]}"
        return self.json()["error"]["code"]

    @property
    def message(self) -> str:
        return self.json()["error"]["message"]

    @property
    def created_id(self) -> str:
        """The GUID in OData-EntityId."""
        assert self.status in (201, 204), self.text
        return self.headers["OData-EntityId"].rpartition("(")[2].rstrip(")")


class Service:
    """A running service and a client for it. Paths are relative to ``/api/data/v9.2/`` unless they
    begin with a slash or a scheme; blanks and non-ASCII are encoded, ``%`` and ``+`` are not."""

    def __init__(self, *arguments: str):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dataverse_service", "--port", "0", *arguments],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), line
        self.url = line.split()[-1]
        self.host = self.url.removeprefix("http://")
        self.base = self.url + "/api/data/v9.2"
        self._connection: Optional[http.client.HTTPConnection] = None
        self.token = self.new_token()

    def stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self.process.terminate()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()

    # --- plain HTTP ---------------------------------------------------------------------

    def raw(self, method: str, target: str, body: Any = None,
            headers: Optional[dict[str, str]] = None, fresh: bool = False) -> Reply:
        """Exactly this target and these headers; ``fresh``: a connection of its own."""
        data = body.encode() if isinstance(body, str) else body
        connection = self._connection
        if fresh or connection is None:
            connection = http.client.HTTPConnection(self.host, timeout=60)
            if not fresh:
                self._connection = connection
        try:
            connection.request(method, target, data, headers or {})
            response = connection.getresponse()
            content = response.read()
        except (http.client.HTTPException, OSError):
            connection.close()
            if not fresh:
                self._connection = None
            raise
        if fresh:
            connection.close()
        if response.headers.get("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        return Reply(response.status, response.headers, content)

    def new_token(self, **form: str) -> str:
        reply = self.ask_token(**form)
        assert reply.status == 200, reply.text
        return reply.json()["access_token"]

    def ask_token(self, tenant: str = TENANT, version: str = "v2.0/", drop: tuple[str, ...] = (),
                  headers: Optional[dict[str, str]] = None, **form: str) -> Reply:
        fields = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": SECRET,
                  "scope": f"{self.url}/.default", **form}
        for name in drop:
            fields.pop(name)
        return self.raw("POST", f"/{tenant}/oauth2/{version}token", urlencode(fields),
                        {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})})

    # --- the Web API --------------------------------------------------------------------

    def target(self, path: str) -> str:
        if path.startswith("http"):
            return path.removeprefix(self.url)
        encoded = quote(path, safe=_SAFE)
        return encoded if encoded.startswith("/") else API + encoded

    def request(self, method: str, path: str, body: Any = None,
                headers: Optional[dict[str, str]] = None, prefer: Optional[str] = None) -> Reply:
        sent = {"Authorization": f"Bearer {self.token}", "Accept": "application/json",
                "OData-MaxVersion": "4.0", "OData-Version": "4.0"}
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        if body is not None:
            sent["Content-Type"] = "application/json"
        if prefer is not None:
            sent["Prefer"] = prefer
        sent.update(headers or {})
        return self.raw(method, self.target(path), body, sent)

    def get(self, path: str, **more: Any) -> Reply:
        return self.request("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Reply:
        return self.request("POST", path, body, **more)

    def patch(self, path: str, body: Any = None, **more: Any) -> Reply:
        return self.request("PATCH", path, body, **more)

    def put(self, path: str, body: Any = None, **more: Any) -> Reply:
        return self.request("PUT", path, body, **more)

    def delete(self, path: str, **more: Any) -> Reply:
        return self.request("DELETE", path, **more)

    def pages(self, path: str, prefer: str) -> Iterator[list[dict[str, Any]]]:
        """Follow nextLink, verbatim and with the same Prefer."""
        link: Optional[str] = path
        while link:
            reply = self.get(link, prefer=prefer)
            assert reply.status == 200, reply.text
            answer = reply.json()
            yield answer["value"]
            link = answer.get("@odata.nextLink")

    # --- control ------------------------------------------------------------------------

    def control(self, name: str, body: Any = None, method: Optional[str] = None) -> Any:
        """``control("log")`` reads, with a body it posts."""
        method = method or ("GET" if body is None else "POST")
        data = None if body is None else json.dumps(body)
        reply = self.raw(method, f"/_control/{name}", data)
        assert reply.status == 200, reply.text
        return reply.json()

    def reset(self) -> None:
        self.control("reset", {})
        self.control("limits", {})

    def log(self) -> list[dict[str, Any]]:
        return self.control("log")

    def faults(self, *rules: dict[str, Any]) -> None:
        self.control("faults", list(rules))

    @contextlib.contextmanager
    def frozen(self, at: str) -> Iterator[None]:
        self.control("clock", {"freeze": at})
        try:
            yield
        finally:
            self.control("clock", {"freeze": None})


def _start(rows: Optional[int], quirks: Optional[dict[str, str]],
           arguments: tuple[str, ...]) -> Service:
    more = ["--seed", "none"] if rows is None else ["--seed", "demo", "--rows", str(rows)]
    for name, value in (quirks or {}).items():
        more += ["--quirk", f"{name}={value}"]
    return Service(*more, *arguments)


@pytest.fixture(scope="session")
def shared_service() -> Iterator[Service]:
    service = _start(200, None, ())
    yield service
    service.stop()


@pytest.fixture
def service(shared_service: Service) -> Service:
    """The session's service with 200 accounts: log, faults, clock and limits as new. Tests that
    change rows put them back, or take ``fresh_service``."""
    shared_service.reset()
    return shared_service


@pytest.fixture
def fresh_service() -> Iterator[Any]:
    """A factory: ``fresh_service(quirks={"ne_null": "dropped"}, rows=50, arguments=(...))``.
    ``rows`` None: only the environment's own rows."""
    started: list[Service] = []

    def make(quirks: Optional[dict[str, str]] = None, rows: Optional[int] = None,
             arguments: tuple[str, ...] = ()) -> Service:
        service = _start(rows, quirks, arguments)
        started.append(service)
        return service

    yield make
    for service in started:
        service.stop()


def wait_until(condition: Any, seconds: float = 5.0) -> None:
    """Poll until true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "condition did not come true"
        time.sleep(0.02)
