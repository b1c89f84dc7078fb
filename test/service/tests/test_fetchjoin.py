"""FetchXML links (sheet 2.12.3, 2.12.5)."""
from __future__ import annotations

import pytest

from querying import Env

FORMATTED = "OData.Community.Display.V1.FormattedValue"
ALL = 'odata.include-annotations="*"'


@pytest.fixture(scope="module")
def env() -> Env:
    env = Env()
    env.user = env.service.user_id
    owner = {"ownerid": (env.user, "systemuser")}
    env.ana = env.add("contact", firstname="Ana", lastname="Berg", jobtitle="Buyer", **owner)
    env.bob = env.add("contact", firstname="Bob", lastname="Zed", **owner)
    env.one = env.add("account", name="One", primarycontactid=env.ana, fax="1")
    env.two = env.add("account", name="Two", primarycontactid=env.bob, parentaccountid=env.one, fax="Ana Berg")
    env.three = env.add("account", name="Three", parentaccountid=env.one)
    for number, account in enumerate((env.one, env.one, env.one, env.two)):
        env.add("task", subject=f"t{number}", regardingobjectid=(account, "account"), statecode=number % 2,
                scheduleddurationminutes=number)
    return env


CONTACT = "<link-entity name='contact' from='contactid' to='primarycontactid' {}>{}</link-entity>"
TASK = "<link-entity name='task' from='regardingobjectid' to='accountid' {}>{}</link-entity>"
OPEN = "<filter><condition attribute='statecode' operator='eq' value='{}'/></filter>"


def run(env: Env, inner: str, prefer: str = "", attributes: str = ""):
    return env.fetch(f"<fetch {attributes}><entity name='account'><attribute name='name'/>"
                     f"<order attribute='name'/>{inner}</entity></fetch>", prefer)


def names(env: Env, inner: str) -> list[str]:
    return [r["name"] for r in run(env, inner).value]


# --- inner and outer --------------------------------------------------------------------------


def test_inner_is_the_default_and_drops_parents(env: Env) -> None:
    assert names(env, CONTACT.format("", "")) == ["One", "Two"]
    assert names(env, CONTACT.format("link-type='inner'", "")) == ["One", "Two"]


def test_outer_keeps_parents(env: Env) -> None:
    rows = run(env, CONTACT.format("link-type='outer' alias='a'", "<attribute name='fullname'/>")).value
    assert [(r["name"], r.get("a.fullname")) for r in rows] == [("One", "Ana Berg"), ("Three", None), ("Two", "Bob Zed")]


def test_one_to_many_multiplies_parents(env: Env) -> None:
    assert names(env, TASK.format("", "")) == ["One", "One", "One", "Two"]


def test_filter_in_a_link_belongs_to_the_join(env: Env) -> None:
    buyer = "<attribute name='fullname'/><filter><condition attribute='jobtitle' operator='eq' value='buyer'/></filter>"
    assert names(env, CONTACT.format("alias='a'", buyer)) == ["One"]
    rows = run(env, CONTACT.format("alias='a' link-type='outer'", buyer)).value
    assert [r.get("a.fullname") for r in rows] == ["Ana Berg", None, None]


def test_entityname_is_judged_after_the_join(env: Env) -> None:
    link = CONTACT.format("alias='a' link-type='outer'", "")
    where = "<filter><condition entityname='a' attribute='jobtitle' operator='eq' value='buyer'/></filter>"
    assert names(env, link + where) == ["One"]
    # nulls of a negative operator include the rows that found nothing
    where = "<filter><condition entityname='a' attribute='jobtitle' operator='ne' value='buyer'/></filter>"
    assert names(env, where + link) == ["Three", "Two"]


def test_anti_join_by_outer_and_null(env: Env) -> None:
    where = "<filter><condition entityname='a' attribute='contactid' operator='null'/></filter>"
    assert names(env, where + CONTACT.format("alias='a' link-type='outer'", "")) == ["Three"]


def test_a_link_without_alias_is_named_by_its_table(env: Env) -> None:
    where = "<filter><condition entityname='contact' attribute='contactid' operator='null'/></filter>"
    assert names(env, where + CONTACT.format("link-type='outer'", "")) == ["Three"]
    aliased = run(env, where + CONTACT.format("link-type='outer' alias='a'", ""))
    assert aliased.code == "0x8004110A"


def test_entityname_inside_of_a_link_is_refused(env: Env) -> None:
    inner = "<filter><condition entityname='a' attribute='fullname' operator='null'/></filter>"
    assert run(env, CONTACT.format("alias='a'", inner)).code == "0x80041106"


