"""The training loop on models small enough to check by hand."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import tinygrad_course as tc
from tinygrad_course import nn, optim
from tinygrad_course.data import DataLoader, TensorDataset
from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.training import Epoch, History, evaluate, fit


def blobs(n=60, seed=0):
    """Three classes, well apart."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = random.normal(0, 0.3, (n, 2)) + np.array([[0, 2], [2, -2], [-2, -2]])[y]
    return TensorDataset(x.astype(np.float32), y)


def trained(seed=0, **how):
    tc.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 3))
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    train = DataLoader(blobs(), 16, shuffle=True)
    how = {"validation": DataLoader(blobs(30, 1), 7), "progress": False, "epochs": 6} | how
    return model, fit(model, nn.CrossEntropyLoss(), optimizer, train, **how)


def test_a_tiny_model_learns():
    model, history = trained()
    assert [row.epoch for row in history] == list(range(1, 7))
    assert history[-1].loss < history[0].loss / 2
    assert history[-1].val_accuracy == evaluate(model, DataLoader(blobs(30, 1), 7)).accuracy == 1
    assert all(row.seconds > 0 for row in history)
    assert len(history.table().splitlines()) == 7


def test_a_seed_decides_everything():
    def numbers(seed):
        model, history = trained(seed)
        state = {name: value.tolist() for name, value in model.state_dict().items()}
        return state, history.column("loss"), history.column("val_loss")

    assert numbers(4) == numbers(4)
    assert numbers(4) != numbers(5)


def test_modes_are_kept_and_right():
    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.seen = set()

        def forward(self, x):
            self.seen.add((self.training, tc.is_grad_enabled()))
            return x

    spy = Spy()
    model = nn.Sequential(spy, nn.Linear(2, 3))
    model.eval()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(blobs(), 30)
    fit(model, nn.CrossEntropyLoss(), optimizer, loader, loader, 1, progress=False)
    assert spy.seen == {(True, True), (False, False)}
    assert not model.training
    model.train()
    evaluate(model, loader)
    assert model.training
    assert spy.training
    with pytest.raises(ZeroDivisionError):
        evaluate(model, loader, lambda out, y: 1 / 0)
    assert model.training


def test_evaluate_by_hand():
    x = np.array([[2, 0, 0], [0, 3, 0], [0, 1, 0], [0, 0, 5]], np.float32)
    y = np.array([0, 1, 2, 2])
    found = evaluate(lambda x: x, DataLoader(TensorDataset(x, y), 3))
    assert found.predictions.tolist() == [0, 1, 1, 2]
    assert (found.correct, found.accuracy) == (3, 0.75)
    assert found.confusion.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    np.testing.assert_allclose(found.probabilities, p, rtol=1e-6)
    assert found.loss == pytest.approx(-np.log(p[np.arange(4), y]).mean(), rel=1e-6)


def test_regression_has_no_accuracy():
    x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    loader = DataLoader(TensorDataset(x, 3 * x), 5)
    model = nn.Linear(1, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.3)
    history = fit(model, nn.MSELoss(), optimizer, loader, loader, 20, progress=False)
    assert history[-1].accuracy is None
    assert history[-1].val_accuracy is None
    assert history[-1].val_loss < 1e-3
    assert model.weight.item() == pytest.approx(3, abs=0.1)


def test_callbacks_end_training():
    seen = []
    history = trained(callbacks=[lambda h: seen.append(len(h)), lambda h: len(h) == 2])[1]
    assert len(history) == 2
    assert seen == [1, 2]


def test_a_loss_that_explodes_is_reported():
    x = np.ones((8, 2), np.float32)
    model = nn.Linear(2, 2)
    optimizer = optim.SGD(model.parameters(), lr=1e9)
    loader = DataLoader(TensorDataset(x, -x), 1)
    with pytest.raises(FloatingPointError, match=r"epoch 1/10.*smaller learning rate"):
        fit(model, nn.MSELoss(), optimizer, loader, progress=False)


def test_nothing_to_train_on():
    model = nn.Linear(2, 3)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    empty = DataLoader(TensorDataset(np.zeros((0, 2), np.float32), np.zeros(0, int)), 4)
    with pytest.raises(OptionError, match="no batches"):
        fit(model, nn.CrossEntropyLoss(), optimizer, empty, progress=False)
    with pytest.raises(OptionError, match="no batches"):
        evaluate(model, empty)
    with pytest.raises(OptionError, match="at least 1"):
        fit(model, nn.CrossEntropyLoss(), optimizer, empty, epochs=0)
    with pytest.raises(OptionError, match="pair"):
        evaluate(model, [tc.ones(2)])


def test_the_bar_shows_loss_and_accuracy(capsys):
    pytest.importorskip("tqdm")
    trained(epochs=2, progress=True)
    shown = capsys.readouterr().err
    assert "epoch 2/2: 100%" in shown
    assert "loss 0." in shown
    assert "held-out" in shown


def test_without_tqdm_a_line_is_printed(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    trained(epochs=2, progress=True)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("epoch 1/2: loss ")
    assert "accuracy" in second
    trained(epochs=1, progress=False)
    assert capsys.readouterr().out == ""


def test_history_columns():
    rows = History([Epoch(1, 0.5, None, None, None, 1.0), Epoch(2, 0.25, None, None, None, 1.0)])
    assert rows.column("loss") == [0.5, 0.25]
    assert rows.columns == ["epoch", "loss", "seconds"]
    with pytest.raises(OptionError, match="no column 'val_f1'; there are epoch, loss, seconds"):
        rows.column("val_f1")


def test_an_empty_batch_is_refused():
    model = nn.Linear(4, 3)
    batches = [(tc.zeros(0, 4), tc.zeros(0, dtype="int64"))]
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for use in (
        lambda: fit(model, nn.CrossEntropyLoss(), optimizer, batches, epochs=1, progress=False),
        lambda: evaluate(model, batches),
    ):
        with pytest.raises(ShapeError, match=r"empty batch.*\(0, 4\)"):
            use()
