"""The walkthrough: the story in acts, played for the presenter, with the rehearsed path beside the real one."""

from functools import partial

import streamlit as st

from gridlens_core import words
from gridlens_core.display.branding import renamed
from gridlens_core.display.control_room import ControlRoom
from gridlens_core.display.plain_words import PLAIN_WORDS
from gridlens_core.explanation.catalogue import ALL
from gridlens_core.explanation.money import Money, money_of
from gridlens_core.explanation.receipts import Receipt
from gridlens_core.walkthrough.scene import Scene
from gridlens_core.walkthrough.story import watched
from pages import _audience_address, _cues, _data, _expected, _frame, _leave_behind, _live, _look, _room, _worth

# Heights in pixels; together they fill a screen of 1440 x 900.
SAY_HEIGHT, CARD_HEIGHT, CHART_HEIGHT, TITLE_HEIGHT = 129, 160, 218, 26
GOING_BACK = {
    True: "Back, Replay and Jump take back what came since.",
    False: "This is an existing database: nothing published is taken back; Back, Replay and Jump only end events.",
}

tenant = _frame.tenant()
director = _data.director(tenant)
acts, brand = director.story.acts, director.story.brand


def scene() -> Scene:
    return _data.news(tenant).scene


def room() -> ControlRoom:
    """The control room at the latest pulse; the chart follows the event."""
    return renamed(_data.control_room(_data.moment(tenant), None, True), brand)


def story_receipts() -> list[Receipt]:
    """What the events since the story's beginning did, newest first."""
    began_at = scene().began_at
    receipts = [] if began_at is None else _data.receipts(tenant)
    return [one for one in receipts if began_at is not None and one.event.starts_at >= began_at]


def money() -> Money:
    """What the story's thefts cost and bring back."""
    pulse = _data.moment(tenant)
    since = scene().began_at or pulse.grid_now
    tariff = _data.demo().settings.tariff_usd_per_kwh
    return money_of(_data.receipts(tenant), since, pulse.grid_now, tariff)


def set_paused(wanted: bool) -> None:
    """Holds the act, or goes on with it."""
    if wanted:
        _cues.tell(director.pause, "Held; the act goes on when you say so.")
    else:
        _cues.tell(director.resume, "Going on.")


def set_autopilot(wanted: bool) -> None:
    """Plays act after act, or stops doing so; does nothing if that is so already."""

    def switch() -> None:
        if director.scene().autopilot != wanted:
            director.autopilot(wanted)

    _cues.tell(switch, "The autopilot plays act after act." if wanted else "The autopilot is off.")


def set_loop(wanted: bool) -> None:
    """Plays the story in a loop, or stops doing so; does nothing if that is so already."""

    def switch() -> None:
        if director.scene().loops != wanted:
            director.loop(wanted)

    _cues.tell(switch, "The story plays in a loop." if wanted else "The loop is off.")


def jump(number: int) -> None:
    """Plays an act; one that is under way already goes on."""

    def go() -> None:
        now = director.scene()
        if not (now.playing and now.heads_for == number):
            director.jump(number)

    _cues.tell(go, f"{acts[number].title}: under way.")


def act_line(number: int, now: Scene) -> str:
    """One act of the list: over, on stage, or to come."""
    title = _look.plain(f"{number + 1}. {acts[number].title}")
    if number < now.done and number != now.act:
        return f":green[:material/check_circle:] {title}"
    if number == now.act:
        return f":blue[:material/play_circle:] **{title}**"
    return f":gray[:material/radio_button_unchecked: {title}]"


@_frame.live
def story_list() -> None:
    now = scene()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**The story**", width="stretch")
        st.page_link("presenter.py", label="Notes", icon=":material/speaker_notes:")
    st.markdown("  \n".join(act_line(number, now) for number in range(len(acts))))
    if now.problem:
        st.warning(f"Paused: {_look.plain(now.problem)}", icon=":material/cloud_off:")
    for note in now.notes:
        st.caption(f":material/info: {_look.plain(note)}")


