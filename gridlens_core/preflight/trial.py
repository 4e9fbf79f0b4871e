"""The history that publishing goes on from, and one interval on trial, clean and under a theft, rolled back.
The preflight's figures come from these; nothing stays in the database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from time import monotonic

import numpy as np
import sqlalchemy as sa

from gridlens_core import words
from gridlens_core.clock import DEFAULT_INTERVAL_MINUTES, local_day
from gridlens_core.database.bindings import BINDINGS_FILE
from gridlens_core.database.connection import plain_errors
from gridlens_core.database.newest import newest_after
from gridlens_core.database.queries import query
from gridlens_core.database.reads import select_reads
from gridlens_core.database.schema import Schema
from gridlens_core.demo.demo import Demo
from gridlens_core.errors import DatabaseNotReadyError, DatabaseRefusedError, GridLensError
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.explanation.supply import ODD_LOSS_PCT, supply_goes_on
from gridlens_core.explanation.under_theft import moves, no_loss, theft_of_all
from gridlens_core.meters.emulator import Span, emulate
from gridlens_core.meters.fleet import Fleet
from gridlens_core.preflight.findings import Finding, Inspected, rolled_back
from gridlens_core.preflight.fitness import TITLES, WHOLE_VIEW
from gridlens_core.publishing import seeding as startup
from gridlens_core.publishing.playback import Playback, play_back_latest
from gridlens_core.publishing.publisher import ROWS_REMEDY, check_stands, newest_interval, read_grid_now, write_reads

FAR_AHEAD = timedelta(days=2)  # of the grid clock, more than a demo runs
STALE = timedelta(days=2)
STRAY = timedelta(hours=2)  # ahead of most of the fleet
KEPT_ENOUGH = 0.995  # of a trial's energy; less was rounded or changed on the way


def history(inspected: Inspected, trial: bool) -> Iterator[Finding]:
    demo, schema, tenant_id = inspected.demo, inspected.schema, inspected.tenant_id
    wall = demo.session.wall(tenant_id)
    with inspected.reading() as connection:
        latest = newest_interval(connection, schema, tenant_id)
        now = read_grid_now(connection, schema, tenant_id, wall, DEFAULT_INTERVAL_MINUTES)
        volume = connection.execute(query("preflight.sql", "volume")).one()
    size = "of unknown size, never analysed" if volume.never_analysed else f"about {int(volume.reads):,} reads"
    tables = f" in {volume.tables} partitions" if volume.tables > 1 else ""
    yield Finding("History: volume", "passed", size + tables)
    yield _freshness(demo, tenant_id, latest, wall)
    if inspected.database.is_local:
        fleet = demo.desk.fleet(tenant_id)
    else:
        with inspected.reading() as connection:
            today = local_day(now, demo.settings.timezone)
            fleet = startup.existing_fleet(connection, schema, demo.settings, tenant_id, latest, today)
    with inspected.reading() as connection:
        stray = latest and newest_after(connection, schema, tenant_id, fleet.meter_ids, latest + STRAY)
    if stray is not None:
        yield Finding(
            "History: stray", "degraded",
            f"a read of {stray:%Y-%m-%d %H:%MZ}, which most of the fleet has not reached: the grid clock stays at "
            f"{latest:%Y-%m-%d %H:%MZ}",
            "Have it corrected by its owner; the views may count it.",
        )  # fmt: skip
    minutes = fleet.habits.minutes if fleet.habits is not None else DEFAULT_INTERVAL_MINUTES
    yield _fleet(fleet, minutes, learned=fleet.habits is not None)
    if fleet.habits is not None and latest is not None:
        with inspected.reading() as connection:
            played = play_back_latest(connection, schema, fleet, latest, demo.desk.today(now))
        yield from _playback(played, demo.settings.timezone)
        trial = trial and not played.problems
    if not trial:
        yield Finding("Trial publish", "degraded", "not tried", "Remove what is blocked, and check again.")
        return
    yield from _trial(inspected, fleet, minutes)


def _playback(played: Playback, timezone: str) -> Iterator[Finding]:
    what = "History: playback"
    day = f"{words.clock_time(played.start, timezone)} to {words.clock_time(played.end, timezone)}"
    for number, one in enumerate(played.problems, start=1):
        nth = f" ({number})" if number > 1 else ""
        yield Finding(what + nth, "blocked", one.found, one.remedy, played.table() if number == 1 else ())
    if played.problems:
        return
    if played.note:
        yield Finding(what, "degraded", f"not played back: {played.note}", "Let two whole days of reads come in first.")
        return
    worst = max(played.feeders, key=lambda one: abs(one.off))
    yield Finding(
        what, "passed",
        f"{day}, from the days before: {words.plural(len(played.feeders), 'feeder')} within "
        f"{abs(100 * worst.off):.1f} % of what was there, {played.far_meters} of {played.meters} meters off by more "
        f"than half; {played.reads[1]:,.1f} reads an interval, {played.reads[0]:,.1f} were there",
        table=played.table(),
    )  # fmt: skip


def _freshness(demo: Demo, tenant_id: str, latest: datetime | None, wall: datetime) -> Finding:
    if latest is None:
        return Finding(
            "History: newest", "degraded", f"no read of {tenant_id} that this role can see",
            "Check GRIDLENS_TENANTS and row security if there should be some.",
        )  # fmt: skip
    at = words.clock_time(latest, demo.settings.timezone)
    if latest - wall > FAR_AHEAD:
        return Finding(
            "History: newest", "degraded", f"{latest:%Y-%m-%d %H:%MZ}, {words.span(latest - wall)} ahead of the clock",
            "The grid clock follows it. If it is a stray read, have it removed by its owner.",
        )  # fmt: skip
    if wall - latest > STALE:
        return Finding(
            "History: newest", "degraded", f"{latest:%Y-%m-%d %H:%MZ}, {words.span(wall - latest)} old",
            "Publishing goes on from now and leaves the gap.",
        )  # fmt: skip
    return Finding("History: newest", "passed", f"{at}, the grid clock goes on from there")


def _fleet(fleet: Fleet, minutes: int, *, learned: bool) -> Finding:
    per_day = float(fleet.mean_wh_per_slot.mean()) * 96 / 1000
    found = (
        f"{words.plural(len(fleet), 'meter')} on {words.plural(len(fleet.feeders), 'feeder')}, "
        f"every {minutes} min, {per_day:.1f} kWh a day each"
    )
    if fleet.habits is not None:
        volts = fleet.habits.mean_v[~np.isnan(fleet.habits.mean_v)]
        found += f", about {float(np.median(volts)):.0f} V" if volts.size else ", no voltage"
    return Finding("Fleet", "passed", f"{found}; {'learned from its history' if learned else 'synthetic'}")


def _trial(inspected: Inspected, fleet: Fleet, minutes: int) -> Iterator[Finding]:
    """Publishes the next interval clean and under a theft, each rolled back, and reads what became of it."""
    schema, tenant_id = inspected.schema, inspected.tenant_id
    with rolled_back(inspected.database) as connection:
        now = read_grid_now(connection, schema, tenant_id, inspected.demo.session.wall(tenant_id), minutes)
        span = Span(now, minutes)
        quiet = inspected.kpis(connection, now) if schema.views and not inspected.database.is_local else None
        clean = connection.begin_nested()
        try:
            with plain_errors():
                reads = emulate(fleet, span, [], 0.0)
                inserted = write_reads(connection, schema, reads, supply=inspected.database.is_local)
        except GridLensError as error:
            clean.rollback()
            yield Finding("Trial publish", "blocked", error.message, _trial_remedy(error))
            return
        kept, kwh = _kept(connection, schema, fleet, span)
        finding = _trial_finding(len(fleet), inserted, kept, kwh, float(reads.recorded_mwh.sum()) / 1e6)
        if not inspected.database.is_local:
            try:
                check_stands(connection, schema, reads, ())
            except DatabaseRefusedError as refused:
                taken = f"{inserted} of {len(fleet)} reads were taken; {refused.details['reason']}"
                finding = Finding("Trial publish", "blocked", taken, refused.details["remedy"])
        yield finding
        if not schema.views:
            return
        began = monotonic()
        with plain_errors():
            before = inspected.kpis(connection, span.end)
        seconds = monotonic() - began
        yield _speed(seconds, inspected.demo.settings.explain_budget_s)
        yield from _failing(before)
        yield from _levels(before)
        yield from _supply(quiet, before, float(reads.recorded_mwh.sum()) / 1e6)
        clean.rollback()
        if seconds > inspected.demo.settings.explain_budget_s:
            return
        with plain_errors():
            write_reads(
                connection,
                schema,
                emulate(fleet, span, [theft_of_all(fleet, span)], 0.0),
                supply=inspected.database.is_local,
            )
            yield from _under_theft(inspected, before, inspected.kpis(connection, span.end))
    if not inspected.database.is_local:
        yield _tomorrow(inspected, fleet, span)


def _kept(connection: sa.Connection, schema: Schema, fleet: Fleet, span: Span) -> tuple[int, float]:
    """How many of the trial's reads stand, and their energy."""
    what = "count(*) AS reads, coalesce(sum({kwh}), 0) AS kwh"
    row = select_reads(connection, schema, fleet.tenant_id, what, at=span.end, meters=fleet.meter_ids).one()
    return int(row.reads), float(row.kwh)


