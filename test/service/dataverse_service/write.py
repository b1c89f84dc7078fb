"""Requests that write one row: POST, PATCH, PUT, DELETE, single properties, ``$ref`` (sheet 4).

``payload`` reads what is sent, ``rows`` applies it; here are addresses, preconditions and answers.
"""
from __future__ import annotations

import dataclasses
from typing import Any, Callable, Optional
from urllib.parse import unquote_plus

from . import address, images, query, render
from .address import Address, Ref
from .core import Column, Context, Fault, Kind, Response, Table
from .payload import (
    Payload, parse_object, payload_fault, plan_of, refuse_lookup_value, resolve_bind)
from .rows import (
    associate_row, create_at, create_row, delete_row, duplicate_id, remove_row, tie, untie,
    update_at, update_row)

#: Query options that a write accepts; anything else is an error, never ignored (sheet 2.2, 8).
_OPTIONS = frozenset({"$select", "$expand", "tag", "partitionId", "$id"})


@dataclasses.dataclass
class RowResponse(Response):
    """The answer to a write of one row; batches resolve ``$1`` through ``row_url`` (sheet 5.6)."""

    row_url: str = ""


def options(raw_query: str) -> dict[str, str]:
    """Query options of a write; unknown ones are refused."""
    found: dict[str, str] = {}
    for part in raw_query.split("&") if raw_query else ():
        if not part:
            continue
        name, _, value = part.partition("=")
        name = unquote_plus(name)
        if name not in _OPTIONS and not name.startswith("@"):
            raise Fault(400, "0x80060888", f"The query parameter {name} is not supported")
        found[name] = unquote_plus(value)
    return found


def version_mismatch(table: Table) -> Fault:
    code = "412" if table.table_type == "Elastic" else "0x80060882"  # sheet 5.4
    return Fault(412, code,
                 "The version of the existing record doesn't match the RowVersion property "
                 "provided.")


# --- preconditions ------------------------------------------------------------------------------


def check_match(ctx: Context, table: Table, ref: Ref, deleting: bool = False) -> None:
    """``If-Match`` on an existing row (sheet 4.3)."""
    wanted = ctx.headers.get("if-match")
    if wanted is None or wanted.strip() == "*":
        return
    elastic = table.table_type == "Elastic"
    if elastic and ctx.quirks.elastic_if_match == "ignored":
        return
    versions = (table.optimistic_concurrency
                or (elastic and ctx.quirks.elastic_if_match == "compared"))
    if deleting and not versions and ctx.quirks.delete_unversioned == "ignored":
        return
    if not versions:
        raise Fault(400, "0x8006088D",
                    f"Optimistic concurrency isn't enabled for entity type {table.name}. The "
                    "IfVersionMatches ConcurrencyBehavior can only be used if optimistic "
                    "concurrency "
                    "is enabled.")
    row = ctx.store.get(table, ref.row_id, ref.partition)
    current = render.etag(table, row)
    if all(_strip_weak(tag) != _strip_weak(current) for tag in wanted.split(",")):
        raise version_mismatch(table)


def _strip_weak(tag: str) -> str:
    tag = tag.strip()
    return tag[2:] if tag.startswith("W/") else tag


def _refuses_existing(ctx: Context) -> bool:
    return ctx.headers.get("if-none-match", "").strip() == "*"


# --- requests: one row --------------------------------------------------------------------------


def create(ctx: Context, table: Table, raw_query: str, body: bytes) -> Response:
    """``POST <set>`` (sheet 4.1)."""
    options(raw_query)
    payload = parse_object(body)
    with ctx.store.savepoint():  # the answer too: a wrong $select must leave no row behind
        ref = create_row(ctx, table, payload)
        url = address.row_url(ctx, table, ref)
        return _answer(ctx, table, ref, url, raw_query, created=True)


def update(ctx: Context, table: Table, key_text: str, raw_query: str, body: bytes) -> Response:
    """``PATCH <set>(<key>)``: update, or create where no precondition forbids (sheet 4.3)."""
    found = options(raw_query)
    partition = _partition(table, found) if ctx.quirks.partition_on_patch == "used" else None
    target = address.parse(ctx, table, key_text, partition=partition)
    payload = parse_object(body)
    with ctx.store.savepoint():
        there = address.find(ctx, target)
        ref = _create_absent(ctx, target, payload) if there is None else there
        if there is not None:
            _update_present(ctx, target, there, payload)
        url = address.address_url(ctx, target)
        return _answer(ctx, table, ref, url, raw_query, created=there is None)


