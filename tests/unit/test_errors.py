from __future__ import annotations

from collections.abc import Iterator

import pytest

from gridlens_core import errors
from gridlens_core.errors import BadInputError, GridLensError, UnknownFeederError


def every_error(kind: type[GridLensError] = GridLensError) -> Iterator[type[GridLensError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from every_error(below)


ERRORS = list(every_error())


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_the_docstring_is_the_default_message(kind: type[GridLensError]) -> None:
    assert kind.__module__ == errors.__name__
    assert kind().message == str(kind()) == kind.__doc__
    assert 400 <= kind.status < 600


def test_no_two_errors_share_a_code() -> None:
    codes = [kind.code for kind in ERRORS]
    assert len(set(codes)) == len(codes)


def test_facts_travel_with_the_error() -> None:
    error = UnknownFeederError("no such feeder", feeder_id="X", feeders=["FEEDER_1"])
    assert error.details == {"feeder_id": "X", "feeders": ["FEEDER_1"]}


def test_bad_input_names_the_field_the_value_and_what_is_accepted() -> None:
    error = BadInputError.of("severity", 2, "a fraction over 0 and up to 1")
    assert error.message == "severity is 2; accepted: a fraction over 0 and up to 1"
    assert error.details == {"field": "severity", "accepted": "a fraction over 0 and up to 1"}
