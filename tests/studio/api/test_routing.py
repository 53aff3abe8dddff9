"""The routes of the routing inspector: what they answer, and what they say where they cannot."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pyarrow import parquet

from studio.api.error_answers import answer_errors
from studio.api.routes import routes
from studio.api.routing import TABLE_TYPES
from studio.store.database import Database
from studio.store.upgrade import open_database
from tests.fakes.artifact_paths import artifact_path
from tests.fakes.inline_studio import Studio


def client_of(studio: Studio) -> TestClient:
    app = FastAPI()
    app.include_router(routes(studio.service))
    answer_errors(app)
    return TestClient(app, base_url="http://127.0.0.1:7860/api")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, str, list[str]]]:
    """Routes, a rendered project and its takes."""
    root = tmp_path_factory.mktemp("shared")
    database = open_database(root)
    studio = Studio(root, database)
    project = studio.rendered()
    client = client_of(studio)
    shots = client.get(f"/projects/{project}").json()["shots"]
    yield client, project, [shot["take"] for shot in shots]
    database.close()


Rendered = tuple[TestClient, str, list[str]]


def ask(rendered: Rendered, rest: str = "", take: int = 2) -> Any:
    client, project, takes = rendered
    return client.get(f"/projects/{project}/takes/{takes[take]}/routing{rest}")


def test_the_story_map_and_its_page(rendered: Rendered) -> None:
    client, project, takes = rendered
    story = client.get(f"/projects/{project}/routing").json()
    assert [row["take"] for row in story["rows"]] == takes
    assert story["figure"]["data"][0]["z"][1] == [pytest.approx(0.5, abs=1e-3), None, None]
    page = client.get(f"/projects/{project}/routing.html?take={takes[2]}")
    assert page.headers["content-type"] == "application/octet-stream"  # a file, not a page of the studio
    assert page.headers["content-disposition"] == "attachment; filename*=utf-8''test-shot-3-routing.html"
    assert "What each part looked at" in page.text


def test_the_chunk_map_as_it_was_asked_for(rendered: Rendered) -> None:
    _, _, takes = rendered
    whole = ask(rendered).json()
    assert whole["query"] == ["the set", "Mira", "Otto", "prop 1 (empty)"]
    assert (whole["layers"], whole["groups"][0]) == (["layer 1", "layer 2"], "step 1")
    other = ask(rendered, f"?layer=1&head=0&group=2&log=true&source={takes[1]}").json()
    assert other["words"] == whole["words"]
    (drawn,) = other["figure"]["data"]
    assert [label.split()[-1] for label in drawn["x"]] == ["2"] * 3
    assert max(map(max, drawn["z"])) <= 0


def test_what_parts_and_points_looked_at(rendered: Rendered) -> None:
    part = ask(rendered, "/parts/1?layer=0").json()
    assert (part["part"], part["drawn"][0]["label"]) == ("Mira", "Mira in shot 1")
    assert part["own"] == pytest.approx(0.55, abs=1e-3)
    moment = ask(rendered, "/moment?seconds=0.3").json()
    assert [found["name"] for found in moment["parts"]] == ["the set", "Mira", "Otto"]
    point = ask(rendered, "/point?seconds=0.3&x=0.2&y=0.5").json()
    assert (point["part"], point["box"]) == ("Mira", pytest.approx([0.1, 0.3, 0.3, 0.8], abs=1e-4))


def test_heads_and_comparisons(rendered: Rendered) -> None:
    _, _, takes = rendered
    assert len(ask(rendered, "/heads").json()) == 4
    against = ask(rendered, f"/against/{takes[1]}").json()
    assert {name for name, _ in against["shots"]} == {"shot 1", "shot 2", "the shot itself"}
    assert against["figure"]["data"][0]["meta"] == "change"


@pytest.mark.parametrize("kind", TABLE_TYPES)
def test_tables_are_files_to_keep(rendered: Rendered, kind: str) -> None:
    table = ask(rendered, f"/table.{kind}")
    assert table.headers["content-type"].split(";")[0] == TABLE_TYPES[kind]
    assert table.headers["content-disposition"].endswith(f"test-shot-3-routing.{kind}")
    match kind:
        case "csv":
            rows = list(csv.DictReader(io.StringIO(table.text)))
            assert {row["part"] for row in rows} == {"the set", "Mira", "Otto", "prop 1 (empty)"}
        case "npz":
            with np.load(io.BytesIO(table.content)) as read:
                assert read["table"].sum(axis=-1) == pytest.approx(1, abs=1e-3)
        case "parquet":
            assert parquet.read_table(io.BytesIO(table.content)).num_rows > 100


@pytest.mark.parametrize(
    ("rest", "status", "words"),
    [
        ("?layer=2", 400, "layer: this take has 2, counted from 0, got 2"),
        ("?head=-1", 400, "head: this take has 2, counted from 0, got -1"),
        ("?group=4", 400, "group: this take has 4, counted from 0, got 4"),
        ("?layer=x", 422, "layer: "),
        ("?source=gone", 404, "this take could not look at that one"),
        ("/parts/4", 404, "this take has 4 parts"),
        ("/parts/x", 422, "part: "),
        ("/moment", 422, "seconds: "),
        ("/moment?seconds=nan", 422, "seconds: "),
        ("/point?seconds=0&x=2&y=0", 422, "x: "),
        ("/heat?seconds=0&column=0", 404, "objects, not a grid"),
        ("/against/gone", 404, "that take is not there any more"),
        ("/table.exe", 404, "there is no table of the kind exe"),
    ],
)
def test_what_makes_no_sense_is_said(rendered: Rendered, rest: str, status: int, words: str) -> None:
    answer = ask(rendered, rest)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["message"]


def test_a_damaged_trace_is_told_and_everything_else_answers(tmp_path: Path, database: Database) -> None:
    studio = Studio(tmp_path, database)
    project = studio.rendered()
    client = client_of(studio)
    stored = studio.service.routing.shown(project)[1]
    artifact_path(studio.service.artifacts, stored.trace, ".moc").write_bytes(b"x" * 100)
    base = f"/projects/{project}/takes/{stored.id}"
    for rest in ("", "/parts/0", "/moment?seconds=0", "/point?seconds=0&x=0&y=0", "/heads", "/table.csv"):
        answer = client.get(f"{base}/routing{rest}")
        assert answer.status_code == 404
        assert answer.json()["message"] == "The routing trace of this take is damaged, or is no routing trace"
    assert client.get(f"/projects/{project}/routing").json()["rows"][1]["take"] == stored.id
    assert client.get(f"/projects/{project}/routing.html").status_code == 200
    assert client.get(f"/projects/{project}").json()["shots"][1]["state"] == "fresh"
    assert client.get(f"{base}/clip").status_code == 200
