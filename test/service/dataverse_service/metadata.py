"""EntityDefinitions and its kin, RetrieveMetadataChanges, ``$metadata``, the service document
(sheet 1.4, 9).

``definitions`` holds the documents; here they are addressed, filtered and cut to what was asked.
There is no paging and no order: the options for them are refused, as the service does.
"""
from __future__ import annotations

import json
import re
from typing import Any, Callable, Iterable, NamedTuple, Optional
from urllib.parse import unquote, unquote_plus
from xml.sax.saxutils import quoteattr

from . import values
from .core import Column, Context, Fault, Response
from .definitions import (
    BASE_PROPERTIES, CAST_TYPES, LANGUAGE, NAMESPACE, OPTION_SET_CASTS, SPECIFIC_PROPERTIES,
    Attribute,
    Catalog, Definition, Document, catalog_of)

_COLLECTIONS = ("Attributes", "Keys", "ManyToOneRelationships", "OneToManyRelationships",
                "ManyToManyRelationships")
_ITEM_TYPES = {"Keys": "EntityKeyMetadata",
               "ManyToOneRelationships": "OneToManyRelationshipMetadata",
               "OneToManyRelationships": "OneToManyRelationshipMetadata",
               "ManyToManyRelationships": "ManyToManyRelationshipMetadata"}
#: Properties of relationship and option set types; the model need not have a row of each.
_RELATIONSHIP_BASE = frozenset({
    "MetadataId", "HasChanged", "IsCustomRelationship", "IsValidForAdvancedFind", "SchemaName",
    "SecurityTypes", "IsManaged", "RelationshipType", "IntroducedVersion", "IsCustomizable"})
_MANY_TO_MANY = _RELATIONSHIP_BASE | frozenset({
    "Entity1LogicalName", "Entity1IntersectAttribute", "Entity1NavigationPropertyName",
    "Entity2LogicalName", "Entity2IntersectAttribute", "Entity2NavigationPropertyName",
    "IntersectEntityName", "Entity1AssociatedMenuConfiguration",
    "Entity2AssociatedMenuConfiguration"})
_KEY_PROPERTIES = frozenset({
    "MetadataId", "HasChanged", "LogicalName", "SchemaName", "EntityLogicalName", "KeyAttributes",
    "IsCustomizable", "IsManaged", "IntroducedVersion", "EntityKeyIndexStatus", "IsExportKey",
    "IsSynchronous", "IsSecondaryKey", "DisplayName"})


def _refuse(message: str) -> Fault:
    return Fault(400, "0x80060888", message)


def _segment(name: str) -> Fault:
    return Fault(404, "0x8006088A", f"Resource not found for the segment '{name}'.")


def _no_property(name: str, type_name: str) -> Fault:
    return _refuse(f"Could not find a property named '{name}' on type '{NAMESPACE}{type_name}'.")


def _json(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


# --- requests ---------------------------------------------------------------------------------


def handle(ctx: Context, path: str, raw_query: str, method: str = "GET") -> Response:
    """A metadata address; ``path`` without its leading slash."""
    path = path.strip("/")
    if path == "":
        return service_document(ctx)
    if path == "$metadata":
        return csdl(ctx, raw_query)
    segments = _segments(path)
    root = _ROOTS.get(segments[0].name)
    if root is None:
        raise _segment(segments[0].name)
    if method != "GET":
        raise Fault(405, "0x8006088A", "Operation not supported on EntityMetadata")
    return root(ctx, catalog_of(ctx.model), segments, read_options(raw_query))


class Segment(NamedTuple):
    """One path segment: a name and, in parentheses, a key."""

    name: str
    key: Optional[str]


def _segments(path: str) -> list[Segment]:
    found = []
    for part in re.findall(r"(?:[^/(']|\([^)]*\)|'[^']*')+", path):
        name, paren, rest = part.partition("(")
        if paren and not rest.endswith(")"):
            raise Fault(400, "0x8006088A", "Bad Request - Error in query syntax.")
        found.append(Segment(name, rest[:-1] if paren else None))
    return found


class Options(NamedTuple):
    select: Optional[list[str]]
    filter: Optional["Filter"]
    expand: dict[str, "Options"]


_KNOWN_OPTIONS = ("$select", "$filter", "$expand")


def read_options(raw_query: str) -> Options:
    """The query options of a metadata address; everything else is refused (sheet 9.1)."""
    found: dict[str, str] = {}
    aliases: dict[str, str] = {}
    for part in raw_query.split("&") if raw_query else ():
        name, _, value = part.partition("=")
        name, value = unquote_plus(name), unquote_plus(value)
        if name.startswith("@"):
            aliases[name] = value
        elif name in _KNOWN_OPTIONS:
            found[name] = value
        elif name:
            raise _refuse(f"The query parameter {name} is not supported")
    return _options_of(found, aliases)


def _options_of(found: dict[str, str], aliases: dict[str, str]) -> Options:
    select = [n.strip() for n in found["$select"].split(",")] if found.get("$select") else None
    condition = parse_filter(found["$filter"], aliases) if "$filter" in found else None
    expand = {}
    for part in _split_outside(found.get("$expand", ""), ","):
        name, paren, inner = part.strip().partition("(")
        if paren and not inner.endswith(")"):
            raise _refuse(f"The $expand expression '{part}' has unbalanced parentheses.")
        if paren and not inner[:-1].strip():
            raise _refuse("Missing expand option on navigation property " f"'{name}'.")
        expand[name] = _nested_options(inner[:-1] if paren else "", aliases)
    return Options(select, condition, expand)


def _nested_options(text: str, aliases: dict[str, str]) -> Options:
    found: dict[str, str] = {}
    for part in _split_outside(text, ";"):
        name, _, value = part.strip().partition("=")
        if name not in _KNOWN_OPTIONS:
            raise _refuse(f"The query parameter {name} is not supported")
        found[name] = value
    return _options_of(found, aliases)


def _split_outside(text: str, mark: str) -> list[str]:
    """Split at a mark that stands outside of parentheses and quotes."""
    parts, depth, quoted, start = [], 0, False, 0
    for index, char in enumerate(text):
        if char == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == mark and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return [part for part in parts if part.strip()]


# --- $filter ------------------------------------------------------------------------------------

Condition = Callable[[Document], Any]


class Filter(NamedTuple):
    """A parsed $filter: the test, and the properties it names (checked before any row is seen)."""

    test: Condition
    names: frozenset[str]

_TOKEN = re.compile(r"""\s*(?:
    (?P<enum>Microsoft\.Dynamics\.CRM\.\w+'[^']*')
  | (?P<text>'(?:[^']|'')*')
  | (?P<guid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})
  | (?P<number>-?\d+(?:\.\d+)?)
  | (?P<name>[@A-Za-z_][\w./]*)
  | (?P<mark>[(),=\[\]"])
)""", re.VERBOSE)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "gt": lambda a, b: a is not None and b is not None and a > b,
    "ge": lambda a, b: a is not None and b is not None and a >= b,
    "lt": lambda a, b: a is not None and b is not None and a < b,
    "le": lambda a, b: a is not None and b is not None and a <= b,
}


