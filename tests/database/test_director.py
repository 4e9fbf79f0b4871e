"""The walkthrough, played through the real database at no pace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from threading import Thread

import pytest
from existing_shapes import SHAPES, demo_on, migrate, template_of
from helpers import FROZEN, TENANT, Server, checksums, event_request, kpis_of, room_at, room_of

from gridlens_core.demo.demo import Demo
from gridlens_core.errors import DatabaseUnavailableError, SettingsError, TenantNotAllowedError
from gridlens_core.explanation.money import money_of
from gridlens_core.meters.events import EventRequest
from gridlens_core.settings import Settings
from gridlens_core.show import Show, make_show
from gridlens_core.walkthrough import pace
from gridlens_core.walkthrough.director import Director
from gridlens_core.walkthrough.kiosk import Kiosk
from gridlens_core.walkthrough.scene import READS_STAY, WAS_RESET
from gridlens_core.walkthrough.story import STORY_FILE, Story, Trigger, load_story, watched

ACTS = 8
THEFT, WHO, CREW, SAG, OUTAGE, SUMMARY, WORTH = range(1, ACTS)


def at_once(demo: Demo, **changes: object) -> Director:
    """The director of a demo's own story, without pauses."""
    story = load_story(demo.settings.data_dir).model_copy(update={"pace_seconds": 0.0, "rest_seconds": 0.0, **changes})
    return Director(demo, TENANT, story)


def short(story: Story, acts: int = SAG + 1) -> dict[str, object]:
    """The first acts with one cycle each, for tests that do not depend on the numbers."""
    steps = [[step.model_copy(update={"publish": step.publish and 1}) for step in act.steps] for act in story.acts]
    shortened = [act.model_copy(update={"steps": tuple(some)}) for act, some in zip(story.acts, steps, strict=True)]
    return {"acts": tuple(shortened[:acts])}


Tables = Callable[[], dict[str, tuple[int, str]]]


@pytest.fixture
def local_tables(demo: Demo) -> Tables:
    """All that the local database holds, but for the time at which each read came in."""
    columns = {"meter_reads_electric": "meter_id, feeder_id, read_at, kwh, voltage"}

    def look() -> dict[str, tuple[int, str]]:
        return {name: rows for name, rows in checksums(demo.session.database.engine).items() if name not in columns}

    return look


@pytest.fixture
def director(demo: Demo) -> Iterator[Director]:
    director = at_once(demo, **short(load_story(demo.settings.data_dir)))
    yield director
    director.stop()


def play_to(director: Director, act: int) -> None:
    """Act after act, as a presenter who clicks next."""
    while (director.scene().act if director.scene().act is not None else -1) < act:
        director.next()
        scene = director.wait()
        assert (scene.share, scene.playing, scene.problem) == (1.0, False, "")


def history(demo: Demo) -> list[object]:
    """All that the story left behind, and what it is made of, without the random ids."""
    moment = demo.desk.explained(TENANT)
    events = [(one.event_type, one.where, one.starts_at, one.ends_at) for one in demo.events(TENANT)]
    seen = [(one.grid_now, one.kpis) for one in demo.desk.trace(TENANT).all()]
    made_of = moment.measured and (moment.measured.since, moment.measured.before, moment.measured.path)
    return [events, seen, made_of]


