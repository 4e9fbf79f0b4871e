"""The walkthrough as data: acts, what to say, what each does, and whose brand it carries. Nothing here acts."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from gridlens_core.display.branding import Brand, Name, TomlModel
from gridlens_core.display.own_numbers import OwnNumbers
from gridlens_core.errors import SettingsError
from gridlens_core.explanation.catalogue import CARD_KPIS
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.explanation.rehearsal import MOST_CYCLES
from gridlens_core.meters.events import EVENT_TYPES, MAX_DURATION_MINUTES, EventRequest, EventType
from gridlens_core.meters.fleet import Fleet
from gridlens_core.meters.patterns import PATTERNS, Pattern

STORY_FILE = "walkthrough.toml"
OWN_STORY = files(__package__) / STORY_FILE
LOGO_TYPES = (".svg", ".png", ".jpg", ".jpeg")
STEP_WORDS = "exactly one of reset = true, trigger = {...}, end = an event type or all, publish = cycles"

Item = TypeVar("Item")


def _as_list(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _place(value: int | str) -> int | str:
    if value == "" or (isinstance(value, int) and value < 1):
        raise ValueError("a name, or a position from 1 on")
    return value


def _kpi(value: str) -> str:
    if value not in CARD_KPIS:
        raise ValueError(", ".join(CARD_KPIS))
    return value


Place = Annotated[int | str, AfterValidator(_place)]
Kpi = Annotated[str, AfterValidator(_kpi)]
Shows = Literal["path", "events", "worth"]


class Trigger(TomlModel):
    """An event an act starts."""

    type: EventType
    feeder: Place
    severity: float = Field(gt=0, le=1)
    minutes: float = Field(ge=1, le=MAX_DURATION_MINUTES)
    pattern: Pattern = "bypass"
    meter: Place | None = None

    @model_validator(mode="after")
    def _only_a_theft_has_a_pattern(self) -> Trigger:
        if self.pattern != "bypass" and self.type != "theft":
            raise ValueError("a pattern for a theft only")
        return self

    def request(self, fleet: Fleet) -> EventRequest:
        """The event to request, with the feeder and the meter of this fleet that its places stand for."""
        feeder = _at(self.feeder, fleet.feeders)
        meters = [meter for meter, of in zip(fleet.meter_ids, fleet.feeder_ids, strict=True) if of == feeder]
        return EventRequest(
            self.type,
            feeder_id=feeder,
            meter_id=None if self.meter is None else _at(self.meter, meters),
            severity=self.severity,
            duration_minutes=self.minutes,
            pattern=self.pattern,
        )


class Step(TomlModel):
    """One thing an act does."""

    reset: Literal[True] | None = None
    trigger: Trigger | None = None
    end: Literal[EventType, "all"] | None = None
    publish: int | None = Field(default=None, ge=1, le=MOST_CYCLES)

    @model_validator(mode="after")
    def _one_thing(self) -> Step:
        if sum(value is not None for value in (self.reset, self.trigger, self.end, self.publish)) != 1:
            raise ValueError(STEP_WORDS)
        return self


class Act(TomlModel):
    """One act.

    watch : KPIs, of which the first that a database has is shown
    shows : what stands beside the cards: the rehearsed path, what each event did, or what it is worth
    notes : the presenter's alone
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    title: Name
    say: str = Field(min_length=1, max_length=600)
    notes: str = Field(default="", max_length=600)
    watch: Annotated[
        tuple[Kpi, ...],
        BeforeValidator(_as_list),
        Field(min_length=1, strict=False),
    ]
    steps: tuple[Step, ...] = Field(min_length=1, max_length=20, strict=False)
    shows: Shows = "path"


def watched(act: Act, kpis: Kpis) -> str | None:
    """The KPI to watch in an act: the first that the database has."""
    return next((kpi for kpi in act.watch if kpis[kpi] is not None), None)


