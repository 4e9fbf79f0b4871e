"""What the HTTP API refuses: never with a 500, always naming the field and what is accepted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from api_client import (
    AUTO_START,
    BODIES,
    EVENT,
    KEY,
    PUBLISH,
    QUICKCHECK,
    REHEARSE,
    STATUS,
    THEFT,
    client_of,
    event_log,
    grid_now,
    operations,
    reads,
    refused,
    shared_demo,
    writes,
)
from helpers import FROZEN, SMALL_FLEET, TENANT, Server
from starlette.testclient import TestClient

from gridlens_core.clock import INTERVAL_MINUTES
from gridlens_core.demo.demo import MAX_CYCLES, Demo
from gridlens_core.explanation.rehearsal import MOST_CYCLES
from gridlens_core.meters.events import EVENT_TYPES, MAX_DURATION_MINUTES
from gridlens_core.meters.patterns import PATTERNS
from gridlens_core.publishing.auto import MAX_SECONDS, MIN_SECONDS

TENANT_ONLY = {"tenantId": TENANT}
NO_NUMBERS = ["NaN", "Infinity", "-Infinity", "1e400", "true", "null", '"15"', "[15]", "{}"]
NO_NAMES = ["7", "true", "[]", "{}", '"\\ud800"', '"' + "x" * 201 + '"', '"' + "x" * 60_000 + '"']
LONG_NUMBER = "1" + "0" * 400
NO_TIMES = [
    '"2026-11-18T18:00:00"',
    '"2026-11-18"',
    '"tomorrow"',
    '""',
    '"\\u0000"',
    '"1763488800"',
    "1763488800",
    "true",
    '"2026-13-01T00:00:00Z"',
    '"0001-01-01T00:00:00Z"',
    '"0001-01-01T00:00:00+23:59"',
    '"1999-12-31T23:59:59Z"',
    '"2100-01-01T00:00:00Z"',
    '"9999-12-31T23:59:59-12:00"',
]
# (path, a good body, field, what is accepted, values in JSON that are not)
BAD_FIELDS = [
    (PUBLISH, TENANT_ONLY, "tenantId", "GRIDLENS_TENANTS", ["null", '""', *NO_NAMES]),
    (
        PUBLISH,
        TENANT_ONLY,
        "intervalMinutes",
        ", ".join(map(str, INTERVAL_MINUTES)),
        ["0", "-15", "7", "14.5", "1440", "1e300", LONG_NUMBER, *NO_NUMBERS],
    ),
    (PUBLISH, TENANT_ONLY, "batchSize", "any positive number", ["0", "-1", "-0.5", "-" + LONG_NUMBER, *NO_NUMBERS]),
    (
        PUBLISH,
        TENANT_ONLY,
        "cycles",
        f"1 to {MAX_CYCLES}",
        ["0", "-1", str(MAX_CYCLES + 1), "1.5", LONG_NUMBER, *NO_NUMBERS],
    ),
    (THEFT, EVENT, "tenantId", "GRIDLENS_TENANTS", ["null", *NO_NAMES]),
    (THEFT, EVENT, "feederId", "a feeder of the tenant", NO_NAMES),
    (THEFT, EVENT, "meterId", "a meter of the feeder", NO_NAMES),
    (
        THEFT,
        EVENT,
        "durationMinutes",
        f"1 to {MAX_DURATION_MINUTES} minutes",
        ["0", "0.99", "-60", str(MAX_DURATION_MINUTES + 1), LONG_NUMBER, *NO_NUMBERS],
    ),
    (THEFT, EVENT, "severity", "over 0 and up to 1", ["0", "-0.1", "1.01", "70", "1e-400", LONG_NUMBER, *NO_NUMBERS]),
    (THEFT, EVENT, "startsAt", "a time", NO_TIMES),
    (
        AUTO_START,
        TENANT_ONLY,
        "everySeconds",
        f"{MIN_SECONDS} to {MAX_SECONDS} seconds",
        [str(MIN_SECONDS - 0.01), str(MAX_SECONDS + 1), "0", "-1", LONG_NUMBER, *NO_NUMBERS],
    ),
    (REHEARSE, BODIES[REHEARSE], "cycles", f"1 to {MOST_CYCLES}", ["0", str(MOST_CYCLES + 1), *NO_NUMBERS]),
    (REHEARSE, BODIES[REHEARSE], "eventType", ", ".join(EVENT_TYPES), ['"flood"', "null", *NO_NAMES]),
    (REHEARSE, BODIES[REHEARSE], "pattern", ", ".join(PATTERNS), ['"daily"', "null", *NO_NAMES]),
    (AUTO_START, TENANT_ONLY, "intervalMinutes", ", ".join(map(str, INTERVAL_MINUTES)), ["0", "16", *NO_NUMBERS]),
]
UNREADABLE = {
    "no body": b"",
    "a list": b"[]",
    "null": b"null",
    "a text": b'"theft"',
    "a number": b"1e999",
    "half an object": b'{"tenantId":',
    "two objects": b"{}{}",
    "a field name that is no text": b'{"\\ud800": 1}',
    "bytes that are no text": b'{"tenantId":"\xff"}',
    "a nesting without end": b"[" * 60_000,
    "a number of 5000 digits": b'{"tenantId":' + b"1" * 5000 + b"}",
}


@pytest.fixture(scope="module")
def demo(server: Server, seeded_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Shared by all tests here: none of their requests may change anything."""
    with shared_demo(server, seeded_template, tmp_path_factory.mktemp("input")) as demo:
        yield demo


