"""KPIs and their changes in words: each in its own unit, with the digits of the catalogue, and the same number
wherever it stands."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from gridlens_core import words
from gridlens_core.explanation.catalogue import ALL
from gridlens_core.explanation.why import Why


def value_of(kpi: str, value: words.Number | None) -> str:
    """A KPI's value with its unit; of counts the number alone."""
    row = ALL[kpi]
    if row.unit == "%":
        return words.percent(value, row.digits)
    return words.energy(value) if row.unit == "kWh" else words.count(value)


def change_of(kpi: str, change: words.Number) -> str:
    """A KPI's change in its own unit: points for shares, else a number."""
    row = ALL[kpi]
    return words.points(change, row.digits) if row.unit == "%" else words.count_change(change)


def change_or_none(kpi: str, change: words.Number) -> str:
    """A KPI's change, or "no change" where it does not show."""
    text = change_of(kpi, change)
    return text if words.shows_change(text) else "no change"


def printed_parts(why: Why) -> tuple[Decimal, Mapping[str, Decimal]]:
    """Natural drift and the effect of each event as they are printed: rounded so that they add up to the movement."""
    changes = [why.drift, *(one.change for one in why.effects)]
    drift, *effects = words.rounded_parts(changes, why.before, why.now, ALL[why.kpi].digits)
    return drift, {one.event_id: shown for one, shown in zip(why.effects, effects, strict=True)}