@_frame.live
def controls() -> None:
    now, locked = scene(), _frame.controls_off()
    last = now.act is not None and now.act == len(acts) - 1
    st.progress(now.share, text="Held" if now.paused else _look.plain(now.doing) or "Ready")
    _frame.button(
        "Next" if now.act is not None else "Begin",
        key="walk_next",
        does=now.heads_for,
        on_click=_cues.tell,
        args=(partial(director.next, now.heads_for), "The next act is under way."),
        icon=":material/skip_next:",
        width="stretch",
        disabled=locked or (last and not now.playing),
    )
    with st.grid(3, min_column_width=70, gap="xxsmall"):
        _frame.button(
            "Back",
            key="walk_back",
            does=now.heads_for,
            on_click=_cues.tell,
            args=(partial(director.back, now.heads_for), "Back to the act before."),
            icon=":material/undo:",
            width="stretch",
            disabled=locked or now.act is None,
        )
        _frame.button(
            "Replay",
            key="walk_replay",
            does=now.plays,
            on_click=_cues.tell,
            args=(partial(director.replay, now.plays), "This act again."),
            icon=":material/replay:",
            width="stretch",
            disabled=locked or now.act is None,
        )
        _frame.button(
            "Resume" if now.paused else "Pause",
            key="walk_pause",
            does="resume" if now.paused else "pause",
            on_click=set_paused,
            args=(not now.paused,),
            icon=":material/play_arrow:" if now.paused else ":material/pause:",
            width="stretch",
            disabled=locked or not (now.playing or now.paused or now.autopilot),
        )
    with st.popover("Jump to an act", icon=":material/toc:", key="walk_jump", width="stretch", disabled=locked):
        for number, act in enumerate(acts):
            st.button(
                _look.plain(f"{number + 1}. {act.title}"),
                key=f"walk_jump_{number}",
                type="tertiary",
                on_click=jump,
                args=(number,),
                disabled=locked,
            )
    with st.container(horizontal=True, vertical_alignment="center"):
        _frame.button(
            "Autopilot: on" if now.autopilot else "Autopilot: off",
            key="walk_autopilot",
            does="stop" if now.autopilot else "start",
            on_click=set_autopilot,
            args=(not now.autopilot,),
            icon=":material/pause:" if now.autopilot else ":material/autoplay:",
            disabled=locked,
        )
        with st.popover("Audience", icon=":material/qr_code_2:", key="walk_audience"):
            _audience_address.show(tenant)
            kiosk(now, locked)
    if st.session_state.pop("walk_asked", False):
        st.rerun()  # the whole page, without waiting for its next look at the clock


def kiosk(now: Scene, locked: bool) -> None:
    """The switch of the loop, for a booth."""
    _frame.button(
        "Kiosk: on" if now.loops else "Kiosk: off",
        key="walk_kiosk",
        does="stop" if now.loops else "start",
        on_click=set_loop,
        args=(not now.loops,),
        icon=":material/all_inclusive:",
        disabled=locked or not _data.demo().settings.is_local,
    )
    st.caption("For a booth: the acts play in a loop, also after a restart, and visitors look at the address above.")


@_frame.live
def say() -> None:
    now = scene()
    if now.act is None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader("The executive walkthrough", anchor=False, width="stretch")
            st.markdown(f":gray[{len(acts)} acts]", width="content")
        st.markdown(
            "#### Events are triggered, intervals published and KPI views read as if you clicked; you may click "
            f"anything yourself at any time. {GOING_BACK[_data.demo().settings.is_local]}",
            anchors=False,
        )
        return
    act = acts[now.act]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(_look.plain(act.title), anchor=False, width="stretch")
        st.markdown(f":gray[Act {now.act + 1} of {len(acts)}]", width="content")
    st.markdown(f"#### {_look.plain(brand.in_words(act.say))}", anchors=False)


