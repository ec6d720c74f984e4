"""Normalisation against PyTorch in float64: results, gradients, running averages, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_course as tc
from tests.nn.test_functional import follow as follow_function
from tinygrad_course import nn
from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.nn import functional as F

torch = pytest.importorskip("torch")
TF = torch.nn.functional
relaxed = settings(deadline=None, max_examples=12)
seeds = st.integers(0, 2**32 - 1)


def disturb(module, rng):
    """Parameters and running averages that are not all 1 or 0."""
    for p in module.parameters():
        nn.init.uniform_(p, 0.5, 1.5)
    for b in module.buffers():
        if b.dtype.kind == "f":
            b.data = rng.uniform(0.5, 1.5, b.shape)


def agree(a, b, tolerance=1e-9):
    np.testing.assert_allclose(
        a.detach().numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance
    )


def follow(ours, theirs, shape, seed):
    """Three batches in training and one in evaluation: results, gradients and the whole state."""
    rng = np.random.default_rng(seed)
    ours, theirs = ours.double(), theirs.double()
    disturb(ours, rng)
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    assert repr(ours) == repr(theirs)
    for training in (True, True, False, True):
        ours.train(training), theirs.train(training)
        x = rng.normal(2, 3, shape)
        a, b = tc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        p, q = ours(a), theirs(b)
        agree(p, q)
        g = rng.normal(size=shape)
        p.backward(tc.tensor(g))
        q.backward(torch.tensor(g))
        for u, v in [(a, b), *zip(ours.parameters(), theirs.parameters(), strict=True)]:
            agree(u.grad, v.grad, 1e-8)
        left, right = ours.state_dict(), theirs.state_dict()
        assert list(left) == list(right)
        for name in left:
            agree(left[name], right[name])
    fresh = type(ours).__new__(type(ours))
    fresh.__dict__.update(ours.__dict__)
    fresh.load_state_dict(theirs.state_dict())


sizes = st.integers(1, 4)
CHANNELWISE = {
    "eps": st.sampled_from([1e-5, 0.1]),
    "momentum": st.sampled_from([0.1, 0.5]),
    "affine": st.booleans(),
    "bias": st.booleans(),
    "track_running_stats": st.booleans(),
}
with_average = st.fixed_dictionaries(CHANNELWISE | {"momentum": st.sampled_from([0.1, None])})


@relaxed
@given(seeds, sizes, st.sampled_from([(), (3,), (1,)]), with_average)
def test_batch_norm_1d(seed, c, places, options):
    shape = (4, c, *places)
    follow(nn.BatchNorm1d(c, **options), torch.nn.BatchNorm1d(c, **options), shape, seed)


@relaxed
@given(seeds, sizes, sizes, sizes, with_average)
def test_batch_norm_2d(seed, c, h, w, options):
    shape = (2, c, h, w)
    follow(nn.BatchNorm2d(c, **options), torch.nn.BatchNorm2d(c, **options), shape, seed)


@relaxed
@given(seeds, sizes, st.booleans(), st.fixed_dictionaries(CHANNELWISE))
def test_instance_norm(seed, c, batched, options):
    shape = (3, c, 2, 3) if batched else (c, 2, 3)
    follow(nn.InstanceNorm2d(c, **options), torch.nn.InstanceNorm2d(c, **options), shape, seed)


@relaxed
@given(seeds, st.sampled_from([(4,), (3, 4), (2, 3, 4)]), st.sampled_from([(), (2,), (1, 3)]),
       st.booleans(), st.booleans(), st.sampled_from([1e-5, 0.1]))  # fmt: skip
def test_layer_norm_and_rms_norm(seed, form, lead, affine, bias, eps):
    shape = (*lead, *form)
    follow(nn.LayerNorm(form, eps, affine, bias), torch.nn.LayerNorm(form, eps, affine, bias),
           shape, seed)  # fmt: skip
    for e in (eps, None):
        follow(nn.RMSNorm(form, e, affine), torch.nn.RMSNorm(form, e, affine), shape, seed)


@relaxed
@given(seeds, st.sampled_from([1, 2, 3, 6]), st.booleans(), st.sampled_from([(), (5,), (2, 3)]))
def test_group_norm(seed, groups, affine, places):
    if groups == 6 and not places:
        places = (2,)  # one value for each group: PyTorch refuses
    ours, theirs = (m.GroupNorm(groups, 6, affine=affine) for m in (nn, torch.nn))
    follow(ours, theirs, (2, 6, *places), seed)


@relaxed
@given(seeds, st.integers(1, 6), sizes, st.sampled_from([(3,), (2, 2)]))
def test_local_response_norm(seed, size, c, places):
    ours, theirs = (m.LocalResponseNorm(size, 0.3, 0.6, 1.5) for m in (nn, torch.nn))
    follow(ours, theirs, (2, c, *places), seed)


FUNCTIONS = [
    lambda f: lambda x, w, b: f.batch_norm(x, None, None, w, b, training=True),
    lambda f: lambda x, w, b: f.instance_norm(x, weight=w, bias=b),
    lambda f: lambda x, w, b: f.group_norm(x, 2, w, b),
    lambda f: lambda x, w, b: f.layer_norm(x, (2, 4), w[:2, None] * b, b - w[:2, None]),
    lambda f: lambda x, w, b: f.rms_norm(x.transpose(1, 3), (4,), w + b),
    lambda f: lambda x, w, b: f.local_response_norm(x + (w * b).reshape(4, 1, 1), 3),
]  # fmt: skip


@pytest.mark.parametrize("which", FUNCTIONS)
@pytest.mark.filterwarnings("ignore")
def test_functions_with_second_derivatives(which):
    rng = np.random.default_rng(0)
    arrays = rng.normal(size=(3, 4, 2, 3)), rng.normal(size=4), rng.normal(size=4)
    if which is FUNCTIONS[3]:
        arrays = (rng.normal(size=(3, 2, 4)), *arrays[1:])
    follow_function(which(F), which(TF), *arrays, tolerance=1e-8)


def test_an_older_evaluation_graph_keeps_its_running_averages():
    norm = nn.BatchNorm1d(2).eval()
    x = tc.tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True)
    y = norm(x).sum()
    norm.train()(x * 10)
    assert (norm.running_var > 1).all()
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 1, rtol=1e-4)
    norm.reset_running_stats()
    assert norm.running_mean.tolist() == [0, 0]
    assert norm.num_batches_tracked.item() == 0


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda x: nn.BatchNorm2d(3)(x[0]), ShapeError, "needs 4 dimensions"),
        (lambda x: nn.BatchNorm2d(5)(x), ShapeError, r"3 channels need running_mean of shape"),
        (lambda x: nn.BatchNorm1d(3)(x[:1, :, 0, 0]), ShapeError, "more than 1 value"),
        (lambda x: F.batch_norm(x, None, None), OptionError, "running_mean"),
        (lambda x: F.batch_norm(x[0, 0, 0], None, None), ShapeError, "at least 2 dimensions"),
        (lambda x: nn.InstanceNorm2d(2, affine=True)(x), ShapeError, "made for 2 channels"),
        (lambda x: F.instance_norm(x[..., :1, :1]), ShapeError, "more than 1 place"),
        (lambda x: nn.LayerNorm(7)(x), ShapeError, r"does not end in \(7,\)"),
        (lambda x: F.layer_norm(x, (4,), tc.ones(3)), ShapeError, "weight needs shape"),
        (lambda x: nn.GroupNorm(2, 3), OptionError, "2 groups"),
        (lambda x: F.group_norm(x, 2), OptionError, "2 groups"),
        (lambda x: F.local_response_norm(x, 0), OptionError, "size"),
    ],
)
def test_errors(make, kind, text):
    with pytest.raises(kind, match=text):
        make(tc.ones(2, 3, 4, 4))
