"""The parser by itself: trees, precedence, messages (sheet 1.5, 1.8, 2.3.2)."""
from __future__ import annotations

from decimal import Decimal

import pytest

import querying  # noqa: F401  (puts the service on the path)
from dataverse_service import odata
from dataverse_service.core import Fault
from dataverse_service.odata import Alias, Call, Compare, Lambda, Literal, Logic, Not, Path


def test_precedence_not_and_or() -> None:
    tree = odata.parse_filter("a eq 1 or not b eq 2 and c eq 3")
    assert isinstance(tree, Logic) and tree.op == "or"
    assert isinstance(tree.items[1], Logic) and tree.items[1].op == "and"
    assert isinstance(tree.items[1].items[0], Not)


def test_names_that_begin_like_operators() -> None:
    tree = odata.parse_filter("order eq 1 and notes eq 2 and android eq 3 and ascii eq 4")
    assert [c.left.names[0] for c in tree.items] == ["order", "notes", "android", "ascii"]


@pytest.mark.parametrize("text,kind,value", [
    ("'O''Neill'", "string", "O'Neill"), ("-5", "int", -5), ("12.50", "decimal", Decimal("12.50")),
    ("1e3", "double", 1000.0), ("true", "bool", True), ("null", "null", None),
    ("3F2504E0-4F89-11D3-9A0C-0305E82C3301", "guid", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
    ("2024-01-31", "date", "2024-01-31"), ("1970-01-01T00:00:01Z", "datetime", 1_000_000),
    ("1970-01-01T01:00:00.5+01:00", "datetime", 500_000), ("['a','b']", "array", ("a", "b")),
    ('["O\'B",1.5]', "array", ("O'B", Decimal("1.5"))),
    ("9223372036854775808", "decimal", Decimal("9223372036854775808")),
])
def test_literals(text: str, kind: str, value) -> None:
    literal = odata.parse_value(text)
    assert isinstance(literal, Literal)
    assert (literal.kind, literal.value, literal.text) == (kind, value, text)


def test_calls_and_lambdas() -> None:
    assert odata.parse_filter("contains(a/b,'x')") == Call(
        (), "contains", (Path(("a", "b")), Literal("string", "x", "'x'")))
    tree = odata.parse_filter("x/Tasks/any(t:t/s eq @p)")
    assert tree == Lambda(("x", "Tasks"), False, "t", Compare("eq", Path(("t", "s")), Alias("@p")))
    tree = odata.parse_filter("nav/Microsoft.Dynamics.CRM.On(PropertyName='a',PropertyValue='b')")
    assert tree.path == ("nav",) and dict(tree.named)["PropertyValue"].value == "b"


@pytest.mark.parametrize("text", [
    "", "a", "a eq", "eq 1", "a eq 1)", "((a eq 1)", "a eq 1 or", "any(x:x/a eq 1", "a/ eq 1", "a eq 2024-13-01",
    "a eq 2024-02-30T00:00:00Z", "all()", "t/all()", "f(a=1,2)", "a eq 1 2", "a eq {x}", "a eq @",
])
def test_nonsense_is_a_fault_and_no_crash(text: str) -> None:
    try:
        tree = odata.parse_filter(text)
    except Fault as fault:
        assert (fault.status, fault.code) == (400, "0x80060888")
    else:
        assert text == "a" and tree == Path(("a",))


def test_keys() -> None:
    assert odata.parse_key("a='x,)=',b=5")[0][1].value == "x,)="
    guid = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
    assert odata.parse_key(guid)[0] == (None, Literal("guid", guid, guid))
    assert odata.parse_key(f"_l_value=({guid})")[0][1].value == guid


def test_expand_options_hide_separators_in_quotes() -> None:
    item, other = odata.parse_expand("a($filter=n eq 'x;,)';$expand=b($select=c,d)),e/$ref")
    assert item.filter == "n eq 'x;,)'" and item.expand[0].select == ("c", "d")
    assert other.ref


def test_query_strings() -> None:
    query = odata.parse_query("$filter=a%20eq%20%27x%26y%27&@p=1+2&tag=")
    assert query.options == {"$filter": "a eq 'x&y'", "tag": ""}
    assert query.aliases == {"@p": "1 2"}
