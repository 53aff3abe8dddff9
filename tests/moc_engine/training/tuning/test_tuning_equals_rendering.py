"""What a video model is tuned on is what is rendered: all shots in one call, and shot by shot by memories."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from moc_engine.config import Chunking, MemoryConfig, RoutingConfig, Steering
from moc_engine.contract import ContextTake
from moc_engine.memory.context import ContextMemory
from moc_engine.memory.take_memory import Kept
from moc_engine.models.backbone import Backbone
from moc_engine.models.loading import load_backbone
from moc_engine.render.denoise import draw_noise
from moc_engine.render.denoising_pass import AttentionContext, DenoisingPass
from moc_engine.render.memory_pass import _seed_of, compute_memory
from moc_engine.render.prepare import _remembered_chunks
from moc_engine.stored_file import LocalFile
from moc_engine.training.data.footage.dataset import TrainingShot, TrainingStory
from moc_engine.training.story_rules import StoryRules
from moc_engine.training.tuning.batch import collate
from moc_engine.training.tuning.denoiser import TuningDenoiser
from moc_engine.training.tuning.recipe import TuningRecipe
from tests.fakes.models import save_tiny_video
from tests.fakes.tuning import drawn

STYLE, CAPTIONS = "a fox", ("", "a fox at dawn", "runs at dawn")
ROUTED = RoutingConfig(top_k=2, chunking="frame")
DENSE = RoutingConfig(top_k=0, chunking="frame", full_below=10**6)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    folder: Path = tmp_path_factory.mktemp("model")
    save_tiny_video(folder)
    return load_backbone(folder, "cpu")


def _states(backbone: Backbone, caption: str) -> Tensor:
    """The states (T, D) of one caption, without the zeros behind them."""
    states = backbone.family.captions("", caption, ()).states_BSE[0]
    return states[states.any(dim=1)]


def _story(backbone: Backbone, frames: tuple[int, ...]) -> TrainingStory:
    draws = torch.Generator().manual_seed(0)
    shots = tuple(
        TrainingShot(
            latents=torch.randn(4, length, 4, 6, generator=draws),
            states=_states(backbone, caption),
            caption=caption,
            seconds=1.0,
        )
        for length, caption in zip(frames, CAPTIONS, strict=True)
    )
    return TrainingStory(name="fox", style_states=_states(backbone, STYLE), shots=shots, style=STYLE)


@torch.no_grad()
@pytest.mark.parametrize("frames", [(2, 2, 2), (3, 1, 2)])
@pytest.mark.parametrize(
    ("routing", "trained"),
    [(DENSE, None), (ROUTED, ROUTED), (RoutingConfig(top_k=2), RoutingConfig(top_k=2))],
)
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_tuning_equals_rendering(
    backbone: Backbone,
    frames: tuple[int, ...],
    routing: RoutingConfig,
    trained: RoutingConfig | None,
    noise: float,
) -> None:
    _assert_equal(backbone, frames, routing, trained, noise, MemoryConfig())


@torch.no_grad()
@pytest.mark.parametrize("frames", [(5, 5, 5), (6, 1, 4)])
@pytest.mark.parametrize(
    "memory",
    [
        MemoryConfig(policy="change", keyframes=3),
        MemoryConfig(policy="spread", keyframes=1),
        MemoryConfig(policy="first-last"),
    ],
)
@pytest.mark.parametrize(
    ("routing", "trained"),
    [(DENSE, None), (ROUTED, ROUTED), (RoutingConfig(top_k=2), RoutingConfig(top_k=2))],
)
def test_tuning_equals_rendering_with_its_memory_policy(
    backbone: Backbone,
    frames: tuple[int, ...],
    memory: MemoryConfig,
    routing: RoutingConfig,
    trained: RoutingConfig | None,
) -> None:
    _assert_equal(backbone, frames, routing, trained, 0.0, memory)


def _assert_equal(
    backbone: Backbone,
    frames: tuple[int, ...],
    routing: RoutingConfig,
    trained: RoutingConfig | None,
    noise: float,
    remembered: MemoryConfig,
) -> None:
    """Of three shots, the last may not attend to the second, and the second is without its caption."""
    steering, silent = Steering(bans=(1,)), 1
    story = _story(backbone, frames)
    batch = collate([story], _states(backbone, ""), caption_states=512)
    draw = drawn(batch, TuningRecipe(caption_dropout=0.0, memory_noise=0.0))
    draw.without_caption[0, silent] = True
    candidates = torch.ones(1, 3, 3, dtype=torch.bool)
    candidates[0, 2, list(steering.bans)] = False
    memory = ContextMemory()
    for nth, shot in enumerate(story.shots):
        grid = backbone.grid(shot.latents.shape, routing.chunking)
        told = backbone.family.captions(STYLE, shot.caption, ())
        kept = _kept(shot, backbone, routing.chunking, remembered)
        read = partial(
            compute_memory,
            backbone,
            shot.latents,
            told,
            chunking=routing.chunking,
            pooling=routing.pooling,
            noise=noise,
            kept=kept,
        )
        if nth < 2:
            _noisy_as_a_memory(draw.memory_level, draw.memory_noise, nth, shot.latents, noise)
        memory.add(str(nth), grid.extent if kept is None else kept.extent, read)
    predicted = TuningDenoiser(backbone.transformer, memory=remembered)(
        batch, draw, StoryRules(routing=trained, candidates=candidates)
    )
    noisy = draw.noisy(batch.latents)
    for nth, shot in enumerate(story.shots):
        own = slice(frames[nth])
        context = AttentionContext(
            shot=nth,
            grid=backbone.grid(shot.latents.shape, routing.chunking),
            history=memory.history([str(one) for one in range(nth)]) if nth else None,
            routing=routing,
            steering=steering if nth == 2 else Steering(),
        )
        rendered = backbone.velocity(
            noisy[:, nth, :, own],
            draw.level[0, nth, None] * 1000,
            DenoisingPass(context, backbone.angles, backbone.device),
            backbone.family.captions("", "", ())
            if nth == silent
            else backbone.family.captions(STYLE, shot.caption, ()),
        )
        torch.testing.assert_close(predicted[:, nth, :, own], rendered, atol=1e-4, rtol=1e-4)


def _kept(
    shot: TrainingShot, backbone: Backbone, chunking: Chunking, remembered: MemoryConfig
) -> Kept | None:
    """What a render remembers of a take with these latents."""
    take = ContextTake(
        id=shot.caption,
        shot=0,
        latents=LocalFile(Path("unread")),
        caption=shot.caption,
        global_caption=STYLE,
        cast=(),
        seconds=1.0,
    )
    grid = backbone.grid(shot.latents.shape, chunking)
    return _remembered_chunks(take, shot.latents, grid, backbone, remembered)[1]


def _noisy_as_a_memory(level: Tensor, noises: Tensor, shot: int, latents: Tensor, noise: float) -> None:
    """Gives a memory the noise level of a render, and the noise that a render draws from its latents."""
    level[0, shot] = noise
    noises[0, shot, :, : latents.shape[1]] = draw_noise(latents.shape, _seed_of(latents))
