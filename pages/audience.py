"""The audience's view: large, read-only, and always where the presenter is. Nothing on it can be clicked."""

import streamlit as st

from gridlens_core import words
from gridlens_core.display.branding import renamed
from gridlens_core.display.cards import Card
from pages import _data, _frame, _live, _look

CHART_HEIGHT = 284

tenant = _frame.tenant()
director = _data.director(tenant)
brand = director.story.brand


@st.fragment(run_every=_data.REFRESH_SECONDS)
def follow() -> None:
    """Draws the page again when the presenter has done anything."""
    news = _data.news(tenant)
    if news != st.session_state.get("drawn"):
        st.rerun()
    if news.pulse is None:
        _frame.away(news)


def card(item: Card) -> None:
    with st.container(border=True, height="stretch", gap=None, key=f"card_{item.key}"):
        st.markdown(f"##### {_look.plain(item.label)}", anchors=False)
        st.title(_look.plain(item.value), anchor=False)
        st.markdown(f"#### :{_look.colour_name(item.cause)}[{_look.plain(item.change)}]", anchors=False)


news = _data.news(tenant)
st.session_state["drawn"] = news
follow()
with st.container(horizontal=True, vertical_alignment="center"):
    st.markdown(f"**{_look.plain(brand.name)}**", width="content")
    _frame.simulated(tenant)
    at = _data.moment(tenant)
    st.markdown(f"Grid clock **{words.clock_time(at.grid_now, at.timezone)}**", width="content")
room = renamed(_data.control_room(at, None, True), brand)
act = None if news.scene.act is None else director.story.acts[news.scene.act]
st.title("The grid, live" if act is None else _look.plain(act.title), anchor=False)
st.markdown(f"### {_look.plain(room.story)}", anchors=False)
with st.grid(3, min_column_width=165, gap="xsmall"):
    for item in room.cards:
        card(item)
with st.container(border=True, gap="xxsmall"):
    where = room.feeder_id or "all feeders"
    st.markdown(f"#### Supplied and metered energy, {_look.plain(where)}", anchors=False)
    _live.show(
        _live.energy_chart(room), "energy_chart", f"Supplied and metered energy by interval, {where}", CHART_HEIGHT
    )
