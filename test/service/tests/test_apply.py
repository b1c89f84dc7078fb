"""$apply (sheet 2.9)."""
from __future__ import annotations

import pytest

from querying import BASE, Env


@pytest.fixture(scope="module")
def env() -> Env:
    env = Env()
    ana = env.add("contact", firstname="Ana", lastname="Berg")
    account = env.add("account", name="One", primarycontactid=ana, revenue="100")
    env.add("account", name="Two", primarycontactid=ana, revenue="340000.5")
    env.add("account", name="Three")
    env.everything("a", string="abc", integer=35, decimal="0.1", money="10", double=0.5, boolean=True,
                   datetime="2023-03-25T17:42:47Z", choice=1, accountid=account)
    env.everything("b", string="ABC", integer=35, decimal="0.2", money="20", double=0.25, boolean=False,
                   datetime="2022-01-01T00:00:00Z", choice=1)
    env.everything("c", string="Ábc ", integer=36, money="0.0001", choice=2)
    env.everything("d")
    return env


def run(env: Env, apply: str, prefer: str = ""):
    return env.get(f"sample_everythings?$apply={apply}", prefer)


def test_count_by_group(env: Env) -> None:
    answer = run(env, "groupby((sample_choice),aggregate($count as count))")
    assert answer.json()["@odata.context"] == f"{BASE}/$metadata#sample_everythings"
    assert answer.value == [{"count": 1}, {"sample_choice": 1, "count": 2}, {"sample_choice": 2, "count": 1}]


def test_null_group_is_one_row_without_its_column(env: Env) -> None:
    rows = run(env, "groupby((sample_string),aggregate($count as n))").value
    assert {"n": 1} in rows


def test_text_groups_ignore_case_accents_and_blanks(env: Env) -> None:
    rows = run(env, "groupby((sample_string),aggregate($count as n))").value
    assert sorted(r["n"] for r in rows) == [1, 3]


def test_group_rows_have_neither_etag_nor_key(env: Env) -> None:
    assert run(env, "groupby((sample_choice))").value == [{}, {"sample_choice": 1}, {"sample_choice": 2}]


def test_property_order_is_not_the_request_order(env: Env) -> None:
    row = run(env, "aggregate($count as n,sample_integer with sum as s)").value[0]
    assert list(row) == ["s", "n"]


def test_average_of_whole_numbers_is_cut(env: Env) -> None:
    """106/3 -> 35"""
    assert run(env, "aggregate(sample_integer with average as a)").value == [{"a": 35}]


def test_money_has_nine_decimals(env: Env) -> None:
    row = run(env, "aggregate(sample_money with sum as s,sample_money with average as a)").value[0]
    assert row == {"s": "30.000100000", "a": "10.000033333"}


def test_sums_are_exact(env: Env) -> None:
    row = run(env, "aggregate(sample_decimal with sum as s)").value[0]
    assert row["s"].rstrip("0") == "0.3"
    huge = Env()
    for value in ("922337203685476.9999", "0.0001", "-922337203685476.9999"):
        huge.everything("x", money=value)
    assert run(huge, "aggregate(sample_money with sum as s)").value == [{"s": "0.000100000"}]


def test_min_and_max(env: Env) -> None:
    row = run(env, "aggregate(sample_datetime with max as hi,sample_datetime with min as lo,"
                   "sample_money with max as m,sample_double with sum as d)").value[0]
    assert row == {"hi": "2023-03-25T17:42:47Z", "lo": "2022-01-01T00:00:00Z", "m": "20.0000",
                   "d": "0.75"}


def test_text_extremes_follow_the_collation(env: Env) -> None:
    assert run(env, "aggregate(sample_name with max as m)").value == [{"m": "d"}]


def test_filter_before_grouping(env: Env) -> None:
    rows = run(env, "filter(sample_integer eq 35)/groupby((sample_choice),aggregate($count as n))").value
    assert rows == [{"sample_choice": 1, "n": 2}]
    assert run(env, "filter(sample_integer eq 35)/aggregate($count as n)").value == [{"n": 2}]


def test_column_of_a_related_row_is_renamed(env: Env) -> None:
    answer = env.get("accounts?$apply=groupby((primarycontactid/fullname),aggregate(revenue with sum as total))")
    assert answer.value == [{}, {"contact_fullname": "Ana Berg", "total": "340100.500000000"}]


def test_lookups_group_by_value(env: Env) -> None:
    rows = run(env, "groupby((_sample_accountid_value),aggregate($count as n))",
               'odata.include-annotations="*"').value
    assert [r["n"] for r in rows] == [3, 1]
    assert rows[1]["_sample_accountid_value@OData.Community.Display.V1.FormattedValue"] == "One"


def test_formatted_results(env: Env) -> None:
    row = run(env, "groupby((sample_choice),aggregate(sample_money2 with sum as x,sample_money with sum as s))",
              'odata.include-annotations="OData.Community.Display.V1.FormattedValue"').value[1]
    assert row["s@OData.Community.Display.V1.FormattedValue"] == "$30.0000"
    assert row["sample_choice@OData.Community.Display.V1.FormattedValue"] == "Straße"


