"""Five kinds of vehicles, each of them different every time: shape, size, colours, load, rider."""

from __future__ import annotations

from typing import Any

import numpy as np

from .solids import DARK, GLASS, METAL, TYRE, Colour, Model

Random = np.random.Generator

PAINTS: list[Colour] = [
    (228, 228, 226), (200, 202, 205), (150, 154, 160), (92, 96, 102), (40, 42, 46),
    (170, 32, 36), (200, 60, 40), (28, 62, 130), (60, 110, 180), (40, 100, 66),
    (110, 130, 80), (196, 164, 60), (214, 122, 44), (120, 76, 48), (96, 60, 120), (216, 206, 176),
]  # fmt: skip
CLOTHES: list[Colour] = [
    (44, 46, 60), (180, 50, 50), (50, 90, 160), (60, 130, 80), (210, 180, 60), (220, 220, 220),
    (120, 80, 140), (90, 80, 70),
]  # fmt: skip
SKIN: list[Colour] = [(224, 180, 150), (190, 140, 105), (140, 95, 70), (90, 62, 48)]
LAMP: Colour = (250, 244, 214)
TAIL: Colour = (176, 30, 30)


def pick(random: Random, colours: list[Colour]) -> Colour:
    """One of the colours, a little changed."""
    base = colours[int(random.integers(len(colours)))]
    r, g, b = (min(255.0, max(0.0, c + random.normal(0, 10))) for c in base)
    return r, g, b


# --- on four wheels and more ----------------------------------------------------------------------


def car(random: Random) -> Model:
    """A saloon, an estate, a hatchback, a compact or an off-roader: a body and a cabin of glass."""
    model, paint = Model(), pick(random, PAINTS)
    form = int(random.integers(5))
    length = (4.7, 4.7, 4.1, 3.5, 4.6)[form] * random.uniform(0.95, 1.05)
    high = form == 4
    sill, waist = (0.32, 1.1) if high else (0.2, random.uniform(0.84, 0.94))
    roof = waist + random.uniform(0.5, 0.6) + 0.1 * high
    half, back, front = random.uniform(0.84, 0.95), -length / 2, length / 2
    hood = front - (0.7 if form == 3 else random.uniform(0.95, 1.3))
    trunk = back + (random.uniform(0.6, 0.9) if form == 0 else 0.05)
    nose, tail = waist - random.uniform(0.12, 0.22), waist - random.uniform(0.0, 0.1)
    outline = [
        (back, sill), (front - 0.06, sill), (front, 0.5), (front - 0.08, nose),
        (hood, waist), (trunk, waist), (back, tail),
    ]  # fmt: skip
    body = model.prism(outline, half, paint)
    model.next_solid()
    lean = random.uniform(0.45, 0.75)
    rake = random.uniform(0.4, 0.6) if form == 0 else random.uniform(0.1, 0.45)
    top = [(trunk, waist), (hood, waist), (hood - lean, roof), (trunk + rake, roof)]
    cabin = model.prism(top, half * 0.97, paint, 0.84)
    glass = (0.1, 0.88)
    model.panel(cabin[1], (0.06, 0.94), glass, GLASS)
    model.panel(cabin[3], (0.1, 0.9), (0.14, 0.9), GLASS)
    for ends in ((0.06, 0.47), (0.52, 0.95)):
        model.sides(cabin, ends, glass, GLASS)
    model.solid -= 1
    _car_lights(model, body)
    radius = 0.37 if high else random.uniform(0.3, 0.34)
    for x in (back + 0.78, front - 0.8):
        model.wheels(x, half + 0.02, radius, METAL if random.random() < 0.7 else DARK)
    return model


def _car_lights(model: Model, body: list[Any]) -> None:
    for ends in ((0.04, 0.26), (0.74, 0.96)):
        model.panel(body[2], ends, (0.2, 0.8), LAMP)
        model.panel(body[6], ends, (0.05, 0.4), TAIL)
    model.panel(body[2], (0.3, 0.7), (0.0, 0.7), DARK)
    model.panel(body[6], (0.38, 0.62), (0.4, 0.65), (225, 225, 215))


