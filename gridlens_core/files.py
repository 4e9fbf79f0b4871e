"""Files beside the data that several processes share: written by one at a time, and whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import ETIMEDOUT
from pathlib import Path
from threading import Lock

from fasteners import InterProcessLock  # type: ignore[import-untyped]

LOCK_SECONDS = 1.0  # to wait for another process that writes

_writing = Lock()


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """While no other process writes a file; raises OSError, or RuntimeError where the file system knows no locks."""
    lock = InterProcessLock(path.with_suffix(".lock"))
    with _writing:  # it keeps processes apart, not threads
        if not lock.acquire(timeout=LOCK_SECONDS):
            raise TimeoutError(ETIMEDOUT, "another process does not let go of the file")
        try:
            yield
        finally:
            lock.release()


def reason_of(error: Exception) -> str:
    """What the system said, without the path of a file."""
    return getattr(error, "strerror", None) or "the file system does not allow it"


def replace_whole(path: Path, content: bytes) -> None:
    """Puts a file in the place of another at once: no reader sees half of it, and no full disk leaves half of it."""
    fresh = path.with_suffix(f".new-{os.getpid()}")
    try:
        fresh.write_bytes(content)
        fresh.replace(path)
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
