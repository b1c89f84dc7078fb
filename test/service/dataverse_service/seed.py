"""The rows an environment is born with, and its demo data.

Everything follows from the row's number: the same ``--rows N`` gives the same bytes, and the first
rows of a larger N are those of a smaller one.
"""
from __future__ import annotations

import json
import uuid
from decimal import Decimal
from typing import Any, Callable, Iterable, Optional

from . import collation, computed, demo, tables, values
from .core import Column, Kind, Table
from .store import Store

_NAMESPACE = uuid.UUID("b3a1f2de-0d5c-4b57-9d1c-0a5f9c1f7c55")


def stable_id(*names: str) -> str:
    """A GUID that depends on names alone."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(names)))


ORGANIZATION = stable_id("organization")
BUSINESS_UNIT = stable_id("businessunit", "contoso")
APPLICATION_USER = stable_id("systemuser", "application")
BASE_CURRENCY = stable_id("transactioncurrency", "USD")

#: (name, first name, last name, disabled)
_USERS = (
    ("application", "#", "dataverse_fdw", False),
    ("system", "", "SYSTEM", False),
    ("anna", "Anna", "Müller", False),
    ("bjorn", "Bjørn", "Åkesson", False),
    ("chen", "陈", "伟", False),
    ("dolores", "Dolores", "O'Neill", False),
    ("emil", "Emil", "Zátopek", True),
)
_TEAMS = ("Contoso", "Sales Europe", "Support (night)", "Équipe Québec")
#: (user, team)
_MEMBERS = (("application", "Contoso"), ("anna", "Contoso"), ("anna", "Sales Europe"),
            ("bjorn", "Sales Europe"), ("chen", "Support (night)"))
_CURRENCIES = (
    ("USD", "US Dollar", "$", 2, "1.0000000000"),
    ("EUR", "Euro", "€", 2, "0.9234567891"),
    ("JPY", "Japanese Yen", "¥", 0, "151.2500000000"),
)

#: When the environment was made.
BIRTH = values.parse_moment("2015-03-01T08:00:00Z") or 0


def user_ids() -> list[str]:
    return [stable_id("systemuser", name) for name, _, _, _ in _USERS]


def team_ids() -> list[str]:
    return [stable_id("team", name) for name in _TEAMS]


def currency_rates() -> list[tuple[str, str]]:
    """(id, exchange rate), the base currency first."""
    return [(stable_id("transactioncurrency", code), rate) for code, _, _, _, rate in _CURRENCIES]


# --- inserting wire values ---------------------------------------------------------------------


def storage_row(store: Store, table: Table, wire: dict[str, Any]) -> dict[str, Any]:
    """Storage values of wire values by logical name; unchecked, read-only columns included."""
    row: dict[str, Any] = {}
    for name, value in wire.items():
        column = table.columns[name]
        row.update(values.from_json(column, value, store.quirks))
    return row


def _put(store: Store, table_name: str, wire: dict[str, Any]) -> None:
    """One row of the environment, stamped with its birth."""
    table = store.model.tables[table_name]
    row = storage_row(store, table, wire)
    for name, value in (("createdon", BIRTH), ("modifiedon", BIRTH)):
        if name in table.columns and name not in row:
            row[name] = value
    for name in ("createdby", "modifiedby"):
        if name in table.columns and name not in row:
            row[name], row[name + "__t"] = APPLICATION_USER, "systemuser"
    store.insert(table, row)


def _environment(store: Store, client_id: str) -> None:
    """Organization, users, teams, currencies, solutions, messages."""
    _put(store, "businessunit",
         {"businessunitid": BUSINESS_UNIT, "name": "contoso", "isdisabled": False})
    for code, name, symbol, precision, rate in _CURRENCIES:
        _put(store, "transactioncurrency", {
            "transactioncurrencyid": stable_id("transactioncurrency", code),
            "isocurrencycode": code, "currencyname": name, "currencysymbol": symbol,
            "currencyprecision": precision,
            "exchangerate": rate, "statecode": 0, "statuscode": 1,
        })
    _put(store, "organization", {
        "organizationid": ORGANIZATION, "name": "contoso", "localeid": 1033, "languagecode": 1033,
        "expirechangetrackingindays": 30, "expiresubscriptionsindays": 90,
        "pricingdecimalprecision": 2,
        "basecurrencysymbol": "$", "basecurrencyid": (BASE_CURRENCY, "transactioncurrency"),
    })
    for name, first, last, disabled in _USERS:
        _user(store, name, first, last, disabled, client_id)
    for name in _TEAMS:
        team = stable_id("team", name)
        _put(store, "team", {
            "teamid": team, "ownerid": team, "name": name, "teamtype": 0,
            "isdefault": name == "Contoso",
            "administratorid": (APPLICATION_USER, "systemuser"),
            "businessunitid": (BUSINESS_UNIT, "businessunit"),
        })
    for name, team in _MEMBERS:
        _put(store, "teammembership", {
            "teammembershipid": stable_id("teammembership", name, team),
            "systemuserid": stable_id("systemuser", name), "teamid": stable_id("team", team),
        })
    _solutions(store)
    _messages(store)
    _views(store)


def _user(store: Store, name: str, first: str, last: str, disabled: bool, client_id: str) -> None:
    user = stable_id("systemuser", name)
    application = name == "application"
    _put(store, "systemuser", {
        "systemuserid": user, "ownerid": user, "firstname": first, "lastname": last,
        "domainname": f"{name}@contoso.example", "internalemailaddress": f"{name}@contoso.example",
        "azureactivedirectoryobjectid": stable_id("entra", name),
        "applicationid": client_id if application else None,
        "accessmode": 4 if application else 0, "isdisabled": disabled,
        "islicensed": not application,
        "businessunitid": (BUSINESS_UNIT, "businessunit"),
    })


def _solutions(store: Store) -> None:
    """Which tables belong to which solution: componenttype 1, objectid the table's MetadataId."""
    for unique, (friendly, version) in tables.SOLUTIONS.items():
        solution = stable_id("solution", unique)
        _put(store, "solution", {
            "solutionid": solution, "uniquename": unique, "friendlyname": friendly,
            "version": version, "ismanaged": False, "isvisible": True,
        })
        for table in store.model.tables.values():
            if unique in table.solutions:
                _put(store, "solutioncomponent", {
                    "solutioncomponentid": stable_id("solutioncomponent", unique, table.name),
                    "solutionid": (solution, "solution"), "componenttype": 1,
                    "objectid": tables.metadata_id(table.name), "rootcomponentbehavior": 0,
                    "ismetadata": True,
                })


