"""Generates many stories in one batch, shot by shot, from captions and the model's own earlier takes.

This is the renderer without files and frames: the same model, router and sampler, for whole batches.
Shapes: B stories, N shots, F latent frames, S slots, C channels, L tokens of a shot, H heads, D head width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from moc_engine.evaluation.generation.routers import packing, radial_scores, random_scores, window_scores
from moc_engine.evaluation.generation.settings import GenerationSettings
from moc_engine.models.animatic.model import AnimaticPipeline, encode_texts, shot_text, story_text, velocity
from moc_engine.models.animatic.scene import CHANNELS, PATCH_FRAMES, SLOTS
from moc_engine.models.animatic.world import Story
from moc_engine.models.base import CaptionStates
from moc_engine.models.solver import even_levels
from moc_engine.models.wan_transformer import attending, rotary_angles
from moc_engine.ops.choosing import ChunkRules, choose_chunks, route_queries
from moc_engine.ops.rotary import apply_rotary
from moc_engine.training.attention import (
    Memories,
    chunk_descriptors,
    dense_attention,
    routed_attention,
    story_angles,
    tokens_of_chunks,
    with_pinned,
)
from moc_engine.training.denoiser import embed, smoothed, unembed


class MemoryAttention:
    """Self-attention of one shot of many stories: to itself and to the memories of earlier shots.

    `attended` (B,) and `available` count the query-key pairs with the history of a story so far. Keys are
    stored rotated, except for the packed router: its means are rotated to the mean of their positions.
    """

    def __init__(
        self, transformer: Any, settings: GenerationSettings, generators: Sequence[torch.Generator]
    ) -> None:
        self.transformer = transformer
        self.settings = settings
        self.routing = settings.routing
        self.pool_after = settings.routing.pooling == "after"
        self.memories: list[Memories | None] = [None] * len(transformer.blocks)
        self.writing = False
        self.angles: tuple[Tensor, Tensor] | None = None
        self.first_seen: Tensor | None = (
            None  # (B, earlier shots): where the cast of this shot first appeared
        )
        self.attended = torch.zeros(len(generators), dtype=torch.long)
        self.available = 0
        self._generators = generators  # one per story, for the random router
        self._random: dict[int, Tensor] = {}  # its scores by layer: the same for all steps of a shot

    @property
    def device(self) -> torch.device:
        return next(self.transformer.parameters()).device  # type: ignore[no-any-return]

    @property
    def pruned(self) -> Tensor:
        """(B,): the share of history pairs that were not attended to; 0 without a history."""
        if self.settings.router == "own":  # keeps no history
            return torch.ones(len(self.attended))
        return 1.0 - self.attended / self.available if self.available else torch.zeros(len(self.attended))

    def begin(self, shot: int, frames: int, first_seen: Tensor) -> None:
        """Starts a shot of `frames` token frames; all earlier shots are as long."""
        starts = torch.tensor([shot * frames], device=self.device)
        cos, sin = story_angles(self.transformer, starts=starts, frames=frames, slots=SLOTS)
        self.angles = cos[0], sin[0]
        self.first_seen = first_seen
        self._random.clear()

    @contextmanager
    def write(self) -> Iterator[None]:
        """Within the block shots attend only to themselves, and their keys and values are stored."""
        self.writing = True
        try:
            yield
        finally:
            self.writing = False

    def attend(self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
        assert self.angles is not None
        q, k = apply_rotary(q_BHLD, *self.angles), apply_rotary(k_BHLD, *self.angles)
        memories = self.memories[layer]
        if self.writing:
            keys = k_BHLD if self.settings.router == "packed" else k
            self._store(layer, keys, v_BHLD, pooled=k if self.pool_after else k_BHLD)
        if self.writing or memories is None:
            return scaled_dot_product_attention(q, k, v_BHLD)
        queries = q[0, ..., 0].numel()
        self.available += queries * memories.tokens
        own_chunk = None if self.settings.own_link else self._own_chunk(q.shape[2])
        if self.settings.router in ("dense", "packed"):
            memories = memories if self.settings.router == "dense" else self._packed(memories)
            self.attended += queries * memories.tokens
            return dense_attention(q, k, v_BHLD, memories, own=own_chunk)
        chosen = self._choose(layer, q if self.pool_after else q_BHLD, memories)
        chunk_tokens = memories.keys.shape[3] // memories.descriptors.shape[3]
        self.attended += (chosen >= 0).sum(dim=(1, 2, 3)).cpu() * chunk_tokens
        if own_chunk is None:
            return routed_attention(q, k, v_BHLD, memories, chosen, slots=SLOTS, routing=self.routing)
        mask = tokens_of_chunks(chosen, memories, slots=SLOTS, chunking=self.routing.chunking)
        return dense_attention(q, k, v_BHLD, memories, mask, own=own_chunk)

    def _store(self, layer: int, k_BHLD: Tensor, v_BHLD: Tensor, *, pooled: Tensor) -> None:
        """Adds a shot to the memories; the means of the keys `pooled` are its descriptors."""
        means = chunk_descriptors(pooled[:, :, None], slots=SLOTS, chunking=self.routing.chunking)
        before = self.memories[layer]
        shot = Memories(keys=k_BHLD[:, :, None], values=v_BHLD[:, :, None], descriptors=means)
        self.memories[layer] = shot if before is None else before.followed_by(shot)

    def _choose(self, layer: int, q_BHLD: Tensor, memories: Memories) -> Tensor:
        """The chunks (B, H, L, K) of the history that each query attends to, -1 for none."""
        router, routing = self.settings.router, self.routing
        earlier, chunks, _ = memories.descriptors.shape[2:]
        pinned, candidates = self._steered(earlier, chunks, q_BHLD.device)
        if router == "moc":
            rules = ChunkRules(candidates=candidates[:, None])
            return with_pinned(
                route_queries(q_BHLD, memories.descriptors.flatten(2, 3), rules, routing), pinned
            )
        if router == "random":
            if layer not in self._random:
                like = q_BHLD.new_empty(*q_BHLD.shape[:3], earlier * chunks)
                self._random[layer] = random_scores(like, self._generators)
            scores = self._random[layer]
        else:
            static = window_scores if router == "window" else radial_scores
            by_position = static(
                earlier, chunks, slots=SLOTS, tokens=q_BHLD.shape[2], by_slot=routing.chunking == "track"
            )
            scores = by_position.to(q_BHLD.device).expand(*q_BHLD.shape[:3], -1)
        return with_pinned(choose_chunks(scores, candidates[:, None, None], routing), pinned)

    def _packed(self, memories: Memories) -> Memories:
        """The history averaged to as many tokens as MoC may attend to, in one row (B, H, 1, P, D)."""
        earlier, tokens = memories.keys.shape[2:4]
        budget = self.routing.top_k * tokens // memories.descriptors.shape[3]
        weights = packing(budget, earlier=earlier, tokens=tokens, slots=SLOTS)
        token = torch.arange(memories.tokens, dtype=weights.dtype)
        frame, slot = (weights @ token.div(SLOTS, rounding_mode="floor")), weights @ (token % SLOTS)
        angles = rotary_angles(self.transformer, frame, slot, torch.zeros_like(slot))
        weights, cos, sin = (part.to(self.device) for part in (weights, *angles))
        keys, values = (weights @ whole.flatten(2, 3) for whole in (memories.keys, memories.values))
        rotated = apply_rotary(keys, cos, sin)
        return replace(memories, keys=rotated[:, :, None], values=values[:, :, None])

    def _steered(self, earlier: int, chunks: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Which chunks are pinned and which may be chosen, (B or 1, N · K)."""
        none = torch.zeros(1, earlier, dtype=torch.bool, device=device)
        steered = none if self.first_seen is None else self.first_seen.to(device)
        pinned = steered if self.settings.steer == "pin" else none
        allowed = ~steered if self.settings.steer == "ban" else ~none
        of_pinned, of_allowed = (shots.repeat_interleave(chunks, dim=1) for shots in (pinned, allowed))
        return of_pinned, of_allowed & ~of_pinned

    def _own_chunk(self, tokens: int) -> Tensor:
        """Bool (L, L): whether two tokens of a shot are in the same chunk."""
        token = torch.arange(tokens, device=self.device)
        chunk = token % SLOTS if self.routing.chunking == "track" else token // SLOTS
        return chunk[:, None] == chunk


