"""The OData text forms of the Web API, parsed into small trees (sheet 1.5, 1.8, 2.2-2.4, 2.8, 2.9).

Only the shape is judged here; whether a property exists and whether types agree is judged in
``where`` and ``query``, which know the tables.
"""
from __future__ import annotations

import dataclasses
import datetime
import decimal
import functools
import json
import re
from typing import Any, Optional, Union
from urllib.parse import unquote_plus

import lark

from .core import Fault

ERROR = "0x80060888"  #: parser errors and query forms that are not supported (sheet 2.10)


def syntax_fault(message: str) -> Fault:
    return Fault(400, ERROR, message)


# --- Trees ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Literal:
    """A constant. ``kind``: string guid int decimal double bool null datetime date array enum.

    ``value``: str, str in lower case, int, Decimal, float, bool, None, microseconds since 1970,
    ``yyyy-mm-dd``, tuple of values, member name. ``text`` is what was written.
    """

    kind: str
    value: Any
    text: str

    _EDM = {
        "string": "Edm.String", "guid": "Edm.Guid", "decimal": "Edm.Decimal",
        "double": "Edm.Double", "bool": "Edm.Boolean", "datetime": "Edm.DateTimeOffset",
        "date": "Edm.Date", "array": "Collection(Edm.String)", "null": "null", "enum": "Edm.Enum",
    }

    @property
    def edm(self) -> str:
        if self.kind == "int":
            return "Edm.Int32" if -(2**31) <= self.value < 2**31 else "Edm.Int64"
        return self._EDM[self.kind]


@dataclasses.dataclass(frozen=True)
class Alias:
    """``@p1``: stands for a value or a property name (sheet 1.8)."""

    name: str


@dataclasses.dataclass(frozen=True)
class Path:
    """``a`` or ``a/b/c``."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return "/".join(self.names)


@dataclasses.dataclass(frozen=True)
class Call:
    """``name(args)`` after an optional path: a string function or a Dataverse query function."""

    path: tuple[str, ...]
    name: str
    args: tuple[Any, ...]
    named: tuple[tuple[str, Any], ...] = ()


@dataclasses.dataclass(frozen=True)
class Lambda:
    """``path/any(x: body)``; ``body`` and ``variable`` are None in ``any()``."""

    path: tuple[str, ...]
    all: bool
    variable: Optional[str]
    body: Any


@dataclasses.dataclass(frozen=True)
class Compare:
    op: str  #: eq ne gt ge lt le
    left: Any
    right: Any


@dataclasses.dataclass(frozen=True)
class Logic:
    op: str  #: and, or
    items: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Not:
    item: Any


@dataclasses.dataclass(frozen=True)
class Unsupported:
    """Well-formed OData that the service does not do: ``in``, ``has``, arithmetic."""

    what: str


Node = Union[Literal, Alias, Path, Call, Lambda, Compare, Logic, Not, Unsupported]


@dataclasses.dataclass(frozen=True)
class OrderItem:
    operand: Node
    descending: bool


@dataclasses.dataclass(frozen=True)
class Aggregate:
    path: Optional[Path]  #: None: ``$count``
    method: str
    alias: str


@dataclasses.dataclass(frozen=True)
class Transform:
    """One step of $apply: ``filter``, ``groupby`` or ``aggregate``."""

    kind: str
    condition: Any = None
    groups: tuple[Path, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()


@dataclasses.dataclass(frozen=True)
class Expand:
    nav: str
    ref: bool = False
    select: Optional[tuple[str, ...]] = None
    filter: Optional[str] = None
    orderby: Optional[str] = None
    top: Optional[int] = None
    expand: tuple["Expand", ...] = ()
    raw: tuple[str, ...] = ()  #: the options as they were written, for the child's nextLink

    def total(self) -> int:
        return 1 + sum(e.total() for e in self.expand)


# --- Grammar -------------------------------------------------------------------------------

_GRAMMAR = r"""
filter: expr
?expr: conj
    | conj (_OR conj)+              -> or_
?conj: neg
    | neg (_AND neg)+               -> and_
?neg: _NOT neg                      -> not_
    | comparison
?comparison: sum OP sum             -> compare
    | sum _IN "(" value ("," value)* ")" -> in_
    | sum _HAS sum                  -> has_
    | sum
    | "(" expr ")"                  -> group
?sum: operand
    | operand (ARITH operand)+      -> arithmetic
