"""Shares of attention in units of 1/65535, rounded so that those of a query sum to exactly 1."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Units = NDArray[np.uint16]

ONE: Final = 65535
"""A share of 1."""


def in_units(shares: Floats) -> Units:
    """Shares (..., C) whose rows sum to 1 as units of 1/65535 that sum to exactly 65535.

    Rounds down and gives what is missing to the largest remainders, among equal ones to the first. Rows of
    nothing stay nothing. Only what is not 0 is computed, which is little of a long story's rows.
    """
    cells = np.flatnonzero(shares != 0)
    return _rounded(shares.ravel()[cells], cells, shares.shape)


def sums_in_units(sums: NDArray[np.int64]) -> Units:
    """Sums (..., C) of shares as `in_units`, each row over its total."""
    cells = np.flatnonzero(sums != 0)  # much faster than of the sums themselves
    values = sums.ravel()[cells].astype(np.float64)
    row = cells // sums.shape[-1]
    totals = np.bincount(row, weights=values)
    return _rounded(values / totals[row], cells, sums.shape)


def _rounded(shares: Floats, cells: NDArray[np.int64], shape: tuple[int, ...]) -> Units:
    """Units in an array of `shape`, where its ascending `cells` hold the shares and all others nothing."""
    units = np.zeros(shape, dtype=np.uint16)
    row = cells // shape[-1]
    exact = shares * ONE
    whole = np.floor(exact)
    missing = ONE - np.bincount(row, weights=whole).astype(np.int64)
    by_remainder = np.lexsort((whole - exact, row))  # rows stay in order
    rank = np.empty_like(row)
    rank[by_remainder] = np.arange(len(row)) - np.searchsorted(row, row)
    units.ravel()[cells] = whole + (rank < missing[row])
    return units
