"""Every setting, in one declared table: read once from the environment or a .env file, secrets masked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gridlens_core.errors import SettingsError


class Settings(BaseSettings):
    """The contract's settings (docs/contracts.md, "Settings"); an alias is the environment variable."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    database_url: SecretStr | None = Field(
        None,
        alias="DATABASE_URL",
        description="existing PostgreSQL; `sslmode=require` is added for any host that is not local",
    )
    data_dir: Path = Field(
        Path(".gridlens"), alias="GRIDLENS_DATA_DIR", description="embedded database and generated key"
    )
    api_key: SecretStr | None = Field(
        None,
        alias="GRIDLENS_API_KEY",
        description="bearer token, and the presenter's unlock; generated for the local database "
        "(file `api_key`, mode 0600); without one an existing database is read-only",
    )
    tenants: Annotated[tuple[str, ...], NoDecode] = Field(
        ("DEMO_TENANT",), alias="GRIDLENS_TENANTS", description="tenants that may be shown and emulated"
    )
    feeders: int = Field(10, ge=1, le=1000, alias="GRIDLENS_FEEDERS", description="feeders of the synthetic fleet")
    meters_per_feeder: int = Field(
        40,
        ge=1,
        le=10_000,
        alias="GRIDLENS_METERS_PER_FEEDER",
        description="meters on each feeder of the synthetic fleet",
    )
    history_days: int = Field(
        8,
        ge=1,
        le=400,
        alias="GRIDLENS_HISTORY_DAYS",
        description="days of history seeded into the local database",
    )
    seed: int = Field(7, ge=0, lt=2**63, alias="GRIDLENS_SEED", description="the emulator's seed")
    timezone: str = Field(
        "America/Chicago",
        alias="GRIDLENS_TIMEZONE",
        description="load shape, days and display; stored times are UTC",
    )
    tariff_usd_per_kwh: float = Field(
        0.17, gt=0, le=10, alias="GRIDLENS_TARIFF_USD_PER_KWH", description="dollars per kWh"
    )
    explain_budget_s: float = Field(
        3,
        gt=0,
        le=600,
        alias="GRIDLENS_EXPLAIN_BUDGET_S",
        description="seconds a cycle may spend on measuring what moved, before the rest is measured after it",
    )
    may_synthesise: bool = Field(
        False,
        alias="GRIDLENS_SYNTHETIC_FLEET",
        description="lets a tenant without reads in an existing database get a synthetic fleet",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        alias="GRIDLENS_ALLOWED_HOSTS",
        description="names the server may be addressed by, such as `demo.example.com` or `*.example.com`, beside "
        "localhost and, where it listens beyond its own machine, addresses in numbers and that machine's name; "
        "`*` for any",
    )
    now: AwareDatetime | None = Field(
        None,
        alias="GRIDLENS_NOW",
        description="freezes the wall clock, for repeatable demos, tests and pictures",
    )

    @field_validator("tenants", "allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(name.strip() for name in value.split(",") if name.strip())

    @field_validator("tenants")
    @classmethod
    def _at_least_one(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("at least one tenant, separated by commas")
        return value

    @field_validator("api_key", mode="before")
    @classmethod
    def _blank_is_none(cls, value: object) -> object:
        return (value.strip() or None) if isinstance(value, str) else value

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("an IANA time zone, such as America/Chicago") from error
        return value

    @field_validator("database_url")
    @classmethod
    def _postgres_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("an address that begins with postgresql://")
        return value

    @property
    def is_local(self) -> bool:
        """True where GridLens runs its own embedded database."""
        return self.database_url is None


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment and .env; raises SettingsError naming each variable that is wrong."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        # The value itself is left out: it may be a secret.
        problems = [
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg'].removeprefix('Value error, accepted: ')}"
            for problem in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise SettingsError("Settings are not acceptable. " + "; ".join(problems)) from None


def with_tariff(settings: Settings, tariff_usd_per_kwh: float | None) -> Settings:
    """The settings with a utility's own tariff, unless the environment names one."""
    if tariff_usd_per_kwh is None or "tariff_usd_per_kwh" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"tariff_usd_per_kwh": tariff_usd_per_kwh})


def describe_settings() -> list[tuple[str, str, str]]:
    """(variable, default, meaning) of each setting, in order; the README's table is held to it."""
    rows = []
    for field in Settings.model_fields.values():
        default = field.default
        shown = "none" if default in (None, ()) else ", ".join(default) if isinstance(default, tuple) else str(default)
        shown = shown.lower() if isinstance(default, bool) else shown
        rows.append((str(field.alias), shown, str(field.description)))
    return rows
