"""$filter (sheet 2.3)."""
from __future__ import annotations

import pytest

from querying import Env, array, crm

P = "'sample_integer'"


@pytest.fixture(scope="module")
def env() -> Env:
    env = Env()
    env.at("2024-05-15T10:30:00Z")  # a Wednesday
    person = env.add("contact", firstname="Susanna", lastname="Stubberod", jobtitle="Buyer")
    other = env.add("contact", firstname="Ana", jobtitle=None)
    env.contact, env.account = person, env.add("account", name="Fourth Coffee", primarycontactid=person)
    lonely = env.add("account", name="Lonely")
    env.add("account", name="Named", primarycontactid=other)
    a = env.everything(
        "a", string="Café", integer=1, bigint=2**40, decimal="0.1", double=47.639583, money="12.5",
        boolean=True, choice=100000000, multi="9, 1", datetime="2024-05-15T08:00:00Z",
        date="2024-05-15", guid="3f2504e0-4f89-11d3-9a0c-0305e82c3301", accountid=env.account,
        smallinteger=1, memo="alpha", customerid=(env.account, "account"))
    env.a = a
    env.everything("b", string="cafe  ", integer=5, decimal="0.2", money="-3", boolean=False,
                   choice=100000001, multi="2", datetime="2024-05-14T23:59:59Z", date="2024-05-14",
                   accountid=lonely, smallinteger=3, parentid=a, customerid=(person, "contact"))
    env.everything("c", string="100% [wool]_x", integer=-7, decimal="-0.1", parentid=a,
                   datetime="2024-05-01T00:00:00Z", date="2024-05-01")
    env.everything("nothing")
    return env


@pytest.mark.parametrize("condition,expected", [
    ("sample_integer eq 1", "a"), ("sample_integer gt 1", "b"), ("sample_integer ge 1", "ab"),
    ("sample_integer lt 1", "c"), ("sample_integer le 1", "ac"), ("1 lt sample_integer", "b"),
    ("sample_integer eq -7", "c"),
    ("sample_bigint eq 1099511627776", "a"),
    ("sample_decimal eq 0.1", "a"), ("sample_decimal lt 0", "c"), ("sample_decimal gt 0.1", "b"),
    ("sample_decimal eq 0.10000000000000001", ""), ("sample_decimal ge 0.10000000000000001", "b"),
    ("sample_decimal lt 0.10000000000000001", "ac"), ("sample_decimal gt -0.10000000000000001", "abc"),
    ("sample_money eq 12.5", "a"), ("sample_money lt 0", "b"), ("sample_money eq 12.50000", "a"),
    ("sample_double eq 47.63958", "a"), ("sample_double gt 4.7e1", "a"),
    ("sample_boolean eq true", "a"), ("sample_boolean eq false", "b"),
    ("sample_choice eq 100000001", "b"), ("sample_multi eq '1,9'", "a"), ("sample_multi eq '9,1'", "a"),
    ("sample_guid eq 3F2504E0-4F89-11D3-9A0C-0305E82C3301", "a"),
    ("sample_datetime eq 2024-05-15T08:00:00Z", "a"),
    ("sample_datetime eq 2024-05-15T10:00:00%2B02:00", None),
    ("sample_datetime lt 2024-05-15T00:00:00Z", "bc"),
    ("sample_date eq 2024-05-15", "a"), ("sample_date lt 2024-05-14", "c"),
    ("sample_memo eq 'ALPHA'", "a"),
    ("sample_integer eq null", ["nothing"]), ("sample_integer ne null", "abc"),
    ("sample_integer eq 1 or sample_integer eq 5 and sample_boolean eq true", "a"),
    ("(sample_integer eq 1 or sample_integer eq 5) and sample_boolean eq false", "b"),
])
def test_comparisons(env: Env, condition: str, expected) -> None:
    if expected is None:  # an offset: its plus sign must be encoded
        answer = env.get(f"sample_everythings?$select=sample_name&$filter={condition}")
        assert [r["sample_name"] for r in answer.value] == ["a"]
    else:
        assert env.names(condition) == list(expected)


