"""What every page shares: waiting for the start, the header, and what a page shows while the database is away."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from time import monotonic, sleep
from typing import Any, ParamSpec, TypeVar

import streamlit as st

from gridlens_core import words
from gridlens_core.demo.viewer import is_local
from gridlens_core.errors import GridLensError
from gridlens_core.explanation.moment import Moment
from gridlens_core.preflight.checks import unreachable
from pages import _data, _look
from pages._calm import unforeseen

AUDIENCE = "audience"  # the address of the audience's view
READY_TO_ACT = "A click starts the event and publishes its first interval."

SAID_SECONDS = 6.0  # that the header says what a click on it did

CLICK_FAILED = "That did not work; the server's log has the cause."

log = logging.getLogger(__name__)

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def started() -> bool:
    """Whether the demo can be shown; until then draws how far the start has come."""
    demo = _data.demo()
    if demo.session.ready:
        return True
    _wait()
    return False


@st.fragment(run_every=0.5)
def _wait() -> None:
    demo = _data.demo()
    if demo.session.ready:
        st.rerun()
    st.title("GridLens")
    error = demo.session.start_error
    if error is None:
        st.progress(demo.session.progress.share, text=_look.plain(demo.session.progress.doing))
        st.caption("The first start seeds a history of reads; the next ones take a few seconds.")
        return
    message = error.message if isinstance(error, GridLensError) else type(error).__name__
    st.error(_look.plain(message), title="The demo could not start", icon=":material/cloud_off:")
    remedy = unreachable(error).remedy if isinstance(error, GridLensError) else "The server's log has the cause."
    if remedy:
        st.markdown(f"**Remedy:** {_look.plain(remedy)}")
    st.caption("In a shell, `python -m gridlens_core check` tells more. Once it is put right, this page comes up.")
    st.button("Try again", key="start_again", on_click=_data.start_again)


def tenant() -> str:
    """The tenant the presenter has chosen; the audience's address names it."""
    tenants = _data.tenants()
    chosen = st.query_params.get("tenant", "") if is_audience() else st.session_state.get("tenant")
    return str(chosen) if chosen in tenants else tenants[0]


def begin(page: str) -> None:
    """A page begins to be drawn."""
    st.session_state["page"] = page
    _data.take_moment(tenant())


def header(*beside: Callable[[], None]) -> None:
    """Tenant, grid clock, database, the presenter's lock and reset, the same on every page; `beside` draws more."""
    st.session_state["drawn"] = _data.news(tenant())
    st.session_state.pop("dialog", None)  # a run of the whole page closes a dialog
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="header"):
        st.markdown(f"**{_look.plain(_data.story().brand.name)}**", width="content")
        st.selectbox(
            "Tenant",
            _data.tenants(),
            key="tenant",
            label_visibility="collapsed",
            width=170,
            persist_state="session",
        )
        _status()
        simulated(tenant())
        _said()
        if not unlocked():
            _unlock()
        for draw in beside:
            draw()
        resets = _data.demo().resets[tenant()]
        button(
            "Reset",
            key="reset_demo",
            does=resets,
            on_click=_reset,
            args=(resets,),
            icon=":material/restart_alt:",
            disabled=controls_off(),
        )


def simulated(tenant_id: str) -> None:
    """What every page and every export says."""
    with st.container(horizontal=True, gap="xsmall", width="content", key="simulated"):
        st.badge(_look.plain(f"Simulated events on {tenant_id}"), icon=":material/science:", color="gray")
        loaded = _data.demo().session.tenants.loaded(tenant_id)
        if loaded is not None:
            st.badge(words.MODELLED.capitalize(), icon=":material/calculate:", color="gray", help=loaded.note)


