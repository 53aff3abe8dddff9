"""Generates many stories in one batch, shot by shot, from captions and the model's own earlier takes.

This is the renderer without files and frames: the same model, router and sampler, for whole batches.
Shapes: B stories, N shots, F latent frames, S slots, C channels, L tokens of a shot, H heads, D head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from time import process_time

import numpy as np
import torch
from torch import Tensor

from moc_engine.evaluation.generation.costs import MemoryCosts, memory_costs
from moc_engine.evaluation.generation.memory_attention import DenoisingStep, MemoryAttention, ShotContext
from moc_engine.evaluation.generation.methods import CONTEXTS
from moc_engine.evaluation.generation.settings import GenerationSettings
from moc_engine.memory.context_policies import KEYFRAMES, ContextTake
from moc_engine.memory.policies import changing_frames
from moc_engine.models.animatic.model import AnimaticPipeline, encode_texts, shot_text, story_text, velocity
from moc_engine.models.animatic.scene import CHANNELS, PATCH_FRAMES, SLOTS
from moc_engine.models.animatic.world import Story
from moc_engine.models.base import CaptionStates
from moc_engine.models.solver import even_levels
from moc_engine.models.wan_transformer import attending
from moc_engine.names import mentioned
from moc_engine.training.denoiser import embed, smoothed, unembed


@dataclass(frozen=True, kw_only=True)
class Generated:
    """Latents (B, N, F, S, C) of stories, and shares (B,) of pairs.

    `pruned` are the pairs with the history that were not attended to; `pairs` those that were attended to, of
    all, in shots that have a history. `seconds` is the CPU time of the process for all stories, `costs` what
    the last shot takes of memory, if it was to be measured.
    """

    latents: Tensor
    pruned: Tensor
    pairs: Tensor
    seconds: float
    costs: MemoryCosts | None


@torch.no_grad()
def generate(
    pipeline: AnimaticPipeline,
    stories: Sequence[Story],
    settings: GenerationSettings,
    *,
    numbers: Sequence[int] = (),
    with_costs: bool = False,
) -> Generated:
    """Generates stories that have the same number of shots, all of the same length.

    The noise of a story depends only on `settings.seed` and its number (by default its position), so the
    other stories of the batch do not change it. `with_costs` measures memory in one more step of the last
    shot, whose time does not count.
    """
    began = process_time()
    model, sampler = pipeline.transformer, settings.sampler
    shots, frames = len(stories[0].shots), len(stories[0].shots[0].scene)
    numbers = numbers or range(len(stories))
    of_takes, of_memories, of_routing = (_generators(settings.seed, numbers, use) for use in range(3))
    attention = MemoryAttention(model, settings, of_routing, pipeline.routers)
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
        named = tuple(_named(story, shot) for story in stories)
        attention.begin(shot, frames // PATCH_FRAMES, ShotContext(first_seen=first_seen, named=named))
        x = _noise(of_takes, frames).to(attention.device)
        pipeline.scheduler.set_timesteps(sigmas=even_levels(sampler.steps))
        for step, (sigma, following) in enumerate(pairwise(pipeline.scheduler.sigmas.tolist())):
            attention.step = DenoisingStep(step=step, steps=sampler.steps)
            flow = _velocity(pipeline, attention, x, sigma, captions[shot])
            guidance = sampler.guidance_at(sigma)
            if guidance != 1.0 and settings.caption_link:
                attention.step = DenoisingStep(step=step, steps=sampler.steps, guided=False)
                unconditional = _velocity(pipeline, attention, x, sigma, empty)
                flow = torch.lerp(unconditional, flow, guidance)
            x = x + (following - sigma) * flow
        takes.append(x)
        if settings.router in CONTEXTS:
            for known, latents, cast in zip(attention.takes, x, named, strict=True):
                known.append(_context_take(latents, cast))
        if settings.router != "own" and shot + 1 < shots:
            level = sampler.memory_noise
            read = torch.lerp(x, _noise(of_memories, frames).to(x), level) if level else x
            with attention.write():
                _velocity(pipeline, attention, read, level, captions[shot])
    generated = Generated(
        latents=torch.stack(takes, dim=1),
        pruned=attention.pruned,
        pairs=attention.pairs,
        seconds=process_time() - began,
        costs=None,
    )
    if not with_costs:
        return generated
    costs = memory_costs(attention, lambda: _velocity(pipeline, attention, takes[-1], 1.0, captions[-1]))
    return replace(generated, costs=costs)


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


def _named(story: Story, shot: int) -> frozenset[int]:
    """The numbers of the cast members whom a shot's caption names."""
    return mentioned(story.shots[shot].caption, story.cast)


def _context_take(latents_FSC: Tensor, cast: frozenset[int]) -> ContextTake:
    """What context policies know of a take."""
    frames = len(latents_FSC) // PATCH_FRAMES
    channels_first = latents_FSC.float().movedim(-1, 0)[..., None].cpu().numpy()
    keyframes = changing_frames(channels_first, frames, KEYFRAMES)
    return ContextTake(frames=frames, keyframes=tuple(keyframes.tolist()), cast=cast)


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
    attention.time_BE = time
    hidden = embed(model, x_BFSC)
    with attending(model, attention, captions):
        for block in model.blocks:
            hidden = block(hidden, words, modulation.unflatten(1, (6, -1)), None)
    clean = smoothed(pipeline.smoother, unembed(model, hidden, time))
    return velocity(x_BFSC, clean, torch.tensor(level))
