"""Files of a model that are wrong, and a disk that is full: a job ends in words, and the worker goes on."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
import torch
from safetensors.torch import load, save_file

from studio.worker.renderers import RendererOptions
from tests.fakes.films import Film, TinyModel
from tests.fakes.hub import REPO, Hub, files_of, hub_environment, running_hub
from tests.fakes.small_disk import small_disk

HUB = """
import json, sys
from pathlib import Path
from studio.domain.settings import Settings
from studio.domain.storyboard import Shot, Storyboard
from studio.service.studio import Service
from studio.store.upgrade import open_database
from studio.worker.renderers import RendererOptions
from studio.worker.worker import Worker
root, *models = map(Path, sys.argv[1:])
database = open_database(root)
service = Service(root, database)
worker = Worker(root, RendererOptions().make_renderer, database=database, name="w")
shot = Shot(id="a", caption="a fox runs", seconds=0.5)
for model in models:
    board = Storyboard(title="A", size=(64, 64), settings=Settings(model=str(model), steps=1), shots=(shot,))
    (job,) = service.rendering.render(service.projects.create(board))
    while worker.work_once():
        pass
    (ended,) = service.queue.jobs((job,))
    print(json.dumps([ended.state, ended.error]))
"""
"""A worker that renders a shot with each of some models."""

PARTS: Final = {
    "wan-t2v": "transformer",
    "wan-ti2v": "vae",
    "wan-a14b": "transformer_2",
    "wan-i2v": "image_encoder",
    "wan-i2v-a14b": "transformer_2",
    "wan-vace": "transformer",
    "wan-vace-a14b": "transformer",
    "fastwan": "text_encoder",
    "hunyuan": "text_encoder_2",
}
"""The part of each family that is wrong."""


def pickled(weights: Path) -> str:
    tensors = load(weights.read_bytes())
    weights.unlink()
    torch.save(tensors, weights.with_suffix(".bin"))
    file = f"{weights.parent.name}/{weights.stem}.bin"
    return f"only safetensors are, and {file} is not one; take the model in safetensors"


def cut_off(weights: Path) -> str:
    content = weights.read_bytes()
    weights.write_bytes(content[:-100])
    sizes = f"{len(content) - 100:,} of {len(content):,} bytes are there"
    return f"{weights} is cut off: {sizes}; download or copy it again"


def of_wrong_shape(weights: Path) -> str:
    tensors = load(weights.read_bytes())
    name = min(name for name, tensor in tensors.items() if tensor.ndim > 1)
    right = tuple(tensors[name].shape)
    save_file({**tensors, name: torch.zeros(3, 5)}, weights)
    return (
        f"weights are not those its config.json describes: {name} has the shape (3, 5) and not {right} in "
        f"{weights.parent.name}/{weights.name}; take config.json and weights from the same model"
    )


def missing(weights: Path) -> str:
    weights.unlink()
    return f"{weights} is missing; download or copy the model again"


def missing_part(weights: Path) -> str:
    shutil.rmtree(weights.parent)
    words = weights.parent.name.replace("_", " ")
    return f"its {words} is missing: there is no {weights.parent}; download or copy the model again"


@pytest.mark.parametrize("family", PARTS)
def test_wrong_files_end_a_job_in_words(
    family: str, tiny_models: Callable[[str], TinyModel], new_database: Path, tmp_path: Path
) -> None:
    tiny = tiny_models(family)
    model = replace(tiny, folder=tmp_path / "model", lora=None)
    shutil.copytree(tiny.folder, model.folder)
    film = Film(model, tmp_path / "root", new_database)
    part = model.folder / PARTS[family]
    for befall in (pickled, cut_off, of_wrong_shape, missing, missing_part):
        (weights,) = part.glob("*.safetensors")
        words = befall(weights)
        (job,) = film.order("a")
        film.studio.work()
        ended = film.job(job)
        assert (befall.__name__, ended.state) == (befall.__name__, "failed")
        assert ended.error is not None
        assert ended.error.endswith(words)
        assert str(model.folder) in ended.error
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(tiny.folder / part.name, part)
    assert film.rendered("a").state().shots[0].state == "fresh"
    film.database.close()


def test_a_full_disk_ends_a_job_in_words(
    tiny_models: Callable[[str], TinyModel], new_database: Path, tmp_path: Path
) -> None:
    """The one on which shots are made, and the one to which memories are written."""
    memories, root = tmp_path / "memories", tmp_path / "root"
    options = RendererOptions(context_memory=0.0, context_host_memory=0.0, context_files=str(memories))
    film = Film(tiny_models("wan-t2v"), root, new_database, options.make_renderer)
    with small_disk(root / "scratch") as scratch, small_disk(memories) as files:
        for disk, shot, words in (
            (scratch, "a", f"the disk is full: free some space for {scratch.place}, then try again"),
            (
                files,
                "b",
                f"cannot be written into {memories}.*: the disk is full; free some space there",
            ),
        ):
            disk.leave(2**12)
            (job,) = film.order(shot)
            film.studio.work()
            assert film.job(job).state == "failed"
            assert re.search(words, str(film.job(job).error))
            disk.free()
            film.rendered(shot)
    film.database.close()


def test_what_the_hub_or_a_small_disk_refuses_ends_a_job_in_words(
    tiny_models: Callable[[str], TinyModel], tmp_path: Path
) -> None:
    here = tiny_models("wan-t2v").folder
    models = ("some/gated", "some/missing", REPO, str(here))
    with running_hub(Hub(files_of(here))) as hub, small_disk(tmp_path / "hub") as disk:
        environment = {**hub_environment(tmp_path, hub.url), "HF_HOME": str(disk.place)}
        command = [sys.executable, "-c", HUB, str(tmp_path / "root"), *models]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert not [path for path, _ in hub.asked if path.endswith(".safetensors") and "gated" not in path]
    assert done.returncode == 0, done.stderr
    gated, missing, large, local = map(json.loads, done.stdout.splitlines())
    assert gated[1].startswith("the model some/gated is gated: accept its terms on the hub")
    assert missing[1].startswith("there is no model some/missing on the hub, or it is private")
    assert re.search(r"needs [\d.]+ .B more on the disk, but [\d.]+ .B are free", large[1])
    assert [gated[0], missing[0], large[0]] == ["failed"] * 3
    assert local == ["done", None]
