"""What is learnt is what is rendered: one pass over a whole story, and shot by shot through memories."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from moc_engine.config import Chunking, Pooling, RoutingConfig, Steering
from moc_engine.memory.context import ContextMemory
from moc_engine.models.animatic.world import sample_story
from moc_engine.render.denoising_pass import AttentionContext, DenoisingPass
from moc_engine.render.memory_pass import compute_memory
from moc_engine.training.data.stories import collate
from moc_engine.training.denoiser import StoryDenoiser
from moc_engine.training.story_rules import StoryRules
from tests.fakes.models import tiny_animatic, tiny_backbone

SHOTS, FRAMES = 4, 2  # token frames of each shot
STEERING = Steering(pins=(0,), bans=(1,))


@torch.no_grad()
@pytest.mark.parametrize("chunking", ["track", "frame"])
@pytest.mark.parametrize("pooling", ["before", "after"])
@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("steering", [Steering(), STEERING])
def test_training_equals_rendering(
    chunking: Chunking, pooling: Pooling, silent: bool, steering: Steering
) -> None:
    pipeline, backbone, memory = tiny_animatic(), tiny_backbone(), ContextMemory()
    story = sample_story(np.random.default_rng(7), shots=SHOTS, cast=3, tokens=FRAMES)
    batch = collate([story], pipeline.tokenizer)
    draws = torch.Generator().manual_seed(0)
    noise = torch.randn(batch.latents.shape, generator=draws)
    level = torch.rand(1, SHOTS, generator=draws)
    noisy = torch.lerp(batch.latents, noise, level[..., None, None, None])
    routing = RoutingConfig(top_k=2, chunking=chunking, pooling=pooling)

    candidates = torch.ones(1, SHOTS, SHOTS, dtype=torch.bool)
    pinned = torch.zeros_like(candidates)
    candidates[..., list(steering.bans)] = False
    pinned[..., list(steering.pins)] = True
    learnt = StoryDenoiser(pipeline.transformer, pipeline.smoother, pipeline.text_encoder).eval()(
        batch,
        clean=batch.latents[:, :-1],
        noisy=noisy,
        clean_level=torch.zeros(1, SHOTS - 1),
        noise_level=level,
        without_caption=torch.full((1, SHOTS), silent),
        starts=torch.arange(SHOTS) * FRAMES,
        rules=StoryRules(routing=routing, candidates=candidates, pinned=pinned),
    )

    for nth, shot in enumerate(story.shots):
        clean, seen = (x[0, nth].permute(2, 0, 1)[..., None].contiguous() for x in (batch.latents, noisy))
        grid = backbone.grid(clean.shape, chunking)
        told = backbone.family.captions(story.global_caption, shot.caption, story.cast)
        if nth > max((*steering.pins, *steering.bans), default=-1):
            context = AttentionContext(
                shot=nth, grid=grid, history=memory.history(), routing=routing, steering=steering
            )
            rendered = backbone.predict(
                seen[None],
                level[0, nth, None] * 1000,
                DenoisingPass(context, backbone.angles, backbone.device),
                backbone.family.captions("", "", story.cast) if silent else told,
            )
            rendered = pipeline.smoother(rendered)
            torch.testing.assert_close(
                rendered[0, ..., 0].permute(1, 2, 0), learnt[0, nth], atol=1e-4, rtol=1e-4
            )
        read = partial(compute_memory, backbone, clean, told, chunking=chunking, pooling=pooling, noise=0.0)
        memory.add(str(nth), grid.extent, read)
