"""FetchXML: form, columns, conditions (sheet 2.12.1, 2.12.2, 2.12.5)."""
from __future__ import annotations

import pytest

from querying import BASE, Env

FORMATTED = "OData.Community.Display.V1.FormattedValue"
ALL = 'odata.include-annotations="*"'


@pytest.fixture(scope="module")
def env() -> Env:
    env = Env()
    env.at("2024-05-15T10:00:00Z")
    env.user = env.service.user_id
    env.ana = env.add("contact", firstname="Ana", lastname="Berg")
    env.one = env.add("account", name="One", primarycontactid=env.ana, revenue="100.5", industrycode=1,
                      ownerid=(env.user, "systemuser"))
    env.everything("a", string="Alpha", integer=1, decimal="0.5", money="10", double=1.5, boolean=True,
                   choice=1, multi="1,9", datetime="2024-05-15T09:00:00Z", date="2024-05-15",
                   accountid=env.one, customerid=(env.ana, "contact"), entityname="account",
                   code="Alpha", guid="3f2504e0-4f89-11d3-9a0c-0305e82c3301")
    env.everything("b", string="ALPHA ", integer=5, decimal="1.5", boolean=False, choice=2, multi="9",
                   datetime="2023-05-15T09:00:00Z", date="2023-01-01", entityname="contact", code="50%")
    env.everything("c", string="Álpha", integer=9, choice=100000000, datetime="2024-05-14T23:59:59Z",
                   code="beta")
    env.everything("nothing")
    return env


def names(env: Env, condition: str, attributes: str = "") -> list[str]:
    answer = env.fetch(f"<fetch><entity name='sample_everything'><attribute name='sample_name'/>"
                       f"<filter {attributes}>{condition}</filter></entity></fetch>")
    return sorted(r["sample_name"] for r in answer.value)


def cond(column: str, operator: str, value: str | None = None, *values: str) -> str:
    given = "" if value is None else f' value="{value}"'
    inner = "".join(f"<value>{v}</value>" for v in values)
    return f'<condition attribute="sample_{column}" operator="{operator}"{given}>{inner}</condition>'


# --- call and form ---------------------------------------------------------------------------


def test_rows_and_context(env: Env) -> None:
    answer = env.fetch("<fetch><entity name='account'><attribute name='name'/><attribute name='revenue'/>"
                       "<attribute name='primarycontactid'/></entity></fetch>")
    assert answer.json()["@odata.context"] == (
        f"{BASE}/$metadata#accounts(name,revenue,_primarycontactid_value,primarycontactid,"
        "_transactioncurrencyid_value,transactioncurrencyid,accountid,primarycontactid(),"
        "transactioncurrencyid())")
    row = answer.value[0]
    assert row.pop("@odata.etag").startswith('W/"')
    assert row == {"name": "One", "revenue": "100.5000", "_primarycontactid_value": env.ana,
                   "accountid": env.one}


def test_trap_null_values_are_left_out(env: Env) -> None:
    xml = ("<fetch><entity name='sample_everything'><attribute name='sample_name'/>"
           "<attribute name='sample_string'/><filter><condition attribute='sample_name' operator='eq' "
           "value='nothing'/></filter></entity></fetch>")
    assert set(env.fetch(xml).value[0]) == {"@odata.etag", "sample_name", "sample_everythingid"}


def test_trap_option_name_counts_its_case(env: Env) -> None:
    assert env.get("accounts?fetchxml=<fetch><entity name='account'/></fetch>").code == "0x80060888"


def test_entity_must_match_the_set(env: Env) -> None:
    answer = env.fetch("<fetch><entity name='contact'/></fetch>", set_name="accounts")
    assert (answer.status, answer.code) == (400, "0x80041128")


@pytest.mark.parametrize("xml", ["nonsense", "<fetch>", "<fetch><entity name='account'></fetch>",
                                 "<query><entity name='account'/></query>",
                                 "<!DOCTYPE x><fetch><entity name='account'/></fetch>",
                                 "<fetch>text<entity name='account'/></fetch>",
                                 "<fetch nonsense='1'><entity name='account'/></fetch>",
                                 "<fetch><entity name='account' alias='a'/></fetch>",
                                 "<fetch aggregate='yes'><entity name='account'/></fetch>"])
