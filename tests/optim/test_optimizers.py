"""Optimisers against PyTorch, step by step; parameter groups, state, flat arrays, errors."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course import nn, optim
from tinygrad_course.errors import DtypeError, GradientError, OptionError, ShapeError
from tinygrad_course.kernels import update
from tinygrad_course.optim.flat import BLOCK, LAUNCH
from tinygrad_course.testing import strategies as ts

SMALL = [(3, 4), (5,), (2, 3, 2), ()]
LARGE = [(3,), (LAUNCH + 5,), (7, 5), (5, BLOCK), (BLOCK // 2,), (BLOCK // 2 + 9,), (2,)]
AGREE = {"float64": 1e-9, "float32": 1e-3}

rates = st.sampled_from([1e-3, 0.1]) | st.floats(1e-4, 0.2)
decays = st.sampled_from([0.0, 0.1]) | st.floats(0, 0.5)
shares = st.sampled_from([0.0, 0.5, 0.9]) | st.floats(0.0, 0.99)
small = st.sampled_from([1e-8, 1e-3]) | st.floats(1e-9, 1e-2)
ADAM = {"betas": st.tuples(shares, shares), "eps": small, "amsgrad": st.booleans()}
OPTIONS = {
    "SGD": {"momentum": shares},
    "Adam": ADAM,
    "AdamW": ADAM,
    "Adagrad": {
        "eps": small,
        "lr_decay": st.sampled_from([0.0, 0.1]) | st.floats(0, 2),
        "initial_accumulator_value": st.sampled_from([0.0, 0.5]) | st.floats(0, 2),
    },
    "RMSprop": {
        "eps": small,
        "alpha": st.sampled_from([0.99, 0.5]) | shares,
        "momentum": shares,
        "centered": st.booleans(),
    },
    "Adadelta": {"eps": small, "rho": st.sampled_from([0.9, 0.5]) | st.floats(0, 1)},
}


@st.composite
def options_of(draw, name):
    """Options of an optimiser that go together."""
    options = draw(st.fixed_dictionaries(
        {"lr": rates, "weight_decay": decays, "maximize": st.booleans()} | OPTIONS[name]
    ))  # fmt: skip
    if name == "SGD":
        options["nesterov"] = options["momentum"] > 0 and draw(st.booleans())
        if not options["nesterov"]:
            options["dampening"] = draw(st.sampled_from([0.0, 0.3]) | st.floats(0, 1))
    if name == "RMSprop" and options["centered"]:  # E − m² of few gradients is mostly rounding
        options["alpha"] = draw(st.floats(0.3, 0.99))
    return options


@st.composite
def recipes(draw):
    """The name of an optimiser, and options."""
    name = draw(st.sampled_from(sorted(OPTIONS)))
    return name, draw(options_of(name))


@st.composite
def grouped(draw):
    """The same, and the options in which each of two groups differs."""
    name, options = draw(recipes())
    kept = ("lr", "weight_decay", "eps") if name != "SGD" else ("lr", "weight_decay")
    other = draw(options_of(name))
    names = draw(st.sets(st.sampled_from(kept)))
    return name, options, {k: other[k] for k in names}


def race(name, options, shapes, dtype, steps, seed, missing, second=None):
    """Both optimisers on the same gradients, some of them left out; the largest difference.

    With `second`, the second half of the parameters is a group with these options.
    """
    torch = pytest.importorskip("torch")
    options = options if dtype == "float64" else _tame(options)
    rng = np.random.default_rng(seed)
    start = [rng.normal(size=s).astype(dtype) for s in shapes]
    ours = [tc.tensor(v, requires_grad=True) for v in start]
    theirs = [torch.tensor(v, requires_grad=True) for v in start]
    a, b = (getattr(room, name)(_groups(params, second), **options)
            for room, params in ((optim, ours), (torch.optim, theirs)))  # fmt: skip
    worst = 0.0
    for _ in range(steps):
        for p, q in zip(ours, theirs, strict=True):
            g = rng.normal(size=p.shape).astype(dtype)
            gone = rng.random() < missing
            p.grad = None if gone else tc.tensor(g)
            q.grad = None if gone else torch.tensor(g)
        a.step()
        b.step()
        for p, q in zip(ours, theirs, strict=True):
            worst = max(worst, _difference(p, q))
    return worst


def _tame(options):
    """Options with which no step is divided by a single small gradient: that is mostly rounding."""
    least = {"eps": 1e-3, "alpha": 0.5, "rho": 0.5}
    if "betas" in options:
        options = {**options, "betas": (options["betas"][0], max(options["betas"][1], 0.5))}
    return options | {k: max(v, options[k]) for k, v in least.items() if k in options}


def _groups(params, second):
    if second is None:
        return params
    half = len(params) // 2
    return [{"params": params[:half]}, {"params": params[half:], **second}]


def _difference(p, q):
    """The largest difference, relative where numbers are larger than 1."""
    p, q = p.detach().numpy(), q.detach().numpy()
    return (np.abs(p - q) / np.maximum(1, np.abs(q))).max()


@ts.profile(40)
@given(grouped(), st.integers(0, 999))
def test_groups_with_options_of_their_own_are_pytorchs(recipe, seed):
    name, options, second = recipe
    assert race(name, options, SMALL, "float64", 20, seed, 0.2, second) < 1e-9


@ts.profile(60)
@given(recipes(), st.sampled_from(["float64", "float32"]), st.integers(0, 999),
       st.sampled_from([0.0, 0.3]))  # fmt: skip
def test_twenty_steps_are_pytorchs(recipe, dtype, seed, missing):
    assert race(*recipe, SMALL, dtype, 20, seed, missing) < AGREE[dtype]


@ts.profile(12)
@given(recipes(), st.sampled_from(["float64", "float32"]), st.integers(0, 999),
       st.sampled_from([0.0, 0.3]))  # fmt: skip
def test_the_kernels_too(recipe, dtype, seed, missing):
    assert race(*recipe, LARGE, dtype, 5, seed, missing) < AGREE[dtype]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {}),
        ("SGD", {"momentum": 0.9, "nesterov": True}),
        ("AdamW", {}),
        ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
        ("RMSprop", {"momentum": 0.5, "centered": True}),
        ("Adagrad", {}),
        ("Adadelta", {"maximize": True}),
    ],
)
def test_the_kernels_on_threads(monkeypatch, name, options):
    monkeypatch.setattr(update, "_LEAST", 1)
    assert race(name, options, LARGE, "float64", 4, 0, 0.3) < AGREE["float64"]


@ts.profile(60)
@given(recipes(), st.integers(0, 999))
def test_state_moves_to_another_optimiser_and_from_pytorch(recipe, seed):
    torch = pytest.importorskip("torch")
    name, options = recipe
    rng = np.random.default_rng(seed)
    start = [rng.normal(size=s) for s in SMALL]
    theirs = [torch.tensor(v, requires_grad=True) for v in start]
    b = getattr(torch.optim, name)(theirs, **options)
    for _ in range(3):
        for q in theirs[1:]:
            q.grad = torch.tensor(rng.normal(size=tuple(q.shape)))
        b.step()
    ours = [tc.tensor(q.detach().numpy(), requires_grad=True) for q in theirs]
    a = getattr(optim, name)(ours, lr=7.0)
    a.load_state_dict(b.state_dict())
    third = [tc.tensor(p.detach().numpy(), requires_grad=True) for p in ours]
    c = getattr(optim, name)(third, lr=7.0)
    c.load_state_dict(copy.deepcopy(a.state_dict()))
    assert c.param_groups[0]["lr"] == options["lr"]
    for p, q, r in zip(ours, theirs, third, strict=True):
        g = rng.normal(size=p.shape)
        p.grad, q.grad, r.grad = tc.tensor(g), torch.tensor(g), tc.tensor(g)
    a.step(), b.step(), c.step()
    for p, q, r in zip(ours, theirs, third, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), atol=1e-9)
        assert (p == r).all()


def test_parameters_are_views_of_one_array_and_stay_so():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    opt = optim.Adam(net.parameters(), lr=0.1)
    base = net[0].weight._data.base
    assert all(p._data.base is base for p in net.parameters())
    assert base.size == 13
    net.load_state_dict({k: v.numpy() * 0 + 2 for k, v in net.state_dict().items()})
    assert (base == 2).all()
    net[0].weight.data = tc.ones(3, 2)  # somebody gives it an array of its own
    for p in net.parameters():
        p.grad = tc.ones_like(p)
    opt.step()
    assert all(p._data.base is base for p in net.parameters())
    np.testing.assert_allclose(net[0].weight.detach().numpy(), 0.9, atol=1e-6)
    net[0].weight.data = tc.ones(5)
    with pytest.raises(ShapeError, match="new optimiser"):
        opt.step()


def test_two_optimisers_may_share_parameters():
    w = tc.tensor([1.0, 2.0], requires_grad=True)
    a, b = optim.SGD([w], lr=1.0), optim.SGD([w], lr=0.1)
    w.grad = tc.ones(2)
    a.step(), b.step(), a.step()
    np.testing.assert_allclose(w.detach().numpy(), [-1.1, -0.1], rtol=1e-6)


def test_a_model_may_change_its_dtype_between_steps():
    net = nn.Linear(2, 2)
    opt = optim.Adam(net.parameters(), lr=0.1)
    for dtype in (tc.float32, tc.float64, tc.float32):
        net.to(dtype)
        for p in net.parameters():
            p.grad = tc.ones_like(p)
        opt.step()
    assert opt.state[net.bias]["step"] == 3
    assert opt.state[net.bias]["exp_avg"].dtype == tc.float32


def test_a_step_makes_older_graphs_raise():
    w = tc.tensor([1.0, 2.0], requires_grad=True)
    opt = optim.SGD([w], lr=0.1)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    opt.step()
    with pytest.raises(GradientError, match="written into"):
        loss.backward()


def test_groups_have_options_of_their_own():
    a, b = nn.Parameter([1.0]), nn.Parameter([1.0])
    opt = optim.SGD([{"params": a}, {"params": [b], "lr": 0.5}], lr=0.1)
    a.grad, b.grad = tc.ones(1), tc.ones(1)
    opt.step()
    np.testing.assert_allclose([a.item(), b.item()], [0.9, 0.5], rtol=1e-6)
    opt.param_groups[0]["lr"] = 0.4
    opt.step()
    np.testing.assert_allclose([a.item(), b.item()], [0.5, 0.0], rtol=1e-6)
    c = nn.Parameter([1.0])
    opt.add_param_group({"params": [c], "momentum": 0.9})
    assert opt.param_groups[2]["momentum"] == 0.9
    assert "lr=0.4" in repr(opt)


def test_frozen_parameters_wait():
    a, b = nn.Parameter([1.0]), nn.Parameter([1.0], requires_grad=False)
    opt = optim.Adam([a, b], lr=0.1)
    a.grad = tc.ones(1)
    opt.step()
    assert b.item() == 1
    b.requires_grad_()
    a.grad, b.grad = None, tc.ones(1)
    opt.step()
    np.testing.assert_allclose([a.item(), b.item()], [0.9, 0.9], rtol=1e-6)


def test_closure_and_zero_grad():
    w = tc.tensor([2.0], requires_grad=True)
    opt = optim.SGD([("weight", w)], lr=0.1)

    def closure():
        opt.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with tc.no_grad():
        assert opt.step(closure).item() == 4
    np.testing.assert_allclose(w.detach().numpy(), [1.6], rtol=1e-6)
    opt.zero_grad(set_to_none=False)
    assert w.grad.item() == 0
    opt.zero_grad()
    assert w.grad is None


def test_momentum_may_be_turned_on_later():
    w = tc.tensor([1.0], requires_grad=True)
    opt = optim.SGD([w], lr=1.0)
    w.grad = tc.tensor([0.5])
    opt.step()
    assert opt.state == {}
    opt.param_groups[0]["momentum"] = 0.5
    opt.step()
    opt.step()
    assert w.item() == 1 - 0.5 - 0.5 - 0.75


@pytest.mark.parametrize("size", [3, BLOCK + 5])
@given(st.sampled_from([0.5, 0.9, 0.0]), st.integers(0, 99))
@ts.profile(6)
def test_the_courses_momentum_is_an_average_from_the_first_step(size, beta, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=size)
    p = tc.tensor(x, requires_grad=True)
    opt, v = optim.SGD([p], lr=0.1, momentum=beta, average=True), 0.0
    for _ in range(20):
        g = rng.normal(size=size)
        v = beta * v + (1 - beta) * g
        x = x - 0.1 * v
        p.grad = tc.tensor(g)
        opt.step()
        np.testing.assert_allclose(p.detach().numpy(), x, atol=1e-12)


def adagrad(x, g, t, memory):
    memory["G"] = memory.get("G", 0) + g**2
    return x - 0.1 / (np.sqrt(memory["G"]) + 1e-3) * g


def rmsprop(x, g, t, memory):
    memory["E"] = 0.9 * memory.get("E", 0) + (1 - 0.9) * g**2
    return x - 0.1 / (np.sqrt(memory["E"]) + 1e-3) * g


def adam(x, g, t, memory):
    memory["v"] = 0.8 * memory.get("v", 0) + (1 - 0.8) * g
    memory["s"] = 0.95 * memory.get("s", 0) + (1 - 0.95) * g**2
    v, s = memory["v"] / (1 - 0.8**t), memory["s"] / (1 - 0.95**t)
    return x - 0.1 * v / (np.sqrt(s) + 1e-3)


@pytest.mark.parametrize(
    ("kind", "options", "formula"),
    [
        (optim.Adagrad, {}, adagrad),
        (optim.RMSprop, {"alpha": 0.9}, rmsprop),
        (optim.Adam, {"betas": (0.8, 0.95)}, adam),
    ],
)
def test_the_slides_formulas(kind, options, formula):
    rng = np.random.default_rng(0)
    x, memory = rng.normal(size=5), {}
    p = tc.tensor(x, requires_grad=True)
    opt = kind([p], lr=0.1, eps=1e-3, **options)
    for t in range(1, 21):
        g = rng.normal(size=5)
        x = formula(x, g, t, memory)
        p.grad = tc.tensor(g)
        opt.step()
        np.testing.assert_allclose(p.detach().numpy(), x, atol=1e-12)


def test_a_constant_gradient_leaves_centered_rmsprop_finite():
    p = tc.tensor(np.full(50, 1.0), requires_grad=True)
    opt = optim.RMSprop([p], alpha=0.5, centered=True)
    for _ in range(200):
        p.grad = tc.tensor(np.linspace(0.1, 3, 50))
        opt.step()
    assert tc.isfinite(p).all()


def w():
    return tc.tensor([1.0], requires_grad=True)


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda: optim.SGD([]), OptionError, "empty list"),
        (lambda: optim.SGD([{"params": []}]), OptionError, "group is empty"),
        (lambda: optim.SGD(w()), DtypeError, r"write \[p\]"),
        (lambda: optim.SGD([3.0]), DtypeError, "got float"),
        (lambda: optim.SGD([w() * 2]), GradientError, "result of mul"),
        (lambda: optim.SGD([tc.tensor([1.0])]), GradientError, "nothing to learn"),
        (lambda: optim.SGD([tc.tensor([1])]), DtypeError, "int64"),
        (lambda: optim.SGD([w()] * 2), OptionError, "twice"),
        (lambda: optim.SGD([w()], lr=-1.0), OptionError, "SGD: lr must not be negative, got -1"),
        (lambda: optim.SGD([w()], momentum=-1.0), OptionError, "momentum"),
        (lambda: optim.SGD([w()], nesterov=True), OptionError, "nesterov"),
        (
            lambda: optim.SGD([w()], momentum=0.5, dampening=0.1, average=True),
            OptionError,
            "average",
        ),
        (lambda: optim.RMSprop([w()], alpha=-1.0), OptionError, "RMSprop: alpha"),
        (lambda: optim.Adagrad([w()], lr_decay=-1.0), OptionError, "Adagrad: lr_decay"),
        (lambda: optim.Adadelta([w()], rho=1.5), OptionError, "Adadelta: rho"),
        (lambda: optim.AdamW([w()], weight_decay=-1.0), OptionError, "AdamW: weight_decay"),
        (lambda: optim.Adam([w()], betas=(0.9, 1.0)), OptionError, "betas"),
        (lambda: optim.Adam([w()], eps=-1.0), OptionError, "eps"),
        (lambda: optim.Adam([{"params": [w()], "lrr": 1.0}]), OptionError, "no option 'lrr'"),
        (lambda: optim.Adam([{"lr": 1.0}]), OptionError, "needs 'params'"),
        (lambda: optim.Adam([w()], foreach=True), TypeError, "foreach"),
    ],
)
def test_errors(make, kind, text):
    with pytest.raises(kind, match=text):
        make()


def test_a_state_that_does_not_fit_changes_nothing():
    a, b = optim.Adam([w(), w()]), optim.Adam([w()])
    with pytest.raises(OptionError, match=r"\[2\] parameters.*\[1\]"):
        b.load_state_dict(a.state_dict())
    state = b.state_dict()
    state["state"] = {0: {"step": 1, "exp_avg": np.ones(4)}}
    state["param_groups"][0]["lr"] = 5.0
    with pytest.raises(ShapeError, match="exp_avg has shape"):
        b.load_state_dict(state)
    assert b.param_groups[0]["lr"] == 1e-3
