"""The stories of a run: those of each stage, and those that are held out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from moc_engine.errors import FootageError
from moc_engine.training.data.footage.cache_index import CacheIdentity
from moc_engine.training.data.footage.dataset import CachedFootage, CacheWriter
from moc_engine.training.tuning.recipe import SparsityStage, TuningRecipe
from moc_engine.training.tuning.run_stories import TuningStories
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
