"""Embeddings and recurrent layers against PyTorch in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course import nn
from tinygrad_course.errors import DtypeError, OptionError, ShapeError

torch = pytest.importorskip("torch")
relaxed = settings(deadline=None, max_examples=15)
seeds = st.integers(0, 2**32 - 1)


def agree(a, b, tolerance=1e-9):
    a, b = a.detach().numpy(), b.detach().numpy()
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def flat(result):
    return [t for r in result for t in flat(r)] if isinstance(result, tuple) else [result]


def follow(ours, theirs, arrays, call=lambda m, x, *hx: m(x, *hx)):
    """Same weights in; results and all gradients out; and the state dict back again."""
    ours, theirs = ours.double(), theirs.double()
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    assert repr(ours) == repr(theirs)
    a = [tc.tensor(x, requires_grad=True) for x in arrays]
    b = [torch.tensor(x, requires_grad=True) for x in arrays]
    p, q = flat(call(ours, *a)), flat(call(theirs, *b))
    assert len(p) == len(q)
    rng, left, right = np.random.default_rng(0), 0.0, 0.0
    for u, v in zip(p, q, strict=True):
        agree(u, v)
        g = rng.normal(size=u.shape)
        left, right = left + (u * tc.tensor(g)).sum(), right + (v * torch.tensor(g)).sum()
    left.backward()
    right.backward()
    for u, v in [
        *zip(a, b, strict=True),
        *zip(ours.parameters(), theirs.parameters(), strict=True),
    ]:
        agree(u.grad, v.grad, 1e-8)


@relaxed
@given(seeds, st.sampled_from(["RNNCell", "LSTMCell", "GRUCell"]), st.booleans(), st.booleans(),
       st.booleans(), st.sampled_from(["tanh", "relu"]))  # fmt: skip
def test_cells(seed, kind, bias, batched, given, nonlinearity):
    rng, lead = np.random.default_rng(seed), (2,) if batched else ()
    options = {"nonlinearity": nonlinearity} if kind == "RNNCell" else {}
    ours, theirs = (getattr(m, kind)(3, 4, bias, **options) for m in (nn, torch.nn))
    x = rng.normal(size=(*lead, 3))
    if not given:
        follow(ours, theirs, [x])
    elif "LSTM" in kind:
        h, c = rng.normal(size=(2, *lead, 4))
        follow(ours, theirs, [x, h, c], lambda m, x, h, c: m(x, (h, c)))
    else:
        follow(ours, theirs, [x, rng.normal(size=(*lead, 4))])


@relaxed
@given(
    seeds,
    st.sampled_from(["RNN", "LSTM", "GRU"]),
    st.fixed_dictionaries({
        "num_layers": st.integers(1, 3),
        "bias": st.booleans(),
        "batch_first": st.booleans(),
        "bidirectional": st.booleans(),
    }),
    st.sampled_from(["tanh", "relu"]),
    st.booleans(),
    st.booleans(),
    st.integers(1, 4),
)  # fmt: skip
def test_sequences(seed, kind, options, nonlinearity, batched, given, steps):
    rng = np.random.default_rng(seed)
    if kind == "RNN":
        options = {**options, "nonlinearity": nonlinearity}
    ours, theirs = (getattr(m, kind)(3, 2, **options) for m in (nn, torch.nn))
    lead = (2,) if batched else ()
    form = (2, steps, 3) if batched and options["batch_first"] else (steps, *lead, 3)
    x = rng.normal(size=form)
    layers = options["num_layers"] * (1 + options["bidirectional"])
    h, c = rng.normal(size=(2, layers, *lead, 2))
    if not given:
        follow(ours, theirs, [x])
    elif kind == "LSTM":
        follow(ours, theirs, [x, h, c], lambda m, x, h, c: m(x, (h, c)))
    else:
        follow(ours, theirs, [x, h])


def test_dropout_between_layers_only_in_training():
    tc.manual_seed(0)
    net = nn.GRU(3, 50, num_layers=2, dropout=0.5)
    x = tc.ones(1, 1, 3)
    assert (net(x)[0] != net(x)[0]).any()
    net.eval()
    assert (net(x)[0] == net(x)[0]).all()
    with pytest.warns(UserWarning, match="changes nothing"):
        nn.GRU(3, 5, dropout=0.5)
    assert repr(net) == "GRU(3, 50, num_layers=2, dropout=0.5)"


@relaxed
@given(seeds, st.sampled_from([(), (3,), (2, 4), (0,)]), st.sampled_from([None, 0, 2, -1]))
def test_embedding(seed, form, padding):
    x = np.random.default_rng(seed).integers(0, 5, form)
    ours, theirs = (m.Embedding(5, 3, padding) for m in (nn, torch.nn))
    call = lambda m: m(tc.tensor(x) if isinstance(m, nn.Module) else torch.tensor(x))
    follow(ours, theirs, [], call)


def test_pretrained_embeddings():
    table = tc.tensor([[1.0, 2.0], [3.0, 4.0]])
    layer = nn.Embedding.from_pretrained(table)
    assert layer(tc.tensor([1])).tolist() == [[3.0, 4.0]]
    assert not layer.weight.requires_grad
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad
    assert nn.Embedding(4, 2, padding_idx=1).weight[1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda: nn.RNN(3, 4)(tc.zeros(2, 5)), ShapeError, "last of size 3"),
        (lambda: nn.RNN(3, 4)(tc.zeros(0, 2, 3)), ShapeError, "needs a step"),
        (lambda: nn.RNN(3, 4)(tc.zeros(1, 2, 3), tc.zeros(1, 1, 4)), ShapeError, "a state needs"),
        (lambda: nn.GRUCell(3, 4)(tc.zeros(2, 3), tc.zeros(2, 3)), ShapeError, "a state needs"),
        (lambda: nn.RNN(3, 4, nonlinearity="sin"), OptionError, "'sin'"),
        (lambda: nn.LSTM(3, 4, num_layers=0), OptionError, "num_layers"),
        (lambda: nn.LSTM(3, 0), OptionError, "hidden_size"),
        (lambda: nn.Embedding(3, 4, padding_idx=3), OptionError, "padding_idx"),
        (lambda: nn.Embedding(3, 4)(tc.tensor([3])), OptionError, "3 .*0 to 2"),
        (lambda: nn.Embedding(3, 4)(tc.tensor([1.0])), DtypeError, "integers"),
    ],
)
def test_errors(make, kind, text):
    with pytest.raises(kind, match=text):
        make()
