"""A street around a vehicle: ground, sky, houses, trees, what stands in the way, the weather."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .models import CLOTHES, PAINTS, SKIN, pick
from .solids import Array, Camera, Colour, Light

Random = np.random.Generator
Ends = tuple[float, float]

SKIES: list[tuple[Colour, Colour]] = [  # above, at the horizon
    ((96, 150, 214), (196, 218, 236)), ((120, 168, 220), (226, 232, 236)),
    ((150, 156, 164), (196, 198, 200)), ((190, 192, 194), (214, 214, 214)),
    ((84, 96, 140), (240, 180, 130)), ((60, 74, 120), (200, 130, 120)),
]  # fmt: skip
NIGHT: tuple[Colour, Colour] = ((14, 16, 30), (44, 42, 54))
WALLS: list[Colour] = [
    (176, 120, 96), (196, 176, 148), (150, 146, 140), (210, 204, 196), (128, 104, 92),
    (164, 172, 180), (120, 126, 120),
]  # fmt: skip
LEAVES: list[Colour] = [(66, 104, 52), (84, 120, 60), (104, 118, 56), (150, 110, 50), (52, 86, 56)]


class Weather(NamedTuple):
    """What the sky is like."""

    night: bool
    fog: float  # 0 to 1
    falling: str  # "", "rain" or "snow"
    light: Light
    sky: tuple[Colour, Colour]


def weather(random: Random) -> Weather:
    """Sun from anywhere above, through clouds or not, by day or by night."""
    night = random.random() < 0.15
    angle, height = random.uniform(0, 2 * math.pi), random.uniform(0.35, 1.2)
    towards = np.array(
        [math.cos(angle) * math.cos(height), math.sin(height), math.sin(angle) * math.cos(height)]
    )
    clouds = random.random()
    sun = (1 - clouds) * random.uniform(0.35, 0.65)
    level = random.uniform(0.6, 0.8) if night else random.uniform(0.65, 0.95)
    warm = random.normal(0, 0.06)
    tint = np.array([1 + warm, 1.0, 1 - warm])
    light = Light(towards, sun * (0.25 if night else 1), level, tint)
    falling = "" if random.random() < 0.75 else str(random.choice(["rain", "snow"]))
    fog = float(random.uniform(0.15, 0.5)) if random.random() < 0.2 else 0.0
    sky = NIGHT if night else SKIES[int(random.integers(len(SKIES)))]
    return Weather(night, fog, falling, light, sky)


# --- behind the vehicle ---------------------------------------------------------------------------


def background(canvas: Any, n: int, camera: Camera, day: Weather, random: Random) -> None:
    """Sky, what stands along the horizon, and the ground with a road."""
    horizon = camera.horizon
    above, below = day.sky
    stripes = 10
    top = min(max(horizon, 0.0), float(n))
    for i in range(stripes):
        t = (i + 0.5) / stripes
        colour = _between(above, below, t)
        canvas.rectangle([0, top * i / stripes, n, top * (i + 1) / stripes + 1], colour)
    dim = 0.4 if day.night else day.light.sky
    if top > 2:
        _skyline(canvas, n, top, dim, random)
    _ground(canvas, n, camera, dim, random)


def _skyline(canvas: Any, n: int, horizon: float, dim: float, random: Random) -> None:
    kind = random.choice(["city", "trees", "hills", "mixed", "open"], p=[0.4, 0.25, 0.1, 0.2, 0.05])
    if kind in ("hills", "mixed"):
        far = _dimmed(pick(random, [(110, 130, 110), (120, 124, 140)]), dim)
        points = [(x, horizon - n * random.uniform(0.02, 0.2)) for x in np.linspace(0, n, 7)]
        canvas.polygon([(0, horizon), *points, (n, horizon)], far)
    if kind in ("city", "mixed"):
        x = -n * random.uniform(0, 0.2)
        while x < n:
            wide = n * random.uniform(0.12, 0.4)
            _house(canvas, (x, x + wide), horizon, n * random.uniform(0.15, 0.7), dim, random)
            x += wide * random.uniform(1.0, 1.3)
    if kind in ("trees", "mixed"):
        for _ in range(int(random.integers(2, 7))):
            _tree(canvas, n * random.random(), horizon, n * random.uniform(0.12, 0.4), dim, random)


def _house(canvas: Any, ends: Ends, ground: float, high: float, dim: float, random: Random) -> None:
    x0, x1 = ends
    wall = pick(random, WALLS)
    canvas.rectangle([x0, ground - high, x1, ground], _dimmed(wall, dim))
    lit = _dimmed(pick(random, [(70, 80, 92), (56, 60, 70), (220, 200, 140)]), max(dim, 0.5))
    columns, rows = int(random.integers(2, 6)), int(random.integers(2, 6))
    wide, tall = (x1 - x0) / columns, high / rows
    for i in range(columns):
        for j in range(rows):
            x, y = x0 + (i + 0.25) * wide, ground - high + (j + 0.25) * tall
            canvas.rectangle([x, y, x + wide / 2, y + tall / 2], lit)


def _tree(canvas: Any, x: float, ground: float, high: float, dim: float, random: Random) -> None:
    trunk = high * 0.06
    canvas.rectangle(
        [x - trunk, ground - high * 0.5, x + trunk, ground], _dimmed((84, 64, 48), dim)
    )
    leaves = pick(random, LEAVES)
    for _ in range(4):
        cx, cy = x + random.normal(0, 0.12) * high, ground - high * random.uniform(0.5, 0.85)
        r = high * random.uniform(0.15, 0.26)
        colour = _dimmed(leaves, dim * random.uniform(0.8, 1.15))
        canvas.ellipse([cx - r, cy - r, cx + r, cy + r], colour)


def _ground(canvas: Any, n: int, camera: Camera, dim: float, random: Random) -> None:
    """A road along the vehicle, its markings, and what lies beside it."""
    level = random.uniform(58, 128)
    asphalt: Colour = (level, level, level + random.uniform(-4, 8))
    beside = pick(random, [(150, 146, 138), (104, 124, 74), (128, 118, 98), (168, 162, 152)])
    top = min(max(camera.horizon, 0.0), float(n))
    canvas.rectangle([0, top, n, n], _dimmed(beside, dim))
    near, far = -random.uniform(1.9, 3.2), random.uniform(1.9, 6.5)
    _strip(canvas, camera, (-60, 60), (near, far), _dimmed(asphalt, dim))
    kerb = _dimmed((176, 174, 168), dim)
    for z in (near, far):
        _strip(canvas, camera, (-60, 60), (z - 0.12, z + 0.12), kerb)
    if far > 3.6:
        paint = _dimmed((220, 220, 210) if random.random() < 0.8 else (214, 180, 60), dim)
        start = random.uniform(-2, 0)
        for x in (start + 4.0 * i for i in range(-4, 4)):
            _strip(canvas, camera, (x, x + 2), (1.75, 1.9), paint)
    for _ in range(int(random.integers(0, 4))):  # patches
        x, z = random.uniform(-5, 5), random.uniform(near, far)
        shade = asphalt[0] * random.uniform(0.75, 1.2)
        _strip(canvas, camera, (x, x + random.uniform(0.3, 2)), (z, min(z + 0.8, far)),
               _dimmed((shade, shade, shade), dim))  # fmt: skip


def _strip(canvas: Any, camera: Camera, x: Ends, z: Ends, colour: Any) -> None:
    """A rectangle on the ground, as far as it lies before the camera."""
    nearest = 0.4
    corners = [camera.turned(a, 0.0, z[k]) for a, k in ((x[0], 0), (x[1], 0), (x[1], 1), (x[0], 1))]
    kept = []
    for here, there in zip(corners, corners[1:] + corners[:1], strict=True):
        if here[2] >= nearest:
            kept.append(here)
        if (here[2] < nearest) != (there[2] < nearest):
            t = (nearest - here[2]) / (there[2] - here[2])
            kept.append([u + t * (v - u) for u, v in zip(here, there, strict=True)])
    zoom, (left, top) = camera.zoom, camera.shift
    if len(kept) >= 3:
        flat = [(zoom * r / d + left, -zoom * up / d + top) for r, up, d in kept]
        canvas.polygon(flat, colour)


def shadow(canvas: Any, camera: Camera, points: Array, day: Weather, dim: float) -> None:
    """What the vehicle keeps from the light: its outline, laid on the ground away from the sun."""
    ground = points.copy()
    towards = day.light.towards
    reach = 0.35 if day.light.sun < 0.15 else 1.0
    ground[:, 0] -= reach * points[:, 1] * towards[0] / towards[1]
    ground[:, 2] -= reach * points[:, 1] * towards[2] / towards[1]
    ground[:, 1] = 0.0
    flat = camera.seen(ground)[:, :2]
    canvas.polygon([tuple(p) for p in _hull(flat).tolist()], _dimmed((52, 52, 58), dim))


def _hull(points: Array) -> Array:
    """The corners around points, by their angles: the farthest in each of 24 directions."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)])
    return np.asarray(points[np.argmax(points @ directions, axis=0)])


