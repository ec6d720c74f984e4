"""Large products in parts are the products."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_course.kernels import products, threads

from .test_cpu_jit import check


@pytest.fixture(scope="module", autouse=True)
def _in_parts():
    """Every product counts as large, and there are three threads to share it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_LEAST", 0)
        patch.setattr(threads, "share_products", lambda: True)
        patch.setattr(threads, "get_num_threads", lambda: 3)
        yield


@st.composite
def operands(draw):
    m, k, n = (draw(st.integers(0, 70 if i == 0 else 9)) for i in range(3))
    batch = draw(st.sampled_from([(), (1,), (2,), (5,), (4, 3)]))
    lead = [batch if draw(st.booleans()) else draw(st.sampled_from([(), batch[1:]]))]
    lead.insert(draw(st.integers(0, 1)), batch)
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    a, b = (
        rng.integers(-4, 5, (*some, *shape)).astype(dtype)
        for some, shape in zip(lead, ((m, k), (k, n)), strict=True)
    )
    a, b = (
        np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2) if draw(st.booleans()) else x
        for x in (a, b)
    )
    return a, b


@settings(deadline=None)
@given(pair=operands())
def test_in_parts_as_in_one(pair):
    out, expected = products.matmul(*pair), np.matmul(*pair)
    assert (out.shape, out.dtype) == (expected.shape, expected.dtype)
    assert out.flags.c_contiguous
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("dtype", ["int64", "float16", "object", "bool"])
def test_other_dtypes_are_numpys(dtype):
    a = np.ones((40, 40), dtype)
    out = products.matmul(a, a)
    assert out.dtype == np.matmul(a, a).dtype
    assert (out == np.matmul(a, a)).all()


def test_bad_shapes_raise_as_numpys():
    with pytest.raises(ValueError, match="matmul"):
        products.matmul(np.ones((40, 3)), np.ones((4, 40)))


def test_products_are_shared_only_where_numpy_is_held_to_one_thread():
    code = """
import numpy as np, tinygrad_course as tc
from threadpoolctl import threadpool_info
from tinygrad_course.kernels import products, threads
rng = np.random.default_rng(0)
a = rng.integers(-4, 5, (330, 330)).astype("f4")
assert a.size * 330 >= products._LEAST
used = []
real = threads.side_by_side
def counted(function, parts):
    used.append(len(parts))
    real(function, parts)
threads.side_by_side = counted
def product():
    used.clear()
    assert (products.matmul(a, a) == a.astype("f8") @ a).all()
    return used
assert product() == []  # nothing was spread over threads yet
assert threads.threads_for(1 << 60, 1) == 2
assert [d["num_threads"] for d in threadpool_info() if d["user_api"] == "blas"] == [1]
assert product() == [2]
tc.set_num_threads(1)
assert product() == []
tc.set_num_threads(2)
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
child = os.fork()
if child == 0:
    os._exit(0 if product() == [] else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert product() == [2]
"""
    check(code, NUMBA_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2")


def test_an_error_in_another_thread_is_raised_here():
    def fail(number):
        if number == 2:
            raise ArithmeticError("two")

    with pytest.raises(ArithmeticError, match="two"):
        threads.side_by_side(fail, [(1,), (2,), (3,)])


@pytest.mark.parametrize("rows", [1, 2, 33, 48, 49])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_a_few_rows_by_a_turned_matrix(rows, dtype):
    rng = np.random.default_rng(rows)
    x, w = (rng.integers(-9, 9, size).astype(dtype) for size in ((rows, 800), (700, 800)))
    out = products.matmul(x, w.T)
    assert out.flags.c_contiguous
    assert out.dtype == dtype
    np.testing.assert_array_equal(out, x @ w.T)  # whole numbers: exact in any order


def test_a_column_times_a_row():
    x, y = np.arange(3.0)[:, None], np.arange(4.0)[None]
    np.testing.assert_array_equal(products.matmul(x, y), x @ y)
