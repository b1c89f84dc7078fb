"""S7: an upsert in which one row in a thousand is refused."""
from __future__ import annotations

import json

from harness.bench import Bars, Bench, Result, Samples, Table, Target, seconds
from harness.loads import BATCH, CONCURRENCY, LATENCIES, PACKAGE, Loads

#: One row in so many is refused: a value outside of its column's range.
BAD_EVERY = 1000
#: Ten bad rows in ten thousand may cost so many requests more.
EXTRA_PER_BAD = 15
#: Every batch of the peer is refused, and its rows go one by one: a few batches are enough.
PEER_ROWS = 3 * BATCH


def run(bench: Bench) -> Result:
    loads = Loads(bench, key=True)
    bad = loads.rows // BAD_EVERY
    _spoil(loads)
    samples = Samples()
    runs = bench.repeat(full=3, quick=1)
    subjects = []
    for ms in LATENCIES:
        subjects.append(lambda ms=ms: loads.measure(samples, f"ours {ms}", "real", ms))  # type: ignore[misc]
    if loads.packages:
        subjects.append(lambda: loads.measure_peer(samples, "peer", "real", 0, "UpsertMultiple", rows=PEER_ROWS))
    bench.alternate(runs, subjects)
    loads.session.sql("TRUNCATE rejected")
    loads.measure(Samples(), "check", "real", 0)
    refused = int(loads.session.value("SELECT count(DISTINCT row ->> 'accountnumber') FROM rejected"))
    missing = loads.rows - int(loads.session.value(
        "SELECT count(*) FROM real.account WHERE accountnumber LIKE 'LOAD-%'"))
    return Result(
        scenario="S7", page="write", title="upserts, one row in a thousand refused",
        setting=[f"{loads.rows:,} rows of which {bad:,} are refused, batches of {BATCH:,}, concurrency "
                 f"{CONCURRENCY}, on_error 'ignore' with a reject table; {runs} runs",
                 "the service does the work"],
        tables=[_table(samples, loads)],
        bars=[Bars(f"S7: wall time, latency {ms} ms", "s",
                   [("ours", samples.median(f"ours {ms} wall"), True)] + (
                       [(f"{PACKAGE}, batch then single", _peer_wall(samples, loads, ms), False)]
                       if loads.packages else [])) for ms in LATENCIES],
        targets=list(_targets(samples, loads, bad, refused, missing)), samples=samples.values,
        versions=loads.version())


def _spoil(loads: Loads) -> None:
    """Bad rows in the local table and in the peer's file; a table for what is refused."""
    loads.session.sql("UPDATE staging SET numberofemployees = -5 "
                      f"WHERE n % {BAD_EVERY} = {BAD_EVERY // 2}")
    loads.session.sql(REJECTED)
    loads.session.sql("ALTER SERVER real OPTIONS (ADD on_error 'ignore', ADD reject_table 'public.rejected')")
    lines = [json.loads(line) for line in loads.file.read_text().splitlines()]
    for number, row in enumerate(lines, 1):
        if number % BAD_EVERY == BAD_EVERY // 2:
            row["numberofemployees"] = -5
    loads.file.write_text("".join(json.dumps(row) + "\n" for row in lines))


REJECTED = "SELECT dataverse_create_reject_table('public.rejected')"


def _peer_wall(samples: Samples, loads: Loads, latency: int) -> float:
    """For all rows, from what a few took at latency 0: its requests wait for one another."""
    few = min(PEER_ROWS, loads.rows)
    return (samples.median("peer wall") + samples.median("peer requests") * latency / 1000) * loads.rows / few


def _table(samples: Samples, loads: Loads) -> Table:
    rows = [("ours", *(seconds(samples.median(f"ours {ms} wall")) for ms in LATENCIES),
             f"{samples.median('ours 0 requests'):.0f}")]
    if loads.packages:
        scale = loads.rows / min(PEER_ROWS, loads.rows)
        rows.append((f"{PACKAGE}: a refused batch row by row (computed)",
                     *(seconds(_peer_wall(samples, loads, ms)) for ms in LATENCIES),
                     f"{samples.median('peer requests') * scale:.0f}"))
    return Table("Wall time and write requests", ("", *(f"latency {ms} ms" for ms in LATENCIES), "requests"),
                 rows, f"The peer's figures are computed from {min(PEER_ROWS, loads.rows):,} rows at latency 0: "
                 "every one of its batches holds a bad row.")


def _targets(samples: Samples, loads: Loads, bad: int, refused: int, missing: int) -> list[Target]:
    extra = max(samples.values["ours 0 requests"]) - loads.rows // BATCH
    return [
        Target("Every row has its verdict: written, or in the reject table",
               refused == bad and missing == bad,
               f"{bad} bad rows, {refused} in the reject table, {missing} not in the service"),
        Target(f"A refused row costs at most {EXTRA_PER_BAD} requests more", extra <= EXTRA_PER_BAD * bad,
               f"{extra / bad:.1f}"),
    ]
