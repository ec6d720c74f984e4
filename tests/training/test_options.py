"""What fit can do besides the plain loop: schedules, clipping, penalties, metrics, stopping."""

from __future__ import annotations

import copy
import math
import signal
import sys
import threading

import numpy as np
import pytest

import tinygrad_course as tc
from tests.training.common import blobs, parts, run, weights
from tinygrad_course import nn, optim
from tinygrad_course.data import DataLoader, TensorDataset
from tinygrad_course.errors import OptionError
from tinygrad_course.optim import lr_scheduler
from tinygrad_course.training import (
    Callback,
    EarlyStopping,
    Epoch,
    History,
    TensorBoard,
    evaluate,
    fit,
    l2_penalty,
)


def test_schedules_after_epochs_and_after_batches():
    model, optimizer = parts(lr=0.1)
    history = run(model, optimizer, scheduler=lr_scheduler.ExponentialLR(optimizer, 0.5))
    np.testing.assert_allclose(history.column("lr"), [0.1, 0.05, 0.025, 0.0125])
    model, optimizer = parts(lr=0.1)
    halving = lr_scheduler.ExponentialLR(optimizer, 0.5)
    history = run(model, optimizer, batch_scheduler=halving)  # four batches an epoch
    np.testing.assert_allclose(history.column("lr"), [0.1 / 2 ** (4 * e) for e in range(1, 5)])


def test_a_plateau_sees_the_validation_loss():
    model, optimizer = parts(lr=0.0)
    eager = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    optimizer.param_groups[0]["lr"] = 0.1
    seen = []
    eager.step = lambda metric: seen.append(metric)
    history = run(model, optimizer, scheduler=[eager])
    assert seen == history.column("val_loss")
    seen.clear()
    assert run(model, optimizer, scheduler=[eager], validation=None).column("loss") == seen


class Lengths(Callback):
    """Notes the norm of the gradients that the optimiser was given."""

    def __init__(self):
        self.seen = []

    def on_batch_end(self, run):
        grads = [p.grad.numpy().ravel() for p in run.model.parameters()]
        self.seen.append(np.concatenate(grads))


def test_gradients_are_clipped():
    free, norm, value = Lengths(), Lengths(), Lengths()
    run(*parts(), callbacks=[free], noise=3.0)
    run(*parts(), callbacks=[norm], clip_norm=0.1, noise=3.0)
    run(*parts(), callbacks=[value], clip_value=0.01, noise=3.0)
    assert max(map(np.linalg.norm, free.seen)) > 0.2
    assert max(map(np.linalg.norm, norm.seen)) == pytest.approx(0.1, rel=1e-4)
    assert max(abs(g).max() for g in value.seen) == pytest.approx(0.01)


def test_a_penalty_shrinks_weights_and_is_not_in_the_loss():
    free, bound = parts()[0], parts()[0]
    run(free, optim.SGD(free.parameters(), lr=0.1))
    history = run(bound, optim.SGD(bound.parameters(), lr=0.1),
                  penalty=lambda model: l2_penalty(model, 5.0))  # fmt: skip
    sizes = [np.abs(m[0].weight.detach().numpy()).mean() for m in (free, bound)]
    assert sizes[1] < 0.3 * sizes[0]
    assert history[0].loss < l2_penalty(parts()[0], 5.0).item()


def test_metrics_of_the_validation_batches():
    model, optimizer = parts()
    held_out = DataLoader(blobs(30, 1, 2.0), 7)
    worst = {"worst": lambda e: e.recall(None).min()}
    history = run(model, optimizer, validation=held_out, metrics=worst, noise=2.0)
    found = evaluate(model, held_out)
    assert history.column("val_worst")[-1] == found.recall(None).min()
    history = run(model, optimizer, validation=held_out, metrics=["f1", "recall"], noise=2.0)
    found = evaluate(model, held_out)
    assert history[-1].metrics == {"val_f1": found.f1("macro"), "val_recall": found.recall("macro")}
    with pytest.raises(OptionError, match="no metric 'auc'; there are precision, recall, f1"):
        run(model, optimizer, metrics=["auc"])
    with pytest.raises(OptionError, match="give validation="):
        run(model, optimizer, metrics=["f1"], validation=None)


@pytest.mark.parametrize(("loss", "last"), [(nn.BCEWithLogitsLoss(), nn.Identity()),
                                            (nn.BCELoss(), nn.Sigmoid())])  # fmt: skip
