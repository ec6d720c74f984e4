"""Workers: the same batches as without them, and no end without a word."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import tinygrad_course as tc
from tinygrad_course.data import (
    DataLoader,
    Dataset,
    RandomHorizontalFlip,
    Subset,
    TensorDataset,
    Transformed,
    get_worker_info,
)
from tinygrad_course.data.datasets import Vehicles
from tinygrad_course.errors import OptionError, ShapeError

METHODS = multiprocessing.get_all_start_methods()
pytestmark = pytest.mark.skipif("fork" not in METHODS, reason="most of these fork")


class Numbers(Dataset):
    """0 to n − 1 with noise; `does` tells what some samples do instead."""

    def __init__(self, n=23, does=None):
        self.n, self.does = n, does or {}

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        if index in self.does:
            self.does[index]()
        return index, tc.rand(2)


class Odd(Exception):
    """An error that cannot be unpickled: its arguments are not what it was made from."""

    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


def read(loader, passes=1):
    return [[x.tolist() for x in batch] for _ in range(passes) for batch in loader]


def own_children():
    return [p for p in multiprocessing.active_children() if p.is_alive()]


@pytest.fixture(autouse=True)
def no_worker_is_left():
    yield
    if own_children():
        gc.collect()  # an error's traceback may hold a loader
    assert own_children() == []


def add_noise(x):
    return x + tc.rand_like(x)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    "dataset", [Numbers(), Transformed(TensorDataset(tc.zeros(23, 2)), add_noise)]
)
def test_any_number_of_workers_gives_the_same_batches(dataset, shuffle):
    def batches(workers, **how):
        tc.manual_seed(4)
        how |= {"prefetch_factor": 3} if workers else {}
        found = read(DataLoader(dataset, 4, shuffle, num_workers=workers, **how), passes=2)
        return [*found, tc.rand(1).item()]

    expected = batches(0)
    assert all(batches(n) == expected for n in (1, 2, 5))
    assert batches(2, persistent_workers=True) == expected


@pytest.mark.parametrize("method", sorted({"spawn", "forkserver"} & set(METHODS)))
def test_other_ways_to_start(method):
    dataset = TensorDataset(np.arange(40.0).reshape(10, 4), np.arange(10))
    how = {"num_workers": 2, "multiprocessing_context": method}
    tc.manual_seed(1)
    expected = read(DataLoader(dataset, 3, True))
    tc.manual_seed(1)
    assert read(DataLoader(dataset, 3, True, **how)) == expected
    scenes = Transformed(Subset(Vehicles(8, 16), range(1, 7)), RandomHorizontalFlip())
    pairs = zip(DataLoader(scenes, 2), DataLoader(scenes, 2, **how), strict=True)
    for (images, _), (same, _) in pairs:
        np.testing.assert_array_equal(images.numpy(), same.numpy())
    with pytest.raises(OptionError, match="cannot be sent to a new process"):
        read(DataLoader(Numbers(does={0: lambda: None}), **how))


def test_an_error_comes_back_with_its_place():
    def fail():
        raise ShapeError("no such picture")

    with pytest.raises(ShapeError, match="no such picture") as caught:
        read(DataLoader(Numbers(does={9: fail}), 4, num_workers=2))
    notes = "\n".join(caught.value.__notes__)
    assert "while reading sample 9 of Numbers" in notes
    assert "worker 0, for batch 2" in notes
    assert "in fail" in str(caught.value.__cause__)
    with pytest.raises(ShapeError) as caught:
        read(DataLoader(Numbers(does={9: fail}), 4))
    assert "while reading sample 9" in caught.value.__notes__[0]


def test_an_error_in_a_whole_batch_names_its_samples():
    def fail(x):
        raise ValueError("never")

    broken = Transformed(TensorDataset(tc.zeros(23, 2)), fail)
    with pytest.raises(ValueError, match="never") as caught:
        read(DataLoader(broken, 10, num_workers=1))
    assert "samples 0, 1, 2, 3, 4, 5, 6, 7, … (10 in all)" in caught.value.__notes__[0]


def test_errors_and_batches_that_cannot_travel():
    def fail():
        raise Odd(1, 2)

    with pytest.raises(RuntimeError, match=r"Odd in DataLoader worker 0.*: 1 and 2"):
        read(DataLoader(Numbers(does={0: fail}), num_workers=1))
    with pytest.raises(Exception, match=r"pickle|local object"):
        read(DataLoader([0], collate_fn=lambda samples: lambda: samples, num_workers=1))
    with pytest.raises(SystemExit):
        read(DataLoader(Numbers(does={0: sys.exit}), num_workers=1))


@pytest.mark.parametrize("kept", [False, True])
def test_a_pass_after_an_error(kept):
    does = {3: lambda: 1 / 0}
    loader = DataLoader(Numbers(does=does), 4, num_workers=2, persistent_workers=kept)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            read(loader)
    del does[3]
    assert len(read(loader)) == 6
    del loader


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_worker_is_an_error_within_seconds(victim):
    def wait():
        if get_worker_info().id == victim:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)

    start = time.perf_counter()
    with pytest.raises(RuntimeError, match=rf"worker {victim} \(pid \d+\) was killed by SIGKILL"):
        read(DataLoader(Numbers(does=dict.fromkeys(range(23), wait)), 4, num_workers=2))
    assert time.perf_counter() - start < 8


def test_a_worker_killed_between_batches():
    loader = DataLoader(Numbers(), 2, num_workers=2, prefetch_factor=1)
    batches = iter(loader)
    next(batches)
    for process in own_children():
        os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="killed by SIGKILL"):
        list(batches)
    with pytest.raises(RuntimeError, match="ended with exit code 3"):
        read(DataLoader(Numbers(does={5: lambda: os._exit(3)}), 2, num_workers=2))


def test_a_slow_sample_runs_into_the_timeout():
    slow = Numbers(does={4: lambda: time.sleep(30)})
    start = time.perf_counter()
    with pytest.raises(RuntimeError, match=r"timed out after 0\.5 seconds: worker 0"):
        read(DataLoader(slow, 2, num_workers=2, timeout=0.5))
    assert time.perf_counter() - start < 6


def test_leaving_early_leaves_no_worker():
    loader = DataLoader(Numbers(400), 2, num_workers=3)
    start = time.perf_counter()
    for _ in loader:
        break
    assert own_children() == []
    batches = iter(loader)
    next(batches)
    with pytest.raises(KeyboardInterrupt):
        batches.throw(KeyboardInterrupt)
    assert time.perf_counter() - start < 3


def test_persistent_workers_stay_and_forget_what_was_left_unread():
    loader = DataLoader(TensorDataset(tc.arange(40)), 2, num_workers=2, persistent_workers=True)
    next(iter(loader))
    pids = {p.pid for p in own_children()}
    assert len(pids) == 2
    assert [b[0][0] for b in read(loader)] == list(range(0, 40, 2))
    assert {p.pid for p in own_children()} == pids
    pairs = [(a[0].tolist(), b[0].tolist()) for a, b in zip(loader, loader, strict=True)]
    assert all(a == b for a, b in pairs)
    assert len(pairs) == 20
    del loader


def test_large_batches_and_long_lists_of_indices_do_not_block():
    wide = TensorDataset(np.zeros((60_000, 40), np.float32))
    loader = DataLoader(wide, 30_000, shuffle=True, num_workers=2)
    assert [len(x) for (x,) in loader] == [30_000, 30_000]


def test_workers_know_who_they_are_and_draw_apart():
    class Told(Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, index):
            info = get_worker_info()
            return info.id, info.num_workers, random.random(), np.random.random(), self.mark

    def settle(number):
        get_worker_info().dataset.mark = number + 10

    rows = read(DataLoader(Told(), 1, num_workers=2, worker_init_fn=settle))
    assert [row[0] for row in rows] == [[0], [1]] * 4
    assert {row[1][0] for row in rows} == {2}
    assert len({row[2][0] for row in rows}) == len({row[3][0] for row in rows}) == 8
    assert [row[4][0] for row in rows] == [10, 11] * 4


def test_an_error_while_settling_in():
    def settle(number):
        raise OSError("no such disk")

    with pytest.raises(OSError, match="no such disk") as caught:
        read(DataLoader(Numbers(), num_workers=2, worker_init_fn=settle))
    assert "in its worker_init_fn" in caught.value.__notes__[-1]


def test_a_process_whose_kernels_and_products_use_threads_can_fork():
    """What a fork must survive: thread pools that are at work, and a thread that holds a lock."""
    code = """
