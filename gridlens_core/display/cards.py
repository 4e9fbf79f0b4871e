"""The KPI cards: value, what today's events did to it, and a sparkline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gridlens_core import words
from gridlens_core.clock import DEFAULT_INTERVAL_MINUTES
from gridlens_core.display import kpi_words
from gridlens_core.display.figures import by_interval
from gridlens_core.display.labels import SEVERAL
from gridlens_core.display.plain_words import PLAIN_WORDS
from gridlens_core.explanation.catalogue import CARD_KPIS, CATALOGUE
from gridlens_core.explanation.kpis import why_absent
from gridlens_core.explanation.moment import Moment
from gridlens_core.explanation.why import Why, total
from gridlens_core.meters.events import kind_of

SPARK_POINTS = 24
LONGEST_CAUSES = 22  # letters that a card has room for; what is longer is "several events"
SPARK_STEP = timedelta(minutes=DEFAULT_INTERVAL_MINUTES)


@dataclass(frozen=True)
class Card:
    """One KPI card; `cause` is the event type behind the change, None where nothing changed or none fits.

    why : what the change is made of; None where no event has touched the day, or it was not measured
    spark : the KPI by interval, the latest last, None where it was not seen; empty where `note` stands instead
    spark_of : what the sparkline shows, in words
    """

    key: str
    label: str
    value: str
    change: str
    moved: bool
    cause: str | None
    help: str
    spark: tuple[float | None, ...] = ()
    spark_range: tuple[float, float] = (0, 1)
    spark_of: str = ""
    note: str = ""
    why: Why | None = None


def cards_of(at: Moment) -> tuple[Card, ...]:
    """A card for each KPI that has one, and after the first what thefts cost."""
    intervals = by_interval(at.balance)
    cards = [_kpi_card(at, kpi, intervals.get(kpi)) for kpi in CARD_KPIS]
    cards.insert(1, _at_risk(at))
    return tuple(cards)


def _at_risk(at: Moment) -> Card:
    stolen_kwh = at.ledger.kwh_not_recorded(at.midnight)
    thefts = [event for event in at.running if event.event_type == "theft" and event.starts_at < at.grid_now]
    a_year = sum(at.truth(event).kwh_a_year for event in thefts) * at.tariff_usd_per_kwh
    return Card(
        "at_risk", "Lost to theft today", words.dollars(stolen_kwh * at.tariff_usd_per_kwh),
        f"{words.dollars(a_year)} a year" if thefts else "no theft running", bool(thefts),
        "theft" if thefts else None,
        "Energy delivered but not recorded, times the tariff; and what a year of the running thefts would cost, at "
        f"their severity and pattern. It is ground truth, not a KPI view. {PLAIN_WORDS['ground truth']}",
        note=f"unrecorded energy at {words.dollars(at.tariff_usd_per_kwh)} per kWh",
    )  # fmt: skip


def _kpi_card(at: Moment, kpi: str, intervals: Mapping[datetime, float] | None) -> Card:
    row, value = CATALOGUE[kpi], at.kpis[kpi]
    said = kpi_words.value_of(kpi, value)
    if value is None:
        reason = why_absent(at.schema, kpi, at.kpis.failed)
        failed = "its view fails" if CATALOGUE[kpi].view in at.kpis.failed else "not in this database"
        change = "no value yet" if reason.endswith("yet.") else failed
        return Card(kpi, row.label, said, change, False, None, row.help, note=reason)
    why = at.why(kpi)
    change, moved, cause = change_of(at, why)
    seen: Mapping[datetime, Any] = intervals or {one.grid_now: one.kpis[kpi] for one in at.history}
    spark = _spark(seen, at.grid_now)
    low, high = row.span
    drawn = [point for point in spark if point is not None]
    explained = f"{row.help} Not measured: {at.unmeasured}." if why is None and at.unmeasured else row.help
    of = "interval by interval" if intervals else "today so far, as it was seen"
    return Card(
        kpi, row.label, said, change, moved, cause, explained, spark, (min([low, *drawn]), max([high, *drawn])), of,
        why=why,
    )  # fmt: skip


def _spark(seen: Mapping[datetime, Any], grid_now: datetime) -> tuple[float | None, ...]:
    """Values in slots of one interval, the grid clock's last; what was not seen stays None."""
    slots: list[float | None] = [None] * SPARK_POINTS
    for moment, value in seen.items():
        back = (grid_now - moment) // SPARK_STEP
        if 0 <= back < SPARK_POINTS and value is not None:
            slots[-1 - back] = float(value)
    return tuple(slots)


def change_of(at: Moment, why: Why | None) -> tuple[str, bool, str | None]:
    """What the events did to the KPI, and which events did so, largest first; the first gives the colour."""
    if why is None:
        if at.todays:
            return ("being measured" if at.is_being_measured else "not measured"), False, None
        return "no event today", False, None
    _, printed = kpi_words.printed_parts(why)
    change = total(printed.values())
    text = kpi_words.change_of(why.kpi, change)
    if not words.shows_change(text):
        return "no change", False, None
    known = {str(event.id): event.event_type for event in at.events}
    pulling = [one for one in why.effects if printed[one.event_id] * change > 0]
    pulling.sort(key=lambda one: abs(one.change), reverse=True)
    causes = [known.get(one.event_id, "") for one in pulling]
    named = list(dict.fromkeys(kind_of(cause).word for cause in causes))
    said = words.and_list(named)
    caused = said if len(named) == 1 or len(said) <= LONGEST_CAUSES else SEVERAL
    return f"{'' if why.exact else 'about '}{text} {caused}", True, causes[0]
