"""What finding losses is worth, to figures worked out by hand, and the words it is said in."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlens_core.display import worth_words
from gridlens_core.display.own_numbers import OWN, OwnNumbers, numbers_of, own_of
from gridlens_core.explanation.worth import INPUTS, Numbers, Range, worth_of
from gridlens_core.meters.fleet import synthetic_fleet

NUMBERS = Numbers(
    customers=100_000,
    kwh_a_customer=10_000,
    tariff_usd_per_kwh=0.2,
    loss_pct=Range(1, 4),
    found_pct=Range(20, 50),
    truck_roll_usd=Range(250, 1_000),
    unread_pct=Range(0.5, 2),
    basis=dict.fromkeys(INPUTS, "somebody said so"),
)


def sure(numbers: Numbers, **changes: float) -> Numbers:
    """The same with ranges that are one number each."""
    return replace(numbers, **{name: Range(value, value) for name, value in changes.items()})


def test_one_year_worked_out_by_hand() -> None:
    worth = worth_of(sure(NUMBERS, loss_pct=2, found_pct=40, truck_roll_usd=500, unread_pct=1))
    assert worth.low == worth.high
    assert worth.numbers.revenue_usd == pytest.approx(200_000_000)  # 100,000 x 10,000 kWh x $0.20
    assert worth.low.lost_usd == pytest.approx(4_000_000)  # 2 %
    assert worth.low.found_usd == pytest.approx(1_600_000)  # 40 % of it
    assert worth.low.visits == pytest.approx(1_000)  # 800 customers' use, four leads of five right
    assert worth.low.visits_usd == pytest.approx(500_000)
    assert worth.low.unread_meters == pytest.approx(1_000)
    assert worth.low.spared_usd == pytest.approx(500_000)
    assert worth.low.total_usd == pytest.approx(1_600_000)


def test_the_range_is_the_least_and_the_most_of_all_ends() -> None:
    worth = worth_of(NUMBERS)
    # Low: 1 % and 20 % found is $400,000; 250 visits and 500 spared leave 250 more truck rolls, at $250 the least.
    assert worth.low.total_usd == pytest.approx(400_000 + 250 * 250)
    # High: 4 % and 50 % found is $4,000,000; 2,500 visits less 2,000 spared cost 500 truck rolls, at $250 the least.
    assert worth.high.total_usd == pytest.approx(4_000_000 - 500 * 250)
    assert (worth.low.truck_roll_usd, worth.high.truck_roll_usd) == (250, 250)


share, cost = st.floats(0, 100), st.floats(0, 2_000)


@settings(max_examples=30)
@given(st.tuples(share, share, cost, share), st.tuples(share, share, cost, share), st.floats(0, 1))
def test_no_choice_within_the_ranges_lies_outside_the_result(
    some: tuple[float, ...], others: tuple[float, ...], place: float
) -> None:
    ranges = [Range(min(ends), max(ends)) for ends in zip(some, others, strict=True)]
    names = [name for name, row in INPUTS.items() if row.is_range]
    worth = worth_of(replace(NUMBERS, **dict(zip(names, ranges, strict=True))))
    slack = 1e-6 * (1 + abs(worth.low.total_usd) + abs(worth.high.total_usd))
    for weights in product((0.0, place, 1.0), repeat=4):
        inner = {
            name: one.low + weight * (one.high - one.low)
            for name, one, weight in zip(names, ranges, weights, strict=True)
        }
        total = worth_of(sure(NUMBERS, **inner)).low.total_usd
        assert worth.low.total_usd - slack <= total <= worth.high.total_usd + slack


def test_a_column_of_the_table_adds_up() -> None:
    for one in (worth_of(NUMBERS).low, worth_of(NUMBERS).high):
        assert one.found_usd - one.visits_usd + one.spared_usd == pytest.approx(one.total_usd)
    rows = {name: (low, high) for name, low, high in worth_words.part_rows(worth_of(NUMBERS))}
    assert rows["Found and billed"] == ("$400k", "$4.0M")
    assert rows["Crews to find it"] == ("-$62k (250 visits)", "-$620k (2,500 visits)")
    assert rows["Visits to unread meters spared"] == ("$120k (500 visits)", "$500k (2,000 visits)")
    assert rows["Worth"] == ("$460k", "$3.9M")


def test_it_is_said_as_a_range_with_its_formula_and_no_number_without_its_basis() -> None:
    worth = worth_of(NUMBERS)
    assert worth_words.sentence(worth) == "Worth $460k to $3.9M in the first year, for 100,000 customers."
    said = " ".join(worth_words.formula(worth))
    assert "tariff: $200M a year. Of it 1 to 4 % is lost; of that 20 to 50 % is found" in said
    assert "only 80 % of the leads are right (lead hit rate at BC Hydro: Awesense case study), 25 % more" in said
    rows = worth_words.basis_rows(worth)
    assert len(rows) == len(INPUTS) == 7
    assert all(source for *_, source in rows)
    assert ("Tariff", "$0.200 per kWh", "somebody said so") in rows
    assert ("Cost of a truck roll", "$250 to $1,000", "somebody said so") in rows


@pytest.mark.parametrize("name", list(INPUTS))
def test_every_range_says_where_it_was_found(name: str) -> None:
    row = INPUTS[name]
    assert row.source
    assert f"{row.says} ({row.source})" in worth_words.limits(name)
    if row.usual is not None:
        assert row.limits.low <= row.usual.low <= row.usual.high <= row.limits.high


@pytest.mark.parametrize(
    ("usd", "said"),
    [
        *((0, "$0"), (1.234, "$1.2"), (97, "$97"), (1_234, "$1,200"), (-9_999, "-$10k"), (62_500, "$62k")),
        *((3.87e6, "$3.9M"), (2e8, "$200M"), (8.91e9, "$8.9B")),
    ],
)
def test_an_estimate_has_two_digits(usd: float, said: str) -> None:
    assert worth_words.rough(usd) == said


def test_what_the_utility_has_not_said_is_the_tenants_or_the_usual() -> None:
    fleet = synthetic_fleet("DEMO_TENANT", feeders=2, meters_per_feeder=20, seed=7, timezone="America/Chicago")
    numbers = numbers_of(OwnNumbers(loss_pct=(2.0, 3.0)), fleet, 0.17)
    assert numbers.customers == len(fleet)
    assert numbers.basis["customers"] == "the meters of this tenant"
    assert 3_000 < numbers.kwh_a_customer < 40_000
    assert (numbers.tariff_usd_per_kwh, numbers.basis["tariff_usd_per_kwh"]) == (0.17, "the tariff of this demo")
    assert (numbers.loss_pct, numbers.basis["loss_pct"]) == (Range(2, 3), OWN)
    assert numbers.found_pct == INPUTS["found_pct"].usual
    again = numbers_of(own_of(numbers), fleet, 0.5)
    assert replace(again, basis=numbers.basis) == numbers
    assert set(again.basis.values()) == {OWN}