@st.fragment(run_every=_data.REFRESH_SECONDS)
def _status() -> None:
    """Grid clock and the state of the database, live; redraws the page when there is news."""
    news = _data.news(tenant())
    if news != st.session_state.get("drawn") and "dialog" not in st.session_state:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", gap="small", width="stretch", key="header_clock"):
        at = st.session_state.get("moment")
        if news.pulse is None or at is None:
            away(news)
            return
        demo = _data.demo()
        st.markdown(
            f"Grid clock **{words.clock_time(at.grid_now, demo.settings.timezone)}**"
            f" :gray[{_look.plain(words.lead(at.grid_now, demo.session.wall(at.tenant_id)))}]".replace(
                " ", words.UNBROKEN
            ),
            width="content",
            help=_look.tip(f"The grid's own time, {words.ahead(at.grid_now, demo.session.wall(at.tenant_id))}."),
        )
        kind = demo.session.site.title
        if at.pulse == news.pulse:
            st.badge(f"{kind}, live", icon=":material/database:", color="gray")
        else:
            st.badge(f"{kind}, {as_of(at)}; newer figures are under way", icon=":material/hourglass_top:", color="gray")


def away(news: _data.News) -> None:
    """Says that the database is away, and of when the figures on the page are."""
    at: Moment | None = st.session_state.get("moment")
    figures = "" if at is None else f" Figures {as_of(at)}."
    st.info(f"{_look.plain(news.problem or 'The first figures are under way.')}{figures}", icon=":material/cloud_off:")


def as_of(at: Moment) -> str:
    """as of 14:15, 40 s ago"""
    return f"as of {words.clock_time(at.grid_now, at.timezone, beside=at.grid_now)}, {ago(_data.age_seconds(at))}"


def ago(seconds: float) -> str:
    """40 s ago, 3 min ago"""
    return f"{seconds:.0f} s ago" if seconds < 90 else f"{words.span(timedelta(seconds=seconds))} ago"


@contextmanager
def calm() -> Iterator[None]:
    """Says in the place of the content that there is none now; it comes with the next news, or is tried again."""
    try:
        yield
    except GridLensError as error:
        st.info(_look.plain(error.message), title="Nothing to show just now", icon=":material/cloud_off:")
    except Exception:
        log.exception("A part of a page failed.")
        unforeseen()


def absent(at: Moment, view_name: str, nothing_yet: str) -> None:
    """Says in the place of a view's content why there is none: no such view, a view that fails, or no rows yet."""
    schema = at.schema
    if view_name in at.kpis.failed:
        reason = f"The view public.{view_name} fails: {at.kpis.failed[view_name]}."
        st.info(_look.plain(reason), title="Off for now", icon=":material/visibility_off:")
    elif view_name in schema.views:
        st.info(nothing_yet, icon=":material/hourglass_empty:")
    else:
        st.info(_look.plain(schema.why_not(view_name)), title="Off in this database", icon=":material/visibility_off:")


def live(draw: Callable[Parameters, Result]) -> Callable[Parameters, Result | None]:
    """A part of a page that can be redrawn alone and survives an absent database."""

    @wraps(draw)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result | None:
        with calm():
            return draw(*args, **kwargs)
        return None

    return st.fragment(guarded, run_every=_data.SLOW_REFRESH_SECONDS, key=draw.__name__)


