"""Which files of a repository are downloaded."""

from __future__ import annotations

import pytest

from moc_engine.sources.hub_listing import RemoteFile, is_plain, wanted_files


@pytest.mark.parametrize(
    ("name", "digest", "plain"),
    [
        ("vae/config.json", "a" * 40, True),
        ("vae/a.safetensors", "a" * 64, True),
        ("../config.json", "a" * 40, False),
        ("/etc/config.json", "a" * 40, False),
        ("vae/../../config.json", "a" * 40, False),
        ("vae\\..\\config.json", "a" * 40, False),
        ("C:config.json", "a" * 40, False),
        ("vae/config.json", "../../x", False),
    ],
)
def test_only_plain_names_are_written(name: str, digest: str, plain: bool) -> None:
    assert is_plain(RemoteFile(name=name, size=1, digest=digest)) is plain


def test_weights_are_taken_once() -> None:
    index = {"_class_name": "WanPipeline", "vae": ["diffusers", "X"], "image_encoder": [None, None]}
    names = [
        "vae/a.safetensors",
        "vae/a.fp16.safetensors",
        "vae/b.fp16-00001-of-00002.safetensors",
        "vae/a.bin",
        "image_encoder/a.safetensors",
        "whole.safetensors",
        "LICENSE.txt",
        "model_index.json",
    ]
    wanted = wanted_files([RemoteFile(name=name, size=1, digest="x") for name in names], index)
    assert [file.name for file in wanted] == [
        "LICENSE.txt",
        "model_index.json",
        "vae/a.safetensors",
        "vae/b.fp16-00001-of-00002.safetensors",
    ]
