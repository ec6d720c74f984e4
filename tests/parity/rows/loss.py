"""Losses: each with every option that it has."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
import torch.nn.functional as TF
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.nn import functional as F
from tinygrad_course.ops import loss
from tinygrad_course.testing.strategies import AWAY_FROM_ZERO, POSITIVE, REAL, UNIT, Domain

from .row import SMALL, Case, Maker, row

REDUCTIONS = ("none", "mean", "sum")
ABOVE = Domain("4 to 10", tuple(v + 7 for v in SMALL.numbers))
BELOW = Domain("-10.5 to -4.5", tuple(v - 7.5 for v in SMALL.numbers))
OFF = Domain("off every bound", tuple(v + 1 / 128 for v in SMALL.numbers))


def options_of(make: Maker, **options: Any) -> dict[str, Any]:
    """A value for each option, or none: the default."""
    drawn = {
        k: make.draw(st.sampled_from(v)) for k, v in options.items() if make.draw(st.booleans())
    }
    return {"reduction": make.draw(st.sampled_from(REDUCTIONS)), **drawn}


def with_constants(f: Any, turn: Any) -> Any:
    """f, its NumPy options made tensors of the first argument's dtype (whole ones stay)."""

    def call(x: Any, *rest: Any, **options: Any) -> Any:
        kind = str(x.dtype).removeprefix("torch.")
        made = {
            k: turn(v if v.dtype.kind in "iu" else v.astype(kind))
            if isinstance(v, np.ndarray)
            else v
            for k, v in options.items()
        }
        return f(x, *rest, **made)

    return call


def loss_row(name: str, case: Any, ours: Any = None, oracle: Any = None, **more: Any) -> None:
    ours, oracle = (
        ours or getattr(F, name.split(" of ")[0]),
        oracle or getattr(TF, name.split(" of ")[0]),
    )
    more = {"kinks": False, **more}
    row(name, with_constants(ours, tc.tensor), with_constants(oracle, torch.tensor), case, **more)


def maybe(make: Maker, name: str, shape: Any) -> dict[str, Any]:
    """An option that is an array of positive numbers, or left out."""
    if not make.draw(st.booleans()):
        return {}
    size = int(np.prod(shape, dtype=int))
    return {name: np.linspace(0.25, 2.0, max(size, 1))[:size].reshape(shape)}


# --- classes --------------------------------------------------------------------------------------


def plain_case(make: Maker) -> Case:
    rows, classes = make.draw(st.integers(1, 3)), make.draw(st.integers(1, 3))
    labels = st.integers(0, classes - 1)
    chosen = np.array([make.draw(labels) for _ in range(rows)], dtype=np.int64)
    return [make.array((rows, classes)), chosen], {}


row("cross_entropy", loss.cross_entropy, TF.cross_entropy, plain_case)


def classes_of(make: Maker) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """The shapes of inputs (N, C, ...) or (C,) and of their labels, and C."""
    classes = make.draw(st.integers(1, 3))
    form = make.draw(st.sampled_from([(), (1,), (3,), (2, 2), (2, 1, 2)]))
    return ((form[0], classes, *form[1:]) if form else (classes,)), form, classes


def labelled(make: Maker, **options: Any) -> Case:
    shape, form, classes = classes_of(make)
    least = -1 if make.draw(st.booleans()) else 0
    size = int(np.prod(form, dtype=int))
    labels = make.draw(st.lists(st.integers(least, classes - 1), min_size=size, max_size=size))
    given = options_of(make, **options) | maybe(make, "weight", classes)
    given["ignore_index"] = -1 if least else make.draw(st.sampled_from([-100, 0]))
    target = np.array(labels, np.int64).reshape(form)
    if make.kind != "mixed":  # one counts: their mean is a number
        target[(0,) * target.ndim] = 0
        given["ignore_index"] = -1 if least else -100
    given["target"] = target
    return [make.array(shape, SMALL)], given


