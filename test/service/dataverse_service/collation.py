"""How the service compares text (sheet 2.3.3, 2.3.4).

Every collation of Dataverse ignores case; whether accents count follows the base language of the
environment (a quirk). Comparison happens over *folded* text that is stored beside the original,
so that SQLite's indexes serve it. Trailing blanks stay in the folded text: ``LIKE`` sees them,
``=`` does not (the ``RTRIM`` collation of the folded columns, see ``store``).
"""
from __future__ import annotations

import functools
import re
import unicodedata
from typing import Optional

from .core import Quirks


def fold_once(text: str, accents: bool) -> str:
    """Case folded; with ``accents`` false also without combining marks."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFD", text.casefold())
    if not accents:
        decomposed = "".join(c for c in decomposed if not unicodedata.combining(c))
    return unicodedata.normalize("NFC", decomposed)


_fold = functools.lru_cache(maxsize=65536)(fold_once)


def fold(text: str, quirks: Quirks) -> str:
    """The text as the environment's collation sees it."""
    if text.isascii():
        return text.lower()
    return _fold(text, quirks.accents == "sensitive")


def same(a: Optional[str], b: Optional[str], quirks: Quirks) -> bool:
    """Are two texts equal under ``eq``?"""
    if a is None or b is None:
        return a is b
    left, right = fold(a, quirks), fold(b, quirks)
    if quirks.trailing_blanks == "ignored":
        left, right = left.rstrip(" "), right.rstrip(" ")
    return left == right


def _set_regex(body: str) -> str:
    """A T-SQL set ``[...]`` as a regular expression class; ``a-c`` is a range."""
    negated = body.startswith("^")
    if negated:
        body = body[1:]
    if not body:
        return "." if negated else "(?!)"
    parts = []
    i = 0
    while i < len(body):
        if i + 2 < len(body) and body[i + 1] == "-":
            low, high = body[i], body[i + 2]
            if low <= high:  # an empty range matches nothing, it is no error
                parts.append(f"{re.escape(low)}-{re.escape(high)}")
            i += 3
        else:
            parts.append(re.escape(body[i]))
            i += 1
    if not parts:
        return "." if negated else "(?!)"
    return f"[{'^' if negated else ''}{''.join(parts)}]"


@functools.lru_cache(maxsize=4096)
def like_regex(pattern: str) -> re.Pattern[str]:
    """The compiled form of a T-SQL LIKE pattern: ``%``, ``_``, ``[set]``, ``[^set]``."""
    out = []
    i = 0
    while i < len(pattern):
        c = pattern[i]
        if c == "%":
            if not out or out[-1] != ".*":
                out.append(".*")
        elif c == "_":
            out.append(".")
        elif c == "[":
            # A bracket closes at the first ] after at least one character: [[] and []] are sets.
            end = pattern.find("]", i + 2)
            if end < 0:
                return re.compile("(?!)")  # an unclosed set matches nothing in T-SQL
            out.append(_set_regex(pattern[i + 1 : end]))
            i = end
        else:
            out.append(re.escape(c))
        i += 1
    return re.compile("".join(out), re.DOTALL)


def like(pattern: Optional[str], text: Optional[str]) -> Optional[int]:
    """``text LIKE pattern`` as T-SQL does it, over folded text; NULL in, NULL out.

    SQLite knows it as ``dv_like(pattern, text)``.
    """
    if pattern is None or text is None:
        return None
    return 1 if like_regex(pattern).fullmatch(text) else 0
