"""Errors of the HTTP API: one shape for all, and for bad input what would be accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException

from gridlens_core.api.answers import ErrorAnswer, ErrorFacts, plain
from gridlens_core.errors import BadInputError, GridLensError

MAX_ECHO = 200  # characters of a name that came from outside

# What is accepted outside of bodies, whose fields say it themselves.
ACCEPTED = {
    "body": "a JSON object, sent as application/json",
    "id": "an event's UUID",
    "tenantId": "a tenant named in GRIDLENS_TENANTS",
    "active": "true or false",
}


def error_answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI document's part on these statuses."""
    return {status: {"model": ErrorAnswer} for status in statuses}


def error_answer(
    status: int, code: str, message: str, details: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An error in the one shape."""
    error = ErrorFacts(code=code, message=plain(message), details=plain(details))
    return JSONResponse(ErrorAnswer(error=error).model_dump(mode="json"), status, headers)


def _bad_input(*fields: Mapping[str, str]) -> JSONResponse:
    """422, with what is accepted for each field that is wrong."""
    message = "; ".join("{field}: {problem}; accepted: {accepted}".format(**field) for field in fields)
    return error_answer(422, "bad_input", message, {"fields": fields})


def answer_errors(api: FastAPI) -> None:
    """Gives every error of the API its answer."""

    @api.exception_handler(GridLensError)
    def on_gridlens_error(_: Request, error: GridLensError) -> JSONResponse:
        headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
        if "retry_after_seconds" in error.details:
            headers["Retry-After"] = str(error.details["retry_after_seconds"])
        details = {to_camel(key): value for key, value in error.details.items()}
        if isinstance(error, BadInputError):
            details = {"fields": [{"problem": "not accepted", **details}]}
        return error_answer(error.status, error.code, error.message, details, headers)

    @api.exception_handler(RequestValidationError)
    def on_bad_request(request: Request, error: RequestValidationError) -> JSONResponse:
        accepted = _accepted_by(request)
        return _bad_input(*(_field(problem, accepted) for problem in error.errors()))

    @api.exception_handler(HTTPException)
    def on_http_error(_: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:  # a body that cannot be read at all
            return _bad_input({"field": "body", "problem": "cannot be read", "accepted": ACCEPTED["body"]})
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http")
        return error_answer(
            error.status_code, code, f"{error.detail}; openapi.json has what there is.", {}, error.headers
        )

    @api.exception_handler(Exception)
    def on_unforeseen(_: Request, error: Exception) -> JSONResponse:
        return error_answer(500, "internal", "GridLens failed; the server's log has the cause.", {})


def _accepted_by(request: Request) -> dict[str, str]:
    """What each field of a call's body accepts."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or route.body_field is None:
        return {}
    body = route.body_field.field_info.annotation
    fields = body.model_fields.values() if isinstance(body, type) and issubclass(body, BaseModel) else ()
    return {str(field.alias): str(field.description) for field in fields}


def _field(problem: Mapping[str, Any], in_body: Mapping[str, str]) -> dict[str, str]:
    """A validation error in the API's words."""
    where = problem["loc"][1:]
    field = str(where[0])[:MAX_ECHO] if where and isinstance(where[0], str) else "body"
    if problem["type"] == "extra_forbidden":
        return {"field": field, "problem": "unknown", "accepted": f"only the fields {', '.join(in_body)}"}
    text = "missing" if problem["type"] == "missing" else problem["msg"][:1].lower() + problem["msg"][1:]
    return {"field": field, "problem": text, "accepted": in_body.get(field) or ACCEPTED[field]}
