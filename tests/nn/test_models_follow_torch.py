"""Whole models at their real widths, so that every way of convolution is met, against PyTorch: the
loss and all gradients of one pass in float32, beside PyTorch's in float64."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tc
from tests.benchmarks.models import lenet, mlp, vgg

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


def _plain(nn: Any) -> Any:
    return SimpleNamespace(**{**vars(nn), "BatchNorm2d": lambda _: nn.Identity()})


MODELS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "mlp": (mlp, (64, 784)),
    "lenet": (lenet, (64, 1, 28, 28)),
    "lenet, one image": (lenet, (1, 1, 28, 28)),
    "vgg": (vgg, (4, 3, 32, 32)),
    "vgg without its norms": (lambda nn: vgg(_plain(nn)), (4, 3, 32, 32)),
}


def smooth(nn: Any) -> Any:
    """Layers without kinks: at one, rounding alone decides which way a gradient goes."""
    return SimpleNamespace(**{**vars(nn), "ReLU": nn.Tanh, "MaxPool2d": nn.AvgPool2d})


def without_dropout(model: Any) -> Any:
    for m in model.modules():
        if type(m).__name__ == "Dropout":
            m.p = 0.0
    return model


def loss_of(lib: Any, model: Any, x: Any, y: Any) -> float:
    loss = lib.nn.functional.cross_entropy(model(lib.tensor(x)), lib.tensor(y))
    loss.backward()
    return float(loss.item())


@pytest.mark.parametrize("name", MODELS)
def test_a_pass_forward_and_back(name: str) -> None:
    make, shape = MODELS[name]
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(shape, np.float32), rng.integers(0, 10, shape[0])
    theirs, ours = (without_dropout(make(smooth(lib.nn))) for lib in (torch, tc))
    ours.load_state_dict(theirs.state_dict())
    expected = loss_of(torch, theirs.double(), x.astype(np.float64), y)
    assert loss_of(tc, ours, x, y) == pytest.approx(expected, rel=1e-5)
    for (at, p), (_, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        # gradients of biases ahead of a batch norm are rounding alone: they are zero
        scale = max(float(q.grad.abs().max()), 1e-2)
        far = np.abs(p.grad.numpy() - q.grad.numpy()).max() / scale
        assert far < 1e-4, f"{at}: {far:.1e}"
