"""The catalogue of KPIs: one row a KPI. All other code that names a KPI reads it from here; the column names
a database may give it are in `database/bindings.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gridlens_core.database.bindings import FEEDER_LOSS, FIELDOPS, OVERVIEW, SUSPICIOUS


@dataclass(frozen=True)
class Kpi:
    """One KPI of the four views.

    name : what GridLens calls it, everywhere
    view, role : where it is read; of the suspicious-meters view the rows are counted
    label, unit : as a card and a chart say them; "%" for shares, in percent whatever unit the view uses
    shows : what of the dashboard it feeds, which is off without it
    digits : decimal places of a value, and of a change
    span : the least range a chart of it shows, so that one silent meter does not look like a large change
    falls_when_bad : a lower value is the worse one
    on_card : it has a card in the control room, a line in receipts and briefs, and may be watched in an act
    help : what it is, in a sentence
    """

    name: str
    view: str
    role: str
    label: str
    unit: str
    shows: str
    digits: int = 2
    span: tuple[float, float] = (0, 1)
    falls_when_bad: bool = False
    on_card: bool = False
    help: str = ""

    @property
    def least_span(self) -> float:
        """The smallest span of a chart's axis: a tenth of the usual range."""
        return (self.span[1] - self.span[0]) / 10


_ROWS = (
    Kpi("loss_pct", OVERVIEW, "loss_pct", "Loss today", "%", "card Loss today, chart Loss by day",
        span=(0, 6), on_card=True,
        help="Supplied minus metered energy, as a share of supplied, today so far. From the overview view."),
    Kpi("loss_kwh", OVERVIEW, "loss_kwh", "Lost energy today", "kWh", "figure Lost energy today"),
    Kpi("supplied_kwh", OVERVIEW, "supplied_kwh", "Supplied today", "kWh", "figure Supplied today"),
    Kpi("metered_kwh", OVERVIEW, "metered_kwh", "Metered today", "kWh", "figure Metered today"),
    Kpi("read_success_pct", OVERVIEW, "read_success_pct", "Read success", "%", "card Read success",
        digits=1, span=(90, 100), falls_when_bad=True, on_card=True,
        help="Reads received as a share of reads due, today so far. From the overview view."),
    Kpi("voltage_compliance_pct", OVERVIEW, "voltage_compliance_pct", "Voltage in range", "%", "card Voltage in range",
        digits=1, span=(90, 100), falls_when_bad=True, on_card=True,
        help="Reads within 95 to 105 % of nominal voltage (ANSI C84.1 Range A), today so far. From the overview view."),
    Kpi("suspicious_meters", SUSPICIOUS, "meter_id", "Suspicious meters", "meters", "card and page Suspicious meters",
        digits=0, span=(0, 10), on_card=True,
        help="Meters named by the suspicious-meters view, which cannot see the events."),
    Kpi("open_tasks", FIELDOPS, "open_tasks", "Open field tasks", "tasks", "card Open field tasks",
        digits=0, span=(0, 5), on_card=True,
        help="Dispatches in the field-operations view: power quality, revenue and comms."),
    Kpi("power_quality_tasks", FIELDOPS, "power_quality_tasks", "Power quality", "tasks", "figure Power quality",
        digits=0),
    Kpi("revenue_or_meter_tasks", FIELDOPS, "revenue_or_meter_tasks", "Revenue or meter", "tasks",
        "figure Revenue or meter", digits=0),
    Kpi("comms_tasks", FIELDOPS, "comms_tasks", "Comms", "tasks", "figure Comms", digits=0),
)  # fmt: skip
# Of each feeder there is one; the others are of the whole tenant.
OF_FEEDERS = Kpi("feeder_loss_pct", FEEDER_LOSS, "loss_pct", "Loss today", "%", "charts of loss by feeder", span=(0, 6))

CATALOGUE: Mapping[str, Kpi] = {kpi.name: kpi for kpi in _ROWS}
ALL: Mapping[str, Kpi] = {**CATALOGUE, OF_FEEDERS.name: OF_FEEDERS}
CARD_KPIS: tuple[str, ...] = tuple(kpi.name for kpi in _ROWS if kpi.on_card)


def kpis_of(view: str) -> tuple[Kpi, ...]:
    """The KPIs read from a column of this view."""
    return tuple(kpi for kpi in _ROWS if kpi.view == view)
