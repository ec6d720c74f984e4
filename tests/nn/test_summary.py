"""summary(): numbers by hand, and a model in which nothing has changed."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import tinygrad_course as tc
from tinygrad_course import nn
from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.tensor import Tensor


def conv(inputs, outputs, kernel, size):
    """Multiply-adds of a convolution: outputs, each a sum over one filter."""
    return size * size * outputs * inputs * kernel * kernel


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


def alexnet():
    pool, relu = nn.MaxPool2d(3, 2), nn.ReLU()
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), relu, pool, nn.Conv2d(64, 192, 5, padding=2), relu, pool,
        nn.Conv2d(192, 384, 3, padding=1), relu, nn.Conv2d(384, 256, 3, padding=1), relu,
        nn.Conv2d(256, 256, 3, padding=1), relu, pool, nn.Flatten(), nn.Dropout(),
        nn.Linear(9216, 4096), relu, nn.Dropout(), nn.Linear(4096, 4096), relu,
        nn.Linear(4096, 1000),
    )  # fmt: skip


def test_lenet_by_hand():
    found = lenet().summary((2, 1, 28, 28))
    products = [conv(1, 6, 5, 28), conv(6, 16, 5, 10), 400 * 120, 120 * 84, 84 * 10]
    assert [x.multiply_adds for x in found.layers if x.multiply_adds] == [2 * n for n in products]
    assert found.parameters == found.trainable == 156 + 2416 + 48120 + 10164 + 850 == 61706
    sizes = [6 * 784, 6 * 784, 6 * 196, 1600, 1600, 400, 0, 120, 120, 84, 84, 10]
    assert [x.activation_bytes for x in found.layers] == [2 * 4 * n for n in sizes]
    assert found.layers[5] == ("5", "AvgPool2d", (2, 16, 5, 5), 0, 0, 3200)
    assert found.parameter_bytes == 4 * 61706


def test_alexnet_by_hand(monkeypatch):
    monkeypatch.setattr(nn.init, "uniform_", lambda w, *_, **__: w)  # 61 million are quicker so
    monkeypatch.setattr(nn.init, "kaiming_uniform_", lambda w, *_, **__: w)
    found = alexnet().summary((1, 3, 224, 224))
    products = [
        conv(3, 64, 11, 55), conv(64, 192, 5, 27), conv(192, 384, 3, 13), conv(384, 256, 3, 13),
        conv(256, 256, 3, 13), 9216 * 4096, 4096 * 4096, 4096 * 1000,
    ]  # fmt: skip
    assert [x.multiply_adds for x in found.layers if x.multiply_adds] == products
    assert found.multiply_adds == sum(products) == 714_188_480
    assert found.parameters == 61_100_840
    # ReLU and pooling are one module each, used often
    assert [x.kind for x in found.layers].count("ReLU") == 1
    assert found.layers[1].activation_bytes == 4 * (
        64 * 55**2 + 192 * 27**2 + (384 + 256 + 256) * 13**2 + 2 * 4096
    )


BATCH, STEPS = 2, 7
LAYERS = {
    "linear on a sequence": (lambda: nn.Linear(3, 4), [(BATCH, STEPS, 3)], BATCH * STEPS * 12),
    "grouped, strided": (
        lambda: nn.Conv2d(4, 6, 3, stride=2, groups=2), [(BATCH, 4, 7, 7)], BATCH * 9 * 6 * 2 * 9,
    ),
    "rnn": (lambda: nn.RNN(3, 4), [(STEPS, BATCH, 3)], BATCH * STEPS * (12 + 16)),
    "lstm": (
        lambda: nn.LSTM(3, 4, bidirectional=True), [(STEPS, BATCH, 3)],
        BATCH * STEPS * 2 * 4 * (12 + 16),
    ),
    "gru": (lambda: nn.GRU(3, 4), [(STEPS, BATCH, 3)], BATCH * STEPS * 3 * (12 + 16)),
    "attention": (
        lambda: nn.MultiheadAttention(8, 2, batch_first=True), [(3, 5, 8)] * 3,
        3 * (4 * 5 * 8 * 8 + 2 * 5 * 5 * 8),
    ),
    "norm": (lambda: nn.BatchNorm2d(3), [(BATCH, 3, 4, 4)], 0),
}  # fmt: skip
MORE = {
    "Conv1d": ((4, 6, 3), (BATCH, 4, 7), BATCH * 5 * 6 * 4 * 3),
    "Conv3d": ((2, 3, 2), (BATCH, 2, 4, 4, 4), BATCH * 27 * 3 * 2 * 8),
    "ConvTranspose1d": ((4, 6, 3), (BATCH, 4, 7), BATCH * 7 * 4 * 6 * 3),
    "ConvTranspose2d": ((4, 6, 3), (BATCH, 4, 5, 5), BATCH * 25 * 4 * 6 * 9),
    "Bilinear": ((3, 4, 5), (BATCH, 3), BATCH * 5 * 12),
}


@pytest.mark.parametrize("name", LAYERS)
def test_multiply_adds_by_formula(name):
    make, shapes, products = LAYERS[name]
    assert make().summary(*shapes).multiply_adds == products


@pytest.mark.parametrize("name", MORE)
def test_multiply_adds_of_other_windows(name):
    sizes, shape, products = MORE[name]
    shapes = [shape] if name != "Bilinear" else [shape, (BATCH, 4)]
    assert getattr(nn, name)(*sizes).summary(*shapes).multiply_adds == products


class Functional(nn.Module):
    """A matrix of its own, used without a layer; a layer that is used twice, one that is not."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Parameter(np.eye(4, dtype=np.float32))
        self.twice = nn.Linear(4, 4, bias=False)
        self.tied = nn.Linear(4, 4, bias=False)
        self.tied.weight = self.twice.weight
        self.idle = nn.Linear(4, 9)

    def forward(self, x, flip=False):
        x = self.twice(self.tied(self.twice(x @ self.mix)))
        return {"out": x if not flip else -x, "count": 3}


