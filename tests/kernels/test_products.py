"""Large products in parts are the products."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from tinygrad_course.kernels import cpu_linear, cpu_product, products, threads
from tinygrad_course.kernels.cpu_team import Team

from .test_cpu_jit import check


@pytest.fixture(scope="module", autouse=True)
def _in_parts():
    """Every product counts as large, and there are three threads to share it."""
    three = Team(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_LEAST", 1)
        patch.setattr(products, "_LEAST_ASLEEP", 0)
        patch.setattr(products, "_OUTER", 1)
        patch.setattr(threads, "_team", three)
        patch.setattr(threads, "_alone", False)
        patch.setattr(threads, "get_num_threads", lambda: 3)
        yield
    three.end()


@pytest.fixture(params=["by the team", "asleep"])
def _both_ways(request, monkeypatch):
    """NumPy's BLAS called by its address, or, where it is not OpenBLAS, through NumPy."""
    if request.param == "asleep":
        monkeypatch.setattr(cpu_product, "blas", lambda char: 0)


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


@pytest.mark.usefixtures("_both_ways")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pair=operands())
def test_in_parts_as_in_one(pair):
    out, expected = products.matmul(*pair), np.matmul(*pair)
    assert (out.shape, out.dtype) == (expected.shape, expected.dtype)
    assert out.flags.c_contiguous
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_column_and_a_row(dtype):
    odd = np.array([0, 1.5, -2, 1e-40, np.inf, np.nan], dtype)
    column, row = np.repeat(odd, 3)[:, None], np.repeat(odd, 2)[None]
    with np.errstate(invalid="ignore"):
        expected = column * row
        for a in (column, column.repeat(2, 1)[:, 1:], column[::-1][::-1]):
            for b in (row, np.asfortranarray(row), row.repeat(3, 1)[:, ::3]):
                np.testing.assert_array_equal(products.matmul(a, b), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2, 3])
@settings(deadline=None, max_examples=40)
@given(st.integers(1, 220), st.integers(16, 300), st.integers(1, 200), st.integers(0, 9))
def test_rows_with_rows(dtype, threads, rows, inner, columns, seed):
    rng = np.random.default_rng(seed)
    x, w = (rng.integers(-4, 5, (n, inner)).astype(dtype) for n in (rows, columns))
    np.testing.assert_array_equal(cpu_linear.product(x, w, threads), x @ w.T)


@pytest.mark.parametrize(
    "inputs", [np.asarray, np.asfortranarray, lambda x: np.repeat(x, 2, 1)[:, ::2]]
)
def test_a_linear_layer_takes_it(inputs, monkeypatch):
    taken, real = [], cpu_linear.product
    monkeypatch.setattr(cpu_linear, "product", lambda *a: taken.append(a) or real(*a))
    monkeypatch.setattr(products, "_TURNED", 1)
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-4, 5, (n, 40)).astype("float32") for n in (33, 150))
    w.setflags(write=False)
    np.testing.assert_array_equal(products.matmul(inputs(x), w.T), x @ w.T)
    assert len(taken) == 1
    x[3, 5] = np.nan
    bad = np.isnan(products.matmul(inputs(x), w.T))
    assert bad[3].all()
    assert bad.sum() == 150


@pytest.mark.parametrize("dtype", ["int64", "float16", "object", "bool"])
def test_other_dtypes_are_numpys(dtype):
    a = np.ones((40, 40), dtype)
    out = products.matmul(a, a)
    assert out.dtype == np.matmul(a, a).dtype
    assert (out == np.matmul(a, a)).all()


@pytest.mark.usefixtures("_both_ways")
@pytest.mark.parametrize("shapes", [((3, 3), (4, 40)), ((5, 2, 3), (4, 2)), ((2, 3), (2, 4, 2))])
def test_bad_shapes_raise_as_numpys(shapes):
    with pytest.raises(ValueError, match="matmul"):
        products.matmul(*map(np.ones, shapes))


@pytest.mark.parametrize("sizes", [(700, 40, 9), (9, 40, 700), (30, 900, 30), (64, 300, 90)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cuts_of_every_side(sizes, dtype):
    m, k, n = sizes
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-9, 9, size).astype(dtype) for size in ((m, k), (k, n)))
    for x in (a, np.asfortranarray(a), np.repeat(a, 2, 1)[:, ::2]):
        for y in (b, np.asfortranarray(b), np.repeat(b, 2, 0)[::2]):
            np.testing.assert_array_equal(cpu_product.matmul(x, y, 3), a @ b)


@pytest.mark.parametrize(
    "sizes", [(1, 5, 40), (40, 5, 1), (3, 1, 3), (1, 1, 1), (3, 0, 2), (0, 3, 2)]
)
def test_rows_that_stand_nowhere(sizes):
    """One row, as NumPy hands it out, may have any stride."""
    m, k, n = sizes
    a, b = np.broadcast_to(np.arange(k + 0.0), (m, k)), np.broadcast_to(np.float64(3), (k, n))
    one = np.lib.stride_tricks.as_strided(np.arange(k + 0.0), (1, k), (0, 8))
    for x in (a, a.T.copy().T, one):
        for y in (b, b.T, b.copy()):
            if x.shape[1] == y.shape[0]:
                np.testing.assert_array_equal(cpu_product.matmul(x, y, 3), np.matmul(x, y))


def test_this_numpys_blas_is_known():
    """With a wheel's: elsewhere NumPy multiplies, and only large products are shared out."""
    names = [d["filepath"] for d in threadpool_info() if d["internal_api"] == "openblas"]
    assert bool(cpu_product.blas("f")) == any("numpy" in name for name in names)
    assert cpu_product.blas("d") != cpu_product.blas("f") or not names


def test_products_are_shared_only_where_numpy_is_held_to_one_thread():
    code = """
import numpy as np, tinygrad_course as tc
from threadpoolctl import threadpool_info
from tinygrad_course.kernels import cpu_product, products, threads
rng = np.random.default_rng(0)
a = rng.integers(-4, 5, (330, 330)).astype("f4")
used = []
def counted(name, real, parts):
    def count(*args):
        used.append((name, parts(*args)))
        return real(*args)
    return count
threads.side_by_side = counted("asleep", threads.side_by_side, lambda function, parts: len(parts))
cpu_product.matmul = counted("team", cpu_product.matmul, lambda a, b, n: n)
def product(a):
    used.clear()
    assert (products.matmul(a, a) == a.astype("f8") @ a).all()
    return used
def numpys():
    return [d["num_threads"] for d in threadpool_info() if "numpy.libs" in d["filepath"]]
assert product(a[:8, :8]) == []
tc.set_num_threads(1)
assert product(a) == []
assert numpys() == [2]  # nobody needed to be held
tc.set_num_threads(2)
assert product(a) == [("team", 2)]
assert numpys() == [1]
assert product(a[:64, :64]) == []
assert product(a[None]) == [("asleep", 2)]
tc.set_num_threads(1)
assert product(a) == []
tc.set_num_threads(2)
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
child = os.fork()
if child == 0:
    os._exit(0 if product(a) == [] else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert product(a) == [("team", 2)]
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
