"""Microsoft Entra ID instead of a password: a token fetched whenever a connection is made. Optional: azure-identity."""

from __future__ import annotations

from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy import event

from gridlens_core.errors import DatabaseUnavailableError, SettingsError

AZURE_DOMAIN = ".postgres.database.azure.com"
SCOPE = "https://ossrdbms-aad.database.windows.net/.default"  # Microsoft Learn, Flexible Server, Entra authentication


class Token(Protocol):
    """What azure-identity answers."""

    @property
    def token(self) -> str: ...


class Credential(Protocol):
    """What fetches tokens; it keeps one in memory until shortly before it ends."""

    def get_token(self, *scopes: str) -> Token: ...


def wants_token(url: sa.URL) -> bool:
    """Whether the address is an Azure server's and carries no password."""
    return bool(url.host and url.host.endswith(AZURE_DOMAIN) and not url.password and "passfile" not in url.query)


def default_credential() -> Credential:
    """Managed identity, workload identity or a developer's login, whichever azure-identity finds."""
    try:
        from azure.identity import DefaultAzureCredential  # an optional extra, so not at the top
    except ImportError as error:
        raise SettingsError(
            "DATABASE_URL has no password, and for a Microsoft Entra ID token the package azure-identity is missing. "
            "Install it (pip install azure-identity), or put the password into DATABASE_URL."
        ) from error
    credential: Credential = DefaultAzureCredential()
    return credential


def use_tokens(engine: sa.Engine, credential: Credential) -> None:
    """Each new connection of the engine carries a fresh token for its password; it is never logged or kept by us.

    Without a token the connection fails with DatabaseUnavailableError; the next one asks for a token again.
    """

    @event.listens_for(engine, "do_connect")
    def give_token(dialect: Any, record: Any, arguments: Any, parameters: dict[str, Any]) -> None:
        try:
            parameters["password"] = credential.get_token(SCOPE).token
        except Exception as error:  # azure-identity's errors name tenants and accounts
            reason = f"no Microsoft Entra ID token could be had ({type(error).__name__})"
            raise DatabaseUnavailableError(f"The database cannot be asked: {reason}.", reason=reason) from error
