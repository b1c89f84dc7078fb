"""Aggregates of FetchXML (sheet 2.12.6, 2.9): groups, sums and counts under their aliases."""
from __future__ import annotations

from decimal import Decimal
from typing import Any, Callable, Sequence

from . import apply, collation, fetchorder, render, values
from .apply import Group, Plan, State
from .core import Column, Kind, Response
from .fetchjoin import Joins, Source, duplicate_alias
from .fetchwhere import column_of
from .fetchxml import Attribute, Fetch, fault, not_here
from .render import Field
from .request import Request, page_response
from .where import refuse

_METHODS = {"avg": "average", "sum": "sum", "min": "min", "max": "max", "count": "count",
            "countcolumn": "countcolumn"}


def answer(request: Request, fetch: Fetch, joins: Joins, counted: bool, stored: bool) -> Response:
    groups, plans, names = _columns(joins)
    orders = _orders(joins, names)
    rows = _read(request, fetch, joins, groups, plans)
    result = apply.fold(rows, groups, plans)
    if not groups and not result:
        result = [((), [p.start() for p in plans], ())]
    _sort(request, fetch, groups, plans, result, orders)
    total = len(result)
    page, more = _page(fetch, result)
    texts = _objects(request, groups, plans, names, page)
    more_text = [f'"@{MORE}":true'] if more and request.ctx.prefs.wants(MORE) else []
    return page_response(request, request.table.set_name, texts, count=total if counted else None,
                         counted=counted, paged=False, annotations=more_text)


MORE = "Microsoft.Dynamics.CRM.morerecords"


# --- Columns -------------------------------------------------------------------------------


def _columns(joins: Joins) -> tuple[list[Group], list[Plan], list[str]]:
    """Groups, aggregates and all aliases in the order they were written."""
    groups: list[Group] = []
    plans: list[Plan] = []
    names: list[str] = []  # columns; links have aliases of their own
    for source in joins.sources:
        for attribute in source.body.attributes:
            alias = attribute.alias or ""
            if alias in names:
                raise duplicate_alias(alias)
            names.append(alias)
            column = column_of(source.scope.table, attribute.name)
            if attribute.groupby:
                groups.append(_group(source, column, attribute))
            else:
                plans.append(_plan(source, column, attribute))
    if not names:
        raise fault("0x8004111A", "An aggregate query needs at least one attribute.")
    return groups, plans, names


def _group(source: Source, column: Column, attribute: Attribute) -> Group:
    alias = attribute.alias or ""
    if column.kind is Kind.MULTISELECT:
        raise refuse(f"Attribute '{column.name}' of type MultiSelectPicklist cannot be used to "
                     "order or group.", "0x80050224")
    if column.kind is Kind.IMAGE:
        raise apply.not_aggregatable(column, "groupby")
    if column.kind is Kind.DATETIME:
        return _date_group(source, column, attribute)
    if attribute.dategrouping is not None:
        raise fault("0x80041135", f"dategrouping cannot be used with '{column.name}' of type "
                    f"'{column.kind.value}'.")
    scope = source.scope
    target = scope.column(column.name + "__t") if column.kind.is_lookup else None
    return Group(alias, column, scope.column(column.name),
                 scope.column(values.compare_column(column)), target)


# Parts of a date as whole numbers; weeks as SQL Server counts them: the first begins on January
# 1st, the others on Sundays.
_PARTS: dict[str, Callable[[str], str]] = {
    "day": lambda day: f"CAST(strftime('%d', {day}) AS INTEGER)",
    "week": lambda day: (f"((CAST(strftime('%j', {day}) AS INTEGER) - 1 + CAST(strftime('%w', {day}"
                         f", 'start of year') AS INTEGER)) / 7 + 1)"),
    "month": lambda day: f"CAST(strftime('%m', {day}) AS INTEGER)",
    "quarter": lambda day: f"((CAST(strftime('%m', {day}) AS INTEGER) + 2) / 3)",
    "year": lambda day: f"CAST(strftime('%Y', {day}) AS INTEGER)",
}


def _date_group(source: Source, column: Column, attribute: Attribute) -> Group:
    """The caller's zone is UTC here, so ``usertimezone`` makes no difference."""
    part = attribute.dategrouping
    if part is None:
        raise fault("0x80041135", "Invalid value '' for dategrouping.")
    if part not in _PARTS:
        raise not_here(f"dategrouping='{part}'")
    target = source.scope.column(column.name)
    if column.behavior != "DateOnly":
        # Toward the past, also before 1970.
        seconds = f"(({target} - (({target} % 1000000) + 1000000) % 1000000) / 1000000)"
        target = f"{seconds}, 'unixepoch'"
    sql = _PARTS[part](target)
    shown = Column(attribute.alias or "", Kind.INTEGER, entity=column.entity)
    return Group(attribute.alias or "", shown, sql, sql, None)


def _plan(source: Source, column: Column, attribute: Attribute) -> Plan:
    method = _METHODS[attribute.aggregate or ""]
    alias, scope = attribute.alias or "", source.scope
    if method == "count":
        return Plan(alias, "count", None, "1", "1", apply.finish_count)
    if method == "countcolumn":
        if attribute.distinct:
            if column.kind in (Kind.MEMO, Kind.MULTISELECT, Kind.IMAGE):
                raise apply.not_aggregatable(column, "countcolumn")
            method = "countdistinct"
        finish = apply.FINISH.get(method, apply.finish_count)
    else:
        apply.check_types(column, method)
        finish = apply.FINISH[method]
    return Plan(alias, method, column, scope.column(column.name),
                scope.column(values.compare_column(column)), finish)


