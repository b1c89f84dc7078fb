"""$orderby (sheet 2.4)."""
from __future__ import annotations

import pytest

from querying import Env


@pytest.fixture(scope="module")
def env() -> Env:
    env = Env()
    zoe, adam = env.add("account", name="zoe"), env.add("account", name="Adam")
    env.everything("a", string="beta", integer=2, choice=100000001, accountid=zoe, decimal="-5")
    env.everything("b", string="Alpha", integer=10, choice=1, accountid=adam, decimal="10")
    env.everything("c", string="álpha z", integer=2, choice=100000000, decimal="9.5")
    env.everything("d")
    return env


def names(env: Env, order: str) -> str:
    answer = env.get(f"sample_everythings?$select=sample_name&$orderby={order}")
    return "".join(row["sample_name"] for row in answer.value)


def test_numbers_and_nulls_first(env: Env) -> None:
    assert names(env, "sample_decimal") == "dacb"
    assert names(env, "sample_decimal desc") == "bcad"


def test_nulls_last_by_quirk() -> None:
    env = Env(null_order="last")
    env.everything("x", integer=1)
    env.everything("n")
    env.everything("y", integer=2)
    assert names(env, "sample_integer") == "xyn"
    assert names(env, "sample_integer desc") == "nyx"


def test_text_by_collation(env: Env) -> None:
    assert names(env, "sample_string asc") == "dbca"


def test_choices_by_value_not_label(env: Env) -> None:
    assert names(env, "sample_choice") == "dbca"


def test_lookups_by_the_name_of_their_target(env: Env) -> None:
    assert names(env, "_sample_accountid_value,sample_name") == "cdba"
    assert names(env, "_sample_accountid_value desc,sample_name") == "abcd"


def test_several_columns(env: Env) -> None:
    assert names(env, "sample_integer desc,sample_name desc") == "bcad"


def test_aliases_are_allowed(env: Env) -> None:
    assert names(env, "@p desc&@p=sample_decimal") == "bcad"


@pytest.mark.parametrize("order", [
    "sample_AccountId/name", "sample_AccountId", "nonsense", "sample_integer up", "5",
    "sample_image", "tolower(sample_string)"])
def test_orders_that_are_refused(env: Env, order: str) -> None:
    assert env.get(f"sample_everythings?$orderby={order}").status == 400


def test_multiselect_cannot_be_ordered(env: Env) -> None:
    assert env.get("sample_everythings?$orderby=sample_multi").code == "0x80050224"


def test_default_order_is_that_of_uniqueidentifier() -> None:
    """The last six bytes count most, then backwards group by group."""
    env = Env()
    ids = ["ffffffff-ffff-ffff-ffff-000000000001", "00000000-0000-0000-0000-000000000002",
           "00000000-0000-0000-0100-000000000001", "01000000-0000-0000-0000-000000000001",
           "00000001-0000-0000-0000-000000000001"]
    for row_id in ids:
        env.everything(row_id, id=row_id)
    found = [r["sample_everythingid"] for r in env.get("sample_everythings?$select=sample_name").value]
    assert found == [
        # first four bytes are stored reversed: 00000001 is 01 00 00 00, 01000000 is 00 00 00 01
        "01000000-0000-0000-0000-000000000001", "00000001-0000-0000-0000-000000000001",
        "00000000-0000-0000-0100-000000000001", "ffffffff-ffff-ffff-ffff-000000000001",
        "00000000-0000-0000-0000-000000000002"]
    ordered = env.get("sample_everythings?$select=sample_name&$orderby=sample_everythingid desc").value
    assert [r["sample_everythingid"] for r in ordered] == found[::-1]
    greater = env.get("sample_everythings?$select=sample_name&$filter=sample_everythingid gt "
                      "00000000-0000-0000-0100-000000000001").value
    assert [r["sample_everythingid"] for r in greater] == found[3:]


def test_elastic_tables_order_guids_as_text() -> None:
    env = Env()
    ids = ["ffffffff-ffff-4fff-8fff-000000000001", "00000000-0000-4000-8000-000000000002"]
    for row_id in ids:
        env.add("contoso_sensordata", id=row_id, contoso_name="x")
    found = [r["contoso_sensordataid"] for r in env.get("contoso_sensordatas?$select=contoso_name").value]
    assert found == sorted(ids)
