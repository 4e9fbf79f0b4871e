"""The HTTP API held to its own OpenAPI document, with good and bad requests made from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import schemathesis
from api_client import KEY, served, shared_demo
from helpers import TENANT, Server
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

# What the document cannot say: which feeders and meters there are, when an event may begin, what has a pattern.
WITHIN_REACH = {
    "feederId": "FEEDER_7",
    "meterId": "MTR-00121",
    "startsAt": "2026-11-20T09:30:00-06:00",
    "pattern": "bypass",
    "cycles": 2,
}
BOUNDED = settings(
    max_examples=5, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def document(
    server: Server, seeded_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[schemathesis.BaseSchema]:
    """The document of a demo that all generated requests share."""
    with shared_demo(server, seeded_template, tmp_path_factory.mktemp("schema")) as demo:
        yield schemathesis.openapi.from_asgi("/api/openapi.json", served(demo))


def test_the_document_is_valid(document: schemathesis.BaseSchema) -> None:
    document.validate()


def test_any_good_request_is_answered_as_documented(document: schemathesis.BaseSchema) -> None:
    assert _ask_everything(document, GenerationMode.POSITIVE)[403] > 30


def test_any_good_request_of_a_real_tenant_is_answered_as_documented(document: schemathesis.BaseSchema) -> None:
    def of_a_real_tenant(case: schemathesis.Case) -> schemathesis.Case:
        for values in (case.body, case.query):
            if isinstance(values, dict) and "tenantId" in values:
                values["tenantId"] = TENANT
                values.update({name: chosen for name, chosen in WITHIN_REACH.items() if values.get(name)})
        return case

    statuses = _ask_everything(document, GenerationMode.POSITIVE, of_a_real_tenant)
    assert statuses[200] > 30
    assert statuses[201] > 5


def test_any_bad_request_is_refused_as_documented(document: schemathesis.BaseSchema) -> None:
    statuses = _ask_everything(document, GenerationMode.NEGATIVE)
    assert statuses[422] > 30
    assert all(400 <= status < 500 for status in statuses)


def _ask_everything(
    document: schemathesis.BaseSchema,
    mode: GenerationMode,
    change: Callable[[schemathesis.Case], schemathesis.Case] = lambda case: case,
) -> Counter[int]:
    """Holds the answers to requests of every operation to the document; returns how often each status came."""
    statuses: Counter[int] = Counter()
    for result in document.get_all_operations():
        operation = result.ok()
        if mode is GenerationMode.NEGATIVE and operation.path == "/health":
            continue  # it takes no parameters, so none can be wrong

        @BOUNDED
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: schemathesis.Case) -> None:
            response = change(case).call_and_validate(headers={"Authorization": f"Bearer {KEY}"})
            statuses[response.status_code] += 1

        ask()
    return statuses
