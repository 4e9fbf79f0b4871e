"""Events: the log and the timeline of ami_events."""

from collections.abc import Sequence
from decimal import Decimal

import streamlit as st

from gridlens_core import words
from gridlens_core.display import kpi_words
from gridlens_core.display.plain_words import PLAIN_WORDS
from gridlens_core.explanation.catalogue import ALL
from gridlens_core.explanation.receipts import Line, Receipt
from pages import _charts, _data, _explain, _frame, _leave_behind, _look, _tables

MOST_RECEIPTS = 8

tenant = _frame.tenant()


@_frame.live
def events() -> None:
    pulse = _data.moment(tenant)
    timezone = _data.demo().settings.timezone
    log = pulse.shown[::-1]
    if not log:
        st.info("No event yet. The control room triggers them.", icon=":material/event_available:")
        return
    with st.container(border=True):
        st.markdown("**Timeline** :gray[grid time; the dotted line is the grid clock]")
        _charts.show(
            _charts.timeline(log, timezone, pulse.grid_now, 260),
            "timeline",
            "Events from start to end by feeder or meter",
        )
    with st.container(border=True):
        st.markdown("**Log** :gray[newest first]")
        _tables.show(
            [
                {
                    "Event": event.name,
                    "Where": event.where,
                    "Severity": words.share(event.fraction),
                    "From": words.date_time(event.starts_at, timezone),
                    "To": words.date_time(event.ends_at, timezone),
                    "State": event.state(pulse.grid_now),
                    "Id": ", ".join(event.ids),
                }
                for event in log
            ],
            "events",
            "Event log, newest first",
        )


@_frame.live
def receipts() -> None:
    """What each event did, to the last read."""
    timezone = _data.demo().settings.timezone
    found = _data.receipts(tenant)
    if not found:
        return
    st.markdown(
        "**Receipts** :gray[what each event did; the parts of a movement add up exactly]",
        help=f"Natural drift: {PLAIN_WORDS['natural drift']} {PLAIN_WORDS['pt']}",
    )
    for receipt in found[:MOST_RECEIPTS]:
        event = receipt.event
        with st.container(border=True):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.badge(
                    _look.plain(_look.called(event)),
                    icon=event.kind.icon,
                    color=event.kind.colour_name,
                )
                st.markdown(_look.plain(receipt_words(receipt, timezone)), width="stretch")
            if receipt.lines:
                _tables.show(
                    [receipt_row(line, event.ids) for line in receipt.lines],
                    f"receipt-{event.id}",
                    f"Receipt of {event.title}",
                )


def receipt_row(line: Line, ids: Sequence[str]) -> dict[str, str]:
    """One KPI of a receipt, in the numbers of the card and the waterfall."""
    drift, effects = kpi_words.printed_parts(line.why)
    own = sum((shown for event_id, shown in effects.items() if event_id in ids), Decimal(0))
    others = sum(effects.values(), Decimal(0)) - own
    return {
        "KPI": ALL[line.kpi].label,
        "Before": _explain.value(line.kpi, line.before),
        "After": _explain.value(line.kpi, line.after),
        "Natural drift": kpi_words.change_or_none(line.kpi, drift),
        "Effect of this event": kpi_words.change_or_none(line.kpi, own),
        "Other events": kpi_words.change_or_none(line.kpi, others),
    }


def receipt_words(receipt: Receipt, timezone: str) -> str:
    event, truth = receipt.event, receipt.truth
    times = f"{words.date_time(event.starts_at, timezone)} to {words.date_time(event.ends_at, timezone)}"
    reads = (
        f"{words.count(truth.reads_altered)} reads changed, {words.count(truth.reads_missing)} missing, "
        f"{words.count(truth.reads_low_voltage)} under {truth.low_voltage_v:.0f} V"
    )
    at = receipt.measured_at
    measured = "not measured" if at is None else f"measured at {words.clock_time(at, timezone)}"
    measured += "" if receipt.exact else ", known cycle by cycle"
    lost = f"{words.energy(truth.kwh_not_recorded)} not recorded, {words.dollars(receipt.usd)}"
    return f"{times}; {measured}; {reads}; {lost}"


st.subheader("Events")
events()
receipts()
_leave_behind.leave_behind(tenant)
