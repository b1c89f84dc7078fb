"""What a payload may say to a table, and its values as the store keeps them (sheet 3, 4.1).

Settled once per table in a ``Plan``: a dictionary from the JSON member's name to the function that
takes its value. Reading a payload is then one look-up for each member, which is what makes a bulk
message of a thousand rows cheap.
"""
from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import Any, Callable, Collection, NamedTuple, Optional

from . import address, computed, values
from .address import Address, Ref
from .core import Column, Context, Fault, Key, Kind, Relationship, Table
from .definitions import primary_image

Payload = dict[str, Any]

_HELP = ("For more information on this error please follow this help link "
         "https://go.microsoft.com/fwlink/?linkid=2195293  ---->  InnerException : "
         "Microsoft.OData.ODataException: ")
#: The service fills these itself; what a payload says of them is ignored (sheet 3.7, 4.1).
AUDIT = frozenset({"createdon", "createdby", "modifiedon", "modifiedby", "versionnumber",
                    "exchangerate", "createdonbehalfby", "modifiedonbehalfby", "owninguser",
                    "owningteam", "owningbusinessunit"})


# --- faults -------------------------------------------------------------------------------------


def payload_fault(table: Optional[Table], detail: str) -> Fault:
    """The payload cannot be read (sheet 2.10, 3.5)."""
    name = table.set_name if table is not None else ""
    return Fault(400, "0x80048D19",
                 f"Error identified in Payload provided by the user for Entity :'{name}', "
                 f"{_HELP}{detail}")


def invalid_property(table: Table, name: str) -> Fault:
    return Fault(400, "0x80048D19",
                 f"Invalid property '{name}' was found in entity "
                 f"'Microsoft.Dynamics.CRM.{table.name}'. "
                 "---> Microsoft.OData.ODataException: Does not support untyped value in non-open "
                 "type.")


def undeclared(table: Table, name: str) -> Fault:
    """An annotation without a property: the usual answer to a navigation name in the wrong case."""
    return payload_fault(
        table, f"An undeclared property '{name}' which only has property annotations in the "
               "payload "
        "but no property value was found in the payload. In OData, only declared navigation "
        "properties and declared named streams can be represented as properties without values.")


# --- JSON ---------------------------------------------------------------------------------------


class _Duplicate(ValueError):
    pass


def _members(pairs: list[tuple[str, Any]]) -> Payload:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise _Duplicate(next(n for n in names if names.count(n) > 1))
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"Invalid JSON. The token '{text}' is not allowed.")


def parse_json(body: bytes) -> Any:
    """A JSON body, numbers kept exact. A byte-order mark is tolerated, a member twice is not."""
    try:
        return json.loads(body.decode("utf-8-sig"), parse_float=Decimal,
                          parse_constant=_no_constant, object_pairs_hook=_members)
    except _Duplicate as fault:
        raise payload_fault(
            None, f"Multiple properties with the name '{fault}' were detected in a resource or a "
            "complex value. In OData, duplicate property names are not allowed.") from None
    except ValueError as fault:
        raise payload_fault(None, f"Invalid JSON. {fault}") from None
    except RecursionError:
        raise payload_fault(None, "The depth limit of nested objects has been exceeded.") from None


def parse_object(body: bytes) -> Payload:
    payload = parse_json(body)
    if not isinstance(payload, dict):
        raise payload_fault(
            None, "When trying to read the start of a resource, an unexpected node was detected: a "
            "JSON object was expected.")
    return payload


# --- one payload while it is read ---------------------------------------------------------------


class Parent(NamedTuple):
    """A nested object under a single-valued navigation property: deep insert (sheet 4.1)."""

    column: Column
    target: Table
    payload: Payload


class Child(NamedTuple):
    """A nested array or a bind array under a collection-valued navigation property."""

    relationship: Relationship
    rows: list[Any]


class Change:
    """One payload while it is read: storage values so far, and related rows to write."""

    __slots__ = ("ctx", "table", "plan", "creating", "stored", "parents", "children", "links",
                 "row_id", "kept_targets")

    def __init__(self, ctx: Context, table: Table, plan: "Plan", creating: bool):
        self.ctx = ctx
        self.table = table
        self.plan = plan
        self.creating = creating
        self.stored: dict[str, Any] = {}
        self.parents: list[Parent] = []
        self.children: list[Child] = []
        self.links: list[Child] = []
        self.row_id: Optional[str] = None
        #: Names of polymorphic lookups given as null: they clear only what is theirs.
        self.kept_targets: list[Navigation] = []