def test_trap_inner_below_outer_drops_the_parent(env: Env) -> None:
    below = "<link-entity name='systemuser' from='systemuserid' to='ownerid' {}/>"
    assert names(env, CONTACT.format("link-type='outer'", below.format("link-type='outer'"))) == ["One", "Three", "Two"]
    assert names(env, CONTACT.format("link-type='outer'", below.format(""))) == ["One", "Two"]


def test_links_without_a_relationship(env: Env) -> None:
    link = "<link-entity name='contact' from='fullname' to='fax' alias='c'><attribute name='jobtitle'/></link-entity>"
    rows = run(env, link).value
    assert [(r["name"], r["c.jobtitle"]) for r in rows] == [("Two", "Buyer")]


def test_self_link(env: Env) -> None:
    link = ("<link-entity name='account' from='accountid' to='parentaccountid' alias='parent'>"
            "<attribute name='name'/></link-entity>")
    assert [(r["name"], r["parent.name"]) for r in run(env, link).value] == [("Three", "One"), ("Two", "One")]


# --- names (2.12.5) ---------------------------------------------------------------------------


def test_names_under_an_alias(env: Env) -> None:
    inner = "<attribute name='fullname'/><attribute name='ownerid'/><attribute name='jobtitle' alias='job'/>"
    row = run(env, CONTACT.format("alias='a'", inner), ALL).value[0]
    assert row["a.fullname"] == "Ana Berg" and row["job"] == "Buyer" and "a.jobtitle" not in row


def test_trap_lookup_under_an_alias_has_no_value_suffix(env: Env) -> None:
    row = run(env, CONTACT.format("alias='a'", "<attribute name='ownerid'/>"), ALL).value[0]
    assert row["a.ownerid"] == env.user and "a._ownerid_value" not in row
    assert row[f"a.ownerid@{FORMATTED}"].endswith("dataverse_fdw")
    assert row["a.ownerid@Microsoft.Dynamics.CRM.lookuplogicalname"] == "systemuser"


def test_lookup_under_an_alias_by_quirk() -> None:
    env = Env(lookup_under_alias="value")
    ana = env.add("contact", lastname="Berg", ownerid=(env.service.user_id, "systemuser"))
    env.add("account", name="One", primarycontactid=ana)
    row = run(env, CONTACT.format("alias='a'", "<attribute name='ownerid'/>")).value[0]
    assert row["a._ownerid_value"] == env.service.user_id


@pytest.mark.parametrize("quirk", ["plain", "value"])
def test_a_lookup_with_an_alias_of_its_own(quirk: str) -> None:
    """The alias replaces the whole name, in annotations too, whatever a lookup is called without one."""
    env = Env(lookup_under_alias=quirk)
    ana = env.add("contact", lastname="Berg", ownerid=(env.service.user_id, "systemuser"))
    env.add("account", name="One", primarycontactid=ana)
    row = run(env, CONTACT.format("alias='a'", "<attribute name='ownerid' alias='a_Id_ownerid'/>"), ALL).value[0]
    assert row["a_Id_ownerid"] == env.service.user_id and not any(name.startswith("a.") for name in row)
    assert row[f"a_Id_ownerid@{FORMATTED}"].endswith("dataverse_fdw")
    assert row["a_Id_ownerid@Microsoft.Dynamics.CRM.lookuplogicalname"] == "systemuser"


def test_an_alias_is_invented(env: Env) -> None:
    assert run(env, CONTACT.format("", "<attribute name='fullname'/>")).value[0]["contact1.fullname"] == "Ana Berg"


def test_a_column_alias_may_equal_a_link_alias(env: Env) -> None:
    assert run(env, CONTACT.format("alias='a'", "<attribute name='fullname' alias='a'/>")).value[0]["a"] == "Ana Berg"


# --- exists, in, matchfirst -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["exists", "in"])
def test_exists_and_in_return_a_parent_once(env: Env, kind: str) -> None:
    assert names(env, TASK.format(f"link-type='{kind}'", "")) == ["One", "Two"]
    assert names(env, TASK.format(f"link-type='{kind}'", OPEN.format(0))) == ["One"]
    answer = run(env, TASK.format(f"link-type='{kind}' alias='t'", "<attribute name='subject'/>"))
    assert answer.code == "0x80041117"


def test_links_below_exists(env: Env) -> None:
    inner = ("<link-entity name='systemuser' from='systemuserid' to='ownerid'>"
             "<filter><condition attribute='fullname' operator='not-null'/></filter></link-entity>")
    link = CONTACT.format("link-type='exists'", inner)
    assert names(env, link) == ["One", "Two"]