class _Parser:
    """``or`` over ``and`` over ``not`` over comparisons; no functions (sheet 9.1)."""

    def __init__(self, text: str, aliases: dict[str, str]):
        self.text = text
        self.aliases = aliases
        self.tokens: list[tuple[str, str]] = []
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise self.error(position)
            self.tokens.append((match.lastgroup or "", match.group(match.lastgroup or "")))
            position = match.end()
        self.next = 0
        self.names: set[str] = set()

    def error(self, position: Optional[int] = None) -> Fault:
        return _refuse("Syntax error at position "
                       f"{len(self.text) if position is None else position} "
                       f"in '{self.text}'.")

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.next] if self.next < len(self.tokens) else ("end", "")

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self.next += 1
        return token

    def whole(self) -> Filter:
        found = self.disjunction()
        if self.peek()[0] != "end":
            raise self.error()
        return Filter(found, frozenset(self.names))

    def disjunction(self) -> Condition:
        arms = [self.conjunction()]
        while self.peek() == ("name", "or"):
            self.take()
            arms.append(self.conjunction())
        return arms[0] if len(arms) == 1 else lambda d: any(arm(d) for arm in arms)

    def conjunction(self) -> Condition:
        arms = [self.negation()]
        while self.peek() == ("name", "and"):
            self.take()
            arms.append(self.negation())
        return arms[0] if len(arms) == 1 else lambda d: all(arm(d) for arm in arms)

    def negation(self) -> Condition:
        if self.peek() == ("name", "not"):
            self.take()
            inner = self.negation()
            return lambda d: not inner(d)
        if self.peek() == ("mark", "("):
            self.take()
            inner = self.disjunction()
            if self.take() != ("mark", ")"):
                raise self.error()
            return inner
        return self.comparison()

    def comparison(self) -> Condition:
        left = self.operand()
        operator = _COMPARE.get(self.peek()[1]) if self.peek()[0] == "name" else None
        if operator is None:
            if self.peek()[0] == "end" or self.peek()[1] in ("and", "or", ")"):
                return lambda d: left(d) is True
            raise self.error()
        self.take()
        right = self.operand()
        compare = operator

        def condition(document: Document) -> bool:
            try:
                return compare(left(document), right(document))
            except TypeError:
                raise _refuse("A binary operator with incompatible types was detected.") from None
        return condition

    def operand(self) -> Condition:
        kind, text = self.take()
        if kind == "name" and self.peek() == ("mark", "("):
            raise Fault(400, "0x8006088A",
                        f'The "{text.rpartition(".")[2]}" function isn\'t supported for Metadata '
                        "Entities.")
        if kind == "name" and text.startswith("@"):
            inner = _Parser(self.aliases.get(text, "null"), {})
            operand = inner.operand()
            self.names |= inner.names
            return operand
        if kind == "name" and text not in _CONSTANTS:
            self.names.add(text.partition("/")[0])
            return lambda document: _property(document, text)
        value = self.literal(kind, text)
        return lambda document: value

    def literal(self, kind: str, text: str) -> Any:
        if kind == "name":
            return _CONSTANTS[text]
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "enum":
            return text[:-1].partition("'")[2]
        if kind == "guid":
            return text.lower()
        if kind == "number":
            return float(text) if "." in text else int(text)
        raise self.error()


_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None}


