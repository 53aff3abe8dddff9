from __future__ import annotations

from fractions import Fraction

import pytest

from moc_engine.frame_rate import BROADCAST, exact_rate
from studio.domain.frame_rate import typed_rate


@pytest.mark.parametrize(
    ("fps", "exact"),
    [
        (24.0, Fraction(24)),
        (12, Fraction(12)),
        (12.5, Fraction(25, 2)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (47.95, Fraction(48000, 1001)),
        (23.97, Fraction(2397, 100)),
        (29.97, Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (24000 / 1001, Fraction(24000, 1001)),
        (Fraction(2997, 125), Fraction(2997, 125)),
    ],
)
def test_numbers_mean_the_rates_of_broadcasting_and_fractions_themselves(
    fps: Fraction | float, exact: Fraction
) -> None:
    assert exact_rate(fps) == exact


def test_the_studio_reads_numbers_the_same_way() -> None:
    numbers = [n / 1000 for n in range(1000, 121_000, 7)] + [
        float(f"{float(rate):.3f}") for rate in BROADCAST
    ]
    assert [exact_rate(number) for number in numbers] == [typed_rate(number) for number in numbers]


@pytest.mark.parametrize("fps", [0.0, -1.0, 241.0, float("nan"), float("inf"), 1e-9])
def test_rates_without_sense_are_refused(fps: float) -> None:
    with pytest.raises(ValueError, match=r"^fps: "):
        exact_rate(fps)


def test_equal_numbers_of_another_type_are_told_apart() -> None:
    assert exact_rate(23.978) == Fraction(24000, 1001)
    assert exact_rate(Fraction(23.978)) == Fraction(23.978).limit_denominator(1001)
    assert exact_rate(23.978) == Fraction(24000, 1001)
