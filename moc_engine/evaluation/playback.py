"""Renders many stories at once, shot by shot, from captions and the model's own earlier takes alone.

A batched, frame-free stand-in for the renderer: the same model, router and sampler, no files, no pictures.
Shapes: B stories, N shots, F latent frames, S slots, C channels, L tokens of a shot, H heads, D head width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from moc_engine.config import Router, RoutingConfig, SamplerConfig
from moc_engine.evaluation.routers import packing, radial_scores, random_scores, window_scores
from moc_engine.models.animatic.model import AnimaticPipeline, encode_texts, shot_text, story_text, velocity
from moc_engine.models.animatic.scene import CHANNELS, PATCH_FRAMES, SLOTS
from moc_engine.models.animatic.world import Story
from moc_engine.models.base import CaptionStates
from moc_engine.models.wan_transformer import apply_rotary, attending, rotary_angles
from moc_engine.ops.routing import choose_chunks, mask_of
from moc_engine.render.denoise import noise_levels
from moc_engine.training.attention import (
    Memories,
    attention_with_memories,
    chunk_descriptors,
    routing_scores,
    story_angles,
    tokens_of_chunks,
)
from moc_engine.training.denoiser import embed, smoothed, unembed

Steer = Literal["pin", "ban"]


@dataclass(frozen=True, kw_only=True)
class Playback:
    """How to render: what a shot looks at, and what is taken away from it.

    All routers but dense and own attend to as many history tokens as `routing` lets MoC choose. Without
    `own_link` a token sees of its own shot only its own chunk, once there is a history; takes are still read
    whole. Without `caption_link` no captions are read at all. `steer` pins to a shot, or bans from it, the
    shots in which its cast was first seen. Raises `ValueError` where there is
    nothing to steer, or no link is left.
    """

    router: Router = "moc"
    routing: RoutingConfig
    sampler: SamplerConfig
    seed: int = 0
    own_link: bool = True
    caption_link: bool = True
    steer: Steer | None = None

    def __post_init__(self) -> None:
        chooses = self.router in ("moc", "window", "radial", "random")
        if self.steer is not None and not chooses:
            raise ValueError(f"steer: the router {self.router} has nothing to pin or ban")
        if not self.own_link and self.router == "own":
            raise ValueError("own_link: the router own looks at nothing else")


class RememberingAttention:
    """Self-attention of one shot of many stories, to itself and to what `write` has kept of earlier ones.

    `attended` (B,) and `available` count the history pairs of query and key of a story so far. Only the
    packed router keeps keys that are not rotated: means are rotated to the mean of their places.
    """

    def __init__(self, transformer: Any, playback: Playback, chances: Sequence[torch.Generator]) -> None:
        self.transformer = transformer
        self.playback = playback
        self.routing = playback.routing
        self.pool_after = playback.routing.pooling == "after"
        self.kept: list[Memories | None] = [None] * len(transformer.blocks)
        self.writing = False
        self.angles: tuple[Tensor, Tensor] | None = None
        self.first_seen: Tensor | None = None  # (B, earlier shots), of the cast of the shot at hand
        self.attended = torch.zeros(len(chances), dtype=torch.long)
        self.available = 0
        self._chances = chances  # of each story, for the random router
        self._drawn: dict[int, Tensor] = {}  # its scores by layer: the same for all steps of a shot

    @property
    def device(self) -> torch.device:
        return next(self.transformer.parameters()).device  # type: ignore[no-any-return]

    @property
    def pruned(self) -> Tensor:
        """(B,): the share of history pairs that was not attended to; 0 where there were none."""
        if self.playback.router == "own":  # which keeps nothing that could be counted
            return torch.ones(len(self.attended))
        return 1.0 - self.attended / self.available if self.available else torch.zeros(len(self.attended))

    def begin(self, shot: int, frames: int, first_seen: Tensor) -> None:
        """Turns to a shot of `frames` token frames; all before it are as long."""
        starts = torch.tensor([shot * frames], device=self.device)
        cos, sin = story_angles(self.transformer, starts=starts, frames=frames, slots=SLOTS)
        self.angles = cos[0], sin[0]
        self.first_seen = first_seen
        self._drawn.clear()

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
        memories = self.kept[layer]
        if self.writing:
            kept = k_BHLD if self.playback.router == "packed" else k
            self._keep(layer, kept, v_BHLD, described=k if self.pool_after else k_BHLD)
        if self.writing or memories is None:
            return scaled_dot_product_attention(q, k, v_BHLD)
        queries = q[0, ..., 0].numel()
        self.available += queries * memories.tokens
        memories, mask = self._choose(layer, q if self.pool_after else q_BHLD, memories)
        self.attended += queries * memories.tokens if mask is None else mask.sum(dim=(1, 2, 3)).cpu()
        own = None if self.playback.own_link else self._own_chunk(q.shape[2])
        return attention_with_memories(q, k, v_BHLD, memories, mask, own=own)

    def _keep(self, layer: int, k_BHLD: Tensor, v_BHLD: Tensor, *, described: Tensor) -> None:
        """Adds a shot to what later ones may look at; `described` are the keys whose means describe it."""
        means = chunk_descriptors(described[:, :, None], slots=SLOTS, chunking=self.routing.chunking)
        before = self.kept[layer]
        shot = Memories(keys=k_BHLD[:, :, None], values=v_BHLD[:, :, None], descriptors=means)
        self.kept[layer] = shot if before is None else before.followed_by(shot)

    def _choose(self, layer: int, q_BHLD: Tensor, memories: Memories) -> tuple[Memories, Tensor | None]:
        """What the shot's tokens look at of their history, and which of it each of them does (None: all)."""
        router, routing = self.playback.router, self.routing
        earlier, chunks, _ = memories.descriptors.shape[2:]
        tokens = memories.keys.shape[3]
        if router == "dense":
            return memories, None
        if router == "packed":
            keys, values = self._packed(memories, budget=routing.top_k * tokens // chunks)
            return replace(memories, keys=keys, values=values), None
        scores = routing_scores(q_BHLD, memories)
        if router == "random":
            if layer not in self._drawn:
                self._drawn[layer] = random_scores(scores, self._chances)
            scores = self._drawn[layer]
        elif router in ("window", "radial"):
            place = window_scores if router == "window" else radial_scores
            by_place = place(
                earlier, chunks, slots=SLOTS, tokens=q_BHLD.shape[2], by_slot=routing.chunking == "track"
            )
            scores = by_place.to(scores.device).expand_as(scores)
        pinned, candidates = self._steered(earlier, chunks, scores)
        chosen = choose_chunks(scores, candidates, routing, pinned=pinned)
        attended = mask_of(chosen, earlier * chunks) | pinned
        return memories, tokens_of_chunks(attended, memories, slots=SLOTS, chunking=routing.chunking)

    def _packed(self, memories: Memories, budget: int) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, 1, P, D) of the history averaged to few tokens."""
        earlier, tokens = memories.keys.shape[2:4]
        weights = packing(budget, earlier=earlier, tokens=tokens, slots=SLOTS)
        place = torch.arange(memories.tokens, dtype=weights.dtype)
        frame, slot = (weights @ place.div(SLOTS, rounding_mode="floor")), weights @ (place % SLOTS)
        turn = rotary_angles(self.transformer, frame, slot, torch.zeros_like(slot))
        weights, cos, sin = (part.to(self.device) for part in (weights, *turn))
        keys, values = (weights @ whole.flatten(2, 3) for whole in (memories.keys, memories.values))
        return apply_rotary(keys, cos, sin)[:, :, None], values[:, :, None]

    def _steered(self, earlier: int, chunks: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Which chunks are pinned and which may be chosen, (B or 1, 1, 1, N · K)."""
        none = torch.zeros(1, earlier, dtype=torch.bool, device=like.device)
        steered = none if self.first_seen is None else self.first_seen.to(like.device)
        pinned = steered if self.playback.steer == "pin" else none
        allowed = ~steered if self.playback.steer == "ban" else ~none
        of_pinned, of_allowed = (
            shots.repeat_interleave(chunks, dim=1)[:, None, None] for shots in (pinned, allowed)
        )
        return of_pinned, of_allowed

    def _own_chunk(self, tokens: int) -> Tensor:
        """Bool (L, L): which tokens of a shot are of the same chunk."""
        place = torch.arange(tokens, device=self.device)
        chunk = place % SLOTS if self.routing.chunking == "track" else place // SLOTS
        return chunk[:, None] == chunk


