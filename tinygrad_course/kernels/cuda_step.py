"""One pass over flat arrays on a GPU: optimisers' steps, and random bits. A thread for each number.

An optimiser's formula in CuPy's words is ten launches and thirty trips through memory; here it is
one launch that reads and writes every number once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np

from .cuda_arrays import gpu_of, put_beside, ready
from .cuda_jit import LINEAR, SLOTS, Kernel, blocks, numba_cuda
from .philox import MULTIPLIERS, ROUNDS, STEPS

# mypy: disable-error-code="no-untyped-def"

cuda = numba_cuda()


# --- optimisers: the formulas of `update`; a memory that the options do not need is None ----------


@cache
def _adam(dtype: Any, capped: bool) -> Kernel:
    """p ← shrink · p − size · m / (√v + eps); capped: with the largest v so far for v."""

    def kernel(p, g, m, v, top, sign, decay, keep1, take1, keep2, take2, eps, size, shrink):
        i = cuda.blockIdx.x * LINEAR + cuda.threadIdx.x
        if i < p.shape[0]:
            gi = sign * g[i] + decay * p[i]
            mi = keep1 * m[i] + take1 * gi
            vi = keep2 * v[i] + take2 * gi * gi
            m[i] = mi
            v[i] = vi
            if capped:
                vi = top[i] if top[i] >= vi else vi
                top[i] = vi
            p[i] = shrink * p[i] - size * mi / (math.sqrt(vi) + eps)

    return Kernel(kernel, "x x x x x" + " r" * 9, dtype)


@cache
def _sgd(dtype: Any, heavy: bool) -> Kernel:
    """p ← p − of_b · b − of_g · gᵢ; heavy: with a momentum, b ← keep · b + take · gᵢ."""

    def kernel(p, g, b, sign, decay, keep, take, of_b, of_g):
        i = cuda.blockIdx.x * LINEAR + cuda.threadIdx.x
        if i < p.shape[0]:
            gi = sign * g[i] + decay * p[i]
            if heavy:
                bi = keep * b[i] + take * gi
                b[i] = bi
                p[i] -= of_b * bi + of_g * gi
            else:
                p[i] -= of_g * gi

    return Kernel(kernel, "x x x" + " r" * 6, dtype)


@cache
def _scaled(dtype: Any, centred: bool, heavy: bool) -> Kernel:
    """p ← p − size · gᵢ / (√v + eps); centred: √(v − m²); heavy: b adds steps up."""

    def kernel(p, g, v, m, b, sign, decay, keep, take, eps, size, momentum):
        i = cuda.blockIdx.x * LINEAR + cuda.threadIdx.x
        if i < p.shape[0]:
            gi = sign * g[i] + decay * p[i]
            vi = keep * v[i] + take * gi * gi
            v[i] = vi
            if centred:
                mi = keep * m[i] + take * gi
                m[i] = mi
                vi -= mi * mi
                vi = eps - eps if vi < 0 else vi  # NaN stays
            step = gi / (math.sqrt(vi) + eps)
            if heavy:
                step += momentum * b[i]
                b[i] = step
            p[i] -= size * step

    return Kernel(kernel, "x x x x x" + " r" * 7, dtype)


@cache
def _adadelta(dtype: Any) -> Kernel:
    """p ← p − size · d with d = gᵢ √(w + eps) / √(v + eps), v and w means of gᵢ² and d²."""

    def kernel(p, g, v, w, sign, decay, keep, take, eps, size):
        i = cuda.blockIdx.x * LINEAR + cuda.threadIdx.x
        if i < p.shape[0]:
            gi = sign * g[i] + decay * p[i]
            vi = keep * v[i] + take * gi * gi
            d = gi * math.sqrt((w[i] + eps) / (vi + eps))
            v[i] = vi
            w[i] = keep * w[i] + take * d * d
            p[i] -= size * d

    return Kernel(kernel, "x x x x" + " r" * 6, dtype)


@cache
def _gather(dtype: Any) -> Kernel:
    """Up to 16 arrays, each to its place in a flat one: a thread for each number.

    `plan` holds how many numbers there are up to the end of each array, from 0 on, and then where
    in `flat` each begins. Neighbours are almost always of one array, so that they seldom part.
    """

    def kernel(flat, plan, parts):
        i = cuda.blockIdx.x * LINEAR + cuda.threadIdx.x
        if i < plan[SLOTS]:
            k = 0
            while i >= plan[k + 1]:
                k += 1
            j = i - plan[k]
            flat[plan[SLOTS + 1 + k] + j] = parts[k][j]

    return Kernel(kernel, "x l t", dtype)


def gather(flat: Any, starts: Sequence[int], parts: Sequence[Any]) -> None:
    """Write each of the arrays into the flat one, from its start on: a launch for each 16."""
    for at in range(0, len(parts), SLOTS):
        some = [ready(a.astype(flat.dtype, copy=False)) for a in parts[at : at + SLOTS]]
        sizes = tuple([a.size for a in some])
        plan = _places(tuple(starts[at : at + SLOTS]), sizes, gpu_of(flat))
        some += some[:1] * (SLOTS - len(some))
        _gather(flat.dtype).each(sum(sizes), flat, plan, tuple(some))


@lru_cache(maxsize=256)
def _places(starts: tuple[int, ...], sizes: tuple[int, ...], gpu: int) -> Any:
    spare = (0,) * (SLOTS - len(sizes))
    return put_beside(np.array([0, *np.cumsum(sizes + spare), *starts, *spare], np.int64), gpu)


def adam(p: Any, g: Any, m: Any, v: Any, top: Any, coefficients: tuple[float, ...]) -> None:
    """Adam's step: `update.adam`."""
    _step(_adam(p.dtype, top is not None), (p, g, m, v, top), coefficients)


