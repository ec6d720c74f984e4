"""What is done to samples before a model sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.tensor import Tensor, as_tensor

from .dataset import Dataset, Subset, TensorDataset


def standardise(train: Any, *others: Any) -> list[TensorDataset]:
    """(x − mean) / std, with the mean and the standard deviation of the training inputs alone.

    Held-out parts are scaled with the training part's numbers: their own must not be known.

    Args:
        train, others: datasets of (input, label) tensors, or parts of one. In tables, inputs
            (N, features), each column has its own mean and deviation (one that never changes stays
            0); images and other inputs have one for all their numbers.

    Raises:
        OptionError: training inputs that are all the same, or datasets that are not of tensors.

    >>> import tinygrad_course as tc
    >>> pairs = TensorDataset(tc.tensor([[1.0, 20.0], [3.0, 40.0]]), tc.tensor([0, 1]))
    >>> standardise(pairs)[0].tensors[0]
    tensor([[-1., -1.],
            [ 1.,  1.]])
    """
    parts = [_columns(dataset) for dataset in (train, *others)]
    x = parts[0][0]
    dim = 0 if x.ndim == 2 else None
    mean, std = (np.asarray(f(x, axis=dim, dtype=np.float64)) for f in (np.mean, np.std))
    if not std.any():
        raise OptionError("the training inputs are all the same; there is nothing to standardise")
    std = np.where(std > 1e-9 * np.abs(mean), std, 1)
    mean, std = mean.astype(x.dtype), std.astype(x.dtype)
    scaled = [TensorDataset((x - mean) / std, *rest) for x, *rest in parts]
    for part, dataset in zip(scaled, (train, *others), strict=True):
        _keep_names(part, dataset)
    return scaled


def _keep_names(part: TensorDataset, dataset: Any) -> None:
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    part.classes = list(getattr(dataset, "classes", []))
    part.features = list(getattr(dataset, "features", []))


def _columns(dataset: Any) -> list[Any]:
    if not hasattr(dataset, "take_batch"):
        raise OptionError(
            f"standardise works on TensorDatasets and parts of them, got {type(dataset).__name__}"
        )
    return [t.numpy() for t in dataset.take_batch(np.arange(len(dataset)))]


class Transformed(Dataset):
    """A dataset whose inputs pass through a function each time they are asked for.

    Args:
        dataset: a dataset of (input, label, …) samples, or a part of one.
        transform: takes a batch of inputs and returns a batch; random ones give every epoch
            other inputs. A sample that is asked for alone is a batch of one.
    """

    def __init__(self, dataset: Any, transform: Callable[[Tensor], Tensor]) -> None:
        self.dataset = dataset
        self.transform = transform

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        x, *rest = self.dataset[index]
        return self.transform(as_tensor(x)[None])[0], *rest

    def __getattr__(self, name: str) -> Any:
        if name == "take_batch" and hasattr(self.dataset, "take_batch"):
            return self._take_batch
        if name == "targets" and hasattr(self.dataset, "targets"):
            return self.dataset.targets
        raise AttributeError(f"Transformed has no attribute {name!r}")

    def _take_batch(self, indices: np.ndarray[Any, Any]) -> tuple[Tensor, ...]:
        x, *rest = self.dataset.take_batch(indices)
        return self.transform(x), *rest


class Compose:
    """One after the other.

    >>> Compose([abs, lambda x: x + 1])(-2)
    3
    """

    def __init__(self, transforms: Iterable[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, x: Any) -> Any:
        for transform in self.transforms:
            x = transform(x)
        return x


class Normalize:
    """(x − mean) / std, with one number for each channel, or one for all.

    Args:
        mean, std: numbers, measured on training images only.

    >>> import tinygrad_course as tc
    >>> Normalize([0.5], [0.25])(tc.tensor([[[0.5, 1.0]]]))
    tensor([[[0., 2.]]])
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean, self.std = (np.atleast_1d(np.asarray(v, np.float64)) for v in (mean, std))
        if not (self.std > 0).all() or self.mean.ndim != 1 or self.std.ndim != 1:
            raise OptionError(f"std is above 0 for each channel, got mean={mean}, std={std}")

    def __call__(self, images: Tensor) -> Tensor:
        x = as_tensor(images).detach().numpy()
        channels = x.shape[-3] if x.ndim >= 3 else 0
        if not {len(self.mean), len(self.std)} <= {1, channels}:
            raise ShapeError(
                f"{len(self.mean)} means and {len(self.std)} deviations for images of shape "
                f"{x.shape}; (…, C, H, W) with as many channels was expected"
            )
        mean, std = (v.astype(x.dtype)[:, None, None] for v in (self.mean, self.std))
        return as_tensor((x - mean) / std)
