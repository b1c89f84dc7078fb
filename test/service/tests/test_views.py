"""Stored views: ``savedQuery`` and ``userQuery`` (sheet 2.11)."""
from __future__ import annotations

import pytest

from querying import Env

from dataverse_service.seed import ACTIVE_ACCOUNTS

FETCH = "<fetch><entity name='task'><attribute name='subject'/><order attribute='subject'/></entity></fetch>"


@pytest.fixture(scope="module")
def env() -> Env:
    env = Env()
    ana = env.add("contact", firstname="Ana", lastname="Berg", emailaddress1="a@b.example")
    env.account = env.add("account", name="One", statecode=0, primarycontactid=ana)
    for i in range(4):
        env.add("account", name=f"Two {i}", statecode=0)
    env.add("account", name="Gone", statecode=1)
    for i in range(3):
        env.add("task", subject=f"t{i}", regardingobjectid=(env.account, "account"))
    env.add("task", subject="elsewhere")
    env.view = env.add("userquery", name="Tasks", fetchxml=FETCH, returnedtypecode="task", querytype=0)
    return env


def test_saved_query(env: Env) -> None:
    rows = env.get(f"accounts?savedQuery={ACTIVE_ACCOUNTS}").value
    assert [r["name"] for r in rows] == ["One", "Two 0", "Two 1", "Two 2", "Two 3"]
    assert rows[0]["accountprimarycontactidcontactcontactid.emailaddress1"] == "a@b.example"


def test_views_are_found_by_name(env: Env) -> None:
    row = env.get("savedqueries?$select=savedqueryid,fetchxml&$filter=name eq 'Active Accounts' and "
                  "returnedtypecode eq 'account'").value[0]
    assert row["savedqueryid"] == ACTIVE_ACCOUNTS and row["fetchxml"].startswith("<fetch")


def test_user_query(env: Env) -> None:
    assert [r["subject"] for r in env.get(f"tasks?userQuery={env.view}").value] == ["elsewhere", "t0", "t1", "t2"]


def test_on_a_collection_below_a_row(env: Env) -> None:
    rows = env.get(f"accounts({env.account})/Account_Tasks?userQuery={env.view}").value
    assert [r["subject"] for r in rows] == ["t0", "t1", "t2"]


def test_views_page_by_preference_and_link(env: Env) -> None:
    pages = list(env.pages(f"accounts?savedQuery={ACTIVE_ACCOUNTS}", "odata.maxpagesize=2"))
    assert [[r["name"] for r in p["value"]] for p in pages] == [["One", "Two 0"], ["Two 1", "Two 2"], ["Two 3"]]
    answer = env.get(f"accounts?savedQuery={ACTIVE_ACCOUNTS}", "odata.maxpagesize=2")
    assert answer.headers["Preference-Applied"] == "odata.maxpagesize=2"


def test_count(env: Env) -> None:
    assert env.get(f"accounts?savedQuery={ACTIVE_ACCOUNTS}&$count=true").json()["@odata.count"] == 5


@pytest.mark.parametrize("path, status, code", [
    ("contacts?savedQuery={view}", 400, "0x80041128"),
    ("accounts?savedQuery=11111111-2222-3333-4444-555555555555", 404, "0x80040217"),
    ("accounts?userQuery={view}", 404, "0x80040217"),
    ("accounts?savedQuery=x", 400, "0x80060888"),
    ("accounts?savedquery={view}", 400, "0x80060888"),
    ("accounts?savedQuery={view}&userQuery={view}", 400, "0x80060888"),
    ("accounts?savedQuery={view}&$filter=name eq 'x'", 400, "0x80060888"),
    ("accounts?savedQuery={view}&$skiptoken=x", 400, "0x8004112A"),
])
def test_views_that_are_refused(env: Env, path: str, status: int, code: str) -> None:
    answer = env.get(path.format(view=ACTIVE_ACCOUNTS))
    assert (answer.status, answer.code) == (status, code)


def test_sql_is_not_here(env: Env) -> None:
    assert env.get("accounts?sql=SELECT name FROM account").status == 501
