"""The data sets of the course. None is downloaded: they come with a library, or from a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_course.errors import FormatError, OptionError

from .dataset import TensorDataset
from .idx import read_idx


def digits(size: int = 28, margin: int = 0) -> TensorDataset:
    """The 1,797 handwritten digits of the UCI repository, as scikit-learn carries them.

    They are 8 × 8 images with 17 grey levels (E. Alpaydin and C. Kaynak, "Optical Recognition of
    Handwritten Digits", 1998); other sizes are interpolated linearly.

    Args:
        size: height and width of the images: 8 as they are, 28 or 32 for LeNet, or any other.
        margin: of these, the empty pixels on each side; MNIST leaves 4, so `digits(28, margin=4)`
            looks like MNIST.

    Returns:
        Images (1797, 1, size, size), float32 from 0 (paper) to 1 (ink), and int64 labels.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    for name, value, least in (("margin", margin, 0), ("size", size, 2 * margin + 1)):
        if not isinstance(value, (int, np.integer)) or value < least:
            raise OptionError(f"{name} is a whole number of at least {least}, got {value!r}")
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "the digits come with scikit-learn; install it: pip install 'tinygrad_course[sklearn]'"
        ) from error
    found = load_digits()
    images = resized(found.images / 16.0, size - 2 * margin)
    images = np.pad(images, ((0, 0), (margin, margin), (margin, margin)))
    return TensorDataset(images[:, None].astype(np.float32), found.target.astype(np.int64))


def resized(images: np.ndarray[Any, Any], size: int) -> np.ndarray[Any, Any]:
    """Square images (…, n, n) interpolated linearly to (…, size, size): A · image · Aᵀ."""
    n = images.shape[-1]
    if n == size:
        return images
    centres = (np.arange(size) + 0.5) * n / size - 0.5  # of the new pixels, in old ones
    weights = np.stack([np.interp(centres, np.arange(n), row) for row in np.eye(n)], axis=1)
    return np.asarray(weights @ images @ weights.T)


def mnist(folder: str | os.PathLike[str], train: bool = True) -> TensorDataset:
    """MNIST, or a set in its format (Fashion-MNIST, KMNIST), from its IDX files in a folder.

    Args:
        folder: holds `train-images-idx3-ubyte` and its three companions; `.idx3-` for `-idx3-`
            and `.gz` at the end are found too.
        train: the 60,000 training images, or the 10,000 held-out ones.

    Returns:
        Images (N, 1, 28, 28), float32 from 0 (paper) to 1 (ink), and int64 labels.

    Raises:
        FileNotFoundError: a file is missing; the message lists the names that were looked for.
        FormatError: a file is damaged or holds something else.
    """
    part = "train" if train else "t10k"
    image_file = _find(folder, f"{part}-images", "idx3-ubyte")
    label_file = _find(folder, f"{part}-labels", "idx1-ubyte")
    images, labels = read_idx(image_file), read_idx(label_file)
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
        raise FormatError(
            f"{image_file}: expected images, uint8 (count, 28, 28); it holds "
            f"{images.dtype} {images.shape}" + _hint(images, 1, "labels")
        )
    if labels.dtype != np.uint8 or labels.ndim != 1:
        raise FormatError(
            f"{label_file}: expected labels, uint8 (count,); it holds "
            f"{labels.dtype} {labels.shape}" + _hint(labels, 3, "images")
        )
    if len(images) != len(labels):
        raise FormatError(
            f"{image_file.name} holds {len(images)} images, {label_file.name} {len(labels)} "
            f"labels; they do not belong together (folder {image_file.parent})"
        )
    if labels.max() > 9:
        raise FormatError(f"{label_file}: labels are 0 to 9, it holds {labels.max()}")
    return TensorDataset(images[:, None] / np.float32(255), labels.astype(np.int64))


def _hint(array: np.ndarray[Any, Any], ndim: int, name: str) -> str:
    return f": are these the {name}?" if array.ndim == ndim else ""


def _find(folder: str | os.PathLike[str], stem: str, kind: str) -> Path:
    names = [f"{stem}{mark}{kind}{end}" for end in ("", ".gz") for mark in ("-", ".")]
    for name in names:
        if (path := Path(folder, name)).is_file():
            return path
    missing = "" if Path(folder).is_dir() else " (there is no such folder)"
    raise FileNotFoundError(f"{folder}{missing}: none of {', '.join(names)} found")
