"""Kernels compiled ahead of their use, by a second process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import tinygrad_course as tc
from tinygrad_course.kernels import ahead, cpu_jit

ROOT = Path(__file__).parents[2]
F = tc.nn.functional
Job = ahead.Job


# --- what is foreseen is what is called -----------------------------------------------------------


class Nothing:
    def __contains__(self, kernel: Any) -> bool:
        return False


Calls = tuple[set[Job], set[Job]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The kernels that are called from here on, and those that these foresee."""
    called: set[Job] = set()
    foreseen: set[Job] = set()

    def call(team: int, kernel: Any, *args: Any) -> Any:
        called.add(job(kernel, team, *args))
        if kernel in cpu_jit._foreseen:
            foreseen.update(job(*each) for each in flat(cpu_jit._foreseen[kernel](team, *args)))
        return kernel(team, *args)

    monkeypatch.setattr(cpu_jit, "_compiled", Nothing())
    monkeypatch.setattr(cpu_jit, "_first", call)
    return called, foreseen


def flat(calls: Any) -> list[Any]:
    return [(kernel, *args) for kernel, args in calls]


def job(kernel: Any, *args: Any) -> Job:
    return Job(kernel.__module__, kernel.__qualname__, tuple(map(numba.typeof, args)))


def lenet(x: Any) -> Any:
    model = tc.nn.Sequential(
        tc.nn.Conv2d(1, 6, 5, padding=2), tc.nn.Tanh(), tc.nn.AvgPool2d(2),
        tc.nn.Conv2d(6, 16, 5), tc.nn.Tanh(), tc.nn.AvgPool2d(2),
    )  # fmt: skip
    return model.to(x.dtype)(x)


def convolved(outputs: int, kernel: int, stride: int) -> Callable[[Any], Any]:
    def convolve(x: Any) -> Any:
        w = tc.randn(outputs, x.shape[1], kernel, kernel, dtype=x.dtype, requires_grad=True)
        return F.conv2d(x, w, stride=stride)

    return convolve


