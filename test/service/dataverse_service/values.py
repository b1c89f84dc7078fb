"""Values on their way in and out: wire JSON, SQLite storage, formatted text (sheet 3).

``core`` describes the storage of each kind. Decimals and money never pass through a float.
"""
from __future__ import annotations

import base64
import binascii
import datetime
import decimal
import functools
import json
import re
from decimal import Decimal
from typing import Any, Callable, Optional

from . import collation, images
from .core import Column, Fault, Kind, Quirks

_EPOCH = datetime.datetime(1970, 1, 1)
_MICROSECOND = datetime.timedelta(microseconds=1)

#: Money is stored with four decimals and a decimal column with ten, whatever the column's
#: precision: that is what the wire shows (sheet 2.1.1, 3.4).
MONEY_SCALE = 4
DECIMAL_SCALE = 10

INT32 = (-(2**31), 2**31 - 1)
INT64 = (-(2**63), 2**63 - 1)

_EDM = {
    Kind.STRING: "Edm.String", Kind.MEMO: "Edm.String", Kind.ENTITY_NAME: "Edm.String",
    Kind.INTEGER: "Edm.Int32", Kind.BIGINT: "Edm.Int64", Kind.DECIMAL: "Edm.Decimal",
    Kind.DOUBLE: "Edm.Double", Kind.MONEY: "Edm.Decimal", Kind.BOOLEAN: "Edm.Boolean",
    Kind.PICKLIST: "Edm.Int32", Kind.STATE: "Edm.Int32", Kind.STATUS: "Edm.Int32",
    Kind.MULTISELECT: "Edm.String", Kind.GUID: "Edm.Guid", Kind.LOOKUP: "Edm.Guid",
    Kind.CUSTOMER: "Edm.Guid", Kind.OWNER: "Edm.Guid", Kind.IMAGE: "Edm.Binary",
}


def edm(column: Column) -> str:
    """The Edm type of a column's property (sheet 3.1)."""
    if column.kind is Kind.DATETIME:
        return "Edm.Date" if column.behavior == "DateOnly" else "Edm.DateTimeOffset"
    return _EDM[column.kind]


def storage_columns(column: Column) -> list[str]:
    """The SQLite columns that hold one attribute; none for a companion column."""
    if column.attribute_of:
        return []
    if column.kind.is_text:
        return [column.name, column.name + "__f"]
    if column.kind in (Kind.DECIMAL, Kind.MONEY):
        return [column.name, column.name + "__s"]
    if column.kind.is_lookup:
        return [column.name, column.name + "__t"]
    if column.kind is Kind.IMAGE:
        return [column.name, column.name + "__full"]
    return [column.name]


def empty(column: Column) -> dict[str, Any]:
    """Storage columns of a column without a value."""
    return dict.fromkeys(storage_columns(column))


def compare_column(column: Column) -> str:
    """The SQLite column that comparisons and indexes read."""
    if column.kind.is_text:
        return column.name + "__f"
    if column.kind in (Kind.DECIMAL, Kind.MONEY):
        return column.name + "__s"
    return column.name


@functools.lru_cache(maxsize=16384)
def sort_key(decimal_text: str) -> str:
    """A text of fixed width whose byte order is numeric order.

    One sign digit, 20 integer digits, 12 fraction digits; below zero the digits' nines
    complement. Digits past the twelfth are cut: no column has them.
    """
    text = decimal_text.strip()
    if "e" in text or "E" in text:
        text = f"{Decimal(text):f}"
    negative = text.startswith("-")
    whole, _, fraction = text.lstrip("+-").partition(".")
    digits = whole.lstrip("0").rjust(20, "0") + fraction[:12].ljust(12, "0")
    if len(digits) > 32:  # beyond anything stored: saturate, so that comparisons stay right
        digits = "9" * 32
    if negative and digits.strip("0"):
        return "0" + digits.translate(_COMPLEMENT)
    return "1" + digits


_COMPLEMENT = str.maketrans("0123456789", "9876543210")


# --- in -------------------------------------------------------------------------------------


