from __future__ import annotations

import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import psutil
import pytest
from helpers import FROZEN, READS, TENANT, run_python, server_folder, start_python

from gridlens_core.database.connection import connect
from gridlens_core.database.embedded import KEY_FILE, generated_key, start_embedded, stop_embedded
from gridlens_core.demo.demo import Demo
from gridlens_core.errors import DatabaseUnavailableError
from gridlens_core.settings import Settings

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="there the server listens on a port of this machine")


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory whose server, if one is started, is stopped after the test."""
    with server_folder() as folder:
        yield folder / "data"
        stop_embedded(folder / "data")


def server_process(data_dir: Path) -> psutil.Process:
    return psutil.Process(int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0]))


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    database = connect(url, is_local=True)
    with database.transaction() as connection:
        result = connection.exec_driver_sql(statement)
        rows = [tuple(row) for row in result] if result.returns_rows else []
    database.engine.dispose()
    return rows


def test_starting_again_finds_the_server_that_runs(data_dir: Path) -> None:
    url = start_embedded(data_dir)
    server = server_process(data_dir)
    assert start_embedded(data_dir) == url
    assert start_embedded(Path(os.path.relpath(data_dir))) == url
    assert server_process(data_dir) == server


def test_threads_that_start_it_at_once_get_one_server(data_dir: Path) -> None:
    together = Barrier(4)

    def start(_: int) -> str:
        together.wait(timeout=10)
        return start_embedded(data_dir)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(start, range(4)))) == 1


@posix_only
def test_it_listens_on_no_network_port(data_dir: Path) -> None:
    url = start_embedded(data_dir)
    assert execute(url, "SHOW listen_addresses") == [("",)]
    assert not server_process(data_dir).net_connections(kind="inet")


START = """
import sys, pathlib, warnings
from gridlens_core.database.embedded import start_embedded
from test_embedded import execute
url = start_embedded(pathlib.Path(sys.argv[1]))
execute(url, sys.argv[2])
print(url, flush=True)
"""


def test_processes_share_the_server_and_the_last_one_stops_it(data_dir: Path) -> None:
    first = start_python(START + "sys.stdin.readline()", str(data_dir), "CREATE TABLE shared (n integer)")
    assert first.stdout is not None
    url = first.stdout.readline().strip()
    server = server_process(data_dir)
    second = run_python(START, str(data_dir), "INSERT INTO shared VALUES (1)")
    assert second.stdout.strip() == url
    assert server.is_running()  # the first one still uses it
    first.communicate("done\n", timeout=30)
    assert not psutil.pid_exists(server.pid) or server.status() == psutil.STATUS_ZOMBIE
    assert execute(start_embedded(data_dir), "SELECT n FROM shared") == [(1,)]


def test_a_server_that_was_killed_is_started_with_its_data(data_dir: Path) -> None:
    execute(start_embedded(data_dir), "CREATE TABLE kept AS SELECT 1 AS n")
    kill(server_process(data_dir))
    assert execute(start_embedded(data_dir), "SELECT n FROM kept") == [(1,)]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda folder: folder.write_text("a file"), id="a file in its place"),
        pytest.param(lambda folder: other_version(folder), id="the data of another version"),
    ],
)
def test_a_folder_that_will_not_do_is_told_in_plain_words(tmp_path: Path, spoil) -> None:
    spoil(tmp_path / "data")
    with pytest.raises(DatabaseUnavailableError, match="did not start in GRIDLENS_DATA_DIR") as raised:
        start_embedded(tmp_path / "data")
    assert raised.value.details == {"data_dir": str(tmp_path / "data")}


def other_version(folder: Path) -> None:
    (folder / "postgres").mkdir(parents=True)
    (folder / "postgres" / "PG_VERSION").write_text("9")


# --- the demo on a server that goes away ----------------------------------------------------------------


def kill(server: psutil.Process) -> None:
    """Kills the server as an operator's mistake would, and waits until none of it is left."""
    family = [server, *server.children(recursive=True)]
    server.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    psutil.wait_procs(family, timeout=10)


def test_a_demo_revives_a_server_that_was_killed(data_dir: Path) -> None:
    demo = Demo(Settings(data_dir=data_dir, now=FROZEN, feeders=2, meters_per_feeder=3, history_days=1))
    demo.session.start()
    demo.publish(TENANT)
    kill(server_process(data_dir))
    with pytest.raises(DatabaseUnavailableError):
        demo.publish(TENANT)
    deadline = time.monotonic() + 30
    while True:
        try:
            published = demo.publish(TENANT)
            break
        except DatabaseUnavailableError:
            assert time.monotonic() < deadline, "the server did not come back"
            time.sleep(0.1)
    demo.stop()
    assert (published.cycles[0].read_at - FROZEN).total_seconds() == 15 * 60
    assert execute(start_embedded(data_dir), f"SELECT count(*) FROM {READS} WHERE read_at >= '{FROZEN}'")[0][0] > 6


# --- the generated key ----------------------------------------------------------------------------------


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    key = generated_key(tmp_path / "new" / "folder")
    assert len(key) == 32
    assert generated_key(tmp_path / "new" / "folder") == key
    assert generated_key(tmp_path / "other") != key
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["api_key"]
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "new" / "folder" / "api_key").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", " \n"], ids=["empty", "blank"])
def test_an_empty_key_file_is_no_key_and_gets_one(tmp_path: Path, content: str) -> None:
    (tmp_path / KEY_FILE).write_text(content)
    key = generated_key(tmp_path)
    assert len(key) >= 32
    assert generated_key(tmp_path) == key
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


def test_all_who_come_at_once_get_the_same_whole_key(tmp_path: Path) -> None:
    together = Barrier(8)

    def get(_: int) -> str:
        together.wait(timeout=10)
        return generated_key(tmp_path)

    for attempt in range(20):
        (tmp_path / "api_key").unlink(missing_ok=True)
        with ThreadPoolExecutor(8) as pool:
            keys = set(pool.map(get, range(8)))
        assert len(keys) == 1, attempt
        assert len(keys.pop()) == 32


def test_the_demo_takes_the_set_key_before_the_generated_one(tmp_path: Path) -> None:
    assert Demo(Settings(data_dir=tmp_path)).session.api_key == generated_key(tmp_path)
    assert Demo(Settings(data_dir=tmp_path, api_key="correct-horse")).session.api_key == "correct-horse"
    assert Demo(Settings(data_dir=tmp_path, database_url="postgresql://h/d")).session.api_key is None
