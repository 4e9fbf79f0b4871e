"""The cases of the tenants of one session."""

from __future__ import annotations

from datetime import datetime
from threading import Lock

from gridlens_core.demo.session import Session, kept_in
from gridlens_core.explanation.case_book import CaseBook
from gridlens_core.explanation.cases import Case, State
from gridlens_core.explanation.moment import Moment


class CaseDesk:
    """Opens each tenant's book of cases once. Safe to share between threads."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._books: dict[str, CaseBook] = {}
        self._lock = Lock()

    def book(self, tenant_id: str) -> CaseBook:
        """The tenant's cases."""
        self._session.check_tenant(tenant_id)
        with self._lock:
            if tenant_id not in self._books:
                self._books[tenant_id] = CaseBook(kept_in(self._session, tenant_id, "cases", "json"))
            return self._books[tenant_id]

    def all(self, tenant_id: str) -> tuple[Case, ...]:
        """The tenant's cases, oldest first."""
        return self.book(tenant_id).all()

    def follow(self, at: Moment) -> None:
        """Opens and goes on with cases by what a moment says."""
        self.book(at.tenant_id).follow(at)

    def decide(self, tenant_id: str, number: int, state: State, grid_now: datetime) -> None:
        """Confirms, dismisses, recovers or reopens a case; raises BadInputError."""
        self.book(tenant_id).decide(number, state, grid_now)

    def forget(self, tenant_id: str) -> None:
        """After a reset to the baseline, which takes away what came after it."""
        self.book(tenant_id).forget()
