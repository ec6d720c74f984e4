"""PyTorch's longer paths to the layers: `nn.parameter`, `nn.modules.conv`, and so on.

Each name below `modules` is one of our files under the name that PyTorch has for it; nothing is
imported twice.
"""

from __future__ import annotations

import sys
from types import ModuleType

PLACES = {
    "parameter": "module",
    "modules.activation": "activation",
    "modules.batchnorm": "norm",
    "modules.container": "container",
    "modules.conv": "conv",
    "modules.distance": "distance",
    "modules.dropout": "dropout",
    "modules.flatten": "linear",
    "modules.fold": "resample",
    "modules.instancenorm": "norm",
    "modules.linear": "linear",
    "modules.loss": "loss",
    "modules.module": "module",
    "modules.normalization": "norm",
    "modules.padding": "resample",
    "modules.pixelshuffle": "resample",
    "modules.pooling": "pool",
    "modules.rnn": "recurrent",
    "modules.sparse": "embedding",
    "modules.transformer": "attention",
    "modules.upsampling": "resample",
}


def open_paths(nn: ModuleType) -> None:
    """Make `nn.modules`, with all of `nn` in it, and let every path in PLACES be imported."""
    modules = ModuleType(f"{nn.__name__}.modules", "All layers, and the files they live in.")
    modules.__dict__.update({name: getattr(nn, name) for name in nn.__all__})
    modules.__path__ = []  # a package, so that what is below it can be imported
    sys.modules[modules.__name__] = modules
    nn.modules = modules  # type: ignore[attr-defined]
    for path, file in PLACES.items():
        found = sys.modules[f"{nn.__name__}.{file}"]
        sys.modules[f"{nn.__name__}.{path}"] = found
        setattr(modules if "." in path else nn, path.removeprefix("modules."), found)
