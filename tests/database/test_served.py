"""The server as an operator runs it: the documented commands, what it prints, and being killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from api_client import PUBLISH, STATUS
from helpers import FROZEN, READS, TENANT, server_folder
from serving import QUICK_FLEET, ROOT, Served, start_server

from gridlens_core.api.slow import HEAD_SECONDS
from gridlens_core.api.waiting import MOST_WAITING
from gridlens_core.database.connection import connect
from gridlens_core.database.embedded import start_embedded, stop_embedded
from gridlens_core.demo.keys import AT_ONCE
from gridlens_core.meters.emulator import Span, emulate
from gridlens_core.meters.fleet import synthetic_fleet
from gridlens_core.publishing.publisher import lock_tenant

NOW = {"GRIDLENS_NOW": FROZEN.isoformat()}
PUBLISH_COMMAND, THEFT_COMMAND, QUICKCHECK_COMMAND = (
    line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("curl ")
)
INTERVAL = timedelta(minutes=15)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server on a local database of its own."""
    with server_folder() as folder:
        server = start_server(folder, NOW)
        yield server
        server.stop()


def run(command: str, served: Served) -> dict[str, Any]:
    """What a documented command answers, with the two variables it needs."""
    environment = {**os.environ, "BASE_URL": served.base_url, "GRIDLENS_API_KEY": served.key}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, check=True, timeout=60)
    return dict(json.loads(done.stdout))


def grid_now(served: Served) -> datetime:
    answer = httpx2.get(f"{served.base_url}{STATUS}", params={"tenantId": TENANT}, timeout=30)
    return datetime.fromisoformat(answer.json()["gridNow"])


def test_two_publishes_in_a_row_move_the_grid_clock_by_two_intervals(served: Served) -> None:
    before = datetime.fromisoformat(run(QUICKCHECK_COMMAND, served)["gridNow"])
    read_at = [datetime.fromisoformat(run(PUBLISH_COMMAND, served)["readAt"]) for _ in range(2)]
    assert read_at == [before + INTERVAL, before + 2 * INTERVAL]
    assert datetime.fromisoformat(run(QUICKCHECK_COMMAND, served)["gridNow"]) == read_at[-1]


def test_after_a_theft_two_publishes_move_the_loss_by_what_the_theft_explains(served: Served) -> None:
    before = run(QUICKCHECK_COMMAND, served)
    event = run(THEFT_COMMAND, served)["event"]
    assert event["startsAt"] == before["gridNow"]
    for _ in range(2):
        assert [each["id"] for each in run(PUBLISH_COMMAND, served)["events"]] == [event["id"]]
    after = run(QUICKCHECK_COMMAND, served)

    # The same 5 or so percent go the technical way; of the rest of FEEDER_7's supply 70 percent are stolen.
    (day, day_after), (feeder, feeder_after) = (
        (before["overviewLast5"][0], after["overviewLast5"][0]),
        tuple(_feeder_7(answer) for answer in (before, after)),
    )
    technical = day["total_loss_kwh"] / day["supplied_kwh"]
    stolen_kwh = 0.7 * (1 - technical) * (feeder_after["supplied_kwh"] - feeder["supplied_kwh"])
    expected_pct = 100 * (technical + stolen_kwh / day_after["supplied_kwh"])
    assert stolen_kwh > 1
    assert after["currentLossPct"] - before["currentLossPct"] > 0.1
    assert after["currentLossPct"] == pytest.approx(expected_pct, abs=0.05)


def _feeder_7(answer: dict[str, Any]) -> dict[str, Any]:
    return next(row for row in answer["feederLossLast10"] if row["feeder_id"] == "FEEDER_7")


def test_the_dashboard_and_the_api_are_at_one_address(served: Served) -> None:
    page = httpx2.get(served.base_url, timeout=30)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    document = httpx2.get(f"{served.base_url}/api/openapi.json", timeout=30)
    assert document.json()["info"]["title"] == "GridLens AMI pilot"
    assert httpx2.get(f"{served.base_url}/api/nowhere", timeout=30).json()["error"]["code"] == "not_found"
    assert httpx2.head(f"{served.base_url}/api/health", timeout=30).content == b""