_Taker = Callable[[Change, Any, str, Any], None]


class Reader:
    """A column with what reads its values, found once."""

    __slots__ = ("column", "read", "empty", "folded", "short")

    def __init__(self, column: Column):
        self.column = column
        self.read = values.reader_of(column)
        self.empty = values.empty(column)
        self.folded = column.name + "__f" if column.kind.is_text else ""
        self.short = column.max_length // 2 if column.kind.is_text else -1
        """Texts up to here fit, however their characters are counted."""


def _take_value(change: Change, reader: Reader, name: str, value: Any) -> None:
    if type(value) is str and 0 < len(value) <= reader.short and value.isascii():
        change.stored[name] = value  # what values.from_json would say: most of what comes
        change.stored[reader.folded] = value.lower()
        return
    if value is None:
        change.stored.update(reader.empty)
        return
    if isinstance(value, (dict, list)):
        raise values.conversion_fault(reader.column, value)
    change.stored.update(reader.read(reader.column, value, change.ctx.quirks, False))


def _take_create_only(change: Change, reader: Reader, name: str, value: Any) -> None:
    if change.creating:
        _take_value(change, reader, name, value)


def _take_update_only(change: Change, reader: Reader, name: str, value: Any) -> None:
    if not change.creating:
        _take_value(change, reader, name, value)


def _take_other_image(change: Change, reader: Reader, name: str, value: Any) -> None:
    """Only the primary image may come with a new row (sheet 12)."""
    if change.creating and value is not None:
        raise Fault(400, "0x80090487",
                    f"The image column '{name}' is not the primary image and cannot be set on "
                    "create.")
    _take_value(change, reader, name, value)


def _ignore(change: Change, what: Any, name: str, value: Any) -> None:
    """IsValidForCreate or IsValidForUpdate is false: silently ignored (sheet 3.7)."""


def _take_primary_id(change: Change, column: Column, name: str, value: Any) -> None:
    if value is None:
        return
    change.row_id = values.from_json(column, value, change.ctx.quirks)[column.name]


def refuse_lookup_value() -> Fault:
    return Fault(400, "0x80060888",
                "CRM do not support direct update of Entity Reference properties, Use Navigation "
                "properties instead.")


def _refuse_lookup_value(change: Change, column: Column, name: str, value: Any) -> None:
    raise refuse_lookup_value()


def _refuse_logical_name(change: Change, column: Column, name: str, value: Any) -> None:
    """The lookup's logical name where the navigation property is called otherwise (sheet 3.5)."""
    raise invalid_property(change.table, name)


@dataclasses.dataclass
class Navigation:
    """A single-valued navigation property: the lookup behind it and the tables it may point to."""

    column: Column
    targets: tuple[str, ...]


def _put_lookup(change: Change, navigation: Navigation, row_id: Optional[str],
                target: Optional[str]) -> None:
    column = navigation.column
    if row_id is None and change.ctx.quirks.null_of_other_target == "kept" \
            and len(navigation.targets) < len(column.targets):
        change.kept_targets.append(navigation)
        return
    if not (column.creatable if change.creating else column.updatable) or column.name in AUDIT:
        return
    if row_id is None and column.kind is Kind.OWNER:
        raise Fault(400, "0x80040215", "The owner of a record cannot be null.")
    change.stored[column.name] = row_id
    change.stored[f"{column.name}__t"] = target


def _take_bind(change: Change, navigation: Navigation, name: str, value: Any) -> None:
    """``nav@odata.bind``: a URL by id or by alternate key (sheet 3.5)."""
    if value is None:
        mode = change.ctx.quirks.bind_null
        if mode == "refused":
            raise payload_fault(
                change.table, f"The '{name}' instance or property annotation has a null value. The "
                "annotation must have a non-null string value.")
        if mode == "accepted":
            _put_lookup(change, navigation, None, None)
        return
    if not isinstance(value, str):
        raise payload_fault(change.table, f"The '{name}' annotation must have a string value.")
    table, ref = resolve_bind(change.ctx, value, name, change.table)
    if table.name not in navigation.targets:
        raise payload_fault(
            change.table, f"The resource '{value}' is not a valid value for the navigation "
                          "property "
            f"'{name.partition('@')[0]}'.")
    _put_lookup(change, navigation, ref.row_id, table.name)


