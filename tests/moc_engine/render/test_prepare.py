"""What is kept of context takes between renders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from moc_engine.contract import ContextTake, RenderRequest
from moc_engine.errors import EngineError
from moc_engine.model_index import EMBEDDED
from moc_engine.models.animatic.scene import CHANNELS, SLOTS
from moc_engine.render.latents_file import latents_file, read_latents
from moc_engine.render.prepare import ChunkNames, prepare
from moc_engine.stored_file import LocalFile
from tests.fakes.models import tiny_backbone


@pytest.fixture
def request_with_take(tmp_path: Path) -> RenderRequest:
    file = tmp_path / "latents.safetensors"
    generator = torch.Generator().manual_seed(0)
    save_file({"latents": torch.rand(CHANNELS, 3, SLOTS, 1, generator=generator)}, file)
    take = ContextTake(
        id="a",
        shot=0,
        latents=LocalFile(file),
        caption="Mira",
        global_caption="",
        cast=("Mira",),
        seconds=1.0,
    )
    return RenderRequest(
        shot=1,
        caption="Mira",
        global_caption="",
        cast=("Mira",),
        seconds=1.0,
        fps=4.0,
        size=(96, 54),
        seed=0,
        output=tmp_path,
        context=(take,),
    )


def test_names_of_chunks_are_found_once_for_equal_takes(request_with_take: RenderRequest) -> None:
    backbone = tiny_backbone()
    names: ChunkNames = {}
    (take,) = prepare(request_with_take, backbone, names).context
    assert names == {take.memory: (take.names, None)}
    assert len(take.names) == take.grid.extent.chunks
    assert take.names == prepare(request_with_take, backbone).context[0].names

    names[take.memory] = (("found before",), None)
    assert prepare(request_with_take, backbone, names).context[0].names == ("found before",)
    recast = replace(request_with_take.context[0], cast=("Otto",))
    (other,) = prepare(replace(request_with_take, context=(recast,)), backbone, names).context
    assert other.names != ("found before",)
    assert len(names) == 2


def test_what_the_model_cannot_do_is_refused_before_anything_is_computed(
    request_with_take: RenderRequest,
) -> None:
    asked = replace(request_with_take, negative_prompt="blurred")
    with pytest.raises(EngineError, match=r"^the model tiny takes no negative prompt$"):
        prepare(asked, tiny_backbone())
    with pytest.raises(EngineError, match=r"^the embedded model takes no negative prompt$"):
        prepare(asked, replace(tiny_backbone(), name=str(EMBEDDED)))


@pytest.mark.parametrize("own", ["", "wan-16c4t8s-01", "wan-16c4t8s-02"])
@pytest.mark.parametrize("of_take", ["", "wan-16c4t8s-01"])
def test_a_take_of_another_latent_space_is_not_read(
    own: str, of_take: str, request_with_take: RenderRequest
) -> None:
    """Where either names none, the channels tell."""
    backbone = replace(tiny_backbone(), latent_space=own)
    (take,) = request_with_take.context
    assert take.latents is not None
    with take.latents.local() as file:
        file.write_bytes(latents_file(read_latents(file.read_bytes())[0], of_take))
    if own and of_take and own != of_take:
        with pytest.raises(EngineError, match="shot 1 was made by a model of another autoencoder"):
            prepare(request_with_take, backbone)
    else:
        assert len(prepare(request_with_take, backbone).context) == 1
