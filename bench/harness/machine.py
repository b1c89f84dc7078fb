"""What a figure depends on: processor, cores, versions. No host names, no paths."""
from __future__ import annotations

import datetime
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Optional


def _first_line(*command: str) -> Optional[str]:
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    return lines[0] if done.returncode == 0 and lines else None


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found.group(1) if found else platform.machine()


def _memory() -> str:
    found = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return f"{int(found.group(1)) / 2**20:.0f} GiB" if found else "unknown"


def _system() -> str:
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)', Path("/etc/os-release").read_text(), re.MULTILINE)
    return found.group(1) if found else platform.system()


def _version(*command: str) -> str:
    line = _first_line(*command) or "not there"
    found = re.search(r"\d+(\.\d+)+", line)
    return found.group(0) if found else line


def load() -> float:
    """Processes that wanted to run in the last minute."""
    return os.getloadavg()[0]


def facts() -> dict[str, str]:
    """In the order in which a page shows them."""
    return {
        "date": datetime.date.today().isoformat(),
        "cores": str(os.cpu_count()),
        "processor": _processor(),
        "memory": _memory(),
        "system": _system(),
        "kernel": platform.release(),
        "PostgreSQL": _version("psql", "--version"),
        "curl": _version("curl", "--version"),
        "Python": platform.python_version(),
        "Node.js": _version("node", "--version"),
    }
