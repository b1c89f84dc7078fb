"""$expand (sheet 2.8)."""
from __future__ import annotations

import pytest

from querying import BASE, Env


@pytest.fixture(scope="module")
def env() -> Env:
    env = Env()
    env.ana = env.add("contact", firstname="Ana", lastname="Berg", jobtitle="Buyer")
    env.one = env.add("account", name="One", primarycontactid=env.ana)
    env.two = env.add("account", name="Two")
    for i in range(3):
        env.add("task", subject=f"t{i}", regardingobjectid=(env.one, "account"), scheduleddurationminutes=i)
    env.other_task = env.add("task", subject="elsewhere", regardingobjectid=(env.ana, "contact"))
    env.everything("mine", accountid=env.one, customerid=(env.ana, "contact"))
    return env


def rows(env: Env, options: str, prefer: str = "") -> list[dict]:
    return env.get(f"accounts?$select=name&$orderby=name&{options}", prefer).value


def test_many_to_one(env: Env) -> None:
    one, two = rows(env, "$expand=primarycontactid($select=fullname)")
    assert one["primarycontactid"] == {"fullname": "Ana Berg", "contactid": env.ana}
    assert two["primarycontactid"] is None


def test_expanding_a_lookup_does_not_add_its_value(env: Env) -> None:
    assert "_primarycontactid_value" not in rows(env, "$expand=primarycontactid($select=fullname)")[0]


def test_context_names_the_expansion(env: Env) -> None:
    answer = env.get("accounts?$select=name&$expand=primarycontactid($select=fullname)").json()
    assert answer["@odata.context"] == f"{BASE}/$metadata#accounts(name,primarycontactid(fullname))"


def test_bare_navigation_property_gives_all_columns(env: Env) -> None:
    contact = rows(env, "$expand=primarycontactid")[0]["primarycontactid"]
    assert contact["jobtitle"] == "Buyer" and "@odata.etag" not in contact


def test_filter_in_many_to_one_blanks_the_object(env: Env) -> None:
    found = rows(env, "$expand=primarycontactid($select=fullname;$filter=jobtitle eq 'nobody')")
    assert [r["primarycontactid"] for r in found] == [None, None]


def test_one_to_many(env: Env) -> None:
    one, two = rows(env, "$expand=Account_Tasks($select=subject)")
    assert sorted(t["subject"] for t in one["Account_Tasks"]) == ["t0", "t1", "t2"]
    assert two["Account_Tasks"] == []


def test_children_carry_etag_key_and_foreign_key(env: Env) -> None:
    child = rows(env, "$expand=Account_Tasks($select=subject)")[0]["Account_Tasks"][0]
    assert set(child) == {"@odata.etag", "subject", "activityid", "_regardingobjectid_value"}
    assert child["_regardingobjectid_value"] == env.one


def test_child_link_is_always_there_and_repeats_the_same_rows(env: Env) -> None:
    one, two = rows(env, "$expand=Account_Tasks($select=subject;$orderby=subject desc;$top=2)")
    link = one["Account_Tasks@odata.nextLink"]
    assert link.startswith(f"{BASE}/accounts({env.one})/Account_Tasks?$select=subject")
    assert "$skiptoken" not in link and "Account_Tasks@odata.nextLink" in two
    assert [t["subject"] for t in env.get(link).value] == [t["subject"] for t in one["Account_Tasks"]]


def test_options_on_children(env: Env) -> None:
    one = rows(env, "$expand=Account_Tasks($select=subject;$orderby=subject desc;$top=2)")[0]
    assert [t["subject"] for t in one["Account_Tasks"]] == ["t2", "t1"]
    one = rows(env, "$expand=Account_Tasks($filter=endswith(subject,'1'))")[0]
    assert [t["subject"] for t in one["Account_Tasks"]] == ["t1"]


def test_page_size_applies_to_the_top_rows_only(env: Env) -> None:
    answer = env.get("accounts?$select=name&$orderby=name&$expand=Account_Tasks($select=subject)",
                     "odata.maxpagesize=1").json()
    assert len(answer["value"]) == 1 and len(answer["value"][0]["Account_Tasks"]) == 3
    following = env.get(answer["@odata.nextLink"], "odata.maxpagesize=1").json()
    assert following["value"][0]["Account_Tasks"] == []


NESTED = "$expand=Account_Tasks($select=subject;$expand=createdby($select=fullname))"


def test_nested_expand_pages_every_collection(env: Env) -> None:
    answer = env.get(f"accounts?$select=name&$orderby=name&{NESTED}", "odata.maxpagesize=2").json()
    one, two = answer["value"]
    assert len(one["Account_Tasks"]) == 2
    link = one["Account_Tasks@odata.nextLink"]
    assert "$skiptoken=" in link and "Account_Tasks@odata.nextLink" not in two
    rest = env.get(link, "odata.maxpagesize=2").value
    subjects = [t["subject"] for t in one["Account_Tasks"] + rest]
    assert sorted(subjects) == ["t0", "t1", "t2"]


def test_trap_link_of_a_nested_collection_goes_on_with_its_expand(env: Env) -> None:
    nested = "$expand=Account_Tasks($select=subject;$expand=regardingobjectid_account_task($select=name))"
    one = env.get(f"accounts?$select=name&$orderby=name&{nested}", "odata.maxpagesize=2").value[0]
    link = one["Account_Tasks@odata.nextLink"]
    assert "Account_Tasks?$select=subject&$expand=regardingobjectid_account_task($select=name)&$skiptoken=" in link
    rest = env.get(link, "odata.maxpagesize=2").value
    assert [t["regardingobjectid_account_task"]["name"] for t in rest] == ["One"]


