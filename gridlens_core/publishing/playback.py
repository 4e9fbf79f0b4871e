"""A history is played back before it is continued: its last day is emulated from the days before it, and
compared. A history that cannot be told from these figures is not continued. Reads only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from math import ceil
from typing import Any

import numpy as np
import sqlalchemy as sa

from gridlens_core.clock import INTERVAL_MINUTES
from gridlens_core.database.bindings import BINDINGS_FILE
from gridlens_core.database.reads import select_reads
from gridlens_core.database.schema import Schema
from gridlens_core.errors import DatabaseNotReadyError
from gridlens_core.meters.emulator import Span, honest_intervals
from gridlens_core.meters.fleet import Fleet
from gridlens_core.meters.learning import Past, interval_lengths, odd_reads
from gridlens_core.meters.profiles import Floats
from gridlens_core.publishing.history import habits_of, learned_days, learned_until, read_past

MOST_METERS = 500  # played back: a sample of a larger fleet
DAY = timedelta(days=1)
FEEDER_BAND = 0.25  # of a feeder's energy in the day: weather and weekdays move it by a fifth
SCATTERS = 3.0  # or so many times its own day-to-day scatter, where that is more
WIDEST_BAND = 0.5
WHOLE_DAY = 0.9  # of a meter's reads in its fullest day
METER_BAND = 0.5  # a meter beyond this is counted, and shown
READS_BAND = 0.1
SIGN_BAND, NULLS_AT_MOST = 0.05, 0.2  # of reads
VOLTS_BAND = 0.05  # beyond the range that was there
OTHERS_AT_MOST = 0.02  # of meters that have no feeder, or another interval than the fleet
RISING_SHARE, REGISTER_TIMES = 0.98, 50.0  # a register hardly ever falls, and stands far above what it rises by
SEVERAL_AT_MOST = 0.02  # of reads that stand beside another of the same meter and time


@dataclass(frozen=True)
class PlayedFeeder:
    """One feeder's last day: what was there, what was emulated for it, and how far apart they may be."""

    feeder_id: str
    meters: int
    was_kwh: float
    played_kwh: float
    band: float

    @property
    def off(self) -> float:
        """How far the emulated energy is from what was there, as a share of it."""
        return (self.played_kwh - self.was_kwh) / abs(self.was_kwh) if self.was_kwh else 0.0


@dataclass(frozen=True)
class Problem:
    """Why a history is not continued: the figures, the likely cause, and what mends it."""

    found: str
    remedy: str


@dataclass(frozen=True)
class Playback:
    """What became of the last day. `feeders` is empty where there was nothing to compare, and `note` says why.

    start, end : of the day; minutes : the interval it was played back at
    reads : (there, played), of each interval
    negative : (there, played), share of reads under nothing; nulls : share of reads without energy
    volts : (lowest, highest) there and (lowest, highest) played; None without
    far_meters : of `meters`, those whose energy is off by more than METER_BAND
    """

    start: datetime
    end: datetime
    minutes: int
    meters: int
    feeders: tuple[PlayedFeeder, ...] = ()
    reads: tuple[float, float] = (0.0, 0.0)
    negative: tuple[float, float] = (0.0, 0.0)
    nulls: float = 0.0
    volts: tuple[float, float, float, float] | None = None
    far_meters: int = 0
    problems: tuple[Problem, ...] = ()
    note: str = ""

    def require(self) -> None:
        """Raises DatabaseNotReadyError, with figures and remedy, where the history is not to be continued."""
        if self.problems:
            first = self.problems[0]
            more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
            raise DatabaseNotReadyError.of_finding(
                f"The history cannot be played back: {first.found}{more}.", first.remedy
            )

    def table(self) -> list[dict[str, object]]:
        """One row a feeder, for pages and `check`."""
        return [
            {
                "feeder": one.feeder_id, "meters": one.meters, "kWh there": round(one.was_kwh, 1),
                "kWh played back": round(one.played_kwh, 1), "off %": round(100 * one.off, 1),
                "band %": round(100 * one.band, 1),
            }
            for one in self.feeders
        ]  # fmt: skip


