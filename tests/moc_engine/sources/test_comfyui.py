from __future__ import annotations

from pathlib import Path

import pytest

from moc_engine.sources.comfyui import beside, files_of, known_folders, models_folder_of


def touch(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    return file


def test_comfyuis_folders_are_found_where_people_have_them(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    (home / "ComfyUI" / "models").mkdir(parents=True)
    (other / "models").mkdir(parents=True)
    assert list(known_folders({}, home)) == [home / "ComfyUI" / "models"]
    found = list(known_folders({"COMFYUI_PATH": str(other)}, home))
    assert found == [other / "models", home / "ComfyUI" / "models"]
    assert list(known_folders({"COMFYUI_PATH": str(other / "models")}, tmp_path)) == [other / "models"]


def test_files_of_a_kind_lie_in_its_folders(tmp_path: Path) -> None:
    wan = touch(tmp_path / "models" / "unet" / "wan" / "wan.gguf")
    touch(tmp_path / "models" / "unet" / "put_files_here")
    lora = touch(tmp_path / "models" / "loras" / "lora.safetensors")
    assert files_of(tmp_path / "models", "transformer") == [wan]
    assert files_of(tmp_path / "models", "lora") == [lora]
    assert models_folder_of(wan) == tmp_path / "models"
    assert models_folder_of(tmp_path / "wan.gguf") is None


def test_parts_are_looked_for_beside_a_transformer(tmp_path: Path) -> None:
    wan = touch(tmp_path / "models" / "unet" / "wan.gguf")
    vae = touch(tmp_path / "models" / "vae" / "wan_vae.safetensors")
    assert beside(wan, "vae") == [vae.parent, wan.parent]
    assert beside(tmp_path / "wan.gguf", "vae") == [tmp_path]


def test_further_folders_of_comfyui_are_found(tmp_path: Path) -> None:
    home = tmp_path / "ComfyUI"
    for folder in ("ComfyUI/models/vae", "disk/models/diffusion_models", "disk/models/loras", "shared/loras"):
        (tmp_path / folder).mkdir(parents=True)
    (home / "extra_model_paths.yaml").write_text(
        f"""
        large_disk:
          base_path: {tmp_path}/disk
          diffusion_models: |
            models/diffusion_models
            models/unet
          loras: models/loras/
          checkpoints: models/checkpoints
        shared:
          base_path: ../shared
          loras: loras
        odd:
          vae: some/autoencoders
        """
    )
    environment = {"COMFYUI_PATH": str(home)}
    found = [folder.resolve() for folder in known_folders(environment, home=tmp_path / "nobody")]
    assert found == [home / "models", tmp_path / "disk" / "models", tmp_path / "shared"]


@pytest.mark.parametrize("content", ["[", "a: b", "- a", "", "a: {base_path: 3, vae: x/vae}", "\x00"])
def test_a_damaged_file_of_further_folders_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "extra_model_paths.yaml").write_text(content)
    found = list(known_folders({"COMFYUI_PATH": str(tmp_path)}, home=tmp_path / "nobody"))
    assert found == [tmp_path / "models"]
