"""Nonlinearities, the functions that share out one, and those that drop."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as TF
from hypothesis import strategies as st

from tinygrad_course.nn import functional as F
from tinygrad_course.testing.strategies import FRACTIONS, Domain

from .row import SMALL, Case, Maker, row

# none of the bounds below is among these
OFF_BOUNDS = Domain("off the bounds", tuple(v + 1 / 64 for v in FRACTIONS.numbers))
NEAR = Domain("off the bounds, near 0", tuple(v for v in OFF_BOUNDS.numbers if abs(v) < 4))


def activation(
    name: str, options: dict[str, Any] | None = None, domain: Domain = NEAR, oracle: Any = None,
    **more: Any,
) -> None:  # fmt: skip
    """A row of one array; each option is drawn from its list, or left out."""

    def case(make: Maker) -> Case:
        drawn = {
            key: make.draw(st.sampled_from(values))
            for key, values in (options or {}).items()
            if make.draw(st.booleans())
        }
        return [make.array(make.shape(), domain)], drawn

    row(name, getattr(F, name), oracle or getattr(TF, name), case, **{"special": True, **more})


INPLACE = {"inplace": [False]}
activation("relu6", INPLACE, OFF_BOUNDS, special=False)
activation("leaky_relu", {"negative_slope": [0.3, 0.0, -0.5]})
activation("elu", {"alpha": [2.0, 0.5]}, special=False)
activation("selu", special=False)
activation("celu", {"alpha": [1.5, -2.0]}, special=False)
activation("gelu", {"approximate": ["none", "tanh"]}, special=False)
activation("silu", special=False)
activation("mish", special=False)
activation("hardtanh", {"min_val": [-0.5, -2.0], "max_val": [0.5, 2.0]}, OFF_BOUNDS, special=False)
# PyTorch's own hardsigmoid multiplies by 1/6 in single precision
activation("hardsigmoid", domain=OFF_BOUNDS, oracle=lambda x: TF.relu6(x + 3) / 6, special=False)
activation("hardswish", domain=OFF_BOUNDS, special=False)
activation("softsign", special=False)
activation("tanhshrink", kinks=False)
activation("softshrink", {"lambd": [0.27, 1.03]}, OFF_BOUNDS, special=False)
activation("hardshrink", {"lambd": [0.27, 1.03]}, OFF_BOUNDS, special=False)


def softplus_case(make: Maker) -> Case:
    options = {"beta": [2.0, 0.5], "threshold": [1.53]}
    drawn = {
        k: make.draw(st.sampled_from(v)) for k, v in options.items() if make.draw(st.booleans())
    }
    return [make.array(make.shape(), NEAR)], drawn


row("softplus of nn.functional", F.softplus, TF.softplus, softplus_case, kinks=False)


def threshold_case(make: Maker) -> Case:
    options = {"threshold": make.draw(st.sampled_from([0.1, -1.0])), "value": 3.0}
    return [make.array(make.shape(), OFF_BOUNDS)], options


def prelu_case(make: Maker) -> Case:
    shape, dtype = make.shape(1), make.dtype()
    channels = shape[1] if len(shape) > 1 else 1
    size = make.draw(st.sampled_from([1, channels]))
    return [make.array(shape, NEAR, dtype), make.array((size,), SMALL, dtype)], {}


def glu_case(make: Maker) -> Case:
    shape = list(make.shape(1))
    dim = make.dim(len(shape))
    shape[dim] *= 2
    options = {"dim": dim} if dim != -1 or make.draw(st.booleans()) else {}
    return [make.array(tuple(shape), SMALL)], options


row("threshold", F.threshold, TF.threshold, threshold_case, special=True)
row("prelu", F.prelu, TF.prelu, prelu_case)
row("glu", F.glu, TF.glu, glu_case, kinks=False)


# --- shares of one --------------------------------------------------------------------------------


def share_case(make: Maker) -> Case:
    shape = make.shape()
    options: dict[str, Any] = {"dim": make.dim(len(shape))}
    if make.draw(st.booleans()):
        options["dtype"] = "float64"
    return [make.array(shape, SMALL)], options


def share_row(name: str) -> None:
    def oracle(x: Any, dim: int, dtype: Any = None) -> Any:
        return getattr(TF, name)(x, dim, dtype=torch.float64 if dtype else None)

    label = name if name == "softmin" else f"{name} of nn.functional"
    row(label, getattr(F, name), oracle, share_case, kinks=False)


for name in ("softmax", "softmin", "log_softmax"):
    share_row(name)


# --- chance: where it plays no part; what it does is tested in tests/nn/test_dropout --------------


def certain_case(make: Maker) -> Case:
    """Nothing or everything is dropped, or there is no training."""
    p, training = make.draw(st.sampled_from([(0.0, True), (1.0, True), (0.7, False)]))
    shape = make.draw(st.sampled_from([(2, 3, 4), (1, 2, 1)]))
    return [make.array(shape)], {"p": p, "training": training}


def spatial_case(dims: int) -> Any:
    def case(make: Maker) -> Case:
        _, options = certain_case(make)
        shape = (2, 3, 1, 2, 1)[:dims]
        return [make.array(shape)], options

    return case


row("dropout", F.dropout, TF.dropout, certain_case, kinks=False)
row("dropout1d", F.dropout1d, TF.dropout1d, spatial_case(3), kinks=False)
row("dropout2d", F.dropout2d, TF.dropout2d, spatial_case(4), kinks=False)
row("dropout3d", F.dropout3d, TF.dropout3d, spatial_case(5), kinks=False)
for name in ("alpha_dropout", "feature_alpha_dropout"):
    row(name, getattr(F, name), getattr(TF, name), certain_case, kinks=False)


def rrelu_case(make: Maker) -> Case:
    options = make.draw(st.sampled_from([{}, {"lower": 0.1, "upper": 0.6}]))
    return [make.array(make.shape(), NEAR)], options


def degenerate_gumbel(logits: Any, module: Any, **options: Any) -> Any:
    """The soft choice times 0: only shape and dtype are certain."""
    return module.gumbel_softmax(logits, **options) * 0


def gumbel_case(make: Maker) -> Case:
    shape = make.shape(1)
    return [make.array(shape, SMALL)], {"tau": 0.5, "dim": make.dim(len(shape))}


row("rrelu", F.rrelu, TF.rrelu, rrelu_case)
row("gumbel_softmax", lambda x, **o: degenerate_gumbel(x, F, **o),
    lambda x, **o: degenerate_gumbel(x, TF, **o), gumbel_case, order=0, kinks=False)  # fmt: skip
