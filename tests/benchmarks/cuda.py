"""The table on a GPU: convolutions, pools, training steps and transfers.

    python -m tests.benchmarks --device cuda [--only WORD] [--json FILE]

The peer is PyTorch's CUDA eager mode, first with TF32 off on both sides, then on (ours then has it
in cuBLAS's products; the convolution kernels stay in single precision). Where there is no PyTorch
with CUDA, convolutions stand beside cuBLAS's product of the same sizes through CuPy, which is what
a convolution costs if laying out its operand is free; the rest stands alone.

A burst ends with a wait for the GPU. Steps do not read the loss, as a training loop that prints now
and then does not.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

import tinygrad_course as tc

from . import models, window
from .harness import BURST_SECONDS, BURSTS, Result

Work = Callable[[], Any]
HEADER = "| case | TF32 | peer | peer, µs | ours, µs | peer / ours | goal |\n" + "|---" * 7 + "|"


class There:
    """A library whose `tensor` makes tensors on the GPU."""

    def __init__(self, lib: Any) -> None:
        self.lib = lib

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lib, name)

    def tensor(self, values: Any) -> Any:
        return self.lib.tensor(values).to("cuda")


@dataclass
class Case:
    """`make(lib)` gives the work in one library; `alone` a peer where PyTorch is missing."""

    name: str
    make: Callable[[Any], Work]
    goal: float | None = None
    alone: Callable[[], Work] | None = None


def run(only: str = "") -> list[Result]:
    """Print a line for each case, with TF32 off and then on."""
    torch = torch_with_cuda()
    print(", ".join(f"{k} {v}" for k, v in machine(torch).items()), "\n")
    print(HEADER)
    results = []
    for tf32 in (False, True) if torch else (False,):
        allow_tf32(torch, tf32)
        for case in cases():
            if only in case.name:
                results.append(contest(case, torch, tf32))
    return results


def torch_with_cuda() -> Any:
    """PyTorch, if it is there and sees the GPU."""
    try:
        import torch
    except ImportError:
        return None
    return torch if torch.cuda.is_available() else None


def allow_tf32(torch: Any, yes: bool) -> None:
    """Products of float32 by tensor cores, which round their operands to 10 bits of fraction."""
    os.environ["CUPY_TF32"] = str(int(yes))
    if torch:
        torch.backends.cuda.matmul.allow_tf32 = yes
        torch.backends.cudnn.allow_tf32 = yes


def machine(torch: Any) -> dict[str, str]:
    """What the figures depend on."""
    import cupy

    runtime = cupy.cuda.runtime
    found = {"card": tc.cuda.get_device_name(), "driver CUDA": str(runtime.driverGetVersion())}
    for package in ("cupy-cuda13x", "cupy-cuda12x", "numba", "numba-cuda", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found | ({"PyTorch": torch.__version__} if torch else {"PyTorch": "without CUDA"})


# --- cases ----------------------------------------------------------------------------------------


def cases() -> Iterator[Case]:
    """Everything that is timed."""
    for conv in (*window.LENET, *window.OTHERS):
        for which in conv.passes:
            yield Case(
                f"{conv.name}: {which}", lambda lib, c=conv, w=which: convolution(lib, c, w),
                goal=0.5, alone=lambda c=conv: product(c),
            )  # fmt: skip
    for name in window.POOLS:
        for which in ("forward", "input"):
            yield Case(f"{name}: {which}", lambda lib, n=name, w=which: pool(lib, n, w))
    for name, make, shape, batch, choose, goal in (
        ("MLP, Adam", models.mlp, (784,), 128, models.adam, None),
        ("LeNet, Adam", models.lenet, (1, 28, 28), 128, models.adam, 1.0),
        ("VGG with batch norm, SGD", models.vgg, (3, 32, 32), 128, models.sgd, None),
        ("AlexNet, SGD", models.alexnet, (3, 224, 224), 64, models.sgd, None),
    ):
        yield Case(
            f"{name} step, batch {batch}",
            lambda lib, m=make, s=shape, b=batch, o=choose: step(lib, m, (b, *s), o), goal=goal,
        )  # fmt: skip
    for megabytes in (1, 64):
        yield Case(f"{megabytes} MB to the GPU", lambda lib, n=megabytes: upload(lib, n))
        yield Case(f"{megabytes} MB from the GPU", lambda lib, n=megabytes: download(lib, n))


def convolution(lib: Any, conv: Any, which: str) -> Work:
    x = window._numbers(conv.images, conv.channels, conv.size, conv.size)
    w = window._numbers(conv.outputs, conv.channels, conv.k, conv.k)
    how = {"stride": conv.stride, "padding": conv.padding}
    return window._pass(There(lib), lib.nn.functional.conv2d, which, x, w, **how)


def product(conv: Any) -> Work:
    """The matrix product that the convolution is, by cuBLAS."""
    import cupy

    size = (conv.size + 2 * conv.padding - conv.k) // conv.stride + 1
    taps = conv.channels * conv.k * conv.k
    a = cupy.ones((conv.outputs, taps), np.float32)
    b = cupy.ones((taps, conv.images * size * size), np.float32)
    return lambda: cupy.matmul(a, b)


def pool(lib: Any, name: str, which: str) -> Work:
    shape, function, (kernel_size, stride) = window.POOLS[name]
    how = {"kernel_size": kernel_size, "stride": stride}
    call = getattr(lib.nn.functional, function)
    return window._pass(There(lib), call, which, window._numbers(*shape), **how)


def step(lib: Any, make: Any, shape: tuple[int, ...], choose: Any) -> Work:
    """A training step that leaves its loss on the GPU."""
    model = make(lib.nn).to("cuda")
    optimizer = choose(lib, model.parameters())
    x = There(lib).tensor(window._numbers(*shape))
    y = There(lib).tensor(np.random.default_rng(0).integers(0, 10, shape[0]))

    def work() -> None:
        loss = lib.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return work


def upload(lib: Any, megabytes: int) -> Work:
    x = lib.tensor(np.ones(megabytes * 2**18, np.float32))
    return lambda: x.to("cuda")


def download(lib: Any, megabytes: int) -> Work:
    x = lib.tensor(np.ones(megabytes * 2**18, np.float32)).to("cuda")
    return lambda: x.cpu()


# --- timing ---------------------------------------------------------------------------------------


def contest(case: Case, torch: Any, tf32: bool) -> Result:
    """Time a case in bursts of each side in turn; print its line."""
    peer = "PyTorch" if torch else "cuBLAS, the product" if case.alone else "none"
    works = [case.make(torch)] if torch else [case.alone()] if case.alone else []
    works.append(case.make(tc))
    counts = [calibrated(work) for work in works]
    times: list[list[float]] = [[] for _ in works]
    for _ in range(BURSTS):
        for i, work in enumerate(works):
            times[i].append(burst(work, counts[i]) * 1e6)
    theirs = statistics.median(times[0]) if len(works) > 1 else float("nan")
    ours, goal = statistics.median(times[-1]), case.goal if torch else None
    ratio, mode = theirs / ours, "on" if tf32 else "off"
    wanted = "" if goal is None else f"{goal:.2f}" + " (short)" * (ratio < goal)
    print(
        f"| {case.name} | {mode} | {peer} | {theirs:,.1f} | {ours:,.1f} | **{ratio:.2f}** "
        f"| {wanted} |", flush=True,
    )  # fmt: skip
    name = f"{case.name}, TF32 {mode}"
    return Result(name, peer, "call", theirs, ours, 0.0, 0.0, ratio, goal)


def calibrated(work: Work) -> int:
    """How many calls make a burst; compiles and warms up on the way."""
    for _ in range(5):
        work()
    return max(1, int(BURST_SECONDS / max(burst(work, 3), 1e-9)))


def burst(work: Work, count: int) -> float:
    """Seconds for a call, all of them done."""
    tc.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(count):
        work()
    tc.cuda.synchronize()
    return (time.perf_counter() - start) / count
