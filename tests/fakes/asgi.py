"""Requests exactly as they come from the wire, which clients would tidy up first."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope

HERE = "127.0.0.1:7860"

T = TypeVar("T")


def run(coroutine: Coroutine[object, object, T]) -> T:
    """The result of a coroutine run in a new thread, since Playwright keeps a loop running in this one."""
    with ThreadPoolExecutor(max_workers=1) as threads:
        return threads.submit(asyncio.run, coroutine).result()


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(
    app: ASGIApp,
    target: str,
    method: str = "GET",
    *,
    host: str | None = HERE,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Answer:
    """What an app answers; `target` is the percent-encoded path as a server hands it on."""
    path, _, query = target.partition("?")
    sent = {**({} if host is None else {"host": host}), **(headers or {})}
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 7860),
    }
    said: list[Message] = []
    to_say: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if not to_say:
            await asyncio.Event().wait()  # stays until it has its answer
        return to_say.pop()

    async def send(message: Message) -> None:
        said.append(message)

    async def answer() -> None:
        await app(scope, receive, send)

    run(answer())
    (start,) = [message for message in said if message["type"] == "http.response.start"]
    return Answer(
        status=start["status"],
        headers={name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]},
        body=b"".join(message.get("body", b"") for message in said if message is not start),
    )
