"""``GET <set>?fetchXml=``, ``?savedQuery=`` and ``?userQuery=`` (sheet 2.11, 2.12).

Rows are rendered a column at a time, as in ``render``; a null is left out of its row.
"""
from __future__ import annotations

import dataclasses
import sqlite3
from typing import Any, Optional, Sequence
from urllib.parse import unquote
from xml.etree import ElementTree

from . import fetchaggregate, fetchorder, fetchxml, odata, paging, render, values
from .core import Column, Kind, Response, Table
from .expand import all_fields
from .fetchjoin import Joins, Source, duplicate_alias
from .fetchwhere import FetchBuilder, column_of
from .fetchxml import Fetch, fault
from .render import Field
from .request import MAX_COUNT, Request, page_response
from .where import Sql

#: Options that hold a query in FetchXML, and what may stand beside them.
OPTIONS = ("fetchXml", "savedQuery", "userQuery")
ALLOWED = frozenset({"$count", "$skiptoken", "tag", "partitionId"})

COOKIE = "Microsoft.Dynamics.CRM.fetchxmlpagingcookie"
MORE = "Microsoft.Dynamics.CRM.morerecords"
MAX_SIMPLE = 50_000  #: rows without a paging cookie (sheet 2.13)


def wanted(query: odata.Query) -> bool:
    return any(name in query.options for name in OPTIONS)


def answer(request: Request, counted: bool) -> Response:
    """``counted``: ``$count=true``."""
    query = request.query
    given = [name for name in OPTIONS if name in query.options]
    if len(given) > 1:
        raise odata.syntax_fault(f"The query parameters {' and '.join(given)} cannot be combined.")
    stored = given[0] != "fetchXml"
    odata.check_options(query, ALLOWED | {given[0]} if stored
                        else (ALLOWED - {"$skiptoken"}) | {given[0]})
    fetch = fetchxml.parse(_stored(request, given[0]) if stored else query.options["fetchXml"])
    if fetch.entity.name != request.table.name:
        raise fault("0x80041128", "The entity name specified in fetchxml does not match the entity "
                    "name specified in the Entity or Query Expression.")
    if stored:
        _page_of_view(request, fetch)
    assert isinstance(request.builder, FetchBuilder)
    try:
        joins = Joins(request.builder, fetch.entity, request.scope, set())
        counted = counted or fetch.returntotalrecordcount
        run = fetchaggregate.answer if fetch.aggregate else _rows
        response = run(request, fetch, joins, counted, stored)
    except RecursionError:
        raise fetchxml.malformed("The query is nested too deeply.") from None
    except sqlite3.OperationalError as error:
        if "overflow" not in str(error) and "depth" not in str(error):
            raise
        raise fetchxml.malformed("The query is nested too deeply.") from None
    response.volatile = request.builder.volatile
    return response


# --- Stored views (sheet 2.11) -------------------------------------------------------------


def _stored(request: Request, option: str) -> str:
    """The FetchXML of a view."""
    ctx = request.ctx
    table = ctx.model.tables[option.lower()]
    row_id = request.query.options[option].strip().strip("{}").lower()
    if not values.is_guid(row_id):
        raise odata.syntax_fault(f"The value of {option} must be a GUID.")
    row = ctx.store.get(table, row_id)
    if row is None or row["fetchxml"] is None:
        raise fetchxml.Fault(404, "0x80040217", f"{table.name} With Id = {row_id} Does Not Exist")
    return row["fetchxml"]


def _page_of_view(request: Request, fetch: Fetch) -> None:
    """A view's pages follow ``odata.maxpagesize`` and nextLink: its XML is not the caller's to
    change."""
    wish = request.ctx.prefs.max_page_size
    if wish and fetch.top is None:
        fetch.count = wish
    token = request.query.get("$skiptoken")
    if token is None:
        return
    try:
        outer = ElementTree.fromstring(token)
        fetch.page = int(outer.get("pagenumber", ""))
    except (ElementTree.ParseError, ValueError):
        raise paging.bad_cookie() from None
    if fetch.page < 2:
        raise paging.bad_cookie()
    cookie = outer.get("pagingcookie")
    fetch.paging_cookie = unquote(cookie) if cookie else None