def sgd(p: Any, g: Any, b: Any, coefficients: tuple[float, ...]) -> None:
    """SGD's step: `update.sgd`."""
    _step(_sgd(p.dtype, b is not None), (p, g, b), coefficients)


def scaled(p: Any, g: Any, v: Any, m: Any, b: Any, coefficients: tuple[float, ...]) -> None:
    """AdaGrad's and RMSprop's step: `update.scaled`."""
    _step(_scaled(p.dtype, m is not None, b is not None), (p, g, v, m, b), coefficients)


def adadelta(p: Any, g: Any, v: Any, w: Any, coefficients: tuple[float, ...]) -> None:
    """Adadelta's step: `update.adadelta`."""
    _step(_adadelta(p.dtype), (p, g, v, w), coefficients)


def _step(kernel: Kernel, arrays: tuple[Any, ...], coefficients: tuple[float, ...]) -> None:
    p = arrays[0]
    given = [arrays[1] if a is None else a for a in arrays]  # in place of what is not looked at
    kernel.each(p.size, *given, *map(p.dtype.type, coefficients))


# --- random numbers -------------------------------------------------------------------------------


@cache
def _philox() -> Kernel:
    """Random bits: `philox.philox`, a thread for each block of four words.

    Its state is what it is called with, so threads share nothing, and the numbers do not depend on
    how many run at once.
    """
    mask, (mul0, mul1), (step0, step1), rounds = 0xFFFFFFFF, MULTIPLIERS, STEPS, ROUNDS

    def kernel(out, seed0, seed1, draw0, draw1):
        block = cuda.blockIdx.x * LINEAR + cuda.threadIdx.x
        if 4 * block >= out.shape[0]:
            return
        x0, x1, x2, x3 = block & mask, block >> 32, draw0, draw1
        key0, key1 = seed0, seed1
        for _ in range(rounds):
            # the product of two words of 32 bits, in halves that no sign gets in the way of
            low0, high0 = (x0 & 0xFFFF) * mul0, (x0 >> 16) * mul0
            low1, high1 = (x2 & 0xFFFF) * mul1, (x2 >> 16) * mul1
            top0, p0 = (high0 + (low0 >> 16)) >> 16, (low0 + (high0 << 16)) & mask
            top1, p1 = (high1 + (low1 >> 16)) >> 16, (low1 + (high1 << 16)) & mask
            x0, x1, x2, x3 = top1 ^ x1 ^ key0, p1, top0 ^ x3 ^ key1, p0
            key0, key1 = (key0 + step0) & mask, (key1 + step1) & mask
        first = 4 * block
        out[first] = x0
        if first + 1 < out.shape[0]:
            out[first + 1] = x1
        if first + 2 < out.shape[0]:
            out[first + 2] = x2
        if first + 3 < out.shape[0]:
            out[first + 3] = x3

    return Kernel(kernel, "u n n n n", np.dtype(np.uint32))


def philox(out: Any, seed: int, draw: int) -> None:
    """Fill a row of uint32 with the bits of draw number `draw`: `philox.philox`."""
    words = [v >> shift & 0xFFFFFFFF for v in (seed, draw) for shift in (0, 32)]
    _philox().each(blocks(out.size, 4), out, *words)
