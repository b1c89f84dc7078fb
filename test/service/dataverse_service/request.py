"""One GET on a table under way: its conditions, its SQL, its envelope (sheet 2.1, 2.7)."""
from __future__ import annotations

from typing import Any, Callable, Optional, Sequence

from . import expand, odata
from .address import Ref
from .core import Context, Response, Table
from .expand import Expander, Plan
from .odata import Expand, Query
from .render import Field, quote
from .where import Builder, Scope, Sql, guid_order_sql

MAX_COUNT = 5000  #: sheet 2.7
TOTAL = "Microsoft.Dynamics.CRM.totalrecordcount"
EXCEEDED = "Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"
METADATA_VERSION = "Microsoft.Dynamics.CRM.globalmetadataversion"


class Request:
    """Collects what a query is made of and runs it."""

    def __init__(self, ctx: Context, table: Table, path: str, query: Query,
                 builder: Callable[[Context], Builder] = Builder):
        self.ctx = ctx
        self.table = table
        self.path = path  #: relative to the service root, for links
        self.query = query
        self.builder = builder(ctx)
        self.scope: Scope = self.builder.scope(table)
        self.expands: tuple[Expand, ...] = ()
        self.conditions: list[Sql] = []
        if table.table_type == "Elastic":
            self._elastic()

    def _elastic(self) -> None:
        """Expired rows are gone; ``partitionId`` stays in one partition (sheet 13.1)."""
        partition = self.query.get("partitionId")
        column = self.scope.column
        if partition is not None:
            if len(partition) > 1 and partition[0] == partition[-1] == "'":
                partition = partition[1:-1]
            self.conditions.append(Sql(f"{column('partitionid')} = ?", (partition,)))
        if "ttlinseconds" in self.table.columns and "modifiedon" in self.table.columns:
            self.builder.volatile = True
            self.conditions.append(Sql(
                f"({column('ttlinseconds')} IS NULL OR {column('ttlinseconds')} <= 0 OR "
                f"{column('modifiedon')} IS NULL OR "
                f"{column('modifiedon')} + {column('ttlinseconds')} * 1000000 > ?)",
                (self.ctx.store.now(),)))

    # --- parts ----------------------------------------------------------------------------

    def shape(self, with_expand: bool = True
              ) -> tuple[Optional[tuple[str, ...]], tuple[Plan, ...], list[Field]]:
        """$select as names, $expand as plans, and the fields of the rows."""
        text = self.query.get("$select")
        names = odata.parse_select(text) if text and text.strip() else None
        text = self.query.get("$expand")
        if text and text.strip() and with_expand:
            self.expands = odata.parse_expand(text)
        plans = expand.plan(self.ctx, self.table, self.expands)
        return names, plans, expand.select_fields(self.ctx, self.table, names)

    def expander(self, plans: Sequence[Plan]) -> Expander:
        nested = any(p.item.expand for p in plans)
        return Expander(self.ctx, self.builder, nested)

    def where(self, text: Optional[str]) -> None:
        if text is not None:
            self.conditions.append(self.builder.filter(self.scope, text, self.query.aliases))

    def by_id(self, ref: Ref) -> None:
        self.conditions.append(Sql(f"{self.scope.key} = ?", (ref.row_id,)))
        if ref.partition is not None and self.table.table_type == "Elastic":
            self.conditions.append(Sql(f"{self.scope.column('partitionid')} = ?", (ref.partition,)))

    # --- SQL ------------------------------------------------------------------------------

    def condition(self) -> Sql:
        if not self.conditions:
            return Sql("")
        text = " AND ".join(c.text for c in self.conditions)
        return Sql(f" WHERE {text}", tuple(v for c in self.conditions for v in c.params))

    def select(self, columns: str, order: Optional[str], limit: Optional[int]) -> list[Any]:
        where = self.condition()
        sql = f"SELECT {columns} FROM {self.scope.source()}{where.text}"
        if order:
            sql += f" ORDER BY {order}"
        if limit is not None:
            sql += f" LIMIT {limit}"
        return self.ctx.store.execute(sql, where.params).fetchall()

    def count(self, limit: int = MAX_COUNT + 1) -> int:
        """Rows that match, counted no further than needed."""
        where = self.condition()
        sql = (f"SELECT count(*) FROM (SELECT 1 FROM {self.scope.source()}{where.text} "
               f"LIMIT {limit})")
        return self.ctx.store.execute(sql, where.params).fetchone()[0]

    def index_key(self) -> None:
        """The default order is no order SQLite knows; an index makes each page as fast as the
        first. Elastic tables order by text and need none."""
        if self.table.table_type == "Elastic":
            return
        expression = guid_order_sql(f'"{self.table.primary_id}"')
        self.ctx.store.execute(f'CREATE INDEX IF NOT EXISTS "ix_{self.table.name}_guid" '
                               f'ON "{self.table.name}" ({expression})')

    # --- links ----------------------------------------------------------------------------

    def link(self, *more: str, without: Sequence[str] = ("$skiptoken",)) -> str:
        """This request's URL, as it came, with other tokens."""
        kept = [part for part in self.query.raw
                if odata.unquote_plus(part.partition("=")[0]) not in without]
        return f"{self.ctx.base}/{self.path}?{'&'.join([*kept, *more])}"