def _orders(joins: Joins, names: Sequence[str]) -> list[tuple[str, bool]]:
    found = []
    for source in joins.sources:
        for order in source.body.orders:
            if order.alias not in names:
                raise fault("0x8004110A", f"The alias '{order.alias}' of the order does not exist.")
            found.append((order.alias or "", order.descending))
    return found


# --- Rows ----------------------------------------------------------------------------------


def _read(request: Request, fetch: Fetch, joins: Joins, groups: Sequence[Group],
          plans: Sequence[Plan]) -> list[Any]:
    """The rows to aggregate; ``aggregatelimit`` lowers the limit and never raises it."""
    limit = min(fetch.aggregatelimit or apply.MAX_ROWS, apply.MAX_ROWS)
    columns = [text for g in groups for text in (g.key, g.raw, g.target or "NULL")]
    columns += [text for p in plans for text in (p.key, p.raw)]
    parts = [*request.conditions, *joins.where]
    where = " WHERE " + " AND ".join(p.text for p in parts) if parts else ""
    source = joins.source()
    sql = f"SELECT {', '.join(columns)} FROM {source.text}{where} LIMIT {limit + 1}"
    params = (*source.params, *(v for p in parts for v in p.params))
    rows = request.ctx.store.execute(sql, params).fetchall()
    if len(rows) > limit:
        raise refuse("AggregateQueryRecordLimit exceeded. Cannot perform this operation.",
                     "0x8004E023")
    return rows


# --- Order and pages -----------------------------------------------------------------------

_Entry = tuple[Any, list[State], tuple[Any, ...]]


def _group_keys(request: Request, fetch: Fetch, group: Group, index: int,
                result: Sequence[_Entry]) -> list[Any]:
    """Grouping by a lookup sorts by the name (sheet 2.9), by a choice by the label."""
    column, quirks = group.column, request.ctx.quirks
    shown = [entry[0][index] for entry in result]
    if column.kind.is_lookup or (fetchorder.has_label(column) and not fetch.useraworderby):
        texts = render.formatted_texts(request.ctx, column, [s[0] for s in shown],
                                       [s[1] for s in shown])
        return [t if t is None else collation.fold(t, quirks) for t in texts]
    return [entry[2][index] for entry in result]


def _plan_key(plan: Plan, state: State) -> Any:
    if plan.method in ("min", "max"):
        return None if state.best is None else state.best[0]
    text = plan.finish(plan, state)
    return None if text is None else Decimal(text)


def _sort(request: Request, fetch: Fetch, groups: Sequence[Group], plans: Sequence[Plan],
          result: list[Any], orders: Sequence[tuple[str, bool]]) -> None:
    """By the groups, so that answers are the same every time; then as asked. On a group's alias
    ``descending`` has no effect (sheet 2.4)."""
    by_group = {g.name: _group_keys(request, fetch, g, i, result) for i, g in enumerate(groups)}
    place = {p.alias: i for i, p in enumerate(plans)}
    wanted = [(g.name, False) for g in reversed(groups)] + list(reversed(orders))
    positions = list(range(len(result)))
    last = request.ctx.quirks.null_order == "last"
    for alias, descending in wanted:
        if alias in by_group:
            keys, descending = by_group[alias], False
        else:
            plan = plans[place[alias]]
            keys = [_plan_key(plan, entry[1][place[alias]]) for entry in result]
        positions.sort(key=lambda i: ((keys[i] is None) == last, 0 if keys[i] is None else keys[i]),
                       reverse=descending)
    result[:] = [result[i] for i in positions]


def _page(fetch: Fetch, result: Sequence[Any]) -> tuple[Sequence[Any], bool]:
    """5,000 groups a page. Who does not page is cut off there and not told (sheet 2.9)."""
    size = min(fetch.count or apply.MAX_GROUPS, apply.MAX_GROUPS)
    start = (fetch.page_number - 1) * size
    more = len(result) > start + size
    return result[start:start + size], more and (fetch.page is not None or fetch.count is not None)


# --- JSON ----------------------------------------------------------------------------------


def _objects(request: Request, groups: Sequence[Group], plans: Sequence[Plan],
             names: Sequence[str], page: Sequence[Any]) -> list[str]:
    """Rows in the order of the aliases; neither etag nor key, nulls left out."""
    layers: dict[str, list[str]] = {}
    for index, group in enumerate(groups):
        items = [entry[0][index][0] for entry in page]
        targets = [entry[0][index][1] for entry in page]
        fragments = render.field_fragments(request.ctx, Field(group.name, group.column), items,
                                           targets)
        layers[group.name] = ["" if v is None else f for v, f in zip(items, fragments)]
    for index, plan in enumerate(plans):
        texts = [plan.finish(plan, entry[1][index]) for entry in page]
        if plan.method == "sum" and request.ctx.quirks.sum_of_nothing == "zero":
            texts = [t if t is not None else apply.number(plan.column, 0) for t in texts]
        layers[plan.alias] = [apply.aggregate_fragment(request, plan, t) for t in texts]
    ordered = [layers[name] for name in names]
    return ["{" + ",".join(filter(None, row)) + "}" for row in zip(*ordered)]
