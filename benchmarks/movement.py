"""What measuring costs: a measured publish cycle against a plain one, with 0 to 6 events, on the local database.
Run as python -m benchmarks.movement [--feeders 10] [--meters 40]; ratios of one run, medians of a few cycles."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import sqlalchemy as sa

from gridlens_core.clock import local_day
from gridlens_core.database.connection import connect
from gridlens_core.database.embedded import start_embedded, stop_embedded
from gridlens_core.database.event_log import insert_event
from gridlens_core.explanation.kpis import Kpis, read_kpis
from gridlens_core.explanation.movement import SPLIT_EVENTS_AT_MOST, measured_cycle
from gridlens_core.meters.events import EVENT_TYPES, EventRequest
from gridlens_core.publishing.publisher import publish_cycle, read_grid_now
from gridlens_core.publishing.seeding import local_fleet, prepare_local
from gridlens_core.settings import Settings

TENANT = "DEMO_TENANT"
NOON = datetime(2026, 11, 18, 18, tzinfo=UTC)
REPEATS = 7
EVENTS = (0, 1, 2, 4, 6)


def main() -> None:
    """Each row is medians of cycles that are rolled back; a read is one of the KPIs through the four views."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--feeders", type=int, default=10)
    parser.add_argument("--meters", type=int, default=40, help="meters a feeder")
    options = parser.parse_args()
    size = {"feeders": options.feeders, "meters_per_feeder": options.meters}
    with TemporaryDirectory(prefix="gridlens-", ignore_cleanup_errors=True) as folder:
        data_dir = Path(folder).resolve()
        settings = Settings(data_dir=data_dir, now=NOON, **size)
        database = connect(start_embedded(data_dir), is_local=True)
        schema = prepare_local(database, settings, NOON, lambda _: None)
        fleet = local_fleet(database, settings, TENANT)
        cycle: dict[str, Any] = {"wall": NOON, "interval_minutes": 15, "supply": True}

        def read(connection: sa.Connection, at: datetime) -> Kpis:
            return read_kpis(connection, schema, TENANT, local_day(at, fleet.timezone))

        print(f"{len(fleet)} meters; {SPLIT_EVENTS_AT_MOST} events at most are told apart")
        print(f"{'events':>6s}{'plain ms':>10s}{'read ms':>9s}{'measured ms':>13s}{'ratio':>7s}")
        for number in EVENTS:
            with database.engine.connect() as connection:
                now = read_grid_now(connection, schema, TENANT, NOON, 15)
                for place in range(number):
                    asked = EventRequest(
                        EVENT_TYPES[place % 3], feeder_id=fleet.feeders[place % 3], severity=0.5, duration_minutes=120
                    )
                    insert_event(connection, asked.checked(TENANT, now))
                plain = timed(connection, lambda on: publish_cycle(on, schema, fleet, **cycle))
                look = timed(connection, lambda on, at=now: read(on, at))
                before = read(connection, now)
                measured = timed(
                    connection, lambda on, kpis=before: measured_cycle(on, schema, fleet, read, kpis, **cycle)
                )
            print(f"{number:6d}{plain:10.1f}{look:9.1f}{measured:13.1f}{measured / plain:7.1f}")
        database.engine.dispose()
        stop_embedded(data_dir)


def timed(connection: sa.Connection, work: Callable[[sa.Connection], object]) -> float:
    """The median time of some runs [ms], each rolled back."""
    times = []
    for _ in range(REPEATS):
        savepoint = connection.begin_nested()
        began = perf_counter()
        work(connection)
        times.append(1000 * (perf_counter() - began))
        savepoint.rollback()
    return median(times)


if __name__ == "__main__":
    main()
