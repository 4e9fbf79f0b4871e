"""A Microsoft Entra ID token instead of a password, with a stand-in for azure-identity."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from gridlens_core.database import connection as database
from gridlens_core.database.entra import SCOPE, use_tokens, wants_token
from gridlens_core.demo import session
from gridlens_core.errors import DatabaseUnavailableError, SettingsError
from gridlens_core.preflight.checks import unreachable
from gridlens_core.settings import Settings
from gridlens_core.show import make_show

AZURE = "postgresql://gridlens@utility.postgres.database.azure.com:5432/ami"


class StandIn:
    """A credential that counts what it is asked for."""

    def __init__(self, broken: bool = False) -> None:
        self.scopes: list[str] = []
        self.broken = broken

    def get_token(self, *scopes: str) -> Any:
        if self.broken:
            raise RuntimeError("account someone@utility.com is locked")
        self.scopes += scopes
        return type("Token", (), {"token": f"token-{len(self.scopes)}"})()


@pytest.fixture
def connecting(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the driver is asked to connect with; no connection is made."""
    asked: list[dict[str, Any]] = []

    def connect(*_: Any, **parameters: Any) -> Any:
        asked.append(parameters)
        raise database.DatabaseUnavailableError("stand-in")

    monkeypatch.setattr("psycopg2.connect", connect)
    return asked


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        pytest.param(AZURE, True, id="Azure without a password"),
        pytest.param(AZURE.replace("gridlens@", "gridlens:secret@"), False, id="Azure with a password"),
        pytest.param("postgresql://gridlens@db.example.com/ami", False, id="another host"),
        pytest.param("postgresql://gridlens@x.postgres.database.azure.com.example.com/ami", False, id="a look-alike"),
        pytest.param("postgresql:///ami", False, id="a local socket"),
    ],
)  # fmt: skip
def test_only_an_azure_server_without_a_password_wants_a_token(url: str, wanted: bool) -> None:
    assert wants_token(sa.make_url(url)) is wanted


def test_each_connection_gets_a_fresh_token_and_nothing_logs_it(
    connecting: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    credential = StandIn()
    monkeypatch.setattr(database, "default_credential", lambda: credential)
    opened = database.connect(AZURE, is_local=False)
    with caplog.at_level(logging.DEBUG):
        for _ in range(2):
            with pytest.raises(database.DatabaseUnavailableError), opened.engine.connect():
                pass
    assert [parameters["password"] for parameters in connecting] == ["token-1", "token-2"]
    assert [parameters["sslmode"] for parameters in connecting] == ["require", "require"]
    assert credential.scopes == [SCOPE, SCOPE]
    assert "token-1" not in caplog.text
    assert "token" not in str(opened.engine.url)


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(SettingsError, match="pip install azure-identity"):
        database.connect(AZURE, is_local=False)


def test_a_token_that_cannot_be_had_is_a_database_away_and_told_without_the_account() -> None:
    engine = sa.create_engine("postgresql+psycopg2://gridlens@utility.postgres.database.azure.com/ami")
    use_tokens(engine, StandIn(broken=True))
    with pytest.raises(DatabaseUnavailableError, match=r"no Microsoft Entra ID token .*RuntimeError") as raised:
        database.Database(engine, is_local=False).ping()
    assert "someone" not in raised.value.message + repr(raised.value.details)
    finding = unreachable(raised.value)
    assert (finding.what, finding.state) == ("Connection", "blocked")
    assert "managed identity" in finding.remedy


def test_a_token_that_fails_once_is_asked_for_again_by_the_next_connection(connecting: list[dict[str, Any]]) -> None:
    engine = sa.create_engine("postgresql+psycopg2://gridlens@utility.postgres.database.azure.com/ami")
    credential = StandIn(broken=True)
    use_tokens(engine, credential)
    with pytest.raises(DatabaseUnavailableError, match="token"), engine.connect():
        pass
    credential.broken = False
    with pytest.raises(DatabaseUnavailableError, match="stand-in"), engine.connect():
        pass
    assert [parameters["password"] for parameters in connecting] == ["token-1"]


def test_the_start_goes_on_trying_while_no_token_can_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = Event()

    class SecondTime(StandIn):
        def get_token(self, *scopes: str) -> Any:
            if self.scopes:
                asked.set()
            self.scopes += scopes
            raise RuntimeError("temporarily unavailable")

    credential = SecondTime()
    monkeypatch.setattr(database, "default_credential", lambda: credential)
    monkeypatch.setattr(session, "RETRY_SECONDS", 0.01)
    demo = make_show(Settings(database_url=SecretStr(AZURE), data_dir=tmp_path)).demo
    demo.session.start_in_background()
    try:
        assert asked.wait(timeout=20), "the start gave up after the first token"
        assert isinstance(demo.session.start_error, DatabaseUnavailableError)
    finally:
        demo.stop()
