"""How many threads the kernels have, as users say it."""

from __future__ import annotations

import pytest

import tinygrad_course as tc
from tinygrad_course.kernels import threads

from .test_cpu_jit import CONVOLVE, check, run


@pytest.fixture(autouse=True)
def _as_before():
    before = tc.get_num_threads()
    yield
    tc.set_num_threads(before)


@pytest.mark.parametrize("n", [0, -1, 1.0, True, "2", None, 10**6])
def test_a_number_that_cannot_be_is_refused(n):
    before = tc.get_num_threads()
    with pytest.raises(tc.errors.OptionError, match=r"set_num_threads: .* may have 1 to"):
        tc.set_num_threads(n)
    assert tc.get_num_threads() == before


def test_one_thread_stays_serial():
    tc.set_num_threads(1)
    assert threads.threads_for(1 << 60, 1) == 1


def test_small_work_stays_serial():
    assert threads.threads_for(99, 100) == 1


def test_threads_by_the_work_there_is():
    code = "print([threads.threads_for(n, 10) for n in (9, 10, 19, 20, 35, 900)])"
    assert check(CONVOLVE + code, NUMBA_NUM_THREADS="4").stdout == "[1, 2, 2, 3, 4, 4]\n"


def test_the_environment_says_how_many():
    code = "import tinygrad_course as tc; print(tc.get_num_threads())"
    four = {"NUMBA_NUM_THREADS": "4"}
    assert check(code, **four).stdout == "4\n"
    assert check(code, **four, TINYGRAD_COURSE_NUM_THREADS="3").stdout == "3\n"
    later = "import numba, tinygrad_course as tc; print(tc.get_num_threads())"
    assert check(later, **four).stdout == "4\n"


@pytest.mark.parametrize("given", ["many", "0", "-2", "5", "1.5"])
def test_an_environment_that_cannot_be_is_refused_by_name(given):
    code = "import tinygrad_course as tc; tc.get_num_threads()"
    result = run(code, NUMBA_NUM_THREADS="4", TINYGRAD_COURSE_NUM_THREADS=given)
    assert result.returncode == 1
    assert "OptionError: TINYGRAD_COURSE_NUM_THREADS: " in result.stderr
    assert "1 to 4" in result.stderr


def test_asking_needs_no_compiler():
    check(
        "import sys, tinygrad_course as tc; tc.set_num_threads(tc.get_num_threads());"
        "assert 'numba' not in sys.modules"
    )


def test_kernels_have_as_many_parts_as_were_set():
    code = """
import tinygrad_course as tc
from tinygrad_course.kernels import cpu_jit
real, used = cpu_jit.spread, set()
def told(kernel, threads, *args):
    used.add(threads)
    return real(kernel, threads, *args)
cpu_jit.spread = told
assert threads.threads_for(1 << 60, 1) == 4
for n in (2, 3, 1, 4):
    used.clear()
    tc.set_num_threads(n)
    assert right()
    assert used == ({n} if n > 1 else set()), (n, used)
"""
    check(CONVOLVE + code, NUMBA_NUM_THREADS="4")


def test_without_threadpoolctl_kernels_stay_on_one():
    code = """
sys.modules["threadpoolctl"] = None
assert threads.threads_for(1 << 60, 1) == 1
assert right() and not threads.share_products()
"""
    check(CONVOLVE + code, NUMBA_NUM_THREADS="2")


def test_what_was_done_before_does_not_show():
    """A run that goes on from a checkpoint is the run that was not interrupted, to the last bit."""
    code = """
import hashlib, tinygrad_course as tc
F, digest = tc.nn.functional, hashlib.sha256()
def bits(*tensors):
    for each in tensors:
        digest.update(each.detach().numpy().tobytes())
def step(batch, *sizes):
    tc.manual_seed(batch)
    layers = [tc.nn.Linear(*two) for two in zip(sizes, sizes[1:])]
    out = tc.randn(batch, sizes[0])
    for layer in layers:
        out = layer(F.tanh(out))
    loss = F.cross_entropy(out, tc.arange(batch) % sizes[-1])
    loss.backward()
    bits(loss, *(p.grad for layer in layers for p in layer.parameters()))
def all_steps():
    step(1, 784, 128, 10)
    step(8, 100, 300, 10)
    step(32, 784, 128, 64, 10)
    q = tc.randn(4, 2, 60, 50)
    bits(q @ q.transpose(-1, -2))
"""
    done = "tc.manual_seed(0); all_steps(); print(digest.hexdigest())"
    before = "import numba; threads.threads_for(1 << 60, 1); right(); all_steps()\n"
    fresh = check(code + done, NUMBA_NUM_THREADS="2")
    later = check(
        CONVOLVE + code + before + "digest = hashlib.sha256()\n" + done, NUMBA_NUM_THREADS="2"
    )
    assert fresh.stdout == later.stdout != ""


def test_results_are_the_same_bit_for_bit():
    code = """
import hashlib, tinygrad_course as tc
from tinygrad_course import nn
tc.manual_seed(0)
model = nn.Sequential(nn.Conv2d(3, 40, 3), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten(),
                      nn.Linear(40 * 14 * 14, 96))
x = tc.randn(16, 3, 32, 32)
(model(x) ** 2).mean().backward()
print([hashlib.sha256(p.grad.numpy().tobytes()).hexdigest() for p in model.parameters()])
"""
    first, second = (check(code, NUMBA_NUM_THREADS="2").stdout for _ in range(2))
    assert first == second