def play_back_latest(
    connection: sa.Connection, schema: Schema, fleet: Fleet, latest: datetime, today: date
) -> Playback:
    """The last day of a history before the local day `today`, emulated from the days before it."""
    return play_back(
        connection, schema, fleet, learned_until(connection, schema, fleet.tenant_id, latest, today, fleet.timezone)
    )


def play_back(connection: sa.Connection, schema: Schema, fleet: Fleet, last: datetime) -> Playback:
    """Plays back the day up to `last`, the newest interval learned from. Bounded: of a large fleet a sample.

    fleet : with habits, as it would be continued
    """
    assert fleet.habits is not None
    sample, minutes = _sample(fleet), fleet.habits.minutes
    past = read_past(connection, schema, sample, last - (learned_days(len(sample), minutes) * DAY) - DAY, last)
    return play_back_past(sample, past, last, tuple(_strangers(connection, schema, fleet, last)))


def play_back_past(fleet: Fleet, past: Past, last: datetime, problems: tuple[Problem, ...] = ()) -> Playback:
    """The same from reads that are at hand, of a fleet with habits; `problems` were found of it already."""
    assert fleet.habits is not None
    minutes, start = fleet.habits.minutes, last - DAY
    problems = (*_kinds(past, fleet), *problems, *_intervals(past, fleet, minutes))
    played = Playback(start, last, minutes, len(fleet), problems=problems)
    if problems:
        return played
    past = past.take(~odd_reads(past, len(fleet)))
    before, of_day = past.take(past.end <= start.timestamp()), past.take(past.end > start.timestamp())
    seen = sorted(set(before.meter.tolist()) & set(of_day.meter.tolist()))
    enough = len(before) and before.end.min() <= (start - DAY + timedelta(hours=1)).timestamp()
    if not enough or not seen:
        return replace(played, note="there are less than two full days of reads, so nothing was compared")
    return _compared(played, fleet, before, of_day)


def _sample(fleet: Fleet) -> Fleet:
    every = ceil(len(fleet) / MOST_METERS)
    return fleet if every == 1 else fleet.take(np.arange(len(fleet)) % every == 0)


def _kinds(past: Past, fleet: Fleet) -> Iterator[Problem]:
    """What is no energy of an interval at all."""
    same = past.meter[1:] == past.meter[:-1]
    rise = np.diff(past.kwh)[same]
    known = ~np.isnan(rise)
    if known.sum() > len(fleet):
        up = rise[known]
        usual = float(np.nanmedian(np.abs(past.kwh)))
        rising = float((up >= 0).mean())
        step = float(np.median(up[up > 0])) if (up > 0).any() else 0.0
        if rising >= RISING_SHARE and step > 0 and usual > REGISTER_TIMES * step:
            yield Problem(
                f"the energy only ever rises, by {step:.3g} a read at a level of {usual:,.0f}: it is a register, "
                "not an interval's energy",
                f'Bind the column of interval energy, kwh = "NAME", in {BINDINGS_FILE}; a register is not continued.',
            )
    if past.doubtful > SEVERAL_AT_MOST * max(len(past), 1):
        yield Problem(
            f"{past.doubtful:,} reads stand beside another of the same meter and time with another energy",
            "Several channels or corrections share a key here: let a column hold one energy of each meter "
            "and interval; GridLens cannot tell which it is.",
        )
    if len(past) and np.isnan(past.kwh).mean() > NULLS_AT_MOST:
        yield Problem(
            f"{100 * float(np.isnan(past.kwh).mean()):.0f} % of the reads have no energy",
            f"Bind the column that holds it: kwh in {BINDINGS_FILE}.",
        )


