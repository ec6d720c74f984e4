"""IDX files from outside: whatever the bytes are, an array or a FormatError that names the file."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_course.data import datasets, read_idx
from tinygrad_course.errors import FormatError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array: np.ndarray) -> bytes:
    code = CODES[array.dtype.str[1:]]
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return (
        bytes([0, 0, code, array.ndim])
        + sizes
        + array.astype(array.dtype.newbyteorder(">")).tobytes()
    )


IMAGES = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
LABELS = np.array([0, 9, 3, 3, 1, 7], dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(IMAGES))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(LABELS))
    return tmp_path


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("zipped", [False, True])
def test_every_type_comes_back(tmp_path, code, zipped):
    array = np.arange(-6, 6).astype(code).reshape(2, 3, 2)
    path = tmp_path / "a"
    path.write_bytes(gzip.compress(idx(array)) if zipped else idx(array))
    back = read_idx(path)
    assert back.dtype == array.dtype
    assert back.dtype.isnative
    np.testing.assert_array_equal(back, array)


GOOD = idx(IMAGES[:2, :3, :3])

BROKEN = {
    "empty": (b"", "not an IDX file"),
    "text": (b"hello, this is no array", "not an IDX file"),
    "no such type": (b"\0\0\x0a\1\0\0\0\1x", "element type 0x0a"),
    "no dimensions": (b"\0\0\x08\0", "0 dimensions"),
    "many dimensions": (b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"x", "255 dimensions"),
    "cut in the header": (GOOD[:7], "inside the header"),
    "cut in the data": (GOOD[:-1], "cut off"),
    "too long": (GOOD + b"x", "there are more"),
    "no items": (b"\0\0\x08\2\0\0\0\0\0\0\0\5", "no elements"),
    "huge": (b"\0\0\x0e\3" + b"\xff" * 12 + b"x" * 100, "more than the file can hold"),
    "huge, gzipped": (gzip.compress(b"\0\0\x0e\3" + b"\xff" * 12), "more than the file can hold"),
    "gzip cut off": (gzip.compress(GOOD)[:-9], "gzip"),
    "gzip checksum": (gzip.compress(GOOD)[:-8] + b"\1" * 8, "gzip"),
    "gzip then garbage": (gzip.compress(GOOD) + b"garbage", "gzip"),
    "gzip of too little": (gzip.compress(GOOD[:-1]), "only 17"),
    "gzip of too much": (gzip.compress(GOOD + b"x"), "there are more"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_say_what_is_wrong(tmp_path, name):
    content, reason = BROKEN[name]
    path = tmp_path / "some-images"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=reason) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


@st.composite
def mutations(draw):
    """A good file, gzipped or not, with bytes changed, dropped or added."""
    data = bytearray(GOOD)
    wrap = draw(st.sampled_from(["plain", "gzip", "gzip then mutate"]))
    if wrap == "gzip then mutate":
        data = bytearray(gzip.compress(GOOD, mtime=0))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data) - 1)) if data else 0
        match draw(st.sampled_from(["set", "cut", "insert"])):
            case "set" if data:
                data[at] = draw(st.integers(0, 255))
            case "cut":
                del data[at:]
            case _:
                data[at:at] = draw(st.binary(max_size=6))
    return gzip.compress(bytes(data), mtime=0) if wrap == "gzip" else bytes(data)


@settings(max_examples=300, deadline=2000)
@given(content=st.one_of(mutations(), st.binary(max_size=64)))
def test_any_bytes_give_an_array_or_a_format_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        message = f"{path}: {read_idx(path).size} elements"
    except FormatError as error:
        message = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert message.startswith(str(path))
    assert peak < 4_000_000


def test_a_gzip_bomb_is_read_no_further_than_its_header_says(tmp_path):
    packer = zlib.compressobj(9, wbits=31)
    path = tmp_path / "bomb"
    with path.open("wb") as file:
        file.write(packer.compress(idx(LABELS)))
        for _ in range(64):
            file.write(packer.compress(bytes(1 << 20)))
        file.write(packer.flush())
    tracemalloc.start()
    with pytest.raises(FormatError, match="there are more"):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000


@pytest.mark.parametrize("mark", ["-", "."])
@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_under_each_name(tmp_path, mark, zipped):
    pack, end = (gzip.compress, ".gz") if zipped else (bytes, "")
    (tmp_path / f"t10k-images{mark}idx3-ubyte{end}").write_bytes(pack(idx(IMAGES)))
    (tmp_path / f"t10k-labels{mark}idx1-ubyte{end}").write_bytes(pack(idx(LABELS)))
    x, y = datasets.mnist(tmp_path, train=False).tensors
    assert (x.shape, x.dtype, y.dtype) == ((6, 1, 28, 28), np.float32, np.int64)
    np.testing.assert_allclose(x.numpy()[:, 0], IMAGES / 255, rtol=1e-6)
    assert y.tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("train-labels-idx1-ubyte", IMAGES, "are these the images?"),
        ("train-images-idx3-ubyte", LABELS, "are these the labels?"),
        ("train-images-idx3-ubyte", IMAGES[:, :20], r"\(6, 20, 28\)"),
        ("train-images-idx3-ubyte", IMAGES.astype(np.float32), "float32"),
        ("train-labels-idx1-ubyte", LABELS[:4], "6 images, .* 4 labels"),
        ("train-labels-idx1-ubyte", LABELS + 1, "it holds 10"),
    ],
)
def test_mnist_files_that_do_not_fit(folder, name, array, reason):
    (folder / name).write_bytes(idx(array))
    with pytest.raises(FormatError, match=reason) as caught:
        datasets.mnist(folder)
    assert name in str(caught.value)


def test_missing_files_are_listed(folder):
    (folder / "t10k-labels-idx1-ubyte").unlink()
    datasets.mnist(folder)
    with pytest.raises(FileNotFoundError, match=r"t10k-labels\.idx1-ubyte\.gz"):
        datasets.mnist(folder, train=False)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        datasets.mnist(folder / "elsewhere")
