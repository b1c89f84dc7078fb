"""FetchXML aggregates (sheet 2.12.6, 2.9)."""
from __future__ import annotations

import pytest

from querying import BASE, Env

FORMATTED = "OData.Community.Display.V1.FormattedValue"
MORE = "@Microsoft.Dynamics.CRM.morerecords"
ALL = 'odata.include-annotations="*"'


@pytest.fixture(scope="module")
def env() -> Env:
    env = Env()
    env.one = env.add("account", name="Zulu")
    env.two = env.add("account", name="alpha")
    env.everything("a", string="abc", integer=35, decimal="0.1", money="10", double=0.5, boolean=True, choice=1,
                   datetime="2023-03-25T17:42:47Z", date="2023-03-25", accountid=env.one)
    env.everything("b", string="ABC ", integer=35, decimal="0.2", money="20", double=0.25, boolean=False, choice=1,
                   datetime="2023-08-27T00:00:00Z", date="1753-01-01", accountid=env.one)
    env.everything("c", string="Ábc", integer=36, money="0.0001", choice=2, accountid=env.two,
                   datetime="1969-12-31T23:59:59Z", date="9999-12-31")
    env.everything("d")
    return env


def attribute(column: str, alias: str, how: str, more: str = "") -> str:
    given = "groupby='true'" if how == "group" else f"aggregate='{how}'"
    return f"<attribute name='sample_{column}' alias='{alias}' {given} {more}/>"


def run(env: Env, inner: str, attributes: str = "", prefer: str = "", more: str = ""):
    return env.fetch(f"<fetch aggregate='true' {attributes}><entity name='sample_everything'>{inner}</entity></fetch>",
                     prefer, more)


def test_functions(env: Env) -> None:
    inner = "".join(attribute("integer", how, how) for how in ("avg", "count", "countcolumn", "max", "min", "sum"))
    answer = run(env, inner)
    assert answer.json()["@odata.context"] == f"{BASE}/$metadata#sample_everythings"
    assert answer.value == [{"avg": 35, "count": 4, "countcolumn": 3, "max": 36, "min": 35, "sum": 106}]


def test_trap_average_of_whole_numbers_is_cut(env: Env) -> None:
    assert run(env, attribute("integer", "a", "avg")).value == [{"a": 35}]


def test_money_and_decimals_are_exact(env: Env) -> None:
    inner = attribute("money", "m", "sum") + attribute("money", "v", "avg") + attribute("decimal", "d", "sum")
    row = run(env, inner).value[0]
    assert (row["m"], row["v"]) == ("30.000100000", "10.000033333") and row["d"].rstrip("0") == "0.3"


def test_countcolumn_distinct_follows_the_collation(env: Env) -> None:
    inner = attribute("string", "n", "countcolumn", "distinct='true'") + attribute("integer", "i", "countcolumn", "distinct='1'")
    assert run(env, inner).value == [{"n": 1, "i": 2}]


def test_groups_and_order_of_aliases(env: Env) -> None:
    rows = run(env, attribute("name", "n", "count") + attribute("choice", "c", "group") + "<order alias='c'/>").value
    assert rows == [{"n": 1}, {"n": 1, "c": 2}, {"n": 2, "c": 1}]  # null, it's.., Straße
    assert list(rows[1]) == ["n", "c"]


def test_trap_null_group_is_one_row_without_its_column(env: Env) -> None:
    assert {"n": 1} in run(env, attribute("name", "n", "count") + attribute("integer", "g", "group")).value


def test_text_groups_merge(env: Env) -> None:
    rows = run(env, attribute("name", "n", "count") + attribute("string", "g", "group")).value
    assert sorted(r["n"] for r in rows) == [1, 3]


def test_choices_group_in_raw_order(env: Env) -> None:
    rows = run(env, attribute("name", "n", "count") + attribute("choice", "c", "group") + "<order alias='c'/>",
               "useraworderby='true'").value
    assert [r.get("c") for r in rows] == [None, 1, 2]


def test_lookups_group_by_value_and_sort_by_name(env: Env) -> None:
    rows = run(env, attribute("name", "n", "count") + attribute("accountid", "who", "group") + "<order alias='who'/>",
               "", ALL).value
    assert [r.get("who") for r in rows] == [None, env.two, env.one]
    assert rows[2][f"who@{FORMATTED}"] == "Zulu"
    assert rows[2]["who@Microsoft.Dynamics.CRM.lookuplogicalname"] == "account"


