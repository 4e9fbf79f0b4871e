"""Which column plays which role, in which unit, and how sure that is. Pure: catalogue and samples in, bindings out."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any, Literal
from zoneinfo import ZoneInfo

from gridlens_core.errors import SettingsError

BINDINGS_FILE = "bindings.toml"  # in GRIDLENS_DATA_DIR

Certainty = Literal["sure", "guess", "set", "open"]  # open: its unit is not known, and it is not shown
Unit = Literal["", "kWh", "Wh", "MWh", "V", "kV", "pu", "percent", "fraction", "count"]

READS_TABLE = "meter_reads_electric"
OVERVIEW = "v_kpi_electric_overview_daily"
FEEDER_LOSS = "v_kpi_electric_feeder_loss_daily"
SUSPICIOUS = "v_kpi_suspicious_meters_daily"
FIELDOPS = "v_kpi_fieldops_daily"
KPI_VIEWS = (OVERVIEW, FEEDER_LOSS, SUSPICIOUS, FIELDOPS)

# The column names accepted for a role, compared without case and punctuation; the first is GridLens's own and is sure.
_TENANT = ("tenant_id", "tenant", "utility_id", "utility", "org_id", "organization_id", "customer_id")
_METER = ("meter_id", "meter", "meter_number", "meter_no", "meter_serial", "device_id", "service_point_id")
_FEEDER = ("feeder_id", "feeder", "feeder_name", "feeder_code", "circuit_id", "circuit", "line_id")
_DAY = ("day", "date", "reading_date", "kpi_date", "as_of_date", "business_date", "dt")
_LOSS_KWH = ("loss_kwh", "total_loss_kwh", "losses_kwh", "lost_kwh", "loss_energy_kwh", "total_loss")
_LOSS = (
    "loss_pct", "loss_percent_pct", "loss_percent", "loss_percentage", "losses_pct", "total_loss_pct",
    "avg_loss_pct", "loss_rate", "loss_ratio", "loss_fraction", "loss",
)  # fmt: skip
_SUPPLIED = ("supplied_kwh", "supply_kwh", "input_kwh", "in_kwh", "delivered_kwh", "energy_in_kwh")
_METERED = ("metered_kwh", "sold_kwh", "billed_kwh", "consumption_kwh", "energy_out_kwh", "total_kwh")
_READ_AT = ("read_at", "read_time", "reading_time", "read_ts", "reading_at", "interval_end", "timestamp", "ts", "time",
            "read_date", "interval_start", "period_start", "start_time", "epoch", "ts_ms", "timestamp_ms")  # fmt: skip
_KWH = ("kwh", "energy_kwh", "consumption_kwh", "usage_kwh", "reading_kwh", "interval_kwh", "energy", "usage",
        "wh", "energy_wh", "usage_wh", "consumption_wh", "mwh", "energy_mwh")  # fmt: skip
_VOLTAGE = (
    "voltage", "voltage_v", "volts", "volt", "avg_voltage", "mean_voltage", "v", "voltage_kv", "kv", "voltage_pu",
)  # fmt: skip
_TASKS = ("open_tasks", "open_task_count", "tasks_open", "tasks", "open_orders", "open_work_orders")
_READ_SUCCESS = (
    "read_success_pct",
    "read_success",
    "read_rate_pct",
    "read_rate",
    "reads_received_pct",
    "completeness_pct",
)
_VOLTAGE_OK = ("voltage_compliance_pct", "voltage_compliance", "voltage_in_range_pct", "voltage_ok_pct")

ROLES: Mapping[str, Mapping[str, tuple[Unit, tuple[str, ...]]]] = {
    READS_TABLE: {
        "tenant_id": ("", _TENANT),
        "meter_id": ("", _METER),
        "feeder_id": ("", _FEEDER),
        "read_at": ("", _READ_AT),
        "kwh": ("kWh", _KWH),
        "voltage": ("V", _VOLTAGE),
    },
    OVERVIEW: {
        "tenant_id": ("", _TENANT),
        "day": ("", _DAY),
        "loss_pct": ("percent", ("loss_percent_pct", *_LOSS)),
        "loss_kwh": ("kWh", ("total_loss_kwh", *_LOSS_KWH)),
        "supplied_kwh": ("kWh", _SUPPLIED),
        "metered_kwh": ("kWh", _METERED),
        "read_success_pct": ("percent", _READ_SUCCESS),
        "voltage_compliance_pct": ("percent", _VOLTAGE_OK),
    },
    FEEDER_LOSS: {
        "tenant_id": ("", _TENANT),
        "day": ("", _DAY),
        "feeder_id": ("", _FEEDER),
        "loss_pct": ("fraction", ("loss_percent", *_LOSS)),
        "loss_kwh": ("kWh", _LOSS_KWH),
        "supplied_kwh": ("kWh", _SUPPLIED),
        "metered_kwh": ("kWh", _METERED),
        "read_success_pct": ("percent", _READ_SUCCESS),
    },
    SUSPICIOUS: {
        "tenant_id": ("", _TENANT),
        "day": ("", _DAY),
        "meter_id": ("", _METER),
        "issue": ("", ("issue", "reason", "anomaly", "anomaly_type", "flag", "issue_type", "category")),
        "feeder_id": ("", _FEEDER),
        "evidence": ("", ("evidence", "details", "detail", "note", "explanation")),
        "recorded_kwh": ("kWh", ("recorded_kwh", "actual_kwh")),
        "expected_kwh": ("kWh", ("expected_kwh", "baseline_kwh")),
    },
    FIELDOPS: {
        "tenant_id": ("", _TENANT),
        "day": ("", _DAY),
        "open_tasks": ("count", _TASKS),
        "power_quality_tasks": ("count", ("power_quality_tasks", "pq_tasks", "voltage_tasks")),
        "revenue_or_meter_tasks": ("count", ("revenue_or_meter_tasks", "revenue_tasks", "meter_tasks", "theft_tasks")),
        "comms_tasks": ("count", ("comms_tasks", "communication_tasks", "comm_tasks")),
    },
}  # fmt: skip

# Without these a table or view is of no use.
NEEDED: Mapping[str, tuple[str, ...]] = {
    READS_TABLE: ("tenant_id", "meter_id", "feeder_id", "read_at", "kwh"),
    OVERVIEW: ("tenant_id", "day"),
    FEEDER_LOSS: ("tenant_id", "day", "feeder_id"),
    SUSPICIOUS: ("tenant_id", "day", "meter_id"),
    FIELDOPS: ("tenant_id", "day"),
}

# What a day's loss of a utility or a feeder may be [%]: EIA has 5, dense cities under 1, theft-ridden ones 40.
LOSS_PCT = (0.35, 35.0)
KEPT_PCT = (30.0, 100.0)  # read success and voltage in range
FRACTION_AT_MOST = 1.0
NEAR = 3.0  # two figures of one thing differ by less, where their units differ by a hundred
PERCENT_UNITS = ("percent", "fraction")
NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision", "money")


@dataclass(frozen=True)
class Column:
    """A column as the catalogue describes it; `type_name` carries no length, so a cast never cuts a value."""

    name: str
    type_name: str
    not_null: bool
    filled_by_database: bool  # default, identity or generated
    always_generated: bool = False  # identity or generated ALWAYS: may not be inserted into


@dataclass(frozen=True)
class Binding:
    """A role, the column that plays it, its unit, and how sure that is and why.

    form : of a time column without a time zone, the zone it is in; of a number, "epoch s", "epoch ms" or "epoch us"
    starts_minutes : of a time that labels the start of its interval, the interval's length; 0 for the end
    """

    role: str
    column: Column
    unit: Unit
    certainty: Certainty
    why: str
    form: str = ""
    starts_minutes: int = 0


@dataclass(frozen=True)
class Correction:
    """What bindings.toml says of one role: its column, and what else it settles of it."""

    column: str
    unit: Unit | None = None
    form: str = ""
    starts_minutes: int = 0


@dataclass(frozen=True)
class Corrections:
    """What bindings.toml says: by relation and role a column and perhaps a unit; and fixed values for columns
    that the database requires and GridLens does not know."""

    columns: Mapping[str, Mapping[str, Correction]]
    fill: Mapping[str, Any]


NO_CORRECTIONS = Corrections({}, {})


def bind(relation: str, columns: Sequence[Column], corrections: Corrections = NO_CORRECTIONS) -> dict[str, Binding]:
    """The bindings of a table or view by role; raises SettingsError if a correction names no existing column."""
    bound: dict[str, Binding] = {}
    taken: set[str] = set()
    by_name = {column.name: column for column in columns}
    for role, said in corrections.columns.get(relation, {}).items():
        name = said.column
        if role not in ROLES[relation]:
            raise SettingsError(
                f"{BINDINGS_FILE}: {relation} has no role {role!r}; roles: {', '.join(ROLES[relation])}"
            )
        if name not in by_name:
            raise SettingsError(f"{BINDINGS_FILE}: {relation} has no column {name!r}; columns: {', '.join(by_name)}")
        usual = ROLES[relation][role][0]
        # A column that is set in no unit of its own is still to be measured.
        certainty: Certainty = "set" if said.unit or usual not in ("kWh", "V", *PERCENT_UNITS) else "sure"
        why = f"set in {BINDINGS_FILE}"
        unit = said.unit or usual
        bound[role] = Binding(role, by_name[name], unit, certainty, why, said.form, said.starts_minutes)
        taken.add(name)
    for role, (unit, names) in ROLES[relation].items():
        found = None if role in bound else _find(names, columns, taken, numeric=unit not in ("",))
        if found is not None:
            column, rank = found
            sure = rank == 0
            why = "GridLens's own name" if sure else f"a usual name for {role}"
            bound[role] = Binding(role, column, unit, "sure" if sure else "guess", why)
            taken.add(column.name)
    return bound


def _find(
    names: Sequence[str], columns: Sequence[Column], taken: set[str], *, numeric: bool
) -> tuple[Column, int] | None:
    """The unused column with the earliest of the names, and the position of that name."""
    plain = {_plain(column.name): column for column in reversed(columns) if column.name not in taken}
    for rank, name in enumerate(names):
        column = plain.get(_plain(name))
        if column is not None and (not numeric or column.type_name in NUMBERS):
            exact = column.name == name
            return column, rank if exact else max(rank, 1)
    return None


def settle_unit(binding: Binding, values: Sequence[Any], *, known_pct: float | None = None) -> Binding:
    """Percent or fraction, by what the values are; `known_pct` is the same figure in percent, worked out otherwise.

    Where neither the values, nor that figure, nor an unmistakable name tells, the unit stays open.
    """
    if binding.unit not in PERCENT_UNITS or binding.certainty == "set":
        return binding
    named = _unit_by_name(binding.column.name)
    sizes = [abs(float(value)) for value in values if value is not None and Decimal(str(value)).is_finite()]
    middle = median(sizes) if sizes else 0.0
    if middle == 0:
        if named is None:
            return _with(
                binding, binding.unit, "open", "no values yet, and its name tells neither percent nor fraction"
            )
        return _with(binding, named, "guess", "no values yet; by its name")
    about = f"values about {middle:.3g}"
    if known_pct:
        for unit, factor in (("percent", 1.0), ("fraction", 100.0)):
            if 1 / NEAR <= middle * factor / abs(known_pct) <= NEAR:
                return _with(binding, unit, _unopened(binding), f"{about}, checked against its energies")  # type: ignore[arg-type]
    low, high = LOSS_PCT if binding.role == "loss_pct" else KEPT_PCT
    likely: list[Unit] = []
    if low <= middle <= high:
        likely.append("percent")
    if low <= 100 * middle <= high and middle <= FRACTION_AT_MOST:
        likely.append("fraction")
    if len(likely) == 1:
        certainty: Certainty = _unopened(binding) if named in (None, *likely) else "guess"
        return _with(binding, likely[0], certainty, about)
    if middle > high and binding.role == "loss_pct":
        return _with(binding, binding.unit, "open", f"{about}, which is no loss that a utility has")
    if named is not None and (likely or middle > high):
        return _with(binding, named, "guess", f"{about}; by its name")
    if middle > high:
        return _with(binding, "percent", "guess", about)
    return _with(binding, binding.unit, "open", f"{about}, which may be percent or a fraction")


def _unopened(binding: Binding) -> Certainty:
    return "sure" if binding.certainty == "open" else binding.certainty


def _unit_by_name(name: str) -> Unit | None:
    """What a name says without a doubt; `loss_percent` does not, for the live view has a fraction by that name."""
    if re.search(r"pct|percentage", name, re.IGNORECASE):
        return "percent"
    return "fraction" if re.search(r"fraction|ratio|share", name, re.IGNORECASE) else None


def _with(binding: Binding, unit: Unit, certainty: Certainty, why: str) -> Binding:
    return replace(binding, unit=unit, certainty=certainty, why=f"{binding.why}; {why}")


def of_wrong_type(relation: str, role: str, columns: Sequence[Column]) -> Column | None:
    """The column that goes by a role's name and is no number, where the role needs one."""
    unit, names = ROLES[relation][role]
    if unit == "":
        return None
    found = _find(names, columns, set(), numeric=False)
    return None if found is None or found[0].type_name in NUMBERS else found[0]


