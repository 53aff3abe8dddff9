"""Shares of attention in whole units."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from moc_engine.trace.units import in_units


@given(st.integers(1, 700), st.integers(1, 5), st.integers(0, 999), st.floats(0.01, 10))
def test_rounded_shares_sum_to_one_and_stay_near(width: int, rows: int, seed: int, spread: float) -> None:
    shares = np.random.default_rng(seed).dirichlet(np.full(width, spread), size=rows)
    shares /= shares.sum(axis=-1, keepdims=True)
    units = in_units(shares)
    assert (units.sum(axis=-1, dtype=np.int64) == 65535).all()
    assert np.abs(units / 65535 - shares).max() <= 1.01 / 65535
    assert np.array_equal(in_units(units / 65535), units)
