"""Links of FetchXML to SQL joins and subqueries (sheet 2.12.3).

``inner`` and ``outer`` links become joins in document order, as the engine writes them: an inner
link below an outer one drops the parent. A link's own filter belongs to the join (ON); conditions
that name a link by ``entityname`` are judged after it (WHERE).
"""
from __future__ import annotations

import dataclasses
from typing import Optional, Sequence, Union

from . import values
from .core import Column, Fault, Kind
from .fetchwhere import FetchBuilder, column_of, compile_condition, table_of
from .fetchxml import Body, Condition, Filter, Link, fault, not_here
from .where import Scope, Sql, guid_order_sql

MAX_TEXT = 850


@dataclasses.dataclass
class Source:
    """The entity, or a link whose rows are joined to it."""

    body: Body
    scope: Scope
    alias: Optional[str] = None  #: None: the entity itself
    join: Sql = Sql("")
    first: bool = False  #: matchfirstrowusingcrossapply


def all_of(parts: Sequence[Sql], word: str = " AND ") -> Sql:
    if len(parts) < 2:
        return parts[0] if parts else Sql("")
    # The deepest first: so SQLite's parser, whose stack is small, gets through deep nesting.
    parts = sorted(parts, key=lambda part: -len(part.text))
    return Sql("(" + word.join(p.text for p in parts) + ")",
               tuple(v for p in parts for v in p.params))


