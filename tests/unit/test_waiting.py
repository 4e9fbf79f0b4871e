"""Waiting for slow work: one answer for all who ask at once, queues in order, and an end to waiting."""

from __future__ import annotations

import asyncio
from threading import Event

import pytest

from gridlens_core.api import waiting
from gridlens_core.api.waiting import Queue, Queues, Shared
from gridlens_core.errors import DatabaseBusyError, TooManyWaitingError

PATIENCE_S = 10


def test_all_who_ask_at_once_get_one_answer_and_who_comes_later_a_newer_one() -> None:
    shared, began, go_on, asked = Shared[int]("test", threads=1), Event(), Event(), list[int]()

    def question() -> int:
        asked.append(len(asked))
        began.set()
        assert go_on.wait(PATIENCE_S)
        return asked[-1]

    async def ask() -> None:
        first = asyncio.create_task(shared.get("a", question))
        await asyncio.to_thread(began.wait, PATIENCE_S)
        later = [asyncio.create_task(shared.get("a", question)) for _ in range(100)]
        await asyncio.sleep(0.05)
        go_on.set()
        assert await first == 0
        assert set(await asyncio.gather(*later)) == {1}

    asyncio.run(ask())
    assert len(asked) == 2


def test_who_hangs_up_takes_the_answer_from_nobody() -> None:
    shared, go_on = Shared[str]("test", threads=1), Event()

    async def ask() -> None:
        blocked = asyncio.create_task(shared.get("first", lambda: str(go_on.wait(PATIENCE_S))))
        await asyncio.sleep(0.05)
        gone = asyncio.create_task(shared.get("a", lambda: "answer"))
        stays = asyncio.create_task(shared.get("a", lambda: "another"))
        await asyncio.sleep(0.05)
        gone.cancel()
        go_on.set()
        assert await stays == "answer"
        assert await blocked == "True"

    asyncio.run(ask())


def test_an_answer_that_takes_too_long_is_busy_and_the_next_one_is_still_found() -> None:
    shared, go_on = Shared[bool]("test"), Event()

    async def ask() -> None:
        with pytest.raises(DatabaseBusyError, match=r"within 0\.05 seconds"):
            await shared.get("a", lambda: go_on.wait(PATIENCE_S), 0.05)
        go_on.set()
        assert await shared.get("a", lambda: True, PATIENCE_S)

    asyncio.run(ask())


def test_what_a_question_raises_all_are_told() -> None:
    async def ask() -> None:
        answers = [Shared[float]("test").get("a", lambda: 1 / 0) for _ in range(3)]
        found = await asyncio.gather(*answers, return_exceptions=True)
        assert [type(one) for one in found] == [ZeroDivisionError] * 3

    asyncio.run(ask())


def test_work_is_done_in_order_and_beyond_a_length_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MOST_WAITING", 3)
    queue, go_on, done = Queue("test"), Event(), list[int]()

    def work(number: int) -> int:
        assert go_on.wait(PATIENCE_S)
        done.append(number)
        return number

    async def ask() -> None:
        inside = [asyncio.create_task(queue.do(lambda number=number: work(number))) for number in range(4)]  # type: ignore[misc]
        await asyncio.sleep(0.05)
        with pytest.raises(TooManyWaitingError) as refusal:
            await queue.do(lambda: work(99))
        assert refusal.value.details["retry_after_seconds"] >= 1
        go_on.set()
        assert await asyncio.gather(*inside) == [0, 1, 2, 3]
        assert await queue.do(lambda: work(4)) == 4

    asyncio.run(ask())
    assert done == [0, 1, 2, 3, 4]


def test_a_queue_keeps_no_other_waiting() -> None:
    queues, go_on = Queues("test"), Event()

    async def ask() -> None:
        blocked = asyncio.create_task(queues.of("A").do(lambda: go_on.wait(PATIENCE_S)))
        assert await queues.of("B").do(lambda: "done") == "done"
        assert not blocked.done()
        go_on.set()
        await blocked
        assert queues.of("A") is queues.of("A")

    asyncio.run(ask())
