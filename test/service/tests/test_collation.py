"""Text comparison (sheet 2.3.3, 2.3.4)."""
from __future__ import annotations

import pytest

from dataverse_service import collation
from dataverse_service.core import Quirks

US = Quirks()
STRICT = Quirks(accents="sensitive", trailing_blanks="significant")


@pytest.mark.parametrize("a, b", [
    ("cafe", "CAFE"), ("cafe", "café"), ("Zoë", "ZOE"), ("Müller", "MULLER"), ("ΑΕ", "αε"),
    ("ГАЗПРОМ", "газпром"), ("e\u0301", "é"), ("straße", "STRASSE"), ("abc", "abc   "), ("", "   "),
])
def test_trap_text_is_equal_without_case_accents_and_trailing_blanks(a, b):
    assert collation.same(a, b, US)


@pytest.mark.parametrize("a, b", [("abc", " abc"), ("abc", "abd"), ("a b", "ab"), ("", "x")])
def test_different_text_stays_different(a, b):
    assert not collation.same(a, b, US)


def test_accents_count_in_some_environments():
    assert not collation.same("cafe", "café", STRICT)
    assert collation.same("CAFÉ", "cafe\u0301", STRICT)


def test_trailing_blanks_quirk():
    assert not collation.same("abc", "abc ", STRICT)


@pytest.mark.parametrize("pattern, text, expected", [
    ("abc", "abc", 1), ("abc", "abcd", 0), ("%bc", "abc", 1), ("a%", "abc", 1), ("%b%", "abc", 1),
    ("a_c", "abc", 1), ("a_c", "ac", 0), ("%", "", 1), ("_", "", 0), ("a%c", "a\nb\r\nc", 1),
    ("[ab]x", "bx", 1), ("[ab]x", "cx", 0), ("[a-c]x", "bx", 1), ("[a-c]x", "dx", 0),
    ("[^a-c]x", "dx", 1), ("[^a-c]x", "ax", 0),
    ("[%]", "%", 1), ("[%]", "x", 0), ("[_]", "_", 1), ("[_]", "x", 0), ("[[]", "[", 1),
    ("a]", "a]", 1), ("50[%] off", "50% off", 1), ("50[%] off", "50 off", 0),
    ("a[", "a[", 0), ("[a-", "a", 0), ("[-a]", "-", 1), ("[a-]", "-", 1), ("a.c", "abc", 0),
    ("a.c", "a.c", 1), ("%%", "abc", 1), ("abc", "abc ", 0), ("\\d", "5", 0), ("^a$", "a", 0),
])
def test_trap_wildcards_are_live_in_like(pattern, text, expected):
    assert collation.like(pattern, text) == expected


def test_like_of_null_is_null():
    assert collation.like(None, "a") is None
    assert collation.like("a", None) is None
