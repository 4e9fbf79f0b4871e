"""Cached readers: the one home of what pages ask of the core. Everything comes in as arguments.

A pulse is asked for at most once a second by all browsers together; what hangs on it is read anew only
when the pulse has changed.
"""

from typing import Any

import streamlit as st

from gridlens_core.auto import AutoState
from gridlens_core.control_room import ControlRoom
from gridlens_core.demo import Demo, Pulse, shared_demo
from gridlens_core.events import Event

PULSE_SECONDS = 1
REFRESH_SECONDS = 1.5  # of live fragments: what another browser did shows within two seconds


def demo() -> Demo:
    """The demo this process serves."""
    return shared_demo()


@st.cache_data(ttl=PULSE_SECONDS, max_entries=50, show_spinner=False)
def pulse(tenant_id: str) -> Pulse:
    """Grid clock and versions of what the tenant's pages show."""
    return demo().pulse(tenant_id)


@st.cache_data(ttl=30, max_entries=100, show_spinner=False)
def control_room(tenant_id: str, at: Pulse, feeder_id: str | None, follow: bool) -> ControlRoom:
    """The control room at a pulse."""
    return demo().control_room(tenant_id, feeder_id, follow=follow)


@st.cache_data(ttl=30, max_entries=100, show_spinner=False)
def kpi_rows(tenant_id: str, at: Pulse, view_name: str) -> list[dict[str, Any]]:
    """A KPI view's rows at a pulse under GridLens's names, newest day first; shares in percent."""
    return demo().kpi_rows(tenant_id, view_name)


@st.cache_data(ttl=30, max_entries=100, show_spinner=False)
def events(tenant_id: str, at: Pulse) -> list[Event]:
    """The event log at a pulse, newest first."""
    return demo().events(tenant_id)


@st.cache_data(ttl=PULSE_SECONDS, max_entries=50, show_spinner=False)
def auto_state(tenant_id: str) -> AutoState:
    """Whether the tenant is published on a timer."""
    return demo().auto_state(tenant_id)


def forget_pulse() -> None:
    """After a click of our own: the next look is a fresh one."""
    pulse.clear()
    auto_state.clear()
