"""The processors against diffusers' own, and a story against plain attention under the same mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from diffusers.models.attention_dispatch import attention_backend
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from moc_engine.config import RoutingConfig, Steering
from moc_engine.memory.context import ContextMemory
from moc_engine.memory.grid import TokenGrid
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import CaptionStates, stacked
from moc_engine.models.dense_attention import dense_backend
from moc_engine.models.wan_transformer import attending, project_qkv, rotary_angles
from moc_engine.ops.rotary import apply_rotary
from moc_engine.render.denoising_pass import AttentionContext, DenoisingPass
from moc_engine.render.memory_pass import MemoryPass, compute_memory
from tests.fakes.models import tiny_backbone, tiny_transformer
from tests.fakes.operations_run import FUSED, OperationsRun
from tests.fakes.plain_story import PlainStory

CPU = torch.device("cpu")
SHOT_FRAMES = (3, 6, 9, 6)
"""Latent frames of a story's shots; the last is the one being denoised."""


@pytest.mark.parametrize("head_dim", [12, 16, 32, 64, 128])
def test_rotary_angles_equal_the_classes_own_table(head_dim: int) -> None:
    model = tiny_transformer(attention_head_dim=head_dim, patch_size=(3, 1, 1))
    table_cos, table_sin = model.rope(torch.zeros(1, 4, 3 * 1023, 8, 1))
    axes = torch.meshgrid(torch.arange(1023), torch.arange(8), torch.arange(1), indexing="ij")
    cos, sin = rotary_angles(model, *(axis.flatten() for axis in axes))
    assert torch.equal(cos.repeat_interleave(2, dim=-1), table_cos[0, :, 0])
    assert torch.equal(sin.repeat_interleave(2, dim=-1), table_sin[0, :, 0])


def test_rotary_products_depend_on_distance_alone() -> None:
    q, k = torch.randn(2, 1, 32)
    config = {"attention_head_dim": 32}

    def turned(x: Tensor, t: float) -> Tensor:
        place = torch.tensor([t], dtype=torch.float64)
        return apply_rotary(x, *rotary_angles(config, place, torch.tensor([5]), torch.tensor([2])))

    near = (turned(q, 3) * turned(k, 1)).sum()
    for shift in (-5000, -40, 0.5, 1020, 90_000):
        torch.testing.assert_close((turned(q, 3 + shift) * turned(k, 1 + shift)).sum(), near)


def test_rotary_keeps_the_dtype_and_the_length() -> None:
    x = torch.randn(2, 3, 5, 16, dtype=torch.bfloat16)
    turned = apply_rotary(
        x, *rotary_angles({"attention_head_dim": 16}, torch.arange(5), torch.zeros(5), torch.ones(5))
    )
    assert turned.dtype == torch.bfloat16
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("own", [True, False])
def test_fused_projections_give_the_same_queries_keys_and_values(own: bool) -> None:
    block = tiny_transformer().blocks[0]
    attn = block.attn1 if own else block.attn2
    hidden = torch.randn(2, 5, 24)
    encoder = None if own else torch.randn(2, 7, 24)
    apart = project_qkv(attn, hidden, encoder)
    assert [tuple(x.shape) for x in apart] == [(2, 2, 5, 12), *[(2, 2, 5 if own else 7, 12)] * 2]
    attn.fuse_projections()
    for x, y in zip(apart, project_qkv(attn, hidden, encoder), strict=True):
        torch.testing.assert_close(x, y)


@pytest.mark.parametrize("chunking", ["track", "frame"])
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"patch_size": (3, 1, 1)},
        {"patch_size": (1, 1, 1), "attention_head_dim": 32, "cross_attn_norm": False},
        {"image_dim": 20, "added_kv_proj_dim": 24},
    ],
    ids=["video", "animatic", "other", "image"],
)
@pytest.mark.parametrize("fused", [False, True], ids=["apart", "fused"])
@pytest.mark.parametrize("per_token", [False, True], ids=["one time", "time per token"])
def test_a_shot_alone_runs_as_through_the_classes_own_processors(
    config: dict[str, Any], chunking: Any, fused: bool, per_token: bool
) -> None:
    """For any configuration of the class: fused, with an image, with a timestep for each token."""
    model = tiny_transformer(**config)
    if fused:
        model.fuse_qkv_projections()
    latents = torch.randn(2, 4, 6, 4, 2)
    grid = _grid(model, latents, chunking)
    timestep = torch.tensor([300.0, 700.0])
    if per_token:
        timestep = timestep[:, None] + torch.arange(grid.tokens)
    inputs = {"timestep": timestep, "return_dict": False}
    text = torch.randn(2, 512, 16)  # the class takes for an image what precedes the last 512 states
    if "image_dim" in config:
        inputs["encoder_hidden_states_image"] = torch.randn(2, 5, 20)
    with torch.no_grad():
        plain = model(latents, encoder_hidden_states=text, **inputs)[0]
        layers = model.config.num_layers
        attention = MemoryPass(grid, lambda p: rotary_angles(model, *p), "before", CPU, layers=layers)
        with attending(model, attention, CaptionStates(states_BSE=text)):
            ours = model(latents, encoder_hidden_states=text, **inputs)[0]
    torch.testing.assert_close(ours, plain, atol=2e-5, rtol=1e-4)