def _property(document: Document, path: str) -> Any:
    """A scalar, or ``/Value`` of a complex one; labels cannot be filtered (sheet 9.1)."""
    name, _, rest = path.partition("/")
    value = document.get(name)
    if rest:
        if not isinstance(value, dict) or rest not in value:
            raise _refuse(f"Could not find a property named '{rest}' on the type of '{name}'.")
        return value[rest]
    if isinstance(value, (dict, list)):
        raise _refuse(f"The property '{name}' is complex and cannot be used in $filter.")
    return value


def parse_filter(text: str, aliases: dict[str, str]) -> Filter:
    return _Parser(text, aliases).whole()


# --- cutting documents to what was asked ------------------------------------------------------


def _checker(names: Iterable[str], type_name: str) -> Callable[[str], None]:
    known = frozenset(names)

    def check(name: str) -> None:
        if name not in known:
            raise _no_property(name, type_name)
    return check


def _select(document: Document, names: Optional[list[str]],
            check: Callable[[str], None]) -> Document:
    """The properties asked for; MetadataId always comes (sheet 9.1)."""
    if names is None:
        return dict(document)
    for name in names:
        check(name)
    wanted = {"MetadataId", *names}
    return {name: value for name, value in document.items() if name in wanted}


def _rows(documents: list[Document], options: Options, properties: Iterable[str],
          type_name: str) -> list[Document]:
    """A collection of one type: filter, then select."""
    _no_expand(options, type_name)
    check = _checker(properties, type_name)
    _check_select(options, check)
    kept = (d for d in documents if options.filter is None or options.filter.test(d))
    return [_select(d, options.select, check) for d in kept]


def _check_select(options: Options, check: Callable[[str], None]) -> None:
    for name in options.select or ():
        check(name)
    for name in sorted(options.filter.names) if options.filter is not None else ():
        check(name)


def _no_expand(options: Options, type_name: str) -> None:
    for name in options.expand:
        raise _no_property(name, type_name)


def _context(ctx: Context, what: str, options: Options, single: bool = False) -> Document:
    names = list(options.select or ())
    for name, inner in options.expand.items():
        names.append(f"{name}({','.join(inner.select or ())})")
    selection = f"({','.join(names)})" if names else ""
    end = "/$entity" if single else ""
    return {"@odata.context": f"{ctx.base}/$metadata#{what}{selection}{end}"}


def _answer(head: Document, rows: list[Document]) -> Response:
    return Response(200, _json({**head, "value": rows}))


# --- EntityDefinitions ------------------------------------------------------------------------


def _entities(ctx: Context, catalog: Catalog, segments: list[Segment],
              options: Options) -> Response:
    first, *rest = segments
    if first.key is None:
        if rest:
            raise _segment(rest[0].name)
        return _answer(_context(ctx, "EntityDefinitions", options),
                       _entity_rows(list(catalog.definitions.values()), options))
    definition = _definition(catalog, first.key)
    if not rest:
        row = _entity_rows([definition], options)
        return Response(200, _json({**_context(ctx, "EntityDefinitions", options, True), **row[0]}))
    return _below_entity(ctx, definition, rest, options)


def _entity_rows(found: list[Definition], options: Options) -> list[Document]:
    if not found:
        return []
    properties = found[0].entity.keys()
    check = _checker(properties, "EntityMetadata")
    _check_select(options, check)
    for name in options.expand:
        if name not in _COLLECTIONS:
            raise _no_property(name, "EntityMetadata")
    rows = []
    for definition in found:
        if options.filter is not None and not options.filter.test(definition.entity):
            continue
        row = _select(definition.entity, options.select, check)
        for name, inner in options.expand.items():
            row[name] = _expanded(definition, name, inner)
        rows.append(row)
    return rows


def _expanded(definition: Definition, name: str, options: Options) -> list[Document]:
    """A collection inside ``$expand``; attributes show only what all types share (sheet 9.1)."""
    if name == "Attributes":
        rows = _rows([a.base for a in definition.attributes], options, BASE_PROPERTIES,
                     "AttributeMetadata")
        types = {a.base["MetadataId"]: a.cast for a in definition.attributes}
        return [_typed(row, types[row["MetadataId"]]) for row in rows]
    return _rows(definition.collection(name), options, _item_properties(name), _ITEM_TYPES[name])


def _typed(row: Document, cast: str) -> Document:
    return {"@odata.type": f"#{NAMESPACE}{cast}", **row}


def _item_properties(name: str) -> frozenset[str]:
    if name == "Keys":
        return _KEY_PROPERTIES
    return _MANY_TO_MANY if name == "ManyToManyRelationships" else _ONE_TO_MANY


def _named_key(text: str, names: tuple[str, ...]) -> tuple[str, str]:
    """``LogicalName='x'`` or a bare MetadataId."""
    if values.is_guid(text):
        return "MetadataId", text.lower()
    match = re.fullmatch(r"\s*(\w+)\s*=\s*'((?:[^']|'')*)'\s*", text)
    if match is None or match.group(1) not in names:
        match = re.fullmatch(r"\s*(MetadataId)\s*=\s*([0-9a-fA-F-]{36})\s*", text)
        if match is None:
            raise _refuse("The key in the request URI is not valid for the resource. Ensure that "
                          "the "
                          "names and number of key properties match the declared or alternate key "
                          "properties for the resource.")
    return match.group(1), match.group(2).replace("''", "'").lower()


