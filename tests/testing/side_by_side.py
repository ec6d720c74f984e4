"""Our gradcheck beside PyTorch's: false alarms at right functions, misses at wrong ones.

python -m tests.testing.side_by_side
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

import tinygrad_course as tc
import tinygrad_course.nn.functional as F
from tests.testing.false_alarms import AT_BOUNDS, at_kinks, pooled, tied
from tests.testing.planted import BUGS
from tinygrad_course.testing import GradientMismatch, gradcheck
from tinygrad_course.testing import strategies as ts


@dataclass(frozen=True)
class Case:
    """A function for both, and where to check it.

    Args:
        ours, theirs: the same function on our Tensors and on PyTorch's.
        args: draws the arguments: Tensors first, then options.
        right: whether its gradient is right.
    """

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    args: Any
    right: bool


def smooth(dtype: str = "float64") -> Any:
    return ts.tensors(dtype=dtype, values=ts.SIGNED_UNIT)


NEAR_ZERO = ts.Domain("within a step of 0", (1e-7, -1e-7, 3e-7, -2e-8, 1.0))

RIGHT = [
    Case("relu at 0", tc.relu, torch.relu, at_kinks("float64"), True),
    Case("abs at 0", tc.abs, torch.abs, at_kinks("float64"), True),
    Case("relu within a step of 0", tc.relu, torch.relu,
         ts.tensors(ts.shapes(0, 1, max_side=2), values=NEAR_ZERO), True),
    *[Case(f"max of {n} equals", lambda x: x.max(), lambda x: x.max(), tied(n, "float64"), True)
      for n in (2, 3, 4)],
    Case("max along, of 3 equals", lambda x: x.max(0)[0], lambda x: x.max(0)[0],
         tied(3, "float64"), True),
    Case("max_pool2d with ties", lambda x, how: F.max_pool2d(x, **how),
         lambda x, how: torch.nn.functional.max_pool2d(x, **how), pooled("float64"), True),
    Case("sort with ties", lambda x: x.sort(-1)[0], lambda x: x.sort(-1)[0],
         at_kinks("float64", least=1), True),
    Case("median with ties", lambda x: x.median(), lambda x: x.median(), at_kinks("float64"), True),
    Case("clamp at its bounds", lambda x: x.clamp(0.0, 1.0), lambda x: x.clamp(0.0, 1.0),
         at_kinks("float64", AT_BOUNDS), True),
    Case("sqrt at 0", tc.sqrt, torch.sqrt,
         ts.tensors(values=ts.Domain("0 and more", (0.0, 1.0, 4.0), False)), True),
    Case("exp in float32", tc.exp, torch.exp, smooth("float32"), True),
    Case("softmax in float32", lambda x: x.softmax(-1), lambda x: x.softmax(-1),
         smooth("float32"), True),
    Case("tanh in float16", tc.tanh, torch.tanh, smooth("float16"), True),
    Case("a strided view", lambda x: (x * x).sum(), lambda x: (x * x).sum(),
         ts.tensors(ts.shapes(2, 2, min_side=2), layout="strided"), True),
    Case("a small difference of large numbers", lambda x: (x + 1e6) - 1e6,
         lambda x: (x + 1e6) - 1e6, smooth(), True),
]  # fmt: skip


def torch_function(forward: Callable[..., Any], rules: Sequence[Callable[..., Any]]) -> Any:
    """The twin of `planted.function` in PyTorch."""

    class Planted(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *xs: Any) -> Any:
            ctx.save_for_backward(*xs)
            return torch.from_numpy(np.array(forward(*(x.detach().numpy() for x in xs))))

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            xs = [x.detach().numpy() for x in ctx.saved_tensors]
            return tuple(torch.from_numpy(np.array(r(g.detach().numpy(), *xs))) for r in rules)

    return Planted.apply


WRONG = [
    Case(name, bug.fn, torch_function(*bug.fn.__self__.parts), bug.inputs, False)
    for name, bug in BUGS.items()
]


def drawn(args: Any, count: int) -> list[Any]:
    """Some examples, the same each time."""
    found: list[Any] = []

    @seeded(0)
    @settings(max_examples=count, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(args)
    def collect(x: Any) -> None:
        found.append(x)

    collect()
    return found[:count]


def split(found: Any) -> tuple[list[Any], list[Any]]:
    """Tensors and options."""
    parts = [found] if isinstance(found, tc.Tensor) else list(found)
    tensors = [p for p in parts if isinstance(p, tc.Tensor)]
    return tensors, [p for p in parts if not isinstance(p, tc.Tensor)]


def ours_alarms(case: Case, found: Any) -> bool:
    tensors, options = split(found)
    fresh = [tc.from_numpy(x.detach().numpy().copy(order="K")).requires_grad_() for x in tensors]
    try:
        gradcheck(lambda *xs: case.ours(*xs, *options), fresh, max_judged=1.0)
    except GradientMismatch:
        return True
    return False


def theirs_alarms(case: Case, found: Any) -> bool:
    tensors, options = split(found)
    fresh = [torch.from_numpy(x.detach().numpy().copy()).requires_grad_() for x in tensors]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return not torch.autograd.gradcheck(
                lambda *xs: case.theirs(*xs, *options), fresh, raise_exception=False
            )
        except Exception:  # an error in the rule: seen, too
            return True


@dataclass(frozen=True)
class Line:
    """How often each of the two raised an alarm."""

    case: Case
    examples: int
    ours: int
    theirs: int

    def __str__(self) -> str:
        def cell(alarms: int) -> str:
            if self.case.right:
                return f"{alarms} false" if alarms else "none"
            return f"{alarms}" if alarms else "MISSED"

        kind = "right" if self.case.right else "wrong"
        return (
            f"{self.case.name:38} {kind:6} {self.examples:8} {cell(self.ours):>9} "
            f"{cell(self.theirs):>9}"
        )


def compared(case: Case, count: int) -> Line:
    examples = drawn(case.args, count)
    return Line(
        case,
        len(examples),
        sum(ours_alarms(case, x) for x in examples),
        sum(theirs_alarms(case, x) for x in examples),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=50)
    options = parser.parse_args()
    print(f"{'function':38} {'is':6} {'examples':>8} {'ours':>9} {'PyTorch':>9}   alarms")
    lines = []
    for case in (*RIGHT, *WRONG):
        lines.append(compared(case, options.examples))
        print(lines[-1], flush=True)
    right = [line for line in lines if line.case.right]
    wrong = [line for line in lines if not line.case.right]
    total = sum(line.examples for line in right)
    print(
        f"\nfalse alarms, of {total} examples: ours {sum(x.ours for x in right)}, "
        f"PyTorch {sum(x.theirs for x in right)}\n"
        f"bugs missed, of {len(wrong)}: ours {sum(not x.ours for x in wrong)}, "
        f"PyTorch {sum(not x.theirs for x in wrong)}"
    )


if __name__ == "__main__":
    main()
