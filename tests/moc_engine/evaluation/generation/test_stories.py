from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.evaluation.generation.memory_attention import MemoryAttention, ShotContext
from moc_engine.evaluation.generation.methods import method_names, steerable
from moc_engine.evaluation.generation.settings import GenerationSettings
from moc_engine.evaluation.generation.stories import generate
from moc_engine.models.animatic.model import AnimaticPipeline, ModelConfig, build, sizes_of
from moc_engine.models.animatic.scene import SLOTS
from moc_engine.models.animatic.world import Story, sample_story
from moc_engine.models.wan_transformer import rotary_angles
from moc_engine.ops.rotary import apply_rotary
from moc_engine.ops.routers.registry import BUILT_IN

TINY = ModelConfig(layers=2, heads=2, head_width=16, text_layers=1, text_width=32, text_heads=2)
SHORT = SamplerConfig(steps=2, guidance=1.0)
PLAIN = GenerationSettings(routing=RoutingConfig(), sampler=SHORT)


@pytest.fixture(scope="module")
def model() -> AnimaticPipeline:
    torch.manual_seed(0)
    pipeline = build(TINY)
    for name, entry in BUILT_IN.items():
        if entry.parameters is not None:
            pipeline.routers[name] = entry.parameters(sizes_of(pipeline)).requires_grad_(False)
    return pipeline


def _takes(model: AnimaticPipeline, stories: Sequence[Story], generation: GenerationSettings) -> torch.Tensor:
    return generate(model, stories, generation).latents


def _stories(seeds: Sequence[int] = (0, 1)) -> list[Story]:
    return [sample_story(np.random.default_rng(s), shots=3, cast=2, tokens=2) for s in seeds]


def _new_shot(earlier: int) -> ShotContext:
    """A shot of a single story in which nobody appeared before."""
    return ShotContext(first_seen=torch.zeros(1, earlier, dtype=torch.bool))


def _with_other_beginning(stories: list[Story]) -> list[Story]:
    """The same stories with another first shot."""
    others = _stories((7, 8))
    return [
        replace(story, shots=(other.shots[0], *story.shots[1:]))
        for story, other in zip(stories, others, strict=True)
    ]


def test_the_same_request_gives_the_same_takes(model: AnimaticPipeline) -> None:
    takes = _takes(model, _stories(), PLAIN)
    assert takes.shape[:3] == (2, 3, 6)
    assert takes.isfinite().all()
    assert torch.equal(takes, _takes(model, _stories(), PLAIN))
    assert not torch.equal(takes, _takes(model, _stories(), replace(PLAIN, seed=1)))


@pytest.mark.parametrize(("router", "remembers"), [(router, router != "own") for router in method_names()])
def test_without_memory_earlier_shots_have_no_effect(
    model: AnimaticPipeline, router: str, remembers: bool
) -> None:
    generation = replace(PLAIN, router=router, routing=RoutingConfig(top_k=8))  # two whole frames
    stories = _stories()
    takes = _takes(model, stories, generation)
    others = _takes(model, _with_other_beginning(stories), generation)
    assert torch.allclose(takes[:, 2], others[:, 2], atol=1e-5) is not remembers


def test_routing_to_every_chunk_is_dense(model: AnimaticPipeline) -> None:
    every = replace(PLAIN, routing=RoutingConfig(top_k=1000))
    dense = replace(PLAIN, router="dense")
    torch.testing.assert_close(
        _takes(model, _stories(), every), _takes(model, _stories(), dense), atol=1e-4, rtol=1e-3
    )


@pytest.mark.parametrize(
    "changed", [SamplerConfig(steps=2, guidance=3.0), SamplerConfig(steps=3, guidance=1.0)]
)
def test_sampler_settings_change_the_takes(model: AnimaticPipeline, changed: SamplerConfig) -> None:
    other = _takes(model, _stories(), replace(PLAIN, sampler=changed))
    assert not torch.equal(_takes(model, _stories(), PLAIN), other)


def test_memory_noise_changes_only_shots_with_a_history(model: AnimaticPipeline) -> None:
    plain = _takes(model, _stories(), PLAIN)
    noisy = _takes(model, _stories(), replace(PLAIN, sampler=replace(SHORT, memory_noise=0.5)))
    assert torch.equal(plain[:, 0], noisy[:, 0])
    assert not torch.equal(plain[:, 1], noisy[:, 1])


def test_a_failed_memory_pass_ends(model: AnimaticPipeline) -> None:
    attention = MemoryAttention(model.transformer, PLAIN, [torch.Generator()])
    with pytest.raises(KeyError), attention.write():
        raise KeyError
    assert not attention.writing


