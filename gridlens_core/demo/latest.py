"""The last known answers to questions that may be slow: asked in the background, one at a time for a key, shared by
all who want them. While a newer one is under way an earlier one may be served, and is then said to be one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Condition, Thread
from time import monotonic
from typing import Generic, TypeVar

from gridlens_core.errors import DatabaseBusyError, GridLensError

Value = TypeVar("Value")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer(Generic[Value]):
    """A value, and whether it is as new as was asked for."""

    value: Value
    current: bool


class Latest(Generic[Value]):
    """Last known values by key. Safe to share between threads."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._known: dict[Hashable, Value] = {}
        self._failed: dict[Hashable, GridLensError] = {}
        self._asking: set[Hashable] = set()

    def get(
        self,
        key: Hashable,
        is_new_enough: Callable[[Value], bool],
        ask: Callable[[], Value],
        *,
        patience_s: float,
        first_patience_s: float,
    ) -> Answer[Value]:
        """A value that is new enough if it comes within `patience_s`, else the last known one.

        With none known yet it waits `first_patience_s`. Raises what asking raised, or DatabaseBusyError.
        """
        deadline: float | None = None
        with self._changed:
            self._failed.pop(key, None)
            while True:
                if key in self._known and is_new_enough(self._known[key]):
                    return Answer(self._known[key], True)
                if deadline is None:
                    deadline = monotonic() + (patience_s if key in self._known else first_patience_s)
                if key in self._failed or monotonic() >= deadline:
                    break
                if key not in self._asking:
                    self._asking.add(key)
                    Thread(target=self._ask, args=(key, ask), name="ask", daemon=True).start()
                self._changed.wait(max(0.0, deadline - monotonic()))
            if key in self._known:
                return Answer(self._known[key], False)
            if key in self._failed:
                raise self._failed[key]
            raise DatabaseBusyError("The KPI views are still being read; they are shown as soon as they have answered.")

    def known(self, key: Hashable) -> Value | None:
        """The last known value, without asking."""
        with self._changed:
            return self._known.get(key)

    def improve(self, key: Hashable, better: Callable[[Value], Value]) -> None:
        """Puts something better in the place of the known value, if there is one."""
        with self._changed:
            if key in self._known:
                self._known[key] = better(self._known[key])
                self._changed.notify_all()

    def wait(self, key: Hashable, is_so: Callable[[Value], bool], patience_s: float) -> Value | None:
        """The known value once it is so, or as it is after `patience_s`; None where none is known."""
        with self._changed:
            self._changed.wait_for(lambda: key in self._known and is_so(self._known[key]), patience_s)
            return self._known.get(key)

    def forget(self, key: Hashable) -> None:
        """Drops what is known of a key, after a reset."""
        with self._changed:
            self._known.pop(key, None)

    def _ask(self, key: Hashable, ask: Callable[[], Value]) -> None:
        failed: GridLensError | None = None
        try:
            value = ask()
            with self._changed:
                self._known[key] = value
        except GridLensError as error:
            failed = error
        except Exception as error:
            log.exception("A question to the database failed.")
            failed = GridLensError("The KPI views could not be read; the server's log has the cause.")
            failed.__cause__ = error
        with self._changed:
            if failed is not None:
                self._failed[key] = failed
            self._asking.discard(key)
            self._changed.notify_all()