def test_products_outside_layers_shared_weights_and_layers_used_twice_or_not():
    model = Functional()
    model.idle.requires_grad_(False)
    found = model.summary(tc.ones(5, 4), flip=True)
    own, twice, tied, idle = found.layers
    assert own == ("(the model)", "Functional", (5, 4), 16, 80, 80)
    assert twice == ("twice", "Linear", (5, 4), 16, 160, 160)
    assert tied == ("tied", "Linear", (5, 4), 0, 80, 80)
    assert idle == ("idle", "Linear", None, 45, 0, 0)
    assert (found.parameters, found.trainable) == (77, 32)
    assert "not used" in str(found)


def test_nothing_changes():
    tc.manual_seed(3)
    model = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Sequential(nn.Linear(4, 2))
    ).double()
    calls = []
    model[0].register_forward_hook(lambda *_: calls.append(1))
    model[3].eval()
    model(tc.ones(2, 3).double()).sum().backward()
    compute = Tensor.__dict__["_compute"]

    def everything():
        state = {name: v.numpy().tobytes() for name, v in model.state_dict().items()}
        modules = [dict(m.__dict__) for m in model.modules()]
        grads = [p.grad.tolist() for p in model.parameters()]
        return state, modules, grads, tc.creation.default_generator.get_state()

    before = everything()
    buffers = [id(b) for b in model.buffers()]
    assert model.summary((5, 3)).layers[1].output == (5, 4)
    assert everything() == before
    assert [id(b) for b in model.buffers()] == buffers
    assert Tensor.__dict__["_compute"] is compute
    assert len(calls) == 2  # hooks may replace outputs, so they run
    with pytest.raises(ShapeError, match=r"in Sequential\.0 \(Linear"):
        model.summary((5, 9))
    assert everything() == before
    assert Tensor.__dict__["_compute"] is compute


def test_a_model_that_cannot_be_copied():
    model = nn.Linear(2, 2)
    model.lock = threading.Lock()
    with pytest.raises(OptionError, match=r"a copy of the model.*lock"):
        model.summary((1, 2))


def test_the_table():
    text = str(nn.Sequential(nn.Linear(30, 40), nn.ReLU()).summary((25, 30))).splitlines()
    assert text[0] == "layer  class   output    parameters  multiply-adds  activation bytes"
    assert text[2] == "0      Linear  (25, 40)       1,240         30,000             4,000"
    assert text[5] == "total                         1,240         30,000             8,000"
    assert text[6] == "1,240 trainable, 0 frozen; parameters 4.844 KiB, buffers 0 B"
    assert len({len(line) for line in text[:6]}) == 1


def test_inputs_that_are_no_shapes():
    assert nn.Embedding(5, 3).summary(tc.tensor([1, 2])).layers[0].output == (2, 3)
    assert nn.Embedding(5, 3).summary(np.array([[1, 2]])).layers[0].output == (1, 2, 3)
    x, state = tc.ones(2, 3), (tc.zeros(2, 4), tc.zeros(2, 4))
    assert nn.LSTMCell(3, 4).summary(x, state).layers[0].output == [(2, 4), (2, 4)]
    assert nn.Tanh().summary((2, 3)).parameters == 0
