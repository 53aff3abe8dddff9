"""A server of S3 in this process, by moto, which can be told to fail.

Buckets are empty at first and are not shared. Requests come over HTTP, from this process and from others.
"""

from __future__ import annotations

import logging
import socket
import threading
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""The environment in which the server is used."""

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]
Fault = Callable[[str, str], str | None]
"""What befalls a request by its method and path: one of the faults below, or nothing."""

REFUSED: Final = "refused"
"""The server is busy, and does nothing."""

UNANSWERED: Final = "unanswered"
"""The server does it, and says that it failed."""

CUT: Final = "cut"
"""The connection breaks in the middle of the answer."""

CUT_UPLOAD: Final = "cut upload"
"""The connection breaks in the middle of the request's body, and the server does nothing."""


class S3:
    """A running server. `fault` decides what befalls each request."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of moto's libraries
            from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
            from werkzeug.serving import make_server

            self._app: Wsgi = DomainDispatcherApplication(create_backend_app)
            self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.fault: Fault = _none
        self.requests: list[tuple[str, str]] = []
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def new_place(self) -> str:
        """The URL of a place in a bucket of its own, for `--artifacts`."""
        bucket = f"bucket-{uuid.uuid4().hex[:12]}"
        self._backend().create_bucket(bucket, "us-east-1")
        return f"s3://{bucket}/studio?endpoint_url={self.endpoint}"

    def objects(self, place: str) -> dict[str, bytes]:
        """The objects at a place by key."""
        bucket, prefix = _parts(place)
        found = {name.removeprefix(prefix): key.value for name, key in self._keys(bucket).items()}
        return {name: content for name, content in found.items() if name.count("/") == 1}

    def change(self, place: str, key: str, content: bytes | None) -> None:
        """Damages an object, or removes it where None."""
        bucket, prefix = _parts(place)
        if content is None:
            self._backend().delete_object(bucket, prefix + key)
        else:
            self._backend().put_object(bucket, prefix + key, content)

    def age(self, place: str) -> None:
        """Makes all objects old."""
        bucket, _ = _parts(place)
        for key in self._keys(bucket).values():
            key.last_modified = datetime.fromtimestamp(0, UTC).replace(tzinfo=None)

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        self.fault = fault
        try:
            yield
        finally:
            self.fault = _none

    def _backend(self) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from moto.backends import get_backend

            return get_backend("s3")["123456789012"]["aws"]

    def _keys(self, bucket: str) -> dict[str, Any]:
        return dict(self._backend().buckets[bucket].keys.items())

    def _answer(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        request = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.requests.append(request)
        fault = self.fault(*request)
        if fault == CUT_UPLOAD:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0) // 2)
        if fault in (CUT_UPLOAD, REFUSED):
            return _broken(environ) if fault == CUT_UPLOAD else _busy(start)
        answer = list(self._app(environ, start if fault is None else _kept(start, fault)))
        if fault == UNANSWERED:
            return _busy(start)
        if fault == CUT:
            whole = b"".join(answer)
            return _broken(environ, whole[: len(whole) // 2])
        return answer


def every(count: int, fault: str) -> Fault:
    """One request in so many fails."""
    seen = iter(range(1, 1_000_000))
    lock = threading.Lock()

    def decide(method: str, path: str) -> str | None:
        with lock:
            return fault if next(seen) % count == 0 else None

    return decide


def _none(method: str, path: str) -> str | None:
    return None


def _parts(place: str) -> tuple[str, str]:
    bucket, _, prefix = place.partition("?")[0].removeprefix("s3://").partition("/")
    return bucket, f"{prefix}/"


def _busy(start: Any) -> Iterable[bytes]:
    start("503 Service Unavailable", [("content-type", "application/xml")])
    return [b"<Error><Code>ServiceUnavailable</Code><Message>busy</Message></Error>"]


def _kept(start: Any, fault: str) -> Any:
    """Lets an answer begin only where its body is to be cut."""
    return start if fault == CUT else lambda *arguments: lambda data: None


def _broken(environ: dict[str, Any], data: bytes = b"") -> Iterator[bytes]:
    """Sends this much of an answer and closes the connection."""
    if data:
        yield data
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError("as it was told to")
