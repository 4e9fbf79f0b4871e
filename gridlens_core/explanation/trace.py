"""KPIs as they were seen at each grid time, and what each cycle's movement was made of.
Kept in memory and in a file beside the data, so that a restart in the middle of a demo forgets nothing."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from threading import Lock
from typing import Any

from gridlens_core.explanation.kpis import Kpis

BY_NAME = ("feeder_loss_pct", "named")
KEEP = 400  # observations: four days of 15-minute intervals


@dataclass(frozen=True)
class Observation:
    """The KPIs at a grid time; for a cycle of our own also before it, and after each step of its publishing.

    before : at the grid clock the cycle began at
    clean : had the interval been published without any event; None for a cycle that was not measured
    steps : (event id, KPIs) with that event added to those before it; the last equals `kpis`
    began_at : the grid clock the cycle began at
    """

    grid_now: datetime
    kpis: Kpis
    before: Kpis | None = None
    clean: Kpis | None = None
    steps: tuple[tuple[str, Kpis], ...] = ()
    began_at: datetime | None = None


class Trace:
    """Observations of one tenant, one per grid time, oldest first. Safe to share between threads, and by
    processes that use one data directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._seen: list[Observation] = []
        self._read_up_to = -1  # size of the file as last read

    def observe(self, observation: Observation) -> None:
        """Remembers what was seen; for one grid time the first observation stands, unless a measured one comes."""
        with self._lock:
            self._refresh()
            if not _add(self._seen, observation):
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(_to_json(observation)) + "\n")
            self._read_up_to = self._path.stat().st_size

    def forget(self) -> None:
        """Starts anew, after a reset."""
        with self._lock:
            self._seen = []
            self._path.unlink(missing_ok=True)
            self._read_up_to = -1

    def all(self) -> Sequence[Observation]:
        """Everything seen, oldest first."""
        with self._lock:
            self._refresh()
            return tuple(self._seen)

    def at(self, moment: datetime) -> Kpis | None:
        """The KPIs at `moment`, or the last ones seen before it; None where nothing was seen that early."""
        seen = self.all()
        position = bisect_right([observation.grid_now for observation in seen], moment)
        return seen[position - 1].kpis if position else None

    def latest(self, most: int) -> Sequence[Observation]:
        """The last observations, oldest first."""
        return self.all()[-most:]

    def _refresh(self) -> None:
        """Reads what another process added; a line that cannot be read holds nothing but a view's past."""
        try:
            size = self._path.stat().st_size
        except OSError:
            size = -1
        if size == self._read_up_to:
            return
        self._seen = []
        if size > 0:
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    _add(self._seen, _from_json(json.loads(line)))
                except (ValueError, KeyError, TypeError, ArithmeticError):
                    continue
        self._read_up_to = size


def _add(seen: list[Observation], observation: Observation) -> bool:
    """Puts an observation in its place, in order of grid time; False where a better one is there."""
    position = bisect_right([one.grid_now for one in seen], observation.grid_now)
    there = seen[position - 1] if position and seen[position - 1].grid_now == observation.grid_now else None
    if there is None:
        seen.insert(position, observation)
    elif there.clean is None and observation.clean is not None:
        seen[position - 1] = observation
    else:
        return False
    del seen[:-KEEP]
    return True


def _to_json(observation: Observation) -> dict[str, Any]:
    return {
        "grid_now": observation.grid_now.isoformat(),
        "kpis": _kpis_to_json(observation.kpis),
        "before": observation.before and _kpis_to_json(observation.before),
        "clean": observation.clean and _kpis_to_json(observation.clean),
        "steps": [[event_id, _kpis_to_json(kpis)] for event_id, kpis in observation.steps],
        "began_at": observation.began_at and observation.began_at.isoformat(),
    }


def _from_json(saved: Mapping[str, Any]) -> Observation:
    return Observation(
        datetime.fromisoformat(saved["grid_now"]),
        _kpis_from_json(saved["kpis"]),
        saved["before"] and _kpis_from_json(saved["before"]),
        saved["clean"] and _kpis_from_json(saved["clean"]),
        tuple((event_id, _kpis_from_json(kpis)) for event_id, kpis in saved["steps"]),
        saved["began_at"] and datetime.fromisoformat(saved["began_at"]),
    )


def _kpis_to_json(kpis: Kpis) -> dict[str, Any]:
    plain = {name: None if value is None else str(value) for name, value in vars(kpis).items() if name not in BY_NAME}
    losses = {feeder: str(loss) for feeder, loss in kpis.feeder_loss_pct.items()}
    return {**plain, "feeder_loss_pct": losses, "named": dict(kpis.named)}


def _kpis_from_json(saved: Mapping[str, Any]) -> Kpis:
    numbers: dict[str, Any] = {
        kpi.name: None if saved[kpi.name] is None else Decimal(saved[kpi.name])
        for kpi in fields(Kpis)
        if kpi.name not in ("day", *BY_NAME)
    }
    feeders = {feeder: Decimal(loss) for feeder, loss in saved["feeder_loss_pct"].items()}
    return Kpis(date.fromisoformat(saved["day"]), feeder_loss_pct=feeders, named=saved["named"], **numbers)
