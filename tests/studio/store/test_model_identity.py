from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from moc_engine.errors import ModelMismatch, ModelNotFound, RenderCancelled
from moc_engine.sources.model_files import ModelFiles, write_entry
from studio.store.model_identity import (
    ANIMATIC,
    READ_AT_ONCE,
    Hashing,
    ModelIdentities,
    family,
    identify,
)
from tests.fakes.hub import hub_environment
from tests.fakes.models import save_tiny_video
from tests.fakes.weights_files import original_names, save_weights


def model(folder: Path, weights: bytes) -> Path:
    (folder / "transformer").mkdir(parents=True)
    (folder / "model_index.json").write_text('{"_class_name": "AnimaticPipeline"}')
    (folder / "transformer" / "model.safetensors").write_bytes(weights)
    return folder


def test_weights_tell_models_apart(tmp_path: Path) -> None:
    one = identify(str(model(tmp_path / "a" / "model", b"one")))
    same = identify(str(model(tmp_path / "b" / "copy", b"one")))
    other = identify(str(model(tmp_path / "c" / "model", b"two")))
    assert one == same != other
    assert one.startswith("animatic@")


def test_notes_beside_the_weights_do_not_count(tmp_path: Path) -> None:
    folder = model(tmp_path / "model", b"one")
    before = identify(str(folder))
    (folder / "README.md").write_text("a model card")
    assert identify(str(folder)) == before


def test_every_byte_of_a_large_file_counts(tmp_path: Path) -> None:
    folder = model(tmp_path / "model", b"x")
    weights = folder / "transformer" / "model.safetensors"
    with weights.open("wb") as file:
        file.truncate(70 * 2**20)
    before = identify(str(folder))
    with weights.open("r+b") as file:
        file.seek(35 * 2**20)
        file.write(b"1")
    assert identify(str(folder)) != before


def test_the_name_of_a_file_counts(tmp_path: Path) -> None:
    folder = model(tmp_path / "model", b"one")
    before = identify(str(folder))
    weights = folder / "transformer" / "model.safetensors"
    weights.rename(weights.with_name("other.safetensors"))
    assert identify(str(folder)) != before


def large_model(folder: Path) -> Path:
    """A model that is too large to be read in a web request; its files were last changed a minute ago."""
    model(folder, b"x")
    weights = folder / "transformer" / "model.safetensors"
    with weights.open("wb") as file:
        file.truncate(READ_AT_ONCE + 2**20)
    for file_path in folder.rglob("*"):
        os.utime(file_path, (time.time() - 60, time.time() - 60))
    return weights


def finish(steps: Generator[Hashing, None, str]) -> tuple[list[Hashing], str]:
    told = []
    while True:
        try:
            told.append(next(steps))
        except StopIteration as stop:
            return told, stop.value


def test_a_large_model_is_known_once_it_was_read_and_until_it_changes(tmp_path: Path) -> None:
    weights = large_model(tmp_path / "model")
    name, cache = str(tmp_path / "model"), tmp_path / "cache" / "digests.json"
    page, worker = ModelIdentities(cache), ModelIdentities(cache)
    assert page.known(name) is None
    told, identity = finish(worker.compute(name))
    assert told[-1].done == told[-1].total > READ_AT_ONCE
    assert [step.done for step in told] == sorted(step.done for step in told)
    assert page.known(name) == worker.known(name) == identity == identify(name)
    assert ModelIdentities(cache).known(name) == identity  # after a restart
    with weights.open("r+b") as file:
        file.seek(100)
        file.write(b"1")
    assert page.known(name) is None
    assert worker.known(name) is None


def test_reading_a_large_model_can_be_cancelled(tmp_path: Path) -> None:
    large_model(tmp_path / "model")
    cancel = threading.Event()
    steps = ModelIdentities(tmp_path / "digests.json").compute(str(tmp_path / "model"), cancel)
    assert next(steps).done < READ_AT_ONCE
    cancel.set()
    with pytest.raises(RenderCancelled):
        next(steps)


def test_the_family_is_that_of_the_pipeline(tmp_path: Path) -> None:
    folder = model(tmp_path / "model", b"one")
    assert family(str(folder)) == family(None) == ANIMATIC
    (folder / "model_index.json").write_text('{"_class_name": "WanPipeline"}')
    assert family(str(folder)) == "wan"
    assert family("Wan-AI/Wan2.1-T2V-1.3B-Diffusers") is None


@pytest.mark.parametrize("index", [None, "", "[]", "{}", "[" * 100_000])
def test_a_folder_without_a_model_is_not_read(tmp_path: Path, index: str | None) -> None:
    if index is not None:
        (tmp_path / "model_index.json").write_text(index)
    (tmp_path / "huge.json").symlink_to("/dev/zero")
    with pytest.raises(ModelNotFound, match=f"no model in {tmp_path}: model_index.json is (missing|damaged)"):
        identify(str(tmp_path))


def test_a_hub_id_stands_for_itself() -> None:
    name = identify("Wan-AI/Wan2.1-T2V-1.3B-Diffusers")
    assert name == "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"


@pytest.mark.parametrize("model", ["./nowhere", "/no/such/folder", "a/b/c", "~/models"])
def test_a_path_to_nothing_is_no_hub_id(model: str) -> None:
    with pytest.raises(ModelNotFound, match="there is no folder"):
        family(model)
    assert family("Wan-AI/Wan2.1-T2V-1.3B-Diffusers") is None


@pytest.mark.parametrize("name", ["wan.safetensors", "wan.Q4_K_M.gguf", "WAN.SAFETENSORS"])
def test_a_damaged_file_of_weights_is_told(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"weights")
    with pytest.raises(ModelNotFound, match=f"{name} is (damaged|cut off)"):
        family(str(file))


def test_a_file_that_is_no_model_is_told_as_such(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("")
    with pytest.raises(ModelMismatch, match="is no file of weights"):
        family(str(file))


def test_a_model_of_single_files_is_told_by_their_bytes_wherever_they_lie(tmp_path: Path) -> None:
    save_tiny_video(tmp_path / "video")
    identities = []
    for name, change in (("one", 0), ("two", 0), ("three", 1)):
        folder = tmp_path / name
        weights = original_names(tmp_path / "video", "transformer")
        weights["head.head.bias"] = weights["head.head.bias"] + change
        file = save_weights(folder / f"{name}.safetensors", weights)
        entry = folder / "entry.json"
        write_entry(entry, ModelFiles(transformer=file, config=tmp_path / "video"))
        identities.append(identify(str(entry)))
        assert family(str(entry)) == "wan"
    assert identities[0] == identities[1] != identities[2]
    assert identities[0].startswith("wan@")


def test_a_hub_model_is_identified_by_its_commit_and_not_read(tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--some--fox" / "snapshots" / ("ab" * 20)
    large_model(snapshot)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("ab" * 20)
    program = (
        "from studio.store.model_identity import ModelIdentities, family\n"
        "known = ModelIdentities()\n"
        f"models = ('some/fox', 'some/fox@{'ab' * 20}', 'some/other')\n"
        "print([known.known(model) for model in models], family('some/fox'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=hub_environment(tmp_path, "http://127.0.0.1:9"),
        capture_output=True,
        text=True,
        check=True,
    )
    commit = f"some/fox@{'ab' * 20}"
    assert done.stdout.strip() == f"{[commit, commit, 'some/other']} animatic"
