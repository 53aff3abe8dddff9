from __future__ import annotations

import pytest
import torch
from safetensors.torch import load, save

from moc_engine.render.latents_file import latents_file, read_latents

LATENTS = torch.arange(24.0).view(2, 3, 4, 1)


@pytest.mark.parametrize("space", ["wan-16c4t8s-0123", ""])
def test_latents_are_read_with_their_space(space: str) -> None:
    latents, told = read_latents(latents_file(LATENTS, space))
    assert torch.equal(latents, LATENTS)
    assert told == space


def test_a_file_without_a_space_is_one_of_before() -> None:
    before = save({"latents": LATENTS})
    assert latents_file(LATENTS, "") == before
    assert read_latents(before)[1] == ""


def test_others_read_the_latents_as_plain_safetensors() -> None:
    assert torch.equal(load(latents_file(LATENTS, "wan"))["latents"], LATENTS)


@pytest.mark.parametrize("data", [b"", b"no safetensors at all", save({"other": LATENTS})])
def test_what_holds_no_latents_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_latents(data)
