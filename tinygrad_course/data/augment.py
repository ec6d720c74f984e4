"""Images changed at random: what is in them stays what it is, so a model must not mind.

Each of these takes an image (C, H, W) or a batch (N, C, H, W), as a Tensor, and changes every image
of a batch in its own way. Names and arguments are torchvision's where it has them.

Inside a `DataLoader` the chances come from the stream of the batch: they follow from the loader's
seed, are others in each epoch, and are the same for any number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_course.creation import Generator, default_generator
from tinygrad_course.errors import DtypeError, OptionError, ShapeError
from tinygrad_course.tensor import Tensor, as_tensor

from .workers import get_worker_info

Array = np.ndarray[Any, Any]
GREY = (0.299, 0.587, 0.114)  # how bright red, green and blue look (ITU-R BT.601)


class Transform:
    """A change of images. Subclasses write `apply(batch, random)`: (N, C, H, W) arrays.

    Args:
        generator: the source of chance outside a loader; the global one if left out.
    """

    generator: Generator | None = None

    def __call__(self, images: Tensor) -> Tensor:
        x = as_tensor(images).detach().numpy()
        if x.ndim not in (3, 4):
            raise ShapeError(
                f"{type(self).__name__}: images have the shape (C, H, W) or (N, C, H, W), "
                f"got {x.shape}"
            )
        out = self.apply(x[None] if x.ndim == 3 else x, self._random())
        return as_tensor(np.ascontiguousarray(out[0] if x.ndim == 3 else out, x.dtype))

    def apply(self, batch: Array, random: np.random.Generator) -> Array:
        """The change of a batch."""
        raise NotImplementedError(f"{type(self).__name__} has no apply: what does it do?")

    def _random(self) -> np.random.Generator:
        if self.generator is not None and get_worker_info() is not None:
            raise OptionError(
                f"a {type(self).__name__} with a generator of its own would do the same in each "
                "worker; leave the generator out, and the loader's seed decides"
            )
        return (self.generator or default_generator).numpy


class RandomHorizontalFlip(Transform):
    """Left becomes right, with probability p.

    >>> import tinygrad_course as tc
    >>> RandomHorizontalFlip(p=1.0)(tc.tensor([[[1, 2, 3]]]))
    tensor([[[3, 2, 1]]])
    """

    def __init__(self, p: float = 0.5, generator: Generator | None = None) -> None:
        self.p = _chance(p)
        self.generator = generator

    def apply(self, batch: Array, random: np.random.Generator) -> Array:
        chosen = random.random(len(batch)) < self.p
        return np.where(chosen[:, None, None, None], batch[..., ::-1], batch)


class RandomVerticalFlip(RandomHorizontalFlip):
    """Top becomes bottom, with probability p."""

    def apply(self, batch: Array, random: np.random.Generator) -> Array:
        chosen = random.random(len(batch)) < self.p
        return np.where(chosen[:, None, None, None], batch[..., ::-1, :], batch)


class CenterCrop(Transform):
    """The middle of an image, `size` × `size` or size = (height, width)."""

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = _pair("size", size)

    def apply(self, batch: Array, random: np.random.Generator) -> Array:
        (h, w), (height, width) = self.size, batch.shape[2:]
        if h > height or w > width:
            raise ShapeError(f"no {h} × {w} part of images of {height} × {width}")
        top, left = round((height - h) / 2), round((width - w) / 2)
        return batch[:, :, top : top + h, left : left + w]


class RandomCrop(Transform):
    """A part of an image, from a random place.

    Args:
        size: height and width of the part, or a pair of them.
        padding: pixels added around the image first: one number, (left and right, top and bottom),
            or (left, top, right, bottom).
        pad_if_needed: add more where the image is smaller than the part.
        fill: the value of the pixels that are added.
        padding_mode: "constant" (fill), "edge", "reflect" or "symmetric".
        generator: the source of the places outside a loader; the global one if left out.

    Raises:
        ShapeError: an image smaller than the part.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: float = 0,
        padding_mode: str = "constant",
        generator: Generator | None = None,
    ) -> None:
        modes = ("constant", "edge", "reflect", "symmetric")
        if padding_mode not in modes:
            raise OptionError(f"padding_mode is one of {modes}, got {padding_mode!r}")
        around = [padding or 0] if isinstance(padding, (int, type(None))) else list(padding)
        if len(around) not in (1, 2, 4) or any(p < 0 for p in around):
            raise OptionError(f"padding is one, two or four sizes, none negative, got {padding!r}")
        self.size = _pair("size", size)
        self.padding = (around * 4)[:4]  # left, top, right, bottom
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode
        self.generator = generator

    def apply(self, batch: Array, random: np.random.Generator) -> Array:
        left, top, right, bottom = self.padding
        batch = self._padded(batch, (top, bottom), (left, right))
        (h, w), (n, _, height, width) = self.size, batch.shape
        if self.pad_if_needed:
            down, along = max(h - height, 0), max(w - width, 0)
            batch = self._padded(batch, (down, down), (along, along))
            height, width = batch.shape[2:]
        if h > height or w > width:
            raise ShapeError(
                f"no {h} × {w} part of images of {height} × {width}; pass padding or pad_if_needed"
            )
        down = random.integers(0, height - h + 1, n)
        along = random.integers(0, width - w + 1, n)
        rows = (down[:, None] + np.arange(h))[:, None, :, None]
        columns = (along[:, None] + np.arange(w))[:, None, None, :]
        channels = np.arange(batch.shape[1])[:, None, None]
        return batch[np.arange(n)[:, None, None, None], channels, rows, columns]

    def _padded(self, batch: Array, rows: tuple[int, int], columns: tuple[int, int]) -> Array:
        if not any(rows + columns):
            return batch
        how = {"constant_values": self.fill} if self.padding_mode == "constant" else {}
        mode: Any = self.padding_mode
        return np.pad(batch, ((0, 0), (0, 0), rows, columns), mode, **how)


