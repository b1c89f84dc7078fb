"""Columns the service computes itself from others of the same row.

``x_base`` of money (sheet 3.2), ``owninguser``/``owningteam`` from the owner, a person's full
name, ``address1_composite``, what comes with an image: whatever a payload says about them, these values win.
"""
from __future__ import annotations

import decimal
import functools
import uuid
from decimal import Decimal
from typing import Any, Callable, Iterable, NamedTuple, Optional

from . import collation, values
from .core import Kind, Table

Row = dict[str, Any]
#: 1970-01-01 in ticks of 100 ns since year 1.
_EPOCH_TICKS = 621_355_968_000_000_000
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
    """Of amounts that were written; of all where the rate changes."""
    rate = _rate(row.get("exchangerate") or "1")
    everything = "exchangerate" in new
    for column, base in _money_pairs(table):
        if column not in new and not everything:
            continue
        amount = row.get(column)
        if amount is None:
            if column in new:
                new[base] = new[base + "__s"] = None
        else:
            text = amount if rate == 1 else _divided(amount, rate)
            new[base], new[base + "__s"] = text, values.sort_key(text)


def _image_facts(store: Any, table: Table, row: Row, new: Row) -> None:
    """``xid``, ``x_timestamp`` and ``x_url`` of the images that were written (sheet 3.2, 12)."""
    for name in _images(table):
        if name not in new:
            continue
        names = (f"{name}id", f"{name}_timestamp", f"{name}_url")
        if new[name] is None:
            new.update(dict.fromkeys((*names, f"{name}_url__f")))
            continue
        own = row[table.primary_id]
        ticks = _EPOCH_TICKS + 10 * (row.get("modifiedon") or 0)
        column = table.columns[name]
        new[names[0]] = str(uuid.uuid5(uuid.UUID(own), f"{name} {ticks}"))
        new[names[1]] = ticks
        _put_text(store, new, names[2],
                  f"/Image/download.aspx?Entity={table.name}&Attribute={name}&Id={own}"
                  f"&Timestamp={ticks}" + ("&Full=true" if column.full_image else ""))


def _images(table: Table) -> list[str]:
    return [c.name for c in table.columns.values() if c.kind is Kind.IMAGE]


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
    for name in _images(table):
        found.update((f"{name}id", f"{name}_timestamp", f"{name}_url"))
    return {name for column in found for name in values.storage_columns(table.columns[column])}


_PERSON = ("firstname", "lastname")
_ADDRESS = tuple(f"address1_{part}" for part in (
    "line1", "line2", "line3", "city", "stateorprovince", "postalcode", "country"))


class _Rule(NamedTuple):
    inputs: frozenset[str]  #: a change of one of these calls for it
    apply: Callable[[Any, Table, Row, Row], None]
    key: str = ""  #: the table's primary id

    def needs(self, changed: Row) -> Iterable[str]:
        """The columns it looks at beyond those that change."""
        if self.apply is _base_money and "exchangerate" not in changed:
            return ("exchangerate",)
        return self.inputs if self.apply is not _image_facts else (*self.inputs, self.key)


def _rules(table: Table) -> list[_Rule]:
    rules: list[_Rule] = []
    columns = table.columns
    if "fullname" in columns:
        rules.append(_Rule(frozenset(_PERSON), _full_name))
    if "address1_composite" in columns:
        rules.append(_Rule(frozenset(_ADDRESS), _address))
    if "owninguser" in columns:
        rules.append(_Rule(frozenset({"ownerid", "ownerid__t"}), _owner))
    if _images(table):
        rules.append(_Rule(frozenset(_images(table)), _image_facts, table.primary_id))
    money = [name for name, _ in _money_pairs(table)]
    if money:
        rules.append(_Rule(frozenset({*money, "exchangerate"}), _base_money))
    return rules


_cache: dict[int, tuple[Table, list[_Rule]]] = {}


def _rules_of(table: Table) -> list[_Rule]:
    found = _cache.get(id(table))
    if found is None or found[0] is not table:
        found = _cache[id(table)] = (table, _rules(table))
    return found[1]


def inputs(table: Table) -> list[str]:
    """Columns that rules look at, but money and images: few, and cheap to read with others."""
    found = {name for rule in _rules_of(table) for name in rule.inputs
             if rule.apply is not _image_facts and not name.endswith("__t")}
    return sorted(found - {name for name, _ in _money_pairs(table)})


def complete(store: Any, table: Table, changed: Row) -> None:
    """Add the computed columns to a new row."""
    for rule in _rules_of(table):
        if not rule.inputs.isdisjoint(changed):
            rule.apply(store, table, changed, changed)


def follow(store: Any, table: Table, changed: Row, where: str, params: tuple[Any, ...],
           known: Optional[Row] = None) -> None:
    """Add the computed columns to the change of a row that is there: of a wide row, only the few
    columns that a rule looks at are read, and none where ``known`` has them."""
    wanted = [rule for rule in _rules_of(table) if not rule.inputs.isdisjoint(changed)]
    if not wanted:
        return
    needed = sorted({name for rule in wanted for name in rule.needs(changed)} - changed.keys())
    needed = [name for name in needed if name.removesuffix("__t") in table.columns]
    merged = changed
    if needed and known is not None and known.keys() >= set(needed):
        merged = {**known, **changed}
    elif needed:
        listed = ", ".join(f'"{name}"' for name in needed)
        row = store.execute(f'SELECT {listed} FROM "{table.name}" WHERE {where}', params).fetchone()
        merged = {**dict(zip(needed, row or ())), **changed}
    for rule in wanted:
        rule.apply(store, table, merged, changed)
