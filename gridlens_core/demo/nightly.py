"""The nightly estimation, begun in the background as soon as a day is whole; the next publish does what is left."""

from __future__ import annotations

import logging
from datetime import datetime
from threading import Thread

from gridlens_core.demo.session import Session
from gridlens_core.errors import GridLensError
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing.seeding import learn_ahead

log = logging.getLogger(__name__)


class Nightly:
    """Makes the estimation for the next day, one at a time."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._thread: Thread | None = None

    def begin(self, fleet: Fleet, read_at: datetime) -> None:
        """Begins the estimation for the day of a read, where the database is one that needs it."""
        if self._session.site.keeps_supply and (self._thread is None or not self._thread.is_alive()):
            self._thread = Thread(target=self._learn, args=(fleet, read_at), name="nightly", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Until what was begun is done."""
        if self._thread is not None:
            self._thread.join()

    def _learn(self, fleet: Fleet, read_at: datetime) -> None:
        try:
            learn_ahead(self._session, fleet, read_at)
        except GridLensError as error:
            log.warning("The nightly estimation is left to the next publish: %s", error.message)