def test_malformed(env: Env, xml: str) -> None:
    answer = env.fetch(xml)
    assert (answer.status, answer.code) == (400, "0x80040303")


@pytest.mark.parametrize("xml, code", [
    ("<fetch/>", "0x80041123"),
    ("<fetch><entity name='account'/><entity name='account'/></fetch>", "0x80041123"),
    ("<fetch><entity/></fetch>", "0x8004111E"),
    ("<fetch><entity name='account'><columns/></entity></fetch>", "0x8004111C"),
    ("<fetch><entity name='account'><attribute/></entity></fetch>", "0x8004111E"),
    ("<fetch><entity name='account'><attribute name='name'><value/></attribute></entity></fetch>", "0x8004111C"),
    ("<fetch><entity name='account'><attribute name='nonsense'/></entity></fetch>", "0x80041103"),
    ("<fetch><entity name='account'><attribute name='Name'/></entity></fetch>", "0x80041103"),
    ("<fetch><entity name='account'><attribute name='_primarycontactid_value'/></entity></fetch>", "0x80041103"),
    ("<fetch><entity name='account'><attribute name='name' alias='1x'/></entity></fetch>", "0x80041109"),
    ("<fetch><entity name='account'><attribute name='name' alias='a.b'/></entity></fetch>", "0x80041109"),
    ("<fetch><entity name='account'><attribute name='name' alias='x'/>"
     "<attribute name='fax' alias='x'/></entity></fetch>", "0x80041130"),
    ("<fetch mapping='other'><entity name='account'/></fetch>", "0x80041116"),
    ("<fetch distinct='yes'><entity name='account'/></fetch>", "0x80041115"),
    ("<fetch no-lock='maybe'><entity name='account'/></fetch>", "0x80041118"),
    ("<fetch count='0'><entity name='account'/></fetch>", "0x8004110C"),
    ("<fetch page='-1'><entity name='account'/></fetch>", "0x8004110C"),
    ("<fetch top='0'><entity name='account'/></fetch>", "0x80041127"),
    ("<fetch top='5001'><entity name='account'/></fetch>", "0x80040203"),
    ("<fetch top='1' count='1'><entity name='account'/></fetch>", "0x80040203"),
    ("<fetch top='1' page='1'><entity name='account'/></fetch>", "0x80040203"),
    ("<fetch top='1' returntotalrecordcount='true'><entity name='account'/></fetch>", "0x80040203"),
    ("<fetch><entity name='account'><filter type='xor'/></entity></fetch>", "0x80041122"),
    ("<fetch><entity name='account'><order attribute='name' descending='down'/></entity></fetch>", "0x80041119"),
    ("<fetch><entity name='account'><order alias='name'/></entity></fetch>", "0x80041132"),
    ("<fetch><entity name='account'><order/></entity></fetch>", "0x80041133"),
    ("<fetch><entity name='account'><order attribute='name'/><order attribute='name'/></entity></fetch>", "0x80048D16"),
])
def test_forms_that_are_refused(env: Env, xml: str, code: str) -> None:
    answer = env.fetch(xml)
    assert (answer.status, answer.code.upper()) == (400, code.upper()), answer.text


@pytest.mark.parametrize("attributes", [
    "no-lock='true'", "latematerialize='true'", "options='HashJoin,DisableRowGoal'",
    "version='1.0' output-format='xml-platform' mapping='logical'", "distinct='false' aggregate='0'"])
def test_hints_and_what_designers_write_are_accepted(env: Env, attributes: str) -> None:
    assert len(env.fetch(f"<fetch {attributes}><entity name='account'><attribute name='name'/></entity></fetch>").value) == 1


def test_what_this_service_lacks_is_501(env: Env) -> None:
    for xml in ("<fetch datasource='retained'><entity name='account'/></fetch>",
                "<fetch><entity name='account'><attribute name='accountid' alias='n' rowaggregate='CountChildren'/></entity></fetch>",
                "<fetch><entity name='account'><filter isquickfindfields='1'/></entity></fetch>"):
        assert env.fetch(xml).status == 501


