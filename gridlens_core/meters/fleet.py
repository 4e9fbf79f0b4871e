"""The meters of a tenant, each on its feeder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlens_core.errors import UnknownFeederError, UnknownMeterError
from gridlens_core.meters.feeders import feeder_kind, feeder_sizes
from gridlens_core.meters.gaps import MISSING_SHARE
from gridlens_core.meters.habits import Habits, habit_reads
from gridlens_core.meters.load_model import HonestReads, honest_reads
from gridlens_core.meters.profiles import SLOT_MINUTES, load_profiles
from gridlens_core.meters.traits import SHAPE_WIDTH, MeterTraits, meter_traits
from gridlens_core.meters.voltage_limits import NOMINAL_V, RANGE_A, nominal_of


@dataclass(frozen=True)
class Fleet:
    """Meters in a fixed order, with what the load model needs to know of each.

    meter_ids, feeder_ids : n_meters strings, each meter beside its feeder
    traits : the load model's arrays, (n_meters,)
    habits : what the meters' own history says, None for a synthetic fleet
    missing_share : of the reads that are due, those that do not arrive in ordinary life
    timezone : IANA zone whose local time drives the customers' habits
    """

    tenant_id: str
    meter_ids: tuple[str, ...]
    feeder_ids: tuple[str, ...]
    timezone: str
    traits: MeterTraits
    habits: Habits | None = None
    missing_share: float = MISSING_SHARE

    def __len__(self) -> int:
        return len(self.meter_ids)

    @cached_property
    def feeders(self) -> tuple[str, ...]:
        """Feeder ids in natural order: FEEDER_2 before FEEDER_10."""
        return tuple(sorted(set(self.feeder_ids), key=natural_key))

    @cached_property
    def feeder_index(self) -> NDArray[np.int64]:
        """(n_meters,) position of each meter's feeder in `feeders`."""
        position = {feeder: number for number, feeder in enumerate(self.feeders)}
        return np.array([position[feeder] for feeder in self.feeder_ids], dtype=np.int64)

    @cached_property
    def meters_by_feeder(self) -> NDArray[np.int64]:
        """(n_feeders,) how many meters each feeder has."""
        return np.bincount(self.feeder_index, minlength=len(self.feeders))

    @cached_property
    def loss_shares(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Technical loss of each feeder, without load and by load: two (n_feeders, 1)."""
        kinds = [feeder_kind(feeder) for feeder in self.feeders]
        no_load = np.array([kind.no_load_share for kind in kinds], dtype=np.float64)
        return no_load[:, None], np.array([kind.load_loss_share for kind in kinds], dtype=np.float64)[:, None]

    def sum_by_feeder(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Exact sums over the meters of each feeder: (n_meters, k) whole numbers -> (n_feeders, k)."""
        sums = np.zeros((len(self.feeders), values.shape[1]), dtype=np.int64)
        np.add.at(sums, self.feeder_index, values.astype(np.int64))
        return sums

    def take(self, chosen: NDArray[np.bool_]) -> Fleet:
        """The chosen meters alone, their reads unchanged; chosen : (n_meters,)."""
        index = np.flatnonzero(chosen)
        return replace(
            self,
            meter_ids=tuple(self.meter_ids[i] for i in index),
            feeder_ids=tuple(self.feeder_ids[i] for i in index),
            traits=self.traits.take(index),
            habits=None if self.habits is None else self.habits.take(index),
        )

    def with_habits(self, habits: Habits) -> Fleet:
        """The same meters, whose reads continue their history."""
        alike = replace(self.traits, feeder_gaps=np.ones_like(self.traits.feeder_gaps))
        return replace(self, habits=habits, missing_share=habits.missing_share, traits=alike)

    def without_panels(self) -> Fleet:
        """The same meters without solar panels, for a database that may take no negative energy."""
        traits = self.traits
        none = np.zeros_like(traits.solar_wh)
        used = traits.mean_wh_per_slot - traits.solar_wh
        return replace(self, traits=replace(traits, solar_wh=none, mean_wh_per_slot=used))

    @cached_property
    def customers(self) -> Mapping[str, str]:
        """Meter -> home, shop, school or workshop; {} for a history that goes on, of which only the reads are known."""
        if self.habits is not None:
            return {}
        profiles = load_profiles()
        homes = len(profiles.home_shares)
        kinds = [*["home"] * homes, "shop", *profiles.names[homes + 1 :]]
        rows = (self.traits.shape_row // (2 * SHAPE_WIDTH)).tolist()
        return {meter: kinds[row] for meter, row in zip(self.meter_ids, rows, strict=True)}

    @property
    def interval_minutes(self) -> int:
        """The interval at which its history goes on."""
        return SLOT_MINUTES if self.habits is None else self.habits.minutes

    @property
    def mean_wh_per_slot(self) -> NDArray[np.float64]:
        """(n_meters,) long-run energy of a quarter hour [Wh]."""
        return self.traits.mean_wh_per_slot if self.habits is None else self.habits.mean_wh_per_slot

    @cached_property
    def nominal_v(self) -> NDArray[np.float64]:
        """(n_meters,) what each meter's service is built for [V], by its own usual voltage."""
        usual = [NOMINAL_V] * len(self) if self.habits is None else self.habits.mean_v.tolist()
        return np.array([nominal_of(volts) for volts in usual], dtype=np.float64)

    @property
    def low_voltage_v(self) -> float:
        """Under it a read of most of the meters is a low-voltage interval [V]."""
        return RANGE_A[0] * (float(np.median(self.nominal_v)) if len(self) else NOMINAL_V)

    def honest_slots(self, first_slot: int, n_slots: int) -> HonestReads:
        """Honest reads (n_meters, n_slots), by the load model or by the meters' own habits."""
        if self.habits is None:
            return honest_reads(self.traits, first_slot, n_slots, self.timezone)
        return habit_reads(self.traits, self.habits, first_slot, n_slots, self.timezone)

    def check_target(self, feeder_id: str | None, meter_id: str | None = None) -> None:
        """Raises UnknownFeederError or UnknownMeterError, naming what there is."""
        if feeder_id is not None and feeder_id not in self.feeders:
            raise UnknownFeederError(
                f"{self.tenant_id} has no feeder {feeder_id!r}; its feeders: {', '.join(self.feeders)}",
                feeder_id=feeder_id,
                feeders=list(self.feeders),
            )
        if meter_id is None:
            return
        on_feeder = [
            meter for meter, feeder in zip(self.meter_ids, self.feeder_ids, strict=True) if feeder_id in (None, feeder)
        ]
        if meter_id not in on_feeder:
            raise UnknownMeterError(
                f"{feeder_id or self.tenant_id} has no meter {meter_id!r}; its {len(on_feeder)} meters run "
                f"from {on_feeder[0]} to {on_feeder[-1]}",
                meter_id=meter_id,
                meters=on_feeder[:50],
            )


def fleet_of(tenant_id: str, meter_ids: Sequence[str], feeder_ids: Sequence[str], *, seed: int, timezone: str) -> Fleet:
    """A fleet of given meters; each one's traits follow from seed, tenant, its own id and its feeder."""
    traits = meter_traits(seed, tenant_id, meter_ids, feeder_ids)
    return Fleet(tenant_id, tuple(meter_ids), tuple(feeder_ids), timezone, traits)


def synthetic_fleet(tenant_id: str, *, feeders: int, meters_per_feeder: int, seed: int, timezone: str) -> Fleet:
    """FEEDER_1 to FEEDER_n, their meters numbered consecutively, for a tenant that has none yet.

    meters_per_feeder : on average; see `feeder_sizes`
    """
    sizes = feeder_sizes(feeders, meters_per_feeder)
    feeder_ids = [f"FEEDER_{number}" for number, size in enumerate(sizes, 1) for _ in range(size)]
    meter_ids = [f"MTR-{1 + number:05d}" for number in range(len(feeder_ids))]
    return fleet_of(tenant_id, meter_ids, feeder_ids, seed=seed, timezone=timezone)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """A sort key that orders numbers inside names by value."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]
