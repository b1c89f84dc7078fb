"""Columns the service computes itself from others of the same row.

``x_base`` of money (sheet 3.2), ``owninguser``/``owningteam`` from the owner, a person's full
name, ``address1_composite``: whatever a payload says about them, these values win.
"""
from __future__ import annotations

import decimal
import functools
from decimal import Decimal
from typing import Any, Callable, Optional

from . import collation, values
from .core import Kind, Table

Row = dict[str, Any]
_fold = collation.fold


def _put_text(store: Any, row: Row, name: str, text: Optional[str]) -> None:
    text = text or None
    row[name] = text
    row[name + "__f"] = None if text is None else _fold(text, store.quirks)


def _full_name(store: Any, table: Table, row: Row, new: Row) -> None:
    parts = [row.get("firstname"), row.get("lastname")]
    _put_text(store, new, "fullname", " ".join(p for p in parts if p))


def _address(store: Any, table: Table, row: Row, new: Row) -> None:
    lines = [row.get(f"address1_line{n}") for n in (1, 2, 3)]
    region = " ".join(
        p for p in (row.get("address1_stateorprovince"), row.get("address1_postalcode")) if p
    )
    city = ", ".join(p for p in (row.get("address1_city"), region) if p)
    lines += [city, row.get("address1_country")]
    _put_text(store, new, "address1_composite", "\r\n".join(line for line in lines if line))


def _owner(store: Any, table: Table, row: Row, new: Row) -> None:
    owner, kind = row.get("ownerid"), row.get("ownerid__t")
    for name, target in (("owninguser", "systemuser"), ("owningteam", "team")):
        if name in table.columns:
            new[name], new[name + "__t"] = (owner, target) if kind == target else (None, None)


_rate = functools.lru_cache(maxsize=256)(Decimal)


def _divided(amount: str, rate: Decimal) -> str:
    """The amount in base currency."""
    base = decimal.Context(prec=60).divide(Decimal(amount), rate)
    return values.exact_digits(base, values.MONEY_SCALE, values.MONEY_SCALE)


def _base_money(store: Any, table: Table, row: Row, new: Row) -> None:
    rate = _rate(row.get("exchangerate") or "1")
    for column, base in _money_pairs(table):
        amount = row.get(column)
        if amount is None:
            if row.get(base) is not None:
                new[base] = new[base + "__s"] = None
        else:
            text = amount if rate == 1 else _divided(amount, rate)
            new[base], new[base + "__s"] = text, values.sort_key(text)


_pairs: dict[int, tuple[Table, list[tuple[str, str]]]] = {}


def _money_pairs(table: Table) -> list[tuple[str, str]]:
    """Money columns with their ``_base`` companions."""
    found = _pairs.get(id(table))
    if found is None or found[0] is not table:
        pairs = [
            (c.name, c.name + "_base")
            for c in table.columns.values()
            if c.kind is Kind.MONEY and c.name + "_base" in table.columns
        ]
        found = _pairs[id(table)] = (table, pairs)
    return found[1]


def outputs(table: Table) -> set[str]:
    """Storage columns that the rules of this table may set."""
    found = {"fullname", "address1_composite", "owninguser", "owningteam"} & set(table.columns)
    found.update(base for _, base in _money_pairs(table))
    return {name for column in found for name in values.storage_columns(table.columns[column])}


_Rule = tuple[frozenset[str], Callable[[Any, Table, Row, Row], None]]


def _rules(table: Table) -> list[_Rule]:
    rules: list[_Rule] = []
    if "fullname" in table.columns:
        rules.append((frozenset({"firstname", "lastname"}), _full_name))
    if "address1_composite" in table.columns:
        inputs = {c for c in table.columns if c.startswith("address1_")}
        rules.append((frozenset(inputs), _address))
    if "owninguser" in table.columns:
        rules.append((frozenset({"ownerid"}), _owner))
    money = [name for name, _ in _money_pairs(table)]
    if money:
        rules.append((frozenset({*money, "exchangerate"}), _base_money))
    return rules


_cache: dict[int, tuple[Table, list[_Rule]]] = {}


def _rules_of(table: Table) -> list[_Rule]:
    found = _cache.get(id(table))
    if found is None or found[0] is not table:
        found = _cache[id(table)] = (table, _rules(table))
    return found[1]


def concerns(table: Table, changed: Row) -> bool:
    """Does a change of these columns touch a computed one?"""
    return any(not inputs.isdisjoint(changed) for inputs, _ in _rules_of(table))


def complete(store: Any, table: Table, changed: Row, existing: Optional[Row]) -> None:
    """Add the computed columns to a change."""
    merged = {**(existing or {}), **changed}
    for inputs, rule in _rules_of(table):
        if not inputs.isdisjoint(changed):
            rule(store, table, merged, changed)
