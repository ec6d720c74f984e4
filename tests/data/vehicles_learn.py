"""Feature learning, shown: a small CNN tells the vehicles apart, logistic regression does not.

    python -m tests.data.vehicles_learn [--train 8000] [--test 2000] [--epochs 8]

Both see the same scenes of 64 × 64 pixels and are measured on scenes of another seed. The last line
says whether the claim holds: at least 95 % for the CNN, at most 70 % for logistic regression.
"""

from __future__ import annotations

import argparse
import math
import sys
import time

import numpy as np

import tinygrad_course as tc
from tinygrad_course import nn, optim
from tinygrad_course.data import (
    Compose,
    DataLoader,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    Transformed,
)
from tinygrad_course.data.datasets import Vehicles

ENOUGH, TOO_MUCH = 0.95, 0.70
NORMALIZE = Normalize(0.4, 0.22)


def small_cnn() -> nn.Module:
    """Four layers of filters, each with half the height and width of the one before it."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=2, padding=2), nn.ReLU(),  # (N, 16, 32, 32)
        nn.Conv2d(16, 32, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(64), nn.ReLU(),
        nn.Conv2d(64, 96, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(96), nn.ReLU(),
        nn.Flatten(), nn.Linear(96 * 16, 96), nn.ReLU(), nn.Linear(96, 5),
    )  # fmt: skip


def logistic_regression() -> nn.Module:
    """One layer of neurons on the pixels."""
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 5))


def train(model, dataset, epochs, lr, decay):
    """Adam; the learning rate falls to zero along half a cosine wave."""
    loader = DataLoader(dataset, 64, shuffle=True, drop_last=True)
    optimizer = optim.AdamW(model.parameters(), lr=lr, weight_decay=decay)
    steps, step = epochs * len(loader), 0
    for epoch in range(epochs):
        start, losses = time.perf_counter(), []
        for images, labels in loader:
            optimizer.param_groups[0]["lr"] = lr * (1 + math.cos(math.pi * step / steps)) / 2
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            step += 1
        seconds = time.perf_counter() - start
        print(f"  epoch {epoch + 1:2}: loss {np.mean(losses):.3f}, {seconds:.1f} s", flush=True)


def confusion(model, dataset):
    """Counts; row: the true kind, column: the predicted one."""
    model.eval()
    counts = np.zeros((5, 5), np.int64)
    with tc.no_grad():
        for images, labels in DataLoader(dataset, 200):
            np.add.at(counts, (labels.numpy(), model(images).numpy().argmax(1)), 1)
    return counts


def main(arguments):
    start = time.perf_counter()
    scenes = Vehicles(arguments.train, seed=0)
    held_out = Transformed(Vehicles(arguments.test, seed=1), NORMALIZE)
    augment = Compose([RandomCrop(64, padding=4, padding_mode="edge"), RandomHorizontalFlip()])
    plain, changed = (
        Transformed(scenes, NORMALIZE),
        Transformed(scenes, Compose([augment, NORMALIZE])),
    )
    found = {}
    for name, make, dataset, how in (
        ("logistic regression", logistic_regression, plain, (20, 3e-4, 0.1)),
        ("small CNN", small_cnn, changed, (arguments.epochs, 2e-3, 0.02)),
    ):
        tc.manual_seed(0)
        model = make()
        print(name)
        train(model, dataset, *how)
        counts = confusion(model, held_out)
        found[name] = np.trace(counts) / counts.sum()
        for kind, row in zip(scenes.classes, counts, strict=True):
            print(f"  {kind:>10} {row}")
        print(f"{name}: {found[name]:.1%} of {counts.sum()} held-out scenes", flush=True)
    right = found["small CNN"] >= ENOUGH and found["logistic regression"] <= TOO_MUCH
    seconds = time.perf_counter() - start
    print(f"the claim {'holds' if right else 'FAILS'} ({seconds:.0f} s)")
    return 0 if right else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=8000)
    parser.add_argument("--test", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=8)
    sys.exit(main(parser.parse_args()))
