"""Figures and dialogs that explain: why a KPI moved, what a rehearsal shows, what a meter did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import plotly.graph_objects as go
import streamlit as st

from gridlens_core import words
from gridlens_core.display import figures, kpi_words, sentences
from gridlens_core.display.labels import Label
from gridlens_core.display.plain_words import PLAIN_WORDS
from gridlens_core.errors import GridLensError
from gridlens_core.explanation.catalogue import ALL, CARD_KPIS
from gridlens_core.explanation.evidence import MeterEvidence
from gridlens_core.explanation.rehearsal import Rehearsal
from gridlens_core.explanation.trace import Observation
from gridlens_core.explanation.why import Why
from gridlens_core.meters.events import EVENT_KINDS, EVENT_TYPES, EventRequest
from pages import _charts, _data, _frame, _look, _tables

value = kpi_words.value_of

Requests = tuple[EventRequest, ...]  # of one event, or of a ring


def waterfall(why: Why, labels: Mapping[str, Label], height: int) -> go.Figure:
    """From before to now: natural drift, each event, and the sum."""
    bars = figures.waterfall(why, labels)
    names = [_look.in_figure(bar.label) for bar in bars]
    figure = go.Figure()
    for name, bar in zip(names, bars, strict=True):
        figure.add_bar(
            x=[name], y=[bar.end - bar.start], base=[bar.start], text=[bar.text], textposition="outside",
            marker={"color": _look.SUPPLIED if bar.total else _look.colour(bar.cause)}, hoverinfo="skip",
        )  # fmt: skip
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 16, "b": 8},
        showlegend=False,
        barmode="overlay",
        yaxis={"title": ALL[why.kpi].unit, "range": list(figures.axis(bars, why.kpi)), "tickformat": ",~r"},
        xaxis={"categoryorder": "array", "categoryarray": names},
    )
    return figure


@dataclass(frozen=True)
class OneMeter:
    """A meter somebody clicked."""

    meter_id: str


def show(tenant_id: str, about: Why | Requests | OneMeter | None) -> None:
    """The dialog that was asked for, if one was."""
    if isinstance(about, Why):
        _why(about, _data.control_room(_data.moment(tenant_id), None, True).labels, _data.demo().settings.timezone)
    elif isinstance(about, tuple):
        _rehearsal(tenant_id, about)
    elif isinstance(about, OneMeter):
        _one_meter(tenant_id, about.meter_id)


@_frame.dialog("One meter")
def _one_meter(tenant_id: str, meter_id: str) -> None:
    """What a meter recorded beside what was expected of it."""
    at = _data.moment(tenant_id)
    found = _data.meter_evidence(at, meter_id)
    st.markdown(_look.plain(found.sentence))
    _charts.show(meter(found, at.timezone, 320), "clicked_meter", f"Reads of {meter_id} beside what was expected")


@_frame.dialog("Why did it move?")
def _why(why: Why, labels: Mapping[str, Label], timezone: str) -> None:
    """The waterfall of one KPI, and the sum in words."""
    label = ALL[why.kpi].label
    st.markdown(f"**{label}, since {words.clock_time(why.since, timezone)}**")
    about = f"{label}: from before, by natural drift and each event, to now"
    _charts.show(waterfall(why, labels, 340), "waterfall", about)
    parts = words.and_list([f"{part.label} {part.text}" for part in figures.parts_of(why, labels)])
    how = (
        "An effect is what the database's own views say with the event less what they say without it, at this moment. "
        "The parts add up to the movement exactly."
        if why.exact
        else why.note
    )
    st.caption(_look.plain(f"{sentences.capital(parts)}. {how}"))
    st.caption(_look.plain(f"Natural drift: {PLAIN_WORDS['natural drift']} {PLAIN_WORDS['pt']}"))


@_frame.dialog("Rehearsal")
def _rehearsal(tenant_id: str, requests: Requests) -> None:
    """The paths the KPIs would take; nothing of it stays in the database."""
    demo = _data.demo()
    kind = st.segmented_control(
        "Event",
        EVENT_TYPES,
        default=requests[0].event_type,
        format_func=lambda one: EVENT_KINDS[one].name.capitalize(),
        key="rehearse_kind",
    )
    try:
        found = _rehearsed(tenant_id, tuple(one.of_type(kind or one.event_type) for one in requests))
    except GridLensError as error:
        st.info(_look.plain(error.message), icon=":material/info:")
        return
    last = found.cycles[-1]
    timezone = demo.settings.timezone
    event = _look.plain(sentences.capital(found.event.title))
    st.markdown(
        f"**{event}**: what {len(found.cycles)} cycles would bring, by {words.clock_time(last.read_at, timezone)}"
    )
    _tables.show(
        [
            {
                "KPI": ALL[kpi].label,
                "Now": value(kpi, found.before[kpi]),
                "With the event": value(kpi, last.kpis[kpi]),
                "Without it": value(kpi, last.without[kpi]),
            }
            for kpi in CARD_KPIS
            if last.kpis[kpi] is not None
        ],
        "rehearsal",
        "KPIs now, and after the rehearsed cycles with and without the event",
    )
    kpi = found.event.kind.kpi
    if last.kpis[kpi] is not None:
        seen = demo.desk.trace(tenant_id).all()
        _charts.show(
            path(found, seen, kpi, timezone, 260),
            "rehearsed_path",
            f"{ALL[kpi].label}: rehearsed, without, and real",
        )
    st.caption("Run and rolled back: no read, no event and no clock has changed.")


def _rehearsed(tenant_id: str, requests: Requests) -> Rehearsal:
    """The rehearsal of this dialog; it stays the same while real cycles are published."""
    known: dict[Requests, Rehearsal] = st.session_state.setdefault("rehearsals", {})
    if requests not in known or _data.moment(tenant_id).grid_now > known[requests].cycles[-1].read_at:
        known[requests] = _data.demo().rehearse(tenant_id, *requests)
    return known[requests]


def path(rehearsal: Rehearsal, seen: Sequence[Observation], kpi: str, timezone: str, height: int) -> go.Figure:
    """The rehearsed path with and without the event, and the real one as far as it has come."""
    zone = ZoneInfo(timezone)
    label, unit = ALL[kpi].label, ALL[kpi].unit
    times = [rehearsal.event.starts_at, *(cycle.read_at for cycle in rehearsal.cycles)]
    now = rehearsal.before[kpi]
    real = [one for one in seen if times[0] <= one.grid_now <= times[-1]]
    colour = rehearsal.event.kind.colour
    figure = go.Figure()
    with_event = [now, *(cycle.kpis[kpi] for cycle in rehearsal.cycles)]
    without = [now, *(cycle.without[kpi] for cycle in rehearsal.cycles)]
    local = [moment.astimezone(zone) for moment in times]
    _line(figure, "rehearsed", local, with_event, {"color": colour, "dash": "dash"})
    _line(figure, "without the event", local, without, {"color": "gray", "dash": "dot"})
    if len(real) > 1:
        values = [one.kpis[kpi] for one in real]
        seen_at = [one.grid_now.astimezone(zone) for one in real]
        _line(figure, "real", seen_at, values, {"color": _look.SUPPLIED, "width": 3})
    shown = [*with_event, *without, *(one.kpis[kpi] for one in real)]
    figure.update_traces(hovertemplate=f"%{{y:,.2f}} {unit}<extra>%{{fullData.name}}</extra>")
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 24, "b": 8},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        xaxis={"tickformat": "%H:%M", "nticks": 8},
        yaxis={"title": f"{label}, {unit}", "tickformat": ",~r", "range": list(figures.span_of(shown, kpi))},
    )
    return figure


def _line(
    figure: go.Figure, name: str, times: Sequence[datetime], values: Sequence[object], line: dict[str, object]
) -> None:
    figure.add_scatter(x=list(times), y=list(values), name=name, mode="lines+markers", line={"width": 2.5, **line})


def meter(evidence: MeterEvidence, timezone: str, height: int) -> go.Figure:
    """A meter's reads beside what was expected of it."""
    zone = ZoneInfo(timezone)
    times = [moment.astimezone(zone) for moment in evidence.read_at]
    figure = go.Figure()
    figure.add_scatter(
        x=times, y=list(evidence.expected_kwh), name="expected", mode="lines",
        line={"color": "gray", "width": 2, "dash": "dot", "shape": "vh"},
        hovertemplate="%{y:.3f} kWh expected<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=times, y=list(evidence.recorded_kwh), name="recorded", mode="lines",
        line={"color": _look.THEFT if evidence.named else _look.METERED, "width": 2.5, "shape": "vh"},
        hovertemplate="%{y:.3f} kWh recorded<extra></extra>",
    )  # fmt: skip
    missing = [at for at, kwh in zip(times, evidence.recorded_kwh, strict=True) if kwh is None]
    if missing:
        figure.add_scatter(
            x=missing, y=[0.0] * len(missing), name="no read", mode="markers",
            marker={"symbol": "circle-open", "color": _look.OUTAGE, "size": 9, "line_width": 2},
            hovertemplate="no read arrived<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 24, "b": 8},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        xaxis={"tickformat": "%a %H:%M", "nticks": 8},
        yaxis={"title": "kWh per interval", "rangemode": "tozero"},
        uirevision=evidence.meter_id,
    )
    return figure
