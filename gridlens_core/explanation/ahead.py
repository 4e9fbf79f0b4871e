"""With and without the events, on an existing database, where no read is ever changed: the path the KPIs would have
taken without an event is rehearsed, and rolled back, just before the event's first interval is published."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Lock
from time import monotonic

import sqlalchemy as sa
from pydantic import TypeAdapter

from gridlens_core.clock import day_start, local_day
from gridlens_core.database.connection import STATEMENT_TIMEOUT_S, plain_errors
from gridlens_core.database.event_log import events_in_window
from gridlens_core.errors import GridLensError
from gridlens_core.explanation.kpis import Kpis, ReadKpis
from gridlens_core.explanation.rehearsal import run_ahead
from gridlens_core.explanation.trace import Observation
from gridlens_core.explanation.why import EXACT, Measured, difference
from gridlens_core.files import reason_of, replace_whole
from gridlens_core.meters.emulator import Span
from gridlens_core.meters.events import Event
from gridlens_core.publishing.publisher import Cycle, Plan, publish_cycle

MOST_AHEAD = 96  # intervals of one path: a day of 15 minutes
BY_CYCLE = (
    "This database's reads are never changed, and the path without an event could not be rehearsed to this time; "
    "its effect is known publish cycle by publish cycle, and those add up only roughly."
)

A_DAY = timedelta(days=1)

Values = Mapping[str, Decimal | None] | Mapping[str, Decimal]

log = logging.getLogger(__name__)


class Budget:
    """The seconds one publish cycle may spend on reading the views, and how they are read.

    view_seconds : what one reading of the views took the last time; one that does not fit is not begun
    """

    def __init__(self, read: ReadKpis, seconds: float, view_seconds: float = 0.0) -> None:
        self._read = read
        self._ends_at = monotonic() + seconds
        self._longest_s = view_seconds

    @property
    def left_s(self) -> float:
        return self._ends_at - monotonic()

    @property
    def of_the_cycle_s(self) -> float:
        """What the cycle itself may need: the views before it and after it."""
        return 2 * self._longest_s

    def fits(self, reserve_s: float = 0.0) -> bool:
        """Whether one more reading fits, with so much left afterwards."""
        return self.left_s - reserve_s > self._longest_s

    def read(self, connection: sa.Connection, moment: datetime) -> Kpis | None:
        """The KPIs, or None where the views could not say them in time: a publish does not wait for a view, and a view
        that fails does not refuse it."""
        if not self.fits():
            return None

        def limit() -> None:
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {max(1, int(1000 * self.left_s))}")

        began = monotonic()
        savepoint = connection.begin_nested()
        try:
            with plain_errors():
                kpis = self._read(connection, moment, limit)
            savepoint.commit()
            return kpis
        except GridLensError as error:
            savepoint.rollback()
            log.info("A publish cycle was not measured: %s", error.message)
            return None
        finally:
            self._longest_s = max(self._longest_s, monotonic() - began)
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {int(1000 * STATEMENT_TIMEOUT_S)}")


def key_of(events: Sequence[Event]) -> str:
    """Names the path with just these events, as long as their windows stay as they are."""
    return "+".join(f"{one.id}/{one.starts_at.isoformat()}/{one.ends_at.isoformat()}" for one in events)


@dataclass(frozen=True)
class _Saved:
    """The paths of one tenant: by key the KPIs at each grid time to come."""

    paths: dict[str, dict[datetime, Kpis]] = field(default_factory=dict)


_FILE = TypeAdapter(_Saved)


class PathBook:
    """Rehearsed paths of one tenant, kept in a file beside the trace. Safe to share between threads. A file that cannot
    be written costs what a restart would remember, nothing else; `problem` then says so."""

    def __init__(self, path: Path) -> None:
        self.problem = ""
        self._path = path
        self._lock = Lock()
        self._saved: _Saved | None = None

    def at(self, events: Sequence[Event], moment: datetime) -> Kpis | None:
        """The KPIs at `moment` on the path with just these events; None where it was not rehearsed so far."""
        with self._lock:
            return self._known().paths.get(key_of(events), {}).get(moment)

    def keep(self, events: Sequence[Event], path: Sequence[tuple[datetime, Kpis]], *, since: datetime) -> None:
        """Keeps a path; what lies before `since` is of no use any more."""
        with self._lock:
            known = self._known().paths
            known[key_of(events)] = {**known.get(key_of(events), {}), **dict(path)}
            current = {key: {at: kpis for at, kpis in one.items() if at >= since} for key, one in known.items()}
            self._saved = _Saved({key: one for key, one in current.items() if one})
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                replace_whole(self._path, _FILE.dump_json(self._saved))
                self.problem = ""
            except OSError as error:
                if not self.problem:
                    log.warning("Rehearsed paths cannot be kept beyond this process: %s.", error)
                self.problem = f"Rehearsed paths are not kept beyond this process: {reason_of(error)}."

    def forget(self) -> None:
        """Drops every path, after a reset."""
        with self._lock:
            self._saved = _Saved()
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _known(self) -> _Saved:
        if self._saved is None:
            try:
                self._saved = _FILE.validate_json(self._path.read_bytes())
            except (OSError, ValueError):
                self._saved = _Saved()
        return self._saved


def publish_measured(
    connection: sa.Connection,
    plan: Plan,
    book: PathBook,
    last: Observation | None,
    budget: Budget,
    now: datetime,
) -> tuple[Cycle, Observation | None]:
    """Publishes the next interval, measured with and without the events of the day as far as the budget allows.

    last : what was seen at `now`, the grid clock; None where nobody looked
    Returns no observation where no event has touched the day, or the views did not answer in time.
    """
    span = Span(now, plan.interval_minutes)
    due = events_in_window(connection, plan.fleet.tenant_id, span.start, span.end)
    acting = _acting(connection, plan, last, due, span)
    if not acting:
        return publish_cycle(connection, plan, grid_now=now, events=due, lock=False), None
    before = last.kpis if last is not None else budget.read(connection, now)
    path = _path(connection, plan, book, acting, span, budget)
    trials = _trials(connection, plan, due, budget) if None in path else []
    cycle = publish_cycle(connection, plan, grid_now=now, events=due, lock=False)
    after = budget.read(connection, cycle.read_at)
    if after is None or before is None:
        return cycle, None
    carried = last.measured if last is not None and last.measured is not None else None
    if carried is not None and carried.before.day == after.day:
        since, base = carried.since, carried.before
    elif _is_of_the_same_day(before, after):
        since, base = now, before
    elif path[0] is not None:  # the day began with this interval, so there is nothing before it
        since, base = cycle.read_at, path[0]
    else:
        return cycle, Observation(cycle.read_at, after)
    so_far = _effects(carried) if carried is not None and carried.now.day == after.day else {}
    ids = tuple(str(event.id) for event in acting)
    by_cycle = _by_cycle(so_far, due, [*trials, after]) if None in path else so_far
    note = BY_CYCLE if None in path else ""
    return cycle, Observation(
        cycle.read_at, after, Measured(cycle.read_at, since, base, ids, (*path, after), by_cycle, note)
    )


def _is_of_the_same_day(before: Kpis, after: Kpis) -> bool:
    """Whether the day had begun before: its views had said all that they say after."""
    return before.day == after.day and all(
        before.values.get(kpi) is not None or value is None for kpi, value in after.values.items()
    )


def _acting(
    connection: sa.Connection, plan: Plan, last: Observation | None, due: Sequence[Event], span: Span
) -> list[Event]:
    """The events that have touched the running day, and those that will now, in the order they were written."""
    midnight = day_start(local_day(span.end, plan.fleet.timezone), plan.fleet.timezone)
    found = events_in_window(connection, plan.fleet.tenant_id, min(midnight, span.start - A_DAY), span.end)
    known = {one.id for one in found if one.overlaps(midnight, span.end)}
    if last is not None and last.measured is not None:
        known |= {one.id for one in found if str(one.id) in last.measured.event_ids}
    return [one for one in found if one.id in known or one in due]


def _path(
    connection: sa.Connection,
    plan: Plan,
    book: PathBook,
    acting: Sequence[Event],
    span: Span,
    budget: Budget,
) -> list[Kpis | None]:
    """The KPIs at the end of the interval with none of the events, with the first, up to all but the last.

    A path that is not known yet can be rehearsed from here only while none but its own events have touched a read.
    """
    beginnings = [acting[:number] for number in range(len(acting))]
    asked = [
        chosen
        for chosen in beginnings
        if book.at(chosen, span.end) is None
        and not any(one.starts_at < span.start for one in acting if one not in chosen)
    ]
    for number, chosen in enumerate(asked):
        ends_with_s = (budget.left_s - budget.of_the_cycle_s) * (1 - 1 / (len(asked) - number)) + budget.of_the_cycle_s
        book.keep(chosen, _rehearsed(connection, plan, chosen, budget, ends_with_s), since=span.start)
    return [book.at(chosen, span.end) for chosen in beginnings]


def _rehearsed(
    connection: sa.Connection, plan: Plan, chosen: Sequence[Event], budget: Budget, ends_with_s: float
) -> list[tuple[datetime, Kpis]]:
    """The path from here with these events alone, as far as it comes before so many seconds are left of the budget."""
    path: list[tuple[datetime, Kpis]] = []

    def note(connection: sa.Connection, moment: datetime, before_each: Callable[[], None] | None = None) -> Kpis:
        kpis = budget.read(connection, moment)
        if kpis is None:
            raise _OutOfTime
        path.append((moment, kpis))
        return kpis

    # A path may lead to where the table takes no reads, such as a day without a partition: it ends before that.
    with suppress(_OutOfTime, GridLensError), plain_errors():
        run_ahead(
            connection, plan, note, events=chosen,
            goes_on=lambda done: done < MOST_AHEAD and budget.fits(ends_with_s if done else 0.0),
        )  # fmt: skip
    return path


class _OutOfTime(Exception):  # noqa: N818 - not an error: the rest of a path is not rehearsed
    """The budget of a cycle is used up."""


def _trials(connection: sa.Connection, plan: Plan, due: Sequence[Event], budget: Budget) -> list[Kpis | None]:
    """This one interval without its events, with the first, and so on up to all but the last."""
    found: list[Kpis | None] = []
    for number in range(len(due)):
        savepoint = connection.begin_nested()
        cycle = publish_cycle(connection, plan, events=due[:number], lock=False)
        found.append(budget.read(connection, cycle.read_at))
        savepoint.rollback()
    return found


def _effects(measured: Measured) -> Mapping[str, Kpis]:
    """The effect of each event as it was known last."""
    found = dict(measured.by_cycle)
    for event_id, earlier, later in zip(measured.event_ids, measured.path, measured.path[1:], strict=False):
        if earlier is not None and later is not None:
            found[event_id] = _plus(None, earlier, later)
    return found


def _by_cycle(so_far: Mapping[str, Kpis], due: Sequence[Event], trials: Sequence[Kpis | None]) -> Mapping[str, Kpis]:
    """What the cycles showed of each event, with this one added."""
    sums = dict(so_far)
    for event, earlier, later in zip(due, trials, trials[1:], strict=False):
        if earlier is not None and later is not None:
            sums[str(event.id)] = _plus(sums.get(str(event.id)), earlier, later)
    return sums


def _plus(so_far: Kpis | None, earlier: Kpis, later: Kpis) -> Kpis:
    """so_far + later - earlier, KPI by KPI; what one of them does not have is left as it was."""

    def added(sums: Values, a: Values, b: Values) -> dict[str, Decimal]:
        found = {}
        for name, after in b.items():
            before = a.get(name)
            if before is not None and after is not None:
                found[name] = EXACT.add(sums.get(name) or Decimal(0), difference(after, before))
        return found

    return Kpis(
        later.day,
        added(so_far.values if so_far else {}, earlier.values, later.values),
        added(so_far.feeder_loss_pct if so_far else {}, earlier.feeder_loss_pct, later.feeder_loss_pct),
    )
