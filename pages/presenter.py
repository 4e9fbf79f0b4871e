"""The presenter's own screen: what to say now and next, what to point at, and the cues. The audience never sees it."""

import streamlit as st

from gridlens_core import words
from gridlens_core.display.branding import renamed
from gridlens_core.walkthrough.story import Act
from pages import _cues, _data, _frame, _look, _ready, _room

LARGE = "####"  # the theme's heading of the size of large type

tenant = _frame.tenant()
director = _data.director(tenant)
acts, brand = director.story.acts, director.story.brand


def said(act: Act) -> None:
    """What to say in an act, and what to point at."""
    st.markdown(f"{LARGE} {_look.plain(brand.in_words(act.say))}", anchors=False)
    if act.notes:
        st.markdown(f":material/sticky_note_2: {_look.plain(brand.in_words(act.notes))}")


@_frame.live
def now_and_next() -> None:
    scene = _data.news(tenant).scene
    number = -1 if scene.act is None else scene.act
    left, right = st.columns(2, gap="xsmall")
    with left.container(border=True, height="stretch"):
        if scene.act is None:
            st.subheader("Before the first act", anchor=False)
            st.markdown("The story has not begun. N, or the button, begins it.")
        else:
            st.caption(f"Now, act {number + 1} of {len(acts)}")
            st.subheader(_look.plain(acts[number].title), anchor=False)
            said(acts[number])
    with right.container(border=True, height="stretch"):
        if number + 1 == len(acts):
            st.subheader("The end", anchor=False)
            st.markdown("Leave the brief and the slides behind: they are on the walkthrough's page.")
            return
        st.caption("Next")
        st.subheader(_look.plain(acts[number + 1].title), anchor=False)
        said(acts[number + 1])


@_frame.live
def stands() -> None:
    """Where the act and the grid stand."""
    scene = _data.news(tenant).scene
    room = renamed(_data.control_room(_data.moment(tenant), None, True), brand)
    st.progress(scene.share, text="Held" if scene.paused else _look.plain(scene.doing) or "Ready")
    if scene.problem:
        st.warning(_look.plain(scene.problem), icon=":material/cloud_off:")
    _cues.buttons(tenant)
    _frame.acknowledge()
    with st.container(border=True):
        _room.happened(room)
    if st.session_state.pop("walk_asked", False) or st.session_state.pop("cycle_due", ""):
        st.rerun()


@_frame.live
def ready() -> None:
    st.markdown(f"**Before the show** :gray[{words.plural(len(acts), 'act')} in this story]")
    _ready.lines(tenant)


st.subheader("Presenter notes", anchor=False)
now_and_next()
left, right = st.columns([1.6, 1], gap="xsmall")
with left:
    stands()
with right.container(border=True, gap="xsmall"):
    ready()
