"""The names that files use for their columns, beside those of an existing database's."""

from __future__ import annotations

import re
from collections.abc import Mapping

# Names that files use beside those of bindings.py; each stands for one of the latter, the least of its role.
ALSO: Mapping[str, tuple[str, ...]] = {
    "service_point_id": (
        "nmi", "esiid", "esi_id", "spid", "premise", "premise_id", "premise_number", "account", "account_id",
        "account_number", "customer", "customer_id", "household", "household_id", "home", "house", "house_id",
        "home_id", "building", "lclid", "usage_point", "usagepoint", "site", "site_id", "serial", "serial_number",
        "mpan", "pod", "meter_name", "device", "id", "dataid", "meter_point",
    ),
    "line_id": ("feeder_no", "feeder_number", "circuit_name", "circuit_no", "substation_feeder"),
    "interval_end": (
        "end", "end_time", "end_date", "end_datetime", "interval_end_time", "interval_end_datetime", "to",
        "interval_end_date_time", "usage_end_time", "period_end", "read_end", "interval_ending",
    ),
    "interval_start": (
        "start", "start_date", "start_datetime", "interval_start_time", "interval_start_datetime", "from",
        "interval_start_date_time", "usage_start_time", "period_begin", "interval_begin", "read_start", "begin_time",
    ),
    "timestamp": (
        "datetime", "date_time", "reading_datetime", "read_datetime", "tstp", "timestamp_utc", "localminute",
        "local_time", "utc", "interval", "interval_time", "usage_time", "zeit", "zeitstempel", "datum", "fecha",
    ),
    "usage": (
        "value", "reading", "read_value", "quantity", "consumption", "kwh_consumption", "energy_kwh_hh", "load",
        "general_supply_kwh", "import_kwh", "delivered", "verbrauch", "consumo", "kw", "power", "power_kw", "avg_kw",
        "demand", "demand_kw", "load_kw", "average_kw", "w", "power_w", "watts", "register", "register_kwh", "index",
        "meter_reading", "cumulative_kwh",
    ),
}  # fmt: skip
QUALITY = ("quality", "quality_flag", "quality_method", "flag", "status", "read_type", "estimated", "est",
            "reading_quality", "read_quality", "estimate_flag", "validation")  # fmt: skip
UNIT = ("unit", "units", "uom", "unit_of_measure", "einheit")
ASIDE = re.compile(r"temp|humid|cost|price|notes?$|amount|weather|tariff|type$|(^|_)(lat|lon)", re.IGNORECASE)
CLOCK = re.compile(r"^\d{1,2}[:.]\d{2}([:.]\d{2})?\s*([ap]m)?$", re.IGNORECASE)
UNIT_IN_NAME = re.compile(r"\b(mwh|kwh|wh|kw|w|watts?|volts?|v|kv)\b", re.IGNORECASE)


def plain(name: str) -> str:
    """A name without case and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


_STANDS_FOR = {plain(name): one for one, names in ALSO.items() for name in names}


def stands_for(name: str) -> str:
    """The name that bindings.py knows for one of a file; what stands in brackets is left out."""
    bare = re.sub(r"[(\[].*?[)\]]", "", name).strip() or name
    return _STANDS_FOR.get(plain(name)) or _STANDS_FOR.get(plain(bare)) or name


def unit_in(name: str) -> str:
    """The unit that stands in a column's name, as it is written there."""
    found = UNIT_IN_NAME.search(re.sub(r"[_\W]+", " ", name))
    return found[1] if found else ""
