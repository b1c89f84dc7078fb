"""CreateMultiple, UpdateMultiple, UpsertMultiple and DeleteMultiple (sheet 5.1 to 5.5).

A standard table takes a message as one transaction; an elastic one takes each row by itself and
answers with a list of what became of each (sheet 5.2, 5.4).
"""
from __future__ import annotations

import json
from typing import Any, Callable, Optional

from . import address, rows, values
from .address import Ref
from .core import Context, Fault, Response, Table
from .odata import check_options, parse_query
from .payload import Payload, parse_object, payload_fault, plan_of

_NAMESPACE = "Microsoft.Dynamics.CRM."
#: The tag is for plug-ins (sheet 8).
_OPTIONS = frozenset({"tag"})
_EMPTY_GUID = "00000000-0000-0000-0000-000000000000"
#: The Web API's name for the SDK's ``Plugin.BulkApiErrorDetails`` is nowhere shown (sheet 5.4).
_ERROR_DETAILS = {
    "plugin": "@Microsoft.PowerApps.CDS.ErrorDetails.Plugin.BulkApiErrorDetails",
    "plain": "@Microsoft.PowerApps.CDS.ErrorDetails.BulkApiErrorDetails",
}


def handle(ctx: Context, table: Table, message: str, body: bytes,
           raw_query: str = "") -> Response:
    """``POST <set>/Microsoft.Dynamics.CRM.<message>``."""
    message = message.removeprefix(_NAMESPACE)
    worker = _WORKERS.get(message)
    if worker is None:
        raise Fault(404, "0x8006088A", "Resource not found for the segment "
                                       f"'{_NAMESPACE}{message}'.")
    check_options(parse_query(raw_query), _OPTIONS)
    _check_support(table, message)
    targets = _targets(table, message, parse_object(body))
    ids = (_elastic if table.table_type == "Elastic" else _standard)(ctx, table, worker, targets,
                                                                     message)
    if message != "CreateMultiple":
        return Response(204)
    answer = {"@odata.context": f"{ctx.base}/$metadata#{_NAMESPACE}CreateMultipleResponse",
              "Ids": ids}
    return Response(200, json.dumps(answer, separators=(",", ":")).encode())


# --- what is asked ------------------------------------------------------------------------------


def supports(table: Table, message: str) -> bool:
    """UpsertMultiple has no message filter of its own: it needs the other two (sheet 5.5)."""
    if message == "UpsertMultiple":
        return {"CreateMultiple", "UpdateMultiple"} <= table.bulk
    return message in table.bulk


def _check_support(table: Table, message: str) -> None:
    if message == "DeleteMultiple":
        if table.table_type != "Elastic":
            raise Fault(501, "0x80040216", "DeleteMultiple has not yet been implemented.")
        return
    if table.table_type != "Elastic" and not supports(table, message):
        raise Fault(405, "0x8004023B", f"{message} is not enabled on the entity {table.name}")


def _targets(table: Table, message: str, payload: Payload) -> list[Payload]:
    """The rows, each with a type annotation that names this table."""
    for name in payload:
        if name != "Targets" and not name.startswith("@"):
            raise payload_fault(
                table, f"The parameter '{name}' in the request payload is not a valid parameter "
                       "for "
                f"the operation '{message}'.")
    targets = payload.get("Targets")
    if not isinstance(targets, list):
        raise payload_fault(
            table, f"The parameter 'Targets' of the operation '{message}' must be an array.")
    if not targets:
        raise Fault(400, "0x80040203", f"The Targets collection of {message} must not be empty.")
    own = f"{_NAMESPACE}{table.name}"
    for target in targets:
        if not isinstance(target, dict):
            raise payload_fault(table, "An entry of 'Targets' must be an object.")
        name = target.get("@odata.type")
        if name is None:
            raise payload_fault(
                table, "A resource without a type name was found, but no expected type was "
                       "specified. "
                "To allow entries without type information, the expected type must also be "
                "specified "
                "when the model is specified.")
        if name != own and str(name).lstrip("#") != own:
            raise _mixed(table, message, str(name), target)
    return targets


def _mixed(table: Table, message: str, name: str, target: Payload) -> Fault:
    """Rows of another table: two different errors (sheet 5.1)."""
    other = name.lstrip("#").removeprefix(_NAMESPACE)
    if message == "CreateMultiple":
        return Fault(400, "0x80040203",
                     f"The entities in the Targets collection must all be of type '{table.name}', "
                     f"found '{other}'.")
    column = next((n for n in target if "@" not in n), other)
    return Fault(400, "0x80041103",
                 f"'{table.schema_name}' entity doesn't contain attribute with Name = '{column}' "
                 "and "
                 f"NameMapping = 'Logical'.")


# --- one row of each message --------------------------------------------------------------------


class Seen:
    """Rows of one message so far, to find the duplicates among its targets (sheet 5.1)."""

    def __init__(self) -> None:
        self.refs: set[Ref] = set()


_Worker = Callable[[Context, Table, Payload, Seen], Optional[str]]


def _create(ctx: Context, table: Table, target: Payload, seen: Seen) -> str:
    return rows.create_row(ctx, table, target).row_id


def _own_ref(ctx: Context, table: Table, target: Payload) -> Optional[Ref]:
    """The row named by the primary key property (and ``partitionid``) of a target."""
    value = target.get(table.primary_id)
    if value is None:
        return None
    row_id = address.guid(value) if isinstance(value, str) else None
    if row_id is None:
        raise values.conversion_fault(table.columns[table.primary_id], value)
    if table.table_type != "Elastic":
        return Ref(row_id)
    partition = target.get("partitionid")
    return Ref(row_id, partition if isinstance(partition, str) else row_id)


