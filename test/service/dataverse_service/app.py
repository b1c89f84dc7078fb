"""The service without its sockets: routing of one request to the modules that answer it.

``Service.dispatch`` takes a method, a target, headers and a body, and always returns a Response:
faults become JSON errors here and nowhere else. ``$batch`` calls it again for its parts.
"""
from __future__ import annotations

import collections
import importlib
import json
import re
import traceback
import sys
import uuid
from typing import Any, Callable, Optional
from urllib.parse import unquote

from . import auth, custom, seed, tables
from .control import Control
from .core import Context, Fault, Model, Prefs, Quirks, Response, Table
from .store import Store

JSON_TYPE = "application/json; odata.metadata=minimal"

#: Length of a GET's URL, outside and inside of $batch (sheet 1.7).
MAX_URL = 32768
MAX_URL_IN_BATCH = 65536

_ROOT = re.compile(r"/api/data/v9\.[0-2](?=[/?]|$)")
_ABSOLUTE = re.compile(r"https?://[^/?#]*")

#: Answers that depend on the hour must not be kept.
_TIMED = re.compile(
    r"CRM\.(Last|Next|This|Older|Today|Tomorrow|Yesterday|InFiscal|InOr)|RetrieveTotal")

#: Headers that change an answer, besides Prefer.
_VARYING = ("if-none-match", "range", "mscrmcallerid", "callerobjectid", "mscrm.sessiontoken",
            "consistency")


def _module(name: str) -> Any:
    """Late, so that one part can be developed while another does not exist yet."""
    return importlib.import_module(f"{__package__}.{name}")


# --- Prefer -----------------------------------------------------------------------------------

_PREFERENCE = re.compile(r'\s*([^\s=,;]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^,;]*))?\s*(?:[,;]|$)')


def parse_prefs(header: str) -> Prefs:
    """The Prefer header; several lines come joined by commas (sheet 1.2, 2.1.3)."""
    prefs = Prefs()
    for match in _PREFERENCE.finditer(header or ""):
        name, value = match.group(1).lower(), (match.group(2) or "").strip().strip('"')
        if name in ("odata.maxpagesize", "maxpagesize"):
            if value.isdigit() and int(value) > 0:
                prefs.max_page_size = int(value)
        elif name in ("odata.include-annotations", "include-annotations"):
            found = tuple(part.strip() for part in value.split(",") if part.strip())
            prefs.annotations += found
        elif name == "return":
            prefs.representation = value.lower() == "representation"
        elif name in ("odata.continue-on-error", "continue-on-error"):
            prefs.continue_on_error = value.lower() != "false"
        elif name in ("odata.track-changes", "track-changes"):
            prefs.track_changes = True
    return prefs


# --- faults -----------------------------------------------------------------------------------


#: A code's letters come in either case, and some codes are empty (sheet 7.4).
_SPELLING: dict[str, Callable[[str], str]] = {
    "lower": str.lower,
    "upper": lambda code: code.upper().replace("0X", "0x"),
    "empty": lambda code: "",
}


