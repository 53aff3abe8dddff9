"""The colours of the sets and their grading by time of day, weather and the story's tint.

Colours are given in OKLCH and graded in this order: time of day, weather, the story's tint,
distance. Dusk shifts hues toward orange instead of mixing orange in, which would look muddy; night
keeps some of each hue under indigo; light sources are not graded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from moc_engine.models.animatic.colour import lab_from_lch, lch_from_lab, srgb_from_lab

Lch = tuple[float, float, float]
Lab = tuple[float, float, float]

GLOW: Final[Lch] = (0.90, 0.115, 85.0)
"""The colour of lamps, lit windows and the moon."""

SET_COLOURS: Final[Mapping[str, Mapping[str, Lch]]] = {
    "beach": {
        "sky_top": (0.735, 0.088, 228),
        "sky_low": (0.925, 0.040, 195),
        "far": (0.760, 0.050, 205),
        "sea": (0.600, 0.085, 218),
        "sea_low": (0.725, 0.090, 205),
        "foam": (0.935, 0.030, 195),
        "ground": (0.865, 0.066, 80),
        "ground_low": (0.790, 0.082, 68),
        "wet": (0.770, 0.070, 66),
        "leaf": (0.640, 0.100, 152),
        "leaf_low": (0.500, 0.090, 165),
        "trunk": (0.500, 0.058, 50),
        "accent": (0.650, 0.165, 27),
        "accent_2": (0.700, 0.090, 208),
        "pale": (0.940, 0.026, 85),
        "dark": (0.400, 0.070, 235),
    },
    "forest": {
        "sky_top": (0.780, 0.060, 162),
        "sky_low": (0.945, 0.055, 112),
        "far": (0.745, 0.058, 148),
        "mid": (0.640, 0.064, 156),
        "ground": (0.765, 0.085, 124),
        "ground_low": (0.655, 0.090, 130),
        "path": (0.870, 0.060, 105),
        "leaf": (0.640, 0.108, 122),
        "leaf_low": (0.425, 0.088, 158),
        "trunk": (0.425, 0.048, 52),
        "accent": (0.660, 0.150, 30),
        "accent_2": (0.850, 0.090, 88),
        "pale": (0.940, 0.026, 90),
        "dark": (0.380, 0.070, 165),
    },
    "city": {
        "sky_top": (0.770, 0.070, 236),
        "sky_low": (0.945, 0.036, 80),
        "far": (0.790, 0.042, 245),
        "mid": (0.680, 0.060, 248),
        "near": (0.640, 0.080, 38),
        "near_2": (0.660, 0.060, 200),
        "near_3": (0.590, 0.060, 320),
        "roof": (0.440, 0.050, 290),
        "glass": (0.480, 0.055, 250),
        "ground": (0.800, 0.020, 262),
        "ground_low": (0.600, 0.030, 268),
        "kerb": (0.880, 0.014, 255),
        "leaf": (0.650, 0.090, 140),
        "leaf_low": (0.480, 0.080, 165),
        "trunk": (0.400, 0.035, 40),
        "accent": (0.640, 0.155, 26),
        "accent_2": (0.790, 0.110, 85),
        "pale": (0.945, 0.020, 85),
        "dark": (0.330, 0.055, 265),
    },
    "desert": {
        "sky_top": (0.745, 0.082, 216),
        "sky_low": (0.945, 0.052, 88),
        "far": (0.830, 0.055, 62),
        "mid": (0.690, 0.108, 42),
        "mid_2": (0.765, 0.085, 52),
        "ground": (0.865, 0.072, 76),
        "ground_low": (0.800, 0.090, 64),
        "line": (0.700, 0.095, 55),
        "leaf": (0.640, 0.090, 150),
        "leaf_low": (0.500, 0.085, 160),
        "trunk": (0.520, 0.070, 45),
        "accent": (0.655, 0.175, 30),
        "accent_2": (0.900, 0.090, 92),
        "pale": (0.950, 0.030, 85),
        "dark": (0.430, 0.075, 38),
    },
    "snow": {
        "sky_top": (0.770, 0.052, 238),
        "sky_low": (0.930, 0.020, 228),
        "far": (0.715, 0.040, 250),
        "mid": (0.590, 0.056, 256),
        "cap": (0.975, 0.008, 245),
        "ground": (0.970, 0.010, 250),
        "ground_low": (0.885, 0.032, 262),
        "leaf": (0.560, 0.062, 182),
        "leaf_low": (0.430, 0.058, 192),
        "trunk": (0.430, 0.055, 45),
        "wall": (0.480, 0.068, 38),
        "accent": (0.640, 0.165, 25),
        "accent_2": (0.840, 0.100, 85),
        "pale": (0.975, 0.008, 245),
        "dark": (0.410, 0.060, 230),
    },
    "room": {
        "sky_top": (0.770, 0.085, 232),
        "sky_low": (0.940, 0.040, 170),
        "wall": (0.790, 0.058, 66),
        "wall_low": (0.730, 0.068, 58),
        "panel": (0.830, 0.048, 72),
        "wood": (0.520, 0.062, 40),
        "ground": (0.640, 0.078, 54),
        "ground_low": (0.560, 0.080, 44),
        "rug": (0.700, 0.098, 76),
        "rug_2": (0.825, 0.072, 84),
        "leaf": (0.650, 0.100, 140),
        "leaf_low": (0.490, 0.085, 158),
        "trunk": (0.440, 0.055, 45),
        "accent": (0.575, 0.140, 28),
        "accent_2": (0.620, 0.080, 195),
        "pale": (0.930, 0.030, 85),
        "dark": (0.330, 0.055, 20),
    },
    "moon": {
        "sky_top": (0.245, 0.095, 296),
        "sky_low": (0.465, 0.125, 308),
        "far": (0.400, 0.110, 304),
        "mid": (0.500, 0.095, 298),
        "ground": (0.720, 0.055, 290),
        "ground_low": (0.580, 0.072, 288),
        "crater": (0.480, 0.062, 288),
        "leaf": (0.700, 0.110, 172),
        "leaf_low": (0.560, 0.100, 180),
        "trunk": (0.420, 0.060, 290),
        "accent": (0.720, 0.120, 170),
        "accent_2": (0.720, 0.150, 42),
        "pale": (0.945, 0.018, 90),
        "dark": (0.270, 0.080, 288),
    },
    "meadow": {
        "sky_top": (0.740, 0.078, 234),
        "sky_low": (0.945, 0.032, 170),
        "far": (0.875, 0.052, 150),
        "mid": (0.820, 0.078, 135),
        "ground": (0.810, 0.105, 124),
        "ground_low": (0.715, 0.120, 130),
        "leaf": (0.660, 0.108, 128),
        "leaf_low": (0.465, 0.090, 152),
        "trunk": (0.440, 0.052, 48),
        "wall": (0.930, 0.030, 82),
        "accent": (0.660, 0.155, 34),
        "accent_2": (0.760, 0.130, 355),
        "pale": (0.955, 0.016, 90),
        "dark": (0.390, 0.075, 150),
    },
}

_DUSK_SKY: Final[Mapping[str, Lch]] = {"sky_top": (0.555, 0.082, 302), "sky_low": (0.850, 0.100, 64)}
DUSK_BAND: Final[Lch] = (0.730, 0.125, 34)
"""The coral band in the middle of the sky at dusk."""

_NIGHT_SKY: Final[Mapping[str, Lch]] = {"sky_top": (0.225, 0.085, 278), "sky_low": (0.425, 0.086, 268)}
_TINT_STRENGTHS: Final[Mapping[str, float]] = {
    "accent": 0.74,
    "accent_2": 0.30,
    "sky_top": 0.18,
    "sky_low": 0.20,
    "far": 0.30,
    "mid": 0.34,
    "mid_2": 0.34,
    "near": 0.40,
    "near_2": 0.36,
    "near_3": 0.44,
    "leaf": 0.32,
    "leaf_low": 0.32,
    "ground": 0.20,
    "ground_low": 0.22,
    "sea": 0.18,
    "sea_low": 0.18,
    "wall": 0.27,
    "wall_low": 0.27,
    "panel": 0.22,
    "rug": 0.40,
    "rug_2": 0.40,
    "pale": 0.0,
    "foam": 0.0,
    "cap": 0.0,
}
"""The strength of the story's tint per colour role; largest for accents, so that places differ."""

