"""From $filter trees to SQL over the store's columns (sheet 2.3).

Each condition becomes an SQL text and its parameters. Where a condition stands under ``not`` it is
made two-valued first (a null gives false) unless the quirk says that nulls drop out; so the null
rules of sheet 2.3.5 live in two places only: ``Builder._negatable`` and the ``ne`` operators.
"""
from __future__ import annotations

import dataclasses
import datetime
import decimal
import functools
from decimal import Decimal
from typing import Any, Callable, NamedTuple, Optional

from . import collation, odata, values
from .core import Association, Column, Context, Fault, Kind, Model, Relationship, Table
from .odata import Call, Compare, Lambda, Literal, Logic, Not, Path, Unsupported

MAX_CONDITIONS = 500  #: sheet 2.13
MAX_LINKS = 15
#: Sheet 15 knows only that a code for too many values exists; SQL Server's ceiling is 2,100
#: parameters.
MAX_VALUES = 2000
MAX_IN_TEXT = 850  #: sheet 2.3.1

NAMESPACE = "Microsoft.Dynamics.CRM."
PRINCIPALS = ("systemuser", "team")  #: they share the key ``ownerid`` (sheet 1.4)


class Sql(NamedTuple):
    text: str
    params: tuple[Any, ...] = ()


def refuse(message: str, code: str = odata.ERROR, status: int = 400) -> Fault:
    return Fault(status, code, message)


def no_property(table: Table, name: str) -> Fault:
    """Unknown property, or a helper column the Web API lacks (sheet 2.2)."""
    return refuse(
        f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table.name}'.")


# --- Relationships, looked up once per model -----------------------------------------------

class _Holder:
    """Navigation properties by table; ``Model`` builds them anew at every call."""

    def __init__(self, model: Model):
        self.one_to_many = functools.lru_cache(maxsize=None)(model.one_to_many)
        self.many_to_one = functools.lru_cache(maxsize=None)(model.many_to_one)
        self.many_to_many = functools.lru_cache(maxsize=None)(model.many_to_many)
        seen: dict[tuple[str, str], int] = {}
        for r in model.relationships:
            place = (r.referencing, r.many_to_one_navigation)
            seen[place] = seen.get(place, 0) + 1
        self.principals = {place for place, number in seen.items() if number > 1}


def holder(model: Model) -> _Holder:
    found = model.__dict__.get("_navigation_holder")
    if found is None:
        found = model.__dict__["_navigation_holder"] = _Holder(model)
    return found


def single_nav(model: Model, table: Table, name: str) -> Optional[Relationship]:
    return holder(model).many_to_one(table.name).get(name)


def leads_to_principal(model: Model, table: Table, nav: str) -> bool:
    """``ownerid`` is one navigation property for users and teams: its type is their common base,
    which has the property ``ownerid`` and no other (sheet 1.4)."""
    return (table.name, nav) in holder(model).principals