@pytest.fixture(scope="module")
def api(demo: Demo) -> TestClient:
    """A client that has the key."""
    return client_of(demo, KEY)


@pytest.fixture(autouse=True)
def _nothing_changes(api: TestClient) -> Iterator[None]:
    yield
    assert event_log(api) == []
    assert grid_now(api) == FROZEN - timedelta(minutes=15)


def post_json(api: TestClient, path: str, text: str | bytes) -> Any:
    return api.post(path, content=text, headers={"Content-Type": "application/json"})


def with_value(body: dict[str, Any], field: str, value: str) -> str:
    """The body as JSON text, one field's value as it stands."""
    return json.dumps({**body, field: "VALUE"}).replace('"VALUE"', value)


@pytest.mark.parametrize(
    ("path", "body", "field", "accepted", "values"),
    BAD_FIELDS,
    ids=[f"{field} of {path.rsplit('/', 1)[-1]}" for path, _, field, _, _ in BAD_FIELDS],
)
def test_a_bad_value_is_422_naming_field_and_accepted_values(
    api: TestClient, path: str, body: dict[str, Any], field: str, accepted: str, values: list[str]
) -> None:
    for value in values:
        error = refused(post_json(api, path, with_value(body, field, value)), 422, "bad_input")
        (wrong,) = error["details"]["fields"]
        assert wrong.keys() == {"field", "problem", "accepted"}
        assert wrong["field"] == field
        assert accepted in wrong["accepted"]
        assert field in error["message"]
        assert wrong["accepted"] in error["message"]
        assert len(error["message"]) < 1000
    assert api.get(STATUS, params=TENANT_ONLY).json()["auto"]["running"] is False


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_a_body_that_is_no_json_object_is_422(api: TestClient, content: bytes) -> None:
    for path in (PUBLISH, THEFT, AUTO_START):
        assert refused(post_json(api, path, content), 422, "bad_input")["details"]["fields"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "nonsense", ""])
def test_a_body_that_does_not_come_as_json_is_422(api: TestClient, content_type: str) -> None:
    response = api.post(PUBLISH, content='{"tenantId": "DEMO_TENANT"}', headers={"Content-Type": content_type})
    (wrong,) = refused(response, 422, "bad_input")["details"]["fields"]
    assert (wrong["field"], wrong["accepted"]) == ("body", "a JSON object, sent as application/json")