def test_nested_pages_follow_each_other(env: Env) -> None:
    path = f"accounts?$select=name&$orderby=name&{NESTED}"
    link = env.get(path, "odata.maxpagesize=1").value[0]["Account_Tasks@odata.nextLink"]
    subjects = [t["subject"] for page in env.pages(link, "odata.maxpagesize=1") for t in page["value"]]
    assert len(subjects) == len(set(subjects)) == 2


def test_nested_children_have_neither_etag_nor_foreign_key(env: Env) -> None:
    one = env.get(f"accounts?$select=name&$orderby=name&{NESTED}").value[0]
    assert set(one["Account_Tasks"][0]) == {"subject", "activityid", "createdby"}
    assert one["Account_Tasks"][0]["createdby"] is None


def test_nested_many_to_one(env: Env) -> None:
    found = env.get("sample_everythings?$select=sample_name&$expand=sample_AccountId($select=name;"
                    "$expand=primarycontactid($select=jobtitle))").value[0]
    assert found["sample_AccountId"]["primarycontactid"]["jobtitle"] == "Buyer"


@pytest.mark.parametrize("options", [
    "primarycontactid($orderby=fullname)", "primarycontactid($top=1)",
    "Account_Tasks($top=1;$expand=createdby)", "Account_Tasks($top=1),primarycontactid($expand=createdby)"])
def test_only_select_and_filter_on_lookups_and_nested_collections(env: Env, options: str) -> None:
    answer = env.get(f"accounts?$expand={options}")
    assert answer.code == "0x80060888"
    assert answer.message == ("Only $select and $filter clause can be provided while doing $expand on "
                              "many-to-one relationship or nested one-to-many relationship.")


@pytest.mark.parametrize("options", [
    "primarycontactid()", "Account_Tasks($skip=1)", "Account_Tasks($count=true)", "nonsense",
    "Account_Tasks($levels=2)", "Account_Tasks($search=x)", "primarycontactid($select=nonsense)",
    "Account_Tasks($filter=subject eq @p)", "PrimaryContactId", "_primarycontactid_value", "name",
    "Account_Tasks($select=subject", "primarycontactid,primarycontactid"])
def test_expands_that_are_refused(env: Env, options: str) -> None:
    assert env.get(f"accounts?$expand={options}&@p='x'").status == 400


def test_empty_parentheses_are_named(env: Env) -> None:
    assert env.get("accounts?$expand=primarycontactid()").message.startswith("Missing expand option")


def test_at_most_15_expands(env: Env) -> None:
    deep = "primarycontactid"
    for _ in range(15):
        deep = f"parentaccountid($expand={deep})"
    assert env.get(f"accounts?$select=name&$expand={deep}").code == "0x8004430D"


def test_both_sides_of_a_self_reference(env: Env) -> None:
    answer = env.get("accounts?$expand=parentaccountid,account_parent_account")
    assert answer.message == "An item with the same key has already been added."


def test_references(env: Env) -> None:
    one, two = rows(env, "$expand=primarycontactid/$ref")
    assert one["primarycontactid"] == {"@odata.id": f"{BASE}/contacts({env.ana})"}
    assert one["_primarycontactid_value"] == env.ana
    assert two["primarycontactid"] is None
    context = env.get("accounts?$select=name&$expand=primarycontactid/$ref").json()["@odata.context"]
    assert context == f"{BASE}/$metadata#accounts(name,primarycontactid,primarycontactid/$ref())"
    answer = env.get("accounts?$expand=Account_Tasks/$ref")
    assert answer.code == "0x80060888"
    assert answer.message == "Expand with $ref is only supported on lookup type navigation property."


def test_polymorphic_lookups_expand_by_target(env: Env) -> None:
    found = env.get("sample_everythings?$select=sample_name&$expand=sample_CustomerId_account("
                    "$select=name),sample_CustomerId_contact($select=fullname)").value[0]
    assert found["sample_CustomerId_account"] is None
    assert found["sample_CustomerId_contact"]["fullname"] == "Ana Berg"


def test_children_of_another_kind_of_parent_stay_out(env: Env) -> None:
    found = env.get(f"contacts({env.ana})?$select=fullname&$expand=Contact_Tasks($select=subject)").json()
    assert [t["subject"] for t in found["Contact_Tasks"]] == ["elsewhere"]


def test_systemuser_objects_carry_both_keys() -> None:
    env = Env()
    user = env.service.user_id
    env.add("account", name="x", createdby=user, ownerid=(user, "systemuser"))
    row = env.get("accounts?$select=name&$expand=createdby($select=fullname),ownerid").value[0]
    assert row["createdby"]["systemuserid"] == row["createdby"]["ownerid"] == user
    assert row["ownerid"] == {"ownerid": user}
    assert "principal" in env.get("accounts?$expand=ownerid($select=fullname)").message


def test_single_row(env: Env) -> None:
    row = env.get(f"accounts({env.one})?$select=name&$expand=primarycontactid($select=fullname)").json()
    assert row["@odata.context"] == f"{BASE}/$metadata#accounts(name,primarycontactid(fullname))/$entity"
    assert row["primarycontactid"]["fullname"] == "Ana Berg"


def test_elastic_tables_expand_on_single_rows_only() -> None:
    env = Env()
    row = env.add("contoso_sensordata", contoso_name="x")
    assert env.get("contoso_sensordatas?$expand=createdby").code == "0x80048D0B"
    assert env.get(f"contoso_sensordatas({row})?$expand=createdby").status == 200
