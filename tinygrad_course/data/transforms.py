"""What is done to samples before a model sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_course.creation import Generator, default_generator
from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.tensor import Tensor, as_tensor

from .dataset import Dataset, TensorDataset


def standardise(train: Any, *others: Any) -> list[TensorDataset]:
    """(x − mean) / std, with the mean and the standard deviation of the training inputs alone.

    Held-out parts are scaled with the training part's numbers: their own must not be known.

    Args:
        train, others: datasets of (input, label) tensors, or parts of one.

    >>> import tinygrad_course as tc
    >>> pairs = TensorDataset(tc.tensor([1.0, 3.0]), tc.tensor([0, 1]))
    >>> standardise(pairs)[0].tensors[0]
    tensor([-1.,  1.])
    """
    parts = [_columns(dataset) for dataset in (train, *others)]
    x = parts[0][0]
    mean, std = (x.dtype.type(f(x, dtype=np.float64)) for f in (np.mean, np.std))
    if not std > 0:
        raise OptionError("the training inputs are all the same; there is nothing to standardise")
    return [TensorDataset((x - mean) / std, *rest) for x, *rest in parts]


def _columns(dataset: Any) -> list[Any]:
    if not hasattr(dataset, "take_batch"):
        raise OptionError(
            f"standardise works on TensorDatasets and parts of them, got {type(dataset).__name__}"
        )
    return [t.numpy() for t in dataset.take_batch(np.arange(len(dataset)))]


class Transformed(Dataset):
    """A dataset whose inputs pass through a function each time they are asked for.

    Args:
        dataset: a dataset of (input, label, …) tensors, or a part of one.
        transform: takes a batch of inputs and returns a batch; random ones give every epoch
            other inputs.
    """

    def __init__(self, dataset: Any, transform: Callable[[Tensor], Tensor]) -> None:
        self.dataset = dataset
        self.transform = transform

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        x, *rest = self.dataset[index]
        return self.transform(x[None])[0], *rest

    def take_batch(self, indices: np.ndarray[Any, Any]) -> tuple[Tensor, ...]:
        """Several samples as one batch."""
        x, *rest = self.dataset.take_batch(indices)
        return self.transform(x), *rest


class RandomShift:
    """Move each image of a batch by up to `pixels` in each direction, at random.

    What comes in at the edges repeats the edge. A model that sees every digit in many places
    learns its form, not its place.

    Args:
        pixels: the largest move.
        generator: the source of the moves; the global one (`tc.manual_seed`) if left out.

    >>> import tinygrad_course as tc
    >>> move = RandomShift(1, tc.Generator(3))
    >>> move(tc.tensor([[[[1, 2, 3]]]]))
    tensor([[[[1, 1, 2]]]])
    """

    def __init__(self, pixels: int, generator: Generator | None = None) -> None:
        if pixels < 0:
            raise OptionError(f"pixels is not negative, got {pixels}")
        self.pixels = pixels
        self.generator = generator

    def __call__(self, images: Tensor) -> Tensor:
        if images.ndim != 4:
            raise ShapeError(f"images have the shape (N, C, H, W), got {images.shape}")
        n, c, h, w = images.shape
        random = (self.generator or default_generator).numpy
        down, right = random.integers(-self.pixels, self.pixels + 1, (2, n, 1))
        rows = np.clip(np.arange(h) + down, 0, h - 1)[:, None, :, None]
        columns = np.clip(np.arange(w) + right, 0, w - 1)[:, None, None, :]
        image, channel = np.arange(n)[:, None, None, None], np.arange(c)[:, None, None]
        return as_tensor(images.numpy()[image, channel, rows, columns])
