"""The leave-behind: what was just shown, as a one-page brief and as slides, made when somebody asks for them."""

from zoneinfo import ZoneInfo

import streamlit as st

from gridlens_core.leave_behind.brief import file_stem, just_shown
from pages import _data, _frame, _worth

PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"


@_frame.live
def leave_behind(tenant: str) -> None:
    """Two downloads; before the first event, a sentence about them."""
    pulse = _data.moment(tenant)
    with st.container(border=True, key="leave_behind"):
        st.markdown("**Leave-behind** :gray[what was just shown, with the figures of these pages]")
        if not just_shown(_data.receipts(tenant), pulse.grid_now):
            st.caption("As soon as an event has touched a read there is a brief of it here, one page and slides.")
            return
        numbers = _worth.numbers(pulse)
        stem = file_stem(tenant, pulse.grid_now.astimezone(ZoneInfo(_data.demo().settings.timezone)))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.download_button(
                "One-page brief",
                lambda: _data.brief_html(_data.moment(tenant), numbers),
                f"{stem}.html",
                "text/html",
                key="brief_html",
                icon=":material/description:",
                on_click="ignore",
                help="One HTML page with its pictures inside; print it, or save it as PDF, from any browser.",
            )
            st.download_button(
                "Slides",
                lambda: _data.brief_slides(_data.moment(tenant), numbers),
                f"{stem}.pptx",
                PPTX,
                key="brief_pptx",
                icon=":material/slideshow:",
                on_click="ignore",
                help="Six slides for PowerPoint; their charts and tables can be edited.",
            )
