"""`moc-studio eval vbench` on a film with a recipe, its folder, and plain clips."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from moc_engine.evaluation.vbench.cast import cast_consistency
from moc_engine.trace.record import Portraits
from studio.cli.main import main
from studio.cli.vbench import of_model

STORY = """
title: squares
size: 96x64
cast: [Mia]
settings: {steps: 1, guidance: 1}
shots:
  - {caption: Mia walks on the beach, seconds: 0.5}
  - {caption: Mia jumps in the forest, seconds: 0.5}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a rendered film of two shots."""
    made: Path = tmp_path_factory.mktemp("films")
    (made / "story.yaml").write_text(STORY)
    assert main(["render", str(made / "story.yaml"), "--out", str(made / "out")]) == 0
    return made / "out"


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VBENCH_CACHE_DIR", str(tmp_path))


@pytest.mark.usefixtures("no_weights")
def test_a_film_is_cut_by_its_recipe(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = str(folder / "squares.mp4")
    assert main(["eval", "vbench", film, str(folder), "--json"]) == 0
    cut, takes = json.loads(capsys.readouterr().out)["films"]
    assert [shot["frames"] for shot in cut["shots"]] == [12, 12]
    assert list(cut["vbench"]) == ["temporal_flickering"]
    assert list(cut["across_cuts"]) == ["palette_consistency"]
    assert cut["not_measured"]["cast_consistency"].startswith("needs the takes")
    assert 0.0 < takes["across_cuts"]["cast_consistency"] <= 1.0
    assert takes["vbench"] == pytest.approx(cut["vbench"], abs=0.01)
    assert main(["eval", "vbench", film]) == 0
    table = capsys.readouterr().out
    assert "\nshot 2            12       0." in table
    assert "\nnot measured: imaging quality needs pyiqa_model/" in table
    assert "licence CC BY-NC-SA 4.0" in table


@pytest.mark.usefixtures("no_weights")
def test_a_folder_is_measured_as_its_cut_shows_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second shot shows its last quarter of a second, as the film does; the third is skipped."""
    first, second = "{caption: Mia walks on the beach, seconds: 0.5}", "{caption: Mia jumps in the forest"
    trimmed = STORY.replace(second, second + ", trim: 0.25").replace("title: squares", "title: trimmed")
    skipped = trimmed + "  - {caption: Mia waves on the moon, seconds: 0.5, skip: true}\n"
    story = tmp_path / "story.yaml"
    story.write_text(skipped)
    assert main(["render", str(story), "--out", str(tmp_path / "out")]) == 0
    assert first in skipped
    capsys.readouterr()
    film = str(tmp_path / "out" / "trimmed.mp4")
    assert main(["eval", "vbench", film, str(tmp_path / "out"), "--json"]) == 0
    cut, shown = json.loads(capsys.readouterr().out)["films"]
    frames = [shot["frames"] for shot in cut["shots"]]
    assert [shot["frames"] for shot in shown["shots"]] == frames
    assert shown["vbench"] == pytest.approx(cut["vbench"], abs=0.01)
    assert main(["eval", "vbench", str(tmp_path / "out"), "--whole-takes", "--json"]) == 0
    (whole,) = json.loads(capsys.readouterr().out)["films"]
    assert [shot["frames"] for shot in whole["shots"]] == [12, 18]


@pytest.mark.usefixtures("no_weights")
def test_a_clip_without_a_recipe_is_one_shot(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / "plain.mp4"
    with av.open(folder / "squares.mp4") as source, av.open(plain, "w") as target:
        track = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = track
                target.mux(packet)
    assert main(["eval", "vbench", str(plain), "--json"]) == 0
    (film,) = json.loads(capsys.readouterr().out)["films"]
    assert [(shot["name"], shot["frames"]) for shot in film["shots"]] == [("clip", 24)]
    assert film["across_cuts"] == {}


def test_a_film_that_its_recipe_does_not_fit_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    longer = tmp_path / "longer.mp4"
    with av.open(folder / "squares.mp4") as source, av.open(longer, "w") as target:
        target.metadata.update(source.metadata)
        track = target.add_stream_from_template(source.streams.video[0])
        for packet in list(source.demux(video=0))[:12]:
            packet.stream = track
            target.mux(packet)
    assert main(["eval", "vbench", str(longer)]) == 2
    assert "has 12 frames and its recipe 24" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "name a film to measure, or --truth"),
        (["--truth", "film.mp4"], "--truth draws its own stories"),
        (["nothing.mp4"], "nothing.mp4: there is no such file"),
        (["--truth", "--stories", "0"], "--stories: must be 1 or more"),
    ],
)
def test_wrong_use(given: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "vbench", *given]) == 2
    assert told in capsys.readouterr().err


def test_lanes_are_of_projects(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = str(shutil.copy(folder / "squares.mp4", tmp_path))
    assert main(["eval", "vbench", clip, "--lane", "draft"]) == 2
    assert "--lane is for projects" in capsys.readouterr().err


def test_a_file_has_no_whole_takes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "vbench", str(folder / "squares.mp4"), "--whole-takes"]) == 2
    assert "--whole-takes is for folders and projects" in capsys.readouterr().err


def test_portraits_of_two_models_are_not_compared() -> None:
    narrow, wide = (
        Portraits(names=("Mia",), vectors=np.eye(1, width), shares=np.zeros((1, 0))) for width in (2, 3)
    )
    first, other = of_model(narrow, "wan@1"), of_model(wide, "wan@2")
    assert cast_consistency([first, other]) is None
    assert cast_consistency([first, other, first]) == 1.0
