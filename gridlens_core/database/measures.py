"""In which units the reads table keeps energy, volts and time: by what the values are, never by default.
Pure: a sample of reads in, a settled binding or the reason why it cannot be settled out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median
from zoneinfo import ZoneInfo

from gridlens_core.database.bindings import Binding, Unit

# What a home uses in a day [kWh]; common knowledge: 5 in a small flat, 30 in the US, 100 with electric heating.
HOME_DAY_KWH = (3.0, 200.0)
NAMED_DAY_KWH = (0.3, 3_000.0)  # under a unit that the column's own name says: a garage, a shop
# One of the unit in kWh, and in V; per unit is of 120 V, for the same shares of nominal.
ENERGY: Mapping[Unit, float] = {"kWh": 1.0, "Wh": 0.001, "MWh": 1000.0}
VOLTS: Mapping[Unit, float] = {"V": 1.0, "kV": 1000.0, "pu": 120.0}
IN_SQL: Mapping[Unit, str] = {"Wh": "0.001", "MWh": "1000", "kV": "1000", "pu": "120"}
PER_UNIT = (0.7, 1.3)
SERVICE_V = (85.0, 700.0)  # of the services that meters are on: 100 V in Japan to 690 V
# What a primary meter is on, as kV and as V.
PRIMARY_KV, PRIMARY_V = (2.0, 40.0), (2_000.0, 40_000.0)

# A history that goes on ends at most this long before the wall clock, and a clock is this much out at the most.
ENDS_BEFORE, ENDS_AFTER = timedelta(minutes=150), timedelta(minutes=20)
EPOCHS = {"epoch s": (1e8, 1e10), "epoch ms": (1e11, 1e13), "epoch us": (1e14, 1e16)}  # from 1973 to 2286
PER_SECOND = {"epoch s": 1, "epoch ms": 1_000, "epoch us": 1_000_000}
STARTS = re.compile(r"start|begin|from", re.IGNORECASE)

LEAST_READS = 8  # of a meter, before its values tell anything


@dataclass(frozen=True)
class Sampled:
    """One read of the sample; `at` is what the driver gives for the time column."""

    meter: str
    at: datetime | float
    energy: float | None
    volts: float | None


@dataclass(frozen=True)
class Settled:
    """A binding, and why it cannot be used as it is; empty where it can."""

    binding: Binding
    unsettled: str = ""


def settle_energy(binding: Binding, sample: Sequence[Sampled], minutes: float) -> Settled:
    """The unit in which a home's day is a home's day; `minutes` is the usual distance of reads."""
    if binding.certainty == "set":
        return Settled(binding)
    by_meter = _values(sample, "energy")
    if not by_meter:
        return Settled(
            _found(binding, _named(binding.column.name) or binding.unit, "guess", "no reads yet; by its name")
        )
    if all(_only_rises(values) for values in by_meter.values()):
        return Settled(
            binding, "its values only ever rise from read to read, as a register's do, and are no interval's energy"
        )
    a_day = median(median(map(abs, values)) for values in by_meter.values()) * 24 * 60 / minutes
    if a_day == 0:
        return Settled(_found(binding, _named(binding.column.name) or binding.unit, "guess", "only zeros; by its name"))
    named = _named(binding.column.name)
    fits = [unit for unit, kwh in ENERGY.items() if HOME_DAY_KWH[0] <= a_day * kwh <= HOME_DAY_KWH[1]]
    if not fits and named and NAMED_DAY_KWH[0] <= a_day * ENERGY[named] <= NAMED_DAY_KWH[1]:
        fits = [named]
    if not fits:
        return Settled(
            binding, f"a meter's day adds up to about {a_day:,.3g}, which is a home's day neither in Wh, kWh nor MWh"
        )
    unit = fits[0]
    why = f"a meter's day is then about {a_day * ENERGY[unit]:.3g} kWh"
    against = f", though its name says {named}" if named not in (None, unit) else ""
    return Settled(_found(binding, unit, "guess" if against else binding.certainty, why + against))


def settle_volts(binding: Binding, sample: Sequence[Sampled]) -> Settled:
    """Volts, kilovolts or per unit, by where the values lie."""
    if binding.certainty == "set":
        return Settled(binding)
    sizes = [abs(one.volts) for one in sample if one.volts is not None and one.volts != 0 and one.volts == one.volts]
    if not sizes:
        return Settled(_found(binding, binding.unit, "guess", "no values yet; by its name"))
    middle = median(sizes)
    for unit, (low, high), what in (
        ("pu", PER_UNIT, "per unit of nominal"),
        ("V", SERVICE_V, "volts"),
        ("kV", PRIMARY_KV, "kilovolts"),
        ("V", PRIMARY_V, "volts"),
    ):
        if low <= middle <= high:
            return Settled(_found(binding, unit, binding.certainty, f"values about {middle:.4g}: {what}"))  # type: ignore[arg-type]
    return Settled(binding, f"its values are about {middle:.4g}, which is no service voltage in V, kV or per unit")


def settle_time(binding: Binding, sample: Sequence[Sampled], wall: datetime, timezone: str, minutes: float) -> Settled:
    """How the time column says a moment: with an offset, in whose time zone, or in seconds since 1970."""
    kind = binding.column.type_name
    settled = Settled(binding)
    if kind in ("bigint", "integer", "numeric", "double precision"):
        settled = _epoch(binding, sample)
    elif kind.startswith("timestamp without"):
        settled = _zone(binding, sample, wall, timezone)
    elif not kind.startswith("timestamp with"):
        settled = Settled(binding, f"it is {kind}, and a time is needed (a timestamp, or seconds since 1970)")
    bound = settled.binding
    if STARTS.search(bound.column.name) and not bound.starts_minutes and not settled.unsettled:
        said = f"{bound.why}; a label that starts its interval, by its name, {minutes:.0f} min"
        bound = replace(bound, starts_minutes=round(minutes), why=said)
    return replace(settled, binding=bound)


def usual_minutes(sample: Sequence[Sampled]) -> float:
    """The usual distance of a meter's reads [min]; 15 where the sample does not tell."""
    times: dict[str, set[float]] = {}
    for one in sample:
        seconds = one.at.replace(tzinfo=one.at.tzinfo or UTC).timestamp() if isinstance(one.at, datetime) else one.at
        times.setdefault(one.meter, set()).add(seconds)
    steps = Counter(later - earlier for some in times.values() for earlier, later in pairwise(sorted(some)))
    if not steps:
        return 15.0
    step = steps.most_common(1)[0][0]
    number = any(not isinstance(one.at, datetime) for one in sample)
    per_second = PER_SECOND[_epoch_of(max(max(some) for some in times.values())) or "epoch s"] if number else 1
    return max(step / per_second / 60, 1.0)


