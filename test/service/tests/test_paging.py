"""$top, pages and their links (sheet 2.5)."""
from __future__ import annotations

import re
from urllib.parse import unquote

import pytest

from querying import BASE, Env, crm, array

PAGE = "odata.maxpagesize=4"


@pytest.fixture(scope="module")
def env() -> Env:
    env = Env()
    names = ["Zeta", "alpha", "Álpha", "a <b> & \"c\" \\ 'd'", "tab\there", "ALPHA ", "ümlaut", "東京", ""]
    for i in range(23):
        env.everything(
            f"n{i:02}", string=names[i % 9] or None, integer=[None, 1, 2][i % 3],
            decimal=[None, "-1.5", "0.25", "100"][i % 4], double=[1.1, None, 2.2e10][i % 3],
            datetime=["2024-01-01T00:00:00Z", None][i % 2], date=["2024-01-01", "2023-01-01"][i % 2],
            boolean=[True, False, None][i % 3], choice=[1, 2, None][i % 3],
            guid=[None, "3f2504e0-4f89-11d3-9a0c-0305e82c3301"][i % 2])
    return env


@pytest.fixture(scope="module")
def many() -> Env:
    env = Env()
    with env.store.savepoint():
        for i in range(5003):
            env.everything(f"n{i}")
    return env


def collect(env: Env, path: str, prefer: str = PAGE) -> tuple[list[str], list[int]]:
    pages = [page["value"] for page in env.pages(path, prefer)]
    return [r["sample_name"] for page in pages for r in page], [len(p) for p in pages]


def test_pages_and_the_last_one_without_a_link(env: Env) -> None:
    found, sizes = collect(env, "sample_everythings?$select=sample_name")
    assert sizes == [4, 4, 4, 4, 4, 3]
    assert sorted(found) == [f"n{i:02}" for i in range(23)]


def test_a_full_last_page_has_no_link() -> None:
    env = Env()
    for i in range(4):
        env.everything(str(i))
    assert "@odata.nextLink" not in env.get("sample_everythings?$select=sample_name", PAGE).json()


@pytest.mark.parametrize("quirk", ["first", "last"])
@pytest.mark.parametrize("direction", ["", " desc"])
@pytest.mark.parametrize("column", [
    "string", "integer", "decimal", "double", "datetime", "date", "boolean", "choice", "guid"])
def test_paging_over_every_kind_of_order(env: Env, column: str, direction: str, quirk: str) -> None:
    env.store.quirks.null_order = quirk
    try:
        order = f"sample_everythings?$select=sample_name&$orderby=sample_{column}{direction}"
        whole = [r["sample_name"] for r in env.get(order).value]
        found, _ = collect(env, order)
    finally:
        env.store.quirks.null_order = "first"
    assert found == whole and len(set(found)) == 23


def test_paging_over_lookups_and_several_columns() -> None:
    env = Env()
    targets = [env.add("account", name=n) for n in ("b", "a", "B ")] + [None]
    for i in range(20):
        env.everything(f"n{i}", accountid=targets[i % 4], integer=i % 3)
    order = ("sample_everythings?$select=sample_name&$orderby=_sample_accountid_value desc,"
             "sample_integer,sample_name desc")
    found, _ = collect(env, order)
    assert found == [r["sample_name"] for r in env.get(order).value]


def test_shape_of_the_skiptoken(env: Env) -> None:
    first = env.get("sample_everythings?$select=sample_name", PAGE).json()
    link = first["@odata.nextLink"]
    assert link.startswith(f"{BASE}/sample_everythings?$select=sample_name&$skiptoken=%3Ccookie%20"
                           "pagenumber=%222%22%20pagingcookie=%22%253ccookie%2520page%253d%25221%2522"
                           "%253e%253csample_everythingid%2520last%253d%2522%257b")
    assert link.endswith("%253c%252fcookie%253e%22%20istracking=%22False%22%20/%3E")
    cookie = unquote(unquote(link.partition("$skiptoken=")[2]))
    ids = [r["sample_everythingid"].upper() for r in first["value"]]
    assert f'<sample_everythingid last="{{{ids[-1]}}}" first="{{{ids[0]}}}" />' in cookie


def test_order_columns_come_first_in_the_cookie(env: Env) -> None:
    link = env.get("sample_everythings?$select=sample_name&$orderby=sample_integer desc,sample_decimal",
                   PAGE).json()["@odata.nextLink"]
    cookie = unquote(unquote(link.partition("$skiptoken=")[2]))
    assert re.findall(r"<(sample_\w+) ", cookie) == [
        "sample_integer", "sample_decimal", "sample_everythingid"]


def test_page_size_is_not_in_the_link(env: Env) -> None:
    link = env.get("sample_everythings?$select=sample_name", PAGE).json()["@odata.nextLink"]
    assert len(env.get(link).value) == 19
    assert len(env.get(link, "odata.maxpagesize=2").value) == 2


def test_preference_applied(env: Env) -> None:
    answer = env.get("sample_everythings?$select=sample_name", PAGE)
    assert answer.headers["Preference-Applied"] == PAGE


