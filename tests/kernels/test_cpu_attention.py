"""The kernel of attention: as the row says, of every size, on one thread and on two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tests.kernels.layouts import LAYOUTS, laid_out, on
from tinygrad_course.kernels import cpu_attention
from tinygrad_course.ops.attention import attend
from tinygrad_course.testing import strategies as ts

some = ts.profile(25)
dtypes = st.sampled_from(["float32", "float64"])
TOLERANCES = {"float32": 2e-5, "float64": 1e-12}
Arrays = list[Any]


def both(arrays: Arrays, causal: bool, count: int = 1) -> tuple[Arrays, Arrays]:
    """The result and the three gradients, of the kernel and of the row."""
    how: Any = {"scale": 0.3, "causal": causal}
    *inputs, g = arrays
    with on(cpu_attention, count):
        out = cpu_attention.attention(*inputs, **how)
        ours = [out, *cpu_attention.attention_back(g, out, *inputs, **how)]
    plain: Any = attend
    out = plain.forward.__wrapped__(*inputs, **how)
    return ours, [out, *plain.joint.__wrapped__(g, out, *inputs, **how)]


def close(ours: Arrays, expected: Arrays) -> None:
    for a, b in zip(ours, expected, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        tolerance = TOLERANCES[b.dtype.name]
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def drawn(lead: Any, length: int, keys: int, features: int, width: int, dtype: Any) -> Arrays:
    rng = np.random.default_rng(0)
    sizes = (length, features), (keys, features), (keys, width), (length, width)
    return [rng.standard_normal((*lead, *size)).astype(dtype) for size in sizes]


@some
@given(
    st.sampled_from([(2,), (3, 2), (5,)]), st.integers(1, 110), st.integers(1, 140),
    st.integers(1, 70), st.integers(1, 70), dtypes, st.booleans(), st.sampled_from([1, 2]),
)  # fmt: skip
def test_attention(
    lead: Any, length: int, keys: int, features: int, width: int, dtype: str, causal: bool,
    count: int,
) -> None:  # fmt: skip
    close(*both(drawn(lead, length, keys, features, width, dtype), causal, count))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", range(4))
def test_what_is_not_finite(odd: float, which: int) -> None:
    arrays = drawn((2,), 60, 30, 8, 8, "f4")
    arrays[which][1, 20, 3] = odd
    with np.errstate(all="ignore"):
        close(*both(arrays, False))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(layout: str) -> None:
    close(*both([laid_out(a, layout) for a in drawn((2,), 9, 9, 8, 8, "f4")], True))


def test_what_the_kernel_leaves_to_numpy() -> None:
    how: Any = {"scale": 1.0, "causal": True}
    q, k, v, _ = drawn((2,), 9, 9, 8, 8, "f4")
    assert cpu_attention.attention(q, k[:1], v, **how) is NotImplemented
    assert cpu_attention.attention(q, k, v.astype("f8"), **how) is NotImplemented
    with on(cpu_attention, 2):
        assert cpu_attention.attention(q[:1], k[:1], v[:1], **how) is NotImplemented
    k[0, 3, 4] = np.nan  # a query that may not look there must not see it in one block of keys only
    assert cpu_attention.attention(q, k, v, **how) is NotImplemented


@pytest.mark.parametrize("length", [5, 80])
@pytest.mark.parametrize("causal", [False, True])
def test_in_a_graph(length: int, causal: bool) -> None:
    """Of few numbers and of many: the second derivative is that of the parts."""
    made = [tc.tensor(a) for a in drawn((2, 2), length, length, 32, 32, "f8")]
    *inputs, g = made
    f = tc.nn.functional.scaled_dot_product_attention
    open_ = np.tril(np.ones((length, length), bool)) if causal else np.ones((length,) * 2, bool)
    found = []
    for how in ({"is_causal": causal}, {"attn_mask": tc.tensor(open_)}):
        leaves = [x.clone().requires_grad_() for x in inputs]
        out = f(*leaves, **how)
        slopes = tc.autograd.grad((out * g).sum(), leaves, create_graph=True)
        bends = tc.autograd.grad(sum((s * s).sum() for s in slopes), leaves)
        found.append([out, *slopes, *bends])
        assert ("attention" in {node.name for node in tc.graph.nodes([out])}) == (
            "is_causal" in how
        )
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-11)
