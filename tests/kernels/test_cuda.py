"""The GPU's kernels without a GPU: in the simulator, and compiled for three generations of cards.

The compiler shows that a kernel is within the language, that its sums are single precision all
through and stay in registers, and that every card's assembler can take it. That it is fast, or that
a real card's threads do what the simulator's did, only a card can show: `pytest -m gpu`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tinygrad_course.kernels import NAMES, lookup

ROOT = Path(__file__).parents[2]
CAPABILITIES = [(7, 5), (8, 0), (9, 0)]
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def test_in_the_simulator():
    """`simulated*.py`, in a process of its own: the simulator is chosen when Numba is imported."""
    files = sorted(Path(__file__).parent.glob("simulated*.py"))
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", *files],
        cwd=ROOT, env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    assert " passed" in run.stdout
    assert "skipped" not in run.stdout


def kernels():
    """Every kernel, as the wrappers ask for them."""
    from tinygrad_course.kernels import cuda_conv, cuda_elementwise, cuda_pool, cuda_step

    made = {}
    for dtype in (F32, F64):
        sides = (64, 128) if dtype == F32 else (64,)
        for side in sides:
            made[f"correlate {side} {dtype}"] = cuda_conv.correlate(side, side, 16, dtype)
            made[f"weigh {side} {dtype}"] = cuda_conv.weigh(side, side, 16, dtype)
        made[f"weigh 16 {dtype}"] = cuda_conv.weigh(16, 64, 16, dtype)
        for channels in (8, 16):
            made[f"few {channels} {dtype}"] = cuda_conv.correlate_few(channels, dtype)
        for places in (True, False):
            made[f"largest {places} {dtype}"] = cuda_pool.largest(dtype, places)
        for name in ("take", "put", "average", "spread"):
            made[f"{name} {dtype}"] = getattr(cuda_pool, name)(dtype)
        made[f"gather {dtype}"] = cuda_step._gather(dtype)
        made[f"adadelta {dtype}"] = cuda_step._adadelta(dtype)
        for more in (True, False):
            made[f"adam {more} {dtype}"] = cuda_step._adam(dtype, more)
            made[f"sgd {more} {dtype}"] = cuda_step._sgd(dtype, more)
            made[f"scaled {more} {dtype}"] = cuda_step._scaled(dtype, more, more)
        for kind in range(7):
            also = "" if kind == cuda_elementwise.GELU_BACK else "also "
            made[f"formula {kind} {also}{dtype}"] = cuda_elementwise.formula(kind, dtype)
        made |= rows(32, 8, dtype)
    made["philox"] = cuda_step._philox()
    return made


def rows(lanes, per_block, dtype):
    """Kernels with a group of threads for each row."""
    from tinygrad_course.kernels import cuda_norm, cuda_softmax

    made = {"mean loss": cuda_softmax.mean_loss(256, dtype)}
    made["following"] = cuda_norm.following(dtype)
    for name in ("loss_rows", "loss_slope_rows"):
        made[name] = getattr(cuda_softmax, name)(lanes, per_block, dtype)
    for log, also in ((False, ""), (True, " also")):  # or given, or across
        for name in ("softmax_rows", "slope_rows"):
            made[name + also] = getattr(cuda_softmax, name)(log, lanes, per_block, dtype)
        for name in ("forward", "backward"):
            made[name + also] = getattr(cuda_norm, name)(lanes, per_block, log, True, dtype)
        made[f"weights{also}"] = cuda_norm.weights(lanes, per_block, log, dtype)
    return {f"{name} {dtype}": kernel for name, kernel in made.items()}


@cache
def why_not() -> str:
    """What the compiler lacks, or nothing."""
    from tinygrad_course.kernels import cuda_pool

    try:
        cuda_pool.take(F32).ptx((8, 0))
    except Exception as error:
        return f"no CUDA toolkit to compile with ({type(error).__name__}: {str(error)[:120]})"
    return ""


# double precision is the same source, and so are variants of a row's kernel: once is enough
CASES = [
    (name, capability)
    for capability in CAPABILITIES
    for name in kernels()
    if ("float64" in name) + ("also" in name) <= (capability == (8, 0))
]


@pytest.mark.parametrize(("name", "capability"), CASES)
def test_compiles(name, capability):
    if why_not():
        pytest.skip(why_not())
    ptx = kernels()[name].ptx(capability)
    assert f".target sm_{capability[0]}{capability[1]}" in ptx
    assert len(re.findall(r"\.visible \.entry", ptx)) == 1
    assert not re.findall(r"\.local\b", ptx), "an array of sums is not in registers"
    if "float64" not in name:
        assert not re.findall(r"\.f64\b", ptx), "double precision, on cards that are slow at it"


def test_arguments_are_handed_over_as_numba_lays_them_out():
    """An array is seven numbers of eight bytes; `_by_cupy` writes them itself."""
    if why_not():
        pytest.skip(why_not())
    from tinygrad_course.kernels.cuda_jit import SLOTS

    made = kernels()
    for name, arrays, numbers in (
        ("take float32", 3, 3),
        ("few 8 float32", 5, 0),
        ("gather float32", 2 + SLOTS, 0),
    ):
        entry = re.search(r"\.entry[^(]*\(([^)]*)\)", made[name].ptx((8, 0)))
        sizes = re.findall(r"\.param \.(\w+)", entry.group(1))
        assert len(sizes) == 7 * arrays + numbers
        assert set(sizes) <= {"u64", "b64", "s64"}


def test_names():
    convolution_and_pooling = {n for n, module in NAMES["cpu"].items() if module == "cpu"}
    convolution_and_pooling.remove("conv2d_bias")  # a sum: CuPy's own on a GPU
    assert convolution_and_pooling <= NAMES["cuda"].keys()
    assert all(callable(lookup("cuda", name)) for name in NAMES["cuda"])
