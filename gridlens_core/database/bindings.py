"""Which column plays which role, in which unit, and how sure that is. Pure: catalogue and samples in, bindings out."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any, Literal

from gridlens_core.errors import SettingsError

BINDINGS_FILE = "bindings.toml"  # in GRIDLENS_DATA_DIR

Certainty = Literal["sure", "guess", "set"]
Unit = Literal["", "kWh", "V", "percent", "fraction", "count"]

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
_READ_AT = ("read_at", "read_time", "reading_time", "read_ts", "reading_at", "interval_end", "timestamp", "ts", "time")
_KWH = ("kwh", "energy_kwh", "consumption_kwh", "usage_kwh", "reading_kwh", "interval_kwh", "energy", "usage")
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
        "voltage": ("V", ("voltage", "voltage_v", "volts", "volt", "avg_voltage", "mean_voltage", "v")),
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

# A fraction is 1 at the most, and no utility loses less than half a percent: between them no value is unclear.
FRACTION_AT_MOST = 1.0
PERCENT_AT_LEAST = 1.5
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
    """A role, the column that plays it, its unit, and how sure that is and why."""

    role: str
    column: Column
    unit: Unit
    certainty: Certainty
    why: str


@dataclass(frozen=True)
class Corrections:
    """What bindings.toml says: by relation and role a column and perhaps a unit; and fixed values for columns
    that the database requires and GridLens does not know."""

    columns: Mapping[str, Mapping[str, tuple[str, Unit | None]]]
    fill: Mapping[str, Any]


NO_CORRECTIONS = Corrections({}, {})


def bind(relation: str, columns: Sequence[Column], corrections: Corrections = NO_CORRECTIONS) -> dict[str, Binding]:
    """The bindings of a table or view by role; raises SettingsError if a correction names no existing column."""
    bound: dict[str, Binding] = {}
    taken: set[str] = set()
    by_name = {column.name: column for column in columns}
    for role, (name, unit) in corrections.columns.get(relation, {}).items():
        if role not in ROLES[relation]:
            raise SettingsError(
                f"{BINDINGS_FILE}: {relation} has no role {role!r}; roles: {', '.join(ROLES[relation])}"
            )
        if name not in by_name:
            raise SettingsError(f"{BINDINGS_FILE}: {relation} has no column {name!r}; columns: {', '.join(by_name)}")
        usual = ROLES[relation][role][0]
        bound[role] = Binding(role, by_name[name], unit or usual, "set", f"set in {BINDINGS_FILE}")
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
    """Percent or fraction, by what the values are; `known_pct` is the same figure in percent, worked out otherwise."""
    if binding.unit not in PERCENT_UNITS or binding.certainty == "set":
        return binding
    sizes = [abs(float(value)) for value in values if value is not None and Decimal(str(value)).is_finite()]
    middle = median(sizes) if sizes else None
    if middle is None or middle == 0:
        return _with(binding, binding.unit, "guess", "no values yet; by its name")
    if known_pct:
        unit: Unit = "percent" if abs(middle - known_pct) <= abs(middle * 100 - known_pct) else "fraction"
        return _with(binding, unit, binding.certainty, "checked against its energies")
    if middle >= PERCENT_AT_LEAST:
        return _with(binding, "percent", binding.certainty, f"values about {middle:.3g}")
    unit = "fraction" if max(sizes) <= FRACTION_AT_MOST else "percent"
    agrees = unit == _unit_by_name(binding.column.name, binding.unit)
    certainty: Certainty = binding.certainty if agrees else "guess"
    return _with(binding, unit, certainty, f"values about {middle:.3g}")


def _unit_by_name(name: str, usual: Unit) -> Unit:
    if re.search(r"pct|percentage", name, re.IGNORECASE):
        return "percent"
    return "fraction" if re.search(r"fraction|ratio|rate|share", name, re.IGNORECASE) else usual


def _with(binding: Binding, unit: Unit, certainty: Certainty, why: str) -> Binding:
    return Binding(binding.role, binding.column, unit, certainty, f"{binding.why}; {why}")


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


def _correction(relation: str, role: str, said: Any) -> tuple[str, Unit | None]:
    if isinstance(said, str):
        return said, None
    if isinstance(said, dict) and isinstance(said.get("column"), str) and said.get("unit") in (None, *PERCENT_UNITS):
        return said["column"], said.get("unit")
    raise SettingsError(
        f"{BINDINGS_FILE}: {relation}.{role} is {said!r}; accepted: a column name, or "
        '{ column = "...", unit = "percent" or "fraction" }'
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
