"""What every page shares: waiting for the start, the header, and the calm face of an absent database."""

import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import streamlit as st

from gridlens_core import words
from gridlens_core.errors import GridLensError
from pages import _data

LOOPBACK = ("localhost", "127.0.0.1", "::1")
PROXY_HEADERS = ("X-Forwarded-For", "Forwarded", "X-Real-Ip")

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def started() -> bool:
    """Whether the demo can be shown; until then draws how far the start has come."""
    demo = _data.demo()
    if demo.ready:
        return True
    _wait()
    return False


@st.fragment(run_every=0.5)
def _wait() -> None:
    demo = _data.demo()
    if demo.ready:
        st.rerun()
    st.title("GridLens")
    error = demo.start_error
    if error is None:
        st.progress(demo.progress.share, text=demo.progress.doing)
        st.caption("The first start seeds a history of reads; the next ones take a few seconds.")
        return
    message = error.message if isinstance(error, GridLensError) else type(error).__name__
    st.error(message, title="The demo could not start", icon=":material/cloud_off:")
    st.button("Try again", key="start_again", on_click=demo.start_in_background)


def tenant() -> str:
    """The tenant the presenter has chosen."""
    return str(st.session_state.get("tenant") or _data.demo().settings.tenants[0])


def header() -> None:
    """Tenant, grid clock, database and reset, the same on every page."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="header"):
        st.markdown("**GridLens**", width="content")
        st.selectbox("Tenant", _data.demo().settings.tenants, key="tenant", label_visibility="collapsed", width=190)
        _status()
        st.button(
            "Reset",
            key="reset_demo",
            icon=":material/restart_alt:",
            on_click=_reset,
            disabled=not unlocked(),
            help="Ends every event; on the local database also restores the baseline.",
        )
    unlock()


@st.fragment(run_every=_data.REFRESH_SECONDS)
def _status() -> None:
    """Grid clock and the state of the database, live."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", width="stretch"):
        try:
            pulse = _data.pulse(tenant())
        except GridLensError as error:
            st.badge(error.message, icon=":material/cloud_off:", color="gray")
            return
        demo = _data.demo()
        st.markdown(
            f"Grid clock **{words.clock_time(pulse.grid_now, demo.settings.timezone)}**"
            f" :gray[{words.ahead(pulse.grid_now, demo.clock())}]",
            width="content",
        )
        kind = "Local database" if demo.settings.is_local else "Existing database"
        st.badge(f"{kind}, live", icon=":material/database:", color="gray")
        st.badge(f"Simulated events on {tenant()}", icon=":material/science:", color="gray")


@contextmanager
def calm() -> Iterator[None]:
    """Shows a GridLens error as a banner where the content would be; the next refresh tries again."""
    try:
        yield
    except GridLensError as error:
        st.info(error.message, title="Nothing to show just now", icon=":material/cloud_off:")


def live(draw: Callable[Parameters, Result]) -> Callable[Parameters, Result | None]:
    """A fragment that redraws itself and survives an absent database."""

    @wraps(draw)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result | None:
        with calm():
            return draw(*args, **kwargs)
        return None

    return st.fragment(guarded, run_every=_data.REFRESH_SECONDS, key=draw.__name__)


def is_local_viewer() -> bool:
    """Whether this browser sits at the machine itself: the server listens there only, and no proxy is between."""
    return st.get_option("server.address") in LOOPBACK and not any(name in st.context.headers for name in PROXY_HEADERS)


def unlocked() -> bool:
    """Whether this browser may use the presenter's controls."""
    key = _data.demo().api_key
    if key is None:
        return False
    return is_local_viewer() or bool(st.session_state.get("unlocked"))


def unlock() -> None:
    """Asks for the key where it is needed; says why where no key would help."""
    if _data.demo().api_key is None:
        st.caption(
            ":material/lock: Controls are off: this server works on an existing database without GRIDLENS_API_KEY."
        )
    elif not unlocked():
        st.text_input(
            "Presenter key",
            type="password",
            key="presenter_key",
            on_change=_try_key,
            placeholder="GRIDLENS_API_KEY unlocks the presenter's controls",
            width=420,
        )
        if st.session_state.get("key_refused"):
            st.caption(":material/lock: That is not the key this server was started with.")


def _try_key() -> None:
    given = str(st.session_state.pop("presenter_key", "") or "")
    right = hmac.compare_digest(given.encode(), str(_data.demo().api_key or "").encode())
    st.session_state["unlocked"] = right
    st.session_state["key_refused"] = not right


def act(what: Callable[[], str]) -> None:
    """Does what a click asks for; `acknowledge` then says what was done, or why it was not."""
    if not unlocked():
        return
    try:
        st.session_state["done"] = f":green[:material/check_circle:] {what()}"
    except GridLensError as error:
        st.session_state["done"] = f":material/error: {error.message}"
    _data.forget_pulse()


def acknowledge() -> None:
    """What the last click did."""
    st.caption(st.session_state.get("done", "A click starts the event and publishes its first interval."))


def _reset() -> None:
    def reset() -> str:
        ended = _data.demo().reset(tenant())
        return f"Back to the baseline; {words.plural(ended, 'event')} ended."

    act(reset)
