"""GET of rows: collections, single rows, counts and the paths below a row (sheet 1.5, 1.6, 2).

$apply lives in ``apply``, FetchXML in ``fetch``, change tracking in ``tracking``.
"""
from __future__ import annotations

import dataclasses
from typing import Any, Optional, Union

from . import address, apply, expand, fetch, images, odata, paging, render, tracking, values
from .core import Association, Column, Context, Fault, Kind, Response, Table
from .fetchwhere import FetchBuilder
from .render import Rows, quote
from .request import MAX_COUNT, Request, page_response, preference_headers
from .where import (Builder, Sql, associated, association_nav, collection_nav, leads_to_principal,
                    refuse, single_nav, target_condition)

#: Options that any data request may carry (sheet 8).
COMMON = frozenset({"tag"})
COLLECTION = COMMON | {"$select", "$filter", "$orderby", "$top", "$count", "$expand", "$apply",
                       "$skiptoken", "$deltatoken", "fetchXml", "savedQuery", "userQuery", "sql"}
COUNT = COMMON | {"$filter", "$deltatoken"}
SINGLE = COMMON | {"$select", "$expand"}
#: Forms of retrieval that this service does not do yet (sheet 2.11).
LATER = {"sql": "SQL queries"}

RowRef = Union[str, tuple[str, str]]


def _open(ctx: Context, table: Table, raw_query: str, allowed: frozenset[str],
          path: Optional[str] = None, parent: Optional["Above"] = None) -> Request:
    if len(ctx.base) + len(table.set_name) + len(raw_query) + 2 > ctx.max_url:
        raise Fault(414, odata.ERROR, "The request URL is longer than the configured maximum of "
                    f"{ctx.max_url} characters.")
    query = odata.parse_query(raw_query)
    elastic = table.table_type == "Elastic"
    odata.check_options(query, allowed | {"partitionId"} if elastic else allowed)
    builder = FetchBuilder if fetch.wanted(query) else Builder
    request = Request(ctx, table, path or table.set_name, query, builder)
    if parent is not None:
        request.conditions.append(parent.condition(request.scope.alias))
    return request


@dataclasses.dataclass(frozen=True)
class Parent:
    """The row whose children a path like ``accounts(id)/Account_Tasks`` means (sheet 1.6)."""

    table: Table
    row_id: str
    lookup: Column

    def condition(self, alias: str) -> Sql:
        kind = target_condition(alias, self.lookup, self.table.name)
        return Sql(f'({alias}."{self.lookup.name}" = ?{kind})', (self.row_id,))


@dataclasses.dataclass(frozen=True)
class Associated:
    """The same for an N:N relationship: ``systemusers(id)/teammembership_association``."""

    side: Association
    row_id: str
    key: str  #: primary id of the members

    def condition(self, alias: str) -> Sql:
        return Sql(associated(self.side, f'{alias}."{self.key}"', "?"), (self.row_id,))


Above = Union[Parent, Associated]


# --- Collections ---------------------------------------------------------------------------


def collection(ctx: Context, table: Table, raw_query: str, *, path: Optional[str] = None,
               parent: Optional[Above] = None) -> Response:
    """``GET <set>?...`` (sheet 2.1.1, 2.5)."""
    request = _open(ctx, table, raw_query, COLLECTION, path, parent)
    query = request.query
    for name, what in LATER.items():
        if name in query.options:
            raise refuse(f"{what}: not implemented by this service.", "0x80040315", 501)
    if fetch.wanted(query):
        return fetch.answer(request, _wants_count(request))
    if "$apply" in query.options:
        return apply.answer(request)
    if tracking.wanted(request):
        return tracking.answer(request)
    return _page(request)


def _top(request: Request) -> Optional[int]:
    text = request.query.get("$top")
    if text is None:
        return None
    top = odata.parse_top(text.strip())
    if top > paging.MAX_PAGE:
        if request.ctx.quirks.top_over_limit == "refused":
            raise refuse(f"The value of $top must not be larger than {paging.MAX_PAGE}.")
        top = paging.MAX_PAGE
    # $top beside odata.maxpagesize: one of the two is ignored (sheet 2.5, 15)
    if request.ctx.prefs.max_page_size and request.ctx.quirks.top_and_page == "top_ignored":
        return None
    return top