def conversion_fault(column: Column, value: Any) -> Fault:
    """A value of the wrong JSON type (sheet 3.5)."""
    shown = value if isinstance(value, str) else json.dumps(value, default=str)
    return Fault(
        400,
        "0x80048D19",
        f"Error identified in Payload provided by the user for Entity :'{column.entity}', For more "
        "information on this error please follow this help link "
        "https://go.microsoft.com/fwlink/?linkid=2195293  ---->  InnerException : "
        f"Microsoft.OData.ODataException: Cannot convert the literal '{shown}' to the expected "
        f"type '{edm(column)}'.",
    )


def _range_fault(column: Column, value: Any, code: str, quirks: Quirks) -> Fault:
    return Fault(
        400,
        code if quirks.validation_codes == "classic" else "0x80061004",
        f"A validation error occurred.  The value {value} of '{column.name}' on record of type "
        f"'{column.entity}' is outside the valid range. Accepted Values: "
        f"{column.min_value} to {column.max_value}",
    )


def _choice_fault(column: Column, value: Any, quirks: Quirks) -> Fault:
    accepted = ",".join(str(o.value) for o in column.options)
    return Fault(
        400,
        "0x8004431A" if quirks.validation_codes == "classic" else "0x80061005",
        f"A validation error occurred.  The value '{value}' of '{column.name}' on record of type "
        f"'{column.entity}' is outside the valid range. Accepted Values: {accepted}",
    )


def _too_long(text: str, limit: int) -> bool:
    """.NET, and so the service, counts UTF-16 code units: an emoji is two."""
    if 2 * len(text) <= limit:
        return False
    return len(text) + sum(c > "\uffff" for c in text) > limit


def _text(column: Column, value: Any, quirks: Quirks, for_filter: bool) -> dict[str, Any]:
    if not isinstance(value, str):
        raise conversion_fault(column, value)
    if not for_filter and _too_long(value, column.max_length):
        raise Fault(
            400,
            "0x80044331" if quirks.validation_codes == "classic" else "0x80090429",
            f"A validation error occurred.  The length of the '{column.name}' attribute of the "
            f"'{column.entity}' entity exceeded the maximum allowed length of "
            f"'{column.max_length}'.",
        )
    name = column.name
    if value == "" and not for_filter and not column.keeps_empty and quirks.empty_string == "null":
        return {name: None, name + "__f": None}  # sheet 3.7
    folded = value.lower() if value.isascii() else collation.fold(value, quirks)
    return {name: value, name + "__f": folded}


_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*")


def _whole(column: Column, value: Any) -> int:
    """A JSON whole number, or a numeric text as the .NET client sends it (sheet 3.5)."""
    if isinstance(value, bool):
        raise conversion_fault(column, value)
    if isinstance(value, int):
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    raise conversion_fault(column, value)


def _integer(column: Column, value: Any, quirks: Quirks, for_filter: bool) -> dict[str, Any]:
    number = _whole(column, value)
    low, high = INT64 if column.kind is Kind.BIGINT else INT32
    if not low <= number <= high:
        raise conversion_fault(column, value)
    if not for_filter:
        if (column.min_value is not None and number < int(column.min_value)) or (
            column.max_value is not None and number > int(column.max_value)
        ):
            raise _range_fault(column, number, "0x8004432F", quirks)
    return {column.name: number}


def _choice(column: Column, value: Any, quirks: Quirks, for_filter: bool) -> dict[str, Any]:
    number = _whole(column, value)
    if not INT32[0] <= number <= INT32[1]:
        raise conversion_fault(column, value)
    if not for_filter and all(o.value != number for o in column.options):
        raise _choice_fault(column, number, quirks)
    return {column.name: number}


_NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
_EXACT = decimal.Context(prec=200, rounding=decimal.ROUND_HALF_UP)
_STEPS = [Decimal(1).scaleb(-digits) for digits in range(16)]


def _number(column: Column, value: Any) -> Decimal:
    if isinstance(value, bool):
        raise conversion_fault(column, value)
    if isinstance(value, (int, Decimal)):
        number = Decimal(value)
    elif isinstance(value, float):
        number = Decimal(repr(value))
    elif isinstance(value, str) and _NUMBER.fullmatch(value):
        number = Decimal(value.strip())
    else:
        raise conversion_fault(column, value)
    if not number.is_finite() or abs(number.adjusted()) > 60 and number:
        raise conversion_fault(column, value)
    return number


