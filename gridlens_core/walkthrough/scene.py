"""How the story stands: what pages draw, and the lock under which it changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from threading import Condition

from gridlens_core.explanation.rehearsal import Rehearsal

WAS_RESET = "The demo was reset, so the story is back at its beginning."
READS_STAY = "On an existing database nothing is taken back: events were ended, what was published stays."

SETTING_THE_STAGE = "Setting the stage"


@dataclass(frozen=True)
class Scene:
    """How the story stands, for a page to draw. Whenever anything changes, there is a new one.

    act : number of the act on stage, from 0; None before the first
    share : how much of the act is done, 0 to 1
    problem : why it paused by itself
    notes : where the story met something unexpected in this act, and what it did about it
    expected : the rehearsed path of the latest event
    began_at : grid time at which the story began
    loops : whether the autopilot begins again after the last act, at a booth
    plays : how many jobs were asked for; a second click on the same one is told by it
    heads_for : the act the story will be at once all that was asked for is done; -1 before the first
    """

    act: int | None = None
    share: float = 0.0
    doing: str = ""
    playing: bool = False
    paused: bool = False
    autopilot: bool = False
    loops: bool = False
    problem: str = ""
    notes: tuple[str, ...] = ()
    expected: Rehearsal | None = None
    began_at: datetime | None = None
    plays: int = 0
    heads_for: int = -1

    @property
    def done(self) -> int:
        """How many acts are over."""
        return 0 if self.act is None else self.act + (self.share >= 1)


NOTHING_PLAYED = Scene()


class Stage:
    """The scene of one tenant's story. `changed` is its lock, and it wakes the threads that wait for another scene."""

    def __init__(self) -> None:
        self.scene = NOTHING_PLAYED
        self.changed = Condition()

    def tell(self, **changes: object) -> None:
        """Replaces these fields of the scene."""
        with self.changed:
            self.scene = replace(self.scene, **changes)  # type: ignore[arg-type]
            self.changed.notify_all()

    def note(self, what: str) -> None:
        """Adds a note to the act, once."""
        with self.changed:
            if what not in self.scene.notes:
                self.tell(notes=(*self.scene.notes, what))

    def clear(self, note: str) -> None:
        """Back to before the first act; says why if an act was on stage. A loop goes on."""
        with self.changed:
            loops = self.scene.loops
            self.scene = Scene(notes=(note,) if self.scene.act is not None else (), autopilot=loops, loops=loops)
            self.changed.notify_all()
