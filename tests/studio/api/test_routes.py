"""The REST routes: what a script can do, what it is told when it cannot, and that no path escapes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import ASGIApp

from studio.api.bodies import MOST_TEXT
from studio.api.error_answers import answer_errors
from studio.api.routes import routes
from studio.api.security import Guard
from studio.domain.file_types import TAKE_FILES
from studio.store.database import Database
from studio.store.upgrade import open_database
from tests.fakes.artifact_paths import path_of
from tests.fakes.asgi import ask
from tests.fakes.inline_studio import BOARD, Studio


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


def app_of(studio: Studio) -> ASGIApp:
    app = FastAPI()
    app.include_router(routes(studio.service))
    answer_errors(app)
    return Guard(app)


def client_of(studio: Studio) -> TestClient:
    return TestClient(app_of(studio), base_url="http://127.0.0.1:7860/api")


@pytest.fixture
def client(studio: Studio) -> TestClient:
    return client_of(studio)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    root = tmp_path_factory.mktemp("shared")
    database = open_database(root)
    yield Studio(root, database)
    database.close()


@pytest.fixture(scope="module")
def shared_client(shared: Studio) -> TestClient:
    """For tests that look at a project of their own alone: the routes take a while to make."""
    return client_of(shared)


def edit(client: TestClient, project: str, base: int = 0, **fields: Any) -> Any:
    return client.post(f"/projects/{project}/edits", json={"base": base, "edit": fields})


# projects


def test_a_project_is_made_and_shown(client: TestClient) -> None:
    made = client.post("/projects", json={"title": "New"})
    assert made.status_code == 201
    project = made.json()["id"]
    assert client.get(f"/projects/{project}").json() == made.json()
    assert client.post("/projects", json={}).json()["title"] == "Untitled"
    assert [listed["title"] for listed in client.get("/projects").json()] == ["Untitled", "New"]
    client.post(f"/projects/{project}/open")
    assert [listed["title"] for listed in client.get("/projects").json()] == ["New", "Untitled"]


def test_yaml_comes_and_goes(client: TestClient) -> None:
    text = "title: Tea, green?\nshots:\n  - caption: Mira waves\n"
    made = client.post("/projects/import", content=text)
    assert made.status_code == 201
    assert [shot["caption"] for shot in made.json()["shots"]] == ["Mira waves"]
    told = client.get(f"/projects/{made.json()['id']}/storyboard.yaml")
    assert told.headers["content-type"] == "application/yaml"
    assert told.headers["content-disposition"] == "attachment; filename*=utf-8''tea-green.yaml"
    assert client.post("/projects/import", content=told.text).json()["title"] == "Tea, green?"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"title: [", 422, "storyboard.yaml"),
        (b"", 422, "storyboard.yaml"),
        (b"\xff\xfe\xfa", 400, "the storyboard is not text in UTF-8"),
        (b"x" * (MOST_TEXT + 1), 400, "a storyboard has at most 1 MB"),
    ],
)
def test_what_is_no_storyboard_is_refused(client: TestClient, body: bytes, status: int, words: str) -> None:
    refused = client.post("/projects/import", content=body)
    assert refused.status_code == status
    assert words in refused.json()["message"]
    assert client.get("/projects").json() == []


def test_a_project_is_copied_binned_and_recovered(client: TestClient, studio: Studio) -> None:
    project = studio.rendered()
    copied = client.post(f"/projects/{project}/duplicate")
    assert copied.status_code == 201
    assert copied.json()["title"] == "Test (copy)"
    assert copied.json()["shots"][0]["takes"]
    assert client.post(f"/projects/{project}/trash").status_code == 204
    assert client.get("/projects").json()[1]["trashed"] is not None
    assert client.post(f"/projects/{project}/recover").status_code == 204
    assert client.get("/projects").json()[1]["trashed"] is None


# editing


EDITS: list[dict[str, Any]] = [
    {"op": "film", "title": "New", "size": [640, 360]},
    {"op": "settings", "settings": {"steps": 3}},
    {"op": "cast", "cast": [{"name": "Ada", "look": "green"}]},
    {"op": "add", "caption": "Mira rests", "at": 1},
    {"op": "caption", "shot": "a", "caption": "Mira sits"},
    {"op": "seed", "shot": "a", "seed": 5},
    {"op": "trim", "shot": "a", "trim": 0.1, "seconds": 0.8},
    {"op": "split", "shot": "a", "at": 0.5},
    {"op": "duplicate", "shots": ["a", "b"]},
    {"op": "delete", "shots": ["a"]},
    {"op": "move", "shots": ["a"], "to": 3},
    {"op": "lock", "shots": ["a"], "on": True},
    {"op": "skip", "shots": ["a"], "on": True},
    {"op": "steer", "shot": "b", "boosts": {"a": 2.0}},
]


@pytest.mark.parametrize("fields", EDITS, ids=lambda fields: fields["op"])
def test_every_edit_can_be_sent_and_undone(
    shared_client: TestClient, shared: Studio, fields: dict[str, Any]
) -> None:
    project = shared.service.projects.create(BOARD)
    before = shared_client.get(f"/projects/{project}").json()
    edited = edit(shared_client, project, **fields)
    assert edited.status_code == 200, edited.text
    assert edited.json()["revision"] == 1
    assert edited.json() == shared_client.get(f"/projects/{project}").json()
    undone = shared_client.post(f"/projects/{project}/undo", json={"base": 1}).json()
    assert undone["shots"] == before["shots"]
    redone = shared_client.post(f"/projects/{project}/redo", json={"base": 2}).json()
    assert redone["shots"] == edited.json()["shots"]


def test_takes_are_chosen_given_back_and_discarded(client: TestClient, studio: Studio) -> None:
    project = studio.rendered()
    take = client.get(f"/projects/{project}").json()["shots"][0]["take"]
    for base, op in enumerate(("choose", "restore", "discard")):
        state = client.get(f"/projects/{project}").json()
        edited = edit(client, project, state["revision"], op=op, shot="a", take=take)
        assert edited.status_code == 200, (base, edited.text)
    assert edited.json()["shots"][0]["take"] is None


def test_a_stale_edit_is_a_conflict(shared_client: TestClient, shared: Studio) -> None:
    project = shared.service.projects.create(BOARD)
    edit(shared_client, project, op="film", title="One")
    for conflict in (
        edit(shared_client, project, op="film", title="Two"),
        shared_client.post(f"/projects/{project}/undo", json={"base": 0}),
        shared_client.post(f"/projects/{project}/redo", json={"base": 7}),
    ):
        assert conflict.status_code == 409
        assert "changed elsewhere meanwhile" in conflict.json()["message"]
    assert shared_client.get(f"/projects/{project}").json()["title"] == "One"


def test_nothing_to_undo_is_told(shared_client: TestClient, shared: Studio) -> None:
    project = shared.service.projects.create(BOARD)
    refused = shared_client.post(f"/projects/{project}/undo", json={"base": 0})
    assert refused.status_code == 400
    assert refused.json() == {
        "code": "nothing-to-undo",
        "params": {},
        "message": "there is nothing to undo",
        "field": None,
    }


@pytest.mark.parametrize(
    ("fields", "status", "field", "words"),
    [
        ({"op": "sing"}, 422, ["edit"], "does not match any of the expected tags"),
        ({}, 422, ["edit"], "Unable to extract tag"),
        ({"op": "caption", "shot": "a"}, 422, ["edit", "caption", "caption"], "Field required"),
        (
            {"op": "trim", "shot": "a", "trim": "x", "seconds": 1},
            422,
            ["edit", "trim", "trim"],
            "valid number",
        ),
        ({"op": "film", "fps": 1000}, 422, ["fps"], "must lie within"),
        ({"op": "film", "title": "\x00"}, 422, ["title"], "holds a control character"),
        ({"op": "film", "size": [64]}, 422, None, ""),
        ({"op": "add", "id": "<b>"}, 422, ["shots", 3, "id"], "must be up to 64 letters"),
        (
            {"op": "caption", "shot": "b", "caption": "x" * 3000},
            422,
            ["shots", 1, "caption"],
            "at most 2000 fit",
        ),
        ({"op": "caption", "shot": "gone", "caption": "x"}, 400, None, "that shot is not there any more"),
        ({"op": "split", "shot": "a", "at": 9}, 400, None, "both parts must be at least"),
        ({"op": "choose", "shot": "a", "take": "gone"}, 400, None, "that take is not there any more"),
        ({"op": "settings", "settings": {"steps": 0}}, 422, None, "must lie within"),
    ],
)
def test_a_bad_edit_is_told_in_words(
    shared_client: TestClient, shared: Studio, fields: dict[str, Any], status: int, field: Any, words: str
) -> None:
    project = shared.service.projects.create(BOARD)
    refused = edit(shared_client, project, **fields)
    assert refused.status_code == status, refused.text
    assert refused.json().keys() == {"code", "params", "message", "field"}
    assert words in refused.json()["message"]
    assert field is None or refused.json()["field"] == field
    assert shared_client.get(f"/projects/{project}").json()["revision"] == 0


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "null",
        "[]",
        '{"base": 0}',
        '{"base": 1e400, "edit": {"op": "film"}}',
        '{"base": 0, "edit": {"op": "film", "fps": NaN}}',
        '{"base": 0, "edit": {"op": "film", "seed": 1e30}}',
        '{"base": 0, "edit": {"op": "film", "title": "\\ud800"}}',
        '{"base": 0, "edit": {"op": "\\ud800"}}',
        '{"base": 0, "edit": {"op": "add", "id": "\\ud800"}}',
        '{"base": 0, "edit": {"op": "steer", "shot": "a", "pins": ["\\ud800"]}}',
        '{"base": 0, "edit": {"op": "steer", "shot": "a", "boosts": {"\\ud800": 1}}}',
        '{"base": 0, "edit": {"op": "steer", "shot": "a", "boosts": {"b": Infinity}}}',
        '{"base": 0, "edit": {"op": "split", "shot": "a", "at": NaN}}',
        '{"base": 0, "edit": {"op": "trim", "shot": "a", "trim": -Infinity, "seconds": 1}}',
        '{"base": 0, "edit": {"op": "add", "at": 1e999}}',
        "[" * 50_000,
    ],
)
def test_nonsense_is_refused_and_leaves_the_project_readable(
    shared_client: TestClient, shared: Studio, body: str
) -> None:
    project = shared.service.projects.create(BOARD)
    refused = shared_client.post(
        f"/projects/{project}/edits", content=body, headers={"content-type": "application/json"}
    )
    assert refused.status_code in (400, 422), refused.text
    assert shared_client.get(f"/projects/{project}").json()["revision"] == 0


# rendering and the queue


def test_renders_are_planned_queued_and_shown(client: TestClient, studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    plan = client.post(f"/projects/{project}/plan", json={}).json()
    assert [(item["shot"], item["reasons"]) for item in plan] == [(s, ["not rendered yet"]) for s in "abc"]
    assert len(client.post(f"/projects/{project}/plan", json={"shots": ["b"]}).json()) == 1
    assert client.post(f"/projects/{project}/plan", json={"scope": "most"}).status_code == 422
    schedule = client.post(f"/projects/{project}/schedule", json={"workers": 2}).json()
    assert (schedule["waves"], schedule["workers"]) == ([[0], [1], [2]], 2)
    assert client.post(f"/projects/{project}/schedule", json={"workers": 0}).status_code == 422
    queued = client.post(f"/projects/{project}/render", json={"scope": "all"})
    assert queued.status_code == 202
    jobs = client.get("/queue").json()
    assert [job["id"] for job in jobs["jobs"]] == queued.json()
    assert not jobs["paused"]
    studio.work()
    assert [job["state"] for job in client.get("/queue").json()["jobs"]] == ["done"] * 3
    nothing = client.post(f"/projects/{project}/render", json={})
    assert nothing.status_code == 400
    assert "no shot is outdated" in nothing.json()["message"]
    rolled = client.post(f"/projects/{project}/shots/c/reroll", json={"count": 2})
    assert rolled.status_code == 202
    assert len(rolled.json()) == 2
    for bad in ({"count": 0}, {"count": 9}, {"seed": -1}, {"seed": 2**64}):
        assert client.post(f"/projects/{project}/shots/c/reroll", json=bad).status_code == 400


def test_the_queue_is_paused_sorted_and_cleared(client: TestClient, studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    a, b, c = client.post(f"/projects/{project}/render", json={}).json()
    assert client.post("/queue/pause", json={"paused": True}).status_code == 204
    assert client.get("/queue").json()["paused"]
    assert client.post(f"/jobs/{c}/move", json={"before": a}).status_code == 204
    assert client.post(f"/jobs/{b}/move", json={"before": 2**70}).status_code == 204
    assert client.post(f"/jobs/{b}/cancel").status_code == 204
    assert [job["id"] for job in client.get("/queue").json()["jobs"]] == [c, a, b]
    assert client.post(f"/jobs/{a}/retry").status_code == 400
    assert client.post(f"/jobs/{b}/retry").status_code == 204
    client.post(f"/jobs/{b}/cancel")
    assert client.post("/queue/clear").status_code == 204
    assert [job["id"] for job in client.get("/queue").json()["jobs"]] == [c, a]
    assert client.get(f"/jobs/{a}/preview").status_code == 404
    assert client.post("/queue/pause", json={"paused": False}).status_code == 204


@pytest.mark.parametrize("job", ["0", "-1", "x", "1.5", str(2**63), "9" * 5000])
def test_no_number_of_a_job_breaks_anything(shared_client: TestClient, job: str) -> None:
    for ask_for in (
        shared_client.post(f"/jobs/{job}/cancel"),
        shared_client.post(f"/jobs/{job}/retry"),
        shared_client.post(f"/jobs/{job}/move", json={}),
        shared_client.get(f"/jobs/{job}/preview"),
    ):
        assert ask_for.status_code in (404, 422)


BODIES: dict[str, Any] = {
    "edits": {"base": 0, "edit": {"op": "film", "title": "x"}},
    "undo": {"base": 0},
    "redo": {"base": 0},
    "unknown": {"text": "x"},
    "{field}": {"value": "x", "seen": []},
}


FOOTAGE_BODIES: dict[str, Any] = {
    "/api/footage/{footage_id}/edits": {"base": 0, "edit": {"op": "style", "style": "x"}},
}


POINT: dict[str, int | str] = {"seconds": 0, "x": 0, "y": 0, "column": 0, "frames": "0"}
"""What some routes are asked besides."""


def test_every_route_says_what_is_gone(client: TestClient) -> None:
    app: Any = client.app
    asked = 0
    for path, methods in app._app.openapi()["paths"].items():
        if "{" not in path:
            continue
        target = re.sub(r"\{(job|part|frame)\}", "9", re.sub(r"\{kind\}", "clip", path))
        target = re.sub(r"\{footage_id\}", "0" * 16, target)
        target = re.sub(r"\{\w+\}", "gone", target).removeprefix("/api")
        for method in methods:
            body = FOOTAGE_BODIES.get(path) or BODIES.get(path.rpartition("/")[2], {})
            answer = client.request(method, target, json=body, params=POINT)
            assert answer.status_code == 404, (path, answer.text)
            assert "there" in answer.json()["message"]
            asked += 1
    assert asked >= 16


# files


def take_of(client: TestClient, project: str) -> str:
    take = client.get(f"/projects/{project}").json()["shots"][0]["take"]
    assert isinstance(take, str)
    return take


def test_files_have_a_fixed_type_and_stay_the_same(client: TestClient, studio: Studio) -> None:
    project = studio.rendered()
    take = take_of(client, project)
    for kind, file_type in TAKE_FILES.items():
        file = client.get(f"/projects/{project}/takes/{take}/{kind}")
        assert file.status_code == 200
        assert file.headers["content-type"] == file_type.media_type
        assert file.headers["x-content-type-options"] == "nosniff"
        assert "immutable" in file.headers["cache-control"]
        assert file.content == path_of(studio.service.files.media(project, take, kind)).read_bytes()


def test_a_frame_of_a_take_is_a_small_picture(client: TestClient, studio: Studio) -> None:
    project = studio.rendered()
    take = studio.service.projects.state(project).shots[0].take
    pictures = [client.get(f"/projects/{project}/takes/{take}/frames/{frame}") for frame in (0, 6)]
    assert [picture.headers["content-type"] for picture in pictures] == ["image/jpeg"] * 2
    assert pictures[0].content != pictures[1].content
    assert client.get(f"/projects/{project}/takes/gone/frames/0").status_code == 404


def test_a_clip_is_played_from_anywhere(client: TestClient, studio: Studio) -> None:
    project = studio.rendered()
    url = f"/projects/{project}/takes/{take_of(client, project)}/clip"
    whole = client.get(url)
    assert whole.headers["accept-ranges"] == "bytes"
    for given, first, stop in (("0-99", 0, 100), ("100-", 100, None), ("-50", -50, None)):
        part = client.get(url, headers={"range": f"bytes={given}"})
        assert part.status_code == 206
        assert part.content == whole.content[first:stop]
        assert part.headers["content-range"].endswith(f"/{len(whole.content)}")
    beyond = client.get(url, headers={"range": f"bytes={len(whole.content)}-"})
    assert beyond.status_code == 416
    assert client.get(url, headers={"if-none-match": whole.headers["etag"]}).status_code in (200, 304)


def test_exports_are_files_to_keep(client: TestClient, studio: Studio) -> None:
    project = studio.rendered()
    for kind, type_ in (
        ("film.mp4", "video/mp4"),
        ("subtitles.srt", "application/x-subrip"),
        ("captions.vtt", "text/vtt"),
        ("contact-sheet.png", "image/png"),
        ("project.mocz", "application/zip"),
    ):
        file = client.get(f"/projects/{project}/export/{kind}")
        assert file.status_code == 200, file.text
        assert file.headers["content-type"].partition(";")[0] == type_
        assert file.headers["content-disposition"].startswith("attachment")
    empty = client.post("/projects", json={}).json()["id"]
    refused = client.get(f"/projects/{empty}/export/film.mp4")
    assert refused.status_code == 400
    assert refused.json()["message"] == "there is nothing to export yet"


def test_a_bundle_comes_and_goes(client: TestClient, studio: Studio) -> None:
    project = studio.rendered()
    bundle = client.get(f"/projects/{project}/export/project.mocz")
    made = client.post("/projects/bundle", content=bundle.content)
    assert made.status_code == 201
    assert made.json()["shots"] == client.get(f"/projects/{project}").json()["shots"]
    assert client.post("/projects/bundle", content=b"PK").status_code == 400


def test_a_page_polls_the_status_and_asks_for_unknown_words(client: TestClient, studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    polled = client.get(f"/projects/{project}/status").json()
    assert polled["stamp"] == client.get(f"/projects/{project}").json()["stamp"]
    assert polled["queue"] == client.get("/queue").json()
    assert client.get("/projects/gone/status").status_code == 404
    (span,) = client.post(f"/projects/{project}/unknown", json={"text": "Mira wawes"}).json()
    assert (span["start"], span["stop"]) == (5, 10)
    for text in ("x" * 100_000, "<script>", "\0", "\ud800"):
        body = json.dumps({"text": text})
        assert client.post(f"/projects/{project}/unknown", content=body).status_code in (200, 422)


NAMES = (
    "..",
    "../..",
    "../../../../etc/passwd",
    "/etc/passwd",
    "//etc/passwd",
    "..\\..\\secret.txt",
    "C:\\secret.txt",
    "secret.txt",
    "../secret.txt",
    "../../secret.txt",
    "studio.db",
    "../studio.db",
    "./studio.db",
    "artifacts",
    "file:///etc/passwd",
    "%",
    "*",
    "~",
    "\0",
    "\n",
    "secret.txt\0.mp4",
    "．．／secret.txt",
    "\N{COMBINING ACUTE ACCENT}",
    "' OR 1=1 --",
    "clip.mp4",
    "a" * 64,
    "x" * 5000,
    " ",
    "",
)


def encodings(name: str) -> set[str]:
    """The name in a URL: as it may be, all in percents, twice encoded, and with overlong dots and slashes."""
    plain = "".join(f"%{byte:02X}" for byte in name.encode())
    return {
        "".join(c if c.isascii() and (c.isalnum() or c in "./_-~") else f"%{ord(c) & 255:02x}" for c in name),
        plain,
        plain.replace("%", "%25"),
        plain.replace("%2E", "%c0%ae").replace("%2F", "%c0%af"),
    }


def test_no_path_escapes(studio: Studio, tmp_path: Path) -> None:
    app = app_of(studio)
    project = studio.rendered()
    take = studio.service.projects.state(project).shots[0].take
    assert take is not None
    assert ask(app, f"/api/projects/{project}/takes/{take}/clip").status == 200
    secret = b"nobody may read this"
    for place in (
        tmp_path / "secret.txt",
        tmp_path / "artifacts" / "secret.txt",
        tmp_path.parent / "secret.txt",
    ):
        place.write_bytes(secret)
    targets = [
        target
        for name in NAMES
        for hostile in encodings(name)
        for target in (
            f"/api/projects/{hostile}/takes/{take}/clip",
            f"/api/projects/{project}/takes/{hostile}/clip",
            f"/api/projects/{project}/takes/{take}/{hostile}",
            f"/api/projects/{hostile}/export/film.mp4",
            f"/api/projects/{project}/export/{hostile}",
        )
    ]
    assert len(targets) >= 300
    for target in targets:
        answer = ask(app, target)
        assert answer.status in (400, 404, 422), (target, answer.status)
        assert secret not in answer.body
        assert json.loads(answer.body)


def test_a_link_out_of_the_folder_is_not_followed(client: TestClient, studio: Studio, tmp_path: Path) -> None:
    project = studio.rendered()
    take = take_of(client, project)
    clip = path_of(studio.service.files.media(project, take, "clip"))
    clip.unlink()
    secret = tmp_path / "secret"
    secret.write_text("nobody may read this")
    clip.symlink_to(secret)
    answer = client.get(f"/projects/{project}/takes/{take}/clip")
    assert answer.status_code == 404
    assert "nobody" not in answer.text