def test_captions_have_no_effect_without_the_caption_link(model: AnimaticPipeline) -> None:
    silent = replace(PLAIN, caption_link=False)
    stories, others = _stories(), _stories((7, 8))
    assert torch.equal(_takes(model, stories, silent), _takes(model, others, silent))
    assert not torch.equal(_takes(model, stories, PLAIN), _takes(model, others, PLAIN))


def test_removing_the_own_link_changes_shots_with_a_history(model: AnimaticPipeline) -> None:
    plain, cut = (_takes(model, _stories(), replace(PLAIN, own_link=link)) for link in (True, False))
    assert torch.equal(plain[:, 0], cut[:, 0])
    assert not torch.allclose(plain[:, 1], cut[:, 1], atol=1e-5)


@pytest.mark.parametrize(("steer", "top_k", "as_if"), [("ban", 1000, 0), ("pin", 0, 1000)])
def test_first_appearances_are_pinned_or_banned(
    model: AnimaticPipeline, steer: Any, top_k: int, as_if: int
) -> None:
    """All first appearances are in the previous shot: pinned, it is fully attended; banned, not at all."""
    stories = [replace(told, shots=(told.shots[0], told.shots[0])) for told in _stories()]
    steered = replace(PLAIN, routing=RoutingConfig(top_k=top_k), steer=steer)
    plain = replace(PLAIN, routing=RoutingConfig(top_k=as_if))
    torch.testing.assert_close(
        _takes(model, stories, steered), _takes(model, stories, plain), atol=1e-4, rtol=1e-3
    )
    unsteered = replace(steered, steer=None)
    assert not torch.allclose(
        _takes(model, stories, steered)[:, 1], _takes(model, stories, unsteered)[:, 1], atol=1e-4
    )


def test_packed_history_has_the_mean_of_its_positions(model: AnimaticPipeline) -> None:
    """Equal keys stay equal and are rotated like one token at the middle position."""
    packing = replace(
        PLAIN, router="packed", routing=RoutingConfig(top_k=2)
    )  # 2 chunks of 4 tokens: one a slot
    attention = MemoryAttention(model.transformer, packing, [torch.Generator()])
    frames, head = 4, 16
    alike = torch.ones(1, 2, frames * SLOTS, head)
    attention.begin(0, frames, _new_shot(0))
    with attention.write():
        attention.attend(0, alike, alike, alike)
    attention.begin(1, frames, _new_shot(1))
    memories = attention.memories[0]
    assert memories is not None
    keys = attention._packed(memories).keys
    middle = torch.full((SLOTS,), 1.5)
    cos, sin = rotary_angles(model.transformer, middle, torch.arange(SLOTS), torch.zeros(SLOTS))
    torch.testing.assert_close(keys[0, 0, 0], apply_rotary(torch.ones(SLOTS, head), cos, sin))


@pytest.mark.parametrize("method", [method for method in method_names() if steerable(method)])
def test_every_method_keeps_pins_and_reads_nothing_banned(model: AnimaticPipeline, method: str) -> None:
    """First appearances are in the previous shot. Pins of one story do not affect another."""
    stories = [replace(told, shots=(told.shots[0], told.shots[0])) for told in _stories()]
    nobody = replace(stories[1].shots[0], script=replace(stories[1].shots[0].script, actors=()))
    stories[1] = replace(stories[1], shots=(stories[1].shots[0], nobody))
    pinned = replace(PLAIN, router=method, routing=RoutingConfig(top_k=0), steer="pin")
    pruned = generate(model, stories, pinned).pruned.tolist()
    assert pruned[0] == 0.0
    if method != "moba":  # whose budget is one for both, the shot and its history
        assert pruned[1] == 1.0
    banned = replace(PLAIN, router=method, routing=RoutingConfig(top_k=100), steer="ban")
    assert generate(model, stories, banned).pruned.tolist()[0] == 1.0


@pytest.mark.parametrize("method", method_names())
def test_a_later_shot_has_no_effect_on_earlier_ones(model: AnimaticPipeline, method: str) -> None:
    stories, others = _stories(), _stories((7, 8))
    ending = [
        replace(story, shots=(*story.shots[:2], other.shots[2]))
        for story, other in zip(stories, others, strict=True)
    ]
    generation = replace(PLAIN, router=method, routing=RoutingConfig(top_k=8))
    takes, changed = (_takes(model, told, generation) for told in (stories, ending))
    assert torch.equal(takes[:, :2], changed[:, :2])
    assert not torch.equal(takes[:, 2], changed[:, 2])


def test_random_routers_do_not_change_other_random_numbers(model: AnimaticPipeline) -> None:
    """The second shot's noise is the same for all routers; without context the shot is too."""
    blind = RoutingConfig(top_k=0)
    own, by_chance = (
        _takes(model, _stories(), replace(PLAIN, router=router, routing=blind))
        for router in ("own", "random")
    )
    torch.testing.assert_close(own, by_chance, atol=1e-5, rtol=1e-5)
