from __future__ import annotations

import pytest
from diffusers.pipelines.wan.pipeline_wan import prompt_clean

from moc_engine.models.wan.caption_room import TEXT_STATES, cleaned, shared_room

TEXTS = (
    "  a fox\n runs ",
    "tea &amp;amp; cake &lt;3",
    "cafÃ© âœ” brokenâ€™s text",
    "ｆｕｌｌ width “quotes” and … dots",
    "小红在海边走路　　雨",
    "",
)


@pytest.mark.parametrize("text", TEXTS)
def test_captions_are_cleaned_as_the_pipeline_does(text: str) -> None:
    assert cleaned(text) == prompt_clean(text)


def test_cleaning_mends_broken_characters() -> None:
    assert cleaned("cafÃ© &amp; tea") == "café & tea"


@pytest.mark.parametrize(
    ("style", "own", "room"),
    [
        (10, 20, (10, 20)),
        (0, 600, (0, TEXT_STATES)),
        (600, 0, (TEXT_STATES, 0)),
        (400, 200, (TEXT_STATES - 200, 200)),
        (400, TEXT_STATES - 2, (2, TEXT_STATES - 2)),
        (400, TEXT_STATES - 1, (0, TEXT_STATES - 1)),
    ],
)
def test_the_shots_own_words_come_first(style: int, own: int, room: tuple[int, int]) -> None:
    assert shared_room(style, own, TEXT_STATES) == room
