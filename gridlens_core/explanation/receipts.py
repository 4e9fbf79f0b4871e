"""Receipts: what each event did, in reads, KPIs, kWh and dollars, so that every click can be accounted for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from gridlens_core.explanation.detection import Score
from gridlens_core.explanation.movement import difference, movement_of, total, value_of
from gridlens_core.explanation.trace import Observation
from gridlens_core.explanation.truth import Truth
from gridlens_core.meters.events import Event

RECEIPT_KPIS = ("loss_pct", "read_success_pct", "voltage_compliance_pct", "suspicious_meters", "open_tasks")


@dataclass(frozen=True)
class Line:
    """One KPI of a receipt, over the cycles the event was in: after - before = drift + effect + others."""

    kpi: str
    before: Decimal
    after: Decimal
    drift: Decimal
    effect: Decimal
    others: Decimal


@dataclass(frozen=True)
class Receipt:
    """What one event did. `cycles` are the publish cycles it was in that were measured.

    usd : not recorded, at the tariff; before_detection_usd : the part until its first meter was named
    """

    event: Event
    cycles: int
    truth: Truth
    usd: float
    score: Score | None
    before_detection_usd: float | None
    lines: tuple[Line, ...]


def receipt_lines(event: Event, seen: Sequence[Observation]) -> tuple[int, tuple[Line, ...]]:
    """How many measured cycles the event was in, and what they say of each KPI."""
    event_id = str(event.id)
    inside = [one for one in seen if any(step_id == event_id for step_id, _ in one.steps)]
    if not inside:
        return 0, ()
    # The KPIs of a day begin anew at midnight: the receipt speaks of the last day the event was in.
    last_day = [one for one in inside if one.kpis.day == inside[-1].kpis.day]
    return len(inside), tuple(line for kpi in RECEIPT_KPIS if (line := _line(event_id, kpi, last_day)) is not None)


def _line(event_id: str, kpi: str, inside: Sequence[Observation]) -> Line | None:
    movements = [movement for one in inside if (movement := movement_of(one, kpi)) is not None]
    if not movements or value_of(inside[-1].kpis, kpi) is None:
        return None
    drift = total(movement.drift for movement in movements)
    effect = total(movement.effect_of(event_id) for movement in movements)
    before, after = movements[0].before, movements[-1].after
    return Line(kpi, before, after, drift, effect, difference(difference(after, before), total((drift, effect))))
