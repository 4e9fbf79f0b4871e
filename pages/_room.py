"""What several pages show of a control room: its cards and its energy chart, without the presenter's controls."""

import streamlit as st

from gridlens_core.display.cards import Card
from gridlens_core.display.control_room import ControlRoom
from pages import _live, _look

SPARK_HEIGHT = 40


def cards(room: ControlRoom, height: int, *, sparks: bool = True) -> None:
    """The KPI cards in a row, or in several where the screen is narrow."""
    with st.grid(6, min_column_width=140, gap="xsmall"):
        for card in room.cards:
            _card(card, height, sparks=sparks)


def _card(card: Card, height: int, *, sparks: bool) -> None:
    with st.container(border=True, height=height, gap="xxsmall", key=f"card_{card.key}"):
        st.metric(
            _look.plain(card.label),
            _look.plain(card.value),
            _look.delta(card.change),
            delta_color=_look.colour_name(card.cause),
            delta_arrow="auto" if card.moved and card.key != "at_risk" else "off",
            help=_look.tip(card.help),
        )
        if sparks and card.spark:
            _live.show(_live.spark(card), f"spark_{card.key}", f"{card.label} over the last intervals", SPARK_HEIGHT)


def energy(room: ControlRoom, height: int) -> None:
    """Supplied and metered energy with its title."""
    where = room.feeder_id or "all feeders"
    st.markdown(f"**Supplied and metered energy, {_look.plain(where)}** :gray[the shaded gap is the loss]")
    _live.show(_live.energy(room), "energy_chart", f"Supplied and metered energy by interval, {where}", height)


def grid(room: ControlRoom, height: int) -> None:
    """Every meter by feeder."""
    st.markdown(f"**The grid** :gray[{_look.plain(_live.grid_title(room))}]")
    alt = "Every meter by feeder, coloured and shaped by its state in the latest interval"
    _live.show(_live.grid(room), "grid_chart", alt, height)
