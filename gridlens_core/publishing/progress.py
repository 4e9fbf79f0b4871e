"""How far something long has come, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far the start has come: what is being done, and the share that is done, 0 to 1."""

    doing: str
    share: float


Report = Callable[[Progress], None]


def unreported(progress: Progress) -> None:
    """Tells nobody."""
