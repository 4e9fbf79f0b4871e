"""KPIs as they were seen at each grid time: what a card's change is measured from.
Kept in memory and beside the data, so that a restart in the middle of a demo forgets nothing."""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from threading import Lock
from typing import Any

from gridlens_core.kpis import Kpis

KEEP = 400  # observations: four days of 15-minute intervals


class Trace:
    """Observations of one tenant's KPIs, one per grid time, oldest first. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._seen: list[tuple[datetime, Kpis]] = _load(path)

    def observe(self, grid_now: datetime, kpis: Kpis) -> None:
        """Remembers the KPIs at a grid time; the first observation of a time stands."""
        with self._lock:
            if self._seen and grid_now <= self._seen[-1][0]:
                return
            self._seen = [*self._seen[1 - KEEP :], (grid_now, kpis)]
            _save(self._path, self._seen)

    def forget(self) -> None:
        """Starts anew, after a reset."""
        with self._lock:
            self._seen = []
            self._path.unlink(missing_ok=True)

    def at(self, moment: datetime) -> Kpis | None:
        """The KPIs at `moment`, or the last ones seen before it; None where nothing was seen that early."""
        seen = self._seen
        position = bisect_right([time for time, _ in seen], moment)
        return seen[position - 1][1] if position else None

    def latest(self, most: int) -> list[tuple[datetime, Kpis]]:
        """The last observations, oldest first."""
        return self._seen[-most:]


def _load(path: Path) -> list[tuple[datetime, Kpis]]:
    """What was saved; a file that cannot be read is as good as none, for it holds nothing but a view's past."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [(datetime.fromisoformat(row["grid_now"]), _kpis(row["kpis"])) for row in map(json.loads, lines)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _save(path: Path, seen: list[tuple[datetime, Kpis]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(
        "".join(
            json.dumps({"grid_now": time.isoformat(), "kpis": vars(kpis)}, default=_plain) + "\n" for time, kpis in seen
        ),
        encoding="utf-8",
    )
    fresh.replace(path)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _kpis(saved: dict[str, Any]) -> Kpis:
    numbers = {
        kpi.name: None if saved[kpi.name] is None else Decimal(saved[kpi.name])
        for kpi in fields(Kpis)
        if kpi.name not in ("day", "feeder_loss_pct")
    }
    feeders = {feeder: Decimal(loss) for feeder, loss in saved["feeder_loss_pct"].items()}
    return Kpis(date.fromisoformat(saved["day"]), feeder_loss_pct=feeders, **numbers)
