"""Blocks of explicit vectors, as this machine has them and as others do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygrad_course.kernels import cpu_vector
from tinygrad_course.kernels.cpu_jit import entry

ROOT = Path(__file__).parents[2]
WIDTHS = {
    64: "+avx512f,+avx512vl,+avx512dq,+avx512bw,+avx2,+avx,+fma",
    32: "+avx2,+avx,+fma",
    16: "+sse2",
}

block = cpu_vector.products(cpu_vector.ROWS, cpu_vector.VECTORS)
small = cpu_vector.products(1, 1)
dots = cpu_vector.dots(cpu_vector.ROWS, cpu_vector.VECTORS)


@entry
def _blocks(c, m, a, across, along, b, places, lo, hi):
    block(c, m, a, across, along, b, places, lo, hi)


@entry
def _small(c, m, a, across, along, b, places, lo, hi):
    small(c, m, a, across, along, b, places, lo, hi)


@entry
def _dots(c, m, t, a, across, along, b, places, steps, lo, hi):
    dots(c, m, t, a, across, along, b, places, steps, lo, hi)


@entry
def _turn(dst, src):
    cpu_vector.turn_square(dst, src)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("run", "shape"), [(_blocks, None), (_small, (1, 1))])
def test_sums_of_products(run, shape, dtype) -> None:
    rows, vectors = shape or (cpu_vector.ROWS, cpu_vector.VECTORS)
    width, rng = vectors * cpu_vector.lanes(dtype), np.random.default_rng(0)
    a, b = (rng.integers(-4, 5, 1000).astype(dtype) for _ in range(2))
    across, along, places = (rng.integers(0, 500, n) for n in (rows + 2, 9, 9))
    c = rng.integers(-4, 5, (rows + 4, width + 3)).astype(dtype)
    expected = c.copy()
    for k in range(3, 8):
        for i in range(2, rows + 2):
            expected[i, :width] += a[across[i] + along[k]] * b[places[k] :][:width]
    run(c, 2, a, across, along, b, places, 3, 8)
    np.testing.assert_array_equal(c, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_of_products_lane_by_lane(dtype) -> None:
    rows, vectors, lanes = cpu_vector.ROWS, cpu_vector.VECTORS, cpu_vector.lanes(dtype)
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-4, 5, 1100).astype(dtype) for _ in range(2))
    across, along, places, steps = (rng.integers(0, 500, n) for n in (rows + 2, 9, vectors + 1, 9))
    c = rng.integers(-4, 5, (rows + 4, (vectors + 2) * lanes)).astype(dtype)
    expected = c.copy()
    for i in range(2, rows + 2):
        for j in range(1, vectors + 1):
            for k in range(3, 8):
                x, y = a[across[i] + along[k] :], b[places[j] + steps[k] :]
                expected[i, j * lanes : (j + 1) * lanes] += x[:lanes] * y[:lanes]
    _dots(c, 2, 1, a, across, along, b, places, steps, 3, 8)
    np.testing.assert_array_equal(c, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_turning_a_square(dtype) -> None:
    n = cpu_vector.lanes(dtype)
    src, dst = (
        np.arange(n * (n + 3), dtype=dtype).reshape(n, n + 3),
        np.zeros((n + 1, n + 5), dtype),
    )
    _turn(dst, src)
    np.testing.assert_array_equal(dst[:n, :n], src[:, :n].T)
    assert not dst[n:].any()
    assert not dst[:, n:].any()


def test_vectors_have_the_machines_width() -> None:
    assert int(os.environ.get("EXPECTED_BYTES", cpu_vector.BYTES)) == cpu_vector.BYTES
    assert cpu_vector.BYTES in WIDTHS
    assert cpu_vector.lanes("float32") == 2 * cpu_vector.lanes("float64") == cpu_vector.BYTES // 4
    assert cpu_vector.ROWS * cpu_vector.VECTORS in (8, 24)


@pytest.mark.skipif(cpu_vector.BYTES != 64, reason="a machine that has all of the widths")
@pytest.mark.parametrize("width", [32, 16])
def test_other_widths_compute_the_same(width: int) -> None:
    """This file once more, as on a machine without the widest registers."""
    name = {32: "haswell", 16: "x86-64"}[width]
    machine = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": WIDTHS[width]}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", __file__, "-k", "not other_widths"],
        env={**os.environ, **machine, "EXPECTED_BYTES": str(width)},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
