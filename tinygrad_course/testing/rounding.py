"""How much does rounding add to a gradient? As much as it jumps about between points close by.

A rule may take a small difference of large numbers: that of softmax has 1 − p in it, which float32
knows to 6e-8, however small it is. Nothing outside of the rule tells how large such numbers are.
But a gradient changes smoothly from point to point, and what rounding adds does not: fourth
differences along a line of very close points leave rounding alone.

The source: J. Moré, S. Wild, Estimating computational noise, SIAM J. Sci. Comput. 33 (2011).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .problem import Array

POINTS = 9
MANY = 128  # an error of so many times the noise is no longer rounding
BITS = 16  # and rounding that costs so many bits is a fault in itself


def noise(along: Callable[[float], Array], eps: float) -> Array:
    """The standard deviation of what rounding adds, in units of eps.

    Args:
        along: the values at a distance along a line, for numbers of size 1.
        eps: the rounding error of a number of size 1.
    """
    looks = np.stack([along(k * np.sqrt(eps)) for k in range(1, POINTS + 1)])
    fourth = np.diff(np.where(np.isfinite(looks), looks, 0.0), 4, axis=0)
    variance: Array = np.square(fourth).mean(0) / 70  # Σ binomial(4, k)² = 70
    return np.sqrt(variance) / eps


def apart(a: Array, b: Array) -> Array:
    """a − b, nan where both are infinite."""
    with np.errstate(invalid="ignore"):
        return np.asarray(a - b)


def excused(error: Array, noise: Array, size: Array | float, eps: float) -> Array:
    """Which errors are no more than rounding explains, for numbers of a size."""
    return np.asarray(np.abs(error) <= eps * np.minimum(MANY * noise, 2.0**BITS * size))
