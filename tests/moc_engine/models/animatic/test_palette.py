"""Palettes: grading of characters, shades and tints."""

from __future__ import annotations

import numpy as np
import pytest

from moc_engine.models.animatic.colour import lch_from_lab
from moc_engine.models.animatic.rasterizer.palette import (
    SET_COLOURS,
    Climate,
    Palette,
    argb,
    from_lch,
    grade_character,
    shade,
)
from moc_engine.models.animatic.scene import SETS


def test_every_set_has_its_colours() -> None:
    assert tuple(SET_COLOURS) == SETS


@pytest.mark.parametrize("hue", range(0, 360, 45))
@pytest.mark.parametrize(
    "climate",
    [Climate(night=1.0), Climate(sunset=1.0), Climate(rain=1.0, tint=(-0.1, 0.0)), Climate(fog=1.0)],
)
def test_grading_changes_character_colours_little(hue: int, climate: Climate) -> None:
    colour = from_lch((0.65, 0.16, float(hue)))
    graded = grade_character(colour, climate)
    assert np.hypot(graded[1] - colour[1], graded[2] - colour[2]) < 0.05
    assert abs(graded[0] - colour[0]) < 0.1


@pytest.mark.parametrize("hue", range(0, 360, 30))
def test_shade_is_darker_but_as_colourful(hue: int) -> None:
    colour = from_lch((0.65, 0.12, float(hue)))
    before, after = lch_from_lab(colour), lch_from_lab(shade(colour))
    assert after[0] < 0.85 * before[0]
    assert after[1] >= before[1]
    assert abs((after[2] - before[2] + 180) % 360 - 180) <= 13.01


def test_a_tint_shows_most_in_the_accent_and_keeps_lightness() -> None:
    plain, tinted = Palette("beach", Climate()), Palette("beach", Climate(tint=(0.0, -0.09)))
    moved = {role: np.subtract(tinted(role), plain(role)) for role in ("accent", "ground", "pale")}
    assert np.hypot(*moved["accent"][1:]) > 4 * np.hypot(*moved["ground"][1:]) > 0
    assert not np.any(moved["pale"])
    assert all(abs(change[0]) < 1e-9 for change in moved.values())


def test_lamps_are_not_graded_by_night() -> None:
    night = Palette("city", Climate(night=1.0))
    assert night.lit(night("glass"))[0] > 0.85
    assert night("near")[0] < 0.45


def test_argb_packs_channels() -> None:
    assert argb((1.0, 0.0, 0.0)) == 0xFFFFFFFF
    assert argb((0.0, 0.0, 0.0), 0.5) == 0x80000000