# --- before the vehicle ---------------------------------------------------------------------------


def foreground(canvas: Any, n: int, dim: float, random: Random) -> None:
    """Something in the way, now and then: a post, a tree, a bush, a fence, somebody walking."""
    kind = random.choice(["none", "post", "trunk", "bush", "fence", "person"],
                         p=[0.5, 0.14, 0.1, 0.1, 0.06, 0.1])  # fmt: skip
    x, wide = n * random.uniform(0.05, 0.95), n * random.uniform(0.015, 0.05)
    if kind == "post":
        canvas.rectangle([x - wide / 2, 0, x + wide / 2, n], _dimmed((90, 92, 96), dim))
    elif kind == "trunk":
        canvas.rectangle([x - wide, 0, x + wide, n], _dimmed((88, 68, 50), dim))
    elif kind == "bush":
        leaves = pick(random, LEAVES)
        for _ in range(7):
            cx, cy = x + n * random.normal(0, 0.08), n * random.uniform(0.88, 1.02)
            r = n * random.uniform(0.04, 0.09)
            colour = _dimmed(leaves, dim * random.uniform(0.75, 1.15))
            canvas.ellipse([cx - r, cy - r, cx + r, cy + r], colour)
    elif kind == "fence":
        grey = _dimmed((120, 122, 124), dim)
        y = n * random.uniform(0.8, 0.92)
        canvas.line([(0, y), (n, y)], grey, max(1, n // 60))
        for at in np.arange(x % (n / 6), n, n / 6):
            canvas.line([(at, y), (at, n)], grey, max(1, n // 50))
    elif kind == "person":
        _person(canvas, x, n * random.uniform(0.9, 1.05), n * random.uniform(0.3, 0.5), dim, random)


def _person(canvas: Any, x: float, foot: float, high: float, dim: float, random: Random) -> None:
    coat, legs = (_dimmed(pick(random, CLOTHES), dim) for _ in range(2))
    w = max(1, round(high * 0.09))
    for side in (-1, 1):
        step = side * high * random.uniform(0.02, 0.1)
        canvas.line([(x, foot - 0.48 * high), (x + step, foot)], legs, w)
    canvas.rectangle([x - 0.1 * high, foot - 0.84 * high, x + 0.1 * high, foot - 0.42 * high], coat)
    r, y = 0.07 * high, foot - 0.92 * high
    canvas.ellipse([x - r, y - r, x + r, y + r], _dimmed(pick(random, SKIN), dim))


def falling(canvas: Any, n: int, kind: str, random: Random) -> None:
    """Rain or snow."""
    if kind == "rain":
        slant = random.uniform(-0.3, 0.3)
        for x, y in random.uniform(0, n, (int(random.integers(25, 70)), 2)).tolist():
            long = n * 0.06
            canvas.line([(x, y), (x + slant * long, y + long)], (190, 196, 206), 1)
    elif kind == "snow":
        for x, y in random.uniform(0, n, (int(random.integers(30, 90)), 2)).tolist():
            r = n * random.choice([0.004, 0.008, 0.011])
            canvas.ellipse([x - r, y - r, x + r, y + r], (240, 242, 246))


def _between(a: Colour, b: Colour, t: float) -> tuple[int, int, int]:
    r, g, blue = (int((1 - t) * u + t * v) for u, v in zip(a, b, strict=True))
    return r, g, blue


def _dimmed(colour: Colour, dim: float) -> tuple[int, int, int]:
    r, g, b = (int(min(255, max(0, c * dim))) for c in colour)
    return r, g, b


__all__ = ["PAINTS", "Weather", "background", "falling", "foreground", "shadow", "weather"]
