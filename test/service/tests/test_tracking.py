"""Change tracking (sheet 10)."""
from __future__ import annotations

import re

import pytest

from querying import BASE, Env

TRACK = "odata.track-changes"
PATH = "sample_everythings?$select=sample_name"


def start(env: Env) -> str:
    return env.get(PATH, TRACK).json()["@odata.deltaLink"]


def test_initial_load_ends_in_a_delta_link() -> None:
    env = Env()
    env.at("2017-08-22T08:10:44Z")
    env.everything("a")
    answer = env.get(PATH, TRACK)
    assert answer.headers["Preference-Applied"] == TRACK
    assert [r["sample_name"] for r in answer.value] == ["a"]
    version = env.store.version
    assert answer.json()["@odata.deltaLink"] == (
        f"{BASE}/{PATH}&$deltatoken={version}%2108%2f22%2f2017%2008%3a10%3a44")


def test_delta_brings_rows_in_full_then_deletions() -> None:
    env = Env()
    table = env.model.tables["sample_everything"]
    a, b, c = (env.everything(n) for n in "abc")
    link = start(env)
    d = env.everything("d")
    env.store.update(table, a, {"sample_integer": 5})
    env.store.delete(table, b)
    gone = env.everything("gone")
    env.store.delete(table, gone)
    count = env.get(link.replace(f"{PATH}&", "sample_everythings/$count?"))
    assert count.text == "4"
    answer = env.get(link).json()
    assert answer["@odata.context"] == f"{BASE}/$metadata#sample_everythings(sample_name)/$delta"
    rows = answer["value"]
    assert [r.get("sample_name") for r in rows] == ["d", "a", None, None]
    assert rows[2] == {"@odata.context": f"{BASE}/$metadata#sample_everythings/$deletedEntity",
                       "id": b, "reason": "deleted"}
    assert rows[3]["id"] == gone
    again = env.get(answer["@odata.deltaLink"]).json()
    assert again["value"] == [] and "@odata.deltaLink" in again


def test_a_row_deleted_and_made_again_is_no_deletion() -> None:
    env = Env()
    row = env.everything("a")
    link = start(env)
    env.store.delete(env.model.tables["sample_everything"], row)
    env.everything("b", id=row)
    assert [r["sample_name"] for r in env.get(link).value] == ["b"]


def test_delta_and_initial_load_page() -> None:
    env = Env()
    table = env.model.tables["sample_everything"]
    rows = [env.everything(f"n{i}") for i in range(5)]
    pages = list(env.pages(PATH, f"{TRACK},odata.maxpagesize=2"))
    assert [len(p["value"]) for p in pages] == [2, 2, 1]
    assert ["@odata.deltaLink" in p for p in pages] == [False, False, True]
    assert "istracking=%22True%22" in pages[0]["@odata.nextLink"]
    for row in rows[:3]:
        env.store.update(table, row, {"sample_integer": 1})
    for row in rows[3:]:
        env.store.delete(table, row)
    pages = list(env.pages(pages[-1]["@odata.deltaLink"], "odata.maxpagesize=2"))
    assert [len(p["value"]) for p in pages] == [2, 2, 1]
    found = [r.get("sample_name") or r["id"] for p in pages for r in p["value"]]
    assert found == ["n0", "n1", "n2", rows[3], rows[4]]


def test_changes_during_the_initial_load_are_in_the_delta() -> None:
    env = Env()
    rows = [env.everything(f"n{i}") for i in range(4)]
    first = env.get(PATH, f"{TRACK},odata.maxpagesize=2").json()
    env.store.update(env.model.tables["sample_everything"],
                     first["value"][0]["sample_everythingid"], {"sample_integer": 1})
    second = env.get(first["@odata.nextLink"], f"{TRACK},odata.maxpagesize=2").json()
    changed = env.get(second["@odata.deltaLink"]).value
    assert [r["sample_everythingid"] for r in changed] == [first["value"][0]["sample_everythingid"]]
    assert len(rows) == 4


@pytest.mark.parametrize("option", ["$filter=sample_integer eq 1", "$orderby=sample_name", "$top=1",
                                    "$expand=sample_AccountId"])
def test_options_that_do_not_go_with_tracking(option: str) -> None:
    answer = Env().get(f"{PATH}&{option}", TRACK)
    name = option.partition("=")[0]
    assert answer.status == 400
    assert answer.message == (f'The "{name}" query parameter isn\'t supported when Change Tracking is '
                              "enabled.")


def test_table_without_change_tracking() -> None:
    assert Env().get("geo_notes?$select=geo_name", TRACK).code == "0x80072491"


def test_expired_token() -> None:
    env = Env()
    env.at("2024-01-01T00:00:00Z")
    link = start(env)
    env.at("2024-03-31T00:00:00Z")
    env.service.cache.clear()  # only the clock moved
    answer = env.get(link)
    assert answer.code == "0x80044352"
    assert answer.message == ("Version stamp associated with the client has expired. Please perform a "
                              "full sync.")


def test_nonsense_token() -> None:
    env = Env()
    assert env.get(f"{PATH}&$deltatoken=x").status == 400
    assert re.search("deltatoken", start(env))