def test_one_output_for_two_classes_has_an_accuracy(loss, last):
    tc.manual_seed(0)
    x = np.random.default_rng(0).normal(size=(80, 2)).astype(np.float32)
    y = (x[:, :1] + x[:, 1:] > 0).astype(np.float32)
    model = nn.Sequential(nn.Linear(2, 1), last)
    loader = DataLoader(TensorDataset(x, y), 20)
    optimizer = optim.Adam(model.parameters(), lr=0.3)
    history = run(model, optimizer, 5, train=loader, loss=loss, validation=loader, metrics="f1")
    found = evaluate(model, loader, loss)
    assert found.accuracy == history[-1].val_accuracy == (found.predictions == y[:, 0]).mean()
    assert found.accuracy > 0.9
    assert found.confusion.sum() == 80
    assert found.correct == np.trace(found.confusion)
    assert history[-1].metrics["val_f1"] == found.f1("binary")


def test_a_table_of_the_classes():
    model, optimizer = parts()
    run(model, optimizer, 2, noise=2.0)
    found = evaluate(model, DataLoader(blobs(30, 1, 2.0), 7))
    head, *rows, mean = found.table(["left", "right", "far"]).splitlines()
    assert head.split() == ["class", "precision", "recall", "f1", "samples"]
    assert [float(row.split()[3]) for row in rows] == pytest.approx(found.f1(None), abs=1e-4)
    assert [row.split()[0] for row in rows] == ["left", "right", "far"]
    assert float(mean.split()[2]) == pytest.approx(found.recall("macro"), abs=1e-4)
    with pytest.raises(OptionError, match="3 classes need as many names, got 2"):
        found.table(["left", "right"])


def test_several_labels_at_once_have_no_accuracy():
    x, y = np.ones((4, 2), np.float32), np.array([[0, 1]] * 4, np.float32)
    found = evaluate(nn.Identity(), DataLoader(TensorDataset(x, y), 2), nn.BCEWithLogitsLoss())
    assert found.accuracy is None
    assert found.predictions.tolist() == [[1, 1]] * 4


# --- early stopping -------------------------------------------------------------------------------


class Scripted(Callback):
    """Puts chosen numbers into the history, and remembers the weights of each epoch."""

    def __init__(self, numbers):
        self.numbers, self.weights = numbers, []

    def on_epoch_end(self, run):
        run.history[-1] = run.history[-1]._replace(val_loss=self.numbers[run.epoch - 1])
        self.weights.append(weights(run.model))


@pytest.mark.parametrize(
    ("numbers", "patience", "delta", "best", "last"),
    [
        ([3, 2, 1, 0.9, 0.8], 1, 0.0, 5, 5),
        ([3, 2, 2.5, 2.5, 1], 2, 0.0, 2, 4),
        ([3, 2, 2.5, 1, 1], 2, 0.0, 4, 5),
        ([3, 2.9, 2.8, 2.7, 2.6], 2, 0.5, 1, 3),
        ([3, math.nan, 2, math.nan, 2], 3, 0.0, 3, 5),
        ([math.inf, math.nan, 4, 4, 4], 4, 0.0, 3, 5),
    ],
)
def test_early_stopping_goes_back_to_the_best_epoch(numbers, patience, delta, best, last):
    model, optimizer = parts()
    script, stop = Scripted(numbers), EarlyStopping(patience=patience, min_delta=delta)
    history = run(model, optimizer, 5, callbacks=[script, stop])
    assert (stop.best_epoch, len(history)) == (best, last)
    assert stop.best == numbers[best - 1]
    assert weights(model) == script.weights[best - 1]
    assert history.stopped == ("callback" if last < 5 else "")
    assert model.training


def test_early_stopping_can_leave_the_weights_and_watch_what_should_grow():
    model, optimizer = parts()
    script, stop = Scripted([1, 2, 1, 1, 1]), EarlyStopping("val_loss", 1, 0, "max", False)
    run(model, optimizer, 5, callbacks=[script, stop])
    assert stop.best_epoch == 2
    assert weights(model) == script.weights[2]
    assert EarlyStopping("val_accuracy").mode == "max"


def test_early_stopping_begins_anew_with_another_run():
    stop = EarlyStopping(patience=1)
    for numbers in ([1, 2], [4, 3]):
        model, optimizer = parts()
        history = run(model, optimizer, 2, callbacks=[Scripted(numbers), stop])
        assert len(history) == 2
    assert (stop.best, stop.best_epoch) == (3, 2)


def test_early_stopping_says_what_it_misses():
    with pytest.raises(OptionError, match=r"no 'val_loss' to watch.*give fit\(\) validation"):
        run(*parts(), callbacks=[EarlyStopping()], validation=None)
    with pytest.raises(OptionError, match="no column 'val_f1'"):
        run(*parts(), callbacks=[EarlyStopping("val_f1")])
    with pytest.raises(OptionError, match="at least 1"):
        EarlyStopping(patience=0)
    with pytest.raises(OptionError, match="'best'"):
        EarlyStopping(mode="best")


# --- callbacks, history, Ctrl-C -------------------------------------------------------------------


