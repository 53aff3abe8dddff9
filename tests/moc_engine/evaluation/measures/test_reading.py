"""Reading of takes: generated scenes with known content, and modified ones."""

from dataclasses import replace

import numpy as np
import pytest

from moc_engine.evaluation.measures import reading
from moc_engine.models.animatic.lexicon import ACTIONS, CAMERAS, EXPRESSIONS, FRAMINGS
from moc_engine.models.animatic.scene import CHARACTER_SLOTS, Scene
from moc_engine.models.animatic.script import (
    NAMED,
    Actor,
    ShotScript,
    sample_colour,
    sample_look,
    sample_place,
)
from moc_engine.models.animatic.staging import stage
from tests.fakes.stories import story, true_takes


def _script(actor: str = "stand", **changes: object) -> ShotScript:
    rng = np.random.default_rng(3)
    actors = (Actor(cast=2, action=actor, look=sample_look(rng)),)
    script = ShotScript(place=sample_place(rng, 1), actors=actors)
    return replace(script, **changes)  # type: ignore[arg-type]


def _played(script: ShotScript, frames: int = 18) -> Scene:
    return stage(script, frames, np.random.default_rng(0))


def _blurred(scene: Scene, amount: float = 0.05) -> Scene:
    noise = np.random.default_rng(1).normal(size=scene.values.shape) * amount
    return Scene((scene.values + noise).astype(np.float32))


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_is_recognised_with_noise(name: str, framing: str) -> None:
    script = _script(name, framing=framing)
    take = _blurred(_played(script))
    shown = reading.action(take.characters[0], script, 0)
    assert shown[0] == name
    assert reading.matches_action(script.actors[0], shown)


@pytest.mark.parametrize("direction", [-1, 1])
def test_walking_the_wrong_way_is_wrong(direction: int) -> None:
    script = _script()
    actor = replace(script.actors[0], action="walk", direction=direction)
    take = _played(replace(script, actors=(actor,)))
    shown = reading.action(take.characters[0], replace(script, actors=(actor,)), 0)
    assert shown == ("walk", direction)
    assert not reading.matches_action(replace(actor, direction=-direction), shown)


def test_standing_is_not_recognised_as_dancing() -> None:
    track = _played(_script()).characters[0]
    wanted = _script("dance")
    assert not reading.matches_action(wanted.actors[0], reading.action(track, wanted, 0))


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_expression_is_recognised(name: str) -> None:
    script = _script()
    take = _played(replace(script, actors=(replace(script.actors[0], expression=name),)))
    assert reading.expression(_blurred(take).characters[0]) == name


@pytest.mark.parametrize("name", CAMERAS)
def test_every_camera_move_is_recognised(name: str) -> None:
    script = _script("walk", camera=name)
    assert reading.camera(_blurred(_played(script), 0.01), script) == {name}


@pytest.mark.parametrize("trembling", [0.0, 0.01])
def test_following_a_standing_character_is_a_still_camera(trembling: float) -> None:
    script = _script("wave", camera="static")
    assert reading.camera(_blurred(_played(script), trembling), script) == {"static", "follow"}


@pytest.mark.parametrize("name", FRAMINGS)
def test_every_framing_is_recognised(name: str) -> None:
    script = _script(framing=name)
    assert reading.framing(_blurred(_played(script), 0.02), script) == {name}


def test_three_characters_allow_several_framings() -> None:
    script = _script(framing="closeup")
    crowd = replace(script, actors=tuple(replace(script.actors[0], cast=i) for i in range(3)))
    assert reading.framing(_played(crowd), crowd) == {"closeup", "medium"}


@pytest.mark.parametrize("name", NAMED)
def test_shades_are_named_after_their_colour(name: str) -> None:
    rng = np.random.default_rng(0)
    script = _script()
    for _ in range(20):
        look = replace(script.actors[0].look, body=sample_colour(rng, name))
        take = _played(replace(script, actors=(replace(script.actors[0], look=look),)), frames=6)
        assert reading.colour_name(reading.look(take.characters[0]).body) == name


def test_characters_are_read_from_any_slot() -> None:
    told = story(1)
    for shot, take in zip(told.shots, true_takes(told), strict=True):
        slots = list(CHARACTER_SLOTS)
        take.values[:, slots] = take.values[:, slots[::-1]]
        tracks = reading.cast_of(take)
        assert sorted(tracks) == sorted(actor.cast for actor in shot.script.actors)
        assert reading.count(take) == len(shot.script.actors)
        for actor in shot.script.actors:
            seen, accessory = reading.look(tracks[actor.cast]), actor.after.accessory
            assert seen.shape == actor.after.shape
            assert seen.accessory == (set() if accessory is None else {accessory})
        if shot.script.camera:
            assert shot.script.camera in reading.camera(take, shot.script)
    assert reading.cast_of(Scene.empty(3)) == {}


def test_the_first_of_two_slots_with_one_character_counts() -> None:
    script = _script()
    take = _played(replace(script, actors=(script.actors[0], script.actors[0])))
    take.characters[1]["shape"] = np.eye(6)[(script.actors[0].look.shape + 1) % 6]
    assert reading.look(reading.cast_of(take)[2]).shape == script.actors[0].look.shape
    assert reading.count(take) == 2


def test_props_are_read_with_their_kinds() -> None:
    told = story(4)
    for shot, take in zip(told.shots, true_takes(told), strict=True):
        assert sorted(kind for kind, _ in reading.props(take)) == sorted(p.kind for p in shot.script.props)
