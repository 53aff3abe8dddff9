"""Learned routers in training: what they choose is what an evaluation chooses, and what learns is theirs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from moc_engine.config import Chunking, Pooling, RoutingConfig, SamplerConfig
from moc_engine.evaluation.generation.memory_attention import MemoryAttention, ShotContext
from moc_engine.evaluation.generation.settings import GenerationSettings
from moc_engine.models.animatic.model import sizes_of
from moc_engine.models.animatic.scene import SLOTS
from moc_engine.ops.routers.moga import MogaRouter, imbalance
from moc_engine.ops.routers.router import LearnedRouter, ModelSizes
from moc_engine.ops.routers.vorta import CORESET, WINDOW, VortaRouter
from moc_engine.training.story_attention import StoryAttention, story_angles
from moc_engine.training.story_rules import StoryRules
from tests.fakes.models import tiny_animatic

STORIES, SHOTS, FRAMES = 2, 4, 3
TOKENS = FRAMES * SLOTS
SIZES = ModelSizes(layers=1, heads=2, width=32)


def _moga(sizes: ModelSizes) -> LearnedRouter:
    torch.manual_seed(0)
    return MogaRouter(sizes, groups=4)


def _going(sizes: ModelSizes, way: int) -> LearnedRouter:
    """A router whose heads all go one way."""
    router = VortaRouter(sizes)
    for layer in router.layers:
        assert isinstance(layer, torch.nn.Linear)
        torch.nn.init.zeros_(layer.weight)
        layer.bias.data = (torch.arange(3 * sizes.heads) % 3 == way) * 200.0
    return router


@torch.no_grad()
@pytest.mark.parametrize("name", ["moga", "window", "coreset"])
@pytest.mark.parametrize("chunking", ["track", "frame"])
@pytest.mark.parametrize("pooling", ["before", "after"])
def test_training_equals_evaluation(name: str, chunking: Chunking, pooling: Pooling) -> None:
    pipeline = tiny_animatic()
    sizes, model = sizes_of(pipeline), pipeline.transformer
    routing = RoutingConfig(top_k=2, chunking=chunking, pooling=pooling)
    router = _moga(sizes) if name == "moga" else _going(sizes, {"window": WINDOW, "coreset": CORESET}[name])
    q, k, v, time = _projections(sizes)

    starts = torch.arange(SHOTS) * FRAMES
    learnt = StoryAttention(
        slots=SLOTS,
        rules=StoryRules(routing=routing),
        angles=story_angles(model, starts=starts, frames=FRAMES, height=SLOTS),
        learned=router,
        time_RE=time.flatten(0, 1),
    ).attend(0, *(torch.cat((x[0, :, :-1].flatten(0, 1), x[1].flatten(0, 1))) for x in (q, k, v)))
    noisy = learnt[STORIES * (SHOTS - 1) :].unflatten(0, (STORIES, SHOTS))

    registered = "moga" if name == "moga" else "vorta"
    settings = GenerationSettings(
        router=registered, routing=routing, sampler=SamplerConfig(steps=1, guidance=1.0)
    )
    attention = MemoryAttention(model, settings, [torch.Generator()] * STORIES, {registered: router})
    for shot in range(SHOTS):
        attention.begin(shot, FRAMES, ShotContext(first_seen=torch.zeros(1, shot, dtype=torch.bool)))
        attention.time_BE = time[:, shot]
        found = attention.attend(0, *(x[1, :, shot] for x in (q, k, v)))
        torch.testing.assert_close(found, noisy[:, shot], atol=1e-5, rtol=1e-4)
        with attention.write():
            attention.attend(0, *(x[0, :, shot] for x in (q, k, v)))


def _projections(sizes: ModelSizes) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, keys and values (2, B, N, H, L, D) of clean and noisy shots, and embedded noise levels."""
    generator = torch.Generator().manual_seed(3)
    width = sizes.width // sizes.heads
    q, k, v = torch.randn(3, 2, STORIES, SHOTS, sizes.heads, TOKENS, width, generator=generator)
    return q, k, v, torch.randn(STORIES, SHOTS, sizes.width, generator=generator)


@pytest.mark.parametrize("kind", [MogaRouter, VortaRouter])
def test_gradients_reach_the_layer_that_was_asked(kind: type[LearnedRouter]) -> None:
    pipeline = tiny_animatic()
    sizes = sizes_of(pipeline)
    router = kind(sizes)
    q, k, v, time = _projections(sizes)
    angles = story_angles(
        pipeline.transformer, starts=torch.arange(SHOTS) * FRAMES, frames=FRAMES, height=SLOTS
    )
    attention = StoryAttention(
        slots=SLOTS,
        rules=StoryRules(routing=RoutingConfig(top_k=2)),
        angles=angles,
        learned=router,
        time_RE=time.flatten(0, 1),
    )
    rows = [torch.cat((x[0, :, :-1].flatten(0, 1), x[1].flatten(0, 1))) for x in (q, k, v)]
    out = attention.attend(1, *rows)
    (out.square().mean() + router.take_loss()).backward()
    moved = {name for name, p in router.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert moved == {"layers.1.weight", "layers.1.bias"}
    assert float(router.take_loss().detach()) == 0.0
    assert all(parameter.grad is not None for parameter in router.parameters())


def test_groups_of_equal_size_have_the_least_loss() -> None:
    even = torch.eye(4)[torch.arange(8) % 4][None]
    one = torch.eye(4)[torch.zeros(8, dtype=torch.int64)][None]
    assert float(imbalance(even)) == pytest.approx(1.0)
    assert float(imbalance(one)) == pytest.approx(4.0)