@_frame.live
def cards() -> None:
    _room.cards(room(), CARD_HEIGHT)


def on_stage(shows: str) -> bool:
    """Whether the act on stage shows this."""
    act = scene().act
    return act is not None and acts[act].shows == shows


@_frame.live
def energy() -> None:
    """The energy chart, or in an act about it what all this is worth to the utility."""
    if on_stage("worth"):
        with st.container(height=CHART_HEIGHT + TITLE_HEIGHT, gap="xsmall", border=False):
            _worth.panel(_data.moment(tenant))
        return
    _room.energy(room(), CHART_HEIGHT)


@_frame.live
def expected() -> None:
    """The rehearsed path of the latest event beside the real one; in an act about it and at the end, what each event
    did."""
    now = scene()
    if now.done == len(acts) or on_stage("events") or on_stage("worth"):
        st.markdown("**What each event did** :gray[measured, by itself]")
        with st.container(height=CHART_HEIGHT, gap="xsmall", border=False):
            _expected.summary(story_receipts())
        return
    st.markdown("**Expected, and what came** :gray[rehearsed before]", help=PLAIN_WORDS["rehearsed"])
    kpi = None if now.act is None else watched(acts[now.act], room().kpis)
    if now.expected is None or kpi is None:
        st.caption(
            "An act with an event is rehearsed before it is played; its path then lies here beside the real one."
        )
        return
    seen = _data.demo().desk.trace(tenant).all()
    _live.show(
        _expected.path(now.expected, seen, kpi, _data.demo().settings.timezone),
        "expected_chart",
        f"{ALL[kpi].label}: rehearsed with and without the event, and as it came",
        CHART_HEIGHT,
    )


@_frame.live
def happened() -> None:
    _room.happened(room())
    for receipt in story_receipts()[:1]:
        st.markdown(_look.plain(brand.in_words(found_words(receipt))))


def found_words(receipt: Receipt) -> str:
    """How the blind view did on the latest event."""
    score = receipt.score
    if score is None or not score.cycles:
        return ""
    return (
        f"The suspicious-meters view, which cannot see the events, named {words.count(score.found)} of "
        f"{words.plural(score.meters, 'meter')} touched on {receipt.event.where}, and "
        f"{words.count(score.wrongly_named)} others."
    )


@_frame.live
def dollars() -> None:
    now = money()
    st.markdown("**In dollars** :gray[ground truth]", help=PLAIN_WORDS["ground truth"])
    with st.grid(2, min_column_width=110, gap="xsmall"):
        st.metric(
            "Lost to theft",
            _look.plain(words.dollars(now.lost_usd)),
            help="Not recorded since the story began, at the tariff.",
        )
        st.metric(
            "Recovered a year",
            _look.plain(words.dollars(now.recovered_usd_a_year)),
            help="What the ended thefts would have cost in a year at the tariff: ground truth, not a KPI view.",
        )


left, right = st.columns([1, 3.4], gap="xsmall")
with left.container(gap="xsmall"):
    with st.container(border=True, gap="xsmall"):
        story_list()
    with st.container(border=True, gap="xsmall"):
        controls()
    with st.container(border=True, gap="xsmall"):
        dollars()
    if scene().done == len(acts):
        _leave_behind.leave_behind(tenant)
with right.container(gap="xsmall"):
    with st.container(border=True, horizontal=True, gap=None, key="say_panel"):
        with st.container(gap="xxsmall", width="stretch"):
            say()
        # Room for what most acts say, so that a longer sentence does not push the cards; one with more still fits.
        with st.container(height=SAY_HEIGHT, width=1, border=False):
            st.space(1)
    cards()
    chart, path = st.columns([1.6, 1], gap="xsmall")
    with chart.container(border=True, gap="xxsmall"):
        energy()
    with path.container(border=True, gap="xxsmall"):
        expected()
    with st.container(border=True, gap="xxsmall", key="story_panel"):
        happened()
