"""The grid as a picture: the territory with what happens on it, as SVG. Screens and brief show the same one; a screen
fits and zooms it by its matrix and by the custom properties named in `fitted`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from gridlens_core import colours, words
from gridlens_core.display.control_room import ControlRoom, MeterState, RunningEvent
from gridlens_core.display.territory import HEIGHT, WIDTH, Points, Streets, Territory, territory

MOST_METERS = 1500  # marks at a time; of a larger fleet only the meters of feeders where something happens
MOST_NAMES = 24  # feeders whose names are always shown; of more, only from near
LETTER_WIDTH = 0.58  # of the letters' height, a little more than a sans-serif's mean
LINE_HEIGHT, PADDING = 1.35, 0.5  # of the letters' height
MARGIN = 7.5, 2.2  # around the territory for names, in letters: at the sides, above and below
WIDTH_OF_FULL_MARKS = 1000.0  # px; in a narrower frame marks are smaller
STYLE = Path(__file__).with_name("territory.css").read_text(encoding="utf-8")


@dataclass(frozen=True)
class MeterLook:
    """How a meter in one state is marked: a shape goes with each colour. `shape` is a path within 8 of its middle."""

    word: str
    colour: str
    shape: str
    size: float
    hollow: bool = False


BUILT = {"t-substation": "substation", "t-transformer": "transformer"}
DOT = "M-8 0A8 8 0 1 1 8 0A8 8 0 1 1 -8 0Z"
CROSS = "M-5 -8L0 -3L5 -8L8 -5L3 0L8 5L5 8L0 3L-5 8L-8 5L-3 0L-8 -5Z"
POINTING_DOWN = "M-8 -7L8 -7L0 7Z"
# From what is normal, and stays quiet, to what stands out most.
METER_LOOK: Mapping[str, MeterLook] = {
    "normal": MeterLook("normal", colours.NORMAL, DOT, 2.6),
    "named": MeterLook("suspicious", colours.THEFT, CROSS, 5.4),
    "low-voltage": MeterLook("low-voltage interval", colours.SAG, POINTING_DOWN, 5.6),
    "silent": MeterLook("no read", colours.OUTAGE, DOT, 4.2, hollow=True),
}


@dataclass(frozen=True)
class Frame:
    """The size of a picture and of its letters, px; `live` where a script fits it and reports clicks."""

    width: float
    height: float
    letters: float = 12.0
    live: bool = True


def svg(room: ControlRoom, frame: Frame, opened: str | None = None) -> str:
    """The whole territory, fitted into a frame; the meters of the feeder `opened` are drawn first."""
    place = place_of(room)
    drawn = _drawn(room, opened)
    root = ET.Element(
        "svg",
        {
            "class": "territory crowded" if len(room.feeders) > MOST_NAMES else "territory",
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {frame.width:g} {frame.height:g}",
            "role": "img",
            "aria-label": in_words(room),
            "data-layout": f"{room.tenant_id} {len(room.meters)} {','.join(sorted(drawn))}",
        },
    )
    _add(root, "style").text = STYLE
    _symbols(_add(root, "defs"))
    world = _add(root, "g", class_="world")
    events = _events_of(room)
    for feeder, streets in zip(room.feeders, place.feeders, strict=True):
        _feeder(world, feeder, streets, events.get(feeder, ()))
    for feeder, streets in zip(room.feeders, place.feeders, strict=True):
        _streets(world, feeder, streets, drawn, events.get(feeder, ()))
    _meters(world, room.meters, place, drawn)
    if len(place.substations) > 1:
        _add(world, "path", class_="lines", d=_line(place.substations))
    for x, y in place.substations.tolist():
        _add(world, "use", href="#t-substation", class_="at", style=_at(x, y))
    for feeder, streets in zip(room.feeders, place.feeders, strict=True):
        _named(world, room, feeder, streets, events.get(feeder, ()), frame.letters)
    _fit(root, world, place, frame)
    if not frame.live:
        _without_data(root)
    return ET.tostring(root, encoding="unicode")


def _without_data(root: ET.Element) -> None:
    """Leaves out what only a script needs, and what cannot be seen."""
    for one in root.iter():
        for name in [name for name in one.attrib if name.startswith("data-")]:
            del one.attrib[name]
    for parent in list(root.iter()):
        for one in [one for one in parent if one.get("class") in ("hit", "flow") or one.get("fill") == "transparent"]:
            parent.remove(one)


def place_of(room: ControlRoom) -> Territory:
    """Where everything stands that a room shows."""
    return territory(room.tenant_id, room.feeders, tuple(meter.feeder_id for meter in room.meters))


def focus(room: ControlRoom) -> tuple[float, float, float, float] | None:
    """Where something happens: the box around the feeders with a running event; None for everywhere or nowhere."""
    affected = {running.event.feeder_id for running in room.running}
    boxes = [
        streets.box for name, streets in zip(room.feeders, place_of(room).feeders, strict=True) if name in affected
    ]
    if not boxes or None in affected:
        return None
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def in_words(room: ControlRoom) -> str:
    """What the picture shows, for those who do not see it."""
    states = Counter(meter.state for meter in room.meters)
    found = [f"{words.count(states[state])} {look.word}" for state, look in METER_LOOK.items() if states[state]]
    return f"Map of {words.plural(len(room.feeders), 'feeder')}; meters in the latest interval: {words.and_list(found)}"


def legend(room: ControlRoom) -> list[tuple[str, str]]:
    """(symbol, words) of all that is marked, the meters with their number."""
    states = Counter(meter.state for meter in room.meters)
    meters = [(f"t-{state}", f"{look.word} {states[state]:,}") for state, look in METER_LOOK.items() if states[state]]
    return [*BUILT.items(), *meters]


def _drawn(room: ControlRoom, opened: str | None) -> set[str]:
    """The feeders whose meters are drawn: all, or of a large fleet those where something happens and that still fit."""
    if len(room.meters) <= MOST_METERS:
        return set(room.feeders)
    sizes = Counter(meter.feeder_id for meter in room.meters)
    wanted = [opened, *(running.event.feeder_id for running in reversed(room.running))]
    drawn: set[str] = set()
    for feeder in wanted:
        if feeder is not None and sum(sizes[one] for one in drawn) + sizes[feeder] <= MOST_METERS:
            drawn.add(feeder)
    return drawn


def _events_of(room: ControlRoom) -> dict[str, list[RunningEvent]]:
    found: dict[str, list[RunningEvent]] = {}
    for running in room.running:
        where = room.feeders if running.event.feeder_id is None else (running.event.feeder_id,)
        for feeder in where:
            found.setdefault(feeder, []).append(running)
    return found


def _feeder(world: ET.Element, feeder: str, streets: Streets, events: Sequence[RunningEvent]) -> None:
    """The land it serves."""
    group = _add(world, "g", **_look_of(events), data_feeder=feeder, data_box=_box(streets))
    _add(group, "path", class_="area", d=f"{_line(streets.area)}Z")


def _streets(world: ET.Element, feeder: str, streets: Streets, drawn: set[str], events: Sequence[RunningEvent]) -> None:
    group = _add(world, "g", **_look_of(events), data_feeder=feeder, data_box=_box(streets))
    near = feeder in drawn
    trunk, laterals = _line(streets.trunk), "".join(_line(one if near else one[::3]) for one in streets.laterals)
    _add(group, "path", class_="halo", d=trunk + laterals)
    _add(group, "path", class_="laterals", d=laterals)
    _add(group, "path", class_="trunk", d=trunk)
    _add(group, "path", class_="flow", d=trunk)
    _add(group, "path", class_="transformers", d=_dots(streets.transformers) if near else "")
    _add(group, "path", class_="hit", d=trunk)


def _look_of(events: Sequence[RunningEvent]) -> dict[str, str]:
    if not events:
        return {"class_": "feeder"}
    newest = events[-1].event
    silent = " silent" if newest.event_type == "comms-outage" else ""
    return {"class_": f"feeder affected{silent}", "style": f"--event:{newest.kind.colour}"}


def _meters(world: ET.Element, meters: Sequence[MeterState], place: Territory, drawn: set[str]) -> None:
    """A mark for each meter, those that stand out above the others, and the services to them."""
    shown = [number for number, meter in enumerate(meters) if meter.feeder_id in drawn]
    spans = zip(place.doors[shown].tolist(), place.meters[shown].tolist(), strict=True)
    d = "".join(f"M{x0:.0f} {y0:.0f}L{x1:.0f} {y1:.0f}" for (x0, y0), (x1, y1) in spans)
    _add(world, "path", class_="services", d=d)
    for number, (x, y) in zip(shown, place.meters[shown].tolist(), strict=True):
        meter = meters[number]
        _add(
            world, "use", href=f"#t-{meter.state}", class_="mark", style=_at(x, y),
            data_meter=meter.meter_id, data_note=f"{meter.meter_id}, {meter.feeder_id}: {meter.note}",
        )  # fmt: skip


def _named(
    world: ET.Element,
    room: ControlRoom,
    feeder: str,
    streets: Streets,
    events: Sequence[RunningEvent],
    letters: float,
) -> None:
    """A feeder's name and loss at the end of its trunk; where an event runs, a tag that says so."""
    end, before = streets.trunk[-1], streets.trunk[0]
    aside = float((end - before)[0] / max(np.abs(end - before).max(), 1))
    down = float((end - before)[1] / max(np.abs(end - before).max(), 1))
    name, loss = short(feeder), words.percent(room.feeder_loss_pct.get(feeder), 1)
    lines = [f"{name} {loss}"] if not events else [*_told(room, feeder, name, events)]
    wide = max(len(line) for line in lines) * LETTER_WIDTH * letters + 2 * PADDING * letters
    tall = len(lines) * LINE_HEIGHT * letters + PADDING * letters
    left = aside * (wide / 2 + 8) - wide / 2  # the further aside, the further out, so that neighbours keep apart
    top = 6 if down > 0.5 else -tall - 6 if down < -0.5 else -tall / 2
    colour = {"style": f"{_at(*end.tolist())};--event:{events[-1].event.kind.colour}" if events else _at(*end.tolist())}
    group = _add(
        world, "g", class_="at tag" if events else "at named", **colour, data_feeder=feeder, data_box=_box(streets)
    )
    inner = _add(
        group, "g", class_="nudge", data_x=_round(left), data_y=_round(top), data_w=_round(wide), data_h=_round(tall)
    )
    inner.set("transform", f"translate({left:.1f} {top:.1f})")
    if events:
        _add(inner, "rect", width=_round(wide), height=_round(tall), rx="4")
    for number, line in enumerate(lines):
        text = _add(
            inner, "text", x=_round(wide / 2), y=_round((PADDING / 2 + LINE_HEIGHT * (number + 0.76)) * letters),
            text_anchor="middle", class_="strong" if events and not number else "",
        )  # fmt: skip
        text.text = line


