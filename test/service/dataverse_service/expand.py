"""$expand (sheet 2.8): related rows inside rows.

Related rows are read a page at a time: one query for the targets of a lookup, one for the children
of all parents, whatever the number of rows.
"""
from __future__ import annotations

import dataclasses
from typing import Any, Optional, Sequence
from urllib.parse import quote as percent_quote

from . import paging, render
from .core import Association, Column, Context, Relationship, Table
from .odata import Expand
from .render import Field, Rows, quote
from .where import (MAX_LINKS, PRINCIPALS, Builder, Scope, association_nav, collection_nav,
                    is_collection, leads_to_principal, no_principal_property, no_property, refuse,
                    single_nav)


# --- Selections ----------------------------------------------------------------------------


def all_fields(table: Table) -> list[Field]:
    """Without $select: every readable column but images (sheet 2.2)."""
    fields = [Field(c.property_name, c) for c in table.columns.values()
              if not c.attribute_of and c.readable and c.kind.value != "Image"]
    return fields + _principal_key(table, fields)


def _principal_key(table: Table, fields: Sequence[Field]) -> list[Field]:
    if table.name in PRINCIPALS and all(f.name != "ownerid" for f in fields):
        return [Field("ownerid", table.columns[table.primary_id])]
    return []


def select_fields(ctx: Context, table: Table, names: Optional[Sequence[str]]) -> list[Field]:
    """The properties of a $select, the primary key and what comes along (sheet 2.1.1, 2.2)."""
    if names is None:
        return all_fields(table)
    fields: dict[str, Field] = {}
    for name in names:
        column = table.by_property(name)
        if column is None and name == "ownerid" and table.name in PRINCIPALS:
            column = table.columns[table.primary_id]
        if column is None:
            if single_nav(ctx.model, table, name) or is_collection(ctx.model, table, name):
                continue  # accepted, and without effect: it does not return the lookup's id
            raise no_property(table, name)
        fields[name] = Field(name, column)
    key = table.columns[table.primary_id]
    fields.setdefault(key.name, Field(key.name, key))
    for column in render.dragged_along(table, [f.column for f in fields.values()]):
        fields.setdefault(column.property_name, Field(column.property_name, column))
    for field in _principal_key(table, list(fields.values())):
        fields.setdefault(field.name, field)
    return list(fields.values())


def context_names(select: Optional[Sequence[str]], expands: Sequence[Expand]) -> str:
    """What stands in parentheses in ``@odata.context``."""
    names = list(select or ())
    for expand in expands:
        if expand.ref:
            names.extend((expand.nav, f"{expand.nav}/$ref()"))
            continue
        names.append(f"{expand.nav}({context_names(expand.select, expand.expand)[1:-1]})")
    return f"({','.join(names)})" if names else ""


# --- Checks --------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Plan:
    """An $expand item with the relationship it follows."""

    item: Expand
    relation: Optional[Relationship]  #: None: many-to-many
    many: bool  #: a collection
    principal: bool
    children: tuple["Plan", ...] = ()
    side: Optional[Association] = None  #: many-to-many

    @property
    def lookup(self) -> str:
        """The lookup on the referencing table."""
        assert self.relation is not None
        return self.relation.referencing_attribute


_LIMITED = ("Only $select and $filter clause can be provided while doing $expand on many-to-one "
            "relationship or nested one-to-many relationship.")


def plan(ctx: Context, table: Table, items: Sequence[Expand]) -> tuple[Plan, ...]:
    """Judge the whole $expand of a query."""
    total = sum(item.total() for item in items)
    if total > MAX_LINKS:
        raise refuse(f"The number of $expand in the query exceeds the limit of {MAX_LINKS}.",
                     "0x8004430D")
    nested = any(item.expand for item in items)
    plans = _plan(ctx, table, items, nested)
    _refuse_mixtures(plans, nested)
    return plans


def _refuse_mixtures(plans: Sequence[Plan], nested: bool) -> None:
    """N:N stands alone: several of them, neither nested nor beside others (sheet 2.8)."""
    def some(plans: Sequence[Plan]) -> bool:
        return any(p.side is not None or some(p.children) for p in plans)
    if some(plans) and (nested or any(p.side is None for p in plans)):
        raise refuse("$expand on many-to-many relationships cannot be nested or combined with "
                     "other relationships.")


def _plan(ctx: Context, table: Table, items: Sequence[Expand], nested: bool) -> tuple[Plan, ...]:
    plans: list[Plan] = []
    for item in items:
        if any(p.item.nav == item.nav for p in plans):
            raise refuse(f"The navigation property '{item.nav}' is expanded more than once.")
        plans.append(_plan_item(ctx, table, item, nested))
    _refuse_both_sides(plans)
    return tuple(plans)