def test_plus_in_an_offset_is_lost_unless_encoded(env: Env) -> None:
    answer = env.get("sample_everythings?$filter=sample_datetime eq 2024-05-15T10:00:00+02:00")
    assert answer.status == 400


# --- text ---------------------------------------------------------------------------------


def test_text_ignores_case_accents_and_trailing_blanks(env: Env) -> None:
    for text in ("cafe", "CAFÉ", "Café   ", "cafe"):
        assert env.names(f"sample_string eq '{text}'") == ["a", "b"]


def test_accents_count_in_other_languages() -> None:
    env = Env(accents="sensitive")
    env.everything("plain", string="cafe")
    env.everything("accent", string="Café")
    assert env.names("sample_string eq 'CAFE'") == ["plain"]
    assert env.names("sample_string eq 'cafÉ'") == ["accent"]


def test_trailing_blanks_significant_by_quirk() -> None:
    env = Env(trailing_blanks="significant")
    env.everything("one", string="x")
    env.everything("two", string="x ")
    assert env.names("sample_string eq 'x'") == ["one"]


def test_blanks_count_in_like_functions(env: Env) -> None:
    assert env.names("endswith(sample_string,'e')") == ["a"]
    assert env.names("endswith(sample_string,'  ')") == ["b"]


def test_wildcards_live_in_contains(env: Env) -> None:
    assert env.names("contains(sample_string,'%')") == ["a", "b", "c"]
    assert env.names("contains(sample_string,'[%]')") == ["c"]
    assert env.names("contains(sample_string,'c_f')") == ["a", "b"]
    assert env.names("contains(sample_string,'[_]')") == ["c"]
    assert env.names("contains(sample_string,'[[]wool')") == ["c"]
    assert env.names("startswith(sample_string,'[a-c]')") == ["a", "b"]
    assert env.names("startswith(sample_string,'[^a-c]')") == ["c"]
    assert env.names("startswith(sample_string,'%wool')") == ["c"]


def test_plain_text_functions(env: Env) -> None:
    assert env.names("contains(sample_string,'AF')") == ["a", "b"]
    assert env.names("startswith(sample_string,'CA')") == ["a", "b"]
    assert env.names("endswith(sample_string,'_X')") == ["c"]
    assert env.names("contains(sample_string,'')") == ["a", "b", "c"]


def test_wildcards_do_not_live_in_eq(env: Env) -> None:
    assert env.names("sample_string eq 'caf%'") == []


def test_wildcards_in_eq_by_quirk() -> None:
    env = Env(eq_wildcards="honoured")
    env.everything("x", string="cafe")
    env.everything("y")
    assert env.names("sample_string eq 'caf%'") == ["x"]
    assert env.names("sample_string ne 'caf%'") == ["y"]


def test_doubled_apostrophe(env: Env) -> None:
    env2 = Env()
    env2.everything("x", string="O'Neill")
    assert env2.names("sample_string eq 'o''neill'") == ["x"]


# --- nulls ----------------------------------------------------------------------------------


def test_ne_returns_rows_with_null(env: Env) -> None:
    assert env.names("sample_integer ne 1") == ["b", "c", "nothing"]
    assert env.names("sample_string ne 'cafe'") == ["c", "nothing"]
    assert env.names("sample_boolean ne true") == ["b", "c", "nothing"]


def test_not_eq_returns_rows_with_null(env: Env) -> None:
    assert env.names("not (sample_integer eq 1)") == ["b", "c", "nothing"]
    assert env.names("not (sample_integer eq 1 or sample_integer eq 5)") == ["c", "nothing"]


def test_comparisons_never_return_null(env: Env) -> None:
    for op in ("gt", "ge", "lt", "le"):
        assert "nothing" not in env.names(f"sample_integer {op} 0")


def test_not_contains_returns_rows_with_null(env: Env) -> None:
    assert env.names("not contains(sample_string,'caf')") == ["c", "nothing"]


