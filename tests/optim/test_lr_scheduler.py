"""Schedules against PyTorch, step by step; the slides' decays; combinations, state, errors."""

import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course import optim
from tinygrad_course.errors import DtypeError, OptionError
from tinygrad_course.optim import lr_scheduler as ours
from tinygrad_course.testing import strategies as ts

RATES = (0.5, 0.03)
unit = st.floats(0.05, 1.0)
OPTIONS = {
    "LambdaLR": {"lr_lambda": st.sampled_from([lambda e: 0.9**e, lambda e: 1 / (e + 1)])},
    "StepLR": {"step_size": st.integers(1, 5), "gamma": unit},
    "MultiStepLR": {"milestones": st.lists(st.integers(0, 25), max_size=5), "gamma": unit},
    "ExponentialLR": {"gamma": unit},
    "CosineAnnealingLR": {"T_max": st.integers(1, 12), "eta_min": st.sampled_from([0.0, 0.01])},
    "LinearLR": {"start_factor": unit, "end_factor": unit, "total_iters": st.integers(1, 9)},
    "OneCycleLR": {
        "max_lr": st.sampled_from([0.7, [0.7, 0.2]]),
        "total_steps": st.integers(30, 40),
        "pct_start": st.sampled_from([0.3, 0.45]),
        "anneal_strategy": st.sampled_from(["cos", "linear"]),
        "three_phase": st.booleans(),
        "div_factor": st.sampled_from([25.0, 4.0]),
    },
}


@st.composite
def recipes(draw, names=tuple(OPTIONS)):
    name = draw(st.sampled_from(names))
    return name, draw(st.fixed_dictionaries(OPTIONS[name]))


def optimiser(room=optim, kind="SGD"):
    torch = pytest.importorskip("torch")
    made = tc if room is optim else torch
    groups = [{"params": [made.ones(1, requires_grad=True)], "lr": lr} for lr in RATES]
    return getattr(room, kind)(groups, lr=0.1, **({"momentum": 0.5} if kind == "SGD" else {}))


def both(kind="SGD"):
    torch = pytest.importorskip("torch")
    theirs = torch.optim.lr_scheduler
    return (optimiser(kind=kind), ours), (optimiser(torch.optim, kind), theirs)


def trace(opt, schedules, steps=28, metrics=None):
    """Rates and momenta, epoch by epoch."""
    seen = []
    for epoch in range(steps):
        groups = opt.param_groups
        seen.append([g["lr"] for g in groups] + [_momentum(g) for g in groups])
        opt.step()
        for s in schedules:
            s.step() if metrics is None else s.step(metrics[epoch])
            assert s.get_last_lr() == [g["lr"] for g in groups] or s is not schedules[-1]
    return np.array(seen)


def _momentum(group):
    return group["betas"][0] if "betas" in group else group.get("momentum", 0.0)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)


@ts.profile(60)
@given(recipes(), st.sampled_from(["SGD", "Adam"]))
def test_rates_are_pytorchs(recipe, kind):
    name, options = recipe
    close(*(trace(opt, [getattr(room, name)(opt, **options)]) for opt, room in both(kind)))


CHAINABLE = ("StepLR", "MultiStepLR", "ExponentialLR", "LinearLR", "CosineAnnealingLR")


@ts.profile(60)
@given(recipes(CHAINABLE), recipes(CHAINABLE))
def test_two_schedules_at_once(first, second):
    close(*(
        trace(opt, [getattr(room, name)(opt, **options) for name, options in (first, second)])
        for opt, room in both()
    ))  # fmt: skip


@ts.profile(60)
@given(st.lists(recipes((*CHAINABLE, "LambdaLR")), min_size=1, max_size=3),
       st.lists(st.integers(1, 20), min_size=2, max_size=2, unique=True))  # fmt: skip
def test_schedules_in_sequence(parts, milestones):
    milestones = sorted(milestones)[: len(parts) - 1]
    traces = []
    for opt, room in both():
        schedules = [getattr(room, name)(opt, **options) for name, options in parts]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's own, about its order of calls
            traces.append(trace(opt, [room.SequentialLR(opt, schedules, milestones)]))
    close(*traces)


@ts.profile(60)
@given(
    st.lists(st.floats(-2, 2), min_size=28, max_size=28),
    st.fixed_dictionaries({
        "mode": st.sampled_from(["min", "max"]),
        "factor": st.sampled_from([0.1, 0.5]),
        "patience": st.integers(0, 3),
        "threshold": st.sampled_from([1e-4, 0.1]),
        "threshold_mode": st.sampled_from(["rel", "abs"]),
        "cooldown": st.integers(0, 2),
        "min_lr": st.sampled_from([0.0, 0.02, [0.1, 0.0]]),
    }),
)  # fmt: skip
def test_plateaus(metrics, options):
    close(*(
        trace(opt, [room.ReduceLROnPlateau(opt, **options)], metrics=metrics)
        for opt, room in both()
    ))  # fmt: skip