def _plan_item(ctx: Context, table: Table, item: Expand, nested: bool) -> Plan:
    one = single_nav(ctx.model, table, item.nav)
    many = None if one else collection_nav(ctx.model, table, item.nav)
    relation = one or many
    side = association_nav(ctx.model, table, item.nav) if relation is None else None
    if relation is None and side is None:
        raise no_property(table, item.nav)
    if item.ref and not one:
        raise refuse("Expand with $ref is only supported on lookup type navigation property.")
    if item.ref and (item.raw or item.expand):
        raise refuse("Expand with $ref takes no options.")
    if (one or nested) and (item.orderby is not None or item.top is not None):
        raise refuse(_LIMITED)
    principal = bool(one) and leads_to_principal(ctx.model, table, item.nav)
    if principal:
        _check_principal(item)
        return Plan(item, relation, False, True)
    other = ctx.model.tables[_other(relation, bool(many), side)]
    select_fields(ctx, other, item.select)
    children = _plan(ctx, other, item.expand, nested)
    return Plan(item, relation, not one, False, children, side)


def _other(relation: Optional[Relationship], many: bool, side: Optional[Association]) -> str:
    if side is not None:
        return side.other
    assert relation is not None
    return relation.referencing if many else relation.referenced


def _check_principal(item: Expand) -> None:
    for name in item.select or ():
        if name != "ownerid":
            raise no_principal_property(name)
    if item.filter or item.expand:
        raise refuse(f"'{item.nav}' leads to different types; only $select=ownerid is supported.")


def _refuse_both_sides(plans: Sequence[Plan]) -> None:
    """The lookup and its inverse collection in one query (sheet 2.8)."""
    seen: set[str] = set()
    for p in plans:
        if p.relation is not None and p.relation.referencing == p.relation.referenced:
            if p.relation.schema_name in seen:
                raise refuse("An item with the same key has already been added.", "0x80040216")
            seen.add(p.relation.schema_name)


# --- Reading -------------------------------------------------------------------------------


