"""Loads files into the local database of a running demo, and shows them."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from gridlens_core.demo.demo import Demo
from gridlens_core.errors import BadInputError, GridLensError, NotOnExistingDatabaseError
from gridlens_core.loading.plan import Plan, Report, Target, plan_of
from gridlens_core.loading.said import Said
from gridlens_core.loading.store import store
from gridlens_core.publishing.loaded import Loaded
from gridlens_core.publishing.seeding import fill_history, known_fleet

LOADING_TIMEOUT_S = 600.0
log = logging.getLogger(__name__)
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")


@dataclass(frozen=True)
class Wishes:
    """What is wished of a load; `tenant_id` empty for a name after the first file."""

    tenant_id: str = ""
    keep_ids: bool = False
    shift_to_now: bool = False


def planned(
    demo: Demo, files: Sequence[tuple[Path, str]], said: Said, wishes: Wishes, report: Report = lambda *_: None
) -> Plan:
    """What would be loaded; changes nothing. Raises FileRefusedError, or BadInputError for the tenant's name."""
    _only_local(demo)
    tenant_id = wishes.tenant_id or named_after(files[0][1])
    if not NAME.fullmatch(tenant_id):
        raise BadInputError.of("tenant", tenant_id, "a letter, then up to 39 letters, digits and _ . -")
    if tenant_id in demo.settings.tenants:
        raise BadInputError.of("tenant", tenant_id, "a name that GRIDLENS_TENANTS does not have")
    target = Target(
        tenant_id, demo.settings.timezone, demo.settings.seed, demo.session.clock(), wishes.keep_ids,
        wishes.shift_to_now, secrets.token_bytes(32),
    )  # fmt: skip
    return plan_of(files, said, target, report)


def load(demo: Demo, plan: Plan, report: Report = lambda *_: None) -> Loaded:
    """Loads what was planned, whole or not at all; of a history that was moved, what lies between its end and now is
    emulated after it. From here on the tenant is shown like any other."""
    _only_local(demo)
    session = demo.session
    demo.auto.stop(plan.tenant_id)
    with session.transaction(statement_timeout_s=LOADING_TIMEOUT_S) as connection:
        loaded = store(connection, plan, report)
    with session.transaction(statement_timeout_s=LOADING_TIMEOUT_S) as connection:
        connection.exec_driver_sql("ANALYZE")
        fleet = known_fleet(connection, session.schema, demo.settings, plan.tenant_id)
    wall = loaded.wall(session.clock())
    fill_history(session, session.schema, fleet, demo.settings, wall, lambda said: report(said.doing, said.share))
    look_for_loaded(demo, at_once=True)
    demo.desk.trace(plan.tenant_id)  # so that what is kept of a tenant of this name before is forgotten too
    demo.desk.forget(plan.tenant_id)
    return loaded


def look_for_loaded(demo: Demo, *, at_once: bool = False) -> tuple[str, ...]:
    """The tenants that may be shown, those that were loaded since, by any process, among them."""
    demo.session.tenants.look(demo.session.database, at_once=at_once)
    for tenant_id in demo.session.tenants.changed():
        demo.desk.forget(tenant_id)
        demo.nightly.forget(tenant_id)
    return demo.session.tenants.names


def named_after(file_name: str) -> str:
    """A tenant's name from a file's: SYDNEY_2013 of sydney-2013.csv.gz."""
    stem = re.sub(r"[^A-Za-z0-9]+", "_", Path(file_name).name.split(".")[0]).strip("_").upper()[:30]
    return stem if stem[:1].isalpha() else f"FILE_{stem or 'READS'}"


def _only_local(demo: Demo) -> None:
    if not demo.settings.is_local:
        raise NotOnExistingDatabaseError


class Loading:
    """One load in the background: a page that is drawn again does not break it off."""

    def __init__(self, demo: Demo, plan: Plan) -> None:
        self.tenant_id = plan.tenant_id
        self.doing, self.share = "Loading", 0.0
        self.loaded: Loaded | None = None
        self.problem = ""
        Thread(target=self._run, args=(demo, plan), name="load", daemon=True).start()

    @property
    def over(self) -> bool:
        """Whether it went well or failed."""
        return self.loaded is not None or bool(self.problem)

    def _run(self, demo: Demo, plan: Plan) -> None:
        try:
            self.loaded = load(demo, plan, self._report)
        except GridLensError as error:
            self.problem = error.message
        except Exception:
            log.exception("A load failed.")
            self.problem = "The reads could not be loaded, and nothing was kept; the server's log has the cause."

    def _report(self, doing: str, share: float) -> None:
        self.doing, self.share = doing, min(max(share, 0.0), 1.0)