def _definition(catalog: Catalog, key: str) -> Definition:
    name, value = _named_key(key, ("LogicalName",))
    found = (catalog.by_id if name == "MetadataId" else catalog.definitions).get(value)
    if found is None:
        raise Fault(404, "0x80060888", "Could not find an entity with specified entity name: "
                                       f"{value}")
    return found


def _below_entity(ctx: Context, definition: Definition, rest: list[Segment],
                  options: Options) -> Response:
    head, *deeper = rest
    where = f"EntityDefinitions('{definition.table.name}')/{head.name}"
    if head.name == "Attributes":
        return _attributes(ctx, definition, head, deeper, options, where)
    if head.name not in _COLLECTIONS:
        if deeper or head.key is not None:
            raise _segment(head.name)
        return _one_property(ctx, definition.entity, head.name, where)
    documents = definition.collection(head.name)
    if head.key is not None:
        wanted, value = _named_key(head.key, ("LogicalName", "SchemaName"))
        found = [d for d in documents if str(d.get(wanted, "")).lower() == value]
        return _one(ctx, found, deeper, options, _item_properties(head.name),
                    _ITEM_TYPES[head.name],
                    where)
    if deeper:
        raise _segment(deeper[0].name)
    rows = _rows(documents, options, _item_properties(head.name), _ITEM_TYPES[head.name])
    return _answer(_context(ctx, where, options), rows)


def _one(ctx: Context, found: list[Document], deeper: list[Segment], options: Options,
         properties: Iterable[str], type_name: str, where: str) -> Response:
    if not found:
        raise Fault(404, "0x80060888", f"Could not find a {type_name} with the specified key.")
    if deeper:
        return _one_property(ctx, found[0], deeper[0].name, where)
    _no_expand(options, type_name)
    row = _select(found[0], options.select, _checker(properties, type_name))
    return Response(200, _json({**_context(ctx, where, options, True), **row}))


def _one_property(ctx: Context, document: Document, name: str, where: str) -> Response:
    """``EntityDefinitions(..)/SchemaName``."""
    if name not in document:
        raise _segment(name)
    head = {"@odata.context": f"{ctx.base}/$metadata#{where}"}
    value = document[name]
    return Response(200, _json({**head, **value} if isinstance(value, dict) else {**head,
                                                                                  "value": value}))


# --- attributes and their casts ---------------------------------------------------------------


def _attributes(ctx: Context, definition: Definition, head: Segment, deeper: list[Segment],
                options: Options, where: str) -> Response:
    found = definition.attributes
    if head.key is not None:
        name, value = _named_key(head.key, ("LogicalName",))
        found = [a for a in found if a.base[name] == value]
        if not found:
            raise Fault(404, "0x80060888",
                        f"Could not find an attribute with specified name: {value} on entity "
                        f"{definition.table.name}")
    cast = None
    if deeper and deeper[0].name.startswith(NAMESPACE):
        cast = deeper.pop(0).name.removeprefix(NAMESPACE)
        if cast not in CAST_TYPES:
            raise _segment(f"{NAMESPACE}{cast}")
        where += f"/{NAMESPACE}{cast}"
        found = [a for a in found if cast in (a.cast, "AttributeMetadata")]
    if head.key is None:
        if deeper:
            raise _segment(deeper[0].name)
        return _answer(_context(ctx, where, options), _attribute_rows(found, cast, options))
    if not found:
        raise Fault(404, "0x80060888", f"The attribute is not of type '{NAMESPACE}{cast}'.")
    if deeper:
        return _attribute_member(ctx, found[0], cast, deeper, where, options)
    row = _attribute_rows(found, cast, options)[0]
    return Response(200, _json({**_context(ctx, where, options, True), **row}))


def _attribute_rows(found: list[Attribute], cast: Optional[str],
                    options: Options) -> list[Document]:
    """Uncast rows carry their type; only a cast makes type-specific names known (sheet 9.1)."""
    type_name = cast or "AttributeMetadata"
    check = _checker(BASE_PROPERTIES | SPECIFIC_PROPERTIES.get(type_name, frozenset()), type_name)
    _check_select(options, check)
    for name in options.expand:
        if name not in ("OptionSet", "GlobalOptionSet") or type_name not in OPTION_SET_CASTS:
            raise _no_property(name, type_name)
    rows = []
    for attribute in found:
        if options.filter is not None and not options.filter.test(attribute.full):
            continue
        row = _select(attribute.full, options.select, check)
        if cast != attribute.cast:
            row = _typed(row, attribute.cast)
        for name, inner in options.expand.items():
            row[name] = _option_set(attribute, name, inner)
        rows.append(row)
    return rows


def _option_set(attribute: Attribute, name: str, options: Options) -> Optional[Document]:
    document = attribute.navigation(name)
    if document is None:
        return None
    return _select(document, options.select, _checker(document, "OptionSetMetadata"))


def _attribute_member(ctx: Context, attribute: Attribute, cast: Optional[str],
                      deeper: list[Segment],
                      where: str, options: Options) -> Response:
    name = deeper[0].name
    if name not in ("OptionSet", "GlobalOptionSet"):
        return _one_property(ctx, attribute.full if cast else attribute.base, name, where)
    if cast not in OPTION_SET_CASTS:
        raise _segment(name)
    document = attribute.navigation(name)
    if document is None:
        return Response(204)
    if len(deeper) > 1:
        return _one_property(ctx, document, deeper[1].name, where)
    row = _select(document, options.select, _checker(document, "OptionSetMetadata"))
    return Response(200, _json({**_context(ctx, f"{where}/{name}", options, True), **row}))


