"""What is drawn for a step: noise by shot, clean context, captions left out, pins and bans."""

from __future__ import annotations

from dataclasses import replace

import torch

from moc_engine.config import RoutingConfig
from moc_engine.training.tuning.draws import draw_rules, draw_step
from moc_engine.training.tuning.noise_levels import NoiseLevels
from moc_engine.training.tuning.objective import flow_losses
from moc_engine.training.tuning.recipe import TuningRecipe
from tests.fakes.tuning import batch_of, drawn, story

BATCH = batch_of(*(story((2, 2, 2), seed=seed) for seed in range(40)))


def test_each_shot_has_a_level_of_its_own() -> None:
    draw = drawn(BATCH)
    assert draw.denoised == (0, 1, 2)
    assert draw.level.shape == (40, 3)
    assert draw.level.unique().numel() == 120
    level = draw.level[3, 1]
    plain = (1 - level) * BATCH.latents[3, 1] + level * draw.noise[3, 1]
    torch.testing.assert_close(draw.noisy(BATCH.latents)[3, 1], plain)
    assert torch.equal(draw.clean(BATCH.latents), BATCH.latents[:, :2])


def test_draws_repeat_by_their_seed() -> None:
    one, again, other = drawn(BATCH, seed=1), drawn(BATCH, seed=1), drawn(BATCH, seed=2)
    assert torch.equal(one.noise, again.noise)
    assert not torch.equal(one.noise, other.noise)


def test_some_stories_have_noisy_memories_up_to_the_level() -> None:
    draw = drawn(BATCH, TuningRecipe(memory_noise=0.3))
    noisy = draw.memory_level > 0
    assert 0 < noisy.float().mean() < 0.5
    assert float(draw.memory_level.max()) <= 0.3
    changed = (draw.clean(BATCH.latents) != BATCH.latents[:, :2]).flatten(2).any(dim=2)
    assert torch.equal(changed, noisy)


def test_as_many_shots_are_noisy_as_asked_for_and_all_take_turns() -> None:
    recipe = TuningRecipe(denoised=2)
    found = {drawn(BATCH, recipe, seed=seed).denoised for seed in range(30)}
    assert found == {(0, 1), (0, 2), (1, 2)}
    assert drawn(BATCH, replace(recipe, denoised=9)).denoised == (0, 1, 2)
    draw = drawn(BATCH, replace(recipe, denoised=1), seed=3)
    assert draw.memory_level.shape == (40, draw.denoised[0])


def test_captions_are_left_out_as_often_as_asked_for() -> None:
    draw = drawn(BATCH, TuningRecipe(caption_dropout=0.25))
    assert 0.1 < draw.without_caption.float().mean() < 0.4
    assert not drawn(BATCH).without_caption.any()


def test_gaps_between_shots_are_drawn_now_and_then() -> None:
    assert not any(drawn(BATCH, seed=seed).gaps for seed in range(5))
    found = [drawn(BATCH, TuningRecipe(gaps=0.5), seed=seed).gaps for seed in range(40)]
    apart = [gaps for gaps in found if gaps]
    assert 10 < len(apart) < 30
    assert all(len(gaps) == 3 and gaps[0] == 0 and max(gaps) <= 4 * 2 for gaps in apart)


def test_rules_follow_the_stages_and_never_both_pin_and_ban() -> None:
    recipe, own = TuningRecipe(steps=10, pins=0.2, bans=0.3), RoutingConfig(chunking="frame")
    draws = torch.Generator().manual_seed(0)
    early, late = (draw_rules(recipe, own, BATCH, step, draws) for step in (0, 9))
    assert early.routing is None
    assert late.routing is not None
    assert (late.routing.top_k, late.routing.chunking) == (5, "frame")
    assert late.candidates is not None
    assert late.pinned is not None
    assert not (late.pinned & ~late.candidates).any()
    assert 0.1 < late.pinned.float().mean() < 0.3
    assert 0.2 < (~late.candidates).float().mean() < 0.4
    assert late.seed != early.seed


def test_the_loss_is_the_squared_error_of_the_velocity_over_a_shots_own_frames() -> None:
    batch = batch_of(story((3, 1, 2)))
    recipe = TuningRecipe(denoised=2, caption_dropout=0.0)
    draw = draw_step(batch, recipe, NoiseLevels(), torch.Generator().manual_seed(0))
    predicted = torch.randn(draw.noise.shape, generator=torch.Generator().manual_seed(1))
    losses = flow_losses(predicted, batch, draw)
    for nth, shot in enumerate(draw.denoised):
        own = slice(batch.frames[0][shot])
        flow = draw.noise[0, nth, :, own] - batch.latents[0, shot, :, own]
        torch.testing.assert_close(losses[0, nth], (predicted[0, nth, :, own] - flow).square().mean())