def dialog(title: str) -> Callable[[Callable[Parameters, None]], Callable[Parameters, None]]:
    """A large dialog that stays open while the demo goes on; the page behind it is drawn again when it is closed."""

    def decorate(draw: Callable[Parameters, None]) -> Callable[Parameters, None]:
        @wraps(draw)
        def opened(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
            st.session_state["dialog"] = title
            with calm():
                draw(*args, **kwargs)

        return st.dialog(title, width="large", on_dismiss="rerun")(opened)

    return decorate


def is_local_viewer() -> bool:
    """Whether this browser sits at the machine itself: the server listens there only, and nothing is between."""
    protected = st.get_option("server.enableCORS") and st.get_option("server.enableXsrfProtection")
    return is_local(st.context.headers, peer(), st.get_option("server.address"), protected=bool(protected))


def peer() -> str:
    """The address of this browser; Streamlit gives none for the loopback interface."""
    return st.context.ip_address or "127.0.0.1"


def join_audience() -> None:
    """Makes this session read-only from here on."""
    st.session_state["audience"] = True


def is_audience() -> bool:
    """Whether this session has opened the audience's view."""
    return bool(st.session_state.get("audience"))


def unlocked() -> bool:
    """Whether this browser may use the presenter's controls; the audience never may."""
    key = _data.demo().session.api_key
    if key is None or is_audience():
        return False
    return is_local_viewer() or bool(st.session_state.get("unlocked"))


def controls_off() -> bool:
    """Whether the presenter's controls are off in this browser: locked, or the database is away."""
    return not unlocked() or _data.news(tenant()).pulse is None


def button(
    label: str,
    *,
    key: str,
    does: object,
    on_click: Callable[..., None],
    args: tuple[object, ...] = (),
    width: Any = "content",
    **options: Any,
) -> None:
    """A button that does what its label said when it was clicked.

    key : of the container around it, by which it is found
    does : what a click is for, such as "start", or the interval it publishes. It is part of the widget's identity: a
        click on a button that has changed meanwhile still does, or no longer needs to do, what the old one was for.
    """
    with st.container(key=key, width=width):
        st.button(label, key=f"{key}_{does}", on_click=on_click, args=args, width=width, **options)


def _unlock() -> None:
    """Asks for the key where it is needed; says why where no key would help."""
    if _data.demo().session.api_key is None:
        st.badge("Controls are off: GRIDLENS_API_KEY is not set", icon=":material/lock:", color="gray")
        return
    st.text_input(
        "Presenter key",
        type="password",
        key="presenter_key",
        on_change=_try_key,
        label_visibility="collapsed",
        placeholder="Presenter key",
        icon=":material/lock:",
        autocomplete="off",
        width=180,
    )


def _try_key() -> None:
    given = str(st.session_state["presenter_key"] or "")
    st.session_state["presenter_key"] = ""
    demo = _data.demo()
    try:
        wait_s = demo.keys.wait_if_wrong(demo.session.api_key, given.encode(), peer())
    except GridLensError as error:
        _say(_look.plain(error.message), ":material/lock:")
        return
    st.session_state["unlocked"] = wait_s is None
    if wait_s is not None:
        sleep(wait_s)  # holds up nobody but this browser
        _say("That is not the key this server was started with.", ":material/lock:")


def act(what: Callable[[], str]) -> bool:
    """Does what a click asks for; `acknowledge` then says what was done, or why it was not."""
    if not unlocked():
        return False
    try:
        st.session_state["done"] = (tenant(), f":green[:material/check_circle:] {_look.plain(what())}")
    except GridLensError as error:
        st.session_state["done"] = (tenant(), f":material/error: {_look.plain(error.message)}")
        return False
    except Exception:
        log.exception("A click failed.")
        st.session_state["done"] = (tenant(), f":material/error: {CLICK_FAILED}")
        return False
    finally:
        _data.forget_pulse()
    return True


def acknowledge(ready: str = READY_TO_ACT) -> None:
    """What the last click on this tenant did."""
    whose, said = st.session_state.get("done", ("", ""))
    st.caption(said if whose == tenant() else ready)


def _reset(seen: int) -> None:
    """Resets, unless that was done since the button was drawn: a double click is one reset."""
    if _data.demo().resets[tenant()] != seen:
        return

    def reset() -> str:
        ended = words.plural(_data.demo().reset(tenant()), "event")
        return f"Back to the baseline; {ended} ended." if _data.demo().session.site.may_put_right else f"{ended} ended."

    if act(reset):
        _say("Reset is done.", ":material/restart_alt:")


def _say(text: str, icon: str) -> None:
    """Has the header say what a click on it did, beside the button and not over it."""
    st.session_state["header_says"] = (text, icon, monotonic())


def _said() -> None:
    text, icon, at = st.session_state.get("header_says", ("", "", 0.0))
    if text and monotonic() - at < SAID_SECONDS:
        st.badge(text, icon=icon, color="gray")
