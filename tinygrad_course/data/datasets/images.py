"""Images: digits that come with a library, and sets from files in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_course.data.cifar import read_cifar
from tinygrad_course.data.dataset import Dataset, TensorDataset
from tinygrad_course.data.download import fetch, unpack
from tinygrad_course.data.idx import read_idx
from tinygrad_course.data.image import SUFFIXES, read_image
from tinygrad_course.errors import FormatError, OptionError

StrPath = str | os.PathLike[str]


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
            "the digits come with scikit-learn; install it: pip install 'tinygrad_course[data]'"
        ) from error
    found = load_digits()
    images = resized(found.images / 16.0, size - 2 * margin)
    images = np.pad(images, ((0, 0), (margin, margin), (margin, margin)))
    pairs = TensorDataset(images[:, None].astype(np.float32), found.target.astype(np.int64))
    pairs.classes = [str(i) for i in range(10)]
    return pairs


def resized(images: np.ndarray[Any, Any], size: int) -> np.ndarray[Any, Any]:
    """Square images (…, n, n) interpolated linearly to (…, size, size): A · image · Aᵀ."""
    n = images.shape[-1]
    if n == size:
        return images
    centres = (np.arange(size) + 0.5) * n / size - 0.5  # of the new pixels, in old ones
    weights = np.stack([np.interp(centres, np.arange(n), row) for row in np.eye(n)], axis=1)
    return np.asarray(weights @ images @ weights.T)


# --- MNIST and its like ---------------------------------------------------------------------------

MNIST_FILES = {
    "train-images-idx3": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
FASHION_FILES = {
    "train-images-idx3": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
CLOTHES = [
    "T-shirt/top", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
]  # fmt: skip


def mnist(folder: StrPath, train: bool = True, download: bool = False) -> TensorDataset:
    """MNIST, or a set in its format such as KMNIST, from its IDX files (Y. LeCun et al., 1998).

    Args:
        folder: holds `train-images-idx3-ubyte` and its three companions; `.idx3-` for `-idx3-`
            and `.gz` at the end are found too.
        train: the 60,000 training images, or the 10,000 held-out ones.
        download: fetch the files into the folder first, unless they are there, and check them.

    Returns:
        Images (N, 1, 28, 28), float32 from 0 (paper) to 1 (ink), and int64 labels.

    Raises:
        FileNotFoundError: a file is missing; the message lists the names that were looked for.
        FormatError: a file is damaged or holds something else.
        OSError: a file cannot be downloaded.
    """
    if download:
        _fetch_all(MNIST_URL, MNIST_FILES, folder)
    return _idx_pairs(folder, train, [str(i) for i in range(10)])


def fashion_mnist(folder: StrPath, train: bool = True, download: bool = False) -> TensorDataset:
    """Fashion-MNIST: clothes in MNIST's format, under the same names (H. Xiao et al., 2017).

    Arguments, results and errors as for `mnist`. Keep the two sets in different folders.
    """
    if download:
        _fetch_all(FASHION_URL, FASHION_FILES, folder)
    return _idx_pairs(folder, train, list(CLOTHES))


def _fetch_all(url: str, files: dict[str, str], folder: StrPath) -> None:
    for name, sha256 in files.items():
        fetch(f"{url}{name}-ubyte.gz", sha256, folder)


def _idx_pairs(folder: StrPath, train: bool, classes: list[str]) -> TensorDataset:
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
    return _pairs(images[:, None], labels, classes)


def _pairs(images: Any, labels: Any, classes: list[str]) -> TensorDataset:
    pairs = TensorDataset(images / np.float32(255), labels.astype(np.int64))
    pairs.classes = classes
    return pairs


def _hint(array: np.ndarray[Any, Any], ndim: int, name: str) -> str:
    return f": are these the {name}?" if array.ndim == ndim else ""


def _find(folder: StrPath, stem: str, kind: str) -> Path:
    names = [f"{stem}{mark}{kind}{end}" for end in ("", ".gz") for mark in ("-", ".")]
    for name in names:
        if (path := Path(folder, name)).is_file():
            return path
    missing = "" if Path(folder).is_dir() else " (there is no such folder)"
    raise FileNotFoundError(f"{folder}{missing}: none of {', '.join(names)} found")


# --- CIFAR-10 -------------------------------------------------------------------------------------

CIFAR_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
CIFAR_CLASSES = [
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
]  # fmt: skip
TRAIN_BATCHES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST_BATCH = ("test_batch.bin",)


def cifar10(folder: StrPath, train: bool = True, download: bool = False) -> TensorDataset:
    """CIFAR-10: small photographs of ten kinds of things (A. Krizhevsky, 2009).

    Args:
        folder: holds the files of the binary version, `data_batch_1.bin` … `data_batch_5.bin` and
            `test_batch.bin`, or the folder `cifar-10-batches-bin` with them. The version for Python
            is made of pickles and is not read.
        train: the 50,000 training images (600 MB of memory), or the 10,000 held-out ones.
        download: fetch and unpack the archive (170 MB) first, unless the files are there.

    Returns:
        Images (N, 3, 32, 32), float32 from 0 to 1, and int64 labels.

    Raises:
        FileNotFoundError: a file is missing.
        FormatError: a file is damaged or holds something else.
        OSError: the archive cannot be downloaded.
    """
    names, folder = TRAIN_BATCHES if train else TEST_BATCH, Path(folder)
    places = (folder, folder / "cifar-10-batches-bin")
    whole = [p for p in places if all((p / name).is_file() for name in names)]
    if not whole and download:
        unpack(fetch(CIFAR_URL, CIFAR_SHA256, folder), TRAIN_BATCHES + TEST_BATCH, folder)
        whole = [folder]
    if not whole:
        raise FileNotFoundError(
            f"{folder}: there is no {' or '.join(names[:1])}{' …' * train}, nor in the folder "
            "cifar-10-batches-bin; put the files of the binary version there, or pass download=True"
        )
    parts = [read_cifar(whole[0] / name) for name in names]
    images, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _pairs(images, labels, list(CIFAR_CLASSES))


# --- a folder of pictures -------------------------------------------------------------------------


class ImageFolder(Dataset):
    """Pictures in folders, one folder for each class: root/cat/1.jpg, root/dog/anything.png.

    Args:
        root: the folder of the classes' folders, in alphabetical order; deeper ones belong to them.
        transform: what is done to an image (3, H, W) when it is asked for.
        target_transform: what is done to a label.
        size: height and width, cut from the middle and scaled. Without it each picture has its own
            size, and a batch can be made only of equal ones.
        mode: "RGB", or "L" for grey: (1, H, W).

    Attributes:
        classes: the names of the folders.
        class_to_idx: the label of each.
        samples: paths and labels.
        targets: the labels.

    Raises:
        FileNotFoundError: there is no such folder, or no class with a picture in it.
        FormatError: a picture is damaged; raised when it is asked for.
        ImportError: Pillow is not installed; when a picture is asked for.
    """

    def __init__(
        self,
        root: StrPath,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        *,
        size: int | None = None,
        mode: str = "RGB",
    ) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise FileNotFoundError(f"{self.root}: there is no such folder")
        self.classes = sorted(entry.name for entry in self.root.iterdir() if entry.is_dir())
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
        self.samples = [
            (path, label)
            for name, label in self.class_to_idx.items()
            for path in sorted((self.root / name).rglob("*"))
            if path.suffix.lower() in SUFFIXES and path.is_file()
        ]
        self.targets = [label for _, label in self.samples]
        empty = [name for name, label in self.class_to_idx.items() if label not in self.targets]
        if empty or not self.samples:
            where = f"the folder {empty[0]!r}" if empty else "folders, one for each class"
            raise FileNotFoundError(
                f"{self.root}: expected pictures ({', '.join(SUFFIXES)}) in {where}; found none"
            )
        self.transform = transform
        self.target_transform = target_transform
        self.size = size
        self.mode = mode

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, label = self.samples[index]
        image = read_image(path, self.size, self.mode)
        return (
            image if self.transform is None else self.transform(image),
            label if self.target_transform is None else self.target_transform(label),
        )
