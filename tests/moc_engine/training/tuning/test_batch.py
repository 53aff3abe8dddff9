"""Cached stories side by side: lengths, captions, and what does not go together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from moc_engine.training.tuning.batch import collate, window
from tests.fakes.tuning import batch_of, story

EMPTY = torch.ones(1, 16)


def test_shots_are_padded_with_zeros_behind_their_end() -> None:
    one, two = story((2, 3), seed=1), story((1, 1), seed=2)
    batch = batch_of(one, two)
    assert batch.frames == ((2, 3), (1, 1))
    assert torch.equal(batch.latents[0, 1], one.shots[1].latents)
    assert torch.equal(batch.latents[1, 0, :, :1], two.shots[0].latents)
    assert not batch.latents[1, :, :, 1:].any()


def test_the_global_caption_stands_before_the_shots_own() -> None:
    told = story((1, 1))
    assert told.style_states is not None
    batch = collate([told], EMPTY, caption_states=8)
    own = torch.cat((told.style_states, told.shots[1].states))
    assert torch.equal(batch.states[0, 1, : len(own)], own)
    assert not batch.states[0, 1, len(own) :].any()
    assert batch.mask is None
    assert torch.equal(batch.empty_states[:1], EMPTY)


def test_an_empty_caption_has_no_states_beside_a_global_one() -> None:
    told, alone = story((1,)), story((1,), style=False)
    silent, mute = (
        replace(one, shots=(replace(one.shots[0], caption=" ", states=EMPTY),)) for one in (told, alone)
    )
    assert told.style_states is not None
    batch = collate([silent], EMPTY, caption_states=4)
    assert torch.equal(batch.states[0, 0, :2], told.style_states)
    assert not batch.states[0, 0, 2:].any()
    assert torch.equal(collate([mute], EMPTY, caption_states=4).states[0, 0], batch.empty_states)


def test_the_end_of_the_global_caption_gives_way() -> None:
    told = story((1,))
    assert told.style_states is not None
    cut = collate([told], EMPTY, caption_states=4)
    assert torch.equal(cut.states[0, 0, :3], told.shots[0].states)
    assert not cut.states[0, 0, 3:].any()
    assert torch.equal(collate([told], EMPTY, caption_states=2).states[0, 0], told.shots[0].states[:2])


def test_without_a_length_captions_are_padded_to_the_longest_and_masked() -> None:
    batch = collate([story((1, 1), style=False)], EMPTY, caption_states=None)
    assert batch.mask is not None
    assert batch.empty_mask is not None
    assert batch.mask[0].tolist() == [[True, True, True, False], [True] * 4]
    assert batch.empty_mask.tolist() == [True, False, False, False]


def test_a_window_of_a_story_keeps_its_order() -> None:
    told = story((1, 2, 3, 4))
    part = window(told, 1, 2)
    assert [shot.caption for shot in part.shots] == ["shot 1", "shot 2"]
    assert part.style_states is told.style_states


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^stories: must have equally many shots, got \[1, 2\]"):
        batch_of(story((1,)), story((1, 1)))
    with pytest.raises(ValueError, match=r"^stories: must be of one size"):
        batch_of(story((1,)), story((1,), channels=8))


def test_the_emphasis_is_zero_behind_the_end_of_a_shot_and_where_there_is_none() -> None:
    one, two = story((2, 3), seed=1), story((1, 1), seed=2)
    assert batch_of(one, two).emphasis is None
    emphasised = replace(one.shots[0], emphasis=torch.full((2, 4, 6), 0.5))
    batch = batch_of(replace(one, shots=(emphasised, one.shots[1])), two)
    assert batch.emphasis is not None
    assert batch.emphasis.shape == (2, 2, 3, 4, 6)
    assert (batch.emphasis[0, 0, :2] == 0.5).all()
    assert not batch.emphasis[0, 0, 2].any()
    assert not batch.emphasis[0, 1].any()
    assert not batch.emphasis[1].any()
