from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gridlens_core.errors import SettingsError
from gridlens_core.settings import Settings, describe_settings, load_settings

# docs/contracts.md, "Settings".
DEFAULTS = {
    "DATABASE_URL": "none",
    "GRIDLENS_DATA_DIR": ".gridlens",
    "GRIDLENS_API_KEY": "none",
    "GRIDLENS_TENANTS": "DEMO_TENANT",
    "GRIDLENS_FEEDERS": "10",
    "GRIDLENS_METERS_PER_FEEDER": "40",
    "GRIDLENS_HISTORY_DAYS": "8",
    "GRIDLENS_SEED": "7",
    "GRIDLENS_TIMEZONE": "America/Chicago",
    "GRIDLENS_TARIFF_USD_PER_KWH": "0.17",
    "GRIDLENS_EXPLAIN_BUDGET_S": "3",
    "GRIDLENS_SYNTHETIC_FLEET": "false",
    "GRIDLENS_ALLOWED_HOSTS": "none",
    "GRIDLENS_NOW": "none",
}


def test_the_table_is_the_contract_s() -> None:
    assert {variable: default for variable, default, _ in describe_settings()} == DEFAULTS
    assert all(meaning for _, _, meaning in describe_settings())


def test_without_any_variable_the_defaults_hold() -> None:
    settings = load_settings()
    assert settings == Settings()
    assert settings.is_local
    assert settings.tenants == ("DEMO_TENANT",)
    assert (settings.database_url, settings.api_key, settings.now) == (None, None, None)


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("GRIDLENS_DATA_DIR", "/srv/data", "data_dir", Path("/srv/data")),
        ("GRIDLENS_TENANTS", "A, B ,,C", "tenants", ("A", "B", "C")),
        ("GRIDLENS_FEEDERS", "3", "feeders", 3),
        ("GRIDLENS_METERS_PER_FEEDER", "5", "meters_per_feeder", 5),
        ("GRIDLENS_HISTORY_DAYS", "2", "history_days", 2),
        ("GRIDLENS_SEED", "0", "seed", 0),
        ("GRIDLENS_TIMEZONE", "Europe/Vienna", "timezone", "Europe/Vienna"),
        ("GRIDLENS_TARIFF_USD_PER_KWH", "0.323", "tariff_usd_per_kwh", 0.323),
        ("GRIDLENS_EXPLAIN_BUDGET_S", "0.5", "explain_budget_s", 0.5),
        ("GRIDLENS_ALLOWED_HOSTS", "a.example, *.b.example", "allowed_hosts", ("a.example", "*.b.example")),
        ("GRIDLENS_NOW", "2026-11-18T12:00:00-06:00", "now", datetime(2026, 11, 18, 18, tzinfo=UTC)),
    ],
)
def test_each_variable_is_read_from_the_environment_and_from_a_file(
    variable: str, value: str, field: str, expected: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv(variable, value)
        assert getattr(load_settings(), field) == expected
    assert getattr(load_settings(), field) != expected
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text(f"{variable}={value}\n", encoding="utf-8")
    assert getattr(load_settings(), field) == expected


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("GRIDLENS_SEED=1\n", encoding="utf-8")
    monkeypatch.setenv("GRIDLENS_SEED", "2")
    assert load_settings().seed == 2


@pytest.mark.parametrize("variable", DEFAULTS)
def test_an_empty_variable_counts_as_none(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "")
    assert load_settings() == Settings()


@pytest.mark.parametrize(
    ("variable", "value", "accepted"),
    [
        pytest.param("DATABASE_URL", "mysql://u:hunter2@h/d", "begins with postgresql://", id="another database"),
        pytest.param("GRIDLENS_TENANTS", " , ", "at least one tenant", id="no tenant"),
        pytest.param("GRIDLENS_FEEDERS", "0", "greater than or equal to 1", id="no feeder"),
        pytest.param("GRIDLENS_FEEDERS", "ten", "valid integer", id="not a number"),
        pytest.param("GRIDLENS_METERS_PER_FEEDER", "10001", "less than or equal to 10000", id="too many meters"),
        pytest.param("GRIDLENS_HISTORY_DAYS", "0", "greater than or equal to 1", id="no history"),
        pytest.param("GRIDLENS_SEED", "-1", "greater than or equal to 0", id="a negative seed"),
        pytest.param("GRIDLENS_TIMEZONE", "Chicago", "IANA time zone", id="an unknown time zone"),
        pytest.param("GRIDLENS_TIMEZONE", "../etc/passwd", "IANA time zone", id="a path for a time zone"),
        pytest.param("GRIDLENS_TARIFF_USD_PER_KWH", "0", "greater than 0", id="free energy"),
        pytest.param("GRIDLENS_TARIFF_USD_PER_KWH", "nan", "", id="a tariff that is no number"),
        pytest.param("GRIDLENS_NOW", "2026-11-18T12:00:00", "timezone", id="a time without an offset"),
    ],
)
def test_a_wrong_value_is_refused_naming_the_variable_and_never_the_value(
    variable: str, value: str, accepted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert variable in raised.value.message
    assert accepted in raised.value.message
    assert "hunter2" not in repr(raised.value)


def test_every_wrong_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDLENS_FEEDERS", "0")
    monkeypatch.setenv("GRIDLENS_TIMEZONE", "Nowhere")
    with pytest.raises(SettingsError, match=r"GRIDLENS_FEEDERS.*GRIDLENS_TIMEZONE"):
        load_settings()


def test_secrets_are_masked() -> None:
    settings = load_settings(database_url="postgresql://me:hunter2@db.example/grid", api_key="correct-horse")
    for shown in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.api_key)):
        assert "hunter2" not in shown
        assert "correct-horse" not in shown
    assert not settings.is_local


def test_a_key_of_blanks_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDLENS_API_KEY", "  ")
    assert load_settings().api_key is None


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().seed = 8
