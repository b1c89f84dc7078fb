"""FetchXML: order, pages, counts, distinct (sheet 2.4, 2.12.3, 2.12.4)."""
from __future__ import annotations

import re
from typing import Any, Optional
from urllib.parse import unquote
from xml.sax.saxutils import quoteattr

import pytest

from querying import Env

COOKIE = "@Microsoft.Dynamics.CRM.fetchxmlpagingcookie"
MORE = "@Microsoft.Dynamics.CRM.morerecords"
PAGING = ('odata.include-annotations="Microsoft.Dynamics.CRM.fetchxmlpagingcookie,'
          'Microsoft.Dynamics.CRM.morerecords"')


@pytest.fixture(scope="module")
def env() -> Env:
    env = Env()
    env.accounts = [env.add("account", name=f"Account {i}") for i in range(3)]
    texts = ["Zeta", "alpha", "Álpha", "a <b> & \"c\" \\ 'd'", "tab\there", "ALPHA ", "東京"]
    for i in range(23):
        env.everything(
            f"n{i:02}", string=texts[i % 7], integer=[None, 1, 2][i % 3], decimal=[None, "-1.5", "0.25"][i % 3],
            choice=[100000000, 1, 2, None][i % 4], boolean=[True, False, None][i % 3],
            datetime=["2024-01-01T00:00:00Z", None][i % 2], accountid=env.accounts[i % 3], double=1.5)
    return env


ENTITY = "<entity name='sample_everything'><attribute name='sample_name'/>{}</entity>"


def inner_cookie(answer: dict[str, Any]) -> Optional[str]:
    """Attribute ``pagingcookie`` of the annotation, URL-decoded twice."""
    text = answer.get(COOKIE)
    if text is None:
        return None
    match = re.search(r'pagingcookie="([^"]*)"', text)
    assert match is not None, text
    return unquote(unquote(match.group(1)))


def walk(env: Env, inner: str, count: int = 5, cookies: bool = True, attributes: str = ""
         ) -> tuple[list[dict[str, Any]], int]:
    """All rows, read as a client pages; and how many pages there were."""
    rows: list[dict[str, Any]] = []
    page, cookie = 1, None
    while True:
        at = "" if cookie is None else f" paging-cookie={quoteattr(cookie)}"
        answer = env.fetch(f"<fetch count='{count}' page='{page}'{at} {attributes}>{ENTITY.format(inner)}</fetch>",
                           PAGING)
        assert answer.status == 200, answer.text
        body = answer.json()
        rows.extend(body["value"])
        if not body.get(MORE):
            assert COOKIE not in body and MORE not in body  # both absent on the last page
            return rows, page
        assert cookies == (COOKIE in body)
        cookie = inner_cookie(body)
        page += 1
        assert page < 60


def test_cookie_walk_returns_every_row_once(env: Env) -> None:
    rows, pages = walk(env, "")
    assert sorted(r["sample_name"] for r in rows) == [f"n{i:02}" for i in range(23)] and pages == 5


@pytest.mark.parametrize("order", [
    "<order attribute='sample_integer'/>", "<order attribute='sample_integer' descending='true'/>",
    "<order attribute='sample_string'/><order attribute='sample_decimal' descending='true'/>",
    "<order attribute='sample_choice'/><order attribute='sample_boolean' descending='1'/>",
    "<order attribute='sample_accountid'/>", "<order attribute='sample_datetime'/><order attribute='sample_double'/>",
    "<order attribute='sample_everythingid' descending='true'/>",
])
def test_ordered_walks_return_every_row_once(env: Env, order: str) -> None:
    rows, _ = walk(env, order)
    whole = env.fetch(f"<fetch>{ENTITY.format(order)}</fetch>").value
    assert rows == whole and len(rows) == 23


def test_cookie_lists_order_columns_and_then_the_key(env: Env) -> None:
    answer = env.fetch("<fetch count='2'>" + ENTITY.format(
        "<order attribute='sample_integer' descending='true'/><order attribute='sample_decimal'/>") + "</fetch>", PAGING)
    cookie = inner_cookie(answer.json())
    assert cookie is not None and cookie.startswith('<cookie page="1">')
    assert re.findall(r"<(sample_\w+) (?:last|first)", cookie) == ["sample_integer", "sample_decimal", "sample_everythingid"]
    assert re.search(r'<sample_everythingid last="\{[0-9A-F-]{36}\}" first="\{[0-9A-F-]{36}\}" />', cookie)