# --- RelationshipDefinitions, GlobalOptionSetDefinitions -------------------------------------


_ONE_TO_MANY = _RELATIONSHIP_BASE | frozenset({
    "ReferencedAttribute", "ReferencedEntity", "ReferencingAttribute", "ReferencingEntity",
    "IsHierarchical", "EntityKey", "IsRelationshipAttributeDenormalized",
    "ReferencedEntityNavigationPropertyName", "ReferencingEntityNavigationPropertyName",
    "RelationshipBehavior", "IsDenormalizedLookup", "DenormalizedAttributeName",
    "AssociatedMenuConfiguration", "CascadeConfiguration", "RelationshipAttributes"})
_RELATIONSHIP_CASTS = {"OneToManyRelationshipMetadata": _ONE_TO_MANY,
                       "ManyToManyRelationshipMetadata": _MANY_TO_MANY}


def _relationship_type(document: Document) -> str:
    return f"{document['RelationshipType']}Metadata"


def _relationships(ctx: Context, catalog: Catalog, segments: list[Segment],
                   options: Options) -> Response:
    first, *rest = segments
    found = [*catalog.relationships, *catalog.associations]
    where = "RelationshipDefinitions"
    if first.key is not None:
        name, value = _named_key(first.key, ("SchemaName",))
        found = [d for d in found if d[name].lower() == value]
    cast = None
    if rest and rest[0].name.startswith(NAMESPACE):
        cast = rest.pop(0).name.removeprefix(NAMESPACE)
        if cast not in _RELATIONSHIP_CASTS:
            raise _segment(f"{NAMESPACE}{cast}")
        where += f"/{NAMESPACE}{cast}"
        found = [d for d in found if _relationship_type(d) == cast]
    properties = _RELATIONSHIP_CASTS.get(cast or "", _RELATIONSHIP_BASE)
    type_name = cast or "RelationshipMetadataBase"
    if first.key is not None:
        if not found:
            raise Fault(404, "0x80060888", "Could not find a relationship with the specified key.")
        row = _rows(found[:1], options._replace(filter=None), properties, type_name)[0]
        if cast is None:
            row = _typed(row, _relationship_type(found[0]))
        return Response(200, _json({**_context(ctx, where, options, True), **row}))
    if rest:
        raise _segment(rest[0].name)
    if cast is not None:
        rows = _rows(found, options, properties, type_name)
    else:
        rows = []
        for kind in _RELATIONSHIP_CASTS:
            some = [d for d in found if _relationship_type(d) == kind]
            rows.extend(_typed(row, kind) for row in _rows(some, options, properties, type_name))
    return _answer(_context(ctx, where, options), rows)


_OPTION_SET_BASE = frozenset({
    "MetadataId", "HasChanged", "IsCustomOptionSet", "IsGlobal", "IsManaged", "Name",
    "ExternalTypeName",
    "OptionSetType", "IntroducedVersion", "DisplayName", "Description", "IsCustomizable"})


def _option_sets(ctx: Context, catalog: Catalog, segments: list[Segment],
                 options: Options) -> Response:
    """Global choices; no $filter here, and a missing one is 404 with 0x80060888 (sheet 9.1)."""
    if options.filter is not None:
        raise _refuse("The query parameter $filter is not supported")
    first, *rest = segments
    found = list(catalog.global_option_sets.values())
    where = "GlobalOptionSetDefinitions"
    cast = None
    if rest and rest[0].name.startswith(NAMESPACE):
        cast = rest.pop(0).name.removeprefix(NAMESPACE)
        if cast not in ("OptionSetMetadata", "BooleanOptionSetMetadata"):
            raise _segment(f"{NAMESPACE}{cast}")
        where += f"/{NAMESPACE}{cast}"
        found = [d for d in found if ("Options" in d) == (cast == "OptionSetMetadata")]
    if first.key is None:
        if rest:
            raise _segment(rest[0].name)
        return _answer(_context(ctx, where, options),
                       [_option_set_row(d, cast, options) for d in found])
    name, value = _named_key(first.key, ("Name",))
    one = next((d for d in found if d[name].lower() == value), None)
    if one is None:
        raise Fault(404, "0x80060888", f"Could not find an optionset with specified name: {value}")
    if rest:
        return _one_property(ctx, one, rest[0].name, where)
    row = _option_set_row(one, cast, options)
    return Response(200, _json({**_context(ctx, where, options, True), **row}))


def _option_set_row(document: Document, cast: Optional[str], options: Options) -> Document:
    """Uncast, only base properties can be selected; without $select all of the set comes."""
    known: Iterable[str] = document if cast else _OPTION_SET_BASE
    _no_expand(options, "OptionSetMetadataBase")
    row = _select(document, options.select, _checker(known, cast or "OptionSetMetadataBase"))
    own = "OptionSetMetadata" if "Options" in document else "BooleanOptionSetMetadata"
    return row if cast == own else _typed(row, own)


_ROOTS: dict[str, Callable[[Context, Catalog, list[Segment], Options], Response]] = {
    "EntityDefinitions": _entities,
    "RelationshipDefinitions": _relationships,
    "GlobalOptionSetDefinitions": _option_sets,
}


