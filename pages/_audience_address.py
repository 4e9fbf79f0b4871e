"""Where the audience's view is found: its address, whether phones can reach it, and a QR code drawn on the spot."""

import socket
from io import BytesIO
from urllib.parse import urlencode, urlsplit, urlunsplit

import segno
import streamlit as st

from gridlens_core.demo.viewer import LOOPBACK_NAMES
from pages import _frame

FAR_AWAY = ("192.0.2.1", 9)  # reserved for documentation (RFC 5737); nothing is sent; only the route is looked up


def address(tenant_id: str) -> str:
    """The audience's view as the presenter's browser, or preferably the whole network, reaches it."""
    here = urlsplit(st.context.url or "http://localhost:8501/walkthrough")
    port = f":{here.port}" if here.port else ""
    host = here.hostname or "localhost"
    if host in LOOPBACK_NAMES and not only_this_machine():
        host = own_address()
    host = f"[{host}]" if ":" in host else host
    path = f"{here.path.rsplit('/', 1)[0]}/{_frame.AUDIENCE}"
    return urlunsplit((here.scheme, host + port, path, urlencode({"tenant": tenant_id}), ""))


def only_this_machine() -> bool:
    """Whether only browsers on this machine can reach the server."""
    here = urlsplit(st.context.url or "").hostname or "localhost"
    return st.get_option("server.address") in LOOPBACK_NAMES and here in LOOPBACK_NAMES


def own_address() -> str:
    """This machine's address in the network it is in; localhost without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        try:
            way.connect(FAR_AWAY)
        except OSError:
            return "localhost"
        return str(way.getsockname()[0])


def show(tenant_id: str) -> None:
    """The QR code, or the reason why there is none."""
    link = address(tenant_id)
    st.markdown("**For the audience** :gray[read-only; it follows this page]")
    st.markdown(f"<{link}>")
    if only_this_machine():
        st.info(
            "This server listens on this machine only, so phones cannot reach it. For a second screen of this machine "
            "open the address above. For phones start it with `streamlit run app.py --server.address 0.0.0.0`; "
            "the presenter then unlocks the controls with the presenter key.",
            icon=":material/wifi_off:",
        )
        return
    picture = BytesIO()
    segno.make(link, error="m").save(picture, kind="png", scale=5, border=3)
    st.image(picture.getvalue(), width=190, alt=f"QR code of {link}")