_DEFAULT_TINT_STRENGTH: Final = 0.13
_SNOW_COVERED: Final = frozenset({"ground", "ground_low", "path", "wet", "kerb"})


@dataclass(frozen=True, kw_only=True)
class Climate:
    """Time of day and weather as amounts 0–1, and the story's tint of a set as OKLab (a, b)."""

    sunset: float = 0.0
    night: float = 0.0
    rain: float = 0.0
    snow: float = 0.0
    fog: float = 0.0
    wind: float = 0.0
    tint: tuple[float, float] = (0.0, 0.0)
    indoors: bool = False
    airless: bool = False

    @property
    def day(self) -> float:
        return max(0.0, 1.0 - self.sunset - self.night)


class Palette:
    """The graded colours of a set in a climate, as OKLab."""

    def __init__(self, kind: str, climate: Climate) -> None:
        self.kind = kind
        self.climate = climate
        self._colours = SET_COLOURS[kind]
        self._known: dict[tuple[str, float], Lab] = {}
        self.sky_low = self("sky_low")
        self.sky_top = mix(self("sky_top"), self.sky_low, 0.5 * climate.fog)

    @staticmethod
    @lru_cache(maxsize=64)
    def of(kind: str, climate: Climate) -> Palette:
        """The palette of a set in a climate, cached."""
        return Palette(kind, climate)

    def __call__(self, role: str, *, haze: float = 0.0) -> Lab:
        """The colour of a role; `haze` 0–1 mixes it with the horizon's colour, for distance."""
        known = self._known.get((role, haze))
        if known is None:
            lab = self._graded(self._colours[role], role)
            known = self.hazed(self._tinted(lab, _TINT_STRENGTHS.get(role, _DEFAULT_TINT_STRENGTH)), haze)
            self._known[role, haze] = known
        return known

    def graded(self, lch: Lch, *, haze: float = 0.0, tint: float = _DEFAULT_TINT_STRENGTH) -> Lab:
        """Another colour, graded as the set's colours are."""
        return self.hazed(self._tinted(self._graded(lch, ""), tint), haze)

    def hazed(self, lab: Lab, haze: float) -> Lab:
        haze = min(1.0, haze * (1.0 + 0.5 * self.climate.fog) + 0.35 * self.climate.fog * (haze > 0.0))
        return lab if haze <= 0.0 else mix(lab, self.sky_low, haze)

    def lit(self, day: Lab, amount: float | None = None) -> Lab:
        """The colour of a window or lamp: `day` by day, ungraded `GLOW` at night, half of each at dusk."""
        climate = self.climate
        if amount is None:
            amount = min(1.0, climate.night + 0.85 * climate.sunset + 0.35 * climate.rain * climate.day)
        return mix(day, from_lch(GLOW), amount)

    def _graded(self, lch: Lch, role: str) -> Lab:
        climate = self.climate
        lab = from_lch(lch)
        if climate.airless:
            lab = mix(lab, _dusk(lab), 0.35 * climate.sunset)
            return mix(lab, _scaled(lab, 0.82, 1.05), climate.night)
        if climate.indoors and role not in _DUSK_SKY:
            lab = mix(lab, mix(lab, _dusk(lab), 0.45), climate.sunset)
            lab = mix(lab, _lamplit(lab), climate.night)
            return mix(lab, _scaled(lab, 0.95, 0.85), 0.5 * climate.rain)
        dusk = from_lch(_DUSK_SKY[role]) if role in _DUSK_SKY else _dusk(lab)
        night = from_lch(_NIGHT_SKY[role]) if role in _NIGHT_SKY else _night(lab)
        lab = mix(mix(lab, dusk, climate.sunset), night, climate.night)
        lab = mix(
            lab, _rainy(lab), climate.rain * (1.0 - 0.72 * climate.night) * (1.0 - 0.35 * climate.sunset)
        )
        if role in _SNOW_COVERED:
            lying = from_lch((0.93 - 0.40 * climate.night, 0.018 + 0.045 * climate.night, 265.0))
            lab = mix(lab, lying, 0.55 * climate.snow)
        lab = mix(lab, _snowy(lab), climate.snow * (1.0 - 0.5 * climate.night))
        return mix(lab, _foggy(lab), climate.fog)

    def _tinted(self, lab: Lab, strength: float) -> Lab:
        a, b = self.climate.tint
        accented = strength > 0.5
        boost = 1.35 if accented else 1.0
        strength *= min(1.0, float(np.hypot(a, b)) / 0.03)  # a tint near grey has no reliable hue
        if not accented:
            strength *= 1.0 - 0.6 * self.climate.night
        return (
            lab[0],
            lab[1] + strength * (boost * a - lab[1]),
            lab[2] + strength * (boost * b - lab[2]),
        )