@dataclass(frozen=True, kw_only=True)
class Generated:
    """Latents (B, N, F, S, C) of stories, and the share (B,) of history pairs that were not attended to."""

    latents: Tensor
    pruned: Tensor


@torch.no_grad()
def generate(
    pipeline: AnimaticPipeline,
    stories: Sequence[Story],
    settings: GenerationSettings,
    *,
    numbers: Sequence[int] = (),
) -> Generated:
    """Generates stories that have the same number of shots, all of the same length.

    The noise of a story depends only on `settings.seed` and its number (by default its position), so the
    other stories of the batch do not change it.
    """
    model, sampler = pipeline.transformer, settings.sampler
    shots, frames = len(stories[0].shots), len(stories[0].shots[0].scene)
    numbers = numbers or range(len(stories))
    of_takes, of_memories, of_routing = (_generators(settings.seed, numbers, use) for use in range(3))
    attention = MemoryAttention(model, settings, of_routing)
    empty = _captions(pipeline, [("", "", ())] * len(stories))
    captions = [
        _captions(pipeline, [(s.global_caption, s.shots[n].caption, s.cast) for s in stories])
        if settings.caption_link
        else empty
        for n in range(shots)
    ]
    takes: list[Tensor] = []
    for shot in range(shots):
        first_seen = torch.stack([_first_seen(story, shot) for story in stories])
        attention.begin(shot, frames // PATCH_FRAMES, first_seen)
        x = _noise(of_takes, frames).to(attention.device)
        pipeline.scheduler.set_timesteps(sigmas=even_levels(sampler.steps))
        for sigma, following in pairwise(pipeline.scheduler.sigmas.tolist()):
            flow = _velocity(pipeline, attention, x, sigma, captions[shot])
            guidance = sampler.guidance_at(sigma)
            if guidance != 1.0 and settings.caption_link:
                unconditional = _velocity(pipeline, attention, x, sigma, empty)
                flow = torch.lerp(unconditional, flow, guidance)
            x = x + (following - sigma) * flow
        takes.append(x)
        if settings.router != "own":
            level = sampler.memory_noise
            read = torch.lerp(x, _noise(of_memories, frames).to(x), level) if level else x
            with attention.write():
                _velocity(pipeline, attention, read, level, captions[shot])
    return Generated(latents=torch.stack(takes, dim=1), pruned=attention.pruned)


def _generators(seed: int, numbers: Sequence[int], use: int) -> list[torch.Generator]:
    """A generator for each story and use, so that a router's draws do not change the noise."""
    states = [np.random.SeedSequence((seed, number, use)).generate_state(1) for number in numbers]
    return [torch.Generator().manual_seed(int(state[0])) for state in states]


def _noise(generators: Sequence[torch.Generator], frames: int) -> Tensor:
    """(B, F, S, C), each story drawn by its own generator."""
    return torch.stack([torch.randn(frames, SLOTS, CHANNELS, generator=own) for own in generators])


def _first_seen(story: Story, shot: int) -> Tensor:
    """Bool (shot): the earlier shots in which a member of this shot's cast first appeared."""
    missing = {actor.cast for actor in story.shots[shot].script.actors}
    first = torch.zeros(shot, dtype=torch.bool)
    for index in range(shot):
        present = {actor.cast for actor in story.shots[index].script.actors}
        first[index] = bool(missing & present)
        missing -= present
    return first


def _captions(pipeline: AnimaticPipeline, texts: Sequence[tuple[str, str, Sequence[str]]]) -> CaptionStates:
    """States of the global caption followed by the shot's own; `texts` holds both, and the cast."""
    parts = [
        encode_texts(pipeline.tokenizer, pipeline.text_encoder, prepared)
        for prepared in (
            [story_text(caption, cast) for caption, _, cast in texts],
            [shot_text(caption, cast) for _, caption, cast in texts],
        )
    ]
    return CaptionStates(
        states_BSE=torch.cat([states for states, _ in parts], dim=1),
        mask_BS=torch.cat([mask for _, mask in parts], dim=1),
    )


def _velocity(
    pipeline: AnimaticPipeline,
    attention: MemoryAttention,
    x_BFSC: Tensor,
    level: float,
    captions: CaptionStates,
) -> Tensor:
    """One call of the transformer's blocks at one noise level."""
    model = pipeline.transformer
    levels = torch.full((len(x_BFSC),), level * 1000.0, device=x_BFSC.device)
    time, modulation, words, _ = model.condition_embedder(levels, captions.states_BSE, None)
    hidden = embed(model, x_BFSC)
    with attending(model, attention, captions):
        for block in model.blocks:
            hidden = block(hidden, words, modulation.unflatten(1, (6, -1)), None)
    clean = smoothed(pipeline.smoother, unembed(model, hidden, time))
    return velocity(x_BFSC, clean, torch.tensor(level))