def test_nulls_dropped_by_quirk() -> None:
    env = Env(ne_null="dropped", not_like_null="dropped")
    env.everything("x", string="cafe", integer=1)
    env.everything("y", string="tea", integer=2)
    env.everything("nothing")
    assert env.names("sample_integer ne 1") == ["y"]
    assert env.names("not (sample_integer eq 1)") == ["y"]
    assert env.names("not contains(sample_string,'caf')") == ["y"]
    assert env.names(crm("NotIn", PropertyName=P, PropertyValues=array("1"))) == ["y"]


def test_the_two_null_quirks_are_independent() -> None:
    env = Env(not_like_null="dropped")
    env.everything("y", string="tea", integer=2)
    env.everything("nothing")
    assert env.names("sample_integer ne 1") == ["nothing", "y"]
    assert env.names("not startswith(sample_string,'caf')") == ["y"]


# --- columns against columns -----------------------------------------------------------------


def test_column_against_column(env: Env) -> None:
    assert env.names("sample_integer eq sample_smallinteger") == ["a"]
    assert env.names("sample_integer gt sample_smallinteger") == ["b"]


def test_column_ne_column_counts_null_against_a_value_as_different(env: Env) -> None:
    assert env.names("sample_integer ne sample_smallinteger") == ["b", "c"]


def test_columns_of_different_types_cannot_be_compared(env: Env) -> None:
    assert env.fault("sample_integer eq sample_string").code == "0x80060888"


def test_columns_of_different_tables_cannot_be_compared(env: Env) -> None:
    assert env.fault("sample_name eq sample_AccountId/name").code == "0x80060888"


def test_columns_inside_functions_cannot_be_compared(env: Env) -> None:
    assert env.fault("contains(sample_string,sample_name)").status == 400


# --- literal types ---------------------------------------------------------------------------


@pytest.mark.parametrize("condition", [
    "sample_integer eq 'text'", "sample_integer eq 1.5", "sample_integer eq 3000000000",
    "sample_integer eq true", "sample_string eq 5", "sample_boolean eq 1", "sample_boolean gt true",
    "sample_guid eq '3f2504e0-4f89-11d3-9a0c-0305e82c3301'", "sample_choice eq '100000000'",
    "_sample_accountid_value eq '3f2504e0-4f89-11d3-9a0c-0305e82c3301'",
    "sample_date eq 2024-05-15T00:00:00Z", "sample_datetime eq '2024-05-15'",
    "sample_money eq '5'", "sample_integer gt null", "sample_decimal eq 1e3",
    "sample_multi eq 1", "1 eq 1", "sample_boolean", "true",
])
def test_literals_must_have_the_column_type(env: Env, condition: str) -> None:
    answer = env.fault(condition)
    assert (answer.status, answer.code) == (400, "0x80060888")


def test_incompatible_types_are_named(env: Env) -> None:
    assert "'Edm.Int32' and 'Edm.String'" in env.fault("sample_integer eq 'text'").message


def test_date_literal_against_date_with_time_is_a_quirk() -> None:
    env = Env()
    env.everything("x", datetime="2024-05-15T08:00:00Z")
    assert env.names("sample_datetime ge 2024-05-15") == ["x"]
    assert Env(date_literals="refused").fault("sample_datetime ge 2024-05-15").status == 400


def test_quoted_guid_by_quirk() -> None:
    env = Env(quoted_guid="accepted")
    env.everything("x", guid="3f2504e0-4f89-11d3-9a0c-0305e82c3301")
    assert env.names("sample_guid eq '3f2504e0-4f89-11d3-9a0c-0305e82c3301'") == ["x"]


@pytest.mark.parametrize("condition", [
    "sample_guid eq guid'3f2504e0-4f89-11d3-9a0c-0305e82c3301'",
    "sample_datetime eq datetime'2024-05-15T00:00:00'",
])
def test_v3_literals_are_refused(env: Env, condition: str) -> None:
    answer = env.fault(condition)
    assert answer.code == "0x80060888"
    assert answer.message.startswith("Unrecognized 'Edm.String' literal")