# --- Columns of the rows -------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Cell:
    """A property of the rows and where it is read."""

    field: Field
    source: Source


class Cells:
    """All properties in their order, each once."""

    def __init__(self, request: Request, fetch: Fetch, joins: Joins):
        self.request = request
        self.found: dict[str, Cell] = {}
        self.aliases: set[str] = set()  #: of columns; links have theirs
        self.context: list[str] = []
        for source in joins.sources:
            self._body(source, joins)
        if not fetch.distinct:
            self._implied(joins.root)
        self.context.extend(f"{c.field.column.name}()" for c in self.found.values()
                            if c.source is joins.root and c.field.column.kind.is_lookup)

    def _body(self, source: Source, joins: Joins) -> None:
        body = source.body
        for attribute in body.attributes:
            column = column_of(source.scope.table, attribute.name)
            if attribute.alias is not None:
                if attribute.alias in self.aliases:
                    raise duplicate_alias(attribute.alias)
                self.aliases.add(attribute.alias)
            self._add(attribute.alias or self._name(source, column), column, source)
        # An entity without columns has all of them; a link has none.
        if body.all_attributes or (source is joins.root and not body.attributes):
            for field in all_fields(source.scope.table):
                self._add(self._name(source, field.column), field.column, source)

    def _name(self, source: Source, column: Column) -> str:
        """``_x_value`` of the entity, ``alias.x`` of a link (sheet 2.12.5). The columns of a first
        match go by their schema names."""
        if source.alias is None:
            return column.property_name
        if source.first:
            return column.schema_name
        if self.request.ctx.quirks.lookup_under_alias == "value":
            return f"{source.alias}.{column.property_name}"
        return f"{source.alias}.{column.name}"

    def _add(self, name: str, column: Column, source: Source) -> None:
        known = self.found.get(name)
        if known is not None:
            if known.source is not source or known.field.column is not column:
                raise duplicate_alias(name)
            return
        self.found[name] = Cell(Field(name, column), source)
        if source.alias is None:
            self.context.append(name)
            if name == column.property_name != column.name:
                self.context.append(column.name)

    def _implied(self, root: Source) -> None:
        """What comes along and the primary key (sheet 2.1.1)."""
        table = root.scope.table
        own = [c.field.column for c in self.found.values() if c.source is root]
        for column in render.dragged_along(table, own):
            self._add(column.property_name, column, root)
        key = table.columns[table.primary_id]
        self._add(key.name, key, root)
        if "ownerid" in table.columns and table.columns["ownerid"].kind is Kind.GUID:
            self._add("ownerid", table.columns["ownerid"], root)


# --- Rows ----------------------------------------------------------------------------------


@dataclasses.dataclass
class Page:
    """One page as it was read."""

    rows: list[Any]
    more: bool
    cookie: Optional[str]  #: XML, once; None: simple paging


