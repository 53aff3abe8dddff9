"""Uploads: written into the studio's folder in pieces, within limits, and gone after a failure."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.types import Message, Scope

from studio.api.error_answers import answer_errors
from studio.api.routes import routes
from studio.domain.errors import OutputFailed, WrongUse
from studio.service.uploads import MOST_BYTES, Upload
from studio.store.database import Database
from tests.fakes.asgi import ask, run
from tests.fakes.inline_studio import Studio


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


def app_of(studio: Studio) -> FastAPI:
    app = FastAPI()
    app.include_router(routes(studio.service))
    answer_errors(app)
    return app


def left(root: Path) -> list[Path]:
    scratch = root / "scratch"
    return list(scratch.iterdir()) if scratch.is_dir() else []


def scope_of(length: int | None) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/api/projects/bundle",
        "raw_path": b"/api/projects/bundle",
        "query_string": b"",
        "root_path": "",
        "headers": [] if length is None else [(b"content-length", str(length).encode())],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 7860),
    }


def send_pieces(app: FastAPI, pieces: Iterator[Message], length: int | None = None) -> list[Message]:
    """What the app says while it is sent a body in pieces."""
    said: list[Message] = []

    async def receive() -> Message:
        return next(pieces)

    async def send(message: Message) -> None:
        said.append(message)

    run(app(scope_of(length), receive, send))
    return said


def test_an_upload_lies_in_the_studios_folder(studio: Studio, tmp_path: Path) -> None:
    bundle = studio.service.files.export(studio.rendered(), "project.mocz").read_bytes()
    seen: list[list[Path]] = []

    def pieces() -> Iterator[Message]:
        half = 2**20
        padded = [bundle[start : start + half] for start in range(0, len(bundle), half)]
        for piece in padded:
            yield {"type": "http.request", "body": piece, "more_body": True}
            seen.append([file for folder in left(tmp_path) for file in folder.iterdir()])
        yield {"type": "http.request", "body": b"", "more_body": False}

    said = send_pieces(app_of(studio), pieces(), len(bundle))
    assert said[0]["status"] == 201
    assert all(len(files) == 1 for files in seen)
    assert left(tmp_path) == []


def test_an_upload_that_stops_leaves_nothing(studio: Studio, tmp_path: Path) -> None:
    def pieces() -> Iterator[Message]:
        yield {"type": "http.request", "body": b"x" * 2**20, "more_body": True}
        assert len(left(tmp_path)) == 1
        yield {"type": "http.disconnect"}

    said = send_pieces(app_of(studio), pieces())
    assert [message["status"] for message in said if message["type"] == "http.response.start"] == [499]
    assert left(tmp_path) == []
    assert studio.service.projects.all() == []


def test_what_is_declared_too_large_is_refused_before_it_is_sent(studio: Studio, tmp_path: Path) -> None:
    def pieces() -> Iterator[Message]:
        raise AssertionError("the body was asked for")
        yield

    said = send_pieces(app_of(studio), pieces(), MOST_BYTES + 1)
    assert said[0]["status"] == 400
    assert b"at most 4 GB" in said[1]["body"]
    assert left(tmp_path) == []


@pytest.mark.parametrize("length", ["-1", "x", "9" * 30, "²"])
def test_a_senseless_length_is_no_length(studio: Studio, length: str) -> None:
    answer = ask(
        app_of(studio), "/api/projects/bundle", "POST", body=b"PK", headers={"content-length": length}
    )
    assert answer.status == 400


def test_an_upload_ends_at_its_limit(tmp_path: Path) -> None:
    upload = Upload(tmp_path, None, most=10)
    upload.write(b"x" * 10)
    with pytest.raises(WrongUse, match="at most"):
        upload.write(b"x")
    upload.discard()
    upload.discard()
    assert list(tmp_path.iterdir()) == []


def test_an_upload_leaves_room_on_the_disk(tmp_path: Path) -> None:
    with pytest.raises(OutputFailed, match="the disk is full"):
        Upload(tmp_path, 1, reserve=2**62)
    upload = Upload(tmp_path, None, reserve=0)
    assert upload.finish().read_bytes() == b""
    upload.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_client_that_leaves_is_no_bug(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    def pieces() -> Iterator[Message]:
        yield {"type": "http.disconnect"}

    said = send_pieces(app_of(studio), pieces())
    assert said[0]["status"] == 499
    assert ClientDisconnect.__name__ not in caplog.text


def test_a_bug_is_logged_under_the_incident_that_the_answer_names(
    studio: Studio, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_of(studio)

    @app.get("/bug")
    def bug() -> None:
        raise ValueError("steps: must be 1 or more")  # one of ours: nobody's input

    with pytest.raises(ValueError, match="steps"):  # the server logs it too
        ask(app, "/bug")
    said: list[Message] = []

    async def send(message: Message) -> None:
        said.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def answer() -> None:
        with pytest.raises(ValueError, match="steps"):
            await app({**scope_of(None), "method": "GET", "path": "/bug", "raw_path": b"/bug"}, receive, send)

    caplog.clear()
    run(answer())
    assert said[0]["status"] == 500
    body = said[1]["body"].decode()
    assert "steps" not in body
    (record,) = [record for record in caplog.records if record.name == "studio.api.error_answers"]
    assert record.exc_info is not None
    assert record.getMessage().split()[1].rstrip(":") in body
