"""What happens between two steps of an act: it is held, hurried, given up, or a step that failed is tried again."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from gridlens_core.errors import (
    DatabaseNotReadyError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    GridLensError,
    StartingError,
)
from gridlens_core.walkthrough.steps import OutsideReset, Steps

# These pass: the act waits for them instead of going on without its event or its reads.
PASSING = (DatabaseUnavailableError, DatabaseNotReadyError, DatabaseRefusedError, StartingError)
LOOP_TRIES_AGAIN_S = 3.0  # nobody stands at a booth to say when; any other act waits for the presenter

Result = TypeVar("Result")


class Cut(Exception):  # noqa: N818 - not an error: the presenter wants something else
    """The act under way is given up."""


class Pace:
    """How the steps of one story follow each other. Its flags are set under the lock of the stage.

    cut : the act under way is to be given up
    hurry : it is to be brought to its end at once
    stopped : the thread is to end
    """

    def __init__(self, steps: Steps) -> None:
        self.steps, self.stage = steps, steps.stage
        self.cut = self.hurry = self.stopped = False
        self._changed = steps.stage.changed

    def attempt(self, step: Callable[[], Result]) -> Result | None:
        """One step, tried again after a pause for as long as the database is away; any other failure is a note."""
        while True:
            self._boundary()
            try:
                done = step()
            except PASSING as error:
                self._hold(error.message)
            except GridLensError as error:
                self.stage.note(error.message)
                return None
            else:
                if self.stage.scene.problem:
                    self.stage.tell(problem="")
                return done

    def rest(self, until: float) -> None:
        """Waits for a time, unless somebody is in a hurry."""
        with self._changed:
            self._changed.wait_for(
                lambda: self.cut or self.hurry or self.stopped or self.stage.scene.paused,
                max(0.0, until - monotonic()),
            )

    def _boundary(self) -> None:
        """Between two steps: waits while paused, and leaves when something else is wanted."""
        with self._changed:
            self._changed.wait_for(
                lambda: not self.stage.scene.paused or self.cut or self.stopped or self.steps.was_reset()
            )
            if self.cut or self.stopped:
                raise Cut
            if self.steps.was_reset():
                raise OutsideReset

    def _hold(self, problem: str) -> None:
        """Waits for the presenter; at a booth only for a while."""
        with self._changed:
            self.stage.tell(paused=not self.stage.scene.loops, problem=problem)
            if self.stage.scene.loops:
                self._changed.wait_for(lambda: self.cut or self.stopped, LOOP_TRIES_AGAIN_S)
