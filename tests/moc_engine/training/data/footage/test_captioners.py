"""Captioners are plug-ins; there is none of the engine's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from moc_engine.errors import FootageError
from moc_engine.training.data.footage.captioners import captioner_names, find_captioner

MODULE = """
class Foxes:
    def caption(self, frames):
        return f"{len(frames)} foxes"

def nothing():
    return object()
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with two plug-ins, as pip would install it."""
    (tmp_path / "captions_of_foxes.py").write_text(MODULE)
    record = tmp_path / "captions_of_foxes-1.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Name: captions-of-foxes\nVersion: 1\n")
    (record / "entry_points.txt").write_text(
        "[moc_studio.captioners]\nfoxes = captions_of_foxes:Foxes\nnone = captions_of_foxes:nothing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "captions_of_foxes", raising=False)


def test_there_is_no_default() -> None:
    assert captioner_names() == ()
    with pytest.raises(FootageError, match="no captioner 'foxes' is installed"):
        find_captioner("foxes")


@pytest.mark.usefixtures("installed")
def test_a_plug_in_is_found_by_its_name() -> None:
    assert captioner_names() == ("foxes", "none")
    assert find_captioner("foxes").caption([]) == "0 foxes"
    with pytest.raises(FootageError, match="no captioner 'cats'; there are foxes, none"):
        find_captioner("cats")
    with pytest.raises(FootageError, match="is no captioner"):
        find_captioner("none")
