"""Which column plays which role, in which unit, and how sure that is; and what a person may correct."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridlens_core.database.bindings import (
    BINDINGS_FILE,
    FEEDER_LOSS,
    NO_CORRECTIONS,
    OVERVIEW,
    READS_TABLE,
    ROLES,
    Binding,
    Column,
    Correction,
    Corrections,
    bind,
    read_corrections,
    settle_unit,
)
from gridlens_core.errors import SettingsError


def column(name: str, type_name: str = "numeric") -> Column:
    return Column(name, type_name, False, False)


def loss(name: str = "loss_percent", unit: str = "fraction", certainty: str = "sure") -> Binding:
    return Binding("loss_pct", column(name), unit, certainty, "")  # type: ignore[arg-type]


@pytest.mark.parametrize("relation", ROLES)
def test_gridlens_s_own_names_are_sure(relation: str) -> None:
    own = [column(names[0]) for _, names in ROLES[relation].values()]
    bound = bind(relation, own)
    assert {role: bound[role].column.name for role in bound} == {
        role: names[0] for role, (_, names) in ROLES[relation].items()
    }
    assert {binding.certainty for binding in bound.values()} == {"sure"}


@pytest.mark.parametrize("name", ["feeder", "Feeder_ID", "FEEDERID", "circuit", "Feeder Name"])
def test_another_usual_name_is_a_guess_whatever_its_case_and_signs(name: str) -> None:
    bound = bind(READS_TABLE, [column(name, "text")])
    assert (bound["feeder_id"].column.name, bound["feeder_id"].certainty) == (name, "guess")


def test_the_earliest_name_wins_and_no_column_plays_two_roles() -> None:
    bound = bind(OVERVIEW, [column("loss"), column("loss_percent"), column("total_loss")])
    assert (bound["loss_pct"].column.name, bound["loss_kwh"].column.name) == ("loss_percent", "total_loss")


def test_a_measure_must_be_a_number() -> None:
    assert "loss_pct" not in bind(OVERVIEW, [column("loss_percent_pct", "text")])
    assert "kwh" in bind(READS_TABLE, [column("kwh", "real")])


@pytest.mark.parametrize(
    ("binding", "values", "known", "unit", "certainty"),
    [
        pytest.param(loss(), [0.04, 0.06], None, "fraction", "sure", id="small numbers are fractions"),
        pytest.param(loss(), [4.0, 6.1], None, "percent", "sure", id="large ones are percent"),
        pytest.param(loss("loss_pct", "percent"), [0.4, 0.6], None, "percent", "sure", id="less than one percent"),
        pytest.param(loss(), [1.2, 1.3], None, "percent", "sure", id="more than everything as a fraction"),
        pytest.param(loss("loss_pct", "percent"), [0.04, 0.06], None, "fraction", "guess", id="against its name"),
        pytest.param(loss(), [0.34, 0.36], None, "fraction", "open", id="likely as either"),
        pytest.param(loss(), [-0.9, -0.8], 0.85, "percent", "sure", id="a gain, checked without its sign"),
        pytest.param(loss(), [0.9, 0.8], 0.85, "percent", "sure", id="checked against its energies"),
        pytest.param(loss(), [0.009, 0.008], 0.85, "fraction", "sure", id="and the other way round"),
        pytest.param(loss(), [], None, "fraction", "open", id="nothing to go by"),
        pytest.param(loss("loss_pct", "percent"), [], None, "percent", "guess", id="a name without a doubt"),
        pytest.param(loss(), [None, float("nan"), "NaN"], None, "fraction", "open", id="nothing that is a number"),
        pytest.param(loss("loss_pct", "percent"), [94.0, 95.0], None, "percent", "open", id="a share that arrives"),
        pytest.param(loss(certainty="set"), [4.0], None, "fraction", "set", id="what a person set stands"),
    ],
)
def test_percent_or_fraction_is_told_by_the_values(
    binding: Binding, values: list[object], known: float | None, unit: str, certainty: str
) -> None:
    settled = settle_unit(binding, values, known_pct=known)
    assert (settled.unit, settled.certainty) == (unit, certainty)


def test_a_correction_is_set_and_the_column_is_taken(tmp_path: Path) -> None:
    (tmp_path / BINDINGS_FILE).write_text(
        f'[{FEEDER_LOSS}]\nloss_pct = {{ column = "odd", unit = "percent" }}\n'
        'feeder_id = "line"\n[fill]\nsource = "x"\n'
    )
    corrections = read_corrections(tmp_path)
    bound = bind(FEEDER_LOSS, [column("odd"), column("line", "text"), column("loss_percent")], corrections)
    assert (bound["loss_pct"].column.name, bound["loss_pct"].unit, bound["loss_pct"].certainty) == (
        "odd",
        "percent",
        "set",
    )
    assert bound["feeder_id"].column.name == "line"
    assert corrections.fill == {"source": "x"}


def test_without_the_file_nothing_is_corrected(tmp_path: Path) -> None:
    assert read_corrections(tmp_path) == NO_CORRECTIONS


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("[nonsense]\n", "no section", id="an unknown section"),
        pytest.param("fill = 3\n", "fill", id="a fill that is no section"),
        pytest.param("[meter_reads_electric\n", "cannot be read", id="no TOML"),
        pytest.param(f"[{OVERVIEW}]\nloss_pct = 3\n", "accepted", id="a column that is no name"),
        pytest.param(f"[{OVERVIEW}]\nloss_pct = {{ column = 'a', unit = 'kV' }}\n", "accepted", id="no such unit"),
        pytest.param("[meter_reads_electric]\nkwh = { column = 'a', unit = 'V' }\n", "kWh, Wh, MWh", id="no energy"),
        pytest.param("[meter_reads_electric]\nread_at = { column = 'a', form = 'Mars' }\n", "epoch", id="no zone"),
        pytest.param("[meter_reads_electric]\ncolour = { column = 'a' }\n", "no role", id="no role"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_accepted(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / BINDINGS_FILE).write_text(text)
    with pytest.raises(SettingsError, match=says):
        read_corrections(tmp_path)


@pytest.mark.parametrize(("role", "name"), [("colour", "kwh"), ("kwh", "nowhere")])
def test_a_correction_to_what_is_not_there_says_what_is(role: str, name: str) -> None:
    corrections = Corrections({READS_TABLE: {role: Correction(name)}}, {})
    with pytest.raises(SettingsError, match="roles: tenant_id" if role == "colour" else "columns: kwh"):
        bind(READS_TABLE, [column("kwh")], corrections)
