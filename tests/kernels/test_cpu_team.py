"""Threads that take parts of kernels: every part is done once, whoever is awake."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from tinygrad_course.kernels import cpu_team, threads
from tinygrad_course.kernels.cpu_jit import entry, worker
from tinygrad_course.kernels.cpu_spread import spread
from tinygrad_course.kernels.cpu_team import Team

from .test_cpu_jit import CONVOLVE, check


@worker
def _count(t, done, turns):
    total = 0.0
    for i in range(turns):
        total += 1.0 / (1.0 + i)
    done[t, 0] += 1
    done[t, 1] = total


@entry
def counted(team, done, turns, parts):
    spread(team, parts, _count, (done, turns))


@pytest.fixture
def team():
    three = Team(3)
    yield three
    three.end()


def rounds(team, turns, parts=3, times=200):
    """Whether each part of each of some kernels was done once, and computed the same."""
    done = np.zeros((parts, 8))
    for _ in range(times):
        counted(team.address, done, turns, parts)
    return (done[:, 0] == times).all() and (done[:, 1] == done[0, 1]).all()


@pytest.mark.parametrize("turns", [1, 300, 20_000])
@pytest.mark.parametrize("parts", [1, 2, 3, 8])
def test_parts_are_done_once_by_threads_that_are_awake(team, turns, parts):
    team.wake(3)
    assert rounds(team, turns, parts)


def test_nobody_waits_for_sleepers(team):
    assert rounds(team, 300)
    assert team.asleep


def test_they_fall_asleep_and_wake(team, monkeypatch):
    monkeypatch.setattr(cpu_team, "_PATIENCE", 10)
    for _ in range(20):
        team.wake(3)
        assert rounds(team, 300, times=3)
        deadline = time.monotonic() + 60
        while not team.asleep and time.monotonic() < deadline:
            time.sleep(0.001)
        assert team.asleep


def test_only_those_wake_who_are_needed(team):
    team.wake(2)
    assert team.asleep  # one of them
    assert [call.is_set() for call in team._calls][1:] == [False]
    assert rounds(team, 300, parts=2)
    assert rounds(team, 300)
    team.wake(3)
    assert rounds(team, 300)


def test_a_team_that_has_ended_has_its_work_done_here(team):
    team.wake(3)
    team.end()
    assert not any(thread.is_alive() for thread in team._threads)
    assert rounds(team, 300)


@worker
def _meet(t, seen, place):
    """Part 0 waits for part 1 to begin: only another thread can begin it."""
    if t == 1:
        cpu_team._write(place, 1)
    for _ in range(10_000_000):
        if cpu_team._read(place) == 1:
            seen[t] = True
            break
        cpu_team._give_way()


@entry
def met(team, seen, place):
    spread(team, 2, _meet, (seen, place))


def test_parts_are_done_at_the_same_time(team):
    seen, place = np.zeros(2, bool), np.ones(1, np.int64)
    met(0, seen, place.ctypes.data)  # compiled here: meanwhile the team would fall asleep
    seen[:], place[:] = False, 0
    team.wake(3)
    met(team.address, seen, place.ctypes.data)
    assert seen.all()


def test_several_python_threads_have_kernels_at_once():
    """One has the team; the others do all of their parts."""
    team, results = Team(2), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "_team", team)

        def work():
            done = np.zeros((2, 8))
            for _ in range(300):
                threads.spread(counted, 2, done, 300, 2)
            results.append(done[:, 0].tolist())

        workers = [threading.Thread(target=work) for _ in range(4)]
        for one in workers:
            one.start()
        for one in workers:
            one.join()
    team.end()
    assert results == [[300, 300]] * 4


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "import os; os._exit(0)"])
def test_a_process_ends_while_threads_wait_awake(end):
    check(CONVOLVE + "assert right()")  # its kernels are on disk now, and no word is said of them
    assert check(CONVOLVE + "assert right()\n" + end, NUMBA_NUM_THREADS="4").stderr == ""