_limit = functools.lru_cache(maxsize=1024)(Decimal)


def _check_range(column: Column, number: Decimal, quirks: Quirks) -> None:
    if (column.min_value is not None and number < _limit(column.min_value)) or (
        column.max_value is not None and number > _limit(column.max_value)
    ):
        raise _range_fault(column, f"{number:f}", "0x80044330", quirks)


def exact_digits(number: Decimal, precision: int, scale: int) -> str:
    """Rounded half away from zero to the precision, shown with the storage's digits."""
    rounded = number.quantize(_STEPS[precision], context=_EXACT)
    if scale != precision:
        rounded = rounded.quantize(_STEPS[scale], context=_EXACT)
    text = str(rounded) if scale <= 6 else f"{rounded:f}"  # str() has no exponent down to 1e-6
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text


def _decimal(column: Column, value: Any, quirks: Quirks, for_filter: bool) -> dict[str, Any]:
    number = _number(column, value)
    if for_filter:
        text = f"{number:f}"
        return {column.name: text, column.name + "__s": sort_key(text)}
    _check_range(column, number, quirks)
    scale = MONEY_SCALE if column.kind is Kind.MONEY else DECIMAL_SCALE
    text = exact_digits(number, min(column.precision, scale), scale)
    return {column.name: text, column.name + "__s": sort_key(text)}


def _double(column: Column, value: Any, quirks: Quirks, for_filter: bool) -> dict[str, Any]:
    number = _number(column, value)
    if for_filter:
        return {column.name: float(number)}
    _check_range(column, number, quirks)
    # 47.639583 is stored as 47.63958 (sheet 3.1)
    rounded = number.quantize(_STEPS[column.precision], context=_EXACT)
    return {column.name: float(rounded)}


def _boolean(column: Column, value: Any, quirks: Quirks, for_filter: bool) -> dict[str, Any]:
    if isinstance(value, bool):
        return {column.name: int(value)}
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return {column.name: int(value.strip().lower() == "true")}
    raise conversion_fault(column, value)


_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,12}))?)?(Z|[+-]\d\d:\d\d)?)?",
    re.IGNORECASE,
)
_MINIMUM = datetime.datetime(1753, 1, 1)


_BOUNDS = {
    "min": ("less than minumum", "Minimum", "01/01/1753 00:00:00"),
    "max": ("greater than maximum", "Maximum", "12/31/9999 23:59:59"),
}


def _date_fault(shown: str, bound: str) -> Fault:
    """Outside of 1753 .. 9999 (sheet 3.3); the spelling is the service's."""
    word, limit, value = _BOUNDS[bound]
    return Fault(
        400,
        "0x80040239",
        f"DateTime is {word} value supported by CrmDateTime. Actual value: {shown}, "
        f"{limit} value supported: {value}",
    )


def parse_moment(text: str, keep_offset: bool = True) -> Optional[int]:
    """Microseconds since 1970 of a date-time text; None if it is none. No offset means UTC.

    ``keep_offset`` false: the wall clock is the value (TimeZoneIndependent).
    Raises OverflowError past the ends of the calendar.
    """
    match = _MOMENT.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        moment = datetime.datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0)
        )
    except ValueError:
        return None
    micros = (moment - _EPOCH) // _MICROSECOND + int((fraction or "0")[:6].ljust(6, "0"))
    if keep_offset and offset and offset.upper() != "Z":
        minutes = int(offset[1:3]) * 60 + int(offset[4:6])
        if minutes > 14 * 60:
            return None
        micros -= (minutes if offset[0] == "+" else -minutes) * 60_000_000
    return micros


MIN_MOMENT = (_MINIMUM - _EPOCH) // _MICROSECOND
MAX_MOMENT = (datetime.datetime(9999, 12, 31, 23, 59, 59, 999999) - _EPOCH) // _MICROSECOND


