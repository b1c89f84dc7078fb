"""The environment's own rows and the demo data."""
from __future__ import annotations

import collections

import pytest

from dataverse_service import app, collation, demo, seed, values
from dataverse_service.core import Kind, Quirks
from dataverse_service.tables import metadata_id


@pytest.fixture(scope="module")
def store():
    service = app.Service()
    service.seed(1200)
    return service.store


def column(store, table, name, condition="1"):
    return [r[0] for r in store.execute(f'SELECT "{name}" FROM "{table}" WHERE {condition}')]


def dump(store, table):
    return store.execute(f'SELECT * FROM "{table}" ORDER BY 1, 2').fetchall()


def test_the_proportions(store):
    found = {name: store.count(store.model.tables[name]) for name in demo.proportions(0)}
    assert found == {"account": 1200, "contact": 600, "opportunity": 300, "incident": 120,
                     "task": 300, "sample_everything": 1200, "contoso_sensordata": 600}
    assert store.count(store.model.tables["geo_country"]) == 0


def test_the_same_seed_gives_the_same_rows(store):
    again = app.Service()
    again.seed(1200)
    for table in store.model.tables:
        assert dump(store, table) == dump(again.store, table)


def test_a_smaller_seed_is_a_prefix(store):
    small = app.Service()
    small.seed(100)
    names = dict(store.execute("SELECT accountid, name FROM account").fetchall())
    for row_id, name in small.store.execute("SELECT accountid, name FROM account"):
        assert names[row_id] == name


def test_reseeding_starts_anew():
    service = app.Service()
    service.seed(20)
    first = dump(service.store, "account")
    service.seed(20)
    # Row versions go on, as they would in a database that lived on.
    strip = [tuple(v for v in row if not (isinstance(v, int) and v > 10**6)) for row in first]
    assert [tuple(v for v in row if not (isinstance(v, int) and v > 10**6))
            for row in dump(service.store, "account")] == strip
    service.seed(None)
    assert service.store.count(service.store.model.tables["account"]) == 0


def test_alternate_keys_are_unique_under_every_collation(store):
    for quirks in (Quirks(), Quirks(accents="sensitive")):
        numbers = [collation.fold(v, quirks).rstrip()
                   for v in column(store, "account", "accountnumber") if v]
        assert len(numbers) == len(set(numbers)) > 1000
    for table in store.model.tables.values():
        for key in table.keys:
            if key.status != "Active":
                continue
            names = [c + ("__f" if table.columns[c].kind.is_text else "") for c in key.columns]
            rows = store.execute(f'SELECT {", ".join(names)} FROM "{table.name}"').fetchall()
            rows = [tuple(v.rstrip() if isinstance(v, str) else v for v in r)
                    for r in rows if None not in r]
            assert max(collections.Counter(rows).values(), default=1) == 1, key.name


def test_lookups_point_to_rows(store):
    for relationship in store.model.relationships:
        lookup = relationship.referencing_attribute
        missing = store.execute(
            f'SELECT count(*) FROM "{relationship.referencing}" r WHERE r."{lookup}__t" = ? '
            f'AND NOT EXISTS (SELECT 1 FROM "{relationship.referenced}" t WHERE '
            f't."{relationship.referenced_attribute}" = r."{lookup}")',
            (relationship.referenced,)).fetchone()
        assert missing == (0,), relationship.schema_name


def test_lookups_name_their_target(store):
    for table in store.model.tables.values():
        for each in table.columns.values():
            if each.kind.is_lookup and not each.attribute_of:
                found = set(column(store, table.name, each.name + "__t",
                                   f'"{each.name}" IS NOT NULL'))
                assert found <= set(each.targets), each.name


def test_troublesome_text_is_there(store):
    names = set(column(store, "account", "name"))
    assert set(demo.NAMES) <= names
    for piece in ("'", "%", "_", "[", "]", "\\", '"', "\n", "\t", "é", "日", "😀", "\u0301"):
        assert any(piece in name for name in names)
    assert any(name.endswith(" ") for name in names) and any(name.startswith("-") for name in names)


def test_extreme_numbers_are_there(store):
    assert {"922337203685477.5807", "-922337203685477.5807", "922337203685477.0000"} <= set(
        column(store, "sample_everything", "sample_money"))
    assert {"99999999999.9999999999", "-0.0000000001"} <= set(
        column(store, "sample_everything", "sample_decimal"))
    assert {2147483647, -2147483648} <= set(column(store, "sample_everything", "sample_integer"))
    assert {9223372036854775807, 9007199254740993} <= set(
        column(store, "sample_everything", "sample_bigint"))
    assert "100000000000000.0000" in column(store, "account", "revenue")
    assert {demo.EARLIEST, demo.LATEST} <= set(
        column(store, "sample_everything", "sample_datetime"))
    assert {"1753-01-01", "9999-12-31"} <= set(column(store, "contact", "birthdate"))


