"""Cases: what opens one, what goes on with it, what it costs, and the file that keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from helpers import FROZEN, event

from gridlens_core.display import case_words
from gridlens_core.errors import BadInputError
from gridlens_core.explanation import cases as cases_module
from gridlens_core.explanation.case_book import CaseBook
from gridlens_core.explanation.cases import NEXT, Case, Cases, State, decided, followed, taken_back
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.explanation.moment import Moment
from gridlens_core.explanation.trace import Observation
from gridlens_core.explanation.worth import Range

QUARTER = timedelta(minutes=15)
DAY = date(2026, 11, 18)
FLEET = SimpleNamespace(meter_ids=("A1", "A2", "B1"), feeder_ids=("A", "A", "B"))
LOSS_VIEW = SimpleNamespace(has=lambda role: True)
DROP, LOW = "CONSUMPTION_DROP", "VOLTAGE_LOW"


@pytest.fixture(autouse=True)
def _rows_are_named_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases_module, "by_role", lambda view, rows: list(rows))


def look(
    number: int,
    *named: Mapping[str, str],
    thefts: Sequence[tuple[float, float]] = (),
    loss: Sequence[tuple[int, float]] = (),
    evidence: str = "",
) -> Moment:
    """A moment after so many quarters of an hour.

    named : issue by meter in each look up to this one; thefts : kWh so far and in a year of thefts on feeder A
    loss : percent of 100 kWh by days before today on feeder A
    """
    begins = number - len(named) + 1
    events = [event(feeder="A", starts=FROZEN - QUARTER, ends=FROZEN + 99 * QUARTER) for _ in thefts]
    truths = {
        id(one): SimpleNamespace(kwh_not_recorded=k, kwh_a_year=y) for one, (k, y) in zip(events, thefts, strict=True)
    }
    rows = [
        {
            "feeder_id": "A",
            "day": DAY - timedelta(days=back),
            "loss_pct": Decimal(str(pct)),
            "supplied_kwh": Decimal(100),
        }
        for back, pct in loss
    ]
    made = SimpleNamespace(
        tenant_id="DEMO_TENANT", timezone="America/Chicago", grid_now=FROZEN + number * QUARTER, fleet=FLEET,
        pulse=SimpleNamespace(taken_at=float(number)),
        history=tuple(
            Observation(FROZEN + (begins + n) * QUARTER, Kpis(DAY, named=names)) for n, names in enumerate(named)
        ),
        schema=SimpleNamespace(views={cases_module.FEEDER_LOSS: LOSS_VIEW}),
        evidence=dict.fromkeys(named[-1] if named else {}, evidence),
        rows={cases_module.FEEDER_LOSS: [row for row in rows if row["day"] == DAY]},
        closed={cases_module.FEEDER_LOSS: [row for row in rows if row["day"] != DAY]},
        events=events, truth=lambda one: truths[id(one)],
    )  # fmt: skip
    return cast("Moment", made)


def after(*moments: Moment) -> Cases:
    """The cases once these moments were followed."""
    found = Cases()
    for one in moments:
        found = followed(found, one)
    return found


def states(found: Cases) -> list[tuple[int, str, str]]:
    return [(one.number, one.feeder_id, one.state) for one in found.all]


def test_the_first_name_for_consumption_opens_one_case_for_its_feeder() -> None:
    found = after(look(1, {}, {"A1": DROP, "A2": LOW, "B1": LOW}), look(2, {"A1": DROP, "A2": DROP}, evidence="half"))
    (case,) = found.all
    assert (case.number, case.feeder_id, case.state, case.meters) == (1, "A", "open", 2)
    assert (case.opened_at, case.last_named_at) == (FROZEN + QUARTER, FROZEN + 2 * QUARTER)
    assert case.evidence == {"A1": "half", "A2": "half"}


def test_every_feeder_has_a_case_of_its_own_and_names_go_on_with_it_while_it_is_open() -> None:
    found = after(look(1, {"A1": DROP, "B1": DROP}), look(2, {}), look(3, {"A2": DROP}))
    assert states(found) == [(1, "A", "open"), (2, "B", "open")]
    assert dict(found.all[0].evidence) == {"A2": "consumption drop", "A1": "consumption drop"}
    assert found.all[0].last_named_at == FROZEN + 3 * QUARTER


def test_what_nobody_looked_at_is_caught_up_with() -> None:
    at_once = after(look(3, {"A1": DROP}, {"B1": DROP}, {"A1": DROP}))
    assert at_once == after(look(1, {"A1": DROP}), look(2, {"B1": DROP}), look(3, {"A1": DROP}))


def test_a_run_of_names_that_was_decided_on_opens_no_other_case_and_the_next_run_does() -> None:
    found = decided(after(look(1, {"A1": DROP})), 1, "dismissed", FROZEN)
    found = followed(found, look(2, {"A1": DROP}))
    assert states(found) == [(1, "A", "dismissed")]
    assert found.all[0].evidence == {"A1": "consumption drop"}
    found = followed(followed(found, look(3, {})), look(4, {"A1": DROP}))
    assert states(found) == [(1, "A", "dismissed"), (2, "A", "open")]


def test_an_older_moment_changes_nothing() -> None:
    found = after(look(3, {"A1": DROP}, thefts=[(5, 9)]))
    assert followed(found, look(2, {"B1": DROP})) == found
    assert followed(found, look(3, {"A1": DROP}, thefts=[(5, 9)])) == found


def test_a_clock_that_was_set_back_takes_away_what_is_later() -> None:
    found = after(look(1, {"A1": DROP}), look(4, {"B1": DROP}))
    assert states(taken_back(found, FROZEN + 2 * QUARTER)) == [(1, "A", "open")]


def test_dollars_are_the_emulators_where_it_made_the_theft() -> None:
    found = after(look(1, {"A1": DROP}, thefts=[(2, 1000), (1, 500)]))
    (case,) = found.all
    assert (case.lost_kwh, case.a_year_kwh, case.basis) == (3, 1500, "truth")
    found = decided(found, 1, "confirmed", FROZEN)
    found = followed(found, look(2, {"A1": DROP}, thefts=[(6, 1000), (1, 500)]))
    assert found.all[0].recovered_kwh == 4  # 7 so far less the 3 before it was confirmed
    gone = followed(found, look(3, {"A1": DROP}, thefts=[(0, 0), (0, 0)]))  # too long ago to be worked out again
    assert gone.all[0].lost_kwh == 7
    assert followed(found, look(3, {}, loss=[(0, 9), (1, 2)])).all[0].basis == "truth"


def test_a_case_that_was_decided_on_costs_what_it_cost_then() -> None:
    found = decided(after(look(1, {"A1": DROP}, thefts=[(3, 9)])), 1, "dismissed", FROZEN)
    assert followed(found, look(2, {"A1": DROP}, thefts=[(8, 9)])).all[0].lost_kwh == 3
    assert found.all[0].recovered_kwh is None


def test_elsewhere_they_are_estimated_from_what_the_feeder_lost_beyond_its_usual_loss() -> None:
    # 5 % today where 2 % is the median of the days before: 3 % of 100 kWh.
    (case,) = after(look(1, {"A1": DROP}, loss=[(0, 5), (1, 2), (2, 9), (3, 1)])).all
    assert (case.lost_kwh, case.a_year_kwh, case.basis) == (pytest.approx(3), None, "estimate")
    (less,) = after(look(1, {"A1": DROP}, loss=[(0, 1), (1, 2)])).all
    assert less.lost_kwh == 0
    (unknown,) = after(look(1, {"A1": DROP}, loss=[(0, 5)])).all
    assert (unknown.lost_kwh, unknown.basis) == (None, "")


@pytest.mark.parametrize("state", list(NEXT))
@pytest.mark.parametrize("wanted", list(NEXT))
def test_a_case_comes_to_the_states_that_follow_its_own_and_to_no_other(state: State, wanted: State) -> None:
    (case,) = after(look(1, {"A1": DROP})).all
    found = Cases((replace(case, state=state),), FROZEN)
    if wanted == state:
        assert decided(found, 1, wanted, FROZEN) == found
    elif wanted in NEXT[state]:
        assert decided(found, 1, wanted, FROZEN).all[0].state == wanted
        assert decided(found, 1, wanted, FROZEN).all[0].decided_at == FROZEN
    else:
        with pytest.raises(BadInputError, match=f"Case 1 is {state} by now"):
            decided(found, 1, wanted, FROZEN)
    with pytest.raises(BadInputError, match="no case 7 any more"):
        decided(found, 7, wanted, FROZEN)


def test_there_are_never_more_than_so_many_and_the_oldest_that_was_decided_on_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cases_module, "MOST_CASES", 2)
    found = decided(after(look(1, {"A1": DROP}), look(2, {"B1": DROP})), 2, "dismissed", FROZEN)
    found = followed(followed(found, look(3, {})), look(4, {"B1": DROP}))
    assert states(found) == [(1, "A", "open"), (3, "B", "open")]


# --- the file ---------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "not there yet" / "cases.json"


def test_a_restart_and_another_process_know_all_of_it(path: Path) -> None:
    here, there = CaseBook(path), CaseBook(path)
    here.follow(look(1, {"A1": DROP}, thefts=[(2.5, 9)], evidence="half"))
    assert there.all() == here.all() == CaseBook(path).all()
    there.decide(1, "confirmed", FROZEN)
    assert here.all()[0].state == "confirmed"
    here.follow(look(2, {"A1": DROP}, thefts=[(4, 9)]))
    assert there.all()[0].recovered_kwh == 1.5
    with pytest.raises(BadInputError):
        here.decide(1, "open", FROZEN)
    there.forget()
    assert (here.all(), path.exists()) == ((), False)


def test_processes_and_threads_that_look_at_once_open_one_case(path: Path) -> None:
    books = [CaseBook(path) for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: books[n % 4].follow(look(1, {"A1": DROP})), range(32)))
    assert [len(book.all()) for book in books] == [1, 1, 1, 1]


def test_a_reset_by_another_process_is_noticed_and_an_older_look_brings_nothing_back(path: Path) -> None:
    book, old = CaseBook(path), look(5, {"A1": DROP})
    book.follow(old)
    CaseBook(path).forget()
    book.follow(old)
    assert book.all() == ()
    later = look(1, {})
    later.pulse.taken_at = 9.0  # type: ignore[misc]
    book.follow(later)
    book.follow(old)
    assert book.all() == ()
    newer = look(2, {"B1": DROP})
    newer.pulse.taken_at = 10.0  # type: ignore[misc]
    book.follow(newer)
    assert [one.feeder_id for one in book.all()] == ["B"]


@pytest.mark.parametrize("content", [b"", b"no json", b"[]", b'{"all": [{"number": 1}]}', b"\xff"])
def test_a_file_that_cannot_be_read_is_as_good_as_none(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    book = CaseBook(path)
    assert book.all() == ()
    book.follow(look(1, {"A1": DROP}))
    assert len(CaseBook(path).all()) == 1


def test_what_cannot_be_written_is_remembered_here_and_said(path: Path) -> None:
    path.parent.write_text("a file in the place of the folder")
    book = CaseBook(path)
    book.follow(look(1, {"A1": DROP}))
    book.decide(1, "confirmed", FROZEN)
    assert [one.state for one in book.all()] == ["confirmed"]
    assert "not kept beyond this process" in book.problem
    path.parent.unlink()
    book.follow(look(2, {"B1": DROP}))
    assert book.problem == ""
    assert len(CaseBook(path).all()) == 2


# --- in words ---------------------------------------------------------------------------------------------

PRICES = case_words.Prices(0.2, Range(250, 1000), "somebody said so", "America/Chicago")
CASE = Case(3, "FEEDER_7", FROZEN, FROZEN + QUARTER, 12, {"A1": "half"}, "confirmed", FROZEN, 15.0, 9000, "truth", 5.0)


def test_a_case_says_what_it_costs_on_what_basis_and_what_can_be_billed() -> None:
    assert case_words.line(CASE, PRICES) == (
        "12 meters named since Wed 12:00. $3.00 lost so far (ground truth of the emulator), $1,800 a year if nobody "
        "looks. Of it $2.00 since it was confirmed, which can be billed."
    )
    assert case_words.evidence(CASE) == "A1: half; and 11 other meters"
    assert case_words.dispatch_line(CASE, PRICES) == (
        "The dispatch is made: a truck roll costs $250 to $1,000 (somebody said so)."
    )
    unknown = replace(CASE, state="open", lost_kwh=None, a_year_kwh=None, basis="", confirmed_kwh=None)
    assert "not known: the views do not say it" in case_words.line(unknown, PRICES)
    assert case_words.in_short([CASE, unknown, unknown]) == "2 open, 1 confirmed"


def test_a_row_for_the_file_has_everything() -> None:
    row = case_words.row(CASE, PRICES)
    assert (row["Case"], row["State"], row["Feeder"], row["Lost"]) == ("3", "confirmed", "FEEDER_7", "$3.00")
    assert (row["Recovered"], row["Dispatch"], row["Evidence"]) == ("$2.00", "made, $250 to $1,000", "A1: half")
