"""Samplers: which indices, how often, by whose seed."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from tinygrad_course.errors import OptionError


def test_sequential():
    assert list(SequentialSampler(range(4))) == [0, 1, 2, 3]
    assert len(SequentialSampler(range(4))) == 4


@given(n=st.integers(1, 20), count=st.integers(1, 60))
def test_without_replacement_none_comes_again_before_all_have_come(n, count):
    drawn = list(RandomSampler(range(n), num_samples=count, generator=tc.Generator(0)))
    assert len(drawn) == count
    for start in range(0, count, n):
        part = drawn[start : start + n]
        assert len(set(part)) == len(part)
    assert set(drawn) <= set(range(n))


def test_with_replacement_some_come_again():
    sampler = RandomSampler(range(50), replacement=True, generator=tc.Generator(0))
    drawn = list(sampler)
    assert len(drawn) == len(sampler) == 50
    assert len(set(drawn)) < 50


@pytest.mark.parametrize("kind", [RandomSampler, SubsetRandomSampler])
def test_a_generator_decides_the_order(kind):
    orders = [list(kind(range(9), generator=tc.Generator(s))) for s in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_weights_are_chances():
    counts = Counter(WeightedRandomSampler([1, 0, 3], 4000, generator=tc.Generator(0)))
    assert counts[1] == 0
    assert 2800 < counts[2] < 3200
    once = list(WeightedRandomSampler([1, 2, 3, 0], 3, replacement=False))
    assert sorted(once) == [0, 1, 2]


@given(n=st.integers(0, 20), size=st.integers(1, 8), drop=st.booleans())
def test_batches_of_indices(n, size, drop):
    sampler = BatchSampler(range(n), size, drop)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert list(chain(*batches)) == list(range(n - n % size if drop else n))
    assert all(len(b) == size for b in batches[:-1])


def test_a_loader_takes_its_indices_from_a_sampler():
    letters = "abcdefg"
    assert list(DataLoader(letters, 2, sampler=[6, 0, 3])) == [["g", "a"], ["d"]]
    assert list(DataLoader(letters, batch_sampler=[[1], [2, 3, 4]])) == [["b"], ["c", "d", "e"]]
    assert list(DataLoader(letters, None)) == list(letters)
    assert len(DataLoader(letters, None)) == 7
    assert next(iter(DataLoader([{"x": np.ones(2)}], None)))["x"].shape == (2,)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: RandomSampler("ab", num_samples=0), "num_samples"),
        (lambda: WeightedRandomSampler([1, 2], 0), "num_samples"),
        (lambda: WeightedRandomSampler([1, -1], 1), "none negative"),
        (lambda: WeightedRandomSampler([0, 0], 1), "not all of them 0"),
        (lambda: WeightedRandomSampler([[1.0]], 1), "one number for each"),
        (lambda: WeightedRandomSampler([1, np.nan], 1), "none negative"),
        (lambda: WeightedRandomSampler([1, 0], 2, replacement=False), "there are 1"),
        (lambda: BatchSampler("ab", True, False), "batch_size"),
        (lambda: DataLoader("ab", shuffle=True, sampler=[0]), "leave shuffle out"),
        (lambda: DataLoader("ab", 2, batch_sampler=[[0]]), "leave batch_size"),
        (lambda: DataLoader("ab", None, drop_last=True), "no meaning"),
    ],
)
def test_options_that_make_no_sense(make, reason):
    with pytest.raises(OptionError, match=reason):
        make()


def test_a_sampler_without_its_methods_says_which():
    with pytest.raises(NotImplementedError, match="__iter__"):
        iter(Sampler())
    with pytest.raises(NotImplementedError, match="__len__"):
        len(Sampler())
