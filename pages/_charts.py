"""Plotly figures, each from plain values; axes and zoom stay while the data moves on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import plotly.graph_objects as go

from gridlens_core.control_room import CHART_HOURS, ControlRoom, MeterState
from gridlens_core.events import Event
from pages import _look

CONFIG = {"displayModeBar": False, "scrollZoom": False}
ROOM_AHEAD = timedelta(hours=1)  # shown to the right of the grid clock, where events reach into


def energy(room: ControlRoom, height: int) -> go.Figure:
    """Supplied and metered energy by interval; the shaded gap is the loss, the bands are events."""
    zone = ZoneInfo(room.timezone)
    times = [moment.astimezone(zone) for moment in room.energy.read_at]
    figure = go.Figure()
    figure.add_scatter(
        x=times, y=room.energy.metered_kwh, name="metered", line={"color": _look.METERED, "width": 2.5},
        hovertemplate="%{y:.1f} kWh metered<extra></extra>",
    )  # fmt: skip
    if room.energy.supplied_kwh is not None:
        figure.add_scatter(
            x=times, y=room.energy.supplied_kwh, name="supplied", line={"color": _look.SUPPLIED, "width": 2.5},
            fill="tonexty", fillcolor="rgba(0,114,178,0.18)", hovertemplate="%{y:.1f} kWh supplied<extra></extra>",
        )  # fmt: skip
    for row, event in enumerate(_of_feeder(room.shaded, room.feeder_id)):
        _shade(figure, event, zone, row, room.grid_now)
    now = room.grid_now.astimezone(zone)
    figure.add_vline(x=now, line={"color": "gray", "dash": "dot", "width": 1})
    most = max([*(room.energy.supplied_kwh or ()), *room.energy.metered_kwh, 0.1])
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 4, "b": 4},
        hovermode="x unified",
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "top"},
        xaxis={"range": [now - timedelta(hours=CHART_HOURS), now + ROOM_AHEAD], "tickformat": "%H:%M"},
        yaxis={"range": [0, most * 1.15], "title": "kWh per interval", "tickformat": ",.0f"},
        uirevision=f"{room.tenant_id} {room.feeder_id}",
        transition={"duration": 300},
    )
    return figure


def _of_feeder(events: Sequence[Event], feeder_id: str | None) -> list[Event]:
    return [event for event in events if feeder_id is None or event.feeder_id in (None, feeder_id)]


def _shade(figure: go.Figure, event: Event, zone: ZoneInfo, row: int, grid_now: datetime) -> None:
    """An event's window, named in its own line so that names never cover each other."""
    colour = _look.EVENT_COLOUR.get(event.event_type, "gray")
    start, end = event.starts_at.astimezone(zone), event.ends_at.astimezone(zone)
    figure.add_vrect(x0=start, x1=end, fillcolor=colour, opacity=0.16, line_width=0, layer="below")
    severity = "" if event.event_type == "comms-outage" else f" {event.fraction:.0%}"
    shown_to = grid_now.astimezone(zone) + ROOM_AHEAD
    figure.add_annotation(
        x=min(end, shown_to), y=0.03 + 0.1 * (row % 4), yref="paper", xanchor="right", yanchor="bottom",
        text=f"{event.name} {event.where}{severity}", showarrow=False,
        font={"size": 12, "color": "white"}, bgcolor=_TAG.get(event.event_type, "gray"),
        borderpad=2,
    )  # fmt: skip


# Darker than the event colours, so that white letters on them can be read.
_TAG = {"theft": "#A84A00", "voltage-sag": "#8A5F00", "comms-outage": "#8F3A6B"}
MOST_FEEDERS = 12


