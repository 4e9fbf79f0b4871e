"""The single steps of an act, done on the database as a click would do them: reset, trigger, end, publish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gridlens_core import words
from gridlens_core.demo.checkpoint import Checkpoint, checkpoint, go_back
from gridlens_core.demo.demo import Demo
from gridlens_core.display.sentences import capital
from gridlens_core.explanation.rehearsal import Rehearsal
from gridlens_core.meters.events import Event, kind_of
from gridlens_core.meters.rings import together
from gridlens_core.walkthrough.scene import READS_STAY, SETTING_THE_STAGE, Stage
from gridlens_core.walkthrough.story import Step, Story, Trigger


@dataclass(frozen=True)
class End:
    """The end of an act: how the database stood, and the rehearsed path that lay beside the real one."""

    there: Checkpoint
    expected: Rehearsal | None


class OutsideReset(Exception):  # noqa: N818 - not an error: the presenter is told
    """Somebody reset the demo in the middle of the story."""


class Steps:
    """Does the steps of one tenant's story and tells the stage about each; notices when somebody else reset the demo.

    In all methods, `fast` means that the step only sets the stage for another act, so its words are not shown.
    """

    def __init__(self, demo: Demo, tenant_id: str, story: Story, stage: Stage) -> None:
        self.demo = demo
        self.tenant_id = tenant_id
        self.story = story
        self.stage = stage
        self._resets = demo.resets[tenant_id]
        self._read_at: datetime | None = None  # of the last interval published by the story
        self._ends: dict[int, End] = {}  # by act

    def was_reset(self) -> bool:
        """Whether somebody else in this process reset the demo."""
        return self._resets != self.demo.resets[self.tenant_id]

    def start_over(self) -> None:
        """Takes the demo as it is now for the beginning."""
        self._resets, self._read_at = self.demo.resets[self.tenant_id], None
        self._ends.clear()

    def do(self, number: int, position: int, *, fast: bool, rehearse: bool) -> None:
        """Does the step at a position of an act; `rehearse` says whether its event is rehearsed first."""
        step: Step = self.story.acts[number].steps[position]
        if step.reset:
            self._say(fast, "Back to the baseline")
            self.reset()
        elif step.trigger is not None:
            self.trigger(step.trigger, self.story.cycles_with(number, position) if rehearse else 0, fast=fast)
        elif step.end is not None:
            self._end(step.end, fast=fast)
        else:
            self._publish(fast=fast)

    def reset(self) -> None:
        """Back to the baseline."""
        try:
            self._ends.clear()
            self.demo.reset(self.tenant_id)
        finally:
            self._resets = self.demo.resets[self.tenant_id]
        now = self.demo.desk.pulse(self.tenant_id).grid_now
        self._read_at = now
        self.stage.tell(began_at=now, expected=None)

    def mark(self, number: int) -> None:
        """Remembers how things stand at the end of an act, so that going back to it takes no reset."""
        found = checkpoint(self.demo, self.tenant_id)
        if found is not None:
            self._ends[number] = End(found, self.stage.scene.expected)

    def back_to(self, number: int) -> int | None:
        """Goes back to the end of an act, or of the last one before it that can be gone back to; None for none."""
        for act in sorted((one for one in self._ends if one <= number), reverse=True):
            end = self._ends[act]
            if go_back(self.demo, self.tenant_id, end.there):
                self._read_at = end.there.grid_now
                self.stage.tell(act=act, share=1.0, notes=(), expected=end.expected)
                return act
            del self._ends[act]
        return None

    def take_stage_back(self, act: int) -> None:
        """After a reset: nothing on stage, or where nothing is taken back, the act before."""
        local = self.demo.session.site.may_put_right
        number = None if local or act == 0 else act - 1
        notes = () if local else (READS_STAY,)
        self.stage.tell(act=number, share=0.0 if number is None else 1.0, notes=notes, expected=None)

    def trigger(self, wanted: Trigger, cycles: int, *, fast: bool) -> None:
        """Starts an event, unless it runs already; rehearses it for `cycles` publish cycles before, if any."""
        request = wanted.request(self.demo.desk.fleet(self.tenant_id))
        feeder, meter = request.feeder_id, request.meter_id
        name = f"{kind_of(wanted.type).name.capitalize()} on {meter or feeder}"
        running = self.demo.events(self.tenant_id, active=True)
        if any((one.event_type, one.feeder_id, one.meter_id) == (wanted.type, feeder, meter) for one in running):
            self.stage.note(f"{name} was running already, so the act goes on with it.")
            return
        if cycles:
            self._say(fast, f"{name}: rehearsing it")
            self.stage.tell(expected=self.demo.rehearse(self.tenant_id, request, cycles=cycles))
        self.demo.trigger(self.tenant_id, request)
        self._say(fast, f"{name} starts with the next interval")

    def _end(self, which: str, *, fast: bool) -> None:
        running = self.demo.events(self.tenant_id, active=True)
        chosen = [event for event in running if which in ("all", event.event_type)]
        if not chosen and which != "all":
            self.stage.note(f"No {kind_of(which).name} is running any more, so there is nothing to end.")
        for event in chosen:
            self.demo.end(event.id)
        if chosen:
            self._say(fast, f"{_named(chosen)} ended; the next interval is clean")

    def _publish(self, *, fast: bool) -> None:
        if not fast:
            self._say(fast, self.stage.scene.doing or "The next interval is under way")
        read_at = self.demo.publish(self.tenant_id).cycles[-1].read_at
        if self._read_at is not None and read_at <= self._read_at:
            raise OutsideReset  # another process took the grid clock back
        self._read_at = read_at
        at = words.clock_time(read_at, self.demo.settings.timezone)
        self._say(fast, f"Published the interval up to {at}")

    def _say(self, fast: bool, what: str) -> None:
        self.stage.tell(doing=SETTING_THE_STAGE if fast else what)


def _named(events: Sequence[Event]) -> str:
    return capital(words.and_list([event.title for event in together(events)]))
