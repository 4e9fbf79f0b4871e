"""The thread that plays acts at a pace one can watch. Between two steps it can be cut, hurried, held or stopped."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from threading import Thread
from time import monotonic

from gridlens_core.walkthrough.pace import Cut, Pace
from gridlens_core.walkthrough.scene import READS_STAY, SETTING_THE_STAGE, WAS_RESET
from gridlens_core.walkthrough.steps import OutsideReset, Steps
from gridlens_core.walkthrough.story import Story

FAILED = "The act failed; the server's log has the cause."

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What the thread is to do: go back to before the first act of `fast`, play those at once, then `watched`."""

    rewind: bool
    fast: range
    watched: int | None


class Player:
    """Plays one job after another in a thread of its own. All methods may be called from any thread.

    target : the act the story will be at once the job is done; -1 before the first
    """

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.stage, self.story = steps.stage, steps.story
        self.target = -1
        self._changed = steps.stage.changed
        self._job: Job | None = None
        self._busy = False
        self.pace = Pace(steps)
        self._thread: Thread | None = None

    # --- what is asked for -----------------------------------------------------------------------------

    @property
    def wanted(self) -> bool:
        """Whether a job is under way or waits."""
        return self._busy or self._job is not None

    @property
    def at_rest(self) -> bool:
        """Whether nothing is under way and nothing will follow by itself."""
        return not (self.wanted or self._goes_on())

    def notice_reset(self) -> None:
        """Starts over if somebody reset the demo; an act that is held finds out by itself."""
        with self._changed:
            if not self.steps.was_reset():
                return
            if not self._busy:
                self._start_over()
            elif self.stage.scene.paused:
                self._changed.notify_all()

    def go(self, act: int) -> None:
        """Forward to an act; past the last one, only to its end."""
        with self._changed:
            if act >= len(self.story.acts):
                self.pace.hurry = True
                self.stage.tell(autopilot=False, paused=False, problem="")
            elif self._job is not None:
                self.ask(Job(self._job.rewind, range(self._job.fast.start, act), act), cut=False)
            else:
                self.ask(Job(False, range(self.target + 1, act), act), cut=False)

    def play_on(self) -> None:
        """The next act; in a loop after the last one the first again."""
        if self.stage.scene.loops and self.target == len(self.story.acts) - 1:
            self.ask(Job(True, range(0), 0), cut=False)
        else:
            self.go(self.target + 1)

    def ask(self, job: Job, *, cut: bool) -> None:
        """Sets the next job. The act under way is given up with `cut`, else brought to its end at once."""
        with self._changed:
            self._job, self.pace.cut, self.pace.hurry = job, self.pace.cut or (cut and self._busy), True
            self.target = job.fast.stop - 1 if job.watched is None else job.watched
            doing = SETTING_THE_STAGE if job.rewind or job.fast else self.stage.scene.doing or "Under way"
            plays = self.stage.scene.plays + 1
            self.stage.tell(playing=True, paused=False, problem="", doing=doing, plays=plays)
            if self._thread is None or not self._thread.is_alive():
                self._thread = Thread(target=self._run, name=f"player {self.steps.tenant_id}", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Gives up whatever is under way and ends the thread; the story stays where it is."""
        with self._changed:
            self.pace.stopped = True
            self.stage.tell(autopilot=False)
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(timeout=30)
        with self._changed:
            self.pace.stopped = False

    # --- the thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (job := self._next_job()) is not None:
            try:
                self._do(job)
            except Cut:
                pass
            except OutsideReset:
                self._start_over()
            except Exception:  # the thread goes on, and the scene says so
                log.exception("An act of %s failed.", self.steps.tenant_id)
                self.stage.tell(autopilot=self.stage.scene.loops, problem=FAILED)
            with self._changed:
                self._busy = False
                if self._job is None:
                    act = self.stage.scene.act
                    self.target = -1 if act is None else act
                    self.stage.tell(playing=False, doing="")

    def _next_job(self) -> Job | None:
        """Waits for the presenter, or in autopilot until the next act is due; None when told to stop."""
        with self._changed:
            while not self.pace.stopped:
                if self._job is None and self._goes_on():
                    due = monotonic() + self.story.rest_seconds
                    self._changed.wait_for(
                        lambda: self.pace.stopped or self._job is not None or not self._goes_on(),
                        self.story.rest_seconds,
                    )
                    if self._job is None and self._goes_on() and monotonic() >= due:
                        self.notice_reset()
                        self.play_on()
                elif self._job is None:
                    self._changed.wait_for(lambda: self.pace.stopped or self._job is not None or self._goes_on())
                if self._job is not None and not self.pace.stopped:
                    job, self._job = self._job, None
                    self._busy, self.pace.cut, self.pace.hurry = True, False, False
                    return job
            self._job = None
            self.stage.tell(playing=False, doing="")
            return None

    def _goes_on(self) -> bool:
        """Whether the autopilot is to play another act; it takes itself off after the last one."""
        scene = self.stage.scene
        if scene.autopilot and not scene.loops and scene.act == len(self.story.acts) - 1 and not self._busy:
            self.stage.tell(autopilot=False)
        return self.stage.scene.autopilot and not self.stage.scene.paused

    def _start_over(self) -> None:
        with self._changed:
            self.steps.start_over()
            self.target = -1
            self.stage.clear(WAS_RESET)

    # --- a job -----------------------------------------------------------------------------------------

    def _do(self, job: Job) -> None:
        self.stage.tell(playing=True)
        fast = job.fast
        if job.rewind:
            fast = range(self._rewind(job.fast.stop), job.fast.stop)
        if job.rewind and not self.steps.demo.session.site.may_put_right:
            for trigger in self.story.running_before(job.watched or 0):
                self.pace.attempt(partial(self.steps.trigger, trigger, 0, fast=True))
        else:
            rehearsed = _event_to_watch(self.story, job)
            for number in fast:
                self._play(number, fast=True, rehearse=number == rehearsed)
        if job.watched is not None:
            self._play(job.watched, fast=False, rehearse=True)

    def _rewind(self, act: int) -> int:
        """The state before an act, as far as what was published can be taken back. Returns the act from which on `_do`
        plays those before it again: none where the end of the act before is remembered."""
        end = self.pace.attempt(partial(self.steps.back_to, act - 1)) if act else None
        if end is not None:
            return end + 1
        self.pace.attempt(self.steps.reset)
        self.steps.take_stage_back(act)
        return 0

    def _play(self, number: int, *, fast: bool, rehearse: bool) -> None:
        notes = self.stage.scene.notes if self.stage.scene.notes == (READS_STAY,) else ()
        self.stage.tell(act=number, share=0.0, notes=notes, doing=SETTING_THE_STAGE if fast else "", problem="")
        units = [
            (position, step) for position, step in enumerate(self.story.acts[number].steps)
            for _ in range(step.publish or 1)
        ]  # a publish of three cycles is three things to watch  # fmt: skip
        last_cycle_at = monotonic()
        for done, (position, step) in enumerate(units, start=1):
            if step.publish is not None and not fast:
                self.pace.rest(last_cycle_at + self.story.pace_seconds)
                last_cycle_at = monotonic()
            self.pace.attempt(partial(self.steps.do, number, position, fast=fast, rehearse=rehearse))
            self.stage.tell(share=done / len(units))
        self.pace.attempt(partial(self.steps.mark, number))


def _event_to_watch(story: Story, job: Job) -> int | None:
    """The last act of the job that triggers an event. It is rehearsed even where it is played at once."""
    played = [*job.fast, *([] if job.watched is None else [job.watched])]
    return next((act for act in reversed(played) if any(step.trigger for step in story.acts[act].steps)), None)
