"""The evaluation of recall, on generated scenes and on modified ones."""

from collections.abc import Iterator

import numpy as np
import pytest

from moc_engine.evaluation.measures.scores import Scores
from moc_engine.evaluation.questions.recall import score
from moc_engine.models.animatic.captions import LOOK_PARTS
from moc_engine.models.animatic.scene import Scene
from moc_engine.models.animatic.world import Story
from tests.fakes.stories import story, true_takes


def _score(seeds: range, spoil: str | None = None) -> Scores:
    scores = Scores()
    for seed in seeds:
        told = story(seed)
        takes = true_takes(told)
        if spoil is not None:
            _spoil(told, takes, spoil)
        score(told, takes, scores)
    return scores


def _spoil(story: Story, takes: list[Scene], field: str) -> None:
    """Changes a field of every character whose look memory must supply."""
    for shot, take in zip(story.shots, takes, strict=True):
        for recall in shot.recalls:
            values = take.characters[recall.slot][field]
            if field == "presence":
                values[...] = 0.0
            elif field in recall.parts:
                none = values.max() == 0.0
                values[...] = np.roll(values, 1, axis=1)
                values[:, 0] += none


def test_generated_scenes_have_perfect_recall() -> None:
    means = _score(range(12)).means()
    for name in ("shape", "accessory", "latest_state"):
        assert means[name] == 1.0, name
    for name in ("colour_error", "tint", "layout"):
        assert means[name] == pytest.approx(0.0, abs=1e-3), name


def test_a_changed_set_is_detected() -> None:
    told = next(s for s in map(story, range(12)) if any(shot.place_absence for shot in s.shots))
    again = next(i for i, shot in enumerate(told.shots) if shot.place_absence is not None)
    takes, scores = true_takes(told), Scores()
    takes[again].set["tint"] += 0.05
    takes[again].set["layout"] -= 0.25
    score(told, takes, scores)
    assert max(scores.values("tint")) == pytest.approx(0.4, abs=1e-5)  # tints are latents at a gain of 8
    assert max(scores.values("layout")) == pytest.approx(0.25, abs=1e-5)
    returns = sum(shot.place_absence is not None for shot in told.shots)
    assert len(scores.values("tint")) == len(scores.values("layout")) == returns
    distances = scores.summaries()["tint"].by_distance
    assert sum(count for _, count in distances.values()) == returns


@pytest.mark.parametrize("field", ["shape", "accessory", "body"])
def test_only_the_forgotten_part_is_detected(field: str) -> None:
    means = _score(range(12), spoil=field).means()
    spoilt = "colour_error" if field == "body" else field
    for name in ("shape", "accessory"):
        assert means[name] == (0.0 if name == spoilt else 1.0), name
    assert (means["colour_error"] > 0.05) == (spoilt == "colour_error")


def test_a_missing_character_is_not_recalled() -> None:
    means = _score(range(12), spoil="presence").means()
    assert means["shape"] == 0.0
    assert means["accessory"] == 0.0


def _takes_without(story: Story, index: int, slot: int) -> list[Scene]:
    """The generated scenes of a story without one character of one shot."""
    takes = true_takes(story)
    takes[index].characters[slot]["presence"][...] = 0.0
    return takes


def _first_takes(story: Story) -> Iterator[tuple[int, int, int]]:
    """The cast member, shot and slot of every first appearance."""
    met: set[int] = set()
    for index, shot in enumerate(story.shots):
        for slot, actor in enumerate(shot.script.actors):
            if actor.cast not in met:
                met.add(actor.cast)
                yield actor.cast, index, slot


