"""A rehearsal leaves nothing behind, predicts the KPIs to the last digit, and does not block publishing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from time import monotonic
from typing import Any

import pytest
import sqlalchemy as sa
from api_client import EVENT, REHEARSE, client_of, moment, refused
from helpers import FROZEN, TENANT, Server, checksums
from view_sets import demo_on, template_of

from gridlens_core.__main__ import main
from gridlens_core.demo.demo import Demo
from gridlens_core.errors import BadInputError, DatabaseBusyError
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.explanation.rehearsal import ATTEMPTS, MOST_CYCLES, Rehearsal, rehearse
from gridlens_core.meters.events import EventRequest
from gridlens_core.meters.patterns import PATTERNS
from gridlens_core.publishing.publisher import Plan
from gridlens_core.show import make_show

QUARTER = timedelta(minutes=15)
THEFT = {"event_type": "theft", "severity": 0.7, "duration_minutes": 45}
SEQUENCES = sa.text("SELECT sequencename, last_value FROM pg_sequences ORDER BY 1")


@pytest.fixture(params=["local", "linear", "ranked"])
def twins(
    request: pytest.FixtureRequest,
    server: Server,
    new_database: Callable[..., str],
    make_demo: Callable[..., Demo],
    tmp_path: Path,
) -> Iterator[tuple[Demo, Demo]]:
    """Two demos on like databases: the local one, or one with its own views."""
    if request.param == "local":
        yield make_demo(), make_demo()
        return
    found = [demo_on(new_database(template_of(server, request.param)), tmp_path / f"twin{n}", 60) for n in range(2)]
    yield found[0], found[1]
    for demo in found:
        demo.stop()


def target(demo: Demo, **more: Any) -> EventRequest:
    return EventRequest(**{**THEFT, "feeder_id": demo.desk.fleet(TENANT).feeders[0], **more})


def state(demo: Demo) -> Any:
    with demo.session.transaction(read_only=True) as connection:
        sequences = [tuple(row) for row in connection.execute(SEQUENCES)]
    return checksums(demo.session.database.engine), sequences, demo.desk.pulse(TENANT), demo.desk.trace(TENANT).all()


def test_a_rehearsal_leaves_nothing(twins: tuple[Demo, Demo]) -> None:
    demo, _ = twins
    demo.trigger(TENANT, target(demo))
    demo.publish(TENANT)
    before = state(demo)
    for event_type in ("theft", "voltage-sag", "comms-outage"):
        demo.rehearse(TENANT, target(demo, event_type=event_type), cycles=3)
    demo.rehearse(TENANT, target(demo, pattern="nightly"), cycles=1, interval_minutes=60)
    assert state(demo) == before


def test_the_real_path_is_the_rehearsed_one_to_the_last_digit(twins: tuple[Demo, Demo]) -> None:
    demo, quiet = twins
    for one in twins:
        one.trigger(TENANT, target(one, severity=0.4, duration_minutes=600))
        one.publish(TENANT)
    told = demo.rehearse(TENANT, target(demo), cycles=4)
    demo.trigger(TENANT, target(demo))
    before = demo.desk.trace(TENANT).all()[-1].kpis
    demo.publish(TENANT, cycles=4)
    quiet.publish(TENANT, cycles=4)
    seen, without = (list(each.desk.trace(TENANT).all())[-4:] for each in (demo, quiet))
    assert told.before == before
    assert [cycle.read_at for cycle in told.cycles] == [one.grid_now for one in seen]
    assert [cycle.kpis for cycle in told.cycles] == [one.kpis for one in seen]
    assert [cycle.without for cycle in told.cycles] == [one.kpis for one in without]
    assert told.cycles[2].kpis != told.cycles[2].without


@pytest.mark.parametrize("pattern", [name for name in PATTERNS if name != "intermittent"])
def test_patterns_are_rehearsed_too(make_demo: Callable[..., Demo], pattern: str) -> None:
    demo = make_demo()
    asked = target(demo, pattern=pattern, duration_minutes=600)
    told = demo.rehearse(TENANT, asked, cycles=2, interval_minutes=60)
    demo.trigger(TENANT, asked)
    demo.publish(TENANT, cycles=2, interval_minutes=60)
    assert [cycle.kpis for cycle in told.cycles] == [one.kpis for one in demo.desk.trace(TENANT).all()[-2:]]


def test_publishing_goes_on_meanwhile(twins: tuple[Demo, Demo]) -> None:
    demo, _ = twins
    demo.publish(TENANT)
    stop, waits, troubles = Flag(), [], []

    def publish() -> None:
        while not stop.is_set():
            began = monotonic()
            try:
                demo.publish(TENANT)
            except Exception as error:
                troubles.append(error)
            waits.append(monotonic() - began)
            stop.wait(0.3)

    start = demo.desk.pulse(TENANT).grid_now
    publisher = Thread(target=publish)
    publisher.start()
    told: list[Rehearsal] = []
    busy = 0
    while len(told) < 3 and busy < 20:
        try:
            told.append(demo.rehearse(TENANT, target(demo), cycles=2))
        except DatabaseBusyError:
            busy += 1
    stop.set()
    publisher.join(timeout=30)
    assert (troubles, publisher.is_alive()) == ([], False)
    assert len(told) == 3
    assert demo.desk.pulse(TENANT).grid_now == start + len(waits) * QUARTER
    assert max(waits) < 5
    seen = {one.grid_now: one.kpis for one in demo.desk.trace(TENANT).all()}
    for one in told:
        first = one.cycles[0].read_at
        assert [cycle.read_at for cycle in one.cycles] == [first, first + QUARTER]
        assert seen[first - QUARTER] == one.before
        if first in seen:
            assert seen[first] == one.cycles[0].without  # nothing of the rehearsal got into the real one


def rehearsed(demo: Demo, disturbances: int, cycles: int = 2) -> Rehearsal:
    """A rehearsal in whose first attempts a real cycle comes in between."""
    left = [disturbances]
    now = demo.desk.pulse(TENANT).grid_now
    event = target(demo).checked(TENANT, now)

    def read(connection: sa.Connection, at: datetime, before_each: Callable[[], None] | None = None) -> Kpis:
        if left[0] and at == demo.desk.pulse(TENANT).grid_now:  # before the paths, when nothing is locked
            left[0] -= 1
            demo.publish(TENANT)
        return demo.desk.reader(TENANT)(connection, at, before_each)

    with demo.session.transaction() as connection:
        plan = Plan(demo.session.schema, demo.desk.fleet(TENANT), FROZEN, supply=True)
        return rehearse(connection, plan, [event], read, cycles)


def test_a_cycle_in_between_makes_it_begin_again(demo: Demo) -> None:
    now = demo.desk.pulse(TENANT).grid_now
    told = rehearsed(demo, 2)
    assert [cycle.read_at for cycle in told.cycles] == [now + 3 * QUARTER, now + 4 * QUARTER]
    demo.publish(TENANT, cycles=2)
    assert [cycle.without for cycle in told.cycles] == [one.kpis for one in demo.desk.trace(TENANT).all()[-2:]]


def test_cycles_time_after_time_are_said(demo: Demo) -> None:
    before = len(demo.events(TENANT))
    with pytest.raises(DatabaseBusyError, match="rehearsal"):
        rehearsed(demo, ATTEMPTS + 1)
    assert len(demo.events(TENANT)) == before


@pytest.mark.parametrize("cycles", [0, -1, MOST_CYCLES + 1])
def test_only_so_many_cycles(demo: Demo, cycles: int) -> None:
    before = state(demo)
    with pytest.raises(BadInputError, match=str(MOST_CYCLES)):
        demo.rehearse(TENANT, target(demo), cycles=cycles)
    assert state(demo) == before


def test_the_most_cycles(demo: Demo) -> None:
    told = demo.rehearse(TENANT, target(demo), cycles=MOST_CYCLES)
    assert len(told.cycles) == MOST_CYCLES


def test_over_http(make_demo: Callable[..., Demo]) -> None:
    demo = make_demo(api_key="a key")
    before = state(demo)
    client = client_of(demo, "a key")
    answer = client.post(REHEARSE, json={**EVENT, "eventType": "theft", "cycles": 2})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body.keys() == {"ok", "tenantId", "event", "intervalMinutes", "before", "path"}
    assert [cycle.keys() for cycle in body["path"]] == [{"readAt", "kpis", "without"}] * 2
    assert moment(body["path"][0]["readAt"]) == demo.desk.pulse(TENANT).grid_now + QUARTER
    first = body["path"][0]
    assert first["kpis"]["lossPct"] > first["without"]["lossPct"]
    assert first["kpis"].keys() == first["without"].keys() == body["before"].keys()
    assert body["event"]["feederId"] == "FEEDER_7"
    refused(client.post(REHEARSE, json={**EVENT, "eventType": "theft", "cycles": 13}), 422)
    refused(client_of(demo).post(REHEARSE, json={**EVENT, "eventType": "theft"}), 401)
    assert state(demo) == before


def test_by_command(make_demo: Callable[..., Demo], capsys: pytest.CaptureFixture[str]) -> None:
    demo = make_demo()
    told = demo.rehearse(TENANT, target(demo, feeder_id="FEEDER_7"), cycles=2)
    before = checksums(demo.session.database.engine)
    address = demo.session.database.engine.url.render_as_string(hide_password=False)
    same = partial(make_show, demo.settings, start_database=lambda _: address)
    asked = ["--feeder", "FEEDER_7", "--severity", "0.7", "--minutes", "45", "--cycles", "2"]
    assert main(["rehearse", "theft", *asked], same) == 0
    body = json.loads(capsys.readouterr().out)
    assert [cycle["kpis"]["lossPct"] for cycle in body["path"]] == [
        float(cycle.kpis["loss_pct"]) for cycle in told.cycles if cycle.kpis["loss_pct"] is not None
    ]
    assert checksums(demo.session.database.engine) == before
    assert asdict(told)["interval_minutes"] == body["intervalMinutes"]
