"""Sheet 3.1 to 3.7: what values a write takes."""
from __future__ import annotations

import pytest

from writing import ABSENT, crm, make, refused, row  # noqa: F401

SET = "sample_everythings"


def stored(crm, **columns):
    own = make(crm, SET, **columns)
    found = row(crm, SET, own, *columns)
    return [found[name] for name in columns]


def test_text_too_long_names_column_table_and_limit(crm):
    message = refused(crm.post("tasks", {"subject": "x" * 201}), 400, "0x80044331")
    assert message == ("A validation error occurred.  The length of the 'subject' attribute of "
                       "the 'task' "
                       "entity exceeded the maximum allowed length of '200'.")


def test_text_at_its_limit_fits(crm):
    assert stored(crm, sample_name="é" * 100) == ["é" * 100]


def test_integer_out_of_the_columns_range(crm):
    refused(crm.post(SET, {"sample_smallinteger": 1001}), 400, "0x8004432F")
    refused(crm.post(SET, {"sample_smallinteger": -11}), 400, "0x8004432F")


def test_integer_outside_int32_cannot_be_read(crm):
    refused(crm.post(SET, {"sample_integer": 2147483648}), 400, "0x80048D19")


@pytest.mark.parametrize("name", ["sample_decimal", "sample_double", "sample_money2"])
def test_decimal_out_of_range(crm, name):
    refused(crm.post(SET, {name: 10**18}), 400, "0x80044330")


def test_choice_that_is_no_option(crm):
    refused(crm.post(SET, {"sample_choice": 5}), 400, "0x8004431A")
    refused(crm.post(SET, {"sample_multi": "1,5"}), 400, "0x8004431A")


def test_multiselect_with_blanks_is_stored_in_order(crm):
    assert stored(crm, sample_multi="9, 1") == ["1,9"]


@pytest.mark.parametrize("name, value", [
    ("sample_integer", "abc"), ("sample_integer", 1.5), ("sample_integer", True),
    ("sample_boolean", "x"),
    ("sample_name", 5), ("sample_datetime", "yesterday"), ("sample_guid", "x"),
    ("sample_integer", {}),
    ("sample_name", []), ("sample_date", "2024-02-30"),
    ("sample_datetime", "2024-01-01T00:00:00+01:00Z")])
def test_value_of_the_wrong_type(crm, name, value):
    message = refused(crm.post(SET, {name: value}), 400, "0x80048D19")
    assert "Error identified in Payload provided by the user for Entity" in message


def test_numeric_text_is_accepted_for_numbers(crm):
    assert stored(crm, sample_integer="42", sample_choice="100000001", sample_boolean="True",
                  sample_decimal="1.5") == [42, 100000001, True, 1.5]


def test_date_before_the_minimum(crm):
    refused(crm.post(SET, {"sample_datetime": "1752-12-31T23:59:59Z"}), 400, "0x80040239")


def test_fractions_of_seconds_are_cut(crm):
    assert stored(crm, sample_datetime="2024-01-01T10:00:00.999Z") == ["2024-01-01T10:00:00Z"]


def test_offset_is_converted_to_utc_and_kept_out_of_independent_dates(crm):
    text = "2024-01-01T10:00:00-08:00"
    assert stored(crm, sample_datetime=text, sample_datetimeindependent=text) == [
        "2024-01-01T18:00:00Z", "2024-01-01T10:00:00Z"]


def test_double_is_rounded_to_its_precision(crm):
    assert stored(crm, sample_double=47.639583) == [47.63958]


def test_empty_text_reads_back_as_null(crm):
    assert stored(crm, sample_name="", sample_keepsempty="") == [None, ""]


def test_empty_text_is_kept_by_quirk(fresh_service):
    assert stored(fresh_service(quirks={"empty_string": "kept"}), sample_name="") == [""]


def test_null_clears(crm):
    own = make(crm, SET, sample_name="x", sample_integer=1, sample_money=5, sample_multi="1")
    crm.patch(f"{SET}({own})",
              dict.fromkeys(("sample_name", "sample_integer", "sample_money", "sample_multi")))
    found = row(crm, SET, own)
    names = ("sample_name", "sample_integer", "sample_money", "sample_money_base", "sample_multi")
    assert [found[name] for name in names] == [None] * 5


def test_columns_not_valid_for_create_or_update_are_silently_ignored(crm):
    own = make(crm, SET, sample_name="x", versionnumber=5, sample_calculated=7, sample_money_base=3,
               exchangerate=4, sample_writeonce="first")
    assert crm.patch(f"{SET}({own})",
                     {"sample_writeonce": "second", "sample_calculated": 8}).status == 204
    found = row(crm, SET, own)
    assert found["sample_writeonce"] == "first"
    assert found["sample_calculated"] is None and found["sample_money_base"] is None


@pytest.mark.parametrize("name",
                         ["nosuch", "Sample_Name", "sample_choicename", "sample_accountidname"])
def test_unknown_property_is_refused(crm, name):
    message = refused(crm.post(SET, {name: "x"}), 400, "0x80048D19")
    assert f"Invalid property '{name}'" in message


