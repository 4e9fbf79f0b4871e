"""The embedded server on a machine that is not as we know it: odd paths, locale and zone, stale numbers, full disks."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from helpers import finish, run_python, server_folder, start_python
from test_embedded import START, execute, kill, posix_only, server_process

from gridlens_core.database import postmaster
from gridlens_core.database.embedded import start_embedded, stop_embedded
from gridlens_core.errors import DatabaseUnavailableError

ODD = "a b'c%20d$x\"é, z" if sys.platform != "win32" else "a b'c%20d"
PLAINER = "a b'c%20d, é"  # initdb itself calls a shell, with its path between double quotes
ASK = """
import os, sys, pathlib
os.umask(0)
from gridlens_core.database.embedded import start_embedded
from test_embedded import execute
home = pathlib.Path(sys.argv[1])
url = start_embedded(home)
print(execute(url, "SELECT current_setting('timezone'), current_setting('lc_messages')"), oct(home.stat().st_mode)[-3:])
"""


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A data directory, made once; a server that was killed in it leaves it fit for the next test."""
    with server_folder() as folder:
        yield folder / "data"


@pytest.fixture
def data_dir(made: Path) -> Iterator[Path]:
    """A data directory whose server, if one is started, is stopped after the test."""
    yield made
    stop_embedded(made)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Another program, which has nothing to do with the server."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def with_pid(data_dir: Path, pid: object) -> None:
    """Writes another number where the server's own stood."""
    for path in (data_dir / "postgres").glob("*postmaster.pid"):
        lines = path.read_text().splitlines()
        path.write_text("\n".join([str(pid), *lines[1:]]) + "\n")


def test_it_starts_in_a_folder_of_any_name_with_its_programs_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    install = postmaster.programs().parent
    package = install.parent
    with server_folder() as folder:
        there = folder / PLAINER
        for part in (install, package.with_name(f"{package.name}.libs")):  # the libraries beside the package
            if part.is_dir():
                shutil.copytree(part, there / part.relative_to(package.parent), symlinks=True)
        monkeypatch.setattr(postmaster, "programs", lambda: there / package.name / install.name / "bin")
        url = start_embedded(folder / ODD)
        assert execute(url, "SHOW data_directory") == [(str(folder / ODD / "postgres"),)]
        assert start_embedded(folder / ODD) == url
        stop_embedded(folder / ODD)
        assert not (folder / ODD / "postgres" / "postmaster.pid").exists()


def test_the_machine_s_locale_zone_and_mask_do_not_reach_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "LANG": "xx_YY.UTF-8",
        "LC_ALL": "tlh_QX",
        "TZ": "<X>+30",
        "PGPORT": "9",
        "PGDATA": "/x",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HOME", raising=False)
    with server_folder() as folder:
        assert run_python(ASK, str(folder / "data")).stdout.strip() == "[('UTC', 'C')] 755"
        monkeypatch.setenv("TZ", "Mars/Base")
        assert run_python(ASK, str(folder / "data")).stdout.strip() == "[('UTC', 'C')] 755"


@posix_only
def test_a_stale_number_of_another_program_neither_stops_the_start_nor_is_that_program_touched(
    data_dir: Path,
    sleeper: subprocess.Popen[bytes],
) -> None:
    execute(start_embedded(data_dir), "CREATE TABLE IF NOT EXISTS kept AS SELECT 1 AS n")
    kill(server_process(data_dir))
    with_pid(data_dir, sleeper.pid)
    assert execute(start_embedded(data_dir), "SELECT n FROM kept") == [(1,)]
    server = server_process(data_dir)
    assert server.pid != sleeper.pid
    stop_embedded(data_dir)
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
    assert sleeper.poll() is None


@posix_only
def test_a_number_that_goes_stale_while_it_is_used_is_not_stopped(
    data_dir: Path,
    sleeper: subprocess.Popen[bytes],
) -> None:
    start_embedded(data_dir)
    kill(server_process(data_dir))
    with_pid(data_dir, sleeper.pid)
    stop_embedded(data_dir)
    assert sleeper.poll() is None


def test_a_lock_file_that_was_cut_short_does_not_stop_the_start(data_dir: Path) -> None:
    start_embedded(data_dir)
    kill(server_process(data_dir))
    (data_dir / "postgres" / "postmaster.pid").write_text("")
    assert execute(start_embedded(data_dir), "SELECT 1") == [(1,)]


def test_what_the_server_says_is_told(data_dir: Path) -> None:
    start_embedded(data_dir)
    stop_embedded(data_dir)
    settings = data_dir / "postgres" / "postgresql.auto.conf"
    settings.write_text("nonsense = 1\n")
    with pytest.raises(DatabaseUnavailableError, match='unrecognized configuration parameter "nonsense"'):
        start_embedded(data_dir)
    settings.write_text("")


def test_what_the_system_says_is_told(tmp_path: Path) -> None:
    (tmp_path / "data" / "postgres.lock").mkdir(parents=True)
    with pytest.raises(DatabaseUnavailableError, match=r"Is a directory|Permission denied") as raised:
        start_embedded(tmp_path / "data")
    assert "postgres.lock" in raised.value.message


@posix_only
def test_what_the_making_says_is_told_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    with server_folder() as folder:
        (folder / "initdb").write_text('#!/bin/sh\necho "initdb: error: could not write: No space left" >&2\nexit 1\n')
        (folder / "postgres").write_text("#!/bin/sh\n")
        for program in folder.iterdir():
            program.chmod(0o755)
        monkeypatch.setattr(postmaster, "programs", lambda: folder)
        (folder / "data" / "postgres.new-1").mkdir(parents=True)  # of a start that was killed
        with pytest.raises(DatabaseUnavailableError, match="could not write: No space left"):
            start_embedded(folder / "data")
        assert [path.name for path in (folder / "data").iterdir()] == ["postgres.lock"]


def test_a_user_of_the_server_that_was_killed_does_not_keep_it_running(data_dir: Path) -> None:
    other = start_python(START + "sys.stdin.readline()", str(data_dir), "SELECT 1")
    assert other.stdout is not None
    other.stdout.readline()
    start_embedded(data_dir)
    server = server_process(data_dir)
    other.kill()
    finish(other, check=False)
    assert server.is_running()
    stop_embedded(data_dir)
    assert not psutil.pid_exists(server.pid) or server.status() == psutil.STATUS_ZOMBIE


@posix_only
def test_a_process_that_was_forked_does_not_stop_the_server_of_its_parent(data_dir: Path) -> None:
    start_embedded(data_dir)
    script = START + "import os\nif os.fork() == 0:\n    sys.exit()\nos.wait()\nexecute(url, 'SELECT 1')\n"
    stop = run_python(script, str(data_dir), "SELECT 1", check=False)
    assert stop.returncode == 0, stop.stderr
    assert server_process(data_dir).is_running()


def test_a_long_log_is_put_aside(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postmaster, "MOST_LOG_BYTES", 100)
    for _ in range(2):
        start_embedded(data_dir)
        stop_embedded(data_dir)
        time.sleep(0.01)
    assert (data_dir / "postgres" / "log.old").exists()
    assert (data_dir / "postgres" / "log").stat().st_size < 5000