def read_corrections(data_dir: Path) -> Corrections:
    """What GRIDLENS_DATA_DIR/bindings.toml corrects, if it is there; raises SettingsError where it is wrong.

    [v_kpi_electric_overview_daily]
    loss_pct = { column = "Loss", unit = "fraction" }
    [fill]
    source_system = "gridlens"
    """
    path = data_dir / BINDINGS_FILE
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return NO_CORRECTIONS
    except (OSError, ValueError) as error:
        raise SettingsError(f"{BINDINGS_FILE} cannot be read: {error}") from error
    fill = said.pop("fill", {})
    unknown = [relation for relation in said if relation not in ROLES]
    if unknown or not isinstance(fill, dict):
        raise SettingsError(f"{BINDINGS_FILE}: no section {unknown or 'fill'}; sections: {', '.join([*ROLES, 'fill'])}")
    return Corrections({name: {role: _correction(name, role, what) for role, what in section.items()}
                        for name, section in said.items()}, fill)  # fmt: skip


UNITS_OF = {"kWh": ("kWh", "Wh", "MWh"), "V": ("V", "kV", "pu"), "percent": PERCENT_UNITS, "fraction": PERCENT_UNITS}
TIME_FORMS = ("epoch s", "epoch ms", "epoch us")


def _correction(relation: str, role: str, said: Any) -> Correction:
    if isinstance(said, str):
        return Correction(said)
    if role not in ROLES[relation]:
        raise SettingsError(f"{BINDINGS_FILE}: {relation} has no role {role!r}; roles: {', '.join(ROLES[relation])}")
    units = UNITS_OF.get(ROLES[relation][role][0], ())
    keys = {"column", "unit", "form", "starts_minutes"} if role == "read_at" else {"column", "unit"}
    if isinstance(said, dict) and isinstance(said.get("column"), str) and set(said) <= keys:
        form, starts = said.get("form", ""), said.get("starts_minutes", 0)
        if said.get("unit") in (None, *units) and _is_form(form) and isinstance(starts, int) and 0 <= starts <= 24 * 60:
            return Correction(said["column"], said.get("unit"), form, starts)
    more = f' or {{ column = "...", unit = "{units[0]}" }} ({", ".join(units)})' if units else ""
    if role == "read_at":
        more = ' or { column = "...", form = "America/Chicago" or "epoch s", starts_minutes = 15 }'
    raise SettingsError(f"{BINDINGS_FILE}: {relation}.{role} is {said!r}; accepted: a column name{more}")


def _is_form(form: Any) -> bool:
    if form in ("", *TIME_FORMS):
        return True
    try:
        ZoneInfo(form)
    except (KeyError, ValueError, OSError, TypeError):
        return False
    return True


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
