"""A day of grid in a minute: publishing on a timer at a chosen speed, and a bar to go back over what was published."""

from datetime import datetime

import streamlit as st

from gridlens_core import words
from gridlens_core.display.branding import renamed
from gridlens_core.display.control_room import ControlRoom
from pages import _data, _frame, _look, _room

# Seconds from interval to interval: a day has 96 of them.
SPEEDS = {"A day in 1 minute": 0.6, "in 2 minutes": 1.25, "in 5 minutes": 3.1}
NOW = "now"  # the right end of the bar
CARD_HEIGHT, CHART_HEIGHT, GRID_HEIGHT = 160, 280, 280

tenant = _frame.tenant()
timezone = _data.demo().settings.timezone


def times() -> list[datetime]:
    """The intervals one can go back to."""
    return _data.published(_data.moment(tenant))


def shown_time() -> datetime:
    """The grid time on screen: the one chosen, else the newest."""
    newest = _data.moment(tenant).grid_now
    chosen = st.session_state.get(bar_key(), NOW)
    return chosen if chosen in times() else newest


def room() -> ControlRoom:
    """The control room at the time on screen."""
    pulse, moment = _data.moment(tenant), shown_time()
    now = _data.control_room(_data.moment(tenant), None, True)
    then = now if moment == pulse.grid_now else _data.control_room_at(_data.moment(tenant), moment)
    return renamed(then, _data.director(tenant).story.brand)


def bar_key() -> str:
    """The current bar. The server never moves a bar, because a browser could move it back; it makes a new one."""
    return f"lapse_bar_{st.session_state.get('lapse_bars', 0)}"


def follow() -> None:
    """Shows what is published from here on."""
    if st.session_state.get(bar_key(), NOW) != NOW:
        st.session_state["lapse_bars"] = st.session_state.get("lapse_bars", 0) + 1


def play(seconds: float) -> None:
    """Publishes on a timer at a speed; a timer of that speed goes on."""

    def start() -> str:
        demo = _data.demo()
        follow()
        if demo.auto_state(tenant).every_seconds != seconds:
            demo.auto.start(demo.session.database, tenant, seconds, demo.usual_interval(tenant))
        return f"Publishing an interval every {seconds:g} seconds."

    _frame.act(start)


def hold() -> None:
    """Stops the timer."""

    def stop() -> str:
        if _data.demo().auto.stop(tenant) or not _data.demo().auto_state(tenant).running:
            return "Held."
        return "Another process publishes on a timer; it can be stopped there."

    _frame.act(stop)


def step(grid_now: datetime) -> None:
    """Publishes the interval after a grid time, once: a double click is one interval."""

    def cycle() -> str:
        follow()
        if _data.demo().desk.pulse(tenant).grid_now != grid_now:
            return "The interval is published already."
        done = _data.demo().publish(tenant).cycles[-1]
        return f"{words.plural(done.inserted, 'read')} published for {words.clock_time(done.read_at, timezone)}."

    _frame.act(cycle)


def go_to() -> None:
    """The bar was moved: everything else on the page goes with it."""
    st.session_state["lapse_moved"] = True


@_frame.live
def controls() -> None:
    locked, auto, now = _frame.controls_off(), _data.auto_state(tenant), _data.moment(tenant).grid_now
    with st.container(horizontal=True, vertical_alignment="center"):
        for number, (speed, seconds) in enumerate(SPEEDS.items()):
            st.button(
                speed,
                key=f"lapse_play_{number}",
                icon=":material/check:" if auto.every_seconds == seconds else ":material/play_arrow:",
                on_click=play,
                args=(seconds,),
                disabled=locked or auto.every_seconds == seconds,
            )
        st.button(
            "Pause", key="lapse_pause", icon=":material/pause:", on_click=hold, disabled=locked or not auto.running
        )
        _frame.button(
            "Step",
            key="lapse_step",
            does=now,
            on_click=step,
            args=(now,),
            icon=":material/skip_next:",
            disabled=locked or auto.running,
        )
        _frame.acknowledge("Plays a day of intervals on a timer.")
    published = times()
    if len(published) < 2:
        st.caption("Nothing to go back to yet: play, or press Step.")
        return
    with st.container(key="lapse_at"):
        st.select_slider(
            "Grid time on screen; the right end follows what is published",
            [*published[:-1], NOW],
            value=NOW,
            key=bar_key(),
            format_func=lambda moment: "now" if moment == NOW else words.clock_time(moment, timezone),
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
    st.markdown(_look.plain(room().story))


with st.container(gap="xsmall"):
    with st.container(border=True, gap="xxsmall"):
        controls()
    cards()
    left, right = st.columns(2, gap="xsmall")
    with left.container(border=True, gap="xxsmall"):
        energy()
    with right.container(border=True, gap="xxsmall"):
        grid()
    with st.container(border=True, gap="xxsmall", key="story_panel"):
        happened()