class Story(TomlModel):
    """The whole walkthrough, and the utility's own numbers.

    pace_seconds : from cycle to cycle; rest_seconds : between the acts of the autopilot
    """

    pace_seconds: float = Field(default=2.0, ge=0, le=60)
    rest_seconds: float = Field(default=20.0, ge=0, le=600)
    brand: Brand = Brand()
    worth: OwnNumbers = OwnNumbers()
    acts: tuple[Act, ...] = Field(min_length=1, max_length=20, strict=False)

    @field_validator("acts")
    @classmethod
    def _ids_differ(cls, acts: tuple[Act, ...]) -> tuple[Act, ...]:
        ids = [act.id for act in acts]
        twice = sorted({act_id for act_id in ids if ids.count(act_id) > 1})
        if twice:
            raise ValueError(f"an id once only; {', '.join(twice)} stands there more often")
        return acts

    def cycles_with(self, act: int, step: int) -> int:
        """How many cycles the event of a trigger is to be rehearsed for: until it is ended, or another one comes."""
        cycles = 0
        for number, other in enumerate(self.acts[act:]):
            for later in other.steps[step + 1 if number == 0 else 0 :]:
                if later.publish is None:
                    return max(1, min(cycles, MOST_CYCLES))
                cycles += later.publish
        return max(1, min(cycles, MOST_CYCLES))

    def running_before(self, act: int) -> list[Trigger]:
        """The events that the acts before one leave running."""
        running: list[Trigger] = []
        for step in (step for earlier in self.acts[:act] for step in earlier.steps):
            if step.trigger is not None:
                running.append(step.trigger)
            elif step.publish is None:
                running = [] if step.reset or step.end == "all" else [one for one in running if one.type != step.end]
        return running


def load_story(data_dir: Path) -> Story:
    """The utility's own story if there is one, else GridLens's; raises SettingsError naming all that is wrong."""
    own = data_dir / STORY_FILE
    path = own if own.is_file() else OWN_STORY
    try:
        story = Story.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not a TOML file in UTF-8: {error}.") from None
    except ValidationError as error:
        raise SettingsError(f"{path} is not acceptable. {'; '.join(_problems(error))}.") from None
    return story if story.brand.logo is None else _with_logo(story, data_dir / story.brand.logo)


def _with_logo(story: Story, logo: Path) -> Story:
    if logo.suffix.lower() not in LOGO_TYPES or not logo.is_file():
        raise SettingsError(f"brand.logo is {str(logo)!r}; accepted: a file that is there, {', '.join(LOGO_TYPES)}.")
    return story.model_copy(update={"brand": story.brand.model_copy(update={"logo": logo})})


def _problems(error: ValidationError) -> list[str]:
    """Each problem once; a list whose items are wrong is not also reported as too short."""
    found: list[Any] = error.errors(include_url=False)
    real = [
        one
        for one in found
        if one["type"] != "too_short"
        or not any(other["loc"][: len(one["loc"])] == one["loc"] for other in found if other is not one)
    ]
    return list(dict.fromkeys(_problem(one) for one in real))


def _problem(error: Any) -> str:
    """act 2, step 1, trigger.severity is 7: accepted: ..."""
    places: list[str] = []
    for place in error["loc"]:
        if isinstance(place, int):
            places[-1] = f"{places[-1].removesuffix('s')} {place + 1}"
        elif place not in ("int", "str"):
            places.append(str(place))
    field = ", ".join(places) or "the file"
    if error["type"] == "missing":
        return f"{field} is missing"
    if error["type"] == "extra_forbidden":
        return f"{field} is not known"
    value = error["input"]
    came = "" if isinstance(value, dict | list | tuple) else f" is {value!r}"
    return f"{field}{came}; accepted: {_accepted(error, field)}"


def _accepted(error: Any, field: str) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] == "string_pattern_mismatch":
        return "a colour as #0A5C8F" if "colours" in field else "small letters, digits and hyphens, at most 40"
    if error["type"] == "literal_error":
        lists = {"type": EVENT_TYPES, "pattern": PATTERNS, "end": (*EVENT_TYPES, "all"), "shows": get_args(Shows)}
        last = field.rsplit(", ", 1)[-1]
        return ", ".join(lists.get(last, ("true",)))
    return re.sub(r"^Input should be (a valid |an? )?", "", str(error["msg"])).replace("tuple", "list")


def _at(place: int | str, items: Sequence[str]) -> str:
    """The item of that name, else by position from 1, else by the number in its name; past the end it begins again."""
    if isinstance(place, str):
        if place in items:
            return place
        digits = re.findall(r"\d+", place)
        place = int(digits[-1]) if digits else 1
    return items[(place - 1) % len(items)]
