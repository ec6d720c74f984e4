"""Every kernel of the device "cuda" in Numba's CUDA simulator, against NumPy's plain functions.

    NUMBA_ENABLE_CUDASIM=1 python -m pytest tests/kernels/simulated.py

The simulator runs a Python thread for each thread of the GPU, so shapes are tiny. It shows that the
loops compute the right numbers and that no index leaves its array. It does not show that a kernel
compiles (`test_cuda.py` does), nor that threads wait for each other where they must: it does not
notice a `syncthreads` that only some of them reach.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba").config.reload_config()
if not __import__("numba").config.ENABLE_CUDASIM:
    pytest.skip("needs NUMBA_ENABLE_CUDASIM=1", allow_module_level=True)

from tinygrad_course.kernels import NAMES, cuda, cuda_step, plain, update  # noqa: E402
from tinygrad_course.kernels.geometry import conv_shape  # noqa: E402

RANDOM = np.random.default_rng(0)
RTOL = {4: 2e-5, 8: 1e-12}


def array(*shape: int, dtype="float32"):
    return RANDOM.standard_normal(shape).astype(dtype)


def assert_close(got, want):
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    rtol = RTOL.get(want.dtype.itemsize, 0) if want.dtype.kind == "f" else 0
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * 8)


@pytest.fixture(autouse=True)
def fresh():
    """Jobs are chosen anew in each test."""
    for chosen in (cuda._forward, cuda._backward, cuda._weights):
        chosen.cache_clear()


# x, w, stride, padding, dilation, groups
CONVOLUTIONS = {
    "few channels": ((2, 2, 5, 5), (3, 2, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "steps and gaps": ((1, 2, 6, 7), (3, 2, 3, 2), (2, 3), (1, 0), (1, 2), 1),
    "taps that reach nothing": ((1, 2, 5, 4), (3, 2, 1, 1), (2, 2), (0, 0), (1, 1), 1),
    "groups": ((1, 4, 4, 4), (6, 2, 3, 3), (1, 1), (1, 1), (1, 1), 2),
    "more channels": ((1, 3, 4, 4), (12, 3, 2, 2), (1, 1), (0, 0), (1, 1), 1),
    "a tile": ((1, 3, 5, 5), (20, 3, 3, 3), (2, 2), (1, 1), (1, 1), 1),
    "many pixels": ((3, 1, 8, 8), (2, 1, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "a long window": ((1, 5, 3, 3), (3, 5, 3, 3), (1, 1), (1, 1), (1, 1), 1),
}


def check_convolution(case, dtype):
    x_shape, w_shape, *rest = case
    how = dict(zip(("stride", "padding", "dilation", "groups"), rest, strict=True))
    x, w = array(*x_shape, dtype=dtype), array(*w_shape, dtype=dtype)
    g, b = array(*conv_shape(x_shape, w_shape, *rest), dtype=dtype), array(w_shape[0], dtype=dtype)
    assert_close(cuda.conv2d(x, w, b, **how), plain.conv2d(x, w, b, **how))
    got = cuda.conv2d_input(g, w, size=x_shape[2:], **how)
    assert_close(got, plain.conv2d_input(g, w, size=x_shape[2:], **how))
    got = cuda.conv2d_weight(x, g, size=w_shape[2:], **how)
    assert_close(got, plain.conv2d_weight(x, g, size=w_shape[2:], **how))


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name):
    check_convolution(CONVOLUTIONS[name], "float32")


def test_convolution_in_double():
    check_convolution(((1, 2, 4, 4), (3, 2, 2, 2), (1, 1), (1, 1), (1, 1), 1), "float64")
    check_convolution(((1, 2, 3, 3), (17, 2, 2, 2), (1, 1), (0, 0), (1, 1), 1), "float64")


def test_the_large_tile(monkeypatch):
    monkeypatch.setattr(cuda, "_WAVE", 1)
    case = ((1, 2, 3, 3), (66, 2, 2, 2), (1, 1), (0, 0), (1, 1), 1)
    check_convolution(case, "float32")


def test_layouts():
    """Arrays in another order are copied, and not written to."""
    x, w = array(4, 4, 2, 1).transpose(), array(3, 2, 2, 2)[:, :, ::-1]
    how = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
    assert_close(cuda.conv2d(x, w, **how), plain.conv2d(x, w, **how))


POOLS = {
    "halves": ((2, 2), (2, 2), (0, 0), (1, 1), False),
    "overlapping": ((3, 3), (2, 2), (1, 1), (1, 1), False),
    "beyond the end": ((3, 2), (2, 2), (1, 0), (1, 1), True),
    "gaps": ((2, 2), (1, 1), (0, 1), (2, 1), False),
}


@pytest.mark.parametrize("name", POOLS)
def test_max_pooling(name):
    *window, ceil_mode = POOLS[name]
    names = ("kernel_size", "stride", "padding", "dilation")
    how = dict(zip(names, window, strict=True)) | {"ceil_mode": ceil_mode}
    x = array(2, 2, 6, 5)
    x[0, 0, 1, 1], x[1, 0, 0, 0], x[1, 1] = np.nan, -np.inf, 1.0
    indices = plain.max_pool2d_indices(x, **how)
    np.testing.assert_array_equal(cuda.max_pool2d_indices(x, **how), indices)
    np.testing.assert_array_equal(cuda.max_pool2d(x, **how), plain.max_pool2d(x, **how))
    assert_close(cuda.pool_take(x, indices), plain.pool_take(x, indices))
    g = array(*indices.shape)
    assert_close(cuda.pool_put(g, indices, size=(6, 5)), plain.pool_put(g, indices, size=(6, 5)))


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("name", [n for n in POOLS if n != "gaps"])
def test_average_pooling(name, counted):
    kernel_size, stride, padding, _, ceil_mode = POOLS[name]
    how = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
    how |= {"ceil_mode": ceil_mode, "count_include_pad": counted, "divisor_override": None}
    x = array(1, 2, 6, 5, dtype="float64")
    want = plain.avg_pool2d(x, **how)
    assert_close(cuda.avg_pool2d(x, **how), want)
    g = array(*want.shape, dtype="float64")
    want = plain.avg_pool2d_input(g, size=(6, 5), **how)
    assert_close(cuda.avg_pool2d_input(g, size=(6, 5), **how), want)


# the kernel's name, how many memories it has, how many of them it needs, how many coefficients
STEPS = {"adam": (3, 2, 9), "sgd": (1, 0, 6), "scaled": (3, 1, 7), "adadelta": (2, 2, 6)}


@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize("name", STEPS)
def test_steps(name, every):
    """The CPU's kernels are the oracle: cuda_step.adam, sgd, scaled and adadelta."""
    many, needed, numbers = STEPS[name]
    dtype = "float32" if every else "float64"
    arrays = [abs(array(300, dtype=dtype)) for _ in range(2 + many)]
    arrays = [a if every or i < 2 + needed else None for i, a in enumerate(arrays)]
    twins = [None if a is None else a.copy() for a in arrays]
    c = tuple(np.linspace(0.1, 0.9, numbers))
    getattr(cuda_step, name)(*arrays, c)
    getattr(update, name)(*twins, c)
    for a, b in zip(arrays, twins, strict=True):
        if a is not None:
            assert_close(a, b)


