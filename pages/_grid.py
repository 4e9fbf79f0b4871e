"""The picture of the grid on a page: an SVG of the core, which a script of its own fits, zooms and makes clickable."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from gridlens_core import words
from gridlens_core.display import territory_svg
from gridlens_core.display.control_room import ControlRoom

HERE = Path(__file__).parent
DRAWN_FOR = territory_svg.Frame(860, 320)  # until the script knows its place

_picture = st.components.v2.component(
    "gridlens_territory",
    html="""
    <div class="frame">
      <div class="stage"></div>
      <div class="foot"><div class="legend"></div><button type="button" hidden></button></div>
      <div class="tip" hidden></div><p class="said" aria-live="polite"></p>
    </div>
    """,
    css=(HERE / "_territory.css").read_text(encoding="utf-8"),
    js=(HERE / "_territory.js").read_text(encoding="utf-8"),
)


def show(
    room: ControlRoom,
    height: int,
    letters: float,
    on_open: Callable[[str, str], None] | None = None,
    below: int | None = None,
) -> None:
    """Draws the grid.

    height, letters : px; in a narrow window letters are smaller, 12 px at least
    below : what stands under it on the page, px; it is then as high as a larger window has room for
    on_open : called with ("feeder" or "meter", its id) when one is clicked; without it a click only zooms
    """

    def opened() -> None:
        clicked = st.session_state["grid_picture"].opened or {}
        for what, name in clicked.items():
            if on_open is not None:
                on_open(str(what), str(name))

    frame = territory_svg.Frame(DRAWN_FOR.width, DRAWN_FOR.height, letters)
    with st.container(key="grid_chart"):
        _picture(
            key="grid_picture",
            data={
                "svg": territory_svg.svg(room, frame, st.session_state.get("grid_feeder")),
                "focus": territory_svg.focus(room),
                "legend": territory_svg.legend(room),
                "letters": letters,
                "height": height,
                "below": below,
                "said": said(room),
                "opens": on_open is not None,
            },
            height=height if below is None else "content",
            on_opened_change=opened,
        )


def said(room: ControlRoom) -> str:
    """What is read aloud when it changes: what runs, and nothing that changes with every interval."""
    running = [f"{one.label} runs" for one in room.running]
    return f"{words.and_list(running)}." if running else "No event runs."


def title(room: ControlRoom) -> str:
    """What the picture shows, and what of a large fleet it leaves out."""
    size = f"{words.plural(len(room.meters), 'meter')} on {words.plural(len(room.feeders), 'feeder')}"
    if len(room.meters) <= territory_svg.MOST_METERS:
        return size
    return f"{size}; meters are drawn where something happens, or on the feeder you click"
