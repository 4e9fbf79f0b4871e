"""What is left after a kill: python -m benchmarks.kills [--kills 100] [--seed 1]

A process publishes, runs a timer, resets, plays the walkthrough or seeds a new database; at a random moment it or the
database is killed. Then every interval there is compared with the emulator, read by read, before and after the next
start. Prints the counts; ends with status 1 where a read differs, or an interval is half there or missing."""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import psutil
import sqlalchemy as sa

from gridlens_core.clock import as_utc
from gridlens_core.database.connection import connect
from gridlens_core.database.discovery import discover
from gridlens_core.database.embedded import start_embedded, stop_embedded
from gridlens_core.database.event_log import events_in_window
from gridlens_core.errors import GridLensError
from gridlens_core.meters.emulator import Span, emulate
from gridlens_core.meters.events import EVENT_TYPES, EventRequest
from gridlens_core.publishing.seeding import prepare_local, registered_fleet
from gridlens_core.settings import Settings
from gridlens_core.show import Show, make_show

TENANT = "DEMO_TENANT"
MINUTES = 15
LONGEST_S = 2.5  # from the moment an action has begun to the kill
REVIVE_S = 1.5  # for a demo whose database was killed to go on, before it is killed too
READS = """
SELECT read_at, array_agg(meter_id ORDER BY meter_id) AS meters,
  array_agg(CAST(kwh * 1000000 AS bigint) ORDER BY meter_id) AS mwh,
  array_agg(CAST(voltage * 10 AS bigint) ORDER BY meter_id) AS dv
FROM meter_reads_electric WHERE tenant_id = :tenant_id GROUP BY read_at
"""
SUPPLY = """
SELECT read_at, array_agg(CAST(supplied_kwh * 1000 AS bigint) ORDER BY feeder_id) AS wh FROM feeder_supply
WHERE tenant_id = :tenant_id GROUP BY read_at ORDER BY read_at
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--victim", nargs=2, metavar=("ACTION", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.victim:
        be_a_victim(*options.victim)
        return 0
    chance = random.Random(options.seed)
    counts: Counter[str] = Counter()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gridlens-", ignore_cleanup_errors=True) as folder:
        check(Path(folder) / "lasting", counts)
        for number in range(options.kills):
            action, target = chance.choice(list(ACTIONS)), chance.choice(("app", "database"))
            data_dir = Path(folder) / (f"seeded{number}" if action == "seeding" else "lasting")
            if kill(action, target, data_dir, chance.uniform(0, LONGEST_S)):
                counts[f"kills of {target}, {action}"] += 1
            else:
                counts[f"nothing to kill yet, {target}, {action}"] += 1
            check(data_dir, counts)
    for what, count in sorted(counts.items()):
        print(f"{what:40s}{count:10,d}")
    print(f"{options.kills} kills, seed {options.seed}, {time.monotonic() - began:.0f} s")
    return int(any(counts[what] for what in ("reads that differ", "intervals that differ", "intervals missing")))


# --- the process that is killed ---------------------------------------------------------------------------


def be_a_victim(action: str, folder: str) -> None:
    """Does one thing over and over until it is killed, and goes on where the database is away."""
    show = make_show(settings(Path(folder)))
    if action == "seeding":
        print("begun", flush=True)
    show.demo.session.start()
    print("begun", flush=True)
    while True:
        with suppress(GridLensError):
            ACTIONS[action](show)
        time.sleep(0.01)


def publish(show: Show) -> None:
    kind = random.choice(EVENT_TYPES)
    feeder = random.choice(show.demo.desk.fleet(TENANT).feeders)
    show.demo.trigger(TENANT, EventRequest(kind, feeder_id=feeder, severity=0.5, duration_minutes=45))
    show.demo.publish(TENANT, cycles=2)


def auto(show: Show) -> None:
    show.demo.auto.start(show.demo.session.database, TENANT, 0.5, MINUTES)
    time.sleep(LONGEST_S)


def reset(show: Show) -> None:
    publish(show)
    show.demo.reset(TENANT)


def walkthrough(show: Show) -> None:
    director = show.director(TENANT)
    director.jump(random.randrange(1, len(show.story.acts)))
    director.wait()


ACTIONS: dict[str, Callable[[Show], None]] = {
    "publish": publish,
    "auto": auto,
    "reset": reset,
    "walkthrough": walkthrough,
    "seeding": reset,  # of a new folder; what comes after it is a reset
}


def settings(data_dir: Path) -> Settings:
    return Settings(data_dir=data_dir, feeders=4, meters_per_feeder=8, history_days=2)


# --- killing ----------------------------------------------------------------------------------------------


def kill(action: str, target: str, data_dir: Path, after_s: float) -> bool:
    """Lets a process begin, waits, and kills it or its database; returns whether there was one."""
    command = [sys.executable, "-m", "benchmarks.kills", "--victim", action, str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        victim.stdout.readline()
        time.sleep(after_s)
        found = victim.poll() is None
        if target == "database":
            found = kill_database(data_dir)
            time.sleep(REVIVE_S)
        victim.kill()
    return found


def kill_database(data_dir: Path) -> bool:
    """Kills the server of a folder; it may not run yet."""
    with suppress(OSError, ValueError, psutil.Error):
        server = psutil.Process(int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0]))
        if server.name().startswith("postgres"):
            server.kill()
            return True
    return False


# --- comparing --------------------------------------------------------------------------------------------


def check(data_dir: Path, counts: Counter[str]) -> None:
    """Compares what a kill left, lets a start put it right, and compares again."""
    database = connect(start_embedded(data_dir), is_local=True)
    chosen = settings(data_dir)
    with database.transaction(read_only=True) as connection:
        if discover(connection).reads is not None:  # a start may have been killed before there was a table
            compare(connection, chosen, counts)
    wall = datetime.now().astimezone()
    prepare_local(database, chosen, wall, lambda _: None)
    with database.transaction(read_only=True, statement_timeout_s=60) as connection:
        times = compare(connection, chosen, counts)
    counts["intervals missing"] += round((times[-1] - times[0]) / timedelta(minutes=MINUTES)) + 1 - len(times)
    counts["starts that went well"] += 1
    database.engine.dispose()
    stop_embedded(data_dir)


def compare(connection: sa.Connection, chosen: Settings, counts: Counter[str]) -> list[datetime]:
    """Compares every interval with the emulator; returns the times of those that are there, oldest first."""
    fleet = registered_fleet(connection, chosen, TENANT)
    tenant = {"tenant_id": TENANT}
    supplied = {as_utc(row.read_at): row.wh for row in connection.execute(sa.text(SUPPLY), tenant)}
    stored = {as_utc(row.read_at): row for row in connection.execute(sa.text(READS), tenant)}
    counts["intervals that differ"] += len(stored.keys() - supplied.keys())
    times = list(supplied)
    if not times:
        return times
    start = times[0] - timedelta(minutes=MINUTES)
    length = round((times[-1] - start) / timedelta(minutes=MINUTES))
    events = events_in_window(connection, TENANT, start, times[-1])
    reads = emulate(fleet, Span(start, MINUTES, length), events, fleet.missing_share)
    order = sorted(range(len(fleet)), key=lambda meter: fleet.meter_ids[meter].encode())
    feeders = sorted(range(len(fleet.feeders)), key=lambda feeder: fleet.feeders[feeder].encode())
    for moment in times:
        place = round((moment - start) / timedelta(minutes=MINUTES)) - 1
        due = [meter for meter in order if reads.sent[meter, place]]
        row = stored.get(moment)
        found = () if row is None else tuple(zip(row.meters, row.mwh, row.dv, strict=True))
        wanted = tuple(
            (fleet.meter_ids[meter], int(reads.recorded_mwh[meter, place]), int(reads.voltage_dv[meter, place]))
            for meter in due
        )
        counts["intervals compared"] += 1
        counts["reads compared"] += len(wanted)
        counts["reads that differ"] += len(set(found) ^ set(wanted))
        counts["intervals that differ"] += not np.array_equal(supplied[moment], reads.supplied_wh[feeders, place])
    return times


if __name__ == "__main__":
    sys.exit(main())
