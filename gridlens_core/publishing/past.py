"""Reading a history in slices: which meters it has, and what they read. No statement is long or joins, and one that the
server breaks off is asked again of half as much."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, TypeVar

import numpy as np
import sqlalchemy as sa

from gridlens_core.database.event_log import events_in_window
from gridlens_core.database.newest import meter_beyond
from gridlens_core.database.reads import select_reads
from gridlens_core.database.schema import Schema
from gridlens_core.meters.events import Event
from gridlens_core.meters.learning import Past
from gridlens_core.meters.noise import Flags

MOST_S = 1.0  # for one statement, about
BROKEN_OFF = "57014"  # SQLSTATE of a statement that took longer than it may
HOP_S = 0.001  # a meter; where a slice of them takes longer, they are asked for one by one
FIRST_METERS, MOST_METERS = 250, 25_000  # in one statement
FEW_METERS = 1_000  # that a statement names even where no index leads to them
FIRST_MINUTES, MOST_MINUTES = 30, 24 * 60
# Beyond these a number in a read is a mark of something else, as is NaN.
MOST_KWH = 100_000
MOST_V = 100_000
TOUCHES = timedelta(hours=1)  # an event's window reaches into so much before a read

Window = tuple[datetime, datetime]  # after, until
Found = TypeVar("Found")


@dataclass
class Pace:
    """How much to ask for at once, so that a statement takes about MOST_S."""

    size: int
    most: int

    def ask(self, connection: sa.Connection, ask: Callable[[int], Found]) -> tuple[Found, int, float]:
        """What `ask(size)` finds, the size it was asked with and its seconds; the pace follows."""
        while True:
            size, began = self.size, monotonic()
            savepoint = connection.begin_nested()
            try:
                found = ask(size)
                savepoint.commit()
            except sa.exc.DBAPIError as error:
                if getattr(error.orig, "pgcode", None) != BROKEN_OFF or size == 1:
                    raise
                savepoint.rollback()
                self.size = self.most = max(1, size // 2)
                continue
            seconds = monotonic() - began
            faster = min(4.0, MOST_S / max(seconds, 1e-3))
            self.size = int(np.clip(size * faster, 1, self.most))
            return found, size, seconds


def meters_read(connection: sa.Connection, schema: Schema, tenant_id: str, window: Window) -> list[str]:
    """The ids of every meter that was read in the window, sorted."""
    ways = _by_index if schema.by_meter else _by_time
    return sorted(ways(connection, schema, tenant_id, window))


def _by_index(connection: sa.Connection, schema: Schema, tenant_id: str, window: Window) -> Iterator[str]:
    """From meter to meter along the index, a slice of them at once where that is quick."""
    reads, pace = schema.require_reads(), Pace(FIRST_METERS, MOST_METERS)
    last: str | None = None
    beyond = f"AND {{meter_column}} > CAST(:last AS {reads.type_of('meter_id')})"
    slow = False
    while not slow:

        def ask(size: int, last: str | None = last) -> list[str]:
            found = select_reads(
                connection, schema, tenant_id, "{meter_id} AS meter_id",
                tail=f"{beyond if last else ''} GROUP BY {{meter_column}} ORDER BY {{meter_column}} LIMIT {size}",
                after=window[0], until=window[1], values={"last": last} if last else {},
            )  # fmt: skip
            return list(found.scalars())

        found, asked, seconds = pace.ask(connection, ask)
        yield from found
        if len(found) < asked:
            return
        last, slow = found[-1], seconds > HOP_S * len(found)
    while (last := meter_beyond(connection, reads, tenant_id, last)) is not None:
        yield last


def _by_time(connection: sa.Connection, schema: Schema, tenant_id: str, window: Window) -> set[str]:
    def ask(after: datetime, until: datetime) -> list[str]:
        found = select_reads(
            connection, schema, tenant_id, "{meter_id} AS meter_id", tail="GROUP BY 1", after=after, until=until
        )
        return list(found.scalars())

    return {meter for part in _through(connection, window, ask) for meter in part}


def _through(connection: sa.Connection, window: Window, ask: Callable[[datetime, datetime], Found]) -> Iterator[Found]:
    """Asks of a window in stretches of time, oldest first."""
    pace, (start, end) = Pace(FIRST_MINUTES, MOST_MINUTES), window
    while start < end:

        def of(minutes: int, start: datetime = start) -> tuple[Found, datetime]:
            until = min(start + timedelta(minutes=minutes), end)
            return ask(start, until), until

        (found, start), _, _ = pace.ask(connection, of)
        yield found


@dataclass(frozen=True)
class Readings:
    """What some meters read: `past` by their position, and `feeders` the feeder that each meter's newest reads name."""

    past: Past
    feeders: Mapping[str, str]


