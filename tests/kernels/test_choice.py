"""The choice between two arrays against NumPy's, bit for bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_course.kernels import choice
from tinygrad_course.testing import strategies as ts

SHAPES = [(3,), (0, 5), (2000,), (40, 50), (1, 1100)]
ODD = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.5])


def operand(rng, kind, shape, dtype):
    """An array, a transposed or strided one, one that broadcasts, or a number."""
    if kind == "number":
        return float(rng.choice([0.0, -0.0, 2.5]))
    if kind == "zero":
        return np.zeros((), dtype)
    if kind == "row":
        shape = shape[-1:]
    if kind == "strided":
        return rng.choice(ODD, (*shape, 2))[..., 0].astype(dtype)
    if kind == "turned":
        return rng.choice(ODD, shape[::-1]).astype(dtype).T
    return rng.choice(ODD, shape).astype(dtype)


kinds = st.sampled_from(["array", "number", "zero", "row", "strided", "turned"])


@ts.profile(150)
@given(st.sampled_from(SHAPES), kinds, kinds, st.sampled_from("efd"), st.sampled_from("efd"),
       st.integers(0, 99))  # fmt: skip
def test_it_is_numpys(shape, a, b, first, second, seed):
    rng = np.random.default_rng(seed)
    c = rng.random(shape) < 0.5
    x, y = operand(rng, a, shape, first), operand(rng, b, shape, second)
    ours, theirs = choice.where(c, x, y), np.where(c, x, y)
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(np.signbit(ours), np.signbit(theirs))


@pytest.mark.parametrize("dtype", [bool, np.int64, np.uint8])
def test_whole_numbers_too(dtype):
    rng = np.random.default_rng(0)
    c, x, y = (rng.integers(0, 2, 3000).astype(d) for d in (bool, dtype, dtype))
    assert (choice.where(c, x, y) == np.where(c, x, y)).all()
    assert choice.where(c, x, 0).dtype == np.where(c, x, 0).dtype
