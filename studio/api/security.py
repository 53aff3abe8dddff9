"""Who may talk to the studio, and what a page may do: checks on requests, headers on answers."""

from __future__ import annotations

import base64
import ipaddress
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.domain.errors import WrongUse

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([\w.-]+))(?::[0-9]+)?", re.ASCII)
_SCRIPT = re.compile(rb"<script(?=[\s>])", re.IGNORECASE)
_HTML_CAP: Final = 8 * 2**20


@dataclass(frozen=True, kw_only=True)
class Login:
    """The one user, and the password."""

    user: str
    password: str


def parse_login(text: str) -> Login:
    """ "user:password" as a login; raises `WrongUse`."""
    user, colon, password = text.partition(":")
    if not (colon and user and password):
        raise WrongUse("--auth: must be USER:PASSWORD")
    return Login(user=user, password=password)


def check_host(host: str, login: Login | None) -> None:
    """Raises `WrongUse` for a place that others can reach, without a password."""
    if login is None and not _is_loopback(host):
        raise WrongUse(
            f"--host {host} lets others in: give them a password with --auth USER:PASSWORD "
            "(or in MOC_STUDIO_AUTH), or leave --host out"
        )


class Guard:
    """Refuses what other sites send, asks for the password where there is one, and sets the headers.

    `hosts` are the names the studio goes by, besides loopback. A page's own scripts carry a nonce, so that
    no other inline script runs.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = (), login: Login | None = None) -> None:
        self._app = app
        self._hosts = {*LOOPBACK, *(host.lower() for host in hosts)}
        self._login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(headers)
        if refusal is not None:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await refusal(scope, receive, _with_headers(send, None))
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _with_headers(send, secrets.token_urlsafe(16)))

    def _refusal(self, headers: Headers) -> PlainTextResponse | None:
        host = headers.get("host", "")
        if _name(host) not in self._hosts:
            return PlainTextResponse("This studio does not go by that name.", status_code=403)
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return PlainTextResponse("Other sites may not use this studio.", status_code=403)
        if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
            return PlainTextResponse("Other sites may not use this studio.", status_code=403)
        if self._login is not None and not _knows(headers.get("authorization", ""), self._login):
            return PlainTextResponse(
                "This studio asks for a password.",
                status_code=401,
                headers={"www-authenticate": 'Basic realm="moc-studio", charset="UTF-8"'},
            )
        return None


def _with_headers(send: Send, nonce: str | None) -> Send:
    """Sets the headers of an answer, and writes the nonce into the scripts of a page."""
    start: Message | None = None
    page = bytearray()

    async def guarded(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["x-content-type-options"] = "nosniff"
            headers["referrer-policy"] = "same-origin"
            headers["x-frame-options"] = "SAMEORIGIN"
            headers["cross-origin-resource-policy"] = "same-origin"
            headers["content-security-policy"] = _policy(nonce)
            if nonce is not None and headers.get("content-type", "").startswith("text/html"):
                start = message
                return
        elif start is not None and message["type"] == "http.response.body":
            page.extend(message.get("body", b""))
            if len(page) > _HTML_CAP:
                raise ValueError("a page is larger than any of ours")
            if message.get("more_body", False):
                return
            body = _SCRIPT.sub(b'<script nonce="%s"' % str(nonce).encode(), bytes(page))
            headers = MutableHeaders(scope=start)
            headers["content-length"] = str(len(body))
            await send(start)
            start = None
            await send({"type": "http.response.body", "body": body})
            return
        await send(message)

    return guarded


def _policy(nonce: str | None) -> str:
    script = "'self' 'unsafe-eval'" + (f" 'nonce-{nonce}'" if nonce else "")
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src {script}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "media-src 'self' blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'self'",
        )
    )


def _name(host: str) -> str:
    """ "[::1]:7860" -> "::1"; "localhost:7860" -> "localhost"; "" for what is no name."""
    match = _HOST.fullmatch(host)
    return "" if match is None else (match[1] or match[2]).lower().rstrip(".")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _knows(authorization: str, login: Login) -> bool:
    kind, _, value = authorization.partition(" ")
    if kind.lower() != "basic":
        return False
    try:
        given = base64.b64decode(value, validate=True)
    except ValueError:  # no base64, or not even ASCII
        return False
    return secrets.compare_digest(given, f"{login.user}:{login.password}".encode())
