"""What a page drawn by AppTest says, and its buttons by the keys of the contract."""

from __future__ import annotations

import json
import re
from typing import Any

from streamlit.testing.v1 import AppTest

from gridlens_core.words import UNBROKEN
from pages._look import JOINER

# A story of a utility's own, in three acts.
SHORT_STORY = """
pace_seconds = 0.0
[brand]
name = "Northern Light"
feeders = { FEEDER_7 = "Quay" }
[[acts]]
id = "quiet"
title = "A normal day"
say = "All is quiet."
watch = "loss_pct"
steps = [{ reset = true }, { publish = 1 }]
[[acts]]
id = "theft"
title = "Energy disappears"
say = "Somebody takes energy on FEEDER_7."
watch = "loss_pct"
steps = [{ trigger = { type = "theft", feeder = 7, severity = 0.7, minutes = 240 } }, { publish = 1 }]
[[acts]]
id = "crew"
title = "The crew goes out"
say = "The theft ends."
watch = "loss_pct"
steps = [{ end = "theft" }, { publish = 1 }]
"""

# Signs that Markdown, Streamlit's additions to it, HTML and LaTeX would read.
ODD_NAME = "*a* _b_ $c$ :red[d] [e](http://f.g) <b>h</b> :material/x:"
ODD_TEXT = f"1. {ODD_NAME} ->  www.f.g me@f.g :tada: -- a&amp;b # ~~s~~ `t` |u| ![v](w) $$x$$ \\ :streamlit:"
READ = ("*a*", "_b_", "$c$", ":red[d]", "[e](http", "<b>h", ":material/x:")  # in a text that is not made safe


def odd_story(story: str) -> str:
    """A story whose brand, feeder and acts have odd names."""
    lines = [
        f"name = {quoted(ODD_NAME)}" if line.startswith("name =")
        else f"title = {quoted(ODD_NAME)}" if line.startswith("title =")
        else f"say = {quoted(ODD_TEXT + ' FEEDER_7')}" if line.startswith("say =")
        else f"feeders = {{ FEEDER_7 = {quoted(ODD_NAME)} }}" if line.startswith("feeders =")
        else line
        for line in story.splitlines()
    ]  # fmt: skip
    return "\n".join(lines)


def quoted(text: str) -> str:
    """A text as TOML writes it."""
    return json.dumps(text)


def shown(markdown: object) -> str:
    """A text as a browser shows it: without the signs that keep Markdown from reading it."""
    return re.sub(r"\\([^A-Za-z0-9\s])", r"\1", str(markdown)).replace(JOINER, "").replace(UNBROKEN, " ")


def button(app: AppTest, key: str) -> Any:
    """The button with that key, or the one in the container with that key."""
    found = app.get_by_key(key)
    return found if hasattr(found, "click") else found.button[0]
