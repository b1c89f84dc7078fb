"""$apply: filter, groupby and aggregate (sheet 2.9), with exact arithmetic.

Rows are read once and folded in Python: at most 50,000 of them may be aggregated, sums of decimals
must not pass through floats, and text groups by its folded form.
"""
from __future__ import annotations

import dataclasses
import decimal
from decimal import Decimal
from typing import Any, Callable, Optional, Sequence

from . import odata, render, values
from .core import Column, Fault, Kind, Response
from .odata import Aggregate, Path, Transform
from .render import Field
from .request import Request, page_response
from .where import Scope, guid_order_key, no_property, refuse

MAX_ROWS = 50_000  #: sheet 2.13
MAX_GROUPS = 5_000
#: Money comes out of sums and averages with nine decimals (sheet 2.9), decimals with ten.
MONEY_SCALE = 9

_EXACT = decimal.Context(prec=100, rounding=decimal.ROUND_DOWN)

#: Options that may stand beside $apply; an order is refused with the words the sheet knows.
ALLOWED = frozenset({"$apply", "tag", "partitionId"})


def answer(request: Request) -> Response:
    """``GET <set>?$apply=...``"""
    query = request.query
    if "$orderby" in query.options:
        raise refuse("The query node SingleValueOpenPropertyAccess is not supported.")
    odata.check_options(query, ALLOWED)
    steps = [odata.substitute(s, query.aliases) for s in odata.parse_apply(query.options["$apply"])]
    final = _check_steps(steps)
    for step in steps[:-1]:
        request.conditions.append(request.builder.condition(request.scope, step.condition))
    if final is None:
        raise refuse("$apply needs a groupby or an aggregate.")
    groups = [_group(request, path) for path in final.groups]
    aggregates = [_aggregate(request, item) for item in final.aggregates]
    _check_names(request, groups, aggregates)
    rows = _read(request, groups, aggregates)
    result = fold(rows, groups, aggregates)
    if not final.groups and not result:
        result = [((), [a.start() for a in aggregates], ())]
    # In the order of the groups, nulls first, so that answers are the same every time.
    result.sort(key=lambda entry: tuple((key is not None, key) for key in entry[2]))
    return _render(request, groups, aggregates, result[:MAX_GROUPS])


def _check_steps(steps: Sequence[Transform]) -> Optional[Transform]:
    """``filter`` steps, then one ``groupby`` or ``aggregate``."""
    if any(step.kind != "filter" for step in steps[:-1]):
        raise refuse("Only filter transformations may stand before the last one in $apply.")
    return None if steps[-1].kind == "filter" else steps[-1]


# --- Groups --------------------------------------------------------------------------------


@dataclasses.dataclass
class Group:
    name: str  #: property in the answer
    column: Column
    raw: str
    key: str
    target: Optional[str]  #: lookups: SQL of the target's table name

    def sort_key(self, key: Any) -> Any:
        if key is not None and values.edm(self.column) == "Edm.Guid":
            return guid_order_key(key)
        return key


def _resolve(request: Request, path: Path) -> tuple[Scope, Column]:
    scope = request.scope
    for nav in path.names[:-1]:
        scope = request.builder.follow(scope, nav)
    column = scope.table.by_property(path.names[-1])
    if column is None:
        raise no_property(scope.table, path.names[-1])
    return scope, column


def _group(request: Request, path: Path) -> Group:
    scope, column = _resolve(request, path)
    if column.kind is Kind.MULTISELECT:
        raise refuse(f"Attribute '{column.name}' of type MultiSelectPicklist cannot be used to "
                     f"order or group.", "0x80050224")
    if column.kind is Kind.IMAGE:
        raise not_aggregatable(column, "groupby")
    if column.kind is Kind.DATETIME and request.ctx.quirks.group_dates == "refused":
        raise refuse(f"groupby with the date column '{column.name}' is not supported.")
    # A column of a related row is renamed: target table, underscore, column (sheet 2.9).
    name = column.property_name
    if scope.nested:
        name = f"{scope.table.name}_{column.name}"
    target = scope.column(column.name + "__t") if column.kind.is_lookup else None
    return Group(name, column, scope.column(column.name),
                 scope.column(values.compare_column(column)), target)


# --- Aggregates ----------------------------------------------------------------------------


@dataclasses.dataclass
class State:
    """One aggregate of one group."""

    count: int = 0
    total: Any = 0
    best: Any = None  #: (compare value, raw value)
    distinct: Optional[set[Any]] = None


