"""The examination against stories whose answers are known: the world's own scenes, and spoilt ones."""

import numpy as np
import pytest

from moc_engine.animatic.scene import CHARACTER_SLOTS, Scene
from moc_engine.animatic.world import Story, sample_story
from moc_engine.evaluation.recall import Score, characters, examine


def _story(seed: int) -> Story:
    return sample_story(np.random.default_rng(seed), shots=10, cast=3, tokens=3)


def _true_takes(story: Story) -> list[Scene]:
    return [Scene(shot.scene.values.copy()) for shot in story.shots]


def _score(seeds: range, spoil: str | None = None) -> Score:
    score = Score()
    for seed in seeds:
        story = _story(seed)
        takes = _true_takes(story)
        if spoil is not None:
            _spoil(story, takes, spoil)
        examine(story, takes, score)
    return score


def _spoil(story: Story, takes: list[Scene], field: str) -> None:
    """Turns a field of every character that memory must supply into something else."""
    for shot, take in zip(story.shots, takes, strict=True):
        for recall in shot.recalls:
            values = take.characters[recall.slot][field]
            if field == "presence":
                values[...] = 0.0
            elif field in recall.parts:
                none = values.max() == 0.0
                values[...] = np.roll(values, 1, axis=1)
                values[:, 0] += none


def test_the_worlds_own_scenes_are_remembered_perfectly() -> None:
    means = _score(range(12)).headline()
    for name in ("shape", "accessory", "latest_state", "present", "setting", "count"):
        assert means[name] == 1.0, name
    assert means["colour_error"] == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("field", ["shape", "accessory", "body"])
def test_a_forgotten_part_is_found_out_and_no_other(field: str) -> None:
    means = _score(range(12), spoil=field).headline()
    spoilt = "colour_error" if field == "body" else field
    for name in ("shape", "accessory"):
        assert means[name] == (0.0 if name == spoilt else 1.0), name
    assert (means["colour_error"] > 0.05) == (spoilt == "colour_error")
    assert means["present"] == means["count"] == 1.0


def test_a_missing_character_has_not_been_remembered() -> None:
    means = _score(range(12), spoil="presence").headline()
    assert means["shape"] == 0.0
    assert means["accessory"] == 0.0
    assert means["present"] < 0.8
    assert means["count"] < 0.8


def test_only_what_was_left_unsaid_is_examined() -> None:
    score, unsaid = Score(), 0
    for seed in range(12):
        story = _story(seed)
        examine(story, _true_takes(story), score)
        unsaid += sum("shape" in recall.parts for shot in story.shots for recall in shot.recalls)
    assert len(score.shape) == unsaid > 50


def test_characters_are_read_from_where_they_are() -> None:
    story = _story(1)
    for shot, take in zip(story.shots, _true_takes(story), strict=True):
        take.values[:, list(CHARACTER_SLOTS)] = take.values[:, list(reversed(CHARACTER_SLOTS))]
        read = dict(characters(take))
        assert sorted(read) == sorted(actor.cast for actor in shot.script.actors)
        for actor in shot.script.actors:
            assert read[actor.cast].shape == actor.after.shape
            assert read[actor.cast].accessory == (
                -1 if actor.after.accessory is None else actor.after.accessory
            )
