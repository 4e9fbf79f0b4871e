"""All that pages ask of the core. A run of a page takes one moment, and all it shows is of that moment; while
the database is away it is the last one there was."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from time import monotonic
from typing import Any

import streamlit as st

from gridlens_core.demo.demo import Demo
from gridlens_core.demo.desk import rows_of
from gridlens_core.demo.earlier import days_before, energy_before
from gridlens_core.demo.loads import look_for_loaded
from gridlens_core.display import figures
from gridlens_core.display.control_room import ControlRoom
from gridlens_core.display.control_room import control_room as room_of
from gridlens_core.display.own_numbers import OwnNumbers
from gridlens_core.errors import DatabaseUnavailableError, GridLensError
from gridlens_core.explanation import kpis
from gridlens_core.explanation.cases import Case, State
from gridlens_core.explanation.evidence import MeterEvidence
from gridlens_core.explanation.moment import Moment, Pulse
from gridlens_core.explanation.receipts import Receipt
from gridlens_core.explanation.worth import Numbers
from gridlens_core.leave_behind import brief_html as one_page
from gridlens_core.leave_behind import slides
from gridlens_core.leave_behind.brief import brief_of
from gridlens_core.meters.fleet import Fleet
from gridlens_core.preflight.checks import preflight as core_preflight
from gridlens_core.preflight.findings import Finding
from gridlens_core.publishing.auto import AutoState
from gridlens_core.show import on_stage
from gridlens_core.walkthrough.director import Director
from gridlens_core.walkthrough.scene import NOTHING_PLAYED, Scene
from gridlens_core.walkthrough.story import Story

# A browser looks at the pulse every REFRESH_SECONDS and redraws when it has changed: with both together and the
# drawing, what another browser or the API did shows within two seconds.
PULSE_SECONDS, REFRESH_SECONDS = 0.5, 0.7
# Changes that a pulse does not contain, such as late reads in an existing database, show within this time.
SLOW_REFRESH_SECONDS = 30
TENANTS_SECONDS = 5
PREFLIGHT_SECONDS = 600
MOST_KEPT = 8  # moments whose rooms and files are kept


@dataclass(frozen=True)
class News:
    """What a page is drawn from: it is drawn again when this changes. Without a pulse, `problem` says why.

    stamp : of the moment that is known; it changes too when it becomes known what the KPIs are made of
    """

    tenant_id: str
    pulse: Pulse | None
    stamp: float | None
    auto: AutoState
    problem: str = ""
    scene: Scene = NOTHING_PLAYED


def demo() -> Demo:
    """The demo this process serves."""
    return on_stage().demo


def start_again() -> None:
    """Tries once more to start, without waiting."""
    on_stage().start_in_background()


def save_numbers(own: OwnNumbers) -> None:
    """Keeps the utility's own numbers in walkthrough.toml."""
    on_stage().save_numbers(own)


def director(tenant_id: str) -> Director:
    """The one that plays the tenant's walkthrough."""
    return on_stage().director(tenant_id)


def story() -> Story:
    """The walkthrough, and whose brand it carries."""
    return on_stage().story


@st.cache_data(ttl=PULSE_SECONDS, max_entries=50, show_spinner=False)
def news(tenant_id: str) -> News:
    """How the demo stands. That the database is away is cached too, so that not every browser waits for it."""
    scene, desk = director(tenant_id).scene(), demo().desk
    try:
        pulse, auto = desk.pulse(tenant_id), demo().auto_state(tenant_id)
    except GridLensError as error:
        return News(tenant_id, None, desk.stamp(tenant_id), AutoState(running=False, here=False), error.message, scene)
    try:
        desk.moment(tenant_id, pulse)  # asks for it; what does not come in time comes with a later look
    except GridLensError as error:
        return News(tenant_id, pulse, None, auto, error.message, scene)
    return News(tenant_id, pulse, desk.stamp(tenant_id), auto, scene=scene)


@st.cache_data(ttl=TENANTS_SECONDS, max_entries=1, show_spinner=False)
def _tenants(_demo: Demo) -> tuple[str, ...]:
    try:
        return look_for_loaded(_demo)
    except GridLensError:
        return _demo.session.tenants.names


def tenants() -> tuple[str, ...]:
    """The tenants that may be shown, those that another process loaded among them."""
    return _tenants(demo())


def forget_tenants() -> None:
    """After a load in this process."""
    _tenants.clear()


def forget_pulse() -> None:
    """After a click in this process: the next look asks the database again."""
    news.clear()


