"""Normalisation, distances, products of layers, attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as TF
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.nn import functional as F
from tinygrad_course.testing.strategies import AWAY_FROM_ZERO, REAL, Domain

from .row import SMALL, Case, Maker, row

FAR = Domain("4 to 10, at other distances", tuple(v * 1.01 + 7 for v in SMALL.numbers))
SMOOTH = {"kinks": False}  # near-ties make 1 / √var large: that is not what is tested here


def _shape(make: Maker, places: int | None = None) -> tuple[int, ...]:
    """(N, C, ...), at least two values to average."""
    count = make.draw(st.integers(0, 3)) if places is None else places
    rest = [make.draw(st.integers(1, 2)) for _ in range(count)]
    return (make.draw(st.integers(2, 3)), make.draw(st.integers(1, 2)), *rest)


def _eps(make: Maker) -> dict[str, Any]:
    return {"eps": make.draw(st.sampled_from([1e-5, 0.5]))}


def _with(make: Maker, x: Any, size: int | tuple[int, ...], count: int = 2) -> list[Any]:
    """x, then a weight and a bias of this size; or x alone."""
    if not make.draw(st.booleans()):
        return [x]
    dtype = str(x.dtype)
    return [x, *[make.array(size, AWAY_FROM_ZERO, dtype) for _ in range(count)]]


# --- averages -------------------------------------------------------------------------------------


def batch_case(make: Maker) -> Case:
    x = make.array(_shape(make), SMALL)
    options = _eps(make) | {"training": make.draw(st.booleans())}
    options["running"] = not options["training"] or make.draw(st.booleans())
    return _with(make, x, x.shape[1]), options


def batch_norm(module: Any, turn: Any, x: Any, *affine: Any, running: bool, **options: Any) -> Any:
    """The result; in evaluation it goes by the running averages."""
    channels = np.arange(1.0, x.shape[1] + 1).astype(str(x.dtype).removeprefix("torch."))
    found = [turn(channels), turn(channels * 2)] if running else [None, None]
    return module.batch_norm(x, *found, *affine, **options)


def instance_case(make: Maker) -> Case:
    shape = _shape(make, make.draw(st.integers(1, 3)))
    shape = (*shape[:2], shape[2] + 1, *shape[3:])  # at least two places
    x = make.array(shape, SMALL)
    options = _eps(make) | {"training": make.draw(st.booleans()), "running": True, "momentum": 0.3}
    return _with(make, x, x.shape[1]), options


def instance_norm(module: Any, turn: Any, x: Any, *affine: Any, training: bool, running: bool,
                  **options: Any) -> Any:  # fmt: skip
    channels = np.arange(1.0, x.shape[1] + 1).astype(str(x.dtype).removeprefix("torch."))
    found = [turn(channels), turn(channels * 2)]
    return module.instance_norm(x, *found, *affine, use_input_stats=training, **options)


for name, call, case in (
    ("batch_norm", batch_norm, batch_case),
    ("instance_norm", instance_norm, instance_case),
):
    row(
        name,
        lambda *xs, call=call, **o: call(F, tc.tensor, *xs, **o),
        lambda *xs, call=call, **o: call(TF, torch.tensor, *xs, **o),
        case,
        covers=("normalise",),
        **SMOOTH,
    )


def group_case(make: Maker) -> Case:
    groups, each = make.draw(st.integers(1, 2)), make.draw(st.integers(1, 2))
    shape = _shape(make, make.draw(st.integers(0, 2)))
    x = make.array((shape[0], groups * each, *shape[2:], 2), REAL)
    return _with(make, x, groups * each), _eps(make) | {"groups": groups}


def layer_case(make: Maker) -> Case:
    shape = (*make.shape(0, 2), 3)
    form = shape[make.draw(st.integers(0, len(shape) - 1)) :]
    return _with(make, make.array(shape, SMALL), form), _eps(make) | {"form": form}


def rms_case(make: Maker) -> Case:
    shape = (*make.shape(0, 2), 3)
    form = shape[make.draw(st.integers(0, len(shape) - 1)) :]
    eps = make.draw(st.sampled_from([None, 1e-5, 0.5]))
    return _with(make, make.array(shape, AWAY_FROM_ZERO), form, 1), {"eps": eps, "form": form}


def response_case(make: Maker) -> Case:
    options = make.draw(st.sampled_from([{}, {"alpha": 0.5, "beta": 0.5, "k": 2.0}]))
    shape = _shape(make, make.draw(st.integers(1, 3)))
    return [make.array(shape, REAL)], options | {"size": make.draw(st.integers(1, 4))}


def formed(f: Any) -> Any:
    """weight and bias behind the shape that is normalised."""
    return lambda x, *affine, form, **o: f(x, form, *affine, **o)


row("group_norm", lambda x, *a, groups, **o: F.group_norm(x, groups, *a, **o),
    lambda x, *a, groups, **o: TF.group_norm(x, groups, *a, **o), group_case, **SMOOTH)  # fmt: skip
row("layer_norm", formed(F.layer_norm), formed(TF.layer_norm), layer_case, **SMOOTH)
row("rms_norm", formed(F.rms_norm), formed(TF.rms_norm), rms_case, **SMOOTH)
row("local_response_norm", F.local_response_norm, TF.local_response_norm, response_case, **SMOOTH)


# --- distances ------------------------------------------------------------------------------------

POWERS = (1.0, 2.0, 3.0, 0.5, math.inf)


def normalize_case(make: Maker) -> Case:
    shape = (*make.shape(0, 2), 2)
    options = {"p": make.draw(st.sampled_from(POWERS)), "dim": -1}
    options["eps"] = make.draw(st.sampled_from([1e-12, 2.0]))
    return [make.array(shape, AWAY_FROM_ZERO)], options


def cosine_case(make: Maker) -> Case:
    shape, dtype = (*make.shape(0, 2), 2), make.dtype()
    other = tuple(1 if make.draw(st.booleans()) else n for n in shape[:-1]) + shape[-1:]
    options = {"dim": -1, "eps": make.draw(st.sampled_from([1e-8, 1e-2]))}
    return [make.array(s, AWAY_FROM_ZERO, dtype) for s in (shape, other)], options


def pairs_case(make: Maker) -> Case:
    shape, dtype = (*make.shape(0, 2), 2), make.dtype()
    other = shape if make.draw(st.booleans()) else shape[-1:]
    options = {"p": make.draw(st.sampled_from(POWERS)), "keepdim": make.draw(st.booleans())}
    return [make.array(shape, SMALL, dtype), make.array(other, FAR, dtype)], options


row("normalize", F.normalize, TF.normalize, normalize_case, **SMOOTH)
row("cosine_similarity", F.cosine_similarity, TF.cosine_similarity, cosine_case, **SMOOTH)
row("pairwise_distance", F.pairwise_distance, TF.pairwise_distance, pairs_case, **SMOOTH)


# --- products and tables --------------------------------------------------------------------------


def bilinear_case(make: Maker) -> Case:
    lead, dtype = make.shape(0, 1), make.dtype()
    arrays = [make.array(s, SMALL, dtype) for s in ((*lead, 1), (*lead, 2), (2, 1, 2))]
    return arrays + ([make.array((2,), SMALL, dtype)] if make.draw(st.booleans()) else []), {}


def table_case(make: Maker) -> Case:
    index = make.draw(st.lists(st.integers(0, 3), max_size=5))
    # a row that stays as it is has a gradient of 0, which no difference shows
    padding = make.draw(st.sampled_from([None, 0, -1])) if make.kind == "mixed" else None
    return [np.array(index, np.int64), make.array((4, 2), REAL)], {"padding_idx": padding}


def labels_case(make: Maker) -> Case:
    shape = make.draw(st.sampled_from([(), (3,), (2, 2)]))
    labels = make.draw(st.lists(st.integers(0, 3), min_size=4, max_size=4))
    array = np.resize(np.array(labels, np.int64), shape)
    return [array], {"num_classes": make.draw(st.sampled_from([-1, 4, 6]))}


row("bilinear", F.bilinear, TF.bilinear, bilinear_case, **SMOOTH)
row("embedding", F.embedding, TF.embedding, table_case, **SMOOTH)
row("one_hot", F.one_hot, TF.one_hot, labels_case, order=0, **SMOOTH)


# --- attention ------------------------------------------------------------------------------------


def attention_case(make: Maker) -> Case:
    """(..., heads, L, E), masks that leave each query a key to look at."""
    lead = make.draw(st.sampled_from([(), (2,), (2, 2)]))
    n, m, dtype = make.draw(st.integers(1, 3)), make.draw(st.integers(1, 3)), make.dtype()
    arrays = [make.array((*lead, s, 2), SMALL, dtype) for s in (n, m, m)]
    mask = make.draw(st.sampled_from([None, "bool", "float", "causal"]))
    options: dict[str, Any] = {"scale": make.draw(st.sampled_from([None, 0.7])), "mask": None}
    options["is_causal"] = mask == "causal"
    if mask in ("bool", "float"):
        seen = make.draw(st.lists(st.booleans(), min_size=n * m, max_size=n * m))
        allowed = np.reshape(seen, (n, m))
        allowed[:, 0] = True
        options["mask"] = allowed if mask == "bool" else np.where(allowed, 0.5, -np.inf)
    return arrays, options


def attend(module: Any, turn: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
    if mask is not None:
        mask = mask if mask.dtype == bool else mask.astype(str(q.dtype).removeprefix("torch."))
        mask = turn(mask)
    return module.scaled_dot_product_attention(q, k, v, attn_mask=mask, **options)


row("scaled_dot_product_attention", lambda *x, **o: attend(F, tc.tensor, *x, **o),
    lambda *x, **o: attend(TF, torch.tensor, *x, **o), attention_case,
    covers=("attention",), **SMOOTH)  # fmt: skip


def grouped_case(make: Maker) -> Case:
    dtype = make.dtype()
    return [make.array((2, 1, 2), SMALL, dtype), make.array((1, 2, 2), SMALL, dtype)], {}


row("scaled_dot_product_attention of shared heads",
    lambda q, k: F.scaled_dot_product_attention(q, k, k, enable_gqa=True),
    lambda q, k: TF.scaled_dot_product_attention(q, k, k, enable_gqa=True),
    grouped_case, **SMOOTH)  # fmt: skip
