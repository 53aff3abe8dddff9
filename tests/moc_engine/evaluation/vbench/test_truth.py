"""Known faults of drawn shots, and how measures rank them in a small study."""

import numpy as np
import pytest

from moc_engine.evaluation.generation.settings import EvaluationSettings
from moc_engine.evaluation.questions.identity import subjects
from moc_engine.evaluation.vbench.optical_flow import flow_lengths, flow_smoothness
from moc_engine.evaluation.vbench.spoiled import SIZE, drifting, motion, painted, trembling
from moc_engine.evaluation.vbench.truth import TRUTHS, agreements
from moc_engine.models.animatic.rasterizer.plates import PlateCache
from moc_engine.models.animatic.scene import Scene
from tests.fakes.models import tiny_backbone
from tests.fakes.stories import story, true_takes


def test_looks_drift_after_the_first_appearance_alone() -> None:
    told = story(0)
    scenes = drifting(told, np.random.default_rng(0))
    seen: set[tuple[str, int]] = set()
    changed = 0
    for before, after in zip(true_takes(told), scenes, strict=True):
        for (kind, name, _, old), (*_, new) in zip(subjects(before), subjects(after), strict=True):
            same = np.allclose(old, new)
            assert same or (kind, name) in seen
            changed += not same
            seen.add((kind, name))
    assert changed > 5


def test_trembling_moves_frames_as_far_as_asked() -> None:
    still = painted(story(0).shots[0].scene, [0.5] * 9, PlateCache())
    assert still[0].shape == (SIZE[1], SIZE[0], 3)
    np.testing.assert_array_equal(trembling(still, 0.0, np.random.default_rng(0)), still)
    smooth = [flow_smoothness(trembling(still, far, np.random.default_rng(0))) for far in (0.0, 0.5, 2.0)]
    assert smooth[0] > smooth[1] > smooth[2]


def test_motion_of_the_camera_is_its_path_in_frame_widths() -> None:
    scene = Scene(story(0).shots[0].scene.values[:6].copy())
    for track in (*scene.characters, *scene.props):
        track["presence"] = 0.0
    for name in ("y", "zoom", "shake", "roll"):
        scene.camera[name] = 0.0
    scene.camera["x"] = 0.3
    assert motion(scene, 1.0) == 0.0
    scene.camera["x"] = np.linspace(-0.25, 0.25, 6)
    assert motion(scene, 1.0) == pytest.approx(0.5 / 2 * 6 / 5)
    frames = painted(scene, [at / 8 for at in range(8)], PlateCache())
    assert max(flow_lengths(frames, 8.0)) > 0.5


def test_a_small_study_runs_end_to_end() -> None:
    heard: list[int] = []
    settings = EvaluationSettings(stories=2, shots=3, cast=2, tokens=2)
    found = agreements(tiny_backbone(), settings, report=heard.append)
    assert heard == [1, 2]
    assert [one.measure for one in found] == list(TRUTHS)
    cases = {one.measure: one.cases for one in found}
    assert cases["palette_consistency"] == 2 * 2
    assert cases["flow_smoothness"] == cases["flow_movement"] == 2 * 3
    trembles = next(one for one in found if one.measure == "flow_smoothness")
    assert trembles.correlation.value > 0.5