def _page(request: Request) -> Response:
    ctx, table, query, scope = request.ctx, request.table, request.query, request.scope
    names, plans, fields = request.shape()
    if plans and table.table_type == "Elastic":
        raise refuse("Link entities are not supported", "0x80048D0B")  # sheet 13.1
    request.where(query.get("$filter"))
    terms = paging.order_terms(request.builder, scope, query.get("$orderby"), query.aliases)
    top = _top(request)
    size = paging.page_size(ctx, table) if top is None else top
    rows = Rows(ctx, table, fields, etags=True)
    expander = request.expander(plans)
    expander.need(rows, plans)
    counted = _wants_count(request)
    total = request.count() if counted else None
    page = 1
    token = query.get("$skiptoken")
    if token is not None:
        cookie = paging.read_token(token, terms)
        page = cookie.page
        request.conditions.append(paging.after_sql(terms, cookie.last))
    if len(terms) == 1:
        request.index_key()
    ends = "".join(f", {term.raw}" for term in terms)
    found = request.select(rows.sql(scope.alias) + ends, paging.order_sql(terms), size + 1)
    more = len(found) > size and top is None
    found = found[:size]
    next_link = None
    if more and found:
        width = len(rows.columns)
        next_link = request.link("$skiptoken=" + paging.make_token(
            terms, found[0][width:], found[-1][width:], page))
    rows.load(found)
    texts = rows.objects(expander.fragments(rows, plans))
    context = f"{table.set_name}{expand.context_names(names, request.expands)}"
    return page_response(request, context, texts, next_link=next_link,
                         count=total, counted=counted, paged=top is None)


def _wants_count(request: Request) -> bool:
    text = request.query.get("$count")
    if text not in (None, "true", "false"):
        raise refuse(f"Invalid value '{text}' for $count query option found. Valid values are "
                     f"'true' and 'false'.")
    return text == "true"


def count(ctx: Context, table: Table, raw_query: str, *, parent: Optional[Above] = None
          ) -> Response:
    """``GET <set>/$count``: plain text behind a byte-order mark, capped at 5,000 (sheet 2.7)."""
    request = _open(ctx, table, raw_query, COUNT, parent=parent)
    if "$deltatoken" in request.query.options:
        number = tracking.count_changes(request)
    else:
        request.where(request.query.get("$filter"))
        number = min(request.count(), MAX_COUNT)
    mark = b"\xef\xbb\xbf" if ctx.quirks.count_bom == "sent" else b""
    return Response(200, mark + str(number).encode(), [("Content-Type", "text/plain")])


# --- Single rows ---------------------------------------------------------------------------


def single(ctx: Context, table: Table, key_text: str, rest_path: str, raw_query: str) -> Response:
    """``GET <set>(<key>)[/more]`` (sheet 1.5, 1.6, 2.1.2)."""
    partition = odata.parse_query(raw_query).get("partitionId") \
        if table.table_type == "Elastic" else None
    where = address.parse(ctx, table, key_text, partition=_unquoted(partition))
    ref = address.find(ctx, where)
    if ref is None:
        raise address.missing(where)
    return _below(ctx, table, ref, [s for s in rest_path.split("/") if s], raw_query)


def _unquoted(text: Optional[str]) -> Optional[str]:
    return text[1:-1] if text and len(text) > 1 and text[0] == text[-1] == "'" else text


