"""Conditions of FetchXML to SQL (sheet 2.12.2, 2.3.4, 2.3.5).

Operators are the engine's own, so their null rules are settled, whatever the quirks say of OData:
every negative operator returns the rows without a value.
"""
from __future__ import annotations

import dataclasses
import re
from typing import Any, Callable, NamedTuple, Optional

from . import collation, values, where
from .core import Column, Context, Fault, Kind, Table
from .fetchxml import Condition, fault, not_here
from .odata import Literal
from .where import (Builder, FunctionCall, Scope, Sql, bad_operator, guid_order_sql,
                    refuse_hidden)


class FetchBuilder(Builder):
    """Compiles conditions whose constants are texts."""

    def __init__(self, ctx: Context):
        super().__init__(ctx)
        self.quirks = dataclasses.replace(ctx.quirks, ne_null="returned", not_like_null="returned")

    def operand(self, column: Column, literal: Literal, op: str) -> Any:
        return read(self, column, literal.value)


# --- Names ---------------------------------------------------------------------------------


def table_of(ctx: Context, name: str) -> Table:
    table = ctx.model.tables.get(name)
    if table is None:
        raise fault("0x80041102", f"The entity with a name = '{name}' with namemapping = 'Logical' "
                    "was not found in the MetadataCache.")
    return table


def column_of(table: Table, name: str) -> Column:
    """FetchXML knows columns by logical name, lookups too."""
    column = table.columns.get(name)
    if column is None or column.attribute_of:
        raise fault("0x80041103", f"'{table.schema_name}' entity doesn't contain attribute with "
                    f"Name = '{name}' and NameMapping = 'Logical'.")
    return column


# --- Values --------------------------------------------------------------------------------


def _invalid(column: Column, text: str) -> Fault:
    return fault("0x80040203", f"Cannot convert the value '{text}' of the condition on "
                 f"'{column.name}' to the type '{values.edm(column)}'.")


def read(builder: Builder, column: Column, text: str) -> Any:
    """What the compare column holds for a text of a condition."""
    kind = column.kind
    if kind is Kind.ENTITY_NAME:
        return _entity_name(builder, text)
    if kind.is_text:
        return collation.fold(text, builder.quirks)
    bare = text.strip()
    if "_" in bare and kind is not Kind.MULTISELECT:
        raise _invalid(column, text)  # Python's digit grouping
    if kind is Kind.DATETIME:
        bare = re.sub(r"(?<=\d) (?=\d\d:)", "T", bare)
    stored = where.listed(column, bare, builder.quirks)
    if values.edm(column) == "Edm.DateTimeOffset" and builder.quirks.fetch_times == "zoned":
        stored += _moved(column, bare)
    return stored


#: How far the zone of ``fetch_times=zoned`` is behind UTC, in microseconds.
_ZONE = 8 * where.HOUR


def _moved(column: Column, text: str) -> int:
    """What the user's zone changes where the documentation leaves it open: of instants, texts
    without an offset are the user's; of values without a zone, those that have one."""
    offset = re.search(r"(Z|[+-]\d\d:\d\d)$", text) is not None
    if column.behavior == "TimeZoneIndependent":
        return -_ZONE if offset else 0
    return 0 if offset else _ZONE


def _entity_name(builder: Builder, text: str) -> str:
    """Compared by object type code; the name will do too (sheet 3.1)."""
    bare = text.strip()
    if bare.isdigit():
        for table in builder.ctx.model.tables.values():
            if table.object_type_code == int(bare):
                return collation.fold(table.name, builder.quirks)
    return collation.fold(text, builder.quirks)


def _whole(call: FunctionCall, text: str) -> int:
    if not re.fullmatch(r"\s*[+-]?\d{1,9}\s*", text):
        raise _invalid(call.column, text)
    return int(text)


# --- Operators -----------------------------------------------------------------------------


def _compare(op: str) -> Callable[..., Sql]:
    def compile(call: FunctionCall, text: str) -> Sql:
        check_comparison(call.column, op)
        literal = Literal("text", text, text)
        return call.builder._compare_value(op, call.scope, call.column, literal, False)
    return compile


