import numpy as np
import torch

from moc_engine.models.animatic.model import build_tokenizer
from moc_engine.models.animatic.scene import CHANNELS, PATCH_FRAMES, SLOTS
from moc_engine.models.animatic.world import sample_story
from moc_engine.training.data.stories import StoryBatch, StoryStream, collate, loader
from moc_engine.training.schedule import Stage

STAGES = (Stage(until=1.0, shots=(2, 3), frames=(1, 2), cast=(2, 3), tokens=96, top_k=None),)


def _stream(**changes: int) -> StoryStream:
    return StoryStream(build_tokenizer(64), STAGES, **{"steps": 10, "seed": 3, **changes})


def _same(one: StoryBatch, other: StoryBatch) -> bool:
    return torch.equal(one.latents, other.latents) and torch.equal(one.shot_words, other.shot_words)


def test_a_batch_fills_the_stage_and_ends_with_an_empty_caption() -> None:
    batch = _stream().batch(0)
    stories, shots, frames, slots, channels = batch.latents.shape
    assert (slots, channels) == (SLOTS, CHANNELS)
    assert (
        96 - shots * frames // PATCH_FRAMES * SLOTS < stories * shots * frames // PATCH_FRAMES * SLOTS <= 96
    )
    assert len(batch.story_words) == stories + 1
    assert len(batch.shot_words) == stories * shots + 1
    assert (batch.story_words[-1] != 0).sum() == (batch.shot_words[-1] != 0).sum() == 1


def test_batches_are_a_function_of_seed_process_and_step() -> None:
    assert _same(_stream().batch(4), _stream().batch(4))
    assert not _same(_stream().batch(4), _stream().batch(5))
    assert not _same(_stream().batch(4), _stream(process=1).batch(4))
    assert not _same(_stream().batch(4), _stream(seed=4).batch(4))


def test_a_resumed_stream_goes_on_where_the_first_one_stopped() -> None:
    through = iter(_stream())
    expected = [next(through) for _ in range(4)][2:]
    resumed = iter(loader(_stream(start=2), workers=0))
    assert all(_same(next(resumed), batch) for batch in expected)


def test_latents_are_the_scenes_in_order() -> None:
    stories = [sample_story(np.random.default_rng(i), shots=2, cast=2, tokens=1) for i in range(2)]
    batch = collate(stories, build_tokenizer(64))
    np.testing.assert_array_equal(batch.latents[1, 0], stories[1].shots[0].scene.to_latents())