def test_every_column_of_sample_everything_has_values_and_nulls(store):
    table = store.model.tables["sample_everything"]
    for name, each in table.columns.items():
        if not name.startswith("sample_") or each.attribute_of or each.is_primary_id:
            continue
        if name in ("sample_image_timestamp", "sample_image_url", "sample_imageid",
                    "sample_calculated") or name.startswith("sample_photo"):
            continue  # filled by the service; or, a second image, only by an update
        found = column(store, table.name, name)
        assert any(v is not None for v in found), name
        assert name == "sample_serial" or any(v is None for v in found), name


def test_stored_values_are_within_their_columns(store):
    for table in store.model.tables.values():
        for each in table.columns.values():
            if each.attribute_of:
                continue
            values = [v for v in column(store, table.name, each.name) if v is not None]
            if each.kind.is_text:
                assert all(len(v) <= each.max_length for v in values), each.name
                assert each.keeps_empty or "" not in values, each.name
            if each.kind.is_choice or each.kind is Kind.BOOLEAN:
                assert set(values) <= {o.value for o in each.options}, (table.name, each.name)
            if each.kind is Kind.INTEGER:
                assert all(each.min_value <= v <= each.max_value for v in values), each.name


def test_states_and_statuses_fit(store):
    for table in store.model.tables.values():
        if "statuscode" in table.columns and "statecode" in table.columns:
            states = {o.value: o.state for o in table.columns["statuscode"].options}
            found = store.execute(f'SELECT DISTINCT statecode, statuscode FROM "{table.name}"')
            for state, status in found:
                assert states[status] == state


def test_creation_dates_are_skewed(store):
    days = collections.Counter(v // 86_400_000_000 for v in column(store, "account", "createdon"))
    assert 0.25 < days.most_common(1)[0][1] / 1200 < 0.4


def test_fractions_follow_the_quirk(store):
    assert all(v % 1_000_000 == 0 for v in column(store, "account", "createdon"))
    other = app.Service(Quirks(fractions="stored"))
    other.seed(50)
    assert any(v % 1_000_000 for v in column(other.store, "account", "createdon"))


def test_solution_membership_is_answerable(store):
    rows = store.execute(
        "SELECT c.objectid FROM solutioncomponent c JOIN solution s ON s.solutionid = c.solutionid "
        "WHERE s.uniquename = 'Geography' AND c.componenttype = 1").fetchall()
    assert {r[0] for r in rows} == {metadata_id(t) for t in (
        "geo_country", "geo_subdivision", "geo_indicator", "geo_note")}


def test_messages_are_rows(store):
    def has(table, message):
        return store.execute(
            "SELECT count(*) FROM sdkmessagefilter f JOIN sdkmessage m "
            "ON m.sdkmessageid = f.sdkmessageid WHERE m.name = ? AND f.primaryobjecttypecode = ?", (message, table)).fetchone() == (1,)

    assert has("account", "CreateMultiple") and has("account", "UpdateMultiple")
    assert not has("account", "UpsertMultiple")  # no filter rows exist for it (sheet 5.5)
    assert not has("geo_note", "CreateMultiple") and not has("team", "CreateMultiple")


def test_organization(store):
    found = store.execute("SELECT localeid, expirechangetrackingindays FROM organization")
    assert found.fetchall() == [(1033, 30)]
    assert store.get(store.model.tables["systemuser"], seed.APPLICATION_USER)["applicationid"]


def test_figures_are_exact(store):
    figures = seed.figures(store, store.model.tables["sample_everything"])
    assert figures["count"] == 1200
    money = figures["columns"]["sample_money"]
    assert money["max"] == "922337203685477.5807" and money["min"] == "-922337203685477.5807"
    from fractions import Fraction
    exact = sum(Fraction(v) for v in column(store, "sample_everything", "sample_money") if v)
    assert Fraction(money["sum"]) == exact
    assert figures["columns"]["sample_integer"]["count"] == len(
        [v for v in column(store, "sample_everything", "sample_integer") if v is not None])


def test_figures_of_dates_are_those_on_the_wire(store):
    figures = seed.figures(store, store.model.tables["sample_everything"])
    found = figures["columns"]
    dates = [c.name for c in store.model.tables["sample_everything"].columns.values()
             if c.kind is Kind.DATETIME]
    assert dates and set(dates) <= set(found)
    for name in dates:
        present = [v for v in column(store, "sample_everything", name) if v is not None]
        assert found[name]["count"] == len(present)
        if present:
            assert found[name]["min"] <= found[name]["max"]
    instants = [v for v in column(store, "sample_everything", "createdon") if v is not None]
    assert found["createdon"]["max"] == values.moment_text(max(instants))
