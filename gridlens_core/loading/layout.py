"""What the columns of a table mean: by the names that an existing database's columns are found by, then by content.
A head of the table and what somebody said in, a layout out; nothing is read here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from gridlens_core.database.bindings import READS_TABLE, Column, Correction, Corrections, bind
from gridlens_core.loading.names import ASIDE, CLOCK, QUALITY, UNIT, plain, stands_for
from gridlens_core.loading.numbers import decimal_of, share_of_numbers
from gridlens_core.loading.said import Certainty, Item, Said
from gridlens_core.loading.tables import Table
from gridlens_core.loading.times import NO_TIME, TimeForm, form_of, slots_of, spread

Kind = Literal["moment", "date", "clock", "number", "text", "blank"]
Shape = Literal["long", "a column a meter", "a column an interval"]

FEW = 6  # columns that may stand before those of the intervals
NUMBER_SHARE = 0.9  # of a column's texts that are numbers, where it is one of numbers
ROLES = ("meter_id", "feeder_id", "read_at", "kwh", "voltage")


@dataclass(frozen=True)
class Layout:
    """Which column is what, by position; None where there is none.

    clock : the time of day beside the date in `time`
    wide : the columns that are each a meter, or each an interval; their labels say which
    slots : of intervals of a day, the second after midnight at which each ends; ends : of whole moments, what they say
    """

    shape: Shape
    time: int | None
    form: TimeForm | None
    meter: int | None = None
    feeder: int | None = None
    value: int | None = None
    volts: int | None = None
    quality: int | None = None
    clock: int | None = None
    clock_form: TimeForm | None = None
    wide: tuple[int, ...] = ()
    slots: tuple[int, ...] = ()
    minutes: int = 0
    moments: tuple[int, ...] = ()
    decimal: str = "."
    unit: str = ""


@dataclass(frozen=True)
class Understood:
    """A layout, what it was told from, and the name of its energy."""

    layout: Layout
    items: tuple[Item, ...]
    energy_name: str
    time_name: str


def understand(table: Table, said: Said) -> Understood:
    """What a table's columns mean; raises FileRefusedError by name where that cannot be told."""
    beside = _first_of_wide(table)
    looked = range(len(table.columns) if beside is None else beside)
    kinds = [_kind(table, number, said) for number in looked]
    kinds += ["number"] * (len(table.columns) - len(kinds))
    bound = _bound(table, kinds, said)
    items = list(_bound_items(table, bound, said))
    wide_slots = _interval_columns(table, kinds)
    if wide_slots is not None:
        layout = _by_interval(table, kinds, bound, wide_slots, said)
    else:
        layout = _by_meter_or_long(table, kinds, bound, said)
    if layout.shape != "long":
        items = [one for one in items if one.what not in ("energy", "voltage")]
    layout, more = _numbers_of(table, layout, said)
    energy = table.columns[layout.value] if layout.value is not None else ""
    time_name = table.columns[layout.time] if layout.time is not None else ""
    return Understood(layout, (*_shape_items(table, layout), *items, *more), energy, time_name)


# --- by content -----------------------------------------------------------------------------------------


def _kind(table: Table, number: int, said: Said) -> Kind:
    sample = spread(table.sample(number), 200)
    if not sample:
        return "blank"
    if all(CLOCK.match(one.strip()) and not _is_number(one) for one in sample):
        return "clock"
    if not all(_is_number(one) for one in sample) or _says_time(table.columns[number]):
        form = form_of(sample, day_first=said.day_first)
        if form is not None:
            return "moment" if _has_clock(form) else "date"
    share = share_of_numbers(sample, said.decimal or decimal_of(sample)[0])
    return "number" if share >= NUMBER_SHARE else "text"


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+([.,]\d+)?", text.strip()) is not None and ":" not in text


def _says_time(name: str) -> bool:
    return re.search(r"time|date|stamp|epoch|^ts|_at$|start|end|day|datum", name, re.IGNORECASE) is not None


def _has_clock(form: TimeForm) -> bool:
    return "%H" in form.format or "%I" in form.format or form.format.startswith(("epoch", "excel"))


# --- by name --------------------------------------------------------------------------------------------


def _bound(table: Table, kinds: Sequence[Kind], said: Said) -> dict[str, tuple[int, bool]]:
    """role -> (position, whether it is sure), by the names of an existing database's columns."""
    columns, place = [], {}
    for number, (name, kind) in enumerate(zip(table.columns, kinds, strict=True)):
        known = stands_for(name)
        unique = known if known not in place else f"{known}#{number}"
        place[unique] = number
        columns.append(Column(unique, "numeric" if kind == "number" else "text", False, False))
    set_ = {role: Correction(next(one for one, at in place.items() if at == _position(table, role, name)))
            for role, name in said.columns.items() if role in ROLES and name}  # fmt: skip
    fits = {"read_at": ("moment", "date"), "kwh": ("number",), "voltage": ("number", "blank")}
    found = {}
    for role, one in bind(READS_TABLE, columns, Corrections({READS_TABLE: set_}, {})).items():
        number = place[one.column.name]
        if role in set_ or (role in ROLES and kinds[number] in fits.get(role, (kinds[number],))):
            found[role] = (number, one.certainty != "guess")
    if "read_at" not in found:
        found |= _first("read_at", kinds, "moment") or _first("read_at", kinds, "date")
    return found


