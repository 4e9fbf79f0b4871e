"""What a presenter asks of the story: next, back, replay, pause, autopilot. The player's thread then does it.
Every number comes from the database; the story only triggers, ends, publishes and resets, as a click would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gridlens_core.demo.demo import Demo
from gridlens_core.walkthrough.kiosk import Kiosk
from gridlens_core.walkthrough.player import Job, Player
from gridlens_core.walkthrough.scene import Scene, Stage
from gridlens_core.walkthrough.steps import Steps
from gridlens_core.walkthrough.story import Story


class Director:
    """One tenant's story and where it stands. Safe to share between threads."""

    def __init__(self, demo: Demo, tenant_id: str, story: Story) -> None:
        self.demo = demo
        self.tenant_id = demo.session.check_tenant(tenant_id)
        self.story = story
        self._stage = Stage()
        self._changed = self._stage.changed
        self._kiosk = Kiosk(demo.settings.data_dir)
        self._player = Player(Steps(demo, self.tenant_id, story, self._stage))

    def scene(self) -> Scene:
        """How the story stands."""
        with self._changed:
            self._player.notice_reset()
            return replace(self._stage.scene, heads_for=self._player.target)

    def next(self, seen: int | None = None) -> None:
        """Plays the next act; one under way is brought to its end at once.

        seen : the act the story headed for when the caller looked; if it heads for another one by now, nothing happens
        """
        with self._changed:
            if seen in (None, self._heads_for()):
                self._player.go(self._heads_for() + 1)

    def jump(self, act: int) -> None:
        """Plays an act, with all that belongs before it."""
        with self._changed:
            if act > self._heads_for():
                self._player.go(act)
            else:
                self._player.ask(Job(True, range(max(0, act)), max(0, act)), cut=True)

    def replay(self, plays: int | None = None) -> None:
        """Plays the act on stage again, from the state before it.

        plays : of the scene the caller saw; if anything else was asked for since, nothing happens
        """
        with self._changed:
            if plays in (None, self._stage.scene.plays):
                self.jump(max(0, self._heads_for()))

    def back(self, seen: int | None = None) -> None:
        """Returns to the end of the act before this one; `seen` as for `next`."""
        with self._changed:
            if seen in (None, self._heads_for()):
                self._player.ask(Job(True, range(max(0, self._heads_for())), None), cut=True)

    def pause(self) -> None:
        """Holds the act at the next step."""
        with self._changed:
            if self._player.wanted or self._stage.scene.autopilot:
                self._stage.tell(paused=True)

    def resume(self) -> None:
        """Goes on; a step that failed is tried again."""
        self._stage.tell(paused=False, problem="")

    def autopilot(self, on: bool) -> None:
        """Plays act after act by itself, or stops doing so after this one; a loop stops with it."""
        if not on and self._stage.scene.loops:
            self._kiosk.switch(self.tenant_id, False, is_local=True)
        with self._changed:
            self._stage.tell(autopilot=on, loops=on and self._stage.scene.loops, paused=False, problem="")
            if on and not self._player.wanted:
                self._player.go(self._heads_for() + 1)

    def loop(self, on: bool) -> None:
        """Plays act after act without end, also after a restart, or stops doing so; for a booth."""
        self._kiosk.switch(self.tenant_id, on, is_local=self.demo.settings.is_local)
        with self._changed:
            self._stage.tell(loops=on, autopilot=on, paused=False, problem="")
            if on and not self._player.wanted:
                self._player.play_on()

    def stop(self) -> None:
        """Gives up whatever is under way and ends the thread; the story stays where it is."""
        self._player.stop()

    def wait(self, timeout_s: float = 60.0) -> Scene:
        """The scene once nothing is under way, or it is paused; for scripts and tests."""
        return self.wait_until(lambda scene: scene.paused or self._player.at_rest, timeout_s)

    def wait_until(self, so: Callable[[Scene], bool], timeout_s: float = 60.0) -> Scene:
        """The first scene that is so, or the scene when the time is up; for scripts and tests."""
        with self._changed:
            self._changed.wait_for(lambda: so(self._stage.scene), timeout_s)
            return self.scene()

    def _heads_for(self) -> int:
        """The act the story will be at once all that is asked for is done; -1 before the first."""
        self._player.notice_reset()
        return self._player.target