def _strangers(connection: sa.Connection, schema: Schema, fleet: Fleet, last: datetime) -> Iterator[Problem]:
    """Meters that are read and would not be continued, for they have no feeder."""
    found = select_reads(
        connection, schema, fleet.tenant_id, "count(DISTINCT {meter_id}) AS meters",
        tail="AND {feeder_id} IS NULL", after=last - timedelta(hours=3), until=last,
    ).scalar_one()  # fmt: skip
    if found > OTHERS_AT_MOST * len(fleet):
        yield Problem(
            f"{found} meters beside {len(fleet)} are read and have no feeder",
            "Have their feeder entered: without one they would no longer be read.",
        )


def _intervals(past: Past, fleet: Fleet, minutes: int) -> Iterator[Problem]:
    """Intervals that GridLens does not publish, and meters that have another one than the rest."""
    if minutes not in INTERVAL_MINUTES:
        accepted = ", ".join(map(str, INTERVAL_MINUTES))
        every = "once a day (daily reads)" if minutes == 24 * 60 else f"every {minutes} minutes"
        yield Problem(
            f"reads come {every}; the intervals that can be continued are {accepted} minutes",
            "Show GridLens a tenant or table whose reads come at one of these intervals.",
        )
        return
    _, own = interval_lengths(past, len(fleet))
    other = own[(own > 0) & (own != minutes)]
    if len(other) > OTHERS_AT_MOST * len(fleet):
        usual = int(np.bincount(other).argmax())
        yield Problem(
            f"{len(other)} of {len(fleet)} meters have another interval than the rest: {usual} minutes, not {minutes}",
            "Meters of several intervals side by side are not continued; name a tenant whose meters have one.",
        )


