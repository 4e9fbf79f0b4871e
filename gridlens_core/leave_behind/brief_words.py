"""The sentences and figures of the brief as strings: the same in the one-page HTML and on the slides."""

from __future__ import annotations

from dataclasses import dataclass

from gridlens_core import words
from gridlens_core.display import kpi_words, sentences, territory_svg
from gridlens_core.display.figures import waterfall
from gridlens_core.explanation.catalogue import CARD_KPIS, CATALOGUE
from gridlens_core.explanation.money import Money
from gridlens_core.explanation.receipts import Receipt
from gridlens_core.explanation.why import total
from gridlens_core.leave_behind.brief import Brief, KpiRow
from gridlens_core.meters.events import Event

MOST_EVENTS = 5  # rows that a page and a slide have room for; the sums are of all
MOST_LETTERS = 14  # of a feeder's or meter's name in a table
EVENT_HEAD = ("Event", "When", "Meters", "Reads", "Energy", "So far", "A year", "Named", "Lost before")
DRIFT_HEAD, EFFECT_HEAD = "Natural drift", "Effect of events"
KPI_HEAD = ("KPI", "Before", "Worst", "Now", DRIFT_HEAD, EFFECT_HEAD)
KPI_NOTE = "Effect: the KPI with the events less the KPI without them, at the same moment."


@dataclass(frozen=True)
class Fact:
    """One large figure with what it is about."""

    label: str
    value: str
    note: str


def title(brief: Brief) -> str:
    return f"What the meters of {brief.tenant_id} showed"


def moment(brief: Brief) -> str:
    """Grid clock Wed 18 Nov 2026 14:15"""
    return f"Grid clock {words.date_time(brief.grid_now, brief.timezone)} {brief.grid_now:%Y}"


def size(brief: Brief) -> str:
    """400 meters on 10 feeders"""
    return f"{words.plural(brief.meters, 'meter')} on {words.plural(brief.feeders, 'feeder')}"


def headline(brief: Brief) -> str:
    """The one sentence to remember."""
    if brief.leading is None:
        return "A quiet day: no event has touched a read."
    event, truth = brief.leading.event, brief.leading.truth
    name = sentences.capital(event.title if len(event.where) <= 24 else f"{event.name} on {short(event.where, 24)}")
    if event.event_type == "theft":
        in_a_year = sentences.in_a_year(event, truth, brief.tariff_usd_per_kwh)
        taken = f"{name}: {words.energy(truth.kwh_not_recorded)} unrecorded, {words.dollars(brief.leading.usd)}"
        if event.ends_at > brief.grid_now:
            return f"{taken} so far. {in_a_year}"
        return f"{taken}. Ended after {words.span(event.ends_at - event.starts_at)}. {in_a_year}"
    if event.event_type == "voltage-sag":
        return f"{name}: {words.count(truth.reads_low_voltage)} low-voltage intervals, and no energy lost."
    if event.event_type == "comms-outage":
        return f"{name}: {words.energy(truth.kwh_unread)} delivered but not read, which is not a loss."
    return f"{name}: not a type GridLens emulates."


def story(brief: Brief) -> str:
    """What stands under the headline: how the KPI moved, who was found, and what was no loss."""
    parts = []
    row = next((row for row in brief.kpis if row.kpi == "feeder_loss_pct"), None)
    if row is not None and row.drift is not None and row.effect is not None:
        feeder = short(row.feeder_id or "", 24)
        drift, effect = _parts(row)
        parts.append(
            f"{feeder}'s loss today rose from {words.percent(row.before)} to {words.percent(row.worst)} at the worst "
            f"and stands at {words.percent(row.now)}; {EFFECT_HEAD.lower()} {effect}, {DRIFT_HEAD.lower()} {drift}."
            if row.effect > 0
            else f"The loss column of this database does not rise under theft ({words.points(row.effect)})."
        )
    if brief.receipts:
        parts.append(detection(brief))
    unread = sum(one.truth.kwh_unread for one in brief.receipts if one.event.event_type == "comms-outage")
    if unread:
        parts.append(f"{words.energy(unread)} went unread in a comms outage: delivered, and not counted as loss.")
    return " ".join(parts)


def detection(brief: Brief) -> str:
    """How well the view that cannot see the events did, misses included."""
    total = brief.score
    if total is None or not total.cycles:
        return "No event that anybody is to be named for has been published yet."
    missed = sum(one.score.cycles > 0 and one.score.cycles_to_detection is None for one in brief.receipts if one.score)
    after = f", the first after {words.plural(total.cycles_to_detection, 'cycle')}" if total.cycles_to_detection else ""
    honest = f" It missed {words.plural(missed, 'event')}." if missed else ""
    return (
        f"Blind detection named {words.count(total.found)} of {words.plural(total.meters, 'meter')} touched{after}, "
        f"and {words.count(total.wrongly_named)} wrongly.{honest}"
    )