def grade_character(lab: Lab, climate: Climate) -> Lab:
    """A character's colour on a set, with a sixth of the set's grading so that it stays recognisable."""
    graded = lab
    graded = mix(graded, _dusk(graded), 0.16 * climate.sunset)
    graded = mix(graded, _night(graded), (0.10 if climate.indoors else 0.16) * climate.night)
    graded = mix(graded, _rainy(graded), 0.15 * climate.rain)
    graded = mix(graded, _snowy(graded), 0.13 * climate.snow)
    graded = mix(graded, _foggy(graded), 0.13 * climate.fog)
    a, b = climate.tint
    share = 0.02
    return (graded[0], graded[1] + share * (a - graded[1]), graded[2] + share * (b - graded[2]))


@lru_cache(maxsize=4096)
def from_lch(lch: Lch) -> Lab:
    lab = lab_from_lch(lch)
    return (float(lab[0]), float(lab[1]), float(lab[2]))


def mix(a: Lab, b: Lab, share: float) -> Lab:
    """The mixture of a and `share` (0–1) of b in OKLab."""
    return (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2]))


@lru_cache(maxsize=4096)
def argb(lab: Lab, alpha: float = 1.0) -> int:
    """An OKLab colour as 0xAARRGGBB, not premultiplied."""
    red, green, blue = (round(255 * float(v)) for v in srgb_from_lab(lab))
    return round(255 * min(1.0, max(0.0, alpha))) << 24 | red << 16 | green << 8 | blue


