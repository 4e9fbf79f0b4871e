"""Suspicious meters: whom the blind detection names, day by day, and on what evidence."""

from collections import Counter
from datetime import date
from typing import Any

import streamlit as st

from gridlens_core import words
from gridlens_core.database.schema import OVERVIEW, SUSPICIOUS
from gridlens_core.explanation.detection import Score, is_voltage_issue, session_score
from gridlens_core.explanation.moment import Moment
from gridlens_core.explanation.receipts import Receipt
from gridlens_core.meters.fleet import natural_key
from pages import _charts, _data, _explain, _frame, _look, _tables

ISSUE_LOOK = {
    "CONSUMPTION_DROP": ("consumption drop", _look.THEFT),
    "VOLTAGE_LOW": ("low-voltage intervals", _look.SAG),
}

tenant = _frame.tenant()


def looks_of(rows: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Word and colour of each issue; one that only this database knows keeps its own word and no colour."""
    others = {str(row.get("issue")) for row in rows} - ISSUE_LOOK.keys()
    return ISSUE_LOOK | {issue: (issue, _look.quiet()) for issue in sorted(others)}


@_frame.live
def suspicious() -> None:
    at = _data.moment(tenant)
    if SUSPICIOUS not in at.schema.views or SUSPICIOUS in at.kpis.failed:
        _frame.absent(at, SUSPICIOUS, "")
        return
    rows = _data.kpi_rows(_data.moment(tenant), SUSPICIOUS)
    days = [row["day"] for row in _data.kpi_rows(_data.moment(tenant), OVERVIEW)]
    today = days[0] if days else _data.demo().desk.today(at.grid_now)
    named = [row for row in rows if row["day"] == today]
    looks = looks_of(rows)
    issues = Counter(str(row.get("issue")) for row in named)
    with st.grid(3, min_column_width=170, gap="xsmall"):
        st.metric("Meters named now", words.count(len({row["meter_id"] for row in named})), border=True)
        for issue, (word, _) in looks.items():
            st.metric(_look.plain(f"For {word}"), words.count(issues[issue]), border=True)
    with st.container(border=True):
        st.markdown("**Meters named by day** :gray[as of each day's last interval; today is pale]")
        per_day = Counter((row["day"], str(row.get("issue"))) for row in rows)
        series = [
            _charts.DaySeries(word, days, [per_day[day, issue] for day in days], colour)
            for issue, (word, colour) in looks.items()
        ]
        _charts.show(_charts.days(series, "meters", 240), "named_days", "Meters named by day and issue")
    with st.container(border=True):
        st.markdown("**Named now, and why** :gray[the view cannot see the events]")
        suspected = at.suspected
        by_meter = {row.get("feeder_id") for row in named if not is_voltage_issue(str(row.get("issue")))}
        for feeder_id in sorted(suspected.keys() - by_meter, key=natural_key):
            st.markdown(
                _look.plain(f"{suspected[feeder_id]}. Its meters are named when their reads tell whose loss it is.")
            )
        if not named:
            if not suspected:
                st.caption(
                    "Nobody is named. A meter is named when it explains what its feeder loses, or its voltage is low."
                )
            return
        _tables.show(
            [row | {"issue": looks[str(row.get("issue"))][0]} for row in named],
            "suspicious-meters",
            "Meters named today with issue and evidence",
            {"meter_id": "Meter", "feeder_id": "Feeder", "issue": "Issue", "evidence": "Evidence"},
            height=340,
        )


@_frame.live
def evidence() -> None:
    """One meter's reads beside what was expected of it: why it is named, or why not."""
    at = _data.moment(tenant)
    fleet = _data.fleet(tenant)
    named = {row["meter_id"] for row in _data.kpi_rows(_data.moment(tenant), SUSPICIOUS) if row["day"] == today(at)}
    with st.container(border=True):
        st.markdown("**One meter** :gray[what it recorded beside what was expected of it]")
        meter = st.selectbox(
            "Meter, those named first",
            sorted(fleet.meter_ids, key=lambda one: one not in named),
            key="evidence_meter",
            format_func=lambda one: f"{one}, named" if one in named else one,
            width=320,
        )
        found = _data.meter_evidence(_data.moment(tenant), meter)
        st.markdown(_look.plain(found.sentence))
        _charts.show(
            _explain.meter(found, fleet.timezone, 260), "meter_evidence", f"Reads of {meter} beside what was expected"
        )


@_frame.live
def scores() -> None:
    """The view's names against the truth that it cannot see."""
    receipts = [one for one in _data.receipts(tenant) if one.score is not None]
    with st.container(border=True):
        st.markdown("**Blind detection, scored** :gray[whom the view named against whom the events touched]")
        if not receipts:
            st.caption("Nothing to score yet: thefts and voltage sags are scored as soon as they are published.")
            return
        _tables.show([score_row(one) for one in receipts], "detection", "Detection score of each event")
        st.caption(session_words([one.score for one in receipts if one.score is not None]))


def score_row(receipt: Receipt) -> dict[str, object]:
    score = receipt.score
    assert score is not None
    lost = receipt.before_detection_usd
    return {
        "Event": _look.called(receipt.event),
        "Meters": score.meters,
        "Named rightly": words.share(score.precision),
        "Found of all touched": words.share(score.recall),
        "Cycles to detection": words.count(score.cycles_to_detection),
        "Lost before detection": words.dollars(lost) if receipt.event.event_type == "theft" else "nothing is stolen",
    }


def session_words(scores: list[Score]) -> str:
    total = session_score(scores)
    assert total is not None
    missed = sum(score.cycles > 0 and score.cycles_to_detection is None for score in scores)
    honest = f" The view missed {words.plural(missed, 'event')}." if missed else ""
    return (
        f"All together: {words.count(total.found)} of {words.count(total.meters)} meters found, "
        f"{words.count(total.wrongly_named)} named wrongly.{honest}"
    )


def today(at: Moment) -> date:
    return _data.demo().desk.today(at.grid_now)


st.subheader("Suspicious meters")
suspicious()
scores()
evidence()
