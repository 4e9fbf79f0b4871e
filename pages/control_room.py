"""The control room: trigger an event, publish, and see what moved, where, and what it costs."""

import streamlit as st

from gridlens_core import words
from gridlens_core.control_room import Card, ControlRoom, RunningEvent
from gridlens_core.events import EVENT_NAMES, EVENT_TYPES
from pages import _charts, _data, _frame, _look

CHART_HEIGHT, GRID_HEIGHT = 190, 246
CARD_HEIGHT = 172
FOLLOW, ALL_FEEDERS = "Follow the event", "All feeders"
DURATIONS = (30, 60, 120, 240)
AUTO_SECONDS = 5
LIVE = ["triggers", "cards", "chart", "grid", "story"]

tenant = _frame.tenant()
feeders = _data.demo().fleet(tenant).feeders


def current_room() -> ControlRoom:
    """The room at the latest pulse, with the chart the presenter chose."""
    chosen = st.session_state.get("chart_feeder") or FOLLOW
    feeder = None if chosen in (FOLLOW, ALL_FEEDERS) else chosen
    return _data.control_room(tenant, _data.pulse(tenant), feeder, chosen == FOLLOW)


def trigger(event_type: str) -> None:
    """Writes the event and publishes the next interval, so that its effect is seen at once."""
    feeder = st.session_state["event_feeder"]

    def start() -> str:
        _data.demo().trigger(
            tenant,
            event_type,
            feeder_id=feeder,
            severity=st.session_state["event_severity"] / 100,
            duration_minutes=st.session_state["event_duration"],
        )
        _data.demo().publish(tenant)
        return f"{EVENT_NAMES[event_type].capitalize()} on {feeder}: its first interval is published."

    _frame.act(start)
    st.rerun(LIVE)


def publish() -> None:
    """Publishes the next interval."""

    def cycle() -> str:
        done = _data.demo().publish(tenant).cycles[-1]
        at = words.clock_time(done.read_at, _data.demo().settings.timezone)
        return f"{words.plural(done.inserted, 'read')} published for {at}."

    _frame.act(cycle)
    st.rerun(LIVE)


def set_auto() -> None:
    """Starts or stops the timer."""
    wanted = bool(st.session_state["auto_publish"])

    def switch() -> str:
        demo = _data.demo()
        if wanted:
            demo.auto.start(demo.database, tenant, AUTO_SECONDS, 15)
            return f"Publishing an interval every {AUTO_SECONDS} seconds."
        demo.auto.stop(tenant)
        return "Publishing on a timer is off."

    _frame.act(switch)
    st.rerun(LIVE)


def end(running: RunningEvent) -> None:
    """Ends an event at the grid clock."""

    def finish() -> str:
        _data.demo().end(running.event.id)
        return f"{running.event.name.capitalize()} on {running.event.where} has ended; the next interval is clean."

    _frame.act(finish)
    st.rerun(LIVE)


def card(item: Card) -> None:
    st.metric(
        item.label,
        item.value,
        item.change,
        delta_color=_look.colour_name(item.cause),
        delta_arrow="auto" if item.moved and item.key != "at_risk" else "off",
        border=True,
        chart_data=list(item.spark) if len(item.spark) > 1 else None,
        chart_type="area",
        help=item.help,
        height=CARD_HEIGHT,
    )


@_frame.live
def cards() -> None:
    with st.grid(6, min_column_width=170, gap="xsmall"):
        for item in current_room().cards:
            card(item)


@_frame.live
def chart() -> None:
    room = current_room()
    where = room.feeder_id or "all feeders"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**Supplied and metered energy, {where}** :gray[the shaded gap is the loss]", width="stretch")
        st.selectbox(
            "Chart", [FOLLOW, ALL_FEEDERS, *feeders], key="chart_feeder", label_visibility="collapsed", width=170
        )
    st.plotly_chart(
        _charts.energy(room, CHART_HEIGHT),
        key="energy_chart",
        config=_charts.CONFIG,
        alt=f"Supplied and metered energy by interval, {where}",
    )


@_frame.live
def grid() -> None:
    room = current_room()
    shown = _charts.shown_feeders(room)
    which = "" if len(shown) == len(room.feeders) else f", {len(shown)} of {len(room.feeders)} feeders"
    st.markdown(f"**The grid{which}** :gray[substation, feeders, meters by their latest interval]")
    st.plotly_chart(
        _charts.grid(room, GRID_HEIGHT),
        key="grid_chart",
        config=_charts.CONFIG,
        alt="Every meter by feeder, coloured and shaped by its state in the latest interval",
    )


@_frame.live
def story() -> None:
    room = current_room()
    st.markdown("**What just happened**")
    st.markdown(room.story.replace("$", "\\$"))
    for running in room.running:
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.badge(
                f"{running.event.name} {running.event.where}",
                icon=_look.EVENT_ICON.get(running.event.event_type),
                color=_look.colour_name(running.event.event_type),
            )
            st.markdown(f":gray[{running.time_left} left]", width="stretch")
            st.button(
                "End now",
                key=f"end_{running.event.id}",
                on_click=end,
                args=(running,),
                disabled=not _frame.unlocked(),
            )


@st.fragment(key="triggers")
def triggers() -> None:
    locked = not _frame.unlocked()
    st.markdown("**Trigger an event**")
    left, right = st.columns(2, gap="xsmall")
    left.selectbox("Feeder", feeders, key="event_feeder", index=min(6, len(feeders) - 1), disabled=locked)
    right.selectbox(
        "Duration",
        DURATIONS,
        key="event_duration",
        index=1,
        format_func=lambda minutes: f"{minutes} min",
        disabled=locked,
    )
    st.slider("Severity", 5, 100, 70, 5, key="event_severity", format="%d %%", disabled=locked)
    for column, event_type in zip(st.columns([1, 1.4, 1.65], gap="xxsmall"), EVENT_TYPES, strict=True):
        column.button(
            EVENT_NAMES[event_type].capitalize(),
            key=f"trigger_{event_type.replace('-', '_')}",
            icon=_look.EVENT_ICON[event_type],
            on_click=trigger,
            args=(event_type,),
            width="stretch",
            disabled=locked,
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Publish cycle",
            key="publish_cycle",
            icon=":material/skip_next:",
            type="primary",
            on_click=publish,
            disabled=locked,
        )
        st.toggle(
            "Auto", key="auto_publish", value=_data.auto_state(tenant).running, on_change=set_auto, disabled=locked
        )
    _frame.acknowledge()


with st.container(gap="xsmall"):
    cards()
    left, right = st.columns([2, 1], gap="xsmall")
    with left.container(gap="xsmall"):
        with st.container(border=True, gap="xxsmall"):
            chart()
        with st.container(border=True, gap="xxsmall"):
            grid()
    with right.container(gap="xsmall"):
        with st.container(border=True, gap="xsmall"):
            triggers()
        with st.container(border=True, gap="xsmall"):
            story()