def _compared(played: Playback, fleet: Fleet, before: Past, of_day: Past) -> Playback:
    minutes = played.minutes
    emulated = fleet.with_habits(habits_of(fleet, before))
    span = Span(played.start, minutes, int(DAY.total_seconds()) // (60 * minutes))
    wh, voltage_dv = honest_intervals(emulated, span)
    known_meters = np.bincount(before.meter, minlength=len(fleet)) > 0
    length, _ = interval_lengths(of_day, len(fleet))
    at = (of_day.end - int(played.start.timestamp())) // (60 * minutes) - 1
    fits = (at >= 0) & (at < span.count) & ~np.isnan(of_day.kwh) & known_meters[of_day.meter]
    fits &= np.abs(length - minutes) <= 1
    meter, at, kwh, volts = of_day.meter[fits], at[fits], of_day.kwh[fits], of_day.volts[fits]
    if not len(meter):
        return replace(played, note="no read of the last day can be compared")
    said = wh[meter, at] / 1000.0
    was = np.bincount(meter, kwh, len(fleet))
    is_ = np.bincount(meter, said, len(fleet))
    there = np.bincount(meter, minlength=len(fleet))
    feeders = tuple(_feeders(fleet, before, was, is_, there))
    far = int((np.abs(is_ - was)[there > 0] > METER_BAND * np.abs(was[there > 0])).sum())
    reads = len(fits.nonzero()[0]) / span.count, float(known_meters.sum()) * (1 - _share(emulated))
    negative = float((kwh < 0).mean()), float((said < 0).mean())
    range_: tuple[float, float, float, float] | None = None
    with_volts = ~np.isnan(volts) & ~np.isnan(_mean_v(emulated)[meter])
    if with_volts.any():
        v, e = volts[with_volts], voltage_dv[meter, at][with_volts] / 10.0
        range_ = (float(v.min()), float(v.max()), float(np.percentile(e, 1)), float(np.percentile(e, 99)))
    found = Playback(
        played.start, played.end, minutes, played.meters, feeders, reads, negative,
        float(np.isnan(of_day.kwh).mean()), range_, far,
    )  # fmt: skip
    return replace(found, problems=tuple(_beyond(found)))


def _feeders(fleet: Fleet, before: Past, was: Any, is_: Any, reads: Any) -> Iterator[PlayedFeeder]:
    days = _day_sums(before, len(fleet))
    for number, feeder in enumerate(fleet.feeders):
        here = (fleet.feeder_index == number) & (reads > 0)
        if not here.any():
            continue
        energy = float(was[here].sum())
        band = min(max(FEEDER_BAND, SCATTERS * _scatter_kwh(days[:, here]) / (abs(energy) or 1.0)), WIDEST_BAND)
        yield PlayedFeeder(feeder, int(here.sum()), energy, float(is_[here].sum()), band)


def _day_sums(before: Past, n_meters: int) -> Floats:
    """(n_days, n_meters) energy of each whole day before the last, newest first; NaN where a meter has few reads."""
    known = ~np.isnan(before.kwh)
    day = (before.end.max() - before.end[known]) // 86400
    cell = day * n_meters + before.meter[known]
    n_days = int(day.max()) + 1
    sums = np.bincount(cell, before.kwh[known], n_days * n_meters).reshape(n_days, n_meters)
    counts = np.bincount(cell, minlength=n_days * n_meters).reshape(n_days, n_meters)
    return np.where(counts > WHOLE_DAY * counts.max(axis=0), sums, np.nan)


def _scatter_kwh(days: Floats) -> float:
    """By how much a feeder's day may miss what the days before it say, one standard deviation; days : as `_day_sums`.

    The meters' own ups and downs, which the emulated day has too, or the feeder's as a whole, where those are more.
    """
    whole = days[:, ~np.isnan(days).all(axis=0)]
    seen = (~np.isnan(whole)).sum(axis=0)
    whole = whole[:, seen > 1]
    if whole.shape[0] < 2 or not whole.size:
        return 0.0
    n = float(seen[seen > 1].mean())
    own = float(np.sqrt(np.nansum(np.nanvar(whole, axis=0, ddof=1)) * (2 + 1 / n)))
    together = whole[~np.isnan(whole).any(axis=1)].sum(axis=1)
    return max(own, float(np.std(together, ddof=1)) if len(together) > 2 else 0.0)


def _share(fleet: Fleet) -> float:
    return fleet.habits.missing_share if fleet.habits is not None else 0.0


def _mean_v(fleet: Fleet) -> Floats:
    assert fleet.habits is not None
    return fleet.habits.mean_v


def _beyond(played: Playback) -> Iterator[Problem]:
    """What lies beyond the bands."""
    far = [one for one in played.feeders if abs(one.off) > one.band]
    if far:
        worst = max(far, key=lambda one: abs(one.off))
        yield Problem(
            f"{len(far)} of {len(played.feeders)} feeders are off; {worst.feeder_id} had {worst.was_kwh:,.1f} kWh in "
            f"the day and {worst.played_kwh:,.1f} were emulated for it ({100 * worst.off:+.0f} %, band "
            f"{100 * worst.band:.0f} %)",
            "The days before the last do not say how it went: perhaps meters joined, the interval or unit changed, or "
            f"the kwh column is another one ({BINDINGS_FILE}). The next day of reads may mend it.",
        )
    there, emulated = played.reads
    if abs(there - emulated) > READS_BAND * max(there, 1):
        yield Problem(
            f"{there:,.1f} reads came in each interval and {emulated:,.1f} were emulated",
            "Perhaps reads are missing or late at the end of the history; let it fill up, and check again.",
        )
    if abs(played.negative[0] - played.negative[1]) > SIGN_BAND:
        was, is_ = (100 * share for share in played.negative)
        yield Problem(
            f"{was:.0f} % of the reads were negative and {is_:.0f} % are emulated so",
            f"Perhaps export and import share a column: bind the net energy, kwh in {BINDINGS_FILE}.",
        )
    if played.volts is not None:
        low, high, from_, to = played.volts
        if from_ < low * (1 - VOLTS_BAND) or to > high * (1 + VOLTS_BAND):
            yield Problem(
                f"voltages ran from {low:,.4g} to {high:,.4g} and are emulated from {from_:,.4g} to {to:,.4g}",
                f"Perhaps the unit is another one: voltage in {BINDINGS_FILE}.",
            )
