"""What a page shows in place of an unexpected error. It needs nothing of the demo, so it can always be shown."""

from time import monotonic

import streamlit as st

RETRY_SECONDS = 5  # until a failed page is drawn again
FAILED = "This cannot be shown just now. It is tried again in a few seconds; the server's log has the cause."


def unforeseen() -> None:
    """Shown in place of an unexpected error; the page is drawn again after a while."""
    st.session_state["failed_at"] = monotonic()
    st.info(FAILED, title="Nothing to show just now", icon=":material/hourglass_empty:")
    _try_again()


@st.fragment(run_every=RETRY_SECONDS)
def _try_again() -> None:
    if monotonic() - st.session_state.get("failed_at", 0.0) > RETRY_SECONDS / 2 and "dialog" not in st.session_state:
        st.rerun()
