"""Module: names, the tree, state, errors."""

import copy
import pickle
import re

import numpy as np
import pytest

import tinygrad_course as tc
from tinygrad_course import nn
from tinygrad_course.errors import DtypeError, OptionError, ShapeError


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 3, 3)
        )
        self.fc1 = nn.Linear(12, 5)
        self.register_buffer("seen", tc.tensor(0))
        self.register_buffer("cache", tc.tensor(1.0), persistent=False)

    def forward(self, x):
        return self.fc1(self.features(x).flatten(1))


def test_the_tree_has_pytorchs_names_and_order():
    net = LeNet()
    assert [n for n, _ in net.named_modules()] == [
        "", "features", "features.0", "features.1", "features.2", "features.3", "fc1"
    ]  # fmt: skip
    assert [n for n, _ in net.named_parameters()] == [
        "features.0.weight", "features.0.bias", "features.3.weight", "features.3.bias",
        "fc1.weight", "fc1.bias",
    ]  # fmt: skip
    assert [n for n, _ in net.named_children()] == ["features", "fc1"]
    assert [n for n, _ in net.named_buffers()] == ["seen", "cache"]
    assert list(net.state_dict()) == [
        "seen", "features.0.weight", "features.0.bias", "features.3.weight", "features.3.bias",
        "fc1.weight", "fc1.bias",
    ]  # fmt: skip
    assert len(list(net.modules())) == 7
    assert len(list(net.parameters(recurse=False))) == 0


def test_shared_parameters_appear_once_but_are_saved_under_both_names():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    assert [n for n, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    twice = nn.Sequential(net[0], net[0])
    assert len(list(twice.parameters())) == 2
    assert len(list(twice.children())) == 1


def test_results_of_parameters_are_tensors():
    p = nn.Parameter([1.0, 2.0])
    assert type(p * 2) is tc.Tensor
    assert type(2 * p) is tc.Tensor
    assert type(p.detach()) is tc.Tensor
    assert p.is_leaf
    assert not nn.Parameter(p, requires_grad=False).requires_grad


def test_parameters_and_modules_can_be_copied_and_pickled():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other[0].weight is other[1].weight
        assert other[0].weight is other[0]._parameters["weight"]
        assert other[0].weight is not net[0].weight
        x = tc.ones(3, 2)
        assert (other(x) == net(x)).all()


def test_assignment_rules():
    net = nn.Linear(2, 2)
    with pytest.raises(DtypeError, match=r"Linear\.weight is a parameter.*not Tensor"):
        net.weight = tc.ones(2, 2)
    net.bias = None
    assert list(net.state_dict()) == ["weight"]
    net.bias = nn.Parameter(tc.ones(2))
    assert list(net.state_dict()) == ["weight", "bias"]
    del net.bias
    assert not hasattr(net, "bias")
    assert list(net.state_dict()) == ["weight"]
    with pytest.raises(OptionError, match="dots"):
        net.add_module("a.b", nn.ReLU())
    with pytest.raises(OptionError, match="uses itself"):
        net.forward = nn.ReLU()
    with pytest.raises(DtypeError, match="child is a module"):
        net.add_module("child", 3)
    with pytest.raises(OptionError, match="leaf"):
        net.register_parameter("late", _inner())


def _inner():
    p = nn.Parameter([1.0])
    q = p * 2
    p._node = q._node
    return p


def test_a_buffer_stays_a_buffer_when_assigned():
    net = LeNet()
    net.seen = tc.tensor(7)
    assert net.state_dict()["seen"].item() == 7
    with pytest.raises(DtypeError, match="buffer"):
        net.seen = 3


def test_unknown_attributes_name_the_class_and_what_is_close():
    with pytest.raises(AttributeError, match=r"'LeNet' has no attribute 'fc2'; did you mean 'fc1'"):
        _ = LeNet().fc2


def test_forgotten_super_init():
    class Net(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(1, 1)

    class Bare(nn.Module):
        def __init__(self):
            pass

        def forward(self, x):
            return x

    with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\) before.*'fc'"):
        Net()
    with pytest.raises(AttributeError, match=r"Bare.__init__ did not call super\(\)"):
        Bare()(1)
    with pytest.raises(NotImplementedError, match="no forward"):
        nn.Module()(1)


def test_errors_carry_the_path():
    with pytest.raises(ShapeError) as caught:
        LeNet()(tc.ones(2, 1, 14, 14))
    text = str(caught.value)
    assert text.endswith("in LeNet.fc1 (Linear(in_features=12, out_features=5, bias=True))")
    assert text.count("\n") == 1
    with pytest.raises(ShapeError, match=r"in LeNet\.features\.0 \(Conv2d\("):
        LeNet()(tc.ones(2, 3, 10, 10))
    with pytest.raises(ShapeError, match=r"in Linear \(Linear\("):
        nn.Linear(2, 2)(tc.ones(3))


def test_errors_without_a_text_get_a_note():
    class Broken(nn.Module):
        def forward(self, x):
            raise KeyError("a key")

    net = nn.Sequential(nn.Sequential(Broken()))
    with pytest.raises(KeyError) as caught:
        net(1)
    assert caught.value.__notes__ == ["in Sequential.0.0 (Broken())"]
    assert caught.value.args == ("a key",)


def test_train_eval_apply_hooks_and_zero_grad():
    net = LeNet()
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())
    with pytest.raises(OptionError):
        net.train("yes")
    seen = []
    net.apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Conv2d", "ReLU", "MaxPool2d", "Conv2d", "Sequential", "Linear", "LeNet"]
    handle = net.fc1.register_forward_hook(lambda module, args, out: out * 0)
    x = tc.ones(1, 1, 10, 10)
    assert (net(x) == 0).all()
    handle.remove()
    out = net(x)
    assert not (out == 0).all()
    out.sum().backward()
    assert net.fc1.weight.grad is not None
    net.zero_grad(set_to_none=False)
    assert (net.fc1.weight.grad == 0).all()
    net.zero_grad()
    assert net.fc1.weight.grad is None
    net.requires_grad_(False)
    assert not net(x).requires_grad


