from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest
from helpers import FROZEN, TENANT, event, lost_wh, run_python
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlens_core.clock import INTERVAL_MINUTES
from gridlens_core.errors import BadInputError
from gridlens_core.meters.emulator import (
    Reads,
    Span,
    emulate,
    feeder_loss_wh,
    honest_intervals,
    sagged_dv,
    supply_error,
)
from gridlens_core.meters.events import EVENT_TYPES, Event
from gridlens_core.meters.fleet import Fleet, synthetic_fleet
from gridlens_core.meters.gaps import background_missing
from gridlens_core.meters.load_model import honest_reads, technical_loss_wh

ZONE = "America/Chicago"
FLEET = synthetic_fleet(TENANT, feeders=8, meters_per_feeder=3, seed=7, timezone=ZONE)
HOUR = timedelta(hours=1)
SPAN = Span(FROZEN, 15, 8)
FIRST_SLOT = int(FROZEN.timestamp()) // 900


def on(feeder: str, fleet: Fleet = FLEET) -> np.ndarray:
    return np.array(fleet.feeder_ids) == feeder


HONEST = emulate(FLEET, SPAN, [])
SEVEN = on("FEEDER_7")


# --- honest reads ---------------------------------------------------------------------------------------


def test_without_events_the_meters_record_what_was_used() -> None:
    assert np.array_equal(HONEST.recorded_mwh, HONEST.honest_wh * 1000)
    reads = honest_reads(FLEET.traits, FIRST_SLOT, 8, ZONE)
    assert np.array_equal(HONEST.honest_wh, reads.energy_wh)
    assert np.array_equal(HONEST.voltage_dv, reads.voltage_dv)


def test_what_arrives_is_all_but_the_ordinary_gaps() -> None:
    month = Span(FROZEN, 15, 96 * 30)
    missing = background_missing(FLEET.traits, FIRST_SLOT, month.count)
    assert missing.any()
    assert np.array_equal(emulate(FLEET, month, []).sent, ~missing)
    assert emulate(FLEET, month, [], missing_share=0).sent.all()


def test_a_gap_of_a_slot_is_a_gap_of_every_interval_that_ends_in_it() -> None:
    slots = emulate(FLEET, Span(FROZEN, 15, 96 * 30), []).sent
    fives = emulate(FLEET, Span(FROZEN, 5, 96 * 30 * 3), []).sent
    hours = emulate(FLEET, Span(FROZEN, 60, 24 * 30), []).sent
    assert np.array_equal(fives, np.repeat(slots, 3, axis=1))
    assert np.array_equal(hours, slots[:, 3::4])


def test_supply_is_the_honest_energy_and_the_technical_loss() -> None:
    for number, (feeder, supplied) in enumerate(zip(FLEET.feeders, HONEST.supplied_wh, strict=True)):
        delivered = HONEST.honest_wh[on(feeder)].sum(axis=0)
        mean = FLEET.traits.mean_wh_per_slot[on(feeder)].sum()
        shares = tuple(float(of_feeder[number, 0]) for of_feeder in FLEET.loss_shares)
        loss = technical_loss_wh(mean, delivered, 1.0, shares)
        error = supply_error(FLEET, HONEST.span)[number]
        assert np.array_equal(supplied, delivered + loss + np.rint((delivered + loss) * error))
        assert np.array_equal(feeder_loss_wh(FLEET, FLEET.sum_by_feeder(HONEST.honest_wh), 15)[number], loss)
    assert (lost_wh(HONEST) > 0).all()
    assert np.array_equal(HONEST.supplied_wh.sum(), HONEST.honest_wh.sum() + lost_wh(HONEST).sum())


def test_the_substation_s_meters_are_of_class_0_2() -> None:
    month = supply_error(FLEET, Span(FROZEN, 15, 96 * 30))
    assert np.abs(month).max() <= 0.002
    assert 0.0008 < month.std() < 0.001
    assert np.abs(month.mean(axis=1)).max() < 0.0001
    assert np.abs(np.corrcoef(month)[np.triu_indices(len(month), 1)]).max() < 0.1


def test_the_error_of_a_supply_is_the_same_whoever_else_is_asked_about() -> None:
    span = Span(FROZEN, 15, 8)
    alone = FLEET.take(FLEET.feeder_index == 1)
    assert np.array_equal(supply_error(alone, span), supply_error(FLEET, span)[1:2])
    assert np.array_equal(supply_error(FLEET, Span(span.start, 60, 2)), supply_error(FLEET, span)[:, 3::4])