def check_comparison(column: Column, op: str) -> None:
    unordered = (Kind.BOOLEAN, Kind.MULTISELECT, Kind.ENTITY_NAME)
    if column.kind is Kind.IMAGE or (op not in ("eq", "ne") and column.kind in unordered):
        raise bad_operator(column, op)


def _negated(sql: Sql) -> Sql:
    """``col <> value or col is null`` (sheet 2.3.5)."""
    return Sql(f"(NOT COALESCE({sql.text}, 0))", sql.params)


def _text_operator(name: str, negative: bool = False) -> Callable[..., Sql]:
    """LIKE with live wildcards (sheet 2.3.3); ``like`` takes the pattern as it is."""
    def compile(call: FunctionCall, text: str) -> Sql:
        if not call.column.kind.is_text:
            raise call.wrong_column()
        target = call.scope.column(call.column.name + "__f")
        if name == "like":
            sql = Sql(f"dv_like(?, {target})", (collation.fold(text, call.builder.quirks),))
        else:
            sql = call.builder.like(name, target, text)
        return _negated(sql) if negative else sql
    return compile


def _null(negative: bool) -> Callable[..., Sql]:
    def compile(call: FunctionCall) -> Sql:
        word = "IS NOT NULL" if negative else "IS NULL"
        return Sql(f"({call.scope.column(call.column.name)} {word})")
    return compile


def _function(name: str) -> Callable[..., Sql]:
    return where.FUNCTIONS[name].compile


def _numbered(name: str) -> Callable[..., Sql]:
    compile = where.FUNCTIONS[name].compile
    return lambda call, text: compile(call, _whole(call, text))


def _listed(name: str) -> Callable[..., Sql]:
    """Several values; texts are limited in length (sheet 2.3.1)."""
    compile = where.FUNCTIONS[name].compile

    def run(call: FunctionCall, *items: str) -> Sql:
        if call.column.kind is Kind.ENTITY_NAME:
            items = tuple(_entity_name(call.builder, item) for item in items)
        return compile(call, tuple(items))
    return run


class Operator(NamedTuple):
    parameters: str  #: none, one (``value``), many (``<value>`` elements)
    compile: Callable[..., Sql]


_UNITS = {"hours": "Hours", "days": "Days", "weeks": "Weeks", "months": "Months", "years": "Years"}

OPERATORS: dict[str, Operator] = {
    **{op: Operator("one", _compare(op)) for op in ("eq", "ne", "gt", "ge", "lt", "le")},
    "neq": Operator("one", _compare("ne")),
    "like": Operator("one", _text_operator("like")),
    "not-like": Operator("one", _text_operator("like", True)),
    "begins-with": Operator("one", _text_operator("startswith")),
    "not-begin-with": Operator("one", _text_operator("startswith", True)),
    "ends-with": Operator("one", _text_operator("endswith")),
    "not-end-with": Operator("one", _text_operator("endswith", True)),
    "null": Operator("none", _null(False)),
    "not-null": Operator("none", _null(True)),
    "in": Operator("many", _listed("In")),
    "not-in": Operator("many", _listed("NotIn")),
    "between": Operator("many", _listed("Between")),
    "not-between": Operator("many", _listed("NotBetween")),
    "contain-values": Operator("many", _listed("ContainValues")),
    "not-contain-values": Operator("many", _listed("DoesNotContainValues")),
    "on": Operator("one", _function("On")),
    "on-or-before": Operator("one", _function("OnOrBefore")),
    "on-or-after": Operator("one", _function("OnOrAfter")),
    **{word: Operator("none", _function(word.capitalize()))
       for word in ("yesterday", "today", "tomorrow")},
    "last-seven-days": Operator("none", _function("Last7Days")),
    "next-seven-days": Operator("none", _function("Next7Days")),
    **{f"{when}-{unit}": Operator("none", _function(when.capitalize() + unit.capitalize()))
       for when in ("last", "this", "next") for unit in ("week", "month", "year")},
    **{f"{when}-x-{unit}": Operator("one", _numbered(f"{when.capitalize()}X{name}"))
       for when in ("last", "next") for unit, name in _UNITS.items()},
    **{f"olderthan-x-{unit}": Operator("one", _numbered(f"OlderThanX{name}"))
       for unit, name in {"minutes": "Minutes", **_UNITS}.items()},
    "eq-userid": Operator("none", _function("EqualUserId")),
    "ne-userid": Operator("none", _function("NotEqualUserId")),
    "eq-userteams": Operator("none", _function("EqualUserTeams")),
    "eq-useroruserteams": Operator("none", _function("EqualUserOrUserTeams")),
    "eq-businessid": Operator("none", _function("EqualBusinessId")),
    "ne-businessid": Operator("none", _function("NotEqualBusinessId")),
    "eq-userlanguage": Operator("none", _function("EqualUserLanguage")),
}