class Reader:
    """The SQL of one query without aggregates."""

    def __init__(self, request: Request, fetch: Fetch, joins: Joins, cells: Cells):
        self.request, self.fetch, self.joins = request, fetch, joins
        self.cells = list(cells.found.values())
        self.columns: list[str] = []
        self.place: dict[str, int] = {}
        annotated = bool(request.ctx.prefs.annotations)
        for cell in self.cells:
            self._need(cell.source, cell.field.column.name)
            if cell.field.column.kind.is_lookup and annotated:
                self._need(cell.source, cell.field.column.name + "__t")
        table = joins.root.scope.table
        self.etags = not fetch.distinct and "versionnumber" in table.columns
        if self.etags:
            self._need(joins.root, "versionnumber")
        self.terms, own = fetchorder.terms_of(joins.builder, fetch, joins)
        self.keyed = own and (not fetch.distinct or self._selects_key())
        if self.keyed and (self.terms or not fetch.distinct):
            self.terms = fetchorder.completed(self.terms, joins.root.scope, joins.builder.quirks)
        else:
            # Sorting by a link's column, or rows that have no key: no cookie (sheet 2.12.3).
            self.keyed = False

    def _need(self, source: Source, name: str) -> int:
        text = source.scope.column(name)
        if text not in self.place:
            self.place[text] = len(self.columns)
            self.columns.append(text)
        return self.place[text]

    def at(self, source: Source, name: str) -> Optional[int]:
        return self.place.get(source.scope.column(name))

    def _selects_key(self) -> bool:
        key = self.joins.root.scope.table.primary_id
        return any(c.source is self.joins.root and c.field.column.name == key for c in self.cells)

    # --- parts of the statement

    def _where(self, more: Sequence[Sql] = ()) -> Sql:
        parts = [*self.request.conditions, *self.joins.where, *more]
        if not parts:
            return Sql("")
        return Sql(" WHERE " + " AND ".join(p.text for p in parts),
                   tuple(v for p in parts for v in p.params))

    def _group(self) -> str:
        """DISTINCT compares as the collation does: GROUP BY over the columns it compares."""
        if not self.fetch.distinct:
            return ""
        keys = []
        for cell in self.cells:
            column = cell.field.column
            if column.kind in (Kind.MEMO, Kind.MULTISELECT, Kind.IMAGE):
                raise fault("0x80044150", f"The column '{column.name}' of type "
                            f"'{column.kind.value}' cannot be selected as DISTINCT because it is "
                            "not comparable.")
            keys.append(cell.source.scope.column(values.compare_column(column)))
        keys.extend(t.expr for t in self.terms)
        return " GROUP BY " + ", ".join(dict.fromkeys(keys))

    def _order(self) -> str:
        if self.fetch.distinct and not self.terms:
            # No order at all: a number that tells nothing of the values (sheet 2.4).
            shifting = self.request.ctx.quirks.distinct_order == "shifting"
            seed = self.fetch.page_number if shifting else 0
            return f" ORDER BY dv_shuffle({seed}, {', '.join(self.columns)})"
        order = paging.order_sql(self.terms)
        if not self.keyed or len(self.joins.sources) > 1:
            # Ties, as an engine that reads the same index every time leaves them.
            ties = [f"{s.scope.alias}.rowid" for s in self.joins.sources]
            if not self.fetch.distinct:
                order = ", ".join([*([order] if order else []), *ties])
        return f" ORDER BY {order}"

    def read(self, size: int) -> Page:
        fetch, builder = self.fetch, self.joins.builder
        group, order = self._group(), self._order()
        offset, after = self._start(size)
        source, where = self.joins.source(), self._where(after)
        ends = [t.raw for t in self.terms] if self.keyed else []
        sql = (f"SELECT {', '.join([*self.columns, *ends])} FROM {source.text}{where.text}{group}"
               f"{order} LIMIT {size + 1} OFFSET {offset}")
        if len(self.terms) == 1 and self.keyed:
            self.request.index_key()
        rows = builder.ctx.store.execute(sql, (*source.params, *where.params)).fetchall()
        more = len(rows) > size and fetch.top is None
        rows = rows[:size]
        cookie = None
        if more and self.keyed and rows:
            width = len(self.columns)
            cookie = paging.inner_cookie(self.terms, rows[0][width:], rows[-1][width:],
                                         fetch.page_number)
        return Page(rows, more, cookie)

    def _start(self, size: int) -> tuple[int, list[Sql]]:
        """Rows to skip, or where to go on. A cookie of another page than the one before is not
        used; a page without cookie is counted off from row 1, up to 50,000 rows (sheet 2.12.4)."""
        fetch = self.fetch
        last = self._last() if fetch.paging_cookie else None
        if last is not None and self.keyed:
            return 0, [paging.after_sql(self.terms, last)]
        if fetch.page_number > 1 and fetch.page_number * size > MAX_SIMPLE:
            raise fault("0x8004430A", "The query cannot return more than "
                        f"{MAX_SIMPLE:,} rows without a paging cookie.")
        return (fetch.page_number - 1) * size, []

    def _last(self) -> Optional[list[Any]]:
        try:
            cookie = ElementTree.fromstring(self.fetch.paging_cookie or "")
            page = int(cookie.get("page", ""))
        except (ElementTree.ParseError, ValueError):
            raise paging.bad_cookie() from None
        if cookie.tag != "cookie" or page < 1:
            raise paging.bad_cookie()
        last = paging.read_cookie(cookie, self.terms if self.keyed else ())
        return last if page == self.fetch.page_number - 1 else None

    def count(self) -> int:
        source, where = self.joins.source(), self._where()
        group = self._group()
        inner = f"SELECT 1 FROM {source.text}{where.text}{group} LIMIT {MAX_COUNT + 1}"
        found = self.joins.builder.ctx.store.execute(
            f"SELECT count(*) FROM ({inner})", (*source.params, *where.params))
        return found.fetchone()[0]

    # --- JSON

    def objects(self, rows: Sequence[Sequence[Any]]) -> list[str]:
        if not rows:
            return []
        data = list(zip(*rows))
        ctx, table = self.request.ctx, self.joins.root.scope.table
        layers: list[Sequence[str]] = []
        if self.etags:
            place = self.at(self.joins.root, "versionnumber")
            assert place is not None
            layers.append(render.etag_fragments(table, data[place]))
        for cell in self.cells:
            layers.append(self._layer(ctx, cell, data))
        return ["{" + ",".join(filter(None, row)) + "}" for row in zip(*layers)] if layers \
            else ["{}"] * len(rows)

    def _layer(self, ctx: Any, cell: Cell, data: Sequence[Sequence[Any]]) -> list[str]:
        """One property of all rows; empty where it is null."""
        place = self.at(cell.source, cell.field.column.name)
        assert place is not None
        items = data[place]
        if not cell.field.column.readable or cell.field.column.hidden:
            return [""] * len(items)
        targets = self.at(cell.source, cell.field.column.name + "__t")
        fragments = render.field_fragments(ctx, cell.field, items,
                                           None if targets is None else data[targets])
        if None in items:
            return ["" if v is None else f for v, f in zip(items, fragments)]
        return fragments


