"""Films of drawn squares, measured here and by an environment with a fake VBench of the same interface."""

import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from moc_engine.clip import ClipWriter, Frame
from moc_engine.evaluation.vbench.dimensions import DIMENSIONS, cache_folder
from moc_engine.evaluation.vbench.film import measure_film
from moc_engine.evaluation.vbench.shots import Shot, read, write

SIZE = (96, 64)

FAKE = """
import json
from pathlib import Path

SCORES = {
    "subject_consistency": [0.5, 0.8],
    "imaging_quality": [40.0, 60.0],
    "dynamic_degree": [False, True],
}

class VBench:
    def __init__(self, device, full_info_dir, output_path):
        self.results = Path(output_path)

    def evaluate(self, videos_path, name, dimension_list, local, read_frame, mode, **options):
        (dimension,) = dimension_list
        assert local and not read_frame and mode == "custom_input"
        if dimension == "motion_smoothness":
            raise RuntimeError("no frames")
        clips = sorted(Path(videos_path).iterdir(), reverse=True)  # in no order, as a folder's listing
        scores = SCORES[dimension][::-1]
        found = [{"video_path": str(c), "video_results": s} for c, s in zip(clips, scores, strict=True)]
        file = self.results / f"{name}_eval_results.json"
        file.write_text(json.dumps({dimension: [0.0, found]}))
"""


def picture(at: int, grey: int) -> Frame:
    shown = np.full((SIZE[1], SIZE[0], 3), grey, np.uint8)
    shown[20:44, at : at + 24] = (200, 40, 40)
    return shown


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames of a square that moves, three of another picture, and one more."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with ClipWriter(path, SIZE, 8) as clip:
        for at in range(12):
            clip.write(picture(6 * at, 90))
        for grey in (10, 10, 10, 240):
            clip.write(picture(30, grey))
    return path


@pytest.fixture
def shots(film: Path) -> list[Shot]:
    cuts = ((0, 12), (12, 3), (15, 1))
    return [Shot(name=f"shot {first}", clip=film, first=first, frames=count) for first, count in cuts]


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The Python of an environment with the fake VBench."""
    (tmp_path / "lib" / "vbench").mkdir(parents=True)
    (tmp_path / "lib" / "vbench" / "__init__.py").write_text(FAKE)
    (tmp_path / "lib" / "torch.py").write_text(
        "class cuda:\n    is_available = staticmethod(lambda: False)\ndevice = str\n"
    )
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path / "lib"} exec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


def cache_with(folder: Path, *dimensions: str) -> Path:
    for dimension in DIMENSIONS:
        for file in dimension.files if dimension.name in dimensions else ():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()
    return folder


def test_shots_are_measured_and_never_over_a_cut(shots: list[Shot], tmp_path: Path) -> None:
    found = measure_film(shots, cache=tmp_path)
    moving, still, short = found.shots
    assert list(found.vbench) == ["temporal_flickering"]
    assert still.vbench["temporal_flickering"] == pytest.approx(1.0, abs=0.004)
    assert moving.vbench["temporal_flickering"] < still.vbench["temporal_flickering"]
    assert (moving.own["flow_moving"], still.own["flow_moving"]) == (True, False)
    assert moving.own["flow_movement"] > 10 * still.own["flow_movement"]
    assert not short.vbench
    assert not short.own
    assert found.own["flow_moving"] == 0.5
    assert 0.0 < found.across_cuts["palette_consistency"] < 0.9


def test_flickering_is_that_of_the_frames_as_opencv_decodes_them(film: Path, tmp_path: Path) -> None:
    video, frames = cv2.VideoCapture(str(film)), []
    while (shown := video.read())[0]:
        frames.append(shown[1])
    differences = [np.abs(one.astype(float) - other).mean() for one, other in pairwise(frames[:12])]
    first = Shot(name="one", clip=film, first=0, frames=12)
    (scores,) = measure_film([first], cache=tmp_path).shots
    assert scores.vbench["temporal_flickering"] == pytest.approx((255 - np.mean(differences)) / 255, abs=1e-6)


def test_shots_are_written_without_loss(shots: list[Shot], tmp_path: Path) -> None:
    targets = [tmp_path / f"{at}.mp4" for at in range(3)]
    write(shots, targets)
    for shot, target, frames in zip(shots, targets, read(shots), strict=True):
        alone = Shot(name="", clip=target, first=0, frames=99)
        (again,) = ([*frames] for frames in read([alone]))
        np.testing.assert_array_equal(again, [*frames])
        assert len(again) == shot.frames


def test_what_needs_weights_or_an_environment_is_named(shots: list[Shot], tmp_path: Path) -> None:
    cache = cache_with(tmp_path, "dynamic_degree")
    missing = measure_film(shots, cache=cache).not_measured
    assert set(missing) == {dimension.name for dimension in DIMENSIONS} - {"temporal_flickering"}
    assert missing["dynamic_degree"].startswith("needs an environment with VBench (--vbench-python); RAFT")
    assert f"amt_model/amt-s.pth in {cache}" in missing["motion_smoothness"]
    assert "licence CC BY-NC 4.0" in missing["motion_smoothness"]


def test_the_users_vbench_measures_what_has_its_weights(
    shots: list[Shot], python: Path, tmp_path: Path
) -> None:
    wanted = ("subject_consistency", "motion_smoothness", "dynamic_degree", "imaging_quality")
    found = measure_film(shots, cache=cache_with(tmp_path / "cache", *wanted), python=python)
    first, second, _ = found.shots
    assert first.vbench["subject_consistency"] == 0.5
    assert second.vbench["imaging_quality"] == pytest.approx(0.6)
    assert (first.vbench["dynamic_degree"], second.vbench["dynamic_degree"]) == (False, True)
    assert found.vbench["subject_consistency"] == pytest.approx(
        (11 * 0.5 + 2 * 0.8) / 13
    )  # by compared frames
    assert found.vbench["imaging_quality"] == pytest.approx(0.5)
    assert found.vbench["dynamic_degree"] == 0.5
    assert found.not_measured["motion_smoothness"] == "VBench failed: RuntimeError: no frames"
    assert "needs clip_model/ViT-B-32.pt" in found.not_measured["background_consistency"]


def test_an_environment_that_cannot_measure_says_why(shots: list[Shot], tmp_path: Path) -> None:
    cache = cache_with(tmp_path, "dynamic_degree")
    absent = measure_film(shots, cache=cache, python=tmp_path / "none").not_measured["dynamic_degree"]
    assert absent.startswith("VBench did not run: ")
    assert "cannot be run" in absent
    without = measure_film(shots, cache=cache, python=Path(sys.executable)).not_measured["dynamic_degree"]
    assert "No module named 'vbench'" in without


def test_a_cast_that_looks_alike_is_consistent(shots: list[Shot], tmp_path: Path) -> None:
    mia, ben = np.array([1.0, 0.0]), np.array([0.6, 0.8])
    found = measure_film(
        shots, cache=tmp_path, portraits=[{"Mia": mia}, {"Mia": ben, "Ben": ben}, {"Mia": mia}]
    )
    assert found.across_cuts["cast_consistency"] == pytest.approx((0.6 + (0.6 + 1.0) / 2) / 2)
    assert "cast_consistency" not in measure_film(shots, cache=tmp_path, portraits=[{"Mia": mia}]).across_cuts


def test_the_cache_is_where_vbench_keeps_it(tmp_path: Path) -> None:
    assert cache_folder({"VBENCH_CACHE_DIR": str(tmp_path)}) == tmp_path
    assert cache_folder({}) == Path.home() / ".cache" / "vbench"
