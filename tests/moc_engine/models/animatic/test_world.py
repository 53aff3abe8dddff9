import re

import numpy as np
import pytest

from moc_engine.models.animatic.grammar import CAST_TOKENS, normalise, read
from moc_engine.models.animatic.scene import PATCH_FRAMES, SETS, SHAPES
from moc_engine.models.animatic.script import MOVING, Look
from moc_engine.models.animatic.world import Story, sample_story


def stories(count: int, **options: int) -> list[Story]:
    settings = {"shots": 8, "cast": 4, "tokens": 4} | options
    return [sample_story(np.random.default_rng(seed), **settings) for seed in range(count)]


def test_the_same_seed_gives_the_same_story() -> None:
    (first,), (again,) = stories(1), stories(1)
    for a, b in zip(first.shots, again.shots, strict=True):
        assert a.caption == b.caption
        assert np.array_equal(a.scene.values, b.scene.values)


def test_captions_have_only_known_words_and_names_in_slot_order() -> None:
    for story in stories(60):
        for shot in story.shots:
            assert all(w.meaning is not None for w in read(shot.caption, story.cast)), shot.caption
            text = normalise(shot.caption, story.cast).split()
            named = list(dict.fromkeys(w for w in text if w in CAST_TOKENS))
            assert named == [CAST_TOKENS[a.cast] for a in shot.script.actors], shot.caption


def test_scenes_are_finite_and_moderate() -> None:
    for story in stories(40, tokens=8):
        for shot in story.shots:
            latents = shot.scene.to_latents()
            assert len(shot.scene) == 8 * PATCH_FRAMES
            assert np.isfinite(latents).all()
            assert np.abs(latents).max() < 8


def test_a_look_stays_until_an_event_or_a_description_changes_it() -> None:
    described = 0
    for story in stories(60):
        last: dict[int, np.ndarray] = {}
        for shot in story.shots:
            for actor, track in zip(shot.script.actors, shot.scene.characters, strict=False):
                start = np.concatenate([track["shape"][0], track["accessory"][0], track["body"][0]])
                if actor.cast in last and shot.described.get(actor.cast):
                    described += not np.allclose(start, last[actor.cast], atol=0.02)
                elif actor.cast in last:
                    assert np.allclose(start, last[actor.cast], atol=0.02)
                last[actor.cast] = np.concatenate(
                    [track["shape"][-1], track["accessory"][-1], track["body"][-1]]
                )
    assert described > 5


def test_parts_not_described_again_stay() -> None:
    kept = 0
    for story in stories(300):
        last: dict[int, Look] = {}
        for shot in story.shots:
            for actor in shot.script.actors:
                parts = shot.described.get(actor.cast, ())
                if actor.cast in last and parts:
                    before, now = last[actor.cast], actor.look
                    assert now.growth == before.growth
                    for part, was, is_now in (
                        ("shape", before.shape, now.shape),
                        ("accessory", before.accessory, now.accessory),
                        ("body", before.body, now.body),
                        ("accent", before.accent, now.accent),
                    ):
                        assert part in parts or was == is_now
                        kept += part not in parts
                last[actor.cast] = actor.after
    assert kept > 50


def test_following_cameras_mostly_have_a_moving_character() -> None:
    followed = [
        any(a.action in MOVING for a in shot.script.actors)
        for story in stories(200)
        for shot in story.shots
        if shot.script.camera == "follow"
    ]
    assert len(followed) > 50
    assert np.mean(followed) > 0.6


def test_some_characters_are_named_only_next_to_others() -> None:
    again = alone = 0
    for story in stories(240):
        for shot in story.shots:
            sentence = shot.caption.split(". ")[0]
            beside = set(re.findall(r"(?:with|beside|behind|towards) ([A-Z]\w+)", sentence))
            assert not re.search(r"([A-Z]\w+) \w+ (?:with|beside|behind|towards) \1\b", sentence), sentence
            again += any(sentence.count(name) > 1 for name in beside)
            alone += any(sentence.count(name) == 1 for name in beside)
    assert again > 20
    assert alone > 20


def test_tint_and_layout_of_a_set_are_constant_within_a_story() -> None:
    first, second = stories(2, shots=24)
    for story in (first, second):
        seen: dict[int, tuple[float, ...]] = {}
        for shot in story.shots:
            place = shot.script.place
            assert seen.setdefault(place.kind, place.layout) == place.layout
    shared = {s.script.place.kind: s.script.place.layout for s in first.shots}
    for shot in second.shots:
        assert shared.get(shot.script.place.kind) != shot.script.place.layout


def test_recalls_have_only_parts_that_the_caption_does_not_describe() -> None:
    checked = 0
    for story in stories(80):
        seen: dict[int, int] = {}
        for index, shot in enumerate(story.shots):
            actors = shot.script.actors
            for recall in shot.recalls:
                assert recall.absence == index - seen[recall.cast]
                assert recall.look == actors[recall.slot].look
                if len(actors) == 1 and not shot.script.props:
                    own = normalise(shot.caption, story.cast).split()
                    said = {"body": recall.look.body_name, "shape": SHAPES[recall.look.shape]}
                    for part, word in said.items():
                        assert (word in own) != (part in recall.parts), shot.caption
                        checked += 1
            seen.update((a.cast, index) for a in actors)
    assert checked > 100


def test_captions_have_no_empty_parts() -> None:
    for story in stories(150):
        for shot in story.shots:
            assert shot.caption
            assert shot.caption[0] not in ",.", shot.caption
            assert ", ," not in shot.caption, shot.caption


def test_characters_return_after_long_absences() -> None:
    absences = [r.absence for s in stories(10, shots=32, cast=6) for shot in s.shots for r in shot.recalls]
    assert max(absences) >= 15
    assert np.mean([a >= 10 for a in absences]) > 0.02


def test_walking_speed_matches_the_gait_cycle() -> None:
    for story in stories(80):
        for shot in story.shots:
            for actor, track in zip(shot.script.actors, shot.scene.characters, strict=False):
                if actor.action == "walk" and actor.event is None:
                    phase = np.unwrap(np.arctan2(track["phase"][:, 1], track["phase"][:, 0]))
                    turns = (phase[-1] - phase[0]) / (2 * np.pi)
                    travelled = abs(float(track["x"][-1] - track["x"][0]))
                    expected = turns * 0.9 * 0.25 * 2.0 ** float(track["growth"][0])
                    assert travelled == pytest.approx(expected, rel=1e-3)


def test_every_set_and_many_actions_occur() -> None:
    scripts = [shot.script for s in stories(60) for shot in s.shots]
    assert {SETS[s.place.kind] for s in scripts} == set(SETS)
    assert len({a.action for s in scripts for a in s.actors}) >= 12
    assert {e.event.kind for s in scripts for e in s.actors if e.event} == {
        "gains",
        "loses",
        "painted",
        "grows",
    }


def test_a_cast_larger_than_the_cast_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="cast"):
        sample_story(np.random.default_rng(0), shots=2, cast=9, tokens=2)