class RandomShift(Transform):
    """Move each image by up to `pixels` in each direction, at random.

    What comes in at the edges repeats the edge. A model that sees every digit in many places
    learns its form, not its place.

    Args:
        pixels: the largest move.
        generator: the source of the moves outside a loader; the global one if left out.

    >>> import tinygrad_course as tc
    >>> move = RandomShift(1, tc.Generator(3))
    >>> move(tc.tensor([[[[1, 2, 3]]]]))
    tensor([[[[1, 1, 2]]]])
    """

    def __init__(self, pixels: int, generator: Generator | None = None) -> None:
        if pixels < 0:
            raise OptionError(f"pixels is not negative, got {pixels}")
        self.pixels = pixels
        self.generator = generator

    def apply(self, batch: Array, random: np.random.Generator) -> Array:
        n, c, h, w = batch.shape
        down, right = random.integers(-self.pixels, self.pixels + 1, (2, n, 1))
        rows = np.clip(np.arange(h) + down, 0, h - 1)[:, None, :, None]
        columns = np.clip(np.arange(w) + right, 0, w - 1)[:, None, None, :]
        image, channel = np.arange(n)[:, None, None, None], np.arange(c)[:, None, None]
        return batch[image, channel, rows, columns]


# --- turned, moved, scaled, sheared ---------------------------------------------------------------


