"""CIFAR-10's binary files: records of a label and 32 × 32 pixels, one byte each.

    label             1 byte, 0 to 9
    red, green, blue  1024 bytes each, row by row

There is no header, so the file's length and the labels are all that can be checked. The archives
for Python hold pickles, which run what they like when they are opened; they are not read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_course.errors import FormatError

RECORD = 1 + 3 * 32 * 32
MOST_RECORDS = 100_000  # ten times what a file of CIFAR-10 holds


def read_cifar(
    path: str | os.PathLike[str],
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The images (N, 3, 32, 32) and the labels (N,) of a binary CIFAR-10 file, both uint8.

    Raises:
        FormatError: the length is not that of whole records, or a label is above 9.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        count, rest = divmod(size, RECORD)
        if not count or rest:
            raise FormatError(
                f"{path}: {size} bytes are not a number of records of {RECORD}; it is cut off, or "
                "not a file of CIFAR-10's binary version"
            )
        if count > MOST_RECORDS:
            raise FormatError(f"{path}: {count} records; more than {MOST_RECORDS} are not read")
        data = np.fromfile(file, np.uint8, count * RECORD)
    if data.size != count * RECORD:
        raise FormatError(f"{path}: only {data.size} of {size} bytes could be read")
    records = data.reshape(count, RECORD)
    labels = records[:, 0].copy()
    if labels.max() > 9:
        first = int(np.argmax(labels > 9))
        raise FormatError(
            f"{path}: labels are 0 to 9, record {first} has {labels[first]}; the file is damaged, "
            "or not one of CIFAR-10's binary version"
        )
    return records[:, 1:].reshape(count, 3, 32, 32), labels