def bus(random: Random) -> Model:
    """A city bus, a coach or a double-decker: a long box with rows of windows."""
    model, paint = Model(), pick(random, PAINTS)
    double = random.random() < 0.25
    length = random.uniform(8.5, 12.5)
    half, floor = 1.25, 0.35
    roof = 4.2 if double else random.uniform(2.95, 3.35)
    back, front = -length / 2, length / 2
    body = model.box((back, front), (floor, roof), half, paint)
    accent = pick(random, PAINTS)
    if random.random() < 0.6:
        low = random.uniform(0.04, 0.12)
        model.sides(body, (0, 1), (low, low + random.uniform(0.05, 0.14)), accent)
    rows = ((0.2, 0.44), (0.56, 0.86)) if double else ((random.uniform(0.38, 0.46), 0.84),)
    count = int(random.integers(5, 9))
    edges = np.linspace(0.03, 0.97, count + 1)
    gap = random.choice([0.004, 0.012])
    for low, high in rows:
        for left, right in zip(edges[:-1] + gap, edges[1:] - gap, strict=True):
            model.sides(body, (left, right), (low, high), GLASS, 2)
    for at in (0.86, random.uniform(0.4, 0.55)):  # doors, towards the pavement
        model.panel(body[-2], (at, at + 0.09), (0.03, 0.8), (70, 80, 90), 3)
        model.panel(body[-2], (at + 0.042, at + 0.048), (0.03, 0.8), paint, 4)
    _bus_ends(model, body, double, random)
    for x in (front - 2.4, back + 2.2, *((back + 3.3,) if length > 11 else ())):
        model.wheels(x, half + 0.01, 0.48, METAL)
    return model


def _bus_ends(model: Model, body: list[Any], double: bool, random: Random) -> None:
    model.panel(body[1], (0.06, 0.94), (0.22, 0.48) if double else (0.34, 0.8), GLASS)
    if double:
        model.panel(body[1], (0.06, 0.94), (0.62, 0.9), GLASS)
    sign: Colour = (236, 168, 40) if random.random() < 0.6 else (220, 220, 200)
    low, high = (0.51, 0.58) if double else (0.85, 0.95)
    model.panel(body[1], (0.12, 0.88), (low - 0.01, high + 0.01), (20, 20, 22), 2)
    model.panel(body[1], (0.2, 0.8), (low, high), sign, 3)
    for ends in ((0.05, 0.2), (0.8, 0.95)):
        model.panel(body[1], ends, (0.08, 0.15), LAMP, 2)
        model.panel(body[3], ends, (0.62, 0.82), TAIL, 2)
    model.panel(body[3], (0.15, 0.85), (0.18, 0.42), GLASS)


def truck(random: Random) -> Model:
    """A cab, and behind it a box, a tank, a tipper with its load, or logs on a flat bed."""
    model, paint = Model(), pick(random, PAINTS)
    length, half = random.uniform(6.0, 9.5), random.uniform(1.1, 1.25)
    back, front = -length / 2, length / 2
    cab_length, cab_high = random.uniform(1.7, 2.3), random.uniform(2.3, 2.9)
    cab = front - cab_length
    model.box((back, cab), (0.6, 0.95), half * 0.8, DARK)
    model.next_solid()
    nosed = random.random() < 0.3
    _cab(model, (cab, front), cab_high, half, paint, nosed)
    model.next_solid()
    load = (cab - random.uniform(0.25, 0.5), back)
    (_box, _box, _tank, _tipper, _logs)[int(random.integers(5))](model, load, half, random)
    axles = [front - 0.7 - 0.5 * nosed, back + 0.9]
    if length > 7:
        axles.append(back + 2.0)
    for x in axles:
        model.wheels(x, half + 0.01, 0.52, METAL if random.random() < 0.5 else DARK)
    return model


def _cab(
    model: Model, ends: tuple[float, float], high: float, half: float, paint: Colour, nosed: bool
) -> None:
    back, front = ends
    if nosed:
        hood = model.box((front - 0.4, front + 0.7), (0.5, 1.5), half * 0.8, paint)
        model.panel(hood[1], (0.25, 0.75), (0.2, 0.85), DARK)
        for across in ((0.04, 0.2), (0.8, 0.96)):
            model.panel(hood[1], across, (0.35, 0.6), LAMP)
        model.next_solid()
    slant = 0.12
    outline = [(back, 0.5), (front, 0.5), (front, 1.35), (front - slant, high), (back, high)]
    cab = model.prism(outline, half, paint)
    model.panel(cab[2], (0.07, 0.93), (0.08, 0.82), GLASS)
    for ends_x in ((0.05, 0.24), (0.76, 0.95)):
        model.panel(cab[1], ends_x, (0.15, 0.35), LAMP)
    model.panel(cab[1], (0.28, 0.72), (0.15, 0.75), DARK)
    low, top = 1.4, high - 0.2
    for z, order in ((half + 0.01, 1), (-half - 0.01, -1)):
        corners = [(back + 0.5, low, z), (front - 0.15, low, z), (front - 0.25, top, z),
                   (back + 0.5, top, z)]  # fmt: skip
        model.face(corners[::order], GLASS, 1)


