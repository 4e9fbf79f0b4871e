"""The one place where settings, story, demo and directors are put together, for a process or for a test."""

from __future__ import annotations

from contextlib import suppress
from threading import Lock

from gridlens_core.clock import Clock
from gridlens_core.database.embedded import start_embedded
from gridlens_core.demo.demo import Demo
from gridlens_core.demo.session import StartDatabase
from gridlens_core.display.own_numbers import OwnNumbers
from gridlens_core.errors import GridLensError
from gridlens_core.preflight.checks import preflight
from gridlens_core.settings import Settings, load_settings, with_tariff
from gridlens_core.walkthrough.director import Director
from gridlens_core.walkthrough.kiosk import Kiosk
from gridlens_core.walkthrough.saving import save_numbers
from gridlens_core.walkthrough.story import Story, load_story


class Show:
    """One demo with its story, and one director for each tenant."""

    def __init__(self, demo: Demo, story: Story) -> None:
        self.demo = demo
        self.story = story
        self._directors: dict[str, Director] = {}
        self._lock = Lock()

    def director(self, tenant_id: str) -> Director:
        """The one that plays the tenant's walkthrough; raises TenantNotAllowedError."""
        with self._lock:
            if tenant_id not in self._directors:
                self._directors[tenant_id] = Director(self.demo, tenant_id, self.story)
            return self._directors[tenant_id]

    def start_in_background(self) -> None:
        """Starts without waiting, and looks at an existing database as the preflight does: what it finds binds, also
        where nobody opens its page."""
        self.demo.session.start_in_background(self._look)

    def _look(self) -> None:
        demo = self.demo
        if not demo.session.site.may_put_right:
            for tenant_id in demo.session.tenants.names:
                preflight(demo, tenant_id, trial=demo.session.api_key is not None)

    def save_numbers(self, own: OwnNumbers) -> None:
        """Keeps the utility's own numbers in walkthrough.toml; raises SettingsError. Other processes read it at their
        start."""
        with self._lock:
            save_numbers(self.demo.settings.data_dir, own)
            self.story = self.story.model_copy(update={"worth": own})

    def go_on_with_loops(self) -> None:
        """What played in a loop when the server ended plays on; it waits for the start of the demo by itself."""
        for tenant_id in Kiosk(self.demo.settings.data_dir).tenants():
            with suppress(GridLensError):
                self.director(tenant_id).loop(True)

    def stop(self) -> None:
        """Stops the directors, the timers and the demo."""
        with self._lock:
            directors = list(self._directors.values())
            self._directors.clear()
        for director in directors:
            director.stop()
        self.demo.stop()


def make_show(
    settings: Settings | None = None, clock: Clock | None = None, start_database: StartDatabase = start_embedded
) -> Show:
    """A show with these settings, else with those of the environment; raises SettingsError if they are wrong."""
    settings = settings or load_settings()
    story = load_story(settings.data_dir)
    return Show(Demo(with_tariff(settings, story.brand.tariff_usd_per_kwh), clock, start_database), story)


_on_stage: list[Show] = []


def put_on_stage(show: Show) -> Show:
    """From here on the pages of this process show this one."""
    _on_stage[:] = [show]
    return show


def on_stage() -> Show:
    """What the pages show; `put_on_stage` comes first."""
    if not _on_stage:
        raise RuntimeError("No show is on stage: app.py puts it there.")
    return _on_stage[0]
