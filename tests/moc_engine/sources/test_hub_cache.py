"""What the hub's cache holds: whole models and such that lack parts."""

from __future__ import annotations

import json
from pathlib import Path

from moc_engine.sources.hub_cache import digest_in_cache, missing_parts


def test_a_model_lacks_parts_until_all_their_weights_are_there(tmp_path: Path) -> None:
    index = {"_class_name": "WanPipeline", "vae": ["diffusers", "AutoencoderKLWan"], "none": [None, None]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    assert missing_parts(tmp_path) == ("vae",)
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "config.json").write_text("{}")
    assert missing_parts(tmp_path) == ("vae",)
    listed = tmp_path / "vae" / "x.safetensors.index.json"
    listed.write_text(json.dumps({"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}))
    (tmp_path / "vae" / "1.safetensors").touch()
    assert missing_parts(tmp_path) == ("vae",)
    (tmp_path / "vae" / "2.safetensors").touch()
    assert missing_parts(tmp_path) == ()


def test_an_index_with_an_empty_entry_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"vae": ["diffusers", "AutoencoderKLWan"], "other": []}')
    assert missing_parts(tmp_path) == ("vae",)


def test_a_large_file_of_the_cache_is_named_by_its_digest(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    for digest, known in (("ab" * 32, "ab" * 32), ("ab" * 20, None)):  # SHA-256, and git's SHA-1
        pointer = tmp_path / f"{len(digest)}.safetensors"
        pointer.symlink_to(tmp_path / "blobs" / digest)
        assert digest_in_cache(pointer) == known
    (tmp_path / "plain.safetensors").touch()
    assert digest_in_cache(tmp_path / "plain.safetensors") is None