@pytest.mark.parametrize("more", ["&$select=name", "&$filter=name eq 'x'", "&$top=1", "&$expand=primarycontactid",
                                  "&$orderby=name", "&$skiptoken=x", "&$apply=aggregate($count as n)"])
def test_other_options_beside_it_are_refused(env: Env, more: str) -> None:
    answer = env.fetch("<fetch><entity name='account'/></fetch>", more=more)
    assert (answer.status, answer.code) == (400, "0x80060888")


def test_text_that_xml_escapes(env: Env) -> None:
    assert names(env, cond("code", "eq", "&lt;&amp;&gt;&quot;&apos;")) == []
    assert names(env, cond("code", "like", "50[%]")) == ["b"]


# --- columns -----------------------------------------------------------------------------------


def test_attribute_alias_replaces_the_whole_name(env: Env) -> None:
    row = env.fetch("<fetch><entity name='account'><attribute name='name' alias='n'/>"
                    "<attribute name='primarycontactid' alias='who'/></entity></fetch>", ALL).value[0]
    assert row["n"] == "One" and row["who"] == env.ana and row["accountid"] == env.one
    assert row[f"who@{FORMATTED}"] == "Ana Berg"
    assert row["who@Microsoft.Dynamics.CRM.lookuplogicalname"] == "contact"
    assert "name" not in row and "_primarycontactid_value" not in row


def test_no_attribute_and_all_attributes_are_all_columns(env: Env) -> None:
    bare = env.fetch("<fetch><entity name='account'/></fetch>").value[0]
    every = env.fetch("<fetch><entity name='account'><all-attributes/></entity></fetch>").value[0]
    assert bare == every and bare["_ownerid_value"] == env.user and bare["industrycode"] == 1
    assert not any(k.endswith("name") and k != "name" for k in bare)


def test_all_attributes_of_a_link(env: Env) -> None:
    row = env.fetch("<fetch><entity name='account'><attribute name='name'/><link-entity name='contact' alias='c' "
                    "from='contactid' to='primarycontactid'><all-attributes/></link-entity></entity></fetch>").value[0]
    assert row["c.fullname"] == "Ana Berg" and row["c.contactid"] == env.ana


