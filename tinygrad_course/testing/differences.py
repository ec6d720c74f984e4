"""Slopes of a function from differences of its values, from the left and from the right.

A central difference says nothing at a kink: for relu at 0 it gives 1/2, which is no derivative
there. So both one-sided slopes are kept. Where a function is smooth they agree up to h · f″; at a
kink they differ however small the step, and any value between them is a fair choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .problem import Array

SMALLEST = 2.0**-4  # steps do not shrink further with the size of a number


@dataclass
class Slopes:
    """One-sided slopes of every result (rows) along some directions (columns).

    `noise` bounds what rounding may have added; `kink` marks the directions along which some
    result has a kink; `lost` those along which a result jumps or is not finite.
    """

    left: Array
    right: Array
    noise: Array
    kink: Array
    lost: Array

    @property
    def middle(self) -> Array:
        """The central differences."""
        return (self.left + self.right) / 2

    def weighted(self, cotangent: Array) -> tuple[Array, Array, Array]:
        """Lower and upper bound and scale of Σ cotangent · slope, for each direction."""
        low, high = cotangent[:, None] * self.left, cotangent[:, None] * self.right
        scale = np.abs(cotangent[:, None] * self.middle).sum(0)
        slack = np.abs(cotangent) @ self.noise
        return np.minimum(low, high).sum(0) - slack, np.maximum(low, high).sum(0) + slack, scale


class Differences:
    """Differences of a function of one flat vector.

    Args:
        values: the function, from a list of arrays to a list of arrays.
        arrays: where.
        dtype: the precision of the function.
        eps: the step for numbers of size 1; the cube root of the rounding error unless given.
    """

    def __init__(
        self,
        values: Callable[[Sequence[Array], Any], list[Array]],
        arrays: Sequence[Array],
        dtype: Any,
        eps: float | None = None,
    ) -> None:
        self._values = values
        self.shapes = [a.shape for a in arrays]
        self.x = flat(arrays)
        self.dtype = np.dtype(dtype)
        self.rounding = float(np.finfo(self.dtype).eps)
        self.eps = eps or self.rounding ** (1 / 3)
        self.inner = 0.0  # the size of numbers inside the function, where its results are smaller
        self.parts = values(self.split(self.x), self.dtype)
        self.at = flat(self.parts)

    def split(self, x: Array) -> list[Array]:
        """The flat vector as arrays of the inputs' shapes."""
        parts, start = [], 0
        for shape in self.shapes:
            size = int(np.prod(shape))
            parts.append(x[start : start + size].reshape(shape))
            start += size
        return parts

    def value(self, x: Array) -> Array:
        """The results at a point as one vector."""
        return flat(self._values(self.split(x), self.dtype))

    def along_axes(self, coordinates: Array, scale: float = 1.0) -> Slopes:
        """Slopes along some coordinates, with steps of `scale` times the usual size."""
        return self._joined([self._one(*self._axis(int(i), scale)) for i in coordinates])

    def along(self, direction: Array) -> Slopes:
        """Slopes along one direction that moves many coordinates."""
        step = self.eps / max(1.0, float(np.sqrt(np.count_nonzero(direction))))
        return self._joined([self._one(direction, power_of_two(step), False)])

    def _axis(self, i: int, scale: float) -> tuple[Array, float, bool]:
        direction = np.zeros_like(self.x)
        direction[i] = 1.0
        step = power_of_two(self.eps * max(abs(float(self.x[i])), SMALLEST))
        return direction, step * scale, True

    def _one(self, direction: Array, step: float, axis: bool) -> tuple[Array, ...]:
        """(left, right, noise, kink, lost) of one direction, with the smaller of two steps."""
        left, right, noise = self._sides(direction, step, axis)
        gap = np.abs(right - left)
        steep = np.maximum(np.abs(left), np.abs(right))
        doubtful = (gap > 1e-3 * steep + noise) | (steep * step > 1e-3)
        kink, jump = False, np.zeros(gap.shape, bool)
        if doubtful.any():  # curvature or a kink? curvature halves with the step
            left, right, noise = self._sides(direction, step / 2, axis)
            kink = bool((np.abs(right - left) > 0.6 * gap + noise)[doubtful].any())
            jump = np.maximum(np.abs(left), np.abs(right)) > 1.5 * steep
        lost = jump & doubtful | ~(np.isfinite(left) & np.isfinite(right))
        left, right = np.where(lost, 0.0, left), np.where(lost, 0.0, right)
        return left, right, noise, np.asarray(kink), np.asarray(bool(lost.any()))

    def _sides(self, direction: Array, step: float, axis: bool) -> tuple[Array, Array, Array]:
        with np.errstate(all="ignore"):
            up, down = (self._moved(direction, h) for h in (step, -step))
            right, left = ((self.value(x) - self.at, x) for x in (up, down))
            h = [np.abs(x - self.x)[direction != 0].max() if axis else step for x in (up, down)]
            same = ~np.isfinite(self.at)
            slopes = [np.where(same & np.isnan(d), 0.0, d) for d, _ in (left, right)]
            size = np.maximum(np.abs(np.where(same, 0.0, self.at)), self.inner) + step
            return -slopes[0] / h[1], slopes[1] / h[0], 32 * self.rounding * size / step

    def _moved(self, direction: Array, h: float) -> Array:
        """The point moved, as the function's precision sees it."""
        return np.asarray((self.x + h * direction).astype(self.dtype), np.float64)

    def _joined(self, columns: list[tuple[Array, ...]]) -> Slopes:
        if not columns:
            empty = np.zeros((self.at.size, 0))
            return Slopes(empty, empty, empty, np.zeros(0, bool), np.zeros(0, bool))
        return Slopes(*(np.stack(c, axis=-1) for c in zip(*columns, strict=True)))


def power_of_two(x: float) -> float:
    """The power of two next to a positive number: a step that adds and subtracts exactly."""
    return float(2.0 ** np.round(np.log2(x)))


def flat(arrays: Sequence[Array]) -> Array:
    """All numbers of some arrays in one float64 vector."""
    return np.concatenate([np.zeros(0), *(np.asarray(a, np.float64).reshape(-1) for a in arrays)])


def spread(rng: np.random.Generator, size: int) -> Array:
    """Random numbers of either sign, of sizes from 1/2 to 3/2 in sixteenths: none nearly 0."""
    sizes: Array = rng.integers(8, 25, size) / 16
    sizes *= rng.choice([-1.0, 1.0], size)
    return sizes
