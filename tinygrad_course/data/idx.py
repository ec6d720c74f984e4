"""IDX files, the format that MNIST comes in: a header, then one array, big-endian.

    0  0  code  d        code: the type of the elements; d: the number of dimensions
    size 1 … size d      32 bits each
    the elements         row by row

The sizes come from outside, so nothing is allocated before they are checked against the file.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tinygrad_course.errors import FormatError

CODES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MOST_DIMENSIONS = 8
DEFLATE_RATIO = 1032  # gzip's method cannot shrink anything more than this


def read_idx(path: str | os.PathLike[str]) -> np.ndarray[Any, Any]:
    """The array in an IDX file, gzipped or not, in the machine's own byte order.

    Raises:
        FormatError: the file is not IDX, is damaged, or is shorter or longer than its header says.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    with path.open("rb") as file:
        available = os.fstat(file.fileno()).st_size
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not zipped:
            return _read(file, available, path)
        try:
            with gzip.GzipFile(fileobj=file) as inside:
                return _read(inside, available * DEFLATE_RATIO, path)  # type: ignore[arg-type]
        except (OSError, EOFError, zlib.error) as error:
            raise FormatError(f"{path}: the gzip data are damaged or cut off: {error}") from error


def _read(file: BinaryIO, available: int, path: Path) -> np.ndarray[Any, Any]:
    dtype, sizes = _header(file, path)
    expected = math.prod(sizes) * dtype.itemsize
    shape = " × ".join(map(str, sizes))
    if expected > available:
        raise FormatError(
            f"{path}: the header announces {shape} elements of {dtype.itemsize} bytes, more than "
            "the file can hold; it is cut off or damaged"
        )
    data = _at_most(file, expected + 1)
    if len(data) != expected:
        found = f"only {len(data)}, it is cut off" if len(data) < expected else "more"
        raise FormatError(
            f"{path}: the header announces {shape} elements, {expected} bytes; there are {found}"
        )
    return np.frombuffer(data, dtype).reshape(sizes).astype(dtype.newbyteorder("="))


def _header(file: BinaryIO, path: Path) -> tuple[np.dtype[Any], tuple[int, ...]]:
    magic = _at_most(file, 4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise FormatError(
            f"{path}: not an IDX file: it starts with {bytes(magic)!r}, not with two zero bytes, "
            "a type and a number of dimensions"
        )
    code, ndim = magic[2], magic[3]
    if code not in CODES:
        raise FormatError(f"{path}: not an IDX file: there is no element type 0x{code:02x}")
    if not 1 <= ndim <= MOST_DIMENSIONS:
        raise FormatError(
            f"{path}: the header announces {ndim} dimensions; 1 to {MOST_DIMENSIONS} are read"
        )
    raw = _at_most(file, 4 * ndim)
    if len(raw) < 4 * ndim:
        raise FormatError(f"{path}: cut off inside the header")
    sizes = struct.unpack(f">{ndim}I", raw)
    if 0 in sizes:
        raise FormatError(f"{path}: the header announces sizes {sizes}, so no elements at all")
    return np.dtype(CODES[code]), sizes


def _at_most(file: BinaryIO, count: int) -> bytearray:
    """Up to `count` bytes, read in pieces: memory grows with what is there, not with the count."""
    data = bytearray()
    while len(data) < count:
        piece = file.read(min(count - len(data), 1 << 20))
        if not piece:
            break
        data += piece
    return data
