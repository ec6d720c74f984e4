"""The stand-in in CuPy's place; and, on machines without PyTorch, nothing in PyTorch's.

The test table names PyTorch's functions as it is made. On the device the CPU's results are compared
with, so the table can be used without PyTorch, too.
"""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from unittest.mock import MagicMock

import pytest

from tinygrad_course import devices, kernels

from . import standin

if importlib.util.find_spec("torch") is None:
    for name in ("torch", "torch.nn", "torch.nn.functional", "torch.utils", "torch.utils.data"):
        sys.modules[name] = MagicMock()


@pytest.fixture
def fake(monkeypatch):
    """device="cuda" is the stand-in; rows are computed by their plain forwards."""
    monkeypatch.setattr(devices, "_cupy", standin.module())
    monkeypatch.setitem(kernels.NAMES, "cuda", {})
    kernels.lookup.cache_clear()
    yield
    monkeypatch.undo()
    kernels.lookup.cache_clear()


@pytest.fixture
def unstarted(monkeypatch):
    """device="cuda" is the stand-in; launches of our kernels are counted and compute nothing."""
    from tinygrad_course.kernels import cuda_arrays, cuda_jit

    counts: Counter[str] = Counter()

    def launch(self, grid, threads, *args):
        counts[self.function.__qualname__.partition(".")[0]] += 1

    cupy = standin.module()
    monkeypatch.setattr(devices, "_cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(cuda_jit.Kernel, "__call__", launch)
    cuda_arrays.cupy.cache_clear()
    yield counts
    cuda_arrays.cupy.cache_clear()
    kernels.lookup.cache_clear()
