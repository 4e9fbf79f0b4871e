from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from helpers import FROZEN, finish, start_python

from gridlens_core.explanation import trace as trace_module
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.explanation.trace import KEEP, Observation, Trace
from gridlens_core.explanation.why import Measured

QUARTER = timedelta(minutes=15)
NOON = FROZEN.isoformat()


def kpis(loss: str | None, **more: object) -> Kpis:
    return Kpis(date(2026, 11, 18), {"loss_pct": None if loss is None else Decimal(loss)}, **more)


def at(number: int) -> datetime:
    return FROZEN + number * QUARTER


def seen(number: int, loss: str | None = None) -> Observation:
    return Observation(at(number), kpis(str(number) if loss is None else loss))


def measured(number: int, loss: str, without: str) -> Observation:
    """An observation with what one event had done by then."""
    made_of = Measured(at(number), at(0), kpis("2"), ("an event",), (kpis(without), kpis(loss)))
    return Observation(at(number), kpis(loss), made_of)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "not there yet" / "trace.jsonl"


def test_a_moment_is_answered_with_what_was_seen_at_just_this_grid_time(path: Path) -> None:
    trace = Trace(path)
    for number in (0, 1, 4):
        trace.observe(seen(number))
    for number in (-1, 0, 1, 2, 4, 99):
        assert trace.at(at(number)) == (seen(number) if number in (0, 1, 4) else None), number
    assert trace.at(at(1) - timedelta(microseconds=1)) is None


def test_the_last_observation_of_a_time_stands_and_a_measured_one_before_one_that_is_not(path: Path) -> None:
    trace = Trace(path)
    trace.observe(seen(0, "1"))
    trace.observe(seen(0, "2"))
    assert trace.all() == Trace(path).all() == (seen(0, "2"),)
    trace.observe(measured(0, "3", "2.5"))
    trace.observe(seen(0, "4"))
    assert trace.all() == Trace(path).all() == (measured(0, "3", "2.5"),)
    trace.observe(measured(0, "5", "2.5"))
    assert trace.all() == Trace(path).all() == (measured(0, "5", "2.5"),)


def test_what_comes_late_is_put_in_its_place(path: Path) -> None:
    trace = Trace(path)
    for number in (3, 1, 2, 0):
        trace.observe(seen(number))
    assert [one.grid_now for one in trace.all()] == [at(0), at(1), at(2), at(3)]
    assert Trace(path).all() == trace.all()


def test_a_restart_forgets_nothing_to_the_last_digit(path: Path) -> None:
    issue = {"METER_0001": "consumption drop"}
    feeders = {"FEEDER_7": Decimal("9.690700")}
    many = Kpis(date(2026, 11, 18), {"loss_pct": Decimal("0E-20"), "suspicious_meters": Decimal(35)}, feeders, issue)
    by_cycle = {"other": kpis("0.1E-7")}
    made_of = Measured(at(2), at(1), kpis("1"), ("one", "other"), (kpis("2"), None, many), by_cycle, "by cycle")
    some = (seen(0, "2.6849"), Observation(at(1), kpis(None)), Observation(at(2), many, made_of))
    trace = Trace(path)
    for one in some:
        trace.observe(one)
    assert Trace(path).all() == some
    last = Trace(path).at(at(2))
    assert last is not None
    assert str(last.kpis["loss_pct"]) == "0E-20"


def test_only_the_last_days_are_kept(path: Path) -> None:
    trace = Trace(path)
    for number in range(KEEP + 5):
        trace.observe(seen(number))
    assert len(trace.all()) == KEEP
    assert trace.at(at(4)) is None
    assert Trace(path).all() == trace.all()


def test_forgetting_starts_anew_with_any_time(path: Path) -> None:
    trace = Trace(path)
    trace.observe(seen(9))
    trace.forget()
    assert (trace.at(at(9)), trace.all(), path.exists()) == (None, (), False)
    trace.observe(seen(0))
    assert trace.all() == (seen(0),)
    trace.forget()
    trace.forget()
    assert Trace(path).all() == ()