loss_row("cross_entropy of labels", lambda m: labelled(m, label_smoothing=[0.1, 1.0]))
loss_row("nll_loss", labelled)


def shares_case(make: Maker) -> Case:
    shape, _, classes = classes_of(make)
    dtype = make.dtype()
    options = options_of(make, label_smoothing=[0.1, 1.0]) | maybe(make, "weight", classes)
    return [make.array(shape, SMALL, dtype), make.array(shape, UNIT, dtype)], options


loss_row("cross_entropy of probabilities", shares_case)


def divergence_case(make: Maker) -> Case:
    shape, dtype = make.shape(1), make.dtype()
    options = options_of(make, log_target=[True])
    options["reduction"] = make.draw(st.sampled_from([*REDUCTIONS, "batchmean"]))
    return [make.array(shape, SMALL, dtype), make.array(shape, UNIT, dtype)], options


def quiet(f: Any) -> Any:
    """PyTorch warns that "mean" is not what one may think."""

    def call(*args: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return f(*args, **options)

    return call


loss_row("kl_div", divergence_case, oracle=quiet(TF.kl_div))


def yes_no_case(make: Maker) -> Case:
    shape, dtype = make.shape(), make.dtype()
    options = options_of(make) | maybe(make, "weight", shape)
    return [make.array(shape, UNIT, dtype), make.array(shape, UNIT, dtype)], options


def logits_case(make: Maker) -> Case:
    shape, dtype = make.shape(), make.dtype()
    options = options_of(make) | maybe(make, "weight", shape)
    options |= maybe(make, "pos_weight", shape[-1:])
    return [make.array(shape, SMALL, dtype), make.array(shape, UNIT, dtype)], options


loss_row("binary_cross_entropy of nn.functional", yes_no_case)
row("binary_cross_entropy", loss.binary_cross_entropy,
    lambda x, y: TF.binary_cross_entropy(x, y, reduction="none"),
    lambda m: (yes_no_case(m)[0], {}), kinks=False)  # fmt: skip
loss_row("binary_cross_entropy_with_logits", logits_case)


def several_case(make: Maker) -> Case:
    shape, dtype = make.shape(1), make.dtype()
    options = options_of(make) | maybe(make, "weight", shape[-1:])
    return [make.array(shape, SMALL, dtype), make.array(shape, UNIT, dtype)], options


loss_row("multilabel_soft_margin_loss", several_case)


# --- numbers --------------------------------------------------------------------------------------


def numbers_case(*weighted: str, **options: Any) -> Any:
    def case(make: Maker) -> Case:
        shape, dtype = make.shape(), make.dtype()
        given = options_of(make, **options)
        for name in weighted:
            given |= maybe(make, name, shape)
        return [make.array(shape, REAL, dtype), make.array(shape, OFF, dtype)], given

    return case


loss_row("mse_loss", numbers_case("weight"), kinks=True)
loss_row("l1_loss", numbers_case("weight"), kinks=True)
loss_row("huber_loss", numbers_case("weight", delta=[0.7, 2.0]), kinks=True)
loss_row("smooth_l1_loss", numbers_case(beta=[0.5, 2.0, 0.0]), kinks=True)


def counts_case(make: Maker) -> Case:
    shape, dtype = make.shape(), make.dtype()
    options = options_of(make, log_input=[False], full=[True], eps=[1e-3])
    target = Domain("off 1", tuple(v + 1 / 128 for v in POSITIVE.numbers))
    domain = SMALL if options.get("log_input", True) else POSITIVE
    return [make.array(shape, domain, dtype), make.array(shape, target, dtype)], options


def spread_case(make: Maker) -> Case:
    shape, dtype = (*make.shape(1, 1), 2), make.dtype()
    spread = make.draw(st.sampled_from([shape, (*shape[:-1], 1), shape[:-1]]))
    arrays = [
        make.array(s, d, dtype) for s, d in ((shape, SMALL), (shape, SMALL), (spread, POSITIVE))
    ]
    return arrays, options_of(make, full=[True], eps=[1e-3, 1e-2])


loss_row("poisson_nll_loss", counts_case)
loss_row("gaussian_nll_loss", spread_case)


# --- margins --------------------------------------------------------------------------------------


def signed_case(make: Maker, **options: Any) -> Case:
    shape = make.shape()
    x = make.array(shape, OFF)
    target = make.draw(st.lists(st.sampled_from([-1.0, 1.0]), min_size=x.size, max_size=x.size))
    return [x], options_of(make, **options) | {"target": np.array(target).reshape(shape)}


loss_row("soft_margin_loss", signed_case)
loss_row("hinge_embedding_loss", lambda m: signed_case(m, margin=[0.5, 2.0]))


def ranking_case(make: Maker) -> Case:
    ([x], options) = signed_case(make, margin=[0.5, -1.0])
    return [x, make.array(x.shape, SMALL, str(x.dtype))], options


loss_row("margin_ranking_loss", ranking_case)


def alike_case(make: Maker) -> Case:
    lead = make.draw(st.sampled_from([(), (3,)]))
    dtype = make.dtype()
    arrays = [make.array((*lead, 3), d, dtype) for d in (AWAY_FROM_ZERO, AWAY_FROM_ZERO)]
    options = options_of(make, margin=[0.3, -0.5])
    signs = make.draw(st.lists(st.sampled_from([-1.0, 1.0]), min_size=3, max_size=3))
    return arrays, options | {"target": np.resize(np.array(signs), lead)}


loss_row("cosine_embedding_loss", alike_case)


def one_of_case(make: Maker) -> Case:
    lead, classes = make.draw(st.sampled_from([(), (2,)])), make.draw(st.integers(1, 4))
    labels = make.draw(st.lists(st.integers(0, classes - 1), min_size=2, max_size=2))
    options = options_of(make, p=[2], margin=[0.5, 2.0]) | maybe(make, "weight", classes)
    options["target"] = np.resize(np.array(labels, np.int64), lead)
    return [make.array((*lead, classes), OFF)], options


def some_of_case(make: Maker) -> Case:
    lead = make.draw(st.sampled_from([(), (2,)]))
    rows = make.draw(st.lists(st.permutations([0, 1, 2]), min_size=2, max_size=2))
    counts = make.draw(st.lists(st.integers(0, 3), min_size=2, max_size=2))
    target = np.array([r[:c] + [-1] * (3 - c) for r, c in zip(rows, counts, strict=True)])
    target = target if lead else target[0]
    return [make.array((*lead, 3), OFF)], options_of(make) | {"target": target.astype(np.int64)}


loss_row("multi_margin_loss", one_of_case)
loss_row("multilabel_margin_loss", some_of_case)


def triplet_case(make: Maker) -> Case:
    shape, dtype = (*make.shape(0, 2), 2), make.dtype()
    options = options_of(make, margin=[0.507, 3.003], p=[1.0, 3.0], eps=[1e-3], swap=[True])
    domains = (SMALL, ABOVE, BELOW)
    return [make.array(shape, domain, dtype) for domain in domains], options


def own_case(make: Maker) -> Case:
    arrays, options = triplet_case(make)
    return arrays, {k: v for k, v in options.items() if k not in ("p", "eps")}


def squares(x: Any, y: Any) -> Any:
    return ((x - y) ** 2).sum(-1)


loss_row("triplet_margin_loss", triplet_case)
loss_row("triplet_margin_with_distance_loss", own_case)
loss_row(
    "triplet_margin_with_distance_loss of one's own", own_case,
    lambda *x, **o: F.triplet_margin_with_distance_loss(*x, distance_function=squares, **o),
    lambda *x, **o: TF.triplet_margin_with_distance_loss(*x, distance_function=squares, **o),
)  # fmt: skip
