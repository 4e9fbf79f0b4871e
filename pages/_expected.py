"""The rehearsed path of an event beside the real one, and what each event of the story did."""

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from gridlens_core import words
from gridlens_core.display import figures, kpi_words
from gridlens_core.explanation.catalogue import ALL
from gridlens_core.explanation.receipts import Receipt
from gridlens_core.explanation.rehearsal import Rehearsal
from gridlens_core.explanation.trace import Observation
from pages import _live, _look

Path = dict[datetime, float]


def path(rehearsal: Rehearsal, seen: Sequence[Observation], kpi: str, timezone: str) -> _live.Spec:
    """Rehearsed with and without the event, and the real path up to now, which may go on after the rehearsal."""
    label, unit = ALL[kpi].label, ALL[kpi].unit
    begin = rehearsal.event.starts_at
    before = rehearsal.before[kpi]
    real = {one.grid_now: one.kpis[kpi] for one in seen if one.grid_now >= begin}
    paths = {
        "came": (real, _look.SUPPLIED, "solid", 5),
        "rehearsed": (
            {begin: before} | {one.read_at: one.kpis[kpi] for one in rehearsal.cycles},
            rehearsal.event.kind.colour, "dashed", 2,
        ),
        "without the event": (
            {begin: before} | {one.read_at: one.without[kpi] for one in rehearsal.cycles},
            _look.quiet(), "dotted", 2,
        ),
    }  # fmt: skip
    times = sorted({moment for values, *_ in paths.values() for moment in values})
    low, high = figures.span_of((value for values, *_ in paths.values() for value in values.values()), kpi)
    ink = {"color": _look.ink(), "fontSize": _live.FONT_PX}
    return {
        "grid": {"left": 8, "right": 16, "top": 48, "bottom": 4, "containLabel": True},
        "legend": {"left": 0, "top": 0, "itemGap": 10, "itemWidth": 22, "textStyle": ink},
        "tooltip": {"trigger": "axis"},
        "xAxis": {
            "type": "category",
            "boundaryGap": False,
            "data": [words.clock_time(moment, timezone, beside=times[-1]) for moment in times],
            "axisLabel": ink,
        },
        "yAxis": {
            "type": "value",
            "min": low,
            "max": high,
            "name": f"{label}, {unit}",
            "nameLocation": "end",
            "nameTextStyle": {**ink, "align": "left"},
            "nameGap": 8,
            "splitNumber": 3,
            "axisLabel": ink,
        },
        "series": [
            {
                "name": name,
                "type": "line",
                "symbolSize": 5,
                "data": [None if (value := values.get(moment)) is None else float(value) for moment in times],
                "lineStyle": {"color": colour, "type": kind, "width": width},
                "itemStyle": {"color": colour},
            }
            for name, (values, colour, kind, width) in paths.items()
        ],
    }


def summary(receipts: Sequence[Receipt]) -> None:
    """One line for each event: what it moved by itself, whom the blind view named, and what it cost."""
    for receipt in receipts:
        event = receipt.event
        moved = [
            f"{ALL[line.kpi].label.lower()} {change}"
            for line in receipt.lines
            if line.kpi.endswith("_pct") and words.shows_change(change := kpi_words.change_of(line.kpi, line.effect))
        ]
        if receipt.score is not None and receipt.score.cycles:
            moved.append(f"{words.count(receipt.score.found)} of {words.plural(receipt.score.meters, 'meter')} named")
        cost = f"; {words.dollars(receipt.usd)} not recorded" if event.event_type == "theft" else ""
        st.badge(
            _look.plain(_look.called(event)),
            icon=event.kind.icon,
            color=event.kind.colour_name,
        )
        st.markdown(_look.plain(f"{words.and_list(moved) or 'No KPI moved'}{cost}."))