def _box(model: Model, ends: tuple[float, float], half: float, random: Random) -> None:
    white = random.random() < 0.5
    paint: Colour = (226, 226, 222) if white else pick(random, PAINTS)
    high = random.uniform(3.0, 3.7)
    body = model.box((ends[1], ends[0]), (0.95, high), half, paint)
    if random.random() < 0.6:
        low = random.uniform(0.3, 0.5)
        left = random.uniform(0.1, 0.3)
        model.sides(body, (left, left + 0.5), (low, low + 0.25), pick(random, PAINTS))
    model.panel(body[3], (0.49, 0.51), (0.02, 0.98), DARK)
    for x in ((0.03, 0.12), (0.88, 0.97)):
        model.panel(body[3], x, (0.92, 0.99), TAIL)


def _tank(model: Model, ends: tuple[float, float], half: float, random: Random) -> None:
    paint = METAL if random.random() < 0.5 else pick(random, PAINTS)
    radius = random.uniform(0.9, 1.1)
    angles = np.linspace(0, 2 * np.pi, 10, endpoint=False) + np.pi / 10
    ring = [(1.95 + radius * np.sin(a), radius * np.cos(a)) for a in angles]  # y and z
    for (y0, z0), (y1, z1) in zip(ring, ring[1:] + ring[:1], strict=True):
        model.face(
            [(ends[0], y0, z0), (ends[0], y1, z1), (ends[1], y1, z1), (ends[1], y0, z0)], paint
        )
    model.face([(ends[0], y, z) for y, z in ring[::-1]], paint)
    model.face([(ends[1], y, z) for y, z in ring], paint)


def _tipper(model: Model, ends: tuple[float, float], half: float, random: Random) -> None:
    paint, high = pick(random, PAINTS), random.uniform(1.9, 2.4)
    outline = [(ends[1] + 0.3, 0.95), (ends[0] - 0.1, 0.95), (ends[0], high), (ends[1], high)]
    body = model.prism(outline, half, paint)
    for at in np.linspace(0.1, 0.9, 5):
        model.sides(body, (at - 0.015, at + 0.015), (0, 1), DARK)
    model.next_solid()
    heap = pick(random, [(150, 120, 80), (110, 100, 92), (90, 70, 52)])
    x0, x1, top = ends[1] + 0.2, ends[0] - 0.2, high + random.uniform(0.3, 0.7)
    model.prism([(x0, high), (x1, high), (0.3 * x0 + 0.7 * x1, top), (0.6 * x0 + 0.4 * x1, top)],
                half * 0.9, heap, 0.4)  # fmt: skip


def _logs(model: Model, ends: tuple[float, float], half: float, random: Random) -> None:
    wood = pick(random, [(130, 92, 58), (150, 112, 76), (104, 76, 54)])
    model.box((ends[1], ends[0]), (0.95, 1.1), half, DARK)
    for row, count in enumerate((4, 3, 2)):
        for i in range(count):
            model.next_solid()
            y, z = 1.35 + 0.42 * row, (i - (count - 1) / 2) * 0.52
            r = random.uniform(0.2, 0.26)
            x0, x1 = ends[1] - random.uniform(0, 0.3), ends[0] - 0.1
            for dy, dz in ((r, 0), (0, r), (-r, 0), (0, -r)):
                e = (-dz, dy)
                a, b = (y + dy, z + dz), (y + e[0], z + e[1])
                model.face([(x0, *a), (x0, *b), (x1, *b), (x1, *a)], wood)
            model.face([(x0, y + r, z), (x0, y, z - r), (x0, y - r, z), (x0, y, z + r)],
                       (200, 170, 120))  # fmt: skip
    for x in (0.2 * ends[0] + 0.8 * ends[1], 0.8 * ends[0] + 0.2 * ends[1]):
        for z in (half, -half):
            model.rod([(x, 0.95, z), (x, 2.2, z)], DARK, 0.1, 3)