@dataclasses.dataclass
class Expander:
    """Expands for one request."""

    ctx: Context
    builder: Builder
    nested: bool  #: an $expand inside an $expand occurs: other rules for collections

    def need(self, rows: Rows, plans: Sequence[Plan]) -> None:
        """Columns that expanding will look at."""
        for p in plans:
            if p.many:
                continue
            column = rows.table.columns[p.lookup]
            rows.need(column.name)
            rows.need(column.name + "__t")

    def fragments(self, rows: Rows, plans: Sequence[Plan]) -> list[list[str]]:
        """Fragments to append to the rows, one list per $expand."""
        return [self._many(rows, p) if p.many else self._one(rows, p) for p in plans]

    # N:1

    def _one(self, rows: Rows, p: Plan) -> list[str]:
        column = rows.table.columns[p.lookup]
        ids = rows.values(column.name)
        targets = render.targets_of(column, ids, rows.values(column.name + "__t"))
        name = quote(p.item.nav)
        if p.item.ref:
            return self._refs(rows, column, name, ids, targets)
        if p.principal:
            return [f'{name}:{{"ownerid":"{i}"}}' if i else f"{name}:null" for i in ids]
        assert p.relation is not None
        table = self.ctx.model.tables[p.relation.referenced]
        ids = [i if t == table.name else None for i, t in zip(ids, targets)]
        objects = self._objects(table, p, sorted({i for i in ids if i is not None}))
        return [f"{name}:{objects.get(i, 'null')}" for i in ids]

    def _refs(self, rows: Rows, column: Column, name: str, ids: Sequence[Any],
              targets: Sequence[Optional[str]]) -> list[str]:
        known = any(f.name == column.property_name for f in rows.fields)
        fragments = []
        for row_id, target in zip(ids, targets):
            value = "null"
            if row_id is not None and target in self.ctx.model.tables:
                url = f"{self.ctx.base}/{self.ctx.model.tables[target].set_name}({row_id})"
                value = f'{{"@odata.id":{quote(url)}}}'
            own = "" if known else (f'"{column.property_name}":'
                                    + (f'"{row_id}",' if row_id else "null,"))
            fragments.append(f"{own}{name}:{value}")
        return fragments

    def _objects(self, table: Table, p: Plan, ids: Sequence[str]) -> dict[str, str]:
        """JSON of the rows with these ids; those that the filter drops are missing."""
        fields = select_fields(self.ctx, table, p.item.select)
        found: dict[str, str] = {}
        scope = self.builder.scope(table)
        condition = self._condition(scope, p)
        for part in render.chunks(ids):
            rows = Rows(self.ctx, table, fields, etags=False)
            self.need(rows, p.children)
            sql = (f"SELECT {rows.sql(scope.alias)} FROM {scope.source()} WHERE {scope.key} IN "
                   f"({','.join('?' * len(part))}){condition[0]}")
            rows.load(self.ctx.store.execute(sql, (*part, *condition[1])).fetchall())
            texts = rows.objects(self.fragments(rows, p.children))
            found.update(zip(rows.values(table.primary_id), texts))
        return found

    def _condition(self, scope: Any, p: Plan) -> tuple[str, tuple[Any, ...]]:
        if not p.item.filter:
            return "", ()
        sql = self.builder.filter(scope, p.item.filter, {})
        return f" AND {sql.text}", sql.params

    # 1:N

    def _many(self, rows: Rows, p: Plan) -> list[str]:
        table = self.ctx.model.tables[_other(p.relation, True, p.side)]
        parents = list(rows.values(rows.table.primary_id))
        child = Rows(self.ctx, table, self._child_fields(table, p), etags=not self.nested)
        self.need(child, p.children)
        scope = self.builder.scope(table)
        condition = self._condition(scope, p)
        terms = paging.order_terms(self.builder, scope, p.item.orderby, {})
        limit = self._limit(p)
        groups: dict[str, list[tuple[Any, ...]]] = {parent: [] for parent in parents}
        columns = child.sql(scope.alias) + "".join(f", {t.raw}" for t in terms)
        join, owner, kind = self._owner(rows.table, scope, p)
        for part in render.chunks(parents):
            sql = (f"SELECT {columns}, {owner} FROM {scope.source()}{join} WHERE {owner} IN "
                   f"({','.join('?' * len(part))}){kind}{condition[0]} "
                   f"ORDER BY {paging.order_sql(terms)}")
            for row in self.ctx.store.execute(sql, (*part, *condition[1])):
                group = groups[row[-1]]
                if len(group) <= limit:
                    group.append(row[:-1])
        return self._collections(rows, child, p, parents, groups, limit, terms)

    def _owner(self, table: Table, scope: Scope, p: Plan) -> tuple[str, str, str]:
        """A join, the SQL of the parent's id, and a condition on the parent's kind."""
        if p.side is not None:
            join = (f' JOIN "{p.side.intersect}" ties ON ties."{p.side.other_attribute}" = '
                    f"{scope.key}")
            return join, f'ties."{p.side.attribute}"', ""
        lookup = scope.table.columns[p.lookup]
        kind = (f" AND {scope.alias}.\"{lookup.name}__t\" = '{table.name}'"
                if len(lookup.targets) > 1 else "")
        return "", scope.column(lookup.name), kind

    def _child_fields(self, table: Table, p: Plan) -> list[Field]:
        """Children carry their foreign key, but under a nested $expand, as the docs show."""
        fields = select_fields(self.ctx, table, p.item.select)
        if self.nested or p.side is not None:
            return fields
        lookup = table.columns[p.lookup]
        if all(f.name != lookup.property_name for f in fields):
            fields.append(Field(lookup.property_name, lookup))
        return fields

    def _limit(self, p: Plan) -> int:
        if self.nested:
            wish = self.ctx.prefs.max_page_size
            return min(wish, paging.MAX_PAGE) if wish else paging.MAX_PAGE
        return paging.MAX_PAGE if p.item.top is None else min(p.item.top, paging.MAX_PAGE)

    def _collections(self, rows: Rows, child: Rows, p: Plan, parents: Sequence[str],
                     groups: dict[str, list[tuple[Any, ...]]], limit: int,
                     terms: Sequence[paging.Term]) -> list[str]:
        """All children are rendered at once and then dealt out to their parents."""
        kept = [row for parent in parents for row in groups[parent][:limit]]
        child.load(kept)
        texts = child.objects(self.fragments(child, p.children))
        fragments, position = [], 0
        width = len(child.columns)
        for parent in parents:
            group = groups[parent]
            number = min(len(group), limit)
            own = texts[position:position + number]
            position += number
            token = None
            if self.nested and len(group) > limit and number:
                token = paging.make_token(terms, group[0][width:], group[number - 1][width:], 1)
            fragments.append(self._collection(rows.table, p, parent, own, token))
        return fragments

    def _collection(self, table: Table, p: Plan, parent: str, texts: Sequence[str],
                    token: Optional[str]) -> str:
        """Single-level: always a link, to the same rows again; nested: only where more follow."""
        name = p.item.nav
        text = f'"{name}":[{",".join(texts)}]'
        if self.nested and token is None:
            return text
        options = [f"{n}={percent_quote(v, safe=_URL_SAFE)}" for n, _, v in
                   (option.partition("=") for option in p.item.raw)]
        if token is not None:
            options.append(f"$skiptoken={token}")
        url = f"{self.ctx.base}/{table.set_name}({parent})/{name}"
        if options:
            url += "?" + "&".join(options)
        return f'{text},"{name}@odata.nextLink":{quote(url)}'


_URL_SAFE = ",'()/$*=:@;"