@pytest.mark.parametrize("sizes", [[3], [1, 400, 7], [2] * 19])
def test_gradients_are_gathered(sizes):
    """cuda_step.gather: more arrays than a launch takes, in any layout, each to its place."""
    parts = [array(n, 2).T for n in sizes]
    starts = [1 + 2 * n for n in np.cumsum([0, *sizes[:-1]])]
    flat = np.zeros(2 * sum(sizes) + 2, np.float32)
    cuda_step.gather(flat, starts, parts)
    np.testing.assert_array_equal(flat[1:-1], np.concatenate([p.ravel() for p in parts]))
    assert flat[0] == flat[-1] == 0


@pytest.mark.parametrize("count", [1, 7, 1100])
def test_random_bits(count):
    got, want = np.zeros(count, np.uint32), np.zeros(count, np.uint32)
    cuda_step.philox(got, 0x123456789ABCDEF, 2**33 + 5)
    plain.philox(want, 0x123456789ABCDEF, 2**33 + 5)
    np.testing.assert_array_equal(got, want)


def test_other_dtypes_are_left_to_the_array_module():
    how = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
    x, w = array(1, 1, 3, 3, dtype="float16"), array(1, 1, 2, 2, dtype="float16")
    assert_close(cuda.conv2d(x, w, **how), plain.conv2d(x, w, **how))


def test_every_kernel_is_tested_here():
    files = Path(__file__).parent.glob("simulated*.py")
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    assert all(f"{name}(" in text or f'"{name}"' in text for name in NAMES["cuda"])