# --- on two wheels --------------------------------------------------------------------------------


def bicycle(random: Random) -> Model:
    """A frame of thin tubes between two thin wheels; sometimes a rider, a basket, a bag."""
    model, paint = Model(), pick(random, PAINTS)
    base, r = random.uniform(0.98, 1.1), random.uniform(0.31, 0.36)
    rear, front, crank = -base / 2, base / 2, -0.08
    tyre = TYRE if random.random() < 0.7 else pick(random, [(120, 80, 50), (200, 200, 196)])
    for x in (rear, front):
        _thin_wheel(model, x, r, tyre, random)
    seat, head = (crank - 0.18, 0.86), (front - 0.2, 0.86)
    step = random.random() < 0.35  # a low frame, to step through
    tubes = [
        ((crank, 0.28), (seat[0], 0.8)), ((crank, 0.28), (head[0] + 0.03, 0.7)),
        ((seat[0] + 0.04, 0.45 if step else 0.74), head), ((rear, r), (crank, 0.28)),
        ((rear, r), (seat[0] + 0.03, 0.72)), ((head[0], 0.95), (front, r)),
    ]  # fmt: skip
    for a, b in tubes:
        model.rod([(*a, 0.0), (*b, 0.0)], paint, 0.045, 2)
    model.rod([(seat[0] - 0.12, 0.89, 0), (seat[0] + 0.1, 0.87, 0)], TYRE, 0.09, 3)
    drop = random.random() < 0.3
    grip = (head[0] + (0.14 if drop else -0.05), 0.9 if drop else 1.03)
    bar = [(*grip, -0.26), (head[0] + 0.02, 0.98, -0.1), (head[0] + 0.02, 0.98, 0.1), (*grip, 0.26)]
    model.rod(bar, DARK, 0.035, 3)
    model.rod([(crank - 0.09, 0.16, 0.09), (crank + 0.09, 0.4, -0.09)], DARK, 0.035, 3)
    if random.random() < 0.3:
        model.next_solid()
        brown = pick(random, [(120, 90, 60), (60, 60, 62)])
        model.box((front - 0.12, front + 0.2), (0.8, 1.04), 0.17, brown)
    if random.random() < 0.45:
        model.next_solid()
        feet = [(crank + 0.09, 0.4), (crank - 0.09, 0.16)]
        _rider(model, random, (seat[0], 0.92), grip, feet, helmet=random.random() < 0.5)
    return model


def _thin_wheel(model: Model, x: float, r: float, tyre: Colour, random: Random) -> None:
    angles = np.linspace(0, 2 * np.pi, 19)
    ring = [(x + r * np.cos(a), r + r * np.sin(a), 0.0) for a in angles]
    model.rod(ring, tyre, 0.05, 1)
    for a in np.linspace(0, np.pi, 4, endpoint=False) + random.uniform(0, 1):
        c, s = r * np.cos(a), r * np.sin(a)
        model.rod([(x - c, r - s, 0.0), (x + c, r + s, 0.0)], (140, 140, 142), 0.008)


