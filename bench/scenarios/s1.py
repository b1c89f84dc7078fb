"""S1: a whole table of accounts, twenty columns, read once."""
from __future__ import annotations

import json
import resource
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

from harness.bench import Bars, Bench, Result, Samples, Table, Target, megabytes, seconds
from harness.service import Service
from harness.session import (Session, SqlError, copy_text, load_rows, peak_kb, process_cpu,
                             rows_of)

#: Foreign table's column, property of the service, type.
COLUMNS = (
    ("accountid", "accountid", "uuid"),
    ("accountnumber", "accountnumber", "text"),
    ("name", "name", "text"),
    ("emailaddress1", "emailaddress1", "text"),
    ("telephone1", "telephone1", "text"),
    ("websiteurl", "websiteurl", "text"),
    ("address1_line1", "address1_line1", "text"),
    ("address1_city", "address1_city", "text"),
    ("description", "description", "text"),
    ("industrycode", "industrycode", "int4"),
    ("customertypecode", "customertypecode", "int4"),
    ("statecode", "statecode", "int4"),
    ("numberofemployees", "numberofemployees", "int4"),
    ("revenue", "revenue", "numeric"),
    ("creditlimit", "creditlimit", "numeric"),
    ("creditonhold", "creditonhold", "bool"),
    ("primarycontactid", "_primarycontactid_value", "uuid"),
    ("ownerid", "_ownerid_value", "uuid"),
    ("createdon", "createdon", "timestamptz"),
    ("modifiedon", "modifiedon", "timestamptz"),
)
NAMES = ", ".join(column for column, _, _ in COLUMNS)

LATENCIES = (0, 100)
CONCURRENCY = 8
PACKAGE = "dynamics-web-api"

#: Each run casts a page so many times, once and more often: the difference is casts alone.
LEX_PASSES = 3
RECORDSET_PASSES = 2

# Targets of the read path.
CPU_OVER_FLOOR = 2.0
CPU_OVER_RECORDSET = 0.5
WALL_OVER_LARGER = 1.2
PARALLEL_GAIN = 5.0
PEAK_MB = 48
#: Balanced: on average at least so many of the CONCURRENCY requests are in flight.
IN_FLIGHT = 6.0

#: A service that works longer than this share of a scan's time is what was measured.
SERVICE_SHARE = 0.3

NOT_BUILT = "not built yet"


