"""Cases in words: each as a sentence, as a row of the table, and all together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gridlens_core import words
from gridlens_core.display import worth_words
from gridlens_core.explanation.cases import Case
from gridlens_core.explanation.worth import Range

BASIS_WORDS = {
    "truth": "ground truth of the emulator",
    "estimate": "estimated from the feeder-loss view",
    "": "the views do not say it",
}
RECOVERED_HELP = (
    "What went unrecorded from the confirmation on, until the end: the utility knows of it and can bill it."
)


@dataclass(frozen=True)
class Prices:
    """What cases are put into dollars with.

    truck_roll_usd : of one dispatch, with where it is from
    """

    tariff_usd_per_kwh: float
    truck_roll_usd: Range
    truck_roll_basis: str
    timezone: str

    def usd(self, kwh: float | None) -> float | None:
        """Dollars at the tariff."""
        return None if kwh is None else kwh * self.tariff_usd_per_kwh


def line(case: Case, prices: Prices) -> str:
    """20 meters named since Wed 14:15. $2.56 lost so far (ground truth of the emulator), $36k a year."""
    since = words.clock_time(case.opened_at, prices.timezone)
    named = f"{words.plural(case.meters, 'meter')} named since {since}."
    if case.lost_kwh is None:
        return f"{named} What it costs is not known: {BASIS_WORDS[case.basis]}."
    a_year = f", {words.dollars(prices.usd(case.a_year_kwh))} a year if nobody looks" if case.a_year_kwh else ""
    lost = f"{words.dollars(prices.usd(case.lost_kwh))} lost so far ({BASIS_WORDS[case.basis]}){a_year}."
    back = prices.usd(case.recovered_kwh)
    billed = "" if back is None else f" Of it {words.dollars(back)} since it was confirmed, which can be billed."
    return f"{named} {lost}{billed}"


def dispatch(case: Case, prices: Prices) -> str:
    """due, $250 to $1,000; made once somebody has looked."""
    return f"{'due' if case.state == 'open' else 'made'}, {worth_words.value('truck_roll_usd', prices.truck_roll_usd)}"


def dispatch_line(case: Case, prices: Prices) -> str:
    """The dispatch with what it costs and where that is from."""
    what = "A dispatch is due" if case.state == "open" else "The dispatch is made"
    cost = worth_words.value("truck_roll_usd", prices.truck_roll_usd)
    return f"{what}: a truck roll costs {cost} ({prices.truck_roll_basis})."


def evidence(case: Case) -> str:
    """What the view said of the first of the meters, and how many others there are."""
    if not case.evidence:
        return ""
    meter, said = next(iter(case.evidence.items()))
    more = case.meters - 1
    return f"{meter}: {said}" + (f"; and {words.plural(more, 'other meter')}" if more > 0 else "")


def row(case: Case, prices: Prices) -> dict[str, str]:
    """The case for the table and its CSV."""
    zone = prices.timezone
    return {
        "Case": str(case.number),
        "State": case.state,
        "Feeder": case.feeder_id,
        "Named since": words.date_time(case.opened_at, zone),
        "Last named": words.date_time(case.last_named_at, zone),
        "Meters": words.count(case.meters),
        "Lost": words.dollars(prices.usd(case.lost_kwh)),
        "Basis": BASIS_WORDS[case.basis],
        "A year": words.dollars(prices.usd(case.a_year_kwh)),
        "Recovered": words.dollars(prices.usd(case.recovered_kwh)),
        "Dispatch": dispatch(case, prices),
        "Decided": words.UNKNOWN if case.decided_at is None else words.date_time(case.decided_at, zone),
        "Evidence": "; ".join(f"{meter}: {said}" for meter, said in case.evidence.items()),
    }


def in_short(cases: Sequence[Case]) -> str:
    """2 open, 1 confirmed"""
    counts = {state: sum(one.state == state for one in cases) for state in ("open", "confirmed")}
    return ", ".join(f"{words.count(number)} {state}" for state, number in counts.items())
