"""Green Button (NAESB ESPI) in XML: interval readings of usage points. Read part by part; entities are refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from gridlens_core.errors import FileRefusedError
from gridlens_core.loading.gathered import ESTIMATED, MISSING, READ, Gathered
from gridlens_core.loading.source import Member

# Codes of ESPI's ReadingType and ReadingQuality.
WATT_HOURS, WATTS = "72", "38"
REVERSE = "19"
REGISTERS = ("1", "3")  # accumulationBehaviour: bulk quantity, cumulative
ESTIMATES = {"7", "8", "9", "11", "12", "13"}  # edited, estimated, interpolated, derived, projected, mixed
POINT = re.compile(r"UsagePoint/([^/]+)")
MOST_SECONDS = 86_400  # of an interval


@dataclass
class _Type:
    uom: str = WATT_HOURS
    power: int = 0
    flow: str = ""
    behaviour: str = ""
    seconds: int = 0


@dataclass
class _Block:
    meter: str
    start: list[int] = field(default_factory=list)
    seconds: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    mark: list[int] = field(default_factory=list)


@dataclass
class GreenButton:
    """Reads one file into `gathered`."""

    member: Member
    gathered: Gathered
    types: dict[str, _Type] = field(default_factory=dict)  # by address
    type_of: dict[str, str] = field(default_factory=dict)  # meter reading -> address of its type
    names: dict[str, str] = field(default_factory=dict)  # usage point -> its title
    blocks: dict[str, _Block] = field(default_factory=dict)  # by meter reading
    aside: set[str] = field(default_factory=set)
    waiting: list[_Block] = field(default_factory=list)  # blocks whose entry is not over yet

    def read(self) -> list[str]:
        """Reads it all; returns notes. Raises FileRefusedError."""
        try:
            with self.member.open() as stream:
                for _, node in iterparse(stream, events=("end",), forbid_dtd=True):
                    name = _tag(node)
                    if name == "IntervalBlock":
                        self._block(node)
                    elif name == "entry":
                        self._entry(node)
                        node.clear()
        except DefusedXmlException as error:
            raise self._wrong("it declares a document type or entities, which are not read") from error
        except ParseError as error:
            line = error.position[0] if error.position else None
            raise self._wrong("it is no well-formed XML", line) from error
        for reading, block in self.blocks.items():
            self._add(reading, block)
        return [f"{one} left aside" for one in sorted(self.aside)]

    def _block(self, node: Element) -> None:
        """The readings of an interval block, kept with the block until its entry says whose they are."""
        kept = _Block("")
        for reading in node:
            if _tag(reading) != "IntervalReading":
                continue
            start, seconds = _child(reading, "start"), _child(reading, "duration")
            value, quality = _child(reading, "value"), set(_texts(reading, "quality"))
            try:
                kept.start.append(int(start))
                kept.seconds.append(int(seconds or 0))
                kept.value.append(float(value) if value else float("nan"))
            except ValueError as error:
                raise self._wrong(
                    f"an interval reading has start {start!r}, duration {seconds!r} and value {value!r}"
                ) from error
            kept.mark.append(ESTIMATED if quality & ESTIMATES else READ if value else MISSING)
        node.clear()
        node.set("kept", str(len(self.waiting)))
        self.waiting.append(kept)

    def _entry(self, node: Element) -> None:
        links = [(one.get("rel", ""), one.get("href", "").rstrip("/")) for one in node.iter() if _tag(one) == "link"]
        own = next((href for rel, href in links if rel == "self"), "")
        for inner in list(node.iter()):
            name = _tag(inner)
            if name == "UsagePoint":
                title = next((one.text or "" for one in node if _tag(one) == "title"), "")
                self.names[_point(own) or own] = title.strip()
            elif name == "ReadingType":
                self.types[own] = _Type(
                    _child(inner, "uom") or WATT_HOURS, int(_child(inner, "powerOfTenMultiplier") or 0),
                    _child(inner, "flowDirection"), _child(inner, "accumulationBehaviour"),
                    int(_child(inner, "intervalLength") or 0),
                )  # fmt: skip
            elif name == "MeterReading":
                related = (href for rel, href in links if rel == "related" and "ReadingType" in href)
                self.type_of[own] = next(related, "")
            elif name == "IntervalBlock":
                up = next((href for rel, href in links if rel == "up"), own)
                self._keep(up.split("/IntervalBlock")[0], self.waiting[int(inner.get("kept", "0"))])
        self.waiting.clear()

    def _keep(self, reading: str, block: _Block) -> None:
        kept = self.blocks.setdefault(reading, _Block(_point(reading)))
        for name in ("start", "seconds", "value", "mark"):
            getattr(kept, name).extend(getattr(block, name))

    def _add(self, reading: str, block: _Block) -> None:
        kind = self._type(reading)
        if why := _why_aside(kind):
            self.aside.add(f"a channel that is {why} (flow {kind.flow or '-'}, unit {kind.uom})")
            return
        seconds = np.array(block.seconds, np.int64)
        seconds[seconds == 0] = kind.seconds
        if len(seconds) and (seconds.min() <= 0 or seconds.max() > MOST_SECONDS):
            raise self._wrong(f"an interval lasts {seconds.min()} to {seconds.max()} s")
        value = np.array(block.value) * 10.0**kind.power
        kwh = value / 1000 if kind.uom == WATT_HOURS else value * seconds / 3_600_000
        named = self.names.get(block.meter, "")
        meter = block.meter if not named or list(self.names.values()).count(named) > 1 else named
        row = self.gathered.rows([meter or self.member.name.rsplit(".", 1)[0]], self.member.name)[0]
        at = np.array(block.start, np.int64) + seconds
        self.gathered.add(self.member.name, row, at, kwh, mark=np.array(block.mark, np.int8), minutes=seconds // 60)

    def _type(self, reading: str) -> _Type:
        address = self.type_of.get(reading, "")
        if address in self.types:
            return self.types[address]
        if len(self.types) == 1:
            return next(iter(self.types.values()))
        if not self.types:
            raise self._wrong("no ReadingType says in which unit its values are")
        raise self._wrong(f"no ReadingType belongs to the readings of {reading or 'a meter'}")

    def _wrong(self, reason: str, line: int | None = None) -> FileRefusedError:
        return FileRefusedError.at(self.member.name, reason, line=line)


def _why_aside(kind: _Type) -> str:
    if kind.flow == REVERSE:
        return "exported energy"
    if kind.behaviour in REGISTERS:
        return "a register"
    return "" if kind.uom in (WATT_HOURS, WATTS) else "no energy"


def _tag(node: Element) -> str:
    return str(node.tag).rsplit("}", 1)[-1]


def _child(node: Element, name: str) -> str:
    """The text of the first descendant of that name."""
    return next((text for text in _texts(node, name)), "")


def _texts(node: Element, name: str) -> Iterator[str]:
    return ((one.text or "").strip() for one in node.iter() if _tag(one) == name)


def _point(address: str) -> str:
    found = POINT.search(address)
    return found[1] if found else ""
