"""Figures as plain values, each worked out once for screens, brief and slides: waterfall, axis, energy by interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from math import ceil, floor, log10

import numpy as np

from gridlens_core import words
from gridlens_core.display import kpi_words
from gridlens_core.display.labels import Label
from gridlens_core.explanation.catalogue import ALL
from gridlens_core.explanation.energy import FeederInterval, times_of
from gridlens_core.explanation.why import Effect, Why, total
from gridlens_core.meters.emulator import Span, honest_intervals
from gridlens_core.meters.fleet import Fleet

NATURAL_DRIFT, OTHER_EVENTS = "natural drift", "other events"
MOST_PARTS = 3  # bars of single events; the others stand together


@dataclass(frozen=True)
class Bar:
    """One bar of a waterfall, from `start` to `end`; `cause` is an event type, `total` the first and the last bar."""

    label: str
    start: float
    end: float
    text: str
    cause: str | None = None
    total: bool = False

    @property
    def low(self) -> float:
        return min(self.start, self.end)

    @property
    def high(self) -> float:
        return max(self.start, self.end)


@dataclass(frozen=True)
class Part:
    """A part of a movement: natural drift, an event, or what other events do together.

    text : the change as it is printed; the printed parts add up to the printed movement
    """

    label: str
    cause: str | None
    change: Decimal
    text: str


def parts_of(why: Why, labels: Mapping[str, Label], most: int = MOST_PARTS) -> list[Part]:
    """The parts of a movement: drift, the events with the largest effects in their order, and the rest together. The
    events of a ring are one part."""
    drift, printed = kpi_words.printed_parts(why)
    other = Label(OTHER_EVENTS, "")
    groups: dict[str, list[Effect]] = {}
    for one in why.effects:
        if one.change:
            groups.setdefault(labels.get(one.event_id, other).ring or one.event_id, []).append(one)

    def part(label: Label, some: Sequence[Effect]) -> Part:
        text = kpi_words.change_of(why.kpi, total(printed[one.event_id] for one in some))
        return Part(label.text, label.event_type or None, total(one.change for one in some), text)

    changes = {group: abs(total(one.change for one in some)) for group, some in groups.items()}
    kept = set(sorted(changes, key=lambda group: changes[group], reverse=True)[:most])
    parts = [Part(NATURAL_DRIFT, None, why.drift, kpi_words.change_of(why.kpi, drift))]
    parts += [part(labels.get(some[0].event_id, other), some) for group, some in groups.items() if group in kept]
    rest = [one for group, some in groups.items() if group not in kept for one in some]
    return [*parts, part(other, rest)] if rest else parts


def waterfall(why: Why, labels: Mapping[str, Label]) -> list[Bar]:
    """From before to now: natural drift and the effect of each event."""
    level = why.before
    bars = [Bar("before", 0.0, float(level), kpi_words.value_of(why.kpi, level), total=True)]
    for part in parts_of(why, labels):
        start, level = level, level + part.change
        bars.append(Bar(part.label, float(start), float(level), part.text, part.cause))
    return [*bars, Bar("now", 0.0, float(why.now), kpi_words.value_of(why.kpi, why.now), total=True)]


def axis(bars: Sequence[Bar], kpi: str) -> tuple[float, float]:
    """The span of a waterfall: from 0 where the steps are large, else from a little under the least; never so narrow
    that a small change looks like a large one."""
    ends = [end for bar in bars for end in ((bar.end,) if bar.total else (bar.start, bar.end))]
    low, high = min(ends), max(ends)
    least = ALL[kpi].least_span
    room = max(high - low, abs(high) * 0.01, least)
    return (low - room * 0.6 if low > 4 * room else min(0.0, low * 1.15)), high + room * 0.35


def span_of(values: Iterable[words.Number | None], kpi: str) -> tuple[float, float]:
    """The axis of a KPI's path: around its values, and never so narrow that a small change looks like a large one.
    The smallest span of every KPI is in the catalogue."""
    known = [float(value) for value in values if value is not None] or [0.0]
    least, spread = ALL[kpi].least_span, max(known) - min(known)
    room = max(least - spread, 0) / 2 + 0.08 * spread
    low, high = min(known) - room, max(known) + room
    if low < 0 <= min(known):
        low, high = 0.0, high - low
    unit = 10.0 ** floor(log10((high - low) / 2))
    return round(floor(low / unit) * unit, 9), round(ceil(high / unit) * unit, 9)


def earlier_kwh(
    rows: Sequence[FeederInterval], feeder_id: str | None, wanted: Sequence[datetime]
) -> tuple[float | None, ...]:
    """What one feeder, or all together, metered in given intervals; None where there is nothing."""
    found: dict[datetime, float] = {}
    for row in rows:
        if feeder_id in (None, row.feeder_id):
            found[row.read_at] = found.get(row.read_at, 0.0) + row.metered_kwh
    return tuple(found.get(moment) for moment in wanted)


@dataclass(frozen=True)
class IntervalEnergy:
    """Energy by interval, oldest first; supplied and unread are None where the database has no supply.

    honest_kwh : what would have been metered without any event; None where the intervals are not even
    """

    read_at: tuple[datetime, ...]
    metered_kwh: tuple[float, ...]
    unread_kwh: tuple[float, ...] | None
    supplied_kwh: tuple[float, ...] | None
    honest_kwh: tuple[float, ...] | None = None


def energy_of(rows: Sequence[FeederInterval], fleet: Fleet, feeder_id: str | None, after: datetime) -> IntervalEnergy:
    """The energy of one feeder, or of all of them together, in the intervals after a time."""
    chosen = [row for row in rows if row.read_at > after and feeder_id in (None, row.feeder_id)]
    times = tuple(times_of(chosen))
    balanced = bool(chosen) and all(row.supplied_kwh is not None for row in chosen)
    column = {moment: number for number, moment in enumerate(times)}
    sums = np.zeros((3, len(times)))
    for row in chosen:
        sums[:, column[row.read_at]] += (row.metered_kwh, row.unread_kwh or 0.0, row.supplied_kwh or 0.0)
    metered, unread, supplied = (tuple(line.tolist()) for line in sums)
    return IntervalEnergy(
        read_at=times,
        metered_kwh=metered,
        unread_kwh=unread if balanced else None,
        supplied_kwh=supplied if balanced else None,
        honest_kwh=_honest_kwh(fleet, times, feeder_id),
    )


def _honest_kwh(fleet: Fleet, times: Sequence[datetime], feeder_id: str | None) -> tuple[float, ...] | None:
    steps = {later - earlier for earlier, later in pairwise(times)}
    if len(steps) != 1:
        return None
    step = steps.pop()
    some = fleet if feeder_id is None else fleet.take(np.array(fleet.feeder_ids) == feeder_id)
    span = Span(times[0] - step, int(step.total_seconds()) // 60, len(times))
    honest_wh, _ = honest_intervals(some, span)
    return tuple((honest_wh.sum(axis=0) / 1000).tolist())


def by_interval(rows: Sequence[FeederInterval]) -> Mapping[str, Mapping[datetime, float]]:
    """KPI -> value of each interval by itself, for a sparkline; {} where the database has no supply to tell it by."""
    found: dict[str, dict[datetime, float]] = {}
    by_time: dict[datetime, list[FeederInterval]] = {}
    for row in rows:
        by_time.setdefault(row.read_at, []).append(row)
    for moment, some in by_time.items():
        if any(row.supplied_kwh is None for row in some):
            return {}
        whole = [row for row in some if row.complete]
        supplied = sum(row.supplied_kwh or 0.0 for row in whole)
        metered = sum(row.metered_kwh + (row.unread_kwh or 0.0) for row in whole)
        reads, due = sum(row.reads or 0 for row in some), sum(row.meters_due or 0 for row in some)
        in_range = reads - sum(row.out_of_range or 0 for row in some)
        for kpi, part, whole_of in (
            ("loss_pct", supplied - metered, supplied),
            ("read_success_pct", reads, due),
            ("voltage_compliance_pct", in_range, reads),
        ):
            if whole_of:
                found.setdefault(kpi, {})[moment] = 100 * part / whole_of
    return found
