"""A utility's own numbers for "What is it worth to you?": the table [worth] of walkthrough.toml, and what stands in for
a number that is not in it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from gridlens_core.display.branding import TomlModel
from gridlens_core.explanation.worth import HOME_KWH, INPUTS, Numbers, Range
from gridlens_core.meters.fleet import Fleet
from gridlens_core.meters.profiles import SLOT_MINUTES

SLOTS_A_YEAR = 365.25 * 24 * 60 / SLOT_MINUTES
OWN = "the utility's own number"
LOW_FIRST = "[lowest, highest]"


def _low_first(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError(LOW_FIRST)
    return ends


Percent = Annotated[float, Field(ge=0, le=100, strict=True)]
Dollars = Annotated[float, Field(ge=0, le=100_000, strict=True)]
Shares = Annotated[tuple[Percent, Percent], AfterValidator(_low_first), Field(strict=False)]
Costs = Annotated[tuple[Dollars, Dollars], AfterValidator(_low_first), Field(strict=False)]


class OwnNumbers(TomlModel):
    """The numbers a utility has saved; None is one it has not. Ranges are [lowest, highest], shares in percent."""

    customers: int | None = Field(default=None, ge=1, le=100_000_000)
    kwh_a_customer: float | None = Field(default=None, gt=0, le=1_000_000)
    tariff_usd_per_kwh: float | None = Field(default=None, gt=0, le=10)
    loss_pct: Shares | None = None
    found_pct: Shares | None = None
    truck_roll_usd: Costs | None = None
    unread_pct: Shares | None = None


def numbers_of(own: OwnNumbers, fleet: Fleet, tariff_usd_per_kwh: float) -> Numbers:
    """The utility's own numbers, else what is known of the tenant's meters, else the usual range."""
    mean_kwh = round(float(fleet.mean_wh_per_slot.mean()) / 1000 * SLOTS_A_YEAR, -2)
    known: dict[str, tuple[Any, str]] = {
        "customers": (len(fleet), "the meters of this tenant"),
        "kwh_a_customer": (mean_kwh, "the mean of this tenant's meters"),
        "tariff_usd_per_kwh": (tariff_usd_per_kwh, "the tariff of this demo"),
    }
    if mean_kwh <= 0:  # of meters that export as much as they use
        row = INPUTS["kwh_a_customer"]
        known[row.name] = HOME_KWH, f"{row.says} ({row.source})"
    chosen: dict[str, Any] = {}
    basis: dict[str, str] = {}
    for name, row in INPUTS.items():
        said = getattr(own, name)
        if said is not None:
            chosen[name], basis[name] = Range(*said) if row.is_range else said, OWN
        elif row.usual is not None:
            chosen[name], basis[name] = row.usual, row.source
        else:
            chosen[name], basis[name] = known[name]
    return Numbers(**chosen, basis=basis)


def own_of(numbers: Numbers) -> OwnNumbers:
    """These numbers as a utility's own, to be saved."""
    said = {name: getattr(numbers, name) for name in INPUTS}
    ends = {name: (one.low, one.high) if isinstance(one, Range) else one for name, one in said.items()}
    return OwnNumbers.model_validate(ends)
