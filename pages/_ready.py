"""The light in the header that says whether the show can begin, and the same in lines."""

import socket
from urllib.parse import urlsplit

import streamlit as st

from gridlens_core.demo.readiness import Check, readiness
from gridlens_core.display import sentences
from pages import _audience_address, _data, _frame, _look

KNOCK_SECONDS, KNOCK_AGAIN_SECONDS = 0.3, 15


@st.cache_data(ttl=KNOCK_AGAIN_SECONDS, max_entries=20, show_spinner=False)
def _answers(host: str, port: int) -> bool:
    """Whether a server answers at an address."""
    try:
        with socket.create_connection((host, port), KNOCK_SECONDS):
            return True
    except OSError:
        return False


def _audience(tenant_id: str) -> Check:
    if _audience_address.only_this_machine():
        return Check("audience on this machine only: no phone can reach it", False)
    link = urlsplit(_audience_address.address(tenant_id))
    host, port = link.hostname or "localhost", link.port or (443 if link.scheme == "https" else 80)
    if not _answers(host, port):
        return Check(f"audience not reachable: nothing answers at {host}, port {port}", False)
    return Check("audience reachable", True)


def checks(tenant_id: str) -> list[Check]:
    """All that is looked at before a show, worst first."""
    news = _data.news(tenant_id)
    if news.pulse is None:
        return [Check(news.problem or "the first figures are under way", False)]
    at, demo = _data.moment(tenant_id), _data.demo()
    found = [*readiness(at, demo.desk.view_seconds(tenant_id)), _audience(tenant_id)]
    found.sort(key=lambda one: one.ok)
    return found


def in_words(found: list[Check]) -> str:
    """Ready: views answer in 60 ms, explanation on, audience reachable, 3 h of day left."""
    begin = "Ready" if all(one.ok for one in found) else "Look at this before the show"
    return f"{begin}: {', '.join(one.said for one in found)}."


def light() -> None:
    """Green, or amber with the first reason; for the presenter alone."""
    if not _frame.unlocked():
        return
    found = checks(_frame.tenant())
    amber = [one for one in found if not one.ok]
    with st.container(key="ready_light", width="content"):
        st.badge(
            f"{len(amber)} to check" if amber else "Ready",
            icon=":material/warning:" if amber else ":material/check_circle:",
            color="yellow" if amber else "green",
            help=_look.tip(in_words(found)),
        )


def lines(tenant_id: str) -> None:
    """Every check in a line of its own."""
    for one in checks(tenant_id):
        icon = ":green[:material/check_circle:]" if one.ok else ":orange[:material/warning:]"
        st.markdown(f"{icon} {_look.plain(sentences.capital(one.said))}")
