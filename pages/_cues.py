"""What a presenter does most, from any page: next, back, publish, theft. A hotkey and a button do the same; a second
press of what was done meanwhile does nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from pages import _data, _frame, _triggers

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Cue:
    """One cue; `act` gets the tenant and what the presenter saw when he pressed: an act, or a grid time."""

    words: str
    icon: str
    seen: Callable[[_data.News], str]
    act: Callable[[str, str], None]


def _heads_for(news: _data.News) -> str:
    return str(news.scene.heads_for)


def _grid_now(news: _data.News) -> str:
    return "" if news.pulse is None else news.pulse.grid_now.isoformat()


def tell(what: Callable[[], None], said: str) -> None:
    """Tells the director; the act then plays by itself."""

    def told() -> str:
        what()
        st.session_state["walk_asked"] = True
        return said

    _frame.act(told)


def _next(tenant: str, seen: str) -> None:
    tell(lambda: _data.director(tenant).next(int(seen)), "The next act is under way.")


def _back(tenant: str, seen: str) -> None:
    tell(lambda: _data.director(tenant).back(int(seen)), "Back to the act before.")


def _publish(tenant: str, seen: str) -> None:
    if _data.demo().desk.pulse(tenant).grid_now.isoformat() == seen:
        _triggers.publish(tenant)


def _theft(tenant: str, seen: str) -> None:
    _triggers.trigger(tenant, "theft")
    _triggers.publish_if_due(tenant)


CUES: Mapping[str, Cue] = {
    "n": Cue("Next act", ":material/skip_next:", _heads_for, _next),
    "b": Cue("Back", ":material/undo:", _heads_for, _back),
    "p": Cue("Publish cycle", ":material/more_time:", _grid_now, _publish),
    "t": Cue("Theft, as the panel is set", ":material/electric_bolt:", _grid_now, _theft),
}

_keys = st.components.v2.component(
    "gridlens_hotkeys",
    html="""
    <button type="button" class="ask" aria-label="Hotkeys" title="Hotkeys">?</button>
    <dialog aria-label="Hotkeys"><h2>Hotkeys</h2><dl></dl><form method="dialog"><button>Close</button></form></dialog>
    """,
    css=(HERE / "_cues.css").read_text(encoding="utf-8"),
    js=(HERE / "_cues.js").read_text(encoding="utf-8"),
)


def hotkeys() -> None:
    """Listens to the presenter's keys; for nobody else, and not while the database is away."""
    if _frame.controls_off():
        return
    tenant = _frame.tenant()
    news = _data.news(tenant)

    def pressed() -> None:
        told = st.session_state["hotkeys"].pressed or {}
        cue = CUES.get(str(told.get("key")))
        if cue is not None and not _frame.controls_off():
            cue.act(tenant, str(told.get("seen")))

    _keys(
        key="hotkeys",
        data={"keys": [[key, cue.words, cue.seen(news)] for key, cue in CUES.items()]},
        width="content",
        on_pressed_change=pressed,
    )


def buttons(tenant: str) -> None:
    """The same cues to click."""
    news = _data.news(tenant)
    with st.grid(4, min_column_width=140, gap="xsmall"):
        for key, cue in CUES.items():
            seen = cue.seen(news)
            _frame.button(
                f"{cue.words} :gray[{key.upper()}]",
                key=f"cue_{key}",
                does=seen,
                on_click=cue.act,
                args=(tenant, seen),
                icon=cue.icon,
                width="stretch",
                disabled=_frame.controls_off(),
            )