def test_every_kind_of_answer_carries_the_headers(served: Served) -> None:
    for path in ("/", "/losses", "/api", "/api/nowhere", "/metrics", "/_stcore/health", "/media/none.html"):
        headers = httpx2.get(f"{served.base_url}{path}", timeout=30).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")
    for path in ("/api/nowhere", "/metrics"):
        response = httpx2.get(f"{served.base_url}{path}", timeout=30)
        assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")
    assert "GET /api/health" in httpx2.get(f"{served.base_url}/api", timeout=30).text


def test_another_name_that_leads_here_is_refused(served: Served) -> None:
    for path in ("/", "/api/ami/events"):
        response = httpx2.get(f"{served.base_url}{path}", headers={"Host": "evil.example"}, timeout=30)
        assert (response.status_code, response.json()["error"]["code"]) == (421, "host_not_allowed")


def test_health_and_status_answer_while_publishes_and_questions_wait(served: Served) -> None:
    headers = {"Authorization": f"Bearer {served.key}"}
    address, tenant = f"{served.base_url}/api/ami", {"tenantId": TENANT}
    waiting = [("publish-once", 25), ("kpi/quickcheck", 45), ("kpi/why", 45)]

    def ask(path: str) -> int:
        with httpx2.Client(headers=headers, timeout=120) as client:
            if path == "publish-once":
                return client.post(f"{address}/{path}", json=tenant).status_code
            return client.get(f"{address}/{path}", params=tenant).status_code

    database = connect(start_embedded(served.data_dir), is_local=True)
    with ThreadPoolExecutor(115) as crowd:
        with database.transaction() as connection:
            lock_tenant(connection, TENANT)  # nothing is published meanwhile
            asked = [crowd.submit(ask, path) for path, number in waiting for _ in range(number)]
            assert not any(one.done() for one in asked[:25])
            for path in ("/api/health", f"{STATUS}?tenantId={TENANT}"):
                for _ in range(5):
                    assert httpx2.get(f"{served.base_url}{path}", timeout=4).status_code == 200
            assert not any(one.done() for one in asked[:25])
        assert {one.result() for one in asked} == {200}
    database.engine.dispose()


def test_beyond_a_length_publishes_are_429_and_say_when_to_come_again(served: Served) -> None:
    headers = {"Authorization": f"Bearer {served.key}"}

    def publish(_: int) -> httpx2.Response:
        return httpx2.post(f"{served.base_url}{PUBLISH}", json={"tenantId": TENANT}, headers=headers, timeout=120)

    database = connect(start_embedded(served.data_dir), is_local=True)
    with ThreadPoolExecutor(45) as crowd, database.transaction() as connection:
        lock_tenant(connection, TENANT)
        asked = [crowd.submit(publish, number) for number in range(45)]
        refusals = [one.result() for one in islice(as_completed(asked, timeout=60), 45 - 1 - MOST_WAITING)]
        connection.rollback()
        statuses = Counter(one.result().status_code for one in asked)
    database.engine.dispose()
    assert statuses == {200: 1 + MOST_WAITING, 429: 45 - 1 - MOST_WAITING}
    assert {(one.status_code, one.json()["error"]["code"]) for one in refusals} == {(429, "too_many_waiting")}
    assert all(int(one.headers["retry-after"]) >= 1 for one in refusals)


def test_two_hundred_guesses_take_their_time_and_the_right_key_does_not(served: Served) -> None:
    def guess(number: int) -> int:
        headers = {"Authorization": f"Bearer guess {number}"}
        with contextlib.suppress(httpx2.TimeoutException):
            return httpx2.post(f"{served.base_url}{PUBLISH}", json={}, headers=headers, timeout=2).status_code
        return 0

    run(PUBLISH_COMMAND, served)
    with ThreadPoolExecutor(50) as crowd:
        said = Counter(crowd.map(guess, range(100)))
    assert said[403] <= AT_ONCE + 6  # told at once, or in the first seconds
    assert said[0] + said[429] >= 100 - AT_ONCE - 6
    began = time.monotonic()
    run(PUBLISH_COMMAND, served)
    assert time.monotonic() - began < 5


