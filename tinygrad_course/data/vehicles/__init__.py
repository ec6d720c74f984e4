"""Vehicles in street scenes: drawn, not photographed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_course.data.dataset import Dataset
from tinygrad_course.errors import OptionError
from tinygrad_course.tensor import Tensor, as_tensor

from .scene import KINDS, render

LARGEST = 224


class Vehicles(Dataset):
    """Street scenes with a bicycle, a motorcycle, a car, a bus or a truck, from a seed.

    **These are synthetic pictures**: a small renderer makes them up, from solids, a camera, a light
    and a street. They vary in shape, colour, load and rider, viewpoint, distance and place in the
    picture, sun, night, fog, rain, snow, things in the way, and noise; but a model that knows them
    has never seen a street. `ImageFolder` of photographs can take their place: its samples have the
    same form.

    Scene i is the same each time, for the same seed and size and version of Pillow; other seeds
    give other scenes, so a held-out set is `Vehicles(n, seed=another)`.

    Args:
        n: how many scenes; the five kinds come in turn.
        size: height and width, 16 to 224.
        seed: of all of them.
        transform: what is done to an image (3, size, size) when it is asked for.
        cache: keep what was drawn in memory, 12 kB a scene of 64 × 64. Drawing one takes 2
            milliseconds, or 6 at 224 × 224. A loader's workers each keep what they drew, as long
            as they live (`persistent_workers`).

    Attributes:
        classes: the names of the kinds.
        targets: the label of each scene.

    Raises:
        OptionError: a number or a size outside its limits.
        ImportError: Pillow is not installed; when a scene is asked for.

    >>> scenes = Vehicles(10, size=32)
    >>> image, label = scenes[3]
    >>> image.shape, scenes.classes[label]
    ((3, 32, 32), 'bus')
    """

    def __init__(
        self,
        n: int = 1000,
        size: int = 64,
        seed: int = 0,
        transform: Callable[[Any], Any] | None = None,
        *,
        cache: bool = True,
    ) -> None:
        for name, value, least, most in (
            ("n", n, 1, 10**7), ("size", size, 16, LARGEST), ("seed", seed, 0, 2**63)
        ):  # fmt: skip
            if not isinstance(value, (int, np.integer)) or not least <= value <= most:
                raise OptionError(f"{name} is a whole number from {least} to {most}, got {value!r}")
        self.n, self.size, self.seed = int(n), int(size), int(seed)
        self.transform = transform
        self.classes = list(KINDS)
        self.targets = [i % len(KINDS) for i in range(self.n)]
        self._drawn: dict[int, np.ndarray[Any, Any]] | None = {} if cache else None

    def __len__(self) -> int:
        return self.n

    def pixels(self, index: int) -> np.ndarray[Any, Any]:
        """Scene i as it is drawn: uint8 (3, size, size)."""
        if not -self.n <= index < self.n:
            raise IndexError(f"scene {index} of {self.n}")
        index = int(index) % self.n
        if self._drawn is None:
            return render(KINDS[self.targets[index]], self.size, self.seed, index)
        if index not in self._drawn:
            self._drawn[index] = render(KINDS[self.targets[index]], self.size, self.seed, index)
        return self._drawn[index]

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image: Any = as_tensor(self.pixels(index) / np.float32(255))
        label = self.targets[index]
        return image if self.transform is None else self.transform(image), label

    def __getattr__(self, name: str) -> Any:
        if name == "take_batch" and self.__dict__.get("transform", self) is None:
            return self._take_batch
        raise AttributeError(f"Vehicles has no attribute {name!r}")

    def _take_batch(self, indices: np.ndarray[Any, Any]) -> tuple[Tensor, Tensor]:
        images = np.stack([self.pixels(int(i)) for i in indices]) / np.float32(255)
        labels = np.array([self.targets[int(i)] for i in indices], dtype=np.int64)
        return as_tensor(images), as_tensor(labels)


__all__ = ["Vehicles", "render"]