def _create_absent(ctx: Context, target: Address, payload: Payload) -> Ref:
    if "if-match" in ctx.headers:
        raise address.missing(target)
    return create_at(ctx, target, payload)


def _update_present(ctx: Context, target: Address, ref: Ref, payload: Payload) -> None:
    if _refuses_existing(ctx):
        raise duplicate_id(target.table)
    check_match(ctx, target.table, ref)
    update_at(ctx, target, ref, payload, replace="if-match" not in ctx.headers)


def delete(ctx: Context, table: Table, key_text: str, raw_query: str = "") -> Response:
    """``DELETE <set>(<key>)`` (sheet 4.4)."""
    found = options(raw_query)
    target = address.parse(ctx, table, key_text, partition=_partition(table, found))
    with ctx.store.savepoint():
        ref = existing(ctx, target)
        check_match(ctx, table, ref, deleting=True)
        delete_row(ctx, table, ref)
    return Response(204)


def _partition(table: Table, found: dict[str, str]) -> Optional[str]:
    """``?partitionId=``; one page of the documentation quotes it (sheet 13.1)."""
    value = found.get("partitionId")
    if value is None or table.table_type != "Elastic":
        return None
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == "'" else value


def existing(ctx: Context, target: Address) -> Ref:
    ref = address.find(ctx, target)
    if ref is None:
        raise address.missing(target)
    return ref


def _answer(ctx: Context, table: Table, ref: Ref, url: str, raw_query: str,
            created: bool) -> Response:
    """204 with the row's address, or the row itself on request (sheet 4.1, 4.3)."""
    own = address.row_url(ctx, table, ref)
    session = _session(ctx, table)
    if not ctx.prefs.representation:
        headers = [("OData-EntityId", url)]
        if created or ctx.in_batch:
            headers.append(("Location", url))
        return RowResponse(204, b"", headers + session, own)
    body, etag = query.representation(
        ctx, table, ref.row_id if ref.partition is None else tuple(ref), raw_query,
        with_expand=created and ctx.quirks.expand_on_create == "honoured")
    headers = [("ETag", etag)]
    if created and ctx.quirks.entity_id_with_row == "sent":
        headers.append(("OData-EntityId", url))
    if created:  # the documents' 200 example has no Preference-Applied (sheet 4.3)
        headers.insert(0, ("Preference-Applied", "return=representation"))
    return RowResponse(201 if created else 200, body, headers + session, own)


def _session(ctx: Context, table: Table) -> list[tuple[str, str]]:
    """Elastic writes hand out a session token (sheet 13.1)."""
    if table.table_type != "Elastic":
        return []
    return [("x-ms-session-token", f"207:{ctx.store.data_version}#{ctx.store.version}#7=-1")]


# --- requests: properties and relations of one row ----------------------------------------------


def handle(ctx: Context, method: str, table: Table, key_text: str, rest: str, raw_query: str,
           body: bytes) -> Response:
    """Any write to ``<set>(<key>)[/<rest>]``; ``rest`` without its leading slash."""
    rest = rest.strip("/")
    if not rest:
        if method == "PATCH":
            return update(ctx, table, key_text, raw_query, body)
        if method == "DELETE":
            return delete(ctx, table, key_text, raw_query)
        raise not_allowed(method)
    action = _MEMBER_ACTIONS.get((method, _shape(rest)))
    if action is None:
        raise not_allowed(method)
    found = options(raw_query)
    target = address.parse(ctx, table, key_text, partition=_partition(table, found))
    with ctx.store.savepoint():
        ref = existing(ctx, target)
        check_match(ctx, table, ref)
        action(ctx, table, ref, rest, found, body)
    return Response(204, b"", _session(ctx, table))


def not_allowed(method: str) -> Fault:
    return Fault(405, "0x8006088A", "The requested resource does not support http method "
                                    f"'{method}'.")


def _shape(rest: str) -> str:
    """``property``, ``ref`` (nav/$ref), ``member`` (coll(key)/$ref) or ``other``."""
    head, _, tail = rest.partition("/")
    if tail == "$ref":
        return "member" if head.endswith(")") else "ref"
    return "property" if not tail and "(" not in head else "other"


def _segment_fault(name: str) -> Fault:
    return Fault(404, "0x8006088A", f"Resource not found for the segment '{name}'.")


def _put_property(ctx: Context, table: Table, ref: Ref, rest: str, found: dict[str, str],
                  body: bytes) -> None:
    column = _plain_column(table, rest, "PUT")
    payload = parse_object(body)
    if "value" not in payload:
        raise payload_fault(table, "The property 'value' was expected in the payload of a "
                                   "property.")
    update_row(ctx, table, ref, {column.name: payload["value"]})


