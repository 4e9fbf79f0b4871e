"""What finding losses is worth to a utility in its first year, as a range: arithmetic on the utility's own numbers.
Every range a number may take carries where it was found. An estimate, not a KPI, and nothing of the emulator's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

HOME_KWH = 10_500.0  # a year
HIT_RATE = 0.8  # confirmed of inspected
HIT_RATE_SOURCE = "lead hit rate at BC Hydro: Awesense case study"


@dataclass(frozen=True)
class Range:
    """A number that is not known better than this; both ends the same where it is."""

    low: float
    high: float


@dataclass(frozen=True)
class Input:
    """One number that goes in.

    unit : "", "kWh", "$", "$/kWh" or "%"
    limits : the range it may be chosen from; says, source : what is known of it, and where that was found
    usual : where it stands until somebody says better; None where the tenant's own is known
    is_range : it goes in as a range
    """

    name: str
    label: str
    unit: str
    limits: Range
    step: float
    says: str
    source: str
    usual: Range | None = None

    @property
    def is_range(self) -> bool:
        return self.usual is not None


COMMON = "common knowledge"  # of a figure without a source at hand
_ROWS = (
    Input("customers", "Customers", "", Range(100, 5_000_000), 1, "a cooperative to a large utility", COMMON),
    Input("kwh_a_customer", "Use of a customer a year", "kWh", Range(3_000, 20_000), 100,
          f"a US home uses about {HOME_KWH:,.0f} kWh a year", COMMON),
    Input("tariff_usd_per_kwh", "Tariff", "$/kWh", Range(0.128, 0.323), 0.001,
          "residential, lowest to highest state, April 2025", "EIA, table 5.6.A"),
    Input("loss_pct", "Non-technical loss", "%", Range(1, 5), 0.1,
          "1 to 4 % of revenue in US case studies, about 5 % in Brazil", "metering.com, PPL; Energies 15(6):2218",
          Range(1, 4)),
    Input("found_pct", "Share of it found", "%", Range(5, 80), 5,
          "no published figure is at hand, so it is a wide range", COMMON, Range(20, 50)),
    Input("truck_roll_usd", "Cost of a truck roll", "$", Range(250, 1_000), 10,
          "one dispatch", "S&C and TSIA: vsight.io; sandc.com", Range(250, 1_000)),
    Input("unread_pct", "Unread meters", "%", Range(0.5, 2), 0.1,
          "98 % of reads a day are required, modern contracts ask for about 99.5 %",
          f"Ontario AMI specification 2.3.1; {COMMON}", Range(0.5, 2)),
)  # fmt: skip
INPUTS: Mapping[str, Input] = {one.name: one for one in _ROWS}


@dataclass(frozen=True)
class Numbers:
    """What goes in.

    kwh_a_customer : [kWh a year]; loss_pct : of revenue; found_pct : of that loss; unread_pct : of meters on a day
    basis : of each number, by its name, where it is from
    """

    customers: int
    kwh_a_customer: float
    tariff_usd_per_kwh: float
    loss_pct: Range
    found_pct: Range
    truck_roll_usd: Range
    unread_pct: Range
    basis: Mapping[str, str] = field(hash=False)

    @property
    def revenue_usd(self) -> float:
        """Of a year."""
        return self.customers * self.kwh_a_customer * self.tariff_usd_per_kwh


@dataclass(frozen=True)
class Estimate:
    """The first year with one value for each number; dollars of a year.

    lost_usd : non-technical loss; found_usd : the part that is found
    visits : by crews to find it, HIT_RATE of them rightly; each finds the whole use of one customer
    unread_meters : told from theft, so that nobody is sent to look for a thief there, once a year
    """

    loss_pct: float
    found_pct: float
    truck_roll_usd: float
    unread_pct: float
    lost_usd: float
    found_usd: float
    visits: float
    unread_meters: float

    @property
    def visits_usd(self) -> float:
        """What the crews cost."""
        return self.visits * self.truck_roll_usd

    @property
    def spared_usd(self) -> float:
        """Visits to unread meters that are not made."""
        return self.unread_meters * self.truck_roll_usd

    @property
    def total_usd(self) -> float:
        return self.found_usd - self.visits_usd + self.spared_usd


@dataclass(frozen=True)
class Worth:
    """The least and the most that the numbers allow."""

    numbers: Numbers
    low: Estimate
    high: Estimate


def worth_of(numbers: Numbers) -> Worth:
    """The worth of a first year. It is linear in each range by itself, so its least and its most lie at their ends."""
    ranges = (numbers.loss_pct, numbers.found_pct, numbers.truck_roll_usd, numbers.unread_pct)
    corners = [_estimate(numbers, *ends) for ends in product(*((one.low, one.high) for one in ranges))]
    return Worth(numbers, min(corners, key=_total), max(corners, key=_total))


def _estimate(
    numbers: Numbers, loss_pct: float, found_pct: float, truck_roll_usd: float, unread_pct: float
) -> Estimate:
    lost_usd, found = numbers.revenue_usd * loss_pct / 100, found_pct / 100
    return Estimate(
        loss_pct=loss_pct,
        found_pct=found_pct,
        truck_roll_usd=truck_roll_usd,
        unread_pct=unread_pct,
        lost_usd=lost_usd,
        found_usd=lost_usd * found,
        visits=numbers.customers * loss_pct / 100 * found / HIT_RATE,
        unread_meters=numbers.customers * unread_pct / 100,
    )


def _total(estimate: Estimate) -> float:
    return estimate.total_usd
