"""Where a model lies: files under names that every machine has, its commit on the hub, what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from moc_engine.model_location import hub_commit, is_missing_hub_model, part_files
from moc_engine.sources.parts import PartSource, PipelineParts


def model(folder: Path | None, **parts: PartSource) -> PipelineParts:
    return PipelineParts(source="fox", name="fox", index={}, parts=parts, folder=folder)


@pytest.mark.parametrize(
    ("folder", "commit"),
    [
        ("models--some--model/snapshots/c0ffee", "some/model@c0ffee"),
        ("models--model/snapshots/c0ffee", "model@c0ffee"),
        ("some/model/c0ffee", None),
        ("some/snapshots/c0ffee", None),
    ],
)
def test_a_model_in_the_cache_has_a_commit(tmp_path: Path, folder: str, commit: str | None) -> None:
    assert hub_commit(model(tmp_path / folder)) == commit
    assert hub_commit(model(None)) is None


def test_the_files_that_decide_are_named_without_folders_of_this_machine(tmp_path: Path) -> None:
    for name in (
        "vae/config.json",
        "vae/a.safetensors",
        "README.md",
        "vae/picture.png",
        "config/config.json",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    vae, config = tmp_path / "vae", tmp_path / "config"
    assert part_files(model(tmp_path)) == (
        ("config/config.json", config / "config.json"),
        ("vae/a.safetensors", vae / "a.safetensors"),
        ("vae/config.json", vae / "config.json"),
    )
    single = PartSource(path=vae / "a.safetensors", config=config)
    assert part_files(model(None, transformer=single, vae=PartSource(path=vae))) == (
        ("transformer.safetensors", vae / "a.safetensors"),
        ("transformer/config.json", config / "config.json"),
        ("vae/a.safetensors", vae / "a.safetensors"),
        ("vae/config.json", vae / "config.json"),
    )


def test_only_what_can_be_on_the_hub_alone_is_missing_there(tmp_path: Path) -> None:
    assert is_missing_hub_model("some/model-that-is-nowhere")
    assert not is_missing_hub_model(str(tmp_path / "nowhere"))
    assert not is_missing_hub_model(str(tmp_path))
    assert not is_missing_hub_model("some--model")
