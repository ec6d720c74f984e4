"""The search: what is drawn, what is pruned, what is shown."""

from __future__ import annotations

import math
import signal
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tests.training.common import blobs
from tinygrad_course import nn, optim
from tinygrad_course.data import DataLoader
from tinygrad_course.errors import OptionError
from tinygrad_course.testing import strategies as ts
from tinygrad_course.training import EarlyStopping, fit
from tinygrad_course.tuning import Choice, Float, Int, tune

pytest.importorskip("optuna", reason="tune needs Optuna")
SPACE = {"x": Float(0, 1), "rate": Float(1e-4, 1, log=True), "n": Int(1, 9), "c": Choice("a", "b")}


def search(objective=lambda trial: trial["x"], space=SPACE, trials=None, **how):
    return tune(objective, space, trials, progress=False, **how)


# --- ranges ---------------------------------------------------------------------------------------


@ts.profile(60)
@given(st.booleans(), st.integers(1, 50), st.integers(0, 200), st.floats(0, 1), st.floats(0.01, 1))
def test_parts_of_a_range_lie_inside_and_are_as_wide_as_asked(log, low, more, where, share):
    scale = math.log if log else float
    for kind in (Float, Int):
        whole = kind(low, low + more, log)
        centre = whole._number(scale(low) + where * (scale(low + more) - scale(low)))
        part = whole.near(centre, share)
        assert low <= part.low <= part.high <= low + more
        slack = 1e-9 if kind is Float else 0.5  # a whole number is rounded
        assert part.low - slack <= centre <= part.high + slack
        if kind is Float:
            wanted = share * (scale(low + more) - scale(low))
            assert scale(part.high) - scale(part.low) == pytest.approx(wanted, abs=1e-9)


def test_grids_of_ranges():
    assert Float(0, 1).grid(5) == [0, 0.25, 0.5, 0.75, 1]
    np.testing.assert_allclose(Float(1e-4, 1, log=True).grid(5), [1e-4, 1e-3, 1e-2, 0.1, 1])
    assert Int(1, 3).grid(10) == [1, 2, 3]
    assert Choice(None, 3, "a").grid(2) == [None, 3, "a"]
    assert Float(2, 2).grid(4) == [2]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Float(2, 1), "2 to 1"),
        (lambda: Float(0, math.inf), "0 to inf"),
        (lambda: Float(0, 1, log=True), "above 0"),
        (lambda: Int(1, 2.5), "whole numbers, got 1 to 2.5"),
        (lambda: Choice(), r"got \(\)"),
        (lambda: Choice([1]), "numbers, text and None"),
        (lambda: search(space={}), "empty"),
        (lambda: search(space={"lr": (0, 1)}), r"lr is \(0, 1\)"),
        (lambda: search(method="bayes"), "'bayes'"),
        (lambda: search(direction="down"), "'down'"),
        (lambda: search(trials=0), "'trials': 0"),
        (lambda: search(narrowing=1.0), "between 0 and 1"),
        (lambda: search(processes=0), "processes is at least 1"),
        (lambda: search(processes=2), "at the top of a module"),
    ],
)
def test_errors(make, text):
    with pytest.raises(OptionError, match=text):
        make()


# --- methods --------------------------------------------------------------------------------------


def test_random_search_draws_by_the_seed_and_by_the_logarithm():
    found = search(trials=200)
    drawn = [row.params for row in found.trials]
    assert drawn[:20] == [row.params for row in search(trials=20).trials]
    assert drawn[:20] != [row.params for row in search(trials=20, seed=1).trials]
    # of four decades, half of the draws are in the lower two
    assert 70 < sum(p["rate"] < 1e-2 for p in drawn) < 130
    assert 30 < sum(p["x"] < 0.25 for p in drawn) < 70
    assert {p["n"] for p in drawn} == set(range(1, 10))
    assert 70 < sum(p["c"] == "a" for p in drawn) < 130
    assert found.best_value == min(p["x"] for p in drawn) == found.best["x"]


def test_a_grid_is_gone_through_once():
    space = {"x": Float(0, 1), "n": Int(1, 2), "c": Choice("a", None, 3)}
    found = search(space=space, method="grid", points=3)
    points = [tuple(row.params.values()) for row in found.trials]
    assert len(points) == len(set(points)) == 3 * 2 * 3
    assert {x for x, _, _ in points} == {0, 0.5, 1}
    assert len(search(space=space, trials=4, method="grid").trials) == 4


def test_coarse_to_fine_narrows_around_the_best():
    def bowl(trial):
        return (math.log10(trial["rate"]) + 2.5) ** 2 + (trial["n"] - 7) ** 2 / 9

    found = search(bowl, trials=30, method="coarse-to-fine", narrowing=0.2)
    rounds = [found.trials[i : i + 10] for i in (0, 10, 20)]
    for turn, share in ((1, 0.2), (2, 0.04)):
        earlier = found.trials[: 10 * turn]
        best = math.log10(min(earlier, key=lambda row: row.value).params["rate"])
        drawn = [math.log10(row.params["rate"]) for row in rounds[turn]]
        assert max(drawn) - min(drawn) <= 4 * share + 1e-9
        assert all(abs(x - best) <= 4 * share for x in drawn)
    means = [np.mean([row.value for row in part]) for part in rounds]
    assert means[0] > means[1] > means[2]
    assert found.best_value < search(bowl, trials=30).best_value