def grid(room: ControlRoom, height: int) -> go.Figure:
    """Substation, feeders and meters, coloured and shaped by state; feeders that stand out come first
    where there are more than fit."""
    feeders = shown_feeders(room)
    line_of = {feeder: len(feeders) - number for number, feeder in enumerate(feeders)}
    by_feeder: dict[str, list[MeterState]] = {feeder: [] for feeder in feeders}
    for meter in room.meters:
        if meter.feeder_id in by_feeder:
            by_feeder[meter.feeder_id].append(meter)
    longest = max((len(meters) for meters in by_feeder.values()), default=1)
    figure = go.Figure()
    figure.add_scatter(
        x=[-0.05, -0.05], y=[1, len(feeders)], mode="lines", line={"color": "gray", "width": 5}, hoverinfo="skip"
    )
    for feeder, line in line_of.items():
        figure.add_scatter(
            x=[-0.05, 1.0], y=[line, line], mode="lines", line={"color": "gray", "width": 1}, hoverinfo="skip"
        )
        figure.add_annotation(x=-0.07, y=line, text=feeder, showarrow=False, xanchor="right", font={"size": 12})
        loss = room.feeder_loss_pct.get(feeder)
        figure.add_annotation(
            x=1.02, y=line, xanchor="left", showarrow=False, font={"size": 12},
            text="loss —" if loss is None else f"loss {loss:.1f} %",
        )  # fmt: skip
    for state, (word, colour, symbol) in _look.METER_LOOK.items():
        points = [
            ((position + 0.5) / longest, line_of[feeder], meter)
            for feeder, meters in by_feeder.items()
            for position, meter in enumerate(meters)
            if meter.state == state
        ]
        figure.add_scatter(
            x=[x for x, _, _ in points], y=[y for _, y, _ in points], mode="markers", name=word,
            marker={"color": colour, "symbol": symbol, "size": 8, "line": {"width": 1.5, "color": colour}},
            text=[f"{meter.meter_id}<br>{meter.note}" for _, _, meter in points],
            hovertemplate="%{text}<extra></extra>",
        )  # fmt: skip
    for trace in figure.data:
        trace.showlegend = trace.mode == "markers"
    figure.update_layout(
        height=height,
        margin={"l": 4, "r": 4, "t": 20, "b": 0},
        xaxis={"visible": False, "range": [-0.2, 1.16], "fixedrange": True},
        yaxis={"visible": False, "range": [0.3, len(feeders) + 0.7], "fixedrange": True},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        uirevision="grid",
    )
    return figure


def shown_feeders(room: ControlRoom) -> list[str]:
    """All feeders, or where there are too many those with the most meters out of the ordinary."""
    if len(room.feeders) <= MOST_FEEDERS:
        return list(room.feeders)
    odd: dict[str, int] = dict.fromkeys(room.feeders, 0)
    for meter in room.meters:
        odd[meter.feeder_id] += meter.state != "normal"
    chosen = set(sorted(room.feeders, key=lambda feeder: (-odd[feeder], room.feeders.index(feeder)))[:MOST_FEEDERS])
    return [feeder for feeder in room.feeders if feeder in chosen]


@dataclass(frozen=True)
class DaySeries:
    """One named series of values by day, newest day first as the views give them."""

    name: str
    days: Sequence[date]
    values: Sequence[float | None]
    colour: str


def days(series: Sequence[DaySeries], unit: str, height: int) -> go.Figure:
    """Bars by day; the newest is today, still open and therefore pale."""
    figure = go.Figure()
    for one in series:
        newest = max(one.days, default=None)
        figure.add_bar(
            x=list(one.days), y=list(one.values), name=one.name,
            marker={"color": one.colour, "opacity": [0.55 if day == newest else 1.0 for day in one.days]},
            hovertemplate=f"%{{x|%a %d %b}}: %{{y:,.2f}} {unit}<extra>{one.name}</extra>",
        )  # fmt: skip
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 26, "b": 8},
        barmode="stack",
        showlegend=len(series) > 1,
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        xaxis={"type": "date", "tickformat": "%a %d %b", "nticks": 10},
        yaxis={"title": unit, "rangemode": "tozero"},
        uirevision="days",
    )
    return figure


def feeders(loss_pct: Mapping[str, float], height: int) -> go.Figure:
    """Loss of each feeder today, the largest at the top."""
    ordered = sorted(loss_pct.items(), key=lambda item: item[1])
    figure = go.Figure()
    figure.add_bar(
        x=[loss for _, loss in ordered], y=[feeder for feeder, _ in ordered], orientation="h",
        marker={"color": _look.SUPPLIED}, text=[f"{loss:.1f} %" for _, loss in ordered], textposition="outside",
        hovertemplate="%{y}: %{x:.2f} %<extra></extra>", cliponaxis=False,
    )  # fmt: skip
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 40, "t": 8, "b": 8},
        xaxis={"title": "loss today, % of supplied", "rangemode": "tozero"},
        uirevision="feeders",
    )
    return figure


def timeline(events: Sequence[Event], timezone: str, grid_now: datetime, height: int) -> go.Figure:
    """Each event as a bar from start to end, newest at the top."""
    zone = ZoneInfo(timezone)
    figure = go.Figure()
    for kind, colour in _look.EVENT_COLOUR.items():
        chosen = [event for event in events if event.event_type == kind and event.ends_at > event.starts_at]
        if chosen:
            figure.add_bar(
                base=[event.starts_at.astimezone(zone) for event in chosen],
                x=[(event.ends_at - event.starts_at).total_seconds() * 1000 for event in chosen],
                y=[event.where for event in chosen],
                orientation="h", name=chosen[0].name, marker={"color": colour}, width=0.5,
                hovertemplate="%{y}<extra>" + chosen[0].name + "</extra>",
            )  # fmt: skip
    figure.add_vline(x=grid_now.astimezone(zone), line={"color": "gray", "dash": "dot"})
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 26, "b": 8},
        barmode="overlay",
        showlegend=True,
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        xaxis={"type": "date", "tickformat": "%a %H:%M"},
        uirevision="timeline",
    )
    return figure
