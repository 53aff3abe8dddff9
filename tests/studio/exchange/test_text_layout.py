"""Text in pictures: shaped, ordered, wrapped and cut for every script that a font is there for."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.exchange.text_layout import (
    Paragraph,
    TextLayout,
    canvas_of,
    is_right_to_left,
    missing_scripts,
)

SCRIPTS = {
    "Latin": "Mira walks on the beach",
    "Arabic": "ميرا تمشي على الشاطئ",
    "Hebrew": "מירה הולכת על החוף",
    "Hindi": "मीरा समुद्र तट पर चलती है",
    "Thai": "มิร่าเดินบนชายหาด",
    "Chinese": "小红在海边走路",
    "Japanese": "ミラが浜辺を歩く",
    "Korean": "미라가 해변을 걷는다",
    "emoji": "👩‍🚀🏖️👍🏽",
}


def laid(text: str, *, lines: int = 1, width: float = 400) -> Paragraph:
    return TextLayout().paragraph(text, size=17, colour=(255, 255, 255), width=width, lines=lines)


def drawn(text: str, width: int = 400) -> np.ndarray:
    """How bright each pixel of one line is."""
    picture = np.zeros((40, width, 4), dtype=np.uint8)
    laid(text, width=width).paint(canvas_of(picture), 0, 4)
    return np.asarray(picture[:, :, :3].max(axis=2))


def needs_font(text: str) -> None:
    if missing := missing_scripts([text]):
        pytest.skip(f"no font here shows {', '.join(missing)}")


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_a_script_is_drawn(text: str) -> None:
    needs_font(text)
    assert drawn(text).max() > 150


def test_arabic_letters_are_joined() -> None:
    """Joined letters take less room than the same letters kept apart."""
    needs_font(SCRIPTS["Arabic"])
    word = "تمشي"
    assert laid(word).width < 0.95 * laid("\u200c".join(word)).width


def test_devanagari_is_shaped() -> None:
    needs_font("क्ष")
    assert laid("क्ष").width < 0.9 * laid("क\u094d\u200cष").width


def test_an_emoji_of_several_characters_is_one_picture() -> None:
    needs_font("👩🚀")
    assert laid("👩‍🚀").width < 0.75 * laid("👩🚀").width


def test_text_that_runs_to_the_left_ends_at_the_right_edge() -> None:
    needs_font(SCRIPTS["Hebrew"])
    columns = np.nonzero(drawn(SCRIPTS["Hebrew"]).max(axis=0) > 100)[0]
    assert columns.min() > 100
    assert columns.max() > 380
    assert is_right_to_left("12 – מירה")
    assert not is_right_to_left("Mira מירה")
    assert not is_right_to_left("12 👍")


@pytest.mark.parametrize(
    "text", ["word " * 400, "w" * 2000, "走" * 500, "เดิน" * 200], ids=["words", "w", "走", "เดิน"]
)
def test_a_long_text_is_cut_to_its_lines(text: str) -> None:
    needs_font(text)
    cut = laid(text, lines=3)
    assert cut.lines == 3
    assert cut.text.endswith(" …")
    assert cut.width <= 401


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=80), st.integers(1, 3))
def test_any_text_fits_and_is_cut_between_letters(text: str, lines: int) -> None:
    cut = laid(text, lines=lines, width=120)
    assert cut.height <= (lines + 0.5) * 1.3 * 17 or not text.strip()
    if cut.text.endswith(" …") and cut.text != text:
        rest = text[len(cut.text[:-2]) :].lstrip()
        assert not rest or unicodedata.category(rest[0])[0] != "M" or not cut.text[:-2]


def test_scripts_without_a_font_are_named() -> None:
    def latin_only(character: str) -> bool:
        return character < "\u0250"

    texts = ["Mira walks", "มิร่า ميرا", "👍 小红"]
    assert missing_scripts(texts, latin_only) == ("thai", "arabic", "emoji", "cjk")
    assert missing_scripts(["\n \u200d\ufe0f"]) == ()
