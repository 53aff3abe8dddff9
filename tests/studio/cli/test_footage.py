"""`moc-studio footage check`, `cut` and `cache`."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from moc_engine.training.data.footage.dataset import CachedFootage
from moc_engine.training.data.footage.storyboard import read_storyboard
from studio.cli.main import main
from tests.fakes.footage_clips import UNREADABLE, moving, write_clip, write_shots
from tests.fakes.waiting import until
from tests.fakes.wan_folders import wan_t2v_folder

SMALL = ("--size", "64x48")


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    for nth in range(2):
        write_clip(folder / "a" / f"{nth}.mp4", moving(nth, 12), 16)
        (folder / "a" / f"{nth}.txt").write_text("a fox runs")
    write_clip(folder / "a" / "silent.mp4", moving(5, 12), 16)
    UNREADABLE["text"](folder / "a" / "text.mp4")
    return folder


def test_check_names_what_is_wrong(films: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["footage", "check", str(films), *SMALL]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"skipped  no-caption: {films}/a/silent.mp4, 0:00.0: has no caption"
    assert out[1].startswith(f"skipped  unreadable: {films}/a/text.mp4: is no video")
    assert out[-1] == "2 of 4 clips can be trained on, in 1 story: 1.1 s at 64×48 (2)"


def test_check_as_json(films: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["footage", "check", str(films), *SMALL, "--on-problem", "no-caption=keep", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["clips"], told["shots"]) == (4, 3)
    assert [(p["kind"], p["action"]) for p in told["problems"]] == [
        ("no-caption", "keep"),
        ("unreadable", "skip"),
    ]
    (story,) = told["stories"]
    assert (story["name"], story["size"], story["shots"][0]["frames"]) == ("a", [64, 48], 9)


def test_check_refuses_and_finds_nothing(films: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["footage", "check", str(films), *SMALL, "--on-problem", "refuse"]) == 1
    assert "the footage is refused" in capsys.readouterr().err
    assert main(["footage", "check", str(films)]) == 1
    told = capsys.readouterr()
    assert "no shot is left to train on" in told.err
    assert "64×48 is smaller than 720×544" in told.out
    assert main(["footage", "check", str(films / "nowhere")]) == 1
    assert "there is no footage at" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--size", "large"), "--size: must be like 832x480"),
        (("--size", "8x8"), "--size: sides must be 16 or more"),
        (("--frames", "3"), "--frames: must be 5 or more"),
        (("--on-problem", "black=paint"), "--on-problem: paint: one of skip, refuse, keep"),
        (("--on-problem", "unreadable=keep"), "--on-problem: unreadable: can be skipped or refused"),
        (("--threshold", "0"), "--threshold: must be above 0"),
        (("--shortest", "-1"), "--shortest: must be 0 or more"),
    ],
)
def test_wrong_options_are_named(
    films: Path, options: tuple[str, str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["footage", "check", str(films), *options]) == 2
    assert words in capsys.readouterr().err


def test_a_captioner_that_is_not_there_is_named(films: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["footage", "check", str(films), "--captioner", "foxes"]) == 1
    assert "no captioner 'foxes' is installed" in capsys.readouterr().err


def test_cut_writes_a_storyboard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write_shots(tmp_path / "film.mp4", (24, 32, 20), size=(128, 80), rate=16)
    video.with_suffix(".srt").write_text("0:00 --> 0:01\nMira\n\n0:02 --> 0:03\nOtto\n")
    out = tmp_path / "cut.yaml"
    assert main(["footage", "cut", str(video), "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert told.out == f"{out}\n"
    assert "3 shots, 1 without a caption" in told.err
    board = read_storyboard(out)
    assert [(shot.start, shot.end) for shot in board.shots] == [(0.0, 1.5), (1.5, 3.5), (3.5, 4.75)]
    assert [shot.caption for shot in board.shots] == ["Mira", "Otto", ""]
    assert {shot.source for shot in board.shots} == {video}
    assert main(["footage", "check", str(out), *SMALL]) == 0
    assert "2 of 3 clips can be trained on" in capsys.readouterr().out


def test_cut_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write_clip(tmp_path / "film.mp4", moving(1, 8))
    for arguments, words in (
        ((str(video), "--out", str(video)), "must end in .yaml"),
        ((str(video), "--out", str(tmp_path / "x.yaml")), "exists already"),
        ((str(tmp_path / "no.mp4"), "--out", str(tmp_path / "y.yaml")), "there is no such file"),
    ):
        (tmp_path / "x.yaml").touch()
        assert main(["footage", "cut", *arguments]) == 2
        assert words in capsys.readouterr().err
    (tmp_path / "text.mp4").write_text("text")
    assert main(["footage", "cut", str(tmp_path / "text.mp4"), "--out", str(tmp_path / "y.yaml")]) == 1
    assert "is no video" in capsys.readouterr().err


def test_cache_is_made_and_completed(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wan_t2v_folder(tmp_path / "wan")
    command = ["footage", "cache", str(films), "--model", str(tmp_path / "wan"), "--out"]
    command += [str(tmp_path / "cache"), "--device", "cpu", *SMALL]
    assert main(command) == 0
    told = capsys.readouterr()
    assert told.out == f"{tmp_path / 'cache'}\n"
    assert "skipped  no-caption" in told.err
    assert "2 shots in 1 story; encoded now: 2 shots, 2 captions" in told.err
    (story,) = CachedFootage(tmp_path / "cache")
    assert [shot.caption for shot in story.shots] == ["a fox runs"] * 2
    assert main([*command, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["shots"], record["encoded_shots"], record["encoded_captions"]) == (2, 0, 0)


def test_cache_names_models_it_cannot_use(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "footage",
        "cache",
        str(films),
        "--model",
        str(tmp_path / "none"),
        "--out",
        str(tmp_path / "c"),
    ]
    assert main(command) == 1
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_an_interrupt_ends_a_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for nth in range(400):
        write_clip(tmp_path / "films" / f"{nth}.mp4", moving(nth, 2), 16)
    before = signal.getsignal(signal.SIGTERM)

    def interrupt() -> None:
        until(lambda: signal.getsignal(signal.SIGTERM) is not before)  # else it would end the tests
        os.kill(os.getpid(), signal.SIGTERM)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    assert main(["footage", "check", str(tmp_path / "films")]) == 130
    interrupting.join()
    assert "interrupted" in capsys.readouterr().err
