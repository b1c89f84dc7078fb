"""Unbound functions (sheet 11): WhoAmI, RetrieveTotalRecordCount, RetrieveMetadataChanges.

Messages and their tables (``sdkmessagefilters``) are ordinary rows of the model.
"""
from __future__ import annotations

import json
import re
from typing import Any, Callable
from urllib.parse import unquote_plus

from . import metadata
from .core import Context, Fault, Response

_CALL = re.compile(r"(?:Microsoft\.Dynamics\.CRM\.)?([A-Za-z_]\w*)(?:\((.*)\))?", re.DOTALL)
_PARAMETER = re.compile(r"\s*(\w+)\s*=\s*(@\w+|'(?:[^']|'')*'|\[.*?\]|\{.*\}|[^,]+?)\s*(?:,|$)",
                        re.DOTALL)
_ENUM = re.compile(r"Microsoft\.Dynamics\.CRM\.\w+'([^']*)'")
#: A snapshot of table counts may be a day old (sheet 2.7).
_SNAPSHOT_MICROSECONDS = 24 * 3600 * 1_000_000

#: Messages of sheet 12 and 4.4 for what this environment lacks: file columns and background jobs.
_NOT_HERE = frozenset({
    "InitializeFileBlocksUpload", "UploadBlock", "CommitFileBlocksUpload", "DeleteFile",
    "InitializeFileBlocksDownload", "DownloadBlock", "BulkDelete"})

_Function = Callable[[Context, dict[str, Any]], Response]


def handle(ctx: Context, method: str, path: str, raw_query: str, body: bytes = b"") -> Response:
    """A function call; anything that is none is an unknown segment."""
    match = _CALL.fullmatch(path.strip("/"))
    function = _FUNCTIONS.get(match.group(1)) if match else None
    if match is not None and match.group(1) in _NOT_HERE:
        raise Fault(501, "0x80040315", f"{match.group(1)} is not implemented.")
    if match is None or function is None:
        name = re.split(r"[(/]", path.strip("/"), maxsplit=1)[0]
        raise Fault(404, "0x8006088A", f"Resource not found for the segment '{name}'.")
    if method != "GET":
        raise Fault(405, "0x8006088A", "The requested resource does not support http method "
                                       f"'{method}'.")
    return function(ctx, _parameters(match.group(1), match.group(2) or "", raw_query))


def known(name: str) -> bool:
    """Is this first path segment a function?"""
    match = _CALL.fullmatch(name)
    return match is not None and match.group(1) in _FUNCTIONS


# --- parameters -------------------------------------------------------------------------------


def _parameters(function: str, text: str, raw_query: str) -> dict[str, Any]:
    """Named parameters, inline or through aliases; an alias without a value is null (sheet 1.8)."""
    aliases: dict[str, str] = {}
    for part in raw_query.split("&") if raw_query else ():
        name, _, value = part.partition("=")
        name = unquote_plus(name)
        if name.startswith("@"):
            aliases[name] = unquote_plus(value)
        elif name and name != "tag":
            raise Fault(400, "0x80060888", f"The query parameter {name} is not supported")
    found: dict[str, Any] = {}
    position = 0
    while position < len(text.rstrip()):
        match = _PARAMETER.match(text, position)
        if match is None:
            raise Fault(400, "0x80060888", f"The parameters '{text}' of {function} cannot be read.")
        literal = match.group(2)
        if literal.startswith("@"):
            literal = aliases.get(literal, "null")
        found[match.group(1)] = _literal(literal)
        position = match.end()
    return found


def _literal(text: str) -> Any:
    text = text.strip()
    if text in ("null", ""):
        return None
    if text[0] in "[{":
        return _json_literal(text)
    if text[0] == "'" and text[-1] == "'":
        return text[1:-1].replace("''", "'")
    enum = _ENUM.fullmatch(text)
    if enum is not None:
        return enum.group(1)
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    return {"true": True, "false": False}.get(text, text)


def _json_literal(text: str) -> Any:
    """JSON, its strings in double or in single quotes (sheet 2.3.6, 11)."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return json.loads(re.sub(r"'((?:[^'\\]|\\.)*)'",
                                 lambda m: json.dumps(m.group(1)), text))
    except ValueError as fault:
        raise Fault(400, "0x80060888", f"Invalid JSON. {fault}") from None


# --- the functions ------------------------------------------------------------------------------


def _answer(ctx: Context, name: str, members: dict[str, Any]) -> Response:
    head = {"@odata.context": f"{ctx.base}/$metadata#Microsoft.Dynamics.CRM.{name}Response"}
    return Response(200, json.dumps({**head, **members}, separators=(",", ":")).encode())


def _none_but(function: str, parameters: dict[str, Any], *names: str) -> None:
    unknown = set(parameters) - set(names)
    if unknown:
        raise Fault(400, "0x80060888", "Request message has unresolved parameters: "
                    f"'{min(unknown)}' is not a parameter of {function}.")


def _who_am_i(ctx: Context, parameters: dict[str, Any]) -> Response:
    _none_but("WhoAmI", parameters)
    store = ctx.store
    unit = store.execute("SELECT businessunitid FROM systemuser WHERE systemuserid = ?",
                         (ctx.user_id,)).fetchone()
    organization = store.execute("SELECT organizationid FROM organization LIMIT 1").fetchone()
    empty = "00000000-0000-0000-0000-000000000000"
    return _answer(ctx, "WhoAmI", {
        "BusinessUnitId": (unit and unit[0]) or empty,
        "UserId": ctx.user_id,
        "OrganizationId": organization[0] if organization else empty,
    })


def _total_record_count(ctx: Context, parameters: dict[str, Any]) -> Response:
    """Counts from a snapshot that may be a day old: an estimate, never an answer (sheet 2.7)."""
    _none_but("RetrieveTotalRecordCount", parameters, "EntityNames")
    names = parameters.get("EntityNames")
    if not isinstance(names, list) or not names:
        raise Fault(400, "0x80040203", "Required field 'EntityNames' is missing")
    counts = []
    for name in names:
        table = ctx.model.tables.get(str(name))
        if table is None:
            raise Fault(400, "0x80041102", f"The entity with a name = '{name}' with namemapping = "
                        "'Logical' was not found in the MetadataCache.")
        if table.table_type == "Virtual":
            raise Fault(400, "0x80040203", f"The entity '{name}' is virtual and has no record "
                                           "count.")
        counts.append(_snapshot(ctx, table.name))
    return _answer(ctx, "RetrieveTotalRecordCount", {"EntityRecordCountCollection": {
        "Count": len(names), "IsReadOnly": False, "Keys": names, "Values": counts}})


def _snapshot(ctx: Context, table: str) -> int:
    """The count taken at most a day ago; an environment made anew has none."""
    taken: dict[tuple[Any, str],
                tuple[int, int]] = ctx.store.__dict__.setdefault("_count_snapshots", {})
    made = ctx.store.execute("SELECT max(versionnumber) FROM organization").fetchone()[0]
    now = ctx.store.now()
    found = taken.get((made, table))
    if found is None or not 0 <= now - found[0] < _SNAPSHOT_MICROSECONDS:
        found = taken[made, table] = (now, ctx.store.count(ctx.model.tables[table]))
    return found[1]


def _metadata_changes(ctx: Context, parameters: dict[str, Any]) -> Response:
    return metadata.retrieve_changes(ctx, parameters)


_FUNCTIONS: dict[str, _Function] = {
    "WhoAmI": _who_am_i,
    "RetrieveTotalRecordCount": _total_record_count,
    "RetrieveMetadataChanges": _metadata_changes,
}
