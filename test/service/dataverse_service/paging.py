"""Order, and pages that go on from the last key seen (sheet 2.4, 2.5).

Paging is live: the cookie in ``$skiptoken`` holds the values of the order columns and the primary
key of the last row, and the query runs again from there.
"""
from __future__ import annotations

import dataclasses
import datetime
import re
from typing import Any, Callable, Optional, Sequence
from urllib.parse import quote as percent_quote
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from . import collation, odata, values
from .core import Column, Context, Fault, Kind, Quirks, Table
from .odata import Literal, OrderItem, Path
from .where import (Builder, Scope, Sql, guid_order_key, guid_order_sql, no_property, refuse,
                    single_nav, target_condition)

MAX_PAGE = 5000
MAX_ELASTIC_PAGE = 500


def max_page(table: Table) -> int:
    return MAX_ELASTIC_PAGE if table.table_type == "Elastic" else MAX_PAGE


def page_size(ctx: Context, table: Table) -> int:
    """Larger wishes are cut silently; the size is not in the link (sheet 2.5)."""
    wish = ctx.prefs.max_page_size
    return min(wish, max_page(table)) if wish and wish > 0 else max_page(table)


# --- Order ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Term:
    """One column of an order."""

    name: str  #: element in the cookie
    expr: str  #: what is compared
    raw: str  #: what the cookie shows
    descending: bool
    nulls_last: bool  #: in the direction of the term
    nullable: bool
    show: Callable[[Any], str]
    read: Callable[[str], Any]

    def sql(self) -> str:
        direction = " DESC" if self.descending else ""
        # SQLite puts nulls first ascending and last descending unless told otherwise.
        place = ""
        if self.nullable and self.nulls_last != self.descending:
            place = " NULLS LAST" if self.nulls_last else " NULLS FIRST"
        return self.expr + direction + place


def _moment_cookie(micros: int) -> str:
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=micros)
    return moment.isoformat() + "Z"


def _braced(guid: str) -> str:
    return "{" + guid.upper() + "}"


def _bare(text: str) -> str:
    guid = text.strip("{}").lower()
    if not values.is_guid(guid):
        raise ValueError(text)
    return guid


def _show(column: Column) -> Callable[[Any], str]:
    if values.edm(column) == "Edm.Guid":
        return _braced
    if values.edm(column) == "Edm.DateTimeOffset":
        return _moment_cookie
    if column.kind is Kind.DOUBLE:
        return repr
    return str


def _reader(column: Column, quirks: Quirks, elastic: bool) -> Callable[[str], Any]:
    if column.kind.is_text:
        return lambda text: collation.fold(text, quirks)
    if column.kind in (Kind.DECIMAL, Kind.MONEY):
        return values.sort_key
    if column.kind is Kind.DOUBLE:
        return float
    if values.edm(column) == "Edm.Guid":
        return _bare if elastic else (lambda text: guid_order_key(_bare(text)))
    if values.edm(column) == "Edm.DateTimeOffset":
        return odata.parse_datetime
    return str if column.kind is Kind.DATETIME else int


def column_term(scope: Scope, column: Column, descending: bool, quirks: Quirks) -> Term:
    target = scope.column(values.compare_column(column))
    elastic = scope.table.table_type == "Elastic"
    if values.edm(column) == "Edm.Guid" and not elastic:
        target = guid_order_sql(target)
    return Term(column.name, target, scope.column(column.name), descending,
                (quirks.null_order == "last") != descending, not column.is_primary_id,
                _show(column), _reader(column, quirks, elastic))


def lookup_term(builder: Builder, scope: Scope, column: Column, descending: bool) -> Term:
    """A lookup sorts by the primary name of its target (sheet 2.4)."""
    folded, raw = [], []
    for target in column.targets:
        table = builder.ctx.model.tables.get(target)
        if table is None or not table.primary_name:
            continue
        named = builder.scope(table)
        scope.root.joins.append(
            f' LEFT JOIN "{table.name}" {named.alias} ON {named.key} = '
            f"{scope.column(column.name)}{target_condition(scope.alias, column, target)}")
        folded.append(named.column(table.primary_name + "__f"))
        raw.append(named.column(table.primary_name))
    quirks = builder.quirks
    def first(parts: list[str]) -> str:
        return parts[0] if len(parts) == 1 else f"COALESCE({', '.join(parts) or 'NULL, NULL'})"
    return Term(column.name + "name", first(folded), first(raw), descending,
                (quirks.null_order == "last") != descending, True, str,
                lambda text: collation.fold(text, quirks))


