"""What a fresh process pays: the import, and the way to the end of the first training step."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

from .harness import Result

_FIRST_STEP = """
import numpy as np
import {lib} as lib
from tests.benchmarks.models import adam, lenet
model, x, y = lenet(lib.nn), lib.tensor(np.ones((32, 1, 28, 28), np.float32)), lib.tensor([1] * 32)
optimizer = adam(lib, model.parameters())
lib.nn.functional.cross_entropy(model(x), y).backward()
optimizer.step()
"""


@dataclass
class Measure:
    """A program for each side, run in fresh processes in turn.

    With `cold`, our compiled kernels are kept in a folder that is new each time.
    """

    name: str
    peer: str
    theirs: str
    ours: str
    runs: int
    cold: bool = False
    most: float | None = None  # seconds that ours may take

    def result(self) -> Result:
        """Medians over the processes."""
        times: tuple[list[float], list[float]] = [], []
        for run in range(self.runs + 1):
            for code, taken in zip((self.theirs, self.ours), times, strict=True):
                seconds = _seconds(code, self.cold)
                if run or self.cold:  # the first run makes the bytecode
                    taken.append(seconds)
        (peer, ours), spread = (
            [statistics.median(t) * 1e6 for t in times],
            [(max(t) - min(t)) / statistics.median(t) / 2 for t in times],
        )
        goal = None if self.most is None else peer / (self.most * 1e6)
        return Result(self.name, self.peer, "process", peer, ours, *spread, peer / ours, goal)


def _first(lib: str) -> str:
    return _FIRST_STEP.format(lib=lib)


MEASURES = [
    Measure(
        "import in a fresh process", "NumPy", "import numpy", "import tinygrad_course", runs=21
    ),
    Measure(
        "first LeNet step, kernels compiled before", "PyTorch", _first("torch"),
        _first("tinygrad_course"), runs=5, most=2.0,
    ),
    Measure(
        "first LeNet step ever, kernels compiled in it", "PyTorch", _first("torch"),
        _first("tinygrad_course"), runs=2, cold=True, most=12.0,
    ),
]  # fmt: skip


def _seconds(code: str, cold: bool = False) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        if cold:
            environment["NUMBA_CACHE_DIR"] = folder
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)
        return time.perf_counter() - start