CASES: dict[str, tuple[tuple[int, ...], Callable[[Any], Any]]] = {
    "LeNet": ((32, 1, 28, 28), lenet),
    "LeNet, one image": ((1, 1, 28, 28), lenet),
    "channels": ((2, 32, 20, 20), convolved(32, 5, 1)),
    "channels, with strides": ((2, 32, 20, 20), convolved(32, 3, 2)),
    "3 by 3": ((4, 64, 24, 24), convolved(64, 3, 1)),
    "max pool": ((4, 8, 16, 16), lambda x: F.max_pool2d(x, 3, 2)),
    "mean pool": ((4, 8, 16, 16), lambda x: F.avg_pool2d(x, 3, 2)),
    "batch norm": ((8, 16, 8, 8), tc.nn.BatchNorm2d(16)),
    "layer norm": ((64, 128), tc.nn.LayerNorm(128)),
    "softmax": ((64, 128), lambda x: F.softmax(x, 1)),
    "log-softmax": ((64, 128), lambda x: F.log_softmax(x, 1)),
    "cross-entropy": ((640, 10), lambda x: F.cross_entropy(x, tc.arange(640) % 10)),
    "attention": ((2, 4, 64, 16), lambda x: F.scaled_dot_product_attention(x, x, x)),
    "tanh": ((64, 128), tc.tanh),
    "sigmoid": ((64, 128), tc.sigmoid),
    "gelu": ((64, 128), F.gelu),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_gradient_calls_was_foreseen(name: str, calls: Calls) -> None:
    shape, function = CASES[name]
    called, foreseen = calls
    x = tc.randn(*shape, requires_grad=True)
    out = function(x)
    assert called, "no kernel"
    forward = called.copy()
    (out * tc.ones_like(out)).sum().backward()
    assert called - forward - foreseen == set()


# --- the other process ----------------------------------------------------------------------------

TANH = """
import os, sys, time, numpy as np
from tinygrad_course.kernels import ahead, cpu_elementwise, threads
x = np.ones(1 << 13, "f4")
def forward():
    return cpu_elementwise.tanh(x)
def backward():
    out = cpu_elementwise.tanh_back(x, x, x)
    assert (out == 0).all()
    return cpu_elementwise._tanh_back_kernel.stats
def idle():
    end = time.monotonic() + 60
    while ahead._helper._doing or ahead._helper._queue:
        assert time.monotonic() < end
        time.sleep(0.01)
"""


def start(code: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    more = {"PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(folder), "NUMBA_NUM_THREADS": "2"}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", TANH + code],
        env={**os.environ, **more, ahead.VARIABLE: "1", **environment},
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def check(code: str, folder: Path, **environment: str) -> str:
    """What a process prints that has nothing on disk yet, and nothing to complain of."""
    process = start(code, folder, **environment)
    out, err = process.communicate(timeout=120)
    said = [line for line in err.splitlines() if "compiling kernels, once" not in line]
    assert (process.returncode, said) == (0, [])
    return out


def test_a_gradient_is_found_on_disk(tmp_path: Path) -> None:
    code = "forward(); idle(); print(sum(backward().cache_hits.values()), ahead._helper.over)"
    assert check(code, tmp_path) == "1 False\n"


def test_a_gradient_that_is_being_compiled_is_waited_for(tmp_path: Path) -> None:
    code = """
forward()
while not ahead._helper._doing:
    time.sleep(0.001)
print(sum(backward().cache_hits.values()))
"""
    assert check(code, tmp_path) == "1\n"


@pytest.mark.parametrize("when", ["ahead._helper._process.kill()", "ahead._helper.end()"])
def test_without_the_process_a_gradient_is_compiled(when: str, tmp_path: Path) -> None:
    code = f"forward(); {when}; print(sum(backward().cache_misses.values()))"
    assert check(code, tmp_path) == "1\n"


def test_a_process_that_does_not_answer_is_waited_for_in_vain(tmp_path: Path) -> None:
    if not hasattr(signal, "SIGSTOP"):
        pytest.skip("needs a way to halt a process")
    code = """
import signal
ahead.PATIENCE = 1.0
forward()
while not ahead._helper._doing:
    time.sleep(0.001)
os.kill(ahead._helper._process.pid, signal.SIGSTOP)
print(sum(backward().cache_misses.values()))
"""
    assert check(code, tmp_path) == "1\n"


@pytest.mark.parametrize(
    ("code", "environment"),
    [
        ("", {ahead.VARIABLE: "0"}),
        ("", {"NUMBA_NUM_THREADS": "1"}),
        ("sys.executable = ''", {}),
        ("sys.executable = '/usr/bin/editor'", {}),
        ("sys.executable = '/nowhere/python'", {}),
        ("import multiprocessing as m; m.parent_process = lambda: 'parent'", {}),
    ],
)
def test_there_need_not_be_one(code: str, environment: dict[str, str], tmp_path: Path) -> None:
    rest = "\nforward(); print(ahead._helper, sum(backward().cache_misses.values()))"
    assert check(code + rest, tmp_path, **environment) == "None 1\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no forked children")
def test_a_forked_child_compiles_on_its_own(tmp_path: Path) -> None:
    code = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
forward()
child = os.fork()
if child == 0:
    assert not ahead.wait(None)
    backward()
    sys.exit(0)  # the process is its parent's, and goes on
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
idle()
print(ahead._helper._process.poll(), ahead._helper.over)
"""
    assert check(code, tmp_path) == "None False\n"


def test_one_with_nothing_to_do_ends_and_another_can_be_started(tmp_path: Path) -> None:
    code = """
ahead.IDLE = 0.2
forward()
first = ahead._helper
first._thread.join(60)
print(first.over, first._process.poll() is not None)
x = np.ones(1 << 13, "f8")
cpu_elementwise.gelu(np.ones(1 << 13, "f4"))
cpu_elementwise.sigmoid(x)
print(ahead._helper is not first)
"""
    assert check(code, tmp_path) == "True True\nTrue\n"


def test_modules_are_not_looked_for_in_the_current_folder(tmp_path: Path) -> None:
    here, script = tmp_path / "here", tmp_path / "there" / "script.py"
    for folder in (here, script.parent):
        folder.mkdir()
    (here / "pickle.py").write_text("open('imported', 'w')")
    script.write_text(TANH + "forward(); idle(); print(sum(backward().cache_hits.values()))")
    more = {"PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_NUM_THREADS": "2"}
    result = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, **more, ahead.VARIABLE: "1"},
        cwd=here, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert result.stdout == "1\n"
    assert not (here / "imported").exists()


def gone(pid: int) -> bool:
    """Whether a process ends within some seconds."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except OSError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill(pid, 0) ends a process on Windows")
@pytest.mark.parametrize("end", ["pass", "os._exit(0)", "os.kill(os.getpid(), 9)", "1 / 0"])
def test_nothing_is_left_behind(end: str, tmp_path: Path) -> None:
    code = f"forward(); print(ahead._helper._process.pid, flush=True); {end}"
    process = start(code, tmp_path)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.communicate(timeout=60)
    assert gone(pid)


def test_files_of_a_function_are_named_by_their_signature(tmp_path: Path) -> None:
    code = """
from numba.core.caching import IndexDataCacheFile
from tinygrad_course.kernels.cpu_jit import _Files
two = [_Files(sys.argv[1] if len(sys.argv) > 1 else os.environ["NUMBA_CACHE_DIR"], "f", "now")
       for _ in range(2)]
for files in two:  # both have seen an empty index
    files._load_index = dict
for files, key in zip(two, "ab"):
    files.save(key, key)
del two[1]._load_index
print(two[1].load("a"), two[1].load("b"))
"""
    assert check(code, tmp_path) == "None b\n"


def test_types_can_be_sent() -> None:
    import pickle

    sent = job(len, np.ones((2, 3), np.float32), (1, 2), 1.0, True, None)
    assert pickle.loads(pickle.dumps(sent)) == sent