def _trial_finding(sent: int, inserted: int, kept: int, kwh: float, sent_kwh: float) -> Finding:
    if kept < sent:
        return Finding(
            "Trial publish", "blocked", f"{inserted} of {sent} reads were taken and {kept} stand at their time",
            ROWS_REMEDY,
        )  # fmt: skip
    if abs(kwh - sent_kwh) > (1 - KEPT_ENOUGH) * sent_kwh:
        return Finding(
            "Trial publish", "degraded", f"{sent} reads were taken, but {kwh:,.1f} of {sent_kwh:,.1f} kWh stand",
            "The column's type rounds the energy, or a trigger changes it.",
        )  # fmt: skip
    return Finding("Trial publish", "passed", f"{sent} reads of the next interval went in, and were rolled back")


def _trial_remedy(error: GridLensError) -> str:
    said = str(error.details.get("reason", ""))
    if "remedy" in error.details:
        return str(error.details["remedy"])
    for sign, remedy in (
        ("no partition", "The owner must add the partition for the coming days."),
        ("needs a value", f"Give it a fixed value in {BINDINGS_FILE}, section [fill]."),
        ("lacks the privilege", "Have a DBA apply sql/grants.sql."),
        ("rule of the table", "The owner must say what the rule asks for; the registry may lack these meters."),
        ("trigger", "The owner of the trigger must let GridLens's reads pass."),
        ("does not fit", "The ids of this tenant's fleet, or the measures, do not fit the columns' types."),
        ("holds a lock", "Another session is at work on the table; check again."),
    ):
        if sign in said:
            return remedy
    return ""


