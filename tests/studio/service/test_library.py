"""The models on this machine: listed, added under names, checked, removed, and what fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from moc_engine.sources.entries import find_entry
from studio.domain.errors import NotThere, Refused, WrongUse
from studio.jobs import queue
from studio.service.library import MachineMemory, ModelLibrary
from studio.store.database import Database
from tests.fakes.models import save_tiny_video
from tests.fakes.weights_files import (
    published_transformer,
    published_vae,
    umt5_shapes,
    write_sparse,
)

GIB = 2**30


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder of their own, with ComfyUI in it."""
    monkeypatch.setenv("MOC_STUDIO_MODELS", str(tmp_path / "entries"))
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path / "ComfyUI"))
    models = tmp_path / "ComfyUI" / "models"
    write_sparse(models / "unet" / "wan2.2_ti2v_5B_fp16.safetensors", published_transformer("ti2v-5b"))
    write_sparse(models / "vae" / "wan2.2_vae.safetensors", published_vae("wan2.2"))
    write_sparse(models / "text_encoders" / "umt5_xxl_fp16.safetensors", umt5_shapes())
    lora = {"diffusion_model.blocks.0.self_attn.q.lora_A.weight": (32, 3072)}
    lora["diffusion_model.blocks.0.self_attn.q.lora_B.weight"] = (3072, 32)
    write_sparse(models / "loras" / "lightning_4steps.safetensors", lora)
    return tmp_path


def library(device: int | None = 24 * GIB, database: Database | None = None) -> ModelLibrary:
    return ModelLibrary(database, MachineMemory(main=64 * GIB, device=device))


def test_what_is_here_is_listed_with_what_it_needs(home: Path) -> None:
    state = library().state()
    by_name = {model.model.name: model for model in state.models}
    assert by_name["animatic"].model.model is None
    wan = by_name["wan2.2_ti2v_5B_fp16"]
    assert (wan.model.origin, wan.model.title, wan.model.dtype) == ("comfyui", "Wan 2.2 TI2V 5B", "F16")
    assert 4.9e9 < wan.model.parameters < 5.1e9
    assert wan.model.size > 10e9
    assert wan.model.problem is None
    assert wan.fits == "24gb"  # as auto chooses, though the next larger one would do
    assert [need.profile for need in wan.model.needs] == ["80gb", "48gb", "24gb", "12gb", "8gb"]
    assert state.offered[0].id == "FastVideo/FastWan2.2-TI2V-5B-FullAttn-Diffusers"
    assert all(known.unreadable is None for known in state.offered)
    assert library(device=None).check(wan.model.model).fits is None
    assert library(device=11 * GIB).check(wan.model.model).fits == "12gb"
    assert library(device=48 * GIB).check(wan.model.model).fits == "48gb"
    assert library(device=GIB).check(wan.model.model).fits is None


def test_loras_of_comfyui_are_listed(home: Path) -> None:
    (lora,) = library().loras()
    assert (lora.name, lora.rank, lora.layout, lora.problem) == ("lightning_4steps", 32, "comfyui", None)
    assert lora.preset == "Lightning"


def test_files_are_added_under_a_name_with_the_parts_beside_them(home: Path) -> None:
    file = home / "ComfyUI" / "models" / "unet" / "wan2.2_ti2v_5B_fp16.safetensors"
    added = library().add("five", {"transformer": str(file)})
    assert (added.model.model, added.model.title, added.model.origin) == ("five", "Wan 2.2 TI2V 5B", "added")
    entry = find_entry("five")
    assert entry is not None
    assert str(home / "ComfyUI" / "models" / "vae" / "wan2.2_vae.safetensors") in entry.read_text()
    with pytest.raises(Refused, match="there is a model five already"):
        library().add("five", {"transformer": str(file)})
    assert library().remove("five") == 0
    assert file.exists()
    assert find_entry("five") is None
    with pytest.raises(NotThere, match="there is no model five"):
        library().remove("five")


def test_a_folder_is_added_under_a_name(home: Path) -> None:
    save_tiny_video(home / "video")
    (home / "video" / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    added = library().add("tiny", {"folder": str(home / "video")})
    assert added.model.title == "Wan"
    assert added.model.licence == "apache-2.0"
    assert "tiny" in [model.model.name for model in library().state().models]


def test_a_file_that_is_cut_off_is_found_by_a_check(home: Path) -> None:
    save_tiny_video(home / "video")
    library().add("tiny", {"folder": str(home / "video")})
    (weights,) = (home / "video" / "vae").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(Refused, match="is cut off"):
        library().check("tiny")


def test_a_damaged_model_is_not_added(home: Path) -> None:
    save_tiny_video(home / "video")
    (weights,) = (home / "video" / "vae").glob("*.safetensors")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-10])
    with pytest.raises(Refused, match="is cut off"):
        library().add("tiny", {"folder": str(home / "video")})
    assert find_entry("tiny") is None
    weights.write_bytes(whole)
    assert library().add("tiny", {"folder": str(home / "video")}).model.problem is None


@pytest.mark.parametrize(
    ("name", "files", "words"),
    [
        ("a/b", {"folder": "."}, "has letters, digits"),
        ("fox", {"folder": "nowhere"}, "there is no folder"),
        ("fox", {"transformer": "nowhere.safetensors"}, "there is no file"),
        ("fox", {"transformer": "ComfyUI/models/vae/wan2.2_vae.safetensors"}, "is no transformer, but the"),
        ("fox", {}, "from its folder, or from the file"),
        ("fox", {"vae": "nowhere.safetensors"}, "from its folder, or from the file"),
        ("fox", {"folder": ".", "transformer": "nowhere.safetensors"}, "from its folder, or from the file"),
        ("fox", {"folder": "x" * 300}, "cannot be read"),
        ("fox", {"transformer": "nul\0byte.safetensors"}, "cannot be read"),
    ],
)
def test_what_cannot_be_added_is_told(home: Path, name: str, files: dict[str, str], words: str) -> None:
    given = {part: str(home / path) for part, path in files.items()}
    with pytest.raises((Refused, WrongUse), match=words):
        library().add(name, given)
    assert not (home / "entries").exists()


def test_a_folder_of_nobody_is_told(home: Path) -> None:
    with pytest.raises(Refused, match="there is no folder ~nobody-here/model"):
        library().add("fox", {"folder": "~nobody-here/model"})


def test_a_model_that_lacks_parts_is_listed_with_the_reason(home: Path) -> None:
    (home / "ComfyUI" / "models" / "vae" / "wan2.2_vae.safetensors").unlink()
    wan = next(model for model in library().state().models if model.model.origin == "comfyui")
    assert wan.model.problem is not None
    assert "needs the Wan 2.2 VAE" in wan.model.problem
    with pytest.raises(Refused, match=r"needs the Wan 2\.2 VAE"):
        library().check(wan.model.model)


def test_a_download_is_queued_once(home: Path, database: Database) -> None:
    service = library(database=database)
    first = service.download("some/model")
    assert service.download("some/model") == first
    with database.read() as session:
        (job,) = queue.jobs_of(session)
    assert (job.id, job.order.kind, job.project) == (first, "download", None)
    with pytest.raises(WrongUse, match="is no name of a model on the hub"):
        service.download("/some/folder")
    with pytest.raises(Refused, match="published as pickles"):
        service.download("KlingTeam/ShotStream")