@dataclass(frozen=True, kw_only=True)
class Played:
    """Latents (B, N, F, S, C) of stories, and the share (B,) of history pairs that was not attended to."""

    latents: Tensor
    pruned: Tensor


@torch.no_grad()
def play(
    pipeline: AnimaticPipeline, stories: Sequence[Story], playback: Playback, *, numbers: Sequence[int] = ()
) -> Played:
    """Renders stories of equally many, equally long shots.

    Each draws noise of its own, by `Playback.seed` and its number (their places where left out), so that a
    story comes out the same in any company.
    """
    model, sampler = pipeline.transformer, playback.sampler
    shots, frames = len(stories[0].shots), len(stories[0].shots[0].scene)
    numbers = numbers or range(len(stories))
    of_takes, of_memories, of_routing = (_generators(playback.seed, numbers, use) for use in range(3))
    attention = RememberingAttention(model, playback, of_routing)
    silence = _captions(pipeline, [("", "", ())] * len(stories))
    told = [
        _captions(pipeline, [(s.global_caption, s.shots[n].caption, s.cast) for s in stories])
        if playback.caption_link
        else silence
        for n in range(shots)
    ]
    takes: list[Tensor] = []
    for shot in range(shots):
        first_seen = torch.stack([_first_seen(story, shot) for story in stories])
        attention.begin(shot, frames // PATCH_FRAMES, first_seen)
        x = _noise(of_takes, frames).to(attention.device)
        pipeline.scheduler.set_timesteps(sigmas=noise_levels(sampler.steps))
        for now, after in pairwise(pipeline.scheduler.sigmas.tolist()):
            flow = _velocity(pipeline, attention, x, now, told[shot])
            if sampler.guides(now) and playback.caption_link:
                unsaid = _velocity(pipeline, attention, x, now, silence)
                flow = torch.lerp(unsaid, flow, sampler.guidance)
            x = x + (after - now) * flow
        takes.append(x)
        if playback.router != "own":
            level = sampler.memory_noise
            read = torch.lerp(x, _noise(of_memories, frames).to(x), level) if level else x
            with attention.write():
                _velocity(pipeline, attention, read, level, told[shot])
    return Played(latents=torch.stack(takes, dim=1), pruned=attention.pruned)


def _generators(seed: int, numbers: Sequence[int], use: int) -> list[torch.Generator]:
    """A generator for each story and use, so that what one router draws moves nothing else."""
    states = [np.random.SeedSequence((seed, number, use)).generate_state(1) for number in numbers]
    return [torch.Generator().manual_seed(int(state[0])) for state in states]


def _noise(chances: Sequence[torch.Generator], frames: int) -> Tensor:
    """(B, F, S, C), each story's by its own generator."""
    return torch.stack([torch.randn(frames, SLOTS, CHANNELS, generator=chance) for chance in chances])


def _first_seen(story: Story, shot: int) -> Tensor:
    """Bool (shot): those of the shots before in which a member of this one's cast was first seen."""
    wanted = {actor.cast for actor in story.shots[shot].script.actors}
    first = torch.zeros(shot, dtype=torch.bool)
    for index in range(shot):
        there = {actor.cast for actor in story.shots[index].script.actors}
        first[index] = bool(wanted & there)
        wanted -= there
    return first


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
    pipeline: AnimaticPipeline,
    attention: RememberingAttention,
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
