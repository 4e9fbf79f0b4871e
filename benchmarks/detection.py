"""Blind detection, scored: precision and recall of the local suspicious-meters view after 6, 12 and 24 intervals.
Run as python -m benchmarks.detection; thefts on several feeders at several hours, and ten quiet days."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
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
from gridlens_core.explanation.kpis import Kpis, read_kpis
from gridlens_core.explanation.trace import Observation
from gridlens_core.meters.events import EventRequest
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing.publisher import Plan, publish_cycle
from gridlens_core.publishing.seeding import local_fleet, prepare_local
from gridlens_core.settings import Settings

TENANT = "DEMO_TENANT"
FEEDERS = ("FEEDER_7", "FEEDER_4", "FEEDER_10")
FIRST_DAY = datetime(2026, 11, 18, 18, tzinfo=UTC)
HOURS = (3, 9, 14, 17)  # local, in the order a history grows; 24 intervals later it is still the same day
SEVERITIES = (0.2, 0.4, 0.7, 1.0)
RINGS = {"whole feeder": 0, "ring of 8": 8, "ring of 3": 3, "one meter": 1}
LOOKS = (6, 12, 24)  # after so many intervals
CYCLES = LOOKS[-1]
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


@dataclass(frozen=True)
class Found:
    """What was named of one theft.

    meters : that steal; looks : (rightly, wrongly) named as of each of LOOKS; wrongly : named wrongly at any time
    first : cycles until the first right name, None where there was none
    """

    meters: int
    looks: tuple[tuple[int, int], ...]
    wrongly: int
    first: int | None


def main() -> None:
    """A ring's meters are drawn by a fixed seed, other ones for each hour and feeder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quiet-days", type=int, default=10)
    quiet_days = parser.parse_args().quiet_days
    with TemporaryDirectory(prefix="gridlens-", ignore_cleanup_errors=True) as folder:
        data_dir = Path(folder).resolve()
        settings = Settings(data_dir=data_dir, now=FIRST_DAY)
        database = connect(start_embedded(data_dir), is_local=True)
        schema = prepare_local(database, settings, FIRST_DAY, lambda _: None)
        fleet = local_fleet(database, settings, TENANT)
        found: dict[tuple[str, float], list[Found]] = {}
        read_ms: list[float] = []
        for hour in HOURS:
            start = day_start(local_day(FIRST_DAY, fleet.timezone) + timedelta(days=1), fleet.timezone)
            wall = start + timedelta(hours=hour)
            prepare_local(database, settings, wall + QUARTER, lambda _: None)
            for (ring, size), severity, feeder in product(RINGS.items(), SEVERITIES, FEEDERS):
                with database.engine.connect() as connection:
                    bench = Bench(connection, schema, fleet)
                    found.setdefault((ring, severity), []).append(theft(bench, feeder, size, severity, wall))
                    read_ms.append(timed_read(bench, wall))
        table(found)
        print(f"KPIs of a lossy day: {np.median(read_ms):.0f} ms median, {max(read_ms):.0f} ms at the most")
        with database.engine.connect() as connection:
            quiet(Bench(connection, schema, fleet), wall, quiet_days)
        database.engine.dispose()
        stop_embedded(data_dir)


def theft(bench: Bench, feeder: str, size: int, severity: float, wall: datetime) -> Found:
    """One theft of a feeder, or of a ring of its meters, for all the cycles."""
    of_feeder = [one for one, its in zip(bench.fleet.meter_ids, bench.fleet.feeder_ids, strict=True) if its == feeder]
    seed = [wall.hour, FEEDERS.index(feeder)]
    ring = np.random.default_rng(seed).choice(of_feeder, size, replace=False).tolist() if size else [None]
    for meter in ring:
        asked = EventRequest("theft", feeder_id=feeder, meter_id=meter, severity=severity, duration_minutes=15 * CYCLES)
        insert_event(bench.connection, asked.checked(TENANT, wall))
    thieves = set(ring) if size else set(of_feeder)
    seen = [set(bench.cycle(wall).kpis.named) for _ in range(CYCLES)]
    looks = tuple((len(seen[at - 1] & thieves), len(seen[at - 1] - thieves)) for at in LOOKS)
    first = next((cycle for cycle, named in enumerate(seen, 1) if named & thieves), None)
    return Found(len(thieves), looks, len(set().union(*seen) - thieves), first)


def table(found: dict[tuple[str, float], list[Found]]) -> None:
    """Precision and recall over all thefts of a kind; `wrong`: meters named wrongly at any time, a theft."""
    print("precision and recall of those named", *(f"after {look} intervals" for look in LOOKS), sep="; ")
    print(f"{'theft':14s}{'severity':>9s}{'found':>10s}" + f"{'prec':>7s}{'rec':>6s}" * len(LOOKS) + "   first  wrong")
    for (ring, severity), thefts in found.items():
        meters = sum(one.meters for one in thefts)
        cells = ""
        for look in range(len(LOOKS)):
            right, wrong = (sum(one.looks[look][part] for one in thefts) for part in (0, 1))
            cells += f"{right / (right + wrong):7.2f}" if right + wrong else f"{'-':>7s}"
            cells += f"{right / meters:6.2f}"
        first = [one.first for one in thefts if one.first]
        cycles = f"{np.mean(first):8.1f}" if first else f"{'-':>8s}"
        wrongly = np.mean([one.wrongly for one in thefts])
        print(f"{ring:14s}{severity:9.1f}{len(first):4d} of {len(thefts):2d}{cells}{cycles}{wrongly:7.2f}", flush=True)


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