def test_the_story_plays_to_the_end_and_again_with_the_same_numbers_to_the_last_digit(demo: Demo) -> None:
    director = at_once(demo)
    play_to(director, 0)
    quiet = kpis_of(demo, TENANT)[1]
    assert demo.events(TENANT) == []
    play_to(director, THEFT)
    stolen = kpis_of(demo, TENANT)[1]
    assert stolen.feeder_loss_pct["FEEDER_7"] > quiet.feeder_loss_pct["FEEDER_7"] + 1
    expected = director.scene().expected
    assert expected is not None
    assert len(expected.cycles) == 4
    real = {one.grid_now: one.kpis for one in demo.desk.trace(TENANT).all()}
    assert [real[cycle.read_at] for cycle in expected.cycles[:3]] == [cycle.kpis for cycle in expected.cycles[:3]]
    play_to(director, WHO)
    receipt = demo.desk.explained(TENANT).receipts[0]
    assert receipt.score is not None
    assert receipt.score.found > 0
    play_to(director, CREW)
    assert demo.events(TENANT, active=True) == []
    now = demo.desk.pulse(TENANT).grid_now
    money = money_of(
        demo.desk.explained(TENANT).receipts, FROZEN - timedelta(days=1), now, demo.settings.tariff_usd_per_kwh
    )
    assert money.recovered_usd_a_year == receipt.truth.kwh_a_year * demo.settings.tariff_usd_per_kwh > 0
    assert money.at_risk_usd_a_year == 0
    play_to(director, SAG)
    sagged = kpis_of(demo, TENANT)[1]
    assert sagged["voltage_compliance_pct"] is not None
    assert sagged["voltage_compliance_pct"] < 100
    play_to(director, OUTAGE)
    silent = kpis_of(demo, TENANT)[1]
    assert silent["read_success_pct"] is not None
    assert silent["loss_pct"] is not None
    assert sagged["loss_pct"] is not None
    assert sagged["read_success_pct"] is not None
    assert silent["read_success_pct"] < sagged["read_success_pct"] - Decimal("0.3")
    assert abs(silent["loss_pct"] - sagged["loss_pct"]) < Decimal("0.2")
    play_to(director, SUMMARY)
    assert demo.events(TENANT, active=True) == []
    assert [one.event_type for one in demo.events(TENANT)] == ["comms-outage", "voltage-sag", "theft"]
    play_to(director, WORTH)
    assert director.scene().done == ACTS
    first = history(demo)
    director.next()
    assert director.wait().act == WORTH
    director.jump(0)
    director.wait()
    play_to(director, WORTH)
    assert history(demo) == first
    director.stop()


def test_going_back_and_jumping_give_the_state_a_straight_play_gives(director: Director) -> None:
    demo = director.demo
    play_to(director, WHO)
    straight = history(demo)
    play_to(director, SAG)
    director.jump(WHO)
    scene = director.wait()
    assert (scene.act, scene.share, history(demo)) == (WHO, 1.0, straight)
    assert scene.expected is not None
    assert scene.expected.event.event_type == "theft"
    director.next()
    director.wait()
    director.back()
    scene = director.wait()
    assert (scene.act, scene.share, history(demo)) == (WHO, 1.0, straight)
    director.replay()
    director.wait()
    assert history(demo) == straight
    for _ in range(WHO + 2):
        director.back()
        scene = director.wait()
    assert (scene.act, scene.done, demo.events(TENANT)) == (None, 0, [])


def test_going_back_takes_back_what_came_since_without_a_reset(director: Director, local_tables: Tables) -> None:
    demo = director.demo
    play_to(director, THEFT)
    there, rehearsed, resets = local_tables(), director.scene().expected, demo.resets[TENANT]
    play_to(director, SAG)
    demo.trigger(TENANT, event_request("comms-outage", feeder_id="FEEDER_2"))  # somebody clicks in between
    demo.publish(TENANT)
    director.jump(WHO)
    assert director.wait().act == WHO
    director.back()
    scene = director.wait()
    assert (scene.act, scene.share, scene.expected) == (THEFT, 1.0, rehearsed)
    assert demo.resets[TENANT] == resets
    assert local_tables() == there


def test_where_somebody_else_went_back_further_the_acts_are_played_again(
    demo: Demo, make_demo: Callable[..., Demo]
) -> None:
    director = at_once(demo, **short(load_story(demo.settings.data_dir)))
    play_to(director, WHO)
    straight = history(demo)
    play_to(director, CREW)
    other = make_demo(data_dir=demo.settings.data_dir)
    other.reset(TENANT)
    other.publish(TENANT, cycles=12)
    director.back()
    scene = director.wait()
    assert (scene.act, scene.share) == (WHO, 1.0)
    assert history(demo) == straight
    director.stop()


def test_a_loop_begins_again_after_the_last_act_and_waits_for_the_database_by_itself(
    director: Director, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "LOOP_TRIES_AGAIN_S", 0.01)
    publish, failed = director.demo.publish, []

    def away_once(*args: object, **kwargs: object) -> object:
        if not failed:
            failed.append(True)
            raise DatabaseUnavailableError
        return publish(TENANT)

    monkeypatch.setattr(director.demo, "publish", away_once)
    director.loop(True)
    director.wait_until(lambda scene: scene.act == SAG, 30)
    scene = director.wait_until(lambda scene: scene.act == 0, 30)
    assert (scene.act, scene.loops, scene.autopilot, scene.paused, scene.problem) == (0, True, True, False, "")
    director.autopilot(False)
    assert not director.wait().loops
    assert Kiosk(director.demo.settings.data_dir).tenants() == []