def _first(role: str, kinds: Sequence[Kind], kind: Kind) -> dict[str, tuple[int, bool]]:
    return {role: (kinds.index(kind), False)} if kind in kinds else {}


def _position(table: Table, role: str, name: str) -> int:
    if name in table.columns:
        return table.columns.index(name)
    raise table.wrong(f"there is no column {name!r} for {role}; columns: {', '.join(table.columns[:20])}")


def _named(table: Table, names: Sequence[str]) -> int | None:
    known = [plain(one) for one in table.columns]
    return next((known.index(plain(name)) for name in names if plain(name) in known), None)


def _bound_items(table: Table, bound: Mapping[str, tuple[int, bool]], said: Said) -> Iterator[Item]:
    words = {"meter_id": "meter", "feeder_id": "feeder", "read_at": "time", "kwh": "energy", "voltage": "voltage"}
    for role, (number, sure) in bound.items():
        certainty: Certainty = "set" if said.columns.get(role) else "sure" if sure else "guess"
        why = "GridLens's own name" if sure else "by its name and content"
        found = f"column {table.columns[number]!r}" if table.columns[number] else f"column {number + 1}"
        yield Item(words[role], found, certainty, "as you said" if certainty == "set" else why)


def _shape_items(table: Table, layout: Layout) -> Iterator[Item]:
    wide = f", {len(layout.wide)} of them" if layout.wide else ""
    yield Item("shape", f"{layout.shape}{wide}", "sure", f"{len(table.columns)} columns")
    for note in table.notes:
        yield Item("left aside", note, "sure", "")


# --- shapes ---------------------------------------------------------------------------------------------


def _first_of_wide(table: Table) -> int | None:
    """From which column on all are headed by moments; their content need not be looked at, one by one, to tell."""
    for start in range(min(len(table.columns) - 24, FEW)):
        labels = table.columns[start:]
        if "" not in labels and (form := form_of(labels)) is not None and _is_moment(form):
            return start
    return None


def _interval_columns(table: Table, kinds: Sequence[Kind]) -> tuple[int, ...] | None:
    """The columns that are each an interval, by their headings."""
    if not table.named or "moment" in kinds:
        return None
    values = [number for number, kind in enumerate(kinds) if kind in ("number", "blank")]
    for start in range(min(len(values), FEW)):
        labels = [table.columns[number] for number in values[start:]]
        form = form_of(labels) if len(labels) > 1 and "" not in labels else None
        if form is not None and _is_moment(form):
            return tuple(values[start:])
        for end in (len(values), *(start + count for count in (288, 144, 96, 48, 24))):
            if end <= len(values) and slots_of([table.columns[number] for number in values[start:end]]) is not None:
                return tuple(values[start:end])
    return None


def _is_moment(form: TimeForm) -> bool:
    """Whether a heading of this form is a date with a time; a number may be anything."""
    return _has_clock(form) and not form.format.startswith(("epoch", "excel"))


def _by_interval(
    table: Table, kinds: Sequence[Kind], bound: Mapping[str, tuple[int, bool]], wide: tuple[int, ...], said: Said
) -> Layout:
    labels = [table.columns[number] for number in wide]
    slots = slots_of(labels) if form_of(labels) is None else None
    meter = _meter(table, kinds, bound, wide)
    feeder = bound.get("feeder_id", (None, False))[0]
    quality = _named(table, QUALITY)
    if slots is None:
        form = form_of(labels, day_first=said.day_first)
        assert form is not None
        moments = tuple(form.moments(pd.Series(labels, dtype="str")).tolist())
        _check_labels(table, wide, moments)
        return Layout("a column an interval", None, form, meter, feeder, quality=quality, wide=wide, moments=moments)
    date = bound.get("read_at", (None, False))[0]
    if date is None or date in wide:
        raise table.wrong("its columns are the intervals of a day, and no column holds the date")
    form = form_of(table.sample(date), day_first=said.day_first, us_zone=said.us_zone)
    if form is None:
        raise _no_time(table, date)
    return Layout("a column an interval", date, form, meter, feeder, quality=quality, wide=wide, slots=tuple(slots[0]),
                  minutes=slots[1])  # fmt: skip


def _check_labels(table: Table, wide: Sequence[int], moments: Sequence[int]) -> None:
    wrong = [column for column, moment in zip(wide, moments, strict=True) if moment == NO_TIME]
    if wrong:
        raise table.wrong("its heading is no time like the others'", column=wrong[0])


