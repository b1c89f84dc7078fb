"""S6: an upsert by alternate key, half of the rows existing."""
from __future__ import annotations

from harness.bench import Bench, Result
from harness.loadpage import result


def run(bench: Bench) -> Result:
    return result("S6", "upserts by alternate key, half of the rows existing", bench, "UpsertMultiple",
                  key=True, before=lambda rows: f"n <= {rows // 2}")