def test_a_loop_goes_on_after_a_restart(demo: Demo, make_demo: Callable[..., Demo]) -> None:
    first = at_once(demo, rest_seconds=60.0)
    first.loop(True)
    first.wait_until(lambda scene: scene.act == 0, 20)
    first.stop()
    show = make_show(demo.settings, None, lambda _: str(demo.session.database.engine.url))
    show.demo.session = demo.session
    show.go_on_with_loops()
    assert show.director(TENANT).wait_until(lambda scene: scene.act == 0, 20).loops
    show.director(TENANT).loop(False)
    show.director(TENANT).stop()


def test_jumping_forward_plays_the_acts_between(director: Director) -> None:
    director.jump(CREW)
    assert director.wait().act == CREW
    jumped = history(director.demo)
    director.jump(0)
    director.wait()
    play_to(director, CREW)
    assert history(director.demo) == jumped


def test_pausing_holds_the_act_and_resuming_finishes_it(demo: Demo) -> None:
    director = at_once(demo, pace_seconds=60.0)
    director.next()
    director.pause()
    before = demo.desk.pulse(TENANT).grid_now
    assert director.wait().paused
    assert demo.desk.pulse(TENANT).grid_now == before
    director.next()  # in a hurry: the rest of the first act at once, then the second at its pace
    assert director.wait_until(lambda scene: scene.act == THEFT, 20).act == THEFT
    assert demo.desk.pulse(TENANT).grid_now == before + timedelta(minutes=30)
    director.stop()
    assert (director.scene().act, director.scene().playing) == (THEFT, False)


def test_the_autopilot_plays_everything_by_itself_and_stops_at_the_end(director: Director) -> None:
    director.autopilot(True)
    scene = director.wait()
    assert (scene.act, scene.share, scene.autopilot, scene.playing) == (SAG, 1.0, False, False)


def test_the_autopilot_can_be_taken_off_in_the_middle(demo: Demo) -> None:
    director = at_once(demo, rest_seconds=60.0)
    director.autopilot(True)
    scene = director.wait_until(lambda scene: scene.share == 1.0 and not scene.playing, 20)
    assert (scene.act, scene.share, scene.playing) == (0, 1.0, False)
    director.autopilot(False)
    assert director.wait().act == 0
    director.autopilot(True)
    assert director.wait_until(lambda scene: scene.act == THEFT, 20).act == THEFT
    director.stop()


def test_the_presenter_may_end_the_theft_and_start_the_sag_himself(director: Director) -> None:
    demo = director.demo
    play_to(director, WHO)
    demo.end(demo.events(TENANT)[0].id)
    demo.trigger(TENANT, EventRequest("voltage-sag", feeder_id="FEEDER_3", severity=0.9, duration_minutes=240))
    demo.publish(TENANT)
    play_to(director, CREW)
    assert director.scene().notes == ("No theft is running any more, so there is nothing to end.",)
    play_to(director, SAG)
    assert director.scene().notes == ("Voltage sag on FEEDER_3 was running already, so the act goes on with it.",)


def test_a_reset_between_two_acts_puts_the_story_back_to_its_beginning(director: Director) -> None:
    play_to(director, SAG)
    director.demo.reset(TENANT)
    scene = director.scene()
    assert (scene.act, scene.notes) == (None, (WAS_RESET,))
    play_to(director, 0)
    assert director.scene().notes == ()


