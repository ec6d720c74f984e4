"""The kernels of normalisation: as the NumPy forward says, on one thread and on two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.layouts import LAYOUTS, laid_out, on
from tinygrad_course.kernels import cpu_norm, moments
from tinygrad_course.kernels.moments import Moments

some = settings(deadline=None, max_examples=40)
sizes = st.integers(1, 7)
Found = tuple[Any, ...]

# name: (shape, dimensions averaged over, the shape in which weights broadcast) of five sizes
KINDS: dict[str, Any] = {
    "batch": lambda n, c, g, h, w: ((n, g, h, w + 3), (0, 2, 3), (1, g, 1, 1)),
    "layer": lambda n, c, g, h, w: ((n, c, g, h), (2, 3), (1, 1, g, h)),
    "all": lambda n, c, g, h, w: ((n, c), (0, 1), (n, c)),
    "group": lambda n, c, g, h, w: ((n, g, c, h * w), (2, 3), (1, g, c, 1)),
    "instance": lambda n, c, g, h, w: ((n, c, h, w), (2, 3), (1, c, 1, 1)),
}


def both(arrays: Any, by: dict[str, Any], form: Any, count: int) -> tuple[Found, Found]:
    """(out, mean, var, dx, dw, db) of the kernels and of NumPy."""
    x, w, b, g = arrays
    found = []
    for room, name in ((cpu_norm, "normalise"), (moments, "normalise")):
        with on(cpu_norm, count):
            stats = Moments(**by)
            out = getattr(room, name)(x, w, b, form=form, by=stats)
            back = getattr(room, f"{name}_back")(g, None, x, w, b, form=form, by=stats)
        found.append((out, stats.mean, stats.var, stats.rstd, *back))
    return found[0], found[1]


def close(ours: Found, expected: Found, tolerance: float) -> None:
    for a, b in zip(ours, expected, strict=True):
        if b is None:
            assert a is None
        else:
            assert a.shape == b.shape
            assert a.dtype == b.dtype
            scale = np.nanmax(np.abs(b), initial=1, where=np.isfinite(b))
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)


@st.composite
def problems(draw: Any, dtype: str) -> tuple[Any, dict[str, Any], Any]:
    kind = draw(st.sampled_from(sorted(KINDS)))
    shape, dims, form = KINDS[kind](*[draw(sizes) for _ in range(5)])
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    arrays: list[Any] = [rng.standard_normal(s).astype(dtype) for s in (shape, form, form, shape)]
    for place in (1, 2):
        arrays[place] = arrays[place].reshape(-1) if draw(st.booleans()) else None
    by = {"dims": dims, "eps": draw(st.sampled_from([1e-3, 0.5])), "centred": draw(st.booleans())}
    if draw(st.booleans()):
        kept = tuple(1 if d in dims else n for d, n in enumerate(shape))
        by |= {"mean": rng.random(kept).astype(dtype), "var": rng.random(kept).astype(dtype)}
    return arrays, by, form


@some
@given(problems("float64"), st.sampled_from([1, 2]))
def test_double_precision(problem: Any, count: int) -> None:
    close(*both(*problem, count), 1e-9)


@some
@given(problems("float32"), st.sampled_from([1, 2]))
def test_single_precision(problem: Any, count: int) -> None:
    close(*both(*problem, count), 3e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_where_it_belongs(kind: str, odd: float) -> None:
    shape, dims, form = KINDS[kind](3, 4, 5, 2, 3)
    rng = np.random.default_rng(0)
    x, w, b, g = (rng.standard_normal(s).astype("f4") for s in (shape, form, form, shape))
    by = {"dims": dims, "eps": 1e-5}
    x.flat[7] = odd
    with np.errstate(invalid="ignore"):
        close(*both((x, w, b, g), by, form, 2), 3e-4)
        x.flat[7], g.flat[3] = 0, odd
        close(*both((x, w, b, g), by, form, 2), 3e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(layout: str) -> None:
    shape, dims, form = KINDS["batch"](3, 4, 5, 6, 3)
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s).astype("f4") for s in (shape, form, form, shape)]
    x, w, b, g = (laid_out(a, layout) for a in arrays)
    close(*both((x, w, b, g), {"dims": dims, "eps": 1e-5}, form, 2), 3e-4)


def test_what_does_not_lie_together_is_left_to_numpy() -> None:
    x = np.ones((3, 4, 5), "f4")
    for dims, form in (((1,), (1, 4, 1)), ((2,), (3, 1, 5))):
        by = Moments(dims, 1e-5)
        w = np.ones(form, "f4")
        assert cpu_norm.normalise(x, w, None, form=form, by=by) is NotImplemented
    w = np.ones((1, 1, 5), "f8")
    by = Moments((2,), 1e-5)
    assert cpu_norm.normalise(x, w, None, form=(1, 1, 5), by=by) is NotImplemented
    assert cpu_norm.normalise_back(x, None, x, w, None, form=(1, 1, 5), by=by) is NotImplemented


def test_numbers_far_from_zero_keep_their_variance() -> None:
    x = np.random.default_rng(0).normal(1000, 1, (64, 8, 500)).astype("f4")
    by, form = Moments((0, 2), 0.0), (1, 8, 1)
    cpu_norm.normalise(x, None, None, form=form, by=by)
    exact = x.astype("f8").var((0, 2), keepdims=True)
    np.testing.assert_allclose(by.var, exact, rtol=1e-6)