@dataclasses.dataclass
class Plan:
    alias: str
    method: str
    column: Optional[Column]
    raw: str
    key: str
    finish: Callable[["Plan", State], Optional[str]]

    def start(self) -> State:
        return State(distinct=set() if self.method == "countdistinct" else None)


_NUMERIC = (Kind.INTEGER, Kind.BIGINT, Kind.DECIMAL, Kind.MONEY, Kind.DOUBLE)
_METHODS = ("sum", "average", "min", "max", "countdistinct")


def not_aggregatable(column: Column, method: str) -> Fault:
    return refuse(f"The aggregate '{method}' is not supported for the attribute '{column.name}' of "
                  f"type '{column.kind.value}'.", "0x8004112F")


def _aggregate(request: Request, item: Aggregate) -> Plan:
    if item.path is None:
        return Plan(item.alias, "count", None, "1", "1", finish_count)
    if item.method not in _METHODS:
        raise refuse(f"The aggregation method '{item.method}' is not supported.")
    if len(item.path.names) > 1:
        raise refuse(f"Aggregating '{item.path}', a property of a related row, is not supported.")
    scope, column = _resolve(request, item.path)
    _check_method(request, column, item.method)
    return Plan(item.alias, item.method, column, scope.column(column.name),
                scope.column(values.compare_column(column)), FINISH[item.method])


def _check_method(request: Request, column: Column, method: str) -> None:
    """Type restrictions (sheet 2.9)."""
    if method == "countdistinct":
        if request.ctx.quirks.countdistinct == "refused":
            raise refuse("The aggregation method 'countdistinct' is not supported.")
        return
    check_types(column, method)


def check_types(column: Column, method: str) -> None:
    """Which aggregates a column's type takes (sheet 2.9)."""
    numeric = column.kind in _NUMERIC
    ordered = numeric or column.kind in (Kind.DATETIME, Kind.STRING, Kind.MEMO)
    if not (ordered if method in ("min", "max") else numeric):
        raise not_aggregatable(column, method)


def finish_count(plan: Plan, state: State) -> Optional[str]:
    return str(state.count)


def _finish_sum(plan: Plan, state: State) -> Optional[str]:
    if not state.count:
        return None
    return number(plan.column, state.total)


def _finish_average(plan: Plan, state: State) -> Optional[str]:
    if not state.count:
        return None
    assert plan.column is not None
    if plan.column.kind in (Kind.INTEGER, Kind.BIGINT):
        # An average of whole numbers is cut to a whole number: 106/3 -> 35.
        quotient = abs(state.total) // state.count
        return str(quotient if state.total >= 0 else -quotient)
    if plan.column.kind is Kind.DOUBLE:
        return values.double_text(state.total / state.count)
    return number(plan.column, _EXACT.divide(state.total, Decimal(state.count)))


def _finish_best(plan: Plan, state: State) -> Optional[str]:
    if state.best is None:
        return None
    assert plan.column is not None
    return values.to_json(plan.column, state.best[1])


def _finish_distinct(plan: Plan, state: State) -> Optional[str]:
    return str(len(state.distinct or ()))


FINISH = {"sum": _finish_sum, "average": _finish_average, "min": _finish_best,
           "max": _finish_best, "countdistinct": _finish_distinct}


def number(column: Optional[Column], total: Any) -> str:
    assert column is not None
    if column.kind is Kind.DOUBLE:
        return values.double_text(total)
    if column.kind in (Kind.INTEGER, Kind.BIGINT):
        return str(total)
    scale = MONEY_SCALE if column.kind is Kind.MONEY else values.DECIMAL_SCALE
    number = Decimal(total).quantize(Decimal(1).scaleb(-scale), context=_EXACT)
    text = f"{number:f}"
    return text.lstrip("-") if not number else text


def _check_names(request: Request, groups: Sequence[Group], aggregates: Sequence[Plan]) -> None:
    taken = {group.name for group in groups}
    for plan in aggregates:
        if plan.alias in taken:
            raise refuse(f"The alias '{plan.alias}' is used more than once in $apply.")
        taken.add(plan.alias)
        if request.ctx.quirks.alias_clash == "refused" and request.table.by_property(plan.alias):
            raise refuse(f"The alias '{plan.alias}' is the name of a property of "
                         f"'Microsoft.Dynamics.CRM.{request.table.name}'.")


# --- Folding -------------------------------------------------------------------------------


def _read(request: Request, groups: Sequence[Group], aggregates: Sequence[Plan]) -> list[Any]:
    if request.count(MAX_ROWS + 1) > MAX_ROWS:
        raise refuse("AggregateQueryRecordLimit exceeded. Cannot perform this operation.",
                     "0x8004E023")
    columns = [text for g in groups for text in (g.key, g.raw, g.target or "NULL")]
    columns += [text for a in aggregates for text in (a.key, a.raw)]
    return request.select(", ".join(columns) or "1", None, None)


