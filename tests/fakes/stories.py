"""Stories whose answers are known, for examinations: the world's own scenes as takes."""

import numpy as np

from moc_engine.animatic.scene import Scene
from moc_engine.animatic.world import Story, sample_story


def story(seed: int, *, tokens: int = 3) -> Story:
    return sample_story(np.random.default_rng(seed), shots=10, cast=3, tokens=tokens)


def true_takes(told: Story) -> list[Scene]:
    return [Scene(shot.scene.values.copy()) for shot in told.shots]
