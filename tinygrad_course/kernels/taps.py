"""Sampling along one axis: every output number is a weighted sum of a few input numbers.

That is a product with a sparse matrix, kept as `Taps`: for each output number the places that it
reads and their weights. Resizing, adaptive averages and mirrored borders are all of this kind, one
axis after the other; and the gradient of one is the product with the transposed matrix.

The places are listed tap by tap, not row by row: a product is a few `take`s of whole arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

Array = Any


@dataclass(frozen=True, eq=False)
class Taps:
    """A sparse matrix, `len(places[0])` by `size`.

    Args:
        size: how many numbers are read from.
        places: (taps, outputs), where each output reads; `size` itself stands for a zero.
        weights: (taps, outputs), or None for ones.
    """

    size: int
    places: Array
    weights: Array | None = None

    def __repr__(self) -> str:
        taps, outputs = self.places.shape
        return f"<{self.size} to {outputs}, {taps} taps>"

    @cached_property
    def has_gaps(self) -> bool:
        """Whether some place stands for a zero."""
        return bool((self.places == self.size).any())

    def beside(self, x: Array) -> tuple[Array, Array | None]:
        """Places and weights on the device of an array; they are copied there once."""
        if isinstance(x, np.ndarray):
            return self.places, self.weights
        if x.device.id not in self._copies:
            weights = None if self.weights is None else np.asarray(self.weights, like=x)
            self._copies[x.device.id] = np.asarray(self.places, like=x), weights
        return self._copies[x.device.id]

    @cached_property
    def _copies(self) -> dict[int, tuple[Array, Array | None]]:
        return {}

    @cached_property
    def back(self) -> Taps:
        """The transposed matrix."""
        outputs, flat = self.places.shape[1], self.places.ravel()
        order = np.argsort(flat, kind="stable")
        order = order[flat[order] < self.size]  # (entries): by the place that they read
        counts = np.bincount(flat[order], minlength=self.size)
        starts = np.cumsum(counts) - counts
        level = np.arange(order.size) - np.repeat(starts, counts)  # an entry's tap in the transpose
        shape = (max(int(counts.max(initial=0)), 1), self.size)
        places = np.full(shape, outputs)
        places[level, flat[order]] = order % max(outputs, 1)
        if self.weights is None:
            return Taps(outputs, places)
        weights = np.zeros(shape)
        weights[level, flat[order]] = self.weights.ravel()[order]
        return Taps(outputs, places, weights)


def sample(x: Array, *, dim: int, taps: Taps) -> Array:
    """`out[i] = Σ_t weights[t, i] · x[places[t, i]]` along one axis; half precision in single."""
    wide = x.astype(np.float32) if x.dtype == np.float16 else x
    if taps.has_gaps:
        wide = np.concatenate([wide, np.zeros_like(wide, shape=_with(wide.shape, dim, 1))], dim)
    out: Array = None
    every, weights = taps.beside(x)
    for t, places in enumerate(every):
        part = np.take(wide, places, axis=dim)
        if weights is not None:
            part *= np.reshape(weights[t].astype(wide.dtype), (-1, *(1,) * (x.ndim - dim - 1)))
        out = part if out is None else np.add(out, part, out=out)
    return out.astype(x.dtype, copy=False)


def _with(shape: tuple[int, ...], dim: int, size: int) -> tuple[int, ...]:
    return (*shape[:dim], size, *shape[dim + 1 :])


# --- the matrices ---------------------------------------------------------------------------------
# Few are kept: those of a long signal are long too.


@lru_cache(maxsize=32)
def border(mode: str, size: int, before: int, after: int) -> Taps:
    """A border: "reflect", "replicate" or "circular"; negative widths cut off."""
    places = np.arange(-before, size + after)
    if mode == "replicate":
        places = places.clip(0, size - 1)
    elif mode == "circular":
        places %= size
    else:
        places = np.abs(places)
        places = np.where(places >= size, 2 * (size - 1) - places, places)
    return Taps(size, places[None])


def bins(size: int, out: int) -> tuple[Array, Array]:
    """The adaptive windows: output i sees the input from ⌊i·size/out⌋ up to ⌈(i+1)·size/out⌉."""
    i = np.arange(out)
    return i * size // max(out, 1), -(-(i + 1) * size // max(out, 1))


@lru_cache(maxsize=32)
def means(size: int, out: int) -> Taps:
    """The mean of each adaptive window."""
    start, stop = bins(size, out)
    steps = np.arange(max((stop - start).max(initial=0), 1))[:, None]
    places = np.where(start + steps < stop, start + steps, size)
    return Taps(size, places, np.broadcast_to(1 / np.maximum(stop - start, 1), places.shape))


@lru_cache(maxsize=32)
def nearest(size: int, out: int, scale: float | None, exact: bool, dtype: Any) -> Taps:
    """The input at ⌊i / scale⌋; exact: at ⌊(i + 1/2) / scale⌋.

    Args:
        scale: how much larger the output is meant to be; out / size unless given.
        dtype: rounding decides what is just below a whole number, so it is done in this dtype.
    """
    step = dtype.type(1 / scale if scale else size / dtype.type(out))
    places = (np.arange(out).astype(dtype) + dtype.type(0.5 if exact else 0)) * step
    places = np.floor(places.astype(np.float32)).astype(np.int64)
    return Taps(size, np.minimum(places, size - 1)[None])


def _coordinates(size: int, out: int, align: bool, scale: float | None) -> Array:
    """Where the outputs' centres lie among the inputs."""
    if align:
        return np.arange(out) * ((size - 1) / (out - 1) if out > 1 else 0.0)
    return (np.arange(out) + 0.5) * (1 / scale if scale else size / out) - 0.5


@lru_cache(maxsize=32)
def linear(size: int, out: int, align: bool, scale: float | None) -> Taps:
    """A straight line between the two nearest inputs.

    Args:
        align: the first and last outputs lie on the first and last inputs; otherwise the outer
            edges of inputs and outputs meet.
        scale: how much larger the output is meant to be; out / size unless given.
    """
    at = np.maximum(_coordinates(size, out, align, scale), 0)
    low = np.minimum(at.astype(np.int64), size - 1)
    part = np.clip(at - low, 0, 1)
    return Taps(size, np.stack([low, np.minimum(low + 1, size - 1)]), np.stack([1 - part, part]))


@lru_cache(maxsize=32)
def cubic(size: int, out: int, align: bool, scale: float | None) -> Taps:
    """Keys's cubic through the four nearest inputs, with a = −3/4; arguments as `linear`."""
    at, a = _coordinates(size, out, align, scale), -0.75
    low = np.floor(at).astype(np.int64)
    steps = np.arange(-1, 3)[:, None]
    d = np.abs(at - low - steps)  # distances (4, out), at most 2
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((d - 5) * d + 8) * d * a - 4 * a
    return Taps(size, np.clip(low + steps, 0, size - 1), np.where(d <= 1, near, far))
