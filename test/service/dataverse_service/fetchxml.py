"""FetchXML text to a small tree (sheet 2.12.2, 2.12.3).

Only the form is judged here; tables and columns are judged in ``fetchjoin``. Elements and
attributes that are not known are errors, never ignored. Codes beyond the sheet's are those of the
published list of web service error codes.
"""
from __future__ import annotations

import dataclasses
import re
from typing import Any, Callable, Optional, Union
from xml.etree import ElementTree

from .core import Fault

MALFORMED = "0x80040303"


def fault(code: str, message: str) -> Fault:
    return Fault(400, code, message)


def malformed(message: str) -> Fault:
    return fault(MALFORMED, f"Invalid XML. {message}")


# --- Trees ---------------------------------------------------------------------------------


@dataclasses.dataclass
class Attribute:
    """One ``<attribute>``."""

    name: str
    alias: Optional[str] = None
    aggregate: Optional[str] = None
    groupby: bool = False
    distinct: bool = False
    dategrouping: Optional[str] = None
    usertimezone: bool = True
    rowaggregate: Optional[str] = None


@dataclasses.dataclass
class Order:
    attribute: Optional[str] = None
    alias: Optional[str] = None
    descending: bool = False
    entityname: Optional[str] = None


@dataclasses.dataclass
class Condition:
    attribute: str
    operator: str
    value: Optional[str] = None
    values: tuple[str, ...] = ()
    entityname: Optional[str] = None
    valueof: Optional[str] = None


