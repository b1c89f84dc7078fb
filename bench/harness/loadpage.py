"""What the pages of S5 and S6 have in common: tables, bars and verdicts of a load."""
from __future__ import annotations

from typing import Callable, Iterator

from .bench import Bars, Bench, Result, Samples, Table, Target, seconds
from .loads import BATCH, COLUMNS, CONCURRENCY, LATENCIES, PACKAGE, Loads, wire_floor

# Targets of the write path.
GAIN_OVER_SERIAL = 6.0
OVER_FLOOR = 1.15
ENCODING_OVER_ROW_TO_JSON = 1.5

_SERVICES = ("sink", "real")


def subjects(loads: Loads, samples: Samples, how: str, before: str | None) -> list[Callable[[], None]]:
    """Ours and the peer's, on both services at both latencies, and row_to_json."""
    made: list[Callable[[], None]] = [lambda: loads.measure_encoding(samples)]
    for service in _SERVICES:
        for latency in LATENCIES:
            made.append(lambda s=service, ms=latency: loads.measure(  # type: ignore[misc]
                samples, f"ours {s} {ms}", s, ms, before=before))
            if loads.packages:
                made.append(lambda s=service, ms=latency: loads.measure_peer(  # type: ignore[misc]
                    samples, f"peer {s} {ms}", s, ms, how, before=before))
    if loads.packages:
        for latency in LATENCIES:
            made.append(lambda ms=latency: loads.measure_peer(  # type: ignore[misc]
                samples, f"single {ms}", "real", ms, "upsert", rows=loads.singles))
    return made


def targets(samples: Samples, loads: Loads) -> Iterator[Target]:
    slow = max(LATENCIES)
    if loads.packages:
        gain = samples.ratio(lambda v: v(f"peer sink {slow} wall") / v(f"ours sink {slow} wall"))
        yield Target(
            f"Latency {slow} ms, concurrency {CONCURRENCY}: at least {GAIN_OVER_SERIAL:.0f} × faster than "
            f"serial batches of {BATCH:,}", gain >= GAIN_OVER_SERIAL,
            f"{gain:.1f} ×: {seconds(samples.median(f'ours sink {slow} wall'))} against "
            f"{seconds(samples.median(f'peer sink {slow} wall'))}")
    floor = samples.ratio(lambda v: v(f"ours sink {slow} wall") / _floor(v, slow))
    yield Target(
        f"Latency {slow} ms: wall at most {OVER_FLOOR} × the wire floor plus encoding", floor <= OVER_FLOOR,
        f"{floor:.2f} ×: wire {seconds(wire_floor(samples.median(f'ours sink {slow} requests'), slow))}, "
        f"encoding {seconds(samples.median('row_to_json cpu'))} (row_to_json)")
    encoding = samples.ratio(lambda v: _own(v) / v("row_to_json cpu"))
    yield Target(
        f"Encoding CPU at most {ENCODING_OVER_ROW_TO_JSON} × row_to_json of the same rows",
        encoding <= ENCODING_OVER_ROW_TO_JSON,
        f"{encoding:.2f} ×, everything that the backend does in user mode counted as encoding (gathering, "
        "curl and the key's checks too)")
    most = loads.rows // BATCH + 5
    for service in _SERVICES:
        requests = max(samples.values[f"ours {service} 0 requests"])
        yield Target(f"{loads.rows:,} rows in {loads.rows // BATCH} write requests plus at most 5 ({service})",
                     requests <= most, f"{requests:.0f}")


def _own(value: Callable[[str], float]) -> float:
    """The backend's time in user mode, less reading the rows."""
    return value("ours sink 0 cpu") - value("ours sink 0 system") - value("reading cpu")


def _floor(value: Callable[[str], float], latency: int) -> float:
    return wire_floor(value(f"ours sink {latency} requests"), latency) + value("row_to_json cpu")


def _walls(samples: Samples, loads: Loads, how: str) -> list[tuple[str, str, bool]]:
    """Label, name of the samples with %d for the latency, ours?"""
    rows = [("ours, service that answers at once", "ours sink %d wall", True),
            ("ours, service that does the work", "ours real %d wall", True)]
    if loads.packages:
        rows[1:1] = [(f"{PACKAGE}, {how} one after another, at once", "peer sink %d wall", False)]
        rows.append((f"{PACKAGE}, {how} one after another, work", "peer real %d wall", False))
    return rows


def _table(samples: Samples, loads: Loads, how: str) -> Table:
    rows = [(label, *(seconds(samples.median(name % ms)) for ms in LATENCIES))
            for label, name, _ in _walls(samples, loads, how)]
    if loads.packages:
        scale = loads.rows / loads.singles
        rows.append((f"{PACKAGE}, single upserts (from {loads.singles})",
                     *(seconds(samples.median(f"single {ms} wall") * scale) for ms in LATENCIES)))
    rows.append(("wire floor: requests × latency / concurrency",
                 *(seconds(wire_floor(samples.median(f"ours sink {ms} requests"), ms)) for ms in LATENCIES)))
    return Table("Wall time", ("", *(f"latency {ms} ms" for ms in LATENCIES)), rows,
                 "Single upserts are computed from the rate of a few.")


def _cpu_table(samples: Samples, loads: Loads) -> Table:
    subjects = [("our load, latency 0, answered at once", "ours sink 0 cpu"),
                ("of it the kernel's", "ours sink 0 system"),
                ("row_to_json of the same rows", "row_to_json cpu"), ("reading the rows", "reading cpu")]
    rows = [(label, seconds(samples.median(name)), f"{samples.median(name) / loads.rows * 1e6:.2f} µs")
            for label, name in subjects]
    return Table("CPU of one backend", ("", "all rows", "a row"), rows)


def result(scenario: str, title: str, bench: Bench, how: str, *, key: bool,
           before: Callable[[int], str] | None = None) -> Result:
    """Runs a load of all rows against the peer's same load."""
    loads = Loads(bench, key=key)
    already = before(loads.rows) if before is not None else None
    samples = Samples()
    runs = bench.repeat(full=3, quick=1)
    bench.alternate(runs, subjects(loads, samples, how, already))
    bars = [Bars(f"{scenario}: wall time, latency {ms} ms", "s",
                 [(label, samples.median(name % ms), ours) for label, name, ours in
                  _walls(samples, loads, how)]) for ms in LATENCIES]
    return Result(
        scenario=scenario, page="write", title=title,
        setting=[f"{loads.rows:,} rows × {len(COLUMNS)} columns, batches of {BATCH:,}, concurrency "
                 f"{CONCURRENCY}; {runs} runs",
                 "one service does the work (a Python process, beside us on the same cores), one answers "
                 "bulk messages after the latency and drops them: targets are judged against that one",
                 "token, connections and metadata are there from a small load before"],
        tables=[_table(samples, loads, how), _cpu_table(samples, loads)], bars=bars,
        targets=list(targets(samples, loads)), samples=samples.values, versions=loads.version())