def _messages(store: Store) -> None:
    """sdkmessagefilters tell which table has which message (sheet 5.5)."""
    seen: set[str] = set()
    for table in store.model.tables.values():
        for message in tables.messages_of(table):
            message_id = stable_id("sdkmessage", message)
            if message not in seen:
                seen.add(message)
                _put(store, "sdkmessage", {"sdkmessageid": message_id, "name": message,
                                           "isprivate": False, "isactive": True})
            _put(store, "sdkmessagefilter", {
                "sdkmessagefilterid": stable_id("sdkmessagefilter", message, table.name),
                "sdkmessageid": (message_id, "sdkmessage"), "primaryobjecttypecode": table.name,
                "secondaryobjecttypecode": "none", "availability": 0,
                "iscustomprocessingstepallowed": True, "isvisible": True,
            })


#: The view that every table of accounts opens with.
ACTIVE_ACCOUNTS = stable_id("savedquery", "Active Accounts")
_ACTIVE_ACCOUNTS_XML = (
    '<fetch version="1.0" output-format="xml-platform" mapping="logical"><entity name="account">'
    '<attribute name="name"/><attribute name="primarycontactid"/><attribute name="telephone1"/>'
    '<order attribute="name"/><filter type="and"><condition attribute="statecode" operator="eq" '
    'value="0"/></filter><link-entity name="contact" from="contactid" to="primarycontactid" '
    'link-type="outer" alias="accountprimarycontactidcontactcontactid" visible="false">'
    '<attribute name="emailaddress1"/></link-entity></entity></fetch>'
)


def _views(store: Store) -> None:
    _put(store, "savedquery", {
        "savedqueryid": ACTIVE_ACCOUNTS, "name": "Active Accounts", "returnedtypecode": "account",
        "querytype": 0, "isdefault": True, "ismanaged": True, "statecode": 0, "statuscode": 1,
        "fetchxml": _ACTIVE_ACCOUNTS_XML,
    })


# --- demo data ------------------------------------------------------------------------------------


def seed(store: Store, rows: Optional[int], client_id: str) -> None:
    """Start anew. ``rows`` None: only the environment's own rows."""
    store.clear()
    with store.savepoint():
        store.drop_indexes()
        _environment(store, client_id)
        if rows is not None:
            for name, count in demo.proportions(rows).items():
                _fill(store, store.model.tables[name], count, rows)
        store.create_indexes()
        store.set_meta("seeded", str(rows))


def _fill(store: Store, table: Table, count: int, accounts: int) -> None:
    """``count`` demo rows of one table, each given by its number."""
    world = demo.World(accounts, user_ids(), team_ids(), currency_rates(), BUSINESS_UNIT,
                       APPLICATION_USER)
    make = demo.maker(table.name, world)
    names = _written(table, make)
    complete = _completer(store, table, names)
    store.insert_many(table, names, (complete(make(i)) for i in range(count)))