@lru_cache(maxsize=4096)
def shade(lab: Lab, amount: float = 1.0) -> Lab:
    """The shade of a colour: darker with the same chroma, warm hues shifted to red and cool ones to blue."""
    lightness, chroma, hue = (float(v) for v in lch_from_lab(lab))
    toward = 25.0 if -30.0 < _hue_difference(70.0, hue) < 80.0 else 270.0
    turned = hue + float(np.clip(_hue_difference(hue, toward), -13.0, 13.0)) * amount
    factor = 0.76 + 0.30 * max(0.0, lightness - 0.7)
    if lightness > 0.9 and chroma < 0.03:
        return mix(lab, from_lch((0.80, 0.045, 285.0)), 0.75 * amount)
    return from_lch((lightness * (1.0 - (1.0 - factor) * amount), chroma * (1.0 + 0.08 * amount), turned))


def lighter(lab: Lab, amount: float = 1.0) -> Lab:
    """The lit version of a colour: a tenth lighter with the same chroma."""
    return (min(0.98, lab[0] + 0.075 * amount), lab[1] * (1 - 0.08 * amount), lab[2] * (1 + 0.05 * amount))


def _hue_difference(start: float, end: float) -> float:
    """The signed shortest angle from one hue to another, in degrees."""
    return (end - start + 180.0) % 360.0 - 180.0


def _scaled(lab: Lab, lightness: float, chroma: float) -> Lab:
    return (lab[0] * lightness, lab[1] * chroma, lab[2] * chroma)


def _dusk(lab: Lab) -> Lab:
    lightness, chroma, hue = (float(v) for v in lch_from_lab(lab))
    hue += float(np.clip(_hue_difference(hue, 48.0), -34.0, 34.0)) * min(1.0, chroma / 0.02)
    turned = from_lch((lightness * 0.90, chroma, hue))
    share = float(np.clip((turned[0] - 0.38) / 0.32, 0.0, 1.0))
    warm = mix(from_lch((0.36, 0.085, 335.0)), from_lch((0.80, 0.115, 52.0)), share)
    return mix(turned, (0.35 * warm[0] + 0.65 * turned[0], warm[1], warm[2]), 0.30)


def _night(lab: Lab) -> Lab:
    lightness, chroma, hue = (float(v) for v in lch_from_lab(lab))
    sandy = float(np.clip(1.0 - abs(_hue_difference(hue, 78.0)) / 48.0, 0.0, 1.0)) * min(1.0, chroma / 0.04)
    pale = float(np.clip((lightness - 0.7) / 0.2, 0.0, 1.0)) * float(np.clip(1.0 - chroma / 0.06, 0.0, 1.0))
    dark = 0.11 + 0.44 * lightness
    own = from_lch((dark, chroma * 0.85, hue))
    return mix(own, from_lch((dark, 0.078, 273.0)), 0.56 + 0.26 * max(sandy, pale))


def _lamplit(lab: Lab) -> Lab:
    lightness, chroma, hue = (float(v) for v in lch_from_lab(lab))
    dark = 0.10 + 0.60 * lightness
    return mix(from_lch((dark, chroma * 1.02, hue)), from_lch((dark, 0.075, 55.0)), 0.25)


def _rainy(lab: Lab) -> Lab:
    lightness, chroma, hue = (float(v) for v in lch_from_lab(lab))
    grey = from_lch((lightness * 0.95, chroma * 0.72, hue))
    return mix(grey, from_lch((lightness * 0.83, 0.048, 212.0)), 0.48)


def _snowy(lab: Lab) -> Lab:
    lightness, chroma, hue = (float(v) for v in lch_from_lab(lab))
    return from_lch((lightness + 0.06 * (1.0 - lightness), chroma * 0.80, hue))


def _foggy(lab: Lab) -> Lab:
    lightness, chroma, hue = (float(v) for v in lch_from_lab(lab))
    return from_lch((lightness + 0.16 * (0.82 - lightness), chroma * 0.72, hue))
