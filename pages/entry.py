"""The frame of every page: start, navigation, header. The pages themselves are the files beside this one."""

from pathlib import Path

import streamlit as st

from pages import _cues, _data, _frame, _ready, _sheet

brand = _data.story().brand
st.set_page_config(page_title=brand.name, page_icon=str(Path(__file__).with_name("_icon.svg")), layout="wide")

pages = [
    st.Page("control_room.py", title="Control room", icon=":material/monitor_heart:", default=True),
    st.Page("walkthrough.py", title="Walkthrough", icon=":material/theater_comedy:"),
    st.Page("time_lapse.py", title="Time-lapse", icon=":material/fast_forward:"),
    st.Page("losses.py", title="Losses", icon=":material/electric_bolt:"),
    st.Page("suspicious_meters.py", title="Suspicious meters", icon=":material/search_insights:"),
    st.Page("field_operations.py", title="Field operations", icon=":material/engineering:"),
    st.Page("cases.py", title="Cases", icon=":material/folder_open:"),
    st.Page("worth.py", title="Worth", icon=":material/savings:"),
    st.Page("events.py", title="Events", icon=":material/event_note:"),
    st.Page("data_source.py", title="Data source", icon=":material/database:"),
    st.Page("presenter.py", title="Presenter notes", icon=":material/speaker_notes:", visibility="hidden"),
    st.Page("audience.py", title="Audience", icon=":material/tv:", url_path=_frame.AUDIENCE, visibility="hidden"),
]
page = st.navigation(pages, position="hidden" if _frame.is_audience() else "top")
if page.url_path == _frame.AUDIENCE:
    _frame.join_audience()
    st.navigation(pages, position="hidden")
if brand.logo is not None:
    st.logo(str(brand.logo), size="large")
if _frame.is_audience() and page.url_path != _frame.AUDIENCE:
    st.info("This browser tab shows the audience's view; open another one for the rest.", icon=":material/tv:")
elif _frame.started():
    _frame.begin(page.url_path)
    _sheet.lay()
    with _frame.calm():
        if not _frame.is_audience():
            _frame.header(_ready.light, _cues.hotkeys)
        page.run()
