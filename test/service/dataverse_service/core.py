"""The words every other module uses: tables and columns, one request, one answer, one fault.

No behaviour lives here and nothing here imports another module of the package.

How a column is stored in SQLite (table = logical name, column = logical name):

===================  ========================================================================
kind                 storage
===================  ========================================================================
String, Memo,        ``c`` TEXT as written and ``c__f`` TEXT, the same folded by the environment's
EntityName           collation (case, accents by quirk); every comparison reads ``c__f``
Integer, Picklist,   ``c`` INTEGER
State, Status,
BigInt
Boolean              ``c`` INTEGER 0/1
Decimal, Money       ``c`` TEXT, the digits as they are rendered, and ``c__s`` TEXT, a key of fixed
                     width whose byte order is numeric order; comparisons read ``c__s``
Double               ``c`` REAL, rounded to the column's precision when written
DateTime             ``c`` INTEGER, microseconds since 1970-01-01T00:00:00Z (UserLocal and
                     TimeZoneIndependent); ``c`` TEXT ``yyyy-mm-dd`` (DateOnly)
Uniqueidentifier     ``c`` TEXT, 36 characters, lower case
Lookup, Customer,    ``c`` TEXT, the id, and ``c__t`` TEXT, the logical name of the row's target
Owner
MultiSelectPicklist  ``c`` TEXT, ``1,9``: ascending, without blanks
Image                ``c`` TEXT, base64 of the thumbnail, and ``c__full`` TEXT, of the image itself
                     where the column keeps it
===================  ========================================================================

Absent is NULL in all of the columns that belong to one attribute.
"""
from __future__ import annotations

import dataclasses
import enum
from typing import Any, Optional


class Kind(enum.Enum):
    """AttributeTypeName without its ``Type`` ending (sheet 3.1)."""

    STRING = "String"
    MEMO = "Memo"
    ENTITY_NAME = "EntityName"
    INTEGER = "Integer"
    BIGINT = "BigInt"
    DECIMAL = "Decimal"
    DOUBLE = "Double"
    MONEY = "Money"
    BOOLEAN = "Boolean"
    PICKLIST = "Picklist"
    STATE = "State"
    STATUS = "Status"
    MULTISELECT = "MultiSelectPicklist"
    DATETIME = "DateTime"
    GUID = "Uniqueidentifier"
    LOOKUP = "Lookup"
    CUSTOMER = "Customer"
    OWNER = "Owner"
    IMAGE = "Image"

    @property
    def is_text(self) -> bool:
        return self in (Kind.STRING, Kind.MEMO, Kind.ENTITY_NAME)

    @property
    def is_lookup(self) -> bool:
        return self in (Kind.LOOKUP, Kind.CUSTOMER, Kind.OWNER)

    @property
    def is_choice(self) -> bool:
        return self in (Kind.PICKLIST, Kind.STATE, Kind.STATUS)


@dataclasses.dataclass(frozen=True)
class Option:
    value: int
    label: str
    state: Optional[int] = None  #: Status options: the state they belong to
    default_status: Optional[int] = None  #: State options


@dataclasses.dataclass
class Column:
    name: str  #: logical name
    kind: Kind
    schema_name: str = ""
    display_name: str = ""
    required: str = "None"  #: None, SystemRequired, ApplicationRequired, Recommended
    max_length: int = 100  #: String, Memo: characters
    precision: int = 2  #: Decimal 0..10, Double 0..5, Money 0..4: digits after the point
    min_value: Any = None  #: numbers, as int or decimal text
    max_value: Any = None
    behavior: str = "UserLocal"  #: DateTime: UserLocal, DateOnly, TimeZoneIndependent
    format: str = ""  #: DateTime: DateOnly or DateAndTime; String: Text, Email, Url, Phone
    options: tuple[Option, ...] = ()  #: choices, state, status, multi-select; Boolean: (false, true)
    option_set: str = ""  #: name of the option set; global when ``option_set_global``
    option_set_global: bool = False
    targets: tuple[str, ...] = ()  #: lookups: logical names
    navigation: dict[str, str] = dataclasses.field(default_factory=dict)
    """Lookups: target logical name -> navigation property, case-exact (sheet 1.3)."""
    readable: bool = True
    creatable: bool = True
    updatable: bool = True
    is_primary_id: bool = False
    is_primary_name: bool = False
    source_type: int = 0  #: 0 simple, 1 calculated, 2 rollup, 3 formula
    max_size_kb: int = 10240  #: images
    full_image: bool = False  #: images: CanStoreFullImage
    keeps_empty: bool = False  #: a system text column that really stores '' (sheet 3.7)
    auto_number: str = ""
    attribute_of: str = ""  #: companion columns that metadata lists and the Web API lacks (sheet 3.2)
    hidden: bool = False  #: column security: the caller may not read it (sheet 3.7)
    entity: str = ""  #: logical name of the table it belongs to, for messages; tables.py fills it

    @property
    def property_name(self) -> str:
        """Name of the column in rows, $select and $filter."""
        return f"_{self.name}_value" if self.kind.is_lookup else self.name


