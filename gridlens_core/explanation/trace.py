"""KPIs as they were seen at each grid time, and what they were made of with and without the events.
Kept in memory and in a file beside the data, so that a restart in the middle of a demo forgets nothing. The file is
of a bounded size, and processes that share a data directory share it."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock

from pydantic import TypeAdapter

from gridlens_core.explanation.kpis import Kpis
from gridlens_core.explanation.why import Measured
from gridlens_core.files import alone, reason_of, replace_whole

KEEP = 400  # observations: four days of 15-minute intervals
MOST_BYTES = 4_000_000  # a longer file is written anew with the newest half of that

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Observation:
    """The KPIs at a grid time; `measured` where what they are made of was measured then."""

    grid_now: datetime
    kpis: Kpis
    measured: Measured | None = None


_LINES = TypeAdapter(Observation)


class Trace:
    """Observations of one tenant, one per grid time, oldest first. Safe to share between threads, and by
    processes that use one data directory. A file that cannot be written costs the memory of past KPIs, nothing else;
    `problem` then says so."""

    def __init__(self, path: Path) -> None:
        self.problem = ""
        self._path = path
        self._lock = Lock()
        self._seen: list[Observation] = []
        self._file = -1  # which file was read, for another process may have put a new one in its place
        self._read_up_to = 0  # bytes of it

    def observe(self, observation: Observation) -> None:
        """Remembers what was seen; for one grid time the last stands, and a measured one before one that is not."""
        with self._lock:
            self._refresh()
            if not _add(self._seen, observation):
                return
            try:
                self._write(observation)
                self.problem = ""
            except (OSError, RuntimeError) as error:  # RuntimeError where the file system knows no locks
                if not self.problem:
                    log.warning("The trace of KPIs seen cannot be written: %s.", error)
                self.problem = f"KPIs seen are not kept beyond this process: {reason_of(error)}."

    def forget(self, after: datetime | None = None) -> None:
        """Starts anew, after a reset; keeps what was seen up to a grid time `after`, where the demo goes back to it."""
        with self._lock:
            self._refresh()
            kept = [] if after is None else [one for one in self._seen if one.grid_now <= after]
            self._begin_anew()
            try:
                if self._path.exists():
                    with alone(self._path):
                        self._path.unlink(missing_ok=True)
                        if kept:
                            replace_whole(self._path, _newest(kept))
            except (OSError, RuntimeError) as error:
                self.problem = f"The KPIs seen before the reset could not be removed: {reason_of(error)}."

    def all(self) -> Sequence[Observation]:
        """Everything seen, oldest first."""
        with self._lock:
            self._refresh()
            return tuple(self._seen)

    def at(self, moment: datetime) -> Observation | None:
        """What was seen at just this grid time."""
        return next((one for one in reversed(self.all()) if one.grid_now == moment), None)

    def _write(self, observation: Observation) -> None:
        """Appends a line, or writes the file anew where it grows too long; nobody else writes meanwhile."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with alone(self._path):
            self._refresh()
            _add(self._seen, observation)
            line = _line(observation)
            if self._read_up_to + len(line) > MOST_BYTES:
                replace_whole(self._path, _newest(self._seen))
            else:
                with self._path.open("ab") as file:
                    file.write(line)
            found = self._path.stat()
            self._file, self._read_up_to = found.st_ino, found.st_size

    def _refresh(self) -> None:
        """Reads what another process added since the last look; a line that cannot be read is passed over."""
        try:
            found = self._path.stat()
            if (found.st_ino, found.st_size) == (self._file, self._read_up_to):
                return
            if found.st_ino != self._file or found.st_size < self._read_up_to:
                self._begin_anew()
            with self._path.open("rb") as file:
                file.seek(self._read_up_to)
                added = file.read()
        except OSError:
            if self._read_up_to:
                self._begin_anew()  # another process has reset the demo
            return
        whole = added.rfind(b"\n") + 1  # the last line may still be under way
        for observation in _read(added[:whole].splitlines()):
            _add(self._seen, observation)
        self._file, self._read_up_to = found.st_ino, self._read_up_to + whole

    def _begin_anew(self) -> None:
        self._seen, self._file, self._read_up_to = [], -1, 0


def _line(observation: Observation) -> bytes:
    """With an end before it too: a disk that was full may have cut short the line before."""
    return b"\n" + _LINES.dump_json(observation) + b"\n"


def _newest(seen: Sequence[Observation]) -> bytes:
    """The lines of the newest observations, in order, that fill half of what a file may have; one at the least."""
    lines: list[bytes] = []
    for one in reversed(seen):
        line = _line(one)
        if lines and sum(map(len, lines)) + len(line) > MOST_BYTES // 2:
            break
        lines.append(line)
    return b"".join(reversed(lines))


def _read(lines: Iterable[bytes]) -> Iterable[Observation]:
    for line in lines:
        try:
            yield _LINES.validate_json(line)
        except ValueError:
            continue


def _add(seen: list[Observation], observation: Observation) -> bool:
    """Puts an observation in its place, in order of grid time; False where nothing is new in it."""
    position = bisect_right([one.grid_now for one in seen], observation.grid_now)
    there = seen[position - 1] if position and seen[position - 1].grid_now == observation.grid_now else None
    if there is None:
        seen.insert(position, observation)
    elif there == observation or (there.measured is not None and observation.measured is None):
        return False
    else:
        seen[position - 1] = observation
    del seen[:-KEEP]
    return True