def test_matchfirst_gives_one_row_and_schema_names(env: Env) -> None:
    """Columns of a first match go by their schema names, without the alias (docs, join-tables)."""
    rows = run(env, TASK.format("link-type='matchfirstrowusingcrossapply' alias='t'",
                                "<attribute name='subject'/><attribute name='statecode' alias='s'/>")).value
    assert [r["name"] for r in rows] == ["One", "Two"]
    assert all("Subject" in r and "t.subject" not in r and "s" in r for r in rows)
    rows = run(env, TASK.format("link-type='matchfirstrowusingcrossapply'", OPEN.format(1) + "<attribute name='subject'/>")).value
    assert [(r["name"], r["Subject"]) for r in rows] == [("One", "t1"), ("Two", "t3")]


# --- conditions during the join and after it ----


def test_outer_link_whose_filter_nothing_satisfies(env: Env) -> None:
    """ON: no parent is lost, and none has the link's columns."""
    never = "<filter><condition attribute='contactid' operator='null'/></filter>"
    rows = run(env, CONTACT.format("alias='c' link-type='outer'", "<attribute name='fullname'/>" + never)).value
    assert [r["name"] for r in rows] == ["One", "Three", "Two"] and not any("c.fullname" in r for r in rows)
    assert names(env, CONTACT.format("alias='c'", never)) == []
    assert names(env, CONTACT.format("alias='c' link-type='exists'", never)) == []
    link = CONTACT.format("link-type='not any'", never)
    assert names(env, f"<filter>{link}</filter>") == ["One", "Three", "Two"]


def test_anti_join_counts_the_links_own_filter(env: Env) -> None:
    where = "<filter><condition entityname='c' attribute='contactid' operator='null'/></filter>"
    buyer = "<filter><condition attribute='jobtitle' operator='not-null'/></filter>"
    assert names(env, where + CONTACT.format("alias='c' link-type='outer'", buyer)) == ["Three", "Two"]
    assert names(env, where.replace("'null'", "'not-null'") + CONTACT.format("alias='c' link-type='outer'", buyer)) == ["One"]


def test_conditions_of_several_tables_in_one_or(env: Env) -> None:
    where = ("<filter type='or'><condition attribute='name' operator='eq' value='Three'/>"
             "<filter><condition entityname='c' attribute='jobtitle' operator='ne' value='Buyer'/>"
             "<condition entityname='c' attribute='contactid' operator='not-null'/></filter></filter>")
    assert names(env, where + CONTACT.format("alias='c' link-type='outer'", "")) == ["Three", "Two"]


def test_trap_ne_after_an_outer_join_returns_parents_without_a_link(env: Env) -> None:
    where = "<filter><condition entityname='c' attribute='jobtitle' operator='ne' value='Buyer'/></filter>"
    assert names(env, where + CONTACT.format("alias='c' link-type='outer'", "")) == ["Three", "Two"]


def test_any_in_the_filter_of_an_outer_link(env: Env) -> None:
    """It belongs to the join like the rest of that filter: no parent is lost."""
    inner = ("<attribute name='fullname'/><filter><link-entity name='account' from='primarycontactid' to='contactid' "
             "link-type='{}'><filter><condition attribute='name' operator='eq' value='One'/></filter></link-entity></filter>")
    for kind, expected in (("any", ["Ana Berg", None, None]), ("not any", [None, None, "Bob Zed"])):
        rows = run(env, CONTACT.format("alias='c' link-type='outer'", inner.format(kind))).value
        assert [r.get("c.fullname") for r in rows] == expected


# --- any, not any, all, not all ---------------------------------------------------------------


def filtered(env: Env, kind: str, state: int, more: str = "", how: str = "and") -> list[str]:
    return names(env, f"<filter type='{how}'>{TASK.format(f'link-type={kind!r}', OPEN.format(state))}{more}</filter>")


def test_any_and_not_any(env: Env) -> None:
    assert filtered(env, "any", 0) == ["One"]
    assert filtered(env, "not any", 0) == ["Three", "Two"]


def test_trap_not_all_is_any(env: Env) -> None:
    for state in (0, 1, 7):
        assert filtered(env, "not all", state) == filtered(env, "any", state)


def test_trap_all_means_rows_exist_and_none_matches(env: Env) -> None:
    assert filtered(env, "all", 0) == ["Two"]
    assert filtered(env, "all", 1) == []
    assert filtered(env, "all", 7) == ["One", "Two"]


def test_they_follow_the_type_of_their_filter(env: Env) -> None:
    more = "<condition attribute='name' operator='eq' value='Three'/>"
    assert filtered(env, "any", 0, more, "or") == ["One", "Three"]
    assert filtered(env, "any", 0, more) == []