class RandomAffine(Transform):
    """Turn, move, scale and shear an image around its middle.

    A point p of the image goes to R(angle) · Shear · scale · p + move.

    Args:
        degrees: the angle is drawn from −degrees … degrees, or from a pair (least, most).
        translate: (a, b): moves of up to a of the width and b of the height.
        scale: (least, most) factor.
        shear: along x, drawn from −shear … shear or from (least, most); four numbers add a range
            along y. In degrees.
        interpolation: "nearest" or "bilinear".
        fill: the value where there was no image.
        generator: the source of chance outside a loader; the global one if left out.

    Raises:
        OptionError: ranges that make no sense.
        DtypeError: "bilinear" with images of integers.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: str = "nearest",
        fill: float = 0,
        generator: Generator | None = None,
    ) -> None:
        if interpolation not in ("nearest", "bilinear"):
            raise OptionError(f'interpolation is "nearest" or "bilinear", got {interpolation!r}')
        self.degrees = _range("degrees", degrees)
        self.translate = (0.0, 0.0) if translate is None else tuple(translate)
        if len(self.translate) != 2 or not all(0 <= t <= 1 for t in self.translate):
            raise OptionError(f"translate is two fractions from 0 to 1, got {translate!r}")
        self.scale = (1.0, 1.0) if scale is None else _range("scale", scale)
        if self.scale[0] <= 0:
            raise OptionError(f"scale factors are above 0, got {scale!r}")
        shears = [0.0, 0.0] if shear is None else shear
        ends = list(shears) if isinstance(shears, Sequence) else [-shears, shears]
        if len(ends) not in (2, 4):
            raise OptionError(f"shear is one, two or four numbers, got {shear!r}")
        self.shear = [*ends, 0.0, 0.0][:4]
        self.interpolation = interpolation
        self.fill = fill
        self.generator = generator

    def apply(self, batch: Array, random: np.random.Generator) -> Array:
        n, _, h, w = batch.shape
        angle, along, down = np.deg2rad(
            [
                random.uniform(*self.degrees, n),
                random.uniform(self.shear[0], self.shear[1], n),
                random.uniform(self.shear[2], self.shear[3], n),
            ]
        )
        factor = random.uniform(*self.scale, n)
        most = np.array([w, h]) * self.translate
        moves = np.round(random.uniform(-1, 1, (n, 2)) * most)
        one, zero = np.ones(n), np.zeros(n)
        turn = _matrices(np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle))
        shear = _matrices(one, zero, -np.tan(down), one) @ _matrices(one, -np.tan(along), zero, one)
        forward = turn @ shear * factor[:, None, None]
        return warp(batch, np.linalg.inv(forward), moves, self.interpolation, self.fill)


class RandomRotation(RandomAffine):
    """Turn an image around its middle: `RandomAffine` with an angle alone."""

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: str = "nearest",
        fill: float = 0,
        generator: Generator | None = None,
    ) -> None:
        least, most = _range("degrees", degrees)  # here a positive angle turns to the left
        ends = (-most, -least)
        super().__init__(ends, interpolation=interpolation, fill=fill, generator=generator)


def warp(batch: Array, back: Array, moves: Array, interpolation: str, fill: float) -> Array:
    """out(p) = in(back · (p − move)), with p measured from the middle of the image.

    Args:
        batch: (N, C, H, W).
        back: (N, 2, 2), from places (x, y) in the new image to those in the old one.
        moves: (N, 2), in pixels.
        interpolation: "nearest" or "bilinear".
        fill: the value outside the old image.
    """
    if interpolation == "bilinear" and batch.dtype.kind != "f":
        raise DtypeError(f'"bilinear" needs floating-point images, got {batch.dtype}')
    n, c, h, w = batch.shape
    middle = np.array([w - 1, h - 1]) / 2
    y, x = np.mgrid[:h, :w]
    places = np.stack([x.ravel(), y.ravel()]) - middle[:, None]  # (2, H·W)
    x, y = (back @ (places - moves[:, :, None]) + middle[:, None]).transpose(1, 0, 2)
    flat = batch.reshape(n, c, h * w)

    def at(x: Array, y: Array) -> Array:  # (N, H·W) each
        inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
        place = np.where(inside, y * w + x, 0).astype(np.int64)
        return np.where(inside[:, None], np.take_along_axis(flat, place[:, None], 2), fill)

    if interpolation == "nearest":
        return at(np.rint(x), np.rint(y)).reshape(batch.shape)
    x0, y0 = np.floor(x), np.floor(y)
    fx, fy = (f.astype(batch.dtype)[:, None] for f in (x - x0, y - y0))
    upper = at(x0, y0) * (1 - fx) + at(x0 + 1, y0) * fx
    lower = at(x0, y0 + 1) * (1 - fx) + at(x0 + 1, y0 + 1) * fx
    return (upper * (1 - fy) + lower * fy).reshape(batch.shape)


# --- light and noise ------------------------------------------------------------------------------


class ColorJitter(Transform):
    """Other light: brightness, then contrast, then saturation change by random factors.

    Brightness: f·x. Contrast: f·x + (1 − f)·mean grey. Saturation: f·x + (1 − f)·grey.

    Args:
        brightness, contrast, saturation: a number b draws f from max(0, 1 − b) … 1 + b; a pair is
            the range itself; 0 changes nothing.
        generator: the source of chance outside a loader; the global one if left out.

    Raises:
        OptionError: images outside 0 … 1: change the colours before `Normalize`.
        ShapeError: saturation of images that have not three channels.
    """

    def __init__(
        self,
        brightness: float | Sequence[float] = 0,
        contrast: float | Sequence[float] = 0,
        saturation: float | Sequence[float] = 0,
        generator: Generator | None = None,
    ) -> None:
        self.brightness = _factors("brightness", brightness)
        self.contrast = _factors("contrast", contrast)
        self.saturation = _factors("saturation", saturation)
        self.generator = generator

    def apply(self, batch: Array, random: np.random.Generator) -> Array:
        _check_range("ColorJitter", batch)
        ranges = (self.brightness, self.contrast, self.saturation)
        drawn = [random.uniform(*ends, (len(batch), 1, 1, 1)) for ends in ranges]
        b, c, s = (f.astype(batch.dtype) for f in drawn)
        batch = np.clip(b * batch, 0, 1)
        if self.contrast != (1, 1):
            mean = _grey(batch).mean((1, 2, 3), keepdims=True)
            batch = np.clip(c * batch + (1 - c) * mean, 0, 1)
        if self.saturation != (1, 1):
            if batch.shape[1] != 3:
                raise ShapeError(f"saturation needs three channels, got {batch.shape[1]}")
            batch = np.clip(s * batch + (1 - s) * _grey(batch), 0, 1)
        return batch


class GaussianNoise(Transform):
    """Normal noise, another value for each pixel and channel; the result stays in 0 … 1.

    Args:
        sigma: the standard deviation.
        generator: the source of the noise outside a loader; the global one if left out.
    """

    def __init__(self, sigma: float = 0.1, generator: Generator | None = None) -> None:
        if not sigma >= 0:
            raise OptionError(f"sigma is not negative, got {sigma}")
        self.sigma = sigma
        self.generator = generator

    def apply(self, batch: Array, random: np.random.Generator) -> Array:
        _check_range("GaussianNoise", batch)
        noise = random.standard_normal(batch.shape, dtype=np.float32)
        return np.clip(batch + self.sigma * noise, 0, 1)


def _grey(batch: Array) -> Array:
    if batch.shape[1] != 3:
        return batch.mean(1, keepdims=True)
    weights = np.array(GREY, batch.dtype)[:, None, None]
    return np.asarray((batch * weights).sum(1, keepdims=True))


def _check_range(name: str, batch: Array) -> None:
    if batch.dtype.kind != "f" or batch.min() < -1e-3 or batch.max() > 1 + 1e-3:
        raise OptionError(
            f"{name} works on floating-point images from 0 to 1, got {batch.dtype} from "
            f"{batch.min():.3g} to {batch.max():.3g}; let Normalize come after it"
        )


# --- options --------------------------------------------------------------------------------------


def _chance(p: float) -> float:
    if not 0 <= p <= 1:
        raise OptionError(f"p is a probability, from 0 to 1, got {p}")
    return p


def _pair(name: str, size: int | Sequence[int]) -> tuple[int, int]:
    both = (size, size) if isinstance(size, (int, np.integer)) else tuple(size)
    if len(both) != 2 or any(not isinstance(s, (int, np.integer)) or s < 1 for s in both):
        raise OptionError(f"{name} is one or two whole numbers of at least 1, got {size!r}")
    return int(both[0]), int(both[1])


def _range(name: str, given: float | Sequence[float]) -> tuple[float, float]:
    ends = tuple(given) if isinstance(given, Sequence) else (-given, given)
    if len(ends) != 2 or not ends[0] <= ends[1]:
        raise OptionError(
            f"{name} is a number that is not negative, or (least, most); got {given!r}"
        )
    return ends


def _factors(name: str, given: float | Sequence[float]) -> tuple[float, float]:
    ends = given if isinstance(given, Sequence) else (max(0.0, 1 - given), 1 + given)
    low, high = _range(name, ends)
    if low < 0 or (not isinstance(given, Sequence) and given < 0):
        raise OptionError(f"{name} is not negative, got {given!r}")
    return low, high


def _matrices(a: Array, b: Array, c: Array, d: Array) -> Array:
    return np.stack([np.stack([a, b], -1), np.stack([c, d], -1)], -2)  # (N, 2, 2)
