"""Sizes and options: against PyTorch's shapes, and what the errors say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.reference import Case, avg_pools, convolutions, max_pools
from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.kernels import geometry


@pytest.mark.parametrize("value", [3, np.int64(3), (3,), (3, 3), [3, 3], np.array([3, 3])])
def test_numbers_takes_one_or_all(value: Any) -> None:
    result = geometry.numbers(value, 2, "stride")
    assert result == (3, 3)
    assert all(type(n) is int for n in result)


def test_numbers_of_other_directions() -> None:
    assert geometry.numbers(2, 1, "stride") == (2,)
    assert geometry.numbers((1, 2, 3), 3, "stride") == (1, 2, 3)


@pytest.mark.parametrize("value", [1.5, "3", None, (), (1, 2, 3), (1.0, 2), ("a", "b")])
def test_numbers_says_which_option_and_what_it_was(value: Any) -> None:
    with pytest.raises(ShapeError, match=r"^stride is .*; give an integer, or a pair"):
        geometry.numbers(value, 2, "stride")


@pytest.mark.parametrize(
    ("n", "text"),
    [(1, "give an integer$"), (3, r"three integers \(depth, height, width\)$"), (4, "or four$")],
)
def test_numbers_says_how_many(n: int, text: str) -> None:
    with pytest.raises(ShapeError, match=text):
        geometry.numbers((1, 2), n, "stride")


@settings(deadline=None, max_examples=60)
@given(convolutions())
def test_conv_shape_is_pytorchs(case: Case) -> None:
    torch = pytest.importorskip("torch")
    out = torch.conv2d(torch.zeros(case.x), torch.zeros(case.w), **case.options)
    options = [case.options[name] for name in ("stride", "padding", "dilation", "groups")]
    assert geometry.conv_shape(case.x, case.w, *options) == tuple(out.shape)


@settings(deadline=None, max_examples=60)
@given(max_pools())
def test_pool_shape_is_pytorchs(case: Case) -> None:
    torch = pytest.importorskip("torch")
    out = torch.nn.functional.max_pool2d(torch.zeros(case.x), **case.options)
    assert geometry.pool_shape(case.x, **case.options) == tuple(out.shape)


@settings(deadline=None, max_examples=60)
@given(avg_pools())
def test_divisors_are_pytorchs(case: Case) -> None:
    torch = pytest.importorskip("torch")
    ones = torch.ones(case.x, dtype=torch.float64)
    options = {**case.options, "divisor_override": None, "count_include_pad": False}
    sums = torch.nn.functional.avg_pool2d(ones, **{**options, "divisor_override": 1})
    means = torch.nn.functional.avg_pool2d(ones, **case.options)
    ceil_mode = options.pop("ceil_mode")
    assert isinstance(ceil_mode, bool)
    counting = {k: v for k, v in case.options.items() if k != "ceil_mode"}
    rows, columns = geometry.divisors(case.x[2:], tuple(sums.shape[2:]), **counting)
    divisor = np.multiply.outer(rows, columns)
    np.testing.assert_allclose(sums.numpy()[0, 0] / divisor, means.numpy()[0, 0], rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5, 0, 1, 0, 1), "kernel size is 0; it must be at least 1"),
        ((5, 3, 0, 0, 1), "stride is 0; it must be at least 1"),
        ((5, 3, 1, -1, 1), "padding is -1; it must be at least 0"),
        ((5, 3, 1, 0, 0), "dilation is 0; it must be at least 1"),
        ((4, 3, 1, 0, 2), "a kernel of size 3 with dilation 2 reaches over 5 pixels"),
    ],
)
def test_conv_size_explains_what_is_wrong(arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        geometry.conv_output_size(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5, 3, 1, 2, 1, False), "padding is 2, more than half of the kernel size 3"),
        ((2, 3, 1, 0, 1, False), "the input has 2 and 0 of padding"),
        ((2, 2, 1, 1, 3, False), "steps over the input's 2 pixels"),
    ],
)
def test_pool_size_explains_what_is_wrong(arguments: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        geometry.pool_output_size(*arguments)


@given(size=st.integers(1, 30), kernel=st.integers(1, 6), stride=st.integers(1, 8), data=st.data())
def test_last_window_of_ceil_mode_starts_inside(
    size: int, kernel: int, stride: int, data: Any
) -> None:
    padding = data.draw(st.integers(0, min(kernel // 2, size)))
    size = max(size, kernel)
    count = geometry.pool_output_size(size, kernel, stride, padding, 1, True)
    assert (count - 1) * stride < size + padding
    assert count in (
        (n := geometry.pool_output_size(size, kernel, stride, padding, 1, False)),
        n + 1,
    )


@pytest.mark.parametrize(
    ("x", "w", "groups", "message"),
    [
        ((1, 3, 5, 5), (4, 2, 3, 3), 1, "the input has 3 channels"),
        ((1, 4, 5, 5), (3, 2, 3, 3), 2, "3 output channels cannot be split into 2"),
        ((1, 4, 5, 5), (3, 2, 3, 3), 0, "groups is 0"),
        ((4, 5, 5), (3, 4, 3, 3), 1, r"the input has shape \(4, 5, 5\); expected four"),
        ((1, 4, 5, 5), (3, 4, 3), 1, r"the weight has shape \(3, 4, 3\); expected four"),
    ],
)
def test_conv_shape_explains_what_does_not_fit(x: Any, w: Any, groups: int, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        geometry.conv_shape(x, w, (1, 1), (0, 0), (1, 1), groups)


def test_divisor_zero_is_refused() -> None:
    with pytest.raises(OptionError, match="divisor_override is 0"):
        geometry.divisors((4, 4), (2, 2), (2, 2), (2, 2), (0, 0), True, 0)
