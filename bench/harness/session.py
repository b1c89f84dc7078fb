"""One backend, driven through psql, and what it costs: wall time, CPU, peak memory.

CPU is the scheduler's own account of the backend's threads, in nanoseconds; where a kernel has
none, the clock ticks of /proc/<pid>/stat. The backend is idle at both readings, so both are exact.
"""
from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Iterable


class SqlError(Exception):
    """What the server said."""


@dataclasses.dataclass
class Cost:
    """Of one statement."""

    wall: float  #: seconds
    cpu: float  #: seconds, user and system
    system: float  #: seconds, in ticks of 10 ms
    output: list[str]


def _ticks(pid: int) -> tuple[float, float]:
    """User and system seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick


def process_cpu(pid: int) -> float:
    """Seconds that a process has run."""
    try:
        tasks = Path(f"/proc/{pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9
    except FileNotFoundError:
        return sum(_ticks(pid))


def peak_kb(pid: int) -> int:
    """Peak resident size of a process."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found.group(1)) if found else 0


class Session:
    """A psql that stays, and so a backend that stays."""

    def __init__(self, *settings: str):
        self._psql = subprocess.Popen(
            ["stdbuf", "-oL", "psql", "-X", "-q", "-A", "-t"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
        self._turn = 0
        for setting in settings:
            self.sql(f"SET {setting}")
        self.pid = int(self.sql("SELECT pg_backend_pid()")[0])

    def sql(self, statement: str) -> list[str]:
        """Runs it; the lines of its answer. A NOTICE is among them."""
        assert self._psql.stdin and self._psql.stdout
        self._turn += 1
        mark = f"-- answered {self._turn}"
        self._psql.stdin.write(f"{statement.rstrip().rstrip(';')};\n\\echo '{mark}'\n")
        self._psql.stdin.flush()
        lines: list[str] = []
        for line in self._psql.stdout:
            line = line.rstrip("\n")
            if line == mark:
                break
            lines.append(line)
        else:
            raise SqlError("\n".join(lines) or "the backend is gone")
        if any(re.match(r"(ERROR|FATAL|PANIC):", line) for line in lines):
            raise SqlError("\n".join(lines))
        return lines

    def value(self, statement: str) -> str:
        return self.sql(statement)[0]

    def measure(self, statement: str) -> Cost:
        cpu, system = process_cpu(self.pid), _ticks(self.pid)[1]
        began = time.perf_counter()
        output = self.sql(statement)
        wall = time.perf_counter() - began
        return Cost(wall, process_cpu(self.pid) - cpu, _ticks(self.pid)[1] - system, output)

    def consume(self, select: str) -> Cost:
        """All rows of a query, made and thrown away by the executor: no output functions, no
        client."""
        return self.measure(f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, COSTS OFF) {select}")

    def close(self) -> None:
        assert self._psql.stdin
        self._psql.stdin.close()
        self._psql.wait()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def rows_of(cost: Cost) -> int:
    """Rows that the topmost node of an EXPLAIN ANALYZE returned."""
    found = re.search(r"\(actual rows=(\d+)", cost.output[0])
    if not found:
        raise SqlError("no row count in: " + cost.output[0])
    return int(found.group(1))


def load_rows(table: str, lines: Iterable[bytes]) -> None:
    """COPY of ready lines (bytes) into a table."""
    with subprocess.Popen(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c",
                           f"COPY {table} FROM STDIN"], stdin=subprocess.PIPE) as psql:
        assert psql.stdin
        for line in lines:
            psql.stdin.write(line)
    if psql.returncode:
        raise SqlError(f"could not fill {table}")


def copy_text(text: str) -> bytes:
    """A value as COPY's text format takes it."""
    return (text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
            .replace("\t", "\\t").encode())