@pytest.mark.parametrize("minutes", INTERVAL_MINUTES)
def test_every_interval_length_gives_each_hour_the_energy_of_its_slots(minutes: int) -> None:
    hours = 30
    energy, voltage = honest_intervals(FLEET, Span(FROZEN, minutes, hours * 60 // minutes))
    slots = honest_reads(FLEET.traits, FIRST_SLOT, hours * 4, ZONE)
    by_hour = energy.reshape(len(FLEET), hours, -1).sum(axis=2)
    assert np.array_equal(by_hour, slots.energy_wh.reshape(len(FLEET), hours, 4).sum(axis=2))
    assert (energy[~FLEET.traits.exports] >= 0).all()
    assert voltage.min() >= slots.voltage_dv.min()
    assert voltage.max() <= slots.voltage_dv.max()


@pytest.mark.parametrize("minutes", [5, 10, 15, 20, 30, 60])
@pytest.mark.parametrize("late", [0, 5, 10, 20, 55])
def test_intervals_that_cut_slots_follow_the_plain_definition(minutes: int, late: int) -> None:
    span = Span(FROZEN + timedelta(minutes=late), minutes, 7)
    energy, voltage = honest_intervals(FLEET, span)
    slots = honest_reads(FLEET.traits, FIRST_SLOT, 40, ZONE)

    def used_until(meter: int, minute: int) -> int:
        slot, part = divmod(minute, 15)
        return int(slots.energy_wh[meter, :slot].sum()) + int(slots.energy_wh[meter, slot]) * part // 15

    for meter in (0, 11, 23):
        for interval in range(span.count):
            first = late + interval * minutes
            assert energy[meter, interval] == used_until(meter, first + minutes) - used_until(meter, first)
            by_minute = [int(slots.voltage_dv[meter, minute // 15]) for minute in range(first, first + minutes)]
            assert abs(voltage[meter, interval] - sum(by_minute) / minutes) <= 0.5


@pytest.mark.parametrize("minutes", [5, 15, 20])
def test_a_span_gives_what_its_intervals_give_one_by_one(minutes: int) -> None:
    span = Span(FROZEN + timedelta(minutes=5), minutes, 12)
    events = [event(starts=FROZEN + HOUR, ends=FROZEN + 2 * HOUR), event("comms-outage", feeder="FEEDER_2")]
    together = emulate(FLEET, span, events)
    for number, read_at in enumerate(span.read_times):
        alone = emulate(FLEET, Span.ending(read_at, minutes), events)
        for name in ("honest_wh", "recorded_mwh", "voltage_dv", "sent", "supplied_wh"):
            assert np.array_equal(getattr(alone, name)[:, 0], getattr(together, name)[:, number]), name


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(BadInputError, match="offset"):
        emulate(FLEET, Span(FROZEN.replace(tzinfo=None), 15), [])
    with pytest.raises(BadInputError, match="read_at"):
        Span.ending(FROZEN.replace(tzinfo=None), 15)


# --- events ---------------------------------------------------------------------------------------------


@given(st.floats(min_value=0, max_value=1))
def test_theft_leaves_the_rest_of_the_energy_and_all_of_the_voltage(severity: float) -> None:
    reads = emulate(FLEET, SPAN, [event("theft", severity)])
    recorded_kwh, honest_kwh = reads.recorded_mwh / 1e6, HONEST.honest_wh / 1e3
    assert np.abs(recorded_kwh[SEVEN] - honest_kwh[SEVEN] * (1 - severity)).max() <= 1e-6
    assert np.array_equal(reads.recorded_mwh[~SEVEN], HONEST.recorded_mwh[~SEVEN])
    for untouched in ("honest_wh", "voltage_dv", "sent", "supplied_wh"):
        assert np.array_equal(getattr(reads, untouched), getattr(HONEST, untouched)), untouched


def test_two_thefts_multiply_in_any_order() -> None:
    both = [event("theft", 0.7), event("theft", 0.5, feeder=None)]
    reads, turned = emulate(FLEET, SPAN, both), emulate(FLEET, SPAN, both[::-1])
    assert np.abs(reads.recorded_mwh - turned.recorded_mwh).max() <= 1
    left = HONEST.honest_wh * 1000 * np.where(SEVEN, 0.3 * 0.5, 0.5)[:, None]
    assert np.abs(reads.recorded_mwh - left).max() <= 1


@given(st.floats(min_value=0, max_value=1), st.floats(min_value=0, max_value=1))
def test_a_sag_is_within_the_band_deeper_with_severity_and_takes_no_energy(one: float, other: float) -> None:
    mild, severe = (emulate(FLEET, SPAN, [event("voltage-sag", severity)]) for severity in sorted((one, other)))
    assert mild.voltage_dv[SEVEN].max() < 1140
    assert severe.voltage_dv[SEVEN].min() >= 1080
    assert (severe.voltage_dv <= mild.voltage_dv).all()
    assert np.array_equal(severe.voltage_dv[~SEVEN], HONEST.voltage_dv[~SEVEN])
    for untouched in ("honest_wh", "recorded_mwh", "sent", "supplied_wh"):
        assert np.array_equal(getattr(severe, untouched), getattr(HONEST, untouched)), untouched


@pytest.mark.parametrize("turn", [1, -1])
def test_of_two_sags_the_deeper_is_measured(turn: int) -> None:
    both = [event("voltage-sag", 0.9), event("voltage-sag", 0.2)][::turn]
    deeper = emulate(FLEET, SPAN, [event("voltage-sag", 0.9)])
    assert np.array_equal(emulate(FLEET, SPAN, both).voltage_dv, deeper.voltage_dv)


def test_a_severe_sag_is_clearly_deeper_than_a_mild_one() -> None:
    depths = [emulate(FLEET, SPAN, [event("voltage-sag", s)]).voltage_dv[SEVEN].mean() for s in (0.1, 0.4, 0.7, 1.0)]
    assert np.diff(depths).max() < -10


@given(st.integers(900, 1400), st.floats(0, 1))
def test_the_sagged_level_keeps_to_the_band_whatever_the_honest_voltage(honest: int, severity: float) -> None:
    assert 1080 <= sagged_dv(np.array([honest]), severity)[0] < 1140


@pytest.mark.parametrize("severity", [None, 0.01, 1])
def test_an_outage_sends_nothing_whatever_the_severity(severity: float | None) -> None:
    reads = emulate(FLEET, SPAN, [event("comms-outage", severity)])
    assert not reads.sent[SEVEN].any()
    assert np.array_equal(reads.sent[~SEVEN], HONEST.sent[~SEVEN])
    for untouched in ("honest_wh", "recorded_mwh", "voltage_dv", "supplied_wh"):
        assert np.array_equal(getattr(reads, untouched), getattr(HONEST, untouched)), untouched


@pytest.mark.parametrize("turn", [1, -1])
def test_an_outage_wins_over_all(turn: int) -> None:
    events = [event("comms-outage"), event("theft"), event("voltage-sag")][::turn]
    assert not emulate(FLEET, SPAN, events).sent[SEVEN].any()


@pytest.mark.parametrize(
    ("target", "meters"),
    [
        pytest.param({"feeder": None}, 24, id="no feeder means all of them"),
        pytest.param({"feeder": "FEEDER_7"}, 3, id="one feeder"),
        pytest.param({"feeder": "FEEDER_7", "meter": "MTR-00020"}, 1, id="one meter of a feeder"),
        pytest.param({"feeder": None, "meter": "MTR-00020"}, 1, id="one meter wherever it is"),
        pytest.param({"feeder": "FEEDER_1", "meter": "MTR-00020"}, 0, id="a meter of another feeder"),
        pytest.param({"feeder": "FEEDER_99"}, 0, id="a feeder that is not there"),
    ],
)
def test_an_event_touches_the_meters_it_is_about(target: dict, meters: int) -> None:
    reads = emulate(FLEET, SPAN, [event("theft", 1, **target)])
    touched = (reads.recorded_mwh == 0).all(axis=1)
    assert touched.sum() == meters
    if "meter" in target:
        assert np.array(FLEET.meter_ids)[touched].tolist() == ["MTR-00020"] * meters


@pytest.mark.parametrize(
    ("starts", "ends", "touched"),
    [
        pytest.param(0, 15, [0], id="exactly one interval"),
        pytest.param(14, 16, [0, 1], id="two minutes across a boundary"),
        pytest.param(30, 60, [2, 3], id="half an hour"),
        pytest.param(-60, 0, [], id="over before the first interval"),
        pytest.param(120, 180, [], id="beginning after the last interval"),
        pytest.param(30, 30, [], id="ended at its own start"),
        pytest.param(45, 30, [], id="ending before it starts"),
        pytest.param(-60, 600, list(range(8)), id="all of them"),
    ],
)
def test_an_event_touches_the_intervals_its_window_overlaps(starts: int, ends: int, touched: list[int]) -> None:
    window = {"starts": FROZEN + timedelta(minutes=starts), "ends": FROZEN + timedelta(minutes=ends)}
    reads = emulate(FLEET, SPAN, [event("comms-outage", feeder=None, **window)])
    assert np.flatnonzero(~reads.sent.any(axis=0)).tolist() == touched


@pytest.mark.parametrize("event_type", ["", "THEFT", "meter-swap"])
def test_an_event_of_an_unknown_type_changes_nothing(event_type: str) -> None:
    reads = emulate(FLEET, SPAN, [event(event_type)])
    for name in ("recorded_mwh", "voltage_dv", "sent"):
        assert np.array_equal(getattr(reads, name), getattr(HONEST, name))


# --- the vectorised emulator against a plain one --------------------------------------------------------

minute = st.integers(-90, 300)
some_events = st.lists(
    st.builds(
        lambda kind, severity, feeder, meter, start, length: event(
            kind,
            severity,
            feeder=feeder,
            meter=meter,
            starts=FROZEN + timedelta(minutes=start),
            ends=FROZEN + timedelta(minutes=start + length),
        ),
        st.sampled_from(EVENT_TYPES),
        st.none() | st.decimals("0.01", 1, places=2).map(str),
        st.none() | st.sampled_from(FLEET.feeders),
        st.none() | st.sampled_from(FLEET.meter_ids[18:22]),
        minute,
        st.integers(-5, 200),
    ),
    max_size=5,
)


def plain_reads(span: Span, events: Sequence[Event]) -> list[list[tuple[int, int, bool]]]:
    """(mWh, dV, sent) of each meter and interval, one after the other."""
    honest_wh, honest_dv = honest_intervals(FLEET, span)
    arrives = emulate(FLEET, span, []).sent
    answer = []
    for number, (meter, feeder) in enumerate(zip(FLEET.meter_ids, FLEET.feeder_ids, strict=True)):
        reads = []
        for interval, read_at in enumerate(span.read_times):
            mwh, volts = int(honest_wh[number, interval]) * 1000, int(honest_dv[number, interval])
            sent = bool(arrives[number, interval])
            for one in events:
                if one.feeder_id not in (None, feeder) or one.meter_id not in (None, meter):
                    continue
                if not one.starts_at < one.ends_at:
                    continue
                if one.starts_at >= read_at or one.ends_at <= read_at - timedelta(minutes=span.minutes):
                    continue
                if one.event_type == "theft":
                    mwh = round(mwh * (1.0 - one.fraction))
                elif one.event_type == "voltage-sag":
                    spread = max(-3, min(3, (int(honest_dv[number, interval]) - 1210) // 10))
                    volts = min(volts, max(1080, min(1139, 1136 - round(53 * one.fraction) + spread)))
                else:
                    sent = False
            reads.append((mwh, volts, sent))
        answer.append(reads)
    return answer


def as_plain(reads: Reads) -> list[list[tuple[int, int, bool]]]:
    arrays = (reads.recorded_mwh.tolist(), reads.voltage_dv.tolist(), reads.sent.tolist())
    return [list(zip(*rows, strict=True)) for rows in zip(*arrays, strict=True)]


@settings(max_examples=60)
@given(some_events, st.sampled_from(INTERVAL_MINUTES), st.integers(0, 11), st.integers(1, 5))
def test_the_vectorised_emulator_equals_a_plain_one(
    events: list[Event], minutes: int, late: int, intervals: int
) -> None:
    span = Span(FROZEN + timedelta(minutes=5 * late), minutes, intervals)
    assert as_plain(emulate(FLEET, span, events)) == plain_reads(span, events)


# --- the same arguments, the same reads -----------------------------------------------------------------

FINGERPRINT = "from test_emulator import fingerprint; print(fingerprint())"


def fingerprint() -> str:
    events = [event(), event("voltage-sag", 0.3, feeder="FEEDER_2"), event("comms-outage", feeder="FEEDER_3")]
    reads = emulate(FLEET, Span(FROZEN - HOUR, 5, 60), events)
    digest = hashlib.sha256()
    for name in ("honest_wh", "recorded_mwh", "voltage_dv", "sent", "supplied_wh"):
        digest.update(np.ascontiguousarray(getattr(reads, name)).tobytes())
    return digest.hexdigest()


def test_another_process_gets_the_same_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "4711")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert run_python(FINGERPRINT).stdout.strip() == fingerprint()


def test_another_seed_gives_other_reads() -> None:
    other = synthetic_fleet(TENANT, feeders=8, meters_per_feeder=3, seed=8, timezone=ZONE)
    assert not np.array_equal(emulate(other, SPAN, []).honest_wh, HONEST.honest_wh)
