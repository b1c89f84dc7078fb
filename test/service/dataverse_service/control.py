"""What tests steer: the request log, scripted faults, the clock, service protection.

Only ``/_control/`` reaches it. Service protection follows sheet 7.1: per user and per web
server, over a sliding window; off until a test sets figures, its headers always there.
"""
from __future__ import annotations

import collections
import dataclasses
import re
import time
from typing import Any, Deque, Optional

from . import custom
from .core import Fault


class Clock:
    """The service's time: real, shifted or frozen."""

    def __init__(self) -> None:
        self._shift = 0
        self._frozen: Optional[int] = None

    def now(self) -> int:
        """Microseconds since 1970."""
        if self._frozen is not None:
            return self._frozen
        return time.time_ns() // 1000 + self._shift

    def seconds(self) -> float:
        """For windows: runs on while the clock is frozen, and follows every advance."""
        return time.monotonic() + self._shift / 1e6

    def advance(self, seconds: float) -> None:
        self._shift += int(seconds * 1e6)
        if self._frozen is not None:
            self._frozen += int(seconds * 1e6)

    def freeze(self, at: int) -> None:
        self._frozen = at

    def thaw(self) -> None:
        self._shift, self._frozen = 0, None


@dataclasses.dataclass
class Entry:
    """One served request."""

    method: str
    url: str
    request_bytes: int
    at_ms: float
    in_flight: int  #: requests being served when it began, this one not counted
    operations: int = 1
    status: int = 0
    response_bytes: int = 0
    duration_ms: float = 0.0
    tag: Optional[str] = None  #: ``?tag=``, as plug-ins would see it (sheet 8)
    ran: dict[str, int] = dataclasses.field(default_factory=dict)  #: steps, and how often


_PART = re.compile(rb"(?im)^content-type:\s*application/http\b")


def operations_in(path: str, body: bytes) -> int:
    """How many operations a request carries: parts of a batch, elements of ``Targets``."""
    if path.endswith("/$batch"):
        return max(1, len(_PART.findall(body)))
    if "/Microsoft.Dynamics.CRM." in path and path.rstrip("?").endswith("Multiple"):
        return max(1, body.count(b'"@odata.type"'))  # obligatory in every element (sheet 5.1)
    return 1


_BEHAVIOURS = frozenset({
    "close", "close_after", "race", "truncate", "stall", "delay", "delay_after", "hang", "html",
    "empty_code", "bad_json", "drip",
})
_MATCH = frozenset({"method", "path", "body", "min_operations", "min_bytes"})
_MEMBERS = frozenset({
    "match", "times", "skip", "every", "status", "headers", "body", "code", "message", "behaviour",
    "delay_ms",
})


