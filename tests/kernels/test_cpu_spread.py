"""Work spread over threads from within compiled code."""

from __future__ import annotations

import numpy as np
import pytest
from numba.core.errors import TypingError

from tinygrad_course.kernels.cpu_jit import entry, worker
from tinygrad_course.kernels.cpu_spread import portion, spread
from tinygrad_course.kernels.cpu_team import Team


@worker
def _note(t, x, more, sizes, doubled, count):
    lo, hi = portion(x.size, t, count)
    for i in range(lo, hi):
        x[i] += (t + 1) * sizes[1] * (2 if doubled else 1)
        if more is not None:
            x[i] += more[i]


@entry
def noted(team, x, more, doubled, count):
    spread(team, count, _note, (x, more, (0, 10), doubled, count))


@entry
def noted_twice(team, x, count):
    spread(team, count, _note, (x, None, (1, 10), True, count))
    spread(team, count, _note, (x, x, (0, 1), False, count))


@pytest.fixture(scope="module")
def team():
    """The address of a team of three, awake."""
    three = Team(3)
    three.wake(3)
    yield three.address
    three.end()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_part_is_done_once(count, dtype, team):
    x, parts = np.zeros(11, dtype), np.array([1] * 11 if count == 1 else [1] * 5 + [2] * 6)
    for pool in (0, team):
        x[:] = 0
        noted(pool, x, None, False, count)
        assert (x == 10 * parts).all()
        noted(pool, x, np.ones(11, dtype), True, count)
        assert (x == 30 * parts + 1).all()


def test_one_after_the_other(team):
    for pool in (0, team):
        x = np.zeros(4)
        noted_twice(pool, x, 2)
        assert x.tolist() == [41, 41, 82, 82]


def test_nothing_to_do(team):
    for pool in (0, team):
        for count in (0, 1, 2):
            noted(pool, np.zeros(0), None, False, count)
        x = np.zeros(3)
        noted(pool, x, None, False, 0)
        assert (x == 0).all()


def test_more_parts_than_threads(team):
    for pool in (0, team):
        x = np.zeros(70)
        noted(pool, x, None, False, 7)
        assert (x == np.repeat(np.arange(1, 8), 10) * 10).all()


def test_portions_are_all_of_a_range():
    for total in (0, 1, 7, 16):
        for count in (1, 2, 3, 20):
            ends = [portion.py_func(total, t, count) for t in range(count)]
            assert [lo for lo, _ in ends] == [0, *[hi for _, hi in ends[:-1]]]
            assert ends[-1][1] == total


def test_what_does_not_fit_is_an_error_when_compiling():
    @entry
    def wrong(team, x):
        spread(team, 1, _note, (x, 1))

    with pytest.raises(TypingError):
        wrong(0, np.zeros(1))
