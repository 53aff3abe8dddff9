"""The video model in training: what reaches a prediction and what does not, and recomputed blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from moc_engine.config import RoutingConfig
from moc_engine.models.base import CaptionStates, ShotCondition
from moc_engine.models.wan_adapter import WanAdapter
from moc_engine.training.story_rules import StoryRules
from moc_engine.training.tuning.batch import TuningBatch
from moc_engine.training.tuning.denoiser import TuningDenoiser
from moc_engine.training.tuning.draws import TuningDraw
from moc_engine.training.tuning.objective import flow_losses
from moc_engine.training.tuning.recipe import TuningRecipe
from tests.fakes.models import tiny_transformer
from tests.fakes.story_projections import StoryProjections, masked_attention_of
from tests.fakes.tuning import ROUTING, banned, batch_of, drawn, of_stories, story

DENSE_AND_SPARSE = pytest.mark.parametrize("routing", [None, ROUTING])


def _predict(batch: TuningBatch, rules: StoryRules, draw: TuningDraw | None = None) -> Tensor:
    with torch.no_grad():
        predicted: Tensor = TuningDenoiser(tiny_transformer())(batch, draw or drawn(batch), rules)
        return predicted


@DENSE_AND_SPARSE
@pytest.mark.parametrize("frames", [(2, 2, 2), (3, 1, 2)])
def test_later_shots_change_no_earlier_prediction(
    routing: RoutingConfig | None, frames: tuple[int, ...]
) -> None:
    batch, rules = batch_of(story(frames)), StoryRules(routing=routing)
    other = replace(batch, latents=batch.latents.clone())
    other.latents[:, 1, :, : frames[1]] += 1.0
    before, after = _predict(batch, rules), _predict(other, rules)
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.allclose(before[:, 1, :, : frames[1]], after[:, 1, :, : frames[1]])
    assert not torch.allclose(before[:, 2, :, : frames[2]], after[:, 2, :, : frames[2]])


@DENSE_AND_SPARSE
@pytest.mark.parametrize("frames", [(2, 2, 2), (3, 1, 2)])
def test_banned_shots_have_no_influence(routing: RoutingConfig | None, frames: tuple[int, ...]) -> None:
    batch = batch_of(story(frames), story(frames, seed=1))
    other = replace(batch, latents=batch.latents.clone())
    other.latents[:, 0, :, : frames[0]] += 1.0
    rules = banned(batch, (2, 0), routing=routing)
    before, after = _predict(batch, rules), _predict(other, rules)
    assert torch.equal(before[:, 2, :, : frames[2]], after[:, 2, :, : frames[2]])
    assert not torch.allclose(before[:, 1, :, : frames[1]], after[:, 1, :, : frames[1]])


def test_what_lies_behind_a_shorter_shot_reaches_nothing() -> None:
    batch, rules = batch_of(story((3, 1, 2))), StoryRules(routing=ROUTING)
    draw = drawn(batch)
    other = replace(batch, latents=batch.latents.clone())
    other.latents[:, 1, :, 1:] = 50.0
    before, after = _predict(batch, rules, draw), _predict(other, rules, draw)
    losses = flow_losses(before, batch, draw)
    assert losses.isfinite().all()
    torch.testing.assert_close(flow_losses(after, batch, draw), losses)


@DENSE_AND_SPARSE
def test_a_batch_of_stories_equals_each_by_itself(routing: RoutingConfig | None) -> None:
    stories = [story((2, 3), seed=1), story((3, 1), seed=2, style=False)]
    both = batch_of(*stories)
    draw, rules = drawn(both), StoryRules(routing=routing)
    together = _predict(both, rules, draw)
    for nth, one in enumerate(stories):
        alone, only = batch_of(one), slice(nth, nth + 1)
        out = _predict(alone, rules, of_stories(draw, only))
        for shot, frames in enumerate(alone.frames[0]):
            torch.testing.assert_close(out[0, shot, :, :frames], together[nth, shot, :, :frames])


@DENSE_AND_SPARSE
@pytest.mark.parametrize("frames", [(2,), (1, 1)])
def test_one_shot_and_one_chunk(routing: RoutingConfig | None, frames: tuple[int, ...]) -> None:
    batch = batch_of(story(frames))
    rules = StoryRules(routing=None if routing is None else replace(routing, top_k=50))
    out = _predict(batch, rules)
    assert out.shape == batch.latents.shape
    torch.testing.assert_close(out, _predict(batch, StoryRules(routing=None)), atol=1e-5, rtol=1e-4)


def test_shots_without_captions_are_denoised_by_the_empty_one() -> None:
    batch = batch_of(story((2, 2)))
    draw = drawn(batch)
    silent = replace(draw, without_caption=torch.tensor([[False, True]]))
    empty = replace(batch, states=batch.states.clone())
    empty.states[:, 1] = batch.empty_states
    rules = StoryRules(routing=ROUTING)
    torch.testing.assert_close(_predict(batch, rules, silent), _predict(empty, rules, draw))
    assert not torch.allclose(_predict(batch, rules, silent)[:, 1], _predict(batch, rules, draw)[:, 1])


def test_padding_of_captions_counts_unless_it_is_masked() -> None:
    stories = [story((2, 2), seed=1), story((2, 2), seed=2, style=False)]
    masked, rules = batch_of(*stories, caption_states=None), StoryRules(routing=ROUTING)
    draw = drawn(masked)
    alone = _predict(batch_of(stories[1], caption_states=None), rules, of_stories(draw, slice(1, 2)))
    torch.testing.assert_close(alone[0], _predict(masked, rules, draw)[1])
    padded = _predict(batch_of(*stories, caption_states=8), rules, draw)
    assert not torch.allclose(padded, _predict(masked, rules, draw))


@DENSE_AND_SPARSE
@pytest.mark.parametrize("frames", [(2, 2, 2), (3, 1, 2)])
def test_recomputed_blocks_give_the_same_loss_and_gradients(
    routing: RoutingConfig | None, frames: tuple[int, ...]
) -> None:
    batch = batch_of(story(frames))
    draw = drawn(batch)
    dropping = None if routing is None else replace(routing, top_k=3, drop_off=0.9, drop_in=1.0)
    results = []
    for checkpointing in (False, True):
        denoiser = TuningDenoiser(tiny_transformer(), checkpointing=checkpointing)
        loss = flow_losses(denoiser(batch, draw, StoryRules(routing=dropping, seed=3)), batch, draw).mean()
        loss.backward()
        results.append((loss.detach(), [p.grad for p in denoiser.parameters() if p.grad is not None]))
    (plain, gradients), (again, recomputed) = results
    assert len(gradients) == len(recomputed) > 0
    assert torch.equal(plain, again)
    for one, other in zip(gradients, recomputed, strict=True):
        torch.testing.assert_close(one, other)


@dataclass(frozen=True, kw_only=True, eq=False)
class _MaskedPass:
    """Attention of a whole step as one masked softmax in float64."""

    batch: TuningBatch
    draw: TuningDraw
    rules: StoryRules

    def attend(self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
        q, k, v = (x.double() for x in (q_BHLD, k_BHLD, v_BHLD))
        given = StoryProjections(
            frames=self.batch.frames, denoised=self.draw.denoised, chunking="frame", q=q, k=k, v=v
        )
        return masked_attention_of(given, self.rules).type_as(q_BHLD)


@DENSE_AND_SPARSE
@pytest.mark.parametrize("frames", [(2, 2, 2), (3, 1, 2)])
def test_gradients_of_all_weights_are_those_of_one_masked_softmax(
    routing: RoutingConfig | None, frames: tuple[int, ...]
) -> None:
    batch = batch_of(story(frames))
    draw, rules = drawn(batch), banned(batch, (2, 0), routing=routing)
    denoiser = TuningDenoiser(tiny_transformer())
    losses = [flow_losses(denoiser(batch, draw, rules), batch, draw).mean()]

    adapter, states = WanAdapter(denoiser.transformer), batch.states
    captions = CaptionStates(states_BSE=torch.cat((states[0, :2], states[0])))
    shots = torch.cat((draw.clean(batch.latents)[0], draw.noisy(batch.latents)[0]))
    levels = torch.cat((draw.memory_level[0], draw.level[0])) * 1000
    masked = _MaskedPass(batch=batch, draw=draw, rules=rules)
    with adapter.attending(masked, captions, ShotCondition()):
        predicted = adapter.run(shots, levels, captions, ShotCondition())[2:]
    losses.append(flow_losses(predicted[None], batch, draw).mean())

    torch.testing.assert_close(*losses)
    weights = list(denoiser.parameters())
    mine, plain = (torch.autograd.grad(loss, weights) for loss in losses)
    for one, other in zip(mine, plain, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)


def test_the_transformer_stays_as_it_is() -> None:
    transformer, batch = tiny_transformer(), batch_of(story((2, 2)))
    before = [(block.attn1.processor, block.attn2.processor) for block in transformer.blocks]
    denoiser = TuningDenoiser(transformer, checkpointing=True)
    flow_losses(
        denoiser(batch, drawn(batch), StoryRules(routing=ROUTING)), batch, drawn(batch)
    ).mean().backward()
    assert [(block.attn1.processor, block.attn2.processor) for block in transformer.blocks] == before
    assert not transformer.gradient_checkpointing


@DENSE_AND_SPARSE
def test_gaps_move_shots_apart_and_not_a_shot_in_itself(routing: RoutingConfig | None) -> None:
    batch, rules = batch_of(story((2, 2, 2))), StoryRules(routing=routing)
    draw = drawn(batch)
    near, far = (_predict(batch, rules, replace(draw, gaps=gaps)) for gaps in ((), (0, 9, 0)))
    torch.testing.assert_close(near[:, 0], far[:, 0])
    assert not torch.allclose(near[:, 1], far[:, 1], atol=1e-5)
    moved = _predict(batch, rules, replace(draw, gaps=(7, 0, 0)))
    torch.testing.assert_close(moved, near, atol=1e-4, rtol=1e-4)


def test_shots_that_are_context_alone_have_no_prediction() -> None:
    batch = batch_of(story((2, 2, 2, 2)))
    draw = drawn(batch, TuningRecipe(denoised=1, caption_dropout=0.0), seed=4)
    assert len(draw.denoised) == 1
    out = _predict(batch, StoryRules(routing=ROUTING), draw)
    assert out.shape == (1, 1, *batch.latents.shape[2:])
    assert flow_losses(out, batch, draw).shape == (1, 1)


def test_bfloat16_by_autocast_is_near_float32() -> None:
    batch, rules = batch_of(story((2, 2))), StoryRules(routing=None)
    draw = drawn(batch)
    full = _predict(batch, rules, draw)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = _predict(batch, rules, draw)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, atol=0.05, rtol=0.05)


def test_latents_that_are_no_patches_are_refused() -> None:
    batch = batch_of(story((2, 2)))
    draw = drawn(batch)
    odd = replace(batch, latents=batch.latents[..., :5])
    cut = replace(draw, noise=draw.noise[..., :5], memory_noise=draw.memory_noise[..., :5])
    with pytest.raises(ValueError, match=r"^latents: .* no patches"):
        _predict(odd, StoryRules(routing=None), cut)
