"""The whole way with the shipped weights: a storyboard file in, a film out, checked with a decoder."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from moc_engine.model_index import EMBEDDED
from moc_engine.trace.trace_file import read_trace
from studio.cli.main import main
from studio.exchange.mp4 import recipe_in
from tests.fakes.pictures import read_picture

ROOT = Path(__file__).parents[3]
STORY = """\
title: A small film
size: 320x180
fps: 12
seed: 3
cast:
  - {name: Mira, look: a red round creature with a hat}
  - {name: Otto}
shots:
  - {caption: "Mira walks right on the beach, wide shot", seconds: 1.5}
  - {caption: "Otto jumps in the forest, medium shot", seconds: 1}
  - {caption: "Mira and Otto dance on the beach, zoom in", seconds: 2, bans: [2]}
settings: {steps: 6}
"""
LENGTHS = (18, 12, 24)
Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("story") / "story.yaml"
    path.write_text(STORY)
    return path


@pytest.fixture(scope="module")
def folder(story: Path) -> Path:
    """The folder of a film that was rendered without a break."""
    assert (EMBEDDED / "model_index.json").is_file(), f"the embedded model is missing from {EMBEDDED}"
    out = story.parent / "film"
    assert main(["render", str(story), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def frames(folder: Path) -> list[Picture]:
    return decoded(folder / "a-small-film.mp4")


def decoded(film: Path) -> list[Picture]:
    with av.open(film) as container:
        return [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in container.decode(video=0)]


def digests(frames: list[Picture]) -> list[str]:
    return [hashlib.sha256(frame.tobytes()).hexdigest() for frame in frames]


def per_shot(frames: list[Picture]) -> list[list[Picture]]:
    starts = np.cumsum((0, *LENGTHS))
    return [frames[a:b] for a, b in pairwise(starts)]


def test_the_film_has_the_length_size_and_rate_asked_for(folder: Path, frames: list[Picture]) -> None:
    assert len(frames) == sum(LENGTHS)
    assert {frame.shape for frame in frames} == {(180, 320, 3)}
    with av.open(folder / "a-small-film.mp4") as container:
        track = container.streams.video[0]
        assert (track.average_rate, track.codec_context.name, track.codec_context.pix_fmt) == (
            12,
            "h264",
            "yuv420p",
        )


def test_every_shot_shows_something_that_moves(frames: list[Picture]) -> None:
    for shot in per_shot(frames):
        assert min(frame.std() for frame in shot) > 12
        moved = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(shot)]
        assert np.mean(moved) > 0.05
        assert max(moved) < 60


def test_shots_differ(frames: list[Picture]) -> None:
    stills = [shot[len(shot) // 2].astype(int) for shot in per_shot(frames)]
    assert np.abs(stills[0] - stills[1]).mean() > 12
    assert np.abs(stills[1] - stills[2]).mean() > 12


def test_the_recipe_is_in_the_comment(folder: Path) -> None:
    recipe = recipe_in(folder / "a-small-film.mp4")
    assert recipe["storyboard"]["shots"][1]["caption"] == "Otto jumps in the forest, medium shot"
    taken = [path.name for path in sorted((folder / "takes").iterdir())]
    assert [f"{place:02d}-{take['take']}" for place, take in enumerate(recipe["takes"], 1)] == taken
    assert recipe["common"]["model"].startswith("animatic@")


def test_each_take_has_its_clip_and_a_contact_sheet_shows_them_all(folder: Path) -> None:
    clips = sorted(folder.glob("takes/*/clip.mp4"))
    assert [len(decoded(clip)) for clip in clips] == list(LENGTHS)
    sheet = read_picture(folder / "a-small-film-contact-sheet.png")
    assert sheet.shape[1] > 800
    assert (folder / "a-small-film.srt").read_text().count("-->") == 3


def test_traces_add_up_and_a_banned_shot_got_nothing(folder: Path) -> None:
    traces = [read_trace(trace) for trace in sorted(folder.glob("takes/*/trace.moc"))]
    for trace in traces:
        total = trace.own_share() + sum(trace.shot_shares().values()) + (trace.caption_share() or 0.0)
        assert total == pytest.approx(1, abs=1e-3)
    assert [link.source for link in traces[1].links()] == [0]
    assert traces[2].shot_shares().get(1, 0.0) == 0.0
    assert traces[2].shot_shares()[0] > 0.0


def test_routing_is_told_in_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["routing", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "Shot 3: Mira and Otto dance on the beach, zoom in" in told
    assert "went to shot 1: Mira walks right on the beach" in told
    assert main(["routing", str(folder), "--json"]) == 0
    shots = json.loads(capsys.readouterr().out)["shots"]
    assert [[link["shot"] for link in shot["links"]] for shot in shots] == [[], [1], [1]]


def test_a_kill_loses_no_finished_shot_and_the_resumed_film_is_the_same(
    story: Path, tmp_path: Path, frames: list[Picture]
) -> None:
    out = tmp_path / "film"
    command = [sys.executable, "-m", "studio.cli", "render", str(story), "--out", str(out), "--json"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(out.glob("takes/[0-9]*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    finished = {int(take.name[:2]) - 1 for take in (out / "takes").glob("[0-9]*")}
    assert 0 in finished
    assert not list(out.glob("*.mp4"))

    done = subprocess.run([*command, "--resume"], cwd=ROOT, capture_output=True, check=True)
    told = json.loads(done.stdout)
    assert {shot["number"] - 1 for shot in told["shots"] if not shot["rendered"]} == finished
    assert digests(decoded(Path(told["film"]))) == digests(frames)
    assert not list(out.rglob(".part-*"))
