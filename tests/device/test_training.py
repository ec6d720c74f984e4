"""Whole training steps on the stand-in: the CPU's numbers, and nothing copied to the host."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_course as tc
from tests.benchmarks.models import adam, lenet, mlp, sgd, vgg
from tinygrad_course import nn

from . import standin
from .models import small_alexnet


def trained(make, choose, device, steps=3):
    """Losses and weights, and what was copied while the steps ran."""
    tc.manual_seed(0)
    model = make(nn).to(device)
    optimizer = choose(model.parameters())
    rng = np.random.default_rng(0)
    x = tc.tensor(rng.standard_normal((8, 1, 28, 28), np.float32)).to(device)
    y = tc.tensor(rng.integers(0, 10, 8)).to(device)
    losses = []
    with standin.counted() as copies:
        for _ in range(steps):
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
    return [v.item() for v in losses], [p.tolist() for p in model.parameters()], copies


MODELS = {
    "LeNet, Adam": (lenet, lambda p: tc.optim.Adam(p, lr=1e-3)),
    "AlexNet, SGD": (small_alexnet, lambda p: tc.optim.SGD(p, lr=0.01, momentum=0.9)),
}


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("name", MODELS)
def test_a_step_stays_on_the_device(name):
    here, there = (trained(*MODELS[name], device) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(there[0], here[0], rtol=1e-5)
    for a, b in zip(here[1], there[1], strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-5)
    assert there[2]["to host"] == 0
    if name != "LeNet, Adam":  # the plain average pool, which no GPU runs, uploads its divisors
        assert there[2]["to device"] == 0


@pytest.mark.usefixtures("fake")
def test_dropout_and_attention():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True).to("cuda")
    x = tc.rand(2, 5, 8, device="cuda")
    with standin.counted() as copies:
        out = layer(x)
        out.sum().backward()
    assert out.device == "cuda:0"
    assert copies["to host"] == 0


# what a step launches at most: of CuPy's, of ours
LAUNCHES = {
    "MLP": (mlp, (784,), adam, 15, 9),
    "LeNet": (lenet, (1, 28, 28), adam, 24, 18),
    "VGG": (vgg, (3, 32, 32), sgd, 27, 68),
}


@pytest.mark.parametrize("name", LAUNCHES)
def test_launches_of_a_step(unstarted, name):
    """The second step: the first makes the optimiser's memory. Nothing is copied either way."""
    make, shape, choose, theirs, ours = LAUNCHES[name]
    model = make(nn).to("cuda")
    optimizer = choose(tc, model.parameters())
    x, y = tc.zeros(4, *shape, device="cuda"), tc.tensor([0, 1, 2, 3]).to("cuda")
    for _ in range(2):
        unstarted.clear()
        with standin.counted() as copies, standin.launched() as launches:
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert copies == {"to host": 0, "to device": 0}
    assert launches.total() <= theirs, launches
    assert unstarted.total() <= ours, unstarted