def no_principal_property(name: str) -> Fault:
    return refuse(
        f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.principal'.")


def collection_nav(model: Model, table: Table, name: str) -> Optional[Relationship]:
    return holder(model).one_to_many(table.name).get(name)


def association_nav(model: Model, table: Table, name: str) -> Optional[Association]:
    return holder(model).many_to_many(table.name).get(name)


def is_collection(model: Model, table: Table, name: str) -> bool:
    return (collection_nav(model, table, name) or association_nav(model, table, name)) is not None


def associated(side: Association, child: str, parent: str) -> str:
    """Rows ``child`` (their key) that an N:N relationship ties to ``parent``."""
    return (f'{child} IN (SELECT "{side.other_attribute}" FROM "{side.intersect}" '
            f'WHERE "{side.attribute}" = {parent})')


def target_condition(child: str, column: Column, target: str) -> str:
    """A polymorphic lookup points at this target only where its ``__t`` says so."""
    return f" AND {child}.\"{column.name}__t\" = '{target}'" if len(column.targets) > 1 else ""


# --- GUID order ----------------------------------------------------------------------------

_GUID_SLICES = (
    (25, 12), (20, 4), (17, 2), (15, 2), (12, 2), (10, 2), (7, 2), (5, 2), (3, 2), (1, 2))


def guid_order_sql(column: str) -> str:
    """SQL Server's order of ``uniqueidentifier``: the last six bytes count most (sheet 2.4)."""
    return "(" + "||".join(f"substr({column},{s},{n})" for s, n in _GUID_SLICES) + ")"


def guid_order_key(guid: str) -> str:
    return "".join(guid[s - 1:s - 1 + n] for s, n in _GUID_SLICES)


# --- Scopes --------------------------------------------------------------------------------


@dataclasses.dataclass
class Scope:
    """A table that columns can be read from, under its SQL alias."""

    table: Table
    alias: str
    root: "Scope" = dataclasses.field(repr=False, default=None)  # type: ignore[assignment]
    joins: list[str] = dataclasses.field(default_factory=list)  #: of a root: its LEFT JOINs
    linked: dict[tuple[str, str], "Scope"] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = self.root or self

    @property
    def nested(self) -> bool:
        """Reached through a lookup."""
        return self.root is not self

    def column(self, name: str) -> str:
        return f'{self.alias}."{name}"'

    @property
    def key(self) -> str:
        return self.column(self.table.primary_id)

    def source(self) -> str:
        """What stands after FROM."""
        return f'"{self.table.name}" {self.alias}' + "".join(self.joins)


def refuse_hidden(column: Column) -> None:
    """A column that the caller may not read reads as null, but cannot be filtered on (sheet 3.7)."""
    if column.hidden:
        raise Fault(403, "0x8004F504", f"The user does not have Read permissions for the "
                                       f"'{column.name}' secured field.")


OPERATORS = {"eq": "=", "ne": "<>", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_MIRROR = {"eq": "eq", "ne": "ne", "gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}
_OPERATOR_KIND = {"eq": "Equal", "ne": "NotEqual", "gt": "GreaterThan", "ge": "GreaterThanOrEqual",
                  "lt": "LessThan", "le": "LessThanOrEqual"}
_TEXT_FUNCTIONS = ("contains", "startswith", "endswith")


class Builder:
    """Compiles the conditions of one request; limits are counted over all of them."""

    def __init__(self, ctx: Context):
        self.ctx = ctx
        self.quirks = ctx.quirks
        self.conditions = 0
        self.links = 0
        self.volatile = False  #: the answer depends on the clock
        self._aliases = 0

    # --- scopes ---------------------------------------------------------------------------

    def scope(self, table: Table) -> Scope:
        self._aliases += 1
        return Scope(table, f"t{self._aliases}")

    def count_link(self, table: Table) -> None:
        if table.table_type == "Elastic":
            raise refuse("Link entities are not supported", "0x80048D0B")
        self.links += 1
        if self.links > MAX_LINKS:
            raise refuse("Number of link entities in query exceeded maximum limit.", "0x8004430D")

    def count_condition(self, number: int = 1) -> None:
        self.conditions += number
        if self.conditions > MAX_CONDITIONS:
            raise refuse("Number of conditions in query exceeded maximum limit.", "0x8004430C")

    def follow(self, scope: Scope, nav: str) -> Scope:
        """The scope behind a lookup's navigation property, joined once per query."""
        relation = single_nav(self.ctx.model, scope.table, nav)
        if relation is None:
            raise no_property(scope.table, nav)
        if leads_to_principal(self.ctx.model, scope.table, nav):
            raise refuse(f"The properties behind '{nav}' cannot be used in a filter: it leads to "
                         f"different types.")
        root = scope.root
        found = root.linked.get((scope.alias, nav))
        if found is None:
            self.count_link(scope.table)
            target = self.ctx.model.tables[relation.referenced]
            self._aliases += 1
            found = Scope(target, f"t{self._aliases}", root)
            lookup = scope.table.columns[relation.referencing_attribute]
            root.joins.append(
                f' LEFT JOIN "{target.name}" {found.alias} ON {found.key} = '
                f"{scope.column(lookup.name)}{target_condition(scope.alias, lookup, target.name)}")
            root.linked[(scope.alias, nav)] = found
        return found

    def resolve(self, path: tuple[str, ...], variables: dict[str, Scope], default: Optional[Scope]
                ) -> tuple[Scope, tuple[str, ...]]:
        """The scope a path starts from and the rest of it."""
        if path and path[0] in variables:
            return variables[path[0]], path[1:]
        if default is None:
            raise refuse(f"'{'/'.join(path)}' does not start with a range variable.")
        return default, path

    def property(self, path: Path, env: "_Env") -> tuple[Scope, Column]:
        """Scope and column of a property path."""
        scope, names = self.resolve(path.names, env.variables, env.default)
        if not names:
            raise refuse(f"'{path}' is no property.")
        for nav in names[:-1]:
            if is_collection(self.ctx.model, scope.table, nav):
                raise refuse(f"The parent value for a property access of a property '{names[-1]}' "
                             f"is not a single value.")
            scope = self.follow(scope, nav)
        column = scope.table.by_property(names[-1])
        if column is None and names[-1] == "ownerid" and scope.table.name in PRINCIPALS:
            column = scope.table.columns[scope.table.primary_id]
        if column is None:
            if single_nav(self.ctx.model, scope.table, names[-1]):
                raise refuse(
                    f"The navigation property '{names[-1]}' cannot be compared; compare its "
                    f"lookup property instead.")
            raise no_property(scope.table, names[-1])
        refuse_hidden(column)
        return scope, column

    # --- logic ----------------------------------------------------------------------------

    def filter(self, scope: Scope, text: str, aliases: dict[str, str]) -> Sql:
        node = odata.parse_filter(text)
        return self.condition(scope, odata.substitute(node, aliases) if "@" in text else node)

    def condition(self, scope: Scope, node: Any) -> Sql:
        try:
            return self._node(node, _Env(scope, {}), False)
        except RecursionError:
            raise refuse("The query is nested too deeply.") from None

    def _node(self, node: Any, env: "_Env", negated: bool) -> Sql:
        handler = _HANDLERS.get(type(node))
        if handler is None:
            raise refuse("A filter expression must be a comparison or a query function.")
        return handler(self, node, env, negated)

    def _logic(self, node: Logic, env: "_Env", negated: bool) -> Sql:
        parts = [self._node(item, env, negated) for item in node.items]
        word = " AND " if node.op == "and" else " OR "
        return Sql("(" + word.join(p.text for p in parts) + ")",
                   tuple(v for p in parts for v in p.params))

    def _not(self, node: Not, env: "_Env", negated: bool) -> Sql:
        inner = self._node(node.item, env, True)
        return Sql(f"(NOT {inner.text})", inner.params)

    def _unsupported(self, node: Unsupported, env: "_Env", negated: bool) -> Sql:
        raise unsupported(node)

    def _negatable(self, sql: Sql, scope: Scope, negated: bool, quirk: str) -> Sql:
        """A condition as it must be where it stands: null rules (sheet 2.3.5, 2.3.7).

        Through a null lookup a condition is null, whatever it says, so that the row drops out.
        """
        text = sql.text
        if not negated:
            return Sql(f"({scope.key} IS NOT NULL AND {text})", sql.params) if scope.nested else sql
        if quirk == "returned":
            text = f"COALESCE({text}, 0)"
        if scope.nested:
            text = f"(CASE WHEN {scope.key} IS NOT NULL THEN {text} END)"
        return Sql(text, sql.params)

    # --- comparisons ----------------------------------------------------------------------

    def _compare(self, node: Compare, env: "_Env", negated: bool) -> Sql:
        for side in (node.left, node.right):
            if isinstance(side, Unsupported):
                raise unsupported(side)
            if isinstance(side, Call):
                raise _unknown_function(side.name)
            if not isinstance(side, (Literal, Path)):
                raise refuse("Only properties and constants can be compared.")
        self.count_condition()
        if isinstance(node.left, Path) and isinstance(node.right, Path):
            return self._compare_columns(node, env, negated)
        if isinstance(node.left, Literal) and isinstance(node.right, Literal):
            raise refuse("A comparison of two constants is not supported.")
        op, path, literal = node.op, node.left, node.right
        if isinstance(path, Literal):
            op, path, literal = _MIRROR[op], literal, path
        scope, column = self.property(path, env)
        if literal.kind == "null":
            return self._compare_null(op, scope, column, negated)
        return self._compare_value(op, scope, column, literal, negated)

    def _compare_null(self, op: str, scope: Scope, column: Column, negated: bool) -> Sql:
        if op not in ("eq", "ne"):
            raise incompatible(column, "null", op)
        text = f"{scope.column(column.name)} IS {'NOT ' if op == 'ne' else ''}NULL"
        sql = Sql(f"({text})")
        if scope.nested and self.quirks.related_null == "dropped":
            return self._negatable(sql, scope, negated, "")
        return sql

    def _compare_value(self, op: str, scope: Scope, column: Column, literal: Literal,
                       negated: bool) -> Sql:
        check_operator(column, op)
        stored = self.operand(column, literal, op)
        if isinstance(stored, Outside):
            return self._negatable(self._decimal_between(op, scope, column, stored), scope, negated,
                                   self.quirks.ne_null)
        if column.kind.is_text and self.quirks.eq_wildcards == "honoured" and op in ("eq", "ne") \
                and any(c in stored for c in "%_["):
            like = Sql(f"dv_like(?, {scope.column(column.name + '__f')})", (stored,))
            if op == "ne":
                like = Sql(f"(NOT {self._two_valued(like.text)})", like.params)
            return self._negatable(like, scope, negated, self.quirks.ne_null)
        target = scope.column(values.compare_column(column))
        if values.edm(column) == "Edm.Guid" and op not in ("eq", "ne") \
                and scope.table.table_type != "Elastic":
            target, stored = guid_order_sql(target), guid_order_key(stored)
        if op == "ne" and self.quirks.ne_null == "returned":
            sql = Sql(f"({target} IS NOT ?)", (stored,))
        else:
            sql = Sql(f"({target} {OPERATORS[op]} ?)", (stored,))
        return self._negatable(sql, scope, negated, self.quirks.ne_null)

    def _two_valued(self, text: str) -> str:
        return f"COALESCE({text}, 0)" if self.quirks.ne_null == "returned" else text

    def _decimal_between(self, op: str, scope: Scope, column: Column, stored: "Outside") -> Sql:
        """A constant with more fraction digits than any stored value lies between two of them."""
        target = scope.column(values.compare_column(column))
        if op == "eq":
            return Sql(f"({target} IS NOT NULL AND 0)")
        if op == "ne":
            return Sql("1" if self.quirks.ne_null == "returned" else f"({target} IS NOT NULL)")
        sign = ">" if op in ("gt", "ge") else "<="
        return Sql(f"({target} {sign} ?)", (stored.floor,))

    def _compare_columns(self, node: Compare, env: "_Env", negated: bool) -> Sql:
        """Columns of one row and of one type only (sheet 2.3.1)."""
        scope, left = self.property(node.left, env)
        other, right = self.property(node.right, env)
        if other.alias != scope.alias:
            raise refuse("Columns of different tables cannot be compared.")
        if values.edm(left) != values.edm(right):
            raise incompatible(left, values.edm(right), node.op)
        for column in (left, right):
            check_operator(column, node.op)
            if column.kind in (Kind.MULTISELECT, Kind.IMAGE):
                raise bad_operator(column, node.op)
        a, b = (scope.column(values.compare_column(c)) for c in (left, right))
        if values.edm(left) == "Edm.Guid" and node.op not in ("eq", "ne"):
            a, b = guid_order_sql(a), guid_order_sql(b)
        # ``ne``: null against a value counts as different; two nulls do not match under ``eq``.
        if node.op == "ne" and self.quirks.ne_null == "returned":
            sql = Sql(f"({a} IS NOT {b})")
        else:
            sql = Sql(f"({a} {OPERATORS[node.op]} {b})")
        return self._negatable(sql, scope, negated, self.quirks.ne_null)

    def operand(self, column: Column, literal: Literal, op: str) -> Any:
        """The storage value of a constant, if its type fits the column's (sheet 2.3.2)."""
        edm = values.edm(column)
        fits = _LITERALS[edm]
        if literal.kind not in fits:
            if edm == "Edm.Guid" and literal.kind == "string" \
                    and self.quirks.quoted_guid == "accepted" and values.is_guid(literal.value):
                return literal.value.lower()
            if not (edm == "Edm.DateTimeOffset" and literal.kind == "date"
                    and self.quirks.date_literals == "accepted"):
                raise incompatible(column, literal.edm, op)
        if edm == "Edm.Int32" and not -(2**31) <= literal.value < 2**31:
            raise incompatible(column, literal.edm, op)
        return _stored(column, literal.value, self.quirks)

    # --- functions ------------------------------------------------------------------------

    def _call(self, node: Call, env: "_Env", negated: bool) -> Sql:
        if node.name.startswith(NAMESPACE):
            return self._dataverse_function(node, env, negated)
        if node.name not in _TEXT_FUNCTIONS or node.path:
            raise _unknown_function(node.name)
        self.count_condition()
        if len(node.args) != 2 or node.named:
            raise _no_signature(node.name)
        target, value = node.args
        if isinstance(value, Path) and isinstance(target, Path):
            raise refuse(f"'{node.name}' does not compare two columns.")
        if not isinstance(target, Path) or not isinstance(value, Literal) or value.kind != "string":
            raise _no_signature(node.name)
        scope, column = self.property(target, env)
        if values.edm(column) != "Edm.String":
            raise _no_signature(node.name)
        if not column.kind.is_text:
            raise bad_operator(column, node.name)
        sql = self.like(node.name, scope.column(column.name + "__f"), value.value)
        return self._negatable(sql, scope, negated, self.quirks.not_like_null)

    def like(self, function: str, target: str, value: str) -> Sql:
        """LIKE with the wildcards in the value alive (sheet 2.3.3); without any in plain SQL."""
        text = collation.fold(value, self.quirks)
        if any(c in text for c in "%_["):
            before = "" if function == "startswith" else "%"
            after = "" if function == "endswith" else "%"
            return Sql(f"dv_like(?, {target})", (before + text + after,))
        if not text:
            return Sql(f"(length({target}) >= 0)")
        # ``COLLATE BINARY``: here trailing blanks count.
        if function == "contains":
            return Sql(f"(instr({target}, ?) > 0)", (text,))
        if function == "startswith":
            return Sql(f"(substr({target}, 1, {len(text)}) = ? COLLATE BINARY)", (text,))
        return Sql(f"(substr({target}, -{len(text)}) = ? COLLATE BINARY)", (text,))

    def _lambda(self, node: Lambda, env: "_Env", negated: bool) -> Sql:
        scope, names = self.resolve(node.path, env.variables, env.default)
        if not names:
            raise refuse("A lambda needs a collection navigation property.")
        if len(names) > 1:
            raise refuse(
                f"'{'/'.join(node.path)}': a collection reached through a lookup is not supported.")
        child, link = self._members(scope, names[0])
        child_table = child.table
        if node.body is None:
            self.count_condition()
            return Sql(f"EXISTS (SELECT 1 FROM {child.source()} WHERE {link})")
        inner = _Env(None, {**env.variables, node.variable: child})
        body = self._node(node.body, inner, False)
        source = child.source()  # after the body: it may have added joins
        if not node.all:
            return Sql(f"EXISTS (SELECT 1 FROM {source} WHERE {link} AND {body.text})", body.params)
        # ``all`` over no rows is false here, against the OData rule (sheet 2.3.7).
        return Sql(
            f"(EXISTS (SELECT 1 FROM \"{child_table.name}\" {child.alias} WHERE {link}) "
            f"AND NOT EXISTS (SELECT 1 FROM {source} WHERE {link} "
            f"AND NOT COALESCE({body.text}, 0)))",
            body.params)

    def _members(self, scope: Scope, nav: str) -> tuple[Scope, str]:
        """The rows of a collection (1:N or N:N), and what ties them to their parent."""
        relation = collection_nav(self.ctx.model, scope.table, nav)
        side = association_nav(self.ctx.model, scope.table, nav)
        self.count_link(scope.table)
        if side is not None:
            child = self.scope(self.ctx.model.tables[side.other])
            return child, associated(side, child.key, scope.key)
        if relation is None:
            raise no_property(scope.table, nav)
        table = self.ctx.model.tables[relation.referencing]
        if table.table_type == "Elastic":
            raise refuse("Link entities are not supported", "0x80048D0B")
        child = self.scope(table)
        lookup = table.columns[relation.referencing_attribute]
        return child, (f"{child.column(lookup.name)} = {scope.key}"
                       + target_condition(child.alias, lookup, scope.table.name))

    def _dataverse_function(self, node: Call, env: "_Env", negated: bool) -> Sql:
        name = node.name[len(NAMESPACE):]
        if name in NOT_IMPLEMENTED:
            raise refuse(f"The query function '{name}' is not implemented by this service.",
                         "0x80040315", 501)
        function = FUNCTIONS.get(name)
        if function is None:
            raise _unknown_function(node.name)
        if negated:
            raise refuse("Not operator along with the Custom Named Condition operators is not "
                         "allowed")
        scope, names = self.resolve(node.path, env.variables, env.default)
        for nav in names:
            scope = self.follow(scope, nav)
        parameters = dict(node.named)
        if len(parameters) != len(node.named) or set(parameters) != {"PropertyName",
                                                                     *function.parameters}:
            raise _unknown_function(node.name)
        self.count_condition()
        column = self._function_column(scope, parameters["PropertyName"])
        given = [_parameter(name, p, parameters[p]) for p in function.parameters]
        sql = function.compile(FunctionCall(self, name, scope, column), *given)
        return self._negatable(sql, scope, False, "")

    def _function_column(self, scope: Scope, name: Any) -> Column:
        """``PropertyName`` is a quoted **logical** name: ``_x_value`` is refused (sheet 2.3.6)."""
        if not isinstance(name, Literal) or name.kind != "string":
            raise refuse("The parameter 'PropertyName' must be a string.")
        column = scope.table.columns.get(name.value)
        if column is None or column.attribute_of:
            raise refuse(f"'{scope.table.schema_name}' entity doesn't contain attribute with "
                         f"Name = '{name.value}' and NameMapping = 'Logical'.", "0x80041103")
        return column


@dataclasses.dataclass(frozen=True)
class _Env:
    """Where names are looked up: the row itself and the range variables of lambdas."""

    default: Optional[Scope]
    variables: dict[str, Scope]


_HANDLERS: dict[type, Callable[..., Sql]] = {
    Logic: Builder._logic, Not: Builder._not, Compare: Builder._compare, Call: Builder._call,
    Lambda: Builder._lambda, Unsupported: Builder._unsupported,
}

#: Which literals a property of an Edm type can be compared with (sheet 2.3.2).
_LITERALS = {
    "Edm.String": ("string",), "Edm.Int32": ("int",), "Edm.Int64": ("int",),
    "Edm.Decimal": ("int", "decimal"), "Edm.Double": ("int", "decimal", "double"),
    "Edm.Boolean": ("bool",), "Edm.Guid": ("guid",), "Edm.DateTimeOffset": ("datetime",),
    "Edm.Date": ("date",), "Edm.Binary": (),
}


def incompatible(column: Column, other: str, op: str) -> Fault:
    return refuse(
        f"A binary operator with incompatible types was detected. Found operand types "
        f"'{values.edm(column)}' and '{other}' for operator kind '{_OPERATOR_KIND[op]}'.")


def bad_operator(column: Column, op: str) -> Fault:
    return refuse(f"The operator '{op}' is not valid for the attribute '{column.name}' of type "
                  f"'{column.kind.value}'.", "0x80041120")


def check_operator(column: Column, op: str) -> None:
    """Order comparisons make no sense on some types."""
    if column.kind is Kind.IMAGE:
        raise bad_operator(column, op)
    if op not in ("eq", "ne"):
        if column.kind is Kind.BOOLEAN:
            raise incompatible(column, "Edm.Boolean", op)
        if column.kind in (Kind.MULTISELECT, Kind.ENTITY_NAME):
            raise bad_operator(column, op)


def unsupported(node: Unsupported) -> Fault:
    if node.what == "in":  # the one wording that is known (sheet 2.3.1, 7.6); codes may be empty
        return Fault(501, "", "The method or operation is not implemented.")
    return refuse(f"The operator '{node.what}' is not supported.")


def _unknown_function(name: str) -> Fault:
    return refuse(f"An unknown function with name '{name}' was found. This may also be a function "
                  f"import or a key lookup on a navigation property, which is not allowed.")


def _no_signature(name: str) -> Fault:
    return refuse(
        f"No function signature for the function with name '{name}' matches the specified "
        f"arguments. The function signatures considered are: {name}(Edm.String Nullable=true, "
        f"Edm.String Nullable=true).")


# --- Values --------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Outside:
    """A decimal finer than storage; ``floor`` is the sort key of the next storable value below."""

    floor: str


_FINE = decimal.Context(prec=200, rounding=decimal.ROUND_FLOOR)
_TWELFTH = Decimal(1).scaleb(-12)


def _stored(column: Column, value: Any, quirks: Any) -> Any:
    """What the compare column holds for a value of the right type."""
    kind = column.kind
    if kind in (Kind.DECIMAL, Kind.MONEY):
        number = Decimal(value)
        floor = number.quantize(_TWELFTH, context=_FINE) if number.is_finite() else number
        key = values.sort_key(f"{floor:f}")
        return key if floor == number else Outside(key)
    if kind is Kind.DATETIME and isinstance(value, str) and column.behavior != "DateOnly":
        return odata.parse_datetime(value)
    if kind.is_text:
        return collation.fold(value, quirks)
    if kind is Kind.MULTISELECT:
        return _choices(column, value)
    if kind is Kind.DOUBLE:
        return float(value)
    if kind is Kind.BOOLEAN:
        return int(value)
    return value


def _choices(column: Column, text: str) -> str:
    """``'9, 1'`` as it is stored: ``1,9``."""
    try:
        return ",".join(map(str, sorted({int(part) for part in text.split(",")}))) if text else ""
    except ValueError:
        raise refuse(f"'{text}' is no list of choice values of '{column.name}'.",
                     "0x80040203") from None


def _parameter(function: str, name: str, value: Any) -> Any:
    """The value of one function parameter; numbers are bare, texts and lists are not (2.3.6)."""
    kind = {"PropertyValue1": "int", "PropertyValue2": "int", "PropertyValues": "array"}.get(name)
    if kind is None:
        kind = "string" if function in _STRING_VALUE else "int"
    if not isinstance(value, Literal) or value.kind != kind:
        raise refuse(f"The parameter '{name}' of the function '{NAMESPACE}{function}' does not "
                     f"have the expected type.")
    return value.value


_STRING_VALUE = ("On", "OnOrAfter", "OnOrBefore", "Contains")


def listed(column: Column, value: Any, quirks: Any) -> Any:
    """One entry of PropertyValues: numbers, GUIDs and dates come as quoted text too (2.3.6)."""
    if value is None:
        raise refuse("null is not supported in PropertyValues.", "0x80040203")
    text = value if isinstance(value, str) else (
        str(value).lower() if isinstance(value, bool) else str(value))
    try:
        return _READ[values.edm(column)](column, text, quirks)
    except (ValueError, decimal.InvalidOperation):
        raise refuse(f"Cannot convert the literal '{text}' to the expected type "
                     f"'{values.edm(column)}'.", "0x80040203") from None


def _read_text(column: Column, text: str, quirks: Any) -> Any:
    if column.kind is Kind.MULTISELECT:
        return _choices(column, text)
    if len(text) > MAX_IN_TEXT:
        raise refuse(f"A value for '{column.name}' is longer than {MAX_IN_TEXT} characters.",
                     "0x80041120")
    return collation.fold(text, quirks)


def _read_int(column: Column, text: str, quirks: Any) -> int:
    return int(text)


def _read_decimal(column: Column, text: str, quirks: Any) -> Any:
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError(text)
    return _stored(column, number, quirks)


def _read_bool(column: Column, text: str, quirks: Any) -> int:
    return {"true": 1, "1": 1, "false": 0, "0": 0}[text.lower()] if text.lower() in (
        "true", "1", "false", "0") else int("x")


def _read_guid(column: Column, text: str, quirks: Any) -> str:
    bare = text.strip("{}").lower()
    if not values.is_guid(bare):
        raise ValueError(text)
    return bare


def _read_date(column: Column, text: str, quirks: Any) -> str:
    return datetime.date.fromisoformat(text[:10]).isoformat()


_READ: dict[str, Callable[[Column, str, Any], Any]] = {
    "Edm.String": _read_text, "Edm.Int32": _read_int, "Edm.Int64": _read_int,
    "Edm.Decimal": _read_decimal, "Edm.Double": lambda c, t, q: float(t), "Edm.Boolean": _read_bool,
    "Edm.Guid": _read_guid, "Edm.DateTimeOffset": lambda c, t, q: odata.parse_datetime(t),
    "Edm.Date": _read_date,
}


# --- Dataverse query functions (sheet 2.3.6) -----------------------------------------------

DAY = 86_400_000_000
HOUR = 3_600_000_000
MINUTE = 60_000_000
_EPOCH = datetime.datetime(1970, 1, 1)


class FunctionCall(NamedTuple):
    builder: Builder
    name: str
    scope: Scope
    column: Column

    @property
    def target(self) -> str:
        return self.scope.column(values.compare_column(self.column))

    def wrong_column(self) -> Fault:
        return bad_operator(self.column, self.name)


class Function(NamedTuple):
    parameters: tuple[str, ...]
    compile: Callable[..., Sql]


def _in(call: FunctionCall, items: tuple[Any, ...], negative: bool = False) -> Sql:
    quirks = call.builder.quirks
    if call.column.kind is Kind.IMAGE:
        raise call.wrong_column()
    if not items:
        raise refuse("PropertyValues must hold at least one value.", "0x80040203")
    if len(items) > MAX_VALUES:
        raise refuse("Number of values in a condition exceeded maximum limit.", "0x8004430E")
    if quirks.in_counts == "each":
        call.builder.count_condition(len(items) - 1)
    read = [listed(call.column, item, quirks) for item in items]
    found = [v for v in read if not isinstance(v, Outside)]
    marks = ",".join("?" * len(found))
    if not negative:
        return Sql(f"({call.target} IN ({marks}))", tuple(found))
    text = f"{call.target} NOT IN ({marks})"
    if quirks.ne_null == "returned":
        text += f" OR {call.target} IS NULL"
    return Sql(f"({text})", tuple(found))


def _between(call: FunctionCall, items: tuple[Any, ...], negative: bool = False) -> Sql:
    """Inclusive at both ends."""
    if len(items) != 2:
        raise refuse("Between takes two values.", "0x80040203")
    column = call.column
    if column.kind in (Kind.BOOLEAN, Kind.MULTISELECT, Kind.IMAGE, Kind.ENTITY_NAME) \
            or values.edm(column) == "Edm.Guid":
        raise call.wrong_column()
    low, high = (listed(column, item, call.builder.quirks) for item in items)
    above = "> ?" if isinstance(low, Outside) else ">= ?"
    low, high = (v.floor if isinstance(v, Outside) else v for v in (low, high))
    text = f"({call.target} {above} AND {call.target} <= ?)"
    if negative:
        text = f"(NOT {text})"
        if call.builder.quirks.ne_null == "returned":
            text = f"COALESCE({text}, 1)"
    return Sql(text, (low, high))


def _contain_values(call: FunctionCall, items: tuple[Any, ...], negative: bool = False) -> Sql:
    """Multi-select columns: any of the values (sheet 2.3.6, 2.10)."""
    if call.column.kind is not Kind.MULTISELECT:
        raise call.wrong_column()
    if not items:
        raise refuse("PropertyValues must hold at least one value.", "0x80040203")
    if len(items) > values.MAX_MULTISELECT:
        raise refuse("The number of values of a multi-select condition exceeds its limit.",
                     "0x80050223")
    try:
        wanted = tuple(f",{int(str(item))}," for item in items)
    except ValueError:
        raise refuse("PropertyValues must hold choice values.", "0x80040203") from None
    target = f"(',' || {call.target} || ',')"
    text = "(" + " OR ".join(f"instr({target}, ?) > 0" for _ in wanted) + ")"
    if negative:
        default = 1 if call.builder.quirks.ne_null == "returned" else 0
        text = f"COALESCE(NOT {text}, {default})"
    return Sql(text, wanted)


def _contains(call: FunctionCall, text: str) -> Sql:
    """Needs a full-text index, which only ``kbarticle`` has."""
    if call.scope.table.name != "kbarticle" or not call.column.kind.is_text:
        raise call.wrong_column()
    return call.builder.like("contains", call.target, text)


# Dates. The caller's time zone is UTC here.


_FIRST = (datetime.datetime.min - _EPOCH) // datetime.timedelta(microseconds=1)
_LAST = (datetime.datetime.max - _EPOCH) // datetime.timedelta(microseconds=1)


def _day_of(micros: int) -> str:
    micros = min(max(micros, _FIRST), _LAST)
    return (_EPOCH + datetime.timedelta(microseconds=micros)).date().isoformat()


def _range(call: FunctionCall, low: Optional[int], high: Optional[int]) -> Sql:
    """``low <= column < high`` in microseconds; for a DateOnly column on its days."""
    if call.column.kind is not Kind.DATETIME:
        raise call.wrong_column()
    day_only = call.column.behavior == "DateOnly"
    terms, params = [], []
    if low is not None:
        terms.append(f"{call.target} >= ?")
        params.append(_day_of(low) if day_only else low)
    if high is not None:
        terms.append(f"{call.target} <= ?" if day_only else f"{call.target} < ?")
        params.append(_day_of(high - 1) if day_only else high)
    return Sql("(" + " AND ".join(terms) + ")", tuple(params))


def _micros(moment: datetime.datetime) -> int:
    return (moment - _EPOCH) // datetime.timedelta(microseconds=1)


def _month_start(today: datetime.datetime, months: int) -> datetime.datetime:
    index = today.year * 12 + today.month - 1 + months
    return datetime.datetime(min(max(index // 12, 1), 9999), index % 12 + 1, 1)


def _shift(moment: datetime.datetime, unit: str, number: int) -> datetime.datetime:
    """Calendar arithmetic; a day past the month's end becomes its last day."""
    try:
        if unit in ("minutes", "hours", "days", "weeks"):
            return moment + datetime.timedelta(**{unit: number})
        start = _month_start(moment, number * (12 if unit == "years" else 1))
        following = _month_start(start, 1)
        last = (following - datetime.timedelta(days=1)).day
        return moment.replace(year=start.year, month=start.month, day=min(moment.day, last))
    except OverflowError:
        return datetime.datetime.min if number < 0 else datetime.datetime.max


def _clock(call: FunctionCall) -> tuple[datetime.datetime, datetime.datetime]:
    call.builder.volatile = True
    now = _EPOCH + datetime.timedelta(microseconds=call.builder.ctx.store.now())
    return now, now.replace(hour=0, minute=0, second=0, microsecond=0)


def _days(first: int, last: int) -> Callable[..., Sql]:
    """Whole days counted from today."""
    def compile(call: FunctionCall) -> Sql:
        today = _micros(_clock(call)[1])
        return _range(call, today + first * DAY, today + (last + 1) * DAY)
    return compile


def _week(offset: int) -> Callable[..., Sql]:
    """Weeks begin on Sunday."""
    def compile(call: FunctionCall) -> Sql:
        today = _clock(call)[1]
        start = _micros(today) - (today.isoweekday() % 7) * DAY + offset * 7 * DAY
        return _range(call, start, start + 7 * DAY)
    return compile


def _months(offset: int, size: int) -> Callable[..., Sql]:
    def compile(call: FunctionCall) -> Sql:
        today = _clock(call)[1]
        if size == 12:
            today = today.replace(month=1)
        start = _month_start(today, offset * size)
        return _range(call, _micros(start), _micros(_month_start(start, size)))
    return compile


_TIME_UNITS = ("minutes", "hours")


def _check_unit(call: FunctionCall, unit: str, number: int) -> None:
    if unit in _TIME_UNITS and call.column.behavior == "DateOnly":
        raise call.wrong_column()  # sheet 2.3.6
    if number <= 0:
        raise refuse("The value of the condition must be greater than zero.", "0x80040203")


def _last(unit: str) -> Callable[..., Sql]:
    """From the start of the day so many units ago until now."""
    def compile(call: FunctionCall, number: int) -> Sql:
        _check_unit(call, unit, number)
        now, today = _clock(call)
        start = _shift(now if unit in _TIME_UNITS else today, unit, -number)
        return _range(call, _micros(start), _micros(now) + 1)
    return compile


def _next(unit: str) -> Callable[..., Sql]:
    """From now until the end of the day so many units ahead."""
    def compile(call: FunctionCall, number: int) -> Sql:
        _check_unit(call, unit, number)
        now, today = _clock(call)
        if unit in _TIME_UNITS:
            return _range(call, _micros(now), _micros(_shift(now, unit, number)) + 1)
        return _range(call, _micros(now), _micros(_shift(today, unit, number)) + DAY)
    return compile


def _older(unit: str) -> Callable[..., Sql]:
    def compile(call: FunctionCall, number: int) -> Sql:
        _check_unit(call, unit, number)
        now, today = _clock(call)
        start = _shift(now if unit in _TIME_UNITS else today, unit, -number)
        return _range(call, None, _micros(start))
    return compile


def _on(call: FunctionCall, text: str, before: bool = False, after: bool = False) -> Sql:
    """Whole days in the caller's zone."""
    try:
        moment = odata.parse_datetime(text)
    except ValueError:
        raise refuse(f"'{text}' is no date.", "0x80040239") from None
    day = moment - moment % DAY
    return _range(call, None if before else day, None if after else day + DAY)


# Identity


def _ids(call: FunctionCall, ids: list[str], negative: bool = False) -> Sql:
    if values.edm(call.column) != "Edm.Guid":
        raise call.wrong_column()
    text = f"{call.target} IN ({','.join('?' * len(ids))})"
    if negative:
        text = f"NOT {text}"
        if call.builder.quirks.ne_null == "returned":
            text += f" OR {call.target} IS NULL"
    return Sql(f"({text})", tuple(ids))


def _user(ctx: Context) -> list[str]:
    return [ctx.user_id]


def _business(ctx: Context) -> list[str]:
    table = ctx.model.tables.get("systemuser")
    if table is None or "businessunitid" not in table.columns:
        return []
    row = ctx.store.get(table, ctx.user_id)
    return [row["businessunitid"]] if row and row["businessunitid"] else []


def _teams(ctx: Context) -> list[str]:
    table = ctx.model.tables.get("teammembership")
    if table is None:
        return []
    sql = f'SELECT teamid FROM "{table.name}" WHERE systemuserid = ?'
    return [row[0] for row in ctx.store.execute(sql, (ctx.user_id,))]


def _identity(*sources: Callable[[Context], list[str]], negative: bool = False
              ) -> Callable[..., Sql]:
    def compile(call: FunctionCall) -> Sql:
        ids = [i for source in sources for i in source(call.builder.ctx)]
        return _ids(call, ids, negative)
    return compile


def _language(call: FunctionCall) -> Sql:
    if call.column.kind is not Kind.INTEGER:
        raise call.wrong_column()
    return Sql(f"({call.target} = 1033)")


_UNITS = {"Minutes": "minutes", "Hours": "hours", "Days": "days", "Weeks": "weeks",
          "Months": "months", "Years": "years"}
_NUMBER = ("PropertyValue",)
_LIST = ("PropertyValues",)

FUNCTIONS: dict[str, Function] = {
    "In": Function(_LIST, _in),
    "NotIn": Function(_LIST, functools.partial(_in, negative=True)),
    "Between": Function(_LIST, _between),
    "NotBetween": Function(_LIST, functools.partial(_between, negative=True)),
    "ContainValues": Function(_LIST, _contain_values),
    "DoesNotContainValues": Function(_LIST, functools.partial(_contain_values, negative=True)),
    "Contains": Function(_NUMBER, _contains),
    "On": Function(_NUMBER, _on),
    "OnOrBefore": Function(_NUMBER, functools.partial(_on, before=True)),
    "OnOrAfter": Function(_NUMBER, functools.partial(_on, after=True)),
    "Yesterday": Function((), _days(-1, -1)),
    "Today": Function((), _days(0, 0)),
    "Tomorrow": Function((), _days(1, 1)),
    "Last7Days": Function((), _days(-7, 0)),
    "Next7Days": Function((), _days(0, 7)),
    "LastWeek": Function((), _week(-1)),
    "ThisWeek": Function((), _week(0)),
    "NextWeek": Function((), _week(1)),
    "LastMonth": Function((), _months(-1, 1)),
    "ThisMonth": Function((), _months(0, 1)),
    "NextMonth": Function((), _months(1, 1)),
    "LastYear": Function((), _months(-1, 12)),
    "ThisYear": Function((), _months(0, 12)),
    "NextYear": Function((), _months(1, 12)),
    **{f"LastX{u}": Function(_NUMBER, _last(n)) for u, n in _UNITS.items() if u != "Minutes"},
    **{f"NextX{u}": Function(_NUMBER, _next(n)) for u, n in _UNITS.items() if u != "Minutes"},
    **{f"OlderThanX{u}": Function(_NUMBER, _older(n)) for u, n in _UNITS.items()},
    "EqualUserId": Function((), _identity(_user)),
    "NotEqualUserId": Function((), _identity(_user, negative=True)),
    "EqualBusinessId": Function((), _identity(_business)),
    "NotEqualBusinessId": Function((), _identity(_business, negative=True)),
    "EqualUserTeams": Function((), _identity(_teams)),
    "EqualUserOrUserTeams": Function((), _identity(_user, _teams)),
    "EqualUserLanguage": Function((), _language),
}

#: Known to Dataverse; they need hierarchies, roles or a fiscal calendar, which this service lacks.
NOT_IMPLEMENTED = frozenset("""
    Above AboveOrEqual Under UnderOrEqual NotUnder EqualRoleBusinessId EqualUserOrUserHierarchy
    EqualUserOrUserHierarchyAndTeams LastFiscalPeriod LastFiscalYear NextFiscalPeriod NextFiscalYear
    ThisFiscalPeriod ThisFiscalYear LastXFiscalPeriods LastXFiscalYears NextXFiscalPeriods
    NextXFiscalYears InFiscalPeriod InFiscalYear InFiscalPeriodAndYear InOrAfterFiscalPeriodAndYear
    InOrBeforeFiscalPeriodAndYear
""".split())
