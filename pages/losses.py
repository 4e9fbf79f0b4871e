"""Losses: the overview and feeder-loss views over days, today live."""

import streamlit as st

from gridlens_core.database.schema import FEEDER_LOSS, OVERVIEW
from gridlens_core.display import kpi_words
from gridlens_core.display.labels import feeder_name
from gridlens_core.explanation.catalogue import CATALOGUE
from pages import _charts, _data, _frame, _look, _tables

tenant = _frame.tenant()


@_frame.live
def losses() -> None:
    at = _data.moment(tenant)
    overview, feeders = _data.kpi_rows(at, OVERVIEW), _data.kpi_rows(at, FEEDER_LOSS)
    if not overview or OVERVIEW in at.kpis.failed:
        _frame.absent(at, OVERVIEW, "The overview view has no rows for this tenant yet.")
        overview = []
        if not feeders or FEEDER_LOSS in at.kpis.failed:
            return
    if FEEDER_LOSS not in at.schema.views or FEEDER_LOSS in at.kpis.failed:
        _frame.absent(at, FEEDER_LOSS, "")
    today = overview[0] if overview else {"day": feeders[0]["day"]}
    of_today = [row for row in feeders if row["day"] == today["day"]]
    with st.grid(4, min_column_width=170, gap="xsmall"):
        for kpi in ("loss_pct", "loss_kwh", "supplied_kwh", "metered_kwh"):
            figure = today.get(kpi)
            why_absent = _look.tip(_data.why_absent(at, kpi, figure))
            st.metric(CATALOGUE[kpi].label, kpi_words.value_of(kpi, figure), border=True, help=why_absent)
    left, right = st.columns(2, gap="xsmall")
    with left.container(border=True):
        st.markdown("**Loss by day** :gray[% of supplied energy; today so far is pale]")
        loss = _charts.DaySeries(
            "loss", [row["day"] for row in overview], [row.get("loss_pct") for row in overview], _look.SUPPLIED
        )
        _charts.show(
            _charts.days([loss], "%", 330, reference=_charts.US_LOSS_PCT), "loss_days", "Loss by day in percent"
        )
    with right.container(border=True):
        by_feeder = {row["feeder_id"]: float(row["loss_pct"]) for row in of_today if row.get("loss_pct") is not None}
        st.markdown(f"**Loss by feeder today** :gray[{_look.plain(_charts.feeders_title(by_feeder))}]")
        _charts.show(_charts.feeders(by_feeder, 330), "loss_feeders", "Loss by feeder today")
    with st.container(border=True):
        st.markdown("**Feeders today** :gray[from the feeder-loss view, largest loss first]")
        is_local = _data.demo().settings.is_local
        number = st.column_config.NumberColumn
        _tables.show(
            [row | {"name": feeder_name(row["feeder_id"], is_local=is_local)} for row in of_today],
            "feeders",
            "Loss, supplied and metered energy by feeder today",
            {
                "feeder_id": "Feeder",
                **({"name": "Name"} if is_local else {}),
                "loss_pct": number("Loss, % of supplied", format="%.2f"),
                "loss_kwh": number("Loss, kWh", format="%.1f"),
                "supplied_kwh": number("Supplied, kWh", format="%.1f"),
                "metered_kwh": number("Metered, kWh", format="%.1f"),
                "read_success_pct": number("Read success, %", format="%.1f"),
            },
            height=300,
        )


st.subheader("Losses")
losses()
