"""The dtype of every result is PyTorch's, over all pairs of dtypes, 0-d tensors and numbers."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

import tinygrad_course as tc
from tinygrad_course.arrays import DTYPES
from tinygrad_course.errors import DtypeError

PAIRS = (
    "add sub mul div pow floor_divide remainder fmod maximum fmin atan2 hypot copysign xlogy eq "
    "bitwise_and logical_or where clamp_min"
)
# PyTorch has none for these dtypes; here, as in NumPy, they are what the formula says.
WIDER = {"sub", "fmod", "maximum", "fmin", "atan2", "hypot", "copysign", "eq", "logical_or"}


def dtype_of(f: Any, *args: Any) -> str | None:
    """The dtype of a result; None where the arguments are refused."""
    try:
        return str(f(*args).dtype).removeprefix("torch.")
    except (DtypeError, RuntimeError, TypeError, NotImplementedError):
        return None


def operands(name: str) -> list[np.ndarray[Any, Any]]:
    return [np.ones(shape, name) for shape in ((), (2,))]


def functions(name: str) -> Any:
    if name == "where":
        c = np.array([True])
        return (lambda x, y: tc.where(tc.from_numpy(c), x, y),
                lambda x, y: torch.where(torch.from_numpy(c), x, y))  # fmt: skip
    return getattr(tc, name), getattr(torch, name)


def compare(name: str, ours: Any, theirs: Any) -> None:
    mine, other = functions(name)
    got, want = dtype_of(mine, *ours), dtype_of(other, *theirs)
    if want is not None:
        assert got == want, f"{name} of {ours}"
    elif name not in WIDER and name != "clamp_min":
        assert got is None, f"{name} of {ours}: PyTorch refuses it"


@pytest.mark.parametrize("name", PAIRS.split())
def test_tensors_with_tensors(name: str) -> None:
    for left, right in product(DTYPES, DTYPES):
        for x, y in product(operands(left), operands(right)):
            both = tc.from_numpy(x), tc.from_numpy(y)
            compare(name, both, (torch.from_numpy(x), torch.from_numpy(y)))


@pytest.mark.parametrize("name", PAIRS.split())
def test_tensors_with_numbers(name: str) -> None:
    for dtype, number in product(DTYPES, (True, 2, 2.0)):
        if name == "pow" and dtype == "bool":
            continue  # PyTorch gives True ** True, and refuses the rest
        for x in operands(dtype):
            compare(name, (tc.from_numpy(x), number), (torch.from_numpy(x), number))
            compare(name, (number, tc.from_numpy(x)), (number, torch.from_numpy(x)))


SINGLE = """
    abs acos asinh atan ceil cos erf erfc exp exp2 expm1 floor isnan log log1p logical_not neg
    reciprocal relu round rsqrt sigmoid sign sin sinc sqrt square tanh trunc nan_to_num
    bitwise_not sum mean prod amax amin all any std var nansum nanmean norm count_nonzero max
    unique argsort cumsum cumprod cummax logsumexp softmax median
"""
ALONG = {"cumsum", "cumprod", "cummax", "logsumexp", "softmax"}
WIDER_SINGLE = {"abs", "ceil", "floor", "round", "trunc", "median"}  # of bools


@pytest.mark.parametrize("name", SINGLE.split())
def test_one_tensor(name: str) -> None:
    rest = (0,) if name in ALONG else ()
    for dtype in DTYPES:
        x = np.ones(2, dtype)
        got, want = (dtype_of(first(f), t, *rest) for f, t in (
            (getattr(tc, name), tc.from_numpy(x)), (getattr(torch, name), torch.from_numpy(x))
        ))  # fmt: skip
        if dtype == "bool" and name in WIDER_SINGLE:
            assert got == "bool"
        else:
            assert got == want, f"{name} of {dtype}"


def first(f: Any) -> Any:
    """The values, of values and indices."""

    def called(*args: Any) -> Any:
        out = f(*args)
        return out[0] if isinstance(out, tuple) else out

    return called


@pytest.mark.parametrize("other", [True, 2, 2.5, *[np.ones(2, d) for d in DTYPES]], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_in_place_keeps_the_dtype(dtype: str, other: Any) -> None:
    """x += y has the dtype of x, or is refused where that cannot hold the result's kind."""
    for name in ("__iadd__", "__itruediv__", "add_"):
        mine, theirs = tc.ones(2, dtype=dtype), torch.ones(2, dtype=getattr(torch, dtype))
        array = isinstance(other, np.ndarray)
        got = dtype_of(getattr(mine, name), tc.from_numpy(other) if array else other)
        want = dtype_of(getattr(theirs, name), torch.from_numpy(other) if array else other)
        assert got == want, name


