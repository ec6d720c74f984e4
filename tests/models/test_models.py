"""Models written for PyTorch run with the import changed, and train as PyTorch trains them.

Each file beside this one is a program for PyTorch: `build()` makes the model, `train(model, steps)`
trains it and gives the numbers to compare. It is run as it stands, and again with `torch` in its
import lines replaced by `tinygrad_course`. Both start from PyTorch's initial weights, get the same
random draws, and must agree on every number and on every weight.
"""

from __future__ import annotations

import contextlib
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tinygrad_course as tc

HERE = Path(__file__).parent
NAMES = sorted(p.stem for p in HERE.glob("*.py") if p.stem not in ("test_models", "__init__"))
STEPS = 10


def program(name: str, ours: bool) -> Any:
    """The file as a module; with the import changed, if `ours`."""
    text = (HERE / f"{name}.py").read_text(encoding="utf-8")
    if ours:
        text = re.sub(r"^import torch$", "import tinygrad_course as torch", text, flags=re.M)
        text = re.sub(r"^(import|from) torch\b", r"\1 tinygrad_course", text, flags=re.M)
    module = types.ModuleType(f"{name}_{'ours' if ours else 'theirs'}")
    module.__file__ = str(HERE / f"{name}.py")
    exec(compile(text, module.__file__, "exec", dont_inherit=True), vars(module))
    return module


@contextlib.contextmanager
def same_draws(library: Any, seed: int) -> Iterator[None]:
    """Random functions that draw from NumPy, float64 by default."""
    rng = np.random.default_rng(seed)
    made = library.from_numpy

    def shape(size: Any) -> Any:
        return tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size

    def randint(*bounds_and_size: Any, **_: Any) -> Any:
        *bounds, size = bounds_and_size
        return made(rng.integers(*bounds, size=tuple(size)))

    draws = {
        "rand": lambda *size, **_: made(np.asarray(rng.random(shape(size)))),
        "randn": lambda *size, **_: made(np.asarray(rng.normal(size=shape(size)))),
        "rand_like": lambda x: made(np.asarray(rng.random(tuple(x.shape)))),
        "randn_like": lambda x: made(np.asarray(rng.normal(size=tuple(x.shape)))),
        "randint": randint,
    }
    before, default = {n: getattr(library, n) for n in draws}, library.get_default_dtype()
    for n, draw in draws.items():
        setattr(library, n, draw)
    library.set_default_dtype(library.float64)
    try:
        yield
    finally:
        library.set_default_dtype(default)
        for n, function in before.items():
            setattr(library, n, function)


def trained(name: str, ours: bool, start: Any, seed: int, **how: Any) -> tuple[Any, Any, Any]:
    """The numbers that training gave, the weights before, and the weights after it."""
    with same_draws(tc if ours else torch, seed):
        module = program(name, ours)
        model = module.build(**how)
        if start is not None:
            assert list(model.state_dict()) == list(start)
            model.load_state_dict(start)
        begin = {k: v.clone() for k, v in model.state_dict().items()}
        numbers = module.train(model, STEPS)
        return numbers, begin, model.state_dict()


CASES = [(name, {}) for name in NAMES] + [("gpt", {"flash": False})]


@pytest.mark.parametrize(("name", "how"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_ten_training_steps_equal_torch(name: str, how: dict[str, Any]) -> None:
    expected, start, theirs = trained(name, False, None, 1, **how)
    numbers, _, ours = trained(name, True, start, 1, **how)
    np.testing.assert_allclose(numbers, expected, rtol=1e-7, atol=1e-9)
    moved = 0
    for key, weight in theirs.items():
        np.testing.assert_allclose(
            ours[key].numpy(), weight.numpy(), rtol=1e-7, atol=1e-9, err_msg=f"{name}: {key}"
        )
        moved += int(not torch.equal(weight, start[key])) if key in start else 0
    assert moved > len(theirs) // 2  # training did something
