"""Text in pictures: shaped and ordered for every script by Skia, with the fonts of the machine.

The system's font manager finds a font for each character; no font is assumed to be there. `missing_scripts`
names what no font can show.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final

import cv2
import numpy as np
import skia
from numpy.typing import NDArray

from studio.exchange.font_manager import font_manager
from studio.store.clip_file import Picture

Colour = tuple[int, int, int]
"""Red, green, blue."""

FAMILIES: Final = ("sans-serif", "DejaVu Sans", "Noto Sans", "Segoe UI", "Helvetica Neue")
"""Tried in this order; other fonts are used for what these do not have."""

LINE: Final = 1.3
"""The height of a line, in font sizes."""

_ELLIPSIS: Final = " …"
_JOINERS: Final = frozenset("\u200d\ufe0e\ufe0f")


class TextLayout:
    """Lays out paragraphs. Belongs to one thread."""

    def __init__(self) -> None:
        self._fonts = skia.textlayout.FontCollection()
        self._fonts.setDefaultFontManager(font_manager())
        self._unicode = skia.Unicodes.ICU.Make()

    def paragraph(
        self, text: str, *, size: float, colour: Colour, width: float, lines: int = 1, bold: bool = False
    ) -> Paragraph:
        """The text on at most so many lines, cut with an ellipsis where it is longer."""

        def laid(text: str) -> Paragraph:
            return Paragraph(self._build(text, size, colour, width, bold), text, size)

        whole = laid(text)
        if whole.lines <= lines:
            return whole
        ends = _ends(text)
        low, high = 0, len(ends) - 1  # the longest beginning that fits
        while low < high:
            middle = (low + high + 1) // 2
            if laid(text[: ends[middle]].rstrip() + _ELLIPSIS).lines <= lines:
                low = middle
            else:
                high = middle - 1
        return laid(text[: ends[low]].rstrip() + _ELLIPSIS)

    def _build(self, text: str, size: float, colour: Colour, width: float, bold: bool) -> Any:
        layout = skia.textlayout
        style = layout.TextStyle()
        style.setFontFamilies(list(FAMILIES))
        style.setFontSize(size)
        style.setFontStyle(skia.FontStyle.Bold() if bold else skia.FontStyle.Normal())
        style.setColor(skia.Color(*colour))
        style.setHeight(LINE)
        style.setHeightOverride(True)
        whole = layout.ParagraphStyle()
        whole.setTextStyle(style)
        if is_right_to_left(text):
            whole.setTextAlign(layout.TextAlign.kRight)
            text = f"\u2067{text}\u2069"  # an isolate of its own direction, so that full stops end up right
        builder = layout.ParagraphBuilder.make(whole, self._fonts, self._unicode)
        builder.pushStyle(style)
        builder.addText(text)
        builder.pop()
        paragraph = builder.Build()
        paragraph.layout(width)
        return paragraph


class Paragraph:
    """Text that knows how much room it takes."""

    def __init__(self, paragraph: Any, text: str, size: float) -> None:
        self._paragraph = paragraph
        self.text = text
        self.height = float(paragraph.Height)
        self.width = float(paragraph.LongestLine)
        self.lines = max(1, round(self.height / (size * LINE)))

    def paint(self, canvas: Any, x: float, y: float) -> None:
        """Draws it with its upper left corner at (x, y)."""
        self._paragraph.paint(canvas, x, y)


def canvas_of(picture: NDArray[np.uint8]) -> Any:
    """A canvas that draws into a picture (height, width, 4): blue, green, red, opacity."""
    return skia.Surface(picture, colorType=skia.kBGRA_8888_ColorType).getCanvas()


def opaque(picture: Picture) -> NDArray[np.uint8]:
    """A picture with a fourth channel to draw into."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2BGRA), dtype=np.uint8)


def is_right_to_left(text: str) -> bool:
    """Whether the first letter that has a direction is one of a script that runs to the left."""
    directions = (unicodedata.bidirectional(character) for character in text)
    return next((found in ("R", "AL") for found in directions if found in ("L", "R", "AL")), False)


@cache
def _can_show(character: str) -> bool:
    if unicodedata.category(character)[0] in "ZC" or character in _JOINERS:
        return True
    manager = font_manager()
    found = manager.matchFamilyStyleCharacter("", skia.FontStyle.Normal(), [], ord(character))
    return found is not None and found.unicharToGlyph(ord(character)) != 0


def missing_scripts(texts: Iterable[str], can_show: Callable[[str], bool] = _can_show) -> tuple[str, ...]:
    """The scripts of characters that no font of the machine has, as Unicode calls them: "thai"."""
    found = {_script(character): None for text in texts for character in text if not can_show(character)}
    return tuple(found)


def _script(character: str) -> str:
    name = unicodedata.name(character, "other").lower()
    return "emoji" if unicodedata.category(character) == "So" else name.split()[0].split("-")[0]


def _ends(text: str) -> list[int]:
    """Where a text may be cut: not before an accent, nor within an emoji of several characters."""
    ends = [0]
    for at in range(1, len(text)):
        joined = text[at] in _JOINERS or text[at - 1] == "\u200d" or "\U0001f3fb" <= text[at] <= "\U0001f3ff"
        if not joined and unicodedata.category(text[at])[0] != "M":
            ends.append(at)
    return ends
