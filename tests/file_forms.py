"""The reads of a few homes, written in every form that a utility sends."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from gridlens_core.meters.emulator import Span, honest_intervals
from gridlens_core.meters.fleet import synthetic_fleet
from gridlens_core.meters.profiles import Floats

ZONE = "America/Chicago"
START = datetime(2026, 5, 4, 5, tzinfo=UTC)  # a Monday, midnight in Chicago
DAYS, HOMES = 9, 6


@dataclass(frozen=True)
class Homes:
    """kwh : (n_homes, n_intervals); ends : of the intervals, UTC."""

    ids: tuple[str, ...]
    ends: tuple[datetime, ...]
    kwh: Floats
    minutes: int

    @property
    def starts(self) -> list[datetime]:
        return [end - timedelta(minutes=self.minutes) for end in self.ends]

    def local(self, form: str, *, start: bool = False, zone: str = ZONE) -> list[str]:
        """The times as somebody in a zone writes them."""
        early = timedelta(minutes=self.minutes if start else 0)
        return [(end - early).astimezone(ZoneInfo(zone)).strftime(form) for end in self.ends]

    def long(self, times: list[str]) -> pd.DataFrame:
        """A row a read."""
        meter = np.repeat(self.ids, len(self.ends))
        return pd.DataFrame({"meter_id": meter, "read_at": times * len(self.ids), "kwh": self.kwh.ravel()})


@lru_cache(maxsize=8)
def homes(minutes: int = 30, start: datetime = START, days: int = DAYS) -> Homes:
    """Homes whose reads are whole Wh."""
    fleet = synthetic_fleet("HOMES", feeders=2, meters_per_feeder=HOMES // 2, seed=3, timezone=ZONE).without_panels()
    span = Span(start, minutes, days * 24 * 60 // minutes)
    wh, _ = honest_intervals(fleet, span)
    return Homes(tuple(f"NMI{number:04d}" for number in range(HOMES)), tuple(span.read_times), wh / 1000, minutes)


def written(table: pd.DataFrame, path: Path, **how: object) -> Path:
    """The table as CSV."""
    table.to_csv(path, index=False, **how)
    return path


def long_csv(of: Homes, path: Path) -> Path:
    return written(of.long(of.local("%Y-%m-%d %H:%M")), path)


def german_csv(of: Homes, path: Path) -> Path:
    table = of.long(of.local("%d.%m.%Y %H:%M")).set_axis(["Zählpunkt", "Zeitstempel", "Verbrauch"], axis=1)
    path.write_text("Export;2026\n\n", encoding="utf-8")
    return written(table, path, sep=";", decimal=",", mode="a")


def american_csv(of: Homes, path: Path) -> Path:
    """Date and times apart, twelve hours, starts, Wh, with offsets nowhere."""
    table = of.long(of.local("%m/%d/%Y", start=True))
    table.insert(2, "START TIME", of.local("%I:%M %p", start=True) * len(of.ids))
    table.insert(3, "END TIME", of.local("%I:%M %p") * len(of.ids))
    table["kwh"] = (1000 * table["kwh"]).round().astype(int)
    return written(table.set_axis(["Account", "DATE", "START TIME", "END TIME", "USAGE (Wh)"], axis=1), path)


def aware_tsv(of: Homes, path: Path) -> Path:
    return written(of.long(of.local("%Y-%m-%dT%H:%M:%S%z")), path, sep="\t")


def epoch_csv(of: Homes, path: Path) -> Path:
    return written(of.long([str(int(end.timestamp() * 1000)) for end in of.ends]), path)


def column_a_meter(of: Homes, path: Path) -> Path:
    table = pd.DataFrame({"reading_datetime": of.local("%Y-%m-%d %H:%M:%S", start=True)})
    for name, kwh in zip(of.ids, of.kwh, strict=True):
        table[name] = (1000 * kwh).round().astype(int)
    return written(table, path)


def column_an_interval(of: Homes, path: Path) -> Path:
    """A row a home and day; the times of the day beside each other."""
    a_day = 24 * 60 // of.minutes
    days = [(of.ends[0] + timedelta(days=day)).astimezone(ZoneInfo(ZONE)).strftime("%Y%m%d") for day in range(DAYS)]
    labels = of.local("%H:%M", start=True)[:a_day]
    rows = [[name, day, *some] for name, kwh in zip(of.ids, of.kwh, strict=True)
            for day, some in zip(days, kwh.reshape(-1, a_day), strict=True)]  # fmt: skip
    return written(pd.DataFrame(rows, columns=["NMI", "Date", *labels]), path)


def transposed(of: Homes, path: Path) -> Path:
    """A row a home, a column a moment, as a spreadsheet is turned."""
    table = pd.DataFrame(of.kwh, columns=of.local("%d/%m/%Y %H:%M"))
    table.insert(0, "home", of.ids)
    return written(table, path)


def excel(of: Homes, path: Path) -> Path:
    table = of.long(of.local("%Y-%m-%d %H:%M"))
    table["read_at"] = pd.to_datetime(table["read_at"])
    table.to_excel(path, index=False)
    return path


def parquet(of: Homes, path: Path) -> Path:
    table = of.long(of.local("%Y-%m-%d %H:%M"))
    table["read_at"] = pd.to_datetime([end for _ in of.ids for end in of.ends])
    table.to_parquet(path)
    return path


def gzipped(of: Homes, path: Path) -> Path:
    plain = long_csv(of, path.with_name("plain.csv"))
    path.write_bytes(gzip.compress(plain.read_bytes()))
    return path


def zipped(of: Homes, path: Path) -> Path:
    """A file a home."""
    with zipfile.ZipFile(path, "w") as packed:
        for name, kwh in zip(of.ids, of.kwh, strict=True):
            table = pd.DataFrame({"time": of.local("%Y-%m-%d %H:%M"), "kWh": kwh})
            packed.writestr(f"homes/{name}.csv", table.to_csv(index=False))
    return path


def nem12(of: Homes, path: Path) -> Path:
    """Two registers of use and one of export a meter; days of the market's time."""
    zone, lines = "Etc/GMT-10", ["100,NEM12,202605200000,MDA,RETAILER"]
    days = of.local("%Y%m%d", start=True, zone=zone)
    whole = [day for day in sorted(set(days)) if days.count(day) == 24 * 60 // of.minutes]
    for name, kwh in zip(of.ids, of.kwh, strict=True):
        half = np.floor(500 * kwh) / 1000
        for suffix, values in (("E1", half), ("E2", kwh - half), ("B1", 0 * kwh)):
            lines.append(f"200,{name},E1E2B1,1,{suffix},N1,SERIAL,KWH,{of.minutes},")
            for day in whole:
                of_day = [value for value, when in zip(values.tolist(), days, strict=True) if when == day]
                quality = "V" if suffix == "E1" and day == whole[-1] else "A"
                lines.append(f"300,{day},{','.join(f'{one:.3f}' for one in of_day)},{quality},,,20260520000000,")
                if quality == "V":
                    lines += ["400,1,40,A,,", f"400,41,{len(of_day)},E,,"]
    lines.append("900")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


ENTRY = "<entry><link rel='self' href='{own}'/>{links}<title>{title}</title><content>{content}</content></entry>"


def green_button(of: Homes, path: Path) -> Path:
    """A usage point a home, in tenths of a Wh; beside each a channel of export."""
    entries = []
    for number, (name, kwh) in enumerate(zip(of.ids, of.kwh, strict=True)):
        point = f"/espi/1_1/resource/Subscription/1/UsagePoint/{number}"
        entries.append(ENTRY.format(own=point, links="", title=name, content="<UsagePoint><kind>0</kind></UsagePoint>"))
        for flow in (1, 19):
            reading, kind = f"{point}/MeterReading/{flow}", f"/espi/1_1/resource/ReadingType/{number}-{flow}"
            related = f"<link rel='related' href='{kind}'/>"
            entries.append(ENTRY.format(own=reading, links=related, title="", content="<MeterReading/>"))
            content = (
                f"<ReadingType><accumulationBehaviour>4</accumulationBehaviour><flowDirection>{flow}</flowDirection>"
                f"<intervalLength>{60 * of.minutes}</intervalLength><powerOfTenMultiplier>-1</powerOfTenMultiplier>"
                "<uom>72</uom></ReadingType>"
            )
            entries.append(ENTRY.format(own=kind, links="", title="", content=content))
            some = "".join(
                f"<IntervalReading><ReadingQuality><quality>{8 if place < 3 else 0}</quality></ReadingQuality>"
                f"<timePeriod><duration>{60 * of.minutes}</duration><start>{int(start.timestamp())}</start>"
                f"</timePeriod><value>{round(10_000 * value)}</value></IntervalReading>"
                for place, (start, value) in enumerate(zip(of.starts, kwh.tolist(), strict=True))
            )
            links = f"<link rel='up' href='{reading}/IntervalBlock'/>"
            own = f"{reading}/IntervalBlock/1"
            entries.append(
                ENTRY.format(own=own, links=links, title="", content=f"<IntervalBlock>{some}</IntervalBlock>")
            )
    feed = f"<feed xmlns='http://www.w3.org/2005/Atom'>{''.join(entries)}</feed>"
    for name in ("UsagePoint", "MeterReading", "ReadingType", "IntervalBlock"):
        feed = feed.replace(f"<{name}", f"<{name} xmlns='http://naesb.org/espi'")
    path.write_text("<?xml version='1.0' encoding='UTF-8'?>\n" + feed, encoding="utf-8")
    return path


FORMS: dict[str, tuple[str, Callable[[Homes, Path], Path]]] = {
    "long CSV": ("reads.csv", long_csv),
    "semicolons, decimal comma, two lines above": ("lesungen.csv", german_csv),
    "date and start apart, 12 hours, Wh": ("usage.csv", american_csv),
    "tabs, with offsets": ("reads.tsv", aware_tsv),
    "epoch milliseconds": ("reads.csv", epoch_csv),
    "a column a meter, Wh, starts": ("wide.csv", column_a_meter),
    "a column an interval of a day": ("days.csv", column_an_interval),
    "a column a moment": ("turned.csv", transposed),
    "Excel": ("reads.xlsx", excel),
    "Parquet": ("reads.parquet", parquet),
    "gzip": ("reads.csv.gz", gzipped),
    "zip, a file a home": ("homes.zip", zipped),
    "NEM12": ("nem12.csv", nem12),
    "Green Button": ("green.xml", green_button),
}
