from __future__ import annotations

from pathlib import Path

import pytest
from diffusers.pipelines.hunyuan_video.pipeline_hunyuan_video import DEFAULT_PROMPT_TEMPLATE

from moc_engine.caption_check import captions_left_out
from moc_engine.models.base import LimitsCaptions
from moc_engine.models.caption_limit import LeftOut
from moc_engine.models.hunyuan.prompt_room import TEMPLATE, TEMPLATE_TOKENS, fitted
from moc_engine.models.loading import load_backbone
from tests.fakes.hunyuan_folder import hunyuan_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "hunyuan"
    hunyuan_folder(made)
    return made


def test_the_prompt_is_that_of_the_pipeline() -> None:
    assert {"template": TEMPLATE, "crop_start": TEMPLATE_TOKENS} == DEFAULT_PROMPT_TEMPLATE


@pytest.mark.parametrize(
    ("style", "caption", "left_out"),
    [
        ("dawn", "a fox runs", LeftOut()),
        ("dawn " * 251, "a fox runs", LeftOut()),  # two further tokens end the prompt
        ("dawn " * 252, "a fox runs", LeftOut(style=1)),
        ("", "fox " * 254, LeftOut()),
        ("", "fox " * 300, LeftOut(own=46)),
        ("dawn " * 2, "fox " * 300, LeftOut(style=2, own=46)),
    ],
)
def test_what_is_left_out_is_told_before_the_model_is_loaded(
    style: str, caption: str, left_out: LeftOut, folder: Path
) -> None:
    assert captions_left_out(str(folder), style, caption) == (left_out or None)


def test_the_shots_own_words_stay_where_captions_are_too_long(folder: Path) -> None:
    backbone = load_backbone(folder, "cpu")
    family = backbone.family
    assert isinstance(family, LimitsCaptions)
    assert not family.left_out("dawn", "a fox runs")
    left = family.left_out("dawn " * 300, "a fox runs")
    assert (left.style, left.own) == (
        49,
        0,
    )  # it reads 251 words, three own ones, and two tokens of the prompt
    captions = family.captions("dawn " * 300, "a fox runs", ())
    assert captions.states_BSE.shape == (1, 256, 16)
    assert family.left_out("", "fox " * 300).own == 46


@pytest.mark.parametrize(
    ("room", "text"), [(9, "a b c d e"), (4, "a b d e"), (2, "d e"), (1, "d e")], ids=lambda value: str(value)
)
def test_the_end_of_the_style_gives_way(room: int, text: str) -> None:
    assert fitted("a b c", "d e", lambda words: len(words.split()) <= room) == text
