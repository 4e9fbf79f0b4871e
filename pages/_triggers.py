"""The trigger panel: whom an event is aimed at, the three types, the presets, and what a click on them does."""

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from gridlens_core import words
from gridlens_core.display.plain_words import PLAIN_WORDS
from gridlens_core.meters.customers import HOME, meters_on, ring_of
from gridlens_core.meters.events import EVENT_KINDS, Event, EventRequest
from gridlens_core.meters.patterns import PATTERN_WORDS, PATTERNS
from gridlens_core.meters.presets import BY_KEY, PRESETS, at_each, choose
from pages import _data, _frame, _look

DURATIONS = (30, 60, 120, 240)
AUTO_SECONDS = 5
USUAL_FEEDER, USUAL_SEVERITY, USUAL_DURATION = 6, 70, 60  # the seventh feeder; %; minutes
PRESETS_WIDTH = 380  # px
WHOLE = "Whole feeder"
PATTERNS_SAID = "; ".join(
    f"{pattern.replace('-', ' ')}: {said}" for pattern, said in PATTERN_WORDS.items() if pattern != "bypass"
)
TARGETS = {WHOLE: 0, "Ring of 3": 3, "Ring of 8": 8, "One customer": 1}  # how many meters; 0 for all
SIZES = {size: target for target, size in TARGETS.items()}


def feeder_of(tenant: str) -> str:
    """The feeder the panel is aimed at."""
    feeders = _data.fleet(tenant).feeders
    chosen = st.session_state.get("event_feeder")
    return str(chosen) if chosen in feeders else feeders[min(USUAL_FEEDER, len(feeders) - 1)]


def meters_of(tenant: str) -> list[str]:
    """The meters the panel is aimed at: by hand, and the rest chosen blind; none for a whole feeder."""
    size = TARGETS[st.session_state.get("event_target") or WHOLE]
    if not size:
        return []
    feeder = feeder_of(tenant)
    by_hand = st.session_state.get(_meters_key(feeder)) or []
    return ring_of(_data.fleet(tenant), feeder, size, by_hand[:size])


def wanted(tenant: str, event_type: str = "theft") -> tuple[EventRequest, ...]:
    """The events the panel is set to."""
    request = EventRequest(
        "theft",
        feeder_id=feeder_of(tenant),
        severity=st.session_state.get("event_severity", USUAL_SEVERITY) / 100,
        duration_minutes=st.session_state.get("event_duration", USUAL_DURATION),
        pattern=st.session_state.get("event_pattern", PATTERNS[0]),
    )
    return at_each(request.of_type(event_type), meters_of(tenant))


def trigger(tenant: str, event_type: str) -> None:
    """Writes what the panel is set to; the next interval is published as soon as the click is acknowledged."""
    _start(tenant, wanted(tenant, event_type))


def play(tenant: str, key: str) -> None:
    """Fills the panel with a preset, and starts it."""
    preset = BY_KEY[key]
    chosen = choose(preset, _data.fleet(tenant), feeder_of(tenant))
    started = _start(tenant, chosen.requests, f"{preset.title}. {chosen.instead}".strip())
    st.session_state["presets"] = False  # what happens is not to lie under the list
    if started:
        st.session_state["event_feeder"] = chosen.feeder_id
        st.session_state["event_target"] = SIZES[len(chosen.meter_ids)]
        st.session_state[_meters_key(chosen.feeder_id)] = list(chosen.meter_ids)
        st.session_state["event_severity"] = round(100 * preset.severity)
        st.session_state["event_duration"] = preset.minutes
        st.session_state["event_pattern"] = PATTERNS[0]


def _start(tenant: str, requests: Sequence[EventRequest], about: str = "") -> bool:
    """Writes events together; those that run already are not written a second time, so a double click is one act."""
    name = _named(tenant, requests)
    said = f"{about} {name}" if about else name

    def start() -> str:
        demo = _data.demo()
        now = demo.desk.pulse(tenant).grid_now  # not of the page, which may not know yet what was just clicked
        since = {_like(one): one.starts_at for one in demo.events(tenant, active=True)}
        alike = [since.get(_like(one)) for one in requests]
        if all(begun is not None and begun < now for begun in alike):
            return f"{name} is running already."
        st.session_state["cycle_due"] = f"{said}: "
        new = [one for one, begun in zip(requests, alike, strict=True) if begun is None]
        if not new:
            return f"{name} is running already; its first interval is under way."
        demo.happenings.write(tenant, new)
        return f"{said} starts with the next interval, which is under way."

    done = _frame.act(start)
    if not done:
        st.session_state.pop("cycle_due", None)
    return done


def _like(one: EventRequest | Event) -> tuple[object, ...]:
    """What two events have in common that are the same to a presenter."""
    severity = one.fraction if isinstance(one, Event) else one.severity
    return one.event_type, one.feeder_id, one.meter_id, words.share(severity), one.pattern


def _named(tenant: str, requests: Sequence[EventRequest]) -> str:
    """Theft on FEEDER_7, Theft, ring of 3 on FEEDER_7, Theft at a workshop on FEEDER_3."""
    first = requests[0]
    name = EVENT_KINDS[first.event_type].name.capitalize()
    feeders = words.and_list(list(dict.fromkeys(str(one.feeder_id) for one in requests)))
    if first.meter_id is None:
        return f"{name} on {feeders}"
    if len(requests) == 1:
        return f"{name} at a {_data.fleet(tenant).customers.get(first.meter_id) or 'customer'} on {feeders}"
    return f"{name}, ring of {len(requests)} on {feeders}"


