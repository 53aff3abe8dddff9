"""Stories whose answers are known, for examinations: the world's own scenes as takes."""

from collections.abc import Callable, Sequence

import numpy as np

from moc_engine.evaluation.measures.scores import Scores
from moc_engine.models.animatic.scene import Scene
from moc_engine.models.animatic.timeline import Timeline
from moc_engine.models.animatic.world import Story, sample_story


def story(seed: int, *, tokens: int = 3) -> Story:
    return sample_story(np.random.default_rng(seed), shots=10, cast=3, tokens=tokens)


def means(
    score: Callable[[Story, Sequence[Scene], Scores], None],
    spoil: Callable[[Scene], None] = lambda take: None,
    *,
    stories: int,
) -> dict[str, float]:
    """What an examination finds in the world's own scenes, each spoilt first."""
    found = Scores()
    for seed in range(stories):
        told = story(seed, tokens=5)
        takes = true_takes(told)
        for take in takes:
            spoil(take)
        score(told, [Timeline(take).drawn() for take in takes], found)
    return found.means()


def true_takes(told: Story) -> list[Scene]:
    return [Scene(shot.scene.values.copy()) for shot in told.shots]
