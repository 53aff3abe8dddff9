"""From clips and a long video to a LoRA that a render takes, by the commands that a user gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moc_engine.lora_files import lora_digest
from moc_engine.trace.trace_file import read_trace
from moc_engine.training.data.footage.dataset import CachedFootage
from moc_engine.training.tuning.plan import read_plan
from studio.cli.main import main
from tests.fakes.footage_clips import UNREADABLE, moving, write_clip, write_shots
from tests.fakes.wan_folders import wan_t2v_folder

SIZE = (48, 32)
QUICK = (
    *("--steps", "2", "--rank", "2", "--shots", "2-3", "--stages", "dense:0.5,1:1", "--precision", "no"),
    *("--held-out", "1", "--evaluation-steps", "0", "--sample-minutes", "0", "--device", "cpu"),
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "base"
    wan_t2v_folder(folder)
    return folder


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Two clips with captions beside them, one file that is none, and a long video with subtitles."""
    folder = tmp_path / "films"
    for nth in range(2):
        clip = write_clip(folder / "dawn" / f"{nth}.mp4", moving(nth, 9, SIZE), 16)
        clip.with_suffix(".txt").write_text("a fox runs")
    UNREADABLE["text"](folder / "dawn" / "2.mp4")
    video = write_shots(folder / "long.mp4", [12, 12, 12], size=SIZE, rate=16)
    video.with_suffix(".srt").write_text("1\n00:00:00,000 --> 00:00:02,250\na fox at dawn\n")
    return folder


def test_footage_is_cached_trained_on_and_rendered_with(
    films: Path, base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    board = films / "long.yaml"
    assert main(["footage", "cut", str(films / "long.mp4"), "--out", str(board), "--shortest", "0.4"]) == 0
    out = tmp_path / "fox"
    words = ["train", "lora", "--model", str(base), "--data", str(films), "--out", str(out), *QUICK]
    assert main([*words, "--size", "48x32"]) == 0
    told = capfd.readouterr()
    lines = [line for line in told.err.splitlines() if line.startswith("footage: ")]
    assert lines[:3] == [
        "footage: looking at clips (6)",
        "footage: encoding captions (3)",
        "footage: encoding shots (5)",
    ]
    assert lines[3].startswith(f"footage: skipped  unreadable: {films}/dawn/2.mp4: ")
    assert lines[4:] == [f"footage: 5 shots in 2 stories, cached in {out}/footage"]
    assert f"{out}: 2 steps done" in told.out
    footage = CachedFootage(out / "footage")
    assert [(entry.name, len(entry.shots)) for entry in footage.entries] == [("long", 3), ("dawn", 2)]
    assert footage[0].shots[0].caption == "a fox at dawn"
    assert read_plan(out).data == out / "footage"
    assert len(json.loads((out / "history.json").read_text())["loss"]) == 2

    story = tmp_path / "story.yaml"
    story.write_text("title: fox\nsize: 64x64\nfps: 16\nshots:\n- {caption: a fox runs, seconds: 0.5}\n")
    lora = out / "lora" / "fox.safetensors"
    used = ("--model", str(base), "--lora", str(lora), "--steps", "1")
    assert main(["render", str(story), "--out", str(tmp_path / "film"), *used]) == 0
    (named,) = read_trace(next((tmp_path / "film").rglob("*.moc"))).routing["loras"]
    assert named["digest"] == lora_digest(lora)


def test_what_stops_the_caching_is_told_and_the_same_command_goes_on(
    films: Path, base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "fox"
    words = [
        "train",
        "full",
        "--model",
        str(base),
        "--data",
        str(films),
        "--out",
        str(out),
        "--size",
        "48x32",
    ]
    assert main([*words, "--on-problem", "refuse"]) == 1
    assert "the footage is refused: " in capfd.readouterr().err
    assert main([*words, "--frames", "3"]) == 2
    assert "--frames: must be 5 or more, got 3" in capfd.readouterr().err
    assert main([*words, "--resume"]) == 2
    assert "without it the same command starts anew" in capfd.readouterr().err
    assert not (out / "run.json").exists()

    cache = tmp_path / "cache"
    assert (
        main(["footage", "cache", str(films), "--model", str(base), "--out", str(cache), "--size", "48x32"])
        == 0
    )
    words[words.index(str(films))] = str(cache)
    assert main(words) == 2
    assert f"--data: {cache} is a cache already" in capfd.readouterr().err
