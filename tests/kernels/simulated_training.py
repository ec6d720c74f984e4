"""Training on a GPU that is two imitations: arrays are the stand-in's, kernels the simulator's.

As `simulated.py`, which says what this shows and what it does not. Here it is the whole way that is
gone: rows find their kernels, CuPy's part is done under CuPy's rules, and both meet in one memory.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba").config.reload_config()
if not __import__("numba").config.ENABLE_CUDASIM:
    pytest.skip("needs NUMBA_ENABLE_CUDASIM=1", allow_module_level=True)

import tinygrad_course as tc  # noqa: E402
from tests.device import standin  # noqa: E402
from tests.kernels import blocks  # noqa: E402
from tinygrad_course import devices, nn  # noqa: E402
from tinygrad_course.kernels import cuda_arrays, cuda_jit  # noqa: E402


def host(a: Any) -> Any:
    """What the simulator takes in the place of the stand-in's arrays: the same memory."""
    return tuple(map(host, a)) if isinstance(a, tuple) else standin.bare(a, host=True)


@pytest.fixture
def imitation(monkeypatch: pytest.MonkeyPatch) -> Any:
    """device="cuda" is the stand-in, and its kernels run in the simulator."""
    cupy, simulated = standin.module(), cuda_jit.Kernel.__call__
    monkeypatch.setattr(devices, "_cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(
        cuda_jit.Kernel, "__call__", lambda self, *args: simulated(self, *map(host, args))
    )
    cuda_arrays.cupy.cache_clear()
    blocks.linear(monkeypatch, 16)
    with blocks.rows(4, 2):
        yield
    cuda_arrays.cupy.cache_clear()


MODELS = {
    "convolutions": (lambda: nn.Sequential(
        nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(2, 3, 2, padding=1), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(3, 4),
    ), (1, 6, 6), lambda p: tc.optim.SGD(p, lr=0.1)),
    "rows": (lambda: nn.Sequential(
        nn.Linear(5, 6), nn.GELU(), nn.LayerNorm(6), nn.Linear(6, 4), nn.Sigmoid(), nn.Softmax(1),
    ), (5,), lambda p: tc.optim.Adam(p, lr=1e-2)),
}  # fmt: skip


def trained(name: str, device: str) -> tuple[list[Any], dict[str, int]]:
    """The loss, parameters and buffers after a step with a label that is ignored."""
    make, shape, choose = MODELS[name]
    tc.manual_seed(0)
    model = make().to(device)
    optimizer = choose(model.parameters())
    x = tc.tensor(np.random.default_rng(0).standard_normal((3, *shape), np.float32)).to(device)
    labels = tc.tensor([1, -100, 2]).to(device)
    with standin.counted() as copies:
        loss = nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    state = [loss, *model.parameters(), *model.buffers()]
    return [v.numpy(force=True) for v in state], copies


@pytest.mark.usefixtures("imitation")
@pytest.mark.parametrize("name", MODELS)
def test_training_follows_the_cpu(name: str) -> None:
    (here, _), (there, copies) = trained(name, "cpu"), trained(name, "cuda")
    assert copies["to host"] == 0
    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
