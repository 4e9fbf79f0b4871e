"""The control room: trigger an event, publish, and see what moved, where, and what it costs."""

from datetime import datetime

import streamlit as st

from gridlens_core import words
from gridlens_core.display.control_room import ControlRoom, RunningEvent
from gridlens_core.explanation.moment import CHART_HOURS
from gridlens_core.explanation.why import Why
from gridlens_core.meters.events import EVENT_KINDS, EventRequest
from gridlens_core.meters.patterns import PATTERN_WORDS, PATTERNS
from pages import _data, _explain, _frame, _live, _look, _room

# Heights in pixels; together they fill a screen of 1440 x 900.
CARD_HEIGHT, SPARK_HEIGHT, CHART_HEIGHT, GRID_HEIGHT, STORY_HEIGHT = 160, 48, 146, 320, 281
BELOW_GRID = 262  # px of the page under the picture, which takes what a larger screen has
FOLLOW, ALL_FEEDERS = "Follow the event", "All feeders"
DURATIONS = (30, 60, 120, 240)
WINDOWS = (CHART_HOURS, 6, 3)  # hours of the chart
AUTO_SECONDS = 5
WITHOUT = "without events"
COMPARE = {WITHOUT: 0, "yesterday": 1, "last week": 7}  # what the chart is compared with, and how many days ago it was

tenant = _frame.tenant()
feeders = _data.fleet(tenant).feeders


def current_room() -> ControlRoom:
    """The room at the latest pulse with the chart the presenter chose."""
    chosen = st.session_state.get("chart_feeder") or FOLLOW
    feeder = None if chosen in (FOLLOW, ALL_FEEDERS) else chosen
    return _data.control_room(_data.moment(tenant), feeder, chosen == FOLLOW)


def wanted() -> EventRequest:
    """What the panel is set to, as a theft: of the three types, the one that has a pattern."""
    return EventRequest(
        "theft",
        feeder_id=st.session_state["event_feeder"],
        severity=st.session_state["event_severity"] / 100,
        duration_minutes=st.session_state["event_duration"],
        pattern=st.session_state["event_pattern"],
    )


def trigger(event_type: str) -> None:
    """Writes the event; the next interval is published as soon as the click is acknowledged."""
    request = wanted().of_type(event_type)
    name = f"{EVENT_KINDS[event_type].name.capitalize()} on {request.feeder_id}"

    def start() -> str:
        running = like(request)  # a double click is not two events
        if running is not None and running.event.starts_at < _data.moment(tenant).grid_now:
            return f"{name} is running already."
        st.session_state["cycle_due"] = f"{name}: "
        if running is not None:
            return f"{name} is running already; its first interval is under way."
        _data.demo().trigger(tenant, request)
        return f"{name} starts with the next interval, which is under way."

    if not _frame.act(start):
        st.session_state.pop("cycle_due", None)


def like(request: EventRequest) -> RunningEvent | None:
    """A running event with the same type, feeder, severity and pattern, if there is one."""
    just_such = (request.event_type, request.feeder_id, words.share(request.severity), request.pattern)
    for one in current_room().running:
        if (one.event.event_type, one.event.where, words.share(one.event.fraction), one.event.pattern) == just_such:
            return one
    return None


def publish(why: str = "") -> None:
    """Publishes the next interval."""

    def cycle() -> str:
        done = _data.demo().publish(tenant).cycles[-1]
        at = words.clock_time(done.read_at, _data.demo().settings.timezone)
        return f"{why}{words.plural(done.inserted, 'read')} published for {at}."

    _frame.act(cycle)


def publish_after(grid_now: datetime) -> None:
    """Publishes the interval after a grid time, once: a double click is one interval."""
    if _data.demo().desk.pulse(tenant).grid_now == grid_now:
        publish()


def set_auto(wanted: bool) -> None:
    """Starts or stops the timer; does nothing if that is so already."""

    def switch() -> str:
        demo = _data.demo()
        if wanted:
            if demo.auto_state(tenant).running:
                return "Intervals are published on a timer already."
            demo.auto.start(demo.session.database, tenant, AUTO_SECONDS, demo.usual_interval(tenant))
            return f"Publishing an interval every {AUTO_SECONDS} seconds."
        if demo.auto.stop(tenant):
            return "Publishing on a timer is off."
        return "Another process publishes on a timer; it can be stopped there."

    _frame.act(switch)