def fault_response(fault: Fault, prefs: Optional[Prefs] = None) -> Response:
    """The JSON form of an error (sheet 7.4, 7.5)."""
    code = fault.code
    if prefs is not None and prefs.error_code != "mixed":
        code = _SPELLING[prefs.error_code](code)
    error: dict[str, Any] = {"code": code, "message": fault.message}
    if prefs is not None:
        for name, value in fault.annotations.items():
            if prefs.wants(name.lstrip("@")):
                error[name if name.startswith("@") else "@" + name] = value
        if prefs.wants("Microsoft.PowerApps.CDS.HelpLink"):
            error["@Microsoft.PowerApps.CDS.HelpLink"] = (
                f"http://go.microsoft.com/fwlink/?LinkID=398563&error={fault.code}&client=platform"
            )
        if prefs.wants("Microsoft.PowerApps.CDS.TraceText"):
            error["@Microsoft.PowerApps.CDS.TraceText"] = ""
        if prefs.wants("Microsoft.PowerApps.CDS.InnerError.Message"):
            error["@Microsoft.PowerApps.CDS.InnerError.Message"] = fault.message
    body = json.dumps({"error": error}, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(fault.status, body, list(fault.headers))


def _unknown_segment(name: str) -> Fault:
    return Fault(404, "0x8006088A", f"Resource not found for the segment '{name}'.")


def _syntax() -> Fault:
    return Fault(400, "0x8006088A", "Bad Request - Error in query syntax.")


def _not_allowed(method: str) -> Fault:
    return Fault(405, "0x8006088A",
                 f"The requested resource does not support http method '{method}'.")


# --- targets ----------------------------------------------------------------------------------


def relative(target: str) -> Optional[str]:
    """Path and query after ``/api/data/v9.x/``; None if the target lies elsewhere.

    Takes an absolute URL, a path from the root of the host, or one relative to the service root.
    """
    absolute = _ABSOLUTE.match(target)
    if absolute:
        target = target[absolute.end():] or "/"
    if not target.startswith("/"):
        return target
    root = _ROOT.match(target)
    return target[root.end():].removeprefix("/") if root else None


def url_length(target: str, base: str) -> int:
    """Length of the whole URL, origin included, in whichever form it was given."""
    if target.startswith("/"):
        return len(base) - len("/api/data/v9.2") + len(target)
    return len(target) if _ABSOLUTE.match(target) else len(base) + 1 + len(target)


def split_key(path: str) -> tuple[str, Optional[str], str]:
    """``accounts(accountnumber='x')/name`` -> (set, key text, rest without its first slash).

    Key text is None without parentheses; parentheses and slashes inside of quotes do not count.
    """
    for i, c in enumerate(path):
        if c == "/":
            return path[:i], None, path[i + 1 :]
        if c == "(":
            end = _closing(path, i)
            rest = path[end + 1 :]
            if rest and not rest.startswith("/"):
                raise _syntax()
            return path[:i], path[i + 1 : end], rest[1:]
    return path, None, ""


def _closing(path: str, start: int) -> int:
    """Position of the parenthesis that closes the one at ``start``."""
    depth, quoted = 0, False
    for i in range(start, len(path)):
        c = path[i]
        if c == "'":
            quoted = not quoted
        elif not quoted and c == "(":
            depth += 1
        elif not quoted and c == ")":
            depth -= 1
            if depth == 0:
                return i
    raise _syntax()


# --- the service --------------------------------------------------------------------------------


class _Cache:
    """Rendered answers, the least recently used dropped first. A page of 5,000 rows costs a few
    hundred milliseconds to render and milliseconds from here."""

    def __init__(self, capacity: int):
        self.capacity = capacity
        self.size = 0
        self.entries: collections.OrderedDict[Any, tuple[Response, int]] = collections.OrderedDict()

    def get(self, key: Any) -> Optional[Response]:
        found = self.entries.get(key)
        if found is None:
            return None
        self.entries.move_to_end(key)
        return found[0]

    def put(self, key: Any, response: Response) -> None:
        size = len(response.body)
        if size > self.capacity // 2 or key in self.entries:
            return
        self.entries[key] = (response, size)
        self.size += size
        while self.size > self.capacity:
            _, (_, gone) = self.entries.popitem(last=False)
            self.size -= gone

    def clear(self) -> None:
        self.entries.clear()
        self.size = 0


class Service:
    """One environment: model, rows, authority, control."""

    def __init__(
        self,
        quirks: Optional[Quirks] = None,
        credentials: Optional[auth.Credentials] = None,
        database: str = ":memory:",
        cache_bytes: int = 512 * 2**20,
    ):
        self.quirks = quirks or Quirks()
        self.model: Model = tables.build_model()
        self.control = Control()
        self.store = Store(self.model, self.quirks, database, self.control.clock.now)
        self.authority = auth.Authority(
            credentials or auth.Credentials(DEFAULT_TENANT, DEFAULT_CLIENT, DEFAULT_SECRET),
            self.control.clock.now,
        )
        self.cache = _Cache(cache_bytes)
        self._cache_version = -1
        self.user_id = seed.APPLICATION_USER

    def seed(self, rows: Optional[int]) -> None:
        """Start anew: the environment's own rows, and with ``rows`` the demo data."""
        seed.seed(self.store, rows, self.authority.credentials.client_id)

    # --- one request -----------------------------------------------------------------------

    def dispatch(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes = b"",
        *,
        base: str,
        in_batch: bool = False,
    ) -> Response:
        """Answer one request. Header names are in lower case; ``base`` ends in
        ``/api/data/v9.x``."""
        prefs = parse_prefs(headers.get("prefer", ""))
        prefs.error_code = self.quirks.error_code
        try:
            return self._cached(method, target, headers, body, base, in_batch, prefs)
        except Fault as fault:
            return fault_response(fault, prefs)
        except Exception:  # a bug of ours must look like one, and end up on stderr
            traceback.print_exc(file=sys.stderr)
            text = traceback.format_exc(limit=-1).strip().splitlines()[-1]
            fault = Fault(500, "0x80040216", f"An unexpected error occurred. {text}")
            return fault_response(fault, prefs)

    def _cached(self, method: str, target: str, headers: dict[str, str], body: bytes, base: str,
                in_batch: bool, prefs: Prefs) -> Response:
        if method != "GET":
            return self._route(method, target, headers, body, base, in_batch, prefs)
        if self._cache_version != self.store.data_version:
            self.cache.clear()
            self._cache_version = self.store.data_version
        key = (target, base, in_batch, headers.get("prefer"), *(headers.get(h) for h in _VARYING))
        found = self.cache.get(key)
        if found is not None:
            return found
        response = self._route(method, target, headers, body, base, in_batch, prefs)
        # Rows of elastic tables vanish by time (sheet 13.1).
        if response.status == 200 and not response.volatile and not _TIMED.search(target) \
                and "contoso_" not in target:
            self.cache.put(key, response)
        return response

    def _route(self, method: str, target: str, headers: dict[str, str], body: bytes, base: str,
               in_batch: bool, prefs: Prefs) -> Response:
        maximum = MAX_URL_IN_BATCH if in_batch else MAX_URL
        if url_length(target, base) > maximum:
            raise Fault(414, "0x80060888", "The request URL is longer than the configured maximum "
                        f"of {maximum} characters.")
        found = relative(target)
        if found is None:
            raise _unknown_segment(target.split("?")[0].strip("/").split("/")[0])
        raw_path, _, raw_query = found.partition("?")
        if "#" in raw_path:  # a fragment never belongs in a request line (sheet 1.5)
            raise _syntax()
        raw_query = raw_query.partition("#")[0]
        ctx = Context(
            model=self.model, store=self.store, quirks=self.quirks, base=base, prefs=prefs,
            headers=headers, user_id=self._caller(headers), in_batch=in_batch, max_url=maximum,
            limits=self.control.protection.limits,
        )
        ctx.skipped = custom.Skipped()
        if method != "GET":
            custom.read_headers(ctx, self.control.custom)
            if not self.control.custom.idle:
                ctx.custom = self.control.custom
        return self._to_module(ctx, method, unquote(raw_path).strip("/"), raw_query, body)

    def _caller(self, headers: dict[str, str]) -> str:
        """The user in whose name the request acts (sheet 6.7)."""
        self.control.custom.check_user()
        for header, column in (("callerobjectid", "azureactivedirectoryobjectid"),
                               ("mscrmcallerid", "systemuserid")):
            if header in headers:
                self.control.custom.check_impersonation()
                row = self.store.execute(
                    f"SELECT systemuserid, isdisabled FROM systemuser WHERE {column} = ?",
                    (headers[header].strip().lower(),),
                ).fetchone()
                if row is None:
                    raise Fault(403, "0x80072560", "The user is not a member of the organization.")
                if row[1]:
                    raise Fault(403, "0x80040225", "The user is disabled.")
                return row[0]
        return self.user_id

    def _to_module(self, ctx: Context, method: str, path: str, raw_query: str,
                   body: bytes) -> Response:
        """The table of routes (sheet 1.4 to 1.6, 4, 5, 9, 11)."""
        if path == "$batch":
            return self._batch(ctx, method, body)
        name, key_text, rest = split_key(path)
        table = self.model.by_set.get(name)
        if table is not None:
            return self._to_table(ctx, method, table, key_text, rest, raw_query, body)
        if name in ("", "$metadata") or name in _METADATA:
            return _module("metadata").handle(ctx, path, raw_query, method=method)
        return _module("functions").handle(ctx, method, path, raw_query, body)

    def _to_table(self, ctx: Context, method: str, table: Table, key_text: Optional[str], rest: str,
                  raw_query: str, body: bytes) -> Response:
        if "ttlinseconds" in table.columns:
            self.store.expire(table)
        if self.control.custom.lacking:
            self._check_privileges(ctx, method, table, rest)
        if key_text is None:
            return self._to_set(ctx, method, table, rest, raw_query, body)
        if "Microsoft.Dynamics.CRM." in rest:
            path = f"{table.set_name}({key_text})/{rest}"
            return _module("functions").handle(ctx, method, path, raw_query, body)
        if method == "GET":
            return _module("query").single(ctx, table, key_text, rest, raw_query)
        return _module("write").handle(ctx, method, table, key_text, rest, raw_query, body)

    def _check_privileges(self, ctx: Context, method: str, table: Table, rest: str) -> None:
        """An upsert needs both rights, whatever it will do (sheet 4.3)."""
        names = _PRIVILEGES[method]
        if method == "PATCH" and "if-match" in ctx.headers:
            names = ("Write",)
        elif method == "POST" and rest:
            message = rest.removeprefix("Microsoft.Dynamics.CRM.")
            names = _MESSAGE_PRIVILEGES.get(message, ("Write",))
        elif method == "DELETE" and rest:
            names = ("Write",)
        self.control.custom.check_privileges(ctx, table, *names)

    def _to_set(self, ctx: Context, method: str, table: Table, rest: str, raw_query: str,
                body: bytes) -> Response:
        if rest.startswith("Microsoft.Dynamics.CRM."):
            if method != "POST":
                raise _not_allowed(method)
            message = rest.removeprefix("Microsoft.Dynamics.CRM.")
            return _module("bulk").handle(ctx, table, message, body, raw_query)
        if rest == "$count" and method == "GET":
            return _module("query").count(ctx, table, raw_query)
        if rest:
            raise _unknown_segment(rest.split("/")[0])
        if method == "GET":
            return _module("query").collection(ctx, table, raw_query)
        if method == "POST":
            return _module("write").create(ctx, table, raw_query, body)
        raise _not_allowed(method)

    def _batch(self, ctx: Context, method: str, body: bytes) -> Response:
        if ctx.in_batch:
            raise Fault(400, "0x80060888", "Nested batch requests are not supported.")
        if method != "POST":
            raise _not_allowed(method)
        outer = {name: value for name, value in ctx.headers.items()
                 if name in _OUTER_HEADERS
                 or (name.startswith("mscrm.") and self.quirks.outer_mscrm == "applied")}

        def inner(method: str, target: str, headers: dict[str, str], body: bytes) -> Response:
            """One operation of the batch; the outer identity holds for all (sheet 5.6)."""
            return self.dispatch(method, target, {**outer, **headers}, body, base=ctx.base,
                                 in_batch=True)

        return _module("batch").handle(ctx, ctx.headers.get("content-type", ""), body, inner)

    # --- control's figures ---------------------------------------------------------------------

    def figures(self, table_name: str) -> dict[str, Any]:
        """Exact row count, and sum, min, max and count of each numeric column, as text."""
        return seed.figures(self.store, self.model.tables[table_name])


#: Headers of a batch that hold for all of its operations (sheet 5.6).
_OUTER_HEADERS = ("mscrmcallerid", "callerobjectid", "authorization")

#: What a request needs on its table (sheet 4.3, 6.7).
_PRIVILEGES = {"GET": ("Read",), "POST": ("Create",), "PATCH": ("Create", "Write"),
               "PUT": ("Write",), "DELETE": ("Delete",)}
_MESSAGE_PRIVILEGES = {"CreateMultiple": ("Create",), "UpdateMultiple": ("Write",),
                       "UpsertMultiple": ("Create", "Write"), "DeleteMultiple": ("Delete",)}

#: First segments that metadata.py answers.
_METADATA = ("EntityDefinitions", "RelationshipDefinitions", "GlobalOptionSetDefinitions",
             "ManagedPropertyDefinitions")

DEFAULT_TENANT = "11111111-1111-1111-1111-111111111111"
DEFAULT_CLIENT = "22222222-2222-2222-2222-222222222222"
DEFAULT_SECRET = "demo-secret"


def new_request_id() -> str:
    return str(uuid.uuid4())
