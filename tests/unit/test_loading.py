"""Reads from files: every form that the trade sends, and what is odd in them; understood, or refused by name."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from file_forms import DAYS, FORMS, HOMES, ZONE, homes, long_csv, nem12, written

from gridlens_core.errors import FileRefusedError
from gridlens_core.loading.plan import Plan, Target, plan_of
from gridlens_core.loading.said import Said
from gridlens_core.loading.source import members
from gridlens_core.loading.times import form_of, slots_of

WALL = datetime(2026, 11, 18, 18, 7, tzinfo=UTC)


def planned(path: Path | Sequence[Path], said: Said | None = None, **target: object) -> Plan:
    """The plan of some files, ids kept unless said."""
    paths = [path] if isinstance(path, Path) else path
    to = Target("UTILITY", **{"timezone": ZONE, "seed": 7, "wall": WALL, "keep_ids": True, **target})  # type: ignore[arg-type]
    return plan_of([(one, one.name) for one in paths], said or Said(), to)


def found(plan: Plan, what: str) -> str:
    """What the plan says of something."""
    return "; ".join(f"{one.found} [{one.certainty}]" for one in plan.items if one.what == what)


def kwh_of(plan: Plan) -> dict[tuple[str, int], float]:
    names = [plan.reads.meters[meter] for meter in plan.reads.meter.tolist()]
    return dict(zip(zip(names, plan.reads.end.tolist(), strict=True), plan.reads.kwh.tolist(), strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_understood_to_the_last_wh(form: str, tmp_path: Path) -> None:
    name, write = FORMS[form]
    of = homes()
    plan = planned(write(of, tmp_path / name))
    there = kwh_of(plan)
    due = {
        (meter, int(end.timestamp())): float(kwh)
        for meter, row in zip(of.ids, of.kwh, strict=True)
        for end, kwh in zip(of.ends, row, strict=True)
    }
    whole_days = form != "NEM12"  # its days are those of another zone
    assert len(there) == (len(due) if whole_days else HOMES * 48 * (DAYS - 1))
    assert there == pytest.approx({key: due[key] for key in there}, abs=1e-9)
    assert plan.reads.minutes == 30
    assert {one.certainty for one in plan.items} <= {"sure", "guess", "set"}
    assert not plan.playback.problems
    assert [row["feeder"] for row in plan.playback.table()] == ["FEEDER_1", "FEEDER_2"]


def test_estimated_values_keep_their_mark(tmp_path: Path) -> None:
    green, nem = (planned(FORMS[form][1](homes(), tmp_path / form)) for form in ("Green Button", "NEM12"))
    assert green.estimated == 3 * HOMES
    assert nem.estimated == 8 * HOMES
    assert "registers B1" in found(nem, "left aside")
    assert "exported energy" in found(green, "left aside")
    table = homes().long(homes().local("%Y-%m-%d %H:%M"))
    table["quality"] = ["E" if place % 100 == 0 else "A" for place in range(len(table))]
    table["kwh"] = table["kwh"].astype("str")
    table.loc[3, "kwh"] += "*"
    table.loc[5, "kwh"] = "n/a"
    plan = planned(written(table, tmp_path / "flags.csv"))
    assert plan.estimated == -(-len(table) // 100) + 1
    assert plan.missing == 1


def test_pseudonyms_are_the_default_and_hide_the_order_of_ids(tmp_path: Path) -> None:
    path = long_csv(homes(), tmp_path / "reads.csv")
    hidden, other = planned(path, keep_ids=False, salt=b"one"), planned(path, keep_ids=False, salt=b"two")
    assert sorted(hidden.fleet.meter_ids) == [f"MTR-{number:05d}" for number in range(1, HOMES + 1)]
    assert hidden.fleet.meter_ids != other.fleet.meter_ids
    assert not any("NMI" in item.found for item in hidden.items)


def test_a_history_is_moved_by_whole_weeks_to_end_before_now(tmp_path: Path) -> None:
    plan = planned(long_csv(homes(), tmp_path / "reads.csv"), shift_to_now=True)
    last = homes().ends[-1]
    assert plan.shifted // timedelta(weeks=1) == 27
    assert timedelta() <= WALL - plan.end < timedelta(weeks=1)
    assert plan.end.weekday() == last.weekday()
    # Midnight in Chicago stays midnight, though the clock changed between.
    assert (last.hour, plan.end.hour) == (5, 6)


def test_feeders_of_the_file_are_kept_and_others_are_filled_evenly(tmp_path: Path) -> None:
    table = homes().long(homes().local("%Y-%m-%d %H:%M"))
    assert "6 meters put on 2 feeders" in found(planned(written(table, tmp_path / "none.csv")), "feeders")
    table["feeder"] = np.where(table["meter_id"].isin(homes().ids[:4]), "NORTH", "SOUTH")
    plan = planned(written(table, tmp_path / "feeders.csv"))
    assert plan.fleet.feeder_ids == ("NORTH",) * 4 + ("SOUTH",) * 2


def test_volts_are_kept_as_shares_of_nominal(tmp_path: Path) -> None:
    table = homes().long(homes().local("%Y-%m-%d %H:%M"))
    table["volts"] = 241.5
    plan = planned(written(table, tmp_path / "volts.csv"))
    assert plan.has_volts
    assert plan.reads.volts == pytest.approx(np.full(len(table), 120.75))
    assert "240 V nominal" in found(plan, "voltage")
    assert "modelled" in found(planned(long_csv(homes(), tmp_path / "none.csv")), "voltage")


# --- days on which the clock changes --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "repeated"), [(datetime(2026, 3, 4, 6, tzinfo=UTC), 0), (datetime(2026, 10, 28, 5, tzinfo=UTC), 1)]
)
def test_a_skipped_and_a_repeated_hour_are_told_apart(start: datetime, repeated: int, tmp_path: Path) -> None:
    of = homes(15, start)
    plan = planned(written(of.long(of.local("%Y-%m-%d %H:%M")), tmp_path / "wall.csv"))
    assert {end for _, end in kwh_of(plan)} == {int(end.timestamp()) for end in of.ends}
    assert ("[sure]" in found(plan, "time zone")) == bool(repeated)
    assert plan.missing == 0


def test_a_file_in_standard_time_all_year_is_told_by_the_hour_that_the_clock_skips(tmp_path: Path) -> None:
    of = homes(15, datetime(2026, 3, 4, 6, tzinfo=UTC))
    standard = of.local("%Y-%m-%d %H:%M", zone="Etc/GMT+6")
    plan = planned(written(of.long(standard), tmp_path / "standard.csv"))
    assert {end for _, end in kwh_of(plan)} == {int(end.timestamp()) for end in of.ends}
    assert "standard time" in found(plan, "time zone")


def test_an_hour_that_is_there_once_where_it_should_be_twice_is_missing(tmp_path: Path) -> None:
    of = homes(15, datetime(2026, 10, 28, 5, tzinfo=UTC))
    table = of.long(of.local("%Y-%m-%d %H:%M")).drop_duplicates(["meter_id", "read_at"])
    assert planned(written(table, tmp_path / "once.csv")).missing == 4 * HOMES


# --- what is odd: understood ----------------------------------------------------------------------------


def test_repeats_are_left_out_and_said(tmp_path: Path) -> None:
    table = homes().long(homes().local("%Y-%m-%d %H:%M"))
    plan = planned(written(pd.concat([table, table.head(50)]), tmp_path / "again.csv"))
    assert len(plan.reads) == len(table)
    assert "50 repeats" in found(plan, "repeats")


def test_a_register_is_read_by_its_differences(tmp_path: Path) -> None:
    of = homes()
    table = of.long(of.local("%Y-%m-%d %H:%M"))
    table["kwh"] = (40_000 + of.kwh.cumsum(axis=1)).ravel()
    plan = planned(written(table, tmp_path / "register.csv"))
    assert "differences" in found(plan, "register")
    assert plan.reads.kwh == pytest.approx(of.kwh[:, 1:].ravel(), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "factor", "unit"),
    [("usage", 1000.0, "Wh"), ("kW", 2.0, "mean kW"), ("usage_mwh", 0.001, "MWh"), ("power (W)", 2000.0, "mean W")],
)
def test_units_are_told_by_name_and_size(name: str, factor: float, unit: str, tmp_path: Path) -> None:
    table = homes().long(homes().local("%Y-%m-%d %H:%M"))
    table["kwh"] *= factor
    plan = planned(written(table.rename(columns={"kwh": name}), tmp_path / "unit.csv"))
    assert found(plan, "unit").startswith(f"{unit} [")
    assert plan.reads.kwh == pytest.approx(homes().kwh.ravel())


def test_what_somebody_says_counts_more_than_what_is_found(tmp_path: Path) -> None:
    table = homes().long(homes().local("%Y-%m-%d %H:%M")).rename(columns={"kwh": "usage"})
    table["other"] = table["usage"] * 2
    path = written(table, tmp_path / "said.csv")
    said = Said(columns={"kwh": "other"}, unit="kW", timezone="UTC", label="start")
    plan = planned(path, said)
    assert plan.reads.kwh == pytest.approx(homes().kwh.ravel())
    assert all("[set]" in found(plan, what) for what in ("energy", "unit", "time zone", "a time is"))
    with pytest.raises(FileRefusedError, match="no column 'watts' for kwh; columns: meter_id"):
        planned(path, Said(columns={"kwh": "watts"}))


def test_shorter_intervals_are_added_up_to_the_longest(tmp_path: Path) -> None:
    of, fine = homes(), homes(15)
    table = pd.concat([
        of.long(of.local("%Y-%m-%d %H:%M")).query("meter_id < 'NMI0003'"),
        fine.long(fine.local("%Y-%m-%d %H:%M")).query("meter_id >= 'NMI0003'"),
    ])  # fmt: skip
    plan = planned(written(table, tmp_path / "mixed.csv"))
    assert "15) of 3 meters are added up" in found(plan, "interval")
    assert plan.reads.kwh.sum() == pytest.approx(of.kwh.sum(), abs=1e-6)
    assert len(plan.reads) == of.kwh.size


def test_text_beside_numbers_is_understood(tmp_path: Path) -> None:
    table = homes().long(homes().local("%Y-%m-%d %H:%M"))
    table["kwh"] = [
        f"{1000 * one:,.0f} Wh" if place % 7 else f" {1000 * one:.0f}" for place, one in enumerate(table["kwh"])
    ]
    plan = planned(written(table.rename(columns={"kwh": "usage_wh"}), tmp_path / "text.csv"))
    assert plan.reads.kwh == pytest.approx(homes().kwh.ravel())


def test_two_hundred_columns_of_which_few_matter(tmp_path: Path) -> None:
    table = homes().long(homes().local("%Y-%m-%d %H:%M"))
    more = pd.DataFrame({f"attribute_{number}": "x" for number in range(197)}, index=table.index)
    plan = planned(written(pd.concat([more, table], axis=1), tmp_path / "broad.csv"))
    assert plan.reads.kwh == pytest.approx(homes().kwh.ravel())


def test_a_year_beside_each_other_is_read_to_its_last_column(tmp_path: Path) -> None:
    """The first bytes of such a file hold no whole line."""
    of = homes(5, days=14)
    table = pd.DataFrame(of.kwh, columns=of.local("%d/%m/%Y %H:%M"))
    table.insert(0, "home", of.ids)
    path = written(table, tmp_path / "broad.csv")
    plan = planned(path)
    assert plan.reads.kwh == pytest.approx(of.kwh.ravel())
    assert plan.reads.end.max() == of.ends[-1].timestamp()
    path.write_text(path.read_text(encoding="utf-8").rstrip() + ",1\n", encoding="utf-8")
    assert refused(path) == f"broad.csv, line 7: it has {table.shape[1] + 1} columns where the lines before have 4033."


def test_use_that_is_written_as_negative_is_turned_and_export_is_kept(tmp_path: Path) -> None:
    table = homes().long(homes().local("%Y-%m-%d %H:%M"))
    turned = planned(written(table.assign(kwh=-table["kwh"]), tmp_path / "turned.csv"))
    assert turned.reads.kwh == pytest.approx(homes().kwh.ravel())
    solar = table.assign(kwh=table["kwh"] - np.where(table["read_at"].str[11:13].isin(["11", "12"]), 1.5, 0))
    plan = planned(written(solar, tmp_path / "solar.csv"))
    assert "are export, and kept as negative use" in found(plan, "sign")
    assert plan.reads.kwh == pytest.approx(solar["kwh"].to_numpy())


# --- what is odd: refused -------------------------------------------------------------------------------


def refused(path: Path, **said: object) -> str:
    with pytest.raises(FileRefusedError) as caught:
        planned(path, Said(**said))  # type: ignore[arg-type]
    return caught.value.message


@pytest.mark.parametrize(
    ("column", "text", "says"),
    [("kwh", "broken", "line 1,236, column 'kwh': 'broken' is no number"),
     ("kwh", "inf", "line 1,236, column 'kwh': 'inf' is no number"),
     ("read_at", "soon", "line 1,236, column 'read_at': 'soon' is no time, and the ones before are written otherwise"),
     ("meter_id", "", "line 1,236, column 'meter_id': '' names no meter")],
)  # fmt: skip
def test_a_wrong_cell_is_refused_by_line_and_column(column: str, text: str, says: str, tmp_path: Path) -> None:
    table = homes().long(homes().local("%Y-%m-%d %H:%M")).astype({"kwh": "str"})
    table.loc[1234, column] = text
    assert refused(written(table, tmp_path / "wrong.csv")) == f"wrong.csv, {says}."


def test_rows_of_another_width_are_refused_by_line(tmp_path: Path) -> None:
    path = long_csv(homes(), tmp_path / "ragged.csv")
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[699] += ",1,2"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert refused(path) == "ragged.csv, line 700: it has 5 columns where the lines before have 3."


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "it is empty"), (b"\n \n", "it is empty"), (b"meter_id,read_at,kwh\n", "it has a header and no rows"),
     (b"%PDF-1.7", "it is a PDF"), (b"\xd0\xcf\x11\xe0\x00", "Excel file of before 2007"),
     (b"PK\x03\x04oops", "damaged"),
     (b"hello world\nno table\n", "no delimiter"), (b"\x00\x01\x02\x03", "neither text nor"),
     (b"\x1f\x8b\x08broken", "cannot be unpacked"),
     (b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]><feed>&a;</feed>", "entities, which are not read"),
     (b"<feed><entry></feed>", "line 1: it is no well-formed XML"),
     (b"100,NEM12,1,A,B\n300,20240101,1\n", "line 2: a 300 record stands before any 200 record")],
)  # fmt: skip
def test_what_is_no_file_of_reads_is_refused_by_name(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    assert says in refused(path)


def test_two_gigabytes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    with path.open("wb") as stream:
        stream.truncate(2_000_000_000)  # of no blocks at all
    assert refused(path) == "huge.csv: it is larger than 500 MB, packed or unpacked; send fewer meters or fewer months."


def test_bombs_are_refused_by_what_they_unpack_to(tmp_path: Path) -> None:
    inside = b"a,b\n" * 100_000
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(inside))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("bomb.csv", inside)
    with pytest.raises(FileRefusedError, match="larger than"):
        members(tmp_path / "bomb.zip", most=100_000)
    (bomb,) = members(tmp_path / "bomb.gz", most=100_000)
    with pytest.raises(FileRefusedError, match="larger than"), bomb.open() as stream:
        stream.read()


def test_daily_reads_two_channels_and_less_than_a_day_are_refused(tmp_path: Path) -> None:
    of = homes()
    table = of.long(of.local("%Y-%m-%d %H:%M"))
    daily = table.assign(read_at=table["read_at"].str[:10]).groupby(["meter_id", "read_at"], as_index=False).sum()
    assert "its intervals are daily of 'NMI0000' (line " in refused(written(daily, tmp_path / "daily.csv"))
    both = pd.concat([table, table.assign(kwh=table["kwh"] + 1)])
    assert "load one channel at a time" in refused(written(both, tmp_path / "both.csv"))
    assert "less than a day" in refused(written(table.groupby("meter_id").head(20), tmp_path / "short.csv"))


def test_files_that_are_written_otherwise_are_not_loaded_together(tmp_path: Path) -> None:
    with pytest.raises(FileRefusedError, match=r"nem12.csv: its times or units are written otherwise than in a.csv"):
        planned([long_csv(homes(), tmp_path / "a.csv"), nem12(homes(), tmp_path / "nem12.csv")])


@pytest.mark.parametrize(
    ("line", "says"),
    [("300,20260599,1,2,A", "a 300 record has 2 values; 48 are due"),
     ("400,1,90,E,,", "names intervals 1 to 90 of 48"), ("777,1", "a record begins with '777'"),
     ("200,NMI,E1,1,E1,N1,S,KWH,7,", "the interval is '7'; NEM12 has 5, 15 and 30 minutes")],
)  # fmt: skip
def test_a_wrong_nem12_record_is_refused_by_line(line: str, says: str, tmp_path: Path) -> None:
    path = nem12(homes(), tmp_path / "nem12.csv")
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines[:4], line, *lines[4:]]), encoding="utf-8")
    message = refused(path)
    assert says in message
    assert "line 5" in message


# --- forms of times -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "day_first"),
    [("2026-03-04T05:06:00Z", None), ("2026-03-04 05:06:00-06:00", None), ("20260304 0506", None),
     ("202603040506", None), ("04.03.2026 05:06", None), ("04-Mar-26 5:06", None), ("Mar 04, 2026 05:06 AM", None),
     ("04MAR2026:05:06:00", None), ("04/03/2026 05:06", True), ("3/4/2026 5:06 AM", False), ("46085.2125", None)],
)  # fmt: skip
def test_any_common_form_of_a_time_is_read(text: str, day_first: bool | None) -> None:
    form = form_of([text], day_first=day_first)
    assert form is not None
    moment = datetime.fromtimestamp(int(form.moments(pd.Series([text], dtype="str"))[0]), UTC)
    away = timedelta(hours=6) if "-06:00" in text else timedelta()
    assert moment == datetime(2026, 3, 4, 5, 6, tzinfo=UTC) + away


def test_the_order_of_day_and_month_follows_from_the_times_themselves() -> None:
    days = [f"{day:02d}/05/2026 00:00" for day in range(1, 11)]
    assert form_of(days).day_first  # type: ignore[union-attr]
    assert form_of(["05/13/2026"]).day_first is None  # type: ignore[union-attr]
    assert form_of(["2026-05-13", "13.05.2026"]) is None


def test_midnight_may_be_twenty_four_o_clock() -> None:
    form = form_of(["2026-03-04 23:30", "2026-03-04 24:00"])
    assert form is not None
    first, last = form.moments(pd.Series(["2026-03-04 23:30", "2026-03-04 24:00"], dtype="str"))
    assert last - first == 1800


@pytest.mark.parametrize(
    ("labels", "first", "last"),
    [([f"{hour}:00" for hour in range(24)], 3600, 86400), ([f"{hour}:00" for hour in range(1, 25)], 3600, 86400),
     ([f"HE{hour:02d}" for hour in range(1, 25)], 3600, 86400), ([str(slot) for slot in range(96)], 900, 86400),
     ([f"{hour:02d}:00 - {hour:02d}:59" for hour in range(24)], 3600, 86400)],
)  # fmt: skip
def test_columns_of_a_day_say_where_their_intervals_end(labels: list[str], first: int, last: int) -> None:
    found = slots_of(labels)
    assert found is not None
    assert (found[0][0], found[0][-1]) == (first, last)
    assert slots_of([*labels[:5], "total", *labels[5:]]) is None
