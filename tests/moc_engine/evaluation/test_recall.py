"""The examination against stories whose answers are known: the world's own scenes, and spoilt ones."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from moc_engine.animatic.model import ModelConfig, build
from moc_engine.animatic.scene import CHARACTER_SLOTS, Scene
from moc_engine.animatic.world import Story, sample_story
from moc_engine.config import SamplerConfig
from moc_engine.evaluation.recall import Examination, Score, characters, examine, recall_score


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


def _first_takes(story: Story) -> Iterator[tuple[int, int, int]]:
    """Cast member, shot and slot of every first appearance."""
    met: set[int] = set()
    for index, shot in enumerate(story.shots):
        for slot, actor in enumerate(shot.script.actors):
            if actor.cast not in met:
                met.add(actor.cast)
                yield actor.cast, index, slot


def test_whom_the_first_take_lacks_the_next_one_cannot_have_remembered() -> None:
    for seed in range(12):
        story = _story(seed)
        recalled = [recall for shot in story.shots for recall in shot.recalls]
        for cast, index, slot in _first_takes(story):
            takes = _true_takes(story)
            takes[index].characters[slot]["presence"][...] = 0.0
            score, whole = Score(), Score()
            examine(story, takes, score)
            examine(story, _true_takes(story), whole)
            again = next(
                (
                    s.script.actors
                    for s in story.shots[index + 1 :]
                    if cast in [a.cast for a in s.script.actors]
                ),
                (),
            )
            event = next((actor.event for actor in again if actor.cast == cast), None)
            first = next((recall for recall in recalled if recall.cast == cast), None)
            misses = first is not None and event is None
            assert score.shape.count(False) == (misses and "shape" in first.parts)
            assert score.accessory.count(False) == (misses and "accessory" in first.parts)
            assert len(score.shape) == len(whole.shape)


def test_a_change_that_was_not_shown_is_not_remembered() -> None:
    missed = 0
    for seed in range(40):
        story = _story(seed)
        for index, shot in enumerate(story.shots):
            for slot, actor in enumerate(shot.script.actors):
                if actor.event is None or not _is_recalled_whole(story, index, actor.cast):
                    continue
                takes = _true_takes(story)
                takes[index].characters[slot]["presence"][...] = 0.0
                score = Score()
                examine(story, takes, score)
                assert score.shape.count(False) == score.accessory.count(False) == 1
                missed += 1
    assert missed > 5


def _is_recalled_whole(story: Story, index: int, cast: int) -> bool:
    """Whether the shot after `index` in which a member comes next must remember all of it."""
    for shot in story.shots[index + 1 :]:
        if cast in [actor.cast for actor in shot.script.actors]:
            return any(r.cast == cast and {"shape", "accessory"} <= set(r.parts) for r in shot.recalls)
    return False


def test_a_missing_character_has_lost_its_latest_state() -> None:
    whole, spoilt = _score(range(12)), _score(range(12), spoil="presence")
    assert len(spoilt.latest_state) == len(whole.latest_state) > 0
    assert not any(spoilt.latest_state)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stories": 0}, "stories"),
        ({"shots": 0}, "shots"),
        ({"tokens": 0}, "tokens"),
        ({"cast": 9}, "cast"),
        ({"seed": -1}, "seed"),
    ],
)
def test_an_examination_that_makes_no_sense_is_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"{message}: must be"):
        Examination(**wrong)  # type: ignore[arg-type]


def test_stories_are_examined_in_groups_and_told_of() -> None:
    torch.manual_seed(0)
    model = build(ModelConfig(layers=1, heads=2, head_width=16, text_layers=1, text_width=32, text_heads=2))
    told: list[int] = []
    short = Examination(stories=3, shots=2, tokens=1, sampler=SamplerConfig(steps=1))
    score = recall_score(model, short, batch=2, report=told.append)
    assert told == [2, 3]
    assert len(score.setting) == 3 * 2


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
