"""Appearance vectors: equal for a character in any pose, different for another shape, accessory or colour."""

from __future__ import annotations

import numpy as np
import pytest

from moc_engine.models.animatic.appearance import VISIBLE, looks
from moc_engine.models.animatic.scene import CHARACTER_SLOTS, SET_SLOT, Scene
from moc_engine.models.animatic.timeline import Timeline
from moc_engine.models.animatic.world import sample_story

MIRA = CHARACTER_SLOTS[0]


def scene(**values: object) -> Scene:
    """A round character with a hat, over six frames."""
    made = Scene.empty(6)
    track = made.track(MIRA)
    track["presence"] = 1.0
    track["shape"] = np.eye(6)[0]
    track["accessory"] = (1, 0, 0, 0, 0)
    made.set["kind"] = np.eye(8)[0]
    for name, value in values.items():
        track[name] = value
    return made


def apart(one: Scene, other: Scene, slot: int = MIRA) -> float:
    return float(np.linalg.norm(looks(one)[slot] - looks(other)[slot]))


@pytest.mark.parametrize(
    ("changed", "least"),
    [
        ({"shape": np.eye(6)[3]}, 1.0),
        ({"accessory": (0, 0, 0, 0, 0)}, 0.7),
        ({"body": (0.0, 0.08, 0.0)}, VISIBLE),
    ],
)
def test_a_changed_look_is_visible(changed: dict[str, object], least: float) -> None:
    assert apart(scene(), scene(**changed)) >= least - 1e-6
    assert least >= VISIBLE


def test_position_pose_and_face_do_not_change_the_look() -> None:
    assert apart(scene(), scene(x=0.5, lift=0.3, mouth_open=1.0, yaw=(0, 1), growth=0.5)) == 0.0


def test_the_look_is_that_of_the_end_of_the_shot() -> None:
    painted = scene()
    painted.track(MIRA)["body"][3:] = (0.0, 0.2, 0.0)
    assert apart(painted, scene(body=(0.0, 0.2, 0.0))) == pytest.approx(0.0, abs=1e-6)


def test_absent_characters_have_no_look_and_the_set_always_has_one() -> None:
    found = looks(scene(presence=0.0))
    assert np.isnan(found[MIRA]).all()
    assert not np.isnan(found[SET_SLOT]).any()


def test_generated_stories_keep_their_looks() -> None:
    rng = np.random.default_rng(5)
    for _ in range(4):
        story = sample_story(rng, shots=6, cast=3, tokens=4)
        first: dict[int, np.ndarray] = {}
        for shot in story.shots:
            drawn = Timeline(shot.scene).drawn()
            found = looks(drawn)
            for slot, actor in zip(CHARACTER_SLOTS, shot.script.actors, strict=False):
                if actor.event is not None:
                    first.pop(actor.cast, None)
                    continue
                known = first.setdefault(actor.cast, found[slot])
                assert np.linalg.norm(found[slot] - known) < VISIBLE
