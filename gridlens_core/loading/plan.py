"""The plan of a load: all that was found in some files, the meters and feeders they become, and the playback of their
last day. Reads files and nothing else; what is not right is refused here, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from math import ceil
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from gridlens_core.errors import FileRefusedError
from gridlens_core.loading.gathered import ESTIMATED, Gathered, Ints
from gridlens_core.loading.green_button import GreenButton
from gridlens_core.loading.layout import understand
from gridlens_core.loading.nem12 import MARKET_ZONE, Nem12
from gridlens_core.loading.rows import Rows
from gridlens_core.loading.said import Item, Meaning, Said
from gridlens_core.loading.settled import Settled, settle
from gridlens_core.loading.source import Member, members
from gridlens_core.loading.tables import table_of
from gridlens_core.meters.fleet import Fleet, fleet_of, natural_key
from gridlens_core.publishing.history import habits_of, learned_days
from gridlens_core.publishing.playback import MOST_METERS, Playback, play_back_past

METERS_ON_A_FEEDER = 20  # where the file names no feeder
MOST_FEEDERS = 10
WEEK = timedelta(days=7)

Report = Callable[[str, float], None]  # what is being done, and the share that is done


@dataclass(frozen=True)
class Target:
    """What the reads are to become.

    timezone, seed : of the demo
    wall : the wall clock, for `shift_to_now`
    salt : secret of the pseudonyms; they cannot be told without it
    """

    tenant_id: str
    timezone: str
    seed: int
    wall: datetime
    keep_ids: bool = False
    shift_to_now: bool = False
    salt: bytes = b""


@dataclass(frozen=True)
class Plan:
    """What would be loaded. `reads` are those of the fleet's meters, in its order, on its clock.

    fleet : with habits learned from the reads
    shifted : by how much the history was moved; zero where it was not
    """

    tenant_id: str
    files: tuple[str, ...]
    reads: Settled
    fleet: Fleet
    items: tuple[Item, ...]
    playback: Playback
    shifted: timedelta = timedelta()

    @property
    def end(self) -> datetime:
        """The end of the newest interval."""
        return datetime.fromtimestamp(int(self.reads.end.max()), UTC)

    @property
    def estimated(self) -> int:
        """How many reads the file marks as estimated."""
        return int((self.reads.mark == ESTIMATED).sum())

    @property
    def missing(self) -> int:
        """How many reads that were due are not there."""
        return self.reads.due - len(self.reads)

    @property
    def has_volts(self) -> bool:
        """Whether the file has voltages."""
        return not bool(np.isnan(self.reads.volts).all())


def plan_of(files: Sequence[tuple[Path, str]], said: Said, target: Target, report: Report = lambda *_: None) -> Plan:
    """What would be loaded from these files, each with the name it is shown by; raises FileRefusedError."""
    found = [member for path, name in files for member in members(path, name)]
    gathered, meanings, items = Gathered(), list[Meaning](), list[Item]()
    for number, member in enumerate(found):
        report(f"Reading {member.name}", 0.8 * number / len(found))
        meaning, more = _gather(member, said, gathered)
        meanings.append(meaning)
        items += [one for one in more if one not in items]
    odd = next((place for place, one in enumerate(meanings) if _kind(one) != _kind(meanings[0])), None)
    if odd is not None:
        raise FileRefusedError.at(found[odd].name, f"its times or units are written otherwise than in {found[0].name}")
    report("Checking", 0.85)
    reads, more = settle(gathered.done(), meanings[0], said, target.timezone)
    items += more
    reads, some = _on_feeders(reads)
    items += some
    if not target.keep_ids:
        reads = replace(reads, meters=pseudonyms(reads.meters, target.salt))
        items.append(Item("meter ids", f"{reads.meters[0]} and so on, in place of the file's", "set", "pseudonyms"))
    reads, shifted, some = _shifted(reads, target)
    items += [*some, *_modelled(reads, target)]
    report("Playing back the last day", 0.9)
    fleet, playback = _played(reads, target)
    return Plan(target.tenant_id, tuple(name for _, name in files), reads, fleet, tuple(items), playback, shifted)


def _gather(member: Member, said: Said, gathered: Gathered) -> tuple[Meaning, list[Item]]:
    before = gathered.count
    if member.form == "nem12":
        notes = Nem12(member, gathered).read()
        meaning, what = Meaning(False, MARKET_ZONE, "end", "kWh"), "NEM12"
    elif member.form == "green button":
        notes = GreenButton(member, gathered).read()
        meaning, what = Meaning(True, "", "end", "kWh"), "Green Button"
    else:
        table = table_of(member)
        known = understand(table, said)
        Rows(table, known.layout, gathered, Path(member.name).name.split(".")[0]).read()
        layout = known.layout
        label = "end" if layout.slots else ""
        aware = layout.form is not None and layout.form.aware
        items = [Item("form", {"excel": "Excel", "parquet": "Parquet"}.get(member.form, "CSV"), "sure"), *known.items]
        if layout.form is not None and layout.form.day_first is not None:
            order = "day before month" if layout.form.day_first else "month before day"
            items.append(
                Item("dates", order, "guess" if said.day_first is None else "set", "they can be read both ways")
            )
        return Meaning(aware, "", label, layout.unit, known.energy_name, known.time_name), items
    if gathered.count == before:
        raise FileRefusedError.at(member.name, "; ".join(["there is no read of energy used in it", *notes]))
    return meaning, [Item("form", what, "sure"), *(Item("left aside", note, "sure") for note in notes)]


def _kind(meaning: Meaning) -> tuple[object, ...]:
    return meaning.aware, meaning.zone, meaning.label, meaning.unit, meaning.energy_name


def pseudonyms(meters: Sequence[str], salt: bytes) -> tuple[str, ...]:
    """MTR-00001 and so on, in an order that says nothing of the ids to those who do not know the salt."""
    order = sorted(range(len(meters)), key=lambda row: blake2b(meters[row].encode(), key=salt[:64]).digest())
    named = {row: f"MTR-{number:05d}" for number, row in enumerate(order, 1)}
    return tuple(named[row] for row in range(len(meters)))


def _on_feeders(reads: Settled) -> tuple[Settled, list[Item]]:
    """Meters without a feeder are dealt out by size, so that feeders are alike."""
    without = [row for row, feeder in enumerate(reads.feeders) if not feeder]
    if not without:
        count = len(set(reads.feeders))
        return reads, [
            Item("feeders", f"{len(reads.meters)} meters on {count} feeders", "sure", "as the file has them")
        ]
    known = sorted(set(filter(None, reads.feeders)), key=natural_key)
    number = min(MOST_FEEDERS, max(ceil(len(reads.meters) / METERS_ON_A_FEEDER), 2 if len(reads.meters) >= 4 else 1))
    names = known or [f"FEEDER_{one}" for one in range(1, number + 1)]
    size = np.bincount(reads.meter, np.abs(reads.kwh), len(reads.meters))
    feeders = list(reads.feeders)
    turn = [*names, *reversed(names)]
    for place, row in enumerate(sorted(without, key=lambda row: (-size[row], row))):
        feeders[row] = turn[place % len(turn)]
    of = f"{len(without)} of them" if known else f"{len(without)}"
    text = f"{of} meters put on {len(names)} feeders by an even hand"
    return replace(reads, feeders=tuple(feeders)), [Item("feeders", text, "guess", "the file names none for them")]


def _shifted(reads: Settled, target: Target) -> tuple[Settled, timedelta, list[Item]]:
    """The history moved by whole weeks to end before the wall clock, the hours of its days kept at its end."""
    end = datetime.fromtimestamp(int(reads.end.max()), UTC)
    if not target.shift_to_now:
        return reads, timedelta(), [Item("history", f"ends {end:%Y-%m-%d %H:%M} UTC, and goes on from there", "sure")]
    weeks = (target.wall - end) // WEEK
    local = end.astimezone(ZoneInfo(target.timezone))
    moved = (local.replace(tzinfo=None) + weeks * WEEK).replace(tzinfo=ZoneInfo(target.timezone)).astimezone(UTC)
    shift = moved - end
    text = f"moved by {weeks} weeks to end {moved:%Y-%m-%d %H:%M} UTC; from there to now it goes on emulated"
    reads = replace(reads, end=reads.end + int(shift.total_seconds()))
    return reads, shift, [Item("history", text, "set", "weekdays stay")]


def _modelled(reads: Settled, target: Target) -> list[Item]:
    """What is not in such files and is modelled."""
    items = [Item("supply", "modelled: the reads plus a modelled technical loss", "sure", "no file of reads has it")]
    if np.isnan(reads.volts).all():
        items.append(Item("voltage", "modelled, on a 120 V base", "sure", "the file has none"))
    if reads.zone not in (target.timezone, ""):
        text = f"days are those of {target.timezone}, the file is of {reads.zone}"
        items.append(Item("days", text, "guess", f"start with GRIDLENS_TIMEZONE={reads.zone} to have its own"))
    return items


def _played(reads: Settled, target: Target) -> tuple[Fleet, Playback]:
    fleet = fleet_of(target.tenant_id, reads.meters, reads.feeders, seed=target.seed, timezone=target.timezone)
    last = int(reads.end.max())
    days = learned_days(len(fleet), reads.minutes)
    past = reads.past.take(reads.end > last - 86400 * days)
    fleet = fleet.with_habits(habits_of(fleet, past))
    sample = np.arange(len(fleet)) % ceil(len(fleet) / MOST_METERS) == 0
    longer = reads.past.take((reads.end > last - 86400 * (days + 1)) & sample[reads.meter])
    place = np.cumsum(sample) - 1
    longer = replace(longer, meter=_as_ints(place[longer.meter]))
    return fleet, play_back_past(fleet.take(sample), longer, datetime.fromtimestamp(last, UTC))


def _as_ints(values: Ints) -> Ints:
    return values.astype(np.int64)
