"""Options that would be ignored are refused, in one line that names both sides."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.cli.main import main

PROJECT = ("render", "--project", "A test")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a storyboard in it, which is the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "story.yaml").write_text("shots: [{caption: a ball}]")
    (tmp_path / "film").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("routing", "film", "--format", "csv", "--json"), "--json and --format csv contradict"),
        (("routing", "film", "--json", "--format", "html"), "--json and --format html contradict"),
        (("routing", "film", "--json", "--out", "x"), "--out is for files; json go"),
        (("routing", "film", "--out", "x"), "--out is for files; words go"),
        (("routing", "film", "--root", "x"), "--root is for projects"),
        (
            ("eval", "memory", "--router", "dense", "--top-k", "3"),
            "--top-k has no effect with --router dense",
        ),
        (("eval", "following", "--router", "own", "--top-k", "3"), "--top-k has no effect with --router own"),
        (("train", "animatic", "--out", "x", "--from", "y", "--resume"), "--from: "),
        (("serve", "--tls-cert", "x"), "--tls-cert and --tls-key: give both or neither"),
        (("render",), "render a FILE.yaml or, with --project"),
        (("render", "story.yaml", "--project", "A test"), "render a FILE.yaml or, with --project"),
        (("render", "story.yaml", "--root", "x"), "--root is for projects"),
        ((*PROJECT, "--out", "x"), "--out is for files"),
        ((*PROJECT, "--seed", "0"), "--seed is for files"),
        ((*PROJECT, "--steps", "3"), "--steps is for files"),
        ((*PROJECT, "--size", "96x64"), "--size is for files"),
        ((*PROJECT, "--fps", "12"), "--fps is for files"),
        ((*PROJECT, "--top-k", "3"), "--top-k is for files"),
        ((*PROJECT, "--model", "x"), "--model is for files"),
        ((*PROJECT, "--resume"), "--resume is for files"),
    ],
)
def test_options_that_contradict_each_other(
    here: Path, arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert says in told.err
    assert sorted(path.name for path in here.iterdir()) == ["film", "story.yaml"]
