"""Loaders: every sample once, in an order that the seed decides."""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.data import DataLoader, Dataset, TensorDataset, default_collate
from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.testing import strategies as ts


def epochs(seed, count=3, dataset=None, **how):
    dataset = TensorDataset(tc.arange(23)) if dataset is None else dataset
    loader = DataLoader(dataset, 4, shuffle=True, generator=tc.Generator(seed), **how)
    return [[batch[0].tolist() for batch in loader] for _ in range(count)]


def test_a_seed_gives_the_same_batches_and_each_epoch_another_order():
    assert epochs(5) == epochs(5)
    assert epochs(5) != epochs(6)
    first, second, third = epochs(5)
    assert first != second != third
    assert sorted(chain(*first)) == sorted(chain(*third)) == list(range(23))


def test_without_a_generator_the_global_seed_decides():
    def order():
        tc.manual_seed(3)
        return [b[0].tolist() for b in DataLoader(TensorDataset(tc.arange(9)), 2, shuffle=True)]

    assert order() == order()


def test_whole_batches_equal_stacked_samples():
    class Slow(Dataset):
        def __len__(self):
            return 23

        def __getitem__(self, index):
            return (tc.tensor(index),)

    assert epochs(7) == epochs(7, dataset=Slow())


@given(n=st.integers(0, 30), size=st.integers(1, 12), shuffle=st.booleans(), drop=st.booleans())
def test_every_sample_once_and_the_length_is_right(n, size, shuffle, drop):
    loader = DataLoader(list(range(n)), size, shuffle, drop_last=drop)
    batches = [b.tolist() for b in loader]
    assert len(batches) == len(loader)
    seen = sorted(chain(*batches))
    if drop:
        assert all(len(b) == size for b in batches)
        assert len(seen) == n - n % size
    else:
        assert seen == list(range(n))


@ts.profile(40)
@given(n=st.integers(1, 20), size=st.integers(1, 7), drop=st.booleans(), kind=st.integers(0, 3))
def test_batches_are_pytorchs(n, size, drop, kind):
    torch_data = pytest.importorskip("torch.utils.data")
    indices = [(7 * i) % n for i in range(n + 2)]
    how = [
        {"batch_size": size, "drop_last": drop},
        {"batch_size": size, "drop_last": drop, "sampler": indices},
        {"batch_sampler": [indices[:size], indices[size:] or [0]]},
        {"batch_size": None, "sampler": indices},
    ][kind]
    samples = [{"x": np.full((2, 3), i, np.float32), "y": (i, f"{i}")} for i in range(n)]
    ours, theirs = DataLoader(samples, **how), torch_data.DataLoader(samples, **how)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        x = b["x"].numpy()
        assert a["x"].shape == x.shape
        assert a["x"].dtype == x.dtype
        np.testing.assert_array_equal(a["x"].numpy(), x)
        assert list(a["y"][1]) == list(b["y"][1])
        assert np.asarray(a["y"][0]).tolist() == np.asarray(b["y"][0]).tolist()


class Pair(NamedTuple):
    x: np.ndarray
    y: int


def test_collate():
    batch = default_collate([Pair(np.zeros(2, np.float32), 1), Pair(np.ones(2, np.float32), 2)])
    assert type(batch) is Pair
    assert batch.x.dtype == np.float32
    assert batch.x.tolist() == [[0, 0], [1, 1]]
    assert batch.y.dtype == np.int64
    assert default_collate([1.5, 2.5]).dtype == np.float32
    assert default_collate([True, False]).dtype == bool
    assert default_collate([tc.ones(2), tc.zeros(2)]).shape == (2, 2)
    nested = default_collate([{"a": (1, [2.0])}, {"a": (3, [4.0])}])
    assert nested["a"][0].tolist() == [1, 3]
    assert nested["a"][1][0].tolist() == [2, 4]


def test_collate_refuses():
    with pytest.raises(ShapeError, match="one shape"):
        default_collate([np.zeros(2), np.zeros(3)])
    with pytest.raises(ShapeError, match="same number of parts"):
        default_collate([(1, 2), (1,)])
    with pytest.raises(OptionError, match="object samples"):
        default_collate([object()])
    with pytest.raises(OptionError, match="at least one sample"):
        default_collate([])


@pytest.mark.parametrize("size", [0, -1, 2.5, "8"])
def test_batch_sizes_that_make_no_sense(size):
    with pytest.raises(OptionError, match="batch_size"):
        DataLoader([1], size)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"num_workers": -1}, "num_workers"),
        ({"num_workers": 1.5}, "num_workers"),
        ({"num_workers": 1, "prefetch_factor": 0}, "prefetch_factor"),
        ({"timeout": -1}, "timeout"),
        ({"prefetch_factor": 2}, "there are none"),
        ({"persistent_workers": True}, "there are none"),
        ({"multiprocessing_context": "fork"}, "there are none"),
        ({"num_workers": 1, "multiprocessing_context": "thread"}, "'thread'"),
        ({"num_workers": 1, "multiprocessing_context": 3}, "a context or its name"),
        ({"pin_memory": True}, "pin_memory"),
    ],
)
def test_options_that_make_no_sense(options, reason):
    with pytest.raises(OptionError, match=reason):
        DataLoader([1], **options)