class Setup:
    """Services, foreign tables and local tables that all subjects share."""

    def __init__(self, bench: Bench):
        self.bench = bench
        self.rows = bench.rows(200_000, 20_000)
        # a short table gets small pages: a chain must have a length to be worth overlapping
        self.page_rows = 5000 if self.rows >= 100_000 else max(100, self.rows // 20)
        # what our scan sends: the service keeps its pages apart by these
        self.headers = (("Prefer", f"odata.maxpagesize={self.page_rows}"), ("If-None-Match", "null"))
        bench.say(f"starting the service with {self.rows} accounts")
        self.gzip = bench.service("gzip", "--seed", "demo", "--rows", str(self.rows))
        self.plain = bench.service("plain", "--quirk", "compression=none", rows_of=self.gzip)
        self.services = {"gzip": self.gzip, "plain": self.plain}
        # one backend for our scans, as a pool would keep it, and one for everything local
        settings = ("jit = off", "timezone = 'UTC'", "client_min_messages = warning")
        self.scanning = Session(*settings)
        self.local = Session(*settings, "work_mem = '1GB'", "max_parallel_workers_per_gather = 0")
        for name, service in self.services.items():
            bench.foreign(self.scanning, name, service, "account")
            # one chain of pages: what is compared with other chains, and with ranges read side by side
            self.scanning.sql(f"ALTER SERVER {name} OPTIONS (ADD fetch_size '{self.page_rows}', "
                              "ADD concurrency '1')")
        self.packages = bench.npm(PACKAGE)
        self.files = bench.state / "pages"
        self.files.mkdir()
        self.chains: dict[str, list[str]] = {}
        self.sizes: dict[str, int] = {}  #: bytes of all bodies on the wire
        self.body_bytes = 0
        self.warm()
        self.fill()
        for name in self.services:
            self.measure_curl(Samples(), name, 0)
        if self.packages:
            self.pull_by_peer(Samples(), 0)

    def scan(self, name: str) -> str:
        return f"SELECT {NAMES} FROM {name}.account"

    # --- warming ------------------------------------------------------------------------------

    def warm(self) -> None:
        """Every page is rendered and compressed once, as asked for by each client."""
        for name, service in self.services.items():
            self.bench.say(f"warming the {name} service's cache")
            service.forget_log()
            count = rows_of(self.scanning.consume(self.scan(name)))
            if count != self.rows:
                raise SystemExit(f"the scan gave {count} rows instead of {self.rows}")
            log = service.log()
            self.sizes[name] = sum(entry["response_bytes"] for entry in log)
            self.chains[name] = [service.url + entry["url"] for entry in log]
        self.bench.say("fetching the pages")
        for number, (_, body) in enumerate(self.gzip.pages(self.chains["gzip"][0], *self.headers)):
            self.file(number).write_bytes(body)
            self.body_bytes += len(body)

    def file(self, number: int) -> Path:
        return self.files / f"{number:05d}.json"

    # --- local copies -------------------------------------------------------------------------

    def fill(self) -> None:
        """Pages as they came, and the columns' texts, in local tables."""
        self.bench.say("filling local tables")
        texts = ", ".join(f"{column} text" for column, _, _ in COLUMNS)
        typed = ", ".join(f"{column} {typ}" for column, _, typ in COLUMNS)
        self.local.sql("CREATE UNLOGGED TABLE pages (n int, body text)")
        self.local.sql("ALTER TABLE pages ALTER body SET STORAGE EXTERNAL")
        self.local.sql(f"CREATE UNLOGGED TABLE texts ({texts})")
        self.local.sql(f"CREATE UNLOGGED TABLE pulled ({typed})")
        files = sorted(self.files.iterdir())
        load_rows("pages", (b"%d\t%s\n" % (number, copy_text(file.read_text()))
                            for number, file in enumerate(files)))
        load_rows("texts", (line for file in files for line in _text_lines(file)))
        self.local.sql("VACUUM ANALYZE pages")
        self.local.sql("VACUUM ANALYZE texts")

    # --- subjects -----------------------------------------------------------------------------

    def measure_scan(self, samples: Samples, name: str, latency: int) -> None:
        """(a) the foreign scan, its rows made and dropped"""
        service = self.services[name]
        service.latency(latency)
        before = process_cpu(service.pid)
        cost = self.scanning.consume(self.scan(name))
        samples.add(f"scan {name} {latency} wall", cost.wall)
        samples.add(f"scan {name} {latency} cpu", cost.cpu)
        samples.add(f"scan {name} {latency} system", cost.system)
        samples.add(f"scan {name} {latency} service cpu", process_cpu(service.pid) - before)

    def measure_lexer(self, samples: Samples) -> None:
        """(b) text to json, page by page, from memory"""
        once, more = (self.local.measure(_lex_loop(n)).cpu for n in (1, 1 + LEX_PASSES))
        samples.add("lexer cpu", (more - once) / LEX_PASSES)

    def measure_inputs(self, samples: Samples) -> None:
        """(c) the types' input functions on the columns' texts"""
        without = self.local.consume(f"SELECT {_projection(False)} FROM texts").cpu
        samples.add("inputs cpu", self.local.consume(f"SELECT {_projection(True)} FROM texts").cpu - without)

    def measure_recordset(self, samples: Samples) -> None:
        """(d) json_to_recordset over the rows' array alone, and over the page"""
        for label, expression in (("array", "rows"), ("page", "(body::json) -> 'value'")):
            once, more = (self.local.measure(_recordset_loop(expression, n)).cpu
                          for n in (1, 1 + RECORDSET_PASSES))
            samples.add(f"recordset {label} cpu", (more - once) / RECORDSET_PASSES)

    def measure_curl(self, samples: Samples, name: str, latency: int) -> None:
        """(e) one curl over the known addresses: nothing parsed, nothing unpacked"""
        service = self.services[name]
        service.latency(latency)
        config = self.bench.state / f"curl-{name}"
        config.write_text("".join(f'url = "{url}"\noutput = "/dev/null"\n' for url in self.chains[name]))
        headers = (*self.headers, ("Accept-Encoding", "gzip"), ("Accept", "application/json"),
                   ("Authorization", f"Bearer {service.token()}"))
        command = ["curl", "--silent", "--fail", "--config", str(config)]
        for header, value in headers:
            command += ["--header", f"{header}: {value}"]
        began = time.perf_counter()
        subprocess.run(command, check=True)
        samples.add(f"curl {name} {latency} wall", time.perf_counter() - began)

    def measure_pull(self, samples: Samples, latency: int) -> None:
        """the scan into a local table: what the scripted client does"""
        self.gzip.latency(latency)
        self.local.sql("TRUNCATE pulled")
        cost = self.scanning.measure(f"INSERT INTO pulled {self.scan('gzip')}")
        samples.add(f"pull {latency} wall", cost.wall)
        samples.add(f"pull {latency} cpu", cost.cpu)

    def pull_by_peer(self, samples: Samples, latency: int) -> None:
        """(f) the scripted client into the same table; its CPU is that of Node.js and psql. It asks for
        no compression, so it may as well ask the service that has none to give."""
        self.plain.latency(latency)
        self.local.sql("TRUNCATE pulled")
        before, began = _children_cpu(), time.perf_counter()
        done = subprocess.run(
            ["node", str(self.bench.peer("dynamics-web-api.mjs")), str(self.packages), "pulled", "accounts",
             str(self.page_rows), *(name for _, name, _ in COLUMNS)],
            env=self.plain.environment(), stdout=subprocess.PIPE, text=True, check=True)
        samples.add(f"peer {latency} wall", time.perf_counter() - began)
        samples.add(f"peer {latency} cpu", _children_cpu() - before)
        if int(done.stdout) != self.rows:
            raise SystemExit(f"{PACKAGE} gave {done.stdout.strip()} rows instead of {self.rows}")

    def measure_peak(self, samples: Samples) -> None:
        """growth of a new backend's peak over what it had before its first foreign scan"""
        for name in self.services:
            with Session("jit = off", "timezone = 'UTC'") as session:
                session.sql("SELECT count(*) FROM pg_class")
                idle = peak_kb(session.pid)
                session.consume(self.scan(name))
                samples.add(f"peak {name} MB", (peak_kb(session.pid) - idle) * 1024 / 2**20)


# --- statements ---------------------------------------------------------------------------------


def _lex_loop(passes: int) -> str:
    return f"""DO $do$
DECLARE page record; body text;
BEGIN
    FOR page IN SELECT p.body FROM pages p ORDER BY n LOOP
        body := page.body || '';
        FOR i IN 1..{passes} LOOP
            IF body::json IS NULL THEN RAISE EXCEPTION 'no json'; END IF;
        END LOOP;
    END LOOP;
END $do$"""


def _recordset_loop(expression: str, passes: int) -> str:
    columns = ", ".join(f'"{name}" {typ}' for _, name, typ in COLUMNS)
    return f"""DO $do$
DECLARE page record; body text; rows json;
BEGIN
    FOR page IN SELECT p.body FROM pages p ORDER BY n LOOP
        body := page.body || '';
        rows := body::json -> 'value';
        FOR i IN 1..{passes} LOOP
            PERFORM count(*) FROM json_to_recordset({expression}) AS r({columns});
        END LOOP;
    END LOOP;
END $do$"""


# How an input function is called from SQL: type, and what follows its text.
_MORE_ARGUMENTS = {"numeric": ", 0, -1", "timestamptz": ", 0, -1"}
_INPUT = {"uuid": "uuid_in", "text": "textin", "int4": "int4in", "numeric": "numeric_in", "bool": "boolin",
          "timestamptz": "timestamptz_in"}


def _projection(convert: bool) -> str:
    """The columns as C strings, and what their types' input functions make of them."""
    if not convert:
        return ", ".join(f"textout({column})" for column, _, _ in COLUMNS)
    return ", ".join(f"{_INPUT[typ]}(textout({column}){_MORE_ARGUMENTS.get(typ, '')})"
                     for column, _, typ in COLUMNS)


def _text_lines(file: Path) -> Iterator[bytes]:
    """A page's rows as lines for COPY, every value the text that stands in the page."""
    page = json.loads(file.read_bytes(), parse_float=str, parse_int=str)
    for row in page["value"]:
        yield b"\t".join(_text(row.get(name)) for _, name, _ in COLUMNS) + b"\n"


def _text(value: Any) -> bytes:
    if value is None:
        return b"\\N"
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return copy_text(value)


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


# --- concurrency --------------------------------------------------------------------------------


class Parallel:
    """Ranges of the creation date side by side, as soon as the extension has the option for it."""

    def __init__(self, setup: Setup):
        self.setup = setup
        self.service = setup.gzip
        self.built = self._switch_on()

    def _switch_on(self) -> bool:
        """A schema "ranges" with a second foreign table; False while its scan is one chain of pages."""
        bench, session = self.setup.bench, self.setup.scanning
        bench.foreign(session, "ranges", self.setup.plain, "account")
        session.sql(f"ALTER SERVER ranges OPTIONS (ADD fetch_size '{self.setup.page_rows}', "
                    f"ADD concurrency '{CONCURRENCY}')")
        built = self._takes_option() and self._chains() > 1
        if built:
            bench.say("starting a service for the ranges: each keeps only so many packed pages")
            self.service = bench.service("ranges", rows_of=self.setup.gzip)
        else:
            bench.say(f"reading by ranges is {NOT_BUILT}")
        session.sql(f"ALTER SERVER ranges OPTIONS (SET url '{self.service.url}', "
                    f"SET authority '{self.service.url}')")
        session.consume(self.setup.scan("ranges"))
        return built

    def _takes_option(self) -> bool:
        try:
            self.setup.scanning.sql(
                "ALTER FOREIGN TABLE ranges.account OPTIONS (ADD partition_column 'createdon')")
        except SqlError as error:
            if "partition_column" not in str(error):
                raise
            return False
        return True

    def _chains(self) -> int:
        """First pages among the requests of a scan."""
        self.setup.plain.forget_log()
        self.setup.scanning.consume(self.setup.scan("ranges"))
        return sum("skiptoken" not in entry["url"] for entry in self.setup.plain.log())

    def measure(self, samples: Samples) -> None:
        """the scan at the larger latency by ranges, or, until that is built, by the serial chain"""
        service = self.service
        service.latency(max(LATENCIES))
        service.forget_log()
        cost = self.setup.scanning.consume(self.setup.scan("ranges"))
        busy = sum(entry["duration_ms"] for entry in service.log()) / 1000
        samples.add("ranges wall", cost.wall)
        samples.add("ranges in flight", busy / cost.wall)
        if rows_of(cost) != self.setup.rows:
            raise SystemExit("the ranges do not give every row")

    def exactly_once(self) -> tuple[bool, str]:
        """Is every row there once while rows are being added? Changes the ranges' own service."""
        service = self.service
        session = self.setup.scanning
        local = self.setup.local
        local.sql("CREATE UNLOGGED TABLE before_adding AS SELECT accountid::uuid FROM texts")
        with _Adding(service) as adding:
            session.sql("CREATE UNLOGGED TABLE while_adding AS SELECT accountid FROM ranges.account")
        twice = int(local.value("SELECT count(*) - count(DISTINCT accountid) FROM while_adding"))
        missing = int(local.value("SELECT count(*) FROM (TABLE before_adding EXCEPT TABLE while_adding) m"))
        found = f"{twice} rows twice, {missing} missing, while {adding.added} were added"
        return twice == 0 and missing == 0 and adding.added > 0, found


class _Adding:
    """Creates accounts from a thread of its own until told to stop."""

    def __init__(self, service: Service):
        self.added = 0
        self._service = service
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            request = urllib.request.Request(
                f"{self._service.url}/api/data/v9.2/accounts", b'{"name": "added while reading"}',
                {"Authorization": f"Bearer {self._service.token()}", "Content-Type": "application/json"})
            with urllib.request.urlopen(request):
                self.added += 1

    def __enter__(self) -> _Adding:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


# --- verdicts -----------------------------------------------------------------------------------


def _cpu_targets(samples: Samples) -> Iterator[Target]:
    for name in ("gzip", "plain"):
        scan = f"scan {name} 0 cpu"
        how = "gzip" if name == "gzip" else "uncompressed"
        over_floor = samples.ratio(lambda v, scan=scan: v(scan) / (2 * v("lexer cpu") + v("inputs cpu")))
        allowed = 2 * samples.median("lexer cpu") + samples.median("inputs cpu")
        yield Target(
            f"Backend CPU of the scan ({how}) at most {CPU_OVER_FLOOR:.1f} × the json lexer's pass plus the "
            "input functions' own time", over_floor <= 1,
            f"{over_floor:.2f} of what is allowed: {seconds(samples.median(scan))} of {seconds(allowed)}")
        over_recordset = samples.ratio(lambda v, scan=scan: v(scan) / v("recordset array cpu"))
        yield Target(
            f"Backend CPU of the scan ({how}) less than half of json_to_recordset's",
            over_recordset < CPU_OVER_RECORDSET,
            f"{over_recordset:.2f} of it: {seconds(samples.median(scan))} against "
            f"{seconds(samples.median('recordset array cpu'))}")


def _overlap_targets(samples: Samples) -> Iterator[Target]:
    for latency in LATENCIES:
        wall, cpu, curl = (f"scan gzip {latency} wall", f"scan gzip {latency} cpu",
                           f"curl gzip {latency} wall")
        ratio = samples.ratio(lambda v, w=wall, c=cpu, d=curl: v(w) / max(v(c), v(d)))
        yield Target(
            f"Download and decoding overlap, latency {latency} ms: wall at most {WALL_OVER_LARGER} × the "
            "larger of the two", ratio <= WALL_OVER_LARGER,
            f"{ratio:.2f} ×: {seconds(samples.median(wall))}; download {seconds(samples.median(curl))}, "
            f"decoding {seconds(samples.median(cpu))}")


def _parallel_targets(samples: Samples, built: bool, once: Optional[tuple[bool, str]]) -> Iterator[Target]:
    latency = max(LATENCIES)
    gain = samples.ratio(lambda v: v(f"scan gzip {latency} wall") / v("ranges wall"))
    in_flight = samples.median("ranges in flight")
    texts = (f"Latency {latency} ms, concurrency {CONCURRENCY}, ranges of createdon: at least "
             f"{PARALLEL_GAIN:.0f} × faster than the serial page chain",
             f"Ranges balanced although creation dates are skewed: at least {IN_FLIGHT:.0f} of "
             f"{CONCURRENCY} requests in flight on average",
             "Ranges: every row exactly once while rows are being added")
    if not built or once is None:
        serial = f"{NOT_BUILT}; the serial chain: {seconds(samples.median('ranges wall'))}"
        yield Target(texts[0], None, serial)
        yield Target(texts[1], None, f"{NOT_BUILT}; the serial chain: {in_flight:.1f}")
        yield Target(texts[2], None, NOT_BUILT)
        return
    yield Target(texts[0], gain >= PARALLEL_GAIN,
                 f"{gain:.1f} ×: {seconds(samples.median('ranges wall'))} against "
                 f"{seconds(samples.median(f'scan gzip {latency} wall'))}")
    yield Target(texts[1], in_flight >= IN_FLIGHT, f"{in_flight:.1f}")
    yield Target(texts[2], *once)


def _peak_target(samples: Samples) -> Target:
    peaks = {name: max(samples.values[f"peak {name} MB"]) for name in ("gzip", "plain")}
    worst = max(peaks.values())
    return Target(f"Peak RSS over the idle backend at most {PEAK_MB} MB", worst <= PEAK_MB,
                  f"{peaks['gzip']:.1f} MB with gzip, {peaks['plain']:.1f} MB uncompressed")


# --- the page -----------------------------------------------------------------------------------


def _cpu_table(samples: Samples, setup: Setup) -> Table:
    floor = 2 * samples.median("lexer cpu") + samples.median("inputs cpu")
    subjects = [
        ("our scan, gzip", "scan gzip 0 cpu"), ("our scan, uncompressed", "scan plain 0 cpu"),
        ("json input (the lexer's pass)", "lexer cpu"), ("input functions of the 20 columns", "inputs cpu"),
        ("json_to_recordset, array of rows", "recordset array cpu"),
        ("json_to_recordset, whole page", "recordset page cpu"),
    ]
    rows = [(label, seconds(samples.median(name)), f"{samples.median(name) / setup.rows * 1e6:.2f} µs",
             f"{samples.median(name) / setup.body_bytes * 1e9:.2f} ns") for label, name in subjects]
    rows.append(("2 × lexer + input functions", seconds(floor), f"{floor / setup.rows * 1e6:.2f} µs",
                 f"{floor / setup.body_bytes * 1e9:.2f} ns"))
    return Table("CPU of one backend, user and system", ("", "all rows", "a row", "a byte of JSON"), rows,
                 "Our scan receives, unpacks, checks and converts; the others find their bytes in memory.")


def _wall_subjects(setup: Setup) -> list[tuple[str, str, bool]]:
    """Label, name of the samples with %d for the latency, ours?"""
    subjects = [("our scan, gzip", "scan gzip %d wall", True),
                ("curl to /dev/null, gzip", "curl gzip %d wall", False),
                ("our scan into a local table", "pull %d wall", True)]
    if setup.packages:
        subjects.append((f"{PACKAGE} into COPY", "peer %d wall", False))
    return subjects


def _wall_table(samples: Samples, setup: Setup) -> Table:
    rows = [(label, *(seconds(samples.median(name % latency)) for latency in LATENCIES))
            for label, name, _ in _wall_subjects(setup)]
    rows += [(label, seconds(samples.median(name)), "") for label, name in (
        ("our scan, uncompressed", "scan plain 0 wall"),
        ("curl to /dev/null, uncompressed", "curl plain 0 wall"))]
    return Table("Wall time", ("", *(f"latency {latency} ms" for latency in LATENCIES)), rows,
                 "curl asks for the addresses of a finished chain one after another over one connection; it "
                 f"neither parses nor unpacks. {PACKAGE} asks for no compression.")


def _bars(samples: Samples, setup: Setup) -> list[Bars]:
    cpu = [("our scan, gzip", "scan gzip 0 cpu", True), ("our scan, uncompressed", "scan plain 0 cpu", True),
           ("json input (lexer)", "lexer cpu", False), ("input functions", "inputs cpu", False),
           ("json_to_recordset", "recordset array cpu", False)]
    groups = [Bars(f"S1: CPU for {setup.rows:,} rows × {len(COLUMNS)} columns", "s",
                   [(label, samples.median(name), ours) for label, name, ours in cpu])]
    for latency in LATENCIES:
        groups.append(Bars(f"S1: wall time, latency {latency} ms", "s",
                           [(label, samples.median(name % latency), ours)
                            for label, name, ours in _wall_subjects(setup)]))
    return groups


def _setting(setup: Setup, runs: int) -> list[str]:
    return [
        f"{setup.rows:,} accounts × {len(COLUMNS)} columns in {len(setup.chains['gzip'])} pages of "
        f"{setup.page_rows:,} rows; {runs} runs",
        f"{megabytes(setup.body_bytes)} of JSON, {megabytes(setup.sizes['gzip'])} of it on the wire with gzip",
        "the service's pages are rendered and compressed before the first run",
        "our scan: every column converted, every row dropped by the executor (EXPLAIN ANALYZE); backend, "
        "connection and token reused",
    ]


def _peer_version(setup: Setup) -> dict[str, str]:
    if not setup.packages:
        return {}
    package = setup.packages / "node_modules" / PACKAGE / "package.json"
    return {PACKAGE: json.loads(package.read_text())["version"]}


def _notes(samples: Samples, setup: Setup, differing: Optional[int]) -> list[str]:
    # the kernel tells its part in ticks of 10 ms: only the sum over all runs says something
    system = sum(samples.values["scan gzip 0 system"]) / sum(samples.values["scan gzip 0 cpu"])
    notes = [
        f"During our scan with gzip at latency 0 the service itself took "
        f"{seconds(samples.median('scan gzip 0 service cpu'))} of CPU; about {system:.0%} of the backend's CPU "
        "was the kernel's."]
    share = samples.ratio(lambda v: v("scan gzip 0 service cpu") / v("scan gzip 0 wall"))
    if share > SERVICE_SHARE:
        notes.append(f"**The service worked for {share:.0%} of the time of our scan at latency 0: its pages "
                     "were not all cached, and the wall times say more about it than about us.**")
    if differing is not None:
        peer = max(LATENCIES)
        faster = samples.ratio(lambda v: v(f"peer {peer} wall") / v(f"pull {peer} wall"))
        at_once = samples.ratio(lambda v: v("peer 0 wall") / v("pull 0 wall"))
        notes.append(f"Against {PACKAGE}, into the same table: {at_once:.1f} × faster at latency 0, "
                     f"{faster:.1f} × at {peer} ms; {seconds(samples.median('pull 0 cpu'))} of CPU against "
                     f"{seconds(samples.median('peer 0 cpu'))} (Node.js and psql). Rows that it delivered with "
                     f"another value than the service sent: {differing:,}.")
    return notes


def _differing(setup: Setup) -> Optional[int]:
    """Rows of the peer's last pull that are not the rows of the pages."""
    if not setup.packages:
        return None
    setup.pull_by_peer(Samples(), 0)
    typed = ", ".join(f"{column}::{typ}" for column, _, typ in COLUMNS)
    return int(setup.local.value(
        f"SELECT count(*) FROM (SELECT {typed} FROM texts EXCEPT SELECT {NAMES} FROM pulled) d"))


def _check_pull(setup: Setup) -> None:
    """Ours must be the rows of the pages, or no figure is worth anything."""
    setup.measure_pull(Samples(), 0)
    typed = ", ".join(f"{column}::{typ}" for column, _, typ in COLUMNS)
    for left, right in ((f"SELECT {typed} FROM texts", "TABLE pulled"),
                        ("TABLE pulled", f"SELECT {typed} FROM texts")):
        differing = setup.local.value(f"SELECT count(*) FROM ({left} EXCEPT {right}) d")
        if differing != "0":
            raise SystemExit(f"{differing} rows of our scan are not those of the pages")


def _subjects(setup: Setup, parallel: Parallel, samples: Samples) -> list[Callable[[], None]]:
    subjects: list[Callable[[], None]] = [
        lambda: setup.measure_scan(samples, "plain", 0),
        lambda: setup.measure_curl(samples, "plain", 0),
        lambda: setup.measure_lexer(samples),
        lambda: setup.measure_inputs(samples),
        lambda: setup.measure_recordset(samples),
        lambda: setup.measure_peak(samples),
        lambda: parallel.measure(samples),
    ]
    for latency in LATENCIES:
        subjects += [
            lambda latency=latency: setup.measure_scan(samples, "gzip", latency),  # type: ignore[misc]
            lambda latency=latency: setup.measure_curl(samples, "gzip", latency),  # type: ignore[misc]
            lambda latency=latency: setup.measure_pull(samples, latency),  # type: ignore[misc]
        ]
        if setup.packages:
            subjects.append(lambda latency=latency: setup.pull_by_peer(samples, latency))  # type: ignore[misc]
    return subjects


def run(bench: Bench) -> Result:
    setup = Setup(bench)
    parallel = Parallel(setup)
    bench.say("checking that all rows are right")
    _check_pull(setup)
    differing = _differing(setup)
    samples = Samples()
    runs = bench.repeat()
    bench.alternate(runs, _subjects(setup, parallel, samples))
    once = parallel.exactly_once() if parallel.built else None
    targets = [*_cpu_targets(samples), *_overlap_targets(samples),
               *_parallel_targets(samples, parallel.built, once), _peak_target(samples)]
    return Result(
        scenario="S1", page="read", title="a whole table, once", setting=_setting(setup, runs),
        tables=[_cpu_table(samples, setup), _wall_table(samples, setup)], bars=_bars(samples, setup),
        targets=targets, samples=samples.values, versions=_peer_version(setup),
        notes=_notes(samples, setup, differing))
