"""The names of arguments: PyTorch's `input` and `other`, and NumPy's `axis`, which it takes too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import tinygrad_course as tc
from tinygrad_course.errors import OptionError

X = np.arange(6.0).reshape(2, 3)
ONE = ["sum", "mean", "std", "amax", "argmin", "prod", "logsumexp", "all", "median", "nansum"]


@pytest.mark.parametrize("where", ["front door", "method"])
@pytest.mark.parametrize("name", ONE)
def test_axis_is_dim(name: str, where: str) -> None:
    x, y = tc.from_numpy(X), torch.from_numpy(X)
    options = {"axis": 1, "keepdims": True}
    if where == "method":
        ours, theirs = getattr(x, name)(**options), getattr(y, name)(**options)
    else:
        ours = getattr(tc, name)(input=x, **options)
        theirs = getattr(torch, name)(input=y, **options)
    np.testing.assert_allclose(first(ours), first(theirs))


def first(out: Any) -> Any:
    out = out[0] if isinstance(out, tuple) else out
    return out.numpy().astype(float)


def test_axis_of_the_others() -> None:
    x, y = tc.from_numpy(X), torch.from_numpy(X)
    assert tc.cat([x, x], axis=1).tolist() == torch.cat([y, y], axis=1).tolist()
    assert tc.stack([x, x], axis=-1).tolist() == torch.stack([y, y], axis=-1).tolist()
    np.testing.assert_allclose(tc.softmax(x, axis=0).numpy(), torch.softmax(y, axis=0).numpy())
    assert x.unsqueeze(axis=1).shape == tuple(y.unsqueeze(axis=1).shape)
    assert x.cumsum(axis=0).tolist() == y.cumsum(axis=0).tolist()


def test_two_names_for_one_option() -> None:
    x = tc.from_numpy(X)
    for f in (x.sum, lambda **how: tc.sum(x, **how)):
        with pytest.raises(OptionError, match="one option"):
            f(dim=0, axis=1)
        with pytest.raises(TypeError, match="axes"):
            f(axes=1)


@pytest.mark.parametrize("name", ["maximum", "add", "mul", "eq", "logical_and", "fmod"])
def test_rows_take_input_and_other(name: str) -> None:
    x = tc.from_numpy(X)
    ours = getattr(tc, name)(input=x, other=x + 1)
    theirs = getattr(torch, name)(input=torch.from_numpy(X), other=torch.from_numpy(X + 1))
    assert ours.tolist() == theirs.tolist()
    assert getattr(x, name)(other=x + 1).tolist() == theirs.tolist()
    assert tc.exp(input=x).tolist() == tc.exp(x).tolist()


@pytest.mark.parametrize("name", ["exp", "isnan", "maximum", "eq", "add"])
def test_an_argument_too_many(name: str) -> None:
    """It must not be taken for the place to write the result, as NumPy's functions would."""
    x = tc.from_numpy(X)
    beyond = tc.zeros(2, 3, dtype=tc.float64)
    few = [x] if name in ("exp", "isnan") else [x, x]
    with pytest.raises(TypeError, match="argument"):
        getattr(tc, name)(*few, beyond)
    with pytest.raises(TypeError, match="argument"):
        getattr(x, name)(*few[1:], beyond)
    assert (beyond == 0).all()