def publish(tenant: str, why: str = "") -> None:
    """Publishes the next interval."""

    def cycle() -> str:
        done = _data.demo().publish(tenant).cycles[-1]
        at = words.clock_time(done.read_at, _data.demo().settings.timezone)
        return f"{why}{words.plural(done.inserted, 'read')} published for {at}."

    _frame.act(cycle)


def publish_after(tenant: str, grid_now: datetime) -> None:
    """Publishes the interval after a grid time, once: a double click is one interval."""
    if _data.demo().desk.pulse(tenant).grid_now == grid_now:
        publish(tenant)


def set_auto(tenant: str, wanted: bool) -> None:
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


def publish_if_due(tenant: str) -> bool:
    """Publishes the first interval of what a click has just written; whether there was one."""
    due = st.session_state.pop("cycle_due", "")
    if due:
        publish(tenant, due)
    return bool(due)


def head(tenant: str, locked: bool) -> None:
    """The panel's title, with the presets."""
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.markdown("**Trigger an event**", width="stretch")
        presets = st.popover(
            "Presets", icon=":material/auto_awesome:", key="presets", on_change="rerun", disabled=locked
        )
    with presets.container(width=PRESETS_WIDTH, gap="xxsmall"):
        for preset in PRESETS:
            _preset(tenant, preset.key, locked)


def _preset(tenant: str, key: str, locked: bool) -> None:
    """A preset: a click starts it; under it stands what happens, and whom it takes instead of what its name says."""
    preset = BY_KEY[key]
    reason = _data.demo().why_not(preset.event_type)
    st.button(
        preset.title,
        key=f"preset_{key.replace('-', '_')}",
        icon=EVENT_KINDS[preset.event_type].icon,
        on_click=play,
        args=(tenant, key),
        width="stretch",
        disabled=locked or reason is not None,
    )
    instead = choose(preset, _data.fleet(tenant), feeder_of(tenant)).instead
    st.caption(_look.plain(reason or f"{preset.says} {instead}"))


def aim(tenant: str, locked: bool) -> None:
    """Feeder, target and meters; severity, duration and pattern."""
    feeders = _data.fleet(tenant).feeders
    usual = 0 if "event_feeder" in st.session_state else min(USUAL_FEEDER, len(feeders) - 1)
    first, second, third = st.columns([1.25, 1.25, 1], gap="xsmall", vertical_alignment="bottom")
    first.selectbox("Feeder", feeders, key="event_feeder", index=usual, disabled=locked, persist_state="session")
    target = second.selectbox(
        "Target", TARGETS, key="event_target", help=PLAIN_WORDS["ring"], disabled=locked, persist_state="session"
    )
    with third:
        _meters(tenant, TARGETS[target], locked)
    first, second, third = st.columns([1.25, 1.25, 1], gap="xsmall")
    first.slider(
        "Severity",
        5,
        100,
        None if "event_severity" in st.session_state else USUAL_SEVERITY,
        5,
        key="event_severity",
        format="%d %%",
        disabled=locked,
        persist_state="session",
    )
    second.selectbox(
        "Theft pattern",
        PATTERNS,
        key="event_pattern",
        format_func=lambda pattern: pattern.replace("-", " "),
        help=f"{PLAIN_WORDS['bypass']} {PATTERNS_SAID}",
        disabled=locked,
        persist_state="session",
    )
    third.selectbox(
        "Duration",
        DURATIONS,
        key="event_duration",
        index=0 if "event_duration" in st.session_state else DURATIONS.index(USUAL_DURATION),
        format_func=lambda minutes: f"{minutes} min",
        disabled=locked,
        persist_state="session",
    )


def _meters(tenant: str, size: int, locked: bool) -> None:
    """Whom a ring or a single event is about: blind, or by hand."""
    fleet, feeder = _data.fleet(tenant), feeder_of(tenant)
    key = _meters_key(feeder)
    by_hand = (st.session_state.get(key) or [])[:size]
    label = "All meters" if not size else f"{len(by_hand)} by hand" if by_hand else "Blind"
    with st.popover(label, key="event_who", width="stretch", disabled=locked or not size):
        st.multiselect(
            f"Meters of {_look.plain(feeder)}, at most {size}",
            meters_on(fleet, feeder),
            key=key,
            max_selections=max(size, len(st.session_state.get(key) or []), 1),
            format_func=lambda meter: _customer(fleet.customers.get(meter), meter),
            placeholder="chosen blind",
            disabled=locked,
            persist_state="session",
        )
        st.caption("Those you leave open are chosen blind, always the same ones.")


def _customer(kind: str | None, meter_id: str) -> str:
    return meter_id if kind in (None, HOME) else f"{meter_id}, {kind}"


def _meters_key(feeder_id: str) -> str:
    return f"event_meters_{feeder_id}"


def types(tenant: str, locked: bool) -> None:
    """A button for each type of event."""
    columns = st.columns([1, 1.4, 1.65], gap="xxsmall")
    for column, kind in zip(columns, EVENT_KINDS.values(), strict=True):
        column.button(
            kind.name.capitalize(),
            key=f"trigger_{kind.event_type.replace('-', '_')}",
            icon=kind.icon,
            on_click=trigger,
            args=(tenant, kind.event_type),
            width="stretch",
            disabled=locked or _data.demo().why_not(kind.event_type) is not None,
            help=_look.tip(_data.demo().why_not(kind.event_type)),
        )
