"""Sparse matrices along an axis: against the dense ones, and against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_course.kernels import plain, taps
from tinygrad_course.kernels.taps import Taps

some = settings(deadline=None, max_examples=40)
sizes = st.integers(1, 9)


def dense(matrix: Taps) -> Any:
    """The matrix itself, (outputs, size)."""
    count, outputs = matrix.places.shape
    weights = np.ones((count, outputs)) if matrix.weights is None else matrix.weights
    out = np.zeros((outputs, matrix.size + 1))  # one more column, for the zero
    for t in range(count):
        np.add.at(out, (np.arange(outputs), matrix.places[t]), weights[t])
    return out[:, :-1]


@st.composite
def matrices(draw: Any) -> Taps:
    size, out = draw(sizes), draw(sizes)
    scale = draw(st.none() | st.sampled_from((0.7, 2.0)))
    return draw(
        st.sampled_from((
            taps.means(size, out),
            taps.nearest(size, out, scale, False, np.dtype("float64")),
            taps.linear(size, out, False, scale),
            taps.linear(size, out, True, None),
            taps.cubic(size, out, False, scale),
            taps.border("replicate", size, out, -1),
            taps.border("circular", size, size, 0),
            taps.border("reflect", size, size - 1, size - 1),
        ))
    )  # fmt: skip


@some
@given(matrices(), st.integers(0, 2), st.integers(0, 2**32 - 1))
def test_sampling_is_a_product_along_an_axis(matrix: Taps, dim: int, seed: int) -> None:
    shape = [2, 3, 4]
    shape[dim] = matrix.size
    x = np.random.default_rng(seed).normal(size=shape)
    want = np.moveaxis(np.tensordot(dense(matrix), x, (1, dim)), 0, dim)
    got = taps.sample(x, dim=dim, taps=matrix)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(taps.sample(x.astype("float32"), dim=dim, taps=matrix).dtype,
                                  np.dtype("float32"))  # fmt: skip


@some
@given(matrices())
def test_back_is_the_transposed_matrix(matrix: Taps) -> None:
    np.testing.assert_allclose(dense(matrix.back), dense(matrix).T, rtol=1e-15)
    np.testing.assert_allclose(dense(matrix.back.back), dense(matrix), rtol=1e-15)


@some
@given(sizes, sizes)
def test_means_add_up_to_one(size: int, out: int) -> None:
    matrix = dense(taps.means(size, out))
    np.testing.assert_allclose(matrix.sum(1), 1)
    for row, start, stop in zip(matrix, *taps.bins(size, out), strict=True):
        assert (row[start:stop] > 0).all()
        assert row.sum() == pytest.approx(row[start:stop].sum())


def test_what_nobody_reads_is_zero_whatever_stands_elsewhere() -> None:
    back = taps.nearest(4, 2, None, False, np.dtype("float64")).back
    got = taps.sample(np.array([np.inf, np.nan]), dim=0, taps=back)
    np.testing.assert_array_equal(got, [np.inf, 0, np.nan, 0])


@pytest.mark.parametrize("dtype", ["float16", "int64"])
def test_a_border_keeps_the_dtype(dtype: str) -> None:
    x = np.arange(3).astype(dtype)
    got = taps.sample(x, dim=0, taps=taps.border("reflect", 3, 1, 1))
    assert got.dtype == x.dtype
    assert got.tolist() == [1, 0, 1, 2, 1]


@some
@given(st.tuples(sizes, sizes), st.tuples(sizes, sizes), st.integers(0, 2**32 - 1))
def test_adaptive_maxima_are_pytorchs(image: Any, size: Any, seed: int) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, (2, 2, *image)).astype("float64")  # many ties
    x[rng.random(x.shape) < 0.1] = np.nan
    x[rng.random(x.shape) < 0.2] = -np.inf
    _, want = torch.nn.functional.adaptive_max_pool2d(torch.tensor(x), size, return_indices=True)
    np.testing.assert_array_equal(plain.adaptive_max_pool2d_indices(x, size=size), want)