def key_terms(scope: Scope, quirks: Quirks) -> list[Term]:
    """Every order ends in the primary key, so that no two rows are equal."""
    table = scope.table
    names = [table.primary_id] + (["partitionid"] if table.table_type == "Elastic" else [])
    return [column_term(scope, table.columns[n], False, quirks) for n in names]


def order_terms(builder: Builder, scope: Scope, text: Optional[str], aliases: dict[str, str]
                ) -> list[Term]:
    """The order of a query; without $orderby that of the primary key (sheet 2.4)."""
    terms: list[Term] = []
    items: Sequence[OrderItem] = odata.parse_orderby(text) if text else ()
    for item in items:
        term = _term(builder, scope, odata.substitute(item, aliases))
        if all(term.name != t.name for t in terms):
            terms.append(term)
    present = {t.name for t in terms}
    terms.extend(t for t in key_terms(scope, builder.quirks) if t.name not in present)
    return terms


def _term(builder: Builder, scope: Scope, item: OrderItem) -> Term:
    path = item.operand
    if isinstance(path, Literal) and path.kind == "string":
        path = Path((path.value,))  # an alias may give the property's name
    if not isinstance(path, Path):
        raise refuse("$orderby takes properties only.")
    if len(path.names) > 1:
        raise refuse(f"Ordering by '{path}', a property of a related row, is not supported.")
    column = scope.table.by_property(path.names[0])
    if column is None:
        if single_nav(builder.ctx.model, scope.table, path.names[0]):
            raise refuse(f"Ordering by the navigation property '{path}' is not supported.")
        raise no_property(scope.table, path.names[0])
    if column.kind is Kind.MULTISELECT:
        raise refuse(f"Attribute '{column.name}' of type MultiSelectPicklist cannot be used to "
                     f"order or group.", "0x80050224")
    if column.kind is Kind.IMAGE:
        raise refuse(f"Ordering by '{column.name}' is not supported.")
    if column.kind.is_lookup:
        return lookup_term(builder, scope, column, item.descending)
    return column_term(scope, column, item.descending, builder.quirks)


def order_sql(terms: Sequence[Term]) -> str:
    return ", ".join(term.sql() for term in terms)


def after_sql(terms: Sequence[Term], last: Sequence[Any]) -> Sql:
    """Rows that come after the one with these order values."""
    term, value = terms[0], last[0]
    if value is None:
        after = Sql("0") if term.nulls_last else Sql(f"{term.expr} IS NOT NULL")
    else:
        after = Sql(f"{term.expr} {'<' if term.descending else '>'} ?", (value,))
        if term.nullable and term.nulls_last:
            after = Sql(f"({after.text} OR {term.expr} IS NULL)", after.params)
    if len(terms) == 1:
        return after
    rest = after_sql(terms[1:], last[1:])
    text = f"({after.text} OR ({term.expr} IS ? AND {rest.text}))"
    params = (*after.params, value, *rest.params)
    if value is not None and not (term.nullable and term.nulls_last):
        # Says the same once more in the form an index can serve.
        text = f"({term.expr} {'<=' if term.descending else '>='} ? AND {text})"
        params = (value, *params)
    return Sql(text, params)


# --- Cookies -------------------------------------------------------------------------------


@dataclasses.dataclass
class Cookie:
    page: int  #: of the page to come
    last: list[Any]  #: order values of the last row seen
    extra: dict[str, str]  #: elements beyond the order
    tracking: bool


_SAFE = "-_.!*()"


def _lower_quote(text: str, safe: str = _SAFE) -> str:
    """Percent-encoding with lower-case hex digits, as the service writes it."""
    return re.sub(r"%[0-9A-F]{2}", lambda m: m.group().lower(), percent_quote(text, safe=safe))