def _told(room: ControlRoom, feeder: str, name: str, events: Sequence[RunningEvent]) -> Iterable[str]:
    """What a tag says: whose, what runs, and how far it shows."""
    states = Counter(meter.state for meter in room.meters if meter.feeder_id == feeder)
    loss = room.feeder_loss_pct.get(feeder)
    yield name
    for running in reversed(events):
        event = running.event
        severity = "" if event.event_type == "comms-outage" else f" {words.share(event.fraction)}"
        who = event.where.removesuffix(f" on {feeder}")
        yield f"{event.name}{severity}" if who in (feeder, "all feeders") else f"{event.name}{severity}, {who}"
    newest = events[-1].event.event_type
    if newest == "comms-outage" and states["silent"]:
        yield f"{words.plural(states['silent'], 'meter')} silent"
    elif newest == "voltage-sag" and states["low-voltage"]:
        yield f"{words.plural(states['low-voltage'], 'low-voltage interval')}"
    elif newest == "theft" and loss is not None:
        yield f"loss today {words.percent(loss, 1)}"


def short(feeder: str) -> str:
    """A feeder's name in the room a picture has for it."""
    return feeder if len(feeder) <= 20 else f"{feeder[:9]}…{feeder[-10:]}"


def _fit(root: ET.Element, world: ET.Element, place: Territory, frame: Frame) -> None:
    """The whole territory in the middle of the frame, no name beyond its edges."""
    x0, y0, x1, y1 = whole(place)
    aside, above = (share * frame.letters for share in MARGIN)
    sx, sy = (frame.width - 2 * aside) / (x1 - x0), (frame.height - 2 * above) / (y1 - y0)
    tx, ty = aside - x0 * sx, above - y0 * sy
    world.set("transform", f"matrix({sx:.5f} 0 0 {sy:.5f} {tx:.2f} {ty:.2f})")
    root.set("data-whole", f"{x0:.0f} {y0:.0f} {x1:.0f} {y1:.0f}")
    root.set("style", fitted(sx, sy, frame))
    for group in world:
        if group.get("class") in ("at tag", "at named"):
            x, y = (float(one.split(":")[1]) for one in group.get("style", "").split(";")[:2])
            name = group[0]
            left, top, wide, tall = (float(name.get(f"data-{one}", 0)) for one in "xywh")
            left = min(max(left, -x * sx - tx), frame.width - wide - x * sx - tx)
            top = min(max(top, -y * sy - ty), frame.height - tall - y * sy - ty)
            name.set("transform", f"translate({left:.1f} {top:.1f})")


