"""The embedded PostgreSQL that stands in for Azure when no DATABASE_URL is set. It opens no network port."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

from fasteners import InterProcessLock  # type: ignore[import-untyped]

from gridlens_core.database import postmaster
from gridlens_core.database.accounts import account_for
from gridlens_core.errors import DatabaseUnavailableError

KEY_FILE = "api_key"
SERVER, USERS = "postgres", "users"  # in GRIDLENS_DATA_DIR
WAIT_SECONDS = postmaster.INITDB_SECONDS + postmaster.START_SECONDS

log = logging.getLogger(__name__)

_at_work = Lock()  # a lock on a file keeps processes apart, not threads
_uses: dict[Path, _Use] = {}


class _Use:
    """That this process uses the server of a folder: a file that is locked until it stops or dies."""

    def __init__(self, home: Path) -> None:
        (home / USERS).mkdir(mode=0o755, exist_ok=True)
        self.pid = os.getpid()
        self.path = home / USERS / f"{self.pid}-{secrets.token_hex(4)}"
        self._lock = InterProcessLock(self.path)
        _acquire(self._lock, blocking=False)

    def end(self) -> None:
        self._lock.release()
        self.path.unlink(missing_ok=True)


def start_embedded(data_dir: Path) -> str:
    """Starts the server in `data_dir`, or finds it running, and returns its address. Idempotent.

    The server stops when the last process that uses it ends; after a kill the next start takes it over.
    Raises DatabaseUnavailableError, which says what was wrong.
    """
    home = data_dir.expanduser().resolve()
    try:
        home.mkdir(mode=0o755, parents=True, exist_ok=True)
        with _alone(home):
            for left in home.glob(f"{SERVER}.new-*"):  # of a start that was killed
                postmaster.remove_folder(left)
            pgdata = home / SERVER
            found = postmaster.start(pgdata, account_for(pgdata))
            use = _uses.get(home)
            if use is None or use.pid != os.getpid() or not use.path.exists():
                _uses[home] = _Use(home)
                atexit.register(stop_embedded, home)
            return found.address
    except (postmaster.ServerError, OSError) as error:
        reason = _of(error) if isinstance(error, OSError) else str(error)
        log.error("The embedded PostgreSQL did not start in %s: %s.", home, reason)
        raise DatabaseUnavailableError(
            f"The embedded PostgreSQL did not start in GRIDLENS_DATA_DIR: {reason}.", data_dir=str(data_dir)
        ) from error


def stop_embedded(data_dir: Path) -> None:
    """Stops the server in `data_dir` if this process uses it and no other does."""
    home = data_dir.expanduser().resolve()
    use = _uses.get(home)
    if use is None or use.pid != os.getpid():
        return
    try:
        with _alone(home):
            use.end()
            _uses.pop(home, None)
            if not _others(home):
                postmaster.stop(home / SERVER)
    except (postmaster.ServerError, OSError) as error:
        log.warning("The embedded PostgreSQL was not stopped: %s.", error)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """While nobody else starts or stops the server of a folder."""
    with _at_work:
        lock = InterProcessLock(home / f"{SERVER}.lock")
        if not _acquire(lock, timeout=WAIT_SECONDS):
            raise postmaster.ServerError(f"another process has been starting or stopping it for {WAIT_SECONDS} s")
        try:
            yield
        finally:
            lock.release()


def _acquire(lock: InterProcessLock, **how: Any) -> bool:
    """Whether a lock was had; the library leaves the file of one that was not open."""
    had = bool(lock.acquire(**how))
    if not had:
        lock.lockfile.close()
    return had


def _others(home: Path) -> int:
    """How many other processes use the server; files of those that died are removed."""
    count = 0
    for path in (home / USERS).glob("*"):
        lock = InterProcessLock(path)
        if _acquire(lock, blocking=False):
            lock.release()
            path.unlink(missing_ok=True)
        else:
            count += 1
    return count


def _of(error: OSError) -> str:
    """What the system said, and of which file."""
    what = error.strerror or str(error)
    return f"{what} ({os.fsdecode(error.filename)})" if error.filename else what


def generated_key(data_dir: Path) -> str:
    """The API key of the local database: made once, kept in a file only its owner may read. An empty file is none."""
    home = data_dir.expanduser().resolve()
    home.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = home / KEY_FILE
    if path.exists() and not path.read_text().strip():
        path.unlink(missing_ok=True)
    if not path.exists():
        fresh = home / f"{KEY_FILE}-{secrets.token_hex(4)}"
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(24))
        with suppress(FileExistsError):
            path.hardlink_to(fresh)  # whole, and only the first of two that come together
        fresh.unlink()
    return path.read_text().strip()
