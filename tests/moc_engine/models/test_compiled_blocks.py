"""Compiled blocks compute the same in few graphs. No compiler is needed: the graphs run as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._inductor.exc import InvalidCxxCompiler

from moc_engine.contract import Lora
from moc_engine.errors import EngineError
from moc_engine.models.animatic.scene import CHANNELS, SLOTS
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import CaptionStates
from moc_engine.models.compiled_blocks import CompiledBlocks
from moc_engine.models.lora import LoraAdapters
from moc_engine.models.wan.lora_reading import read_lora
from tests.fakes.loras import diffusers_keys, factors, save_lora
from tests.fakes.models import tiny_backbone


class Counting:
    """A backend that runs graphs as they are, and counts them."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: torch.fx.GraphModule, _: Any) -> Callable[..., Any]:
        self.graphs += 1
        return graph.forward


class Own:
    """Full self-attention that notes its layers."""

    def __init__(self) -> None:
        self.layers: list[int] = []

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.layers.append(layer)
        return torch.nn.functional.scaled_dot_product_attention(q, k, v)


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def captions_of(backbone: Backbone) -> CaptionStates:
    first = backbone.family.captions("A beach", "Mira walks right", ("Mira",))
    assert first.mask_BS is not None
    both = CaptionStates(states_BSE=first.states_BSE.repeat(2, 1, 1), mask_BS=first.mask_BS.repeat(2, 1))
    return both.with_kept_keys()


def velocities(backbone: Backbone, runs: int) -> tuple[list[Tensor], list[int]]:
    """The velocities of runs with two entries, then one, with other captions objects and passes each."""
    attention, captions, found = Own(), captions_of(backbone), []
    for run in range(runs):
        for rows in (2, 1):
            latents = torch.randn(rows, CHANNELS, 6, SLOTS, 1, generator=torch.Generator().manual_seed(run))
            timesteps = torch.full((rows,), 900.0 - run)
            with torch.no_grad():
                found.append(backbone.velocity(latents, timesteps, attention, captions.first(rows)))
    return found, attention.layers


def compiled(backbone: Backbone, backend: Callable[..., Any]) -> Backbone:
    return replace(backbone, compiled=CompiledBlocks(backbone.adapter.blocks, backend))


def test_compiled_blocks_compute_the_same_in_few_graphs() -> None:
    backbone, counting = tiny_backbone(), Counting()
    expected, layers = velocities(backbone, 1)
    fast = compiled(backbone, counting)
    found, compiled_layers = velocities(fast, 1)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    assert compiled_layers == layers == [0, 1, 0, 1]
    graphs = counting.graphs
    assert 2 <= graphs <= 16
    velocities(fast, 3)
    assert counting.graphs == graphs  # neither further steps nor another render need further ones
    assert all("forward" not in vars(block) for block in backbone.transformer.blocks)


def test_layers_share_their_graphs() -> None:
    counts = []
    for layers in (2, 5):
        torch._dynamo.reset()
        backbone, counting = tiny_backbone(), Counting()
        extra = [deepcopy(backbone.transformer.blocks[0]) for _ in range(layers - 2)]
        backbone.transformer.blocks.extend(extra)
        _, called = velocities(compiled(backbone, counting), 1)
        assert called == [*range(layers)] * 2
        counts.append(counting.graphs)
    assert counts[0] == counts[1]


def test_loras_of_later_shots_are_compiled_in_and_out_again(tmp_path: Path) -> None:
    """LoRAs are added to layers once blocks are compiled already, by the first shot that has some."""
    backbone, counting = tiny_backbone(), Counting()
    parts = {
        name: factor
        for name, factor in factors(backbone.transformer).items()
        if name.startswith("blocks.0.ffn")
    }
    lora = Lora(source=str(save_lora(tmp_path / "look.safetensors", diffusers_keys(parts))))
    fast = replace(backbone, compiled=CompiledBlocks(backbone.adapter.blocks[:1], counting))
    adapters = LoraAdapters({"high": backbone.transformer}, read_lora)
    plain = one_velocity(fast)
    graphs = counting.graphs
    adapters.use([lora])
    torch.testing.assert_close(one_velocity(fast), one_velocity(backbone), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(one_velocity(backbone), plain, atol=1e-3)
    assert counting.graphs > graphs > 0  # compiled again, not run as it is
    adapters.use([])
    torch.testing.assert_close(one_velocity(fast), plain, atol=1e-5, rtol=1e-5)


def one_velocity(backbone: Backbone) -> Tensor:
    captions = captions_of(backbone).first(1)
    latents = torch.randn(1, CHANNELS, 6, SLOTS, 1, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return backbone.velocity(latents, torch.tensor([900.0]), Own(), captions)


def test_a_missing_compiler_is_told_with_what_to_install() -> None:
    def failing(*_: Any) -> Callable[..., Any]:
        raise InvalidCxxCompiler

    with pytest.raises(EngineError, match=r"^compiling the model \(--compile\) .* 'apt-get install g\+\+'"):
        velocities(compiled(tiny_backbone(), failing), 1)


def test_a_compiler_that_fails_is_told_in_one_line() -> None:
    def failing(*_: Any) -> Callable[..., Any]:
        raise FileNotFoundError("no C++ compiler was found")

    backbone = tiny_backbone()
    with pytest.raises(EngineError, match="cannot be compiled") as raised:
        velocities(compiled(backbone, failing), 1)
    assert "no C++ compiler was found" in str(raised.value)
    assert "\n" not in str(raised.value)
    velocities(backbone, 1)