def test_parzen_estimators_find_more_than_chance():
    def bowl(trial):
        return (trial["x"] - 0.3) ** 2

    tpe, chance = (search(bowl, trials=40, method=m).trials for m in ("tpe", "random"))
    assert np.mean([row.value for row in tpe]) < np.mean([row.value for row in chance])


# --- trials ---------------------------------------------------------------------------------------


def train(trial):
    """A small network; the larger learning rates explode or crawl."""
    tc.manual_seed(trial.place)
    model = nn.Sequential(nn.Linear(2, trial["width"]), nn.Tanh(), nn.Linear(trial["width"], 3))
    optimizer = optim.SGD(model.parameters(), lr=trial["lr"])
    batches, held_out = DataLoader(blobs(), 20), DataLoader(blobs(30, 1), 30)
    stop = EarlyStopping(patience=3)
    fit(model, nn.CrossEntropyLoss(), optimizer, batches, held_out, 6, False,
        callbacks=[trial.watch(), stop])  # fmt: skip
    return stop.best


NETWORK = {"lr": Float(1e-4, 1, log=True), "width": Int(2, 16, log=True)}


def test_the_median_prunes_and_nothing_prunes_without_it():
    found = search(train, NETWORK, 16)
    states = [row.state for row in found.trials]
    assert states[:5] == ["complete"] * 5
    assert states.count("pruned") >= 4
    pruned = next(row for row in found.trials if row.state == "pruned")
    last = max(pruned.steps)
    others = [row.steps[last] for row in found.trials[: pruned.place] if last in row.steps]
    assert pruned.steps[last] > np.median(others)
    assert {row.state for row in search(train, NETWORK, 8, prune=False).trials} == {"complete"}
    assert found.best["lr"] > 0.01


def test_larger_may_be_better():
    found = search(trials=10, direction="maximize")
    assert found.best_value == max(row.value for row in found.trials)
    assert found.ranking[-1].value == min(row.value for row in found.trials)


def test_explosions_fail_a_trial_and_errors_end_the_search():
    def explode(trial):
        if trial.place % 2:
            raise FloatingPointError("the loss became inf")
        return math.nan if trial.place == 4 else trial["x"]

    found = search(explode, trials=6)
    assert [row.state for row in found.trials] == ["complete", "failed"] * 2 + ["failed"] * 2
    assert found.trials[1].value is None
    nothing = search(lambda trial: math.inf, trials=2)
    with pytest.raises(OptionError, match="no trial is complete"):
        nothing.best  # noqa: B018
    with pytest.raises(ZeroDivisionError):
        search(lambda trial: 1 / 0, trials=2)


# --- what is shown --------------------------------------------------------------------------------


def test_a_line_for_each_trial_and_a_table(capsys):
    space = {"lr": Float(0.5, 0.5), "on": Choice(True)}
    found = tune(lambda trial: 1 / (1 + trial.place), space, 3)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "trial 2/3: 0.5      (best 0.5)  lr=0.5, on=True"
    table = str(found).splitlines()
    assert table[0].split() == ["trial", "state", "value", "lr", "on", "seconds"]
    assert table[1].split()[:5] == ["3", "complete", "0.3333", "0.5", "True"]


def test_a_picture_of_the_trials(tmp_path):
    pytest.importorskip("matplotlib")
    found = search(lambda t: t["x"] + 0.1 * (t["c"] == "b"), trials=12)
    figure = found.plot(tmp_path / "search.png")
    assert (tmp_path / "search.png").read_bytes().startswith(b"\x89PNG")
    by_name = {ax.get_xlabel(): ax for ax in figure.axes}
    assert list(by_name) == ["x", "rate", "n", "c"]
    assert by_name["rate"].get_xscale() == "log"
    pruned, points, star = by_name["x"].collections
    assert len(pruned.get_offsets()) == 0
    assert len(points.get_offsets()) == 12
    assert star.get_offsets().data.tolist() == [[found.best["x"], found.best_value]]
    assert [label.get_text() for label in by_name["c"].get_xticklabels()] == ["a", "b"]


@pytest.mark.parametrize(("name", "extra"), [("optuna", "tune"), ("matplotlib.figure", "plots")])
def test_what_is_missing_is_named(name, extra, monkeypatch):
    found = search(trials=1)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"pip install 'tinygrad_course\[{extra}\]'"):
        search(trials=1) if extra == "tune" else found.plot()


def test_ctrl_c_ends_the_search_inside_fit_too(tmp_path, capsys):
    def press(trial):
        if trial.place == 2 and not pressed:
            pressed.append(trial.params)
            signal.raise_signal(signal.SIGINT)
        return train(trial)

    pressed = []
    how = {"space": NETWORK, "trials": 4, "storage": tmp_path / "study.log", "prune": False}
    found = search(press, **how)
    assert [row.state for row in found.trials] == ["complete"] * 2
    assert "Ctrl-C" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    found = search(press, **how)
    assert [row.state for row in found.trials] == ["complete"] * 4
    assert found.trials[2].params == pressed[0]
