"""The last known answers to questions that may be slow: asked in the background, one at a time for a key,
shared by all who want them, and served with their age while a newer one is under way."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Generic, TypeVar

from gridlens_core.errors import DatabaseBusyError, GridLensError

Value = TypeVar("Value")


@dataclass(frozen=True)
class Answer(Generic[Value]):
    """A value, and whether it is of the version asked for or an older one."""

    value: Value
    current: bool


class Latest(Generic[Value]):
    """Last known values by key. Safe to share between threads."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._known: dict[Hashable, tuple[Hashable, Value]] = {}
        self._failed: dict[Hashable, tuple[Hashable, GridLensError]] = {}
        self._asking: set[Hashable] = set()

    def get(
        self,
        key: Hashable,
        version: Hashable,
        ask: Callable[[], Value],
        *,
        patience_s: float,
        first_patience_s: float,
    ) -> Answer[Value]:
        """The value of that version if it comes within `patience_s`, else the last known one.

        With none known yet it waits `first_patience_s`; raises what asking raised, or DatabaseBusyError.
        """
        with self._changed:
            if self._is(key, version):
                return Answer(self._known[key][1], True)
            self._failed.pop(key, None)
            if key not in self._asking:
                self._asking.add(key)
                Thread(target=self._ask, args=(key, version, ask), name="ask", daemon=True).start()
            patience = patience_s if key in self._known else first_patience_s
            self._changed.wait_for(lambda: key not in self._asking or self._is(key, version), patience)
            if key in self._known:
                return Answer(self._known[key][1], self._is(key, version))
            if key in self._failed:
                raise self._failed[key][1]
            raise DatabaseBusyError("The KPI views are still being read; this page shows them as soon as they are.")

    def forget(self) -> None:
        """Drops everything known, after a reset."""
        with self._changed:
            self._known.clear()

    def _is(self, key: Hashable, version: Hashable) -> bool:
        return key in self._known and self._known[key][0] == version

    def _ask(self, key: Hashable, version: Hashable, ask: Callable[[], Value]) -> None:
        known: Value | None = None
        failed: GridLensError | None = None
        try:
            known = ask()
        except GridLensError as error:
            failed = error
        except Exception as error:
            failed = GridLensError("The KPI views could not be read; the server's log has the cause.")
            failed.__cause__ = error
        with self._changed:
            if failed is None:
                self._known[key] = (version, known)  # type: ignore[assignment]
            else:
                self._failed[key] = (version, failed)
            self._asking.discard(key)
            self._changed.notify_all()