def test_padding_states_do_not_count() -> None:
    model = tiny_transformer()
    latents, text = torch.randn(1, 4, 2, 4, 4), torch.randn(1, 6, 16)
    mask = torch.tensor([[True, True, True, True, False, False]])

    def run(states: Tensor, mask: Tensor | None) -> Tensor:
        attention = MemoryPass(
            _grid(model, latents, "frame"), lambda p: rotary_angles(model, *p), "before", CPU, layers=2
        )
        with torch.no_grad(), attending(model, attention, CaptionStates(states_BSE=states, mask_BS=mask)):
            out: Tensor = model(latents, torch.tensor([500.0]), states, return_dict=False)[0]
        return out

    torch.testing.assert_close(run(text, mask), run(text[:, :4], None))
    assert not torch.allclose(run(text, mask), run(text, None), atol=1e-4)


def test_the_models_own_processors_come_back() -> None:
    model = tiny_transformer()
    before = dict(model.attn_processors)
    grid = _grid(model, torch.zeros(1, 4, 1, 4, 4), "frame")
    attention = MemoryPass(grid, _no_angles, "before", CPU, layers=2)
    captions = CaptionStates(states_BSE=torch.zeros(1, 1, 16))
    with pytest.raises(KeyError), attending(model, attention, captions):
        assert dict(model.attn_processors) != before
        raise KeyError
    assert dict(model.attn_processors) == before


@pytest.mark.parametrize("backend", ["naive", "grouped", "auto"])
@pytest.mark.parametrize(("chunking", "chunks"), [("track", 24), ("frame", 6)])
@pytest.mark.parametrize("pooling", ["before", "after"])
def test_taking_every_chunk_is_plain_attention_under_the_same_mask(
    backend: Any, chunking: Any, chunks: int, pooling: Any
) -> None:
    """Through the whole model: memories of clean shots, then the last shot denoised in their sight."""
    story = Story(tiny_backbone())
    routing = RoutingConfig(top_k=chunks, chunking=chunking, pooling=pooling, backend=backend)
    plain = story.plain(seen=[0, 1, 2])
    torch.testing.assert_close(story.ours(routing), plain, atol=2e-5, rtol=1e-4)
    assert not torch.allclose(plain, story.plain(seen=[]), atol=1e-3)


@pytest.mark.parametrize("backend", ["naive", "grouped", "auto"])
def test_steering_is_a_mask_too(backend: Any) -> None:
    """A banned shot keeps its time; a pinned one is seen though nothing is routed."""
    story = Story(tiny_backbone())
    everything = RoutingConfig(top_k=24, backend=backend)
    banned = story.ours(everything, Steering(bans=(1,)))
    torch.testing.assert_close(banned, story.plain(seen=[0, 2]), atol=2e-5, rtol=1e-4)
    pinned = story.ours(RoutingConfig(top_k=0, backend=backend), Steering(pins=(1,)))
    torch.testing.assert_close(pinned, story.plain(seen=[1]), atol=2e-5, rtol=1e-4)
    assert not torch.allclose(banned, pinned, atol=1e-3)


