"""Functions and losses against PyTorch, in float64: values, gradients, second derivatives."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.errors import DtypeError, OptionError, ShapeError
from tinygrad_course.nn import functional as F

torch = pytest.importorskip("torch")
TF = torch.nn.functional
relaxed = settings(deadline=None, max_examples=30)
seeds = st.integers(0, 2**32 - 1)


def close(a, b, tolerance=1e-10):
    a = a.detach().numpy() if isinstance(a, tc.Tensor) else a
    b = b.numpy(force=True) if isinstance(b, torch.Tensor) else b
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def follow(ours, theirs, *arrays, second=True, tolerance=1e-9):
    """Value, gradient and a Hessian-vector product agree."""
    x = [tc.tensor(a, requires_grad=True) for a in arrays]
    y = [torch.tensor(a, requires_grad=True) for a in arrays]
    a, b = ours(*x), theirs(*y)
    close(a, b, tolerance)
    rng = np.random.default_rng(0)
    g = rng.normal(size=a.shape)
    ga = tc.autograd.grad(a, x, tc.tensor(g), create_graph=second)
    gb = torch.autograd.grad(b, y, torch.tensor(g), create_graph=second)
    for p, q in zip(ga, gb, strict=True):
        close(p, q, tolerance)
    if second and any(q.requires_grad for q in gb):
        v = [rng.normal(size=p.shape) for p in ga]
        da = sum((p * w).sum() for p, w in zip(ga, v, strict=True))
        db = sum((q * torch.tensor(w)).sum() for q, w in zip(gb, v, strict=True))
        ha = tc.autograd.grad(da, x, allow_unused=True) if da.requires_grad else [None] * len(x)
        hb = torch.autograd.grad(db, y, allow_unused=True)
        for p, q, like in zip(ha, hb, arrays, strict=True):
            zeros = np.zeros_like(like)
            close(zeros if p is None else p, zeros if q is None else q, tolerance)


ACTIVATIONS = [
    ("relu", {}), ("relu6", {}), ("leaky_relu", {}), ("leaky_relu", {"negative_slope": 0.3}),
    ("elu", {}), ("elu", {"alpha": 2.0}), ("selu", {}), ("celu", {"alpha": 1.5}), ("gelu", {}),
    ("gelu", {"approximate": "tanh"}), ("silu", {}), ("mish", {}), ("softplus", {}),
    ("softplus", {"beta": 2.0, "threshold": 3.0}), ("sigmoid", {}), ("logsigmoid", {}),
    ("tanh", {}), ("hardtanh", {}), ("hardtanh", {"min_val": -0.5, "max_val": 2.0}),
    ("hardsigmoid", {}), ("hardswish", {}), ("softsign", {}), ("tanhshrink", {}),
    ("softshrink", {}), ("hardshrink", {"lambd": 1.0}),
    ("threshold", {"threshold": 0.1, "value": -3.0}), ("softmax", {"dim": -1}),
    ("softmin", {"dim": 0}), ("log_softmax", {"dim": 1}),
]  # fmt: skip


def special(name):
    """PyTorch's hardsigmoid multiplies by 1/6 in single precision, and only once."""
    return {"tolerance": 1e-7, "second": False} if name == "hardsigmoid" else {}


@pytest.mark.parametrize(("name", "options"), ACTIVATIONS)
def test_activations_at_kinks_and_far_out(name, options):
    x = np.array([[0.0, 1.0, -1.0, 3.0, -3.0, 6.0], [1e3, -1e3, 0.5, -0.5, 40.0, -40.0]])
    if name in ("elu", "selu", "celu", "leaky_relu", "sigmoid", "tanh"):
        x[1, :2] = np.inf, -np.inf
    ours, theirs = getattr(F, name), getattr(TF, name)
    how = special(name) | {"second": False}
    follow(lambda a: ours(a, **options), lambda a: theirs(a, **options), x, **how)


# --- cross-entropy --------------------------------------------------------------------------------


def test_the_common_case_is_one_row():
    x = tc.randn(6, 4, requires_grad=True)
    labels = tc.tensor([0, 1, 2, 3, 0, 1])
    assert F.cross_entropy(x, labels).node.name == "cross_entropy"
    rng = np.random.default_rng(0)
    for labels in (rng.integers(0, 4, 6), rng.integers(0, 4, 6).astype(np.int32)):
        follow(
            lambda a, labels=labels: F.cross_entropy(a, tc.tensor(labels)),
            lambda a, labels=labels: TF.cross_entropy(a, torch.tensor(labels).long()),
            rng.normal(size=(6, 4)) * 50,
        )