def _epoch(binding: Binding, sample: Sequence[Sampled]) -> Settled:
    if binding.form:
        return Settled(binding)
    numbers = [float(one.at) for one in sample if not isinstance(one.at, datetime)]
    form = _epoch_of(median(numbers)) if numbers else None
    if form is None:
        return Settled(binding, f"it is {binding.column.type_name}, and its values are no seconds since 1970")
    return Settled(replace(binding, form=form, why=f"{binding.why}; {form.replace('epoch', 'epoch time in')}"))


def _epoch_of(value: float) -> str | None:
    return next((form for form, (low, high) in EPOCHS.items() if low <= value < high), None)


def _zone(binding: Binding, sample: Sequence[Sampled], wall: datetime, timezone: str) -> Settled:
    """The zone in which the history ends just before the wall clock."""
    if binding.form:
        return Settled(binding)
    newest: dict[str, datetime] = {}
    for one in sample:
        if isinstance(one.at, datetime):
            newest[one.meter] = max(one.at, newest.get(one.meter, one.at))
    if not newest:
        return Settled(
            replace(binding, form="UTC", certainty="guess", why=f"{binding.why}; no reads yet, taken as UTC")
        )
    last = sorted(newest.values())[len(newest) // 2]
    fits = []
    for zone in ("UTC", timezone):
        age = wall - last.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        if -ENDS_AFTER <= age <= ENDS_BEFORE and zone not in fits:
            fits.append(zone)
    if len(fits) == 1:
        why = f"{binding.why}; in {fits[0]} the history ends at the wall clock"
        return Settled(replace(binding, form=fits[0], why=why))
    if not fits:
        why = f"{binding.why}; no time zone, and the history does not end at the wall clock in UTC nor in {timezone}"
        return Settled(replace(binding, form="UTC", certainty="guess", why=f"{why}: taken as UTC"))
    return Settled(replace(binding, form=fits[0], certainty="guess", why=f"{binding.why}; no time zone, taken as UTC"))


def _values(sample: Sequence[Sampled], what: str) -> dict[str, list[float]]:
    """Values of each meter with enough of them, in the order of their times; NaN and infinity left out."""
    by_meter: dict[str, list[tuple[object, float]]] = {}
    for one in sample:
        value = getattr(one, what)
        if value is not None and abs(value) < float("inf"):
            by_meter.setdefault(one.meter, []).append((one.at, value))
    return {
        meter: [value for _, value in sorted(some, key=lambda pair: str(pair[0]))]
        for meter, some in by_meter.items()
        if len(some) >= LEAST_READS
    }


def _only_rises(values: Sequence[float]) -> bool:
    """Whether they never fall, and rise by little of what they are."""
    rises = all(later >= earlier for earlier, later in pairwise(values))
    return rises and values[-1] > values[0] > 0 and values[-1] < 2 * values[0]


def _named(name: str) -> Unit | None:
    """The unit that a column's name says."""
    plain = name.lower()
    for sign, unit in (("kwh", "kWh"), ("mwh", "MWh"), ("wh", "Wh"), ("watt_hours", "Wh")):
        if re.search(rf"(^|[^a-z]){sign}($|[^a-z])", plain):
            return unit  # type: ignore[return-value]
    return None


def _found(binding: Binding, unit: Unit, certainty: str, why: str) -> Binding:
    return replace(binding, unit=unit, certainty=certainty, why=f"{binding.why}; {why}")  # type: ignore[arg-type]