# --- RetrieveMetadataChanges ------------------------------------------------------------------

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": lambda a, b: a == b,
    "NotEquals": lambda a, b: a != b,
    "In": lambda a, b: a in b,
    "NotIn": lambda a, b: a not in b,
    "GreaterThan": lambda a, b: a is not None and a > b,
    "LessThan": lambda a, b: a is not None and a < b,
}
_QUERY_MEMBERS = frozenset({"Properties", "Criteria", "AttributeQuery", "RelationshipQuery",
                            "KeyQuery",
                            "LabelQuery", "@odata.type"})
_PART_MEMBERS = frozenset({"Properties", "Criteria", "@odata.type"})
_METADATA_STAMP = re.compile(r"(\d+)!(\d\d)/(\d\d)/(\d{4}) (\d\d):(\d\d):(\d\d)")
_STAMP_DAYS = 90  #: organizations.expiresubscriptionsindays
_DELETED_FILTERS = frozenset({"Default", "Entity", "Attribute", "Relationship", "Label",
                              "OptionSet", "All"})


def retrieve_changes(ctx: Context, parameters: dict[str, Any]) -> Response:
    """RetrieveMetadataChanges (sheet 9.5).

    The model never changes while the service runs: a current stamp brings an empty list.
    """
    unknown = set(parameters) - {"Query", "DeletedMetadataFilters", "ClientVersionStamp",
                                 "AppModuleId",
                                 "RetrieveAllSettings"}
    if unknown:
        raise _refuse(f"The parameter '{min(unknown)}' is not a parameter of "
                      "RetrieveMetadataChanges.")
    query = parameters.get("Query") or {}
    _check_members(query, _QUERY_MEMBERS, "EntityQueryExpression")
    _check_deleted_filters(parameters.get("DeletedMetadataFilters"))
    stamp = parameters.get("ClientVersionStamp")
    if stamp:
        _check_stamp(ctx, stamp)
        found: list[Document] = []
    else:
        found = [_changed_entity(d, query) for d in catalog_of(ctx.model).definitions.values()
                 if _meets(d.entity, query.get("Criteria"))]
        found = _in_languages(found, query.get("LabelQuery"))
    return Response(200, _json({
        "@odata.context": f"{ctx.base}/$metadata#{NAMESPACE}RetrieveMetadataChangesResponse",
        "EntityMetadata": found,
        "ServerVersionStamp": _stamp(ctx),
        "DeletedMetadata": {"Count": 0, "IsReadOnly": False, "Keys": [], "Values": []},
    }))


def _check_members(query: Any, known: frozenset[str], type_name: str) -> None:
    if not isinstance(query, dict):
        raise _refuse(f"The value of type {NAMESPACE}{type_name} must be a JSON object.")
    for name in query:
        if name not in known:
            raise Fault(400, "0x80048D19",
                        f"The property '{name}' does not exist on type '{NAMESPACE}{type_name}'.")


def _check_deleted_filters(value: Any) -> None:
    if value is None:
        return
    names = str(value).removeprefix(f"{NAMESPACE}DeletedMetadataFilters").strip("'").split(",")
    if any(name.strip() not in _DELETED_FILTERS for name in names):
        raise _refuse(f"'{value}' is not a value of DeletedMetadataFilters.")


def _stamp(ctx: Context) -> str:
    text = values.moment_text(ctx.store.now())
    return f"1000000!{text[5:7]}/{text[8:10]}/{text[:4]} {text[11:19]}"


def _check_stamp(ctx: Context, stamp: Any) -> None:
    """A stamp lives 90 days; one that is none is as good as expired."""
    match = _METADATA_STAMP.fullmatch(str(stamp))
    made: Optional[int] = None
    if match:
        _, month, day, year, hour, minute, second = match.groups()
        made = values.parse_moment(f"{year}-{month}-{day}T{hour}:{minute}:{second}Z")
    if made is None or ctx.store.now() - made > _STAMP_DAYS * 86_400_000_000:
        raise Fault(400, "0x80044352", "Version stamp associated with the client has expired. "
                                       "Please "
                    "perform a full sync.")


def _wanted(part: Optional[Document]) -> Optional[set[str]]:
    """Names of a MetadataPropertiesExpression; None is all. Without one, nothing but identity."""
    if part is None:
        return set()
    properties = part.get("Properties")
    if properties is None:
        return set()
    _check_members(properties, frozenset({"AllProperties", "PropertyNames", "@odata.type"}),
                   "MetadataPropertiesExpression")
    return None if properties.get("AllProperties") else set(properties.get("PropertyNames") or ())


def _cut(document: Document, names: Optional[set[str]], kind: str) -> Document:
    """One item: what was asked for and what identifies it; everything else comes as null.

    The documentation of the message says so of the .NET objects and of the XML; a reader must
    take null and absence alike.
    """
    head = {"@odata.type": f"#{NAMESPACE}Complex{kind}"} if kind else {}
    if names is None:
        return {**head, **document}
    unknown = names - document.keys() - _CHANGE_COLLECTIONS.keys() - _any_attribute()
    if unknown:
        raise Fault(400, "0x80044183",
                    f"The property '{min(unknown)}' is not a valid metadata property.")
    wanted = names | _IDENTITY
    return {**head, **{name: value if name in wanted else None for name, value in document.items()}}