def twice_quoted(text: str, safe: str = _SAFE) -> str:
    return _lower_quote(_lower_quote(text, safe), safe)


def inner_cookie(terms: Sequence[Term], first: Sequence[Any], last: Sequence[Any], page: int,
                 extra: Optional[dict[str, str]] = None) -> str:
    """``<cookie page="1"><name last=".." first=".." />...</cookie>`` of one page (sheet 2.5).
    ``first``, ``last``: the raw order values of the page's ends."""
    elements = []
    for term, low, high in zip(terms, first, last):
        elements.append(f"<{term.name}{_end('last', term, high)}{_end('first', term, low)} />")
    for name, value in (extra or {}).items():
        elements.append(f"<{name} last={quoteattr(value)} first={quoteattr(value)} />")
    return f'<cookie page="{page}">{"".join(elements)}</cookie>'


def make_token(terms: Sequence[Term], first: Sequence[Any], last: Sequence[Any], page: int,
               extra: Optional[dict[str, str]] = None, tracking: bool = False) -> str:
    """``$skiptoken`` that leads to the page after ``page`` (sheet 2.5)."""
    twice = twice_quoted(inner_cookie(terms, first, last, page, extra))
    return (f"%3Ccookie%20pagenumber=%22{page + 1}%22%20pagingcookie=%22{twice}%22%20"
            f"istracking=%22{tracking}%22%20/%3E")


def _end(which: str, term: Term, value: Any) -> str:
    if value is None:
        return f' {which}null="1"'
    return f" {which}={_attribute(term.show(value))}"


def _attribute(text: str) -> str:
    """An XML attribute; control characters that XML cannot hold are hidden in a private escape."""
    text = re.sub(r"[\x00-\x1f\\]", lambda m: f"\\{ord(m.group()):02x}", text)
    return '"' + (text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
                  .replace('"', "&quot;")) + '"'


def _unattribute(text: str) -> str:
    return re.sub(r"\\([0-9a-f]{2})", lambda m: chr(int(m.group(1), 16)), text)


def bad_cookie() -> Fault:
    return refuse("Malformed XML in the Paging Cookie", "0x8004112A")


def _outer(token: str) -> ElementTree.Element:
    try:
        outer = ElementTree.fromstring(token)
        page = int(outer.get("pagenumber", ""))
    except (ElementTree.ParseError, ValueError):
        raise bad_cookie() from None
    if outer.tag != "cookie" or page < 2 or outer.get("pagingcookie") is None:
        raise bad_cookie()
    return outer


def is_tracking(token: str) -> bool:
    return _outer(token).get("istracking") == "True"


def read_token(token: str, terms: Sequence[Term], extra: Sequence[str] = ()) -> Cookie:
    """The cookie in an already once decoded ``$skiptoken``, checked against the order."""
    outer = _outer(token)
    try:
        inner = ElementTree.fromstring(unquote(outer.get("pagingcookie", "")))
    except ElementTree.ParseError:
        raise bad_cookie() from None
    last = read_cookie(inner, terms, extra)
    rest = {e.tag: e.get("last", "") for e in list(inner)[len(terms):]}
    return Cookie(int(outer.get("pagenumber", "2")), last, rest, outer.get("istracking") == "True")


def read_cookie(inner: ElementTree.Element, terms: Sequence[Term], extra: Sequence[str] = ()
                ) -> list[Any]:
    """Order values of the last row seen; the columns must be those of this query's order."""
    elements = list(inner)
    if [e.tag for e in elements] != [t.name for t in terms] + list(extra):
        raise refuse("The order by columns of the query differ from those of the paging cookie.",
                     "0x80041129")
    return [_read_end(element, term) for element, term in zip(elements, terms)]


def _read_end(element: ElementTree.Element, term: Term) -> Any:
    text = element.get("last")
    if text is None:
        if element.get("lastnull") == "1" and term.nullable:
            return None
        raise bad_cookie()
    try:
        return term.read(_unattribute(text))
    except (ValueError, ArithmeticError):
        raise bad_cookie() from None