def motorcycle(random: Random) -> Model:
    """Thick wheels, an engine between them, a tank and a seat above; mostly with a rider."""
    model, paint = Model(), pick(random, PAINTS)
    base, r = random.uniform(1.35, 1.5), random.uniform(0.29, 0.33)
    rear, front = -base / 2, base / 2
    for x, wide in ((rear, 0.17), (front, 0.12)):
        _thick_wheel(model, x, r, wide)
    head = (front - 0.32, random.uniform(0.86, 0.94))
    for z in (-0.08, 0.08):
        model.rod([(*head, z), (front, r, z)], METAL, 0.06, 2)
        model.rod([(rear, r, z), (-0.05, 0.42, z)], DARK, 0.06, 1)
    engine = [(-0.3, 0.22), (0.28, 0.2), (0.36, 0.55), (-0.32, 0.58)]
    block = model.prism(engine, 0.19, (84, 84, 90))
    model.sides(block, (0.2, 0.8), (0.15, 0.6), METAL)
    tank = [(-0.12, 0.6), (0.3, 0.62), (head[0] + 0.02, 0.84), (0.2, 0.95), (-0.1, 0.82)]
    model.prism(tank, 0.15, paint)
    tail = random.uniform(0.78, 0.95)
    model.prism([(-0.12, 0.64), (-0.1, 0.8), (rear - 0.18, tail), (rear - 0.1, 0.68)], 0.13,
                TYRE if random.random() < 0.6 else paint)  # fmt: skip
    model.rod([(0.2, 0.25, 0.2), (rear + 0.1, 0.3, 0.2), (rear - 0.25, 0.42, 0.22)], METAL, 0.1, 3)
    arc = [(front + (r + 0.04) * np.cos(a), r + (r + 0.04) * np.sin(a), 0.0)
           for a in np.linspace(0.5, 2.6, 6)]  # fmt: skip
    model.rod(arc, paint, 0.09, 3)
    grip = (head[0] - 0.12, head[1] + random.uniform(0.05, 0.22))
    model.rod([(*grip, -0.36), (*head, -0.08), (*head, 0.08), (*grip, 0.36)], DARK, 0.05, 3)
    _front(model, head, paint, random)
    model.rod([(rear - 0.2, tail - 0.06, -0.06), (rear - 0.2, tail - 0.06, 0.06)], TAIL, 0.08, 3)
    if random.random() < 0.6:
        model.next_solid()
        _rider(model, random, (-0.2, 0.86), grip, [(-0.05, 0.3), (-0.05, 0.3)], helmet=True)
    return model


def _front(model: Model, head: tuple[float, float], paint: Colour, random: Random) -> None:
    x, y = head
    if random.random() < 0.4:  # a fairing
        model.next_solid()
        model.prism([(x - 0.1, 0.45), (x + 0.22, 0.5), (x + 0.3, y - 0.05), (x, y + 0.25)], 0.2,
                    paint, 0.6)  # fmt: skip
    model.rod([(x + 0.2, y - 0.06, 0.0), (x + 0.26, y - 0.06, 0.0)], LAMP, 0.16, 4)


def _thick_wheel(model: Model, x: float, r: float, wide: float) -> None:
    mid = r - wide / 2
    angles = np.linspace(0, 2 * np.pi, 17)
    for z in (-wide / 3, wide / 3):
        ring = [(x + mid * np.cos(a), r + mid * np.sin(a), z) for a in angles]
        model.rod(ring, TYRE, wide, 1)
    model.disc(x, r, 0.0, r * 0.34, METAL, 2)


def _rider(
    model: Model, random: Random, seat: tuple[float, float], grip: tuple[float, float],
    feet: list[tuple[float, float]], helmet: bool,
) -> None:  # fmt: skip
    coat, legs = pick(random, CLOTHES), pick(random, CLOTHES)
    skin = pick(random, SKIN)
    lean = 0.45 * (grip[0] - seat[0])
    neck = (seat[0] + lean, seat[1] + random.uniform(0.5, 0.58))
    for z, (x, y) in zip((-0.14, 0.14), feet, strict=True):
        knee = (max(x, seat[0]) + 0.22, (seat[1] + y) / 2 + 0.12)
        model.rod([(*seat, z * 0.6), (*knee, z), (x, y, z)], legs, 0.14, 1)
        model.rod([(x - 0.04, y, z), (x + 0.14, y, z)], TYRE, 0.09, 2)
    model.rod([(*seat, 0.0), (*neck, 0.0)], coat, 0.32, 3)
    for z in (-0.2, 0.2):
        elbow = ((neck[0] + grip[0]) / 2, (neck[1] + grip[1]) / 2 - 0.08)
        model.rod([(neck[0], neck[1] - 0.04, z), (*elbow, z * 1.3), (*grip, z * 1.2)], coat, 0.1, 4)
    x, y = neck[0] + 0.06, neck[1] + 0.2
    radius = 0.14 if helmet else 0.11
    top = pick(random, PAINTS) if helmet else skin
    for dz in (-0.06, 0.0, 0.06):
        model.disc(x, y, dz, radius, top, 5)
    model.rod([(x - 0.02, y, 0), (x + 0.02, y, 0)], top, 2 * radius, 6)
    if helmet:
        model.rod([(x + 0.08, y - 0.03, -0.08), (x + 0.08, y - 0.03, 0.08)], skin, 0.09, 7)


MODELS = {
    "bicycle": bicycle,
    "motorcycle": motorcycle,
    "car": car,
    "bus": bus,
    "truck": truck,
}
