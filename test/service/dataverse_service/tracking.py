"""Change tracking: ``Prefer: odata.track-changes`` and delta links (sheet 10)."""
from __future__ import annotations

import dataclasses
import datetime
import re
from typing import Optional
from urllib.parse import quote as percent_quote

from . import expand, paging
from .core import Response
from .paging import Term
from .render import Rows, quote
from .request import Request, page_response
from .where import Sql, refuse

DEFAULT_DAYS = 7
START = "trackingversion"  #: cookie element: version at the first page
_MICROS = datetime.timedelta(microseconds=1)
_EPOCH = datetime.datetime(1970, 1, 1)


def wanted(request: Request) -> bool:
    """Asked for by preference, by a delta link, or by a page that began so."""
    token = request.query.get("$skiptoken")
    return (request.ctx.prefs.track_changes or "$deltatoken" in request.query.options
            or (token is not None and paging.is_tracking(token)))


def _check(request: Request) -> None:
    for name in ("$filter", "$orderby", "$expand", "$top"):
        if name in request.query.options:
            raise refuse(f'The "{name}" query parameter isn\'t supported when Change Tracking is '
                         f"enabled.")
    if not request.table.change_tracking or "versionnumber" not in request.table.columns:
        raise refuse(f"Entity: {request.table.name} isn't enabled for change tracking",
                     "0x80072491")


# --- Tokens --------------------------------------------------------------------------------


def _token(version: int, now: int) -> str:
    moment = _EPOCH + now * _MICROS
    text = f"{version}!{moment:%m/%d/%Y %H:%M:%S}"
    return re.sub(r"%[0-9A-F]{2}", lambda m: m.group().lower(), percent_quote(text, safe=""))


def _read_token(request: Request) -> int:
    match = re.fullmatch(r"(\d{1,18})!(\d\d/\d\d/\d{4} \d\d:\d\d:\d\d)",
                         request.query.get("$deltatoken") or "")
    if match is None:
        raise refuse("The delta token is not valid.")
    try:
        moment = datetime.datetime.strptime(match.group(2), "%m/%d/%Y %H:%M:%S")
    except ValueError:
        raise refuse("The delta token is not valid.") from None
    age = _EPOCH + request.ctx.store.now() * _MICROS - moment
    if age > datetime.timedelta(days=_token_days(request)):
        raise refuse("Version stamp associated with the client has expired. Please perform a full "
                     "sync.", "0x80044352")
    return int(match.group(1))


def _token_days(request: Request) -> int:
    """``organizations.expirechangetrackingindays``, 7 where nothing else is set."""
    table = request.ctx.model.tables.get("organization")
    if table is None or "expirechangetrackingindays" not in table.columns:
        return DEFAULT_DAYS
    row = request.ctx.store.execute(
        "SELECT expirechangetrackingindays FROM organization LIMIT 1").fetchone()
    return row[0] if row and row[0] is not None else DEFAULT_DAYS


# --- Answers -------------------------------------------------------------------------------


def answer(request: Request) -> Response:
    _check(request)
    if "$deltatoken" in request.query.options:
        return _delta(request, _read_token(request))
    return _initial(request)


def _delta_link(request: Request, version: int) -> str:
    token = _token(version, request.ctx.store.now())
    return request.link(f"$deltatoken={token}", without=("$skiptoken", "$deltatoken"))


def _initial(request: Request) -> Response:
    """Everything there is; the link counts from the version at the first page."""
    ctx, table, scope = request.ctx, request.table, request.scope
    names, _, fields = request.shape()
    rows = Rows(ctx, table, fields, etags=True)
    terms = paging.order_terms(request.builder, scope, None, {})
    page, start = 1, ctx.store.version
    token = request.query.get("$skiptoken")
    if token is not None:
        cookie = paging.read_token(token, terms, (START,))
        page, start = cookie.page, _number(cookie.extra[START])
        request.conditions.append(paging.after_sql(terms, cookie.last))
    counted = request.query.get("$count") == "true"
    total = request.count() if counted else None
    size = paging.page_size(ctx, table)
    request.index_key()
    ends = "".join(f", {term.raw}" for term in terms)
    found = request.select(rows.sql(scope.alias) + ends, paging.order_sql(terms), size + 1)
    context = f"{table.set_name}{expand.context_names(names, ())}"
    next_link = delta_link = None
    if len(found) > size:
        width = len(rows.columns)
        next_link = request.link("$skiptoken=" + paging.make_token(
            terms, found[0][width:], found[size - 1][width:], page, {START: str(start)}, True))
    else:
        delta_link = _delta_link(request, start)
    rows.load(found[:size])
    return page_response(request, context, rows.objects(), next_link=next_link,
                         delta_link=delta_link, count=total, counted=counted, tracked=True)


