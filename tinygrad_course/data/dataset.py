"""Datasets and how to split them."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_course.creation import Generator, default_generator
from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.tensor import Tensor, as_tensor


class Dataset:
    """A map from 0 … len − 1 to samples. Subclasses write `__len__` and `__getitem__`.

    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 4
    ...
    ...     def __getitem__(self, index):
    ...         return index, index**2
    >>> Squares()[3]
    (3, 9)
    """

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} has no __len__: how many samples?")

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__: what is a sample?")

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])


class ConcatDataset(Dataset):
    """Datasets one after the other.

    >>> joined = ConcatDataset(["ab", "cde"])
    >>> len(joined), joined[1], joined[2], joined[-1]
    (5, 'b', 'c', 'e')
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise OptionError("ConcatDataset needs at least one dataset")
        self.cumulative_sizes = np.cumsum([len(d) for d in self.datasets]).tolist()

    def __len__(self) -> int:
        return int(self.cumulative_sizes[-1])

    def __getitem__(self, index: int) -> Any:
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"sample {index} of a dataset of {n}")
        index = int(index) % n
        part = bisect.bisect_right(self.cumulative_sizes, index)
        before = self.cumulative_sizes[part - 1] if part else 0
        return self.datasets[part][index - before]


class TensorDataset(Dataset):
    """Tensors side by side: sample i is the i-th row of each.

    Args:
        tensors: Tensors or arrays with the same first size; kept without a copy.

    Attributes:
        classes, features: what the labels and the columns of the inputs are called, where that is
            known.

    Raises:
        ShapeError: first sizes that differ, or a value without dimensions.

    >>> import tinygrad_course as tc
    >>> pairs = TensorDataset(tc.arange(6).reshape(3, 2), tc.tensor([0, 1, 0]))
    >>> len(pairs), pairs[1]
    (3, (tensor([2, 3]), tensor(1)))
    """

    def __init__(self, *tensors: Any) -> None:
        self.tensors: tuple[Tensor, ...] = tuple(as_tensor(t).detach() for t in tensors)
        if not tensors or any(t.ndim == 0 for t in self.tensors):
            raise ShapeError("TensorDataset needs at least one tensor, each with a first dimension")
        sizes = [t.shape[0] for t in self.tensors]
        if len(set(sizes)) > 1:
            raise ShapeError(f"the tensors must have the same first size, got {sizes}")
        self.classes: list[str] = []
        self.features: list[str] = []

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def take_batch(self, indices: np.ndarray[Any, Any]) -> tuple[Tensor, ...]:
        """Several samples as one batch: what a loader asks instead of stacking samples."""
        return tuple(as_tensor(t.numpy()[indices]) for t in self.tensors)


class Subset(Dataset):
    """The samples of another dataset at the given indices.

    >>> list(Subset("abcd", [3, 1]))
    ['d', 'b']
    """

    def __init__(self, dataset: Any, indices: Any) -> None:
        self.dataset = dataset
        self.indices = np.asarray(indices, dtype=np.int64)
        n = len(dataset)
        if self.indices.size and not (-n <= self.indices.min() and self.indices.max() < n):
            raise IndexError(f"the indices must lie in a dataset of {n} samples")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def __getattr__(self, name: str) -> Any:
        """`take_batch` and `targets`, if the dataset has them."""
        if name == "take_batch" and hasattr(self.dataset, name):
            return lambda indices: self.dataset.take_batch(self.indices[indices])
        if name == "targets" and hasattr(self.dataset, name):
            return [self.dataset.targets[i] for i in self.indices]
        raise AttributeError(f"Subset has no attribute {name!r}")


# --- splits ---------------------------------------------------------------------------------------