def test_cross_entropy_without_rows_is_nan_as_in_pytorch():
    x, labels = tc.zeros(0, 3), tc.zeros(0, dtype=tc.int64)
    assert math.isnan(F.cross_entropy(x, labels).item())
    assert math.isnan(TF.cross_entropy(torch.zeros(0, 3), torch.zeros(0).long()).item())
    assert F.cross_entropy(x, labels, reduction="sum").item() == 0
    assert math.isnan(F.cross_entropy(tc.zeros(1, 3), tc.tensor([-100])).item())


def test_cross_entropy_far_out_stays_finite():
    x = tc.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    loss = F.cross_entropy(x, tc.tensor([0, 0]))
    assert loss.item() == 1e4
    loss.backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_cross_entropy_says_what_is_wrong():
    x = tc.zeros(2, 3)
    with pytest.raises(OptionError, match=r"label 3 at position 1 is outside the range 0 to 2"):
        F.cross_entropy(x, tc.tensor([0, 3]))
    with pytest.raises(OptionError, match="label -1 at position 0"):
        F.cross_entropy(x, tc.tensor([-1, 0]))
    with pytest.raises(DtypeError, match=r"labels are integers.*float32.*\(2,\).*probabilities"):
        F.cross_entropy(x, tc.tensor([0.0, 1.0]))
    with pytest.raises(ShapeError, match=r"labels of shape \(2,\), got \(3,\)"):
        F.cross_entropy(x, tc.tensor([0, 1, 2]))
    with pytest.raises(OptionError, match="reduction"):
        F.cross_entropy(x, tc.tensor([0, 1]), reduction="avg")
    with pytest.raises(OptionError, match=r"label_smoothing.*1\.5"):
        F.cross_entropy(x, tc.tensor([0, 1]), label_smoothing=1.5)
    for nothing in (None, ""):
        with pytest.raises(TypeError):
            F.cross_entropy(x, tc.tensor([0, 1]), label_smoothing=nothing)
    with pytest.raises(ShapeError, match=r"weight needs shape \(3,\)"):
        F.cross_entropy(x, tc.tensor([0, 1]), weight=tc.ones(2))
    with pytest.raises(OptionError, match="ignore_index"):
        F.cross_entropy(x, x, ignore_index=0)


# --- other losses ---------------------------------------------------------------------------------


def test_binary_cross_entropy_at_the_edges():
    x = np.array([0.0, 1.0, 0.0, 1.0, 0.5])
    y = np.array([0.0, 1.0, 1.0, 0.0, 0.5])
    follow(
        lambda a: F.binary_cross_entropy(a, tc.tensor(y)),
        lambda a: TF.binary_cross_entropy(a, torch.tensor(y)),
        x,
        second=False,
        tolerance=1e-8,  # PyTorch's 1e-12 is one in single precision
    )
    with pytest.raises(OptionError, match=r"from -1 to 2.*logits"):
        F.binary_cross_entropy(tc.tensor([-1.0, 2.0]), tc.tensor([0.0, 1.0]))
    with pytest.raises(ShapeError, match="one shape"):
        F.binary_cross_entropy(tc.zeros(2), tc.zeros(3))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum", "batchmean"])
@pytest.mark.filterwarnings("ignore:reduction")
def test_kl_div(reduction):
    rng = np.random.default_rng(3)
    x, y = np.log(rng.dirichlet(np.ones(4), 3)), rng.dirichlet(np.ones(4), 3)
    for target, log in ((y, False), (np.log(y), True)):
        follow(
            lambda a, t=target, g=log: F.kl_div(a, tc.tensor(t), reduction, log_target=g),
            lambda a, t=target, g=log: TF.kl_div(
                a, torch.tensor(t), reduction=reduction, log_target=g
            ),
            x,
        )
    y[0, 0] = 0
    follow(lambda a: F.kl_div(a, tc.tensor(y), "sum"),
           lambda a: TF.kl_div(a, torch.tensor(y), reduction="sum"), x)  # fmt: skip


