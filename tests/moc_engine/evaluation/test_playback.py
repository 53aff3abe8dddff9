from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from moc_engine.animatic.model import AnimaticPipeline, ModelConfig, build
from moc_engine.animatic.world import Story, sample_story
from moc_engine.config import RoutingConfig
from moc_engine.evaluation.playback import Playback, play

TINY = ModelConfig(layers=2, heads=2, head_width=16, text_layers=1, text_width=32, text_heads=2)


@pytest.fixture(scope="module")
def model() -> AnimaticPipeline:
    torch.manual_seed(0)
    return build(TINY)


def _stories(seeds: Sequence[int] = (0, 1)) -> list[Story]:
    return [sample_story(np.random.default_rng(s), shots=3, cast=2, tokens=2) for s in seeds]


def _play(model: AnimaticPipeline, stories: list[Story], playback: Playback) -> torch.Tensor:
    return play(model, stories, replace(playback, steps=2))


def _with_other_beginning(stories: list[Story]) -> list[Story]:
    """The same last shots after another first one."""
    others = _stories((7, 8))
    return [
        replace(story, shots=(other.shots[0], *story.shots[1:]))
        for story, other in zip(stories, others, strict=True)
    ]


def test_the_same_request_gives_the_same_takes(model: AnimaticPipeline) -> None:
    playback = Playback(routing=RoutingConfig())
    takes = _play(model, _stories(), playback)
    assert takes.shape[:3] == (2, 3, 6)
    assert takes.isfinite().all()
    assert torch.equal(takes, _play(model, _stories(), playback))
    assert not torch.equal(takes, _play(model, _stories(), replace(playback, seed=1)))


@pytest.mark.parametrize(("router", "remembers"), [("own", False), ("moc", True), ("dense", True)])
def test_only_memory_carries_what_happened_before(
    model: AnimaticPipeline, router: str, remembers: bool
) -> None:
    playback = Playback(routing=RoutingConfig(), router=router)  # type: ignore[arg-type]
    stories = _stories()
    takes = _play(model, stories, playback)
    others = _play(model, _with_other_beginning(stories), playback)
    assert torch.allclose(takes[:, 2], others[:, 2], atol=1e-5) is not remembers


def test_routing_to_every_chunk_is_dense(model: AnimaticPipeline) -> None:
    every = Playback(routing=RoutingConfig(top_k=1000))
    dense = Playback(routing=RoutingConfig(), router="dense")
    torch.testing.assert_close(
        _play(model, _stories(), every), _play(model, _stories(), dense), atol=1e-4, rtol=1e-3
    )


def test_guidance_changes_the_takes(model: AnimaticPipeline) -> None:
    plain = Playback(routing=RoutingConfig())
    guided = replace(plain, guidance=3.0)
    assert not torch.equal(_play(model, _stories(), plain), _play(model, _stories(), guided))