def _below(ctx: Context, table: Table, ref: address.Ref, segments: list[str], raw_query: str
           ) -> Response:
    """What lies at a path below a row."""
    if not segments:
        return _row(ctx, table, ref, raw_query)
    name, rest = segments[0], segments[1:]
    column = table.by_property(name)
    if column is not None:
        return _property(ctx, table, ref, name, column, rest, raw_query)
    relation = single_nav(ctx.model, table, name)
    if relation is not None:
        return _lookup_path(ctx, table, ref, name, rest, raw_query)
    side = association_nav(ctx.model, table, name)
    if side is not None:
        child = ctx.model.tables[side.other]
        members = Associated(side, ref.row_id, child.primary_id)
        return _children(ctx, table, child, members, name, rest, raw_query)
    relation = collection_nav(ctx.model, table, name)
    if relation is not None:
        child = ctx.model.tables[relation.referencing]
        lookup = child.columns[relation.referencing_attribute]
        parent = Parent(table, ref.row_id, lookup)
        return _children(ctx, table, child, parent, name, rest, raw_query)
    raise _no_segment(name)


def _no_segment(name: str) -> Fault:
    return Fault(404, "0x8006088A", f"Resource not found for the segment '{name}'.")


def _row(ctx: Context, table: Table, ref: address.Ref, raw_query: str) -> Response:
    request = _open(ctx, table, raw_query, SINGLE)
    text, tag, context = _render_row(request, ref, with_expand=True)
    if _not_modified(request, tag):
        return Response(304, b"", [("ETag", tag)])
    body = f'{{"@odata.context":{quote(context)},{text[1:]}'
    return Response(200, body.encode(), [("ETag", tag), *preference_headers(ctx, paged=False)])


def _not_modified(request: Request, tag: str) -> bool:
    """A conditional GET counts only where sheet 4.2 says so."""
    wish = request.ctx.headers.get("if-none-match")
    if wish is None or not request.table.optimistic_concurrency:
        return False
    if request.expands or request.ctx.prefs.annotations:
        return False
    return tag in [part.strip() for part in wish.split(",")]


def _render_row(request: Request, ref: address.Ref, with_expand: bool) -> tuple[str, str, str]:
    """JSON object, etag and context of one row."""
    ctx, table, scope = request.ctx, request.table, request.scope
    names, plans, fields = request.shape(with_expand)
    rows = Rows(ctx, table, fields, etags=True)
    expander = request.expander(plans)
    expander.need(rows, plans)
    request.by_id(ref)
    rows.load(request.select(rows.sql(scope.alias), None, 1))
    if not rows.length:
        raise address.not_found(table, ref.row_id)
    version = rows.values("versionnumber")[0] if "versionnumber" in table.columns else 0
    text = rows.objects(expander.fragments(rows, plans))[0]
    shown = expand.context_names(names, request.expands)
    context = f"{ctx.base}/$metadata#{table.set_name}{shown}/$entity"
    return text, render.etag_text(table, version), context


def representation(ctx: Context, table: Table, row_id: RowRef, raw_query: str, *,
                   with_expand: bool = False) -> tuple[bytes, str]:
    """JSON body and etag of a row just written; $expand has no effect unless asked for here."""
    ref = address.Ref(*row_id) if isinstance(row_id, tuple) else address.Ref(row_id)
    request = _open(ctx, table, raw_query, SINGLE)
    text, tag, context = _render_row(request, ref, with_expand)
    return f'{{"@odata.context":{quote(context)},{text[1:]}'.encode(), tag


# --- Paths below a row ---------------------------------------------------------------------


def _storage(ctx: Context, table: Table, ref: address.Ref) -> dict[str, Any]:
    row = ctx.store.get(table, ref.row_id, ref.partition)
    if row is None:
        raise address.not_found(table, ref.row_id)
    return row


def _property(ctx: Context, table: Table, ref: address.Ref, name: str, column: Column,
              rest: list[str], raw_query: str) -> Response:
    """``accounts(id)/name`` and ``.../name/$value``."""
    if rest not in ([], ["$value"]):
        raise _no_segment(rest[0])
    odata.check_options(odata.parse_query(raw_query),
                        COMMON | {"partitionId", "size"} if rest else COMMON | {"partitionId"})
    row = _storage(ctx, table, ref)
    if rest and column.kind is Kind.IMAGE:
        size = odata.parse_query(raw_query).options.get("size")
        return images.download(ctx, column, row, size == "full")
    value = row[column.name]
    if value is None:
        return Response(204)
    if rest:
        return _raw_value(column, value)
    url = f"{ctx.base}/$metadata#{table.set_name}({ref.row_id})/{name}"
    text = f'{{"@odata.context":{quote(url)},"value":{values.to_json(column, value)}}}'
    return Response(200, text.encode())


