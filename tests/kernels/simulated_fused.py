"""Fused kernels of the device "cuda" in Numba's CUDA simulator, against the table's NumPy words.

As `simulated.py`, which says what this shows and what it does not. Shapes, layouts of threads and
numbers are drawn; blocks are small, for each thread of the GPU is one of Python's here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numba").config.reload_config()
if not __import__("numba").config.ENABLE_CUDASIM:
    pytest.skip("needs NUMBA_ENABLE_CUDASIM=1", allow_module_level=True)

from tests.kernels import blocks  # noqa: E402
from tests.kernels.test_cpu_norm import KINDS, problems  # noqa: E402
from tests.kernels.test_cpu_norm import close as alike  # noqa: E402
from tinygrad_course.kernels import (  # noqa: E402
    cost,
    cuda_elementwise,
    cuda_jit,
    cuda_norm,
    cuda_softmax,
    moments,
)
from tinygrad_course.ops import elementwise, reduce  # noqa: E402
from tinygrad_course.testing import strategies as ts  # noqa: E402

Array = Any
RTOL = {4: 2e-5, 8: 1e-12}

some = ts.profile(4)
dtypes = st.sampled_from(["float32", "float32", "float64"])
sizes = st.integers(1, 5)
grids = st.sampled_from([(2, 1), (2, 4), (4, 2), (8, 1)])  # lanes along a row, rows in a block
seeds = st.integers(0, 2**32 - 1)
odd = st.sampled_from([[], [], [math.nan], [math.inf], [-math.inf], [math.inf, -math.inf]])


@st.composite
def pairs(draw: Any, longest: int = 20) -> tuple[Array, Array]:
    """Two arrays of rows, some not contiguous, the second with NaN and infinity in it."""
    shape, dtype = (draw(sizes), draw(st.integers(1, longest))), draw(dtypes)
    rng = np.random.default_rng(draw(seeds))
    g, x = (3 * rng.standard_normal(shape).astype(dtype) for _ in "gx")
    for value in draw(odd):
        x[tuple(rng.integers(0, shape))] = value
    turned = draw(st.booleans())
    return (np.asfortranarray(g), x[:, ::-1]) if turned else (g, x)


def close(got: Array, want: Array) -> None:
    want = np.asarray(want)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    rtol = RTOL[want.dtype.itemsize]
    np.testing.assert_allclose(got, want, rtol=rtol, atol=8 * rtol)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks.linear(monkeypatch, 16)


# --- elementwise ----------------------------------------------------------------------------------

erfc = np.vectorize(math.erfc, otypes=[np.float64])


def gelu(x: Array) -> Array:
    return (x * erfc(-x.astype(np.float64) * math.sqrt(0.5)) / 2).astype(x.dtype)


def gelu_back(g: Array, out: Array, x: Array) -> Array:
    wide = x.astype(np.float64)
    density = np.exp(-wide * wide / 2) / math.sqrt(2 * math.pi)
    return (g * (erfc(-wide * math.sqrt(0.5)) / 2 + wide * density)).astype(x.dtype)


FORWARD = {"relu": elementwise.relu.forward, "sigmoid": elementwise.sigmoid.forward, "gelu": gelu}
BACK = {
    "tanh_back": elementwise.tanh.rules[0], "relu_back": elementwise.relu.rules[0],
    "sigmoid_back": elementwise.sigmoid.rules[0], "gelu_back": gelu_back,
}  # fmt: skip


@pytest.mark.parametrize("name", FORWARD)
@some
@given(pair=pairs())
def test_activations(name: str, pair: tuple[Array, Array]) -> None:
    with np.errstate(all="ignore"):
        close(getattr(cuda_elementwise, name)(pair[1]), FORWARD[name](pair[1]))


@pytest.mark.parametrize("name", BACK)
@some
@given(pair=pairs())
def test_gradients_of_activations(name: str, pair: tuple[Array, Array]) -> None:
    g, x = pair
    with np.errstate(all="ignore"):
        out = FORWARD.get(name.removesuffix("_back"), np.tanh)(x)
        close(getattr(cuda_elementwise, name)(g, out, x), BACK[name](g, out, x))


def test_what_does_not_fit_is_left_to_the_array_module() -> None:
    x, column = np.ones((2, 3), np.float32), np.ones((2, 1), np.float32)
    assert cuda_elementwise.relu_back(column, x, x) is NotImplemented
    assert cuda_elementwise.tanh_back(x, x.astype(np.float64), x) is NotImplemented
    assert cuda_elementwise.gelu(x.astype(np.float16)) is NotImplemented
    assert cuda_softmax.softmax(x, dim=0) is NotImplemented
    assert cuda_softmax.softmax_back(x, x[:1], x, dim=1) is NotImplemented
    assert cuda_softmax.cross_entropy(x, np.zeros(3, np.int64)) is NotImplemented


# --- rows -----------------------------------------------------------------------------------------


BACK_OF = {"softmax": "softmax_back", "log_softmax": "log_softmax_back"}


@pytest.mark.parametrize("name", BACK_OF)
@some
@given(pair=pairs(), grid=grids)
def test_softmax(name: str, pair: tuple[Array, Array], grid: Any) -> None:
    (g, x), row = pair, getattr(reduce, f"{name}_at")
    with np.errstate(all="ignore"), blocks.rows(*grid):
        out = row.forward(x, dim=1)
        close(getattr(cuda_softmax, name)(x, dim=1), out)
        got = getattr(cuda_softmax, BACK_OF[name])(g, out, x, dim=1)
        close(got, row.rules[0](g, out, x, dim=1))


@some
@given(pair=pairs(), grid=grids, seed=seeds)
def test_cross_entropy(pair: tuple[Array, Array], grid: Any, seed: int) -> None:
    """Its value and its gradient, cross_entropy_back."""
    x = pair[1]
    labels = np.random.default_rng(seed).integers(0, x.shape[1], len(x))
    g = np.full((), 2, x.dtype)
    with np.errstate(all="ignore"), blocks.rows(*grid):
        got = cuda_softmax.cross_entropy(x, labels)
        close(got, cost.cross_entropy(x, labels))
        dx = cuda_softmax.cross_entropy_back(g, got, x, labels)
        close(dx, cost.cross_entropy_back(g, got, x, labels))


def test_ignored_labels_do_not_count() -> None:
    """More rows than a block has threads; NumPy's form knows ignored labels, too."""
    rng = np.random.default_rng(0)
    x, labels, g = (
        rng.standard_normal((9, 5)),
        np.array([0, 4, -7, 1, -7, 2, 2, -7, 3]),
        np.ones(()),
    )
    with blocks.rows(2, 2):
        got = cuda_softmax.cross_entropy(x, labels, ignore=-7)
        close(got, cost.cross_entropy(x, labels, ignore=-7))
        dx = cuda_softmax.cross_entropy_back(g, got, x, labels, ignore=-7)
        close(dx, cost.cross_entropy_back(g, got, x, labels, ignore=-7))
    assert not dx[labels == -7].any()


