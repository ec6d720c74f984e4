"""Fast versions of some rows of the table, by device and name. Arrays in, arrays out.

A row's own forward is complete; a device may offer a kernel under the row's name, with the same
arguments and the same result. `plain` holds the NumPy forwards of convolution and pooling, which
are what every kernel is tested against.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

from . import geometry, options, philox, plain

__all__ = ["NAMES", "geometry", "lookup", "options", "philox", "plain"]

# device: row, or row_back for its rule: the module that has the kernel
NAMES: dict[str, dict[str, str]] = {
    "cpu": {
        "conv2d": "cpu",
        "conv2d_input": "cpu",
        "conv2d_weight": "cpu",
        "conv2d_bias": "cpu",
        "max_pool2d": "cpu",
        "max_pool2d_indices": "cpu",
        "pool_take": "cpu",
        "pool_put": "cpu",
        "avg_pool2d": "cpu",
        "avg_pool2d_input": "cpu",
        "tanh": "cpu_elementwise",
        "tanh_back": "cpu_elementwise",
        "normalise": "cpu_norm",
        "normalise_back": "cpu_norm",
        "attention": "cpu_attention",
        "attention_back": "cpu_attention",
        "softmax": "cpu_softmax",
        "softmax_back": "cpu_softmax",
        "log_softmax": "cpu_softmax",
        "log_softmax_back": "cpu_softmax",
        "cross_entropy": "cpu_softmax",
        "cross_entropy_back": "cpu_softmax",
        "relu": "cpu_elementwise",
        "relu_back": "cpu_elementwise",
        "sigmoid": "cpu_elementwise",
        "sigmoid_back": "cpu_elementwise",
        "gelu": "cpu_elementwise",
        "gelu_back": "cpu_elementwise",
    },
    "cuda": {
        "conv2d": "cuda",
        "conv2d_input": "cuda",
        "conv2d_weight": "cuda",
        "max_pool2d": "cuda",
        "max_pool2d_indices": "cuda",
        "pool_take": "cuda",
        "pool_put": "cuda",
        "avg_pool2d": "cuda",
        "avg_pool2d_input": "cuda",
        "adam": "cuda_step",
        "sgd": "cuda_step",
        "scaled": "cuda_step",
        "adadelta": "cuda_step",
        "gather": "cuda_step",
        "philox": "cuda_step",
        "tanh_back": "cuda_elementwise",
        "relu": "cuda_elementwise",
        "relu_back": "cuda_elementwise",
        "sigmoid": "cuda_elementwise",
        "sigmoid_back": "cuda_elementwise",
        "gelu": "cuda_elementwise",
        "gelu_back": "cuda_elementwise",
        "softmax": "cuda_softmax",
        "softmax_back": "cuda_softmax",
        "log_softmax": "cuda_softmax",
        "log_softmax_back": "cuda_softmax",
        "cross_entropy": "cuda_softmax",
        "cross_entropy_back": "cuda_softmax",
        "normalise": "cuda_norm",
        "normalise_back": "cuda_norm",
        "follow": "cuda_norm",
    },
}


@cache
def lookup(device: str, name: str) -> Callable[..., Any] | None:
    """The device's kernel of that name, or None where it has none.

    The compiler (Numba) is imported when a kernel is first asked for.
    """
    module = NAMES.get(device, {}).get(name)
    if module is None:
        return None
    kernel: Callable[..., Any] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    return kernel