#: Always there, asked for or not.
_IDENTITY = frozenset({"MetadataId", "LogicalName", "HasChanged"})
#: Collection -> (member of the query that describes it, complex type of an item).
_CHANGE_COLLECTIONS = {
    "Attributes": ("AttributeQuery", ""),
    "Keys": ("KeyQuery", "EntityKeyMetadata"),
    "ManyToOneRelationships": ("RelationshipQuery", "OneToManyRelationshipMetadata"),
    "OneToManyRelationships": ("RelationshipQuery", "OneToManyRelationshipMetadata"),
    "ManyToManyRelationships": ("RelationshipQuery", "ManyToManyRelationshipMetadata"),
}


def _any_attribute() -> frozenset[str]:
    """A property of some attribute type may be named for all: those without it leave it out."""
    found = BASE_PROPERTIES | {"OptionSet"} | _ONE_TO_MANY | _MANY_TO_MANY
    return found.union(*SPECIFIC_PROPERTIES.values())


def _changed_entity(definition: Definition, query: Document) -> Document:
    names = _wanted(query)
    row = _cut(definition.entity, names, "EntityMetadata")
    for name, (part, kind) in _CHANGE_COLLECTIONS.items():
        if names is not None and name not in names:
            row[name] = None
            continue
        # A collection without a query of its own comes whole.
        inner = query.get(part)
        if inner is None:
            inner = {"Properties": {"AllProperties": True}}
        _check_members(inner, _PART_MEMBERS, f"{part}Expression")
        row[name] = _changed_items(definition, name, inner, kind)
    return row


def _changed_items(definition: Definition, name: str, part: Document, kind: str) -> list[Document]:
    names = _wanted(part)
    criteria = part.get("Criteria")
    if name == "Attributes":
        return [_cut(a.complex, names, a.cast) for a in definition.attributes if _meets(a.complex,
                                                                                        criteria)]
    return [_cut(d, names, kind) for d in definition.collection(name) if _meets(d, criteria)]


def _meets(document: Document, criteria: Optional[Document]) -> bool:
    """A MetadataFilterExpression."""
    if not criteria:
        return True
    _check_members(criteria, frozenset({"FilterOperator", "Filters", "Conditions", "@odata.type"}),
                   "MetadataFilterExpression")
    operator = criteria.get("FilterOperator", "And")
    if operator not in ("And", "Or"):
        raise _refuse(f"'{operator}' is not a value of LogicalOperator.")
    results = [_condition(document, c) for c in criteria.get("Conditions") or ()]
    results += [_meets(document, inner) for inner in criteria.get("Filters") or ()]
    if not results:
        return True
    return all(results) if operator == "And" else any(results)


def _condition(document: Document, condition: Document) -> bool:
    _check_members(condition,
                   frozenset({"ConditionOperator", "PropertyName", "Value", "@odata.type"}),
                   "MetadataConditionExpression")
    compare = _OPERATORS.get(str(condition.get("ConditionOperator")))
    if compare is None:
        raise _refuse(f"'{condition.get('ConditionOperator')}' is not a value of "
                      "MetadataConditionOperator.")
    name = str(condition.get("PropertyName"))
    if name not in document and name not in _any_attribute():
        raise Fault(400, "0x80044183", f"The property '{name}' is not a valid metadata property.")
    own = document.get(name)
    if isinstance(own, dict) and "Value" in own:  # managed properties and type names
        own = own["Value"]
    if isinstance(own, (dict, list)):
        raise Fault(400, "0x80044183", f"The property '{name}' cannot be used in a condition.")
    try:
        return compare(own, _condition_value(condition.get("Value")))
    except TypeError:
        raise _refuse(f"The value of the condition on '{name}' has the wrong type.") from None


_VALUE_TYPES = frozenset({
    "System.String", "System.Boolean", "System.Int32", "System.DateTime", "System.Guid",
    "Microsoft.Xrm.Sdk.Metadata.AttributeTypeDisplayName",
    "Microsoft.Xrm.Sdk.Metadata.OwnershipTypes",
    "Microsoft.Xrm.Sdk.Metadata.AttributeTypeCode",
    "Microsoft.Xrm.Sdk.Metadata.AttributeRequiredLevel",
    "Microsoft.Xrm.Sdk.Metadata.RelationshipType"})


def _condition_value(value: Any) -> Any:
    """``{"Type": "System.String", "Value": ".."}``; lists end their type in ``[]`` (sheet 9.5).

    How the list itself is written is not in the sources: a JSON array and the text of one are
    both taken.
    """
    if value is None:
        return None
    _check_members(value, frozenset({"Type", "Value", "@odata.type"}), "Object")
    type_name, own = str(value.get("Type")), value.get("Value")
    if type_name.endswith("[]"):
        if isinstance(own, str):
            try:
                own = json.loads(own.replace("'", '"'))
            except ValueError:
                raise _refuse(f"The value '{own}' of a condition is not a list.") from None
        if type_name[:-2] not in _VALUE_TYPES or not isinstance(own, list):
            raise _refuse(f"The type '{type_name}' of a condition's value is not supported.")
        return [_scalar(type_name[:-2], one) for one in own]
    if type_name not in _VALUE_TYPES:
        raise _refuse(f"The type '{type_name}' of a condition's value is not supported.")
    return _scalar(type_name, own)