def _moment(column: Column, value: Any, quirks: Quirks, for_filter: bool) -> dict[str, Any]:
    if column.behavior == "DateOnly":
        return _date(column, value, for_filter)
    if not isinstance(value, str):
        raise conversion_fault(column, value)
    micros = parse_moment(value, column.behavior != "TimeZoneIndependent")
    if micros is None:
        raise conversion_fault(column, value)
    if for_filter:
        return {column.name: micros}
    if micros < MIN_MOMENT:
        raise _date_fault(value, "min")
    if micros > MAX_MOMENT:
        raise _date_fault(value, "max")
    if quirks.fractions == "cut":
        micros -= micros % 1_000_000
    return {column.name: micros}


def _date(column: Column, value: Any, for_filter: bool) -> dict[str, Any]:
    match = _DATE.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise conversion_fault(column, value)
    try:
        datetime.date(*map(int, match.groups()))
    except ValueError:
        raise conversion_fault(column, value) from None
    if not for_filter and value < "1753-01-01":
        raise _date_fault(value, "min")
    return {column.name: value}


_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def is_guid(text: Any) -> bool:
    return isinstance(text, str) and _GUID.fullmatch(text) is not None


def _guid(column: Column, value: Any, quirks: Quirks, for_filter: bool) -> dict[str, Any]:
    if not is_guid(value):
        raise conversion_fault(column, value)
    return {column.name: value.lower()}


def _lookup(column: Column, value: Any, quirks: Quirks, for_filter: bool) -> dict[str, Any]:
    """An id, or (id, logical name of the target): what a bind has been resolved to."""
    target = column.targets[0] if len(column.targets) == 1 else None
    if isinstance(value, tuple):
        value, target = value
    if not is_guid(value):
        raise conversion_fault(column, value)
    if for_filter:
        return {column.name: value.lower()}
    return {column.name: value.lower(), column.name + "__t": target}


#: A multi-select column holds at most 150 values (sheet 3.1).
MAX_MULTISELECT = 150


def _multiselect(column: Column, value: Any, quirks: Quirks, for_filter: bool) -> dict[str, Any]:
    if not isinstance(value, str):
        raise conversion_fault(column, value)
    if not value.strip():
        return {column.name: None}
    try:
        numbers = sorted({int(part) for part in value.split(",")})
    except ValueError:
        raise conversion_fault(column, value) from None
    if not for_filter:
        if len(numbers) > MAX_MULTISELECT:
            raise Fault(400, "0x80050222", f"The number of values in '{column.name}' exceeds 150.")
        known = {o.value for o in column.options}
        for number in numbers:
            if number not in known:
                raise _choice_fault(column, number, quirks)
    return {column.name: ",".join(map(str, numbers))}


def _image(column: Column, value: Any, quirks: Quirks, for_filter: bool) -> dict[str, Any]:
    if not isinstance(value, str):
        raise conversion_fault(column, value)
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise conversion_fault(column, value) from None
    if not raw:
        return {column.name: None, column.name + "__full": None}
    images.check_size(column, raw)
    small = base64.b64encode(images.thumbnail(raw)).decode("ascii")
    full = base64.b64encode(raw).decode("ascii") if column.full_image else None
    return {column.name: small, column.name + "__full": full}


_READERS: dict[Kind, Callable[[Column, Any, Quirks, bool], dict[str, Any]]] = {
    Kind.STRING: _text, Kind.MEMO: _text, Kind.ENTITY_NAME: _text,
    Kind.INTEGER: _integer, Kind.BIGINT: _integer,
    Kind.DECIMAL: _decimal, Kind.MONEY: _decimal, Kind.DOUBLE: _double,
    Kind.BOOLEAN: _boolean,
    Kind.PICKLIST: _choice, Kind.STATE: _choice, Kind.STATUS: _choice,
    Kind.MULTISELECT: _multiselect, Kind.DATETIME: _moment, Kind.GUID: _guid,
    Kind.LOOKUP: _lookup, Kind.CUSTOMER: _lookup, Kind.OWNER: _lookup, Kind.IMAGE: _image,
}


def reader_of(column: Column) -> Callable[[Column, Any, Quirks, bool], dict[str, Any]]:
    """What ``from_json`` calls for a value that is not null; looked up once by who reads many."""
    return _READERS[column.kind]


