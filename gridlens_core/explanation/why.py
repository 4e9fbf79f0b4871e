"""Why a KPI is what it is: natural drift and the effect of each event, with and without them at one moment.

Let W0 be the KPIs had none of the events touched a read, and Wi those with the first i events, in the order they were
written. The effect of event i is Wi less W(i-1), and natural drift is W0 less the KPI before: together they are the
movement, to the last digit, for any definition of a view. Pure; `without.py` and `ahead.py` measure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import MAX_PREC, Context, Decimal
from functools import reduce

from gridlens_core.explanation.kpis import Kpis

# The default context keeps 28 digits; a numeric column may give more, and a double may stand 300 places behind.
EXACT = Context(prec=MAX_PREC)


@dataclass(frozen=True)
class Measured:
    """The KPIs of one moment, with and without the events of its day.

    since : the grid time before the first of these events touched a read
    before : the KPIs then
    event_ids : in the order the events were written
    path : W0 to Wn; the last are the KPIs of the moment. None is a step that could not be measured
    by_cycle : of the events whose step could not be measured, what each publish cycle showed of their effect, added up
    note : why a step could not be measured; empty where the parts are exact
    """

    grid_now: datetime
    since: datetime
    before: Kpis
    event_ids: tuple[str, ...]
    path: tuple[Kpis | None, ...]
    by_cycle: Mapping[str, Kpis] = field(default_factory=dict)
    note: str = ""

    @property
    def exact(self) -> bool:
        return not self.note

    @property
    def now(self) -> Kpis:
        """The KPIs of the moment."""
        now = self.path[-1]
        assert now is not None
        return now


@dataclass(frozen=True)
class Effect:
    """What one event does to a KPI: the KPI with it less the KPI without it, at the same moment."""

    event_id: str
    change: Decimal


@dataclass(frozen=True)
class Why:
    """A KPI from before the first event to now: before + drift + effects = now, to the last digit.

    without : the KPI now had none of the events touched a read; None where that is not known
    """

    kpi: str
    since: datetime
    before: Decimal
    without: Decimal | None
    now: Decimal
    drift: Decimal
    effects: tuple[Effect, ...]
    note: str = ""

    @property
    def exact(self) -> bool:
        """Whether drift and effects are known of the moment, and not only cycle by cycle."""
        return not self.note

    @property
    def change(self) -> Decimal:
        return difference(self.now, self.before)

    def effect_of(self, event_id: str) -> Decimal:
        """The effect of one event; 0 for one that has none."""
        return total(effect.change for effect in self.effects if effect.event_id == event_id)


def total(values: Iterable[Decimal]) -> Decimal:
    """The sum, to the last digit."""
    return reduce(EXACT.add, values, Decimal(0))


def difference(after: Decimal, before: Decimal) -> Decimal:
    """after - before, to the last digit."""
    return EXACT.subtract(after, before)


def why_of(measured: Measured, kpi: str, feeder_id: str | None = None) -> Why | None:
    """What a KPI's change is made of; None where the database has no such value, now or before."""
    before, now = measured.before.of(kpi, feeder_id), measured.now.of(kpi, feeder_id)
    if before is None or now is None:
        return None
    steps = [None if kpis is None else kpis.of(kpi, feeder_id) for kpis in measured.path]
    effects, unknown = [], []
    for event_id, earlier, later in zip(measured.event_ids, steps, steps[1:], strict=False):
        if earlier is not None and later is not None:
            effects.append(Effect(event_id, difference(later, earlier)))
        else:
            seen = measured.by_cycle.get(event_id)
            unknown.append(len(effects))
            effects.append(Effect(event_id, (seen and seen.of(kpi, feeder_id)) or Decimal(0)))
    without = steps[0]
    if without is not None and unknown:
        # What the cycles together miss of the whole belongs to the events among which it cannot be split.
        rest = difference(difference(now, without), total(effect.change for effect in effects))
        largest = max(unknown, key=lambda number: abs(effects[number].change))
        effects[largest] = Effect(effects[largest].event_id, EXACT.add(effects[largest].change, rest))
    caused = total(effect.change for effect in effects)
    drift = difference(difference(now, before), caused)
    return Why(kpi, measured.since, before, without, now, drift, tuple(effects), measured.note)
