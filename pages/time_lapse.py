"""A day of grid in a minute: publishing on a timer at a chosen speed, and a bar to go back over what was published."""

from datetime import datetime

import streamlit as st

from gridlens_core import words
from gridlens_core.clock import DEFAULT_INTERVAL_MINUTES
from gridlens_core.display.branding import renamed
from gridlens_core.display.control_room import ControlRoom
from pages import _data, _frame, _room

# Seconds from interval to interval: a day has 96 of them.
SPEEDS = {"A day a minute": 0.6, "in 2 minutes": 1.25, "in 5 minutes": 3.1}
CARD_HEIGHT, CHART_HEIGHT, GRID_HEIGHT, STORY_HEIGHT = 160, 296, 296, 108

tenant = _frame.tenant()
timezone = _data.demo().settings.timezone


def times() -> list[datetime]:
    """The intervals one can go back to."""
    return _data.published(tenant, _data.pulse(tenant))


def shown_time() -> datetime:
    """The grid time on screen: the one chosen, else the newest."""
    newest = _data.pulse(tenant).grid_now
    chosen = st.session_state.get("lapse_chosen")
    return chosen if chosen in times() else newest


def room() -> ControlRoom:
    """The control room at the time on screen."""
    pulse, moment = _data.pulse(tenant), shown_time()
    now = _data.control_room(tenant, pulse, None, True)
    then = now if moment == pulse.grid_now else _data.control_room_at(tenant, pulse, moment)
    return renamed(then, _data.director(tenant).story.brand)


def set_playing() -> None:
    """Starts the timer at the chosen speed, or stops it."""

    def switch() -> str:
        demo = _data.demo()
        if demo.auto.stop(tenant):
            return "Held."
        st.session_state["lapse_chosen"] = None
        seconds = SPEEDS[st.session_state["lapse_speed"]]
        demo.auto.start(demo.database, tenant, seconds, DEFAULT_INTERVAL_MINUTES)
        return f"Publishing an interval every {seconds:g} seconds."

    _frame.act(switch)


def set_speed() -> None:
    """Gives a running timer its new speed."""

    def change() -> str:
        demo = _data.demo()
        seconds = SPEEDS[st.session_state["lapse_speed"]]
        if _data.auto_state(tenant).here:
            demo.auto.start(demo.database, tenant, seconds, DEFAULT_INTERVAL_MINUTES)
        return f"An interval every {seconds:g} seconds."

    _frame.act(change)


def step() -> None:
    """Publishes one interval."""

    def cycle() -> str:
        done = _data.demo().publish(tenant).cycles[-1]
        st.session_state["lapse_chosen"] = None
        return f"{words.plural(done.inserted, 'read')} published for {words.clock_time(done.read_at, timezone)}."

    _frame.act(cycle)


def go_to() -> None:
    """Keeps the chosen time; the end of the bar follows what is published."""
    chosen = st.session_state["lapse_at"]
    st.session_state["lapse_chosen"] = None if chosen == times()[-1] else chosen
    st.session_state["lapse_moved"] = True


@_frame.live
def controls() -> None:
    locked, playing = not _frame.unlocked(), _data.auto_state(tenant).running
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Pause" if playing else "Play",
            key="lapse_play",
            icon=":material/pause:" if playing else ":material/play_arrow:",
            on_click=set_playing,
            disabled=locked,
        )
        st.button("Step", key="lapse_step", icon=":material/skip_next:", on_click=step, disabled=locked or playing)
        st.segmented_control(
            "Speed",
            list(SPEEDS),
            key="lapse_speed",
            default=next(iter(SPEEDS)),
            required=True,
            on_change=set_speed,
            label_visibility="collapsed",
            disabled=locked,
        )
        _frame.acknowledge("Play publishes intervals on a timer.")
    published = times()
    if len(published) < 2:
        st.caption("Nothing to go back to yet: press Play or Step.")
        return
    st.session_state["lapse_at"] = shown_time() if shown_time() in published else published[-1]
    st.select_slider(
        "Grid time on screen; the right end follows what is published",
        published,
        key="lapse_at",
        format_func=lambda moment: words.clock_time(moment, timezone),
        on_change=go_to,
    )
    if st.session_state.pop("lapse_moved", False):
        st.rerun()  # everything else on the page too


@_frame.live
def cards() -> None:
    _room.cards(room(), CARD_HEIGHT)


@_frame.live
def energy() -> None:
    _room.energy(room(), CHART_HEIGHT)


@_frame.live
def grid() -> None:
    _room.grid(room(), GRID_HEIGHT)


@_frame.live
def happened() -> None:
    st.markdown(f"**Grid time {words.date_time(shown_time(), timezone)}**")
    st.markdown(room().story.replace("$", "\\$"))


with st.container(gap="xsmall"):
    with st.container(border=True, gap="xxsmall"):
        controls()
    cards()
    left, right = st.columns(2, gap="xsmall")
    with left.container(border=True, gap="xxsmall"):
        energy()
    with right.container(border=True, gap="xxsmall"):
        grid()
    with st.container(border=True, gap="xxsmall", height=STORY_HEIGHT, key="story_panel"):
        happened()
_frame.read_ahead(room)
