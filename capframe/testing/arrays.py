"""How far apart two arrays are."""

from __future__ import annotations

from typing import Any

import numpy as np

TOLERANCE = 1e-4
"""Numbers that are this close count as the same."""


def absolute_difference(one: Any, other: Any) -> float:
    """Return the largest distance of two numbers at the same place.

    It is infinite where the shapes differ or one of two numbers is NaN.
    """
    first, second = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if first.shape != second.shape:
        return float("inf")
    with np.errstate(invalid="ignore"):  # two infinities of the same sign
        distances = np.where(first == second, 0, np.abs(first - second))
    return float(np.where(np.isnan(distances), np.inf, distances).max(initial=0))


def relative_difference(one: Any, other: Any) -> float:
    """Return the largest distance, as a share of the largest number of ``one``."""
    difference = absolute_difference(one, other)
    largest = float(np.abs(np.asarray(one, np.float64)).max(initial=0))
    return difference / largest if largest > 0 else difference
