"""The evaluation of caption following, on generated scenes and on modified ones."""

from collections.abc import Callable

import numpy as np
import pytest

from moc_engine.evaluation.questions.following import METRICS, score
from moc_engine.models.animatic.scene import Scene
from tests.fakes.stories import means


def _means(spoil: Callable[[Scene], None] = lambda take: None) -> dict[str, float]:
    return means(score, spoil, stories=12)


def test_generated_scenes_follow_their_captions() -> None:
    found = _means()
    assert set(found) == set(METRICS)
    assert set(found.values()) == {1.0}


def _empty_stage(take: Scene) -> None:
    for track in take.characters:
        track["presence"] = 0.0


def _other_place(take: Scene) -> None:
    take.set["kind"] = np.roll(take.set["kind"], 1, axis=1)


def _white(take: Scene) -> None:
    for track in take.characters:
        track["body"] = (0.25, 0.0, 0.0)
        track["accent"] = (0.25, 0.0, 0.0)


def _frozen(take: Scene) -> None:
    take.values[:] = take.values[:1]


def _blank_faces(take: Scene) -> None:
    for track in take.characters:
        for part in ("lid", "lid_tilt", "brow", "mouth_curve", "mouth_open", "teeth", "tear"):
            track[part] = 0.0


def _no_things(take: Scene) -> None:
    for track in take.props:
        track["presence"] = 0.0


def _from_afar(take: Scene) -> None:
    take.camera["zoom"] = 0.0


@pytest.mark.parametrize(
    ("spoil", "below", "untouched"),
    [
        (_empty_stage, {"present": 0.0, "count": 0.1, "event": 0.0, "action": 0.0}, {"setting", "prop"}),
        (_other_place, {"setting": 0.2}, {"action", "described", "camera"}),
        (_white, {"described": 0.8, "event": 0.9}, {"action", "setting", "count"}),
        (_frozen, {"action": 0.7, "camera": 0.6}, {"setting", "count", "expression"}),
        (_blank_faces, {"expression": 0.5}, {"action", "described", "event"}),
        (_no_things, {"prop": 0.0}, {"action", "camera"}),
        (_from_afar, {"framing": 0.7, "camera": 0.9}, {"action", "setting"}),
    ],
)
def test_missing_content_is_detected(
    spoil: Callable[[Scene], None], below: dict[str, float], untouched: set[str]
) -> None:
    found = _means(spoil)
    for metric, most in below.items():
        assert found[metric] <= most, metric
    for metric in untouched:
        assert found[metric] == 1.0, metric
