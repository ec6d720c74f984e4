"""Datasets and splits."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.data import (
    DataLoader,
    Dataset,
    Subset,
    TensorDataset,
    Transformed,
    datasets,
    random_split,
    standardise,
    train_test_split,
    train_val_test_split,
)
from tinygrad_course.errors import OptionError, ShapeError


def test_digits():
    images, labels = datasets.digits().tensors
    assert (images.shape, images.dtype) == ((1797, 1, 28, 28), np.float32)
    assert (labels.shape, labels.dtype) == ((1797,), np.int64)
    assert images.min().item() == 0
    assert images.max().item() == 1
    framed = datasets.digits(28, margin=4).tensors[0].numpy()
    np.testing.assert_array_equal(framed[:, :, 4:24, 4:24], datasets.digits(20).tensors[0].numpy())
    assert framed[:, :, :4].max() == framed[..., 24:].max() == 0
    raw = datasets.digits(8).tensors[0].numpy()
    assert set(np.unique(raw * 16)) == set(range(17))


@pytest.mark.parametrize("wrong", [(0, 0), (2.5, 0), (8, 4), (8, -1)])
def test_sizes_that_make_no_sense(wrong):
    with pytest.raises(OptionError, match="whole number of at least"):
        datasets.digits(*wrong)


def test_a_whole_multiple_keeps_each_mean():
    """Interpolating by a whole factor puts the new pixels symmetrically around the old ones."""
    small = np.random.default_rng(0).random((5, 8, 8))
    small[:, [0, -1]] = small[:, :, [0, -1]] = 0
    large = datasets.resized(small, 32)
    np.testing.assert_allclose(large.mean((1, 2)), small.mean((1, 2)), rtol=1e-12)
    np.testing.assert_array_equal(datasets.resized(small, 8), small)
    np.testing.assert_allclose(datasets.resized(np.full((1, 8, 8), 3.0), 28), 3.0)


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match="pip install"):
        datasets.digits()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.floats(0, 0.45), st.floats(0, 0.45))
def test_a_stratified_split_is_a_partition_with_equal_shares(labels, val, test):
    labels = np.array(labels)
    parts = train_val_test_split(labels, val, test, labels=labels, generator=tc.Generator(1))
    assert sorted(np.concatenate([p.indices for p in parts])) == list(range(len(labels)))
    for part, share in zip(parts[1:], (val, test), strict=True):
        for label in np.unique(labels):
            count = np.sum(labels[part.indices] == label)
            assert abs(count - share * np.sum(labels == label)) <= 0.5 + 1e-9


def test_a_split_follows_its_seed():
    pairs = TensorDataset(tc.randn(40, 2), tc.arange(40) % 4)
    same = [train_test_split(pairs, generator=tc.Generator(2))[1].indices for _ in range(2)]
    other = train_test_split(pairs, generator=tc.Generator(3))[1].indices
    np.testing.assert_array_equal(*same)
    assert same[0].tolist() != other.tolist()


def test_random_split():
    parts = random_split(range(11), [0.5, 0.5], tc.Generator(0))
    assert [len(p) for p in parts] == [6, 5]
    assert sorted([*parts[0], *parts[1]]) == list(range(11))
    assert [len(p) for p in random_split(range(5), [5, 0])] == [5, 0]
    for wrong in ([3, 3], [0.5, 0.6], [-1, 6]):
        with pytest.raises(OptionError):
            random_split(range(5), wrong)


@pytest.mark.parametrize(("val", "test"), [(0.5, 0.5), (-0.1, 0.2), (0.0, 1.0)])
def test_splits_that_leave_nothing(val, test):
    with pytest.raises(OptionError, match="below 1"):
        train_val_test_split(range(4), val, test, labels=[0, 0, 1, 1])


def test_labels_that_do_not_fit():
    with pytest.raises(ShapeError, match="dataset of 4"):
        train_test_split(range(4), labels=[1, 2])


def test_tensor_dataset_and_parts_of_parts():
    pairs = TensorDataset(np.arange(10.0), tc.arange(10))
    inner = Subset(Subset(pairs, [1, 3, 5]), [2, 0])
    assert [int(y) for _, y in inner] == [5, 1]
    assert inner.take_batch(np.array([0, 1]))[1].tolist() == [5, 1]
    assert not hasattr(Subset([1, 2], [0]), "take_batch")
    with pytest.raises(ShapeError, match="same first size"):
        TensorDataset(tc.ones(3), tc.ones(4))
    with pytest.raises(ShapeError, match="first dimension"):
        TensorDataset(tc.tensor(1.0))
    with pytest.raises(IndexError, match="10 samples"):
        Subset(pairs, [10])


def test_a_dataset_without_its_methods_says_which():
    with pytest.raises(NotImplementedError, match="__len__"):
        len(Dataset())
    with pytest.raises(NotImplementedError, match="__getitem__"):
        Dataset()[0]


def test_standardise_knows_only_the_training_part():
    pairs = TensorDataset(tc.randn(30, 2) * 3 + 5, tc.arange(30) % 2)
    train, test = train_test_split(pairs)
    scaled, held_out = standardise(train, test)
    x = scaled.tensors[0].numpy()
    np.testing.assert_allclose([x.mean(0), x.std(0)], [[0, 0], [1, 1]], atol=1e-5)
    raw = test.take_batch(np.arange(len(test)))[0].numpy()
    mine = train.take_batch(np.arange(len(train)))[0].numpy()
    np.testing.assert_allclose(
        held_out.tensors[0].numpy(), (raw - mine.mean(0)) / mine.std(0), rtol=1e-4, atol=1e-5
    )
    with pytest.raises(OptionError, match="all the same"):
        standardise(TensorDataset(tc.ones(3), tc.arange(3)))
    with pytest.raises(OptionError, match="list"):
        standardise([1, 2])


def test_images_are_standardised_with_one_mean_and_constant_columns_stay_zero():
    images = TensorDataset(tc.rand(20, 2, 3, 3) * tc.tensor([[[1.0]], [[9.0]]]), tc.arange(20))
    x = standardise(images)[0].tensors[0].numpy()
    np.testing.assert_allclose([x.mean(), x.std()], [0, 1], atol=1e-5)
    assert x[:, 0].mean() < -0.5 < 0.5 < x[:, 1].mean()
    table = datasets.iris()
    table.tensors = (tc.cat([table.tensors[0], tc.full((150, 1), 7.3)], 1), table.tensors[1])
    train, test = train_test_split(table, generator=tc.Generator(0))
    scaled, _ = standardise(train, test)
    assert scaled.classes == table.classes
    assert not scaled.tensors[0][:, 4].numpy().any()
    np.testing.assert_allclose(scaled.tensors[0].numpy()[:, :4].std(0), 1, rtol=1e-4)


def test_targets_that_are_no_classes_are_split_at_random():
    train, test = train_test_split(datasets.diabetes(), generator=tc.Generator(0))
    assert (len(train), len(test)) == (332, 110)
    parts = train_val_test_split(np.arange(10), 0.2, 0.2, labels=np.linspace(0, 1, 10))
    assert [len(p) for p in parts] == [6, 2, 2]
    with pytest.raises(ShapeError, match="one for each sample"):
        train_test_split(range(2), labels=[[1, 2], [3, 4]])


def test_labels_that_a_dataset_knows_are_not_read_sample_by_sample():
    class Slow(Dataset):
        targets = (0, 1) * 10

        def __len__(self):
            return 20

        def __getitem__(self, index):
            raise AssertionError("read")

    train, test = train_test_split(Subset(Slow(), range(2, 20)), test=1 / 3)
    assert (len(train), len(test)) == (12, 6)
    assert sum(Slow.targets[i + 2] for i in test.indices) == 3
    part = Transformed(Subset(Slow(), [3, 0]), abs)
    assert part.targets == [1, 0]
    assert len(train_test_split(part, test=0.5)[0]) == 2


def test_transformed_batches_and_samples():
    double = Transformed(TensorDataset(tc.arange(4), tc.arange(4)), lambda x: x * 2)
    assert len(double) == 4
    assert [t.item() for t in double[3]] == [6, 3]
    assert not hasattr(Transformed([(1.0, 2)], abs), "take_batch")
    assert [t.item() for t in Transformed([(np.float32(1), tc.tensor(2))], lambda x: -x)[0]] == [
        -1,
        2,
    ]
    (x, y), _ = DataLoader(double, 2)
    assert (x.tolist(), y.tolist()) == ([0, 2], [0, 1])
