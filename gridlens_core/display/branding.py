"""Whose demo it is: name, logo, colours and feeder names. Only what is shown changes, nothing stored."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from gridlens_core.display.control_room import ControlRoom
from gridlens_core.meters.events import Event

Name = Annotated[str, Field(min_length=1, max_length=60)]
Colour = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]


class TomlModel(BaseModel):
    """A table of walkthrough.toml: nothing unknown, no value taken for another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, str_strip_whitespace=True)


class Colours(TomlModel):
    """The accent colour on a light page and on a dark one; events keep theirs everywhere."""

    light: Colour
    dark: Colour


class Brand(TomlModel):
    """Whose story it is. `feeders` are names to show, by feeder id."""

    name: Name = "GridLens"
    logo: Path | None = Field(default=None, strict=False)
    colours: Colours | None = None
    tariff_usd_per_kwh: float | None = Field(default=None, gt=0, le=10)
    feeders: dict[str, Name] = Field(default_factory=dict)

    def in_words(self, text: str) -> str:
        """A text with the names the utility gave its feeders."""
        if not self.feeders:
            return text
        longest_first = sorted(self.feeders, key=len, reverse=True)
        pattern = rf"(?<!\w)({'|'.join(map(re.escape, longest_first))})(?!\w)"
        return re.sub(pattern, lambda found: self.feeders[found[1]], text)


def renamed(room: ControlRoom, brand: Brand) -> ControlRoom:
    """The same look, in which every feeder carries its name."""
    if not brand.feeders:
        return room

    def name(feeder_id: str) -> str:
        return brand.feeders.get(feeder_id, feeder_id)

    def event(one: Event) -> Event:
        return one if one.feeder_id is None else replace(one, feeder_id=name(one.feeder_id))

    return replace(
        room,
        feeder_id=None if room.feeder_id is None else name(room.feeder_id),
        shaded=tuple(event(one) for one in room.shaded),
        meters=tuple(replace(meter, feeder_id=name(meter.feeder_id)) for meter in room.meters),
        feeder_loss_pct={name(feeder): loss for feeder, loss in room.feeder_loss_pct.items()},
        running=tuple(
            replace(
                one,
                event=event(one.event),
                label=brand.in_words(one.label),
                story=brand.in_words(one.story),
                line=brand.in_words(one.line),
            )
            for one in room.running
        ),
        labels={key: replace(one, text=brand.in_words(one.text)) for key, one in room.labels.items()},
        story=brand.in_words(room.story),
        feeders=tuple(name(feeder) for feeder in room.feeders),
    )
