"""With and without the events: after every cycle, what a KPI would be without them is what a twin database says in
which they never happened, to the last digit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import view_sets
from existing_shapes import SHAPES, demo_on, migrate, template_of
from helpers import TENANT, Server

from gridlens_core.demo.demo import Demo
from gridlens_core.demo.proofs import Proofs
from gridlens_core.explanation import ahead
from gridlens_core.explanation.ahead import BY_CYCLE
from gridlens_core.explanation.catalogue import CATALOGUE
from gridlens_core.explanation.moment import Moment
from gridlens_core.explanation.why import difference, total
from gridlens_core.meters.events import Event, EventRequest

VARIANT_A = next(shape for shape in SHAPES if shape.name == "variant_a")
SITES = ("local", "variant_a", "linear", "ranked")


@dataclass
class Twins:
    """A demo, and a twin of the same seed in which no event ever happens."""

    demo: Demo
    twin: Demo
    tenant: str = TENANT
    begun: list[Event] = field(default_factory=list)

    def feeder(self, number: int) -> str:
        feeders = self.demo.desk.fleet(self.tenant).feeders
        return feeders[(number - 1) % len(feeders)]

    def begin(self, event_type: str, number: int | None, minutes: float, **more: object) -> Event:
        chosen = {"severity": 0.7, **more}
        feeder = None if number is None else self.feeder(number)
        request = EventRequest(event_type, feeder_id=feeder, duration_minutes=minutes, **chosen)
        self.begun.append(self.demo.trigger(self.tenant, request))
        return self.begun[-1]

    def publish(self, cycles: int = 1) -> Moment:
        """Publishes both, and holds the demo's moment to the twin's after every cycle."""
        for _ in range(cycles):
            self.demo.publish(self.tenant)
            self.twin.publish(self.tenant)
            moment = self.same()
        return moment

    def same(self) -> Moment:
        """What the KPIs would be without the events is what the twin's views say; and the parts add up."""
        moment, other = self.demo.desk.explained(self.tenant), self.twin.desk.fresh(self.tenant)
        assert moment.grid_now == other.grid_now
        assert moment.unmeasured == ""
        for kpi in CATALOGUE:
            why = moment.why(kpi)
            if why is None:
                assert moment.kpis[kpi] == other.kpis[kpi], kpi
                continue
            assert why.without == other.kpis[kpi], kpi
            parts = (why.before, why.drift, *(one.change for one in why.effects))
            assert total(parts) == why.now == moment.kpis[kpi]
            assert why.drift == difference(why.without, why.before)
        if moment.measured is not None:
            assert moment.measured.path[0] is not None
            assert moment.measured.path[0].feeder_loss_pct == other.kpis.feeder_loss_pct
            assert moment.measured.path[0].named == other.kpis.named
        return moment


@pytest.fixture(params=SITES)
def twins(
    request: pytest.FixtureRequest,
    make_demo: Callable[..., Demo],
    server: Server,
    new_database: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Twins]:
    monkeypatch.setattr(ahead, "MOST_AHEAD", 10)  # as long as these stories are
    monkeypatch.setattr(Proofs, "no_losses", lambda *_: {})  # the views' arithmetic is tried, whatever they call loss
    demos: list[Demo] = []
    for name in ("demo", "twin"):
        if request.param == "local":
            demos.append(make_demo())
        elif request.param == "variant_a":
            url = new_database(template_of(server, VARIANT_A))
            migrate(url)
            demos.append(demo_on(url, VARIANT_A, tmp_path / name, explain_budget_s=60))
            demos[-1].session.start()
        else:
            demos.append(
                view_sets.demo_on(new_database(view_sets.template_of(server, request.param)), tmp_path / name, 60)
            )
    yield Twins(*demos)
    if request.param != "local":
        for one in demos:
            one.stop()


def test_one_theft_after_another_cycle(twins: Twins) -> None:
    twins.publish()
    theft = twins.begin("theft", 2, 60)
    moment = twins.publish(6)
    assert moment.measured is not None
    assert moment.measured.event_ids == (str(theft.id),)
    assert moment.measured.exact


def test_several_events_that_overlap_and_one_that_is_over(twins: Twins) -> None:
    twins.begin("theft", 1, 30)
    twins.publish()
    twins.begin("voltage-sag", 2, 60, severity=0.4)
    twins.publish(2)
    twins.begin("comms-outage", 3, 30, severity=1)
    twins.begin("theft", 1, 240, severity=0.3)
    moment = twins.publish(4)
    assert moment.measured is not None
    assert moment.measured.exact
    assert moment.measured.event_ids == tuple(str(one.id) for one in twins.begun)


def test_an_event_that_is_ended_by_hand(twins: Twins) -> None:
    theft = twins.begin("theft", 2, 240)
    twins.publish(2)
    twins.demo.end(theft.id)
    moment = twins.publish(3)
    why = moment.why("loss_pct")
    assert why is not None
    assert why.exact
    assert why.effect_of(str(theft.id)) != 0


def test_of_two_running_events_the_first_is_ended(twins: Twins) -> None:
    first = twins.begin("theft", 1, 240)
    twins.publish()
    second = twins.begin("theft", 2, 240, severity=0.5)
    twins.publish(2)
    twins.demo.end(first.id)
    moment = twins.publish(2)  # what the KPIs are without both is known exactly; on a database that
    why = moment.why("loss_pct")  # is not ours the split between them is known only cycle by cycle, and called that
    assert why is not None
    assert why.exact == moment.site.may_put_right
    assert why.note in ("", BY_CYCLE)
    assert all(why.effect_of(str(one.id)) != 0 for one in (first, second))


@pytest.mark.parametrize("pattern", ["nightly", "slow-ramp", "intermittent"])
def test_thefts_with_a_pattern(twins: Twins, pattern: str) -> None:
    twins.begin("theft", 2, 600, pattern=pattern)
    twins.publish(3)


def test_one_meter_and_every_feeder(twins: Twins) -> None:
    fleet = twins.demo.desk.fleet(twins.tenant)
    meter = fleet.meter_ids[fleet.feeder_ids.index(twins.feeder(1))]
    twins.begin("theft", 1, 120, meter_id=meter)
    twins.publish()
    twins.begin("voltage-sag", None, 15)
    twins.publish(2)


def test_a_story_that_crosses_midnight(make_demo: Callable[..., Demo]) -> None:
    twins = Twins(make_demo(), make_demo())
    evening = 44  # intervals from noon to 23:00 local time
    twins.begin("theft", 7, 60)
    twins.demo.publish(TENANT, cycles=evening)
    twins.twin.publish(TENANT, cycles=evening)
    over_night = twins.begin("theft", 2, 600)
    twins.begin("comms-outage", 3, 90, severity=1)
    moment = twins.publish(7)
    why = moment.why("loss_pct")
    assert why is not None
    assert moment.grid_now > moment.midnight
    assert why.effect_of(str(over_night.id)) > 0


def test_all_feeders_out_and_back(make_demo: Callable[..., Demo]) -> None:
    twins = Twins(make_demo(), make_demo())
    twins.begin("comms-outage", None, 30, severity=1)
    twins.publish(4)
