"""Downloads as jobs: a worker process asks a hub that runs here; projects are pinned to what it gave."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.hub import COMMIT, REPO, Hub, files_of, hub_environment, running_hub
from tests.fakes.loras import diffusers_keys, factors, save_lora
from tests.fakes.models import save_tiny_video, tiny_transformer

PROGRAM = """
import json, sys
from pathlib import Path
from studio.domain.errors import Refused
from studio.domain.storyboard import Shot, Storyboard
from studio.domain.settings import Lora, Settings
from studio.jobs import queue
from studio.service.studio import Service
from studio.store import takes
from studio.store.upgrade import open_database
from studio.worker.renderers import RendererOptions
from studio.worker.worker import Worker
root, model, lora, what = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
database = open_database(root)
service = Service(root, database)
film = (Lora(file=lora),) if lora else ()
own = (Lora(file=lora, weight=0.5),) if lora else ()
shot = Shot(id="s1", caption="a fox runs", seconds=0.5, loras=own)
settings = Settings(model=model, steps=2, loras=film)
project = service.projects.create(Storyboard(title="A", size=(64, 64), settings=settings, shots=(shot,)))
job = service.rendering.render(project)[0] if what == "render" else service.library.download(what)
Worker(root, RendererOptions().make_renderer, database=database, name="w").work_once()
with database.read() as session:
    (done,) = [j for j in queue.jobs_of(session) if j.id == job]
    made = [take.inputs.loras for take in takes.takes_of(session, project).values()]
state = service.projects.state(project)
try:
    service.editing.undo(project, state.revision)
    undone = True
except Refused:
    undone = False
print(json.dumps({"state": done.state, "error": done.error, "result": done.result, "undone": undone,
                  "model": state.settings.model, "shot": state.shots[0].state, "made": made,
                  "loras": [lora.file for lora in (*state.settings.loras, *state.shots[0].loras)],
                  "here": [lora.file for lora in service.library.loras()]}))
"""

LOOK = "styles/look.safetensors"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("repository")
    save_tiny_video(folder)
    look = save_lora(
        tmp_path_factory.mktemp("lora") / "look.safetensors", diffusers_keys(factors(tiny_transformer()))
    )
    return {**files_of(folder), LOOK: look.read_bytes()}


def work(hub: Hub, home: Path, model: str, lora: str, what: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(home / "root"), model, lora, what],
        env=hub_environment(home, hub.url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def test_a_download_pins_the_projects_that_name_the_model(files: dict[str, bytes], tmp_path: Path) -> None:
    with running_hub(Hub(files)) as hub:
        said = work(hub, tmp_path, REPO, "", REPO)
    pinned = f"{REPO}@{COMMIT}"
    assert (said["state"], said["result"], said["model"]) == ("done", pinned, pinned)
    assert not said["undone"]  # it is no edit


def test_a_lora_is_downloaded_alone(files: dict[str, bytes], tmp_path: Path) -> None:
    lora = "other/loras/" + LOOK
    with running_hub(Hub(files)) as hub:
        said = work(hub, tmp_path, REPO, lora, lora)
        assert not [path for path, _ in hub.asked if "transformer" in path]
    pinned = f"{lora}@{COMMIT}"
    assert (said["state"], said["result"], said["model"]) == ("done", pinned, REPO)
    assert said["loras"] == [pinned, pinned]
    assert said["here"] == [pinned]


def test_a_render_downloads_its_model_and_loras_first(files: dict[str, bytes], tmp_path: Path) -> None:
    lora = "other/loras/" + LOOK
    with running_hub(Hub(files)) as hub:
        said = work(hub, tmp_path, REPO, lora, "render")
    assert (said["state"], said["error"]) == ("done", None)
    assert said["model"] == f"{REPO}@{COMMIT}"
    assert said["loras"] == [f"{lora}@{COMMIT}"] * 2
    assert said["made"] == [[[sha256(files[LOOK]).hexdigest()[:16], 0.5, "both"]]]
    assert said["shot"] == "fresh"


@pytest.mark.parametrize("gated", ["some/gated", f"some/gated/{LOOK}"])
def test_a_download_that_fails_is_told(files: dict[str, bytes], tmp_path: Path, gated: str) -> None:
    with running_hub(Hub(files)) as hub:
        said = work(hub, tmp_path, REPO, "", gated)
    assert said["state"] == "failed"
    assert "some/gated is gated: accept its terms on the hub" in str(said["error"])
