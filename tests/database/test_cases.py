"""Right or refused: each case database is continued rightly, or refused with the reason before anything is written.
No case ends in a traceback or a 500, and none changes the schema or a row that was there."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from api_client import PUBLISH, QUICKCHECK, STATUS, THEFT, WHY, client_of
from case_files import Case, case_files, demo_of, load_case, read_case, rows_of_tenant, stored_rows, usual_kwh
from existing_shapes import engine_of
from helpers import Server, catalogue

from gridlens_core.errors import GridLensError
from gridlens_core.preflight.checks import preflight
from gridlens_core.preflight.findings import Finding


@dataclass(frozen=True)
class Expected:
    """What is to become of a case.

    refused : what a blocked finding says, a regular expression; None where the history is continued
    level : each feeder's energy of a clean cycle over that of the days before, from and to
    says : what some finding says all the same, a regular expression
    theft_moves : whether a theft lifts the loss
    drift : points that two clean cycles may move it; the views of r08 take local times for UTC
    loss : percent of the day, from and to; the views of r13 count a repeated read twice
    export : whether the feeder sends out more than it uses at that hour, so that a theft of it lowers the loss
    names_all : whether the suspicious view names every meter, as it did before
    """

    refused: str | None = None
    level: tuple[float, float] = (0.75, 1.3)
    says: str = ""
    theft_moves: bool = True
    drift: float = 1.0
    loss: tuple[float, float] = (0, 15)
    export: bool = False
    names_all: bool = False


EXPECTED: dict[str, Expected] = {
    "00-control": Expected(),
    "01-naive-local": Expected(says="America/Chicago"),
    "02-register": Expected(refused="register"),
    "03-watthours": Expected(says=r"\bWh\b"),
    "08-net-metering": Expected(level=(-9, 9), export=True),
    "09-volts-230": Expected(says="230 V"),
    "11-volts-pu": Expected(says="per unit"),
    "14-epoch": Expected(says="epoch"),
    "17-matview-empty": Expected(says="never filled"),
    "18-division-by-zero": Expected(refused="Clean publishing alone moves the loss"),
    "19-scada-to-now": Expected(refused="Clean publishing alone moves the loss"),
    "20-zero-filled": Expected(),
    "21-rows-per-class": Expected(says="rows", theft_moves=False),
    "22-all-meters-flagged": Expected(),
    "23-deferred-fk": Expected(refused="rule|foreign key|constraint"),
    "25-events-later": Expected(refused="start_at|another"),
    "26-events-odd": Expected(says="70", level=(0.4, 1.3)),
    "27-events-infinity": Expected(level=(0.4, 1.3)),
    "28-null-feeder": Expected(refused="have no feeder"),
    "29-duplicates": Expected(),
    "30-percent-below-one": Expected(),
    "31-slow-percent": Expected(),
    "33-rls": Expected(refused="row security|stand at their time|no read"),
    "35-stray-future": Expected(),
    "46-first-meter-sparse": Expected(),
    "47-trigger-rounds": Expected(refused="stand|trigger"),
    "54-view-error-on-outage": Expected(),
    "55-unique-other-tenant": Expected(refused="stand|another tenant|key"),
    "59-customer-id": Expected(refused="tenant|customer_id"),
    "r00_base": Expected(),
    "r01_net_metering": Expected(level=(-9, 9)),
    "r02_error_code_as_energy": Expected(),
    "r03_daily_reads": Expected(refused="day|daily|interval"),
    "r05_interval_changed": Expected(names_all=True),
    "r06_cumulative_register": Expected(refused="register"),
    "r07_watt_hours": Expected(says=r"\bWh\b"),
    "r08_naive_local_time": Expected(says="America/Chicago", drift=1.5),
    "r09_infinity": Expected(),
    "r11_epoch_ms": Expected(says="epoch"),
    "r13_duplicates": Expected(loss=(-15, 15)),
    "r14_meter_exchange": Expected(),
    "r17_char_encoding_latin1": Expected(says="SQL_ASCII"),
    "r19_green_button_hourly_wh": Expected(),
    "r22_240_volts": Expected(says="240 V"),
    "r23_text_columns": Expected(refused="text"),
}


def test_every_case_has_its_expected_outcome() -> None:
    assert sorted(EXPECTED) == case_files()


@pytest.mark.parametrize(("name", "expected"), EXPECTED.items(), ids=list(EXPECTED))
def test_a_case_is_continued_rightly_or_refused_with_the_reason(
    server: Server, tmp_path: Path, name: str, expected: Expected
) -> None:
    case = read_case(name)
    url = load_case(server, case)
    shape, stored, rows = catalogue(engine_of(url)), stored_rows(url), rows_of_tenant(url, case)
    findings = checked(case, url, tmp_path / "data")
    demo = demo_of(case, url, tmp_path / "data")
    try:
        with suppress(GridLensError):
            demo.session.start()
        answers = Walk(case, client_of(demo, "a key"))
        answers.go()
    finally:
        demo.stop()
    said = "\n".join(f"{one.state} {one.what}: {one.found}" for one in findings)
    assert all(status != 500 for _, status, _ in answers.seen), answers.told()
    assert catalogue(engine_of(url)) == shape
    left = stored_rows(url)
    assert not stored - left, "a row that was there is not as it was"
    if expected.refused is not None:
        blocked = [one.found for one in findings if one.state == "blocked"]
        assert any(re.search(expected.refused, found) for found in blocked), said
        assert answers.published is None, answers.told()
        assert left == stored, "something was written"
    else:
        assert not [one for one in findings if one.state == "blocked"], said
        assert re.search(expected.says, said), said
        check_continued(case, expected, rows, rows_of_tenant(url, case), answers)
    server.drop(case.database)


def checked(case: Case, url: str, data_dir: Path) -> list[Finding]:
    """What `check` finds; it never raises."""
    demo = demo_of(case, url, data_dir)
    try:
        return preflight(demo, case.tenant)
    finally:
        demo.stop()


class Walk:
    """Two clean cycles, one under a theft, one with every meter silent, one under a sag; every answer on the way."""

    def __init__(self, case: Case, client: Any) -> None:
        self.case, self.client = case, client
        self.seen: list[tuple[str, int, Any]] = []
        self.published: Any = None
        self.stolen: Any = None
        self.quick: Any = None
        self.sagged: Any = None
        self.darkened: Any = None
        self.last: Any = None

    def go(self) -> None:
        case = self.case
        publish = {"tenantId": case.tenant, "intervalMinutes": case.minutes}
        self.published = self._call("post", PUBLISH, {**publish, "cycles": 2})
        event = {"tenantId": case.tenant, "feederId": case.feeder, "durationMinutes": 240, "severity": 0.9}
        self._call("post", THEFT, event)
        self.stolen = self._call("post", PUBLISH, publish)
        if self.stolen is not None:
            self.sagged = self._call("post", "/api/ami/event/voltage-sag", {**event, "severity": 0.5})
            self.darkened = self._call("post", "/api/ami/event/comms-outage", {**event, "feederId": None})
            self._call("post", PUBLISH, {**publish, "cycles": 1})
            if self.darkened is not None:
                self._call("post", f"/api/ami/event/{self.darkened['event']['id']}/end", {})
            self.last = self._call("post", PUBLISH, publish)
        for path in (STATUS, WHY, "/api/ami/events"):
            self._call("get", path, {"tenantId": case.tenant})
        self.quick = self._call("get", QUICKCHECK, {"tenantId": case.tenant})

    def _call(self, how: str, path: str, values: dict[str, Any]) -> Any:
        answer = self.client.post(path, json=values) if how == "post" else self.client.get(path, params=values)
        self.seen.append((path, answer.status_code, answer.json()))
        return answer.json() if answer.status_code < 300 else None

    def told(self) -> str:
        return "\n".join(f"{status} {path} {str(body)[:600]}" for path, status, body in self.seen)


def check_continued(case: Case, expected: Expected, before: list[Any], after: list[Any], walk: Walk) -> None:
    """As many meters as the history, energy and volts as at that time of day, and the loss where it was."""
    assert walk.published is not None, walk.told()
    assert all(status < 300 for _, status, _ in walk.seen), walk.told()
    old = {(row.meter, row.at) for row in before}
    new = [row for row in after if (row.meter, row.at) not in old]
    times = sorted({row.at for row in new})
    # Two clean, one under the theft, none while every meter was silent, and one under the sag a whole interval later.
    assert len(times) == 4, f"{times}"
    assert (times[3] - times[2]).total_seconds() == 2 * 60 * case.minutes, f"{times}"
    newest = max(at for at, reads in Counter(row.at for row in before).items() if reads > 5)
    assert (times[0] - newest).total_seconds() <= 60 * case.minutes + 3600, f"a gap from {newest} to {times[0]}"
    usual_meters = {row.meter for row in before if row.at == newest}
    lately = {row.meter for row in before if (newest - row.at).total_seconds() < 4 * 60 * case.minutes}
    for at in times[:2]:
        here = [row for row in new if row.at == at]
        assert len({row.meter for row in here}) >= 0.97 * len(usual_meters)
        assert len(here) == len({row.meter for row in here})
        assert {row.meter for row in here} <= lately, "a meter that was gone sends again"
        for feeder, usual in usual_kwh(before, at).items():
            energy = sum(row.kwh for row in here if row.feeder == feeder)
            assert expected.level[0] <= energy / usual <= expected.level[1], (
                f"{feeder}: {energy} where {usual} is usual"
            )
    volts = [row.volts for row in before if row.volts is not None]
    if volts:
        check_volts(volts, [row for row in new if row.at != times[3]], [row for row in new if row.at == times[3]], case)
    check_loss(expected, walk)


def check_loss(expected: Expected, walk: Walk) -> None:
    before, clean, stolen = (
        kpis and kpis["lossPct"]
        for kpis in (walk.published["kpis"]["before"], walk.published["kpis"]["after"], walk.stolen["kpis"]["after"])
    )
    if before is not None and clean is not None:
        assert abs(clean - before) < expected.drift, f"{before} -> {clean} in clean cycles"
    if not expected.theft_moves:
        assert walk.quick["currentLossPct"] is None
    elif clean is not None and stolen is not None:
        assert stolen != clean
        assert (stolen > clean) is not expected.export
        assert expected.loss[0] < clean < expected.loss[1]
    if walk.stolen["kpis"]["after"] is None or walk.published["kpis"]["after"] is None:
        return  # of views that take longer than a publish waits
    suspicious = walk.stolen["kpis"]["after"]["suspiciousMeters"]
    assert suspicious is None or expected.names_all or suspicious < walk.stolen["meters"]
    assert all(-15 < loss < 60 for loss in walk.published["kpis"]["after"]["feederLossPct"].values())


def check_volts(volts: list[float], clean: list[Any], sagged: list[Any], case: Case) -> None:
    """Volts stay where the history has them, and a sag brings its feeder to 0.90 to 0.95 of nominal."""
    middle = sorted(volts)[len(volts) // 2]
    nominal = min((1, 120, 230, 240, 7.2, 7200), key=lambda one: abs(one - middle) / one)
    assert all(row.volts is None or abs(row.volts - middle) < 0.08 * middle for row in clean)
    low = [row.volts / nominal for row in sagged if row.feeder == case.feeder and row.volts is not None]
    assert low
    assert all(0.899 <= share <= 0.951 for share in low), low[:5]