def _delete_property(ctx: Context, table: Table, ref: Ref, rest: str, found: dict[str, str],
                     body: bytes) -> None:
    column = _plain_column(table, rest, "DELETE")
    update_row(ctx, table, ref, {column.name: None})


def _plain_column(table: Table, name: str, method: str) -> Column:
    column = table.by_property(name)
    if column is None or not column.readable:
        if any(name in c.navigation.values() for c in table.columns.values()):
            raise not_allowed(method)  # navigation properties go by $ref (sheet 4.5)
        raise _segment_fault(name)
    if column.kind.is_lookup:
        raise refuse_lookup_value()
    return column


def _url_in(table: Table, body: bytes) -> str:
    """The ``@odata.id`` of an entity reference."""
    url = parse_object(body).get("@odata.id")
    if not isinstance(url, str):
        raise payload_fault(table, "The '@odata.id' annotation of the reference is missing.")
    return url


def _put_reference(ctx: Context, table: Table, ref: Ref, rest: str, found: dict[str, str],
                   body: bytes) -> None:
    name = rest.partition("/")[0]
    if name not in plan_of(ctx, table).navigations:
        raise _segment_fault(name)
    update_row(ctx, table, ref, {f"{name}@odata.bind": _url_in(table, body)})


def _delete_reference(ctx: Context, table: Table, ref: Ref, rest: str, found: dict[str, str],
                      body: bytes) -> None:
    """Clear a lookup, or with ``$id`` remove a row from a collection (sheet 4.5)."""
    name = rest.partition("/")[0]
    plan = plan_of(ctx, table)
    if name in plan.navigations:
        update_row(ctx, table, ref, {name: None})
    elif name in plan.collections or name in ctx.model.many_to_many(table.name):
        if "$id" not in found:
            raise Fault(400, "0x80060888", "The $id query option is required to remove a reference "
                        "from a collection.")
        other, member = resolve_bind(ctx, found["$id"], "$id", table)
        side = ctx.model.many_to_many(table.name).get(name)
        if side is not None:
            untie(ctx, side, ref.row_id, other, member.row_id)
            return
        remove_row(ctx, table, plan.collections[name], ref, other, member)
    else:
        raise _segment_fault(name)


def _delete_member(ctx: Context, table: Table, ref: Ref, rest: str, found: dict[str, str],
                   body: bytes) -> None:
    name, _, key_text = rest.rpartition("/")[0].partition("(")
    side = ctx.model.many_to_many(table.name).get(name)
    if side is not None:
        other = ctx.model.tables[side.other]
        member = existing(ctx, address.parse(ctx, other, key_text[:-1]))
        untie(ctx, side, ref.row_id, other, member.row_id)
        return
    relationship = plan_of(ctx, table).collections.get(name)
    if relationship is None:
        raise _segment_fault(name)
    child = ctx.model.tables[relationship.referencing]
    member = existing(ctx, address.parse(ctx, child, key_text[:-1]))
    remove_row(ctx, table, relationship, ref, child, member)


def _post_reference(ctx: Context, table: Table, ref: Ref, rest: str, found: dict[str, str],
                    body: bytes) -> None:
    name = rest.partition("/")[0]
    plan = plan_of(ctx, table)
    side = ctx.model.many_to_many(table.name).get(name)
    if side is not None:
        other, member = resolve_bind(ctx, _url_in(table, body), name, table)
        tie(ctx, side, ref.row_id, other, member.row_id)
        return
    relationship = plan.collections.get(name)
    if relationship is None:
        raise not_allowed("POST") if name in plan.navigations else _segment_fault(name)
    associate_row(ctx, table, relationship, ref.row_id, _url_in(table, body))


def _upload(ctx: Context, table: Table, ref: Ref, rest: str, found: dict[str, str],
            body: bytes) -> None:
    """``PATCH set(id)/col`` with the bytes of an image (sheet 12)."""
    column = _plain_column(table, rest, "PATCH")
    if column.kind is not Kind.IMAGE:
        raise not_allowed("PATCH")
    update_row(ctx, table, ref, {column.name: images.uploaded(ctx, column, body)})


_MEMBER_ACTIONS: dict[tuple[str, str], Callable[..., None]] = {
    ("PUT", "property"): _put_property,
    ("PATCH", "property"): _upload,
    ("DELETE", "property"): _delete_property,
    ("PUT", "ref"): _put_reference,
    ("DELETE", "ref"): _delete_reference,
    ("DELETE", "member"): _delete_member,
    ("POST", "ref"): _post_reference,
}
