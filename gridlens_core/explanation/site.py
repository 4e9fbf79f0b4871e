"""What differs between the local database, which is our own, and an existing one: an object with two forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Protocol

import sqlalchemy as sa

from gridlens_core.clock import local_day
from gridlens_core.database.schema import Schema
from gridlens_core.explanation import evidence
from gridlens_core.explanation.energy import FeederInterval, local_balance, metered_energy
from gridlens_core.explanation.evidence import ExpectedRead
from gridlens_core.explanation.kpis import newest_day
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing import seeding
from gridlens_core.settings import Settings


class Site(Protocol):
    """One of the two.

    title : as a page's header says it
    keeps_supply : a publish also reports the feeders' supply and makes the nightly estimation
    may_put_right : reads may be changed inside a savepoint, and the baseline may be restored
    rule_is_known : its suspicious-meters view is GridLens's own
    """

    @property
    def settings(self) -> Settings: ...
    @property
    def name(self) -> Literal["local", "existing"]: ...
    @property
    def title(self) -> str: ...
    @property
    def keeps_supply(self) -> bool: ...
    @property
    def may_put_right(self) -> bool: ...
    @property
    def rule_is_known(self) -> bool: ...

    def fleet_key(self, today: date, latest: datetime | None) -> date | None:
        """Key of a tenant's fleet: while it is the same, so is the fleet."""

    def fleet(
        self, connection: sa.Connection, schema: Schema, tenant_id: str, latest: datetime | None, today: date
    ) -> Fleet:
        """The tenant's meters."""

    def kpi_day(self, connection: sa.Connection, schema: Schema, tenant_id: str, grid_now: datetime) -> date:
        """The day whose KPIs are today's."""

    def balance(
        self, connection: sa.Connection, schema: Schema, fleet: Fleet, after: datetime, until: datetime
    ) -> Sequence[FeederInterval]:
        """Energy by feeder and interval."""

    def expected(
        self, connection: sa.Connection, schema: Schema, fleet: Fleet, meter_id: str, grid_now: datetime
    ) -> Sequence[ExpectedRead]:
        """One meter's reads of the last day beside what was expected of it."""


@dataclass(frozen=True)
class LocalSite:
    """The embedded database, whose tables and views GridLens made."""

    settings: Settings
    name: Literal["local"] = "local"
    title: str = "Local database"
    keeps_supply: bool = True
    may_put_right: bool = True
    rule_is_known: bool = True

    def fleet_key(self, today: date, latest: datetime | None) -> date | None:
        return None

    def fleet(
        self, connection: sa.Connection, schema: Schema, tenant_id: str, latest: datetime | None, today: date
    ) -> Fleet:
        return seeding.known_fleet(connection, schema, self.settings, tenant_id)

    def kpi_day(self, connection: sa.Connection, schema: Schema, tenant_id: str, grid_now: datetime) -> date:
        return local_day(grid_now, self.settings.timezone)

    balance = staticmethod(local_balance)
    expected = staticmethod(evidence.local_rows)


@dataclass(frozen=True)
class ExistingSite:
    """A database that came from DATABASE_URL: its owner's, in which only reads and events are written."""

    settings: Settings
    name: Literal["existing"] = "existing"
    title: str = "Existing database"
    keeps_supply: bool = False
    may_put_right: bool = False
    rule_is_known: bool = False

    def fleet_key(self, today: date, latest: datetime | None) -> date | None:
        # Learned once for each local day of the grid clock, so every process learns the same at any time of it.
        return None if latest is None else today

    def fleet(
        self, connection: sa.Connection, schema: Schema, tenant_id: str, latest: datetime | None, today: date
    ) -> Fleet:
        return seeding.existing_fleet(connection, schema, self.settings, tenant_id, latest, today)

    def kpi_day(self, connection: sa.Connection, schema: Schema, tenant_id: str, grid_now: datetime) -> date:
        return newest_day(connection, schema, tenant_id, grid_now, self.settings.timezone)

    balance = staticmethod(metered_energy)
    expected = staticmethod(evidence.existing_rows)


def site_of(settings: Settings) -> Site:
    """The form that the settings ask for."""
    return LocalSite(settings) if settings.is_local else ExistingSite(settings)