def facts(brief: Brief) -> list[Fact]:
    """The large figures, the most telling first."""
    found = []
    for row in brief.kpis:
        if row.kpi in CARD_KPIS and CATALOGUE[row.kpi].unit == "%":
            value = kpi_words.value_of(row.kpi, row.now)
            note = "" if row.before is None else f"from {kpi_words.value_of(row.kpi, row.before)}"
            found.append(Fact(row.label, value, note))
    found.insert(1, Fact("Lost to theft", words.dollars(brief.money.lost_usd), _a_year(brief.money)))
    found.insert(2, Fact("Detected", *_detected(brief)))
    return found


def detection_facts(brief: Brief) -> list[Fact]:
    """Money and blind detection, in large figures."""
    total = brief.score
    precision = total.precision if total and total.cycles else None
    recall = total.recall if total else None
    cycles = total.cycles_to_detection if total else None
    lost = [one.before_detection_usd for one in brief.receipts if one.before_detection_usd is not None]
    return [
        Fact("Lost to theft", words.dollars(brief.money.lost_usd), _a_year(brief.money)),
        Fact("Recall", words.UNKNOWN if recall is None else words.share(recall), "of the meters touched were named"),
        Fact("Precision", words.UNKNOWN if precision is None else words.share(precision), "of the names were right"),
        Fact(
            "To detection",
            words.UNKNOWN if cycles is None else words.plural(cycles, "cycle"),
            f"{words.dollars(sum(lost))} lost before" if lost else "nothing detected",
        ),
    ]


def _a_year(money: Money) -> str:
    parts = [
        f"{words.dollars(usd)} {what}"
        for usd, what in (
            (money.at_risk_usd_a_year, "a year at this rate"),
            (money.recovered_usd_a_year, "a year recovered"),
        )
        if usd
    ]
    return words.and_list(parts) or "no theft"


def _detected(brief: Brief) -> tuple[str, str]:
    total = brief.score
    if total is None or not total.cycles:
        return words.UNKNOWN, "nothing to score yet"
    right = words.UNKNOWN if total.precision is None else words.share(total.precision)
    return f"{words.count(total.found)} of {words.count(total.meters)}", f"meters named; {right} of the names are right"


def event_rows(brief: Brief) -> list[tuple[str, ...]]:
    """A row for each event under EVENT_HEAD, the latest ones where there are many."""
    return [_event_row(brief, one) for one in brief.receipts[-MOST_EVENTS:]]


def coloured_rows(brief: Brief) -> list[tuple[str, tuple[str, ...]]]:
    """The same rows with their event types."""
    types = [one.event.event_type for one in brief.receipts[-MOST_EVENTS:]]
    return list(zip(types, event_rows(brief), strict=True))


def left_out(brief: Brief) -> str:
    more = len(brief.receipts) - MOST_EVENTS
    return f"{words.plural(more, 'earlier event')} left out here; the sums are of all." if more > 0 else ""


def _event_row(brief: Brief, receipt: Receipt) -> tuple[str, ...]:
    event, truth = receipt.event, receipt.truth
    theft = event.event_type == "theft"
    reads, energy = {
        "theft": (f"{words.count(truth.reads_altered)} changed", f"{words.energy(truth.kwh_not_recorded)} unrecorded"),
        "voltage-sag": (f"{words.count(truth.reads_low_voltage)} under {truth.low_voltage_v:.0f} V", "none lost"),
        "comms-outage": (f"{words.count(truth.reads_missing)} missing", f"{words.energy(truth.kwh_unread)} unread"),
    }.get(event.event_type, (words.UNKNOWN, words.UNKNOWN))
    return (
        event_name(event),
        when(brief, event),
        words.count(truth.meters),
        reads,
        energy,
        words.dollars(receipt.usd) if theft else "no loss",
        a_year(brief, receipt) if theft else words.UNKNOWN,
        named(receipt),
        words.dollars(receipt.before_detection_usd) if theft else words.UNKNOWN,
    )


def a_year(brief: Brief, receipt: Receipt) -> str:
    """What a theft costs in a year if nobody looks."""
    return words.dollars(receipt.truth.kwh_a_year * brief.tariff_usd_per_kwh)


def when(brief: Brief, event: Event) -> str:
    """13:00 to 14:00, or from 13:00 while it runs."""
    starts = words.clock_time(event.starts_at, brief.timezone, beside=brief.grid_now)
    if event.ends_at > brief.grid_now:
        return f"since {starts}"
    return f"{starts} to {words.clock_time(event.ends_at, brief.timezone, beside=brief.grid_now)}"


def severity(event: Event) -> str:
    """An outage is total whatever its severity."""
    return "total" if event.event_type == "comms-outage" else words.share(event.fraction)


