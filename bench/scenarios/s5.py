"""S5: new rows, created."""
from __future__ import annotations

from harness.bench import Bench, Result
from harness.loadpage import result


def run(bench: Bench) -> Result:
    return result("S5", "creating rows", bench, "CreateMultiple", key=False)
