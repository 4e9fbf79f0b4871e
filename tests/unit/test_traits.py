"""Traits of meters: they follow from seed, tenant and meter id alone."""

from __future__ import annotations

import numpy as np
import pytest
from model_samples import CHICAGO, fleet, ids, slot_at

from gridlens_core.meters.load_model import honest_reads
from gridlens_core.meters.traits import ENERGY_PARTS, meter_traits


def test_traits_depend_on_seed_tenant_meter_and_kind_of_feeder_and_not_on_the_fleet() -> None:
    meters, feeders = ids(60)
    reverse = meter_traits(7, "DEMO_TENANT", meters[::-1], np.array(feeders[::-1]))
    alone = meter_traits(7, "DEMO_TENANT", ["MTR-00042"], ["FEEDER_11"])
    for name in ("key", "mean_wh_per_slot", "commercial", "shape_row", "feeder_drop_v"):
        values = getattr(fleet(), name)
        assert np.array_equal(getattr(reverse, name)[::-1], values)
        assert getattr(alone, name)[0] == values[42]
    first = slot_at(2026, 3, 6)
    turned, straight = (honest_reads(meters, first, 30, CHICAGO).voltage_dv for meters in (reverse, fleet()))
    assert np.array_equal(turned[::-1], straight)
    for other in (meter_traits(8, "DEMO_TENANT", meters, feeders), meter_traits(7, "OTHER", meters, feeders)):
        assert not np.intersect1d(other.key, fleet().key).size


def test_meters_without_feeders_are_refused() -> None:
    with pytest.raises(ValueError, match="2 meter ids, but 1 feeder ids"):
        meter_traits(7, "DEMO_TENANT", ["A", "B"], ["F"])


def test_the_parts_of_the_energy_add_up_to_the_mean() -> None:
    assert np.allclose(sum(getattr(fleet(400), part) for part in ENERGY_PARTS), fleet(400).mean_wh_per_slot)


def test_some_of_the_meters_keep_their_traits_and_the_feeders() -> None:
    some = fleet().take(np.array([3, 59]))
    assert some.key.tolist() == fleet().key[[3, 59]].tolist()
    assert some.feeder_index.tolist() == [0, 1]
    assert some.feeder_keys.tolist() == fleet().feeder_keys.tolist()