def from_json(
    column: Column, value: Any, quirks: Quirks, *, for_filter: bool = False
) -> dict[str, Any]:
    """Storage columns of a wire value, or a Fault.

    ``for_filter``: the value is compared, not stored: no lengths, ranges, choices or rounding.
    Lookups take an id, or ``(id, logical name)`` once a bind is resolved.
    """
    if value is None:
        return empty(column)
    return _READERS[column.kind](column, value, quirks, for_filter)


# --- out ------------------------------------------------------------------------------------

#: json.dumps with real characters, as the service writes them.
_quote = json.JSONEncoder(ensure_ascii=False).encode


def moment_text(micros: int) -> str:
    """``2024-05-01T12:00:00Z``: whole seconds, whatever is stored (sheet 3.3)."""
    moment = _EPOCH + datetime.timedelta(seconds=micros // 1_000_000)
    return moment.isoformat() + "Z"


def double_text(number: float) -> str:
    """The shortest decimal form that reads back, without an exponent where one can be avoided."""
    text = repr(number)
    if "e" in text:
        return f"{Decimal(text):f}"
    return text[:-2] if text.endswith(".0") and abs(number) >= 1e15 else text


def to_json(column: Column, value: Any) -> str:
    """The JSON fragment of a storage value."""
    if value is None:
        return "null"
    kind = column.kind
    if kind.is_text:
        return _quote(value)
    if kind in (Kind.DECIMAL, Kind.MONEY):
        return value
    if kind is Kind.BOOLEAN:
        return "true" if value else "false"
    if kind is Kind.DOUBLE:
        return double_text(value)
    if kind is Kind.DATETIME and column.behavior != "DateOnly":
        return f'"{moment_text(value)}"'
    if isinstance(value, int):
        return str(value)
    return f'"{value}"'


# --- formatted ------------------------------------------------------------------------------


def _grouped(number: Decimal, digits: int) -> str:
    return f"{number.quantize(Decimal(1).scaleb(-digits), context=_EXACT):,f}"


def _formatted_money(column: Column, value: str) -> str:
    text = _grouped(Decimal(value), column.precision)
    return f"-${text[1:]}" if text.startswith("-") else f"${text}"


def _formatted_moment(column: Column, value: Any) -> str:
    if column.behavior == "DateOnly":
        day = datetime.date.fromisoformat(value)
        return f"{day.month}/{day.day}/{day.year}"
    moment = _EPOCH + datetime.timedelta(seconds=value // 1_000_000)
    date = f"{moment.month}/{moment.day}/{moment.year}"
    if column.format == "DateOnly":
        return date
    hour = moment.hour % 12 or 12
    return f"{date} {hour}:{moment.minute:02d} {'AM' if moment.hour < 12 else 'PM'}"


def label(column: Column, value: int) -> str:
    """Label of one option; the number itself where the option is gone."""
    for option in column.options:
        if option.value == value:
            return option.label
    return str(value)


def formatted(
    column: Column, value: Any, store: Any = None, target: Optional[str] = None
) -> Optional[str]:
    """The FormattedValue annotation in US English and UTC, or None where there is none.

    Lookups need the store, and ``target`` (``c__t``) where they are polymorphic.
    """
    if value is None:
        return None
    kind = column.kind
    if kind.is_choice or kind is Kind.BOOLEAN:
        return label(column, int(value))
    if kind in (Kind.INTEGER, Kind.BIGINT):
        return f"{value:,}"
    if kind is Kind.MONEY:
        return _formatted_money(column, value)
    if kind is Kind.DECIMAL:
        return _grouped(Decimal(value), column.precision)
    if kind is Kind.DOUBLE:
        return _grouped(Decimal(repr(value)), column.precision)
    if kind is Kind.DATETIME:
        return _formatted_moment(column, value)
    if kind is Kind.MULTISELECT:
        return "; ".join(label(column, int(part)) for part in value.split(","))
    if kind.is_lookup and store is not None:
        return store.primary_name_of(target or column.targets[0], value)
    if kind is Kind.ENTITY_NAME and store is not None:
        table = store.model.tables.get(value)
        return table.display_name if table else None
    return None
