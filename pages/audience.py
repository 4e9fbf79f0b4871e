"""The audience's view: large, read-only, and always where the presenter is. Clicks on it only zoom the picture."""

import streamlit as st

from gridlens_core import words
from gridlens_core.display.branding import renamed
from gridlens_core.display.cards import Card
from gridlens_core.display.control_room import ControlRoom
from pages import _data, _frame, _grid, _live, _look

GRID_HEIGHT, STORY_HEIGHT, BELOW, LETTERS = 340, 176, 30, 18
LARGE = "##"  # the theme's paragraph in large type
MOST_LINES = 4  # of events; what else runs is counted

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
        st.markdown(f"{LARGE} {_look.plain(item.label)}", anchors=False)
        st.title(_look.plain(item.value), anchor=False)
        st.markdown(f"{LARGE} :{_look.colour_name(item.cause)}[{_look.plain(item.change)}]", anchors=False)


def story(room: ControlRoom) -> None:
    """What happens, in a room of its own: one event in full, several as a list of lines."""
    if len(room.running) <= 1:
        st.markdown(f"{LARGE} {_look.plain(room.story)}", anchors=False)
        return
    newest_first = room.running[::-1]
    large = "###" if len(newest_first) == 2 else LARGE
    for running in newest_first[:MOST_LINES]:
        kind = running.event.kind
        st.markdown(f"{large} :{kind.colour_name}[{kind.icon}] {_look.plain(running.line)}", anchors=False)
    if more := len(newest_first[MOST_LINES:]):
        st.markdown(f"{large} and {words.plural(more, 'other event')}", anchors=False)


news = _data.news(tenant)
st.session_state["drawn"] = news
follow()
at = _data.moment(tenant)
room = renamed(_data.control_room(at, None, True), brand)
act = None if news.scene.act is None else director.story.acts[news.scene.act]
with st.container(horizontal=True, vertical_alignment="center", gap="small", key="header"):
    st.title("The grid, live" if act is None else _look.plain(act.title), anchor=False, width="stretch")
    st.markdown(f"**{_look.plain(brand.name)}**", width="content")
    _frame.simulated(tenant)
    st.markdown(f"Grid clock **{words.clock_time(at.grid_now, at.timezone)}**", width="content")
if act is not None and news.scene.loops:  # at a booth nobody stands beside it and says so
    st.markdown(f"{LARGE} {_look.plain(brand.in_words(act.say))}", anchors=False)
with st.grid(6, min_column_width=165, gap="xsmall"):
    for item in room.cards:
        card(item)
left, right = st.columns([1, 1.6], gap="xsmall")
with left.container(gap="xsmall", height="stretch"):
    with st.container(border=True, horizontal=True, gap=None, key="story_panel"):
        with st.container(gap="xsmall", width="stretch"):
            story(room)
        # Room for what is usually said, so that a longer sentence moves nothing; one with more still fits.
        with st.container(height=STORY_HEIGHT, width=1, border=False):
            st.space(1)
    with st.container(border=True, gap="xxsmall", height="stretch"):
        where = room.feeder_id or "all feeders"
        st.markdown(f"{LARGE} Supplied and metered energy, {_look.plain(where)}", anchors=False)
        _live.show(
            _live.energy_chart(room, letters=LETTERS),
            "energy_chart",
            f"Supplied and metered energy by interval, {where}",
            "stretch",
        )
with right.container(border=True, gap="xxsmall"):
    _grid.show(room, GRID_HEIGHT, LETTERS, below=BELOW)
