"""The NumPy forwards: against their definitions, against PyTorch, and against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from tests.kernels import reference
from tests.kernels.reference import Case, avg_pools, convolutions, max_pools
from tinygrad_course.errors import ShapeError
from tinygrad_course.kernels import plain

some = settings(deadline=None, max_examples=40)
ONE = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
POOL = {"kernel_size": (2, 2), "stride": (2, 2), "padding": (0, 0), "ceil_mode": False}


def _agree(x: Any, y: Any, z: Any, scale: float = 1) -> None:
    assert abs(x - y) <= 1e-10 * scale
    assert abs(x - z) <= 1e-10 * scale


@some
@given(convolutions())
def test_conv2d_is_its_definition(case: Case) -> None:
    x, w = case.arrays("float64", case.x, case.w)
    np.testing.assert_array_equal(
        plain.conv2d(x, w, **case.options), reference.conv2d(x, w, **case.options)
    )


@some
@given(convolutions())
def test_the_three_passes_are_each_others_transposes(case: Case) -> None:
    rng = np.random.default_rng(case.seed)
    x, w = rng.standard_normal(case.x), rng.standard_normal(case.w)
    out = plain.conv2d(x, w, **case.options)
    g = rng.standard_normal(out.shape)
    dx = plain.conv2d_input(g, w, size=x.shape[2:], **case.options)
    dw = plain.conv2d_weight(x, g, size=w.shape[2:], **case.options)
    assert dx.shape == x.shape
    assert dw.shape == w.shape
    _agree((out * g).sum(), (x * dx).sum(), (w * dw).sum(), np.abs(out * g).sum())


@some
@given(convolutions())
def test_convolution_is_pytorchs(case: Case) -> None:
    torch = pytest.importorskip("torch")
    x, w = case.arrays("float64", case.x, case.w)
    tx, tw = (torch.from_numpy(a).requires_grad_() for a in (x, w))
    out = torch.conv2d(tx, tw, **case.options)
    (g,) = case.arrays("float64", tuple(out.shape))
    out.backward(torch.from_numpy(g))
    np.testing.assert_array_equal(plain.conv2d(x, w, **case.options), out.detach())
    dx = plain.conv2d_input(g, w, size=x.shape[2:], **case.options)
    np.testing.assert_array_equal(dx, tx.grad)
    dw = plain.conv2d_weight(x, g, size=w.shape[2:], **case.options)
    np.testing.assert_array_equal(dw, tw.grad)


@some
@given(max_pools())
def test_max_pool2d_is_pytorchs(case: Case) -> None:
    torch = pytest.importorskip("torch")
    (x,) = case.arrays("float64", case.x)  # small integers: many ties
    x[np.random.default_rng(case.seed).random(x.shape) < 0.1] = np.nan
    pool = torch.nn.functional.max_pool2d
    out, indices = pool(torch.from_numpy(x), **case.options, return_indices=True)
    got = plain.max_pool2d_indices(x, **case.options)
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, indices)
    np.testing.assert_array_equal(plain.pool_take(x, got), out)


@some
@given(max_pools())
def test_taking_and_putting_are_transposes(case: Case) -> None:
    (x,) = case.arrays("float64", case.x)
    indices = plain.max_pool2d_indices(x, **case.options)
    (g,) = case.arrays("float64", indices.shape)
    dx = plain.pool_put(g, indices, size=x.shape[2:])
    assert dx.shape == x.shape
    assert (plain.pool_take(x, indices) * g).sum() == (x * dx).sum()


@some
@given(avg_pools())
def test_avg_pool2d_is_pytorchs(case: Case) -> None:
    torch = pytest.importorskip("torch")
    (x,) = case.arrays("float64", case.x)
    tx = torch.from_numpy(x).requires_grad_()
    out = torch.nn.functional.avg_pool2d(tx, **case.options)
    (g,) = case.arrays("float64", tuple(out.shape))
    out.backward(torch.from_numpy(g))
    got = plain.avg_pool2d(x, **case.options)
    np.testing.assert_allclose(got, out.detach(), rtol=1e-12, atol=1e-12)
    dx = plain.avg_pool2d_input(g, size=x.shape[2:], **case.options)
    np.testing.assert_allclose(dx, tx.grad, rtol=1e-12, atol=1e-12)


@some
@given(avg_pools())
def test_averaging_and_spreading_are_transposes(case: Case) -> None:
    rng = np.random.default_rng(case.seed)
    x = rng.standard_normal(case.x)
    out = plain.avg_pool2d(x, **case.options)
    g = rng.standard_normal(out.shape)
    dx = plain.avg_pool2d_input(g, size=x.shape[2:], **case.options)
    _agree((out * g).sum(), (x * dx).sum(), (x * dx).sum(), np.abs(out * g).sum() + 1)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "uint8", ">f4"])
def test_the_result_has_the_inputs_dtype(dtype: str) -> None:
    x, w = np.ones((2, 2, 4, 4), dtype), np.ones((2, 2, 3, 3), dtype)
    out = plain.conv2d(x, w, **ONE)
    assert out.dtype == x.dtype
    assert (out == 18).all()
    assert plain.conv2d_input(out, w, size=(4, 4), **ONE).dtype == x.dtype
    assert plain.conv2d_weight(x, out, size=(3, 3), **ONE).dtype == x.dtype
    averaging = {**POOL, "count_include_pad": True, "divisor_override": None}
    assert plain.avg_pool2d(x, **averaging).dtype == x.dtype
    indices = plain.max_pool2d_indices(x, **POOL, dilation=(1, 1))
    assert (indices[0, 0] == [[0, 2], [8, 10]]).all()
    assert plain.pool_put(plain.pool_take(x, indices), indices, size=(4, 4)).dtype == x.dtype


def test_half_precision_adds_up_in_single() -> None:
    x, w = np.full((1, 1, 64, 64), 2, "float16"), np.full((1, 1, 64, 64), 0.5, "float16")
    x[0, 0, 0, 0] = 2048  # from here on, adding 1 in half precision changes nothing
    assert plain.conv2d(x, w, **ONE).item() == np.float16(1024 + 64 * 64 - 1)


def test_a_window_of_the_lowest_value_is_still_inside() -> None:
    x = np.full((1, 1, 3, 3), -np.inf)
    options = {"kernel_size": (3, 3), "stride": (1, 1), "padding": (1, 1), "dilation": (1, 1)}
    indices = plain.max_pool2d_indices(x, **options, ceil_mode=False)
    np.testing.assert_array_equal(indices[0, 0], [[0, 0, 1], [0, 0, 1], [3, 3, 4]])


@pytest.mark.parametrize("images", [0, 2])
def test_no_images_and_no_channels(images: int) -> None:
    x, w = np.ones((images, 0, 4, 4)), np.ones((3, 0, 2, 2))
    out = plain.conv2d(x, w, **ONE)
    assert out.shape == (images, 3, 3, 3)
    assert not out.any()
    assert plain.conv2d_input(out, w, size=(4, 4), **ONE).shape == x.shape
    assert plain.conv2d_weight(x, out, size=(2, 2), **ONE).shape == w.shape


def test_gradients_of_another_shape_are_refused() -> None:
    x, w, g = np.ones((1, 1, 5, 5)), np.ones((1, 1, 3, 3)), np.ones((1, 1, 4, 4))
    with pytest.raises(ShapeError, match=r"the gradient has shape \(1, 1, 4, 4\), but must have"):
        plain.conv2d_input(g, w, size=(5, 5), **ONE)
    with pytest.raises(ShapeError, match="the gradient has shape"):
        plain.conv2d_weight(x, g, size=(3, 3), **ONE)