def test_a_reset_in_the_middle_of_an_act_puts_the_story_back_too(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    director = at_once(demo, **short(load_story(demo.settings.data_dir)))
    play_to(director, 0)
    publish, published = demo.publish, []

    def reset_after_publishing(*args: object, **kwargs: object) -> object:
        published.append(publish(TENANT))
        if len(published) == 1:
            demo.reset(TENANT)
        return published[-1]

    monkeypatch.setattr(demo, "publish", reset_after_publishing)
    director.next()
    scene = director.wait()
    assert (scene.act, scene.notes, demo.events(TENANT)) == (None, (WAS_RESET,), [])
    director.stop()


def test_a_reset_while_the_act_is_held_puts_the_story_back_too(director: Director) -> None:
    director.next()
    director.pause()
    director.wait()
    director.demo.reset(TENANT)
    director.scene()
    scene = director.wait_until(lambda scene: scene.act is None, 20)
    assert (scene.act, scene.notes) == (None, (WAS_RESET,))


def test_a_reset_by_another_process_is_told_by_the_grid_clock(demo: Demo, make_demo: Callable[..., Demo]) -> None:
    director = at_once(demo, **short(load_story(demo.settings.data_dir)))
    play_to(director, THEFT)
    make_demo(data_dir=demo.settings.data_dir).reset(TENANT)
    director.next()
    assert director.wait().notes == (WAS_RESET,)
    director.stop()


def test_a_database_that_is_away_pauses_the_act_with_the_reason(
    director: Director, monkeypatch: pytest.MonkeyPatch
) -> None:
    play_to(director, THEFT)
    now = director.demo.desk.pulse(TENANT).grid_now

    def away(*_: object, **__: object) -> object:
        raise DatabaseUnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(director.demo, "publish", away)
        director.next()
        scene = director.wait()
        assert (scene.paused, scene.problem) == (True, "The database does not answer.")
    director.resume()
    scene = director.wait()
    assert (scene.act, scene.share, scene.problem) == (WHO, 1.0, "")
    assert director.demo.desk.pulse(TENANT).grid_now == now + timedelta(minutes=15)


def test_many_hands_at_once_leave_a_story_that_still_plays(director: Director) -> None:
    hands = [director.next, director.back, director.pause, director.resume, director.replay, director.next] * 3
    threads = [Thread(target=hand) for hand in hands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    director.resume()
    director.wait()
    director.jump(0)
    director.wait()
    play_to(director, SAG)


def test_there_is_one_director_for_each_tenant(make_demo: Callable[..., Demo]) -> None:
    demo = make_demo(tenants=(TENANT, "OTHER"), start=False)
    show = Show(demo, load_story(demo.settings.data_dir))
    assert show.director(TENANT) is show.director(TENANT)
    assert show.director(TENANT) is not show.director("OTHER")
    with pytest.raises(TenantNotAllowedError):
        show.director("SOMEBODY")
    show.stop()


def test_the_story_plays_on_an_existing_database_and_says_what_stays(
    server: Server, new_database: Callable[..., str], tmp_path: Path
) -> None:
    shape = SHAPES[0]
    url = new_database(template_of(server, shape))
    migrate(url)
    demo = demo_on(url, shape, tmp_path / "existing")
    demo.session.start()
    director = at_once(demo, **short(load_story(demo.settings.data_dir), ACTS))
    play_to(director, THEFT)
    kpis = kpis_of(demo, TENANT)[1]
    assert max(kpis.feeder_loss_pct, key=lambda feeder: kpis.feeder_loss_pct[feeder]) == "FEEDER_7"
    assert watched(director.story.acts[SAG], kpis) == "suspicious_meters"
    play_to(director, SUMMARY)
    assert demo.events(TENANT, active=True) == []
    reads_to = demo.desk.pulse(TENANT).grid_now
    director.jump(WHO)
    scene = director.wait()
    assert (scene.act, scene.notes) == (WHO, (READS_STAY,))
    assert [one.event_type for one in demo.events(TENANT, active=True)] == ["theft"]
    director.back()
    scene = director.wait()
    assert (scene.act, scene.notes, demo.events(TENANT, active=True)) == (THEFT, (READS_STAY,), [])
    assert demo.desk.pulse(TENANT).grid_now > reads_to
    director.stop()
    demo.stop()


# --- the file ------------------------------------------------------------------------------------------

ACT = '[[acts]]\nid = "one"\ntitle = "One"\nsay = "Look."\nwatch = "loss_pct"\nsteps = [{step}]\n'


def written(folder: Path, text: str) -> Path:
    (folder / STORY_FILE).write_text(text, encoding="utf-8")
    return folder


def test_a_utilitys_own_story_replaces_the_one_that_comes_with_it(tmp_path: Path) -> None:
    brand = '[brand]\nname = "Northern Light"\nlogo = "our.svg"\ntariff_usd_per_kwh = 0.3\n'
    own = f'{brand}feeders = {{ FEEDER_7 = "Quay" }}\n'
    folder = written(tmp_path, own + ACT.format(step="{ publish = 1 }"))
    (folder / "our.svg").write_text("<svg/>")
    show = make_show(Settings(data_dir=folder))
    assert [act.id for act in show.story.acts] == ["one"]
    assert show.demo.settings.tariff_usd_per_kwh == 0.3
    assert make_show(Settings(data_dir=folder, tariff_usd_per_kwh=0.2)).demo.settings.tariff_usd_per_kwh == 0.2
    assert show.story.brand.logo == folder / "our.svg"
    assert show.story.brand.in_words("Theft on FEEDER_7, not FEEDER_71.") == "Theft on Quay, not FEEDER_71."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("acts = ", "not a TOML file", id="no TOML"),
        pytest.param("", "acts is missing", id="nothing"),
        pytest.param("acts = []", "acts; accepted: ", id="no acts"),
        pytest.param(ACT.format(step=""), "act 1, steps; accepted: ", id="an act that does nothing"),
        pytest.param(ACT.format(step="{ publish = 0 }"), "step 1, publish is 0; accepted: greater", id="no cycle"),
        pytest.param(ACT.format(step="{ jump = 1 }"), "step 1, jump is not known", id="an unknown step"),
        pytest.param(ACT.format(step="{ end = 'fire' }"), "end is 'fire'; accepted: theft, voltage-sag", id="an end"),
        pytest.param(
            ACT.format(step="{ trigger = { type = 'theft', feeder = 0, severity = 7, minutes = 60 } }"),
            "feeder is 0; accepted: a name, or a position from 1 on",
            id="a feeder before the first",
        ),
        pytest.param(
            ACT.format(step="{ trigger = { type = 'comms-outage', feeder = 1, severity = 1, minutes = 60, pattern = 'nightly' } }"),  # noqa: E501
            "accepted: a pattern for a theft only",
            id="an outage with a pattern",
        ),
        pytest.param(ACT.format(step="{ reset = true, end = 'all' }"), "exactly one of reset", id="two at once"),
        pytest.param(2 * ACT.format(step="{ publish = 1 }"), "one stands there more often", id="an id twice"),
        pytest.param('[brand]\nlogo = "no.png"\n' + ACT.format(step="{ publish = 1 }"), "brand.logo", id="no logo"),
        pytest.param('[brand]\ncolours = { light = "red", dark = "#000000" }\n' + ACT.format(step="{ publish = 1 }"),
                     "light is 'red'; accepted: a colour as #0A5C8F", id="a colour by name"),
        pytest.param('tempo = 3\n' + ACT.format(step="{ publish = 1 }"), "tempo is not known", id="an unknown setting"),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_is_told_in_one_error(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as error:
        load_story(written(tmp_path, text))
    assert said in error.value.message
    assert str(tmp_path) in error.value.message or "brand.logo" in error.value.message


@pytest.mark.parametrize(
    ("place", "feeder"),
    [
        pytest.param(7, "FEEDER_7", id="by position"),
        pytest.param("FEEDER_2", "FEEDER_2", id="by name"),
        pytest.param("CIRCUIT_3", "FEEDER_3", id="by the number in a name that is not there"),
        pytest.param("Riverside", "FEEDER_1", id="the first for a name without a number"),
        pytest.param(13, "FEEDER_3", id="round and round"),
    ],
)
def test_a_feeder_that_is_not_there_falls_back_by_position(demo: Demo, place: int | str, feeder: str) -> None:
    trigger = Trigger(type="theft", feeder=place, severity=0.5, minutes=60.0, meter=2)
    fleet = demo.desk.fleet(TENANT)
    request = trigger.request(fleet)
    assert request.feeder_id == feeder
    fleet.check_target(request.feeder_id, request.meter_id)


def test_the_own_story_is_acceptable_and_says_no_numbers(tmp_path: Path) -> None:
    story = load_story(tmp_path)
    assert isinstance(story, Story)
    assert [act.title for act in story.acts if any(letter.isdigit() for letter in act.say)] == []
    assert all(2 <= act.say.count(".") + act.say.count("?") <= 4 for act in story.acts)


def test_the_control_room_of_an_earlier_time_shows_nothing_that_came_later(demo: Demo) -> None:
    moments = [demo.publish(TENANT).cycles[-1].read_at for _ in range(2)]
    demo.trigger(TENANT, event_request())
    demo.publish(TENANT)
    then, now = room_at(demo, TENANT, moments[0]), room_of(demo, TENANT)
    assert then.energy.read_at[-1] == moments[0] == then.grid_now < now.grid_now
    seen = demo.desk.trace(TENANT).at(moments[0])
    assert seen is not None
    assert then.kpis == seen.kpis
    assert (then.running, len(now.running)) == ((), 1)
    unseen = room_at(demo, TENANT, FROZEN - timedelta(hours=20))
    assert unseen.kpis["loss_pct"] is None
    assert {card.value for card in unseen.cards if card.key != "at_risk"} == {"—"}
