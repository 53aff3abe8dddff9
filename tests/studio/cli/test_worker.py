from __future__ import annotations

from pathlib import Path

import pytest

from studio.cli.main import main


def test_a_worker_of_no_studio_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker", "--root", str(tmp_path / "gone")]) == 2
    assert "there is no such folder; moc-studio serve makes a studio" in capsys.readouterr().err
    assert not (tmp_path / "gone").exists()
