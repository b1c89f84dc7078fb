"""Order of FetchXML rows (sheet 2.4, 2.12.2, 2.12.3).

The entity's orders come first, those of its links after them. Choices sort by label, in upper and
lower case alike, unless the query says ``useraworderby``; lookups by the name of their target.
"""
from __future__ import annotations

from typing import Sequence

from . import collation, paging
from .core import Column, Kind, Quirks
from .fetchjoin import Joins, Source
from .fetchwhere import FetchBuilder, column_of
from .fetchxml import Fetch, Order, fault
from .paging import Term
from .where import Scope, refuse


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def has_label(column: Column) -> bool:
    return column.kind.is_choice or column.kind is Kind.BOOLEAN


def label_sql(column: Column, target: str, quirks: Quirks, folded: bool) -> str:
    """The label of a choice; of a value without one, its digits."""
    cases = []
    for option in column.options:
        label = collation.fold(option.label, quirks) if folded else option.label
        cases.append(f" WHEN {option.value} THEN {_quoted(label)}")
    return f"(CASE {target}{''.join(cases)} ELSE CAST({target} AS TEXT) END)"


def _label_term(scope: Scope, column: Column, descending: bool, quirks: Quirks) -> Term:
    target = scope.column(column.name)
    return Term(column.name, label_sql(column, target, quirks, True),
                label_sql(column, target, quirks, False), descending,
                (quirks.null_order == "last") != descending, True, str,
                lambda text: collation.fold(text, quirks))


def _term(builder: FetchBuilder, fetch: Fetch, source: Source, order: Order) -> Term:
    scope = source.scope
    column = column_of(scope.table, order.attribute or "")
    if column.kind in (Kind.MULTISELECT, Kind.IMAGE):
        raise refuse(f"Attribute '{column.name}' of type {column.kind.value} cannot be used to "
                     "order or group.", "0x80050224")
    if has_label(column) and not fetch.useraworderby:
        return _label_term(scope, column, order.descending, builder.quirks)
    if column.kind.is_lookup:
        return paging.lookup_term(builder, scope, column, order.descending)
    return paging.column_term(scope, column, order.descending, builder.quirks)


def terms_of(builder: FetchBuilder, fetch: Fetch, joins: Joins) -> tuple[list[Term], bool]:
    """The terms of the written order, and whether all are of the entity's own columns."""
    found: list[tuple[Source, Term]] = []
    for source in joins.sources:
        for order in source.body.orders:
            of = source
            if order.entityname is not None:
                of = joins.named(order.entityname)
            term = _term(builder, fetch, of, order)
            if any(s is of and t.name == term.name for s, t in found):
                raise fault("0x80048D16", "A column has been specified more than once in the order "
                            "by list. Columns in the order by list must be unique.")
            found.append((of, term))
    return [t for _, t in found], all(s is joins.root for s, _ in found)


def completed(terms: Sequence[Term], scope: Scope, quirks: Quirks) -> list[Term]:
    """The order with the entity's primary key at its end."""
    names = {t.name for t in terms}
    return [*terms, *(t for t in paging.key_terms(scope, quirks) if t.name not in names)]