@ts.profile(60)
@given(st.floats(0, 2), st.integers(1, 5))
def test_the_slides_decay(rate, interval):
    opt = optimiser()
    rates = trace(opt, [ours.TimeBasedDecay(opt, rate, interval)])[:, :2]
    wanted = [[a / (1 + rate * math.floor(e / interval)) for a in RATES] for e in range(28)]
    close(rates, wanted)
    opt = optimiser()
    plain = trace(opt, [ours.TimeBasedDecay(opt, rate)])[:, :2]
    close(plain, [[a / (1 + rate * e) for a in RATES] for e in range(28)])


@ts.profile(60)
@given(recipes(), st.integers(0, 15))
def test_a_saved_schedule_goes_on_where_it_was(recipe, stop):
    name, options = recipe
    opt = optimiser()
    schedule = getattr(ours, name)(opt, **options)
    whole = trace(opt, [schedule])
    opt = optimiser()
    schedule = getattr(ours, name)(opt, **options)
    trace(opt, [schedule], stop)
    saved = json.loads(json.dumps(schedule.state_dict())), opt.state_dict()
    opt = optimiser()
    schedule = getattr(ours, name)(opt, **options)
    schedule.load_state_dict(saved[0])
    opt.load_state_dict(saved[1])
    np.testing.assert_array_equal(trace(opt, [schedule], 28 - stop), whole[stop:])


def test_a_saved_sequence_too():
    def make():
        opt = optimiser()
        parts = [ours.LinearLR(opt, 0.1, total_iters=4), ours.CosineAnnealingLR(opt, 10)]
        return opt, ours.SequentialLR(opt, parts, [5])

    opt, schedule = make()
    whole = trace(opt, [schedule])
    for stop in (3, 5, 9):
        opt, schedule = make()
        trace(opt, [schedule], stop)
        saved = schedule.state_dict(), opt.state_dict()
        opt, schedule = make()
        schedule.load_state_dict(saved[0])
        opt.load_state_dict(saved[1])
        np.testing.assert_array_equal(trace(opt, [schedule], 28 - stop), whole[stop:])


def test_a_sequence_in_a_sequence():
    opt = optimiser()
    parts = [ours.ExponentialLR(opt, 0.5), ours.LambdaLR(opt, lambda e: e + 1)]
    inner = ours.SequentialLR(opt, parts, [2])
    rates = trace(opt, [ours.SequentialLR(opt, [inner, ours.StepLR(opt, 9)], [4])], 6)[:, 0]
    close(rates, [0.5, 0.25, 0.5, 1.0, 0.5, 0.5])


def test_going_on_from_an_epoch():
    opt = optimiser()
    trace(opt, [ours.ExponentialLR(opt, 0.5)], 3)
    again = ours.ExponentialLR(opt, 0.5, last_epoch=3)
    assert again.last_epoch == 4
    assert again.base_lrs == list(RATES)


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda o: ours.StepLR(3, 2), DtypeError, "takes an optimiser, got int"),
        (lambda o: ours.LambdaLR(3, abs), DtypeError, "takes an optimiser"),
        (lambda o: ours.LambdaLR(o, [abs]), OptionError, "2 groups"),
        (lambda o: ours.StepLR(o, 0), OptionError, "step_size"),
        (lambda o: ours.StepLR(o, 2, last_epoch=3), OptionError, "initial_lr"),
        (lambda o: ours.LinearLR(o, 0.0), OptionError, "start_factor"),
        (lambda o: ours.TimeBasedDecay(o, -1.0), OptionError, "decay_rate"),
        (lambda o: ours.TimeBasedDecay(o, 1.0, 0), OptionError, "interval"),
        (lambda o: ours.OneCycleLR(o, 0.1), OptionError, "total_steps, or epochs"),
        (lambda o: ours.OneCycleLR(o, 0.1, 10, pct_start=2.0), OptionError, "pct_start"),
        (lambda o: ours.OneCycleLR(o, 0.1, 10, anneal_strategy="up"), OptionError, "'up'"),
        (lambda o: ours.SequentialLR(o, [], []), OptionError, "one milestone less"),
        (lambda o: ours.SequentialLR(o, [ours.StepLR(optimiser(), 2)], []), OptionError, "another"),
        (lambda o: ours.SequentialLR(o, [ours.ReduceLROnPlateau(o)], []), OptionError, "metric"),
        (lambda o: ours.ReduceLROnPlateau(o, factor=1.0), OptionError, "below 1"),
        (lambda o: ours.ReduceLROnPlateau(o, mode="best"), OptionError, "'best'"),
        (lambda o: ours.ReduceLROnPlateau(o).step(), OptionError, "metric"),
        (lambda o: trace(o, [ours.OneCycleLR(o, 0.1, 2)], 4), OptionError, "2 steps"),
    ],
)  # fmt: skip
def test_errors(make, kind, text):
    with pytest.raises(kind, match=text):
        make(optimiser())


def test_one_cycle_needs_a_momentum_to_cycle():
    opt = optim.Adadelta([tc.ones(1, requires_grad=True)])
    with pytest.raises(OptionError, match="cycle_momentum=False"):
        ours.OneCycleLR(opt, 0.1, 10)
    ours.OneCycleLR(opt, 0.1, epochs=2, steps_per_epoch=5, cycle_momentum=False)