def test_conversions() -> None:
    x = np.array([0.0, 1.5, -2.5])
    ours, theirs = tc.from_numpy(x), torch.from_numpy(x)
    for name in ["half", "float", "double", "int", "long", "short", "bool"]:
        a, b = getattr(ours, name)(), getattr(theirs, name)()
        assert a.tolist() == b.tolist()
        assert f"torch.{a.dtype}" == str(b.dtype)
        assert a.type().split(".")[1] == b.type().split(".")[1]
        assert ours.type(a.type()).dtype == a.dtype == ours.type(a.dtype).dtype
        assert a.is_floating_point() == b.is_floating_point()
    assert not ours.is_cuda
    assert ours.type_as(tc.tensor(1)).dtype == tc.int64


def test_half_precision_adds_up_in_single() -> None:
    """A sum of many halves is rounded once, at the end."""
    x = np.full(5000, 0.3, np.float16)
    for name in ("sum", "mean", "var", "norm", "cumsum", "prod"):
        rest = (0,) if name == "cumsum" else ()
        ours = getattr(tc, name)(tc.from_numpy(x), *rest)
        theirs = getattr(torch, name)(torch.from_numpy(x), *rest)
        np.testing.assert_allclose(
            ours.numpy().astype(float), theirs.numpy().astype(float), rtol=2e-3, err_msg=name
        )


def test_complex_numbers_are_refused() -> None:
    for make in (
        lambda: tc.tensor(1j),
        lambda: tc.tensor(np.ones(2, "complex64")),
        lambda: tc.ones(2, dtype="complex128"),
        lambda: tc.ones(2).to(np.complex64),
    ):
        with pytest.raises(DtypeError, match="complex"):
            make()


HALVES = """
    abs acos asinh atan ceil cos erf erfc exp exp2 expm1 floor log1p neg reciprocal relu round
    rsqrt sigmoid sign sin sqrt square tanh trunc sum mean prod amax std var norm logsumexp
    softmax log_softmax cumsum cumprod sort
"""


@pytest.mark.parametrize("name", HALVES.split())
def test_half_precision_is_torchs(name: str) -> None:
    """Values and gradients of halves, to the digits that they have."""
    rest = (0,) if name in ALONG | {"log_softmax", "sort"} else ()
    x = np.array([0.25, 0.75, 0.125, 0.9375], np.float16)
    ours, theirs = tc.from_numpy(x).requires_grad_(), torch.from_numpy(x).requires_grad_()
    a, b = first(getattr(tc, name))(ours, *rest), first(getattr(torch, name))(theirs, *rest)
    (a * a).sum().backward()
    (b * b).sum().backward()
    for got, want in ((a.detach(), b.detach()), (ours.grad, theirs.grad)):
        assert got.dtype == "float16"
        np.testing.assert_allclose(
            got.numpy().astype(float), want.numpy().astype(float), rtol=4e-3, atol=2e-3
        )


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow", "fmod", "maximum", "hypot"])
def test_half_precision_of_two(name: str) -> None:
    x, y = np.array([0.25, 3.5, 1.125], np.float16), np.array([1.5, 0.375, 2.0], np.float16)
    a = getattr(tc, name)(tc.from_numpy(x), tc.from_numpy(y))
    b = getattr(torch, name)(torch.from_numpy(x), torch.from_numpy(y))
    assert a.dtype == "float16"
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3)


@pytest.mark.parametrize("number", [-1, 300, 2**40])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32"])
def test_numbers_beyond_the_range(dtype: str, number: int) -> None:
    """They come round at the other end; but for a bound or an exponent that is refused."""
    x = np.array([1, 5], dtype)
    for name in ("add", "mul", "sub", "eq", "lt", "bitwise_and"):
        ours = getattr(tc, name)(tc.from_numpy(x), number)
        assert ours.tolist() == getattr(torch, name)(torch.from_numpy(x), number).tolist()
    if not np.iinfo(dtype).min <= number <= np.iinfo(dtype).max:
        y = tc.from_numpy(x)
        for f in (y.clamp_min, y.clamp_max, lambda n: y.clamp(0, n), lambda n: y**n, y.pow):
            with pytest.raises(DtypeError, match=f"{number} does not fit into {dtype}"):
                f(number)