def _exists(ctx: Context, table: Table, ref: Ref) -> bool:
    return bool(ctx.store.exists(table, ref.row_id, ref.partition))


def _update(ctx: Context, table: Table, target: Payload, seen: Seen) -> None:
    """Rows were checked to exist; of duplicates only the first is applied, silently."""
    ref = _own_ref(ctx, table, target) or Ref(_EMPTY_GUID)
    if ref in seen.refs:
        return
    seen.refs.add(ref)
    if not _exists(ctx, table, ref):
        raise _missing(table, [ref])
    rows.update_row(ctx, table, ref, target)


def _missing(table: Table, refs: list[Ref]) -> Fault:
    code = "404" if table.table_type == "Elastic" else "0x80040217"
    ids = ", ".join(ref.row_id for ref in refs)
    return Fault(404, code, f"{table.name} With Ids = {ids} Do Not Exist")


def _check_all_exist(ctx: Context, table: Table, targets: list[Payload]) -> None:
    """UpdateMultiple on a standard table looks for all rows first (sheet 5.3)."""
    refs = [_own_ref(ctx, table, target) or Ref(_EMPTY_GUID) for target in targets]
    missing = [ref for ref in dict.fromkeys(refs) if not _exists(ctx, table, ref)]
    if missing:
        raise _missing(table, missing)


def _upsert(ctx: Context, table: Table, target: Payload, seen: Seen) -> None:
    url = target.get("@odata.id")
    if url is not None:
        _upsert_at(ctx, table, target, url, seen)
        return
    ref = _own_ref(ctx, table, target)
    if ref is None:
        seen.refs.add(rows.create_row(ctx, table, target))
        return
    if ref in seen.refs:
        raise rows.duplicate_id(table)
    seen.refs.add(ref)
    if _exists(ctx, table, ref):
        rows.update_row(ctx, table, ref, target, replace=table.table_type == "Elastic")
    else:
        rows.create_row(ctx, table, target, row_id=ref.row_id, partition=ref.partition)


def _upsert_at(ctx: Context, table: Table, target: Payload, url: Any, seen: Seen) -> None:
    """A target addressed by ``@odata.id`` (sheet 5.1)."""
    fault = payload_fault(table, f"The '@odata.id' annotation '{url}' is not a valid address.")
    if not isinstance(url, str):
        raise fault
    at = address.reference(ctx, url, fault)
    if at.table is not table:
        raise fault
    found = address.find(ctx, at)
    if found is None:
        members = plan_of(ctx, table).members_of(at)
        if not members.isdisjoint(target):
            # The trap: repeating a key column passes on rows that exist and fails on new ones.
            raise Fault(400, "0x80040216", "An unexpected error occurred.")
        seen.refs.add(rows.create_at(ctx, at, target))
        return
    if found in seen.refs:
        if at.key is not None:
            row = ctx.store.get(table, found.row_id)
            raise rows.duplicate_key(table, at.key, found.row_id, row)
        raise rows.duplicate_id(table)
    seen.refs.add(found)
    rows.update_at(ctx, at, found, target, replace=True)


def _delete(ctx: Context, table: Table, target: Payload, seen: Seen) -> None:
    ref = _own_ref(ctx, table, target) or Ref(_EMPTY_GUID, _EMPTY_GUID)
    if not _exists(ctx, table, ref):
        raise address.not_found(table, ref.row_id)
    rows.delete_row(ctx, table, ref)


_WORKERS: dict[str, _Worker] = {
    "CreateMultiple": _create,
    "UpdateMultiple": _update,
    "UpsertMultiple": _upsert,
    "DeleteMultiple": _delete,
}


# --- all rows -----------------------------------------------------------------------------------


def _standard(ctx: Context, table: Table, worker: _Worker, targets: list[Payload],
              message: str) -> list[Optional[str]]:
    """One transaction: the first error undoes everything, and does not say which row it was."""
    seen = Seen()
    with ctx.store.savepoint():
        if message == "UpdateMultiple":
            _check_all_exist(ctx, table, targets)
        return [worker(ctx, table, target, seen) for target in targets]


def _elastic(ctx: Context, table: Table, worker: _Worker, targets: list[Payload],
             message: str) -> list[Optional[str]]:
    """Each row alone; the error of the first refused one carries the fate of all (sheet 5.4)."""
    seen = Seen()
    done: list[Optional[str]] = []
    fates: list[dict[str, Any]] = []
    first: Optional[Fault] = None
    allowed = ctx.limits.elastic_rows if ctx.limits is not None else None
    for index, target in enumerate(targets):
        row_id = target.get(table.primary_id)
        try:
            if allowed is not None and index >= allowed:
                raise Fault(429, "429", "The request rate of the storage is too large.")
            with ctx.store.savepoint():
                made = worker(ctx, table, target, seen)
        except Fault as fault:
            first = first or fault
            fates.append({"RequestIndex": index, "Id": row_id or _EMPTY_GUID,
                          "StatusCode": fault.status})
        else:
            done.append(made)
            fates.append({"RequestIndex": index, "Id": made or row_id or _EMPTY_GUID,
                          "StatusCode": 201 if message == "CreateMultiple" else 204})
    if first is None:
        return done
    annotations = dict(first.annotations)
    if ctx.quirks.bulk_details in _ERROR_DETAILS:
        name = _ERROR_DETAILS[ctx.quirks.bulk_details]
        annotations[name] = json.dumps(fates, separators=(",", ":"))
    raise Fault(first.status, first.code, first.message, **annotations)
