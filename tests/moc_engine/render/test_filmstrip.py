from __future__ import annotations

import numpy as np

from moc_engine.contract import FilmstripFormat
from moc_engine.render.filmstrip import Filmstrip


def test_a_strip_shows_its_frames_from_left_to_right() -> None:
    strip = Filmstrip(FilmstripFormat(count=4, height=12), 8)
    for number in range(8):
        strip.see(number, np.full((24, 32, 3), 10 * number, dtype=np.uint8))
    picture = strip.picture()
    assert picture.shape == (12, 4 * 16, 3)
    assert [int(picture[:, at : at + 16].mean()) for at in range(0, 64, 16)] == [10, 30, 50, 70]


def test_a_clip_of_fewer_frames_shows_some_of_them_again() -> None:
    strip = Filmstrip(FilmstripFormat(count=4, height=12), 2)
    for number in range(2):
        strip.see(number, np.full((24, 32, 3), 100 * number, dtype=np.uint8))
    assert [int(strip.picture()[0, at, 0]) for at in range(0, 64, 16)] == [0, 0, 100, 100]


def test_the_middles_of_equal_parts_are_shown() -> None:
    assert FilmstripFormat(count=4, height=10).numbers(40) == [5, 15, 25, 35]
    assert FilmstripFormat(count=4, height=10).numbers(2) == [0, 0, 1, 1]


def test_frames_keep_their_aspect() -> None:
    assert FilmstripFormat(count=8, height=108).width((1280, 720)) == 192
    assert FilmstripFormat(count=8, height=108).width((16, 4096)) == 2
