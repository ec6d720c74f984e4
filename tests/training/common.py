"""A model, data and a run that are small enough for many tests."""

from __future__ import annotations

import numpy as np

import tinygrad_course as tc
from tinygrad_course import nn, optim
from tinygrad_course.data import DataLoader, TensorDataset
from tinygrad_course.training import fit


def blobs(n=60, seed=0, noise=0.3):
    """Three classes, well apart unless there is much noise."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = random.normal(0, noise, (n, 2)) + np.array([[0, 2], [2, -2], [-2, -2]])[y]
    return TensorDataset(x.astype(np.float32), y)


def parts(seed=0, lr=0.05):
    """A model with buffers and dropout, and its optimiser."""
    tc.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 3)
    )
    return model, optim.Adam(model.parameters(), lr=lr)


def run(model, optimizer, epochs=4, noise=0.3, **how):
    """Fit with everything that has state; shuffled batches from the global generator."""
    train = how.pop("train", None) or DataLoader(blobs(noise=noise), 16, shuffle=True)
    how.setdefault("validation", DataLoader(blobs(30, 1, noise), 7))
    loss = how.pop("loss", None) or nn.CrossEntropyLoss()
    return fit(model, loss, optimizer, train, epochs=epochs, progress=False, **how)


def weights(model):
    """Everything in the model, as bytes."""
    return {name: value.numpy().tobytes() for name, value in model.state_dict().items()}
