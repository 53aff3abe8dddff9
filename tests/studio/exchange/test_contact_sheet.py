from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moc_engine.stored_file import LocalFile
from studio.exchange.contact_sheet import LONGEST_SIDE, Panel, draw, write_contact_sheet
from tests.fakes.pictures import read_picture
from tests.fakes.renderer import write_clip

COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40), (40, 200, 200))


def panels(
    tmp_path: Path, count: int, *, size: tuple[int, int] = (96, 54), caption: str = "x"
) -> list[Panel]:
    made = []
    for index in range(count):
        clip = tmp_path / f"{index}.mp4"
        write_clip(clip, COLOURS[index % 5], seconds=0.5, fps=8.0, size=size)
        made.append(Panel(number=index + 1, clip=LocalFile(clip), frame=2, caption=caption, seconds=2.5))
    return made


def test_each_shot_stands_in_its_place(tmp_path: Path) -> None:
    write_contact_sheet(panels(tmp_path, 5), tmp_path / "sheet.png", title="A film")
    sheet = read_picture(tmp_path / "sheet.png").astype(int)
    assert sheet.shape[1] == 2 * 32 + 3 * 400 + 2 * 24
    found = []
    for colour in COLOURS:
        mask = np.abs(sheet - colour).max(axis=2) < 24
        assert mask.sum() > 0.5 * 400 * 225
        rows, columns = np.nonzero(mask)
        found.append((round(rows.mean() / 300), round(columns.mean() / 424)))
    assert found == sorted(found)
    assert len(set(found)) == 5


@pytest.mark.parametrize("size", [(54, 96), (96, 96), (4096, 64), (64, 4096), (640, 360)])
def test_any_shape_of_frame_fits(tmp_path: Path, size: tuple[int, int]) -> None:
    sheet = draw(panels(tmp_path, 1, size=size), title="A film")
    assert sheet.shape[1] == 2 * 32 + 400
    assert sheet.shape[0] < 800


@pytest.mark.parametrize("caption", ["word " * 400, "w" * 2000, "世界 “é” 🐢 <b>", "a"])
def test_any_caption_fits(tmp_path: Path, caption: str) -> None:
    sheet = draw(panels(tmp_path, 2, caption=caption), title=caption[:200])
    plain = draw(panels(tmp_path, 2), title="x")
    assert sheet.shape[1] == plain.shape[1]
    assert sheet.shape[0] <= plain.shape[0] + 4 * 34


@pytest.mark.parametrize(("count", "size"), [(60, (96, 54)), (60, (54, 96)), (500, (64, 64))])
def test_a_long_film_gives_a_sheet_that_programs_open(
    tmp_path: Path, count: int, size: tuple[int, int]
) -> None:
    one = panels(tmp_path, 1, size=size, caption="Mira walks right with the red kite on the beach")[0]
    sheet = draw([replace(one, number=number + 1) for number in range(count)], title="A long film")
    height, width = sheet.shape[:2]
    assert max(height, width) <= LONGEST_SIDE
    assert 0.7 < height / width < 1.4
