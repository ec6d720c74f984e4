"""The pictures of README.md: `python viz/gallery.py` writes them into `viz/gallery/`.

It needs the extras viz, plots and data.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from tinygrad_course_viz import draw_backward, draw_graph, draw_scalars, lessons, watch

import tinygrad_course as tc
from tinygrad_course import Scalar, data, nn, optim

HERE = Path(__file__).parent
F = nn.functional


def neuron() -> tuple[Any, dict[str, Any]]:
    """A neuron of one input, and its error."""
    x, w, b = Scalar(2.0), Scalar(-0.5), Scalar(1.25)
    y = (w * x + b).tanh()
    return (y - x) * y, {"x": x, "w": w, "b": b, "y": y}


def graphs() -> Iterator[tuple[str, Any]]:
    """Graphs, whole and collapsed."""
    loss, names = neuron()
    loss.backward(retain_graph=True)
    yield "neuron.svg", draw_graph(loss, names)

    lenet = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip
    with watch(lenet) as calls:
        loss = F.cross_entropy(lenet(tc.rand(4, 1, 28, 28)), tc.tensor([0, 1, 2, 3]))
    yield "lenet.svg", draw_graph(loss, calls, depth=0)

    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 12)
    with watch(encoder) as calls:
        loss = encoder(tc.randn(2, 5, 16)).sum()
    yield "transformer.svg", draw_graph(loss, calls, depth=0, collapse="repeats")

    cell, h, c = nn.LSTMCell(8, 16), tc.zeros(3, 16), tc.zeros(3, 16)
    for x in tc.randn(100, 3, 8):
        h, c = cell(x, (h, c))
    yield "lstm.svg", draw_graph(h.sum(), cell)


def measures() -> Iterator[tuple[str, Any]]:
    """Overlays: where gradients fade, and where a NaN comes from."""
    layers = [nn.Sequential(nn.Linear(8, 8), nn.Sigmoid()) for _ in range(5)]
    deep = nn.Sequential(*layers)
    with watch(deep) as calls:
        loss = deep(tc.randn(4, 8)).square().mean()
    yield "gradient.svg", draw_graph(loss, calls, depth=0, overlay="gradient")
    x = tc.tensor([2.0, 0.0, -1.0], requires_grad=True)
    yield "nan.svg", draw_graph((x.log() * x + 1.0).sum(), {"x": x}, overlay="value")


def steps() -> Iterator[tuple[str, Any]]:
    """A state of a backward pass, and a matrix product number by number."""
    yield "step.svg", list(draw_backward(*neuron()).frames())[3]
    x = tc.tensor([[1.0, 2.0]], requires_grad=True)
    w = tc.tensor([[3.0], [4.0]], requires_grad=True)
    yield "scalars.svg", draw_scalars(x @ w, {"x": x, "w": w})


def rings() -> Iterator[tuple[str, Any]]:
    """A network that learns a disc inside a ring."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    angle, radius = rng.uniform(0, 2 * np.pi, 200), 0.6 + labels + rng.normal(0, 0.15, 200)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype(np.float32)
    x, y = tc.tensor(points), tc.tensor(labels.astype(np.float32))
    model = nn.Sequential(
        nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1)
    )
    curves: dict[str, list[float]] = {}
    for name, lr in (("Adam, 0.01", 0.01), ("Adam, 0.001", 0.001)):
        tc.manual_seed(0)
        for layer in model[::2]:
            layer.reset_parameters()
        optimizer = optim.Adam(model.parameters(), lr=lr)
        curves[name] = []
        for _ in range(150):
            loss = F.binary_cross_entropy_with_logits(model(x).reshape(-1), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            curves[name].append(loss.item())
        if lr == 0.01:
            said = lambda p: model(tc.tensor(p)).sigmoid().reshape(-1)
            yield "boundary.png", lessons.boundary(said, points, labels, title="disc and ring")
            hidden = {f"after layer {k}": model[:k](x) for k in (2, 4)}
            yield "histograms.png", lessons.histograms(hidden, title="activations")
    yield "curves.png", lessons.curves(curves, xlabel="step", ylabel="loss", log=True)


def descent() -> Iterator[tuple[str, Any]]:
    """Two optimisers in a narrow valley."""
    ways = {}
    for name, make in {
        "SGD": lambda p: optim.SGD(p, lr=0.03),
        "momentum": lambda p: optim.SGD(p, lr=0.03, momentum=0.8),
    }.items():
        w = nn.Parameter(tc.tensor([-1.8, 1.0]))
        optimizer = make([w])
        way = [w.tolist()]
        for _ in range(40):
            loss = 0.5 * w[0] ** 2 + 14 * w[1] ** 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            way.append(w.tolist())
        ways[name] = way
    yield (
        "surface.png",
        lessons.surface(
            lambda u, v: 0.5 * u * u + 14 * v * v, ways, xlim=(-2, 0.5), ylim=(-1.1, 1.1)
        ),
    )


def digits() -> Iterator[tuple[str, Any]]:
    """Softmax regression on real digits: its weights as pictures, its mistakes, its edges."""
    train, test = data.train_test_split(
        data.datasets.digits(size=8), test=0.25, generator=tc.Generator(0)
    )
    train, test = data.standardise(train, test)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for _ in range(10):
        for x, y in data.DataLoader(train, 64, shuffle=True):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    x, y = next(iter(data.DataLoader(test, len(test))))
    taken = model(x).argmax(1)
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (y.numpy(), taken.numpy()), 1)
    wrong = np.flatnonzero((taken != y).numpy())[:8]
    examples = [
        (x[int(i), 0], f"{y[int(i)].item()}, taken for {taken[int(i)].item()}", True) for i in wrong
    ]
    yield "confusion.png", lessons.confusion(counts, range(10), examples=examples)
    weights = model[1].weight.reshape(10, 1, 8, 8)
    yield "filters.png", lessons.filters(weights, title="what each digit's weights look for")
    kernels = np.array([[[-1, 0, 1]] * 3, [[-1] * 3, [0] * 3, [1] * 3]], np.float32)
    maps = F.conv2d(x[:1], tc.tensor(kernels[:, None]))
    yield "feature_maps.png", lessons.feature_maps(maps, title="edges: upright, level")
    image = np.round(4 * (x[0, 0].numpy() > 0))[1:7, 1:7]
    yield "sliding.png", lessons.sliding(image, kernels[0], padding=1, stride=2, step=4)


def front() -> Iterator[tuple[str, Any]]:
    """What the example of the front page draws."""
    text = (HERE.parent / "README.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    with (
        tempfile.TemporaryDirectory() as folder,
        chdir(folder),
        redirect_stdout(open(os.devnull, "w")),
    ):
        exec(code, {})
        yield "xor.svg", Path("xor.svg").read_text(encoding="utf-8")


PICTURES: list[Callable[[], Iterator[tuple[str, Any]]]] = [
    graphs, measures, steps, rings, descent, digits, front,
]  # fmt: skip


def main(folder: Path = HERE / "gallery") -> list[Path]:
    """Write every picture, and say how large they are together."""
    folder.mkdir(exist_ok=True)
    paths = []
    for pictures in PICTURES:
        tc.manual_seed(0)
        for name, picture in pictures():
            path = folder / name
            if isinstance(picture, str):
                path.write_text(picture, encoding="utf-8")
            elif hasattr(picture, "save"):
                picture.save(path)
            else:
                path.write_bytes(lessons.png(picture))
            paths.append(path)
    return paths


if __name__ == "__main__":
    written = main()
    total = sum(path.stat().st_size for path in written)
    print(f"wrote {len(written)} pictures, {total / 1024:,.0f} KiB")