def test_formatted_values(env: Env) -> None:
    row = env.fetch("<fetch><entity name='account'><attribute name='industrycode'/><attribute name='revenue'/>"
                    "<attribute name='ownerid'/></entity></fetch>", ALL).value[0]
    assert row[f"industrycode@{FORMATTED}"] == "Accounting"
    assert row[f"revenue@{FORMATTED}"] == "$100.50"
    assert row["_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == "systemuser"


def test_users_carry_both_keys(env: Env) -> None:
    row = env.fetch("<fetch top='1'><entity name='systemuser'><attribute name='fullname'/></entity></fetch>").value[0]
    assert row["ownerid"] == row["systemuserid"]


# --- conditions --------------------------------------------------------------------------------


@pytest.mark.parametrize("condition, expected", [
    (cond("integer", "eq", "5"), ["b"]), (cond("integer", "gt", "1"), ["b", "c"]),
    (cond("integer", "ge", "5"), ["b", "c"]), (cond("integer", "lt", "5"), ["a"]), (cond("integer", "le", "5"), ["a", "b"]),
    (cond("decimal", "eq", "0.50"), ["a"]), (cond("money", "lt", "10.01"), ["a"]), (cond("double", "eq", "1.5"), ["a"]),
    (cond("boolean", "eq", "1"), ["a"]), (cond("boolean", "eq", "false"), ["b"]),
    (cond("choice", "eq", "2"), ["b"]), (cond("choice", "in", None, "1", "2"), ["a", "b"]),
    (cond("accountid", "eq", "{ONE}"), ["a"]), (cond("multi", "eq", "9,1"), ["a"]),
    (cond("guid", "eq", "3F2504E0-4F89-11D3-9A0C-0305E82C3301"), ["a"]),
    (cond("integer", "between", None, "1", "5"), ["a", "b"]),
    (cond("multi", "contain-values", None, "1", "2"), ["a"]), (cond("multi", "contain-values", None, "9"), ["a", "b"]),
    (cond("code", "begins-with", "al"), ["a"]), (cond("code", "ends-with", "HA"), ["a"]),
    (cond("code", "like", "%et%"), ["c"]), (cond("code", "like", "et"), []),
    (cond("string", "null"), ["nothing"]), (cond("string", "not-null"), ["a", "b", "c"]),
    (cond("datetime", "on", "2024-05-15"), ["a"]), (cond("datetime", "on-or-before", "2024-05-14"), ["b", "c"]),
    (cond("datetime", "on-or-after", "2024-05-14"), ["a", "c"]), (cond("datetime", "today"), ["a"]),
    (cond("datetime", "yesterday"), ["c"]), (cond("datetime", "tomorrow"), []), (cond("datetime", "this-month"), ["a", "c"]),
    (cond("datetime", "last-year"), ["b"]), (cond("datetime", "this-year"), ["a", "c"]), (cond("datetime", "next-year"), []),
    (cond("datetime", "last-x-hours", "2"), ["a"]), (cond("datetime", "last-x-days", "1"), ["a", "c"]),
    (cond("datetime", "last-seven-days"), ["a", "c"]), (cond("datetime", "next-seven-days"), ["a"]),
    (cond("datetime", "olderthan-x-months", "3"), ["b"]), (cond("datetime", "olderthan-x-minutes", "30"), ["a", "b", "c"]),
    (cond("datetime", "this-week"), ["a", "c"]), (cond("datetime", "last-week"), []), (cond("datetime", "next-x-years", "1"), []),
    (cond("datetime", "eq", "2024-05-15 09:00:00"), ["a"]), (cond("datetime", "ge", "2024-05-15T11:00:00+02:00"), ["a"]),
    (cond("date", "eq", "2024-05-15"), ["a"]), (cond("date", "lt", "2024-01-01"), ["b"]),
])
def test_operators(env: Env, condition: str, expected: list[str]) -> None:
    assert names(env, condition.replace("ONE", env.one.upper())) == expected


def test_times_without_offset_by_quirk() -> None:
    """An offset settles an instant; what it does to a value without a zone is as open as its absence."""
    for quirk, instants, values in (("utc", ["a", "a"], ["a", "a"]), ("zoned", ["a", "b"], ["b", "a"])):
        env = Env(fetch_times=quirk)
        env.everything("a", datetime="2024-05-15T09:00:00Z", datetimeindependent="2024-05-15T09:00:00Z",
                       date="2024-05-15", localdate="2024-05-15T00:00:00Z")
        env.everything("b", datetime="2024-05-15T17:00:00Z", datetimeindependent="2024-05-15T01:00:00Z",
                       date="2024-05-14", localdate="2024-05-15T08:00:00Z")
        for column, expected in (("datetime", instants), ("datetimeindependent", values)):
            found = [names(env, cond(column, "eq", text))
                     for text in ("2024-05-15T09:00:00Z", "2024-05-15T09:00:00")]
            assert found == [[name] for name in expected], (quirk, column)
            assert names(env, cond(column, "eq", "2024-05-15T11:00:00+02:00")) == [expected[0]]
        assert names(env, cond("date", "eq", "2024-05-15")) == ["a"]
        assert names(env, cond("localdate", "eq", "2024-05-15")) == [instants[1]]


def test_trap_negative_operators_return_nulls() -> None:
    """Whatever the quirks say of OData: these are the engine's own operators (sheet 2.3.5)."""
    env = Env(ne_null="dropped", not_like_null="dropped")
    env.everything("a", integer=1, string="x", multi="1")
    env.everything("b", integer=2, string="y", multi="2")
    env.everything("nothing")
    for condition in (cond("integer", "ne", "1"), cond("integer", "neq", "1"), cond("integer", "not-in", None, "1", "7"),
                      cond("integer", "not-between", None, "0", "1"), cond("string", "not-like", "x%"),
                      cond("string", "not-begin-with", "x"), cond("string", "not-end-with", "x"),
                      cond("multi", "not-contain-values", None, "1"), cond("string", "ne", "x")):
        assert names(env, condition) == ["b", "nothing"], condition


def test_trap_text_is_compared_without_case_accents_and_blanks(env: Env) -> None:
    assert names(env, cond("string", "eq", "alpha")) == ["a", "b", "c"]
    assert names(env, cond("string", "in", None, "ALPHA")) == ["a", "b", "c"]


def test_trap_live_wildcards(env: Env) -> None:
    assert names(env, cond("code", "begins-with", "5_%")) == ["b"]
    assert names(env, cond("code", "begins-with", "[a-b]")) == ["a", "c"]
    assert names(env, cond("code", "not-like", "[^a]%")) == ["a", "nothing"]


def test_filters_nest(env: Env) -> None:
    both = cond("integer", "gt", "1") + f"<filter type='or'>{cond('choice', 'eq', '2')}{cond('code', 'eq', 'x')}</filter>"
    assert names(env, both) == ["b"]
    assert names(env, both, "type='or'") == ["b", "c"]
    assert names(env, "") == ["a", "b", "c", "nothing"]


def test_several_filters_hold_together(env: Env) -> None:
    xml = ("<fetch><entity name='sample_everything'><attribute name='sample_name'/>"
           f"<filter>{cond('integer', 'gt', '1')}</filter><filter>{cond('integer', 'lt', '9')}</filter></entity></fetch>")
    assert [r["sample_name"] for r in env.fetch(xml).value] == ["b"]


def test_table_names_compare_by_object_type_code(env: Env) -> None:
    assert names(env, cond("entityname", "eq", "1")) == ["a"]
    assert names(env, cond("entityname", "in", None, "2", "account")) == ["a", "b"]


def test_user_operators(env: Env) -> None:
    def found(operator: str) -> int:
        return len(env.fetch("<fetch><entity name='account'><attribute name='name'/><filter><condition attribute='ownerid' "
                             f"operator='{operator}'/></filter></entity></fetch>").value)
    assert found("eq-userid") == 1 and found("ne-userid") == 0 and found("eq-useroruserteams") == 1


def test_valueof_compares_columns_of_one_row(env: Env) -> None:
    def condition(operator: str, left: str, right: str) -> str:
        return f"<condition attribute='sample_{left}' operator='{operator}' valueof='sample_{right}'/>"
    assert names(env, condition("eq", "string", "code")) == ["a"]
    # null against a value counts as different, two nulls do not match
    assert names(env, condition("ne", "string", "code")) == ["b", "c"]
    assert names(env, condition("eq", "email", "url")) == []
    assert names(env, condition("gt", "integer", "choice")) == ["b"]


@pytest.mark.parametrize("condition, code", [
    (cond("integer", "equals", "5"), "0x80041120"), (cond("integer", "EQ", "5"), "0x80041120"),
    (cond("nonsense", "eq", "5"), "0x80041103"), (cond("accountidname", "eq", "5"), "0x80041103"),
    (cond("integer", "eq"), "0x80041106"), (cond("integer", "in", "5"), "0x80041106"),
    (cond("integer", "in"), "0x80041106"), (cond("integer", "null", "1"), "0x80041106"),
    (cond("integer", "eq", None, "1"), "0x80041106"),
    (cond("integer", "eq", "five"), "0x80040203"), (cond("integer", "eq", "1_0"), "0x80040203"),
    (cond("accountid", "eq", "x"), "0x80040203"), (cond("date", "last-x-days", "x"), "0x80040203"),
    (cond("boolean", "gt", "1"), "0x80041120"), (cond("integer", "like", "1%"), "0x80041120"),
    (cond("integer", "today"), "0x80041120"), (cond("date", "last-x-hours", "1"), "0x80041120"),
    (cond("integer", "contain-values", None, "1"), "0x80041120"), (cond("multi", "gt", "1"), "0x80041120"),
    ("<condition attribute='sample_integer' operator='eq' valueof='sample_string'/>", "0x80041106"),
    ("<condition attribute='sample_integer' operator='like' valueof='sample_choice'/>", "0x80041106"),
    ("<condition attribute='sample_integer' operator='eq' value='1' valueof='sample_choice'/>", "0x80041106"),
    ("<condition attribute='sample_multi' operator='eq' valueof='sample_globalmulti'/>", "0x80041120"),
    ("<condition attribute='sample_integer' operator='eq' valueof='x.sample_choice'/>", "0x8004110A"),
    ("<condition attribute='sample_integer' operator='eq' valueof='nonsense'/>", "0x80041103"),
    ("<condition attribute='name' entityname='a' operator='null'/>", "0x8004110A"),
    (cond("string", "in", None, "x" * 851), "0x80041120"),
])
def test_conditions_that_are_refused(env: Env, condition: str, code: str) -> None:
    answer = env.fetch("<fetch><entity name='sample_everything'><attribute name='sample_name'/>"
                       f"<filter>{condition}</filter></entity></fetch>")
    assert (answer.status, answer.code) == (400, code), answer.text


@pytest.mark.parametrize("operator", ["under", "eq-or-above", "eq-useroruserhierarchy", "this-fiscal-year", "in-fiscal-period"])
def test_operators_that_need_data_we_lack(env: Env, operator: str) -> None:
    answer = env.fetch("<fetch><entity name='account'><filter><condition attribute='createdon' "
                       f"operator='{operator}'/></filter></entity></fetch>")
    assert answer.status == 501


def test_at_most_500_conditions(env: Env) -> None:
    def run(number: int, link: str = ""):
        many = "<condition attribute='sample_integer' operator='null'/>" * number
        return env.fetch(f"<fetch><entity name='sample_everything'><filter>{many}</filter>{link}</entity></fetch>",
                         in_batch=True)
    assert len(run(500).value) == 1
    assert run(501).code == "0x8004430C"
    assert run(501).message == "Number of conditions in query exceeded maximum limit."
    # a link counts as one
    link = "<link-entity name='account' from='accountid' to='sample_accountid' link-type='outer'/>"
    assert len(run(499, link).value) == 1
    assert run(500, link).code == "0x8004430C"


def test_clock_answers_are_not_kept(env: Env) -> None:
    fresh = Env()
    fresh.everything("a", datetime="2024-05-15T09:00:00Z")
    for moment, expected in (("2024-05-15T10:00:00Z", ["a"]), ("2024-05-16T10:00:00Z", [])):
        fresh.at(moment)
        assert names(fresh, cond("datetime", "today")) == expected


# --- length of the URL (sheet 1.7, 2.12.1) -----------------------------------------------------


def test_trap_long_queries_go_through_batch(service) -> None:
    from urllib.parse import quote

    def path(length: int) -> str:
        xml = "<fetch top='1'><entity name='account'><attribute name='name'/></entity></fetch>"
        return f"accounts?fetchXml={quote(xml + ' ' * (length // 3), safe='')}"

    def batch(target: str):
        body = ("--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
                f"GET /api/data/v9.2/{target} HTTP/1.1\r\nAccept: application/json\r\n\r\n\r\n--b--\r\n")
        return service.post("$batch", body, headers={"Content-Type": 'multipart/mixed; boundary="b"'})

    assert service.get(path(30000)).status == 200
    assert service.get(path(33000)).status == 414
    assert "HTTP/1.1 200" in batch(path(33000)).text
    assert "HTTP/1.1 200" not in batch(path(66000)).text


def test_filters_nest_deeply_or_are_refused(env: Env) -> None:
    for depth, status in ((100, 200), (5000, 400)):
        one = "<filter>" * depth + cond("integer", "eq", "5") + "</filter>" * depth
        answer = env.fetch(f"<fetch><entity name='sample_everything'>{one}</entity></fetch>", in_batch=depth > 1000)
        assert answer.status in (status, 414)
    both = cond("integer", "null")
    for _ in range(30):
        both = f"<filter type='or'>{cond('integer', 'eq', '5')}<filter>{both}{cond('choice', 'null')}</filter></filter>"
    assert names(env, both) == ["b", "nothing"]
