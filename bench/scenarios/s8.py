"""S8: single-row upserts from a trigger."""
from __future__ import annotations

from harness.bench import Bench, Result, Samples, Table, Target, seconds
from harness.loads import LATENCIES, NAMES, Loads

#: Our own time a row.
OWN_MS = 0.3

_FUNCTION = f"""CREATE FUNCTION push() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
    INSERT INTO real.account ({NAMES}) SELECT {', '.join('NEW.' + name.strip() for name in NAMES.split(','))};
    RETURN NULL;
END $f$"""


class Triggered:
    """Two copies of a local table: one pushes each of its rows abroad, one keeps them."""

    def __init__(self, bench: Bench):
        self.loads = Loads(bench, key=True)
        self.rows = bench.rows(2_000, 500)
        session = self.loads.session
        session.sql(_FUNCTION)
        session.sql(_FUNCTION.replace("push()", "keep()").replace("real.account", "kept"))
        for name in ("pushing", "keeping", "kept"):
            session.sql(f"CREATE UNLOGGED TABLE {name} AS SELECT {NAMES} FROM staging LIMIT 0")
        session.sql("CREATE TRIGGER t AFTER INSERT ON pushing FOR EACH ROW EXECUTE FUNCTION push()")
        session.sql("CREATE TRIGGER t AFTER INSERT ON keeping FOR EACH ROW EXECUTE FUNCTION keep()")

    def measure(self, samples: Samples, latency: int) -> None:
        """rows pushed one by one"""
        self.loads.reset("real", latency)
        rows = self.rows if latency == 0 else self.rows // 10
        cost = self._insert("pushing", rows)
        service = self.loads.services["real"]
        samples.add(f"push {latency} wall", cost.wall / rows)
        samples.add(f"push {latency} cpu", cost.cpu / rows)
        samples.add(f"push {latency} requests", self.loads.write_requests("real") / rows)
        samples.add(f"push {latency} tokens",
                    sum("oauth2" in entry["url"] for entry in service.control("log")))

    def measure_local(self, samples: Samples) -> None:
        """the same trigger into a local table: what PostgreSQL itself takes"""
        cost = self._insert("keeping", self.rows)
        samples.add("local cpu", cost.cpu / self.rows)

    def _insert(self, table: str, rows: int):  # type: ignore[no-untyped-def]
        return self.loads.session.measure(
            f"INSERT INTO {table} SELECT {NAMES} FROM staging WHERE n <= {rows}")


def run(bench: Bench) -> Result:
    setup = Triggered(bench)
    samples = Samples()
    runs = bench.repeat(full=5, quick=2)
    bench.alternate(runs, [lambda: setup.measure(samples, 0), lambda: setup.measure_local(samples),
                           lambda: setup.measure(samples, 100)])
    own = samples.ratio(lambda v: v("push 0 cpu") - v("local cpu"))
    requests = max(max(samples.values[f"push {ms} requests"]) for ms in LATENCIES)
    tokens = max(max(samples.values[f"push {ms} tokens"]) for ms in LATENCIES)
    rows = [(f"a row pushed, latency {ms} ms", seconds(samples.median(f"push {ms} wall")),
             f"{samples.median(f'push {ms} cpu') * 1e3:.2f} ms") for ms in LATENCIES]
    rows.append(("the same trigger into a local table", "", f"{samples.median('local cpu') * 1e3:.2f} ms"))
    return Result(
        scenario="S8", page="write", title="single-row upserts from a trigger",
        setting=[f"{setup.rows:,} rows one by one at latency 0, {setup.rows // 10:,} at 100 ms; {runs} runs"],
        tables=[Table("One row", ("", "wall", "CPU of the backend"), rows,
                      "Our own time is the backend's CPU, less that of the same trigger writing locally; "
                      "the wall time is mostly the service's.")],
        bars=[],
        targets=[
            Target("One request a row, the token reused", requests <= 1 and tokens == 0,
                   f"{requests:.3f} requests a row, {tokens:.0f} tokens asked for"),
            Target(f"Under {OWN_MS} ms of our own time a row", own * 1e3 < OWN_MS, f"{own * 1e3:.3f} ms"),
        ],
        samples=samples.values)
