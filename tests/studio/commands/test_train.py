from __future__ import annotations

from pathlib import Path

import pytest

from studio.cli import main


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