def fold(rows: Sequence[Any], groups: Sequence[Group], aggregates: Sequence[Plan]
          ) -> list[tuple[Any, list[State], tuple[Any, ...]]]:
    """(shown group values, states, sort keys) of every group."""
    width = 3 * len(groups)
    buckets: dict[tuple[Any, ...], list[Any]] = {}
    # Trailing blanks do not make another group.
    texts = [i for i, g in enumerate(groups) if g.column.kind.is_text]
    if not groups:
        if not rows:
            return []
        buckets[()] = list(rows)
    for row in rows if groups else ():
        key = row[0:width:3]
        if texts:
            key = tuple(v.rstrip(" ") if i in texts and v is not None else v
                        for i, v in enumerate(key))
        buckets.setdefault(key, []).append(row)
    result = []
    for key, members in buckets.items():
        states = [_state(plan, [(r[width + 2 * i], r[width + 2 * i + 1]) for r in members])
                  for i, plan in enumerate(aggregates)]
        first = members[0]
        shown = tuple((first[3 * i + 1], first[3 * i + 2]) for i in range(len(groups)))
        result.append((shown, states, tuple(g.sort_key(k) for g, k in zip(groups, key))))
    return result


def _state(plan: Plan, pairs: list[tuple[Any, Any]]) -> State:
    state = plan.start()
    if plan.method == "count":
        state.count = len(pairs)
        return state
    pairs = [p for p in pairs if p[1] is not None]
    state.count = len(pairs)
    assert plan.column is not None
    if plan.method == "countcolumn":
        return state
    if state.distinct is not None:
        state.distinct.update(p[0].rstrip(" ") if plan.column.kind.is_text else p[0] for p in pairs)
    elif plan.method in ("min", "max"):
        if pairs:
            choose = min if plan.method == "min" else max
            state.best = choose(pairs, key=lambda p: p[0])
    elif plan.column.kind in (Kind.DECIMAL, Kind.MONEY):
        with decimal.localcontext(_EXACT):
            state.total = sum((Decimal(p[1]) for p in pairs), Decimal(0))
    else:
        state.total = sum(p[1] for p in pairs)
    return state


# --- Rendering -----------------------------------------------------------------------------


def _render(request: Request, groups: Sequence[Group], aggregates: Sequence[Plan],
            result: Sequence[Any]) -> Response:
    """Group rows: no etag, no key, nulls left out; properties in another order than asked."""
    ctx = request.ctx
    layers: list[list[str]] = []
    for place, plan in reversed(list(enumerate(aggregates))):
        texts = [plan.finish(plan, entry[1][place]) for entry in result]
        if plan.method == "sum" and ctx.quirks.sum_of_nothing == "zero":
            texts = [t if t is not None else number(plan.column, 0) for t in texts]
        layers.append([aggregate_fragment(request, plan, t) for t in texts])
    for index in reversed(range(len(groups))):
        group = groups[index]
        items = [entry[0][index][0] for entry in result]
        targets = [entry[0][index][1] for entry in result]
        fragments = render.field_fragments(ctx, Field(group.name, group.column), items, targets)
        layers.append(["" if v is None else f for v, f in zip(items, fragments)])
    objects = ["{" + ",".join(f for f in row if f) + "}" for row in zip(*layers)]
    return page_response(request, request.table.set_name, objects, paged=False)


def aggregate_fragment(request: Request, plan: Plan, text: Optional[str]) -> str:
    if text is None:
        return ""
    fragment = f'"{plan.alias}":{text}'
    if not request.ctx.prefs.wants(render.FORMATTED):
        return fragment
    formatted = _formatted(plan, text)
    if formatted is None:
        return fragment
    return f'"{plan.alias}@{render.FORMATTED}":{render.quote(formatted)},{fragment}'


def _formatted(plan: Plan, text: str) -> Optional[str]:
    if plan.column is None or plan.method.startswith("count"):
        return f"{int(text):,}"
    kind = plan.column.kind
    if kind in (Kind.INTEGER, Kind.BIGINT):
        return f"{int(text):,}"
    if kind in (Kind.DECIMAL, Kind.MONEY):
        return values.formatted(plan.column, text)
    if kind is Kind.DOUBLE:
        return values.formatted(plan.column, float(text))
    if kind is Kind.DATETIME:
        raw = text.strip('"')
        return values.formatted(plan.column,
                                raw if plan.column.behavior == "DateOnly"
                                else odata.parse_datetime(raw))
    return None