@pytest.mark.parametrize("bad", [-1, 3, -100, 2**40])
def test_a_label_that_is_no_class_shows(bad: int) -> None:
    """The loss is NaN, and the gradient of that row; the other rows have theirs."""
    x, labels = np.zeros((3, 3), np.float32), np.array([0, bad, 2])
    with blocks.rows(2, 2):
        assert np.isnan(cuda_softmax.cross_entropy(x, labels))
        dx = cuda_softmax.cross_entropy_back(np.ones((), np.float32), None, x, labels)
    assert np.isnan(dx).all(1).tolist() == [False, True, False]


@pytest.mark.parametrize(("length", "lanes"), [(1, 32), (1024, 32), (1025, 256), (50_000, 256)])
def test_blocks_have_256_threads(length: int, lanes: int) -> None:
    assert cuda_jit.layout(length) == (lanes, 256 // lanes)


# --- normalisation --------------------------------------------------------------------------------


def normalised(arrays: Any, by: dict[str, Any], form: Any) -> None:
    """What normalise and normalise_back find, beside NumPy's."""
    x, w, b, g = arrays
    found = []
    for room in (cuda_norm, moments):
        stats = moments.Moments(**by)
        out = room.normalise(x, w, b, form=form, by=stats)
        back = room.normalise_back(g, None, x, w, b, form=form, by=stats)
        found.append((out, stats.mean, stats.var, stats.rstd, *back))
    alike(*found, 3e-4 if x.dtype == "float32" else 1e-9)


@some
@given(problem=problems("float32") | problems("float64"), grid=grids)
def test_normalisation(problem: Any, grid: Any) -> None:
    with blocks.rows(*grid):
        normalised(*problem)


@pytest.mark.parametrize("places", [4, 5, 8, 11])
def test_runs_shorter_than_the_lanes_and_longer(places: int) -> None:
    """Threads go on into the next run, one or several further, wherever a run ends."""
    shape, form = (5, 2, places, 1), (1, 2, 1, 1)
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in (shape, form, form, shape)]
    with blocks.rows(8, 1):
        normalised(arrays, {"dims": (0, 2, 3), "eps": 1e-5}, form)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("place", "odd"), [(0, np.nan), (3, np.inf)])
def test_what_is_not_finite_stays_where_it_belongs(kind: str, place: int, odd: float) -> None:
    shape, dims, form = KINDS[kind](2, 2, 2, 2, 2)
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s).astype("f4") for s in (shape, form, form, shape)]
    arrays[place].flat[3] = odd
    arrays[0] = np.asfortranarray(arrays[0])
    with np.errstate(invalid="ignore"), blocks.rows(4, 2):
        normalised(arrays, {"dims": dims, "eps": 1e-5}, form)


@some
@given(pair=pairs(), momentum=st.floats(0, 1), scale=st.sampled_from([1.0, 1.5]))
def test_running_averages_follow(pair: tuple[Array, Array], momentum: float, scale: float) -> None:
    want = moments.follow(*pair, momentum=momentum, scale=scale)
    close(cuda_norm.follow(*pair, momentum=momentum, scale=scale), want)


def test_a_norm_over_scattered_values_is_left_to_the_array_module() -> None:
    x, by = np.ones((3, 4, 5), "f4"), moments.Moments((1,), 1e-5)
    assert cuda_norm.normalise(x, None, None, form=(1, 4, 1), by=by) is NotImplemented
    back = cuda_norm.normalise_back(x, x, x, None, None, form=(1, 4, 1), by=by)
    assert back is NotImplemented
