"""Values in and out (sheet 3)."""
from __future__ import annotations

import random
from decimal import Decimal

import pytest

from dataverse_service import values
from dataverse_service.core import Fault, Quirks
from dataverse_service.tables import build_model

QUIRKS = Quirks()
MODEL = build_model()
EVERYTHING = MODEL.tables["sample_everything"].columns


def column(name):
    return EVERYTHING["sample_" + name]


def stored(name, value, quirks=QUIRKS, **more):
    """The first storage value of a wire value."""
    return values.from_json(column(name), value, quirks, **more)["sample_" + name]


def wire(name, value):
    """What reads back after writing."""
    return values.to_json(column(name), stored(name, value))


def refused(name, value, code, quirks=QUIRKS):
    with pytest.raises(Fault) as caught:
        stored(name, value, quirks)
    assert caught.value.code == code
    assert caught.value.status == 400
    return caught.value.message


# --- text ---------------------------------------------------------------------------------------


def test_text_keeps_its_spelling_and_is_folded_beside():
    assert values.from_json(column("string"), "Café ", QUIRKS) == {
        "sample_string": "Café ", "sample_string__f": "cafe "}
    assert wire("string", 'say "é" \\ \n\t😀') == '"say \\"é\\" \\\\ \\n\\t😀"'


def test_trap_empty_text_becomes_null():
    assert stored("string", "") is None
    assert stored("string", "", Quirks(empty_string="kept")) == ""


def test_some_system_columns_keep_empty_text():
    assert stored("keepsempty", "") == ""


def test_text_too_long_names_column_table_and_length():
    message = refused("code", "x" * 101, "0x80044331")
    assert message == ("A validation error occurred.  The length of the 'sample_code' attribute "
                       "of the 'sample_everything' entity exceeded the maximum allowed length of '100'.")
    assert stored("code", "é" * 100) == "é" * 100


def test_trap_length_is_counted_in_utf16_units():
    assert stored("code", "😀" * 50)
    refused("code", "😀" * 51, "0x80044331")


def test_a_number_is_no_text():
    assert "Edm.String" in refused("string", 5, "0x80048D19")


# --- whole numbers and choices ------------------------------------------------------------------


def test_numeric_text_is_taken_for_numbers():
    assert stored("integer", "42") == 42
    assert stored("choice", "100000001") == 100000001
    assert stored("boolean", "True") == 1


@pytest.mark.parametrize("value", [2147483648, -2147483649, Decimal("5.0"), "x", "5.5", True, [1],
                                   {}])
def test_what_is_no_int32_cannot_be_converted(value):
    assert "Edm.Int32" in refused("integer", value, "0x80048D19")


def test_integer_out_of_range():
    refused("smallinteger", 1001, "0x8004432F")
    refused("smallinteger", -11, "0x8004432F")
    assert stored("smallinteger", 1000) == 1000


def test_bigint_is_exact():
    assert wire("bigint", 9223372036854775807) == "9223372036854775807"
    refused("bigint", 9223372036854775808, "0x80048D19")


def test_unknown_choice():
    refused("choice", 3, "0x8004431A")
    refused("multi", "1,4", "0x8004431A")


def test_multiselect_is_sorted_and_without_blanks():
    assert wire("multi", "9, 1") == '"1,9"'
    assert stored("multi", "") is None


def test_multiselect_holds_at_most_150():
    refused("multi", ",".join(str(i) for i in range(151)), "0x80050222")


@pytest.mark.parametrize("value", [1, 0, "yes", "1"])
def test_only_true_and_false_are_boolean(value):
    refused("boolean", value, "0x80048D19")


# --- decimals -----------------------------------------------------------------------------------


def test_trap_money_shows_four_decimals():
    assert wire("money2", 5000000) == "5000000.0000"
    assert wire("money", Decimal("922337203685476.9999")) == "922337203685476.9999"


def test_decimals_never_pass_through_a_float():
    assert wire("decimal", Decimal("99999999999.9999999999")) == "99999999999.9999999999"
    assert wire("decimal", Decimal("1E-10")) == "0.0000000001"
    assert wire("decimal", "12.5") == "12.5000000000"


@pytest.mark.parametrize("given, shown", [
    ("0.005", "0.0100"), ("0.004", "0.0000"), ("-0.005", "-0.0100"), ("-0.004", "0.0000"),
    ("2.675", "2.6800"),
])
def test_money_is_rounded_to_its_precision(given, shown):
    assert wire("money2", Decimal(given)) == shown


def test_decimal_out_of_range():
    refused("decimal", Decimal("100000000000.0000000001"), "0x80044330")
    refused("money", Decimal("922337203685477.5808"), "0x80044330")
    refused("double", Decimal("1e12"), "0x80044330")


def test_trap_double_is_rounded_to_its_precision():
    assert wire("double", Decimal("47.639583")) == "47.63958"
    assert wire("double0", Decimal("2.5")) == "3.0"


def test_doubles_have_no_exponent():
    assert wire("double", Decimal("0.00001")) == "0.00001"
    assert wire("double", 100000000000) == "100000000000.0"


