"""What a page drawn by AppTest says, and its buttons by the keys of the contract."""

from __future__ import annotations

import re
from typing import Any

from streamlit.testing.v1 import AppTest

from pages._look import JOINER


def shown(markdown: object) -> str:
    """A text as a browser shows it: without the signs that keep Markdown from reading it."""
    return re.sub(r"\\([^A-Za-z0-9\s])", r"\1", str(markdown)).replace(JOINER, "")


def button(app: AppTest, key: str) -> Any:
    """The button with that key, or the one in the container with that key."""
    found = app.get_by_key(key)
    return found if hasattr(found, "click") else found.button[0]