def test_conversion_keeps_the_objects():
    net = LeNet()
    before = list(net.parameters())
    net(tc.ones(1, 1, 10, 10)).sum().backward()
    assert net.double() is net
    assert list(map(id, net.parameters())) == list(map(id, before))
    assert {p.dtype for p in net.parameters()} == {tc.float64}
    assert net.fc1.weight.grad.dtype == tc.float64
    assert net.seen.dtype == tc.int64
    assert net.cache.dtype == tc.float64
    assert net(tc.ones(1, 1, 10, 10, dtype=tc.float64)).dtype == tc.float64
    assert net.to(tc.float32).fc1.weight.dtype == tc.float32
    with pytest.raises(DtypeError, match="floating"):
        net.to(tc.int64)


def test_state_dict_round_trip_writes_into_the_same_memory():
    source, target = LeNet(), LeNet()
    memory = target.fc1.weight._data
    assert target.load_state_dict(source.state_dict()) == ([], [])
    assert target.fc1.weight._data is memory
    for (_, a), (_, b) in zip(source._state(), target._state(), strict=True):
        assert (a == b).all()
    arrays = {k: v.numpy() for k, v in source.state_dict().items()}
    target.load_state_dict(arrays)


def test_loading_makes_old_graphs_raise():
    net = nn.Linear(2, 2)
    x = tc.ones(1, 2, requires_grad=True)
    out = net(x).sum()
    net.load_state_dict(net.state_dict())
    with pytest.raises(tc.errors.GradientError, match="written into"):
        out.backward()


def test_load_state_dict_tells_everything_at_once_and_changes_nothing():
    net = LeNet()
    before = {k: v.numpy().copy() for k, v in net.state_dict().items()}
    state = {k: v + 1 for k, v in before.items()}
    del state["fc1.bias"]
    state["fc9.bias"] = np.ones(3)
    state["fc1.weight"] = np.ones((2, 2))
    with pytest.raises(nn.StateError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    for part in ("LeNet", "missing: fc1.bias", "unexpected: fc9.bias",
                 "fc1.weight: shape (2, 2) instead of (5, 12)"):  # fmt: skip
        assert part in text
    for k, v in net.state_dict().items():
        assert (v.numpy() == before[k]).all()
    with pytest.raises(nn.StateError, match=re.escape("fc1.weight")):
        net.load_state_dict(state, strict=False)
    del state["fc1.weight"]
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert missing == ["fc1.weight", "fc1.bias"]
    assert unexpected == ["fc9.bias"]
    assert (net.features[0].bias.detach().numpy() == before["features.0.bias"] + 1).all()


def test_containers():
    net = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 3))
    assert isinstance(net[-1], nn.Linear)
    assert len(net[:2]) == 2
    net.append(nn.Tanh())
    net.insert(1, nn.Sigmoid())
    assert [type(m).__name__ for m in net] == ["Linear", "Sigmoid", "ReLU", "Linear", "Tanh"]
    assert isinstance(net.pop(), nn.Tanh)
    del net[1]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    with pytest.raises(IndexError, match="3 modules"):
        net[3]
    named = nn.Sequential({"first": nn.Linear(1, 1), "second": nn.ReLU()})
    assert list(named.state_dict()) == ["first.weight", "first.bias"]
    many = nn.ModuleList([nn.Linear(1, 1)])
    many += [nn.Linear(1, 2)]
    assert [n for n, _ in many.named_parameters()] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    table = nn.ModuleDict({"a": nn.ReLU()})
    table["b"] = nn.Linear(1, 1)
    assert list(table) == ["a", "b"]
    assert "b" in table
    del table["b"]
    assert not list(table.parameters())


def test_repr_is_pytorchs():
    torch = pytest.importorskip("torch")

    def build(nn):
        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.1),
            nn.Sequential(nn.Flatten(), nn.Linear(3, 4)), nn.AvgPool2d(3, 1), nn.LeakyReLU(0.2),
            nn.Softmax(dim=1), nn.Identity(), nn.Hardtanh(), nn.Softplus(), nn.GELU(),
            nn.ReLU(inplace=True), nn.CrossEntropyLoss(), nn.PReLU(3), nn.ELU(2.0),
        )  # fmt: skip

    assert repr(build(nn)) == repr(build(torch.nn))
