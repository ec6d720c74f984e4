"""What dropout does in training: how much, where, and that mean and variance stay."""

import numpy as np
import pytest

import tinygrad_course as tc
from tinygrad_course import nn
from tinygrad_course.errors import DtypeError, OptionError, ShapeError
from tinygrad_course.nn import functional as F

FORMS = {1: (40, 50, 3), 2: (40, 50, 2, 3), 3: (40, 50, 2, 2, 2)}


@pytest.mark.parametrize("d", [1, 2, 3])
def test_whole_channels_are_dropped(d):
    tc.manual_seed(0)
    x = tc.ones(*FORMS[d], requires_grad=True)
    layer = getattr(nn, f"Dropout{d}d")(0.25)
    out = layer(x)
    each = out.detach().numpy().reshape(2000, -1)
    assert (each == each[:, :1]).all()
    np.testing.assert_allclose(np.unique(each), [0, 4 / 3], rtol=1e-6)
    assert abs(each.mean() - 1) < 0.05
    out.sum().backward()
    assert (x.grad == out.detach()).all()
    assert layer.eval()(x) is x
    if d != 2:  # without a batch the first dimension is the channels; 2d reads (N, C, L)
        lone = layer.train()(tc.ones(*FORMS[d][1:])).numpy().reshape(50, -1)
        assert (lone == lone[:, :1]).all()
        assert 0 < (lone == 0).mean() < 0.6


@pytest.mark.parametrize("name", ["AlphaDropout", "FeatureAlphaDropout"])
def test_alpha_dropout_keeps_mean_and_variance(name):
    tc.manual_seed(0)
    x = tc.randn(2000, 50, 2)
    out = getattr(nn, name)(0.3)(x).numpy()
    assert abs(out.mean()) < 0.02
    assert abs(out.std() - 1) < 0.02
    if name == "AlphaDropout":  # what is dropped has one value, the lower end
        share = np.unique(out, return_counts=True)[1].max() / out.size
        assert 0.28 < share < 0.32


def test_rrelu_and_gumbel():
    tc.manual_seed(0)
    x = -tc.ones(5000)
    slopes = -nn.RReLU(0.1, 0.3)(x).numpy()
    assert slopes.min() >= 0.1
    assert slopes.max() <= 0.3
    assert abs(slopes.mean() - 0.2) < 0.01
    logits = tc.tensor([[0.0, 1.0, 2.0]], requires_grad=True)
    many = F.gumbel_softmax(logits.expand(20000, 3), tau=0.5, hard=True)
    assert set(np.unique(many.detach().numpy())) == {0.0, 1.0}
    share = many.detach().numpy().mean(0)
    np.testing.assert_allclose(share, np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum(), atol=0.015)
    (many * tc.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert np.abs(logits.grad.numpy()).sum() > 0


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: F.dropout1d(tc.ones(2, 2, 2, 2)), ShapeError, "dropout1d: the input needs 2 or 3"),
        (lambda: F.dropout2d(tc.ones(2, 2)), ShapeError, "dropout2d: the input needs 3 or 4"),
        (lambda: F.dropout3d(tc.ones(2)), ShapeError, "dropout3d: the input needs 4 or 5"),
        (lambda: F.feature_alpha_dropout(tc.ones(2), training=True), ShapeError, "at least 2"),
        (lambda: F.alpha_dropout(tc.ones(2), 2.0), OptionError, "alpha_dropout: .* got 2.0"),
        (lambda: nn.Dropout3d(-1.0), OptionError, "Dropout3d: .* got -1.0"),
        (lambda: F.dropout(tc.tensor([1, 2])), DtypeError, "got int64; use .float"),
        (lambda: F.rrelu(tc.ones(2), 0.5, 0.1), OptionError, "lower 0.5 exceeds upper 0.1"),
        (lambda: F.gumbel_softmax(tc.ones(2), tau=0), OptionError, "tau must be positive, got 0"),
    ],
)
def test_errors(call, kind, text):
    with pytest.raises(kind, match=text):
        call()