def named(receipt: Receipt) -> str:
    """38 of 40, the first in 1 cycle; or that nobody was."""
    score = receipt.score
    if score is None:
        return "nobody to name"
    if not score.cycles:
        return words.UNKNOWN
    if score.cycles_to_detection is None:
        return f"missed, {words.plural(score.cycles, 'cycle')}"
    return f"{score.found} of {score.meters} in {words.plural(score.cycles_to_detection, 'cycle')}"


def kpi_rows(brief: Brief) -> list[tuple[str, ...]]:
    """A row for each KPI under KPI_HEAD."""
    return [
        (
            short(row.label, 28),
            kpi_words.value_of(row.kpi, row.before),
            kpi_words.value_of(row.kpi, row.worst),
            kpi_words.value_of(row.kpi, row.now),
            *_parts(row),
        )
        for row in brief.kpis
    ]


def _parts(row: KpiRow) -> tuple[str, str]:
    """Natural drift and the events' effect, rounded so that they add up to what stands before and now."""
    if row.why is None:
        return words.UNKNOWN, words.UNKNOWN
    drift, effects = kpi_words.printed_parts(row.why)
    effect = total(effects.values())
    return kpi_words.change_of(row.kpi, drift), kpi_words.change_of(row.kpi, effect)


def axis_note(kpi: str, low: float) -> str:
    """A note that the axis does not begin at zero."""
    return f"The axis begins at {kpi_words.value_of(kpi, low)}."


def short(name: str, most: int = MOST_LETTERS) -> str:
    """A long name's beginning and end."""
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most - most // 2 - 1) :]}"


def why_sentence(brief: Brief) -> str:
    """What the waterfall shows, in words; also its text for those who cannot see it."""
    if brief.why is None:
        return "Not split: the moment was not measured, or the KPI is not in this database."
    parts = words.and_list([f"{bar.label} {bar.text}" for bar in waterfall(brief.why, brief.labels) if not bar.total])
    label, kpi = _why_label(brief), brief.why.kpi
    moved = f"{label}: {kpi_words.value_of(kpi, brief.why.before)} to {kpi_words.value_of(kpi, brief.why.now)}"
    return f"{moved}; {parts}." if parts else f"{moved}."


def why_title(brief: Brief) -> str:
    """Loss today, 12:00 to 14:15"""
    return f"{_why_label(brief)}, {span_shown(brief)}" if brief.why else ""


def _why_label(brief: Brief) -> str:
    return next((short(row.label, 28) for row in brief.kpis if brief.why and row.kpi == brief.why.kpi), "")


def span_shown(brief: Brief) -> str:
    """13:00 to 16:15, the part of the day the KPIs are about."""
    since = words.clock_time(brief.since, brief.timezone, beside=brief.grid_now)
    return f"{since} to {words.clock_time(brief.until, brief.timezone, beside=brief.grid_now)}"


def grid_title(brief: Brief) -> str:
    """Of when the picture of the grid is, and what its marks are."""
    at = words.date_time(brief.grid_now, brief.timezone)
    marks = [said for symbol, said in territory_svg.legend(brief.room) if symbol not in territory_svg.BUILT]
    return f"each meter by its interval up to {at}: {', '.join(marks)}"


def chart_place(brief: Brief) -> str:
    """The feeder of the energy chart."""
    return short(brief.room.feeder_id, 24) if brief.room.feeder_id else "all feeders"


def energy_sentence(brief: Brief) -> str:
    """What the energy chart shows."""
    where = chart_place(brief)
    supplied = "supplied and metered" if brief.room.energy.supplied_kwh is not None else "metered"
    return f"Energy {supplied} by interval, {where}; windows of {len(windows(brief))} events are marked."


def windows(brief: Brief) -> list[Event]:
    """The events of the chart's feeder."""
    feeder = brief.room.feeder_id
    return [event for event in brief.room.shaded if feeder is None or event.feeder_id in (None, feeder)]


def event_name(event: Event) -> str:
    """theft FEEDER_7 70 %"""
    return f"{event.name} {short(event.where)}" + (f" {severity(event)}" if event.event_type != "comms-outage" else "")


def method(brief: Brief) -> tuple[str, str, str]:
    """How it was done, in three sentences."""
    return (
        "Every KPI is read from the database's own views, which cannot see the events.",
        "An event's effect is what the views say with it less what they say without it, at the same moment; both were "
        "asked of the database, and what it took was undone. Natural drift, which the day brings by itself, and "
        "effects add up exactly."
        if brief.why is None or brief.why.exact
        else brief.why.note,
        f"The events and the reads are simulated; energy and dollars not recorded (at "
        f"{words.dollars(brief.tariff_usd_per_kwh)} per kWh) and the detection score are what the emulator knows, "
        "not the views.",
    )
