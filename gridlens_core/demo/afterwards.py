"""What comes after a commit: it may fail without harm, for the interval or the reset is in. What is lost is kept to be
said."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from gridlens_core.demo.case_desk import CaseDesk
from gridlens_core.demo.desk import KpiDesk

log = logging.getLogger(__name__)


class Memory(Protocol):
    """What remembers something of a tenant."""

    def forget(self, tenant_id: str, /) -> None: ...


class Afterwards:
    """What was lost after commits of one demo, by tenant. Safe to share between threads."""

    def __init__(self, desk: KpiDesk, cases: CaseDesk) -> None:
        self._desk, self._cases = desk, cases
        self._lost: dict[str, dict[str, str]] = {}

    @contextmanager
    def optional(self, tenant_id: str, what: str) -> Iterator[None]:
        """Lets the block fail; `what`, the subject of a sentence, is then said to be lost until it goes well again."""
        lost = self._lost.setdefault(tenant_id, {})
        try:
            yield
            lost.pop(what, None)
        except Exception:  # whatever it is, the caller's work is done
            log.exception("%s of %s was lost.", what, tenant_id)
            lost[what] = f"{what} was lost; the server's log has the cause."

    def forget(self, tenant_id: str, *memories: Memory) -> None:
        """After a reset: what was remembered of the tenant is of no use any more."""
        with self.optional(tenant_id, "The memory of before a reset"):
            for memory in memories:
                memory.forget(tenant_id)

    def lost(self, tenant_id: str) -> list[str]:
        """What is not remembered, a sentence each."""
        books = (self._desk.trace(tenant_id), self._desk.book(tenant_id), self._cases.book(tenant_id))
        said = [one.problem for one in books]
        return [one for one in (*said, *self._lost.get(tenant_id, {}).values()) if one]