def end(running: RunningEvent) -> None:
    """Ends an event at the grid clock."""

    def finish() -> str:
        _data.demo().end(running.event.id)
        return f"{running.event.name.capitalize()} on {running.event.where} has ended; the next interval is clean."

    _frame.act(finish)


def ask_why(why: Why) -> None:
    """Opens the waterfall of one KPI."""
    st.session_state["explain"] = why


def rehearse() -> None:
    """Opens the rehearsal of what the panel is set to."""
    st.session_state["explain"] = wanted()


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
        st.markdown(f"**Supplied and metered, {_look.plain(where)}**", width="stretch")
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
    room = current_room()
    st.markdown("**What just happened**")
    if not room.running:
        st.markdown(_look.plain(room.story))
    for running in reversed(room.running):
        _running(running)
    if room.running:
        newest = room.running[-1]
        st.markdown(_look.plain(newest.story))


def _running(running: RunningEvent) -> None:
    """One line of an event that is not over; several of them stand below each other, with what the newest one does."""
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
            help=_look.tip(running.line),
            disabled=_frame.controls_off(),
        )


@_frame.live
def triggers() -> None:
    locked = _frame.controls_off()
    news = _data.news(tenant)
    st.markdown("**Trigger an event**")
    left, right = st.columns(2, gap="xsmall")
    usual = 0 if "event_feeder" in st.session_state else min(6, len(feeders) - 1)
    left.selectbox("Feeder", feeders, key="event_feeder", index=usual, disabled=locked, persist_state="session")
    right.selectbox(
        "Duration",
        DURATIONS,
        key="event_duration",
        index=1,
        format_func=lambda minutes: f"{minutes} min",
        disabled=locked,
        persist_state="session",
    )
    left, right = st.columns(2, gap="xsmall")
    left.slider(
        "Severity", 5, 100, 70, 5, key="event_severity", format="%d %%", disabled=locked, persist_state="session"
    )
    right.selectbox(
        "Theft pattern",
        PATTERNS,
        key="event_pattern",
        format_func=lambda pattern: pattern.replace("-", " "),
        help="; ".join(f"{pattern.replace('-', ' ')}: {said}" for pattern, said in PATTERN_WORDS.items()),
        disabled=locked,
        persist_state="session",
    )
    columns = st.columns([1, 1.4, 1.65], gap="xxsmall")
    for column, kind in zip(columns, EVENT_KINDS.values(), strict=True):
        column.button(
            kind.name.capitalize(),
            key=f"trigger_{kind.event_type.replace('-', '_')}",
            icon=kind.icon,
            on_click=trigger,
            args=(kind.event_type,),
            width="stretch",
            disabled=locked or _data.demo().why_not(kind.event_type) is not None,
            help=_look.tip(_data.demo().why_not(kind.event_type)),
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        now = None if news.pulse is None else news.pulse.grid_now
        _frame.button(
            "Publish cycle",
            key="publish_cycle",
            does=now,
            on_click=publish_after,
            args=(now,),
            icon=":material/skip_next:",
            disabled=locked,
        )
        st.button("Rehearse", key="rehearse", icon=":material/theater_comedy:", on_click=rehearse, disabled=locked)
        _frame.button(
            "Auto: on" if news.auto.running else "Auto: off",
            key="auto_publish",
            does="stop" if news.auto.running else "start",
            on_click=set_auto,
            args=(not news.auto.running,),
            icon=":material/pause:" if news.auto.running else ":material/play_arrow:",
            help="Stops the timer" if news.auto.running else f"Publishes an interval every {AUTO_SECONDS} seconds",
            disabled=locked,
        )
    said = st.empty()
    with said:
        _frame.acknowledge()
    if cycle_due := st.session_state.pop("cycle_due", ""):
        publish(cycle_due)
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
        with st.container(border=True, gap="xsmall", height=STORY_HEIGHT, key="story_panel"):
            story()
_explain.show(tenant, to_explain)