@dataclasses.dataclass
class Key:
    name: str
    columns: tuple[str, ...]  #: logical names
    status: str = "Active"  #: Pending, InProgress, Active, Failed
    display_name: str = ""


@dataclasses.dataclass(frozen=True)
class Relationship:
    """One 1:N relationship; N:1 seen from ``referencing``."""

    schema_name: str
    referenced: str  #: table on the one side
    referenced_attribute: str
    referencing: str  #: table on the many side
    referencing_attribute: str  #: the lookup's logical name
    many_to_one_navigation: str  #: single-valued, on the referencing table
    one_to_many_navigation: str  #: collection-valued, on the referenced table
    restrict_delete: bool = False
    cascade_delete: bool = False


@dataclasses.dataclass(frozen=True)
class Association:
    """One N:N relationship as one of its tables sees it."""

    schema_name: str
    navigation: str  #: collection-valued, on ``table``
    table: str
    attribute: str  #: column of the intersect table that holds ``table``'s id
    intersect: str  #: logical name of the intersect table
    other: str
    other_attribute: str
    other_navigation: str

    def reversed(self) -> Association:
        return Association(self.schema_name, self.other_navigation, self.other,
                           self.other_attribute, self.intersect, self.table, self.attribute,
                           self.navigation)


@dataclasses.dataclass
class Table:
    name: str  #: logical name
    set_name: str
    schema_name: str
    primary_id: str
    primary_name: str
    columns: dict[str, Column]  #: by logical name, in metadata order
    keys: list[Key] = dataclasses.field(default_factory=list)
    display_name: str = ""
    table_type: str = "Standard"  #: Standard, Elastic, Virtual
    object_type_code: int = 0
    is_activity: bool = False
    is_custom: bool = False
    is_intersect: bool = False
    is_private: bool = False
    change_tracking: bool = True
    optimistic_concurrency: bool = True
    bulk: frozenset[str] = frozenset({"CreateMultiple", "UpdateMultiple"})
    """Messages listed in sdkmessagefilters; UpsertMultiple works where both are there (sheet 5.5)."""
    solutions: tuple[str, ...] = ("Default",)  #: unique names of the solutions that hold the table
    read_only: bool = False

    def by_property(self, prop: str) -> Optional[Column]:
        """The column whose property name this is, or None. Case counts (sheet 1.3)."""
        if prop.startswith("_") and prop.endswith("_value"):
            column = self.columns.get(prop[1:-6])
            return column if column is not None and column.kind.is_lookup else None
        column = self.columns.get(prop)
        if column is None or column.kind.is_lookup or column.attribute_of:
            return None
        return column


@dataclasses.dataclass
class Model:
    tables: dict[str, Table]  #: by logical name
    relationships: list[Relationship]
    associations: list[Association] = dataclasses.field(default_factory=list)  #: N:N, one side each

    def __post_init__(self) -> None:
        self.by_set = {t.set_name: t for t in self.tables.values()}

    def many_to_one(self, table: str) -> dict[str, Relationship]:
        """Single-valued navigation properties of a table."""
        return {r.many_to_one_navigation: r for r in self.relationships if r.referencing == table}

    def one_to_many(self, table: str) -> dict[str, Relationship]:
        """Collection-valued navigation properties of a table."""
        return {r.one_to_many_navigation: r for r in self.relationships if r.referenced == table}

    def many_to_many(self, table: str) -> dict[str, Association]:
        """Collection-valued navigation properties of N:N relationships, from both sides."""
        sides = [side for a in self.associations for side in (a, a.reversed())]
        return {side.navigation: side for side in sides if side.table == table}


