"""Vehicles are built of these: prisms, panels, wheels and rods, and drawn as a camera sees them.

Metres; x points forward, y up, z to the vehicle's right. The origin is on the ground.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Colour = tuple[float, float, float]  # 0 to 255
Point = tuple[float, float]

GLASS: Colour = (52.0, 66.0, 80.0)
TYRE: Colour = (26.0, 26.0, 28.0)
DARK: Colour = (48.0, 48.0, 52.0)
METAL: Colour = (150.0, 152.0, 156.0)
CIRCLE = [(math.cos(a), math.sin(a)) for a in np.linspace(0, 2 * math.pi, 14, endpoint=False)]

FACE, DISC, ROD = range(3)


class Part(NamedTuple):
    """Something to draw.

    Attributes:
        kind: FACE is seen from its front only, DISC from both sides, ROD is a line.
        points: its corners; of a face in counter-clockwise order seen from its front.
        colour: by full light.
        solid: parts of one solid are drawn together, the farthest solid first.
        lift: within a solid, parts with a larger lift are drawn later.
        width: of a rod, in metres.
    """

    kind: int
    points: Sequence[tuple[float, float, float]]
    colour: Colour
    solid: int
    lift: int
    width: float


class Model:
    """A vehicle under construction."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.solid = 0

    def next_solid(self) -> None:
        """What follows is another solid."""
        self.solid += 1

    def face(self, points: Any, colour: Colour, lift: int = 0) -> None:
        """A flat polygon."""
        self.parts.append(Part(FACE, points, colour, self.solid, lift, 0.0))

    def rod(self, points: Any, colour: Colour, width: float, lift: int = 0) -> None:
        """A line through points."""
        self.parts.append(Part(ROD, points, colour, self.solid, lift, width))

    def disc(self, x: float, y: float, z: float, radius: float, colour: Colour, lift: int) -> None:
        """A disc across z, seen from both sides."""
        points = [(x + radius * c, y + radius * s, z) for c, s in CIRCLE]
        self.parts.append(Part(DISC, points, colour, self.solid, lift, 0.0))

    def prism(
        self, outline: Sequence[Point], half: float, colour: Colour, narrower: float = 1.0
    ) -> list[Any]:
        """An outline (x, y), counter-clockwise, drawn out to both sides.

        Args:
            outline: the corners.
            half: half of its width along z.
            colour: of all faces.
            narrower: the factor of the width at the highest corner.

        Returns:
            The face of each edge, from its first corner to its second, then the right and the left
            side, each from its first corner that is low: the second one of the outline on the left.
        """
        low, high = min(y for _, y in outline), max(y for _, y in outline)
        slope = (1 - narrower) / (high - low)
        right = [(x, y, half * (1 - slope * (y - low))) for x, y in outline]
        left = [(x, y, -z) for x, y, z in right]
        faces: list[Any] = []
        for i in range(len(outline)):
            j = (i + 1) % len(outline)
            faces.append([right[i], left[i], left[j], right[j]])
        faces += [right, [left[1], left[0], *left[:1:-1]]]
        for points in faces:
            self.face(points, colour)
        return faces

    def box(
        self, x: tuple[float, float], y: tuple[float, float], half: float, colour: Colour
    ) -> list[Any]:
        """A box. Its faces: below, front, above, back, right, left."""
        outline = [(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])]
        return self.prism(outline, half, colour)

    def panel(
        self, face: Any, across: tuple[float, float], along: tuple[float, float], colour: Colour,
        lift: int = 1,
    ) -> None:  # fmt: skip
        """A part of a face with four corners a, b, c, d: fractions of a → b and of a → d."""
        a, b, c, d = face
        corners = []
        for u, v in ((0, 0), (1, 0), (1, 1), (0, 1)):
            s, t = across[u], along[v]
            weights = ((1 - t) * (1 - s), (1 - t) * s, t * s, t * (1 - s))
            corners.append(
                tuple(
                    weights[0] * p + weights[1] * q + weights[2] * r + weights[3] * w
                    for p, q, r, w in zip(a, b, c, d, strict=True)
                )
            )
        self.face(corners, colour, lift)

    def sides(
        self, faces: Any, across: tuple[float, float], along: tuple[float, float], colour: Colour,
        lift: int = 1,
    ) -> None:  # fmt: skip
        """A panel on both sides of a prism: fractions from its back to its front, and upward."""
        self.panel(faces[-2], across, along, colour, lift)
        self.panel(faces[-1], (1 - across[1], 1 - across[0]), along, colour, lift)

    def wheels(self, x: float, half: float, radius: float, rim: Colour = METAL) -> None:
        """A pair of wheels; each is drawn after the body if its outer side is seen, else before."""
        for side in (1, -1):
            for r, colour, lift in ((radius, TYRE, 1), (0.55 * radius, rim, 2)):
                points = [(x + r * c, radius + r * s, side * half) for c, s in CIRCLE[::side]]
                wheel = -1 if side > 0 else -2  # solids of their own
                self.parts.append(Part(DISC, points, colour, wheel, lift, 0.0))


# --- seeing ---------------------------------------------------------------------------------------


