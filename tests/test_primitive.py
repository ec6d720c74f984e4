"""The table: how a row is applied, dtypes, errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tinygrad_course as tc
from tinygrad_course.arrays import constant
from tinygrad_course.errors import GradientError
from tinygrad_course.primitive import TABLE, Primitive

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="'add'"):
        Primitive("add", "again", np.add)


def test_rows_on_raw_arrays_and_floats_just_compute():
    assert tc.exp(0.0) == 1.0
    assert type(tc.exp(np.zeros(2))) is np.ndarray
    assert tc.mul(2.0, 3.0) == 6.0


def test_what_a_rule_reads_is_read_off_its_code():
    keeps = TABLE["div"].keeps
    assert keeps[True, False] == (False, False, True)  # g / y
    assert keeps[False, True] == (True, False, True)  # -g · out / y
    assert keeps[True, True] == (True, False, True)
    assert TABLE["add"].keeps[True, True] == (False, False, False)


def test_a_node_keeps_what_its_joint_rule_names():
    x = tc.ones(2, 3, 4, requires_grad=True)
    out, *args = tc.nn.BatchNorm1d(3)(x).node.saved
    assert out is None
    assert args[0] is x._data
    assert tc.cat([x, x]).node.saved == (None,)


def test_a_rule_of_the_wrong_shape_is_found_out():
    wrong = Primitive("wrong_for_this_test", "x", lambda x: x * 2, lambda g, out, x: g.sum())
    try:
        with pytest.raises(GradientError, match=r"wrong_for_this_test.*\(\).*\(2,\)"):
            wrong(tc.ones(2).requires_grad_()).backward(tc.ones(2))
    finally:
        del TABLE["wrong_for_this_test"]


def test_constants_keep_the_sign_of_zero():
    assert not np.signbit(constant(0.0, np.dtype("float32")))
    assert np.signbit(constant(-0.0, np.dtype("float32")))
    assert not np.signbit(constant(0.0, np.dtype("float32")))
    x = tc.tensor([1.0], requires_grad=True)
    assert np.signbit((x * -0.0).detach().numpy())
    assert not np.signbit((x * 0.0).detach().numpy())


@pytest.mark.parametrize("op", ["add", "mul", "div", "maximum", "pow", "lt"])
def test_promotion_is_torch_s(op):
    torch = pytest.importorskip("torch")
    theirs = {"div": torch.div, "lt": torch.lt}.get(op, getattr(torch, op))
    makers = [
        ("vector", lambda m, d: m.ones(2, dtype=d)),
        ("0-d", lambda m, d: m.ones((), dtype=d)),
    ]
    for (na, ma), (nb, mb) in itertools.product(makers, makers):
        for a, b in itertools.product(DTYPES, DTYPES):
            if op == "pow" and "bool" in (a, b):
                continue
            ours = getattr(tc, op)(ma(tc, a), mb(tc, b)).dtype.name
            want = str(theirs(ma(torch, getattr(torch, a)), mb(torch, getattr(torch, b))).dtype)
            assert ours == want.removeprefix("torch."), (na, a, nb, b)


@pytest.mark.parametrize("number", [True, 2, 2.5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_python_numbers_are_weak(number, dtype):
    torch = pytest.importorskip("torch")
    want = (torch.ones(2, dtype=getattr(torch, dtype)) * number).dtype
    assert (tc.ones(2, dtype=dtype) * number).dtype.name == str(want).removeprefix("torch.")
    assert (number * tc.ones((), dtype=dtype)).dtype.name == str(want).removeprefix("torch.")


def test_integers_become_floating_where_the_result_must():
    x = tc.tensor([1, 2])
    for y in (x.exp(), x / 2, x.sqrt(), x / x, tc.atan2(x, x)):
        assert y.dtype == "float32"
    assert (x * x).dtype == x.abs().dtype == "int64"
    assert x.sum().dtype == tc.tensor([True]).sum().dtype == "int64"