import threading, numpy as np, tinygrad_course as tc
from tinygrad_course import nn
from tinygrad_course.data import DataLoader, Dataset
from tinygrad_course.kernels import threads
def work(n):
    pooled = nn.functional.avg_pool2d(tc.ones(n, 16, 64, 64), 2)
    return float(pooled.sum()), float((np.ones((400, 400)) @ np.ones((400, 400))).sum())
class Busy(Dataset):
    def __len__(self): return 6
    def __getitem__(self, index): return work(8)
here = work(8)
assert [thread.is_alive() for thread in threads._team._threads] == [True]
def always():
    while True: work(8)
threading.Thread(target=always, daemon=True).start()
for row in DataLoader(Busy(), None, num_workers=2):
    assert row == here, (row, here)
print("done")
"""
    env = os.environ | {"NUMBA_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    env.pop("OMP_NUM_THREADS", None)
    run = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120
    )
    assert run.stdout == "done\n", run.stderr


def test_a_forked_copy_of_a_loader_leaves_the_workers_alone():
    loader = DataLoader(Numbers(), 4, num_workers=2, persistent_workers=True)
    read(loader)
    pids = {p.pid for p in own_children()}
    child = os.fork()
    if child == 0:
        loader._idle = None  # what is deleted there closes what it holds
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    assert len(read(loader)) == 6
    assert {p.pid for p in own_children()} == pids
    del loader


def test_workers_that_are_kept_end_quietly_with_the_process():
    code = """
from tinygrad_course.data import DataLoader
loader = DataLoader(range(9), 2, num_workers=2, persistent_workers=True)
print([b.tolist() for b in loader][-1])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.stdout, run.stderr, run.returncode) == ("[8]\n", "", 0)


SCRIPT = """
import time, tinygrad_course as tc
from tinygrad_course.data import DataLoader, Dataset
import multiprocessing
class Slow(Dataset):
    def __len__(self): return 1000
    def __getitem__(self, index):
        time.sleep(0.001)
        return index
for i, batch in enumerate(DataLoader(Slow(), 4, num_workers=3)):
    if i == 2:
        time.sleep(0.2)  # until the workers have read ahead and wait
        print(*[p.pid for p in multiprocessing.active_children()], flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_process_that_trains(end):
    run = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    pids = [int(pid) for pid in run.stdout.readline().split()]
    assert len(pids) == 3
    if end == signal.SIGINT:
        os.killpg(run.pid, end)  # as a terminal does
    else:
        os.kill(run.pid, end)
    _, errors = run.communicate(timeout=30)
    assert run.returncode != 0
    if end == signal.SIGINT:
        assert errors.count("KeyboardInterrupt") == 1, errors  # the workers keep quiet
    last = time.monotonic() + 10
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < last, "a worker is still there"
        time.sleep(0.02)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
