"""The last known answers: asked once for all who want them, and never waited for longer than a page may."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread
from time import monotonic

import pytest

from gridlens_core.demo.latest import Answer, Latest
from gridlens_core.errors import DatabaseBusyError, DatabaseUnavailableError, GridLensError

PATIENCE = {"patience_s": 0.05, "first_patience_s": 5.0}
LONG = {"patience_s": 5.0, "first_patience_s": 5.0}


def saying(value: int) -> Callable[[], int]:
    """A question that is answered at once."""
    return lambda: value


def away() -> int:
    raise DatabaseUnavailableError("away")


def at_least(latest: Latest[int], wanted: int, ask: Callable[[], int], **patience: float) -> Answer[int]:
    """A value of `wanted` or more."""
    return latest.get("a", lambda known: known >= wanted, ask, **(patience or PATIENCE))


def test_an_answer_that_is_new_enough_is_current_and_is_not_asked_for_again() -> None:
    asked: list[int] = []
    latest: Latest[int] = Latest()

    def ask() -> int:
        asked.append(1)
        return 2

    for wanted in (1, 2, 2):
        assert at_least(latest, wanted, ask) == Answer(2, True)
    assert len(asked) == 1


def test_twenty_viewers_ask_the_database_once() -> None:
    latest: Latest[int] = Latest()
    go, asked, got = Event(), [], []

    def ask() -> int:
        asked.append(1)
        go.wait(5)
        return 42

    viewers = [Thread(target=lambda: got.append(at_least(latest, 1, ask).value)) for _ in range(20)]
    for viewer in viewers:
        viewer.start()
    go.set()
    for viewer in viewers:
        viewer.join()
    assert (len(asked), got) == (1, [42] * 20)


def test_while_a_newer_answer_is_under_way_the_last_one_is_shown_as_not_current() -> None:
    latest: Latest[int] = Latest()
    at_least(latest, 1, saying(1))
    go = Event()

    def slow() -> int:
        go.wait(5)
        return 2

    began = monotonic()
    assert at_least(latest, 2, slow) == Answer(1, False)
    assert monotonic() - began < 2
    assert latest.known("a") == 1
    go.set()
    assert at_least(latest, 2, slow, **LONG) == Answer(2, True)


def test_an_answer_that_was_begun_too_early_is_never_taken_for_the_newer_one() -> None:
    """The question was put before what is wanted happened: its answer is shown as an earlier one, and asked again."""
    latest: Latest[int] = Latest()
    begun, go, answers = Event(), Event(), iter([1, 2])

    def ask() -> int:
        value = next(answers)
        begun.set()
        go.wait(5)
        return value

    first = Thread(target=lambda: at_least(latest, 1, ask, **LONG))
    first.start()
    assert begun.wait(5)
    got: list[Answer[int]] = []
    second = Thread(target=lambda: got.append(at_least(latest, 2, ask, **LONG)))
    second.start()
    go.set()
    first.join()
    second.join()
    assert got == [Answer(2, True)]
    assert at_least(latest, 3, away) == Answer(2, False)


def test_something_better_takes_the_place_of_an_answer_and_whoever_waits_for_it_is_told() -> None:
    latest: Latest[int] = Latest()
    latest.improve("a", lambda known: known + 1)  # nothing is known yet
    assert latest.wait("a", lambda known: True, 0.01) is None
    at_least(latest, 1, saying(1))
    got: list[int | None] = []
    viewer = Thread(target=lambda: got.append(latest.wait("a", lambda known: known == 2, 5.0)))
    viewer.start()
    latest.improve("a", lambda known: known + 1)
    viewer.join()
    assert got == [2]
    assert latest.wait("a", lambda known: known == 3, 0.01) == 2


def test_with_nothing_known_yet_an_impatient_viewer_is_told_so() -> None:
    latest: Latest[int] = Latest()
    go = Event()

    def slow() -> int:
        go.wait(5)
        return 1

    with pytest.raises(DatabaseBusyError, match="still being read"):
        at_least(latest, 1, slow, patience_s=0.01, first_patience_s=0.01)
    go.set()


def test_what_asking_raised_is_raised_and_the_next_viewer_asks_again() -> None:
    latest: Latest[int] = Latest()
    with pytest.raises(DatabaseUnavailableError, match="away"):
        at_least(latest, 1, away)
    assert at_least(latest, 1, saying(7)).value == 7


def test_a_failure_nobody_foresaw_is_said_without_its_message_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def wrong() -> int:
        raise ValueError("secret")

    with pytest.raises(GridLensError, match="the server's log has the cause") as raised:
        at_least(Latest(), 1, wrong)
    assert "secret" not in raised.value.message
    assert "secret" in caplog.text


def test_an_error_keeps_the_last_known_answer() -> None:
    latest: Latest[int] = Latest()
    at_least(latest, 1, saying(7))
    assert at_least(latest, 8, away, **LONG) == Answer(7, False)


def test_after_a_reset_nothing_is_known_of_that_tenant_alone() -> None:
    latest: Latest[int] = Latest()
    at_least(latest, 1, saying(7))
    latest.get("b", lambda known: True, saying(9), **PATIENCE)
    latest.forget("a")
    assert (latest.known("a"), latest.known("b")) == (None, 9)
    assert at_least(latest, 1, saying(8)).value == 8
