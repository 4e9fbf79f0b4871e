"""What several pages show of a control room: its cards, its energy chart and its grid."""

from collections.abc import Callable

import streamlit as st

from gridlens_core import words
from gridlens_core.display.cards import Card
from gridlens_core.display.control_room import ControlRoom
from gridlens_core.display.plain_words import PLAIN_WORDS
from gridlens_core.explanation.why import Why
from pages import _grid, _live, _look

SPARK_HEIGHT, LETTERS = 40, 12
MOST_LINES = 3  # of events; what else runs is counted


def cards(room: ControlRoom, height: int) -> None:
    """The KPI cards in a row, or in several where the screen is narrow."""
    with st.grid(6, min_column_width=140, gap="xsmall"):
        for item in room.cards:
            card(item, height, SPARK_HEIGHT)


def card(item: Card, height: int, spark_height: int, on_why: Callable[[Why], None] | None = None) -> None:
    """One KPI card. With `on_why`, a KPI that moved has a button "Why?" that calls it."""
    help_text = f"{item.help} The line shows it {item.spark_of}." if item.spark else item.help
    if "pt" in item.change.replace(words.UNBROKEN, " ").split():
        help_text = f"{help_text} {PLAIN_WORDS['pt']}"
    with st.container(border=True, height=height, gap="xxsmall", key=f"card_{item.key}"):
        with st.container(horizontal=True, gap="xxsmall"):
            st.metric(
                _look.plain(item.label),
                _look.plain(item.value),
                _look.delta(item.change),
                delta_color=_look.colour_name(item.cause),
                delta_arrow="auto" if item.moved and item.key != "at_risk" else "off",
                help=_look.tip(help_text),
            )
            if on_why is not None and item.why is not None and item.moved:
                st.button("Why?", key=f"why_{item.key}", type="tertiary", on_click=on_why, args=(item.why,))
        if item.spark:
            _live.show(_live.spark(item), f"spark_{item.key}", f"{item.label}, {item.spark_of}", spark_height)
        else:
            st.caption(_look.plain(item.note))


def happened(room: ControlRoom) -> None:
    """What just happened: a sentence or two, or of several events a line for each."""
    st.markdown("**What just happened**")
    if len(room.running) <= 1:
        st.markdown(_look.plain(room.story))
        return
    with st.container(gap="xxsmall"):
        for running in room.running[: -MOST_LINES - 1 : -1]:
            kind = running.event.kind
            st.markdown(f":{kind.colour_name}[{kind.icon}] {_look.plain(running.line)}")
        if more := len(room.running[:-MOST_LINES]):
            st.markdown(f"and {words.plural(more, 'other event')}")


def energy(room: ControlRoom, height: int) -> None:
    """Supplied and metered energy with its title."""
    where = room.feeder_id or "all feeders"
    st.markdown(
        f"**Supplied and metered energy, {_look.plain(where)}** :gray[the shaded gap is the loss]",
        help=PLAIN_WORDS["interval"],
    )
    _live.show(_live.energy_chart(room), "energy_chart", f"Supplied and metered energy by interval, {where}", height)


def grid(
    room: ControlRoom, height: int, on_open: Callable[[str, str], None] | None = None, below: int | None = None
) -> None:
    """The service territory and what happens on it; as `_grid.show`."""
    st.markdown(f"**The grid** :gray[{_look.plain(_grid.title(room))}]")
    _grid.show(room, height, LETTERS, on_open, below)
