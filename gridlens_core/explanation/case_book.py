"""The cases of one tenant, kept in a file beside the data, so that they outlive the event, the page and the process."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from threading import Lock

from pydantic import TypeAdapter

from gridlens_core.explanation.cases import Case, Cases, State, decided, followed, taken_back
from gridlens_core.explanation.moment import Moment
from gridlens_core.files import alone, reason_of, replace_whole

MOST_BYTES = 4_000_000  # a longer file is none of ours

_FILE = TypeAdapter(Cases)

log = logging.getLogger(__name__)


class CaseBook:
    """Safe to share between threads, and by processes that use one data directory. A file that cannot be written costs
    what a restart would remember, nothing else; `problem` then says so."""

    def __init__(self, path: Path) -> None:
        self.problem = ""
        self._path = path
        self._lock = Lock()
        self._known = Cases()
        self._file: tuple[int, int, int] | None = None  # which file was read
        self._last: Moment | None = None  # the newest moment that this process has followed

    def all(self) -> tuple[Case, ...]:
        """The cases, oldest first."""
        with self._lock:
            self._refresh()
            return self._known.all

    def follow(self, at: Moment) -> None:
        """Opens and goes on with cases by what a moment says; one that is older than the last one says nothing."""
        with self._lock:
            last = self._last
            if at is last or (last is not None and at.pulse.taken_at < last.pulse.taken_at):
                return
            self._last = at
            if last is not None and at.grid_now < last.grid_now:  # somebody has reset the demo
                self._change(lambda cases: followed(taken_back(cases, at.grid_now), at))
            else:
                self._change(lambda cases: followed(cases, at))

    def decide(self, number: int, state: State, grid_now: datetime) -> None:
        """Confirms, dismisses, recovers or reopens a case; raises BadInputError."""
        with self._lock:
            self._change(lambda cases: decided(cases, number, state, grid_now))

    def forget(self) -> None:
        """Starts anew, after a reset."""
        with self._lock:
            self._known, self._file, self._last = Cases(), None, None
            try:
                if self._path.exists():
                    with alone(self._path):
                        self._path.unlink(missing_ok=True)
            except (OSError, RuntimeError) as error:
                self.problem = f"The cases of before the reset could not be removed: {reason_of(error)}."

    def _change(self, change: Callable[[Cases], Cases]) -> None:
        self._refresh()
        if change(self._known) == self._known:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with alone(self._path):
                self._refresh()  # another process may have written meanwhile
                changed = change(self._known)
                replace_whole(self._path, _FILE.dump_json(changed))
                self._known, self._file = changed, self._now()
            self.problem = ""
        except (OSError, RuntimeError) as error:  # RuntimeError where the file system knows no locks
            self._known = change(self._known)
            if not self.problem:
                log.warning("The cases cannot be written: %s.", error)
            self.problem = f"Cases are not kept beyond this process: {reason_of(error)}."

    def _refresh(self) -> None:
        """Reads what another process wrote; a file that cannot be read is as good as none."""
        now = self._now()
        if now == self._file:
            return
        self._file = now
        try:
            whole = now is not None and now[1] <= MOST_BYTES
            self._known = _FILE.validate_json(self._path.read_bytes()) if whole else Cases()
        except (OSError, ValueError) as error:
            log.warning("The cases in %s cannot be read: %s.", self._path.name, type(error).__name__)
            self._known = Cases()

    def _now(self) -> tuple[int, int, int] | None:
        """Changes whenever another file stands there."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns
