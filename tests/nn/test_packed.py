"""Sequences of different lengths: padding, packing, and recurrent layers over them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tests.nn.test_recurrent import agree, flat
from tinygrad_course import nn
from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.nn.utils import rnn
from tinygrad_course.testing import strategies as ts

torch = pytest.importorskip("torch")
their = torch.nn.utils.rnn


def same_packed(a, b):
    """Ties in length may be in another order there; these tests have none unless sorted."""
    agree(a.data, b.data)
    assert a.batch_sizes.tolist() == b.batch_sizes.tolist()
    for p, q in ((a.sorted_indices, b.sorted_indices), (a.unsorted_indices, b.unsorted_indices)):
        assert (p is None and q is None) or p.tolist() == q.tolist()


@ts.profile(15)
@given(st.permutations([1, 2, 3, 5]), st.booleans(), st.booleans(), st.integers(0, 99))
def test_packing_and_back(lengths, first, ordered, seed):
    lengths = sorted(lengths, reverse=True) if ordered else lengths
    x = np.random.default_rng(seed).normal(size=(4, 6, 2) if first else (6, 4, 2))
    a, b = tc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    how = {"batch_first": first, "enforce_sorted": ordered}
    p = rnn.pack_padded_sequence(a, lengths, **how)
    q = their.pack_padded_sequence(b, lengths, **how)
    same_packed(p, q)
    p, m = rnn.pad_packed_sequence(p, first, -1.5, 7)
    q, n = their.pad_packed_sequence(q, first, -1.5, 7)
    agree(p, q)
    assert m.tolist() == n.tolist() == lengths
    g = np.random.default_rng(0).normal(size=p.shape)
    p.backward(tc.tensor(g))
    q.backward(torch.tensor(g))
    agree(a.grad, b.grad)


def test_lists_of_sequences():
    arrays = [
        np.arange(6.0).reshape(3, 2),
        np.arange(2.0).reshape(1, 2),
        np.arange(8.0).reshape(4, 2),
    ]
    ours, theirs = [tc.tensor(a) for a in arrays], [torch.tensor(a) for a in arrays]
    for first in (True, False):
        for side in ("left", "right"):
            agree(
                rnn.pad_sequence(ours, first, 9.0, side),
                their.pad_sequence(theirs, first, 9.0, side),
            )
    same_packed(rnn.pack_sequence(ours, False), their.pack_sequence(theirs, False))
    for a, b in zip(rnn.unpack_sequence(rnn.pack_sequence(ours, False)), arrays, strict=True):
        assert (a.numpy() == b).all()
    padded = rnn.pad_sequence(ours)
    for a, b in zip(rnn.unpad_sequence(padded, [3, 1, 4]), arrays, strict=True):
        assert (a.numpy() == b).all()
    assert rnn.pad_sequence([tc.tensor([1, 2]), tc.tensor([3])]).dtype == tc.int64


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@ts.profile(8)
@given(st.permutations([1, 2, 4]), st.booleans(), st.booleans(), st.integers(1, 2), st.booleans())
def test_layers_over_packed_sequences(kind, lengths, ordered, both, layers, given):
    lengths = sorted(lengths, reverse=True) if ordered else lengths
    rng = np.random.default_rng(0)
    options = {"num_layers": layers, "bidirectional": both}
    ours, theirs = (getattr(m, kind)(3, 2, **options).double() for m in (nn, torch.nn))
    ours.load_state_dict(theirs.state_dict())
    x, h, c = rng.normal(size=(4, 3, 3)), *rng.normal(size=(2, layers * (1 + both), 3, 2))
    sides = []
    for turn, module, pack in ((tc.tensor, ours, rnn), (torch.tensor, theirs, their)):
        a, *start = (turn(v, requires_grad=True) for v in (x, h, c))
        hx = (tuple(start) if kind == "LSTM" else start[0]) if given else None
        out, last = module(pack.pack_padded_sequence(a, lengths, enforce_sorted=ordered), hx)
        padded, sizes = pack.pad_packed_sequence(out)
        assert sizes.tolist() == lengths
        results = [padded, *flat(last)]
        draw = np.random.default_rng(1)
        sum((r * turn(draw.normal(size=tuple(r.shape)))).sum() for r in results).backward()
        grads = [p.grad for p in (a, *start[: 0 if not given else 2 if kind == "LSTM" else 1])]
        sides.append([*results, *grads, *[p.grad for p in module.parameters()]])
    for a, b in zip(*sides, strict=True):
        agree(a, b, 1e-9)


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda x: rnn.pack_padded_sequence(x, [2, 3]), OptionError, "must fall.*enforce_sorted"),
        (lambda x: rnn.pack_padded_sequence(x, [3]), ShapeError, "2 sequences need as many"),
        (lambda x: rnn.pack_padded_sequence(x, [9, 1]), OptionError, "between 1 and 3"),
        (lambda x: rnn.pack_padded_sequence(x, [1, 0]), OptionError, "between 1 and 3"),
        (lambda x: rnn.pack_padded_sequence(x[0, 0], [1]), ShapeError, r"\(L, N, ...\)"),
        (lambda x: rnn.pad_sequence([]), ShapeError, "differ in L only"),
        (lambda x: rnn.pad_sequence([x, x[..., :1]]), ShapeError, "differ in L only"),
        (lambda x: rnn.pad_sequence([x], padding_side="top"), OptionError, "'top'"),
        (lambda x: rnn.pad_packed_sequence(rnn.pack_padded_sequence(x, [3, 1]), total_length=2),
         OptionError, "total_length 2 is less than"),
        (lambda x: nn.LSTM(4, 2)(rnn.pack_padded_sequence(x, [3, 1])), ShapeError, "of size 4"),
        (lambda x: nn.LSTM(3, 2, proj_size=1), OptionError, "proj_size=1 is not supported"),
    ],
)  # fmt: skip
def test_errors(make, kind, text):
    with pytest.raises(kind, match=text):
        make(tc.ones(3, 2, 3))