def test_sum_over_no_rows_is_absent_or_zero(env: Env) -> None:
    apply = "filter(sample_integer eq 999)/aggregate($count as n,sample_money with sum as s)"
    assert run(env, apply).value == [{"n": 0}]
    assert run(Env(sum_of_nothing="zero"), apply).value == [{"s": "0.000000000", "n": 0}]


def test_no_groups_over_no_rows(env: Env) -> None:
    assert run(env, "filter(sample_integer eq 999)/groupby((sample_choice))").value == []


@pytest.mark.parametrize("order", ["n", "sample_choice"])
def test_orderby_beside_apply_is_refused(env: Env, order: str) -> None:
    answer = env.get("sample_everythings?$apply=groupby((sample_choice),aggregate($count as n))"
                     f"&$orderby={order}")
    assert answer.status == 400
    assert answer.message == "The query node SingleValueOpenPropertyAccess is not supported."


def test_equals_sign_form_is_a_syntax_error(env: Env) -> None:
    answer = run(env, "aggregate=$count as n")
    assert answer.code == "0x80060888" and "'(' expected at position 9" in answer.message


def test_aggregate_record_limit(monkeypatch) -> None:
    env = Env()
    with env.store.savepoint():
        for i in range(11):
            env.everything(str(i), integer=i)
    from dataverse_service import apply
    assert apply.MAX_ROWS == 50_000
    monkeypatch.setattr(apply, "MAX_ROWS", 10)
    answer = run(env, "aggregate($count as n)")
    assert (answer.status, answer.code) == (400, "0x8004E023")
    assert answer.message.startswith("AggregateQueryRecordLimit exceeded.")
    assert run(env, "filter(sample_integer lt 10)/aggregate($count as n)").value == [{"n": 10}]


def test_aggregate_record_limit_as_a_switch(fresh_service) -> None:
    service = fresh_service(rows=30, arguments=("--aggregate-limit", "20"))
    assert service.get("accounts?$apply=aggregate($count as n)").code == "0x8004E023"
    few = "filter(statecode eq 1)/aggregate($count as n)"
    assert service.get(f"accounts?$apply={few}").status == 200


def test_groups_are_cut_at_5000(monkeypatch) -> None:
    env = Env()
    for i in range(5):
        env.everything(str(i), integer=i)
    from dataverse_service import apply
    assert apply.MAX_GROUPS == 5000
    monkeypatch.setattr(apply, "MAX_GROUPS", 3)
    answer = run(env, "groupby((sample_integer))").json()
    assert len(answer["value"]) == 3 and "@odata.nextLink" not in answer


@pytest.mark.parametrize("item,code", [
    ("sample_choice with sum as x", "0x8004112F"), ("sample_boolean with max as x", "0x8004112F"),
    ("sample_everythingid with min as x", "0x8004112F"),
    ("_sample_accountid_value with max as x", "0x8004112F"),
    ("sample_string with sum as x", "0x8004112F"), ("sample_datetime with average as x", "0x8004112F"),
    ("sample_integer with median as x", "0x80060888"), ("nonsense with sum as x", "0x80060888"),
    ("sample_AccountId/revenue with sum as x", "0x80060888"),
    ("sample_name with countdistinct as x", "0x80060888"),
    ("sample_integer with sum as sample_integer", "0x80060888"),
    ("sample_integer with sum as x,sample_integer with max as x", "0x80060888"),
    ("sample_integer with sum", "0x80060888"), ("sample_integer as x", "0x80060888"),
])
def test_aggregates_that_are_refused(env: Env, item: str, code: str) -> None:
    answer = run(env, f"aggregate({item})")
    assert (answer.status, answer.code) == (400, code)


def test_countdistinct_by_quirk() -> None:
    env = Env(countdistinct="accepted")
    env.everything("a", string="x")
    env.everything("b", string="X ")
    assert run(env, "aggregate(sample_string with countdistinct as n)").value == [{"n": 1}]


def test_multiselect_cannot_be_grouped(env: Env) -> None:
    assert run(env, "groupby((sample_multi))").code == "0x80050224"


def test_dates_in_groupby_are_a_quirk(env: Env) -> None:
    assert run(env, "groupby((sample_datetime))").status == 400
    assert run(Env(group_dates="accepted"), "groupby((sample_datetime))").value == []


@pytest.mark.parametrize("more", ["$filter=sample_integer eq 1", "$select=sample_name", "$top=1",
                                  "$expand=sample_AccountId", "$count=true"])
def test_other_options_beside_apply(env: Env, more: str) -> None:
    assert env.get(f"sample_everythings?$apply=aggregate($count as n)&{more}").status == 400


@pytest.mark.parametrize("apply", [
    "filter(sample_integer eq 1)", "groupby((sample_choice))/aggregate($count as n)",
    "groupby(sample_choice)", "groupby(())", "orderby(sample_choice)", "aggregate()", "",
    "groupby((sample_choicename))"])
def test_transformations_that_are_refused(env: Env, apply: str) -> None:
    assert run(env, apply).status == 400