def _scalar(type_name: str, own: Any) -> Any:
    """Values may come as text, whatever their type."""
    if type_name == "System.Boolean" and isinstance(own, str):
        return own.lower() == "true"
    if type_name == "System.Int32" and isinstance(own, str):
        return int(own)
    if type_name == "System.Guid" and isinstance(own, str):
        return own.lower()
    return own


def _in_languages(found: list[Document], label_query: Optional[Document]) -> list[Document]:
    """LabelQuery keeps the labels of some languages."""
    if not label_query:
        return found
    _check_members(label_query,
                   frozenset({"FilterLanguages", "MissingLabelBehavior", "@odata.type"}),
                   "LabelQueryExpression")
    languages = label_query.get("FilterLanguages") or []
    if LANGUAGE in languages or not languages:
        return found
    return [_without_labels(document) for document in found]


def _without_labels(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_labels(one) for one in node]
    if isinstance(node, dict):
        if "UserLocalizedLabel" in node:
            return {"LocalizedLabels": [], "UserLocalizedLabel": None}
        return {name: _without_labels(value) for name, value in node.items()}
    return node


# --- the service document and CSDL ------------------------------------------------------------


def service_document(ctx: Context) -> Response:
    sets = [{"name": t.set_name, "kind": "EntitySet",
             "url": t.set_name} for t in ctx.model.tables.values()]
    return Response(200, _json({"@odata.context": f"{ctx.base}/$metadata", "value": sets}))


def csdl(ctx: Context, raw_query: str) -> Response:
    """``$metadata``: types, keys, navigation, sets; a fraction of a real one (sheet 1.4)."""
    annotated = False
    for part in raw_query.split("&") if raw_query else ():
        name, _, value = unquote(part).partition("=")
        if name != "annotations":
            raise _refuse(f"The query parameter {name} is not supported")
        annotated = value.lower() == "true"
    lines = ['<?xml version="1.0" encoding="utf-8"?>',
             '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">',
             "<edmx:DataServices>",
             '<Schema Namespace="Microsoft.Dynamics.CRM" Alias="mscrm" '
             'xmlns="http://docs.oasis-open.org/odata/ns/edm">',
             '<EntityType Name="crmbaseentity" Abstract="true" />',
             '<EntityType Name="principal" BaseType="mscrm.crmbaseentity" Abstract="true">'
             '<Key><PropertyRef Name="ownerid" /></Key>'
             '<Property Name="ownerid" Type="Edm.Guid" /></EntityType>']
    for definition in catalog_of(ctx.model).definitions.values():
        lines += _entity_type(ctx, definition)
    lines.append('<EntityContainer Name="System">')
    for table in ctx.model.tables.values():
        lines.append(
            f'<EntitySet Name={quoteattr(table.set_name)} EntityType="mscrm.{table.name}">')
        if annotated and table.change_tracking:
            lines.append('<Annotation Term="Org.OData.Capabilities.V1.ChangeTracking"><Record>'
                         '<PropertyValue Property="Supported" Bool="true" /></Record></Annotation>')
        lines.append("</EntitySet>")
    lines += ["</EntityContainer>", "</Schema>", "</edmx:DataServices>", "</edmx:Edmx>"]
    return Response(200, "".join(lines).encode(), [("Content-Type", "application/xml")])


def _entity_type(ctx: Context, definition: Definition) -> list[str]:
    table = definition.table
    principal = table.name in ("systemuser", "team")
    lines = [f'<EntityType Name={quoteattr(table.name)} '
             f'BaseType="mscrm.{"principal" if principal else "crmbaseentity"}">']
    if not principal:
        lines.append(f'<Key><PropertyRef Name={quoteattr(table.primary_id)} /></Key>')
    for column in table.columns.values():
        if not column.attribute_of:
            lines.append(_edm_property(column))
    for relationship in ctx.model.many_to_one(table.name).values():
        lines.append(
            f'<NavigationProperty Name={quoteattr(relationship.many_to_one_navigation)} '
            f'Type="mscrm.{relationship.referenced}" Nullable="false" '
            f'Partner={quoteattr(relationship.one_to_many_navigation)}>'
            f'<ReferentialConstraint Property="_{relationship.referencing_attribute}_value" '
            f'ReferencedProperty={quoteattr(relationship.referenced_attribute)} />'
            "</NavigationProperty>")
    for relationship in ctx.model.one_to_many(table.name).values():
        lines.append(
            f'<NavigationProperty Name={quoteattr(relationship.one_to_many_navigation)} '
            f'Type="Collection(mscrm.{relationship.referencing})" '
            f'Partner={quoteattr(relationship.many_to_one_navigation)} />')
    for side in ctx.model.many_to_many(table.name).values():
        lines.append(f'<NavigationProperty Name={quoteattr(side.navigation)} '
                     f'Type="Collection(mscrm.{side.other})" '
                     f'Partner={quoteattr(side.other_navigation)} />')
    lines.append("</EntityType>")
    return lines


def _edm_property(column: Column) -> str:
    edm = values.edm(column)
    unicode = ' Unicode="false"' if edm == "Edm.String" else ""
    scale = ' Scale="Variable"' if edm == "Edm.Decimal" else ""
    return f'<Property Name={quoteattr(column.property_name)} Type="{edm}"{unicode}{scale} />'
