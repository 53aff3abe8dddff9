"""The colours of a character's parts, derived from its body and accent colours.

Shades are not mixed with black: they keep their chroma and shift their hue toward red (warm
colours) or blue (cool ones); near-white colours shade to lilac.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import atan2, degrees, hypot

import numpy as np

from moc_engine.models.animatic.colour import srgb_from_lab
from moc_engine.models.animatic.rasterizer.palette import Climate, Lab, from_lch, grade_character, mix

_STEPS = 400.0
_LILAC_HUE = 292.0


@dataclass(frozen=True, kw_only=True)
class Ink:
    """The colours of all parts of a character, as 0xFFRRGGBB."""

    light: int  # the body's gradient, from the lit side
    body: int
    low: int
    grain: int
    contour: int
    rim: int  # the contour on the lit side
    near: int  # limbs
    far: int
    near_hand: int
    far_hand: int
    line: int  # brows, pupils, closed eyes
    lid: int
    cheek: int
    accent: int
    accent_light: int
    accent_grain: int
    accent_deep: int
    accent_shade: int
    accent_pale: int
    stripe: int
    shoe: int
    sole: int
    white: int
    shine: int
    mouth: int
    tongue: int
    tear: int
    hat: int
    hat_shade: int
    hat_line: int
    hat_brim: int
    gold: int
    gold_shade: int
    gold_line: int
    doze: int


def ink_for(body: Lab, accent: Lab, climate: Climate) -> Ink:
    """The inks for OKLab body and accent colours, cached."""
    return _ink(_rounded(body), _rounded(accent), climate)


def rgb_of(labs: dict[str, Lab]) -> dict[str, int]:
    """Several OKLab colours as 0xFFRRGGBB, by name."""
    red, green, blue = np.rint(255 * srgb_from_lab(np.array(list(labs.values())))).astype(int).T
    packed = 0xFF000000 | red << 16 | green << 8 | blue
    return dict(zip(labs, packed.tolist(), strict=True))


def deeper(lab: Lab, factor: float) -> Lab:
    """The shade of a colour: lightness times `factor`, slightly more for light colours."""
    lightness, chroma, hue = lch(lab)
    depth = (1.0 - factor) / 0.3
    warm = min(1.0, max(0.0, (100.0 - abs(_hue_difference(35.0, hue))) / 30.0))
    turn = warm * _limited(0.6 * _hue_difference(hue, 25.0)) + (1.0 - warm) * _limited(
        0.6 * _hue_difference(hue, 270.0)
    )
    factor += 0.3 * (1.0 - factor) * max(0.0, lightness - 0.7) / 0.3
    shaded = from_lch((lightness * factor, chroma, hue + turn * depth))
    pale = min(1.0, max(0.0, (0.05 - chroma) / 0.03)) * min(1.0, max(0.0, (lightness - 0.6) / 0.2))
    return mix(shaded, from_lch((lightness * factor, 0.055 * min(1.0, depth), _LILAC_HUE)), pale)


def lch(lab: Lab) -> tuple[float, float, float]:
    return lab[0], hypot(lab[1], lab[2]), degrees(atan2(lab[2], lab[1])) % 360.0


def _rounded(lab: Lab) -> Lab:
    return (round(lab[0] * _STEPS) / _STEPS, round(lab[1] * _STEPS) / _STEPS, round(lab[2] * _STEPS) / _STEPS)


@lru_cache(maxsize=512)
def _ink(body: Lab, accent: Lab, climate: Climate) -> Ink:
    body, accent = grade_character(body, climate), grade_character(accent, climate)
    # pale bodies need a darker outline to contrast with pale sets
    contour = deeper(body, 0.735 - 0.9 * max(0.0, min(0.12, body[0] - 0.80)))
    return Ink(
        **rgb_of(
            {
                "light": _lit(body),
                "body": body,
                "low": deeper(body, 0.95),
                "grain": deeper(body, 0.875),
                "contour": contour,
                "rim": mix(contour, (0.80, -0.02, -0.06), 0.8 * climate.night),
                "near": deeper(body, 0.845),
                "far": deeper(body, 0.705),
                "near_hand": deeper(body, 0.925),
                "far_hand": deeper(body, 0.735),
                "line": _toned(deeper(body, 0.7), lightness=0.215, chroma=0.42, most=0.08),
                "lid": deeper(body, 0.90),
                "cheek": _cheek(body, climate),
                "accent": accent,
                "accent_light": mix(_lit(accent), accent, 0.6),
                "accent_grain": deeper(accent, 0.86),
                "accent_deep": deeper(accent, 0.885),
                "accent_shade": deeper(accent, 0.80),
                "accent_pale": _toned(accent, lightness=0.90, chroma=0.55, most=0.08),
                "stripe": _toned(accent, lightness=0.925, chroma=0.36, most=0.06),
                "shoe": _shoe(accent),
                "sole": _toned(accent, lightness=0.93, chroma=0.36, most=0.055),
            }
        ),
        **_common(climate),
    )


@lru_cache(maxsize=512)
def _common(climate: Climate) -> dict[str, int]:
    """The colours that all characters share."""
    plain = {
        "white": (0.985, 0.009, 93.0),
        "shine": (1.0, 0.0, 0.0),
        "mouth": (0.275, 0.082, 10.0),
        "tongue": (0.69, 0.152, 20.0),
        "tear": (0.84, 0.075, 232.0),
        "hat": (0.27, 0.046, 284.7),
        "hat_shade": (0.232, 0.046, 285.0),
        "hat_brim": (0.315, 0.045, 285.3),
        "gold": (0.845, 0.155, 86.0),
        "gold_shade": (0.755, 0.145, 84.0),
        "gold_line": (0.535, 0.108, 80.0),
    }
    graded = {name: grade_character(from_lch(colour), climate) for name, colour in plain.items()}
    graded["doze"] = mix(from_lch((0.46, 0.075, 225.0)), from_lch((0.93, 0.02, 90.0)), climate.night)
    graded["hat_line"] = mix(graded["hat"], (0.66, -0.01, -0.05), 0.8 * climate.night)
    return rgb_of(graded)


def _lit(lab: Lab) -> Lab:
    lightness, chroma, hue = lch(lab)
    gain = 0.085 + 0.05 * max(0.0, lightness - 0.7)
    return from_lch(
        (
            min(0.975, lightness + gain),
            chroma * 0.82,
            hue + max(-3.0, min(3.0, 0.1 * _hue_difference(hue, 80.0))),
        )
    )


def _toned(lab: Lab, *, lightness: float, chroma: float, most: float) -> Lab:
    """A colour of the same hue with another lightness and with scaled chroma of at most `most`."""
    _, own, hue = lch(lab)
    return from_lch((lightness, min(most, chroma * own), hue))


def _cheek(body: Lab, climate: Climate) -> Lab:
    lightness, chroma, hue = lch(body)
    near_coral = max(0.0, 1.0 - abs(_hue_difference(hue, 17.0)) / 40.0) * min(1.0, chroma / 0.08)
    coral = from_lch(
        (min(0.81, max(0.68, lightness + 0.13 + 0.03 * near_coral)), 0.135 - 0.025 * near_coral, 17.0)
    )
    return grade_character(coral, climate)


def _shoe(accent: Lab) -> Lab:
    """The shoe colour: dark, and greyer for lighter accents."""
    _, chroma, hue = lch(deeper(accent, 0.7))
    light = accent[0]
    return from_lch(
        (0.40 + 0.1 * (light - 0.7), min(0.15, chroma * min(0.95, max(0.3, 1.0 - 3.0 * (light - 0.5)))), hue)
    )


def _hue_difference(start: float, end: float) -> float:
    """The signed shortest angle from one hue to another, in degrees."""
    return (end - start + 180.0) % 360.0 - 180.0


def _limited(turn: float) -> float:
    return max(-13.0, min(13.0, turn))