def test_order_by_an_aggregate(env: Env) -> None:
    inner = attribute("name", "n", "count") + attribute("integer", "g", "group")
    assert [r["n"] for r in run(env, inner + "<order alias='n' descending='true'/>").value] == [2, 1, 1]
    inner = attribute("money", "m", "sum") + attribute("integer", "g", "group")
    rows = run(env, inner + "<order alias='m' descending='true'/>").value
    assert [r.get("m") for r in rows] == ["30.000000000", "0.000100000", None]


def test_trap_descending_on_a_group_has_no_effect(env: Env) -> None:
    inner = attribute("name", "n", "count") + attribute("integer", "g", "group")
    rows = run(env, inner + "<order alias='g' descending='true'/>").value
    assert [r.get("g") for r in rows] == [None, 35, 36]


def test_formatted_results(env: Env) -> None:
    row = run(env, attribute("name", "n", "count") + attribute("money", "m", "sum") + attribute("choice", "c", "group"),
              "", ALL).value[-1]
    assert row[f"n@{FORMATTED}"] == "2" and row[f"m@{FORMATTED}"] == "$30.0000" and row[f"c@{FORMATTED}"] == "Straße"


def test_filter_and_links(env: Env) -> None:
    inner = attribute("money", "m", "sum") + ("<filter><condition attribute='sample_integer' operator='eq' value='35'/></filter>"
             "<link-entity name='account' from='accountid' to='sample_accountid' alias='a'>"
             "<attribute name='name' alias='account' groupby='true'/><order alias='account'/></link-entity>")
    assert run(env, inner).value == [{"m": "30.000000000", "account": "Zulu"}]


def test_rows_multiplied_by_a_link_count_each(env: Env) -> None:
    xml = ("<fetch aggregate='true'><entity name='account'><attribute name='name' alias='n' aggregate='count'/>"
           "<link-entity name='sample_everything' from='sample_accountid' to='accountid'/></entity></fetch>")
    assert env.fetch(xml).value == [{"n": 3}]


# --- parts of dates ----------------------------------------------------------------------------


@pytest.mark.parametrize("part, expected", [
    ("day", [None, 25, 27, 31]), ("month", [None, 3, 8, 12]), ("quarter", [None, 1, 3, 4]),
    ("year", [None, 1969, 2023]), ("week", [None, 12, 35, 53])])
def test_dategrouping_gives_whole_numbers(env: Env, part: str, expected: list[int]) -> None:
    inner = attribute("name", "n", "count") + attribute("datetime", "g", "group", f"dategrouping='{part}' usertimezone='false'")
    assert [r.get("g") for r in run(env, inner + "<order alias='g'/>").value] == expected


def test_dategrouping_of_day_columns(env: Env) -> None:
    inner = attribute("name", "n", "count") + attribute("date", "g", "group", "dategrouping='year'")
    rows = run(env, inner, "", ALL).value
    assert [r.get("g") for r in rows] == [None, 1753, 2023, 9999] and rows[2][f"g@{FORMATTED}"] == "2,023"


def test_fiscal_periods_are_not_here(env: Env) -> None:
    assert run(env, attribute("datetime", "g", "group", "dategrouping='fiscal-year'")).status == 501


# --- nothing to aggregate ----------------------------------------------------------------------

NONE = "<filter><condition attribute='sample_integer' operator='eq' value='999'/></filter>"


def test_sum_over_no_rows_is_absent_or_zero(env: Env) -> None:
    inner = attribute("name", "n", "count") + attribute("money", "s", "sum") + attribute("money", "m", "max")
    assert run(env, inner + NONE).value == [{"n": 0}]
    assert run(Env(sum_of_nothing="zero"), inner + NONE).value == [{"n": 0, "s": "0.000000000"}]


def test_no_groups_over_no_rows(env: Env) -> None:
    assert run(env, attribute("choice", "c", "group") + NONE).value == []


# --- limits --------------------------------------------------------------------------------------


