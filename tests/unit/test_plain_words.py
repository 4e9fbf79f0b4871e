"""The help of trade words: a line each, used on a page."""

from __future__ import annotations

from pathlib import Path

import pytest

import gridlens_core
from gridlens_core.display.plain_words import PLAIN_WORDS

ROOT = Path(gridlens_core.__file__).parent.parent
FILES = [*(ROOT / "pages").glob("*.py"), *(ROOT / "gridlens_core" / "display").glob("*.py")]


@pytest.mark.parametrize("word", PLAIN_WORDS)
def test_each_word_has_one_line_and_stands_somewhere(word: str) -> None:
    text = PLAIN_WORDS[word]
    assert len(text) <= 110
    assert text.endswith(".")
    uses = (f'PLAIN_WORDS["{word}"]', f"PLAIN_WORDS['{word}']")
    assert any(use in path.read_text(encoding="utf-8") for path in FILES for use in uses)
