"""Answers to requests that failed: which status, and what the body says."""

from __future__ import annotations

import logging
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

_log: Final = logging.getLogger(__name__)


class ErrorAnswer(BaseModel):
    """Why a request failed. `field` is the path of the wrong field, if there is one."""

    error: str
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
        return _answer(_status(error), str(error), error.field if isinstance(error, BadStoryboard) else None)

    @app.exception_handler(RequestValidationError)
    def invalid_request(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = first["loc"][1:]  # without "body" or "path"
        return _answer(422, f"{'.'.join(map(str, field))}: {first['msg']}", field)

    @app.exception_handler(HTTPException)
    def http_error(request: Request, error: HTTPException) -> JSONResponse:
        return _answer(error.status_code, error.detail, None)

    @app.exception_handler(ClientDisconnect)
    def client_left(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=499)  # nobody reads it

    @app.exception_handler(Exception)
    def bug(request: Request, error: Exception) -> JSONResponse:
        incident = secrets.token_hex(4)
        _log.error("incident %s: %s %s", incident, request.method, request.url.path, exc_info=error)
        return _answer(500, f"the studio failed; its log has the details under incident {incident}", None)


def _answer(status: int, message: str, field: Iterable[str | int] | None) -> JSONResponse:
    place = None if field is None else [_utf8(part) if isinstance(part, str) else part for part in field]
    return JSONResponse({"error": _utf8(message), "field": place}, status_code=status)


def _utf8(text: str) -> str:
    """The text without lone surrogates, which JSON may hold and UTF-8 may not."""
    return text.encode(errors="backslashreplace").decode()


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
