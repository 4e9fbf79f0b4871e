"""The chart of the grid: substation, feeders and meters by their state in the latest interval."""

from collections.abc import Mapping, Sequence
from math import ceil

from gridlens_core import words
from gridlens_core.display.control_room import ControlRoom, MeterState
from pages import _look
from pages._live import FONT_PX, Spec

MOST_FEEDERS, MOST_MARKS = 12, 60
STATES = tuple(_look.METER_LOOK)  # from what is normal to what stands out most


def chart(room: ControlRoom) -> Spec:
    """Substation, feeders and meters, coloured and shaped by state."""
    feeders = shown_feeders(room)
    marks = _marks(room, feeders)
    affected = {running.event.feeder_id for running in room.running}
    bold = {feeder: feeder in affected or None in affected for feeder in feeders}
    losses = [f"loss {words.percent(room.feeder_loss_pct.get(feeder), 1)}" for feeder in feeders]
    series = [_scatter(state, marks, feeders) for state in STATES]
    ink, quiet = _look.ink(), _look.quiet()
    return {
        "grid": {"left": 4, "right": 4, "top": 32, "bottom": 6, "containLabel": True},
        "legend": {
            "data": [one["name"] for one in series if one["data"]],
            "right": 0,
            "top": 0,
            "itemWidth": 12,
            "itemGap": 8,
            "textStyle": {"color": ink, "fontSize": FONT_PX},
        },
        "tooltip": {"trigger": "item", "formatter": "{b}"},
        "xAxis": {
            "type": "value",
            "show": False,
            "min": -0.75,
            "max": max((len(of_feeder) for of_feeder in marks.values()), default=1),
        },
        "yAxis": [
            _feeder_axis([_named(_look.short(feeder), bold[feeder]) for feeder in feeders], ink)
            | {"axisLine": {"show": True, "onZero": False, "lineStyle": {"width": 5, "color": quiet}}},
            _feeder_axis([_named(loss, bold[feeder]) for feeder, loss in zip(feeders, losses, strict=True)], ink)
            | {"position": "right", "splitLine": {"show": False}, "axisLine": {"show": False}},
        ],
        "series": series,
    }


def title(room: ControlRoom) -> str:
    """What the grid shows, where it cannot show everything."""
    shown, per_mark = shown_feeders(room), meters_per_mark(room)
    which = "feeders" if len(shown) == len(room.feeders) else f"{len(shown)} of {len(room.feeders)} feeders"
    what = "meters" if per_mark == 1 else f"marks of up to {per_mark} meters"
    return f"substation, {which} and their loss today, {what} by their latest interval"


def shown_feeders(room: ControlRoom) -> list[str]:
    """All feeders, or where there are too many those with the most meters that are not normal."""
    if len(room.feeders) <= MOST_FEEDERS:
        return list(room.feeders)
    odd: dict[str, int] = dict.fromkeys(room.feeders, 0)
    for meter in room.meters:
        odd[meter.feeder_id] += meter.state != "normal"
    chosen = set(sorted(room.feeders, key=lambda feeder: (-odd[feeder], room.feeders.index(feeder)))[:MOST_FEEDERS])
    return [feeder for feeder in room.feeders if feeder in chosen]


def meters_per_mark(room: ControlRoom) -> int:
    """How many meters one mark of the grid stands for: one, unless a feeder has more than fit on its line."""
    return ceil(max((len(meters) for meters in _by_feeder(room).values()), default=1) / MOST_MARKS)


def _by_feeder(room: ControlRoom) -> dict[str, list[MeterState]]:
    by_feeder: dict[str, list[MeterState]] = {feeder: [] for feeder in room.feeders}
    for meter in room.meters:
        by_feeder[meter.feeder_id].append(meter)
    return by_feeder


def _marks(room: ControlRoom, feeders: Sequence[str]) -> dict[str, list[list[MeterState]]]:
    """The meters of each feeder in groups of as many as one mark stands for."""
    per_mark, by_feeder = meters_per_mark(room), _by_feeder(room)
    return {
        feeder: [by_feeder[feeder][first : first + per_mark] for first in range(0, len(by_feeder[feeder]), per_mark)]
        for feeder in feeders
    }


def _scatter(state: str, marks: Mapping[str, Sequence[Sequence[MeterState]]], feeders: Sequence[str]) -> Spec:
    look = _look.METER_LOOK[state]
    return {
        "name": look.word,
        "type": "scatter",
        "symbol": look.symbol,
        "symbolSize": look.size,
        "itemStyle": {
            "color": "transparent" if look.hollow else look.colour,
            "opacity": look.opacity,
            "borderColor": look.colour,
            "borderWidth": 2 if look.hollow else 0,
        },
        "data": [
            {"name": _note(some), "value": [place, feeders.index(feeder)]}
            for feeder, of_feeder in marks.items()
            for place, some in enumerate(of_feeder)
            if _worst(some).state == state
        ],
    }


def _worst(meters: Sequence[MeterState]) -> MeterState:
    return max(meters, key=lambda meter: STATES.index(meter.state))


def _note(meters: Sequence[MeterState]) -> str:
    worst = _worst(meters)
    others = "" if len(meters) == 1 else f"; the worst of {len(meters)} meters"
    return f"{worst.meter_id}: {worst.note}{others}"


def _feeder_axis(names: Sequence[Spec], ink: str) -> Spec:
    return {
        "type": "category",
        "inverse": True,
        "boundaryGap": False,
        "data": list(names),
        "axisTick": {"show": False},
        "axisLabel": {"color": ink, "fontSize": FONT_PX, "interval": 0},
        "splitLine": {"show": True, "interval": 0, "lineStyle": {"color": _look.quiet(), "opacity": 0.6}},
    }


def _named(text: str, bold: bool) -> Spec:
    return {"value": text, "textStyle": {"fontWeight": "bold" if bold else "normal"}}