def take_moment(tenant_id: str) -> None:
    """A run of a page begins: what it shows is of the newest moment that is known."""
    found = news(tenant_id)
    known = demo().desk.known(tenant_id)
    st.session_state["moment"] = known
    st.session_state["problem"] = found.problem
    if known is not None:
        with demo().after.optional(tenant_id, "What the view named since the last look"):
            demo().cases.follow(known)


def moment(tenant_id: str) -> Moment:
    """The moment of this run of the page; raises DatabaseUnavailableError where there was none yet."""
    found: Moment | None = st.session_state.get("moment")
    if found is None or found.tenant_id != tenant_id:
        take_moment(tenant_id)
        found = st.session_state["moment"]
    if found is None:
        raise DatabaseUnavailableError(str(st.session_state.get("problem") or "There are no figures yet."))
    return found


def age_seconds(at: Moment) -> float:
    """How long ago a moment was taken."""
    return monotonic() - at.pulse.taken_at


def fleet(tenant_id: str) -> Fleet:
    """The tenant's meters."""
    return moment(tenant_id).fleet


@lru_cache(maxsize=4 * MOST_KEPT)
def control_room(at: Moment, feeder_id: str | None, follow: bool) -> ControlRoom:
    """The control room of a moment."""
    return room_of(at, feeder_id, follow=follow)


@lru_cache(maxsize=MOST_KEPT)
def earlier_kwh(at: Moment, feeder_id: str | None, days: int, read_at: tuple[datetime, ...]) -> Sequence[float | None]:
    """What was metered at the same times of an earlier day."""
    rows = energy_before(demo().session, at, days)
    return figures.earlier_kwh(rows, feeder_id, [days_before(moment, days, at.timezone) for moment in read_at])


@lru_cache(maxsize=MOST_KEPT)
def published(at: Moment) -> list[datetime]:
    """The ends of the intervals of the last day of grid time, oldest first."""
    return demo().desk.published(at)


@lru_cache(maxsize=300)
def _past(demo: Demo, tenant_id: str, events: tuple[Any, ...], then: datetime) -> ControlRoom:
    return room_of(demo.desk.at(tenant_id, then), follow=True)


def control_room_at(at: Moment, then: datetime) -> ControlRoom:
    """The control room as it was at a grid time before a moment; the chart follows the events."""
    return _past(demo(), at.tenant_id, at.pulse.events_version, then)


@st.cache_data(ttl=PREFLIGHT_SECONDS, max_entries=20, show_spinner="Looking at the database")
def preflight(tenant_id: str) -> list[Finding]:
    """What the demo needs of the database and what was found; tries an insert only where writing is on.

    What came or went since the start is used, or missed, from then on.
    """
    demo().look_again()
    return core_preflight(demo(), tenant_id, trial=demo().session.api_key is not None)


def why_absent(at: Moment, kpi: str, value: object) -> str | None:
    """Why a figure has no value, for its help; None where it has one."""
    return None if value is not None else kpis.why_absent(at.schema, kpi, at.kpis.failed)


def kpi_rows(at: Moment, view_name: str) -> list[dict[str, Any]]:
    """A KPI view's rows under GridLens's names, newest day first; shares in percent."""
    return rows_of(at, view_name)


def receipts(tenant_id: str) -> Sequence[Receipt]:
    """What each of the latest events did, newest first."""
    return moment(tenant_id).receipts


@lru_cache(maxsize=200)
def meter_evidence(at: Moment, meter_id: str) -> MeterEvidence:
    """Why a meter is named at a moment, or why it is not."""
    return demo().desk.evidence(at, meter_id)


@lru_cache(maxsize=MOST_KEPT)
def brief_html(at: Moment, numbers: Numbers) -> str:
    """What was just shown, and what it is worth with these numbers, as one HTML page."""
    return one_page.brief_html(brief_of(at, story().brand, numbers))


@lru_cache(maxsize=MOST_KEPT)
def brief_slides(at: Moment, numbers: Numbers) -> bytes:
    """The same as a PowerPoint file."""
    return slides.brief_slides(brief_of(at, story().brand, numbers))


def cases(tenant_id: str) -> tuple[Case, ...]:
    """Suspected thefts, oldest first."""
    return demo().cases.all(tenant_id)


def decide_case(at: Moment, number: int, wanted: State) -> None:
    """Confirms, dismisses, recovers or reopens a case."""
    demo().cases.decide(at.tenant_id, number, wanted, at.grid_now)


def auto_state(tenant_id: str) -> AutoState:
    """Whether the tenant is published on a timer."""
    return news(tenant_id).auto
