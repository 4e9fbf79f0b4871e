"""One line of help for each word that somebody from outside the trade may not know, shown where the word stands."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PLAIN_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "bypass": "A wire around the meter: a constant part of the energy is not recorded, day and night.",
        "ground truth": "What the emulator knows, because the event is its own; the KPI views are never told.",
        "interval": "The time one read covers, usually 15 minutes. A publish cycle is one interval of every meter.",
        "natural drift": "What would have changed without any event, because a day goes on.",
        "pt": "pt is percentage points: from 2 % to 3 % is 1 pt.",
        "rehearsed": "Tried out in the database beforehand and undone, so that nothing of it stays.",
        "ring": "Several customers of one feeder who do the same at the same time.",
    }
)
