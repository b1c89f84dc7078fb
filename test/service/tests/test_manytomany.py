"""N:N relationships: teams and their members (sheet 2.3.7, 2.8, 4.5, 2.12.3)."""
from __future__ import annotations

import json

import pytest

from querying import BASE, Env

NAV = "teammembership_association"


@pytest.fixture
def env() -> Env:
    env = Env()
    found = env.get("systemusers?$select=firstname,fullname").value
    env.users = {r["firstname"]: r["systemuserid"] for r in found}
    env.teams = {r["name"]: r["teamid"] for r in env.get("teams?$select=name").value}
    return env


def send(env: Env, method: str, path: str, body: dict | None = None):
    data = json.dumps(body).encode() if body else b""
    return env.service.dispatch(method, f"/api/data/v9.2/{path}", {"content-type": "application/json"}, data,
                                base=BASE)


def names(env: Env, condition: str) -> list[str]:
    rows = env.get(f"systemusers?$select=firstname&$orderby=firstname&$filter={condition}").value
    return [r["firstname"] for r in rows]


def test_lambda_any(env: Env) -> None:
    assert names(env, f"{NAV}/any(t:t/name eq 'sales europe')") == ["Anna", "Bjørn"]
    assert names(env, f"{NAV}/any()") == ["#", "Anna", "Bjørn", "陈"]


def test_trap_lambda_all_over_an_empty_collection_is_false(env: Env) -> None:
    assert names(env, f"{NAV}/all(t:contains(t/name,'europe'))") == ["Bjørn"]
    assert "Emil" not in names(env, f"{NAV}/all(t:t/name ne 'x')")
    assert "Emil" in names(env, f"not {NAV}/any(t:t/name eq 'x')")


def test_from_the_other_side(env: Env) -> None:
    rows = env.get(f"teams?$select=name&$filter={NAV}/any(u:u/firstname eq 'anna')&$orderby=name").value
    assert [r["name"] for r in rows] == ["Contoso", "Sales Europe"]


def test_expand(env: Env) -> None:
    rows = env.get(f"teams?$select=name&$orderby=name&$expand={NAV}($select=firstname;$orderby=firstname desc)").value
    found = {r["name"]: [m["firstname"] for m in r[NAV]] for r in rows}
    assert found["Contoso"] == ["Anna", "#"] and found["Équipe Québec"] == []
    member = rows[0][NAV][0]
    assert set(member) == {"@odata.etag", "firstname", "systemuserid", "ownerid"}
    link = rows[0][f"{NAV}@odata.nextLink"]
    assert [m["firstname"] for m in env.get(link).value] == [m["firstname"] for m in rows[0][NAV]]


@pytest.mark.parametrize("expand", [
    f"{NAV},createdby", f"{NAV},team_accounts", f"{NAV}($expand=createdby)", f"createdby($expand={NAV})", f"{NAV}/$ref"])
def test_trap_expand_stands_alone(env: Env, expand: str) -> None:
    assert env.get(f"teams?$expand={expand}").code == "0x80060888"


def test_paths(env: Env) -> None:
    path = f"systemusers({env.users['Anna']})/{NAV}"
    assert sorted(r["name"] for r in env.get(f"{path}?$select=name").value) == ["Contoso", "Sales Europe"]
    assert [r["name"] for r in env.get(f"{path}?$select=name&$filter=startswith(name,'s')").value] == ["Sales Europe"]
    assert env.get(f"{path}/$count").text == "2" and len(env.get(f"{path}/$ref").value) == 2


def test_add_and_remove(env: Env) -> None:
    team, emil = env.teams["Contoso"], env.users["Emil"]
    path, body = f"teams({team})/{NAV}", {"@odata.id": f"{BASE}/systemusers({emil})"}
    assert send(env, "POST", f"{path}/$ref", body).status == 204
    assert f"{emil}" in env.get(f"{path}?$select=firstname").text
    assert send(env, "POST", f"{path}/$ref", body).status == 412
    assert send(env, "DELETE", f"{path}({emil})/$ref").status == 204
    assert emil not in env.get(f"{path}?$select=firstname").text
    assert send(env, "DELETE", f"{path}({emil})/$ref").status == 404
    other = f"systemusers({emil})/{NAV}"
    assert send(env, "POST", f"{other}/$ref", {"@odata.id": f"{BASE}/teams({team})"}).status == 204
    assert send(env, "DELETE", f"{other}/$ref?$id={BASE}/teams({team})").status == 204
    assert env.get(f"{other}?$select=name").value == []
    assert send(env, "POST", f"{path}/$ref", {"@odata.id": f"{BASE}/teams({team})"}).status == 400


def test_intersect_tables_are_read_only(env: Env) -> None:
    assert len(env.get("teammemberships?$select=teamid").value) == 5
    assert send(env, "POST", "teammemberships", {"teamid": env.teams["Contoso"]}).status >= 400


def test_fetchxml_intersect(env: Env) -> None:
    xml = ("<fetch><entity name='systemuser'><attribute name='firstname'/><link-entity name='teammembership' "
           "from='systemuserid' to='systemuserid' intersect='true'><link-entity name='team' from='teamid' to='teamid' "
           "alias='team'><attribute name='name'/><filter><condition attribute='name' operator='eq' value='contoso'/></filter>"
           "</link-entity></link-entity></entity></fetch>")
    assert sorted((r["firstname"], r["team.name"]) for r in env.fetch(xml).value) == [("#", "Contoso"), ("Anna", "Contoso")]


def test_rows_of_the_callers_teams(env: Env) -> None:
    env.add("account", name="ours", ownerid=(env.teams["Contoso"], "team"))
    env.add("account", name="theirs", ownerid=(env.teams["Sales Europe"], "team"))
    condition = "Microsoft.Dynamics.CRM.EqualUserTeams(PropertyName='ownerid')"
    assert [r["name"] for r in env.get(f"accounts?$select=name&$filter={condition}").value] == ["ours"]
    xml = ("<fetch><entity name='account'><attribute name='name'/><filter><condition attribute='ownerid' "
           "operator='eq-userteams'/></filter></entity></fetch>")
    assert [r["name"] for r in env.fetch(xml).value] == ["ours"]