def test_cookie_is_encoded_twice(env: Env) -> None:
    text = env.fetch(f"<fetch count='2'>{ENTITY.format('')}</fetch>", PAGING).json()[COOKIE]
    assert re.fullmatch(r'<cookie pagenumber="2" pagingcookie="%253ccookie%2520page%253d%25221%2522%253e.*" '
                        r'istracking="False" />', text)


def test_trap_pagenumber_stays_2() -> None:
    for quirk, expected in (("stuck", "2"), ("counted", "3")):
        env = Env(cookie_page=quirk)
        for i in range(5):
            env.everything(str(i))
        cookie = inner_cookie(env.fetch(f"<fetch count='2'>{ENTITY.format('')}</fetch>", PAGING).json())
        second = env.fetch(f"<fetch count='2' page='2' paging-cookie={quoteattr(cookie or '')}>{ENTITY.format('')}</fetch>",
                           PAGING).json()
        assert f'pagenumber="{expected}"' in second[COOKIE]
        assert (inner_cookie(second) or "").startswith('<cookie page="2">')


def test_annotations_come_only_when_asked_for(env: Env) -> None:
    answer = env.fetch(f"<fetch count='2'>{ENTITY.format('')}</fetch>").json()
    assert COOKIE not in answer and MORE not in answer and "@odata.nextLink" not in answer
    answer = env.fetch(f"<fetch count='2'>{ENTITY.format('')}</fetch>",
                       'odata.include-annotations="Microsoft.Dynamics.CRM.morerecords"').json()
    assert answer[MORE] is True and COOKIE not in answer


def test_page_size_preference_has_no_effect(env: Env) -> None:
    answer = env.fetch(f"<fetch>{ENTITY.format('')}</fetch>", "odata.maxpagesize=2")
    assert len(answer.value) == 23 and "Preference-Applied" not in answer.headers


@pytest.mark.parametrize("cookie, code", [
    ("nonsense", "0x8004112A"), ("<cookie/>", "0x8004112A"), ("<cookie page='0'/>", "0x8004112A"),
    ("<cookie page='x'/>", "0x8004112A"), ("%3ccookie page='1'/%3e", "0x8004112A"), ("<other page='1'/>", "0x8004112A"),
    ("<cookie page='1'/>", "0x80041129"),
    ("<cookie page='1'><accountid last='{3F2504E0-4F89-11D3-9A0C-0305E82C3301}'/></cookie>", "0x80041129"),
    ("<cookie page='1'><sample_everythingid last='x'/></cookie>", "0x8004112A"),
])
def test_bad_cookies(env: Env, cookie: str, code: str) -> None:
    answer = env.fetch(f"<fetch count='2' page='2' paging-cookie={quoteattr(cookie)}>{ENTITY.format('')}</fetch>")
    assert (answer.status, answer.code) == (400, code)


def test_trap_cookie_decoded_only_once(env: Env) -> None:
    text = env.fetch(f"<fetch count='2'>{ENTITY.format('')}</fetch>", PAGING).json()[COOKIE]
    once = unquote(re.search(r'pagingcookie="([^"]*)"', text).group(1))  # type: ignore[union-attr]
    answer = env.fetch(f"<fetch count='2' page='2' paging-cookie={quoteattr(once)}>{ENTITY.format('')}</fetch>")
    assert answer.code == "0x8004112A"


def test_cookie_of_another_order(env: Env) -> None:
    cookie = inner_cookie(env.fetch(f"<fetch count='2'>{ENTITY.format('')}</fetch>", PAGING).json())
    other = ENTITY.format("<order attribute='sample_integer'/>")
    assert env.fetch(f"<fetch count='2' page='2' paging-cookie={quoteattr(cookie or '')}>{other}</fetch>").code == "0x80041129"


