"""What a file of a million reads costs: seconds from file to plan, from plan to database, and memory of the process.

python -m benchmarks.loading [FILE]    without one, 100 meters of quarter hours are written as CSV first
"""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import pandas as pd

from gridlens_core.demo.demo import Demo
from gridlens_core.demo.loads import Wishes, load, planned
from gridlens_core.loading.said import Said
from gridlens_core.settings import Settings

METERS, INTERVALS = 100, 10_000


def million(path: Path) -> Path:
    """A million reads with a day's shape and scatter."""
    times = pd.date_range("2025-01-01", periods=INTERVALS, freq="15min").strftime("%Y-%m-%d %H:%M")
    shape = 0.2 + 0.1 * np.sin(np.arange(INTERVALS) / 96 * 2 * np.pi)
    kwh = (np.tile(shape, METERS) * np.random.default_rng(1).gamma(2, 0.5, METERS * INTERVALS)).round(4)
    meter = np.repeat([f"M{number:04d}" for number in range(METERS)], INTERVALS)
    pd.DataFrame({"meter_id": meter, "read_at": np.tile(times, METERS), "kwh": kwh}).to_csv(path, index=False)
    return path


def timed(what: str, do: Callable[[], object]) -> object:
    began, cpu = perf_counter(), process_time()
    found = do()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    spent = f"{perf_counter() - began:6.1f} s, {process_time() - cpu:5.1f} s of this process's CPU"
    print(f"{what:<20}{spent}, peak {peak_mb:.0f} MB", flush=True)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "million.csv"
        if len(sys.argv) == 1:
            million(path)
        settings = Settings(
            data_dir=Path(folder) / "data", feeders=2, meters_per_feeder=4, history_days=2,
            now=datetime(2026, 11, 18, 18, tzinfo=UTC),
        )  # fmt: skip
        demo = Demo(settings)
        demo.session.start()
        files = [(path, path.name)]
        plan = timed("file to plan", lambda: planned(demo, files, Said(timezone="UTC"), Wishes("BENCH")))
        timed("plan to database", lambda: load(demo, plan))  # type: ignore[arg-type]
        timed("first moment", lambda: demo.desk.fresh("BENCH"))
        timed("a publish cycle", lambda: demo.publish("BENCH"))
        demo.stop()


if __name__ == "__main__":
    main()
