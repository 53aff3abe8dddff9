from __future__ import annotations

from pathlib import Path

from moc_engine.sources.parts import parts_of_folder


def test_parts_lie_within_the_folder_of_their_model(tmp_path: Path) -> None:
    named = ["diffusers", "AutoencoderKLWan"]
    index = {
        "_class_name": "WanPipeline",
        "vae": named,
        "../vae": named,
        "/vae": named,
        "image_encoder": [None],
    }
    found = parts_of_folder(tmp_path, index, source="film", name="film")
    assert {name: part.path for name, part in found.parts.items()} == {"vae": tmp_path / "vae"}
