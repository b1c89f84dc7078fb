"""$count, /$count and the total annotations (sheet 2.7)."""
from __future__ import annotations

import pytest

from querying import Env

TOTALS = ('odata.include-annotations="Microsoft.Dynamics.CRM.totalrecordcount,'
          'Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"')
TOTAL = "@Microsoft.Dynamics.CRM.totalrecordcount"
EXCEEDED = "@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"


@pytest.fixture(scope="module")
def many() -> Env:
    env = Env()
    with env.store.savepoint():
        for i in range(5001):
            env.everything(f"n{i}", integer=i)
    return env


def test_count_is_capped_at_5000(many: Env) -> None:
    answer = many.get("sample_everythings?$select=sample_name&$count=true", TOTALS).json()
    assert (answer["@odata.count"], answer[TOTAL], answer[EXCEEDED]) == (5000, 5000, True)
    assert many.get("sample_everythings/$count").text == "5000"


def test_count_ignores_the_page_and_honours_the_filter(many: Env) -> None:
    path = "sample_everythings?$select=sample_name&$filter=sample_integer lt 10&$count=true"
    answer = many.get(path, TOTALS + ",odata.maxpagesize=3").json()
    assert (answer["@odata.count"], answer[TOTAL], answer[EXCEEDED]) == (10, 10, False)
    assert len(answer["value"]) == 3
    assert many.get(answer["@odata.nextLink"]).json()["@odata.count"] == 10


def test_totals_without_count(many: Env) -> None:
    answer = many.get("sample_everythings?$select=sample_name&$top=1", TOTALS).json()
    assert "@odata.count" not in answer
    assert (answer[TOTAL], answer[EXCEEDED]) == (-1, False)


def test_totals_only_when_asked_for(many: Env) -> None:
    answer = many.get("sample_everythings?$select=sample_name&$top=1&$count=true").json()
    assert TOTAL not in answer and EXCEEDED not in answer


def test_count_path_is_text_behind_a_mark(many: Env) -> None:
    answer = many.get("sample_everythings/$count?$filter=sample_integer lt 10")
    assert answer.body == b"\xef\xbb\xbf10"
    assert answer.headers["Content-Type"] == "text/plain"


def test_mark_absent_by_quirk() -> None:
    assert Env(count_bom="absent").get("sample_everythings/$count").body == b"0"


@pytest.mark.parametrize("option", ["$top=1", "$select=sample_name", "$orderby=sample_name", "$apply=x"])
def test_count_path_takes_filters_only(many: Env, option: str) -> None:
    assert many.get(f"sample_everythings/$count?{option}").status == 400