class Camera:
    """Looks at a point from a direction.

    Args:
        azimuth: 0 sees the front, π/2 the right side.
        elevation: above the ground.
        distance: from the point.
        target: the point.
    """

    def __init__(self, azimuth: float, elevation: float, distance: float, target: Any) -> None:
        ca, sa = math.cos(azimuth), math.sin(azimuth)
        ce, se = math.cos(elevation), math.sin(elevation)
        self.back = np.array([ca * ce, se, sa * ce])  # from the target to the camera
        self.axes = np.array([[sa, 0.0, -ca], [-ca * se, ce, -sa * se], -self.back])
        self.place = np.asarray(target) + distance * self.back
        self.elevation = elevation
        self.rows = self.axes.tolist()  # plain numbers are faster for single points
        self.at: list[float] = self.place.tolist()
        self.zoom, self.shift = 1.0, np.zeros(2)

    def fit(self, points: Array, width: float, height: float, centre: Point) -> None:
        """Zoom so that the points fill a width or a height of the picture, around a centre."""
        flat = self.seen(points)[:, :2]
        low, high = flat.min(0), flat.max(0)
        extent = np.maximum(high - low, 1e-9)
        self.shift = self.shift * 0.0
        self.zoom = float(min(width / extent[0], height / extent[1]))
        self.shift = np.array(centre) - self.zoom * (low + high) / 2

    def seen(self, points: Array) -> Array:
        """Places in the picture (x to the right, y down) and depths, (n, 3)."""
        right, up, depth = self.axes @ (points - self.place).T
        depth = np.maximum(depth, 0.1)
        x = self.zoom * right / depth + self.shift[0]
        y = -self.zoom * up / depth + self.shift[1]
        return np.stack([x, y, depth], 1)

    def turned(self, x: float, y: float, z: float) -> list[float]:
        """A point as it lies before the camera: to the right, up, and how deep."""
        x, y, z = x - self.at[0], y - self.at[1], z - self.at[2]
        return [a * x + b * y + c * z for a, b, c in self.rows]

    @property
    def horizon(self) -> float:
        """The height in the picture at which the ground ends."""
        return float(-self.zoom * math.tan(self.elevation) + self.shift[1])


class Light:
    """The sun and the sky: how bright a face is, by where it faces."""

    def __init__(self, towards: Array, sun: float, sky: float, tint: Array) -> None:
        self.towards, self.sun, self.sky, self.tint = towards, sun, sky, tint

    def on(self, normals: Array) -> Array:
        """Factors for each colour, (n, 3)."""
        direct = np.maximum(normals @ self.towards, 0.0)
        above = 0.5 + 0.5 * normals[:, 1]
        return (self.sky * (0.55 + 0.45 * above) + self.sun * direct)[:, None] * self.tint


def draw(model: Model, camera: Camera, light: Light, canvas: Any) -> None:
    """Paint the parts that face the camera, from the farthest to the nearest."""
    parts = model.parts
    points = np.array([p for part in parts for p in part.points])
    ends = np.cumsum([len(part.points) for part in parts])
    starts = ends - [len(part.points) for part in parts]
    places = camera.seen(points)
    depths = np.add.reduceat(places[:, 2], starts) / (ends - starts)
    normals = _normals(parts, points, starts, ends)
    outwards = ((points[starts] - camera.place) * normals).sum(1) < 0
    colours = np.array([part.colour for part in parts]) * light.on(normals)
    fills = np.clip(colours, 0, 255).astype(int).tolist()
    flat = places[:, :2].tolist()
    for i in _order(parts, depths, outwards):
        part, corners = parts[i], flat[starts[i] : ends[i]]
        fill = tuple(fills[i])
        if part.kind != ROD:
            canvas.polygon([tuple(c) for c in corners], fill)
            continue
        width = max(1, round(part.width * camera.zoom / depths[i]))
        canvas.line([tuple(c) for c in corners], fill, width, "curve" if width > 3 else None)


def _normals(parts: list[Part], points: Array, starts: Array, ends: Array) -> Array:
    a, b, c = points[starts], points[starts + 1], points[np.minimum(starts + 2, ends - 1)]
    normals = np.cross(b - a, c - a)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    rods = (np.array([part.kind for part in parts]) == ROD) | (length[:, 0] < 1e-9)
    normals = normals / np.maximum(length, 1e-9)
    normals[rods] = (0.0, 0.7, 0.0)
    return normals


def _order(parts: list[Part], depths: Array, outwards: Array) -> list[int]:
    """Wheels of the far side, then the solids from far to near, then wheels of the near side."""
    sums: dict[int, tuple[float, int]] = {}
    for part, depth in zip(parts, depths.tolist(), strict=True):
        total, count = sums.get(part.solid, (0.0, 0))
        sums[part.solid] = (total + depth, count + 1)
    chosen = []
    for i, part in enumerate(parts):
        if part.kind == FACE and not outwards[i]:
            continue
        layer = 0 if part.solid >= 0 else 1 if outwards[i] else -1
        total, count = sums[part.solid]
        chosen.append(((layer, -total / count, part.lift, -depths[i]), i))
    return [i for _, i in sorted(chosen)]
