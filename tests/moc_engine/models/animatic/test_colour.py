import numpy as np

from moc_engine.models.animatic.colour import (
    lab_from_lch,
    lab_from_linear,
    lch_from_lab,
    linear_from_lab,
    linear_from_srgb,
    srgb_from_lab,
    srgb_from_linear,
)


def test_primaries_match_the_published_values() -> None:
    # L, C, h of sRGB's corners as CSS Color 4 lists them
    expected = {
        (1, 1, 1): (1.0, 0.0, None),
        (1, 0, 0): (0.628, 0.2577, 29.23),
        (0, 0, 1): (0.452, 0.3132, 264.05),
    }
    for rgb, (lightness, chroma, hue) in expected.items():
        lch = lch_from_lab(lab_from_linear(rgb))
        assert np.allclose(lch[:2], (lightness, chroma), atol=1e-3)
        assert hue is None or abs(lch[2] - hue) < 0.1


def test_round_trips() -> None:
    rgb = np.random.default_rng(0).uniform(0.02, 0.98, (50, 3))
    assert np.allclose(linear_from_lab(lab_from_linear(rgb)), rgb, atol=1e-6)
    lab = lab_from_linear(rgb)
    assert np.allclose(lab_from_lch(lch_from_lab(lab)), lab, atol=1e-12)


def test_colours_out_of_gamut_are_clipped() -> None:
    assert np.all(srgb_from_lab((0.7, 0.5, 0.5)) <= 1.0)
    assert np.all(srgb_from_lab((0.1, -0.5, 0.5)) >= 0.0)


def test_transfer_function_at_its_knee_and_ends() -> None:
    assert np.allclose(srgb_from_linear([0.0, 0.0031308, 1.0]), [0.0, 0.04045, 1.0], atol=1e-4)
    linear = np.linspace(0.0, 1.0, 33)
    assert np.allclose(linear_from_srgb(srgb_from_linear(linear)), linear, atol=1e-6)
