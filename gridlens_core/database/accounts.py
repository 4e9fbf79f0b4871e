"""Who runs the embedded server, and where its socket may lie. PostgreSQL refuses to run as root."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "win32":
    import pwd

NAME = "pgserver"  # made where root starts the demo
SAFE = re.compile(r"[A-Za-z0-9/._-]+")  # no sign that PostgreSQL, libpq or an address reads as more than a letter
MOST_SOCKET_BYTES = 80  # of a socket's folder; the system's own limit for the whole path is 103 or 107
READ_AND_ENTER, ENTER = 0o055, 0o011


@dataclass(frozen=True)
class Account:
    """A user of this machine by number."""

    uid: int
    gid: int


def account_for(pgdata: Path) -> Account | None:
    """Who runs the server in a folder: its owner, or an account without rights, where root starts it; None for the
    user of this process."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    if pgdata.exists() and (found := pgdata.stat()).st_uid != 0:
        return Account(found.st_uid, found.st_gid)
    for name in (NAME, "nobody"):
        if name == NAME and NAME not in {one.pw_name for one in pwd.getpwall()}:
            with suppress(OSError):  # a system without useradd
                subprocess.run(["useradd", "--system", "--no-create-home", NAME], check=False, capture_output=True)
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    return None


def run_as(
    account: Account | None, words: Sequence[str], environment: dict[str, str], seconds: float
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end, as an account; it hears no Ctrl-C of our terminal."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:  # a pipe would wait for grandchildren
        done = subprocess.run(
            words,
            env=environment,
            cwd=Path(words[0]).anchor or None,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            timeout=seconds,
            check=False,
            start_new_session=True,
            umask=0o077,
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else (),
        )
        said = []
        for file in (output, errors):
            file.seek(0)
            said.append(file.read().decode(errors="replace"))
    return subprocess.CompletedProcess(done.args, done.returncode, *said)


def own(folder: Path, account: Account | None) -> None:
    """Makes a folder that its owner alone may enter."""
    folder.mkdir(mode=0o700)
    if account is not None:
        os.chown(folder, account.uid, account.gid)


def open_the_way(pgdata: Path, programs: Path, account: Account) -> None:
    """Lets an account reach the data directory, and the programs where it cannot run them yet."""
    for folder in pgdata.parents:
        _allow(folder, ENTER)
    try:
        tried = run_as(account, [str(programs / "postgres"), "--version"], {}, 10)
        if tried.returncode == 0:
            return
    except PermissionError:
        pass
    for folder in programs.parents:
        _allow(folder, ENTER)
    for path in (programs.parent, *programs.parent.rglob("*")):
        _allow(path, READ_AND_ENTER if path.is_dir() or path.parent == programs else 0o044)


def socket_folder(pgdata: Path, account: Account | None) -> Path:
    """The folder of the server's socket: the data directory, or one of a short plain name that its owner alone may
    enter."""
    if SAFE.fullmatch(str(pgdata)) and len(str(pgdata)) <= MOST_SOCKET_BYTES:
        return pgdata
    name = hashlib.sha256(os.fsencode(pgdata)).hexdigest()[:10]
    owner = os.geteuid() if account is None else account.uid
    for parent in (tempfile.gettempdir(), "/tmp"):
        if not SAFE.fullmatch(parent) or len(parent) > MOST_SOCKET_BYTES - 30:
            continue
        for number in range(10):  # another user may have taken the name
            folder = Path(parent) / f"gridlens-{name}-{number}"
            with suppress(FileExistsError):
                own(folder, account)
            if not folder.is_symlink() and folder.is_dir() and folder.stat().st_uid == owner:
                folder.chmod(0o700)
                return folder
    raise OSError("no folder for the server's socket can be made under /tmp")


def _allow(path: Path, rights: int) -> None:
    with suppress(OSError):
        mode = path.stat().st_mode
        if mode & rights != rights:
            path.chmod(mode | rights)
