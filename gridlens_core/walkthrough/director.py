"""Plays the walkthrough's acts at a pace one can watch, while the presenter may do anything else at any time.
Every number comes from the database; the director only triggers, ends, publishes and resets, as a click would."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from threading import Condition, Thread
from time import monotonic

from gridlens_core import words
from gridlens_core.demo.demo import Demo
from gridlens_core.errors import (
    DatabaseNotReadyError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    GridLensError,
    StartingError,
)
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.explanation.rehearsal import Rehearsal
from gridlens_core.meters.events import Event, kind_of
from gridlens_core.walkthrough.story import Act, Step, Story, Trigger

# These pass: the act waits for them instead of going on without its event or its reads.
PASSING = (DatabaseUnavailableError, DatabaseNotReadyError, DatabaseRefusedError, StartingError)
WAS_RESET = "The demo was reset, so the story is back at its beginning."
READS_STAY = "On an existing database nothing is taken back: events were ended, what was published stays."

STAGE = "Setting the stage"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scene:
    """How the story stands, for a page to draw. It is another one whenever anything in it has changed.

    act : number of the act on stage, from 0; None before the first
    share : how much of the act is done, 0 to 1
    problem : why it paused by itself
    notes : where the story met something unexpected in this act, and what it did about it
    expected : the rehearsed path of the latest event
    began_at : grid time at which the story began
    heads_for : the act the story will be at once all that was asked for is done; -1 before the first
    """

    act: int | None = None
    share: float = 0.0
    doing: str = ""
    playing: bool = False
    paused: bool = False
    autopilot: bool = False
    problem: str = ""
    notes: tuple[str, ...] = ()
    expected: Rehearsal | None = None
    began_at: datetime | None = None
    heads_for: int = -1

    @property
    def done(self) -> int:
        """How many acts are over."""
        return 0 if self.act is None else self.act + (self.share >= 1)


NOTHING_PLAYED = Scene()


@dataclass(frozen=True)
class _Job:
    """What the thread is to do: go back to before the first act of `fast`, play those at once, then `watched`."""

    rewind: bool
    fast: range
    watched: int | None


class _Cut(Exception):  # noqa: N818 - not an error: the presenter wants something else
    """The act under way is given up."""


class _OutsideReset(Exception):  # noqa: N818
    """Somebody reset the demo in the middle of the story."""


class Director:
    """One tenant's story: acts, where it stands, and the thread that plays it. Safe to share between threads."""

    def __init__(self, demo: Demo, tenant_id: str, story: Story) -> None:
        self.demo = demo
        self.tenant_id = demo.session.check_tenant(tenant_id)
        self.story = story
        self._scene = NOTHING_PLAYED
        self._changed = Condition()
        self._job: _Job | None = None
        self._target = -1
        self._busy = False
        self._cut = self._hurry = self._stopped = False
        self._resets = demo.resets[tenant_id]
        self._read_at: datetime | None = None  # of the last interval published by the story
        self._thread: Thread | None = None

    # --- the presenter ---------------------------------------------------------------------------------

    def scene(self) -> Scene:
        """How the story stands."""
        with self._changed:
            if not self._busy:
                self._notice_reset()
            elif self._scene.paused and self._was_reset():
                self._changed.notify_all()  # the act that is held finds out by itself
            return replace(self._scene, heads_for=self._target)

    def next(self, seen: int | None = None) -> None:
        """Plays the next act; one under way is brought to its end at once.

        seen : where whoever asks saw the story head for; where it heads elsewhere by now, nothing happens
        """
        with self._changed:
            if seen in (None, self._heads_for()):
                self._go(self._heads_for() + 1)

    def jump(self, act: int) -> None:
        """Plays an act, with all that belongs before it."""
        with self._changed:
            if act > self._heads_for():
                self._go(act)
            else:
                self._ask(_Job(True, range(max(0, act)), max(0, act)), cut=True)

    def replay(self) -> None:
        """Plays the act on stage again, from the state before it."""
        with self._changed:
            self.jump(max(0, self._heads_for()))

    def back(self, seen: int | None = None) -> None:
        """Returns to the end of the act before this one; `seen` as for `next`."""
        with self._changed:
            if seen not in (None, self._heads_for()):
                return
            self._ask(_Job(True, range(max(0, self._heads_for())), None), cut=True)

    def pause(self) -> None:
        """Holds the act at the next step."""
        with self._changed:
            if self._busy or self._job is not None or self._scene.autopilot:
                self._say(paused=True)

    def resume(self) -> None:
        """Goes on; a step that failed is tried again."""
        with self._changed:
            self._say(paused=False, problem="")

    def autopilot(self, on: bool) -> None:
        """Plays act after act by itself, or stops doing so after this one."""
        with self._changed:
            self._say(autopilot=on, paused=False, problem="")
            if on and not self._busy and self._job is None:
                self._go(self._heads_for() + 1)

    def stop(self) -> None:
        """Gives up whatever is under way and ends the thread; the story stays where it is."""
        with self._changed:
            self._stopped = True
            self._say(autopilot=False)
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(timeout=30)
        with self._changed:
            self._stopped = False

    def wait(self, timeout_s: float = 60.0) -> Scene:
        """The scene once nothing is under way, or it is paused; for scripts and tests."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._scene.paused or not (self._busy or self._job or self._goes_on()), timeout_s
            )
            return self.scene()

    def _heads_for(self) -> int:
        """The act the story will be at once all that is asked for is done; -1 before the first."""
        if not self._busy:
            self._notice_reset()
        return self._target

    def _go(self, act: int) -> None:
        """Forward to an act; past the last one, only to its end."""
        if act >= len(self.story.acts):
            self._hurry = True
            self._say(autopilot=False, paused=False, problem="")
        elif self._job is not None:
            self._ask(_Job(self._job.rewind, range(self._job.fast.start, act), act), cut=False)
        else:
            self._ask(_Job(False, range(self._target + 1, act), act), cut=False)

    def _ask(self, job: _Job, *, cut: bool) -> None:
        self._job, self._cut, self._hurry = job, self._cut or (cut and self._busy), True
        self._target = job.fast.stop - 1 if job.watched is None else job.watched
        doing = STAGE if job.rewind or job.fast else self._scene.doing or "Under way"
        self._say(playing=True, paused=False, problem="", doing=doing)
        if self._thread is None or not self._thread.is_alive():
            self._thread = Thread(target=self._run, name=f"director {self.tenant_id}", daemon=True)
            self._thread.start()

    # --- the thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (job := self._next_job()) is not None:
            try:
                self._do(job)
            except _Cut:
                pass
            except _OutsideReset:
                with self._changed:
                    self._start_over(WAS_RESET)
            except Exception:  # the thread outlives it, and whoever looks is told
                log.exception("An act of %s failed.", self.tenant_id)
                with self._changed:
                    self._say(autopilot=False, problem="The act failed; the server's log has the cause.")
            with self._changed:
                self._busy = False
                if self._job is None:
                    self._target = -1 if self._scene.act is None else self._scene.act
                    self._say(playing=False, doing="")

    def _next_job(self) -> _Job | None:
        """Waits for the presenter, or in autopilot until the next act is due; None when told to stop."""
        with self._changed:
            while not self._stopped:
                if self._job is None and self._goes_on():
                    due = monotonic() + self.story.rest_seconds
                    self._changed.wait_for(
                        lambda: self._stopped or self._job is not None or not self._goes_on(), self.story.rest_seconds
                    )
                    if self._job is None and self._goes_on() and monotonic() >= due:
                        self._go(self._heads_for() + 1)
                elif self._job is None:
                    self._changed.wait_for(lambda: self._stopped or self._job is not None or self._goes_on())
                if self._job is not None and not self._stopped:
                    job, self._job = self._job, None
                    self._busy, self._cut, self._hurry = True, False, False
                    return job
            self._job = None
            self._say(playing=False, doing="")
            return None

    def _goes_on(self) -> bool:
        """Whether the autopilot is to play another act."""
        if self._scene.autopilot and self._scene.act == len(self.story.acts) - 1 and not self._busy:
            self._scene = replace(self._scene, autopilot=False)
        return self._scene.autopilot and not self._scene.paused

    def _do(self, job: _Job) -> None:
        self._tell(playing=True)
        if job.rewind:
            self._rewind(job.fast.stop)
        if job.rewind and not self.demo.session.site.may_put_right:
            for trigger in self.story.running_before(job.watched or 0):
                self._attempt(partial(self._trigger, trigger, 0, True))
        else:
            stage = self._sets_the_stage(job)
            for number in job.fast:
                self._play(number, fast=True, rehearse=number == stage)
        if job.watched is not None:
            self._play(job.watched, fast=False, rehearse=True)

    def _sets_the_stage(self, job: _Job) -> int | None:
        """The act played at once whose event is still the one to watch in the end; that one is rehearsed too."""
        shown = [*job.fast, *([] if job.watched is None else [job.watched])]
        return next((number for number in reversed(shown) if any(step.trigger for step in self._steps(number))), None)

    def _steps(self, number: int) -> Sequence[Step]:
        return self.story.acts[number].steps

    def _rewind(self, act: int) -> None:
        """The state before an act: what can be taken back is; `_do` then plays the acts before it again."""
        self._attempt(self._reset)
        local = self.demo.session.site.may_put_right
        stage = None if local or act == 0 else act - 1
        notes = () if local else (READS_STAY,)
        self._tell(act=stage, share=0.0 if stage is None else 1.0, notes=notes, expected=None)

    def _play(self, number: int, *, fast: bool, rehearse: bool) -> None:
        act = self.story.acts[number]
        notes = self._scene.notes if self._scene.notes == (READS_STAY,) else ()
        self._tell(act=number, share=0.0, notes=notes, doing=STAGE if fast else "", problem="")
        units = [
            (position, step) for position, step in enumerate(act.steps) for _ in range(step.publish or 1)
        ]  # a publish of three cycles is three things to watch
        last_cycle_at = monotonic()
        for done, (position, step) in enumerate(units):
            if step.publish is not None and not fast:
                self._rest(last_cycle_at + self.story.pace_seconds)
                last_cycle_at = monotonic()
            self._attempt(partial(self._step, number, position, step, fast, rehearse))
            self._tell(share=(done + 1) / len(units))

    def _attempt(self, step: Callable[[], None]) -> None:
        """One step, tried again after a pause for as long as the database is away; anything else is a note."""
        while True:
            self._boundary()
            try:
                step()
            except PASSING as error:
                self._tell(paused=True, problem=error.message)
            except GridLensError as error:
                self._note(error.message)
                return
            else:
                return

    def _boundary(self) -> None:
        """Between two steps: waits while paused, and leaves when something else is wanted."""
        with self._changed:
            self._changed.wait_for(lambda: not self._scene.paused or self._cut or self._stopped or self._was_reset())
            if self._cut or self._stopped:
                raise _Cut
            if self._was_reset():
                raise _OutsideReset

    def _rest(self, until: float) -> None:
        """Waits for the pace, unless somebody is in a hurry."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._cut or self._hurry or self._stopped or self._scene.paused, max(0.0, until - monotonic())
            )

    # --- steps -----------------------------------------------------------------------------------------

    def _step(self, number: int, position: int, step: Step, fast: bool, rehearse: bool) -> None:
        if step.reset:
            self._say_doing(fast, "Back to the baseline")
            self._reset()
        elif step.trigger is not None:
            self._trigger(step.trigger, self.story.cycles_with(number, position) if rehearse else 0, fast)
        elif step.end is not None:
            self._end(step.end, fast)
        else:
            self._publish(fast)

    def _reset(self) -> None:
        try:
            self.demo.reset(self.tenant_id)
        finally:
            self._resets = self.demo.resets[self.tenant_id]
        now = self.demo.desk.pulse(self.tenant_id).grid_now
        self._read_at = now
        self._tell(began_at=now, expected=None)

    def _trigger(self, wanted: Trigger, cycles: int, fast: bool) -> None:
        demo, fleet = self.demo, self.demo.desk.fleet(self.tenant_id)
        request = wanted.request(fleet)
        feeder, meter = request.feeder_id, request.meter_id
        name = f"{kind_of(wanted.type).name.capitalize()} on {meter or feeder}"
        running = demo.events(self.tenant_id, active=True)
        if any((one.event_type, one.feeder_id, one.meter_id) == (wanted.type, feeder, meter) for one in running):
            self._note(f"{name} was running already, so the act goes on with it.")
            return
        if cycles:
            self._say_doing(fast, f"{name}: rehearsing it")
            self._tell(expected=demo.rehearse(self.tenant_id, request, cycles=cycles))
        demo.trigger(self.tenant_id, request)
        self._say_doing(fast, f"{name} starts with the next interval")

    def _end(self, which: str, fast: bool) -> None:
        running = self.demo.events(self.tenant_id, active=True)
        chosen = [event for event in running if which in ("all", event.event_type)]
        if not chosen and which != "all":
            self._note(f"No {kind_of(which).name} is running any more, so there is nothing to end.")
        for event in chosen:
            self.demo.end(event.id)
        if chosen:
            self._say_doing(fast, f"{_named(chosen)} ended; the next interval is clean")

    def _publish(self, fast: bool) -> None:
        if not fast:
            self._say_doing(fast, self._scene.doing or "The next interval is under way")
        read_at = self.demo.publish(self.tenant_id).cycles[-1].read_at
        if self._read_at is not None and read_at <= self._read_at:
            raise _OutsideReset  # another process took the grid clock back
        self._read_at = read_at
        at = words.clock_time(read_at, self.demo.settings.timezone)
        self._say_doing(fast, f"Published the interval up to {at}")

    # --- telling ---------------------------------------------------------------------------------------

    def _was_reset(self) -> bool:
        return self._resets != self.demo.resets[self.tenant_id]

    def _notice_reset(self) -> None:
        if self._was_reset():
            self._start_over(WAS_RESET)

    def _start_over(self, note: str) -> None:
        self._resets = self.demo.resets[self.tenant_id]
        self._read_at, self._target = None, -1
        self._scene = Scene(notes=(note,) if self._scene.act is not None else ())
        self._changed.notify_all()

    def _say(self, **changes: object) -> None:
        self._scene = replace(self._scene, **changes)  # type: ignore[arg-type]
        self._changed.notify_all()

    def _tell(self, **changes: object) -> None:
        with self._changed:
            self._say(**changes)

    def _say_doing(self, fast: bool, what: str) -> None:
        self._tell(doing=STAGE if fast else what)

    def _note(self, what: str) -> None:
        with self._changed:
            if what not in self._scene.notes:
                self._say(notes=(*self._scene.notes, what))


def _named(events: Sequence[Event]) -> str:
    text = words.and_list([f"{event.name} on {event.where}" for event in events])
    return text[0].upper() + text[1:]


def watched(act: Act, kpis: Kpis) -> str | None:
    """The KPI to watch in an act: the first that the database has."""
    return next((kpi for kpi in act.watch if kpis[kpi] is not None), None)
