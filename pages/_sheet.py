"""What the looks of the pages need and the theme file cannot say: a stylesheet, and nothing to see."""

from pathlib import Path

import streamlit as st

_style = st.components.v2.component(
    "gridlens_sheet",
    html="<span></span>",
    css=Path(__file__).with_name("_sheet.css").read_text(encoding="utf-8"),
    isolate_styles=False,
)


def lay() -> None:
    """Puts the stylesheet into the page."""
    with st.container(key="sheet"):
        _style(key="sheet_style")
