"""How realistic the emulation is: an emulated day beside a real one, and a short table of figures."""

import plotly.graph_objects as go
import streamlit as st

from gridlens_core.clock import day_start
from gridlens_core.meters.realism import emulated_day, figures, real_day
from pages import _charts, _data, _look


@st.cache_data(ttl=3600, max_entries=10, show_spinner=False)
def _figures(tenant_id: str, day: str) -> list[dict[str, object]]:
    demo = _data.demo()
    midnight = day_start(demo.desk.today(_data.moment(tenant_id).grid_now), demo.settings.timezone)
    return [
        {
            "Figure": figure.name,
            "Emulated": figure.emulated,
            "Real": f"{figure.low:g} to {figure.high:g}",
            "Inside": "yes" if figure.inside else "no",
            "Measured": figure.source,
        }
        for figure in figures(_data.fleet(tenant_id), midnight)
    ]


def how_real(tenant_id: str) -> None:
    """Only for a synthetic fleet: a fleet with a history goes on as its own meters did."""
    demo = _data.demo()
    fleet = _data.fleet(tenant_id)
    with st.container(border=True):
        st.markdown("**How real is this?** :gray[emulated meters beside measured ones]")
        if fleet.habits is not None:
            st.caption("These meters have a history of their own: each goes on at its own level, shape and scatter.")
            return
        today = demo.desk.today(_data.moment(tenant_id).grid_now)
        left, right = st.columns(2)
        with left:
            real = real_day()
            _charts.show(
                _day(list(real.values), "a real home", _look.SUPPLIED), "real_day", "A real home's day by quarter hour"
            )
            st.caption(_look.plain(f"{real.what}; {real.source}."))
        with right:
            day = emulated_day(fleet, day_start(today, demo.settings.timezone))
            _charts.show(
                _day(list(day), "an emulated home", _look.NORMAL),
                "emulated_day",
                "An emulated home's day by quarter hour",
            )
            st.caption("One emulated home, today, 15-minute energy over its mean. Days and homes all differ.")
        st.dataframe(
            _figures(tenant_id, today.isoformat()),
            hide_index=True,
            column_config={"Emulated": st.column_config.NumberColumn(format="%.2f")},
            alt="Figures of the emulated homes beside measured bands",
        )
        st.caption("Four weeks of these homes. All figures over a year: python -m benchmarks.realism")


def _day(values: list[float], name: str, colour: str) -> go.Figure:
    figure = go.Figure()
    figure.add_scatter(
        x=[f"{quarter // 4:02d}:{quarter % 4 * 15:02d}" for quarter in range(len(values))], y=values, name=name,
        line={"color": colour, "width": 2, "shape": "hv"}, hovertemplate="%{x}: %{y:.2f} times the mean<extra></extra>",
    )  # fmt: skip
    figure.update_layout(
        height=220,
        margin={"l": 8, "r": 8, "t": 24, "b": 8},
        title={"text": name, "font": {"size": 13}},
        xaxis={"nticks": 9},
        yaxis={"title": "times the day's mean", "range": [0, 6]},
    )
    return figure