def random_split(
    dataset: Any, lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset]:
    """Disjoint random parts of a dataset.

    Args:
        dataset: anything with a length and samples.
        lengths: sizes that add up to the dataset's, or fractions that add up to 1.
        generator: the source of the order; the global one (`tc.manual_seed`) if left out.

    Raises:
        OptionError: sizes that do not add up.

    >>> import tinygrad_course as tc
    >>> parts = random_split(range(10), [0.7, 0.3], tc.Generator(0))
    >>> [len(p) for p in parts]
    [7, 3]
    """
    n = len(dataset)
    if any(size < 0 for size in lengths):
        raise OptionError(f"sizes are not negative, got {list(lengths)}")
    if not all(isinstance(size, (int, np.integer)) for size in lengths):
        lengths = _sizes_of_fractions(lengths, n)
    if sum(lengths) != n:
        raise OptionError(f"the sizes {list(lengths)} add up to {sum(lengths)}, not to {n} samples")
    order = (generator or default_generator).numpy.permutation(n)
    ends = np.cumsum(np.asarray(lengths, dtype=np.int64))
    return [Subset(dataset, part) for part in np.split(order, ends[:-1])]


def _sizes_of_fractions(fractions: Sequence[float], n: int) -> list[int]:
    """Rounded down; the samples that remain go to the first parts, one each, as in PyTorch."""
    if not math.isclose(math.fsum(fractions), 1.0, abs_tol=1e-9):
        raise OptionError(f"fractions must add up to 1, got {list(fractions)}")
    sizes = [int(n * f + 1e-9) for f in fractions]
    for i in range(n - sum(sizes)):
        sizes[i % len(sizes)] += 1
    return sizes


def train_test_split(
    dataset: Any, test: float = 0.25, *, generator: Generator | None = None, labels: Any = None
) -> tuple[Subset, Subset]:
    """A training part and a held-out part with the same share of every class.

    Args:
        dataset: a dataset whose samples end with their label.
            Targets that are not whole numbers are split at random.
        test: the fraction held out, more than 0 and less than 1.
        generator: the source of the order; the global one (`tc.manual_seed`) if left out.
        labels: the label of each sample, if the samples do not end with it.

    >>> import tinygrad_course as tc
    >>> pairs = TensorDataset(tc.arange(8), tc.tensor([0, 0, 0, 0, 1, 1, 1, 1]))
    >>> train, test = train_test_split(pairs, test=0.5, generator=tc.Generator(0))
    >>> sorted(int(label) for _, label in test)
    [0, 0, 1, 1]
    """
    train, _, held_out = train_val_test_split(
        dataset, 0.0, test, generator=generator, labels=labels
    )
    return train, held_out


def train_val_test_split(
    dataset: Any,
    val: float = 0.15,
    test: float = 0.15,
    *,
    generator: Generator | None = None,
    labels: Any = None,
) -> tuple[Subset, Subset, Subset]:
    """Training, validation and test parts with the same share of every class.

    Arguments as for `train_test_split`; `val` and `test` are the fractions of the two smaller
    parts.

    Raises:
        OptionError: fractions outside [0, 1), or that leave nothing to train on.
    """
    if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
        raise OptionError(f"val and test are fractions whose sum is below 1, got {val} and {test}")
    found = _labels(dataset) if labels is None else np.asarray(labels)
    if len(found) != len(dataset):
        raise ShapeError(f"labels of shape {found.shape} for a dataset of {len(dataset)} samples")
    if found.dtype.kind == "f":
        found = np.zeros(len(dataset), np.int64)  # no classes, so one for all
    if found.ndim != 1:
        raise ShapeError(f"labels are one for each sample, got the shape {found.shape}")
    random = (generator or default_generator).numpy
    parts: list[list[Any]] = [[], [], []]
    for label in np.unique(found):
        members = random.permutation(np.flatnonzero(found == label))
        n_test, n_val = round(len(members) * test), round(len(members) * val)
        ends = [len(members) - n_val - n_test, len(members) - n_test]
        for part, chosen in zip(parts, np.split(members, ends), strict=True):
            part.append(chosen)
    train, middle, last = (
        Subset(dataset, np.sort(np.concatenate(p)) if p else np.empty(0, np.int64)) for p in parts
    )
    return train, middle, last


def _labels(dataset: Any) -> np.ndarray[Any, Any]:
    if isinstance(dataset, TensorDataset):
        return dataset.tensors[-1].numpy()
    if isinstance(dataset, Subset):
        return _labels(dataset.dataset)[dataset.indices]
    if hasattr(dataset, "targets"):  # known without reading any sample
        return np.asarray(dataset.targets)
    return np.asarray([as_tensor(sample[-1]).numpy() for sample in dataset])
