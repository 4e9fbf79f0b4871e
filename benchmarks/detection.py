"""Blind detection, scored: precision, recall and cycles to detection of the local suspicious-meters view.
Run as python -m benchmarks.detection; thefts of an hour and a half, at several hours, and ten quiet days."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import sqlalchemy as sa

from gridlens_core.clock import day_start, local_day
from gridlens_core.database.connection import connect
from gridlens_core.database.embedded import start_embedded, stop_embedded
from gridlens_core.database.event_log import insert_event
from gridlens_core.database.schema import Schema
from gridlens_core.explanation.detection import Score, score_event, session_score
from gridlens_core.explanation.kpis import Kpis, read_kpis
from gridlens_core.explanation.trace import Observation
from gridlens_core.meters.events import Event, EventRequest
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing.publisher import Plan, publish_cycle
from gridlens_core.publishing.seeding import local_fleet, prepare_local
from gridlens_core.settings import Settings

TENANT, FEEDER = "DEMO_TENANT", "FEEDER_7"
FIRST_DAY = datetime(2026, 11, 18, 18, tzinfo=UTC)
HOURS = (3, 9, 14, 19)  # local, in the order a history grows
SEVERITIES = (0.2, 0.4, 0.7, 1.0)
RINGS = {"whole feeder": 0, "ring of 8": 8, "ring of 3": 3, "one meter": 1}
CYCLES = 6
QUARTER = timedelta(minutes=15)


@dataclass(frozen=True)
class Bench:
    """A local database inside a transaction that is rolled back."""

    connection: sa.Connection
    schema: Schema
    fleet: Fleet

    def cycle(self, wall: datetime) -> Observation:
        """Publishes one cycle and says what the views say then."""
        done = publish_cycle(self.connection, Plan(self.schema, self.fleet, wall, supply=True))
        return Observation(done.read_at, self.kpis(done.read_at))

    def kpis(self, at: datetime) -> Kpis:
        return read_kpis(self.connection, self.schema, TENANT, local_day(at, self.fleet.timezone))


def main() -> None:
    """A ring's meters are drawn by a fixed seed, other ones for each hour."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quiet-days", type=int, default=10)
    quiet_days = parser.parse_args().quiet_days
    with TemporaryDirectory(prefix="gridlens-", ignore_cleanup_errors=True) as folder:
        data_dir = Path(folder).resolve()
        settings = Settings(data_dir=data_dir, now=FIRST_DAY)
        database = connect(start_embedded(data_dir), is_local=True)
        schema = prepare_local(database, settings, FIRST_DAY, lambda _: None)
        fleet = local_fleet(database, settings, TENANT)
        scores: dict[tuple[str, float], list[Score]] = {}
        read_ms: list[float] = []
        for hour in HOURS:
            start = day_start(local_day(FIRST_DAY, fleet.timezone) + timedelta(days=1), fleet.timezone)
            wall = start + timedelta(hours=hour)
            prepare_local(database, settings, wall + QUARTER, lambda _: None)
            for ring, size in RINGS.items():
                for severity in SEVERITIES:
                    with database.engine.connect() as connection:
                        bench = Bench(connection, schema, fleet)
                        scores.setdefault((ring, severity), []).append(theft(bench, size, severity, wall, hour))
                        read_ms.append(timed_read(bench, wall))
        table(scores)
        print(f"KPIs of a lossy day: {np.median(read_ms):.0f} ms median, {max(read_ms):.0f} ms at the most")
        with database.engine.connect() as connection:
            quiet(Bench(connection, schema, fleet), wall, quiet_days)
        database.engine.dispose()
        stop_embedded(data_dir)


def theft(bench: Bench, size: int, severity: float, wall: datetime, seed: int) -> Score:
    """One theft of a feeder, or of a ring of its meters, for all the cycles."""
    of_feeder = [
        meter for meter, feeder in zip(bench.fleet.meter_ids, bench.fleet.feeder_ids, strict=True) if feeder == FEEDER
    ]
    ring = np.random.default_rng(seed).choice(of_feeder, size, replace=False).tolist() if size else [None]
    events: list[Event] = []
    for meter in ring:
        asked = EventRequest("theft", feeder_id=FEEDER, meter_id=meter, severity=severity, duration_minutes=15 * CYCLES)
        events.append(insert_event(bench.connection, asked.checked(TENANT, wall)))
    seen = [bench.cycle(wall) for _ in range(CYCLES)]
    return together([score_event(event, events, bench.fleet, seen) for event in events])


def together(scores: Sequence[Score | None]) -> Score:
    """A ring's events are one theft: found when its first meter is, wrongly named meters counted once."""
    known = [score for score in scores if score is not None]
    whole = session_score(known)
    assert whole is not None
    first = min((score.cycles_to_detection for score in known if score.cycles_to_detection), default=None)
    return Score(None, whole.meters, whole.found, known[0].wrongly_named, CYCLES, first, None)


def table(scores: dict[tuple[str, float], list[Score]]) -> None:
    print(f"{'theft':14s}{'severity':>9s}{'found':>9s}{'precision':>11s}{'recall':>8s}{'cycles':>8s}")
    for (ring, severity), found in scores.items():
        named = sum(score.found for score in found)
        wrong = sum(score.wrongly_named for score in found)
        precision = f"{named / (named + wrong):.2f}" if named + wrong else "-"
        first = [score.cycles_to_detection for score in found if score.cycles_to_detection]
        cycles = f"{np.mean(first):.1f}" if first else "-"
        recall = named / sum(score.meters for score in found)
        print(f"{ring:14s}{severity:9.1f}{len(first):5d} of {len(found)}{precision:>10s}{recall:8.2f}{cycles:>8s}")


def timed_read(bench: Bench, wall: datetime) -> float:
    began = perf_counter()
    bench.kpis(wall + CYCLES * QUARTER)
    return 1000 * (perf_counter() - began)


def quiet(bench: Bench, wall: datetime, days: int) -> None:
    """How many are named though nothing happens: by cycle, with the ordinary gaps."""
    names: Counter[str] = Counter()
    cycles, read_ms = days * 96, []
    for number in range(cycles):
        if number % 96 == 0:
            bench.connection.exec_driver_sql("ANALYZE")  # as autovacuum does, which sees only what is committed
        seen = bench.cycle(wall)
        names.update(f"{issue} {meter}" for meter, issue in seen.kpis.named.items())
        if number % 96 == 0:
            read_ms.append(timed_read(bench, seen.grid_now - CYCLES * QUARTER))
    print(
        f"{days} quiet days: {sum(names.values())} names in {cycles} cycles of {len(bench.fleet)} meters, "
        f"{len(names)} meters; KPIs {np.median(read_ms):.0f} ms"
    )
    for name, times in names.most_common(5):
        print(f"  {name} in {times} cycles")


if __name__ == "__main__":
    main()