def test_callbacks_are_called_in_turn():
    seen = []

    class Note(Callback):
        def on_train_begin(self, run):
            seen.append("begin")

        def on_batch_end(self, run):
            seen.append((run.epoch, run.batch))
            assert run.loss > 0

        def on_epoch_end(self, run):
            seen.append(len(run.history))

        def on_train_end(self, run):
            seen.append("end")

    run(*parts(), 2, callbacks=[Note(), Callback()])
    batches = [[(e, b) for b in range(1, 5)] + [e] for e in (1, 2)]
    assert seen == ["begin", *batches[0], *batches[1], "end"]


def test_a_history_as_columns_and_as_a_file(tmp_path):
    rows = [Epoch(1, 0.5, 0.25, None, None, 1.0, 0.1, {"val_f1": 0.5}),
            Epoch(2, 1 / 3, 0.5, None, None, 1.0, 0.01, {"val_f1": 1.0})]  # fmt: skip
    history = History(rows)
    assert history.to_dict() == {
        "epoch": [1, 2], "loss": [0.5, 1 / 3], "accuracy": [0.25, 0.5], "val_f1": [0.5, 1.0],
        "lr": [0.1, 0.01], "seconds": [1.0, 1.0],
    }  # fmt: skip
    history.to_csv(tmp_path / "history.csv")
    head, _, second = (tmp_path / "history.csv").read_text().splitlines()
    assert head == "epoch,loss,accuracy,val_f1,lr,seconds"
    assert float(second.split(",")[1]) == 1 / 3
    assert str(history).splitlines()[2] == "    2  0.3333    0.5000  1.0000  0.01     1.00"
    assert copy.deepcopy(history) == history
    assert str(History()) == "epoch  loss  accuracy  val_loss  val_accuracy"


class Press(Callback):
    """Ctrl-C, as the terminal would send it, after some batches."""

    def __init__(self, *batches):
        self.batches, self.count = batches, 0

    def on_batch_end(self, run):
        self.count += 1
        for batch in self.batches:
            if batch == self.count:
                signal.raise_signal(signal.SIGINT)


def test_ctrl_c_ends_training_after_the_batch(capsys):
    model, optimizer = parts()
    model.eval()
    history = run(model, optimizer, callbacks=[Press(6)])
    assert len(history) == 1
    assert history.stopped == "interrupted"
    assert optimizer.state[model[0].weight]["step"] == 6
    assert not model.training
    assert "Ctrl-C again" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_twice_interrupts_at_once():
    model, optimizer = parts()
    model.eval()
    with pytest.raises(KeyboardInterrupt):
        run(model, optimizer, callbacks=[Press(6, 6)])
    assert not model.training
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_handlers_and_other_threads_keep_their_ways(monkeypatch):
    def raising(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(signal, "default_int_handler", None)  # whatever is there is not Python's
    before = signal.signal(signal.SIGINT, raising)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(*parts(), callbacks=[Press(6)])
    finally:
        signal.signal(signal.SIGINT, before)
    histories = []
    thread = threading.Thread(target=lambda: histories.append(run(*parts(), 1)))
    thread.start()
    thread.join()
    assert len(histories[0]) == 1


def test_the_bar_tells_of_ctrl_c(capsys):
    model, optimizer = parts()
    loader = DataLoader(blobs(), 16)
    fit(model, nn.CrossEntropyLoss(), optimizer, loader, callbacks=[Press(6)])
    assert "stopped by Ctrl-C in epoch 2/10 after 2 batches" in capsys.readouterr().out


def test_event_files(tmp_path):
    pytest.importorskip("tensorboardX")
    history = run(*parts(), 3, callbacks=[TensorBoard(tmp_path)], metrics=["f1"])
    seen = events(tmp_path)
    assert [v for _, v in seen["validation/loss"]] == pytest.approx(history.column("val_loss"))
    assert [s for s, _ in seen["validation/f1"]] == [1, 2, 3]
    assert set(seen) == {f"{place}/{name}" for place, names in {
        "training": ["loss", "accuracy", "lr", "seconds"], "validation": ["loss", "accuracy", "f1"],
    }.items() for name in names}  # fmt: skip


def events(folder):
    """(step, value) by name, as TensorBoard would read the files."""
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + length])
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
            data = data[16 + length :]
    return found


def test_without_tensorboardx(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"pip install 'tinygrad_course\[tensorboard\]'"):
        TensorBoard(tmp_path)


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"clip_norm": 0}, "clip_norm must be positive, got 0"),
        ({"clip_value": -1.0}, "clip_value must be positive"),
        ({"checkpoint_every": 2}, "needs checkpoint="),
        ({"resume": True}, "needs checkpoint="),
        ({"checkpoint": "x", "checkpoint_every": 0}, "every must be positive"),
    ],
)
def test_options_that_make_no_sense(how, text):
    with pytest.raises(OptionError, match=text):
        run(*parts(), **how)
