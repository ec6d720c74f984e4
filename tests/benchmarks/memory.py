"""Peak memory of a training step: how much the process grows beyond what it has before the first.

Each side runs in a process of its own. It trains a small model first, so that the library is all
there, makes the model that counts, hands what is free back to the system, and takes five steps.

The C library's allocator has a share in the figure: freed memory that the next array does not fit
into is memory that the process keeps. The second measure has the system make and take back each
array of 64 KB and more by itself, for both sides: what is left is what the arrays alone take.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .harness import Result

LAYERS, STEPS = 50, 5
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Measure:
    """The size of the layers and of a batch, and environment variables for both sides."""

    width: int
    batch: int
    environment: dict[str, str] = field(default_factory=dict)
    goal: float | None = None
    runs: int = 5

    @property
    def name(self) -> str:
        """What the table says."""
        alone = ", arrays alone" if self.environment else ""
        return f"peak memory, MLP of {LAYERS} layers of {self.width}, batch {self.batch}{alone}"

    def result(self) -> Result:
        """Medians over processes, in MB."""
        theirs, mine = ([self._peak(lib) for _ in range(self.runs)] for lib in _SIDES)
        peer, ours = statistics.median(theirs), statistics.median(mine)
        return Result(
            self.name, "PyTorch", "step", peer, ours, _spread(theirs), _spread(mine), peer / ours,
            self.goal, measure="MB",
        )  # fmt: skip

    def _peak(self, lib: str) -> float:
        program = [sys.executable, "-m", __spec__.name, lib, str(self.width), str(self.batch)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
        said = subprocess.run(
            program, check=True, env=environment | self.environment, capture_output=True, text=True
        )
        return float(said.stdout)


_SIDES = "torch", "tinygrad_course"


def _spread(values: list[float]) -> float:
    return (max(values) - min(values)) / statistics.median(values) / 2


MEASURES = [
    Measure(256, 1024, goal=1.6),
    Measure(512, 512, goal=1.6),
    Measure(512, 1024, goal=1.6),
    Measure(512, 1024, {"MALLOC_MMAP_THRESHOLD_": "65536"}),
] if _RESET.exists() else []  # fmt: skip


def grown(name: str, width: int, batch: int) -> float:
    """MB that training adds to the process, at most."""
    lib = importlib.import_module(name)
    _train(lib, *_setup(lib, 2, 256, 256))
    parts = _setup(lib, LAYERS, width, batch)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = _memory("VmRSS")
    _RESET.write_text("5", encoding="ascii")  # the peak is now what there is
    _train(lib, *parts)
    return _memory("VmHWM") - before


def _setup(lib: Any, layers: int, width: int, batch: int) -> tuple[Any, Any, Any, Any]:
    """A model with its optimiser, images and labels."""
    nn, inner = lib.nn, []
    for _ in range(layers):
        inner += [nn.Linear(width, width), nn.ReLU()]
    model = nn.Sequential(*inner, nn.Linear(width, 10))
    optimizer = lib.optim.SGD(model.parameters(), lr=1e-6)
    return model, optimizer, lib.ones(batch, width), lib.tensor([1] * batch)


def _train(lib: Any, model: Any, optimizer: Any, x: Any, y: Any) -> None:
    for _ in range(STEPS):
        optimizer.zero_grad()
        lib.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def _memory(name: str) -> float:
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    print(grown(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
