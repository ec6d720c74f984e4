"""Thousands of damaged files: each gives data or one clear error, soon and in little memory."""

from __future__ import annotations

import gzip
import io
import resource
import struct
import tarfile
import time

import numpy as np
import pytest
from PIL import Image

from tinygrad_course.data import download, read_cifar, read_idx, read_image
from tinygrad_course.data.datasets import CharText
from tinygrad_course.errors import FormatError
from tinygrad_course.testing import strategies as ts

DRAWN = np.random.default_rng(0)
SMOOTH = (np.add.outer(np.arange(40), np.arange(48))[..., None] * [3, 2, 1]).astype(np.uint8)
EXTREMES = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x01000000]
LONGEST = 5.0  # seconds for one file
MOST_GROWTH = 512 << 20  # bytes that the process may grow by


def idx():
    pixels = DRAWN.integers(0, 256, (5, 6, 7), dtype=np.uint8)
    return struct.pack(">4B3I", 0, 0, 8, 3, 5, 6, 7) + pixels.tobytes()


def cifar():
    return b"".join(bytes([i]) + DRAWN.bytes(3072) for i in range(3))


def picture(kind, mode="RGB", **how):
    def make():
        file = io.BytesIO()
        Image.fromarray(SMOOTH).convert(mode).save(file, kind, **how)
        return file.getvalue()

    return make


def archive():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        entry = tarfile.TarInfo("folder/data")
        entry.size = 1000
        tar.addfile(entry, io.BytesIO(DRAWN.bytes(1000)))
    return file.getvalue()


def unpacked(path):
    download.unpack(path, ("data",), path.parent)


FORMATS = {
    "IDX": (idx, read_idx),
    "IDX, gzipped": (lambda: gzip.compress(idx(), mtime=0), read_idx),
    "CIFAR": (cifar, read_cifar),
    "text": (lambda: "Grüße an alle, wünschen wir — gern.\n".encode() * 9, CharText.from_file),
    "archive": (archive, unpacked),
    "PNG": (picture("PNG"), read_image),
    "PNG, palette": (picture("PNG", "P"), read_image),
    "JPEG": (picture("JPEG"), read_image),
    "JPEG, progressive": (picture("JPEG", progressive=True), read_image),
    "GIF": (picture("GIF", "P"), read_image),
    "BMP": (picture("BMP"), read_image),
    "PPM": (picture("PPM"), read_image),
    "TIFF": (picture("TIFF", compression="tiff_lzw"), read_image),
    "WebP": (picture("WEBP"), read_image),
}


def damaged(data, other, random):
    """One to four kinds of damage, half of them near the start, where the sizes stand."""
    data = bytearray(data)
    for _ in range(random.integers(1, 5)):
        reach = len(data) if random.random() < 0.5 else min(64, len(data))
        at = int(random.integers(0, max(reach, 1)))
        more = int(random.integers(1, 40))
        match random.integers(0, 8):
            case 0 if data:
                data[at] ^= 1 << int(random.integers(0, 8))
            case 1 if data:
                data[at] = int(random.integers(0, 256))
            case 2:
                del data[at:]
            case 3:
                del data[at : at + more]
            case 4:
                data[at:at] = random.bytes(more)
            case 5:
                data[at:at] = data[at : at + more]
            case 6:
                data[at:] = other[at:]
            case _:
                size, order = random.choice(["B", "H", "I"]), random.choice([">", "<"])
                value = EXTREMES[random.integers(0, len(EXTREMES))]
                field = struct.pack(f"{order}{size}", value % 256 ** struct.calcsize(size))
                data[at : at + len(field)] = field
    return bytes(data)


def largest():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_files(tmp_path, kind):
    """10,000 in all: TINYGRAD_COURSE_EXAMPLES=18."""
    make, read = FORMATS[kind]
    good, path, before = make(), tmp_path / "damaged", largest()
    path.write_bytes(good)
    read(path)
    refused = 0
    for case in range(ts.examples(40)):
        random = np.random.default_rng([case, len(kind)])
        kinds = list(FORMATS)
        other = FORMATS[kinds[random.integers(0, len(kinds))]][0]()
        path.write_bytes(damaged(good, other, random))
        start, message = time.perf_counter(), None
        try:
            read(path)
        except FormatError as error:
            message = str(error).replace(str(path), "<path>")
        if message is not None:
            refused += 1
            assert message.startswith("<path>"), (kind, case, message)
            assert len(message) < 500, (kind, case, message)
        assert time.perf_counter() - start < LONGEST, (kind, case)
        assert largest() - before < MOST_GROWTH, (kind, case)
    assert refused > ts.examples(40) // 10
