"""Downloads as jobs: a worker process asks a hub that runs here; projects are pinned to what it gave."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.hub import COMMIT, REPO, Hub, files_of, hub_environment, running_hub
from tests.fakes.models import save_tiny_video

PROGRAM = """
import json, sys
from pathlib import Path
from dataclasses import replace
from studio.domain.edits.film import SetSettings
from studio.domain.storyboard import Shot, Storyboard
from studio.domain.settings import Settings
from studio.jobs import queue
from studio.service.studio import Service
from studio.store.upgrade import open_database
from studio.worker.renderers import RendererOptions
from studio.worker.worker import Worker
root, model, what = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
database = open_database(root)
service = Service(root, database)
shot = Shot(id="s1", caption="a fox runs", seconds=0.5)
board = Storyboard(title="A", size=(64, 64), settings=Settings(model=model, steps=2), shots=(shot,))
project = service.projects.create(board)
job = service.library.download(model) if what == "download" else service.rendering.render(project)[0]
Worker(root, RendererOptions().make_renderer, database=database, name="w").work_once()
with database.read() as session:
    (done,) = [j for j in queue.jobs_of(session) if j.id == job]
state = service.projects.state(project)
print(json.dumps({"state": done.state, "error": done.error, "result": done.result,
                  "model": state.settings.model, "shot": state.shots[0].state}))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("repository")
    save_tiny_video(folder)
    return files_of(folder)


def work(hub: Hub, home: Path, model: str, what: str) -> dict[str, str | None]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(home / "root"), model, what],
        env=hub_environment(home, hub.url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    return said


def test_a_download_pins_the_projects_that_name_the_model(files: dict[str, bytes], tmp_path: Path) -> None:
    with running_hub(Hub(files)) as hub:
        said = work(hub, tmp_path, REPO, "download")
    pinned = f"{REPO}@{COMMIT}"
    assert (said["state"], said["result"], said["model"]) == ("done", pinned, pinned)


def test_a_render_downloads_its_model_first(files: dict[str, bytes], tmp_path: Path) -> None:
    with running_hub(Hub(files)) as hub:
        said = work(hub, tmp_path, REPO, "render")
    assert (said["state"], said["error"]) == ("done", None)
    assert said["model"] == f"{REPO}@{COMMIT}"
    assert said["shot"] == "fresh"


def test_a_download_that_fails_is_told(files: dict[str, bytes], tmp_path: Path) -> None:
    with running_hub(Hub(files)) as hub:
        said = work(hub, tmp_path, "some/gated", "download")
    assert said["state"] == "failed"
    assert str(said["error"]).startswith("the model some/gated is gated: accept its terms on the hub")