def test_what_another_process_sees_and_forgets_is_known_here(path: Path) -> None:
    here, there = Trace(path), Trace(path)
    here.observe(seen(0))
    there.observe(seen(1))
    here.observe(seen(2))
    assert here.all() == there.all() == (seen(0), seen(1), seen(2))
    there.forget()
    assert here.all() == ()
    there.observe(seen(0, "7"))
    assert here.at(at(0)) == seen(0, "7")


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="an empty line"),
        pytest.param(b"no json", id="something else"),
        pytest.param(b'{"grid_now": "%s"}' % NOON.encode(), id="a time without figures"),
        pytest.param(b'{"grid_now": "%s", "kpis": {"day": "2026-11-18"}}' % NOON.encode(), id="another version's"),
        pytest.param(b"[1, 2]", id="a list"),
        pytest.param(b'{"grid_now": "noon"}', id="words for a time"),
        pytest.param(b"\xff\xfe\x00", id="bytes that are no text"),
        pytest.param(b'{"grid_now": "2026-11-18T18:00:00+00:00", "kpis": {"loss_pct"', id="a line cut short"),
    ],
)
def test_a_line_that_cannot_be_read_is_passed_over(path: Path, line: bytes) -> None:
    Trace(path).observe(seen(0))
    path.write_bytes(line + b"\n" + path.read_bytes())
    trace = Trace(path)
    assert trace.all() == (seen(0),)
    trace.observe(seen(1))
    assert Trace(path).all() == (seen(0), seen(1))


def test_threads_may_share_it(path: Path) -> None:
    trace = Trace(path)

    def look(number: int) -> None:
        trace.observe(seen(number))
        assert trace.at(at(number)) == seen(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(look, range(100)))
    assert [one.grid_now for one in trace.all()] == [at(number) for number in range(100)]
    assert Trace(path).all() == trace.all()


# --- a file that stays small, and one that cannot be written ----------------------------------------------


def test_the_file_stays_within_its_bound_and_keeps_the_newest(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_module, "MOST_BYTES", 5000)
    here, there = Trace(path), Trace(path)
    largest = 0
    for number in range(300):
        (here, there)[number % 2].observe(seen(number))
        largest = max(largest, path.stat().st_size)
    assert largest <= 5000
    assert [one.grid_now for one in Trace(path).all()][-5:] == [at(number) for number in range(295, 300)]
    assert here.all()[-10:] == there.all()[-10:] == tuple(seen(number) for number in range(290, 300))
    assert sorted(one.name for one in path.parent.iterdir()) == ["trace.jsonl", "trace.lock"]


WRITE = """
import sys, pathlib
from test_trace import trace_module, Trace, seen
trace_module.MOST_BYTES = 20_000
trace = Trace(pathlib.Path(sys.argv[1]))
for number in range(int(sys.argv[2]), 200, 2):
    trace.observe(seen(number))
assert not trace.problem, trace.problem
"""


def test_processes_that_write_at_once_lose_nothing_that_is_kept(path: Path) -> None:
    writers = [start_python(WRITE, str(path), str(first)) for first in range(2)]
    for writer in writers:
        finish(writer)
    kept = Trace(path).all()
    newest = max(one.grid_now for one in kept)
    assert newest == at(199)
    assert path.stat().st_size <= 20_000
    assert {one.grid_now for one in kept} >= {at(number) for number in range(190, 200)}


def test_only_what_was_added_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = Trace(path), Trace(path)
    for number in range(50):
        here.observe(seen(number))
    there.all()
    here.observe(seen(50))
    read: list[bytes] = []
    monkeypatch.setattr(trace_module, "_read", lambda lines: read.extend(lines) or [])
    there.all()
    assert [line for line in read if line] == [trace_module._line(seen(50)).strip()]


def test_a_line_under_way_is_read_when_it_is_whole_and_one_cut_short_spoils_no_other(path: Path) -> None:
    here, there = Trace(path), Trace(path)
    here.observe(seen(0))
    line = trace_module._line(seen(1)).lstrip()
    with path.open("ab") as file:
        file.write(line[:20])
        file.flush()
        assert there.all() == (seen(0),)
        file.write(line[20:])
    assert there.all() == (seen(0), seen(1))
    with path.open("ab") as file:
        file.write(line[:20])  # a disk was full
    here.observe(seen(2))
    assert Trace(path).all() == there.all() == (seen(0), seen(1), seen(2))


def test_what_cannot_be_written_is_remembered_here_and_said(path: Path) -> None:
    path.parent.write_text("a file in the place of the folder")
    trace = Trace(path)
    trace.observe(seen(0))
    assert trace.all() == (seen(0),)
    assert "not kept beyond this process" in trace.problem
    path.parent.unlink()
    trace.observe(seen(1))
    assert trace.problem == ""
    assert Trace(path).all() == (seen(1),)
