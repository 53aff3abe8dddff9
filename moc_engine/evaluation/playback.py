"""Renders many stories at once, shot by shot, from captions and the model's own earlier takes alone.

A batched, frame-free stand-in for the renderer: the same model, router and sampler, no files, no pictures.
Shapes: B stories, N shots, F latent frames, S slots, C channels, L tokens of a shot, H heads, D head width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from moc_engine.animatic.model import AnimaticPipeline, encode_texts, shot_text, story_text, velocity
from moc_engine.animatic.scene import CHANNELS, PATCH_FRAMES, SLOTS
from moc_engine.animatic.world import Story
from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.sampler import noise_levels
from moc_engine.training.attention import (
    Memories,
    StoryRules,
    chunk_descriptors,
    routed_attention,
    story_angles,
)
from moc_engine.training.denoiser import embed, unembed
from moc_engine.wan import CaptionStates, apply_rotary, attending

Router = Literal["moc", "dense", "own"]


@dataclass(frozen=True, kw_only=True)
class Playback:
    """How to render: `router` is MoC, dense (all of the past) or own (no memory at all)."""

    router: Router = "moc"
    routing: RoutingConfig
    sampler: SamplerConfig
    seed: int = 0


class RememberingAttention:
    """Self-attention of one shot of many stories, to itself and to what `write` has kept of earlier ones."""

    def __init__(self, playback: Playback, layers: int) -> None:
        self.router = playback.router
        self.rules = StoryRules(routing=playback.routing if playback.router == "moc" else None)
        self.chunking = playback.routing.chunking
        self.pool_after = playback.routing.pooling == "after"
        self.kept: list[list[tuple[Tensor, Tensor, Tensor]]] = [[] for _ in range(layers)]
        self.writing = False
        self.angles: tuple[Tensor, Tensor] | None = None

    @contextmanager
    def write(self) -> Iterator[None]:
        """Within the block, shots see themselves alone and are kept."""
        self.writing = True
        try:
            yield
        finally:
            self.writing = False

    def attend(self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
        assert self.angles is not None
        q, k = apply_rotary(q_BHLD, *self.angles), apply_rotary(k_BHLD, *self.angles)
        kept = self.kept[layer]
        if self.writing:
            described = k if self.pool_after else k_BHLD
            means = chunk_descriptors(described[:, :, None], slots=SLOTS, chunking=self.chunking)
            kept.append((k, v_BHLD, means[:, :, 0]))
        if self.writing or not kept or self.router == "own":
            return scaled_dot_product_attention(q, k, v_BHLD)
        keys, values, descriptors = (torch.stack(parts, dim=2) for parts in zip(*kept, strict=True))
        return routed_attention(
            q,
            k,
            v_BHLD,
            Memories(keys=keys, values=values, descriptors=descriptors),
            shot=len(kept),
            slots=SLOTS,
            rules=self.rules,
            routing_q_BHLD=q if self.pool_after else q_BHLD,
        )


@torch.no_grad()
def play(pipeline: AnimaticPipeline, stories: Sequence[Story], playback: Playback) -> Tensor:
    """Latents (B, N, F, S, C) of stories of equally many, equally long shots."""
    model, sampler = pipeline.transformer, playback.sampler
    device = next(model.parameters()).device
    shots, frames = len(stories[0].shots), len(stories[0].shots[0].scene)
    attention = RememberingAttention(playback, len(model.blocks))
    told = [
        _captions(pipeline, [(s.global_caption, s.shots[n].caption, s.cast) for s in stories])
        for n in range(shots)
    ]
    silence = _captions(pipeline, [("", "", ())] * len(stories)) if sampler.guidance != 1.0 else None
    generator = torch.Generator().manual_seed(playback.seed)
    takes: list[Tensor] = []
    for shot in range(shots):
        starts = torch.tensor([shot * frames // PATCH_FRAMES], device=device)
        cos, sin = story_angles(model, starts=starts, frames=frames // PATCH_FRAMES, slots=SLOTS)
        attention.angles = (cos[0], sin[0])
        x = torch.randn(len(stories), frames, SLOTS, CHANNELS, generator=generator).to(device)
        pipeline.scheduler.set_timesteps(sigmas=noise_levels(sampler.steps))
        for now, after in pairwise(pipeline.scheduler.sigmas.tolist()):
            flow = _velocity(model, attention, x, now, told[shot])
            if silence is not None:
                unsaid = _velocity(model, attention, x, now, silence)
                flow = torch.lerp(unsaid, flow, sampler.guidance)
            x = x + (after - now) * flow
        takes.append(x)
        if playback.router != "own":
            noise = torch.randn(x.shape, generator=generator).to(device)
            with attention.write():
                _velocity(
                    model,
                    attention,
                    torch.lerp(x, noise, sampler.memory_noise),
                    sampler.memory_noise,
                    told[shot],
                )
    return torch.stack(takes, dim=1)


def _captions(pipeline: AnimaticPipeline, told: Sequence[tuple[str, str, Sequence[str]]]) -> CaptionStates:
    """States of global and own captions, one after the other."""
    parts = [
        encode_texts(pipeline.tokenizer, pipeline.text_encoder, texts)
        for texts in (
            [story_text(caption, cast) for caption, _, cast in told],
            [shot_text(caption, cast) for _, caption, cast in told],
        )
    ]
    return CaptionStates(
        states_BSE=torch.cat([states for states, _ in parts], dim=1),
        mask_BS=torch.cat([mask for _, mask in parts], dim=1),
    )


def _velocity(
    model: torch.nn.Module,
    attention: RememberingAttention,
    x_BFSC: Tensor,
    level: float,
    captions: CaptionStates,
) -> Tensor:
    """One call of the transformer's blocks at one noise level."""
    levels = torch.full((len(x_BFSC),), level * 1000.0, device=x_BFSC.device)
    embedder, blocks = model.get_submodule("condition_embedder"), model.get_submodule("blocks")
    time, modulation, words, _ = embedder(levels, captions.states_BSE, None)
    hidden = embed(model, x_BFSC)
    with attending(model, attention, captions):
        for block in blocks.children():
            hidden = block(hidden, words, modulation.unflatten(1, (6, -1)), None)
    return velocity(x_BFSC, unembed(model, hidden, time), torch.tensor(level))
