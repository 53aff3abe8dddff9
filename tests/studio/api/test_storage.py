"""The routes of storage: the bin is emptied, discarded takes are deleted, and both tell what was freed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from studio.api.error_answers import answer_errors
from studio.api.routes import routes
from studio.store.database import Database
from tests.fakes.inline_studio import Studio


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


@pytest.fixture
def client(studio: Studio) -> TestClient:
    app = FastAPI()
    app.include_router(routes(studio.service))
    answer_errors(app)
    return TestClient(app, base_url="http://127.0.0.1/api")


def age(studio: Studio) -> None:
    for file in studio.artifacts():
        os.utime(file, (0, 0))


def test_the_bin_is_emptied(studio: Studio, client: TestClient) -> None:
    project = studio.rendered()
    (listed,) = client.get("/projects").json()
    assert listed["bytes"] == listed["own_bytes"] > 0
    assert client.post("/bin/empty").json() == {"deleted": 0, "bytes": 0}
    client.post(f"/projects/{project}/trash")
    age(studio)
    assert client.post("/bin/empty").json() == {"deleted": 1, "bytes": listed["own_bytes"]}
    assert client.get("/projects").json() == []
    assert studio.artifacts() == []
    assert client.get(f"/projects/{project}").status_code == 404


def test_discarded_takes_are_deleted(studio: Studio, client: TestClient) -> None:
    project = studio.rendered()
    take = client.get(f"/projects/{project}").json()["shots"][2]["take"]
    edit = {"base": 0, "edit": {"op": "discard", "take": take}}
    assert client.post(f"/projects/{project}/edits", json=edit).status_code == 200
    age(studio)
    freed = client.post(f"/projects/{project}/discarded/delete").json()
    assert freed["deleted"] == 1
    assert freed["bytes"] > 0
    assert client.get(f"/projects/{project}").json()["shots"][2]["takes"] == []
    assert client.post(f"/projects/{project}/discarded/delete").json() == {"deleted": 0, "bytes": 0}
