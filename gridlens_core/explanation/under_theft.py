"""Whether what a view calls a loss is one: it rises when energy is stolen. A mean of kWh, or of what arrives, falls."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

from gridlens_core.database.schema import FEEDER_LOSS, OVERVIEW, Schema
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.meters.emulator import Span
from gridlens_core.meters.events import Event
from gridlens_core.meters.fleet import Fleet


def theft_of_all(fleet: Fleet, span: Span) -> Event:
    """A theft of nine tenths at every meter, for a trial alone."""
    return Event(UUID(int=0), fleet.tenant_id, None, None, "theft", Decimal("0.9"), span.start, span.end, None)


def moves(clean: Kpis, stolen: Kpis) -> Iterator[tuple[str, Decimal]]:
    """By view the points its loss moves under a theft of everything, in one interval; of the feeders, the first's."""
    feeder = next(iter(clean.feeder_loss_pct), None)
    for view_name, kpi, of_feeder in ((OVERVIEW, "loss_pct", None), (FEEDER_LOSS, "feeder_loss_pct", feeder)):
        if kpi != "loss_pct" and of_feeder is None:
            continue
        before, after = clean.of(kpi, of_feeder), stolen.of(kpi, of_feeder)
        if before is not None and after is not None:
            yield view_name, after - before


def no_loss(schema: Schema, view_name: str) -> str:
    """What is said of a loss that falls under a theft."""
    column = schema.views[view_name].name_of("loss_pct")
    return f"{column} of public.{view_name} falls when energy is stolen: it follows the metered energy, no loss."