def page_limit(fetch: Fetch, table: Table) -> int:
    """Larger pages than the maximum are cut silently (sheet 2.5)."""
    if fetch.top is not None:
        return min(fetch.top, paging.max_page(table))
    return min(fetch.count or paging.max_page(table), paging.max_page(table))


def _rows(request: Request, fetch: Fetch, joins: Joins, counted: bool, stored: bool) -> Response:
    cells = Cells(request, fetch, joins)
    reader = Reader(request, fetch, joins, cells)
    page = reader.read(page_limit(fetch, request.table))
    total = reader.count() if counted else None
    context = f"{request.table.set_name}({','.join(cells.context)})"
    return page_response(
        request, context, reader.objects(page.rows), count=total, counted=counted, paged=stored,
        next_link=_next_link(request, fetch, page) if stored and page.more else None,
        annotations=annotations(request, fetch, page.more, page.cookie))


#: Encoded once, this is what the docs' examples leave alone.
_SAFE = "-_.~"


def annotations(request: Request, fetch: Fetch, more: bool, cookie: Optional[str]) -> list[str]:
    """Both absent on the last page; ``pagenumber`` does not count (sheet 2.12.4)."""
    prefs = request.ctx.prefs
    if not more:
        return []
    found = []
    if cookie is not None and prefs.wants(COOKIE):
        counted = request.ctx.quirks.cookie_page == "counted"
        number = fetch.page_number + 1 if counted else 2
        text = (f'<cookie pagenumber="{number}" pagingcookie="{paging.twice_quoted(cookie, _SAFE)}"'
                f' istracking="False" />')
        found.append(f'"@{COOKIE}":{render.quote(text)}')
    if prefs.wants(MORE):
        found.append(f'"@{MORE}":true')
    return found


def _next_link(request: Request, fetch: Fetch, page: Page) -> str:
    inner = ""
    if page.cookie is not None:
        inner = f"pagingcookie=%22{paging.twice_quoted(page.cookie)}%22%20"
    return request.link(f"$skiptoken=%3Ccookie%20pagenumber=%22{fetch.page_number + 1}%22%20{inner}"
                        "istracking=%22False%22%20/%3E")
