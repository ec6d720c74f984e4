"""Pictures, CIFAR-10 and downloads: what is read from files, and what is said of broken ones."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import struct
import sys
import tarfile
import threading
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from tinygrad_course.data import DataLoader, datasets, download, image, read_cifar, read_image
from tinygrad_course.data.datasets import ImageFolder, images
from tinygrad_course.errors import FormatError, OptionError

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (12, 16, 3), dtype=np.uint8)


# --- pictures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm", "tiff"])
def test_a_picture_without_loss(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PIXELS).save(path)
    image = read_image(path)
    assert (image.shape, image.dtype) == ((3, 12, 16), np.float32)
    np.testing.assert_allclose(image.numpy(), PIXELS.transpose(2, 0, 1) / 255, rtol=1e-6)


@pytest.mark.parametrize("suffix", ["jpg", "gif", "webp"])
def test_a_picture_with_loss(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    smooth = np.linspace(0, 255, 12 * 16).reshape(12, 16).astype(np.uint8)
    Image.fromarray(smooth).save(path)
    image = read_image(path, mode="L")
    assert image.shape == (1, 12, 16)
    np.testing.assert_allclose(image.numpy()[0], smooth / 255, atol=0.05)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_three_colours(tmp_path, mode):
    path = tmp_path / f"a.{'jpg' if mode == 'CMYK' else 'png'}"
    if mode == "I;16":
        Image.fromarray(np.full((5, 6), 1 << 15, np.uint16)).save(path)
        np.testing.assert_allclose(read_image(path).numpy(), 0.5, atol=0.01)
    else:
        Image.fromarray(PIXELS).convert(mode).save(path)
    assert read_image(path).shape[0] == 3
    assert read_image(path, mode="L").shape[0] == 1


def test_a_picture_is_cut_scaled_and_turned(tmp_path):
    half = np.zeros((20, 40, 3), np.uint8)
    half[:, 20:] = 255
    exif = Image.Exif()
    exif[0x112] = 6  # the camera lay on its side: turn right
    Image.fromarray(half).save(tmp_path / "a.png", exif=exif)
    image = read_image(tmp_path / "a.png")
    assert image.shape == (3, 40, 20)
    assert image[:, :20].max().item() == 0
    image = read_image(tmp_path / "a.png", size=8)
    assert image.shape == (3, 8, 8)
    assert image[:, :3].max().item() == 0
    assert image[:, 5:].min().item() == 1
    with pytest.raises(OptionError, match="mode"):
        read_image(tmp_path / "a.png", mode="CMYK")


def png(width, height, data=b"", kind=2):
    def chunk(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def saved(kind, **how):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind, **how)
    return file.getvalue()


BROKEN = {
    "empty": (b"", "cannot identify"),
    "text": (b"hello", "cannot identify"),
    "huge": (png(60_000, 60_000, zlib.compress(b"")), "pixels"),
    "large for its size": (png(5_000, 5_000, zlib.compress(b"")), "may hold"),
    "no pixels": (png(0, 5, zlib.compress(b"")), "not a whole image"),
    "a bomb": (png(7_000, 7_000, zlib.compress(bytes(7_000 * 2_000), 9)), "may hold"),
    "cut off": (saved("PNG")[:300], "not a whole image"),
    "jpeg cut off": (saved("JPEG")[:-40], "truncated|cut|broken"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot identify"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_pictures_say_what_is_wrong(tmp_path, name):
    content, reason = BROKEN[name]
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(FormatError, match=reason) as caught:
        read_image(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(caught.value).startswith(str(path))
    assert peak < 4_000_000
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "elsewhere")


def test_an_empty_sheet_packs_to_little_and_is_read_all_the_same(tmp_path):
    path = tmp_path / "sheet.png"
    Image.new("RGB", (2300, 2000), (255, 255, 255)).save(path)
    assert image.FREE_PIXELS < 2300 * 2000
    assert read_image(path, mode="L").numpy().min() == 1


@pytest.fixture
def folder(tmp_path):
    for name, count in (("dog", 3), ("cat", 2)):
        (tmp_path / name / "deep").mkdir(parents=True)
        for i in range(count):
            place = tmp_path / name / ("deep" if i else "") / f"{i}.PNG"
            Image.fromarray(np.roll(PIXELS, i, 0)).save(place, "PNG")
        (tmp_path / name / "notes.txt").write_text("no picture")
    return tmp_path


def test_a_folder_of_pictures(folder):
    found = ImageFolder(folder, size=8)
    assert (found.classes, found.class_to_idx) == (["cat", "dog"], {"cat": 0, "dog": 1})
    assert found.targets == [0, 0, 1, 1, 1]
    (images, labels), *_ = DataLoader(found, 5, num_workers=2)
    assert (images.shape, labels.tolist()) == ((5, 3, 8, 8), found.targets)
    plain = ImageFolder(folder, lambda x: x * 2, lambda y: y + 10, mode="L")
    assert plain[4][0].shape == (1, 12, 16)
    assert plain[4][1] == 11
    assert plain[4][0].max().item() > 1
    (folder / "dog" / "0.PNG").write_bytes(b"broken")
    with pytest.raises(FormatError, match=r"0\.PNG: not a whole image") as caught:
        list(DataLoader(found, 2, num_workers=1))
    assert "sample 2 of ImageFolder" in caught.value.__notes__[0]


def test_folders_without_pictures(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        ImageFolder(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="folders, one for each class"):
        ImageFolder(folder / "dog" / "deep")
    (folder / "bird").mkdir()
    with pytest.raises(FileNotFoundError, match="'bird'"):
        ImageFolder(folder)


def test_pictures_without_pillow(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"tinygrad_course\[data\]"):
        ImageFolder(folder)[0]


# --- CIFAR-10 -------------------------------------------------------------------------------------


def cifar(count, seed=0):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    labels = random.integers(0, 10, count, dtype=np.uint8)
    records = [bytes([y]) + x.tobytes() for x, y in zip(images, labels, strict=True)]
    return images, labels, b"".join(records)


def test_cifar_from_a_folder(tmp_path):
    parts = {name: cifar(4 + i, i) for i, name in enumerate(images.TRAIN_BATCHES)}
    for name, (_, _, content) in parts.items():
        (tmp_path / name).write_bytes(content)
    pairs = datasets.cifar10(tmp_path)
    x, y = pairs.tensors
    assert (x.shape, x.dtype, y.dtype) == ((30, 3, 32, 32), np.float32, np.int64)
    expected = np.concatenate([x for x, _, _ in parts.values()])
    np.testing.assert_allclose(x.numpy(), expected / 255, rtol=1e-6)
    assert y.tolist() == np.concatenate([y for _, y, _ in parts.values()]).tolist()
    assert pairs.classes[9] == "truck"
    with pytest.raises(FileNotFoundError, match=r"test_batch\.bin"):
        datasets.cifar10(tmp_path, train=False)
    (tmp_path / "cifar-10-batches-bin").mkdir()
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(cifar(3)[2])
    assert len(datasets.cifar10(tmp_path, train=False)) == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "0 bytes are not a number of records"),
        (cifar(2)[2][:-1], "6145 bytes"),
        (cifar(2)[2] + b"x", "6147 bytes"),
        (b"\x0a" + cifar(1)[2][1:], "record 0 has 10"),
        (cifar(1)[2] + b"\xff" + bytes(3072), "record 1 has 255"),
    ],
)
def test_broken_cifar_files(tmp_path, content, reason):
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=reason) as caught:
        read_cifar(path)
    assert str(path) in str(caught.value)


def test_a_file_far_too_long_for_cifar_is_not_read(tmp_path):
    path = tmp_path / "data_batch_1.bin"
    with path.open("wb") as file:
        file.truncate(3073 * 10_000_000)  # 30 GB that no disk holds
    with pytest.raises(FormatError, match="10000000 records"):
        read_cifar(path)


# --- downloads ------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path):
    """A server on this machine, its address, and a folder that it serves."""
    served = tmp_path / "served"
    served.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **how):
            super().__init__(*args, directory=served, **how)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield served, f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def test_mnist_is_downloaded_once_and_checked(server, tmp_path, monkeypatch):
    served, url = server
    pixels, labels = (
        PIXELS[:10, :1, 0].repeat(784, 1).reshape(10, 28, 28),
        np.arange(10, dtype="u1"),
    )
    sums = {}
    for part in ("train", "t10k"):
        for name, head, array in (
            (f"{part}-images-idx3", struct.pack(">4B3I", 0, 0, 8, 3, 10, 28, 28), pixels),
            (f"{part}-labels-idx1", struct.pack(">4B1I", 0, 0, 8, 1, 10), labels),
        ):
            content = gzip.compress(head + array.tobytes())
            (served / f"{name}-ubyte.gz").write_bytes(content)
            sums[name] = sha256(content)
    monkeypatch.setattr(images, "MNIST_URL", url)
    monkeypatch.setattr(images, "MNIST_FILES", sums)
    x, y = datasets.mnist(tmp_path / "mnist", download=True).tensors
    assert y.tolist() == list(range(10))
    np.testing.assert_allclose(x.numpy()[:, 0], pixels / 255, rtol=1e-6)
    for file in served.iterdir():
        file.unlink()
    assert len(datasets.mnist(tmp_path / "mnist", train=False, download=True)) == 10


def test_what_is_downloaded_must_be_right(server, tmp_path):
    served, url = server
    (served / "a.bin").write_bytes(b"not what it should be")
    with pytest.raises(FormatError, match=r"a\.bin: what came has another checksum"):
        download.fetch(url + "a.bin", sha256(b"something else"), tmp_path / "here")
    assert not list((tmp_path / "here").glob("a.bin"))
    with pytest.raises(OSError, match=r"put the file into .*here"):
        download.fetch(url + "b.bin", sha256(b""), tmp_path / "here")
    with pytest.raises(OSError, match="could not be downloaded"):
        download.fetch("http://127.0.0.1:9/c.bin", sha256(b""), tmp_path / "here")


def test_cifar_is_downloaded_and_unpacked(server, tmp_path, monkeypatch):
    served, url = server
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in (*images.TRAIN_BATCHES, *images.TEST_BATCH, "../evil", "readme.html"):
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            content = cifar(2)[2]
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    content = packed.getvalue()
    (served / "cifar.tar.gz").write_bytes(content)
    monkeypatch.setattr(images, "CIFAR_URL", url + "cifar.tar.gz")
    monkeypatch.setattr(images, "CIFAR_SHA256", sha256(content))
    here = tmp_path / "here"
    assert len(datasets.cifar10(here, download=True)) == 10
    assert {p.name for p in here.iterdir()} == {
        "cifar.tar.gz",
        *images.TRAIN_BATCHES,
        *images.TEST_BATCH,
    }
    (tmp_path / "half.tar.gz").write_bytes(content[: len(content) // 2])
    for archive, reason in (("half", "not a whole archive"), ("here/cifar", "no gone")):
        with pytest.raises(FormatError, match=reason):
            download.unpack(tmp_path / f"{archive}.tar.gz", ("gone",), tmp_path)


def test_downloads_without_pooch(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r"tinygrad_course\[data\]"):
        datasets.mnist(tmp_path, download=True)
