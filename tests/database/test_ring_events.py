"""Rings in the database: written together or not at all, one for a presenter, each event by its id."""

from __future__ import annotations

from decimal import Decimal

import pytest
from helpers import TENANT, event_request, room_of

from gridlens_core.demo.demo import Demo
from gridlens_core.display import figures
from gridlens_core.errors import UnknownMeterError
from gridlens_core.meters.customers import ring_of
from gridlens_core.meters.events import Event
from gridlens_core.meters.presets import at_each


def start_ring(demo: Demo, size: int = 3) -> list[Event]:
    meters = ring_of(demo.desk.fleet(TENANT), "FEEDER_7", size)
    return demo.happenings.write(TENANT, at_each(event_request(duration_minutes=120), meters))


def test_a_ring_is_a_row_for_each_meter_and_reads_as_one(demo: Demo) -> None:
    written = start_ring(demo)
    demo.publish(TENANT, cycles=2)
    assert len({one.id for one in written}) == 3
    assert {one.id for one in demo.events(TENANT)} == {one.id for one in written}
    assert len({one.created_at for one in written}) == 1
    (running,) = room_of(demo).running
    assert running.label == "theft, ring of 3 on FEEDER_7"
    assert running.line.startswith("Theft, ring of 3 on FEEDER_7: ")
    assert "from the theft, ring of 3 since" in running.story
    assert set(running.event.ids) == {str(one.id) for one in written}


def test_what_a_ring_did_is_the_sum_of_its_events(demo: Demo) -> None:
    written = start_ring(demo)
    demo.publish(TENANT, cycles=2)
    moment = demo.desk.explained(TENANT)
    (ring,) = moment.shown
    parts = [moment.truth(one) for one in written]
    assert moment.truth(ring).meters == 3
    assert moment.truth(ring).reads_altered == sum(one.reads_altered for one in parts) == 6
    assert moment.truth(ring).kwh_not_recorded == pytest.approx(sum(one.kwh_not_recorded for one in parts))
    (receipt,) = moment.receipts
    assert receipt.score is not None
    assert receipt.score.meters == 3
    why = moment.why("loss_pct")
    assert why is not None
    (line,) = [one for one in receipt.lines if one.kpi == "loss_pct"]
    assert line.effect == sum((one.change for one in why.effects), Decimal(0)) == why.change - why.drift
    assert [part.label for part in figures.parts_of(why, room_of(demo).labels)] == [
        figures.NATURAL_DRIFT,
        "theft, ring of 3 on FEEDER_7",
    ]


def test_a_ring_with_a_meter_that_is_not_there_is_not_written_at_all(demo: Demo) -> None:
    requests = at_each(event_request(), [*ring_of(demo.desk.fleet(TENANT), "FEEDER_7", 2), "nobody"])
    with pytest.raises(UnknownMeterError):
        demo.happenings.write(TENANT, requests)
    assert demo.events(TENANT) == []


def test_a_ring_ends_together_and_the_log_keeps_the_order_in_which_it_was_written(demo: Demo) -> None:
    first = demo.trigger(TENANT, event_request("voltage-sag", feeder_id="FEEDER_2"))
    ring = start_ring(demo, 8)
    demo.publish(TENANT)
    log = demo.desk.fresh(TENANT).events
    assert [one.id for one in log] == [first.id, *sorted((one.id for one in ring), key=str)]
    demo.happenings.end([one.id for one in ring])
    assert [one.id for one in demo.events(TENANT, active=True)] == [first.id]


def test_a_ring_is_rehearsed_whole(demo: Demo) -> None:
    meters = ring_of(demo.desk.fleet(TENANT), "FEEDER_7", 3)
    told = demo.rehearse(TENANT, *at_each(event_request(), meters), cycles=2)
    alone = demo.rehearse(TENANT, *at_each(event_request(), meters[:1]), cycles=2)
    assert told.event.title == "theft, ring of 3 on FEEDER_7"
    assert told.cycles[-1].kpis["loss_pct"] > alone.cycles[-1].kpis["loss_pct"]
    assert demo.events(TENANT) == []
