"""Tensors, modules and optimisers on the device, with the stand-in in CuPy's place."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tinygrad_course as tc
from tinygrad_course import nn
from tinygrad_course.errors import DeviceError

from . import standin

pytestmark = pytest.mark.usefixtures("fake")


def test_there_and_back():
    x = tc.tensor([[1.0, 2.0], [3.0, 4.0]])
    y = x.cuda()
    assert (x.device, y.device, y.is_cuda) == ("cpu", "cuda:0", True)
    assert y.to("cuda") is y
    assert y.to("cuda:0") is y
    assert y.cpu().device == "cpu"
    assert y.cpu().tolist() == y.tolist() == x.tolist()
    assert y.type() == "tinygrad_course.cuda.FloatTensor"
    assert y.to("cpu", tc.float64).dtype == tc.float64
    assert repr(y) == "tensor([[1., 2.],\n        [3., 4.]], device='cuda:0')"
    np.testing.assert_array_equal(y.numpy(), x.numpy())
    assert y[1, 0].item() == 3.0


def test_gradients_cross_over():
    """A move is an operation like another: the gradient goes back where the value came from."""
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    (x.cuda() * 3).cpu().sum().backward()
    assert x.grad.device == "cpu"
    assert x.grad.tolist() == [3.0, 3.0]


def test_creation():
    made = [
        tc.zeros(2, 3, device="cuda"), tc.ones(2, device="cuda"), tc.full((2,), 3.0, device="cuda"),
        tc.arange(4, device="cuda"), tc.eye(2, device="cuda"), tc.linspace(0, 1, 3, device="cuda"),
        tc.rand(3, device="cuda"), tc.randn(3, device="cuda"), tc.randint(5, (3,), device="cuda"),
        tc.randperm(4, device="cuda"), tc.tensor([1.0], device="cuda"),
        tc.normal(0.0, 1.0, (3,), device="cuda"), tc.empty(2, device="cuda"),
    ]  # fmt: skip
    assert {t.device for t in made} == {"cuda:0"}
    x = made[0]
    for like in (tc.zeros_like(x), tc.rand_like(x), tc.full_like(x, 2.0), x.new_ones(3),
                 x.new_tensor([1.0]), tc.normal(x, 1.0), x.clone(), tc.bernoulli(x)):  # fmt: skip
        assert like.device == "cuda:0"
    with standin.counted() as copies:
        tc.zeros(3, device="cuda") + tc.rand(3, device="cuda")
    assert copies == {"to host": 0, "to device": 0}


def test_what_is_on_two_devices_does_not_mix():
    x, y = tc.ones(2), tc.ones(2, device="cuda")
    places = r"argument 1 \(float32\[2\]\) is on cpu, argument 2 \(float32\[2\]\) is on cuda:0"
    for mix in (lambda: x + y, lambda: tc.where(x > 0, x, y), lambda: x @ y, lambda: tc.cat([x, y]),
                lambda: tc.maximum(x, y), lambda: tc.atan2(x, y)):  # fmt: skip
        with pytest.raises(DeviceError, match=r"all tensors must be on one device: .*cuda:0"):
            mix()
    with pytest.raises(DeviceError, match=places):
        x * y
    with pytest.raises(DeviceError, match=r"in Linear"):
        nn.Linear(2, 3)(y)
    with pytest.raises(DeviceError, match=r"x\.cpu\(\)"):
        np.asarray(y)


def test_numbers_mix_with_everything():
    """Python's numbers and 0-d constants, as in PyTorch."""
    y = tc.ones(2, device="cuda")
    for result in (
        y + 1,
        2.0 * y,
        y + tc.tensor(1.0),
        y + np.float32(2),
        y.masked_fill(y > 0, 5.0),
    ):
        assert result.device == "cuda:0"
    assert (y / 2 + 1).tolist() == [1.5, 1.5]


def test_writing():
    y = tc.zeros(4, device="cuda")
    y[1:3] = 5.0
    y[0] = tc.tensor(7.0)
    y.view(2, 2)
    y[y > 6] = 1.0
    assert y.tolist() == [1.0, 5.0, 5.0, 0.0]
    y.add_(1).mul_(2)
    y.fill_(3.0)
    y.copy_(tc.arange(4.0))
    assert y.device == "cuda:0"
    assert y.tolist() == [0.0, 1.0, 2.0, 3.0]
    part = tc.ones(4, device="cuda").reshape(2, 2)
    part[0] = 0.0
    assert part.tolist() == [[0.0, 0.0], [1.0, 1.0]]
    whole = tc.ones(4, device="cuda")
    with pytest.raises(tc.errors.GradientError, match="view"):
        whole.reshape(2, 2)[0] = 0.0
    assert whole.tolist() == [1.0] * 4


def test_indices_may_be_on_either_device():
    y = tc.arange(6, device="cuda").reshape(2, 3)
    for index in (tc.tensor([1, 0]), tc.tensor([1, 0], device="cuda"), [1, 0], np.array([1, 0])):
        assert y[index].tolist() == [[3, 4, 5], [0, 1, 2]]
        assert y[:, index].device == "cuda:0"


