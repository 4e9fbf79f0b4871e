"""The last known answers: asked once for all who want them, and never waited for longer than a page may."""

from __future__ import annotations

from threading import Event, Thread
from time import monotonic

import pytest

from gridlens_core.demo.latest import Latest
from gridlens_core.errors import DatabaseBusyError, DatabaseUnavailableError

PATIENCE = {"patience_s": 0.05, "first_patience_s": 5.0}


def test_an_answer_of_the_version_asked_for_is_current_and_is_not_asked_for_again() -> None:
    asked: list[int] = []
    latest: Latest[str] = Latest()
    for _ in range(3):
        answer = latest.get("a", 1, lambda: asked.append(1) or "one", **PATIENCE)
        assert (answer.value, answer.current) == ("one", True)
    assert len(asked) == 1


def test_twenty_viewers_ask_the_database_once() -> None:
    latest: Latest[int] = Latest()
    go, asked, got = Event(), [], []

    def ask() -> int:
        asked.append(1)
        go.wait(5)
        return 42

    viewers = [Thread(target=lambda: got.append(latest.get("a", 1, ask, **PATIENCE).value)) for _ in range(20)]
    for viewer in viewers:
        viewer.start()
    go.set()
    for viewer in viewers:
        viewer.join()
    assert (len(asked), got) == (1, [42] * 20)


def test_while_a_newer_answer_is_under_way_the_last_one_is_shown_as_not_current() -> None:
    latest: Latest[str] = Latest()
    latest.get("a", 1, lambda: "old", **PATIENCE)
    go = Event()

    def slow() -> str:
        go.wait(5)
        return "new"

    began = monotonic()
    answer = latest.get("a", 2, slow, **PATIENCE)
    assert (answer.value, answer.current) == ("old", False)
    assert monotonic() - began < 2
    go.set()
    assert latest.get("a", 2, slow, patience_s=5, first_patience_s=5).value == "new"


def test_with_nothing_known_yet_an_impatient_viewer_is_told_so() -> None:
    latest: Latest[int] = Latest()
    go = Event()
    with pytest.raises(DatabaseBusyError, match="still being read"):
        latest.get("a", 1, lambda: int(go.wait(5)), patience_s=0.01, first_patience_s=0.01)
    go.set()


def test_what_asking_raised_is_raised_and_the_next_viewer_asks_again() -> None:
    latest: Latest[int] = Latest()

    def away() -> int:
        raise DatabaseUnavailableError("away")

    with pytest.raises(DatabaseUnavailableError, match="away"):
        latest.get("a", 1, away, **PATIENCE)
    assert latest.get("a", 1, lambda: 7, **PATIENCE).value == 7


def test_an_error_keeps_the_last_known_answer() -> None:
    latest: Latest[int] = Latest()
    latest.get("a", 1, lambda: 7, **PATIENCE)

    def away() -> int:
        raise DatabaseUnavailableError("away")

    answer = latest.get("a", 2, away, patience_s=2, first_patience_s=2)
    assert (answer.value, answer.current) == (7, False)


def test_after_a_reset_nothing_is_known() -> None:
    latest: Latest[int] = Latest()
    latest.get("a", 1, lambda: 7, **PATIENCE)
    latest.forget()
    assert latest.get("a", 1, lambda: 8, **PATIENCE).value == 8
