"""One picture of a vehicle in a street, from a seed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_course.data.image import pillow

from . import street
from .models import MODELS
from .solids import Array, Camera, draw

KINDS = tuple(MODELS)
LONG = {"bicycle": 1.8, "motorcycle": 2.1, "car": 4.3, "bus": 10.5, "truck": 7.8}


def render(kind: str, size: int, *seed: int) -> Array:
    """A scene with a vehicle of some kind: uint8 (3, size, size)."""
    random = np.random.default_rng(seed)
    n = 2 * size  # drawn twice as large, so that edges come out soft
    picture = pillow("Image").new("RGB", (n, n))
    canvas = pillow("ImageDraw").Draw(picture)
    model, day = MODELS[kind](random), street.weather(random)
    points = np.array([p for part in model.parts for p in part.points])
    camera = _camera(kind, points, n, random)
    dim = 0.4 if day.night else day.light.sky
    street.background(canvas, n, camera, day, random)
    street.shadow(canvas, camera, points, day, dim)
    draw(model, camera, day.light, canvas)
    street.foreground(canvas, n, dim, random)
    street.falling(canvas, n, day.falling, random)
    return _developed(picture.reduce(2), day, random)


def _camera(kind: str, points: Array, n: int, random: np.random.Generator) -> Camera:
    """From somewhere around the vehicle, rather from the side, near or far, at some height."""
    side = random.choice([0.5, 1.5]) * math.pi
    spread = 0.35 * math.pi if random.random() < 0.8 else math.pi
    azimuth = side + random.uniform(-spread, spread)
    elevation = random.uniform(0.04, 0.35)
    low, high = points.min(0), points.max(0)
    target = (low + high) / 2
    camera = Camera(azimuth, elevation, LONG[kind] * random.uniform(1.4, 3.5), target)
    reach = n * random.uniform(0.55, 0.95)
    room = (n - reach) / 2
    centre = n / 2 + random.uniform(-1, 1, 2) * room * 0.9
    camera.fit(points, reach, 0.9 * reach, (float(centre[0]), float(centre[1])))
    return camera


def _developed(picture: Any, day: street.Weather, random: np.random.Generator) -> Array:
    """What air and camera add: fog, contrast, a colour cast, a soft lens, noise, a mirror."""
    x = np.asarray(picture, dtype=np.float32).transpose(2, 0, 1)
    if day.fog:
        x = (1 - day.fog) * x + day.fog * np.float32(90 if day.night else 205)
    gain, bias = random.uniform(0.8, 1.2), random.uniform(-12, 22)
    cast = random.normal(1, 0.03, (3, 1, 1))
    x = (x - 110) * (gain * cast).astype(np.float32) + np.float32(110 + bias)
    if random.random() < 0.3:
        x = _soft(x)
    noise = random.standard_normal(x.shape, dtype=np.float32)
    x = x + np.float32(random.uniform(1, 9)) * noise
    if random.random() < 0.5:
        x = x[..., ::-1]
    return np.clip(x, 0, 255).astype(np.uint8)


def _soft(x: Array) -> Array:
    """A 3 × 3 blur with weights 1 2 1 in each direction."""
    for axis in (1, 2):
        before, after = np.roll(x, 1, axis), np.roll(x, -1, axis)
        x = (before + 2 * x + after) / 4
    return x
