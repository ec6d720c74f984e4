"""What random programs have found, each as the shortest program that showed it; and fresh ones."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tc
from tinygrad_course.ops import elementwise

from . import fuzz

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's, of odd programs
FRESH = int(100 * float(os.environ.get("TINYGRAD_COURSE_EXAMPLES", "1")))
NOTHING = np.zeros((2, 0))
ROW = np.array([-0.75, 1.5, 0.5])
TABLE = np.array([[1.0, -2.0, -2.0], [-1.75, 1.0, -0.25]])
NUMBER = np.array(1.5)

# name: (leaves, lines, outputs, whether second derivatives are compared, too)
FOUND: dict[str, tuple[dict[str, Any], list[str], list[str], bool]] = {
    "a value written over with a constant stays in its graph":
        ({"a": TABLE}, ["b = a / 4", "b.zero_()"], ["b"], False),
    "a product of all is written in place":
        ({"a": ROW}, ["with torch.no_grad(): b = a.prod()", "b[...] = a[0]"], ["b"], False),
    "largest values are written in place":
        ({"a": TABLE}, ["with torch.no_grad(): b = a.amax(1)", "b.add_(a[:, 0])"], ["b"], False),
    "values with their places are written in place":
        ({"a": TABLE}, ["b = a[:, 1:].min(0)[0]", "b.mul_(a[0, 0])"], ["b"], False),
    "a norm is written in place":
        ({"a": ROW}, ["b = a.detach().norm(3, -1)", "b.sub_(a[1])"], ["b"], False),
    "a running maximum of one number is written in place":
        ({"a": NUMBER}, ["b = torch.cummax(a, -1).values", "b.sub_(a)"], ["b"], False),
    "a median is written in place":
        ({"a": TABLE[:1]}, ["b = a.median(-2)[0]", "b[1:] = a[0, 0]"], ["b"], False),
    "the smallest of one number is a new value":
        ({"a": NUMBER}, ["b = a * a", "with torch.no_grad(): c = torch.min(b, -1)[0]"],
         ["b"], False),
    "a product of nothing": ({"a": NOTHING}, ["b = a.prod()"], ["b"], True),
    "running products of nothing": ({"a": NOTHING}, ["b = a.cumprod(1)"], ["b"], True),
    "a product of two constant numbers takes a value":
        ({"a": NUMBER}, ["b = a.detach()", "c = b * b", "c[...] = b", "d = c * a"], ["d"], False),
    "a number in a graph takes a value":
        ({"a": NUMBER}, ["b = 3 * a", "b[...] = a", "c = b * a"], ["c"], False),
    "a number takes a value at None":
        ({"a": NUMBER}, ["b = a * a", "b[None] = a"], ["b"], False),
    "tensors of shape (0,) join and stay in their graph":
        ({"a": np.zeros(0)}, ["b = a.detach()", "c = torch.cat([b, a * 2])"], ["c"], False),
    "a tensor of shape (0,) joins with a matrix":
        ({"a": np.zeros(0), "b": TABLE}, ["c = torch.cat([b.detach(), a, b.detach()])"],
         ["c"], False),
    "elu at 0": ({"a": np.array([0.0, -1.0, 2.0])}, ["b = F.elu(a, 2.0)"], ["b"], True),
    "selu at 0": ({"a": np.array([0.0, -1.0, 2.0])}, ["b = F.selu(a)"], ["b"], True),
    "celu at 0": ({"a": np.array([0.0, -1.0, 2.0])}, ["b = F.celu(a, 0.5)"], ["b"], True),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_is_right_now(name: str) -> None:
    leaves, lines, outputs, second = FOUND[name]
    assert fuzz.compare(fuzz.Program(leaves, lines, outputs, 0, second)) is None


def test_fresh_programs_agree() -> None:
    """A few of those that `python -m tests.parity.fuzz` runs by the hundred thousand."""
    verdicts = [fuzz.check(seed) for seed in range(FRESH)]
    different = [found for verdict, found in verdicts if verdict == "different"]
    assert not different, f"{different[0][0]}\n{different[0][1]}"
    assert sum(verdict == "same" for verdict, _ in verdicts) > 0.7 * FRESH


def test_programs_are_as_varied_as_they_claim() -> None:
    programs = [fuzz.make(seed) for seed in range(150)]
    text = "\n".join(line for p in programs for line in p.lines)
    for word in ("detach", "no_grad", "_(", "] = ", "[", "sum", "@", ".view(", "cat", "where"):
        assert word in text
    shapes = {a.shape for p in programs for a in p.leaves.values()}
    assert () in shapes
    assert {0, 1} <= {n for shape in shapes for n in shape}
    assert max(len(p.lines) for p in programs) > 25
    assert any(p.second for p in programs)


@pytest.mark.parametrize("order", [1, 2])
def test_a_planted_mistake_is_found_and_made_short(order, monkeypatch) -> None:
    """Of a wrong first derivative of asinh, and of one that is wrong only in its own derivative."""
    row = elementwise.asinh

    def wrong(g: Any, out: Any, x: Any) -> Any:
        x = x.detach() if order == 2 and isinstance(x, tc.Tensor) else x
        return g / elementwise.sqrt(elementwise.square(x) + (1.001 if order == 1 else 1.0))

    monkeypatch.setattr(row, "rules", (wrong,))
    programs = (fuzz.make(seed) for seed in range(5000))
    checked = (fuzz.check(p.seed) for p in programs
               if p.second >= order - 1 and any("asinh" in line for line in p.lines))  # fmt: skip
    problem, short = next(found for verdict, found in checked if verdict == "different")
    assert problem.startswith("first" if order == 1 else "second")
    assert any("asinh" in line for line in short.lines)
    assert len(short.lines) <= 3
    exec(str(short).replace("import torch", "import tinygrad_course as torch"), {})
