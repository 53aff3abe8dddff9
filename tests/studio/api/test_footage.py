"""Routes of footage: what they answer, what they refuse, and to whom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from studio.api.error_answers import answer_errors
from studio.api.footage import UPLOADS, footage_routes
from studio.api.queue import queue_routes
from studio.api.security import MOST_BODY, Guard
from studio.store.database import Database
from studio.web.footage_page import serve_footage_page
from tests.fakes.asgi import ask
from tests.fakes.footage import write_footage
from tests.fakes.inline_studio import Studio

HERE = "http://127.0.0.1:7860"


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


@pytest.fixture
def app(studio: Studio) -> ASGIApp:
    inner = FastAPI()
    for subject in (footage_routes, queue_routes):
        inner.include_router(subject(studio.service), prefix="/api")
    answer_errors(inner)
    serve_footage_page(inner)
    return Guard(inner, uploads=UPLOADS)


@pytest.fixture
def client(app: ASGIApp) -> TestClient:
    return TestClient(app, base_url=HERE)


@pytest.fixture
def footage(studio: Studio, client: TestClient, tmp_path: Path) -> str:
    """Footage that was read."""
    path = write_footage(tmp_path / "films" / "sea.mp4")
    (added,) = client.post("/api/footage", json={"path": str(path)}).json()
    studio.work()
    return str(added)


def edited(client: TestClient, footage: str, base: int, **edit: Any) -> Any:
    return client.post(f"/api/footage/{footage}/edits", json={"base": base, "edit": edit})


def test_a_video_is_added_cut_edited_and_saved(client: TestClient, footage: str, tmp_path: Path) -> None:
    (listed,) = client.get("/api/footage").json()
    assert (listed["id"], listed["shots"], listed["seconds"]) == (footage, 3, 7.5)
    state = client.get(f"/api/footage/{footage}").json()
    assert state["location"] == str(tmp_path / "films" / "sea.mp4")
    for edit in (
        {"op": "move-cut", "shot": 1, "to": 30},
        {"op": "split", "at": 70},
        {"op": "merge", "shot": 0},
        {"op": "leave-out", "shot": 1, "on": True},
        {"op": "caption", "shot": 0, "caption": "Mira"},
        {"op": "style", "style": "ink"},
    ):
        answer = edited(client, footage, state["revision"], **edit)
        assert answer.status_code == 200, answer.text
        state = answer.json()
    assert [(shot["start"], shot["caption"], shot["left_out"]) for shot in state["shots"]] == [
        (0, "Mira", False),
        (60, "", True),
        (70, "", False),
    ]
    undone = client.post(f"/api/footage/{footage}/undo", json={"base": state["revision"]}).json()
    assert (undone["style"], undone["redo"]) == ("", "style")
    assert client.post(f"/api/footage/{footage}/redo", json={"base": undone["revision"]}).json()["style"]
    answer = client.get(f"/api/footage/{footage}/storyboard.yaml")
    assert answer.headers["content-disposition"] == "attachment; filename*=utf-8''sea.yaml"
    assert 'caption: "Mira"' in answer.text
    saved = client.post(f"/api/footage/{footage}/save").json()
    assert saved == str(tmp_path / "films" / "sea.yaml")
    assert client.post("/api/footage/import?name=sea.yaml", content=answer.text).json() == [footage]


def test_the_preview_film_and_its_frames_are_sent(client: TestClient, footage: str) -> None:
    film = client.get(f"/api/footage/{footage}/film", headers={"range": "bytes=0-99"})
    assert (film.status_code, film.headers["content-type"], len(film.content)) == (206, "video/mp4", 100)
    assert film.headers["x-content-type-options"] == "nosniff"
    stills = client.get(f"/api/footage/{footage}/stills?frames=0,45,89")
    assert (stills.status_code, stills.headers["content-type"]) == (200, "image/jpeg")
    assert stills.content.startswith(b"\xff\xd8")
    assert client.get(f"/api/footage/{footage}/stills?frames=90").status_code == 400
    for wrong in ("", "a", "0,", "1" * 10, "-1"):
        assert client.get(f"/api/footage/{footage}/stills?frames={wrong}").status_code == 422


def test_edits_that_cannot_be_made_are_refused(client: TestClient, footage: str) -> None:
    assert edited(client, footage, 0, op="split", at=70).status_code == 409
    refused = edited(client, footage, 1, op="move-cut", shot=1, to=60)
    assert (refused.status_code, refused.json()["code"]) == (400, "cut-beyond-neighbours")
    assert edited(client, footage, 1, op="caption", shot=0, caption="x" * 2001).status_code == 422
    assert edited(client, footage, 1, op="replace", shots=[]).status_code == 422
    assert edited(client, footage, 1, op="split", at="soon").status_code == 422
    assert client.post(f"/api/footage/{footage}/find-cuts", json={"threshold": 0}).status_code == 422
    assert client.get(f"/api/footage/{footage}").json()["revision"] == 1


@pytest.mark.parametrize("route", ["", "/film", "/stills?frames=0", "/storyboard.yaml"])
def test_footage_that_is_not_there(app: ASGIApp, route: str) -> None:
    assert ask(app, f"/api/footage/{'0' * 16}{route}").status == 404
    for wrong in ("..", "%2e%2e", "0" * 15, "x" * 16):
        assert ask(app, f"/api/footage/{wrong}{route}").status == 422, wrong


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc", "/nowhere/a.mp4", "/proc/self/mem", "a\0.mp4"])
def test_paths_that_are_no_videos_are_refused(client: TestClient, path: str) -> None:
    answer = client.post("/api/footage", json={"path": path})
    assert answer.status_code == 400
    assert client.get("/api/footage").json() == []


def test_a_video_is_uploaded(client: TestClient, studio: Studio, tmp_path: Path) -> None:
    film = write_footage(tmp_path / "sea.mp4").read_bytes()
    padded = film + bytes(MOST_BODY)  # larger than requests that are no uploads
    answer = client.post(f"{UPLOADS[0]}?name=a%2Fsea.mp4", content=padded)
    assert answer.status_code == 201
    studio.work()
    state = client.get(f"/api/footage/{answer.json()}").json()
    assert (state["name"], state["location"], len(state["shots"])) == ("sea.mp4", "uploaded", 3)
    assert client.post(f"{UPLOADS[0]}?name=sea.exe", content=film).status_code == 400
    assert list((tmp_path / "scratch").iterdir()) == []
    assert client.post(f"/api/footage/{answer.json()}/remove").status_code == 204
    assert client.get(f"/api/footage/{answer.json()}").status_code == 404


def test_the_job_can_be_cancelled_and_tried_again(client: TestClient, studio: Studio, tmp_path: Path) -> None:
    path = write_footage(tmp_path / "sea.mp4")
    (footage,) = client.post("/api/footage", json={"path": str(path)}).json()
    job = client.get(f"/api/footage/{footage}").json()["job"]
    assert (job["kind"], job["state"], job["footage"]) == ("analysis", "queued", footage)
    assert client.post(f"/api/jobs/{job['id']}/cancel").status_code == 204
    assert client.get(f"/api/footage/{footage}").json()["job"]["state"] == "cancelled"
    answer = client.post(f"/api/footage/{footage}/find-cuts", json={})
    assert answer.status_code == 202
    studio.work()
    assert client.get(f"/api/footage/{footage}").json()["ready"]


@pytest.mark.parametrize("route", ["/footage", "/api/footage", f"{UPLOADS[0]}?name=a.mp4"])
def test_other_sites_may_not_use_it(app: ASGIApp, route: str, tmp_path: Path) -> None:
    method = "POST" if "upload" in route else "GET"
    assert ask(app, route, method, host="evil.example").status == 403
    foreign = {"origin": "http://evil.example"}
    assert ask(app, route, method, headers=foreign, body=b"x").status == 403
    add = json.dumps({"path": str(write_footage(tmp_path / "sea.mp4"))}).encode()
    headers = {**foreign, "content-type": "application/json"}
    assert ask(app, "/api/footage", "POST", headers=headers, body=add).status == 403
    assert ask(app, "/api/footage").body == b"[]"


def test_the_page_runs_no_scripts_but_its_own(app: ASGIApp) -> None:
    answer = ask(app, "/footage")
    assert answer.status == 200
    assert "<script" in answer.text
    assert "sha256" not in answer.headers["content-security-policy"]