@dataclasses.dataclass
class Filter:
    type: str = "and"
    items: list[Union[Condition, "Filter", "Link"]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Body:
    """What ``<entity>`` and ``<link-entity>`` have in common."""

    name: str
    attributes: list[Attribute] = dataclasses.field(default_factory=list)
    all_attributes: bool = False
    orders: list[Order] = dataclasses.field(default_factory=list)
    filters: list[Filter] = dataclasses.field(default_factory=list)
    links: list["Link"] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Link(Body):
    source: str = ""  #: ``from``: column of the linked table
    to: str = ""  #: column of the parent
    type: str = "inner"
    alias: Optional[str] = None
    intersect: bool = False


@dataclasses.dataclass
class Fetch:
    entity: Body
    top: Optional[int] = None
    count: Optional[int] = None
    page: Optional[int] = None
    paging_cookie: Optional[str] = None
    returntotalrecordcount: bool = False
    distinct: bool = False
    aggregate: bool = False
    aggregatelimit: Optional[int] = None
    useraworderby: bool = False

    @property
    def page_number(self) -> int:
        return self.page or 1


# --- Values of attributes ------------------------------------------------------------------

_ALIAS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

#: Links that are joined, and links that are conditions inside of a filter.
JOINS = ("inner", "outer", "exists", "in", "matchfirstrowusingcrossapply")
CONDITIONS = ("any", "not any", "all", "not all")
AGGREGATES = ("avg", "count", "countcolumn", "max", "min", "sum")
DATE_GROUPINGS = ("day", "week", "month", "quarter", "year", "fiscal-period", "fiscal-year")

_Reader = Callable[[str, str], Any]


def _text(name: str, text: str) -> str:
    return text


def _ignored(name: str, text: str) -> None:
    """Accepted and without effect on the rows."""


def _flag(code: str = MALFORMED) -> _Reader:
    def read(name: str, text: str) -> bool:
        if text not in ("true", "false", "1", "0"):
            raise fault(code, f"The only valid values for {name} attribute are 'true', 'false', "
                        "'1', and '0'.")
        return text in ("true", "1")
    return read


def _ignored_flag(code: str = MALFORMED) -> _Reader:
    read = _flag(code)
    return lambda name, text: (read(name, text), None)[1]


def _positive(code: str) -> _Reader:
    def read(name: str, text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or int(text) < 1:
            raise fault(code, f"A value greater than zero must be specified. Attribute '{name}': "
                        f"'{text}'.")
        return int(text)
    return read


def _one_of(code: str, *words: str) -> _Reader:
    def read(name: str, text: str) -> str:
        if text not in words:
            raise fault(code, f"Invalid value '{text}' for attribute '{name}'. Valid values are "
                        f"{', '.join(repr(w) for w in words)}.")
        return text
    return read


def _alias(name: str, text: str) -> str:
    if not _ALIAS.fullmatch(text):
        raise fault("0x80041109", f"Invalid alias '{text}': an alias must match "
                    "^[A-Za-z_][A-Za-z0-9_]*$.")
    return text


def not_here(what: str) -> Fault:
    return Fault(501, "0x80040315", f"{what}: not implemented by this service.")


def _absent(wanted: str = "") -> _Reader:
    """Known to Dataverse; this service has no data for it."""
    def read(name: str, text: str) -> None:
        if text != wanted:
            raise not_here(f"FetchXML attribute {name}='{text}'")
    return read


#: element -> attribute -> (field of the tree, reader)
_ATTRIBUTES: dict[str, dict[str, tuple[Optional[str], _Reader]]] = {
    "fetch": {
        "top": ("top", _positive("0x80041127")), "count": ("count", _positive("0x8004110C")),
        "page": ("page", _positive("0x8004110C")), "paging-cookie": ("paging_cookie", _text),
        "returntotalrecordcount": ("returntotalrecordcount", _flag()),
        "distinct": ("distinct", _flag("0x80041115")), "aggregate": ("aggregate", _flag()),
        "aggregatelimit": ("aggregatelimit", _positive("0x8004110C")),
        "useraworderby": ("useraworderby", _flag("0x800410FD")),
        # Hints, and what designers write into every query.
        "latematerialize": (None, _ignored_flag()), "no-lock": (None, _ignored_flag("0x80041118")),
        "options": (None, _ignored), "version": (None, _ignored),
        "output-format": (None, _ignored),
        "mapping": (None, _one_of("0x80041116", "logical", "internal")),
        "datasource": (None, _absent()),
    },
    "entity": {"name": ("name", _text)},
    "link-entity": {
        "name": ("name", _text), "from": ("source", _text), "to": ("to", _text),
        "link-type": ("type", _one_of("0x80041117", *JOINS, *CONDITIONS)),
        "alias": ("alias", _alias), "intersect": ("intersect", _flag()),
        "visible": (None, _ignored_flag()),
    },
    "attribute": {
        "name": ("name", _text), "alias": ("alias", _alias),
        "aggregate": ("aggregate", _one_of("0x8004111A", *AGGREGATES)),
        "groupby": ("groupby", _flag("0x8004112E")), "distinct": ("distinct", _flag("0x80041115")),
        "dategrouping": ("dategrouping", _one_of("0x80041135", *DATE_GROUPINGS)),
        "usertimezone": ("usertimezone", _flag()),
        "rowaggregate": ("rowaggregate", _absent()),
    },
    "all-attributes": {},
    "order": {
        "attribute": ("attribute", _text), "alias": ("alias", _text),
        "entityname": ("entityname", _text), "descending": ("descending", _flag("0x80041119")),
    },
    "filter": {
        "type": ("type", _one_of("0x80041122", "and", "or")),
        "hint": (None, _one_of(MALFORMED, "union")),
        "isquickfindfields": (None, _absent("false")),
        "overridequickfindrecordlimitenabled": (None, _ignored_flag()),
    },
    "condition": {
        "attribute": ("attribute", _text), "operator": ("operator", _text),
        "value": ("value", _text), "entityname": ("entityname", _text),
        "valueof": ("valueof", _text),
        # What the designer shows beside a lookup's id.
        "uiname": (None, _ignored), "uitype": (None, _ignored), "uihidden": (None, _ignored),
    },
    "value": {"uiname": (None, _ignored), "uitype": (None, _ignored)},
}

_REQUIRED = {"entity": ("name",), "link-entity": ("name", "from", "to"), "attribute": ("name",),
             "condition": ("attribute", "operator")}


# --- Elements ------------------------------------------------------------------------------


def _fields(element: ElementTree.Element) -> dict[str, Any]:
    """The attributes of an element as fields of its tree."""
    known = _ATTRIBUTES[element.tag]
    fields: dict[str, Any] = {}
    for name, text in element.attrib.items():
        if name not in known:
            raise malformed(f"The '{name}' attribute is not declared for the element "
                            f"'{element.tag}'.")
        field, read = known[name]
        value = read(name, text)
        if field is not None:
            fields[field] = value
    for name in _REQUIRED.get(element.tag, ()):
        if not element.get(name):
            raise fault("0x8004111E", f"A required attribute was not specified: '{name}' of the "
                        f"element '{element.tag}'.")
    return fields


def _bare(element: ElementTree.Element) -> None:
    """Text between elements is no FetchXML."""
    if (element.text and element.text.strip()) or any(c.tail and c.tail.strip() for c in element):
        raise malformed(f"The element '{element.tag}' cannot contain text.")


def _leaf(element: ElementTree.Element) -> dict[str, Any]:
    for child in element:
        raise _wrong_child(element, child)
    _bare(element)
    return _fields(element)


def _wrong_child(element: ElementTree.Element, child: ElementTree.Element) -> Fault:
    return fault("0x8004111C", "The element node encountered is invalid: "
                 f"'{child.tag}' in '{element.tag}'.")


def _condition(element: ElementTree.Element) -> Condition:
    _bare(element)
    values = []
    for child in element:
        if child.tag != "value":
            raise _wrong_child(element, child)
        if len(child):
            raise _wrong_child(child, child[0])
        _fields(child)
        values.append(child.text or "")
    return Condition(values=tuple(values), **_fields(element))


def _filter(element: ElementTree.Element) -> Filter:
    _bare(element)
    found = Filter(**_fields(element))
    for child in element:
        if child.tag == "condition":
            found.items.append(_condition(child))
        elif child.tag == "filter":
            found.items.append(_filter(child))
        elif child.tag == "link-entity":
            found.items.append(_link(child, CONDITIONS))
        else:
            raise _wrong_child(element, child)
    return found


def _link(element: ElementTree.Element, allowed: tuple[str, ...]) -> Link:
    fields = _fields(element)
    link = Link(**fields)
    if link.type not in allowed:
        where = "only inside" if link.type in CONDITIONS else "only outside"
        raise fault("0x80041117", f"The link-type '{link.type}' can be used {where} of a filter.")
    _fill(element, link)
    return link


def _fill(element: ElementTree.Element, body: Body) -> None:
    _bare(element)
    for child in element:
        if child.tag == "attribute":
            body.attributes.append(Attribute(**_leaf(child)))
        elif child.tag == "all-attributes":
            _leaf(child)
            body.all_attributes = True
        elif child.tag == "order":
            body.orders.append(Order(**_leaf(child)))
        elif child.tag == "filter":
            body.filters.append(_filter(child))
        elif child.tag == "link-entity":
            body.links.append(_link(child, JOINS))
        else:
            raise _wrong_child(element, child)


def parse(text: str) -> Fetch:
    """The tree of a FetchXML document."""
    if not text.strip():
        raise fault("0x80041124", "Xml String can't be null.")
    if "<!DOCTYPE" in text:
        raise malformed("A document type declaration is not allowed.")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise malformed(str(error)) from None
    if root.tag != "fetch":
        raise malformed(f"The root element must be 'fetch', not '{root.tag}'.")
    _bare(root)
    for child in root:
        if child.tag != "entity":
            raise _wrong_child(root, child)
    if len(root) != 1:
        raise fault("0x80041123", "A required element was not specified: one 'entity' in 'fetch'.")
    fields = _fields(root)
    entity = Body(**_fields(root[0]))
    try:
        _fill(root[0], entity)
    except RecursionError:
        raise malformed("The query is nested too deeply.") from None
    fetch = Fetch(entity, **fields)
    _check(fetch)
    return fetch


# --- What does not go together (sheet 2.12.2, 2.12.6) --------------------------------------

MAX_TOP = 5000


def _check(fetch: Fetch) -> None:
    if fetch.top is not None:
        if fetch.top > MAX_TOP:
            raise fault("0x80040203", f"The value of top must not be larger than {MAX_TOP}.")
        for name, used in (("page", fetch.page), ("count", fetch.count),
                           ("paging-cookie", fetch.paging_cookie),
                           ("returntotalrecordcount", fetch.returntotalrecordcount),
                           ("aggregate", fetch.aggregate)):
            if used:
                raise fault("0x80040203", f"The top attribute can't be specified with {name}.")
    if fetch.aggregate and fetch.distinct:
        raise fault("0x80040203", "An aggregate query cannot be distinct.")
    if fetch.aggregatelimit is not None and not fetch.aggregate:
        raise fault("0x80040203", "aggregatelimit needs an aggregate query.")
    for body in bodies(fetch.entity):
        _check_body(fetch, body)


def bodies(body: Body) -> list[Body]:
    """The entity and its joined links, in document order."""
    found = [body]
    for link in body.links:
        found.extend(bodies(link))
    return found


def _check_body(fetch: Fetch, body: Body) -> None:
    for attribute in body.attributes:
        (_check_aggregate if fetch.aggregate else _check_plain)(attribute)
    if fetch.aggregate and body.all_attributes:
        raise _neither("<all-attributes />")
    for order in body.orders:
        _check_order(fetch, order)


def _neither(node: str) -> Fault:
    return fault("0x80041107", "An attribute can not be requested when an aggregate operation has "
                 f"been specified and its neither groupby not aggregate. NodeXml : {node}")


def _check_aggregate(attribute: Attribute) -> None:
    node = f'<attribute name="{attribute.name}" />'
    if attribute.aggregate is None and not attribute.groupby:
        raise _neither(node)
    if attribute.alias is None:
        raise fault("0x80041107", "An alias must be specified for every attribute in an aggregate "
                    f"query. NodeXml: {node}")
    if attribute.aggregate is not None and attribute.groupby:
        raise fault("0x8004111A", f"An attribute is either grouped or aggregated. NodeXml: {node}")
    if attribute.distinct and attribute.aggregate != "countcolumn":
        raise fault("0x8004111A", f"distinct needs aggregate='countcolumn'. NodeXml: {node}")
    if attribute.dategrouping is not None and not attribute.groupby:
        raise fault("0x80041135", f"dategrouping needs groupby='true'. NodeXml: {node}")


def _check_plain(attribute: Attribute) -> None:
    if attribute.aggregate is not None or attribute.groupby or attribute.distinct \
            or attribute.dategrouping is not None:
        raise fault("0x8004111A", "Aggregates and groups need aggregate='true' on the fetch "
                    f"element. Attribute '{attribute.name}'.")


def _check_order(fetch: Fetch, order: Order) -> None:
    """By alias in an aggregate query, by attribute in any other (sheet 2.12.6)."""
    if fetch.aggregate:
        if order.attribute is not None:
            raise fault("0x80041131", "An attribute cannot be specified for an order clause for an "
                        "aggregate Query. Use an alias")
        if order.alias is None:
            raise fault("0x80041134", "An alias is required for an order clause for an aggregate "
                        "Query.")
    else:
        if order.alias is not None:
            raise fault("0x80041132", "An alias cannot be specified for an order clause for a "
                        "non-aggregate Query. Use an attribute")
        if order.attribute is None:
            raise fault("0x80041133", "An attribute is required for an order clause for a "
                        "non-aggregate Query.")