@pytest.mark.parametrize("field", ["tenantId", "feederId", "durationMinutes", "severity"])
def test_a_missing_field_is_422(api: TestClient, field: str) -> None:
    body = {name: value for name, value in EVENT.items() if name != field}
    (wrong,) = refused(api.post(THEFT, json=body), 422, "bad_input")["details"]["fields"]
    assert (wrong["field"], wrong["problem"]) == (field, "missing")


@pytest.mark.parametrize("name", ["batchsize", "batch_size", "x" * 60_000, "\u0000", "__proto__"])
def test_an_unknown_field_is_422_and_not_passed_over(api: TestClient, name: str) -> None:
    response = post_json(api, PUBLISH, json.dumps({**TENANT_ONLY, name: 50}))
    (wrong,) = refused(response, 422, "bad_input")["details"]["fields"]
    assert wrong["problem"] == "unknown"
    assert wrong["accepted"] == "only the fields tenantId, intervalMinutes, batchSize, cycles"
    assert len(wrong["field"]) <= 200


def test_every_wrong_field_is_named_at_once(api: TestClient) -> None:
    error = refused(api.post(THEFT, json={**EVENT, "severity": 7, "durationMinutes": 0}), 422)
    assert [wrong["field"] for wrong in error["details"]["fields"]] == ["durationMinutes", "severity"]


@pytest.mark.parametrize("feeder", ["FEEDER_99", "feeder_7", "", " FEEDER_7", "a\u0000b", "FEEDER_7'--", "変電所"])
def test_an_unknown_feeder_is_404_listing_the_feeders(api: TestClient, feeder: str) -> None:
    error = refused(api.post(THEFT, json={**EVENT, "feederId": feeder}), 404, "unknown_feeder")
    feeders = [f"FEEDER_{number}" for number in range(1, SMALL_FLEET["feeders"] + 1)]
    assert error["details"] == {"feederId": feeder, "feeders": feeders}


@pytest.mark.parametrize("meter", ["MTR-99999", "MTR-00001", "", "\u0000", "💡"])
def test_a_meter_that_is_not_on_the_feeder_is_404(api: TestClient, meter: str) -> None:
    error = refused(api.post(THEFT, json={**EVENT, "meterId": meter}), 404, "unknown_meter")
    assert error["details"]["meterId"] == meter
    assert "MTR-00121" in error["message"]


@pytest.mark.parametrize("event_id", ["1", "theft", "None", "%00", "x" * 500, "0" * 33])
def test_an_event_id_that_is_no_uuid_is_422(api: TestClient, event_id: str) -> None:
    (wrong,) = refused(api.post(f"/api/ami/event/{event_id}/end"), 422, "bad_input")["details"]["fields"]
    assert (wrong["field"], wrong["accepted"]) == ("id", "an event's UUID")


def test_an_unknown_event_is_404(api: TestClient) -> None:
    nobody = "00000000-0000-0000-0000-000000000000"
    error = refused(api.post(f"/api/ami/event/{nobody}/end"), 404, "unknown_event")
    assert error["details"] == {"id": nobody}


@pytest.mark.parametrize("tenant", ["ANOTHER_UTILITY", "demo_tenant", "DEMO_TENANT ", "DEMO_TENANT\u0000", "*", "電力"])
def test_a_tenant_that_is_not_named_is_403_everywhere(api: TestClient, tenant: str) -> None:
    answers = reads(api, tenant) | writes(api, tenant)
    assert answers.pop("/api/health").status_code == 200
    asked = {path: answer for path, answer in answers.items() if not path.endswith("/end")}
    assert len(asked) >= 10
    for response in asked.values():
        error = refused(response, 403, "tenant_not_allowed")
        assert error["details"] == {"tenantId": tenant, "tenants": [TENANT]}


