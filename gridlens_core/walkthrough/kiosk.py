"""Which tenants' walkthroughs play in a loop at a booth: kept beside the data, so that a restart goes on with them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from threading import Lock

from gridlens_core.errors import NotOnExistingDatabaseError
from gridlens_core.files import replace_whole

KIOSK_FILE = "kiosk.json"
EXISTING = "A loop publishes without end, so it is for the local database only."

log = logging.getLogger(__name__)


class Kiosk:
    """The tenants of one data directory that play in a loop. Safe to share between threads."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / KIOSK_FILE
        self._lock = Lock()

    def tenants(self) -> list[str]:
        """Those that were switched on and not off again; none where the file cannot be read."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []

    def switch(self, tenant_id: str, on: bool, *, is_local: bool) -> None:
        """Remembers that a tenant plays in a loop, or no longer does; raises NotOnExistingDatabaseError."""
        if on and not is_local:
            raise NotOnExistingDatabaseError(EXISTING)
        with self._lock:
            names = [one for one in self.tenants() if one != tenant_id] + [tenant_id] * on
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                replace_whole(self._path, json.dumps(names).encode())
            except OSError as error:
                log.warning("A restart will not go on with the loop: %s.", error.strerror)