def test_unterminated_literal(env: Env) -> None:
    answer = env.fault("sample_string eq 'abc")
    assert answer.message.startswith("There is an unterminated literal at position ")


# --- what is not supported ---------------------------------------------------------------------


def test_in_is_not_implemented(env: Env) -> None:
    answer = env.fault("sample_integer in (1,2)")
    assert answer.status == 501
    assert answer.message == "The method or operation is not implemented."


@pytest.mark.parametrize("condition", [
    "sample_integer add 1 eq 2", "sample_integer has 1", "-sample_integer eq 1",
    "length(sample_string) eq 3", "tolower(sample_string) eq 'x'", "year(sample_datetime) eq 2024",
    "round(sample_decimal) eq 1", "sample_datetime lt now()", "concat(sample_string,'x') eq 'y'",
    "trim(sample_string) eq 'y'", "indexof(sample_string,'x') eq 1", "cast(sample_integer,Edm.String) eq 'y'",
    "contains(sample_integer,'1')", "contains(sample_multi,'1')", "contains(sample_string,5)",
    "contains(sample_string)", "sample_AccountId eq 3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    "sample_image eq 'x'", "sample_integer eq 1 and", "(sample_integer eq 1", "sample_integer = 1",
    "sample_integer eq 1 sample_integer eq 2", "Sample_Integer eq 1", "sample_choicename eq 'First'",
    "sample_accountid eq 3f2504e0-4f89-11d3-9a0c-0305e82c3301", "unknown eq 1", "",
])
def test_unsupported_forms_are_refused(env: Env, condition: str) -> None:
    assert env.fault(condition).status == 400


def test_unknown_property_names_the_type(env: Env) -> None:
    answer = env.fault("nonsense eq 1")
    assert (answer.status, answer.code) == (400, "0x80060888")
    assert answer.message == ("Could not find a property named 'nonsense' on type "
                              "'Microsoft.Dynamics.CRM.sample_everything'.")


# --- limits ------------------------------------------------------------------------------------


def test_500_conditions(env: Env) -> None:
    condition = " or ".join(f"sample_integer eq {i}" for i in range(500))
    assert env.names(condition) == ["a", "b"]
    answer = env.fault(condition + " or sample_integer eq 501")
    assert answer.code == "0x8004430C"
    assert answer.message == "Number of conditions in query exceeded maximum limit."


def test_values_of_in_count_once_or_each() -> None:
    condition = crm("In", PropertyName=P, PropertyValues=array(*map(str, range(501))))
    assert Env().names(condition) == []
    assert Env(in_counts="each").fault(condition).code == "0x8004430C"


def test_too_many_values_in_one_condition() -> None:
    condition = crm("In", PropertyName=P, PropertyValues=array(*map(str, range(2001))))
    assert Env().fault(condition).code == "0x8004430E"


def test_url_length(env: Env) -> None:
    assert env.get("sample_everythings?$filter=sample_string eq '" + "x" * 33000 + "'").status == 414


# --- parameter aliases ---------------------------------------------------------------------------


def test_aliases_for_values_and_properties(env: Env) -> None:
    assert env.names("@p1 eq @p2", "&@p1=sample_integer&@p2=5") == ["b"]


def test_alias_without_a_value_is_null(env: Env) -> None:
    assert env.names("sample_integer eq @p") == ["nothing"]
    assert env.names("sample_integer eq @p", "&@p=") == ["nothing"]


def test_aliases_in_functions(env: Env) -> None:
    assert env.names(crm("In", PropertyName="@p1", PropertyValues="@p2"),
                     "&@p1='sample_integer'&@p2=[\"5\"]") == ["b"]


# --- related rows ----------------------------------------------------------------------------


def test_column_of_a_lookup_target(env: Env) -> None:
    assert env.names("sample_AccountId/name eq 'FOURTH coffee'") == ["a"]
    assert env.names("sample_AccountId/primarycontactid/fullname eq 'Susanna Stubberod'") == ["a"]


def test_null_lookups_drop_out_even_under_ne(env: Env) -> None:
    assert env.names("sample_AccountId/name ne 'Fourth Coffee'") == ["b"]
    assert env.names("not (sample_AccountId/name eq 'Fourth Coffee')") == ["b"]
    assert env.names("not contains(sample_AccountId/name,'Fourth')") == ["b"]


def test_eq_null_through_a_null_lookup_is_a_quirk(env: Env) -> None:
    condition = "sample_AccountId/primarycontactid/fullname eq null"
    assert env.names(condition) == ["b", "c", "nothing"]
    other = Env(related_null="dropped")
    account = other.add("account", name="x")
    other.everything("with", accountid=account)
    other.everything("without")
    assert other.names("sample_AccountId/telephone1 eq null") == ["with"]


def test_polymorphic_lookups_are_followed_by_target(env: Env) -> None:
    assert env.names("sample_CustomerId_account/name ne null") == ["a"]
    assert env.names("sample_CustomerId_contact/jobtitle eq 'buyer'") == ["b"]


def test_navigation_names_are_case_sensitive(env: Env) -> None:
    assert env.fault("sample_accountid/name eq 'x'").code == "0x80060888"


def test_lambda_any(env: Env) -> None:
    assert env.names("sample_everything_children/any(x:x/sample_integer eq 5)") == ["a"]
    assert env.names("sample_everything_children/any()") == ["a"]
    assert env.names("not sample_everything_children/any()") == ["b", "c", "nothing"]


def test_lambda_all_over_an_empty_collection_is_false(env: Env) -> None:
    assert env.names("sample_everything_children/all(x:x/sample_decimal lt 1)") == ["a"]
    assert env.names("sample_everything_children/all(x:x/sample_integer gt 0)") == []
    vacuous = "not sample_everything_children/any(x:not (x/sample_decimal lt 1))"
    assert env.names(vacuous) == ["a", "b", "c", "nothing"]


def test_nested_lambdas_and_lookups_in_them(env: Env) -> None:
    answer = env.get("accounts?$select=name&$filter=sample_account_everythings/any(o:o/"
                     "sample_everything_children/any(p:p/sample_integer eq 5) and o/sample_integer eq 1)")
    assert [r["name"] for r in answer.value] == ["Fourth Coffee"]
    assert env.names("sample_everything_children/any(x:x/sample_ParentId/sample_name eq 'a')") == ["a"]


def test_functions_in_lambdas(env: Env) -> None:
    inside = crm("In", PropertyName=P, PropertyValues=array("5"))
    assert env.names(f"sample_everything_children/any(o:o/{inside})") == ["a"]


def test_collection_through_a_lookup_is_refused(env: Env) -> None:
    assert env.fault("sample_AccountId/Account_Tasks/any(t:t/statecode eq 1)").status == 400


def test_joins_count_as_link_entities(env: Env) -> None:
    condition = " or ".join(
        f"sample_everything_children/any(x:x/sample_integer eq {i})" for i in range(16))
    assert env.fault(condition).code == "0x8004430D"


# --- Dataverse query functions -----------------------------------------------------------------


@pytest.mark.parametrize("function,expected", [
    (crm("In", PropertyName=P, PropertyValues='["1","5"]'), "ab"),
    (crm("In", PropertyName=P, PropertyValues="['1','-7']"), "ac"),
    (crm("In", PropertyName="'sample_string'", PropertyValues='["CAFE"]'), "ab"),
    (crm("In", PropertyName="'sample_money'", PropertyValues='["12.5","-3.00"]'), "ab"),
    (crm("In", PropertyName="'sample_boolean'", PropertyValues='["1"]'), "a"),
    (crm("In", PropertyName="'sample_guid'", PropertyValues='["3F2504E0-4F89-11D3-9A0C-0305E82C3301"]'), "a"),
    (crm("In", PropertyName="'sample_date'", PropertyValues='["2024-05-14"]'), "b"),
    (crm("NotIn", PropertyName=P, PropertyValues='["1"]'), ["b", "c", "nothing"]),
    (crm("Between", PropertyName=P, PropertyValues='["1","5"]'), "ab"),
    (crm("NotBetween", PropertyName=P, PropertyValues='["1","5"]'), ["c", "nothing"]),
    (crm("Between", PropertyName="'sample_datetime'",
         PropertyValues='["2024-05-14T23:59:59Z","2024-05-15T08:00:00Z"]'), "ab"),
    (crm("ContainValues", PropertyName="'sample_multi'", PropertyValues='["9","2"]'), "ab"),
    (crm("ContainValues", PropertyName="'sample_multi'", PropertyValues='["3"]'), ""),
    (crm("DoesNotContainValues", PropertyName="'sample_multi'", PropertyValues='["9"]'), ["b", "c", "nothing"]),
    (crm("Today", PropertyName="'sample_datetime'"), "a"),
    (crm("Yesterday", PropertyName="'sample_datetime'"), "b"),
    (crm("Tomorrow", PropertyName="'sample_datetime'"), ""),
    (crm("Today", PropertyName="'sample_date'"), "a"),
    (crm("ThisWeek", PropertyName="'sample_datetime'"), "ab"),
    (crm("LastWeek", PropertyName="'sample_datetime'"), ""),
    (crm("ThisMonth", PropertyName="'sample_date'"), "abc"),
    (crm("LastMonth", PropertyName="'sample_date'"), ""),
    (crm("ThisYear", PropertyName="'sample_datetime'"), "abc"),
    (crm("NextYear", PropertyName="'sample_datetime'"), ""),
    (crm("Last7Days", PropertyName="'sample_datetime'"), "ab"),
    (crm("Next7Days", PropertyName="'sample_date'"), "a"),
    (crm("LastXHours", PropertyName="'sample_datetime'", PropertyValue=3), "a"),
    (crm("LastXDays", PropertyName="'sample_datetime'", PropertyValue=1), "ab"),
    (crm("LastXWeeks", PropertyName="'sample_datetime'", PropertyValue=2), "abc"),
    (crm("LastXMonths", PropertyName="'sample_datetime'", PropertyValue=1), "abc"),
    (crm("NextXDays", PropertyName="'sample_datetime'", PropertyValue=3), ""),
    (crm("OlderThanXMinutes", PropertyName="'sample_datetime'", PropertyValue=60), "abc"),
    (crm("OlderThanXHours", PropertyName="'sample_datetime'", PropertyValue=8), "bc"),
    (crm("OlderThanXDays", PropertyName="'sample_datetime'", PropertyValue=1), "c"),
    (crm("OlderThanXMonths", PropertyName="'sample_datetime'", PropertyValue=1), ""),
    (crm("On", PropertyName="'sample_datetime'", PropertyValue="'2024-05-14'"), "b"),
    (crm("On", PropertyName="'sample_datetime'", PropertyValue="'2024-05-14T12:00:00Z'"), "b"),
    (crm("OnOrAfter", PropertyName="'sample_date'", PropertyValue="'2024-05-14'"), "ab"),
    (crm("OnOrBefore", PropertyName="'sample_datetime'", PropertyValue="'2024-05-14'"), "bc"),
])
def test_query_functions(env: Env, function: str, expected) -> None:
    assert env.names(function) == list(expected)


def test_function_on_a_related_row(env: Env) -> None:
    inside = crm("In", PropertyName="'name'", PropertyValues=array("fourth coffee"))
    assert env.names(f"sample_AccountId/{inside}") == ["a"]


def test_identity_functions(env: Env) -> None:
    user = env.service.user_id
    mine = Env()
    mine.everything("mine", id=None)
    row = mine.everything("owned")
    mine.store.update(mine.model.tables["sample_everything"], row,
                      {"createdby": user, "createdby__t": "systemuser"})
    assert mine.names(crm("EqualUserId", PropertyName="'createdby'")) == ["owned"]
    assert mine.names(crm("NotEqualUserId", PropertyName="'createdby'")) == ["mine"]
    assert mine.names(crm("EqualUserOrUserTeams", PropertyName="'createdby'")) == ["owned"]


def test_not_before_a_query_function_is_refused(env: Env) -> None:
    answer = env.fault("not " + crm("In", PropertyName=P, PropertyValues=array("1")))
    assert answer.message == ("Not operator along with the Custom Named Condition operators is not "
                              "allowed")


def test_apostrophes_need_double_quotes_in_arrays(env: Env) -> None:
    other = Env()
    other.everything("x", string="O'Brian")
    ok = crm("In", PropertyName="'sample_string'", PropertyValues='["O\'Brian"]')
    assert other.names(ok) == ["x"]
    bad = crm("In", PropertyName="'sample_string'", PropertyValues="['O'Brian']")
    assert other.fault(bad).message.startswith(
        "Invalid JSON. A comma character ',' was expected in scope 'Array'.")


def test_lookups_go_by_logical_name(env: Env) -> None:
    good = crm("In", PropertyName="'sample_accountid'", PropertyValues=array(env.account))
    assert env.names(good) == ["a"]
    bad = crm("In", PropertyName="'_sample_accountid_value'", PropertyValues=array(env.account))
    answer = env.fault(bad)
    assert answer.code == "0x80041103"
    assert "'sample_Everything' entity doesn't contain attribute with Name = " \
           "'_sample_accountid_value'" in answer.message


@pytest.mark.parametrize("function", [
    "In(PropertyName='sample_integer',PropertyValues=[\"1\"])",  # without its namespace
    crm("In", PropertyName=P), crm("In", PropertyName=P, PropertyValues="[]"),
    crm("In", PropertyName=P, PropertyValues='["x"]'), crm("In", PropertyName=P, PropertyValues="'1'"),
    crm("In", PropertyName="sample_integer", PropertyValues='["1"]'),
    crm("In", PropertyName="'sample_string'", PropertyValues=array("x" * 851)),
    crm("LastXDays", PropertyName="'sample_datetime'", PropertyValue="'3'"),
    crm("LastXDays", PropertyName=P, PropertyValue=3),
    crm("On", PropertyName="'sample_datetime'", PropertyValue="2024-05-14"),
    crm("Contains", PropertyName="'sample_string'", PropertyValue="'x'"),
    crm("ContainValues", PropertyName=P, PropertyValues='["1"]'),
    crm("Nonsense", PropertyName=P), crm("Today", PropertyName=P, PropertyValue=3),
])
def test_bad_function_calls_are_refused(env: Env, function: str) -> None:
    assert env.fault(function).status == 400


@pytest.mark.parametrize("name", ["LastXHours", "NextXHours", "OlderThanXMinutes", "OlderThanXHours"])
def test_date_only_columns_reject_hours(env: Env, name: str) -> None:
    assert env.fault(crm(name, PropertyName="'sample_date'", PropertyValue=3)).status == 400


@pytest.mark.parametrize("name", ["ThisFiscalYear", "LastFiscalPeriod", "Above", "Under",
                                  "EqualUserOrUserHierarchy"])
def test_hierarchies_and_fiscal_calendars_are_not_implemented(env: Env, name: str) -> None:
    assert env.fault(crm(name, PropertyName="'sample_datetime'")).status == 501


def test_elastic_tables_have_no_related_filters() -> None:
    answer = Env().get("contoso_sensordatas?$filter=createdby/fullname eq 'x'")
    assert answer.code == "0x80048D0B"


def test_negated_null_tests_through_a_null_lookup() -> None:
    for quirk, expected in (("returned", ["with", "without"]), ("dropped", ["with"])):
        env = Env(related_null=quirk)
        env.everything("with", accountid=env.add("account", name="x"))
        env.everything("without")
        assert env.names("not (sample_AccountId/telephone1 ne null)") == expected
