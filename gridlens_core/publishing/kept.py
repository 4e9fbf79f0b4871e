"""A large learned fleet, kept for its day in GRIDLENS_DATA_DIR, so that the next process need not learn it again.
A file that is broken, or of another tenant, database, day or version, counts for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from datetime import date, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from zipfile import BadZipFile

import numpy as np
import sqlalchemy as sa

from gridlens_core.database.schema import Schema
from gridlens_core.meters.fleet import Fleet, fleet_of
from gridlens_core.meters.habits import Habits
from gridlens_core.meters.past_days import PastDays
from gridlens_core.publishing.past import meters_read
from gridlens_core.settings import Settings

VERSION = 2  # of what is learned and how it is kept
KEPT_FROM = 2_000  # meters; fewer are learned in a second
LATELY = timedelta(hours=2)
DATABASE_OID = "SELECT CAST(oid AS bigint) FROM pg_catalog.pg_database WHERE datname = current_database()"


def key_of(
    connection: sa.Connection, schema: Schema, settings: Settings, tenant_id: str, of: tuple[date, datetime]
) -> str:
    """Names all that a learned fleet follows from; of : the day, and the last interval learned from."""
    url, oid = connection.engine.url, connection.exec_driver_sql(DATABASE_OID).scalar_one()
    database = (url.host, url.port, url.database, str(url.query.get("host", "")), oid)
    day, last = of
    parts = (
        VERSION,
        database,
        tenant_id,
        day,
        last.isoformat(),
        settings.seed,
        settings.timezone,
        schema.require_reads(),
    )
    return repr(parts)


def is_large(connection: sa.Connection, schema: Schema, tenant_id: str, latest: datetime) -> bool:
    """Whether so many meters were read in the last hours that their fleet is kept."""
    return len(meters_read(connection, schema, tenant_id, (latest - LATELY, latest))) >= KEPT_FROM


def kept_fleet(settings: Settings, tenant_id: str, key: str) -> Fleet | None:
    """The fleet that was kept under the key, None where there is none."""
    try:
        with _path(settings, tenant_id).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            if str(file["key"]) != key:
                return None
            found: Mapping[str, Any] = {name: file[name] for name in file.files}
        ids, feeders = found["meter_ids"].tolist(), found["feeder_ids"].tolist()
        fleet = fleet_of(tenant_id, ids, feeders, seed=settings.seed, timezone=settings.timezone)
        own = {one.name: _value(found.get(one.name)) for one in fields(Habits)}
        days = {one.name: found[one.name] for one in fields(PastDays) if one.name in found}
        habits = Habits(**{**own, "days": PastDays(**days) if days else None})
        if {len(habits.mean_wh), len(habits.scatter), len(habits.mean_v)} != {len(fleet)}:
            return None
        return fleet.with_habits(habits)
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
        return None


def keep_fleet(settings: Settings, fleet: Fleet, key: str) -> None:
    """Keeps a large fleet, all of it or nothing; a disk that is full keeps none."""
    if len(fleet) < KEPT_FROM or fleet.habits is None:
        return
    habits, days = fleet.habits, fleet.habits.days
    values = {one.name: getattr(habits, one.name) for one in fields(Habits) if one.name != "days"}
    if days is not None:
        values |= {one.name: getattr(days, one.name) for one in fields(PastDays)}
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in values.items() if value is not None}
    path = _path(settings, fleet.tenant_id)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=path.stem, suffix=".part", delete=False) as file:
            try:
                np.savez(
                    file, key=np.array(key), meter_ids=np.array(fleet.meter_ids), feeder_ids=np.array(fleet.feeder_ids),
                    **arrays,
                )  # fmt: skip
            except OSError:
                Path(file.name).unlink()
                raise
        Path(file.name).replace(path)


def _value(array: Any) -> Any:
    return array if array is None or array.ndim else array.item()


def _path(settings: Settings, tenant_id: str) -> Path:
    name = blake2b(tenant_id.encode(), digest_size=6).hexdigest()
    return settings.data_dir / f"fleet-{name}.npz"