def test_an_event_of_another_tenant_cannot_be_ended(api: TestClient, demo: Demo) -> None:
    with demo.session.transaction() as connection:
        event_id = connection.exec_driver_sql(
            "INSERT INTO public.ami_events (tenant_id, event_type, starts_at, ends_at) "
            "VALUES ('ANOTHER_UTILITY', 'theft', '2020-01-01', '2099-01-01') RETURNING id"
        ).scalar_one()
    refused(api.post(f"/api/ami/event/{event_id}/end"), 403, "tenant_not_allowed")
    with demo.session.transaction() as connection:
        ends = connection.exec_driver_sql("SELECT DISTINCT extract(year FROM ends_at) FROM public.ami_events")
        assert ends.scalars().all() == [2099]


@pytest.mark.parametrize("query", [{}, {"tenantId": ""}, {"tenantId": "x" * 201}, {"tenant_id": TENANT}])
def test_a_question_without_a_usable_tenant_is_422(api: TestClient, query: dict[str, str]) -> None:
    for path in operations(api, "get"):
        if path != "/api/health":
            (wrong,) = refused(api.get(path, params=query), 422, "bad_input")["details"]["fields"]
            assert (wrong["field"], wrong["accepted"]) == ("tenantId", "a tenant named in GRIDLENS_TENANTS")


def test_active_is_true_or_false(api: TestClient) -> None:
    (wrong,) = refused(api.get("/api/ami/events", params={**TENANT_ONLY, "active": "perhaps"}), 422)["details"][
        "fields"
    ]
    assert (wrong["field"], wrong["accepted"]) == ("active", "true or false")


def test_bytes_that_are_no_text_in_a_query_are_refused(api: TestClient) -> None:
    refused(api.get(f"{QUICKCHECK}?tenantId=%ff%fe%00"), 403, "tenant_not_allowed")


# --- what is not read at all ----------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
def test_a_body_over_64_kb_is_413_before_it_is_read(api: TestClient, chunked: bool) -> None:
    sent: list[int] = []

    def chunks() -> Iterator[bytes]:
        for number in range(1000):
            sent.append(number)
            yield b"x" * 1024

    content: Any = chunks() if chunked else b"x" * 70_000
    response = api.post(PUBLISH, content=content, headers={"Content-Type": "application/json"})
    assert refused(response, 413, "body_too_long")["details"] == {"mostBytes": 65_536}
    assert response.headers["connection"] == "close"


def test_a_body_of_64_kb_is_read(api: TestClient) -> None:
    refused(post_json(api, PUBLISH, b" " * 65_536), 422, "bad_input")


@pytest.mark.parametrize("length", ["-1", "ten", "1e3", "9" * 30])
def test_a_length_that_is_none_is_413(api: TestClient, length: str) -> None:
    refused(api.post(PUBLISH, content=b"{}", headers={"Content-Length": length}), 413, "body_too_long")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param('{"tenantId": "DEMO_TENANT", "tenantId": "OTHER"}', "tenantId", id="another value"),
        pytest.param('{"tenantId": "DEMO_TENANT", "tenantId": "DEMO_TENANT"}', "tenantId", id="the same value"),
        pytest.param('{"tenantId": "DEMO_TENANT", "cycles": 1, "cycl\\u0065s": 2}', "cycles", id="written otherwise"),
        pytest.param('{"tenantId": {"a": 1, "a": 2}}', "a", id="further inside"),
        pytest.param("{" + '"x": 1, "y": 2, ' * 4000 + '"z": 1}', "x", id="thousands"),
    ],
)
def test_a_field_that_stands_twice_is_422_naming_it(api: TestClient, body: str, field: str) -> None:
    (wrong,) = refused(post_json(api, PUBLISH, body), 422, "bad_input")["details"]["fields"]
    assert wrong == {"field": field, "problem": "stands twice", "accepted": "each field once"}