def test_trap_50000_records(env: Env, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataverse_service import apply
    assert apply.MAX_ROWS == 50_000
    monkeypatch.setattr(apply, "MAX_ROWS", 3)
    answer = run(env, attribute("name", "n", "count"))
    assert (answer.status, answer.code) == (400, "0x8004E023")
    assert answer.message.startswith("AggregateQueryRecordLimit exceeded.")
    # the limit is lowered and never raised
    assert run(env, attribute("name", "n", "count"), "aggregatelimit='60000'").code == "0x8004E023"


def test_aggregatelimit(env: Env) -> None:
    assert run(env, attribute("name", "n", "count"), "aggregatelimit='3'").code == "0x8004E023"
    assert run(env, attribute("name", "n", "count"), "aggregatelimit='4'").value == [{"n": 4}]


def test_trap_groups_are_cut_at_5000_without_a_word(env: Env, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataverse_service import apply
    assert apply.MAX_GROUPS == 5000
    monkeypatch.setattr(apply, "MAX_GROUPS", 2)
    inner = attribute("name", "n", "count") + attribute("integer", "g", "group")
    answer = run(env, inner, "", ALL).json()
    assert len(answer["value"]) == 2 and MORE not in answer
    paged = run(env, inner, "page='1'", ALL).json()
    assert len(paged["value"]) == 2 and paged[MORE] is True
    last = run(env, inner, "page='2' count='7'", ALL).json()
    assert [r["g"] for r in last["value"]] == [36] and MORE not in last


def test_pages_of_groups(env: Env) -> None:
    inner = attribute("name", "n", "count") + attribute("integer", "g", "group")
    pages = [run(env, inner, f"count='2' page='{p}'", ALL).json() for p in (1, 2, 3)]
    assert [[r.get("g") for r in p["value"]] for p in pages] == [[None, 35], [36], []]
    assert [p.get(MORE) for p in pages] == [True, None, None]


def test_total_is_that_of_the_groups(env: Env) -> None:
    assert run(env, attribute("integer", "g", "group"), more="&$count=true").json()["@odata.count"] == 3


# --- refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize("inner, code", [
    ("<attribute name='sample_name'/>", "0x80041107"), ("<attribute name='sample_name' alias='n'/>", "0x80041107"),
    ("<attribute name='sample_name' aggregate='count'/>", "0x80041107"), ("<all-attributes/>", "0x80041107"),
    (attribute("name", "n", "count") + "<order attribute='sample_name'/>", "0x80041131"),
    (attribute("name", "n", "count") + "<order/>", "0x80041134"),
    (attribute("name", "n", "count") + "<order alias='x'/>", "0x8004110A"),
    (attribute("name", "n", "count") * 2, "0x80041130"),
    (attribute("name", "n", "median"), "0x8004111A"), (attribute("name", "n", "average"), "0x8004111A"),
    (attribute("nonsense", "n", "count"), "0x80041103"), (attribute("choicename", "n", "group"), "0x80041103"),
    (attribute("choice", "n", "sum"), "0x8004112F"), (attribute("boolean", "n", "max"), "0x8004112F"),
    (attribute("everythingid", "n", "min"), "0x8004112F"), (attribute("accountid", "n", "max"), "0x8004112F"),
    (attribute("string", "n", "sum"), "0x8004112F"), (attribute("datetime", "n", "avg"), "0x8004112F"),
    (attribute("multi", "n", "group"), "0x80050224"), (attribute("datetime", "n", "group"), "0x80041135"),
    (attribute("integer", "n", "group", "dategrouping='day'"), "0x80041135"),
    (attribute("datetime", "n", "group", "dategrouping='hour'"), "0x80041135"),
    (attribute("integer", "n", "count", "distinct='true'"), "0x8004111A"),
    (attribute("integer", "n", "count", "groupby='true'"), "0x8004111A"),
    ("", "0x8004111A"),
])
def test_aggregates_that_are_refused(env: Env, inner: str, code: str) -> None:
    answer = run(env, inner)
    assert (answer.status, answer.code) == (400, code), answer.text


@pytest.mark.parametrize("attributes", ["distinct='true'", "top='5'"])
def test_neither_distinct_nor_top(env: Env, attributes: str) -> None:
    assert run(env, attribute("name", "n", "count"), attributes).status == 400


def test_aggregates_need_the_attribute_of_fetch(env: Env) -> None:
    xml = f"<fetch><entity name='sample_everything'>{attribute('name', 'n', 'count')}</entity></fetch>"
    assert env.fetch(xml).code == "0x8004111A"
    assert env.fetch("<fetch aggregatelimit='5'><entity name='account'/></fetch>").status == 400


def test_elastic_tables_aggregate() -> None:
    env = Env()
    env.add("contoso_sensordata", contoso_name="x", contoso_value=3)
    xml = ("<fetch aggregate='true'><entity name='contoso_sensordata'>"
           "<attribute name='contoso_value' alias='s' aggregate='sum'/></entity></fetch>")
    assert env.fetch(xml).value == [{"s": 3}]