?operand: literal | path
path: segment ("/" segment)*
segment: NAME                       -> name
    | (NAME | QNAME) "(" [arg ("," arg)*] ")" -> call
?arg: NAME ":" expr                 -> lambda_arg
    | NAME "=" value                -> named_arg
    | expr
?value: literal | plain
plain: NAME ("/" NAME)*
?literal: STRING | GUID | DATETIME | DATE | NUMBER | BOOL | NULL | ARRAY | ENUM | ALIAS | V3

orderby: order ("," order)*
order: operand [DIRECTION]

apply: transform ("/" transform)*
transform: _FILTER "(" expr ")"     -> t_filter
    | _GROUPBY "(" "(" plain ("," plain)* ")" ["," aggregate] ")" -> t_groupby
    | aggregate                     -> t_aggregate
aggregate: _AGGREGATE "(" agg ("," agg)* ")"
agg: plain _WITH NAME _AS NAME      -> agg_column
    | "$count" _AS NAME             -> agg_count

key: keyvalue ("," keyvalue)*       -> key_named
    | literal                       -> key_bare
keyvalue: NAME "=" (literal | "(" literal ")")

_OR.2: /or(?=[\s(])/
_AND.2: /and(?=[\s(])/
_NOT.5: /not(?=[\s(])/
_IN.2: /in(?=[\s(])/
_HAS.2: /has(?=\s)/
OP.3: /(?:eq|ne|gt|ge|lt|le)(?![\w.])/
ARITH.3: /(?:add|sub|mul|divby|div|mod)(?![\w.])/
DIRECTION.3: /(?:asc|desc)(?!\w)/
_FILTER.3: /filter(?=\s*\()/
_GROUPBY.3: /groupby(?!\w)/
_AGGREGATE.3: /aggregate(?!\w)/
_WITH.3: /with(?!\w)/
_AS.3: /as(?!\w)/
BOOL.4: /(?:true|false)(?![\w\/(.])/
NULL.4: /null(?![\w\/(.])/
GUID.9: /[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?!\w)/
DATETIME.8: /\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)/
DATE.7: /\d{4}-\d\d-\d\d(?![\dT])/
NUMBER.6: /[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])/
STRING: /'(?:[^']|'')*'/
V3.8: /(?:guid|datetime|datetimeoffset|binary|duration)'(?:[^']|'')*'/
ENUM.7: /[A-Za-z_]\w*(?:\.\w+)+'[^']*'/
ARRAY: /\[(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\]"'])*\]/
ALIAS: /@[A-Za-z_]\w*/
QNAME.1: /[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+/
NAME: /[A-Za-z_]\w*/
%ignore /\s+/
"""


def _string(text: str) -> Literal:
    return Literal("string", text[1:-1].replace("''", "'"), text)


def _number(text: str) -> Literal:
    if "e" in text or "E" in text:
        return Literal("double", float(text), text)
    if "." in text:
        return Literal("decimal", decimal.Decimal(text), text)
    value = int(text)
    # beyond Int64 OData reads the digits as a decimal
    if not -(2**63) <= value < 2**63:
        return Literal("decimal", decimal.Decimal(text), text)
    return Literal("int", value, text)


def parse_datetime(text: str) -> int:
    """Microseconds since 1970 of an ISO 8601 text; without an offset it is UTC (sheet 3.3)."""
    match = re.fullmatch(
        r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,12}))?)?)?"
        r"(Z|[+-]\d\d:\d\d)?", text)
    if match is None:
        raise ValueError(text)
    year, month, day, hour, minute, second = (int(g or 0) for g in match.groups()[:6])
    moment = datetime.datetime(year, month, day, hour, minute, second)
    seconds = (moment - datetime.datetime(1970, 1, 1)) // datetime.timedelta(seconds=1)
    zone = match.group(8)
    if zone and zone != "Z":
        offset = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
        seconds -= offset if zone[0] == "+" else -offset
    return seconds * 1_000_000 + int((match.group(7) or "").ljust(6, "0")[:6])


def _datetime(text: str) -> Literal:
    try:
        return Literal("datetime", parse_datetime(text), text)
    except ValueError:
        raise syntax_fault(
            f"Unrecognized 'Edm.DateTimeOffset' literal '{text}'.") from None


def _date(text: str) -> Literal:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        raise syntax_fault(f"Unrecognized 'Edm.Date' literal '{text}'.") from None
    return Literal("date", text, text)


_JSON_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^\"']+")


def _single_to_double(piece: str) -> str:
    if not piece.startswith("'"):
        return piece
    return '"' + piece[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'


def invalid_array(text: str) -> Fault:
    """What ``['O'Brian']`` gives: such values need double quotes (sheet 2.3.6)."""
    return syntax_fault(
        "Invalid JSON. A comma character ',' was expected in scope 'Array'. Every two elements in "
        "an array and properties of an object must be separated by commas.")


def _array(text: str) -> Literal:
    pieces = _JSON_STRING.findall(text)
    try:
        parsed = json.loads("".join(map(_single_to_double, pieces)), parse_float=decimal.Decimal)
    except ValueError:
        raise invalid_array(text) from None
    return Literal("array", tuple(map(_hashable, parsed)), text)


def _hashable(value: Any) -> Any:
    if isinstance(value, (list, dict)):
        raise invalid_array(json.dumps(value))
    return value


def _v3(text: str) -> Literal:
    raise syntax_fault(f"Unrecognized 'Edm.String' literal '{text}' at '0' in '{text}'.")


class _Build(lark.Transformer):
    """Called by the parser for every rule and terminal, so no parse tree is kept."""

    STRING = staticmethod(lambda t: _string(str(t)))
    NUMBER = staticmethod(lambda t: _number(str(t)))
    GUID = staticmethod(lambda t: Literal("guid", str(t).lower(), str(t)))
    DATETIME = staticmethod(lambda t: _datetime(str(t)))
    DATE = staticmethod(lambda t: _date(str(t)))
    BOOL = staticmethod(lambda t: Literal("bool", str(t) == "true", str(t)))
    NULL = staticmethod(lambda t: Literal("null", None, "null"))
    ARRAY = staticmethod(lambda t: _array(str(t)))
    ENUM = staticmethod(lambda t: Literal("enum", str(t).split("'")[1], str(t)))
    ALIAS = staticmethod(lambda t: Alias(str(t)))
    V3 = staticmethod(lambda t: _v3(str(t)))
    NAME = QNAME = OP = ARITH = DIRECTION = staticmethod(str)

    def filter(self, c):
        return c[0]

    def or_(self, c):
        return Logic("or", tuple(c))

    def and_(self, c):
        return Logic("and", tuple(c))

    def not_(self, c):
        return Not(c[0])

    def group(self, c):
        return c[0]

    def compare(self, c):
        return Compare(c[1], c[0], c[2])

    def in_(self, c):
        return Unsupported("in")

    def has_(self, c):
        return Unsupported("has")

    def arithmetic(self, c):
        return Unsupported(c[1])

    def name(self, c):
        return c[0]

    def call(self, c):
        return Call((), c[0], tuple(a for a in c[1:] if a is not None))

    def lambda_arg(self, c):
        return ("lambda", c[0], c[1])

    def named_arg(self, c):
        return ("named", c[0], c[1])

    def plain(self, c):
        return Path(tuple(c))

    def path(self, c):
        if all(isinstance(s, str) for s in c):
            return Path(tuple(c))
        if any(isinstance(s, Call) for s in c[:-1]):
            raise syntax_fault("A function call may only stand at the end of a path.")
        return _finish_call(tuple(c[:-1]), c[-1])

    def orderby(self, c):
        return tuple(c)

    def order(self, c):
        return OrderItem(c[0], c[1] == "desc")

    def apply(self, c):
        return tuple(c)

    def t_filter(self, c):
        return Transform("filter", condition=c[0])

    def t_groupby(self, c):
        groups = tuple(x for x in c if isinstance(x, Path))
        aggregates = next((x for x in c if isinstance(x, tuple)), ())
        return Transform("groupby", groups=groups, aggregates=aggregates)

    def t_aggregate(self, c):
        return Transform("aggregate", aggregates=c[0])

    def aggregate(self, c):
        return tuple(c)

    def agg_column(self, c):
        return Aggregate(c[0], c[1], c[2])

    def agg_count(self, c):
        return Aggregate(None, "count", c[0])

    def key_named(self, c):
        return list(c)

    def key_bare(self, c):
        return [(None, c[0])]

    def keyvalue(self, c):
        return (c[0], c[1])


def _finish_call(path: tuple[str, ...], call: Call) -> Node:
    """Tell lambdas, Dataverse functions (named parameters) and OData functions apart."""
    kinds = [a[0] if isinstance(a, tuple) else "plain" for a in call.args]
    if call.name in ("any", "all"):
        if not call.args and call.name == "any":
            return Lambda(path, False, None, None)
        if kinds != ["lambda"]:
            raise syntax_fault(f"The lambda operator '{call.name}' needs a range variable.")
        _, variable, body = call.args[0]
        return Lambda(path, call.name == "all", variable, body)
    if "lambda" in kinds:
        raise syntax_fault(f"'{call.name}' takes no range variable.")
    if "named" in kinds:
        if set(kinds) != {"named"}:
            raise syntax_fault("Named and unnamed parameters cannot be mixed.")
        return Call(path, call.name, (), tuple((a[1], a[2]) for a in call.args))
    return Call(path, call.name, call.args)


@functools.lru_cache(maxsize=1)
def _parser() -> lark.Lark:
    return lark.Lark(
        _GRAMMAR, parser="lalr", lexer="contextual", transformer=_Build(), maybe_placeholders=True,
        start=["filter", "orderby", "apply", "key", "operand"])


def _fault_of(text: str, error: lark.UnexpectedInput) -> Fault:
    """The parser's complaint in the words of the service, where the sheet knows them."""
    if isinstance(error, lark.UnexpectedCharacters):
        position = error.pos_in_stream
        rest = text[position:]
        if rest.startswith("'"):
            return syntax_fault(
                f"There is an unterminated literal at position {len(text)} in '{text}'.")
        if rest.startswith("["):
            return invalid_array(rest)
        if error.allowed == {"LPAR"}:
            return syntax_fault(f"'(' expected at position {position} in '{text}'.")
        return syntax_fault(f"Syntax error at position {position} in '{text}'.")
    if isinstance(error, lark.UnexpectedToken):
        at_end = error.token.type == "$END"
        position = len(text) if at_end else error.token.start_pos
        if set(error.expected) == {"LPAR"}:
            return syntax_fault(f"'(' expected at position {position} in '{text}'.")
        return syntax_fault(f"Syntax error at position {position} in '{text}'.")
    return syntax_fault(f"Syntax error in '{text}'.")


def _parse(text: str, start: str) -> Any:
    try:
        return _parser().parse(text, start=start)
    except lark.UnexpectedInput as error:
        raise _fault_of(text, error) from None
    except lark.exceptions.VisitError as error:
        raise error.orig_exc from None
    except RecursionError:
        raise syntax_fault("The query is nested too deeply.") from None


@functools.lru_cache(maxsize=512)
def parse_filter(text: str) -> Node:
    """The tree of a $filter."""
    return _parse(text, "filter")


@functools.lru_cache(maxsize=512)
def parse_orderby(text: str) -> tuple[OrderItem, ...]:
    return _parse(text, "orderby")


@functools.lru_cache(maxsize=512)
def parse_apply(text: str) -> tuple[Transform, ...]:
    return _parse(text, "apply")


def parse_value(text: str) -> Node:
    """What a parameter alias holds: a literal or a property path (sheet 1.8)."""
    return _parse(text, "operand")


def parse_key(text: str) -> list[tuple[Optional[str], Literal]]:
    """What stands between the parentheses of an address (sheet 1.5), percent-decoded before.

    ``[(None, guid)]`` for a bare primary key, else the names with their values in written order.
    """
    pairs = _parse(text, "key")
    for _, value in pairs:
        if not isinstance(value, Literal) or value.kind in ("array", "enum"):
            raise Fault(400, "0x8006088A", "Bad Request - Error in query syntax.")
    return pairs


# --- $select and $expand -------------------------------------------------------------------


def parse_select(text: str) -> tuple[str, ...]:
    """Names of a $select, without repetitions."""
    names = [name.strip() for name in text.split(",")]
    if any(not name for name in names):
        raise syntax_fault(f"Syntax error in $select '{text}': a property name is missing.")
    return tuple(dict.fromkeys(names))


def split_top_level(text: str, separator: str) -> list[str]:
    """Split outside quotes, parentheses and brackets."""
    parts, depth, start, quote = [], 0, 0, ""
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char == "'":
            quote = char
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == separator and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    if quote:
        raise syntax_fault(f"There is an unterminated literal at position {len(text)} in '{text}'.")
    if depth:
        raise syntax_fault(f"Parentheses do not match in '{text}'.")
    parts.append(text[start:])
    return parts


def parse_expand(text: str) -> tuple[Expand, ...]:
    """Items of an $expand (sheet 2.8)."""
    return tuple(_expand_item(item.strip()) for item in split_top_level(text, ","))


_EXPAND_ITEM = re.compile(r"([A-Za-z_]\w*)(/\$ref)?\s*(?:\((.*)\))?", re.S)


def _expand_item(text: str) -> Expand:
    match = _EXPAND_ITEM.fullmatch(text)
    if match is None:
        raise syntax_fault(f"Syntax error in $expand '{text}'.")
    nav, ref, options = match.groups()
    if options is None:
        return Expand(nav, bool(ref))
    if not options.strip():
        raise syntax_fault(
            f"Missing expand option on navigation property '{nav}'. If a parenthesis expression "
            f"follows an expanded navigation property, then at least one expand option must be "
            f"provided.")
    fields: dict[str, Any] = {}
    raw = []
    for part in split_top_level(options, ";"):
        name, equals, value = part.strip().partition("=")
        name = name.strip()
        if not name and not equals:
            continue  # a closing semicolon
        if name in fields or name not in _EXPAND_OPTIONS:
            raise syntax_fault(f"The query option '{name}' is not supported in $expand.")
        fields[name] = _EXPAND_OPTIONS[name](value.strip())
        raw.append(f"{name}={value.strip()}")
    return Expand(nav, bool(ref), raw=tuple(raw), **{k[1:]: v for k, v in fields.items()})


def parse_top(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise syntax_fault(
            f"Invalid value '{text}' for $top query option found. The $top query option requires a "
            f"non-negative integer value.")
    return int(text)


def _no_alias(text: str) -> str:
    """Parameter aliases do not reach into $expand options (sheet 1.8)."""
    if re.search(r"(?<!\w)@[A-Za-z_]", re.sub(r"'(?:[^']|'')*'", "''", text)):
        raise syntax_fault("Parameter aliases are not supported in $expand options.")
    return text


_EXPAND_OPTIONS = {
    "$select": parse_select, "$filter": _no_alias, "$orderby": _no_alias, "$top": parse_top,
    "$expand": parse_expand,
}


# --- The query string ----------------------------------------------------------------------


@dataclasses.dataclass
class Query:
    """A query string taken apart: options by name, aliases by name (with their ``@``)."""

    options: dict[str, str]
    aliases: dict[str, str]
    raw: list[str]  #: the parts as they came, still encoded

    def get(self, name: str) -> Optional[str]:
        return self.options.get(name)


def parse_query(raw_query: str) -> Query:
    """Split on ``&``, then decode names and values (``+`` is a blank, sheet 1.7)."""
    options: dict[str, str] = {}
    aliases: dict[str, str] = {}
    raw = [part for part in raw_query.split("&") if part]
    for part in raw:
        name, _, value = part.partition("=")
        name, value = unquote_plus(name), unquote_plus(value)
        target = aliases if name.startswith("@") else options
        if name in target:
            raise syntax_fault(
                f"Query option '{name}' was specified more than once, but it must be specified at "
                f"most once.")
        target[name] = value
    return Query(options, aliases, raw)


def unsupported_option(name: str) -> Fault:
    return syntax_fault(f"The query parameter {name} is not supported")


def check_options(query: Query, allowed: frozenset[str]) -> None:
    """An option that the service does not know is an error, never ignored; case counts."""
    for name in query.options:
        if name not in allowed:
            raise unsupported_option(name)


def substitute(node: Any, aliases: dict[str, str]) -> Any:
    """Put the values of parameter aliases in; one without a value counts as null (sheet 1.8)."""
    if isinstance(node, Alias):
        text = aliases.get(node.name)
        if text is None or not text.strip():
            return Literal("null", None, "null")
        value = parse_value(text)
        if isinstance(value, Alias):
            raise syntax_fault(f"Parameter alias '{node.name}' refers to another alias.")
        return value
    if isinstance(node, tuple):
        return tuple(substitute(item, aliases) for item in node)
    if isinstance(node, (Literal, Path)) or not dataclasses.is_dataclass(node):
        return node
    return dataclasses.replace(node, **{
        field.name: substitute(getattr(node, field.name), aliases)
        for field in dataclasses.fields(node)})