def _by_meter_or_long(table: Table, kinds: Sequence[Kind], bound: Mapping[str, tuple[int, bool]], said: Said) -> Layout:
    time, form, clock, clock_form = _time(table, kinds, bound, said)
    quality, unit_column = _named(table, QUALITY), _named(table, UNIT)
    taken = {one for one, _ in bound.values()} | {clock, quality, unit_column, time}
    free = [
        number for number, kind in enumerate(kinds)
        if kind in ("number", "blank") and number not in taken and not ASIDE.search(table.columns[number])
    ]  # fmt: skip
    meter = bound.get("meter_id", (None, False))[0]
    value = bound.get("kwh", (None, False))[0]
    many = [number for number in free if kinds[number] == "number" or table.columns[number]]
    if meter is None and value is None and len(many) > 1 and table.named:
        return Layout("a column a meter", time, form, clock=clock, clock_form=clock_form, wide=tuple(many))
    if value is None:
        numeric = [number for number in free if kinds[number] == "number"]
        if len(numeric) != 1:
            shown = ", ".join(table.columns[number] or f"number {number + 1}" for number in numeric[:12])
            which = f"which of {shown} is it?" if numeric else "no column holds numbers"
            raise table.wrong(f"no column is known to hold energy: {which} Name it, energy = COLUMN")
        value = numeric[0]
    meter = _meter(table, kinds, bound, (value,)) if meter is None else meter
    unit = _unit_of(table, unit_column)
    return Layout("long", time, form, meter, bound.get("feeder_id", (None, False))[0], value,
                  bound.get("voltage", (None, False))[0], quality, clock, clock_form, unit=unit)  # fmt: skip


def _meter(
    table: Table, kinds: Sequence[Kind], bound: Mapping[str, tuple[int, bool]], others: Sequence[int]
) -> int | None:
    """The column of meters: the one bound, else the first of text that is nothing else; None for a file of one."""
    if "meter_id" in bound:
        return bound["meter_id"][0]
    taken = {one for one, _ in bound.values()} | set(others) | {_named(table, QUALITY), _named(table, UNIT)}
    texts = [
        number for number, kind in enumerate(kinds)
        if kind == "text" and number not in taken and not ASIDE.search(table.columns[number])
    ]  # fmt: skip
    if not texts and not table.named:
        texts = [number for number, kind in enumerate(kinds) if kind == "number" and number not in taken]
    return texts[0] if texts else None


def _time(
    table: Table, kinds: Sequence[Kind], bound: Mapping[str, tuple[int, bool]], said: Said
) -> tuple[int, TimeForm, int | None, TimeForm | None]:
    if "read_at" not in bound:
        raise table.wrong("no column holds times")
    time = bound["read_at"][0]
    form = form_of(table.sample(time), day_first=said.day_first, us_zone=said.us_zone)
    if form is None:
        raise _no_time(table, time)
    if _has_clock(form):
        return time, form, None, None
    clocks = [number for number, kind in enumerate(kinds) if kind == "clock"]
    if not clocks:
        return time, form, None, None  # daily reads, which are refused by their interval
    starts = [number for number in clocks if "start" in table.columns[number].lower()]
    clock = (starts or clocks)[0]
    clock_form = form_of([f"2000-01-03 {one}" for one in table.sample(clock)])
    if clock_form is None:
        raise _no_time(table, clock)
    return time, form, clock, clock_form


def _no_time(table: Table, column: int) -> Exception:
    sample = table.sample(column)
    first = form_of(sample[:1])
    odd = next((one for one in sample if form_of([one]) is None), sample[0] if sample else "")
    line = table.first_line + table.head.iloc[:, column].tolist().index(odd)
    more = "" if first is None else ", and the ones before are written otherwise"
    return table.wrong(f"{odd!r} is no time{more}", line=line, column=column)


def _unit_of(table: Table, column: int | None) -> str:
    """What a column of units says; raises FileRefusedError where it says several."""
    if column is None:
        return ""
    units = list(dict.fromkeys(one.strip() for one in table.sample(column)))
    if len(units) > 1:
        raise table.wrong(f"it has several units, {', '.join(units[:5])}; load one of them at a time", column=column)
    return units[0] if units else ""


def _numbers_of(table: Table, layout: Layout, said: Said) -> tuple[Layout, list[Item]]:
    """The layout with the decimal sign of its energies."""
    columns = layout.wide[:20] if layout.wide else (layout.value,)
    sample = [one for number in columns if number is not None for one in table.sample(number)[:500]]
    decimal, sure = decimal_of(sample)
    if said.decimal:
        return replace(layout, decimal=said.decimal), [Item("decimal sign", said.decimal, "set", "as you said")]
    if not any("," in one for one in sample):
        return layout, []
    shown = "comma" if decimal == "," else "point, a comma divides thousands"
    return replace(layout, decimal=decimal), [
        Item("decimal sign", shown, "sure" if sure else "guess", "by its numbers")
    ]
