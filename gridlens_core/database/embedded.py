"""The embedded PostgreSQL that stands in for Azure when no DATABASE_URL is set. It opens no network port."""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path
from threading import Lock

from gridlens_core.database.embedded_server import EmbeddedServer, ServerError
from gridlens_core.errors import DatabaseUnavailableError

KEY_FILE = "api_key"

_starting = Lock()  # the wheel's own lock keeps processes apart, not threads
_servers: dict[Path, EmbeddedServer] = {}


def start_embedded(data_dir: Path) -> str:
    """Starts the server in `data_dir`, or finds it running, and returns its address. Idempotent.

    The server stops when the last process that uses it ends; after a kill the next start takes it over.
    """
    try:
        with _starting:
            server = _server_of(data_dir)
            server.pgdata.mkdir(mode=0o700, parents=True, exist_ok=True)
            server.forget_the_dead()
            server.start()  # also finds out whether a server started earlier still runs
            return server.address()
    except (ServerError, OSError) as error:
        reason = str(error) if isinstance(error, ServerError) else f"{error.strerror or type(error).__name__}"
        raise DatabaseUnavailableError(
            f"The embedded PostgreSQL did not start in GRIDLENS_DATA_DIR: {reason}.", data_dir=str(data_dir)
        ) from error


def stop_embedded(data_dir: Path) -> None:
    """Stops the server in `data_dir` if no other process uses it."""
    server = _server_of(data_dir)
    if server.pgdata.exists():
        server.cleanup()


def _server_of(data_dir: Path) -> EmbeddedServer:
    pgdata = data_dir.expanduser().resolve() / "postgres"
    if pgdata not in _servers:
        _servers[pgdata] = EmbeddedServer(pgdata)
    return _servers[pgdata]


def generated_key(data_dir: Path) -> str:
    """The API key of the local database: made once, kept in a file only its owner may read. An empty file is none."""
    home = data_dir.expanduser().resolve()
    home.mkdir(parents=True, exist_ok=True)
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
