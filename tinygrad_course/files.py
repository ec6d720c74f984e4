"""Files: written whole or not at all, and weights in the safetensors format."""

from __future__ import annotations

import glob
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import devices
from .arrays import DTYPES, as_array
from .errors import FormatError, OptionError
from .tensor import Tensor, as_tensor

StrPath = str | os.PathLike[str]


def atomic_write(path: StrPath, data: bytes | str) -> None:
    """Write a file so that, whatever happens, it is the old one or the new one, whole.

    The bytes go to a new file in the same folder, reach the disk, and take the name at last.

    Raises:
        OSError: the folder cannot be written, the disk is full, ...; the old file is untouched.
    """
    target = Path(os.path.realpath(path))  # through a link, not over it
    part = target.with_name(f".{target.name[:64]}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def remove_parts(path: StrPath) -> None:
    """Remove what `atomic_write` calls for this file left half-written when they were killed.

    Nobody else may be writing the file.
    """
    target = Path(os.path.realpath(path))
    for part in target.parent.glob(f".{glob.escape(target.name[:64])}.{'[0-9a-f]' * 8}.part"):
        part.unlink(missing_ok=True)


def output_folder(path: StrPath) -> Path:
    """A folder for results, made if need be, and proven writable before any work is done.

    Raises:
        OSError: it cannot be made or written to.

    >>> import tempfile
    >>> output_folder(tempfile.mkdtemp()).is_dir()
    True
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".{secrets.token_hex(8)}"
    probe.touch()
    probe.unlink()
    return folder


def _sync_folder(folder: Path) -> None:
    """The new name reaches the disk too, where a folder can be opened (not on Windows)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def save(tensors: Any, path: Any, metadata: Mapping[str, str] | None = None) -> None:
    """Save named tensors, such as `model.state_dict()`, as a safetensors file.

    Args:
        tensors: names to Tensors or arrays.
        path: the file. The two may be given in either order.
        metadata: texts to keep beside them.

    Raises:
        OptionError: no mapping of names to tensors, or metadata that are not text.
        ImportError: safetensors is not installed.

    >>> import tempfile, tinygrad_course as tc
    >>> folder = tempfile.mkdtemp()
    >>> save({"w": tc.ones(2)}, f"{folder}/weights.safetensors")
    >>> load(f"{folder}/weights.safetensors")
    {'w': tensor([1., 1.])}
    """
    if isinstance(path, Mapping):
        tensors, path = path, tensors
    if not isinstance(tensors, Mapping):
        raise OptionError(
            f"save(tensors, path) takes a dict of names to tensors, such as model.state_dict(); "
            f"got {type(tensors).__name__}"
        )
    for text in (*tensors, *(metadata or {}), *(metadata or {}).values()):
        if not isinstance(text, str):
            raise OptionError(f"names and metadata are text, got {text!r}")
    # A safetensors writer takes an array's memory as it lies: anything that is not C-contiguous
    # would come back with its elements in another order, without an error (version 0.8.0).
    arrays = {name: host_array(t) for name, t in tensors.items()}
    arrays = {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in arrays.items()}
    atomic_write(path, _library().numpy.save(arrays, dict(metadata) if metadata else None))


def load(path: StrPath) -> dict[str, Tensor]:
    """The named tensors in a safetensors file, from whatever library wrote it.

    Raises:
        FormatError: the file is not safetensors, is damaged or cut off, or holds numbers of a type
            that Tensors cannot hold.
        FileNotFoundError: there is no such file.
        ImportError: safetensors is not installed.
    """
    return {name: as_tensor(a) for name, a in read_file(path)[0].items()}


def load_metadata(path: StrPath) -> dict[str, str]:
    """The texts that `save` kept beside the tensors. Raises as `load` does."""
    return read_file(path)[1]


def read_file(path: StrPath) -> tuple[dict[str, Any], dict[str, str]]:
    """The arrays and the texts of a safetensors file. Raises as `load` does."""
    library = _library()
    with open(path, "rb"):  # no such file, no permission: Python's own errors
        pass
    try:
        with library.safe_open(os.fspath(path), framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata() or {})
    except (library.SafetensorError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: not a whole safetensors file: {error}") from error
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise FormatError(f"{path}: {name} is {array.dtype}, which Tensors cannot hold")
    return arrays, metadata


def host_array(tensor: Any) -> np.ndarray[Any, Any]:
    """The numbers of a Tensor, wherever it lives, or of anything that Tensors are made from."""
    array = tensor.detach()._data if isinstance(tensor, Tensor) else as_array(tensor)
    return devices.to_numpy(array)


def _library() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "weights are kept in safetensors files; install it: pip install 'tinygrad_course[io]'"
        ) from error
    return safetensors
