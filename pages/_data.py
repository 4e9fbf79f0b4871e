"""Cached readers: the one home of what pages ask of the core. Everything comes in as arguments.

All browsers together ask for a pulse about as often as one does; what hangs on it is read anew only when it has
changed.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from threading import Lock
from time import monotonic
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import streamlit as st

from gridlens_core.demo.demo import Demo, Pulse
from gridlens_core.display.control_room import ControlRoom
from gridlens_core.errors import DatabaseUnavailableError, GridLensError
from gridlens_core.explanation import kpis
from gridlens_core.explanation.evidence import MeterEvidence
from gridlens_core.explanation.receipts import Receipt
from gridlens_core.leave_behind import brief_html as one_page
from gridlens_core.leave_behind import slides
from gridlens_core.leave_behind.brief import Brief, make_brief
from gridlens_core.meters.events import Event
from gridlens_core.meters.fleet import Fleet
from gridlens_core.preflight.checks import preflight as core_preflight
from gridlens_core.preflight.findings import Finding
from gridlens_core.publishing.auto import AutoState
from gridlens_core.show import on_stage
from gridlens_core.walkthrough.director import NOTHING_PLAYED, Director, Scene
from gridlens_core.walkthrough.story import Story

# A browser looks at the pulse every REFRESH_SECONDS and redraws when it has changed: with both together and the
# drawing, what another browser or the API did shows within two seconds.
PULSE_SECONDS, REFRESH_SECONDS = 0.7, 0.8
# What a pulse cannot tell, such as late reads in an existing database, shows within this time.
SLOW_REFRESH_SECONDS = 30
PREFLIGHT_SECONDS = 600
MOST_KEPT = 300  # answers that can be shown again while the database is away

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class News:
    """What a page is drawn from: it is drawn again when this changes. Without a pulse, `problem` says why."""

    tenant_id: str
    pulse: Pulse | None
    auto: AutoState
    problem: str = ""
    scene: Scene = NOTHING_PLAYED


@dataclass(frozen=True)
class LastSeen:
    """The latest pulse there was, and when [s of the monotonic clock] it was still the newest."""

    pulse: Pulse
    at: float

    @property
    def age_seconds(self) -> float:
        """How long ago that was."""
        return monotonic() - self.at


class _Memory:
    """What was last seen of one demo, to be shown while its database is away."""

    def __init__(self) -> None:
        self.last: dict[str, LastSeen] = {}  # by tenant
        self._answers: OrderedDict[object, Any] = OrderedDict()
        self._lock = Lock()

    def keep(self, call: object, answer: object) -> None:
        with self._lock:
            self._answers[call] = answer
            self._answers.move_to_end(call)
            while len(self._answers) > MOST_KEPT:
                self._answers.popitem(last=False)

    def answer(self, call: object) -> Any:
        """The answer to a call, or KeyError."""
        with self._lock:
            return self._answers[call]


_memories: WeakKeyDictionary[Demo, _Memory] = WeakKeyDictionary()


def _memory() -> _Memory:
    return _memories.setdefault(demo(), _Memory())


def kept(read: Callable[Parameters, Answer]) -> Callable[Parameters, Answer]:
    """A reader whose answer to the same arguments, pulse and all, can be had again while the database is away."""

    @wraps(read)
    def answer(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
        call = (read.__name__, args, tuple(kwargs.items()))
        try:
            found = read(*args, **kwargs)
        except DatabaseUnavailableError as error:
            try:
                found = _memory().answer(call)
            except KeyError:
                raise error from None
        else:
            _memory().keep(call, found)
        return found

    return answer


def demo() -> Demo:
    """The demo this process serves."""
    return on_stage().demo


def director(tenant_id: str) -> Director:
    """The one that plays the tenant's walkthrough."""
    return on_stage().director(tenant_id)


def story() -> Story:
    """The walkthrough, and whose brand it carries."""
    return on_stage().story


@st.cache_data(ttl=PULSE_SECONDS, max_entries=50, show_spinner=False)
def news(tenant_id: str) -> News:
    """How things stand; that the database is away is remembered too, so that not every browser waits for it."""
    scene = director(tenant_id).scene()
    try:
        found = News(tenant_id, demo().pulse(tenant_id), demo().auto_state(tenant_id), scene=scene)
        assert found.pulse is not None
        _memory().last[tenant_id] = LastSeen(found.pulse, monotonic())
        return found
    except GridLensError as error:
        return News(tenant_id, None, AutoState(running=False, here=False), error.message, scene)


def pulse(tenant_id: str) -> Pulse:
    """Grid clock and versions of what the tenant's pages show; while the database is away, the last ones shown."""
    found = news(tenant_id)
    if found.pulse is not None:
        return found.pulse
    last = last_seen(tenant_id)
    if last is None:
        raise DatabaseUnavailableError(found.problem)
    return last.pulse