def test_trap_page_that_is_not_counted_up(env: Env) -> None:
    """A cookie of another page than the one before is not used: the first page comes again."""
    first = env.fetch(f"<fetch count='4'>{ENTITY.format('')}</fetch>", PAGING).json()
    cookie = quoteattr(inner_cookie(first) or "")
    again = env.fetch(f"<fetch count='4' page='1' paging-cookie={cookie}>{ENTITY.format('')}</fetch>").value
    assert again == first["value"]


# --- simple paging -----------------------------------------------------------------------------


def test_simple_paging_without_cookie(env: Env) -> None:
    whole = env.fetch(f"<fetch>{ENTITY.format('')}</fetch>").value
    third = env.fetch(f"<fetch count='5' page='3'>{ENTITY.format('')}</fetch>").value
    assert third == whole[10:15]


LINKED = ("<link-entity name='account' from='accountid' to='sample_accountid' alias='a'><attribute name='name'/>"
          "<order attribute='name'/></link-entity>")


def test_trap_order_of_a_link_has_no_cookie(env: Env) -> None:
    rows, _ = walk(env, LINKED, cookies=False)
    assert len({r["sample_name"] for r in rows}) == len(rows) == 23
    assert [r["a.name"] for r in rows] == sorted(r["a.name"] for r in rows)


