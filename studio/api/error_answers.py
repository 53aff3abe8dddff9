"""Answers to requests that failed: which status, and what the body says."""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from studio.domain.errors import BadStoryboard, NotThere, StaleRevision, StudioError, WrongUse
from studio.domain.messages import Message, message

_log: Final = logging.getLogger(__name__)


class ErrorAnswer(BaseModel):
    """Why a request failed: a code with parameters, and its text in English.

    `field` is the path of the invalid field, if there is one.
    """

    code: str
    params: dict[str, Any]
    message: str
    field: list[str | int] | None = None


ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": ErrorAnswer, "description": "It cannot be done as things are"},
    404: {"model": ErrorAnswer, "description": "The project, shot, take or job does not exist"},
    422: {"model": ErrorAnswer, "description": "A field of the request is invalid"},
}
"""The failures of most routes, for the documentation."""

CONFLICT: Final[dict[int | str, dict[str, Any]]] = {
    409: {"model": ErrorAnswer, "description": "The project was changed since the base revision"},
}


def answer_errors(app: FastAPI) -> None:
    """Installs the handlers.

    A `StudioError` is answered with its message. Anything else is a bug: its traceback is logged under an
    incident number that the answer names.
    """

    @app.exception_handler(StudioError)
    def studio_error(request: Request, error: StudioError) -> JSONResponse:
        return _answer(
            _status(error), error.message, error.field if isinstance(error, BadStoryboard) else None
        )

    @app.exception_handler(RequestValidationError)
    def invalid_request(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = first["loc"][1:]  # without "body" or "path"
        said = message("request-invalid", field=".".join(map(str, field)), problem=first["msg"])
        return _answer(422, said, field)

    @app.exception_handler(HTTPException)
    def http_error(request: Request, error: HTTPException) -> JSONResponse:
        return _answer(error.status_code, message("request-failed", problem=error.detail))

    @app.exception_handler(ClientDisconnect)
    def client_left(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=499)  # nobody reads it

    @app.exception_handler(Exception)
    def bug(request: Request, error: Exception) -> JSONResponse:
        incident = secrets.token_hex(4)
        _log.error("incident %s: %s %s", incident, request.method, request.url.path, exc_info=error)
        return _answer(500, message("incident", incident=incident))


def _answer(status: int, said: Message, field: Iterable[str | int] | None = None) -> JSONResponse:
    body = {**_plain(said), "field": None if field is None else list(field)}
    return JSONResponse(_sendable(body), status_code=status)


def _plain(said: Message) -> dict[str, Any]:
    """A message as JSON; messages among its parameters are objects of the same form."""
    params: dict[str, Any] = {}
    for name, value in said.params.items():
        if isinstance(value, Message):
            params[name] = _plain(value)
        elif isinstance(value, tuple):
            params[name] = [_plain(part) for part in value]
        else:
            params[name] = value
    return {"code": said.code, "params": params, "message": str(said)}


def _sendable(value: Any) -> Any:
    """The value without what JSON and UTF-8 cannot hold: lone surrogates, numbers that are not finite."""
    match value:
        case str():
            return value.encode(errors="backslashreplace").decode()
        case float() if not math.isfinite(value):
            return str(value)
        case dict():
            return {name: _sendable(part) for name, part in value.items()}
        case list():
            return [_sendable(part) for part in value]
        case _:
            return value


def _status(error: StudioError) -> int:
    match error:
        case NotThere():
            return 404
        case StaleRevision():
            return 409
        case BadStoryboard():
            return 422
        case WrongUse():
            return 400
        case _:
            return 500
