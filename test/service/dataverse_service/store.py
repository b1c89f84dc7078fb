"""Rows in SQLite: one table per Dataverse table, stored as ``core`` describes.

The store knows columns, keys, versions and time. It knows nothing of HTTP, OData or defaults.
Folded text columns carry SQLite's ``RTRIM`` collation unless the quirk says otherwise, so ``=``
on them ignores trailing blanks as SQL Server does; LIKE and ``dv_like`` still see them.
"""
from __future__ import annotations

import contextlib
import functools
import hashlib
import random
import sqlite3
import time
import zlib
from typing import Any, Callable, Iterable, Iterator, Optional

from . import collation, computed, values
from .core import Column, Key, Kind, Model, Quirks, Table

_AFFINITY = {
    Kind.INTEGER: "INTEGER", Kind.BIGINT: "INTEGER", Kind.BOOLEAN: "INTEGER",
    Kind.PICKLIST: "INTEGER", Kind.STATE: "INTEGER", Kind.STATUS: "INTEGER", Kind.DOUBLE: "REAL",
}

#: Lookup columns that nobody navigates from the other side in bulk: an index would only cost.
_UNINDEXED = frozenset(
    {"createdby", "modifiedby", "createdonbehalfby", "modifiedonbehalfby", "transactioncurrencyid",
     "owningbusinessunit", "owningteam"}
)


#: Tables whose rows every write asks for and hardly any write changes.
_CONSTANT = frozenset({"systemuser", "team", "businessunit", "organization", "transactioncurrency"})


def _affinity(column: Column) -> str:
    if column.kind is Kind.DATETIME:
        return "TEXT" if column.behavior == "DateOnly" else "INTEGER"
    return _AFFINITY.get(column.kind, "TEXT")


def primary_key_columns(table: Table) -> tuple[str, ...]:
    """An elastic row is known by id and partition, any other by id (sheet 13.1)."""
    if table.table_type == "Elastic":
        return (table.primary_id, "partitionid")
    return (table.primary_id,)


