"""The stories of a run: those of each stage, and those that are held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import overload

import pytest
import torch

from moc_engine.errors import FootageError
from moc_engine.training.data.footage.cache_index import CacheIdentity
from moc_engine.training.data.footage.dataset import CachedFootage, CacheWriter, TrainingStory
from moc_engine.training.tuning.recipe import SparsityStage, TuningRecipe
from moc_engine.training.tuning.run_stories import RecentStories, TuningStories, story_bytes
from tests.fakes.tuning import story

STAGES = (
    SparsityStage(until=0.5, top_k=None, shots=(2, 2), stories="one"),
    SparsityStage(until=1.0, top_k=2, stories="main"),
)
RECIPE = TuningRecipe(steps=8, batch=2, shots=(3, 3), stages=STAGES)


@pytest.fixture
def footage(tmp_path: Path) -> CachedFootage:
    identity = CacheIdentity(latent_space="wan", text_encoder="t", model="tiny", rate=1.0)
    with CacheWriter(tmp_path, identity, torch.ones(1, 16)) as cache:
        for seed, name in enumerate(("one 0", "one 1", "main 0", "main 1", "main 2")):
            cache.add(replace(story((1, 1, 1), seed=seed), name=name))
    return CachedFootage(tmp_path)


def test_each_stage_takes_its_own_stories_and_as_many_shots_as_it_says(footage: CachedFootage) -> None:
    stories = TuningStories(footage, RECIPE, held_out=1)
    names = [
        {
            (stories.story(item).name.split()[0], len(stories.story(item).shots))
            for item in stories.items(n, 1)
        }
        for n in range(8)
    ]
    assert names == [{("one", 2)}] * 4 + [{("main", 3)}] * 4


def test_stories_of_the_last_stage_are_held_out_and_never_trained_on(footage: CachedFootage) -> None:
    stories = TuningStories(footage, RECIPE, held_out=1)
    (held,) = stories.held_out
    assert held.name.startswith("main")
    trained = {stories.story(item).name for step in range(8) for item in stories.items(step, 1)}
    assert trained == {"one 0", "one 1", "main 0", "main 1", "main 2"} - {held.name}


def test_a_stage_without_stories_is_told(footage: CachedFootage) -> None:
    stages = (replace(STAGES[0], stories="two"), STAGES[1])
    with pytest.raises(FootageError, match="names begin with 'two'"):
        TuningStories(footage, replace(RECIPE, stages=stages), held_out=1)


class Counted(Sequence[TrainingStory]):
    """Stories of one shot of 4 × 24 × `frames` numbers, each made anew when it is asked for."""

    def __init__(self, *frames: int) -> None:
        self._frames = frames
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self._frames)

    @overload
    def __getitem__(self, at: int) -> TrainingStory: ...
    @overload
    def __getitem__(self, at: slice) -> list[TrainingStory]: ...
    def __getitem__(self, at: int | slice) -> TrainingStory | list[TrainingStory]:
        assert isinstance(at, int)
        self.read.append(at)
        return story((self._frames[at],), seed=at)


def test_stories_stay_in_memory_up_to_so_many_bytes() -> None:
    footage = Counted(1, 1, 2, 50)
    small = story_bytes(footage[0])
    assert small == 4 * (4 * 24 + (3 + 2) * 16)
    large = story_bytes(footage[2])
    footage.read.clear()
    recent = RecentStories(footage, small + large)
    for at in (0, 1, 0, 1, 2, 1, 2, 0):  # 1 was asked for after 0, and gives way after it
        assert recent[at].name == f"story {at}"
    assert footage.read == [0, 1, 2, 0]
    assert recent[3].name == "story 3"  # more than all that may stay
    assert recent[2].name == "story 2"
    assert footage.read == [0, 1, 2, 0, 3, 2]
    recent = RecentStories(footage, 2 * small)
    assert [recent[at].name for at in (0, 1, 0)] == ["story 0", "story 1", "story 0"]
    assert footage.read[6:] == [0, 1]
