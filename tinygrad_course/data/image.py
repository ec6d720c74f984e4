"""Image files of any kind into arrays, with an eye on what a file from outside may claim."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_course.errors import FormatError, OptionError
from tinygrad_course.tensor import Tensor, as_tensor

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # no format that runs a program
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
MOST_PIXELS = 1 << 25  # 33 million: 400 MB as a Tensor
FREE_PIXELS = 1 << 22  # this many whatever the file's size: an empty picture packs to nothing
PIXELS_A_BYTE = 512  # and this many for each byte of the file; a blank sheet as PNG has 344


def read_image(path: str | os.PathLike[str], size: int | None = None, mode: str = "RGB") -> Tensor:
    """An image file as a float32 Tensor (3, H, W), from 0 (black) to 1.

    The picture is turned as its camera says. Nothing is unpacked before the size that the file
    claims is found plausible.

    Args:
        path: a BMP, GIF (its first picture), JPEG, PNG, PPM, TIFF or WebP file.
        size: height and width, cut from the middle and scaled; as it is unless given.
        mode: "RGB", or "L" for grey: (1, H, W).

    Raises:
        FormatError: the file is no such image, is damaged, or claims an implausible size.
        FileNotFoundError: there is no such file.
        ImportError: Pillow is not installed.
    """
    if mode not in ("RGB", "L"):
        raise OptionError(f'mode is "RGB" or "L", got {mode!r}')
    image, ops = pillow("Image"), pillow("ImageOps")
    path = Path(path)
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what is an error here
        try:
            with image.open(file, formats=FORMATS) as picture:
                _check_size(picture.size, os.fstat(file.fileno()).st_size)
                picture.load()
                picture = ops.exif_transpose(picture)
                if size is not None:
                    picture = ops.fit(_plain(picture, mode), (size, size), 2)  # bilinear
                pixels = np.asarray(_plain(picture, mode))
        except Exception as error:  # a decoder raises whatever it stumbles over
            reason = str(error) or type(error).__name__
            raise FormatError(f"{path}: not a whole image: {reason}") from error
    pixels = pixels[None] if mode == "L" else pixels.transpose(2, 0, 1)
    return as_tensor(np.divide(pixels, np.float32(255), order="C", dtype=np.float32))


def _check_size(size: tuple[int, int], available: int) -> None:
    width, height = size
    most = min(MOST_PIXELS, FREE_PIXELS + PIXELS_A_BYTE * available)
    if not 0 < width * height <= most:
        raise ValueError(
            f"it claims {width} × {height} pixels; a file of {available} bytes may hold {most}"
        )


def _plain(picture: Any, mode: str) -> Any:
    """In the mode asked for; 16 bits become 8 (Pillow would cut off what is above 255)."""
    if picture.mode.startswith("I"):
        deep = np.asarray(picture).astype(np.int64).clip(0, 65535) >> 8
        picture = pillow("Image").fromarray(deep.astype(np.uint8))
    return picture if picture.mode == mode else picture.convert(mode)


def pillow(part: str) -> Any:
    """A module of Pillow."""
    try:
        import PIL
        import PIL.Image
        import PIL.ImageDraw
        import PIL.ImageOps
    except ImportError as error:
        raise ImportError(
            "images are read and drawn with Pillow; install it: pip install 'tinygrad_course[data]'"
        ) from error
    return getattr(PIL, part)