def _raw_value(column: Column, value: Any) -> Response:
    text = value if column.kind.is_text else values.to_json(column, value).strip('"')
    return Response(200, text.encode(), [("Content-Type", "text/plain")])


def _lookup_path(ctx: Context, table: Table, ref: address.Ref, nav: str, rest: list[str],
                 raw_query: str) -> Response:
    """``accounts(id)/primarycontactid`` and what lies behind it."""
    relation = single_nav(ctx.model, table, nav)
    assert relation is not None
    row = _storage(ctx, table, ref)
    column = table.columns[relation.referencing_attribute]
    row_id, target_name = row[column.name], row[column.name + "__t"]
    target_name = target_name or column.targets[0]
    if row_id is None or (target_name != relation.referenced
                          and not leads_to_principal(ctx.model, table, nav)):
        return Response(204)
    target = ctx.model.tables[target_name]
    if rest == ["$ref"]:
        odata.check_options(odata.parse_query(raw_query), COMMON)
        url = f"{ctx.base}/{target.set_name}({row_id})"
        text = (f'{{"@odata.context":{quote(f"{ctx.base}/$metadata#$ref")},'
                f'"@odata.id":{quote(url)}}}')
        return Response(200, text.encode())
    return _below(ctx, target, address.Ref(row_id), rest, raw_query)


def _children(ctx: Context, table: Table, child: Table, parent: Above, nav: str,
              rest: list[str], raw_query: str) -> Response:
    """``accounts(id)/Account_Tasks``, ``.../$ref``, ``.../$count``."""
    path = f"{table.set_name}({parent.row_id})/{nav}"
    if not rest:
        return collection(ctx, child, raw_query, path=path, parent=parent)
    if rest == ["$count"]:
        return count(ctx, child, raw_query, parent=parent)
    if rest == ["$ref"]:
        return _references(ctx, child, parent, path, raw_query)
    raise _no_segment(rest[0])


def _references(ctx: Context, child: Table, parent: Above, path: str, raw_query: str) -> Response:
    allowed = COMMON | {"$filter", "$orderby", "$top", "$skiptoken", "$count"}
    request = _open(ctx, child, raw_query, allowed, f"{path}/$ref", parent)
    request.where(request.query.get("$filter"))
    terms = paging.order_terms(request.builder, request.scope, request.query.get("$orderby"),
                               request.query.aliases)
    top = _top(request)
    size = paging.page_size(ctx, child) if top is None else top
    counted = _wants_count(request)
    total = request.count() if counted else None
    page, token = 1, request.query.get("$skiptoken")
    if token is not None:
        cookie = paging.read_token(token, terms)
        page = cookie.page
        request.conditions.append(paging.after_sql(terms, cookie.last))
    ends = "".join(f", {term.raw}" for term in terms)
    found = request.select(request.scope.key + ends, paging.order_sql(terms), size + 1)
    next_link = None
    if len(found) > size and top is None:
        next_link = request.link("$skiptoken=" + paging.make_token(
            terms, found[0][1:], found[size - 1][1:], page))
    texts = [f'{{"@odata.id":{quote(f"{ctx.base}/{child.set_name}({row[0]})")}}}'
             for row in found[:size]]
    return page_response(request, "Collection($ref)", texts, next_link=next_link, count=total,
                         counted=counted, paged=top is None)


# --- Keys, for the writers -----------------------------------------------------------------


def resolve_key(ctx: Context, table: Table, key_text: str, partition: Optional[str] = None
                ) -> Optional[RowRef]:
    """The row at an address in a URL's path; None: there is none."""
    ref = address.find(ctx, address.parse(ctx, table, key_text, partition=partition))
    if ref is None:
        return None
    return ref.row_id if ref.partition is None else (ref.row_id, ref.partition)