def _number(text: str) -> int:
    if not text.isdigit():
        raise paging.bad_cookie()
    return int(text)


@dataclasses.dataclass
class _Deleted:
    row_id: str
    version: int


def _deleted(request: Request, since: int, until: int, limit: Optional[int]) -> list[_Deleted]:
    """Rows deleted in between that are not back again; each once, by version."""
    table = request.table
    sql = (f'SELECT d.id, max(d.version) AS v FROM _deleted d WHERE d.tbl = ? AND d.version > ? '
           f'AND d.version <= ? AND NOT EXISTS (SELECT 1 FROM "{table.name}" t '
           f'WHERE t."{table.primary_id}" = d.id) GROUP BY d.id ORDER BY v')
    if limit is not None:
        sql += f" LIMIT {limit}"
    return [_Deleted(*row) for row in
            request.ctx.store.execute(sql, (table.name, since, until))]


#: Place in a delta: rows come by version, then deletions by version.
_PLACE = tuple(
    Term(name, "", "", False, False, False, str, int)
    for name in ("versionnumber", "deletedversion"))


def _changed(request: Request, since: int, until: int) -> None:
    column = request.scope.column("versionnumber")
    request.conditions.append(Sql(f"{column} > ? AND {column} <= ?", (since, until)))


def _delta(request: Request, since: int) -> Response:
    """New and changed rows in full, then deletions; the link on the last page only."""
    ctx, table, scope = request.ctx, request.table, request.scope
    names, _, fields = request.shape()
    rows = Rows(ctx, table, fields, etags=True)
    page, until, seen, gone = 1, ctx.store.version, since, since
    token = request.query.get("$skiptoken")
    if token is not None:
        cookie = paging.read_token(token, _PLACE, (START,))
        page, until = cookie.page, _number(cookie.extra[START])
        seen, gone = cookie.last
    size = paging.page_size(ctx, table)
    version = scope.column("versionnumber")
    _changed(request, seen, until)
    found = request.select(f"{rows.sql(scope.alias)}, {version}", version, size + 1)
    deleted = _deleted(request, gone, until, size + 1 - len(found)) if len(found) <= size else []
    more = len(found) + len(deleted) > size
    found, deleted = found[:size], deleted[:max(0, size - len(found))]
    rows.load(found)
    texts = rows.objects() + [_deletion(request, d) for d in deleted]
    next_link = delta_link = None
    if more:
        place = (found[-1][-1] if found else seen, deleted[-1].version if deleted else gone)
        next_link = request.link("$skiptoken=" + paging.make_token(
            _PLACE, place, place, page, {START: str(until)}, True))
    else:
        delta_link = _delta_link(request, until)
    context = f"{table.set_name}{expand.context_names(names, ())}/$delta"
    return page_response(request, context, texts, next_link=next_link, delta_link=delta_link)


def _deletion(request: Request, deleted: _Deleted) -> str:
    context = f"{request.ctx.base}/$metadata#{request.table.set_name}/$deletedEntity"
    return f'{{"@odata.context":{quote(context)},"id":"{deleted.row_id}","reason":"deleted"}}'


def count_changes(request: Request) -> int:
    """``GET <set>/$count?$deltatoken=...``"""
    _check(request)
    since = _read_token(request)
    until = request.ctx.store.version
    _changed(request, since, until)
    return request.count(2**31) + len(_deleted(request, since, until, None))
