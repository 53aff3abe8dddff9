from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from studio import __version__
from studio.cli import main

ROOT = Path(__file__).parents[2]


def test_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"moc-studio {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sing"],
        ["render"],
        ["train", "animatic"],
        ["routing", "--shot"],
        ["eval", "memory", "--stories", "0"],
    ],
)
def test_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("command", ["render", "routing", "words", "doctor", "train", "eval"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"usage: moc-studio {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["words"], ["--help"], ["render", "missing.yaml"], ["render", "README.md", "--dry-run"]]
)
def test_what_needs_no_model_answers_without_torch(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from studio.cli import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "except SystemExit:\n"
        "    pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0


def test_the_doctor_says_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("✓ Python") for line in lines)
    assert code == int(any(line.startswith("✗") for line in lines))
