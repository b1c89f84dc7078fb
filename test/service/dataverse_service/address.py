"""Row addresses: what stands in ``set(...)``, in a URL's path and inside bodies (sheet 1.5, 3.5).

A URL in a body (``@odata.bind``, ``@odata.id``) is taken literally: the apostrophe is doubled and
nothing is percent-decoded. A URL in the path was decoded once before it comes here. The two refuse
different characters in key values, so the caller says which kind it has.

The parser is by hand: a bulk message brings a thousand addresses, each must cost microseconds.
"""
from __future__ import annotations

import dataclasses
import re
from decimal import Decimal
from typing import Any, NamedTuple, Optional
from urllib.parse import quote

from . import values
from .core import Column, Context, Fault, Key, Kind, Table

#: Key values with one of these make a keyed address in the path fail (sheet 1.5).
REFUSED_IN_PATH = frozenset("/<>*%&:\\?+#")
#: Inside bodies only these do; ``* < > % & :`` worked (sheet 1.5).
REFUSED_IN_BODY = frozenset("/\\?#")
#: A date in a key is not text: its colons are part of the literal (sheet 1.5).
_DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?")
_GUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_PAIR = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*('(?:[^']|'')*'|\([^()']*\)|[^,'()]+)\s*")
_REFERENCE = re.compile(r"(?:https?://[^/]+)?(?:/?api/data/v\d+\.\d+)?/?"
                        r"([A-Za-z_][A-Za-z0-9_]*)\((.*)\)",
                        re.DOTALL)
#: systemuser and team inherit their key from ``principal`` (sheet 1.4, 1.5).
_PRINCIPALS = ("systemuser", "team")


class Ref(NamedTuple):
    """A row that exists: its primary id, and its partition on elastic tables."""

    row_id: str
    partition: Optional[str] = None


@dataclasses.dataclass
class Address:
    """A parsed key: either the primary id or one alternate key's values, as they are stored."""

    table: Table
    text: str  #: as written between the parentheses
    row_id: Optional[str] = None
    partition: Optional[str] = None
    key: Optional[Key] = None
    wire: dict[str, Any] = dataclasses.field(default_factory=dict)
    """The key's values by logical name, as JSON would hold them."""
    stored: dict[str, Any] = dataclasses.field(default_factory=dict)
    """The same as storage columns to compare with: not checked as a value to store would be."""


def syntax_fault() -> Fault:
    return Fault(400, "0x8006088A", "Bad Request - Error in query syntax.")


def invalid_key(table: Table) -> Fault:
    """The names are no declared key of the table (sheet 1.5)."""
    resource = f"Microsoft.Dynamics.CRM.{table.name}"
    return Fault(
        400, "0x80060888",
        f"The key in the request URI is not valid for resource '{resource}'. Ensure that the names "
        f"and number of key properties match the declared or alternate key properties for the "
        f"resource '{resource}'.")


def not_found(table: Table, row_id: str) -> Fault:
    """No row with that id (sheet 2.1.2); elastic storage answers with HTTP numbers (sheet 5.4)."""
    code = "404" if table.table_type == "Elastic" else "0x80040217"
    return Fault(404, code, f"{table.name} With Id = {row_id} Does Not Exist")


def key_not_found(table: Table) -> Fault:
    return Fault(404, "0x80060891",
                 f"A record with the specified key values does not exist in {table.name} entity")


def missing(address: Address) -> Fault:
    """The fault for an address that no row has."""
    if address.row_id is not None:
        return not_found(address.table, address.row_id)
    return key_not_found(address.table)


def guid(text: str) -> Optional[str]:
    """The lower-case form of a GUID as it must stand in addresses: bare, with hyphens."""
    return text.lower() if _GUID.fullmatch(text) else None


def parse(ctx: Context, table: Table, text: str, *, in_body: bool = False,
          partition: Optional[str] = None) -> Address:
    """What stands between the parentheses, as an address of ``table``.

    ``partition`` is the ``partitionId`` query option of elastic tables (sheet 13.1).
    """
    row_id = guid(text)
    if row_id is not None:
        return _by_id(table, text, row_id, partition)
    pairs = _pairs(table, text)
    id_name = "ownerid" if table.name in _PRINCIPALS else table.primary_id
    names = {name for name, _ in pairs}
    if names == {id_name} or (table.table_type == "Elastic" and names == {id_name, "partitionid"}):
        return _by_named_id(table, text, dict(pairs), id_name, partition)
    key = _key_of(table, names)
    if key is None:
        raise invalid_key(table)
    address = Address(table, text, key=key)
    refused = REFUSED_IN_BODY if in_body else REFUSED_IN_PATH
    for name, literal in pairs:
        column = table.by_property(name)
        assert column is not None
        value = _wire(column, literal, refused)
        address.wire[column.name] = value
        address.stored.update(values.from_json(column, value, ctx.quirks, for_filter=True))
    return address


def _by_id(table: Table, text: str, row_id: str, partition: Optional[str]) -> Address:
    if table.table_type == "Elastic":
        return Address(table, text, row_id, partition if partition is not None else row_id)
    return Address(table, text, row_id)


def _by_named_id(table: Table, text: str, literals: dict[str, str], id_name: str,
                 partition: Optional[str]) -> Address:
    row_id = guid(literals[id_name])
    if row_id is None:
        raise syntax_fault()
    if "partitionid" in literals:
        literal = literals["partitionid"]
        if not literal.startswith("'"):
            raise syntax_fault()
        partition = _unquote(literal)
    return _by_id(table, text, row_id, partition)


def _pairs(table: Table, text: str) -> list[tuple[str, str]]:
    """``name=literal`` pairs; names may come in any order, each once."""
    pairs: list[tuple[str, str]] = []
    position = 0
    while True:
        match = _PAIR.match(text, position)
        if match is None:
            raise syntax_fault() if "=" in text else invalid_key(table)
        pairs.append((match.group(1), match.group(2).strip()))
        position = match.end()
        if position == len(text):
            break
        if text[position] != ",":
            raise syntax_fault()
        position += 1
    if len({name for name, _ in pairs}) != len(pairs):
        raise invalid_key(table)
    return pairs


_keys: dict[tuple[int, frozenset[str]], tuple[Table, Optional[Key]]] = {}


def _key_of(table: Table, names: set[str]) -> Optional[Key]:
    """The active alternate key with exactly these property names (lookups as ``_x_value``)."""
    slot = (id(table), frozenset(names))
    found = _keys.get(slot)
    if found is None or found[0] is not table:
        found = (table, next((
            key for key in table.keys if key.status == "Active"
            and {table.columns[c].property_name for c in key.columns} == names), None))
        if found[1] is not None:  # callers may invent names without end: keep none of them
            _keys[slot] = found
    return found[1]


def _unquote(literal: str) -> str:
    return literal[1:-1].replace("''", "'")


def _wire(column: Column, literal: str, refused: frozenset[str]) -> Any:
    """One key value; the literal's form must be that of the column's type (sheet 1.5)."""
    kind = column.kind
    if kind.is_lookup:
        row_id = guid(literal[1:-1] if literal.startswith("(") else literal)
        if row_id is None:
            raise syntax_fault()
        return row_id
    if kind.is_text:
        if not literal.startswith("'"):
            raise syntax_fault()
        text = _unquote(literal)
        if not refused.isdisjoint(text):
            raise syntax_fault()
        return text
    if kind is Kind.DATETIME:
        if not _DATE.fullmatch(literal):
            raise syntax_fault()
        return literal
    if not _NUMBER.fullmatch(literal):
        raise syntax_fault()
    return Decimal(literal) if "." in literal else int(literal)


def find(ctx: Context, address: Address) -> Optional[Ref]:
    """The row at an address, or None. More than one row for a key is an error (sheet 7.7)."""
    store, table = ctx.store, address.table
    if address.row_id is not None:
        if not store.exists(table, address.row_id, address.partition):
            return None
        return Ref(address.row_id, address.partition)
    assert address.key is not None
    found = store.find_by_key(table, address.key, address.stored)
    if not found:
        return None
    if len(found) > 1:
        raise Fault(412, "0x8006089D", "There are multiple records with matching key values.")
    return Ref(found[0], None)


def reference(ctx: Context, url: str, fault: Fault) -> Address:
    """The address in a URL of a body: absolute, relative to the root, leading slash or not
    (sheet 3.5). ``fault`` is raised when the text is no such URL or names no entity set."""
    match = _REFERENCE.fullmatch(url)
    if match is None:
        raise fault
    if url.startswith("http") and not url.startswith(ctx.base + "/"):
        raise fault
    table = ctx.model.by_set.get(match.group(1))
    if table is None:
        raise Fault(404, "0x8006088A", f"Resource not found for the segment '{match.group(1)}'.")
    return parse(ctx, table, match.group(2), in_body=True)


def row_url(ctx: Context, table: Table, ref: Ref) -> str:
    """The canonical address of a row; elastic rows name both key parts (sheet 13.1)."""
    if table.table_type == "Elastic":
        partition = quote((ref.partition or ref.row_id).replace("'", "''"), safe="")
        key = f"{table.primary_id}={ref.row_id},partitionid='{partition}'"
        return f"{ctx.base}/{table.set_name}({key})"
    return f"{ctx.base}/{table.set_name}({ref.row_id})"


def address_url(ctx: Context, address: Address) -> str:
    """The address as the caller wrote it: PATCH by key repeats the key URL (sheet 4.3)."""
    if address.row_id is not None:
        return row_url(ctx, address.table, Ref(address.row_id, address.partition))
    key = quote(address.text, safe="=,;()@!$-._~'")
    return f"{ctx.base}/{address.table.set_name}({key})"
