"""Winograd's way: within its bound of the float64 result, and only where it may be taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_course import devices
from tinygrad_course.kernels import cpu, cpu_winograd_plan, options, plain
from tinygrad_course.kernels.threads import threads_for

BOUND = 2e-5  # of the largest result
ONE = {"stride": (1, 1), "dilation": (1, 1), "groups": 1}
some = settings(deadline=None, max_examples=40)
sizes = st.integers(1, 22)
paddings = st.integers(0, 2)


def arrays(x: Any, outputs: int, padding: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    shapes = x, (outputs, x[1], 3, 3), (x[0], outputs, *np.add(x[2:], np.multiply(padding, 2)) - 2)
    return [rng.standard_normal(shape, np.float32) for shape in shapes]


def close(got: Any, ok: bool, expected: Any) -> None:
    assert ok
    assert np.abs(got - expected).max() <= BOUND * np.abs(expected).max()


@some
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 40), sizes, sizes), st.integers(1, 70),
    st.tuples(paddings, paddings), st.sampled_from([1, 2]), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_all_three_passes_are_within_the_bound(
    x: Any, outputs: int, padding: Any, threads: int, seed: int
) -> None:
    x = (*x[:2], *(max(n, 3 - 2 * p) for n, p in zip(x[2:], padding, strict=True)))
    image, w, g = arrays(x, outputs, padding, seed)
    threads = min(threads, threads_for(1 << 60, 1))
    wide = [a.astype(np.float64) for a in (image, w, g)]
    how: Any = {**ONE, "padding": padding}
    out, dx, dw = (np.full_like(a, np.nan) for a in (g, image, w))
    close(out, cpu_winograd_plan.conv2d(image, w, out, padding, threads),
          plain.conv2d(*wide[:2], **how))  # fmt: skip
    close(dx, cpu_winograd_plan.conv2d_input(g, w, dx, padding, threads),
          plain.conv2d_input(wide[2], wide[1], size=x[2:], **how))  # fmt: skip
    close(dw, cpu_winograd_plan.conv2d_weight(image, g, dw, padding, threads),
          plain.conv2d_weight(wide[0], wide[2], size=(3, 3), **how))  # fmt: skip


def three(image: Any, w: Any, g: Any) -> list[Any]:
    how: Any = {**ONE, "padding": (1, 1)}
    return [
        cpu.conv2d(image, w, **how),
        cpu.conv2d_input(g, w, size=image.shape[2:], **how),
        cpu.conv2d_weight(image, g, size=(3, 3), **how),
    ]


@pytest.fixture
def given_three() -> Any:
    return arrays((8, 32, 13, 13), 48, (1, 1), 0)


def test_it_can_be_turned_off(given_three: Any, monkeypatch: Any) -> None:
    fast = three(*given_three)
    monkeypatch.setattr(options, "winograd", True)
    devices.use_winograd(False)
    direct = three(*given_three)
    wide = three(*(a.astype(np.float64) for a in given_three))
    for a, b, c in zip(fast, direct, wide, strict=True):
        assert (a != b).any()
        assert np.abs(a - b).max() <= BOUND * np.abs(c).max()
        assert np.abs(b - c).max() <= 3e-6 * np.abs(c).max()


def test_double_precision_never_takes_it(given_three: Any, monkeypatch: Any) -> None:
    wide = [a.astype(np.float64) for a in given_three]
    on = three(*wide)
    monkeypatch.setattr(options, "winograd", False)
    for a, b in zip(on, three(*wide), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("hit", [0, 1, 2])
def test_what_is_not_finite_does_not_spread(
    given_three: Any, monkeypatch: Any, odd: float, hit: int
) -> None:
    given_three[hit][3, 5, 1, 2] = odd
    fast = three(*given_three)
    monkeypatch.setattr(options, "winograd", False)
    for a, b in zip(fast, three(*given_three), strict=True):
        np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b))


def test_runs_agree_to_the_last_bit(given_three: Any) -> None:
    for a, b in zip(three(*given_three), three(*given_three), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_bias_is_added(given_three: Any) -> None:
    image, w, _ = given_three
    bias = np.arange(len(w), dtype=np.float32)
    how: Any = {**ONE, "padding": (1, 1)}
    out, alone = cpu.conv2d(image, w, bias, **how), cpu.conv2d(image, w, **how)
    np.testing.assert_array_equal(out, alone + bias[:, None, None])
