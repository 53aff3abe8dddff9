"""A film on one page: a still from each shot with its number, length and caption."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from moc_engine.files import atomic_file
from moc_engine.stored_file import StoredFile
from studio.exchange.text_layout import Paragraph, TextLayout, canvas_of, missing_scripts, opaque
from studio.store.clip_file import Picture, picture_at

LONGEST_SIDE: Final = 8192
"""Of a sheet, in pixels; a longer one is scaled down."""

_PAPER: Final = (24, 22, 21)  # blue, green, red, as OpenCV has them
_TITLE: Final = (236, 238, 240)  # red, green, blue
_TEXT: Final = (200, 204, 208)
_QUIET: Final = (130, 134, 138)
_FEW: Final = 24
"""Shots up to which a still is drawn `_WIDE`, else `_NARROW`."""

_WIDE: Final = 400
_NARROW: Final = 300
_MARGIN: Final = 32
_GAP: Final = 24
_SIZE: Final = 17.0
_TITLE_SIZE: Final = 26.0
_CAPTION_LINES: Final = 3
_READERS: Final = 2
"""Clips that are read at a time, each by several threads."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One shot of the sheet; `number` counts from 1, `frame` is the one of the clip that is drawn."""

    number: int
    clip: StoredFile
    frame: int
    caption: str
    seconds: float


def write_contact_sheet(panels: Sequence[Panel], sheet: Path, *, title: str) -> None:
    """Draws the panels and writes them as PNG."""
    done, png = cv2.imencode(".png", draw(panels, title=title))
    if not done:
        raise ValueError("panels: the sheet could not be encoded as PNG")
    with atomic_file(sheet) as part:
        part.write_bytes(png.tobytes())


def draw(panels: Sequence[Panel], *, title: str) -> Picture:
    """The sheet as (height, width, 3) in OpenCV's order of colours, neither side above `LONGEST_SIDE`."""
    wide = _WIDE if len(panels) <= _FEW else _NARROW
    with ThreadPoolExecutor(_READERS, "stills") as others:
        stills = list(others.map(lambda panel: _fit(_still(panel), wide), panels))
    layout = TextLayout()
    labels = [_label(layout, panel, wide) for panel in panels]
    captions = [_caption(layout, panel, wide) for panel in panels]
    cell = (
        max(still.shape[0] for still in stills)
        + 10
        + math.ceil(
            max(label.height + caption.height for label, caption in zip(labels, captions, strict=True))
        )
    )
    columns = _columns(len(panels), wide, cell)
    rows = math.ceil(len(panels) / columns)
    width = 2 * _MARGIN + columns * wide + (columns - 1) * _GAP
    heading = layout.paragraph(
        title, size=_TITLE_SIZE, colour=_TITLE, width=width - 2 * _MARGIN, lines=2, bold=True
    )
    note = _note(layout, panels, title, width - 2 * _MARGIN)
    head = math.ceil(_MARGIN + heading.height + _GAP)
    foot = 0 if note is None else math.ceil(_GAP + note.height)
    height = head + rows * cell + (rows - 1) * _GAP + foot + _MARGIN
    sheet: Picture = np.full((height, width, 3), _PAPER, dtype=np.uint8)
    places = [_place(nth, columns, wide, cell, head) for nth in range(len(panels))]
    for (x, y), still in zip(places, stills, strict=True):
        left = x + (wide - still.shape[1]) // 2
        sheet[y : y + still.shape[0], left : left + still.shape[1]] = still
    drawn = opaque(sheet)
    canvas = canvas_of(drawn)
    heading.paint(canvas, _MARGIN, _MARGIN)
    for (x, y), still, label, caption in zip(places, stills, labels, captions, strict=True):
        below = y + still.shape[0] + 10
        label.paint(canvas, x, below)
        caption.paint(canvas, x, below + label.height)
    if note is not None:
        note.paint(canvas, _MARGIN, height - _MARGIN - note.height)
    return _scaled_down(np.ascontiguousarray(drawn[:, :, :3]))


def _still(panel: Panel) -> Picture:
    with panel.clip.local() as clip:
        return picture_at(clip, panel.frame)


def _columns(panels: int, wide: int, cell: int) -> int:
    """Up to four for a short film; for a long one as many as make the sheet about square."""
    if panels <= 16:
        return min(4, math.ceil(math.sqrt(panels)))
    return max(4, math.ceil(math.sqrt(panels * (cell + _GAP) / (wide + _GAP))))


def _place(nth: int, columns: int, wide: int, cell: int, head: int) -> tuple[int, int]:
    row, column = divmod(nth, columns)
    return _MARGIN + column * (wide + _GAP), head + row * (cell + _GAP)


def _fit(picture: Picture, wide: int) -> Picture:
    height, width = picture.shape[:2]
    scale = min(wide / width, 1.25 * wide / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    fitted = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.asarray(fitted, dtype=np.uint8)


def _scaled_down(sheet: Picture) -> Picture:
    scale = LONGEST_SIDE / max(sheet.shape[:2])
    if scale >= 1:
        return sheet
    size = int(sheet.shape[1] * scale), int(sheet.shape[0] * scale)
    return np.asarray(cv2.resize(sheet, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _label(layout: TextLayout, panel: Panel, wide: int) -> Paragraph:
    text = f"{panel.number}   {panel.seconds:.2f}".rstrip("0").rstrip(".") + " s"
    return layout.paragraph(text, size=_SIZE, colour=_QUIET, width=wide, bold=True)


def _caption(layout: TextLayout, panel: Panel, wide: int) -> Paragraph:
    text = " ".join(panel.caption.split())
    return layout.paragraph(text, size=_SIZE, colour=_TEXT, width=wide, lines=_CAPTION_LINES)


def _note(layout: TextLayout, panels: Sequence[Panel], title: str, width: int) -> Paragraph | None:
    """What is said where a script has no font."""
    missing = missing_scripts([title, *(panel.caption for panel in panels)])
    if not missing:
        return None
    words = f"No font on this machine shows: {', '.join(missing)}. Install one and export again."
    return layout.paragraph(words, size=_SIZE, colour=_QUIET, width=width, lines=2)
