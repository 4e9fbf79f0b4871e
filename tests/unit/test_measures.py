"""Units of energy, volts and time, by what the values are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from gridlens_core.database.bindings import Binding, Column
from gridlens_core.database.measures import Sampled, settle_energy, settle_time, settle_volts, usual_minutes
from gridlens_core.database.newest import half_have
from gridlens_core.meters.emulator import sagged_dv
from gridlens_core.meters.voltage_limits import nominal_of

WALL = datetime(2026, 6, 10, 23, 7, tzinfo=UTC)
CHICAGO = "America/Chicago"
AT_23 = datetime(2026, 6, 10, 23, tzinfo=UTC).replace(tzinfo=None)


def binding(role: str, name: str, type_name: str = "double precision", **more: Any) -> Binding:
    unit = {"kwh": "kWh", "voltage": "V"}.get(role, "")
    chosen: dict[str, Any] = {"certainty": "sure", "why": "by its name", **more}
    return Binding(role, Column(name, type_name, True, False), unit, **chosen)  # type: ignore[arg-type]


def sample(
    energy: Any = 0.3, volts: Any = 120.0, last: Any = WALL, minutes: int = 15, reads: int = 40
) -> list[Sampled]:
    """Reads of three meters back from `last`; a list of energies is gone through."""
    found = []
    for meter in ("M1", "M2", "M3"):
        for number in range(reads):
            value = energy[number % len(energy)] if isinstance(energy, list) else energy
            found.append(Sampled(meter, last - timedelta(minutes=minutes) * number, value, volts))
    return found


@pytest.mark.parametrize(
    ("name", "value", "minutes", "unit", "certainty"),
    [
        ("kwh", 0.3, 15, "kWh", "sure"),
        ("kwh", 300.0, 15, "Wh", "guess"),
        ("energy", 300.0, 15, "Wh", "sure"),
        ("energy_wh", 1200.0, 60, "Wh", "sure"),
        ("energy", 0.0003, 15, "MWh", "sure"),
        ("kwh", 25.0, 24 * 60, "kWh", "sure"),
        ("kwh", 10.0, 15, "kWh", "sure"),  # shops, where the name says it
        ("kwh", -0.3, 15, "kWh", "sure"),  # export
    ],
)
def test_the_unit_of_energy_is_the_one_in_which_a_day_is_a_homes_day(
    name: str, value: float, minutes: int, unit: str, certainty: str
) -> None:
    settled = settle_energy(binding("kwh", name), sample([value, 1.1 * value, value]), minutes)
    assert (settled.binding.unit, settled.binding.certainty, settled.unsettled) == (unit, certainty, "")


def test_an_energy_that_is_no_homes_day_in_any_unit_is_not_settled() -> None:
    settled = settle_energy(binding("kwh", "energy"), sample([20.0, 21.0, 19.0]), 15)
    assert "neither in Wh, kWh nor MWh" in settled.unsettled


def test_a_register_is_told_from_energy() -> None:
    rising = [12_000.0 - 0.3 * number for number in range(40)]  # the newest read comes first
    assert "register" in settle_energy(binding("kwh", "kwh"), sample(rising), 15).unsettled


def test_what_is_set_stays_and_what_has_no_values_goes_by_its_name() -> None:
    fixed = binding("kwh", "energy", certainty="set")
    assert settle_energy(fixed, sample(20.0), 15).binding == fixed
    assert settle_energy(binding("kwh", "energy_wh"), [], 15).binding.unit == "Wh"


@pytest.mark.parametrize(
    ("volts", "unit"), [(121.0, "V"), (233.0, "V"), (7_310.0, "V"), (7.31, "kV"), (1.01, "pu"), (0.96, "pu")]
)
def test_the_unit_of_volts_is_where_the_values_lie(volts: float, unit: str) -> None:
    settled = settle_volts(binding("voltage", "voltage"), sample(volts=volts))
    assert (settled.binding.unit, settled.unsettled) == (unit, "")


@pytest.mark.parametrize("volts", [12.0 * 4, 1_210.0, 0.2])
def test_volts_of_no_service_are_not_settled(volts: float) -> None:
    assert settle_volts(binding("voltage", "voltage"), sample(volts=volts)).unsettled


@pytest.mark.parametrize(
    ("last", "form", "certainty"),
    [
        (AT_23, "UTC", "sure"),
        (AT_23 - timedelta(hours=5), CHICAGO, "sure"),
        (AT_23 - timedelta(days=2), "UTC", "guess"),
    ],
)
def test_times_without_a_zone_are_in_the_zone_in_which_the_history_ends_now(
    last: datetime, form: str, certainty: str
) -> None:
    naive = binding("read_at", "read_at", "timestamp without time zone")
    settled = settle_time(naive, sample(last=last), WALL, CHICAGO, 15)
    assert (settled.binding.form, settled.binding.certainty) == (form, certainty)


@pytest.mark.parametrize(("times", "form"), [(1, "epoch s"), (1_000, "epoch ms"), (1_000_000, "epoch us")])
def test_numbers_are_seconds_since_1970_by_their_size(times: int, form: str) -> None:
    numbers = [Sampled("M1", (WALL.timestamp() - 900 * number) * times, 0.3, 120.0) for number in range(20)]
    assert usual_minutes(numbers) == pytest.approx(15)
    assert settle_time(binding("read_at", "ts", "bigint"), numbers, WALL, CHICAGO, 15).binding.form == form


@pytest.mark.parametrize("kind", ["text", "date", "time without time zone"])
def test_what_is_no_time_is_refused_by_name(kind: str) -> None:
    assert (
        f"it is {kind}, and a time is needed"
        in settle_time(binding("read_at", "read_at", kind), [], WALL, CHICAGO, 15).unsettled
    )


def test_a_label_that_starts_its_interval_by_its_name_is_taken_so() -> None:
    bound = settle_time(
        binding("read_at", "interval_start", "timestamp with time zone"), sample(minutes=30), WALL, CHICAGO, 30
    ).binding
    assert bound.starts_minutes == 30


@pytest.mark.parametrize(
    ("newest", "told"),
    [
        pytest.param([0] * 99 + [26 * 60], 0, id="one clock a day ahead"),
        pytest.param([0] * 95 + [40_000_000] * 5, 0, id="stray reads of the year 2099"),
        pytest.param([0] * 60 + [-15] * 40, 0, id="a ragged edge"),
        pytest.param([0] * 40 + [-15] * 60, -15, id="an edge that most have not reached"),
        pytest.param([0] * 40 + [-20_000] * 60, 0, id="most meters gone for weeks"),
        pytest.param([5], 5, id="one meter"),
    ],
)
def test_the_newest_interval_is_the_one_that_half_of_the_fleet_has(newest: list[int], told: int) -> None:
    times = sorted((WALL + timedelta(minutes=minutes) for minutes in newest), reverse=True)
    assert half_have(times) == WALL + timedelta(minutes=told)
    assert half_have([]) is None


@pytest.mark.parametrize(
    ("usual", "nominal"), [(121.9, 120), (232.0, 230), (241.0, 240), (7_310.0, 7_200), (float("nan"), 120)]
)
def test_nominal_is_what_a_service_is_built_for(usual: float, nominal: float) -> None:
    assert nominal_of(usual) == nominal


@pytest.mark.parametrize("nominal", [100.0, 230.0, 240.0, 7200.0])
@pytest.mark.parametrize("severity", [0.01, 0.5, 1.0])
def test_a_sag_is_the_same_share_of_any_nominal_voltage(nominal: float, severity: float) -> None:
    honest_120 = np.array([1170, 1210, 1240])
    on_base = sagged_dv(honest_120, severity) / 1200
    elsewhere = sagged_dv(np.rint(honest_120 * nominal / 120).astype(np.int64), severity, nominal) / (10 * nominal)
    assert np.abs(elsewhere - on_base).max() < 0.001
    assert elsewhere.min() >= 0.8995
    assert elsewhere.max() < 0.9505
