"""The errors GridLens raises on purpose: each carries the facts a person needs to put it right."""

from __future__ import annotations

from typing import Any, ClassVar, Self


class GridLensError(Exception):
    """GridLens could not do what was asked."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500  # the HTTP status that fits

    def __init__(self, message: str | None = None, **details: Any) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.details = details
        super().__init__(self.message)

    @classmethod
    def of_finding(cls, finding: str, remedy: str, **details: Any) -> Self:
        """What was found, and what may be done about it; the preflight shows them in columns of their own."""
        return cls(f"{finding} Remedy: {remedy}", finding=finding, remedy=remedy, **details)


class BadInputError(GridLensError):
    """A value is not acceptable."""

    code = "bad_input"
    status = 422

    @classmethod
    def of(cls, field: str, value: object, accepted: str) -> BadInputError:
        """Name the field, what came, and what is accepted."""
        return cls(f"{field} is {value!r}; accepted: {accepted}", field=field, accepted=accepted)


class SettingsError(BadInputError):
    """A setting is not acceptable."""

    code = "bad_setting"


class FileRefusedError(BadInputError):
    """The file cannot be loaded."""

    code = "file_refused"

    @classmethod
    def at(cls, name: str, reason: str, *, line: int | None = None, column: str | None = None) -> FileRefusedError:
        """Name the file, the line and column where they are known, and what is wrong there."""
        places = [name, *([f"line {line:,}"] if line is not None else []), *([f"column {column}"] if column else [])]
        return cls(f"{', '.join(places)}: {reason}.", file=name, line=line, column=column, reason=reason)


class KeyMissingError(GridLensError):
    """This call needs the header 'Authorization: Bearer <GRIDLENS_API_KEY>'."""

    code = "key_missing"
    status = 401


class KeyWrongError(GridLensError):
    """The API key is not the one this server was started with."""

    code = "key_wrong"
    status = 403


class WritesOffError(GridLensError):
    """Writing is off: this server works on an existing database and GRIDLENS_API_KEY is not set."""

    code = "writes_off"
    status = 403


class TooManyWrongKeysError(GridLensError):
    """Too many wrong keys came from this address; no more are looked at for a while."""

    code = "too_many_wrong_keys"
    status = 429


class TooManyWaitingError(GridLensError):
    """Too many requests of this kind are waiting already; nothing was done."""

    code = "too_many_waiting"
    status = 429


class TenantNotAllowedError(GridLensError):
    """This tenant is not named in GRIDLENS_TENANTS, so it may be neither shown nor emulated."""

    code = "tenant_not_allowed"
    status = 403


class UnknownFeederError(GridLensError):
    """The tenant has no such feeder."""

    code = "unknown_feeder"
    status = 404


class UnknownMeterError(GridLensError):
    """The tenant has no such meter on that feeder."""

    code = "unknown_meter"
    status = 404


class UnknownEventError(GridLensError):
    """There is no such event."""

    code = "unknown_event"
    status = 404


class AutoPublishElsewhereError(GridLensError):
    """Another process already publishes for this tenant on a timer."""

    code = "auto_publish_elsewhere"
    status = 409


class NotOnExistingDatabaseError(GridLensError):
    """This is only allowed on the local database, never on one that came from DATABASE_URL."""

    code = "local_only"
    status = 409


class StartingError(GridLensError):
    """The demo is still starting."""

    code = "starting"
    status = 503


class DatabaseUnavailableError(GridLensError):
    """The database does not answer."""

    code = "database_unavailable"
    status = 503


class DatabaseBusyError(DatabaseUnavailableError):
    """The database took longer than it may; nothing was written."""

    code = "database_busy"


class DatabaseNotReadyError(GridLensError):
    """The database lacks something GridLens needs."""

    code = "database_not_ready"
    status = 503


class DatabaseRefusedError(GridLensError):
    """The database refused the write; the whole cycle was rolled back."""

    code = "database_refused"
    status = 503
