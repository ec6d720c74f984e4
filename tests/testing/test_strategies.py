"""Drawn arguments are what they promise to be, and shrink to what one likes to read."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import find, given
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.errors import OptionError
from tinygrad_course.testing import gradcheck
from tinygrad_course.testing import strategies as ts

DOMAINS = [ts.REAL, ts.POSITIVE, ts.UNIT, ts.SIGNED_UNIT, ts.ABOVE_ONE, ts.AWAY_FROM_ZERO,
           ts.FRACTIONS]  # fmt: skip


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda d: d.name)
def test_domains_are_distinct_exact_and_not_zero(domain: ts.Domain) -> None:
    numbers = np.array(domain.numbers)
    assert np.unique(numbers).size == numbers.size >= 60
    assert (numbers != 0).all()
    assert (numbers.astype(np.float16) == numbers).all()


@ts.profile(50)
@given(st.sampled_from(ts.LAYOUTS), ts.shapes(min_side=0))
def test_layouts(layout: str, shape: Any) -> None:
    array = np.arange(float(np.prod(shape))).reshape(shape)
    out = ts.laid_out(array, layout)
    assert out.shape == array.shape
    if layout == "zero-stride" and array.size > 1:
        assert 0 in out.strides
        assert not out.flags.writeable
    else:
        np.testing.assert_array_equal(out, array)


def test_every_layout_is_drawn() -> None:
    for layout in ts.LAYOUTS:
        x = find(ts.tensors((2, 3), layout=layout), lambda x: True)
        assert x.detach().numpy().flags.c_contiguous == (layout == "contiguous")
    find(ts.tensors((2, 3)), lambda x: not x.detach().numpy().flags.c_contiguous)
    with pytest.raises(OptionError, match="layout is 'diagonal'"):
        find(ts.tensors((2,), layout="diagonal"), lambda x: True)


@ts.profile(50)
@given(ts.tensors(dtype=st.sampled_from(ts.FLOATING)))
def test_tensors_are_leaves_with_distinct_numbers(x: Any) -> None:
    assert x.is_leaf
    assert x.requires_grad
    assert np.unique(x.detach().numpy()).size == x.numel()


@ts.profile(50)
@given(ts.broadcasting(3))
def test_broadcasting(xs: Any) -> None:
    np.broadcast_shapes(*(x.shape for x in xs))
    numbers = np.concatenate([x.detach().numpy().ravel() for x in xs])
    assert np.unique(numbers).size == numbers.size


def test_examples_shrink_to_small_numbers() -> None:
    assert find(ts.tensors(), lambda x: x.numel() > 2).tolist() == [1.0, 2.0, 3.0]
    assert find(ts.tensors(), lambda x: (x < 0).any().item()).tolist() == -1.0
    x, y = find(ts.broadcasting(2), lambda xs: xs[0].shape != xs[1].shape)
    assert sorted([x.numel(), y.numel()]) == [1, 1]


@ts.profile(100)
@given(ts.conv_args())
def test_conv_args_fit(args: Any) -> None:
    x, w, how = args
    assert F.conv2d(torch.zeros(x), torch.zeros(w), **how).numel() > 0


@ts.profile(50)
@given(ts.conv_args(dims=1))
def test_conv_args_fit_in_one_dimension(args: Any) -> None:
    x, w, how = args
    assert F.conv1d(torch.zeros(x), torch.zeros(w), **how).numel() > 0


@ts.profile(100)
@given(ts.pool_args())
def test_pool_args_fit(args: Any) -> None:
    x, how = args
    assert F.max_pool2d(torch.zeros(x), **how).numel() > 0


@ts.profile(50)
@given(ts.shapes(min_side=0), st.data())
def test_indices_and_axes(shape: Any, data: Any) -> None:
    x = tc.zeros(*shape) if shape else tc.tensor(0.0)
    assert x[data.draw(ts.indices(shape))].ndim >= 0
    assert x.sum(data.draw(ts.axes(len(shape)))).ndim <= len(shape)


@ts.profile(50)
@given(ts.signature("(n?,k),(k,m?)->(n?,m?)", dtype="float32", min_side=0))
def test_signature_is_that_of_a_matrix_product(xs: Any) -> None:
    x, y = xs
    assert (x @ y).shape == np.matmul(x.detach().numpy(), y.detach().numpy()).shape
    assert x.dtype == tc.float32
    numbers = np.concatenate([x.detach().numpy().ravel(), y.detach().numpy().ravel()])
    assert np.unique(numbers).size == numbers.size


@ts.profile(50)
@given(ts.simplex(ts.shapes(1, 2)), ts.one_hot(ts.shapes(1, 2)))
def test_probabilities_and_labels(p: Any, labels: Any) -> None:
    p, labels = p.detach().numpy(), labels.numpy()
    assert (p > 0).all()
    assert (p.sum(-1) == 1).all()
    assert (labels.sum(-1) == 1).all()
    assert set(labels.ravel()) <= {0.0, 1.0}


@ts.profile(50)
@given(ts.spd(), ts.well_conditioned())
def test_matrices(a: Any, b: Any) -> None:
    a, b = a.detach().numpy(), b.detach().numpy()
    assert (a == a.T).all()
    assert np.linalg.eigvalsh(a).min() > 0.99
    assert np.linalg.cond(b) < 20


@ts.profile(30)
@given(ts.empty_shapes())
def test_empty_shapes(shape: Any) -> None:
    assert 0 in shape
    assert len(shape) <= 3
    assert tc.zeros(shape).sum().item() == 0


@ts.profile(20)
@given(ts.modules())
def test_modules_are_right_and_have_no_zeros(found: Any) -> None:
    net, x = found
    gradcheck(net, x)
    assert all((p.detach().numpy() != 0).all() for p in net.parameters())


@ts.profile(20)
@given(ts.optimizers(), ts.tensors(ts.shapes(1, 2)))
def test_optimizers_go_downhill(make: Any, x: Any) -> None:
    optimizer = make([x])
    before = x.detach().numpy().copy()
    uphill = optimizer.param_groups[0].get("maximize", False)
    (x * x).sum().backward()
    optimizer.step()
    after = x.detach().numpy()
    assert np.isfinite(after).all()
    assert ((np.sign(after - before) == np.sign(before)) == uphill).all()


def test_scalars_shrink_to_small_numbers() -> None:
    assert find(ts.scalars(), lambda x: x.data > 3).data == 4.0
    assert not find(ts.scalars(requires_grad=False), lambda x: True).requires_grad


def test_more_numbers_than_the_domain_has() -> None:
    with pytest.raises(OptionError, match="not 1000"):
        find(ts.tensors((10, 100)), lambda x: True)


def test_hypothesis_is_needed_only_when_named() -> None:
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from tinygrad_course import testing\n"
        "for name in ('strategies', 'check', 'fuzz'):\n"
        "    try: getattr(testing, name)\n"
        "    except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("pip install 'tinygrad_course[testing]'") == 3
