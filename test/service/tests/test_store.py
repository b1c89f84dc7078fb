"""Rows in SQLite: keys, versions, savepoints, computed columns."""
from __future__ import annotations

import pytest

from dataverse_service import values
from dataverse_service.core import Quirks
from dataverse_service.store import Store
from dataverse_service.tables import build_model


def make(**quirks):
    store = Store(build_model(), Quirks(**quirks))
    store.create_indexes()
    return store


def put(store, table_name, row_id=None, **wire):
    table = store.model.tables[table_name]
    row_id = row_id or store.new_id()
    row = {table.primary_id: row_id}
    for name, value in wire.items():
        row.update(values.from_json(table.columns[name], value, store.quirks))
    store.insert(table, row)
    return row_id


def account(store):
    return store.model.tables["account"]


def by_number(store, number):
    table = account(store)
    storage = values.from_json(table.columns["accountnumber"], number, store.quirks)
    return store.find_by_key(table, table.keys[0], storage)


def test_trap_keys_compare_as_the_collation_does():
    store = make()
    row = put(store, "account", accountnumber="Éa-1 ")
    for spelling in ("Éa-1 ", "ea-1", "EA-1", "éA-1   "):
        assert by_number(store, spelling) == [row]
    assert by_number(store, " ea-1") == []


def test_keys_under_the_other_quirks():
    store = make(accents="sensitive", trailing_blanks="significant")
    row = put(store, "account", accountnumber="Éa-1 ")
    assert by_number(store, "éA-1 ") == [row]
    assert by_number(store, "éA-1") == []
    assert by_number(store, "ea-1 ") == []


def test_trap_null_in_a_key_finds_nothing():
    store = make()
    put(store, "account", name="x")
    assert by_number(store, None) == []


def test_key_lookups_use_an_index():
    store = make()
    plan = store.execute("EXPLAIN QUERY PLAN SELECT accountid FROM account "
                         "WHERE accountnumber__f = ?", ("x",)).fetchall()
    assert "USING INDEX" in plan[0][3] or "USING COVERING INDEX" in plan[0][3]


def test_compound_key_with_a_lookup():
    store = make()
    country = put(store, "geo_country", geo_name="A")
    table = store.model.tables["geo_indicator"]
    row = put(store, "geo_indicator", geo_countryid=(country, "geo_country"), geo_year=2020)
    storage = {"geo_countryid": country, "geo_year": 2020}
    assert store.find_by_key(table, table.keys[0], storage) == [row]
    assert store.find_by_key(table, table.keys[0], {**storage, "geo_year": 2021}) == []


def test_decimal_keys_compare_by_value():
    store = make()
    table = store.model.tables["sample_everything"]
    key = next(k for k in table.keys if k.name == "sample_decimalkey")
    row = put(store, "sample_everything", sample_decimal="1.50")
    storage = values.from_json(table.columns["sample_decimal"], "1.5000", store.quirks,
                               for_filter=True)
    assert store.find_by_key(table, key, storage) == [row]


def test_every_write_gets_a_higher_version():
    store = make()
    row = put(store, "account", name="x")
    first = store.get(account(store), row)["versionnumber"]
    store.update(account(store), row, {"name": "y", "name__f": "y"})
    second = store.get(account(store), row)["versionnumber"]
    assert second > first
    store.delete(account(store), row)
    assert store.get(account(store), row) is None
    trace = store.execute("SELECT tbl, id, version FROM _deleted").fetchall()
    assert trace == [("account", row, second + 1)]


def test_savepoints_nest():
    store = make()
    with store.savepoint():
        kept = put(store, "account", name="kept")
        with pytest.raises(KeyError):
            with store.savepoint():
                put(store, "account", name="gone")
                raise KeyError
    rows = store.execute("SELECT accountid FROM account").fetchall()
    assert rows == [(kept,)]


def test_rendered_pages_of_an_undone_write_are_not_kept():
    store = make()
    before = store.data_version
    with pytest.raises(KeyError):
        with store.savepoint():
            put(store, "account", name="gone")
            inside = store.data_version
            raise KeyError
    assert store.data_version > inside > before


def test_money_has_its_base_amount():
    store = make()
    row = put(store, "account", revenue="100", exchangerate="0.8")
    found = store.get(account(store), row)
    assert found["revenue_base"] == "125.0000"
    store.update(account(store), row, values.from_json(
        account(store).columns["revenue"], None, store.quirks))
    assert store.get(account(store), row)["revenue_base"] is None


def test_names_and_owners_are_computed():
    store = make()
    table = store.model.tables["contact"]
    team = put(store, "team", name="T")
    row = put(store, "contact", firstname="Zoë", lastname="Müller", ownerid=(team, "team"),
              address1_city="Köln")
    found = store.get(table, row)
    assert found["fullname"] == "Zoë Müller" and found["fullname__f"] == "zoe muller"
    assert found["owningteam"] == team and found["owninguser"] is None
    assert found["address1_composite"] == "Köln"
    store.update(table, row, values.from_json(table.columns["firstname"], None, store.quirks))
    assert store.get(table, row)["fullname"] == "Müller"


def test_an_elastic_id_may_exist_in_several_partitions():
    store = make()
    table = store.model.tables["contoso_sensordata"]
    row = store.new_id()
    for partition in ("a", "b"):
        put(store, "contoso_sensordata", row, partitionid=partition, contoso_name=partition)
    assert store.get(table, row, "b")["contoso_name"] == "b"
    store.delete(table, row, "a")
    assert not store.exists(table, row, "a") and store.exists(table, row, "b")


def test_ids_are_the_same_in_every_run():
    assert make().new_id() == make().new_id()


def test_a_database_file_continues(tmp_path):
    path = str(tmp_path / "rows.db")
    first = Store(build_model(), Quirks(), path)
    row = put(first, "account", name="stays")
    version = first.version
    first.db.close()
    second = Store(build_model(), Quirks(), path)
    assert second.get(account(second), row)["name"] == "stays"
    assert second.version >= version
    assert second.new_id() != row


def test_dv_like_is_known_to_sqlite():
    store = make()
    found = store.execute("SELECT dv_like('a[%]%', 'a% b'), dv_like('a', NULL)").fetchone()
    assert found == (1, None)


def test_a_database_file_of_another_collation_is_refused(tmp_path):
    path = str(tmp_path / "rows.db")
    Store(build_model(), Quirks(), path).db.close()
    with pytest.raises(ValueError):
        Store(build_model(), Quirks(accents="sensitive"), path)


def test_elastic_rows_vanish_after_their_time_to_live():
    moment = [10**15]
    store = Store(build_model(), Quirks(), clock=lambda: moment[0])
    table = store.model.tables["contoso_sensordata"]
    for seconds in (None, 60, -1):
        row = {"contoso_sensordataid": store.new_id(), "partitionid": "p", "modifiedon": moment[0],
               "ttlinseconds": seconds}
        store.insert(table, row)
    store.expire(table)
    assert store.count(table) == 3
    moment[0] += 60_000_000
    store.expire(table)
    assert store.count(table) == 2