def test_a_character_missing_in_the_first_take_is_not_recalled_later() -> None:
    for seed in range(12):
        told = story(seed)
        recalled = [recall for shot in told.shots for recall in shot.recalls]
        for cast, index, slot in _first_takes(told):
            scores, whole = Scores(), Scores()
            score(told, _takes_without(told, index, slot), scores)
            score(told, true_takes(told), whole)
            again = next(
                (
                    s.script.actors
                    for s in told.shots[index + 1 :]
                    if cast in [a.cast for a in s.script.actors]
                ),
                (),
            )
            event = next((actor.event for actor in again if actor.cast == cast), None)
            first = next((recall for recall in recalled if recall.cast == cast), None)
            parts = first.parts if first is not None and event is None else ()
            own = told.shots[index].script.actors[slot].event
            said = own is not None and own.part == "accessory"  # the caption says it, shown or not
            assert scores.values("shape").count(False) == ("shape" in parts)
            assert scores.values("accessory").count(False) == (not said and "accessory" in parts)
            assert len(scores.values("shape")) == len(whole.values("shape"))


def test_only_an_event_that_was_not_shown_is_not_recalled() -> None:
    missed = 0
    for told, index, slot in _returns(range(60)):
        shot = told.shots[index]
        actor = shot.script.actors[slot]
        if actor.event is None or actor.cast in shot.described:
            continue
        scores, whole = Scores(), Scores()
        score(told, _takes_without(told, index, slot), scores)
        score(told, true_takes(told), whole)
        assert scores.values("shape").count(False) == scores.values("accessory").count(False) == 0
        unknown = actor.event.part != "accessory"  # accessories of events are in the caption
        if len(scores.values("latest_state")) == len(whole.values("latest_state")) > 0:
            assert scores.values("latest_state").count(False) == unknown
            missed += unknown
    assert missed > 5


def test_a_description_that_was_not_shown_invalidates_the_old_look() -> None:
    missed = 0
    for told, index, slot in _returns(range(150)):
        shot = told.shots[index]
        actor = shot.script.actors[slot]
        if "shape" in shot.described.get(actor.cast, ()) and actor.event is None:
            scores = Scores()
            score(told, _takes_without(told, index, slot), scores)
            assert scores.values("shape").count(False) == 1
            missed += 1
    assert missed > 5


def _returns(seeds: range) -> Iterator[tuple[Story, int, int]]:
    """The story, shot and slot of returning characters whose whole look the next shot must recall."""
    for told in map(story, seeds):
        seen: set[int] = set()
        for index, shot in enumerate(told.shots):
            for slot, actor in enumerate(shot.script.actors):
                if actor.cast in seen and _is_recalled_whole(told, index, actor.cast):
                    yield told, index, slot
            seen |= {actor.cast for actor in shot.script.actors}


def _is_recalled_whole(story: Story, index: int, cast: int) -> bool:
    """Whether the next shot of a cast member after `index` leaves all of its look to memory."""
    for shot in story.shots[index + 1 :]:
        if cast in [actor.cast for actor in shot.script.actors]:
            return any(r.cast == cast and set(LOOK_PARTS) <= set(r.parts) for r in shot.recalls)
    return False


def test_a_missing_character_has_lost_its_latest_state() -> None:
    whole, spoilt = _score(range(12)), _score(range(12), spoil="presence")
    assert len(spoilt.values("latest_state")) == len(whole.values("latest_state")) > 0
    assert not any(spoilt.values("latest_state"))


def test_only_parts_not_described_are_examined() -> None:
    scores, unsaid = Scores(), 0
    for seed in range(12):
        told = story(seed)
        score(told, true_takes(told), scores)
        unsaid += sum("shape" in recall.parts for shot in told.shots for recall in shot.recalls)
    assert len(scores.values("shape")) == unsaid > 50


def test_an_additional_accessory_is_not_the_same_look() -> None:
    scores = Scores()
    for seed in range(12):
        told = story(seed)
        takes = true_takes(told)
        for shot, take in zip(told.shots, takes, strict=True):
            for recall in shot.recalls:
                if "accessory" in recall.parts:
                    take.characters[recall.slot]["accessory"] = 1.0
        score(told, takes, scores)
    assert scores.means()["accessory"] == 0.0
    assert scores.means()["shape"] == 1.0
