"""Hooks, parts by their paths, PyTorch's longer import paths, and weight norm."""

import importlib

import numpy as np
import pytest

import tinygrad_course as tc
from tinygrad_course import nn
from tinygrad_course.errors import OptionError

torch = pytest.importorskip("torch")


def twins():
    """The same small network twice."""
    ours, theirs = (
        m.Sequential(m.Linear(3, 4), m.Tanh(), m.Linear(4, 2)).double() for m in (nn, torch.nn)
    )
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def test_forward_hooks_see_and_replace():
    net = nn.Linear(2, 2, bias=False)
    x, seen = tc.ones(1, 2), []
    plain = net(x)
    before = net.register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    first = net.register_forward_pre_hook(lambda m, args: seen.append("first"), prepend=True)
    assert (net(x) == plain * 2).all()
    after = net.register_forward_hook(lambda m, args, out: out + 1)
    named = net.register_forward_hook(
        lambda m, args, kwargs, out: seen.append(sorted(kwargs)), with_kwargs=True, prepend=True
    )
    first.remove(), before.remove()
    assert (net(input=x) == plain + 1).all()
    assert seen == ["first", ["input"]]
    swap = net.register_forward_pre_hook(
        lambda m, args, kwargs: ((), {"input": kwargs["input"] * 4}), with_kwargs=True
    )
    after.remove(), named.remove()
    assert (net(input=x) == plain * 4).all()
    swap.remove()
    assert (net(x) == plain).all()
    with pytest.raises(OptionError, match="always_call"):
        net.register_forward_hook(print, always_call=True)


@pytest.mark.filterwarnings("ignore:Full backward hook")
@pytest.mark.parametrize("tracked", [True, False])
def test_backward_hooks_are_pytorchs(tracked):
    seen, grads = [], []
    for net, turn in zip(twins(), (tc.tensor, torch.tensor), strict=True):
        found = []

        def hook(module, grad_in, grad_out, found=found):
            found.append([None if g is None else g.numpy().copy() for g in (*grad_in, *grad_out)])
            return tuple(None if g is None else g * 2 for g in grad_in)

        handle = net[2].register_full_backward_hook(hook)
        x = turn(np.arange(6.0).reshape(2, 3), requires_grad=tracked)
        net[0].requires_grad_(tracked)
        (net(x) ** 2).sum().backward()
        handle.remove()
        (net(x) ** 2).sum().backward()
        assert len(found) == 1
        seen.append(found[0])
        grads.append([p.grad for p in [x, *net.parameters()] if p.requires_grad])
    for left, right in (seen, grads):
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                # near saturation a slope 1 - tanh² keeps the rounding of 1, not its own
                np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-12, atol=1e-14)


def test_parts_by_their_paths():
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.BatchNorm1d(2)))
    assert net.get_submodule("") is net
    assert net.get_submodule("1.0") is net[1][0]
    assert net.get_parameter("0.weight") is net[0].weight
    assert net.get_buffer("1.0.running_mean") is net[1][0].running_mean
    for call, path in ((net.get_submodule, "2"), (net.get_parameter, "0.wieght")):
        with pytest.raises(AttributeError, match="has no attribute"):
            call(path)
    with pytest.raises(AttributeError, match="not a module"):
        net.get_submodule("0.weight")
    with pytest.raises(AttributeError, match="not a parameter"):
        net.get_parameter("1.0.running_mean")


def test_pytorchs_paths_lead_to_the_same_classes():
    for path, file in nn.aliases.PLACES.items():
        module = importlib.import_module(f"tinygrad_course.nn.{path}")
        assert module is importlib.import_module(f"tinygrad_course.nn.{file}")
    from tinygrad_course.nn.modules.batchnorm import _BatchNorm
    from tinygrad_course.nn.modules.conv import Conv2d
    from tinygrad_course.nn.parameter import Parameter

    assert (Conv2d, Parameter) == (nn.Conv2d, nn.Parameter)
    assert isinstance(nn.BatchNorm3d(2), _BatchNorm)
    for name in ("activation", "conv", "loss", "rnn", "pooling", "transformer", "sparse", "linear"):
        theirs, ours = getattr(torch.nn.modules, name), getattr(nn.modules, name)
        known = [n for n in theirs.__all__ if n in nn.__all__ and n != "MultiheadAttention"]
        assert known
        assert all(getattr(ours, n) is getattr(nn, n) for n in known), name


