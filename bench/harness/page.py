"""The files in docs/bench: Markdown to read, JSON to compute with, SVG to look at."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Iterator, Sequence

from . import chart
from .bench import Result, Table, dump

_TITLES = {"read": "Reading, measured", "write": "Writing, measured"}
#: Load average above which a machine is not ours alone.
_BUSY = 0.5
_HOW = ("Medians over alternating runs; each ratio is computed within one run, and the median of the "
        "ratios is shown. Everything runs on one machine: the local service, PostgreSQL and the "
        "clients share its cores.")


def _cells(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _table(table: Table) -> Iterator[str]:
    yield f"### {table.title}"
    yield ""
    yield _cells(table.header)
    yield _cells(["---"] + ["---:"] * (len(table.header) - 1))
    for row in table.rows:
        yield _cells(row)
    yield ""
    if table.note:
        yield table.note
        yield ""


def _scenario(result: Result) -> Iterator[str]:
    yield f"## {result.scenario}: {result.title}"
    yield ""
    for line in result.setting:
        yield f"- {line}"
    yield ""
    for table in result.tables:
        yield from _table(table)
    yield "### Targets"
    yield ""
    for target in result.targets:
        yield f"- {target.line()}"
    yield ""
    for note in result.notes:
        yield note
        yield ""


def markdown(page: str, results: list[Result], facts: dict[str, str], quick: bool) -> str:
    versions = {**facts, **{k: v for result in results for k, v in result.versions.items()}}
    lines = [f"# {_TITLES[page]}", ""]
    if quick:
        lines += ["**A quick run, to try the harness: not figures to quote.**", ""]
    if float(facts.get("load before", "0")) > _BUSY:
        lines += [f"**Other work ran on this machine (load {facts['load before']} before the run): wall times "
                  "say little.**", ""]
    lines += ["Written by `bench/run`; to be repeated with it, not edited.", "",
              f"![bars of the figures below]({page}.svg)", "", _HOW, "",
              "; ".join(f"{name} {value}" for name, value in versions.items()) + ".", ""]
    for result in results:
        lines += _scenario(result)
    return "\n".join(lines).rstrip("\n") + "\n"


def pages(results: list[Result], facts: dict[str, str], *, quick: bool,
          suffixes: Sequence[str] = ("md", "json", "svg")) -> Iterator[tuple[str, str]]:
    """File name and text: one page for reading, one for writing."""
    for page in _TITLES:
        of_page = [result for result in results if result.page == page]
        if not of_page:
            continue
        texts = {
            "md": markdown(page, of_page, facts, quick),
            "json": json.dumps({"quick": quick, "machine": facts,
                                "scenarios": [dump(result) for result in of_page]},
                               indent=1, ensure_ascii=False) + "\n",
            "svg": chart.draw([bars for result in of_page for bars in result.bars]),
        }
        for suffix in suffixes:
            yield f"{page}.{suffix}", texts[suffix]


def write_pages(out: Path, results: list[Result], facts: dict[str, str], *,
                quick: bool) -> Iterator[Path]:
    """Writes them into a directory; yields what was written."""
    out.mkdir(parents=True, exist_ok=True)
    for name, text in pages(results, facts, quick=quick):
        (out / name).write_text(text)
        yield out / name
