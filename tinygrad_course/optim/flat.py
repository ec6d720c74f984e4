"""One array for many parameters: what lets an optimiser update a whole model in a few passes.

The parameters of a group are laid one after the other into a flat array, and each parameter's own
array becomes a view of its place there. Gradients are gathered into a second flat array, and the
optimiser's memory (momentum, averages) has the same layout.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import accumulate, chain
from typing import Any

import numpy as np

from tinygrad_course import devices, kernels
from tinygrad_course.errors import ShapeError
from tinygrad_course.graph import tick
from tinygrad_course.tensor import Tensor

BLOCK = 16384  # elements worked on at a time, so that a block stays in the processor's cache
LAUNCH = 1 << 16  # elements that are copied in the time of another call of a kernel ...
LAUNCH_CUDA = 1 << 20  # ... and that a GPU copies in that time


class Flat:
    """Parameters of one dtype in one array, with everything an optimiser remembers about them.

    `steps` counts each parameter's updates; one without a gradient is not updated.
    """

    def __init__(self, params: Sequence[Tensor]) -> None:
        self.params = list(params)
        self.shapes = [p.shape for p in self.params]
        self.dtype = self.params[0].dtype
        ends = np.cumsum([p.numel() for p in self.params]).tolist()
        self.spans = [*zip([0, *ends[:-1]], ends, strict=True)]
        self.places = [*zip(self.params, self.spans, strict=True)]
        self.steps = [0] * len(self.params)
        self.data = np.empty_like(self.params[0]._data, shape=ends[-1])
        self.grad = np.zeros_like(self.data)
        self.state: dict[str, Any] = {}
        self.views = [
            self.data[a:b].reshape(shape)
            for (a, b), shape in zip(self.spans, self.shapes, strict=True)
        ]
        for p, view in zip(self.params, self.views, strict=True):
            self._adopt(p, view)

    def holds(self) -> bool:
        """Make views of parameters that somebody gave other arrays; False, and nothing is done, if
        one has another dtype or device than they were laid out for."""
        pairs = zip(self.params, self.views, strict=True)
        strays = [i for i, (p, view) in enumerate(pairs) if p._data is not view]
        if strays and any(_kind(self.params[i]._data) != _kind(self.data) for i in strays):
            return False
        for i in strays:
            self._adopt(self.params[i], self.views[i])
        return True

    def _adopt(self, p: Tensor, view: Any) -> None:
        """Make the parameter's array a view."""
        if p._data.shape != view.shape:
            raise ShapeError(
                f"a parameter of shape {view.shape} now has shape {p.shape}; make a new optimiser "
                "for it"
            )
        view[...] = p._data
        p._data = view

    def runs(self, count: bool) -> list[tuple[int, int, int, Any]]:
        """Stretches of neighbours with a gradient and equal step counts.

        Each is (start, end, how often they were updated, this time included, their gradients).
        Small gradients are gathered, a large one is taken where it is. Without `count` nobody
        counts.
        """
        last: list[Any]
        found: list[Any] = []  # [start, end, step, parts], without parts if taken as it is
        large: dict[int, Any] = {}
        most = LAUNCH_CUDA if devices.is_cuda(self.grad) else LAUNCH
        steps, last = self.steps, [0, -1, 0, []]
        for i, (p, (start, end)) in enumerate(self.places):
            node = p._node
            grad = getattr(node, "grad", None)
            if node is None or grad is None:
                continue
            steps[i] += count
            step, parts = steps[i], [grad._data]
            if end - start > most:
                large[start] = parts.pop().reshape(-1)
            if last[3] and parts and last[1] == start and last[2] == step:
                last[1] = end
                last[3] += parts
            else:
                last = [start, end, step, parts]
                found.append(last)
            node.seq = tick()  # as touch() does
        self._gather([(a, b, parts) for a, b, _, parts in found if parts])
        return [(a, b, step, large.get(a, self.grad[a:b])) for a, b, step, _ in found]

    def _gather(self, runs: list[tuple[int, int, list[Any]]]) -> None:
        """Copy gradients to their places: for each run of them from a to b."""
        kernel = kernels.lookup("cuda", "gather") if devices.is_cuda(self.grad) else None
        if kernel is None:
            for a, b, parts in runs:
                np.concatenate(parts, None, self.grad[a:b])
            return
        sizes = [[g.size for g in parts[:-1]] for _, _, parts in runs]
        starts = [[*accumulate(n, initial=a)] for (a, _, _), n in zip(runs, sizes, strict=True)]
        lines = [g.reshape(-1) for _, _, parts in runs for g in parts]
        kernel(self.grad, [*chain(*starts)], lines)

    def memory(self, name: str) -> Any:
        """The flat array of this name, of zeros when first asked for."""
        if name not in self.state:
            self.state[name] = np.zeros_like(self.data)
        return self.state[name]

    def forget(self) -> None:
        """Back to before the first step."""
        self.steps = [0] * len(self.params)
        self.state = {}

    # --- one parameter's part, as PyTorch names it ---

    def part(self, i: int) -> dict[str, Any]:
        """What is remembered of parameter `i`, as Tensors; empty before its first update."""
        if not self.steps[i]:
            return {}
        a, b = self.spans[i]
        memory = {n: Tensor(flat[a:b].reshape(self.shapes[i])) for n, flat in self.state.items()}
        return {"step": self.steps[i], **memory}

    def set_part(self, i: int, part: dict[str, Any]) -> None:
        """Take over what was remembered of parameter `i`."""
        a, b = self.spans[i]
        self.steps[i] = int(part["step"])
        for name, value in part.items():
            if name != "step" and value is not None:
                array = value._data if isinstance(value, Tensor) else value
                self.memory(name)[a:b] = devices.like(self.data, array).reshape(-1)


def _kind(array: Any) -> tuple[Any, type]:
    return array.dtype, type(array)


def compiled(p: Any) -> Any:
    """The module of kernels for arrays like p."""
    array: Any = type(p)
    return _module(array)


@cache
def _module(array: Any) -> Any:
    name = "update" if issubclass(array, np.ndarray) else "cuda_step"
    return importlib.import_module(f"tinygrad_course.kernels.{name}")


def blocks(size: int) -> Iterator[slice]:
    """The range in pieces of at most `BLOCK` elements."""
    for first in range(0, size, BLOCK):
        yield slice(first, min(first + BLOCK, size))