def test_money_keeps_four_decimals(crm):
    assert stored(crm, sample_money=1.23456, sample_money2=1.235) == [1.2346, 1.24]


def test_image_takes_base64_and_null(crm):
    own = make(crm, SET, sample_image="R0lGODlhAQABAAAAACw=")
    found = crm.get(f"{SET}({own})?$select=sample_image").json()
    assert found["sample_image"] == "R0lGODlhAQABAAAAACw="
    refused(crm.post(SET, {"sample_image": "***"}), 400, "0x80048D19")


# --- refusals: one row of the sheet each ----------------------------------------------------------

ACCOUNTS = "accounts"


@pytest.mark.parametrize("table, body, status, code", [
    (SET, {"sample_date": "1752-12-31"}, 400, "0x80040239"),
    (SET, {"sample_datetime": "9999-12-31T23:59:59-01:00"}, 400, "0x80040239"),
    (SET, {"sample_datetime": "2024-01-01T00:00:00+01:00Z"}, 400, "0x80048D19"),
    (SET, {"sample_date": "2024-01-01T00:00:00Z"}, 400, "0x80048D19"),
    (SET, {"sample_date": "2023-02-29"}, 400, "0x80048D19"),
    (SET, '{"sample_double":NaN}', 400, "0x80048D19"),
    (SET, '{"sample_double":1,"sample_double":2}', 400, "0x80048D19"),
    (ACCOUNTS, {"donotemail": 2}, 400, "0x80048D19"),
    (ACCOUNTS, {"industrycode": "Accounting"}, 400, "0x80048D19"),
    (ACCOUNTS, {"industrycode": 1.5}, 400, "0x80048D19"),
    (ACCOUNTS, {"statecode": 7}, 400, "0x8004431A"),
    (ACCOUNTS, {"statuscode": 99}, 400, "0x8004431A"),
    (ACCOUNTS, {"statuscode": 2}, 400, "0x80048408"),
    (ACCOUNTS, {"statecode": 1, "statuscode": 1}, 400, "0x80048408"),
    (ACCOUNTS, {"ownerid": None}, 400, "0x80040215"),
    (ACCOUNTS, {"accountid": "no guid"}, 400, "0x80048D19"),
    (ACCOUNTS, {"industrycodename": "Accounting"}, 400, "0x80048D19"),
    (ACCOUNTS, {"primarycontactidname": "x"}, 400, "0x80048D19"),
    (ACCOUNTS, {"PrimaryContactId@odata.bind": f"/contacts({ABSENT})"}, 400, "0x80048D19"),
    (ACCOUNTS, {"primarycontactid@odata.bind": f"/accounts({ABSENT})"}, 404, "0x80040217"),
    (ACCOUNTS, {"primarycontactid@odata.bind": 5}, 400, "0x80048D19"),
    (ACCOUNTS, {"primarycontactid@odata.bind": f"/nothings({ABSENT})"}, 404, "0x8006088A"),
    (ACCOUNTS, [], 400, "0x80048D19"),
    (ACCOUNTS, "", 400, "0x80048D19"),
])
def test_refusals_on_create(crm, table, body, status, code):
    before = crm.get(f"{table}/$count").text
    refused(crm.post(table, body), status, code)
    assert crm.get(f"{table}/$count").text == before


@pytest.mark.parametrize("body, code", [
    ({"accountid": ABSENT}, "0x80060888"),
    ({"Account_Tasks": [{"subject": "x"}]}, "0x80060888"),
    ({"primarycontactid": {"lastname": "x"}}, "0x80060888"),
    ({"ownerid@odata.bind": None}, "0x80040215"),
    ({"statuscode": 2}, "0x80048408"),
    ({"_ownerid_value": None}, "0x80060888"),
])
def test_refusals_on_update(crm, body, code):
    own = make(crm, ACCOUNTS, name="old")
    refused(crm.patch(f"accounts({own})", {"name": "new", **body}), 400, code)
    assert row(crm, ACCOUNTS, own, "name")["name"] == "old"


def test_digits_beyond_the_precision_are_rounded(crm):
    assert stored(crm, sample_double=47.6395831) == [47.63958]


def test_only_the_primary_image_comes_with_a_new_row(crm):
    """Sheet 12: 0x80090487 on create; an update takes any."""
    refused(crm.post(SET, {"sample_photo": "R0lGODlhAQABAAAAACw="}), 400, "0x80090487")
    own = make(crm, SET, sample_image="R0lGODlhAQABAAAAACw=", sample_photo=None)
    assert crm.patch(f"{SET}({own})", {"sample_photo": "aGVsbG8="}).status == 204
    assert row(crm, SET, own, "sample_photo")["sample_photo"] == "aGVsbG8="
    assert crm.patch(f"{SET}({own})", {"sample_photo": None, "sample_image": None}).status == 204
    found = row(crm, SET, own, "sample_photo", "sample_image")
    assert (found["sample_photo"], found["sample_image"]) == (None, None)
