"""The CPU kernels: equal to the NumPy forwards, on one thread and on many, whatever they are given.

Inputs are small integers, so results must be equal to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.reference import Case, avg_pools, convolutions, max_pools
from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.kernels import cpu, cpu_channels_plan, cpu_many, geometry, plain
from tinygrad_course.kernels.threads import threads_for

some = settings(deadline=None, max_examples=40)
threads = st.sampled_from([1, 2])
ways = st.sampled_from(["chosen", "channels"])
dtypes = st.sampled_from(["float32", "float64"])
ONE = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
POOL = {"kernel_size": (2, 2), "stride": (2, 2), "padding": (0, 0), "ceil_mode": False}
AVG = {**POOL, "count_include_pad": True, "divisor_override": None}


@contextmanager
def on(count: int, way: str = "chosen") -> Iterator[None]:
    """Kernels run on one thread, or in parallel if there is more than one, however little to do;
    and convolution is what is chosen, or what is meant for many channels, however few there are."""
    with pytest.MonkeyPatch.context() as patch:
        original = cpu.threads_for
        patch.setattr(cpu, "threads_for", lambda work, least: min(count, original(1 << 60, 1)))
        if way == "channels":
            patch.setattr(cpu_channels_plan, "pays", lambda *_: True)
            cpu._plan.cache_clear()
        yield
    if way == "channels":
        cpu._plan.cache_clear()


def same(name: str, *arrays: Any, **options: Any) -> Any:
    """The kernel's result, which must be the NumPy forward's, and leave the arguments alone."""
    before = [a.copy() for a in arrays]
    with np.errstate(invalid="ignore", over="ignore"):
        expected = getattr(plain, name)(*arrays, **options)
        got = getattr(cpu, name)(*arrays, **options)
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == expected.dtype
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    return got


def all_three(x: Any, w: Any, g: Any, options: Any) -> None:
    same("conv2d", x, w, **options)
    same("conv2d", x, w, np.arange(len(w), dtype=w.dtype), **options)
    same("conv2d_input", g, w, size=x.shape[2:], **options)
    same("conv2d_weight", x, g, size=w.shape[2:], **options)


def gradient(case: Case, dtype: str) -> Any:
    out = plain.conv2d(np.zeros(case.x), np.zeros(case.w), **case.options)
    return case._replace(seed=case.seed + 1).arrays(dtype, out.shape)[0]


@some
@given(convolutions(), dtypes, threads, ways)
def test_convolution(case: Case, dtype: str, count: int, way: str) -> None:
    x, w = case.arrays(dtype, case.x, case.w)
    with on(count, way):
        all_three(x, w, gradient(case, dtype), case.options)


# What the drawn shapes are too small for: blocks of rows, images side by side, a share of the
# outputs to each thread, sums of each thread's own; and many channels.
LARGE = {
    "blocks of rows": ((2, 3, 70, 90), (5, 3, 3, 3), {"padding": (1, 1)}),
    "blocks of rows, strides": ((1, 4, 90, 75), (6, 2, 5, 4), {"stride": (2, 3), "groups": 2}),
    "images side by side": ((13, 5, 6, 6), (9, 5, 3, 3), {"padding": (1, 1)}),
    "more threads than images": ((1, 8, 12, 12), (32, 8, 3, 3), {"padding": (1, 1)}),
    "sums of each thread": ((6, 1, 28, 28), (6, 1, 5, 5), {"padding": (2, 2)}),
    "every channel by itself": ((3, 12, 20, 20), (12, 1, 3, 3), {"groups": 12}),
    "one dimension": ((2, 3, 1, 3000), (4, 3, 1, 7), {"padding": (0, 3), "stride": (1, 2)}),
    "one pixel": ((4, 7, 9, 9), (10, 7, 1, 1), {"stride": (2, 2)}),
    "far apart": ((2, 2, 30, 31), (3, 2, 3, 3), {"dilation": (6, 7), "stride": (2, 3)}),
    "many channels": ((3, 34, 13, 14), (130, 34, 3, 3), {"padding": (1, 1)}),
    "many channels, blocks of rows": ((1, 33, 70, 40), (64, 33, 5, 3), {"stride": (2, 1)}),
    "many channels, far apart": ((2, 40, 17, 18), (80, 40, 3, 2), {"dilation": (2, 5)}),
    "many channels, phases without taps": ((3, 36, 9, 11), (40, 36, 1, 2), {"stride": (2, 3)}),
    "many channels, groups": ((2, 66, 12, 12), (96, 33, 3, 3), {"groups": 2, "stride": (2, 2)}),
    "many channels, one image": ((1, 128, 9, 9), (192, 128, 3, 3), {"padding": (2, 2)}),
}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", LARGE)
def test_convolution_of_larger_images(name: str, count: int) -> None:
    x_shape, w_shape, options = LARGE[name]
    case = Case(x_shape, w_shape, {**ONE, **options}, 0)
    x, w = case.arrays("float32", x_shape, w_shape)
    with on(count):
        all_three(x, w, gradient(case, "float32"), case.options)


MANY = {
    "whole blocks": ((32, 6, 14, 14), (16, 6, 5, 5), {}),
    "a last block that is not full": ((67, 6, 9, 11), (12, 6, 3, 2), {"padding": (1, 1)}),
    "rows and columns far apart": ((64, 9, 8, 30), (8, 9, 2, 3), {"dilation": (3, 2)}),
    "unlike paddings": ((64, 8, 6, 5), (11, 8, 3, 5), {"padding": (0, 4)}),
}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MANY)
def test_convolution_of_many_small_images(name: str, dtype: str, count: int) -> None:
    x_shape, w_shape, options = MANY[name]
    case = Case(x_shape, w_shape, {**ONE, **options}, 0)
    x, w = case.arrays(dtype, x_shape, w_shape)
    g = gradient(case, dtype)
    how = case.options.values()
    assert cpu_many.pays(x.shape, w.shape, g.shape, *how, count, np.dtype(dtype))
    with on(count):
        all_three(x, w, g, case.options)
        for odd in (np.nan, np.inf):
            for array in (x, w, g):
                array[1, 2, 1, 1] = odd
                all_three(x, w, g, case.options)
                array[1, 2, 1, 1] = 1


@pytest.mark.parametrize("shape", [(7, 5, 11, 13), (1, 3, 2, 1), (64, 6, 20, 20), (1, 9, 80, 80)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_of_the_bias_is_a_sum(dtype: str, shape: Any) -> None:
    g = np.random.default_rng(0).integers(-9, 10, shape).astype(dtype)
    for array in (g, np.asfortranarray(g)):
        got = cpu.conv2d_bias(array, None, None, None, None, stride=(1, 1))
        np.testing.assert_array_equal(got, g.sum((0, 2, 3)))
        assert got.dtype == dtype


def test_many_small_images_are_not_few_or_large_ones() -> None:
    def pays(x: Any, w: Any, stride: int = 1, padding: int = 0, threads: int = 2) -> bool:
        how = {**ONE, "stride": (stride,) * 2, "padding": (padding,) * 2}
        shape = geometry.conv_shape(x, w, *how.values())
        return cpu_many.pays(x, w, shape, *how.values(), threads, np.dtype("float32"))

    assert pays((128, 6, 14, 14), (16, 6, 5, 5))
    assert not pays((1, 6, 14, 14), (16, 6, 5, 5))
    assert not pays((128, 6, 14, 14), (16, 6, 5, 5), threads=64)  # some would have nothing to do
    assert not pays((128, 6, 14, 14), (16, 6, 5, 5), stride=2)
    assert not pays((128, 6, 14, 14), (16, 6, 5, 5), padding=5)  # more than a window reaches over
    assert not pays((128, 1, 28, 28), (6, 1, 5, 5), padding=2)
    assert not pays((128, 6, 140, 140), (16, 6, 5, 5))
    assert not pays((128, 64, 14, 14), (64, 64, 3, 3))


@some
@given(convolutions(), threads, ways)
def test_single_precision_is_close_to_double(case: Case, count: int, way: str) -> None:
    rng = np.random.default_rng(case.seed)
    x, w = rng.standard_normal(case.x), rng.standard_normal(case.w)
    out = plain.conv2d(x, w, **case.options)
    with on(count, way):
        got = cpu.conv2d(x.astype("f4"), w.astype("f4"), **case.options)
    size = plain.conv2d(np.abs(x), np.abs(w), **case.options)  # what rounding errors scale with
    assert (np.abs(got - out) <= 1e-6 * size + 1e-30).all()


@some
@given(convolutions(), threads, ways)
def test_the_three_kernels_are_each_others_transposes(case: Case, count: int, way: str) -> None:
    rng = np.random.default_rng(case.seed)
    x, w = rng.standard_normal(case.x), rng.standard_normal(case.w)
    with on(count, way):
        out = cpu.conv2d(x, w, **case.options)
        g = rng.standard_normal(out.shape)
        dx = cpu.conv2d_input(g, w, size=x.shape[2:], **case.options)
        dw = cpu.conv2d_weight(x, g, size=w.shape[2:], **case.options)
    scale = 1e-10 * np.abs(out * g).sum()
    assert abs((out * g).sum() - (x * dx).sum()) <= scale
    assert abs((out * g).sum() - (w * dw).sum()) <= scale


@some
@given(convolutions(), st.sampled_from([np.nan, np.inf, -np.inf]), threads, ways, st.data())
def test_what_is_not_finite_stays_where_it_belongs(
    case: Case, odd: float, count: int, way: str, data: Any
) -> None:
    arrays = [*case.arrays("float32", case.x, case.w), gradient(case, "float32")]
    hit = data.draw(st.sampled_from(arrays))
    hit.flat[data.draw(st.integers(0, hit.size - 1))] = odd
    with on(count, way):
        all_three(*arrays, case.options)


@some
@given(max_pools(), dtypes, threads)
def test_max_pooling(case: Case, dtype: str, count: int) -> None:
    (x,) = case.arrays(dtype, case.x)
    rng = np.random.default_rng(case.seed)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[rng.random(x.shape) < 0.3] = -np.inf
    with on(count):
        same("max_pool2d", x, **case.options)
        indices = same("max_pool2d_indices", x, **case.options)
        same("pool_take", x, indices)
        (g,) = case.arrays(dtype, indices.shape)
        same("pool_put", g, indices, size=x.shape[2:])


@some
@given(avg_pools(), dtypes, threads)
def test_average_pooling(case: Case, dtype: str, count: int) -> None:
    (x,) = case.arrays(dtype, case.x)
    close: Callable[..., None] = np.testing.assert_allclose
    with on(count):
        out = cpu.avg_pool2d(x, **case.options)
        close(out, plain.avg_pool2d(x, **case.options), rtol=1e-6, atol=1e-6)
        (g,) = case.arrays(dtype, out.shape)
        dx = cpu.avg_pool2d_input(g, size=x.shape[2:], **case.options)
        expected = plain.avg_pool2d_input(g, size=x.shape[2:], **case.options)
        close(dx, expected, rtol=1e-6, atol=1e-6)
    assert out.dtype == dx.dtype == dtype
    np.testing.assert_array_equal(g, case.arrays(dtype, out.shape)[0])


WINDOWS = {  # kernel size, stride, padding, image
    "four": (2, 2, 0, (30, 34)),
    "four, odd sizes": (2, 2, 0, (31, 37)),
    "four, one row": (2, 2, 0, (1, 9)),
    "four, padding": (2, 2, 1, (31, 36)),
    "overlapping": (3, 2, 0, (55, 55)),
    "overlapping, padding": (3, 2, 1, (56, 57)),
    "blocks of rows": (3, 1, 1, (150, 200)),
    "blocks of one row": (5, 3, 2, (40, 9001)),
    "the whole image": (20, 1, 0, (20, 20)),
}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("name", WINDOWS)
def test_pooling_larger_images(name: str, ceil_mode: bool, count: int) -> None:
    kernel, stride, padding, image = WINDOWS[name]
    if image[0] < kernel and not ceil_mode:
        return
    pool = {"kernel_size": (kernel,) * 2, "stride": (stride,) * 2, "padding": (padding,) * 2}
    pool["ceil_mode"] = ceil_mode
    average = {**pool, "count_include_pad": False, "divisor_override": None}
    rng = np.random.default_rng(0)
    whole = rng.integers(-4, 5, (2, 3, *image)).astype("float32") * np.float32(kernel * kernel)
    x = whole.copy()
    x[rng.random(x.shape) < 0.02] = np.nan
    with on(count):
        same("max_pool2d", x, **pool, dilation=(1, 1))
        indices = same("max_pool2d_indices", x, **pool, dilation=(1, 1))
        g = rng.integers(-4, 5, indices.shape).astype("float32")
        same("pool_put", g, indices, size=image)
        got = cpu.avg_pool2d(whole, **average)
        np.testing.assert_allclose(got, plain.avg_pool2d(whole, **average), rtol=1e-6)
        got = cpu.avg_pool2d_input(g, size=image, **average)
        expected = plain.avg_pool2d_input(g, size=image, **average)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def _layouts(a: Any) -> dict[str, Any]:
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    frozen = a.copy()
    frozen.flags.writeable = False
    raw = np.zeros(a.nbytes + 1, np.uint8)
    crooked = raw[1:].view(a.dtype).reshape(a.shape)
    crooked[...] = a
    return {
        "Fortran": np.asfortranarray(a),
        "transposed": np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        "strided": wide[..., ::2],
        "backwards": np.ascontiguousarray(a[:, ::-1])[:, ::-1],
        "broadcast": np.broadcast_to(a[:1], a.shape),
        "read-only": frozen,
        "unaligned": crooked,
        "big-endian": a.astype(">f4"),
        "subclass": a.view(np.matrix if a.ndim == 2 else np.memmap),
    }


@pytest.mark.parametrize("layout", _layouts(np.zeros((1, 1, 1, 1), "f4")))
def test_any_layout(layout: str) -> None:
    rng = np.random.default_rng(0)
    shapes = (3, 2, 6, 6), (4, 2, 3, 3), (3, 4, 4, 4), (3, 2, 3, 3)
    arrays = [_layouts(rng.integers(-4, 5, s).astype("f4"))[layout] for s in shapes]
    x, w, g, pooled = arrays
    all_three(x, w, g, ONE)
    same("max_pool2d", x, **POOL, dilation=(1, 1))
    indices = same("max_pool2d_indices", x, **POOL, dilation=(1, 1))
    same("pool_take", x, np.asfortranarray(indices))
    same("pool_put", pooled, np.broadcast_to(indices[:1], indices.shape), size=(6, 6))
    same("avg_pool2d", x, **AVG)
    same("avg_pool2d_input", pooled, size=(6, 6), **AVG)


@pytest.mark.parametrize("dtype", ["float16", "int64", "int32"])
def test_other_dtypes_are_left_to_numpy(dtype: str) -> None:
    rng = np.random.default_rng(0)
    shapes = (3, 2, 6, 6), (4, 2, 3, 3), (3, 4, 4, 4), (3, 2, 3, 3)
    x, w, g, pooled = (rng.integers(-4, 5, s).astype(dtype) for s in shapes)
    all_three(x, w, g, ONE)
    same("max_pool2d", x, **POOL, dilation=(1, 1))
    indices = same("max_pool2d_indices", x, **POOL, dilation=(1, 1))
    same("pool_take", x, indices)
    same("pool_put", pooled, indices, size=(6, 6))
    same("avg_pool2d", x, **AVG)
    same("avg_pool2d_input", pooled, size=(6, 6), **AVG)


@pytest.mark.parametrize(("images", "channels"), [(0, 2), (2, 0), (0, 0)])
def test_nothing_to_do(images: int, channels: int) -> None:
    x, w = np.ones((images, channels, 6, 6), "f4"), np.ones((4, channels, 3, 3), "f4")
    all_three(x, w, np.ones((images, 4, 4, 4), "f4"), ONE)
    same("max_pool2d", x, **POOL, dilation=(1, 1))
    indices = same("max_pool2d_indices", x, **POOL, dilation=(1, 1))
    same("pool_take", x, indices)
    same("pool_put", np.ones(indices.shape, "f4"), indices, size=(6, 6))
    same("avg_pool2d", x, **AVG)
    same("avg_pool2d_input", np.ones(indices.shape, "f4"), size=(6, 6), **AVG)


@pytest.mark.parametrize("place", [-1, 36])
def test_indices_outside_of_the_image_are_refused(place: int) -> None:
    x, indices = np.ones((1, 1, 6, 6), "f4"), np.full((1, 1, 3, 3), place)
    with pytest.raises(IndexError, match="9 of the indices point outside of images of 6 by 6"):
        cpu.pool_take(x, indices)
    with pytest.raises(IndexError, match="9 of the indices point outside"):
        cpu.pool_put(np.ones((1, 1, 3, 3), "f4"), indices, size=(6, 6))


def test_errors_are_those_of_the_numpy_forwards() -> None:
    x, w, g = np.ones((1, 2, 5, 5), "f4"), np.ones((1, 1, 3, 3), "f4"), np.ones((1, 1, 4, 4), "f4")
    with pytest.raises(ShapeError, match="the input has 2 channels"):
        cpu.conv2d(x, w, **ONE)
    with pytest.raises(ShapeError, match="the gradient has shape"):
        cpu.conv2d_input(g, w, size=(5, 5), **ONE)
    with pytest.raises(ShapeError, match="the gradient has shape"):
        cpu.conv2d_weight(x, g, size=(3, 3), **ONE)
    with pytest.raises(ShapeError, match="the gradient has shape"):
        cpu.avg_pool2d_input(x, size=(6, 6), **AVG)
    with pytest.raises(OptionError, match="divisor_override is 0"):
        cpu.avg_pool2d(x, **{**AVG, "divisor_override": 0})
    with pytest.raises(ShapeError, match="the array of indices"):
        cpu.pool_put(g, np.zeros((1, 1, 2, 2), int), size=(5, 5))
    with pytest.raises(ShapeError, match="the array of indices"):
        cpu.pool_take(x, np.zeros((1, 1, 2, 2), int))


def test_threads_are_for_work_that_pays() -> None:
    assert threads_for(10, 100) == 1


def test_what_an_earlier_call_left_behind_is_not_seen():
    rng = np.random.default_rng(0)
    x, w, g = (
        rng.integers(-4, 5, s).astype(float) for s in ((5, 2, 6, 7), (3, 2, 3, 3), (5, 3, 4, 5))
    )
    image, grads = np.full_like(x, np.inf), np.full_like(g, np.nan)
    with on(1):
        for _ in range(2):
            for a, b in ((image, grads), (x, g), (x[:3], g[:3])):
                same("conv2d", a, w, **ONE)
                same("conv2d_input", b, w, size=(6, 7), **ONE)
                same("conv2d_weight", a, b, size=(3, 3), **ONE)


def test_each_thread_has_room_of_its_own():
    rng = np.random.default_rng(0)
    images, w = rng.standard_normal((8, 1, 3, 20, 20)), rng.standard_normal((4, 3, 3, 3))
    expected = [plain.conv2d(x, w, **ONE) for x in images]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(20):
            found = list(threads.map(lambda x: cpu.conv2d(x, w, **ONE), images))
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
