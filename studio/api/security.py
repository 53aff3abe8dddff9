"""Access control: checks of hosts, origins and passwords; security headers of answers."""

from __future__ import annotations

import base64
import ipaddress
import re
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.api.inline_scripts import InlineScripts
from studio.domain.errors import WrongUse

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([\w.-]+))(?::[0-9]+)?", re.ASCII)
_HTML_CAP: Final = 8 * 2**20
MOST_BODY: Final = 4 * 2**20
"""Bytes of a request that is no upload."""


@dataclass(frozen=True, kw_only=True)
class Login:
    """The one user, and the password."""

    user: str
    password: str


def parse_login(text: str) -> Login:
    """Parses "user:password". Raises `WrongUse`."""
    user, colon, password = text.partition(":")
    if not (colon and user and password):
        raise WrongUse("--auth: must be USER:PASSWORD")
    return Login(user=user, password=password)


def check_host(host: str, login: Login | None) -> None:
    """Raises `WrongUse` for an address that other machines can reach, if there is no password."""
    if login is None and not is_loopback(host):
        raise WrongUse(
            f"--host {host} can be reached from other machines: set a password with --auth USER:PASSWORD "
            "or MOC_STUDIO_AUTH, or leave --host out"
        )


class Guard:
    """Refuses requests of other sites and requests that are too large, asks for the password, sets headers.

    `hosts` are the names of the studio besides those of loopback. `scripts` are the inline scripts that pages
    may hold; browsers run no others. `uploads` are paths that check the size of their bodies themselves.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str] = (),
        login: Login | None = None,
        *,
        scripts: InlineScripts | None = None,
        uploads: Collection[str] = (),
    ) -> None:
        self._app = app
        self._hosts = {*LOOPBACK, *(host.lower() for host in hosts)}
        self._login = login
        self._scripts = scripts or InlineScripts()
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if scope["type"] == "websocket":
            if refusal is None:
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})
            return
        send = _with_headers(send, self._scripts)
        if refusal is not None:
            await refusal(scope, receive, send)
        elif scope["path"] in self._uploads:
            await self._app(scope, receive, send)
        else:
            await self._app(scope, _limited(receive), send)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _name(host) not in self._hosts:
            return PlainTextResponse("This studio has another name; see --allow-host.", status_code=403)
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
        length = headers.get("content-length", "0")
        if scope.get("path") not in self._uploads and not _is_small(length):
            return PlainTextResponse("This request is too large.", status_code=413)
        return None


def _is_small(length: str) -> bool:
    return not (length.isascii() and length.isdigit()) or (len(length) < 20 and int(length) <= MOST_BODY)


def _limited(receive: Receive) -> Receive:
    """Ends a body of unknown length at `MOST_BODY`."""
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MOST_BODY:
            raise HTTPException(413, "This request is too large.")
        return message

    return limited


def _with_headers(send: Send, scripts: InlineScripts) -> Send:
    """Sets the headers of an answer; a page is held back until the hashes of its scripts are known."""
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
            headers["content-security-policy"] = _policy(())
            if headers.get("content-type", "").startswith("text/html"):
                start = message
                return
        elif start is not None and message["type"] == "http.response.body":
            page.extend(message.get("body", b""))
            if len(page) > _HTML_CAP:
                raise RuntimeError("page: larger than any of the studio's")
            if message.get("more_body", False):
                return
            headers = MutableHeaders(scope=start)
            headers["content-security-policy"] = _policy(scripts.hashes(page.decode(errors="replace")))
            await send(start)
            start = None
            await send({"type": "http.response.body", "body": bytes(page)})
            return
        await send(message)

    return guarded


def _policy(hashes: Iterable[str]) -> str:
    return "; ".join(
        (
            "default-src 'self'",
            " ".join(("script-src 'self' 'unsafe-eval'", *hashes)),
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
    """The name without its port: "[::1]:7860" -> "::1". "" if it is invalid."""
    match = _HOST.fullmatch(host)
    return "" if match is None else (match[1] or match[2]).lower().rstrip(".")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
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