class FaultRule:
    """One scripted fault, as ``POST /_control/faults`` takes it.

    ``match``: ``method``, ``path`` and ``body`` (regular expressions on target and body),
    ``min_operations``, ``min_bytes``. Of the matching requests the first ``skip`` pass, then each
    ``every``-th is struck, ``times`` times (-1: for ever). What happens: an answer of ``status``,
    ``headers``, ``body`` or ``code`` and ``message``, or a ``behaviour``:

    close         close without work or answer        close_after  do the work, then close
    hang          never answer                        delay        wait ``delay_ms``, then work
    delay_after   work, then wait                     drip         the body in crumbs
    truncate      half the body, then close           stall        half the body, then silence
    html          a gateway's 502                     empty_code   an error whose code is ""
    bad_json      200 with half a document         race         do the work, then 412 DuplicateRecord
                                                                 (another's upsert came first)
    """

    def __init__(self, spec: dict[str, Any]):
        match = spec.get("match", {})
        unknown = (set(spec) - _MEMBERS) | (set(match) - _MATCH)
        if unknown:
            raise ValueError(f"unknown members in a fault: {', '.join(sorted(unknown))}")
        self.behaviour: Optional[str] = spec.get("behaviour")
        if self.behaviour is not None and self.behaviour not in _BEHAVIOURS:
            raise ValueError(f"unknown behaviour: {self.behaviour}")
        self.method: Optional[str] = match.get("method")
        self.path = re.compile(match["path"]) if "path" in match else None
        self.in_body = re.compile(match["body"].encode()) if "body" in match else None
        self.min_operations = int(match.get("min_operations", 0))
        self.min_bytes = int(match.get("min_bytes", 0))
        self.times = int(spec.get("times", 1))
        self.skip = int(spec.get("skip", 0))
        self.every = int(spec.get("every", 1))  #: of the matching requests, each nth
        self.status: Optional[int] = spec.get("status")
        self.headers: dict[str, str] = spec.get("headers", {})
        self.body: Any = spec.get("body")
        self.code: Optional[str] = spec.get("code")
        self.message: str = spec.get("message", "scripted fault")
        self.delay_ms: float = spec.get("delay_ms", 1000)
        self._seen = 0

    def _matches(self, method: str, target: str, body: bytes, operations: int) -> bool:
        return (
            (self.method is None or self.method.upper() == method)
            and (self.path is None or self.path.search(target) is not None)
            and (self.in_body is None or self.in_body.search(body) is not None)
            and operations >= self.min_operations
            and len(body) >= self.min_bytes
        )

    def fires(self, method: str, target: str, body: bytes, operations: int) -> bool:
        """Does it strike this request? Counts the request if it matches."""
        if self.times == 0 or not self._matches(method, target, body, operations):
            return False
        self._seen += 1
        if self._seen <= self.skip or (self._seen - self.skip) % self.every:
            return False
        if self.times > 0:
            self.times -= 1
        return True


@dataclasses.dataclass
class Limits:
    """Service protection; None = not enforced (the headers then show the defaults of 7.1)."""

    requests_per_window: Optional[int] = None
    execution_ms_per_window: Optional[int] = None
    concurrent: Optional[int] = None
    window_seconds: int = 300
    dop_hint: int = 48
    servers: int = 1
    operation_ms: float = 0.0  #: execution time that each operation is taken to need, beyond the real
    body_bytes: Optional[int] = None  #: 413 beyond
    elastic_rows: Optional[int] = None  #: of a bulk message: elastic storage refuses the rest, 429
    retry_after: Optional[int] = None  #: a fixed figure instead of the computed one


class Window:
    """What one web server remembers of one user's last five minutes."""

    def __init__(self) -> None:
        #: (time, milliseconds, requests that it counts for)
        self.requests: Deque[tuple[float, float, int]] = collections.deque()
        self.count = 0
        self.execution_ms = 0.0
        self.in_flight = 0
        self.refused_in_a_row = 0

    def prune(self, before: float) -> None:
        while self.requests and self.requests[0][0] <= before:
            _, milliseconds, count = self.requests.popleft()
            self.execution_ms -= milliseconds
            self.count -= count