#: Known to Dataverse; they need hierarchies or a fiscal calendar, which this service lacks.
NOT_IMPLEMENTED = frozenset("""
    eq-useroruserhierarchy eq-useroruserhierarchyandteams under eq-or-under not-under above
    eq-or-above this-fiscal-year this-fiscal-period next-fiscal-year next-fiscal-period
    last-fiscal-year last-fiscal-period last-x-fiscal-years last-x-fiscal-periods
    next-x-fiscal-years next-x-fiscal-periods in-fiscal-year in-fiscal-period
    in-fiscal-period-and-year in-or-before-fiscal-period-and-year
    in-or-after-fiscal-period-and-year
""".split())

_COLUMN_OPERATORS = {"eq": "eq", "ne": "ne", "neq": "ne", "gt": "gt", "ge": "ge", "lt": "lt",
                     "le": "le"}


def compile_condition(builder: FetchBuilder, scope: Scope, condition: Condition,
                      other: Optional[tuple[Scope, Column]]) -> Sql:
    """``other``: what ``valueof`` names."""
    builder.count_condition()
    column = column_of(scope.table, condition.attribute)
    refuse_hidden(column)
    name = condition.operator
    if name in NOT_IMPLEMENTED:
        raise not_here(f"FetchXML operator '{name}'")
    operator = OPERATORS.get(name)
    if operator is None:
        raise fault("0x80041120", f"Unsupported condition operator: '{name}'.")
    if other is not None:
        return _compare_columns(scope, column, condition, *other)
    call = FunctionCall(builder, name, scope, column)
    return operator.compile(call, *_arguments(condition, operator.parameters))


def _arguments(condition: Condition, parameters: str) -> tuple[str, ...]:
    """As many values as the operator takes, in the form it takes them."""
    given, listed = condition.value is not None, bool(condition.values)
    if parameters == "one" and given and not listed:
        return (condition.value or "",)
    if parameters == "many" and listed and not given:
        return condition.values
    if parameters == "none" and not given and not listed:
        return ()
    wants = {"one": "a value attribute", "many": "value elements", "none": "no value"}[parameters]
    raise fault("0x80041106", f"Incorrect filter condition: the operator '{condition.operator}' on "
                f"'{condition.attribute}' takes {wants}.")


def _compare_columns(scope: Scope, column: Column, condition: Condition, other: Scope,
                     right: Column) -> Sql:
    """``valueof`` (sheet 2.12.3): columns of one type; null against a value counts as different."""
    op = _COLUMN_OPERATORS.get(condition.operator)
    if op is None or condition.value is not None or condition.values:
        raise fault("0x80041106", "Incorrect filter condition: valueof goes with the operators eq, "
                    "ne, gt, ge, lt and le, and without a value.")
    for each in (column, right):
        check_comparison(each, op)
        if each.kind in (Kind.MULTISELECT, Kind.MEMO):
            raise bad_operator(each, "valueof")
    if values.edm(column) != values.edm(right):
        raise fault("0x80041106", f"Incorrect filter condition: '{column.name}' of type "
                    f"'{column.kind.value}' cannot be compared with '{right.name}' of type "
                    f"'{right.kind.value}'.")
    a = scope.column(values.compare_column(column))
    b = other.column(values.compare_column(right))
    if values.edm(column) == "Edm.Guid" and op not in ("eq", "ne"):
        a, b = guid_order_sql(a), guid_order_sql(b)
    return Sql(f"({a} IS NOT {b})" if op == "ne" else f"({a} {where.OPERATORS[op]} {b})")