def test_random_numbers():
    tc.manual_seed(3)
    first = [tc.rand(5, device="cuda").tolist(), tc.randn(5, device="cuda").tolist()]
    tc.manual_seed(3)
    assert [tc.rand(5, device="cuda").tolist(), tc.randn(5, device="cuda").tolist()] == first
    state = tc.creation.default_generator.get_state()
    more = tc.rand(5, device="cuda").tolist()
    tc.creation.default_generator.set_state(state)
    assert tc.rand(5, device="cuda").tolist() == more
    tc.cuda.manual_seed(1)
    x = tc.randn(20000, device="cuda").numpy()
    assert abs(x.mean()) < 0.03
    assert abs(x.std() - 1) < 0.03
    for dtype in (tc.float32, tc.float64):
        x = tc.rand(20000, device="cuda", dtype=dtype).numpy()
        assert 0 <= x.min() < 1e-3
        assert 1 - 1e-3 < x.max() < 1
    x = tc.randint(3, (3000,), device="cuda").numpy()
    assert set(x) == {0, 1, 2}
    assert sorted(tc.randperm(50, device="cuda").tolist()) == list(range(50))


def test_modules_move():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    weight = model[0].weight
    assert model.to("cuda") is model
    assert model[0].weight is weight
    assert {p.device for p in [*model.parameters(), *model.buffers()]} == {"cuda:0"}
    assert model[1].num_batches_tracked.dtype == tc.int64
    out = model(tc.rand(5, 3, device="cuda"))
    out.sum().backward()
    assert weight.grad.device == "cuda:0"
    model.cpu()
    assert {p.device for p in [*model.parameters(), *model.buffers()]} == {"cpu"}
    assert weight.grad.device == "cpu"
    model.cuda().double()
    assert (weight.device, weight.dtype) == ("cuda:0", tc.float64)


def test_copies_and_pickles_stay_on_the_device():
    model = nn.Linear(2, 2).cuda()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.weight.device == "cuda:0"
        assert twin.weight.tolist() == model.weight.tolist()


def test_weights_are_saved_from_and_loaded_onto_any_device(tmp_path):
    pytest.importorskip("safetensors")
    model = nn.Linear(2, 3).cuda()
    tc.save(model.state_dict(), tmp_path / "w.safetensors")
    loaded = tc.load(tmp_path / "w.safetensors")
    assert {t.device for t in loaded.values()} == {"cpu"}
    twin = nn.Linear(2, 3).cuda()
    twin.load_state_dict(loaded)
    assert twin.weight.device == "cuda:0"
    assert twin.weight.tolist() == model.weight.tolist()


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta"])
def test_optimisers(name):
    """The same steps as on the CPU; a state saved on one device goes on on the other."""
    start = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)

    def steps(device, count, state=None):
        p = tc.tensor(start, device=device, requires_grad=True)
        extra = {"momentum": 0.9} if name == "SGD" else {}
        optimizer = getattr(tc.optim, name)([p], lr=0.1, weight_decay=0.01, **extra)
        if state is not None:
            optimizer.load_state_dict(state)
        for _ in range(count):
            optimizer.zero_grad()
            (p * p * p).sum().backward()
            optimizer.step()
        return p, optimizer

    here, there = steps("cpu", 3), steps("cuda", 3)
    assert there[0].device == "cuda:0"
    np.testing.assert_allclose(there[0].tolist(), here[0].tolist(), rtol=1e-5)
    state = there[1].state_dict()
    again = [
        steps(d, 1, s)[0].tolist() for d, s in (("cpu", state), ("cuda", here[1].state_dict()))
    ]
    np.testing.assert_allclose(*again, rtol=1e-5)


def test_an_optimiser_follows_its_model_to_the_device():
    model = nn.Linear(2, 2)
    optimizer = tc.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for device in ("cpu", "cuda", "cpu"):
        model.to(device)
        optimizer.zero_grad()
        model(tc.ones(1, 2, device=device)).sum().backward()
        optimizer.step()
        assert model.weight.device.type == device


def test_cuda_functions():
    assert tc.cuda.is_available()
    assert tc.cuda.device_count() == 1
    assert tc.cuda.current_device() == 0
    tc.cuda.synchronize()
    with tc.cuda.device(0):
        assert tc.zeros(1, device="cuda").device == "cuda:0"
    with pytest.raises(DeviceError, match="cuda:3"):
        tc.zeros(1, device="cuda:3")


def test_arrays_of_other_libraries():
    """What has a CUDA array interface becomes a tensor where it is."""
    array = standin.ndarray(np.arange(3.0))
    with standin.counted() as copies:
        assert tc.as_tensor(array).device == "cuda:0"
        assert tc.tensor(array).device == "cuda:0"
    assert copies["to host"] == 0
