"""The HTTP API, called as a client calls it: under /api, with and without the key."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from api_client import (
    AUTO_START,
    AUTO_STOP,
    EVENT,
    PUBLISH,
    QUICKCHECK,
    REHEARSE,
    STATUS,
    THEFT,
    WHY,
    client_of,
    event_log,
    grid_now,
    moment,
    operations,
    reads,
    refused,
    writes,
)
from helpers import FROZEN, READS, SMALL_FLEET, TENANT, Server, event_request
from pydantic.alias_generators import to_camel
from starlette.testclient import TestClient

from gridlens_core.clock import INTERVAL_MINUTES
from gridlens_core.database.queries import EVENTS_MIGRATION
from gridlens_core.database.schema import FEEDER_LOSS, FIELDOPS, OVERVIEW, SUSPICIOUS
from gridlens_core.demo import keys
from gridlens_core.demo import session as demo_session
from gridlens_core.demo.demo import Demo
from gridlens_core.explanation.catalogue import CATALOGUE
from gridlens_core.meters.events import EVENT_TYPES, Event
from gridlens_core.publishing.auto import MIN_SECONDS
from gridlens_core.publishing.publisher import lock_tenant

METERS = SMALL_FLEET["feeders"] * SMALL_FLEET["meters_per_feeder"]
MakeDemo = Callable[..., Demo]


@pytest.fixture
def api(demo: Demo) -> TestClient:
    """A client that has the key."""
    return client_of(demo, demo.session.api_key)


@pytest.fixture
def anyone(demo: Demo) -> TestClient:
    """A client that has no key."""
    return client_of(demo)


@pytest.fixture
def existing(make_demo: MakeDemo, new_database: Callable[..., str], seeded_template: str) -> Callable[..., Demo]:
    """`existing(url=None, **settings)` -> a Demo on a database that came from DATABASE_URL."""

    def make(url: str | None = None, **settings: object) -> Demo:
        return make_demo(template=None, database_url=url or new_database(seeded_template), **settings)

    return make


# --- who may ask ---------------------------------------------------------------------------------------


BODIES = {
    "a valid body": {"json": EVENT},
    "malformed JSON": {"content": b'{"tenantId":', "headers": {"Content-Type": "application/json"}},
    "bytes that are no text": {"content": b"\xff\xfe", "headers": {"Content-Type": "application/json"}},
    "a form": {"data": {"tenantId": TENANT}},
    "no body": {},
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_every_write_without_a_key_is_401_and_with_a_wrong_one_403_whatever_the_body(
    anyone: TestClient, body: dict[str, Any]
) -> None:
    paths = operations(anyone, "post")
    assert len(paths) >= 8
    for path in paths:
        response = anyone.post(path, **body)
        refused(response, 401, "key_missing")
        assert response.headers["www-authenticate"] == "Bearer"
        headers = {**body.get("headers", {}), "Authorization": "Bearer wrong"}
        refused(anyone.post(path, **{**body, "headers": headers}), 403, "key_wrong")
    assert event_log(anyone) == []
    assert grid_now(anyone) == FROZEN - timedelta(minutes=15)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_read_without_regard_to_case(anyone: TestClient, demo: Demo, scheme: str) -> None:
    response = anyone.post(THEFT, json=EVENT, headers={"Authorization": f"{scheme} {demo.session.api_key}"})
    assert response.status_code == 201


@pytest.mark.parametrize(
    "template",
    ["Basic {key}", "Token {key}", "{key}", "Bearer", "Bearer ", "Bearer{key}"],
    ids=["Basic", "Token", "the key alone", "Bearer alone", "an empty key", "no space"],
)
def test_another_scheme_is_401(anyone: TestClient, demo: Demo, template: str) -> None:
    header = template.format(key=demo.session.api_key)
    refused(anyone.post(THEFT, json=EVENT, headers={"Authorization": header}), 401, "key_missing")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda key: key[:-1], id="its beginning"),
        pytest.param(lambda key: key + "x", id="the key and more"),
        pytest.param(lambda key: key.swapcase(), id="the other case"),
        pytest.param(lambda key: key + " " + key, id="the key twice"),
        pytest.param(lambda _: "ключ", id="another alphabet"),
    ],
)
def test_a_key_that_is_nearly_right_is_403(anyone: TestClient, demo: Demo, change: Callable[[str], str]) -> None:
    header = f"Bearer {change(demo.session.api_key or '')}".encode()
    refused(anyone.post(THEFT, json=EVENT, headers={b"Authorization": header}), 403, "key_wrong")


def test_a_key_outside_ascii_works(make_demo: MakeDemo) -> None:
    demo = make_demo(api_key="schlüssel-ключ")
    response = client_of(demo).post(THEFT, json=EVENT, headers={b"Authorization": "Bearer schlüssel-ключ".encode()})
    assert response.status_code == 201


def test_keys_are_compared_in_constant_time(api: TestClient, demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(keys.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or False)
    refused(api.post(THEFT, json=EVENT), 403, "key_wrong")
    assert compared == [((demo.session.api_key or "").encode(),) * 2]


def test_an_existing_database_without_a_key_can_be_read_but_not_written(existing: Callable[..., Demo]) -> None:
    demo = existing()
    client = client_of(demo, "any key")
    for response in writes(client).values():
        assert "GRIDLENS_API_KEY" in refused(response, 403, "writes_off")["message"]
    assert {response.status_code for response in reads(client).values()} == {200}
    assert client.get(STATUS, params={"tenantId": TENANT}).json()["database"] == {"kind": "existing", "healthy": True}


def test_an_existing_database_with_a_key_takes_events(existing: Callable[..., Demo]) -> None:
    client = client_of(existing(api_key="the key"), "the key")
    assert client.post(THEFT, json=EVENT).status_code == 201
    refused(client.post(THEFT, json=EVENT, headers={"Authorization": "Bearer other"}), 403, "key_wrong")


def test_no_secret_stands_in_an_answer_the_openapi_document_or_the_log(
    existing: Callable[..., Demo],
    new_database: Callable[..., str],
    seeded_template: str,
    server: Server,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = sa.make_url(new_database(seeded_template)).set(password="pass-7f3a")
    demo = existing(url.render_as_string(hide_password=False), api_key="key-91c2")
    client = client_of(demo, "key-91c2")
    caplog.set_level(logging.DEBUG)

    def answers() -> list[str]:
        wrong = {"Authorization": "Bearer wrong"}
        refusals = [client.post(path, json=EVENT, headers=wrong) for path in operations(client, "post")]
        return [answer.text for answer in (*reads(client).values(), *writes(client).values(), *refusals)]

    said = [*answers(), client.get("/api/openapi.json").text]
    server.drop(str(url.database))
    away = answers()
    assert any("does not answer" in text for text in away)
    for secret in ("key-91c2", "pass-7f3a", str(url.query["host"]), str(url.database)):
        assert not any(secret in text for text in (*said, *away)), secret
    assert not any(secret in caplog.text for secret in ("key-91c2", "pass-7f3a"))


# --- what is answered ----------------------------------------------------------------------------------


def test_publish_once_answers_with_the_contracts_keys(api: TestClient) -> None:
    response = api.post(PUBLISH, json={"tenantId": TENANT, "intervalMinutes": 15, "batchSize": 50})
    assert response.status_code == 200
    body = response.json()
    assert body.keys() == {
        "ok",
        "tenantId",
        "readAt",
        "intervalMinutes",
        "meters",
        "inserted",
        "alreadyThere",
        "notRead",
        "events",
        "kpis",
    }
    assert (body["ok"], body["tenantId"], body["intervalMinutes"], body["meters"]) == (True, TENANT, 15, METERS)
    assert moment(body["readAt"]) == FROZEN
    assert body["inserted"] + body["notRead"] == METERS
    assert body["alreadyThere"] == 0
    assert body["events"] == []
    assert body["kpis"].keys() == {"before", "after"}
    kpis = {"day", "feederLossPct", *map(to_camel, CATALOGUE)}  # the meters' names are quickcheck's
    assert body["kpis"]["before"].keys() == body["kpis"]["after"].keys() == kpis
    assert body["kpis"]["after"]["suppliedKwh"] > body["kpis"]["before"]["suppliedKwh"]


def test_publish_once_needs_no_more_than_a_tenant(api: TestClient) -> None:
    assert api.post(PUBLISH, json={"tenantId": TENANT}).json()["intervalMinutes"] == 15


def test_two_publishes_move_the_grid_clock_by_two_intervals(api: TestClient) -> None:
    before = grid_now(api)
    read_at = [moment(api.post(PUBLISH, json={"tenantId": TENANT}).json()["readAt"]) for _ in range(2)]
    assert read_at == [before + timedelta(minutes=15), before + timedelta(minutes=30)]
    assert grid_now(api) == read_at[-1]


def test_several_cycles_are_counted_together(api: TestClient) -> None:
    before = grid_now(api)
    api.post("/api/ami/event/comms-outage", json={**EVENT, "durationMinutes": 15})
    body = api.post(PUBLISH, json={"tenantId": TENANT, "cycles": 4}).json()
    assert moment(body["readAt"]) == before + timedelta(hours=1)
    assert body["meters"] == METERS
    assert body["inserted"] + body["alreadyThere"] + body["notRead"] == 4 * METERS
    assert body["notRead"] >= SMALL_FLEET["meters_per_feeder"]
    assert [event["eventType"] for event in body["events"]] == ["comms-outage"]


@pytest.mark.parametrize("minutes", INTERVAL_MINUTES)
def test_each_accepted_interval_is_published(api: TestClient, minutes: int) -> None:
    before = moment(api.post(PUBLISH, json={"tenantId": TENANT}).json()["readAt"])
    body = api.post(PUBLISH, json={"tenantId": TENANT, "intervalMinutes": minutes}).json()
    assert moment(body["readAt"]) - before == timedelta(minutes=minutes)
    assert body["intervalMinutes"] == minutes


def test_any_positive_batch_size_gives_the_same_reads(make_demo: MakeDemo) -> None:
    def published(batch_size: str) -> list[Any]:
        demo = make_demo()
        body = f'{{"tenantId": "{TENANT}", "batchSize": {batch_size}}}'
        client = client_of(demo, demo.session.api_key)
        response = client.post(PUBLISH, content=body, headers={"Content-Type": "application/json"})
        assert response.status_code == 200, response.text
        with demo.session.transaction(read_only=True) as connection:
            statement = sa.text(f"SELECT * FROM {READS} WHERE read_at = :read_at ORDER BY meter_id")
            return list(connection.execute(statement, {"read_at": moment(response.json()["readAt"])}))

    expected = published("20000")
    assert len(expected) > METERS * 0.9
    for batch_size in ("1", "7", "0.5", "50.5", "1e300", "1" + "0" * 400):
        assert published(batch_size) == expected


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_an_event_is_created_at_the_grid_clock_with_the_contracts_keys(api: TestClient, event_type: str) -> None:
    response = api.post(f"/api/ami/event/{event_type}", json=EVENT)
    assert response.status_code == 201
    body = response.json()
    assert body.keys() == {"ok", "event"}
    assert body["ok"] is True
    event = body["event"]
    assert event.keys() == {to_camel(column.name) for column in fields(Event)}
    assert event["tenantId"] == TENANT
    assert (event["feederId"], event["meterId"]) == ("FEEDER_7", None)
    assert (event["eventType"], event["severity"]) == (event_type, 0.7)
    assert moment(event["startsAt"]) == grid_now(api)
    assert moment(event["endsAt"]) - moment(event["startsAt"]) == timedelta(hours=1)
    assert moment(event["createdAt"])


def test_an_event_may_be_of_every_feeder_or_one_meter_and_begin_at_any_time(api: TestClient) -> None:
    every = api.post(THEFT, json={**EVENT, "feederId": None}).json()["event"]
    assert every["feederId"] is None
    one = api.post(THEFT, json={**EVENT, "feederId": "FEEDER_1", "meterId": "MTR-00001"}).json()["event"]
    assert one["meterId"] == "MTR-00001"
    later = api.post(THEFT, json={**EVENT, "startsAt": "2026-11-20T09:30:00-06:00"}).json()["event"]
    assert later["startsAt"] == "2026-11-20T15:30:00Z"
    assert later["endsAt"] == "2026-11-20T16:30:00Z"


def test_an_event_ends_at_the_grid_clock_and_then_stays_as_it_was(api: TestClient) -> None:
    event = api.post(THEFT, json=EVENT).json()["event"]
    api.post(PUBLISH, json={"tenantId": TENANT})
    response = api.post(f"/api/ami/event/{event['id']}/end")
    assert response.status_code == 200
    ended = response.json()["event"]
    assert ended == {**event, "endsAt": ended["endsAt"]}
    assert moment(ended["endsAt"]) == grid_now(api) == moment(event["startsAt"]) + timedelta(minutes=15)
    api.post(PUBLISH, json={"tenantId": TENANT})
    assert api.post(f"/api/ami/event/{event['id']}/end").json()["event"] == ended


def test_an_event_that_lies_ahead_is_cancelled_by_ending_it(api: TestClient) -> None:
    event = api.post(THEFT, json={**EVENT, "startsAt": "2026-12-01T00:00:00Z"}).json()["event"]
    ended = api.post(f"/api/ami/event/{event['id']}/end").json()["event"]
    assert ended["endsAt"] == event["startsAt"]
    assert event_log(api, active="true") == []


def test_the_event_log_is_newest_first_and_can_be_narrowed_to_what_is_not_over(api: TestClient) -> None:
    first, second, third = (
        api.post(f"/api/ami/event/{event_type}", json=EVENT).json()["event"] for event_type in EVENT_TYPES
    )
    ended = api.post(f"/api/ami/event/{second['id']}/end").json()["event"]
    assert event_log(api) == [third, ended, first]
    assert event_log(api, active="true") == [third, first]
    assert event_log(api, active="false") == event_log(api)


def test_quickcheck_answers_with_the_contracts_keys_and_the_views_own_columns(api: TestClient, demo: Demo) -> None:
    event = api.post(THEFT, json=EVENT).json()["event"]
    api.post(PUBLISH, json={"tenantId": TENANT, "cycles": 2})
    body = api.get(QUICKCHECK, params={"tenantId": TENANT}).json()
    assert body.keys() == {
        "tenantId",
        "gridNow",
        "overviewLast5",
        "currentLossPct",
        "lossNote",
        "activeEvents",
        "feederLossLast10",
        "suspiciousMetersLast10",
        "fieldopsLast10",
    }
    assert body["tenantId"] == TENANT
    assert moment(body["gridNow"]) == grid_now(api)
    assert body["activeEvents"] == [event]
    for key, view, most in (
        ("overviewLast5", OVERVIEW, 5),
        ("feederLossLast10", FEEDER_LOSS, 10),
        ("suspiciousMetersLast10", SUSPICIOUS, 10),
        ("fieldopsLast10", FIELDOPS, 10),
    ):
        rows = body[key]
        assert 0 < len(rows) <= most
        assert all(row.keys() == demo.session.schema.views[view].columns.keys() for row in rows)
        days = [row["day"] for row in rows]
        assert days == sorted(days, reverse=True)
    days = [row["day"] for row in body["overviewLast5"]]
    assert days == [str(demo.desk.today(grid_now(api)) - timedelta(days=back)) for back in range(5)]
    assert body["feederLossLast10"][0]["feeder_id"] == "FEEDER_7"
    assert body["currentLossPct"] == body["overviewLast5"][0]["loss_percent_pct"] > 2
    assert body["lossNote"] is None


def test_quickcheck_is_of_one_moment_while_cycles_are_published(demo: Demo) -> None:
    demo.trigger(TENANT, event_request(duration_minutes=600))
    with ThreadPoolExecutor(1) as worker:
        publishing = worker.submit(demo.publish, TENANT, cycles=5)
        seen = set()
        while not publishing.done():
            found = demo.desk.fresh(TENANT)
            today = found.rows[OVERVIEW][0]
            assert today["last_updated"] == found.grid_now
            assert today["loss_percent_pct"] == found.kpis["loss_pct"]
            seen.add(found.grid_now)
        publishing.result()
    assert len(seen) > 1


def test_why_answers_with_the_contracts_keys_and_parts_that_add_up(api: TestClient, demo: Demo) -> None:
    first = api.post(THEFT, json=EVENT).json()["event"]
    second = api.post("/api/ami/event/comms-outage", json={**EVENT, "feederId": "FEEDER_2"}).json()["event"]
    api.post(PUBLISH, json={"tenantId": TENANT, "cycles": 3})
    body = api.get(WHY, params={"tenantId": TENANT}).json()
    assert body.keys() == {"tenantId", "gridNow", "since", "exact", "note", "kpis"}
    assert (body["tenantId"], body["exact"], body["note"]) == (TENANT, True, "")
    assert (moment(body["gridNow"]), moment(body["since"])) == (grid_now(api), moment(first["startsAt"]))
    kpis = {one["kpi"]: one for one in body["kpis"]}
    assert list(kpis) == list(CATALOGUE)
    said = demo.desk.fresh(TENANT).kpis
    for name, one in kpis.items():
        assert one.keys() == {"kpi", "before", "without", "now", "drift", "effects"}
        assert Decimal(one["now"]) == said[name]
        assert [effect["eventId"] for effect in one["effects"]] == [first["id"], second["id"]]
        changes = [Decimal(effect["change"]) for effect in one["effects"]]
        assert Decimal(one["before"]) + Decimal(one["drift"]) == Decimal(one["without"])
        assert Decimal(one["without"]) + sum(changes) == Decimal(one["now"])
    assert Decimal(kpis["loss_pct"]["effects"][0]["change"]) > 0
    assert Decimal(kpis["read_success_pct"]["effects"][1]["change"]) < 0


def test_why_of_a_day_without_events_is_that_nothing_but_itself_moves(api: TestClient) -> None:
    body = api.get(WHY, params={"tenantId": TENANT}).json()
    assert (body["exact"], body["note"], body["since"]) == (True, "", body["gridNow"])
    for one in body["kpis"]:
        assert one["before"] == one["without"] == one["now"]
        assert (one["drift"], one["effects"]) == ("0", [])


def test_status_answers_clock_events_timer_and_database(api: TestClient) -> None:
    event = api.post(THEFT, json=EVENT).json()["event"]
    api.post(PUBLISH, json={"tenantId": TENANT, "cycles": 3})
    body = api.get(STATUS, params={"tenantId": TENANT}).json()
    assert body == {
        "ok": True,
        "tenantId": TENANT,
        "gridNow": "2026-11-18T18:30:00Z",
        "wallNow": "2026-11-18T18:00:00Z",
        "aheadMinutes": 30.0,
        "lastReadAt": "2026-11-18T18:30:00Z",
        "activeEvents": [event],
        "auto": {
            "running": False,
            "here": False,
            "everySeconds": None,
            "intervalMinutes": None,
            "problem": None,
        },
        "database": {"kind": "local", "healthy": True},
    }


def test_the_timer_publishes_until_it_is_stopped(api: TestClient) -> None:
    before = grid_now(api)
    start = {"tenantId": TENANT, "everySeconds": MIN_SECONDS, "intervalMinutes": 30}
    body = api.post(AUTO_START, json=start).json()
    running = {"running": True, "here": True, "everySeconds": MIN_SECONDS, "intervalMinutes": 30, "problem": None}
    assert body == {"ok": True, "tenantId": TENANT, "auto": running}
    assert api.get(STATUS, params={"tenantId": TENANT}).json()["auto"] == running
    _wait_until(lambda: grid_now(api) > before)
    assert grid_now(api) - before >= timedelta(minutes=30)
    stopped = api.post(AUTO_STOP, json={"tenantId": TENANT}).json()
    assert stopped.keys() == {"ok", "tenantId", "auto"}
    assert stopped["auto"]["running"] is False


def test_a_running_timer_is_given_new_times_and_stopping_twice_does_no_harm(api: TestClient) -> None:
    for seconds in (600, 3600):
        body = api.post(AUTO_START, json={"tenantId": TENANT, "everySeconds": seconds}).json()
        assert body["auto"]["everySeconds"] == seconds
    for _ in range(2):
        assert api.post(AUTO_STOP, json={"tenantId": TENANT}).status_code == 200


def test_one_process_at_a_time_publishes_on_a_timer(api: TestClient, demo: Demo, make_demo: MakeDemo) -> None:
    other = make_demo(data_dir=demo.settings.data_dir)
    elsewhere = client_of(other, other.session.api_key)
    body = {"tenantId": TENANT, "everySeconds": 600}
    assert elsewhere.post(AUTO_START, json=body).status_code == 200
    refused(api.post(AUTO_START, json=body), 409, "auto_publish_elsewhere")
    auto = api.get(STATUS, params={"tenantId": TENANT}).json()["auto"]
    assert (auto["running"], auto["here"]) == (True, False)
    elsewhere.post(AUTO_STOP, json={"tenantId": TENANT})
    assert api.post(AUTO_START, json=body).status_code == 200


def test_reset_ends_events_and_restores_the_local_baseline(api: TestClient) -> None:
    before = api.get(QUICKCHECK, params={"tenantId": TENANT}).json()
    api.post(THEFT, json=EVENT)
    api.post(PUBLISH, json={"tenantId": TENANT, "cycles": 2})
    body = api.post("/api/ami/demo/reset", json={"tenantId": TENANT}).json()
    assert body.keys() == {"ok", "tenantId", "eventsEnded", "baselineRestored", "gridNow", "kpis"}
    assert (body["eventsEnded"], body["baselineRestored"]) == (1, True)
    assert body["kpis"]["lossPct"] == before["currentLossPct"]
    assert api.get(QUICKCHECK, params={"tenantId": TENANT}).json() == before


def test_reset_on_an_existing_database_ends_events_and_keeps_every_read(existing: Callable[..., Demo]) -> None:
    demo = existing(api_key="the key")
    client = client_of(demo, "the key")
    event = client.post(THEFT, json=EVENT).json()["event"]
    published = client.post(PUBLISH, json={"tenantId": TENANT}).json()["readAt"]
    body = client.post("/api/ami/demo/reset", json={"tenantId": TENANT}).json()
    assert (body["eventsEnded"], body["baselineRestored"]) == (1, False)
    assert body["gridNow"] == published
    assert event_log(client) == [{**event, "endsAt": published}]


def test_rehearse_answers_the_path_the_kpis_would_take_and_leaves_nothing(api: TestClient) -> None:
    before = api.get(QUICKCHECK, params={"tenantId": TENANT}).json()
    body = api.post(REHEARSE, json={**EVENT, "eventType": "theft", "cycles": 2}).json()
    assert body.keys() == {"ok", "tenantId", "event", "intervalMinutes", "before", "path"}
    assert [moment(step["readAt"]) for step in body["path"]] == [FROZEN, FROZEN + timedelta(minutes=15)]
    for step in body["path"]:
        assert step.keys() == {"readAt", "kpis", "without"}
        assert step["kpis"]["lossPct"] > step["without"]["lossPct"]
    assert body["before"]["lossPct"] == before["currentLossPct"]
    assert api.get(QUICKCHECK, params={"tenantId": TENANT}).json() == before
    assert event_log(api) == []


def test_health_is_200_while_the_database_answers(anyone: TestClient) -> None:
    response = anyone.get("/api/health")
    assert (response.status_code, response.json()) == (200, {"ok": True, "database": "local"})


# --- trouble -------------------------------------------------------------------------------------------


def test_while_the_demo_starts_every_call_is_503(make_demo: MakeDemo) -> None:
    demo = make_demo(start=False)
    client = client_of(demo, demo.session.api_key)
    for response in (*reads(client).values(), *writes(client).values()):
        refused(response, 503, "starting")


def test_a_database_that_is_away_is_503_on_every_call(
    existing: Callable[..., Demo], new_database: Callable[..., str], seeded_template: str, server: Server
) -> None:
    url = new_database(seeded_template)
    client = client_of(existing(url, api_key="the key"), "the key")
    assert client.get("/api/health").status_code == 200
    server.drop(str(sa.make_url(url).database))
    for response in (*reads(client).values(), *writes(client).values()):
        error = refused(response, 503, "database_unavailable")
        assert error["message"].startswith("The database does not answer: ")


def test_a_server_started_before_its_database_finds_it_later(
    existing: Callable[..., Demo],
    make_demo: MakeDemo,
    server: Server,
    seeded_template: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo_session, "RETRY_SECONDS", 0.05)
    demo = make_demo(template=None, start=False, database_url=server.url_of("test_late"))
    client = client_of(demo)
    demo.session.start_in_background()
    _wait_until(lambda: demo.session.start_error is not None)
    error = refused(client.get("/api/health"), 503, "database_unavailable")
    assert error["details"] == {"reason": "that database or user does not exist on the server"}
    server.create("test_late", seeded_template)
    try:
        _wait_until(lambda: client.get("/api/health").status_code == 200)
    finally:
        demo.stop()
        server.drop("test_late")


def test_a_start_that_fails_for_another_reason_says_so_and_is_logged(
    make_demo: MakeDemo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("inner workings")

    demo = make_demo(start=False)
    monkeypatch.setattr(demo_session.seeding, "prepare_local", broken)
    demo.session.start_in_background()
    _wait_until(lambda: demo.session.start_error is not None)
    error = refused(client_of(demo).get("/api/health"), 503, "database_not_ready")
    assert "log" in error["message"]
    assert "inner" not in error["message"]
    assert "inner workings" in caplog.text


def test_a_missing_events_table_is_503_with_its_remedy_until_it_is_there(
    existing: Callable[..., Demo],
    new_database: Callable[..., str],
    seeded_template: str,
    open_database: Callable[..., Any],
) -> None:
    url = new_database(seeded_template)
    database = open_database(url)
    with database.transaction() as connection:
        connection.exec_driver_sql("DROP TABLE public.ami_events")
    client = client_of(existing(url, api_key="the key"), "the key")
    needed_by = {path: answer for path, answer in (reads(client) | writes(client)).items() if "/auto/" not in path}
    assert needed_by.pop("/api/health").status_code == 200
    for response in needed_by.values():
        error = refused(response, 503, "database_not_ready")
        assert "python -m gridlens_core migrate" in error["message"]
        assert error["details"] == {"missing": "ami_events"}
    with database.transaction() as connection:
        connection.exec_driver_sql(EVENTS_MIGRATION.read_text(encoding="utf-8"))
    assert client.get(QUICKCHECK, params={"tenantId": TENANT}).status_code == 200
    assert client.post(THEFT, json=EVENT).status_code == 201


def test_a_write_the_database_refuses_is_503_in_plain_words_and_leaves_nothing(api: TestClient, demo: Demo) -> None:
    before = grid_now(api)
    with demo.session.transaction() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {READS} ADD CONSTRAINT of_theirs CHECK (read_at <= '{before}')")
    error = refused(api.post(PUBLISH, json={"tenantId": TENANT}), 503, "database_refused")
    assert "a rule of the table" in error["message"]
    assert "violates" not in str(error)
    assert grid_now(api) == before


def test_a_mistake_of_ours_is_500_in_the_one_shape_and_shows_nothing_of_the_inside(
    api: TestClient, demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("inner workings")

    monkeypatch.setattr(demo, "publish", broken)
    response = api.post(PUBLISH, json={"tenantId": TENANT})
    refused(response, 500, "internal")
    assert "inner" not in response.text


def waits_for_the_tenant(demo: Demo) -> bool:
    """Whether a transaction of this database waits for the lock of the tenant."""
    with demo.session.database.engine.connect() as connection:
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = "
        return (
            connection.exec_driver_sql(
                f"{waiting}(SELECT oid FROM pg_database WHERE datname = current_database())"
            ).scalar_one()
            > 0
        )


def test_a_publish_that_waits_keeps_no_other_request_waiting(demo: Demo) -> None:
    with (
        client_of(demo, demo.session.api_key) as api,
        ThreadPoolExecutor(1) as worker,
    ):  # one event loop for all requests
        with demo.session.transaction() as connection:
            lock_tenant(connection, TENANT)
            publishing = worker.submit(api.post, PUBLISH, json={"tenantId": TENANT})
            _wait_until(lambda: waits_for_the_tenant(demo))
            for response in reads(api).values():
                assert response.status_code == 200
            assert not publishing.done()
        assert publishing.result().status_code == 200


def test_an_event_waits_for_a_cycle_under_way_and_begins_after_it(demo: Demo) -> None:
    with client_of(demo, demo.session.api_key) as api, ThreadPoolExecutor(1) as worker:
        with demo.session.transaction() as connection:
            lock_tenant(connection, TENANT)
            triggering = worker.submit(api.post, THEFT, json=EVENT)
            _wait_until(lambda: waits_for_the_tenant(demo))
            assert not triggering.done()
            assert event_log(api) == []
        assert triggering.result().status_code == 201


# --- what is offered -----------------------------------------------------------------------------------


def test_an_unknown_path_is_404_and_a_wrong_method_405_in_the_one_shape(api: TestClient) -> None:
    for path in (
        "/api/nowhere",
        "/metrics",
        "/api/ami",
        "/api/ami/event/flood",
        "/api/health/",
        "/api/docs",
        "/api/redoc",
    ):
        refused(api.get(path), 404, "not_found")
    refused(api.post("/api/ami/event/flood", json=EVENT), 404, "not_found")
    for method, path, allowed in (
        ("GET", PUBLISH, "POST"),
        ("OPTIONS", PUBLISH, "POST"),
        ("DELETE", "/api/ami/events", "GET"),
        ("POST", QUICKCHECK, "GET"),
    ):
        response = api.request(method, path)
        refused(response, 405, "method_not_allowed")
        assert response.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/api", "/api/"])
def test_the_bare_address_lists_every_call(anyone: TestClient, path: str) -> None:
    answer = anyone.get(path).json()
    assert anyone.get(answer["document"]).status_code == 200
    posts = {one["call"].removeprefix("POST ") for one in answer["calls"] if one["needsKey"]}
    gets = {one["call"].removeprefix("GET ") for one in answer["calls"] if not one["needsKey"]}
    assert len(posts) >= 8
    assert posts == {
        path.replace(path.split("/")[4], "{id}") if path.endswith("/end") else path
        for path in operations(anyone, "post")
    }
    assert gets == set(operations(anyone, "get"))
    assert all(one["does"] for one in answer["calls"])


def test_head_is_answered_like_get(anyone: TestClient) -> None:
    assert anyone.head("/api/health").status_code == 200
    assert anyone.head("/api/nowhere").status_code == 404
    assert anyone.head(STATUS).status_code == 422


def test_the_openapi_document_names_the_key_the_errors_and_what_is_accepted(anyone: TestClient) -> None:
    document = anyone.get("/api/openapi.json").json()
    assert document["servers"] == [{"url": "/api"}]
    (scheme,) = document["components"]["securitySchemes"].items()
    assert (scheme[1]["type"], scheme[1]["scheme"]) == ("http", "bearer")
    for item in document["paths"].values():
        for method, operation in item.items():
            assert operation.get("security") == ([{scheme[0]: []}] if method == "post" else None)
            expected = {"401", "403", "422", "503"} if method == "post" else {"503"}
            assert expected <= operation["responses"].keys()
            for status, response in operation["responses"].items():
                name = response["content"]["application/json"]["schema"]["$ref"].split("/")[-1]
                assert (name == "ErrorAnswer") == (int(status) >= 400)
    schemas = document["components"]["schemas"]
    assert schemas["PublishBody"]["properties"]["intervalMinutes"]["enum"] == list(INTERVAL_MINUTES)
    assert schemas["EventFacts"]["properties"].keys() == {to_camel(column.name) for column in fields(Event)}


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
