"""Receipts: what each event did, in reads, KPIs, kWh and dollars, so that every click can be accounted for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from gridlens_core.explanation.catalogue import CARD_KPIS
from gridlens_core.explanation.detection import Score, score_event
from gridlens_core.explanation.trace import Observation
from gridlens_core.explanation.truth import Truth
from gridlens_core.explanation.why import Measured, Why, difference, total, why_of
from gridlens_core.meters.events import Event
from gridlens_core.meters.fleet import Fleet


@dataclass(frozen=True)
class Line:
    """One KPI of a receipt, when it was last measured: after - before = drift + effect + others."""

    kpi: str
    before: Decimal
    after: Decimal
    drift: Decimal
    effect: Decimal
    others: Decimal
    why: Why


@dataclass(frozen=True)
class Receipt:
    """What one event did.

    measured_at : the grid time its lines are of; None where no moment with it was measured
    exact : whether its effect is known of that moment, and not only cycle by cycle
    usd : not recorded, at the tariff; before_detection_usd : the part until its first meter was named
    """

    event: Event
    measured_at: datetime | None
    exact: bool
    truth: Truth
    usd: float
    score: Score | None
    before_detection_usd: float | None
    lines: tuple[Line, ...]


def receipt_of(
    event: Event,
    account: Callable[[datetime], Truth],
    events: Sequence[Event],
    fleet: Fleet,
    seen: Sequence[Observation],
    tariff_usd_per_kwh: float,
) -> Receipt:
    """What one event did.

    account : what it did up to a grid time
    events : all that may have run beside it; seen : what was observed, the moment itself last
    """
    truth = account(seen[-1].grid_now)
    score = score_event(event, events, fleet, seen)
    detected_at = score.detected_at if score else None
    measured = last_measured(event, seen)
    return Receipt(
        event=event,
        measured_at=None if measured is None else measured.grid_now,
        exact=measured is None or measured.exact,
        truth=truth,
        usd=truth.kwh_not_recorded * tariff_usd_per_kwh,
        score=score,
        before_detection_usd=None
        if detected_at is None
        else account(detected_at).kwh_not_recorded * tariff_usd_per_kwh,
        lines=() if measured is None else lines_of(event, measured),
    )


def last_measured(event: Event, seen: Sequence[Observation]) -> Measured | None:
    """The last measured moment of the last day the event touched; the KPIs begin anew at midnight."""
    ids = set(event.ids)
    measured = (one.measured for one in reversed(seen) if one.measured is not None)
    return next((one for one in measured if ids & set(one.event_ids)), None)


def lines_of(event: Event, measured: Measured) -> tuple[Line, ...]:
    """What a measured moment says of each KPI and this event."""
    found = []
    for kpi in CARD_KPIS:
        why = why_of(measured, kpi)
        if why is not None:
            effect = total(why.effect_of(event_id) for event_id in event.ids)
            others = difference(difference(why.change, why.drift), effect)
            found.append(Line(kpi, why.before, why.now, why.drift, effect, others, why))
    return tuple(found)
