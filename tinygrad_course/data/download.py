"""Files from the network: fetched by pooch, and kept only if their checksum is right."""

from __future__ import annotations

import os
import tarfile
import zlib
from pathlib import Path
from typing import Any

from tinygrad_course.errors import FormatError
from tinygrad_course.files import atomic_write

MOST_BYTES = 1 << 26  # of an unpacked file; CIFAR-10's have 30 million


def fetch(url: str, sha256: str, folder: str | os.PathLike[str]) -> Path:
    """The file at an address, in a folder; downloaded unless it is there already and whole.

    Raises:
        ImportError: pooch is not installed.
        OSError: the file cannot be had.
        FormatError: what came is not what it should be.
    """
    name = url.rsplit("/", 1)[1]
    try:
        found = _pooch().retrieve(url, f"sha256:{sha256}", fname=name, path=os.fspath(folder))
    except ValueError as error:
        raise FormatError(f"{url}: what came has another checksum: {error}") from error
    except OSError as error:
        raise OSError(
            f"{url} could not be downloaded ({error}); with no network, put the file into {folder} "
            "and leave download out"
        ) from error
    return Path(found)


def unpack(archive: Path, names: tuple[str, ...], folder: Path) -> None:
    """The named files of a tar archive, written whole into a folder, whatever folder they were in.

    Raises:
        FormatError: the archive is damaged, or has no such files.
    """
    missing = set(names)
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = member.name.rsplit("/", 1)[-1]
                if name not in missing or (file := tar.extractfile(member)) is None:
                    continue
                if member.size > MOST_BYTES:
                    raise tarfile.ReadError(f"{name} claims {member.size} bytes")
                atomic_write(folder / name, file.read())
                missing.remove(name)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise FormatError(f"{archive}: not a whole archive: {error}") from error
    if missing:
        raise FormatError(f"{archive}: there is no {', '.join(sorted(missing))} in it")


def _pooch() -> Any:
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            "files are downloaded with pooch; install it: pip install 'tinygrad_course[data]'"
        ) from error
    return pooch