def test_a_connection_that_never_says_what_it_wants_is_dropped(served: Served) -> None:
    address = ("localhost", int(served.base_url.rsplit(":", 1)[1]))
    openings = [b"", b"GET /api/health HTT", b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nX: "]
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(address, timeout=HEAD_SECONDS + 10)) for _ in openings]
        for connection, sent in zip(silent, openings, strict=True):
            connection.sendall(sent)
        assert [connection.recv(100) for connection in silent] == [b""] * 3


def test_the_generated_key_is_printed_once_and_kept_where_only_its_owner_reads_it(served: Served) -> None:
    run(PUBLISH_COMMAND, served)
    assert served.log.read_text().count(served.key) == 1
    assert (served.data_dir / "api_key").stat().st_mode & 0o777 == 0o600


def test_a_wrong_setting_ends_the_start_with_a_line_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"gridlens: Settings are not acceptable\. GRIDLENS_SEED") as failure:
        start_server(tmp_path, {"GRIDLENS_SEED": "seven"})
    assert "Traceback" not in str(failure.value)


def test_a_server_killed_while_it_publishes_leaves_whole_cycles_and_goes_on_from_them() -> None:
    with server_folder() as folder:
        server = start_server(folder, NOW)
        for kill_database_too in (False, True):
            _publish_until_killed(server, cycles=3, kill_database_too=kill_database_too)
            server = start_server(folder, NOW)
            end = _end_of_whole_cycles(folder)
            assert grid_now(server) == end
            assert datetime.fromisoformat(run(PUBLISH_COMMAND, server)["readAt"]) == end + INTERVAL
        server.stop()
        # Told to stop, the server also stops its database, even if other users of it were killed before.
        assert not (folder / "postgres" / "postmaster.pid").exists()


def _publish_until_killed(server: Served, cycles: int, *, kill_database_too: bool) -> None:
    """Kills the server once it has published some cycles of many, one read at a time."""
    before = grid_now(server)

    def publish() -> None:
        body = {"tenantId": TENANT, "cycles": 96, "batchSize": 1}
        with contextlib.suppress(httpx2.TransportError):
            httpx2.post(
                f"{server.base_url}{PUBLISH}", json=body, headers={"Authorization": f"Bearer {server.key}"}, timeout=60
            )

    publishing = threading.Thread(target=publish)
    publishing.start()
    deadline = time.monotonic() + 60
    while grid_now(server) < before + cycles * INTERVAL:
        assert time.monotonic() < deadline
    if kill_database_too:
        postmaster = int((server.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGKILL)
    assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    publishing.join()


def _end_of_whole_cycles(data_dir: Path) -> datetime:
    """The last `read_at`, after every published interval was held to the reads the emulator gives for it."""
    database = connect(start_embedded(data_dir), is_local=True)
    with database.transaction(read_only=True) as connection:
        statement = f"SELECT read_at, count(*) AS number FROM {READS} GROUP BY read_at"
        reads = {row.read_at: row.number for row in connection.execute(sa.text(statement))}
        supplied = set(connection.execute(sa.text("SELECT DISTINCT read_at FROM feeder_supply")).scalars())
    database.engine.dispose()
    stop_embedded(data_dir)
    fleet = synthetic_fleet(
        TENANT,
        feeders=int(QUICK_FLEET["GRIDLENS_FEEDERS"]),
        meters_per_feeder=int(QUICK_FLEET["GRIDLENS_METERS_PER_FEEDER"]),
        seed=7,
        timezone="America/Chicago",
    )
    published = {read_at: number for read_at, number in reads.items() if read_at >= FROZEN}
    assert len(published) >= 3
    for read_at, number in published.items():
        assert number == emulate(fleet, Span.ending(read_at, 15), []).sent.sum()
    assert supplied == set(reads)
    return max(reads)
