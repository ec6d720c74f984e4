"""Who can reach an array's memory, and vast arrays whose room is used again."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
import weakref

import numpy as np
import pytest

import tinygrad_course as tc
from tinygrad_course.kernels import memory

SIDE = 3000  # 36 MB of float32


@pytest.fixture(autouse=True)
def _nothing_kept():
    memory._kept.clear()
    yield
    memory._kept.clear()


def vast(side=SIDE):
    return memory.empty((side, side), np.float32)


def place(array):
    return array.__array_interface__["data"][0]


def test_a_vast_array_is_like_any_other():
    array = vast()
    assert type(array) is np.ndarray
    assert (array.shape, array.dtype) == ((SIDE, SIDE), np.float32)
    assert array.flags.carray
    array[...] = 1.5
    assert array.sum(dtype="f8") == 1.5 * array.size


def test_small_arrays_are_numpys():
    assert memory.empty((3, 4), "f4").base is None
    assert not memory._kept


def test_room_is_used_again_when_all_views_are_gone():
    array = vast()
    here, view = place(array), array[1:].T
    del array
    assert not memory._kept
    del view
    assert place(vast()) == here


def test_room_in_use_is_not_given_away():
    first, second = vast(), vast()
    assert place(first) != place(second)
    here = place(second)
    del second
    assert place(vast()) == here
    assert place(first) != here


def test_what_does_not_fit_goes_back():
    old = weakref.ref(vast())
    assert old() is None
    assert len(memory._kept) == 1
    other = vast(SIDE + 1)
    assert not memory._kept
    del other
    assert len(memory._kept) == 1


def test_own_hands_on_what_nobody_else_can_reach():
    for make in (vast, lambda: np.ones(3)):
        array = make()
        here = place(array)
        array = memory.own(array)
        assert place(array) == here
        view = array[1:]
        assert place(memory.own(array)) != here
        assert place(memory.own(view)) != place(view)


@pytest.mark.parametrize("make", [vast, lambda: np.ones((3, 3))])
def test_in_place_methods_know_who_shares(make):
    array = make()
    array.fill(1)
    tensor = tc.from_numpy(array)
    del array
    tensor.mul_(2)
    assert tensor[0, 0].item() == 2
    row = tensor[0]
    with pytest.raises(RuntimeError, match="view"):
        row.mul_(2)


def test_gradients_do_not_meet_in_one_place():
    """Two backward passes whose gradients are vast: the first's is still there after the second."""
    w = tc.ones(SIDE, SIDE, requires_grad=True)
    kept = []
    for factor in (1.0, 2.0):
        room = vast()
        room.fill(factor)
        (w * tc.from_numpy(room)).sum().backward()
        del room
        kept.append(w.grad)
        w.grad = None
        gc.collect()
    assert [g[0, 0].item() for g in kept] == [1, 2]


FAULTS = """
import resource
import numpy as np
import tinygrad_course.kernels.cpu_jit
def step():
    arrays = [np.ones(600_000, np.float32) for _ in range(8)]
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc",
    reason="glibc alone can be told to keep freed memory; others are asked for nothing",
)
@pytest.mark.parametrize("said", [{}, {"MALLOC_TRIM_THRESHOLD_": "131072"}])
def test_freed_memory_is_kept_unless_the_environment_says_otherwise(said: dict[str, str]) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")} | said
    run = [sys.executable, "-c", FAULTS]
    out = subprocess.run(run, capture_output=True, text=True, check=True, env=environment)
    assert (int(out.stdout) > 1000) == bool(said)