def _tomorrow(inspected: Inspected, fleet: Fleet, span: Span) -> Finding:
    """Whether one read of a day later would be taken: its partition is there, and no rule forbids what lies ahead."""
    one = fleet.take(np.arange(len(fleet)) == 0)
    later = Span(span.start + timedelta(days=1), span.minutes)
    try:
        with rolled_back(inspected.database) as connection:
            write_reads(connection, inspected.schema, emulate(one, later, [], 0.0))
    except GridLensError as error:
        return Finding(
            "Reads: a day ahead", "degraded", f"a demo cannot run so far ahead: {error.message}", _trial_remedy(error)
        )
    return Finding("Reads: a day ahead", "passed", "taken too, as a demo that runs ahead needs")


def _speed(seconds: float, budget_s: float) -> Finding:
    if seconds <= budget_s:
        return Finding("KPI views: time", "passed", f"all four in {1000 * seconds:.0f} ms")
    return Finding(
        "KPI views: time", "degraded", f"{seconds:.1f} s: pages show the last answers, and movements are not measured",
        "Their owner may index what they read, or materialise them.",
    )  # fmt: skip


def _failing(kpis: Kpis) -> Iterator[Finding]:
    """Views that could not say the KPIs of the trial's interval; publishing goes on without them."""
    for view_name, reason in kpis.failed.items():
        yield Finding(
            f"{TITLES[view_name]}: query", "degraded", f"fails: {reason}",
            f"Its owner must mend it. Off meanwhile: {WHOLE_VIEW[view_name]}.",
        )  # fmt: skip


def _supply(quiet: Kpis | None, clean: Kpis, recorded_kwh: float) -> Iterator[Finding]:
    try:
        supply_goes_on(quiet, clean, recorded_kwh)
    except DatabaseNotReadyError as refused:
        yield Finding("Overview: supply", "blocked", refused.details["finding"], refused.details["remedy"])


def _levels(kpis: Kpis) -> Iterator[Finding]:
    """A finding for a day's loss that no utility has."""
    loss = kpis["loss_pct"]
    if loss is not None and not -ODD_LOSS_PCT <= loss <= ODD_LOSS_PCT:
        yield Finding(
            "Overview: level", "degraded", f"loss today is {words.percent(loss)}, which no utility has",
            "Perhaps it sets a whole day's supply against the reads so far; movements are split exactly all the same.",
        )  # fmt: skip


def _under_theft(inspected: Inspected, clean: Kpis, stolen: Kpis) -> Iterator[Finding]:
    """Which way each loss goes under a theft: finds a column named loss that is a mean of kWh."""
    for view_name, moved in moves(clean, stolen):
        what, points = f"{TITLES[view_name]}: under theft", words.points(moved)
        if moved > 0:
            yield Finding(what, "passed", f"{points} in one interval of a trial theft of everything")
        elif moved < 0:
            inspected.demo.no_loss(view_name, no_loss(inspected.schema, view_name))
            yield Finding(
                what, "degraded", f"{points}: the column follows the metered energy and is no loss",
                f"Bind another column in {BINDINGS_FILE}, section [{view_name}], loss_pct; it is not shown as a loss.",
            )  # fmt: skip
        else:
            yield Finding(what, "degraded", "does not move", "The view may be materialised, or look at other reads.")