def test_parameter_containers():
    found = nn.ParameterList([tc.ones(2), nn.Parameter(tc.ones(3))])
    found += [tc.ones(4)]
    found[0] = tc.zeros(2)
    assert [(n, p.shape) for n, p in found.named_parameters()] == [
        ("0", (2,)),
        ("1", (3,)),
        ("2", (4,)),
    ]
    assert len(found[1:]) == 2
    assert found[-1].shape == (4,)
    theirs = torch.nn.ParameterList([torch.ones(2), torch.ones(3), torch.ones(4)])
    found.load_state_dict(theirs.state_dict())
    table = nn.ParameterDict({"a": tc.ones(2)})
    table["b"] = tc.ones(1)
    assert list(table) == ["a", "b"] == list(table.state_dict())
    del table["a"]
    assert "a" not in table
    many = [m.ModuleList([m.ReLU(), m.ReLU(), m.Linear(2, 2)]) for m in (nn, torch.nn)]
    assert repr(many[0]) == repr(many[1])


@pytest.mark.filterwarnings("ignore:.*weight_norm.*")
@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("kind", ["Linear", "Conv1d"])
def test_weight_norm_is_pytorchs(kind, dim):
    args = (3, 2) if kind == "Linear" else (3, 2, 2)
    x = np.random.default_rng(0).normal(size=(4, 3) if kind == "Linear" else (2, 3, 5))
    sides = []
    for m, turn in ((nn, tc.tensor), (torch.nn, torch.tensor)):
        layer = m.utils.weight_norm(getattr(m, kind)(*args).double(), dim=dim)
        sides.append((layer, turn(x), m))
    (ours, a, _), (theirs, b, _) = sides
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    with tc.no_grad():
        ours.weight_g.mul_(1.5)
    with torch.no_grad():
        theirs.weight_g.mul_(1.5)
    p, q = ours(a), theirs(b)
    np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-12)
    (p * p).sum().backward()
    (q * q).sum().backward()
    for u, v in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(u.grad.numpy(), v.grad.numpy(), rtol=1e-9, atol=1e-12)
    nn.utils.remove_weight_norm(ours)
    torch.nn.utils.remove_weight_norm(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    np.testing.assert_allclose(ours(a).detach().numpy(), p.detach().numpy(), rtol=1e-12)
    with pytest.raises(OptionError, match=r"'weight' of .* is not normalised"):
        nn.utils.remove_weight_norm(ours)
    with pytest.raises(OptionError, match="no parameter 'wight' to normalise; it has"):
        nn.utils.weight_norm(ours, "wight")


@pytest.mark.parametrize(("shape", "groups"), [((4, 2, 3), 1), ((4, 2, 3), 2), ((3, 5, 2, 3), 3)])
def test_initial_values_that_hand_on(shape, groups):
    a = nn.init.dirac_(tc.ones(*shape), groups)
    b = torch.nn.init.dirac_(torch.ones(*shape), groups)
    assert a.tolist() == b.tolist()
    assert nn.init.eye_(tc.ones(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    with pytest.raises(tc.errors.ShapeError, match="eye_: needs 2 dimensions"):
        nn.init.eye_(tc.ones(2))
    with pytest.raises(tc.errors.ShapeError, match="dirac_: needs 3, 4 or 5"):
        nn.init.dirac_(tc.ones(2))
    with pytest.raises(OptionError, match="do not divide into 7 groups"):
        nn.init.dirac_(tc.ones(*shape), 7)


def test_initial_values_from_a_generator():
    for name in ("normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "kaiming_normal_",
                 "kaiming_uniform_", "orthogonal_", "trunc_normal_"):  # fmt: skip
        fill = getattr(nn.init, name)
        a, b = (fill(tc.empty(3, 4), generator=tc.Generator().manual_seed(5)) for _ in range(2))
        assert a.tolist() == b.tolist(), name
        assert a.tolist() != fill(tc.empty(3, 4)).tolist(), name
