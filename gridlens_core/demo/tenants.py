"""Which tenants may be shown: those of the settings and, in the local database, those loaded from a file."""

from __future__ import annotations

from datetime import datetime
from threading import Lock
from time import monotonic

from gridlens_core.database.connection import Database
from gridlens_core.errors import TenantNotAllowedError
from gridlens_core.publishing.loaded import Loaded, loaded_tenants
from gridlens_core.settings import Settings

LOOK_SECONDS = 2.0  # between two looks for tenants that another process loaded


class Tenants:
    """The tenants of one session. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded: dict[str, Loaded] = {}
        self._changed: set[str] = set()
        self._looked = -LOOK_SECONDS
        self._lock = Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """Those of the settings, then those loaded."""
        return (*self._settings.tenants, *(one for one in self._loaded if one not in self._settings.tenants))

    def loaded(self, tenant_id: str) -> Loaded | None:
        """What is known of a tenant that was loaded from a file; None for any other."""
        return self._loaded.get(tenant_id)

    def wall(self, tenant_id: str, now: datetime) -> datetime:
        """The wall clock of a tenant: that of one whose history was not moved to now stands where its file ends."""
        loaded = self._loaded.get(tenant_id)
        return now if loaded is None else loaded.wall(now)

    def look(self, database: Database, *, at_once: bool = False) -> None:
        """Looks for those that were loaded since."""
        with self._lock:
            if not database.is_local or (not at_once and monotonic() - self._looked < LOOK_SECONDS):
                return
            with database.transaction(read_only=True) as connection:
                found = loaded_tenants(connection)
            before, self._loaded, self._looked = self._loaded, found, monotonic()
            self._changed |= {name for name in {**before, **found} if before.get(name) != found.get(name)}

    def changed(self) -> set[str]:
        """The names of what came, went or was loaded again since this was last asked."""
        with self._lock:
            changed, self._changed = self._changed, set()
        return changed

    def check(self, tenant_id: str) -> str:
        """The tenant, or TenantNotAllowedError naming those that may be shown."""
        if tenant_id not in self.names:
            raise TenantNotAllowedError(
                f"{tenant_id!r} is not named in GRIDLENS_TENANTS; allowed: {', '.join(self.names)}.",
                tenant_id=tenant_id,
                tenants=list(self.names),
            )
        return tenant_id
