"""What the scenarios that write share: rows to load, two services to load them into, the peer.

The service is a stand-in written in Python, one process beside us on the same cores: some 50 µs of its
own work a row is more than all of ours. So the speed of the write path is judged against a service that
answers bulk messages after the latency and does nothing (``sink``), and shown against the one that does
the work (``real``). Peers meet the same two.
"""
from __future__ import annotations

import json
import subprocess
import uuid
from pathlib import Path
from typing import Any, Optional

from .bench import Bench, Samples
from .service import Service
from .session import Session

#: Columns of a row, and what makes one from the number n.
COLUMNS = (
    ("accountnumber", "'LOAD-' || lpad(n::text, 7, '0')"),
    ("name", "'Loaded account ' || n"),
    ("emailaddress1", "'info' || n || '@example.com'"),
    ("telephone1", "'+31 20 ' || lpad((n % 10000000)::text, 7, '0')"),
    ("address1_city", "(ARRAY['Zürich', 'São Paulo', 'Kraków', 'Utrecht', 'Oulu'])[1 + n % 5]"),
    ("description", "repeat('Some words about this account. ', 1 + (n % 4)::int)"),
    ("industrycode", "(1 + n % 12)::int"),
    ("numberofemployees", "(n % 9000)::int"),
    ("revenue", "(n * 17 % 1000000)::numeric + 0.25"),
    ("creditonhold", "n % 7 = 0"),
)
NAMES = ", ".join(name for name, _ in COLUMNS)
BATCH = 1000
CONCURRENCY = 8
LATENCIES = (0, 100)
PACKAGE = "dynamics-web-api"


WRITES = ("POST", "PATCH", "PUT", "DELETE")


class Loads:
    """Rows in a local table, and foreign tables to put them into."""

    def __init__(self, bench: Bench, *, existing: int = 100, key: bool):
        self.bench = bench
        self.rows = bench.rows(100_000, 10_000)
        #: rows that the peer sends one by one: enough for a rate
        self.singles = 40 if bench.quick else 200
        self._existing = existing
        bench.say("starting the services")
        # a scenario before this one may have left its own behind
        turn = len(list(bench.state.glob("service-*")))
        self.services = {name: bench.service(f"{name}-{turn}", "--seed", "demo", "--rows", str(existing))
                         for name in ("real", "sink")}
        self.session = Session("jit = off", "timezone = 'UTC'", "client_min_messages = error",
                               "max_parallel_workers_per_gather = 0")
        self._fill()
        for name, service in self.services.items():
            self.session.sql(f"DROP SCHEMA IF EXISTS {name} CASCADE")
            self.session.sql(f"DROP SERVER IF EXISTS {name} CASCADE")
            bench.foreign(self.session, name, service, "account")
            self.session.sql(f"ALTER SERVER {name} OPTIONS (ADD concurrency '{CONCURRENCY}', "
                             f"ADD batch_size '{BATCH}')")
            if key:
                self.session.sql(f"ALTER FOREIGN TABLE {name}.account OPTIONS (ADD key 'accountnumber')")
            # metadata and token are asked for once in the life of a connection
            self.session.sql(self.insert(name, f"n <= {2 * BATCH}"))
            self.reset(name, 0)
        self.packages = bench.npm(PACKAGE)

    def _fill(self) -> None:
        made = ", ".join(f"{expression} AS {name}" for name, expression in COLUMNS)
        self.session.sql("DROP TABLE IF EXISTS staging")
        self.session.sql(f"CREATE UNLOGGED TABLE staging AS SELECT n, {made} "
                         f"FROM generate_series(1, {self.rows}) n")
        self.session.sql("VACUUM ANALYZE staging")
        self.file = self.bench.state / "rows.jsonl"
        lines = self.session.sql(f"SELECT row_to_json(s) FROM (SELECT {NAMES} FROM staging ORDER BY n) s")
        self.file.write_text("\n".join(lines) + "\n")

    # --- services -----------------------------------------------------------------------------

    def reset(self, name: str, latency: int) -> None:
        """The service as it was, its log empty, the sink's answers scripted."""
        service = self.services[name]
        if name == "real":
            service.control("seed", {"rows": self._existing})
        service.forget_log()
        if name == "sink":
            service.control("faults", _answers_at_once())
        service.latency(latency)

    def write_requests(self, name: str) -> int:
        return sum(entry["method"] in WRITES for entry in self.services[name].log())

    # --- subjects -----------------------------------------------------------------------------

    def insert(self, name: str, condition: str = "true") -> str:
        return f"INSERT INTO {name}.account ({NAMES}) SELECT {NAMES} FROM staging WHERE {condition}"

    def measure(self, samples: Samples, label: str, name: str, latency: int, *,
                condition: str = "true", before: Optional[str] = None) -> None:
        """Our INSERT ... SELECT; before: rows that are there already."""
        self.reset(name, 0)
        if before is not None and name == "real":
            self.session.sql(self.insert(name, before))
            self.services[name].forget_log()
        self.services[name].latency(latency)
        cost = self.session.measure(self.insert(name, condition))
        samples.add(f"{label} wall", cost.wall)
        samples.add(f"{label} cpu", cost.cpu)
        samples.add(f"{label} system", cost.system)
        samples.add(f"{label} requests", self.write_requests(name))

    def measure_encoding(self, samples: Samples) -> None:
        """row_to_json of the same rows, less reading them"""
        source = f"(SELECT {NAMES} FROM staging) s"
        reading = self.session.consume(f"SELECT s FROM {source}").cpu
        made = self.session.consume(f"SELECT row_to_json(s) FROM {source}").cpu
        samples.add("row_to_json cpu", made - reading)
        samples.add("reading cpu", reading)

    def measure_peer(self, samples: Samples, label: str, name: str, latency: int, how: str, *,
                     rows: Optional[int] = None, before: Optional[str] = None,
                     file: Optional[Path] = None) -> None:
        """The scripted client; its time from the first request to the last answer."""
        self.reset(name, 0)
        if before is not None and name == "real":
            self.session.sql(self.insert(name, before))
        service = self.services[name]
        service.latency(latency)
        done = subprocess.run(
            ["node", str(self.bench.peer("dynamics-web-api-load.mjs")), str(self.packages), how,
             str(file or self.file), str(BATCH), str(rows or self.rows)],
            env=service.environment(), stdout=subprocess.PIPE, text=True, check=True)
        written, refused, milliseconds = done.stdout.split()
        samples.add(f"{label} wall", float(milliseconds) / 1000)
        samples.add(f"{label} written", float(written))
        samples.add(f"{label} refused", float(refused))
        samples.add(f"{label} requests", self.write_requests(name))

    def version(self) -> dict[str, str]:
        if not self.packages:
            return {}
        package = self.packages / "node_modules" / PACKAGE / "package.json"
        return {PACKAGE: json.loads(package.read_text())["version"]}


def _answers_at_once() -> list[dict[str, Any]]:
    """Bulk messages are taken and dropped; ids as many as a batch has rows."""
    ids = json.dumps({"Ids": [str(uuid.UUID(int=n)) for n in range(BATCH)]})
    return [
        {"match": {"method": "POST", "path": r"CRM\.CreateMultiple"}, "times": -1, "status": 200,
         "headers": {"Content-Type": "application/json; odata.metadata=minimal"}, "body": ids},
        {"match": {"method": "POST", "path": r"CRM\.UpsertMultiple"}, "times": -1, "status": 204,
         "body": ""},
    ]


def wire_floor(requests: float, latency: int) -> float:
    """Seconds that the wire alone takes: requests × latency / concurrency."""
    return requests * latency / 1000 / CONCURRENCY