class Joins:
    """One entity (or one subquery's table) with all that is joined to it."""

    def __init__(self, builder: FetchBuilder, body: Body, scope: Scope, aliases: set[str]):
        self.builder = builder
        self.aliases = aliases  #: taken in the whole query
        self.root = Source(body, scope)
        self.sources: list[Source] = [self.root]
        self.by_name: dict[str, Source] = {}
        self.where: list[Sql] = []
        # Conditions may name links that come later.
        links = self._declare(self.root)
        for source, link, parent in links:
            self._join(source, link, parent)
        for each in body.filters:
            self._add(self.where, self._filter(each, self.root, True))

    # --- links ----------------------------------------------------------------------------

    def _declare(self, parent: Source) -> list[tuple[Optional[Source], Link, Source]]:
        found: list[tuple[Optional[Source], Link, Source]] = []
        for link in parent.body.links:
            self._count(link, parent)
            if link.type in ("exists", "in"):
                self._filter_only(link)
                self._name(link)
                found.append((None, link, parent))
                continue
            alias = self._name(link)
            source = Source(link, self.builder.scope(table_of(self.builder.ctx, link.name)), alias,
                            first=link.type == "matchfirstrowusingcrossapply")
            self.sources.append(source)
            self.by_name[alias] = source
            if link.alias is None:
                self.by_name.setdefault(link.name, source)
            found.append((source, link, parent))
            if source.first and link.links:
                raise not_here("Links below matchfirstrowusingcrossapply")
            found.extend(self._declare(source))
        return found

    def _count(self, link: Link, parent: Source) -> None:
        """Links count as conditions too; joins between data providers do not work (2.12.3)."""
        self.builder.count_link(table_of(self.builder.ctx, link.name))
        self.builder.count_condition()
        if parent.scope.table.table_type == "Elastic":
            raise fault("0x80048D0B", "Link entities are not supported")

    def _name(self, link: Link) -> str:
        """The alias of a link; without one it is made of its name and place in the query."""
        alias = link.alias or f"{link.name}{self.builder.links}"
        if alias in self.aliases:
            raise duplicate_alias(alias)
        self.aliases.add(alias)
        return alias

    def _filter_only(self, link: Link) -> None:
        """Links that are conditions have no columns and no order."""
        for body in (link, *_below(link)):
            if body.attributes or body.all_attributes or body.orders:
                raise fault("0x80041117", f"A link-entity of link-type '{link.type}' only filters: "
                            "it cannot have attributes or an order.")

    def _on(self, link: Link, child: Scope, parent: Scope) -> Sql:
        left, right = column_of(child.table, link.source), column_of(parent.table, link.to)
        for column in (left, right):
            if column.kind in (Kind.MULTISELECT, Kind.IMAGE):
                raise fault("0x80041104", f"The column '{column.name}' of type "
                            f"'{column.kind.value}' cannot be used to link.")
        if values.edm(left) != values.edm(right):
            raise fault("0x80041104", "Data Types don't match for the link-entity join attributes "
                        f"'{left.name}', '{right.name}'.")
        if link.intersect and not child.table.is_intersect:
            raise fault("0x8004110E", f"'{link.name}' is no intersect entity.")
        return Sql(f"{child.column(values.compare_column(left))} = "
                   f"{parent.column(values.compare_column(right))}")

    def _join(self, source: Optional[Source], link: Link, parent: Source) -> None:
        if source is None:
            self._add(self.where, self._exists(link, parent.scope))
            return
        on = [self._on(link, source.scope, parent.scope)]
        for each in link.filters:
            self._add(on, self._filter(each, source, False))
        name = f'"{source.scope.table.name}" {source.scope.alias}'
        condition = Sql(" AND ".join(p.text for p in on), tuple(v for p in on for v in p.params))
        if source.first:
            # The first match by primary key: some row, the same one every time.
            key = guid_order_sql(source.scope.key)
            text = (f' JOIN {name} ON {source.scope.alias}.rowid = (SELECT '
                    f"{source.scope.alias}.rowid FROM {name} WHERE {condition.text} "
                    f"ORDER BY {key} LIMIT 1)")
        else:
            word = " LEFT JOIN " if link.type == "outer" else " JOIN "
            text = f"{word}{name} ON {condition.text}"
        source.join = Sql(text, condition.params)

    # --- links that are conditions --------------------------------------------------------

    def _exists(self, link: Link, parent: Scope) -> Sql:
        on, sub = self._subquery(link, parent)
        return Sql(f"EXISTS ({sub.text} WHERE {on.text})", (*sub.params, *on.params))

    def _subquery(self, link: Link, parent: Scope) -> tuple[Sql, Sql]:
        """(condition, SELECT without it) of the linked rows that fulfil the link's filters."""
        child = self.builder.scope(table_of(self.builder.ctx, link.name))
        inner = Joins(self.builder, link, child, self.aliases)
        parts = [self._on(link, child, parent), *inner.where]
        source = inner.source()
        condition = Sql(" AND ".join(p.text for p in parts),
                        tuple(v for p in parts for v in p.params))
        return condition, Sql(f"SELECT 1 FROM {source.text}", source.params)

    def _link_condition(self, link: Link, parent: Source) -> Sql:
        """``any``, ``not any`` and the two whose names mislead: ``not all`` is ``any``, ``all``
        holds where linked rows exist and **none** satisfies the filter (sheet 2.12.3)."""
        self._count(link, parent)
        self._filter_only(link)
        self._name(link)
        found = self._exists(link, parent.scope)
        if link.type in ("any", "not all"):
            return found
        if link.type == "not any":
            return Sql(f"(NOT {found.text})", found.params)
        table = table_of(self.builder.ctx, link.name)
        child = self.builder.scope(table)
        some = f"EXISTS (SELECT 1 FROM {child.source()} WHERE " \
               f"{self._on(link, child, parent.scope).text})"
        return Sql(f"({some} AND NOT {found.text})", found.params)

    # --- filters --------------------------------------------------------------------------

    @staticmethod
    def _add(parts: list[Sql], sql: Sql) -> None:
        if sql.text:
            parts.append(sql)

    def _filter(self, node: Filter, source: Source, top: bool) -> Sql:
        parts: list[Sql] = []
        for item in node.items:
            self._add(parts, self._item(item, source, top))
        return all_of(parts, " AND " if node.type == "and" else " OR ")

    def _item(self, item: Union[Condition, Filter, Link], source: Source, top: bool) -> Sql:
        if isinstance(item, Filter):
            return self._filter(item, source, top)
        if isinstance(item, Link):
            return self._link_condition(item, source)
        if item.entityname is not None:
            if not top:
                raise fault("0x80041106", "Incorrect filter condition: entityname can be used in "
                            "the filters of the entity only.")
            source = self.named(item.entityname)
        other = self._valueof(item, source) if item.valueof is not None else None
        return compile_condition(self.builder, source.scope, item, other)

    def named(self, name: str) -> Source:
        """A link by its alias, or by its table where it has none."""
        source = self.by_name.get(name)
        if source is None:
            raise fault("0x8004110A", f"LinkEntity with name or alias {name} is not found")
        return source

    def _valueof(self, item: Condition, source: Source) -> tuple[Scope, Column]:
        """``col`` of the same row or ``alias.col``."""
        alias, dot, name = (item.valueof or "").rpartition(".")
        other = self.named(alias) if dot else source
        return other.scope, column_of(other.scope.table, name)

    # --- SQL ------------------------------------------------------------------------------

    def source(self) -> Sql:
        """What stands after FROM. Joins that an order needs follow the table they hang on."""
        text, params = [], []
        for each in self.sources:
            if each is self.root:
                text.append(f'"{each.scope.table.name}" {each.scope.alias}')
            text.append(each.join.text)
            params.extend(each.join.params)
        for each in self.sources:
            text.extend(each.scope.joins)
        return Sql("".join(text), tuple(params))


def _below(link: Link) -> list[Body]:
    found: list[Body] = []
    for each in link.links:
        found.extend((each, *_below(each)))
    return found


def duplicate_alias(alias: str) -> Fault:
    return fault("0x80041130", f"{alias} is not a unique alias. It clashes with an autogenerated "
                 "alias or user provided alias")
