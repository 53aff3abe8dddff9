"""A film on one page: a still from each shot with its number, length and caption."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from moc_engine.files import atomic_file
from studio.store.clip_file import Picture, picture_at

_PAPER: Final = (24, 22, 21)  # blue, green, red, as OpenCV has them
_TITLE: Final = (240, 238, 236)
_TEXT: Final = (208, 204, 200)
_QUIET: Final = (138, 134, 130)
_CELL: Final = 400
_MARGIN: Final = 32
_GAP: Final = 24
_LINE: Final = 22
_CAPTION_LINES: Final = 3


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One shot of the sheet; `number` counts from 1, `frame` is the one of the clip that is drawn."""

    number: int
    clip: Path
    frame: int
    caption: str
    seconds: float


def write_contact_sheet(panels: Sequence[Panel], sheet: Path, *, title: str) -> None:
    """Draws the panels, at most four in a row, and writes them as PNG."""
    done, png = cv2.imencode(".png", draw(panels, title=title))
    if not done:
        raise ValueError("panels: the sheet could not be encoded as PNG")
    with atomic_file(sheet) as part:
        part.write_bytes(png.tobytes())


def draw(panels: Sequence[Panel], *, title: str) -> Picture:
    """The sheet as (height, width, 3) in OpenCV's order of colours."""
    stills = [_fit(picture_at(panel.clip, panel.frame)) for panel in panels]
    columns = min(4, math.ceil(math.sqrt(len(panels))))
    rows = math.ceil(len(panels) / columns)
    head = _MARGIN + 3 * _LINE
    lines = max(len(_wrapped(panel.caption)) for panel in panels)
    cell = max(still.shape[0] for still in stills) + 10 + (lines + 1) * _LINE
    width = 2 * _MARGIN + columns * _CELL + (columns - 1) * _GAP
    height = head + rows * cell + (rows - 1) * _GAP + _MARGIN
    sheet: Picture = np.full((height, width, 3), _PAPER, dtype=np.uint8)
    _write(sheet, title, (_MARGIN, _MARGIN + _LINE), colour=_TITLE, size=26, weight=600, right=width)
    for place, (panel, still) in enumerate(zip(panels, stills, strict=True)):
        row, column = divmod(place, columns)
        x, y = _MARGIN + column * (_CELL + _GAP), head + row * (cell + _GAP)
        left = x + (_CELL - still.shape[1]) // 2
        sheet[y : y + still.shape[0], left : left + still.shape[1]] = still
        _label(sheet, panel, (x, y + still.shape[0] + 10 + _LINE))
    return sheet


def _fit(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    scale = min(_CELL / width, 1.25 * _CELL / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    fitted = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.asarray(fitted, dtype=np.uint8)


def _label(sheet: Picture, panel: Panel, at: tuple[int, int]) -> None:
    x, y = at
    number = str(panel.number)
    after = _write(sheet, number, at, colour=_TITLE, size=17, weight=600, right=x + _CELL)
    _write(sheet, f"  {panel.seconds:g} s", (after, y), colour=_QUIET, size=17, weight=400, right=x + _CELL)
    for line, text in enumerate(_wrapped(panel.caption), start=1):
        _write(sheet, text, (x, y + line * _LINE), colour=_TEXT, size=17, weight=400, right=x + _CELL)


def _wrapped(caption: str) -> list[str]:
    """The caption in as many lines as fit under a still, the last one cut where need be."""
    lines: list[str] = []
    for word in caption.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _width(longer) <= _CELL:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > _CAPTION_LINES:
        lines = lines[:_CAPTION_LINES]
        lines[-1] += " …"
    return lines


def _font() -> cv2.FontFace:
    return cv2.FontFace("sans")


def _width(text: str) -> int:
    box = cv2.getTextSize((0, 0), text, (0, 0), _font(), 17, 400)
    return int(box[2])


def _write(
    sheet: Picture,
    text: str,
    at: tuple[int, int],
    *,
    colour: tuple[int, int, int],
    size: int,
    weight: int,
    right: int,
) -> int:
    """Writes one line from its base line's left end, cut at `right`; returns where it ended."""
    end, _ = cv2.putText(sheet[:, :right], text, at, colour, _font(), size, weight)
    return int(end[0])