class Store:
    """All rows of one environment. One thread uses it."""

    def __init__(
        self,
        model: Model,
        quirks: Quirks,
        path: str = ":memory:",
        clock: Optional[Callable[[], int]] = None,
    ):
        self.model = model
        self.quirks = quirks
        self._clock = clock or (lambda: time.time_ns() // 1000)
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False,
                                  cached_statements=1024)
        self.db.create_function("dv_like", 2, collation.like, deterministic=True)
        self.db.create_function("dv_fold", 1, self._fold, deterministic=True)
        self.db.create_function("dv_shuffle", -1, _shuffle, deterministic=True)
        # A crash of this process may lose rows; nothing here outlives a test run by promise.
        for pragma in ("journal_mode=MEMORY", "synchronous=OFF", "temp_store=MEMORY",
                       "cache_size=-200000"):
            self.db.execute(f"PRAGMA {pragma}")
        self.data_version = 0
        self._depth = 0
        self._constants: dict[tuple[Any, ...], Any] = {}
        self._key_sql: dict[tuple[str, str], tuple[str, list[str]]] = {}
        self._check_shape()
        self._create_schema()
        self.version = self._last_version()
        self._random = random.Random(f"ids after {self.version}")

    # --- schema ---------------------------------------------------------------------------

    def _fold(self, text: Optional[str]) -> Optional[str]:
        return None if text is None else collation.fold(text, self.quirks)

    def storage_columns(self, table: Table) -> list[str]:
        """SQLite columns of a table in metadata order."""
        return _storage_columns(self, table.name)

    def _check_shape(self) -> None:
        """A file written under other columns or another collation would give wrong answers."""
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS _meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID"
        )
        ddl = [self._table_ddl(table) for table in self.model.tables.values()]
        described = "\n".join([self.quirks.accents, *ddl])
        shape = hashlib.sha256(described.encode()).hexdigest()
        found = self.get_meta("shape")
        if found is not None and found != shape:
            raise ValueError("the database file was made by another version of the service, "
                             "or with other quirks for text")
        self.set_meta("shape", shape)

    def _create_schema(self) -> None:
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS _deleted (tbl TEXT, id TEXT, version INTEGER, at INTEGER, "
            "PRIMARY KEY (tbl, version)) WITHOUT ROWID"
        )
        for table in self.model.tables.values():
            self.db.execute(self._table_ddl(table))

    def _table_ddl(self, table: Table) -> str:
        blanks = " COLLATE RTRIM" if self.quirks.trailing_blanks == "ignored" else ""
        parts = []
        for column in table.columns.values():
            for name in values.storage_columns(column):
                if name == column.name:
                    parts.append(f'"{name}" {_affinity(column)}')
                else:
                    parts.append(f'"{name}" TEXT' + (blanks if name.endswith("__f") else ""))
        key = ", ".join(f'"{c}"' for c in primary_key_columns(table))
        body = ", ".join([*parts, f"PRIMARY KEY ({key})"])
        return f'CREATE TABLE IF NOT EXISTS "{table.name}" ({body})'

    def create_indexes(self) -> None:
        """Separate from the tables: filling a table first is several times faster."""
        for table in self.model.tables.values():
            for number, columns in enumerate(self._indexes(table)):
                names = ", ".join(f'"{c}"' for c in columns)
                self.db.execute(
                    f'CREATE INDEX IF NOT EXISTS "ix_{table.name}_{number}" '
                    f'ON "{table.name}" ({names})'
                )

    def drop_indexes(self) -> None:
        rows = self.db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'ix!_%' ESCAPE '!'"
        ).fetchall()
        for (name,) in rows:
            self.db.execute(f'DROP INDEX "{name}"')

    def _indexes(self, table: Table) -> Iterable[list[str]]:
        for key in table.keys:
            yield [values.compare_column(table.columns[c]) for c in key.columns]
        for column in table.columns.values():
            if column.kind.is_lookup and column.name not in _UNINDEXED and not column.attribute_of:
                yield [column.name]
        for name in ("createdon", "modifiedon", "versionnumber"):
            if name in table.columns:
                yield [name]

    def _last_version(self) -> int:
        row = self.db.execute("SELECT value FROM _meta WHERE name = 'version'").fetchone()
        version = int(row[0]) if row else 1_000_000
        for table in self.model.tables.values():
            if "versionnumber" in table.columns and table.table_type != "Elastic":
                found = self.db.execute(f'SELECT max(versionnumber) FROM "{table.name}"').fetchone()
                version = max(version, found[0] or 0)
        found = self.db.execute("SELECT max(version) FROM _deleted").fetchone()
        return max(version, found[0] or 0)

    def clear(self) -> None:
        """Remove every row, as if the environment were new."""
        with self.savepoint():
            for table in self.model.tables.values():
                self.db.execute(f'DELETE FROM "{table.name}"')
            self.db.execute("DELETE FROM _deleted")
        self.data_version += 1
        self._constants.clear()

    def get_meta(self, name: str) -> Optional[str]:
        row = self.db.execute("SELECT value FROM _meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set_meta(self, name: str, value: str) -> None:
        self.db.execute("INSERT OR REPLACE INTO _meta VALUES (?, ?)", (name, value))

    # --- time, ids, versions ------------------------------------------------------------------

    def now(self) -> int:
        """Microseconds since 1970; the control clock shifts or freezes it."""
        return self._clock()

    def new_id(self) -> str:
        """A version 4 GUID; the sequence is the same in every run."""
        bits = self._random.getrandbits(128)
        bits = bits & ~(0xf << 76) & ~(0x3 << 62) | 4 << 76 | 0x2 << 62  # version and variant
        text = f"{bits:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def next_version(self) -> int:
        self.version += 1
        return self.version

    # --- reading ------------------------------------------------------------------------------

    def execute(self, sql: str, params: Any = ()) -> sqlite3.Cursor:
        return self.db.execute(sql, params)

    def constant(self, sql: str, *params: Any) -> Any:
        """First row of a query over tables of ``_CONSTANT``, asked once until one of them changes:
        every row that is written wants its owner's unit and its currency's rate."""
        slot = (sql, *params)
        if slot not in self._constants:
            self._constants[slot] = self.db.execute(sql, params).fetchone()
        return self._constants[slot]

    def get(
        self, table: Table, row_id: str, partition: Optional[str] = None
    ) -> Optional[dict[str, Any]]:
        """All storage columns of one row."""
        where, params = self._address(table, row_id, partition)
        names = self.storage_columns(table)
        sql = f'SELECT {_quoted(names)} FROM "{table.name}" WHERE {where}'
        row = self.db.execute(sql, params).fetchone()
        return dict(zip(names, row)) if row is not None else None

    def exists(self, table: Table, row_id: str, partition: Optional[str] = None) -> bool:
        where, params = self._address(table, row_id, partition)
        sql = f'SELECT 1 FROM "{table.name}" WHERE {where}'
        return self.db.execute(sql, params).fetchone() is not None

    def _address(
        self, table: Table, row_id: str, partition: Optional[str]
    ) -> tuple[str, tuple[Any, ...]]:
        if partition is not None and table.table_type == "Elastic":
            return f'"{table.primary_id}" = ? AND "partitionid" = ?', (row_id, partition)
        return f'"{table.primary_id}" = ?', (row_id,)

    def find_by_key(self, table: Table, key: Key, storage: dict[str, Any]) -> list[str]:
        """Ids of the rows with these key values, compared as the collation does.

        ``storage``: storage values as ``values.from_json`` gives them (more may be there). A null
        in any key column finds nothing: such rows are not checked for uniqueness (sheet 1.5).
        """
        slot = (table.name, key.name)
        found = self._key_sql.get(slot)
        if found is None:
            names = [values.compare_column(table.columns[name]) for name in key.columns]
            terms = " AND ".join(f'"{name}" = ?' for name in names)
            sql = f'SELECT "{table.primary_id}" FROM "{table.name}" WHERE {terms}'
            found = self._key_sql[slot] = (sql, names)
        params = [storage.get(name) for name in found[1]]
        if None in params:
            return []
        return [row[0] for row in self.db.execute(found[0], params)]

    def count(self, table: Table) -> int:
        return self.db.execute(f'SELECT count(*) FROM "{table.name}"').fetchone()[0]

    def primary_name_of(self, table_name: str, row_id: str) -> Optional[str]:
        """Primary name of a row: the formatted value of lookups to it."""
        table = self.model.tables.get(table_name)
        if table is None or not table.primary_name:
            return None
        sql = f'SELECT "{table.primary_name}" FROM "{table.name}" WHERE "{table.primary_id}" = ?'
        row = self.db.execute(sql, (row_id,)).fetchone()
        return row[0] if row else None

    # --- writing --------------------------------------------------------------------------

    def insert(self, table: Table, storage: dict[str, Any]) -> None:
        """A new row of storage values; ``versionnumber`` and computed columns are set here."""
        storage = dict(storage)
        computed.complete(self, table, storage)
        self._stamp(table, storage)
        self.data_version += 1
        if table.name in _CONSTANT:
            self._constants.clear()
        names = tuple(storage)
        self.db.execute(_insert_sql(table.name, names), tuple(storage.values()))

    def update(
        self,
        table: Table,
        row_id: str,
        storage: dict[str, Any],
        partition: Optional[str] = None,
        known: Optional[dict[str, Any]] = None,
    ) -> None:
        """Change some storage columns of a row; ``known``: some of what it holds."""
        storage = dict(storage)
        where, params = self._address(table, row_id, partition)
        computed.follow(self, table, storage, where, params, known)
        self._stamp(table, storage)
        self.data_version += 1
        if table.name in _CONSTANT:
            self._constants.clear()
        self.db.execute(_update_sql(table.name, tuple(storage)) + where,
                        (*storage.values(), *params))

    def delete(self, table: Table, row_id: str, partition: Optional[str] = None) -> None:
        """Remove a row and leave a trace for change tracking (sheet 10)."""
        where, params = self._address(table, row_id, partition)
        self.data_version += 1
        self._constants.clear()
        self.db.execute(f'DELETE FROM "{table.name}" WHERE {where}', params)
        if table.change_tracking:
            self.db.execute(
                "INSERT INTO _deleted (tbl, id, version, at) VALUES (?, ?, ?, ?)",
                (table.name, row_id, self.next_version(), self.now()),
            )

    def expire(self, table: Table) -> None:
        """Rows of an elastic table whose time to live is over disappear (sheet 13.1)."""
        over = self.db.execute(
            f'DELETE FROM "{table.name}" WHERE ttlinseconds > 0 '
            "AND modifiedon + ttlinseconds * 1000000 <= ?", (self.now(),))
        if over.rowcount > 0:
            self.data_version += 1

    def insert_many(self, table: Table, names: list[str], rows: Iterable[tuple[Any, ...]]) -> None:
        """Seeding: complete storage rows, versions and computed columns included."""
        self.data_version += 1
        self._constants.clear()
        self.db.executemany(_insert_sql(table.name, tuple(names)), rows)

    def _stamp(self, table: Table, storage: dict[str, Any]) -> None:
        if "versionnumber" in table.columns:
            storage["versionnumber"] = self.next_version()

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        """All or nothing; may be nested."""
        name = f"sp{self._depth}"
        self._depth += 1
        self.db.execute(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            self.db.execute(f"ROLLBACK TO {name}")
            self.db.execute(f"RELEASE {name}")
            self._constants.clear()
            self.data_version += 1  # what was rendered meanwhile never happened
            raise
        else:
            self.db.execute(f"RELEASE {name}")
        finally:
            self._depth -= 1


def _shuffle(*values: Any) -> int:
    """A number that says nothing about its arguments: the order of rows that have none."""
    return zlib.crc32(repr(values).encode())


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{n}"' for n in names)


@functools.lru_cache(maxsize=2048)
def _update_sql(table: str, names: tuple[str, ...]) -> str:
    sets = ", ".join(f'"{n}" = ?' for n in names)
    return f'UPDATE "{table}" SET {sets} WHERE '


@functools.lru_cache(maxsize=2048)
def _insert_sql(table: str, names: tuple[str, ...]) -> str:
    marks = ", ".join("?" * len(names))
    return f'INSERT INTO "{table}" ({_quoted(names)}) VALUES ({marks})'


def _storage_columns(store: Store, table_name: str) -> list[str]:
    cache = store.__dict__.setdefault("_storage_cache", {})
    found = cache.get(table_name)
    if found is None:
        found = [
            name
            for column in store.model.tables[table_name].columns.values()
            for name in values.storage_columns(column)
        ]
        cache[table_name] = found
    return found
