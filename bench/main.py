"""Runs the scenarios asked for and writes their pages. Started by bench/run, never by hand."""
from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from harness.bench import Bench
from harness.machine import facts
from harness.page import pages, write_pages

_SCENARIOS = Path(__file__).parent / "scenarios"
_PUBLISHED = Path(__file__).resolve().parents[1] / "docs" / "bench"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--load", type=float, default=0.0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--scenario", action="append", default=[])
    parser.add_argument("--rows", type=int)
    parser.add_argument("--repeat", type=int)
    return parser.parse_args()


def known_scenarios() -> list[str]:
    """S1, S2, S10: by number."""
    names = [path.stem.upper() for path in _SCENARIOS.glob("s*.py")]
    return sorted(names, key=lambda name: int(name[1:]))


def main() -> None:
    options = parse_arguments()
    known = known_scenarios()
    wanted = [name.upper() for name in options.scenario] or known
    for name in wanted:
        if name not in known:
            raise SystemExit(f"no scenario {name}; there are {', '.join(known)}")
    results = []
    for name in wanted:
        scenario = importlib.import_module(f"scenarios.{name.lower()}")
        bench = Bench(options.state, quick=options.quick, rows=options.rows, repeat=options.repeat)
        try:
            results.append(scenario.run(bench))
        finally:
            bench.close()
    machine = {**facts(), "load before": f"{options.load:.1f}"}
    out = options.out or (None if options.quick and not options.write else _PUBLISHED)
    if out is None:
        for _, text in pages(results, machine, quick=options.quick, suffixes=("md",)):
            print(text)
        return
    for path in write_pages(out, results, machine, quick=options.quick):
        print(f"wrote {path}", file=sys.stderr)
    for result in results:
        for target in result.targets:
            print(target.line())


main()
