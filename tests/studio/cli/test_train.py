from __future__ import annotations

from pathlib import Path

import pytest

from studio.cli.main import main


def test_there_is_nothing_to_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["train", "animatic", "--out", str(out), "--resume"]) == 2
    assert capsys.readouterr().err == f"moc-studio: --resume: there is no checkpoint in {out}\n"
    assert not out.exists()


@pytest.mark.parametrize(
    ("option", "value"), [("--preset", "tpu"), ("--steps", "many"), ("--minutes", "soon"), ("--out", None)]
)
def test_wrong_use(tmp_path: Path, option: str, value: str | None) -> None:
    given = {"--out": str(tmp_path), option: value}
    options = [word for name, text in given.items() if text is not None for word in (name, text)]
    with pytest.raises(SystemExit) as end:
        main(["train", "animatic", *options])
    assert end.value.code == 2


@pytest.mark.parametrize(
    ("option", "value"),
    [("--steps", "0"), ("--steps", "-3"), ("--minutes", "nan"), ("--minutes", "-1"), ("--processes", "0")],
)
def test_numbers_that_make_no_sense(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    out = tmp_path / "run"
    assert main(["train", "animatic", "--out", str(out), f"{option}={value}"]) == 2
    assert capsys.readouterr().err.startswith(f"moc-studio: {option}: must be ")
    assert not out.exists()


def test_a_run_from_the_command_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["train", "animatic", "--preset", "smoke", "--out", str(tmp_path)]
    assert main([*words, "--steps", "1"]) == 0
    assert capfd.readouterr().out == f"{tmp_path}: 1 steps done\n"
    (tmp_path / "checkpoint.pt").write_text("junk")
    assert main([*words, "--resume"]) == 1
    assert capfd.readouterr().err == f"{tmp_path}/checkpoint.pt is damaged, or no checkpoint\n"