def _written(table: Table, make: Callable[[int], dict[str, Any]]) -> list[str]:
    """Storage columns that demo rows may fill: naming the others would double the work."""
    wire = {name for i in range(50) for name in make(i)}
    found = {name for each in wire for name in values.storage_columns(table.columns[each])}
    return sorted(found | computed.outputs(table) | {"versionnumber"})


def _completer(store: Store, table: Table,
               names: list[str]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    """A function from a demo row to its storage tuple, made once per table: a hundred thousand rows
    go through it."""
    known = frozenset(names)
    plan = {c.name: _encoder(store, c) for c in table.columns.values() if not c.attribute_of}

    def complete(wire: dict[str, Any]) -> tuple[Any, ...]:
        row: dict[str, Any] = {}
        for name, value in wire.items():
            if value is not None:
                plan[name](row, value)
        computed.complete(store, table, row)
        row["versionnumber"] = store.next_version()
        if not known.issuperset(row):
            unknown = ", ".join(sorted(set(row) - known))
            raise ValueError(f"demo rows of {table.name} fill columns unannounced: {unknown}")
        return tuple(map(row.get, names))

    return complete


_Encoder = Callable[[dict[str, Any], Any], None]


def _encoder(store: Store, column: Column) -> _Encoder:
    """How a demo value of this column is put into a storage row."""
    name = column.name
    if column.kind.is_text:
        return _text_encoder(store, column)
    if column.kind in (Kind.DECIMAL, Kind.MONEY):
        def put_decimal(row: dict[str, Any], value: str) -> None:
            row[name], row[name + "__s"] = value, values.sort_key(value)
        return put_decimal
    if column.kind.is_lookup:
        def put_lookup(row: dict[str, Any], value: tuple[str, str]) -> None:
            row[name], row[name + "__t"] = value
        return put_lookup
    if column.kind is Kind.DATETIME and column.behavior != "DateOnly":
        return _moment_encoder(store, column)

    def put(row: dict[str, Any], value: Any) -> None:
        row[name] = value
    return put


def _text_encoder(store: Store, column: Column) -> _Encoder:
    name, folded = column.name, column.name + "__f"
    accents = store.quirks.accents == "sensitive"
    empty_is_null = store.quirks.empty_string == "null" and not column.keeps_empty
    fold = collation.fold_once

    def put(row: dict[str, Any], value: str) -> None:
        if value or not empty_is_null:
            row[name], row[folded] = value, fold(value, accents)
    return put


def _moment_encoder(store: Store, column: Column) -> _Encoder:
    """Where fractions are stored, rows have some: they are never returned (sheet 15)."""
    name = column.name
    fractions = store.quirks.fractions == "stored"

    def put(row: dict[str, Any], value: int) -> None:
        if fractions and value < demo.LATEST:
            value += value // 1_000_000 * 7919 % 1_000_000
        row[name] = value
    return put


# --- figures ---------------------------------------------------------------------------------


_NUMERIC = (Kind.INTEGER, Kind.BIGINT, Kind.DECIMAL, Kind.MONEY, Kind.DOUBLE)


def figures(store: Store, table: Table) -> dict[str, Any]:
    """Row count; exact sum, min, max and count of every numeric column, and but for the sum of
    every date, as text."""
    found: dict[str, Any] = {"count": store.count(table), "columns": {}}
    for column in table.columns.values():
        if column.kind is Kind.DATETIME and not column.attribute_of:
            found["columns"][column.name] = _date_figures(store, table, column)
        if column.kind not in _NUMERIC or column.attribute_of:
            continue
        # A double counts as the decimal it is shown as.
        numbers = [Decimal(str(row[0])) for row in store.execute(
            f'SELECT "{column.name}" FROM "{table.name}" WHERE "{column.name}" IS NOT NULL')]
        found["columns"][column.name] = {
            "count": len(numbers),
            "sum": str(_exact_sum(numbers)) if numbers else None,
            "min": str(min(numbers)) if numbers else None,
            "max": str(max(numbers)) if numbers else None,
        }
    return found


def _date_figures(store: Store, table: Table, column: Column) -> dict[str, Any]:
    """As they stand on the wire; storage orders as time does."""
    name = column.name
    count, least, greatest = store.execute(
        f'SELECT count("{name}"), min("{name}"), max("{name}") FROM "{table.name}"').fetchone()
    return {"count": count, "min": json.loads(values.to_json(column, least)),
            "max": json.loads(values.to_json(column, greatest))}


def _exact_sum(numbers: Iterable[Decimal]) -> Decimal:
    """No context rounds it: whole numbers of 10^-12 are added."""
    total = sum(int(number.scaleb(12)) for number in numbers)
    sign, digits = ("-", str(-total)) if total < 0 else ("", str(total))
    digits = digits.rjust(13, "0")
    return Decimal(f"{sign}{digits[:-12]}.{digits[-12:]}")