def fitted(sx: float, sy: float, frame: Frame) -> str:
    """The custom properties that keep letters (ux, uy) and marks (mx, my) of their size whatever the scale."""
    mark = min(1.0, frame.width / WIDTH_OF_FULL_MARKS)
    return (
        f"--ux:{1 / sx:.4f};--uy:{1 / sy:.4f};--mx:{mark / sx:.4f};--my:{mark / sy:.4f};--letters:{frame.letters:g}px"
    )


def whole(place: Territory) -> tuple[float, float, float, float]:
    """The box around all that is drawn."""
    every = np.concatenate([streets.area for streets in place.feeders] or [np.array([[0.0, 0.0], [WIDTH, HEIGHT]])])
    (x0, y0), (x1, y1) = every.min(axis=0).tolist(), every.max(axis=0).tolist()
    return x0, y0, x1, y1


def _symbols(defs: ET.Element) -> None:
    for state, look in METER_LOOK.items():
        paint = {"style": f"fill:none;stroke:{look.colour};stroke-width:4" if look.hollow else f"fill:{look.colour}"}
        size = f"scale({look.size / 8:.3f})"
        group = _add(defs, "g", id=f"t-{state}")
        # What is under the pointer is larger than what is seen.
        _add(group, "circle", r="8", fill="transparent")
        _add(group, "path", class_="symbol", d=look.shape, transform=size, **paint)
    for name, half in (("substation", 8.0), ("transformer", 3.0)):
        group = _add(defs, "g", id=f"t-{name}")
        side, place = _round(2 * half), _round(-half)
        _add(group, "rect", class_="built", x=place, y=place, width=side, height=side, rx=_round(half / 4))


def _line(points: Points) -> str:
    return "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in points.tolist())


def _dots(points: Points) -> str:
    """Lines of no length: their square ends are squares of the same size at any scale."""
    return "".join(f"M{x:.0f} {y:.0f}h0" for x, y in points.tolist())


def _box(streets: Streets) -> str:
    return " ".join(f"{value:.0f}" for value in streets.box)


def _at(x: float, y: float) -> str:
    return f"--x:{x:.0f};--y:{y:.0f}"


def _round(value: float) -> str:
    return f"{value:.1f}"


def _add(parent: ET.Element, tag: str, **attributes: str) -> ET.Element:
    given = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    return ET.SubElement(parent, tag, given)