def test_they_nest(env: Env) -> None:
    inner = f"<filter>{CONTACT.format('link-type=' + repr('any'), '<filter><condition attribute=%s operator=%s/></filter>' % (repr('jobtitle'), repr('not-null')))}</filter>"
    link = f"<link-entity name='account' from='accountid' to='parentaccountid' link-type='any'>{inner}</link-entity>"
    assert names(env, f"<filter>{link}</filter>") == ["Three", "Two"]


def test_in_the_filter_of_a_link(env: Env) -> None:
    inner = ("<filter><link-entity name='systemuser' from='systemuserid' to='ownerid' link-type='any'/>"
             "<condition attribute='jobtitle' operator='not-null'/></filter>")
    assert names(env, CONTACT.format("", inner)) == ["One"]


@pytest.mark.parametrize("inner", [
    TASK.format("link-type='any'", ""), TASK.format("link-type='not all'", ""),
    f"<filter>{TASK.format('', '')}</filter>", f"<filter>{TASK.format('link-type=%r' % 'exists', '')}</filter>",
    TASK.format("link-type='natural'", ""), TASK.format("link-type='cross'", ""),
    f"<filter>{TASK.format('link-type=%r' % 'any', '<attribute name=%r/>' % 'subject')}</filter>",
])
def test_kinds_in_the_wrong_place(env: Env, inner: str) -> None:
    assert run(env, inner).code == "0x80041117"


# --- valueof across tables ----------------------------------------------------------------------


def test_valueof_across_tables(env: Env) -> None:
    where = "<filter><condition attribute='fax' operator='eq' valueof='c.fullname'/></filter>"
    assert names(env, where + CONTACT.format("alias='c' link-type='outer'", "")) == []
    where = "<filter><condition attribute='fax' operator='ne' valueof='c.jobtitle'/></filter>"
    assert names(env, where + CONTACT.format("alias='c' link-type='outer'", "")) == ["One", "Two"]
    # without an alias: of the row that the condition is about
    assert names(env, "<filter><condition entityname='c' attribute='lastname' operator='lt' valueof='jobtitle'/></filter>"
                 + CONTACT.format("alias='c'", "")) == ["One"]
    assert run(env, where.replace("c.jobtitle", "c.createdon") + CONTACT.format("alias='c'", "")).code == "0x80041106"


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("inner, code", [
    (CONTACT.replace("name='contact'", "name='nonsense'").format("", ""), "0x80041102"),
    (CONTACT.replace("from='contactid'", "from='nonsense'").format("", ""), "0x80041103"),
    (CONTACT.replace("to='primarycontactid'", "to='_primarycontactid_value'").format("", ""), "0x80041103"),
    (CONTACT.replace("from='contactid' ", "").format("", ""), "0x8004111E"),
    (CONTACT.replace("from='contactid'", "from='createdon'").format("", ""), "0x80041104"),
    (CONTACT.format("alias='x y'", ""), "0x80041109"),
    (CONTACT.format("alias='a'", "") * 2, "0x80041130"),
    (CONTACT.format("intersect='true'", ""), "0x8004110E"),
    (CONTACT.format("distinct='true'", ""), "0x80040303"),
    (CONTACT.format("", "<attribute name='name'/>"), "0x80041103"),
    ("<link-entity name='contoso_sensordata' from='ownerid' to='ownerid'/>", "0x80048D0B"),
])
def test_links_that_are_refused(env: Env, inner: str, code: str) -> None:
    answer = run(env, inner)
    assert (answer.status, answer.code) == (400, code), answer.text


def test_visible_is_accepted(env: Env) -> None:
    assert names(env, CONTACT.format("visible='false'", "")) == ["One", "Two"]


@pytest.mark.parametrize("kind", ["inner", "outer", "exists"])
def test_trap_elastic_tables_have_no_joins(kind: str) -> None:
    env = Env()
    env.add("contoso_sensordata", contoso_name="x")
    answer = env.fetch("<fetch><entity name='contoso_sensordata'><link-entity name='systemuser' "
                       f"from='systemuserid' to='ownerid' link-type='{kind}'/></entity></fetch>")
    assert (answer.code, answer.message) == ("0x80048D0B", "Link entities are not supported")


def test_at_most_15_links(env: Env) -> None:
    link = CONTACT.format("link-type='outer'", "")
    assert len(run(env, link * 15).value) == 3
    answer = run(env, link * 16)
    assert (answer.code, answer.message) == (
        "0x8004430D", "Number of link entities in query exceeded maximum limit.")
    nested = "<filter>" + TASK.format("link-type='any'", "") * 16 + "</filter>"
    assert run(env, nested).code == "0x8004430D"
