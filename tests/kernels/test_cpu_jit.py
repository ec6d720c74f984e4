"""Threads, forks, the cache on disk and the word about compiling: each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CONVOLVE = """
import sys, threading, numpy as np
from tinygrad_course.kernels import cpu, lookup, plain, threads
how = dict(stride=(1, 1), padding=(2, 2), dilation=(1, 1), groups=1)
rng = np.random.default_rng(0)
x = rng.integers(-4, 5, (32, 4, 20, 20)).astype("f4")
w = rng.integers(-4, 5, (8, 4, 5, 5)).astype("f4")
expected = plain.conv2d(x, w, **how), plain.conv2d_weight(x, x[:, [0] * 8], size=(5, 5), **how)
def right():
    weight = cpu.conv2d_weight(x, x[:, [0] * 8], size=(5, 5), **how)
    return (cpu.conv2d(x, w, **how) == expected[0]).all() and (weight == expected[1]).all()
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def check(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    result = run(code, **environment)
    assert result.returncode == 0, result.stderr
    return result


def test_two_python_threads_at_once() -> None:
    code = """
assert right()
results = []
def work():
    results.extend(right() for _ in range(30))
workers = [threading.Thread(target=work) for _ in range(2)]
[t.start() for t in workers]
[t.join() for t in workers]
assert all(results) and len(results) == 60
"""
    check(CONVOLVE + code, NUMBA_NUM_THREADS="2")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_forked_children_compute() -> None:
    code = """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
assert right()
assert threads.threads_for(1 << 60, 1) == 2
child = os.fork()
if child == 0:
    os._exit(0 if right() and threads.threads_for(1 << 60, 1) == 1 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert right()
"""
    check(CONVOLVE + code, NUMBA_NUM_THREADS="2")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_forked_before_threads_started_may_start_them() -> None:
    code = """
import os
child = os.fork()
if child == 0:
    os._exit(0 if right() and threads.threads_for(1 << 60, 1) == 2 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    check(CONVOLVE + code, NUMBA_NUM_THREADS="2")


POOLS = """
import sys, time, numpy as np
from tinygrad_course.kernels import cpu, cpu_jit
x = np.ones((1, 1, 4, 4), "f4")
def pool():
    places = np.zeros((1, 1, 2, 2), int)
    assert (cpu.pool_take(x, places) == 1).all()
"""


SLOWLY = """
compiler = type(cpu.cpu_pool.move._compiler)  # asked only for what is not on disk
compile = compiler.compile
def slowly(self, *args):
    time.sleep(1.2)
    return compile(self, *args)
compiler.compile = slowly
"""


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    code = """
from numba.core import caching
def refuse(*args):
    raise OSError("no room")
"""
    nowhere = code + "caching._CacheLocator.ensure_cache_path = refuse" + POOLS
    check(nowhere + "pool(); assert isinstance(cpu.cpu_pool.move._cache, caching.NullCache)")
    full = code + "caching.IndexDataCacheFile.save = refuse" + POOLS
    check(full + "pool()", NUMBA_CACHE_DIR=str(tmp_path))
    assert not list(tmp_path.rglob("*.nb?"))


def test_a_damaged_cache_is_done_without(tmp_path: Path) -> None:
    check(POOLS + "pool()", NUMBA_CACHE_DIR=str(tmp_path))
    files = list(tmp_path.rglob("*.nb?"))
    assert files
    for file in files:
        file.write_bytes(b"not what you think")
    hits = "print(sum(cpu.cpu_pool.move.stats.cache_hits.values()))"
    for expected in ("0\n", "1\n"):  # and replaced by one that works
        assert check(POOLS + "pool();" + hits, NUMBA_CACHE_DIR=str(tmp_path)).stdout == expected


def test_the_cache_is_out_of_date_when_any_kernel_file_changes(tmp_path: Path) -> None:
    hits = "pool(); print(sum(cpu.cpu_pool.move.stats.cache_hits.values()))"
    change = """
from tinygrad_course.kernels import cpu_jit
cpu_jit._sources = lambda: "another text"
"""
    for before, expected in (("", "0\n"), ("", "1\n"), (change, "0\n"), (change, "1\n")):
        result = check(before + POOLS + hits, NUMBA_CACHE_DIR=str(tmp_path))
        assert result.stdout == expected


def test_a_long_first_compile_says_so_once(tmp_path: Path) -> None:
    code = "pool(); x = np.ones((1, 1, 4, 4)); pool()"
    said = check(POOLS + SLOWLY + code, NUMBA_CACHE_DIR=str(tmp_path))
    assert said.stderr == ("tinygrad_course: compiling kernels, once (they are cached on disk)\n")
    assert said.stdout == ""
    assert check(POOLS + "pool()", NUMBA_CACHE_DIR=str(tmp_path)).stderr == ""


def test_a_long_second_compile_says_so(tmp_path: Path) -> None:
    code = """
pool()
x, places = x.reshape(1, 16), np.zeros((1, 1), "i4")  # another signature of the same dtype
cpu_jit.launch(cpu.cpu_pool.move, 1, x, places, x.copy(), False, np.zeros(1, int))
"""
    silently = "cpu_jit._Word.after = 60\n"
    assert check(POOLS + silently + code, NUMBA_CACHE_DIR=str(tmp_path)).stderr == ""
    said = check(POOLS + SLOWLY + code.replace("i4", "i2"), NUMBA_CACHE_DIR=str(tmp_path))
    assert said.stderr == "tinygrad_course: compiling kernels, once (they are cached on disk)\n"


def test_what_is_compiled_in_every_run_says_so(tmp_path: Path) -> None:
    code = """
from numba.core import caching
def refuse(*args):
    raise OSError("no room")
caching._CacheLocator.ensure_cache_path = refuse
"""
    said = check(code + POOLS + SLOWLY + "pool()", NUMBA_CACHE_DIR=str(tmp_path))
    expected = "tinygrad_course: compiling kernels, as in every run (no cache can be written)\n"
    assert said.stderr == expected


def test_a_long_first_run_says_nothing() -> None:
    code = """
class Slow:
    signatures = []
    def __call__(self, pool, x):
        self.signatures.append("compiled")
        time.sleep(1.2)
cpu_jit.launch(Slow(), 1, x)
"""
    assert check(POOLS + code).stderr == ""


def test_kernels_run_without_the_compiler() -> None:
    code = """
x, w = x[:2, :2, :7, :7], w[:3, :2, :3, :2]
how.update(stride=(2, 1), padding=(1, 0))
expected = plain.conv2d(x, w, **how)
assert (cpu.conv2d(x, w, **how) == expected).all()
dx = cpu.conv2d_input(expected, w, size=(7, 7), **how)
assert (dx == plain.conv2d_input(expected, w, size=(7, 7), **how)).all()
dw = cpu.conv2d_weight(x, expected, size=(3, 2), **how)
assert (dw == plain.conv2d_weight(x, expected, size=(3, 2), **how)).all()
"""
    check(CONVOLVE + code, NUMBA_DISABLE_JIT="1")


def test_numba_is_imported_when_a_kernel_is_looked_up() -> None:
    code = """
import sys
from tinygrad_course import kernels
assert kernels.lookup("cpu", "no such row") is None
assert kernels.lookup("no such device", "conv2d") is None
assert "numba" not in sys.modules
assert kernels.lookup("cpu", "conv2d") is sys.modules["tinygrad_course.kernels.cpu"].conv2d
assert "numba" in sys.modules
for name in kernels.NAMES["cpu"]:
    kernel = kernels.lookup("cpu", name)
    assert kernel.__name__ == name
    by_rows = kernels.NAMES["cpu"][name] != "cpu" or name == "conv2d_bias"
    assert by_rows or hasattr(kernels.plain, name)  # the NumPy form is the row's own, or in plain
"""
    check(code)