def test_paging_is_live_not_a_snapshot() -> None:
    env = Env()
    rows = [env.everything(f"n{i}", integer=i) for i in range(6)]
    path = "sample_everythings?$select=sample_name&$orderby=sample_integer"
    link = env.get(path, "odata.maxpagesize=3").json()["@odata.nextLink"]
    table = env.model.tables["sample_everything"]
    env.store.delete(table, rows[2])  # the row the cookie names: nothing breaks
    env.store.update(table, rows[0], {"sample_integer": 99})  # moves to the end and is seen twice
    env.store.update(table, rows[5], {"sample_integer": -1})  # moves to the front and is missed
    assert [r["sample_name"] for r in env.get(link).value] == ["n3", "n4", "n0"]


def test_default_page_is_5000(many: Env) -> None:
    answer = many.get("sample_everythings?$select=sample_name").json()
    assert len(answer["value"]) == 5000 and "@odata.nextLink" in answer
    rest = many.get(answer["@odata.nextLink"]).json()
    assert len(rest["value"]) == 3 and "@odata.nextLink" not in rest


def test_larger_pages_are_cut_silently(many: Env) -> None:
    answer = many.get("sample_everythings?$select=sample_name", "odata.maxpagesize=9000").json()
    assert len(answer["value"]) == 5000 and "@odata.nextLink" in answer


def test_elastic_pages_hold_500() -> None:
    env = Env()
    with env.store.savepoint():
        for i in range(501):
            env.add("contoso_sensordata", contoso_name=str(i), partitionid=f"p{i % 2}")
    pages = list(env.pages("contoso_sensordatas?$select=contoso_name", "odata.maxpagesize=5000"))
    assert [len(p["value"]) for p in pages] == [500, 1]


def test_partition_of_elastic_tables() -> None:
    env = Env()
    row = "00000000-0000-4000-8000-000000000002"
    env.add("contoso_sensordata", id=row, contoso_name="one", partitionid="p1")
    env.add("contoso_sensordata", id=row, contoso_name="two", partitionid="p2")
    found = env.get("contoso_sensordatas?partitionId=p2&$select=contoso_name").value
    assert [r["contoso_name"] for r in found] == ["two"]
    both = [r["contoso_name"] for p in env.pages("contoso_sensordatas?$select=contoso_name",
                                                 "odata.maxpagesize=1") for r in p["value"]]
    assert both == ["one", "two"]
    assert env.get(f"contoso_sensordatas({row})?partitionId=p2").json()["contoso_name"] == "two"
    assert env.get(f"contoso_sensordatas({row})").status == 404


def test_elastic_rows_vanish_with_their_time() -> None:
    env = Env()
    env.at("2024-05-15T10:00:00Z")
    moment = "2024-05-15T09:59:00Z"
    env.add("contoso_sensordata", contoso_name="old", ttlinseconds=30, modifiedon=moment)
    env.add("contoso_sensordata", contoso_name="young", ttlinseconds=90, modifiedon=moment)
    found = env.get("contoso_sensordatas?$select=contoso_name").value
    assert [r["contoso_name"] for r in found] == ["young"]


def test_top(env: Env) -> None:
    answer = env.get("sample_everythings?$select=sample_name&$top=3").json()
    assert len(answer["value"]) == 3 and "@odata.nextLink" not in answer
    assert env.get("sample_everythings?$select=sample_name&$top=0").value == []


def test_top_above_5000_is_a_quirk(many: Env) -> None:
    assert many.get("sample_everythings?$select=sample_name&$top=5001").status == 400
    many.service.cache.clear()
    many.store.quirks.top_over_limit = "cut"
    try:
        answer = many.get("sample_everythings?$select=sample_name&$top=5001").json()
    finally:
        many.store.quirks.top_over_limit = "refused"
    assert len(answer["value"]) == 5000 and "@odata.nextLink" not in answer


def test_top_beside_a_page_size_is_ignored_or_wins() -> None:
    env = Env()
    for i in range(6):
        env.everything(str(i))
    path = "sample_everythings?$select=sample_name&$top=3"
    answer = env.get(path, "odata.maxpagesize=2").json()
    assert len(answer["value"]) == 2
    assert sum(len(p["value"]) for p in env.pages(path, "odata.maxpagesize=2")) == 6
    env.store.quirks.top_and_page = "page_ignored"
    env.service.cache.clear()
    answer = env.get(path, "odata.maxpagesize=2").json()
    assert len(answer["value"]) == 3 and "@odata.nextLink" not in answer


@pytest.mark.parametrize("token,code", [
    ("nonsense", "0x8004112A"), ("%3Ccookie/%3E", "0x8004112A"),
    ("%3Ccookie pagenumber=%220%22 pagingcookie=%22x%22/%3E", "0x8004112A"),
    ("%3Ccookie pagenumber=%222%22 pagingcookie=%22%253cx%22/%3E", "0x8004112A"),
])
def test_bad_cookies(env: Env, token: str, code: str) -> None:
    assert env.get(f"sample_everythings?$skiptoken={token}").code == code


def test_cookie_of_another_order(env: Env) -> None:
    link = env.get("sample_everythings?$select=sample_name", PAGE).json()["@odata.nextLink"]
    other = link.replace("?$select=sample_name", "?$select=sample_name&$orderby=sample_integer")
    assert env.get(other).code == "0x80041129"


def test_link_keeps_the_query_as_it_came(env: Env) -> None:
    condition = crm("In", PropertyName="'sample_name'", PropertyValues="@v")
    path = (f"sample_everythings?$select=sample_name&$filter={condition}&@v="
            + array(*(f"n{i:02}" for i in range(9))))
    found, sizes = collect(env, path)
    assert sorted(found) == [f"n{i:02}" for i in range(9)] and sizes == [4, 4, 1]
