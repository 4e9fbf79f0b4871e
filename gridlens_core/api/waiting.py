"""How requests wait for slow work: on threads of their own kind, never on those that others need."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

from gridlens_core.errors import DatabaseBusyError, TooManyWaitingError

Value = TypeVar("Value")

MOST_WAITING = 32  # requests of one queue beside the one that is being done


class Shared(Generic[Value]):
    """One answer for all who ask at once; who asks while it is being found gets the next one, which is newer."""

    def __init__(self, name: str, threads: int = 2) -> None:
        self._executor = ThreadPoolExecutor(threads, name)
        self._lock = Lock()
        self._asked: dict[str, Future[Value]] = {}

    async def get(self, key: str, question: Callable[[], Value], patience_s: float | None = None) -> Value:
        """The answer; raises what the question raised, or DatabaseBusyError where it takes longer than that."""
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._ask(key, question))), patience_s)
        except TimeoutError:
            raise DatabaseBusyError(f"The database did not answer within {patience_s:g} seconds.") from None

    def _ask(self, key: str, question: Callable[[], Value]) -> Future[Value]:
        def run() -> Value:
            with self._lock:
                del self._asked[key]
            return question()

        with self._lock:
            if key not in self._asked:
                self._asked[key] = self._executor.submit(run)
            return self._asked[key]


class Queue:
    """Work done in the order it came in, by a thread or a few; beyond a length it is refused at once."""

    def __init__(self, name: str, threads: int = 1) -> None:
        self._executor = ThreadPoolExecutor(threads, name)
        self._threads = threads
        self._lock = Lock()
        self._inside = 0

    async def do(self, work: Callable[[], Value]) -> Value:
        """What the work returns; raises what it raised, or TooManyWaitingError."""
        with self._lock:
            if self._inside >= self._threads + MOST_WAITING:
                raise TooManyWaitingError(waiting=MOST_WAITING, retry_after_seconds=math.ceil(MOST_WAITING / 10))
            self._inside += 1
        future = self._executor.submit(work)
        future.add_done_callback(self._leave)
        return await asyncio.shield(asyncio.wrap_future(future))

    def _leave(self, _: Future[Value]) -> None:
        with self._lock:
            self._inside -= 1


class Queues:
    """A queue of one thread for each name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._queues: dict[str, Queue] = {}

    def of(self, whose: str) -> Queue:
        """The queue of that name, made when it is first needed."""
        return self._queues.setdefault(whose, Queue(f"{self._name}-{whose}"))
