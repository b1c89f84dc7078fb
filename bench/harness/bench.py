"""What a scenario is given, and what it gives back."""
from __future__ import annotations

import dataclasses
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterable, Optional, Sequence

from .machine import load
from .service import Service
from .session import Session

_PEERS = Path(__file__).resolve().parents[1] / "peers"


@dataclasses.dataclass
class Target:
    """A promise, and what came of it. figure: what was measured, in words; met None: there is
    nothing to measure yet."""

    text: str
    met: Optional[bool]
    figure: str

    def line(self) -> str:
        return f"{self.text}: {'meets' if self.met else 'falls short'} ({self.figure})"


@dataclasses.dataclass
class Table:
    title: str
    header: Sequence[str]
    rows: list[Sequence[str]]
    note: str = ""


@dataclasses.dataclass
class Bars:
    """One group of bars in the page's chart; ours stands out."""

    title: str
    unit: str
    bars: list[tuple[str, float, bool]]  #: label, value, ours


@dataclasses.dataclass
class Result:
    scenario: str
    page: str  #: read or write: which file in docs/bench
    title: str
    setting: list[str]
    tables: list[Table]
    bars: list[Bars]
    targets: list[Target]
    samples: dict[str, list[float]]
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)


class Samples:
    """What was measured, by name, one value per run."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {}

    def add(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        return statistics.median(self.values[name])

    def has(self, name: str) -> bool:
        return name in self.values

    def ratio(self, over: Callable[[Callable[[str], float]], float]) -> float:
        """Median of a figure computed within each run, so that a slow minute strikes both sides."""
        runs = min(len(values) for values in self.values.values())
        return statistics.median(over(lambda name, run=run: self.values[name][run])  # type: ignore[misc]
                                 for run in range(runs))


class Bench:
    """Size and repetitions of a run, its services and its database."""

    def __init__(self, state: Path, *, quick: bool, rows: Optional[int], repeat: Optional[int]):
        self.state = state
        self.quick = quick
        self._rows = rows
        self._repeat = repeat
        self._services: list[Service] = []
        self._began = time.monotonic()

    def rows(self, full: int, quick: int) -> int:
        return self._rows or (quick if self.quick else full)

    def repeat(self, full: int = 7, quick: int = 3) -> int:
        return self._repeat or (quick if self.quick else full)

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began:6.1f} s, load {load():.1f}] {text}", file=sys.stderr,
              flush=True)

    # --- parts --------------------------------------------------------------------------------

    def service(self, name: str, *arguments: str, rows_of: Optional[Service] = None) -> Service:
        service = Service(self.state / f"service-{name}", *arguments, rows_of=rows_of)
        self._services.append(service)
        return service

    def stop(self, service: Service) -> None:
        self._services.remove(service)
        service.stop()

    def close(self) -> None:
        for service in list(self._services):
            self.stop(service)

    def foreign(self, session: Session, name: str, service: Service, *tables: str) -> None:
        """A server of that name over the service, its tables imported into a schema of that name."""
        session.sql("CREATE EXTENSION IF NOT EXISTS dataverse_fdw")
        session.sql(f"CREATE SERVER {name} FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url "
                    f"'{service.url}', tenant_id '{service.tenant}', authority '{service.url}')")
        session.sql(f"CREATE USER MAPPING FOR CURRENT_USER SERVER {name} OPTIONS (client_id "
                    f"'{service.client}', client_secret '{service.secret}')")
        session.sql(f"CREATE SCHEMA {name}")
        session.sql(f"IMPORT FOREIGN SCHEMA dataverse LIMIT TO ({', '.join(tables)}) FROM SERVER {name} "
                    f"INTO {name} OPTIONS (labels 'false')")

    def alternate(self, runs: int, subjects: Iterable[Callable[[], None]]) -> None:
        """Each subject once per run, every other run backwards."""
        order = list(subjects)
        for run in range(runs):
            self.say(f"run {run + 1} of {runs}")
            for subject in (order if run % 2 == 0 else reversed(order)):
                subject()

    # --- programs -----------------------------------------------------------------------------

    def npm(self, package: str) -> Optional[Path]:
        """A directory in which Node.js finds the package; None where it cannot be had."""
        directory = self.state / "npm"
        directory.mkdir(exist_ok=True)
        try:
            subprocess.run(["npm", "install", "--prefix", str(directory), "--no-audit", "--no-fund",
                            "--silent", package], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=True, timeout=120)
        except (FileNotFoundError, subprocess.SubprocessError):
            self.say(f"{package} could not be installed: that peer is left out")
            return None
        return directory

    def peer(self, name: str) -> Path:
        return _PEERS / name


def seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.0f} ms"


def megabytes(value: float) -> str:
    return f"{value / 1e6:.1f} MB"


def dump(result: Result) -> dict[str, Any]:
    """For the JSON file."""
    return {
        "scenario": result.scenario, "title": result.title, "setting": result.setting,
        "targets": [{"text": t.text, "verdict": "meets" if t.met else "falls short",
                     "figure": t.figure} for t in result.targets],
        "samples": {name: [round(v, 6) for v in values] for name, values in result.samples.items()},
        "medians": {name: round(statistics.median(values), 6)
                    for name, values in result.samples.items()},
        "versions": result.versions, "notes": result.notes,
    }
