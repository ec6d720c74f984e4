"""Penalties on large weights, as terms of the cost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_course.errors import OptionError
from tinygrad_course.tensor import Tensor


def l2_penalty(model: Any, lam: float, m: int = 1) -> Tensor:
    """λ / (2m) · Σ W²: the L2 term of the cost; its gradient is λ/m · W.

    For SGD, with or without momentum, adding it to the loss is the same as `weight_decay=λ/m`, and
    so it is for every optimiser whose weight decay is added to the gradient (here all but AdamW).
    With Adam, Adagrad or RMSprop, λ/m · W is then divided by the size of the gradients, like the
    rest of the gradient, so that weights with large gradients shrink less; AdamW takes
    lr · weight_decay · W off the weights themselves, past that division. Weight decay also applies
    to whatever the optimiser holds, biases included; put them into a group with weight_decay=0 to
    have the same.

    Args:
        model: a Module: its parameters of two or more dimensions, the weights W, are penalised;
            biases and the scales of norms are not. Or the parameters themselves.
        lam: λ.
        m: the number of training examples that λ is divided by, for a loss that is a mean.

    Raises:
        OptionError: a negative λ, an m below 1, no weights.

    Source: course: L2 (Ridge) and L1 (Lasso) regularization.

    >>> import tinygrad_course as tc
    >>> w = tc.tensor([[3.0, -4.0]], requires_grad=True)
    >>> l2_penalty([w], lam=0.1, m=5).backward()
    >>> [round(g, 4) for g in w.grad[0].tolist()]  # λ/m · W
    [0.06, -0.08]
    """
    return _total(model, lam, m, lambda w: (w * w).sum()) * (lam / (2 * m))


def l1_penalty(model: Any, lam: float, m: int = 1) -> Tensor:
    """λ / m · Σ |W|: the L1 term of the cost; its gradient is λ/m · sign(W), 0 at 0.

    It pulls all weights by the same amount, large or small, and so makes many of them (nearly) 0.
    No optimiser's weight decay does the same. Arguments and errors as `l2_penalty`.

    >>> import tinygrad_course as tc
    >>> w = tc.tensor([[3.0, -4.0]], requires_grad=True)
    >>> l1_penalty([w], lam=0.1, m=5).backward()
    >>> [round(g, 4) for g in w.grad[0].tolist()]
    [0.02, -0.02]
    """
    return _total(model, lam, m, lambda w: w.abs().sum()) * (lam / m)


def _total(model: Any, lam: float, m: int, measure: Any) -> Any:
    if not lam >= 0 or m < 1:
        raise OptionError(f"a penalty needs lam >= 0 and m >= 1, got lam={lam} and m={m}")
    given = isinstance(model, Iterable) and not hasattr(model, "parameters")
    weights = list(model) if given else [w for w in model.parameters() if w.ndim >= 2]
    if not weights:
        raise OptionError("a penalty needs weights; this model has none of two or more dimensions")
    total = measure(weights[0])
    for w in weights[1:]:
        total = total + measure(w)
    return total
