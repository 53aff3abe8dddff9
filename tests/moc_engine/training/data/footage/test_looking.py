"""What was seen of clips is kept, and looked at anew where a file has changed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from moc_engine.clip import Frame
from moc_engine.errors import FootageError
from moc_engine.training.data.footage.folder import FoundClip
from moc_engine.training.data.footage.looking import ClipLooking
from tests.fakes.footage_clips import moving, write_clip


class Counting:
    """A captioner that counts."""

    def __init__(self, caption: object = "a fox") -> None:
        self.shown: list[int] = []
        self._caption = caption

    def caption(self, frames: Sequence[Frame]) -> str:
        self.shown.append(len(frames))
        return self._caption  # type: ignore[return-value]


def decoded(clip: FoundClip, kept: Path | None) -> int:
    """How many frames a look decodes."""
    calls: list[int] = []
    ClipLooking(kept, check=lambda: calls.append(1)).look(clip)
    return len(calls) - 1


def test_what_was_seen_is_not_decoded_again(tmp_path: Path) -> None:
    clip = FoundClip(file=write_clip(tmp_path / "a.mp4", moving(1, 12)))
    assert decoded(clip, tmp_path / "kept") == 12
    assert decoded(clip, tmp_path / "kept") == 0
    assert ClipLooking(tmp_path / "kept").look(clip) == ClipLooking().look(clip)
    assert decoded(FoundClip(file=clip.file, start=0.0, end=0.25), tmp_path / "kept") == 6
    os.utime(clip.file, ns=(1, 1))
    assert decoded(clip, tmp_path / "kept") == 12


@pytest.mark.parametrize("damage", ["", "[]", '{"facts": {}, "digest": ""}', '{"facts": {"size": [1]}}'])
def test_a_damaged_record_is_made_again(tmp_path: Path, damage: str) -> None:
    clip = FoundClip(file=write_clip(tmp_path / "a.mp4", moving(1, 12)))
    before = ClipLooking(tmp_path / "kept").look(clip)
    (record,) = (tmp_path / "kept" / "clips").iterdir()
    record.write_text(damage)
    assert ClipLooking(tmp_path / "kept").look(clip) == before


def test_captions_are_written_once(tmp_path: Path) -> None:
    clip = FoundClip(file=write_clip(tmp_path / "a.mp4", moving(1, 60)))
    captioner = Counting("  a fox\nruns ")
    for _ in range(2):
        looking = ClipLooking(tmp_path / "kept", captioner=("counting", captioner))
        assert looking.caption(clip, looking.look(clip)) == "a fox runs"
    assert captioner.shown == [8]
    assert ClipLooking().caption(clip, ClipLooking().look(clip)) == ""


def test_a_captioner_that_has_nothing_to_say_is_asked_again(tmp_path: Path) -> None:
    clip = FoundClip(file=write_clip(tmp_path / "a.mp4", moving(1, 5)))
    captioner = Counting("")
    looking = ClipLooking(tmp_path / "kept", captioner=("counting", captioner))
    assert [looking.caption(clip, looking.look(clip)) for _ in range(2)] == ["", ""]
    assert captioner.shown == [5, 5]
    with pytest.raises(FootageError, match="gave no text"):
        ClipLooking(captioner=("bad", Counting(None))).caption(clip, looking.look(clip))