def resolve_bind(ctx: Context, url: str, name: str, owner: Optional[Table]) -> tuple[Table, Ref]:
    """The row that a URL in a body points to, which must exist."""
    target = address.reference(ctx, url, payload_fault(
        owner, f"The value '{url}' of '{name}' is not a valid resource address."))
    ref = address.find(ctx, target)
    if ref is None:
        raise address.missing(target)
    return target.table, ref


def _take_navigation(change: Change, navigation: Navigation, name: str, value: Any) -> None:
    """``"nav": null`` clears; an object is a deep insert (sheet 3.5, 4.1)."""
    if value is None:
        _put_lookup(change, navigation, None, None)
        return
    if not isinstance(value, dict):
        raise payload_fault(change.table, f"The navigation property '{name}' expects an object or "
                                          "null.")
    if not change.creating:
        raise _deep_update(name)
    target = _nested_table(change, navigation.targets, value)
    change.parents.append(Parent(navigation.column, target, value))


def _deep_update(name: str) -> Fault:
    return Fault(400, "0x80060888",
                 "Deep update of navigation properties is not allowed. Navigation property "
                 f"'{name}' "
                 "cannot be updated together with its record.")


def _nested_table(change: Change, targets: tuple[str, ...], payload: Payload) -> Table:
    if len(targets) == 1:
        return change.ctx.model.tables[targets[0]]
    name = str(payload.get("@odata.type", "")).lstrip("#").rpartition(".")[2]
    if name not in targets:
        raise payload_fault(change.table, "A resource without a type name was found, but no "
                                          "expected "
                            "type was specified.")
    return change.ctx.model.tables[name]


def _take_collection(change: Change, relationship: Relationship, name: str, value: Any) -> None:
    if not isinstance(value, list):
        raise payload_fault(change.table, f"The navigation property '{name}' expects an array.")
    if not change.creating:
        raise _deep_update(name)
    change.children.append(Child(relationship, value))


def _take_collection_bind(change: Change, relationship: Relationship, name: str,
                          value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(url, str) for url in value):
        raise payload_fault(change.table, f"The '{name}' annotation must have an array of strings.")
    if not change.creating:
        raise _deep_update(name.partition("@")[0])
    change.links.append(Child(relationship, value))


def _take_annotation(change: Change, name: str, value: Any) -> None:
    """Members with ``@`` that no rule of the plan knows."""
    prop, _, annotation = name.partition("@")
    if prop:
        if annotation == "odata.bind" or prop not in change.plan.takers:
            raise undeclared(change.table, prop)
        return
    if annotation == "odata.type":
        check_type(change.table, value)


def check_type(table: Table, value: Any) -> None:
    """``@odata.type`` of a payload must name its table."""
    if not isinstance(value, str) or value.lstrip("#") != f"Microsoft.Dynamics.CRM.{table.name}":
        raise payload_fault(
            table, f"A type named '{value}' could not be resolved as the type "
            f"'Microsoft.Dynamics.CRM.{table.name}' of this resource.")


# --- a table's plan -----------------------------------------------------------------------------