def readings(
    connection: sa.Connection, schema: Schema, tenant_id: str, meter_ids: Sequence[str], windows: Sequence[Window]
) -> Readings:
    """The reads of some meters in some windows of time."""
    parts: list[sa.Row[Any]] = []
    for window in windows:
        parts += _rows(connection, schema, tenant_id, meter_ids, window)
    row_of = {meter: row for row, meter in enumerate(meter_ids)}
    parts = [row for row in parts if row.meter_id in row_of]
    names: dict[str, set[str]] = {}
    for row in parts:
        names.setdefault(row.meter_id, set()).update({row.first_feeder, row.last_feeder} - {None})
    feeders = {meter: next(iter(named)) for meter, named in names.items() if len(named) == 1}
    moved = [meter for meter, named in names.items() if len(named) > 1]
    feeders |= _newest_feeders(connection, schema, tenant_id, moved, (windows[0][0], windows[-1][1]))
    meter = np.repeat([row_of[row.meter_id] for row in parts], [len(row.ends) // 8 for row in parts])
    return Readings(
        Past.of(
            meter,
            *(
                np.frombuffer(b"".join(getattr(row, name) for row in parts), kind)
                for name, kind in (("ends", ">i8"), ("kwh", ">f8"), ("volts", ">f8"))
            ),
        ),
        feeders,
    )


def _rows(
    connection: sa.Connection, schema: Schema, tenant_id: str, meter_ids: Sequence[str], window: Window
) -> Iterator[sa.Row[Any]]:
    """A meter's reads in a row: ends, energies and voltages, each as the bytes of its numbers one after the other."""
    values = {
        "ends": "int8send(CAST(extract(epoch FROM {read_at}) AS bigint))",
        "kwh": f"float8send(CASE WHEN {{kwh}} BETWEEN -{MOST_KWH} AND {MOST_KWH} THEN {{kwh}} ELSE 'NaN' END)",
        "volts": f"float8send(CASE WHEN {{volts}} > 0 AND {{volts}} <= {MOST_V} THEN {{volts}} ELSE 'NaN' END)",
    }
    what = "{meter_id} AS meter_id, min({feeder_id}) AS first_feeder, max({feeder_id}) AS last_feeder, " + ", ".join(
        f"string_agg({value}, CAST('' AS bytea)) AS {name}" for name, value in values.items()
    )

    def ask(after: datetime, until: datetime, meters: Sequence[str] | None) -> Sequence[sa.Row[Any]]:
        return select_reads(
            connection, schema, tenant_id, what, tail="GROUP BY 1", after=after, until=until, meters=meters
        ).all()

    if not schema.by_meter:
        some = meter_ids if len(meter_ids) <= FEW_METERS else None
        for rows in _through(connection, window, lambda after, until: ask(after, until, some)):
            yield from rows
        return
    pace, first = Pace(FIRST_METERS, MOST_METERS), 0
    while first < len(meter_ids):

        def of(size: int, first: int = first) -> Sequence[sa.Row[Any]]:
            return ask(*window, meter_ids[first : first + size])

        rows, asked, _ = pace.ask(connection, of)
        yield from rows
        first += asked


def _newest_feeders(
    connection: sa.Connection, schema: Schema, tenant_id: str, meter_ids: Sequence[str], window: Window
) -> dict[str, str]:
    """meter id -> the feeder that its newest read names, of meters that were moved."""
    found: dict[str, str] = {}
    for first in range(0, len(meter_ids), FEW_METERS):
        rows = select_reads(
            connection, schema, tenant_id,
            "{meter_id} AS meter_id, (array_agg({feeder_id} ORDER BY {time_column} DESC))[1] AS feeder_id",
            tail="AND {feeder_id} IS NOT NULL GROUP BY 1", meters=meter_ids[first : first + FEW_METERS],
            after=window[0], until=window[1],
        )  # fmt: skip
        found |= {row.meter_id: row.feeder_id for row in rows}
    return found


def touched_by(events: Sequence[Event], past: Past, meter_ids: Sequence[str], feeder_ids: Sequence[str]) -> Flags:
    """(n_reads,) the reads in the hour after whose beginning an event's window reaches; ids are (n_meters,)."""
    touched = np.zeros(len(past), np.bool_)
    for event in events:
        if event.event_type != "comms-outage" and not event.severity_is_fraction:
            continue
        about = np.array(
            [
                event.feeder_id in (None, feeder) and event.meter_id in (None, meter)
                for meter, feeder in zip(meter_ids, feeder_ids, strict=True)
            ],
            np.bool_,
        )
        end = (event.ends_at + TOUCHES).timestamp()
        touched |= about[past.meter] & (past.end > event.starts_at.timestamp()) & (past.end < end)
    return touched


def acting_events(connection: sa.Connection, schema: Schema, tenant_id: str, windows: Sequence[Window]) -> list[Event]:
    """The few events that may have touched reads of the windows; they are not joined with the reads."""
    if not schema.has_events:
        return []
    found = events_in_window(connection, tenant_id, windows[0][0] - TOUCHES, windows[-1][1])
    return [one for one in found if one.event_type in ("comms-outage", "theft", "voltage-sag")]
