"""Small models with the layers of large ones."""

from __future__ import annotations

from typing import Any


def small_alexnet(nn: Any) -> Any:
    """AlexNet's kinds of layers, for images of 28 by 28."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 5, 2, 2), nn.ReLU(), nn.LocalResponseNorm(3), nn.MaxPool2d(3, 2),
        nn.Conv2d(4, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Flatten(), nn.Dropout(0.0), nn.Linear(96, 10),
    )  # fmt: skip