def test_trap_50000_rows_without_cookie(env: Env, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataverse_service import fetch
    assert fetch.MAX_SIMPLE == 50_000
    monkeypatch.setattr(fetch, "MAX_SIMPLE", 15)
    xml = "<fetch count='5' page='{}'>" + ENTITY.format(LINKED) + "</fetch>"
    edge = env.fetch(xml.format(3), PAGING).json()
    assert len(edge["value"]) == 5 and edge[MORE] is True and COOKIE not in edge
    assert env.fetch(xml.format(4), PAGING).code == "0x8004430A"
    assert len(walk(env, "")[0]) == 23  # a cookie goes on


PARENT = "name='account' from='accountid' to='sample_accountid'"


@pytest.mark.parametrize("link", [
    f"<link-entity {PARENT} alias='a'><attribute name='name'/></link-entity>",
    f"<link-entity {PARENT} alias='a' link-type='outer'><attribute name='name'/><filter><condition attribute='name' "
    "operator='eq' value='Account 1'/></filter></link-entity>",
    f"<link-entity {PARENT} link-type='exists'/>", f"<link-entity {PARENT} link-type='in'/>",
    f"<filter><link-entity {PARENT} link-type='any'/></filter>",
    f"<filter><link-entity {PARENT} link-type='not any'><filter><condition attribute='name' operator='null'/></filter>"
    "</link-entity></filter>",
])
def test_pages_of_links_that_multiply_nothing(env: Env, link: str) -> None:
    """Many to one, and links that only filter, are safe to page; the cookie knows the parent only (sheet 2.12.3)."""
    order = "<order attribute='sample_integer'/><order attribute='sample_everythingid'/>"
    rows, pages = walk(env, order + link)
    assert rows == env.fetch(f"<fetch>{ENTITY.format(order + link)}</fetch>").value
    assert len(rows) == 23 and pages == 5
    body = env.fetch(f"<fetch count='5'>{ENTITY.format(order + link)}</fetch>", PAGING).json()
    assert re.findall(r"<(\w+) (?:last|first)", inner_cookie(body) or "") == ["sample_integer", "sample_everythingid"]
    assert "@odata.nextLink" not in body


def test_trap_pages_over_multiplied_rows_lose_children() -> None:
    """The cookie knows the parent only (sheet 2.12.3)."""
    env = Env()
    for i in range(4):
        account = env.add("account", name=f"a{i}")
        for j in range(3):
            env.everything(f"{i}{j}", accountid=account)
    link = ("<link-entity name='sample_everything' from='sample_accountid' to='accountid' alias='e'>"
            "<attribute name='sample_name'/></link-entity>")
    body = "<entity name='account'><attribute name='name'/>" + link + "</entity>"
    assert len(env.fetch(f"<fetch>{body}</fetch>").value) == 12
    first = env.fetch(f"<fetch count='5'>{body}</fetch>", PAGING).json()
    assert inner_cookie(first) and "e.sample" not in str(inner_cookie(first))
    second = env.fetch(f"<fetch count='5' page='2' paging-cookie={quoteattr(inner_cookie(first) or '')}>{body}</fetch>",
                       PAGING).json()
    seen = [r["e.sample_name"] for r in first["value"] + second["value"]]
    assert len(seen) == len(set(seen)) and len(first["value"]) == 5
    split = first["value"][-1]["name"]
    assert sum(r["name"] == split for r in first["value"] + second["value"]) == 2  # the third is lost


# --- order ---------------------------------------------------------------------------------------


def order(env: Env, column: str, attributes: str = "", descending: str = "false") -> list[Any]:
    xml = (f"<fetch {attributes}><entity name='sample_everything'><attribute name='sample_{column}'/>"
           f"<order attribute='sample_{column}' descending='{descending}'/></entity></fetch>")
    found = [r.get(f"sample_{column}", r.get(f"_sample_{column}_value")) for r in env.fetch(xml).value]
    return list(dict.fromkeys(found))


def test_trap_choices_sort_by_label(env: Env) -> None:
    assert order(env, "choice") == [None, 100000000, 2, 1]  # First, it's.., Straße
    assert order(env, "choice", descending="true") == [1, 2, 100000000, None]
    assert order(env, "choice", "useraworderby='true'") == [None, 1, 2, 100000000]


def test_booleans_sort_by_label(env: Env) -> None:
    assert order(env, "boolean") == [None, False, True]


def test_lookups_sort_by_name(env: Env) -> None:
    assert order(env, "accountid", descending="true") == list(reversed(env.accounts))


def test_nulls_by_quirk() -> None:
    env = Env(null_order="last")
    for i in (2, None, 1):
        env.everything("x", integer=i)
    assert order(env, "integer") == [1, 2, None] and order(env, "integer", descending="true") == [None, 2, 1]


def test_trap_orders_of_links_come_last_unless_moved(env: Env) -> None:
    xml = ("<fetch><entity name='sample_everything'><attribute name='sample_integer'/>{}{}"
           "<filter><condition attribute='sample_integer' operator='not-null'/></filter>"
           "<link-entity name='account' from='accountid' to='sample_accountid' alias='a'><attribute name='name'/>{}</link-entity>"
           "</entity></fetch>")
    own = "<order attribute='sample_integer' descending='1'/>"
    rows = env.fetch(xml.format("", own, "<order attribute='name' descending='1'/>")).value
    assert [r["sample_integer"] for r in rows] == sorted((r["sample_integer"] for r in rows), reverse=True)
    rows = env.fetch(xml.format("<order entityname='a' attribute='name' descending='1'/>", own, "")).value
    assert [r["a.name"] for r in rows] == sorted((r["a.name"] for r in rows), reverse=True)


@pytest.mark.parametrize("item, code", [
    ("<order attribute='sample_multi'/>", "0x80050224"), ("<order attribute='nonsense'/>", "0x80041103"),
    ("<order attribute='name' entityname='b'/>", "0x8004110A")])
def test_orders_that_are_refused(env: Env, item: str, code: str) -> None:
    assert env.fetch(f"<fetch>{ENTITY.format(item)}</fetch>").code == code


# --- top, count, totals ----------------------------------------------------------------------


def test_top_has_no_more(env: Env) -> None:
    answer = env.fetch(f"<fetch top='3'>{ENTITY.format('')}</fetch>", PAGING).json()
    assert len(answer["value"]) == 3 and MORE not in answer and COOKIE not in answer


def test_larger_pages_are_cut_and_elastic_ones_hold_500() -> None:
    env = Env()
    with env.store.savepoint():
        for i in range(5002):
            env.everything(str(i))
        for i in range(501):
            env.add("contoso_sensordata", contoso_name=str(i))
    for attributes in ("", "count='9000'"):
        answer = env.fetch(f"<fetch {attributes}>{ENTITY.format('')}</fetch>", PAGING).json()
        assert len(answer["value"]) == 5000 and answer[MORE] is True
    answer = env.fetch("<fetch><entity name='contoso_sensordata'><attribute name='contoso_name'/></entity></fetch>",
                       PAGING).json()
    assert len(answer["value"]) == 500 and answer[MORE] is True


TOTAL = "@Microsoft.Dynamics.CRM.totalrecordcount"
LIMIT = "@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"
TOTALS = f'odata.include-annotations="{TOTAL[1:]},{LIMIT[1:]}"'


def test_returntotalrecordcount_is_as_count(env: Env) -> None:
    for attributes, more in (("returntotalrecordcount='true'", ""), ("", "&$count=true")):
        answer = env.fetch(f"<fetch count='2' {attributes}>{ENTITY.format('')}</fetch>", TOTALS, more).json()
        assert (answer["@odata.count"], answer[TOTAL], answer[LIMIT]) == (23, 23, False)
    answer = env.fetch(f"<fetch count='2'>{ENTITY.format('')}</fetch>", TOTALS).json()
    assert (answer[TOTAL], answer[LIMIT]) == (-1, False) and "@odata.count" not in answer


def test_trap_totals_are_capped_at_5000(env: Env, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataverse_service import fetch, request
    assert request.MAX_COUNT == 5000
    monkeypatch.setattr(fetch, "MAX_COUNT", 20)
    monkeypatch.setattr(request, "MAX_COUNT", 20)
    answer = env.fetch(f"<fetch count='3' returntotalrecordcount='1'>{ENTITY.format('')}</fetch>", TOTALS).json()
    assert (answer["@odata.count"], answer[TOTAL], answer[LIMIT]) == (20, 20, True)


# --- distinct ---------------------------------------------------------------------------------


def distinct(env: Env, columns: str, inner: str = "", prefer: str = "", attributes: str = ""):
    picked = "".join(f"<attribute name='sample_{c}'/>" for c in columns.split())
    return env.fetch(f"<fetch distinct='true' {attributes}><entity name='sample_everything'>{picked}{inner}</entity></fetch>",
                     prefer)


def test_distinct_rows_lack_key_and_etag(env: Env) -> None:
    rows = distinct(env, "integer", "<order attribute='sample_integer'/>").value
    assert rows == [{}, {"sample_integer": 1}, {"sample_integer": 2}]


def test_trap_distinct_follows_the_collation(env: Env) -> None:
    assert len(distinct(env, "string").value) == 5  # alpha, Álpha and "ALPHA " are one


def test_distinct_over_a_link(env: Env) -> None:
    link = "<link-entity name='sample_everything' from='sample_accountid' to='accountid'/>"
    xml = f"<fetch distinct='true'><entity name='account'><attribute name='name'/><order attribute='name'/>{link}</entity></fetch>"
    assert [r["name"] for r in env.fetch(xml).value] == ["Account 0", "Account 1", "Account 2"]


def test_distinct_with_the_key_has_a_cookie(env: Env) -> None:
    answer = distinct(env, "name everythingid", "<order attribute='sample_name'/>", PAGING, "count='2'").json()
    assert answer[MORE] is True and COOKIE in answer


def test_trap_distinct_without_order_has_none(env: Env) -> None:
    """Neither order nor cookie (sheet 2.4)."""
    answer = distinct(env, "name", "", PAGING, "count='10'").json()
    found = [r["sample_name"] for r in answer["value"]]
    assert found != sorted(found) and answer[MORE] is True and COOKIE not in answer
    pages = [distinct(env, "name", "", "", f"count='10' page='{n}'").value for n in (1, 2, 3)]
    assert len({r["sample_name"] for p in pages for r in p}) == 23


def test_trap_distinct_without_order_may_shift() -> None:
    env = Env(distinct_order="shifting")
    for i in range(40):
        env.everything(str(i))
    pages = [distinct(env, "name", "", "", f"count='20' page='{n}'").value for n in (1, 2)]
    assert len({r["sample_name"] for p in pages for r in p}) < 40


@pytest.mark.parametrize("column", ["memo", "multi"])
def test_distinct_columns_that_cannot_be_compared(env: Env, column: str) -> None:
    assert distinct(env, column).code == "0x80044150"


def test_count_of_distinct_rows(env: Env) -> None:
    xml = ("<fetch distinct='true' returntotalrecordcount='true'><entity name='sample_everything'>"
           "<attribute name='sample_integer'/></entity></fetch>")
    assert env.fetch(xml).json()["@odata.count"] == 3
