"""What one look at the four local KPI views costs, in units of a plain publish cycle, early and late in the day.
Run as python -m benchmarks.local_views [--feeders 10 --meters 40] [--days 8]; medians of one run, all rolled back."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import sqlalchemy as sa

from gridlens_core.clock import day_start
from gridlens_core.database.connection import connect
from gridlens_core.database.embedded import start_embedded, stop_embedded
from gridlens_core.database.event_log import insert_event
from gridlens_core.explanation.kpis import read_kpis
from gridlens_core.meters.events import EventRequest
from gridlens_core.publishing.baseline import learn_expectations, relearn_expectations
from gridlens_core.publishing.publisher import publish_cycle, publish_span
from gridlens_core.publishing.seeding import local_fleet, missing_spans, prepare_local
from gridlens_core.settings import Settings

TENANT, FEEDER = "DEMO_TENANT", "FEEDER_7"
DAY = date(2026, 11, 18)
REPEATS = 7
TOUCHED_READS = 900


def main() -> None:
    """Early is 00:30, late 23:30. The theft takes 70 % of one feeder's energy from midnight on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--feeders", type=int, default=10)
    parser.add_argument("--meters", type=int, default=40, help="meters a feeder")
    parser.add_argument("--days", type=int, default=8, help="days of history")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="gridlens-", ignore_cleanup_errors=True) as folder:
        data_dir = Path(folder).resolve()
        settings = Settings(
            feeders=options.feeders, meters_per_feeder=options.meters, history_days=options.days, data_dir=data_dir
        )
        midnight = day_start(DAY, settings.timezone)
        database = connect(start_embedded(data_dir), is_local=True)
        began = perf_counter()
        schema = prepare_local(database, settings, midnight + timedelta(minutes=15), lambda _: None)
        seconds = perf_counter() - began
        fleet = local_fleet(database, settings, TENANT)
        theft = EventRequest("theft", feeder_id=FEEDER, severity=0.7, duration_minutes=24 * 60, starts_at=midnight)
        print(f"{len(fleet)} meters, {options.days} days seeded in {seconds:.1f} s")
        print(f"{'':>18s}{'cycle ms':>10s}{'views ms':>10s}{'views / cycle':>15s}")
        for number in range(4):
            late, stolen = divmod(number, 2)
            wall = midnight + timedelta(hours=23 if late else 0, minutes=45)
            with database.engine.connect() as connection:  # closed without a commit: all of it is rolled back
                if stolen:
                    insert_event(connection, theft.checked(TENANT, midnight))
                for span in missing_spans(connection, schema, fleet, settings, wall):
                    publish_span(connection, schema, fleet, span)
                connection.exec_driver_sql("ANALYZE")

                def cycle(on: sa.Connection) -> object:
                    return publish_cycle(on, schema, fleet, wall=midnight, interval_minutes=15, supply=True)

                plain = timed(connection, cycle)
                look = timed(connection, lambda on: read_kpis(on, schema, TENANT, DAY))
                label = f"{'late' if late else 'early'}, {'long theft' if stolen else 'quiet'}"
                print(f"{label:>18s}{plain:10.1f}{look:10.1f}{look / plain:15.2f}")
                if number == 3:
                    print_work(connection, plain)
        database.engine.dispose()
        stop_embedded(data_dir)


def print_work(connection: sa.Connection, plain: float) -> None:
    """Reads put right, and what is learned from them."""
    touched = sa.text(
        "UPDATE meter_reads_electric SET kwh = kwh * 1.5 WHERE ctid = ANY(ARRAY("
        "SELECT ctid FROM meter_reads_electric WHERE tenant_id = :tenant AND feeder_id = :feeder AND read_at > :after "
        "ORDER BY read_at LIMIT :most))"
    )
    for day in (DAY, DAY - timedelta(days=1)):
        parameters = {
            "tenant": TENANT, "feeder": FEEDER, "after": day_start(day, "America/Chicago"), "most": TOUCHED_READS
        }  # fmt: skip
        took = timed(connection, lambda on, of=parameters: on.execute(touched, of))
        print(f"{TOUCHED_READS} reads of {day} put right: {took:.1f} ms, {took / plain:.2f} cycles")
    connection.execute(touched, parameters)
    took = timed(connection, lambda on: relearn_expectations(on, TENANT, DAY, [FEEDER]))
    print(f"one feeder learned again: {took:.1f} ms, {took / plain:.2f} cycles")
    took = timed(connection, lambda on: learn_expectations(on, TENANT, DAY + timedelta(days=1)), 3)
    print(f"the next day learned: {took:.1f} ms, {took / plain:.2f} cycles")


def timed(connection: sa.Connection, work: Callable[[sa.Connection], object], repeats: int = REPEATS) -> float:
    """The median time of some runs [ms], each rolled back."""
    times = []
    for _ in range(repeats):
        savepoint = connection.begin_nested()
        began = perf_counter()
        work(connection)
        times.append(1000 * (perf_counter() - began))
        savepoint.rollback()
    return median(times)


if __name__ == "__main__":
    main()