@dataclasses.dataclass
class Quirks:
    """What the documentation leaves open (sheet, section 15), as switches: ``--quirk NAME=VALUE``.

    The first value of each is the default.
    """

    ne_null: str = "returned"  #: returned | dropped: rows with null under ``ne`` and ``not (c eq v)``
    not_like_null: str = "returned"  #: returned | dropped: rows with null under ``not contains(..)`` and kin
    null_order: str = "first"  #: first | last: place of nulls in an ascending order
    fractions: str = "cut"  #: cut | stored: fractions of seconds are cut when written, or stored and not returned
    trailing_blanks: str = "ignored"  #: ignored | significant: in ``eq`` on text
    accents: str = "insensitive"  #: insensitive | sensitive (sheet 2.3.4: by base language)
    empty_string: str = "null"  #: null | kept: '' written to an ordinary text column
    top_and_page: str = "top_ignored"  #: top_ignored | page_ignored: $top with odata.maxpagesize
    sum_of_nothing: str = "absent"  #: absent | zero: sum over no rows
    eq_wildcards: str = "literal"  #: literal | honoured: % _ [ in ``eq``
    bind_null: str = "accepted"  #: accepted | refused | ignored: "nav@odata.bind": null (sheet 3.5)
    failed_changeset: str = "nested"  #: nested | plain: shape of a failed change set's part (sheet 5.7)
    count_bom: str = "sent"  #: sent | absent: the byte-order mark before /$count
    compression: str = "gzip"  #: gzip | none: whether Accept-Encoding: gzip is honoured
    related_null: str = "returned"  #: returned | dropped: ``lookup/col eq null`` where the lookup is null
    date_literals: str = "accepted"  #: accepted | refused: ``2024-01-31`` against a date with time
    quoted_guid: str = "refused"  #: refused | accepted: ``_x_value eq '<guid>'``
    in_counts: str = "once"  #: once | each: what a value of In counts toward the 500 conditions
    top_over_limit: str = "refused"  #: refused | cut: $top above 5,000
    countdistinct: str = "refused"  #: refused | accepted: in $apply
    group_dates: str = "refused"  #: refused | accepted: a date column in groupby
    alias_clash: str = "refused"  #: refused | accepted: an $apply alias that is a column's name
    cookie_page: str = "stuck"  #: stuck | counted: pagenumber in FetchXML's cookie annotation stays 2
    distinct_order: str = "stable"  #: stable | shifting: distinct FetchXML without order, over pages
    lookup_under_alias: str = "plain"  #: plain | value: ``a.ownerid`` or ``a._ownerid_value``
    entity_id_with_row: str = "absent"  #: absent | sent: OData-EntityId beside a created row's body
    expand_on_create: str = "honoured"  #: honoured | ignored: $expand with return=representation
    elastic_if_match: str = "refused"  #: refused | compared | ignored: an elastic row's etag in If-Match
    delete_unversioned: str = "refused"  #: refused | ignored: DELETE with an etag, table without versions
    partition_on_patch: str = "ignored"  #: ignored | used: ?partitionId= of a PATCH
    null_of_other_target: str = "cleared"  #: cleared | kept: null under a polymorphic lookup's other name
    validation_codes: str = "classic"  #: classic | newer: codes of choices, ranges and lengths (sheet 3.7)
    error_code: str = "mixed"  #: mixed | lower | upper | empty: spelling of ``code`` (sheet 7.4)
    duplicate_status: str = "412"  #: 412 | 500: status of 0x80040333
    bulk_details: str = "plugin"  #: plugin | plain | absent: annotation of elastic errors (sheet 5.4)
    batch_status: str = "failed"  #: failed | ok: outer status of a batch that stopped
    batch_counts: str = "once"  #: once | each: what a batch counts against the requests of 7.1
    relative_parts: str = "accepted"  #: accepted | refused: ``accounts`` as the URL of a batch part
    part_length: str = "optional"  #: optional | required: Content-Length of a part with a body
    outer_mscrm: str = "ignored"  #: ignored | applied: ``MSCRM.*`` headers of the batch itself
    fetch_times: str = "utc"  #: utc | zoned: FetchXML times without an offset are UTC, or of a user's zone elsewhere


@dataclasses.dataclass
class Response:
    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """Without the standard ones (Content-Length, OData-Version, REQ_ID …), which app.py adds;
    Content-Type is put here only when it is not ``application/json; odata.metadata=minimal``."""
    volatile: bool = dataclasses.field(default=False, kw_only=True)
    """Depends on the clock: never kept."""


class Fault(Exception):
    """An answer of the service that is an error; ``code`` is ``0x8...`` as the sheet spells it."""

    def __init__(self, status: int, code: str, message: str, **annotations: str):
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.annotations = annotations
        """Members added to the error object when the caller asked for annotations,
        full name -> value, e.g. ``{"@Microsoft.PowerApps.CDS.ErrorDetails.DuplicateAttributes": ".."}``
        (pass them with ``Fault(..., **{"@Microsoft...": ".."})``)."""
        self.headers: list[tuple[str, str]] = []


@dataclasses.dataclass
class Prefs:
    """The Prefer header(s), parsed by app.py."""

    max_page_size: Optional[int] = None  #: as asked, not yet cut to the table's maximum
    annotations: tuple[str, ...] = ()  #: entries of odata.include-annotations: names, ``*``, prefix + ``*``
    representation: bool = False
    continue_on_error: bool = False
    track_changes: bool = False
    error_code: str = "mixed"  #: Quirks.error_code

    def wants(self, annotation: str) -> bool:
        """Is this annotation (without ``@``) asked for?"""
        return any(
            a == "*" or a == annotation or (a.endswith("*") and annotation.startswith(a[:-1]))
            for a in self.annotations
        )


@dataclasses.dataclass
class Context:
    """One request as the handlers see it."""

    model: Model
    store: Any  #: store.Store
    quirks: Quirks
    base: str  #: ``http://127.0.0.1:1234/api/data/v9.2``, no slash at the end
    prefs: Prefs
    headers: dict[str, str]  #: request headers, names in lower case
    user_id: str  #: systemuserid of the caller
    in_batch: bool = False
    custom: Any = None  #: custom.Custom where the environment has some, else None
    skipped: Any = None  #: custom.Skipped
    detect_duplicates: bool = False
    limits: Any = None  #: control.Limits
    max_url: int = 32768  #: 65536 inside $batch (sheet 1.7)
