"""The control room: trigger an event, publish, and see what moved, where, and what it costs."""

import streamlit as st

from gridlens_core.display.control_room import ControlRoom, RunningEvent
from gridlens_core.display.plain_words import PLAIN_WORDS
from gridlens_core.display.sentences import capital
from gridlens_core.explanation.moment import CHART_HOURS
from gridlens_core.explanation.why import Why
from pages import _data, _explain, _frame, _live, _look, _room, _triggers

# Heights in pixels; together they fill a screen of 1440 x 900.
CARD_HEIGHT, SPARK_HEIGHT, CHART_HEIGHT, GRID_HEIGHT, STORY_HEIGHT = 160, 48, 146, 320, 267
BELOW_GRID = 262  # px of the page under the picture, which takes what a larger screen has
MOST_IN_FULL = 3  # events, beside which what the newest one does has room
FOLLOW, ALL_FEEDERS = "Follow the event", "All feeders"
WINDOWS = (CHART_HOURS, 6, 3)  # hours of the chart
WITHOUT = "without events"
COMPARE = {WITHOUT: 0, "yesterday": 1, "last week": 7}  # what the chart is compared with, and how many days ago it was

tenant = _frame.tenant()
feeders = _data.fleet(tenant).feeders


def current_room() -> ControlRoom:
    """The room at the latest pulse with the chart the presenter chose."""
    chosen = st.session_state.get("chart_feeder") or FOLLOW
    feeder = None if chosen in (FOLLOW, ALL_FEEDERS) else chosen
    return _data.control_room(_data.moment(tenant), feeder, chosen == FOLLOW)


def end(running: RunningEvent) -> None:
    """Ends an event, or all of a ring, at the grid clock."""

    def finish() -> str:
        _data.demo().happenings.end(running.event.ids)
        return f"{capital(running.event.title)} has ended; the next interval is clean."

    _frame.act(finish)


def ask_why(why: Why) -> None:
    """Opens the waterfall of one KPI."""
    st.session_state["explain"] = why


def rehearse() -> None:
    """Opens the rehearsal of what the panel is set to."""
    st.session_state["explain"] = _triggers.wanted(tenant)


def open_up(what: str, name: str) -> None:
    """A click on the picture: a feeder gets the chart and the panel's aim, a meter tells what it recorded."""
    st.session_state["grid_clicked"] = True
    if what == "meter":
        st.session_state["explain"] = _explain.OneMeter(name)
        return
    st.session_state["grid_opened"] = name


@_frame.live
def cards() -> None:
    with st.grid(6, min_column_width=150, gap="xsmall"):
        for item in current_room().cards:
            _room.card(item, CARD_HEIGHT, SPARK_HEIGHT, ask_why)
    if "explain" in st.session_state:
        st.rerun()


@_frame.live
def chart() -> None:
    room = current_room()
    where = room.feeder_id or "all feeders"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**Supplied and metered, {_look.plain(where)}**", width="stretch", help=PLAIN_WORDS["interval"])
        hours = st.segmented_control(
            "Window",
            WINDOWS,
            key="chart_hours",
            default=CHART_HOURS,
            required=True,
            format_func=lambda hours: f"{hours} h",
            label_visibility="collapsed",
            persist_state="session",
        )
        st.selectbox(
            "Chart",
            [FOLLOW, ALL_FEEDERS, *feeders],
            key="chart_feeder",
            label_visibility="collapsed",
            width=150,
            persist_state="session",
        )
        beside = st.segmented_control(
            "Compare with",
            COMPARE,
            key="chart_compare",
            default=WITHOUT,
            label_visibility="collapsed",
            persist_state="session",
        )
    days = COMPARE.get(beside or "", 0)
    earlier = _data.earlier_kwh(_data.moment(tenant), room.feeder_id, days, room.energy.read_at) if days else ()
    _live.show(
        _live.energy_chart(room, beside == WITHOUT, hours, compared=(f"metered {beside}", earlier)),
        "energy_chart",
        f"Supplied and metered energy by interval, {where}",
        height=CHART_HEIGHT,
    )


@_frame.live
def grid() -> None:
    _room.grid(current_room(), GRID_HEIGHT, open_up, BELOW_GRID)
    if st.session_state.pop("grid_clicked", False):
        st.rerun()  # the chart and the panel too


@_frame.live
def story() -> None:
    """What just happened: one event in full, several a line each; all that run can be ended without scrolling."""
    room = current_room()
    st.markdown("**What just happened**")
    with st.container(gap=None):
        for running in reversed(room.running):
            _running(running)
    if len(room.running) <= MOST_IN_FULL:
        st.markdown(_look.plain(room.running[-1].story if room.running else room.story))


def _running(running: RunningEvent) -> None:
    """One line of an event that is not over."""
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.badge(
            _look.plain(running.label),
            icon=running.event.kind.icon,
            color=running.event.kind.colour_name,
        )
        st.markdown(f":gray[{_look.plain(running.time_left)} left]", width="stretch")
        st.button(
            "End now",
            key=f"end_{running.event.id}",
            on_click=end,
            args=(running,),
            type="tertiary",
            help=_look.tip(running.line),
            disabled=_frame.controls_off(),
        )


@_frame.live
def triggers() -> None:
    locked = _frame.controls_off()
    news = _data.news(tenant)
    _triggers.head(tenant, locked)
    _triggers.aim(tenant, locked)
    _triggers.types(tenant, locked)
    with st.container(horizontal=True, vertical_alignment="center"):
        now = None if news.pulse is None else news.pulse.grid_now
        _frame.button(
            "Publish cycle",
            key="publish_cycle",
            does=now,
            on_click=_triggers.publish_after,
            args=(tenant, now),
            icon=":material/skip_next:",
            disabled=locked,
        )
        st.button(
            "Rehearse",
            key="rehearse",
            icon=":material/theater_comedy:",
            on_click=rehearse,
            help=PLAIN_WORDS["rehearsed"],
            disabled=locked,
        )
        _frame.button(
            "Auto: on" if news.auto.running else "Auto: off",
            key="auto_publish",
            does="stop" if news.auto.running else "start",
            on_click=_triggers.set_auto,
            args=(tenant, not news.auto.running),
            icon=":material/pause:" if news.auto.running else ":material/play_arrow:",
            help="Stops the timer"
            if news.auto.running
            else f"Publishes an interval every {_triggers.AUTO_SECONDS} seconds",
            disabled=locked,
        )
    said = st.empty()
    with said:
        _frame.acknowledge()
    if _triggers.publish_if_due(tenant):
        st.rerun()
    if "explain" in st.session_state:
        st.rerun()  # a dialog belongs to the page, not to the part that redraws


if opened := st.session_state.pop("grid_opened", None):  # before the widgets that it sets are drawn
    st.session_state["grid_feeder"] = st.session_state["chart_feeder"] = opened
    if not _frame.controls_off():
        st.session_state["event_feeder"] = opened
to_explain = st.session_state.pop("explain", None)
with st.container(gap="xsmall"):
    cards()
    left, right = st.columns([2, 1], gap="xsmall")
    with left.container(gap="xsmall"):
        with st.container(border=True, gap="xxsmall"):
            grid()
        with st.container(border=True, gap="xxsmall"):
            chart()
    with right.container(gap="xsmall"):
        with st.container(border=True, gap="xsmall"):
            triggers()
        with st.container(border=True, gap="xxsmall", height=STORY_HEIGHT, key="story_panel"):
            story()
_explain.show(tenant, to_explain)
