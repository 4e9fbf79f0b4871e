"""Whether the supply behind a loss goes on with the reads. Where it stops at the newest read, every clean cycle would
lower the loss by itself, and nothing shown after that would be true."""

from __future__ import annotations

from gridlens_core.errors import DatabaseNotReadyError
from gridlens_core.explanation.kpis import Kpis

ODD_LOSS_PCT = 30.0  # of a day; US utilities about 5 % (EIA, FAQ 105)
LEAST_SUPPLY = 0.5  # of an interval's metered energy that its supply must be
REMEDY = (
    "The feed of supplied energy must run ahead of the reads, as far as a demo goes: let its owner enter it for the "
    "coming hours, or try where the loss is taken interval by interval."
)


def supply_goes_on(before: Kpis | None, after: Kpis | None, recorded_kwh: float) -> bool:
    """Whether that can be told; raises DatabaseNotReadyError where the views count no supply for an interval whose
    reads they count.

    before, after : the KPIs before one cycle and after it; None, or another day's, tell nothing
    recorded_kwh : what the cycle's reads recorded
    A loss that no utility has, as of a whole day's supply against the reads so far, is said elsewhere.
    """
    if before is None or after is None or before.day != after.day or recorded_kwh <= 0:
        return False
    level, was, is_ = before["loss_pct"], before["loss_kwh"], after["loss_kwh"]
    if level is None or was is None or is_ is None or abs(level) > ODD_LOSS_PCT:
        return True
    moved = float(is_ - was)
    if moved < (LEAST_SUPPLY - 1) * recorded_kwh:
        raise DatabaseNotReadyError.of_finding(
            f"Clean publishing alone moves the loss: {recorded_kwh:,.1f} kWh of reads came in with one interval, the "
            f"lost energy went {moved:+,.1f} kWh, so {recorded_kwh + moved:,.1f} kWh of supply were counted with them.",
            REMEDY,
        )
    return True