def last_seen(tenant_id: str) -> LastSeen | None:
    """What this page was last drawn from, if it was; else the latest pulse there was for anybody."""
    shown: dict[object, LastSeen] = st.session_state.get("shown", {})
    return shown.get((st.session_state.get("page"), tenant_id)) or _memory().last.get(tenant_id)


def note_shown(tenant_id: str) -> None:
    """This page has been drawn from the pulse of the moment."""
    found = news(tenant_id)
    if found.pulse is not None:
        shown = st.session_state.setdefault("shown", {})
        shown[st.session_state.get("page"), tenant_id] = LastSeen(found.pulse, monotonic())


def note_unchanged(tenant_id: str) -> None:
    """What this page was drawn from is still the newest there is, if it is."""
    last = last_seen(tenant_id)
    if last is not None and last.pulse == news(tenant_id).pulse:
        note_shown(tenant_id)


@kept
def fleet(tenant_id: str) -> Fleet:
    """The tenant's meters."""
    return demo().fleet(tenant_id)


@kept
@st.cache_data(ttl=SLOW_REFRESH_SECONDS, max_entries=100, show_spinner=False)
def control_room(tenant_id: str, at: Pulse, feeder_id: str | None, follow: bool) -> ControlRoom:
    """The control room at a pulse."""
    return demo().control_room(tenant_id, feeder_id, follow=follow)


@kept
@st.cache_data(ttl=SLOW_REFRESH_SECONDS, max_entries=50, show_spinner=False)
def published(tenant_id: str, at: Pulse) -> list[datetime]:
    """The ends of the intervals of the last day of grid time, oldest first."""
    return demo().published(tenant_id)


@kept
@st.cache_data(ttl=SLOW_REFRESH_SECONDS, max_entries=300, show_spinner=False)
def control_room_at(tenant_id: str, at: Pulse, moment: datetime) -> ControlRoom:
    """The control room as it was at a grid time; the chart follows the events."""
    return demo().control_room_at(tenant_id, moment, follow=True)


@st.cache_data(ttl=PREFLIGHT_SECONDS, max_entries=20, show_spinner="Looking at the database")
def preflight(tenant_id: str) -> list[Finding]:
    """What the demo needs of the database and what was found; tries an insert only where writing is on."""
    return core_preflight(demo(), tenant_id, trial=demo().api_key is not None)


def why_absent(kpi: str, value: object) -> str | None:
    """Why a figure has no value, for its help; None where it has one."""
    return None if value is not None else kpis.why_absent(demo().schema, kpi)


@kept
@st.cache_data(ttl=SLOW_REFRESH_SECONDS, max_entries=100, show_spinner=False)
def kpi_rows(tenant_id: str, at: Pulse, view_name: str) -> list[dict[str, Any]]:
    """A KPI view's rows at a pulse under GridLens's names, newest day first; shares in percent."""
    return demo().kpi_rows(tenant_id, view_name)


@kept
@st.cache_data(ttl=SLOW_REFRESH_SECONDS, max_entries=100, show_spinner=False)
def events(tenant_id: str, at: Pulse) -> list[Event]:
    """The event log at a pulse, newest first."""
    return demo().events(tenant_id)


@kept
@st.cache_data(ttl=SLOW_REFRESH_SECONDS, max_entries=100, show_spinner=False)
def receipts(tenant_id: str, at: Pulse) -> list[Receipt]:
    """What each of the latest events did, at a pulse."""
    return demo().receipts(tenant_id)


@kept
@st.cache_data(ttl=SLOW_REFRESH_SECONDS, max_entries=200, show_spinner=False)
def meter_evidence(tenant_id: str, at: Pulse, meter_id: str) -> MeterEvidence:
    """Why a meter is named or not, at a pulse."""
    return demo().meter_evidence(tenant_id, meter_id)


@kept
@st.cache_data(ttl=SLOW_REFRESH_SECONDS, max_entries=20, show_spinner=False)
def brief(tenant_id: str, at: Pulse) -> Brief:
    """What was just shown, at a pulse."""
    return make_brief(demo(), story().brand, tenant_id)


@kept
@st.cache_data(ttl=SLOW_REFRESH_SECONDS, max_entries=20, show_spinner=False)
def brief_html(tenant_id: str, at: Pulse) -> str:
    """The brief as one HTML page."""
    return one_page.brief_html(brief(tenant_id, at))


@kept
@st.cache_data(ttl=SLOW_REFRESH_SECONDS, max_entries=20, show_spinner=False)
def brief_slides(tenant_id: str, at: Pulse) -> bytes:
    """The brief as a PowerPoint file."""
    return slides.brief_slides(brief(tenant_id, at))


def auto_state(tenant_id: str) -> AutoState:
    """Whether the tenant is published on a timer."""
    return news(tenant_id).auto


def forget_pulse() -> None:
    """After a click of our own: the next look is a fresh one."""
    news.clear()
