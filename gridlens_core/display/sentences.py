"""The sentences that say what happened, each written here once: for the control room, the audience, the brief."""

from __future__ import annotations

from collections.abc import Mapping

from gridlens_core import words
from gridlens_core.display import kpi_words
from gridlens_core.display.figures import NATURAL_DRIFT, OTHER_EVENTS
from gridlens_core.display.labels import Label
from gridlens_core.explanation.moment import Moment
from gridlens_core.explanation.truth import Truth
from gridlens_core.explanation.why import Why, total
from gridlens_core.meters.events import Event


def capital(text: str) -> str:
    """The text with a capital letter to begin with; names inside it stay as they are."""
    return text[:1].upper() + text[1:]


def quiet(at: Moment) -> str:
    """What the latest event cost, once no event is running."""
    size = f"{words.plural(len(at.fleet), 'meter')} on {words.plural(len(at.fleet.feeders), 'feeder')}"
    loss_pct = at.kpis["loss_pct"]
    loss = "" if loss_pct is None else f"; loss today is {kpi_words.value_of('loss_pct', loss_pct)}"
    over = [event for event in at.shown if event.starts_at < event.ends_at <= at.grid_now]
    if not over:
        return f"All quiet. {size}{loss}."
    latest = max(over, key=lambda event: event.ends_at)
    ended = words.clock_time(latest.ends_at, at.timezone, beside=at.grid_now)
    return f"{capital(latest.title)} ended at {ended}{_cost(at, latest, at.truth(latest))}. {size}{loss}."


def _cost(at: Moment, event: Event, truth: Truth) -> str:
    if event.event_type == "theft":
        cost = words.dollars(truth.kwh_not_recorded * at.tariff_usd_per_kwh)
        return f": {words.energy(truth.kwh_not_recorded)} went unrecorded, {cost}"
    if event.event_type == "voltage-sag":
        return f": {words.plural(truth.reads_low_voltage, 'read')} under {truth.low_voltage_v:.0f} V"
    if event.event_type == "comms-outage":
        return f": {words.plural(truth.reads_missing, 'read')} did not arrive, which is not a loss"
    return ""


def of_event(at: Moment, event: Event, labels: Mapping[str, Label]) -> str:
    """What an event that is not over does, in one or two sentences."""
    since = words.clock_time(event.starts_at, at.timezone, beside=at.grid_now)
    until = words.clock_time(event.ends_at, at.timezone, beside=at.grid_now)
    where = capital(named(at, event))
    if event.starts_at > at.grid_now:
        return f"{where} begins at {since} and ends at {until}."
    if event.starts_at == at.grid_now:
        return f"{where} starts with the next interval and ends at {until}."
    truth = at.truth(event)
    meters = words.plural(truth.meters, "meter")
    odd = f" {odd_severity(event)}" if odd_severity(event) else ""
    if event.event_type == "theft":
        cost = words.dollars(truth.kwh_not_recorded * at.tariff_usd_per_kwh)
        return (
            f"{_loss(at, event, labels, since)}{words.energy(truth.kwh_not_recorded)} unrecorded, {cost} so far. "
            f"{capital(in_a_year(event, truth, at.tariff_usd_per_kwh))} Ends at {until}.{odd}"
        )
    if event.event_type == "voltage-sag":
        return (
            f"{where} since {since}: {words.count(truth.reads_low_voltage)} of {words.count(truth.reads_due)} reads of "
            f"{meters} under {truth.low_voltage_v:.0f} V. No energy is lost. Ends at {until}.{odd}"
        )
    if event.event_type == "comms-outage":
        return (
            f"{where} since {since}: {words.count(truth.reads_missing)} of {words.count(truth.reads_due)} reads of "
            f"{meters} did not arrive. {words.energy(truth.kwh_unread)} were delivered but not read, "
            f"which is not a loss. Ends at {until}."
        )
    return f"{where} since {since}, until {until}: not a type GridLens emulates."


def line_of(at: Moment, event: Event) -> str:
    """An event that is not over in one line, for a list of several."""
    where = capital(named(at, event))
    if event.starts_at >= at.grid_now:
        return f"{where} begins at {words.clock_time(event.starts_at, at.timezone, beside=at.grid_now)}"
    return f"{where}{_cost(at, event, at.truth(event))}"


def named(at: Moment, event: Event) -> str:
    """theft on FEEDER_7, or theft at a workshop on FEEDER_3 (MTR-00123): a single meter is somebody."""
    if event.meter_id is None:
        return event.title
    kind = at.fleet.customers.get(event.meter_id) or "customer"
    return f"{event.name} at a {kind} on {event.feeder_id or 'some feeder'} ({event.meter_id})"


def _whose(at: Moment, event: Event) -> str:
    """theft, ring of 3 or theft at a workshop: what a feeder's loss is put down to."""
    if event.feeder_id is None:
        return event.name
    return named(at, event).replace(f" on {event.feeder_id}", "", 1)


def in_a_year(event: Event, truth: Truth, tariff_usd_per_kwh: float) -> str:
    """What a theft would cost in a year, with what that is worked out from."""
    usd = words.dollars(truth.kwh_a_year * tariff_usd_per_kwh)
    when = {"nightly": "every night", "weekend": "every weekend", "intermittent": "every other hour"}.get(
        event.pattern, "around the clock"
    )
    return (
        f"{words.plural(truth.meters, 'customer')} at {words.share(event.fraction)} {when} would cost {usd} in a year."
    )


def odd_severity(event: Event) -> str:
    """Says that a row of another service has a severity outside 0 to 1, and what it is taken as."""
    if event.severity is None or (event.severity == event.severity and 0 <= event.severity <= 1):
        return ""
    taken = words.share(event.fraction)
    return f"Its severity is written as {event.severity:g}, which is no fraction; it is taken as {taken}."


def _loss(at: Moment, event: Event, labels: Mapping[str, Label], since: str) -> str:
    """FEEDER_7's loss today went from 2.45 % to 9.80 %, +7.31 pt from the theft since 14:00 and +0.04 pt from ..."""
    begun = f"{capital(named(at, event))} since {since}: "
    feeder = event.feeder_id
    kpi = "loss_pct" if feeder is None else "feeder_loss_pct"
    why = at.why("loss_pct", feeder)
    effect = None if why is None else total(why.effect_of(event_id) for event_id in event.ids)
    if why is None or effect is None:
        return begun
    if effect < 0:
        return (
            f"{begun}the loss column of this database falls by {words.number(abs(effect))} points under theft, "
            "for it follows the metered energy and is no loss; "
        )
    drift, printed = kpi_words.printed_parts(why)
    shown = total(printed[event_id] for event_id in event.ids if event_id in printed)
    rest = drift + total(printed.values()) - shown
    others = NATURAL_DRIFT if _alone(why, event) else f"{NATURAL_DRIFT} and {OTHER_EVENTS}"
    beside = f" and {words.points(rest)} from {others}" if rest else ""
    roughly = "" if why.exact else " (known cycle by cycle)"
    whose = "Loss" if feeder is None else f"{feeder}'s loss"
    return (
        f"{whose} today went from {kpi_words.value_of(kpi, why.before)} to {kpi_words.value_of(kpi, why.now)}, "
        f"{words.points(shown)} from the {_whose(at, event)} since {since}{roughly}{beside}: "
    )


def _alone(why: Why, event: Event) -> bool:
    return all(one.event_id in event.ids or not one.change for one in why.effects)