# --- Envelope ------------------------------------------------------------------------------


def preference_headers(ctx: Context, paged: bool, tracked: bool = False) -> list[tuple[str, str]]:
    """``Preference-Applied``: the preferences honoured (sheet 2.1.3)."""
    honoured = []
    if tracked:
        honoured.append("odata.track-changes")
    if paged and ctx.prefs.max_page_size:
        honoured.append(f"odata.maxpagesize={ctx.prefs.max_page_size}")
    if ctx.prefs.annotations:
        honoured.append(f'odata.include-annotations="{",".join(ctx.prefs.annotations)}"')
    return [("Preference-Applied", ",".join(honoured))] if honoured else []


def envelope_annotations(ctx: Context, count: Optional[int]) -> list[str]:
    """Totals on request; -1 and false where nothing was counted (sheet 2.7)."""
    parts = []
    if ctx.prefs.wants(TOTAL):
        total = -1 if count is None else min(count, MAX_COUNT)
        parts.append(f'"@{TOTAL}":{total}')
    if ctx.prefs.wants(EXCEEDED):
        exceeded = "true" if count is not None and count > MAX_COUNT else "false"
        parts.append(f'"@{EXCEEDED}":{exceeded}')
    if ctx.prefs.wants(METADATA_VERSION):
        version = ctx.store.get_meta("metadata_version") or "173309522"
        parts.append(f'"@{METADATA_VERSION}":{quote(version)}')
    return parts


def page_response(request: Request, context: str, texts: Sequence[str], *,
                  next_link: Optional[str] = None, delta_link: Optional[str] = None,
                  count: Optional[int] = None, counted: bool = False,
                  tracked: bool = False, paged: bool = True,
                  annotations: Sequence[str] = ()) -> Response:
    """The envelope of a collection (sheet 2.1.1); ``paged``: the wish for a page size counted;
    ``annotations``: further members of it."""
    ctx = request.ctx
    parts = [f'"@odata.context":{quote(f"{ctx.base}/$metadata#{context}")}']
    if counted and count is not None:
        parts.append(f'"@odata.count":{min(count, MAX_COUNT)}')
    parts.extend(envelope_annotations(ctx, count))
    parts.extend(annotations)
    parts.append(f'"value":[{",".join(texts)}]')
    if next_link is not None:
        parts.append(f'"@odata.nextLink":{quote(next_link)}')
    if delta_link is not None:
        parts.append(f'"@odata.deltaLink":{quote(delta_link)}')
    body = ("{" + ",".join(parts) + "}").encode()
    return Response(200, body, preference_headers(ctx, paged, tracked))
