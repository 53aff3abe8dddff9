from __future__ import annotations

from pathlib import Path

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