def test_loss_layers_and_their_errors():
    x, y = tc.randn(4, 3), tc.rand(4, 3)
    labels = tc.tensor([0, 1, 2, 0])
    for name, target in (("MSELoss", y), ("L1Loss", y), ("HuberLoss", y), ("SmoothL1Loss", y),
                         ("BCEWithLogitsLoss", y), ("CrossEntropyLoss", labels)):  # fmt: skip
        ours, theirs = getattr(tc.nn, name)(), getattr(torch.nn, name)()
        args = [torch.tensor(v.numpy()) for v in (x, target)]
        np.testing.assert_allclose(ours(x, target).item(), theirs(*args).item(), rtol=1e-5)
        with pytest.raises(OptionError, match=rf"{name}: reduction"):
            getattr(tc.nn, name)(reduction="avg")
    logs = F.log_softmax(x, 1)
    assert tc.nn.NLLLoss()(logs, labels).item() == pytest.approx(
        tc.nn.CrossEntropyLoss()(x, labels).item()
    )
    assert tc.nn.KLDivLoss("batchmean")(logs, y).shape == ()
    assert tc.nn.BCELoss()(y, y).shape == ()
    assert list(tc.nn.CrossEntropyLoss(weight=tc.ones(3)).state_dict()) == ["weight"]


def test_a_target_that_would_broadcast_warns():
    with pytest.warns(UserWarning, match=r"\(3, 1\), the target \(3,\)"):
        assert F.mse_loss(tc.zeros(3, 1), tc.ones(3)).item() == 1


# --- the rest -------------------------------------------------------------------------------------


def test_dropout():
    tc.manual_seed(0)
    x = tc.ones(200, 100, requires_grad=True)
    out = F.dropout(x, 0.25)
    values = np.unique(out.detach().numpy())
    np.testing.assert_allclose(values, [0, 4 / 3], rtol=1e-6)
    assert abs(out.mean().item() - 1) < 0.02
    out.sum().backward()
    assert (x.grad == out.detach()).all()
    assert F.dropout(x, 0.5, training=False) is x
    assert F.dropout(x, 0.0) is x
    assert (F.dropout(x, 1.0) == 0).all()
    layer = tc.nn.Dropout(0.5)
    assert layer.eval()(x) is x
    tc.manual_seed(1)
    a = F.dropout(x)
    tc.manual_seed(1)
    assert (a == F.dropout(x)).all()
    for p in (-0.1, 1.5):
        with pytest.raises(OptionError, match="between 0 and 1"):
            F.dropout(x, p)


def test_one_hot():
    labels = np.array([[0, 2], [1, 0]])
    close(F.one_hot(tc.tensor(labels)), TF.one_hot(torch.tensor(labels)))
    close(F.one_hot(tc.tensor(labels), 5), TF.one_hot(torch.tensor(labels), 5))
    with pytest.raises(OptionError, match=r"label 2 at position \(0, 1\)"):
        F.one_hot(tc.tensor(labels), 2)
    with pytest.raises(DtypeError, match="float32"):
        F.one_hot(tc.zeros(2))


@relaxed
@given(seeds, st.sampled_from(["constant", "reflect", "replicate", "circular"]))
def test_pad(seed, mode):
    rng = np.random.default_rng(seed)
    widths = rng.integers(-1 if mode == "constant" else 0, 3, 4).tolist()
    value = 1.5 if mode == "constant" else None
    follow(lambda a: F.pad(a, widths, mode, value), lambda a: TF.pad(a, widths, mode, value),
           rng.normal(size=(2, 3, 4, 5)), second=False)  # fmt: skip


def test_pad_says_what_is_wrong():
    x = tc.zeros(2, 3)
    with pytest.raises(OptionError, match="pair of widths"):
        F.pad(x, [1])
    with pytest.raises(OptionError, match="'edge' is none of"):
        F.pad(x, [1, 1], "edge")
    with pytest.raises(ShapeError, match="widths up to 2"):
        F.pad(x, [3, 0], "reflect")
    with pytest.raises(OptionError, match="takes no value"):
        F.pad(x, [1, 0], "reflect", 1.0)


def test_normalize_leaves_zeros():
    assert (F.normalize(tc.zeros(2, 3)) == 0).all()
