"""What a model will not read of long captions is told before it is loaded, and is what it does not read."""

from __future__ import annotations

from pathlib import Path

import pytest

from moc_engine.caption_check import captions_left_out
from moc_engine.models.base import LimitsCaptions
from moc_engine.models.caption_limit import LeftOut
from moc_engine.models.loading import load_backbone
from tests.fakes.wan_folders import wan_euler_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "wan"
    wan_euler_folder(folder)
    return folder


@pytest.mark.parametrize(
    ("style", "caption", "left_out"),
    [
        ("dawn", "a fox runs", LeftOut()),
        ("", "", LeftOut()),
        ("dawn " * 511, "", LeftOut()),  # each caption has an end of its own
        ("dawn " * 512, "", LeftOut(style=1)),
        ("", "fox " * 520, LeftOut(own=9)),
        ("dawn " * 300, "fox " * 300, LeftOut(style=90)),
        ("dawn " * 300, "fox " * 510, LeftOut(style=301)),  # no room for a word and its end
        ("dawn " * 300, "fox " * 600, LeftOut(style=301, own=89)),
    ],
)
def test_the_shots_own_words_stay_and_the_style_gives_way(
    style: str, caption: str, left_out: LeftOut, folder: Path
) -> None:
    assert captions_left_out(str(folder), style, caption) == (left_out or None)
    family = load_backbone(folder, "cpu").family
    assert isinstance(family, LimitsCaptions)
    assert family.left_out(style, caption) == left_out
    states = family.captions(style, caption, ()).states_BSE[0]
    read = int(states.abs().sum(dim=1).gt(0).sum())
    words = [len(text.split()) + 1 if text else 0 for text in (style, caption)]
    assert read == (sum(words) - left_out.style - left_out.own or 1)


def test_nothing_is_told_of_models_without_a_limit_or_not_here(tmp_path: Path) -> None:
    assert captions_left_out(None, "a " * 9999, "a " * 9999) is None
    assert captions_left_out(str(tmp_path / "none"), "a " * 9999, "") is None
