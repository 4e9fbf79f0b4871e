"""Tables on a page, each of which can be downloaded as CSV."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from gridlens_core.display.tables import csv_of
from pages import _frame


def show(
    rows: Sequence[Mapping[str, Any]], name: str, alt: str, columns: Mapping[str, Any] | None = None, **options: Any
) -> None:
    """Draws a table.

    name : of the file, and of the button's key
    columns : what is shown of the rows and how: a heading or a column configuration; without it, all of it
    """
    chosen = columns or {heading: heading for heading in (rows[0] if rows else {})}
    st.dataframe(
        [dict(row) for row in rows],
        hide_index=True,
        alt=alt,
        column_order=list(chosen),
        column_config=dict(chosen),
        **options,
    )
    headings = {key: one if isinstance(one, str) else str(one["label"]) for key, one in chosen.items()}
    tenant_id = _frame.tenant()
    st.download_button(
        "Download as CSV",
        lambda: csv_of(rows, headings, f"Simulated events on {tenant_id}"),
        file_name=f"{tenant_id}-simulated-{name}.csv",
        mime="text/csv",
        key=f"csv_{name}",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
    )