class Plan:
    """Everything about a table that a write asks for, worked out once."""

    def __init__(self, ctx: Context, table: Table):
        columns = table.columns
        self.takers: dict[str, tuple[_Taker, Any]] = {}
        self.navigations: dict[str, Navigation] = {}
        self.collections: dict[str, Relationship] = dict(ctx.model.one_to_many(table.name))
        for column in columns.values():
            if not column.attribute_of:
                self._add_column(table, column)
        self._add_navigations()
        # Elastic tables know one key only, and that is the primary one (sheet 1.5).
        elastic = table.table_type == "Elastic"
        self.keys = [] if elastic else [k for k in table.keys if k.status == "Active"]
        self.state = next((c for c in columns.values() if c.kind is Kind.STATE), None)
        self.status = next((c for c in columns.values() if c.kind is Kind.STATUS), None)
        owner = columns.get("ownerid")
        self.owner = owner if owner is not None and owner.kind is Kind.OWNER else None
        #: systemuser and team: the key they inherit from ``principal`` (sheet 1.4).
        self.is_principal = owner is not None and owner.kind is Kind.GUID
        self.money = [c.name for c in columns.values()
                      if c.kind is Kind.MONEY and not c.name.endswith("_base")]
        self.has_currency = "transactioncurrencyid" in columns
        self.has_rate = "exchangerate" in columns
        self.auto_numbers = [c for c in columns.values() if c.auto_number]
        self.required = [c for c in columns.values()
                         if c.required == "SystemRequired" and not c.is_primary_id
                         and c.creatable and not c.attribute_of and c.name not in AUDIT]
        self._key_members: dict[str, frozenset[str]] = {}
        self.watched = self._watched(table)
        names = ", ".join(f'"{name}"' for name in self.watched)
        self.watch_sql = f'SELECT {names} FROM "{table.name}" WHERE "{table.primary_id}" = ?'

    def _watched(self, table: Table) -> list[str]:
        """Storage columns on which the rules of an update depend: of a wide row, only a few."""
        names = {name for key in self.keys for name in key.columns}
        names.update(c.name for c in (self.state, self.status) if c is not None)
        if self.has_currency:
            names.add("transactioncurrencyid")
        names.add(table.primary_id)
        names.update(computed.inputs(table))
        return [s for name in sorted(names) for s in values.storage_columns(table.columns[name])]

    def members_of(self, target: Address) -> frozenset[str]:
        """Payload members that would set a column of the address's key."""
        key = target.key
        if key is None:
            return frozenset()
        found = self._key_members.get(key.name)
        if found is None:
            found = self._key_members[key.name] = _key_members(target.table, key)
        return found

    def _add_column(self, table: Table, column: Column) -> None:
        if column.kind.is_lookup:
            self.takers[column.property_name] = (_refuse_lookup_value, column)
            for target, name in column.navigation.items():
                known = self.navigations.setdefault(name, Navigation(column, ()))
                known.targets += (target,)
            if column.name not in self.navigations:
                self.takers[column.name] = (_refuse_logical_name, column)
            return
        other_image = column.kind is Kind.IMAGE and column.name != primary_image(table)
        taker = _take_other_image if other_image else _taker_of(column)
        plain = taker in (_ignore, _take_primary_id)
        self.takers[column.name] = (taker, column if plain else Reader(column))

    def _add_navigations(self) -> None:
        for name, navigation in self.navigations.items():
            self.takers[name] = (_take_navigation, navigation)
            self.takers[f"{name}@odata.bind"] = (_take_bind, navigation)
        for name, relationship in self.collections.items():
            self.takers[name] = (_take_collection, relationship)
            self.takers[f"{name}@odata.bind"] = (_take_collection_bind, relationship)


def _key_members(table: Table, key: Key) -> frozenset[str]:
    names: set[str] = set()
    for column_name in key.columns:
        column = table.columns[column_name]
        if not column.kind.is_lookup:
            names.add(column_name)
            continue
        for navigation in column.navigation.values():
            names.update((navigation, f"{navigation}@odata.bind"))
    return frozenset(names)


def _taker_of(column: Column) -> _Taker:
    if column.is_primary_id:
        return _take_primary_id
    if column.source_type or column.name in AUDIT or not (column.creatable or column.updatable):
        return _ignore
    if not column.updatable:
        return _take_create_only
    return _take_value if column.creatable else _take_update_only


_plans: dict[int, tuple[Table, Plan]] = {}


def plan_of(ctx: Context, table: Table) -> Plan:
    found = _plans.get(id(table))
    if found is None or found[0] is not table:
        found = _plans[id(table)] = (table, Plan(ctx, table))
    return found[1]


def read_payload(ctx: Context, table: Table, payload: Payload, creating: bool,
                 skip: Collection[str] = ()) -> Change:
    """A payload as storage values. ``skip``: members to leave out (key columns of the URL)."""
    plan = plan_of(ctx, table)
    change = Change(ctx, table, plan, creating)
    takers = plan.takers
    for name, value in payload.items():
        if name in skip:
            continue
        taker = takers.get(name)
        if taker is not None:
            taker[0](change, taker[1], name, value)
        elif "@" in name:
            _take_annotation(change, name, value)
        else:
            raise invalid_property(table, name)
    return change
