from __future__ import annotations

from pathlib import Path

import pytest

from moc_engine.training.options import CHECKPOINT
from moc_engine.training.tuning.plan import PLAN, alone_in, write_plan
from studio.cli.main import main
from tests.fakes.tuning_runs import run_plan

NEW = ("--model", "base", "--data", "cache")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--data", "cache"), "--model: is needed for a new run"),
        (("--model", "base"), "--data: is needed for a new run"),
        (("--resume",), "--resume: there is no checkpoint in "),
        ((*NEW, "--learning-rate", "0"), "--learning-rate: must be above 0, got 0.0"),
        ((*NEW, "--caption-dropout", "2"), "--caption-dropout: must be within 0–1, got 2.0"),
        ((*NEW, "--save-steps", "-1"), "--save-steps: must be a whole number of 0 or more, got -1"),
        ((*NEW, "--processes", "0"), "--processes: must be 1 or more, got 0"),
        ((*NEW, "--shots", "3-2"), "--shots: the fewest must not be above the most, got (3, 2)"),
    ],
)
def test_wrong_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    out = tmp_path / "run"
    assert main(["train", "lora", "--out", str(out), *words]) == 2
    assert capsys.readouterr().err.startswith(f"moc-studio: {told}")
    assert not out.exists()


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--shots", "must be like 2-4, got 'few'"),
        ("--stages", "must be like dense:0.2,16:0.4,8:0.6,5:1 or dense:0.2:2-2:dawn,5:1, got"),
    ],
)
def test_what_has_another_form_is_told_by_an_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, told: str
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["train", "lora", "--out", str(tmp_path / "run"), *NEW, option, "few"])
    assert end.value.code == 2
    assert f"{option}: {told}" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--rank", "4"), ("--targets", "all")])
def test_all_weights_have_no_rank(tmp_path: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["train", "full", "--out", str(tmp_path / "run"), *NEW, *words])
    assert end.value.code == 2


def test_a_dry_run_changes_nothing_of_a_run_that_is_resumed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    write_plan(out, run_plan(tmp_path, steps=4))
    (out / CHECKPOINT).touch()
    before = (out / PLAN).read_bytes()
    words = ("--out", str(out), "--resume", "--dry-run", "--steps", "7")
    assert main(["train", "lora", *words]) == 0
    assert "for 7 steps" in capfd.readouterr().out
    assert (out / PLAN).read_bytes() == before
    assert {file.name for file in out.iterdir()} == {PLAN, CHECKPOINT}


def test_a_second_run_into_a_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    with alone_in(out):
        assert main(["train", "lora", "--out", str(out), *NEW]) == 1
    assert capsys.readouterr().err.startswith(f"moc-studio: another process is training into {out}; wait")
    assert not out.exists()


def test_a_package_that_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "lora", "--out", str(tmp_path / "run"), *NEW, "--tracker", "no_such_tracker"]
    assert main(words) == 1
    assert "training needs no_such_tracker" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_presets_are_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["train", "lora", "--help"])
    assert end.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "quick: 200 steps of a small LoRA, to see whether the footage teaches anything" in said
