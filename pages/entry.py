"""The frame of every page: start, navigation, header. The pages themselves are the files beside this one."""

from pathlib import Path

import streamlit as st

from pages import _frame

st.set_page_config(page_title="GridLens", page_icon=str(Path(__file__).with_name("_icon.svg")), layout="wide")

page = st.navigation(
    [
        st.Page("control_room.py", title="Control room", icon=":material/monitor_heart:", default=True),
        st.Page("losses.py", title="Losses", icon=":material/electric_bolt:"),
        st.Page("suspicious_meters.py", title="Suspicious meters", icon=":material/search_insights:"),
        st.Page("field_operations.py", title="Field operations", icon=":material/engineering:"),
        st.Page("events.py", title="Events", icon=":material/event_note:"),
        st.Page("data_source.py", title="Data source", icon=":material/database:"),
    ],
    position="top",
)
if _frame.started():
    _frame.header()
    with _frame.calm():
        page.run()
