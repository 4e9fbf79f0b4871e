"""Whether this machine has the room for a local history, before it is made."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from gridlens_core.errors import DatabaseNotReadyError
from gridlens_core.settings import Settings

# Measured with benchmarks/scale_local.py at 400 and 25,000 meters, rounded up.
BYTES_A_READ = 210  # of disk, with indexes, roll-ups and estimation
LOG_BYTES = 1_200_000_000  # of disk, for the server's write-ahead log
BYTES_A_METER = 13_000  # of memory, while a day is emulated and written
READS_A_SECOND = 100_000

READS_A_DAY = 96
REMEDY = (
    "Lower GRIDLENS_FEEDERS, GRIDLENS_METERS_PER_FEEDER or GRIDLENS_HISTORY_DAYS, or have GRIDLENS_DATA_DIR on a disk "
    "with more room."
)


@dataclass(frozen=True)
class Need:
    """What a history takes: disk and memory [bytes], and time [s]."""

    disk: int
    memory: int
    seconds: float


def need_of(meters: int, days: int) -> Need:
    """What seeding takes; the running day counts whole."""
    reads = meters * READS_A_DAY * (days + 1)
    return Need(reads * BYTES_A_READ + LOG_BYTES, meters * BYTES_A_METER, reads / READS_A_SECOND)


def check_capacity(settings: Settings, tenants: int) -> None:
    """Raises DatabaseNotReadyError, with the figures and the time it would take, where disk or memory do not suffice.

    tenants : how many of them get a synthetic fleet now
    """
    meters = settings.feeders * settings.meters_per_feeder * tenants
    need = need_of(meters, settings.history_days)
    home = settings.data_dir.expanduser().resolve()
    disk, memory = shutil.disk_usage(_existing(home)).free, psutil.virtual_memory().available
    if need.disk > disk or need.memory > memory:
        raise DatabaseNotReadyError.of_finding(
            f"A fleet of {meters:,} meters with {settings.history_days} days of history needs {_gb(need.disk)} of "
            f"disk, {_gb(need.memory)} of memory and about {duration(need.seconds)}; "
            f"free here are {_gb(disk)} and {_gb(memory)}.",
            REMEDY,
        )


def duration(seconds: float) -> str:
    """A time one can wait by: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"


def _existing(folder: Path) -> Path:
    """The folder, or the first above it that is there."""
    return next(one for one in (folder, *folder.parents) if one.exists())