class Protection:
    """Service protection limits over one or more web servers."""

    def __init__(self, clock: Clock):
        self.clock = clock
        self.limits = Limits()
        self.windows: dict[tuple[int, str], Window] = {}
        self._turn = 0

    def configure(self, spec: dict[str, Any]) -> None:
        """New figures and empty windows."""
        names = {field.name for field in dataclasses.fields(Limits)}
        unknown = set(spec) - names
        if unknown:
            raise ValueError(f"unknown limits: {', '.join(sorted(unknown))}")
        self.limits = Limits(**spec)
        self.windows.clear()

    def server_for(self, cookie: Optional[str]) -> int:
        """The affinity cookie pins a client to a server; others take turns (sheet 7.1)."""
        for server in range(self.limits.servers):
            if cookie and affinity(server) in cookie:
                return server
        self._turn += 1
        return self._turn % self.limits.servers

    def _window(self, server: int, user: str) -> Window:
        window = self.windows.setdefault((server, user), Window())
        window.prune(self.clock.seconds() - self.limits.window_seconds)
        return window

    def enter(self, server: int, user: str) -> Window:
        """Let a request in, or raise 429 with Retry-After."""
        window = self._window(server, user)
        limits = self.limits
        span = f"over time window of {limits.window_seconds} seconds."
        concurrent, requests = limits.concurrent, limits.requests_per_window
        milliseconds = limits.execution_ms_per_window
        if concurrent is not None and window.in_flight >= concurrent:
            raise self._refuse(window, "0x80072326", 1, "Number of concurrent requests exceeded "
                               f"the limit of {concurrent}.")
        first = window.requests[0][0] if window.requests else self.clock.seconds()
        wait = first + limits.window_seconds - self.clock.seconds()
        if requests is not None and window.count >= requests:
            raise self._refuse(window, "0x80072322", wait, "Number of requests exceeded the limit "
                               f"of {requests} {span}")
        if milliseconds is not None and window.execution_ms >= milliseconds:
            raise self._refuse(window, "0x80072321", wait, "Combined execution time of incoming "
                               f"requests exceeded limit of {milliseconds:,} milliseconds {span} "
                               "Decrease number of concurrent requests or reduce the duration of "
                               "requests and try again later.")
        window.refused_in_a_row = 0
        window.in_flight += 1
        return window

    def _refuse(self, window: Window, code: str, wait: float, message: str) -> Fault:
        """Pressing on lengthens the wait (sheet 7.1)."""
        window.refused_in_a_row += 1
        seconds = self.limits.retry_after
        if seconds is None:
            seconds = min(300, max(1, int(wait + 0.999)) + (window.refused_in_a_row - 1))
        fault = Fault(429, code, message)
        fault.headers.append(("Retry-After", str(seconds)))
        return fault

    def leave(self, window: Window, milliseconds: float, operations: int = 1,
              counted: int = 1) -> None:
        """A request is over: one, whatever it held, but its whole time counts (sheet 7.1)."""
        milliseconds += self.limits.operation_ms * operations
        window.in_flight -= 1
        window.requests.append((self.clock.seconds(), milliseconds, counted))
        window.execution_ms += milliseconds
        window.count += counted

    def headers(self, server: int, user: str) -> list[tuple[str, str]]:
        """What every data answer says of the limits; the seconds have a thousands comma."""
        window = self._window(server, user)
        requests = (self.limits.requests_per_window or 6000) - window.count
        seconds = (self.limits.execution_ms_per_window or 1_200_000) / 1000
        left = max(0.0, seconds - window.execution_ms / 1000)
        return [
            ("x-ms-ratelimit-burst-remaining-xrm-requests", str(max(0, requests))),
            ("x-ms-ratelimit-time-remaining-xrm-requests", f"{left:,.2f}"),
            ("x-ms-dop-hint", str(self.limits.dop_hint)),
        ]


def affinity(server: int) -> str:
    """Value of the ARRAffinity cookie of a web server."""
    return f"{0x9E3779B97F4A7C15F39CC0605CEDC834 * (server + 1) % 2**128:032x}"


class Control:
    """Everything that tests steer, in one place."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.protection = Protection(self.clock)
        self.custom = custom.Custom()
        self.log: list[Entry] = []
        self.faults: list[FaultRule] = []
        self.in_flight = 0
        self._start = time.monotonic()

    def now_ms(self) -> float:
        return round((time.monotonic() - self._start) * 1000, 3)

    def reset(self) -> None:
        """Clears log and faults, thaws the clock, empties the limits' windows; the environment has
        no custom logic any more and its user every right."""
        self.log.clear()
        self.custom.clear()
        self.faults.clear()
        self.clock.thaw()
        self.protection.windows.clear()
        self._start = time.monotonic()

    def fault_for(self, method: str, target: str, body: bytes,
                  operations: int) -> Optional[FaultRule]:
        for rule in self.faults:
            if rule.fires(method, target, body, operations):
                return rule
        return None

    def log_json(self) -> list[dict[str, Any]]:
        return [dataclasses.asdict(entry) for entry in self.log]