def test_sort_key_orders_as_numbers_do():
    rng = random.Random(1)
    numbers = {Decimal(rng.randrange(-10**15, 10**15)).scaleb(-rng.randrange(12))
               for _ in range(3000)}
    numbers |= {Decimal(t) for t in ("0", "-0.0000000001", "0.0000000001", "922337203685477",
                                     "-922337203685477", "1", "-1", "10", "-10", "0.1", "-0.1")}
    ordered = sorted(numbers)
    keys = [values.sort_key(f"{n:f}") for n in ordered]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(set(ordered))
    assert {len(k) for k in keys} == {33}


def test_sort_key_of_equal_numbers_is_equal():
    keys = {values.sort_key(t) for t in ("1", "1.0", "01.00", "+1", "1e0", "0.1E1")}
    assert len(keys) == 1
    assert values.sort_key("-0.000") == values.sort_key("0")


# --- dates --------------------------------------------------------------------------------------


@pytest.mark.parametrize("given, shown", [
    ("2024-05-01T12:00:00Z", "2024-05-01T12:00:00Z"),
    ("2024-05-01T12:00:00", "2024-05-01T12:00:00Z"),
    ("2024-05-01T12:00:00-08:00", "2024-05-01T20:00:00Z"),
    ("2024-05-01T12:00:00+05:30", "2024-05-01T06:30:00Z"),
    ("1753-01-01T00:00:00Z", "1753-01-01T00:00:00Z"),
    ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    ("1969-12-31T23:59:59.9Z", "1969-12-31T23:59:59Z"),
])
def test_user_local_times_read_back_in_utc(given, shown):
    assert wire("datetime", given) == f'"{shown}"'


def test_trap_fractions_are_cut_not_rounded():
    assert wire("datetime", "2024-05-01T10:00:00.947Z") == '"2024-05-01T10:00:00Z"'
    assert stored("datetime", "2024-05-01T10:00:00.947Z") % 1_000_000 == 0


def test_fractions_may_be_stored_and_still_are_not_returned():
    quirk = Quirks(fractions="stored")
    value = stored("datetime", "2024-05-01T10:00:00.947Z", quirk)
    assert value % 1_000_000 == 947_000
    assert values.to_json(column("datetime"), value) == '"2024-05-01T10:00:00Z"'


def test_independent_time_is_stored_as_it_is():
    assert wire("datetimeindependent", "2024-05-01T12:00:00-08:00") == '"2024-05-01T12:00:00Z"'
    assert wire("datetimeindependent", "2024-05-01T12:00:00") == '"2024-05-01T12:00:00Z"'


def test_date_only():
    assert wire("date", "2024-02-29") == '"2024-02-29"'
    assert "Edm.Date'" in refused("date", "2024-02-29T00:00:00Z", "0x80048D19")


@pytest.mark.parametrize("value", ["0001-01-01T00:00:00Z", "1752-12-31T23:59:59Z",
                                   "1753-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_dates_out_of_range(value):
    refused("datetime", value, "0x80040239")


def test_date_only_out_of_range():
    refused("date", "1752-12-31", "0x80040239")


@pytest.mark.parametrize("value", ["2024-02-30T00:00:00Z", "2024-05-01T10:00:00+01:00Z",
                                   "yesterday", "2024-05-01 10:00:00", "2024-5-1", 20240501])
def test_what_is_no_time_cannot_be_converted(value):
    refused("datetime", value, "0x80048D19")


# --- the rest ---------------------------------------------------------------------------------


def test_guids_are_lower_case():
    guid = "3F2504E0-4F89-11D3-9A0C-0305E82C3301"
    assert wire("guid", guid) == f'"{guid.lower()}"'
    refused("guid", "{3f2504e0-4f89-11d3-9a0c-0305e82c3301}", "0x80048D19")


def test_image_is_base64():
    assert wire("image", "aGVsbG8=") == '"aGVsbG8="'
    refused("image", "not base64!", "0x80048D19")


def test_null_clears_every_storage_column():
    assert values.from_json(column("decimal"), None, QUIRKS) == {
        "sample_decimal": None, "sample_decimal__s": None}
    assert values.to_json(column("decimal"), None) == "null"


def test_a_filter_literal_is_neither_checked_nor_rounded():
    assert stored("smallinteger", 5000, for_filter=True) == 5000
    assert stored("money2", Decimal("0.005"), for_filter=True) == "0.005"
    assert stored("choice", 3, for_filter=True) == 3
    assert stored("string", "", for_filter=True) == ""


@pytest.mark.parametrize("name, value, shown", [
    ("money2", Decimal("1234"), "$1,234.00"), ("money2", Decimal("-1234.5"), "-$1,234.50"),
    ("integer", 9500, "9,500"), ("decimal2", Decimal("1234.5"), "1,234.50"),
    ("datetime", "2024-05-01T14:00:00Z", "5/1/2024 2:00 PM"),
    ("datetime", "2024-12-31T00:05:00Z", "12/31/2024 12:05 AM"), ("date", "2024-05-01", "5/1/2024"),
    ("localdate", "2024-05-01T23:00:00Z", "5/1/2024"), ("boolean", True, "Yes"),
    ("onoff", False, "Off"),
    ("choice", 1, "Straße"), ("multi", "10,1", "Appetizer; Drink; cold"), ("string", "x", None),
])
def test_formatted_values(name, value, shown):
    assert values.formatted(column(name), stored(name, value)) == shown


def test_every_kind_of_column_has_an_edm_type():
    for table in MODEL.tables.values():
        for each in table.columns.values():
            assert values.edm(each).startswith("Edm.")