def test_both_branches_of_guidance_read_the_memories() -> None:
    story = Story(tiny_backbone())
    conditional = story.captions[-1]
    unconditional = story.backbone.family.captions("", "", ())
    both = story.ours(RoutingConfig(top_k=24), captions=stacked(conditional, unconditional))
    alone = story.ours(RoutingConfig(top_k=24), captions=unconditional)
    torch.testing.assert_close(both[:1], story.plain(seen=[0, 1, 2]), atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(both[1:], alone, atol=2e-5, rtol=1e-4)


class Story:
    """Three clean takes and a noisy shot, run shot by shot by the engine or whole by a plain mask."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        generator = torch.Generator().manual_seed(1)
        channels, _, slots, _ = backbone.family.latent_shape(1.0, (64, 64))
        self.shots = [torch.randn(channels, n, slots, 1, generator=generator) for n in SHOT_FRAMES]
        told = ("Mira walks on the beach", "Otto sleeps", "Mira and Otto wave in the forest", "Mira jumps")
        self.captions = [backbone.family.captions("night", text, ("Mira", "Otto")) for text in told]
        self.time = 600.0

    def ours(
        self,
        routing: RoutingConfig,
        steering: Steering | None = None,
        captions: CaptionStates | None = None,
    ) -> Tensor:
        memory = ContextMemory()
        for nth, (latents, text) in enumerate(zip(self.shots[:-1], self.captions, strict=False)):
            read = compute_memory(
                self.backbone, latents, text, chunking=routing.chunking, pooling=routing.pooling, noise=0.0
            )
            extent = self.backbone.grid(latents.shape, routing.chunking).extent
            memory.add(str(nth), extent, lambda read=read: read)  # type: ignore[misc]
        captions = captions or self.captions[-1]
        rows = len(captions.states_BSE)
        context = AttentionContext(
            shot=3,
            grid=self.backbone.grid(self.shots[-1].shape, routing.chunking),
            history=memory.history(),
            routing=routing,
            steering=steering or Steering(),
        )
        attention = DenoisingPass(context, self.backbone.angles, CPU, rows=rows)
        latents = self.shots[-1].expand(rows, -1, -1, -1, -1)
        with torch.no_grad():
            return self.backbone.predict(latents, torch.full((rows,), self.time), attention, captions)

    def plain(self, seen: Sequence[int]) -> Tensor:
        """The whole story in one pass: clean tokens at time 0, the last shot's at its own."""
        model, last = self.backbone.transformer, len(self.shots) - 1
        tokens = [n // 3 * 8 for n in SHOT_FRAMES]
        shot = torch.arange(4).repeat_interleave(torch.tensor(tokens))
        states = torch.cat([text.states_BSE for text in self.captions], dim=1)
        text_shot = torch.cat(
            [torch.full(c.states_BSE.shape[1:2], nth) for nth, c in enumerate(self.captions)]
        )
        counts = torch.cat([c.mask_BS[0] for c in self.captions if c.mask_BS is not None])
        own = shot[:, None] == shot
        plain = PlainStory(
            shots=own | ((shot == last)[:, None] & torch.isin(shot, torch.tensor(seen))),
            captions=(shot[:, None] == text_shot) & counts,
        )
        for block in model.blocks:
            block.attn1.set_processor(plain)
            block.attn2.set_processor(plain)
        latents = torch.cat([self.backbone.family.model_input(shot[None]) for shot in self.shots], dim=2)
        time = torch.where(shot == last, self.time, 0.0)[None]
        with torch.no_grad():
            out: Tensor = model(latents, time, states, return_dict=False)[0]
        return out[:, :, -SHOT_FRAMES[-1] :]


def _no_angles(positions: Tensor) -> tuple[Tensor, Tensor]:
    return positions[0], positions[0]


def _grid(model: Any, latents: Tensor, chunking: Any) -> TokenGrid:
    sides = zip(latents.shape[2:], model.config.patch_size, strict=True)
    frames, height, width = (side // patch for side, patch in sides)
    return TokenGrid(frames=frames, height=height, width=width, chunking=chunking)


def test_attention_to_captions_honours_the_backend_that_diffusers_is_set_to() -> None:
    transformer = tiny_transformer()
    captions = CaptionStates(states_BSE=torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(0)))
    latents = torch.randn(1, 4, 2, 4, 4, generator=torch.Generator().manual_seed(1))

    class Plain:
        def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return scaled_dot_product_attention(q, k, v)

    def predicted() -> tuple[Tensor, int]:
        """The prediction, and how often torch's fused attention of a CPU computed it."""
        with torch.no_grad(), attending(transformer, Plain(), captions), OperationsRun() as run:
            out = transformer(latents, torch.tensor([500.0]), captions.states_BSE, return_dict=False)[0]
        return out, run.names.count(FUSED)

    native, fused = predicted()
    assert fused == 4  # two layers, each with self-attention
    with attention_backend("native"):  # what it is set to is also the default of all others, until here
        transformer.set_attention_backend("_native_math")
        assert dense_backend(transformer.blocks[0].attn2.processor) == "_native_math"
        other, fused = predicted()
    assert fused == 2
    torch.testing.assert_close(other, native, atol=1e-5, rtol=1e-5)
    transformer.reset_attention_backend()
    assert torch.equal(predicted()[0], native)
